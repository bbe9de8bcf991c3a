-- With the rights that docs/privileges.md grants, an analyst and finance read every view, and the ready queries run.
begin;
set search_path = jifen, public;
select no_plan();

select lives_ok($$select create_program('shop', auto_open => true, currency => 'EUR', point_value => 0.01)$$, 'a program');
select lives_ok($$select earn('shop', 'ann', 250, source => 'web', funder => 'bank', revenue => 2.50)$$, 'points are earned');
select lives_ok($$select redeem('shop', 'ann', 100, source => 'app', partner => 'airline')$$, 'and spent');

-- What the page grants, for these roles.
create role points_analyst_of_test;
create role points_finance_of_test;
\set page `cat docs/privileges.md`
create temp table recipe as
select regexp_replace(r[1], '\m(points_analyst|points_finance)\M', '\1_of_test', 'g') as statement
from regexp_matches(regexp_replace(:'page', ', shop_app;', ';', 'g'), '^(grant [^;]* to (?:points_analyst|points_finance));', 'gn') r;
select cmp_ok((select count(*)::integer from recipe), '>=', 7, 'the page has grants for an analyst and for finance');
do $$
declare
    r record;
begin
    for r in select * from recipe loop
        execute r.statement;
    end loop;
end
$$;

create temp table report as
select c.relname::text as name from pg_class c where c.relnamespace = 'jifen'::regnamespace and c.relkind = 'v';
grant select on report to points_analyst_of_test;
set role points_analyst_of_test;
select lives_ok(format('select * from jifen.%I', r.name), 'the analyst reads ' || r.name) from report r order by r.name;
select throws_ok($$select jifen.record_redemption_estimate('shop', 0.9)$$, '42501', null, 'and estimates nothing');
reset role;
set role points_finance_of_test;
select lives_ok(format('select * from jifen.%I', r.name), 'finance reads ' || r.name) from report r order by r.name;
select lives_ok($$select jifen.record_redemption_estimate('shop', 0.9)$$, 'and estimates');
reset role;

-- The queries for a BI tool, without psql's own lines.
\set queries `grep -v '^\\' docs/export/bi.sql`
select lives_ok(replace(q.query, ':''program''', '''shop'''), 'ready query ' || q.number)
from regexp_split_to_table(:'queries', ';\s*\n') with ordinality q (query, number) where q.query ~ 'select';

-- Those of the metrics exporter: a block of lines below each "query: |".
\set collector `cat docs/export/sql_exporter.yml`
select cmp_ok((select count(*)::integer from regexp_matches(:'collector', 'query: \|\n((?:      [^\n]*(?:\n|$))+)', 'g')), '=', 4,
    'the collector has four queries');
select lives_ok(q[1], 'query of the collector') from regexp_matches(:'collector', 'query: \|\n((?:      [^\n]*(?:\n|$))+)', 'g') q;

select * from finish();
rollback;
