--
-- expiry_policy: text and binary form, equality, and what is refused
--
set search_path = public, jifen;
set timezone = 'UTC';
set datestyle = 'ISO';

-- What a statement is refused with: SQLSTATE, message and detail, and the hint
-- where it is not the one that every bad literal gets.
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
    return concat_ws(E'\n', sqlstate || ' ' || message, '  ' || nullif(detail, ''),
        case when sqlstate <> '22P02' then '  ' || nullif(hint, '') end);
end
$$;

-- Any case, any blanks, singular or plural; written back in one form
select literal, literal::expiry_policy as policy
from unnest(array[
    'never', ' NEVER ',
    '12 months', '12 month', E'  12\t MONTHS\n', '012 months',
    '1 day', '1 days', '365 days', '2 weeks', '4 quarters', '1 YEAR', '3 years',
    '12 months end of month', '1 quarter end of quarter', '6 months END OF half', '3 years end  of year',
    '18 months inactive', '36 months inactive end of month',
    '48 months or 18 months inactive', '18 months inactive or 48 months',
    '36 months inactive end of month or 5 years end of year',
    'end of month', 'End Of QUARTER', 'end of half', 'end of year', 'end of december', '2 years end of March',
    'end of membership year', '1 year end of Membership  Year', '18 months inactive end of membership year',
    'on 2030-12-31', 'ON 2028-02-29', 'on 0001-01-01', 'on 9999-12-31',
    '12 months or on 2030-12-31', 'on 2030-12-31 or 12 months', 'end of june or end of december',
    '1 year inactive or end of year', '6 months inactive or on 2030-12-31',
    '365242 days', '52177 weeks', '12000 months', '4000 quarters', '1000 years'])
    with ordinality as t (literal, n)
order by n;

-- What is written reads back as the same.
select count(*) as policies, count(*) filter (where literal::expiry_policy::text = literal) as kept
from (
    select format('%s%s', term, e) as literal
    from unnest(array['1 day', '2 days', '1 week', '3 weeks', '1 month', '7 months', '1 quarter', '9 quarters',
        '1 year', '1000 years']) as term,
        unnest(array['', ' inactive', ' or 5 months inactive', ' or on 2030-12-31']) as i,
        unnest(array['', ' end of month', ' end of quarter', ' end of half', ' end of year', ' end of january',
            ' end of february', ' end of march', ' end of april', ' end of may', ' end of june', ' end of july',
            ' end of august', ' end of september', ' end of october', ' end of november', ' end of december',
            ' end of membership year']) as ending,
        lateral (select case when i ~ 'on' and i !~ 'months' then ending || i else i || ending end) as x (e)
    union all
    select format('on %s', date '1996-02-25' + n * 11) from generate_series(0, 1000) as n
) as t;

\pset format unaligned
\pset tuples_only on
-- The hint of every bad literal
do $$
begin
    perform 'whenever'::text::expiry_policy;
exception when invalid_text_representation then
    declare
        hint text;
    begin
        get stacked diagnostics hint = pg_exception_hint;
        raise notice '%', hint;
    end;
end
$$;
select pg_temp.refusal(format('select %L::expiry_policy', literal))
from unnest(array[
    '', '  ', 'whenever', 'never 12 months', 'never or 12 months', '12 months or never', '12 months never',
    '12', '12months', '12 parsecs', 'months', '-1 month', '1.5 years', '+1 year', 'twelve months', '1 year 6 months',
    '0 days', '00 years', '365243 days', '52178 weeks', '12001 months', '4001 quarters', '1001 years',
    '2147483648 days', '99999999999999999999 days',
    '1 year end', '1 year end of', '1 year end of week', '1 year end of months', '1 year end month',
    'end', 'end of', 'end month', 'end of mar', 'end of 3', 'end of the year', 'end of membership',
    'end of membership month', '1 year end of member year', 'end of year end of month',
    '1 year inactive inactive', '1 year end of month inactive', '1 year end of month end of year',
    'inactive', 'inactive 1 year', 'inactive end of year', 'end of year inactive', 'end of year or inactive',
    'on', 'on or 1 year', 'on the 31st', 'on 2026', 'on 2026-02-30', 'on 2100-02-29', 'on 2026-13-01', 'on 2026-00-10',
    'on 2026-01-00', 'on 2026-1-1', 'on 26-01-01', 'on 2026/01/01', 'on 20260101', 'on 2026-01-01T00:00',
    'on -2026-01-01', 'on 0000-01-01', 'on 10000-01-01', 'on 99999999999999999999-12-31', 'on 2026-01-01 BC',
    'on 2026-01-01 inactive', 'on 2026-01-01 end of year', '1 year on 2026-01-01', 'on 2026-01-01 1 year',
    '1 year or', 'or 1 year', '1 year or or 1 year inactive', '1 year, 1 month inactive', '1 year or on',
    '1 year or 2 parsecs',
    '1 year inactive or 2 years inactive', '1 year or 2 years inactive or 3 years', '1 year or 2 years or 3 years',
    '1 year or 1 year', '1 year or 12 months', 'end of year or end of december', '1 year inactive or 4 quarters inactive',
    '1 year inactiv', '永不']) with ordinality as t (literal, n)
