-- redemption_estimate: what share of points will be redeemed, and what follows for consideration: allocated, and deferred.

create view currency_scale as
select c.currency, c.scale
from (values ('BIF', 0), ('CLP', 0), ('DJF', 0), ('GNF', 0), ('ISK', 0), ('JPY', 0), ('KMF', 0), ('KRW', 0), ('PYG', 0), ('RWF', 0),
    ('UGX', 0), ('UYI', 0), ('VND', 0), ('VUV', 0), ('XAF', 0), ('XOF', 0), ('XPF', 0), ('BHD', 3), ('IQD', 3), ('JOD', 3), ('KWD', 3),
    ('LYD', 3), ('OMR', 3), ('TND', 3), ('CLF', 4), ('UYW', 4)) c (currency, scale);

comment on view currency_scale is 'Currencies whose minor unit has not two decimals, by ISO 4217';
comment on column currency_scale.currency is 'Currency';
comment on column currency_scale.scale is 'Decimals';

create view program_currency as
select p.program_id, p.code as program, p.currency, p.point_value, coalesce(s.scale, 2) as scale
from program p
left join currency_scale s on s.currency = p.currency;

comment on view program_currency is 'The money of each program, and to how many decimals it is booked; reports are made of it';
comment on column program_currency.program_id is 'Program';
comment on column program_currency.program is 'Program';
comment on column program_currency.currency is 'Currency, ISO 4217; null: none is set';
comment on column program_currency.point_value is 'Face value of one point';
comment on column program_currency.scale is 'Decimals of the currency''s minor unit by ISO 4217: two but for currencies such as JPY (none) and KWD (three), and two without a currency';

create table redemption_estimate (
    program_id integer not null,
    estimate_no integer not null,
    issued_years int4range not null,
    effective_on date not null,
    rate numeric not null,
    point_cost numeric,
    reason text,
    recorded_at timestamptz not null default now(),
    actor text not null,
    primary key (program_id, estimate_no),
    constraint redemption_estimate_years check (not isempty(issued_years)),
    constraint redemption_estimate_day check (isfinite(effective_on)),
    constraint redemption_estimate_rate_range check (rate > 0 and rate <= 1),
    constraint redemption_estimate_point_cost_range check (point_cost >= 0 and point_cost < 'Infinity')
);

comment on table redemption_estimate is 'Estimates of the share of points that will be redeemed: immutable, numbered for each program; on a day the latest effective one holds, of several of one day the one recorded last';
comment on column redemption_estimate.program_id is 'Program';
comment on column redemption_estimate.estimate_no is 'Number within the program''s estimates, from 1';
comment on column redemption_estimate.issued_years is 'Its portfolio: the points that were issued in these local years';
comment on column redemption_estimate.effective_on is 'Local day from which it holds';
comment on column redemption_estimate.rate is 'Share of the points issued that will have been redeemed in the end, more than 0, at most 1';
comment on column redemption_estimate.point_cost is 'What a point that is redeemed costs the issuer, for points that nobody paid for, in the program''s currency; null: not known';
comment on column redemption_estimate.reason is 'Why, as the caller stated it';
comment on column redemption_estimate.recorded_at is 'When it was recorded';
comment on column redemption_estimate.actor is 'Role that recorded it';

select pg_extension_config_dump('redemption_estimate', '');

create trigger refuse_change before update or delete or truncate on redemption_estimate
    for each statement execute function refuse_change('Estimates', 'record_redemption_estimate() records another one.');
-- Also where session_replication_role is replica.
alter table redemption_estimate enable always trigger refuse_change;
comment on trigger refuse_change on redemption_estimate is 'Refuses UPDATE, DELETE and TRUNCATE';

create view redemption_estimate_term as
select e.program_id, e.issued_years,
    daterange(e.effective_on, lead(e.effective_on) over (partition by e.program_id, e.issued_years order by e.effective_on)) as valid,
    e.estimate_no, e.rate, e.point_cost
