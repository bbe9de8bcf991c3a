-- Reversals: redeemed points return to their lots, earned ones are taken back, and no more is undone than was done.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(99);
\ir books.psql

do $$
begin
    perform create_program('p', auto_open => true);
end
$$;

-- ---------- a redemption, wholly ----------

do $$
begin
    perform earn('p', 'ann', 10, event_at => '2024-01-01', expiry => '2 months');
    perform earn('p', 'ann', 20, event_at => '2024-01-01', expiry => '3 months');
    perform redeem('p', 'ann', 25, 'ORD-1', event_at => '2024-01-10');
end
$$;
select is(pg_temp.lots('p', 'ann'), array['lot 2: 5'], 'a redemption of 25 has used one lot up and taken from another');
select is((select row(e.seq, e.kind, e.amount, e.held, e.balance, e.event_at, e.posted_at = now(), e.expires_at, e.available_at,
            e.reverses_seq, e.qualifying, e.source, e.reference, e.reason, e.revenue, e.details)::text
        from reverse('p', 'ann', 3, reason => 'returned', event_at => '2024-01-20', details => '{"till": 7}') e),
    '(4,reverse,25,0,30,"2024-01-20 00:00:00+00",t,,,3,,,,returned,,"{""till"": 7}")', 'its reversal names it and gives it all back');
select is(pg_temp.allocations('p', 'ann', 4), array['lot 1: -10', 'lot 2: -15'], 'to the lots that it came from');
select is(array(select format('%s %s %s %s', l.seq, l.remaining, l.available_at, l.expires_at) from lot l
        where l.account_id = account_id('p', 'ann') order by l.seq),
    array['1 10 2024-01-01 00:00:00+00 2024-03-02 00:00:00+00', '2 20 2024-01-01 00:00:00+00 2024-04-02 00:00:00+00'],
    'which are as they were, the one used up included');
select is((select row(a.last_activity_at, a.last_event_at) from account a where a.account_id = account_id('p', 'ann')),
    row('2024-01-10 00:00+00'::timestamptz, '2024-01-20 00:00+00'::timestamptz), 'a reversal is no activity of the member');
select throws_ok($$select reverse('p', 'ann', 3, event_at => '2024-01-20')$$, 'JF006', 'more reversed than was posted',
    'it is reversed once');
select is((redeem('p', 'ann', 12, event_at => '2024-01-21')).seq, 5::bigint, 'what came back');
select is(pg_temp.allocations('p', 'ann', 5), array['lot 1: 10', 'lot 2: 2'], 'is spent in its old order');
select is((reverse('p', 'ann', 5, event_at => '2024-01-22')).balance, 30::point_amount, 'and may come back again');

-- ---------- a redemption, step by step ----------

do $$
begin
    perform earn('p', 'bob', 10, event_at => '2024-01-01', expiry => '2 months');
    perform earn('p', 'bob', 20, event_at => '2024-01-01', expiry => '3 months');
    perform earn('p', 'bob', 30, event_at => '2024-01-01', expiry => '4 months');
    perform redeem('p', 'bob', 45, event_at => '2024-01-10');  -- 10 + 20 + 15
end
$$;
select is((reverse('p', 'bob', 4, 4, event_at => '2024-01-11')).balance, 19::point_amount, '4 of 45');
select is(pg_temp.allocations('p', 'bob', 5), array['lot 3: -4'], 'go to the lot that was taken from last');
select is((reverse('p', 'bob', 4, 21, event_at => '2024-01-11')).balance, 40::point_amount, '21 more');
select is(pg_temp.allocations('p', 'bob', 6), array['lot 2: -10', 'lot 3: -11'], 'go on with the one before it');
select throws_ok($$select reverse('p', 'bob', 4, 21, event_at => '2024-01-11')$$, 'JF006', 'more reversed than was posted',
    '21 more than the 20 that are left');
