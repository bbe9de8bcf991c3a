"""invariants.py: what must hold in the tables, by SQL that owes nothing to the model or to reconcile()."""

# Each entry with its own lot (null where it has none), and with what all its allocations take.
ENTRIES = '''
    with e as (
        select e.account_id, e.seq, e.kind::text as kind, e.amount::int8 as amount, e.held::int8 as held,
            e.debt::int8 as debt, e.balance::int8 as balance, e.event_at, e.expires_at, e.available_at, e.until,
            e.rule_no, e.reverses_seq, e.hold_seq, e.debt_seq, e.counter_account_id, e.counter_seq, e.idempotency_key, e.source,
            e.posted_at, coalesce(u.taken, 0) as taken, coalesce(u.lots, 0) as lots,
            case when e.kind::text in ('earn', 'import', 'transfer_in') then e.amount::int8
                when e.kind::text = 'adjust' and e.amount::int8 > 0 and e.debt_seq is null then e.amount::int8
                when e.kind::text = 'extend' then u.taken end as own
        from jifen.entry e
        left join (select account_id, seq, sum(amount::int8) as taken, count(*) as lots from jifen.allocation
                   group by account_id, seq) u using (account_id, seq))
    '''

# The invariants 1, 2, 3, 6, 7 and 9 of the design; each query returns a row for every breach.
INVARIANTS = {
    'an account is the sum of its entries': ENTRIES + '''
        select a.account_id from jifen.account a left join e using (account_id)
        group by a.account_id
        having a.balance::int8 <> coalesce(sum(e.amount), 0) or a.held::int8 <> coalesce(sum(e.held), 0)
            or a.debt::int8 <> coalesce(sum(e.debt), 0) or a.held::int8 < 0 or a.debt::int8 < 0''',
    'each entry has the balance after it': ENTRIES + '''
        select * from (select e.account_id, e.seq, e.balance,
                sum(e.amount) over (partition by e.account_id order by e.seq) as running from e) x
        where balance <> running''',
    'seq has no gap up to last_seq': '''
        select a.account_id from jifen.account a left join jifen.entry e using (account_id)
        group by a.account_id
        having a.last_seq <> count(e.seq) or coalesce(min(e.seq), 1) <> 1
            or coalesce(max(e.seq), 0) <> a.last_seq''',
    'an amount is what becomes of lots, holds and debt': ENTRIES + '''
        select account_id, seq from e where coalesce(own, 0) - taken + held - debt <> amount''',
    'kinds move what they may': ENTRIES + '''
        select account_id, seq, kind from e where not coalesce(case kind
            when 'earn' then amount > 0 and lots = 0 and held = 0 and debt = 0
            when 'import' then amount > 0 and lots = 0 and held = 0 and debt = 0
            when 'transfer_in' then amount > 0 and lots = 0 and held = 0 and debt = 0 and counter_seq is not null
            when 'transfer_out' then amount < 0 and taken = -amount and held = 0 and debt = 0
                and counter_seq is not null
            when 'redeem' then amount < 0 and taken = -amount and held = 0 and debt = 0
            when 'expire' then amount < 0 and taken = -amount and held = 0 and debt = 0
            when 'reinstate' then amount > 0 and taken = -amount and held = 0 and debt = 0 and reverses_seq < seq
            when 'hold' then amount = 0 and held > 0 and taken = held and debt = 0 and until > event_at
            when 'capture' then amount < 0 and held = amount and lots = 0 and debt = 0 and hold_seq < seq
            when 'release' then amount = 0 and held < 0 and taken = held and debt = 0 and hold_seq < seq
            when 'repay' then amount = 0 and held = 0 and debt < 0 and taken = -debt and debt_seq < seq
            when 'extend' then amount = 0 and held = 0 and debt = 0 and taken > 0 and lots = 1
            when 'reverse' then amount <> 0 and held = 0 and sign(debt) in (0, -sign(amount)) and reverses_seq < seq
            when 'adjust' then amount <> 0 and held = 0 and (debt = 0 or debt > 0 and amount < 0
                or debt = -amount and debt_seq < seq and lots = 0) end, false)''',
    'an entry with a lot of its own, and no other, has the lot\'s times': ENTRIES + '''
        select account_id, seq from e
        where (own is null) <> (expires_at is null) or (own is null) <> (available_at is null)
            or not event_at <= available_at
            or not available_at < expires_at and rule_no is null and not (kind = 'extend' and reverses_seq is not null)''',
    'a lot is its credit less its allocations': ENTRIES + '''
        select e.account_id, e.seq from e
        left join (select account_id, lot_seq, sum(amount::int8) as used from jifen.allocation
                   group by account_id, lot_seq) u on (u.account_id, u.lot_seq) = (e.account_id, e.seq)
        left join jifen.lot l on (l.account_id, l.seq) = (e.account_id, e.seq)
        where e.own is not null
            and (e.own - coalesce(u.used, 0) <> coalesce(l.remaining::int8, 0) or l.remaining::int8 <= 0
                 or l.expires_at <> e.expires_at or l.available_at <> e.available_at)
            or e.own is null and (u.used is not null or l.seq is not null)''',
    'no lot is ever short': ENTRIES + '''
        select * from (
            select account_id, lot_seq, event_at, sum(n) over (partition by account_id, lot_seq order by event_at) as left
            from (select account_id, seq as lot_seq, event_at, own as n from e where own is not null
                  union all
                  select u.account_id, u.lot_seq, e.event_at, -u.amount::int8
                  from jifen.allocation u join e using (account_id, seq)) moves) x
        where "left" < 0''',
    'balance is lots and holds less debts': '''
        select a.account_id from jifen.account a
        left join (select account_id, sum(remaining::int8) as n from jifen.lot group by 1) l using (account_id)
        left join (select account_id, sum(amount::int8) as n from jifen.hold group by 1) h using (account_id)
        left join (select account_id, sum(remaining::int8) as n from jifen.debt group by 1) d using (account_id)
        where a.balance::int8 <> coalesce(l.n, 0) + coalesce(h.n, 0) - coalesce(d.n, 0)
            or a.held::int8 <> coalesce(h.n, 0) or a.debt::int8 <> coalesce(d.n, 0)''',
    'open holds are those that nothing ended': ENTRIES + '''
        select account_id, j.seq, h.seq from (
            select h.account_id, h.seq, h.until, h.held + coalesce(sum(x.held), 0) as n
            from e h left join e x on (x.account_id, x.hold_seq) = (h.account_id, h.seq)
            where h.kind = 'hold' group by h.account_id, h.seq, h.until, h.held) j
        full join jifen.hold h using (account_id, seq)
        where coalesce(j.n, -1) <> coalesce(h.amount::int8, 0) or j.until <> h.until''',
    'a hold is ended at once, and with the lots it took': ENTRIES + '''
        select h.account_id, h.seq from e h join e x on (x.account_id, x.hold_seq) = (h.account_id, h.seq)
        group by h.account_id, h.seq, h.held, h.kind, h.until
        having h.kind <> 'hold' or sum(x.held) <> -h.held or max(x.event_at) > h.until
            or count(*) filter (where x.kind = 'capture') > 1 or count(*) filter (where x.kind = 'release') > 1
        union all
        select h.account_id, h.seq from e h
        join jifen.allocation u on (u.account_id, u.seq) = (h.account_id, h.seq)
        left join (select x.account_id, x.hold_seq, r.lot_seq, sum(r.amount::int8) as back
                   from e x join jifen.allocation r using (account_id, seq) where x.kind = 'release'
                   group by x.account_id, x.hold_seq, r.lot_seq) b
            on (b.account_id, b.hold_seq, b.lot_seq) = (h.account_id, h.seq, u.lot_seq)
        where h.kind = 'hold' and u.amount::int8 + coalesce(b.back, 0) < 0''',
    'open debts are what nothing repaid, forgave or undid': ENTRIES + '''
        select account_id, j.seq, d.seq from (
            select m.account_id, m.seq, m.debt + coalesce(sum(x.debt), 0) as n
            from e m left join e x on x.account_id = m.account_id and x.debt < 0
                and coalesce(x.debt_seq, x.reverses_seq) = m.seq
            where m.debt > 0 group by m.account_id, m.seq, m.debt) j
        full join jifen.debt d using (account_id, seq)
        where coalesce(j.n, -1) <> coalesce(d.remaining::int8, 0)''',
    'reversals never exceed the entry': ENTRIES + '''
        select e.account_id, e.seq from e join e r on (r.account_id, r.reverses_seq) = (e.account_id, e.seq)
        group by e.account_id, e.seq, e.amount
        having sign(e.amount) <> -sign(min(r.amount)) or abs(e.amount) < abs(sum(r.amount))''',
    'keys are unique': '''
        select account_id, idempotency_key from jifen.entry where idempotency_key is not null
        group by 1, 2 having count(*) > 1''',
    'what one account gave the other has': ENTRIES + '''
        select o.account_id, o.seq from e o
        left join e i on (i.account_id, i.counter_account_id, i.counter_seq)
            = (o.counter_account_id, o.account_id, o.seq) and i.kind = 'transfer_in'
        where o.kind = 'transfer_out'
        group by o.account_id, o.seq, o.amount, o.counter_seq
        having o.amount + coalesce(sum(i.amount), 0) <> 0 or o.counter_seq <> min(i.seq)
        union all
        select i.account_id, i.seq from e i
        left join e o on (o.account_id, o.seq) = (i.counter_account_id, i.counter_seq) and o.kind = 'transfer_out'
        where i.kind = 'transfer_in' and o.seq is null''',
    'transfers and their reversals sum to zero in each program': ENTRIES + '''
        select a.program_id from e join jifen.account a using (account_id)
        left join e t on (t.account_id, t.seq) = (e.account_id, e.reverses_seq)
        where coalesce(t.kind, e.kind) in ('transfer_in', 'transfer_out')
        group by a.program_id having sum(e.amount) <> 0''',
    'each program rolls forward by day, kind and source to what it owes': ENTRIES + '''
        select program_id, rolled, owed from (
            select distinct on (program_id) program_id, sum(moved) over (partition by program_id order by day) as rolled
            from (select a.program_id, date_trunc('day', e.event_at, 'UTC') as day, e.kind, e.source,
                      sum(e.amount) as moved
                  from e join jifen.account a using (account_id) group by 1, 2, 3, 4) cuts
            order by program_id, day desc) x
        full join (select program_id, sum(balance::int8) as owed from jifen.account group by 1) a using (program_id)
        where coalesce(rolled, 0) <> coalesce(owed, 0)''',
    'points by expiry month tie out': ENTRIES + '''
        select coalesce(c.month, l.month), c.points, l.points from
            (select date_trunc('month', e.expires_at, 'UTC') as month, sum(e.own - coalesce(u.used, 0)) as points
             from e
             left join (select account_id, lot_seq, sum(amount::int8) as used from jifen.allocation
                        group by account_id, lot_seq) u on (u.account_id, u.lot_seq) = (e.account_id, e.seq)
             where e.own is not null group by 1) c
        full join (select date_trunc('month', expires_at, 'UTC') as month, sum(remaining::int8) as points
                   from jifen.lot group by 1) l on l.month = c.month
        where coalesce(c.points, 0) <> coalesce(l.points, 0)''',
}
