-- liability_by: what the issuer owes, broken down.

-- What is unspent in lots and on hold, by what is known of the credits: the
-- flows since the beginning, and what overdue holds change.
create view unspent_lot as
select f.program_id, f.issued_month, f.expires_month, f.expires, f.source, f.funder, f.points, f.held
from cohort_flow f
union all
select o.program_id, local_month(coalesce(c.issued_at, c.event_at), p.time_zone),
    lot_expires_month(c.expires_at, c.rule_no, p.time_zone), lot_expires(c.expires_at, c.rule_no),
    c.source, c.funder, o.points, -o.released
from overdue_lots() o
join program p on p.program_id = o.program_id
cross join lateral (
    select e.issued_at, e.event_at, e.expires_at, e.rule_no, e.source, e.funder
    from entry e where e.account_id = o.account_id and e.seq = o.lot_seq offset 0
) c;

comment on view unspent_lot is 'Points unspent in lots and on hold: they are the sums, for some of the rows take from others; reports are made of it';
comment on column unspent_lot.program_id is 'Program';
comment on column unspent_lot.issued_month is 'First day of the local month in which the points were issued';
comment on column unspent_lot.expires_month is 'First day of the local month in which the points lapse; null unless expires is fixed';
comment on column unspent_lot.expires is 'fixed, never, or moving: by activity or for want of a notice';
comment on column unspent_lot.source is 'Earn channel of the points';
comment on column unspent_lot.funder is 'Who pays for the points; null: the issuer';
comment on column unspent_lot.points is 'Change of the points in lots';
comment on column unspent_lot.held is 'Change of the points on hold';

-- A function for its settings: read by a view, the lots would have all of it
-- compiled.
create function moving_points()
returns table (program_id integer, expires_month date, points numeric, lapsed numeric, held_back numeric)
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_sort = off
set work_mem = '64MB'
set jit = off
as $$
#variable_conflict use_column
begin
    if not exists (
        select from jifen.program p
        cross join lateral (
            select from jifen.lot l where l.program_id = p.program_id and l.rule_no is not null limit 1
        ) l
    ) and not exists (select from jifen.overdue_account) then
        return;
    end if;
    return query
    -- Materialized: the clock of each lot is read once, not wherever it is named,
    -- and not again for when the lot lapses unless that waits for a notice.
    with moving as materialized (
        select l.program_id, p.time_zone, l.remaining, l.expires_at,
            case when l.notice_days is not null then l.lapses_at end as lapses_at_notice
        from jifen.open_lot l
        join jifen.program p on p.program_id = l.program_id
        where l.rule_no is not null
    )
    select m.program_id, jifen.lot_expires_month(m.expires_at, null, m.time_zone),
        sum(m.remaining::bigint), coalesce(sum(m.remaining::bigint) filter (where coalesce(m.lapses_at_notice, m.expires_at) <= now()), 0),
        coalesce(sum(m.remaining::bigint) filter (where m.expires_at <= now() and m.lapses_at_notice > now()), 0)
    from moving m
    group by 1, 2;
end
$$;

comment on function moving_points() is
    'Points in lots whose expiry can move, by program and by the first day of the local month where their clocks stand now (null: never), and what of them has lapsed or waits for a notice (held_back). Locks nothing';

revoke all on function moving_points() from public;

create view liability_by_expiry as
select p.code as program, l.expires_month, sum(l.points) as points, sum(l.lapsed) as lapsed,
    sum(l.points) * p.point_value as face_value, p.currency, sum(l.held_back) as held_back
from (
    select u.program_id, u.expires_month, u.points, 0::numeric as lapsed, 0::numeric as held_back
    from unspent_lot u
    where u.expires in ('fixed', 'never')
    union all
    -- What has lapsed of them, and what more has with the release of overdue holds.
    select l.program_id, lot_expires_month(l.expires_at, l.rule_no, p.time_zone), 0, l.remaining::numeric, 0
    from program p
    join lot l on l.program_id = p.program_id and l.rule_no is null and l.expires_at < 'infinity' and l.expires_at <= now()
    union all
    select o.program_id, lot_expires_month(o.expires_at, o.rule_no, p.time_zone), 0, o.points, 0
    from overdue_lots() o
    join program p on p.program_id = o.program_id
    where o.rule_no is null and o.expires_at <= now()
    union all
    select m.program_id, m.expires_month, m.points, m.lapsed, m.held_back
    from moving_points() m
) l
join program p on p.program_id = l.program_id
group by p.program_id, l.expires_month
having sum(l.points) <> 0;