select is((reverse('p', 'bob', 4, 15, event_at => '2024-01-12')).balance, 55::point_amount, '15 of them');
select is(pg_temp.allocations('p', 'bob', 7), array['lot 1: -5', 'lot 2: -10'], 'go down to the first');
select is((reverse('p', 'bob', 4, event_at => '2024-01-12')).amount, 5::point_amount, 'without an amount all that is left');
select is(pg_temp.allocations('p', 'bob', 8), array['lot 1: -5'], 'goes where it came from');
select throws_ok($$select reverse('p', 'bob', 4, 1, event_at => '2024-01-12')$$, 'JF006', 'more reversed than was posted',
    'and no point more');
select is(pg_temp.lots('p', 'bob'), array['lot 1: 10', 'lot 2: 20', 'lot 3: 30'], 'all lots are whole again');

-- A part reversed leaves what a smaller redemption would have left.
do $$
begin
    for k in 1 .. 40 loop
        perform earn('p', 'more', 10, event_at => '2024-01-01', expiry => format('%s days', 100 + k)::expiry_policy);
        perform earn('p', 'less', 10, event_at => '2024-01-01', expiry => format('%s days', 100 + k)::expiry_policy);
    end loop;
    perform redeem('p', 'more', 385, event_at => '2024-01-02');
    perform reverse('p', 'more', 41, 123, event_at => '2024-01-02');
    perform redeem('p', 'less', 262, event_at => '2024-01-02');
end
$$;
select is(pg_temp.lots('p', 'more'), pg_temp.lots('p', 'less'), '385 redeemed and 123 of them returned are as 262 redeemed');
-- 26 lots are used up and 2 points of the 27th
select is((pg_temp.lots('p', 'more'))[1:2], array['lot 27: 8', 'lot 28: 10'], 'over more lots than are read at once');

-- ---------- a redemption, to lots that have lapsed since ----------

do $$
declare
    member text;
begin
    -- lots 1 and 2 lapse together on 2 February, lot 3 on 2 March, lot 4 on 2 April
    foreach member in array array['late', 'part', 'edge', 'past', 'past booked', 'rest', 'rest booked'] loop
        perform earn('p', member, 10, event_at => '2024-01-01', expiry => '1 month');
        perform earn('p', member, 20, event_at => '2024-01-01', expiry => '1 month');
        perform earn('p', member, 30, event_at => '2024-01-01', expiry => '2 months');
        perform earn('p', member, 40, event_at => '2024-01-01', expiry => '3 months');
    end loop;
    perform redeem('p', 'late', 75, event_at => '2024-01-10');  -- 10 + 20 + 30 + 15
    perform redeem('p', 'part', 75, event_at => '2024-01-10');
    perform redeem('p', 'edge', 75, event_at => '2024-01-10');
    perform redeem('p', 'past', 75, event_at => '2024-01-10');
    perform redeem('p', 'past booked', 75, event_at => '2024-01-10');
    perform redeem('p', 'rest', 8, event_at => '2024-01-10');
    perform redeem('p', 'rest booked', 8, event_at => '2024-01-10');
end
$$;

select is((select row(e.seq, e.kind, e.amount, e.balance)::text from reverse('p', 'late', 5, event_at => '2024-03-10 15:00+00') e),
    '(6,reverse,75,100)', 'a reversal returns its own entry');
select is(pg_temp.entries_at('p', 'late', 6),
    array['6 reverse 75 = 100 at 2024-03-10 15:00', '7 expire -30 = 70 at 2024-03-10 15:00', '8 expire -30 = 40 at 2024-03-10 15:00'],
    'what goes back to lapsed lots expires at once, an entry for each instant at which they lapsed');
select is(pg_temp.allocations('p', 'late', 7) || pg_temp.allocations('p', 'late', 8), array['lot 1: 10', 'lot 2: 20', 'lot 3: 30'],
    'from those lots');
