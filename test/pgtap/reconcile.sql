-- Reconciliation: it finds nothing in what was posted, and every kind of breach that tampering makes.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(66);
\ir books.psql

do $$
declare
    member text;
begin
    perform create_program('p', auto_open => true);
    perform create_program('other', auto_open => true);
    foreach member in array array(select 't' || k from generate_series(1, 45) k) || array['well', 'gone'] loop
        perform earn('p', member, 100, event_at => '2024-01-01', expiry => '1 month');      -- 1: lapses on 2 February
        perform earn('p', member, 50, event_at => '2024-01-01', expiry => '2 months');      -- 2: 2 March
        perform earn('p', member, 30, event_at => '2024-01-01', available_at => '2024-01-20');  -- 3
        perform redeem('p', member, 60, event_at => '2024-01-10');                          -- 4: 60 of lot 1
        perform reverse('p', member, 4, 20, event_at => '2024-01-12');                      -- 5: to lot 1
        perform redeem('p', member, 70, event_at => '2024-01-25');                          -- 6: 60 of lot 1, 10 of lot 2
    end loop;
    perform expire_batch('p', '2024-03-05');                                                -- 7: 40 of lot 2
    foreach member in array array(select 't' || k from generate_series(1, 45) k) || array['well', 'gone'] loop
        perform redeem('p', member, 15, event_at => '2024-02-20');                          -- 8 and 9: 15 of lot 2
        perform earn('p', member, 25, event_at => '2024-03-10');                            -- 10
    end loop;
    perform earn('other', 'well', 1, event_at => '2024-01-01');
    perform open_account('other', 'empty');
end
$$;
select is(pg_temp.entries_at('p', 'well'),
    array['1 earn 100 = 100 at 2024-01-01 00:00', '2 earn 50 = 150 at 2024-01-01 00:00', '3 earn 30 = 180 at 2024-01-01 00:00',
        '4 redeem -60 = 120 at 2024-01-10 00:00', '5 reverse 20 = 140 at 2024-01-12 00:00', '6 redeem -70 = 70 at 2024-01-25 00:00',
        '7 expire -40 = 30 at 2024-03-02 00:00', '8 reinstate 15 = 45 at 2024-03-02 00:00', '9 redeem -15 = 30 at 2024-02-20 00:00',
        '10 earn 25 = 55 at 2024-03-10 00:00'],
    'a history of every kind of entry');
select is(pg_temp.lots('p', 'well'), array['lot 3: 30', 'lot 10: 25'], 'and what it leaves');
select is((select count(*)::int from reconcile()), 0, 'reconciles');

-- ---------- tampering, each time with another account ----------

alter table entry disable trigger refuse_change;
alter table allocation disable trigger refuse_change;

create function pg_temp.id(k int) returns bigint
language sql as $$
    select account_id('p', 't' || k)
$$;

-- Adds an entry 11 of 11 March, and its allocations, as if it had been posted.
create function pg_temp.add(k int, kind text, amount int, reverses_seq bigint, lot_seqs bigint[] default '{}', amounts int[] default '{}',
    qualifying int default null) returns void
language plpgsql as $$
declare
    own_account bigint := pg_temp.id(k);
begin
    insert into entry (account_id, seq, amount, held, balance, event_at, posted_at, available_at, expires_at, reverses_seq, qualifying,
        kind, actor)
    values (own_account, 11, add.amount, 0, 55 + add.amount, '2024-03-11', now(),
        case when add.kind = 'earn' then timestamptz '2024-03-11' end, case when add.kind = 'earn' then timestamptz 'infinity' end,
        add.reverses_seq, add.qualifying, add.kind, 'test');
    insert into allocation select own_account, 11, l, a from unnest(lot_seqs, amounts) x (l, a);
    update account a
    set balance = 55 + add.amount, last_seq = 11, last_event_at = '2024-03-11',
        last_activity_at = case when add.kind in ('earn', 'redeem') then '2024-03-11' else a.last_activity_at end
    where a.account_id = own_account;
end
$$;

-- The account's figures
update account set balance = 56 where account_id = pg_temp.id(1);
update account set held = 5 where account_id = pg_temp.id(2);
update entry set held = 5 where account_id = pg_temp.id(3) and seq = 4;
update account set last_seq = 11 where account_id = pg_temp.id(4);
update account set last_event_at = '2024-03-10 00:00:00.000001' where account_id = pg_temp.id(5);
update account set last_activity_at = '2024-03-09' where account_id = pg_temp.id(6);
update account set last_event_at = null, last_activity_at = null where account_id = pg_temp.id(7);
-- The journal
update entry set seq = 12 where account_id = pg_temp.id(8) and seq = 10;
update lot set seq = 12 where account_id = pg_temp.id(8) and seq = 10;
update entry set balance = 999 where account_id = pg_temp.id(9) and seq = 5;
do $$
begin
    perform pg_temp.add(10, 'earn', 0, null);
    perform pg_temp.add(11, 'redeem', 0, null);
    perform pg_temp.add(12, 'expire', 0, null);
    perform pg_temp.add(13, 'reinstate', 0, 7);
    perform pg_temp.add(14, 'reverse', 0, 6);
