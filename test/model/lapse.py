"""lapse.py: when a lot lapses, by what the member did and was told, whenever that was booked.

A lot that moves lapses by the rule that its program had when it was credited. Its clock runs from the latest
activity; each activity before it has run out, or before a notice that must be given has been given for long
enough, winds it up again. It never lapses before the instant reckoned at its posting.
"""

from bisect import bisect_left, bisect_right
from datetime import timedelta

from policy import expires_at
from when import FOREVER, local_day, midnight_after


def after_days(at, days, time_zone):
    """The end of the local day so many days later."""
    return midnight_after(local_day(at, time_zone) + timedelta(days=days), time_zone)


def clock(credit, activity_at):
    """When it lapses with that as its latest activity."""
    if credit.policy is None:
        return credit.expires_at
    return max(credit.expires_at, expires_at(credit.policy, credit.counts_from, credit.rule.time_zone,
                                             credit.account.opened_at, activity_at))


def noticed_at(credit, due_at, as_of=FOREVER):
    """From when the days count of the first notice that it lapses then; None if there is none yet."""
    return min((n.counts_from for n in credit.account.notices if (credit.seq, due_at) in n.lots and n.counts_from <= as_of),
               default=None)


def waited(credit, due_at, counts_from):
    """When it lapses whose clock runs out then, with a notice whose days count from that."""
    return max(due_at, after_days(counts_from, credit.rule.notice_days, credit.rule.time_zone))


def waits(credit):
    return credit.rule is not None and credit.rule.notice_days is not None


def effective(credit, due_at, as_of=FOREVER):
    """When it lapses whose clock runs out then: not before a notice that must be given, nor within its days."""
    if not waits(credit):
        return due_at
    counts_from = noticed_at(credit, due_at, as_of)
    return FOREVER if counts_from is None else waited(credit, due_at, counts_from)


def lapse(credit, as_of):
    """When its clock runs out and when it lapses, by activity and notices until then."""
    if credit.policy is None:
        return credit.expires_at, effective(credit, credit.expires_at, as_of)
    times = credit.account.activities(credit.rule.activity)
    end = bisect_right(times, as_of)
    at = bisect_right(times, min(credit.started_at, as_of)) - 1
    while True:
        due_at = clock(credit, times[at] if at >= 0 else None)
        lapses_at = effective(credit, due_at, as_of)
        # The next activity, and not the latest before lapses_at: without a notice that is forever away.
        following = bisect_right(times, times[at]) if at >= 0 else 0
        if following >= end or times[following] >= lapses_at:
            return due_at, lapses_at
        if credit.rule.notice_days is None:
            following = bisect_left(times, lapses_at, hi=end) - 1       # later activity never means an earlier end
        at = following


def planned(credit, as_of, told_at=None):
    """When it will lapse as far as is known as of then, a notice that is missing being given then or at told_at."""
    due_at, lapses_at = credit.account.lapse(credit, as_of)
    if lapses_at < FOREVER or due_at == FOREVER:
        return lapses_at
    return waited(credit, due_at, as_of if told_at is None else told_at)
