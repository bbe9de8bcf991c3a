"""journal.py: entries, credits, accounts and programs in memory, and how an entry comes about.

Nothing is stored but the journal; whatever else is known of an account is reckoned from it here.
"""

from dataclasses import dataclass, field

from when import FOREVER, MINUTE, expires_at

TOLERANCE = 5 * MINUTE
MAX_POINTS = 2 ** 63 - 1
MAX_IDENTIFIER = 255
ACTIVE = ('earn', 'redeem', 'hold', 'capture', 'transfer_out')      # what the member does


class Refused(Exception):
    """A call refused with this SQLSTATE, nothing written."""

    def __init__(self, sqlstate):
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@dataclass(eq=False)
class Entry:
    seq: int
    kind: str
    amount: int
    balance: int
    event_at: int
    posted_at: int
    points: int = 0                 # of its own lot, as credited
    held: int = 0
    debt: int = 0
    expires_at: object = None
    available_at: object = None
    until: object = None
    issued_at: object = None
    reverses_seq: object = None
    hold_seq: object = None
    debt_seq: object = None
    counter: object = None          # the other member of a transfer
    counter_seq: object = None
    source: object = None
    reference: object = None
    reason: object = None
    idempotency_key: object = None
    expiry: object = None
    details: object = None
    qualifying: object = None
    request: object = None          # what was asked for, of an entry with a key
    uses: list = field(default_factory=list)        # (credit, amount), as allocated


@dataclass(eq=False)
class Credit:
    """A credit of points and every use made of it: (entry, amount), negative where given back."""
    entry: Entry
    uses: list = field(default_factory=list)

    seq = property(lambda self: self.entry.seq)
    expires_at = property(lambda self: self.entry.expires_at)
    available_at = property(lambda self: self.entry.available_at)
    issued_at = property(lambda self: self.entry.event_at if self.entry.issued_at is None
                         else self.entry.issued_at)
    order = property(lambda self: (self.entry.expires_at, self.entry.seq))

    def remaining(self, as_of=FOREVER):
        """What was left at that time, with what we know today."""
        if self.entry.event_at > as_of:
            return 0
        return self.entry.points - sum(n for entry, n in self.uses if entry.event_at <= as_of)

    def limit(self, at):
        """The most that a debit of that time may take: the least net at any time from then on."""
        moves = [(entry.event_at, n) for entry, n in self.uses if entry.kind not in ('expire', 'reinstate')]
        return min(self.entry.points - sum(n for t, n in moves if t <= tau)
                   for tau in {at} | {t for t, _ in moves if t > at})

    def spendable(self, at):
        return self.available_at <= at < self.expires_at


def by_order(uses):
    return sorted(uses, key=lambda use: use[0].order)


