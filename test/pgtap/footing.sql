-- Every report foots to the tables, on every cut and basis, over a history that was posted late and out of order.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(4);
\ir footing.psql
\ir liability_history.psql

do $$
begin
    perform pg_temp.random_history(3000, 0.4);
    perform pg_temp.spread_postings();
    perform pg_temp.recount();
end
$$;
select is(array(select m from pg_temp.misfooted_recount() m limit 5), array[]::text[], 'the count itself comes to what the accounts say');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'flows');
select is(array(select m from pg_temp.misfooted_roll_forward() m limit 5), array[]::text[], 'roll-forwards');
select cmp_ok((select count(distinct kind) from entry), '=', 14::bigint, 'entries of every kind');

select * from finish();
rollback;
