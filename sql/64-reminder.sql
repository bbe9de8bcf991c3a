-- reminder: whom to tell that points are about to lapse.

create function lots_at(
    program text,
    member text,
    as_of timestamptz,
    told_at timestamptz,
    out seq bigint,
    out available_at timestamptz,
    out remaining point_amount,
    out expires_at timestamptz,
    out planned_at timestamptz,
    out wanted_days integer,
    out held point_amount,
    out debt point_amount
) returns setof record
language c stable parallel safe
as 'MODULE_PATHNAME';

comment on function lots_at(text, text, timestamptz, timestamptz) is
    'The member''s lots at as_of that have not lapsed, as balance() reckons them: each with the instant of its clock (expires_at) and when it is to lapse (planned_at); where it wants a notice (wanted_days), as if that were given at told_at. held and debt are the account''s. Locks nothing';

-- The account's lots at as_of, each with the innermost of the windows that it
-- is in (place; one more than there are: none). Points that want a notice count
-- by the lot's own clock, for that is when they are due to be told of, though
-- they lapse later; of several windows they are in none that ends before they
-- are to lapse, unless it is the widest.
--
-- is_due: not told of in that window or a narrower one by as_of; for a notice
-- that is to be recorded, later ones of the same window count as well.
--
-- This and reminder_of() are plain SQL without settings, which the planner puts
-- in place of their calls; as in load.c, OFFSET 0 keeps each look-up by its
-- whole key on tables that were never analyzed.
create function lots_to_lapse(program text, account account, as_of timestamptz, told_at timestamptz, windows integer[], ends timestamptz[])
returns table (seq bigint, available_at timestamptz, remaining point_amount, expires_at timestamptz, planned_at timestamptz,
    held point_amount, debt point_amount, place integer, is_due boolean)
language sql stable parallel safe
begin atomic
    select l.seq, l.available_at, l.remaining, l.expires_at, l.planned_at, l.held, l.debt, w.place,
        case when w.place <= cardinality(lots_to_lapse.windows) then not exists (
            select from notice_lot n
            cross join lateral (
                select s.sent_at from notice s where s.account_id = n.account_id and s.notice_no = n.notice_no offset 0
            ) s
            where n.account_id = (lots_to_lapse.account).account_id and n.lot_seq = l.seq and n.expires_at = l.expires_at
                and n.window_days <= lots_to_lapse.windows[w.place]
                and (s.sent_at <= lots_to_lapse.as_of
                    or lots_to_lapse.told_at is not null and n.window_days = lots_to_lapse.windows[w.place])
            offset 0) else false end
    from (
        -- the first window that does not end before it
        select l.*, width_bucket(case when l.wanted_days is null then l.planned_at else l.expires_at end - interval '1 microsecond',
            lots_to_lapse.ends) + 1 as first_place
        from lots_at(lots_to_lapse.program, (lots_to_lapse.account).member, lots_to_lapse.as_of,
            coalesce(lots_to_lapse.told_at, lots_to_lapse.as_of)) l
        offset 0
    ) l
    cross join lateral (
        select case when l.first_place < cardinality(lots_to_lapse.windows)
            then least(greatest(l.first_place, width_bucket(l.wanted_days - 1, lots_to_lapse.windows) + 1),
                cardinality(lots_to_lapse.windows))
            else l.first_place end as place
    ) w;
end;

comment on function lots_to_lapse(text, account, timestamptz, timestamptz, integer[], timestamptz[]) is
    'Lots of the account at as_of, each with when it is to lapse, which of the windows it is in, and whether the member is still to be told; told_at: for a notice that is to be recorded, from when its days count';

-- When the member was active and redeemed last, at an instant in the past.
create function activity_in_history(account_id bigint, as_of timestamptz, activity text[])
returns table (last_activity_at timestamptz, last_redeem_at timestamptz)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
select max(e.event_at) filter (where e.kind = any (activity_in_history.activity)),
    max(e.event_at) filter (where e.kind in ('redeem', 'capture'))
from entry e
where e.account_id = activity_in_history.account_id and e.event_at <= activity_in_history.as_of;
end
$$;

comment on function activity_in_history(bigint, timestamptz, text[]) is
    'When the member did one of these kinds of entry last, and when redeemed last, by an instant in the past';

-- What there is to tell a member, in the innermost of the windows in which
-- something is; no row where there is nothing.
create function reminder_of(program program, account account, as_of timestamptz, windows integer[], ends timestamptz[], by_due boolean,
    inactive_since timestamptz, never_redeemed boolean, pieces text[], names text[], formats text[])
