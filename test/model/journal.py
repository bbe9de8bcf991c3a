"""journal.py: how an entry comes about, and whole calls or nothing of them."""

from collections import namedtuple

from account import Credit, Entry
from when import FOREVER, MINUTE

TOLERANCE = 5 * MINUTE
MAX_POINTS = 2 ** 63 - 1
MAX_IDENTIFIER = 255

Terms = namedtuple('Terms', 'expires_at rule policy counts_from since', defaults=(None,) * 4)      # of a lot


class Refused(Exception):
    """A call refused with this SQLSTATE, nothing written."""

    def __init__(self, sqlstate):
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def happened(entry):
    return entry.event_at, entry.seq


class Journal:
    """All programs, and how entries are written: whole calls or nothing of them."""

    def __init__(self):
        self.programs = {}
        self.undo = []              # how to undo each change, newest last
        self.request = None         # of the call at hand: (verb, arguments that were given)
        self.touched = {}           # accounts to which it posted, in order
        self.posted_at = {}         # (member, seq): when the entry is booked, where that is known to be later than now

    # Transactions: a mark is a place to come back to.

    def mark(self):
        return len(self.undo)

    def rollback(self, mark):
        while len(self.undo) > mark:
            self.undo.pop()()

    def call(self, verb, now, **arguments):
        """One function of SQL, whole or not at all."""
        mark, outer = self.mark(), self.touched
        self.touched = {}
        self.request = (verb, {name: value for name, value in arguments.items()
                               if value is not None and name != 'idempotency_key'})
        try:
            answer = getattr(self, 'import_' if verb == 'import' else verb)(now=now, **arguments)
            for account in self.touched:
                self._settle(account, now)
            return answer
        except Refused:
            self.rollback(mark)
            raise
        finally:
            self.touched = outer

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
        posted_at = self.posted_at.get((account.member, last + 1), now)
        entry = Entry(last + 1, kind, amount, balance, event_at, posted_at, points, held, debt, uses=list(uses),
                      places={credit: credit.order for credit, _ in uses}, **fields)
        self.touched[account] = True
        self._append(account.entries, entry)
        for credit, n in uses:
            self._append(credit.uses, (entry, n))
            assert 0 <= credit.remaining() <= credit.entry.points
        return entry

    def _credit(self, account, kind, event_at, now, points, terms, available_at, **fields):
        """Posts an entry with a lot of its own."""
        if terms.policy:
            fields['expiry'] = terms.policy
        entry = self._post(account, kind, event_at, now, points=points, expires_at=terms.expires_at,
                           available_at=available_at, rule_no=terms.rule and terms.rule.rule_no, **fields)
        self.put(account.credits, entry.seq, Credit(entry, account, *terms[1:]))
        return entry

    def _debit(self, account, kind, event_at, now, uses, **fields):
        """Posts an entry that takes from lots, after the reinstatements that it needs."""
        self._excuse(account, uses, now)
        return self._post(account, kind, event_at, now, uses, **fields)

    def _excuse(self, account, uses, now):
        """Undoes expiry as far as these uses take more than remains stored."""
        back = {}               # expire entry → uses given back
        for credit, n in uses:
            missing, expired = n - credit.remaining(), credit.expired()
            for entry in sorted(expired, key=happened):
                part = min(missing, expired[entry])
                if part > 0:
                    back.setdefault(entry, []).append((credit, -part))
                    missing -= part
            assert missing <= 0
        self._reinstate(account, back, now)

    def _reinstate(self, account, back, now):
        """Undoes what expire entries took: {entry: uses that give it back}."""
        for entry in sorted(back, key=happened):
            self._post(account, 'reinstate', entry.event_at, now, back[entry], reverses_seq=entry.seq)

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
        """Gives the amount back to the lots that it was taken from in that order, last first."""
        uses = []
        for credit, n in reversed(taken):
            part = min(n, amount)
            if part > 0:
                uses.append((credit, -part))
                amount -= part
        assert amount == 0
        return uses
