-- Imports: the lots of an opening balance, with the expiry and the age that they have.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(44);
\ir books.psql

do $$
begin
    perform create_program('p', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true);
    perform create_program('closed shop');
end
$$;

-- ---------- what is written ----------

select is((select row(e.seq, e.kind, e.amount, e.held, e.debt, e.balance, e.event_at, e.posted_at = (select booked_from from program where code = 'p'), e.expires_at, e.available_at, e.until, e.issued_at,
            e.reverses_seq, e.hold_seq, e.debt_seq, e.counter_account_id, e.counter_seq, e.qualifying, e.source, e.reference, e.reason, e.idempotency_key,
            e.expiry, e.revenue, e.details, e.funder, e.partner)::text
        from import('p', 'ann', 100, '2025-03-31 16:00+00', 'OLD-1', 'key', 'old system', '2024-06-01', '2023-04-01', null, '2024-06-10', 70, 9.50, '{"row": 7}', 'the bank') e),
    '(1,import,100,0,0,100,"2024-06-01 00:00:00+00",t,"2025-03-31 16:00:00+00","2024-06-10 00:00:00+00",,"2023-04-01 00:00:00+00",,,,,,70,"old system",OLD-1,,key,,9.50,"{""row"": 7}","the bank",)',
    'an import with every argument that goes with expires_at');
select is((select row(e.seq, e.event_at = now(), e.available_at = now(), e.expires_at = expires_at('12 months end of month', now(), 'Asia/Shanghai'), e.issued_at, e.qualifying, e.expiry)::text
        from import('p', 'ann', 10) e), '(2,t,t,t,,,)', 'and with nothing but an amount: no qualifying points, the program''s expiry');
select is(pg_temp.lots('p', 'ann'), array['lot 1: 100', 'lot 2: 10'], 'each is a lot');
select is((select row(last_activity_at(a), a.balance)::text from account a where a.account_id = account_id('p', 'ann')), '(,110)', 'which is no activity of the member');
select is((select s.status::text from account s where s.account_id = account_id('p', 'ann')), 'open', 'whose account is opened where the program does so');
select throws_ok($$select import('closed shop', 'ann', 1)$$, 'JF003', 'unknown member "ann"', 'and not where it does not');

-- ---------- expiry ----------

-- of the last day of January in Shanghai, which begins at 16:00 UTC
select is((select row(e.expires_at, e.expiry)::text from import('p', 'bob', 1, event_at => '2024-06-01', issued_at => '2024-01-30 16:00+00') e), '("2025-01-31 16:00:00+00",)',
    'the program''s expiry is reckoned from when the points were issued');
select is((select row(e.expires_at, e.expiry)::text from import('p', 'bob', 2, event_at => '2024-06-01', issued_at => '2024-01-31 16:00+00') e), '("2025-02-28 16:00:00+00",)',
    'in its time zone');
select is((select row(e.expires_at, e.expiry)::text from import('p', 'bob', 3, event_at => '2024-06-01', issued_at => '2024-01-30', expiry => '2 years') e),
    '("2026-01-30 16:00:00+00","2 years")', 'so is another');
select is((import('p', 'bob', 4, event_at => '2024-06-01')).expires_at, '2025-06-30 16:00+00'::timestamptz, 'without issued_at from event_at');
select is((select row(e.expires_at, e.expiry)::text from import('p', 'bob', 5, expires_at => 'infinity', event_at => '2024-06-01') e), '(infinity,)', 'infinity is never');
select is((import('p', 'bob', 6, expiry => 'never', event_at => '2024-06-01')).expires_at, 'infinity'::timestamptz, 'as the policy says');
select is((import('p', 'bob', 7, expires_at => '2024-06-01 00:00:00.000001+00', event_at => '2024-06-01')).seq, 7::bigint, 'a microsecond is enough');
select is((import('p', 'bob', 8, expires_at => '2024-07-01', event_at => '2024-06-01')).seq, 8::bigint, 'what has lapsed meanwhile may be imported as of then');
select is(pg_temp.owns('p', 'bob', '2024-06-30'), '36 = 29 + 0 + 0 + 7 - 0', 'and could be spent');
select is((redeem('p', 'bob', 9, event_at => '2024-06-30')).seq, 9::bigint, 'in spending order');
select is(pg_temp.allocations('p', 'bob', 9), array['lot 8: 8', 'lot 1: 1'], 'of its own');
select is((select row(e.lots, e.points)::text from expire_batch('p', '2024-08-01') e), '(1,7)', 'the rest lapses');

-- ---------- what cannot be ----------

