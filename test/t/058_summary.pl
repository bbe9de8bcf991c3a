#!/usr/bin/perl
# Summaries are made while sessions post: what is kept and what was booked since come to all entries at any time, whoever
# is in the way, and none is ever counted twice or left out.
use strict;
use warnings;
use IPC::Run;
use LedgerNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = LedgerNode::start('summarizing', streaming => 1, conf => <<'CONF');
max_prepared_transactions = 5
max_connections = 40
restart_after_crash = on
CONF
my $files = PostgreSQL::Test::Utils::tempdir;

# What the flows say and what the entries of the same snapshot come to, where they differ.
my $differing = <<'SQL';
select count(*) from (
    select program_id, booked_on, happened_on, reported_on, movement, source, funder, partner
    from (
        select program_id, booked_on, happened_on, reported_on, movement, source, funder, partner, entries, amount, held, debt, revenue, members, accounts from day_flow
        union all
        select program_id, booked_on, happened_on, reported_on, movement, source, funder, partner, -entries, -amount, -held, -debt, -revenue, -members, -accounts
        from all_entry_facts(null)
    ) f group by 1, 2, 3, 4, 5, 6, 7, 8
    having sum(entries) <> 0 or sum(amount) <> 0 or sum(held) <> 0 or sum(debt) <> 0 or sum(revenue) <> 0 or sum(members) <> 0 or sum(accounts) <> 0
    union all
    select program_id, issued_month, expires_month, booked_month, movement, expires, source, funder
    from (
        select program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month, movement, points, held from cohort_flow
        union all
        select program_id, issued_month, expires_month, expires, source, funder, is_sold, date_trunc('month', booked_on)::date, date_trunc('month', happened_on)::date,
            date_trunc('month', reported_on)::date, movement, -points, -held
        from all_lot_facts(null)
    ) f group by program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month, movement
    having sum(points) <> 0 or sum(held) <> 0
    union all
    select program_id, booked_on, happened_on, reported_on, movement, null, null, null
    from (
        select program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, points, held, revenue, issued from vintage_flow
        union all
        select program_id, extract(year from issued_month)::int, is_sold, booked_on, happened_on, reported_on, movement, -points, -held, 0, 0 from all_lot_facts(null)
        union all
        select program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, 0, 0, -revenue, -issued from all_entry_facts(null) where issued_year is not null
    ) f group by program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement
    having sum(points) <> 0 or sum(held) <> 0 or sum(revenue) <> 0 or sum(issued) <> 0
    union all
    select program_id, booked_on, happened_on, reported_on, null, null, null, null
    from (
        select program_id, booked_on, happened_on, reported_on, available_on, points from pending_flow
        union all
        select program_id, booked_on, happened_on, reported_on, available_on, -points from all_lot_facts(null) where available_on is not null
    ) f group by program_id, booked_on, happened_on, reported_on, available_on having sum(points) <> 0
    union all
    select program_id, null, null, null, null, null, null, null
    from (
        select program_id, entries, amount, members from program_flow
        union all
        select program_id, -entries, -amount, -members from all_entry_facts(null)
    ) f group by program_id having sum(entries) <> 0 or sum(amount) <> 0 or sum(members) <> 0
) d
SQL

