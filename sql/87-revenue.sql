-- revenue: what of the consideration allocated to points is earned, and what points cost that nobody paid for.

create view revenue_change as
select p.program_id, p.code as program, b.basis, f.is_sold, f.issued_year, b.day, sum(f.issued) as issued,
    sum(case when f.movement <> 'reversed' then f.issued else 0 end) as credited,
    sum(f.points + f.held) as unspent, sum(f.expired) as expired,
    sum(f.revenue) as consideration, sum(case when f.movement = 'imported' then f.revenue else 0 end) as taken_over
from vintage_flow f
join program p on p.program_id = f.program_id
cross join lateral (values ('booked', f.booked_on), ('happened', f.happened_on), ('reported', f.reported_on)) b (basis, day)
group by p.program_id, p.code, b.basis, f.is_sold, f.issued_year, b.day;

comment on view revenue_change is 'What changed on each local day of the points of a year of issue; portfolio_change is made of it';
comment on column revenue_change.program_id is 'Number of the program';
comment on column revenue_change.program is 'Program';
comment on column revenue_change.basis is 'By which date an entry belongs to a day: booked, happened or reported';
comment on column revenue_change.is_sold is 'Whether consideration was allocated to the points';
comment on column revenue_change.issued_year is 'Local year in which the points were issued';
comment on column revenue_change.day is 'Local day';
comment on column revenue_change.issued is 'Points issued, less those whose issue was reversed';
comment on column revenue_change.credited is 'Points issued';
comment on column revenue_change.unspent is 'Points in lots and on hold';
comment on column revenue_change.expired is 'Points that lapsed or were taken away, as by a penalty, less those given back';
comment on column revenue_change.consideration is 'Consideration allocated to points, less that of reversals';
comment on column revenue_change.taken_over is 'That of imports among it';

-- A unit is a portfolio or, until it has an estimate, each of its years of issue.
-- Of a day, step 0 is what is found when it begins: a unit that another
-- takes years over from, an estimate that begins to hold, another value of the
-- points; step 1 is what happened on it.
create view portfolio_change as
select c.program_id, c.program, c.basis, c.is_sold, coalesce(c.issued_years, int4range(c.issued_year, c.issued_year + 1)) as issued_years,
    c.is_estimated, case when not c.is_estimated then c.issued_year end as issued_year, s.day, s.step,
    sum(s.sign * c.issued) as issued, sum(s.step * c.credited) as credited, sum(s.sign * c.unspent) as unspent,
    sum(s.sign * c.expired) as expired, sum(s.sign * c.consideration) as consideration, sum(s.step * c.taken_over) as taken_over
from (
    select v.*, t.issued_years, t.is_estimated, t.valid, 1 as step, w.valued_on
    from revenue_change v
    join portfolio_term t on t.program_id = v.program_id and t.years @> v.issued_year
        and (upper_inf(t.valid) or v.day < upper(t.valid))
    left join (
        select w.program_id, array_agg(lower(w.valid)) as valued_on from point_value_term w where not lower_inf(w.valid) group by w.program_id
    ) w on w.program_id = v.program_id
    union all
    select t.program_id, p.code, b.basis, k.is_sold, null, lower(t.valid), 0, 0, 0, 0, 0, 0, t.issued_years, true, t.valid, 0, null
    from redemption_estimate_term t
    join program p on p.program_id = t.program_id
    cross join (values ('booked'), ('happened'), ('reported')) b (basis)
    cross join (values (true), (false)) k (is_sold)
) c
cross join lateral (
    select greatest(c.day, lower(c.valid)) as day, case when c.day < lower(c.valid) then 0 else c.step end as step, 1 as sign
    union all
    select upper(c.valid), 0, -1 where c.step = 1 and not upper_inf(c.valid)
    union all
    select w.day, 0, 0
    from unnest(c.valued_on) w (day)
    where not c.is_sold and not c.is_estimated and w.day > c.day and c.valid @> w.day
) s
group by c.program_id, c.program, c.basis, c.is_sold, coalesce(c.issued_years, int4range(c.issued_year, c.issued_year + 1)),
    c.is_estimated, case when not c.is_estimated then c.issued_year end, s.day, s.step;