@dataclass(eq=False)
class Account:
    member: str
    statuses: list = field(default_factory=lambda: ['open'])    # one after the other
    entries: list = field(default_factory=list)
    credits: dict = field(default_factory=dict)     # by seq

    status = property(lambda self: self.statuses[-1])

    def balance(self):
        return self.entries[-1].balance if self.entries else 0

    def held(self):
        return sum(entry.held for entry in self.entries)

    def debt(self):
        return sum(entry.debt for entry in self.entries)

    def latest(self):
        return max((entry.event_at for entry in self.entries), default=-FOREVER)

    def last_activity(self):
        return max((entry.event_at for entry in self.entries if entry.kind in ACTIVE), default=None)

    def entry(self, seq):
        """The entry of that number: entries may be those known at some time only."""
        return next((entry for entry in self.entries[max(0, seq - 1)::-1] if entry.seq == seq), None)

    def entry_of(self, key):
        return next((entry for entry in self.entries if entry.idempotency_key == key), None)

    def spendable(self, at):
        """Lots spendable at that time in the order of consumption, each with its limit."""
        lots = sorted((c for c in self.credits.values() if c.spendable(at)), key=lambda c: c.order)
        return [(credit, credit.limit(at)) for credit in lots]

    def lots(self):
        """Open lots by (expires_at, seq)."""
        return sorted((c for c in self.credits.values() if c.remaining()), key=lambda c: c.order)

    def holds(self):
        """Open holds by (until, seq), each with its points."""
        ended = {}
        for entry in self.entries:
            if entry.hold_seq is not None:
                ended[entry.hold_seq] = ended.get(entry.hold_seq, 0) - entry.held
        holds = [(e, e.held - ended.get(e.seq, 0)) for e in self.entries if e.kind == 'hold']
        return sorted(((e, n) for e, n in holds if n), key=lambda hold: (hold[0].until, hold[0].seq))

    def debts(self):
        """Open debts by seq: the entry that made it and what is still owed of it."""
        owed = {}
        for entry in self.entries:
            if entry.debt > 0:
                owed[entry.seq] = entry.debt
            elif entry.debt < 0:
                owed[entry.reverses_seq if entry.debt_seq is None else entry.debt_seq] += entry.debt
        return [(self.entry(seq), n) for seq, n in owed.items() if n]

    def concerning(self, entry, *kinds):
        """Entries of these kinds that name that one as reversed, as their hold or as their debt."""
        return [e for e in self.entries
                if e.kind in kinds and entry.seq in (e.reverses_seq, e.hold_seq, e.debt_seq)]

    def reversed_of(self, entry):
        return sum(abs(e.amount) for e in self.entries
                   if e.kind in ('reverse', 'reinstate') and e.reverses_seq == entry.seq)

    def left_of(self, entry):
        """What is left to reverse of an entry: what was forgiven of a penalty is not."""
        return abs(entry.amount) - self.reversed_of(entry) \
            - sum(e.amount for e in self.concerning(entry, 'adjust') if entry.amount < 0)

    def taken_by(self, entry):
        """What a debit took from each lot, itself or to repay its debt, less what came back: [(credit, amount)]."""
        concerned = [entry] + self.concerning(entry, 'reverse', 'repay', 'reinstate')
        if entry.kind == 'capture':
            hold = self.entry(entry.hold_seq)
            concerned += [hold] + self.concerning(hold, 'release')
        taken = {}
        for e in concerned:
            for credit, n in e.uses:
                taken[credit] = taken.get(credit, 0) + n
        return by_order((credit, n) for credit, n in taken.items() if n)

    def known(self, known_at):
        """The account as its entries posted until then tell."""
        copy = Account(self.member, self.statuses, [e for e in self.entries if e.posted_at <= known_at])
        for credit in self.credits.values():
            if credit.entry.posted_at <= known_at:
                copy.credits[credit.seq] = Credit(credit.entry, [use for use in credit.uses
                                                                 if use[0].posted_at <= known_at])
        for n, entry in enumerate(copy.entries):
            copy.entries[n] = Entry(**{**entry.__dict__, 'uses': [
                (copy.credits[credit.seq], points) for credit, points in entry.uses if credit.seq in copy.credits]})
        return copy


@dataclass(eq=False)
class Program:
    code: str
    time_zone: str = 'UTC'
    expiry: str = 'never'
    auto_open: bool = False
    tier_window: str = '12 months'
    overdraft: str = 'refuse'
    overdraft_limit: object = None
    return_grace: object = None
    tiers: dict = field(default_factory=dict)       # (threshold, name) by code
    accounts: dict = field(default_factory=dict)    # by member

    def lapses(self, policy, at):
        return expires_at(policy, at, self.time_zone)


