"""generate.py: random histories, made step by step from what the model knows, one seed one history.

A history is a list of scripts. A script is a list of steps that one program lives through: a call
(one SELECT of one or more operations), one that is cut short, a wait, or a transaction command. Every
script is played twice, in a program with jobs and in its twin that has none, except in a program where
entries that jobs wrote are reversed; operations name the entries they concern by label, since the seq
differs between the twins.
"""

import random

from affairs import Affairs
from model import MAX_POINTS
from operation import Script
from operations import GRACES, POLICIES, WINDOWS, ZONES, Operations
from when import DAY

TIERS = {'base': 0, 'silver': 500, 'gold': 2_000, 'black': 8_000}
OVERDRAFTS = [{'overdraft': 'debt', 'overdraft_limit': 3_000}, {'overdraft': 'refuse', 'return_grace': GRACES[0]},
              {'overdraft': 'forgive'}, {'overdraft': 'debt', 'return_grace': GRACES[2]}]
RETRIED = ('earn', 'redeem', 'hold', 'capture', 'release', 'reverse', 'adjust', 'import', 'transfer')


class Generator(Operations, Affairs):
    """Chooses what happens next; reads the world of the programs with jobs, changes nothing."""

    def __init__(self, seed, world, programs, accounts, operations, without=()):
        self.random = random.Random(seed)
        self.world = world
        self.codes = [f'P{n + 1}' for n in range(programs)] + ['Q']
        self.single = {'Q'}         # programs without a twin
        self.accounts = accounts
        self.operations = operations
        self.without = without      # functions not to be called
        self.made = self.labels = 0
        self.live = False           # whether the history has come to the real present
        self.waves, self.wave, self.wave_end = 0, None, -operations       # holds that come due together, soon
        self.opened = {code: 0 for code in self.codes}
        self.extended = {code: [] for code in self.codes}       # labels of extensions
        self.keyed = {code: [] for code in self.codes}          # operations that have a key
        end_year = self.random.randint(2013, 2024)
        self.end = (end_year - 1970) * 365 * DAY + self.random.randrange(365 * DAY)
        self.start = self.end - 3 * 365 * DAY
        self.clock = self.start

    def setup(self):
        """Programs with their tiers and first members."""
        scripts = []
        for n, code in enumerate(self.codes):
            rules = {'expiry': self.random.choice(POLICIES)} if n == 0 else self._rules()
            steps = [self._make('create_program', code, {
                'code': code, 'time_zone': ZONES[n] if n < 4 else self.random.choice(ZONES), 'auto_open': n % 2 == 0,
                'tier_window': self.random.choice(WINDOWS), **OVERDRAFTS[n % 4], **rules})]
            steps += [self._make('create_tier', code, {'code': tier, 'name': tier.title(),
                                                       'threshold': threshold})
                      for tier, threshold in TIERS.items() if tier != 'base' or n % 2]
            steps += [self._make('open_account', code, {'member': self._new_member(code), **(
                {'opened_at': min(self._joined(), self.clock)} if self.random.random() < 0.8 else {})})
                      for _ in range(self.accounts)]
            scripts += [self._script_of(code, [('call', [op])]) for op in steps]
        return scripts

    def scripts(self):
        """The history proper: mostly advancing, at the end in the real present."""
        pace = (self.end - self.start) / self.operations
        while self.made < self.operations:
            self.clock = min(self.end, self.clock + int(self.random.expovariate(1 / pace)))
            self.live = self.made > 0.96 * self.operations
            before = self.made
            code = self.random.choice(self.codes)
            if self.wave and self.made >= self.wave_end:
                yield self._script_of(code, [('wait', self.wave)])
                self.wave = None
            script = self._script(code)
            self.clock = min(self.end, self.clock + int((self.made - before - 1) * pace))
            yield script
        if self.wave:
            yield self._script_of(self.codes[0], [('wait', self.wave)])

    def _script_of(self, code, steps):
        return Script(code, steps, twin=code not in self.single)

    def _script(self, code):
        roll = self.random.random()
        if roll < 0.012:
            return Script(code, [('summary',)], twin=False)
        if roll < 0.08 and code in self.single:
            return self._script_of(code, self._close(code))
        if roll < 0.77:
            op = self._operation(code)
            twice = op.verb in ('expire_batch', 'reverse') and self.random.random() < 0.3
            return self._script_of(code, [('call', [op])] * (1 + twice))
        if roll < 0.83:
            return self._script_of(code, [('call', [self._post(code)])])
        if roll < 0.84:
            runs = [('jobs', [self._job(code) for _ in range(self.random.randint(2, 4))])]
            return self._script_of(code, runs * self.random.randint(1, 2))
        if roll < 0.87:
            return self._script_of(code, self._fault(code))
        if roll < 0.92:
            return self._script_of(code, [('call', self._statement(code))])
        return self._script_of(code, self._transaction(code))

    def _statement(self, code):
        """Several postings in one SELECT, often of one account, at times one for each row of a table."""
        members = [self._member(code) for _ in range(self.random.choice([1, 1, 2]))]
        ops = [self._posting(code, self.random.choice(members)) for _ in range(self.random.randint(2, 4))]
        if self.random.random() < 0.5:
            for op in ops:
                op.verb, op.target = self.random.choice(['earn', 'redeem']) if op is ops[0] else ops[0].verb, None
                amount = abs(op.arguments.get('amount', 10))
                op.arguments = {'member': op.member, 'amount': amount, 'event_at': op.arguments.get('event_at')}
                self.keyed[code] = [keyed for keyed in self.keyed[code] if keyed is not op]
        return ops

    def _fault(self, code):
        """A call that is cut short, or is not, and made again in any case: its key keeps it from being made twice."""
        op = self._posting(code, self._member(code))
        while op.verb not in RETRIED:
            op = self._posting(code, self._member(code))
        self._key(op)
        how = self.random.choice(['timeout', 'cancel', 'cancel', 'terminate'])
        return [('fault', [op], how, self.random.randrange(1_500)), ('call', [op])]

    def _transaction(self, code):
        """Calls in a transaction, part or all of it rolled back now and then."""
        member = self._member(code)

        def calls():
            return [('call', [self._posting(code, member) if self.random.random() < 0.7
                              else self._twin_safe(code)])
                    for _ in range(self.random.randint(1, 2))]

        steps = [('begin',)] + calls()
        if self.random.random() < 0.6:
            steps += [('savepoint',)] + calls() + [('rollback to',)] * self.random.randint(0, 1) + calls()
        return steps + [(self.random.choice(['commit', 'commit', 'rollback']),)]

    def _twin_safe(self, code):
        """An operation whose refusal, which ends the transaction, is the same in the twin."""
        op = self._operation(code)
        if op.jobs_only or op.arguments.get('amount') == MAX_POINTS:
            op = self._job(code)
        return op
