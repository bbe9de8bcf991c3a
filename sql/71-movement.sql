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

comment on view program_clock is 'By which clock each program reckons, and the closings and reopenings of its books in order; reports are made of it';
comment on column program_clock.program_id is 'Program';
comment on column program_clock.time_zone is 'Its time zone';
comment on column program_clock.changed_at is 'When the books were closed or reopened; null: never';
comment on column program_clock.closed_until is 'Until when they were closed since each of these times';

-- Here and below OFFSET 0 has rows looked up by their whole key: whatever the
-- planner believes of the tables, it never reads an account's rows, or all
-- accounts, for the sake of one.
create view booked_entry as
select e.account_id, e.seq, a.program_id, p.time_zone, e.kind, movement(e.kind, r.kind) as movement, e.posted_at, e.event_at,
    local_day(e.posted_at, p.time_zone) as booked_on,
    local_day(e.event_at, p.time_zone) as happened_on,
    local_day(greatest(e.event_at, p.closed_until[width_bucket(e.posted_at, p.changed_at)]), p.time_zone) as reported_on,
    e.amount::bigint as amount, e.held::bigint as held, e.debt::bigint as debt, e.balance::bigint as balance, e.reverses_seq, e.hold_seq,
    case when r.kind is null then e.source else r.source end as source,
    case when r.kind is null then e.funder else r.funder end as funder,
    case when r.kind is null then e.partner else r.partner end as partner,
    e.available_at, e.expires_at, e.rule_no,
    case when r.kind is null then coalesce(e.issued_at, e.event_at) else coalesce(r.issued_at, r.event_at) end as issued_at,
    coalesce(case when r.kind is null then e.revenue else r.revenue end > 0, false) as is_sold,
    coalesce(r.kind, e.kind) in ('earn', 'import', 'adjust') and coalesce(r.amount, e.amount) > 0 and d.kind is distinct from 'adjust' as is_issue,
    case
        when coalesce(r.kind, e.kind) = 'adjust' then coalesce(r.amount, e.amount) < 0
        else e.kind in ('expire', 'reinstate') or e.kind = 'repay' and d.kind = 'adjust'
    end as is_taking,
    e.revenue
from entry e
cross join lateral (select a.program_id from account a where a.account_id = e.account_id offset 0) a
join program_clock p on p.program_id = a.program_id
left join lateral (
    select r.kind, r.amount, r.source, r.funder, r.partner, r.issued_at, r.event_at, r.revenue
    from entry r
    where e.kind = 'reverse' and r.account_id = e.account_id and r.seq = e.reverses_seq
    offset 0
) r on true
-- Of a debt made by an adjustment, a penalty; all others are made by reversals.
left join lateral (
    select d.kind from entry d where e.debt_seq is not null and d.account_id = e.account_id and d.seq = e.debt_seq offset 0
) d on true;

comment on view booked_entry is 'Entries, each with the line of a roll-forward that it belongs to and its three days: booked, happened and reported; of a reverse, the origin is that of the entry that it undoes; reports are made of it';
comment on column booked_entry.account_id is 'Account';
comment on column booked_entry.seq is 'Number of the entry within the account';
comment on column booked_entry.program_id is 'Program of the account';
comment on column booked_entry.time_zone is 'Time zone of the program';
comment on column booked_entry.kind is 'Kind of the entry';
comment on column booked_entry.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column booked_entry.posted_at is 'When it was booked';
comment on column booked_entry.event_at is 'When it happened';
comment on column booked_entry.booked_on is 'Local day of posted_at';
comment on column booked_entry.happened_on is 'Local day of event_at';
comment on column booked_entry.reported_on is 'Local day of event_at or, if the books of then were closed when it was booked, the first that was open';
comment on column booked_entry.amount is 'Change of the balance';
comment on column booked_entry.held is 'Change of the held points';
comment on column booked_entry.debt is 'Change of the debt';
comment on column booked_entry.balance is 'Balance of the account after it';
comment on column booked_entry.reverses_seq is 'Entry of the account that it undoes';
comment on column booked_entry.hold_seq is 'Of a capture or release: the hold';
comment on column booked_entry.source is 'Channel';
comment on column booked_entry.funder is 'Who pays for the points of a credit; null: the issuer';
comment on column booked_entry.partner is 'Who supplies what points were spent on; null: the issuer';
comment on column booked_entry.available_at is 'Of a credit: from when its points can be spent';
comment on column booked_entry.expires_at is 'Of a credit with a lot: when it lapses; with a rule_no, not before then';
comment on column booked_entry.rule_no is 'Of a lot whose expiry can move: its rule';
comment on column booked_entry.issued_at is 'Of a credit: when its points were issued first';
comment on column booked_entry.is_sold is 'Of a credit: whether consideration was allocated to its points';
comment on column booked_entry.is_issue is 'Whether it issues points, as an earn, an import or goodwill does, a reversal''s debt that is forgiven among it, or undoes that';
comment on column booked_entry.is_taking is 'Whether it takes points away, as an expiry or a penalty does, what repays a penalty among it, or undoes that';
comment on column booked_entry.revenue is 'Consideration allocated to its points, signed';

