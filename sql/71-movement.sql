-- movement: what moved, entry by entry, lot by lot, and in sums over a time of booking.

-- ---------- what moved, entry by entry and lot by lot ----------

-- These are expanded where they are called.
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
    'The line of a roll-forward that an entry of that kind belongs to; reversed_kind: of a reverse, the kind of the entry that it undoes, else null';

create function lot_expires(expires_at timestamptz, rule_no smallint) returns text
language sql immutable parallel safe
return case when rule_no is not null then 'moving' when expires_at = 'infinity' then 'never' else 'fixed' end;

comment on function lot_expires(timestamptz, smallint) is
    'Whether a lot of those columns lapses at a fixed time, at one that can move, or never';

create function lot_expires_month(expires_at timestamptz, rule_no smallint, time_zone text) returns date
language sql immutable parallel safe
return case when rule_no is null and expires_at < 'infinity' then month_until(expires_at, time_zone) end;

comment on function lot_expires_month(timestamptz, smallint, text) is
    'The first day of the month at whose end, or in which, a lot of those columns lapses; null unless that is fixed';

create function pending_until_day(available_at timestamptz, credited_at timestamptz, at timestamptz, time_zone text) returns date
language sql immutable parallel safe
return case when available_at > credited_at and at < available_at then day_until(available_at, time_zone) end;

comment on function pending_until_day(timestamptz, timestamptz, timestamptz, text) is
    'The last day on which a lot that was credited at credited_at is not wholly available, for what happened to it at at; null if it was by then';

-- Materialized: reckoned once, and not for each entry that meets its program.
create view program_clock as
with clock as materialized (
    select p.program_id, p.time_zone, c.changed_at, c.closed_until
    from program p
    cross join lateral (
        select array_agg(c.changed_at order by c.change_no) as changed_at, array_agg(c.closed_until order by c.change_no) as closed_until
        from period_change c where c.program_id = p.program_id
    ) c
)
select program_id, time_zone, changed_at, closed_until from clock;

comment on view program_clock is 'By which clock each program reckons, and the closings and reopenings of its books in order';
comment on column program_clock.program_id is 'Program';
comment on column program_clock.time_zone is 'Its time zone';
comment on column program_clock.changed_at is 'When the books were closed or reopened; null: never';
comment on column program_clock.closed_until is 'Until when they were closed since each of these times';

create view dated_entry as
select e.account_id, e.seq, a.program_id, p.time_zone, e.kind,
    -- looked up one by one: a join would read the journal twice for the sake of few
    case when e.kind = 'reverse' then (
        select movement(e.kind, r.kind) from entry r where r.account_id = e.account_id and r.seq = e.reverses_seq
    ) else movement(e.kind, null) end as movement,
    e.posted_at, e.event_at,
    local_day(e.posted_at, p.time_zone) as booked_on,
    local_day(e.event_at, p.time_zone) as happened_on,
    local_day(greatest(e.event_at, p.closed_until[width_bucket(e.posted_at, p.changed_at)]), p.time_zone) as reported_on,
    e.amount::bigint as amount, e.held::bigint as held, e.debt::bigint as debt, e.balance::bigint as balance, e.reverses_seq, e.hold_seq,
    e.source, e.funder, e.partner, e.available_at, e.expires_at, e.rule_no,
    coalesce(e.issued_at, e.event_at) as issued_at, coalesce(e.revenue > 0, false) as is_sold, e.revenue
from entry e
join account a on a.account_id = e.account_id
join program_clock p on p.program_id = a.program_id;

