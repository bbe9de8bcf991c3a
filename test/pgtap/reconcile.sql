-- Reconciliation: it finds nothing in what was posted, and every kind of breach that tampering makes.
begin;
set local search_path = jifen, public;
set local timezone = 'UTC';
select plan(184);
\ir books.psql

do $$
declare
    member text;
begin
    perform create_program('p', auto_open => true);
    perform create_program('other', auto_open => true);
    foreach member in array array(select 't' || k from generate_series(1, 46) k) || array['well', 'gone'] loop
        perform earn('p', member, 100, event_at => '2024-01-01', expiry => '1 month');      -- 1: lapses on 2 February
        perform earn('p', member, 50, event_at => '2024-01-01', expiry => '2 months');      -- 2: 2 March
        perform earn('p', member, 30, event_at => '2024-01-01', available_at => '2024-01-20');  -- 3
        perform redeem('p', member, 60, event_at => '2024-01-10');                          -- 4: 60 of lot 1
        perform reverse('p', member, 4, 20, event_at => '2024-01-12');                      -- 5: to lot 1
        perform redeem('p', member, 70, event_at => '2024-01-25');                          -- 6: 60 of lot 1, 10 of lot 2
    end loop;
    perform expire_batch('p', '2024-03-05');                                                -- 7: 40 of lot 2
    foreach member in array array(select 't' || k from generate_series(1, 46) k) || array['well', 'gone'] loop
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
select is(pg_temp.unsound(), array[]::text[], 'by a simpler count too');

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
    insert into entry (account_id, seq, amount, held, debt, balance, event_at, posted_at, available_at, expires_at, reverses_seq, qualifying,
        kind, actor, hash)
    values (own_account, 11, add.amount, 0, 0, 55 + add.amount, '2024-03-11', now(),
        case when add.kind = 'earn' then timestamptz '2024-03-11' end, case when add.kind = 'earn' then timestamptz 'infinity' end,
        add.reverses_seq, add.qualifying, add.kind, 'test', '');
    insert into allocation select own_account, 11, l, a from unnest(lot_seqs, amounts) x (l, a);
    update account a
    set balance = 55 + add.amount, last_seq = 11, last_event_at = '2024-03-11',
        last_earn_at = case add.kind when 'earn' then '2024-03-11' else last_earn_at end,
        last_redeem_at = case add.kind when 'redeem' then '2024-03-11' else last_redeem_at end,
        last_expire_at = case add.kind when 'expire' then '2024-03-11' else last_expire_at end
    where a.account_id = own_account;
end
$$;

-- The account's figures
update account set balance = 56 where account_id = pg_temp.id(1);
update account set held = 5 where account_id = pg_temp.id(2);
update entry set held = 5 where account_id = pg_temp.id(3) and seq = 4;
update account set last_seq = 11 where account_id = pg_temp.id(4);
update account set last_event_at = '2024-03-10 00:00:00.000001' where account_id = pg_temp.id(5);
update account set last_earn_at = '2024-03-09' where account_id = pg_temp.id(6);
update account set last_event_at = null, last_earn_at = null where account_id = pg_temp.id(7);
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
update account set last_event_at = '2024-03-11', last_earn_at = '2024-03-11' where account_id = pg_temp.id(15);
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
update account set last_expire_at = '2024-03-01 23:59:59.999999' where account_id = pg_temp.id(33);
-- Reversals
do $$
begin
    perform pg_temp.add(34, 'reverse', -30, 10, '{3, 10}', '{5, 25}', -30);
    perform pg_temp.add(35, 'reverse', -5, 9, '{3}', '{5}');
    perform pg_temp.add(36, 'reverse', 20, 9, '{2}', '{-20}');
    perform pg_temp.add(39, 'reverse', 10, 7, '{2}', '{-10}');
    perform pg_temp.add(46, 'reinstate', 30, 7, '{2}', '{-30}');
    perform pg_temp.add(44, 'reverse', -5, 10, '{10}', '{5}', -4);
end
$$;
delete from lot where account_id = pg_temp.id(34) and seq = 10;
update lot set remaining = 25 where account_id in (pg_temp.id(34), pg_temp.id(35)) and seq = 3;
insert into lot select account_id, '2024-03-02', 2, '2024-01-01', balance - 55, program_id from account
where account_id in (pg_temp.id(36), pg_temp.id(39), pg_temp.id(46));
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
    (1, '{"balance is the sum of the entries", "balance is what is in lots and held, less the debt"}', 'a balance'),
    (2, '{"balance is what is in lots and held, less the debt", "held is the sum of the entries'' held"}', 'held points of an account'),
    (3, '{"an entry of its kind has its signs", "held is the sum of the entries'' held"}', 'held points of an entry'),
    (4, '{"last_seq is the number of entries"}', 'last_seq'),
    (5, '{"last_event_at is the latest of the entries"}', 'last_event_at, by a microsecond'),
    (6, '{"the last of each kind is the latest of the entries of the kind"}', 'the last earn'),
    (7, '{"last_event_at is the latest of the entries", "the last of each kind is the latest of the entries of the kind"}', 'neither known'),
    (8, '{"seq has no gap"}', 'an entry renumbered'),
    (9, '{"an entry''s balance is the sum up to it"}', 'the balance of an entry'),
    (10, '{"an entry of its kind has its signs"}', 'an earn of nothing'),
    (11, '{"an entry of its kind has its signs"}', 'a redeem of nothing'),
    (12, '{"an entry of its kind has its signs"}', 'an expire of nothing'),
    (13, '{"an entry of its kind has its signs"}', 'a reinstate of nothing'),
    (14, '{"an entry of its kind has its signs", "an entry refers to one before it of the right kind"}', 'a reverse of nothing'),
    (15, '{"a credit has its times, and only a credit"}', 'a credit that is available before it happens'),
    (16, '{"a credit has its times, and only a credit", "a lot says until when it is pending"}', 'a credit that is never available'),
    (17, '{"a credit has its times, and only a credit"}', 'a debit that is available'),
    (18, '{"a credit has its times, and only a credit"}', 'a reversal that lapses'),
    (19, '{"an entry''s amount is what it changes in lots, held and debt"}', 'allocations moved from one entry to another'),
    (20, '{"an allocation has its entry and its credit"}', 'allocations of no entry'),
    (21, '{"a lot is its credit less the allocations", "a lot is never short, by business time", "an allocation has its entry and its credit"}', 'an allocation of what is no credit'),
    (22, '{"a lot is its credit less the allocations"}', 'points moved from lot to lot'),
    (23, '{"a lot is its credit less the allocations", "balance is what is in lots and held, less the debt"}', 'a point taken from a lot'),
    (24, '{"a lot is its credit less the allocations", "balance is what is in lots and held, less the debt"}', 'a lot deleted'),
    (25, '{"a lot is its credit less the allocations", "balance is what is in lots and held, less the debt"}', 'a lot of a credit that is used up'),
    (26, '{"a lot keeps its credit''s times, program and rule"}', 'a lot that is available later'),
    (27, '{"a lot keeps its credit''s times, program and rule"}', 'a lot that lapses sooner'),
    (28, '{"a lot keeps its credit''s times, program and rule"}', 'a lot of another program'),
    (29, '{"an entry of its kind has its signs", "balance is what is in lots and held, less the debt"}', 'held points that no lot gave'),
    (30, '{"a debit takes what is spendable when it happens"}', 'a redemption of what had lapsed'),
    (31, '{"a debit takes what is spendable when it happens"}', 'a redemption of what was pending'),
    (32, '{"a debit takes what lapses soonest first"}', 'a redemption of what lapses later'),
    (33, '{"points expire when their lot has lapsed"}', 'an expiry, a microsecond early'),
    (34, '{"no more is undone of an entry than it was"}', 'a reversal of more than was earned'),
    (35, '{"an entry refers to one before it of the right kind", "no more is undone of an entry than it was"}', 'a reversal in the wrong direction'),
    (36, '{"no more is given back to a lot than was taken from it", "no more is undone of an entry than it was", "what was taken last is given back first"}',
        'a reversal of more than was redeemed'),
    (37, '{"no more is given back to a lot than was taken from it", "what was taken last is given back first"}', 'a reversal to a lot that the redemption did not take from'),
    (38, '{"an entry names what its kind does"}', 'an earn that undoes something'),
    (39, '{"an entry refers to one before it of the right kind"}', 'the reversal of an expire'),
    (40, '{"an entry names what its kind does", "no more is given back to a lot than was taken from it"}',
        'a reversal of nothing'),
    (41, '{"status is that of its latest change"}', 'a status'),
    (42, '{"a closed account is empty"}', 'an account closed with what it holds'),
    (43, '{"a lot is never short, by business time"}', 'a reinstatement after the expiry that it undoes'),
    (44, '{"a credit''s qualifying is undone in proportion"}', 'qualifying points left over'),
    (45, '{"an entry refers to what has happened by then"}', 'a reversal before what it undoes'),
    (46, '{"no more is given back to a lot than was taken from it", "no more is undone of an entry than it was"}', 'more reinstated than expired');
