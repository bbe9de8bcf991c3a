#!/usr/bin/perl
# A standby and a read-only transaction answer every question, and refuse every posting with 25006.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Cluster;
use Test::More;

my $primary = LedgerNode::start('primary', streaming => 1);
LedgerNode::write_history($primary, 'postgres');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# a posting after the backup arrives by streaming
$primary->safe_psql('postgres', q{select jifen.earn('shop', '张伟', 3, event_at => '2025-03-01')});
$primary->wait_for_catchup($standby);

my @questions = (
	q{select jifen.balance('shop', '张伟', '2025-03-02')},
	q{select jifen.expiring('shop', '张伟', '2026-04-01', '2025-03-02')},
	q{select * from jifen.statement('shop', '张伟')},
	q{select * from jifen.expiring_members('shop', '2026-04-01', '2025-03-02')},
	q{select * from jifen.due_notices('shop', '{3650}', '2024-03-02')},
	q{select jifen.balance('bank', '李娜', '2025-03-02', known_at => '2100-01-01')},
	q{select * from jifen.statement('bank', 'Mary', known_at => '2100-01-01')},
	q{select jifen.tier_for('miles', 'Cy', '2025-03-02')},
	q{select jifen.tier_status('shop', '张伟', '2024-04-01')},
	q{select jifen.account_id('shop', '张伟')},
	q{select * from jifen.liability_by_expiry},
	q{select * from jifen.open_lot},
	q{select a.member, jifen.last_activity_at(a) from jifen.account a},
	q{select jifen.balance('air', '王芳', '2024-07-05')},
	q{select count(*) from jifen.reconcile()},
	q{select count(*) from jifen.verify_chain()},
	q{select count(*) from jifen.verify_seals()},
	q{select program from jifen.due_programs('seal', '00:10')},
	q{select * from jifen.preview_policy('shop', '24 months')},
	q{select jifen.inclusion_proof('shop', '张伟')},
	q{select * from jifen.closed_period});

my %postings = (
	create_program    => q{select jifen.create_program('late')},
	alter_program     => q{select jifen.alter_program('shop', name => 'Late')},
	create_tier       => q{select jifen.create_tier('shop', 'late', null, 5)},
	open_account      => q{select jifen.open_account('shop', 'late')},
	freeze_account    => q{select jifen.freeze_account('shop', '张伟', 'late')},
	unfreeze_account  => q{select jifen.unfreeze_account('miles', 'Ann', 'late')},
	close_account     => q{select jifen.close_account('shop', '张伟', 'late')},
	earn              => q{select jifen.earn('shop', '张伟', 1)},
	redeem            => q{select jifen.redeem('shop', '张伟', 1)},
	hold              => q{select jifen.hold('shop', '张伟', 1, '2100-01-01')},
	capture           => q{select jifen.capture('bank', '李娜', 11)},
	release           => q{select jifen.release('bank', '李娜', 11)},
	reverse           => q{select jifen.reverse('shop', '张伟', 3, 1)},
	reverse_reference => q{select jifen.reverse_reference('shop', '张伟', 'order 1')},
	lock_account      => q{select jifen.lock_account('shop', '张伟')},
	adjust            => q{select jifen.adjust('shop', '张伟', -1, 'late')},
	transfer          => q{select jifen.transfer('bank', '李娜', 'Mary', 1)},
	import            => q{select jifen.import('shop', '张伟', 1)},
	post              => q{select jifen.post(array[jifen.posting('shop', '张伟', 'earn', 1)])},
	forget_member     => q{select jifen.forget_member('shop', '张伟', 'late')},
	seal              => q{select jifen.seal('shop')},
	set_notice_template => q{select jifen.set_notice_template('shop', 'zh', 'late')},
	record_notice     => q{select jifen.record_notice('shop', '张伟', 'sms', window_days => 3650)},
	record_notices    => q{select jifen.record_notices('shop', array['张伟'], 'sms', window_days => 3650)},
	expire_batch      => q{select jifen.expire_batch()},
	expire_member     => q{select jifen.expire_member('shop', '张伟')},
	reinstate         => q{select jifen.reinstate('air', 'Kim', 'late')},
	extend_expiry     => q{select jifen.extend_expiry('air', 'late', by_interval => '1 day')},
	undo_extension    => q{select jifen.undo_extension('air', 1, 'late')},
	run_extension     => q{call jifen.run_extension('air', 'late', 'late', by_interval => '1 day')},
	carry_out         => q{select jifen.carry_out(x, 1) from jifen.extension x where finished_at is null},
	extend_batch      => q{select jifen.extend_batch(1, 0, 1, false, 'late', 'late', null, null, null, 'infinity', null, null, null)},
	record_point_value => q{select jifen.record_point_value(p) from jifen.program p where code = 'air'},
	record_expiry_rule => q{select jifen.record_expiry_rule(p) from jifen.program p where code = 'air'},
	release_batch     => q{select jifen.release_batch()},
	run_expiry        => q{call jifen.run_expiry()},
	run_release       => q{call jifen.run_release()},
	run_batches       => q{call jifen.run_batches('expire', null, now(), 1)},
	start_job_run     => q{select jifen.start_job_run('expire', null)},
	add_to_job_run    => q{select jifen.add_to_job_run(1, 1, 1, 1, 1)},
	end_job_run       => q{select jifen.end_job_run(1, null)},
	run_seal          => q{call jifen.run_seal()},
	run_scheduled     => q{call jifen.run_scheduled('expire', '00:10')},
	claim_job         => q{select jifen.claim_job('expire', '00:10', 1, now())},
	end_claim         => q{select jifen.end_claim('expire', 1, 'shop')},
	schedule_program  => q{select jifen.schedule_program('shop', expiry => '03:00')},
	close_period      => q{select jifen.close_period('shop', '2024-01-01')},
	reopen_period     => q{select jifen.reopen_period('shop', null, 'late')},
	change_period     => q{select jifen.change_period(p, null, 'late') from jifen.program p where code = 'shop'},
	lock_periods      => q{select jifen.lock_periods('shop')},
	announce_summary  => q{select jifen.announce_summary()},
	advance_summaries => q{select jifen.advance_summaries()},
	add_to_flows      => q{select jifen.add_to_flows(null, now())},
	add_to_settlement => q{select jifen.add_to_settlement(null, now())},
	add_to_behaviour  => q{select jifen.add_to_behaviour(null, now())},
	index_new_entries => q{select jifen.index_new_entries()},
	drop_summaries    => q{select jifen.drop_summaries()},
	run_summary       => q{call jifen.run_summary()},
	drop_flows        => q{select jifen.drop_flows()},
	drop_settlement   => q{select jifen.drop_settlement()},
	drop_behaviour    => q{select jifen.drop_behaviour()},
	lock_program      => q{select jifen.lock_program('shop')},
	set_agreement     => q{select jifen.set_agreement('shop', 'partner', 'late', 0.01)},
	end_agreement     => q{select jifen.end_agreement('shop', 'partner', 'late', current_date)},
	record_prepayment => q{select jifen.record_prepayment('shop', 'late', 1)},
	record_redemption_estimate => q{select jifen.record_redemption_estimate('shop', 0.9)},
	set_gl_account    => q{select jifen.set_gl_account('shop', 'cash', 'late')});

