"""booking.py: what a posting books besides itself, and what lots are made of."""

from decimal import Decimal
from fractions import Fraction

from account import by_order, taken_by
from journal import Journal, Refused, Terms
from policy import moves
from when import FOREVER


def share(revenue, part, whole, digits=0):
    """So much of what was paid for the whole, to the revenue's own decimals and so many more; half goes up."""
    scale = max(0, -revenue.as_tuple().exponent) + digits
    return Decimal((Fraction(revenue) * part * 10 ** scale / whole * 2 + 1) // 2).scaleb(-scale)


class Booking(Journal):
    """Due holds, lapsed lots, debts, what goes back to lots; all of it as the jobs would book it."""

    @staticmethod
    def _must_be_open(scheme, at):
        """What happened in a period that is closed is refused, where that is the program's rule."""
        if scheme.closed_until is not None and at < scheme.closed_until and scheme.late_postings == 'refuse':
            raise Refused('JF008')

    @staticmethod
    def _origin(credit, points):
        """What points of a lot keep in another: by which channel, who pays, and their part of what was paid."""
        revenue = credit.entry.revenue
        return {'issued_at': credit.issued_at, 'source': credit.entry.source, 'funder': credit.entry.funder,
                'revenue': None if revenue is None else share(revenue, points, credit.entry.points, 6)}

    def _begin(self, now, event_at, scheme, *accounts):
        """When a posting to these accounts happens, once all of them are open and what is due is booked."""
        for account in accounts:
            self._must_be(account, 'open')
        at = max([now] + [account.latest() for account in accounts]) if event_at is None else event_at
        self._must_be_open(scheme, at)
        for account in accounts:
            self._release_due(account, max(now, at), now)
            self._book(account, {credit: at for credit in account.lots() if credit.rule}, now)
        return at

    def _terms(self, scheme, account, kind, policy, counts_from, at, issued_at=None):
        """What a lot is given that is credited then under a policy; one issued before counts from there later on."""
        rule = scheme.rule if moves(policy) or scheme.notice_days is not None else None
        active = [t for t in account.activities(scheme.activity) if t <= at] + [at] * (kind in scheme.activity)
        ends = scheme.lapses(policy, counts_from, account, max(active, default=None))
        return Terms(ends, rule, policy if moves(policy) else None, counts_from if issued_at is None else issued_at)

    @staticmethod
    def _fixed(scheme, ends, counts_from):
        """What a lot is given that lapses at an instant said."""
        return Terms(ends, scheme.rule if scheme.notice_days is not None else None, None, counts_from)

    def _expire_returned(self, account, uses, at, now):
        """What these uses gave back to lots that had lapsed by then lapses at once; the rest: [(credit, points)]."""
        for when in sorted({c.lapses_at for c, _ in uses if c.lapses_at <= at}):
            self._post(account, 'expire', at, now, [(c, -n) for c, n in uses if c.lapses_at == when])
        return [(c, -n) for c, n in uses if c.lapses_at > at]

    def _extend(self, account, credit, points, terms, at, now, available_at=None, **fields):
        """Moves these points of a lot to a new one that lapses later; returns it as (credit, points)."""
        entry = self._credit(account, 'extend', at, now, points, terms, at if available_at is None else available_at,
                             uses=[(credit, points)], until=credit.stands_until, **self._origin(credit, points), **fields)
        return account.credits[entry.seq], points

    def _repay(self, account, given_at, lots, now):
        """Open debts are repaid from what an entry of that event_at has just put into lots: [(credit, points)]."""
        lots = by_order(lots)
        for debt, owed in account.debts():
            at = max(given_at, debt.event_at)
            uses, short = self._take([(credit, n) for credit, n in lots if credit.lapses_at > at], owed)
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
        uses = self._back(taken_by([hold] + account.concerning(hold, 'release')), points)
        release = self._post(account, 'release', at, now, uses, held=-points, hold_seq=hold.seq, **fields)
        lots = self._expire_returned(account, uses, at, now) if expire \
            else [(c, -n) for c, n in uses if c.lapses_at > at]
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
        return self._book(account, {credit: as_of for credit in account.lots()}, now)

    def _book(self, account, lots, now):
        """An expire entry for each instant at which some of these lots had lapsed by their as_of; returns how many."""
        lapsed = {}
        for credit, as_of in lots.items():
            if credit.lapses_at <= as_of:
                lapsed.setdefault(credit.lapses_at, []).append((credit, credit.remaining()))
        for when in sorted(lapsed):
            self._post(account, 'expire', when, now, lapsed[when])
        return sum(len(uses) for uses in lapsed.values())

    def _settle(self, account, now):
        """What an activity of earlier than the latest means for moving lots: some did not lapse, or lapsed in between."""
        back = {}
        for credit in account.credits.values():
            if credit.policy:
                for entry, n in credit.expired().items():
                    if entry.event_at < credit.lapses_at:
                        back.setdefault(entry, []).append((credit, -n))
        self._reinstate(account, back, now)
        self._book(account, {credit: max(account.activities(credit.rule.activity), default=-FOREVER)
                             for credit in account.lots() if credit.rule}, now)
