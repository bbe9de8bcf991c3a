-- Earning and redeeming: what is written, which lots are spent in which order, and how calls combine in a statement or transaction.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(97);
\ir books.psql

-- The first use of a verb in a session may be refused.
do $$
begin
    perform create_program('p', expiry => '12 months end of month', auto_open => true);
    begin
        perform redeem('p', 'first', 1);
    exception when sqlstate 'JF003' then
    end;
    perform open_account('p', 'first');
    begin
        perform redeem('p', 'first', 1);
    exception when sqlstate 'JF001' then
    end;
    perform earn('p', 'first', 5, event_at => '2024-01-01');
    perform redeem('p', 'first', 2, event_at => '2024-01-01');
end
$$;
select is(pg_temp.entries('p', 'first'), array['1 earn 5 = 5', '2 redeem -2 = 3'],
    'verbs work after their first calls of the session were refused');

-- ---------- what an entry says ----------

-- Columns of the member's entry: all but account_id, actor, hash and those that are null in earns and redemptions.
create function pg_temp.line(member text, seq bigint) returns text
language sql as $$
    select row(e.seq, e.kind, e.amount, e.held, e.debt, e.balance, e.event_at, e.posted_at = (select booked_from from program where code = 'p'), e.expires_at, e.available_at,
        e.reverses_seq, e.qualifying, e.source, e.reference, e.reason, e.idempotency_key, e.expiry, e.revenue, e.details, e.funder, e.partner)::text
    from entry e where e.account_id = account_id('p', line.member) and e.seq = line.seq
$$;

create function pg_temp.account_line(member text) returns text
language sql as $$
    select row(a.balance, a.held, a.last_seq, last_activity_at(a), a.last_event_at, a.status)::text
    from account a where a.account_id = account_id('p', account_line.member)
$$;

select is((select (e.seq, e.kind, e.amount, e.held, e.balance, e.event_at, e.posted_at, e.available_at, e.reverses_seq,
            e.qualifying, e.source, e.reference, e.reason, e.revenue, e.details, e.actor)::text
        from earn('p', 'now', 100) e),
    (1, 'earn', 100, 0, 100, now(), (select booked_from from program where code = 'p'), now(), null::bigint, 100, null::text, null::text, null::text, null::numeric,
        null::jsonb, session_user)::text,
    'an earn of nothing but an amount: happened now, available at once, qualifying in full');
select is((select e.expires_at from entry e where e.account_id = account_id('p', 'now')),
    expires_at('12 months end of month', now(), 'UTC'), 'and lapsing by the policy of the program');

create temp table returned as
select e from earn('p', 'ann', 100, 'INV-1', 'key 1', 'store', '2024-01-31 10:00+00', '1 month', '2024-02-10 00:00+00',
    50, 12.340, '{"till": 7}', 'the bank') e;
insert into returned select e from redeem('p', 'ann', 30, 'ORD-1', 'key 2', '2024-02-10 00:00+00', '{"till": 8}', 'app', 'the airline') e;

select is(pg_temp.line('ann', 1),
    '(1,earn,100,0,0,100,"2024-01-31 10:00:00+00",t,"2024-03-01 00:00:00+00","2024-02-10 00:00:00+00",,50,store,INV-1,,"key 1","1 month",12.340,"{""till"": 7}","the bank",)',
    'an earn with every argument');
select is(pg_temp.line('ann', 2),
    '(2,redeem,-30,0,0,70,"2024-02-10 00:00:00+00",t,,,,,app,ORD-1,,"key 2",,,"{""till"": 8}",,"the airline")', 'a redeem with every argument');
select results_eq($$select e::text from entry e where e.account_id = account_id('p', 'ann') order by e.seq$$,
    $$select r.e::text from returned r order by (r.e).seq$$, 'what a verb returns is what it wrote');
select is(pg_temp.account_line('ann'), '(70,0,2,"2024-02-10 00:00:00+00","2024-02-10 00:00:00+00",open)',
    'the account follows');

do $$
begin
    perform earn('p', 'ann', 7, qualifying => 0, expiry => 'never', event_at => '2024-02-10 00:00+00');
    perform earn('p', 'ann', 9, qualifying => 500, event_at => '2024-02-01 00:00+00');
    perform redeem('p', 'ann', 1, event_at => '2024-02-10 12:00+00');
    perform earn('p', 'ann', 1, event_at => '2024-02-03 00:00+00');
