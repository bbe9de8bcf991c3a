-- Transfers: which points go to the other member and what they keep, on both accounts or on none.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(104);
\ir books.psql

do $$
begin
    perform create_program('p', auto_open => true);
    perform create_program('q', auto_open => true);
    perform create_tier('p', 'any', 'Any', 1);
end
$$;

-- ---------- what is written ----------

do $$
begin
    perform earn('p', 'ann', 10, source => 'store', event_at => '2024-01-01', expiry => '10 years');
    perform import('p', 'ann', 20, source => 'old system', event_at => '2024-01-02', issued_at => '2023-06-01', expiry => '15 years');
    perform earn('p', 'ann', 30, source => 'app', event_at => '2024-01-03');
    perform open_account('p', 'bob');
end
$$;
create temp table moved as
select row_number() over () as n, t.* from transfer('p', 'ann', 'bob', 45, 'GIFT-1', 'key', 'a present', '2024-01-10', '{"card": 1}') t;
select is(array(select format('%s %s %s', m.seq, m.kind, m.amount) from moved m order by m.n),
    array['4 transfer_out -45', '1 transfer_in 10', '2 transfer_in 20', '3 transfer_in 15'],
    'a transfer returns the giver''s entry and the receiver''s, one for each lot');
select is((select row(m.held, m.debt, m.balance, m.event_at, m.posted_at = (select booked_from from program where code = 'p'), m.expires_at, m.available_at, m.issued_at, m.reverses_seq, m.counter_seq, m.qualifying,
            m.source, m.reference, m.reason, m.idempotency_key, m.expiry, m.revenue, m.details)::text from moved m where m.n = 1),
    '(0,0,15,"2024-01-10 00:00:00+00",t,,,,,1,,,GIFT-1,"a present",key,,,"{""card"": 1}")', 'what the giver''s says');
select is((select m.counter_account_id from moved m where m.n = 1), account_id('p', 'bob'), 'which names the receiver''s account and first entry');
select is(pg_temp.allocations('p', 'ann', 4), array['lot 1: 10', 'lot 2: 20', 'lot 3: 15'], 'points go in spending order');
select is(array(select row(m.balance, m.event_at, m.expires_at, m.available_at, m.issued_at, m.counter_seq, m.qualifying, m.source, m.reference, m.reason,
            m.idempotency_key, m.details)::text from moved m where m.n > 1 order by m.n),
    array['(10,"2024-01-10 00:00:00+00","2034-01-02 00:00:00+00","2024-01-10 00:00:00+00","2024-01-01 00:00:00+00",4,,store,GIFT-1,"a present",,"{""card"": 1}")',
        '(30,"2024-01-10 00:00:00+00","2038-06-02 00:00:00+00","2024-01-10 00:00:00+00","2023-06-01 00:00:00+00",4,,"old system",GIFT-1,"a present",,"{""card"": 1}")',
        '(45,"2024-01-10 00:00:00+00",infinity,"2024-01-10 00:00:00+00","2024-01-03 00:00:00+00",4,,app,GIFT-1,"a present",,"{""card"": 1}")'],
    'a credit keeps its expiry, its source and when it was issued first');
select is((select array_agg(distinct m.counter_account_id) from moved m where m.n > 1), array[account_id('p', 'ann')], 'and names the giver''s account and entry');
select results_eq($$select e::text from entry e where e.account_id = account_id('p', 'bob') or e.account_id = account_id('p', 'ann') and e.seq = 4
        order by e.kind desc, e.seq$$,
    $$select (m.account_id, m.seq, m.amount, m.held, m.debt, m.balance, m.event_at, m.posted_at, m.expires_at, m.available_at, m.until, m.issued_at,
        m.reverses_seq, m.hold_seq, m.debt_seq, m.counter_account_id, m.counter_seq, m.qualifying, m.given, m.rule_no, m.kind, m.source, m.funder, m.partner, m.reference, m.reason,
        m.idempotency_key, m.expiry, m.revenue, m.details, m.actor, m.hash)::text from moved m order by m.n$$, 'what is returned is what was written');
