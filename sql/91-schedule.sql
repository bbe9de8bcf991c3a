-- schedule: jobs by the clock of each program, though pg_cron has one time zone for all.

create table program_schedule (
    program_id integer not null,
    job text not null,
    local_time time not null,
    primary key (program_id, job),
    constraint program_schedule_job_known check (job in ('expire', 'seal'))
);

comment on table program_schedule is 'Times of day of the programs that have their own for a job';
comment on column program_schedule.program_id is 'Program';
comment on column program_schedule.job is 'Job: expire or seal';
comment on column program_schedule.local_time is 'Time of day in the program''s time zone';

-- A claim is at work while the session that made it lives and its run has not
-- ended; one that is neither done nor at work is anybody's.
create table job_claim (
    job text not null,
    worker integer not null,
    program_id integer not null,
    due_at timestamptz not null,
    claimed_at timestamptz not null,
    done_at timestamptz,
    pid integer not null,
    backend_started_at timestamptz not null,
    primary key (job, worker, program_id)
);

comment on table job_claim is 'The latest time at which each job was due for each program, and what became of it';
comment on column job_claim.job is 'Job: expire or seal';
comment on column job_claim.worker is 'Worker of the job, from 1';
comment on column job_claim.program_id is 'Program';
comment on column job_claim.due_at is 'When the job was due';
comment on column job_claim.claimed_at is 'When a worker took it up, the last time';
comment on column job_claim.done_at is 'When its run ended well; null while it runs and after it failed';
comment on column job_claim.pid is 'Server process of the worker';
comment on column job_claim.backend_started_at is 'When that process began, which tells it from later ones of the same pid';

select pg_extension_config_dump('program_schedule', '');
select pg_extension_config_dump('job_claim', '');

-- ---------- local times ----------

-- Immutable in the sense in which timezone(text, timestamptz) is.
create function local_instant(local timestamp, time_zone text) returns timestamptz
language plpgsql immutable strict parallel safe
set search_path = jifen, pg_temp
as $$
declare
    near timestamptz := local at time zone time_zone;
    day_before timestamptz := near - interval '24 hours';
    day_after timestamptz := near + interval '24 hours';
    instant timestamptz;
    low timestamptz;
    high timestamptz;
    middle timestamptz;
begin
    -- By the offset before a change of the clock, which comes first where the
    -- clock is set back, and by the one after it.
    foreach near in array array[day_before, day_after] loop
        instant := (local - ((near at time zone time_zone) - (near at time zone 'UTC'))) at time zone 'UTC';
        if instant at time zone time_zone = local then
            return instant;
        end if;
    end loop;
    -- The clock skips it. It does so at a whole second.
    low := date_trunc('second', day_before - interval '24 hours');
    high := date_trunc('second', day_after + interval '24 hours');
    while high - low > interval '1 second' loop
        middle := low + make_interval(secs => floor(extract(epoch from high - low) / 2));
        if middle at time zone time_zone >= local then
            high := middle;
        else
            low := middle;
        end if;
    end loop;
    return high;
end
$$;

comment on function local_instant(timestamp, text) is
    'The first instant at which a clock in the time zone shows that time or, where it skips it, a later one. Raises 22023 for an unknown time zone';

create function last_due(local_time time, time_zone text, at timestamptz) returns timestamptz
language plpgsql immutable strict parallel safe
set search_path = jifen, pg_temp
as $$
declare
    today constant date := (at at time zone time_zone)::date;
    day date;
    due_at timestamptz;
begin
    -- A clock that was set back over midnight has shown tomorrow already.
    for day in select today + n from generate_series(1, -3, -1) n loop
        due_at := jifen.local_instant(day + local_time, time_zone);
        -- A day that the zone skips has no time of day.
        if due_at <= at and (jifen.local_instant(day, time_zone) at time zone time_zone)::date = day then
            return due_at;
        end if;
    end loop;
    return null;
end
$$;

comment on function last_due(time, text, timestamptz) is
    'The latest instant up to at at which the clock in the time zone came to that time of day: once a day, where the clock is set back the first time, where it skips that time when it does so. Raises 22023 for an unknown time zone';

-- ---------- what is due ----------