class Journal:
    """All programs, and how entries are written: whole calls or nothing of them."""

    def __init__(self):
        self.programs = {}
        self.undo = []              # how to undo each change, newest last
        self.request = None         # of the call at hand: (verb, arguments that were given)

    # Transactions: a mark is a place to come back to.

    def mark(self):
        return len(self.undo)

    def rollback(self, mark):
        while len(self.undo) > mark:
            self.undo.pop()()

    def call(self, verb, now, **arguments):
        """One function of SQL, whole or not at all."""
        mark = self.mark()
        self.request = (verb, {name: value for name, value in arguments.items()
                               if value is not None and name != 'idempotency_key'})
        try:
            return getattr(self, 'import_' if verb == 'import' else verb)(now=now, **arguments)
        except Refused:
            self.rollback(mark)
            raise

    def _set(self, thing, name, value):
        old = getattr(thing, name)
        self.undo.append(lambda: setattr(thing, name, old))
        setattr(thing, name, value)

    def put(self, mapping, key, value):
        old = mapping.get(key)
        self.undo.append((lambda: mapping.pop(key)) if old is None else lambda: mapping.update({key: old}))
        mapping[key] = value

    def _append(self, sequence, value):
        self.undo.append(sequence.pop)
        sequence.append(value)

    # What calls check first.

    @staticmethod
    def _check(now, nulls, amounts=(), identifiers=(), events=(), times=(), key=None):
        if None in nulls:
            raise Refused('22004')
        if any(n is not None and n <= 0 for n in amounts) \
                or any(text is not None and not 1 <= len(text) <= MAX_IDENTIFIER for text in identifiers) \
                or any(t in (FOREVER, -FOREVER) for t in (*events, *times)) \
                or any(t is not None and t > now + TOLERANCE for t in events) \
                or key is not None and not 1 <= len(key.encode()) <= MAX_IDENTIFIER:
            raise Refused('22023')

    @staticmethod
    def _check_policy(expiry):
        if 'inactive' in (expiry or ''):
            raise Refused('0A000')

    def _program(self, code):
        if code not in self.programs:
            raise Refused('JF002')
        return self.programs[code]

    def account(self, program, member):
        accounts = self._program(program).accounts
        if member not in accounts:
            raise Refused('JF003')
        return accounts[member]

    @staticmethod
    def _must_be(account, *statuses):
        if account.status not in statuses:
            raise Refused('JF004')

    def _first(self, account, key):
        """The entry that the key's first call posted, if there was one and it asked for the same."""
        found = None if key is None else account.entry_of(key)
        if found and found.request != self.request:
            raise Refused('JF005')
        return found

    def _begin(self, now, event_at, *accounts):
        """When a posting to these accounts happens, once all of them are open and what is due is booked."""
        for account in accounts:
            self._must_be(account, 'open')
        at = max([now] + [account.latest() for account in accounts]) if event_at is None else event_at
        for account in accounts:
            self._release_due(account, max(now, at), now)
        return at

    # Writing entries.

    def _post(self, account, kind, event_at, now, uses=(), points=0, held=0, debt=0, **fields):
        """Appends an entry: what happens to lots, holds and debt makes its amount."""
        amount = points - sum(n for _, n in uses) + held - debt
        balance = account.balance() + amount
        if abs(balance) > MAX_POINTS or account.debt() + debt > MAX_POINTS:
            raise Refused('22003')
        if fields.get('idempotency_key') is not None:
            fields['request'] = self.request
        last = account.entries[-1].seq if account.entries else 0
        entry = Entry(last + 1, kind, amount, balance, event_at, now, points, held, debt, uses=list(uses), **fields)
        self._append(account.entries, entry)
        for credit, n in uses:
            self._append(credit.uses, (entry, n))
            assert 0 <= credit.remaining() <= credit.entry.points
        return entry

    def _credit(self, account, kind, event_at, now, points, ends, available_at, **fields):
        """Posts an entry with a lot of its own."""
        entry = self._post(account, kind, event_at, now, points=points, expires_at=ends,
                           available_at=available_at, **fields)
        self.put(account.credits, entry.seq, Credit(entry))
        return entry

    def _debit(self, account, kind, event_at, now, uses, **fields):
        """Posts an entry that takes from lots, after the reinstatements that it needs."""
        back = {}               # expire entry → uses given back
        for credit, n in uses:
            missing = n - credit.remaining()
            expired = {}
            for entry, m in credit.uses:
                if entry.kind == 'expire':
                    expired[entry] = m
                elif entry.kind == 'reinstate':
                    expired[account.entry(entry.reverses_seq)] += m
            for entry in sorted(expired, key=lambda e: (e.event_at, e.seq)):
                part = min(missing, expired[entry])
                if part > 0:
                    back.setdefault(entry, []).append((credit, -part))
                    missing -= part
            assert missing <= 0
        for entry in sorted(back, key=lambda e: (e.event_at, e.seq)):
            self._post(account, 'reinstate', entry.event_at, now, back[entry], reverses_seq=entry.seq)
        return self._post(account, kind, event_at, now, uses, **fields)

    @staticmethod
    def _take(lots, amount):
        """Takes the amount from the lots in turn, each up to its limit: uses, and what is short."""
        uses = []
        for credit, limit in lots:
            part = min(limit, amount)
            if part > 0:
                uses.append((credit, part))
                amount -= part
        return uses, amount

    def _take_all(self, account, at, amount):
        """What a debit takes that nothing excuses."""
        uses, short = self._take(account.spendable(at), amount)
        if short:
            raise Refused('JF001')
        return uses

    @staticmethod
    def _back(taken, amount):
        """Gives the amount back to the lots that it was taken from, last in order first."""
        uses = []
        for credit, n in reversed(by_order(taken)):
            part = min(n, amount)
            if part > 0:
                uses.append((credit, -part))
                amount -= part
        assert amount == 0
        return uses

    def _expire_returned(self, account, uses, at, now):
        """What these uses gave back to lots that had lapsed by then lapses at once; the rest: [(credit, points)]."""
        for when in sorted({c.expires_at for c, _ in uses if c.expires_at <= at}):
            self._post(account, 'expire', at, now, [(c, -n) for c, n in uses if c.expires_at == when])
        return [(c, -n) for c, n in uses if c.expires_at > at]

    def _extend(self, account, credit, points, ends, at, now):
        """Moves these points of a lot to a new one that lapses later; returns it as (credit, points)."""
        entry = self._credit(account, 'extend', at, now, points, ends, at, uses=[(credit, points)],
                             issued_at=credit.issued_at, source=credit.entry.source)
        return account.credits[entry.seq], points

    def _repay(self, account, given_at, lots, now):
        """Open debts are repaid from what an entry of that event_at has just put into lots: [(credit, points)]."""
        lots = by_order(lots)
        for debt, owed in account.debts():
            at = max(given_at, debt.event_at)
            uses, short = self._take([(credit, n) for credit, n in lots if credit.expires_at > at], owed)
            if uses:
                self._post(account, 'repay', at, now, uses, debt=short - owed, debt_seq=debt.seq)
                used = dict(uses)
                lots = [(credit, n - used.get(credit, 0)) for credit, n in lots]

    def _owe(self, scheme, account, short):
        """What a debit that lacks so many points owes."""
        if short and scheme.overdraft == 'refuse':
            raise Refused('JF001')
        if scheme.overdraft == 'debt' and scheme.overdraft_limit is not None \
                and short and account.debt() + short > scheme.overdraft_limit:
            raise Refused('JF009')
        return short

    def _forgive(self, scheme, account, entry, now):
        """A debt just made is written off where that is the program's rule."""
        if entry.debt > 0 and scheme.overdraft == 'forgive':
            self._post(account, 'adjust', entry.event_at, now, debt=-entry.debt, debt_seq=entry.seq,
                       reason='forgiven')

    def _release(self, account, hold, points, at, now, expire=True, **fields):
        """Gives back so many points of a hold, the last in order first."""
        taken = {}
        for entry in [hold] + account.concerning(hold, 'release'):
            for credit, n in entry.uses:
                taken[credit] = taken.get(credit, 0) + n
        uses = self._back(taken.items(), points)
        release = self._post(account, 'release', at, now, uses, held=-points, hold_seq=hold.seq, **fields)
        lots = self._expire_returned(account, uses, at, now) if expire \
            else [(c, -n) for c, n in uses if c.expires_at > at]
        self._repay(account, at, lots, now)
        return release

    def _release_due(self, account, clock, now, expire=True):
        """Releases the holds whose time has come; returns how many, and their points."""
        due = [(hold, points) for hold, points in account.holds() if hold.until <= clock]
        for hold, points in due:
            self._release(account, hold, points, hold.until, now, expire)
        return len(due), sum(points for _, points in due)

    def _book_lapsed(self, account, as_of, now):
        """The expiry job for one account; returns the number of lots booked."""
        lapsed = [c for c in account.lots() if c.expires_at <= as_of]
        for when in sorted({c.expires_at for c in lapsed}):
            self._post(account, 'expire', when, now,
                       [(c, c.remaining()) for c in lapsed if c.expires_at == when])
        return len(lapsed)
