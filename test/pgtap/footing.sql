-- Every report foots to the tables, on every cut and basis, over a history that was posted late and out of order.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(19);
\ir books.psql
\ir footing.psql
\ir liability_history.psql

do $$
begin
    perform pg_temp.random_history(1200, 0.4);
    perform pg_temp.spread_postings();
    perform pg_temp.recount();
end
$$;
analyze;
select is(array(select m from pg_temp.misfooted_recount() m limit 5), array[]::text[], 'the count itself comes to what the accounts say');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'flows');
select is(array(select m from pg_temp.misfooted_roll_forward() m limit 5), array[]::text[], 'roll-forwards');
select is(array(select m from pg_temp.misfooted_liability(
        array(select now() + n * interval '101 days 7 hours' from generate_series(-7, 1) n)) m limit 5),
    array[]::text[], 'what is owed, then and now');
select is(array(select m from pg_temp.misfooted_liability(
        array(select now() - n * interval '121 days 5 hours' from generate_series(0, 4) n), now() - interval '100 days') m limit 5),
    array[]::text[], 'and what was known of it');
select is(array(select m from pg_temp.misfooted_vintages() m limit 5), array[]::text[], 'months of issue');
select is(array(select m from pg_temp.misfooted_revenue() m limit 5), array[]::text[], 'revenue and the general ledger');
select is(array(select m from pg_temp.misfooted_settlement() m limit 5), array[]::text[], 'settlement');
-- The same with summaries of a part, then of more of it, then without them again.
do $$begin perform pg_temp.summarise(now() - interval '200 days'); end$$;
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'flows that are summarized in part');
select is(array(select m from pg_temp.misfooted_liability(array[now() - interval '190 days', now() - interval '210 days']) m limit 5),
    array[]::text[], 'what is owed');
do $$begin perform pg_temp.summarise(now() - interval '20 days 5 hours'); end$$;
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'flows that are summarized further');
select is(array(select m from pg_temp.misfooted_roll_forward() m limit 5), array[]::text[], 'roll-forwards');
select is(array(select m from pg_temp.misfooted_liability(array[now() - interval '190 days', now() - interval '10 days']) m limit 5),
    array[]::text[], 'what is owed');
select is(array(select m from pg_temp.misfooted_vintages() m limit 5), array[]::text[], 'months of issue');
select is(array(select m from pg_temp.misfooted_revenue() m limit 5), array[]::text[], 'revenue and the general ledger');
select is(array(select m from pg_temp.misfooted_settlement() m limit 5), array[]::text[], 'settlement');
do $$begin perform drop_summaries(); end$$;
select is((select count(*) from day_summary), 0::bigint, 'summaries can be dropped');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'and nothing hangs on them');

select cmp_ok((select count(distinct kind) from entry), '=', 14::bigint, 'entries of every kind');

select * from finish();
rollback;
