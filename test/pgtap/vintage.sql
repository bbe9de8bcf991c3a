-- Vintages: the triangle, what it adds up to, rates, and the chain ladder against a published example.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(39);
\ir random_books.psql

-- ---------- the chain ladder ----------

-- G. C. Taylor and F. R. Ashe, Second moments of estimates of outstanding claims, Journal of Econometrics 23 (1983), as
-- projected in T. Mack, Distribution-free calculation of the standard error of chain ladder reserve estimates, ASTIN
-- Bulletin 23 (1993), table 1 and section 6: reserves in thousands 95, 470, 710, 985, 1419, 2178, 3920, 4279, 4626.
create temp table published as
select * from chain_ladder('{
    { 357848, 1124788, 1735330, 2218270, 2745596, 3319994, 3466336, 3606286, 3833515, 3901463},
    { 352118, 1236139, 2170033, 3353322, 3799067, 4120063, 4647867, 4914039, 5339085,    null},
    { 290507, 1292306, 2218525, 3235179, 3985995, 4132918, 4628910, 4909315,    null,    null},
    { 310608, 1418858, 2195047, 3757447, 4029929, 4381982, 4588268,    null,    null,    null},
    { 443160, 1136350, 2128333, 2897821, 3402672, 3873311,    null,    null,    null,    null},
    { 396132, 1333217, 2180715, 2985752, 3691712,    null,    null,    null,    null,    null},
    { 440832, 1288463, 2419861, 3483130,    null,    null,    null,    null,    null,    null},
    { 359480, 1421128, 2864498,    null,    null,    null,    null,    null,    null,    null},
    { 376686, 1363294,    null,    null,    null,    null,    null,    null,    null,    null},
    { 344014,    null,    null,    null,    null,    null,    null,    null,    null,    null}}');
select is(array(select round(reserve)::bigint from published order by origin),
    array[0, 94634, 469511, 709638, 984889, 1419459, 2177641, 3920301, 4278972, 4625811]::bigint[], 'the reserves of Taylor and Ashe''s triangle, as in Mack (1993)');
select is((select round(sum(reserve)) from published), 18680856::numeric, 'their sum');
select is(array(select round(ultimate)::bigint from published order by origin),
    array[3901463, 5433719, 5378826, 5297906, 4858200, 5111171, 5660771, 6784799, 5642266, 4969825]::bigint[], 'the ultimates');
select is((select array_agg(round(p.factor / n.factor, 3) order by p.age) from published p join published n on n.age = p.age + 1),
    array[3.491, 1.747, 1.457, 1.174, 1.104, 1.086, 1.054, 1.077, 1.018], 'the development factors from one age to the next');
