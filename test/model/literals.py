"""literals.py: expiry policies at random, as they are printed."""

from policy import terms
from when import DAY, MONTHS, to_datetime

PERIODS = ['month', 'month', 'quarter', 'half', 'year', 'membership year', *MONTHS[:11]]
LONGEST = {'day': 400, 'week': 60, 'month': 30, 'quarter': 9, 'year': 3}
SHORTEST = {'day': 20, 'week': 3, 'month': 1}


def _counted(r, longest, inactive=False):
    unit = r.choice(list(longest))
    count = r.randint(SHORTEST.get(unit, 1), longest[unit])
    text = f"{count} {unit}{'s' * (count > 1)}{' inactive' * inactive}"
    return text + f' end of {r.choice(PERIODS)}' if r.random() < 0.35 else text


def _term(r, about):
    """One that counts from the credit; about: a time at which its points might lapse on a fixed day."""
    roll = r.random()
    if roll < 0.2:
        return f'end of {r.choice(PERIODS)}'
    if roll < 0.25 and about is not None:
        return f'on {to_datetime(about + r.randrange(-300, 600) * DAY).date()}'
    return _counted(r, LONGEST)


def inactivity(r, longest=None):
    return _counted(r, longest or {'day': 90, 'week': 12, 'month': 4, 'quarter': 2}, True)


def policy(r, about=None, inactive=0.4):
    """Any policy, inactivity among it so often."""
    roll = r.random()
    if roll < 0.1:
        return 'never'
    if r.random() < inactive:
        return inactivity(r) if roll < 0.5 else f'{_term(r, about)} or {inactivity(r)}'
    if roll < 0.75:
        return _term(r, about)
    one = other = _term(r, about)
    while terms(one) == terms(other):
        other = _term(r, about)
    return f'{one} or {other}'
