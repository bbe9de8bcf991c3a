-- run_off: how what is owed is to go, month by month, if nothing more is issued.

-- Of what is open when a month begins or comes in it, at some age, some share
-- is redeemed within the month, and some lapses: both are taken from all months
-- that are over. Points taken over from another system are under observation
-- from the month in which they were, unlike in vintage_triangle, where they
-- count from their month of issue.
create view run_off as
with recursive flow as materialized (
    select c.program_id, c.issued_month, c.expires, c.expires_month,
        greatest(0, months_between(c.issued_month, c.happened_month)) as age,
        sum(c.points + c.held) as change,
        coalesce(-sum(c.points + c.held) filter (where c.movement in ('redeemed', 'returned')), 0) as redeemed,
        coalesce(-sum(c.points) filter (where c.movement in ('expired', 'reinstated')), 0) as expired
    from (
        select c.program_id, c.issued_month, c.expires, c.expires_month, c.happened_month, c.movement,
            sum(c.points) as points, sum(c.held) as held
        from cohort_flow c
        group by 1, 2, 3, 4, 5, 6
    ) c
    group by 1, 2, 3, 4, 5
),
here as materialized (
    select p.program_id, p.code as program, date_trunc('month', l.at)::date as month,
        -- Today is still to come.
        ((date_trunc('month', l.at) + interval '1 month')::date - l.at::date)::numeric
            / ((date_trunc('month', l.at) + interval '1 month')::date - date_trunc('month', l.at)::date) as share
    from program p
    cross join lateral (select now() at time zone p.time_zone as at) l
),
-- Each month of issue through the ages that are over.
observed as materialized (
    select o.program_id, o.age + n.n as age,
        sum(b.open) as open, sum(b.open) filter (where o.is_moving) as open_moving,
        coalesce(sum(o.redeemed) filter (where n.n = 0), 0) as redeemed,
        coalesce(sum(o.expired) filter (where n.n = 0 and o.is_moving), 0) as expired
    from (
        select f.program_id, f.age, f.redeemed, f.expired, f.is_moving,
            sum(f.change) over (vintage rows unbounded preceding) as left_over,
            lead(f.age) over vintage as next_age,
            months_between(f.issued_month, h.month) as current_age
        from (
            select f.program_id, f.issued_month, f.expires = 'moving' as is_moving, f.age,
                sum(f.change) as change, sum(f.redeemed) as redeemed, sum(f.expired) as expired
            from flow f
            group by 1, 2, 3, 4
        ) f
        join here h on h.program_id = f.program_id
        window vintage as (partition by f.program_id, f.issued_month, f.is_moving order by f.age)
    ) o
    cross join lateral (
        select least(o.next_age, o.current_age) - 1 - o.age as still
    ) s
    cross join lateral generate_series(0, s.still) n (n)
    cross join lateral (
        select o.left_over + case when n.n = 0 then o.redeemed + o.expired else 0 end as open
    ) b
    where n.n between 0 and s.still
    group by 1, 2
),
-- Ages that were never observed go as the oldest twelve did together.
oldest as materialized (
    select o.program_id, sum(o.redeemed) / nullif(sum(o.open), 0) as redeemed,
        sum(o.expired) / nullif(sum(o.open_moving), 0) as expired
    from (
        select o.*, max(o.age) filter (where o.open > 0) over (partition by o.program_id) as oldest
        from observed o
    ) o
    where o.age between o.oldest - 11 and o.oldest
    group by o.program_id
),
open as materialized (
    select f.program_id, f.expires = 'moving' as is_moving,
        months_between(f.issued_month, h.month) as age,
        -- In how many months the points lapse; null: no month is set.
        months_between(h.month, f.expires_month) as lapse,
        sum(f.change) as points
    from flow f
    join here h on h.program_id = f.program_id
    group by 1, 2, 3, 4
    having sum(f.change) > 0
),
horizon as materialized (
    select o.program_id, max(o.age) as oldest_age, sum(o.points) as points,
        least(120, greatest(1, max(o.lapse) + 1, case when bool_or(o.lapse is null) then 60 end)) as months
    from open o
    group by o.program_id
),
rate as materialized (
    select r.program_id, r.age, r.redeemed, least(r.expired, 1 - r.redeemed) as expired
    from (
        select h.program_id, a.age,
            least(1, greatest(0, coalesce(o.redeemed / nullif(o.open, 0), t.redeemed, 0))) as redeemed,
            least(1, greatest(0, coalesce(o.expired / nullif(o.open_moving, 0), t.expired, 0))) as expired
        from horizon h
        cross join lateral generate_series(0, h.oldest_age + h.months) a (age)
        left join observed o on o.program_id = h.program_id and o.age = a.age
        left join oldest t on t.program_id = h.program_id
    ) r
),
-- Of a point of that age: how much is open when each month begins, to be
-- redeemed in it, and to lapse where no date says when.
path (program_id, is_moving, age, n, open, redeemed, expired) as (
    select o.program_id, o.is_moving, o.age, 0, 1::numeric, round(h.share * r.redeemed, 12),
        case when o.is_moving then round(h.share * r.expired, 12) else 0 end
    from (select distinct o.program_id, o.is_moving, o.age from open o) o
    join here h on h.program_id = o.program_id
    join rate r on r.program_id = o.program_id and r.age = o.age
    union all
    select p.program_id, p.is_moving, p.age, p.n + 1, x.open, round(x.open * r.redeemed, 12),
        case when p.is_moving then round(x.open * r.expired, 12) else 0 end
    from path p
    join horizon h on h.program_id = p.program_id
    join rate r on r.program_id = p.program_id and r.age = p.age + p.n + 1
    cross join lateral (select p.open - p.redeemed - p.expired as open) x
    where p.n + 1 < h.months
),
expected as (
    select o.program_id, s.n,
        sum(o.points * case when o.lapse < 0 then 0 else s.redeemed end) as redeemed,
        sum(o.points * case when o.lapse < 0 then 1 when o.lapse = s.n then s.open - s.redeemed else s.expired end) as expired
    from open o
    join path s on s.program_id = o.program_id and s.is_moving = o.is_moving and s.age = o.age
        and (o.lapse is null or s.n <= greatest(0, o.lapse))
    group by o.program_id, s.n
),
-- What adds up is rounded, so that the whole points of the months do as well.
total as (
    select h.program_id, m.n, h.points,
        round(sum(coalesce(e.redeemed, 0)) over so_far) as redeemed,
        round(sum(coalesce(e.expired, 0)) over so_far) as expired
    from horizon h
    cross join lateral generate_series(0, h.months - 1) m (n)
    left join expected e on e.program_id = h.program_id and e.n = m.n
    window so_far as (partition by h.program_id order by m.n rows unbounded preceding)
)
select h.program, (h.month + t.n * interval '1 month')::date as month,
    t.points - lag(t.redeemed + t.expired, 1, 0::numeric) over by_month as opening,
    t.redeemed - lag(t.redeemed, 1, 0::numeric) over by_month as redeemed,
    t.expired - lag(t.expired, 1, 0::numeric) over by_month as expired,
    t.points - t.redeemed - t.expired as closing
from total t
join here h on h.program_id = t.program_id
window by_month as (partition by h.program, t.program_id order by t.n);

comment on view run_off is 'How the points that each program owes are expected to go, month by month, if nothing more is issued: redeemed as the same age was in the past, lapsing when their expiry says or, where activity moves it, as the same age did in the past. To the last month in which points lapse by date, for five years where some have no date, for ten at most';
comment on column run_off.program is 'Program';
comment on column run_off.month is 'First day of the local month; the first one is what is left of the current month';
comment on column run_off.opening is 'Points left when it begins, those on hold among them; of the current month, now';
comment on column run_off.redeemed is 'Points expected to be redeemed in it';
comment on column run_off.expired is 'Points expected to lapse in it; in the first month with those that have lapsed and are not booked';
comment on column run_off.closing is 'opening - redeemed - expired';