select is(pg_temp.owns('p', 'ann', '2024-01-10'), '15 = 15 + 0 + 0 + 0 - 0', 'the giver has so much less');
select is(pg_temp.owns('p', 'bob', '2024-01-10'), '45 = 45 + 0 + 0 + 0 - 0', 'the receiver so much more');
select is(pg_temp.owns('p', 'bob', '2024-01-09'), '0 = 0 + 0 + 0 + 0 - 0', 'from then on');
select is(array(select row(a.member, last_activity_at(a), a.last_event_at)::text from account a where a.member in ('ann', 'bob') order by a.member),
    array['(ann,"2024-01-10 00:00:00+00","2024-01-10 00:00:00+00")', '(bob,,"2024-01-10 00:00:00+00")'], 'giving is activity, receiving is not');
select is(tier_for('p', 'bob', '2024-01-11'), null, 'nor does it count towards a tier');

-- What was received can be passed on, and keeps what it has.
select is(array(select format('%s %s %s', t.seq, t.amount, t.issued_at) from transfer('p', 'bob', 'ann', 12, event_at => '2024-01-11') t where t.amount > 0),
    array['5 10 2024-01-01 00:00:00+00', '6 2 2023-06-01 00:00:00+00'], 'passed on, points keep when they were issued first');
select is(pg_temp.lots('p', 'ann'), array['lot 5: 10', 'lot 6: 2', 'lot 3: 15'], 'as lots of their own');
select is((redeem('p', 'ann', 11, event_at => '2024-01-11')).balance, 16::point_amount, 'which are spent in their order');
select is(pg_temp.allocations('p', 'ann', 7), array['lot 5: 10', 'lot 6: 1'], 'soonest to lapse first');

-- ---------- who pays for the points, and what was paid ----------

create function pg_temp.origins(program text, member text) returns text[]
language sql as $$
    select array(select concat_ws(' ', e.seq, e.kind, e.amount, e.source, e.funder, e.revenue) from entry e
        where e.account_id = account_id(origins.program, origins.member) and e.expires_at is not null order by e.seq)
$$;
do $$
begin
    perform create_program('o', auto_open => true);
    perform open_account('o', m) from unnest(array['bob', 'cat', 'dan', 'fay']) m;
    perform earn('o', 'ann', 3, source => 'store', funder => 'bank', revenue => 1.00, event_at => '2024-01-01'),
        earn('o', 'ann', 10, source => 'app', event_at => '2024-01-02'),
        earn('o', 'ann', 7, funder => 'bank', revenue => 0, event_at => '2024-01-03'),
        import('o', 'ann', 9223372036854775000, funder => 'old bank', revenue => 123456789012345678.90, event_at => '2024-01-04');
    perform transfer('o', 'ann', 'bob', 1, event_at => '2024-01-10');
    perform transfer('o', 'ann', 'bob', 13, event_at => '2024-01-11');
    perform transfer('o', 'ann', 'cat', 3074457345618258338, event_at => '2024-01-12');
    perform transfer('o', 'bob', 'dan', 2, event_at => '2024-01-13');
    perform post(array[posting('o', 'eve', 'earn', 6, source => 'web', funder => 'shop', revenue => 2.5, event_at => '2024-01-13'),
        posting('o', 'eve', 'transfer', 4, to_member => 'fay', event_at => '2024-01-14'), posting('o', 'fay', 'transfer', 3, to_member => 'eve', event_at => '2024-01-15')]);
end
$$;
select is(pg_temp.origins('o', 'bob'), array['1 transfer_in 1 store bank 0.33333333', '2 transfer_in 2 store bank 0.66666667', '3 transfer_in 10 app', '4 transfer_in 1 bank 0.000000'],
    'a part keeps its funder and its share of the revenue, with six digits more; points that were free stay free');
select is(pg_temp.origins('o', 'cat'), array['1 transfer_in 6 bank 0.000000', '2 transfer_in 3074457345618258332 old bank 41152263004115226.28215305'], 'of however many points');
select is(pg_temp.origins('o', 'dan'), array['1 transfer_in 1 store bank 0.33333333000000', '2 transfer_in 1 store bank 0.33333333500000'], 'passed on, of the part');
select is(pg_temp.origins('o', 'eve') || pg_temp.origins('o', 'fay'), array['1 earn 6 web shop 2.5', '3 transfer_in 3 web shop 1.2500000250000', '1 transfer_in 4 web shop 1.6666667'],
    'in one batch with what was earned');