select is(array(select distinct b.invariant from reconcile('p', 't' || k) b where b.member is not null order by 1), invariants, tampering)
from (select * from wanted order by k) wanted;

-- ---------- every kind of entry ----------

create temp table line (
    whose text, seq int, kind text, amount int, held int, debt int, event_at timestamptz, expires_at timestamptz, available_at timestamptz,
    until timestamptz, issued_at timestamptz, refers_to int, counter_seq int, qualifying int, source text, idempotency_key text,
    funder text, revenue numeric, partner text
);
-- A giver of points ...
insert into line values
    ('u', 1, 'import', 100, 0, 0, '2024-01-01', '2024-02-01', '2024-01-01', null, '2023-06-01', null, null, null, 'old', 'import'),
    ('u', 2, 'earn', 50, 0, 0, '2024-01-01', '2024-03-01', '2024-01-01', null, null, null, null, 50, 'shop', 'earn'),
    ('u', 3, 'earn', 30, 0, 0, '2024-01-02', 'infinity', '2024-01-20', null, null, null, null, 30, 'shop', null),
    ('u', 4, 'hold', 0, 120, 0, '2024-01-05', null, null, '2024-01-15', null, null, null, null, null, null),
    ('u', 5, 'capture', -70, -70, 0, '2024-01-06', null, null, null, null, 4, null, null, null, null),
    ('u', 6, 'release', 0, -50, 0, '2024-01-06', null, null, null, null, 4, null, null, null, null),
    ('u', 7, 'hold', 0, 10, 0, '2024-01-07', null, null, '2024-01-10', null, null, null, null, null, null),
    ('u', 8, 'release', 0, -10, 0, '2024-01-10', null, null, null, null, 7, null, null, null, null),
    ('u', 9, 'transfer_out', -60, 0, 0, '2024-01-12', null, null, null, null, null, 1, null, null, null),
    ('u', 10, 'adjust', 15, 0, 0, '2024-01-13', '2024-06-01', '2024-01-13', null, null, null, null, null, null, null),
    ('u', 11, 'adjust', -40, 0, 5, '2024-01-14', null, null, null, null, null, null, null, null, null),
    ('u', 12, 'earn', 2, 0, 0, '2024-01-16', '2024-06-15', '2024-01-16', null, null, null, null, 2, 'shop', null),
    ('u', 13, 'repay', 0, 0, -2, '2024-01-16', null, null, null, null, 11, null, null, null, null),
    ('u', 14, 'reverse', 10, 0, -3, '2024-01-17', null, null, null, null, 11, null, null, null, null),
    ('u', 15, 'reverse', -12, 0, 5, '2024-01-18', null, null, null, null, 2, null, -12, null, null),
    ('u', 16, 'adjust', 5, 0, -5, '2024-01-18', null, null, null, null, 15, null, null, null, null),
    ('u', 17, 'redeem', -10, 0, 0, '2024-01-21', null, null, null, null, null, null, null, null, null),
    ('u', 18, 'earn', 8, 0, 0, '2024-01-22', '2024-02-05', '2024-01-22', null, null, null, null, 8, 'app', null),
    ('u', 19, 'expire', -8, 0, 0, '2024-02-05', null, null, null, null, null, null, null, null, null),
    ('u', 20, 'reinstate', 8, 0, 0, '2024-02-10', null, null, null, null, 19, null, null, null, null),
    ('u', 21, 'extend', 0, 0, 0, '2024-02-10', '2024-03-12', '2024-02-10', '2024-02-05', '2024-01-22', null, null, null, 'app', null),
    ('u', 22, 'hold', 0, 5, 0, '2024-02-11', null, null, '2999-01-01', null, null, null, null, null, null),
    ('u', 23, 'adjust', -30, 0, 7, '2024-02-12', null, null, null, null, null, null, null, null, null),
    ('u', 24, 'reverse', 10, 0, 0, '2024-02-13', null, null, null, null, 9, null, null, null, null),
    ('u', 25, 'repay', 0, 0, -7, '2024-02-13', null, null, null, null, 23, null, null, null, null),
    ('u', 26, 'adjust', -10, 0, 7, '2024-02-14', null, null, null, null, null, null, null, null, null),