end
$$;
update entry set event_at = '2024-03-11' where account_id = pg_temp.id(15) and seq = 10;
update account set last_event_at = '2024-03-11', last_activity_at = '2024-03-11' where account_id = pg_temp.id(15);
update entry set available_at = 'infinity' where account_id = pg_temp.id(16) and seq = 10;
update lot set available_at = 'infinity' where account_id = pg_temp.id(16) and seq = 10;
update entry set available_at = event_at where account_id = pg_temp.id(17) and seq = 9;
update entry set expires_at = 'infinity' where account_id = pg_temp.id(18) and seq = 5;
-- Allocations and lots
update allocation set amount = case seq when 9 then 14 else 41 end where account_id = pg_temp.id(19) and seq in (7, 9);
insert into allocation values (pg_temp.id(20), 98, 3, 5), (pg_temp.id(20), 99, 3, -5);
update allocation set lot_seq = 4 where account_id = pg_temp.id(21) and seq = 9;
update lot set remaining = remaining + case seq when 3 then 1 else -1 end where account_id = pg_temp.id(22);
update lot set remaining = remaining - 1 where account_id = pg_temp.id(23) and seq = 3;
delete from lot where account_id = pg_temp.id(24) and seq = 3;
insert into lot select account_id, '2024-02-02', 1, '2024-01-01', 5, program_id from account where account_id = pg_temp.id(25);
update lot set available_at = '2024-01-21' where account_id = pg_temp.id(26) and seq = 3;
update lot set expires_at = '2999-01-01' where account_id = pg_temp.id(27) and seq = 3;
update lot set program_id = (select program_id from program where code = 'other') where account_id = pg_temp.id(28) and seq = 3;
update entry set held = 5 where account_id = pg_temp.id(29) and seq = 10;
update account set held = 5 where account_id = pg_temp.id(29);
-- Redemptions and expiry
update entry set event_at = '2024-02-05' where account_id = pg_temp.id(30) and seq = 6;
update entry set available_at = '2024-01-26' where account_id = pg_temp.id(31) and seq = 2;
update allocation set amount = 50 where account_id = pg_temp.id(32) and seq = 6 and lot_seq = 1;
update allocation set amount = 20 where account_id = pg_temp.id(32) and seq = 6 and lot_seq = 2;
update allocation set amount = 30 where account_id = pg_temp.id(32) and seq = 7 and lot_seq = 2;
insert into allocation values (pg_temp.id(32), 7, 1, 10);
update entry set event_at = '2024-03-01 23:59:59.999999' where account_id = pg_temp.id(33) and seq in (7, 8);
-- Reversals
do $$
begin
    perform pg_temp.add(34, 'reverse', -30, 10, '{3, 10}', '{5, 25}', -30);
    perform pg_temp.add(35, 'reverse', -5, 9, '{3}', '{5}');
    perform pg_temp.add(36, 'reverse', 20, 9, '{2}', '{-20}');
    perform pg_temp.add(39, 'reverse', 10, 7, '{2}', '{-10}');
    perform pg_temp.add(44, 'reverse', -5, 10, '{10}', '{5}', -4);
end
$$;
delete from lot where account_id = pg_temp.id(34) and seq = 10;
update lot set remaining = 25 where account_id in (pg_temp.id(34), pg_temp.id(35)) and seq = 3;
insert into lot select account_id, '2024-03-02', 2, '2024-01-01', balance - 55, program_id from account
where account_id in (pg_temp.id(36), pg_temp.id(39));
update allocation set lot_seq = 2 where account_id = pg_temp.id(37) and seq = 5;
update allocation set amount = case lot_seq when 1 then 40 else 30 end where account_id = pg_temp.id(37) and seq = 6;
update entry set reverses_seq = 6 where account_id = pg_temp.id(38) and seq = 10;
update entry set reverses_seq = null where account_id = pg_temp.id(40) and seq = 5;
update entry set event_at = '2024-03-05' where account_id = pg_temp.id(43) and seq = 8;
update lot set remaining = 20 where account_id = pg_temp.id(44) and seq = 10;
update entry set event_at = '2024-01-09' where account_id = pg_temp.id(45) and seq = 5;
-- Status
update account set status = 'frozen' where account_id = pg_temp.id(41);
update account set status = 'closed' where account_id = pg_temp.id(42);
insert into status_change (account_id, change_no, status, actor) values (pg_temp.id(42), 2, 'closed', 'test');

