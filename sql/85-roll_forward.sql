-- roll_forward: opening + what moved = closing, by day, month and program, on each basis of time.

-- The innermost query names the program by its code and, one level up, the
-- basis by its name, and everything above keeps the two in its grouping and
-- partitions: a condition on either reaches the flow views. Channels, funders
-- and partners are summed up first: few rows are left to be counted by three
-- bases. A pending credit counts from the day of its basis to the day before
-- its first spendable one: two lines.
create view roll_forward_change as
select f.program, f.basis, f.day,
    sum(f.earned) as earned, sum(f.imported) as imported, sum(f.adjusted) as adjusted, sum(f.reversed) as reversed,
    sum(f.redeemed) as redeemed, sum(f.returned) as returned, sum(f.expired) as expired, sum(f.reinstated) as reinstated,
    sum(f.transferred) as transferred, sum(f.change) as change, sum(f.pended) as pended, sum(f.matured) as matured,
    sum(f.held) as held, sum(f.captured) as captured, sum(f.released) as released, sum(f.owed) as owed, sum(f.repaid) as repaid
from (
    select d.program, b.basis, b.day, d.earned, d.imported, d.adjusted, d.reversed, d.redeemed, d.returned, d.expired,
        d.reinstated, d.transferred, d.change, 0::numeric as pended, 0::numeric as matured, d.held, d.captured, d.released,
        d.owed, d.repaid
    from (
        select p.code as program, d.booked_on, d.happened_on, d.reported_on,
            coalesce(sum(d.amount) filter (where d.movement = 'earned'), 0) as earned,
            coalesce(sum(d.amount) filter (where d.movement = 'imported'), 0) as imported,
            coalesce(sum(d.amount) filter (where d.movement = 'adjusted'), 0) as adjusted,
            coalesce(-sum(d.amount) filter (where d.movement = 'reversed'), 0) as reversed,
            coalesce(-sum(d.amount) filter (where d.movement = 'redeemed'), 0) as redeemed,
            coalesce(sum(d.amount) filter (where d.movement = 'returned'), 0) as returned,
            coalesce(-sum(d.amount) filter (where d.movement = 'expired'), 0) as expired,
            coalesce(sum(d.amount) filter (where d.movement = 'reinstated'), 0) as reinstated,
            coalesce(sum(d.amount) filter (where d.movement = 'transferred'), 0) as transferred,
            sum(d.amount) as change,
            coalesce(sum(d.held) filter (where d.movement = 'held'), 0) as held,
            coalesce(-sum(d.held) filter (where d.movement = 'redeemed'), 0) as captured,
            coalesce(-sum(d.held) filter (where d.movement = 'released'), 0) as released,
            coalesce(sum(d.debt) filter (where d.movement <> 'repaid'), 0) as owed,
            coalesce(-sum(d.debt) filter (where d.movement = 'repaid'), 0) as repaid
        from program p
        join day_flow d on d.program_id = p.program_id
        group by p.code, d.booked_on, d.happened_on, d.reported_on
    ) d
    cross join lateral (values ('booked', d.booked_on), ('happened', d.happened_on), ('reported', d.reported_on)) b (basis, day)
    union all
    select p.code, b.basis, l.day, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, l.pended, l.matured, 0, 0, 0, 0, 0
    from program p
    join pending_flow d on d.program_id = p.program_id
    cross join lateral (values ('booked', d.booked_on), ('happened', d.happened_on), ('reported', d.reported_on)) b (basis, day)
    cross join lateral (values (b.day, d.points, 0::numeric), (d.available_on, 0, d.points)) l (day, pended, matured)
    -- Known only once it could be spent: it was never pending on that basis.
    where d.available_on > b.day and (l.day = b.day or l.day <= (now() at time zone p.time_zone)::date)
) f
group by f.program, f.basis, f.day;

