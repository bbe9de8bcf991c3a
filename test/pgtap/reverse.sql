-- Reversals: redeemed points return to their lots, earned ones are taken back, and no more is undone than was done.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(211);
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
select is((select row(e.seq, e.kind, e.amount, e.held, e.balance, e.event_at, e.posted_at = (select booked_from from program where code = 'p'), e.expires_at, e.available_at,
            e.reverses_seq, e.qualifying, e.source, e.reference, e.reason, e.revenue, e.details)::text
        from reverse('p', 'ann', 3, reason => 'returned', event_at => '2024-01-20', details => '{"till": 7}') e),
    '(4,reverse,25,0,30,"2024-01-20 00:00:00+00",t,,,3,,,,returned,,"{""till"": 7}")', 'its reversal names it and gives it all back');
select is(pg_temp.allocations('p', 'ann', 4), array['lot 1: -10', 'lot 2: -15'], 'to the lots that it came from');
select is(array(select format('%s %s %s %s', l.seq, l.remaining, l.available_at, l.expires_at) from lot l
        where l.account_id = account_id('p', 'ann') order by l.seq),
    array['1 10 2024-01-01 00:00:00+00 2024-03-02 00:00:00+00', '2 20 2024-01-01 00:00:00+00 2024-04-02 00:00:00+00'],
    'which are as they were, the one used up included');
select is((select row(last_activity_at(a), a.last_event_at) from account a where a.account_id = account_id('p', 'ann')),
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
        from reverse('p', 'dan', 2, 8, 'returned in part', event_at => '2024-01-05') e),
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

-- ---------- revenue ----------

create function pg_temp.revenue(member text) returns numeric[]
language sql as $$
    select array(select e.revenue from entry e where e.account_id = account_id('p', revenue.member) order by e.seq)
$$;
do $$
begin
    perform earn('p', 'rev', 3, revenue => 1.00, event_at => '2024-01-01');
    perform reverse('p', 'rev', 1, 1, event_at => '2024-01-02') from generate_series(1, 3);
    perform earn('p', 'rev ones', 100, revenue => 0.07, event_at => '2024-01-01');
    perform reverse('p', 'rev ones', 1, 1, event_at => '2024-01-02') from generate_series(1, 100);
    perform earn('p', 'rev none', 3, event_at => '2024-01-01'), earn('p', 'rev none', 3, revenue => 0, event_at => '2024-01-01');
    perform reverse('p', 'rev none', 1, event_at => '2024-01-02'), reverse('p', 'rev none', 2, event_at => '2024-01-02');
    perform import('p', 'rev most', 9223372036854775807, revenue => 9223372036854775807.123, event_at => '2024-01-01');
    perform reverse('p', 'rev most', 1, 9223372036854775806, event_at => '2024-01-02');
    perform reverse('p', 'rev most', 1, 1, event_at => '2024-01-02');
    perform earn('p', 'rev back', 10, revenue => 5, event_at => '2024-01-01'), adjust('p', 'rev back', 10, 'why', event_at => '2024-01-01');
    perform redeem('p', 'rev back', 10, event_at => '2024-01-02');
    perform reverse('p', 'rev back', 3, event_at => '2024-01-03'), reverse('p', 'rev back', 2, event_at => '2024-01-03');
end
$$;
select is(pg_temp.revenue('rev'), array[1.00, -0.33, -0.34, -0.33], 'is undone in proportion to all that is reversed so far, in its own digits');
select is(array(select sum(r) from unnest(pg_temp.revenue('rev ones')) r union all select count(*) from unnest(pg_temp.revenue('rev ones')) r where r = -0.01), array[0.00, 7],
    'in a hundred steps a cent goes now and then, and nothing remains');
select is(pg_temp.revenue('rev none'), array[null, 0, null, 0]::numeric[], 'none, or none at all');
select is(pg_temp.revenue('rev most'), array[9223372036854775807.123, -9223372036854775806.123, -1.000], 'of as many points as there can be');
select is(pg_temp.revenue('rev back'), array[5, null, null, null, null]::numeric[], 'redeeming, goodwill and their reversals have none');

