-- A year of credits that all lapse at its end, or at the end of their month, and beside them one lot of each
-- member that never does; the same rows in plain tables, with the rows that expiry has to write there.
create extension jifen;
set search_path = jifen, public;
select from create_program('shop', time_zone => 'Asia/Shanghai', expiry => '1 month end of month', auto_open => true);

-- Members in order first, then one due lot for each of them and the others for whom it happens, day by day.
create schema plain;
create table plain.year_end as
select date_trunc('year', now() at time zone 'Asia/Shanghai') as local_end,
    date_trunc('year', now() at time zone 'Asia/Shanghai') at time zone 'Asia/Shanghai' as at;
\o /dev/null
select count(*)
from (
    select array_agg(posting('shop', 'member ' || m, 'earn', 1000, reference => 'opening', source => 'bench',
        event_at => at - interval '400 days', expiry => 'never') order by m) as postings
    from generate_series(1, :members) m, plain.year_end
    group by m / 10000
) batch, post(postings);
select count(*)
from (
    select array_agg(posting('shop', 'member ' || m, 'import', 10 + n % 90, reference => 'order ' || n, source => 'bench',
        event_at => at - (:lots + 1 - n) * (interval '360 days' / (:lots + 1)),
        expires_at => (local_end - (:instants - 1) * (:lots - n) / :lots * interval '1 month') at time zone 'Asia/Shanghai')
        order by n) as postings
    from generate_series(1, :lots) n,
        lateral (select case when n <= :members then 1 + n * 1000003::bigint % :members
            else 1 + abs(hashint8(n)::bigint) % :members end as m) chosen,
        plain.year_end
    group by n / 10000
) batch, post(postings);
\o

-- Accounts lie in the order of their numbers, as updates within their pages leave them over a year; here there
-- was no time to vacuum between them. Everything else lies as it was posted, day by day.
cluster account using account_pkey;

create table plain.account (like jifen.account including all) with (fillfactor = 80);
create table plain.lot (like jifen.lot including all) with (fillfactor = 90);
create table plain.entry (like jifen.entry including all);
create table plain.allocation (like jifen.allocation including all);
insert into plain.account select * from jifen.account;
insert into plain.lot select * from jifen.lot;
insert into plain.entry select * from jifen.entry;
insert into plain.allocation select * from jifen.allocation;

-- An entry for each account and instant, numbered on from the account's last, and what it takes of which lot.
create table plain.due as
select account_id, expires_at, l.seq as lot_seq, l.remaining,
    a.last_seq + dense_rank() over (partition by account_id order by expires_at) as seq
from lot l join account a using (account_id), plain.year_end
where l.expires_at <= year_end.at;
create table plain.new_allocation as
select account_id, seq, lot_seq, remaining as amount from plain.due order by account_id, seq, lot_seq;
create table plain.new_entry (like jifen.entry);
insert into plain.new_entry (account_id, seq, amount, held, debt, balance, event_at, posted_at, kind, actor, hash)
select account_id, d.seq, (-d.amount)::text::point_amount, 0, 0,
    (a.balance::bigint - sum(d.amount) over (partition by account_id order by d.seq))::text::point_amount,
    d.expires_at, now(), 'expire', current_user, sha256(d::text::bytea)
from (
    select account_id, seq, expires_at, sum(remaining::bigint) as amount from plain.due group by 1, 2, 3
) d join account a using (account_id)
order by account_id, d.seq;
create table plain.changed_account as
select distinct on (account_id) account_id, balance, seq as last_seq, event_at as last_event_at, hash as head_hash
from plain.new_entry order by account_id, seq desc;
-- Accounts below it and from it on are as many.
create table plain.half as select percentile_disc(0.5) within group (order by account_id) + 1 as account_id from plain.account;
vacuum analyze;