comment on view liability_by_expiry is 'Unspent points of each program by the month in which they lapse as things stand';
comment on column liability_by_expiry.program is 'Program';
comment on column liability_by_expiry.expires_month is 'First day of the local month at whose end, or within which, the points lapse; null: never';
comment on column liability_by_expiry.points is 'Points in lots, lapsed ones that are not booked yet included';
comment on column liability_by_expiry.lapsed is 'Those of points that have lapsed and are not booked yet';
comment on column liability_by_expiry.face_value is 'Points at the program''s point_value; null where it has none';
comment on column liability_by_expiry.currency is 'Currency of face_value';
comment on column liability_by_expiry.held_back is 'Those of points that are past their date and have not lapsed for want of a notice';

create view liability_by_vintage as
select p.code as program, u.issued_month, sum(u.points) as points, sum(u.held) as held, sum(u.points + u.held) as total,
    round(sum(u.points + u.held) / nullif(sum(sum(u.points + u.held)) over (partition by p.program_id), 0), 6) as share,
    sum(u.points + u.held) * p.point_value as face_value, p.currency
from unspent_lot u
join program p on p.program_id = u.program_id
group by p.program_id, u.issued_month
having sum(u.points) <> 0 or sum(u.held) <> 0;

comment on view liability_by_vintage is 'Unspent points of each program by the month in which they were issued';
comment on column liability_by_vintage.program is 'Program';
comment on column liability_by_vintage.issued_month is 'First day of the local month in which the points were issued first';
comment on column liability_by_vintage.points is 'Points in lots, lapsed ones that are not booked yet included';
comment on column liability_by_vintage.held is 'Points on hold';
comment on column liability_by_vintage.total is 'Both; what members owe is not taken off';
comment on column liability_by_vintage.share is 'Share of total in the program''s';
comment on column liability_by_vintage.face_value is 'Total at the program''s point_value; null where it has none';
comment on column liability_by_vintage.currency is 'Currency of face_value';

create view liability_by_source as
select p.code as program, u.source, sum(u.points) as points, sum(u.held) as held, sum(u.points + u.held) as total,
    round(sum(u.points + u.held) / nullif(sum(sum(u.points + u.held)) over (partition by p.program_id), 0), 6) as share,
    sum(u.points + u.held) * p.point_value as face_value, p.currency
from unspent_lot u
join program p on p.program_id = u.program_id
group by p.program_id, u.source
having sum(u.points) <> 0 or sum(u.held) <> 0;

comment on view liability_by_source is 'Unspent points of each program by the channel through which they were earned';
comment on column liability_by_source.program is 'Program';
comment on column liability_by_source.source is 'Earn channel; null: none was given';
comment on column liability_by_source.points is 'Points in lots, lapsed ones that are not booked yet included';
comment on column liability_by_source.held is 'Points on hold';
comment on column liability_by_source.total is 'Both; what members owe is not taken off';
comment on column liability_by_source.share is 'Share of total in the program''s';
comment on column liability_by_source.face_value is 'Total at the program''s point_value; null where it has none';
comment on column liability_by_source.currency is 'Currency of face_value';

create view liability_by_funder as
select p.code as program, u.funder, sum(u.points) as points, sum(u.held) as held, sum(u.points + u.held) as total,
    round(sum(u.points + u.held) / nullif(sum(sum(u.points + u.held)) over (partition by p.program_id), 0), 6) as share,
    sum(u.points + u.held) * p.point_value as face_value, p.currency
from unspent_lot u
join program p on p.program_id = u.program_id
group by p.program_id, u.funder
having sum(u.points) <> 0 or sum(u.held) <> 0;

comment on view liability_by_funder is 'Unspent points of each program by who pays for them';
comment on column liability_by_funder.program is 'Program';
comment on column liability_by_funder.funder is 'Who pays for the points; null: the issuer';
comment on column liability_by_funder.points is 'Points in lots, lapsed ones that are not booked yet included';
comment on column liability_by_funder.held is 'Points on hold';
comment on column liability_by_funder.total is 'Both; what members owe is not taken off';
comment on column liability_by_funder.share is 'Share of total in the program''s';
comment on column liability_by_funder.face_value is 'Total at the program''s point_value; null where it has none';
comment on column liability_by_funder.currency is 'Currency of face_value';