-- ---------- a capture ----------

do $$
begin
    perform earn('p', 'hal', 10, event_at => '2024-01-01', expiry => '10 years');
    perform earn('p', 'hal', 20, event_at => '2024-01-01', expiry => '20 years');
    perform earn('p', 'hal', 30, event_at => '2024-01-01');
    perform hold('p', 'hal', 45, '2999-01-01', event_at => '2024-01-02');     -- 4: 10 + 20 + 15
    perform capture('p', 'hal', 4, 25, event_at => '2024-01-03');             -- 5: 10 + 15, and 6: the release of 20
end
$$;
select is(pg_temp.lots('p', 'hal'), array['lot 2: 5', 'lot 3: 30'], 'a capture of a part of a hold');
select throws_ok($$select reverse('p', 'hal', 5, event_at => '2024-01-02 23:59:59.999999')$$, '22023', 'reversal before the entry that it reverses',
    'is not undone before it happened');
select is((select row(e.seq, e.kind, e.amount, e.held, e.balance, e.reverses_seq, e.hold_seq)::text from reverse('p', 'hal', 5, 4, event_at => '2024-01-04') e),
    '(7,reverse,4,0,39,5,)', 'after it, a part');
select is(pg_temp.allocations('p', 'hal', 7), array['lot 2: -4'], 'returns to the last lot that the capture kept');
select is((reverse('p', 'hal', 5, 12, event_at => '2024-01-04')).balance, 51::point_amount, 'a part more');
select is(pg_temp.allocations('p', 'hal', 8), array['lot 1: -1', 'lot 2: -11'], 'to the one before it too');
select throws_ok($$select reverse('p', 'hal', 5, 10, event_at => '2024-01-04')$$, 'JF006', 'more reversed than was posted', 'no more than was captured');
select is((reverse('p', 'hal', 5, event_at => '2024-01-04')).amount, 9::point_amount, 'the rest');
select is(pg_temp.lots('p', 'hal'), array['lot 1: 10', 'lot 2: 20', 'lot 3: 30'], 'and all is as before the hold');
select throws_ok($$select reverse('p', 'hal', 5, 1)$$, 'JF006', 'more reversed than was posted', 'once');
do $$
begin
    perform earn('p', 'ida', 10, event_at => '2024-01-01', expiry => '1 month');
    perform hold('p', 'ida', 10, '2999-01-01', event_at => '2024-01-10');
    perform capture('p', 'ida', 2, event_at => '2024-03-01');
    perform reverse('p', 'ida', 3, event_at => '2024-03-02');
end
$$;
select is(pg_temp.entries_at('p', 'ida', 3), array['3 capture -10 = 0 at 2024-03-01 00:00', '4 reverse 10 = 10 at 2024-03-02 00:00', '5 expire -10 = 0 at 2024-03-02 00:00'],
    'what was held past its time lapses when it returns');

-- ---------- an import, and goodwill ----------

do $$
begin
    perform import('p', m, 10, event_at => '2024-01-01') from unnest(array['import']) m;
    perform open_account('p', 'goodwill');
    perform adjust('p', 'goodwill', 10, 'sorry', event_at => '2024-01-01');
    perform redeem('p', m, 4, event_at => '2024-01-02') from unnest(array['import', 'goodwill']) m;
    perform reverse('p', m, 1, 5, event_at => '2024-01-03') from unnest(array['import', 'goodwill']) m;
