"""account.py: entries, credits, notices, accounts and programs in memory, and what they tell without being changed.

Nothing is stored but the journal and the notices; whatever else is known of an account is reckoned from them here.
"""

from dataclasses import dataclass, field

import lapse
from policy import expires_at
from when import FOREVER

ACTIVITIES = ('earn', 'redeem', 'hold', 'capture', 'transfer_out', 'transfer_in', 'import', 'adjust')
ACTIVE = ACTIVITIES[:5]         # what the member does


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
    funder: object = None
    partner: object = None
    revenue: object = None          # Decimal
    reference: object = None
    reason: object = None
    idempotency_key: object = None
    expiry: object = None
    details: object = None
    qualifying: object = None
    request: object = None          # what was asked for, of an entry with a key
    rule_no: object = None          # of its own lot, where that moves
    uses: list = field(default_factory=list)        # (credit, amount), as allocated
    places: dict = field(default_factory=dict)      # credit → the order in which it stood before the entry


@dataclass(frozen=True)
class Rule:
    """What a program's rules for new lots were since a change of them."""
    rule_no: int
    time_zone: str
    expiry: str
    activity: tuple
    notice_days: object


@dataclass(eq=False)
class Notice:
    """What a member was told: which lots lapse at which instant of their clock."""
    notice_no: int
    window_days: int
    sent_at: int
    counts_from: int                # from when its days are counted
    channel: object
    posted_at: int
    lots: dict                      # (seq, instant) → points
    first_expires_at: int
    last_expires_at: int

    points = property(lambda self: sum(self.lots.values()))


@dataclass(eq=False)
class Credit:
    """A credit of points and every use made of it: (entry, amount), negative where given back."""
    entry: Entry
    account: object
    rule: object = None             # the program's at the posting, where the lot moves
    policy: object = None           # where activity moves it
    counts_from: object = None
    since: object = None            # from when its clock has run, where that is before the entry
    uses: list = field(default_factory=list)

    started_at = property(lambda self: self.entry.event_at if self.since is None else self.since)
    seq = property(lambda self: self.entry.seq)
    expires_at = property(lambda self: self.entry.expires_at)
    available_at = property(lambda self: self.entry.available_at)
    issued_at = property(lambda self: self.entry.event_at if self.entry.issued_at is None
                         else self.entry.issued_at)
    due_at = property(lambda self: self.account.lapse(self)[0])         # by its clock
    lapses_at = property(lambda self: self.account.lapse(self)[1])      # once notice is given where it must be
    stands_until = property(lambda self: self.due_at if self.lapses_at == FOREVER else self.lapses_at)
    order = property(lambda self: (self.due_at, self.seq))
    place = property(lambda self: (self.expires_at, self.seq))          # among what a transfer or an extension writes

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
        return self.available_at <= at < self.lapses_at

    def expired(self):
        """What expire entries took and nothing gave back: {entry: points}."""
        found = {}
        for entry, n in self.uses:
            if entry.kind == 'expire':
                found[entry] = n
            elif entry.kind == 'reinstate':
                found[self.account.entry(entry.reverses_seq)] += n
        return {entry: n for entry, n in found.items() if n}


def by_order(uses):
    return sorted(uses, key=lambda use: use[0].order)


@dataclass(eq=False)
class Account:
    member: str
    opened_at: int
    statuses: list = field(default_factory=lambda: ['open'])    # one after the other
    entries: list = field(default_factory=list)
    credits: dict = field(default_factory=dict)     # by seq
    notices: list = field(default_factory=list)
    memo: tuple = (None, None)

    status = property(lambda self: self.statuses[-1])

    def remembered(self, key, reckon):
        """What is reckoned, once, from entries and notices as they are."""
        state = (len(self.entries), self.entries[-1:], len(self.notices), self.notices[-1:])
        if self.memo[0] != state:
            self.memo = (state, {})
        found = self.memo[1]
        if key not in found:
            found[key] = reckon()
        return found[key]

    def activities(self, kinds):
        """When something of these kinds happened, ascending."""
        return self.remembered(kinds, lambda: sorted(e.event_at for e in self.entries if e.kind in kinds))

    def lapse(self, credit, as_of=FOREVER):
        """By what is known, or was known of the time until then: when its clock runs out, and when it lapses."""
        return self.remembered((credit, as_of), lambda: lapse.lapse(credit, as_of))

    def balance(self):
        return self.entries[-1].balance if self.entries else 0

    def held(self):
        return sum(entry.held for entry in self.entries)

    def debt(self):
        return sum(entry.debt for entry in self.entries)

    def latest(self, kind=None):
        return max((entry.event_at for entry in self.entries if kind in (None, entry.kind)), default=-FOREVER)

    def last_activity(self, kinds=ACTIVE):
        return max((entry.event_at for entry in self.entries if entry.kind in kinds), default=None)

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
        """Open lots by order."""
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
        """What a debit took from each lot, itself or to repay its debt, less what came back: [(credit, amount)].

        In the order in which the lots stood when they were taken.
        """
        concerned = [entry] + self.concerning(entry, 'reverse', 'repay', 'reinstate')
        if entry.kind == 'capture':
            hold = self.entry(entry.hold_seq)
            concerned = [hold] + concerned + self.concerning(hold, 'release')
        return taken_by(concerned)

    def known(self, known_at):
        """The account as its entries posted until then tell."""
        copy = Account(self.member, self.opened_at, self.statuses, [e for e in self.entries if e.posted_at <= known_at],
                       notices=[n for n in self.notices if n.posted_at <= known_at])
        for credit in self.credits.values():
            if credit.entry.posted_at <= known_at:
                copy.credits[credit.seq] = Credit(credit.entry, copy, credit.rule, credit.policy, credit.counts_from,
                                                  credit.since, [use for use in credit.uses if use[0].posted_at <= known_at])
        for n, entry in enumerate(copy.entries):
            copy.entries[n] = Entry(**{
                **entry.__dict__,
                'uses': [(copy.credits[credit.seq], points) for credit, points in entry.uses
                         if credit.seq in copy.credits],
                'places': {copy.credits[credit.seq]: place for credit, place in entry.places.items()
                           if credit.seq in copy.credits}})
        return copy


def taken_by(entries):
    """What these entries took from each lot all together, in the order in which the lots stood at the first of them."""
    taken, places = {}, {}
    for entry in entries:
        for credit, n in entry.uses:
            taken[credit] = taken.get(credit, 0) + n
            places.setdefault(credit, entry.places[credit])
    return sorted(((credit, n) for credit, n in taken.items() if n), key=lambda use: places[use[0]])


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
    activity: tuple = ACTIVE
    notice_days: object = None
    late_postings: str = 'refuse'
    closed_until: object = None
    rule: object = None
    tiers: dict = field(default_factory=dict)       # (threshold, name) by code
    accounts: dict = field(default_factory=dict)    # by member
    extensions: dict = field(default_factory=dict)  # by number
    closings: list = field(default_factory=list)    # (changed_at, closed_until), one after the other

    def lapses(self, policy, at, account, activity_at=None):
        return expires_at(policy, at, self.time_zone, account.opened_at, activity_at)
