-- breaches of journal: accounts and their entries, each by itself, and what guards them.

-- The figures of each account.
create function breaches_of_accounts(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select * from account
    where (own_program is null or program_id = own_program)
        and (own_account is null or account_id = own_account)
),
total as (
    select e.account_id, count(*) as entries, sum(e.amount::bigint) as amount,
        sum(e.held::bigint) as held, sum(e.debt::bigint) as debt, max(e.event_at) as last_event_at,
        max(e.event_at) filter (where e.kind = 'earn') as last_earn_at,
        max(e.event_at) filter (where e.kind = 'redeem') as last_redeem_at,
        max(e.event_at) filter (where e.kind = 'expire') as last_expire_at,
        max(e.event_at) filter (where e.kind = 'adjust') as last_adjust_at,
        max(e.event_at) filter (where e.kind = 'hold') as last_hold_at,
        max(e.event_at) filter (where e.kind = 'capture') as last_capture_at,
        max(e.event_at) filter (where e.kind = 'transfer_out') as last_transfer_out_at,
        max(e.event_at) filter (where e.kind = 'transfer_in') as last_transfer_in_at,
        max(e.event_at) filter (where e.kind = 'import') as last_import_at
    from entry e join scope s on s.account_id = e.account_id
    where own_account is null or e.account_id = own_account
    group by e.account_id
),
in_lots as (
    select account_id, sum(remaining::bigint) as remaining from lot
    where own_account is null or account_id = own_account
    group by account_id
),
latest_change as (
    select distinct on (account_id) account_id, status from status_change
    where own_account is null or account_id = own_account
    order by account_id, change_no desc
),
figures as (
    select s.account_id, s.balance::bigint, s.held::bigint, s.debt::bigint, s.last_seq, s.last_event_at,
        concat_ws(', ', s.last_earn_at, s.last_redeem_at, s.last_expire_at, s.last_adjust_at, s.last_hold_at,
            s.last_capture_at, s.last_transfer_out_at, s.last_transfer_in_at, s.last_import_at) as last_of_kinds,
        (s.last_earn_at, s.last_redeem_at, s.last_expire_at, s.last_adjust_at, s.last_hold_at,
            s.last_capture_at, s.last_transfer_out_at, s.last_transfer_in_at, s.last_import_at) is distinct from
        (t.last_earn_at, t.last_redeem_at, t.last_expire_at, t.last_adjust_at, t.last_hold_at,
            t.last_capture_at, t.last_transfer_out_at, t.last_transfer_in_at, t.last_import_at) as last_of_kinds_differs,
        s.status, c.status as latest_status,
        coalesce(t.entries, 0) as entries, coalesce(t.amount, 0) as total_amount,
        coalesce(t.held, 0) as total_held, coalesce(t.debt, 0) as total_debt,
        t.last_event_at as latest_event_at,
        concat_ws(', ', t.last_earn_at, t.last_redeem_at, t.last_expire_at, t.last_adjust_at, t.last_hold_at,
            t.last_capture_at, t.last_transfer_out_at, t.last_transfer_in_at, t.last_import_at) as latest_of_kinds,
        coalesce(l.remaining, 0) + s.held::bigint - s.debt::bigint as made_up
    from scope s
    left join total t on t.account_id = s.account_id
    left join in_lots l on l.account_id = s.account_id
    left join latest_change c on c.account_id = s.account_id
)
select account_id, null::bigint, 'balance is the sum of the entries', total_amount::text, balance::text
from figures where balance <> total_amount
union all
select account_id, null, 'held is the sum of the entries'' held', total_held::text, held::text
from figures where held <> total_held
union all
select account_id, null, 'debt is the sum of the entries'' debt', total_debt::text, debt::text
from figures where debt <> total_debt
union all
select account_id, null, 'balance is what is in lots and held, less the debt', made_up::text, balance::text
from figures where balance <> made_up
union all
select account_id, null, 'last_seq is the number of entries', entries::text, last_seq::text
from figures where last_seq <> entries
union all
select account_id, null, 'last_event_at is the latest of the entries', latest_event_at::text, last_event_at::text
from figures where last_event_at is distinct from latest_event_at
union all
select account_id, null, 'the last of each kind is the latest of the entries of the kind', latest_of_kinds, last_of_kinds
from figures where last_of_kinds_differs
union all
select account_id, null, 'status is that of its latest change', latest_status, status
from figures where status is distinct from latest_status
union all
select account_id, null, 'a closed account is empty', 'balance 0, held 0, debt 0',
    format('balance %s, held %s, debt %s', balance, held, debt)
