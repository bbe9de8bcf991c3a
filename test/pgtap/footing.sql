-- Every report foots to the tables, on every cut and basis, over a history that was posted late and out of order.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(9);
\ir footing.psql
\ir liability_history.psql

do $$
begin
    perform pg_temp.random_history(1200, 0.4);
    perform pg_temp.spread_postings();
    perform pg_temp.recount();
end
$$;
select is(array(select m from pg_temp.misfooted_recount() m limit 5), array[]::text[], 'the count itself comes to what the accounts say');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'flows');
select is(array(select m from pg_temp.misfooted_roll_forward() m limit 5), array[]::text[], 'roll-forwards');
select is(array(select m from pg_temp.misfooted_liability(
        array(select now() + n * interval '41 days 7 hours' from generate_series(-20, 3) n)) m limit 5),
    array[]::text[], 'what is owed, then and now');
select is(array(select m from pg_temp.misfooted_liability(
        array(select now() - n * interval '61 days 5 hours' from generate_series(0, 8) n), now() - interval '100 days') m limit 5),
    array[]::text[], 'and what was known of it');
select is(array(select m from pg_temp.misfooted_vintages() m limit 5), array[]::text[], 'months of issue');
select is(array(select m from pg_temp.misfooted_revenue() m limit 5), array[]::text[], 'revenue and the general ledger');
select is(array(select m from pg_temp.misfooted_settlement() m limit 5), array[]::text[], 'settlement');
select cmp_ok((select count(distinct kind) from entry), '=', 14::bigint, 'entries of every kind');

select * from finish();
rollback;