select is(array(select age from published order by origin), array[9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 'ages from zero');
select is(array(select c::text from chain_ladder('{{5}}') c), array['(1,0,5,1,5.0000,0.0000)'], 'the oldest age is the end');
select is(array(select c::text from chain_ladder('{{0,4,8},{0,6,null},{0,null,null}}') c),
    array['(1,2,8,1,8.0000,0.0000)', '(2,1,6,2.00000000000000000000,12.0000,6.0000)', '(3,0,0,,,)'], 'of nothing no factor can be made');
select is(array(select c::text from chain_ladder('{{2,4},{null,null},{3,null}}') c),
    array['(1,1,4,1,4.0000,0.0000)', '(3,0,3,2.00000000000000000000,6.0000,3.0000)'], 'an origin of which nothing is observed has no row');
select is_empty($$select * from chain_ladder(null)$$, 'nothing of nothing');
select throws_ok($$select * from chain_ladder('{1,2}')$$, '22023', 'a triangle must be an array of two dimensions', 'a row alone is no triangle');
select throws_ok($$select * from chain_ladder('{}')$$, '22023', 'a triangle must be an array of two dimensions', 'nor is an empty array');
select throws_ok($$select * from chain_ladder('{{1,NaN}}')$$, '22023', 'a triangle must be of finite amounts', 'NaN is no amount');
select throws_ok($$select * from chain_ladder('{{1,Infinity}}')$$, '22023', 'a triangle must be of finite amounts', 'nor is infinity');

-- ---------- by hand ----------

-- The middle of a month, so many months ago.
create function pg_temp.month(back integer) returns timestamptz
language sql as $$
    select date_trunc('month', now()) - back * interval '1 month' + interval '14 days'
$$;
do $$
begin
    perform create_program('tea', expiry => 'never', auto_open => true);
    perform open_account('tea', 'cat');
    perform earn('tea', 'ann', 100, event_at => pg_temp.month(3));
    perform redeem('tea', 'ann', 10, event_at => pg_temp.month(3));
    perform redeem('tea', 'ann', 20, event_at => pg_temp.month(2));
    perform redeem('tea', 'ann', 10, event_at => pg_temp.month(1));
    perform earn('tea', 'bob', 130, event_at => pg_temp.month(2));
    perform jifen.reverse('tea', 'bob', 1, 30, event_at => pg_temp.month(2));
    perform redeem('tea', 'bob', 25, event_at => pg_temp.month(2));
    perform jifen.reverse('tea', 'bob', 3, 5, event_at => pg_temp.month(2));
    perform hold('tea', 'bob', 30, until => '2999-01-01', event_at => pg_temp.month(2));
    perform capture('tea', 'bob', 5, 20, event_at => pg_temp.month(1));
    perform adjust('tea', 'cat', 100, 'goodwill', event_at => pg_temp.month(1));
    perform redeem('tea', 'cat', 15, event_at => pg_temp.month(1));
    perform hold('tea', 'cat', 5, until => '2999-01-01', event_at => pg_temp.month(1));
    perform earn('tea', 'dan', 50, event_at => least(now(), date_trunc('month', now()) + interval '1 minute'));
    perform redeem('tea', 'ann', 7);
    perform import('tea', 'eva', 40, event_at => pg_temp.month(2), issued_at => pg_temp.month(5), expiry => 'never');
    perform redeem('tea', 'eva', 4, event_at => pg_temp.month(1));
end
$$;
select is(array(select concat_ws(' ', pg_temp.month(0)::date - 14 - t.issued_month > 100, t.age, t.issued, t.adjusted, t.reversed, t.redeemed, t.expired, '|', t.total_issued, t.total_redeemed, t.unspent)
        from vintage_triangle t where t.program = 'tea' order by t.issued_month, t.age), array[
    't 0 40 0 0 0 0 | 40 0 40', 't 1 0 0 0 0 0 | 40 0 40', 't 2 0 0 0 0 0 | 40 0 40', 't 3 0 0 0 0 0 | 40 0 40', 't 4 0 0 0 4 0 | 40 4 36', 't 5 0 0 0 0 0 | 40 4 36',
    'f 0 100 0 0 10 0 | 100 10 90', 'f 1 0 0 0 20 0 | 100 30 70', 'f 2 0 0 0 10 0 | 100 40 60', 'f 3 0 0 0 7 0 | 100 47 53',
    'f 0 130 0 30 20 0 | 100 20 80', 'f 1 0 0 0 20 0 | 100 40 60', 'f 2 0 0 0 0 0 | 100 40 60',
    'f 0 0 100 0 15 0 | 100 15 85', 'f 1 0 0 0 0 0 | 100 15 85',
    'f 0 50 0 0 0 0 | 50 0 50'], 'a row for each age up to the current month; what is held is unspent, what is captured redeemed; imports count from their issue');
select is(array(select concat_ws(' ', r.issued, r.redeemed, r.expired, r.unspent, r.redemption_rate, r.breakage_rate, r.unspent_rate)
        from redemption_rate r where r.program = 'tea' order by r.issued_month), array[
    '40 4 0 36 0.100000 0.000000 0.900000', '100 47 0 53 0.470000 0.000000 0.530000', '100 40 0 60 0.400000 0.000000 0.600000',
    '100 15 0 85 0.150000 0.000000 0.850000', '50 0 0 50 0.000000 0.000000 1.000000'], 'rates of what was issued');
-- 70 / 30 and 40 / 30; Cape Cod: 95 redeemed of 100 + 100 * 3 / 4 + 100 * 9 / 28.
select is(array(select concat_ws(' ', u.age, u.issued, u.redeemed, u.unspent, round(u.factor, 6), u.ultimate, u.ultimate_rate, u.cape_cod, u.cape_cod_rate)
        from ultimate_redemption u where u.program = 'tea' order by u.issued_month), array[
    '2 100 40 60 1.000000 40.00 0.400000 40.00 0.400000', '1 100 40 60 1.333333 53.33 0.533333 51.47 0.514655',
    '0 100 15 85 3.111111 46.67 0.466667 46.12 0.461207'],
    'the chain ladder of the months that are over; what another system had issued is left out');

do $$
begin
    perform create_program('gone', expiry => '1 month end of month', overdraft => 'debt', auto_open => true);
    perform earn('gone', 'ann', 100, event_at => pg_temp.month(4));
    perform redeem('gone', 'ann', 30, event_at => pg_temp.month(3));
    perform expire_batch('gone');
    perform earn('gone', 'bob', 10, event_at => pg_temp.month(3));
    perform jifen.reverse('gone', 'bob', 1, event_at => pg_temp.month(3));
    perform earn('gone', 'cat', 60, event_at => pg_temp.month(2));
    perform redeem('gone', 'cat', 60, event_at => pg_temp.month(2));
    perform jifen.reverse('gone', 'cat', 1, 50, event_at => pg_temp.month(2));
    perform earn('gone', 'cat', 80, event_at => pg_temp.month(1), expiry => 'never');
    perform reinstate('gone', 'ann', 'letter', amount => 20, expiry => 'never');
end
$$;
select is(array(select concat_ws(' ', r.issued, r.redeemed, r.expired, r.unspent, r.redemption_rate, r.breakage_rate, r.unspent_rate)
        from redemption_rate r where r.program = 'gone' order by r.issued_month), array[
    '100 30 50 20 0.300000 0.500000 0.200000', '0 0 0 0', '60 60 0 0 1.000000 0.000000 0.000000', '30 0 0 30 0.000000 0.000000 1.000000'],
    'reinstated points are open again, of nothing issued there is no rate, what repays a debt is taken back');
select is((select sum(unspent) from redemption_rate where program = 'gone'), (select sum(balance::numeric + debt::numeric) from account where program_id = program_id('gone')),
    'all in all what is in the accounts');
select is(array(select concat_ws(' ', u.redeemed, u.unspent, u.ultimate, coalesce(u.ultimate_rate::text, 'null')) from ultimate_redemption u where u.program = 'gone' order by u.issued_month), array[
    '30 20 30.00 0.300000', '0 0 0.00 null', '60 0 60.00 1.000000', '0 30 0.00 0.000000'], 'what is not there any more cannot be redeemed');

-- ---------- random books ----------

call pg_temp.make_random_books(1600, 0.73);
create temp table triangle as select * from vintage_triangle;
create temp table by_month as select * from roll_forward_by_month where basis = 'happened';

select is((select count(*)::integer from triangle t
    where t.total_issued - t.total_redeemed - t.total_expired is distinct from t.unspent or t.unspent < 0), 0, 'each row foots, and there is nothing below zero');
select is((select count(*)::integer from (
        select t.*, sum(issued + adjusted - reversed + moved) over own as i, sum(redeemed) over own as r, sum(expired) over own as e, row_number() over own as place
        from triangle t window own as (partition by program, issued_month order by age)) t
    where (i, r, e) is distinct from (total_issued, total_redeemed, total_expired) or place <> age + 1
        or month <> (issued_month + age * interval '1 month')::date), 0, 'totals are what came before, age by age without a gap');
select is((select count(*)::integer from (select program, issued_month, max(month) as month from triangle group by 1, 2) t join program p on p.code = t.program
    where t.month <> date_trunc('month', now() at time zone p.time_zone)::date), 0, 'to the current month of the program');

-- What is in the lots and on hold, by the month in which it was issued.
create temp table in_lots as
select p.code as program, date_trunc('month', coalesce(c.issued_at, c.event_at) at time zone p.time_zone)::date as issued_month, sum(l.amount) as unspent
from (
    select l.account_id, l.seq, l.remaining::numeric as amount from lot l
    union all
    select h.account_id, x.lot_seq, x.amount::numeric from hold h join allocation x on x.account_id = h.account_id and x.seq = h.seq
) l
join entry c on c.account_id = l.account_id and c.seq = l.seq
join account a on a.account_id = l.account_id join program p on p.program_id = a.program_id
group by 1, 2;
select set_eq($$select distinct on (t.program, t.issued_month) t.program, t.issued_month, t.unspent from triangle t order by t.program, t.issued_month, t.age desc$$,
    $$select c.program, c.issued_month, coalesce(l.unspent, 0) from (select distinct program, issued_month from triangle) c left join in_lots l using (program, issued_month)$$,
    'each month of issue has unspent what its lots and holds have');
select is_empty($$select program, issued_month from in_lots except select program, issued_month from triangle$$, 'and none is missing');
select set_eq($$select program, sum(unspent) as points from (select distinct on (t.program, t.issued_month) t.* from triangle t order by t.program, t.issued_month, t.age desc) t group by 1$$,
    $$select p.code::text as program, sum(a.balance::numeric + a.debt::numeric) as points from account a join program p using (program_id) group by 1 having sum(a.last_seq) > 0$$, 'all in all what the accounts have');

-- And the roll-forward, month by month.
select set_eq($$select program, month, sum(redeemed) as redeemed, sum(expired) as expired from triangle group by 1, 2 having sum(redeemed) <> 0 or sum(expired) <> 0$$,
    $$select program, month, redeemed - returned as redeemed, expired - reinstated as expired from by_month where redeemed <> returned or expired <> reinstated$$,
    'redeemed and expired are those of the roll-forward, month by month');
select set_eq($$select program, sum(issued) as issued from triangle group by 1$$, $$select program, sum(earned + imported) from by_month group by 1$$, 'issued is what was earned and imported');
select set_eq($$select program, month, sum(issued - taken_over) as issued from triangle group by 1, 2$$,
    $$select t.program, t.month, m.earned + coalesce(i.imported, 0) as issued from (select distinct program, month from triangle) t
        left join by_month m using (program, month)
        left join (
            select p.code::text as program, date_trunc('month', e.event_at at time zone p.time_zone)::date as month, sum(e.amount::numeric) as imported
            from entry e join account a using (account_id) join program p using (program_id)
            where e.kind = 'import' and date_trunc('month', e.event_at at time zone p.time_zone) = date_trunc('month', e.issued_at at time zone p.time_zone)
            group by 1, 2
        ) i using (program, month)
        where m.program is not null
        union all
        select t.program, t.month, 0 from (select distinct program, month from triangle) t where not exists (select from by_month m where m.program = t.program and m.month = t.month)$$,
    'month by month, but for what was taken over later than issued');
create temp table unspent as
select m.program, m.month, m.closing + m.closing_debt as owed,
    (select sum(t.unspent) from triangle t where t.program = m.program and t.month = m.month)
    - coalesce((select sum(e.amount::numeric) from entry e join account a using (account_id) join program p using (program_id)
        where p.code = m.program and e.kind = 'import' and date_trunc('month', e.issued_at at time zone p.time_zone) <= m.month
            and date_trunc('month', e.event_at at time zone p.time_zone) > m.month), 0) as unspent
from by_month m;
select is((select count(*)::integer from unspent where unspent is distinct from owed), 0, 'what is unspent of all months of issue is what is owed at the end of each month, with what members owe');
select ok((select count(*) > 60 from unspent), 'of many months');
select is((select sum(moved) from triangle where program = 'shanghai'), 0::numeric, 'transfers and extensions lose nothing');

select set_eq($$select program, issued_month, issued, redeemed, expired, unspent from redemption_rate$$,
    $$select distinct on (t.program, t.issued_month) t.program, t.issued_month, t.total_issued, t.total_redeemed, t.total_expired, t.unspent
        from triangle t order by t.program, t.issued_month, t.age desc$$, 'rates are of the triangle''s latest totals');
select is((select count(*)::integer from redemption_rate where abs(redemption_rate + breakage_rate + unspent_rate - 1) > 0.000002), 0, 'and add up to one');
select is((select count(*)::integer from ultimate_redemption
    where ultimate not between redeemed and redeemed + unspent or cape_cod not between redeemed and redeemed + unspent
        or factor is null and ultimate is not null), 0, 'in the end between what is redeemed and what can be');
select set_eq($$select program, issued_month, age, redeemed, issued, unspent from ultimate_redemption$$,
    $$select distinct on (t.program, t.issued_month) t.program, t.issued_month, t.age, t.total_redeemed, t.total_issued, t.unspent
        from triangle t join program p on p.code = t.program
        where t.month < date_trunc('month', now() at time zone p.time_zone)
            and not exists (select from triangle x where x.program = t.program and x.issued_month = t.issued_month and x.taken_over <> 0)
        order by t.program, t.issued_month, t.age desc$$, 'as of the latest month that is over');

select set_eq($$select * from vintage_triangle where program = 'habana' and issued_month > current_date - 150$$,
    $$select * from triangle where program = 'habana' and issued_month > current_date - 150$$, 'a condition changes nothing of the rest');
create temp table ultimate as select * from ultimate_redemption;
select set_eq($$select * from ultimate_redemption where program = 'york'$$, $$select * from ultimate where program = 'york'$$, 'nor of the chain ladder');
set local timezone = 'Pacific/Kiritimati';
select set_eq('table vintage_triangle', 'table triangle', 'months of the program''s clock, whatever the session''s');
set local timezone = 'UTC';
select is(array(select concat_ws(' ', a.attrelid::regclass, a.attname) from pg_attribute a
    where a.attrelid::regclass::text in ('vintage_change', 'vintage_triangle', 'redemption_rate', 'ultimate_redemption') and a.attnum > 0
        and col_description(a.attrelid, a.attnum) is null), array[]::text[], 'every column has its comment');

select * from finish();
rollback;
