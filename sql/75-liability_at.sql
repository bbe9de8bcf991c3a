-- liability_at: what the issuer owed at an instant, and what was known of it.

-- What is booked and open now, less what happened or was booked later. Nothing
-- happens more than a day after it was booked (jifen.clock_tolerance), so all of
-- that was booked after a day before as_of, or after known_at: its entries are
-- found by the time of booking, and the lots that they touched are reckoned one
-- by one. A lot that they did not touch is as it was.
--
-- Where lots can move, their clocks are followed through the member's
-- activities, and the release of an overdue hold may repay a debt: these
-- members are asked of balance(), if anything of theirs can differ.
--
-- Nothing is known of how many entries these are, and nested loops over them,
-- for too few were expected, would never end; OFFSET 0 has those that look up
-- rows by their key.
create function points_at(
    program_id integer,
    as_of timestamptz,
    known_at timestamptz,
    out members numeric,
    out points numeric,
    out held numeric,
    out debt numeric,
    out pending numeric,
    out lapsed numeric,
    out held_back numeric
)
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set work_mem = '64MB'
set jit = off
as $$
#variable_conflict use_column
declare
    code text := (select p.code from jifen.program p where p.program_id = points_at.program_id);
    since timestamptz := least(points_at.as_of - interval '1 day', points_at.known_at);
