-- Stand-ins until sql/74-redemption_estimate.sql is merged: this file is to be removed then.
create function estimated_redemption_rate(program_id integer, as_of date) returns numeric language sql stable as 'select null::numeric';
create function expected_redemption(program_id integer, as_of date) returns numeric language sql stable
as 'select coalesce(sum(points + held), 0) from jifen.vintage_flow f where f.program_id = expected_redemption.program_id and f.happened_on <= as_of';
create function deferred_revenue(program_id integer, as_of date) returns numeric language sql stable as 'select 0::numeric';
comment on function estimated_redemption_rate(integer, date) is 'Stand-in';
comment on function expected_redemption(integer, date) is 'Stand-in';
comment on function deferred_revenue(integer, date) is 'Stand-in';
