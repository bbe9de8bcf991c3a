-- overdue_lots: what holds past their deadline change whose release is not booked.

create function settled_lots(
    program text,
    member text,
    as_of timestamptz,
    out seq bigint,
    out remaining point_amount,
    out pending point_amount,
    out lapsed point_amount,
    out held_back point_amount,
    out expires_at timestamptz
) returns setof record
language c stable parallel safe security definer rows 20
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function settled_lots(text, text, timestamptz) is
    'The member''s lots at as_of as balance() reckons them, with holds past their deadline released and debts repaid from that: what is left of each in points, and what of that is pending, has lapsed, or is past its date and waits for a notice; expires_at: the instant of its clock. Raises JF002, JF003, 22004, 22023. Locks nothing';

revoke all on function settled_lots(text, text, timestamptz) from public;

-- Of all other accounts, such a release gives back what the hold took, and no more.
create view overdue_account as
select a.account_id, a.program_id, p.code as program, a.member, greatest(now(), a.last_event_at) as as_of
from (select distinct h.account_id from hold h where h.until <= now()) h
cross join lateral (select * from account where account_id = h.account_id offset 0) a
join program p on p.program_id = a.program_id
where a.debt > 0 or a.due_at is not null;

comment on view overdue_account is 'Accounts with a hold past its deadline whose release, not booked yet, repays debts or meets lots that can move';
comment on column overdue_account.account_id is 'Account';
comment on column overdue_account.program_id is 'Program of the account';
comment on column overdue_account.program is 'Code of the program';
comment on column overdue_account.member is 'Member';
comment on column overdue_account.as_of is 'Now, or when the latest of the account''s entries happened, if that is later';

-- A function, as the planner would take the joins for many rows and compile
-- every view of the liability that reads them.
create function overdue_lots(of_program integer default null)
returns table (program_id integer, account_id bigint, lot_seq bigint, rule_no smallint, expires_at timestamptz,
    released numeric, points numeric, remaining numeric, pending numeric, lapsed numeric, held_back numeric)
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
    select o.program_id, o.account_id, o.lot_seq, c.rule_no, c.expires_at, o.amount, o.amount, 0::numeric,
        0::numeric, case when c.expires_at <= now() then o.amount else 0 end, 0::numeric
    from overdue o
    cross join lateral (
        select e.expires_at, e.rule_no from jifen.entry e where e.account_id = o.account_id and e.seq = o.lot_seq offset 0
    ) c
    where not exists (select from asked a where a.account_id = o.account_id)
    union all
    select a.program_id, a.account_id, s.seq, c.rule_no, s.expires_at, coalesce(o.amount, 0),
        s.remaining::numeric - coalesce(l.remaining::numeric, 0), s.remaining::numeric, s.pending::numeric, s.lapsed::numeric,
        s.held_back::numeric
    from asked a
    cross join lateral jifen.settled_lots(a.program, a.member, a.as_of) s
    cross join lateral (
        select e.expires_at, e.rule_no from jifen.entry e where e.account_id = a.account_id and e.seq = s.seq offset 0
    ) c
    left join lateral (
        select l.remaining from jifen.lot l
        where l.account_id = a.account_id and l.expires_at = c.expires_at and l.seq = s.seq offset 0
    ) l on true
    left join overdue o on o.account_id = a.account_id and o.lot_seq = s.seq;
end
$$;

comment on function overdue_lots(integer) is
    'What the release of holds past their deadline, not booked yet, changes lot by lot now, in points: released: held no longer; points: how much more is unspent in the lot, what repays a debt taken off; lapsed: what of points has lapsed. Of the accounts of overdue_account all lots: remaining is what is unspent, and pending, lapsed and held_back are of that. expires_at: the instant of the lot''s clock; rule_no: null unless it can move. of_program: program_id, null for all. Locks nothing';

revoke all on function overdue_lots(integer) from public;