returns table (member text, status text, place integer, balance point_amount, available point_amount, expiring point_amount,
    to_notify point_amount, first_expires_at timestamptz, last_expires_at timestamptz, lots bigint, held_back point_amount,
    last_activity_at timestamptz, last_redeem_at timestamptz, message text)
language sql stable parallel safe
begin atomic
    select (reminder_of.account).member::text, (reminder_of.account).status::text, l.place, l.balance, l.available, l.expiring,
        l.to_notify, l.first_expires_at, l.last_expires_at, l.lots, l.held_back, b.last_activity_at, b.last_redeem_at, m.message
    from (
        select activity_at(reminder_of.account, (reminder_of.program).activity) as last_activity_at,
            greatest((reminder_of.account).last_redeem_at, (reminder_of.account).last_capture_at) as last_redeem_at
        where reminder_of.as_of >= (reminder_of.account).last_event_at
        union all
        select h.last_activity_at, h.last_redeem_at
        from (
            select h.* from activity_in_history((reminder_of.account).account_id, reminder_of.as_of, (reminder_of.program).activity) h
            where reminder_of.as_of < (reminder_of.account).last_event_at offset 0
        ) h
    ) b
    cross join lateral (
        select min(l.own_place) as place,
            sum(l.remaining) + min(l.held) - min(l.debt) as balance,
            coalesce(sum(l.remaining) filter (where l.available_at <= reminder_of.as_of), 0) as available,
            coalesce(sum(l.remaining) filter (where l.expires_at <= reminder_of.as_of), 0) as held_back,
            sum(l.remaining) filter (where l.place <= l.own_place) as expiring,
            coalesce(sum(l.remaining) filter (where l.place <= l.own_place and l.is_due), 0) as to_notify,
            min(l.planned_at) filter (where l.place <= l.own_place) as first_expires_at,
            max(l.planned_at) filter (where l.place <= l.own_place) as last_expires_at,
            count(*) filter (where l.place <= l.own_place) as lots
        from (
            select l.*, min(l.place) filter (where l.is_due or
                    not reminder_of.by_due and l.place <= cardinality(reminder_of.windows)) over () as own_place
            from lots_to_lapse((reminder_of.program).code, reminder_of.account, reminder_of.as_of, null, reminder_of.windows,
                reminder_of.ends) l
        ) l
    ) l
    cross join lateral filled_template(reminder_of.pieces, reminder_of.names, reminder_of.formats, (reminder_of.account).member,
        (reminder_of.program).name, (reminder_of.program).time_zone, reminder_of.as_of, l.balance, l.available, l.expiring,
        l.first_expires_at, l.last_expires_at) m
    where l.place is not null
        and (reminder_of.inactive_since is null or (b.last_activity_at >= reminder_of.inactive_since) is not true)
        and (not reminder_of.never_redeemed or b.last_redeem_at is null);
end;

comment on function reminder_of(program, account, timestamptz, integer[], timestamptz[], boolean, timestamptz, boolean, text[], text[], text[]) is
    'What there is to tell a member, in the innermost of the windows in which something is';

-- The ends of windows of so many days, in the program's time zone.
create function window_ends(program_id integer, windows integer[], as_of timestamptz) returns timestamptz[]
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
    if cardinality(windows) not between 1 and 20
        or (select count(distinct w) from unnest(windows) w where w between 1 and 3650) < cardinality(windows) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'invalid length of a window',
            detail = format('In days: %s.', array_to_string(windows, ', ', 'null')),
            hint = 'Windows are from 1 to 3650 days long, at most 20 of them, each another length.';
    end if;
    return (select array_agg(jifen.expires_at((w || ' days')::jifen.expiry_policy, window_ends.as_of, p.time_zone) order by w)
        from jifen.program p, unnest(windows) w
        where p.program_id = window_ends.program_id);
end
$$;

comment on function window_ends(integer, integer[], timestamptz) is
    'Ends of windows of so many days from as_of, in the program''s time zone, soonest first. Raises 22023';

-- The rows of expiring_members() and due_notices(). Where few lots lapse by
-- the last end, their members are found by the indexes of the jobs and looked
-- at in order; else all members are, in that order, until there are enough. The
-- indexes tell nothing of a past in which other lots were open, nor of points
-- that want a notice.
--
-- The plans are the same whatever is known of the tables.
create function reminders(program_id integer, as_of timestamptz, windows integer[], ends timestamptz[], by_due boolean, after text,
    max_members integer, language text, inactive_since timestamptz, never_redeemed boolean)