end
$$;
select is((pg_temp.journal('p', m, 3)), array['3 reverse -5 = 1 of 1'], format('%s: a part is taken back', m)) from unnest(array['import', 'goodwill']) m;
select throws_ok(format($$select reverse('p', %L, 1, 2, event_at => '2024-01-03')$$, m), 'JF001', 'insufficient points', format('%s: not what is spent', m))
from unnest(array['import', 'goodwill']) m;
select throws_ok(format($$select reverse('p', %L, 1, 6, event_at => '2024-01-03')$$, m), 'JF006', 'more reversed than was posted', format('%s: nor more than it was', m))
from unnest(array['import', 'goodwill']) m;
do $$
begin
    perform earn('p', m, 7, event_at => '2024-01-04') from unnest(array['import', 'goodwill']) m;
    perform reverse('p', m, 1, event_at => '2024-01-05') from unnest(array['import', 'goodwill']) m;
end
$$;
select is(pg_temp.allocations('p', m, 5), array['lot 1: 1', 'lot 4: 4'], format('%s: the rest, from another lot too', m)) from unnest(array['import', 'goodwill']) m;

-- ---------- an expiry ----------

do $$
begin
    perform create_program('half', expiry => '6 months', auto_open => true);
    perform create_program('grace', expiry => '6 months', auto_open => true, return_grace => '10 days');
    perform create_program('owe', auto_open => true, overdraft => 'debt');
    perform create_program('forgive', auto_open => true, overdraft => 'forgive');
    perform earn(p, 'ann', 10, source => 'store', event_at => '2024-01-01', expiry => '1 month') from unnest(array['half', 'grace']) p;
    perform earn(p, 'ann', 20, event_at => '2024-01-01', expiry => '1 month') from unnest(array['half', 'grace']) p;
    perform expire_batch(p, '2024-02-10') from unnest(array['half', 'grace']) p;  -- 3, on 2 February
end
$$;
select throws_ok($$select reverse('half', 'ann', 3, event_at => '2024-02-01 23:59:59.999999')$$, '22023', 'reversal before the entry that it reverses',
    'an expiry is not undone before it happened');
select throws_ok($$select reverse('half', 'ann', 3, 31)$$, 'JF006', 'more reversed than was posted', 'nor more than lapsed');
select throws_ok($$select reverse('half', 'ann', 3, expiry => 'on 2023-12-31')$$, '22023', 'points would lapse by the time they become available',
    'nor under a policy by which the points have lapsed');
select is((select row(e.seq, e.kind, e.amount, e.balance, e.event_at, e.expires_at, e.available_at, e.reverses_seq, e.reason, e.expiry, e.qualifying, e.details)::text
        from reverse('half', 'ann', 3, 12, 'on leave', event_at => '2024-03-01', details => '[7]') e),
    '(4,reinstate,12,12,"2024-02-02 00:00:00+00",,,3,"on leave",,,[7])', 'undone, it reinstates at its own time');
select is(pg_temp.journal('half', 'ann', 4), array['4 reinstate 12 = 12 of 3', '5 extend 0 = 12'], 'and gives the points another expiry');
select is(pg_temp.allocations('half', 'ann', 4) || pg_temp.allocations('half', 'ann', 5), array['lot 2: -12', 'lot 2: 12'], 'from the last lot first');
select is((select row(e.event_at, e.expires_at, e.available_at, e.issued_at, e.source, e.reverses_seq, e.reference, e.reason, e.qualifying, e.details)::text
        from entry e where e.account_id = account_id('half', 'ann') and e.seq = 5),
    '("2024-03-01 00:00:00+00","2024-09-02 00:00:00+00","2024-03-01 00:00:00+00","2024-01-01 00:00:00+00",,,,,,)', 'the program''s, from when it is undone');
select is(pg_temp.owns('half', 'ann', '2024-03-01'), '12 = 12 + 0 + 0 + 0 - 0', 'they can be spent');
select is(pg_temp.owns('half', 'ann', '2024-02-15'), '12 = 0 + 0 + 0 + 12 - 0', 'and in between they had lapsed');
do $$begin perform reverse('half', 'ann', 3, 15, event_at => '2024-03-02'); end$$;
select is(pg_temp.journal('half', 'ann', 6), array['6 reinstate 15 = 27 of 3', '7 extend 0 = 27', '8 extend 0 = 27'], 'more of it, from two lots');
select is(pg_temp.allocations('half', 'ann', 6) || pg_temp.allocations('half', 'ann', 7) || pg_temp.allocations('half', 'ann', 8),
    array['lot 1: -7', 'lot 2: -8', 'lot 1: 7', 'lot 2: 8'], 'each of which becomes another');
