#!/usr/bin/perl
# Saved plans: a posting within a posting that invalidates plans, plan_cache_mode and DISCARD PLANS change nothing.
use strict;
use warnings;
use LedgerNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = LedgerNode::start('plans');
$node->safe_psql('postgres', <<'SQL');
create extension jifen;
select from jifen.create_program('shop', auto_open => true);
select from jifen.earn('shop', 'ann', 10);
-- A bonus for the friend who referred her. The session's first temporary table
-- changes its search path, and with it the plans.
create function bonus() returns trigger language plpgsql as $$
begin
    if new.kind = 'redeem' then
        create temp table if not exists first (x int);
        perform jifen.earn('shop', 'friend', 1), jifen.redeem('shop', 'friend', 1) where new.amount < -1;
        perform jifen.earn('shop', 'friend', 2);
    end if;
    return null;
end
$$;
create trigger bonus after insert on jifen.entry for each row execute function bonus();
SQL

is($node->safe_psql('postgres', <<'SQL'), "11\n8\n4\n5\n8", 'a posting in which another posts and plans are made anew');
select balance from jifen.earn('shop', 'ann', 1);
select balance from jifen.redeem('shop', 'ann', 3);
select available from jifen.balance('shop', 'friend');
select balance from jifen.redeem('shop', 'ann', 3);
select available from jifen.balance('shop', 'friend');
SQL

is($node->safe_psql('postgres', <<'SQL'), "12\n11\n13\n11", 'each statement planned for itself, and plans discarded');
drop trigger bonus on jifen.entry;
select balance from jifen.earn('shop', 'ann', 7);
set plan_cache_mode = force_custom_plan;
select balance from jifen.redeem('shop', 'ann', 1);
discard plans;
select balance from jifen.earn('shop', 'ann', 2);
reset plan_cache_mode;
select balance from jifen.redeem('shop', 'ann', 2);
SQL

is($node->safe_psql('postgres', 'select count(*) from jifen.reconcile()'), '0', 'nothing is amiss');
done_testing();
