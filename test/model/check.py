"""check.py: what must hold between scripts: every reading compared, the invariants by SQL, the twins."""

from generate import instants
from when import DAY, instant, show
from world import ENTRY, LATE, plain

BALANCE = ('balance', 'available', 'pending', 'held', 'lapsed', 'next_expires_at', 'next_expiring')
TIER = ('tier', 'name', 'qualifying', 'threshold', 'window_start', 'window_end', 'next_tier', 'next_threshold',
        'missing', 'holds_until')

# The invariants 1, 2, 3 and 9 of the design; each query returns a row for every breach.
INVARIANTS = {
    'balance is the sum of the entries': '''
        select a.account_id from jifen.account a left join jifen.entry e using (account_id)
        group by a.account_id
        having a.balance::int8 <> coalesce(sum(e.amount::int8), 0)
            or a.held::int8 <> coalesce(sum(e.held::int8), 0)''',
    'each entry has the balance after it': '''
        select * from (select e.account_id, e.seq, e.balance::int8 as balance,
                sum(e.amount::int8) over (partition by e.account_id order by e.seq) as running
            from jifen.entry e) x
        where balance <> running''',
    'seq has no gap up to last_seq': '''
        select a.account_id from jifen.account a left join jifen.entry e using (account_id)
        group by a.account_id
        having a.last_seq <> count(e.seq) or coalesce(min(e.seq), 1) <> 1
            or coalesce(max(e.seq), 0) <> a.last_seq''',
    'a lot is its credit less its allocations': '''
        select e.account_id, e.seq from jifen.entry e
        left join (select account_id, lot_seq, sum(amount::int8) as used from jifen.allocation
                   group by account_id, lot_seq) u on (u.account_id, u.lot_seq) = (e.account_id, e.seq)
        left join jifen.lot l on (l.account_id, l.seq) = (e.account_id, e.seq)
        where e.kind::text = 'earn'
            and (e.amount::int8 - coalesce(u.used, 0) <> coalesce(l.remaining::int8, 0)
                 or l.expires_at <> e.expires_at or l.available_at <> e.available_at)
            or e.kind::text <> 'earn' and (u.used is not null or l.seq is not null)''',
    'an entry allocates its amount': '''
        select e.account_id, e.seq from jifen.entry e
        left join jifen.allocation u using (account_id, seq)
        where e.kind::text <> 'earn'
        group by e.account_id, e.seq, e.amount::int8 having e.amount::int8 <> -coalesce(sum(u.amount::int8), 0)''',
    'balance is the open lots': '''
        select a.account_id from jifen.account a left join jifen.lot l using (account_id)
        group by a.account_id
        having a.balance::int8 <> coalesce(sum(l.remaining::int8), 0) + a.held::int8
            or min(l.remaining::int8) <= 0''',
    'reversals never exceed the entry': '''
        select e.account_id, e.seq from jifen.entry e
        join jifen.entry r on (r.account_id, r.reverses_seq) = (e.account_id, e.seq)
        group by e.account_id, e.seq, e.amount::int8
        having sign(e.amount::int8) <> -sign(min(r.amount::int8)) or abs(e.amount::int8) < abs(sum(r.amount::int8))''',
    'points by expiry month tie out': '''
        select coalesce(c.month, l.month), c.points, l.points from
            (select date_trunc('month', e.expires_at, 'UTC') as month,
                    sum(e.amount::int8 - coalesce(u.used, 0)) as points
             from jifen.entry e
             left join (select account_id, lot_seq, sum(amount::int8) as used from jifen.allocation
                        group by account_id, lot_seq) u on (u.account_id, u.lot_seq) = (e.account_id, e.seq)
             where e.kind::text = 'earn' group by 1) c
        full join (select date_trunc('month', expires_at, 'UTC') as month, sum(remaining::int8) as points
                   from jifen.lot group by 1) l on l.month = c.month
        where coalesce(c.points, 0) <> coalesce(l.points, 0)''',
}


