#!/usr/bin/perl
# The cost of a posting grows neither with the tables nor with the account, in one session that saw them empty, analyzed or not.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $accounts = 6000;
my $node = LedgerNode::start('growing', conf => <<'CONF');
autovacuum = off
synchronous_commit = off
shared_buffers = 64MB
CONF

# How many rows of each table have been read by full scans so far.
my $scanned = <<'SQL';
select pg_stat_force_next_flush();
select relname, seq_scan, seq_tup_read from pg_stat_user_tables
where relname in ('account', 'entry', 'lot', 'allocation', 'hold', 'debt', 'status_change', 'program', 'expiry_rule', 'notice', 'notice_lot', 'extension')
order by relname;
SQL

# How many rows of all of them have been read in any way so far, and how many entries there are.
my $read = <<'SQL';
select pg_stat_force_next_flush() \g /dev/null
select (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = 'jifen')
    + (select sum(seq_tup_read) from pg_stat_user_tables where schemaname = 'jifen'),
    (select n_tup_ins from pg_stat_user_tables where schemaname = 'jifen' and relname = 'entry');
SQL

# More than a posting needs, and far less than is there.
my $reads_per_entry = 60;

# All verbs, each in a transaction of its own, for a member who is new or has come before.
my $verbs = <<'SQL';
create procedure post(from_n int, to_n int) language plpgsql as $$
declare
    held jifen.entry;
begin
    for n in from_n .. to_n loop
        perform jifen.earn('shop', 'member ' || n, 100, event_at => '2024-01-01', expiry => '1 month');
        commit;
        if n % 5 = 0 then
            perform jifen.earn('shop', 'member ' || n, 50, event_at => '2024-01-02');
            perform jifen.redeem('shop', 'member ' || n, 120, event_at => '2024-01-03');
            perform jifen.reverse('shop', 'member ' || n, 3, 20, event_at => '2024-01-04');
            perform jifen.reverse('shop', 'member ' || n, 1, 1, event_at => '2024-01-04');
            perform jifen.redeem('shop', 'member ' || n, 1, event_at => '2024-01-02');
            commit;
            for hold in 1 .. 3 loop
                held := jifen.hold('shop', 'member ' || n, hold, '2100-01-01', event_at => '2024-01-05');
                case hold
                    when 1 then perform jifen.capture('shop', 'member ' || n, held.seq, event_at => '2024-01-05');
                    when 2 then perform jifen.release('shop', 'member ' || n, held.seq, event_at => '2024-01-05');
                    else null;
                end case;
                commit;
            end loop;
            perform jifen.transfer('shop', 'member ' || n, 'member ' || n - 1, 2, event_at => '2024-01-06');
            commit;
            perform jifen.reverse('shop', 'member ' || n - 1, 2, 1, event_at => '2024-01-07');
            commit;
            perform jifen.earn('shop', 'member ' || n, 10, 'order ' || n, 'key ' || n, event_at => '2024-01-07');
            perform jifen.earn('shop', 'member ' || n, 10, 'order ' || n, 'key ' || n, event_at => '2024-01-07');
            perform jifen.reverse_reference('shop', 'member ' || n, 'order ' || n, 1, 2, event_at => '2024-01-07');
            commit;
            perform jifen.import('shop', 'member ' || n, 10, 'infinity', event_at => '2024-01-08');
            perform jifen.adjust('shop', 'member ' || n, 3, 'apology', event_at => '2024-01-08');
            perform jifen.adjust('shop', 'member ' || n, -1000, 'fraud', event_at => '2024-01-08');
            perform jifen.earn('shop', 'member ' || n, 20, event_at => '2024-01-09');
            commit;
            perform jifen.post(array[
                jifen.posting('shop', 'member ' || n - 2, 'redeem', 1, idempotency_key => 'key', event_at => '2024-01-09'),
                jifen.posting('shop', 'member ' || n - 3, 'transfer', 1, to_member => 'member ' || n - 2, event_at => '2024-01-09'),
                jifen.posting('shop', 'member ' || n - 4, 'hold', 1, until => '2100-01-01', event_at => '2024-01-09'),
                jifen.posting('shop', 'batch ' || n, 'earn', 1, event_at => '2024-01-09'),
                jifen.posting('shop', 'member ' || n - 3, 'reverse', 1, seq => 2, event_at => '2024-01-09')]);
            commit;
        end if;
        if n % 10 = 0 then
            perform jifen.balance('shop', 'member ' || n, '2024-01-10');
            perform jifen.expiring('shop', 'member ' || n, '2024-03-01', '2024-01-10');
            perform jifen.statement('shop', 'member ' || n);
            perform jifen.tier_for('shop', 'member ' || n, '2024-01-10');
            perform jifen.tier_status('shop', 'member ' || n, '2024-01-10');
            perform jifen.freeze_account('shop', 'member ' || n, 'check');
            perform jifen.unfreeze_account('shop', 'member ' || n, 'checked');
            perform jifen.open_account('shop', 'member ' || n);
            perform jifen.expire_batch('shop', as_of => '2024-02-15', max_accounts => 20);
            perform jifen.release_batch('shop');
            commit;
        end if;
    end loop;
