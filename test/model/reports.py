"""reports.py: what the reports of all programs must say, reckoned from the model's journal, and by SQL from the tables alone."""

import os
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal

from periods import reported_at
from when import FOREVER, local_day, show

FOOTING = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'pgtap', 'footing.psql')
FOOTED = ['recount', 'flows', 'roll_forward', 'liability', 'vintages', 'revenue', 'settlement']
PARTS = ('members', 'points', 'available', 'pending', 'held', 'lapsed', 'debt', 'held_back')
MOVEMENTS = {'earn': 'earned', 'import': 'imported', 'adjust': 'adjusted', 'redeem': 'redeemed', 'capture': 'redeemed',
             'expire': 'expired', 'reinstate': 'reinstated', 'transfer_in': 'transferred', 'transfer_out': 'transferred',
             'hold': 'held', 'release': 'released', 'repay': 'repaid', 'extend': 'extended'}
UNDONE = {'earn': 'reversed', 'import': 'reversed', 'redeem': 'returned', 'capture': 'returned'}


def prepare(database):
    """The functions of FOOTING, for this session."""
    with open(FOOTING, encoding='utf-8') as file:
        database.rows(file.read())


def month(day):
    return day.replace(day=1)


def movement(account, entry):
    """The line of a roll-forward, and the entry that its channel, funder and partner are of."""
    if entry.kind != 'reverse':
        return MOVEMENTS[entry.kind], entry
    origin = account.entry(entry.reverses_seq)
    return UNDONE.get(origin.kind, MOVEMENTS[origin.kind]), origin


def lot_moves(account, entry):
    """What the entry does to lots: [(credit, points, held)]."""
    moves = [(account.credits[entry.seq], entry.points, 0)] if entry.seq in account.credits else []
    for credit, n in entry.uses:
        moves.append((credit, -n, n if entry.kind in ('hold', 'release') else 0))
    if entry.kind == 'capture':
        hold = account.entry(entry.hold_seq)
        for one in [hold] + account.concerning(hold, 'release'):
            moves += [(credit, 0, -n) for credit, n in one.uses]
    return moves


def flows(ledger):
    """day_flow, pending_flow and cohort_flow, each {key: sums}."""
    days, pending, cohorts = (defaultdict(lambda n=n: [0] * n) for n in (7, 1, 2))
    for scheme in ledger.programs.values():
        for account in scheme.accounts.values():
            for entry in account.entries:
                line, origin = movement(account, entry)
                on = [local_day(at, scheme.time_zone)
                      for at in (entry.posted_at, entry.event_at, reported_at(scheme, entry))]
                revenue = entry.revenue if entry.kind in ('earn', 'import', 'reverse') and entry.revenue else 0
                add(days[(scheme.code, *on, line, origin.source, origin.funder, origin.partner)],
                    1, entry.amount, entry.held, entry.debt, revenue,
                    (entry.balance > 0) - (entry.balance - entry.amount > 0), int(entry.seq == 1))
                for credit, points, held in lot_moves(account, entry):
                    made = credit.entry
                    if entry.event_at < credit.available_at and made.event_at < credit.available_at:
                        add(pending[(scheme.code, *on, local_day(credit.available_at - 1, scheme.time_zone))], points)
                    expires = 'moving' if credit.rule else 'never' if made.expires_at == FOREVER else 'fixed'
                    ends = month(local_day(made.expires_at - 1, scheme.time_zone)) if expires == 'fixed' else None
                    add(cohorts[(scheme.code, month(local_day(credit.issued_at, scheme.time_zone)), ends, expires,
                                 made.source, made.funder, bool(made.revenue), *map(month, on), line)], points, held)
    return [{key: tuple(sums) for key, sums in found.items() if any(sums)} for found in (days, pending, cohorts)]


def add(sums, *numbers):
    for n, number in enumerate(numbers):
        sums[n] += number


def agree(world, agreement, expected, found, about=''):
    differing = {key: (expected.get(key), found.get(key)) for key in expected.keys() | found.keys()
                 if expected.get(key) != found.get(key)}
    world.agree(agreement, {}, dict(list(differing.items())[:5]), 'all', None, about)


def keyed(database, text, keys):
    """Rows of a query by their first so many columns, those without anything left out."""
    rows = {tuple(row[:keys]): tuple(row[keys:]) for row in database.rows(text)}
    return {key: sums for key, sums in rows.items() if any(sums)}


