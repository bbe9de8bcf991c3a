--
-- point_amount: text and binary form, casts, operators, operator classes,
-- aggregates, and what each of them refuses
--
set search_path = public, jifen;

-- What a statement is refused with: SQLSTATE, message, detail and hint.
create function pg_temp.refusal(statement text) returns text
language plpgsql as $$
declare
    message text;
    detail text;
    hint text;
begin
    execute statement;
    return 'not refused';
exception when others then
    get stacked diagnostics message = message_text,
        detail = pg_exception_detail, hint = pg_exception_hint;
    return concat_ws(E'\n', sqlstate || ' ' || message,
        '  ' || nullif(detail, ''), '  ' || nullif(hint, ''));
end
$$;

-- Reading and writing text
select literal, literal::point_amount as points
from unnest(array['0', '-0', '+0', '42', '-42', '+42', '007', ' 42 ',
    '9223372036854775807', '-9223372036854775808',
    '000000000000000000000000000001']) as literal;
select E' \t\n\x0b\f\r42\r\f\x0b\n\t '::point_amount as every_blank;

\pset format unaligned
\pset tuples_only on
select pg_temp.refusal(format('select %L::point_amount', literal))
from unnest(array['', ' ', '-', '+', '+-1', '1 2', '- 1', '1,000', '1_000', '0x1F',
    'twelve', '12x', 'NaN', 'infinity', '.', '1.', '1.5', '.5', '-1.0', '1e3',
    '9223372036854775808', '-9223372036854775809',
    '99999999999999999999999999']) with ordinality as t (literal, n)
order by n;
\pset tuples_only off
\pset format aligned

-- Casts
select castsource::regtype as source, casttarget::regtype as target,
    case castcontext when 'i' then 'implicit' when 'a' then 'assignment' else 'explicit' end as context
from pg_cast
where 'point_amount'::regtype in (castsource, casttarget)
order by castsource::regtype::text collate "C", casttarget::regtype::text collate "C";

select 7::int2::point_amount as int2, 7::int4::point_amount as int4, 7::int8::point_amount as int8,
    7.00::point_amount as "numeric", (-9223372036854775808)::point_amount as least,
    7::point_amount::int8 as to_int8, 7::point_amount::numeric as to_numeric;

\pset format unaligned
\pset tuples_only on
select pg_temp.refusal(statement)
from unnest(array[
    'select 7.5::point_amount',
    'select (-0.001)::point_amount',
    'select ''NaN''::numeric::point_amount',
    'select ''infinity''::numeric::point_amount',
    'select ''-infinity''::numeric::point_amount',
    'select 9223372036854775808::point_amount',
    'select (-9223372036854775809)::point_amount',
    'select 1e100::point_amount',
    'select 7::float8::point_amount',
    'select 7::float4::point_amount',
    'select 7::point_amount::float8',
    'select 7::point_amount::int4']) with ordinality as t (statement, n)
order by n;
\pset tuples_only off
\pset format aligned

-- Integer literals, untyped literals and other integers find the operators.
select 5::point_amount + 2 as plus, 2 + 5::point_amount as plus_left, 5::point_amount + '2' as plus_untyped,
    5::point_amount - 7 as minus, 7::int8 - 5::point_amount as minus_left,
    -5::point_amount as negated, abs('-5'::point_amount) as absolute;
select 5::point_amount * 3 as int4, 3 * 5::point_amount as int4_left, 5::point_amount * 3::int2 as int2,
    3::int8 * 5::point_amount as int8_left, 5::point_amount * '-3' as untyped, '-3' * 5::point_amount as untyped_left;
select 5::point_amount = 5 as eq, 5::point_amount <> 5 as ne, 4 < 5::point_amount as lt,
    5::point_amount <= '4' as le, 5::int8 > 4::point_amount as gt, 5::point_amount >= 6::int2 as ge,
    5::point_amount in (4, 5) as "in", 5::point_amount = any ('{4,5}') as "any",
    5::point_amount between 1 and 9 as "between";

-- Points meet integers in one type: points.
select pg_typeof(coalesce(null::point_amount, 0)) as "coalesce", pg_typeof(greatest(0, 5::point_amount)) as "greatest",
    pg_typeof(case when true then 0 else 5::point_amount end) as "case",
    (select pg_typeof(p) from (select 1 union all select 2::point_amount) as u (p) limit 1) as "union";

