-- liability: what the issuer owes.

-- What the flows do not tell, found by indexes on what is open: neither all lots
-- nor all accounts are read, whatever the planner knows of the tables. Planned
-- once for all programs, for that takes longer than to look up what one has.
create function unbooked(
    program_id integer,
    out released numeric,
    out repaid numeric,
    out pending numeric,
    out lapsed numeric,
    out held_back numeric
)
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
#variable_conflict use_column
declare
    -- Accounts with lots that can move and may have lapsed, or wait for a notice.
    due bigint[] := array(
        select a.account_id from jifen.account a
        where a.program_id = unbooked.program_id and a.due_at < 'infinity' and a.due_at <= now()
        union
        select l.account_id
        from jifen.expiry_rule r
        cross join lateral (
            select l.account_id from jifen.lot l
            where l.program_id = r.program_id and l.rule_no = r.rule_no and l.expires_at <= now() offset 0
        ) l
        where r.program_id = unbooked.program_id and r.notice_days is not null
        union
        select o.account_id from jifen.overdue_account o where o.program_id = unbooked.program_id);
    part numeric;
begin
    select coalesce(sum(o.released), 0), coalesce(sum(o.released - o.points), 0),
        coalesce(sum(o.points) filter (where o.rule_no is null and o.expires_at <= now()), 0)
    into unbooked.released, unbooked.repaid, unbooked.lapsed
    from jifen.overdue_lots(unbooked.program_id) o;

    -- No lot lapses before its expires_at. What holds took is not pending.
    select coalesce(sum(l.remaining::bigint), 0) into unbooked.pending
    from jifen.lot l
    where l.program_id = unbooked.program_id and l.pending_until > now()
        and (l.expires_at > now() or l.rule_no is not null and not exists (
            select from jifen.open_lot x where x.account_id = l.account_id and x.seq = l.seq and x.lapses_at <= now()
        ));

    select coalesce(sum(l.remaining::bigint), 0) into part
    from jifen.lot l
    where l.program_id = unbooked.program_id and l.rule_no is null and l.expires_at < 'infinity' and l.expires_at <= now();
    unbooked.lapsed := unbooked.lapsed + part;

    select coalesce(sum(x.remaining::bigint) filter (where x.lapses_at <= now()), 0),
        coalesce(sum(x.remaining::bigint) filter (where x.lapses_at > now()), 0)
    into part, unbooked.held_back
    from jifen.open_lot x
    where x.account_id = any (due) and x.rule_no is not null and x.expires_at <= now();
    unbooked.lapsed := unbooked.lapsed + part;
end
$$;

comment on function unbooked(integer) is
    'Points of the program that the sums of its entries do not tell now: those of holds past their deadline (released) and what of them repays debts (repaid); those in lots that are pending, have lapsed, or are past their date and wait for a notice (held_back). program_id: of program_id(). Locks nothing';

revoke all on function unbooked(integer) from public;

create view liability as
select p.code as program,
    coalesce(f.members, 0) as members,
    coalesce(f.points, 0) as points,
    coalesce(f.points - f.held + f.debt, 0) + u.released - u.repaid - u.pending - u.lapsed as available,
    u.pending,
    coalesce(f.held, 0) - u.released as held,
    u.lapsed,
    coalesce(f.debt, 0) - u.repaid as debt,
    u.held_back,
    coalesce(f.points, 0) * p.point_value as face_value,
    r.redemption_rate,
    coalesce(e.expected_redemption, 0) as expected_redemption,
    coalesce(e.expected_redemption, 0) * p.point_value as expected_value,
    coalesce(e.deferred_revenue, 0) as deferred_revenue,
    p.currency
from program p
left join (
    select program_id, sum(amount) as points, sum(held) as held, sum(debt) as debt, sum(members) as members
    from program_flow
    group by program_id
) f on f.program_id = p.program_id
cross join lateral unbooked(p.program_id) u
cross join lateral (select estimated_redemption_rate(p.program_id, local_day(now(), p.time_zone)) as redemption_rate offset 0) r
left join portfolio_totals() e on e.program_id = p.program_id;

comment on view liability is 'What each program owes now, in points as the sum of balance() of all members and in money; whatever is booked counts, also what is dated ahead of now; what is expected and deferred is of the end of the local day';
comment on column liability.program is 'Program';
comment on column liability.members is 'Members with a balance above zero';
comment on column liability.points is 'All points owed: available + pending + held + lapsed - debt';
comment on column liability.available is 'Points that can be spent';
comment on column liability.pending is 'Points to be spent later';
comment on column liability.held is 'Points reserved by holds whose deadline is to come';
comment on column liability.lapsed is 'Points past their expiry that are not booked yet';
comment on column liability.debt is 'Points that members owe';
comment on column liability.held_back is 'Those of available and pending that are past their date and wait for a notice';
comment on column liability.face_value is 'Points at the program''s point_value; null where it has none';
comment on column liability.redemption_rate is 'Share of the points issued in this local year that are estimated to be redeemed; null: there is no estimate';
comment on column liability.expected_redemption is 'Points in lots and on hold that are still to be redeemed by the estimates for the years of their issue; without an estimate all';
comment on column liability.expected_value is 'expected_redemption at the program''s point_value; null where it has none';
comment on column liability.deferred_revenue is 'Consideration allocated to points that is not recognised as revenue yet';
comment on column liability.currency is 'Currency of face_value, expected_value and deferred_revenue';
