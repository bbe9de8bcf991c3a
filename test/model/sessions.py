"""sessions.py: several sessions at once on few accounts, while summaries are made and books closed; afterwards the model
replays what they committed.

What a session meets depends on the others, so its calls are made blindly, from what was seen so far, and
logged with their results. Postings to an account exclude each other, so the journal tells in which order
they came: a transaction follows all those that wrote lower seqs in any of its accounts. In that order the
model makes the same calls, at the now() that each had, and must come to the same journal.
"""

import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

import psycopg2

from database import call_text
from operation import Operation, Script
from when import DAY, SECOND, instant
from rows import ENTRY, JOBS, ONE_ENTRY, SOME_ENTRIES

PROGRAM = 'sessions'
MEMBERS = ['m1', 'm2', 'm3', 'm4']
# Not 40P01: one statement alone never deadlocks with another.
EXPECTED = ('ok', 'JF001', 'JF005', 'JF006', 'JF007', 'JF008', 'JF009', '22023', '40001')


@dataclass
class Call:
    verb: str
    arguments: dict
    state: str = None
    result: object = None       # or the error message
    now: int = None
    xid: str = None


class Session(threading.Thread):
    """One connection that makes so many calls; .calls is its log."""

    def __init__(self, connection, seed, calls, seen, isolation):
        super().__init__()
        self.connection, self.count, self.seen = connection, calls, seen
        self.random = random.Random(seed)
        self.calls, self.error = [], None
        with connection.cursor() as cursor:
            cursor.execute(f"set default_transaction_isolation = '{isolation}'")
            cursor.execute('select now()::text')
            self.now = instant(cursor.fetchone()[0])

    def run(self):
        try:
            for _ in range(self.count):
                call = self._choose()
                self._make(call)
                self.calls.append(call)
        except Exception as error:      # of the test itself: shown by the main thread
            self.error = error
        finally:
            self.connection.close()

    def _make(self, call):
        with self.connection.cursor() as cursor:
            try:
                cursor.execute(f'select {call_text(call.verb, call.arguments)}, now()::text, '
                               'pg_current_xact_id_if_assigned()::text')
                call.result, now, call.xid = cursor.fetchone()
                call.state, call.now = 'ok', instant(now)
                self.now = call.now
            except psycopg2.Error as error:
                call.state, call.result = error.pgcode, str(error).strip()
                return
        for row in call.result if isinstance(call.result, list) else [call.result]:
            if 'kind' in row:
                self.seen.append((row['account_id'], int(row['seq']), row['kind']))

    # What to call.

    def _choose(self):
        r = self.random
        roll = r.random()
        if roll < 0.05:
            return Call(r.choice(list(JOBS)), {'program': PROGRAM, 'max_accounts': r.randint(1, 4)})
        if roll < 0.08:
            return Call('reverse_reference', {'program': PROGRAM, 'member': r.choice(MEMBERS),
                                              'reference': f'order {r.randint(1, 9)}', 'total': 3,
                                              'returned': r.randint(1, 3)})
        if roll < 0.25:
            postings = [self._posting() for _ in range(r.randint(2, 6))]
            for posting in postings:
                if r.random() < 0.4:
                    posting['group'] = r.choice('ab')
            return Call('post', {'postings': postings, 'on_refusal': r.choice(['abort', 'skip', 'skip'])})
        arguments = self._posting()
        verb = arguments.pop('kind')
        if verb == 'transfer':
            arguments['from_member'] = arguments.pop('member')
        if verb in ('capture', 'release'):
            arguments['hold_seq'] = arguments.pop('seq')
        return Call(verb, arguments)

    def _posting(self):
        """As post() takes it. One in four has a key of a few, whose request follows from the key."""
        r = self.random
        if r.random() < 0.25:
            key = r.randrange(40)
            chance = random.Random(key)
            kind = chance.choice(['earn', 'redeem', 'adjust', 'transfer'])
            return {**self._simple(chance, kind), 'idempotency_key': f'key {key}'}
        kind = r.choice(['earn', 'earn', 'import', 'redeem', 'redeem', 'hold', 'hold', 'end', 'end', 'reverse', 'adjust',
                         'transfer', 'transfer'])
        if kind == 'import':
            return {**self._simple(r, kind), 'expires_at': self.now + r.choice([SECOND // 10, SECOND, DAY])}
        if kind == 'hold':
            return {**self._simple(r, kind), 'until': self.now + r.choice([SECOND // 50, SECOND // 10, DAY])}
        if kind in ('end', 'reverse') and self.seen:
            wanted = [seen for seen in self.seen[-80:] if (seen[2] == 'hold') == (kind == 'end')]
            if wanted:
                member, seq, _ = r.choice(wanted)
                arguments = {'kind': kind, 'program': PROGRAM, 'member': self.members[member], 'seq': seq}
                if kind == 'end':
                    arguments['kind'] = r.choice(['capture', 'capture', 'release'])
                if arguments['kind'] != 'release' and r.random() < 0.5:
                    arguments['amount'] = r.randint(1, 60)
                return arguments
        posting = self._simple(r, kind if kind not in ('end', 'reverse') else 'earn')
        if r.random() < 0.3:
            posting['event_at'] = self.now - r.randrange(150 * DAY)
        return posting

    @staticmethod
    def _simple(r, kind):
        arguments = {'kind': kind, 'program': PROGRAM, 'member': r.choice(MEMBERS), 'amount': r.randint(1, 100)}
        if kind == 'adjust':
            arguments['amount'] *= r.choice([1, -1, -1])
            arguments['reason'] = 'corrected'
        if kind == 'transfer':
            arguments['to_member'] = r.choice([m for m in MEMBERS if m != arguments['member']])
        if kind in ('earn', 'redeem'):
            arguments['reference'] = f'order {r.randint(1, 9)}'
        return arguments


class Bookkeeper(threading.Thread):
    """Makes summaries, closes the books and opens them again, until told to stop; .closings is what changed."""

    def __init__(self, connection, seed):
        super().__init__()
        self.connection, self.random = connection, random.Random(seed)
        self.closings, self.errors, self.summaries, self.stopped = [], [], 0, threading.Event()

    def run(self):
        r = self.random
        with self.connection.cursor() as cursor:
            while not self.stopped.wait(0.005):
                try:
                    if r.random() < 0.7:
                        cursor.execute('call jifen.run_summary()')
                        self.summaries += 1
                    elif r.random() < 0.7:
                        cursor.execute("select changed_at::text, closed_until::text from jifen.close_period(%s, jifen.day_begin(now()::date - %s, 'UTC'))",
                                       (PROGRAM, r.choice([1, 30, 100])))
                        self.closings += cursor.fetchall()
                    else:
                        cursor.execute("select changed_at::text, closed_until::text from jifen.reopen_period(%s, null, 'an error')", (PROGRAM,))
                        self.closings += cursor.fetchall()
                except psycopg2.Error as error:
                    if error.pgcode not in ('55000', '22023'):      # lapses not booked; closed, or open, already
                        self.errors.append(f'{error.pgcode}: {error}')
        self.connection.close()


def play(world, seed, operations, count=5):
    """The sessions' calls, and that they add up."""
    for verb, arguments in [('create_program', {'overdraft': 'debt', 'overdraft_limit': 200, 'return_grace': '7 days',
                                                'expiry': '12 months or 30 days inactive'}),
                            *(('open_account', {'member': member}) for member in MEMBERS)]:
        world.play(Script(PROGRAM, [('call', [Operation(verb, PROGRAM, arguments)])]))
    seen = []
    Session.members = dict(world.database.rows(
        'select account_id, member from jifen.account join jifen.program using (program_id) where code = %s', (PROGRAM,)))
    sessions = [Session(world.database.connect(), seed * 100 + n, operations // count, seen,
                        'repeatable read' if n == 0 else 'read committed') for n in range(count)]
    bookkeeper = Bookkeeper(world.database.connect(), seed)
    for thread in (*sessions, bookkeeper):
        thread.start()
    for session in sessions:
        session.join()
    bookkeeper.stopped.set()
    bookkeeper.join()
    world.agree('sessions: summaries and closings end well', [], bookkeeper.errors, PROGRAM)
    world.ledger.programs[PROGRAM].closings = [tuple(map(instant, change)) for change in bookkeeper.closings]
    for session in sessions:
        if session.error:
            raise session.error
    calls = [call for session in sessions for call in session.calls]
    for call in calls:
        found = call.state if call.state in EXPECTED else f'{call.state}: {call.result}'
        world.agree('sessions: refused as one alone would be', True, call.state in EXPECTED, PROGRAM, None,
                    f'{call.verb} {call.arguments} {found}')
    replay(world, calls)
    return Counter([call.state for call in calls] + ['summary'] * bookkeeper.summaries + ['closing'] * len(bookkeeper.closings))


def returned(made):
    """Which transaction returned which entry: (member, seq) → xid."""
    found = {}
    for xid, call in made.items():
        rows = call.result if isinstance(call.result, list) else [call.result]
        for n, row in enumerate(rows):
            if row.get('seq'):
                member = call.arguments['postings'][n]['member'] if call.verb == 'post' else Session.members[row['account_id']]
                found[member, int(row['seq'])] = xid
    return found


def replay(world, calls):
    made = {str(int(call.xid) % 2 ** 32): call for call in calls if call.xid}
    began = defaultdict(list)
    for xid, call in made.items():
        began[call.now].append(xid)
    due = world.database.due_entries(PROGRAM, dict.fromkeys(MEMBERS, 0))
    transactions = defaultdict(lambda: defaultdict(list))       # xid → member → seqs
    posted = defaultdict(dict)                                  # xid → (member, seq) → when
    owners = returned(made)
    for member, seq, xid, posted_at in world.database.rows('''
            select a.member, e.seq, e.xmin::text, e.posted_at::text
            from jifen.entry e join jifen.account a using (account_id)
            join jifen.program p using (program_id) where p.code = %s order by 1, 2''', (PROGRAM,)):
        if xid not in made:         # a subtransaction of one
            same = began[instant(posted_at)]
            xid = same[0] if len(same) == 1 else owners.get((member, seq), xid)
        transactions[xid][member].append(seq)
        posted[xid][member, int(seq)] = instant(posted_at)
    world.agree('sessions: every entry stems from one call that succeeded', set(), set(transactions) - set(made), PROGRAM)

    waiting = dict(transactions)
    while waiting:
        length = {member: len(world.ledger.account(PROGRAM, member).entries) for member in MEMBERS}
        ready = [xid for xid, wrote in waiting.items()
                 if all(seqs[0] == length[member] + 1 for member, seqs in wrote.items())]
        world.agree('sessions: one order explains all accounts', True, bool(ready), PROGRAM)
        follow(world, made[ready[0]], waiting.pop(ready[0]), due, posted[ready[0]])
    wrote = [call for xid, call in made.items() if xid in transactions]
    for call in calls:
        if call.state == 'ok' and call not in wrote and call.verb in ONE_ENTRY + ('transfer',):
            again(world, call)
        if call.state == 'ok' and call.verb == 'post':
            for posting, row in zip(call.arguments['postings'], call.result):
                if row['seq'] and 'idempotency_key' in posting:
                    account = world.ledger.account(PROGRAM, posting['member'])
                    world.agree('sessions: a key names one entry', account.entry_of(posting['idempotency_key']).seq,
                                row['seq'], PROGRAM, account.member, f'{posting}')


def follow(world, call, wrote, due, posted):
    """The model makes a call that wrote these seqs, member → seqs, booked at these times, (member, seq) → when.

    A call that posts entry after entry may have some booked before and some after a run of summaries.
    """
    ledger, arguments, result = world.ledger, dict(call.arguments), call.result
    first = min(posted.values())
    world.agree('sessions: booked when it was made or later', True, first >= call.now, PROGRAM)
    scheme = ledger.programs[PROGRAM]
    ledger.posted_at = posted
    scheme.closed_until = next((until for at, until in reversed(scheme.closings) if at <= first), None)
    if call.verb in JOBS:
        arguments.update(as_of=call.now, max_accounts=len(wrote), chosen=[(PROGRAM, member) for member in wrote])
    if call.verb == 'post':
        answer, result = follow_post(ledger, call, wrote, due)
    else:
        answer = ledger.call(call.verb, call.now, **arguments)
    for member, seqs in wrote.items():
        world.agree('sessions: the model writes as many entries', seqs[-1],
                    len(ledger.account(PROGRAM, member).entries), PROGRAM, member, f'{call.verb} {call.arguments}')
    about = f'{call.verb} {call.arguments}'
    if call.verb in ONE_ENTRY + SOME_ENTRIES:
        rows = [[answer], [result]] if call.verb in ONE_ENTRY else [answer, result]
        world.agree_rows('sessions: entries returned', ENTRY + ('posted_at',), *rows, PROGRAM, None, about)
    elif call.verb == 'post':
        world.agree_rows('sessions: entries returned', ('ordinal', 'seq', 'balance', 'sqlstate'), answer, result,
                         PROGRAM, None, about)
    ledger.posted_at = {}
    ledger.undo.clear()


def follow_post(ledger, call, wrote, due):
    """Those postings that wrote something, one by one, as they were decided: rows of the model and of the database.

    What was refused, or posted before under its key, depends on accounts that the call did not change; but
    a refused posting may have booked what was due.
    """
    postings = call.arguments['postings']
    groups = [p.get('group') if call.arguments['on_refusal'] == 'skip' else None for p in postings]
    order = sorted(range(len(postings)), key=lambda n: n if groups[n] is None else groups.index(groups[n]))
    posted = [n for n in order if call.result[n]['seq'] in wrote.get(postings[n]['member'], [])]
    own = {key: until for key, until in due.items() if key[2] in wrote.get(key[1], [])}
    answer = ledger.post(call.now, [{**postings[n], 'group': None} for n in posted], due=own)
    return answer, [{**call.result[n], 'ordinal': at + 1} for at, n in enumerate(posted)]


def again(world, call):
    """A call that wrote nothing returned what its key had posted before."""
    rows = [call.result] if call.verb in ONE_ENTRY else call.result
    key = call.arguments.get('idempotency_key')
    account = world.ledger.account(PROGRAM, call.arguments.get('member', call.arguments.get('from_member')))
    first = account.entry_of(key) if key else None
    world.agree_rows('sessions: a key names one entry', ENTRY + ('posted_at',), [first] if first else [], rows[:1],
                     PROGRAM, account.member, f'{call.verb} {call.arguments}')