-- Without points in them, expressions mean what they mean without the type.
select pg_typeof(1 + 1) as "int + int", pg_typeof(abs(-1)) as "abs(int)", pg_typeof(abs('1')) as "abs(untyped)",
    pg_typeof('1' * 2) as "untyped * int", pg_typeof(2 * 1.5) as "int * numeric", pg_typeof(sum(1)) as "sum(int)",
    pg_typeof(sum(1::int8)) as "sum(bigint)", pg_typeof(max(1)) as "max(int)";

\pset format unaligned
\pset tuples_only on
select pg_temp.refusal(statement)
from unnest(array[
    'select ''9223372036854775807''::point_amount + 1',
    'select ''-9223372036854775808''::point_amount + -1',
    'select ''-9223372036854775808''::point_amount - 1',
    'select 0 - ''-9223372036854775808''::point_amount',
    'select - ''-9223372036854775808''::point_amount',
    'select abs(''-9223372036854775808''::point_amount)',
    'select ''9223372036854775807''::point_amount * 2',
    'select -1 * ''-9223372036854775808''::point_amount',
    'select 5::point_amount * 1.5',
    'select 5::point_amount * 5::point_amount',
    'select 5::point_amount > 4.5',
    'select 5::point_amount / 2']) with ordinality as t (statement, n)
order by n;
\pset tuples_only off
\pset format aligned

select '9223372036854775806'::point_amount + 1 as most, '-9223372036854775807'::point_amount - 1 as least,
    '4611686018427387904'::point_amount * -2 as least_product, - '9223372036854775807'::point_amount as negated;

-- Operator classes, used by index, by sort and by hash
create table tally (points point_amount);
insert into tally select n % 10 - 5 from generate_series(1, 1000) as n;
insert into tally values ('9223372036854775807'), ('-9223372036854775808'), (null);
create index tally_btree on tally (points);
create index tally_hash on tally using hash (points);
analyze tally;

select opc.opcname, am.amname, amproc.amprocnum, amproc.amproc::regprocedure
from pg_opclass opc
join pg_am am on am.oid = opc.opcmethod
join pg_amproc amproc on amproc.amprocfamily = opc.opcfamily
where opc.opcintype = 'point_amount'::regtype and opc.opcdefault
order by am.amname, amproc.amprocnum;
select opc.opcname, am.amname, amop.amopstrategy, amop.amopopr::regoperator
from pg_opclass opc
join pg_am am on am.oid = opc.opcmethod
join pg_amop amop on amop.amopfamily = opc.opcfamily
where opc.opcintype = 'point_amount'::regtype and opc.opcdefault
order by am.amname, amop.amopstrategy;
select amvalidate(oid) from pg_opclass where opcintype = 'point_amount'::regtype;

set enable_seqscan = off;
set enable_bitmapscan = off;
explain (costs off) select count(*) from tally where points < -4;
select count(*) from tally where points < -4;
select min(points), max(points) from tally;
explain (costs off) select points from tally order by points desc limit 1;
drop index tally_btree;
explain (costs off) select count(*) from tally where points = 3;
select count(*) from tally where points = 3;
reset enable_seqscan;
reset enable_bitmapscan;

select distinct points from tally order by points desc nulls last;
select points, count(*) from tally group by points order by points limit 3;
select count(*) from tally a join (values (3::point_amount), (4)) as b (points) using (points);

-- Aggregates
select sum(points), avg(points), min(points), max(points), count(points)
from (values (1::point_amount), (2), (4), (null)) as v (points);
select sum(points), avg(points), min(points), max(points) from tally where false;
select sum(points), avg(points) from (values (null::point_amount)) as v (points);
-- Only the outcome has to fit.
select sum(points) from (values ('9223372036854775807'::point_amount), ('9223372036854775807'),
    ('-9223372036854775807')) as v (points);