end
$$;
SQL

grows('never analyzed', 'never_analyzed', '', $accounts, '');
grows('analyzed while nearly empty', 'analyzed', 'call post(1, 20); vacuum analyze', $accounts / 8, '');
grows('plans thrown away on the way', 'discarded', '', $accounts / 8, 'discard plans');
grows('analyzed on the way', 'midway', '', $accounts / 8, 'analyze');
grows('altered on the way', 'altered', '', $accounts / 8,
	'alter table jifen.lot set (fillfactor = 80); alter table jifen.account alter member set statistics 50');

grows('lots that inactivity moves', 'idle', 'select from jifen.alter_program(\'shop\', expiry => \'6 months inactive\')', $accounts / 4, '');
grows('lots that wait for a notice too', 'noticed', 'select from jifen.alter_program(\'shop\', expiry => \'6 months inactive\', notice_days => 30)',
	$accounts / 4, '');

# Another session alters a table while a posting waits for it: the plan that
# the server then makes, for tables of a few rows, is not kept.
subtest 'altered by another session' => sub {
	$node->safe_psql('postgres', 'create database waiting');
	$node->safe_psql('waiting', <<SQL);
create extension jifen;
select from jifen.create_program('shop', auto_open => true);
select count(jifen.earn('shop', 'member ' || n, 100)) from generate_series(1, 20) n;
vacuum analyze;
SQL
	my $redeem = q{select count(jifen.redeem('shop', 'member ' || n, 1)) from generate_series(1, 20) n;};
	my $poster = $node->background_psql('waiting');
	my $other = $node->background_psql('waiting');
	my $scans = sub { ($poster->query($scanned) =~ /^lot\|(\d+)/m)[0] };

	$poster->query($redeem);
	$other->query('begin; alter table jifen.lot alter available_at set default now();');
	my $before = $scans->();
	$poster->query_until(qr/waits/, "\\echo waits\n$redeem\n");
	ok($node->poll_query_until('waiting', q{select count(*) > 0 from pg_locks where not granted and relation = 'jifen.lot'::regclass}), 'a posting waits');
	$other->query('commit;');
	$poster->query($redeem);
	cmp_ok($scans->() - $before, '<=', 2, 'at most the statements that waited read the table in full');
	$_->quit for $poster, $other;
};

# Vacuumed while empty, a table seems to need no index on more than the account.
subtest 'vacuumed while empty' => sub {
	$node->safe_psql('postgres', 'create database vacuumed');
	$node->safe_psql('vacuumed', 'create extension jifen');
	$node->safe_psql('vacuumed', 'vacuum jifen.entry, jifen.allocation, jifen.lot');
	my $read = q{select sum(idx_tup_read) from pg_stat_user_indexes, pg_stat_force_next_flush() where relname in ('entry', 'allocation')};
	my ($before, $after) = split /\n/, $node->safe_psql('vacuumed', <<SQL);
\\o /dev/null
select jifen.create_program('shop', auto_open => true);
select jifen.earn('shop', 'ann', 100, event_at => '2024-01-01'), jifen.earn('shop', 'ann', 100, event_at => '2024-01-01', expiry => '1 day');
select jifen.redeem('shop', 'ann', 1, event_at => '2024-01-01'), jifen.balance('shop', 'ann', '2023-12-31');
select jifen.reverse('shop', 'ann', 1, 1), jifen.reverse('shop', 'ann', 3), jifen.redeem('shop', 'ann', 1, event_at => '2024-01-01');
do 'begin for n in 1..1000 loop perform jifen.earn(''shop'', ''ann'', 1), jifen.redeem(''shop'', ''ann'', 1); end loop; end';
\\o
$read;
\\o /dev/null
select jifen.balance('shop', 'ann', '2024-01-01'), jifen.redeem('shop', 'ann', 1, event_at => '2024-01-01'), jifen.reverse('shop', 'ann', 2, 1);
\\o
$read;
SQL
	cmp_ok($after - $before, '<', 50_000, 'a look into the history of 2,000 entries reads each a few times');
};

