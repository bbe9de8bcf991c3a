-- Programs: what they are created with, how their rules change, and that existing lots keep theirs.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(62);

-- A program's rules in one line.
create function pg_temp.rules(p program) returns text
language sql as $$
    select concat_ws(' | ', p.code, p.name, p.time_zone, p.expiry, coalesce(p.currency, 'no currency'),
        coalesce(p.point_value::text, 'no value'), p.auto_open::text, p.tier_window)
$$;

create function pg_temp.stored(code text) returns text
language sql as $$
    select pg_temp.rules(p) from program p where p.code = stored.code
$$;

-- ---------- create ----------

select is(pg_temp.rules(create_program('plain')),
    'plain | plain | UTC | never | no currency | no value | false | 1 year',
    'only the code is needed');
select is(pg_temp.stored('plain'),
    'plain | plain | UTC | never | no currency | no value | false | 1 year',
    'what is returned is stored');
select is((select created_at from program where code = 'plain'), now(), 'created_at is now()');

select is(pg_temp.rules(create_program(code => 'full', name => '会员积分', time_zone => 'Asia/Shanghai',
        expiry => ' 12  MONTHS end of month', currency => 'CNY', point_value => 0.010, auto_open => true,
        tier_window => '24 months')),
    'full | 会员积分 | Asia/Shanghai | 12 months end of month | CNY | 0.010 | true | 2 years',
    'every argument is kept, the expiry policy in its canonical form');
select is(pg_temp.rules(create_program('free', currency => 'EUR', point_value => 0)),
    'free | free | UTC | never | EUR | 0 | false | 1 year', 'a point may be worth nothing');
select is(pg_temp.rules(create_program('coined', currency => 'USD')),
    'coined | coined | UTC | never | USD | no value | false | 1 year', 'a currency needs no value');

select is(pg_temp.rules(create_program('Plain')),
    'Plain | Plain | UTC | never | no currency | no value | false | 1 year', 'codes are case-sensitive');
select is((select count(distinct program_id)::int from program where code in ('plain', 'Plain')), 2,
    'and each program has a number of its own');
select throws_ok($$select create_program('plain', name => 'Another')$$, '42710', 'program "plain" already exists',
    'a code is taken once');
select is((select count(*)::int from program where code = 'plain'), 1, 'and the refusal wrote nothing');
select is(pg_temp.rules(create_program(repeat('界', 256))),
    format('%1$s | %1$s | UTC | never | no currency | no value | false | 1 year', repeat('界', 256)),
    'a code has up to 256 characters, not bytes');

select throws_ok($$select create_program('p', expiry => '18 months inactive')$$, '0A000', null,
    'an inactivity policy is refused');
select throws_ok($$select create_program('p', expiry => '48 months or 18 months inactive')$$, '0A000', null,
    'also one that has a fixed term as well');
select throws_ok($$select create_program('p', time_zone => 'Asia/Beijing')$$, '22023', null,
    'an unknown time zone is refused');
select throws_ok($$select create_program('p', time_zone => '')$$, '22023', null, 'and an empty one');
select throws_ok($$select create_program('p', tier_window => '0')$$, '22023', 'tier_window must be more than zero',
    'a tier window is more than zero');
select throws_ok($$select create_program('p', point_value => 0.01)$$, '22023', 'point_value without currency',
    'a value needs a currency');
select throws_ok($$select create_program('p', currency => 'EUR', point_value => 'NaN')$$, '22023', null,
    'a value is a number');
select is(pg_temp.stored('p'), null, 'no refused program exists');

-- ---------- alter ----------

select is(pg_temp.rules(alter_program('full')),
    'full | 会员积分 | Asia/Shanghai | 12 months end of month | CNY | 0.010 | true | 2 years',
    'null leaves every rule as it is');
select is(pg_temp.rules(alter_program('full', name => 'Points')),
    'full | Points | Asia/Shanghai | 12 months end of month | CNY | 0.010 | true | 2 years', 'name alone');
