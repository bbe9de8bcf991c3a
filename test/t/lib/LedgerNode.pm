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

# Creates the extension and a history of it: every kind of entry, programs of
# every rule, with and without accounts, pending, held and lapsed points, open
# holds and debts, accounts of every status, tiers, job runs, times and claims of jobs, seals, notices,
# members who were forgotten, lots that inactivity or a notice moves, under
# rules of several numbers, and extensions with and without an end.
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
select create_program('bank', expiry => '12 months', auto_open => true, overdraft => 'debt', overdraft_limit => 1000,
    return_grace => '30 days');
select create_program('club', auto_open => true, overdraft => 'forgive');
select import('bank', '李娜', 500, expires_at => 'infinity', reference => 'opening balance', issued_at => '2020-02-29',
    event_at => '2024-01-01', idempotency_key => 'opening 1', details => '{"old": 17}');
select earn('bank', '李娜', 300, reference => 'order 7', idempotency_key => 'order 7', event_at => '2024-01-02', expiry => '1 month');
select redeem('bank', '李娜', 200, idempotency_key => 'redeem 8', event_at => '2024-01-03');
select expire_batch('bank', as_of => '2024-03-01');
select reverse('bank', '李娜', 4, 40, reason => 'goodwill', event_at => '2024-03-02', expiry => '10 years');
select reverse('bank', '李娜', 3, 20, reason => 'sent back', idempotency_key => 'return 8', event_at => '2024-03-03');
select adjust('bank', '李娜', 25, 'apology', event_at => '2024-03-04', expiry => 'never'),
    adjust('bank', '李娜', -5, 'abuse', event_at => '2024-03-05');
select transfer('bank', '李娜', 'Mary', 60, reason => 'a gift', idempotency_key => 'gift 9', event_at => '2024-03-06')
from open_account('bank', 'Mary');
select reverse('bank', 'Mary', 1, 10, reason => 'too much', event_at => '2024-03-07');
select earn('bank', 'Mary', 100, event_at => '2024-03-08', expiry => 'never'),
    redeem('bank', 'Mary', 120, event_at => '2024-03-09'), adjust('bank', 'Mary', -80, 'fraud', event_at => '2024-03-10'),
    earn('bank', 'Mary', 30, event_at => '2024-03-11', expiry => 'never');
select earn('club', 'Mary', 10), redeem('club', 'Mary', 10), reverse('club', 'Mary', 1, reason => 'fraud');
select hold('bank', '李娜', 10, '2100-01-01', reference => 'cart 1', event_at => '2024-04-01'),
    hold('bank', '李娜', 20, '2100-01-02', idempotency_key => 'cart 2', event_at => '2024-04-02'),
    hold('bank', '李娜', 30, '2100-01-03', event_at => '2024-04-03');
select capture('bank', '李娜', h.seq, 15, event_at => '2024-04-05') from hold h where h.amount = 20;
select release('bank', '李娜', h.seq, 'cart left', event_at => '2024-04-06') from hold h where h.amount = 30;
select count(*) from post(array[
    posting('bank', '李娜', 'earn', 5, idempotency_key => 'batch 1', event_at => '2024-04-07', "group" => 'g'),
    posting('bank', 'Zoe', 'earn', 6, idempotency_key => 'batch 2', event_at => '2024-04-07', "group" => 'g'),
    posting('bank', 'Zoe', 'redeem', 7, event_at => '2024-04-08'),
    posting('bank', 'Zoe', 'hold', 2, until => now() + interval '1 millisecond', event_at => '2024-04-09')], 'skip');
select pg_sleep(0.01);
call run_release('bank');
select set_notice_template('shop', 'zh', '截至{as_of:FMMM月FMDD日},您拥有{available}积分,其中{expiring}分将于月末失效'),
    set_notice_template('shop', 'en', E'{expiring} points\tlapse on {expires_on}\n');
select count(*) from due_notices('shop', as_of => '2025-01-15'), record_notices('shop', array[member], 'email', window_days => window_days,
    sent_at => '2025-01-15', messages => array[message]);
select record_notice('bank', 'Zoe', 'letter', window_days => 3650, sent_at => '2024-04-08');
select seal('shop'), seal('miles'), seal('bank');
select earn('shop', 'member 4', 1, details => '{"name": "gone"}');
select forget_member('shop', 'member 4', 'request 17');
select seal('shop');
select schedule_program('shop', expiry => '04:00', seal => '05:00');
select set_agreement('shop', 'funder', '茶', 0.02, '2024-01-01', is_prepaid => true, currency => 'CNY');
select record_prepayment('shop', '茶', 100.50, '2024-01-02', idempotency_key => 'payment 1');
select record_redemption_estimate('shop', 0.9, '2024-01-01', reason => 'first count');
select set_gl_account('shop', 'contract_liability', '2205', '合同负债');
select earn('shop', 'member 5', 10, source => 'web', funder => '茶'), redeem('shop', 'member 5', 5, source => 'app', partner => '航空');
select close_period('miles', '2024-01-01');
-- Programs have no time of day that came before they were created.
update program set created_at = '2023-01-01' where code = 'miles';
call run_scheduled('expire', '00:00', 2);
call run_scheduled('seal', '00:00');
select create_program('air', time_zone => 'Asia/Shanghai', expiry => '6 months inactive end of month', auto_open => true,
    activity => '{earn,redeem}');