do $$begin perform reverse('o', 'bob', 3, event_at => '2024-01-16'), reverse('o', 'eve', 1, 2, event_at => '2024-01-16'); end$$;
select is(array(select concat_ws(' ', e.seq, e.kind, e.amount, e.source, e.funder, e.revenue) from entry e join account a using (account_id) join program p using (program_id)
        where p.code = 'o' and e.kind = 'reverse' order by e.amount, a.member), array['6 reverse -10', '4 reverse -2 -0.8', '8 reverse 10'],
    'a transfer undone is none of its revenue, what was earned is');
select is(array(select r.invariant from reconcile('o') r), array[]::text[], 'and it reconciles');

-- ---------- what can be given ----------

do $$
begin
    perform earn('p', 'cat', 10, event_at => '2024-01-01', expiry => '1 month');
    perform earn('p', 'cat', 20, event_at => '2024-01-01', available_at => '2999-01-01');
    perform earn('p', 'cat', 40, event_at => '2024-01-01');
    perform hold('p', 'cat', 8, now() + interval '1 hour', event_at => '2024-03-01');
end
$$;
select is((select r.detail from pg_temp.refusal($$select transfer('p', 'cat', 'bob', 33)$$) r),
    'Account "cat" of program "p" was asked for 33 points; 32 are available, 20 pending, 8 held and 10 lapsed.',
    'neither pending nor held nor lapsed points can be given');
select is((select last_seq from account where account_id = account_id('p', 'bob')), 4::bigint, 'and the refusal writes nothing to either');
select is((select t.amount from transfer('p', 'cat', 'bob', 32) t limit 1), '-32'::point_amount, 'available ones can');
select throws_ok($$select transfer('p', 'cat', 'bob', 11, event_at => '2024-01-20')$$, 'JF001', 'insufficient points', 'back-dated, what could be given then');
select is(array(select format('%s %s', t.kind, t.expires_at) from transfer('p', 'cat', 'bob', 10, event_at => '2024-01-20') t),
    array['transfer_out ', 'transfer_in 2024-02-02 00:00:00+00'], 'also what has lapsed since');
select is((balance('p', 'bob')).lapsed, 10::point_amount, 'which has lapsed for the receiver likewise');
select is(pg_temp.owns('p', 'bob', '2024-01-20'), '43 = 43 + 0 + 0 + 0 - 0', 'and could be spent in between');

-- Booked as lapsed, the same.
do $$
begin
    perform earn('p', 'dan', 10, event_at => '2024-01-01', expiry => '1 month');
    perform expire_batch('p', '2024-02-10');
    perform transfer('p', 'dan', 'bob', 4, event_at => '2024-01-20');
end
$$;
select is(pg_temp.journal('p', 'dan'), array['1 earn 10 = 10', '2 expire -10 = 0', '3 reinstate 4 = 4 of 2', '4 transfer_out -4 = 0'],
    'where its expiry is booked, as much of it is reinstated first');

-- ---------- when ----------

do $$
begin
    perform open_account('p', 'eve');
    perform earn('p', 'fay', 5, event_at => now() + interval '2 minutes');
    perform earn('p', 'eve', 5);
end
$$;
select is(array(select t.event_at - now() from transfer('p', 'eve', 'fay', 5) t), array['2 minutes', '2 minutes']::interval[],
    'without event_at it happened after what either account has seen');
select is(array(select t.event_at - now() from transfer('p', 'fay', 'eve', 2, event_at => now() + interval '3 minutes') t), array['3 minutes', '3 minutes']::interval[],
    'with one, then');

-- Due holds of both are released first.
set local jifen.clock_tolerance = '1h';
do $$
begin
    perform earn('p', 'due 1', 10), earn('p', 'due 2', 10);
    perform hold('p', 'due 1', 10, now() + interval '10 minutes'), hold('p', 'due 2', 10, now() + interval '10 minutes');
    perform transfer('p', 'due 1', 'due 2', 4, event_at => now() + interval '10 minutes');
end
$$;
select is(pg_temp.journal('p', 'due 1', 3), array['3 release 0 held -10 = 10 of 2', '4 transfer_out -4 = 6'], 'an overdue hold of the giver');
select is(pg_temp.journal('p', 'due 2', 3), array['3 release 0 held -10 = 10 of 2', '4 transfer_in 4 = 14'], 'and one of the receiver are released first');
reset jifen.clock_tolerance;

