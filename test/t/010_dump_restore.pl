#!/usr/bin/perl
# pg_dump and restore, in every way that is usual, bring everything back, and postings go on as if nothing had happened.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

# What the ledger answers, and how it goes on: all of it must be the same
# wherever it runs. It changes the database.
my $go_on = <<'SQL';
set search_path = jifen;
select balance('shop', '张伟', '2024-06-15'), balance('miles', 'Ann', '2100-01-01');
select seq, event_at, kind, amount, balance, details from statement('shop', '张伟');
select tier_status('shop', '张伟', '2024-04-01'), tier_for('miles', 'Cy', '2100-01-01');
select balance('bank', '李娜', '2024-04-09'), balance('bank', '李娜', '2024-04-09', known_at => '2024-01-01'), balance('bank', 'Mary', '2024-04-09');
select seq, kind, amount, balance, held, debt, expires_at, available_at, reference, reverses_seq from statement('bank', '李娜');
select account_id, seq, amount, until from hold order by 1, 2;
select account_id, seq, remaining from debt order by 1, 2;
select * from liability_by_expiry order by program, expires_month;
select balance('air', m, d) from unnest('{王芳,Lee,Kim,Mia,Noa}'::text[]) m, unnest('{2024-07-01,2024-07-06,2024-08-01,2024-10-31}'::timestamptz[]) d order by m, d;
select a.member, l.seq, l.remaining, l.expires_at, l.lapses_at, l.notice_days, l.noticed_at from open_lot l join account a using (account_id) where l.program_id = program_id('air') order by 1, 2;
select extension_id, accounts, lots, points, finished_at is not null as finished from extend_expiry('air', 'jubilee', '2100-01-01', idempotency_key => 'jubilee', event_at => '2024-05-02');
select extension_id, undoes, accounts, lots, points from undo_extension('air', 1, 'enough');
select seq, kind, amount, balance from redeem('air', '王芳', 15, event_at => '2024-06-15');
select seq, kind, amount, event_at, balance, rule_no, expiry from entry where account_id = account_id('air', '王芳') order by seq;
select rule_no from alter_program('air', expiry => 'never');
select job, batches, accounts, lots, holds, points, error from job_run order by job_run_id;
select member, expiring, to_notify, message from expiring_members('shop', '2025-02-01', '2025-01-20') order by 1;
select member, window_days, expiring, to_notify, message from due_notices('shop', as_of => '2025-01-28') order by 1;
select notice_no, points from record_notices('shop', array['member 10', 'member 30'], 'email', window_days => 30, sent_at => '2025-01-16');
select notice_no, points from record_notice('shop', 'member 30', 'email', window_days => 7, sent_at => '2025-01-28');
select account_id, seq, amount, balance, expires_at from earn('shop', 'new member', 10, event_at => '2025-03-01');
select account_id, seq, amount, balance, expires_at from earn('shop', '张伟', 10, event_at => '2025-03-01');
select account_id, seq, amount, balance, reverses_seq from reverse('shop', '张伟', 3, 10, event_at => '2025-03-02');
select account_id, seq, amount, balance from redeem('shop', '张伟', 5, event_at => '2025-03-03');
select account_id, seq, kind, amount, balance from earn('bank', '李娜', 300, reference => 'order 7', idempotency_key => 'order 7',
    event_at => '2024-01-02', expiry => '1 month');
select account_id, seq, kind, amount, balance, counter_account_id, counter_seq
from transfer('bank', '李娜', 'Mary', 60, reason => 'a gift', idempotency_key => 'gift 9', event_at => '2024-03-06');
select ordinal, seq, balance, sqlstate, message, detail from post(array[
    posting('bank', '李娜', 'redeem', 201, idempotency_key => 'redeem 8', event_at => '2024-01-03'),
    posting('bank', '李娜', 'hold', 20, idempotency_key => 'cart 2', until => '2100-01-02', event_at => '2024-04-02'),
    posting('bank', 'Zoe', 'earn', 6, idempotency_key => 'batch 2', event_at => '2024-04-07')], 'skip');
select e.account_id, e.seq, e.amount, e.held, e.debt, e.balance
from hold h, capture('bank', '李娜', h.seq, 4, event_at => '2024-05-01') e;
select account_id, seq, amount, balance, reverses_seq from reverse('bank', '李娜', 3, 30, event_at => '2024-05-02');
select account_id, seq, amount, balance, reverses_seq from reverse('bank', 'Mary', 1, 5, event_at => '2024-05-02');
select account_id, seq, amount, balance from earn('bank', 'Mary', 80, event_at => '2024-05-03');
select account_id, seq, amount, balance, held from hold('bank', '李娜', 8, '2100-01-01', event_at => '2024-05-04');
select account_id, seq, kind, amount, e.held, e.debt, e.balance, expires_at, hold_seq, debt_seq, counter_account_id, counter_seq
from entry e join account using (account_id) join program p using (program_id) where p.code = 'bank' order by 1, 2;
select account_id, seq, amount from hold order by 1, 2;
select account_id, seq, remaining from debt order by 1, 2;
select program_id from create_program('another');
select accounts, lots, points, more from expire_batch(as_of => '2025-03-03');
select account_id, status from unfreeze_account('miles', 'Ann', 'found');
select account_id, change_no, status, reason from status_change order by 1, 2;
select account_id, seq, kind, e.amount, lot_seq, a.amount from allocation a join entry e using (account_id, seq) order by 1, 2, 5;
call run_expiry('empty');
select job_run_id, program from job_run order by 1;
select * from reconcile();
set role app;
select seq, balance, actor from earn('shop', 'member 3', 1);
SQL

