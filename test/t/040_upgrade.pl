#!/usr/bin/perl
# The extension as an object: its version, what a dump takes of it, and a session that outlives it.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = LedgerNode::start('main');

# one version everywhere
my ($version) = slurp_file('jifen.control') =~ /^default_version = '(.*)'$/m;
like($version, qr/^\d+\.\d+\.\d+$/, 'the control file has a default version');
is((slurp_file('META.json') =~ /"version"\s*:\s*"(.*?)"/)[0], $version, 'META.json has it');
is((slurp_file('CHANGELOG.md') =~ /^## \[?(\d[\w.]*)/m)[0], $version, 'CHANGELOG.md begins with it');
is_deeply([ glob 'jifen--*.sql' ], ["jifen--$version.sql"], 'there is a script for it alone');

my (undef, undef, $stderr) = $node->psql('postgres', "create extension jifen version '0.0.0'");
like($stderr, qr/extension "jifen" has no installation script/, 'an unknown version is refused');
$node->safe_psql('postgres', 'create extension jifen');
is($node->safe_psql('postgres', q{select extversion, extnamespace::regnamespace from pg_extension where extname = 'jifen'}), "$version|jifen", 'the default version is created');
$node->safe_psql('postgres', "drop extension jifen; create extension jifen version '$version'");
is($node->safe_psql('postgres', q{alter extension jifen update}), '', 'there is nothing to update to');
is($node->safe_psql('postgres', q{select distinct probin from pg_proc where pronamespace = 'jifen'::regnamespace and probin is not null}),
	'$libdir/jifen', 'all C functions are in one library');

# what a dump takes; summaries are made anew from the journal
my $unmarked = <<'SQL';
select c.relname from pg_depend d join pg_class c on c.oid = d.objid, pg_extension x
where x.extname = 'jifen' and d.refclassid = 'pg_extension'::regclass and d.refobjid = x.oid and d.deptype = 'e'
    and d.classid = 'pg_class'::regclass and c.relkind in ('r', 'p', 'S', 'm') and c.oid <> all (coalesce(x.extconfig, '{}'))
    and c.relname !~ '^(summary_state|(program|day|pending|cohort|vintage|activity|member|settlement|tier)_summary|tier_summary_rule)$'
SQL
is($node->safe_psql('postgres', $unmarked), '', 'every table and sequence is marked for dump');
is($node->safe_psql('postgres', q{select condition from pg_extension, unnest(extcondition) condition where extname = 'jifen' and condition <> ''}), '',
	'with all its rows');
$node->safe_psql('postgres', 'create table jifen.forgotten (); alter extension jifen add table jifen.forgotten');
is($node->safe_psql('postgres', $unmarked), 'forgotten', 'a forgotten mark is found');
$node->safe_psql('postgres', 'alter extension jifen drop table jifen.forgotten; drop table jifen.forgotten');

# a parallel restore loads the tables in any order
is($node->safe_psql('postgres', q{select conrelid::regclass, conname from pg_constraint where contype = 'f' and connamespace = 'jifen'::regnamespace}),
	'', 'no table needs another one loaded before it');

# One session keeps its plans while the extension goes, comes and changes.
my $posting = <<'SQL';
select from jifen.create_program('shop', auto_open => true, expiry => '1 month');
select from jifen.create_tier('shop', 'gold', 'Gold', 100);
select seq, balance from jifen.earn('shop', 'alice', 100, event_at => '2024-01-10');
select seq, balance from jifen.redeem('shop', 'alice', 30, event_at => '2024-01-11');
select seq, balance from jifen.reverse('shop', 'alice', 2, 10, event_at => '2024-01-12');
select balance, available from jifen.balance('shop', 'alice', '2024-01-13');
select jifen.tier_for('shop', 'alice', '2024-01-13');
select seq, balance from jifen.statement('shop', 'alice');
select accounts, points from jifen.expire_batch();
call jifen.run_expiry();
select seq, balance from jifen.redeem('shop', 'alice', 80, event_at => '2024-01-14');
select status from jifen.close_account('shop', 'alice', 'moved');
select count(*) from jifen.reconcile();
SQL
my $answers = $node->safe_psql('postgres', $posting);
isnt($answers, '', 'a session posts');
$node->safe_psql('postgres', 'drop extension jifen; create extension jifen');
is($node->safe_psql('postgres', "$posting drop extension jifen; create extension jifen;\n$posting drop extension jifen cascade;\ncreate extension jifen;\n$posting"),
	join("\n", ($answers) x 3), 'it posts the same after the extension was dropped and created again');
$node->safe_psql('postgres', 'drop extension jifen; create extension jifen');
is($node->safe_psql('postgres', "$posting\nbegin; drop extension jifen; rollback;\nselect count(*) from jifen.entry;"), "$answers\n6",
	'and a drop that is rolled back leaves everything');

(undef, undef, $stderr) = $node->psql('postgres', "drop extension jifen;\nselect jifen.earn('shop', 'alice', 1)");
like($stderr, qr/ERROR:  function jifen.earn.* does not exist/, 'without the extension there is nothing');
is($node->safe_psql('postgres', q{select relname from pg_class where relnamespace = 'jifen'::regnamespace}), '', 'and nothing stays behind');

done_testing();
