-- Three years of a program: so many members and about so many entries, written straight into the tables. All of it
-- reconciles, but that lots are not spent soonest first, nor entries hashed. A story is a credit and what becomes of its
-- points; a step is an entry.
create extension if not exists jifen;
set search_path = jifen, public;
set work_mem = '1GB';
set maintenance_work_mem = '1GB';
set jit = off;
set max_parallel_workers_per_gather = 0;
select from create_program('shop', time_zone => 'Asia/Shanghai', expiry => '12 months end of month', currency => 'CNY', point_value => 0.01);
select from create_program('club', time_zone => 'Asia/Shanghai', expiry => '60 months inactive end of month', currency => 'CNY', point_value => 0.01);
select from create_tier('shop', 'silver', 'Silver', 1000);
select from create_tier('shop', 'gold', 'Gold', 5000);
select setseed(0.5) \g /dev/null

-- One member in twenty is of the club, whose points lapse with inactivity.
create schema story;
create unlogged table story.story as
select n, m as account_id, case when m % 20 = 0 then 2 else 1 end as program_id, (m + 20) % :members + 1 as other_id, 100 * random() as what,
    (10 + floor(random() * random() * 990))::bigint as points, random() as share,
    at1, at1 + random() * interval '60 days' as at2, interval '7 days' * random() as later,
    random() as one, random() as two, random() as three, random() as never
from (
    select n, case when n <= :members then n else 1 + floor(:members * random() * random())::bigint end as m,
        now() - interval '3 years' * random() as at1
    from generate_series(1, (:entries / 2.3)::bigint) n
) s;
update story.story set what = 16 where what between 80 and 84 and program_id = 2;     -- they keep to their own program
update story.story set other_id = case when (other_id) % 20 = 0 then other_id - 1 else other_id end where what between 80 and 84;
update story.story set what = 16 where other_id = account_id;

-- When points lapse follows from their local day.
create unlogged table story.day as
select day, expires_at('60 months inactive end of month', at, 'Asia/Shanghai') as club,
    expires_at('12 months end of month', at, 'Asia/Shanghai') as shop
from (
    select d::date as day, (d + interval '12 hours') at time zone 'Asia/Shanghai' as at
    from generate_series(now()::date - interval '1100 days', now()::date + interval '2 days', interval '1 day') d
) d;
analyze story.day;
create unlogged table story.step as
with given as materialized (
    select s.*, greatest(1, floor(points * share))::bigint as taken, least(at2 + later, now() + later) as at3,
        (array['purchase', 'purchase', 'check-in', 'review', 'partner'])[1 + floor(one * 5)] as source,
        case when two < 0.2 then (array['bank', 'mall', 'airline'])[1 + floor(two * 15)] end as funder,
        case when one < 0.5 then 'app' else 'till' end as spent_by,
        case when three < 0.3 then (array['cinema', 'hotel', 'fuel'])[1 + floor(three * 10)] end as partner,
        case when three > 0.3 then round(points * 0.05, 2) end as revenue,
        case when program_id = 2 then d.club when never < 0.05 then 'infinity' else d.shop end as expires_at,
        case when what >= 90 then at1 + interval '14 days' else at1 end as available_at,
        what >= 72 and what < 80 as holds, what >= 80 and what < 84 as transfers
    from story.story s
    join story.day d on d.day = (s.at1 at time zone 'Asia/Shanghai')::date
)
select g.n, v.step, v.account_id, g.program_id, v.kind, v.at, v.amount, v.held, v.lot, v.used,
    case when v.step in (1, 4) then g.expires_at end as expires_at,
    case v.step when 1 then g.available_at when 4 then v.at end as available_at,
    case when v.step = 4 then g.at1 end as issued_at, case when v.kind = 'hold' then greatest(g.at3 + interval '1 day', now() + interval '3 days') end as until,
    case when v.step in (1, 4) then g.source when v.kind in ('redeem', 'capture') then g.spent_by end as source,
    case when v.step in (1, 4) then g.funder end as funder, case when v.kind in ('redeem', 'capture') then g.partner end as partner,
    case when v.step = 1 and v.kind = 'earn' then g.revenue when v.step = 4 then round(g.revenue * g.taken / g.points, 8)
        when v.kind = 'reverse' and v.step = 2 then -g.revenue end as revenue,
    case when v.step = 1 and v.kind = 'earn' then g.points when v.kind = 'reverse' and v.step = 2 then -g.points end as qualifying,
    case when v.kind like 'transfer%' then case v.step when 3 then g.other_id else g.account_id end end as counter_account_id