def check_flows(world):
    database = world.database
    days, pending, cohorts = flows(world.ledger)
    found = keyed(database, '''select p.code, booked_on, happened_on, reported_on, movement, source, funder, partner,
            sum(entries), sum(amount), sum(held), sum(debt), sum(revenue), sum(members), sum(accounts)
        from jifen.day_flow f join jifen.program p using (program_id) group by 1, 2, 3, 4, 5, 6, 7, 8''', 8)
    agree(world, 'day_flow', {key: tuple(map(Decimal, sums)) for key, sums in days.items()}, found)
    found = keyed(database, '''select p.code, booked_on, happened_on, reported_on, available_on, sum(points)
        from jifen.pending_flow f join jifen.program p using (program_id) group by 1, 2, 3, 4, 5''', 5)
    agree(world, 'pending_flow', pending, found)
    found = keyed(database, '''select p.code, issued_month, expires_month, expires, source, funder, is_sold, booked_month,
            happened_month, reported_month, movement, sum(points), sum(held)
        from jifen.cohort_flow f join jifen.program p using (program_id) group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11''', 11)
    agree(world, 'cohort_flow', cohorts, found)
    return days


def check_roll_forward(world, days):
    """Each closing is all that moved up to then, on each basis."""
    closings = keyed(world.database, '''select program, basis, day, closing, closing_held, closing_debt
        from jifen.roll_forward_by_day''', 3)
    found = {key: sums for key, sums in closings.items()}
    expected = {}
    for n, basis in enumerate(('booked', 'happened', 'reported')):
        moved = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
        for key, sums in days.items():
            add(moved[key[0]][key[1 + n]], *sums[1:4])
        for code, by_day in moved.items():
            today = local_day(world.now, world.ledger.programs[code].time_zone)
            day, last, running = min(by_day), max(today, *by_day), [0, 0, 0]
            while day <= last:
                add(running, *by_day.get(day, (0, 0, 0)))
                if any(running):
                    expected[code, basis, day] = tuple(running)
                day += timedelta(days=1)
    agree(world, 'roll_forward_by_day', expected, found)


def check_liability(world, instants):
    """What is owed is the sum of what each member holds; now, then, and as was known then."""
    ledger, names = world.ledger, ', '.join(PARTS)
    rows = {row[0]: row[1:] for row in world.database.rows(f'select program, {names} from jifen.liability')}
    for code, scheme in ledger.programs.items():
        ahead = max((account.latest() for account in scheme.accounts.values()), default=world.now)
        if ahead <= world.now:
            agree(world, 'liability', {code: total(ledger, code, world.now)}, {code: rows[code]})
        else:       # what is dated ahead counts; the parts are the same then, unless a clock runs out until then
            parts = 2 if any(world.now < at <= ahead for at in clocks(scheme)) else len(PARTS)
            agree(world, 'liability', {code: total(ledger, code, ahead)[:parts]}, {code: rows[code][:parts]}, f'dated {show(ahead)}')
        for as_of in instants + [ahead] * (ahead > world.now):
            for known_at in [None] + known(scheme):
                found, = world.database.rows(f'select {names} from jifen.liability_at(%s, %s, %s)',
                                             (code, show(as_of), show(known_at)))
                agree(world, 'liability_at()', {code: total(ledger, code, as_of, known_at)}, {code: found},
                      f'as_of {show(as_of)} known_at {show(known_at)}')
    agree(world, 'liability_by_expiry', ledger.liability(world.now), keyed(
        world.database, 'select program, expires_month, points, lapsed from jifen.liability_by_expiry', 2))


def clocks(scheme):
    """When points become available or lapse, or holds are overdue."""
    for account in scheme.accounts.values():
        for credit in account.lots():
            yield from (credit.available_at, credit.lapses_at, credit.entry.expires_at)
        for hold, _ in account.holds():
            yield hold.until
            yield from (credit.lapses_at for credit, _ in hold.uses)


def known(scheme):
    """A time between bookings, where the journals are in its order: what was known then is what they were."""
    times = [[entry.posted_at for entry in account.entries] for account in scheme.accounts.values()]
    booked = sorted(at for one in times for at in one)
    return [booked[len(booked) * 2 // 3] - 1] if booked and all(one == sorted(one) for one in times) else []


def total(ledger, code, as_of, known_at=None):
    rows = [ledger.balance(code, member, as_of, known_at) for member in ledger.programs[code].accounts]
    return (sum(row['balance'] > 0 for row in rows),
            *(sum(row['balance' if name == 'points' else name] for row in rows) for name in PARTS[1:]))


def check_without_summaries(world):
    """The flows are the same once nothing is summarized any more."""
    world.database.rows('select jifen.drop_summaries()')
    world.agree('without summaries', [], world.database.rows('select count(*) from jifen.day_summary having count(*) > 0'), 'all')
    world.database.rows('select pg_temp.recount()')
    world.agree('without summaries', [], world.database.rows('select pg_temp.misfooted_flows() limit 5'), 'all')


def check(world, instants):
    """In a transaction with one snapshot."""
    days = check_flows(world)
    check_roll_forward(world, days)
    check_liability(world, instants)
    world.database.rows('select pg_temp.recount()')
    for what in FOOTED:
        world.agree('reports foot', [], world.database.rows(f'select pg_temp.misfooted_{what}() limit 5'), 'all', about=what)
