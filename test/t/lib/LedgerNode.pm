# Servers of a test's own that have jifen, and what tests ask of a ledger.
#
#   use LedgerNode;
#   my $node = LedgerNode::start('name', conf => "...", streaming => 1);
#   LedgerNode::write_history($node, 'postgres');
#   my $contents = LedgerNode::contents($node, 'postgres');
package LedgerNode;

use strict;
use warnings;
use PostgreSQL::Test::Cluster;

# Starts a new server, in UTF-8 with C's order.
sub start
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(
		allows_streaming => $options{streaming},
		extra            => [ '--encoding=UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf', "log_statement = none\ntimezone = 'UTC'\n" . ($options{conf} // ''));
	$node->start;
	return $node;
}

# Creates the extension and a history of it: every kind of entry, programs with
# and without accounts, pending and lapsed points, accounts of every status,
# tiers and a job run.
sub write_history
{
	my ($node, $database) = @_;
	$node->safe_psql($database, <<'SQL');
create extension jifen;
set search_path = jifen;
select create_program('shop', name => '商店', time_zone => 'Asia/Shanghai', expiry => '12 months end of month',
    currency => 'CNY', point_value => 0.01, auto_open => true);
select create_program('miles', expiry => 'never', tier_window => '2 years');
select create_program('empty');
select create_tier('shop', 'silver', 'Silver', 100), create_tier('shop', 'gold', null, 1000),
    create_tier('miles', 'blue', 'Blue', 0);
select earn('shop', '张伟', 1000, source => 'purchase', reference => 'order 1', event_at => '2023-05-01 10:00+08',
    revenue => 9.50, details => '{"till": 3, "text": "a\tb\\c\n"}');
select earn('shop', '张伟', 200, source => 'check-in', qualifying => 0, event_at => '2024-02-29 10:00+08');
select redeem('shop', '张伟', 300, reference => 'gift', event_at => '2024-03-01 10:00+08', details => '[1, null]');
select reverse('shop', '张伟', 3, 100, reason => 'sent back', event_at => '2024-03-02 10:00+08');
select earn('shop', 'member ' || n, n * 10, event_at => '2024-01-01 00:00+08'::timestamptz + n * interval '1 day')
from generate_series(1, 50) n;
select expire_batch(as_of => '2024-08-01');
select redeem('shop', '张伟', 700, reference => 'found later', event_at => '2024-05-31 23:59+08');
call run_expiry('shop', as_of => '2025-02-01');
select reverse('shop', '张伟', 1, 50, reason => 'price cut', event_at => '2025-02-02');
select earn('shop', 'member 1', 77, available_at => now() + interval '14 days');
select earn('shop', 'member 2', 5, event_at => '2024-03-05', expiry => '1 month');
select open_account('miles', 'Ann'), open_account('miles', 'Bob'), open_account('miles', 'Cy');
select earn('miles', 'Ann', 9000000000000000000);
select freeze_account('miles', 'Ann', 'lost card');
select close_account('miles', 'Bob', 'moved');
select freeze_account('miles', 'Cy', 'fraud'), unfreeze_account('miles', 'Cy', 'no fraud');
SQL
	return;
}

# Each table and sequence of the extension with a checksum of what is in it.
sub contents
{
	my ($node, $database) = @_;
	my %contents;
	my @relations = split /\n/, $node->safe_psql($database, <<'SQL');
select c.relkind::text || c.relname
from pg_depend d join pg_class c on c.oid = d.objid
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
    and d.refobjid = (select oid from pg_extension where extname = 'jifen') and c.relkind in ('r', 'S')
SQL
	for my $relation (@relations)
	{
		my ($kind, $name) = $relation =~ /^(.)(.*)/;
		$contents{$name} = $node->safe_psql($database,
			$kind eq 'S'
			? "select last_value, is_called from jifen.$name"
			: qq{select count(*), md5(string_agg(r::text, E'\\n' order by r::text collate "C")) from jifen.$name r});
	}
	return \%contents;
}

# What reconcile() finds, and what a simpler count from the rows themselves
# finds: nothing where all is well.
sub breaches
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, <<'SQL');
select program, member, seq, invariant, expected, found from jifen.reconcile();
select 'account', a.account_id, a.balance, a.last_seq, e.amount, e.last_seq, l.remaining
from jifen.account a
left join (select account_id, sum(amount::bigint) as amount, max(seq) as last_seq, count(*) as entries
    from jifen.entry group by 1) e using (account_id)
left join (select account_id, sum(remaining::bigint) as remaining from jifen.lot group by 1) l using (account_id)
where a.balance::bigint <> coalesce(e.amount, 0) or a.balance::bigint <> coalesce(l.remaining, 0)
    or a.last_seq <> coalesce(e.last_seq, 0) or e.entries <> e.last_seq;
select 'debit', e.account_id, e.seq, e.amount, sum(x.amount::bigint)
from jifen.entry e left join jifen.allocation x using (account_id, seq)
where e.kind <> 'earn' group by 2, 3, 4 having e.amount::bigint <> -coalesce(sum(x.amount::bigint), 0);
SQL
}

1;
