"""when.py: instants and local calendars, by Python's zoneinfo and calendar alone.

An instant is an int, microseconds since 1970-01-01 UTC; FOREVER (infinity) follows every instant.
"""

import calendar
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

FOREVER = float('inf')
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
MONTHS = [name.lower() for name in calendar.month_name[1:]]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

zone = lru_cache(maxsize=None)(ZoneInfo)


def instant(text):
    """The instant that a timestamp of PostgreSQL or ISO 8601 names; None for null."""
    if text is None:
        return None
    if text in ('infinity', '-infinity'):
        return FOREVER if text == 'infinity' else -FOREVER
    return from_datetime(datetime.fromisoformat(text))


def from_datetime(moment):
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(at, tz=timezone.utc):
    return (EPOCH + timedelta(microseconds=at)).astimezone(tz)


def show(at):
    """The instant as a literal that PostgreSQL reads; None stays None."""
    if at is None:
        return None
    if at in (FOREVER, -FOREVER):
        return 'infinity' if at > 0 else '-infinity'
    return to_datetime(at).isoformat(sep=' ')


def add_months(day, months):
    """The same day that many months later (or earlier), the month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return day.replace(year=year, month=month + 1,
                       day=min(day.day, calendar.monthrange(year, month + 1)[1]))


def end_of(period, day):
    """The last day of the month, quarter, half or year in which the day lies, or of the next month of that name."""
    if period in MONTHS:
        year, month = day.year + (day.month > MONTHS.index(period) + 1), MONTHS.index(period) + 1
    else:
        length = {'month': 1, 'quarter': 3, 'half': 6, 'year': 12}[period]
        year, month = day.year, (day.month + length - 1) // length * length
    return date(year, month, calendar.monthrange(year, month)[1])


def anniversary_after(joined, day):
    """The first anniversary of a day that follows another; that of 29 February in common years on the 28th."""
    year = day.year
    while True:
        found = joined.replace(year=year, day=min(joined.day, calendar.monthrange(year, joined.month)[1]))
        if found > day:
            return found
        year += 1


@lru_cache(maxsize=200_000)
def local_day(at, time_zone):
    return to_datetime(at, zone(time_zone)).date()


@lru_cache(maxsize=200_000)
def midnight_after(day, time_zone):
    """The local midnight that ends the day.

    Where the clock is set back over midnight, the day ends at the first of the two; where midnight
    is skipped, at the instant of the change.
    """
    day += timedelta(days=1)
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=zone(time_zone), fold=0))


@lru_cache(maxsize=None)
def shifted(at, window, direction, time_zone):
    """The instant a window ('12 months', '90 days') after at (direction 1) or before it (-1), by the local clock.

    A local time that occurs twice means the later one, a skipped one what it would have been on the
    clock before the change: PostgreSQL's reading of a local timestamp.
    """
    count, unit = window.split()
    length = direction * int(count)
    local = to_datetime(at, zone(time_zone)).replace(tzinfo=None)
    if unit.startswith('day'):
        local += timedelta(days=length)
    else:
        local = add_months(local, length * (12 if unit.startswith('year') else 1))
    return max(from_datetime(local.replace(tzinfo=zone(time_zone), fold=fold)) for fold in (0, 1))


@lru_cache(maxsize=None)
def end_shifted(at, window, time_zone):
    """When what lapses at that time does, that much later.

    The end of a day moves to the end of that day moved or, if later, to that of the eve of the next day moved.
    """
    count, unit = window.split()
    days, months = (int(count), 0) if unit.startswith('day') else (0, int(count) * (12 if unit.startswith('year') else 1))
    last = local_day(at - 1, time_zone)
    if midnight_after(last, time_zone) != at:
        return shifted(at, window, 1, time_zone)
    last, following = (add_months(day, months) + timedelta(days=days) for day in (last, last + timedelta(days=1)))
    return midnight_after(max(last, following - timedelta(days=1)), time_zone)
