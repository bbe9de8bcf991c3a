-- breaches of references: entries that end, undo or answer others.

-- Holds and debts: each is open in its table or ended in the journal.
create function breaches_of_holds_and_debts(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select account_id, program_id from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
),
journal as (
    select e.account_id, e.seq, e.kind, e.held::bigint, e.debt::bigint, e.event_at, e.until, e.reverses_seq, e.hold_seq,
        e.debt_seq, s.program_id
    from entry e join scope s on s.account_id = e.account_id
    where (own_account is null or e.account_id = own_account) and (e.held <> 0 or e.debt <> 0 or e.hold_seq is not null)
),
holding as (
    select * from journal where kind = 'hold'
),
ending as (
    select account_id, hold_seq as seq, sum(held) as held,
        count(*) filter (where kind = 'capture') as captures, count(*) filter (where kind = 'release') as releases,
        min(seq) filter (where kind = 'capture') as capture_seq, min(seq) filter (where kind = 'release') as release_seq
    from journal where hold_seq is not null
    group by account_id, hold_seq
),
open_hold as (
    select h.account_id, h.seq, h.until, h.amount::bigint, h.program_id
    from hold h join scope s on s.account_id = h.account_id
    where own_account is null or h.account_id = own_account
),
owing as (
    select account_id, seq, debt from journal where debt > 0
),
repaid as (
    select account_id, coalesce(debt_seq, reverses_seq) as seq, sum(debt) as debt
    from journal where debt < 0
    group by account_id, coalesce(debt_seq, reverses_seq)
),
open_debt as (
    select d.account_id, d.seq, d.remaining::bigint
    from debt d join scope s on s.account_id = d.account_id
    where own_account is null or d.account_id = own_account
)
select account_id, seq, 'an open hold is one that nothing ended',
    case when e.held is null then coalesce(h.held, 0) else 0 end::text, coalesce(o.amount, 0)::text
from holding h
full join ending e using (account_id, seq)
full join open_hold o using (account_id, seq)
where case when e.held is null then coalesce(h.held, 0) else 0 end <> coalesce(o.amount, 0)
union all
select h.account_id, h.seq, 'an open hold keeps its entry''s deadline and program',
    format('%s, %s', h.until, h.program_id), format('%s, %s', o.until, o.program_id)
from holding h
join open_hold o on o.account_id = h.account_id and o.seq = h.seq
where (h.until, h.program_id) is distinct from (o.until, o.program_id)
union all
select h.account_id, h.seq, 'what is captured and released of a hold is the hold', h.held::text, (-e.held)::text
from holding h
join ending e on e.account_id = h.account_id and e.seq = h.seq
where h.held + e.held <> 0
union all
select account_id, seq, 'a hold ends once, and its rest is released with the capture', 'captured, released, or one after the other',
    format('%s captures, %s releases, %s', captures, releases, concat_ws(' and ', capture_seq, release_seq))
from ending
where captures > 1 or releases > 1 or release_seq <> capture_seq + 1
union all
select account_id, seq, 'a hold''s deadline is after it', format('until > %s', event_at), until::text
from holding where until <= event_at
union all
select j.account_id, j.seq, 'a hold is captured before its deadline and released by it',
    format('event_at %s %s', case j.kind when 'capture' then '<' else '<=' end, h.until), j.event_at::text
from journal j
join holding h on h.account_id = j.account_id and h.seq = j.hold_seq
where j.kind = 'capture' and j.event_at >= h.until or j.kind = 'release' and j.event_at > h.until
union all
select account_id, seq, 'a debt is what was taken less what was repaid, undone or forgiven',
    (coalesce(d.debt, 0) + coalesce(r.debt, 0))::text, coalesce(o.remaining, 0)::text
from owing d
full join repaid r using (account_id, seq)
full join open_debt o using (account_id, seq)
where coalesce(d.debt, 0) + coalesce(r.debt, 0) <> coalesce(o.remaining, 0);
end
$$;

comment on function breaches_of_holds_and_debts(integer, bigint) is
    'Breaches of holds and debts, by numbers of program and account, null: all';

