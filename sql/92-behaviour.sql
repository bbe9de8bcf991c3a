-- behaviour: summaries of what members do that cannot be added up from entries, for those are counts of members.
--
-- A summary covers exactly the entries with posted_at < summary_state.summarized_until.
-- What entries of a later time of booking change is told by the function of the
-- same name in …_facts(), from the whole history of the members concerned, so
-- summary and facts are added: run_summary() does that for good, the views for
-- the time since.

create table activity_summary (
    program_id integer not null,
    month date not null,
    active bigint not null,
    earners bigint not null,
    redeemers bigint not null,
    primary key (program_id, month)
);

comment on table activity_summary is 'Members who did something in a month, as summarized';
comment on column activity_summary.program_id is 'Program';
comment on column activity_summary.month is 'First day of the local month of event_at';
comment on column activity_summary.active is 'Members who earned, redeemed, held, captured or gave points';
comment on column activity_summary.earners is 'Members who earned';
comment on column activity_summary.redeemers is 'Members who redeemed or captured';

create table member_summary (
    account_id bigint primary key,
    program_id integer not null,
    earns bigint not null,
    earned numeric not null,
    redemptions bigint not null,
    redeemed numeric not null,
    first_credit_on date,
    first_redeemed_on date,
    last_active_on date
);

comment on table member_summary is 'What each member did, as summarized';
comment on column member_summary.account_id is 'Account';
comment on column member_summary.program_id is 'Program of the account';
comment on column member_summary.earns is 'How many times the member earned';
comment on column member_summary.earned is 'Points earned, less those reversed';
comment on column member_summary.redemptions is 'How many times the member redeemed or captured';
comment on column member_summary.redeemed is 'Points redeemed, less those returned';
comment on column member_summary.first_credit_on is 'Local day of the first earn, import, adjustment or transfer that gave the member points';
comment on column member_summary.first_redeemed_on is 'Local day of the first redemption or capture';
comment on column member_summary.last_active_on is 'Local day of the latest earn, redemption or capture';

create table tier_summary (
    program_id integer not null,
    month date not null,
    tier_no integer not null,
    members bigint not null,
    primary key (program_id, month, tier_no)
);

comment on table tier_summary is 'Change from one end of a month to the next of how many members are in a tier, as summarized';
comment on column tier_summary.program_id is 'Program';
comment on column tier_summary.month is 'First day of the local month at whose end it is so';
comment on column tier_summary.tier_no is 'Place of the tier, from the lowest threshold up; 0: none';
comment on column tier_summary.members is 'Members who came to be in it, less those who no longer are';

create table tier_summary_rule (
    program_id integer primary key,
    tier_window interval not null,
    thresholds numeric[] not null
);

comment on table tier_summary_rule is 'By which rules tier_summary was reckoned; by others it is reckoned anew';
comment on column tier_summary_rule.program_id is 'Program';
comment on column tier_summary_rule.tier_window is 'The program''s tier_window';
comment on column tier_summary_rule.thresholds is 'Thresholds of its tiers, the lowest first';

-- Entries booked from since on, null for all, and before until, null for no
-- end, with what was booked before on the same accounts and happened within a
-- month of them or, where rules are given, within the tier_window of its
-- program's rule before them: all that the answers for those months, or since
-- then, depend on. Months and days are not always as long, but never differ by
-- four days. Programs without a rule are left out where rules are given.
--
-- Plain SQL without settings, which the planner puts in place of the call: one
-- of the branches is gone by then.
create function history_of_changed(rules tier_summary_rule[], since timestamptz, until timestamptz)
returns table (account_id bigint, program_id integer, time_zone text, tier_window interval, kind text, event_at timestamptz,
    qualifying bigint, is_new boolean, was_before boolean)