from redemption_estimate e
where not exists (select from redemption_estimate o
    where o.program_id = e.program_id and o.issued_years = e.issued_years and o.effective_on = e.effective_on
        and o.estimate_no > e.estimate_no);

comment on view redemption_estimate_term is 'The estimate that holds for each portfolio on each day: ranges of days that do not overlap';
comment on column redemption_estimate_term.program_id is 'Program';
comment on column redemption_estimate_term.issued_years is 'Its portfolio: the points that were issued in these local years';
comment on column redemption_estimate_term.valid is 'Local days on which it holds';
comment on column redemption_estimate_term.estimate_no is 'Number within the program''s estimates';
comment on column redemption_estimate_term.rate is 'Share of the points issued that will have been redeemed in the end';
comment on column redemption_estimate_term.point_cost is 'What a point that is redeemed costs the issuer, for points that nobody paid for; null: not known';

-- Portfolios are disjoint or one lies within the other. Points are of the
-- narrowest one that has begun: a new one takes its years over from the day on
-- from which its first estimate holds, and changes no day before it.
create view portfolio_term as
with portfolio as (
    select e.program_id, e.issued_years, min(e.effective_on) as begins_on
    from redemption_estimate e
    group by e.program_id, e.issued_years
)
select y.program_id, y.issued_years, y.is_estimated, y.years, y.valid
from (
    select p.program_id, p.issued_years, true as is_estimated, t.valid, int4multirange(p.issued_years) - coalesce((
            select range_agg(n.issued_years)
            from portfolio n
            where n.program_id = p.program_id and n.issued_years <@ p.issued_years and n.issued_years <> p.issued_years
                and n.begins_on <= lower(t.valid)
        ), '{}') as years
    from portfolio p
    cross join lateral (
        select daterange(d.day, lead(d.day) over (order by d.day)) as valid
        from (
            select p.begins_on as day
            union
            select n.begins_on
            from portfolio n
            where n.program_id = p.program_id and n.issued_years <@ p.issued_years and n.begins_on > p.begins_on
        ) d
    ) t
    union all
    select p.program_id, p.issued_years, false, daterange(null, p.begins_on), int4multirange(p.issued_years) - coalesce((
            select range_agg(n.issued_years)
            from portfolio n
            where n.program_id = p.program_id and n.issued_years <> p.issued_years
                and (n.begins_on < p.begins_on or n.begins_on = p.begins_on and n.issued_years <@ p.issued_years)
        ), '{}')
    from portfolio p
    union all
    select p.program_id, null, false, '(,)', '{(,)}'::int4multirange - coalesce((
            select range_agg(n.issued_years) from portfolio n where n.program_id = p.program_id
        ), '{}')
    from program p
) y
where not isempty(y.years);

comment on view portfolio_term is 'Which years of issue are of which portfolio on each day: each year is of one';
comment on column portfolio_term.program_id is 'Program';
comment on column portfolio_term.issued_years is 'The portfolio, as its estimates name it; null: each year is one by itself';
comment on column portfolio_term.is_estimated is 'Whether it has begun: it is estimated as a whole; until then each year is reckoned by itself, without an estimate';
comment on column portfolio_term.years is 'Local years of issue that are of it';
comment on column portfolio_term.valid is 'Local days on which they are';

create function record_redemption_estimate(
    program text,
    rate numeric,
    effective_on date default null,
    issued_years int4range default '(,)',
    reason text default null,
    point_cost numeric default null
) returns redemption_estimate
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own jifen.program;
    today date;
    own_day date;
    other int4range;
    recorded jifen.redemption_estimate;
