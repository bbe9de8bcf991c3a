-- flow: sums of what moved: the part that is kept in summaries, and what was booked since.

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
comment on column summary_state.held_up_by is 'What they waited for then: a transaction that has posted and not ended, or a program that was about to change; null: nothing';

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
    expired numeric not null,
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
comment on column vintage_summary.expired is 'Points that lapsed or were taken away, as by a penalty, less those given back';
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
select s.program_id, s.issued_year, s.is_sold, s.booked_on, s.happened_on, s.reported_on, s.movement,
    s.points, s.held, s.expired, s.revenue, s.issued
from vintage_summary s
union all
select f.program_id, extract(year from f.issued_month)::integer, f.is_sold, f.booked_on, f.happened_on, f.reported_on, f.movement,
    f.points, f.held, f.expired, 0, 0
from lot_facts((select s.summarized_until from summary_state s), null) f
union all
select f.program_id, f.issued_year, f.is_sold, f.booked_on, f.happened_on, f.reported_on, f.movement, 0, 0, 0, f.revenue, f.issued
from entry_facts((select s.summarized_until from summary_state s), null) f
where f.issued_year is not null;

comment on view program_flow is 'Sums over all entries of each program, up to the snapshot that reads it; reports are made of it. The same key may come in several rows: sum them';
comment on view day_flow is 'What moved on each day, by channel, funder and partner, up to the snapshot that reads it; reports are made of it. The same key may come in several rows: sum them';
comment on view pending_flow is 'What came to be pending, and what was taken of it before it was available, up to the snapshot that reads it; reports are made of it. The same key may come in several rows: sum them';
comment on view cohort_flow is 'What moved in lots in each month, by when and how their points were issued and lapse, up to the snapshot that reads it; reports are made of it. The same key may come in several rows: sum them';
comment on view vintage_flow is 'What moved in lots on each day, by the year in which their points were issued, up to the snapshot that reads it; reports are made of it. The same key may come in several rows: sum them';

-- Each column is what it is in the part that is kept.
do $$
declare
    flow record;
begin
    for flow in
        select v.flow, a.attname, col_description(a.attrelid, a.attnum) as comment
        from unnest(array['program', 'day', 'pending', 'cohort', 'vintage']) v (flow)
        join pg_attribute a on a.attrelid = ('jifen.' || v.flow || '_summary')::regclass and a.attnum > 0
    loop
        execute format('comment on column jifen.%I.%I is %L', flow.flow || '_flow', flow.attname, flow.comment);
    end loop;
end
$$;