select is((select array_agg(e.source order by e.seq) from entry e where e.account_id = account_id('half', 'ann') and e.seq in (7, 8)), array['store', null], 'with its source');
select throws_ok($$select reverse('half', 'ann', 3, 4)$$, 'JF006', 'more reversed than was posted', 'no more than is left');
select is((select row(e.amount, e.expiry)::text from reverse('half', 'ann', 3, event_at => '2024-03-03', expiry => 'never') e), '(3,never)', 'the rest, under a policy of its own');
select is(pg_temp.lots('half', 'ann'), array['lot 5: 12', 'lot 7: 7', 'lot 8: 8', 'lot 10: 3'], 'the lots by now');
select throws_ok($$select reverse('half', 'ann', 3, 1)$$, 'JF006', 'more reversed than was posted', 'and nothing is left of it');
select is((redeem('half', 'ann', 30, event_at => '2024-03-04')).balance, 0::point_amount, 'all can be spent');
select is((reverse('grace', 'ann', 3, 30, event_at => '2024-03-01')).seq, 4::bigint, 'where points that return have grace');
select is(array(select e.expires_at from entry e where e.account_id = account_id('grace', 'ann') and e.kind = 'extend' order by e.seq),
    array['2024-03-12', '2024-03-12']::timestamptz[], 'that is their expiry');
do $$
begin
    perform expire_batch('grace', '2024-03-20');
    perform reverse('grace', 'ann', 7, 30, event_at => '2024-03-21', expiry => '1 month end of month');
end
$$;
select is(pg_temp.journal('grace', 'ann', 7), array['7 expire -30 = 0', '8 reinstate 30 = 30 of 7', '9 extend 0 = 30', '10 extend 0 = 30'], 'unless another is stated; lapsed again, it is undone again');
select is((select array_agg(row(e.expires_at, e.issued_at, e.source)::text order by e.seq) from entry e where e.account_id = account_id('grace', 'ann') and e.seq > 8),
    array['("2024-05-01 00:00:00+00","2024-01-01 00:00:00+00",store)', '("2024-05-01 00:00:00+00","2024-01-01 00:00:00+00",)'], 'and the points still know when they were issued first');

-- What a back-dated redemption has taken of it cannot come back; an expiry of returned points can.
do $$
begin
    perform earn('half', 'bob', 10, event_at => '2024-01-01', expiry => '1 month');
    perform earn('half', 'bob', 20, event_at => '2024-01-01', expiry => '1 year');
    perform redeem('half', 'bob', 3, event_at => '2024-01-05');
    perform expire_batch('half', '2024-02-10');                    -- 4: 7
    perform redeem('half', 'bob', 2, event_at => '2024-01-20');    -- 5 reinstates 2, 6
    perform reverse('half', 'bob', 3, event_at => '2024-02-20');   -- 7, and 8 expires 3
end
$$;
select throws_ok($$select reverse('half', 'bob', 4, 6)$$, 'JF006', 'more reversed than was posted', 'what was taken of it is not reinstated twice');
select is((reverse('half', 'bob', 8, event_at => '2024-03-01')).amount, 3::point_amount, 'what lapsed as it returned can be reinstated');
select is((reverse('half', 'bob', 4, event_at => '2024-03-01')).amount, 5::point_amount, 'and what lapsed in its time');
select is(pg_temp.owns('half', 'bob', '2024-03-01'), '28 = 28 + 0 + 0 + 0 - 0', 'all that is not redeemed');
select throws_ok(format('select reverse(''half'', ''bob'', %s, 1, expiry => ''never'')', seq), '22023', 'expiry given for an entry that keeps its own',
    format('entry %s: no other expiry for what keeps its own', seq)) from unnest(array[1, 3]) seq;

