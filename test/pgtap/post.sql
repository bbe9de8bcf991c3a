-- Many postings in one call: their order, what is refused and what goes with it, and that a batch is what its postings are one by one.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(103);
\ir books.psql

-- The rows of a call: ordinal: seq = balance, or SQLSTATE message.
create function pg_temp.rows(postings posting[], on_refusal text default 'skip') returns text[]
language sql as $$
    select array(select format('%s: %s', r.ordinal, coalesce(r.seq || ' = ' || r.balance, r.sqlstate || ' ' || r.message))
        from post(postings, on_refusal) r)
$$;
create function pg_temp.last_seq(program text, member text) returns bigint
language sql as $$
    select a.last_seq from account a where a.account_id = account_id(last_seq.program, last_seq.member)
$$;

do $$
begin
    perform create_program('p', auto_open => true);
    perform create_program('single', auto_open => true);
    perform create_program('closed shop');
    perform create_program('limit', auto_open => true, overdraft => 'debt', overdraft_limit => 10);
end
$$;

-- ---------- every kind, in order ----------

create function pg_temp.every_kind(program text) returns posting[]
language sql as $$
    select array[
        posting(program, 'ann', 'earn', 100),                                                       -- 1
        posting(program, 'bob', 'import', 50),                                                      --   1
        posting(program, 'ann', 'redeem', 10),                                                      -- 2
        posting(program, 'ann', 'hold', 20, until => '2999-01-01'),                                 -- 3
        posting(program, 'ann', 'transfer', 5, to_member => 'bob'),                                 -- 4 2
        posting(program, 'ann', 'adjust', 7, reason => 'sorry'),                                    -- 5
        posting(program, 'bob', 'adjust', -5, reason => 'abuse'),                                   --   3
        posting(program, 'ann', 'capture', 15, seq => 3),                                           -- 6, 7
        posting(program, 'ann', 'hold', 10, until => '2999-01-01'),                                 -- 8
        posting(program, 'ann', 'release', seq => 8),                                               -- 9
        posting(program, 'ann', 'reverse', seq => 2),                                               -- 10
        posting(program, 'ann', 'reverse', 5, seq => 6),                                            -- 11
        posting(program, 'bob', 'reverse', 2, seq => 2),                                            -- 12 4
        posting(program, 'ann', 'reverse', seq => 4)]                                               -- 13 5
$$;
select is(pg_temp.rows(pg_temp.every_kind('p'), 'abort'),
    array['1: 1 = 100', '2: 1 = 50', '3: 2 = 90', '4: 3 = 90', '5: 4 = 85', '6: 5 = 92', '7: 3 = 50', '8: 6 = 77', '9: 8 = 77', '10: 9 = 77',
        '11: 10 = 87', '12: 11 = 92', '13: 4 = 48', '14: 13 = 97'], 'a row for each posting, in order: its entry and the balance after it');
do $$begin perform post(array[posting]) from unnest(pg_temp.every_kind('single')) posting; end$$;
select is(pg_temp.journal('p', m), pg_temp.journal('single', m), format('%s: a batch is what its postings are one by one', m)) from unnest(array['ann', 'bob']) m;
select is(pg_temp.journal('p', 'bob'), array['1 import 50 = 50', '2 transfer_in 5 = 55', '3 adjust -5 = 50', '4 reverse -2 = 48 of 2', '5 reverse -3 = 45 of 2'], 'and this is');
select is(pg_temp.lots('p', m), pg_temp.lots('single', m), format('%s: lots as well', m)) from unnest(array['ann', 'bob']) m;

-- ---------- every field ----------

do $$
begin
    perform create_tier(p, 't', 'T', 1) from unnest(array['p', 'single']) p;
    perform post(array[
        posting('p', 'cat', 'earn', 100, 'A', 'k1', 'store', '2024-01-10', '1 year', '2024-01-11', 50, 9.50, '{"a": 1}', funder => 'bank'),
        posting('p', 'cat', 'import', 200, 'B', 'k2', 'old', '2024-01-10', null, '2024-01-12', 5, 1.5, '[]', issued_at => '2023-01-01', expires_at => '2030-01-01', funder => 'old bank'),
        posting('p', 'cat', 'import', 20, idempotency_key => 'k3', event_at => '2024-01-10', expiry => '2 years'),
        posting('p', 'cat', 'redeem', 10, 'C', 'k4', 'app', event_at => '2024-01-13', details => '1', partner => 'airline'),
        posting('p', 'cat', 'hold', 11, 'D', 'k5', event_at => '2024-01-13', details => '2', until => '2999-01-01'),
        posting('p', 'cat', 'hold', 12, event_at => '2024-01-13', until => '2999-01-01'),
        posting('p', 'cat', 'capture', 6, 'E', 'k6', event_at => '2024-01-14', details => '3', seq => 5, source => 'till', partner => 'hotel'),
        posting('p', 'cat', 'release', null, null, 'k7', event_at => '2024-01-14', details => '4', reason => 'F', seq => 6),
        posting('p', 'cat', 'reverse', 3, null, 'k8', event_at => '2024-01-15', details => '5', reason => 'G', seq => 4),
        posting('p', 'cat', 'adjust', 4, 'H', 'k9', 'care', '2024-01-16', 'never', '2024-01-17', 2, null, '6', 'why', funder => 'carrier'),
        posting('p', 'cat', 'transfer', 5, 'I', 'k10', event_at => '2024-01-18', details => '7', reason => 'J', to_member => 'bob')]);
    perform earn('single', 'cat', 100, 'A', 'k1', 'store', '2024-01-10', '1 year', '2024-01-11', 50, 9.50, '{"a": 1}', 'bank');
    perform import('single', 'cat', 200, '2030-01-01', 'B', 'k2', 'old', '2024-01-10', '2023-01-01', null, '2024-01-12', 5, 1.5, '[]', 'old bank');
    perform import('single', 'cat', 20, idempotency_key => 'k3', event_at => '2024-01-10', expiry => '2 years');
    perform redeem('single', 'cat', 10, 'C', 'k4', '2024-01-13', '1', 'app', 'airline');
    perform hold('single', 'cat', 11, '2999-01-01', 'D', 'k5', '2024-01-13', '2');
    perform hold('single', 'cat', 12, '2999-01-01', event_at => '2024-01-13');
    perform capture('single', 'cat', 5, 6, 'E', 'k6', '2024-01-14', '3', 'till', 'hotel');
    perform release('single', 'cat', 6, 'F', 'k7', '2024-01-14', '4');
    perform reverse('single', 'cat', 4, 3, 'G', 'k8', '2024-01-15', '5');
    perform adjust('single', 'cat', 4, 'why', 'H', 'k9', 'care', '2024-01-16', 'never', '2024-01-17', 2, '6', 'carrier');
    perform transfer('single', 'cat', 'bob', 5, 'I', 'k10', 'J', '2024-01-18', '7');