end
$$;
select is(array(select format('%s %s %s', e.seq, e.qualifying, e.expires_at) from entry e
        where e.account_id = account_id('p', 'ann') and e.kind = 'earn' and e.seq > 1 order by e.seq),
    array['3 0 infinity', '4 500 2025-03-01 00:00:00+00', '6 1 2025-03-01 00:00:00+00'],
    'qualifying may be nothing, or more than the points');
select is(pg_temp.account_line('ann'), '(86,0,6,"2024-02-10 12:00:00+00","2024-02-10 12:00:00+00",open)',
    'a back-dated earn does not move the account''s latest times back');

-- ---------- which lots are spent: soonest to lapse first, oldest first among equals ----------

do $$
begin
    perform earn('p', 'bob', 10, event_at => '2024-01-01', expiry => '6 months');  -- 1: lapses 2 July
    perform earn('p', 'bob', 20, event_at => '2024-01-02', expiry => '3 months');  -- 2: 3 April
    perform earn('p', 'bob', 30, event_at => '2024-01-03', expiry => 'never');     -- 3
    perform earn('p', 'bob', 40, event_at => '2024-01-02', expiry => '3 months');  -- 4: 3 April
    perform earn('p', 'bob', 50, event_at => '2024-01-04', expiry => '1 month');   -- 5: 5 February
    perform earn('p', 'bob', 60, event_at => '2024-01-04', expiry => 'never');     -- 6
end
$$;
select is(pg_temp.lots('p', 'bob'), array['lot 5: 50', 'lot 2: 20', 'lot 4: 40', 'lot 1: 10', 'lot 3: 30', 'lot 6: 60'],
    'lots in spending order');
select is((redeem('p', 'bob', 49, event_at => '2024-01-05')).seq, 7::bigint, '49 of 210');
select is(pg_temp.allocations('p', 'bob', 7), array['lot 5: 49'], 'come from the soonest to lapse');
select is((redeem('p', 'bob', 1, event_at => '2024-01-05')).seq, 8::bigint, 'one more');
select is(pg_temp.lots('p', 'bob'), array['lot 2: 20', 'lot 4: 40', 'lot 1: 10', 'lot 3: 30', 'lot 6: 60'],
    'uses that lot up');
select is((redeem('p', 'bob', 75, event_at => '2024-01-05')).seq, 9::bigint, '75 more');
select is(pg_temp.allocations('p', 'bob', 9), array['lot 2: 20', 'lot 4: 40', 'lot 1: 10', 'lot 3: 5'],
    'go on: the older of two that lapse together first, what never lapses last');
select is(pg_temp.lots('p', 'bob'), array['lot 3: 25', 'lot 6: 60'], 'and leave the rest');
select throws_ok($$select redeem('p', 'bob', 86, event_at => '2024-01-05')$$, 'JF001', 'insufficient points', 'one too many');
select is((redeem('p', 'bob', 85, event_at => '2024-01-05')).balance, 0::point_amount, 'down to nothing');
select is(pg_temp.lots('p', 'bob'), array[]::text[], 'no lot is left');
select throws_ok($$select redeem('p', 'bob', 1, event_at => '2024-01-05')$$, 'JF001', 'insufficient points', 'nothing to redeem');
select is((earn('p', 'bob', 3, event_at => '2024-01-06')).seq, 11::bigint, 'and on it goes');

-- ---------- many lots ----------

-- Lot k holds k points and lapses at the end of day 200 - k: the newest first.
do $$
begin
    for k in 1 .. 150 loop
        perform earn('p', 'many', k, event_at => '2024-01-01', expiry => format('%s days', 200 - k)::expiry_policy);
    end loop;
end
$$;

-- 150 + 149 + … + 135 = 16 × 142.5 = 2280
select is((redeem('p', 'many', 2280, event_at => '2024-01-02')).balance, 9045::point_amount, 'exactly the first 16 of 150 lots');
select is(pg_temp.allocations('p', 'many', 151),
    array(select format('lot %s: %s', k, k) from generate_series(150, 135, -1) k), 'from those lots');
-- 134 + 133 + … + 118 = 17 × 126 = 2142
select is((redeem('p', 'many', 2142, event_at => '2024-01-02')).balance, 6903::point_amount, 'exactly 17 lots');
select is(pg_temp.allocations('p', 'many', 152),
    array(select format('lot %s: %s', k, k) from generate_series(134, 118, -1) k), 'from those lots');
