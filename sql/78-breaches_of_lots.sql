-- breaches of lots: what is left of each credit, and what entries may take of it.

-- The lots: each is its credit less what was allocated of it.
create function breaches_of_lots(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select account_id, program_id from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
),
journal as (
    select e.account_id, e.seq, e.kind, e.amount::bigint, e.event_at, e.available_at, e.expires_at, e.issued_at,
        e.until, e.source, e.funder, e.revenue, e.rule_no, e.expiry, e.reverses_seq, s.program_id,
        e.kind in ('earn', 'import', 'transfer_in', 'extend')
            or e.kind = 'adjust' and e.amount > 0 and e.debt_seq is null as has_lot
    from entry e join scope s on s.account_id = e.account_id
    where own_account is null or e.account_id = own_account
),
move as (
    select x.account_id, x.seq, x.lot_seq, x.amount::bigint, j.kind, j.event_at
    from allocation x
    join scope s on s.account_id = x.account_id
    left join journal j on j.account_id = x.account_id and j.seq = x.seq
    where own_account is null or x.account_id = own_account
),
-- An extend entry's own lot is what it takes of another.
extended as (
    select account_id, seq, count(*) as lots, min(lot_seq) as lot_seq, sum(amount) as amount
    from move where kind = 'extend' group by account_id, seq
),
credit as (
    select j.account_id, j.seq, j.event_at, j.available_at, j.expires_at, j.program_id, j.rule_no,
        case when j.rule_no is not null then coalesce(j.issued_at, j.event_at) end as counts_from,
        case when j.rule_no is not null and j.expiry::text like '%inactive%' then j.expiry::text end as expiry,
        case when j.kind = 'extend' then coalesce(x.amount, 0) else j.amount end as amount,
        case when j.rule_no is null then j.expiry::text not like '%inactive%'
            else r.rule_no is not null and (r.notice_days is not null or coalesce(j.expiry::text, '') like '%inactive%') end as keeps_rule
    from journal j
    left join expiry_rule r on r.program_id = j.program_id and r.rule_no = j.rule_no
    left join extended x on x.account_id = j.account_id and x.seq = j.seq
    where j.has_lot
),
open_lot as (
    select l.account_id, l.seq, l.expires_at, l.available_at, l.remaining::bigint, l.program_id, l.rule_no,
        l.counts_from, l.expiry::text, l.pending_until
    from lot l join scope s on s.account_id = l.account_id
    where own_account is null or l.account_id = own_account
)
select m.account_id, m.seq, 'an allocation has its entry and its credit', 'both', format('lot_seq %s', m.lot_seq)
from move m
left join credit c on c.account_id = m.account_id and c.seq = m.lot_seq
where m.kind is null or c.seq is null or m.lot_seq >= m.seq
union all
select account_id, seq, 'a lot is its credit less the allocations',
    (coalesce(c.amount, 0) - coalesce(x.amount, 0))::text, coalesce(l.remaining, 0)::text
from credit c
full join (
    select account_id, lot_seq as seq, sum(amount) as amount from move group by account_id, lot_seq
) x using (account_id, seq)
full join open_lot l using (account_id, seq)
where coalesce(c.amount, 0) - coalesce(x.amount, 0) <> coalesce(l.remaining, 0)
union all
select l.account_id, l.seq, 'a lot keeps its credit''s times, program and rule',
    concat_ws(', ', c.available_at, c.expires_at, c.program_id, c.rule_no, c.counts_from, c.expiry),
    concat_ws(', ', l.available_at, l.expires_at, l.program_id, l.rule_no, l.counts_from, l.expiry)
from open_lot l
join credit c on c.account_id = l.account_id and c.seq = l.seq
where (c.available_at, c.expires_at, c.program_id, c.rule_no, c.counts_from, c.expiry)
    is distinct from (l.available_at, l.expires_at, l.program_id, l.rule_no, l.counts_from, l.expiry)
