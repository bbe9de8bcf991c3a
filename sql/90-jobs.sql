-- jobs: what background runs did.

create sequence job_run_id_seq;
comment on sequence job_run_id_seq is 'Numbers of job runs';

create table job_run (
    job_run_id bigint primary key default nextval('jifen.job_run_id_seq'),
    job text not null,
    program text,
    started_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    batches integer not null default 0,
    accounts bigint not null default 0,
    lots bigint not null default 0,
    holds bigint not null default 0,
    points numeric not null default 0,
    error text,
    actor text not null,
    pid integer not null default pg_backend_pid(),
    backend_started_at timestamptz not null
);

comment on table job_run is 'Runs of the jobs: what each did, or why it ended';
comment on column job_run.job_run_id is 'Number of the run';
comment on column job_run.job is 'Job: expire, release, seal or summarize';
comment on column job_run.program is 'Program it was asked to work on; null: all';
comment on column job_run.started_at is 'When it began';
comment on column job_run.ended_at is 'When it ended; null while it runs';
comment on column job_run.batches is 'Batches committed; of seal: programs sealed; of summarize: 1, or 0 where nothing was new';
comment on column job_run.accounts is 'Accounts on which something was booked, or that a seal covers, summed over the batches';
comment on column job_run.lots is 'Lots that were booked as lapsed';
comment on column job_run.holds is 'Holds that were booked as released';
comment on column job_run.points is 'Points that were booked as lapsed or released';
comment on column job_run.error is 'Why it ended before its work was done; null if it did not';
comment on column job_run.actor is 'Role that ran it';
comment on column job_run.pid is 'Server process that ran it';
comment on column job_run.backend_started_at is 'When that process began, which tells it from later ones of the same pid';

select pg_extension_config_dump('job_run_id_seq', '');
select pg_extension_config_dump('job_run', '');

create function start_job_run(job text, program text) returns bigint
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    started bigint;
begin
    perform jifen.require_writable(format('job "%s"', job));
    update jifen.job_run r
    set ended_at = clock_timestamp(), error = 'interrupted: its session ended'
    where r.ended_at is null
        and not exists (select from pg_stat_activity a
            where a.pid = r.pid and a.backend_start = r.backend_started_at);
    insert into jifen.job_run (job, program, actor, backend_started_at)
    select start_job_run.job, start_job_run.program,
        jifen.actor(),
        a.backend_start
    from pg_stat_activity a where a.pid = pg_backend_pid()
    returning job_run_id into started;
    return started;
end
$$;

comment on function start_job_run(text, text) is
    'Records that a run of the job begins and returns its number; ends the records of runs whose session is gone';

create function add_to_job_run(run bigint, accounts bigint, lots bigint, holds bigint, points numeric) returns void
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    update jifen.job_run r
    set batches = r.batches + 1,
        accounts = r.accounts + add_to_job_run.accounts,
        lots = r.lots + add_to_job_run.lots,
        holds = r.holds + add_to_job_run.holds,
        points = r.points + add_to_job_run.points
    where r.job_run_id = run
$$;

comment on function add_to_job_run(bigint, bigint, bigint, bigint, numeric) is
    'Adds a batch to what the run did';

create function end_job_run(run bigint, error text) returns void
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    update jifen.job_run r
    set ended_at = clock_timestamp(), error = end_job_run.error
    where r.job_run_id = run
$$;

comment on function end_job_run(bigint, text) is
    'Records that the run has ended, and why if its work is not done';

create function raise_job_error(failure text, message text, detail text, hint text) returns void
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    raise exception using errcode = failure, message = message,
        detail = coalesce(nullif(detail, ''), 'The run has ended with this error; job_run keeps it.'),
        hint = coalesce(nullif(hint, ''), 'What the run committed stays booked; the next run goes on from there.');
end
$$;

comment on function raise_job_error(text, text, text, text) is
    'Raises an error that a run caught, after the run has recorded it';

revoke all on function start_job_run(text, text) from public;
revoke all on function add_to_job_run(bigint, bigint, bigint, bigint, numeric) from public;
revoke all on function end_job_run(bigint, text) from public;
revoke all on function raise_job_error(text, text, text, text) from public;
