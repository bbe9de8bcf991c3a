"""notices.py: what members are told of points that are to lapse."""

from account import Notice
from booking import Booking
from journal import Refused
from lapse import after_days, planned
from when import FOREVER


class Notices(Booking):
    def record_notice(self, now, program, member, channel, window_days, until=None, sent_at=None):
        """Returns the notice as a list; nothing where the member has been told of all of it in that window or a shorter one."""
        sent_at = now if sent_at is None else sent_at
        self._check(now, [program, member, channel, window_days], [window_days], [program, member, channel],
                    times=[sent_at])
        if sent_at > now:
            raise Refused('22023')
        account, scheme = self.account(program, member), self._program(program)
        until = after_days(sent_at, window_days, scheme.time_zone) if until is None else until
        # What happened after a notice that is recorded late stays as it was.
        happened = [entry.event_at for entry in account.entries if entry.kind not in ('expire', 'reinstate')]
        happened += [hold.until for hold, _ in account.holds() if hold.until <= now]
        counts_from = max([sent_at] + happened)
        told = {lot for notice in account.notices for lot in notice.lots
                if notice.window_days == window_days or notice.window_days < window_days and notice.sent_at <= sent_at}
        lots, ends = {}, []
        for credit in account.credits.values():
            (due_at, lapses_at), left = account.lapse(credit, sent_at), credit.remaining(sent_at)
            ends_at = planned(credit, sent_at, counts_from)
            # One that still waits for a notice is in the window by its clock.
            if left > 0 and lapses_at > sent_at and (due_at if lapses_at == FOREVER else ends_at) <= until \
                    and ends_at < FOREVER and (credit.seq, due_at) not in told:
                lots[credit.seq, due_at] = left
                ends.append(ends_at)
        if not lots:
            return []
        self._append(account.notices, Notice(len(account.notices) + 1, window_days, sent_at, counts_from, channel, now,
                                             lots, min(ends), max(ends)))
        return account.notices[-1:]
