-- Postings that say they happened before others: what they may take, and that booked expiry does not stand in their way.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(123);
\ir books.psql

do $$
begin
    perform create_program('p', auto_open => true);
end
$$;

-- ---------- what was there then ----------

do $$
begin
    perform earn('p', 'ann', 10, event_at => '2024-01-10', expiry => '6 months');
    perform earn('p', 'ann', 20, event_at => '2024-01-10', available_at => '2024-01-15', expiry => '2 months');
    perform earn('p', 'ann', 30, event_at => '2024-01-20', expiry => '3 months');
end
$$;
select throws_ok($$select redeem('p', 'ann', 1, event_at => '2024-01-09 23:59:59.999999+00')$$, 'JF001', 'insufficient points',
    'before the first credit there is nothing to redeem');
select throws_ok($$select redeem('p', 'ann', 11, event_at => '2024-01-14')$$, 'JF001', 'insufficient points',
    'after it no more than that');
select is((redeem('p', 'ann', 3, event_at => '2024-01-14')).balance, 57::point_amount, 'a redemption of that time');
select is(pg_temp.allocations('p', 'ann', 4), array['lot 1: 3'], 'takes what was spendable');
select is((redeem('p', 'ann', 22, event_at => '2024-01-15')).balance, 35::point_amount, 'one of a day later');
select is(pg_temp.allocations('p', 'ann', 5), array['lot 2: 20', 'lot 1: 2'], 'also what had become available, in spending order');
select throws_ok($$select redeem('p', 'ann', 6, event_at => '2024-01-19 23:59:59.999999+00')$$, 'JF001', 'insufficient points',
    'and nothing of the credit of 20 January');
select is((redeem('p', 'ann', 6, event_at => '2024-01-20')).balance, 29::point_amount, 'until that day');
select is(pg_temp.allocations('p', 'ann', 6), array['lot 3: 6'], 'which comes before the first then');
select is((redeem('p', 'ann', 5, event_at => '2024-01-12')).seq, 7::bigint, 'what is left of the first');
select is(pg_temp.allocations('p', 'ann', 7), array['lot 1: 5'], 'can be spent on any day of its own');
select is((select row(last_activity_at(a), a.last_event_at) from account a where a.account_id = account_id('p', 'ann')),
    row('2024-01-20 00:00+00'::timestamptz, '2024-01-20 00:00+00'::timestamptz), 'the account''s latest times stay');
select is(pg_temp.entries_at('p', 'ann', 4),
    array['4 redeem -3 = 57 at 2024-01-14 00:00', '5 redeem -22 = 35 at 2024-01-15 00:00', '6 redeem -6 = 29 at 2024-01-20 00:00',
        '7 redeem -5 = 24 at 2024-01-12 00:00'],
    'entries are numbered, and their balance runs, as they were booked');

-- ---------- and has not been taken since ----------

do $$
begin
    perform earn('p', 'bob', 10, event_at => '2024-01-01');
    perform redeem('p', 'bob', 8, event_at => '2024-01-20');
end
$$;
select throws_ok($$select redeem('p', 'bob', 3, event_at => '2024-01-10')$$, 'JF001', 'insufficient points',
    'what was spent later is gone');
select is((redeem('p', 'bob', 2, event_at => '2024-01-10')).balance, 0::point_amount, 'what was left can be taken');

do $$
begin
    perform earn('p', 'cat', 10, event_at => '2024-01-01');
    perform redeem('p', 'cat', 6, event_at => '2024-01-10');
    perform reverse('p', 'cat', 2, 2, event_at => '2024-01-20');
    perform reverse('p', 'cat', 2, 4, event_at => '2024-01-25');
end
$$;
-- left: 10 to 10 January, 4 to the 20th, 6 to the 25th, 10 from then on
select is((balance('p', 'cat')).available, 10::point_amount, 'all that was spent has been returned');
select throws_ok(format('select redeem(%L, %L, %s, event_at => %L)', 'p', 'cat', most + 1, event_at), 'JF001', 'insufficient points',
    format('%s: not what was away then or later', event_at))
from (values (1, '2024-01-05', 4), (2, '2024-01-10', 4), (3, '2024-01-19 23:59:59.999999', 4), (4, '2024-01-20', 6), (5, '2024-01-24', 6),
    (6, '2024-01-25', 10)) v (n, event_at, most) order by n;
