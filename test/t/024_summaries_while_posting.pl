#!/usr/bin/perl
# Summaries are made and books closed while sessions post in every kind of transaction: whoever reads meanwhile, and
# afterwards, finds each entry once.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = 12;
my $footing = abs_path(dirname(__FILE__) . '/../pgtap/footing.psql');
my $directory = PostgreSQL::Test::Utils::tempdir;
my $node = LedgerNode::start('summaries', conf => <<CONF);
max_connections = 30
max_prepared_transactions = 10
shared_buffers = 32MB
jit = off
CONF
$node->safe_psql('postgres', <<'SQL');
create extension jifen;
select from jifen.create_program('shop', time_zone => 'Asia/Shanghai', expiry => '12 months', auto_open => true, late_postings => 'book');
select from jifen.create_program('club', auto_open => true);
create table found (what text);

-- Sums of the flows against the tables, on the snapshot of the caller.
create view difference as
select 'entries' as what, f::text as found
from (
    select program_id, sum(entries), sum(amount), sum(held), sum(members), sum(revenue)
    from (
        select program_id, entries::numeric, amount, held, members::numeric, revenue from jifen.day_flow
        union all
        select a.program_id, -1, -e.amount::numeric, -e.held::numeric,
            (e.balance::numeric - e.amount::numeric > 0)::int - (e.balance::numeric > 0)::int,
            case when e.kind in ('earn', 'reverse') then -coalesce(e.revenue, 0) else 0 end
        from jifen.entry e join jifen.account a using (account_id)
    ) s group by program_id
    having (sum(entries), sum(amount), sum(held), sum(members), sum(revenue)) <> (0, 0, 0, 0, 0)
) f
union all
select 'lots', f::text
from (
    select program_id, sum(points)
    from (
        select program_id, points from jifen.cohort_flow
        union all select program_id, -remaining::numeric from jifen.lot
    ) s group by program_id having sum(points) <> 0
) f;
SQL

my %scripts = (
	post => <<'SQL',
\set m random(1, 100)
\set n random(1, 50)
\set wait random(0, 30)
begin;
select jifen.earn('shop', 'm' || :m, :n, source => 'web', funder => 'bank', revenue => 0.5);
\sleep :wait ms
select jifen.earn('club', 'm' || :m, :n);
end;
select jifen.redeem('club', 'm' || :m, 1);
SQL
	repeatable => <<'SQL',
\set m random(1, 100)
\set n random(1, 50)
\set wait random(0, 20)
begin isolation level repeatable read;
select count(*) from jifen.program;
\sleep :wait ms
select jifen.earn('shop', 'r' || :client_id || :m, :n, available_at => now() + interval '1 day');
savepoint before;
select jifen.earn('club', 'r' || :client_id || :m, :n);
rollback to before;
\sleep :wait ms
select jifen.earn('club', 'r' || :client_id || :m, :n);
end;
SQL
	prepared => <<'SQL',
\set n random(1, 1000000000)
\set wait random(0, 20)
begin;
select jifen.earn('shop', 'p' || :client_id, 5);
prepare transaction 'p:n';
\sleep :wait ms
commit prepared 'p:n';
SQL
	untold => <<'SQL',
\set n random(1, 50)
\set wait random(0, 10)
begin;
set local track_activities = off;
select jifen.earn('shop', 'u' || :client_id, :n);
\sleep :wait ms
end;
SQL
	summarize => <<'SQL',
\set wait random(0, 40)
call jifen.run_summary();
\sleep :wait ms
SQL
	close => <<'SQL',
\set d random(0, 20)
\set wait random(50, 200)
\sleep :wait ms
select jifen.reopen_period('shop', null, 'an error') from jifen.program where code = 'shop' and closed_until is not null;
select jifen.close_period('shop', jifen.day_begin(jifen.local_day(now(), 'Asia/Shanghai') - :d, 'Asia/Shanghai'));
SQL
	read => <<'SQL',
insert into found select what || ' ' || found from difference;
\sleep 50 ms
SQL
);
for my $name (keys %scripts)
{
	open my $file, '>', "$directory/$name.sql" or die "could not write: $!";
	print $file $scripts{$name};
	close $file;
}

my @running;
for my $run ([ 3, 'post' ], [ 2, 'repeatable' ], [ 1, 'prepared', '--rate=5' ], [ 1, 'untold', '--rate=5' ],
	[ 1, 'summarize' ], [ 1, 'close' ], [ 1, 'read' ])
{
	my ($clients, $name, @options) = @$run;
	push @running, [ $name, IPC::Run::start(
		[ 'pgbench', '-n', "--client=$clients", "--time=$seconds", @options, "--file=$directory/$name.sql", $node->connstr('postgres') ],
		'>', "$directory/$name.out", '2>&1') ];
}
for my $run (@running)
{
	my ($name, $handle) = @$run;
	ok($handle->finish, "$name ended well") or diag(slurp_file("$directory/$name.out"));
}

is($node->safe_psql('postgres', 'select what from found limit 5'), '', 'whoever read meanwhile found each entry once');
is($node->safe_psql('postgres', q{select string_agg(distinct error, ', ') from jifen.job_run}), '', 'no run failed');
cmp_ok($node->safe_psql('postgres', 'select count(distinct changed_at) from jifen.period_change'), '>', 10, 'books were closed');
$node->safe_psql('postgres', 'call jifen.run_summary()');
is($node->safe_psql('postgres', 'select count(*) from jifen.entry, jifen.summary_state where posted_at >= summarized_until'), '0',
	'once nobody posts, all is summarized');
is($node->safe_psql('postgres', <<SQL), '', 'by every key of the flows, and on every basis');
\\o /dev/null
\\i $footing
select pg_temp.recount();
analyze;
\\o
select pg_temp.misfooted_recount() limit 5;
select pg_temp.misfooted_flows() limit 5;
select pg_temp.misfooted_roll_forward() limit 5;
SQL
is(LedgerNode::breaches($node, 'postgres'), '', 'nothing is amiss');

done_testing();
