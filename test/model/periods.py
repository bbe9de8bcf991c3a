"""periods.py: books that are closed until some time, and opened again; and when the reports count an entry."""

from booking import Booking
from journal import Refused
from when import FOREVER, local_day, midnight_after


class Periods(Booking):
    def close_period(self, now, program, until, reason=None, changed_at=None):
        """changed_at: when, where known."""
        self._check(now, [program, until], identifiers=[program])
        scheme = self._program(program)
        if until in (FOREVER, -FOREVER) or until > now or scheme.closed_until is not None and until <= scheme.closed_until \
                or not begins_day(until, scheme.time_zone):
            raise Refused('22023')
        for account in scheme.accounts.values():
            if any(hold.until < until for hold, _ in account.holds()) or any(c.lapses_at < until for c in account.lots()):
                raise Refused('55000')
        return self._change(scheme, until, now if changed_at is None else changed_at)

    def reopen_period(self, now, program, until, reason, changed_at=None):
        self._check(now, [program, reason], identifiers=[program])
        scheme = self._program(program)
        if reason == '' or scheme.closed_until is None or until in (FOREVER, -FOREVER) \
                or until is not None and (until >= scheme.closed_until or not begins_day(until, scheme.time_zone)):
            raise Refused('22023')
        return self._change(scheme, until, now if changed_at is None else changed_at)

    def _change(self, scheme, until, changed_at):
        self._append(scheme.closings, (changed_at, until))
        self._set(scheme, 'closed_until', until)
        return {'change_no': len(scheme.closings), 'closed_until': until}


def begins_day(at, time_zone):
    return midnight_after(local_day(at - 1, time_zone), time_zone) == at


def reported_at(scheme, entry):
    """When the reports count it: where the books were closed until later when it was posted, then."""
    until = next((until for at, until in reversed(scheme.closings) if at <= entry.posted_at), None)
    return entry.event_at if until is None else max(entry.event_at, until)
