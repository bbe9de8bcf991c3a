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
    '365242 days', '52177 weeks', '12000 months', '4000 quarters', '1000 years'])
    with ordinality as t (literal, n)
order by n;

-- What is written reads back as the same.
select count(*) as policies, count(*) filter (where literal::expiry_policy::text = literal) as kept
from (
    select format('%s%s', term, e) as literal
    from unnest(array['1 day', '2 days', '1 week', '3 weeks', '1 month', '7 months', '1 quarter', '9 quarters',
        '1 year', '1000 years']) as term,
        unnest(array['', ' inactive', ' or 5 months inactive']) as i,
        unnest(array['', ' end of month', ' end of quarter', ' end of half', ' end of year']) as ending,
        lateral (select i || ending) as x (e)
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
    '1 year inactive inactive', '1 year end of month inactive', '1 year end of month end of year',
    '1 year or', 'or 1 year', '1 year or or 1 year inactive', '1 year, 1 month inactive',
    '1 year or 2 years', '1 year inactive or 2 years inactive', '1 year or 2 years inactive or 3 years',
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
    ('18 months or 48 months inactive', '48 months or 18 months inactive')) as v (a, b);

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
from unnest(array['never', '1 year', '2 years', '1 year inactive', '1 year end of year']) as p;

create table rule (id int, policy expiry_policy default '12 months');
insert into rule values (1, 'never'), (2, '12 months'), (3, '1 year'), (4, '1 day'), (5, null),
    (6, '48 months or 18 months inactive end of half');
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
-- of the same bytes is: these are 4 bytes of count, one of unit and one of end
-- for each of the two terms.
select expiry_policy_send('never') as never, expiry_policy_send('1 month end of year') as one_term,
    expiry_policy_send('2 years or 1 week inactive') as two_terms;
truncate rule_binary;
\copy (select 1, '\x000000020400000000010100'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
table rule_binary;
\echo a unit that there is not
\copy (select 1, '\x000000020500000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\set VERBOSITY sqlstate
\echo an end that there is not
\copy (select 1, '\x000000020405000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo more than 1000 years
\copy (select 1, '\x000003e90400000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo a negative count, of inactivity
\copy (select 1, '\x000000010200ffffffff0200'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\echo an absent term with a unit
\copy (select 1, '\x000000000200000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\set VERBOSITY terse
\echo too short, and too long
\copy (select 1, '\x0000000204'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\copy (select 1, '\x00000002040000000000000000'::bytea) to 'results/expiry_policy.bytes' (format binary)
\copy rule_binary from 'results/expiry_policy.bytes' (format binary)
\set VERBOSITY default
drop table rule, rule_binary, rule_text;

-- expires_at()
select expires_at('1 month', '2024-01-31 12:00+00', 'UTC') as clamped,
    expires_at('3 years end of year', '2024-05-05 12:00+00', 'Asia/Shanghai') as end_of_year,
    expires_at('never', '2024-05-05', 'UTC') as never,
    expires_at('1 month', '2024-01-31', null) is null as null_zone;
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
    'select expires_at(''12 months inactive'', now(), ''UTC'')',
    'select expires_at(''4 years or 1 year inactive'', ''2024-01-01'', ''UTC'')',
    'select expires_at(''1 day'', ''294276-12-30 00:00+00'', ''UTC'')',
    'select expires_at(''1000 years'', ''294276-12-31 23:59:59+00'', ''UTC'')',
    'select expires_at(''1 year end of year'', ''294276-01-01 00:00+00'', ''UTC'')'])
    with ordinality as t (statement, n)
order by n;
select pg_temp.refusal(format('select expires_at(''never'', ''2024-01-01'', %L)', name))
from unnest(array['', ' ', 'Foo/Bar', 'Asia', 'CST', 'XYZ5', '+8 bogus', '+08', '8', '<+08>-8', 'EST5EDT', 'UTC+8',
    'Asia/Shanghai ', '../../etc/passwd', 'localtime', 'posixrules', 'Factory',
    repeat('x', 300)]) with ordinality as t (name, n)
order by n;
\pset tuples_only off
\pset format aligned
