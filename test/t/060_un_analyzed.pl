#!/usr/bin/perl
# The cost of a posting does not grow with the tables, in one session that saw them empty, analyzed or not: no full scans.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $accounts = 20000;
my $node = LedgerNode::start('growing', conf => <<'CONF');
autovacuum = off
synchronous_commit = off
shared_buffers = 64MB
CONF

# How many rows of each table have been read by full scans so far.
my $scanned = <<'SQL';
select pg_stat_force_next_flush();
select relname, seq_scan, seq_tup_read from pg_stat_user_tables
where relname in ('account', 'entry', 'lot', 'allocation', 'status_change', 'program') order by relname;
SQL

# All verbs, each in a transaction of its own, for a member who is new or has come before.
my $verbs = <<'SQL';
create procedure post(from_n int, to_n int) language plpgsql as $$
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
            perform jifen.expire_batch('shop', as_of => '2024-02-15', max_accounts => 5);
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

# What a batch needs is given back with each thousand accounts of it.
subtest 'memory of expire_batch' => sub {
	$node->safe_psql('postgres', 'create database batch');
	$node->safe_psql('batch', <<SQL);
create extension jifen;
select from jifen.create_program('shop', auto_open => true, expiry => '1 day');
select count(jifen.earn('shop', 'member ' || n, 1, event_at => '2024-01-01')) from generate_series(1, 20000) n;
SQL
	my $peak = q{select substring(pg_read_file('/proc/self/status') from 'VmHWM:\s+(\d+)')};
	my ($before, $booked, $after) = split /\n/, $node->safe_psql('batch', <<SQL);
select jifen.expire_batch('shop', max_accounts => 1000) \\g /dev/null
$peak;
select accounts from jifen.expire_batch('shop', max_accounts => 100000);
$peak;
SQL
	is($booked, 19000, 'all others in one batch');
	cmp_ok($after - $before, '<', 30_000, 'it takes no more than 30 MB more than one of a thousand');
};

# In the largest of these: one member is checked without reading the others.
my ($before, $after) = scans('never_analyzed', q{select jifen.reconcile('shop', 'member ' || n) from generate_series(110, 120) n});
s/^program.*\n//m for $before, $after;
is($after, $before, 'reconcile() of a member reads no table in full but the programs');

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
select from jifen.create_program('shop', time_zone => 'Asia/Shanghai', auto_open => true);
select from jifen.create_tier('shop', 'gold', null, 10);
$verbs
$beginning;
SQL
		my ($before, $after) = scans($database, "call post(401, $count)", "call post(101, 200); $interruption; call post(201, 400)");
		is($after, $before, 'no table is read in full');
		cmp_ok($node->safe_psql($database, 'select count(*) from jifen.account'), '>=', $count - 100, 'accounts were opened');
		is($node->safe_psql($database, 'select count(*) from jifen.reconcile()'), '0', 'nothing is amiss');
	};
	return;
}

# How much each table had been read in full before and after the statement, in
# a session that began with others.
sub scans
{
	my ($database, $statement, $first) = @_;
	my $output = $node->safe_psql($database, ($first // 'select') . ";\n\\echo before\n$scanned\n\\o /dev/null\n$statement;\n\\o\n\\echo after\n$scanned");
	my ($before, $after) = $output =~ /^before\n\s*(.*)^after\n\s*(.*)/ms;
	chomp $before;
	return ($before, $after);
}