class Checker:
    """Compares the readings of a world at random instants."""

    def __init__(self, world, clock, random):
        self.world, self.clock, self.random = world, clock, random

    def instants(self, account):
        """Past, present and future instants at which to ask; the very changes and their neighbours too."""
        now = self.world.now
        found = [now, self.clock, self.clock - self.random.randrange(1000 * DAY),
                 now + self.random.randrange(1000 * DAY)]
        turns = instants(account)
        return found + (self.random.sample(turns, min(4, len(turns))) if turns else [])

    def check(self, codes):
        """Everything about these programs and their twins."""
        if self.world.database:
            self.world.database.rows('begin isolation level repeatable read read only')
            self.world.now = self.world.database.now()
        for code in codes:
            asked = {m: self.instants(a) for m, a in self.world.ledger.programs[code].accounts.items()}
            for member, instants in asked.items():
                self.check_twins(code, member, instants)
            if self.world.database:
                for program in (code, code + LATE):
                    self.check_program(program, asked)
        if self.world.database:
            self.check_whole()
            self.world.database.rows('commit')

    def check_twins(self, code, member, instants):
        """Jobs only book: both twins give the same answers, and no part of a balance is ever negative."""
        for as_of in instants:
            if self.world.started <= as_of < self.world.now:
                continue        # a call without event_at falls on its own now() in each twin
            rows = [self.world.ledger.balance(code + suffix, member, as_of) for suffix in ('', LATE)]
            negative = [row for row in rows if min(n for n in row.values() if n is not None) < 0]
            self.world.agree('no part of a balance is negative', [], negative, code, member, show(as_of))
            answers = [{**row, 'balance': row['balance'] - row['lapsed'], 'lapsed': None} for row in rows]
            self.world.agree('expiry jobs change no answer', *answers, code, member, show(as_of))
            for row in rows:
                self.world.agree('a balance is its parts', row['balance'],
                                 row['available'] + row['pending'] + row['lapsed'], code, member, show(as_of))

    def check_program(self, program, asked):
        world, ledger, database = self.world, self.world.ledger, self.world.database
        accounts = ledger.programs[program].accounts
        stored = database.stored(program)
        world.agree('accounts exist alike', sorted(accounts), sorted(stored), program)
        for member, account in accounts.items():
            world.check_account(program, account, stored[member])

        points = [(member, as_of) for member, instants in asked.items() for as_of in instants]
        for (member, as_of), rows in zip(points, database.readings('balance', program, points)):
            world.agree_rows('balance()', BALANCE, [ledger.balance(program, member, as_of)], rows,
                             program, member, f'as_of {show(as_of)}')
        for (member, as_of), rows, tiers in zip(points, database.readings('tier_status', program, points),
                                                database.readings('tier_for', program, points)):
            status = ledger.tier_status(program, member, as_of)
            world.agree_rows('tier_status()', TIER, [status], rows, program, member, f'as_of {show(as_of)}')
            world.agree('tier_for()', [status['tier']], tiers, program, member, f'as_of {show(as_of)}')

        spans = [(member, self.random.choice(instants), self.random.choice(instants))
                 for member, instants in asked.items() for _ in range(3)]
        for span, rows in zip(spans, database.readings('expiring', program, spans)):
            world.agree('expiring()', [ledger.expiring(program, *span)], [int(row) for row in rows],
                        program, span[0], f'until {show(span[1])} as_of {show(span[2])}')
        spans += [(member, None, None) for member in accounts]
        names = tuple(name for name in ENTRY if name != 'qualifying')
        for span, rows in zip(spans, database.readings('statement', program, spans)):
            world.agree('statement()', [tuple(balance if name == 'balance' else value
                                              for name, value in zip(names, plain(entry, names)))
                                        for entry, balance in ledger.statement(program, *span)],
                        [plain(row, names) for row in rows],
                        program, span[0], f'since {show(span[1])} until {show(span[2])}')

    def check_whole(self):
        """Over all programs: reconcile(), the invariants without it, and points by day, kind and source."""
        world, database = self.world, self.world.database
        world.agree('reconcile() finds nothing', [], database.rows('select r::text from jifen.reconcile() r'), 'all')
        for name, query in INVARIANTS.items():
            world.agree('invariants by SQL', [], database.rows(query), 'all', about=name)
        found = {(code, instant(day), kind, source): int(points) for code, day, kind, source, points in
                 database.rows('''
                    select p.code, date_trunc('day', e.event_at, 'UTC')::text, e.kind::text, e.source,
                           sum(e.amount::int8)
                    from jifen.entry e join jifen.account a using (account_id)
                    join jifen.program p using (program_id) group by 1, 2, 3, 4''')}
        expected = {}
        for program in world.ledger.programs.values():
            for account in program.accounts.values():
                for entry in account.entries:
                    key = (program.code, entry.event_at // DAY * DAY, entry.kind, entry.source)
                    expected[key] = expected.get(key, 0) + entry.amount
        differing = {key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)}
        world.agree('points by day, kind and source', set(), differing, 'all')
        world.agree('points owed', sum(expected.values()), int(database.rows(
            'select coalesce(sum(balance::int8), 0) from jifen.account')[0][0]), 'all')
        expected = world.ledger.liability(world.now)
        found = {(code, month): tuple(map(int, sums)) for code, month, *sums in database.rows(
            'select program, expires_month, members, lots, points, lapsed from jifen.liability_by_expiry')}
        differing = {key: (expected.get(key), found.get(key)) for key in expected.keys() | found.keys()
                     if expected.get(key) != found.get(key)}
        world.agree('liability_by_expiry', {}, differing, 'all')
