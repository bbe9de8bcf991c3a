"""extensions.py: lots that are made to lapse later, that undone, and what has lapsed given back."""

from dataclasses import dataclass, field

from booking import Booking
from journal import Refused, Terms, happened
from when import FOREVER, end_shifted


@dataclass(eq=False)
class Extension:
    extension_id: int
    idempotency_key: object = None
    request: object = None
    accounts: int = 0
    lots: int = 0
    points: int = 0
    moved: list = field(default_factory=list)       # (account, lot it made, lot it took from)


class Extensions(Booking):
    def extend_expiry(self, now, program, reason, until=None, by_interval=None, members=None, sources=None,
                      expiring_since=None, expiring_until=None, idempotency_key=None, event_at=None, number=None):
        self._check(now, [program, reason], identifiers=[program], events=[event_at], key=idempotency_key)
        if (until is None) == (by_interval is None) or reason == '' \
                or None not in (expiring_since, expiring_until) and expiring_since >= expiring_until:
            raise Refused('22023')
        scheme = self._program(program)
        accounts = self._accounts(scheme, members)
        request = (reason, until, by_interval, members, sources, expiring_since, expiring_until, event_at)
        first = next((x for x in scheme.extensions.values()
                      if idempotency_key is not None and x.idempotency_key == idempotency_key), None)
        if first:
            if first.request != request:
                raise Refused('JF005')
            return first
        made = Extension(number or len(scheme.extensions) + 1, idempotency_key, request)
        for account in accounts:
            at = max(now, account.latest()) if event_at is None else event_at
            self._must_be_open(scheme, at)
            lots = []
            for credit, left in self._unlapsed(account, at):
                stands = credit.stands_until
                ends = until if by_interval is None else end_shifted(stands, by_interval, scheme.time_zone) \
                    if stands < FOREVER else FOREVER
                if (sources is None or credit.entry.source in sources) and ends > max(stands, at) \
                        and (expiring_since is None or stands >= expiring_since) \
                        and (expiring_until is None or stands < expiring_until):
                    lots.append((credit, left, ends))
            self._move_lots(account, made, lots, at, now, {'reason': reason, 'reference': f'extension {made.extension_id}'})
        self.put(scheme.extensions, made.extension_id, made)
        return made

    def undo_extension(self, now, program, extension_id, reason, members=None, number=None):
        self._check(now, [program, extension_id, reason], identifiers=[program])
        scheme = self._program(program)
        accounts = self._accounts(scheme, members)
        if reason == '' or extension_id not in scheme.extensions or scheme.extensions[extension_id].request is None:
            raise Refused('22023')
        made = Extension(number or len(scheme.extensions) + 1)
        for account in accounts:
            origins = {new: old for owner, new, old in scheme.extensions[extension_id].moved if owner is account}
            if not origins:
                continue
            at = max(now, account.latest())
            lots = [(credit, left, origins[credit].expires_at) for credit, left in self._unlapsed(account, at)
                    if credit in origins]
            self._move_lots(account, made, lots, at, now, {'reason': reason, 'reference': f'extension {extension_id}'},
                            origins)
        self.put(scheme.extensions, made.extension_id, made)
        return made

    @staticmethod
    def _accounts(scheme, members):
        for member in members or ():
            if member not in scheme.accounts:
                raise Refused('JF003')
        return [account for member, account in scheme.accounts.items()
                if (members is None or member in members) and account.status != 'closed']

    @staticmethod
    def _unlapsed(account, at):
        """Lots of which something is left that can still be moved then, by (expires_at, seq)."""
        lots = [(credit, credit.limit(at)) for credit in account.credits.values()
                if credit.entry.event_at <= at < credit.lapses_at]
        return sorted((lot for lot in lots if lot[1]), key=lambda lot: lot[0].place)

    def _move_lots(self, account, made, lots, at, now, said, origins=None):
        """Moves what is left of lots, (credit, points, new instant), to lots of their own, back to the clocks of their origins.

        What has lapsed by those lapses at once.
        """
        self._excuse(account, [(credit, left) for credit, left, _ in lots], now)
        moved = []
        for credit, left, ends in lots:
            origin = origins and origins[credit]
            terms = Terms(ends, credit.rule, credit.policy, credit.counts_from, origin and origin.started_at)
            moved.append(self._extend(account, credit, left, terms, at, now, max(credit.available_at, at),
                                      reverses_seq=credit.seq if origin else None, **said))
            made.moved.append((account, moved[-1][0], credit))
        self._expire_returned(account, [(credit, -left) for credit, left in moved], at, now)
        made.lots += len(moved)
        made.points += sum(left for _, left in moved)
        made.accounts += bool(lots)

    def reinstate(self, now, program, member, reason, amount=None, lapsed_since=None, lapsed_until=None, expiry=None,
                  event_at=None, details=None):
        """Gives back what lapsed last first, of what lapsed within these bounds; returns the reinstate entries."""
        self._check(now, [program, member, reason], [amount], [program, member], [event_at])
        if reason == '' or None not in (lapsed_since, lapsed_until) and lapsed_since >= lapsed_until:
            raise Refused('22023')
        account = self.account(program, member)
        self._must_be(account, 'open')
        at = max(now, account.latest()) if event_at is None else event_at
        self._book_lapsed(account, now, now)
        expired = [entry for entry in account.entries
                   if entry.kind == 'expire' and entry.event_at <= at and account.left_of(entry)
                   and (lapsed_since is None or entry.event_at >= lapsed_since)
                   and (lapsed_until is None or entry.event_at < lapsed_until)]
        missing = sum(account.left_of(entry) for entry in expired) if amount is None else amount
        found = []
        for entry in sorted(expired, key=happened, reverse=True):
            part = min(missing, account.left_of(entry))
            if part:
                found.append(self.reverse(now, program, member, entry.seq, part, reason, None, event_at, details, expiry))
                missing -= part
        if missing:
            raise Refused('JF006')
        return found
