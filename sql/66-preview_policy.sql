-- preview_policy: what another expiry policy would mean, before anything changes.

create function preview_policy(
    program text,
    policy expiry_policy,
    since timestamptz default null,
    until timestamptz default null,
    as_of timestamptz default now(),
    sources text[] default null,
    out month date,
    out at_once boolean,
    out members bigint,
    out lots bigint,
    out points numeric,
    out value numeric,
    out new_members bigint,
    out new_lots bigint,
    out new_points numeric,
    out new_value numeric,
    out currency text
) returns setof record
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
    own jifen.program;
    -- When points may lapse for which the program, as its rules are now, wants a notice.
    noticed_by timestamptz;
begin
    select p.* into own from jifen.program p where p.program_id = jifen.program_id(preview_policy.program);
    if num_nulls(policy, as_of) > 0 then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'policy and as_of must not be null',
            detail = 'They say what to compare today''s rules with, and from when on.',
            hint = 'Leave as_of out for now.';
    end if;
    if not (isfinite(as_of) and isfinite(coalesce(since, as_of)) and isfinite(coalesce(until, as_of))) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'since, until and as_of must be finite',
            detail = format('They are %s, %s and %s.', coalesce(since::text, 'null'), coalesce(until::text, 'null'), as_of),
            hint = 'Leave since and until out to have no bound.';
    end if;
    perform jifen.require_range(since, until, 'since and until');
    noticed_by := jifen.expires_at((own.notice_days || ' days')::jifen.expiry_policy, preview_policy.as_of, own.time_zone);
    return query
    with booked as (
        -- What has been booked as lapsed since as_of and nobody gave back.
        select x.account_id, x.lot_seq as seq, sum(x.amount::bigint) as points, min(b.event_at) as expires_at
        from jifen.entry b
        join jifen.account a on a.account_id = b.account_id
        join jifen.entry m on m.account_id = b.account_id and (m.seq = b.seq or m.reverses_seq = b.seq)
        join jifen.allocation x on x.account_id = m.account_id and x.seq = m.seq
        where preview_policy.as_of < now() and a.program_id = own.program_id
            and b.kind = 'expire' and b.event_at > preview_policy.as_of
        group by x.account_id, x.lot_seq, b.seq
        having sum(x.amount::bigint) > 0
    ),
    unspent as (
        select l.account_id, l.seq, l.remaining::bigint as points, l.expires_at, l.lapses_at, l.notice_days, l.noticed_at
        from jifen.open_lot l
        where l.program_id = own.program_id and l.lapses_at > preview_policy.as_of
        union all
        select b.account_id, b.seq, b.points, b.expires_at, b.expires_at, null, null
        from booked b
    ),
    open as materialized (
        select l.account_id, l.points, l.expires_at, l.notice_days, a.opened_at, c.counts_from,
            greatest(c.counts_from, jifen.activity_at(a, own.activity)) as active_at,
            -- Points that may not lapse without a notice do so once one of as_of has been on record for long enough.
            case
                when l.notice_days is not null and l.noticed_at is null then greatest(l.expires_at,
                    jifen.expires_at((l.notice_days || ' days')::jifen.expiry_policy, preview_policy.as_of, own.time_zone))
                else l.lapses_at
            end as old_at,
            (preview_policy.since is null or c.counts_from >= preview_policy.since)
                and (preview_policy.until is null or c.counts_from < preview_policy.until)
                and (preview_policy.sources is null or e.source = any (preview_policy.sources)) as follows
        from unspent l
        join jifen.account a on a.account_id = l.account_id
        join jifen.entry e on e.account_id = l.account_id and e.seq = l.seq
        cross join lateral (select coalesce(e.issued_at, e.event_at) as counts_from) c
    ),
    clock as materialized (
        select o.account_id, o.points, o.expires_at, o.notice_days, o.old_at,
            case when o.follows then jifen.lot_expires_at(
                jifen.expires_at(preview_policy.policy, o.counts_from, own.time_zone, o.opened_at),
                preview_policy.policy, o.counts_from, o.active_at, o.opened_at, own.time_zone)
            end as new_expires_at
        from open o
    ),
    both_sides as (
        select c.account_id, c.points, c.old_at,
            case
                when c.new_expires_at is null
                    or (c.new_expires_at = c.expires_at and c.notice_days is not distinct from own.notice_days) then c.old_at
                else greatest(c.new_expires_at, noticed_by)
            end as new_at
        from clock c
    ),
    held_by as (
        select s.is_new, s.lapses_at <= preview_policy.as_of as at_once,
            case when s.lapses_at < 'infinity' then
                date_trunc('month', (greatest(s.lapses_at - interval '1 microsecond', preview_policy.as_of)) at time zone own.time_zone)::date
            end as month,
            b.account_id, count(*) as lots, sum(b.points) as points
        from both_sides b
        cross join lateral (values (false, b.old_at), (true, b.new_at)) s (is_new, lapses_at)
        group by 1, 2, 3, 4
    ),
    total as (
        select h.month, h.at_once,
            count(*) filter (where not h.is_new) as members, count(*) filter (where h.is_new) as new_members,
            coalesce(sum(h.lots) filter (where not h.is_new), 0) as lots, coalesce(sum(h.lots) filter (where h.is_new), 0) as new_lots,
            coalesce(sum(h.points) filter (where not h.is_new), 0) as points, coalesce(sum(h.points) filter (where h.is_new), 0) as new_points
        from held_by h
        group by 1, 2
    )
    select t.month, t.at_once, t.members, t.lots::bigint, t.points, t.points * own.point_value,
        t.new_members, t.new_lots::bigint, t.new_points, t.new_points * own.point_value, own.currency
    from total t
    order by t.at_once desc, t.month nulls last;
end
$$;

comment on function preview_policy(text, expiry_policy, timestamptz, timestamptz, timestamptz, text[]) is
    'How many members, lots and points would lapse in which local month and what they are worth, of the program''s unspent points that have not lapsed by as_of: as they are to lapse today, and (new_) if each lot had been credited under the policy, or each of sources that was credited from since until before until. month null: never; at_once: what would have lapsed by as_of already, in a row of its own with the month of as_of. Changes nothing. Raises JF002, 22004, 22008, 22023. Locks nothing; reads one snapshot';

revoke all on function preview_policy(text, expiry_policy, timestamptz, timestamptz, timestamptz, text[]) from public;
