"""world.py: one history in both ledgers: every script is played in the model and in PostgreSQL and compared."""

from collections import Counter

from generate import NOWHERE
from model import Ledger, Refused
from when import instant, show

LATE = '-late'      # the twin of a program, where no expiry job runs before the end

ENTRY = ('seq', 'kind', 'amount', 'balance', 'event_at', 'expires_at', 'available_at', 'reverses_seq',
         'source', 'reference', 'qualifying')
TIMES = ('event_at', 'posted_at', 'expires_at', 'available_at', 'next_expires_at', 'window_start', 'window_end',
         'holds_until', 'last_activity_at', 'last_event_at')
TEXTS = ('kind', 'source', 'reference', 'status', 'member', 'tier', 'name', 'next_tier')


class Disagreement(Exception):
    """The first thing on which the two ledgers differ."""

    def __init__(self, agreement, program, member, expected, found, about):
        super().__init__(f'{agreement}: {program} {member or ""} {about}\n'
                         f'  expected {expected}\n  found    {found}')
        self.agreement, self.program, self.member = agreement, program, member


def plain(row, names):
    """The named columns of a row, given as JSON or as an object of the model, comparable."""
    values = []
    for name in names:
        if not isinstance(row, dict):
            value = getattr(row, name)
        elif name in TIMES and isinstance(row[name], str):
            value = instant(row[name])
        elif name in TIMES + TEXTS or row[name] is None or isinstance(row[name], bool):
            value = row[name]
        else:
            value = int(row[name])
        values.append(value)
    return tuple(values)


def readable(names, values):
    return {name: show(value) if name in TIMES else value for name, value in zip(names, values)
            if value is not None}


