-- Adjustments: goodwill is a credit, a penalty a debit, and both have a reason.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(48);
\ir books.psql

do $$
begin
    perform create_program('p', expiry => '12 months', auto_open => true);
    perform open_account('p', m) from unnest(array['ann', 'bob', 'cat', 'dan', 'eve', 'nobody']) m;
end
$$;

-- ---------- goodwill ----------

select is((select row(e.seq, e.kind, e.amount, e.held, e.debt, e.balance, e.event_at, e.posted_at = (select booked_from from program), e.expires_at, e.available_at, e.until, e.issued_at,
            e.reverses_seq, e.hold_seq, e.debt_seq, e.counter_account_id, e.counter_seq, e.qualifying, e.source, e.reference, e.reason,
            e.idempotency_key, e.expiry, e.revenue, e.details, e.funder, e.partner)::text
        from adjust('p', 'ann', 100, 'late delivery', 'CASE-1', 'key', 'care', '2024-01-31', '1 month', '2024-02-10', 50, '{"agent": 7}', 'the carrier') e),
    '(1,adjust,100,0,0,100,"2024-01-31 00:00:00+00",t,"2024-03-01 00:00:00+00","2024-02-10 00:00:00+00",,,,,,,,50,care,CASE-1,"late delivery",key,"1 month",,"{""agent"": 7}","the carrier",)',
    'goodwill with every argument');
select is((select row(e.seq, e.amount, e.event_at = now(), e.available_at = now(), e.expires_at = expires_at('12 months', now(), 'UTC'), e.qualifying)::text
        from adjust('p', 'bob', 10, 'sorry') e), '(1,10,t,t,t,)', 'and with nothing but an amount and a reason: no qualifying points');
select is(pg_temp.lots('p', 'bob'), array['lot 1: 10'], 'it is a lot');
select is((adjust('p', 'bob', 5, 'sorry', qualifying => 0)).qualifying, 0::point_amount, 'none may be stated');
select is((select last_activity_at(a) from account a where a.account_id = account_id('p', 'bob')), null, 'it is no activity of the member');
select is((redeem('p', 'bob', 12)).balance, 3::point_amount, 'it can be spent');
select is((adjust('p', 'cat', 10, 'sorry', event_at => '2024-01-01')).event_at, '2024-01-01 00:00+00'::timestamptz, 'it may be back-dated');
select is(pg_temp.owns('p', 'cat', '2024-06-01'), '10 = 10 + 0 + 0 + 0 - 0', 'and counts from then');
select is(pg_temp.owns('p', 'cat', '2025-01-02'), '10 = 0 + 0 + 0 + 10 - 0', 'until it lapses');
select is((adjust('p', 'cat', 7, 'sorry', event_at => '2024-01-01', available_at => '2024-12-31')).seq, 2::bigint, 'it may be pending');
select is(pg_temp.owns('p', 'cat', '2024-12-30'), '17 = 10 + 7 + 0 + 0 - 0', 'and is');
select is((adjust('p', 'cat', 9, 'sorry', event_at => '2024-01-01', expiry => 'never')).expires_at, 'infinity'::timestamptz, 'or never lapse');
select throws_ok($$select adjust('p', 'cat', 9223372036854775807, 'sorry')$$, '22003', 'balance out of range', 'up to what a balance can be');

-- ---------- a penalty ----------

do $$
begin
    perform earn('p', 'dan', 10, event_at => '2024-01-01', expiry => '2 months');
    perform earn('p', 'dan', 20, event_at => '2024-01-01', expiry => '3 months');
    perform earn('p', 'dan', 40, event_at => '2024-01-01', expiry => '3 months', available_at => '2024-01-20');
    perform earn('p', 'dan', 80, event_at => '2024-01-01', expiry => 'never');
end
$$;
select is((select row(e.seq, e.kind, e.amount, e.held, e.debt, e.balance, e.event_at, e.expires_at, e.available_at, e.qualifying, e.source, e.reference, e.reason, e.details)::text
        from adjust('p', 'dan', -35, 'abuse', 'CASE-2', source => 'fraud', event_at => '2024-01-10', details => '{"agent": 8}') e),
    '(5,adjust,-35,0,0,115,"2024-01-10 00:00:00+00",,,,fraud,CASE-2,abuse,"{""agent"": 8}")', 'a penalty');
select is(pg_temp.allocations('p', 'dan', 5), array['lot 1: 10', 'lot 2: 20', 'lot 4: 5'], 'takes as a redemption does, and nothing that is pending');
select is((select last_activity_at(a) from account a where a.account_id = account_id('p', 'dan')), '2024-01-01 00:00+00'::timestamptz, 'it is no activity either');
select is((adjust('p', 'dan', -40, 'abuse', event_at => '2024-03-15')).seq, 6::bigint, 'later');
select is(pg_temp.allocations('p', 'dan', 6), array['lot 3: 40'], 'what was pending is taken too');
select throws_ok($$select adjust('p', 'dan', -76, 'abuse', event_at => '2024-03-15')$$, 'JF001', 'insufficient points', 'no more than there is');
select is((adjust('p', 'dan', -75, 'abuse')).balance, 0::point_amount, 'down to nothing');
select is((reverse('p', 'dan', 5, event_at => '2024-02-01')).amount, 35::point_amount, 'a penalty can be undone');
select is(pg_temp.lots('p', 'dan'), array['lot 1: 10', 'lot 2: 20', 'lot 4: 5'], 'and gives back what it took');

