-- Schedule: which programs are due when in which zone, who takes them up, and scheduling where pg_cron is not installed.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(128);

-- ---------- the time of day ----------

-- The zones' clocks: London is set back at 01:00 UTC and forward at 01:00 UTC;
-- São Paulo was at midnight, either way; St. John's was set back at a minute
-- past midnight; Lord Howe's is by half an hour; Apia had no 30 December 2011.
create temp table expected_due (zone text, local_time time, at timestamptz, due_at timestamptz, what text);
insert into expected_due values
    ('UTC', '00:10', '2024-02-29 00:09:59.999999+00', '2024-02-28 00:10+00', 'a microsecond before'),
    ('UTC', '00:10', '2024-02-29 00:10+00', '2024-02-29 00:10+00', 'to the microsecond'),
    ('UTC', '00:10', '2024-03-01 00:00+00', '2024-02-29 00:10+00', 'a leap day'),
    ('UTC', '00:00', '2024-03-01 00:00+00', '2024-03-01 00:00+00', 'midnight'),
    ('UTC', '24:00', '2024-03-01 00:00+00', '2024-03-01 00:00+00', 'the end of a day'),
    ('UTC', '23:59:59.999999', '2024-03-01 00:00+00', '2024-02-29 23:59:59.999999+00', 'the last microsecond of a day'),
    ('Asia/Shanghai', '00:10', '2024-01-01 16:09+00', '2023-12-31 16:10+00', 'a day begins the evening before in UTC'),
    ('Asia/Shanghai', '00:10', '2024-01-01 16:10+00', '2024-01-01 16:10+00', 'and that day comes'),
    ('Asia/Shanghai', '23:30', '2024-01-01 15:29+00', '2023-12-31 15:30+00', 'nearly the same day'),
    ('Asia/Kathmandu', '00:10', '2024-01-01 18:24+00', '2023-12-31 18:25+00', 'an offset of 5:45'),
    ('Asia/Kathmandu', '00:10', '2024-01-01 18:25+00', '2024-01-01 18:25+00', 'at its minute'),
    ('Pacific/Kiritimati', '00:10', '2024-01-01 10:10+00', '2024-01-01 10:10+00', '14 hours ahead'),
    ('Etc/GMT+12', '00:10', '2024-01-01 12:10+00', '2024-01-01 12:10+00', '12 hours behind'),
    ('America/New_York', '00:10', '2024-07-01 04:10+00', '2024-07-01 04:10+00', 'summer'),
    ('America/New_York', '00:10', '2024-12-01 05:10+00', '2024-12-01 05:10+00', 'winter'),
    ('America/New_York', '02:30', '2024-03-10 06:59+00', '2024-03-09 07:30+00', 'before the clock skips it'),
    ('America/New_York', '02:30', '2024-03-10 07:00+00', '2024-03-10 07:00+00', 'as it does'),
    ('America/New_York', '02:30', '2024-03-10 07:30+00', '2024-03-10 07:00+00', 'half an hour later nothing new'),
    ('America/New_York', '02:30', '2024-03-11 06:30+00', '2024-03-11 06:30+00', 'the day after at its time'),
    ('America/New_York', '01:30', '2024-11-03 05:30+00', '2024-11-03 05:30+00', 'the first of two'),
    ('America/New_York', '01:30', '2024-11-03 06:30+00', '2024-11-03 05:30+00', 'not the second'),
    ('Europe/London', '01:30', '2023-10-29 00:29+00', '2023-10-28 00:30+00', 'before the first of two'),
    ('Europe/London', '01:30', '2023-10-29 00:30+00', '2023-10-29 00:30+00', 'at the first of two'),
    ('Europe/London', '01:30', '2023-10-29 01:15+00', '2023-10-29 00:30+00', 'between them, the clock shows less'),
    ('Europe/London', '01:30', '2023-10-29 01:30+00', '2023-10-29 00:30+00', 'at the second'),
    ('Europe/London', '01:30', '2023-10-30 01:29+00', '2023-10-29 00:30+00', '25 hours make the day'),
    ('Europe/London', '01:30', '2023-10-30 01:30+00', '2023-10-30 01:30+00', 'the next day once more'),
    ('Europe/London', '01:30', '2023-03-26 00:59+00', '2023-03-25 01:30+00', 'before the clock skips it'),
    ('Europe/London', '01:30', '2023-03-26 01:00+00', '2023-03-26 01:00+00', 'as it does'),
    ('Europe/London', '01:00', '2023-03-26 01:00+00', '2023-03-26 01:00+00', 'the very time that is skipped first'),
    ('Europe/London', '02:00', '2023-03-26 01:00+00', '2023-03-26 01:00+00', 'and the first that is not'),
    ('America/Sao_Paulo', '00:10', '2018-11-04 02:59+00', '2018-11-03 03:10+00', 'before a midnight that is skipped'),
    ('America/Sao_Paulo', '00:10', '2018-11-04 03:00+00', '2018-11-04 03:00+00', 'at the jump'),
    ('America/Sao_Paulo', '00:00', '2018-11-04 03:00+00', '2018-11-04 03:00+00', 'midnight itself'),
    ('America/Sao_Paulo', '00:10', '2018-11-05 02:09+00', '2018-11-04 03:00+00', 'until the next day'),
    ('America/Sao_Paulo', '00:10', '2018-11-05 02:10+00', '2018-11-05 02:10+00', 'at its time'),
    ('America/Sao_Paulo', '23:30', '2018-02-18 01:30+00', '2018-02-18 01:30+00', 'the first 23:30 of two'),
    ('America/Sao_Paulo', '23:30', '2018-02-18 02:30+00', '2018-02-18 01:30+00', 'not the second'),
    ('America/Sao_Paulo', '00:10', '2018-02-18 02:15+00', '2018-02-17 02:10+00', 'the day before is not over yet'),
    ('America/Sao_Paulo', '00:10', '2018-02-18 03:10+00', '2018-02-18 03:10+00', 'now it is'),
    ('America/St_Johns', '00:00', '2006-10-29 02:30+00', '2006-10-29 02:30+00', 'a midnight'),
    ('America/St_Johns', '00:00', '2006-10-29 02:45+00', '2006-10-29 02:30+00', 'after which the day before goes on'),
    ('America/St_Johns', '00:00', '2006-10-29 03:30+00', '2006-10-29 02:30+00', 'and has another one'),
    ('America/St_Johns', '00:10', '2006-10-29 03:40+00', '2006-10-29 03:40+00', 'which alone the rest of the day follows'),
    ('Australia/Lord_Howe', '01:45', '2024-04-06 15:20+00', '2024-04-06 14:45+00', 'the first of two, half an hour apart'),
    ('Australia/Lord_Howe', '02:15', '2024-10-05 15:29+00', '2024-10-04 15:45+00', 'before a jump of half an hour'),
    ('Australia/Lord_Howe', '02:15', '2024-10-05 15:30+00', '2024-10-05 15:30+00', 'as it jumps'),
    ('Pacific/Apia', '00:10', '2011-12-30 09:59+00', '2011-12-29 10:10+00', 'the last minute of 29 December'),
    ('Pacific/Apia', '00:10', '2011-12-30 10:00+00', '2011-12-29 10:10+00', 'a day that is skipped has no time of day'),
    ('Pacific/Apia', '00:10', '2011-12-30 10:10+00', '2011-12-30 10:10+00', '31 December has'),
    ('Pacific/Apia', '12:00', '2011-12-30 21:59+00', '2011-12-29 22:00+00', 'at noon, the day before it'),
    ('Pacific/Apia', '12:00', '2011-12-30 22:00+00', '2011-12-30 22:00+00', 'and the day after'),
    ('America/Toronto', '23:45', '1919-03-31 04:30+00', '1919-03-31 04:30+00', 'a jump over midnight: the day''s time all the same'),
    ('America/Toronto', '00:10', '1919-03-31 04:30+00', '1919-03-31 04:30+00', 'and the next day''s');
