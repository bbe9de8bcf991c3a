-- reconcile: what must always hold, checked from the rows themselves.

create type breach as (
    program text,
    member text,
    account_id bigint,
    seq bigint,
    invariant text,
    expected text,
    found text
);
comment on type breach is 'Something that must hold and does not';
comment on column breach.program is 'Program; null if the account is unknown';
comment on column breach.member is 'Member; null if the account is unknown';
comment on column breach.account_id is 'Account; null if it concerns none';
comment on column breach.seq is 'Entry of the account; null if it concerns none';
comment on column breach.invariant is 'What must hold';
comment on column breach.expected is 'What should be there';
comment on column breach.found is 'What is there';

create function reconcile(program text default null, member text default null) returns setof breach
language plpgsql stable parallel safe security definer
set search_path = jifen, pg_temp
as $$
declare
    own_program integer;
    own_account bigint;
begin
    if program is null and member is not null then
        raise exception using errcode = 'null_value_not_allowed',
            message = 'program must not be null where member is given',
            hint = 'Give the program of the member, or neither.';
    end if;
    if member is not null then
        own_account := jifen.account_id(program, member);
    elsif program is not null then
        own_program := jifen.program_id(program);
    end if;
    return query select b.* from jifen.breaches(own_program, own_account) b;
end
$$;

comment on function reconcile(text, text) is
    'Checks all that must hold for one member, one program or everything, and returns a row for each breach: none where all is well. Raises JF002, JF003, 22004. Locks nothing; reads one snapshot';