-- ---------- what returns to lapsed lots, with grace ----------

do $$
begin
    perform earn('grace', 'bob', 10, source => 'store', event_at => '2024-01-01', expiry => '1 month');
    perform earn('grace', 'bob', 20, event_at => '2024-01-01', expiry => '2 months');   -- 2 March
    perform earn('grace', 'bob', 40, event_at => '2024-01-01', expiry => 'never');
    perform redeem('grace', 'bob', 50, event_at => '2024-01-10');                       -- 10 + 20 + 20
    perform reverse('grace', 'bob', 4, 30, event_at => '2024-03-01 23:59:59.999999');
end
$$;
select is(pg_temp.journal('grace', 'bob', 5), array['5 reverse 30 = 50 of 4'], 'what returns to lots that have not lapsed keeps its expiry');
do $$begin perform reverse('grace', 'bob', 4, event_at => '2024-03-02'); end$$;
select is(pg_temp.journal('grace', 'bob', 6), array['6 reverse 20 = 70 of 4', '7 extend 0 = 70', '8 extend 0 = 70'], 'what returns to others is extended');
select is(pg_temp.lots('grace', 'bob'), array['lot 2: 10', 'lot 7: 10', 'lot 8: 10', 'lot 3: 40'], 'and no more than that');
select is((select array_agg(row(e.expires_at, e.available_at, e.issued_at, e.source)::text order by e.seq) from entry e where e.account_id = account_id('grace', 'bob') and e.kind = 'extend'),
    array['("2024-03-13 00:00:00+00","2024-03-02 00:00:00+00","2024-01-01 00:00:00+00",store)', '("2024-03-13 00:00:00+00","2024-03-02 00:00:00+00","2024-01-01 00:00:00+00",)'],
    'an entry for each lot, in which its points go on');
select is(pg_temp.owns('grace', 'bob', '2024-03-02'), '70 = 60 + 0 + 0 + 10 - 0', 'beside what had not been redeemed');
select is((reverse('grace', 'bob', 1, event_at => '2024-03-03')).amount, '-10'::point_amount, 'their credit taken back');
select is(pg_temp.allocations('grace', 'bob', 9), array['lot 7: 10'], 'takes them like any others');
do $$
begin
    perform earn('grace', 'cat', 10, event_at => '2024-01-01', expiry => '1 month');
    perform hold('grace', 'cat', 6, '2999-01-01', event_at => '2024-01-10');
    perform hold('grace', 'cat', 4, '2999-01-01', event_at => '2024-01-10');
    perform capture('grace', 'cat', 2, event_at => '2024-01-11');
    perform reverse('grace', 'cat', 4, event_at => '2024-03-02');
    perform release('grace', 'cat', 3, event_at => '2024-03-02');
end
$$;
select is(pg_temp.journal('grace', 'cat', 5), array['5 reverse 6 = 10 of 4', '6 extend 0 = 10', '7 release 0 held -4 = 10 of 3', '8 expire -4 = 6'],
    'a capture undone has grace, a hold released has not');

-- A grace that ends on a day is none any more after it.
do $$
begin
    perform create_program('term', auto_open => true, return_grace => 'on 2024-06-30');
    perform earn('term', 'ann', 10, event_at => '2024-01-01', expiry => '1 month');
    perform redeem('term', 'ann', 10, event_at => '2024-01-10');
    perform reverse('term', 'ann', 2, 4, event_at => '2024-06-30 23:59:59.999999');
    perform reverse('term', 'ann', 2, event_at => '2024-07-01');
