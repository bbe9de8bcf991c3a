-- summary: how the sums that are kept are brought up to what is booked for good.

-- Nothing is in the way of these updates: only who holds the row of
-- summary_state writes here.
create function add_to_flows(since timestamptz, until timestamptz) returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
set enable_sort = off
set plan_cache_mode = force_custom_plan
set work_mem = '128MB'
set jit = off
as $$
#variable_conflict use_column
begin
    with fact as materialized (
        select f.* from jifen.entry_facts(add_to_flows.since, add_to_flows.until) f
    ), day as materialized (
        select row_number() over () as n, program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
            sum(entries)::bigint as entries, sum(amount) as amount, sum(held) as held, sum(debt) as debt, sum(revenue) as revenue,
            sum(members)::bigint as members, sum(accounts)::bigint as accounts
        from fact group by program_id, booked_on, happened_on, reported_on, movement, source, funder, partner
    ), updated as (
        update jifen.day_summary s
        set entries = s.entries + d.entries, amount = s.amount + d.amount, held = s.held + d.held, debt = s.debt + d.debt,
            revenue = s.revenue + d.revenue, members = s.members + d.members, accounts = s.accounts + d.accounts
        from day d
        where s.program_id = d.program_id and s.booked_on = d.booked_on and s.happened_on = d.happened_on
            and s.reported_on = d.reported_on and s.movement = d.movement and s.source is not distinct from d.source
            and s.funder is not distinct from d.funder and s.partner is not distinct from d.partner
        returning d.n
    ), inserted as (
        insert into jifen.day_summary (program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
            entries, amount, held, debt, revenue, members, accounts)
        select program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
            entries, amount, held, debt, revenue, members, accounts
        from day where n not in (select u.n from updated u)
    ), vintage as (
        insert into jifen.vintage_summary as s (program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement,
            points, held, expired, revenue, issued)
        select program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, 0, 0, 0, sum(revenue), sum(issued)
        from fact where issued_year is not null
        group by program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement
        on conflict on constraint vintage_summary_pkey do update
        set revenue = s.revenue + excluded.revenue, issued = s.issued + excluded.issued
    )
    insert into jifen.program_summary as s (program_id, entries, amount, held, debt, revenue, members, accounts)
    select program_id, sum(entries), sum(amount), sum(held), sum(debt), sum(revenue), sum(members), sum(accounts)
    from day group by program_id
    on conflict on constraint program_summary_pkey do update
    set entries = s.entries + excluded.entries, amount = s.amount + excluded.amount, held = s.held + excluded.held,
        debt = s.debt + excluded.debt, revenue = s.revenue + excluded.revenue, members = s.members + excluded.members,
        accounts = s.accounts + excluded.accounts;

    with fact as materialized (
        select f.* from jifen.lot_facts(add_to_flows.since, add_to_flows.until) f
    ), cohort as materialized (
        select row_number() over () as n, program_id, issued_month, expires_month, expires, source, funder, is_sold,
            date_trunc('month', booked_on::timestamp)::date as booked_month, date_trunc('month', happened_on::timestamp)::date as happened_month,
            date_trunc('month', reported_on::timestamp)::date as reported_month, movement, sum(points) as points, sum(held) as held
        from fact
        group by program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month, movement
    ), updated as (
        update jifen.cohort_summary s
        set points = s.points + c.points, held = s.held + c.held
        from cohort c
        where s.program_id = c.program_id and s.issued_month = c.issued_month and s.expires_month is not distinct from c.expires_month
            and s.expires = c.expires and s.source is not distinct from c.source and s.funder is not distinct from c.funder
            and s.is_sold = c.is_sold and s.booked_month = c.booked_month and s.happened_month = c.happened_month
            and s.reported_month = c.reported_month and s.movement = c.movement
        returning c.n
    ), inserted as (
        insert into jifen.cohort_summary (program_id, issued_month, expires_month, expires, source, funder, is_sold,
            booked_month, happened_month, reported_month, movement, points, held)
        select program_id, issued_month, expires_month, expires, source, funder, is_sold,
            booked_month, happened_month, reported_month, movement, points, held
        from cohort where n not in (select u.n from updated u)
    ), vintage as (
        insert into jifen.vintage_summary as s (program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement,
            points, held, expired, revenue, issued)
        select program_id, extract(year from issued_month)::integer, is_sold, booked_on, happened_on, reported_on, movement,
            sum(points), sum(held), sum(expired), 0, 0
        from fact
        group by program_id, 2, is_sold, booked_on, happened_on, reported_on, movement
        on conflict on constraint vintage_summary_pkey do update
        set points = s.points + excluded.points, held = s.held + excluded.held, expired = s.expired + excluded.expired
    )
    insert into jifen.pending_summary as s (program_id, booked_on, happened_on, reported_on, available_on, points)
    select program_id, booked_on, happened_on, reported_on, available_on, sum(points)
    from fact where available_on is not null
    group by program_id, booked_on, happened_on, reported_on, available_on
    on conflict on constraint pending_summary_pkey do update set points = s.points + excluded.points;
