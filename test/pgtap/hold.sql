-- Holds: points reserved for a purchase in progress, then captured, released or overdue, and what of them has lapsed meanwhile.
-- Deadlines pass while this runs: each statement commits, and what was written goes with the extension at the end.
set search_path = jifen, public;
set timezone = 'UTC';
set client_min_messages = warning;
select plan(115);
\ir books.psql

do $$
begin
    perform create_program('p', auto_open => true);
    perform open_account('p', 'nobody');
end
$$;

-- ---------- a hold takes as a redemption does, and keeps ----------

do $$
begin
    perform earn('p', 'ann', 10, event_at => now() - interval '10 days', expiry => '40 days');
    perform earn('p', 'ann', 20, event_at => now() - interval '10 days', expiry => '50 days');
    perform earn('p', 'ann', 30, event_at => now() - interval '10 days');
end
$$;
select is((select row(e.seq, e.kind, e.amount, e.held, e.debt, e.balance, now() - e.event_at, e.posted_at = now(), e.expires_at, e.available_at, e.until - now(),
            e.issued_at, e.reverses_seq, e.hold_seq, e.debt_seq, e.counter_account_id, e.counter_seq, e.qualifying, e.source, e.reference,
            e.reason, e.idempotency_key, e.expiry, e.revenue, e.details)::text
        from hold('p', 'ann', 25, now() + interval '1 hour', 'ORD-1', 'key', now() - interval '1 day', '{"till": 7}') e),
    '(4,hold,0,25,0,60,"1 day",t,,,01:00:00,,,,,,,,,ORD-1,,key,,,"{""till"": 7}")',
    'a hold changes the held points and not the balance');
select is(pg_temp.allocations('p', 'ann', 4), array['lot 1: 10', 'lot 2: 15'], 'it takes from lots in spending order');
select is(pg_temp.lots('p', 'ann'), array['lot 2: 5', 'lot 3: 30'], 'and leaves the rest');
select is(pg_temp.open_holds('p', 'ann'), array['4: 25'], 'it is open');
select is(pg_temp.owns('p', 'ann'), '60 = 35 + 0 + 25 + 0 - 0', 'held points are owed and not available');
select is(pg_temp.owns('p', 'ann', now() - interval '2 days'), '60 = 60 + 0 + 0 + 0 - 0', 'before the hold they were');
select is((select row(a.balance, a.held, a.debt, a.last_seq, last_activity_at(a) = e.event_at)::text
        from account a join entry e using (account_id) where e.kind = 'hold'), '(60,25,0,4,t)', 'a hold is activity of the member');
select throws_ok($$select redeem('p', 'ann', 36)$$, 'JF001', 'insufficient points', 'what is held is not spent');
select is((select r.detail from pg_temp.refusal($$select hold('p', 'ann', 36, now() + interval '1 hour')$$) r),
    'Account "ann" of program "p" was asked for 36 points; 35 are available, 0 pending, 25 held and 0 lapsed.', 'nor held twice');
select is((hold('p', 'ann', 35, now() + interval '1 hour')).seq, 5::bigint, 'the rest can be held');
select is(pg_temp.owns('p', 'ann'), '60 = 0 + 0 + 60 + 0 - 0', 'down to nothing');
select throws_ok($$select hold('p', 'ann', 1, now() + interval '1 hour')$$, 'JF001', 'insufficient points', 'and no further');

-- ---------- capture ----------

select is((select row(e.seq, e.kind, e.amount, e.held, e.debt, e.balance, e.event_at = now(), e.until, e.hold_seq, e.reverses_seq, e.reference, e.details)::text
        from capture('p', 'ann', 4, 18, 'ORD-1', details => '{"till": 8}') e),
    '(6,capture,-18,-18,0,42,t,,4,,ORD-1,"{""till"": 8}")', 'a capture returns its entry, which names the hold');
select is(pg_temp.journal('p', 'ann', 6), array['6 capture -18 held -18 = 42 of 4', '7 release 0 held -7 = 42 of 4'],
    'the rest of the hold is released in the same call');
