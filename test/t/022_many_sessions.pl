#!/usr/bin/perl
# Two hundred sessions spend one account at once: no more than is there, and one request once.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = 200;
my $node = LedgerNode::start('crowded', conf => <<CONF);
max_connections = @{[ $sessions + 20 ]}
shared_buffers = 32MB
CONF
$node->safe_psql('postgres', <<'SQL');
create extension jifen;
select from jifen.create_program('shop', auto_open => true);
-- 100 points each: lots of one point, and one of more.
select count(jifen.earn('shop', member, case n when 61 then 40 else 1 end, expiry => (n || ' months')::jifen.expiry_policy))
from unnest(array['own keys', 'one key', 'holds', 'batches']) member, generate_series(1, 61) n;
-- What became of each call.
create table outcome (member text, session int, seq bigint, balance bigint, sqlstate text);
create procedure try(member text, session int, call text) language plpgsql as $$
declare
    answer record;
begin
    execute call into answer;
    insert into outcome values (member, session, answer.seq, answer.balance, answer.sqlstate);
exception when others then
    insert into outcome values (member, session, null, null, sqlstate);
end
$$;
SQL

my $script = PostgreSQL::Test::Utils::tempdir . '/spend.sql';
open my $file, '>', $script or die "could not write: $!";
print $file <<'SQL';
call try('own keys', :client_id, format($$select seq, balance, null as sqlstate
    from jifen.redeem('shop', 'own keys', 1, idempotency_key => 'key %s')$$, :client_id));
call try('one key', :client_id, $$select seq, balance, null as sqlstate
    from jifen.redeem('shop', 'one key', 1, idempotency_key => 'key')$$);
call try('holds', :client_id, format($$select seq, balance, null as sqlstate
    from jifen.hold('shop', 'holds', 1, now() + interval '1 hour', idempotency_key => 'key %s')$$, :client_id));
call try('batches', :client_id, format($$select seq, balance, sqlstate from jifen.post(array[
    jifen.posting('shop', 'batches', 'redeem', 1, idempotency_key => 'key %s'),
    jifen.posting('shop', 'till %s', 'earn', 1)], 'skip') where ordinal = 1$$, :client_id, :client_id % 7));
SQL
close $file;
$node->command_ok([ 'pgbench', '-n', '-c', $sessions, '-j', 2, '-t', 1, '-f', $script, $node->connstr('postgres') ],
	"$sessions sessions spend");

is(outcomes('own keys'), "JF001|100\ndone|100", 'each with a key of its own: exactly 100 go through, and the others are refused');
is($node->safe_psql('postgres', q{select count(distinct seq), min(balance), max(balance) from outcome where member = 'own keys' and sqlstate is null}),
	'100|0|99', 'each has an entry of its own');
is(balance('own keys'), '0|0', 'nothing is left');

is(outcomes('one key'), 'done|200', 'all with the same key: all are answered');
is($node->safe_psql('postgres', q{select distinct seq, balance from outcome where member = 'one key'}), '62|99', 'with the first entry');
is(balance('one key'), '99|99', 'one point is spent');

is(outcomes('holds'), "JF001|100\ndone|100", 'by holds: exactly 100 go through, and the others are refused');
is(balance('holds'), '100|0', 'nothing is left to spend');

is(outcomes('batches'), "JF001|100\ndone|100", 'in batches: exactly 100 go through, and the others are refused');
is(balance('batches'), '0|0', 'nothing is left');
is($node->safe_psql('postgres', q{select count(*), sum(balance::bigint) from jifen.account where member like 'till %'}), '7|200',
	'what else is in the batches is posted, to accounts that they open');

is(LedgerNode::breaches($node, 'postgres'), '', 'nothing is amiss');

done_testing();

# How many calls came to what.
sub outcomes
{
	my ($member) = @_;
	return $node->safe_psql('postgres', "select coalesce(sqlstate, 'done'), count(*) from outcome where member = '$member' group by 1 order by 1");
}

sub balance
{
	my ($member) = @_;
	return $node->safe_psql('postgres', "select balance, available from jifen.balance('shop', '$member')");
}