# Whatever the account has been through, a posting reads what it needs of it.
for my $vacuum ('', 'vacuum jifen.entry, jifen.allocation, jifen.lot, jifen.account, jifen.hold, jifen.debt')
{
	my $database = $vacuum ? 'long_vacuumed' : 'long';

	subtest 'an account of 20,000 entries' . ($vacuum ? ', vacuumed while empty' : '') => sub {
		$node->safe_psql('postgres', "create database $database");
		$node->safe_psql($database, <<SQL);
create extension jifen;
$vacuum;
select from jifen.create_program('shop', auto_open => true, overdraft => 'debt');
SQL
		# of each ten, seven credits, a redemption, a hold and its release
		my $fill = <<'SQL';
select count(*) from generate_series(1, 10) batch, jifen.post(array(
    select case n % 10
        when 7 then jifen.posting('shop', 'ann', 'redeem', 3)
        when 8 then jifen.posting('shop', 'ann', 'hold', 1, until => now() + interval '1 day' + n * interval '1 hour')
        when 9 then jifen.posting('shop', 'ann', 'release', seq => 2000 * (batch - 1) + n - 1)
        else jifen.posting('shop', 'ann', 'earn', 1 + n % 7, idempotency_key => batch || ' ' || n,
            reference => 'order ' || n, expiry => (1 + n % 48 || ' months')::jifen.expiry_policy)
        end
    from generate_series(1, 2000) n)) where sqlstate is null;
SQL
		my %postings = (
			'earn'             => q{jifen.earn('shop', 'ann', 100, expiry => '1 month')},
			'earn with a key'  => q{jifen.earn('shop', 'ann', 5, idempotency_key => 'new')},
			'earn once more'   => q{jifen.earn('shop', 'ann', 5, idempotency_key => 'new')},
			'redeem'           => q{jifen.redeem('shop', 'ann', 1)},
			'hold and capture' => q{jifen.capture('shop', 'ann', (jifen.hold('shop', 'ann', 2, '2100-01-01')).seq, 1)},
			'hold and release' => q{jifen.release('shop', 'ann', (jifen.hold('shop', 'ann', 2, '2100-01-01')).seq)},
			'reverse a debit'  => q{jifen.reverse('shop', 'ann', (jifen.redeem('shop', 'ann', 2)).seq, 1)},
			'reverse a credit' => q{jifen.reverse('shop', 'ann', (jifen.earn('shop', 'ann', 2)).seq, 1)},
			'reverse an old debit' => q{jifen.reverse('shop', 'ann', 7, 1)},
			'adjust'           => q{jifen.adjust('shop', 'ann', 5, 'apology'), jifen.adjust('shop', 'ann', -5, 'abuse')},
			'transfer'         => q{jifen.transfer('shop', 'ann', 'bob', 2)},
			'transfer back'    => q{jifen.reverse('shop', 'ann', (jifen.transfer('shop', 'ann', 'bob', 2)).seq) limit 1},
			'import'           => q{jifen.import('shop', 'ann', 5)},
			'post'             => q{jifen.post(array[jifen.posting('shop', 'ann', 'earn', 1, idempotency_key => 'a'),
				jifen.posting('shop', 'ann', 'redeem', 1, idempotency_key => 'b'), jifen.posting('shop', 'bob', 'transfer', 1, to_member => 'ann')])});
		my @order = sort keys %postings;
		my $script = "select from jifen.earn('shop', 'bob', 100);\n$fill$read";
		$script .= "select $postings{$_} \\g /dev/null\n$read" for @order;
		my ($filled, @reads) = split /\n/, $node->safe_psql($database, $script) =~ s/^\n+//r;
		@reads = map { (split /\|/)[0] } @reads;
		is($filled, 20000, 'it is filled');
		cmp_ok($reads[ $_ + 1 ] - $reads[$_], '<', 500, "$order[$_] reads few of them") for 0 .. $#order;
		is(LedgerNode::breaches($node, $database), '', 'nothing is amiss');
	};
}

