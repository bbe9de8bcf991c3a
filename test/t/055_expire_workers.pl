#!/usr/bin/perl
# Workers that expire side by side are cut off in the middle of a batch, again and again: every lot lapses exactly once.
use strict;
use warnings;
use IPC::Run;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = LedgerNode::start('expiring', conf => <<'CONF');
restart_after_crash = on
CONF
my $files = PostgreSQL::Test::Utils::tempdir;

# Two lots that lapse at one instant, one that lapses at another, and one that never does.
$node->safe_psql('postgres', <<'SQL');
create extension jifen;
set search_path = jifen, public;
select from create_program('shop', time_zone => 'Asia/Shanghai', auto_open => true);
select count(*) from (
    select array_agg(posting('shop', 'member ' || m, 'import', case lot when 4 then 1000 else 1 + m % 7 * lot end, event_at => '2022-01-01', expires_at => expires_at) order by m, lot) as postings
    from generate_series(1, 4000) m, unnest(array['2022-12-31 16:00Z', '2022-12-31 16:00Z', '2023-03-31 16:00Z', 'infinity']::timestamptz[])
        with ordinality lot (expires_at, lot)
    group by m / 2000) batch, post(postings);
-- What is due, to be compared with what is booked.
create table public.due as select account_id, expires_at, seq as lot_seq, remaining::bigint as amount from lot where expires_at < 'infinity';
-- Server processes of runs that wait for a table.
create view public.waiting as
select pid from pg_locks l join pg_stat_activity a using (pid)
where l.relation in ('allocation'::regclass, 'job_run'::regclass) and not l.granted and a.query like 'call jifen.run_expiry%';
SQL
my $due = $node->safe_psql('postgres', 'select count(*) from due');
my $interrupted = 0;

for my $round (1 .. 2)
{
	for my $how ('pg_terminate_backend()', 'SIGKILL')
	{
		subtest "a worker is cut off by $how, round $round" => sub {
			my @redeemers = start_redeemers();
			my $table = $round == 1 ? 'allocation' : 'job_run';
			my $locker = start_locker($table);
			my @workers = map { start_worker($_) } 1 .. 2;
			stop_in_the_middle($locker, $table, 2);
			my ($victim, $other) = split /\n/, $node->safe_psql('postgres', 'select pid from waiting order by pid');
			my $booked = lapsed();
			like($node->safe_psql('postgres', "select application_name from pg_stat_activity where pid = $victim"),
				qr/^jifen expire run \d+: [1-9]\d* accounts$/, 'pg_stat_activity says how far it is');
			if ($how eq 'SIGKILL')
			{
				ok(kill('KILL', $victim), 'a server process is killed');
				$_->finish for @workers, @redeemers;
				ok($node->poll_query_until('postgres', 'select not pg_is_in_recovery()'), 'the server recovers by itself');
				eval { $locker->quit };
				is(lapsed(), $booked, 'what was committed is there, and nothing else');
			}
			else
			{
				is(terminate_worker($victim), 't', 'a session is ended');
				$locker->query_safe('rollback');
				$locker->quit;
				$node->poll_query_until('postgres', "select (select count(*) from jifen.entry where kind = 'expire') > $booked")
				  or die 'the other worker does not go on';
				is(terminate_worker($other), 't', 'and then that of the other worker, which went on');
				$_->finish for @workers;
				stop_redeemers(@redeemers);
			}
			$interrupted += 2;
			is(duplicates(), '', 'nothing lapsed twice, and nothing that was not due');
			is(LedgerNode::breaches($node, 'postgres'), '', 'no account is half booked');
		};
	}
}

for my $setting ('statement_timeout = 5s', 'lock_timeout = 1s')
{
	subtest "a run meets $setting" => sub {
		my $locker = start_locker('allocation');
		my $worker = start_worker(1, settings => "set $setting" =~ s/(\d+s)/'$1'/r);
		stop_in_the_middle($locker, 'allocation', 1);
		my $booked = lapsed();

		$worker->finish;
		$locker->query_safe('rollback');
		$locker->quit;
		my ($name) = map { s/_/ /r } $setting =~ /^(\w+)/;
		like(slurp_file("$files/worker1.err"), qr/ERROR:  canceling statement due to $name/, 'it is told');
		is($node->safe_psql('postgres', 'select error, batches > 0, accounts > 0, ended_at is not null from jifen.job_run order by job_run_id desc limit 1'),
			"canceling statement due to $name|t|t|t", 'it is on record');
		is(lapsed(), $booked, 'what was committed stays, and nothing else');
		like(slurp_file("$files/worker1.out"), qr/^my own name$/m, 'the session has its own application_name again');
	};
}

# to the end
my @redeemers = start_redeemers();
my @workers = map { start_worker($_, max_accounts => 500) } 1 .. 2;
$_->finish for @workers;
stop_redeemers(@redeemers);
is(slurp_file("$files/worker$_.out") . slurp_file("$files/worker$_.err"), "my own name\n", "worker $_ goes on to the end") for 1 .. 2;
$node->safe_psql('postgres', q{call jifen.run_expiry()});