from given g
cross join lateral (
    select case when g.what < 17 or g.what >= 84 then 0 when g.what < 45 then g.points when g.what < 62 then g.taken
        when g.what < 67 then g.taken - g.taken / 2 when g.what < 72 then g.points when g.what < 78 then g.taken
        when g.what < 80 then 0 else g.taken end as spent
) x
cross join lateral (values
    (1, g.account_id, case when g.what between 84 and 90 then 'adjust' else 'earn' end, g.at1, g.points, 0::bigint, 0, 0::bigint),
    (2, g.account_id, 'redeem', case when g.what >= 17 and g.what < 67 then g.at2 end, -case when g.what < 45 then g.points else g.taken end, 0, 1,
        case when g.what < 45 then g.points else g.taken end),
    (2, g.account_id, 'reverse', case when g.what >= 67 and g.what < 72 then g.at2 end, -g.points, 0, 1, g.points),
    (2, g.account_id, 'hold', case when g.holds then g.at2 end, 0, g.taken, 1, g.taken),
    (3, g.account_id, 'transfer_out', case when g.transfers then g.at2 end, -g.taken, 0, 1, g.taken),
    (3, g.account_id, 'reverse', case when g.what >= 62 and g.what < 67 and g.taken > 1 then g.at3 end, g.taken / 2, 0, 1, -(g.taken / 2)),
    (3, g.account_id, 'capture', case when g.holds and g.what < 78 then g.at3 end, -g.taken, -g.taken, 0, 0),
    (3, g.account_id, 'release', case when g.holds and g.what >= 78 then g.at3 end, 0, -g.taken, 1, -g.taken),
    (4, g.other_id, 'transfer_in', case when g.transfers then g.at2 end, g.taken, 0, 0, 0),
    (5, g.account_id, 'expire', case when g.expires_at < now() and x.spent < g.points then g.expires_at end, -(g.points - x.spent), 0, 1, g.points - x.spent),
    (5, g.other_id, 'expire', case when g.transfers and g.expires_at < now() then g.expires_at end, -g.taken, 0, 4, g.taken)
) v (step, account_id, kind, at, amount, held, lot, used)
where v.at <= now()
    -- Some of what lapsed lately is not booked yet.
    and not (v.kind = 'expire' and v.at > now() - interval '1 month' and g.n % 500 = 0);
drop table story.story;

-- Numbers within the account by the order of what happened, and the entries of the same story that others name.
create unlogged table story.numbered as
select s.*, row_number() over own as seq, sum(amount) over own as balance
from story.step s
window own as (partition by account_id order by at, n, step);
drop table story.step;
create unlogged table story.linked as
select s.*, s.at + random() * interval '2 seconds' as posted_at,
    max(seq) filter (where step = 1) over same as first_seq, max(seq) filter (where step = 2) over same as second_seq,
    max(seq) filter (where step = 3) over (partition by n) as third_seq, max(seq) filter (where step = 4) over same as fourth_seq,
    max(seq) filter (where step = 4) over (partition by n) as any_fourth_seq
from story.numbered s
window same as (partition by n, account_id);
drop table story.numbered;

alter table entry disable trigger refuse_change;
alter table allocation disable trigger refuse_change;
insert into account (account_id, program_id, member, opened_at, balance, held, last_seq, last_event_at, last_earn_at, last_redeem_at,
    last_expire_at, last_adjust_at, last_hold_at, last_capture_at, last_transfer_out_at, last_transfer_in_at, head_hash, due_at)