class World:
    """The model, the database (None: the model plays alone) and what they agreed on so far."""

    def __init__(self, database, now):
        self.database = database
        self.ledger = Ledger()
        self.labels = {}            # (program, member, label) → seq
        self.names = {}             # (program, member, seq) → label
        self.agreed = Counter()
        self.outcomes = Counter()   # of calls, by SQLSTATE
        self.now = self.started = database.now() if database else now

    def agree(self, agreement, expected, found, program, member=None, about=''):
        self.agreed[agreement] += 1
        if expected != found:
            raise Disagreement(agreement, program, member, expected, found, about)

    def agree_rows(self, agreement, names, expected, found, program, member=None, about=''):
        """Rows of the model against rows of the database, column by column."""
        expected = [plain(row, names) for row in expected]
        found = [plain(row, names) for row in found]
        self.agreed[agreement] += 1
        for n in range(max(len(expected), len(found))):
            pair = [rows[n] if n < len(rows) else None for rows in (expected, found)]
            if pair[0] != pair[1]:
                raise Disagreement(agreement, program, member,
                                   *(row and readable(names, row) for row in pair), about)

    # Playing.

    def play_both(self, script):
        """A script in the program with jobs and in its twin."""
        self.agree('expiry jobs change no outcome', self.play(script), self.play(script, late=True),
                   script.program, about=', '.join(op.verb for op in script.operations()))

    def play(self, script, late=False):
        """Plays a script; returns the outcome of each call that both twins play."""
        suffix = LATE if late else ''
        program = script.program + suffix
        outcomes, start, savepoint, failed = [], None, None, False
        self.transaction = False
        known = {member: self._length(program, member) for member in script.members()}
        for kind, *rest in script.steps:
            if kind == 'call':
                calls = [op for op in rest[0] if not (late and op.jobs_only)]
                if calls and not failed:
                    outcome = self._call(program, calls)
                    failed = outcome != 'ok' and start is not None
                    if not any(op.jobs_only for op in calls):
                        outcomes.append(outcome)
                continue
            if kind == 'begin':
                start = self.ledger.mark()
            elif kind == 'savepoint' and not failed:
                savepoint = self.ledger.mark()
                kind = 'savepoint s'
            elif kind == 'rollback to' and savepoint is not None:
                self.ledger.rollback(savepoint)
                failed = False
                kind = 'rollback to s'
            elif kind in ('commit', 'rollback'):
                if failed or kind == 'rollback':
                    self.ledger.rollback(start)
                    kind = 'rollback'
            else:
                continue
            if self.database:
                self.database.command(program, kind)
                if kind == 'begin':
                    self.now = self.database.now()
            self.transaction = kind not in ('commit', 'rollback')
        for member, length in known.items():
            self._check_stored(program, member, min(length, self._length(program, member)))
        self.ledger.journal.clear()
        return outcomes

    def _length(self, program, member):
        scheme = self.ledger.programs.get(program)
        account = scheme and scheme.accounts.get(member)
        return len(account.entries) if account else 0

    def _arguments(self, program, op):
        """The arguments as they are given to SQL: with the program's code and the seq to reverse."""
        arguments = dict(op.arguments)
        if op.verb == 'create_program':
            arguments['code'] = program
        elif 'program' not in arguments:
            arguments = {'program': program, **arguments}
        if op.target is not None:
            arguments['seq'] = self.labels.get((program, op.member, op.target), NOWHERE)
        return arguments

    def _call(self, program, ops):
        """One SELECT of these operations in both ledgers; returns 'ok' or the SQLSTATE."""
        calls = [(op.verb, self._arguments(program, op)) for op in ops]
        state, results, hints = None, [None] * len(ops), {}
        if self.database:
            state, results, now = self.database.call(program, calls)
            if now or not self.transaction:
                self.now = now or self.database.now()
            if state == 'ok' and ops[0].verb == 'expire_batch':
                scope = calls[0][1]['program']
                hints['chosen'] = [key for key, seq in self.database.last_seqs(scope).items()
                                   if seq > self._length(*key)]
        mark, expected, answers = self.ledger.mark(), 'ok', []
        try:
            for op, (verb, arguments) in zip(ops, calls):
                answers.append(self.ledger.call(verb, self.now, **arguments, **hints))
                if verb in ('earn', 'redeem'):
                    seq = answers[-1].seq
                    self.ledger.put(self.labels, (program, op.member, op.label), seq)
                    self.ledger.put(self.names, (program, op.member, seq), op.label)
        except Refused as refusal:
            self.ledger.rollback(mark)
            expected = refusal.sqlstate
        self.outcomes[expected] += 1
        if not self.database:
            return expected
        about = ', '.join(verb for verb, _ in calls)
        if state != 'ok' and expected != state:
            about += f' ({results})'
        self.agree('accepted or refused alike', expected, state, program, ops[0].member, about)
        if state == 'ok':
            for op, answer, found in zip(ops, answers, results):
                self._check_result(program, op, answer, found)
        return state

    def _check_result(self, program, op, expected, found):
        if op.verb in ('earn', 'redeem', 'reverse'):
            self.agree_rows('entries returned', ENTRY + ('posted_at',), [expected], [found],
                            program, op.member)
        elif op.verb.endswith('_account'):
            self.agree_rows('accounts returned', ('member', 'status'), [expected], [found],
                            program, op.member)
        elif op.verb == 'expire_batch':
            self.agree_rows('expire_batch()', ('accounts', 'lots', 'points', 'more'),
                            [expected], [found], program)

    # Comparing.

    def _check_stored(self, program, member, after):
        """The account's row, its entries after that seq with their allocations, and its open lots."""
        if not self.database:
            return
        scheme = self.ledger.programs.get(program)
        account = scheme and scheme.accounts.get(member)
        found = self.database.stored(program, member, after).get(member)
        self.agree('accounts exist alike', account is not None, found is not None, program, member)
        if account:
            self.check_account(program, account, found, after)

    def check_account(self, program, account, found, after=0):
        member = account.member
        self.agree_rows('entries written', ENTRY, account.entries[after:], found['entries'],
                        program, member)
        self.agree('allocations', sorted((e.seq, c.seq, n) for e in account.entries[after:] for c, n in e.uses),
                   sorted(tuple(map(int, use)) for use in found['uses']), program, member)
        lots = [(c.seq, c.expires_at, c.available_at, c.remaining()) for c in account.lots()]
        self.agree('open lots', lots,
                   [plain(lot, ('seq', 'expires_at', 'available_at', 'remaining')) for lot in found['lots']],
                   program, member)
        row = {'member': member, 'status': account.status, 'balance': account.balance(), 'held': 0,
               'last_seq': len(account.entries), 'last_activity_at': account.last_activity(),
               'last_event_at': account.latest() if account.entries else None}
        self.agree_rows('account rows', tuple(row), [row], [found['account']], program, member)
        self.agree('status changes', account.statuses, found['statuses'], program, member)