end
$$;
select is(pg_temp.journal('term', 'ann', 3), array['3 reverse 4 = 4 of 2', '4 extend 0 = 4', '5 reverse 6 = 10 of 2', '6 expire -6 = 4'],
    'up to its last instant points return with a grace of a fixed day, and lapse at once after it');
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal($$select reverse('term', 'ann', 6, event_at => '2024-07-01')$$) r),
    '(22023,"points would lapse by the time they become available","They would be available from 2024-07-01 00:00:00+00 and lapse at 2024-07-01 00:00:00+00.",'
    '"Give an earlier available_at or a longer expiry policy.")', 'nor is an expiry undone under it');
select is((reverse('term', 'ann', 6, event_at => '2024-07-01', expiry => '1 day')).amount, 6::point_amount, 'but under another policy');

-- ---------- what cannot be reversed ----------

do $$
begin
    perform earn('owe', 'ann', 10, event_at => '2024-01-01');                                 -- 1
    perform hold('owe', 'ann', 4, '2999-01-01', event_at => '2024-01-02');                    -- 2
    perform release('owe', 'ann', 2, event_at => '2024-01-03');                               -- 3
    perform adjust('owe', 'ann', -15, 'abuse', event_at => '2024-01-04');                     -- 4
    perform earn('owe', 'ann', 2, event_at => '2024-01-05');                                  -- 5, 6: repay
    perform earn('forgive', 'ann', 1, event_at => '2024-01-01');
    perform adjust('forgive', 'ann', -5, 'abuse', event_at => '2024-01-01');                  -- 2, 3: forgiven
end
$$;
select is((select row(r.state, r.message, r.detail, r.hint)::text from pg_temp.refusal(format('select reverse(%L, ''ann'', %s)', p, seq)) r),
    format('(22023,"entry cannot be reversed","Entry %s of account ""ann"" of program ""%s"" is of kind %s.",%s)', seq, p, kind, hint), format('%s: not reversed, and what instead', kind))
from (values
    (1, 'owe', 2, 'hold', '"release() ends a hold."'),
    (2, 'owe', 3, 'release', '"Hold the points again with hold()."'),
    (3, 'owe', 6, 'repay', '"It follows from another entry: reverse that one."'),
    (4, 'half', 4, 'reinstate', '"adjust() takes points back."'),
    (5, 'half', 5, 'extend', '"undo_extension() takes an extension back."'),
    (6, 'p', 4, 'reverse', '"A reversal is final: post again what it undid."'),
    (7, 'forgive', 3, 'adjust', '"A debt that was forgiven can be taken back with adjust()."')) v (n, p, seq, kind, hint) order by n;
select throws_ok(format('select reverse(''owe'', ''ann'', %s)', seq), '22023', 'no such entry', format('nor is there an entry %s', seq)) from unnest(array[0, 7, -1, 9223372036854775807]) seq;

-- ---------- all entries of a document ----------

create function pg_temp.undone(program text, member text, reference text, returned numeric default 1, total numeric default 1) returns text[]
language sql as $$
    select array(select format('%s: %s of %s', r.seq, r.amount, r.reverses_seq) from reverse_reference(program, member, reference, returned, total) r)
$$;

-- 100 points over three lines of 33.33, 33.33 and 33.34, paid for in part with 50 points.
do $$
begin
    perform earn('p', 'doc', 1000, event_at => '2024-01-01');
    perform redeem('p', 'doc', 50, 'ORD-1', event_at => '2024-01-02');
    perform earn('p', 'doc', 100, 'ORD-1', event_at => '2024-01-02', qualifying => 7);
    perform earn('p', 'doc', 100, 'ORD-2', event_at => '2024-01-02');