select is(last_due(local_time, zone, at), due_at, format('%s, %s at %s: %s', zone, local_time, at, what)) from expected_due;
select is(local_instant(timestamp '2023-10-29 01:30', 'Europe/London'), '2023-10-29 00:30+00'::timestamptz, 'a local time that comes twice is its first');
select throws_ok($$select last_due('00:10', 'Mars/Olympus', now())$$, '22023', null, 'an unknown zone');

-- Once a day, whatever the clock does: looking each quarter of an hour.
select is((select count(distinct last_due(local_time, zone, at)) from generate_series(start, start + interval '10 days' - interval '15 minutes', interval '15 minutes') at),
    11::bigint, format('%s: %s once before and ten times in ten days from %s', zone, local_time, start))
from (values ('America/Sao_Paulo', timestamptz '2018-10-30 12:00+00'), ('Pacific/Apia', '2011-12-25 12:00+00'),
        ('Europe/London', '2023-10-24 12:00+00'), ('America/St_Johns', '2006-10-24 12:00+00')) z (zone, start),
    unnest(array['00:00', '00:10', '01:30', '23:30']::time[]) local_time;

-- ---------- the programs that are due ----------

do $$
begin
    perform create_program('shanghai', time_zone => 'Asia/Shanghai'), create_program('london', time_zone => 'Europe/London'),
        create_program('sao paulo', time_zone => 'America/Sao_Paulo'), create_program('new york', time_zone => 'America/New_York');
    update program set created_at = '2018-01-01';
