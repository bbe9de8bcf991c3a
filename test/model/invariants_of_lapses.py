"""invariants_of_lapses.py: what must hold in the tables where points lapse, by SQL as in invariants.py."""

from account import ACTIVITIES

MOVES = '''
    with moves as (         -- what entries took of lots, with the credit that made the lot
        select u.account_id, u.seq, u.lot_seq, u.amount::int8 as amount, e.kind::text as kind, e.event_at,
            e.reverses_seq, c.event_at as credited_at, c.available_at, c.expires_at, c.rule_no,
            c.kind::text = 'extend' and c.reverses_seq is not null as undone
        from jifen.allocation u join jifen.entry e using (account_id, seq)
        join jifen.entry c on (c.account_id, c.seq) = (u.account_id, u.lot_seq))
    '''

INVARIANTS = {
    'what is spent could be spent': MOVES + '''
        select account_id, seq, lot_seq from moves
        where kind in ('redeem', 'hold', 'transfer_out') and amount > 0
            and (event_at < available_at or event_at >= expires_at and rule_no is null)''',
    'nothing is taken of a lot before it was credited': MOVES + '''
        select account_id, seq, lot_seq from moves where amount > 0 and event_at < credited_at''',
    'no lot expires before its instant; one that does not move at it, or when points came back': MOVES + '''
        select account_id, seq, lot_seq from moves x
        where kind = 'expire' and (event_at < expires_at or event_at > expires_at and rule_no is null and not undone
            and not exists (select from moves b where b.amount < 0 and b.seq < x.seq
                and (b.account_id, b.lot_seq, b.event_at) = (x.account_id, x.lot_seq, x.event_at)))''',
    'a reinstatement undoes an expiry, at its time, and no more of each lot': MOVES + '''
        select account_id, seq from moves r
        where kind = 'reinstate' and not exists (select from moves x
            where (x.account_id, x.seq, x.lot_seq, x.event_at, x.kind)
                = (r.account_id, r.reverses_seq, r.lot_seq, r.event_at, 'expire'))
        union all
        select x.account_id, x.seq from moves x join moves r
            on (r.account_id, r.reverses_seq, r.lot_seq, r.kind) = (x.account_id, x.seq, x.lot_seq, 'reinstate')
        where x.kind = 'expire' group by x.account_id, x.seq, x.lot_seq, x.amount having x.amount + sum(r.amount) < 0''',
    'a lot keeps the rule, the policy and the issue of its credit': '''
        select l.account_id, l.seq from jifen.lot l join jifen.entry e using (account_id, seq)
        where l.rule_no is distinct from e.rule_no
            or l.expiry::text is distinct from case when e.expiry::text like '%inactive%' then e.expiry::text end
            or l.rule_no is not null and l.counts_from <> coalesce(e.issued_at, e.event_at)''',
    'rules are those of the program': '''
        select e.account_id, e.seq from jifen.entry e join jifen.account a using (account_id)
        left join jifen.expiry_rule r on (r.program_id, r.rule_no) = (a.program_id, e.rule_no)
        where e.rule_no is not null and r.rule_no is null
        union all
        select p.program_id, p.rule_no from jifen.program p
        left join jifen.expiry_rule r on (r.program_id, r.rule_no, r.time_zone, r.expiry::text, r.activity)
            = (p.program_id, p.rule_no, p.time_zone, p.expiry::text, p.activity)
            and r.notice_days is not distinct from p.notice_days
        where r.rule_no is null
            or p.rule_no <> (select max(x.rule_no) from jifen.expiry_rule x where x.program_id = p.program_id)
            or p.rule_no <> (select count(*) from jifen.expiry_rule x where x.program_id = p.program_id)''',
    'accounts keep the latest of each kind': '''
        select a.account_id from jifen.account a left join jifen.entry e using (account_id)
        group by a.account_id having ''' + ' or '.join(
            f"a.last_{kind}_at is distinct from max(e.event_at) filter (where e.kind::text = '{kind}')"
            for kind in (*ACTIVITIES, 'expire')),
    'due_at is set where a lot ever moved, and not after any lapses': '''
        select a.account_id from jifen.account a
        where (a.due_at is null) = exists (select from jifen.entry e
                                           where e.account_id = a.account_id and e.rule_no is not null)
            or exists (select from jifen.open_lot o join jifen.lot l using (account_id, seq)
                       where o.account_id = a.account_id and l.rule_no is not null and o.lapses_at < a.due_at)''',
    'what has lapsed by the latest activity is booked': '''
        select o.account_id, o.seq from jifen.open_lot o join jifen.lot l using (account_id, seq)
        join jifen.account a on a.account_id = o.account_id
        join jifen.expiry_rule r on (r.program_id, r.rule_no) = (a.program_id, l.rule_no)
        where o.lapses_at <= (select max(e.event_at) from jifen.entry e
                              where e.account_id = o.account_id and e.kind::text = any (r.activity))''',
    'notices are numbered, and tell of what there was': '''
        select n.account_id, n.notice_no from jifen.notice n
        left join jifen.notice_lot l using (account_id, notice_no)
        group by n.account_id, n.notice_no, n.points, n.window_days
        having n.points::int8 <> sum(l.points::int8)
            or min(l.window_days) <> n.window_days or max(l.window_days) <> n.window_days
            or n.notice_no > (select count(*) from jifen.notice x where x.account_id = n.account_id)
        union all
        select l.account_id, l.notice_no from jifen.notice_lot l
        left join jifen.entry e on (e.account_id, e.seq) = (l.account_id, l.lot_seq)
        where e.expires_at is null or l.expires_at < e.expires_at''',
}