select is(pg_temp.allocations('p', 'ann', 6) || pg_temp.allocations('p', 'ann', 7), array['lot 2: -7'],
    'the capture keeps the first of the hold''s lots, the last go back');
select is(pg_temp.lots('p', 'ann'), array['lot 2: 7'], 'to where they were');
select is(pg_temp.open_holds('p', 'ann'), array['5: 35'], 'the hold has ended');
select is((select last_activity_at(a) = e.event_at from account a join entry e using (account_id) where e.kind = 'capture'), true, 'a capture is activity');
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal($$select capture('p', 'ann', 4)$$) r),
    '(JF007,"no such hold or hold ended","Account ""ann"" of program ""p"" has no open hold 4.",'
    || '"A hold ends with its capture, its release or its deadline; statement() shows which.")',
    'a hold is captured once');
select throws_ok(statement, 'JF007', 'no such hold or hold ended', reason)
from (values
    (1, $$select release('p', 'ann', 4)$$, 'nor released after that'),
    (2, $$select capture('p', 'nobody', 5)$$, 'another member''s hold is none'),
    (3, $$select release('p', 'nobody', 5)$$, 'to release either'),
    (4, $$select capture('p', 'ann', 1)$$, 'an earn is none'),
    (5, $$select capture('p', 'ann', 6)$$, 'nor is a capture'),
    (6, $$select release('p', 'ann', 99)$$, 'nor an entry to come'),
    (7, $$select capture('p', 'ann', 0)$$, 'nor zero'),
    (8, $$select release('p', 'ann', -5)$$, 'nor a negative number')) v (n, statement, reason) order by n;
select is((select row(r.state, r.message, r.detail)::text from pg_temp.refusal($$select capture('p', 'ann', 5, 36)$$) r),
    '(JF001,"insufficient points","Hold 5 of account ""ann"" of program ""p"" is of 35 points; 36 were to be captured.")',
    'more than is held cannot be captured');
select throws_ok($$select capture('p', 'ann', 5, 36, event_at => now() - interval '1 year')$$, '22023', 'event_at is before the hold',
    'nor before the hold happened');
select throws_ok($$select release('p', 'ann', 5, event_at => now() - interval '1 year')$$, '22023', 'event_at is before the hold', 'or released before it');
select throws_ok($$select capture('p', 'ann', 4, event_at => now() - interval '1 year')$$, 'JF007', 'no such hold or hold ended', 'if it is open at all');
select is((capture('p', 'ann', 5)).amount, '-35'::point_amount, 'without an amount all of it is captured');
select is(pg_temp.journal('p', 'ann', 8), array['8 capture -35 held -35 = 7 of 5'], 'and nothing is released');
select is(pg_temp.owns('p', 'ann'), '7 = 7 + 0 + 0 + 0 - 0', 'what remains');

-- Whatever the size, a capture keeps what a redemption of its amount would have taken.
do $$
declare
    held bigint;
begin
    for k in 1 .. 40 loop
        perform earn('p', m, 10, event_at => now() - interval '1 day', expiry => format('%s days', 100 + k)::expiry_policy)
        from unnest(array['held', 'spent']) m;
    end loop;
    held := (hold('p', 'held', 385, now() + interval '1 hour')).seq;
    perform capture('p', 'held', held, 123);
    perform redeem('p', 'spent', 123);
end
$$;
select is(pg_temp.lots('p', 'held'), pg_temp.lots('p', 'spent'), 'of a hold over 39 lots, a third captured');

-- ---------- release ----------

do $$
begin
    perform earn('p', 'bob', 10, event_at => now() - interval '10 days', expiry => '40 days');
    perform earn('p', 'bob', 20, event_at => now() - interval '10 days');
    perform hold('p', 'bob', 15, now() + interval '1 hour', event_at => now() - interval '3 days');