end
$$;
create function pg_temp.due(job text, at timestamptz, worker integer default 1) returns text[]
language sql as $$
    select array(select format('%s %s', program, to_char(due_at, 'MM-DD HH24:MI')) from due_programs(job, '00:10', worker, at))
$$;
create function pg_temp.claim(job text, at timestamptz, worker integer default 1) returns text
language sql as $$ select claim_job(job, '00:10', worker, at) $$;
create function pg_temp.done(job text, program text, worker integer default 1) returns void
language sql as $$ select end_claim(job, worker, program) $$;
select is(pg_temp.due('expire', '2024-07-01 16:30+00'),
    array['london 06-30 23:10', 'sao paulo 07-01 03:10', 'new york 07-01 04:10', 'shanghai 07-01 16:10'], 'each program by its own clock, what waits longest first');
select is(pg_temp.due('expire', '2018-01-01 05:00+00'), array['london 01-01 00:10', 'sao paulo 01-01 02:10'], 'none by a time before it was created');
select is(pg_temp.due('seal', '2024-07-01 16:30+00'), pg_temp.due('expire', '2024-07-01 16:30+00'), 'each job for itself');

select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), 'london', 'the first is claimed');
select pg_temp.done('expire', 'london');
select is(pg_temp.due('expire', '2024-07-01 16:30+00'), array['sao paulo 07-01 03:10', 'new york 07-01 04:10', 'shanghai 07-01 16:10'], 'and when done not due any more');
select is(pg_temp.due('expire', '2024-07-01 23:09+00'), array['sao paulo 07-01 03:10', 'new york 07-01 04:10', 'shanghai 07-01 16:10'], 'for the rest of its day');
select is(pg_temp.due('expire', '2024-07-01 23:10+00'), array['sao paulo 07-01 03:10', 'new york 07-01 04:10', 'shanghai 07-01 16:10', 'london 07-01 23:10'],
    'until that has passed');
select is(pg_temp.due('expire', '2024-07-01 16:30+00', 2), array['london 06-30 23:10', 'sao paulo 07-01 03:10', 'new york 07-01 04:10', 'shanghai 07-01 16:10'], 'another worker has its own share');
select is(pg_temp.due('seal', '2024-07-01 16:30+00'), pg_temp.due('expire', '2024-07-01 16:30+00', 2), 'so has another job');

-- A claim is at work while its session lives and its run has not ended.
select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), 'sao paulo', 'the next is claimed');
select is((pg_temp.due('expire', '2024-07-01 16:30+00')), array['new york 07-01 04:10', 'shanghai 07-01 16:10', 'sao paulo 07-01 03:10'],
    'this session is not at work on it, as it asks: what was tried comes last');
update job_claim c set pid = a.pid, backend_started_at = a.backend_start
from pg_stat_activity a where a.backend_type = 'checkpointer' and program_id = program_id('sao paulo');
select is((pg_temp.due('expire', '2024-07-01 16:30+00')), array['new york 07-01 04:10', 'shanghai 07-01 16:10'], 'another session that lives is');
insert into job_run (job, program, started_at, ended_at, error, actor, pid, backend_started_at)
select 'expire', 'sao paulo', clock_timestamp(), clock_timestamp(), 'failed', 'x', pid, backend_started_at from job_claim where program_id = program_id('sao paulo');
select is((pg_temp.due('expire', '2024-07-01 16:30+00')), array['new york 07-01 04:10', 'shanghai 07-01 16:10', 'sao paulo 07-01 03:10'],
    'unless its run has ended without being done');