-- What entries undo of others.
create function breaches_of_reversals(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select account_id, due_at from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
),
journal as (
    select e.account_id, e.seq, e.kind, e.amount::bigint, e.qualifying::bigint, e.revenue, e.expires_at,
        e.reverses_seq, e.hold_seq, e.debt_seq, s.due_at is null as is_fixed
    from entry e join scope s on s.account_id = e.account_id
    where own_account is null or e.account_id = own_account
),
undone as (
    select account_id, reverses_seq as seq, -sum(amount) as amount, sum(qualifying) as qualifying,
        bool_or(kind = 'reverse') as by_reverse
    from journal where reverses_seq is not null
    group by account_id, reverses_seq
),
-- The entry on whose account a debit takes and a reversal gives back: a
-- capture's lots are its hold's, and a repayment takes what the debt stood for.
taken as (
    select account_id, seq, lot_seq, coalesce(sum(amount) filter (where amount > 0), 0) as taken,
        -coalesce(sum(amount) filter (where amount < 0), 0) as given_back
    from (
        select x.account_id, x.lot_seq, x.amount::bigint,
            case when j.kind = 'release' then j.hold_seq when j.kind = 'repay' then j.debt_seq
                when j.amount > 0 then coalesce(c.hold_seq, j.reverses_seq)
                else j.seq end as seq
        from allocation x
        join journal j on j.account_id = x.account_id and j.seq = x.seq
        left join journal c on c.account_id = j.account_id and c.seq = j.reverses_seq and c.kind = 'capture'
        where own_account is null or x.account_id = own_account
    ) move
    group by account_id, seq, lot_seq
)
select e.account_id, e.seq, 'no more is undone of an entry than it was',
    format('at most %s', abs(e.amount::numeric)), abs(u.amount)::text
from journal e
join undone u on u.account_id = e.account_id and u.seq = e.seq
where (abs(u.amount) > abs(e.amount::numeric) or sign(u.amount) = -sign(e.amount::numeric)) and e.kind <> 'extend'
union all
select e.account_id, e.seq, 'a credit''s qualifying is undone in proportion',
    div(-e.qualifying * u.amount, e.amount)::text, u.qualifying::text
from journal e
join undone u on u.account_id = e.account_id and u.seq = e.seq
where e.amount <> 0 and u.by_reverse and u.qualifying is distinct from div(-e.qualifying * u.amount, e.amount)
union all
-- Rounded as a whole up to each reversal, so that the last one ends at nothing.
select account_id, seq, 'a credit''s revenue is undone in proportion', wanted::text, revenue::text
from (
    select r.account_id, r.seq, r.revenue, case when e.kind in ('earn', 'import') then
        round(round(e.revenue * (r.undone - r.amount), scale(e.revenue) + 6) / nullif(e.amount, 0), scale(e.revenue))
        - round(round(e.revenue * r.undone, scale(e.revenue) + 6) / nullif(e.amount, 0), scale(e.revenue)) end as wanted
    from (
        select account_id, seq, reverses_seq, revenue, -amount as amount,
            -sum(amount) over (partition by account_id, reverses_seq order by seq) as undone
        from journal where kind = 'reverse'
    ) r
    left join journal e on e.account_id = r.account_id and e.seq = r.reverses_seq
) r
where revenue is distinct from wanted
union all
select account_id, seq, 'no more is given back to a lot than was taken from it',
    format('lot %s: at most %s', lot_seq, taken), given_back::text
from taken where given_back > taken
union all
-- An expire and a transfer can be undone lot by lot.
select account_id, seq, 'what was taken last is given back first', format('lot %s: %s', lot_seq, wanted), given_back::text
from (
    select t.account_id, t.seq, t.lot_seq, t.given_back,
        greatest(0, least(t.taken, sum(t.given_back) over whole - sum(t.taken) over from_last + t.taken)) as wanted
    from taken t
    join journal e on e.account_id = t.account_id and e.seq = t.seq
    join journal c on c.account_id = t.account_id and c.seq = t.lot_seq
    where e.kind in ('redeem', 'adjust', 'hold') and e.is_fixed
    window whole as (partition by t.account_id, t.seq),
        from_last as (partition by t.account_id, t.seq order by c.expires_at desc, c.seq desc)
) t
where given_back <> wanted;
end
$$;

comment on function breaches_of_reversals(integer, bigint) is
    'Breaches of what entries undo of others, by numbers of program and account, null: all';

