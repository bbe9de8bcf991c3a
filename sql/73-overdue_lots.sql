-- overdue_lots: what holds past their deadline change whose release is not booked.

-- A function, as the planner would take the joins for many rows and compile
-- every view of the liability that reads them.
create function overdue_lots(of_program integer default null)
returns table (program_id integer, account_id bigint, lot_seq bigint, rule_no smallint, expires_at timestamptz,
    released numeric, points numeric)
language plpgsql stable parallel safe security definer rows 100
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
    if not exists (select from jifen.hold h
        where h.until <= now() and (of_program is null or h.program_id = of_program)) then
        return;
    end if;
    return query
    with overdue as materialized (
        select h.account_id, h.program_id, x.lot_seq, sum(x.amount::numeric) as amount
        from jifen.hold h
        cross join lateral (
            select x.lot_seq, x.amount from jifen.allocation x where x.account_id = h.account_id and x.seq = h.seq offset 0
        ) x
        where h.until <= now() and (of_program is null or h.program_id = of_program)
        group by h.account_id, h.program_id, x.lot_seq
    ),
    asked as materialized (
        select o.* from jifen.overdue_account o where of_program is null or o.program_id = of_program
    )
    select o.program_id, o.account_id, o.lot_seq, c.rule_no, c.expires_at, o.amount, o.amount
    from overdue o
    cross join lateral (
        select e.expires_at, e.rule_no from jifen.entry e where e.account_id = o.account_id and e.seq = o.lot_seq offset 0
    ) c
    where not exists (select from asked a where a.account_id = o.account_id)
    union all
    select a.program_id, a.account_id, s.seq, c.rule_no, c.expires_at, coalesce(o.amount, 0),
        s.remaining::numeric - coalesce(l.remaining::numeric, 0)
    from asked a
    cross join lateral jifen.settled_lots(a.program, a.member, now()) s
    cross join lateral (
        select e.expires_at, e.rule_no from jifen.entry e where e.account_id = a.account_id and e.seq = s.seq offset 0
    ) c
    left join lateral (
        select l.remaining from jifen.lot l
        where l.account_id = a.account_id and l.expires_at = c.expires_at and l.seq = s.seq offset 0
    ) l on true
    left join overdue o on o.account_id = a.account_id and o.lot_seq = s.seq
    where o.amount is not null or s.remaining <> coalesce(l.remaining, 0);
end
$$;

comment on function overdue_lots(integer) is
    'What the release of holds past their deadline, not booked yet, changes lot by lot now, in points: released: held no longer; points: how much more is unspent in the lot, what repays a debt taken off. expires_at: what was reckoned when it was credited; rule_no: null unless it can move. of_program: program_id, null for all. Locks nothing';

revoke all on function overdue_lots(integer) from public;
