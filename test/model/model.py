"""model.py: the ledger once more, in memory and in the plainest way, to check the real one against.

Nothing is stored but the journal: entries, and under every credit the uses (allocations) made of
it. What remains of a lot, balances, tiers and what may be spent are reckoned anew from the journal
each time. Times are instants of when.py; a refusal is Refused with its SQLSTATE.

The rules, as this model understands them
-----------------------------------------
Refusals, in this order: a null argument (22004) or a bad amount, identifier or time (22023); unknown
program (JF002); unknown member (JF003; earn opens one where the program has auto_open); status (JF004);
then the rest, an earn's expiry by inactivity (0A000) among it. A negative explicit `qualifying` is 22023, zero is not.

event_at: null means now(), or the account's latest event_at (of any entry) where that is later. An
as_of of expire_batch in the future beyond the tolerance is 22023 like an event_at.

Net of a lot at τ: the credit's amount less the allocations of its entries with event_at <= τ, those
of expire and reinstate entries left out. A debit of event_at t may take from a lot at most the least
net at any τ >= t. For a debit later than all else that is what remains; for a back-dated one it is
what was there at t and nobody has taken since. Booked expiries play no part in it, hence no job can
change an answer.

redeem takes from the lots spendable at t (available_at <= t < expires_at) by (expires_at, seq), each up
to that limit; JF001 if it is not enough.

reverse of an earn takes from its own lot first, lapsed or pending or not, up to the same limit,
then from the other lots spendable at t as a redeem does; JF001 if it is not enough.

Where a debit takes more of a lot than remains stored, expire entries have booked the difference:
it is reinstated first, from the expire entries of that lot by ascending (event_at, seq); one reinstate
entry for each expire entry concerned (all lots together), in the same order, with its event_at and
reverses_seq = its seq, all before the debit's own entry. The earliest comes first because points may
have been given back to a lapsed lot and expired at once: undoing that later expiry for a debit from
before it would leave less than nothing in the lot in between.

reverse of a redeem gives back to the lots it took from (less what earlier reversals of it gave
back), by descending (expires_at, seq). What goes back to lots with expires_at <= event_at is expired
right after the reverse entry: one expire entry for each such expires_at, ascending, with the
reversal's event_at. Points that remained in such a lot before are left to the job.

reverse: null amount means all that is left; nothing left, or less than asked: JF006. The order among
"the rest": no such seq, or neither earn nor redeem, or an event_at before the reversed entry's (all
22023), JF006, JF001.

Qualifying: an earn's own (its amount by default); of a reversal of an earn minus the share of it
that falls to the reversed points, cumulated and rounded down: after R of A points are reversed,
floor(Q * R / A) is taken back altogether. Null in every other entry.

expire_batch books for each account, by ascending expires_at, one expire entry of that event_at for all
that remains in lots with that expires_at <= as_of, whatever the account's status. Which accounts a
limited batch takes is left open. `more` tells whether due accounts are left.

freeze needs an open account, unfreeze a frozen one, close one that is not closed (JF004). close books
what has lapsed by now(), then needs a zero balance (55000).

balance(as_of): entries with event_at <= as_of alone; a lot is lapsed if expires_at <= as_of, else pending
if available_at > as_of, else available. next_expires_at is the least finite expires_at > as_of of lots with
points, pending ones included, next_expiring the points lapsing then (both null if none).

Last activity is the latest event_at of an earn or a redeem; what is done to the account is no activity
of the member.

Tiers: an entry's qualifying points count from its event_at until the instant a tier_window later by the
program's local clock. A sum below zero reaches what zero reaches. A tier holds until the first such
instant after which less than its threshold is left.

expires_at and available_at are null in entries other than earn.
"""

from dataclasses import dataclass, field

from when import FOREVER, MINUTE, expires_at, shifted, to_datetime, zone

