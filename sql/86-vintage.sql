-- vintage: what became of the points of each month of issue, month after month, and what is to become of them.

-- Nothing of a lot happens before its issue but for what is taken back beyond
-- it; that counts in the month of issue, as points taken over do, whose earlier
-- months are known to their first system alone.
create view vintage_change as
select c.program, c.issued_month, a.age,
    coalesce(sum(c.points) filter (where c.movement in ('earned', 'imported')), 0) as issued,
    coalesce(sum(c.points) filter (where c.movement = 'adjusted'), 0) as adjusted,
    coalesce(-sum(c.points) filter (where c.movement in ('reversed', 'repaid')), 0) as reversed,
    coalesce(sum(c.points) filter (where c.movement in ('transferred', 'extended')), 0) as moved,
    coalesce(-sum(c.points + c.held) filter (where c.movement in ('redeemed', 'returned')), 0) as redeemed,
    coalesce(-sum(c.points) filter (where c.movement in ('expired', 'reinstated')), 0) as expired,
    coalesce(sum(c.points) filter (where c.movement = 'imported' and c.happened_month > c.issued_month), 0) as taken_over
from (
    select p.code as program, c.issued_month, c.happened_month, c.movement, sum(c.points) as points, sum(c.held) as held
    from program p
    join cohort_flow c on c.program_id = p.program_id
    group by p.code, c.issued_month, c.happened_month, c.movement
) c
cross join lateral (
    select case when c.movement = 'imported' then 0
        else greatest(0, months_between(c.issued_month, c.happened_month))
    end as age
) a
group by c.program, c.issued_month, a.age;

comment on view vintage_change is 'What happened to the points of each month of issue, in the months in which something did: what the triangle is made of';
comment on column vintage_change.program is 'Program';
comment on column vintage_change.issued_month is 'First day of the local month in which the points were issued first, through transfers, extensions and imports';
comment on column vintage_change.age is 'Months from the month of issue to the one in which it happened';
comment on column vintage_change.issued is 'Points earned, and those taken over from another system, which count in the month of issue';
comment on column vintage_change.adjusted is 'Goodwill less penalties, and what was undone or forgiven of them';
comment on column vintage_change.reversed is 'Points taken back by reversals of credits, or to repay a debt; taken off';
comment on column vintage_change.moved is 'Points that came by transfers and extensions less those that went: zero, but where a transfer was undone with points of another month';
comment on column vintage_change.redeemed is 'Points spent less those that came back';
comment on column vintage_change.expired is 'Points that lapsed, as far as that is booked, less those reinstated';
comment on column vintage_change.taken_over is 'Those of issued that another system had issued: what it redeemed of the same month is not known';

-- A row of vintage_change stands for its month and those up to the next row,
-- in which nothing happened.
create view vintage_triangle as
select c.program, c.issued_month, c.age + n.n as age, (c.issued_month + (c.age + n.n) * interval '1 month')::date as month,
    case when n.n = 0 then c.issued else 0 end as issued,
    case when n.n = 0 then c.adjusted else 0 end as adjusted,
    case when n.n = 0 then c.reversed else 0 end as reversed,
    case when n.n = 0 then c.moved else 0 end as moved,
    case when n.n = 0 then c.redeemed else 0 end as redeemed,
    case when n.n = 0 then c.expired else 0 end as expired,
    case when n.n = 0 then c.taken_over else 0 end as taken_over,
    c.total_issued, c.total_redeemed, c.total_expired,
    c.total_issued - c.total_redeemed - c.total_expired as unspent
from (
    select v.*,
        lead(v.age) over (partition by v.program, v.issued_month order by v.age) as next_age,
        sum(v.issued + v.adjusted - v.reversed + v.moved) over so_far as total_issued,
        sum(v.redeemed) over so_far as total_redeemed,
        sum(v.expired) over so_far as total_expired
    from vintage_change v
    window so_far as (partition by v.program, v.issued_month order by v.age rows unbounded preceding)
) c
join program p on p.code = c.program
cross join lateral (
    select coalesce(c.next_age - 1, greatest(c.age, months_between(c.issued_month, local_day(now(), p.time_zone)))) - c.age as still
) s
cross join lateral generate_series(0, s.still) n (n)
where n.n between 0 and s.still;

