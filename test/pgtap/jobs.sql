-- Jobs: the record of their runs.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(14);

create function pg_temp.run(run bigint) returns text
language sql as $$
    select row(r.job, r.program, r.ended_at is not null, r.batches, r.accounts, r.lots, r.holds, r.points, r.error)::text
    from job_run r where r.job_run_id = run.run
$$;

-- ---------- the record of a run ----------

create temp table started as select start_job_run('expire', 'p') as run;
select is(pg_temp.run(run), '(expire,p,f,0,0,0,0,0,)', 'a run that has begun') from started;
select is((select row(r.actor = session_user, r.pid = pg_backend_pid(), r.backend_started_at = a.backend_start,
            r.started_at between now() and clock_timestamp())::text
        from job_run r join pg_stat_activity a on a.pid = pg_backend_pid() where r.job_run_id = run),
    '(t,t,t,t)', 'who runs it, in which session, since when') from started;
do $$
begin
    perform add_to_job_run(run, 1000, 1500, 20, 12345) from started;
    perform add_to_job_run(run, 7, 8, 3, 9223372036854775807) from started;
end
$$;
select is(pg_temp.run(run), '(expire,p,f,2,1007,1508,23,9223372036854788152,)', 'its batches add up, also beyond what one account can hold') from started;
do $$begin perform end_job_run(run, null) from started; end$$;
select is(pg_temp.run(run), '(expire,p,t,2,1007,1508,23,9223372036854788152,)', 'a run that has ended well') from started;
select cmp_ok(r.ended_at, '>=', r.started_at, 'after it began') from job_run r, started where r.job_run_id = run;

create temp table failed as select start_job_run('expire', null) as run;
select isnt(f.run, s.run, 'another run has another number') from failed f, started s;
do $$begin perform end_job_run(run, 'out of luck') from failed; end$$;
select is(pg_temp.run(run), '(expire,,t,0,0,0,0,0,"out of luck")', 'a run of all programs that has failed, and why') from failed;

create temp table sealing as select start_job_run('seal', 'p') as run;
do $$begin perform add_to_job_run(run, 3000000000, 0, 0, 0) from sealing; end$$;
select is(pg_temp.run(run), '(seal,p,f,1,3000000000,0,0,0,)', 'a seal covers any number of accounts') from sealing;

-- A run whose session is gone is ended by the next one; one whose session lives is not.
create temp table open_run as select start_job_run('expire', k::text) as run, k from generate_series(1, 3) k;
update job_run r set pid = 0 from open_run o where r.job_run_id = o.run and o.k = 1;
update job_run r set backend_started_at = r.backend_started_at - interval '1 second' from open_run o where r.job_run_id = o.run and o.k = 2;
do $$begin perform start_job_run('expire', 'next'); end$$;
select is(array(select pg_temp.run(run) from open_run order by k),
    array['(expire,1,t,0,0,0,0,0,"interrupted: its session ended")', '(expire,2,t,0,0,0,0,0,"interrupted: its session ended")', '(expire,3,f,0,0,0,0,0,)'],
    'runs whose session is gone are ended when the next one begins, also where its pid is in use again');
select is(pg_temp.run(run), '(expire,,t,0,0,0,0,0,"out of luck")', 'what had ended stays as it was') from failed;

create role jifen_test_runner;
grant usage on schema jifen to jifen_test_runner;
grant execute on function start_job_run(text, text) to jifen_test_runner;
set local role jifen_test_runner;
do $$begin perform jifen.start_job_run('expire', 'by another'); end$$;
reset role;
select is((select r.actor from job_run r where r.program = 'by another'), 'jifen_test_runner', 'the role that runs it is on record');

select throws_ok(format('call %s()', procedure), '2D000', null, format('%s() cannot run within a transaction: it commits each batch', procedure))
from unnest(array['run_expiry', 'run_release', 'run_seal']) procedure;

select * from finish();
rollback;
