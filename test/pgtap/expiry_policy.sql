begin;
select plan(3);
set local search_path = public, jifen;

-- The session's settings have no say.
set local datestyle = 'German';
set local intervalstyle = 'iso_8601';
select is(array_agg(policy::text order by n), array['12 months end of month', 'on 2030-12-31 or 1 year inactive'],
    'neither DateStyle nor IntervalStyle changes a literal')
from unnest('{12 MONTHS end of month,1 YEAR inactive or ON 2030-12-31}'::expiry_policy[]) with ordinality as t (policy, n);

-- Bad text can be asked about without an error.
create function pg_temp.accepted(literal text) returns boolean
language plpgsql as $$
declare
    valid boolean;
begin
    execute format('select pg_catalog.pg_input_is_valid(%L, %L)', literal, 'jifen.expiry_policy') into valid;
    return valid;
end
$$;
select case when current_setting('server_version_num')::int < 160000
    then skip('pg_input_is_valid() came with PostgreSQL 16', 2)
    else collect_tap(
        ok(pg_temp.accepted('1 year or 1 month inactive'), 'a good literal is valid'),
        ok(not pg_temp.accepted('1 year inactive or 1 month inactive'), 'a bad literal is not valid')) end;

select * from finish();
rollback;