-- Transfers: what one account gives, lot by lot, is what the other receives.
-- For one account, those that it has transfers with are read as well.
create function breaches_of_transfers(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
declare
    parties bigint[] := case when own_account is not null then array(
        select own_account
        union
        select e.counter_account_id from entry e
        where e.account_id = own_account and e.counter_account_id is not null) end;
begin
if cardinality(parties) = 1 then
    return;
end if;
return query
with scope as (
    select account_id, program_id from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = any (parties))
),
journal as not materialized (
    select e.account_id, e.seq, e.kind, e.amount::bigint, e.event_at, e.available_at, e.expires_at, e.issued_at, e.source,
        e.funder, e.revenue, e.rule_no, e.reverses_seq, e.counter_account_id, e.counter_seq
    from entry e join scope s on s.account_id = e.account_id
    where own_account is null or e.account_id = any (parties)
),
half as (
    select * from journal where kind in ('transfer_out', 'transfer_in')
),
move as not materialized (
    select x.account_id, x.seq, x.lot_seq, x.amount::bigint from allocation x
    where own_account is null or x.account_id = any (parties)
),
-- An extend entry's own lot is what it takes of another.
extended as (
    select x.account_id, x.seq, sum(x.amount) as amount
    from journal j join move x on x.account_id = j.account_id and x.seq = j.seq
    where j.kind = 'extend'
    group by x.account_id, x.seq
),
undoing as (
    select j.account_id, j.seq, j.amount, h.kind as of_kind, h.seq as of_seq
    from half h join journal j on j.account_id = h.account_id and j.reverses_seq = h.seq
    where j.kind = 'reverse'
),
given as (
    select o.account_id, o.seq, o.counter_account_id, o.counter_seq, x.amount, o.event_at, c.expires_at, c.rule_no, c.source, c.funder,
        round(round(c.revenue * x.amount, scale(c.revenue) + 6) / nullif(coalesce(t.amount, c.amount), 0), scale(c.revenue) + 6) as revenue,
        coalesce(c.issued_at, c.event_at) as issued_at, coalesce(u.amount, 0) as undone,
        row_number() over (partition by o.account_id, o.seq order by c.expires_at, x.lot_seq) as place
    from half o
    join move x on x.account_id = o.account_id and x.seq = o.seq
    left join journal c on c.account_id = x.account_id and c.seq = x.lot_seq
    left join extended t on t.account_id = c.account_id and t.seq = c.seq
    left join (
        select u.account_id, u.of_seq, x.lot_seq, -sum(x.amount) as amount
        from undoing u join move x on x.account_id = u.account_id and x.seq = u.seq
        where u.of_kind = 'transfer_out'
        group by u.account_id, u.of_seq, x.lot_seq
    ) u on u.account_id = x.account_id and u.of_seq = x.seq and u.lot_seq = x.lot_seq
    where o.kind = 'transfer_out'
),
received as (
    select i.*, coalesce(u.amount, 0) as undone,
        row_number() over (partition by i.counter_account_id, i.counter_seq, i.account_id order by i.seq) as place
    from half i
    left join (
        select account_id, of_seq, -sum(amount) as amount from undoing group by account_id, of_seq
    ) u on u.account_id = i.account_id and u.of_seq = i.seq
    where i.kind = 'transfer_in'
),
-- One for each lot given; of one account, on its own side.
part as (
    select case when r.account_id = own_account or g.account_id is null then r.account_id else g.account_id end as account_id,
        case when r.account_id = own_account or g.account_id is null then r.seq else g.seq end as seq,
        (g.amount, g.event_at, g.event_at, case when g.rule_no is null then g.expires_at end, g.rule_no, g.issued_at, g.source,
                g.funder, g.revenue)
            is distinct from (r.amount, r.event_at, r.available_at, case when r.rule_no is null then r.expires_at end, r.rule_no,
                r.issued_at, r.source, r.funder, r.revenue) or g.expires_at > r.expires_at as differs,
        case when g.account_id is null then 'none'
            else concat_ws(', ', g.amount, g.event_at, g.expires_at, g.rule_no, g.issued_at, g.source, g.funder, g.revenue) end as given,
        case when r.account_id is null then 'none'
            else concat_ws(', ', r.amount, r.event_at, r.expires_at, r.rule_no, r.issued_at, r.source, r.funder, r.revenue) end as received,
        coalesce(g.undone, 0) as given_undone, coalesce(r.undone, 0) as received_undone,
        g.place, r.seq as received_seq, g.counter_seq
    from given g
    full join received r on r.counter_account_id = g.account_id and r.counter_seq = g.seq
        and r.account_id = g.counter_account_id and r.place = g.place
    where own_account is null or own_account in (g.account_id, r.account_id)
)
select account_id, seq, 'each lot that a transfer takes is received as it is', given, received
from part where differs
union all
select account_id, seq, 'a transfer_out names the first transfer_in of it', received_seq::text, counter_seq::text
from part where place = 1 and received_seq <> counter_seq
union all
select account_id, seq, 'a transfer is undone on both sides alike, lot by lot', given_undone::text, received_undone::text
from part where given_undone <> received_undone
union all
select h.account_id, h.seq, 'a transfer stays within its program', s.program_id::text, c.program_id::text
from half h
join scope s on s.account_id = h.account_id
left join (select account_id, program_id from account
    where own_account is null or account_id = any (parties)) c on c.account_id = h.counter_account_id
where (own_account is null or h.account_id = own_account) and s.program_id is distinct from c.program_id;
end
$$;

comment on function breaches_of_transfers(integer, bigint) is
    'Breaches of transfers between two accounts, by numbers of program and account, null: all';

revoke all on function breaches_of_holds_and_debts(integer, bigint) from public;
revoke all on function breaches_of_reversals(integer, bigint) from public;
revoke all on function breaches_of_transfers(integer, bigint) from public;