begin
    perform jifen.require_writable('record_redemption_estimate()');
    if num_nulls(record_redemption_estimate.rate, record_redemption_estimate.issued_years) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of record_redemption_estimate() must not be null',
            detail = 'rate and issued_years need values.',
            hint = 'Leave issued_years out for the points of all years.';
    end if;
    own := jifen.lock_program(record_redemption_estimate.program);
    if not (record_redemption_estimate.rate > 0 and record_redemption_estimate.rate <= 1) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'rate must be more than 0 and at most 1',
            detail = format('It is %s.', record_redemption_estimate.rate),
            hint = 'Give a share: 0.95 means that 95 of 100 points will be redeemed.';
    end if;
    if not (record_redemption_estimate.point_cost >= 0 and record_redemption_estimate.point_cost < 'Infinity') then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'point_cost must be finite and not negative',
            detail = format('It is %s.', record_redemption_estimate.point_cost),
            hint = 'Give what one point that is redeemed costs the issuer, in the program''s currency.';
    end if;
    if isempty(record_redemption_estimate.issued_years) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'issued_years must not be empty',
            detail = 'No points are issued in no year.',
            hint = 'Write [2024,2025) for the points issued in 2024, (,) for all.';
    end if;
    select e.issued_years into other from jifen.redemption_estimate e
    where e.program_id = own.program_id and e.issued_years && record_redemption_estimate.issued_years
        and not (e.issued_years <@ record_redemption_estimate.issued_years or e.issued_years @> record_redemption_estimate.issued_years)
    limit 1;
    if found then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'portfolios must not overlap in part',
            detail = format('%s and %s, for which program "%s" has estimates, share some years, and neither lies within the other.',
                record_redemption_estimate.issued_years, other, own.code),
            hint = 'Give the same years as before, some of them, or others.';
    end if;
    today := (now() at time zone own.time_zone)::date;
    own_day := coalesce(record_redemption_estimate.effective_on, today);
    if own_day > today then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'effective_on must not be in the future',
            detail = format('It is %s, and today is %s.', own_day, today),
            hint = 'Record the estimate on that day.';
    end if;
    perform jifen.require_open_day(own, own_day, 'record_redemption_estimate()');
    insert into jifen.redemption_estimate (program_id, estimate_no, issued_years, effective_on, rate, point_cost, reason, actor)
    values (own.program_id,
        coalesce((select max(e.estimate_no) from jifen.redemption_estimate e where e.program_id = own.program_id), 0) + 1,
        record_redemption_estimate.issued_years, own_day, record_redemption_estimate.rate,
        coalesce(record_redemption_estimate.point_cost, own.point_value), record_redemption_estimate.reason, jifen.actor())
    returning * into recorded;
    return recorded;
end
$$;

comment on function record_redemption_estimate(text, numeric, date, int4range, text, numeric) is
    'Records what share of the points issued will have been redeemed in the end and returns the record. rate: more than 0, at most 1; effective_on: first local day on which it holds, by default today; issued_years: the portfolio, by the local years in which the points were issued, by default all; within a wider one it takes its years over from effective_on on; point_cost: what a redeemed point costs the issuer that nobody paid for, by default the program''s point_value as it is now; reason is kept as given. Raises JF002, JF008 for a day on which the books are closed, 22004, 22023 also for a portfolio that overlaps with another one in part and for a day to come, 25006. Locks the program''s row; postings do not wait';

create function estimated_redemption_rate(program_id integer, as_of date, issued_year integer default null) returns numeric
language sql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
    select e.rate
    from jifen.portfolio_term t
    join jifen.redemption_estimate_term e on e.program_id = t.program_id and e.issued_years = t.issued_years
    where t.is_estimated and t.program_id = estimated_redemption_rate.program_id and t.valid @> estimated_redemption_rate.as_of
        and t.years @> coalesce(estimated_redemption_rate.issued_year, extract(year from estimated_redemption_rate.as_of)::integer)
        and e.valid @> estimated_redemption_rate.as_of
$$;

comment on function estimated_redemption_rate(integer, date, integer) is
    'Estimate that holds on the local day as_of, of the share that will be redeemed of the points issued in the local year issued_year, by default that of as_of; null: there is none. program_id: of program_id(). Locks nothing';