-- 117 + 116 + … + 8 = 110 × 62.5 = 6875
select is((redeem('p', 'many', 6880, event_at => '2024-01-02')).balance, 23::point_amount, '110 lots and a part');
select is(pg_temp.allocations('p', 'many', 153),
    array(select format('lot %s: %s', k, k) from generate_series(117, 8, -1) k) || 'lot 7: 5'::text, 'from those lots');
select is(pg_temp.lots('p', 'many'), array['lot 7: 2', 'lot 6: 6', 'lot 5: 5', 'lot 4: 4', 'lot 3: 3', 'lot 2: 2', 'lot 1: 1'],
    'what is left');
select throws_ok($$select redeem('p', 'many', 24, event_at => '2024-01-02')$$, 'JF001', 'insufficient points', 'is 23 points');
select is((redeem('p', 'many', 23, event_at => '2024-01-02')).balance, 0::point_amount, 'to the last of them');

-- 40 lots of a point that are pending come before the 3 that are not.
do $$
begin
    for k in 1 .. 40 loop
        perform earn('p', 'wait', 1, event_at => '2024-01-01', available_at => '2024-01-10', expiry => '1 month');
    end loop;
    for k in 1 .. 3 loop
        perform earn('p', 'wait', 1, event_at => '2024-01-01', expiry => '2 months');
    end loop;
end
$$;
select throws_ok($$select redeem('p', 'wait', 4, event_at => '2024-01-09')$$, 'JF001', 'insufficient points',
    'pending lots are passed over, however many');
select is((redeem('p', 'wait', 2, event_at => '2024-01-09')).seq, 44::bigint, 'to the lots that can be spent');
select is(pg_temp.allocations('p', 'wait', 44), array['lot 41: 1', 'lot 42: 1'], 'which are these');
select is((redeem('p', 'wait', 41, event_at => '2024-01-10')).balance, 0::point_amount, 'in their hour the pending ones are spent too');

-- ---------- pending and lapsed points need no job ----------

do $$
begin
    perform earn('p', 'cy', 10, event_at => '2024-03-01 00:00+00', available_at => '2024-03-08 09:30+00', expiry => '10 days');
    perform earn('p', 'cy', 5, event_at => '2024-03-01 00:00+00', expiry => '1 month');
end
$$;
select throws_ok($$select redeem('p', 'cy', 6, event_at => '2024-03-08 09:29:59.999999+00')$$, 'JF001', 'insufficient points',
    'a microsecond before its hour a pending credit is not spendable');
select is((redeem('p', 'cy', 6, event_at => '2024-03-08 09:30+00')).seq, 3::bigint, 'in its hour it is');
select is(pg_temp.allocations('p', 'cy', 3), array['lot 1: 6'], 'and goes first, since it lapses first');
select throws_ok($$select redeem('p', 'cy', 6, event_at => '2024-03-12 00:00+00')$$, 'JF001', 'insufficient points',
    'at the end of its last day what is left of it is not spendable');
select is((redeem('p', 'cy', 5, event_at => '2024-03-12 00:00+00')).seq, 4::bigint, 'what lapses later is');
select is(pg_temp.allocations('p', 'cy', 4), array['lot 2: 5'], 'from the other lot');
select is(pg_temp.lots('p', 'cy'), array['lot 1: 4'], 'the lapsed lot waits to be booked');

-- Credits at noon UTC that last to the end of the next day there.
create temp table zone (code text, earned_at timestamptz, lapses_at timestamptz, reason text);
insert into zone values
    ('UTC', '2024-05-01 12:00+00', '2024-05-03 00:00+00', 'midnight UTC'),
    ('Asia/Shanghai', '2024-05-01 12:00+00', '2024-05-02 16:00+00', 'midnight at +8'),
    ('Asia/Kathmandu', '2024-05-01 12:00+00', '2024-05-02 18:15+00', 'midnight at +5:45'),
    ('America/New_York', '2024-03-09 12:00+00', '2024-03-11 04:00+00', 'a day of 23 hours, its midnight in summer time'),
    ('America/New_York', '2024-11-02 12:00+00', '2024-11-04 05:00+00', 'a day of 25 hours, its midnight in winter time'),
    ('America/Sao_Paulo', '2018-11-02 12:00+00', '2018-11-04 03:00+00', 'a midnight that summer time skips'),
    ('America/Sao_Paulo', '2018-02-16 12:00+00', '2018-02-18 03:00+00', 'a midnight that comes after an hour repeated'),
    ('Pacific/Apia', '2011-12-28 12:00+00', '2011-12-30 10:00+00', 'the day before one that never was');