-- ... and the one who receives them.
    ('v', 1, 'transfer_in', 30, 0, 0, '2024-01-12', '2024-02-01', '2024-01-12', null, '2023-06-01', null, 9, null, 'old', null),
    ('v', 2, 'transfer_in', 30, 0, 0, '2024-01-12', '2024-03-01', '2024-01-12', null, '2024-01-01', null, 9, null, 'shop', null),
    ('v', 3, 'reverse', -10, 0, 0, '2024-02-13', null, null, null, null, 2, null, null, null, null),
    ('v', 4, 'redeem', -10, 0, 0, '2024-02-14', null, null, null, null, null, null, null, null, null);
-- Who paid for them, and what: 100 points for 9.00, 50 for 1.00 and 8 for nothing.
update line set funder = 'bank' where whose = 'u' and seq in (1, 18, 21) or whose = 'v' and seq = 1;
update line l set revenue = v.revenue
from (values ('u', 1, 9.00), ('u', 2, 1.00), ('u', 18, 0), ('u', 21, 0.000000), ('u', 15, -0.24), ('v', 1, 2.70000000), ('v', 2, 0.60000000)) v (whose, seq, revenue)
where v.whose = l.whose and v.seq = l.seq;
update line set partner = 'airline', source = 'app' where whose = 'u' and seq = 5 or whose = 'v' and seq = 4;
create temp table line_allocation (whose text, seq int, lot_seq int, amount int);
insert into line_allocation values
    ('u', 4, 1, 100), ('u', 4, 2, 20), ('u', 6, 2, -20), ('u', 6, 1, -30), ('u', 7, 1, 10), ('u', 8, 1, -10),
    ('u', 9, 1, 30), ('u', 9, 2, 30), ('u', 11, 2, 20), ('u', 11, 10, 15), ('u', 13, 12, 2), ('u', 14, 12, -2), ('u', 14, 10, -5),
    ('u', 15, 10, 5), ('u', 15, 12, 2), ('u', 17, 3, 10), ('u', 19, 18, 8), ('u', 20, 18, -8), ('u', 21, 18, 8), ('u', 22, 21, 5),
    ('u', 23, 21, 3), ('u', 23, 3, 20), ('u', 24, 2, -10), ('u', 25, 2, 7), ('u', 26, 2, 3), ('v', 3, 2, 10), ('v', 4, 2, 10);

-- Writes it all for two new members of program q.
create function pg_temp.write_lines(giver text, receiver text) returns void
language plpgsql as $$
declare
    latest record;
    id jsonb := jsonb_build_object('u', (open_account('q', giver)).account_id, 'v', (open_account('q', receiver)).account_id);
begin
    insert into entry (account_id, seq, kind, amount, held, debt, balance, event_at, posted_at, expires_at, available_at, until, issued_at,
        reverses_seq, hold_seq, debt_seq, counter_account_id, counter_seq, qualifying, source, idempotency_key, funder, revenue, partner, actor, hash)
    select (id -> whose)::bigint, seq, kind, amount, held, debt, sum(amount) over (partition by whose order by seq), event_at, now(),
        expires_at, available_at, until, issued_at,
        case when kind in ('reverse', 'reinstate') then refers_to end, case when kind in ('capture', 'release') then refers_to end,
        case when kind in ('repay', 'adjust') then refers_to end,
        case when counter_seq is not null then (id -> translate(whose, 'uv', 'vu'))::bigint end, counter_seq,
        qualifying, source, idempotency_key, funder, revenue, partner, 'test', ''
    from line;
    insert into allocation select (id -> whose)::bigint, seq, lot_seq, amount from line_allocation;
    insert into hold select a.account_id, 22, '2999-01-01', 5, a.program_id from account a where a.account_id = (id -> 'u')::bigint;
    insert into debt values ((id -> 'u')::bigint, 26, 7);
    insert into lot select a.account_id, l.expires_at, l.seq, '2024-01-12', l.remaining, a.program_id
    from account a, (values (1, '2024-02-01'::timestamptz, 30), (2, '2024-03-01', 10)) l (seq, expires_at, remaining)
    where a.account_id = (id -> 'v')::bigint;
    update account set balance = -2, held = 5, debt = 7, last_seq = 26, last_event_at = '2024-02-14' where account_id = (id -> 'u')::bigint;
    update account set balance = 40, last_seq = 4, last_event_at = '2024-02-14' where account_id = (id -> 'v')::bigint;
    for latest in
        select l.whose, l.kind, max(l.event_at) as at from line l
        join pg_attribute c on c.attrelid = 'account'::regclass and c.attname = format('last_%s_at', l.kind)
        group by 1, 2
    loop
        execute format('update account set last_%s_at = $1 where account_id = $2', latest.kind) using latest.at, (id -> latest.whose)::bigint;
    end loop;
end
$$;

do $$begin perform create_program('q', overdraft => 'debt', return_grace => '30 days'), pg_temp.write_lines('u0', 'v0'); end$$;
select set_eq($$select kind from line$$,
    $$select (regexp_matches(pg_get_constraintdef(oid), '''(\w+)''', 'g'))[1] from pg_constraint where conname = 'entry_kind_known'$$,
    'a history of every kind of entry');
select is(array(select b::text from reconcile('q') b where b.member is not null), array[]::text[], 'reconciles');
select is(array(select d from unnest(pg_temp.unsound()) d, account a where a.account_id in (account_id('q', 'u0'), account_id('q', 'v0'))
        and d like format('account %s:%%', a.account_id)), array[]::text[], 'by a simpler count too');

-- What is done to which rows ($1: giver, $2: receiver, as account_id), and what is found.
create temp table tampering (k int generated always as identity, changes text, what text, invariants text[]);
insert into tampering (changes, what, invariants) values
-- Accounts
    ('update account set debt = 8 where account_id = $1', 'debt of an account',
        '{"balance is what is in lots and held, less the debt", "debt is the sum of the entries'' debt"}'),
    ('update account set last_adjust_at = ''2024-02-13'' where account_id = $1', 'an adjust that comes later',
        '{"the last of each kind is the latest of the entries of the kind"}'),
    ('update account set last_hold_at = null where account_id = $1', 'no hold ever',
        '{"the last of each kind is the latest of the entries of the kind"}'),
    ('update account set status = ''closed'' where account_id = $1; insert into status_change values ($1, 2, now(), ''closed'', ''x'', ''x'')',
        'an account closed with a hold and a debt', '{"a closed account is empty"}'),
