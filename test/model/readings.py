"""readings.py: what is asked of the ledger: balances, statements, tiers and what is owed."""

from booking import Booking
from lapse import planned
from when import FOREVER, shifted, to_datetime, zone


class Readings(Booking):
    def _as_if_booked(self, program, member, as_of, known_at=None):
        """A copy of the account as known then, whose holds due by as_of are released; expiry is left to come."""
        account = self.account(program, member).known(FOREVER if known_at is None else known_at)
        mark = self.mark()
        self._release_due(account, as_of, as_of, expire=False)
        del self.undo[mark:]
        return account

    def settled(self, program, member, now):
        """The account, as if its overdue holds were released."""
        account = self.account(program, member)
        return self._as_if_booked(program, member, now) if any(hold.until <= now for hold, _ in account.holds()) else account

    def balance(self, program, member, as_of, known_at=None):
        account = self._as_if_booked(program, member, as_of, known_at)
        sums = {'available': 0, 'pending': 0, 'lapsed': 0, 'held_back': 0}
        coming = {}
        for credit in account.credits.values():
            left = credit.remaining(as_of)
            due_at, lapses_at = account.lapse(credit, as_of)
            if lapses_at <= as_of:
                sums['lapsed'] += left
                continue
            sums['pending' if credit.available_at > as_of else 'available'] += left
            sums['held_back'] += left * (due_at <= as_of)
            when = planned(credit, as_of)
            if left and when < FOREVER:
                coming[when] = coming.get(when, 0) + left
        following = min(coming, default=None)
        happened = [e for e in account.entries if e.event_at <= as_of]
        return {'balance': sum(e.amount for e in happened), 'held': sum(e.held for e in happened),
                'debt': sum(e.debt for e in happened), **sums,
                'next_expires_at': following, 'next_expiring': coming.get(following)}

    def expiring(self, program, member, until, as_of):
        account = self._as_if_booked(program, member, as_of)
        return sum(c.remaining(as_of) for c in account.credits.values()
                   if account.lapse(c, as_of)[1] > as_of and planned(c, as_of) <= until)

    def statement(self, program, member, since=None, until=None, known_at=None):
        rows, balance = [], 0
        for entry in sorted(self.account(program, member).entries, key=lambda e: (e.event_at, e.seq)):
            if known_at is not None and entry.posted_at > known_at:
                continue
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
        """By program and local month of expiry (None: never): points in lots and those of them lapsed."""
        found = {}
        for program in self.programs.values():
            for member in program.accounts:
                for credit in self.settled(program.code, member, now).lots():
                    month = None
                    if credit.due_at < FOREVER:
                        last = to_datetime(credit.due_at - 1, zone(program.time_zone))
                        month = last.date().replace(day=1)
                    left = credit.remaining()
                    points, lapsed = found.get((program.code, month), (0, 0))
                    found[program.code, month] = (points + left, lapsed + left * (credit.lapses_at <= now))
        return found