-- What is expected to be redeemed of a portfolio, and earned by what was: of
-- revenue_by_day and, at a glance, of portfolio_totals().
create function expected_redeemed(rate numeric, issued numeric, redeemed numeric, unspent numeric) returns numeric
language sql immutable parallel safe
return greatest(redeemed, least(coalesce(rate, 1) * issued, redeemed + unspent));

comment on function expected_redeemed(numeric, numeric, numeric, numeric) is
    'Points of a portfolio that will have been redeemed in the end: rate * issued, at least those redeemed and at most those and the unspent ones; rate: null for 1';

create function earned_consideration(consideration numeric, rate numeric, issued numeric, redeemed numeric, unspent numeric) returns numeric
language sql immutable parallel safe
return case
    -- Nothing is owed any more.
    when unspent <= 0 then consideration
    when rate is null then case when issued > 0 then consideration * greatest(issued - unspent, 0) / issued else 0 end
    when expected_redeemed(rate, issued, redeemed, unspent) > 0
        then consideration * greatest(redeemed, 0) / expected_redeemed(rate, issued, redeemed, unspent)
    else 0
end;

comment on function earned_consideration(numeric, numeric, numeric, numeric, numeric) is
    'Consideration of a portfolio that is earned. By an estimate: consideration * redeemed / expected to be redeemed, so that breakage is earned as the other points are redeemed (IFRS 15.B46, ASC 606-10-55-48); rate null, without one: consideration * (issued - unspent) / issued, breakage as points lapse';

-- The figures of revenue_by_day and cost_by_day at the end of one day, without
-- those of the days before it; of all programs in one reading of the flow.
create function portfolios_at(
    of_program integer,
    as_of date,
    basis text,
    out program_id integer,
    out issued_years int4range,
    out is_sold boolean,
    out rate numeric,
    out issued numeric,
    out redeemed numeric,
    out unspent numeric,
    out expected numeric,
    out consideration numeric
) returns setof record
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
begin
    if portfolios_at.basis is null or portfolios_at.basis not in ('booked', 'happened', 'reported') then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('invalid basis "%s"', portfolios_at.basis),
            detail = 'It says by which date an entry belongs to a day.',
            hint = 'Use booked, happened or reported.';
    end if;
    return query
    select v.program_id, v.issued_years, v.is_sold, v.rate, v.issued, v.redeemed, v.unspent,
        jifen.expected_redeemed(v.rate, v.issued, v.redeemed, v.unspent), v.consideration
    from (
        select f.program_id, coalesce(t.issued_years, int4range(f.issued_year, f.issued_year + 1)) as issued_years, f.is_sold,
            e.rate, sum(f.consideration) as consideration, sum(f.issued) as issued, sum(f.unspent) as unspent,
            sum(f.issued - f.unspent - f.expired) as redeemed
        from (
            select f.program_id, d.day, f.issued_year, f.is_sold, sum(f.issued) as issued, sum(f.points + f.held) as unspent,
                sum(f.revenue) as consideration, sum(f.expired) as expired
            from jifen.vintage_flow f
            join jifen.program p on p.program_id = f.program_id
            cross join lateral (select coalesce(portfolios_at.as_of, jifen.local_day(now(), p.time_zone)) as day) d
            where (portfolios_at.of_program is null or f.program_id = portfolios_at.of_program)
                and case portfolios_at.basis when 'booked' then f.booked_on when 'happened' then f.happened_on
                    else f.reported_on end <= d.day
            group by f.program_id, d.day, f.issued_year, f.is_sold
        ) f
        join jifen.portfolio_term t on t.program_id = f.program_id and t.years @> f.issued_year and t.valid @> f.day
        left join jifen.redemption_estimate_term e on t.is_estimated and e.program_id = t.program_id and e.issued_years = t.issued_years
            and e.valid @> f.day
        group by f.program_id, coalesce(t.issued_years, int4range(f.issued_year, f.issued_year + 1)),
            case when not t.is_estimated then f.issued_year end, f.is_sold, e.rate
    ) v;
