-- The books once pg_cron has posted the expiry: finance's view of the year.

\i common.sql
\set ECHO queries

select job, started_at::time(0) as started, ended_at - started_at as took,
    accounts, lots, holds, points, error
from jifen.job_run order by job_run_id;
select jifen.unschedule_jobs();

\echo 'What it posted: entries dated at the instants at which the points lapsed.\n'
select a.member, e.seq, e.kind, e.amount, e.balance, e.event_at
from jifen.entry e join jifen.account a using (account_id)
where e.kind = 'expire'
order by e.event_at, a.member;
\set ECHO none
select pg_temp.expect('the state of the job', 'no error',
    coalesce(string_agg(error, ', '), 'no error')) from jifen.job_run \g /dev/null
-- What was left of the credits that had lapsed: they, less what others took.
select pg_temp.expect('the points that the job booked',
    (sum(c.amount) - coalesce(sum(t.amount), 0))::text,
    (select sum(points)::text from jifen.job_run))
from jifen.entry c
cross join lateral (select sum(a.amount) as amount
    from jifen.allocation a join jifen.entry e on e.account_id = a.account_id and e.seq = a.seq
    where a.account_id = c.account_id and a.lot_seq = c.seq and e.kind <> 'expire') t
where c.kind = 'earn' and c.expires_at <= (select max(started_at) from jifen.job_run) \g /dev/null
select pg_temp.expect('the expiry of mei''s 33 points',
    (select format('%s-02-01 00:00:00 -33', extract(year from max(paid_at))) from orders),
    min(format('%s %s', event_at::timestamp, amount)))
from jifen.statement('tea', 'mei') where kind = 'expire' \g /dev/null
\set ECHO queries

\echo :bold'== The books ==':plain'\n'
\echo 'The liability by the month in which it lapses; the last line never does.\n'
select expires_month, points, lapsed, face_value, currency
from jifen.liability_by_expiry
where program = 'tea'
order by expires_month;

select sum(points) as points, sum(face_value) as face_value,
    (select sum(balance) from jifen.account) as sum_of_balances
from jifen.liability_by_expiry \gset
\echo '\nPoints owed:' :points', worth' :face_value 'CNY. Sum of the balances:' :sum_of_balances'.\n'
\set ECHO none
select pg_temp.expect('the liability', :'sum_of_balances', :'points') \g /dev/null
select pg_temp.expect('some points are left', 'true', (:points > 0)::text) \g /dev/null
\set ECHO queries

\echo 'Mei''s statement.\n'
select event_at::date as day, kind, amount, held, balance,
    coalesce(reference, source, reason) as what, expires_at::date
from jifen.statement('tea', 'mei');

\echo 'Every entry, lot and balance checked against each other.\n'
select count(*) as breaches from jifen.reconcile() \gset
\echo '\n':bold:breaches 'breaches':plain'\n'
\set ECHO none
select :breaches > 0 as broken \gset
\if :broken
select * from jifen.reconcile();
\endif
select pg_temp.expect('the reconciliation', '0', :'breaches') \g /dev/null