-- An entry makes a lot, takes from lots or gives back to them. An extension makes
-- one of what it took; a capture spends what its hold took and the release beside
-- it did not give back.
create view lot_change as
select b.account_id, b.kind, b.reverses_seq, b.partner,
    b.program_id, b.movement, b.posted_at, b.booked_on, b.happened_on, b.reported_on,
    local_month(c.issued_at, b.time_zone) as issued_month,
    lot_expires_month(c.expires_at, c.rule_no, b.time_zone) as expires_month, lot_expires(c.expires_at, c.rule_no) as expires,
    pending_until_day(c.available_at, c.event_at, b.event_at, b.time_zone) as available_on,
    c.source, c.funder, c.is_sold, b.is_taking, x.points, x.held
from booked_entry b
cross join lateral (
    select b.seq as lot_seq, b.amount as points, 0::bigint as held
    where b.kind in ('earn', 'import', 'adjust', 'transfer_in') and b.expires_at is not null
    union all
    select b.seq, x.amount::bigint, 0
    from allocation x
    where b.kind = 'extend' and x.account_id = b.account_id and x.seq = b.seq
    union all
    select x.lot_seq, - x.amount::bigint, case when b.kind in ('hold', 'release') then x.amount::bigint else 0 end
    from allocation x
    where b.kind not in ('earn', 'import', 'transfer_in') and x.account_id = b.account_id and x.seq = b.seq
    union all
    select x.lot_seq, 0, - x.amount::bigint
    from (
        select b.hold_seq as seq
        union all
        select r.seq from entry r where r.account_id = b.account_id and r.hold_seq = b.hold_seq and r.kind = 'release'
    ) h
    cross join lateral (select x.lot_seq, x.amount from allocation x where x.account_id = b.account_id and x.seq = h.seq offset 0) x
    where b.kind = 'capture'
    offset 0
) x
cross join lateral (
    select b.issued_at, b.event_at, b.available_at, b.expires_at, b.rule_no, b.source, b.funder, b.is_sold
    where x.lot_seq = b.seq
    union all
    select coalesce(c.issued_at, c.event_at), c.event_at, c.available_at, c.expires_at, c.rule_no, c.source, c.funder,
        coalesce(c.revenue > 0, false)
    from entry c
    where x.lot_seq <> b.seq and c.account_id = b.account_id and c.seq = x.lot_seq
    offset 0
) c;

comment on view lot_change is 'Changes of lots, with the origin of the points; reports are made of it';
comment on column lot_change.account_id is 'Account';
comment on column lot_change.kind is 'As in booked_entry, of the entry that changes the lot';
comment on column lot_change.reverses_seq is 'As in booked_entry';
comment on column lot_change.partner is 'As in booked_entry';
comment on column lot_change.program_id is 'Program';
comment on column lot_change.movement is 'As in booked_entry, of the entry that changes the lot';
comment on column lot_change.posted_at is 'When that was booked';
comment on column lot_change.booked_on is 'As in booked_entry';
comment on column lot_change.happened_on is 'As in booked_entry';
comment on column lot_change.reported_on is 'As in booked_entry';
comment on column lot_change.issued_month is 'First day of the month in which its points were issued first';
comment on column lot_change.expires_month is 'First day of the month at whose end, or in which, it lapses; null unless that is fixed';
comment on column lot_change.expires is 'fixed, moving or never';
comment on column lot_change.available_on is 'Of a change while the lot was pending: the last day on which it is';
comment on column lot_change.source is 'Channel by which its points were earned';
comment on column lot_change.funder is 'Who pays for them; null: the issuer';
comment on column lot_change.is_sold is 'Whether consideration was allocated to them';
comment on column lot_change.is_taking is 'As in booked_entry';
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
    held numeric,
    expired numeric
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
comment on column lot_fact.expired is 'Points that lapsed or were taken away, less those given back';

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
        c.reported_on, c.movement, c.available_on, sum(c.points), sum(c.held),
        - coalesce(sum(c.points + c.held) filter (where c.is_taking), 0)
    from lot_change c
    where c.posted_at >= coalesce(lot_sums.since, '-infinity') and c.posted_at < coalesce(lot_sums.until, 'infinity')
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12;
end;

comment on function lot_sums(timestamptz, timestamptz) is
    'Sums over the changes of lots by entries with since <= posted_at < until, null: without a bound, by all that pending_flow, cohort_flow and vintage_flow tell apart. Locks nothing';

-- For few entries, whatever the planner believes: those of the time are found by
-- the index on posted_at. Planned once for all bounds.
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

-- For all of the journal: read from end to end and its sums hashed, whatever the
-- planner believes. Rows that are looked up by their key are not looked up by
-- several processes, which would but hand each other the entries.
create function all_entry_facts(until timestamptz)
returns setof entry_fact
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
    return query select s.* from jifen.entry_sums(null, all_entry_facts.until) s;
end
$$;

comment on function all_entry_facts(timestamptz) is
    'entry_sums() up to until in a way that suits all of the journal. Locks nothing';

create function all_lot_facts(until timestamptz)
returns setof lot_fact
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