returns table (member text, status text, place integer, balance point_amount, available point_amount, expiring point_amount,
    to_notify point_amount, first_expires_at timestamptz, last_expires_at timestamptz, lots bigint, held_back point_amount,
    last_activity_at timestamptz, last_redeem_at timestamptz, message text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
set enable_seqscan = off
set enable_bitmapscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_material = off
set plan_cache_mode = force_generic_plan
set jit = off
as $$
#variable_conflict use_column
declare
    last_end constant timestamptz := ends[cardinality(ends)];
    few constant bigint := 10 * max_members::bigint;
    candidates bigint[];
    own jifen.program;
    pieces text[];
    names text[];
    formats text[];
begin
    select p.* into own from program p where p.program_id = reminders.program_id;
    select array_agg(t.piece), array_agg(t.name), array_agg(t.format) into pieces, names, formats
    from notice_template n
    cross join lateral template_parts(n.template) t
    where n.program_id = reminders.program_id and n.language = coalesce(reminders.language,
        (select f.language from notice_template f where f.program_id = reminders.program_id order by f.template_no, f.language limit 1));
    if reminders.language is not null and pieces is null then
        raise exception using errcode = 'invalid_parameter_value',
            message = format('no template in language "%s"', reminders.language),
            detail = format('Program "%s" has templates in %s.', own.code, coalesce(
                (select string_agg(format('"%s"', n.language), ', ' order by n.template_no) from notice_template n
                 where n.program_id = reminders.program_id), 'no language')),
            hint = 'set_notice_template() sets one.';
    end if;

    if reminders.as_of >= now() and not exists (
            select from expiry_rule r where r.program_id = reminders.program_id and r.notice_days is not null) then
        candidates := array(
            select l.account_id from lot l
            where l.program_id = reminders.program_id and l.rule_no is null and l.expires_at < 'infinity'
                and l.expires_at > reminders.as_of and l.expires_at <= last_end
            union all
            select a.account_id from account a
            where a.program_id = reminders.program_id and a.due_at < 'infinity' and a.due_at <= last_end
            union all
            select h.account_id from hold h
            where h.program_id = reminders.program_id and h.until <= reminders.as_of
            limit few + 1);
    end if;
    if cardinality(candidates) <= few then
        candidates := array(
            select a.account_id
            from (select distinct c.account_id from unnest(candidates) c (account_id)) c
            cross join lateral (
                select a.account_id, a.member from account a where a.account_id = c.account_id offset 0
            ) a
            where a.member > coalesce(reminders.after, '')
            order by a.member);
        return query
        select r.*
        from unnest(candidates) with ordinality c (account_id, number)
        cross join lateral (
            select a as account from account a where a.account_id = c.account_id offset 0
        ) a
        cross join lateral reminder_of(own, a.account, reminders.as_of, reminders.windows, reminders.ends, reminders.by_due,
            reminders.inactive_since, reminders.never_redeemed, pieces, names, formats) r
        order by c.number
        limit reminders.max_members;
    else
        return query
        select r.*
        from account a
        cross join lateral reminder_of(own, a, reminders.as_of, reminders.windows, reminders.ends, reminders.by_due,
            reminders.inactive_since, reminders.never_redeemed, pieces, names, formats) r
        where a.program_id = reminders.program_id and a.member > coalesce(reminders.after, '')
            and (a.last_event_at > reminders.as_of or a.held > 0 or exists (
                select from lot l where l.account_id = a.account_id and l.expires_at <= last_end offset 0))
        order by a.member
        limit reminders.max_members;
    end if;
end
$$;

comment on function reminders(integer, timestamptz, integer[], timestamptz[], boolean, text, integer, text, timestamptz, boolean) is
    'A page of the members of the program to whom there is something to tell; what expiring_members() and due_notices() share';

-- Raises 22004 or 22023 for an argument that both of them have.
create function check_page(caller text, as_of timestamptz, max_members integer, never_redeemed boolean) returns void
language plpgsql immutable parallel safe
set search_path = jifen, pg_temp
as $$
begin
    if num_nulls(as_of, max_members, never_redeemed) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = format('an argument of %s must not be null', caller),
            detail = 'as_of, max_members and never_redeemed need values.',
            hint = 'Leave an argument out to get its default.';
    end if;
    if not isfinite(as_of) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'as_of must be finite',
            detail = format('It is %s.', as_of),
            hint = 'Give a finite instant.';
    end if;
    if max_members < 1 then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'max_members must be at least 1',
            detail = format('It is %s.', max_members),
            hint = 'It is the length of a page.';
    end if;
end
$$;

comment on function check_page(text, timestamptz, integer, boolean) is
    'Raises 22004 or 22023 for an argument of a page of members';

create function expiring_members(
    program text,
    until timestamptz default null,
    as_of timestamptz default now(),
    after text default null,
    max_members integer default 1000,
    window_days integer default null,
    language text default null,
    inactive_since timestamptz default null,
    never_redeemed boolean default false
) returns table (
    member text,
    status text,
    balance point_amount,
    available point_amount,
    expiring point_amount,
    to_notify point_amount,
    first_expires_at timestamptz,
    last_expires_at timestamptz,
    lots bigint,
    held_back point_amount,
    last_activity_at timestamptz,
    last_redeem_at timestamptz,
    message text
)
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own_program constant integer := jifen.program_id(program);
    ends timestamptz[];
begin
    perform jifen.check_page('expiring_members()', as_of, max_members, never_redeemed);
    if window_days is not null then
        ends := jifen.window_ends(own_program, array[window_days], as_of);
    elsif until is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'until must not be null where there is no window_days',
            detail = 'Neither says by when the points lapse.',
            hint = 'Give an instant, or the length of a window in days.';
    end if;
    -- Without a window, whoever was told in any has been told.
    return query
    select r.member, r.status, r.balance, r.available, r.expiring, r.to_notify, r.first_expires_at, r.last_expires_at, r.lots,
        r.held_back, r.last_activity_at, r.last_redeem_at, r.message
    from jifen.reminders(own_program, as_of, array[coalesce(window_days, 2147483647)], case when until is null then ends else array[until] end,
        window_days is not null, after, max_members, language, inactive_since, never_redeemed) r;
end
$$;

comment on function expiring_members(text, timestamptz, timestamptz, text, integer, integer, text, timestamptz, boolean) is
    'Members of the program who hold points at as_of that lapse after it, by until at the latest, in the order of their identifiers (collation C), at most max_members of those after the given one: what they hold, what of it lapses and when, how much of that they were not told of yet, and the text for them in the language, by default the program''s first. window_days: only members who were not told of all of it in a window of that length, or a shorter one; until is then by default the end of the local day so many days after as_of. inactive_since: only members without activity from then on; never_redeemed: only those who never redeemed. Raises JF002, 22004, 22023. Locks nothing';

create function due_notices(
    program text,
    windows integer[] default '{60,30,7}',
    as_of timestamptz default now(),
    after text default null,
    max_members integer default 1000,
    language text default null,
    inactive_since timestamptz default null,
    never_redeemed boolean default false
) returns table (
    member text,
    status text,
    window_days integer,
    until timestamptz,
    balance point_amount,
    available point_amount,
    expiring point_amount,
    to_notify point_amount,
    first_expires_at timestamptz,
    last_expires_at timestamptz,
    lots bigint,
    held_back point_amount,
    last_activity_at timestamptz,
    last_redeem_at timestamptz,
    message text
)
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    own_program constant integer := jifen.program_id(program);
    ascending constant integer[] := array(select w from unnest(windows) w order by w);
    ends timestamptz[];
begin
    perform jifen.check_page('due_notices()', as_of, max_members, never_redeemed);
    if windows is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'windows must not be null',
            detail = 'They say how long before points lapse the members are told.',
            hint = 'Leave it out for 60, 30 and 7 days.';
    end if;
    ends := jifen.window_ends(own_program, ascending, as_of);
    return query
    select r.member, r.status, ascending[r.place], ends[r.place], r.balance, r.available, r.expiring, r.to_notify,
        r.first_expires_at, r.last_expires_at, r.lots, r.held_back, r.last_activity_at, r.last_redeem_at, r.message
    from jifen.reminders(own_program, as_of, ascending, ends, true, after, max_members, language, inactive_since, never_redeemed) r;
end
$$;

comment on function due_notices(text, integer[], timestamptz, text, integer, text, timestamptz, boolean) is
    'Members of the program who are to be told that points lapse, each with the innermost of the windows in which something is not told yet (window_days, until) and else as expiring_members() tells of that window. A window of N days ends with the local day N days after as_of. Raises JF002, 22004, 22023. Locks nothing';

revoke all on function lots_at(text, text, timestamptz, timestamptz) from public;
revoke all on function lots_to_lapse(text, account, timestamptz, timestamptz, integer[], timestamptz[]) from public;
revoke all on function activity_in_history(bigint, timestamptz, text[]) from public;
revoke all on function reminder_of(program, account, timestamptz, integer[], timestamptz[], boolean, timestamptz, boolean, text[], text[], text[]) from public;
revoke all on function window_ends(integer, integer[], timestamptz) from public;
revoke all on function reminders(integer, timestamptz, integer[], timestamptz[], boolean, text, integer, text, timestamptz, boolean) from public;
revoke all on function check_page(text, timestamptz, integer, boolean) from public;
revoke all on function expiring_members(text, timestamptz, timestamptz, text, integer, integer, text, timestamptz, boolean) from public;
revoke all on function due_notices(text, integer[], timestamptz, text, integer, text, timestamptz, boolean) from public;