end
$$;
create function pg_temp.columns(program text, member text) returns setof text
language sql as $$
    select row(e.seq, e.amount, e.held, e.debt, e.balance, e.event_at, e.posted_at = p.booked_from, e.expires_at, e.available_at, e.until, e.issued_at, e.reverses_seq, e.hold_seq,
        e.debt_seq, c.member, e.counter_seq, e.qualifying, e.given, e.kind, e.source, e.funder, e.partner, e.reference, e.reason, e.idempotency_key, e.expiry, e.revenue, e.details, e.actor)::text
    from entry e left join account c on c.account_id = e.counter_account_id join program p on p.code = columns.program
    where e.account_id = account_id(columns.program, columns.member) order by e.seq
$$;
select results_eq($$select * from pg_temp.columns('p', 'cat')$$, $$select * from pg_temp.columns('single', 'cat')$$, 'a posting''s fields are the arguments of its function');
select is((select array_agg(distinct e.idempotency_key) from entry e where e.account_id = account_id('p', 'cat')),
    array['k1', 'k10', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9', null], 'keys included');
select is((select p::text from posting('p', 'ann', 'earn') p), '(p,ann,earn,,,,,,,,,,,,,,,,,,,)', 'posting() leaves out what is not given');
select is((select p::text from posting('p', 'ann', 'earn', 1, '2', '3', '4', '2005-01-01', '6 months', '2007-01-01', 8, 9, '10', '11', 12, '2013-01-01', '14', '2015-01-01', '2016-01-01', '17', '18', '19') p),
    '(p,ann,earn,1,2,3,4,"2005-01-01 00:00:00+00","6 months","2007-01-01 00:00:00+00",8,9,10,11,12,"2013-01-01 00:00:00+00",14,"2015-01-01 00:00:00+00","2016-01-01 00:00:00+00",17,18,19)',
    'and has each in its place');

-- ---------- nothing, and nulls ----------

select is_empty($$select post('{}')$$, 'an empty batch has no rows');
select is_empty($$select post('{}', 'skip')$$, 'in either mode');
select is((select row(r.state, r.message)::text from pg_temp.refusal(statement) r), refusal, statement)
from (values
    (1, $$select post(null)$$, '(22004,"postings must not be null")'),
    (2, $$select post('{}', null)$$, '(22004,"on_refusal must not be null")'),
    (3, $$select post('{}', 'stop')$$, '(22023,"invalid on_refusal ""stop""")'),
    (4, $$select post('{}', 'Skip')$$, '(22023,"invalid on_refusal ""Skip""")')) v (n, statement, refusal) order by n;
select is((select row(r.state, r.detail ~ '^Posting 2: ')::text from pg_temp.refusal($$select post(array[posting('p', 'ann', 'earn', 1), null])$$) r),
    '(22004,t)', 'a null posting is refused');
select is((select array_agg(row(r.ordinal, r.seq is null, r.sqlstate)::text) from post(array[null, posting('p', 'dan', 'earn', 1), null], 'skip') r),
    array['(1,t,22004)', '(2,f,)', '(3,t,22004)'], 'or skipped');
select is((select array_agg(row(r.ordinal, r.seq is null, r.sqlstate)::text) from post(array[row(null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
    null, null, null, null, null, null)::posting], 'skip') r), array['(1,t,22004)'], 'so is one of nulls alone');
select is(pg_temp.rows(array[array[posting('p', 'dan', 'earn', 2), posting('p', 'dan', 'earn', 3)], array[posting('p', 'dan', 'earn', 4), posting('p', 'dan', 'redeem', 10)]]),
    array['1: 2 = 3', '2: 3 = 6', '3: 4 = 10', '4: 5 = 0'], 'an array of two dimensions is read row by row');

-- ---------- abort ----------

create temp table books_before as select pg_temp.last_seq('p', 'ann') as ann, pg_temp.last_seq('p', 'bob') as bob;
select is((select row(r.state, r.message, (regexp_match(r.detail, '^Posting \d+: \w+'))[1])::text from pg_temp.refusal(format('select post(array[%s])', postings)) r), refusal, reason)
from (values
    (1, $$posting('p', 'ann', 'earn', 10), posting('p', 'bob', 'redeem', 1000), posting('p', 'ann', 'redeem', 1000000)$$,
        '(JF001,"insufficient points","Posting 2: Account")', 'the first refusal is raised and says which posting it is of'),
    (2, $$posting('p', 'ann', 'redeem', 1000000), posting('p', 'ann', 'earn', 0)$$, '(JF001,"insufficient points","Posting 1: Account")', 'of whichever sort'),
    (3, $$posting('p', 'ann', 'earn', 0), posting('p', 'ann', 'redeem', 1000000)$$, '(22023,"amount must be more than zero","Posting 1: It")', 'the first in the order of the postings'),
    (4, $$posting('p', 'ann', 'earn', 5), posting('p', 'nobody', 'redeem', 1)$$, '(JF003,"unknown member ""nobody""","Posting 2: Program")', 'an unknown member'),
    (5, $$posting('p', 'nobody', 'redeem', 1), posting('p', 'nobody', 'earn', 1)$$, '(JF003,"unknown member ""nobody""","Posting 1: Program")',
        'who is unknown to what comes before the earn that opens an account'),
    (6, $$posting('p', 'ann', 'earn', 5), posting('nowhere', 'ann', 'earn', 1)$$, '(JF002,"unknown program ""nowhere""","Posting 2: No")', 'an unknown program'),
    (7, $$posting('p', 'ann', 'earn', 5), posting('p', 'ann', 'expire', 1)$$, '(22023,"unknown kind of posting ""expire""","Posting 2: A")', 'a kind that is no function'),
    (8, $$posting('p', 'ann', 'redeem', 1000000)$$, '(JF001,"insufficient points","Posting 1: Account")', 'of a single posting too')) v (n, postings, refusal, reason) order by n;
select is(row(pg_temp.last_seq('p', 'ann'), pg_temp.last_seq('p', 'bob')), row(ann, bob), 'and nothing is posted') from books_before;
select throws_ok($$select account_id('p', 'nobody')$$, 'JF003', null, 'no account opened');

-- ---------- skip ----------

do $$
begin
    perform open_account('p', 'frozen'), open_account('limit', 'ann');
    perform freeze_account('p', 'frozen', 'test');
    perform earn('p', 'eve', 100, idempotency_key => 'used');
    perform redeem('p', 'eve', 30);
    perform earn('p', 'rich', 9223372036854775807);
end
$$;
select is(pg_temp.rows(array[
        posting('p', 'eve', 'redeem', 71),
        posting('p', 'eve', 'redeem', 20),
        posting('nowhere', 'eve', 'earn', 1),
        posting('p', 'nobody', 'redeem', 1),
        posting('closed shop', 'eve', 'earn', 1),
        posting('p', 'frozen', 'earn', 1),
        posting('p', 'eve', 'earn', 5, idempotency_key => 'used'),
        posting('p', 'eve', 'earn', 100, idempotency_key => 'used'),
        posting('p', 'eve', 'reverse', 31, seq => 2),
        posting('p', 'eve', 'capture', seq => 2),
        posting('limit', 'ann', 'adjust', -11, reason => 'abuse'),
        posting('p', 'rich', 'earn', 1),
        posting('p', 'eve', 'earn'),
        posting('p', 'eve', 'earn', 0),
        posting('p', 'eve', 'earn', 1, expiry => 'on 2023-12-31', event_at => '2024-01-01'),
        posting('p', 'eve', 'ern', 1),
        posting('p', 'eve', null, 1),
        posting('p', null, 'earn', 1),
        posting('p', 'eve', 'redeem', 1, funder => 'bank'),
        posting('p', 'eve', 'transfer', 1, to_member => 'eve'),
        posting('p', 'eve', 'transfer', 1),
        posting('p', 'eve', 'hold', 1, until => '2024-01-01'),
        posting('p', 'eve', 'redeem', 1, event_at => now() + interval '1 year'),
        posting('p', 'eve', 'redeem', 50)]),
    array['1: JF001 insufficient points', '2: 3 = 50', '3: JF002 unknown program "nowhere"', '4: JF003 unknown member "nobody"', '5: JF003 unknown member "eve"',
        '6: JF004 account is not open', '7: JF005 idempotency key reused for another request', '8: 1 = 100', '9: JF006 more reversed than was posted',
        '10: JF007 no such hold or hold ended', '11: JF009 limit of debt reached', '12: 22003 balance out of range', '13: 22004 amount must not be null',
        '14: 22023 amount must be more than zero', '15: 22023 points would lapse by the time they become available', '16: 22023 unknown kind of posting "ern"',
        '17: 22004 kind must not be null', '18: 22004 member must not be null', '19: 22023 redeem takes no funder', '20: 22023 transfer to oneself',
        '21: 22004 to_member must not be null', '22: 22023 until has passed', '23: 22023 event_at is in the future', '24: 4 = 0'],
    'refused postings have their refusal, the others are posted');
select is((select row(r.seq, r.balance, r.sqlstate, r.message, r.detail)::text from post(array[posting('p', 'eve', 'redeem', 1)], 'skip') r),
    '(,,JF001,"insufficient points","Account ""eve"" of program ""p"" was asked for 1 points; 0 are available, 0 pending, 0 held and 0 lapsed.")',
    'with its detail, as of the function itself');
select is(pg_temp.rows(array[posting('p', 'fay', 'earn', 0), posting('p', 'gil', 'earn', 1, available_at => '2024-01-01'), posting('p', 'hal', 'earn', 1),
        posting('p', 'hal', 'redeem', 2)]),
    array['1: 22023 amount must be more than zero', '2: 22023 available_at is before event_at', '3: 1 = 1', '4: JF001 insufficient points'], 'of members without an account');
select is((select array_agg(a.member order by a.member) from account a where a.member in ('fay', 'gil', 'hal')), array['hal'],
    'one is opened for those alone for whom something is posted');

-- Each function takes its own fields and no others.
create temp table field (name text, value text);
insert into field values ('amount', '1'), ('reference', 'x'), ('source', 'x'), ('funder', 'x'), ('partner', 'x'), ('expiry', 'never'), ('available_at', 'now'), ('qualifying', '1'), ('revenue', '1'),
    ('reason', 'x'), ('seq', '1'), ('until', '2999-01-01'), ('to_member', 'bob'), ('issued_at', '2024-01-01'), ('expires_at', '2999-01-01'), ('details', '1'),
    ('event_at', 'now'), ('idempotency_key', 'x');
create temp table taken (kind text, fields text[]);
insert into taken values
    ('earn', '{amount,reference,idempotency_key,source,event_at,expiry,available_at,qualifying,revenue,details,funder}'),
    ('redeem', '{amount,reference,idempotency_key,event_at,details,source,partner}'),
    ('hold', '{amount,until,reference,idempotency_key,event_at,details}'),
    ('capture', '{seq,amount,reference,idempotency_key,event_at,details,source,partner}'),
    ('release', '{seq,reason,idempotency_key,event_at,details}'),
    ('reverse', '{seq,amount,reason,idempotency_key,event_at,details,expiry}'),
    ('adjust', '{amount,reason,reference,idempotency_key,source,event_at,expiry,available_at,qualifying,details,funder}'),
    ('transfer', '{to_member,amount,reference,idempotency_key,reason,event_at,details}'),
    ('import', '{amount,expires_at,reference,idempotency_key,source,event_at,issued_at,expiry,available_at,qualifying,revenue,details,funder}');
select is(array(select f.name from field f, lateral post(array[jsonb_populate_record(posting('p', 'ann', t.kind), jsonb_build_object(f.name, f.value)
            || case when f.name <> 'amount' and 'amount' = any (t.fields) then '{"amount": 1}'::jsonb else '{}' end
            || case when f.name <> 'seq' and 'seq' = any (t.fields) then '{"seq": 1}'::jsonb else '{}' end
            || case when f.name <> 'until' and 'until' = any (t.fields) then '{"until": "2999-01-01"}'::jsonb else '{}' end
            || case when f.name <> 'to_member' and 'to_member' = any (t.fields) then '{"to_member": "bob"}'::jsonb else '{}' end
            || case when f.name <> 'reason' and t.kind = 'adjust' then '{"reason": "x"}'::jsonb else '{}' end)], 'skip') r
        where r.message = format('%s takes no %s', t.kind, f.name) and r.sqlstate = '22023' order by f.name),
    array(select f.name from field f where f.name <> all (t.fields) order by f.name), format('%s: the fields that it does not take', t.kind))
from taken t order by t.kind;

-- ---------- groups ----------

do $$
begin
    perform earn('p', m, 100, event_at => '2024-01-01') from unnest(array['g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7']) m;
end
$$;
select is(pg_temp.rows(array[
        posting('p', 'g1', 'redeem', 60, "group" => 'a'),
        posting('p', 'g1', 'redeem', 50, "group" => 'b'),
        posting('p', 'g2', 'redeem', 10, "group" => 'b'),
        posting('p', 'g1', 'redeem', 30, "group" => 'a'),
        posting('p', 'g1', 'redeem', 11),
        posting('p', 'g1', 'redeem', 10),
        posting('p', 'g2', 'redeem', 100)]),
    array['1: 2 = 40', '2: JF001 insufficient points', '3: JF001 another posting of group "b" was refused', '4: 3 = 10', '5: JF001 insufficient points', '6: 4 = 0', '7: 2 = 0'],
    'a group is decided where its first posting stands, all or none of it');
select is((select array_agg(r.detail) from post(array[posting('p', 'g3', 'redeem', 10, "group" => 'order 7'), posting('p', 'g3', 'redeem', 100, "group" => 'order 7'),
        posting('p', 'g3', 'redeem', 1, "group" => 'order 7')], 'skip') r),
    array['Posting 2: insufficient points', 'Account "g3" of program "p" was asked for 100 points; 90 are available, 0 pending, 0 held and 0 lapsed.',
        'Posting 2: insufficient points'], 'the others say which one was refused');
select is(pg_temp.last_seq('p', 'g3'), 1::bigint, 'none of them is posted');
select is(pg_temp.rows(array[
        posting('p', 'g4', 'earn', 5, "group" => 'x'), posting('p', 'g4', 'transfer', 20, to_member => 'g5', "group" => 'x'), posting('p', 'g5', 'redeem', 110, "group" => 'x'),
        posting('p', 'g4', 'hold', 10, until => '2999-01-01', "group" => 'x'), posting('p', 'new', 'earn', 1, "group" => 'x'), posting('p', 'g5', 'redeem', 11, "group" => 'x'),
        posting('p', 'g4', 'redeem', 100), posting('p', 'g5', 'redeem', 100)]),
    array['1: JF001 another posting of group "x" was refused', '2: JF001 another posting of group "x" was refused', '3: JF001 another posting of group "x" was refused',
        '4: JF001 another posting of group "x" was refused', '5: JF001 another posting of group "x" was refused', '6: JF001 insufficient points', '7: 2 = 0', '8: 2 = 0'],
    'of several accounts and kinds, as if it had not been there');
select throws_ok($$select account_id('p', 'new')$$, 'JF003', null, 'and the account of a member of it is not opened');
select is(pg_temp.rows(array[posting('p', 'g6', 'redeem', 10, "group" => 'y'), posting('p', 'g6', 'redeem', 20, "group" => 'y'), posting('p', 'new', 'earn', 1, "group" => 'y')]),
    array['1: 2 = 90', '2: 3 = 70', '3: 1 = 1'], 'a group of which none is refused is posted');
select is(pg_temp.rows(array[posting('p', 'g6', r.kind, r.amount, "group" => 'z'), posting('p', 'g6', 'earn', 1, "group" => 'z')]), array['1: ' || refusal,
        '2: ' || left(refusal, 5) || ' another posting of group "z" was refused'], format('refused for itself: %s', refusal))
from (values (1, 'earn', 0, '22023 amount must be more than zero'), (2, 'nothing', 1, '22023 unknown kind of posting "nothing"'), (3, null, 1, '22004 kind must not be null'),
    (4, 'earn', null, '22004 amount must not be null')) r (n, kind, amount, refusal) order by n;
select is(pg_temp.rows(array[posting('p', 'g6', 'earn', 1, "group" => 'z'), posting('p', 'nobody', 'redeem', 1, "group" => 'z'), posting('nowhere', 'g6', 'earn', 1, "group" => 'z')]),
    array['1: JF003 another posting of group "z" was refused', '2: JF003 unknown member "nobody"', '3: JF003 another posting of group "z" was refused'], 'by the first that is');
select is(pg_temp.rows(array[posting('p', 'g6', 'earn', 1, "group" => ''), posting('p', 'g6', 'earn', 1, "group" => repeat('员', 257))]),
    array['1: 22023 group must not be empty', '2: 22023 group is too long'], 'a group has a name as others');
select is(pg_temp.rows(array[posting('p', 'g6', 'earn', 1, "group" => repeat('员', 256)), posting('p', 'g6', 'earn', 1, "group" => 'a '), posting('p', 'g6', 'redeem', 1000, "group" => 'a')]),
    array['1: 4 = 71', '2: 5 = 72', '3: JF001 insufficient points'], 'compared to the byte');
select throws_ok($$select post(array[posting('p', 'g6', 'earn', 1, "group" => 'a'), posting('p', 'g6', 'redeem', 1000, "group" => 'b')])$$, 'JF001', null,
    'where a refusal aborts all, groups mean nothing');
select is(pg_temp.rows(array[posting('p', 'g6', 'earn', 1, "group" => 'a'), posting('p', 'g7', 'earn', 2), posting('p', 'g6', 'earn', 3, "group" => 'a')], 'abort'),
    array['1: 6 = 73', '2: 2 = 102', '3: 7 = 76'], 'and order nothing');

-- Groups that refer to what their batch has posted.
select is(pg_temp.rows(array[
        posting('p', 'g7', 'earn', 50, idempotency_key => 'once'),
        posting('p', 'g7', 'redeem', 20, "group" => 'r'), posting('p', 'g7', 'reverse', seq => 4, "group" => 'r'), posting('p', 'g7', 'redeem', 1, event_at => '2024-01-02', "group" => 'r'),
        posting('p', 'g7', 'redeem', 5, "group" => 's'), posting('p', 'g7', 'reverse', seq => 7, "group" => 's'), posting('p', 'g7', 'earn', 50, idempotency_key => 'once', "group" => 's'),
        posting('p', 'g7', 'redeem', 1000, "group" => 's'),
        posting('p', 'g7', 'redeem', 151)]),
    array['1: 3 = 152', '2: 4 = 132', '3: 5 = 152', '4: 6 = 151', '5: JF001 another posting of group "s" was refused', '6: JF001 another posting of group "s" was refused',
        '7: JF001 another posting of group "s" was refused', '8: JF001 insufficient points', '9: 7 = 0'],
    'reverse what they posted, look back, and are undone all the same');

-- ---------- keys within a batch ----------

select is(pg_temp.rows(array[posting('p', 'ivy', 'earn', 5, idempotency_key => 'a'), posting('p', 'ivy', 'earn', 6, idempotency_key => 'b'), posting('p', 'ivy', 'earn', 5, idempotency_key => 'a'),
        posting('p', 'ivy', 'earn', 7, idempotency_key => 'a'), posting('p', 'ivy', 'redeem', 5, idempotency_key => 'a'), posting('p', 'jo', 'earn', 9, idempotency_key => 'a'),
        posting('p', 'ivy', 'earn', 6, idempotency_key => 'b')]),
    array['1: 1 = 5', '2: 2 = 11', '3: 1 = 5', '4: JF005 idempotency key reused for another request', '5: JF005 idempotency key reused for another request', '6: 1 = 9', '7: 2 = 11'],
    'a key that comes again in its batch is as one that came before');
select is(pg_temp.last_seq('p', 'ivy'), 2::bigint, 'and posts nothing');
select is((select row(r.state, r.detail)::text from pg_temp.refusal($$select post(array[posting('p', 'ivy', 'earn', 8, idempotency_key => 'c'), posting('p', 'ivy', 'earn', 9, idempotency_key => 'c')])$$) r),
    '(JF005,"Posting 2: Key ""c"" of account ""ivy"" of program ""p"" is of entry 3, whose request differs in amount.")', 'with another request it is refused');
select is(pg_temp.rows(array[posting('p', 'ivy', 'redeem', 100, idempotency_key => 'd'), posting('p', 'ivy', 'redeem', 1, idempotency_key => 'd'), posting('p', 'ivy', 'redeem', 1, idempotency_key => 'd')]),
    array['1: JF001 insufficient points', '2: 3 = 10', '3: 3 = 10'], 'a posting that was refused has not used its key up');
select is(pg_temp.rows(array[posting('p', 'ivy', 'earn', 4, idempotency_key => 'e', "group" => 'g'), posting('p', 'ivy', 'redeem', 100, "group" => 'g'), posting('p', 'ivy', 'earn', 3, idempotency_key => 'e')]),
    array['1: JF001 another posting of group "g" was refused', '2: JF001 insufficient points', '3: 4 = 13'], 'nor one of a group that was');
select is(pg_temp.rows(array(select posting('p', 'ivy', 'earn', 1, idempotency_key => 'r' || n) from generate_series(1, 3) n)),
    array(select format('%s: %s = %s', n, 4 + n, 13 + n) from generate_series(1, 3) n), reason)
from unnest(array['a batch', 'that is repeated returns the same']) reason;
select is((balance('p', 'ivy')).balance, 16::point_amount, 'and posts nothing');

-- ---------- what earlier postings leave to later ones ----------

select is(pg_temp.rows(array[posting('p', 'kim', 'redeem', 1), posting('p', 'kim', 'earn', 1), posting('p', 'kim', 'redeem', 1), posting('p', 'kim', 'redeem', 1)]),
    array['1: JF003 unknown member "kim"', '2: 1 = 1', '3: 2 = 0', '4: JF001 insufficient points'], 'they are decided in their order');
select is(pg_temp.rows(array[posting('p', 'kim', 'earn', 10, expiry => '10 years'), posting('p', 'kim', 'earn', 20, expiry => '5 years'), posting('p', 'kim', 'redeem', 25)]),
    array['1: 3 = 10', '2: 4 = 30', '3: 5 = 5'], 'and find the lots of those before');
select is(pg_temp.allocations('p', 'kim', 5), array['lot 4: 20', 'lot 3: 5'], 'in spending order');
do $$
begin
    perform post(array[posting('p', 'lou', 'earn', 10, event_at => now() + interval '2 minutes'), posting('p', 'lou', 'redeem', 1),
        posting('p', 'lou', 'earn', 1, event_at => now() + interval '1 minute'), posting('p', 'lou', 'earn', 1)]);
end
$$;
select is(array(select e.event_at - now() from entry e where e.account_id = account_id('p', 'lou') order by e.seq),
    array['2 minutes', '2 minutes', '1 minute', '2 minutes']::interval[], 'without event_at they happen after what happened before them');
select is(pg_temp.rows(array[posting('p', 'max', 'earn', 10, event_at => '2024-01-10'), posting('p', 'max', 'redeem', 4, event_at => '2024-01-20'),
        posting('p', 'max', 'redeem', 7, event_at => '2024-01-15'), posting('p', 'max', 'redeem', 6, event_at => '2024-01-15'), posting('p', 'max', 'reverse', seq => 2, event_at => '2024-01-25'),
        posting('p', 'max', 'redeem', 1, event_at => '2024-01-12'), posting('p', 'max', 'redeem', 4, event_at => '2024-01-25')]),
    array['1: 1 = 10', '2: 2 = 6', '3: JF001 insufficient points', '4: 3 = 0', '5: 4 = 4', '6: JF001 insufficient points', '7: 5 = 0'], 'back-dated ones look at what their batch has posted');

-- What is due, once
set local jifen.clock_tolerance = '1h';
do $$
begin
    perform earn('p', 'due', 100);
    perform hold('p', 'due', 40, now() + interval '10 minutes'), hold('p', 'due', 20, now() + interval '30 minutes');
    perform post(array[posting('p', 'due', 'redeem', 1), posting('p', 'due', 'redeem', 1, event_at => now() + interval '15 minutes'),
        posting('p', 'due', 'redeem', 1, event_at => now() + interval '40 minutes')]);
end
$$;
select is(pg_temp.journal('p', 'due', 4),
    array['4 redeem -1 = 99', '5 release 0 held -40 = 99 of 2', '6 redeem -1 = 98', '7 release 0 held -20 = 98 of 3', '8 redeem -1 = 97'],
    'holds that are overdue are released before the posting to which they are');
reset jifen.clock_tolerance;

-- Reversals of what the batch itself has posted
select is(pg_temp.rows(array[
        posting('p', 'r1', 'earn', 100), posting('p', 'r1', 'redeem', 30), posting('p', 'r1', 'reverse', 10, seq => 2), posting('p', 'r1', 'reverse', seq => 2), posting('p', 'r1', 'reverse', seq => 2),
        posting('p', 'r1', 'reverse', 40, seq => 1), posting('p', 'r2', 'earn', 1), posting('p', 'r1', 'transfer', 50, to_member => 'r2'), posting('p', 'r2', 'reverse', 20, seq => 2),
        posting('p', 'r1', 'reverse', seq => 6), posting('p', 'r1', 'reverse', seq => 99), posting('p', 'r1', 'reverse', seq => 3)]),
    array['1: 1 = 100', '2: 2 = 70', '3: 3 = 80', '4: 4 = 100', '5: JF006 more reversed than was posted', '6: 5 = 60', '7: 1 = 1', '8: 6 = 10', '9: 3 = 31', '10: 8 = 60',
        '11: 22023 no such entry', '12: 22023 entry cannot be reversed'], 'redemptions, credits and transfers of the same batch can be reversed');
select is(pg_temp.journal('p', 'r2'), array['1 earn 1 = 1', '2 transfer_in 50 = 51', '3 reverse -20 = 31 of 2', '4 reverse -30 = 1 of 2'], 'on both accounts');

-- ---------- 10,000 postings ----------

create function pg_temp.account_updates() returns bigint
language sql as $$select n_tup_upd from pg_stat_xact_user_tables where relid = 'jifen.account'::regclass$$;
create temp table updates as select pg_temp.account_updates() as n;

create temp table result as
select r.* from post((select array_agg(posting('p', 'big', case when n % 2 = 1 then 'earn' else 'redeem' end, case when n % 2 = 1 then n else n / 2 end,
    idempotency_key => 'big ' || n) order by n) from generate_series(1, 10000) n)) r;
select is(pg_temp.account_updates() - n, 1::bigint, '10,000 postings on one account update it once') from updates;
select is((select array_agg(r.seq order by r.ordinal) from result r), array(select n::bigint from generate_series(1, 10000) n), 'an entry for each, in order');
-- earned: 1 + 3 + … + 9999 = 5000²; redeemed: 1 + 2 + … + 5000
select is((select r.balance from result r where r.ordinal = 10000), (5000 * 5000 - 5000 * 5001 / 2)::point_amount, 'the last with the balance after all of them');
select is((balance('p', 'big')).balance, 12497500::point_amount, 'that the account has');
update updates set n = pg_temp.account_updates();
select results_eq($$select r.* from post((select array_agg(posting('p', 'big', case when n % 2 = 1 then 'earn' else 'redeem' end, case when n % 2 = 1 then n else n / 2 end,
    idempotency_key => 'big ' || n) order by n) from generate_series(1, 10000) n)) r$$, 'select * from result', 'repeated, they return the same');
select is(pg_temp.account_updates() - n, 0::bigint, 'and write nothing') from updates;

update updates set n = pg_temp.account_updates();
drop table result;
create temp table result as
select r.* from post((select array_agg(posting('p', 'm ' || n % 1000, 'earn', n) order by n) from generate_series(1, 10000) n)) r;
select is(pg_temp.account_updates() - n, 1000::bigint, '10,000 over 1,000 new accounts update each once') from updates;
select is((select array_agg(distinct r.seq order by r.seq) from result r), array(select n::bigint from generate_series(1, 10) n), 'an entry for each');
select is((select sum(b.balance)::point_amount from generate_series(0, 999) n, balance('p', 'm ' || n) b), 50005000::point_amount, 'that comes to what was asked');
update updates set n = pg_temp.account_updates();
drop table result;
create temp table result as
select r.* from post((select array_agg(posting('p', 'm ' || n % 1001, case when n % 3 = 0 then 'transfer' else 'redeem' end, 1 + n % 7,
    to_member => case when n % 3 = 0 then 'm ' || (n + 500) % 1000 end) order by n) from generate_series(1, 10000) n), 'skip') r;
select is(pg_temp.account_updates() - n, 1000::bigint, 'so do redemptions and transfers between them') from updates;
select is((select array_agg(distinct r.sqlstate) from result r), array['JF003', null], 'of which those of an unknown member are refused');
select is((select count(*)::int from result r where r.sqlstate is not null), 9, 'all of those');

-- ---------- a random history, in batches and one by one ----------

create temp table asked (n serial, batch int, ordinal int, posting posting);
create temp table outcome (program text, batch int, ordinal int, outcome text);
create function pg_temp.outcomes(postings posting[]) returns table (ordinal int, outcome text)
language sql as $$
    select r.ordinal, concat_ws(' ', r.seq, r.balance, r.sqlstate, r.message, regexp_replace(r.detail, '"(batches|singles)"', '…'))
    from post(postings, 'skip') r
$$;
do $$
declare
    members text[] := array['a', 'b', 'c', 'd'];
    kind text;
    at timestamptz := '2024-01-01';
    dice float8;
begin
    perform setseed(0.4);
    perform create_program(p, expiry => '60 days', auto_open => true, overdraft => 'debt', overdraft_limit => 200, return_grace => '10 days')
    from unnest(array['batches', 'singles']) p;
    for b in 1 .. 60 loop
        for k in 1 .. 1 + floor(random() * 20) loop
            at := at + random() * interval '6 hours';
            dice := random();
            kind := case when dice < 0.3 then 'earn' when dice < 0.45 then 'redeem' when dice < 0.55 then 'hold' when dice < 0.62 then 'capture'
                when dice < 0.68 then 'release' when dice < 0.82 then 'reverse' when dice < 0.88 then 'adjust' when dice < 0.95 then 'transfer' else 'import' end;
            insert into asked (batch, ordinal, posting) values (b, k, posting('batches', members[1 + floor(random() * 4)], kind,
                case when kind = 'adjust' then floor(random() * 100) - 60 when kind in ('capture', 'reverse') and random() < 0.4 then null
                    when kind = 'release' then null else floor(random() * 60) end::bigint,
                reason => case when kind = 'adjust' then 'why' end,
                event_at => case when random() < 0.7 then at else at - random() * interval '30 days' end,
                expiry => case when kind in ('earn', 'import') and random() < 0.3 then '20 days'::expiry_policy end,
                available_at => case when kind = 'earn' and random() < 0.1 then at + interval '5 days' end,
                seq => case when kind in ('capture', 'release', 'reverse') then 1 + floor(random() * b * 4) end::bigint,
                until => case when kind = 'hold' then '2999-01-01'::timestamptz end,
                to_member => case when kind = 'transfer' then members[1 + floor(random() * 4)] end,
                idempotency_key => case when random() < 0.3 then 'key ' || floor(random() * 300) end));
        end loop;
        insert into outcome
        select 'batches', b, o.ordinal, o.outcome from pg_temp.outcomes((select array_agg(a.posting order by a.n) from asked a where a.batch = b)) o;
        insert into outcome
        select 'singles', b, a.ordinal, o.outcome
        from (select * from asked where batch = b order by n) a, pg_temp.outcomes(array[jsonb_populate_record(a.posting, '{"program": "singles"}')]) o;
        perform expire_batch('batches', at - interval '5 days'), expire_batch('singles', at - interval '5 days') where b % 10 = 0;
    end loop;
end
$$;
select results_eq($$select batch, ordinal, outcome from outcome where program = 'batches' order by 1, 2$$,
    $$select batch, ordinal, outcome from outcome where program = 'singles' order by 1, 2$$, 'over a random history each posting of a batch comes out as it does alone');
select is(pg_temp.journal('batches', m), pg_temp.journal('singles', m), format('%s: the entries', m)) from unnest(array['a', 'b', 'c', 'd']) m;
select is(pg_temp.lots('batches', m), pg_temp.lots('singles', m), format('%s: the lots', m)) from unnest(array['a', 'b', 'c', 'd']) m;
select cmp_ok((select count(distinct e.kind)::int from entry e join account a using (account_id) join program p using (program_id) where p.code = 'batches'), '>=', 13,
    'a history of almost every kind of entry');
select cmp_ok((select count(*)::int from outcome where program = 'batches' and outcome !~ '(JF|22|55)\d\d\d '), '>', 250, 'most of which were posted');

-- ---------- a group that undoes what its batch has transferred ----------

do $$
begin
    perform create_program('undo', auto_open => true);
    perform earn('undo', m, p) from (values ('a', 100), ('b', 1), ('c', 100), ('d', 1)) v (m, p);
end
$$;
select is(pg_temp.rows(array[
        posting('undo', 'a', 'transfer', 50, to_member => 'b'),
        posting('undo', 'a', 'reverse', seq => 2, "group" => 'g'),
        posting('undo', 'a', 'redeem', 100000, "group" => 'g')]),
    array['1: 2 = 50', '2: JF001 another posting of group "g" was refused', '3: JF001 insufficient points'],
    'a group may undo a transfer of its batch, and be refused');
select is(array(select m || ': ' || b.balance from unnest(array['a', 'b']) m, balance('undo', m) b), array['a: 50', 'b: 51'],
    'then neither side has changed');
select is(pg_temp.rows(array[
        posting('undo', 'c', 'transfer', 50, to_member => 'd'),
        posting('undo', 'c', 'reverse', 10, seq => 2, "group" => 'g', idempotency_key => 'once'),
        posting('undo', 'd', 'earn', 5, "group" => 'g'),
        posting('undo', 'c', 'reverse', 10, seq => 2, "group" => 'g', idempotency_key => 'once'),
        posting('undo', 'c', 'redeem', 100000, "group" => 'g'),
        posting('undo', 'd', 'earn', 7)]),
    array['1: 2 = 50', '2: JF001 another posting of group "g" was refused', '3: JF001 another posting of group "g" was refused',
        '4: JF001 another posting of group "g" was refused', '5: JF001 insufficient points', '6: 3 = 58'],
    'what comes after the group goes on from where it began');
select is(array(select m || ': ' || b.balance from unnest(array['c', 'd']) m, balance('undo', m) b), array['c: 50', 'd: 58'],
    'whatever the group had stored in between');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