$node->safe_psql('postgres', <<SQL);
create extension jifen;
create view public.differing as @{[ $differing =~ s/\b(day|cohort|vintage|pending|program)_flow/jifen.$1_flow/gr =~ s/\ball_(entry|lot)_facts/jifen.all_$1_facts/gr ]};
alter database postgres set search_path = jifen, public;
SQL
$node->safe_psql('postgres', <<'SQL');
select from create_program('shop', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', auto_open => true, overdraft => 'debt', late_postings => 'book');
select from create_program('air', time_zone => 'America/New_York', expiry => '6 months inactive', auto_open => true, overdraft => 'forgive');
select count(earn(p, 'member ' || n, 1000 + n, event_at => now() - n * interval '1 day', source => (array['app', 'till', null])[1 + n % 3], revenue => n % 5,
    funder => case n % 4 when 0 then 'bank' end, available_at => case n % 5 when 0 then now() + interval '3 days' end))
from generate_series(1, 40) n, unnest('{shop,air}'::text[]) p;
SQL
run();
is(state(), 't|', 'the first run summarises what there is');
is(differing(), '0', 'and nothing differs');

subtest 'sessions post while others summarise and read' => sub {
	my $script = "$files/post.sql";
	open my $file, '>', $script or die "could not write: $!";
	print $file <<'SQL';
\set m random(1, 60)
\set other random(1, 60)
\set n random(1, 90)
\set kind random(1, 10)
\set slow random(1, 20)
\if :kind < 4
select jifen.earn('shop', 'member ' || :m, :n, source => 'app', event_at => now() - :n * interval '1 hour', funder => case when :n % 2 = 0 then 'bank' end, revenue => :n);
\elif :kind < 6
begin;
select count(*) from jifen.account;
select pg_sleep(:slow * 0.005);
select jifen.redeem('shop', 'member 1', 1, partner => 'cinema'), jifen.earn('air', 'member ' || :m, :n);
select pg_sleep(:slow * 0.005);
select jifen.earn('shop', 'member ' || :other, :n, event_at => now() - :n * interval '1 day');
commit;
\elif :kind < 7
begin isolation level repeatable read;
select count(*) from jifen.account;
select pg_sleep(:slow * 0.004);
select jifen.earn('air', 'rr ' || :client_id, :n);
commit;
\elif :kind < 8
begin;
select jifen.earn('shop', 'member ' || :m, :n);
select pg_sleep(:slow * 0.003);
rollback;
\elif :kind < 9
begin;
savepoint s;
select jifen.earn('shop', 'own ' || :client_id, :n);
rollback to s;
select pg_sleep(:slow * 0.003);
select jifen.earn('shop', 'own ' || :client_id, :n), jifen.hold('shop', 'own ' || :client_id, 1, now() + interval '1 hour');
commit;
\else
select sum(p.balance::bigint) from jifen.post(array[jifen.posting('shop', 'member 2', 'transfer', 1, to_member => 'member 3'), jifen.posting('air', 'new ' || :client_id || ' ' || :n, 'earn', :n)], 'skip') p;
\endif
SQL
	close $file;
	my @posters = map {
		IPC::Run::start([ 'pgbench', '-n', '-c', 4, '-j', 1, '-T', 8, '-f', $script, $node->connstr('postgres') ], '>', "$files/bench$_.out", '2>', "$files/bench$_.err")
	} 1 .. 2;
	my $reader = start('reader', 'select d.count from public.differing d', 60, 0.02);
	my $summariser = start('summariser', 'call jifen.run_summary()', 120, 0.02);
	my $second = start('second', 'call jifen.run_summary()', 40, 0.1);
	my $checker = start('checker', 'select count(*) from jifen.breaches_of_summaries(null, null)', 30, 0.1);
	$_->finish for @posters, $reader, $summariser, $second, $checker;

	my %count = map { $_ => [ grep { /\S/ } split /\n/, slurp_file("$files/$_.out") ] } qw(reader checker);
	is(scalar @{ $count{reader} }, 60, 'the flows were read often');
	is_deeply([ grep { $_ ne '0' } @{ $count{reader} } ], [], 'and never differed from the entries of the same snapshot');
	is_deeply([ grep { $_ ne '0' } @{ $count{checker} } ], [], 'the summaries never lacked an entry of their time');
	is(slurp_file("$files/$_.err"), '', "$_: no error") for qw(reader summariser second checker);
	unlike(slurp_file("$files/bench$_.err"), qr/ERROR/, "posters $_: no error") for 1 .. 2;
	cmp_ok($node->safe_psql('postgres', q{select count(*) from job_run where job = 'summarize' and batches = 1}), '>', 10, 'in many runs');
	cmp_ok($node->safe_psql('postgres', q{select count(*) from entry a join entry b on b.account_id = a.account_id and b.seq = a.seq + 1 and b.posted_at < a.posted_at}),
		'>', 0, 'some entries were booked out of order');
	run();
	is(state(), 't|', 'the last run summarises the rest');
	is($node->safe_psql('postgres', 'select sum(entries) = (select count(*) from entry) from day_summary'), 't', 'all of it');
	sound();
};

subtest 'who has posted and commits later' => sub {
	my $poster = $node->background_psql('postgres');
	my $other = $node->background_psql('postgres');

	$other->query_safe('begin; select count(*) from jifen.account');
	$poster->query_safe(q{begin; select jifen.earn('shop', 'ann', 5)});
	my $pid = $poster->query_safe('select pg_backend_pid()');
	$node->safe_psql('postgres', q{select earn('shop', 'bob', 7)});
	run();
	like(state(), qr/^f\|session $pid, in a transaction since /, 'holds up the summaries');
	is($node->safe_psql('postgres', q{select (select summarized_until from summary_state) = xact_start from pg_stat_activity where pid = } . $pid), 't', 'at the beginning of its transaction');
	is(differing(), '0', 'nothing differs');
	run();
	is($node->safe_psql('postgres', 'select batches from job_run order by job_run_id desc limit 1'), '0', 'there is nothing to do meanwhile');

	# began before the run, posts after it
	$other->query_safe(q{select jifen.earn('shop', 'cid', 9)});
	is($other->query_safe(q{select posted_at >= booked_from from jifen.entry join jifen.account using (account_id) join jifen.program using (program_id) where member = 'cid'}), 't',
		'who began before and posts after it books after it');
	$poster->query_safe('commit');
	$other->query_safe('commit');
	is(differing(), '0', 'once they are committed neither');
	run();
	is(state(), 't|', 'and the next run goes on');
	$_->quit for $poster, $other;
	sound();
};

for my $level ('repeatable read', 'serializable')
{
	subtest "a snapshot from before: $level" => sub {
		my $poster = $node->background_psql('postgres');
		$poster->query_safe("begin isolation level $level; select count(*) from jifen.entry");
		$node->safe_psql('postgres', q{select earn('shop', 'bob', 7)});
		run();
		my $until = $node->safe_psql('postgres', 'select summarized_until from summary_state');
		is($poster->query_safe('select d.count from public.differing d'), '0', 'the reader finds the summaries of its time');
		$poster->query_safe(q{select jifen.earn('shop', 'dan', 5)});
		is($poster->query_safe(qq{select posted_at >= '$until' from jifen.entry join jifen.account using (account_id) where member = 'dan' order by seq desc limit 1}), 't',
			'what it posts is booked after the summaries');
		is($poster->query_safe('select d.count from public.differing d'), '0', 'and it sees its own');
		$poster->query_safe('commit');
		$poster->quit;
		is(differing(), '0', 'nothing differs');
		run();
		sound();
	};
}

subtest 'a prepared transaction' => sub {
	$node->safe_psql('postgres', q{begin; select jifen.earn('shop', 'eve', 5); prepare transaction 'p'});
	my $before = $node->safe_psql('postgres', 'select summarized_until from summary_state');
	$node->safe_psql('postgres', q{select earn('shop', 'bob', 7)});
	run();
	is($node->safe_psql('postgres', 'select summarized_until, held_up_by from summary_state'), "$before|a prepared transaction", 'does not tell since when, so they stay where they are');
	is(differing(), '0', 'nothing differs');
	$node->restart;
	run();
	is($node->safe_psql('postgres', 'select summarized_until, held_up_by from summary_state'), "$before|a prepared transaction", 'after a restart as well');
	$node->safe_psql('postgres', q{commit prepared 'p'});
	is(differing(), '0', 'nor when it is committed');
	run();
	is(state(), 't|', 'then they go on');
	sound();
};

subtest 'a session that does not tell' => sub {
	my $poster = $node->background_psql('postgres');
	$poster->query_safe(q{set track_activities = off; begin; select jifen.earn('shop', 'fay', 5)});
	my $before = $node->safe_psql('postgres', 'select summarized_until from summary_state');
	run();
	like($node->safe_psql('postgres', 'select summarized_until, held_up_by from summary_state'),
		qr/^\Q$before\E\|session \d+, which does not tell since when it is in a transaction$/, 'holds them up');
	$poster->query_safe('set track_activities = on');
	run();
	like($node->safe_psql('postgres', 'select summarized_until, held_up_by from summary_state'),
		qr/^\Q$before\E\|session \d+, which does not tell/, 'also when it begins to tell in the middle');
	$poster->query_safe('commit');
	$poster->quit;
	run();
	is(state(), 't|', 'they go on when it is done');
	sound();
};

subtest 'entries written by other means, as by a restore' => sub {
	my $writer = $node->background_psql('postgres');
	$writer->query_safe('begin; lock table jifen.entry in row exclusive mode');
	my $before = $node->safe_psql('postgres', 'select summarized_until from summary_state');
	run();
	is($node->safe_psql('postgres', 'select summarized_until, held_up_by from summary_state'),
		"$before|a session that writes entries itself, as a restore does", 'hold them up');
	$writer->query_safe('rollback');
	$writer->quit;
	run();
	is(state(), 't|', 'they go on when it is done');
};

subtest 'nobody waits' => sub {
	my $vacuum = $node->background_psql('postgres');
	my $rules = $node->background_psql('postgres');
	$vacuum->query_safe('begin; lock table jifen.entry in share update exclusive mode');
	$rules->query_safe(q{begin; select from jifen.alter_program('air', name => 'Air')});
	$node->safe_psql('postgres', q{set statement_timeout = '20s'; call jifen.run_summary(); select jifen.earn('shop', 'bob', 1), jifen.earn('air', 'bob', 1)});
	ok(1, 'a run for a vacuum, or for a change of rules, nor postings for a run');
	$_->query_safe('rollback') for $vacuum, $rules;
	$_->quit for $vacuum, $rules;
	is(differing(), '0', 'nothing differs');
};

for my $how ('pg_terminate_backend()', 'SIGKILL')
{
	subtest "a run is cut off by $how" => sub {
		$node->safe_psql('postgres', q{select count(earn('shop', 'member ' || n, 3)) from generate_series(1, 30) n});
		my $kept = $node->safe_psql('postgres', 'select summarized_until, (select sum(entries) from day_summary) from summary_state');
		my $locker = $node->background_psql('postgres');
		$locker->query_safe('begin; lock table jifen.pending_summary in share mode');
		my $run = start('cut', 'call jifen.run_summary()');
		$node->poll_query_until('postgres', waiting()) or die 'the run does not wait';
		my $pid = $node->safe_psql('postgres', q{select pid from pg_locks where not granted and relation = 'jifen.pending_summary'::regclass});

		# another one meanwhile
		$node->safe_psql('postgres', 'call run_summary()');
		is($node->safe_psql('postgres', 'select batches, error from job_run order by job_run_id desc limit 1'), '0|', 'another run finds that one is at work');
		is(differing(), '0', 'nothing differs while it is at work');
		if ($how eq 'SIGKILL')
		{
			ok(kill('KILL', $pid), 'a server process is killed');
			$run->finish;
			ok($node->poll_query_until('postgres', 'select not pg_is_in_recovery()'), 'the server recovers by itself');
			eval { $locker->quit };
		}
		else
		{
			is($node->safe_psql('postgres', "select pg_terminate_backend($pid, 60000)"), 't', 'its session is ended');
			$run->finish;
			$locker->query_safe('rollback');
			$locker->quit;
		}
		is($node->safe_psql('postgres', 'select summarized_until, (select sum(entries) from day_summary) from summary_state'), $kept, 'nothing is half done');
		is(differing(), '0', 'nothing differs');
		run();
		is($node->safe_psql('postgres', q{select count(*) from job_run where job = 'summarize' and ended_at is null}), '0', 'job_run has no run without an end');
		is(state(), 't|', 'the next run makes up for it');
		sound();
	};
}

subtest 'isolation levels' => sub {
	$node->safe_psql('postgres', q{select earn('shop', 'bob', 1)});
	for my $level ('repeatable read', 'serializable')
	{
		my (undef, undef, $stderr) = $node->psql('postgres', "begin isolation level $level; select jifen.advance_summaries()");
		like($stderr, qr/ERROR:  summaries are made in READ COMMITTED only/, "not in $level");
		$node->safe_psql('postgres', "set default_transaction_isolation = '$level'; select jifen.earn('shop', 'bob', 1); call jifen.run_summary()");
		is(state(), 't|', "a run sees to it where $level is the default");
	}
	sound();
};

subtest 'another time zone while a run is at work' => sub {
	$node->safe_psql('postgres', q{select earn('shop', 'bob', 1, event_at => now() - interval '100 days')});
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('begin; lock table jifen.pending_summary in share mode');
	my $run = start('zone', 'call jifen.run_summary()');
	$node->poll_query_until('postgres', waiting()) or die 'the run does not wait';
	my $alter = start('alter', q{select from jifen.alter_program('shop', time_zone => 'America/New_York')});
	$node->poll_query_until('postgres', q{select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock' and query like '%alter_program%' and pid <> pg_backend_pid()})
	  or die 'alter_program() does not wait';
	$locker->query_safe('rollback');
	$locker->quit;
	$_->finish for $run, $alter;
	is($node->safe_psql('postgres', 'select summarized_until is null, (select count(*) from day_summary) from summary_state'), 't|0', 'what it made is dropped');
	is(differing(), '0', 'nothing differs');
	run();
	sound();
};

subtest 'made anew' => sub {
	my $kept = summaries();
	$node->safe_psql('postgres', 'select drop_summaries()');
	is(differing(), '0', 'nothing is missed where there are none');
	run();
	is(summaries(), $kept, 'they are as they were');
};

subtest 'never analysed' => sub {
	$node->safe_psql('postgres', 'create database fresh');
	$node->safe_psql('fresh', <<'SQL');
create extension jifen;
alter database fresh set search_path = jifen, public;
select from jifen.create_program('shop', time_zone => 'Asia/Shanghai', auto_open => true);
set search_path = jifen, public;
select count(*) from generate_series(1, 24) g, post(array(select posting('shop', 'member ' || n % 500, 'earn', 10 + g) from generate_series(1, 1000) n));
select count(*) from generate_series(1, 12) g, post(array(select posting('shop', 'member ' || n % 500, 'redeem', 3 + g / 12) from generate_series(1, 1000) n));
SQL
	my $scanned = q{select pg_stat_force_next_flush() \g /dev/null
select string_agg(concat_ws(' ', relname, seq_scan), ', ' order by relname) from pg_stat_user_tables where relname in ('entry', 'allocation', 'account', 'lot');
select sum(seq_tup_read) + sum(idx_tup_fetch) from pg_stat_user_tables where relname in ('entry', 'allocation', 'account', 'lot');};
	my $read = "select sum(amount), sum(members) from day_flow; select sum(points) from cohort_flow; select sum(points), sum(issued) from vintage_flow; select sum(points) from pending_flow; select sum(amount) from program_flow;";
	$node->safe_psql('fresh', 'call run_summary()');
	$node->safe_psql('fresh', q{select count(*) from post(array(select posting('shop', 'member ' || n, 'redeem', 3) from generate_series(1, 50) n))});
	my ($scans, $reads, $scans_after, $reads_after) = split /\n/,
	  $node->safe_psql('fresh', "\\o /dev/null\n$read\n\\o\n$scanned\n\\o /dev/null\n$read\n\\o\n$scanned") =~ s/^\n+//r;
	is($scans_after, $scans, 'the flows read none of the large tables in full');
	cmp_ok($reads_after - $reads, '<', 30_000, 'but what was booked since, with what it refers to');
	$node->safe_psql('fresh', 'call run_summary()');
	is($node->safe_psql('fresh', 'select sum(entries) from day_summary'), '36050', 'and so does a run');
};

subtest 'dump and restore' => sub {
	my $numbers = q{select * from day_flow order by day_flow::text; select sum(points), sum(held) from cohort_flow; select sum(points) from pending_flow};
	my $sums = q{select program_id, booked_on, happened_on, reported_on, movement, source, funder, partner, sum(entries), sum(amount), sum(held), sum(debt), sum(members) from day_flow
		group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 2, 3, 4, 5, 6, 7, 8};
	my $kept = summaries();
	my $before = $node->safe_psql('postgres', $sums);
	$node->command_ok([ 'pg_dump', '--format=custom', '-f', "$files/dump", $node->connstr('postgres') ], 'pg_dump');
	$node->safe_psql('postgres', 'create database restored');
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$files/dump" ], 'pg_restore');
	$node->safe_psql('postgres', 'alter database restored set search_path = jifen, public');
	is($node->safe_psql('restored', 'select row(s.*), (select count(*) from day_summary) from summary_state s'), '(t,,,)|0', 'a restored database has no summaries');
	is($node->safe_psql('restored', $sums), $before, 'and the same numbers');
	is($node->safe_psql('restored', 'select count from public.differing'), '0', 'of which none differs');
	$node->safe_psql('restored', 'call run_summary()');
	is($node->safe_psql('restored', $sums), $before, 'made anew, they are the same once more');
	is($node->safe_psql('restored', 'select count(*) from reconcile()'), '0', 'nothing is amiss');
};

subtest 'on a standby' => sub {
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('summarizing_standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->safe_psql('postgres', q{select earn('shop', 'bob', 1)});
	run();
	$node->safe_psql('postgres', q{select earn('shop', 'bob', 1)});
	$node->wait_for_catchup($standby);
	my $sums = 'select sum(amount), sum(members), sum(entries) from day_flow';
	is($standby->safe_psql('postgres', $sums), $node->safe_psql('postgres', $sums), 'the flows are read there');
	is($standby->safe_psql('postgres', 'select count from public.differing'), '0', 'and differ in nothing');
	my (undef, undef, $stderr) = $standby->psql('postgres', "\\set VERBOSITY sqlstate\ncall run_summary()");
	like($stderr, qr/ERROR:  25006/, 'summaries are made on the primary');
	$node->stop;
	$standby->promote;
	$standby->safe_psql('postgres', q{select earn('shop', 'bob', 1)});
	$standby->safe_psql('postgres', 'call run_summary()');
	is($standby->safe_psql('postgres', 'select count(*) from breaches_of_summaries(null, null)'), '0', 'a promoted standby goes on');
	is($standby->safe_psql('postgres', 'select count from public.differing'), '0', 'nothing differs');
};

done_testing();

# Runs the statement, or so often, with so many seconds in between.
sub start
{
	my ($name, $statement, $times, $pause) = @_;
	my $script = "$files/$name.sql";
	open my $file, '>', $script or die "could not write: $!";
	print $file "set search_path = jifen, public;\n";
	print $file "$statement;\n" . ($pause ? "select pg_sleep($pause) \\g /dev/null\n" : '') for 1 .. $times // 1;
	close $file;
	return IPC::Run::start([ 'psql', '-qXAt', '-d', $node->connstr('postgres'), '-f', $script ], '>', "$files/$name.out", '2>', "$files/$name.err");
}

sub run
{
	$node->safe_psql('postgres', 'call jifen.run_summary()');
	return;
}

# Whether all that is booked is summarised, and what that waits for.
sub state
{
	return $node->safe_psql('postgres', 'select not exists (select from entry where posted_at >= summarized_until), held_up_by from summary_state');
}

sub differing
{
	return $node->safe_psql('postgres', 'select count from public.differing');
}

sub waiting
{
	return q{select count(*) > 0 from pg_locks where not granted and relation = 'jifen.pending_summary'::regclass};
}

# Checksums of the summaries.
sub summaries
{
	return join "\n", map {
		$node->safe_psql('postgres', qq{select '$_', count(*), md5(string_agg(s::text, E'\\n' order by s::text collate "C")) from jifen.${_}_summary s})
	} qw(program day pending cohort vintage activity member tier);
}

sub sound
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(differing(), '0', 'nothing differs');
	is(LedgerNode::breaches($node, 'postgres'), '', 'nothing is amiss');
	return;
}