end
$$;
select is((select row(e.seq, e.kind, e.amount, e.held, e.balance, e.event_at = now(), e.hold_seq, e.reason, e.details)::text
        from release('p', 'bob', 3, 'out of stock', details => '{"till": 9}') e),
    '(4,release,0,-15,30,t,3,"out of stock","{""till"": 9}")', 'a release returns its entry');
select is(pg_temp.allocations('p', 'bob', 4), array['lot 1: -10', 'lot 2: -5'], 'all goes back to where it came from');
select is(pg_temp.owns('p', 'bob'), '30 = 30 + 0 + 0 + 0 - 0', 'and is available');
select is((select last_activity_at(a) = e.event_at from account a join entry e using (account_id)
        where a.account_id = account_id('p', 'bob') and e.kind = 'hold'), true, 'a release is no activity');
select throws_ok($$select release('p', 'bob', 3)$$, 'JF007', 'no such hold or hold ended', 'a hold is released once');
select throws_ok($$select capture('p', 'bob', 3)$$, 'JF007', 'no such hold or hold ended', 'and not captured after that');
select is((hold('p', 'bob', 30, now() + interval '1 hour')).seq, 5::bigint, 'its points can be held again');
select is((capture('p', 'bob', 5, 1)).balance, 29::point_amount, 'a point captured');
select is(pg_temp.lots('p', 'bob'), array['lot 1: 9', 'lot 2: 20'], 'of the first lot');

-- ---------- held points do not lapse; released ones do ----------

do $$
declare
    member text;
begin
    -- lots 1 and 2 lapse together on 2 February, lot 3 on 3 March, lot 4 never
    foreach member in array array['cat', 'dot', 'edge', 'eve', 'part'] loop
        perform earn('p', member, 10, event_at => '2024-01-01', expiry => '1 month');
        perform earn('p', member, 5, event_at => '2024-01-01', expiry => '1 month');
        perform earn('p', member, 20, event_at => '2024-01-02', expiry => '2 months');
        perform earn('p', member, 40, event_at => '2024-01-02');
        perform hold('p', member, 40, now() + interval '1 hour', event_at => '2024-01-10');  -- 10 + 5 + 20 + 5
    end loop;
end
$$;
select is((select row(e.accounts, e.points)::text from expire_batch('p') e), '(0,0)', 'what is held is not booked as lapsed');
select is(pg_temp.owns('p', 'cat'), '75 = 35 + 0 + 40 + 0 - 0', 'nor does it count so');
select is(pg_temp.owns('p', 'cat', now() + interval '59 minutes'), '75 = 35 + 0 + 40 + 0 - 0', 'until the deadline');
select is(pg_temp.owns('p', 'cat', (select h.until from hold h where h.account_id = account_id('p', 'cat'))), '75 = 40 + 0 + 0 + 35 - 0',
    'in whose instant it counts as released, and what is past its time as lapsed');

select is((capture('p', 'cat', 5)).balance, 35::point_amount, 'what would have lapsed long ago can be captured');
select is(pg_temp.lots('p', 'cat'), array['lot 4: 35'], 'and nothing lapses');
select is((select (release('p', 'dot', 5, event_at => '2024-02-01 23:59:59.999999+00')).seq), 6::bigint, 'released in the last microsecond of two lots');
select is(pg_temp.lots('p', 'dot'), array['lot 1: 10', 'lot 2: 5', 'lot 3: 20', 'lot 4: 40'], 'all are back');
select is((select (release('p', 'edge', 5, event_at => '2024-02-02')).seq), 6::bigint, 'released in the instant in which they lapse');
select is(pg_temp.journal('p', 'edge', 6), array['6 release 0 held -40 = 75 of 5', '7 expire -15 = 60'], 'they lapse at once, in one entry');
select is(pg_temp.entries_at('p', 'edge', 6), array['6 release 0 = 75 at 2024-02-02 00:00', '7 expire -15 = 60 at 2024-02-02 00:00'], 'dated so');
select is(pg_temp.allocations('p', 'edge', 7), array['lot 1: 10', 'lot 2: 5'], 'of both lots');
select is(pg_temp.lots('p', 'edge'), array['lot 3: 20', 'lot 4: 40'], 'and the others are back');
select is((select (release('p', 'eve', 5)).seq), 6::bigint, 'released when three have lapsed');
select is(pg_temp.journal('p', 'eve', 6), array['6 release 0 held -40 = 75 of 5', '7 expire -15 = 60', '8 expire -20 = 40'],
    'an entry for each instant at which they did');