-- A set-based check of one account, of all accounts of a program, or of all
-- (both null), which uses nothing of what posted them. Planned for the given
-- scope each time; without nested loops, which the planner takes for cheap on
-- tables that were never analyzed.
create function breaches(own_program integer, own_account bigint) returns setof breach
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set jit = off
as $$
begin
return query
with scope as (
    select a.*, p.code
    from account a join program p on p.program_id = a.program_id
    where (own_program is null or a.program_id = own_program)
        and (own_account is null or a.account_id = own_account)
),
journal as (
    select e.*,
        row_number() over in_order as place,
        sum(e.amount) over in_order as running,
        max(e.event_at) over (in_order rows between unbounded preceding and 1 preceding) as latest_before
    from entry e join scope s on s.account_id = e.account_id
    where own_account is null or e.account_id = own_account
    window in_order as (partition by e.account_id order by e.seq)
),
total as (
    select account_id, count(*) as entries, sum(amount) as amount, sum(held) as held,
        max(event_at) as last_event_at,
        max(event_at) filter (where kind in ('earn', 'redeem')) as last_activity_at
    from journal group by account_id
),
own_allocation as (
    select x.* from allocation x join scope s on s.account_id = x.account_id
    where own_account is null or x.account_id = own_account
),
move as (
    select x.*, j.kind, j.event_at, j.reverses_seq
    from own_allocation x join journal j on j.account_id = x.account_id and j.seq = x.seq
),
credit as (
    select account_id, seq, amount, expires_at, available_at from journal where kind = 'earn'
),
consumed as (
    select account_id, lot_seq, sum(amount) as amount
    from own_allocation
    group by account_id, lot_seq
),
open_lot as (
    select l.* from lot l join scope s on s.account_id = l.account_id
    where own_account is null or l.account_id = own_account
),
held_in_lots as (
    select account_id, sum(remaining) as remaining from open_lot group by account_id
),
-- From which entry to which a credit had something left, in booking order.
stretch as (
    select account_id, lot_seq, expires_at, available_at, seq as from_seq,
        lead(seq, 1, 9223372036854775807) over (partition by account_id, lot_seq order by seq) as to_seq,
        sum(amount) over (partition by account_id, lot_seq order by seq) as remaining
    from (
        select account_id, seq as lot_seq, seq, expires_at, available_at, amount from credit
        union all
        select m.account_id, m.lot_seq, m.seq, c.expires_at, c.available_at, -m.amount
        from move m join credit c on c.account_id = m.account_id and c.seq = m.lot_seq
    ) change
),
-- Redemptions that happened after all that was booked before them, with the
-- last lot that each took from.
redemption as (
    select distinct on (j.account_id, j.seq) j.account_id, j.seq, j.event_at,
        c.expires_at as last_expires_at, c.seq as last_lot_seq
    from journal j
    join own_allocation x on x.account_id = j.account_id and x.seq = j.seq
    join credit c on c.account_id = x.account_id and c.seq = x.lot_seq
    where j.kind = 'redeem' and (j.latest_before is null or j.event_at >= j.latest_before)
    order by j.account_id, j.seq, c.expires_at desc, c.seq desc
),
found as (
    select s.account_id, null::bigint as seq, 'balance is the sum of the entries' as invariant,
        coalesce(t.amount, 0)::text as expected, s.balance::text as found
    from scope s left join total t using (account_id)
    where s.balance <> coalesce(t.amount, 0)
    union all
    select s.account_id, null, 'held is the sum of the entries'' held',
        coalesce(t.held, 0)::text, s.held::text
    from scope s left join total t using (account_id)
    where s.held <> coalesce(t.held, 0)
    union all
    select s.account_id, null, 'last_seq is the number of entries',
        coalesce(t.entries, 0)::text, s.last_seq::text
    from scope s left join total t using (account_id)
    where s.last_seq <> coalesce(t.entries, 0)
    union all
    select s.account_id, null, 'status is that of its latest change',
        c.status, s.status
    from scope s
    left join (select distinct on (account_id) account_id, status from status_change
        where own_account is null or account_id = own_account
        order by account_id, change_no desc) c on c.account_id = s.account_id
    where s.status is distinct from c.status
    union all
    select s.account_id, null, 'a closed account is empty', '0', s.balance::text
    from scope s where s.status = 'closed' and s.balance <> 0
    union all
    select s.account_id, null, 'last_event_at is the latest of the entries',
        t.last_event_at::text, s.last_event_at::text
    from scope s left join total t using (account_id)
    where s.last_event_at is distinct from t.last_event_at
    union all
    select s.account_id, null, 'last_activity_at is the latest earn or redeem',
        t.last_activity_at::text, s.last_activity_at::text
    from scope s left join total t using (account_id)
    where s.last_activity_at is distinct from t.last_activity_at
    union all
    select account_id, seq, 'seq has no gap', place::text, seq::text
    from journal where seq <> place
    union all
    select account_id, seq, 'an entry''s balance is the sum up to it', running::text, balance::text
    from journal where balance <> running
    union all
    select account_id, seq, 'an entry of its kind has its sign',
        case when kind in ('earn', 'reinstate') then 'more than 0' else 'less than 0' end, amount::text
    from journal
    where case kind when 'earn' then amount <= 0 when 'reinstate' then amount <= 0
        when 'redeem' then amount >= 0 when 'expire' then amount >= 0 else amount = 0 end
    union all
    select account_id, seq, 'a credit has its times, and only a credit',
        case kind when 'earn' then 'event_at <= available_at < expires_at' else 'none' end,
        format('%s, %s', available_at, expires_at)
    from journal
    where case kind when 'earn' then (event_at <= available_at and available_at < expires_at) is not true
        else num_nonnulls(available_at, expires_at) > 0 end
    union all
    select j.account_id, j.seq, 'an entry that is no credit is the sum of its allocations',
        j.amount::text, (-coalesce(m.amount, 0))::text
    from journal j
    left join (select account_id, seq, sum(amount) as amount from move group by account_id, seq) m
        on m.account_id = j.account_id and m.seq = j.seq
    where case kind when 'earn' then m.amount is not null
        else j.amount <> -coalesce(m.amount, 0) end
    union all
    select x.account_id, x.seq, 'an allocation has its entry and its credit', 'both',
        format('lot_seq %s', x.lot_seq)
    from own_allocation x
    left join journal j on j.account_id = x.account_id and j.seq = x.seq
    left join credit c on c.account_id = x.account_id and c.seq = x.lot_seq
    where j.seq is null or c.seq is null or x.lot_seq >= x.seq
    union all
    select account_id, seq, 'a lot is its credit less the allocations',
        (coalesce(c.amount, 0) - coalesce(x.amount, 0))::text, coalesce(l.remaining, 0)::text
    from credit c
    full join (select account_id, lot_seq as seq, amount from consumed) x using (account_id, seq)
    full join open_lot l using (account_id, seq)
    where coalesce(c.amount, 0) - coalesce(x.amount, 0) <> coalesce(l.remaining, 0)
    union all
    select l.account_id, l.seq, 'a lot keeps its credit''s times and program',
        format('%s, %s, %s', c.available_at, c.expires_at, s.program_id),
        format('%s, %s, %s', l.available_at, l.expires_at, l.program_id)
    from open_lot l
    join scope s on s.account_id = l.account_id
    join credit c on c.account_id = l.account_id and c.seq = l.seq
    where (c.available_at, c.expires_at, s.program_id) is distinct from (l.available_at, l.expires_at, l.program_id)
    union all
    select s.account_id, null, 'balance is what is in lots and held',
        (coalesce(h.remaining, 0) + s.held)::text, s.balance::text
    from scope s left join held_in_lots h using (account_id)
    where s.balance <> coalesce(h.remaining, 0) + s.held
    union all
    select m.account_id, m.seq, 'a redemption takes what is spendable when it happens',
        format('available_at <= %s < expires_at', m.event_at),
        format('lot %s: %s, %s', m.lot_seq, c.available_at, c.expires_at)
    from move m join credit c on c.account_id = m.account_id and c.seq = m.lot_seq
    where m.kind = 'redeem' and not (c.available_at <= m.event_at and m.event_at < c.expires_at)
    union all
    select account_id, lot_seq, 'a lot is never short, by business time', 'at least 0', min(left_then)::text
    from (
        select account_id, lot_seq,
            sum(amount) over (partition by account_id, lot_seq order by event_at) as left_then
        from (
            select account_id, seq as lot_seq, event_at, amount from journal where kind = 'earn'
            union all
            select account_id, lot_seq, event_at, -amount from move
        ) change
    ) l
    where left_then < 0
    group by account_id, lot_seq
    union all
    select r.account_id, r.seq, 'a redemption takes what lapses soonest first',
        format('lot %s used up', t.lot_seq), t.remaining::text
    from redemption r
    join stretch t on t.account_id = r.account_id
        and t.remaining > 0 and t.from_seq <= r.seq and r.seq < t.to_seq
        and t.lot_seq < r.seq
        and t.available_at <= r.event_at and r.event_at < t.expires_at
        and (t.expires_at, t.lot_seq) < (r.last_expires_at, r.last_lot_seq)
    union all
    select m.account_id, m.seq, 'points expire when their lot has lapsed',
        format('event_at >= %s', c.expires_at), m.event_at::text
    from move m join credit c on c.account_id = m.account_id and c.seq = m.lot_seq
    where m.kind = 'expire' and m.event_at < c.expires_at
    union all
    select e.account_id, e.seq, 'no more is undone of an entry than it was',
        format('at most %s', abs(e.amount)), abs(r.amount)::text
    from journal e
    join (select account_id, reverses_seq, sum(amount) as amount from journal
        where reverses_seq is not null group by account_id, reverses_seq) r
        on r.account_id = e.account_id and r.reverses_seq = e.seq
    where abs(r.amount) > abs(e.amount) or sign(r.amount::numeric) = sign(e.amount::numeric)
    union all
    select e.account_id, e.seq, 'a credit''s qualifying is undone in proportion',
        div(-e.qualifying::numeric * r.amount, e.amount::numeric)::text, r.qualifying::text
    from journal e
    join (select account_id, reverses_seq, -sum(amount)::numeric as amount, sum(qualifying)::numeric as qualifying
        from journal where kind = 'reverse' group by account_id, reverses_seq) r
        on r.account_id = e.account_id and r.reverses_seq = e.seq
    where e.kind = 'earn' and r.qualifying is distinct from div(-e.qualifying::numeric * r.amount, e.amount::numeric)
    union all
    select j.account_id, j.seq, 'an entry undoes another when that has happened',
        format('event_at >= %s', e.event_at), j.event_at::text
    from journal j join journal e on e.account_id = j.account_id and e.seq = j.reverses_seq
    where j.event_at < e.event_at
    union all
    select coalesce(m.account_id, u.account_id), coalesce(m.seq, u.seq), 'no more is given back to a lot than was taken from it',
        format('lot %s: at most %s', u.lot_seq, coalesce(m.amount, 0)), (-u.amount)::text
    from (select account_id, reverses_seq as seq, lot_seq, sum(amount) as amount
        from move where amount < 0 group by account_id, reverses_seq, lot_seq) u
    left join move m on m.account_id = u.account_id and m.seq = u.seq and m.lot_seq = u.lot_seq
    where -u.amount > coalesce(m.amount, 0)
    union all
    select j.account_id, j.seq, 'an entry undoes an entry before it that can be undone so',
        case j.kind when 'reinstate' then 'an expire' else 'an earn or a redeem' end,
        coalesce(e.kind, 'none')
    from journal j
    left join journal e on e.account_id = j.account_id and e.seq = j.reverses_seq and e.seq < j.seq
    where (j.kind in ('reverse', 'reinstate')) <> (j.reverses_seq is not null)
        or j.kind = 'reverse' and coalesce(e.kind, 'none') not in ('earn', 'redeem')
        or j.kind = 'reinstate' and e.kind is distinct from 'expire'
    union all
    select o.account_id, o.seq, 'every row has its account', 'an account', o.what
    from (
        select account_id, null::bigint as seq, 'a status change' as what from status_change
        union all select account_id, seq, 'an entry' from entry
        union all select account_id, seq, 'a lot' from lot
        union all select account_id, seq, 'an allocation' from allocation
    ) o
    where own_program is null and own_account is null
        and not exists (select from account a where a.account_id = o.account_id)
    union all
    select o.account_id, null, 'every account and tier has its program', 'a program', o.what
    from (
        select account_id, program_id, 'an account' as what from account
        union all select null, program_id, 'tier ' || code from tier
    ) o
    where own_program is null and own_account is null
        and not exists (select from program p where p.program_id = o.program_id)
    union all
    select null, null, 'entries and allocations refuse changes', 'trigger refuse_change always enabled',
        format('table %s', wanted.name)
    from (values ('entry'), ('allocation')) wanted (name)
    where not exists (
        select from pg_trigger t
        where t.tgrelid = format('jifen.%I', wanted.name)::regclass
            and t.tgname = 'refuse_change' and t.tgenabled = 'A')
)
select s.code, s.member, f.account_id, f.seq, f.invariant, f.expected, f.found
from found f left join scope s on s.account_id = f.account_id;
end
$$;

comment on function breaches(integer, bigint) is
    'The check behind reconcile(), by numbers of program and account, null: all';

revoke all on function reconcile(text, text) from public;
revoke all on function breaches(integer, bigint) from public;
