#!/usr/bin/perl
# A page of reminders, and its record, read what they need and no more, however many members there are, on tables that were never analyzed or analyzed while nearly empty; so does a batch of postings that opens accounts.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $members = 20_000;
my $node = LedgerNode::start('reminders', conf => <<'CONF');
autovacuum = off
synchronous_commit = off
CONF

# Rows read in any way so far, and full scans.
my $read = <<'SQL';
select pg_stat_force_next_flush() \g /dev/null
select (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = 'jifen')
    + (select sum(seq_tup_read) from pg_stat_user_tables where schemaname = 'jifen'),
    (select coalesce(sum(seq_scan), 0) from pg_stat_user_tables where relname in ('account', 'entry', 'lot', 'notice', 'notice_lot', 'hold'));
SQL

# Of each program, all members hold points, which lapse soon in the first; in the second those of every hundredth do.
my $fill = <<"SQL";
select count(*) from generate_series(0, $members - 1, 1000) n, unnest(array['dense', 'sparse', 'waiting']) p, lateral jifen.post(array(
    select jifen.posting(p, 'm' || to_char(n + k, 'FM000000'), 'earn', 10, expiry => case when p = 'dense' or (n + k) % 100 = 0 then '20 days' else '1 year' end::jifen.expiry_policy)
    from generate_series(1, 1000) k));
SQL

my %pages = (
	dense   => q{select count(*) from jifen.due_notices('dense', after => 'm010000', max_members => 100)},
	sparse  => q{select count(*) from jifen.due_notices('sparse', after => 'm010000', max_members => 100)},
	waiting => q{select count(*) from jifen.due_notices('waiting', after => 'm010000', max_members => 10)},
	until   => q{select count(*) from jifen.expiring_members('dense', now() + interval '30 days', after => 'm010000', max_members => 100)},
	past    => q{select count(*) from jifen.expiring_members('dense', now() + interval '30 days', now() - interval '1 microsecond', after => 'm019000', max_members => 100)},
	post    => q{select count(*) from jifen.post(array(select jifen.posting('sparse', 'n' || n, 'earn', 10) from generate_series(1, 100) n))},
	record  => q{select count(*) from jifen.record_notices('dense', array(select 'm' || to_char(n, 'FM000000') from generate_series(5001, 5100) n), 'sms', window_days => 30)});
my %most = (dense => 2_500, sparse => 2_500, waiting => 3_500, until => 2_500, past => 1_500, post => 1_500, record => 2_000);

for my $how ('', 'vacuum analyze;')
{
	my $database = $how ? 'analyzed' : 'never';
	$node->safe_psql('postgres', "create database $database");
	$node->safe_psql($database, <<'SQL');
create extension jifen;
select from unnest(array['dense', 'sparse']) p, jifen.create_program(p, auto_open => true);
select from jifen.create_program('waiting', auto_open => true, notice_days => 5);
select from jifen.set_notice_template('dense', 'en', '{expiring}');
select from unnest(array['dense', 'sparse', 'waiting']) p, jifen.earn(p, 'm000001', 1);
SQL
	my $script = $how . join('', map { "$pages{$_};\n" } grep { $_ ne 'record' } sort keys %pages)
	  . "select count(*) from jifen.record_notices('dense', array['m000001'], 'sms', window_days => 30);\n$fill";
	$script .= "\\echo = $_\n$read $pages{$_};\n$read" for sort keys %pages;
	my (undef, @measured) = split /^= /m, $node->safe_psql($database, $script);

	for my $page (@measured)
	{
		my ($name, $before, $scans_before, $rows, $after, $scans_after) = $page =~ /^(\w+)\n(\d+)\|(\d+)\n(\d+)\n(\d+)\|(\d+)/;
		is($rows, $name eq 'waiting' ? 10 : 100, "$database, $name: a page") or diag($page);
		cmp_ok($after - $before, '<', $most{$name}, "$database, $name: it reads few rows");
		is($scans_after, $scans_before, "$database, $name: no table is read in full");
	}
	is($node->safe_psql($database, 'select count(*) from jifen.reconcile()'), '0', "$database: nothing is amiss");
}

done_testing();