-- Back-dated: by what could be taken then.
do $$
begin
    perform earn('p', 'eve', 10, event_at => '2024-01-01', expiry => '1 month');
    perform earn('p', 'eve', 10, event_at => '2024-01-10', expiry => 'never');
    perform expire_batch('p', '2024-02-10');
end
$$;
select throws_ok($$select adjust('p', 'eve', -11, 'abuse', event_at => '2024-01-05')$$, 'JF001', 'insufficient points', 'a back-dated penalty is judged as of its time');
select is((adjust('p', 'eve', -12, 'abuse', event_at => '2024-01-20')).balance, 8::point_amount, 'and takes what was there');
select is(pg_temp.journal('p', 'eve', 4), array['4 reinstate 10 = 20 of 3', '5 adjust -12 = 8'], 'though it lapsed since');
select is(pg_temp.allocations('p', 'eve', 5), array['lot 1: 10', 'lot 2: 2'], 'from both lots');

-- ---------- qualifying goodwill, undone in proportion ----------

do $$
begin
    perform create_tier('p', 'gold', 'Gold', 100);
    perform adjust('p', 'nobody', 30, 'sorry', qualifying => 100);
end
$$;
select is(tier_for('p', 'nobody', now() + interval '1 day'), 'gold', 'qualifying goodwill counts towards a tier');
select is((reverse('p', 'nobody', 1, 10)).qualifying, '-33'::point_amount, 'undone, in proportion');
select is((reverse('p', 'nobody', 1)).qualifying, '-67'::point_amount, 'to the last point');
select is((reverse('p', 'bob', 1, 1)).qualifying, null, 'goodwill without takes none along');

-- ---------- goodwill that lapses by inactivity ----------

do $$
begin
    perform create_program('idle', auto_open => true);
    perform open_account('idle', 'ann'), adjust('idle', 'ann', 30, 'sorry', expiry => '12 months inactive', event_at => '2024-01-01');
    perform redeem('idle', 'ann', 10, event_at => '2024-06-01');
    perform adjust('idle', 'ann', -5, 'abuse', event_at => '2024-09-01');
end
$$;
select is(pg_temp.holds('idle', 'ann', '2025-06-01 23:59:59.999999+00'), '15 | 15 | 0 | 0', 'it lasts as long as the member is active');
select is(pg_temp.holds('idle', 'ann', '2025-06-02'), '15 | 0 | 0 | 15', 'which a penalty is not');

-- ---------- what is refused ----------

select is((select row(r.state, r.message)::text from pg_temp.refusal(statement) r), refusal, statement)
from (values
    (1, $$select adjust('p', 'ann', 0, 'why')$$, '(22023,"amount must not be zero")'),
    (2, $$select adjust('p', 'ann', null, 'why')$$, '(22004,"amount must not be null")'),
    (3, $$select adjust('p', 'ann', 1, null)$$, '(22004,"reason must not be null")'),
    (4, $$select adjust('p', 'ann', 1, '')$$, '(22023,"reason must not be empty")'),
    (5, $$select adjust('p', 'ann', -1, 'why', expiry => 'never')$$, '(22023,"expiry given for points that are taken")'),
    (6, $$select adjust('p', 'ann', -1, 'why', available_at => now())$$, '(22023,"available_at given for points that are taken")'),
    (7, $$select adjust('p', 'ann', -1, 'why', qualifying => 0)$$, '(22023,"qualifying given for points that are taken")'),
    (8, $$select adjust('p', 'ann', '-9223372036854775808', 'why')$$, '(22003,"point_amount out of range")'),
    (9, $$select adjust('p', 'ann', 1, 'why', event_at => '2024-01-02', available_at => '2024-01-01')$$, '(22023,"available_at is before event_at")'),
    (10, $$select adjust('p', 'ann', 1, 'why', expiry => 'on 2023-12-31', event_at => '2024-01-01')$$, '(22023,"points would lapse by the time they become available")'),
    (11, $$select adjust('p', 'ann', 1, 'why', qualifying => -1)$$, '(22023,"qualifying must not be negative")'),
    (12, $$select adjust('p', 'unborn', 1, 'why')$$, '(JF003,"unknown member ""unborn""")'),
    (13, $$select adjust('p', 'unborn', -1, 'why')$$, '(JF003,"unknown member ""unborn""")'),
    (14, $$select adjust('nowhere', 'ann', 1, 'why')$$, '(JF002,"unknown program ""nowhere""")')) v (n, statement, refusal) order by n;
select is((select last_seq from account where account_id = account_id('p', 'ann')), 1::bigint, 'nothing of all that is written');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