do $$
begin
    perform create_program(z.code, time_zone => z.code, expiry => '1 day', auto_open => true)
    from (select distinct code from zone) z;
    perform earn(z.code, z.reason, 3, event_at => z.earned_at) from zone z;
end
$$;
select lives_ok(format('select redeem(%L, %L, 1, event_at => %L)', z.code, z.reason, z.lapses_at - interval '1 microsecond'),
    format('%s: spendable to its last microsecond: %s', z.code, z.reason)) from zone z;
select throws_ok(format('select redeem(%L, %L, 1, event_at => %L)', z.code, z.reason, z.lapses_at), 'JF001', 'insufficient points',
    format('%s: and not at its instant: %s', z.code, z.reason)) from zone z;

-- ---------- when a posting happened ----------

select is((earn('p', 'di', 10)).event_at, now(), 'without event_at a posting happened now');
select is((earn('p', 'di', 10, event_at => '2024-01-01', expiry => 'never')).event_at, '2024-01-01 00:00+00'::timestamptz, 'with one, then');
select is((earn('p', 'di', 10)).event_at, now(), 'which moves nothing else');
select is((earn('p', 'di', 10, event_at => now() + interval '4 minutes')).event_at, now() + interval '4 minutes',
    'a clock that runs ahead is tolerated');
select is((select row(e.event_at, e.available_at) from earn('p', 'di', 10) e),
    row(now() + interval '4 minutes', now() + interval '4 minutes'), 'and what comes after it happened after it');
select is((redeem('p', 'di', 50)).event_at, now() + interval '4 minutes', 'also a redemption, which can spend it');
select is((reverse('p', 'di', 6)).event_at, now() + interval '4 minutes', 'and a reversal');
select is((redeem('p', 'di', 1, event_at => now())).event_at, now(), 'unless it says otherwise');

select lives_ok($$select earn('p', 'ed', 1, event_at => now() + interval '300 seconds')$$, 'five minutes ahead are tolerated');
select throws_ok($$select earn('p', 'ed', 1, event_at => now() + interval '300.000001 seconds')$$, '22023',
    'event_at is in the future', 'no microsecond more');
set local jifen.clock_tolerance = 0;
select lives_ok($$select earn('p', 'fay', 1, event_at => now())$$, 'jifen.clock_tolerance 0: up to now()');
select throws_ok($$select earn('p', 'fay', 1, event_at => now() + interval '1 microsecond')$$, '22023',
    'event_at is in the future', 'and no microsecond more');
select throws_ok($$select redeem('p', 'fay', 1, event_at => now() + interval '1 microsecond')$$, '22023',
    'event_at is in the future', 'for each verb');
set local jifen.clock_tolerance = '1h';
select lives_ok($$select earn('p', 'fay', 1, event_at => now() + interval '1 hour')$$, 'jifen.clock_tolerance 1h: up to an hour');
select throws_ok($$select earn('p', 'fay', 1, event_at => now() + interval '1 hour 1 microsecond')$$, '22023',
    'event_at is in the future', 'and no more');
reset jifen.clock_tolerance;
select lives_ok($$select earn('p', 'ed', 1, available_at => now() + interval '40 days')$$, 'available_at may lie in the future');

-- ---------- several calls in one statement ----------

do $$
begin
    perform earn('p', 'two', 60, event_at => '2024-01-01', expiry => '1 month');
    perform earn('p', 'two', 60, event_at => '2024-01-01', expiry => '2 months');
end
$$;
select is(array[(redeem('p', 'two', 50, event_at => '2024-01-02')).balance, (redeem('p', 'two', 50, event_at => '2024-01-02')).balance],
    array[70, 20]::point_amount[], 'two redemptions in one statement come one after the other');
select is(pg_temp.allocations('p', 'two', 3), array['lot 1: 50'], 'the first takes from the first lot');
select is(pg_temp.allocations('p', 'two', 4), array['lot 1: 10', 'lot 2: 40'], 'the second what is left of it, and goes on');
select throws_ok($$select redeem('p', 'two', 15, event_at => '2024-01-02'), redeem('p', 'two', 15, event_at => '2024-01-02')$$,
    'JF001', 'insufficient points', 'together they cannot spend more than there is');
