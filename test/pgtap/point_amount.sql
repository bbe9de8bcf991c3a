begin;
select plan(27);
set local search_path = public, jifen;

-- Apportioning 500 totals, large and small, by weights of all sizes and signs of
-- total, from a fixed seed.
select setseed(0.2024);
create temporary table cases on commit drop as
select id, total, (
        select array_agg((case when random() < 0.2 then 0 else trunc((random() * 10 ^ digits)::numeric, 3) end) order by n)
            || 0.001
        from generate_series(1, size) as n
        where id is not null) as weights
from (
    select id, (trunc(random() * 1000000)::int8 * (array[1, -1, 3, -7, 9000000000000])[1 + id % 5])::point_amount as total,
        1 + id % 23 as size, id % 9 as digits
    from generate_series(1, 500) as id) as t;
insert into cases values
    (501, '9223372036854775807', array[1, 2, 3, 5, 7, 11, 13]),
    (502, '-9223372036854775808', array[1, 2, 3, 5, 7, 11, 13]),
    (503, '9223372036854775807', array[1, 1, 1, 1, 1, 1, 1, 1]),
    (504, '-9223372036854775808', array[1, 1, 1]),
    (505, '9223372036854775807', array[0.000000000000000000000000000001, 1000000000000000000000000000000]),
    (506, 3, array[1, 1, 1, 1, 1]);

-- The shares again, from the definition: the whole part of each exact share, and
-- one more for the largest remainders, as many as are left over.
create temporary table expected on commit drop as
with exact as (
    select id, n, sign(total::numeric) as sign, abs(total::numeric) as total, weight,
        sum(weight) over (partition by id) as weights
    from cases, unnest(weights) with ordinality as w (weight, n)
), cut as (
    select *, div(total * weight, weights) as whole,
        mod(total * weight, weights) as remainder
    from exact
), ranked as (
    select *, row_number() over (partition by id order by remainder desc, n) as place,
        total - sum(whole) over (partition by id) as left_over
    from cut
)
select id, array_agg((sign * (whole + case when place <= left_over then 1 else 0 end))::point_amount order by n) as shares
from ranked
group by id;

select is((select count(*)::int from cases join expected using (id)), 506, 'every case has an expectation');
select is_empty(
    $$select * from cases join expected using (id) where apportion(total, weights) is distinct from shares$$,
    'apportion() gives the largest remainders');
select is_empty(
    $$select * from cases where total <> (select sum(share) from unnest(apportion(total, weights)) as share)$$,
    'the shares add up to the total');
select is_empty(
    $$select * from cases where cardinality(apportion(total, weights)) <> cardinality(weights)$$,
    'there is a share for each weight');
select is_empty(
    $$select * from cases, unnest(weights, apportion(total, weights)) as s (weight, share) where weight = 0 and share <> 0$$,
    'a weight of zero gets nothing');
select is_empty(
    $$select * from cases, unnest(weights, apportion(total, weights)) as s (weight, share)
    where abs(share::numeric * (select sum(w) from unnest(weights) as w) - total::numeric * weight)
        >= (select sum(w) from unnest(weights) as w)$$,
    'no share is a whole point away from the exact one');
select is_empty(
    $$select * from cases where total > '-9223372036854775808'
    and apportion(-total, weights) <> (select array_agg(-share order by n)
        from unnest(apportion(total, weights)) with ordinality as s (share, n))$$,
    'the opposite total has the opposite shares');
select is(apportion('9223372036854775807', '{1,1,1,1,1,1,1,1}'),
    array_fill('1152921504606846976'::point_amount, array[7]) || '1152921504606846975'::point_amount,
    'the most points in eight shares');
select is(apportion(100, '{1,1,1}'), '{34,33,33}', 'the earlier share first among equals');

-- Sums
create schema point_amount_test;
create table point_amount_test.entry (id int, account int, points point_amount);
insert into point_amount_test.entry
select n, n % 7, case when n % 11 = 0 then null
    when n % 13 = 0 then (n % 2 * 2 - 1) * 9000000000000000000 + n
    else (n * 7919) % 2003 - 1000 end
from generate_series(1, 20000) as n;
create index on point_amount_test.entry (id);
analyze point_amount_test.entry;

select is((select sum(points)::numeric from point_amount_test.entry where id % 13 <> 0),
    (select sum(points::numeric) from point_amount_test.entry where id % 13 <> 0), 'sum() is the exact sum');
select is((select avg(points) from point_amount_test.entry), (select avg(points::int8) from point_amount_test.entry),
    'avg() is that of bigint');
select is_empty(
    $$select * from (
        select id, sum(points) over w as moved, (
            select sum(points::numeric) from point_amount_test.entry as e
            where e.id between entry.id - 3 and entry.id) as plain
        from point_amount_test.entry where id <= 2000
        window w as (order by id rows between 3 preceding and current row)) as s
    where moved::numeric is distinct from plain$$,
    'sum() over a moving window is the sum of what is in it');