select is(pg_temp.lots('p', 'late'), array['lot 4: 40'], 'the rest can be spent');
select is((redeem('p', 'late', 40, event_at => '2024-03-10 15:00+00')).balance, 0::point_amount, 'at once');

select is((reverse('p', 'part', 5, 15, event_at => '2024-02-10')).seq, 6::bigint, 'a part that goes to a live lot');
select is(pg_temp.lots('p', 'part'), array['lot 4: 40'], 'expires nothing');
select is((reverse('p', 'part', 5, 45, event_at => '2024-02-10')).seq, 7::bigint, 'a part that goes to lapsed ones as well');
select is(pg_temp.entries_at('p', 'part', 7), array['7 reverse 45 = 85 at 2024-02-10 00:00', '8 expire -15 = 70 at 2024-02-10 00:00'],
    'expires what goes to those');
select is(pg_temp.allocations('p', 'part', 8), array['lot 2: 15'], 'of the lot taken from last');
select is(pg_temp.lots('p', 'part'), array['lot 3: 30', 'lot 4: 40'], 'and nothing else');

select is((reverse('p', 'edge', 5, 70, event_at => '2024-02-01 23:59:59.999999+00')).seq, 6::bigint,
    'in the last microsecond of a lot');
select is(pg_temp.entries('p', 'edge'),
    array['1 earn 10 = 10', '2 earn 20 = 30', '3 earn 30 = 60', '4 earn 40 = 100', '5 redeem -75 = 25', '6 reverse 70 = 95'],
    'nothing expires');
select is((reverse('p', 'edge', 5, event_at => '2024-02-02 00:00+00')).seq, 7::bigint, 'at its instant');
select is(pg_temp.entries_at('p', 'edge', 7), array['7 reverse 5 = 100 at 2024-02-02 00:00', '8 expire -5 = 95 at 2024-02-02 00:00'],
    'what is given back then does');
select is(pg_temp.holds('p', 'edge', '2024-02-02'), '95 | 70 | 0 | 25', 'beside what lapsed and is not booked');
do $$begin perform expire_batch('p', '2024-02-02'); end$$;
select is(pg_temp.entries_at('p', 'edge', 9), array['9 expire -25 = 70 at 2024-02-02 00:00'], 'until that is booked');

-- Back-dated to before the lots lapsed, whether or not their expiry is booked by now.
do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform create_program(code, auto_open => true);
        perform earn(code, 'm', 10, event_at => '2024-01-01', expiry => '1 month');  -- lapses on 2 February
        perform earn(code, 'm', 20, event_at => '2024-01-01', expiry => '1 month');  -- the same
        perform earn(code, 'm', 40, event_at => '2024-01-01', expiry => '3 months');
        perform redeem(code, 'm', 14, event_at => '2024-01-10');                     -- 10 + 4
        perform earn(code, 'm', 1, event_at => '2024-02-20', expiry => 'never');
    end loop;
    perform expire_batch('booked', '2024-02-10');
    foreach code in array array['unbooked', 'booked'] loop
        perform reverse(code, 'm', 4, 6, event_at => '2024-01-20');
        perform reverse(code, 'm', 4, 3, event_at => '2024-02-10');
    end loop;
end
$$;
select is(pg_temp.entries_at('booked', 'm', 6),
    array['6 expire -16 = 41 at 2024-02-02 00:00', '7 reverse 6 = 47 at 2024-01-20 00:00', '8 reverse 3 = 50 at 2024-02-10 00:00',
        '9 expire -3 = 47 at 2024-02-10 00:00'],
    'a reversal before the lots lapsed expires nothing by itself, one after it does');
select is(pg_temp.allocations('booked', 'm', 7), array['lot 1: -2', 'lot 2: -4'], 'the first gives back to both lots');
select is(pg_temp.lots('booked', 'm'), array['lot 1: 2', 'lot 2: 4', 'lot 3: 40', 'lot 5: 1'],
    'which have lapsed by now');
