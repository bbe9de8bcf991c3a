#!/usr/bin/perl
# Summaries while sessions post: nothing is lost and nothing counted twice, whoever is in flight.
use strict;
use warnings;
use LedgerNode;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = LedgerNode::start('summaries', conf => "max_prepared_transactions = 2\n");
$node->safe_psql('postgres', <<'SQL');
create extension jifen;
select from jifen.create_program('shop', time_zone => 'Asia/Shanghai', expiry => '3 months end of month', auto_open => true);
-- What the flows say that the tables do not, of one snapshot.
create function differences() returns setof text language sql stable
begin atomic
    select what || ': ' || coalesce(flow, 0) || ' instead of ' || coalesce(wanted, 0)
    from (values
        ('balance', (select sum(amount) from jifen.program_flow), (select sum(balance::numeric) from jifen.account)),
        ('entries', (select sum(entries) from jifen.day_flow), (select sum(last_seq) from jifen.account)),
        ('balance by day', (select sum(amount) from jifen.day_flow), (select sum(balance::numeric) from jifen.account)),
        ('held', (select sum(held) from jifen.day_flow), (select sum(held::numeric) from jifen.account)),
        ('members', (select sum(members) from jifen.day_flow), (select count(*) from jifen.account where balance::bigint > 0)),
        ('lots', (select sum(points) from jifen.cohort_flow), (select sum(remaining::numeric) from jifen.lot)),
        ('holds', (select sum(held) from jifen.cohort_flow), (select sum(amount::numeric) from jifen.hold)),
        ('lots by day', (select sum(points) from jifen.vintage_flow), (select sum(remaining::numeric) from jifen.lot))) v (what, flow, wanted)
    where coalesce(flow, 0) <> coalesce(wanted, 0);
end;
-- Redeems what there is, or else earns.
create procedure post_something(member text, n int) language plpgsql as $$
begin
    if n % 3 = 0 then
        perform jifen.redeem('shop', member, 1 + n % 7);
    elsif n % 11 = 0 then
        perform jifen.hold('shop', member, 1, now() + interval '1 hour');
    else
        perform jifen.earn('shop', member, 1 + n % 50, source => case when n % 2 = 0 then 'web' end,
            event_at => case when n % 5 = 0 then now() - n * interval '1 hour' end);
    end if;
exception when sqlstate 'JF001' or sqlstate 'JF003' then
    perform jifen.earn('shop', member, 100);
end
$$;
SQL

my $dir = PostgreSQL::Test::Utils::tempdir;
sub script
{
	my ($name, $text) = @_;
	open my $file, '>', "$dir/$name" or die "$name: $!";
	print $file $text;
	close $file;
	return "$dir/$name";
}
my $post = script('post.sql', <<'SQL');
\set member random(1, 20)
\set n random(1, 1000)
call post_something('m' || :member, :n);
SQL
# Several postings in a transaction, in subtransactions too, that lasts a while.
my $linger = script('linger.sql', <<'SQL');
\set member random(1, 20)
\set n random(1, 1000)
\set pause random(1, 300)
begin isolation level read committed;
call post_something('x' || :member, :n);
\sleep :pause ms
savepoint s;
call post_something('y' || :client_id, :n + 1);
release s;
end;
SQL
# The snapshot is from before the posting.
my $late = script('late.sql', <<'SQL');
\set pause random(1, 300)
begin isolation level repeatable read;
select count(*) from jifen.program;
\sleep :pause ms
select jifen.earn('shop', 'late' || :client_id, 3);
end;
SQL
my $summarize = script('summarize.sql', "call jifen.run_summary();\n");
my $read = script('read.sql', <<'SQL');
begin isolation level repeatable read;
select 1 / (1 - count(*)) from differences();
end;
SQL