delete from job_run where program = 'sao paulo';
update job_claim c set backend_started_at = backend_started_at - interval '1 second' where program_id = program_id('sao paulo');
select is((pg_temp.due('expire', '2024-07-01 16:30+00')), array['new york 07-01 04:10', 'shanghai 07-01 16:10', 'sao paulo 07-01 03:10'],
    'nor is one that is gone, also where its pid is in use again');

-- Who fails keeps nobody waiting.
select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), 'new york', 'others come first');
select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), 'shanghai', 'all of them');
select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), 'sao paulo', 'then what failed first');
select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), 'new york', 'and so on in turn');
select pg_temp.done('expire', p.code) from program p where code in ('sao paulo', 'new york', 'shanghai');
select is(pg_temp.claim('expire', '2024-07-01 16:30+00'), null, 'until all are done');
select is((select row(c.due_at, c.done_at >= c.claimed_at, c.pid = pg_backend_pid())::text from job_claim c where program_id = program_id('shanghai')),
    '("2024-07-01 16:10:00+00",t,t)', 'which is on record');

-- What was missed is made up for once.
select is(pg_temp.due('expire', '2024-07-11 12:00+00'),
    array['shanghai 07-10 16:10', 'london 07-10 23:10', 'sao paulo 07-11 03:10', 'new york 07-11 04:10'], 'ten days later each is due, by the latest time');
do $$
declare
    claimed text;
begin
    loop
        claimed := claim_job('expire', '00:10', 1, '2024-07-11 12:00+00');
        exit when claimed is null;
        perform end_claim('expire', 1, claimed);
    end loop;
end
$$;
select is(pg_temp.due('expire', '2024-07-11 12:00+00'), '{}', 'once');
select is(pg_temp.due('expire', '2024-07-01 16:30+00'), '{}', 'an earlier instant does not bring it back');

-- A program that comes later, in whatever zone
do $$
begin
    perform create_program('apia', time_zone => 'Pacific/Apia');
    update program set created_at = '2024-07-11 11:00+00' where code = 'apia';
end
$$;
select is(pg_temp.due('expire', '2024-07-11 12:00+00'), array['apia 07-11 11:10'], 'a new program is included by itself');
do $$begin perform alter_program('apia', time_zone => 'Asia/Kathmandu'); end$$;
select is(pg_temp.due('expire', '2024-07-11 12:00+00'), '{}', 'a program''s zone is the one that it has now');
select is(pg_temp.due('expire', '2024-07-11 18:25+00'), array['shanghai 07-11 16:10', 'apia 07-11 18:25'], 'whose day begins at another time');

-- Times of its own
select is(array(select format('%s %s', s.job, s.local_time) from schedule_program('shanghai', expiry => '04:00') s), array['expire 04:00:00'], 'a program gets a time of its own');
select is(pg_temp.due('expire', '2024-07-11 19:59+00'), array['shanghai 07-10 20:00', 'apia 07-11 18:25'], 'by which it is due, as that has come since its last run');
select is(pg_temp.due('expire', '2024-07-11 20:00+00'), array['apia 07-11 18:25', 'shanghai 07-11 20:00'], 'and every day');
select is(array(select format('%s %s', s.job, s.local_time) from schedule_program('shanghai', seal => '05:00') s), array['expire 04:00:00', 'seal 05:00:00'], 'one for each job');
select is(array(select format('%s %s', s.job, s.local_time) from schedule_program('shanghai', expiry => '03:00') s), array['expire 03:00:00', 'seal 05:00:00'], 'which can be changed');
select is(array(select format('%s %s', s.job, s.local_time) from schedule_program('shanghai', unset => array['expiry']) s), array['seal 05:00:00'], 'and taken back');
select is(pg_temp.due('expire', '2024-07-11 16:10+00'), array['shanghai 07-11 16:10'], 'then it is due with all others');
select throws_ok($$select schedule_program('nowhere')$$, 'JF002', null, 'an unknown program');
select throws_ok($$select schedule_program('london', unset => array['release'])$$, '22023', 'a time that cannot be unset', 'a job without a time of day');

