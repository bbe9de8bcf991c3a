-- Flows and their summaries: what moved on which day, and that what is kept and what was booked since come to it at any time.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(85);
\ir books.psql
\ir footing.psql
\ir liability_history.psql

-- ---------- local days ----------

create temp table clocked as
select zone, at
from unnest(array['UTC', 'Asia/Shanghai', 'America/New_York', 'Europe/London', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Asia/Kathmandu',
        'Pacific/Apia', 'America/Havana', 'Pacific/Kiritimati']) zone,
    lateral (
        select '2011-12-25'::timestamptz + n * interval '5 hours 59 minutes 59.999999 seconds' as at from generate_series(0, 1600) n
        union all select (d at time zone zone) + m * interval '1 microsecond' from generate_series(timestamp '2018-01-01', '2019-12-01', '1 month') d, generate_series(-1, 1) m
        union all select * from unnest(array['0044-03-15 12:00+00 BC', '1883-11-18 17:00+00', '2400-02-29 23:59:59.999999+00']::timestamptz[])
    ) a;
select is_empty($$select zone, at from clocked where local_day(at, zone) <> (at at time zone zone)::date$$, 'local_day() is the day of the local clock');
select is_empty($$select zone, at from clocked where local_month(at, zone) <> date_trunc('month', at at time zone zone)::date$$, 'local_month() the first of its month');
select is_empty($$select zone, at from clocked where day_until(at, zone) <> ((at - interval '1 microsecond') at time zone zone)::date$$, 'day_until() that of the microsecond before');
select is_empty($$select zone, at from clocked where month_until(at, zone) <> date_trunc('month', (at - interval '1 microsecond') at time zone zone)::date$$, 'and month_until() its month');
select is(array[local_day('infinity', 'UTC'), local_day('-infinity', 'UTC'), day_until('infinity', 'UTC'), local_month('-infinity', 'UTC'), month_until('infinity', 'UTC')],
    array['infinity', '-infinity', 'infinity', '-infinity', 'infinity']::date[], 'infinity stays');
select is(local_day(null, 'UTC'), null, 'null too');
select is((select array_agg(local_day('2024-03-09 16:30+00', zone)) from unnest(array['UTC', 'Asia/Shanghai', 'UTC', 'America/New_York', 'Asia/Shanghai']) zone),
    array['2024-03-09', '2024-03-10', '2024-03-09', '2024-03-09', '2024-03-10']::date[], 'whatever zone the row before was of');
select throws_ok(format('select %s(now(), %L)', f, 'Mars/Olympus'), '22023', null, f || '() of an unknown zone')
from unnest(array['local_day', 'day_until', 'local_month', 'month_until']) f;
select is_empty($$select zone, day from (select distinct zone, local_day(at, zone) as day from clocked) d
        where not (day_until(day_begin(day, zone), zone) < day and local_day(day_begin(day, zone), zone) = day) and not (zone, day) = ('Pacific/Apia', '2011-12-30')$$,
    'a day begins at its first instant, the one before ends then');
select is(array(select day_begin(day, zone) from (values (1, date '2017-10-15', 'America/Sao_Paulo'), (2, '2022-03-27', 'Asia/Beirut'), (3, '2018-02-18', 'America/Sao_Paulo'),
        (4, '2015-11-01', 'America/Havana'), (5, '2011-12-31', 'Pacific/Apia'), (6, '2024-04-01', 'Asia/Shanghai')) v (n, day, zone) order by n),
    array['2017-10-15 03:00+00', '2022-03-26 22:00+00', '2018-02-18 03:00+00', '2015-11-01 04:00+00', '2011-12-30 10:00+00', '2024-03-31 16:00+00']::timestamptz[],
    'also where midnight is skipped, comes twice, or a whole day is missing');
select is(array[day_begin('infinity', 'UTC'), day_begin('-infinity', 'UTC')], array['infinity', '-infinity']::timestamptz[], 'infinity is its own');
select throws_ok($$select day_begin('2024-04-01', 'Mars/Olympus')$$, '22023', null, 'no day of an unknown zone');
select throws_ok($$select day_begin('5874897-12-31', 'UTC')$$, '22008', 'timestamp out of range', 'nor one of no timestamp');

-- ---------- what moved ----------