comment on view dated_entry is 'Entries, each with the line of a roll-forward that it belongs to and its three days: booked, happened and reported';
comment on column dated_entry.account_id is 'Account';
comment on column dated_entry.seq is 'Number of the entry within the account';
comment on column dated_entry.program_id is 'Program of the account';
comment on column dated_entry.time_zone is 'Time zone of the program';
comment on column dated_entry.kind is 'Kind of the entry';
comment on column dated_entry.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column dated_entry.posted_at is 'When it was booked';
comment on column dated_entry.event_at is 'When it happened';
comment on column dated_entry.booked_on is 'Local day of posted_at';
comment on column dated_entry.happened_on is 'Local day of event_at';
comment on column dated_entry.reported_on is 'Local day of event_at or, if the books of then were closed when it was booked, the first that was open';
comment on column dated_entry.amount is 'Change of the balance';
comment on column dated_entry.held is 'Change of the held points';
comment on column dated_entry.debt is 'Change of the debt';
comment on column dated_entry.balance is 'Balance of the account after it';
comment on column dated_entry.reverses_seq is 'Entry of the account that it undoes';
comment on column dated_entry.hold_seq is 'Of a capture or release: the hold';
comment on column dated_entry.source is 'Channel';
comment on column dated_entry.funder is 'Who pays for the points of a credit; null: the issuer';
comment on column dated_entry.partner is 'Who supplies what points were spent on; null: the issuer';
comment on column dated_entry.available_at is 'Of a credit: from when its points can be spent';
comment on column dated_entry.expires_at is 'Of a credit with a lot: when it lapses; with a rule_no, not before then';
comment on column dated_entry.rule_no is 'Of a lot whose expiry can move: its rule';
comment on column dated_entry.issued_at is 'Of a credit: when its points were issued first';
comment on column dated_entry.is_sold is 'Of a credit: whether consideration was allocated to its points';
comment on column dated_entry.revenue is 'Consideration allocated to its points, signed';

create view booked_entry as
select b.program_id, b.time_zone, b.seq, b.movement, b.posted_at, b.booked_on, b.happened_on, b.reported_on,
    b.amount, b.held, b.debt, b.balance,
    case when b.kind = 'reverse' then r.source else b.source end as source,
    case when b.kind = 'reverse' then r.funder else b.funder end as funder,
    case when b.kind = 'reverse' then r.partner else b.partner end as partner,
    case when b.kind = 'reverse' then r.issued_at else b.issued_at end as issued_at,
    case when b.kind = 'reverse' then r.is_sold else b.is_sold end as is_sold,
    case when b.kind = 'reverse' then r.is_issue else b.kind in ('earn', 'import', 'adjust') and b.amount > 0 end as is_issue,
    b.revenue
from dated_entry b
left join lateral (
    select r.source, r.funder, r.partner, coalesce(r.issued_at, r.event_at) as issued_at, coalesce(r.revenue > 0, false) as is_sold,
        r.kind in ('earn', 'import', 'adjust') and r.amount > 0 as is_issue
    from entry r
    where b.kind = 'reverse' and r.account_id = b.account_id and r.seq = b.reverses_seq
    offset 0
) r on true;

comment on view booked_entry is 'Entries as in dated_entry; of a reverse, the origin is that of the entry that it undoes';
comment on column booked_entry.program_id is 'Program of the account';
comment on column booked_entry.time_zone is 'Time zone of the program';
comment on column booked_entry.seq is 'Number of the entry within the account';
comment on column booked_entry.movement is 'As in dated_entry';
comment on column booked_entry.posted_at is 'When it was booked';
comment on column booked_entry.booked_on is 'As in dated_entry';
comment on column booked_entry.happened_on is 'As in dated_entry';
comment on column booked_entry.reported_on is 'As in dated_entry';
comment on column booked_entry.amount is 'Change of the balance';
comment on column booked_entry.held is 'Change of the held points';
comment on column booked_entry.debt is 'Change of the debt';
comment on column booked_entry.balance is 'Balance of the account after it';
comment on column booked_entry.source is 'Channel';
comment on column booked_entry.funder is 'Who pays for the points of a credit; null: the issuer';
comment on column booked_entry.partner is 'Who supplies what points were spent on; null: the issuer';
comment on column booked_entry.issued_at is 'Of a credit: when its points were issued first';
comment on column booked_entry.is_sold is 'Of a credit: whether consideration was allocated to its points';
comment on column booked_entry.is_issue is 'Whether it issues points, as an earn, an import or goodwill does, or undoes that';
comment on column booked_entry.revenue is 'Consideration allocated to its points, signed';

-- One after the other: a lot is credited; an entry takes from it or gives back;
-- an extension credits what it took; a capture spends what its hold took and the
-- release beside it did not give back.
--
-- account_id + 0: none of these joins goes by the account alone, nor do all of
-- them by the first of them, whatever the planner believes of the tables.
create view lot_change as
select b.program_id, b.movement, b.posted_at, b.booked_on, b.happened_on, b.reported_on,
    local_month(b.issued_at, b.time_zone) as issued_month,
    lot_expires_month(b.expires_at, b.rule_no, b.time_zone) as expires_month, lot_expires(b.expires_at, b.rule_no) as expires,
    pending_until_day(b.available_at, b.event_at, b.event_at, b.time_zone) as available_on,
    b.source, b.funder, b.is_sold, b.amount as points, 0::bigint as held