union all
-- What came to be available while the row was written was not pending, whenever this transaction began.
select account_id, seq, 'a lot says until when it is pending', available_at::text, pending_until::text
from open_lot
where pending_until <> available_at or pending_until is null and available_at > clock_timestamp()
union all
select account_id, seq, 'a credit whose expiry can move keeps to a rule of its program, and no other', 'a rule', coalesce(rule_no::text, 'none')
from credit where not keeps_rule
union all
select account_id, lot_seq, 'a lot is never short, by business time', 'at least 0', min(left_then)::text
from (
    select account_id, lot_seq, sum(amount) over (partition by account_id, lot_seq order by event_at) as left_then
    from (
        select account_id, seq as lot_seq, event_at, amount from credit
        union all
        select account_id, lot_seq, event_at, -amount from move where kind is not null
    ) change
) l
where left_then < 0
group by account_id, lot_seq
union all
select j.account_id, j.seq, 'an extension is of one lot, to lapse later, and of the same origin',
    format('1 lot, until %s %s, expires_at > until, issued_at %s, source %s, funder %s, revenue %s', case when c.rule_no is null then '=' else '>=' end,
        c.expires_at, coalesce(c.issued_at, c.event_at), c.source, c.funder, carried.revenue),
    format('%s, %s, %s, %s, %s, %s, %s', coalesce(j.lots, 0), j.until, j.expires_at, j.issued_at, j.source, j.funder, j.revenue)
from (
    select j.*, x.lots, x.lot_seq, x.amount as extended
    from journal j
    left join extended x on x.account_id = j.account_id and x.seq = j.seq
    where j.kind = 'extend'
) j
left join (
    select j.account_id, j.seq, j.event_at, j.issued_at, j.expires_at, j.rule_no, j.source, j.funder, j.revenue, c.amount
    from journal j
    join credit c on c.account_id = j.account_id and c.seq = j.seq
) c on c.account_id = j.account_id and c.seq = j.lot_seq
cross join lateral (
    select round(round(c.revenue * j.extended, scale(c.revenue) + 6) / nullif(c.amount, 0), scale(c.revenue) + 6) as revenue
) carried
where (j.lots = 1 and (j.until = c.expires_at or j.until > c.expires_at and c.rule_no is not null) and (j.expires_at > j.until or j.reverses_seq is not null)
        and j.issued_at = coalesce(c.issued_at, c.event_at) and j.source is not distinct from c.source
        and j.funder is not distinct from c.funder and j.revenue is not distinct from carried.revenue) is not true;
end
$$;

comment on function breaches_of_lots(integer, bigint) is
    'Breaches of lots and allocations, by numbers of program and account, null: all';