do $$
begin
    perform create_program('p', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true, late_postings => 'book', overdraft => 'debt');
    perform earn('p', 'ann', 100, event_at => '2024-01-10 15:59:59+00', source => 'order', funder => 'bank', revenue => 10.00);
    perform earn('p', 'ann', 40, event_at => '2024-01-10 16:00+00', available_at => '2024-01-20 16:00+00', expiry => 'never');
    perform redeem('p', 'ann', 30, event_at => '2024-02-01', source => 'app', partner => 'hotel');
    perform reverse('p', 'ann', 3, 10, event_at => '2024-02-03');
    perform reverse('p', 'ann', 1, 50, event_at => '2024-02-04');
    perform hold('p', 'ann', 20, '2999-01-01', event_at => '2024-02-05');
    perform capture('p', 'ann', 6, 15, event_at => '2024-02-06', partner => 'air');
    perform open_account('p', 'bob');
    perform transfer('p', 'ann', 'bob', 5, event_at => '2024-02-07');
    perform expire_batch('p', '2025-02-02');
    perform adjust('p', 'ann', -100, 'fraud', event_at => '2025-02-02');
    perform earn('p', 'ann', 70, event_at => '2025-02-03', expiry => 'never');
end
$$;
select is(array(select format('%s %s: %s held %s debt %s revenue %s members %s accounts %s', to_char(happened_on, 'YYMMDD'),
            concat_ws(' ', movement, source, funder, partner), amount, held, debt, revenue, members, accounts)
        from day_flow order by happened_on, movement, source), array[
    '240110 earned order bank: 100 held 0 debt 0 revenue 10.00 members 1 accounts 1',
    '240111 earned: 40 held 0 debt 0 revenue 0 members 0 accounts 0',
    '240201 redeemed app hotel: -30 held 0 debt 0 revenue 0 members 0 accounts 0',
    '240203 returned app hotel: 10 held 0 debt 0 revenue 0 members 0 accounts 0',
    '240204 reversed order bank: -50 held 0 debt 0 revenue -5.00 members 0 accounts 0',
    '240205 held: 0 held 20 debt 0 revenue 0 members 0 accounts 0',
    '240206 redeemed air: -15 held -15 debt 0 revenue 0 members 0 accounts 0',
    '240206 released: 0 held -5 debt 0 revenue 0 members 0 accounts 0',
    '240207 transferred order bank: 5 held 0 debt 0 revenue 0 members 1 accounts 1',
    '240207 transferred: -5 held 0 debt 0 revenue 0 members 0 accounts 0',
    '250201 expired: -15 held 0 debt 0 revenue 0 members -1 accounts 0',
    '250202 adjusted: -100 held 0 debt 60 revenue 0 members -1 accounts 0',
    '250203 earned: 70 held 0 debt 0 revenue 0 members 1 accounts 0',
    '250203 repaid: 0 held 0 debt -60 revenue 0 members 0 accounts 0'], 'by day, channel, funder and partner');
select is((select row(entries, amount, held, debt, revenue, members, accounts)::text from
        (select sum(entries) as entries, sum(amount) as amount, sum(held) as held, sum(debt) as debt, sum(revenue) as revenue,
            sum(members) as members, sum(accounts) as accounts from program_flow) f),
    '(15,10,0,0,5.00,1,2)', 'in all');
select is(array(select format('%s until %s: %s', happened_on, available_on, points) from pending_flow), array['2024-01-11 until 2024-01-20: 40'],
    'what is pending, to the last day on which it is');
select is(array(select format('%s %s: %s held %s', to_char(happened_month, 'YYMM'),
            concat_ws(' ', movement, to_char(issued_month, 'YYMM'), expires, to_char(expires_month, 'YYMM'), source, funder, case when is_sold then 'sold' end),
            sum(points), sum(held))
        from cohort_flow group by happened_month, movement, issued_month, expires, expires_month, source, funder, is_sold order by happened_month, movement, expires), array[
    '2401 earned 2401 fixed 2501 order bank sold: 100 held 0',
    '2401 earned 2401 never: 40 held 0',
    '2402 held 2401 fixed 2501 order bank sold: -20 held 20',
    '2402 redeemed 2401 fixed 2501 order bank sold: -30 held -15',
    '2402 released 2401 fixed 2501 order bank sold: 5 held -5',
    '2402 returned 2401 fixed 2501 order bank sold: 10 held 0',
    '2402 reversed 2401 fixed 2501 order bank sold: -50 held 0',
    '2402 transferred 2401 fixed 2501 order bank sold: 0 held 0',
    '2502 adjusted 2401 never: -40 held 0',
    '2502 earned 2502 never: 70 held 0',
    '2502 expired 2401 fixed 2501 order bank sold: -15 held 0',
    '2502 repaid 2502 never: -60 held 0'], 'by origin of the points');