from dated_entry b
where b.kind in ('earn', 'import', 'adjust', 'transfer_in') and b.expires_at is not null
union all
select b.program_id, b.movement, b.posted_at, b.booked_on, b.happened_on, b.reported_on,
    local_month(coalesce(c.issued_at, c.event_at), b.time_zone),
    lot_expires_month(c.expires_at, c.rule_no, b.time_zone), lot_expires(c.expires_at, c.rule_no),
    pending_until_day(c.available_at, c.event_at, b.event_at, b.time_zone),
    c.source, c.funder, coalesce(c.revenue > 0, false), - x.amount::bigint, case when b.kind in ('hold', 'release') then x.amount::bigint else 0 end
from dated_entry b
join allocation x on x.account_id = b.account_id + 0 and x.seq = b.seq
join entry c on c.account_id = x.account_id + 0 and c.seq = x.lot_seq
where b.kind not in ('earn', 'import', 'transfer_in')
union all
select b.program_id, b.movement, b.posted_at, b.booked_on, b.happened_on, b.reported_on,
    local_month(b.issued_at, b.time_zone),
    lot_expires_month(b.expires_at, b.rule_no, b.time_zone), lot_expires(b.expires_at, b.rule_no),
    pending_until_day(b.available_at, b.event_at, b.event_at, b.time_zone),
    b.source, b.funder, b.is_sold, x.amount::bigint, 0
from dated_entry b
join allocation x on x.account_id = b.account_id + 0 and x.seq = b.seq
where b.kind = 'extend'
union all
select b.program_id, b.movement, b.posted_at, b.booked_on, b.happened_on, b.reported_on,
    local_month(coalesce(c.issued_at, c.event_at), b.time_zone),
    lot_expires_month(c.expires_at, c.rule_no, b.time_zone), lot_expires(c.expires_at, c.rule_no),
    null, c.source, c.funder, coalesce(c.revenue > 0, false), 0, - x.amount::bigint
from dated_entry b
cross join lateral (
    select h.account_id, h.seq from entry h where h.account_id = b.account_id and h.seq = b.hold_seq
    union all
    select r.account_id, r.seq from entry r where r.account_id = b.account_id and r.hold_seq = b.hold_seq and r.kind = 'release'
    offset 0
) h
join allocation x on x.account_id = h.account_id and x.seq = h.seq
join entry c on c.account_id = x.account_id + 0 and c.seq = x.lot_seq
where b.kind = 'capture';

comment on view lot_change is 'Changes of lots, with the origin of the points';
comment on column lot_change.program_id is 'Program';
comment on column lot_change.movement is 'As in dated_entry, of the entry that changes the lot';
comment on column lot_change.posted_at is 'When that was booked';
comment on column lot_change.booked_on is 'As in dated_entry';
comment on column lot_change.happened_on is 'As in dated_entry';
comment on column lot_change.reported_on is 'As in dated_entry';
comment on column lot_change.issued_month is 'First day of the month in which its points were issued first';
comment on column lot_change.expires_month is 'First day of the month at whose end, or in which, it lapses; null unless that is fixed';
comment on column lot_change.expires is 'fixed, moving or never';
comment on column lot_change.available_on is 'Of a change while the lot was pending: the last day on which it is';
comment on column lot_change.source is 'Channel by which its points were earned';
comment on column lot_change.funder is 'Who pays for them; null: the issuer';
comment on column lot_change.is_sold is 'Whether consideration was allocated to them';
comment on column lot_change.points is 'Change of what is unspent of it';
comment on column lot_change.held is 'Change of what holds have taken of it';

-- ---------- facts: sums over the entries of a time of booking ----------