-- What the entries may take of lots, and in which order, where the expiry of
-- all lots of the account is fixed.
--
-- The order is checked of debits in order: those that happened after all that
-- was booked before them. These follow each other in business time as they do
-- in the journal, so a lot that had something left was theirs to take during
-- one run of their numbers for each stretch between two entries that moved it.
-- In such a run none may go further in spending order than that lot. How far
-- they go at most is found for runs of 1, 2, 4 … and put together of two of
-- those, which takes n log n where each run against each debit takes n².
create function breaches_of_spending(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    powers bigint[] := array(select 1::bigint << n from generate_series(0, 31) n);
    beyond_all constant bigint := (1::bigint << 31) - 1;
begin
return query
with recursive scope as (
    select account_id from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
        and due_at is null
),
journal as (
    select *, count(*) filter (where in_order) over (partition by account_id order by seq
            rows between unbounded preceding and current row) - in_order::int as debits_before
    from (
        select *, is_debit and (latest_before is null or event_at >= latest_before) as in_order
        from (
            select e.account_id, e.seq, e.kind, e.amount::bigint, e.debt::bigint, e.event_at, e.available_at, e.expires_at,
                e.kind = 'hold' or e.amount < 0 and e.kind in ('redeem', 'adjust', 'transfer_out', 'reverse') as is_debit,
                case when e.kind = 'reverse' then e.reverses_seq end as first_lot_seq,
                e.kind in ('earn', 'import', 'transfer_in', 'extend')
                    or e.kind = 'adjust' and e.amount > 0 and e.debt_seq is null as has_lot,
                max(e.event_at) over (partition by e.account_id order by e.seq
                    rows between unbounded preceding and 1 preceding) as latest_before
            from entry e join scope s on s.account_id = e.account_id
            where own_account is null or e.account_id = own_account
        ) e
    ) e
),
credit as (
    select account_id, seq, kind, amount, available_at, expires_at, debits_before,
        row_number() over (partition by account_id order by expires_at, seq) as place
    from journal where has_lot
),
move as (
    select x.account_id, x.seq, x.lot_seq, x.amount::bigint, j.kind, j.event_at, j.is_debit, j.in_order, j.debits_before,
        c.available_at, c.expires_at, c.place, x.lot_seq is not distinct from j.first_lot_seq as is_first
    from allocation x
    join journal j on j.account_id = x.account_id and j.seq = x.seq
    join credit c on c.account_id = x.account_id and c.seq = x.lot_seq
    where own_account is null or x.account_id = own_account
),
-- Debits in order, numbered, with the place of the last lot that each took
-- from; one that made a debt had to take all there was. A reversed credit's own
-- lot comes before any other.
debit as (
    select j.account_id, j.debits_before + 1 as number, j.seq,
        case when j.debt > 0 then beyond_all else coalesce(m.place, 0) end as place
    from journal j
    left join (
        select account_id, seq, max(place) as place from move
        where in_order and not is_first
        group by account_id, seq
    ) m on m.account_id = j.account_id and m.seq = j.seq
    where j.in_order
),
-- How many of them happened before a credit was spendable, and before it lapsed.
spendable as (
    select account_id, seq, min(debits) as debits_before, max(debits) as debits_until
    from (
        select account_id, seq, count(*) filter (where seq is null) over (partition by account_id order by at, seq
                rows between unbounded preceding and current row) as debits
        from (
            select account_id, null::bigint as seq, event_at as at from journal where in_order
            union all
            select account_id, seq, available_at from credit
            union all
            select account_id, seq, expires_at from credit
        ) instant
    ) counted
    where seq is not null
    group by account_id, seq
),
stretch as (
    select account_id, lot_seq, debits_before,
        lead(debits_before) over in_order as debits_until,
        sum(amount) over in_order as remaining
    from (
        select c.account_id, c.seq as lot_seq, c.seq, c.debits_before,
            case when c.kind = 'extend' then m.amount else c.amount end as amount
        from credit c
        left join (
            select account_id, seq, sum(amount) as amount from move where kind = 'extend' group by account_id, seq
        ) m on m.account_id = c.account_id and m.seq = c.seq
        union all
        select account_id, lot_seq, seq, debits_before, -amount from move
    ) change
    window in_order as (partition by account_id, lot_seq order by seq)
),
run as (
    select *, width_bucket(last_number - first_number + 1, powers) - 1 as level
    from (
        select t.account_id, t.lot_seq, t.remaining, c.place,
            greatest(t.debits_before, s.debits_before) + 1 as first_number,
            least(t.debits_until, s.debits_until) as last_number
        from stretch t
        join credit c on c.account_id = t.account_id and c.seq = t.lot_seq
        join spendable s on s.account_id = t.account_id and s.seq = t.lot_seq
        where t.remaining > 0
    ) run
    where first_number <= last_number
),
-- The furthest of the 2^level debits from each number on: its place and, in
-- the lower half, its number.
furthest as (
    select d.account_id, d.number, d.place << 32 | d.number as furthest, 0 as level, r.levels
    from debit d
    join (select account_id, max(level) as levels from run group by account_id) r on r.account_id = d.account_id
    union all
    select account_id, number,
        greatest(furthest, lead(furthest, 1 << level) over (partition by account_id order by number)), level + 1, levels
    from furthest where level < levels
)
select d.account_id, d.seq, 'a debit takes what lapses soonest first', format('lot %s used up', r.lot_seq), r.remaining::text
from (
    select r.account_id, r.lot_seq, r.remaining, r.place, greatest(f.furthest, l.furthest) as furthest
    from run r
    join furthest f on f.account_id = r.account_id and f.level = r.level and f.number = r.first_number
    join furthest l on l.account_id = r.account_id and l.level = r.level
        and l.number = r.last_number - (1::bigint << r.level) + 1
) r
join debit d on d.account_id = r.account_id and d.number = r.furthest & ((1::bigint << 32) - 1)
where r.furthest >> 32 > r.place
union all
select account_id, seq, 'a debit takes what is spendable when it happens',
    format('available_at <= %s < expires_at', event_at), format('lot %s: %s, %s', lot_seq, available_at, expires_at)
from move
where is_debit and not is_first and not (available_at <= event_at and event_at < expires_at)
union all
select account_id, seq, 'points expire when their lot has lapsed', format('event_at >= %s', expires_at), event_at::text
from move where kind = 'expire' and event_at < expires_at
union all
select account_id, seq, 'a debt is repaid of what has not lapsed', format('event_at < %s', expires_at), event_at::text
from move where kind = 'repay' and event_at >= expires_at;
end
$$;

comment on function breaches_of_spending(integer, bigint) is
    'Breaches of what entries may take of lots and in which order, by numbers of program and account, null: all';

revoke all on function breaches_of_lots(integer, bigint) from public;
revoke all on function breaches_of_spending(integer, bigint) from public;