-- ---------- to whom ----------

do $$
begin
    perform open_account('p', m) from unnest(array['frozen', 'closed']) m;
    perform earn('p', 'frozen', 10);
    perform freeze_account('p', 'frozen', 'test'), close_account('p', 'closed', 'test');
    perform earn('p', 'gil', 100);
    perform open_account('q', 'elsewhere');
end
$$;
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal(statement) r), refusal, reason)
from (values
    (1, $$select transfer('p', 'gil', 'gil', 1)$$, '(22023,"transfer to oneself","Both members are ""gil"".","Give two members of the program.")', 'not to oneself'),
    (2, $$select transfer('p', 'gil', 'frozen', 1)$$,
        '(JF004,"account is not open","Account ""frozen"" of program ""p"" is frozen.","unfreeze_account() opens it again.")', 'nor to a frozen account'),
    (3, $$select transfer('p', 'frozen', 'gil', 1)$$,
        '(JF004,"account is not open","Account ""frozen"" of program ""p"" is frozen.","unfreeze_account() opens it again.")', 'nor from one'),
    (4, $$select transfer('p', 'gil', 'closed', 1)$$,
        '(JF004,"account is not open","Account ""closed"" of program ""p"" is closed.","A closed account takes no more postings.")', 'nor to a closed one')) v (n, statement, refusal, reason)
order by n;
select throws_ok(statement, 'JF003', 'unknown member "elsewhere"', reason)
from (values
    (1, $$select transfer('p', 'gil', 'elsewhere', 1)$$, 'nor to an unknown member, for whom no account is opened'),
    (2, $$select transfer('p', 'elsewhere', 'gil', 1)$$, 'nor from one')) v (n, statement, reason) order by n;
select throws_ok($$select transfer('nowhere', 'gil', 'ann', 1)$$, 'JF002', null, 'nor in an unknown program');
select is((select row(r.state, r.message)::text from pg_temp.refusal(statement) r), refusal, statement)
from (values
    (1, $$select transfer('p', 'gil', 'ann', 0)$$, '(22023,"amount must be more than zero")'),
    (2, $$select transfer('p', 'gil', 'ann', -1)$$, '(22023,"amount must be more than zero")'),
    (3, $$select transfer('p', 'gil', 'ann', null)$$, '(22004,"amount must not be null")'),
    (4, $$select transfer('p', 'gil', null, 1)$$, '(22004,"to_member must not be null")'),
    (5, $$select transfer('p', null, 'ann', 1)$$, '(22004,"from_member must not be null")'),
    (6, $$select transfer('p', 'gil', '', 1)$$, '(22023,"to_member must not be empty")')) v (n, statement, refusal) order by n;
select is((select last_seq from account where account_id = account_id('p', 'gil')), 1::bigint, 'nothing of all that is written');

-- ---------- many lots, and all there can be ----------

do $$
begin
    for k in 1 .. 200 loop
        perform earn('p', 'many', k, event_at => '2024-01-01', expiry => format('%s days', 20000 - k)::expiry_policy);
    end loop;
    perform open_account('p', 'few'), open_account('p', 'rich');
    perform transfer('p', 'many', 'few', 20000, event_at => '2024-01-02');
    perform earn('p', 'rich', 9223372036854775807);
end
$$;
-- 200 + 199 + … + 15 = 19995: 5 more come from the lot of 14.
select is((select array[count(*)::int, count(*) filter (where e.kind = 'transfer_in')::int] from entry e where e.account_id = account_id('p', 'few')), array[187, 187],
    'a transfer of 187 lots makes 187 credits');
select is(array(select e.expires_at from entry e where e.account_id = account_id('p', 'few') order by e.seq),
    array(select c.expires_at from allocation x join entry c on c.account_id = x.account_id and c.seq = x.lot_seq
        where x.account_id = account_id('p', 'many') and x.seq = 201 order by c.expires_at, c.seq), 'each with the expiry of its lot');