select m, case when m % 20 = 0 then 2 else 1 end, 'member ' || m, now() - interval '3 years 1 day', coalesce(s.balance, 0)::bigint, coalesce(s.held, 0)::bigint,
    coalesce(s.last_seq, 0), s.last_event_at, s.earn, s.redeem, s.expire, s.adjust, s.hold, s.capture, s.transfer_out, s.transfer_in,
    case when s.account_id is not null then '\x00'::bytea end, case when m % 20 = 0 then s.due_at end
from generate_series(1, :members::bigint) m
left join (
    select account_id, sum(amount) as balance, sum(held) as held, max(seq) as last_seq, max(at) as last_event_at,
        max(at) filter (where kind = 'earn') as earn, max(at) filter (where kind = 'redeem') as redeem,
        max(at) filter (where kind = 'expire') as expire, max(at) filter (where kind = 'adjust') as adjust,
        max(at) filter (where kind = 'hold') as hold, max(at) filter (where kind = 'capture') as capture,
        max(at) filter (where kind = 'transfer_out') as transfer_out, max(at) filter (where kind = 'transfer_in') as transfer_in,
        min(expires_at) as due_at
    from story.linked group by account_id
) s on s.account_id = m;
insert into status_change (account_id, change_no, changed_at, status, actor)
select account_id, 1, opened_at, 'open', 'bench' from account;
select setval('account_id_seq', :members) \g /dev/null

insert into entry (account_id, seq, amount, held, debt, balance, event_at, posted_at, expires_at, available_at, until, issued_at, reverses_seq,
    hold_seq, counter_account_id, counter_seq, qualifying, rule_no, kind, source, funder, partner, reference, reason, expiry, revenue, actor, hash)
select account_id, seq, amount, held, 0, balance::bigint, at, posted_at, expires_at, available_at, until, issued_at,
    case when kind = 'reverse' then case step when 2 then first_seq else second_seq end end,
    case when kind in ('capture', 'release') then second_seq end, counter_account_id,
    case kind when 'transfer_out' then any_fourth_seq when 'transfer_in' then third_seq end, qualifying::bigint,
    case when program_id = 2 and expires_at is not null then 1 end, kind, source, funder, partner, 'order ' || n,
    case when kind = 'adjust' then 'courtesy' end,
    case when program_id = 2 and expires_at is not null then '60 months inactive end of month'::expiry_policy end, revenue, 'bench',
    '\x00'::bytea
from story.linked order by posted_at, account_id, seq;

insert into allocation (account_id, seq, lot_seq, amount)
select account_id, seq, case lot when 1 then first_seq else fourth_seq end, used
from story.linked where used <> 0 order by posted_at, account_id, seq;

insert into lot (account_id, expires_at, seq, available_at, remaining, program_id, rule_no, counts_from, expiry, pending_until)
select c.account_id, c.expires_at, c.seq, c.available_at, (c.amount - coalesce(u.used, 0))::bigint, c.program_id,
    case when c.program_id = 2 then 1 end, case when c.program_id = 2 then coalesce(c.issued_at, c.at) end,
    case when c.program_id = 2 then '60 months inactive end of month'::expiry_policy end,
    case when c.available_at > now() then c.available_at end
from story.linked c
left join (
    select account_id, case lot when 1 then first_seq else fourth_seq end as lot_seq, sum(used) as used
    from story.linked where used <> 0 group by 1, 2
) u on u.account_id = c.account_id and u.lot_seq = c.seq
where c.step in (1, 4) and c.amount > coalesce(u.used, 0)
order by c.account_id, c.expires_at, c.seq;

insert into hold (account_id, seq, until, amount, program_id)
select h.account_id, h.seq, h.until, h.held, h.program_id
from story.linked h
where h.kind = 'hold' and not exists (select from story.linked c
    where c.n = h.n and c.account_id = h.account_id and c.kind in ('capture', 'release'));
alter table entry enable always trigger refuse_change;
alter table allocation enable always trigger refuse_change;
drop table story.linked, story.day;
drop schema story;
vacuum analyze;