select is(pg_temp.entries('p', 'two'), array['1 earn 60 = 60', '2 earn 60 = 120', '3 redeem -50 = 70', '4 redeem -50 = 20'],
    'and the second, refused, takes the first along');
select is(pg_temp.lots('p', 'two'), array['lot 2: 20'], 'nothing is spent');

create temp table orders (n int, member text, points point_amount, seq bigint);
insert into orders values (1, 'gil', 10), (2, 'hal', 20), (3, 'gil', 30), (4, 'gil', 40), (5, 'hal', 50);
select is(sum((earn('p', o.member, o.points, reference => 'order ' || o.n, event_at => '2024-01-01')).amount), 150::point_amount,
    'earn() over a table of orders') from (select * from orders order by n) o;
select is(pg_temp.entries('p', 'gil'), array['1 earn 10 = 10', '2 earn 30 = 40', '3 earn 40 = 80'], 'posts each order');
select is(pg_temp.entries('p', 'hal'), array['1 earn 20 = 20', '2 earn 50 = 70'], 'to its member');
update orders set seq = (earn('p', member, points, event_at => '2024-01-02')).seq;
select is(array(select format('%s %s', o.member, array_agg(o.seq order by o.seq)) from orders o group by o.member order by 1),
    array['gil {4,5,6}', 'hal {3,4}'], 'an update may keep the numbers of what it posts');
select throws_ok($$select earn('p', member, points) from (values ('gil', 1), ('nobody else', 1), ('', 1)) o (member, points)$$, '22023',
    null, 'one refused order');
select is((select count(*)::int from entry e where e.account_id = account_id('p', 'gil')), 6, 'refuses all of its statement');
select throws_ok($$select account_id('p', 'nobody else')$$, 'JF003', null, 'openings included');

with credit as (select * from earn('p', 'ivy', 100, event_at => '2024-01-01')),
    debit as (select r.* from credit, redeem('p', 'ivy', credit.amount, event_at => credit.event_at) r)
select is(debit.balance, 0::point_amount, 'a CTE may spend what another has earned') from debit;
select is(pg_temp.entries('p', 'ivy'), array['1 earn 100 = 100', '2 redeem -100 = 0'], 'each evaluated once');
select is(array[(earn('p', 'ivy', 5, event_at => '2024-01-02')).balance, (balance('p', 'ivy', '2024-01-02')).balance],
    array[5, 0]::point_amount[], 'balance() sees what was there when its statement began');
select is((balance('p', 'ivy', '2024-01-02')).balance, 5::point_amount, 'the next statement sees what it wrote');

-- ---------- what is rolled back is gone ----------

do $$
begin
    perform earn('p', 'jo', 100, event_at => '2024-01-01');
    begin
        perform redeem('p', 'jo', 30, event_at => '2024-01-02');
        perform earn('p', 'jo', 5, event_at => '2024-01-02');
        perform earn('p', 'unborn', 5, event_at => '2024-01-02');
        perform redeem('p', 'jo', 500, event_at => '2024-01-02');
    exception when sqlstate 'JF001' then
        perform redeem('p', 'jo', 1, event_at => '2024-01-01');
    end;
end
$$;
select is(pg_temp.entries('p', 'jo'), array['1 earn 100 = 100', '2 redeem -1 = 99'],
    'a block that ends in an exception has posted nothing, and seq has no gap');
select is(pg_temp.lots('p', 'jo'), array['lot 1: 99'], 'nor touched a lot');
select throws_ok($$select account_id('p', 'unborn')$$, 'JF003', null, 'nor opened an account');

savepoint before;
select redeem('p', 'jo', 40, event_at => '2024-01-03') \g /dev/null
select reverse('p', 'jo', 2, event_at => '2024-01-03') \g /dev/null
rollback to before;
select redeem('p', 'jo', 9, event_at => '2024-01-03') \g /dev/null
release before;
select is(pg_temp.entries('p', 'jo'), array['1 earn 100 = 100', '2 redeem -1 = 99', '3 redeem -9 = 90'],
    'so has what was rolled back to a savepoint');
select is(pg_temp.allocations('p', 'jo', 3), array['lot 1: 9'], 'allocations included');

select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
