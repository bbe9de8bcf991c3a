-- settlement: what funders owe for points that are issued, and partners are owed for points that are redeemed.

-- What is undone is paid back at the price at which it was paid. What flows tell
-- does not say when that was, nor of whose points a partner's are.
create table settlement_summary (
    program_id integer not null,
    kind text collate "C" not null,
    party text not null,
    movement text collate "C" not null,
    day date not null,
    priced_on date not null,
    is_sold boolean not null,
    amount numeric not null,
    primary key (program_id, kind, party, movement, day, priced_on, is_sold)
) with (fillfactor = 90);

comment on table settlement_summary is 'Points that funders pay for and partners are paid for: the part of settlement_flow that is kept, of entries with posted_at < summary_state.summarized_until';
comment on column settlement_summary.program_id is 'Program';
comment on column settlement_summary.kind is 'funder or partner';
comment on column settlement_summary.party is 'Who: as in entry.funder or entry.partner, of what is undone that of the entry undone';
comment on column settlement_summary.movement is 'earned, imported, reversed or adjusted, of a funder; redeemed or returned, of a partner';
comment on column settlement_summary.day is 'Local day, of the period in which entries are reported';
comment on column settlement_summary.priced_on is 'Local day whose agreement counts: the day or, of what is undone, that on which it was reported';
comment on column settlement_summary.is_sold is 'Whether consideration was allocated to the points';
comment on column settlement_summary.amount is 'Change of balances in points';

-- The sums behind the facts: plain SQL without settings, which the planner puts
-- in place of the call. Kinds say nothing that movements do not, but before
-- anything is looked up for an entry.
create function settlement_sums(since timestamptz, until timestamptz)
returns setof settlement_summary
language sql stable parallel safe
begin atomic
    select s.program_id, s.kind, s.party, s.movement, s.day, s.priced_on, s.is_sold, sum(s.amount)
    from (
        select b.program_id, 'funder' as kind, b.funder as party, b.movement, b.reported_on as day,
            coalesce(o.reported_on, b.reported_on) as priced_on, b.is_sold, b.amount
        from booked_entry b
        left join lateral (
            select o.reported_on from booked_entry o
            where b.kind = 'reverse' and o.account_id = b.account_id and o.seq = b.reverses_seq
            offset 0
        ) o on true
        where b.posted_at >= coalesce(settlement_sums.since, '-infinity') and b.posted_at < coalesce(settlement_sums.until, 'infinity')
            and b.kind in ('earn', 'import', 'adjust', 'reverse')
            and b.funder is not null and b.movement in ('earned', 'imported', 'reversed', 'adjusted')
        union all
        select c.program_id, 'partner', c.partner, c.movement, c.reported_on,
            coalesce(o.reported_on, c.reported_on), c.is_sold, c.points + c.held
        from lot_change c
        left join lateral (
            select o.reported_on from booked_entry o
            where c.kind = 'reverse' and o.account_id = c.account_id and o.seq = c.reverses_seq
            offset 0
        ) o on true
        where c.posted_at >= coalesce(settlement_sums.since, '-infinity') and c.posted_at < coalesce(settlement_sums.until, 'infinity')
            and c.kind in ('redeem', 'capture', 'reverse')
            and c.partner is not null and c.movement in ('redeemed', 'returned')
    ) s
    group by 1, 2, 3, 4, 5, 6, 7;
end;

comment on function settlement_sums(timestamptz, timestamptz) is
    'What the entries with since <= posted_at < until, null: without a bound, add to settlement_summary. Locks nothing';

-- For few entries and for all of the journal, whatever the planner believes: as
-- few_entry_facts() and all_entry_facts().
create function few_settlement_facts(since timestamptz, until timestamptz)
returns setof settlement_summary
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_nestloop = on
set enable_memoize = off
set from_collapse_limit = 1
set join_collapse_limit = 1
set max_parallel_workers_per_gather = 0
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
    return query select s.* from jifen.settlement_sums(few_settlement_facts.since, few_settlement_facts.until) s;
end
$$;

comment on function few_settlement_facts(timestamptz, timestamptz) is
    'settlement_sums() in a way that suits few entries. Locks nothing';