select sum(points) from (values ('-9223372036854775808'::point_amount), ('0')) as v (points);
select sum(points) from (values ('9223372036854775807'::point_amount), ('1')) as v (points);
select sum(points) from (values ('-9223372036854775808'::point_amount), ('-1')) as v (points);
select points, sum(points) over w, avg(points) over w, min(points) over w, max(points) over w
from (values (1, 10::point_amount), (2, 20), (3, null), (4, null), (5, 5)) as v (n, points)
window w as (order by n rows between 1 preceding and current row);

-- points(): rounding by name
select amount, points(amount, 'floor') as floor, points(amount, 'half_up') as half_up,
    points(amount, 'half_even') as half_even, points(amount, 'ceil') as ceil
from unnest(array[-3.5, -2.5, -1.500001, -1.5, -0.5, -0.4, 0, 0.4, 0.5, 1.4999, 1.5, 2.5, 3.5,
    2.50000000000000000000000000000001]) as amount;
select points(9223372036854775807.4, 'half_up') as most, points(9223372036854775807.9, 'floor') as floor,
    points(-9223372036854775808.5, 'half_even') as least, points(-9223372036854775808.9, 'ceil') as ceil;
select points(null, 'floor') is null as null_amount, points(1, null) is null as null_rounding;

-- apportion(): exact shares
select total, weights, apportion(total, weights)
from (values
    (100::point_amount, array[1, 1, 1]::numeric[]),
    (-100, array[1, 1, 1]),
    (7, array[0, 1, 0, 2, 0]),
    (0, array[1, 2]),
    (1, array[0.1, 0.2, 0.2]),
    (10, array[19.99, 5.01, 75.00]),
    ('9223372036854775807', array[1, 1, 1, 1, 1, 1, 1, 1]),
    ('-9223372036854775808', array[1, 1, 1]),
    ('-9223372036854775808', array[1])) as v (total, weights);
select apportion(5, '{1e-100,1e100}') as far_apart, apportion(3, '{1e-100,2e-100}') as tiny, apportion(3, '{1e100,2e100}') as huge;
select apportion(10, '[0:2]={1,2,3}') as subscripts, apportion(null, '{1}') is null as null_total,
    apportion(1, null) is null as null_weights, pg_typeof(apportion(1, '{1}')) as type;

\pset format unaligned
\pset tuples_only on
select pg_temp.refusal(statement)
from unnest(array[
    'select points(1.5, ''up'')',
    'select points(1.5, ''FLOOR'')',
    'select points(''NaN'', ''floor'')',
    'select points(''-infinity'', ''ceil'')',
    'select points(9223372036854775807.5, ''half_up'')',
    'select points(-9223372036854775808.1, ''floor'')',
    'select apportion(5, ''{}'')',
    'select apportion(5, ''{0,0.00}'')',
    'select apportion(5, ''{1,-0.5}'')',
    'select apportion(5, ''{1,2,NaN}'')',
    'select apportion(5, ''{infinity,1}'')',
    'select apportion(5, ''{-infinity,1}'')',
    'select apportion(5, ''{1,null}'')',
    'select apportion(5, ''{{1,2},{3,4}}'')']) with ordinality as t (statement, n)
order by n;
\pset tuples_only off
\pset format aligned

-- COPY in both formats brings everything back.
\copy tally to 'results/point_amount.binary' (format binary)
\copy tally to 'results/point_amount.text'
create table tally_binary (like tally);
create table tally_text (like tally);
\copy tally_binary from 'results/point_amount.binary' (format binary)
\copy tally_text from 'results/point_amount.text'
select count(*) from tally_binary;
(table tally except all table tally_binary) union all (table tally_binary except all table tally);
(table tally except all table tally_text) union all (table tally_text except all table tally);
select point_amount_send(42), point_amount_send('-9223372036854775808');

-- Assignment rounds nothing.
insert into tally values (1.5);
insert into tally values (12.0) returning points;

-- Whoever may use the schema may use the type: all functions of it that are
-- immutable, which those that read or write the ledger are not. posting() goes
-- with post().
select proname as not_for_all from pg_proc
where oid in (select objid from pg_depend where refobjid = 'point_amount'::regtype
    and classid = 'pg_proc'::regclass)
    and provolatile = 'i' and not has_function_privilege('public', oid, 'execute');

drop table tally, tally_binary, tally_text;