select is((capture('p', 'part', 5, 12)).balance, 63::point_amount, 'captured in part');
select is(pg_temp.journal('p', 'part', 6), array['6 capture -12 held -12 = 63 of 5', '7 release 0 held -28 = 63 of 5', '8 expire -3 = 60', '9 expire -20 = 40'],
    'the rest lapses likewise');
select is(pg_temp.allocations('p', 'part', 8), array['lot 2: 3'], 'as far as it is not captured');
select is((select row(e.accounts, e.points)::text from expire_batch('p', '2024-02-15') e), '(1,15)', 'what came back in time lapses in its own');
select is(pg_temp.entries_at('p', 'dot', 7), array['7 expire -15 = 60 at 2024-02-02 00:00'], 'and is booked so');

-- ---------- what a deadline must be ----------

select throws_ok($$select hold('p', 'bob', 1, now())$$, '22023', null, 'a deadline lies ahead');
select lives_ok($$select hold('p', 'bob', 1, now() + interval '1 microsecond')$$, 'if only by a microsecond');
select throws_ok($$select hold('p', 'bob', 1, '2024-02-01', event_at => '2024-01-01')$$, '22023', null, 'for a back-dated hold too');
select throws_ok($$select hold('p', 'bob', 1, now() + interval '1 minute', event_at => now() + interval '1 minute')$$, '22023', 'until is not after event_at',
    'and after the hold');
select throws_ok($$select hold('p', 'bob', 1, 'infinity')$$, '22023', 'until must be finite', 'at a known instant');

-- ---------- overdue at what happens later ----------

set jifen.clock_tolerance = '2h';
do $$
begin
    perform earn('p', 'fay', 100);
    perform hold('p', 'fay', 30, now() + interval '20 minutes');  -- 2
    perform hold('p', 'fay', 20, now() + interval '10 minutes');  -- 3
    perform hold('p', 'fay', 10, now() + interval '20 minutes');  -- 4
    perform hold('p', 'fay', 5, now() + interval '60 minutes');   -- 5
end
$$;
select is(pg_temp.owns('p', 'fay', h.until - interval '1 microsecond'), '100 = 35 + 0 + 65 + 0 - 0', 'a microsecond before the first deadline')
from hold h where h.account_id = account_id('p', 'fay') and h.seq = 3;
select is(pg_temp.owns('p', 'fay', h.until), '100 = 55 + 0 + 45 + 0 - 0', 'in the first deadline')
from hold h where h.account_id = account_id('p', 'fay') and h.seq = 3;
select is(pg_temp.owns('p', 'fay', now() + interval '30 minutes'), '100 = 95 + 0 + 5 + 0 - 0', 'after three of them');
select throws_ok($$select capture('p', 'fay', 3, event_at => now() + interval '15 minutes')$$, 'JF007', 'no such hold or hold ended',
    'after its deadline a hold cannot be captured');
select throws_ok($$select release('p', 'fay', 3, event_at => now() + interval '15 minutes')$$, 'JF007', 'no such hold or hold ended', 'nor released');
select is((select row(r.state, r.detail)::text from pg_temp.refusal($$select redeem('p', 'fay', 96, event_at => now() + interval '30 minutes')$$) r),
    '(JF001,"Account ""fay"" of program ""p"" was asked for 96 points; 95 are available, 0 pending, 5 held and 0 lapsed.")',
    'a refusal counts as balance() does');