comment on view roll_forward_change is 'What moved in each program on the days on which something did, by each basis of time: what the roll-forwards are made of';
comment on column roll_forward_change.program is 'Program';
comment on column roll_forward_change.basis is 'By which time an entry belongs to a day: booked (when it was posted), happened (its event_at), or reported (its event_at, or where the books were closed then, when they ended)';
comment on column roll_forward_change.day is 'Local day of the program';
comment on column roll_forward_change.earned is 'Points earned';
comment on column roll_forward_change.imported is 'Points taken over from another system';
comment on column roll_forward_change.adjusted is 'Goodwill less penalties, and what was undone or forgiven of them';
comment on column roll_forward_change.reversed is 'Points of credits that were taken back, those owed among them; taken off';
comment on column roll_forward_change.redeemed is 'Points spent, by redemption or capture; taken off';
comment on column roll_forward_change.returned is 'Points spent that came back';
comment on column roll_forward_change.expired is 'Points whose lapse was booked; taken off';
comment on column roll_forward_change.reinstated is 'Points whose lapse was undone';
comment on column roll_forward_change.transferred is 'Transfers in less transfers out: zero, as a transfer stays in its program';
comment on column roll_forward_change.change is 'Change of the balance: all lines before it, with their signs';
comment on column roll_forward_change.pended is 'Credits that cannot be spent yet, less what was taken of them before they could';
comment on column roll_forward_change.matured is 'Pending points that can be spent by the end of it; taken off';
comment on column roll_forward_change.held is 'Points put on hold';
comment on column roll_forward_change.captured is 'Held points that were spent; taken off';
comment on column roll_forward_change.released is 'Held points that were given back; taken off';
comment on column roll_forward_change.owed is 'New debts of members, less what was undone or forgiven of them';
comment on column roll_forward_change.repaid is 'Debts repaid out of credits; taken off';

-- A row of roll_forward_change stands for its day and the days up to the next
-- row, on which nothing moved. The condition on n is always true: with it the
-- planner expects 5 rows of generate_series and not 1000, too few for JIT
-- compilation, which would take longer than the query.
create view roll_forward_by_day as
select c.program, c.basis, c.day + n.n as day,
    case when n.n = 0 then c.closing - c.change else c.closing end as opening,
    case when n.n = 0 then c.earned else 0 end as earned,
    case when n.n = 0 then c.imported else 0 end as imported,
    case when n.n = 0 then c.adjusted else 0 end as adjusted,
    case when n.n = 0 then c.reversed else 0 end as reversed,
    case when n.n = 0 then c.redeemed else 0 end as redeemed,
    case when n.n = 0 then c.returned else 0 end as returned,
    case when n.n = 0 then c.expired else 0 end as expired,
    case when n.n = 0 then c.reinstated else 0 end as reinstated,
    case when n.n = 0 then c.transferred else 0 end as transferred,
    c.closing,
    case when n.n = 0 then c.closing_pending - (c.pended - c.matured) else c.closing_pending end as opening_pending,
    case when n.n = 0 then c.pended else 0 end as pended,
    case when n.n = 0 then c.matured else 0 end as matured,
    c.closing_pending,
    case when n.n = 0 then c.closing_held - (c.held - c.captured - c.released) else c.closing_held end as opening_held,
    case when n.n = 0 then c.held else 0 end as held,
    case when n.n = 0 then c.captured else 0 end as captured,
    case when n.n = 0 then c.released else 0 end as released,
    c.closing_held,
    case when n.n = 0 then c.closing_debt - (c.owed - c.repaid) else c.closing_debt end as opening_debt,
    case when n.n = 0 then c.owed else 0 end as owed,
    case when n.n = 0 then c.repaid else 0 end as repaid,
    c.closing_debt
from (
    select r.*,
        lead(r.day) over (partition by r.program, r.basis order by r.day) as next_day,
        sum(r.change) over so_far as closing,
        sum(r.pended - r.matured) over so_far as closing_pending,
        sum(r.held - r.captured - r.released) over so_far as closing_held,
        sum(r.owed - r.repaid) over so_far as closing_debt
    from roll_forward_change r
    window so_far as (partition by r.program, r.basis order by r.day rows unbounded preceding)
) c
join program p on p.code = c.program
cross join lateral (
    select coalesce(c.next_day - 1, greatest(c.day, (now() at time zone p.time_zone)::date)) - c.day as still
) s
cross join lateral generate_series(0, s.still) n (n)
where n.n between 0 and s.still;