begin
    with late as materialized (
        -- What was known are the entries before the first that was booked later.
        select e.account_id, min(e.seq) as first_unknown
        from jifen.entry e
        where e.posted_at > points_at.known_at
        group by e.account_id
    ),
    recent as materialized (
        select e.account_id, e.seq, e.kind, e.amount::numeric as amount, e.held::numeric as held, e.debt::numeric as debt,
            e.expires_at, e.hold_seq,
            e.event_at > points_at.as_of or coalesce(e.seq >= l.first_unknown, false) as is_undone
        from (
            select e.account_id, e.seq, e.kind, e.amount, e.held, e.debt, e.event_at, e.expires_at, e.hold_seq
            from jifen.entry e
            where e.posted_at > since
            union all
            select e.account_id, e.seq, e.kind, e.amount, e.held, e.debt, e.event_at, e.expires_at, e.hold_seq
            from late l
            cross join lateral (
                select e.* from jifen.entry e
                where e.account_id = l.account_id and e.seq >= l.first_unknown and e.posted_at <= since offset 0
            ) e
        ) e
        join jifen.account a on a.account_id = e.account_id
        left join late l on l.account_id = e.account_id
        where a.program_id = points_at.program_id
    ),
    undone as materialized (
        select account_id, sum(amount) as amount, sum(held) as held, sum(debt) as debt
        from recent
        where is_undone
        group by account_id
    ),
    overdue as materialized (
        -- Holds that were open then and past their deadline: those that are open still, and those that were ended later.
        select h.account_id, h.seq, h.amount::numeric as amount
        from jifen.hold h
        where h.program_id = points_at.program_id and h.until <= points_at.as_of and not exists (
            select from recent r where r.account_id = h.account_id and r.seq = h.seq and r.is_undone
        )
        union all
        select h.account_id, h.seq, h.held::numeric
        from (select distinct r.account_id, r.hold_seq from recent r where r.is_undone and r.hold_seq is not null) r
        cross join lateral (
            select e.* from jifen.entry e where e.account_id = r.account_id and e.seq = r.hold_seq offset 0
        ) h
        where h.until <= points_at.as_of and not exists (
            select from recent u where u.account_id = h.account_id and u.seq = h.seq and u.is_undone
        )
    ),
    asked as materialized (
        -- Members that are asked of balance().
        select a.account_id, a.member, a.held::numeric - coalesce(u.held, 0) as held, a.debt::numeric - coalesce(u.debt, 0) as debt
        from (
            select r.account_id from recent r
            union
            select o.account_id from overdue o
            union
            select a.account_id from jifen.account a
            where a.program_id = points_at.program_id and a.due_at < 'infinity' and a.due_at <= points_at.as_of
            union
            select l.account_id
            from jifen.expiry_rule r
            cross join lateral (
                select l.account_id from jifen.lot l
                where l.program_id = r.program_id and l.rule_no = r.rule_no and l.expires_at <= points_at.as_of offset 0
            ) l
            where r.program_id = points_at.program_id and r.notice_days is not null
        ) c
        join jifen.account a on a.account_id = c.account_id
        left join undone u on u.account_id = c.account_id
        where a.due_at is not null
            or a.debt::numeric - coalesce(u.debt, 0) > 0 and exists (select from overdue o where o.account_id = c.account_id)
    ),
    answer as materialized (
        select coalesce(sum(a.held), 0) as old_held, coalesce(sum(a.debt), 0) as old_debt, coalesce(sum(b.held::numeric), 0) as held,
            coalesce(sum(b.debt::numeric), 0) as debt, coalesce(sum(b.pending::numeric), 0) as pending,
            coalesce(sum(b.lapsed::numeric), 0) as lapsed, coalesce(sum(b.held_back::numeric), 0) as held_back
        from asked a
        cross join lateral jifen.balance(code, a.member, points_at.as_of, points_at.known_at) b
    ),
    touched as materialized (
        -- Lots that what was booked since took from or made, and what of that is undone.
        select x.account_id, x.lot_seq, sum(x.amount) as given_back, bool_or(x.is_gone) as is_gone
        from (
            select r.account_id, r.seq as lot_seq, 0::numeric as amount, r.is_undone as is_gone
            from recent r
            where r.expires_at is not null
            union all
            select r.account_id, x.lot_seq, case when r.is_undone then x.amount::numeric else 0 end, false
            from recent r
            join jifen.allocation x on x.account_id = r.account_id and x.seq = r.seq
        ) x
        where not exists (select from asked q where q.account_id = x.account_id)
        group by x.account_id, x.lot_seq
    ),
    lot_then as materialized (
        select t.account_id, t.lot_seq, c.expires_at, c.available_at, coalesce(l.remaining::numeric, 0) + t.given_back as remaining
        from touched t
        cross join lateral (
            select e.* from jifen.entry e where e.account_id = t.account_id and e.seq = t.lot_seq offset 0
        ) c
        left join lateral (
            select l.remaining from jifen.lot l
            where l.account_id = t.account_id and l.expires_at = c.expires_at and l.seq = t.lot_seq offset 0
        ) l on true
        where not t.is_gone
    ),
    part as (
        select coalesce(sum(l.remaining) filter (where l.expires_at <= points_at.as_of), 0) as lapsed,
            coalesce(sum(l.remaining) filter (where l.expires_at > points_at.as_of and l.available_at > points_at.as_of), 0) as pending,
            0::numeric as released
        from lot_then l
        union all
        select coalesce(sum(l.remaining::bigint), 0), 0, 0
        from jifen.lot l
        where l.program_id = points_at.program_id and l.rule_no is null and l.expires_at < 'infinity' and l.expires_at <= points_at.as_of
            and not exists (select from touched t where t.account_id = l.account_id and t.lot_seq = l.seq)
            and not exists (select from asked q where q.account_id = l.account_id)
        union all
        select 0, coalesce(sum(l.remaining::bigint), 0), 0
        from jifen.lot l
        where l.program_id = points_at.program_id and l.pending_until > points_at.as_of and l.expires_at > points_at.as_of
            and not exists (select from touched t where t.account_id = l.account_id and t.lot_seq = l.seq)
            and not exists (select from asked q where q.account_id = l.account_id)
        union all
        select coalesce(sum(x.amount::numeric) filter (where c.expires_at <= points_at.as_of), 0), 0, coalesce(sum(x.amount::numeric), 0)
        from overdue o
        cross join lateral (
            select x.account_id, x.lot_seq, x.amount from jifen.allocation x
            where x.account_id = o.account_id and x.seq = o.seq offset 0
        ) x
        cross join lateral (
            select e.expires_at from jifen.entry e where e.account_id = x.account_id and e.seq = x.lot_seq offset 0
        ) c
        where not exists (select from asked q where q.account_id = o.account_id)
    ),
    undone_sums as (
        select coalesce(sum(u.amount), 0) as points, coalesce(sum(u.held), 0) as held, coalesce(sum(u.debt), 0) as debt,
            coalesce(sum((a.balance > 0)::int - (a.balance::numeric - u.amount > 0)::int), 0) as members
        from undone u
        join jifen.account a on a.account_id = u.account_id
    ),
    parts as (
        select sum(lapsed) as lapsed, sum(pending) as pending, sum(released) as released from part
    )
    select -u.members, -u.points, q.held - q.old_held - u.held - p.released, q.debt - q.old_debt - u.debt, p.pending + q.pending,
        p.lapsed + q.lapsed, q.held_back
    into points_at.members, points_at.points, points_at.held, points_at.debt, points_at.pending, points_at.lapsed, points_at.held_back
    from undone_sums u, answer q, parts p;