is($node->safe_psql('postgres', q{select count(*) from jifen.lot where expires_at < 'infinity'}), '0', 'nothing that is due is left');
is(duplicates(), '', 'nothing lapsed twice, and nothing that was not due');
is($node->safe_psql('postgres', <<'SQL'), "12000|12000|t\n8000|8000|t", 'each lot is taken by one entry, and each account has one entry for each instant');
select count(*), count(distinct (account_id, x.lot_seq)), sum(x.amount::bigint) = (select sum(amount) from due)
from jifen.entry e join jifen.allocation x using (account_id, seq) where kind = 'expire';
select count(*), count(distinct (account_id, event_at)), -sum(amount::bigint) = (select sum(amount) from due)
from jifen.entry where kind = 'expire';
SQL
is($node->safe_psql('postgres', "select sum(lots) from jifen.job_run"), $due, 'job_run counts each lot once');
is($node->safe_psql('postgres', q{select count(*) from jifen.job_run where error = 'interrupted: its session ended' and ended_at is not null}),
	$interrupted, 'and says which runs were cut off');
cmp_ok($node->safe_psql('postgres', q{select count(*) from jifen.entry where kind = 'redeem'}), '>', 20, 'members have redeemed meanwhile');
is(LedgerNode::breaches($node, 'postgres'), '', 'nothing is amiss');

done_testing();

# Starts a run, of small batches unless told otherwise, after these settings.
sub start_worker
{
	my ($number, %options) = @_;
	my $max_accounts = $options{max_accounts} // 1;
	return IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name='my own name'",
			'-c', $options{settings} // '', '-c', "call jifen.run_expiry('shop', max_accounts => $max_accounts)",
			'-c', 'show application_name' ],
		'>', "$files/worker$number.out", '2>', "$files/worker$number.err");
}

# A session that keeps workers from ending the batch at hand. They wait for the table: allocation before they
# write, with accounts locked; job_run before the COMMIT, when all is written.
sub start_locker
{
	my ($table) = @_;
	my $locker = $node->background_psql('postgres');
	$locker->query_safe("begin; lock table jifen.$table in share mode");
	return $locker;
}

# Lets so many workers book some batches, and keeps them in the middle of the next one.
sub stop_in_the_middle
{
	my ($locker, $table, $n) = @_;
	my $batches = 'select count(*) from jifen.job_run where pid in (select pid from waiting) and ended_at is null and batches > 3';

	do
	{
		$locker->query_safe("rollback; begin; lock table jifen.$table in share mode");
		$node->poll_query_until('postgres', "select count(*) = $n from waiting") or die 'the workers do not wait';
	} until $node->safe_psql('postgres', $batches) == $n;
	return;
}

sub terminate_worker
{
	my ($pid) = @_;
	return $node->safe_psql('postgres', "select pg_terminate_backend($pid, 10000)");
}

# Members who redeem of what does not lapse.
sub start_redeemers
{
	open my $script, '>', "$files/redeem.sql" or die "could not write: $!";
	print $script "\\set m random(1, 4000)\nselect from jifen.redeem('shop', 'member ' || :m, 1);\n";
	close $script;
	return IPC::Run::start(
		[ 'pgbench', '-n', '-c', 2, '-R', 100, '-T', 60, '-f', "$files/redeem.sql", $node->connstr('postgres') . q{ application_name='redeemer'} ],
		'>', "$files/redeem.out", '2>', "$files/redeem.err");
}

sub stop_redeemers
{
	my @redeemers = @_;
	$node->safe_psql('postgres', q{select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'redeemer'});
	$_->finish for @redeemers;
	return unlike(slurp_file("$files/redeem.err"), qr/ERROR/, 'no redeem was refused');
}

# How many expire entries there are.
sub lapsed
{
	return $node->safe_psql('postgres', q{select count(*) from jifen.entry where kind = 'expire'});
}

# What lapsed otherwise than once, at its instant and in full.
sub duplicates
{
	return $node->safe_psql('postgres', <<'SQL');
select account_id, e.event_at, x.lot_seq, sum(x.amount::bigint), count(*)
from jifen.entry e join jifen.allocation x using (account_id, seq) where kind = 'expire'
group by 1, 2, 3 having count(*) > 1
union all
(select account_id, e.event_at, x.lot_seq, x.amount::bigint, 1
from jifen.entry e join jifen.allocation x using (account_id, seq) where kind = 'expire'
except select account_id, expires_at, lot_seq, amount, 1 from due);
select account_id, event_at, count(*), sum(amount::bigint) from jifen.entry where kind = 'expire' group by 1, 2
having count(*) > 1 or -sum(amount::bigint) <> (select sum(amount) from due d where d.account_id = entry.account_id and d.expires_at = entry.event_at);
SQL
}