my $node = LedgerNode::start('source');
my $roles = 'create role app; create role reader';
$node->safe_psql('postgres', $roles);
LedgerNode::write_history($node, 'postgres');
$node->safe_psql('postgres', <<'SQL');
grant usage on schema jifen to app, reader;
grant execute on function
    jifen.earn,
    jifen.balance to app;
grant select on jifen.account, jifen.liability_by_expiry to reader;
SQL

my $written = LedgerNode::contents($node, 'postgres');
my $grants = grants($node, 'postgres');
my $kinds = $node->safe_psql('postgres', q{select pg_get_constraintdef(oid) from pg_constraint where conname = 'entry_kind_known'});

is($node->safe_psql('postgres', 'select distinct kind from jifen.entry order by 1'),
	join("\n", sort $kinds =~ /'(\w+)'/g), 'the history has every kind of entry');
is_deeply([ grep { $written->{$_} =~ /^0\|/ && !/_summary/ } sort keys %$written ], [], 'and rows in every table that is not made from others');
is(LedgerNode::breaches($node, 'postgres'), '', 'and is sound');

my $files = PostgreSQL::Test::Utils::tempdir;
dump_database($node, 'postgres', 'custom', '--format=custom');
dump_database($node, 'postgres', 'directory', '--format=directory', '--jobs=2');
dump_database($node, 'postgres', 'plain.sql');
dump_database($node, 'postgres', 'schema.sql', '--schema-only');
dump_database($node, 'postgres', 'data.sql', '--data-only');
dump_database($node, 'postgres', 'forced.sql', '--data-only', '--disable-triggers');

my $answers = $node->safe_psql('postgres', $go_on);

my $other = LedgerNode::start('other');
$other->safe_psql('postgres', $roles);
for my $server ($node, $other)
{
	restore($server, 'whole', 'pg_restore', "$files/custom");
	restore($server, 'by_jobs', 'pg_restore', '--jobs=2', "$files/directory");
	restore($server, 'by_psql', 'psql', '-f', "$files/plain.sql");
	restore($server, 'in_halves', 'psql', '-f', "$files/schema.sql", '-f', "$files/data.sql");
}

# A restored database can be dumped and restored in turn.
$other->safe_psql('postgres', 'create database fresh');
$other->command_ok([ 'pg_restore', '--exit-on-error', '-d', $other->connstr('fresh'), "$files/custom" ], 'pg_restore once more');
dump_database($other, 'fresh', 'again', '--format=custom');
restore($node, 'again', 'pg_restore', "$files/again");

# pg_dump --disable-triggers enables triggers again, but not always.
$other->safe_psql('postgres', 'create database forced');
$other->command_ok([ 'psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', '-f', "$files/schema.sql", '-f', "$files/forced.sql", '-d', $other->connstr('forced') ],
	'data restored with triggers disabled');
is_deeply(LedgerNode::contents($other, 'forced'), $written, 'every row and number is back');
is($other->safe_psql('forced', 'select invariant, found from jifen.reconcile() order by found'),
	join("\n", map { "what is written once refuses changes|table $_" } qw(agreement allocation entry expiry_rule notice notice_lot period_change point_value_change prepayment redemption_estimate)),
	'reconcile() says what is left to do');

done_testing();

sub dump_database
{
	my ($server, $database, $file, @options) = @_;
	command_ok([ 'pg_dump', '--no-sync', @options, '--file', "$files/$file", '--dbname', $server->connstr($database) ], "pg_dump @options");
	return;
}

# Restores into a new database, which must then have what was written and go
# on as the original did.
sub restore
{
	my ($server, $database, @command) = @_;
	my ($program, @arguments) = @command;
	my @strict = $program eq 'psql' ? ('-qXAt', '-v', 'ON_ERROR_STOP=1') : '--exit-on-error';

	subtest "@{[ $server->name ]}, @{[ map { s,.*/,,r } @command ]}" => sub {
		$server->safe_psql('postgres', "create database $database");
		$server->command_ok([ $program, @strict, '-d', $server->connstr($database), @arguments ], 'it is restored');
		is_deeply(LedgerNode::contents($server, $database), $written, 'every row and number is back') or return;
		is(LedgerNode::breaches($server, $database), '', 'nothing is amiss');
		is(grants($server, $database), $grants, 'the grants are back');

		my (undef, undef, $stderr) = $server->psql($database, 'set session_replication_role = replica; delete from jifen.entry');
		like($stderr, qr/DELETE of jifen.entry is refused/, 'entries cannot be deleted');
		(undef, undef, $stderr) = $server->psql($database, q{set role app; select jifen.redeem('shop', 'member 3', 1)});
		like($stderr, qr/permission denied for function redeem/, 'the application may do no more than before');

		is($server->safe_psql($database, $go_on), $answers, 'it answers and goes on as the original does');
		is(LedgerNode::breaches($server, $database), '', 'and nothing is amiss after that');
	};
	return;
}

# What has been granted on the extension's schema and what is in it.
sub grants
{
	my ($server, $database) = @_;
	return $server->safe_psql($database, <<'SQL');
select * from (
    select 'schema', nspname, nspacl from pg_namespace where nspname = 'jifen'
    union all select 'relation', relname, relacl from pg_class where relnamespace = 'jifen'::regnamespace
    union all select 'function', proname, proacl from pg_proc where pronamespace = 'jifen'::regnamespace) o (kind, name, acl)
where acl::text ~ 'app|reader' order by 1, 2;
SQL
}