-- Entries
    ('update entry set debt = 1 where account_id = $1 and seq = 17', 'a redemption that makes a debt',
        '{"an entry of its kind has its signs", "debt is the sum of the entries'' debt",
            "a debt is what was taken less what was repaid, undone or forgiven", "a debit takes what lapses soonest first"}'),
    ('update entry set held = -71 where account_id = $1 and seq = 5', 'a capture that frees more than it takes',
        '{"an entry''s amount is what it changes in lots, held and debt", "held is the sum of the entries'' held",
            "what is captured and released of a hold is the hold"}'),
    ('update allocation set amount = -amount where account_id = $1 and seq in (22, 24)', 'a hold that gives and a reversal that takes',
        '{"an entry''s amount is what it changes in lots, held and debt", "an entry takes from lots or gives back as its kind does",
            "a lot is its credit less the allocations", "a lot is never short, by business time",
            "no more is given back to a lot than was taken from it", "what was taken last is given back first",
            "a debit takes what lapses soonest first", "a transfer is undone on both sides alike, lot by lot"}'),
    ('insert into allocation values ($1, 5, 1, 10), ($1, 12, 1, -10)', 'a capture and an earn with allocations',
        '{"an entry''s amount is what it changes in lots, held and debt", "an entry takes from lots or gives back as its kind does",
            "a lot is never short, by business time", "no more is given back to a lot than was taken from it"}'),
    ('update entry set available_at = event_at where account_id = $1 and seq = 16', 'a forgiven debt that is available',
        '{"a credit has its times, and only a credit"}'),
    ('update entry set expires_at = null where account_id = $1 and seq = 12', 'a credit that lapses at no time',
        '{"a credit has its times, and only a credit"}'),
    ('update entry set issued_at = event_at where account_id = $1 and seq = 12', 'an earn that was issued before',
        '{"points that stem from earlier ones keep when those were issued, and no others"}'),
    ('update entry set issued_at = null where account_id = $1 and seq = 21', 'an extension of no issue',
        '{"points that stem from earlier ones keep when those were issued, and no others",
            "an extension is of one lot, to lapse later, and of the same origin"}'),
    ('update entry set issued_at = ''2024-01-01 00:00:01'' where account_id = $1 and seq = 1', 'an import before it was issued',
        '{"points that stem from earlier ones keep when those were issued, and no others",
            "each lot that a transfer takes is received as it is"}'),
    ('update entry set until = ''2024-02-01'' where account_id = $1 and seq = 17', 'a redemption with a deadline',
        '{"an entry names what its kind does"}'),
    ('update entry set until = null where account_id = $1 and seq = 7', 'a hold without', '{"an entry names what its kind does"}'),
    ('update entry set counter_seq = null where account_id = $1 and seq = 9', 'a transfer to nothing', '{"an entry names what its kind does"}'),
    ('update entry set debt_seq = null where account_id = $1 and seq = 13', 'a debt repaid that is none',
        '{"an entry names what its kind does", "a debt is what was taken less what was repaid, undone or forgiven",
            "no more is given back to a lot than was taken from it", "what was taken last is given back first"}'),
    ('update entry set hold_seq = 9 where account_id = $1 and seq = 8', 'a release of what is no hold',
        '{"an entry refers to one before it of the right kind", "an open hold is one that nothing ended"}'),
    ('update entry set reverses_seq = 18 where account_id = $1 and seq = 20', 'a reinstatement of what did not expire',
        '{"an entry refers to one before it of the right kind", "no more is undone of an entry than it was",
            "no more is given back to a lot than was taken from it"}'),
    ('update entry set debt_seq = 10 where account_id = $1 and seq = 13', 'a repayment of what made no debt',
        '{"an entry refers to one before it of the right kind", "a debt is what was taken less what was repaid, undone or forgiven",
            "no more is given back to a lot than was taken from it", "what was taken last is given back first"}'),
    ('update entry set reverses_seq = 16 where account_id = $1 and seq = 15', 'a reversal of what was forgiven',
        '{"an entry refers to one before it of the right kind", "no more is undone of an entry than it was",
            "a credit''s qualifying is undone in proportion", "a credit''s revenue is undone in proportion"}'),
    ('update entry set event_at = ''2024-01-04'' where account_id = $1 and seq = 5; update account set last_capture_at = ''2024-01-04'' where account_id = $1',
        'a capture before its hold',
        '{"an entry refers to what has happened by then"}'),
    ('update entry set event_at = ''2024-01-13'' where account_id = $1 and seq = 16', 'a debt forgiven before it was made',
        '{"an entry refers to what has happened by then"}'),
    ('update entry set idempotency_key = ''earn'' where account_id = $1 and seq = 3', 'a key used again',
        '{"an idempotency key is used once in an account"}'),
    ('update entry set posted_at = ''2024-01-01'' where account_id = $1 and seq = 17', 'an entry posted before there was the program',
        '{"an entry is posted since its program was created"}'),
    ('update entry set funder = ''bank'' where account_id = $1 and seq = 5', 'a capture that is paid for',
        '{"what is issued has a source and a funder, what is spent a source and a partner, and nothing else"}'),
    ('update entry set partner = ''airline'' where account_id = $1 and seq = 3', 'an earn that somebody supplies',
        '{"what is issued has a source and a funder, what is spent a source and a partner, and nothing else"}'),
    ('update entry set source = ''app'' where account_id = $1 and seq = 4', 'a hold by a channel',
        '{"what is issued has a source and a funder, what is spent a source and a partner, and nothing else"}'),
    ('update entry set revenue = -1 where account_id = $1 and seq = 3', 'an earn for less than nothing',
        '{"what is issued has a revenue of no less than 0, a reversal of no more, and no other entry any"}'),
    ('update entry set revenue = 0 where account_id = $1 and seq = 17', 'a redemption for something',
        '{"what is issued has a revenue of no less than 0, a reversal of no more, and no other entry any"}'),
    ('update entry set revenue = 1 where account_id = $1 and seq = 10', 'goodwill for something',
        '{"what is issued has a revenue of no less than 0, a reversal of no more, and no other entry any"}'),