select throws_ok($$select transfer('p', 'gil', 'rich', 1)$$, '22003', 'balance out of range', 'no more than the receiver''s balance can be');
select is((select t.balance from transfer('p', 'rich', 'gil', 9223372036854775707) t where t.amount > 0), 9223372036854775807::point_amount, 'but as much');

-- ---------- in a statement over many ----------

do $$begin perform open_account('p', 'pool'); end$$;
select is((select count(*)::int from (values ('few', 5), ('many', 3), ('few', 7)) v (member, points), transfer('p', v.member, 'pool', v.points)), 6, 'three transfers in one statement');
select is(pg_temp.journal('p', 'pool'), array['1 transfer_in 5 = 5', '2 transfer_in 3 = 8', '3 transfer_in 7 = 15'], 'come one after the other');
select is((select sum(a.balance::numeric) from account a join program using (program_id) where code = 'p'),
    (select sum(e.amount::numeric) from entry e join account a using (account_id) join program using (program_id) where code = 'p' and e.kind not in ('transfer_in', 'transfer_out')),
    'transfers neither make points nor lose any');

-- ---------- a transfer undone: on both accounts or on none ----------

-- Gives 25 of three lots: 10, 12 and 3.
create function pg_temp.give(program text, giver text, receiver text) returns void
language plpgsql as $$
begin
    perform earn(program, giver, 10, event_at => '2024-01-01', expiry => '10 years');
    perform earn(program, giver, 12, event_at => '2024-01-01', expiry => '15 years');
    perform earn(program, giver, 30, event_at => '2024-01-01');
    perform open_account(program, receiver);
    perform transfer(program, giver, receiver, 25, event_at => '2024-01-02');
end
$$;
do $$
begin
    perform create_program('owe', auto_open => true, overdraft => 'debt', overdraft_limit => 20);
    perform create_program('forgive', auto_open => true, overdraft => 'forgive');
    perform create_program('grace', auto_open => true, return_grace => '10 days');
    perform pg_temp.give('p', 'a1', 'b1'), pg_temp.give('p', 'a2', 'b2'), pg_temp.give('p', 'a3', 'b3'), pg_temp.give('p', 'a4', 'b4');
    perform pg_temp.give('owe', 'a', 'b'), pg_temp.give('owe', 'c', 'd'), pg_temp.give('forgive', 'a', 'b');
end
$$;

select is((select row(e.account_id = account_id('p', 'a1'), e.seq, e.kind, e.amount, e.balance, e.reverses_seq, e.counter_account_id, e.counter_seq, e.reason, e.details)::text
        from reverse('p', 'a1', 4, 5, 'mistake', event_at => '2024-01-03', details => '[1]') e),
    '(t,5,reverse,5,32,4,,,mistake,[1])', 'a part of a transfer, by the giver''s entry: returned is the giver''s reversal');
select is(pg_temp.allocations('p', 'a1', 5), array['lot 2: -2', 'lot 3: -3'], 'it returns to the last lots of the giver');
select is(pg_temp.journal('p', 'b1', 4), array['4 reverse -3 = 22 of 3', '5 reverse -2 = 20 of 2'], 'from the credits of those lots, last first');
select is((select array_agg(row(e.reason, e.details, e.event_at)::text) from entry e where e.account_id = account_id('p', 'b1') and e.seq > 3),
    array['(mistake,[1],"2024-01-03 00:00:00+00")', '(mistake,[1],"2024-01-03 00:00:00+00")'], 'with the same reason');
select throws_ok($$select reverse('p', 'a1', 4, 21)$$, 'JF006', 'more reversed than was posted', 'no more than is left of it');
select is((select row(e.account_id = account_id('p', 'b1'), e.seq, e.amount, e.balance, e.reverses_seq)::text from reverse('p', 'b1', 1, 4, idempotency_key => 'k', event_at => '2024-01-03') e),
    '(t,6,-4,16,1)', 'a part of one lot, by the receiver''s entry: returned is the receiver''s reversal');