create function all_settlement_facts(until timestamptz)
returns setof settlement_summary
language plpgsql stable parallel safe security definer rows 100000
set search_path = jifen, pg_temp
set enable_mergejoin = off
set enable_memoize = off
set enable_sort = off
set from_collapse_limit = 1
set join_collapse_limit = 1
set max_parallel_workers_per_gather = 0
set work_mem = '128MB'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
    return query select s.* from jifen.settlement_sums(null, all_settlement_facts.until) s;
end
$$;

comment on function all_settlement_facts(timestamptz) is
    'settlement_sums() up to until in a way that suits all of the journal. Locks nothing';

create function settlement_facts(since timestamptz, until timestamptz)
returns setof settlement_summary
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
as $$
begin
    if settlement_facts.since is null then
        return query select f.* from jifen.all_settlement_facts(settlement_facts.until) f;
    else
        return query select f.* from jifen.few_settlement_facts(settlement_facts.since, settlement_facts.until) f;
    end if;
end
$$;

comment on function settlement_facts(timestamptz, timestamptz) is
    'settlement_sums() in a way that suits how much there is: since is null for all. Run by views, with the right of who reads them. Locks nothing';

create function add_to_settlement(since timestamptz, until timestamptz) returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
begin
    insert into jifen.settlement_summary as s
    select f.* from jifen.settlement_facts(add_to_settlement.since, add_to_settlement.until) f
    on conflict on constraint settlement_summary_pkey do update set amount = s.amount + excluded.amount;
end
$$;

comment on function add_to_settlement(timestamptz, timestamptz) is
    'Adds to settlement_summary the entries posted from since on, up to which it reaches, null: nothing yet, and before until. For advance_summaries(), which holds the row of summary_state';

create function drop_settlement() returns void
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    delete from jifen.settlement_summary;
$$;

comment on function drop_settlement() is
    'Empties settlement_summary. For drop_summaries(), which holds the row of summary_state';