select is(array(select pg_temp.holds('booked', 'm', t) from unnest(array['2024-01-20', '2024-02-01 23:59:59', '2024-02-10']::timestamptz[]) t),
    array['62 | 62 | 0 | 0', '62 | 62 | 0 | 0', '46 | 40 | 0 | 6'], 'as the balance at any time says');
do $$
begin
    perform expire_batch('booked', '2024-02-10');
    perform expire_batch('unbooked', '2024-02-10');
end
$$;
select is(pg_temp.entries_at('booked', 'm', 10), array['10 expire -6 = 41 at 2024-02-02 00:00'], 'the next run books it');
select is(pg_temp.lots('unbooked', 'm'), pg_temp.lots('booked', 'm'), 'what is left does not depend on the runs');
select is(pg_temp.differences('unbooked', 'booked', 'm', '2024-01-01', '2024-03-01'), array[]::text[],
    'nor does what there was at any time');

-- ---------- a credit: its own lot first ----------

do $$
begin
    perform earn('p', 'dan', 10, event_at => '2024-01-01', expiry => '2 months');
    perform earn('p', 'dan', 20, event_at => '2024-01-01', expiry => '3 months');
    perform earn('p', 'dan', 30, event_at => '2024-01-01', expiry => 'never');
end
$$;
select is((select row(e.seq, e.kind, e.amount, e.held, e.balance, e.event_at, e.expires_at, e.available_at, e.reverses_seq,
            e.qualifying, e.reference, e.reason)::text
        from reverse('p', 'dan', 2, 8, 'returned in part', '2024-01-05') e),
    '(4,reverse,-8,0,52,"2024-01-05 00:00:00+00",,,2,-8,,"returned in part")', 'a part of a credit is taken back');
select is(pg_temp.allocations('p', 'dan', 4), array['lot 2: 8'], 'from its own lot, though another lapses sooner');
select is((redeem('p', 'dan', 17, event_at => '2024-01-06')).seq, 5::bigint, 'of what is left of it');
select is(pg_temp.lots('p', 'dan'), array['lot 2: 5', 'lot 3: 30'], 'some is spent');
select is((reverse('p', 'dan', 2, event_at => '2024-01-07')).amount, '-12'::point_amount, 'all that is left to reverse');
select is(pg_temp.allocations('p', 'dan', 6), array['lot 2: 5', 'lot 3: 7'], 'is taken from its lot, then from others');
select throws_ok($$select reverse('p', 'dan', 2, event_at => '2024-01-07')$$, 'JF006', 'more reversed than was posted', 'once');
select is((reverse('p', 'dan', 1, 6, event_at => '2024-01-07')).seq, 7::bigint, 'a credit that is spent');
select is(pg_temp.allocations('p', 'dan', 7), array['lot 3: 6'], 'is taken from others alone');
select is((reverse('p', 'dan', 1, 4, event_at => '2024-01-07')).balance, 13::point_amount, 'the rest of it too');
select is((reverse('p', 'dan', 3, 13, event_at => '2024-01-07')).balance, 0::point_amount, 'up to what there is');
select throws_ok($$select reverse('p', 'dan', 3, 1, event_at => '2024-01-07')$$, 'JF001', 'insufficient points', 'and no further');
select is((select last_seq from account where account_id = account_id('p', 'dan')), 9::bigint, 'which writes nothing');

-- Its redemption reversed afterwards, there is something to take again.
select is((reverse('p', 'dan', 5, event_at => '2024-01-08')).balance, 17::point_amount, 'the redemption is undone');
select is(pg_temp.lots('p', 'dan'), array['lot 1: 10', 'lot 2: 7'], 'its lots reopen');
select is((reverse('p', 'dan', 3, event_at => '2024-01-08')).balance, 0::point_amount, 'and the rest of the credit can go');
select is(pg_temp.allocations('p', 'dan', 11), array['lot 1: 10', 'lot 2: 7'], 'from there');

