-- expire: books what has lapsed.

create function expire_batch(
    program text default null,
    as_of timestamptz default now(),
    max_accounts integer default 1000,
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

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names are qualified, and no operator used.
create procedure run_expiry(
    program text default null,
    as_of timestamptz default now(),
    max_accounts integer default 1000
)
language plpgsql
as $$
declare
    run pg_catalog.int8;
    batch record;
    failure pg_catalog.text;
    failure_message pg_catalog.text;
    failure_detail pg_catalog.text;
    failure_hint pg_catalog.text;
begin
    run := jifen.start_job_run('expire', program);
    commit;
    loop
        begin
            select * into batch from jifen.expire_batch(program, as_of, max_accounts);
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
        perform jifen.add_to_job_run(run, batch.accounts, batch.lots, batch.points);
        commit;
        exit when not batch.more;
    end loop;
    perform jifen.end_job_run(run, null);
    commit;
end
$$;

comment on procedure run_expiry(text, timestamptz, integer) is
    'Calls expire_batch() until nothing is left, with a COMMIT after each batch, and records the run in job_run. Cannot be called within a transaction block. Raises what expire_batch() raises, after recording it';

revoke all on function expire_batch(text, timestamptz, integer) from public;
revoke all on procedure run_expiry(text, timestamptz, integer) from public;