create function due_programs(
    job text,
    local_time time,
    worker integer default 1,
    at timestamptz default now()
) returns table (program text, due_at timestamptz, claimed_at timestamptz)
language sql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
    with own as (
        select p.program_id, p.code, p.time_zone, p.created_at, coalesce(s.local_time, due_programs.local_time) as local_time
        from jifen.program p
        left join jifen.program_schedule s on s.program_id = p.program_id and s.job = due_programs.job
    ),
    clock as materialized (
        select z.time_zone, z.local_time, jifen.last_due(z.local_time, z.time_zone, at) as due_at
        from (select distinct o.time_zone, o.local_time from own o) z
    )
    select o.code, c.due_at, l.claimed_at
    from own o
    join clock c on c.time_zone = o.time_zone and c.local_time = o.local_time
    left join jifen.job_claim l on l.job = due_programs.job and l.worker = due_programs.worker and l.program_id = o.program_id
    where c.due_at > o.created_at
        and case
            when l.due_at is null or l.due_at < c.due_at then true
            when l.due_at > c.due_at or l.done_at is not null then false
            else l.pid = pg_backend_pid()
                or not exists (select from pg_stat_activity a
                    where a.pid = l.pid and a.backend_start = l.backend_started_at)
                or exists (select from jifen.job_run r
                    where r.pid = l.pid and r.backend_started_at = l.backend_started_at
                        and r.job = l.job and r.started_at >= l.claimed_at and r.ended_at is not null)
        end
    -- What has failed waits until all others have had their turn.
    order by case when l.due_at = c.due_at then l.claimed_at end nulls first, c.due_at, o.code
$$;

comment on function due_programs(text, time, integer, timestamptz) is
    'Programs for which the worker of the job is due at that instant, in the order in which it takes them up: their time of day, by default local_time, has come in their time zone since they were created, and the worker has neither done its work since then nor is it at it. claimed_at: when it was taken up before, if that run failed. Locks nothing';

create function claim_job(job text, local_time time, worker integer, as_of timestamptz) returns text
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    due record;
begin
    perform jifen.require_writable(format('job "%s"', job));
    if num_nulls(job, local_time, worker, as_of) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of run_scheduled() must not be null',
            detail = 'job, local_time, worker and as_of need values.',
            hint = 'Leave worker and as_of out to get their defaults.';
    end if;
    if job not in ('expire', 'seal') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('unknown job "%s"', job),
            detail = 'It has no time of day.',
            hint = 'Use expire or seal; run_release() may run at any time.';
    end if;
    if as_of > clock_timestamp() then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'as_of must not be in the future',
            detail = format('It is %s.', as_of),
            hint = 'Leave it out to run what is due now.';
    end if;
    -- Who is at work, as of now and not as this transaction saw it first.
    perform pg_stat_clear_snapshot();
    for due in select d.* from jifen.due_programs(job, local_time, worker, as_of) d loop
        -- Whoever came in between has changed the row since it was judged.
        insert into jifen.job_claim as c (job, worker, program_id, due_at, claimed_at, pid, backend_started_at)
        select claim_job.job, claim_job.worker, jifen.program_id(due.program), due.due_at, clock_timestamp(), a.pid, a.backend_start
        from pg_stat_activity a where a.pid = pg_backend_pid()
        on conflict on constraint job_claim_pkey do update
        set due_at = excluded.due_at, claimed_at = excluded.claimed_at, done_at = null,
            pid = excluded.pid, backend_started_at = excluded.backend_started_at
        where c.due_at < excluded.due_at
            or (c.due_at = excluded.due_at and c.done_at is null and c.claimed_at = due.claimed_at);
        if found then
            return due.program;
        end if;
    end loop;
    return null;
end
$$;

comment on function claim_job(text, time, integer, timestamptz) is
    'Claims the first of due_programs() for this session and returns its code, null where none is due: of two callers at most one gets it. The claim lapses with the session and where its run fails. Raises 22004, 22023, 25006. Locks the claim';

create function end_claim(job text, worker integer, program text) returns void
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    update jifen.job_claim c
    set done_at = clock_timestamp()
    where c.job = end_claim.job and c.worker = end_claim.worker
        and c.program_id = jifen.program_id(end_claim.program) and c.pid = pg_backend_pid()
