#!/usr/bin/perl
# A night of pg_cron, in its own database and in another one: it books what has lapsed and overdue holds and makes
# seals, each program's at its own hour, also where the server was down then; and job_run keeps what every run did or
# why it failed.
use strict;
use warnings;
use LedgerNode;
use POSIX qw(strftime);
use Test::More;
use Time::HiRes qw(sleep time);

my $node = LedgerNode::start('cron', conf => <<'CONF');
cron.database_name = 'points'
cron.use_background_workers = on
max_worker_processes = 20
CONF
# A zone in which it is about noon, so that what is a minute away is so on the same day
my $hour = (gmtime)[2] - 12;    # -12 to 11
my $zone = sprintf 'Etc/GMT%+d', $hour;
my $lapsed = <<"SQL";
create extension jifen;
select jifen.create_program('shop', auto_open => true, time_zone => '$zone');
select jifen.earn('shop', 'holder', 10), jifen.hold('shop', 'holder', 4, until => clock_timestamp() + interval '1 second');
select jifen.earn('shop', 'member ' || n, n, event_at => '2024-01-15', expiry => '1 month') from generate_series(1, 5) n;
SQL
for my $database ('points', 'branch office', 'trouble')
{
	$node->safe_psql('postgres', qq{create database "$database"});
	$node->safe_psql($database, $lapsed);
}

# not loaded by the server, whatever its settings say
my $refusal = refusal('points', 'select jifen.schedule_jobs()');
is($refusal->{sqlstate}, '55000', 'without pg_cron nothing can be scheduled');
like($refusal->{hint}, qr/^Add pg_cron to shared_preload_libraries/, 'the hint says what to do');