order by n;
\pset tuples_only off
\pset format aligned

-- Equality is by meaning.
select a, b, a::expiry_policy = b::expiry_policy as eq, a::expiry_policy <> b::expiry_policy as ne,
    expiry_policy_hash(a::expiry_policy) = expiry_policy_hash(b::expiry_policy) as same_hash
from (values
    ('never', 'never'), ('never', '1000 years'),
    ('12 months', '1 year'), ('4 quarters', '12 months'), ('1 year', '4 quarters'),
    ('14 days', '2 weeks'), ('1 month', '30 days'), ('1 year', '365 days'),
    ('12 months', '12 months inactive'), ('1 year inactive', '12 months inactive'),
    ('1 year end of month', '1 year'), ('1 year end of month', '1 year end of year'),
    ('1 year end of half', '4 quarters end of half'),
    ('48 months or 18 months inactive', '6 quarters inactive or 4 years'),
    ('48 months or 18 months inactive', '48 months'),
    ('18 months or 48 months inactive', '48 months or 18 months inactive'),
    ('end of year', 'end of december'), ('1 year end of december', '12 months end of year'), ('end of year', 'end of june'),
    ('end of year', 'end of membership year'), ('end of month', '1 day end of month'), ('end of year', 'never'),
    ('on 2030-12-31', 'on 2030-12-31'), ('on 2030-12-31', 'on 2030-12-30'),
    ('12 months or on 2030-12-31', 'on 2030-12-31 or 1 year'), ('1 year or 2 years', '24 months or 12 months'),
    ('end of year or 1 quarter', '3 months or end of december'), ('1 year or 2 years', '1 year'),
    ('1 year inactive end of year', '1 year end of year')) as v (a, b);

select opc.opcname, am.amname, amproc.amprocnum, amproc.amproc::regprocedure
from pg_opclass opc
join pg_am am on am.oid = opc.opcmethod
join pg_amproc amproc on amproc.amprocfamily = opc.opcfamily
where opc.opcintype = 'expiry_policy'::regtype
order by amproc.amprocnum;
select amvalidate(oid) from pg_opclass where opcintype = 'expiry_policy'::regtype;
select bool_and(expiry_policy_hash_extended(p::expiry_policy, 0) & 4294967295
    = expiry_policy_hash(p::expiry_policy)::int8 & 4294967295) as hashes_agree,
    count(distinct expiry_policy_hash_extended(p::expiry_policy, 8)) as different
from unnest(array['never', '1 year', '2 years', '1 year inactive', '1 year end of year', 'end of year', 'end of june',
    'end of membership year', 'on 2030-12-31', '1 year or 2 years', '1 year or 2 years inactive']) as p;

create table rule (id int, policy expiry_policy default '12 months');
insert into rule values (1, 'never'), (2, '12 months'), (3, '1 year'), (4, '1 day'), (5, null),
    (6, '48 months or 18 months inactive end of half'), (8, 'on 2030-12-31 or 4 quarters'), (9, 'end of membership year'),
    (10, '2 years end of march or end of december');
insert into rule (id) values (7);
select count(*), min(id) from rule group by policy order by 2;
create index rule_policy on rule using hash (policy);
set enable_seqscan = off;
set enable_bitmapscan = off;
explain (costs off) select id from rule where policy = '4 quarters';
select id from rule where policy = '4 quarters' order by id;
reset enable_seqscan;
reset enable_bitmapscan;

-- COPY in both formats brings everything back, the units as written.
\copy rule to 'results/expiry_policy.binary' (format binary)
\copy rule to 'results/expiry_policy.text'
create table rule_binary (like rule);
create table rule_text (like rule);
\copy rule_binary from 'results/expiry_policy.binary' (format binary)
\copy rule_text from 'results/expiry_policy.text'
table rule_binary order by id;
select count(*) as the_same from rule join rule_binary using (id) join rule_text using (id)
where rule.policy::text is not distinct from rule_binary.policy::text
    and rule.policy::text is not distinct from rule_text.policy::text;

-- The binary form is checked. A bytea in a binary file is what any other value
-- of the same bytes is: these are 4 bytes of count, one of unit, one of end and
-- two of the clock for each of the two terms.
select literal, expiry_policy_send(literal::expiry_policy) as bytes
from unnest(array['never', '1 month end of year', '2 years or 1 week inactive', 'end of membership year',
    'on 0001-01-01 or on 9999-12-31', '1 year inactive end of december']) with ordinality as t (literal, n)