language sql stable parallel safe
begin atomic
    with own_program as (
        select p.program_id, p.time_zone, r.tier_window
        from program p
        left join unnest(history_of_changed.rules) r on r.program_id = p.program_id
        where history_of_changed.rules is null or r.program_id is not null
    )
    select e.account_id, p.program_id, p.time_zone, p.tier_window, e.kind::text, e.event_at, e.qualifying::bigint, true, false
    from entry e
    join account a on a.account_id = e.account_id
    join own_program p on p.program_id = a.program_id
    where history_of_changed.since is null and (history_of_changed.until is null or e.posted_at < history_of_changed.until)
    union all
    select e.account_id, c.program_id, c.time_zone, c.tier_window, e.kind::text, e.event_at, e.qualifying::bigint,
        e.posted_at >= history_of_changed.since, c.was_before
    from (
        select c.account_id, p.program_id, p.time_zone, p.tier_window, b.from_at,
            case when history_of_changed.rules is null then c.last_at + interval '32 days' else 'infinity' end as to_at,
            -- nothing else of what is left out matters
            history_of_changed.rules is not null and exists (
                select from entry o
                where o.account_id = c.account_id and o.posted_at < history_of_changed.since and o.event_at < b.from_at
            ) as was_before
        from (
            select c.account_id, min(c.event_at) as first_at, max(c.event_at) as last_at
            from entry c
            where history_of_changed.since is not null and c.posted_at >= history_of_changed.since
                and (history_of_changed.until is null or c.posted_at < history_of_changed.until)
            group by c.account_id
        ) c
        cross join lateral (select a.program_id from account a where a.account_id = c.account_id offset 0) a
        join own_program p on p.program_id = a.program_id
        cross join lateral (
            select c.first_at - case when history_of_changed.rules is null then interval '32 days' else p.tier_window + interval '4 days' end as from_at
        ) b
        offset 0
    ) c
    cross join lateral (
        select e.account_id, e.kind, e.event_at, e.qualifying, e.posted_at
        from entry e
        where e.account_id = c.account_id and e.event_at >= c.from_at and e.event_at <= c.to_at
            and (history_of_changed.until is null or e.posted_at < history_of_changed.until)
        offset 0
    ) e;
end;

comment on function history_of_changed(tier_summary_rule[], timestamptz, timestamptz) is
    'Entries posted from since on, null: all, and before until, null: no end, and those earlier ones of the same accounts (is_new false) that what they change depends on: of months or, where rules are given, of tiers by those and of their programs alone; was_before: there are earlier ones still. Locks nothing';

create function activity_facts(since timestamptz, until timestamptz)
returns table (program_id integer, month date, active bigint, earners bigint, redeemers bigint)
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
return query
select m.program_id, m.month,
    count(*) filter (where m.is_active and not m.was_active),
    count(*) filter (where m.earns and not m.earned),
    count(*) filter (where m.redeems and not m.redeemed)
from (
    select h.account_id, h.program_id, jifen.local_month(h.event_at, h.time_zone) as month,
        bool_or(true) as is_active,
        bool_or(not h.is_new) as was_active,
        bool_or(h.kind = 'earn') as earns,
        bool_or(h.kind = 'earn' and not h.is_new) as earned,
        bool_or(h.kind in ('redeem', 'capture')) as redeems,
        bool_or(h.kind in ('redeem', 'capture') and not h.is_new) as redeemed
    from jifen.history_of_changed(null, activity_facts.since, activity_facts.until) h
    where h.kind in ('earn', 'redeem', 'hold', 'capture', 'transfer_out')
    group by h.account_id, h.program_id, 3
    having bool_or(h.is_new)
) m
group by m.program_id, m.month;
end
$$;

comment on function activity_facts(timestamptz, timestamptz) is
    'What entries posted from since on, null: all, and before until, null: no end, add to activity_summary. Reads the histories of their accounts. Locks nothing';

create function member_facts(since timestamptz, until timestamptz)
returns table (account_id bigint, program_id integer, earns bigint, earned numeric, redemptions bigint, redeemed numeric,
    first_credit_on date, first_redeemed_on date, last_active_on date)
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
return query
select e.account_id, e.program_id,
    count(*) filter (where e.kind = 'earn'),
    coalesce(sum(e.amount::numeric) filter (where coalesce(e.reversed_kind, e.kind) = 'earn'), 0),
    count(*) filter (where e.kind in ('redeem', 'capture')),
    - coalesce(sum(e.amount::numeric) filter (where coalesce(e.reversed_kind, e.kind) in ('redeem', 'capture')), 0),
    jifen.local_day(min(e.event_at) filter (where e.kind in ('earn', 'import', 'transfer_in') or e.kind = 'adjust' and e.amount > 0), e.time_zone),
    jifen.local_day(min(e.event_at) filter (where e.kind in ('redeem', 'capture')), e.time_zone),
    jifen.local_day(max(e.event_at) filter (where e.kind in ('earn', 'redeem', 'capture')), e.time_zone)
