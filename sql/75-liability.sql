-- liability: what the issuer owes.

-- Points, what is held and what is owed come from the flows; what is pending,
-- has lapsed or waits for a notice is found by indexes on what is open. So
-- neither the journal nor all lots or accounts are read.
create view liability as
select p.code as program,
    coalesce(f.members, 0) as members,
    coalesce(f.points, 0) as points,
    coalesce(f.points - f.held + f.debt, 0) + coalesce(o.points, 0) - s.lapsed - s.pending as available,
    s.pending,
    coalesce(f.held, 0) - coalesce(o.released, 0) as held,
    s.lapsed,
    coalesce(f.debt, 0) - coalesce(o.released - o.points, 0) as debt,
    s.held_back,
    coalesce(f.points, 0) * p.point_value as face_value,
    e.redemption_rate,
    e.expected_redemption,
    e.expected_redemption * p.point_value as expected_value,
    e.deferred_revenue,
    p.currency
from program p
left join (
    select program_id, sum(amount) as points, sum(held) as held, sum(debt) as debt, sum(members) as members
    from day_flow
    group by program_id
) f on f.program_id = p.program_id
left join (
    select program_id, sum(released) as released, sum(points) as points, sum(pending) as pending, sum(lapsed) as lapsed,
        sum(held_back) as held_back
    from overdue_lot
    group by program_id
) o on o.program_id = p.program_id
cross join lateral (
    select coalesce(sum(l.remaining::numeric), 0) as points
    from lot l
    where l.program_id = p.program_id and l.pending_until > now() and not exists (
            select from overdue_account x where x.account_id = l.account_id
        )
        -- No lot lapses before its expires_at.
        and (l.expires_at > now() or l.rule_no is not null and not exists (
            select from open_lot x where x.account_id = l.account_id and x.seq = l.seq and x.lapses_at <= now()
        ))
) pending
cross join lateral (
    select coalesce(sum(l.remaining::numeric), 0) as points
    from lot l
    where l.program_id = p.program_id and l.rule_no is null and l.expires_at < 'infinity' and l.expires_at <= now()
        and not exists (
            select from overdue_account x where x.account_id = l.account_id
        )
) fixed
cross join lateral (
    select coalesce(sum(l.points), 0) as points
    from account a
    cross join lateral (
        select sum(x.remaining::numeric) as points
        from open_lot x
        where x.account_id = a.account_id and x.rule_no is not null and x.lapses_at <= now()
        offset 0
    ) l
    where a.program_id = p.program_id and a.due_at < 'infinity' and a.due_at <= now()
        and not exists (
            select from overdue_account x where x.account_id = a.account_id
        )
) moving
cross join lateral (
    select coalesce(sum(c.points), 0) as points
    from expiry_rule r
    join lot l on l.program_id = r.program_id and l.rule_no = r.rule_no and l.expires_at <= now()
    cross join lateral (
        select sum(x.remaining::numeric) as points
        from open_lot x
        where x.account_id = l.account_id and x.seq = l.seq and x.expires_at <= now() and x.lapses_at > now()
        offset 0
    ) c
    where r.program_id = p.program_id and r.notice_days is not null and l.program_id = p.program_id and l.rule_no is not null
        and not exists (
            select from overdue_account x where x.account_id = l.account_id
        )
) waiting
cross join lateral (
    select pending.points + coalesce(o.pending, 0) as pending,
        fixed.points + moving.points + coalesce(o.lapsed, 0) as lapsed,
        waiting.points + coalesce(o.held_back, 0) as held_back
) s
cross join lateral (
    select estimated_redemption_rate(p.program_id, d.day) as redemption_rate,
        expected_redemption(p.program_id, d.day) as expected_redemption,
        deferred_revenue(p.program_id, d.day) as deferred_revenue
    from (select (now() at time zone p.time_zone)::date as day) d
) e;

comment on view liability is 'What each program owes now, in points as the sum of balance() of all members and in money; whatever is booked counts, also what is dated ahead of now';
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