create type entry_fact as (
    program_id integer,
    booked_on date,
    happened_on date,
    reported_on date,
    movement text,
    source text,
    funder text,
    partner text,
    issued_year integer,
    is_sold boolean,
    entries bigint,
    amount numeric,
    held numeric,
    debt numeric,
    revenue numeric,
    issued numeric,
    members bigint,
    accounts bigint
);
comment on type entry_fact is 'Sums over entries, by all that day_flow and vintage_flow tell apart';
comment on column entry_fact.program_id is 'Program';
comment on column entry_fact.booked_on is 'Local day of booking';
comment on column entry_fact.happened_on is 'Local day on which it happened';
comment on column entry_fact.reported_on is 'Local day on which it counts as reported';
comment on column entry_fact.movement is 'As in booked_entry';
comment on column entry_fact.source is 'As in booked_entry';
comment on column entry_fact.funder is 'As in booked_entry';
comment on column entry_fact.partner is 'As in booked_entry';
comment on column entry_fact.issued_year is 'Local year of issue, of what issues points or undoes that; else null';
comment on column entry_fact.is_sold is 'Whether consideration was allocated to those points; else null';
comment on column entry_fact.entries is 'Number of entries';
comment on column entry_fact.amount is 'Change of the balances';
comment on column entry_fact.held is 'Change of the held points';
comment on column entry_fact.debt is 'Change of the debts';
comment on column entry_fact.revenue is 'Consideration allocated to the points that are issued, less what is undone';
comment on column entry_fact.issued is 'Points issued, less those undone';
comment on column entry_fact.members is 'Change of the number of members with points';
comment on column entry_fact.accounts is 'Number of first entries of accounts';

create type lot_fact as (
    program_id integer,
    issued_month date,
    expires_month date,
    expires text,
    source text,
    funder text,
    is_sold boolean,
    booked_on date,
    happened_on date,
    reported_on date,
    movement text,
    available_on date,
    points numeric,
    held numeric
);
comment on type lot_fact is 'Sums over changes of lots, by all that pending_flow, cohort_flow and vintage_flow tell apart';
comment on column lot_fact.program_id is 'Program';
comment on column lot_fact.issued_month is 'As in lot_change';
comment on column lot_fact.expires_month is 'As in lot_change';
comment on column lot_fact.expires is 'As in lot_change';
comment on column lot_fact.source is 'As in lot_change';
comment on column lot_fact.funder is 'As in lot_change';
comment on column lot_fact.is_sold is 'As in lot_change';
comment on column lot_fact.booked_on is 'Local day of booking';
comment on column lot_fact.happened_on is 'Local day on which it happened';
comment on column lot_fact.reported_on is 'Local day on which it counts as reported';
comment on column lot_fact.movement is 'As in lot_change';
comment on column lot_fact.available_on is 'As in lot_change';
comment on column lot_fact.points is 'Change of the unspent points';
comment on column lot_fact.held is 'Change of the points that holds have taken';

-- The sums behind the facts: plain SQL without settings, which the planner puts
-- in place of the call.
create function entry_sums(since timestamptz, until timestamptz)
returns setof entry_fact
language sql stable parallel safe
begin atomic
    select b.program_id, b.booked_on, b.happened_on, b.reported_on, b.movement, b.source, b.funder, b.partner,
        case when b.is_issue then extract(year from local_month(b.issued_at, b.time_zone))::integer end,
        case when b.is_issue then b.is_sold end,
        count(*), sum(b.amount), sum(b.held), sum(b.debt),
        coalesce(sum(b.revenue) filter (where b.is_issue), 0), coalesce(sum(b.amount) filter (where b.is_issue), 0),
        -- balance > amount: the balance before it was more than zero
        sum((b.balance > 0)::integer - (b.balance > b.amount)::integer), count(*) filter (where b.seq = 1)
    from booked_entry b
    where b.posted_at >= coalesce(entry_sums.since, '-infinity') and b.posted_at < coalesce(entry_sums.until, 'infinity')
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;
end;

comment on function entry_sums(timestamptz, timestamptz) is
    'Sums over the entries with since <= posted_at < until, null: without a bound, by all that day_flow and vintage_flow tell apart. Locks nothing';

create function lot_sums(since timestamptz, until timestamptz)
returns setof lot_fact
language sql stable parallel safe
begin atomic
    select c.program_id, c.issued_month, c.expires_month, c.expires, c.source, c.funder, c.is_sold, c.booked_on, c.happened_on,
        c.reported_on, c.movement, c.available_on, sum(c.points), sum(c.held)
    from lot_change c
    where c.posted_at >= coalesce(lot_sums.since, '-infinity') and c.posted_at < coalesce(lot_sums.until, 'infinity')
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12;
end;