select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal(statement) r), refusal, reason)
from (values
    (1, $$select import('p', 'cat', 1, expires_at => '2030-01-01', expiry => '1 year')$$,
        '(22023,"both expires_at and expiry given","expires_at is 2030-01-01 00:00:00+00, and expiry is ""1 year"".","Give the one or the other.")',
        'both expires_at and expiry'),
    (2, $$select import('p', 'cat', 1, event_at => '2024-01-01', issued_at => '2024-01-01 00:00:00.000001+00')$$,
        '(22023,"issued_at is after event_at","The points are credited at 2024-01-01 00:00:00+00 and would have been issued at 2024-01-01 00:00:00.000001+00.",'
        || '"Give when the points were first issued, or leave it out.")', 'issued after they were imported'),
    (3, $$select import('p', 'cat', 1, expires_at => '2024-01-01', event_at => '2024-01-01')$$,
        '(22023,"points would lapse by the time they become available","They would be available from 2024-01-01 00:00:00+00 and lapse at 2024-01-01 00:00:00+00.",'
        || '"Give an earlier available_at or a longer expiry policy.")', 'lapsed when they were imported'),
    (4, $$select import('p', 'cat', 1, event_at => '2024-01-01', issued_at => '2020-01-01')$$,
        '(22023,"points would lapse by the time they become available","They would be available from 2024-01-01 00:00:00+00 and lapse at 2021-01-31 16:00:00+00.",'
        || '"Give an earlier available_at or a longer expiry policy.")', 'by their policy'),
    (5, $$select import('p', 'cat', 1, expires_at => '-infinity')$$, '(22023,"expires_at must not be -infinity","Points cannot have lapsed for ever.","Give an instant, or infinity for points that never lapse.")', 'lapsed since ever'))
    v (n, statement, refusal, reason) order by n;
select is((select row(r.state, r.message)::text from pg_temp.refusal(statement) r), refusal, statement)
from (values
    (1, $$select import('p', 'cat', 0)$$, '(22023,"amount must be more than zero")'),
    (2, $$select import('p', 'cat', -1)$$, '(22023,"amount must be more than zero")'),
    (3, $$select import('p', 'cat', null)$$, '(22004,"amount must not be null")'),
    (4, $$select import('p', 'cat', 1, issued_at => '-infinity')$$, '(22023,"issued_at must be finite")'),
    (5, $$select import('p', 'cat', 1, issued_at => 'infinity')$$, '(22023,"issued_at must be finite")'),
    (6, $$select import('p', 'cat', 1, qualifying => -1)$$, '(22023,"qualifying must not be negative")'),
    (7, $$select import('p', 'cat', 1, revenue => 'NaN')$$, '(22023,"revenue must be finite")'),
    (8, $$select import('p', 'cat', 1, expiry => 'on 2023-12-31', event_at => '2024-01-01')$$, '(22023,"points would lapse by the time they become available")'),
    (9, $$select import('p', 'cat', 1, event_at => '2024-01-02', available_at => '2024-01-01')$$, '(22023,"available_at is before event_at")')) v (n, statement, refusal) order by n;
select throws_ok($$select account_id('p', 'cat')$$, 'JF003', null, 'no account is opened for what is refused');

-- ---------- points that lapse by inactivity ----------

do $$
begin
    perform import('p', 'ida', 10, event_at => '2024-06-01', issued_at => '2023-12-01', expiry => '2 years or 12 months inactive');
    perform import('p', 'ida', 5, '2024-08-01', event_at => '2024-06-01');
    perform redeem('p', 'ida', 1, event_at => '2024-07-01');
end
$$;
select is(array[pg_temp.holds('p', 'ida', '2025-07-01'), pg_temp.holds('p', 'ida', '2025-07-02')],
    array['14 | 10 | 0 | 4', '14 | 0 | 0 | 14'], 'an import may lapse by inactivity');
select is((select row(l.rule_no, l.counts_from, l.expiry)::text from lot l where l.account_id = account_id('p', 'ida') and l.seq = 1),
    '(1,"2023-12-01 00:00:00+00","2 years or 12 months inactive")', 'with its terms from when the points were issued');

-- ---------- tiers, reversal, and on it goes ----------

do $$
begin
    perform create_tier('p', 'gold', 'Gold', 100);
    perform import('p', 'dan', 500, event_at => '2024-06-01');
    perform import('p', 'eve', 50, event_at => '2024-06-01', qualifying => 100);
end
$$;
select is(array(select coalesce(tier_for('p', m, '2024-07-01'), 'none') from unnest(array['dan', 'eve']) m), array['none', 'gold'], 'qualifying points count as stated');
select is((reverse('p', 'eve', 1, 25, event_at => '2024-06-02')).qualifying, '-50'::point_amount, 'and are undone in proportion');
select is((reverse('p', 'dan', 1, event_at => '2024-06-02')).balance, 0::point_amount, 'an import is undone as an earn is');
select is((import('p', 'dan', 9223372036854775807, event_at => '2024-06-03')).seq, 3::bigint, 'as many as there can be');
select throws_ok($$select import('p', 'dan', 1, event_at => '2024-06-03')$$, '22003', 'balance out of range', 'and no more');

-- A whole table of them.
create temp table old_balance (member text, points point_amount, lapses_at timestamptz);
insert into old_balance select 'old ' || k % 10, k, '2030-01-01'::timestamptz + k * interval '1 day' from generate_series(1, 100) k;
select is((select count(*)::int from old_balance o, import('p', o.member, o.points, o.lapses_at, event_at => '2024-06-01') i where i.expires_at = o.lapses_at), 100,
    'import() over a table of lots');
select is((select sum(b.balance) from generate_series(0, 9) k, balance('p', 'old ' || k) b), 5050::point_amount, 'comes to what it came to');
select is((select b.next_expiring from balance('p', 'old 3') b), 3::point_amount, 'lot by lot');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