select is(pg_temp.rules(alter_program('full', time_zone => 'Asia/Tokyo')),
    'full | Points | Asia/Tokyo | 12 months end of month | CNY | 0.010 | true | 2 years', 'time_zone alone');
select is(pg_temp.rules(alter_program('full', expiry => '3 years END of YEAR')),
    'full | Points | Asia/Tokyo | 3 years end of year | CNY | 0.010 | true | 2 years', 'expiry alone');
select is(pg_temp.rules(alter_program('full', currency => 'JPY', point_value => 1)),
    'full | Points | Asia/Tokyo | 3 years end of year | JPY | 1 | true | 2 years', 'currency and value');
select is(pg_temp.rules(alter_program('full', auto_open => false)),
    'full | Points | Asia/Tokyo | 3 years end of year | JPY | 1 | false | 2 years', 'auto_open alone');
select is(pg_temp.rules(alter_program('full', tier_window => '90 days')),
    'full | Points | Asia/Tokyo | 3 years end of year | JPY | 1 | false | 90 days', 'tier_window alone');
select throws_ok($$select alter_program('full', name => 'Lost', time_zone => 'Mars/Base')$$, '22023', null,
    'one bad rule refuses the change');
select throws_ok($$select alter_program('full', expiry => '6 months inactive')$$, '0A000', null,
    'an inactivity policy is refused here too');
select throws_ok($$select alter_program('plain', point_value => 1)$$, '22023', 'point_value without currency',
    'and a value without a currency');
select is(pg_temp.stored('full'),
    'full | Points | Asia/Tokyo | 3 years end of year | JPY | 1 | false | 90 days',
    'what was refused changed nothing');
select throws_ok($$select alter_program('FULL')$$, 'JF002', 'unknown program "FULL"', 'an unknown program');

-- ---------- debts and grace ----------

create function pg_temp.debt_rules(p program) returns text
language sql as $$
    select concat_ws(' | ', p.code, p.overdraft, coalesce(p.overdraft_limit::text, 'no limit'), coalesce(p.return_grace::text, 'no grace'))
$$;
select is(pg_temp.debt_rules(create_program('strict')), 'strict | refuse | no limit | no grace', 'unless stated, no debts are made, and there is no grace');
select is(pg_temp.debt_rules(create_program('lax', overdraft => 'debt', overdraft_limit => 100, return_grace => '30  DAYS')), 'lax | debt | 100 | 30 days', 'both can be stated');
select is(pg_temp.debt_rules(create_program('kind', overdraft => 'forgive')), 'kind | forgive | no limit | no grace', 'or debts forgiven');
select is(pg_temp.debt_rules(alter_program('lax', overdraft_limit => 50)), 'lax | debt | 50 | 30 days', 'the limit alone');
select is(pg_temp.debt_rules(alter_program('lax', return_grace => 'never')), 'lax | debt | 50 | never', 'the grace alone');
select is(pg_temp.debt_rules(alter_program('lax', unset => array['overdraft_limit'])), 'lax | debt | no limit | never', 'no limit any more');
select is(pg_temp.debt_rules(alter_program('lax', unset => array['return_grace', 'overdraft_limit'])), 'lax | debt | no limit | no grace', 'no grace any more');
select is(pg_temp.debt_rules(alter_program('lax', overdraft_limit => 20)), 'lax | debt | 20 | no grace', 'a limit again');
select is(pg_temp.debt_rules(alter_program('lax', overdraft => 'forgive')), 'lax | forgive | no limit | no grace', 'which goes where there are no debts');
select is(pg_temp.debt_rules(alter_program('lax', overdraft => 'debt')), 'lax | debt | no limit | no grace', 'and does not come back with them');
select is(pg_temp.rules(alter_program('full', unset => array['point_value'])),
    'full | Points | Asia/Tokyo | 3 years end of year | JPY | no value | false | 90 days', 'a value unset');
