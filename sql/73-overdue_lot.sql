-- overdue_lot: what holds past their deadline change whose release is not booked.

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
language c stable parallel safe security definer
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

create view overdue_lot as
select o.program_id, o.account_id, o.lot_seq, c.rule_no, c.expires_at,
    o.amount::numeric as released, o.amount::numeric as points, 0::numeric as remaining,
    0::numeric as pending, case when c.expires_at <= now() then o.amount::numeric else 0 end as lapsed, 0::numeric as held_back
from overdue_hold_lot o
cross join lateral (
    select a.debt, a.due_at from account a where a.account_id = o.account_id offset 0
) a
cross join lateral (
    select e.expires_at, e.rule_no from entry e where e.account_id = o.account_id and e.seq = o.lot_seq offset 0
) c
where a.debt = 0 and a.due_at is null
union all
select o.program_id, o.account_id, s.seq, c.rule_no, s.expires_at,
    coalesce(h.amount::numeric, 0), s.remaining::numeric - coalesce(l.remaining::numeric, 0), s.remaining::numeric,
    s.pending::numeric, s.lapsed::numeric, s.held_back::numeric
from overdue_account o
cross join lateral settled_lots(o.program, o.member, o.as_of) s
cross join lateral (
    select e.expires_at, e.rule_no from entry e where e.account_id = o.account_id and e.seq = s.seq offset 0
) c
left join lateral (
    select l.remaining from lot l where l.account_id = o.account_id and l.expires_at = c.expires_at and l.seq = s.seq offset 0
) l on true
left join lateral (
    select h.amount from overdue_hold_lot h where h.account_id = o.account_id and h.lot_seq = s.seq offset 0
) h on true;

comment on view overdue_lot is 'What the release of holds past their deadline, not booked yet, changes lot by lot; of the accounts of overdue_account all lots';
comment on column overdue_lot.program_id is 'Program of the account';
comment on column overdue_lot.account_id is 'Account';
comment on column overdue_lot.lot_seq is 'Entry of the credit whose lot it is';
comment on column overdue_lot.rule_no is 'The expiry_rule that the lot keeps to, if its expiry can move; else null';
comment on column overdue_lot.expires_at is 'When the lot lapses or, where its expiry can move, the instant of its clock';
comment on column overdue_lot.released is 'Points that are held no longer';
comment on column overdue_lot.points is 'By how much more is unspent in the lot: what is released less what of it repays a debt';
comment on column overdue_lot.remaining is 'Of accounts of overdue_account: all that is unspent in the lot';
comment on column overdue_lot.pending is 'Of accounts of overdue_account: those of remaining that are pending';
comment on column overdue_lot.lapsed is 'Of accounts of overdue_account those of remaining, of others those of points, that have lapsed';
comment on column overdue_lot.held_back is 'Of accounts of overdue_account: those of remaining that wait for a notice';