-- Others in spending order, of 40 lots that lapse in reverse order.
do $$
begin
    perform earn('p', 'eve', 400, event_at => '2024-01-01', expiry => 'never');
    for k in 2 .. 41 loop
        perform earn('p', 'eve', 10, event_at => '2024-01-01', expiry => format('%s days', 200 - k)::expiry_policy);
    end loop;
    perform redeem('p', 'eve', 500, event_at => '2024-01-02');  -- lots 41 to 2, and 100 of lot 1
    perform reverse('p', 'eve', 42, 200, event_at => '2024-01-02');  -- 100 to lot 1, 10 each to lots 2 to 11
    perform reverse('p', 'eve', 1, 350, event_at => '2024-01-03');
    perform reverse('p', 'eve', 1, 50, event_at => '2024-01-03');
    perform redeem('p', 'eve', 100, event_at => '2024-01-03');
end
$$;
select is(pg_temp.allocations('p', 'eve', 44), array['lot 1: 350'], 'the own lot, last in spending order, goes first');
select is(pg_temp.allocations('p', 'eve', 45), array['lot 1: 50'], 'as long as there is any of it');
select is(pg_temp.allocations('p', 'eve', 46), array(select format('lot %s: 10', k) from generate_series(11, 2, -1) k), 'the others remain');

-- ---------- a credit that is pending ----------

do $$
begin
    perform earn('p', 'flo', 10, event_at => '2024-01-01', available_at => '2024-01-15');
    perform earn('p', 'flo', 20, event_at => '2024-01-01', available_at => '2024-01-20');
    perform earn('p', 'flo', 5, event_at => '2024-01-01');
    perform redeem('p', 'flo', 4, event_at => '2024-01-02');
end
$$;
select is((reverse('p', 'flo', 2, 6, event_at => '2024-01-05')).balance, 25::point_amount, 'pending points can be taken back');
select is(pg_temp.allocations('p', 'flo', 5), array['lot 2: 6'], 'before they could be spent');
select throws_ok($$select reverse('p', 'flo', 3, event_at => '2024-01-05')$$, 'JF001', 'insufficient points',
    'but for another credit those of others only');
select throws_ok($$select reverse('p', 'flo', 3, event_at => '2024-01-14 23:59:59.999999+00')$$, 'JF001', 'insufficient points',
    'from their hour on');
select is((reverse('p', 'flo', 3, event_at => '2024-01-15')).balance, 20::point_amount, 'in which they are');
select is(pg_temp.allocations('p', 'flo', 6), array['lot 1: 4', 'lot 3: 1'], 'taken as well');
select is((reverse('p', 'flo', 2, event_at => '2024-01-15')).balance, 6::point_amount, 'wholly, in the end');

-- ---------- a credit that has lapsed ----------

do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform earn(code, 'own', 10, event_at => '2024-01-01', expiry => '1 month');    -- lapses on 2 February
        perform earn(code, 'spent', 10, event_at => '2024-01-01', expiry => '1 month');
        perform earn(code, 'spent', 20, event_at => '2024-01-01', expiry => '1 month');
        perform redeem(code, 'spent', 7, event_at => '2024-01-10');
        perform earn(code, 'spent', 5, event_at => '2024-01-11', expiry => '2 months');  -- 12 March
    end loop;
    perform expire_batch('booked', '2024-02-10');
    foreach code in array array['unbooked', 'booked'] loop
        perform reverse(code, 'own', 1, 4, event_at => '2024-02-12');
        perform reverse(code, 'own', 1, 6, event_at => '2024-02-13');
    end loop;
end
$$;
select is(pg_temp.entries_at('unbooked', 'own', 2),
    array['2 reverse -4 = 6 at 2024-02-12 00:00', '3 reverse -6 = 0 at 2024-02-13 00:00'], 'a lapsed credit is taken back as it is');