comment on view roll_forward_by_day is 'Points owed by each program day by day, from the first that moved to today: opening + earned + imported + adjusted - reversed - redeemed + returned - expired + reinstated + transferred = closing, which is the next opening';
comment on column roll_forward_by_day.program is 'Program';
comment on column roll_forward_by_day.basis is 'By which time an entry belongs to a day: booked (when it was posted), happened (its event_at), or reported (its event_at, or where the books were closed then, when they ended)';
comment on column roll_forward_by_day.day is 'Local day of the program';
comment on column roll_forward_by_day.opening is 'Points owed at its beginning';
comment on column roll_forward_by_day.earned is 'Points earned';
comment on column roll_forward_by_day.imported is 'Points taken over from another system';
comment on column roll_forward_by_day.adjusted is 'Goodwill less penalties, and what was undone or forgiven of them';
comment on column roll_forward_by_day.reversed is 'Points of credits that were taken back, those owed among them; taken off';
comment on column roll_forward_by_day.redeemed is 'Points spent, by redemption or capture; taken off';
comment on column roll_forward_by_day.returned is 'Points spent that came back';
comment on column roll_forward_by_day.expired is 'Points whose lapse was booked; taken off';
comment on column roll_forward_by_day.reinstated is 'Points whose lapse was undone';
comment on column roll_forward_by_day.transferred is 'Transfers in less transfers out: zero, as a transfer stays in its program';
comment on column roll_forward_by_day.closing is 'Points owed at its end';
comment on column roll_forward_by_day.opening_pending is 'Those that could not be spent yet at its beginning';
comment on column roll_forward_by_day.pended is 'Credits that cannot be spent yet, less what was taken of them before they could';
comment on column roll_forward_by_day.matured is 'Pending points that can be spent by the end of it; taken off';
comment on column roll_forward_by_day.closing_pending is 'Those that could not be spent yet at its end';
comment on column roll_forward_by_day.opening_held is 'Those on hold at its beginning';
comment on column roll_forward_by_day.held is 'Points put on hold';
comment on column roll_forward_by_day.captured is 'Held points that were spent; taken off';
comment on column roll_forward_by_day.released is 'Held points that were given back; taken off';
comment on column roll_forward_by_day.closing_held is 'Those on hold at its end';
comment on column roll_forward_by_day.opening_debt is 'Points that members owe at its beginning';
comment on column roll_forward_by_day.owed is 'New debts of members, less what was undone or forgiven of them';
comment on column roll_forward_by_day.repaid is 'Debts repaid out of credits; taken off';
comment on column roll_forward_by_day.closing_debt is 'Points that members owe at its end';

-- Every month from the first on has all its days but those to come.
create view roll_forward_by_month as
select d.program, d.basis, date_trunc('month', d.day::timestamp)::date as month,
    (array_agg(d.opening order by d.day))[1] as opening,
    sum(d.earned) as earned, sum(d.imported) as imported, sum(d.adjusted) as adjusted, sum(d.reversed) as reversed,
    sum(d.redeemed) as redeemed, sum(d.returned) as returned, sum(d.expired) as expired, sum(d.reinstated) as reinstated,
    sum(d.transferred) as transferred,
    (array_agg(d.closing order by d.day desc))[1] as closing,
    (array_agg(d.opening_pending order by d.day))[1] as opening_pending,
    sum(d.pended) as pended, sum(d.matured) as matured,
    (array_agg(d.closing_pending order by d.day desc))[1] as closing_pending,
    (array_agg(d.opening_held order by d.day))[1] as opening_held,
    sum(d.held) as held, sum(d.captured) as captured, sum(d.released) as released,
    (array_agg(d.closing_held order by d.day desc))[1] as closing_held,
    (array_agg(d.opening_debt order by d.day))[1] as opening_debt,
    sum(d.owed) as owed, sum(d.repaid) as repaid,
    (array_agg(d.closing_debt order by d.day desc))[1] as closing_debt
from roll_forward_by_day d
group by d.program, d.basis, 3;