comment on view portfolio_change is 'What changed on each local day of what estimates are made for, and of years of issue while there are none; portfolio_figures is made of it';
comment on column portfolio_change.program_id is 'Number of the program';
comment on column portfolio_change.program is 'Program';
comment on column portfolio_change.basis is 'By which date an entry belongs to a day: booked, happened or reported';
comment on column portfolio_change.is_sold is 'Whether consideration was allocated to the points';
comment on column portfolio_change.issued_years is 'Portfolio: the local years in which the points were issued';
comment on column portfolio_change.is_estimated is 'Whether it is the portfolio as a whole; else one year of issue before the first estimate holds';
comment on column portfolio_change.issued_year is 'That year';
comment on column portfolio_change.day is 'Local day';
comment on column portfolio_change.step is '0: what is found when the day begins, such as an estimate that holds from then on; 1: what happened on the day';
comment on column portfolio_change.issued is 'Points issued, less those whose issue was reversed';
comment on column portfolio_change.credited is 'Points issued on the day';
comment on column portfolio_change.unspent is 'Points in lots and on hold';
comment on column portfolio_change.expired is 'Points that lapsed or were taken away, as by a penalty, less those given back';
comment on column portfolio_change.consideration is 'Consideration allocated to points, less that of reversals';
comment on column portfolio_change.taken_over is 'That of imports among it';

create view portfolio_figures as
select f.program, f.basis, f.is_sold, f.issued_years, f.is_estimated, f.day, f.step, f.rate, f.currency,
    f.issued, f.unspent, f.expired, f.redeemed, f.consideration - lag(f.consideration, 1, 0::numeric) over unit as consideration,
    f.taken_over - lag(f.taken_over, 1, 0::numeric) over unit as taken_over,
    f.expected - lag(f.expected, 1, 0::numeric) over unit as expected,
    f.recognised - lag(f.recognised, 1, 0::numeric) over unit as recognised,
    f.accrued - lag(f.accrued, 1, 0::numeric) over unit as accrued,
    f.used - lag(f.used, 1, 0::numeric) over unit as used,
    f.provision - lag(f.provision, 1, 0::numeric) over unit as provision
from (
    select c.program, c.basis, c.is_sold, c.issued_years, c.is_estimated, c.issued_year, c.day, c.step, c.rate, c.currency,
        c.issued, c.unspent, c.expired, c.issued - c.unspent - c.expired as redeemed,
        round(c.all_taken_over, c.scale) as taken_over,
        round(c.all_consideration, c.scale) as consideration,
        e.expected,
        case when c.is_sold then round(earned_consideration(c.all_consideration, c.rate, c.all_issued, c.all_redeemed, c.all_unspent), c.scale)
            else 0 end as recognised,
        case when c.is_sold then 0 else round(c.all_accrued, c.scale) end as accrued,
        case when c.is_sold then 0 else round(c.all_used, c.scale) end as used,
        case when c.is_sold then 0 else round((e.expected - c.all_redeemed) * c.point_cost, c.scale) end as provision
    from (
        select c.*, m.currency, m.scale, t.rate, r.point_cost,
            sum(c.issued) over unit as all_issued,
            sum(c.unspent) over unit as all_unspent,
            sum(c.issued - c.unspent - c.expired) over unit as all_redeemed,
            sum(c.consideration) over unit as all_consideration,
            sum(c.taken_over) over unit as all_taken_over,
            sum(c.credited * coalesce(t.rate, 1) * r.point_cost) over unit as all_accrued,
            sum(c.step * (c.issued - c.unspent - c.expired) * r.point_cost) over unit as all_used
        from portfolio_change c
        join program_currency m on m.program_id = c.program_id
        left join redemption_estimate_term t on c.is_estimated and t.program_id = c.program_id and t.issued_years = c.issued_years
            and t.valid @> c.day
        left join point_value_term v on not c.is_estimated and v.program_id = c.program_id and v.valid @> c.day
        cross join lateral (select coalesce(t.point_cost, v.point_value, 0) as point_cost) r
        window unit as (partition by c.program, c.basis, c.is_sold, c.issued_years, c.is_estimated, c.issued_year order by c.day, c.step)
    ) c
    cross join lateral (select expected_redeemed(c.rate, c.all_issued, c.all_redeemed, c.all_unspent) as expected) e
) f
-- An estimate before there are points. What was issued and undone on one day stays, by what it has moved so far.
where (f.issued, f.unspent, f.expired, f.consideration, f.taken_over, f.expected, f.accrued, f.used)
    is distinct from (0, 0, 0, 0, 0, 0, 0, 0)