$$;

comment on function end_claim(text, integer, text) is
    'Records that the work is done that this session claimed';

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names and operators are qualified.
create procedure run_scheduled(
    job text,
    local_time time,
    worker integer default 1,
    as_of timestamptz default now()
)
language plpgsql
as $$
declare
    claimed pg_catalog.text;
begin
    loop
        claimed := jifen.claim_job(job, local_time, worker, as_of);
        commit;
        exit when claimed is null;
        if job operator(pg_catalog.=) 'expire' then
            call jifen.run_expiry(claimed, as_of);
        else
            call jifen.run_seal(claimed);
        end if;
        perform jifen.end_claim(job, worker, claimed);
        commit;
    end loop;
end
$$;

comment on procedure run_scheduled(text, time, integer, timestamptz) is
    'Runs the job, expire or seal, for each program whose time of day, by default local_time, has come in its time zone and for which it has not run since, and records each run in job_run. A time that was missed is made up for once. A run that fails ends the call and is tried again by the next one, after all others. Cannot be called within a transaction block. Raises 22004, 22023, 25006 and what the run raises';

create function schedule_program(
    program text,
    expiry time default null,
    seal time default null,
    unset text[] default null
) returns setof program_schedule
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    own_program integer;
begin
    perform jifen.require_writable('schedule_program()');
    own_program := jifen.program_id(program);
    if not (unset <@ array['expiry', 'seal']) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a time that cannot be unset',
            detail = format('They are %s.', unset),
            hint = 'expiry and seal can be.';
    end if;
    delete from jifen.program_schedule s
    where s.program_id = own_program and case s.job when 'expire' then 'expiry' else s.job end = any (unset);
    insert into jifen.program_schedule as s (program_id, job, local_time)
    select own_program, t.job, t.local_time
    from (values ('expire', expiry), ('seal', seal)) t (job, local_time)
    where t.local_time is not null
    on conflict on constraint program_schedule_pkey do update set local_time = excluded.local_time;
    return query select s.* from jifen.program_schedule s where s.program_id = own_program order by s.job;
end
$$;

comment on function schedule_program(text, time, time, text[]) is
    'Gives a program times of its own in its time zone for the jobs that schedule_jobs() schedules, and returns those that it has; null leaves a time as it is, and unset names those of expiry and seal that shall be as for all programs. Raises JF002, 22004, 22023, 25006';

-- ---------- pg_cron ----------

-- pg_cron is reached by dynamic SQL only: it may come and go. Its settings are
-- for superusers to see.
create function require_pg_cron(remedy text) returns void
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
declare
    cron_database text := (select setting from pg_settings where name = 'cron.database_name');
begin
    if exists (select from pg_extension where extname = 'pg_cron') then
        return;
    end if;
    raise exception using errcode = 'object_not_in_prerequisite_state',
        message = format('pg_cron is not installed in database "%s"', current_database()),
        detail = case
            when cron_database is null then 'The server has not loaded pg_cron.'
            else format('pg_cron works in database "%s", as cron.database_name says.', cron_database)
        end,
        hint = case
            when cron_database is null then
                'Add pg_cron to shared_preload_libraries, restart the server, and create the extension pg_cron in the database that cron.database_name names.'
            when cron_database = current_database() then
                'Run: create extension pg_cron;'
            else format('In database "%s" run: %s;', cron_database, remedy)
        end;
end
$$;

comment on function require_pg_cron(text) is
    'Raises 55000 unless pg_cron is installed in this database; the hint is the statement to run instead where it is installed';

create function schedule_jobs(
    expiry time default '00:10',
    release text default '* * * * *',
    seal time default '01:00',
    workers integer default 1,
    poll text default '*/5 * * * *',
    summary text default '*/5 * * * *',
    out job_name text,
    out schedule text,
    out command text,
    out job_id bigint
) returns setof record
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
declare
    names text[];
    schedules text[];
    commands text[];