comment on view vintage_triangle is 'What became of the points of each month of issue, month after month to the current one, by when it happened';
comment on column vintage_triangle.program is 'Program';
comment on column vintage_triangle.issued_month is 'First day of the local month in which the points were issued first, through transfers, extensions and imports';
comment on column vintage_triangle.age is 'Months from the month of issue: 0 is that month';
comment on column vintage_triangle.month is 'First day of the month that it is';
comment on column vintage_triangle.issued is 'Points earned, and those taken over from another system, which count in the month of issue';
comment on column vintage_triangle.adjusted is 'Goodwill less penalties, and what was undone or forgiven of them';
comment on column vintage_triangle.reversed is 'Points taken back by reversals of credits, or to repay a debt; taken off';
comment on column vintage_triangle.moved is 'Points that came by transfers and extensions less those that went: zero, but where a transfer was undone with points of another month';
comment on column vintage_triangle.redeemed is 'Points spent less those that came back';
comment on column vintage_triangle.expired is 'Points that lapsed, as far as that is booked, less those reinstated';
comment on column vintage_triangle.taken_over is 'Those of issued that another system had issued: what it redeemed of the same month is not known';
comment on column vintage_triangle.total_issued is 'issued + adjusted - reversed + moved of all months so far';
comment on column vintage_triangle.total_redeemed is 'redeemed of all months so far';
comment on column vintage_triangle.total_expired is 'expired of all months so far';
comment on column vintage_triangle.unspent is 'total_issued - total_redeemed - total_expired: points left at the end of the month, in lots, also what lapsed and is not booked as such, and on hold; what members owe is not taken off';

create view redemption_rate as
select s.program, s.issued_month, s.issued, s.redeemed, s.expired, s.issued - s.redeemed - s.expired as unspent,
    round(s.redeemed / nullif(s.issued, 0), 6) as redemption_rate,
    round(s.expired / nullif(s.issued, 0), 6) as breakage_rate,
    round((s.issued - s.redeemed - s.expired) / nullif(s.issued, 0), 6) as unspent_rate
from (
    select v.program, v.issued_month, sum(v.issued + v.adjusted - v.reversed + v.moved) as issued,
        sum(v.redeemed) as redeemed, sum(v.expired) as expired
    from vintage_change v
    group by v.program, v.issued_month
) s;

comment on view redemption_rate is 'How much of the points of each month of issue was redeemed so far, has lapsed, and is still open';
comment on column redemption_rate.program is 'Program';
comment on column redemption_rate.issued_month is 'First day of the local month in which the points were issued first, through transfers, extensions and imports';
comment on column redemption_rate.issued is 'Points issued, less those taken back';
comment on column redemption_rate.redeemed is 'Points spent, less those that came back';
comment on column redemption_rate.expired is 'Points that lapsed, as far as that is booked, less those reinstated';
comment on column redemption_rate.unspent is 'issued - redeemed - expired: points left, in lots, also what lapsed and is not booked as such, and on hold; what members owe is not taken off';
comment on column redemption_rate.redemption_rate is 'redeemed / issued, null where nothing is left of issued';
comment on column redemption_rate.breakage_rate is 'expired / issued';
comment on column redemption_rate.unspent_rate is 'unspent / issued; the three rates add up to 1, but for rounding';

create function chain_ladder(triangle numeric[])
returns table (origin integer, age integer, latest numeric, factor numeric, ultimate numeric, reserve numeric)
language plpgsql immutable strict parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if array_ndims(triangle) is distinct from 2 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a triangle must be an array of two dimensions',
            detail = format('It has %s.', coalesce(array_ndims(triangle), 0)),
            hint = 'Give a row for each origin and a column for each age, with null for what is not observed yet.';
    end if;
    if exists (select from unnest(triangle) u (amount) where u.amount in ('NaN', 'Infinity', '-Infinity')) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'a triangle must be of finite amounts',
            detail = 'NaN or infinity is among them.',
            hint = 'Give null for what is not observed yet.';
    end if;
    return query
    with recursive cell as materialized (
        select ((u.n - 1) / array_length(triangle, 2))::integer + 1 as origin,
            ((u.n - 1) % array_length(triangle, 2))::integer as age, u.amount
        from unnest(triangle) with ordinality u (amount, n)
        where u.amount is not null
    ),
    next_cell as (
        select c.age, c.amount, lead(c.age) over in_order as next_age, lead(c.amount) over in_order as next_amount
        from cell c
        window in_order as (partition by c.origin order by c.age)
    ),
    development as materialized (
        select n.age, sum(n.next_amount) / nullif(sum(n.amount), 0) as factor
        from next_cell n
        where n.next_age = n.age + 1
        group by n.age
    ),
    to_ultimate as (
        select array_length(triangle, 2) - 1 as age, 1::numeric as factor
        union all
        select u.age - 1, round(u.factor * (select d.factor from development d where d.age = u.age - 1), 20)
        from to_ultimate u
        where u.age > 0
    ),
    latest as (
        select distinct on (c.origin) c.origin, c.age, c.amount
        from cell c
        order by c.origin, c.age desc
    )
    select l.origin, l.age, l.amount, u.factor, round(l.amount * u.factor, 4), round(l.amount * u.factor, 4) - l.amount
    from latest l
    join to_ultimate u on u.age = l.age
    order by l.origin;
