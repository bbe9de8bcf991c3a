-- breaches of summaries: what is kept of flows, beside what its entries add up to.

-- A member's account is one of all, so of a single one nothing is said.
create function breaches_of_summaries(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    upto constant timestamptz := (select coalesce(s.summarized_until, '-infinity') from summary_state s);
begin
if own_account is not null then
    return;
end if;
return query
with counted as materialized (
    select * from all_entry_facts(upto) where own_program is null or program_id = own_program
), day as (
    select true as is_counted, program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
        entries, amount, held, debt, revenue, members, accounts
    from counted
    union all
    select false, program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
        entries, amount, held, debt, revenue, members, accounts
    from day_summary where own_program is null or program_id = own_program
), program as (
    select true as is_counted, program_id, entries, amount, held, debt, revenue, members, accounts from counted
    union all
    select false, program_id, entries, amount, held, debt, revenue, members, accounts
    from program_summary where own_program is null or program_id = own_program
)
select null::bigint, null::bigint, 'program_summary is what its entries add up to', s.key || s.expected, s.key || s.found
from (
    select format('program %s: ', program_id) as key,
        row(sum(entries) filter (where is_counted), sum(amount) filter (where is_counted), sum(held) filter (where is_counted),
            sum(debt) filter (where is_counted), trim_scale(sum(revenue) filter (where is_counted)), sum(members) filter (where is_counted),
            sum(accounts) filter (where is_counted))::text as expected,
        row(sum(entries) filter (where not is_counted), sum(amount) filter (where not is_counted), sum(held) filter (where not is_counted),
            sum(debt) filter (where not is_counted), trim_scale(sum(revenue) filter (where not is_counted)), sum(members) filter (where not is_counted),
            sum(accounts) filter (where not is_counted))::text as found
    from program group by program_id
) s where s.expected <> s.found
union all
select null, null, 'day_summary is what its entries add up to', s.key || s.expected, s.key || s.found
from (
    select row(program_id, booked_on, happened_on, reported_on, movement, source, funder, partner)::text || ': ' as key,
        row(sum(entries) filter (where is_counted), sum(amount) filter (where is_counted), sum(held) filter (where is_counted),
            sum(debt) filter (where is_counted), trim_scale(sum(revenue) filter (where is_counted)), sum(members) filter (where is_counted),
            sum(accounts) filter (where is_counted))::text as expected,
        row(sum(entries) filter (where not is_counted), sum(amount) filter (where not is_counted), sum(held) filter (where not is_counted),
            sum(debt) filter (where not is_counted), trim_scale(sum(revenue) filter (where not is_counted)), sum(members) filter (where not is_counted),
            sum(accounts) filter (where not is_counted))::text as found
    from day group by program_id, booked_on, happened_on, reported_on, movement, source, funder, partner
) s where s.expected <> s.found;
return query
with counted as materialized (
    select * from all_lot_facts(upto) where own_program is null or program_id = own_program
), pending as (
    select true as is_counted, program_id, booked_on, happened_on, reported_on, available_on, points
    from counted where available_on is not null
    union all
    select false, program_id, booked_on, happened_on, reported_on, available_on, points
    from pending_summary where own_program is null or program_id = own_program
), cohort as (
    select true as is_counted, program_id, issued_month, expires_month, expires, source, funder, is_sold,
        date_trunc('month', booked_on::timestamp)::date as booked_month, date_trunc('month', happened_on::timestamp)::date as happened_month,
        date_trunc('month', reported_on::timestamp)::date as reported_month, movement, points, held
    from counted
    union all
    select false, program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month,
        movement, points, held
    from cohort_summary where own_program is null or program_id = own_program
), vintage as (
    select true as is_counted, program_id, extract(year from issued_month)::integer as issued_year, is_sold, booked_on, happened_on, reported_on,
        movement, points, held, expired, 0::numeric as revenue, 0::numeric as issued
    from counted
    union all
    select true, program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, 0, 0, 0, revenue, issued
    from all_entry_facts(upto) where issued_year is not null and (own_program is null or program_id = own_program)
    union all
    select false, program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, points, held, expired, revenue, issued
    from vintage_summary where own_program is null or program_id = own_program
)
select null::bigint, null::bigint, 'pending_summary is what its entries add up to', s.key || s.expected, s.key || s.found
from (
    select row(program_id, booked_on, happened_on, reported_on, available_on)::text || ': ' as key,
        row(sum(points) filter (where is_counted))::text as expected, row(sum(points) filter (where not is_counted))::text as found
    from pending group by program_id, booked_on, happened_on, reported_on, available_on
) s where s.expected <> s.found
union all
select null, null, 'cohort_summary is what its entries add up to', s.key || s.expected, s.key || s.found
from (
    select row(program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month,
            movement)::text || ': ' as key,
        row(sum(points) filter (where is_counted), sum(held) filter (where is_counted))::text as expected,
        row(sum(points) filter (where not is_counted), sum(held) filter (where not is_counted))::text as found
    from cohort
    group by program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month, movement
) s where s.expected <> s.found
union all
select null, null, 'vintage_summary is what its entries add up to', s.key || s.expected, s.key || s.found
from (
    select row(program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement)::text || ': ' as key,
        row(sum(points) filter (where is_counted), sum(held) filter (where is_counted), sum(expired) filter (where is_counted),
            trim_scale(sum(revenue) filter (where is_counted)), sum(issued) filter (where is_counted))::text as expected,
        row(sum(points) filter (where not is_counted), sum(held) filter (where not is_counted), sum(expired) filter (where not is_counted),
            trim_scale(sum(revenue) filter (where not is_counted)), sum(issued) filter (where not is_counted))::text as found
    from vintage group by program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement
) s where s.expected <> s.found;
return query
select null::bigint, null::bigint, 'no entry still to come is booked before the summaries end', format('%s or later', s.summarized_until),
    format('program %s: %s', p.program_id, p.booked_from)
from summary_state s
join program p on p.booked_from < s.summarized_until
where own_program is null or p.program_id = own_program;
end
$$;

comment on function breaches_of_summaries(integer, bigint) is
    'Breaches of the summaries of flows, by number of program, null: all; nothing for a single account';

revoke all on function breaches_of_summaries(integer, bigint) from public;
