#!/usr/bin/perl
# pg_cron runs the expiry job, in its own database and in another one, and job_run keeps what every run did or why it failed.
use strict;
use warnings;
use LedgerNode;
use Test::More;

my $node = LedgerNode::start('cron', conf => <<'CONF');
cron.database_name = 'points'
cron.use_background_workers = on
max_worker_processes = 20
CONF
my $lapsed = <<'SQL';
create extension jifen;
select jifen.create_program('shop', auto_open => true);
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

# in its own database, by a role that may do just this
$node->safe_psql('points', <<'SQL');
create role points_dba login;
grant usage on schema jifen, cron to points_dba;
grant execute on function jifen.expire_batch, jifen.release_batch, jifen.start_job_run, jifen.add_to_job_run, jifen.end_job_run,
    jifen.raise_job_error, jifen.schedule_jobs, jifen.unschedule_jobs, jifen.require_pg_cron to points_dba;
grant execute on procedure jifen.run_expiry, jifen.run_release, jifen.run_batches to points_dba;
SQL
my $schedule = q{set role points_dba; select job_name, schedule, command, job_id from jifen.schedule_jobs('* * * * *')};
my $jobs = $node->safe_psql('points', $schedule);
like($jobs, qr/^jifen expire\|\* \* \* \* \*\|call jifen\.run_expiry\(\)\|\d+\njifen release\|\* \* \* \* \*\|call jifen\.run_release\(\)\|\d+$/,
	'the jobs are scheduled');
is($node->safe_psql('points', $schedule), $jobs, 'and again, which replaces them');
is($node->safe_psql('points', 'select jobname, schedule, command, jobid from cron.job order by jobid'), $jobs, 'there are two jobs');

# in another database: the hint is a statement to run
$refusal = refusal('branch office', q{select jifen.schedule_jobs('* * * * *')});
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
like($node->safe_psql('points', $statement), qr/^\d+\|\d+$/, 'it runs');
is($node->safe_psql('points', $statement),
	$node->safe_psql('points', q{select string_agg(jobid::text, '|' order by jobid) from cron.job where database = 'branch office'}),
	'and again, which replaces it');
$refusal = refusal('branch office', 'select jifen.unschedule_jobs()');
is($refusal->{sqlstate}, '55000', 'nor can it be unscheduled from there');
like($refusal->{hint}, qr/^In database "points" run: select cron\.unschedule\('jifen expire branch office'\), cron\.unschedule\('jifen release branch office'\);$/, 'the hint says how');

# Meanwhile, what can go wrong with a run; pg_cron does not work on this database.
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
is(LedgerNode::breaches($node, 'trouble'), '', 'nothing is amiss');
eval { $_->quit } for $locker, $killed, $patient;

# pg_cron wakes on the minute.
for my $database ('points', 'branch office')
{
	ok($node->poll_query_until($database, 'select count(*) > 0 from jifen.job_run where ended_at is not null and job = $$expire$$'), "pg_cron has run the expiry in $database");
	ok($node->poll_query_until($database, 'select count(*) > 0 from jifen.job_run where ended_at is not null and holds > 0'), 'and the release of holds');
	is($node->safe_psql($database, q{select job, batches, accounts, lots, holds, points, error from jifen.job_run where job = 'expire' order by job_run_id limit 1}),
		'expire|1|5|5|0|15|', 'the one says what it did');
	is($node->safe_psql($database, q{select job, batches, accounts, lots, holds, points, error from jifen.job_run where holds > 0}),
		'release|1|1|0|1|4|', 'and so does the other');
	is($node->safe_psql($database, 'select count(*) from jifen.hold'), '0', 'the overdue hold is released');
	is($node->safe_psql($database, $lapsed_lots), '0', 'the lapsed lots are booked');
	is($node->safe_psql($database, q{select count(*), sum(amount::bigint) from jifen.entry where kind = 'expire'}), '5|-15', 'each once');
	is(LedgerNode::breaches($node, $database), '', 'nothing is amiss');
}

is($node->safe_psql('points', 'select distinct actor from jifen.job_run'), 'points_dba', 'as the role that scheduled it');

is(refusal('points', q{set role points_dba; call jifen.run_expiry('nowhere')})->{sqlstate}, 'JF002', 'a run that fails tells such a role why');
my $unschedule = 'set role points_dba; select jifen.unschedule_jobs()';
is($node->safe_psql('points', $unschedule), '2', 'the jobs are removed');
is($node->safe_psql('points', $unschedule), '0', 'once');
is($node->safe_psql('points', 'select distinct database from cron.job'), 'branch office', 'the others stay');

done_testing();

# Starts a run that waits for a lock; returns its server process.
sub waiting_run
{
	my ($session) = @_;
	my $pid = $session->query('select pg_backend_pid()');
	$session->query_until(qr/started/, "\\echo started\ncall jifen.run_expiry();\n");
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