end
$$;

comment on function chain_ladder(numeric[]) is
    'The chain ladder: projects cumulative amounts to the oldest age. triangle: a row for each origin, such as a month of issue, and a column for each age from 0, null for what is not observed yet. A row for each origin with its latest age and amount; factor: the product of the development factors from there, each the sum of the amounts of the next age over the sum of those of the age, of the origins in which both are observed, null where one is undefined; ultimate: latest * factor; reserve: ultimate - latest. There is no factor beyond the oldest age. T. Mack, Distribution-free calculation of the standard error of chain ladder reserve estimates, ASTIN Bulletin 23 (1993). Raises 22023 for an array that is not of two dimensions, and for amounts that are not finite. Reads no table';

-- The latest month that is over is the last one observed: the current one is
-- not comparable with those before it.
create view ultimate_redemption as
select e.program, e.issued_month, e.age, e.issued, e.redeemed, e.unspent, e.factor,
    round(e.ultimate, 2) as ultimate, round(e.ultimate / nullif(e.issued, 0), 6) as ultimate_rate,
    round(e.cape_cod, 2) as cape_cod, round(e.cape_cod / nullif(e.issued, 0), 6) as cape_cod_rate
from (
    select o.program, o.issued_month, o.age, o.issued, o.redeemed, o.unspent, o.factor,
        case when o.factor is not null then
            least(o.redeemed + o.unspent, greatest(o.redeemed, o.redeemed * o.factor))
        end as ultimate,
        least(o.redeemed + o.unspent, greatest(o.redeemed, o.redeemed + o.issued * (1 - o.developed)
            * sum(o.redeemed) over own / nullif(sum(o.issued * o.developed) over own, 0))) as cape_cod
    from (
        select t.program, t.issued_months[l.origin] as issued_month, l.age, t.issued[l.origin] as issued,
            l.latest as redeemed, t.unspent[l.origin] as unspent, round(l.factor, 12) as factor,
            coalesce(1 / nullif(l.factor, 0), 0) as developed
        from (
            select c.program,
                array_agg(c.issued_month order by c.issued_month) as issued_months,
                array_agg(c.issued order by c.issued_month) as issued,
                array_agg(c.unspent order by c.issued_month) as unspent,
                array_agg(c.redeemed || array_fill(null::numeric, array[c.oldest - c.age]) order by c.issued_month) as redeemed
            from (
                select v.program, v.issued_month, max(v.age) as age,
                    max(max(v.age)) over (partition by v.program) as oldest,
                    array_agg(v.total_redeemed order by v.age) as redeemed,
                    (array_agg(v.total_issued order by v.age desc))[1] as issued,
                    (array_agg(v.unspent order by v.age desc))[1] as unspent
                from vintage_triangle v
                join program p on p.code = v.program
                where v.month < date_trunc('month', now() at time zone p.time_zone)
                group by v.program, v.issued_month
                having sum(v.taken_over) = 0
            ) c
            group by c.program
        ) t
        cross join lateral chain_ladder(t.redeemed) l
    ) o
    window own as (partition by o.program)
) e;

comment on view ultimate_redemption is 'How much of the points of each month of issue will have been redeemed in the end, by the chain ladder of the program''s triangle; months of issue with points taken over from another system are left out';
comment on column ultimate_redemption.program is 'Program';
comment on column ultimate_redemption.issued_month is 'First day of the local month in which the points were issued first, through transfers, extensions and imports';
comment on column ultimate_redemption.age is 'Months from the month of issue to the latest month that is over';
comment on column ultimate_redemption.issued is 'Points issued by its end, less those taken back';
comment on column ultimate_redemption.redeemed is 'Points spent by its end, less those that came back';
comment on column ultimate_redemption.unspent is 'Points left at its end: unspent of vintage_triangle';
comment on column ultimate_redemption.factor is 'Chain ladder: by what redeemed grows from that age to the oldest one; null where it is undefined';
comment on column ultimate_redemption.ultimate is 'Points that will have been redeemed in the end: redeemed * factor, within redeemed and redeemed + unspent; null where factor is';
comment on column ultimate_redemption.ultimate_rate is 'ultimate / issued';
comment on column ultimate_redemption.cape_cod is 'The same by the Cape Cod method: redeemed + issued * (1 - 1 / factor) * the rate of all months of issue, within the same bounds; for young months, of which little is redeemed yet';
comment on column ultimate_redemption.cape_cod_rate is 'cape_cod / issued';