my @runs = map { my ($clients, $file, @more) = @$_;
	my ($out, $err) = ('', '');
	{ what => $file, err => \$err,
	  run => IPC::Run::start([ 'pgbench', '-n', '-T', 12, '-c', $clients, @more, '-f', $file, $node->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err) }
} ([ 2, $post, '--max-tries=50' ], [ 3, $linger, '--max-tries=50' ], [ 2, $late ], [ 2, $summarize ], [ 1, $read ]);
for my $run (@runs)
{
	$run->{run}->finish;
	is($run->{run}->result(0), 0, "pgbench of $run->{what}") or diag ${ $run->{err} };
}
cmp_ok($node->safe_psql('postgres', q{select sum(entries) from jifen.day_summary}), '>', 100, 'much of it is summarized');
is($node->safe_psql('postgres', 'select * from differences()'), '', 'the flows are what the tables are');
is($node->safe_psql('postgres', 'select * from jifen.reconcile()'), '', 'and reconcile');

# A transaction that has posted and is still open.
my ($out, $err) = ('', '');
my $open = IPC::Run::start([ 'pgbench', '-n', '-t', 1, '-D', 'pause=3', '-f', script('open.sql', <<'SQL'), $node->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
begin;
select jifen.earn('shop', 'open', 77);
\sleep :pause s
end;
SQL
$node->poll_query_until('postgres', q{select exists (select from pg_locks where relation = 'jifen.entry'::regclass and mode = 'RowExclusiveLock')})
  or die 'nobody posts';
$node->safe_psql('postgres', 'call jifen.run_summary()');
like($node->safe_psql('postgres', 'select held_up_by from jifen.summary_state'), qr/^session \d+, in a transaction since/, 'an open transaction holds the summaries up');
is($node->safe_psql('postgres', 'select * from differences()'), '', 'what it has not committed does not count');
$open->finish;
is($node->safe_psql('postgres', 'select * from differences()'), '', 'and does once it has');
is($node->safe_psql('postgres', q{select sum(points) from jifen.cohort_flow where source is null and movement = 'earned' having sum(points) >= 77}) ne '', 1, 'it is there');

# A prepared one.
$node->safe_psql('postgres', q{begin; select jifen.earn('shop', 'prepared', 5); prepare transaction 'p'});
$node->safe_psql('postgres', 'call jifen.run_summary()');
is($node->safe_psql('postgres', 'select held_up_by from jifen.summary_state'), 'a prepared transaction', 'a prepared transaction does too');
$node->safe_psql('postgres', q{commit prepared 'p'});
is($node->safe_psql('postgres', 'select * from differences()'), '', 'nor is it lost');
$node->safe_psql('postgres', 'call jifen.run_summary()');
is($node->safe_psql('postgres', 'select held_up_by is null from jifen.summary_state'), 't', 'then nothing holds them up');

# A program that somebody is about to change cannot be announced to.
$node->safe_psql('postgres', q{select jifen.create_program('slow', currency => 'CNY')});
$open = IPC::Run::start([ 'pgbench', '-n', '-t', 1, '-D', 'pause=2', '-f', script('change.sql', <<'SQL'), $node->connstr('postgres') ], '<', \undef, '>', \$out, '2>', \$err);
begin;
select jifen.set_agreement('slow', 'funder', 'bank', 0.01);
\sleep :pause s
end;
SQL
$node->poll_query_until('postgres', q{select exists (select from pg_stat_activity where state = 'idle in transaction')}) or die 'nobody changes it';
$node->safe_psql('postgres', q{select jifen.earn('shop', 'meanwhile', 5)});
$node->safe_psql('postgres', 'call jifen.run_summary()');
is($node->safe_psql('postgres', 'select held_up_by from jifen.summary_state'), 'program "slow", which a session is about to change', 'a program being changed holds them up, and is named');
is($node->safe_psql('postgres', 'select * from differences()'), '', 'nothing is amiss meanwhile');
$open->finish;
$node->safe_psql('postgres', 'call jifen.run_summary()');
is($node->safe_psql('postgres', 'select held_up_by is null from jifen.summary_state'), 't', 'until it is');

# Dropped and made anew.
my @views = qw(program_flow day_flow pending_flow cohort_flow vintage_flow);
my %sums = (
	program_flow => 'program_id, sum(amount), sum(entries)',
	day_flow => 'program_id, booked_on, happened_on, reported_on, movement, source, funder, partner, sum(entries), sum(amount), sum(held), sum(debt), sum(members)',
	pending_flow => 'program_id, booked_on, happened_on, reported_on, available_on, sum(points)',
	cohort_flow => 'program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month, movement, sum(points), sum(held)',
	vintage_flow => 'program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, sum(points), sum(held), sum(expired), sum(revenue), sum(issued)');
sub figures
{
	return join "\n", map {
		my $keys = $sums{$_} =~ s/, sum\(.*//r;
		$node->safe_psql('postgres', "select $sums{$_} from jifen.$_ group by $keys order by $keys") } @views;
}
my $before = figures();
$node->safe_psql('postgres', 'select jifen.drop_summaries()');
is($node->safe_psql('postgres', 'select count(*) from jifen.day_summary'), '0', 'summaries are dropped');
is(figures(), $before, 'the figures are the same without');
$node->safe_psql('postgres', 'call jifen.run_summary()');
cmp_ok($node->safe_psql('postgres', 'select count(*) from jifen.day_summary'), '>', 0, 'they are made anew');
is(figures(), $before, 'and the same again');

# A restored database does without.
$node->safe_psql('postgres', 'create database restored');
$node->command_ok([ 'bash', '-c', "pg_dump '" . $node->connstr('postgres') . "' | psql -qX '" . $node->connstr('restored') . "'" ], 'dumped and restored');
is($node->safe_psql('restored', 'select count(*), (select summarized_until from jifen.summary_state) from jifen.day_summary'), '0|', 'summaries are not');
is($node->safe_psql('restored', 'select sum(amount) = (select sum(balance::numeric) from jifen.account) from jifen.program_flow'), 't', 'and the figures are');

is($node->safe_psql('postgres', 'select * from jifen.reconcile()'), '', 'all reconciles');
done_testing();
