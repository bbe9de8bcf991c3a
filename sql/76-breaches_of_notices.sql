-- breaches of notices: what members were told, and of which lots.

create function breaches_of_notices(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select account_id, program_id, last_seq from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
),
told as (
    select n.*, n.points::bigint as total, s.program_id as own_program_id, s.last_seq,
        row_number() over (partition by n.account_id order by n.notice_no) as place,
        max(n.after_seq) over (partition by n.account_id order by n.notice_no) as latest_seq
    from notice n join scope s on s.account_id = n.account_id
    where own_account is null or n.account_id = own_account
),
told_lot as (
    select l.account_id, l.lot_seq, l.expires_at, l.window_days, l.notice_no, l.points::bigint
    from notice_lot l join scope s on s.account_id = l.account_id
    where own_account is null or l.account_id = own_account
),
-- Each lot of a notice, with when its points were to lapse by this notice and
-- those before it.
part as (
    select l.*, t.window_days as own_window_days, t.after_seq, c.seq is not null as has_credit,
        case when c.amount > 0 then c.amount::bigint end as amount, c.rule_no, c.expires_at as not_before,
        case when r.notice_days is null then l.expires_at
            else greatest(l.expires_at, expires_at(format('%s days', r.notice_days)::expiry_policy,
                coalesce(f.counts_from, t.counts_from), r.time_zone)) end as planned_at
    from told_lot l
    join scope s on s.account_id = l.account_id
    left join told t on t.account_id = l.account_id and t.notice_no = l.notice_no
    left join entry c on c.account_id = l.account_id and c.seq = l.lot_seq and c.expires_at is not null
        and (own_account is null or c.account_id = own_account)
    left join expiry_rule r on r.program_id = s.program_id and r.rule_no = c.rule_no
    left join (
        select l.account_id, l.lot_seq, l.expires_at, l.notice_no, min(e.counts_from) as counts_from
        from told_lot l
        join told t on t.account_id = l.account_id and t.notice_no = l.notice_no
        join (
            select o.account_id, o.lot_seq, o.expires_at, o.notice_no, e.counts_from
            from told_lot o join told e on e.account_id = o.account_id and e.notice_no = o.notice_no
        ) e on e.account_id = l.account_id and e.lot_seq = l.lot_seq and e.expires_at = l.expires_at
            and e.notice_no < l.notice_no and e.counts_from <= t.sent_at
        group by l.account_id, l.lot_seq, l.expires_at, l.notice_no
    ) f on f.account_id = l.account_id and f.lot_seq = l.lot_seq and f.expires_at = l.expires_at and f.notice_no = l.notice_no
),
made_up as (
    select account_id, notice_no, sum(points) as total, min(planned_at) as first_expires_at, max(planned_at) as last_expires_at
    from part group by account_id, notice_no
)
select account_id, null::bigint, 'notices are numbered without gaps', format('notice %s', place), format('notice %s', notice_no)
from told where notice_no <> place
union all
select account_id, null, 'a notice is of its account''s program', format('notice %s: %s', notice_no, own_program_id), program_id::text
from told where program_id <> own_program_id
union all
select account_id, null, 'a notice was sent before it was recorded, and counts from then on',
    format('notice %s: sent_at <= %s, %s', notice_no, posted_at, counts_from), sent_at::text
from told where sent_at > posted_at or sent_at > counts_from
union all
select account_id, after_seq, 'notices come in the order of the entries', format('notice %s: %s to %s', notice_no, latest_seq, last_seq),
    after_seq::text
from told where after_seq not between latest_seq and last_seq
union all
select t.account_id, null, 'a notice''s points are those of its lots', format('notice %s: %s', t.notice_no, coalesce(m.total, 0)), t.total::text
from told t
left join made_up m on m.account_id = t.account_id and m.notice_no = t.notice_no
where t.total <> coalesce(m.total, 0)
union all
select t.account_id, null, 'a notice tells when its points are to lapse',
    format('notice %s: %s to %s', t.notice_no, m.first_expires_at, m.last_expires_at), format('%s to %s', t.first_expires_at, t.last_expires_at)
from told t
join made_up m on m.account_id = t.account_id and m.notice_no = t.notice_no
where (t.first_expires_at, t.last_expires_at) is distinct from (m.first_expires_at, m.last_expires_at)
union all
select account_id, lot_seq, 'a lot that was told of has its notice', format('notice %s of %s days', notice_no, window_days),
    coalesce('of ' || own_window_days || ' days', 'none')
from part where own_window_days is distinct from window_days
union all
select account_id, lot_seq, 'a lot that was told of is a credit of then', 'a credit',
    format('notice %s: %s', notice_no, case when has_credit then format('after entry %s', after_seq) else 'none' end)
from part where not has_credit or lot_seq > after_seq
union all
select account_id, lot_seq, 'no more is told of a lot than its credit was', format('notice %s: at most %s', notice_no, amount), points::text
from part where points > amount
union all
select account_id, lot_seq, 'a lot is told of by its clock', case when rule_no is null then not_before::text else format('at least %s', not_before) end,
    format('notice %s: %s', notice_no, expires_at)
from part where case when rule_no is null then expires_at <> not_before else expires_at < not_before end
union all
select account_id, lot_seq, 'a lot is told of once in a window', format('once for %s in %s days', expires_at, window_days),
    format('%s times', count(*))
from told_lot group by account_id, lot_seq, expires_at, window_days having count(*) > 1
union all
select o.account_id, o.lot_seq, 'every row has its account', 'an account', o.what
from (
    select account_id, null::bigint as lot_seq, 'a notice' as what from notice
    union all select account_id, lot_seq, 'a lot of a notice' from notice_lot
) o
where own_program is null and own_account is null
    and not exists (select from account a where a.account_id = o.account_id)
union all
select null, null, 'every template has its program', 'a program', format('language %s', t.language)
from notice_template t
where own_program is null and own_account is null
    and not exists (select from program p where p.program_id = t.program_id);
end
$$;

comment on function breaches_of_notices(integer, bigint) is
    'Breaches of notices, by numbers of program and account, null: all';

revoke all on function breaches_of_notices(integer, bigint) from public;