select open_account('air', '王芳', '2020-02-29');
select earn('air', m, 100, event_at => '2024-01-10', source => 'flight') from unnest('{王芳,Lee,Kim}'::text[]) m;
select earn('air', '王芳', 30, event_at => '2024-01-11', expiry => '1 year end of membership year');
select redeem('air', '王芳', 20, event_at => '2024-03-10');
select expire_member('air', 'Kim', '2024-09-01');
select earn('air', 'Kim', 1, event_at => '2024-05-05', reference => 'posted late');
select alter_program('air', activity => '{redeem}', notice_days => 10);
select earn('air', m, 40, event_at => '2024-04-01', expiry => 'on 2024-06-30') from unnest('{王芳,Lee,Mia,Noa}'::text[]) m;
select record_notice('air', 'Mia', 'sms', window_days => 30, sent_at => '2024-06-25 12:00+08', message => '40 积分');
select extend_expiry('air', 'goodwill', by_interval => '1 month', members => '{王芳}', sources => '{flight}', event_at => '2024-05-01',
    idempotency_key => 'goodwill 1');
select extend_expiry('air', 'jubilee', '2100-01-01', idempotency_key => 'jubilee', max_accounts => 1, event_at => '2024-05-02');
select undo_extension('air', x.extension_id, 'by mistake', '{Kim}')
from extend_expiry('air', 'storm', '2100-06-01', members => '{Kim,Lee}', event_at => '2024-05-06') x;
select reinstate('air', 'Kim', 'goodwill', 10, expiry => '100 years inactive');
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

# What reconcile(), verify_chain() and verify_seals() find, and what a simpler
# count from the rows themselves finds: nothing where all is well.
sub breaches
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, <<'SQL');
select program, member, seq, invariant, expected, found from jifen.reconcile();
select program, member, seq, invariant, expected, found from jifen.verify_chain();
select program, member, seq, invariant, expected, found from jifen.verify_seals();
select 'account', a.account_id, a.balance, a.held, a.debt, a.last_seq, e.*, l.remaining, h.amount, d.remaining
from jifen.account a
left join (select account_id, sum(amount::bigint) as amount, sum(held::bigint) as held, sum(debt::bigint) as debt,
        max(seq) as last_seq, count(*) as entries
    from jifen.entry group by 1) e using (account_id)
left join (select account_id, sum(remaining::bigint) as remaining from jifen.lot group by 1) l using (account_id)
left join (select account_id, sum(amount::bigint) as amount from jifen.hold group by 1) h using (account_id)
left join (select account_id, sum(remaining::bigint) as remaining from jifen.debt group by 1) d using (account_id)
where (a.balance::bigint, a.held::bigint, a.debt::bigint, a.last_seq, a.last_seq)
        <> (coalesce(e.amount, 0), coalesce(e.held, 0), coalesce(e.debt, 0), coalesce(e.last_seq, 0), coalesce(e.entries, 0))
    or (a.balance::bigint, a.held::bigint, a.debt::bigint)
        <> (coalesce(l.remaining, 0) + coalesce(h.amount, 0) - coalesce(d.remaining, 0), coalesce(h.amount, 0), coalesce(d.remaining, 0));
-- Points that an entry puts into its own lot, or returns to others, are new,
-- were held before, or make a debt smaller; and the other way round.
select 'entry', e.account_id, e.seq, e.kind, e.amount, e.held, e.debt, x.taken
from jifen.entry e
left join (select account_id, seq, sum(amount::bigint) as taken from jifen.allocation group by 1, 2) x using (account_id, seq)
where e.amount::bigint <> e.held::bigint - e.debt::bigint - coalesce(x.taken, 0)
    + case when e.expires_at is null then 0 when e.kind = 'extend' then x.taken else e.amount::bigint end;
select 'lot', c.account_id, c.seq, c.amount, x.taken, l.remaining
from jifen.entry c
left join (select account_id, lot_seq as seq, sum(amount::bigint) as taken from jifen.allocation group by 1, 2) x using (account_id, seq)
left join (select account_id, seq, sum(amount::bigint) as extended from jifen.allocation group by 1, 2) o using (account_id, seq)
left join jifen.lot l using (account_id, seq)
where c.expires_at is not null
    and case c.kind when 'extend' then o.extended else c.amount::bigint end - coalesce(x.taken, 0) <> coalesce(l.remaining::bigint, 0);
SQL
}

1;