comment on function lot_sums(timestamptz, timestamptz) is
    'Sums over the changes of lots by entries with since <= posted_at < until, null: without a bound, by all that pending_flow, cohort_flow and vintage_flow tell apart. Locks nothing';

-- For few entries, whatever the planner believes: those of the time are found by
-- the index on posted_at and everything else by its key. Planned once for all
-- bounds.
create function few_entry_facts(since timestamptz, until timestamptz)
returns setof entry_fact
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
    return query select s.* from jifen.entry_sums(few_entry_facts.since, few_entry_facts.until) s;
end
$$;

comment on function few_entry_facts(timestamptz, timestamptz) is
    'entry_sums() in a way that suits few entries. Locks nothing';

create function few_lot_facts(since timestamptz, until timestamptz)
returns setof lot_fact
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
    return query select s.* from jifen.lot_sums(few_lot_facts.since, few_lot_facts.until) s;
end
$$;

comment on function few_lot_facts(timestamptz, timestamptz) is
    'lot_sums() in a way that suits few entries. Locks nothing';

-- For all of the journal: read from end to end and joined by hash, whatever the
-- planner believes, by several processes where the server grants them.
create function all_entry_facts(until timestamptz)
returns setof entry_fact
language plpgsql stable parallel safe security definer rows 100000
set search_path = jifen, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
set enable_memoize = off
set enable_sort = off
set from_collapse_limit = 1
set join_collapse_limit = 1
set parallel_setup_cost = 0
set parallel_tuple_cost = 0
set work_mem = '128MB'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
    return query select s.* from jifen.entry_sums(null, all_entry_facts.until) s;
end
$$;

comment on function all_entry_facts(timestamptz) is
    'entry_sums() up to until in a way that suits all of the journal. Locks nothing';

create function all_lot_facts(until timestamptz)
returns setof lot_fact
language plpgsql stable parallel safe security definer rows 100000
set search_path = jifen, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
set enable_memoize = off
set enable_sort = off
set from_collapse_limit = 1
set join_collapse_limit = 1
set parallel_setup_cost = 0
set parallel_tuple_cost = 0
set work_mem = '128MB'
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
    return query select s.* from jifen.lot_sums(null, all_lot_facts.until) s;
end
$$;

comment on function all_lot_facts(timestamptz) is
    'lot_sums() up to until in a way that suits all of the journal. Locks nothing';

-- What was booked since the summaries were made is little; without them it is all.
create function entry_facts(since timestamptz, until timestamptz)
returns setof entry_fact
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
as $$
begin
    if entry_facts.since is null then
        return query select f.* from jifen.all_entry_facts(entry_facts.until) f;
    else
        return query select f.* from jifen.few_entry_facts(entry_facts.since, entry_facts.until) f;
    end if;
end
$$;

comment on function entry_facts(timestamptz, timestamptz) is
    'entry_sums() in a way that suits how much there is: since is null for all. Run by views, with the right of who reads them. Locks nothing';

create function lot_facts(since timestamptz, until timestamptz)
returns setof lot_fact
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
as $$
begin
    if lot_facts.since is null then
        return query select f.* from jifen.all_lot_facts(lot_facts.until) f;
    else
        return query select f.* from jifen.few_lot_facts(lot_facts.since, lot_facts.until) f;
    end if;
end
$$;

comment on function lot_facts(timestamptz, timestamptz) is
    'lot_sums() in a way that suits how much there is: since is null for all. Run by views, with the right of who reads them. Locks nothing';

revoke all on function entry_sums(timestamptz, timestamptz) from public;
revoke all on function lot_sums(timestamptz, timestamptz) from public;
revoke all on function few_entry_facts(timestamptz, timestamptz) from public;
revoke all on function few_lot_facts(timestamptz, timestamptz) from public;
revoke all on function all_entry_facts(timestamptz) from public;
revoke all on function all_lot_facts(timestamptz) from public;
revoke all on function entry_facts(timestamptz, timestamptz) from public;
revoke all on function lot_facts(timestamptz, timestamptz) from public;