create function breaches_of_settlement(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
if own_account is not null then
    return;
end if;
return query
select null::bigint, null::bigint, 'settlement_summary is what its entries add up to',
    format('program %s, %s %s, %s on %s, of %s, %s: %s', program_id, kind, party, movement, day, priced_on,
        case when is_sold then 'sold' else 'free' end, coalesce(f.amount, 0)),
    format('%s', coalesce(s.amount, 0))
from settlement_facts(null, (select coalesce(s.summarized_until, '-infinity') from summary_state s)) f
full join settlement_summary s using (program_id, kind, party, movement, day, priced_on, is_sold)
where (own_program is null or program_id = own_program) and coalesce(f.amount, 0) <> coalesce(s.amount, 0);
end
$$;

comment on function breaches_of_settlement(integer, bigint) is
    'Breaches of settlement_summary, by number of program, null: all; nothing for a single account';

revoke all on function settlement_sums(timestamptz, timestamptz) from public;
revoke all on function few_settlement_facts(timestamptz, timestamptz) from public;
revoke all on function all_settlement_facts(timestamptz) from public;
revoke all on function settlement_facts(timestamptz, timestamptz) from public;
revoke all on function add_to_settlement(timestamptz, timestamptz) from public;
revoke all on function drop_settlement() from public;
revoke all on function breaches_of_settlement(integer, bigint) from public;

-- The issuer's own are paid for by nobody, and have neither price nor class.
create view settlement_flow as
select s.program_id, s.kind, s.party, s.movement, s.day, s.priced_on, s.is_sold, s.amount
from settlement_summary s
union all
select f.program_id, f.kind, f.party, f.movement, f.day, f.priced_on, f.is_sold, f.amount
from settlement_facts((select s.summarized_until from summary_state s), null) f
union all
select d.program_id, case when d.movement in ('redeemed', 'returned') then 'partner' else 'funder' end, null, d.movement,
    d.reported_on, d.reported_on, null, d.amount
from day_flow d
where d.movement in ('earned', 'imported', 'reversed', 'adjusted') and d.funder is null
    or d.movement in ('redeemed', 'returned') and d.partner is null;

comment on view settlement_flow is 'Points that funders pay for and partners are paid for, by the day on which they count and that at whose price, up to the snapshot that reads it. The same key may come in several rows: sum them';
comment on column settlement_flow.program_id is 'Program';
comment on column settlement_flow.kind is 'funder or partner';
comment on column settlement_flow.party is 'Who; null: the issuer';
comment on column settlement_flow.movement is 'earned, imported, reversed or adjusted, of a funder; redeemed or returned, of a partner';
comment on column settlement_flow.day is 'Local day, of the period in which entries are reported';
comment on column settlement_flow.priced_on is 'Local day whose agreement counts: the day or, of what is undone, that on which it was reported; of the issuer''s own, the day';
comment on column settlement_flow.is_sold is 'Whether consideration was allocated to the points; null: the issuer''s own';
comment on column settlement_flow.amount is 'Change of balances in points';

-- The sums behind the reports, in one way whatever the caller's settings are: all
-- of it is read, and hashed. Terms are looked up for what is left.
create function settled_points(
    period text,
    scope text,
    out program_id integer,
    out kind text,
    out party text,
    out day date,
    out agreement_no integer,
    out issued numeric,
    out reversed numeric,
    out adjusted numeric,
    out redeemed numeric,
    out returned numeric,
    out points numeric,
    out sold numeric,
    out taken_over numeric,
    out price numeric,
    out commission_rate numeric,
    out role text,
    out is_prepaid boolean,
    out currency text
) returns setof record
language plpgsql stable parallel safe security definer rows 5000
set search_path = jifen, pg_temp
set enable_sort = off
set enable_nestloop = off
set enable_mergejoin = off
set work_mem = '64MB'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
    return query
    select s.program_id, s.kind, s.party, s.day, s.agreement_no, s.issued, s.reversed, s.adjusted, s.redeemed, s.returned,
        s.issued - s.reversed + s.adjusted + s.redeemed - s.returned, s.sold, s.taken_over,
        a.price, a.commission_rate, a.role, a.is_prepaid, a.currency
    from (
        select f.program_id, f.kind, f.party, date_trunc(settled_points.period, f.day::timestamp)::date as day, t.agreement_no,
            coalesce(sum(f.amount) filter (where f.movement in ('earned', 'imported')), 0) as issued,
            - coalesce(sum(f.amount) filter (where f.movement = 'reversed'), 0) as reversed,
            coalesce(sum(f.amount) filter (where f.movement = 'adjusted'), 0) as adjusted,
            - coalesce(sum(f.amount) filter (where f.movement = 'redeemed'), 0) as redeemed,
            coalesce(sum(f.amount) filter (where f.movement = 'returned'), 0) as returned,
            coalesce(sum(case f.kind when 'funder' then f.amount else - f.amount end) filter (where f.is_sold), 0) as sold,
            coalesce(sum(f.amount) filter (where f.is_sold and f.movement = 'imported'), 0) as taken_over
        from jifen.settlement_flow f
        left join jifen.agreement_term t on t.program_id = f.program_id and t.kind = f.kind and t.party = f.party
            and f.priced_on >= t.since and f.priced_on < t.until
        where (settled_points.scope = 'all' or f.party is not null and t.agreement_no is not null)
            and (settled_points.scope <> 'prepaid' or t.is_prepaid)
        group by f.program_id, f.kind, f.party, date_trunc(settled_points.period, f.day::timestamp)::date, t.agreement_no
    ) s
    left join jifen.agreement a on a.program_id = s.program_id and a.kind = s.kind and a.party = s.party and a.agreement_no = s.agreement_no;
end
$$;

comment on function settled_points(text, text) is
    'Points that funders pay for and partners are paid for, by the day or by the first day of the month in which they count, and by the agreement at whose price. period: day or month; scope: all, priced for those of which there is an agreement, or prepaid for those of budgets; sold: those of points to which consideration was allocated, taken_over: those of imports among them. Run by views, with the right of who reads them. Locks nothing';

revoke all on function settled_points(text, text) from public;

create view settlement_by_day as
select p.code as program, f.kind, f.party, f.day, f.priced_on, f.issued, f.reversed, f.adjusted, f.redeemed, f.returned, f.points,
    t.agreement_no, t.role, t.is_prepaid, t.price,
    f.points * t.price as amount,
    f.points * t.price * t.commission_rate as commission,
    case f.kind
        when 'funder' then f.points * t.price * (1 + t.commission_rate)
        else - f.points * t.price * (1 - t.commission_rate)
    end as net,
    t.currency, f.is_sold
from (
    -- a sort by what differs most is done soonest
    select m.program_id, m.kind, m.party, m.day, m.priced_on, m.is_sold,
        coalesce(sum(m.amount) filter (where m.movement in ('earned', 'imported')), 0) as issued,
        - coalesce(sum(m.amount) filter (where m.movement = 'reversed'), 0) as reversed,
        coalesce(sum(m.amount) filter (where m.movement = 'adjusted'), 0) as adjusted,
        - coalesce(sum(m.amount) filter (where m.movement = 'redeemed'), 0) as redeemed,
        coalesce(sum(m.amount) filter (where m.movement = 'returned'), 0) as returned,
        sum(case m.kind when 'funder' then m.amount else - m.amount end) as points
    from settlement_flow m
    group by m.day, m.priced_on, m.party, m.kind, m.is_sold, m.program_id
) f
join program p on p.program_id = f.program_id
left join agreement_term t on t.program_id = f.program_id and t.kind = f.kind and t.party = f.party
    and f.priced_on >= t.since and f.priced_on < t.until;

comment on view settlement_by_day is 'Points of each funder and each partner by local day, and the money that they come to';
comment on column settlement_by_day.program is 'Program';
comment on column settlement_by_day.kind is 'funder: who pays for points that are issued; partner: who is paid for points that are redeemed';
comment on column settlement_by_day.party is 'Who; null: the issuer';
comment on column settlement_by_day.day is 'Local day, of the period in which entries are reported';
comment on column settlement_by_day.priced_on is 'Local day whose agreement counts: the day or, of what is undone, that on which it was reported';
comment on column settlement_by_day.issued is 'Of a funder: points earned and imported';
comment on column settlement_by_day.reversed is 'Of a funder: those taken back of what was earned or imported';
comment on column settlement_by_day.adjusted is 'Of a funder: points given by adjustments, less those taken back; of the issuer also what adjustments took';
comment on column settlement_by_day.redeemed is 'Of a partner: points redeemed and captured';
comment on column settlement_by_day.returned is 'Of a partner: those that were returned';
comment on column settlement_by_day.points is 'Points that are paid for: issued - reversed + adjusted, or redeemed - returned';
comment on column settlement_by_day.agreement_no is 'The agreement that holds on priced_on; null: there is none, nor money';
comment on column settlement_by_day.role is 'Of a partner: principal or agent, as which the issuer acts';
comment on column settlement_by_day.is_prepaid is 'Of a funder: whether it is taken from its budget';
comment on column settlement_by_day.price is 'Money for one point';
comment on column settlement_by_day.amount is 'Points at price';
comment on column settlement_by_day.commission is 'What the issuer charges, as a share of amount';
comment on column settlement_by_day.net is 'What the party owes the issuer, below zero what it is owed: amount + commission of a funder, commission - amount of a partner';
comment on column settlement_by_day.currency is 'Currency of the money';
comment on column settlement_by_day.is_sold is 'Whether consideration was allocated to the points: rows of a day tell these from free ones; null: the issuer''s own';

create view prepaid_by_day as
select d.program_id, d.party, d.day, d.paid_in, d.used, d.currency,
    sum(d.paid_in - d.used) over (partition by d.program_id, d.party order by d.day) as left_over
from (
    select d.program_id, d.party, d.day, sum(d.paid_in) as paid_in, sum(d.used) as used, min(d.currency) as currency
    from (
        select y.program_id, y.party, y.paid_on as day, y.amount as paid_in, 0::numeric as used, y.currency
        from prepayment y
        union all
        select f.program_id, f.party, f.day, 0, f.points * f.price * (1 + f.commission_rate), f.currency
        from settled_points('day', 'prepaid') f
    ) d
    group by d.program_id, d.party, d.day
) d;

comment on view prepaid_by_day is 'Budgets paid in advance, by the local days on which they changed; reports are made of it';
comment on column prepaid_by_day.program_id is 'Program';
comment on column prepaid_by_day.party is 'Funder';
comment on column prepaid_by_day.day is 'Local day';
comment on column prepaid_by_day.paid_in is 'Money paid in, less what was paid back';
comment on column prepaid_by_day.used is 'Money that the points of the day come to, commission included';
comment on column prepaid_by_day.currency is 'Currency of the money';
comment on column prepaid_by_day.left_over is 'What is left at the end of the day; below zero: more was used than paid in';

create view prepaid_budget as
select p.code as program, b.party, b.currency, b.paid_in, b.used, b.paid_in - b.used as left_over,
    case when b.paid_in <= b.used then b.exhausted_on end as exhausted_on,
    b.used_lately / 30 as used_per_day,
    case when b.paid_in > b.used and b.used_lately > 0 and (b.paid_in - b.used) * 30 / b.used_lately < 36500
        then (now() at time zone p.time_zone)::date + ((b.paid_in - b.used) * 30 / b.used_lately)::integer end as lasts_until
from (
    select d.program_id, d.party, sum(d.paid_in) as paid_in, sum(d.used) as used,
        min(d.currency) as currency,
        min(d.day) filter (where d.left_over <= 0 and d.is_last_run) as exhausted_on,
        coalesce(sum(d.used) filter (where d.day > (now() at time zone d.time_zone)::date - 30), 0) as used_lately
    from (
        select d.*, q.time_zone,
            -- whether there is nothing left on any later day either
            bool_and(d.left_over <= 0) over (partition by d.program_id, d.party order by d.day desc) as is_last_run
        from prepaid_by_day d
        join program q on q.program_id = d.program_id
    ) d
    group by d.program_id, d.party
) b
join program p on p.program_id = b.program_id;

comment on view prepaid_budget is 'Budgets paid in advance as they stand';
comment on column prepaid_budget.program is 'Program';
comment on column prepaid_budget.party is 'Funder';
comment on column prepaid_budget.currency is 'Currency of the money';
comment on column prepaid_budget.paid_in is 'Money paid in, less what was paid back';
comment on column prepaid_budget.used is 'Money that points came to, commission included';
comment on column prepaid_budget.left_over is 'paid_in - used; below zero: the party owes it';
comment on column prepaid_budget.exhausted_on is 'Local day since whose end there has been nothing left; null: something is left';
comment on column prepaid_budget.used_per_day is 'What was used in the last 30 local days, today included, a day';
comment on column prepaid_budget.lasts_until is 'Local day on which it is used up at that pace; null: it is, or does not come up within a century';

create view settlement_by_month as
select p.code as program, m.kind, m.party, m.month, m.issued, m.reversed, m.adjusted, m.redeemed, m.returned, m.expired, m.reinstated,
    m.points, m.unpriced, m.amount, m.commission, m.net, m.currency,
    case when m.has_budget then m.left_over - m.paid_in + m.used end as prepaid_opening,
    case when m.has_budget then m.paid_in end as prepaid_in,
    case when m.has_budget then m.used end as prepaid_used,
    case when m.has_budget then m.left_over end as prepaid_left,
    m.exhausted_on as prepaid_exhausted_on
from (
    select m.*,
        sum(m.paid_in - m.used) over (partition by m.program_id, m.kind, m.party order by m.month) as left_over,
        bool_or(m.pays_ahead) over (partition by m.program_id, m.kind, m.party order by m.month) as has_budget
    from (
        select m.program_id, m.kind, m.party, m.month,
            sum(m.issued) as issued, sum(m.reversed) as reversed, sum(m.adjusted) as adjusted, sum(m.redeemed) as redeemed,
            sum(m.returned) as returned, sum(m.expired) as expired, sum(m.reinstated) as reinstated,
            sum(m.points) as points, sum(m.unpriced) as unpriced, sum(m.amount) as amount, sum(m.commission) as commission,
            sum(m.net) as net, min(m.currency) as currency, sum(m.paid_in) as paid_in, sum(m.used) as used, bool_or(m.pays_ahead) as pays_ahead,
            min(m.exhausted_on) as exhausted_on
        from (
            select f.program_id, f.kind, f.party, f.day as month, f.issued, f.reversed, f.adjusted, f.redeemed, f.returned,
                0::numeric as expired, 0::numeric as reinstated, f.points,
                case when f.price is null and f.party is not null then f.points else 0 end as unpriced,
                f.points * f.price as amount,
                f.points * f.price * f.commission_rate as commission,
                case f.kind
                    when 'funder' then f.points * f.price * (1 + f.commission_rate)
                    else - f.points * f.price * (1 - f.commission_rate)
                end as net,
                f.currency, 0::numeric as paid_in, 0::numeric as used, false as pays_ahead, null::date as exhausted_on
            from settled_points('month', 'all') f
            union all
            select c.program_id, 'funder', c.funder, c.reported_month,
                0, 0, 0,
                - coalesce(sum(c.points + c.held) filter (where c.movement = 'redeemed'), 0),
                coalesce(sum(c.points + c.held) filter (where c.movement = 'returned'), 0),
                - coalesce(sum(c.points + c.held) filter (where c.movement = 'expired'), 0),
                coalesce(sum(c.points + c.held) filter (where c.movement = 'reinstated'), 0),
                0, 0, null, null, null, null, 0, 0, false, null
            from cohort_flow c
            where c.movement in ('redeemed', 'returned', 'expired', 'reinstated')
            group by c.program_id, c.funder, c.reported_month
            union all
            select b.program_id, 'funder', b.party, date_trunc('month', b.day::timestamp)::date,
                0, 0, 0, 0, 0, 0, 0, 0, 0, null, null, null, b.currency, b.paid_in, b.used, true,
                case when b.left_over <= 0 then b.day end
            from prepaid_by_day b
        ) m
        group by m.program_id, m.kind, m.party, m.month
    ) m
) m
join program p on p.program_id = m.program_id;

comment on view settlement_by_month is 'Points of each funder and each partner by local month, the money that they come to, and the funder''s budget';
comment on column settlement_by_month.program is 'Program';
comment on column settlement_by_month.kind is 'funder: who pays for points that are issued; partner: who is paid for points that are redeemed';
comment on column settlement_by_month.party is 'Who; null: the issuer';
comment on column settlement_by_month.month is 'First day of the local month in which entries are reported';
comment on column settlement_by_month.issued is 'Of a funder: points earned and imported';
comment on column settlement_by_month.reversed is 'Of a funder: those taken back of what was earned or imported';
comment on column settlement_by_month.adjusted is 'Of a funder: points given by adjustments, less those taken back; of the issuer also what adjustments took';
comment on column settlement_by_month.redeemed is 'Of a partner: points redeemed with it; of a funder: points redeemed of those that it funded';
comment on column settlement_by_month.returned is 'Those of redeemed points that were returned';
comment on column settlement_by_month.expired is 'Of a funder: points that lapsed of those that it funded';
comment on column settlement_by_month.reinstated is 'Of a funder: those of them that were given back';
comment on column settlement_by_month.points is 'Points that are paid for: issued - reversed + adjusted of a funder, redeemed - returned of a partner';
comment on column settlement_by_month.unpriced is 'Those of points that are of days without an agreement';
comment on column settlement_by_month.amount is 'Points at the price of each day, what is undone at that of the day on which it was reported; null: there is no agreement';
comment on column settlement_by_month.commission is 'What the issuer charges, as a share of amount';
comment on column settlement_by_month.net is 'What the party owes the issuer, below zero what it is owed: amount + commission of a funder, commission - amount of a partner';
comment on column settlement_by_month.currency is 'Currency of the money';
comment on column settlement_by_month.prepaid_opening is 'Of a funder that pays in advance: what was left of its budget before the month';
comment on column settlement_by_month.prepaid_in is 'Money paid in, less what was paid back';
comment on column settlement_by_month.prepaid_used is 'Those of net that were taken from the budget';
comment on column settlement_by_month.prepaid_left is 'prepaid_opening + prepaid_in - prepaid_used; below zero: the party owes it';
comment on column settlement_by_month.prepaid_exhausted_on is 'First local day of the month at whose end nothing was left of the budget; null: something was left on each day on which it changed';

create view settlement_of_party_by_month as
select s.program, s.party, s.month,
    coalesce(sum(s.net - coalesce(s.prepaid_used, 0)) filter (where s.kind = 'funder'), 0) as receivable,
    coalesce(sum(s.prepaid_used), 0) as from_budget,
    coalesce(- sum(s.net) filter (where s.kind = 'partner'), 0) as payable,
    coalesce(sum(s.net - coalesce(s.prepaid_used, 0)), 0) as net,
    min(s.currency) as currency
from settlement_by_month s
where s.currency is not null
group by s.program, s.party, s.month;

comment on view settlement_of_party_by_month is 'What each party owes and is owed for a local month, as funder and as partner together';
comment on column settlement_of_party_by_month.program is 'Program';
comment on column settlement_of_party_by_month.party is 'Who';
comment on column settlement_of_party_by_month.month is 'First day of the local month';
comment on column settlement_of_party_by_month.receivable is 'What it owes as funder, but for what is taken from its budget';
comment on column settlement_of_party_by_month.from_budget is 'What is taken from its budget';
comment on column settlement_of_party_by_month.payable is 'What it is owed as partner';
comment on column settlement_of_party_by_month.net is 'receivable - payable: what it is to pay; below zero: what it is to be paid';
comment on column settlement_of_party_by_month.currency is 'Currency of the money';
