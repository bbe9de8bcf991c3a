-- summary: what moved, by day, month and year of issue; what is booked for good kept in summaries.

create function movement(kind text, reversed_kind text) returns text
language sql immutable parallel safe
return case coalesce(reversed_kind, kind)
    when 'earn' then case when reversed_kind is null then 'earned' else 'reversed' end
    when 'import' then case when reversed_kind is null then 'imported' else 'reversed' end
    when 'redeem' then case when reversed_kind is null then 'redeemed' else 'returned' end
    when 'capture' then case when reversed_kind is null then 'redeemed' else 'returned' end
    when 'adjust' then 'adjusted'
    when 'transfer_in' then 'transferred'
    when 'transfer_out' then 'transferred'
    when 'expire' then 'expired'
    when 'reinstate' then 'reinstated'
    when 'hold' then 'held'
    when 'release' then 'released'
    when 'repay' then 'repaid'
    when 'extend' then 'extended'
end;

comment on function movement(text, text) is
    'The line of a roll-forward that an entry of that kind belongs to; reversed_kind: of a reverse, the kind of the entry that it undoes';

-- Two branches, as a join of all entries with what few of them reverse would
-- hash the whole journal.
create view booked_entry as
select e.account_id, e.seq, a.program_id, p.time_zone, e.kind, movement(e.kind, null) as movement,
    e.posted_at, e.event_at, greatest(e.event_at, c.closed_until) as reported_at,
    e.amount, e.held, e.debt, e.balance, e.expires_at, e.hold_seq,
    e.source, e.funder, e.partner,
    case when e.kind in ('earn', 'import', 'adjust') then e.revenue end as revenue,
    coalesce(e.issued_at, e.event_at) as issued_at, e.revenue > 0 as is_sold
from entry e
join account a on a.account_id = e.account_id
join program p on p.program_id = a.program_id
left join closed_period c on c.program_id = a.program_id and e.posted_at >= c.posted_from and e.posted_at < c.posted_until
where e.kind <> 'reverse'
union all
select e.account_id, e.seq, a.program_id, p.time_zone, e.kind, movement(e.kind, r.kind),
    e.posted_at, e.event_at, greatest(e.event_at, c.closed_until),
    e.amount, e.held, e.debt, e.balance, e.expires_at, e.hold_seq,
    r.source, r.funder, r.partner, e.revenue,
    coalesce(r.issued_at, r.event_at), r.revenue > 0
from entry e
join entry r on r.account_id = e.account_id and r.seq = e.reverses_seq
join account a on a.account_id = e.account_id
join program p on p.program_id = a.program_id
left join closed_period c on c.program_id = a.program_id and e.posted_at >= c.posted_from and e.posted_at < c.posted_until
where e.kind = 'reverse' and e.reverses_seq is not null;

create view lot_flow as
select b.program_id, b.time_zone, b.movement, b.posted_at, b.event_at, b.reported_at,
    c.event_at as credited_at, coalesce(c.issued_at, c.event_at) as issued_at, c.available_at, c.expires_at, c.rule_no,
    c.source, c.funder, coalesce(c.revenue > 0, false) as is_sold, x.points, x.held
from booked_entry b
cross join lateral (
    select b.seq as lot_seq, b.amount::numeric as points, 0::numeric as held where b.expires_at is not null and b.kind <> 'extend'
    union all
    select b.seq, x.amount::numeric, 0 from allocation x where b.kind = 'extend' and x.account_id = b.account_id and x.seq = b.seq
    union all
    select x.lot_seq, -x.amount::numeric, case when b.kind in ('hold', 'release') then x.amount::numeric else 0 end
    from allocation x where x.account_id = b.account_id and x.seq = b.seq
    union all
    select x.lot_seq, 0, -sum(x.amount::numeric)
    from allocation x
    where b.kind = 'capture' and x.account_id = b.account_id
        and (x.seq = b.hold_seq or x.seq in (select r.seq from entry r
            where r.account_id = b.account_id and r.hold_seq = b.hold_seq and r.kind = 'release'))
    group by x.lot_seq
) x
join entry c on c.account_id = b.account_id and c.seq = x.lot_seq;

create view day_flow as
select program_id, (posted_at at time zone time_zone)::date as booked_on, (event_at at time zone time_zone)::date as happened_on,
    (reported_at at time zone time_zone)::date as reported_on, movement, source, funder, partner,
    count(*) as entries, sum(amount::numeric) as amount, sum(held::numeric) as held, sum(debt::numeric) as debt,
    coalesce(sum(revenue), 0) as revenue,
    sum((balance > 0)::int - (balance::numeric - amount::numeric > 0)::int) as members,
    count(*) filter (where seq = 1) as accounts
from booked_entry group by 1, 2, 3, 4, 5, 6, 7, 8;

create view pending_flow as
select program_id, (posted_at at time zone time_zone)::date as booked_on, (event_at at time zone time_zone)::date as happened_on,
    (reported_at at time zone time_zone)::date as reported_on,
    ((available_at - interval '1 microsecond') at time zone time_zone)::date as available_on, sum(points) as points
from lot_flow where available_at > credited_at and event_at < available_at group by 1, 2, 3, 4, 5;

create view cohort_flow as
select program_id, date_trunc('month', issued_at at time zone time_zone)::date as issued_month,
    case when rule_no is null and expires_at < 'infinity' then
        date_trunc('month', (expires_at - interval '1 microsecond') at time zone time_zone)::date end as expires_month,
    case when rule_no is not null then 'moving' when expires_at = 'infinity' then 'never' else 'fixed' end as expires,
    source, funder, is_sold, date_trunc('month', posted_at at time zone time_zone)::date as booked_month,
    date_trunc('month', event_at at time zone time_zone)::date as happened_month,
    date_trunc('month', reported_at at time zone time_zone)::date as reported_month, movement,
    sum(points) as points, sum(held) as held
from lot_flow group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;

create view vintage_flow as
select program_id, extract(year from issued_at at time zone time_zone)::int as issued_year, is_sold,
    (posted_at at time zone time_zone)::date as booked_on, (event_at at time zone time_zone)::date as happened_on,
    (reported_at at time zone time_zone)::date as reported_on, movement,
    sum(points) as points, sum(held) as held, sum(revenue) as revenue, sum(issued) as issued
from (
    select program_id, time_zone, issued_at, is_sold, posted_at, event_at, reported_at, movement, points, held, 0::numeric as revenue,
        0::numeric as issued
    from lot_flow
    union all
    select program_id, time_zone, issued_at, coalesce(is_sold, false), posted_at, event_at, reported_at, movement, 0, 0, coalesce(revenue, 0),
        amount::numeric
    from booked_entry
    where kind in ('earn', 'import') or movement = 'reversed' or movement = 'adjusted' and (kind = 'adjust') = (amount::numeric > 0)
) f group by 1, 2, 3, 4, 5, 6, 7;