from (
    select e.account_id, p.program_id, p.time_zone, e.kind, e.amount, e.event_at,
        -- looked up one by one: a join would read the journal twice for the sake of few
        case when e.kind = 'reverse' then (select o.kind from jifen.entry o where o.account_id = e.account_id and o.seq = e.reverses_seq)
        end as reversed_kind
    from jifen.entry e
    join jifen.account a on a.account_id = e.account_id
    join jifen.program p on p.program_id = a.program_id
    where (member_facts.since is null or e.posted_at >= member_facts.since)
        and (member_facts.until is null or e.posted_at < member_facts.until)
) e
group by e.account_id, e.program_id, e.time_zone;
end
$$;

comment on function member_facts(timestamptz, timestamptz) is
    'What entries posted from since on, null: all, and before until, null: no end, add to member_summary: counts and sums are added, of days the first or latest counts. Locks nothing';

-- An entry counts from the end of the month in which it happened to that of the
-- month before the one in which it leaves the window, as tier_for() reckons it.
-- So the sum changes at ends of months only, and the tier with it; what was
-- reckoned of the entries before since is taken off. Sums before the first new
-- entry lack what was left out, with and without it alike.
--
-- Whoever keeps the outcome keeps the rules beside it, so the rules are given:
-- tiers that another session changes meanwhile are none of these.
create function tier_facts(rules tier_summary_rule[], since timestamptz, until timestamptz)
returns table (program_id integer, month date, tier_no integer, members bigint)
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
begin
if coalesce(cardinality(tier_facts.rules), 0) = 0 then
    return;
end if;
return query
with step as (
    select h.account_id, h.program_id, c.month,
        sum(c.qualifying) as qualifying,
        coalesce(sum(c.qualifying) filter (where not h.is_new), 0) as old_qualifying,
        bool_or(h.was_before or c.begins and not h.is_new) as is_old
    from jifen.history_of_changed(tier_facts.rules, tier_facts.since, tier_facts.until) h
    cross join lateral (
        select jifen.local_month(h.event_at, h.time_zone) as month, coalesce(h.qualifying, 0) as qualifying, true as begins
        union all
        select jifen.local_month(((h.event_at at time zone h.time_zone) + h.tier_window) at time zone h.time_zone, h.time_zone), - h.qualifying, false
        where h.qualifying <> 0
    ) c
    group by h.account_id, h.program_id, c.month
), sums as (
    select s.account_id, s.program_id, s.month,
        sum(s.qualifying) over w as qualifying,
        sum(s.old_qualifying) over w as old_qualifying,
        bool_or(s.is_old) over w as is_old
    from step s
    window w as (partition by s.account_id order by s.month)
), place as (
    select s.account_id, s.program_id, s.month,
        width_bucket(greatest(s.qualifying, 0), r.thresholds) as tier_no,
        case when s.is_old then width_bucket(greatest(s.old_qualifying, 0), r.thresholds) end as old_tier_no
    from sums s
    join unnest(tier_facts.rules) r on r.program_id = s.program_id
), change as (
    select p.program_id, p.month, p.tier_no, lag(p.tier_no) over w as from_tier_no, p.old_tier_no, lag(p.old_tier_no) over w as from_old_tier_no
    from place p
    window w as (partition by p.account_id order by p.month)
)
select c.program_id, c.month, x.tier_no, sum(x.members)::bigint
from change c
cross join lateral (values (c.tier_no, 1), (c.from_tier_no, -1), (c.old_tier_no, -1), (c.from_old_tier_no, 1)) x (tier_no, members)
where (c.tier_no, c.old_tier_no) is distinct from (c.from_tier_no, c.from_old_tier_no) and x.tier_no is not null
group by c.program_id, c.month, x.tier_no
having sum(x.members) <> 0;
end
$$;