window unit as (partition by f.program, f.basis, f.is_sold, f.issued_years, f.is_estimated, f.issued_year order by f.day, f.step);

comment on view portfolio_figures is 'What each change of portfolio_change makes of the money: all columns but rate are changes, and cumulative amounts are rounded; revenue_by_day and cost_by_day are made of it';
comment on column portfolio_figures.program is 'Program';
comment on column portfolio_figures.basis is 'By which date an entry belongs to a day: booked, happened or reported';
comment on column portfolio_figures.is_sold is 'Whether consideration was allocated to the points';
comment on column portfolio_figures.issued_years is 'Portfolio: the local years in which the points were issued';
comment on column portfolio_figures.is_estimated is 'Whether it is the portfolio as a whole; else one year of issue before the first estimate holds';
comment on column portfolio_figures.day is 'Local day';
comment on column portfolio_figures.step is '0: what is found when the day begins, such as an estimate that holds from then on; 1: what happened on the day';
comment on column portfolio_figures.rate is 'Share of the points issued that is estimated to be redeemed; null without an estimate';
comment on column portfolio_figures.currency is 'Currency of the money';
comment on column portfolio_figures.issued is 'Points issued, less those whose issue was reversed';
comment on column portfolio_figures.unspent is 'Points in lots and on hold';
comment on column portfolio_figures.expired is 'Points that lapsed or were taken away, as by a penalty, less those given back';
comment on column portfolio_figures.redeemed is 'Points redeemed, less those returned: issued - unspent - expired';
comment on column portfolio_figures.consideration is 'Consideration allocated to points, less that of reversals';
comment on column portfolio_figures.taken_over is 'That of imports among it';
comment on column portfolio_figures.expected is 'Points that are expected to be redeemed, those that are already among them';
comment on column portfolio_figures.recognised is 'Revenue of sold points';
comment on column portfolio_figures.accrued is 'Of free points: what those cost that were issued, as many as are estimated to be redeemed';
comment on column portfolio_figures.used is 'Of free points: what those that were redeemed cost';
comment on column portfolio_figures.provision is 'Of free points: what those cost that are still expected to be redeemed';

create view revenue_by_day as
select d.program, d.basis, d.issued_years, lower(d.issued_years) as issued_from, upper(d.issued_years) - 1 as issued_to, d.day,
    d.consideration, d.taken_over,
    sum(d.issued) over portfolio as issued,
    sum(d.redeemed) over portfolio as redeemed,
    sum(d.expired) over portfolio as expired,
    sum(d.unspent) over portfolio as unspent,
    d.rate,
    sum(d.expected) over portfolio as expected,
    d.revenue, d.catch_up,
    sum(d.revenue) over portfolio as recognised,
    sum(d.consideration - d.revenue) over portfolio as deferred,
    d.currency
from (
    select f.program, f.basis, f.issued_years, f.day, f.currency,
        sum(f.consideration) as consideration,
        sum(f.taken_over) as taken_over,
        sum(f.issued) as issued, sum(f.redeemed) as redeemed, sum(f.expired) as expired, sum(f.unspent) as unspent,
        min(f.rate) as rate,
        sum(f.expected) as expected, sum(f.recognised) as revenue, sum((1 - f.step) * f.recognised) as catch_up
    from portfolio_figures f
    where f.is_sold
    group by f.program, f.basis, f.issued_years, f.day, f.currency
) d
window portfolio as (partition by d.program, d.basis, d.issued_years order by d.day);