end
$$;

comment on function points_at(integer, timestamptz, timestamptz) is
    'How the points of the program stood at as_of, by what was booked by known_at (null: by now): members, points, held and debt as differences from the sums of all its entries, and what was pending, had lapsed, or was past its date and waited for a notice (held_back). program_id: of program_id(). Locks nothing';

revoke all on function points_at(integer, timestamptz, timestamptz) from public;

create function liability_at(
    program text,
    as_of timestamptz,
    known_at timestamptz default null,
    out members numeric,
    out points numeric,
    out available numeric,
    out pending numeric,
    out held numeric,
    out lapsed numeric,
    out debt numeric,
    out held_back numeric,
    out face_value numeric,
    out redemption_rate numeric,
    out expected_redemption numeric,
    out expected_value numeric,
    out deferred_revenue numeric,
    out currency text
)
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set jit = off
as $$
#variable_conflict use_column
declare
    own jifen.program;
    day date;
    point_value numeric;
begin
    select p.* into own from jifen.program p where p.program_id = jifen.program_id(liability_at.program);
    if liability_at.as_of is null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'as_of must not be null',
            detail = 'It is the instant of which is asked.',
            hint = 'Give now() for what is owed now.';
    end if;
    if not (isfinite(liability_at.as_of) and isfinite(coalesce(liability_at.known_at, liability_at.as_of))) then
        raise exception using errcode = 'invalid_parameter_value',
            message = 'as_of and known_at must be finite',
            detail = format('They are %s and %s.', liability_at.as_of, coalesce(liability_at.known_at::text, 'null')),
            hint = 'Leave known_at out for all that is booked.';
    end if;
    select sum(f.members), sum(f.amount), sum(f.held), sum(f.debt)
    into liability_at.members, liability_at.points, liability_at.held, liability_at.debt
    from jifen.program_flow f
    where f.program_id = own.program_id;
    select coalesce(liability_at.members, 0) + a.members, coalesce(liability_at.points, 0) + a.points,
        coalesce(liability_at.held, 0) + a.held, coalesce(liability_at.debt, 0) + a.debt, a.pending, a.lapsed, a.held_back
    into liability_at.members, liability_at.points, liability_at.held, liability_at.debt, liability_at.pending,
        liability_at.lapsed, liability_at.held_back
    from jifen.points_at(own.program_id, liability_at.as_of, liability_at.known_at) a;
    liability_at.available := liability_at.points + liability_at.debt - liability_at.pending - liability_at.held - liability_at.lapsed;
    -- Of a midnight, the day that it ends.
    day := jifen.day_until(liability_at.as_of, own.time_zone);
    point_value := (select t.point_value from jifen.point_value_term t where t.program_id = own.program_id and t.valid @> day);
    liability_at.face_value := liability_at.points * point_value;
    liability_at.currency := own.currency;
    -- Neither estimates nor revenue are told by what was known of them.
    if liability_at.known_at is null then
        liability_at.redemption_rate := jifen.estimated_redemption_rate(own.program_id, day);
        select coalesce(sum(t.expected_redemption), 0), coalesce(sum(t.deferred_revenue), 0)
        into liability_at.expected_redemption, liability_at.deferred_revenue
        from jifen.portfolio_totals(own.program_id, day, 'happened') t;
        liability_at.expected_value := liability_at.expected_redemption * point_value;
    end if;
end
$$;

comment on function liability_at(text, timestamptz, timestamptz) is
    'What the program owes at as_of, past, present or to come: the columns of liability, in points as the sums of balance(program, member, as_of, known_at) of all members, by business time. known_at: by the journal of each account up to the first entry that was booked later; then without the four columns that rest on estimates. These are of what happened by the end of the local day of as_of, of a midnight that of the day that it ends, by the estimates in effect on that day. Money is at what a point was worth on it. Raises JF002, 22004, 22023. Locks nothing';

revoke all on function liability_at(text, timestamptz, timestamptz) from public;