select throws_ok($$select claim_job('release', '00:10', 1, now())$$, '22023', 'unknown job "release"', 'release has no time of day');
select throws_ok($$select claim_job('expire', '00:10', 1, now() + interval '1 hour')$$, '22023', 'as_of must not be in the future', 'nothing is run ahead of its time');
select throws_ok(format('select claim_job(%s)', arguments), '22004', 'an argument of run_scheduled() must not be null', arguments)
from unnest(array['null, ''00:10'', 1, now()', '''expire'', null, 1, now()', '''expire'', ''00:10'', null, now()', '''expire'', ''00:10'', 1, null']) arguments;
select throws_ok($$call run_scheduled('expire', '00:10')$$, '2D000', null, 'run_scheduled() cannot run within a transaction');

-- ---------- pg_cron ----------

select hasnt_extension('pg_cron', 'pg_cron is not installed here');

create function pg_temp.refusal(statement text, out state text, out message text, out detail text, out hint text)
language plpgsql as $$
begin
    execute statement;
exception when others then
    get stacked diagnostics state = returned_sqlstate, message = message_text, detail = pg_exception_detail, hint = pg_exception_hint;
end
$$;
select is(array[r.state, r.message, r.detail],
    array['55000', format('pg_cron is not installed in database "%s"', current_database()),
        case when current_setting('cron.database_name', true) is null then 'The server has not loaded pg_cron.'
            else format('pg_cron works in database "%s", as cron.database_name says.', current_setting('cron.database_name')) end],
    statement || ' says what is missing')
from unnest(array['select schedule_jobs()', 'select schedule_jobs(''03:00'')', 'select schedule_jobs(release => ''0 3 * * *'')', 'select unschedule_jobs()']) statement, pg_temp.refusal(statement) r;

create function pg_temp.remedy(statement text) returns text
language sql as $$
    select case when current_setting('cron.database_name', true) is null
            then 'Add pg_cron to shared_preload_libraries, restart the server, and create the extension pg_cron in the database that cron.database_name names.'
        when current_setting('cron.database_name') = current_database() then 'Run: create extension pg_cron;'
        else format('In database "%s" run: %s;', current_setting('cron.database_name'), replace(statement, '(this)', current_database())) end
$$;
select is((pg_temp.refusal(call)).hint, pg_temp.remedy(statement), call || ': what to do about it')
from (values
    ('select schedule_jobs(''03:00'', ''7 * * * *'', workers => 2)',
        'select cron.schedule_in_database(''jifen expire (this)'', ''*/5 * * * *'', ''call jifen.run_scheduled(''''expire'''', ''''03:00:00'''')'', ''(this)''), '
        'cron.schedule_in_database(''jifen expire 2 (this)'', ''*/5 * * * *'', ''call jifen.run_scheduled(''''expire'''', ''''03:00:00'''', 2)'', ''(this)''), '
        'cron.schedule_in_database(''jifen release (this)'', ''7 * * * *'', ''call jifen.run_release()'', ''(this)''), '
        'cron.schedule_in_database(''jifen seal (this)'', ''*/5 * * * *'', ''call jifen.run_scheduled(''''seal'''', ''''01:00:00'''')'', ''(this)''), '
        'cron.schedule_in_database(''jifen summary (this)'', ''*/5 * * * *'', ''call jifen.run_summary()'', ''(this)'')'),
    ('select schedule_jobs(null, null, ''04:30'', poll => ''*/15 * * * *'')',
        'select cron.schedule_in_database(''jifen seal (this)'', ''*/15 * * * *'', ''call jifen.run_scheduled(''''seal'''', ''''04:30:00'''')'', ''(this)''), '
        'cron.schedule_in_database(''jifen summary (this)'', ''*/5 * * * *'', ''call jifen.run_summary()'', ''(this)'')'),
    ('select unschedule_jobs()',
        'select cron.unschedule(j.jobid) from cron.job j where j.jobname ~ ''^jifen (expire( [0-9]+)?|release|seal|summary) '' and j.database = ''(this)'' and j.username = current_user')
    ) v (call, statement);
select throws_ok($$select schedule_jobs(null, null, null, summary => null)$$, '22004', 'expiry, release, seal and summary must not all be null', 'nothing to schedule');
select throws_ok(call, '22004', 'workers and poll must not be null', call)
from unnest(array['select schedule_jobs(workers => null)', 'select schedule_jobs(poll => null)']) call;
select throws_ok(format('select schedule_jobs(workers => %s)', workers), '22023', 'workers must be from 1 to 100', workers || ' workers')
from unnest(array[0, -1, 101]) workers;

select * from finish();
rollback;