-- By the sum of each member's qualifying points within the window, as
-- tier_for() reckons one member's. Months and days are not always as long, but
-- never differ by four days, which spares reckoning the local time of most.
create view liability_by_tier as
select p.code as program, t.tier, t.members, t.points,
    round(t.points / nullif(sum(t.points) over (partition by p.program_id), 0), 6) as share,
    t.points * p.point_value as face_value, p.currency
from (
    select a.program_id, t.code as tier, count(*) filter (where a.balance > 0) as members, sum(a.balance::bigint) as points
    from account a
    left join (
        select e.account_id, sum(e.qualifying::bigint) as qualifying
        from program p
        join account a on a.program_id = p.program_id
        join entry e on e.account_id = a.account_id
        where a.balance <> 0 and e.qualifying is not null and e.event_at <= now()
            -- What happened later than that was not booked a day earlier.
            and e.posted_at > now() - p.tier_window - interval '5 days'
            and e.event_at > now() - p.tier_window - interval '4 days'
            and (e.event_at > now() - p.tier_window + interval '4 days'
                or ((e.event_at at time zone p.time_zone) + p.tier_window) at time zone p.time_zone > now())
        group by e.account_id
    ) q on q.account_id = a.account_id
    left join (
        select program_id, code, threshold::bigint as since,
            lead(threshold::bigint) over (partition by program_id order by threshold) as until
        from tier
    ) t on t.program_id = a.program_id and greatest(coalesce(q.qualifying, 0), 0) >= t.since
        and (t.until is null or greatest(coalesce(q.qualifying, 0), 0) < t.until)
    where a.balance <> 0
    group by a.program_id, t.code
) t
join program p on p.program_id = t.program_id
where t.members > 0 or t.points <> 0;

comment on view liability_by_tier is 'What each program owes by the tier that its members are in now';
comment on column liability_by_tier.program is 'Program';
comment on column liability_by_tier.tier is 'Code of the tier, as of tier_for(); null: none';
comment on column liability_by_tier.members is 'Members with a balance above zero';
comment on column liability_by_tier.points is 'Their balances, and those of members who owe more than they have';
comment on column liability_by_tier.share is 'Share of points in the program''s';
comment on column liability_by_tier.face_value is 'Points at the program''s point_value; null where it has none';
comment on column liability_by_tier.currency is 'Currency of face_value';

-- An activity of exactly three months ago is three months old.
create view liability_by_dormancy as
with step as materialized (
    select p.program_id, array(
            select ((now() at time zone p.time_zone) - make_interval(months => m)) at time zone p.time_zone + interval '1 microsecond'
            from unnest(array[24, 12, 6, 3]) with ordinality m (m, n) order by m.n
        ) as since
    from program p
)
select p.code as program, b.dormant_months, b.from_months, b.to_months, d.members, d.points,
    round(d.points / nullif(sum(d.points) over (partition by p.program_id), 0), 6) as share,
    d.points * p.point_value as face_value, p.currency
from (
    select a.program_id, width_bucket(activity_at(a, p.activity), s.since) as step,
        count(*) filter (where a.balance > 0) as members, sum(a.balance::bigint) as points
    from account a
    join program p on p.program_id = a.program_id
    join step s on s.program_id = a.program_id
    where a.balance <> 0
    group by 1, 2
) d
join program p on p.program_id = d.program_id
join (
    values (4, '0-3', 0, 3), (3, '3-6', 3, 6), (2, '6-12', 6, 12), (1, '12-24', 12, 24), (0, '24+', 24, null), (null, 'never', null, null)
) b (step, dormant_months, from_months, to_months) on b.step is not distinct from d.step
where d.members > 0 or d.points <> 0;

comment on view liability_by_dormancy is 'What each program owes by how long ago its members were active last';
comment on column liability_by_dormancy.program is 'Program';
comment on column liability_by_dormancy.dormant_months is 'Local months since the latest activity of the kinds in program.activity: 0-3, 3-6, 6-12, 12-24, 24+, or never';
comment on column liability_by_dormancy.from_months is 'At least so many months; null: never active';
comment on column liability_by_dormancy.to_months is 'Less than so many; null: no bound';
comment on column liability_by_dormancy.members is 'Members with a balance above zero';
comment on column liability_by_dormancy.points is 'Their balances, and those of members who owe more than they have';
comment on column liability_by_dormancy.share is 'Share of points in the program''s';
comment on column liability_by_dormancy.face_value is 'Points at the program''s point_value; null where it has none';
comment on column liability_by_dormancy.currency is 'Currency of face_value';
