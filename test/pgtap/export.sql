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

-- The queries for a BI tool, without psql's own lines, as the analyst.
set role points_analyst_of_test;
\set queries `grep -v '^\\' docs/export/bi.sql`
select lives_ok(replace(q.query, ':''program''', '''shop'''), 'ready query ' || q.number)
from regexp_split_to_table(:'queries', ';\s*\n') with ordinality q (query, number) where q.query ~ 'select';

-- Those of the metrics exporter: a block of lines below each "query: |".
\set collector `cat docs/export/sql_exporter.yml`
select cmp_ok((select count(*)::integer from regexp_matches(:'collector', 'query: \|\n((?:      [^\n]*(?:\n|$))+)', 'g')), '=', 4,
    'the collector has four queries');
select lives_ok(q[1], 'query of the collector') from regexp_matches(:'collector', 'query: \|\n((?:      [^\n]*(?:\n|$))+)', 'g') q;
reset role;

-- Each metric takes its labels and its values from columns of its query, which are there in any state of the summaries.
create temp table metric as
select m[1] as name, string_to_array(concat_ws(', ', m[2], m[3]), ', ') as columns,
    coalesce(m[5], (regexp_match(:'collector', 'query_name: ' || m[4] || '\n    query: \|\n((?:      [^\n]*(?:\n|$))+)'))[1]) as query
from regexp_matches(:'collector', 'metric_name: (\w+)\n    type: gauge\n    help: [^\n]+\n(?:    key_labels: \[([^]]+)\]\n)?(?:    value_label: \w+\n)?'
    '    values: \[([^]]+)\]\n(?:    query_ref: (\w+)\n|    query: \|\n((?:      [^\n]*(?:\n|$))+))', 'g') m;
select is((select count(*) from metric), (select count(*) from regexp_matches(:'collector', 'metric_name', 'g')), 'each metric has its query');
create function pg_temp.is_told(query text, columns text[]) returns boolean
language plpgsql as $$
declare
    told boolean;
begin
    execute format('select bool_and((select bool_and(c is not null) from unnest(array[%s]) c)) from (%s) q',
        (select string_agg(format('q.%I::text', c), ', ') from unnest(columns) c), query) into told;
    return told;
end
$$;
select cmp_ok(jifen.start_job_run('expire', null), '>', 0::bigint, 'a job runs');
select ok(pg_temp.is_told(m.query, m.columns), m.name || ' is told without summaries') from metric m;
select ok(jifen.advance_summaries(), 'summaries are made');
select ok(pg_temp.is_told(m.query, m.columns), m.name || ' with them') from metric m;

-- What is no report by program is named on the page.
\set export `cat docs/export.md`
select is_empty($$select c.relname from pg_class c
        where c.relnamespace = 'jifen'::regnamespace and c.relkind = 'v' and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'program')
            and strpos(current_setting('test.page'), format('`%s`', c.relname)) = 0$$, 'views without a column program are named as such')
from set_config('test.page', :'export', true);

select * from finish();
rollback;