comment on view revenue_by_day is 'Revenue of points to which consideration was allocated, by the local days on which anything changed (IFRS 15.B39-B47, ASC 606-10-55-41 to 55-49)';
comment on column revenue_by_day.program is 'Program';
comment on column revenue_by_day.basis is 'By which date an entry belongs to a day: booked, happened or reported, which is when it happened or else, of a closed period, when the next one began';
comment on column revenue_by_day.issued_years is 'Portfolio: the local years in which the points were issued; a year of its own where no estimate covers it';
comment on column revenue_by_day.issued_from is 'The first of issued_years; null: there is none';
comment on column revenue_by_day.issued_to is 'The last of issued_years; null: there is none';
comment on column revenue_by_day.day is 'Local day';
comment on column revenue_by_day.consideration is 'Of the day: consideration allocated to points, less that of reversals';
comment on column revenue_by_day.taken_over is 'Of the day: what of consideration came with imports';
comment on column revenue_by_day.issued is 'So far: points issued, less those whose issue was reversed';
comment on column revenue_by_day.redeemed is 'So far: points redeemed, less those returned';
comment on column revenue_by_day.expired is 'So far: points that lapsed or were taken away, as by a penalty, less those given back';
comment on column revenue_by_day.unspent is 'At the end of the day: points in lots and on hold, issued - redeemed - expired';
comment on column revenue_by_day.rate is 'Share of the points issued that is estimated to be redeemed; null without an estimate';
comment on column revenue_by_day.expected is 'Points that are expected to be redeemed in the end: rate * issued, without an estimate all of them, at least those redeemed and at most those and the unspent ones';
comment on column revenue_by_day.revenue is 'Of the day: the change of recognised';
comment on column revenue_by_day.catch_up is 'That of it which a new estimate makes';
comment on column revenue_by_day.recognised is 'So far: consideration * redeemed / expected, without an estimate * (issued - unspent) / issued, and all of it where nothing is unspent';
comment on column revenue_by_day.deferred is 'At the end of the day: consideration not recognised, the contract liability';
comment on column revenue_by_day.currency is 'Currency of the money';

-- Months in which nothing changed stand as the one before them left off.
create view revenue_by_month as
select m.program, m.basis, m.issued_years, lower(m.issued_years) as issued_from, upper(m.issued_years) - 1 as issued_to, s.month::date as month,
    m.deferred - (m.consideration - m.revenue) * (1 - s.later) as opening,
    m.consideration * (1 - s.later) as consideration, m.taken_over * (1 - s.later) as taken_over,
    m.issued, m.redeemed, m.expired, m.unspent, m.rate, m.expected,
    m.revenue * (1 - s.later) as revenue, m.catch_up * (1 - s.later) as catch_up,
    m.recognised, m.deferred, m.currency
from (
    select d.*, lead(d.month) over (partition by d.program, d.basis, d.issued_years order by d.month) as next_month
    from (
        select d.program, d.basis, d.issued_years, date_trunc('month', d.day::timestamp) as month, d.currency,
            sum(d.consideration) as consideration, sum(d.taken_over) as taken_over,
            sum(d.revenue) as revenue, sum(d.catch_up) as catch_up,
            (array_agg(d.issued order by d.day desc))[1] as issued, (array_agg(d.redeemed order by d.day desc))[1] as redeemed,
            (array_agg(d.expired order by d.day desc))[1] as expired, (array_agg(d.unspent order by d.day desc))[1] as unspent,
            (array_agg(d.rate order by d.day desc))[1] as rate, (array_agg(d.expected order by d.day desc))[1] as expected,
            (array_agg(d.recognised order by d.day desc))[1] as recognised, (array_agg(d.deferred order by d.day desc))[1] as deferred
        from revenue_by_day d
        group by d.program, d.basis, d.issued_years, date_trunc('month', d.day::timestamp), d.currency
    ) d
) m
join program p on p.code = m.program
cross join lateral generate_series(m.month, greatest(m.month, coalesce(m.next_month - interval '1 month',
    date_trunc('month', now() at time zone p.time_zone))), interval '1 month') g (month)
cross join lateral (select g.month, case when g.month = m.month then 0 else 1 end as later) s;

