-- Programs: what they are created with, how their rules change, and that existing lots keep theirs.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(87);

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

select is(pg_temp.rules(create_program('idle', expiry => '18 months INACTIVE')),
    'idle | idle | UTC | 18 months inactive | no currency | no value | false | 1 year', 'points may lapse by inactivity');
select is(pg_temp.rules(create_program('either', expiry => '18 months inactive or 48 months')),
    'either | either | UTC | 48 months or 18 months inactive | no currency | no value | false | 1 year', 'or by whichever comes first');
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
select throws_ok($$select alter_program('full', name => 'Lost', notice_days => 0)$$, '22023', 'notice_days out of range',
    'of whichever sort');
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
    (7, $$select create_program('p', return_grace => '1 month', time_zone => 'Mars/Base')$$, '22023', null),
    (8, $$select alter_program('strict', overdraft_limit => 1)$$, '22023', 'overdraft_limit without debt'),
    (9, $$select alter_program('lax', overdraft => 'refuse', overdraft_limit => 1)$$, '22023', 'overdraft_limit without debt'),
    (10, $$select alter_program('lax', overdraft => 'none')$$, '22023', 'invalid overdraft "none"'),
    (11, $$select alter_program('lax', return_grace => '1 month', unset => array['overdraft'])$$, '22023', 'a rule that cannot be unset'),
    (12, $$select alter_program('lax', unset => array['expiry'])$$, '22023', 'a rule that cannot be unset'),
    (13, $$select alter_program('lax', unset => array['return_grace', null])$$, '22023', 'a rule that cannot be unset')) v (n, statement, state, message) order by n;
select is((select pg_temp.debt_rules(p) from program p where p.code = 'lax'), 'lax | debt | no limit | no grace', 'what was refused changed nothing');

-- ---------- the rules by which points lapse ----------

-- Each that a program has had: rule_no | time_zone | expiry | activity | notice_days.
create function pg_temp.expiry_rules(code text) returns text[]
language sql as $$
    select array(select concat_ws(' | ', r.rule_no, r.time_zone, r.expiry, array_to_string(r.activity, ','), coalesce(r.notice_days::text, 'no notice'))
        from expiry_rule r where r.program_id = jifen.program_id(expiry_rules.code) order by r.rule_no)
$$;
create function pg_temp.lapse_rules(p program) returns text
language sql as $$
    select concat_ws(' | ', p.rule_no, p.time_zone, p.expiry, array_to_string(p.activity, ','), coalesce(p.notice_days::text, 'no notice'))
$$;
select is(pg_temp.lapse_rules(create_program('lapse')), '1 | UTC | never | earn,redeem,hold,capture,transfer_out | no notice',
    'what the member does counts as activity, and no notice is needed, unless stated otherwise');
select is(pg_temp.expiry_rules('lapse'), array['1 | UTC | never | earn,redeem,hold,capture,transfer_out | no notice'], 'which is the first rule');
select is((select row(r.since, r.actor)::text from expiry_rule r where r.program_id = program_id('lapse')), row(now(), current_user)::text, 'since now, by whom');
select is(pg_temp.lapse_rules(create_program('all kinds', activity => '{adjust,import,transfer_in,transfer_out,capture,hold,redeem,earn}', notice_days => 3650)),
    '1 | UTC | never | adjust,import,transfer_in,transfer_out,capture,hold,redeem,earn | 3650', 'both can be stated');
