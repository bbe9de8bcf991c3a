-- The day after: what has lapsed since 28 January, and the job that books it.

\i common.sql
\set ECHO queries

\echo :bold'== Today ==':plain'\n'
\echo 'Time has passed. What has lapsed cannot be spent, booked or not.\n'
select v.member, b.balance, b.available, b.lapsed
from (values ('mei'), ('jun'), ('lan')) v (member),
    jifen.balance('tea', v.member) b;

\echo 'pg_cron is to book it, every minute for the sake of this demo.\n'
select * from jifen.schedule_jobs('* * * * *');