end
$$;
select is(pg_temp.undone('p', 'doc', 'ORD-1', 33.33, 100), array['5: 16 of 2', '6: -33 of 3'], 'a line returned: its share of each entry, in whole points');
select is(pg_temp.undone('p', 'doc', 'ORD-1', 33.33, 100), array[]::text[], 'once: said again, nothing is posted');
select is(pg_temp.undone('p', 'doc', 'ORD-1', 20, 100), array[]::text[], 'nor where less was returned');
select is((select a.last_seq from account a where a.account_id = account_id('p', 'doc')), 6::bigint, 'and so it is');
select is(pg_temp.undone('p', 'doc', 'ORD-1', 66.66, 100), array['7: 17 of 2', '8: -33 of 3'], 'the second line: rounded with the first');
select is(pg_temp.undone('p', 'doc', 'ORD-1', 100, 100), array['9: 17 of 2', '10: -34 of 3'], 'the last line: all that is left');
select is(pg_temp.undone('p', 'doc', 'ORD-1'), array[]::text[], 'nothing is');
select is((select array[sum(e.amount) filter (where e.seq in (2, 5, 7, 9)), sum(e.amount) filter (where e.seq in (3, 6, 8, 10)), sum(e.qualifying) filter (where e.seq in (3, 6, 8, 10))]
        from entry e where e.account_id = account_id('p', 'doc')), array[0, 0, 0]::point_amount[], 'each of them ends at exactly zero, qualifying points too');
select is((balance('p', 'doc')).balance, 1100::point_amount, 'and the member has what there would be without');

do $$
begin
    perform earn('p', 'thirds', n, 'T', event_at => '2024-01-01') from generate_series(1, 40) n;
    perform reverse_reference('p', 'thirds', 'T', k, 7) from generate_series(0, 7) k;
end
$$;
select is((balance('p', 'thirds')).balance, 0::point_amount, 'by sevenths, 40 entries end at exactly zero');
select is((select array_agg(r.amount order by r.seq) from entry r where r.account_id = account_id('p', 'thirds') and r.reverses_seq = 10), array[-1, -1, -2, -1, -2, -1, -2]::point_amount[],
    '10 by 1, 2, 4, 5, 7, 8 and 10');

select is((select array_agg(row(r.kind, r.amount, r.event_at, r.reason, r.details, r.reference, r.idempotency_key)::text) from reverse_reference('p', 'doc', 'ORD-2', 1, 4, 'broken',
        '2024-01-10', '{"agent": 7}') r), array['(reverse,-25,"2024-01-10 00:00:00+00",broken,"{""agent"": 7}",,)'], 'reason, event_at and details are those of its reversals');
do $$begin perform reverse('p', 'doc', 4, 60); end$$;
select is(pg_temp.undone('p', 'doc', 'ORD-2', 3, 4), array[]::text[], 'what reverse() has undone counts');
select is(pg_temp.undone('p', 'doc', 'ORD-2', 9, 10), array['13: -5 of 4'], 'as done');

do $$
begin
    perform import('p', 'kinds', 1000, reference => 'K', event_at => '2024-01-01');
    perform earn('p', 'kinds', 100, 'K', event_at => '2024-01-01');
    perform redeem('p', 'kinds', 10, 'K', event_at => '2024-01-02');
    perform hold('p', 'kinds', 20, '2999-01-01', 'K', event_at => '2024-01-02');
    perform capture('p', 'kinds', 4, 15, 'K', event_at => '2024-01-02');                       -- 5, 6
    perform hold('p', 'kinds', 7, '2999-01-01', 'K', event_at => '2024-01-02');                -- 7
    perform adjust('p', 'kinds', 6, 'sorry', 'K', event_at => '2024-01-02');
    perform adjust('p', 'kinds', -5, 'abuse', 'K', event_at => '2024-01-02');
    perform transfer('p', 'kinds', 'doc', 4, 'K', event_at => '2024-01-02');
    perform earn('p', 'kinds', 3, 'k', event_at => '2024-01-02');
end
$$;
select is(pg_temp.undone('p', 'kinds', 'K', 1, 2), array['12: -500 of 1', '13: -50 of 2', '14: 5 of 3', '15: 7 of 5', '16: -3 of 8', '17: 2 of 9'],
    'imports, earns, redemptions, captures and adjustments of that reference; neither holds nor transfers');