TOLERANCE = 5 * MINUTE
MAX_POINTS = 2 ** 63 - 1
MAX_IDENTIFIER = 255


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
    expires_at: object = None
    available_at: object = None
    reverses_seq: object = None
    source: object = None
    reference: object = None
    qualifying: object = None
    uses: list = field(default_factory=list)        # (credit, amount), as allocated


@dataclass(eq=False)
class Credit:
    """A credit of points and every use made of it: (entry, amount), negative where given back."""
    entry: Entry
    uses: list = field(default_factory=list)

    seq = property(lambda self: self.entry.seq)
    expires_at = property(lambda self: self.entry.expires_at)
    available_at = property(lambda self: self.entry.available_at)
    order = property(lambda self: (self.entry.expires_at, self.entry.seq))

    def remaining(self, as_of=FOREVER):
        """What was left at that time, with what we know today."""
        if self.entry.event_at > as_of:
            return 0
        return self.entry.amount - sum(n for entry, n in self.uses if entry.event_at <= as_of)

    def limit(self, at):
        """The most that a debit of that time may take: the least net at any time from then on."""
        moves = [(entry.event_at, n) for entry, n in self.uses
                 if entry.kind not in ('expire', 'reinstate')]
        return min(self.entry.amount - sum(n for t, n in moves if t <= tau)
                   for tau in {at} | {t for t, _ in moves if t > at})

    def spendable(self, at):
        return self.available_at <= at < self.expires_at


@dataclass(eq=False)
class Account:
    member: str
    statuses: list = field(default_factory=lambda: ['open'])    # one after the other
    entries: list = field(default_factory=list)
    credits: dict = field(default_factory=dict)     # by seq

    status = property(lambda self: self.statuses[-1])

    def balance(self):
        return self.entries[-1].balance if self.entries else 0

    def latest(self):
        return max((entry.event_at for entry in self.entries), default=-FOREVER)

    def last_activity(self):
        return max((entry.event_at for entry in self.entries
                    if entry.kind in ('earn', 'redeem')), default=None)

    def entry(self, seq):
        return self.entries[seq - 1] if 1 <= seq <= len(self.entries) else None

    def spendable(self, at):
        """Lots spendable at that time in the order of consumption, each with its limit."""
        lots = sorted((c for c in self.credits.values() if c.spendable(at)), key=lambda c: c.order)
        return [(credit, credit.limit(at)) for credit in lots]

    def lots(self):
        """Open lots by (expires_at, seq)."""
        return sorted((c for c in self.credits.values() if c.remaining()), key=lambda c: c.order)

    def reversed_of(self, entry):
        return sum(abs(e.amount) for e in self.entries
                   if e.kind == 'reverse' and e.reverses_seq == entry.seq)


@dataclass(eq=False)
class Program:
    code: str
    time_zone: str = 'UTC'
    expiry: str = 'never'
    auto_open: bool = False
    tier_window: str = '12 months'
    tiers: dict = field(default_factory=dict)       # (threshold, name) by code
    accounts: dict = field(default_factory=dict)    # by member