comment on function tier_facts(tier_summary_rule[], timestamptz, timestamptz) is
    'What entries posted from since on, null: all, and before until, null: no end, add to tier_summary by these rules, for their programs alone. Reads the histories of their accounts. Locks nothing';

-- Each run keeps the rules of all programs whose entries it covers: of a program
-- without them there is none to be reckoned anew. An interval of a month equals
-- one of 30 days, and is not the same.
create view tier_rule as
select r.program_id, r.tier_window, r.thresholds,
    s.program_id is null or interval_send(r.tier_window) = interval_send(s.tier_window) and r.thresholds = s.thresholds as is_kept
from (
    select p.program_id, p.tier_window,
        coalesce(array_agg(t.threshold::numeric order by t.threshold) filter (where t.code is not null), '{}') as thresholds
    from program p
    left join tier t on t.program_id = p.program_id
    group by p.program_id
) r
left join tier_summary_rule s on s.program_id = r.program_id;

comment on view tier_rule is 'By which rules members of each program are in tiers; reports are made of it';
comment on column tier_rule.program_id is 'Program';
comment on column tier_rule.tier_window is 'Its tier_window';
comment on column tier_rule.thresholds is 'Thresholds of its tiers, the lowest first';
comment on column tier_rule.is_kept is 'Whether tier_summary was reckoned by them';

-- The memory is for the first time, when all of the journal is grouped by member.
create function add_to_behaviour(since timestamptz, until timestamptz) returns void
language plpgsql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
set work_mem = '128MB'
as $$
#variable_conflict use_column
declare
    -- Read once: what is kept is by one and the same rules, those that are kept beside it.
    kept jifen.tier_summary_rule[];
    changed jifen.tier_summary_rule[];
begin
    select array_agg((r.program_id, r.tier_window, r.thresholds)::jifen.tier_summary_rule) filter (where r.is_kept),
        array_agg((r.program_id, r.tier_window, r.thresholds)::jifen.tier_summary_rule) filter (where not r.is_kept)
    into kept, changed
    from jifen.tier_rule r;

    insert into jifen.activity_summary as s (program_id, month, active, earners, redeemers)
    select f.program_id, f.month, f.active, f.earners, f.redeemers
    from jifen.activity_facts(add_to_behaviour.since, add_to_behaviour.until) f
    on conflict (program_id, month) do update
    set active = s.active + excluded.active, earners = s.earners + excluded.earners, redeemers = s.redeemers + excluded.redeemers;

    insert into jifen.member_summary as s (account_id, program_id, earns, earned, redemptions, redeemed, first_credit_on,
        first_redeemed_on, last_active_on)
    select f.account_id, f.program_id, f.earns, f.earned, f.redemptions, f.redeemed, f.first_credit_on, f.first_redeemed_on, f.last_active_on
    from jifen.member_facts(add_to_behaviour.since, add_to_behaviour.until) f
    on conflict (account_id) do update
    set earns = s.earns + excluded.earns, earned = s.earned + excluded.earned,
        redemptions = s.redemptions + excluded.redemptions, redeemed = s.redeemed + excluded.redeemed,
        first_credit_on = least(s.first_credit_on, excluded.first_credit_on),
        first_redeemed_on = least(s.first_redeemed_on, excluded.first_redeemed_on),
        last_active_on = greatest(s.last_active_on, excluded.last_active_on);

    -- What was reckoned by other rules is reckoned anew, from the first entry on.
    delete from jifen.tier_summary s where s.program_id in (select r.program_id from unnest(changed) r);
    insert into jifen.tier_summary as s (program_id, month, tier_no, members)
    select f.program_id, f.month, f.tier_no, f.members
    from (
        select * from jifen.tier_facts(kept, add_to_behaviour.since, add_to_behaviour.until)
        union all
        select * from jifen.tier_facts(changed, null, add_to_behaviour.until)
    ) f
    on conflict (program_id, month, tier_no) do update set members = s.members + excluded.members;
    delete from jifen.tier_summary_rule s where s.program_id in (select r.program_id from unnest(changed) r);
    insert into jifen.tier_summary_rule (program_id, tier_window, thresholds)
    select r.program_id, r.tier_window, r.thresholds from unnest(kept || changed) r
    on conflict (program_id) do nothing;