-- Lots
    ('update lot set pending_until = ''2024-01-13'' where account_id = $2 and seq = 1', 'a lot that is pending for longer',
        '{"a lot says until when it is pending"}'),
    ('update entry set source = ''shop'' where account_id = $1 and seq = 21', 'an extension by another source',
        '{"an extension is of one lot, to lapse later, and of the same origin"}'),
    ('update entry set funder = null where account_id = $1 and seq = 21', 'an extension that the issuer pays for',
        '{"an extension is of one lot, to lapse later, and of the same origin"}'),
    ('update entry set revenue = 0.000001 where account_id = $1 and seq = 21', 'an extension for something',
        '{"an extension is of one lot, to lapse later, and of the same origin"}'),
    ('update entry set expires_at = ''2024-03-13'' where account_id = $1 and seq = 18', 'an extension to lapse sooner',
        '{"an extension is of one lot, to lapse later, and of the same origin", "points expire when their lot has lapsed"}'),
    ('update entry set until = ''2024-02-06'' where account_id = $1 and seq = 21', 'an extension of what would have lapsed later',
        '{"an extension is of one lot, to lapse later, and of the same origin"}'),
    ('delete from allocation where account_id = $1 and seq = 21', 'an extension of nothing',
        '{"an extension is of one lot, to lapse later, and of the same origin", "a lot is its credit less the allocations",
            "a lot is never short, by business time"}'),
    ('update allocation set amount = 7 where account_id = $1 and seq = 21; insert into allocation values ($1, 21, 3, 1)', 'an extension of two lots',
        '{"an extension is of one lot, to lapse later, and of the same origin", "a lot is its credit less the allocations",
            "a lot is never short, by business time"}'),
    ('update lot set remaining = remaining + case seq when 1 then 1 else -1 end where account_id = $2', 'points moved between lots received',
        '{"a lot is its credit less the allocations"}'),
-- Spending
    ('update allocation set lot_seq = 2 where account_id = $1 and seq in (7, 8)', 'a hold of what lapses later',
        '{"a debit takes what lapses soonest first"}'),
    ('update allocation set amount = 2 where account_id = $1 and seq = 26; update entry set debt = 8 where account_id = $1 and seq = 26;
        update debt set remaining = 8 where account_id = $1; update account set debt = 8 where account_id = $1;
        insert into lot select account_id, ''2024-03-01'', 2, ''2024-01-01'', 1, program_id from account where account_id = $1',
        'a debt made while there is something to take', '{"a debit takes what lapses soonest first"}'),
    ('update entry set available_at = ''2024-01-21 00:00:01'' where account_id = $1 and seq = 3', 'a redemption of what is pending',
        '{"a debit takes what is spendable when it happens"}'),
    ('update entry set available_at = ''2024-01-18 00:00:01'' where account_id = $1 and seq = 12', 'a reversal that takes what is pending',
        '{"a debit takes what is spendable when it happens"}'),
    ('update entry set event_at = ''2024-03-01'' where account_id = $1 and seq = 25; update account set last_event_at = ''2024-03-01'' where account_id = $1',
        'a repayment with what has lapsed', '{"a debt is repaid of what has not lapsed"}'),
-- Holds
    ('delete from hold where account_id = $1', 'an open hold deleted', '{"an open hold is one that nothing ended"}'),
    ('insert into hold select account_id, 4, ''2024-01-15'', 120, program_id from account where account_id = $1', 'a hold open that has ended',
        '{"an open hold is one that nothing ended"}'),
    ('insert into hold select account_id, 99, ''2024-01-15'', 120, program_id from account where account_id = $1', 'a hold without an entry',
        '{"an open hold is one that nothing ended"}'),
    ('update hold set amount = 6 where account_id = $1', 'a hold of more', '{"an open hold is one that nothing ended"}'),
    ('update hold set until = ''2999-01-02'' where account_id = $1', 'a later deadline', '{"an open hold keeps its entry''s deadline and program"}'),
    ('update hold set program_id = 0 where account_id = $1', 'a hold of another program', '{"an open hold keeps its entry''s deadline and program"}'),
    ('update allocation set seq = 105 where account_id = $1 and seq = 6; update entry set seq = 111 - seq where account_id = $1 and seq in (5, 6);
        update entry set seq = seq - 100 where account_id = $1 and seq > 100; update allocation set seq = seq - 100 where account_id = $1 and seq > 100;
        update entry set balance = case seq when 5 then 180 else 110 end where account_id = $1 and seq in (5, 6)',
        'a capture of what was released', '{"a hold ends once, and its rest is released with the capture"}'),
    ('update entry set until = event_at where account_id = $1 and seq = 22; update hold set until = ''2024-02-11'' where account_id = $1',
        'a hold that ends as it begins', '{"a hold''s deadline is after it"}'),
    ('update entry set until = ''2024-01-06'' where account_id = $1 and seq = 4', 'a capture at the deadline',
        '{"a hold is captured before its deadline and released by it"}'),
    ('update entry set until = ''2024-01-09'' where account_id = $1 and seq = 7', 'a release after it',
        '{"a hold is captured before its deadline and released by it"}'),
-- Debts
    ('delete from debt where account_id = $1', 'a debt deleted', '{"a debt is what was taken less what was repaid, undone or forgiven"}'),
    ('update debt set remaining = 6 where account_id = $1', 'a debt of less', '{"a debt is what was taken less what was repaid, undone or forgiven"}'),
    ('insert into debt values ($1, 11, 1)', 'a debt that was undone', '{"a debt is what was taken less what was repaid, undone or forgiven"}'),
    ('update debt set seq = 99 where account_id = $1', 'a debt of no entry', '{"a debt is what was taken less what was repaid, undone or forgiven"}'),
    ('update entry set debt_seq = 11 where account_id = $1 and seq = 16', 'another debt forgiven',
        '{"a debt is what was taken less what was repaid, undone or forgiven"}'),
    ('update entry set debt_seq = null, expires_at = ''infinity'', available_at = event_at where account_id = $1 and seq = 16', 'a debt forgiven that is none',
        '{"an entry names what its kind does", "a credit has its times, and only a credit",
            "a debt is what was taken less what was repaid, undone or forgiven", "a lot is its credit less the allocations", "a debit takes what lapses soonest first"}'),
