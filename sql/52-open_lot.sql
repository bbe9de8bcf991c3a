-- open_lot: what is unspent, and when it lapses as things stand.

create function lot_expires_at(
    expires_at timestamptz,
    expiry expiry_policy,
    counts_from timestamptz,
    active_at timestamptz,
    joined_at timestamptz,
    time_zone text
) returns timestamptz
language c immutable parallel safe
as 'MODULE_PATHNAME';

comment on function lot_expires_at(timestamptz, expiry_policy, timestamptz, timestamptz, timestamptz, text) is
    'Where the clock of a lot of those columns stands: greatest(expires_at, least(the policy''s terms from counts_from, its inactive term from active_at or else counts_from)); joined_at: when the member joined, for membership years; expires_at for a null expiry, null where expires_at is. Raises 22023 for an unknown time zone. Locks nothing';

create function settled_lots(
    program text,
    member text,
    as_of timestamptz,
    out seq bigint,
    out remaining point_amount,
    out expires_at timestamptz
) returns setof record
language c stable parallel safe security definer rows 20
set search_path = jifen, pg_temp
as 'MODULE_PATHNAME';

comment on function settled_lots(text, text, timestamptz) is
    'The member''s lots as they will be once the holds past their deadline at as_of are booked as released and debts repaid from that, but for what lapses of them: what is left of each in points, and the instant of its clock (expires_at). Raises JF002, JF003, 22004, 22023. Locks nothing';

revoke all on function settled_lots(text, text, timestamptz) from public;

-- Of all other accounts, the release gives back what the hold took, and no more.
create view overdue_account as
select h.account_id, h.program_id, p.code as program, a.member
from (select distinct h.account_id, h.program_id from hold h where h.until <= now()) h
cross join lateral (select * from account where account_id = h.account_id offset 0) a
join program p on p.program_id = h.program_id
where a.debt > 0 or a.due_at is not null;

comment on view overdue_account is 'Accounts with a hold past its deadline whose release, not booked yet, repays debts or meets lots that can move; reports are made of it';
comment on column overdue_account.account_id is 'Account';
comment on column overdue_account.program_id is 'Program of the account';
comment on column overdue_account.program is 'Code of the program';
comment on column overdue_account.member is 'Member';

create view overdue_hold_lot as
select h.account_id, h.program_id, x.lot_seq, sum(x.amount) as amount
from hold h
join allocation x on x.account_id = h.account_id and x.seq = h.seq
where h.until <= now()
group by h.account_id, h.program_id, x.lot_seq;

comment on view overdue_hold_lot is 'What holds give back to which lots whose deadline has passed and whose release is not booked; reports are made of it';
comment on column overdue_hold_lot.account_id is 'Account';
comment on column overdue_hold_lot.program_id is 'Program of the account';
comment on column overdue_hold_lot.lot_seq is 'Entry of the credit whose lot it is';
comment on column overdue_hold_lot.amount is 'Points';

-- The accounts of overdue_account are told by settled_lots(). That an account is
-- none of them its own row tells of nearly all; of the others their holds do.
create view open_lot as
select l.account_id, l.program_id, l.seq, l.available_at, l.remaining, c.expires_at,
    case
        when r.notice_days is null then c.expires_at
        when n.noticed_at is null then 'infinity'
        else greatest(c.expires_at, expires_at(format('%s days', r.notice_days)::expiry_policy, n.noticed_at, r.time_zone))
    end as lapses_at,
    r.notice_days,
    n.noticed_at,
    l.rule_no
from (
    select l.account_id, l.program_id, l.seq, l.expires_at, l.available_at,
        case when o.amount is null then l.remaining else l.remaining + o.amount end as remaining,
        l.rule_no, l.counts_from, l.expiry, false as is_settled
    from lot l
    left join overdue_hold_lot o on o.account_id = l.account_id and o.lot_seq = l.seq
    union all
    -- A lot that is used up but for them.
    select o.account_id, o.program_id, o.lot_seq, e.expires_at, e.available_at, o.amount,
        e.rule_no, coalesce(e.issued_at, e.event_at), case when e.rule_no is not null then e.expiry end, false
    from overdue_hold_lot o
    join entry e on e.account_id = o.account_id and e.seq = o.lot_seq
    where not exists (select from lot l where l.account_id = e.account_id and l.expires_at = e.expires_at and l.seq = e.seq)
    union all
    select o.account_id, o.program_id, s.seq, s.expires_at, e.available_at, s.remaining, e.rule_no, null, null, true
    from overdue_account o
    cross join lateral settled_lots(o.program, o.member, now()) s
    cross join lateral (
        select e.available_at, e.rule_no from entry e where e.account_id = o.account_id and e.seq = s.seq offset 0
    ) e
    where s.remaining > 0
) l
join account a on a.account_id = l.account_id
left join expiry_rule r on r.program_id = l.program_id and r.rule_no = l.rule_no
cross join lateral (
    select case
        when l.expiry is null then l.expires_at
        else lot_expires_at(l.expires_at, l.expiry, l.counts_from, activity_at(a, r.activity), a.opened_at, r.time_zone)
    end as expires_at
) c
left join lateral (
    select min(n.counts_from) as noticed_at
    from notice_lot x
    join notice n on n.account_id = x.account_id and n.notice_no = x.notice_no
    -- Said here as well, for most lots need none.
    where r.notice_days is not null and x.account_id = l.account_id and x.lot_seq = l.seq and x.expires_at = c.expires_at
) n on r.notice_days is not null
where l.is_settled or a.held = 0 or a.debt = 0 and a.due_at is null
    or not exists (select from hold h where h.account_id = l.account_id and h.until <= now() offset 0);

comment on view open_lot is 'Lots that have points left, those of holds past their deadline among them less what of that repays debts, and when they lapse as things stand; reading it takes EXECUTE on settled_lots()';
comment on column open_lot.account_id is 'Account';
comment on column open_lot.program_id is 'Program of the account';
comment on column open_lot.seq is 'Entry of the credit';
comment on column open_lot.available_at is 'From when the lot can be spent';
comment on column open_lot.remaining is 'Points left';
comment on column open_lot.expires_at is 'When its points are to lapse if the member does nothing, infinity for never';
comment on column open_lot.lapses_at is 'When they do lapse: later than expires_at for want of a notice; infinity while none is on record';
comment on column open_lot.notice_days is 'Days for which a notice must have been on record; null: none is needed';
comment on column open_lot.noticed_at is 'From when the days of the first notice are counted; null: there is none';
comment on column open_lot.rule_no is 'The expiry_rule that the lot keeps to, if its expiry can move; else null';
