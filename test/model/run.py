#!/usr/bin/python3
"""run.py: replays a random history against jifen and against the model, and says where they differ.

    /usr/bin/python3 test/model/run.py [--seed N] [--operations N] [--accounts N] [--programs N]

PGHOST, PGPORT and PGUSER name the server; the run makes a database of its own there and drops it.
The output is one line an agreement: how often it was checked, or what differs; on a difference also the
shortest history found that still shows it, in SQL. A seed reproduces a run.
"""

import argparse
import random
import sys
from collections import Counter
from datetime import datetime, timezone

sys.dont_write_bytecode = True

import reports
import sessions
from check import Checker
from clocks import check_expiry, check_windows
from database import Database
from generate import Generator
from operation import Operation, Script
from shrink import shrink
from when import FOREVER, from_datetime
from rows import Disagreement
from world import LATE, World

ALONE = ['jobs change no outcome', 'jobs change no answer', 'what expired had lapsed', 'no part of a balance is negative',
         'a balance is its parts']
AGREEMENTS = [
    'expires_at()', 'policies as printed', 'accepted or refused alike', 'entries returned', 'accounts returned', 'post()',
    'expire_batch()', 'release_batch()', 'jobs at once all end well', 'jobs at once share the work', 'extensions', 'closings',
    'accounts exist alike', 'account rows', 'entries written', 'allocations', 'open lots', 'when open lots lapse',
    'due_at is a lower bound', 'due_at is null where no lot ever moved', 'notices', 'open holds', 'open debts',
    'status changes', 'a call cut short is done or not', 'balance()', 'balance() as known before', 'expiring()',
    'statement()', 'tier_for()', 'tier_status()', 'tier windows', 'readings refused', 'points by day, kind and source',
    'points owed', 'day_flow', 'pending_flow', 'cohort_flow', 'roll_forward_by_day', 'liability', 'liability_at()',
    'liability_by_expiry', 'reports foot', 'without summaries', 'reconcile() finds nothing', 'invariants by SQL',
    'sessions: refused as one alone would be', 'sessions: every entry stems from one call that succeeded',
    'sessions: booked when it was made or later', 'sessions: summaries and closings end well',
    'sessions: one order explains all accounts', 'sessions: the model writes as many entries',
    'sessions: entries returned', 'sessions: a key names one entry',
    *ALONE,
]


def check_refusals(world, code):
    """Readings of an unknown program or member, or at no time."""
    calls = [(name, arguments) for name in ('balance', 'tier_for', 'tier_status', 'statement', 'expiring')
             for arguments in [{'until': world.now} if name == 'expiring' else {}]]
    for name, arguments in calls:
        bad = [('JF002', {'program': 'nowhere'}), ('JF003', {'member': 'nobody else'}),
               ('22004', {'program': None}), ('22004', {'member': None})]
        if name != 'statement':
            bad += [('22004', {'as_of': None}), ('22023', {'as_of': FOREVER}), ('22023', {'as_of': -FOREVER})]
        for state, wrong in bad:
            found, message, _ = world.database.call(
                code, [(name, {'program': code, 'member': 'm1', **arguments, **wrong})])
            world.agree('readings refused', state, found, code, 'm1', f'{name} {wrong} {message}')


def run(options, world, history):
    generator = Generator(options.seed, world, options.programs, options.accounts, options.operations,
                          options.without.split(','))
    checker = Checker(world, generator.start, random.Random(options.seed + 1))
    if world.database:
        check_expiry(world, options.seed)
    chance = random.Random(options.seed + 2)
    times = [n * options.every + chance.randrange(options.every) for n in range(options.operations // options.every)]
    for script in generator.setup():
        history.append(script)
        world.play_both(script)
    for script in generator.scripts():
        history.append(script)
        world.play_both(script)
        checker.clock = generator.clock
        if times and generator.made > times[0]:
            times.pop(0)
            checker.check(generator.codes)
    checker.check(generator.codes)
    if world.database:
        outcomes = sessions.play(world, options.seed, max(200, options.operations // 12))
        print('sessions\t' + ', '.join(f'{state} {n}' for state, n in outcomes.most_common()))
        check_refusals(world, generator.codes[0])
        check_windows(world, options.seed)
    # The twins' jobs at last; from here on even the balances are equal.
    for verb, due in (('release_batch', world.ledger.overdue), ('expire_batch', world.ledger.lapsed)):
        while due(None, world.now):
            op = Operation(verb, 'any', {'program': None, 'as_of': world.now})
            world.play(Script('any', [('call', [op])]))
    checker.check(generator.codes + [sessions.PROGRAM] * bool(world.database))
    if world.database:
        reports.check_without_summaries(world)
    for code in set(generator.codes) - generator.single - world.parted:
        for member in world.ledger.programs[code].accounts:
            world.agree('jobs change no answer',
                        *(world.ledger.account(code + suffix, member).balance() for suffix in ('', LATE)),
                        code, member, 'once all is booked')


def report(name, verdict, text):
    print(f'{verdict}\t{name}\t{text}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=random.randrange(10 ** 6), help='default: drawn, and printed')
    parser.add_argument('--operations', type=int, default=10_000)
    parser.add_argument('--accounts', type=int, help='first members of each program')
    parser.add_argument('--programs', type=int, default=4, help='each with a twin that has no expiry job')
    parser.add_argument('--every', type=int, default=2_000, help='operations in which everything is compared once, at a random time')
    parser.add_argument('--database', default='jifen_model')
    parser.add_argument('--alone', action='store_true', help='the model by itself, without a database')
    parser.add_argument('--without', default='', help='functions not to be called: record_notice,…')
    parser.add_argument('--no-shrink', action='store_true', help='do not look for the shortest history')
    options = parser.parse_args()
    options.accounts = options.accounts or max(12, options.operations // 800)

    print(f'seed\t{options.seed}', flush=True)
    now = from_datetime(datetime.now(timezone.utc))
    database = None if options.alone else Database(options.database)
    world, history, difference = World(database, now), [], None
    try:
        try:
            run(options, world, history)
        except Disagreement as found:
            difference = found
        for name in ALONE if options.alone else AGREEMENTS:
            if difference and difference.agreement == name:
                report(name, 'differs', str(difference).replace('\n', '\n\t'))
            elif world.agreed[name] or not difference:
                report(name, 'agrees' if world.agreed[name] else 'unchecked', f'{world.agreed[name]} times')
            else:
                report(name, 'unreached', '')
        entries = Counter(entry.kind for program in world.ledger.programs.values()
                          for account in program.accounts.values() for entry in account.entries)
        print('outcomes\t' + ', '.join(f'{state} {n}' for state, n in world.outcomes.most_common()))
        print('entries\t' + ', '.join(f'{kind} {n}' for kind, n in entries.most_common()))
        print('cut short\t' + ', '.join(f'{what} {n}' for what, n in world.faults.most_common()))
        if world.parted:
            print('twins parted\t' + ', '.join(sorted(world.parted)))
        operations = sum(len(script.operations()) for script in history)
        print(f'operations\t{operations}', flush=True)
        if difference and not options.no_shrink and difference.program != sessions.PROGRAM:
            shrink(database, now, history, difference)
    finally:
        if database:
            database.drop()
    return 1 if difference else 0


if __name__ == '__main__':
    sys.exit(main())