# A whole program extended, and that undone: each account by itself.
subtest 'extension of a program' => sub {
	for my $call (q{extend_expiry('shop', 'shops closed', by_interval => '1 month', event_at => '2024-01-10')}, q{undo_extension('shop', 1, 'by mistake')})
	{
		my ($before, $after, $reads) = scans('idle', "select jifen.$call");

		is($after, $before, "$call: no table is read in full");
		cmp_ok($reads, '<', $reads_per_entry, 'an entry takes few rows');
	}
	# a goodwill for one member after the other, in a session that began with few
	my $goodwill = q{do 'begin for n in %d..%d loop perform jifen.undo_extension(''shop'', x.extension_id, ''why''), jifen.reinstate(''shop'', ''member '' || n, ''why'')
        from jifen.extend_expiry(''shop'', ''why'', by_interval => ''1 day'', members => array[''member '' || n], idempotency_key => ''goodwill '' || n) x; end loop; end'};
	my ($before, $after) = scans('idle', sprintf($goodwill, 121, 400), sprintf($goodwill, 101, 120));

	is($after, $before, 'of one member: no table is read in full');
	is(LedgerNode::breaches($node, 'idle'), '', 'nothing is amiss');
};

# An activity moves all lots of the member and writes none of them.
subtest 'an account of 1,000 lots that inactivity moves' => sub {
	$node->safe_psql('postgres', 'create database active');
	my $writes = q{select pg_stat_force_next_flush() \g /dev/null
select sum(n_tup_upd + n_tup_del) from pg_stat_user_tables where schemaname = 'jifen' and relname <> 'account';};
	my @order = ('earn', 'late earn', 'import', 'goodwill', 'frozen');
	my %postings = (
		'earn'      => q{jifen.earn('shop', 'ann', 1)},
		'late earn' => q{jifen.earn('shop', 'ann', 1, event_at => now() - interval '1 hour')},
		'import'    => q{jifen.import('shop', 'ann', 1)},
		'goodwill'  => q{jifen.adjust('shop', 'ann', 1, 'sorry')},
		'frozen'    => q{jifen.freeze_account('shop', 'ann', 'check'), jifen.unfreeze_account('shop', 'ann', 'checked')});
	my $script = <<SQL;
create extension jifen;
select from jifen.create_program('shop', auto_open => true, expiry => '12 months inactive end of month', activity => '{earn,import}');
select count(*) from jifen.post(array(
    select jifen.posting('shop', 'ann', 'earn', 1, event_at => now() - interval '10 days' + n * interval '1 minute') from generate_series(1, 1000) n));
$read
$writes
SQL
	$script .= "select $postings{$_} \\g /dev/null\n$read$writes\n" for @order;
	my ($filled, @figures) = split /\n/, $node->safe_psql('active', $script) =~ s/^\n+//r;
	my @reads = map { (split /\|/)[0] } @figures[ grep { $_ % 2 == 0 } 0 .. $#figures ];
	my @writes = @figures[ grep { $_ % 2 } 0 .. $#figures ];

	is($filled, 1000, 'it is filled');
	for my $n (0 .. $#order)
	{
		cmp_ok($reads[ $n + 1 ] - $reads[$n], '<', 200, "$order[$n] reads few of them");
		is($writes[ $n + 1 ] - $writes[$n], 0, 'and writes none');
	}
	is($node->safe_psql('active', q{select count(*), count(distinct expires_at) from jifen.open_lot where expires_at > now() + interval '11 months'}), '1004|1',
		'all of them have moved');
	is(LedgerNode::breaches($node, 'active'), '', 'nothing is amiss');
};

# The server's memory that is not shared: at its peak, so far.
my $peak = q{select substring(pg_read_file('/proc/self/status') from 'VmPeak:\s+(\d+)');};

# What a batch needs is given back with each thousand accounts of it.
subtest 'memory of expire_batch' => sub {
	$node->safe_psql('postgres', 'create database batch');
	$node->safe_psql('batch', <<SQL);
create extension jifen;
select from jifen.create_program('shop', auto_open => true, expiry => '1 day');
select count(*) from jifen.post(array(
    select jifen.posting('shop', 'member ' || n, 'earn', 1, event_at => '2024-01-01') from generate_series(1, 20000) n));
SQL
	my ($before, $booked, $after) = split /\n/, $node->safe_psql('batch', <<SQL);
select jifen.expire_batch('shop', max_accounts => 1000) \\g /dev/null
$peak
select accounts from jifen.expire_batch('shop', max_accounts => 100000);
$peak
SQL
	is($booked, 19000, 'all others in one batch');
	cmp_ok($after - $before, '<', 15_000, 'it takes no more than 15 MB more than one of a thousand');
};

# What a call of post() needs is given back with it, within one transaction too.
subtest 'memory of post' => sub {
	$node->safe_psql('postgres', 'create database posts');
	my $chunks = <<'SQL';
do $$
begin
    for chunk in 1 .. %d loop
        perform count(*) from jifen.post(array(
            select jifen.posting('shop', 'member ' || n %% 1000, 'earn', 2, idempotency_key => chunk || ' ' || n || ' %2$d')
            from generate_series(1, 10000) n));
        perform count(*) from jifen.post(array(
            select jifen.posting('shop', 'member ' || n, 'redeem', 1) from generate_series(1, 500) n));
    end loop;
end
$$;
SQL
	my $kept = 'select sum(total_bytes) / 1024 from pg_backend_memory_contexts;';
	my ($before, $kept_before, $after, $kept_after, $entries) = split /\n/, $node->safe_psql('posts', <<SQL);
create extension jifen;
select from jifen.create_program('shop', auto_open => true) \\g /dev/null
@{[ sprintf $chunks, 2, 1 ]}
$peak
$kept
@{[ sprintf $chunks, 8, 2 ]}
$peak
$kept
select count(*) from jifen.entry;
SQL
	is($entries, 105_000, 'ten times 10,000 credits and 500 redemptions are posted');
	cmp_ok($kept_after - $kept_before, '<', 1_000, 'the last eight leave no more behind than the first two');

	# The address space grows by 6,800 kB at once in one run of four or so, with as much in use.
	cmp_ok($after - $before, '<', 10_000, 'and take no more at their peak');
};

# In the largest of these, and with all that can be checked: one member is
# checked without reading the others.
for my $database ('never_analyzed', 'noticed')
{
	my $first = q{select jifen.record_notice('shop', 'member ' || n, 'sms', window_days => 30, sent_at => '2024-07-01') from generate_series(101, 130) n};
	my ($before, $after) = scans($database, q{select jifen.reconcile('shop', 'member ' || n) from generate_series(110, 120) n}, $first);

	s/^(program|expiry_rule).*\n//mg for $before, $after;
	is($after, $before, "$database: reconcile() of a member reads no table in full but the programs and their rules");
}

done_testing();

# Posts to a new database, all in one session: a little at first, then a little
# after the interruption, then all the rest, in which no table is read in full.
sub grows
{
	my ($how, $database, $beginning, $count, $interruption) = @_;

	subtest $how => sub {
		$node->safe_psql('postgres', "create database $database");
		$node->safe_psql($database, <<SQL);
create extension jifen;
select from jifen.create_program('shop', time_zone => 'Asia/Shanghai', auto_open => true, overdraft => 'debt');
select from jifen.create_tier('shop', 'gold', null, 10);
$verbs
$beginning;
SQL
		my ($before, $after, $reads) = scans($database, "call post(401, $count)", "call post(101, 200); $interruption; call post(201, 400)");
		is($after, $before, 'no table is read in full');
		cmp_ok($reads, '<', $reads_per_entry, 'an entry takes few rows');
		cmp_ok($node->safe_psql($database, 'select count(*) from jifen.account'), '>=', $count - 100, 'accounts were opened');
		is($node->safe_psql($database, 'select count(*) from jifen.reconcile()'), '0', 'nothing is amiss');
	};
	return;
}

# How much each table had been read in full before and after the statement, in
# a session that began with others, and how many rows were read for each entry.
sub scans
{
	my ($database, $statement, $first) = @_;
	my $output = $node->safe_psql($database, ($first // 'select') . ";\n\\echo before\n$scanned\n\\echo read\n$read\n\\o /dev/null\n$statement;\n\\o\n\\echo after\n$scanned\n\\echo read\n$read");
	my ($before, $read_before, $entries_before, $after, $read_after, $entries_after) =
	  $output =~ /^before\n\s*(.*)^read\n(\d+)\|(\d+)\nafter\n\s*(.*)^read\n(\d+)\|(\d+)/ms;
	my $entries = $entries_after - $entries_before;
	return ($before, $after, $entries ? ($read_after - $read_before) / $entries : 0);
}
