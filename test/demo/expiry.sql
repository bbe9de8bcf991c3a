-- Today: what has lapsed since 28 January, an order with points, and the job that books what lapsed.

\i common.sql
\set ECHO queries

\echo :bold'== Today ==':plain'\n'
\echo 'Time has passed. What has lapsed cannot be spent, booked or not.\n'
select v.member, b.balance, b.available, b.lapsed
from (values ('mei'), ('jun'), ('lan')) v (member),
    jifen.balance('tea', v.member) b;

\echo 'Mei orders two cups for 400 points, which are held while she pays the postage.'
\echo 'One is sold out: 300 are captured, and the rest goes back to where it came from.\n'
select e.seq, e.kind, e.reference, e.amount, e.held, e.balance
from jifen.hold('tea', 'mei', 400, until => now() + interval '15 minutes',
    reference => 'W-90') e;
select e.seq, e.kind, e.reference, e.amount, e.held, e.balance, e.hold_seq
from jifen.capture('tea', 'mei', hold_seq => 18, amount => 300,
    reference => 'W-90') e;
\set ECHO none
select pg_temp.expect('the points spent and held with W-90', '1841 0',
    format('%s %s', b.balance, b.held))
from jifen.balance('tea', 'mei') b \g /dev/null
\set ECHO queries

\set ECHO none
-- The next minute, unless it is too near.
select to_char(date_trunc('minute', now() + interval '5 seconds') + interval '1 minute', 'HH24:MI') as next_minute \gset
\set ECHO queries
\echo 'pg_cron is to book what lapsed each day at a time in Shanghai: for the sake of this'
\echo 'demo at the next minute, for which it looks each minute. It makes seals at night.\n'
select * from jifen.schedule_jobs(expiry => :'next_minute', poll => '* * * * *');