do $$
begin
    perform earn('p', 'spent', 10, 'S');
    perform earn('p', 'spent', 10, 'S');
    perform redeem('p', 'spent', 5);
    perform earn('owe', 'spent', 10, 'S'), redeem('owe', 'spent', 8);
    perform open_account('forgive', 'spent');
    perform adjust('forgive', 'spent', -9, 'abuse', 'S');
    perform earn('p', 'all', 9223372036854775807, 'M');
end
$$;
select throws_ok($$select reverse_reference('p', 'spent', 'S')$$, 'JF001', 'insufficient points', 'a credit that is spent is refused by the program''s rule');
select is((balance('p', 'spent')).balance, 15::point_amount, 'with all that went before it');
select is(pg_temp.undone('p', 'spent', 'S', 3, 4), array['4: -7 of 1', '5: -7 of 2'], 'a part may do');
select is(pg_temp.undone('owe', 'spent', 'S'), array['3: -10 of 1'], 'or becomes a debt');
select is(pg_temp.owns('owe', 'spent'), '-8 = 0 + 0 + 0 + 0 - 8', 'by the program''s rule');
select is(pg_temp.undone('forgive', 'spent', 'S'), array[]::text[], 'of what was forgiven nothing is left to undo');
select is(pg_temp.undone('p', 'all', 'M', 1, 3), array['2: -3074457345618258602 of 1'], 'a third of the largest amount, to the point');
select is(pg_temp.undone('p', 'all', 'M', 0.9999999999999999999999999999, 1), array['3: -6148914691236517204 of 1'], 'a share of many digits is not rounded up');
select is(pg_temp.undone('p', 'all', 'M'), array['4: -1 of 1'], 'and the last point');

select is((select row(r.state, r.message)::text from pg_temp.refusal(format('select reverse_reference(%s)', arguments)) r), refusal, arguments)
from (values
    (1, $$'p', 'doc', 'ORD-1', 1.01, 1$$, '(22023,"returned must be from zero to total")'),
    (2, $$'p', 'doc', 'ORD-1', -0.01, 1$$, '(22023,"returned must be from zero to total")'),
    (3, $$'p', 'doc', 'ORD-1', 0, 0$$, '(22023,"returned must be from zero to total")'),
    (4, $$'p', 'doc', 'ORD-1', 'NaN', 1$$, '(22023,"returned must be from zero to total")'),
    (5, $$'p', 'doc', 'ORD-1', 1, 'NaN'$$, '(22023,"returned must be from zero to total")'),
    (6, $$'p', 'doc', 'ORD-1', 1, 'infinity'$$, '(22023,"returned must be from zero to total")'),
    (7, $$'p', 'doc', 'ORD-1', null$$, '(22004,"an argument of reverse_reference() must not be null")'),
    (8, $$'p', 'doc', null$$, '(22004,"an argument of reverse_reference() must not be null")'),
    (9, $$'p', 'doc', 'ORD-3'$$, '(22023,"no entry of that reference")'),
    (10, $$'p', 'nobody', 'ORD-1'$$, '(JF003,"unknown member ""nobody""")'),
    (11, $$'nowhere', 'doc', 'ORD-1'$$, '(JF002,"unknown program ""nowhere""")'),
    (12, $$'p', 'doc', 'ORD-2', event_at => '2024-01-01'$$, '(22023,"reversal before the entry that it reverses")')) v (n, arguments, refusal) order by n;
do $$begin perform freeze_account('p', 'doc', 'test'); end$$;
select throws_ok(format('select reverse_reference(''p'', ''doc'', %L)', reference), 'JF004', 'account is not open', format('%s: nor of a frozen account', reference))
from unnest(array['ORD-1', 'ORD-2', 'ORD-3']) reference;

select is(pg_temp.breaches(), array[]::text[], 'and all of it reconciles');

select * from finish();
rollback;