comment on view revenue_by_month is 'Revenue of points to which consideration was allocated, by local month from a portfolio''s first one to the present one: opening + consideration - revenue = deferred';
comment on column revenue_by_month.program is 'Program';
comment on column revenue_by_month.basis is 'By which date an entry belongs to a month: booked, happened or reported, which is when it happened or else, of a closed period, when the next one began';
comment on column revenue_by_month.issued_years is 'Portfolio: the local years in which the points were issued; a year of its own where no estimate covers it';
comment on column revenue_by_month.issued_from is 'The first of issued_years; null: there is none';
comment on column revenue_by_month.issued_to is 'The last of issued_years; null: there is none';
comment on column revenue_by_month.month is 'First day of the local month';
comment on column revenue_by_month.opening is 'Deferred when the month began';
comment on column revenue_by_month.consideration is 'Of the month: consideration allocated to points, less that of reversals';
comment on column revenue_by_month.taken_over is 'Of the month: what of consideration came with imports';
comment on column revenue_by_month.issued is 'So far: points issued, less those whose issue was reversed';
comment on column revenue_by_month.redeemed is 'So far: points redeemed, less those returned';
comment on column revenue_by_month.expired is 'So far: points that lapsed or were taken away, as by a penalty, less those given back';
comment on column revenue_by_month.unspent is 'At the end of the month: points in lots and on hold, issued - redeemed - expired';
comment on column revenue_by_month.rate is 'Share of the points issued that is estimated at the end of the month to be redeemed; null without an estimate';
comment on column revenue_by_month.expected is 'Points that are expected to be redeemed in the end: rate * issued, without an estimate all of them, at least those redeemed and at most those and the unspent ones';
comment on column revenue_by_month.revenue is 'Of the month: the change of recognised';
comment on column revenue_by_month.catch_up is 'That of it which new estimates make';
comment on column revenue_by_month.recognised is 'So far: consideration * redeemed / expected, without an estimate * (issued - unspent) / issued, and all of it where nothing is unspent';
comment on column revenue_by_month.deferred is 'At the end of the month: consideration not recognised, the contract liability';
comment on column revenue_by_month.currency is 'Currency of the money';

create view cost_by_day as
select d.program, d.basis, d.issued_years, lower(d.issued_years) as issued_from, upper(d.issued_years) - 1 as issued_to, d.day,
    sum(d.issued) over portfolio as issued,
    sum(d.redeemed) over portfolio as redeemed,
    sum(d.expired) over portfolio as expired,
    sum(d.unspent) over portfolio as unspent,
    d.rate,
    sum(d.expected) over portfolio as expected,
    d.accrued, d.released, d.catch_up, d.used,
    sum(d.provision) over portfolio as provision,
    d.currency
from (
    select f.program, f.basis, f.issued_years, f.day, f.currency,
        sum(f.issued) as issued, sum(f.redeemed) as redeemed, sum(f.expired) as expired, sum(f.unspent) as unspent,
        min(f.rate) as rate,
        sum(f.expected) as expected,
        sum(f.accrued) as accrued, sum(f.step * (f.accrued - f.used - f.provision)) as released,
        sum((1 - f.step) * f.provision) as catch_up,
        sum(f.used) as used, sum(f.provision) as provision
    from portfolio_figures f
    where not f.is_sold
    group by f.program, f.basis, f.issued_years, f.day, f.currency
) d
window portfolio as (partition by d.program, d.basis, d.issued_years order by d.day);

comment on view cost_by_day is 'What points cost that nobody paid for, by the local days on which anything changed: the provision changes by accrued - released + catch_up - used';
comment on column cost_by_day.program is 'Program';
comment on column cost_by_day.basis is 'By which date an entry belongs to a day: booked, happened or reported, which is when it happened or else, of a closed period, when the next one began';
comment on column cost_by_day.issued_years is 'Portfolio: the local years in which the points were issued; a year of its own where no estimate covers it';
comment on column cost_by_day.issued_from is 'The first of issued_years; null: there is none';
comment on column cost_by_day.issued_to is 'The last of issued_years; null: there is none';
comment on column cost_by_day.day is 'Local day';
comment on column cost_by_day.issued is 'So far: points issued, less those whose issue was reversed';
comment on column cost_by_day.redeemed is 'So far: points redeemed, less those returned';
comment on column cost_by_day.expired is 'So far: points that lapsed or were taken away, as by a penalty, less those given back';
comment on column cost_by_day.unspent is 'At the end of the day: points in lots and on hold, issued - redeemed - expired';
comment on column cost_by_day.rate is 'Share of the points issued that is estimated to be redeemed; null without an estimate';
comment on column cost_by_day.expected is 'Points that are expected to be redeemed in the end: rate * issued, without an estimate all of them, at least those redeemed and at most those and the unspent ones';
comment on column cost_by_day.accrued is 'Of the day: cost of points issued, as many as are estimated to be redeemed';
comment on column cost_by_day.released is 'Of the day: cost that will not arise, of points that lapsed or whose issue was reversed; below zero: that of more redemptions than were estimated';
comment on column cost_by_day.catch_up is 'Of the day: what a new estimate or value of a point adds to the provision, or takes off below zero';
comment on column cost_by_day.used is 'Of the day: cost of the points redeemed, less those returned';
comment on column cost_by_day.provision is 'At the end of the day: cost of the points that are still expected to be redeemed, expected - redeemed';
comment on column cost_by_day.currency is 'Currency of the money';