end
$$;

comment on function add_to_flows(timestamptz, timestamptz) is
    'Adds to the summaries of flows the entries posted from since on, up to which they reach, null: nothing yet, and before until. For advance_summaries(), which holds the row of summary_state';

-- Not TRUNCATE, here and for other topics: readers with an older snapshot find
-- what they know of.
create function drop_flows() returns void
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    delete from jifen.program_summary;
    delete from jifen.day_summary;
    delete from jifen.pending_summary;
    delete from jifen.cohort_summary;
    delete from jifen.vintage_summary;
$$;

comment on function drop_flows() is
    'Empties the summaries of flows. For drop_summaries(), which holds the row of summary_state';

-- From its commit on, no posting that has not begun to post by then books at an
-- earlier time: postings read booked_from once they hold their lock on the
-- table. A program that another session is about to change is left as it is.
-- Nobody announces while another session finds out how far it can go.
create function announce_summary() returns timestamptz
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    announced timestamptz;
begin
    -- Before the row, as alter_program() to another time zone takes them.
    lock table jifen.program in row exclusive mode;
    perform from jifen.summary_state s for update skip locked;
    if found then
        announced := clock_timestamp();
        update jifen.program p
        set booked_from = greatest(p.booked_from, announced)
        where p.program_id in (select o.program_id from jifen.program o for no key update skip locked);
    end if;
    return announced;
end
$$;

comment on function announce_summary() is
    'Has what is posted from now on booked from now on, and returns when; does nothing, and returns null, while another session summarizes. A step of run_summary(), to be committed before the next one, advance_summaries(). Locks the row of summary_state, and those of program against changes of rules';

-- How far is all that is booked committed, for good? Four readings, one after
-- the other, tell it; each entry E of a transaction T is in one of these cases.
--
--   the sessions     who is in a transaction, and since when
--   the locks        who holds the lock on program that T takes before it posts
--   the programs     what was announced: booked_from
--   the entries      on a snapshot taken after all of these
--
-- T held no lock when the locks were read, and ended before that: E is in the
-- snapshot, for a transaction's changes are seen before its locks are gone.
--
-- T held no lock when the locks were read, and took it later: it read booked_from
-- as announced, and E is booked then or later. Nobody has announced again since,
-- for that takes the row of summary_state. close_period() and reopen_period()
-- may have raised it for their program; they wait for T to end, so that E is in
-- the snapshot as well as they are. A program that was created too late to be
-- announced to has its booked_from of that, which is later than what was
-- announced, or it is among the programs read, or its creator held a lock.
--
-- T held the lock, and was in its transaction when the sessions were read: E is
-- booked when that began or later.
--
-- T held the lock, and its transaction began after the sessions were read: it
-- took the lock later still, and read what was announced.
--
-- So the least of booked_from and of the beginnings of those transactions is a
-- time before which all that is booked, and all that ever will be, is in the
-- snapshot. Where the beginning of a transaction is not to be seen (it is
-- prepared, or its session does not tell) the summaries stay where they are.
create function advance_summaries(announced timestamptz default null) returns boolean
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    since timestamptz;
    until timestamptz;
    seen_pids integer[];
    seen_starts timestamptz[];
    seen_states text[];
    holders integer[];
    writers integer[];
    is_prepared boolean;
    first record;
    last record;
    waits_for text;