-- Reversals
    ('update allocation set amount = case lot_seq when 1 then -29 else -21 end where account_id = $1 and seq = 6',
        'a release of more than the hold took of a lot',
        '{"no more is given back to a lot than was taken from it", "what was taken last is given back first",
            "a lot is its credit less the allocations", "a lot is never short, by business time", "a debit takes what lapses soonest first"}'),
    ('update allocation set amount = amount + case when (seq = 14) = (lot_seq = 10) then -1 else 1 end where account_id = $1 and seq in (14, 15)',
        'what was repaid last is not given back first', '{"what was taken last is given back first"}'),
    ('update entry set qualifying = -11 where account_id = $1 and seq = 15', 'qualifying points left over',
        '{"a credit''s qualifying is undone in proportion"}'),
    ('update entry set qualifying = 1 where account_id = $2 and seq = 3', 'qualifying points of a transfer',
        '{"a credit''s qualifying is undone in proportion"}'),
    ('update entry set revenue = -0.23 where account_id = $1 and seq = 15', 'revenue left over', '{"a credit''s revenue is undone in proportion"}'),
    ('update entry set revenue = null where account_id = $1 and seq = 15', 'revenue that stays', '{"a credit''s revenue is undone in proportion"}'),
    ('update entry set revenue = 0 where account_id = $1 and seq = 14', 'revenue of a redemption', '{"a credit''s revenue is undone in proportion"}'),
-- Transfers
    ('update entry set funder = ''bank'' where account_id = $2 and seq = 2', 'points of another funder', '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set revenue = null where account_id = $2 and seq = 2', 'points that were free', '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set amount = case seq when 1 then 31 else 29 end, balance = case seq when 1 then 31 else balance::int8 end
        where account_id = $2 and seq in (1, 2);
        update lot set remaining = remaining + case seq when 1 then 1 else -1 end where account_id = $2',
        'amounts that were not given', '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set expires_at = ''2024-04-01'' where account_id = $2 and seq = 2; update lot set expires_at = ''2024-04-01'' where account_id = $2 and seq = 2',
        'points that live on', '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set issued_at = ''2024-01-02'' where account_id = $2 and seq = 2', 'points issued later', '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set source = null where account_id = $2 and seq = 2', 'points of no source', '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set event_at = ''2024-01-11'' where account_id = $2 and seq = 1', 'points received before they were given',
        '{"each lot that a transfer takes is received as it is"}'),
    ('update entry set counter_seq = 10 where account_id = $2 and seq = 2', 'a transfer of which nobody knows',
        '{"each lot that a transfer takes is received as it is", "a transfer is undone on both sides alike, lot by lot"}'),
    ('update entry set counter_seq = 2 where account_id = $1 and seq = 9', 'a transfer that names its second part',
        '{"a transfer_out names the first transfer_in of it"}'),
    ('update entry set counter_account_id = account_id(''p'', ''well'') where account_id = $1 and seq = 9', 'a transfer to another program',
        '{"each lot that a transfer takes is received as it is", "a transfer is undone on both sides alike, lot by lot",
            "a transfer stays within its program"}'),
    ('update entry set reverses_seq = 1 where account_id = $2 and seq = 3; update allocation set lot_seq = 1 where account_id = $2 and seq = 3;
        update lot set remaining = 20 where account_id = $2; update entry set event_at = ''2024-01-31'' where account_id = $2 and seq = 3',
        'a part undone that was not given back', '{"a transfer is undone on both sides alike, lot by lot"}');

do $$
declare
    t tampering;
    change text;
begin
    for t in select * from tampering order by k loop
        perform pg_temp.write_lines('u' || t.k, 'v' || t.k);
        foreach change in array string_to_array(t.changes, ';') loop
            execute replace(replace(change, '$1', account_id('q', 'u' || t.k)::text), '$2', account_id('q', 'v' || t.k)::text);
        end loop;
    end loop;
end
$$;
create temp table finding as select substring(b.member from 2)::int as k, b.* from reconcile('q') b where b.member is not null;
select is(array(select distinct f.invariant from finding f where f.k = t.k order by 1), array(select unnest(invariants) order by 1), t.what)
from (select * from tampering order by k) t;
select is(array(select t.k || ' ' || t.what from tampering t
        where array(select distinct f.invariant from finding f where f.k = t.k order by 1) is distinct from
            array(select b.invariant from (select * from reconcile('q', 'u' || t.k) union all select * from reconcile('q', 'v' || t.k)) b
                where b.member is not null group by 1 order by 1)
        order by t.k), array[]::text[], 'the same of the two accounts alone');
select is(array(select f.member || ' ' || f.invariant from finding f where f.k = 0), array[]::text[], 'what was left alone is well');

-- ---------- lots whose expiry can move ----------

create temp table moving (k int generated always as identity, changes text, what text, invariants text[]);
insert into moving (changes, what, invariants) values
    ('update lot set rule_no = 2 where account_id = $1 and seq = 4', 'a lot under another rule', '{"a lot keeps its credit''s times, program and rule"}'),
    ('update lot set rule_no = null, counts_from = null, expiry = null where account_id = $1 and seq = 4', 'a lot that cannot move any more',
        '{"a lot keeps its credit''s times, program and rule"}'),
    ('update lot set expiry = ''9 months inactive'' where account_id = $1 and seq = 4', 'a lot under another policy', '{"a lot keeps its credit''s times, program and rule"}'),
    ('update lot set counts_from = counts_from + interval ''1 microsecond'' where account_id = $1 and seq = 4', 'a lot that was issued later',
        '{"a lot keeps its credit''s times, program and rule"}'),
    ('update lot set rule_no = 1, counts_from = ''2024-05-01'', expiry = ''9 months inactive'' where account_id = $1 and seq = 6', 'a lot that can move all at once',
        '{"a lot keeps its credit''s times, program and rule"}'),
    ('update entry set expiry = ''9 months inactive'' where account_id = $1 and seq = 4', 'a credit under another policy', '{"a lot keeps its credit''s times, program and rule"}'),
    ('update entry set rule_no = 9 where account_id = $1 and seq = 3; update lot set rule_no = 9 where account_id = $1 and seq = 3', 'a rule that there is not',
        '{"a credit whose expiry can move keeps to a rule of its program, and no other"}'),
    ('update entry set rule_no = 1 where account_id = $1 and seq = 3; update lot set rule_no = 1 where account_id = $1 and seq = 3', 'a rule by which nothing moves it',
        '{"a credit whose expiry can move keeps to a rule of its program, and no other"}'),
    ('update entry set rule_no = null where account_id = $1 and seq = 4; update lot set rule_no = null, counts_from = null, expiry = null where account_id = $1 and seq = 4',
        'inactivity by no rule', '{"a credit whose expiry can move keeps to a rule of its program, and no other"}'),
    ('update entry set rule_no = 1 where account_id = $1 and seq = 2', 'a redemption by a rule', '{"a credit has its times, and only a credit"}'),
    ('update entry set until = ''2024-06-30'' where account_id = $1 and seq = 4', 'an extension of what never would have lapsed so early',
        '{"an extension is of one lot, to lapse later, and of the same origin"}'),
    ('update account set last_redeem_at = ''2024-02-01'' where account_id = $1', 'an activity that does not count',
        '{"the last of each kind is the latest of the entries of the kind"}'),
    ('update account set due_at = ''2025-01-01 00:00:01'' where account_id = $1', 'an expiry that is not looked for in time', '{"no lot lapses before due_at"}'),
    ('update entry set event_at = ''2025-06-01'' where account_id = $1 and seq = 6; update account set last_event_at = ''2025-06-01'', last_earn_at = ''2025-06-01'' where account_id = $1;
        update entry set available_at = ''2025-06-01'' where account_id = $1 and seq = 6; update lot set available_at = ''2025-06-01'' where account_id = $1 and seq = 6',
        'an activity before which what had lapsed is not booked', '{"what has lapsed is booked before the next activity"}');