select is(pg_temp.journal('p', 'a1', 6), array['6 reverse 4 = 36 of 4'], 'which the giver gets');
select is(pg_temp.allocations('p', 'a1', 6), array['lot 1: -4'], 'in that very lot');
select is((select (reverse('p', 'b1', 1, 4, idempotency_key => 'k', event_at => '2024-01-03')).seq), 6::bigint, 'its key is of the account named');
select throws_ok($$select reverse('p', 'b1', 3, 1)$$, 'JF006', 'more reversed than was posted', 'a credit undone from the other side is undone');
select throws_ok($$select reverse('p', 'b1', 2, 11)$$, 'JF006', 'more reversed than was posted', 'as far as it is');
select is((reverse('p', 'a1', 4, event_at => '2024-01-04')).amount, 16::point_amount, 'all that is left of it');
select is(pg_temp.journal('p', 'b1', 7), array['7 reverse -10 = 6 of 2', '8 reverse -6 = 0 of 1'], 'is all that there is');
select is(pg_temp.lots('p', 'a1'), array['lot 1: 10', 'lot 2: 12', 'lot 3: 30'], 'the giver has what he had');
select throws_ok(statement, 'JF006', 'more reversed than was posted', 'and nothing is left: ' || statement)
from unnest(array[$$select reverse('p', 'a1', 4, 1)$$, $$select reverse('p', 'b1', 1, 1)$$, $$select reverse('p', 'b1', 2)$$]) statement;
select is(array(select row(last_activity_at(a), a.last_event_at)::text from account a where a.member in ('a1', 'b1') order by a.member),
    array['("2024-01-02 00:00:00+00","2024-01-04 00:00:00+00")', '(,"2024-01-04 00:00:00+00")'], 'it is no activity of either');

-- The receiver has spent: by the program's rule.
do $$
begin
    perform redeem(p, b, 15, event_at => '2024-01-03') from (values ('p', 'b2'), ('owe', 'b'), ('owe', 'd'), ('forgive', 'b')) v (p, b);  -- 10 and 5 of 12
end
$$;
select throws_ok($$select reverse('p', 'a2', 4, event_at => '2024-01-04')$$, 'JF001', 'insufficient points', 'refuse: what the receiver has spent is not taken back');
select throws_ok($$select reverse('p', 'b2', 2, 11, event_at => '2024-01-04')$$, 'JF001', 'insufficient points', 'refuse: by neither entry');
select is(array(select a.last_seq from account a where a.member in ('a2', 'b2') order by a.member), array[4, 4]::bigint[], 'refuse: and nothing is written to either account');
select is((reverse('p', 'a2', 4, 10, event_at => '2024-01-04')).balance, 37::point_amount, 'refuse: what is left can be');
select is(pg_temp.journal('p', 'b2', 5), array['5 reverse -3 = 7 of 3', '6 reverse -7 = 0 of 2'], 'refuse: of the receiver');
select is((reverse('owe', 'a', 4, event_at => '2024-01-04')).balance, 52::point_amount, 'debt: all is returned');
select is(pg_temp.journal('owe', 'b', 5), array['5 reverse -3 = 7 of 3', '6 reverse -12 debt 5 = -5 of 2', '7 reverse -10 debt 10 = -15 of 1'], 'debt: and the receiver owes what he has spent');
select is(pg_temp.open_debts('owe', 'b'), array['6: 5', '7: 10'], 'debt: by each credit');
select is((reverse('owe', 'd', 1, event_at => '2024-01-04')).debt, 0::point_amount, 'debt: a spent credit takes others first');
select is(pg_temp.journal('owe', 'd', 5), array['5 reverse -10 = 0 of 1'], 'debt: as it does here');
select is(pg_temp.allocations('owe', 'd', 5), array['lot 2: 7', 'lot 3: 3'], 'debt: from the other credits');
do $$begin perform adjust('owe', 'd', -6, 'abuse', event_at => '2024-01-05'); end$$;
select throws_ok($$select reverse('owe', 'c', 4, event_at => '2024-01-06')$$, 'JF009', 'limit of debt reached', 'debt: up to the limit');
select is(pg_temp.journal('owe', 'c', 5) || pg_temp.journal('owe', 'd', 6), array['5 reverse 10 = 37 of 4', '6 adjust -6 debt 6 = -6'], 'debt: beyond which neither account is changed');
select is((reverse('forgive', 'a', 4, event_at => '2024-01-04')).balance, 52::point_amount, 'forgive: all is returned');
select is(pg_temp.journal('forgive', 'b', 5),
    array['5 reverse -3 = 7 of 3', '6 reverse -12 debt 5 = -5 of 2', '7 adjust 5 debt -5 = 0 of 6', '8 reverse -10 debt 10 = -10 of 1', '9 adjust 10 debt -10 = 0 of 8'],
    'forgive: and what the receiver has spent is forgiven him');