# loaded, but not installed in its database
$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'pg_cron'});
$node->restart;
$refusal = refusal('points', 'select jifen.schedule_jobs()');
is($refusal->{sqlstate}, '55000', 'nor before it is installed');
is($refusal->{hint}, 'Run: create extension pg_cron;', 'the hint says what to do');
$node->safe_psql('points', $refusal->{hint} =~ s/^Run: //r);

# What can go wrong with a run; pg_cron does not work on this database.
my $runs = 'select batches, accounts, lots, points, ended_at is not null, error from jifen.job_run order by job_run_id desc limit 1';
my $lapsed_lots = q{select count(*) from jifen.lot where expires_at < 'infinity'};

is(refusal('trouble', q{call jifen.run_expiry('gone')})->{sqlstate}, 'JF002', 'a run for an unknown program fails');
is($node->safe_psql('trouble', $runs), '0|0|0|0|t|unknown program "gone"', 'and says so in job_run');
is(refusal('trouble', "begin;\ncall jifen.run_expiry()")->{sqlstate}, '2D000', 'a run within a transaction block is refused');
is($node->safe_psql('trouble', 'select count(*) from jifen.job_run'), '1', 'and leaves no record');

my $locker = $node->background_psql('trouble');
$locker->query('begin; lock table jifen.lot');
is(refusal('trouble', "set lock_timeout = '100ms';\ncall jifen.run_expiry()")->{sqlstate}, '55P03', 'a run meets a lock');
is($node->safe_psql('trouble', $runs), '0|0|0|0|t|canceling statement due to lock timeout', 'and says so');
is(refusal('trouble', "set statement_timeout = '300ms';\ncall jifen.run_expiry()")->{sqlstate}, '57014', 'a run takes too long');
is($node->safe_psql('trouble', $runs), '0|0|0|0|t|canceling statement due to statement timeout', 'and says so');

my $killed = $node->background_psql('trouble', on_error_stop => 0);
my $patient = $node->background_psql('trouble');
my $killed_pid = waiting_run($killed);
my $patient_pid = waiting_run($patient);
my $runs_by = sub { $node->safe_psql('trouble', "select ended_at is not null, error from jifen.job_run where pid = $_[0]") };
is($runs_by->($killed_pid), 'f|', 'a run that works is not taken for dead by another one');
$node->safe_psql('trouble', "select pg_terminate_backend($killed_pid, 10000)");
is($runs_by->($killed_pid), 'f|', 'a killed run cannot say so');
$locker->query('rollback');
$patient->query('select 1');
is($runs_by->($patient_pid), 't|', 'the other run goes on when the lock is gone');
is($node->safe_psql('trouble', $lapsed_lots), '0', 'and books everything');
$node->safe_psql('trouble', q{call jifen.run_expiry()});
is($runs_by->($killed_pid), 't|interrupted: its session ended', 'the next run says it for the killed one');
$node->safe_psql('trouble', q{select jifen.earn('shop', 'member ' || n, n, event_at => '2024-01-15', expiry => '1 month') from generate_series(1, 5) n});
$node->safe_psql('trouble', q{call jifen.run_expiry('shop', max_accounts => 2)});
is($node->safe_psql('trouble', $runs), '3|5|5|15|t|', 'a run works in batches');

# A run by the clock: what was not done is due again, whatever the reason, and what was done is not.
my $due = q{select string_agg(program, ' ') from jifen.due_programs('expire', '00:00')};
my $claim = q{select string_agg(p.code || case when c.done_at is null then ' claimed' else ' done' end, ', ' order by p.code)
	from jifen.job_claim c join jifen.program p using (program_id) where job = 'expire'};
$node->safe_psql('trouble', <<'SQL');
select jifen.earn('shop', 'member ' || n, n, event_at => '2024-01-15', expiry => '1 month') from generate_series(1, 5) n;
select jifen.create_program('mall');
update jifen.program set created_at = '2024-01-01';
SQL
$locker->query('begin; lock table jifen.lot');
my $by_clock = q{call jifen.run_scheduled('expire', '00:00')};
is(refusal('trouble', "set lock_timeout = '100ms';\n$by_clock")->{sqlstate}, '55P03', 'a run by the clock meets a lock');
my $failed = $node->safe_psql('trouble', $claim) =~ s/ claimed$//r;
my ($other) = grep { $_ ne $failed } qw(mall shop);
is($node->safe_psql('trouble', $due), "$other $failed", 'what failed is due again, after the other');
is(refusal('trouble', "set lock_timeout = '100ms';\n$by_clock")->{sqlstate}, '55P03', 'which meets it as well');
is($node->safe_psql('trouble', $due), "$failed $other", 'each has its turn');
my $gone = $node->background_psql('trouble', on_error_stop => 0);
my $gone_pid = waiting_run($gone, $by_clock);
is($node->safe_psql('trouble', $due), $other, 'what is being run is not due');
$node->safe_psql('trouble', "select pg_terminate_backend($gone_pid, 10000)");
is($node->safe_psql('trouble', $due), "$other $failed", 'until its session is gone');
$locker->query('rollback');
$node->safe_psql('trouble', $by_clock);
is($node->safe_psql('trouble', $claim), 'mall done, shop done', 'then both are done');
is($node->safe_psql('trouble', $lapsed_lots), '0', 'and everything is booked');
my $number_of_runs = $node->safe_psql('trouble', 'select count(*) from jifen.job_run');
$node->safe_psql('trouble', $by_clock);
is($node->safe_psql('trouble', 'select count(*) from jifen.job_run'), $number_of_runs, 'once');
is(refusal('trouble', q{call jifen.run_scheduled('release', '00:00')})->{sqlstate}, '22023', 'release has no time of day');
is(refusal('trouble', "begin;\n$by_clock")->{sqlstate}, '2D000', 'a run by the clock within a transaction block is refused');
is(refusal('trouble', "set default_transaction_read_only = on;\n$by_clock")->{sqlstate}, '25006', 'and in a read-only transaction');

# Seals
my $sealing = q{select batches, accounts, ended_at is not null, error from jifen.job_run where job = 'seal' order by job_run_id desc limit 1};
$node->safe_psql('trouble', 'call jifen.run_seal()');
is($node->safe_psql('trouble', $sealing), '2|6|t|', 'a run makes a seal of each program');
$node->safe_psql('trouble', q{call jifen.run_seal('shop')});
is($node->safe_psql('trouble', $sealing), '1|6|t|', 'or of one');
is($node->safe_psql('trouble', q{select code, count(*) from jifen.seal join jifen.program using (program_id) group by 1 order by 1}), "mall|1\nshop|2", 'so many');
is(refusal('trouble', q{call jifen.run_seal('gone')})->{sqlstate}, 'JF002', 'an unknown program fails');
is($node->safe_psql('trouble', $sealing), '0|0|t|unknown program "gone"', 'and says so');
is(LedgerNode::breaches($node, 'trouble'), '', 'nothing is amiss');
eval { $_->quit } for $locker, $killed, $patient, $gone;

# The night. One program's hour comes while the server is down; that of the others in the minute after.
$node->safe_psql($_, <<"SQL") for 'points', 'branch office';
select jifen.create_program('down', auto_open => true, time_zone => 'Asia/Kathmandu');
select jifen.earn('down', 'member ' || n, n, event_at => '2024-01-15', expiry => '1 month') from generate_series(1, 3) n;
select jifen.create_program('later', time_zone => '@{[ sprintf 'Etc/GMT%+d', $hour - 1 ]}');
SQL
my $down_minute = int(time / 60) * 60 + 60;
$down_minute += 60 if $down_minute - time < 10;
my $minute = $down_minute + 60;
my $down_at = $node->safe_psql('points', "select to_char(to_timestamp($down_minute) at time zone 'Asia/Kathmandu', 'HH24:MI')");
my $at = strftime '%H:%M:00', gmtime($minute - $hour * 3600);

# in its own database, by a role that may do just this
$node->safe_psql('points', <<'SQL');
create role points_dba login;
grant usage on schema jifen, cron to points_dba;
grant execute on function jifen.expire_batch, jifen.release_batch, jifen.start_job_run, jifen.add_to_job_run, jifen.end_job_run,
    jifen.raise_job_error, jifen.claim_job, jifen.end_claim, jifen.seal(text), jifen.next_program,
    jifen.schedule_jobs, jifen.unschedule_jobs, jifen.schedule_program, jifen.require_pg_cron to points_dba;
grant execute on procedure jifen.run_expiry, jifen.run_release, jifen.run_batches, jifen.run_seal, jifen.run_scheduled, jifen.run_summary to points_dba;
grant execute on function jifen.index_new_entries, jifen.announce_summary, jifen.advance_summaries to points_dba;
SQL
is($node->safe_psql('points', q{set role points_dba; select job_name, schedule, command from jifen.schedule_jobs(workers => 3)}), <<'TEXT' =~ s/\n\z//r, 'the jobs are scheduled');
jifen expire|*/5 * * * *|call jifen.run_scheduled('expire', '00:10:00')
jifen expire 2|*/5 * * * *|call jifen.run_scheduled('expire', '00:10:00', 2)
jifen expire 3|*/5 * * * *|call jifen.run_scheduled('expire', '00:10:00', 3)
jifen release|* * * * *|call jifen.run_release()
jifen seal|*/5 * * * *|call jifen.run_scheduled('seal', '01:00:00')
jifen summary|*/5 * * * *|call jifen.run_summary()
TEXT
my $arguments = "expiry => '$at', seal => '$at', workers => 2, poll => '* * * * *', summary => '* * * * *'";
my $schedule = qq{set role points_dba; select job_name, schedule, command, job_id from jifen.schedule_jobs($arguments)};
my $jobs = $node->safe_psql('points', $schedule);
is($jobs =~ s/\|\d+$//mgr, <<"TEXT" =~ s/\n\z//r, 'and again, which replaces them');
jifen expire|* * * * *|call jifen.run_scheduled('expire', '$at')
jifen expire 2|* * * * *|call jifen.run_scheduled('expire', '$at', 2)
jifen release|* * * * *|call jifen.run_release()
jifen seal|* * * * *|call jifen.run_scheduled('seal', '$at')
jifen summary|* * * * *|call jifen.run_summary()
TEXT
is($node->safe_psql('points', $schedule), $jobs, 'and once more');
is($node->safe_psql('points', 'select jobname, schedule, command, jobid from cron.job order by jobname'), $jobs, 'there are five jobs');

# in another database: the hint is a statement to run
$refusal = refusal('branch office', "select jifen.schedule_jobs($arguments)");
is($refusal->{sqlstate}, '55000', 'from another database it cannot be scheduled');
is(refusal('branch office', <<'SQL')->{sqlstate}, '55000', 'by whomever');
grant usage on schema jifen to points_dba;
grant execute on function jifen.schedule_jobs, jifen.require_pg_cron to points_dba;
set role points_dba;
select jifen.schedule_jobs();
SQL
is($refusal->{detail}, 'pg_cron works in database "points", as cron.database_name says.', 'the detail says why');
my ($statement) = $refusal->{hint} =~ /^In database "points" run: (select cron\.schedule_in_database\(.*\), cron\.schedule_in_database\(.*\);)$/;
ok($statement, 'the hint is the statement to run there') or diag($refusal->{hint});
like($node->safe_psql('points', $statement), qr/^\d+(\|\d+){4}$/, 'it runs');
is($node->safe_psql('points', $statement),
	$node->safe_psql('points', q{select string_agg(jobid::text, '|' order by jobid) from cron.job where database = 'branch office'}),
	'and again, which replaces it');
$refusal = refusal('branch office', 'select jifen.unschedule_jobs()');
is($refusal->{sqlstate}, '55000', 'nor can it be unscheduled from there');
my ($remedy) = $refusal->{hint} =~ /^In database "points" run: (select cron\.unschedule\(.*;)$/;
ok($remedy, 'the hint says how') or diag($refusal->{hint});

is($node->safe_psql($_, qq{select job, local_time from jifen.schedule_program('down', expiry => '$down_at', seal => '$down_at')}),
	"expire|$down_at:00\nseal|$down_at:00", "$_: one program has an hour of its own") for 'points', 'branch office';
is($node->safe_psql($_, 'select count(*) from jifen.job_claim'), '0', 'no hour has come yet') for 'points', 'branch office';
cmp_ok(time, '<', $down_minute, 'in time');
$node->stop;
sleep($down_minute + 0.5 - time) if time < $down_minute + 0.5;
$node->start;
cmp_ok(time, '<', $minute, 'the server is up again before the next minute');

for my $database ('points', 'branch office')
{
	my $ended = 'select count(*) from jifen.job_claim where done_at is not null';
	ok($node->poll_query_until($database, "$ended", '6'), "pg_cron has run the jobs in $database") or diag($node->safe_psql('points', 'select command, status, return_message, start_time from cron.job_run_details'));
	ok($node->poll_query_until($database, 'select count(*) > 0 from jifen.job_run where ended_at is not null and holds > 0'), 'and the release of holds');
	is($node->safe_psql($database, q{select p.code, c.job, c.worker, extract(epoch from c.due_at)::bigint, c.claimed_at >= to_timestamp(} . $minute . q{) from jifen.job_claim c join jifen.program p using (program_id) order by 1, 2, 3}),
		<<"TEXT" =~ s/\n\z//r, 'each program at its hour, a missed one as soon as may be');
down|expire|1|$down_minute|t
down|expire|2|$down_minute|t
down|seal|1|$down_minute|t
shop|expire|1|$minute|t
shop|expire|2|$minute|t
shop|seal|1|$minute|t
TEXT
	is($node->safe_psql($database, q{select job, program, count(*), sum(lots), sum(points), max(error) from jifen.job_run where job = 'expire' group by 1, 2 order by 2}),
		"expire|down|2|3|6|\nexpire|shop|2|5|15|", 'two workers book what has lapsed');
	is($node->safe_psql($database, q{select job, program, batches, accounts, error from jifen.job_run where job = 'seal' order by 2}),
		"seal|down|1|3|\nseal|shop|1|6|", 'one makes the seals');
	is($node->safe_psql($database, q{select job, batches, accounts, lots, holds, points, error from jifen.job_run where holds > 0}),
		'release|1|1|0|1|4|', 'and the overdue hold is released');
	is($node->safe_psql($database, 'select count(*) from jifen.hold'), '0', 'which is gone');
	is($node->safe_psql($database, $lapsed_lots), '0', 'as the lapsed lots are');
	is($node->safe_psql($database, q{select count(*), sum(amount::bigint) from jifen.entry where kind = 'expire'}), '8|-21', 'each was booked once');
	is($node->safe_psql($database, q{select p.code, s.seal_no, s.accounts from jifen.seal s join jifen.program p using (program_id) order by 1}),
		"down|1|3\nshop|1|6", 'a seal each, but of the program whose hour has not come');
	is($node->safe_psql($database, qq{select count(*) from jifen.due_programs('expire', '$at')}), '0', 'nothing is due any more');
	is(LedgerNode::breaches($node, $database), '', 'nothing is amiss');
}

is($node->safe_psql('points', q{select distinct actor from jifen.job_run}), 'points_dba', 'as the role that scheduled it');

is(refusal('points', q{set role points_dba; call jifen.run_expiry('nowhere')})->{sqlstate}, 'JF002', 'a run that fails tells such a role why');
my $unschedule = 'set role points_dba; select jifen.unschedule_jobs()';
is($node->safe_psql('points', $unschedule), '5', 'the jobs are removed');
is($node->safe_psql('points', $unschedule), '0', 'once');
is($node->safe_psql('points', 'select distinct database from cron.job'), 'branch office', 'the others stay');
is($node->safe_psql('points', $remedy), "t\nt\nt\nt\nt", 'until they are removed as the hint said');
is($node->safe_psql('points', 'select count(*) from cron.job'), '0', 'none is left');

done_testing();

# Starts a run that waits for a lock; returns its server process.
sub waiting_run
{
	my ($session, $run) = @_;
	$run //= 'call jifen.run_expiry()';
	my $pid = $session->query('select pg_backend_pid()');
	$session->query_until(qr/started/, "\\echo started\n$run;\n");
	$node->poll_query_until('trouble', "select count(*) > 0 from pg_locks where pid = $pid and not granted") or die 'the run does not wait';
	return $pid;
}

# What the last of the statements is refused with.
sub refusal
{
	my ($database, $sql) = @_;
	my (undef, undef, $stderr) = $node->psql($database, "\\set VERBOSITY verbose\n$sql");
	my %refusal;
	@refusal{'sqlstate', 'message'} = $stderr =~ /ERROR:  (\w{5}): (.*)/;
	($refusal{ lc $1 } = $2) while $stderr =~ /^(DETAIL|HINT):  (.*)$/mg;
	return \%refusal;
}