select is((select last_seq from account where account_id = account_id('p', 'fay')), 5::bigint, 'and books nothing of what was due');
select is((redeem('p', 'fay', 90, event_at => now() + interval '30 minutes')).seq, 9::bigint, 'what was held is spent');
select is(pg_temp.journal('p', 'fay', 6),
    array['6 release 0 held -20 = 100 of 3', '7 release 0 held -30 = 100 of 2', '8 release 0 held -10 = 100 of 4', '9 redeem -90 = 10'],
    'once the releases are booked, by their deadlines, then by their numbers');
select is(array(select r.event_at = h.until from entry r join entry h on h.account_id = r.account_id and h.seq = r.hold_seq
        where r.account_id = account_id('p', 'fay') and r.kind = 'release'), array[true, true, true], 'each at its deadline');
select is(pg_temp.open_holds('p', 'fay'), array['5: 5'], 'what is not overdue is still held');
select is((capture('p', 'fay', 5, 5, event_at => now() + interval '40 minutes')).balance, 5::point_amount, 'and can be captured');
reset jifen.clock_tolerance;

-- ---------- overdue now ----------

create temp table deadline as select clock_timestamp() + interval '1 second' as until;
do $$
declare
    deadline timestamptz := (select d.until from deadline d);
begin
    perform create_program('q', auto_open => true);
    perform earn('q', m, 50) from unnest(array['a', 'b', 'c', 'd', 'e']) m;
    perform hold('q', m, 30, deadline), hold('q', m, 5, deadline) from unnest(array['a', 'b', 'c', 'd', 'e']) m;
    perform hold('q', 'a', 1, now() + interval '1 hour');
    perform freeze_account('q', 'e', 'test');

    perform earn('p', 'gil', 10, event_at => '2024-01-01', expiry => '1 month');
    perform earn('p', 'gil', 40, event_at => '2024-01-01');
    perform hold('p', 'gil', 30, deadline, event_at => '2024-01-10');
    perform earn('p', 'hal', 10, event_at => '2024-01-01', expiry => '1 month');
    perform hold('p', 'hal', 10, deadline, event_at => '2024-01-10');
    perform earn('p', 'ivy', 10, event_at => '2024-01-01', expiry => '1 month');
    perform hold('p', 'ivy', 10, now() + interval '1 hour', event_at => '2024-01-10');
    perform earn('p', 'jo', 10, expiry => '1 day');
    perform hold('p', 'jo', 8, deadline);
    -- its lot lapses in the very instant of the deadline
    perform import('p', 'kim', 10, deadline);
    perform hold('p', 'kim', 4, deadline);
end
$$;
select is((select row(b.accounts, b.holds, b.points, b.more)::text from release_batch() b), '(1,1,1,f)', 'what is not overdue is not released, but for one of before');
select pg_sleep_until(until + interval '10 milliseconds') from deadline;

select is(pg_temp.owns('p', 'gil'), '50 = 40 + 0 + 0 + 10 - 0', 'past its deadline a hold counts as released though nothing is booked');
select is((select a.held from account a where a.account_id = account_id('p', 'gil')), 30::point_amount, 'as it is not');
select is(pg_temp.owns('p', 'gil', until - interval '1 microsecond'), '50 = 20 + 0 + 30 + 0 - 0', 'before its deadline it was held') from deadline;
select throws_ok($$select capture('p', 'gil', 3)$$, 'JF007', 'no such hold or hold ended', 'it cannot be captured');
select throws_ok($$select capture('p', 'gil', 3, event_at => '2024-01-11')$$, 'JF007', 'no such hold or hold ended',
    'nor as of a time at which it was held: the deadline is one of the clock');
select throws_ok($$select release('p', 'gil', 3)$$, 'JF007', 'no such hold or hold ended', 'nor released');
select is(expiring('p', 'jo', now() + interval '3 days'), 10::point_amount, 'released points lapse as others do');
select is((select b.next_expiring from balance('p', 'jo') b), 10::point_amount, 'and are told so');
select is(pg_temp.owns('p', 'kim'), '10 = 0 + 0 + 0 + 10 - 0', 'a lot that lapses in the instant of the deadline has lapsed');