-- Either account not open
do $$begin perform freeze_account('p', 'b3', 'test'), freeze_account('p', 'a4', 'test'); end$$;
select is((select row(r.state, r.detail)::text from pg_temp.refusal(format('select reverse(''p'', %L, %s)', member, seq)) r), format('(JF004,"Account ""%s"" of program ""p"" is frozen.")', frozen),
    format('%s''s entry, where %s is frozen', member, frozen))
from (values (1, 'a3', 4, 'b3'), (2, 'b3', 1, 'b3'), (3, 'a4', 4, 'a4'), (4, 'b4', 2, 'a4')) v (n, member, seq, frozen) order by n;

-- Lapsed meanwhile: with the receiver's points, and for the giver with the lot.
do $$
declare
    p text;
begin
    foreach p in array array['q', 'grace'] loop
        perform earn(p, 'a', 10, event_at => '2024-01-01', expiry => '1 month');
        perform open_account(p, 'b');
        perform transfer(p, 'a', 'b', 8, event_at => '2024-01-10');
        perform redeem(p, 'b', 3, event_at => '2024-01-11');
        perform earn(p, 'b', 20, event_at => '2024-01-12');
        perform expire_batch(p, '2024-02-10');
        perform reverse(p, 'a', 2, event_at => '2024-03-01');
    end loop;
end
$$;
select is(pg_temp.journal('q', 'a', 3), array['3 expire -2 = 0', '4 reverse 8 = 8 of 2', '5 expire -8 = 0'], 'points that return to a lapsed lot lapse');
select is(pg_temp.journal('q', 'b', 4), array['4 expire -5 = 20', '5 reinstate 5 = 25 of 4', '6 reverse -8 = 17 of 1'], 'those taken back are first what lapsed of the credit, then others');
select is(pg_temp.allocations('q', 'b', 6), array['lot 1: 5', 'lot 3: 3'], 'from both lots');
select is(pg_temp.journal('grace', 'a', 3), array['3 expire -2 = 0', '4 reverse 8 = 8 of 2', '5 extend 0 = 8'], 'or have the program''s grace');
select is(pg_temp.owns('grace', 'a', '2024-03-01'), '8 = 8 + 0 + 0 + 0 - 0', 'in which they can be spent');

-- Back and forth: each transfer is undone by itself.
do $$
begin
    perform earn('q', 'c', 10, event_at => '2024-01-01');
    perform open_account('q', 'd');
    perform transfer('q', 'c', 'd', 10, event_at => '2024-01-02');
    perform transfer('q', 'd', 'c', 10, event_at => '2024-01-03');
end
$$;
select throws_ok($$select reverse('q', 'c', 2, event_at => '2024-01-04')$$, 'JF001', 'insufficient points', 'what was given on is spent');
select is((reverse('q', 'c', 3, event_at => '2024-01-04')).balance, 0::point_amount, 'until that is undone');
select is((reverse('q', 'c', 2, event_at => '2024-01-05')).balance, 10::point_amount, 'then the first can be');
select is(pg_temp.journal('q', 'd'), array['1 transfer_in 10 = 10', '2 transfer_out -10 = 0', '3 reverse 10 = 10 of 2', '4 reverse -10 = 0 of 1'], 'to the end');

-- A reversal happens with the latest entry of either account, by which a hold may be due.
do $$
begin
    perform earn('q', 'early', 100);
    perform open_account('q', 'late');
    perform transfer('q', 'early', 'late', 10);
    perform hold('q', 'early', 20, until => now() + interval '2 minutes');
    perform earn('q', 'late', 5, event_at => now() + interval '4 minutes');
end
$$;
select is((reverse('q', 'early', 2)).event_at, now() + interval '4 minutes', 'a reversal is not before the latest entry of the other account');
select is(pg_temp.journal('q', 'early'),
    array['1 earn 100 = 100', '2 transfer_out -10 = 90', '3 hold 0 held 20 = 90', '4 release 0 held -20 = 90 of 3', '5 reverse 10 = 100 of 2'],
    'by which a hold is released');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