# Whether there is anything to write must not matter.
my %idle = (
	open_account => q{select jifen.open_account('none', 'none')},
	expire_batch => q{select jifen.expire_batch('none')},
	expire_member => q{select jifen.expire_member('none', 'none')},
	reinstate    => q{select jifen.reinstate('shop', 'none', 'late')},
	extend_expiry => q{select jifen.extend_expiry('empty', 'late', 'infinity')},
	undo_extension => q{select jifen.undo_extension('none', 0, 'late')},
	run_extension => q{call jifen.run_extension('none', 'late', 'late', 'infinity')},
	redeem       => q{select jifen.redeem('shop', 'none', 1)},
	post         => q{select jifen.post('{}')},
	notices      => q{select jifen.record_notices('shop', '{}', 'sms', window_days => 7)},
	template     => q{select jifen.set_notice_template('shop', 'fr', null)},
	replay       => q{select jifen.earn('bank', '李娜', 300, 'order 7', idempotency_key => 'order 7', event_at => '2024-01-02', expiry => '1 month')});

# These write to pg_cron's tables; and the trigger function cannot be called.
my @elsewhere = qw(refuse_change schedule_jobs unschedule_jobs);

is_deeply(
	[ split /\n/, $primary->safe_psql('postgres', q{select proname from pg_proc where pronamespace = 'jifen'::regnamespace and provolatile = 'v' order by proname collate "C"}) ],
	[ sort keys %postings, @elsewhere ],
	'every writing function is tried here');

for my $question (@questions)
{
	my $answer = $primary->safe_psql('postgres', $question);
	is($standby->safe_psql('postgres', $question), $answer, "standby: $question");
	is($primary->safe_psql('postgres', "begin read only; $question; commit"), $answer, "read only: $question");
}

my $before = LedgerNode::contents($primary, 'postgres');
for my $posting (map({ $postings{$_} } sort keys %postings), map({ $idle{$_} } sort keys %idle))
{
	is(refusal($standby, $posting), '25006', "standby: $posting");
	# a procedure that commits cannot run within a transaction block
	my $read_only = $posting =~ /^call/ ? 'set default_transaction_read_only = on' : 'begin read only';
	is(refusal($primary, "$read_only;\n$posting"), '25006', "read only: $posting");
}
is_deeply(LedgerNode::contents($primary, 'postgres'), $before, 'nothing was written, and no number used up');

# Once promoted, the standby takes postings.
$primary->stop;
$standby->promote;
is($standby->safe_psql('postgres', q{select balance from jifen.earn('shop', 'member 3', 1)}), '1', 'a promoted standby posts');
is(LedgerNode::breaches($standby, 'postgres'), '', 'and nothing is amiss');

done_testing();

# The SQLSTATE that the statement is refused with.
sub refusal
{
	my ($node, $sql) = @_;
	my (undef, undef, $stderr) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql");
	return $stderr =~ /ERROR:  (\w{5})/ ? $1 : "no error: $stderr";
}
