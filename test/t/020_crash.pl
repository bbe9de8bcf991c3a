#!/usr/bin/perl
# A crash in the middle of postings: what was acknowledged is there, and calls are there wholly or not at all.
use strict;
use warnings;
use IPC::Run;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes;

my $workers = 4;
my $node = LedgerNode::start('crashing', conf => <<'CONF');
fsync = on
restart_after_crash = on
shared_buffers = 1MB
autovacuum_naptime = 1s
CONF
my $files = PostgreSQL::Test::Utils::tempdir;

# Lots that lapse one after the other keep expire_batch() busy.
$node->safe_psql('postgres', <<'SQL');
create extension jifen;
select jifen.create_program('shop', auto_open => true);
select jifen.earn('shop', 'shared ' || n % 5, n, event_at => '2020-01-01'::timestamptz + n * interval '1 day', expiry => '12 months')
from generate_series(1, 500) n;
SQL

crash('a server process is killed', sub {
	my $victim = $node->safe_psql('postgres', q{select pid from pg_stat_activity where application_name like 'worker%' limit 1});
	ok(kill('KILL', $victim), 'a server process is killed');
	ok($node->poll_query_until('postgres', 'select not pg_is_in_recovery()'), 'the server recovers by itself');
});
crash('the server is stopped at once', sub { $node->stop('immediate'); $node->start; });
crash('the postmaster is killed', sub {
	my @children = split /\n/, $node->safe_psql('postgres', 'select pid from pg_stat_activity');
	$node->kill9;
	# they end by themselves, and until then it cannot start
	Time::HiRes::sleep(0.1) while kill 0, @children;
	$node->start;
});

done_testing();

# Lets workers post, makes the server crash meanwhile, and checks what is left.
sub crash
{
	my ($how, $crash) = @_;

	subtest $how => sub {
		my @sessions = map { start_worker($_) } 1 .. $workers;
		my $before = $node->safe_psql('postgres', 'select count(*) from jifen.entry');

		ok($node->poll_query_until('postgres', "select count(*) > $before + 300 from jifen.entry"), 'they post');
		$crash->();
		$_->finish for @sessions;

		my @acknowledged = map { split /\n/, slurp_file("$files/worker$_") } 1 .. $workers;
		# a line may have been cut off by the crash
		@acknowledged = grep { /;$/ } @acknowledged;
		my @errors = grep { /ERROR/ } map { split /\n/, slurp_file("$files/worker$_.err") } 1 .. $workers;
		is_deeply(\@errors, [], 'and were refused nothing');
		cmp_ok(scalar @acknowledged, '>', 100, 'postings were acknowledged');
		my %entries = map { $_ => 1 } split /\n/, $node->safe_psql('postgres',
			q{select a.member, e.seq, e.kind, e.amount, e.balance, e.reference || ';' from jifen.entry e join jifen.account a using (account_id)});
		is_deeply([ grep { !/^batch/ && !$entries{$_} } @acknowledged ], [], 'all that was acknowledged is there');
		is($node->safe_psql('postgres', <<'SQL'), '', 'batches and transfers are there wholly or not at all');
select reference, sum(amount::bigint), count(distinct kind) from jifen.entry
where reference like '%batch' group by 1 having (sum(amount::bigint), count(distinct kind)) <> (5, 4);
select reference, sum(amount::bigint), count(distinct kind) from jifen.entry
where reference like '%transfer' group by 1 having (sum(amount::bigint), count(distinct kind)) <> (0, 2);
select account_id, h.seq, h.held, sum(e.held::bigint) from jifen.entry h join jifen.entry e using (account_id)
where e.hold_seq = h.seq group by account_id, h.seq having sum(e.held::bigint) <> -h.held::bigint;
SQL
		my %batches = map { $_ => 1 } split /\n/, $node->safe_psql('postgres',
			q{select distinct 'batch|' || reference || ';' from jifen.entry where reference like '%batch'});
		is_deeply([ grep { /^batch/ && !$batches{$_} } @acknowledged ], [], 'with all batches that were acknowledged');
		is(LedgerNode::breaches($node, 'postgres'), '', 'nothing is half written');
		is($node->safe_psql('postgres', q{select kind from jifen.earn('shop', 'shared 1', 1)}), 'earn', 'postings go on');
	};
	return;
}

# A session that posts until it is cut off, to accounts of its own and to
# accounts that all of them share, and writes down what the server answers.
sub start_worker
{
	my ($number) = @_;
	my $shown = q{a.member, e.seq, e.kind, e.amount, e.balance, e.reference || ';'};
	my $script = '';

	for my $n (1 .. 2000)
	{
		my $reference = "worker $number, $$, ${\ Time::HiRes::time()}, $n";
		my $member = $n % 3 ? "own $number-" . $n % 50 : 'shared ' . $n % 5;
		$script .= "select $shown from jifen.earn('shop', '$member', $n, '$reference') e join jifen.account a using (account_id);\n";
		$script .= "select $shown from jifen.redeem('shop', '$member', @{[ 1 + int($n / 2) ]}, '$reference') e join jifen.account a using (account_id);\n";
		if ($n % 3 && $n > 10)
		{
			my $shared = 'shared ' . $n % 5;
			my $hold = "select min(h.seq) from jifen.hold h join jifen.account a using (account_id) where a.member = '$member'";
			my $end = $n % 2 ? "capture('shop', '$member', ($hold), 1, '$reference')" : "release('shop', '$member', ($hold))";
			$script .= "select $shown from jifen.hold('shop', '$member', 2, '2100-01-01', '$reference') e join jifen.account a using (account_id);\n";
			$script .= "select $shown from jifen.$end e join jifen.account a using (account_id);\n";
			$script .= "select $shown from jifen.transfer('shop', '$member', '$shared', 2, '$reference, transfer') e join jifen.account a using (account_id);\n";
			$script .= "select 'batch', '$reference, batch;' from jifen.post(array[" . join(', ',
				"jifen.posting('shop', '$shared', 'earn', 2, '$reference, batch')",
				"jifen.posting('shop', '$member', 'earn', 4, '$reference, batch')",
				"jifen.posting('shop', '$member', 'transfer', 3, '$reference, batch', to_member => '$shared')",
				"jifen.posting('shop', '$member', 'redeem', 1, '$reference, batch')") . "]) where ordinal = 1;\n";
		}
		$script .= "select from jifen.expire_batch(as_of => '2021-01-01'::timestamptz + $n * interval '12 hours', max_accounts => 1);\n" if $n % 10 == 0;
	}
	open my $file, '>', "$files/worker$number.sql" or die "could not write: $!";
	print $file $script;
	close $file;
	return IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', "$files/worker$number.sql",
			'-d', $node->connstr('postgres') . " application_name='worker $number'" ],
		'>', "$files/worker$number", '2>', "$files/worker$number.err");
}
