-- breaches of lapses: when lots lapse whose expiry can move, and what follows.

-- Of accounts that ever had such a lot; of others, breaches_of_spending() sees
-- to the order of spending by their fixed instants. When a lot lapses is found
-- from its credit, the activities and the notices, all of them by business time;
-- the order of spending by what was booked before each debit: each open lot at
-- each debit. A merge join of parts that are sorted would go by the account
-- alone; a hash join goes by the whole key.
create function breaches_of_lapses(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
return query
with recursive scope as (
    select account_id, program_id, opened_at, due_at from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
        and due_at is not null
),
journal as (
    select *, is_debit and (latest_before is null or event_at >= latest_before) as in_order
    from (
        select e.account_id, e.seq, e.kind, e.amount::bigint, e.debt::bigint, e.event_at, e.available_at, e.expires_at,
            coalesce(e.issued_at, e.event_at) as issued_at, e.rule_no, e.expiry, e.reverses_seq,
            e.kind = 'hold' or e.amount < 0 and e.kind in ('redeem', 'adjust', 'transfer_out', 'reverse') as is_debit,
            case when e.kind = 'reverse' then e.reverses_seq end as first_lot_seq,
            e.kind in ('earn', 'import', 'transfer_in', 'extend')
                or e.kind = 'adjust' and e.amount > 0 and e.debt_seq is null as has_lot,
            max(e.event_at) over (partition by e.account_id order by e.seq
                rows between unbounded preceding and 1 preceding) as latest_before,
            s.program_id, s.opened_at
        from entry e join scope s on s.account_id = e.account_id
        where own_account is null or e.account_id = own_account
    ) e
),
move as (
    select x.account_id, x.seq, x.lot_seq, x.amount::bigint, j.kind, j.event_at, j.is_debit, j.in_order, j.reverses_seq,
        x.lot_seq is not distinct from j.first_lot_seq as is_first
    from allocation x
    join journal j on j.account_id = x.account_id and j.seq = x.seq
    where own_account is null or x.account_id = own_account
),
credit as (
    select j.account_id, j.seq, j.event_at, j.available_at, j.expires_at, j.issued_at, j.opened_at,
        case when j.expiry::text like '%inactive%' then j.expiry end as expiry, r.rule_no, r.time_zone, r.activity, r.notice_days,
        case when j.kind = 'extend' then m.amount else j.amount end as amount
    from journal j
    left join expiry_rule r on r.program_id = j.program_id and r.rule_no = j.rule_no
    left join (
        select account_id, seq, sum(amount) as amount from move where kind = 'extend' group by account_id, seq
    ) m on m.account_id = j.account_id and m.seq = j.seq
    where j.has_lot
),
-- Where no notice is needed, a clock goes on with each activity up to the first
-- after which there is a gap: none comes before the inactive term has ended, or
-- none came at all. A gap that ends before the lot's expires_at does not matter
-- to it.
clock as (
    select distinct account_id, rule_no, expiry::text as policy, activity, time_zone, opened_at,
        (select part from regexp_split_to_table(expiry::text, ' or ') part where part like '%inactive%')::expiry_policy as term
    from credit where expiry is not null and notice_days is null
),
gap as (
    select account_id, rule_no, policy, active_at, next_at
    from (
        select k.account_id, k.rule_no, k.policy, a.event_at as active_at,
            coalesce(lead(a.event_at) over in_order, 'infinity') as next_at,
            expires_at(k.term, a.event_at, k.time_zone, k.opened_at) as lapses_at
        from clock k
        join (select distinct account_id, kind, event_at from journal) a on a.account_id = k.account_id and a.kind = any (k.activity)
        window in_order as (partition by k.account_id, k.rule_no, k.policy order by a.event_at)
    ) a
    where next_at >= lapses_at
    union all
    select k.account_id, k.rule_no, k.policy, null, coalesce(min(j.event_at), 'infinity')
    from clock k
    left join journal j on j.account_id = k.account_id and j.kind = any (k.activity)
    group by k.account_id, k.rule_no, k.policy
),
stopped as (
    select account_id, seq, rule_no, policy, next_at
    from (
        select account_id, seq, rule_no, policy,
            min(next_at) over (partition by account_id, rule_no, policy order by at, next_at nulls first
                rows between current row and unbounded following) as next_at
        from (
            select account_id, seq, rule_no, expiry::text as policy, expires_at as at, null::timestamptz as next_at
            from credit where expiry is not null and notice_days is null
            union all
            select account_id, null, rule_no, policy, next_at, next_at from gap
        ) event
    ) event
    where seq is not null
),
-- Where one is needed, from activity to activity, as long as each comes before
-- the lot has lapsed.
followed as (
    select c.account_id, c.seq, 0 as step, null::timestamptz as active_at, d.due_at,
        lapse_of(c.account_id, c.seq, d.due_at, c.notice_days, c.time_zone, null) as lapses_at
    from credit c
    cross join lateral (
        select lot_expires_at(c.expires_at, c.expiry, c.issued_at, null, c.opened_at, c.time_zone) as due_at offset 0
    ) d
    where c.notice_days is not null
    union all
    select f.account_id, f.seq, f.step + 1, a.active_at, d.due_at,
        lapse_of(c.account_id, c.seq, d.due_at, c.notice_days, c.time_zone, null)
    from followed f
    join credit c on c.account_id = f.account_id and c.seq = f.seq
    cross join lateral (
        select min(e.event_at) as active_at from entry e
        where e.account_id = f.account_id and e.kind = any (c.activity)
            and e.event_at > coalesce(f.active_at, '-infinity') and e.event_at < f.lapses_at
    ) a
    cross join lateral (
        select lot_expires_at(c.expires_at, c.expiry, c.issued_at, a.active_at, c.opened_at, c.time_zone) as due_at offset 0
    ) d
    where c.expiry is not null and a.active_at is not null
),
lapse as (
    select account_id, seq, lapses_at
    from (select distinct on (account_id, seq) account_id, seq, lapses_at from followed order by account_id, seq, step desc) f
    union all
    select c.account_id, c.seq, lot_expires_at(c.expires_at, c.expiry, c.issued_at, g.active_at, c.opened_at, c.time_zone)
    from credit c
    join stopped s on s.account_id = c.account_id and s.seq = c.seq
    left join gap g on g.account_id = s.account_id and g.rule_no = s.rule_no and g.policy = s.policy and g.next_at = s.next_at
    where c.expiry is not null and c.notice_days is null
),
latest as (
    select r.account_id, r.rule_no, max(j.event_at) as active_at
    from (select distinct account_id, rule_no, activity from credit where rule_no is not null) r
    join journal j on j.account_id = r.account_id and j.kind = any (r.activity)
    group by r.account_id, r.rule_no
),
open_lot as (
    select l.account_id, l.seq, p.lapses_at, a.active_at
    from lot l
    join lapse p on p.account_id = l.account_id and p.seq = l.seq
    join credit c on c.account_id = l.account_id and c.seq = l.seq
    left join latest a on a.account_id = c.account_id and a.rule_no = c.rule_no
    where own_account is null or l.account_id = own_account
),
-- What was left of each lot from an entry on until the next that moved it.
stretch as (
    select account_id, lot_seq, seq as from_seq, lead(seq) over in_order as until_seq, sum(amount) over in_order as remaining
    from (
        select account_id, seq as lot_seq, seq, amount from credit
        union all
        select account_id, lot_seq, seq, -amount from move
    ) change
    window in_order as (partition by account_id, lot_seq order by seq rows between unbounded preceding and current row)
),
-- When the member was active last by each entry, by what was booked before it.
active as (
    select j.account_id, r.rule_no, j.seq, max(j.event_at) filter (where j.kind = any (r.activity)) over before as active_at
    from (select distinct account_id, rule_no, activity from credit where rule_no is not null) r
    join journal j on j.account_id = r.account_id
    window before as (partition by j.account_id, r.rule_no order by j.seq rows between unbounded preceding and 1 preceding)
),
-- How the lots stood at each debit in order: what was left after it, and taken.
standing as (
    select d.account_id, d.seq, c.seq as lot_seq, s.remaining, m.lot_seq is not null as is_taken, d.debt > 0 as takes_all,
        case when c.rule_no is null then c.expires_at
            else lot_expires_at(c.expires_at, c.expiry, c.issued_at, a.active_at, c.opened_at, c.time_zone) end as due_at,
        d.event_at, c.time_zone, c.notice_days
    from journal d
    join stretch s on s.account_id = d.account_id and s.from_seq <= d.seq and (s.until_seq is null or s.until_seq > d.seq)
    join credit c on c.account_id = s.account_id and c.seq = s.lot_seq
    left join move m on m.account_id = d.account_id and m.seq = d.seq and m.lot_seq = c.seq
    left join active a on a.account_id = d.account_id and a.rule_no = c.rule_no and a.seq = d.seq
    where d.in_order and c.seq < d.seq and c.available_at <= d.event_at and c.seq is distinct from d.first_lot_seq
        and (s.remaining > 0 or m.lot_seq is not null)
)
select account_id, seq, 'points expire when their lot has lapsed', format('lot %s: at or after %s', lot_seq, lapses_at), expired_at::text
from (
    select m.account_id, coalesce(m.reverses_seq, m.seq) as seq, m.lot_seq, p.lapses_at,
        min(m.event_at) as expired_at, sum(m.amount) as amount
    from move m
    join lapse p on p.account_id = m.account_id and p.seq = m.lot_seq
    where m.kind in ('expire', 'reinstate')
    group by m.account_id, coalesce(m.reverses_seq, m.seq), m.lot_seq, p.lapses_at
) e
where amount > 0 and expired_at < lapses_at
union all
select account_id, seq, 'what has lapsed is booked before the next activity', format('nothing left from %s on', lapses_at),
    format('activity at %s', active_at)
from open_lot where lapses_at <= active_at
union all
select m.account_id, m.seq, 'a debit takes what is spendable when it happens',
    format('%s before %s', m.event_at, p.lapses_at), format('lot %s', m.lot_seq)
from move m
join lapse p on p.account_id = m.account_id and p.seq = m.lot_seq
where (m.is_debit and not m.is_first or m.kind = 'repay') and m.event_at >= p.lapses_at
union all
select b.account_id, b.seq, 'a debit takes what lapses soonest first', format('lot %s used up', b.lot_seq), b.remaining::text
from standing b
left join (
    select distinct on (account_id, seq) account_id, seq, due_at, lot_seq from standing
    where is_taken order by account_id, seq, due_at desc, lot_seq desc
) t on t.account_id = b.account_id and t.seq = b.seq
where b.remaining > 0 and (b.takes_all or (t.due_at, t.lot_seq) > (b.due_at, b.lot_seq))
    and b.event_at < case when b.notice_days is null then b.due_at
        else lapse_of(b.account_id, b.lot_seq, b.due_at, b.notice_days, b.time_zone, b.seq) end
union all
select s.account_id, null, 'no lot lapses before due_at', min(o.lapses_at)::text, s.due_at::text
from scope s join open_lot o on o.account_id = s.account_id
group by s.account_id, s.due_at
having min(o.lapses_at) < s.due_at;
end
$$;

comment on function breaches_of_lapses(integer, bigint) is
    'Breaches of when lots lapse whose expiry can move, by numbers of program and account, null: all';

create function lapse_of(account_id bigint, lot_seq bigint, due_at timestamptz, notice_days integer, time_zone text, known_seq bigint)
returns timestamptz
language sql stable parallel safe
set search_path = jifen, pg_temp
as $$
    select case
        when notice_days is null then due_at
        when n.noticed_at is null then 'infinity'
        else greatest(due_at, expires_at(format('%s days', notice_days)::expiry_policy, n.noticed_at, time_zone))
    end
    from (
        select min(n.counts_from) as noticed_at from notice_lot x
        join notice n on n.account_id = x.account_id and n.notice_no = x.notice_no
        where notice_days is not null
            and x.account_id = lapse_of.account_id and x.lot_seq = lapse_of.lot_seq and x.expires_at = lapse_of.due_at
            and (known_seq is null or n.after_seq < known_seq)
    ) n
$$;

comment on function lapse_of(bigint, bigint, timestamptz, integer, text, bigint) is
    'When the lot lapses whose clock stands at due_at, by the notices recorded before the entry known_seq, null: all';

revoke all on function breaches_of_lapses(integer, bigint) from public;
revoke all on function lapse_of(bigint, bigint, timestamptz, integer, text, bigint) from public;
