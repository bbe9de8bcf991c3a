"""clocks.py: expires_at() and tier windows where clocks change, also in time zones with odd rules."""

import random
from datetime import datetime, timedelta

import literals
from check import TIER
from operation import Operation, Script
from policy import expires_at
from when import DAY, from_datetime, instant, show, zone

# Among them zones that change their clocks at midnight, from or to it, by half an hour, and one that
# left out a day.
ZONES = ['UTC', 'Asia/Shanghai', 'Asia/Kathmandu', 'Europe/London', 'America/New_York', 'America/Sao_Paulo',
         'America/Havana', 'America/Santiago', 'America/Asuncion', 'Atlantic/Azores', 'Africa/Cairo',
         'Asia/Beirut', 'Asia/Tehran', 'Australia/Lord_Howe', 'Pacific/Apia', 'Pacific/Chatham']
YEARS = range(1990, 2026)


def changes(name):
    """The instants, on the hour or half, at which the zone's clock changes."""
    tz, found, at = zone(name), [], from_datetime(datetime(YEARS[0], 1, 1, tzinfo=zone('UTC')))
    end = from_datetime(datetime(YEARS[-1] + 1, 1, 1, tzinfo=zone('UTC')))

    def offset(t):
        return (datetime(1970, 1, 1, tzinfo=zone('UTC')) + timedelta(microseconds=t)).astimezone(tz).utcoffset()

    while at < end:
        low, high = at, at + DAY
        if offset(low) != offset(high):
            while high - low > DAY // 48:
                middle = (low + high) // 2 // (DAY // 48) * (DAY // 48)
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            found.append(high)
        at += DAY
    return found


def check_expiry(world, seed):
    """expires_at() of random policies, instants and zones, half of them for days on which clocks change."""
    chance = random.Random(seed)
    turns = {name: changes(name) for name in ZONES}
    questions = []
    for n in range(4000):
        name = chance.choice(ZONES)
        joined_at = chance.randrange(10 * 365, 50 * 365) * DAY + chance.randrange(DAY)
        if n % 2 and turns[name]:
            days = chance.randint(1, 40)
            policy = f"{days} day{'s' * (days > 1)}{chance.choice(['', ' inactive'])}"
            at = chance.choice(turns[name]) - days * DAY + chance.randint(-30, 30) * DAY // 24 - chance.randint(0, 1)
        else:
            at = chance.randrange(20 * 365, 56 * 365) * DAY + chance.choice(
                [0, chance.randrange(DAY), chance.randrange(DAY), chance.randrange(24) * DAY // 24 - 1])
            policy = literals.policy(chance, at)
            if chance.random() < 0.1:
                joined_at = instant('1988-02-29 12:00:00+00:00')
        questions.append((policy, at, name, joined_at))
    values = ', '.join(f"({n}, '{policy}', '{show(at)}'::timestamptz, '{name}', '{show(joined_at)}'::timestamptz)"
                       for n, (policy, at, name, joined_at) in enumerate(questions))
    found = world.database.rows(f'''
        select jifen.expires_at(q.policy::jifen.expiry_policy, q.at, q.zone, q.joined_at)::text, q.policy::jifen.expiry_policy::text
        from (values {values}) q(n, policy, at, zone, joined_at) order by n''')
    for (policy, at, name, joined_at), (answer, text) in zip(questions, found):
        about = f"expires_at('{policy}', '{show(at)}', '{name}', '{show(joined_at)}')"
        world.agree('expires_at()', show(expires_at(policy, at, name, joined_at)), show(instant(answer)), 'any', about=about)
        world.agree('policies as printed', policy, text, 'any')


def check_windows(world, seed):
    """Tiers whose windows start, and whose points cease to count, at about a change of the clock."""
    chance = random.Random(seed)
    for name in ZONES:
        window = chance.choice(['1 month', '12 months', '90 days', '1 day'])
        length = {'1 month': 30, '12 months': 365, '90 days': 90, '1 day': 1}[window] * DAY
        turns = changes(name)[-20:]

        def play(verb, **arguments):
            world.play(Script(name, [('call', [Operation(verb, name, arguments)])]))

        def about(at):
            return at + chance.randint(-6, 6) * DAY // 48 + chance.choice([0, -1, DAY, -DAY])

        play('create_program', code=name, time_zone=name, expiry='never', tier_window=window)
        play('create_tier', code='two', name='Two', threshold=2)
        play('open_account', member='m')
        for turn in turns:
            for at in (turn, turn - length):
                play('earn', member='m', amount=1, event_at=about(at))
        asked = [('m', about(turn + shift)) for turn in turns for shift in (0, 0, length)]
        for (_, as_of), rows in zip(asked, world.database.readings('tier_status', name, asked)):
            world.agree_rows('tier windows', TIER, [world.ledger.tier_status(name, 'm', as_of)], rows, name, 'm',
                             f'{window}, as_of {show(as_of)}')