from figures where status = 'closed' and not (balance = 0 and held = 0 and debt = 0);
end
$$;

comment on function breaches_of_accounts(integer, bigint) is
    'Breaches of the accounts'' figures, by numbers of program and account, null: all';

-- The entries, each by itself and with the one that it refers to.
create function breaches_of_journal(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
with scope as (
    select a.account_id, p.created_at
    from account a
    left join program p on p.program_id = a.program_id
    where (own_program is null or a.program_id = own_program)
        and (own_account is null or a.account_id = own_account)
),
-- What an entry of each kind changes, by sign; whether it has a lot of its
-- own; which way it moves points of lots (1: takes, -1: gives back); and what
-- it names that others do not.
form (kind, amount_sign, held_sign, debt_sign, has_lot, moves, names) as (values
    ('earn', 1, 0, 0, true, 0, ''),
    ('import', 1, 0, 0, true, 0, ''),
    ('redeem', -1, 0, 0, false, 1, ''),
    ('expire', -1, 0, 0, false, 1, ''),
    ('reinstate', 1, 0, 0, false, -1, 'reverses_seq'),
    ('extend', 0, 0, 0, true, 1, 'until'),
    ('adjust', 1, 0, 0, true, 0, ''),
    ('adjust', 1, 0, -1, false, 0, 'debt_seq'),
    ('adjust', -1, 0, 0, false, 1, ''),
    ('adjust', -1, 0, 1, false, 1, ''),
    ('hold', 0, 1, 0, false, 1, 'until'),
    ('capture', -1, -1, 0, false, 0, 'hold_seq'),
    ('release', 0, -1, 0, false, -1, 'hold_seq'),
    ('reverse', 1, 0, 0, false, -1, 'reverses_seq'),
    ('reverse', 1, 0, -1, false, -1, 'reverses_seq'),
    ('reverse', -1, 0, 0, false, 1, 'reverses_seq'),
    ('reverse', -1, 0, 1, false, 1, 'reverses_seq'),
    ('repay', 0, 0, -1, false, 1, 'debt_seq'),
    ('transfer_out', -1, 0, 0, false, 1, 'counter_account_id, counter_seq'),
    ('transfer_in', 1, 0, 0, true, 0, 'counter_account_id, counter_seq')
),
moved as (
    select x.account_id, x.seq, sum(x.amount::bigint) as taken,
        bool_or(x.amount > 0) as takes, bool_or(x.amount < 0) as gives_back
    from allocation x join scope s on s.account_id = x.account_id
    where own_account is null or x.account_id = own_account
    group by x.account_id, x.seq
),
journal as (
    select e.account_id, e.seq, e.kind, e.amount::bigint, e.held::bigint, e.debt::bigint, e.balance::bigint,
        e.event_at, e.posted_at, e.available_at, e.expires_at, e.until, e.issued_at, e.rule_no, e.debt_seq, e.idempotency_key,
        e.source, e.funder, e.partner, e.revenue, s.created_at,
        coalesce(e.reverses_seq, e.hold_seq, e.debt_seq) as refers_to,
        concat_ws(', ', case when e.reverses_seq is not null and e.kind <> 'extend' then 'reverses_seq' end,
            case when e.hold_seq is not null then 'hold_seq' end,
            case when e.debt_seq is not null then 'debt_seq' end,
            case when e.until is not null then 'until' end,
            case when e.counter_account_id is not null then 'counter_account_id' end,
            case when e.counter_seq is not null then 'counter_seq' end) as names,
        row_number() over in_order as place,
        sum(e.amount::bigint) over in_order as running
    from entry e join scope s on s.account_id = e.account_id
    where own_account is null or e.account_id = own_account
    window in_order as (partition by e.account_id order by e.seq)
),
-- An adjust that names a debt has the form of one that forgives, or none.
formed as (
    select j.*, f.kind is not null as has_form, f.has_lot, f.moves, f.names as form_names, m.takes, m.gives_back,
        j.held - j.debt + case when j.kind = 'extend' then 0
            else case when f.has_lot then j.amount else 0 end - coalesce(m.taken, 0) end as changes
    from journal j
    left join form f on f.kind = j.kind
        and f.amount_sign = (j.amount > 0)::int - (j.amount < 0)::int
        and f.held_sign = (j.held > 0)::int - (j.held < 0)::int
        and f.debt_sign = (j.debt > 0)::int - (j.debt < 0)::int
    left join moved m on m.account_id = j.account_id and m.seq = j.seq
),
reference as (
    select j.account_id, j.seq, j.kind, j.amount, j.event_at, e.kind as of_kind, e.amount as of_amount,
        e.debt as of_debt, e.debt_seq as of_debt_seq, e.event_at as of_event_at
    from journal j
    left join journal e on e.account_id = j.account_id and e.seq = j.refers_to and e.seq < j.seq
    where j.refers_to is not null
)
select account_id, seq, 'seq has no gap', place::text, seq::text
from journal where seq <> place
union all
select account_id, seq, 'an entry''s balance is the sum up to it', running::text, balance::text
from journal where balance <> running
union all
select j.account_id, j.seq, 'an entry of its kind has its signs',
    (select string_agg(format('%s, %s, %s', f.amount_sign, f.held_sign, f.debt_sign), ' or ') from form f where f.kind = j.kind),
    format('%s, %s, %s', j.amount, j.held, j.debt)
from formed j where not j.has_form
union all
select account_id, seq, 'an entry''s amount is what it changes in lots, held and debt', amount::text, changes::text
from formed where has_form and amount <> changes
union all
select account_id, seq, 'an entry takes from lots or gives back as its kind does',
    case moves when 1 then 'takes' when -1 then 'gives back' else 'neither' end,
    concat_ws(', ', case when takes then 'takes' end, case when gives_back then 'gives back' end)
from formed where takes and moves <> 1 or gives_back and moves <> -1
union all
select account_id, seq, 'a credit has its times, and only a credit',
    case when has_lot then 'event_at <= available_at < expires_at' else 'none' end,
    format('%s, %s', available_at, expires_at)
from formed
-- An extension that is undone may leave points that have lapsed.
where has_form and case when has_lot then (event_at <= available_at
        and (available_at < expires_at or kind in ('transfer_in', 'extend') and rule_no is not null
            or kind = 'extend' and refers_to is not null)) is not true
    else num_nonnulls(available_at, expires_at, rule_no) > 0 end
union all
select account_id, seq, 'points that stem from earlier ones keep when those were issued, and no others',
    case when kind in ('transfer_in', 'extend', 'import') then format('issued_at <= %s', event_at) else 'none' end,
    issued_at::text
from journal
where case when kind in ('transfer_in', 'extend') then (issued_at <= event_at) is not true
    when kind = 'import' then issued_at > event_at
    else issued_at is not null end
union all
select account_id, seq, 'what is issued has a source and a funder, what is spent a source and a partner, and nothing else',
    concat_ws(', ', case when has_lot then 'source, funder' when kind in ('redeem', 'capture') then 'source, partner'
        when kind = 'adjust' then 'source' else 'none' end),
    concat_ws(', ', case when source is not null then 'source' end, case when funder is not null then 'funder' end,
        case when partner is not null then 'partner' end)
from formed
where has_form and (funder is not null and not has_lot or partner is not null and kind not in ('redeem', 'capture')
    or source is not null and not (has_lot or kind in ('redeem', 'capture', 'adjust')))
union all
select account_id, seq, 'what is issued has a revenue of no less than 0, a reversal of no more, and no other entry any',
    case when kind = 'reverse' then 'at most 0' when has_lot and kind <> 'adjust' then 'at least 0' else 'none' end, revenue::text
from formed
where has_form and revenue is not null
    and case when kind = 'reverse' then revenue <= 0 else has_lot and kind <> 'adjust' and revenue >= 0 end is not true
union all
select account_id, seq, 'an entry is posted since its program was created', format('posted_at >= %s', created_at), posted_at::text
from journal where posted_at < created_at
union all
select account_id, seq, 'an entry names what its kind does', form_names, names
from formed where names <> form_names
union all
select account_id, seq, 'an entry refers to one before it of the right kind',
    case kind when 'reverse' then case when amount > 0 then 'a debit' else 'a credit' end || ' that can be undone'
        when 'reinstate' then 'an expire'
        when 'extend' then 'an extend'
        when 'capture' then 'a hold' when 'release' then 'a hold'
        else 'one that made a debt' end,
    coalesce(of_kind, 'none')
from reference
where case kind
    when 'reverse' then of_kind in ('earn', 'redeem', 'adjust', 'capture', 'transfer_out', 'transfer_in', 'import')
        and of_debt_seq is null and sign(of_amount::numeric) = -sign(amount::numeric)
    when 'reinstate' then of_kind = 'expire'
    when 'extend' then of_kind = 'extend'
    when 'capture' then of_kind = 'hold'
    when 'release' then of_kind = 'hold'
    when 'repay' then of_debt > 0
    when 'adjust' then of_debt > 0
    else true end is not true
union all
select account_id, seq, 'an entry refers to what has happened by then', format('event_at >= %s', of_event_at), event_at::text
from reference where event_at < of_event_at
union all
select account_id, max(seq), 'an idempotency key is used once in an account', '1', count(*)::text
from journal where idempotency_key is not null
group by account_id, idempotency_key having count(*) > 1;
end
$$;

comment on function breaches_of_journal(integer, bigint) is
    'Breaches of the entries, each by itself and with the one it refers to, by numbers of program and account, null: all';

-- The tables as such: rows without the row that they belong to, where
-- everything is checked; what programs keep of their rules; and the guards.
create function breaches_of_tables(own_program integer, own_account bigint)
returns table (account_id bigint, seq bigint, invariant text, expected text, found text)
language plpgsql stable parallel safe
set search_path = jifen, pg_temp
as $$
#variable_conflict use_column
begin
return query
select o.account_id, o.seq, 'every row has its account', 'an account', o.what
from (
    select account_id, null::bigint as seq, 'a status change' as what from status_change
    union all select account_id, seq, 'an entry' from entry
    union all select account_id, seq, 'a lot' from lot
    union all select account_id, seq, 'an allocation' from allocation
    union all select account_id, seq, 'a hold' from hold
    union all select account_id, seq, 'a debt' from debt
) o
where own_program is null and own_account is null
    and not exists (select from account a where a.account_id = o.account_id)
union all
select o.account_id, null, 'every account, tier, rule, extension, closing and value has its program', 'a program', o.what
from (
    select account_id, program_id, 'an account' as what from account
    union all select null, program_id, 'tier ' || code from tier
    union all select null, program_id, 'rule ' || rule_no from expiry_rule
    union all select null, program_id, 'extension ' || extension_id from extension
    union all select null, program_id, 'closing ' || change_no from period_change
    union all select null, program_id, 'value ' || change_no from point_value_change
) o
where own_program is null and own_account is null
    and not exists (select from program p where p.program_id = o.program_id)
union all
select null, null, 'a program''s rules are numbered without gaps', format('program %s: rule %s', program_id, place), format('rule %s', rule_no)
from (
    select program_id, rule_no, row_number() over (partition by program_id order by rule_no) as place from expiry_rule
    where own_account is null and (own_program is null or program_id = own_program)
) r
where rule_no <> place
union all
select null, null, 'a program keeps to its latest rule',
    format('program %s: %s', p.program_id, concat_ws(', ', r.rule_no, r.time_zone, r.expiry, r.activity, r.notice_days)),
    concat_ws(', ', p.rule_no, p.time_zone, p.expiry, p.activity, p.notice_days)
from program p
left join (
    select distinct on (program_id) * from expiry_rule order by program_id, rule_no desc
) r on r.program_id = p.program_id
where own_account is null and (own_program is null or p.program_id = own_program)
    and (p.rule_no, p.time_zone, p.expiry::text, p.activity, p.notice_days)
        is distinct from (r.rule_no, r.time_zone, r.expiry::text, r.activity, r.notice_days)
union all
select null, null, 'a program''s closings are numbered without gaps, each later than the one before',
    format('program %s: closing %s, after %s', program_id, place, changed_before), format('closing %s, %s', change_no, changed_at)
from (
    select program_id, change_no, changed_at, row_number() over in_order as place, lag(changed_at) over in_order as changed_before
    from period_change
    where own_account is null and (own_program is null or program_id = own_program)
    window in_order as (partition by program_id order by change_no)
) c
where change_no <> place or changed_at <= changed_before
union all
select null, null, 'a program''s books are closed as its latest closing says, and go on since then',
    format('program %s: closed until %s, booked from %s', p.program_id, c.closed_until, c.changed_at),
    format('closed until %s, booked from %s', p.closed_until, p.booked_from)
from program p
left join (
    select distinct on (program_id) program_id, closed_until, changed_at from period_change order by program_id, change_no desc
) c on c.program_id = p.program_id
where own_account is null and (own_program is null or p.program_id = own_program)
    and (p.closed_until is distinct from c.closed_until or p.booked_from < c.changed_at)
union all
select null, null, 'a point''s values are numbered without gaps, each as late as the one before or later, the last one that of the program',
    format('program %s: value %s, since %s or later, %s', p.program_id, c.place, c.effective_before, case when c.is_last then p.point_value else c.point_value end),
    format('value %s, since %s, %s', c.change_no, c.effective_on, c.point_value)
from program p
left join (
    select program_id, change_no, effective_on, point_value, row_number() over in_order as place, lag(effective_on) over in_order as effective_before,
        lead(change_no) over in_order is null as is_last
    from point_value_change
    window in_order as (partition by program_id order by change_no)
) c on c.program_id = p.program_id
where own_account is null and (own_program is null or p.program_id = own_program)
    and (c.change_no is null or c.change_no <> c.place or c.effective_on < c.effective_before or c.is_last and c.point_value is distinct from p.point_value)
union all
select null, null, 'an extension is of as many lots and points as its entries',
    format('extension %s: %s lots, %s points', extension_id, coalesce(e.lots, 0), coalesce(e.points, 0)),
    format('%s lots, %s points', coalesce(x.lots, 0), coalesce(x.points, 0))
from (
    select coalesce(undoes, extension_id) as extension_id, undoes is not null as is_undoing, sum(lots) as lots, sum(points) as points
    from extension where own_account is null and (own_program is null or program_id = own_program)
    group by coalesce(undoes, extension_id), undoes is not null
) x
full join (
    select substring(e.reference from '^extension (\d{1,18})$')::bigint as extension_id, e.reverses_seq is not null as is_undoing,
        count(*) as lots, sum(m.amount::bigint) as points
    from entry e
    join account a on a.account_id = e.account_id
    left join allocation m on m.account_id = e.account_id and m.seq = e.seq
    where e.kind = 'extend' and e.reference is not null and own_account is null and (own_program is null or a.program_id = own_program)
    group by 1, 2
) e using (extension_id, is_undoing)
where (coalesce(x.lots, 0), coalesce(x.points, 0)) <> (coalesce(e.lots, 0), coalesce(e.points, 0))
union all
select null, null, 'what is written once refuses changes', 'trigger refuse_change always enabled',
    format('table %s', wanted.name)
from (values ('entry'), ('allocation'), ('expiry_rule'), ('notice'), ('notice_lot'), ('period_change'), ('agreement'), ('prepayment'), ('redemption_estimate'),
    ('point_value_change')) wanted (name)
where not exists (
    select from pg_trigger t
    where t.tgrelid = format('jifen.%I', wanted.name)::regclass
        and t.tgname = 'refuse_change' and t.tgenabled = 'A');
end
$$;

comment on function breaches_of_tables(integer, bigint) is
    'Breaches of the tables: rows that belong to none, rules, closings, values and extensions that are not as they were made, and disabled guards; by numbers of program and account, null: all';

revoke all on function breaches_of_accounts(integer, bigint) from public;
revoke all on function breaches_of_journal(integer, bigint) from public;
revoke all on function breaches_of_tables(integer, bigint) from public;