select is(pg_temp.entries_at('booked', 'own', 2),
    array['2 expire -10 = 0 at 2024-02-02 00:00', '3 reinstate 4 = 4 at 2024-02-02 00:00', '4 reverse -4 = 0 at 2024-02-12 00:00',
        '5 reinstate 6 = 6 at 2024-02-02 00:00', '6 reverse -6 = 0 at 2024-02-13 00:00'],
    'where its expiry is booked, as much of it is reinstated first');
select is(array(select e.reverses_seq from entry e where e.account_id = account_id('booked', 'own') and e.seq > 1 order by e.seq),
    array[null, 2, 1, 2, 1]::bigint[], 'the one names the expiry, the other the credit');
select is(pg_temp.allocations('booked', 'own', 3) || pg_temp.allocations('booked', 'own', 4), array['lot 1: -4', 'lot 1: 4'],
    'both of the credit''s own lot');
-- Of the credit of 10 there are 3 left, which have lapsed; beside them 20 that
-- have lapsed, which are not taken, and 5 that can be spent.
select throws_ok(format('select reverse(%L, ''spent'', 1, 9, event_at => ''2024-02-12'')', code), 'JF001', 'insufficient points',
    format('%s: beyond its own lapsed points a credit is taken from what can be spent', code))
from unnest(array['unbooked', 'booked']) code;
select is((reverse(code, 'spent', 1, 8, event_at => '2024-02-12')).amount, '-8'::point_amount, format('%s: as far as that goes', code))
from unnest(array['unbooked', 'booked']) code;
select is(pg_temp.entries_at('unbooked', 'spent', 5), array['5 reverse -8 = 20 at 2024-02-12 00:00'], 'unbooked: the entry');
select is(pg_temp.entries_at('booked', 'spent', 5),
    array['5 expire -23 = 5 at 2024-02-02 00:00', '6 reinstate 3 = 8 at 2024-02-02 00:00', '7 reverse -8 = 0 at 2024-02-12 00:00'],
    'booked: as much reinstated as is taken from the lapsed lot');
select is(pg_temp.allocations(code, 'spent', seq), array['lot 1: 3', 'lot 4: 5'], format('%s: taken from two lots', code))
from (values ('unbooked', 5), ('booked', 7)) v (code, seq);

-- A credit reversed as of a time before it lapsed, when others could be spent that have lapsed since.
do $$
declare
    code text;
begin
    foreach code in array array['unbooked', 'booked'] loop
        perform earn(code, 'then', 10, event_at => '2024-01-01', expiry => '1 month');   -- lapses on 2 February
        perform earn(code, 'then', 20, event_at => '2024-01-05', expiry => '1 month');   -- 6 February
        perform redeem(code, 'then', 7, event_at => '2024-01-10');
    end loop;
    perform expire_batch('booked', '2024-02-10');
    foreach code in array array['unbooked', 'booked'] loop
        perform reverse(code, 'then', 1, event_at => '2024-01-31');
    end loop;
end
$$;
select is(pg_temp.entries_at('booked', 'then', 4),
    array['4 expire -3 = 20 at 2024-02-02 00:00', '5 expire -20 = 0 at 2024-02-06 00:00', '6 reinstate 3 = 3 at 2024-02-02 00:00',
        '7 reinstate 7 = 10 at 2024-02-06 00:00', '8 reverse -10 = 0 at 2024-01-31 00:00'],
    'a reversal of that time takes what could be spent then, each expiry reinstated in part');
do $$begin perform expire_batch('unbooked', '2024-02-10'); end$$;
select is(pg_temp.differences('unbooked', 'booked', m, '2024-01-01', '2024-03-15'), array[]::text[],
    format('%s: what there was at any time does not depend on the runs', m))
from unnest(array['own', 'spent', 'then']) m;

-- ---------- a redemption that used up a credit reversed meanwhile ----------