create temp table wanted (k int, invariants text[], tampering text);
insert into wanted values
    (1, '{"balance is the sum of the entries", "balance is what is in lots and held"}', 'a balance'),
    (2, '{"balance is what is in lots and held", "held is the sum of the entries'' held"}', 'held points of an account'),
    (3, '{"held is the sum of the entries'' held"}', 'held points of an entry'),
    (4, '{"last_seq is the number of entries"}', 'last_seq'),
    (5, '{"last_event_at is the latest of the entries"}', 'last_event_at, by a microsecond'),
    (6, '{"last_activity_at is the latest earn or redeem"}', 'last_activity_at'),
    (7, '{"last_activity_at is the latest earn or redeem", "last_event_at is the latest of the entries"}', 'neither known'),
    (8, '{"seq has no gap"}', 'an entry renumbered'),
    (9, '{"an entry''s balance is the sum up to it"}', 'the balance of an entry'),
    (10, '{"an entry of its kind has its sign"}', 'an earn of nothing'),
    (11, '{"an entry of its kind has its sign"}', 'a redeem of nothing'),
    (12, '{"an entry of its kind has its sign"}', 'an expire of nothing'),
    (13, '{"an entry of its kind has its sign"}', 'a reinstate of nothing'),
    (14, '{"an entry of its kind has its sign"}', 'a reverse of nothing'),
    (15, '{"a credit has its times, and only a credit"}', 'a credit that is available before it happens'),
    (16, '{"a credit has its times, and only a credit"}', 'a credit that is never available'),
    (17, '{"a credit has its times, and only a credit"}', 'a debit that is available'),
    (18, '{"a credit has its times, and only a credit"}', 'a reversal that lapses'),
    (19, '{"an entry that is no credit is the sum of its allocations"}', 'allocations moved from one entry to another'),
    (20, '{"an allocation has its entry and its credit"}', 'allocations of no entry'),
    (21, '{"a lot is its credit less the allocations", "a lot is never short, by business time", "an allocation has its entry and its credit"}', 'an allocation of what is no credit'),
    (22, '{"a lot is its credit less the allocations"}', 'points moved from lot to lot'),
    (23, '{"a lot is its credit less the allocations", "balance is what is in lots and held"}', 'a point taken from a lot'),
    (24, '{"a lot is its credit less the allocations", "balance is what is in lots and held"}', 'a lot deleted'),
    (25, '{"a lot is its credit less the allocations", "balance is what is in lots and held"}', 'a lot of a credit that is used up'),
    (26, '{"a lot keeps its credit''s times and program"}', 'a lot that is available later'),
    (27, '{"a lot keeps its credit''s times and program"}', 'a lot that lapses sooner'),
    (28, '{"a lot keeps its credit''s times and program"}', 'a lot of another program'),
    (29, '{"balance is what is in lots and held"}', 'held points that no lot gave'),
    (30, '{"a redemption takes what is spendable when it happens"}', 'a redemption of what had lapsed'),
    (31, '{"a redemption takes what is spendable when it happens"}', 'a redemption of what was pending'),
    (32, '{"a redemption takes what lapses soonest first"}', 'a redemption of what lapses later'),
    (33, '{"points expire when their lot has lapsed"}', 'an expiry, a microsecond early'),
    (34, '{"no more is undone of an entry than it was"}', 'a reversal of more than was earned'),
    (35, '{"no more is undone of an entry than it was"}', 'a reversal in the wrong direction'),
    (36, '{"no more is given back to a lot than was taken from it", "no more is undone of an entry than it was"}',
        'a reversal of more than was redeemed'),
    (37, '{"no more is given back to a lot than was taken from it"}', 'a reversal to a lot that the redemption did not take from'),
    (38, '{"an entry undoes an entry before it that can be undone so"}', 'an earn that undoes something'),
    (39, '{"an entry undoes an entry before it that can be undone so"}', 'the reversal of an expire'),
    (40, '{"an entry undoes an entry before it that can be undone so", "no more is given back to a lot than was taken from it"}',
        'a reversal of nothing'),
    (41, '{"status is that of its latest change"}', 'a status'),
    (42, '{"a closed account is empty"}', 'an account closed with what it holds'),
    (43, '{"a lot is never short, by business time"}', 'a reinstatement after the expiry that it undoes'),
    (44, '{"a credit''s qualifying is undone in proportion"}', 'qualifying points left over'),
    (45, '{"an entry undoes another when that has happened"}', 'a reversal before what it undoes');
