-- expire: books what the clock has brought about.

create function expire_batch(
    program text default null,
    as_of timestamptz default now(),
    max_accounts integer default 500,
    out accounts integer,
    out lots bigint,
    out points numeric,
    out more boolean
)
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function expire_batch(text, timestamptz, integer) is
    'Books the expiry of lots that have lapsed by as_of, of at most max_accounts accounts of the program (null: of all programs): an expire entry for each account and expiry instant, dated at that instant. Returns what it booked and whether more is left. Accounts locked by others are left for the next run. Raises JF002, 22004, 22023. Locks the accounts';

create function expire_member(program text, member text, as_of timestamptz default now()) returns point_amount
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function expire_member(text, text, timestamptz) is
    'Books the expiry of the member''s lots that have lapsed by as_of, as expire_batch() does, and returns the points. Raises JF002, JF003, 22004, 22023. Locks the account';

create function release_batch(
    program text default null,
    as_of timestamptz default now(),
    max_accounts integer default 500,
    out accounts integer,
    out holds bigint,
    out points numeric,
    out more boolean
)
language c volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function release_batch(text, timestamptz, integer) is
    'Books the release of holds whose deadline has come by as_of, of at most max_accounts accounts of the program (null: of all programs): a release entry for each hold, dated at its deadline. Returns what it booked and whether more is left. Accounts locked by others are left for the next run. Raises JF002, 22004, 22023. Locks the accounts';

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names and operators are qualified.
create procedure run_batches(
    job text,
    program text,
    as_of timestamptz,
    max_accounts integer
)
language plpgsql
as $$
declare
    run pg_catalog.int8;
    accounts pg_catalog.int8 := 0;
    batch record;
    failure pg_catalog.text;
    failure_message pg_catalog.text;
    failure_detail pg_catalog.text;
    failure_hint pg_catalog.text;
begin
    run := jifen.start_job_run(job, program);
    commit;
    loop
        -- For pg_stat_activity; the COMMIT or an error brings back the session's own.
        perform pg_catalog.set_config('application_name',
            pg_catalog.format('jifen %s run %s: %s accounts', job, run, accounts), true);
        begin
            if job operator(pg_catalog.=) 'expire' then
                select b.accounts, b.lots, 0::pg_catalog.int8 as holds, b.points, b.more into batch
                from jifen.expire_batch(program, as_of, max_accounts) b;
            else
                select b.accounts, 0::pg_catalog.int8 as lots, b.holds, b.points, b.more into batch
                from jifen.release_batch(program, as_of, max_accounts) b;
            end if;
            perform jifen.add_to_job_run(run, batch.accounts, batch.lots, batch.holds, batch.points);
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
        commit;
        accounts := accounts operator(pg_catalog.+) batch.accounts;
        exit when not batch.more;
    end loop;
    perform jifen.end_job_run(run, null);
    commit;
end
$$;

comment on procedure run_batches(text, text, timestamptz, integer) is
    'Runs the job, expire or release, batch by batch; what run_expiry() and run_release() share';

create procedure run_expiry(
    program text default null,
    as_of timestamptz default now(),
    max_accounts integer default 500
)
language plpgsql
as $$
begin
    call jifen.run_batches('expire', program, as_of, max_accounts);
end
$$;

comment on procedure run_expiry(text, timestamptz, integer) is
    'Calls expire_batch() until nothing is left, with a COMMIT after each batch, and records the run in job_run. Cannot be called within a transaction block. Raises what expire_batch() raises, after recording it';

create procedure run_release(
    program text default null,
    as_of timestamptz default now(),
    max_accounts integer default 500
)
language plpgsql
as $$
begin
    call jifen.run_batches('release', program, as_of, max_accounts);
end
$$;

comment on procedure run_release(text, timestamptz, integer) is
    'Calls release_batch() until nothing is left, with a COMMIT after each batch, and records the run in job_run. Cannot be called within a transaction block. Raises what release_batch() raises, after recording it';

revoke all on function expire_batch(text, timestamptz, integer) from public;
revoke all on function expire_member(text, text, timestamptz) from public;
revoke all on function release_batch(text, timestamptz, integer) from public;
revoke all on procedure run_batches(text, text, timestamptz, integer) from public;
revoke all on procedure run_expiry(text, timestamptz, integer) from public;
revoke all on procedure run_release(text, timestamptz, integer) from public;
