"""rows.py: rows of the model and of the database, comparable column by column."""

from decimal import Decimal

from account import ACTIVITIES
from policy import terms
from when import instant, show

ENTRY = ('seq', 'kind', 'amount', 'held', 'debt', 'balance', 'event_at', 'expires_at', 'available_at', 'until',
         'issued_at', 'reverses_seq', 'hold_seq', 'debt_seq', 'counter_seq', 'source', 'funder', 'partner', 'reference',
         'reason', 'idempotency_key', 'expiry', 'revenue', 'details', 'qualifying', 'rule_no')
LINE = ('seq', 'kind', 'amount', 'held', 'debt', 'balance', 'event_at', 'posted_at', 'expires_at', 'available_at',
        'reverses_seq', 'source', 'reference', 'reason', 'details')     # of a statement
LATEST = tuple(f'last_{kind}_at' for kind in (*ACTIVITIES, 'expire'))
TIMES = ('event_at', 'posted_at', 'expires_at', 'available_at', 'until', 'issued_at', 'next_expires_at', 'counts_from',
         'lapses_at', 'noticed_at', 'sent_at', 'first_expires_at', 'last_expires_at', 'opened_at', 'window_start',
         'window_end', 'holds_until', 'last_activity_at', 'last_event_at',
         'changed_at', 'closed_until', *LATEST)
ASIS = ('kind', 'source', 'funder', 'partner', 'reference', 'reason', 'idempotency_key', 'expiry', 'details', 'counter', 'status', 'member',
        'channel', 'tier', 'name', 'next_tier', 'sqlstate')

ONE_ENTRY = ('earn', 'redeem', 'hold', 'capture', 'release', 'reverse', 'adjust', 'import')
SOME_ENTRIES = ('transfer', 'reverse_reference', 'reinstate')
PERIODS = ('close_period', 'reopen_period')
EXTENSIONS = ('extend_expiry', 'undo_extension')
JOBS = {'expire_batch': ('accounts', 'lots', 'points', 'more'), 'release_batch': ('accounts', 'holds', 'points', 'more')}


class Disagreement(Exception):
    """The first thing on which the two ledgers differ."""

    def __init__(self, agreement, program, member, expected, found, about):
        super().__init__(f'{agreement}: {program} {member or ""} {about}\n'
                         f'  expected {expected}\n  found    {found}')
        self.agreement, self.program, self.member = agreement, program, member


def plain(row, names):
    """The named columns of a row, given as JSON or as an object of the model, comparable."""
    values = []
    for name in names:
        if not isinstance(row, dict):
            value = getattr(row, name)
        elif name in TIMES and isinstance(row[name], str):
            value = instant(row[name])
        elif name == 'revenue' and row[name] is not None:
            value = Decimal(row[name])
        elif name in TIMES + ASIS or row[name] is None or isinstance(row[name], bool):
            value = row[name]
        else:
            value = int(row[name])
        values.append(terms(value) if name == 'expiry' and value is not None else value)
    return tuple(values)


def readable(names, values):
    return {name: show(value) if name in TIMES else value for name, value in zip(names, values)
            if value is not None}