select is_empty(
    $$select * from (
        select id, avg(points) over w as moved, (
            select avg(points::numeric) from point_amount_test.entry as e
            where e.id between entry.id - 3 and entry.id) as plain
        from point_amount_test.entry where id <= 2000
        window w as (order by id rows between 3 preceding and current row)) as s
    where moved is distinct from plain and abs(moved - plain) > 0.000001$$,
    'avg() over a moving window is the average of what is in it');
select is(
    (select max(running) from (select sum(points) over (order by id) as running from point_amount_test.entry
        where id % 13 <> 0) as r)::numeric,
    (select max(running) from (select sum(points::numeric) over (order by id) as running from point_amount_test.entry
        where id % 13 <> 0) as r), 'so is a running sum');
select throws_ok(
    $$select sum(points) over (order by n rows 1 preceding)
    from (values (1, '9223372036854775807'::point_amount), (2, '1')) as v (n, points)$$,
    '22003', 'point_amount out of range', 'a window whose sum does not fit is an error');
select lives_ok(
    $$select sum(points) over (order by n rows 1 preceding)
    from (values (1, '9223372036854775807'::point_amount), (2, '-1'), (3, '9223372036854775807'), (4, '-5')) as v (n, points)$$,
    'a window that has moved on past large points is none');

-- The same in parallel
create function point_amount_test.plan(query text) returns text
language plpgsql as $$
declare
    line text;
    lines text := '';
begin
    for line in execute 'explain (costs off) ' || query loop
        lines := lines || line || E'\n';
    end loop;
    return lines;
end
$$;
create temporary table serial on commit drop as
select account, sum(points), avg(points), min(points), max(points), count(distinct points) as distinct_points
from point_amount_test.entry where id % 13 <> 0 group by account;
set local parallel_setup_cost = 0;
set local parallel_tuple_cost = 0;
set local min_parallel_table_scan_size = 0;
set local max_parallel_workers_per_gather = 2;
select matches(point_amount_test.plan(
    'select sum(points), avg(points), min(points), max(points) from point_amount_test.entry where id % 13 <> 0'),
    'Gather.*Partial Aggregate', 'the aggregates can be split between workers');
select results_eq(
    'select sum(points), avg(points), min(points), max(points) from point_amount_test.entry where id % 13 <> 0',
    $$select sum(sum)::point_amount, (select avg(points::int8) from point_amount_test.entry where id % 13 <> 0),
        min(min), max(max) from serial$$,
    'workers give the same sum, avg, min and max');
select set_eq(
    'select account, sum(points), avg(points), min(points), max(points) from point_amount_test.entry
    where id % 13 <> 0 group by account',
    'select account, sum, avg, min, max from serial',
    'and the same by account');
select is((select sum(points) from point_amount_test.entry where id % 13 = 0 and id % 26 <> 0 and id < 20),
    (select sum(points::numeric) from point_amount_test.entry where id % 13 = 0 and id % 26 <> 0 and id < 20)::point_amount,
    'workers sum large points');
select throws_ok('select sum(points) from point_amount_test.entry where id % 26 = 13', '22003',
    'point_amount out of range', 'workers report a sum that does not fit');
select lives_ok('select sum(points) from point_amount_test.entry where id % 13 = 0 and id <= 26 * 500',
    'workers meet sums that do not fit on the way to one that does');

-- Sorting and hashing
select is_empty(
    $$select * from (
        select points, lag(points) over (order by points) as before from point_amount_test.entry) as s
    where points::int8 < before::int8$$, 'sorted points are in order');
select is((select count(*) from (select distinct points from point_amount_test.entry) as p),
    (select count(*) from (select distinct points::int8 from point_amount_test.entry) as p), 'hashing finds the same points');
select is((select count(*) from point_amount_test.entry a join point_amount_test.entry b using (points)),
    (select count(*) from point_amount_test.entry a join point_amount_test.entry b on a.points::int8 = b.points::int8),
    'joins find the same points');

-- Bad text can be asked about without an error.
create function pg_temp.accepted(literal text) returns boolean
language plpgsql as $$
declare
    valid boolean;
begin
    execute format('select pg_catalog.pg_input_is_valid(%L, %L)', literal, 'jifen.point_amount') into valid;
    return valid;
end
$$;
select case when current_setting('server_version_num')::int < 160000
    then skip('pg_input_is_valid() came with PostgreSQL 16', 2)
    else collect_tap(
        ok(pg_temp.accepted(' -42 '), 'a whole number is valid'),
        ok(not pg_temp.accepted('1.5') and not pg_temp.accepted('9223372036854775808') and not pg_temp.accepted('x'),
            'a fraction, too many points, and a word are not valid')) end;

select * from finish();
rollback;