select is((redeem('p', 'cat', 4, event_at => '2024-01-25')).seq, 5::bigint, 'once 4 of the 10 are spent');
select is((redeem('p', 'cat', 2, event_at => '2024-01-24')).seq, 6::bigint, 'and 2 of what was there before');
select is((redeem('p', 'cat', 4, event_at => '2024-01-05')).balance, 0::point_amount, 'the 4 that were there throughout remain');
select is(array(select pg_temp.holds('p', 'cat', t) from unnest(array['2024-01-04', '2024-01-05', '2024-01-10', '2024-01-20', '2024-01-24',
            '2024-01-25']::timestamptz[]) t),
    array['10 | 10 | 0 | 0', '6 | 6 | 0 | 0', '0 | 0 | 0 | 0', '2 | 2 | 0 | 0', '0 | 0 | 0 | 0', '0 | 0 | 0 | 0'],
    'at no time there was less than nothing');

do $$
begin
    perform earn('p', 'dot', 10, event_at => '2024-01-01');
    perform earn('p', 'dot', 10, event_at => '2024-01-02');
    perform reverse('p', 'dot', 1, 5, event_at => '2024-01-20');
end
$$;
select throws_ok($$select redeem('p', 'dot', 16, event_at => '2024-01-10')$$, 'JF001', 'insufficient points',
    'what a later reversal took is gone as well');
select is((reverse('p', 'dot', 2, 8, event_at => '2024-01-10')).seq, 4::bigint, 'a back-dated reversal');
select is(pg_temp.allocations('p', 'dot', 4), array['lot 2: 8'], 'takes from the credit''s own lot');
select is((reverse('p', 'dot', 1, 5, event_at => '2024-01-01')).seq, 5::bigint, 'another, from before the second credit');
select throws_ok($$select reverse('p', 'dot', 1, 1, event_at => '2024-01-10')$$, 'JF006', 'more reversed than was posted', 'ends the first');
select is(pg_temp.lots('p', 'dot'), array['lot 2: 2'], 'what remains');

do $$
begin
    perform earn('p', 'eli', 10, event_at => '2024-01-01');
    perform redeem('p', 'eli', 10, event_at => '2024-01-10');
    perform reverse('p', 'eli', 2, event_at => '2024-01-20');
end
$$;
select throws_ok($$select reverse('p', 'eli', 1, event_at => '2024-01-15')$$, 'JF001', 'insufficient points',
    'a credit cannot be taken back on a day on which it was spent');
select is((reverse('p', 'eli', 1, event_at => '2024-01-20')).balance, 0::point_amount, 'only when it has been returned');

-- ---------- a credit booked late ----------

do $$
begin
    perform earn('p', 'fay', 10, event_at => '2024-01-10', expiry => '2 months');
    perform redeem('p', 'fay', 4, event_at => '2024-01-12');
    perform earn('p', 'fay', 5, event_at => '2024-01-05', expiry => '1 month');
end
$$;
select is(pg_temp.lots('p', 'fay'), array['lot 3: 5', 'lot 1: 6'], 'does not change what was spent meanwhile');
select is(pg_temp.holds('p', 'fay', '2024-01-11'), '15 | 15 | 0 | 0', 'and counts from its own day');
select is((redeem('p', 'fay', 5, event_at => '2024-01-08')).balance, 6::point_amount, 'on which it can be spent');
select is((earn('p', 'fay', 7, event_at => '2023-01-05', expiry => '1 month')).balance, 13::point_amount, 'one that lapsed a year ago');
select is(pg_temp.holds('p', 'fay', '2024-01-12'), '13 | 6 | 0 | 7', 'is not spendable');
select throws_ok($$select redeem('p', 'fay', 7, event_at => '2024-01-12')$$, 'JF001', 'insufficient points', 'now');
select is((redeem('p', 'fay', 2, event_at => '2023-02-05 23:59:59.999999+00')).seq, 6::bigint, 'but was then');

-- ---------- booked expiry ----------

do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform create_program(code, auto_open => true);
        perform earn(code, 'm', 10, event_at => '2024-01-01', expiry => '1 month');   -- lapses on 2 February
        perform earn(code, 'm', 20, event_at => '2024-01-01', expiry => '1 month');   -- the same
        perform earn(code, 'm', 30, event_at => '2024-01-01', expiry => '2 months');  -- 2 March
        perform earn(code, 'm', 40, event_at => '2024-01-01', expiry => '3 months');  -- 2 April
    end loop;
    perform expire_batch('booked', '2024-03-10');
