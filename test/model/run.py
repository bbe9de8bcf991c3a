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

sys.dont_write_bytecode = True

from check import Checker
from database import Database
from generate import Generator, Script
from shrink import shrink
from when import DAY, expires_at, from_datetime, instant, show
from world import LATE, Disagreement, World
import generate
import model

from datetime import datetime, timezone

ALONE = ['expiry jobs change no outcome', 'expiry jobs change no answer', 'no part of a balance is negative',
         'a balance is its parts']
AGREEMENTS = [
    'expires_at()', 'accepted or refused alike', 'entries returned', 'accounts returned', 'expire_batch()',
    'accounts exist alike', 'account rows', 'entries written', 'allocations', 'open lots', 'last activity',
    'balance()', 'expiring()', 'statement()', 'tier_for()', 'tier_status()', 'unknown ones are refused',
    'points by day, kind and source', 'points owed', 'reconcile() finds nothing', 'invariants by SQL',
    *ALONE,
]

ODD_ZONES = generate.ZONES + ['America/Santiago', 'Africa/Cairo', 'Asia/Beirut', 'Asia/Tehran',
                              'Pacific/Apia', 'America/Asuncion', 'Pacific/Chatham']


def check_calendar(world, seed):
    """expires_at() of many policies, instants and zones, half of them around a change of the clock."""
    chance = random.Random(seed)
    questions = []
    for _ in range(3000):
        policy = f"{chance.randint(1, 40)} {chance.choice(['days', 'months', 'years'])}" \
            + chance.choice(['', '', ' end of month', ' end of quarter', ' end of half', ' end of year'])
        if policy.startswith('1 '):
            policy = policy.replace('s', '', 1)
        at = chance.randrange(20 * 365, 56 * 365) * DAY + chance.choice(
            [0, chance.randrange(DAY), chance.randrange(DAY), chance.randrange(24) * DAY // 24 - 1])
        questions.append((policy, at, chance.choice(ODD_ZONES)))
    values = ', '.join(f"({n}, '{policy}', '{show(at)}'::timestamptz, '{zone}')"
                       for n, (policy, at, zone) in enumerate(questions))
    found = world.database.rows(f'''
        select jifen.expires_at(q.policy::jifen.expiry_policy, q.at, q.zone)::text
        from (values {values}) q(n, policy, at, zone) order by n''')
    for (policy, at, zone), (answer,) in zip(questions, found):
        world.agree('expires_at()', show(expires_at(policy, at, zone)), show(instant(answer)), 'any',
                    about=f"expires_at('{policy}', '{show(at)}', '{zone}')")


def check_unknown(world, code):
    """Readings of an unknown program or member."""
    for program, member, state in (('nowhere', 'm1', 'JF002'), (code, 'nobody else', 'JF003')):
        for call, arguments in (('balance', {}), ('tier_for', {}), ('tier_status', {}), ('statement', {}),
                                ('expiring', {'until': world.now})):
            found, _, _ = world.database.call(program, [(call, {'program': program, 'member': member, **arguments})])
            world.agree('unknown ones are refused', state, found, program, member, call)


def run(options, world, history):
    generator = Generator(options.seed, world, options.programs, options.accounts, options.operations)
    checker = Checker(world, generator.start, random.Random(options.seed + 1))
    if world.database:
        check_calendar(world, options.seed)
    checks = 0
    for script in generator.setup():
        history.append(script)
        world.play_both(script)
    for script in generator.scripts():
        history.append(script)
        world.play_both(script)
        checker.clock = generator.clock
        if generator.made // options.every > checks:
            checks = generator.made // options.every
            checker.check(generator.codes)
    checker.check(generator.codes)
    if world.database:
        check_unknown(world, generator.codes[0])
    # The twins' jobs at last; from here on even the balances are equal.
    op = generate.Operation('expire_batch', 'any', {'program': None, 'as_of': world.now})
    world.play(Script('any', [('call', [op])]))
    checker.check(generator.codes)
    for code in generator.codes:
        for member in world.ledger.programs[code].accounts:
            world.agree('expiry jobs change no answer',
                        *(world.ledger.account(code + suffix, member).balance() for suffix in ('', LATE)),
                        code, member, 'once all is booked')
    return generator


def report(name, verdict, text):
    print(f'{verdict}\t{name}\t{text}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=random.randrange(10 ** 6), help='default: drawn, and printed')
    parser.add_argument('--operations', type=int, default=10_000)
    parser.add_argument('--accounts', type=int, default=12, help='first members of each program')
    parser.add_argument('--programs', type=int, default=4, help='each with a twin that has no expiry job')
    parser.add_argument('--every', type=int, default=500, help='operations between two comparisons of everything')
    parser.add_argument('--database', default='jifen_model')
    parser.add_argument('--alone', action='store_true', help='the model by itself, without a database')
    parser.add_argument('--no-shrink', action='store_true', help='do not look for the shortest history')
    parser.add_argument('--reinstate', choices=list(model.REINSTATE), help='which expire entries are undone first')
    options = parser.parse_args()
    model.reinstate_order = options.reinstate or model.reinstate_order

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
        operations = sum(len(script.operations()) for script in history)
        print(f'operations\t{operations}', flush=True)
        if difference and not options.no_shrink:
            shrink(database, now, history, difference)
    finally:
        if database:
            database.drop()
    return 1 if difference else 0


if __name__ == '__main__':
    sys.exit(main())