create view cost_by_month as
select m.program, m.basis, m.issued_years, lower(m.issued_years) as issued_from, upper(m.issued_years) - 1 as issued_to, s.month::date as month,
    m.provision - (m.accrued - m.released + m.catch_up - m.used) * (1 - s.later) as opening,
    m.issued, m.redeemed, m.expired, m.unspent, m.rate, m.expected,
    m.accrued * (1 - s.later) as accrued, m.released * (1 - s.later) as released, m.catch_up * (1 - s.later) as catch_up,
    m.used * (1 - s.later) as used, m.provision, m.currency
from (
    select d.*, lead(d.month) over (partition by d.program, d.basis, d.issued_years order by d.month) as next_month
    from (
        select d.program, d.basis, d.issued_years, date_trunc('month', d.day::timestamp) as month, d.currency,
            sum(d.accrued) as accrued, sum(d.released) as released, sum(d.catch_up) as catch_up, sum(d.used) as used,
            (array_agg(d.issued order by d.day desc))[1] as issued, (array_agg(d.redeemed order by d.day desc))[1] as redeemed,
            (array_agg(d.expired order by d.day desc))[1] as expired, (array_agg(d.unspent order by d.day desc))[1] as unspent,
            (array_agg(d.rate order by d.day desc))[1] as rate, (array_agg(d.expected order by d.day desc))[1] as expected,
            (array_agg(d.provision order by d.day desc))[1] as provision
        from cost_by_day d
        group by d.program, d.basis, d.issued_years, date_trunc('month', d.day::timestamp), d.currency
    ) d
) m
join program p on p.code = m.program
cross join lateral generate_series(m.month, greatest(m.month, coalesce(m.next_month - interval '1 month',
    date_trunc('month', now() at time zone p.time_zone))), interval '1 month') g (month)
cross join lateral (select g.month, case when g.month = m.month then 0 else 1 end as later) s;

comment on view cost_by_month is 'What points cost that nobody paid for, by local month from a portfolio''s first one to the present one: opening + accrued - released + catch_up - used = provision';
comment on column cost_by_month.program is 'Program';
comment on column cost_by_month.basis is 'By which date an entry belongs to a month: booked, happened or reported, which is when it happened or else, of a closed period, when the next one began';
comment on column cost_by_month.issued_years is 'Portfolio: the local years in which the points were issued; a year of its own where no estimate covers it';
comment on column cost_by_month.issued_from is 'The first of issued_years; null: there is none';
comment on column cost_by_month.issued_to is 'The last of issued_years; null: there is none';
comment on column cost_by_month.month is 'First day of the local month';
comment on column cost_by_month.opening is 'Provision when the month began';
comment on column cost_by_month.issued is 'So far: points issued, less those whose issue was reversed';
comment on column cost_by_month.redeemed is 'So far: points redeemed, less those returned';
comment on column cost_by_month.expired is 'So far: points that lapsed or were taken away, as by a penalty, less those given back';
comment on column cost_by_month.unspent is 'At the end of the month: points in lots and on hold, issued - redeemed - expired';
comment on column cost_by_month.rate is 'Share of the points issued that is estimated at the end of the month to be redeemed; null without an estimate';
comment on column cost_by_month.expected is 'Points that are expected to be redeemed in the end: rate * issued, without an estimate all of them, at least those redeemed and at most those and the unspent ones';
comment on column cost_by_month.accrued is 'Of the month: cost of points issued, as many as are estimated to be redeemed';
comment on column cost_by_month.released is 'Of the month: cost that will not arise, of points that lapsed or whose issue was reversed; below zero: that of more redemptions than were estimated';
comment on column cost_by_month.catch_up is 'Of the month: what new estimates and values of a point add to the provision, or take off below zero';
comment on column cost_by_month.used is 'Of the month: cost of the points redeemed, less those returned';
comment on column cost_by_month.provision is 'At the end of the month: cost of the points that are still expected to be redeemed, expected - redeemed';
comment on column cost_by_month.currency is 'Currency of the money';