select is(pg_temp.rules(alter_program('full', currency => 'EUR', point_value => 2, unset => array['point_value', 'currency'])),
    'full | Points | Asia/Tokyo | 3 years end of year | no currency | no value | false | 90 days', 'and with its currency, whatever is given');
select is(pg_temp.debt_rules(alter_program('lax', unset => '{}')), 'lax | debt | no limit | no grace', 'nothing unset');
select throws_ok(statement, state, message, statement)
from (values
    (1, $$select create_program('p', overdraft => 'allow')$$, '22023', 'invalid overdraft "allow"'),
    (2, $$select create_program('p', overdraft => null)$$, '22004', null),
    (3, $$select create_program('p', overdraft_limit => 1)$$, '22023', 'overdraft_limit without debt'),
    (4, $$select create_program('p', overdraft => 'forgive', overdraft_limit => 1)$$, '22023', 'overdraft_limit without debt'),
    (5, $$select create_program('p', overdraft => 'debt', overdraft_limit => 0)$$, '22023', 'overdraft_limit must be more than zero'),
    (6, $$select create_program('p', overdraft => 'debt', overdraft_limit => -1)$$, '22023', 'overdraft_limit must be more than zero'),
    (7, $$select create_program('p', return_grace => '1 month inactive')$$, '0A000', null),
    (8, $$select alter_program('strict', overdraft_limit => 1)$$, '22023', 'overdraft_limit without debt'),
    (9, $$select alter_program('lax', overdraft => 'refuse', overdraft_limit => 1)$$, '22023', 'overdraft_limit without debt'),
    (10, $$select alter_program('lax', overdraft => 'none')$$, '22023', 'invalid overdraft "none"'),
    (11, $$select alter_program('lax', return_grace => '1 month inactive')$$, '0A000', null),
    (12, $$select alter_program('lax', unset => array['expiry'])$$, '22023', 'a rule that cannot be unset'),
    (13, $$select alter_program('lax', unset => array['return_grace', null])$$, '22023', 'a rule that cannot be unset')) v (n, statement, state, message) order by n;
select is((select pg_temp.debt_rules(p) from program p where p.code = 'lax'), 'lax | debt | no limit | no grace', 'what was refused changed nothing');

-- ---------- lots keep the policy that they were credited under ----------

do $$
begin
    perform create_program('old', expiry => '1 month end of month', auto_open => true);
    perform earn('old', 'm', 100, event_at => '2024-01-15 12:00+00');
    perform alter_program('old', expiry => '12 months end of month', time_zone => 'Asia/Shanghai');
    perform earn('old', 'm', 10, event_at => '2024-01-15 12:00+00');
    perform alter_program('old', expiry => 'never');
    perform earn('old', 'm', 1, event_at => '2024-01-15 12:00+00');
end
$$;

select is(array(select format('%s: %s', l.seq, l.expires_at) from lot l
        where l.account_id = account_id('old', 'm') order by l.seq),
    array['1: 2024-03-01 00:00:00+00', '2: 2025-01-31 16:00:00+00', '3: infinity'],
    'each lot lapses as the rules of its own time say');
select is(array(select format('%s: %s', e.seq, e.expires_at) from entry e
        where e.account_id = account_id('old', 'm') order by e.seq),
    array['1: 2024-03-01 00:00:00+00', '2: 2025-01-31 16:00:00+00', '3: infinity'],
    'and so do the entries');
select is((select (b.balance, b.available, b.lapsed, b.next_expires_at, b.next_expiring)::text
        from balance('old', 'm', '2024-02-29 23:59:59.999999+00') b),
    '(111,111,0,"2024-03-01 00:00:00+00",100)', 'the first lot is there to its last instant');
select is((select (b.balance, b.available, b.lapsed, b.next_expires_at, b.next_expiring)::text
        from balance('old', 'm', '2024-03-01 00:00:00+00') b),
    '(111,11,100,"2025-01-31 16:00:00+00",10)', 'and lapsed after it, under whatever rules there are now');

select * from finish();
rollback;