do $$
declare
    members text[] := array['w0'] || array(select 'w' || k from moving order by k);
    member text;
    t moving;
    change text;
begin
    perform create_program('m', auto_open => true, expiry => '6 months inactive');
    foreach member in array members loop
        perform earn('m', member, 100, event_at => '2024-01-01');                           -- 1: lapses on 2 July at the earliest
        perform redeem('m', member, 10, event_at => '2024-02-01');                          -- 2
    end loop;
    perform alter_program('m', expiry => '1 year', notice_days => 30);
    foreach member in array members loop
        perform earn('m', member, 50, event_at => '2024-03-01');                            -- 3: waits for a notice
    end loop;
    perform extend_expiry('m', 'closed', until => '2025-01-01', members => members, event_at => '2024-03-02');  -- 4: what lapses on 2 September
    perform alter_program('m', expiry => '3 years', unset => '{notice_days}');
    foreach member in array members loop
        perform redeem('m', member, 5, event_at => '2024-04-01');                           -- 5: of lot 4
        perform earn('m', member, 7, event_at => '2024-05-01');                             -- 6: moved by nothing
    end loop;
    for t in select * from moving order by k loop
        foreach change in array string_to_array(t.changes, ';') loop
            execute replace(change, '$1', account_id('m', 'w' || t.k)::text);
        end loop;
    end loop;
end
$$;
select is(array(select concat_ws(' ', l.seq, l.remaining, l.expires_at::date, l.rule_no, l.counts_from::date, l.expiry) from lot l
        where l.account_id = account_id('m', 'w0') order by l.seq),
    array['3 50 2025-03-02 2 2024-03-01', '4 85 2025-01-01 1 2024-01-01 6 months inactive', '6 7 2027-05-02'], 'lots under three rules');
create temp table moving_finding as select substring(b.member from 2)::int as k, b.* from reconcile('m') b where b.member is not null;
select is(array(select distinct f.invariant from moving_finding f where f.k = t.k order by 1), array(select unnest(invariants) order by 1), t.what)
from (select * from moving order by k) t;
select is(array(select f.member || ' ' || f.invariant from moving_finding f where f.k = 0), array[]::text[], 'what was left alone is well');
select is(array(select t.k || ' ' || t.what from moving t
        where array(select distinct f.invariant from moving_finding f where f.k = t.k order by 1) is distinct from
            array(select b.invariant from reconcile('m', 'w' || t.k) b where b.member is not null group by 1 order by 1)
        order by t.k), array[]::text[], 'the same of one account alone');