end
$$;
select is(pg_temp.entries_at('booked', 'm', 5), array['5 expire -30 = 70 at 2024-02-02 00:00', '6 expire -30 = 40 at 2024-03-02 00:00'],
    'the expiry of three of four lots is booked');
select is((redeem('booked', 'm', 12, 'A', event_at => '2024-02-01')).seq, 8::bigint, 'a redemption of a day before');
select is(pg_temp.entries_at('booked', 'm', 7), array['7 reinstate 12 = 52 at 2024-02-02 00:00', '8 redeem -12 = 40 at 2024-02-01 00:00'],
    'is given back, at the expiry''s time, what it takes');
select is((select e.reverses_seq from entry e where e.account_id = account_id('booked', 'm') and e.seq = 7), 5::bigint,
    'by an entry that names the expiry');
select is(pg_temp.allocations('booked', 'm', 7), array['lot 1: -10', 'lot 2: -2'], 'to the lots');
select is(pg_temp.allocations('booked', 'm', 8), array['lot 1: 10', 'lot 2: 2'], 'from which it takes');
select is(pg_temp.lots('booked', 'm'), array['lot 4: 40'], 'and no lot is open that was not');
select is((redeem('booked', 'm', 60, 'B', event_at => '2024-02-01')).seq, 11::bigint, 'a larger one of the same day');
select is(pg_temp.entries_at('booked', 'm', 9),
    array['9 reinstate 18 = 58 at 2024-02-02 00:00', '10 reinstate 30 = 88 at 2024-03-02 00:00', '11 redeem -60 = 28 at 2024-02-01 00:00'],
    'takes the rest of both expiries and goes on');
select is(pg_temp.allocations('booked', 'm', 11), array['lot 2: 18', 'lot 3: 30', 'lot 4: 12'], 'with what is open');
select throws_ok($$select redeem('booked', 'm', 29, event_at => '2024-02-01')$$, 'JF001', 'insufficient points', 'no more than that');
select is((select last_seq from account where account_id = account_id('booked', 'm')), 11::bigint, 'and a refusal reinstates nothing');
do $$
begin
    perform redeem('unbooked', 'm', 12, 'A', event_at => '2024-02-01');
    perform redeem('unbooked', 'm', 60, 'B', event_at => '2024-02-01');
end
$$;
select is(pg_temp.allocations('unbooked', 'm', 5) || pg_temp.allocations('unbooked', 'm', 6),
    pg_temp.allocations('booked', 'm', 8) || pg_temp.allocations('booked', 'm', 11), 'where nothing was booked, they take the same');
select is(pg_temp.entries('unbooked', 'm'), array['1 earn 10 = 10', '2 earn 20 = 30', '3 earn 30 = 60', '4 earn 40 = 100',
    '5 redeem -12 = 88', '6 redeem -60 = 28'], 'without reinstating anything');

-- At a lot's own instant nothing of it is given back.
do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform earn(code, 'edge', 10, event_at => '2024-01-01', expiry => '1 month');
        perform earn(code, 'edge', 5, event_at => '2024-01-01');
    end loop;
    perform expire_batch('booked', '2024-03-10');
end
$$;
select throws_ok(format('select redeem(%L, ''edge'', 6, event_at => ''2024-02-02 00:00+00'')', code), 'JF001', 'insufficient points',
    format('%s: not at the instant at which it lapsed', code)) from unnest(array['unbooked', 'booked']) code;
select lives_ok(format('select redeem(%L, ''edge'', 6, event_at => ''2024-02-01 23:59:59.999999+00'')', code),
    format('%s: but a microsecond before', code)) from unnest(array['unbooked', 'booked']) code;

-- Expired once when it lapsed, and once more when points came back to it.
do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform earn(code, 'twice', 10, event_at => '2024-01-01', expiry => '1 month');     -- lapses on 2 February
        perform redeem(code, 'twice', 6, event_at => '2024-01-10');
        perform earn(code, 'again', 10, event_at => '2024-01-01', expiry => '1 month');
        perform redeem(code, 'again', 6, event_at => '2024-01-10');
    end loop;
    perform expire_batch('booked', '2024-02-05');                  -- 4 of each
    foreach code in array array['unbooked', 'booked'] loop
        perform reverse(code, 'twice', 2, event_at => '2024-02-10');  -- 6 come back and lapse
        perform reverse(code, 'again', 2, event_at => '2024-02-10');
    end loop;