select is((redeem('p', 'gil', 35)).balance, 5::point_amount, 'a redemption books the release first');
select is(pg_temp.journal('p', 'gil', 4), array['4 release 0 held -30 = 50 of 3', '5 expire -10 = 40', '6 redeem -35 = 5'],
    'with what has lapsed of it');
select is(array(select e.event_at = d.until from entry e, deadline d where e.account_id = account_id('p', 'gil') and e.seq in (4, 5)), array[true, true],
    'both at the deadline');
select is((select row(b.accounts, b.holds, b.points, b.more)::text from release_batch('p') b), '(3,3,22,f)', 'release_batch() books what is left of the program');
select is(pg_temp.journal('p', 'kim', 3), array['3 release 0 held -4 = 10 of 2', '4 expire -4 = 6'], 'what goes to a lot that lapses at the deadline lapses');
select is((select row(b.accounts, b.holds, b.points, b.more)::text from release_batch('p') b), '(0,0,0,f)', 'once');
select is((select status::text from close_account('p', 'hal', 'moved')), 'closed', 'an account whose released points have lapsed can be closed');
select is(pg_temp.journal('p', 'hal', 3), array['3 release 0 held -10 = 10 of 2', '4 expire -10 = 0'], 'it is empty');
select throws_ok($$select close_account('p', 'ivy', 'moved')$$, '55000', null, 'one with a hold cannot');
select is((select (release('p', 'ivy', 2)).seq), 3::bigint, 'until that is released');
select is((select status::text from close_account('p', 'ivy', 'moved')), 'closed', 'whose points have lapsed');

select is((select row(b.accounts, b.holds, b.points, b.more)::text from release_batch('q', until - interval '1 microsecond') b), '(0,0,0,f)',
    'as_of tells which deadlines count') from deadline;
select is((select row(b.accounts, b.holds, b.points, b.more)::text from release_batch('q', max_accounts => 2) b), '(2,4,70,t)', 'a batch of two accounts');
select is((select row(b.accounts, b.holds, b.points, b.more)::text from release_batch(max_accounts => 2) b), '(2,4,70,t)', 'of all programs');
call run_release('q');
call run_expiry('q');
call run_release('q');
select is(array(select row(r.job, r.program, r.batches, r.accounts, r.lots, r.holds, r.points, r.error, r.ended_at is not null)::text from job_run r order by r.job_run_id),
    array['(release,q,1,1,0,2,35,,t)', '(expire,q,1,0,0,0,0,,t)', '(release,q,1,0,0,0,0,,t)'],
    'the job goes on, a frozen account included, and is on record; it and that of expiry may run in one session');
select is(pg_temp.open_holds('q', m), case m when 'a' then array['4: 1'] else '{}' end, format('%s: what is still held', m))
from unnest(array['a', 'b', 'e']) m;
select is((select (earn('p', 'nobody', 3)).seq), 1::bigint, 'an account without holds is as ever');

-- close_account() books what is due itself.
create temp table second as select clock_timestamp() + interval '500 milliseconds' as until;
do $$
begin
    perform earn('p', 'lou', 10, event_at => '2024-01-01', expiry => '1 month');
    perform hold('p', 'lou', 10, (select s.until from second s), event_at => '2024-01-10');
    perform earn('p', 'max', 10);
    perform hold('p', 'max', 10, (select s.until from second s));
end
$$;
select pg_sleep_until(until + interval '10 milliseconds') from second;
select throws_ok($$select close_account('p', 'max', 'moved')$$, '55000', null, 'what comes back and has not lapsed is in the way of closing');
select is(pg_temp.journal('p', 'max', 3), array[]::text[], 'and the refusal books nothing');
select is((select status::text from close_account('p', 'lou', 'moved')), 'closed', 'what comes back and has lapsed is not');
select is(pg_temp.journal('p', 'lou', 3), array['3 release 0 held -10 = 10 of 2', '4 expire -10 = 0'], 'once booked');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
drop extension jifen cascade;
create extension jifen;
