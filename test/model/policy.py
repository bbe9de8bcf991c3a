"""policy.py: what the literals of expiry_policy mean: when a credit lapses, by the calendar of when.py.

A policy is kept as its text; terms() takes it apart. A term counts from the credit's local day or, where
it is `inactive`, from the last activity's, and is moved to the end of its period.
"""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from when import FOREVER, add_months, anniversary_after, end_of, local_day, midnight_after

UNITS = {'day': (1, 'day'), 'week': (7, 'day'), 'month': (1, 'month'), 'quarter': (3, 'month'), 'year': (12, 'month')}
PERIODS = {'december': 'year'}       # those of the same meaning
TERM = re.compile(r'(\d+) (day|week|month|quarter|year)s?( inactive)?(?: end of ([a-z ]+))?|end of ([a-z ]+)|on ([\d-]+)')


class Unjoined(Exception):
    """A membership year of nobody."""


@dataclass(frozen=True, order=True)
class Term:
    inactive: bool = False
    count: int = 0
    unit: str = 'day'               # or month
    period: str = ''
    on: str = ''

    def last_day(self, day, joined):
        if self.on:
            return date.fromisoformat(self.on)
        day = day + timedelta(days=self.count) if self.unit == 'day' else add_months(day, self.count)
        if self.period == 'membership year':
            if joined is None:
                raise Unjoined
            return anniversary_after(joined, day) - timedelta(days=1)
        return end_of(self.period, day) if self.period else day


def _term(text):
    count, unit, inactive, period, alone, on = TERM.fullmatch(text).groups()
    if on:
        return Term(on=on)
    if alone:
        return Term(period=PERIODS.get(alone, alone))
    times, unit = UNITS[unit]
    return Term(bool(inactive), int(count) * times, unit, PERIODS.get(period, period or ''))


@lru_cache(maxsize=None)
def terms(policy):
    """The terms of a policy, by meaning: equal policies have equal terms. None of never."""
    return () if policy == 'never' else tuple(sorted(_term(text) for text in policy.split(' or ')))


def moves(policy):
    """Whether activity puts it off."""
    return any(term.inactive for term in terms(policy))


@lru_cache(maxsize=200_000)
def _ends(term, at, time_zone, joined_at):
    joined = None if joined_at is None else local_day(joined_at, time_zone)
    return midnight_after(term.last_day(local_day(at, time_zone), joined), time_zone)


def expires_at(policy, counts_from, time_zone, joined_at=None, activity_at=None):
    """The instant at which it lapses: the earliest that a term says, the local midnight that ends its last day."""
    active = counts_from if activity_at is None else max(counts_from, activity_at)
    return min((_ends(term, active if term.inactive else counts_from, time_zone, joined_at) for term in terms(policy)),
               default=FOREVER)