select is(array(select format('%s %s %s %s: %s held %s revenue %s issued %s', to_char(happened_on, 'YYMMDD'), movement, issued_year, is_sold,
            sum(points), sum(held), sum(revenue), sum(issued))
        from vintage_flow where movement in ('earned', 'reversed', 'redeemed') group by happened_on, movement, issued_year, is_sold order by happened_on, is_sold), array[
    '240110 earned 2024 t: 100 held 0 revenue 10.00 issued 100',
    '240111 earned 2024 f: 40 held 0 revenue 0 issued 40',
    '240201 redeemed 2024 t: -30 held 0 revenue 0 issued 0',
    '240204 reversed 2024 t: -50 held 0 revenue -5.00 issued -50',
    '240206 redeemed 2024 t: 0 held -15 revenue 0 issued 0',
    '250203 earned 2025 f: 70 held 0 revenue 0 issued 70'], 'by year of issue');

-- A line for each kind, and none is left out.
select is(array(select movement(k, r) from (values ('earn', null), ('import', null), ('redeem', null), ('capture', null), ('adjust', null), ('expire', null), ('reinstate', null),
            ('hold', null), ('release', null), ('repay', null), ('extend', null), ('transfer_in', null), ('transfer_out', null),
            ('reverse', 'earn'), ('reverse', 'import'), ('reverse', 'redeem'), ('reverse', 'capture'), ('reverse', 'adjust'), ('reverse', 'transfer_in')) v (k, r)),
    array['earned', 'imported', 'redeemed', 'redeemed', 'adjusted', 'expired', 'reinstated', 'held', 'released', 'repaid', 'extended', 'transferred', 'transferred',
        'reversed', 'reversed', 'returned', 'returned', 'adjusted', 'transferred'], 'each kind of entry has its line');

-- ---------- beside a count of their own, live and summarised ----------

do $$
begin
    perform pg_temp.random_history(1200, 0.3);
    perform pg_temp.spread_postings();
    perform pg_temp.recount();
end
$$;
select is(array(select m from pg_temp.misfooted_recount() m limit 5), array[]::text[], 'the count itself comes to what the accounts say');
select is((select summarized_until from summary_state), null, 'nothing is summarised');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'what moved, reckoned at once');
select set_eq('select * from few_entry_facts(null, null)', 'select * from all_entry_facts(null)', 'entries, few or many at a time');
select set_eq('select * from few_lot_facts(null, null)', 'select * from all_lot_facts(null)', 'and lots');
prepare by_program as
select program_id, sum(entries)::numeric as entries, sum(amount) as amount, sum(held) as held, sum(debt) as debt, sum(revenue) as revenue,
    sum(members)::numeric as members, sum(accounts)::numeric as accounts from program_flow group by program_id;
prepare by_day as
select program_id, sum(entries)::numeric as entries, sum(amount) as amount, sum(held) as held, sum(debt) as debt, sum(revenue) as revenue,
    sum(members)::numeric as members, sum(accounts)::numeric as accounts from day_flow group by program_id;
select set_eq('by_program', 'by_day', 'programs are what their days come to');

create function pg_temp.summary_breaches() returns text[]
language sql as $$ select array(select format('%s: %s, not %s', invariant, expected, found) from reconcile() where invariant like '%\_summary is%') $$;
create temp table step as
select n, percentile_disc(share) within group (order by posted_at) as until
from entry, unnest(array[0.05, 0.2, 0.21, 0.5, 0.8, 0.97]) with ordinality s (share, n) group by n, share;
do $$begin perform pg_temp.summarise(until) from step where n = 1; end$$;
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'a part of it summarised');
select is(pg_temp.summary_breaches(), array[]::text[], 'which is what it should be');
select is((select sum(entries) from day_summary), (select count(*)::numeric from entry where posted_at < (select until from step where n = 1)), 'no more');
do $$begin perform pg_temp.summarise(until) from step where n = 2; end$$;
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'more of it');
do $$begin perform pg_temp.summarise(until) from (select until from step where n between 3 and 6 order by n) s; end$$;
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'nearly all of it, in steps');
select is(pg_temp.summary_breaches(), array[]::text[], 'each adds what is new');
select set_eq('by_program', 'by_day', 'and programs are what their days come to');
select is((select count(*) from (select from day_summary group by program_id, booked_on, happened_on, reported_on, movement, source, funder, partner having count(*) > 1) d),
    0::bigint, 'a key comes once, nulls or not');