order by n;
truncate rule_binary;
\copy (select 1, '\x00000002040000000000000101000001'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\copy (select 2, '\x001a44520500000000000000000b0000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
table rule_binary;
\echo a unit that there is not
\copy (select 1, '\x00000002060000000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a second term of the same meaning
\copy (select 1, '\x00000001040000000000000c02000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\set VERBOSITY sqlstate
\echo an end that there is not
\copy (select 1, '\x00000002041200000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a clock that there is not
\copy (select 1, '\x00000002040000020000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo more than 1000 years
\copy (select 1, '\x000003e9040000000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a negative count, of inactivity
\copy (select 1, '\x0000000102000000ffffffff02000001'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo an absent term with a unit
\copy (select 1, '\x00000000020000000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo an absent term of inactivity
\copy (select 1, '\x00000000000000010000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo the end of a year of inactivity, without a count
\copy (select 1, '\x00000000000400010000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a day before the year 1
\copy (select 1, '\x001a4451050000000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a day after 9999
\copy (select 1, '\x0051fe2d050000000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a fixed day with an end
\copy (select 1, '\x00200000050100000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a fixed day of inactivity
\copy (select 1, '\x00200000050000010000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a second term without a first
\copy (select 1, '\x00000000000000000000000102000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo inactivity before the credit
\copy (select 1, '\x00000001020000010000000104000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo inactivity twice
\copy (select 1, '\x00000001020000010000000104000001'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\set VERBOSITY terse
\echo too short, and too long
\copy (select 1, '\x0000000204'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\copy (select 1, '\x0000000204000000000000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\set VERBOSITY default
drop table rule, rule_binary, rule_text;

-- expires_at()
select expires_at('1 month', '2024-01-31 12:00+00', 'UTC') as clamped,
    expires_at('3 years end of year', '2024-05-05 12:00+00', 'Asia/Shanghai') as end_of_year,
    expires_at('never', '2024-05-05', 'UTC') as never,
    expires_at('1 month', '2024-01-31', null) is null as null_zone;
select expires_at('18 months inactive', '2024-01-31 12:00+00', 'UTC') as inactive,
    expires_at('end of membership year', '2024-01-31 12:00+00', 'UTC', joined_at => '2020-05-15 12:00+00') as membership,
    expires_at('1 year', '2024-01-31 12:00+00', 'UTC', null) as joined_unknown;
select expires_at('1 day', '2024-01-01 12:00+00', name)
from unnest(array['asia/shanghai', 'ASIA/SHANGHAI', 'Etc/GMT-8', 'PRC', 'Etc/UTC', 'UTC', 'GMT', 'EST'])
    with ordinality as t (name, n)
order by n;

\pset format unaligned
\pset tuples_only on
select pg_temp.refusal(statement)
from unnest(array[
    'select expires_at(''12 months'', ''infinity'', ''UTC'')',
    'select expires_at(''never'', ''-infinity'', ''UTC'')',
    'select expires_at(''never'', ''2024-01-01'', ''UTC'', ''infinity'')',
    'select expires_at(''end of membership year'', ''2024-01-01'', ''UTC'')',
    'select expires_at(''1 year or 6 months inactive end of membership year'', ''2024-01-01'', ''UTC'', null)',
    'select expires_at(''end of membership year'', ''infinity'', ''UTC'', null)',
    'select expires_at(''1 day'', ''294276-12-30 00:00+00'', ''UTC'')',
    'select expires_at(''1000 years'', ''294276-12-31 23:59:59+00'', ''UTC'')',
    'select expires_at(''1 year end of year'', ''294276-01-01 00:00+00'', ''UTC'')',
    'select expires_at(''end of year'', ''294276-01-01 00:00+00'', ''UTC'')',
    'select expires_at(''end of membership year'', ''294276-06-01 00:00+00'', ''UTC'', ''2020-05-15'')',
    'select expires_at(''1000 years or 999 years inactive'', ''294276-01-01 00:00+00'', ''UTC'')'])
    with ordinality as t (statement, n)
order by n;
select pg_temp.refusal(format('select expires_at(''never'', ''2024-01-01'', %L)', name))
from unnest(array['', ' ', 'Foo/Bar', 'Asia', 'CST', 'XYZ5', '+8 bogus', '+08', '8', '<+08>-8', 'EST5EDT', 'UTC+8',
    'Asia/Shanghai ', '../../etc/passwd', 'localtime', 'posixrules', 'Factory',
    repeat('x', 300)]) with ordinality as t (name, n)
order by n;
\pset tuples_only off
\pset format aligned