begin
    if num_nonnulls(expiry, release, seal, summary) = 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'expiry, release, seal and summary must not all be null',
            detail = 'There would be nothing to schedule.',
            hint = 'unschedule_jobs() removes the jobs.';
    end if;
    if num_nulls(workers, poll) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'workers and poll must not be null',
            detail = 'They say how many sessions book what has lapsed, and when they look whether it is time.',
            hint = 'Leave them out to get their defaults.';
    end if;
    if workers not between 1 and 100 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'workers must be from 1 to 100',
            detail = format('It is %s.', workers),
            hint = 'Each worker is a session; more of them than processors gain little.';
    end if;
    select array_agg(j.name order by j.ordinal), array_agg(j.schedule order by j.ordinal), array_agg(j.command order by j.ordinal)
    into names, schedules, commands
    from (
        select n as ordinal, concat_ws(' ', 'jifen expire', nullif(n, 1)) as name, poll as schedule,
            format('call jifen.run_scheduled(''expire'', %L%s)', expiry, ', ' || nullif(n, 1)) as command
        from generate_series(1, workers) n where expiry is not null
        union all
        select 101, 'jifen release', release, 'call jifen.run_release()' where release is not null
        union all
        select 102, 'jifen seal', poll, format('call jifen.run_scheduled(''seal'', %L)', seal) where seal is not null
        union all
        select 103, 'jifen summary', summary, 'call jifen.run_summary()' where summary is not null
    ) j;
    perform jifen.require_pg_cron('select ' || (
        select string_agg(format('cron.schedule_in_database(%L, %L, %L, %L)',
            j.name || ' ' || current_database(), j.schedule, j.command, current_database()), ', ' order by j.ordinal)
        from unnest(names, schedules, commands) with ordinality j (name, schedule, command, ordinal)));
    execute $query$
        select count(cron.unschedule(j.jobid)) from cron.job j
        where j.jobname ~ '^jifen (expire( [0-9]+)?|release|seal|summary)$' and j.jobname <> all ($1)
            and j.database = current_database() and j.username = current_user
    $query$ using names;
    for job_name, schedule, command in
        select j.* from unnest(names, schedules, commands) with ordinality j (name, schedule, command, ordinal) order by j.ordinal
    loop
        execute 'select cron.schedule($1, $2, $3)' into job_id using job_name, schedule, command;
        return next;
    end loop;
end
$$;

comment on function schedule_jobs(time, text, time, integer, text, text) is
    'Schedules with pg_cron, for all programs, the booking of expiry by so many workers and the making of seals, each at a time of day in the program''s own time zone, the release of overdue holds and the making of summaries; null: not that job. release, summary, and poll, when the others look whether a program''s time has come, are cron''s five fields in pg_cron''s time zone (GMT unless set). Replaces what it scheduled before and returns the jobs. Raises 55000 with the statement to run where pg_cron lives in another database, 22004, 22023';

create function unschedule_jobs() returns integer
language plpgsql volatile parallel unsafe
set search_path = jifen, pg_temp
as $$
declare
    removed integer;
begin
    perform jifen.require_pg_cron(format(
        'select cron.unschedule(j.jobid) from cron.job j where j.jobname ~ %L and j.database = %L and j.username = current_user',
        '^jifen (expire( [0-9]+)?|release|seal|summary) ', current_database()));
    execute $query$
        select count(cron.unschedule(j.jobid)) from cron.job j
        where j.jobname ~ '^jifen (expire( [0-9]+)?|release|seal|summary)$'
            and j.database = current_database() and j.username = current_user
    $query$ into removed;
    return removed;
end
$$;

comment on function unschedule_jobs() is
    'Removes the caller''s jobs that schedule_jobs() made in this database and returns how many. Raises 55000 where pg_cron is not installed';

revoke all on function local_instant(timestamp, text) from public;
revoke all on function last_due(time, text, timestamptz) from public;
revoke all on function due_programs(text, time, integer, timestamptz) from public;
revoke all on function claim_job(text, time, integer, timestamptz) from public;
revoke all on function end_claim(text, integer, text) from public;
revoke all on procedure run_scheduled(text, time, integer, timestamptz) from public;
revoke all on function schedule_program(text, time, time, text[]) from public;
revoke all on function require_pg_cron(text) from public;
revoke all on function schedule_jobs(time, text, time, integer, text, text) from public;
revoke all on function unschedule_jobs() from public;