begin
    perform jifen.require_writable('run_summary()');
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'active_sql_transaction',
            message = 'summaries are made in READ COMMITTED only',
            detail = format('The transaction is %s: it would not see what was committed since it began.',
                upper(current_setting('transaction_isolation'))),
            hint = 'Call run_summary(), which sees to that.';
    end if;
    select s.summarized_until into since from jifen.summary_state s for update skip locked;
    if not found then
        return false;
    end if;

    perform pg_stat_clear_snapshot();
    select array_agg(a.pid), array_agg(a.xact_start), array_agg(a.state) into seen_pids, seen_starts, seen_states
    from pg_stat_activity a;

    select array_agg(distinct l.pid) filter (where l.relation = 'jifen.program'::regclass),
        array_agg(distinct l.pid) filter (where l.relation = 'jifen.entry'::regclass),
        coalesce(bool_or(l.pid is null), false)
    into holders, writers, is_prepared
    from pg_locks l
    where l.locktype = 'relation' and l.granted
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and (l.relation = 'jifen.program'::regclass and l.mode in ('RowShareLock', 'RowExclusiveLock')
            or l.relation = 'jifen.entry'::regclass and l.mode = 'RowExclusiveLock');

    -- A session that was idle then, or not there, began later.
    select h.pid, s.xact_start, s.xact_start is null as is_unknown into first
    from unnest(holders) h (pid)
    join unnest(seen_pids, seen_starts, seen_states) s (pid, xact_start, state) on s.pid = h.pid
    where s.xact_start is not null or s.state is distinct from 'idle'
    order by s.xact_start nulls first limit 1;
    select p.code, p.booked_from into last from jifen.program p order by p.booked_from limit 1;
    until := last.booked_from;
    if is_prepared then
        waits_for := 'a prepared transaction';
        until := since;
    elsif first.is_unknown then
        waits_for := format('session %s, which does not tell since when it is in a transaction', first.pid);
        until := since;
    elsif not coalesce(writers, '{}') <@ coalesce(holders, '{}') then
        waits_for := 'a session that writes entries itself, as a restore does';
        until := since;
    elsif first.xact_start < until then
        waits_for := format('session %s, in a transaction since %s', first.pid, first.xact_start);
        until := first.xact_start;
    elsif until < announced then
        waits_for := format('program "%s", which a session is about to change', last.code);
    end if;
    -- Who began before it and posts after it has booked after it.
    until := greatest(since, until);
    if until is distinct from since then
        perform jifen.add_to_flows(since, until);
        perform jifen.add_to_settlement(since, until);
        perform jifen.add_to_behaviour(since, until);
    end if;
    update jifen.summary_state s
    set summarized_until = until, summarized_at = clock_timestamp(), held_up_by = waits_for;
    return until is distinct from since;
end
$$;

comment on function advance_summaries(timestamptz) is
    'Adds to the summaries what is booked for good, and tells whether there was any such time; does nothing while another session is at it. announced: what announce_summary() returned. The last step of run_summary(). Raises 25001 unless READ COMMITTED, 25006. Locks the row of summary_state';

-- Vacuum does this too, at times. It is left to one that is at work.
create function index_new_entries() returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
begin
    perform jifen.require_writable('index_new_entries()');
    lock table jifen.entry in share update exclusive mode nowait;
    perform brin_summarize_new_values('jifen.entry_posted');
exception when lock_not_available then
    return;
end
$$;

comment on function index_new_entries() is
    'Has the index on posted_at tell where the latest entries stand, without which all of them since the last vacuum would be read. Does nothing while a vacuum is at work. Locks entry against vacuum';

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names and operators are qualified.
create procedure run_summary()
language plpgsql
as $$
declare
    run pg_catalog.int8;
    announced pg_catalog.timestamptz;
    failure pg_catalog.text;
    failure_message pg_catalog.text;
    failure_detail pg_catalog.text;
    failure_hint pg_catalog.text;
begin
    run := jifen.start_job_run('summarize', null);
    for step in 1 .. 3 loop
        commit;
        set transaction isolation level read committed;
        begin
            if step operator(pg_catalog.=) 1 then
                perform jifen.index_new_entries();
            elsif step operator(pg_catalog.=) 2 then
                announced := jifen.announce_summary();
            elsif jifen.advance_summaries(announced) then
                perform jifen.add_to_job_run(run, 0, 0, 0, 0);
            end if;
        exception when others or query_canceled then
            get stacked diagnostics
                failure = returned_sqlstate,
                failure_message = message_text,
                failure_detail = pg_exception_detail,
                failure_hint = pg_exception_hint;
        end;
        if failure is not null then
            perform jifen.end_job_run(run, failure_message);
            commit;
            perform jifen.raise_job_error(failure, failure_message, failure_detail, failure_hint);
        end if;
    end loop;
    perform jifen.end_job_run(run, null);
    commit;
end
$$;

comment on procedure run_summary() is
    'Adds to the summaries what has been booked for good since the last run, and records the run in job_run. Postings do not wait for it, nor it for them: what transactions in flight have booked is left for the next run. Cannot be called within a transaction block. Raises 25006';

create function drop_summaries() returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
begin
    perform jifen.require_writable('drop_summaries()');
    update jifen.summary_state s set summarized_until = null, summarized_at = null, held_up_by = null;
    perform jifen.drop_flows();
    perform jifen.drop_settlement();
    perform jifen.drop_behaviour();
end
$$;

comment on function drop_summaries() is
    'Empties the summaries: the flows are reckoned from all entries until run_summary() has made them anew. Raises 25006. Locks the row of summary_state: waits for a run that is at work';

revoke all on function add_to_flows(timestamptz, timestamptz) from public;
revoke all on function drop_flows() from public;
revoke all on function announce_summary() from public;
revoke all on function advance_summaries(timestamptz) from public;
revoke all on function index_new_entries() from public;
revoke all on procedure run_summary() from public;
revoke all on function drop_summaries() from public;