select is((select count(*) from (select from cohort_summary group by program_id, issued_month, expires_month, expires, source, funder, is_sold,
            booked_month, happened_month, reported_month, movement having count(*) > 1) d),
    0::bigint, 'of cohorts as well');

-- The same, made at once.
create temp table days_in_steps as select * from day_summary;
create temp table cohorts_in_steps as select * from cohort_summary;
create temp table vintages_in_steps as select * from vintage_summary;
create temp table pending_in_steps as select * from pending_summary;
create temp table programs_in_steps as select * from program_summary;
do $$begin perform drop_summaries(); end$$;
select is((select row(s.*)::text from summary_state s), '(t,,,)', 'dropped');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'nothing is missed');
do $$begin perform pg_temp.summarise(until) from step where n = 6; end$$;
select set_eq('table day_summary', 'table days_in_steps', 'made at once: days');
select set_eq('table cohort_summary', 'table cohorts_in_steps', 'cohorts');
select set_eq('table vintage_summary', 'table vintages_in_steps', 'vintages');
select set_eq('table pending_summary', 'table pending_in_steps', 'what is pending');
select set_eq('table program_summary', 'table programs_in_steps', 'programs');

-- ---------- how far ----------

do $$begin perform drop_summaries(); end$$;
select ok(advance_summaries(), 'what is booked for good is summarised');
select is((select summarized_until from summary_state), now(), 'up to where this session''s own transaction began, which has posted');
select is((select held_up_by from summary_state), format('session %s, in a transaction since %s', pg_backend_pid(), now()), 'which holds it up');
select is((select sum(entries) from day_summary), (select count(*)::numeric from entry where posted_at < now()), 'all that was booked before');
select ok(not advance_summaries(), 'and no more');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'while what it booked is there too');
select is(pg_temp.summary_breaches(), array[]::text[], 'nothing is amiss');
do $$begin perform announce_summary(); end$$;
select cmp_ok((select min(booked_from) from program), '>', now(), 'what is posted from now on');
select cmp_ok((earn('p', 'ann', 1)).posted_at, '>=', (select booked_from from program where code = 'p'), 'is booked from now on');
select ok(not advance_summaries(), 'which a run that has announced it waits for');
do $$begin perform drop_summaries(); end$$;
select is((select count(*) from day_summary), 0::bigint, 'dropped once more');

-- ---------- another clock ----------

do $$begin perform advance_summaries(); perform alter_program('p', name => 'Points', expiry => '2 years', time_zone => 'Asia/Shanghai'); end$$;
select cmp_ok((select count(*) from day_summary), '>', 0::bigint, 'other rules leave the summaries alone');
do $$begin perform alter_program('p', time_zone => 'America/New_York'); perform pg_temp.recount(); end$$;
select is((select row(s.summarized_until, (select count(*) from day_summary), (select count(*) from pending_summary), (select count(*) from cohort_summary),
            (select count(*) from vintage_summary), (select count(*) from program_summary))::text from summary_state s),
    '(,0,0,0,0,0)', 'another time zone drops them');
select is(array(select m from pg_temp.misfooted_flows() m limit 5), array[]::text[], 'and the days are those of the new clock');

-- ---------- what does not add up is found ----------

do $$begin perform advance_summaries(); end$$;
select is(pg_temp.summary_breaches(), array[]::text[], 'nothing is amiss');
create function pg_temp.found_after(statement text) returns text[]
language plpgsql as $$
declare
    found text[];
begin
    execute statement;
    found := array(select distinct b.invariant from breaches_of_summaries(null, null) b order by 1);
    raise exception using errcode = 'TT000';
exception when sqlstate 'TT000' then
    return found;