select is(pg_temp.lapse_rules(alter_program('lapse', expiry => '12 months inactive')), '2 | UTC | 12 months inactive | earn,redeem,hold,capture,transfer_out | no notice', 'another policy is another rule');
select is(pg_temp.lapse_rules(alter_program('lapse', activity => '{redeem}')), '3 | UTC | 12 months inactive | redeem | no notice', 'so is what counts as activity');
select is(pg_temp.lapse_rules(alter_program('lapse', notice_days => 30)), '4 | UTC | 12 months inactive | redeem | 30', 'the notice');
select is(pg_temp.lapse_rules(alter_program('lapse', time_zone => 'Asia/Shanghai')), '5 | Asia/Shanghai | 12 months inactive | redeem | 30', 'and the time zone');
select is(pg_temp.lapse_rules(alter_program('lapse', name => 'Lapse', auto_open => true, return_grace => '1 month inactive', time_zone => 'Asia/Shanghai', activity => '{redeem}', notice_days => 30)),
    '5 | Asia/Shanghai | 12 months inactive | redeem | 30', 'nothing else is, nor what stays as it is');
select is(pg_temp.lapse_rules(alter_program('lapse', expiry => '1 year inactive')), '6 | Asia/Shanghai | 1 year inactive | redeem | 30', 'a policy is as it was printed');
select is(pg_temp.lapse_rules(alter_program('lapse', notice_days => 5, unset => '{notice_days}')), '7 | Asia/Shanghai | 1 year inactive | redeem | no notice', 'no notice any more');
select throws_ok(statement, '22023', message, statement)
from (values
    (1, $$select create_program('p', activity => '{}')$$, 'invalid activity'),
    (2, $$select create_program('p', activity => '{earn,earn}')$$, 'invalid activity'),
    (3, $$select create_program('p', activity => '{earn,null}')$$, 'invalid activity'),
    (4, $$select create_program('p', activity => '{expire}')$$, 'invalid activity'),
    (5, $$select alter_program('lapse', activity => '{Earn}')$$, 'invalid activity'),
    (6, $$select create_program('p', notice_days => -1)$$, 'notice_days out of range'),
    (7, $$select alter_program('lapse', notice_days => 3651)$$, 'notice_days out of range')) v (n, statement, message) order by n;
select throws_ok($$select create_program('p', activity => null)$$, '22004', null, 'a null activity');
select is(pg_temp.expiry_rules('lapse'), array['1 | UTC | never | earn,redeem,hold,capture,transfer_out | no notice',
        '2 | UTC | 12 months inactive | earn,redeem,hold,capture,transfer_out | no notice', '3 | UTC | 12 months inactive | redeem | no notice',
        '4 | UTC | 12 months inactive | redeem | 30', '5 | Asia/Shanghai | 12 months inactive | redeem | 30',
        '6 | Asia/Shanghai | 1 year inactive | redeem | 30', '7 | Asia/Shanghai | 1 year inactive | redeem | no notice'],
    'every rule stays on record, and what was refused made none');

-- A lot that can move keeps to the rule of its credit.
do $$
begin
    perform create_program('moving', auto_open => true, expiry => '1 month inactive', activity => '{redeem}');
    perform earn('moving', 'm', 10, event_at => '2024-01-01');
    perform earn('moving', 'n', 10, event_at => '2024-01-01');
    perform alter_program('moving', expiry => '1 year', activity => '{earn}', time_zone => 'Asia/Shanghai');
    perform earn('moving', 'm', 5, event_at => '2024-01-15');
    perform redeem('moving', 'n', 1, event_at => '2024-01-15');
end
$$;
select is(array(select row(l.seq, l.expires_at, l.rule_no, l.expiry)::text from lot l where l.account_id = account_id('moving', 'm') order by l.seq),
    array['(1,"2024-02-02 00:00:00+00",1,"1 month inactive")', '(2,"2025-01-15 16:00:00+00",,)'], 'a lot that can move knows its rule, another needs none');
select is((balance('moving', 'm', '2024-02-01 23:59:59.999999')).available, 15::point_amount, 'it lapses as it would have,');
select is((balance('moving', 'm', '2024-02-02')).available, 5::point_amount, 'in the time zone of its rule, whatever else counts as activity now');
select is((balance('moving', 'n', '2024-02-15 23:59:59.999999')).available, 9::point_amount, 'and what counted then');
select is((balance('moving', 'n', '2024-02-16')).available, 0::point_amount, 'moves it still');

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
