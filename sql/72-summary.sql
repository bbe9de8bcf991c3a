-- summary: what moved, by day, by month and by origin of the points; what is booked for good is kept in summaries.

-- ---------- local days ----------

-- Immutable in the sense in which timezone(text, timestamptz) is, whose work
-- they do in a fraction of its time.
create function local_day(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function local_day(timestamptz, text) is
    'The day that an instant lies in by the clock of the time zone; infinity of infinity. Raises 22023 for an unknown time zone. Locks nothing';

create function day_until(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function day_until(timestamptz, text) is
    'The day that the microsecond before an instant lies in, as local_day()';

create function local_month(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function local_month(timestamptz, text) is
    'The first day of the month that an instant lies in, as local_day()';

create function month_until(instant timestamptz, time_zone text) returns date
language c immutable strict parallel safe
as 'MODULE_PATHNAME';

comment on function month_until(timestamptz, text) is
    'The first day of the month that the microsecond before an instant lies in, as local_day()';

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

create view program_clock as
select p.program_id, p.time_zone, c.changed_at, c.closed_until
from program p
cross join lateral (
    select array_agg(c.changed_at order by c.change_no) as changed_at, array_agg(c.closed_until order by c.change_no) as closed_until
    from period_change c where c.program_id = p.program_id
) c;

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

-- The sums behind the facts: plain SQL without settings, which the planner puts
-- in place of the call.
create function entry_sums(since timestamptz, until timestamptz)
returns table (program_id integer, booked_on date, happened_on date, reported_on date, movement text, source text, funder text, partner text,
    issued_year integer, is_sold boolean, entries bigint, amount numeric, held numeric, debt numeric, revenue numeric, issued numeric,
    members bigint, accounts bigint)
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
returns table (program_id integer, issued_month date, expires_month date, expires text, source text, funder text, is_sold boolean,
    booked_on date, happened_on date, reported_on date, movement text, available_on date, points numeric, held numeric)
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
create function entry_facts(since timestamptz, until timestamptz)
returns table (program_id integer, booked_on date, happened_on date, reported_on date, movement text, source text, funder text, partner text,
    issued_year integer, is_sold boolean, entries bigint, amount numeric, held numeric, debt numeric, revenue numeric, issued numeric,
    members bigint, accounts bigint)
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
    return query select s.* from jifen.entry_sums(entry_facts.since, entry_facts.until) s;
end
$$;

comment on function entry_facts(timestamptz, timestamptz) is
    'entry_sums() in a way that suits few entries. Run by views, with the right of who reads them. Locks nothing';

create function lot_facts(since timestamptz, until timestamptz)
returns table (program_id integer, issued_month date, expires_month date, expires text, source text, funder text, is_sold boolean,
    booked_on date, happened_on date, reported_on date, movement text, available_on date, points numeric, held numeric)
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
    return query select s.* from jifen.lot_sums(lot_facts.since, lot_facts.until) s;
end
$$;

comment on function lot_facts(timestamptz, timestamptz) is
    'lot_sums() in a way that suits few entries. Run by views, with the right of who reads them. Locks nothing';

-- For all of the journal: read from end to end and joined by hash, whatever the
-- planner believes, by several processes where the server grants them.
create function all_entry_facts(until timestamptz)
returns table (program_id integer, booked_on date, happened_on date, reported_on date, movement text, source text, funder text, partner text,
    issued_year integer, is_sold boolean, entries bigint, amount numeric, held numeric, debt numeric, revenue numeric, issued numeric,
    members bigint, accounts bigint)
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
returns table (program_id integer, issued_month date, expires_month date, expires text, source text, funder text, is_sold boolean,
    booked_on date, happened_on date, reported_on date, movement text, available_on date, points numeric, held numeric)
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

-- ---------- summaries ----------

-- Derived, and so not dumped: a restored database has none and reckons all of
-- it anew. Who writes them holds the row of summary_state; a key is in a table
-- once, and where parts of it can be null that is all that sees to it.

create table summary_state (
    is_only boolean primary key default true,
    summarized_until timestamptz,
    summarized_at timestamptz,
    held_up_by text,
    constraint summary_state_one_row check (is_only)
);

comment on table summary_state is 'How far the summaries reach: one row';
comment on column summary_state.is_only is 'True';
comment on column summary_state.summarized_until is 'They cover the entries with an earlier posted_at and no others; null: none. No entry still to come has an earlier one';
comment on column summary_state.summarized_at is 'When they were brought there';
comment on column summary_state.held_up_by is 'What they waited for then: a transaction that has posted and not ended; null: nothing';

insert into summary_state default values;

create table program_summary (
    program_id integer primary key,
    entries bigint not null,
    amount numeric not null,
    held numeric not null,
    debt numeric not null,
    revenue numeric not null,
    members bigint not null,
    accounts bigint not null
);

create table day_summary (
    program_id integer not null,
    booked_on date not null,
    happened_on date not null,
    reported_on date not null,
    movement text not null,
    source text,
    funder text,
    partner text,
    entries bigint not null,
    amount numeric not null,
    held numeric not null,
    debt numeric not null,
    revenue numeric not null,
    members bigint not null,
    accounts bigint not null
) with (fillfactor = 90);

create index day_summary_key on day_summary (program_id, booked_on, happened_on, reported_on, movement);

create table pending_summary (
    program_id integer not null,
    booked_on date not null,
    happened_on date not null,
    reported_on date not null,
    available_on date not null,
    points numeric not null,
    primary key (program_id, booked_on, happened_on, reported_on, available_on)
) with (fillfactor = 90);

create table cohort_summary (
    program_id integer not null,
    issued_month date not null,
    expires_month date,
    expires text not null,
    source text,
    funder text,
    is_sold boolean not null,
    booked_month date not null,
    happened_month date not null,
    reported_month date not null,
    movement text not null,
    points numeric not null,
    held numeric not null
) with (fillfactor = 90);

create index cohort_summary_key on cohort_summary (program_id, booked_month, happened_month, reported_month, issued_month, movement);

create table vintage_summary (
    program_id integer not null,
    issued_year integer not null,
    is_sold boolean not null,
    booked_on date not null,
    happened_on date not null,
    reported_on date not null,
    movement text not null,
    points numeric not null,
    held numeric not null,
    revenue numeric not null,
    issued numeric not null,
    primary key (program_id, booked_on, happened_on, reported_on, movement, issued_year, is_sold)
) with (fillfactor = 90);

comment on table program_summary is 'Sums over all entries of each program: the part of program_flow that is kept';
comment on column program_summary.program_id is 'Program';
comment on column program_summary.entries is 'Number of entries';
comment on column program_summary.amount is 'Change of the balances';
comment on column program_summary.held is 'Change of the held points';
comment on column program_summary.debt is 'Change of the debts';
comment on column program_summary.revenue is 'Consideration allocated to the points of earns and imports, less what reversals of them undid';
comment on column program_summary.members is 'Change of the number of members with points: a balance above zero';
comment on column program_summary.accounts is 'Number of accounts of which it has the first entry';

comment on table day_summary is 'What moved on each day, by channel, funder and partner: the part of day_flow that is kept';
comment on column day_summary.program_id is 'Program';
comment on column day_summary.booked_on is 'Local day on which it was booked';
comment on column day_summary.happened_on is 'Local day on which it happened';
comment on column day_summary.reported_on is 'Local day on which it counts: that on which it happened or, if the books of then were closed when it was booked, the first that was open';
comment on column day_summary.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column day_summary.source is 'Channel; of a reverse, as funder and partner, that of the entry that it undoes';
comment on column day_summary.funder is 'Who pays for the points of a credit; null: the issuer';
comment on column day_summary.partner is 'Who supplies what points were spent on; null: the issuer';
comment on column day_summary.entries is 'Number of entries';
comment on column day_summary.amount is 'Change of the balances';
comment on column day_summary.held is 'Change of the held points';
comment on column day_summary.debt is 'Change of the debts';
comment on column day_summary.revenue is 'Consideration allocated to the points of earns and imports, less what reversals of them undid';
comment on column day_summary.members is 'Change of the number of members with points: a balance above zero';
comment on column day_summary.accounts is 'Number of accounts of which it has the first entry';

comment on table pending_summary is 'What came to be pending, and what was taken of it before it was available: the part of pending_flow that is kept';
comment on column pending_summary.program_id is 'Program';
comment on column pending_summary.booked_on is 'Local day on which it was booked';
comment on column pending_summary.happened_on is 'Local day on which it happened';
comment on column pending_summary.reported_on is 'Local day on which it counts: that on which it happened or, if the books of then were closed when it was booked, the first that was open';
comment on column pending_summary.available_on is 'Last local day on which the points are not wholly available';
comment on column pending_summary.points is 'Change of the points that are pending until then';

comment on table cohort_summary is 'What moved in lots in each month, by when and how their points were issued and lapse: the part of cohort_flow that is kept';
comment on column cohort_summary.program_id is 'Program';
comment on column cohort_summary.issued_month is 'First day of the local month in which the points were issued first';
comment on column cohort_summary.expires_month is 'First day of the local month at whose end, or in which, they lapse; null unless that is fixed';
comment on column cohort_summary.expires is 'How they lapse: fixed, moving (by inactivity or for want of a notice) or never';
comment on column cohort_summary.source is 'Channel by which the points were earned';
comment on column cohort_summary.funder is 'Who pays for them; null: the issuer';
comment on column cohort_summary.is_sold is 'Whether consideration was allocated to them';
comment on column cohort_summary.booked_month is 'First day of the local month in which it was booked';
comment on column cohort_summary.happened_month is 'First day of the local month in which it happened';
comment on column cohort_summary.reported_month is 'First day of the local month in which it counts, as reported_on of day_flow';
comment on column cohort_summary.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column cohort_summary.points is 'Change of the unspent points';
comment on column cohort_summary.held is 'Change of the points that holds have taken';

comment on table vintage_summary is 'What moved in lots on each day, by the year in which their points were issued: the part of vintage_flow that is kept';
comment on column vintage_summary.program_id is 'Program';
comment on column vintage_summary.issued_year is 'Local year in which the points were issued first';
comment on column vintage_summary.is_sold is 'Whether consideration was allocated to them';
comment on column vintage_summary.booked_on is 'Local day on which it was booked';
comment on column vintage_summary.happened_on is 'Local day on which it happened';
comment on column vintage_summary.reported_on is 'Local day on which it counts: that on which it happened or, if the books of then were closed when it was booked, the first that was open';
comment on column vintage_summary.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column vintage_summary.points is 'Change of the unspent points';
comment on column vintage_summary.held is 'Change of the points that holds have taken';
comment on column vintage_summary.revenue is 'Consideration allocated to the points of earns and imports, less what reversals of them undid, by their own year and class';
comment on column vintage_summary.issued is 'Points of earns, imports and goodwill, less what reversals of them undid, by their own year and class';

-- ---------- flows: summaries and what was booked since ----------

create view program_flow as
select s.program_id, s.entries, s.amount, s.held, s.debt, s.revenue, s.members, s.accounts
from program_summary s
union all
select f.program_id, f.entries, f.amount, f.held, f.debt, f.revenue, f.members, f.accounts
from entry_facts((select s.summarized_until from summary_state s), null) f;

create view day_flow as
select s.program_id, s.booked_on, s.happened_on, s.reported_on, s.movement, s.source, s.funder, s.partner,
    s.entries, s.amount, s.held, s.debt, s.revenue, s.members, s.accounts
from day_summary s
union all
select f.program_id, f.booked_on, f.happened_on, f.reported_on, f.movement, f.source, f.funder, f.partner,
    f.entries, f.amount, f.held, f.debt, f.revenue, f.members, f.accounts
from entry_facts((select s.summarized_until from summary_state s), null) f;

create view pending_flow as
select s.program_id, s.booked_on, s.happened_on, s.reported_on, s.available_on, s.points
from pending_summary s
union all
select f.program_id, f.booked_on, f.happened_on, f.reported_on, f.available_on, f.points
from lot_facts((select s.summarized_until from summary_state s), null) f
where f.available_on is not null;

create view cohort_flow as
select s.program_id, s.issued_month, s.expires_month, s.expires, s.source, s.funder, s.is_sold,
    s.booked_month, s.happened_month, s.reported_month, s.movement, s.points, s.held
from cohort_summary s
union all
select f.program_id, f.issued_month, f.expires_month, f.expires, f.source, f.funder, f.is_sold,
    date_trunc('month', f.booked_on::timestamp)::date, date_trunc('month', f.happened_on::timestamp)::date,
    date_trunc('month', f.reported_on::timestamp)::date, f.movement, f.points, f.held
from lot_facts((select s.summarized_until from summary_state s), null) f;

create view vintage_flow as
select s.program_id, s.issued_year, s.is_sold, s.booked_on, s.happened_on, s.reported_on, s.movement, s.points, s.held, s.revenue, s.issued
from vintage_summary s
union all
select f.program_id, extract(year from f.issued_month)::integer, f.is_sold, f.booked_on, f.happened_on, f.reported_on, f.movement,
    f.points, f.held, 0, 0
from lot_facts((select s.summarized_until from summary_state s), null) f
union all
select f.program_id, f.issued_year, f.is_sold, f.booked_on, f.happened_on, f.reported_on, f.movement, 0, 0, f.revenue, f.issued
from entry_facts((select s.summarized_until from summary_state s), null) f
where f.issued_year is not null;

comment on view program_flow is 'Sums over all entries of each program, up to the snapshot that reads it. The same key may come in several rows: sum them';
comment on column program_flow.program_id is 'Program';
comment on column program_flow.entries is 'Number of entries';
comment on column program_flow.amount is 'Change of the balances';
comment on column program_flow.held is 'Change of the held points';
comment on column program_flow.debt is 'Change of the debts';
comment on column program_flow.revenue is 'Consideration allocated to the points of earns and imports, less what reversals of them undid';
comment on column program_flow.members is 'Change of the number of members with points: a balance above zero';
comment on column program_flow.accounts is 'Number of accounts of which it has the first entry';

comment on view day_flow is 'What moved on each day, by channel, funder and partner, up to the snapshot that reads it. The same key may come in several rows: sum them';
comment on column day_flow.program_id is 'Program';
comment on column day_flow.booked_on is 'Local day on which it was booked';
comment on column day_flow.happened_on is 'Local day on which it happened';
comment on column day_flow.reported_on is 'Local day on which it counts: that on which it happened or, if the books of then were closed when it was booked, the first that was open';
comment on column day_flow.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column day_flow.source is 'Channel; of a reverse, as funder and partner, that of the entry that it undoes';
comment on column day_flow.funder is 'Who pays for the points of a credit; null: the issuer';
comment on column day_flow.partner is 'Who supplies what points were spent on; null: the issuer';
comment on column day_flow.entries is 'Number of entries';
comment on column day_flow.amount is 'Change of the balances';
comment on column day_flow.held is 'Change of the held points';
comment on column day_flow.debt is 'Change of the debts';
comment on column day_flow.revenue is 'Consideration allocated to the points of earns and imports, less what reversals of them undid';
comment on column day_flow.members is 'Change of the number of members with points: a balance above zero';
comment on column day_flow.accounts is 'Number of accounts of which it has the first entry';

comment on view pending_flow is 'What came to be pending, and what was taken of it before it was available, up to the snapshot that reads it. The same key may come in several rows: sum them';
comment on column pending_flow.program_id is 'Program';
comment on column pending_flow.booked_on is 'Local day on which it was booked';
comment on column pending_flow.happened_on is 'Local day on which it happened';
comment on column pending_flow.reported_on is 'Local day on which it counts: that on which it happened or, if the books of then were closed when it was booked, the first that was open';
comment on column pending_flow.available_on is 'Last local day on which the points are not wholly available';
comment on column pending_flow.points is 'Change of the points that are pending until then';

comment on view cohort_flow is 'What moved in lots in each month, by when and how their points were issued and lapse, up to the snapshot that reads it. The same key may come in several rows: sum them';
comment on column cohort_flow.program_id is 'Program';
comment on column cohort_flow.issued_month is 'First day of the local month in which the points were issued first';
comment on column cohort_flow.expires_month is 'First day of the local month at whose end, or in which, they lapse; null unless that is fixed';
comment on column cohort_flow.expires is 'How they lapse: fixed, moving (by inactivity or for want of a notice) or never';
comment on column cohort_flow.source is 'Channel by which the points were earned';
comment on column cohort_flow.funder is 'Who pays for them; null: the issuer';
comment on column cohort_flow.is_sold is 'Whether consideration was allocated to them';
comment on column cohort_flow.booked_month is 'First day of the local month in which it was booked';
comment on column cohort_flow.happened_month is 'First day of the local month in which it happened';
comment on column cohort_flow.reported_month is 'First day of the local month in which it counts, as reported_on of day_flow';
comment on column cohort_flow.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column cohort_flow.points is 'Change of the unspent points';
comment on column cohort_flow.held is 'Change of the points that holds have taken';

comment on view vintage_flow is 'What moved in lots on each day, by the year in which their points were issued, up to the snapshot that reads it. The same key may come in several rows: sum them';
comment on column vintage_flow.program_id is 'Program';
comment on column vintage_flow.issued_year is 'Local year in which the points were issued first';
comment on column vintage_flow.is_sold is 'Whether consideration was allocated to them';
comment on column vintage_flow.booked_on is 'Local day on which it was booked';
comment on column vintage_flow.happened_on is 'Local day on which it happened';
comment on column vintage_flow.reported_on is 'Local day on which it counts: that on which it happened or, if the books of then were closed when it was booked, the first that was open';
comment on column vintage_flow.movement is 'earned, imported, adjusted, redeemed, returned, expired, reinstated, reversed, transferred, held, released, repaid or extended';
comment on column vintage_flow.points is 'Change of the unspent points';
comment on column vintage_flow.held is 'Change of the points that holds have taken';
comment on column vintage_flow.revenue is 'Consideration allocated to the points of earns and imports, less what reversals of them undid, by their own year and class';
comment on column vintage_flow.issued is 'Points of earns, imports and goodwill, less what reversals of them undid, by their own year and class';
-- ---------- what is booked for good ----------

-- Nothing is in the way of these updates: only who holds the row of
-- summary_state writes here.
create function add_to_summaries(since timestamptz, until timestamptz) returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
set enable_sort = off
set plan_cache_mode = force_custom_plan
set work_mem = '128MB'
set jit = off
as $$
#variable_conflict use_column
begin
    with fact as materialized (
        select f.* from jifen.all_entry_facts(add_to_summaries.until) f where add_to_summaries.since is null
        union all
        select f.* from jifen.entry_facts(add_to_summaries.since, add_to_summaries.until) f where add_to_summaries.since is not null
    ), day as materialized (
        select row_number() over () as n, program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
            sum(entries)::bigint as entries, sum(amount) as amount, sum(held) as held, sum(debt) as debt, sum(revenue) as revenue,
            sum(members)::bigint as members, sum(accounts)::bigint as accounts
        from fact group by program_id, booked_on, happened_on, reported_on, movement, source, funder, partner
    ), updated as (
        update jifen.day_summary s
        set entries = s.entries + d.entries, amount = s.amount + d.amount, held = s.held + d.held, debt = s.debt + d.debt,
            revenue = s.revenue + d.revenue, members = s.members + d.members, accounts = s.accounts + d.accounts
        from day d
        where s.program_id = d.program_id and s.booked_on = d.booked_on and s.happened_on = d.happened_on
            and s.reported_on = d.reported_on and s.movement = d.movement and s.source is not distinct from d.source
            and s.funder is not distinct from d.funder and s.partner is not distinct from d.partner
        returning d.n
    ), inserted as (
        insert into jifen.day_summary (program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
            entries, amount, held, debt, revenue, members, accounts)
        select program_id, booked_on, happened_on, reported_on, movement, source, funder, partner,
            entries, amount, held, debt, revenue, members, accounts
        from day where n not in (select u.n from updated u)
    ), vintage as (
        insert into jifen.vintage_summary as s (program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement,
            points, held, revenue, issued)
        select program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement, 0, 0, sum(revenue), sum(issued)
        from fact where issued_year is not null
        group by program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement
        on conflict on constraint vintage_summary_pkey do update
        set revenue = s.revenue + excluded.revenue, issued = s.issued + excluded.issued
    )
    insert into jifen.program_summary as s (program_id, entries, amount, held, debt, revenue, members, accounts)
    select program_id, sum(entries), sum(amount), sum(held), sum(debt), sum(revenue), sum(members), sum(accounts)
    from day group by program_id
    on conflict on constraint program_summary_pkey do update
    set entries = s.entries + excluded.entries, amount = s.amount + excluded.amount, held = s.held + excluded.held,
        debt = s.debt + excluded.debt, revenue = s.revenue + excluded.revenue, members = s.members + excluded.members,
        accounts = s.accounts + excluded.accounts;

    with fact as materialized (
        select f.* from jifen.all_lot_facts(add_to_summaries.until) f where add_to_summaries.since is null
        union all
        select f.* from jifen.lot_facts(add_to_summaries.since, add_to_summaries.until) f where add_to_summaries.since is not null
    ), cohort as materialized (
        select row_number() over () as n, program_id, issued_month, expires_month, expires, source, funder, is_sold,
            date_trunc('month', booked_on::timestamp)::date as booked_month, date_trunc('month', happened_on::timestamp)::date as happened_month,
            date_trunc('month', reported_on::timestamp)::date as reported_month, movement, sum(points) as points, sum(held) as held
        from fact
        group by program_id, issued_month, expires_month, expires, source, funder, is_sold, booked_month, happened_month, reported_month, movement
    ), updated as (
        update jifen.cohort_summary s
        set points = s.points + c.points, held = s.held + c.held
        from cohort c
        where s.program_id = c.program_id and s.issued_month = c.issued_month and s.expires_month is not distinct from c.expires_month
            and s.expires = c.expires and s.source is not distinct from c.source and s.funder is not distinct from c.funder
            and s.is_sold = c.is_sold and s.booked_month = c.booked_month and s.happened_month = c.happened_month
            and s.reported_month = c.reported_month and s.movement = c.movement
        returning c.n
    ), inserted as (
        insert into jifen.cohort_summary (program_id, issued_month, expires_month, expires, source, funder, is_sold,
            booked_month, happened_month, reported_month, movement, points, held)
        select program_id, issued_month, expires_month, expires, source, funder, is_sold,
            booked_month, happened_month, reported_month, movement, points, held
        from cohort where n not in (select u.n from updated u)
    ), vintage as (
        insert into jifen.vintage_summary as s (program_id, issued_year, is_sold, booked_on, happened_on, reported_on, movement,
            points, held, revenue, issued)
        select program_id, extract(year from issued_month)::integer, is_sold, booked_on, happened_on, reported_on, movement,
            sum(points), sum(held), 0, 0
        from fact
        group by program_id, 2, is_sold, booked_on, happened_on, reported_on, movement
        on conflict on constraint vintage_summary_pkey do update
        set points = s.points + excluded.points, held = s.held + excluded.held
    )
    insert into jifen.pending_summary as s (program_id, booked_on, happened_on, reported_on, available_on, points)
    select program_id, booked_on, happened_on, reported_on, available_on, sum(points)
    from fact where available_on is not null
    group by program_id, booked_on, happened_on, reported_on, available_on
    on conflict on constraint pending_summary_pkey do update set points = s.points + excluded.points;
end
$$;

comment on function add_to_summaries(timestamptz, timestamptz) is
    'Adds to the summaries the entries posted from since on, up to which they reach, null: nothing yet, and before until. For advance_summaries(), which holds the row of summary_state';

-- From its commit on, no posting that has not begun to post by then books at an
-- earlier time: postings read booked_from once they hold their lock on the
-- table. A program that another session is about to change is left as it is.
-- Nobody announces while another session finds out how far it can go.
create function announce_summary() returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
begin
    -- Before the row, as a closing beside another time zone takes them.
    lock table jifen.program in row exclusive mode;
    perform from jifen.summary_state s for update skip locked;
    if found then
        update jifen.program p
        set booked_from = greatest(p.booked_from, clock_timestamp())
        where p.program_id in (select o.program_id from jifen.program o for no key update skip locked);
    end if;
end
$$;

comment on function announce_summary() is
    'Has what is posted from now on booked from now on; does nothing while another session summarises. The first half of run_summary(), to be committed before the other. Locks the row of summary_state, and those of program against changes of rules';

-- How far is all that is booked committed, for good? Four readings, one after
-- the other, tell it; each entry E of a transaction T is in one of these cases.
--
--   the sessions     who is in a transaction, and since when
--   the locks        who holds the lock on program that T takes before it posts
--   the programs     what was announced: booked_from
--   the entries      on a snapshot taken after all of these
--
-- T held no lock when the locks were read, and ended before that: E is in the
-- snapshot, for a transaction's changes are seen before its locks are gone.
--
-- T held no lock when the locks were read, and took it later: it read booked_from
-- as announced, and E is booked then or later. Nobody has announced again since,
-- for that takes the row of summary_state. close_period() and reopen_period()
-- may have raised it for their program; they wait for T to end, so that E is in
-- the snapshot as well as they are. A program that was created too late to be
-- announced to has its booked_from of that, which is later than what was
-- announced, or it is among the programs read, or its creator held a lock.
--
-- T held the lock, and was in its transaction when the sessions were read: E is
-- booked when that began or later.
--
-- T held the lock, and its transaction began after the sessions were read: it
-- took the lock later still, and read what was announced.
--
-- So the least of booked_from and of the beginnings of those transactions is a
-- time before which all that is booked, and all that ever will be, is in the
-- snapshot. Where the beginning of a transaction is not to be seen (it is
-- prepared, or its session does not tell) the summaries stay where they are.
create function advance_summaries() returns boolean
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
declare
    since timestamptz;
    until timestamptz;
    seen_pids integer[];
    seen_starts timestamptz[];
    seen_states text[];
    holders integer[];
    writers integer[];
    is_prepared boolean;
    first record;
    waits_for text;
begin
    perform jifen.require_writable('run_summary()');
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception using errcode = 'active_sql_transaction',
            message = 'summaries are made in READ COMMITTED only',
            detail = format('The transaction is %s: it would not see what was committed since it began.',
                upper(current_setting('transaction_isolation'))),
            hint = 'Call run_summary(), which sees to that.';
    end if;
    select s.summarized_until into since from jifen.summary_state s for update skip locked;
    if not found then
        return false;
    end if;

    perform pg_stat_clear_snapshot();
    select array_agg(a.pid), array_agg(a.xact_start), array_agg(a.state) into seen_pids, seen_starts, seen_states
    from pg_stat_activity a;

    select array_agg(distinct l.pid) filter (where l.relation = 'jifen.program'::regclass),
        array_agg(distinct l.pid) filter (where l.relation = 'jifen.entry'::regclass),
        coalesce(bool_or(l.pid is null), false)
    into holders, writers, is_prepared
    from pg_locks l
    where l.locktype = 'relation' and l.granted
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
        and (l.relation = 'jifen.program'::regclass and l.mode in ('RowShareLock', 'RowExclusiveLock')
            or l.relation = 'jifen.entry'::regclass and l.mode = 'RowExclusiveLock');

    -- A session that was idle then, or not there, began later.
    select h.pid, s.xact_start, s.xact_start is null as is_unknown into first
    from unnest(holders) h (pid)
    join unnest(seen_pids, seen_starts, seen_states) s (pid, xact_start, state) on s.pid = h.pid
    where s.xact_start is not null or s.state is distinct from 'idle'
    order by s.xact_start nulls first limit 1;
    select min(p.booked_from) into until from jifen.program p;

    if is_prepared then
        waits_for := 'a prepared transaction';
        until := since;
    elsif first.is_unknown then
        waits_for := format('session %s, which does not tell since when it is in a transaction', first.pid);
        until := since;
    elsif not coalesce(writers, '{}') <@ coalesce(holders, '{}') then
        waits_for := 'a session that writes entries itself, as a restore does';
        until := since;
    elsif first.xact_start < until then
        waits_for := format('session %s, in a transaction since %s', first.pid, first.xact_start);
        until := first.xact_start;
    end if;
    -- Who began before it and posts after it has booked after it.
    until := greatest(since, until);
    if until is distinct from since then
        perform jifen.add_to_summaries(since, until);
        perform jifen.refresh_month_summaries(since, until);
    end if;
    update jifen.summary_state s
    set summarized_until = until, summarized_at = clock_timestamp(), held_up_by = waits_for;
    return until is distinct from since;
end
$$;

comment on function advance_summaries() is
    'Adds to the summaries what is booked for good, and tells whether there was any such time; does nothing while another session is at it. The second half of run_summary(). Raises 25001 unless READ COMMITTED, 25006. Locks the row of summary_state';

-- Vacuum does this too, at times. It is left to one that is at work.
create function index_new_entries() returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
begin
    perform jifen.require_writable('index_new_entries()');
    lock table jifen.entry in share update exclusive mode nowait;
    perform brin_summarize_new_values('jifen.entry_posted');
exception when lock_not_available then
    return;
end
$$;

comment on function index_new_entries() is
    'Has the index on posted_at tell where the latest entries stand, without which all of them since the last vacuum would be read. Does nothing while a vacuum is at work. Locks entry against vacuum';

-- COMMIT needs a procedure without SET and without SECURITY DEFINER, which runs
-- with the caller's search_path: all names and operators are qualified.
create procedure run_summary()
language plpgsql
as $$
declare
    run pg_catalog.int8;
    failure pg_catalog.text;
    failure_message pg_catalog.text;
    failure_detail pg_catalog.text;
    failure_hint pg_catalog.text;
begin
    run := jifen.start_job_run('summarize', null);
    for step in 1 .. 3 loop
        commit;
        set transaction isolation level read committed;
        begin
            if step operator(pg_catalog.=) 1 then
                perform jifen.index_new_entries();
            elsif step operator(pg_catalog.=) 2 then
                perform jifen.announce_summary();
            elsif jifen.advance_summaries() then
                perform jifen.add_to_job_run(run, 0, 0, 0, 0);
            end if;
        exception when others or query_canceled then
            get stacked diagnostics
                failure = returned_sqlstate,
                failure_message = message_text,
                failure_detail = pg_exception_detail,
                failure_hint = pg_exception_hint;
        end;
        if failure is not null then
            perform jifen.end_job_run(run, failure_message);
            commit;
            perform jifen.raise_job_error(failure, failure_message, failure_detail, failure_hint);
        end if;
    end loop;
    perform jifen.end_job_run(run, null);
    commit;
end
$$;

comment on procedure run_summary() is
    'Adds to the summaries what has been booked for good since the last run, and records the run in job_run. Postings do not wait for it, nor it for them: what transactions in flight have booked is left for the next run. Cannot be called within a transaction block. Raises 25006';

create function drop_summaries() returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
begin
    perform jifen.require_writable('drop_summaries()');
    update jifen.summary_state s set summarized_until = null, summarized_at = null, held_up_by = null;
    -- Not TRUNCATE: readers with an older snapshot find what they know of.
    delete from jifen.program_summary;
    delete from jifen.day_summary;
    delete from jifen.pending_summary;
    delete from jifen.cohort_summary;
    delete from jifen.vintage_summary;
    perform jifen.drop_month_summaries();
end
$$;

comment on function drop_summaries() is
    'Empties the summaries: the flows are reckoned from all entries until run_summary() has made them anew. Raises 25006. Locks the row of summary_state: waits for a run that is at work';

revoke all on function entry_sums(timestamptz, timestamptz) from public;
revoke all on function lot_sums(timestamptz, timestamptz) from public;
revoke all on function entry_facts(timestamptz, timestamptz) from public;
revoke all on function lot_facts(timestamptz, timestamptz) from public;
revoke all on function all_entry_facts(timestamptz) from public;
revoke all on function all_lot_facts(timestamptz) from public;
revoke all on function add_to_summaries(timestamptz, timestamptz) from public;
revoke all on function announce_summary() from public;
revoke all on function advance_summaries() from public;
revoke all on function index_new_entries() from public;
revoke all on procedure run_summary() from public;
revoke all on function drop_summaries() from public;