end
$$;

comment on function add_to_behaviour(timestamptz, timestamptz) is
    'Adds to the summaries of behaviour the entries posted from since on, up to which they reach, null: nothing yet, and before until. For advance_summaries(), which holds the row of summary_state';

create function drop_behaviour() returns void
language sql volatile parallel unsafe security definer
set search_path = jifen, pg_temp
as $$
    delete from jifen.activity_summary;
    delete from jifen.member_summary;
    delete from jifen.tier_summary;
    delete from jifen.tier_summary_rule;
$$;

comment on function drop_behaviour() is
    'Empties the summaries of behaviour. For drop_summaries(), which holds the row of summary_state';

-- Each summary beside one that is reckoned at once from all the entries that it
-- covers. A member's account is one of all, so of a single one nothing is said.
create function breaches_of_behaviour(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    upto constant timestamptz := (select coalesce(s.summarized_until, '-infinity') from summary_state s);
begin
if own_account is not null then
    return;
end if;
return query
select null::bigint, null::bigint, 'activity_summary is what its entries add up to',
    format('program %s, %s: %s active, %s earners, %s redeemers', program_id, month, coalesce(f.active, 0), coalesce(f.earners, 0), coalesce(f.redeemers, 0)),
    format('%s active, %s earners, %s redeemers', coalesce(s.active, 0), coalesce(s.earners, 0), coalesce(s.redeemers, 0))
from activity_facts(null, upto) f
full join activity_summary s using (program_id, month)
where (own_program is null or program_id = own_program)
    and (f.active, f.earners, f.redeemers) is distinct from (s.active, s.earners, s.redeemers);
return query
select account_id, null::bigint, 'member_summary is what its entries add up to',
    format('%s earns of %s, %s redemptions of %s, days %s, %s, %s', f.earns, f.earned, f.redemptions, f.redeemed,
        f.first_credit_on, f.first_redeemed_on, f.last_active_on),
    format('%s earns of %s, %s redemptions of %s, days %s, %s, %s', s.earns, s.earned, s.redemptions, s.redeemed,
        s.first_credit_on, s.first_redeemed_on, s.last_active_on)
from member_facts(null, upto) f
full join member_summary s using (account_id, program_id)
where (own_program is null or program_id = own_program)
    and (f.earns, f.earned, f.redemptions, f.redeemed, f.first_credit_on, f.first_redeemed_on, f.last_active_on)
        is distinct from (s.earns, s.earned, s.redemptions, s.redeemed, s.first_credit_on, s.first_redeemed_on, s.last_active_on);
return query
select null::bigint, null::bigint, 'tier_summary is what its entries add up to',
    format('program %s, %s, tier %s: %s members more', program_id, month, tier_no, coalesce(f.members, 0)),
    format('%s', coalesce(s.members, 0))
from tier_facts(
    array(
        select (r.program_id, r.tier_window, r.thresholds)::tier_summary_rule from tier_rule r
        where r.is_kept and (own_program is null or r.program_id = own_program)
    ), null, upto) f
full join (
    select s.* from tier_summary s join tier_rule r on r.program_id = s.program_id
    where r.is_kept and (own_program is null or s.program_id = own_program)
) s using (program_id, month, tier_no)
where coalesce(f.members, 0) <> coalesce(s.members, 0);
end
$$;

comment on function breaches_of_behaviour(integer, bigint) is
    'Breaches of the summaries of behaviour, by number of program, null: all; nothing for a single account';

revoke all on function breaches_of_behaviour(integer, bigint) from public;
revoke all on function history_of_changed(tier_summary_rule[], timestamptz, timestamptz) from public;
revoke all on function activity_facts(timestamptz, timestamptz) from public;
revoke all on function member_facts(timestamptz, timestamptz) from public;
revoke all on function tier_facts(tier_summary_rule[], timestamptz, timestamptz) from public;
revoke all on function add_to_behaviour(timestamptz, timestamptz) from public;
revoke all on function drop_behaviour() from public;