select is(array(select distinct b.invariant from reconcile('p', 't' || k) b where b.member is not null order by 1), invariants, tampering)
from (select * from wanted order by k) wanted;

-- ---------- what a row says ----------

create function pg_temp.breaches(k int) returns text[]
language sql as $$
    select array(select row(b.program, b.member, b.account_id = pg_temp.id(breaches.k), b.seq, b.invariant, b.expected, b.found)::text
        from reconcile('p', 't' || breaches.k) b where b.member is not null order by b.invariant, b.seq)
$$;
select is(pg_temp.breaches(1),
    array['(p,t1,t,,"balance is the sum of the entries",55,56)', '(p,t1,t,,"balance is what is in lots and held",55,56)'],
    'a row names the account, what must hold, what should be there and what is');
select is(pg_temp.breaches(9), array['(p,t9,t,5,"an entry''s balance is the sum up to it",140,999)'], 'and the entry');
select is(pg_temp.breaches(19),
    array['(p,t19,t,7,"an entry that is no credit is the sum of its allocations",-40,-41)',
        '(p,t19,t,9,"an entry that is no credit is the sum of its allocations",-15,-14)'], 'each of them');

-- ---------- scope ----------

select is((select count(*)::int from reconcile('p', 'well') b where b.member is not null), 0, 'an account is not blamed for another');
select is((select count(*)::int from reconcile('other') b where b.member is not null), 0, 'nor a program');
select is((select count(*)::int from reconcile('other', 'empty') b where b.member is not null), 0, 'an empty account is well');
select set_eq($$select b::text from reconcile('p') b$$, $$select b::text from reconcile() b$$, 'all breaches are of the program');
select is((select count(distinct b.member)::int from reconcile('p') b), 45, 'of all of its accounts that were tampered with');
select set_eq($$select distinct b.invariant from reconcile() b where b.member is not null$$, $$select distinct unnest(invariants) from wanted$$,
    'every kind of breach is found where everything is checked');
select throws_ok($$select reconcile('nowhere')$$, 'JF002', 'unknown program "nowhere"', 'an unknown program');
select throws_ok($$select reconcile('p', 'unborn')$$, 'JF003', 'unknown member "unborn"', 'an unknown member');
select throws_ok($$select reconcile('nowhere', 'well')$$, 'JF002', 'unknown program "nowhere"', 'a member of an unknown program');

-- ---------- rows of no account, and the guards ----------

do $$
begin
    perform create_program('lost');
    perform create_tier('lost', 'silver', 'Silver', 100);
end
$$;
create temp table lost as select account_id('p', 'gone') as gone, (open_account('lost', 'member')).account_id as stray;
delete from account where account_id = (select gone from lost);
delete from program where code = 'lost';
select is(array(select row(b.program, b.member, b.account_id = l.gone, b.found, count(distinct b.seq))::text
        from reconcile() b, lost l where b.invariant = 'every row has its account'
        group by b.program, b.member, b.account_id, l.gone, b.found order by b.found),
    array['(,,t,"a lot",2)', '(,,t,"a status change",0)', '(,,t,"an allocation",6)', '(,,t,"an entry",10)'],
    'rows whose account is gone are found');
select is(array(select row(b.program, b.member, b.account_id = l.stray, b.seq, b.found)::text
        from reconcile() b, lost l where b.invariant = 'every account and tier has its program' order by b.found),
    array['(,,t,,"an account")', '(,,,,"tier silver")'], 'and those whose program is');
select is((select count(*)::int from reconcile('p') b where b.invariant like 'every %'), 0, 'where everything is checked');

create function pg_temp.guards() returns text[]
language sql as $$
    select array(select row(b.account_id, b.expected, b.found)::text from reconcile('other') b
        where b.invariant = 'entries and allocations refuse changes' order by b.found)
$$;
select is(pg_temp.guards(), array['(,"trigger refuse_change always enabled","table allocation")', '(,"trigger refuse_change always enabled","table entry")'],
    'disabled guards are reported');
alter table entry enable trigger refuse_change;
alter table allocation enable always trigger refuse_change;
select is(pg_temp.guards(), array['(,"trigger refuse_change always enabled","table entry")'], 'and one that replication passes by');
alter table entry enable always trigger refuse_change;
select is(pg_temp.guards(), array[]::text[], 'as they were made they are well');

select * from finish();
rollback;