end
$$;
select is(pg_temp.found_after(statement), array[invariant], statement)
from (values
    ('update day_summary set amount = amount + 1 where ctid = (select ctid from day_summary limit 1)', 'day_summary is what its entries add up to'),
    ('update day_summary set members = members - 1 where ctid = (select ctid from day_summary limit 1)', 'day_summary is what its entries add up to'),
    ('insert into day_summary select * from day_summary limit 1', 'day_summary is what its entries add up to'),
    ('update pending_summary set available_on = available_on + 1 where ctid = (select ctid from pending_summary limit 1)', 'pending_summary is what its entries add up to'),
    ('delete from cohort_summary where ctid = (select ctid from cohort_summary limit 1)', 'cohort_summary is what its entries add up to'),
    ('update cohort_summary set funder = ''x'' where ctid = (select ctid from cohort_summary where funder is null limit 1)', 'cohort_summary is what its entries add up to'),
    ('update vintage_summary set revenue = revenue + 0.01 where ctid = (select ctid from vintage_summary limit 1)', 'vintage_summary is what its entries add up to'),
    ('update program_summary set accounts = accounts + 1 where program_id = (select min(program_id) from program_summary)', 'program_summary is what its entries add up to'),
    ('insert into program_summary values (0, 1, 1, 1, 1, 1, 1, 1)', 'program_summary is what its entries add up to'),
    ('update program set booked_from = ''2000-01-01'' where code = ''p''', 'no entry still to come is booked before the summaries end')) v (statement, invariant);
select is((select count(*) from reconcile('p') where invariant like '%\_summary is%'), 0::bigint, 'of one program');
select is((select count(*) from reconcile('p', 'ann') where invariant like '%summar%'), 0::bigint, 'of one member nothing is said');
update day_summary set amount = amount + 1 where ctid = (select ctid from day_summary limit 1);
select is((select array_agg(invariant) from reconcile() where invariant like 'day%'), array['day_summary is what its entries add up to'], 'reconcile() says so too');

-- ---------- who may ----------

create role jifen_test_analyst;
grant usage on schema jifen to jifen_test_analyst;
grant select on program_flow, day_flow, pending_flow, cohort_flow, vintage_flow to jifen_test_analyst;
set local role jifen_test_analyst;
select throws_ok('table jifen.day_flow', '42501', null, 'a view runs its functions by the right of its reader');
reset role;
grant execute on function entry_facts, lot_facts to jifen_test_analyst;
set local role jifen_test_analyst;
select lives_ok(format('select from jifen.%I', what || '_flow'), format('who has it reads %s_flow', what)) from unnest(array['program', 'day', 'pending', 'cohort', 'vintage']) what;
select throws_ok(call, '42501', null, call || ': but no more')
from unnest(array['select jifen.advance_summaries()', 'select jifen.drop_summaries()', 'table jifen.day_summary', 'call jifen.run_summary()']) call;
reset role;
select throws_ok('call run_summary()', '2D000', null, 'run_summary() cannot run within a transaction: it commits');

-- ---------- many programs, and statistics of another time ----------

-- What was known of the journal when there were earns alone must not have every
-- entry look at every program.
do $$
begin
    perform create_program('many' || n, auto_open => true) from generate_series(1, 60) n;
    perform earn('many' || n, 'ann', 100) from generate_series(1, 60) n, generate_series(1, 5);
    analyze entry, account, program, period_change, allocation;
    perform redeem('many' || n, 'ann', 7) from generate_series(1, 60) n, generate_series(1, 5);
end
$$;
create function pg_temp.reads(query text) returns bigint
language plpgsql as $$
declare
    before bigint;
    reads constant text := $r$select sum(pg_stat_get_xact_tuples_returned(c) + pg_stat_get_xact_tuples_fetched(c))
        from unnest(array['program', 'program_pkey', 'period_change', 'period_change_pkey']::regclass[]) c$r$;
    after bigint;
begin
    execute reads into before;
    execute query;
    execute reads into after;
    return after - before;
end
$$;
select cmp_ok(pg_temp.reads(format('select count(*) from %s_facts((select min(created_at) from program), null)', what)), '<', 3000::bigint,
    what || 's: programs are looked up, not read over and over')
from unnest(array['few_entry', 'few_lot']) what;

select * from finish();
rollback;