end
$$;
select throws_ok(format('select redeem(%L, ''twice'', 5, event_at => ''2024-01-05'')', code), 'JF001', 'insufficient points',
    format('%s: what was away from 10 January to its end cannot be spent before', code)) from unnest(array['unbooked', 'booked']) code;
select lives_ok(format('select redeem(%L, ''twice'', 4, event_at => ''2024-01-05'')', code),
    format('%s: what lapsed unspent can', code)) from unnest(array['unbooked', 'booked']) code;
select lives_ok(format('select reverse(%L, ''again'', 1, 5, event_at => ''2024-02-12'')', code),
    format('%s: the credit can be taken back from what lapsed of it', code)) from unnest(array['unbooked', 'booked']) code;
do $$begin perform expire_batch('unbooked', '2024-02-12'), expire_batch('booked', '2024-02-12'); end$$;
select is(array(select pg_temp.holds('booked', 'twice', t) from unnest(array['2024-01-01', '2024-01-05', '2024-01-10', '2024-02-02',
            '2024-02-10']::timestamptz[]) t),
    array['10 | 10 | 0 | 0', '6 | 6 | 0 | 0', '0 | 0 | 0 | 0', '0 | 0 | 0 | 0', '0 | 0 | 0 | 0'],
    'what lapses is reinstated where it lapsed first, so that there never was less than nothing');
select is(pg_temp.differences('unbooked', 'booked', m, '2024-01-01', '2024-03-20'), array[]::text[],
    format('%s: what there was at any time does not depend on what was booked when', m))
from unnest(array['m', 'edge', 'twice', 'again']) m;

-- ---------- holds ----------

do $$
begin
    perform earn('p', 'gil', 10, event_at => '2024-01-01');
    perform hold('p', 'gil', 10, '2999-01-01', event_at => '2024-01-10');
    perform release('p', 'gil', 2, event_at => '2024-01-20');
end
$$;
select is((balance('p', 'gil')).available, 10::point_amount, 'what was held and released is there');
select throws_ok(format('select %s, event_at => %L)', call, event_at), 'JF001', 'insufficient points', format('%s: not what was held then or later: %s)', event_at, call))
from unnest(array['redeem(''p'', ''gil'', 1', 'hold(''p'', ''gil'', 1, ''2999-01-01''', 'transfer(''p'', ''gil'', ''ann'', 1', 'adjust(''p'', ''gil'', -1, ''abuse''']) call,
    unnest(array['2024-01-05', '2024-01-10', '2024-01-19 23:59:59.999999']::timestamptz[]) event_at order by 1;
select is((hold('p', 'gil', 4, '2999-01-01', event_at => '2024-01-20')).seq, 4::bigint, 'from the release on');
select is((redeem('p', 'gil', 6, event_at => '2024-01-21')).seq, 5::bigint, 'with what is not held again');
select throws_ok($$select capture('p', 'gil', 4, event_at => '2024-01-19')$$, '22023', 'event_at is before the hold', 'a hold is not captured before it is held');
select is((capture('p', 'gil', 4, 3, event_at => '2024-01-20')).balance, 1::point_amount, 'in its instant it can be');
select throws_ok($$select redeem('p', 'gil', 1, event_at => '2024-01-19')$$, 'JF001', 'insufficient points', 'what is released then');
select is((redeem('p', 'gil', 1, event_at => '2024-01-20')).balance, 0::point_amount, 'can be spent then');
select is(array(select pg_temp.owns('p', 'gil', t) from unnest(array['2024-01-05', '2024-01-10', '2024-01-20', '2024-01-21']::timestamptz[]) t),
    array['10 = 10 + 0 + 0 + 0 - 0', '10 = 0 + 0 + 10 + 0 - 0', '6 = 6 + 0 + 0 + 0 - 0', '0 = 0 + 0 + 0 + 0 - 0'], 'at no time there was less than nothing');

do $$
begin
    perform earn('p', 'hal', 10, event_at => '2024-01-01', expiry => '1 month');   -- lapses on 2 February
    perform earn('p', 'hal', 5, event_at => '2024-01-01');
    perform expire_batch('p', '2024-02-10');