do $$
begin
    perform earn('p', 'gus', 10, event_at => '2024-01-01');
    perform redeem('p', 'gus', 10, event_at => '2024-01-02');
    perform earn('p', 'gus', 10, event_at => '2024-01-03');
    perform reverse('p', 'gus', 1, event_at => '2024-01-04');
    perform reverse('p', 'gus', 2, event_at => '2024-01-05');
end
$$;
select is(pg_temp.entries('p', 'gus'), array['1 earn 10 = 10', '2 redeem -10 = 0', '3 earn 10 = 10', '4 reverse -10 = 0', '5 reverse 10 = 10'],
    'two credits, one reversed, and one redemption, reversed, leave one credit');
select is(pg_temp.lots('p', 'gus'), array['lot 1: 10'], 'in the lot that the redemption took from');

-- ---------- qualifying points ----------

create function pg_temp.qualifying(member text) returns point_amount[]
language sql as $$
    select array(select e.qualifying from entry e where e.account_id = account_id('p', qualifying.member) order by e.seq)
$$;

do $$
begin
    perform earn('p', 'q', 100, qualifying => 7, event_at => '2024-01-01');
    perform reverse('p', 'q', 1, 33, event_at => '2024-01-02');
    perform reverse('p', 'q', 1, 33, event_at => '2024-01-02');
    perform reverse('p', 'q', 1, 34, event_at => '2024-01-02');
end
$$;
-- 7 × 33/100 = 2.31, 7 × 66/100 = 4.62, 7 × 100/100 = 7: in whole points 2, 4 and 7
select is(pg_temp.qualifying('q'), array[7, -2, -2, -3]::point_amount[], 'are undone in proportion to all that is reversed so far');

do $$
begin
    perform earn('p', 'ones', 100, qualifying => 7, event_at => '2024-01-01');
    for k in 1 .. 100 loop
        perform reverse('p', 'ones', 1, 1, event_at => '2024-01-02');
    end loop;
end
$$;
select is(array(select k from unnest(pg_temp.qualifying('ones')) with ordinality q (points, k) where points = -1),
    -- the least multiples of 1/100 at which 7 × it reaches 1, 2, … 7, one place on for the earn
    array[16, 30, 44, 59, 73, 87, 101]::bigint[], 'in a hundred steps a point goes whenever another whole one is undone');
select is((select sum(points) from unnest(pg_temp.qualifying('ones')) points), 0::point_amount, 'and nothing remains');

do $$
begin
    perform earn('p', 'third', 3, qualifying => 100, event_at => '2024-01-01');
    perform reverse('p', 'third', 1, 1, event_at => '2024-01-02') from generate_series(1, 3);
    perform earn('p', 'none', 3, qualifying => 0, event_at => '2024-01-01');
    perform reverse('p', 'none', 1, 2, event_at => '2024-01-02');
    perform earn('p', 'most', 9223372036854775807, qualifying => 9223372036854775807, event_at => '2024-01-01');
    perform reverse('p', 'most', 1, 9223372036854775806, event_at => '2024-01-02');
    perform reverse('p', 'most', 1, 1, event_at => '2024-01-02');
    perform earn('p', 'back', 10, event_at => '2024-01-01');
    perform redeem('p', 'back', 10, event_at => '2024-01-02');
    perform reverse('p', 'back', 2, event_at => '2024-01-03');
end
$$;
select is(pg_temp.qualifying('third'), array[100, -33, -33, -34]::point_amount[], 'more of them than points');
select is(pg_temp.qualifying('none'), array[0, 0]::point_amount[], 'none at all');
select is(pg_temp.qualifying('most'), array[9223372036854775807, -9223372036854775806, -1]::point_amount[], 'as many as there can be');
select is(pg_temp.qualifying('back'), array[10, null, null]::point_amount[], 'redeeming and its reversal do not touch them');

select is(array(select concat_ws(': ', b.program, b.member, b.invariant) from reconcile() b), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
