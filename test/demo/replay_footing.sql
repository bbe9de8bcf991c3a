-- What the reports say, against the entries: a line for whatever differs. footing.psql counts anew.
\set ON_ERROR_STOP on
set search_path = jifen, public;
set client_min_messages = warning;
\o /dev/null
\ir ../pgtap/footing.psql
select pg_temp.recount();
\o
select m from pg_temp.misfooted_recount() m
union all select m from pg_temp.misfooted_flows() m
union all select m from pg_temp.misfooted_roll_forward() m
union all select m from pg_temp.misfooted_vintages() m
union all select m from pg_temp.misfooted_revenue() m
union all select m from pg_temp.misfooted_settlement() m
union all select m from pg_temp.misfooted_liability() m
limit 10;