end
$$;
select throws_ok($$select hold('p', 'hal', 6, '2999-01-01', event_at => '2024-02-02')$$, 'JF001', 'insufficient points', 'what has lapsed is not held');
select is((hold('p', 'hal', 12, '2999-01-01', event_at => '2024-02-01 23:59:59.999999')).seq, 5::bigint, 'a microsecond before it could be');
select is(pg_temp.journal('p', 'hal', 3), array['3 expire -10 = 5', '4 reinstate 10 = 15 of 3', '5 hold 0 held 12 = 15'], 'what was booked as lapsed is given back to it');
select is(pg_temp.allocations('p', 'hal', 5), array['lot 1: 10', 'lot 2: 2'], 'in spending order');
select is((capture('p', 'hal', 5, 3, event_at => '2024-02-02')).balance, 12::point_amount, 'captured in part, when it has lapsed');
select is(pg_temp.journal('p', 'hal', 6), array['6 capture -3 held -3 = 12 of 5', '7 release 0 held -9 = 12 of 5', '8 expire -7 = 5'], 'the rest lapses again');
select is((reverse('p', 'hal', 6, event_at => '2024-02-03')).seq, 9::bigint, 'and what was captured, as it returns');
select is(pg_temp.journal('p', 'hal', 9), array['9 reverse 3 = 8 of 6', '10 expire -3 = 5'], 'in an entry of its own');
select throws_ok($$select redeem('p', 'hal', 6, event_at => '2024-01-31')$$, 'JF001', 'insufficient points', 'of what lapsed later than it was held nothing can be taken before');
select is((redeem('p', 'hal', 3, event_at => '2024-01-31')).balance, 2::point_amount, 'but what never was held');
select is(pg_temp.allocations('p', 'hal', 11), array['lot 2: 3'], 'of the other lot');

-- The deadline is one of the clock: what is overdue now is released, however early the posting.
set local jifen.clock_tolerance = '1h';
do $$
begin
    perform earn('p', 'ida', 10, event_at => '2024-01-01');
    perform hold('p', 'ida', 4, now() + interval '10 minutes', event_at => '2024-01-10');
    perform redeem('p', 'ida', 1, event_at => now() + interval '20 minutes');
    perform hold('p', 'ida', 4, now() + interval '10 minutes', event_at => '2024-01-10');
end
$$;
select is(pg_temp.journal('p', 'ida', 3), array['3 release 0 held -4 = 10 of 2', '4 redeem -1 = 9', '5 hold 0 held 4 = 9'], 'a hold ends when it is due');
select is((select e.event_at - now() from entry e where e.account_id = account_id('p', 'ida') and e.seq = 3), interval '10 minutes', 'and not when what releases it happens');
select throws_ok($$select redeem('p', 'ida', 6, event_at => '2024-01-05')$$, 'JF001', 'insufficient points', 'what was held twice is not there before');
select is((redeem('p', 'ida', 2, event_at => '2024-01-05')).balance, 7::point_amount, 'what was not is');
reset jifen.clock_tolerance;

-- ---------- reversals ----------

-- A redemption and an expiry undone, both after the fact: 40 of 100 are redeemed, 60 lapse, the 40 return and lapse, the 60 are extended.
do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform earn(code, 'extended', 100, event_at => '2024-01-01', expiry => '30 days');    -- lapses on 1 February
        perform redeem(code, 'extended', 40, event_at => '2024-01-10');
    end loop;
    perform expire_batch('booked', '2024-02-01');                                               -- 3: 60
    perform reverse('booked', 'extended', 2, event_at => '2024-03-01');                         -- 4, and 5 expires 40
    perform reverse('booked', 'extended', 3, event_at => '2024-04-01', expiry => '1 year');     -- 6, and 7 extends 60
end
$$;
select is(pg_temp.journal('booked', 'extended', 3), array['3 expire -60 = 0', '4 reverse 40 = 40 of 2', '5 expire -40 = 0', '6 reinstate 60 = 60 of 3', '7 extend 0 = 60'],
    'an expiry is undone at its own time');
