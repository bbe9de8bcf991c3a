"""check.py: what must hold between scripts: every reading compared, the invariants by SQL, the twins."""

import invariants
import invariants_of_lapses
import reports
from operation import instants
from when import DAY, SECOND, instant, show
from rows import LINE, plain
from stored import check_account
from world import LATE

BALANCE = ('balance', 'available', 'pending', 'held', 'lapsed', 'debt', 'next_expires_at', 'next_expiring', 'held_back')
JOBS_BOOK = ('expire', 'reinstate')
TIER = ('tier', 'name', 'qualifying', 'threshold', 'window_start', 'window_end', 'next_tier', 'next_threshold',
        'missing', 'holds_until')


def in_order(account):
    """Whether what was known at a time is the journal up to there: now() of a call that had to wait is earlier."""
    times = [entry.posted_at for entry in account.entries]
    return times == sorted(times)


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
            programs = [p for p in (code, code + LATE) if p in self.world.ledger.programs]
            for member, instants in asked.items():
                self.check_balances(programs, member, instants)
                self.check_expired(programs, member)
            if len(programs) == 2 and code not in self.world.parted:
                self.check_twins(*programs, asked)
            if self.world.database:
                for program in programs:
                    self.check_program(program, asked)
        if self.world.database:
            self.check_whole()
            self.world.database.rows('commit')

    def check_balances(self, programs, member, instants):
        """Jobs only book: both twins give the same answers, and no part of a balance is ever negative."""
        for as_of in instants:
            rows = [self.world.ledger.balance(program, member, as_of) for program in programs]
            for program, row in zip(programs, rows):
                negative = [name for name, n in row.items() if name != 'balance' and n is not None and n < 0]
                self.world.agree('no part of a balance is negative', [], negative, program, member, show(as_of))
                self.world.agree('a balance is its parts', row['balance'], row['available'] + row['pending']
                                 + row['held'] + row['lapsed'] - row['debt'], program, member, show(as_of))
            if len(rows) == 1 or programs[0] in self.world.parted or self.world.started <= as_of < self.world.now:
                continue        # a call without event_at falls on its own now() in each twin
            answers = [{**row, 'balance': row['balance'] - row['lapsed'], 'lapsed': None} for row in rows]
            self.world.agree('jobs change no answer', *answers, programs[0], member, show(as_of))

    def check_expired(self, programs, member):
        """What expire entries took and nothing gave back had lapsed by then."""
        for program in programs:
            for credit in self.world.ledger.account(program, member).credits.values():
                late = [(entry.seq, show(credit.lapses_at)) for entry in credit.expired()
                        if entry.event_at < credit.lapses_at]
                self.world.agree('what expired had lapsed', [], late, program, member, f'lot {credit.seq}')

    def check_twins(self, program, late, asked):
        """Jobs only book: what both twins tell besides balances is the same too."""
        world, ledger = self.world, self.world.ledger
        for member, instants in asked.items():
            both = [ledger.account(code, member) for code in (program, late)]
            world.agree('jobs change no answer', *(sum(e.amount for e in account.entries if e.kind not in JOBS_BOOK)
                                                   for account in both), program, member, 'but for what jobs book')
            for as_of in instants:
                if not world.started <= as_of < world.now:
                    until = self.random.choice(instants)
                    world.agree('jobs change no answer', *(ledger.expiring(code, member, until, as_of)
                                                           for code in (program, late)), program, member,
                                f'expiring until {show(until)} as_of {show(as_of)}')
        if any(account.debts() for code in (program, late) for _, account in ledger.overdue(code, world.now)):
            return          # what is released repays them once that is booked
        owed = ledger.liability(world.now)
        world.agree('jobs change no answer', *(
            {month: points - lapsed for (code, month), (points, lapsed) in owed.items()
             if code == one and points > lapsed} for one in (program, late)), program, None, 'points owed by month')

    def check_program(self, program, asked):
        world, ledger, database = self.world, self.world.ledger, self.world.database
        accounts = ledger.programs[program].accounts
        stored = database.stored(program)
        world.agree('accounts exist alike', sorted(accounts), sorted(stored), program)
        for member, account in accounts.items():
            check_account(world, program, account, stored[member])

        points = [(member, as_of) for member, instants in asked.items() for as_of in instants]
        for (member, as_of), rows in zip(points, database.readings('balance', program, points)):
            world.agree_rows('balance()', BALANCE, [ledger.balance(program, member, as_of)], rows,
                             program, member, f'as_of {show(as_of)}')
        for (member, as_of), rows, tiers in zip(points, database.readings('tier_status', program, points),
                                                database.readings('tier_for', program, points)):
            status = ledger.tier_status(program, member, as_of)
            world.agree_rows('tier_status()', TIER, [status], rows, program, member, f'as_of {show(as_of)}')
            world.agree('tier_for()', [status['tier']], tiers, program, member, f'as_of {show(as_of)}')

        knowledge = [(member, self.random.choice(instants), self.random.choice(
            [e.posted_at for e in accounts[member].entries[-30:]] or [world.now]) - self.random.randint(0, 1))
            for member, instants in asked.items() if member in accounts and in_order(accounts[member])]
        for (member, as_of, known_at), rows in zip(knowledge, database.readings('balance', program, knowledge)):
            world.agree_rows('balance() as known before', BALANCE,
                             [ledger.balance(program, member, as_of, known_at)], rows, program, member,
                             f'as_of {show(as_of)} known_at {show(known_at)}')

        spans = [(member, self.random.choice(instants), self.random.choice(instants))
                 for member, instants in asked.items() for _ in range(3)]
        for span, rows in zip(spans, database.readings('expiring', program, spans)):
            world.agree('expiring()', [ledger.expiring(program, *span)], [int(row) for row in rows],
                        program, span[0], f'until {show(span[1])} as_of {show(span[2])}')
        spans = [(*span, None) for span in spans] + [(member, None, None, None) for member in accounts]
        spans += [(member, None, None, known_at) for member, _, known_at in knowledge]
        for span, rows in zip(spans, database.readings('statement', program, spans)):
            expected = [tuple(balance if name == 'balance' else value for name, value in zip(LINE, plain(entry, LINE)))
                        for entry, balance in ledger.statement(program, *span)]
            world.agree('statement()', expected, [plain(row, LINE) for row in rows], program, span[0],
                        f'since {show(span[1])} until {show(span[2])} known_at {show(span[3])}')

    def check_whole(self):
        """Over all programs: reconcile(), the invariants without it, and points by day, kind and source."""
        world, database = self.world, self.world.database
        world.agree('reconcile() finds nothing', [], database.rows('select r::text from jifen.reconcile() r'), 'all')
        for name, query in {**invariants.INVARIANTS, **invariants_of_lapses.INVARIANTS}.items():
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
        reports.check(world, self.random.sample([self.clock, self.clock - self.random.randrange(1000 * DAY), world.now - SECOND,
                                                 world.now + self.random.randrange(400 * DAY)], 2))
