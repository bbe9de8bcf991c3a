"""shrink.py: looks for the shortest history that still shows a difference, and prints it as SQL."""

import random
import time

from check import Checker
from operation import Script, instants
from rows import Disagreement
from world import LATE, World

PATIENCE = 90       # seconds
LONGEST = 100       # operations worth printing


class Exhaustive(Checker):
    """Asks at every instant that matters instead of some."""

    def __init__(self, world):
        super().__init__(world, world.now, random.Random(0))

    def instants(self, account):
        return instants(account) + [self.world.now]


def replay(database, now, scripts):
    """Plays the scripts from nothing, then compares everything; the difference, or None."""
    if database:
        database.reset()
    world = World(database, now)
    try:
        for script in scripts:
            world.play_both(script)
        Exhaustive(world).check([code for code in world.ledger.programs if not code.endswith(LATE)])
    except Disagreement as difference:
        return difference
    return None


def shorter(scripts, size):
    """The history less so many scripts in a row, for each such row; creations of programs stay."""
    for start in range(len(scripts) - 1, -1, -size):
        row = range(max(0, start - size + 1), start + 1)
        rest = [s for n, s in enumerate(scripts) if n not in row or any(op.verb == 'create_program' for op in s.operations())]
        if len(rest) < len(scripts):
            yield rest


def simpler(scripts):
    """The history less one operation of a script that has several, or its transaction, for each of them."""
    for n, script in enumerate(scripts):
        calls = [step for step in script.steps if step[0] == 'call']
        variants = [calls] if len(calls) < len(script.steps) else []
        for k, step in enumerate(script.steps):
            if step[0] == 'call' and len(script.operations()) > 1:
                variants += [script.steps[:k] + [('call', rest)] * bool(rest) + script.steps[k + 1:]
                             for rest in (step[1][:m] + step[1][m + 1:] for m in range(len(step[1])))]
        for steps in variants:
            yield scripts[:n] + [Script(script.program, steps)] + scripts[n + 1:]


def shrink(database, now, history, difference):
    """Drops what the difference does not need: other programs, other members, then rows of scripts, then calls."""
    deadline = time.monotonic() + PATIENCE

    def still(scripts):
        found = time.monotonic() < deadline and replay(database, now, scripts)
        return found if found and found.agreement == difference.agreement else None

    def first(variants, scripts):
        return next((fewer for fewer in variants if still(fewer)), scripts)

    programs = dict.fromkeys(script.program for script in history)
    if difference.program.removesuffix(LATE) in programs:
        programs = [difference.program.removesuffix(LATE)]
    scripts = first(([s for s in history if s.program == program] for program in programs), history)
    members = dict.fromkeys(m for s in scripts for m in sorted(s.members()))
    if difference.member in members:
        members = [difference.member]
    scripts = first(([s for s in scripts if member in s.members() or not s.members()] for member in members), scripts)
    size = max(1, len(scripts) // 2)
    while time.monotonic() < deadline:
        fewer = first(shorter(scripts, size), scripts)
        if fewer is scripts and size > 1:
            size //= 2
            continue
        if fewer is scripts:
            fewer = first(simpler(scripts), scripts)
        if fewer is scripts:
            break
        scripts = fewer
    found = replay(database, now, scripts)
    if not found or sum(len(script.operations()) for script in scripts) > LONGEST:
        print('# no short history shows it: run the seed again')
        return
    print('# the shortest history found that shows it:')
    if database:
        for program, text in database.log:
            if found.program in (program, 'all'):
                print(f'#   {text};'.replace('\n', '\n#   '))
    else:
        for script in scripts:
            for op in script.operations():
                print(f'#   {op.label}: {op.verb} {op.arguments} {op.target or ""}')
    print('# ' + str(found).replace('\n', '\n# '))