class Ledger:
    """All programs. Verbs are named and called as the SQL functions are, plus now."""

    def __init__(self):
        self.programs = {}
        self.journal = []           # how to undo each change, newest last

    # Transactions: a mark is a place to come back to.

    def mark(self):
        return len(self.journal)

    def rollback(self, mark):
        while len(self.journal) > mark:
            self.journal.pop()()

    def call(self, verb, now, **arguments):
        """One verb, whole or not at all."""
        mark = self.mark()
        try:
            return getattr(self, verb)(now=now, **arguments)
        except Refused:
            self.rollback(mark)
            raise

    def _set(self, thing, name, value):
        old = getattr(thing, name)
        self.journal.append(lambda: setattr(thing, name, old))
        setattr(thing, name, value)

    def put(self, mapping, key, value):
        self.journal.append(lambda: mapping.pop(key))
        mapping[key] = value

    def _append(self, sequence, value):
        self.journal.append(sequence.pop)
        sequence.append(value)

    # What every call checks first.

    @staticmethod
    def _check(now, nulls, amounts=(), identifiers=(), events=(), times=()):
        if None in nulls:
            raise Refused('22004')
        if any(n is not None and n <= 0 for n in amounts) \
                or any(not 1 <= len(text) <= MAX_IDENTIFIER for text in identifiers) \
                or any(t in (FOREVER, -FOREVER) for t in (*events, *times)) \
                or any(t is not None and t > now + TOLERANCE for t in events):
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

    # Programs, tiers and accounts.

    def create_program(self, now, code, **settings):
        self._check(now, nulls=[code], identifiers=[code])
        self._check_policy(settings.get('expiry'))
        self.put(self.programs, code, Program(code, **settings))
        return self.programs[code]

    def alter_program(self, now, program, **settings):
        self._check_policy(settings.get('expiry'))
        found = self._program(program)
        for name, value in settings.items():
            if value is not None:
                self._set(found, name, value)
        return found

    def create_tier(self, now, program, code, threshold, name=None):
        self.put(self._program(program).tiers, code, (threshold, name))

    def open_account(self, now, program, member):
        self._check(now, nulls=[program, member], identifiers=[program, member])
        accounts = self._program(program).accounts
        if member not in accounts:
            self.put(accounts, member, Account(member))
        self._must_be(accounts[member], 'open')
        return accounts[member]

    def _change_status(self, now, program, member, needed, status):
        self._check(now, nulls=[program, member], identifiers=[program, member])
        account = self.account(program, member)
        self._must_be(account, *needed)
        self._append(account.statuses, status)
        return account

    def freeze_account(self, now, program, member, reason=None):
        return self._change_status(now, program, member, ['open'], 'frozen')

    def unfreeze_account(self, now, program, member, reason=None):
        return self._change_status(now, program, member, ['frozen'], 'open')

    def close_account(self, now, program, member, reason=None):
        account = self._change_status(now, program, member, ['open', 'frozen'], 'closed')
        self._book_lapsed(account, now, now)
        if account.balance() != 0:
            raise Refused('55000')
        return account

    # Writing entries.

    def _post(self, account, kind, event_at, now, uses=(), amount=None, **fields):
        """Appends an entry. Its amount is what it gives back less what it takes, or that of a credit."""
        amount = -sum(n for _, n in uses) if amount is None else amount
        balance = account.balance() + amount
        if balance > MAX_POINTS:
            raise Refused('22003')
        entry = Entry(len(account.entries) + 1, kind, amount, balance, event_at, now,
                      uses=list(uses), **fields)
        self._append(account.entries, entry)
        for credit, n in uses:
            self._append(credit.uses, (entry, n))
            assert 0 <= credit.remaining() <= credit.entry.amount
        return entry

    def _debit(self, account, kind, event_at, now, uses, **fields):
        """Posts a debit, after the reinstatements that it needs."""
        undo = {}               # expire entry → uses given back
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
                    undo.setdefault(entry, []).append((credit, -part))
                    missing -= part
            assert missing <= 0
        for entry in sorted(undo, key=lambda e: (e.event_at, e.seq)):
            self._post(account, 'reinstate', entry.event_at, now, undo[entry],
                       reverses_seq=entry.seq)
        return self._post(account, kind, event_at, now, uses, **fields)

    @staticmethod
    def _take(lots, amount):
        """Takes the amount from the lots in turn, each up to its limit."""
        uses = []
        for credit, limit in lots:
            part = min(limit, amount)
            if part > 0:
                uses.append((credit, part))
                amount -= part
        if amount > 0:
            raise Refused('JF001')
        return uses

    def _book_lapsed(self, account, as_of, now):
        """The expiry job for one account; returns the number of lots booked."""
        lapsed = [c for c in account.lots() if c.expires_at <= as_of]
        for when in sorted({c.expires_at for c in lapsed}):
            self._post(account, 'expire', when, now,
                       [(c, c.remaining()) for c in lapsed if c.expires_at == when])
        return len(lapsed)

    # The verbs.

    def earn(self, now, program, member, amount, reference=None, source=None, event_at=None,
             expiry=None, available_at=None, qualifying=None, revenue=None, details=None):
        self._check(now, [program, member, amount], [amount], [program, member],
                    [event_at], [available_at])
        if qualifying is not None and qualifying < 0:
            raise Refused('22023')
        scheme = self._program(program)
        if member not in scheme.accounts and scheme.auto_open:
            self.put(scheme.accounts, member, Account(member))
        account = self.account(program, member)
        self._must_be(account, 'open')
        self._check_policy(expiry)
        policy = scheme.expiry if expiry is None else expiry
        at = max(now, account.latest()) if event_at is None else event_at
        available = at if available_at is None else available_at
        end = expires_at(policy, at, scheme.time_zone)
        if not at <= available < end:
            raise Refused('22023')
        entry = self._post(account, 'earn', at, now, amount=amount, expires_at=end,
                           available_at=available, source=source, reference=reference,
                           qualifying=amount if qualifying is None else qualifying)
        self.put(account.credits, entry.seq, Credit(entry))
        return entry

    def redeem(self, now, program, member, amount, reference=None, event_at=None, details=None):
        self._check(now, [program, member, amount], [amount], [program, member], [event_at])
        account = self.account(program, member)
        self._must_be(account, 'open')
        at = max(now, account.latest()) if event_at is None else event_at
        return self._debit(account, 'redeem', at, now, self._take(account.spendable(at), amount),
                           reference=reference)

    def reverse(self, now, program, member, seq, amount=None, reason=None, event_at=None, details=None):
        self._check(now, [program, member, seq], [amount], [program, member], [event_at])
        account = self.account(program, member)
        self._must_be(account, 'open')
        target = account.entry(seq)
        if target is None or target.kind not in ('earn', 'redeem'):
            raise Refused('22023')
        at = max(now, account.latest()) if event_at is None else event_at
        if at < target.event_at:
            raise Refused('22023')
        before = account.reversed_of(target)
        left = abs(target.amount) - before
        amount = left if amount is None else amount
        if amount > left or left == 0:
            raise Refused('JF006')
        if target.kind == 'earn':
            return self._reverse_earn(account, target, before, amount, at, now)
        return self._reverse_redeem(account, target, amount, at, now)

    def _reverse_earn(self, account, target, before, amount, at, now):
        own = account.credits[target.seq]
        others = [(credit, limit) for credit, limit in account.spendable(at) if credit is not own]
        uses = self._take([(own, own.limit(at))] + others, amount)
        share = target.qualifying * before // target.amount \
            - target.qualifying * (before + amount) // target.amount
        return self._debit(account, 'reverse', at, now, uses, reverses_seq=target.seq,
                           qualifying=share)

    def _reverse_redeem(self, account, target, amount, at, now):
        taken = {}
        for entry in account.entries:
            if entry is target or entry.kind == 'reverse' and entry.reverses_seq == target.seq:
                for credit, n in entry.uses:
                    taken[credit] = taken.get(credit, 0) + n
        uses = []
        for credit in sorted(taken, key=lambda c: c.order, reverse=True):
            part = min(taken[credit], amount)
            if part > 0:
                uses.append((credit, -part))
                amount -= part
        assert amount == 0
        reversal = self._post(account, 'reverse', at, now, uses, reverses_seq=target.seq)
        for when in sorted({c.expires_at for c, _ in uses if c.expires_at <= at}):
            self._post(account, 'expire', at, now, [(c, -n) for c, n in uses if c.expires_at == when])
        return reversal

    def due(self, program, as_of):
        """Accounts with lapsed lots not booked: (program code, account)."""
        codes = self.programs if program is None else [program]
        return [(code, account) for code in codes for account in self.programs[code].accounts.values()
                if any(c.expires_at <= as_of for c in account.lots())]

    def expire_batch(self, now, program=None, as_of=None, max_accounts=1000, chosen=None):
        """chosen: (program code, member) of the accounts that the batch took, where known."""
        self._check(now, [as_of, max_accounts], [max_accounts], events=[as_of])
        if program is not None:
            self._check(now, [], identifiers=[program])
            self._program(program)
        due = self.due(program, as_of)
        batch = [(code, account) for code, account in due
                 if chosen is None or (code, account.member) in chosen][:max_accounts]
        lots = points = 0
        for _, account in batch:
            before = account.balance()
            lots += self._book_lapsed(account, as_of, now)
            points += before - account.balance()
        return {'accounts': min(len(due), max_accounts), 'lots': lots, 'points': points,
                'more': len(due) > max_accounts}

    # Readings.

    def balance(self, program, member, as_of):
        account = self.account(program, member)
        sums = {'available': 0, 'pending': 0, 'lapsed': 0}
        coming = {}
        for credit in account.credits.values():
            left = credit.remaining(as_of)
            if credit.expires_at <= as_of:
                sums['lapsed'] += left
            else:
                sums['pending' if credit.available_at > as_of else 'available'] += left
                if left and credit.expires_at < FOREVER:
                    coming[credit.expires_at] = coming.get(credit.expires_at, 0) + left
        following = min(coming, default=None)
        return {'balance': sum(e.amount for e in account.entries if e.event_at <= as_of),
                'held': 0, **sums,
                'next_expires_at': following, 'next_expiring': coming.get(following)}

    def expiring(self, program, member, until, as_of):
        return sum(c.remaining(as_of) for c in self.account(program, member).credits.values()
                   if as_of < c.expires_at <= until)

    def statement(self, program, member, since=None, until=None):
        rows, balance = [], 0
        for entry in sorted(self.account(program, member).entries, key=lambda e: (e.event_at, e.seq)):
            balance += entry.amount
            if (since is None or since <= entry.event_at) and (until is None or entry.event_at < until):
                rows.append((entry, balance))
        return rows

    def tier_status(self, program, member, as_of):
        scheme = self._program(program)
        ends = {}                   # qualifying points that count at as_of, by the instant from which they do not
        for entry in self.account(program, member).entries:
            end = shifted(entry.event_at, scheme.tier_window, 1, scheme.time_zone)
            if entry.qualifying is not None and entry.event_at <= as_of < end:
                ends[end] = ends.get(end, 0) + entry.qualifying
        points = sum(ends.values())
        tiers = sorted((threshold, code, name) for code, (threshold, name) in scheme.tiers.items())
        threshold, tier, name = max((t for t in tiers if t[0] <= max(points, 0)), default=(None,) * 3)
        following, next_tier, _ = min((t for t in tiers if t[0] > max(points, 0)), default=(None,) * 3)
        lost = [end for end in ends
                if tier and max(0, sum(n for e, n in ends.items() if e > end)) < threshold]
        return {'tier': tier, 'name': name, 'qualifying': points, 'threshold': threshold,
                'window_start': shifted(as_of, scheme.tier_window, -1, scheme.time_zone), 'window_end': as_of,
                'next_tier': next_tier, 'next_threshold': following,
                'missing': None if following is None else following - points,
                'holds_until': min(lost, default=None)}

    def tier_for(self, program, member, as_of):
        return self.tier_status(program, member, as_of)['tier']

    def liability(self, now):
        """By program and local month of expiry (None: never): members, lots, points and those of them lapsed."""
        found = {}
        for program in self.programs.values():
            for account in program.accounts.values():
                for credit in account.lots():
                    month = None
                    if credit.expires_at < FOREVER:
                        last = to_datetime(credit.expires_at - 1, zone(program.time_zone))
                        month = last.date().replace(day=1)
                    members, lots, points, lapsed = found.get((program.code, month), (set(), 0, 0, 0))
                    left = credit.remaining()
                    found[program.code, month] = (members | {account.member}, lots + 1, points + left,
                                                  lapsed + left * (credit.expires_at <= now))
        return {key: (len(members), *sums) for key, (members, *sums) in found.items()}
