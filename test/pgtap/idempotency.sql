-- Idempotency keys: a repeated request returns its first entry and writes nothing, another one of the same key is refused.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(367);
\ir books.psql

-- A checksum of every table of the ledger.
create function pg_temp.contents() returns text
language plpgsql as $$
declare
    ledger_table regclass;
    checksum text;
    contents text := '';
begin
    for ledger_table in
        select oid from pg_class where relnamespace = 'jifen'::regnamespace and relkind = 'r' order by oid
    loop
        execute format('select md5(string_agg(t::text, '','' order by t::text collate "C")) from %s t', ledger_table) into checksum;
        contents := concat_ws(' ', contents, ledger_table, checksum);
    end loop;
    return contents;
end
$$;

-- Requests: each argument with its value and another one; in a request with as little as possible it is minimal or, where that is
-- null, left out, which is as by_default.
create temp table argument (request text, verb text, n serial, name text, value text, other text, minimal text, by_default text);
insert into argument (request, verb, name, value, other, minimal, by_default) values
    ('earn', 'earn', 'member', 'ann', null, 'ann', null),
    ('earn', 'earn', 'amount', '100', '101', '100', null),
    ('earn', 'earn', 'reference', 'A', 'B', null, 'A'),
    ('earn', 'earn', 'source', 'store', 'app', null, 'A'),
    ('earn', 'earn', 'event_at', '2024-01-10', '2024-01-09', null, 'now'),
    ('earn', 'earn', 'expiry', '1 year', '12 months', null, '6 months'),
    ('earn', 'earn', 'available_at', '2024-01-11', '2024-01-12', null, 'now'),
    ('earn', 'earn', 'qualifying', '50', '51', null, '100'),
    ('earn', 'earn', 'revenue', '9.50', '9.51', null, '0'),
    ('earn', 'earn', 'details', '{"a": 1}', '{"a": 2}', null, 'null'),
    ('earn', 'earn', 'funder', 'bank', 'shop', null, 'A'),
    ('redeem', 'redeem', 'member', 'ann', null, 'ann', null),
    ('redeem', 'redeem', 'amount', '10', '11', '10', null),
    ('redeem', 'redeem', 'reference', 'A', 'B', null, 'A'),
    ('redeem', 'redeem', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('redeem', 'redeem', 'details', '[1]', '[1, 2]', null, '{}'),
    ('redeem', 'redeem', 'source', 'app', 'till', null, 'A'),
    ('redeem', 'redeem', 'partner', 'airline', 'hotel', null, 'A'),
    ('hold', 'hold', 'member', 'ann', null, 'ann', null),
    ('hold', 'hold', 'amount', '10', '11', '10', null),
    ('hold', 'hold', 'until', '2999-01-01', '2999-01-02', '2999-01-01', null),
    ('hold', 'hold', 'reference', 'A', 'B', null, 'A'),
    ('hold', 'hold', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('hold', 'hold', 'details', 'null', '0', null, 'null'),
    ('capture', 'capture', 'member', 'ann', null, 'ann', null),
    ('capture', 'capture', 'hold_seq', '4', '6', '5', null),
    ('capture', 'capture', 'amount', '5', '4', null, '20'),
    ('capture', 'capture', 'reference', 'A', 'B', null, 'A'),
    ('capture', 'capture', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('capture', 'capture', 'details', 'true', 'false', null, 'null'),
    ('capture', 'capture', 'source', 'app', 'till', null, 'A'),
    ('capture', 'capture', 'partner', 'airline', 'hotel', null, 'A'),
    ('release', 'release', 'member', 'ann', null, 'ann', null),
    ('release', 'release', 'hold_seq', '6', '5', '7', null),
    ('release', 'release', 'reason', 'A', 'B', null, 'A'),
    ('release', 'release', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('release', 'release', 'details', '"x"', '"y"', null, 'null'),
    ('reverse of a credit', 'reverse', 'member', 'ann', null, 'ann', null),
    ('reverse of a credit', 'reverse', 'seq', '1', '2', '2', null),
    ('reverse of a credit', 'reverse', 'amount', '5', '6', null, '30'),
    ('reverse of a credit', 'reverse', 'reason', 'A', 'B', null, 'A'),
    ('reverse of a credit', 'reverse', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('reverse of a credit', 'reverse', 'details', '{"a": 1}', '{"b": 1}', null, 'null'),
    ('reverse of a debit', 'reverse', 'member', 'ann', null, 'ann', null),
    ('reverse of a debit', 'reverse', 'seq', '3', '1', '3', null),
    ('reverse of a debit', 'reverse', 'amount', '5', '6', null, '15'),
    ('reverse of a debit', 'reverse', 'reason', 'A', 'B', null, 'A'),
    ('reverse of a debit', 'reverse', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('reverse of a debit', 'reverse', 'details', '{"a": 1}', '{"b": 1}', null, 'null'),
    ('reverse of an expiry', 'reverse', 'member', 'lapse', null, 'lapse', null),
    ('reverse of an expiry', 'reverse', 'seq', '2', '1', '2', null),
    ('reverse of an expiry', 'reverse', 'amount', '5', '6', null, '35'),
    ('reverse of an expiry', 'reverse', 'reason', 'A', 'B', null, 'A'),
    ('reverse of an expiry', 'reverse', 'event_at', '2024-03-20', '2024-03-21', null, 'now'),
    ('reverse of an expiry', 'reverse', 'details', '{"a": 1}', '{"b": 1}', null, 'null'),
    ('reverse of an expiry', 'reverse', 'expiry', '1 year', '12 months', null, '6 months'),
    ('goodwill', 'adjust', 'member', 'ann', null, 'ann', null),
    ('goodwill', 'adjust', 'amount', '7', '8', '7', null),
    ('goodwill', 'adjust', 'reason', 'A', 'B', 'A', null),
    ('goodwill', 'adjust', 'reference', 'A', 'B', null, 'A'),
    ('goodwill', 'adjust', 'source', 'A', 'B', null, 'A'),
    ('goodwill', 'adjust', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('goodwill', 'adjust', 'expiry', '1 year', '12 months', null, '6 months'),
    ('goodwill', 'adjust', 'available_at', '2024-01-21', '2024-01-22', null, 'now'),
    ('goodwill', 'adjust', 'qualifying', '0', '1', null, '0'),
    ('goodwill', 'adjust', 'details', '{}', '[]', null, 'null'),
    ('goodwill', 'adjust', 'funder', 'bank', 'shop', null, 'A'),
    ('penalty', 'adjust', 'member', 'ann', null, 'ann', null),
    ('penalty', 'adjust', 'amount', '-7', '7', '-7', null),
    ('penalty', 'adjust', 'reason', 'A', 'B', 'A', null),
    ('penalty', 'adjust', 'reference', 'A', 'B', null, 'A'),
    ('penalty', 'adjust', 'source', 'A', 'B', null, 'A'),
    ('penalty', 'adjust', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('penalty', 'adjust', 'details', '{}', '[]', null, 'null'),
    ('transfer', 'transfer', 'from_member', 'ann', null, 'ann', null),
    ('transfer', 'transfer', 'to_member', 'bob', 'cat', 'bob', null),
    ('transfer', 'transfer', 'amount', '3', '4', '3', null),
    ('transfer', 'transfer', 'reference', 'A', 'B', null, 'A'),
    ('transfer', 'transfer', 'reason', 'A', 'B', null, 'A'),
    ('transfer', 'transfer', 'event_at', '2024-01-20', '2024-01-21', null, 'now'),
    ('transfer', 'transfer', 'details', '{}', '[]', null, 'null'),
    ('import', 'import', 'member', 'ann', null, 'ann', null),
    ('import', 'import', 'amount', '100', '101', '100', null),
    ('import', 'import', 'expires_at', '2030-01-01', '2030-01-02', null, 'infinity'),
    ('import', 'import', 'reference', 'A', 'B', null, 'A'),
    ('import', 'import', 'source', 'store', 'app', null, 'A'),
    ('import', 'import', 'event_at', '2024-01-10', '2024-01-09', null, 'now'),
    ('import', 'import', 'issued_at', '2024-01-01', '2024-01-02', null, 'now'),
    ('import', 'import', 'available_at', '2024-01-11', '2024-01-12', null, 'now'),
    ('import', 'import', 'qualifying', '50', '51', null, '0'),
    ('import', 'import', 'revenue', '9.50', '9.51', null, '0'),
    ('import', 'import', 'details', '{"a": 1}', '{"a": 2}', null, 'null'),
    ('import', 'import', 'funder', 'bank', 'shop', null, 'A'),
    ('import by a policy', 'import', 'member', 'ann', null, 'ann', null),
    ('import by a policy', 'import', 'amount', '100', '101', '100', null),
    ('import by a policy', 'import', 'expiry', '1 year', '12 months', null, '6 months');

-- The call of a request, but for one argument.
create function pg_temp.call(request text, key text, but text default null, instead text default null) returns text
language sql as $$
    select format('select * from %s(program => ''p'', idempotency_key => %L, %s)', min(a.verb), key,
        string_agg(format('%s => %L', a.name, case when a.name = but then instead else a.value end), ', ' order by a.n)
            filter (where a.name is distinct from but or instead is not null))
    from argument a where a.request = call.request
$$;
-- That of the request with as little as possible, and one argument more.
create function pg_temp.minimal_call(request text, key text, also text default null) returns text
language sql as $$
    select format('select * from %s(program => ''p'', idempotency_key => %L, %s)', min(a.verb), key,
        string_agg(format('%s => %L', a.name, coalesce(a.minimal, a.by_default)), ', ' order by a.n)
            filter (where a.minimal is not null or a.name = also))
    from argument a where a.request = minimal_call.request
$$;
-- Its outcome: the entries, or SQLSTATE and detail.
create function pg_temp.outcome(statement text) returns text[]
language plpgsql as $$
declare
    detail text;
    entries text[];
begin
    execute format('select array(select c::text from (%s) c)', statement) into entries;
    return entries;
exception when others then
    get stacked diagnostics detail = pg_exception_detail;
    return array[sqlstate, detail];
end
$$;
-- What becomes of another request with that key.
create function pg_temp.refused(key text, field text) returns text[]
language sql as $$
    select array['JF005', format('Key "%s" of account "%s" of program "p" is of entry %s, whose request differs in %s.', key, a.member, e.seq, field)]
    from entry e join account a using (account_id) where e.idempotency_key = key
$$;

do $$
begin
    perform create_program('p', expiry => '6 months', auto_open => true);
    perform earn('p', 'ann', 1000, event_at => '2024-01-01', expiry => '20 years');                             -- 1
    perform earn('p', 'ann', 30, event_at => '2024-01-01', expiry => '30 years');                               -- 2
    perform redeem('p', 'ann', 20, event_at => '2024-01-02');                                                   -- 3
    perform hold('p', 'ann', 20, '2999-01-01', event_at => '2024-01-02') from generate_series(4, 7);            -- 4 to 7
    perform open_account('p', m) from unnest(array['bob', 'cat']) m;
    perform earn('p', 'lapse', 40, event_at => '2024-01-01', expiry => '1 month');
    perform expire_batch('p', '2024-02-10');                                                                    -- 2
end
$$;

create temp table request as select request, min(n) as n from argument group by request;
create temp table first as
select n, request, 'all: ' || request as key, pg_temp.outcome(pg_temp.call(request, 'all: ' || request)) as outcome
from (select * from request order by n) r;
create temp table first_minimal as
select n, request, 'min: ' || request as key, pg_temp.outcome(pg_temp.minimal_call(request, 'min: ' || request)) as outcome
from (select * from request order by n) r;
create temp table before as select pg_temp.contents() as contents;

-- ---------- the same request ----------

select is(outcome, array(select e::text from entry e where e.idempotency_key = key
        or e.kind = 'transfer_in' and (e.counter_account_id, e.counter_seq) = (select o.account_id, o.seq from entry o where o.idempotency_key = key)
        order by e.kind desc, e.seq), format('%s: what was posted', key))
from (table first union all table first_minimal) f order by key, n;
select is(pg_temp.outcome(pg_temp.call(request, key)), outcome, format('%s: the same request returns what the first did', request)) from first order by n;
select is(pg_temp.outcome(pg_temp.minimal_call(request, key)), outcome, format('%s: also with as little as possible', request)) from first_minimal order by n;
select is(pg_temp.contents(), contents, 'and none of them writes anything') from before;

-- ---------- another request ----------

select is(pg_temp.outcome(pg_temp.call(request, 'all: ' || request, name, other)), pg_temp.refused('all: ' || request, name),
    format('%s: with another %s it is refused', request, name))
from argument where other is not null order by n;
select is(pg_temp.outcome(pg_temp.call(request, 'all: ' || request, name)), pg_temp.refused('all: ' || request, name),
    format('%s: and without %s', request, name))
from argument where by_default is not null order by n;
select is(pg_temp.outcome(pg_temp.minimal_call(request, 'min: ' || request, name)), pg_temp.refused('min: ' || request, name),
    format('%s: nor may %s be given where it was not, though it were the same', request, name))
from argument where by_default is not null order by n;
select is(pg_temp.outcome(format('select * from %s(''p'', %L, 1, idempotency_key => %L)', case request when 'redeem' then 'earn' else 'redeem' end,
        case request when 'reverse of an expiry' then 'lapse' else 'ann' end, key)), pg_temp.refused(key, 'kind'), format('%s: another function is another request', request))
from first order by n;
select is(pg_temp.outcome($$select * from adjust('p', 'ann', -7, 'A', idempotency_key => 'min: goodwill')$$), pg_temp.refused('min: goodwill', 'amount'), 'a penalty is no goodwill');
select is((select row(r.message, r.hint)::text from pg_temp.refusal($$select redeem('p', 'ann', 1, idempotency_key => 'all: earn')$$) r),
    '("idempotency key reused for another request","Repeat the request as it was, or use another key for another one.")', 'what is said and what to do');
select is(pg_temp.contents(), contents, 'and none of them writes anything') from before;

-- The same in other words
select is(pg_temp.outcome(pg_temp.call('earn', key, name, value)), outcome, format('%s is the same as %s', name, value))
from first, (values (1, 'revenue', '9.500'), (2, 'details', '{ "a" : 1.0 }'), (3, 'event_at', '2024-01-10 08:00+08'), (4, 'expiry', ' 1  YEAR '),
    (5, 'amount', '0100')) v (n, name, value)
where request = 'earn' order by v.n;

-- ---------- whatever has become of the account meanwhile ----------

do $$
begin
    perform freeze_account('p', 'ann', 'test'), freeze_account('p', 'bob', 'test'), freeze_account('p', 'lapse', 'test');
    perform alter_program('p', expiry => 'never');
end
$$;
update before set contents = pg_temp.contents();
select is(pg_temp.outcome(pg_temp.call(request, key)), outcome, format('%s: a frozen account answers as well', request)) from first order by n;
select is(pg_temp.outcome(pg_temp.call('redeem', 'all: redeem', 'amount', '11')), pg_temp.refused('all: redeem', 'amount'), 'and refuses another request as such');
select is(pg_temp.outcome($$select * from redeem('p', 'ann', 1, idempotency_key => 'new')$$), array['JF004', 'Account "ann" of program "p" is frozen.'], 'a new key it refuses');
select is(pg_temp.outcome(pg_temp.call('transfer', 'all: transfer', 'to_member', 'unborn')), pg_temp.refused('all: transfer', 'to_member'),
    'the key comes before an unknown receiver');
select is(pg_temp.contents(), contents, 'none of them writes anything') from before;
do $$begin perform unfreeze_account('p', m, 'test') from unnest(array['ann', 'bob', 'lapse']) m; end$$;

-- A hold that is overdue by now, and another that is due
set local jifen.clock_tolerance = '1h';
do $$
begin
    perform earn('p', 'dan', 100);
    perform hold('p', 'dan', 10, now() + interval '10 minutes', idempotency_key => 'h');
    perform hold('p', 'dan', 20, now() + interval '20 minutes', event_at => now() + interval '5 minutes', idempotency_key => 'i');
    perform earn('p', 'dan', 1, event_at => now() + interval '15 minutes', idempotency_key => 'e');
end
$$;
update before set contents = pg_temp.contents();
select is((select (hold('p', 'dan', 10, now() + interval '10 minutes', idempotency_key => 'h')).seq), 2::bigint, 'the request of a hold that is overdue returns it');
select is((select (earn('p', 'dan', 1, event_at => now() + interval '15 minutes', idempotency_key => 'e')).seq), 5::bigint, 'an earn that released it returns its own entry');
select is(pg_temp.contents(), contents, 'what is due is not booked by a request that is repeated') from before;
reset jifen.clock_tolerance;

-- ---------- keys ----------

select is((earn('p', 'eve', 1, idempotency_key => 'all: earn')).seq, 1::bigint, 'a key is of the account');
select is((select t.seq from transfer('p', 'eve', 'cat', 1, idempotency_key => 'all: transfer') t limit 1), 2::bigint, 'of a transfer, of the giver''s');
select is((earn('p', 'bob', 1, idempotency_key => 'all: transfer')).kind, 'earn', 'the receiver''s keys are his own');
create temp table key (n bigint, key text);
insert into key select n, key from unnest(array['k', 'K', 'k ', ' k', 'é', U&'e\0301', '1', '01', '%s', '''', '\']) with ordinality k (key, n);
select is((earn('p', 'fay', 1, idempotency_key => key)).seq, n, format('keys are the same if their bytes are: "%s"', key)) from (select * from key order by n) k;
select is((earn('p', 'fay', 1, idempotency_key => key)).seq, n, format('and found again: "%s"', key)) from key order by n;
select is((earn('p', 'gil', 1)).seq, n, 'without a key every request is another') from generate_series(1, 2::bigint) n;

select lives_ok(format('select earn(''p'', ''hal'', 1, idempotency_key => repeat(%L, %s))', letter, times), format('%s times %s', times, letter))
from (values (1, 'x', 255), (2, '员', 85), (3, '😀', 63), (4, '%', 255)) v (n, letter, times) order by n;
select is((select row(r.state, r.message, r.detail, r.hint)::text
        from pg_temp.refusal(format('select %s, idempotency_key => repeat(%L, %s))', call, letter, times)) r),
    format('(22023,"idempotency_key is too long","It has %s bytes.","A key has from 1 to 255 bytes.")', octet_length(letter) * times), format('%s times %s: too long for %s)', times, letter, call))
from (values (1, 'x', 256), (2, '员', 86), (3, '😀', 64)) v (n, letter, times),
    unnest(array['earn(''p'', ''hal'', 1', 'redeem(''p'', ''hal'', 1', 'hold(''p'', ''hal'', 1, ''2999-01-01''', 'capture(''p'', ''hal'', 1', 'release(''p'', ''hal'', 1',
        'reverse(''p'', ''hal'', 1', 'adjust(''p'', ''hal'', 1, ''why''', 'transfer(''p'', ''hal'', ''bob'', 1', 'import(''p'', ''hal'', 1']) call
where n = 1 or call ~ '^earn' order by n, call;
select is((select row(r.state, r.message, r.detail)::text from pg_temp.refusal($$select earn('p', 'hal', 1, idempotency_key => '')$$) r),
    '(22023,"idempotency_key must not be empty","It has 0 bytes.")', 'nor is an empty one');
select is((select count(*)::int from entry e where e.account_id = account_id('p', 'hal')), 4, 'refused keys have posted nothing');
select is((earn('p', 'hal', 1, idempotency_key => repeat('员', 85))).seq, 2::bigint, 'long keys are found again');
select throws_ok($$select earn('p', 'hal', 2, idempotency_key => repeat('x', 255))$$, 'JF005', null, 'and told apart');

-- ---------- what did not happen ----------

select throws_ok($$select redeem('p', 'ivy', 5, idempotency_key => 'once')$$, 'JF003', null, 'a request that is refused');
do $$begin perform earn('p', 'ivy', 3); end$$;
select throws_ok($$select redeem('p', 'ivy', 5, idempotency_key => 'once')$$, 'JF001', null, 'time and again');
do $$begin perform earn('p', 'ivy', 3); end$$;
select is((redeem('p', 'ivy', 5, idempotency_key => 'once')).seq, 3::bigint, 'has not used its key up');
do $$
begin
    begin
        perform redeem('p', 'ivy', 1, idempotency_key => 'twice');
        raise exception using errcode = 'UNDO0';
    exception when sqlstate 'UNDO0' then
    end;
end
$$;
select is((select count(*)::int from entry e where e.idempotency_key = 'twice'), 0, 'one that is rolled back is gone');
select is((earn('p', 'ivy', 7, idempotency_key => 'twice')).seq, 4::bigint, 'and its key is free for another');
select is((earn('p', 'ivy', 7, idempotency_key => 'twice')).seq, 4::bigint, 'which then has it');

-- ---------- several in one statement ----------

select is((select array_agg(seq order by n) from (select n, (earn('p', 'jo', 5, idempotency_key => key)).seq
            from unnest(array['a', 'b', 'a', 'b', 'c']) with ordinality k (key, n)) s),
    array[1, 2, 1, 2, 3]::bigint[], 'a key that comes twice in a statement posts once');
select is((balance('p', 'jo')).balance, 15::point_amount, 'three credits in all');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

-- ---------- rows that are compressed ----------

select create_program('wide', auto_open => true) \g /dev/null
-- Details that cannot be made smaller: it is the key that the server compresses.
create temp table wide as
select jsonb_build_object('a', string_agg(md5(n::text), '' order by n)) as details from generate_series(1, 58) n;
select is((select seq from earn('wide', 'm', 10, idempotency_key => repeat('k', 200), details => (select details from wide))), 1::bigint,
    'an entry may be larger than a row');
select cmp_ok((select pg_column_size(e.idempotency_key) from entry e where e.account_id = account_id('wide', 'm')), '<', 200, 'its key is stored in fewer bytes');
select is((select seq from earn('wide', 'm', 10, idempotency_key => repeat('k', 200), details => (select details from wide))), 1::bigint,
    'and recognised all the same');

select * from finish();
rollback;