select set_eq(
    $$select (regexp_matches(prosrc, '^select [^''\n]*''((?:[^'']|'''')+)''', 'gn'))[1] from pg_proc
        where proname like 'breaches\_of\_%' and proname not in ('breaches_of_tables', 'breaches_of_notices', 'breaches_of_summaries', 'breaches_of_settlement', 'breaches_of_behaviour')$$,
    $$select replace(unnest(invariants), '''', '''''') from tampering union select replace(unnest(invariants), '''', '''''') from wanted
        union select replace(unnest(invariants), '''', '''''') from moving$$,
    'every invariant has been broken');

-- ---------- what a row says ----------

create function pg_temp.breaches(k int) returns text[]
language sql as $$
    select array(select row(b.program, b.member, b.account_id = pg_temp.id(breaches.k), b.seq, b.invariant, b.expected, b.found)::text
        from reconcile('p', 't' || breaches.k) b where b.member is not null order by b.invariant, b.seq)
$$;
select is(pg_temp.breaches(1),
    array['(p,t1,t,,"balance is the sum of the entries",55,56)', '(p,t1,t,,"balance is what is in lots and held, less the debt",55,56)'],
    'a row names the account, what must hold, what should be there and what is');
select is(pg_temp.breaches(9), array['(p,t9,t,5,"an entry''s balance is the sum up to it",140,999)'], 'and the entry');
select is(pg_temp.breaches(19),
    array['(p,t19,t,7,"an entry''s amount is what it changes in lots, held and debt",-40,-41)',
        '(p,t19,t,9,"an entry''s amount is what it changes in lots, held and debt",-15,-14)'], 'each of them');

-- ---------- scope ----------

select is((select count(*)::int from reconcile('p', 'well') b where b.member is not null), 0, 'an account is not blamed for another');
select is((select count(*)::int from reconcile('other') b where b.member is not null), 0, 'nor a program');
select is((select count(*)::int from reconcile('other', 'empty') b where b.member is not null), 0, 'an empty account is well');
select set_eq($$select b::text from unnest('{p,q,m}'::text[]) program, reconcile(program) b$$, $$select b::text from reconcile() b$$, 'all breaches are of the three programs');
select is((select count(distinct b.member)::int from reconcile('p') b), 46, 'of all of its accounts that were tampered with');
select set_eq($$select distinct b.invariant from reconcile() b where b.member is not null$$, $$select unnest(invariants) from wanted union select unnest(invariants) from tampering union select unnest(invariants) from moving$$,
    'every kind of breach is found where everything is checked');
select throws_ok($$select reconcile('nowhere')$$, 'JF002', 'unknown program "nowhere"', 'an unknown program');
select throws_ok($$select reconcile('p', 'unborn')$$, 'JF003', 'unknown member "unborn"', 'an unknown member');
select throws_ok($$select reconcile('nowhere', 'well')$$, 'JF002', 'unknown program "nowhere"', 'a member of an unknown program');

-- ---------- what programs keep of their rules, and extensions of what they did ----------

alter table expiry_rule disable trigger refuse_change;
alter table period_change disable trigger refuse_change;
create function pg_temp.of_rules(program text) returns text[]
language sql as $$
    select array(select concat_ws(': ', b.invariant, replace(b.expected, 'program ' || program_id(of_rules.program), 'program'), b.found) from reconcile(of_rules.program) b
        where b.account_id is null and b.invariant <> 'what is written once refuses changes' order by 1)
$$;
do $$
declare
    program text;
begin
    foreach program in array array['rules', 'none', 'first', 'latest', 'activity', 'own', 'zone', 'extended', 'points', 'closed', 'gap', 'order', 'until', 'from'] loop
        perform create_program(program, auto_open => true);
        perform alter_program(program, expiry => '1 year inactive');
        perform alter_program(program, notice_days => 5), earn(program, 'ann', 10);
        perform extend_expiry(program, 'why', by_interval => '1 month');
        perform undo_extension(program, x.extension_id, 'why') from extend_expiry(program, 'why', until => '2999-01-01', idempotency_key => 'long') x;
        perform close_period(program, '2024-01-01'), close_period(program, '2024-02-01');
    end loop;
end
$$;
delete from expiry_rule where program_id = program_id('none');
delete from expiry_rule where program_id = program_id('first') and rule_no = 1;
delete from expiry_rule where program_id = program_id('latest') and rule_no = 3;
update expiry_rule set activity = '{earn}' where program_id = program_id('activity') and rule_no = 3;
update program set rule_no = 2 where code = 'own';
update program set time_zone = 'Asia/Shanghai' where code = 'zone';
update extension set lots = lots + 1 where program_id = program_id('extended') and undoes is not null;
update extension set points = points + 1 where program_id = program_id('points') and idempotency_key = 'long';
select is(pg_temp.of_rules(program), breaches, 'program ' || program)
from (values
    (1, 'rules', array[]::text[]),
    (2, 'none', array['a program keeps to its latest rule: program: : 3, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5']),
    (3, 'first', array['a program''s rules are numbered without gaps: program: rule 1: rule 2', 'a program''s rules are numbered without gaps: program: rule 2: rule 3']),
    (4, 'latest', array['a program keeps to its latest rule: program: 2, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}: 3, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5']),
    (5, 'activity', array['a program keeps to its latest rule: program: 3, UTC, 1 year inactive, {earn}, 5: 3, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5']),
    (6, 'own', array['a program keeps to its latest rule: program: 3, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5: 2, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5']),
    (7, 'zone', array['a program keeps to its latest rule: program: 3, UTC, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5: 3, Asia/Shanghai, 1 year inactive, {earn,redeem,hold,capture,transfer_out}, 5']))
    v (n, program, breaches) order by n;
select is((select regexp_replace(b, 'extension \d+', 'extension') from unnest(pg_temp.of_rules(program)) b), breach, 'program ' || program)
from (values
    (1, 'extended', 'an extension is of as many lots and points as its entries: extension: 1 lots, 10 points: 2 lots, 10 points'),
    (2, 'points', 'an extension is of as many lots and points as its entries: extension: 1 lots, 10 points: 1 lots, 11 points')) v (n, program, breach) order by n;
update period_change set changed_at = make_timestamptz(2024, 1, change_no, 0, 0, 0);
update period_change set change_no = 3 where program_id = program_id('gap') and change_no = 2;
update period_change set changed_at = '2024-01-01' where program_id = program_id('order');
update program set closed_until = '2024-01-01' where code = 'until';
update program set booked_from = '2024-01-01 23:59' where code = 'from';
select is(pg_temp.of_rules(program), breaches, 'program ' || program)
from (values
    (1, 'closed', array[]::text[]),
    (2, 'gap', array['a program''s closings are numbered without gaps, each later than the one before: program: closing 2, after 2024-01-01 00:00:00+00: closing 3, 2024-01-02 00:00:00+00']),
    (3, 'order', array['a program''s closings are numbered without gaps, each later than the one before: program: closing 2, after 2024-01-01 00:00:00+00: closing 2, 2024-01-01 00:00:00+00']),
    (4, 'until', array['a program''s books are closed as its latest closing says, and go on since then: program: closed until 2024-02-01 00:00:00+00, booked from 2024-01-02 00:00:00+00: closed until 2024-01-01 00:00:00+00, booked from ' || (select booked_from from program where code = 'until')]),
    (5, 'from', array['a program''s books are closed as its latest closing says, and go on since then: program: closed until 2024-02-01 00:00:00+00, booked from 2024-01-02 00:00:00+00: closed until 2024-02-01 00:00:00+00, booked from 2024-01-01 23:59:00+00']))
    v (n, program, breaches) order by n;
alter table expiry_rule enable always trigger refuse_change;
alter table period_change enable always trigger refuse_change;

-- ---------- rows of no account, and the guards ----------

do $$
begin
    perform create_program('lost');
    perform create_tier('lost', 'silver', 'Silver', 100);
    insert into extension (extension_id, program_id, reason, actor) select 0, program_id('lost'), 'lost', 'test';
    perform close_period('lost', '2024-01-01');
end
$$;
create temp table lost as select account_id('p', 'gone') as gone, (open_account('lost', 'member')).account_id as stray;
insert into hold select gone, 1, 'infinity', 1, 1 from lost;
insert into debt select gone, 1, 1 from lost;
delete from account where account_id = (select gone from lost);
delete from program where code = 'lost';
select is(array(select row(b.program, b.member, b.account_id = l.gone, b.found, count(distinct b.seq))::text
        from reconcile() b, lost l where b.invariant = 'every row has its account'
        group by b.program, b.member, b.account_id, l.gone, b.found order by b.found),
    array['(,,t,"a debt",1)', '(,,t,"a hold",1)', '(,,t,"a lot",2)', '(,,t,"a status change",0)', '(,,t,"an allocation",6)', '(,,t,"an entry",10)'],
    'rows whose account is gone are found');
select is(array(select row(b.program, b.member, b.account_id = l.stray, b.seq, b.found)::text
        from reconcile() b, lost l where b.invariant = 'every account, tier, rule, extension, closing and value has its program' order by b.found),
    array['(,member,t,,"an account")', '(,,,,"closing 1")', '(,,,,"extension 0")', '(,,,,"rule 1")', '(,,,,"tier silver")', '(,,,,"value 1")'], 'and those whose program is');
select is((select count(*)::int from reconcile('p') b where b.invariant like 'every %'), 0, 'where everything is checked');

create function pg_temp.guards() returns text[]
language sql as $$
    select array(select row(b.account_id, b.expected, b.found)::text from reconcile('other') b
        where b.invariant = 'what is written once refuses changes' order by b.found)
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