end
$$;

comment on function portfolios_at(integer, date, text) is
    'What has become, by the end of the local day as_of, null: today, of the points of each portfolio of a program, null: of all, sold (is_sold: consideration was allocated to them) and free ones: issued net of reversals, redeemed net of returns, unspent in lots and on hold, and expected to be redeemed in the end at the estimated rate, null where there is none; consideration in the program''s currency. of_program: of program_id(); basis: booked, happened or reported. Raises 22023. Locks nothing';

create function portfolio_totals(
    of_program integer default null,
    as_of date default null,
    basis text default 'reported',
    out program_id integer,
    out expected_redemption numeric,
    out deferred_revenue numeric
) returns setof record
language sql stable parallel safe security definer rows 10
set search_path = jifen, pg_temp
as $$
    select p.program_id, coalesce(sum(greatest(p.expected - p.redeemed, 0)), 0),
        coalesce(sum(round(p.consideration, c.scale)
            - round(jifen.earned_consideration(p.consideration, p.rate, p.issued, p.redeemed, p.unspent), c.scale)) filter (where p.is_sold), 0)
    from jifen.portfolios_at(portfolio_totals.of_program, portfolio_totals.as_of, portfolio_totals.basis) p
    join jifen.program_currency c on c.program_id = p.program_id
    group by p.program_id
$$;

comment on function portfolio_totals(integer, date, text) is
    'At the end of the local day as_of, null: today, of all portfolios of a program together, null: of each program; no row where nothing moved. expected_redemption: how many of the unspent points are expected to be redeemed: of each portfolio, sold and free points apart, rate * issued - redeemed, at most what is unspent, and all of it where no rate is estimated; deferred_revenue: consideration allocated to points that is not yet recognised as revenue, in the program''s currency, as deferred of revenue_by_day. of_program: of program_id(); basis: booked, happened or reported. Raises 22023. Locks nothing';

create function deferred_revenue(program_id integer, as_of date, basis text default 'reported') returns numeric
language sql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
    select coalesce((
        select t.deferred_revenue
        from jifen.portfolio_totals(deferred_revenue.program_id, deferred_revenue.as_of, deferred_revenue.basis) t), 0)
$$;

comment on function deferred_revenue(integer, date, text) is
    'deferred_revenue of portfolio_totals(), 0 where nothing moved';

create function allocate_consideration(transaction_price numeric, standalone_prices numeric[], scale integer default 2) returns numeric[]
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
declare
    total numeric;
    unit numeric;
    units numeric;
    parts numeric[];
begin
    if num_nulls(transaction_price, standalone_prices, scale) > 0 or array_position(standalone_prices, null) is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'an argument of allocate_consideration() must not be null',
            detail = 'transaction_price, each of standalone_prices and scale need values.',
            hint = 'Leave scale out for two decimals.';
    end if;
    if not (transaction_price >= 0 and transaction_price < 'Infinity') then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'transaction_price must be finite and not negative',
            detail = format('It is %s.', transaction_price),
            hint = 'Give what the customer pays.';
    end if;
    if scale not between 0 and 20 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'scale out of range',
            detail = format('It is %s.', scale),
            hint = 'Give from 0 to 20 decimals.';
    end if;
    if transaction_price <> round(transaction_price, scale) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'transaction_price has too many decimals',
            detail = format('It is %s, and scale is %s.', transaction_price, scale),
            hint = 'Round it, or give a greater scale.';
    end if;
    unit := ('1e-' || scale)::numeric;
    units := round(transaction_price / unit);
    select sum(s.price) into total from unnest(standalone_prices) s (price);
    if exists (select from unnest(standalone_prices) s (price) where not (s.price >= 0 and s.price < 'Infinity')) or (total > 0) is not true then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'invalid standalone_prices',
            detail = format('They are %s.', standalone_prices),
            hint = 'Give what each part costs by itself: none below zero, at least one above.';
    end if;
    -- Each part rounded down; the units that are left go to the largest
    -- remainders, of equal ones to the first. div() is exact, and so is what it leaves.
    select array_agg(round((w.whole + case when w.place <= w.missing then 1 else 0 end) * unit, scale) order by w.n)
    into parts
    from (
        select q.n, q.whole, units - sum(q.whole) over () as missing,
            row_number() over (order by units * q.price - q.whole * total desc, q.n) as place
        from (
            select s.n, s.price, div(units * s.price, total) as whole
            from unnest(standalone_prices) with ordinality s (price, n)
        ) q
    ) w;
    return parts;