comment on view roll_forward_by_month is 'Points owed by each program month by month, from the first that moved to the current one: opening + earned + imported + adjusted - reversed - redeemed + returned - expired + reinstated + transferred = closing, which is the next opening';
comment on column roll_forward_by_month.program is 'Program';
comment on column roll_forward_by_month.basis is 'By which time an entry belongs to a day: booked (when it was posted), happened (its event_at), or reported (its event_at, or where the books were closed then, when they ended)';
comment on column roll_forward_by_month.month is 'First day of the local month';
comment on column roll_forward_by_month.opening is 'Points owed at its beginning';
comment on column roll_forward_by_month.earned is 'Points earned';
comment on column roll_forward_by_month.imported is 'Points taken over from another system';
comment on column roll_forward_by_month.adjusted is 'Goodwill less penalties, and what was undone or forgiven of them';
comment on column roll_forward_by_month.reversed is 'Points of credits that were taken back, those owed among them; taken off';
comment on column roll_forward_by_month.redeemed is 'Points spent, by redemption or capture; taken off';
comment on column roll_forward_by_month.returned is 'Points spent that came back';
comment on column roll_forward_by_month.expired is 'Points whose lapse was booked; taken off';
comment on column roll_forward_by_month.reinstated is 'Points whose lapse was undone';
comment on column roll_forward_by_month.transferred is 'Transfers in less transfers out: zero, as a transfer stays in its program';
comment on column roll_forward_by_month.closing is 'Points owed at its end, of the current month so far';
comment on column roll_forward_by_month.opening_pending is 'Those that could not be spent yet at its beginning';
comment on column roll_forward_by_month.pended is 'Credits that cannot be spent yet, less what was taken of them before they could';
comment on column roll_forward_by_month.matured is 'Pending points that can be spent by the end of it; taken off';
comment on column roll_forward_by_month.closing_pending is 'Those that could not be spent yet at its end, of the current month so far';
comment on column roll_forward_by_month.opening_held is 'Those on hold at its beginning';
comment on column roll_forward_by_month.held is 'Points put on hold';
comment on column roll_forward_by_month.captured is 'Held points that were spent; taken off';
comment on column roll_forward_by_month.released is 'Held points that were given back; taken off';
comment on column roll_forward_by_month.closing_held is 'Those on hold at its end, of the current month so far';
comment on column roll_forward_by_month.opening_debt is 'Points that members owe at its beginning';
comment on column roll_forward_by_month.owed is 'New debts of members, less what was undone or forgiven of them';
comment on column roll_forward_by_month.repaid is 'Debts repaid out of credits; taken off';
comment on column roll_forward_by_month.closing_debt is 'Points that members owe at its end, of the current month so far';

create view roll_forward_by_program as
select r.program, min(r.day) as since,
    sum(r.earned) as earned, sum(r.imported) as imported, sum(r.adjusted) as adjusted, sum(r.reversed) as reversed,
    sum(r.redeemed) as redeemed, sum(r.returned) as returned, sum(r.expired) as expired, sum(r.reinstated) as reinstated,
    sum(r.transferred) as transferred,
    sum(r.change) as closing,
    sum(r.pended - r.matured) as closing_pending,
    sum(r.held) as held, sum(r.captured) as captured, sum(r.released) as released,
    sum(r.held - r.captured - r.released) as closing_held,
    sum(r.owed) as owed, sum(r.repaid) as repaid, sum(r.owed - r.repaid) as closing_debt
from roll_forward_change r
where r.basis = 'booked'
group by r.program;

comment on view roll_forward_by_program is 'All that ever moved in each program, and what it came to: the lines of the roll-forwards, summed up';
comment on column roll_forward_by_program.program is 'Program';
comment on column roll_forward_by_program.since is 'Local day of the first booking';
comment on column roll_forward_by_program.earned is 'Points earned';
comment on column roll_forward_by_program.imported is 'Points taken over from another system';
comment on column roll_forward_by_program.adjusted is 'Goodwill less penalties, and what was undone or forgiven of them';
comment on column roll_forward_by_program.reversed is 'Points of credits that were taken back, those owed among them; taken off';
comment on column roll_forward_by_program.redeemed is 'Points spent, by redemption or capture; taken off';
comment on column roll_forward_by_program.returned is 'Points spent that came back';
comment on column roll_forward_by_program.expired is 'Points whose lapse was booked; taken off';
comment on column roll_forward_by_program.reinstated is 'Points whose lapse was undone';
comment on column roll_forward_by_program.transferred is 'Transfers in less transfers out: zero, as a transfer stays in its program';
comment on column roll_forward_by_program.closing is 'Points owed';
comment on column roll_forward_by_program.closing_pending is 'Those of them that cannot be spent by the end of today';
comment on column roll_forward_by_program.held is 'Points put on hold';
comment on column roll_forward_by_program.captured is 'Held points that were spent; taken off';
comment on column roll_forward_by_program.released is 'Held points that were given back; taken off';
comment on column roll_forward_by_program.closing_held is 'Points on hold';
comment on column roll_forward_by_program.owed is 'New debts of members, less what was undone or forgiven of them';
comment on column roll_forward_by_program.repaid is 'Debts repaid out of credits; taken off';
comment on column roll_forward_by_program.closing_debt is 'Points that members owe';