select is(pg_temp.entries_at('booked', 'extended', 6), array['6 reinstate 60 = 60 at 2024-02-01 00:00', '7 extend 0 = 60 at 2024-04-01 00:00'], 'and the points go on from when it is undone');
select throws_ok($$select redeem('booked', 'extended', 41, event_at => '2024-01-05')$$, 'JF001', 'insufficient points', 'what is extended later has been used of its lot');
select is((redeem('booked', 'extended', 40, event_at => '2024-01-05')).balance, 60::point_amount, 'the rest can be taken before');
select is(pg_temp.journal('booked', 'extended', 8), array['8 reinstate 40 = 100 of 5', '9 redeem -40 = 60'], 'from what returned and lapsed');
select is(array(select pg_temp.owns('booked', 'extended', t) from unnest(array['2024-01-05', '2024-01-10', '2024-02-01', '2024-03-01', '2024-04-01']::timestamptz[]) t),
    array['60 = 60 + 0 + 0 + 0 - 0', '20 = 20 + 0 + 0 + 0 - 0', '20 = 0 + 0 + 0 + 20 - 0', '60 = 0 + 0 + 0 + 60 - 0', '60 = 60 + 0 + 0 + 0 - 0'],
    'at no time there was less than nothing');
select throws_ok($$select redeem('booked', 'extended', 1, event_at => '2024-01-05')$$, 'JF001', 'insufficient points', 'and now nothing is left of it');

-- A capture and a goodwill undone in the past
do $$
begin
    perform earn('p', 'jo', 10, event_at => '2024-01-01', expiry => '1 month');   -- lapses on 2 February
    perform hold('p', 'jo', 8, '2999-01-01', event_at => '2024-01-05');
    perform capture('p', 'jo', 2, 6, event_at => '2024-01-10');                   -- 3, and 4 releases 2
    perform expire_batch('p', '2024-02-10');                                      -- 5: 4
    perform reverse('p', 'jo', 3, 5, event_at => '2024-01-15');                   -- 6
end
$$;
select is(pg_temp.journal('p', 'jo', 3), array['3 capture -6 held -6 = 4 of 2', '4 release 0 held -2 = 4 of 2', '5 expire -4 = 0', '6 reverse 5 = 5 of 3'],
    'what returns as of a time before its lot lapsed');
select is(pg_temp.owns('p', 'jo', '2024-01-20'), '9 = 9 + 0 + 0 + 0 - 0', 'could be spent from then');
select is(pg_temp.owns('p', 'jo', '2024-02-10'), '5 = 0 + 0 + 0 + 5 - 0', 'and has lapsed since');
select throws_ok($$select redeem('p', 'jo', 5, event_at => '2024-01-12')$$, 'JF001', 'insufficient points', 'before it there was less');
select is((redeem('p', 'jo', 9, event_at => '2024-01-15')).balance, 0::point_amount, 'in its instant all of it');
select is(pg_temp.journal('p', 'jo', 7), array['7 reinstate 4 = 9 of 5', '8 redeem -9 = 0'], 'what was booked as lapsed included');
select throws_ok($$select reverse('p', 'jo', 3, 1, event_at => '2024-01-09')$$, '22023', 'reversal before the entry that it reverses', 'nothing returns before it was captured');

do $$
begin
    perform create_program('owe', auto_open => true, overdraft => 'debt');
    perform earn('owe', 'kim', 10, event_at => '2024-01-01');
    perform redeem('owe', 'kim', 4, event_at => '2024-01-20');
    perform reverse('owe', 'kim', 1, event_at => '2024-01-10');
end
$$;
select is(pg_temp.journal('owe', 'kim', 3), array['3 reverse -10 debt 4 = -4 of 1'], 'a credit taken back before it was spent owes what is spent');
select is(array(select pg_temp.owns('owe', 'kim', t) from unnest(array['2024-01-05', '2024-01-10', '2024-01-20']::timestamptz[]) t),
    array['10 = 10 + 0 + 0 + 0 - 0', '0 = 4 + 0 + 0 + 0 - 4', '-4 = 0 + 0 + 0 + 0 - 4'], 'from when it is taken back');
do $$begin perform reverse('owe', 'kim', 2, event_at => '2024-01-25'); end$$;
select is(pg_temp.entries_at('owe', 'kim', 4), array['4 reverse 4 = 0 at 2024-01-25 00:00', '5 repay 0 = 0 at 2024-01-25 00:00'], 'until what was spent returns and repays');

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