end
$$;

comment on function allocate_consideration(numeric, numeric[], integer) is
    'Divides a transaction price over the parts of a sale in the proportion of their stand-alone selling prices (IFRS 15.74 and B42, ASC 606-10-32-31), each to scale decimals, so that they sum to it: rounded down, and the units that are left to the largest remainders. Raises 22004; 22023 for a price that is negative or has more decimals, and where no part costs anything. Locks nothing';

create function allocate_to_points(
    program text,
    goods_price numeric,
    points point_amount,
    transaction_price numeric default null,
    scale integer default null,
    as_of date default null
) returns numeric
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
declare
    own record;
    day date;
    rate numeric;
begin
    if num_nulls(goods_price, points) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'goods_price and points must not be null',
            detail = 'They say what the sale consists of.',
            hint = 'Leave transaction_price out where the goods are sold at their own price.';
    end if;
    if not points > 0 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'points must be more than zero',
            detail = format('They are %s.', points),
            hint = 'Give the points that come with the sale.';
    end if;
    select c.*, p.time_zone into own
    from jifen.program p join jifen.program_currency c on c.program_id = p.program_id
    where p.program_id = jifen.program_id(allocate_to_points.program);
    day := coalesce(as_of, (now() at time zone own.time_zone)::date);
    own.point_value := (select t.point_value from jifen.point_value_term t where t.program_id = own.program_id and t.valid @> day);
    if own.point_value is null then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'program without point_value',
            detail = format('What a point of program "%s" is worth on %s is not known.', own.program, day),
            hint = 'Set point_value with alter_program(), or call allocate_consideration().';
    end if;
    rate := coalesce(jifen.estimated_redemption_rate(own.program_id, day), 1);
    return (jifen.allocate_consideration(coalesce(transaction_price, goods_price),
        array[goods_price, points::numeric * own.point_value * rate], coalesce(scale, own.scale + 4)))[2];
end
$$;

comment on function allocate_to_points(text, numeric, point_amount, numeric, integer, date) is
    'Part of a sale''s price that goes to the points that come with it, for earn(revenue =>): their stand-alone selling price is points * the program''s point_value * the estimated redemption rate for points issued then, or 1 where none is recorded, both as of the local day as_of, by default today. goods_price: stand-alone selling price of the goods; transaction_price: what the customer pays, by default goods_price; scale: decimals, by default four more than the program''s currency has, for many small parts are summed before they are booked. Raises JF002, 22004, 22023 also for a program without point_value. Locks nothing';

revoke all on function record_redemption_estimate(text, numeric, date, int4range, text, numeric) from public;
revoke all on function estimated_redemption_rate(integer, date, integer) from public;
revoke all on function portfolios_at(integer, date, text) from public;
revoke all on function portfolio_totals(integer, date, text) from public;
revoke all on function deferred_revenue(integer, date, text) from public;
revoke all on function allocate_consideration(numeric, numeric[], integer) from public;
revoke all on function allocate_to_points(text, numeric, point_amount, numeric, integer, date) from public;
