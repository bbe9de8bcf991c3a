"""generate.py: random histories, made step by step from what the model knows, one seed one history.

A history is a list of scripts. A script is a list of steps that one program lives through: a call
(one SELECT of one or more operations) or a transaction command. Every script is played twice, in a
program with expiry jobs and in its twin that has none; operations name the entries they reverse by
label, since the seq differs between the twins.
"""

import random
from dataclasses import dataclass, field

from when import DAY, FOREVER, MINUTE, SECOND
from model import MAX_POINTS

ZONES = ['Asia/Shanghai', 'Europe/London', 'America/New_York', 'America/Sao_Paulo',
         'UTC', 'Asia/Kathmandu', 'Atlantic/Azores', 'America/Havana', 'Australia/Lord_Howe']
POLICIES = ['never', '30 days', '3 months', '12 months end of month', '1 year end of year']
CAMPAIGNS = ['1 day', '7 days', '30 days', '1 month', '3 months end of quarter',
             '6 months end of half', '2 years', 'never']
WINDOWS = ['12 months', '1 month', '90 days', '1 year']
TIERS = {'base': 0, 'silver': 500, 'gold': 2_000, 'black': 8_000}

NOWHERE = 10 ** 9       # a seq that no account reaches


@dataclass
class Operation:
    """A call of one SQL function in one program (its twin's code is put in when it is played)."""
    verb: str
    program: str
    arguments: dict
    label: int = 0              # names the entry that it returns
    target: object = None       # label of the entry that it reverses
    jobs_only: bool = False     # not played in the twin

    member = property(lambda self: self.arguments.get('member'))


@dataclass
class Script:
    program: str
    steps: list = field(default_factory=list)   # ('call', [operation, …]), ('begin',), ('savepoint',) …

    def operations(self):
        return [op for step in self.steps if step[0] == 'call' for op in step[1]]

    def members(self):
        return {op.member for op in self.operations() if op.member}


def instants(account):
    """The instants at which something changes for the account, and those next to them."""
    found = set()
    for entry in account.entries[-60:]:
        found |= {entry.event_at, entry.available_at, entry.expires_at}
    return sorted(t + d for t in found - {None, FOREVER} for d in (-1, 0, 1))


class Generator:
    """Chooses what happens next; reads the world of the programs with jobs, changes nothing."""

    def __init__(self, seed, world, programs, accounts, operations):
        self.random = random.Random(seed)
        self.world = world
        self.codes = [f'P{n + 1}' for n in range(programs)]
        self.accounts = accounts
        self.operations = operations
        self.made = self.labels = 0
        self.live = False           # whether the history has come to the real present
        self.opened = {code: 0 for code in self.codes}
        end_year = self.random.randint(2013, 2024)
        self.end = (end_year - 1970) * 365 * DAY + self.random.randrange(365 * DAY)
        self.start = self.end - 3 * 365 * DAY
        self.clock = self.start

    # The history.

    def setup(self):
        """Programs with their tiers and first members."""
        scripts = []
        for n, code in enumerate(self.codes):
            steps = [self._make('create_program', code, {
                'code': code, 'time_zone': ZONES[n] if n < 4 else self.random.choice(ZONES),
                'expiry': self.random.choice(POLICIES), 'auto_open': n % 2 == 0,
                'tier_window': self.random.choice(WINDOWS)})]
            steps += [self._make('create_tier', code, {'code': tier, 'name': tier.title(),
                                                       'threshold': threshold})
                      for tier, threshold in TIERS.items() if tier != 'base' or n % 2]
            steps += [self._make('open_account', code, {'member': self._new_member(code)})
                      for _ in range(self.accounts)]
            scripts += [Script(code, [('call', [op])]) for op in steps]
        return scripts

    def scripts(self):
        """The history proper: mostly advancing, at the end in the real present."""
        pace = (self.end - self.start) / self.operations
        while self.made < self.operations:
            self.clock = min(self.end, self.clock + int(self.random.expovariate(1 / pace)))
            self.live = self.made > 0.985 * self.operations
            before = self.made
            script = self._script(self.random.choice(self.codes))
            self.clock = min(self.end, self.clock + int((self.made - before - 1) * pace))
            yield script

    def _script(self, code):
        roll = self.random.random()
        if roll < 0.84:
            op = self._operation(code)
            twice = op.verb in ('expire_batch', 'reverse') and self.random.random() < 0.3
            return Script(code, [('call', [op])] * (1 + twice))
        if roll < 0.91:
            return Script(code, [('call', self._statement(code))])
        return Script(code, self._transaction(code))

    def _statement(self, code):
        """Several postings in one SELECT, often of one account, at times one for each row of a table."""
        members = [self._member(code) for _ in range(self.random.choice([1, 1, 2]))]
        ops = [self._posting(code, self.random.choice(members)) for _ in range(self.random.randint(2, 4))]
        if self.random.random() < 0.5:
            for op in ops:
                op.verb, op.target = self.random.choice(['earn', 'redeem']) if op is ops[0] else ops[0].verb, None
                op.arguments = {name: op.arguments.get(name, 10) for name in ('member', 'amount', 'event_at')}
        return ops

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
            op = self._expire(code)
        return op

    # One operation.

    def _make(self, verb, code, arguments, **more):
        self.made += verb not in ('create_program', 'create_tier')
        self.labels += 1
        return Operation(verb, code, arguments, self.labels, **more)

    def _operation(self, code):
        roll = self.random.random()
        if roll < 0.05:
            return self._bad(code)
        if roll < 0.12:
            return self._expire(code)
        if roll < 0.17:
            return self._status(code)
        if roll < 0.19:
            return self._alter(code)
        return self._posting(code, self._member(code))

    def _posting(self, code, member):
        roll = self.random.random()
        if roll < 0.45:
            return self._earn(code, member)
        return self._redeem(code, member) if roll < 0.75 else self._reverse(code, member)

    def _earn(self, code, member):
        r = self.random
        amount = r.choice([1, r.randint(1, 20), r.randint(1, 500), r.randint(1, 500),
                           r.randint(1, 5_000), r.randint(1, 10 ** 12) if r.random() < 0.05 else 100])
        arguments = {'member': member, 'amount': amount, 'event_at': self._moment(code, member)}
        at = self.clock if arguments['event_at'] is None else arguments['event_at']
        if r.random() < 0.3:
            arguments['expiry'] = r.choice(CAMPAIGNS)
        if r.random() < 0.2 and not self.live:
            arguments['available_at'] = at + r.choice([0, 1, r.randrange(3 * DAY), r.randrange(40 * DAY),
                                                       -1 if r.random() < 0.2 else 14 * DAY])
        if r.random() < 0.2:
            arguments['qualifying'] = r.choice([0, 1, r.randint(0, 2 * amount), r.randint(0, 300)])
        if r.random() < 0.3:
            arguments['source'] = r.choice(['purchase', 'check-in', 'review', '签到'])
            arguments['reference'] = f'order {self.made}'
        return self._make('earn', code, arguments)

    def _redeem(self, code, member):
        r = self.random
        arguments = {'member': member, 'event_at': self._moment(code, member)}
        at = self.clock if arguments['event_at'] is None else arguments['event_at']
        account = self._account(code, member)
        most = sum(limit for _, limit in account.spendable(at)) if account else 0
        arguments['amount'] = max(1, r.choice([
            r.randint(1, 300), r.randint(1, 300), most // 2, most // 3, most // 5, r.randint(0, most),
            most, most + 1, 2 * most if r.random() < 0.3 else most // 4]))
        if r.random() < 0.2:
            arguments['reference'] = f'gift {self.made}'
        return self._make('redeem', code, arguments)

    def _reverse(self, code, member):
        r = self.random
        account = self._account(code, member)
        targets = [e for e in account.entries if e.kind in ('earn', 'redeem')] if account else []
        if not targets:
            return self._earn(code, member)
        target = r.choice(targets[-6:] if r.random() < 0.6 else targets)
        left = abs(target.amount) - account.reversed_of(target)
        at = self._moment(code, member)
        if at is not None and at < target.event_at and r.random() < 0.9:
            at = r.choice([target.event_at, self.clock, self.clock])
        arguments = {'member': member, 'event_at': at}
        amount = r.choice([None, None, left, left // 2, left // 3, 1, r.randint(0, left),
                           left + 1 if r.random() < 0.4 else left])
        if amount is not None:
            arguments['amount'] = max(1, amount)
        if r.random() < 0.3:
            arguments['reason'] = 'returned goods'
        return self._make('reverse', code, arguments, target=self._label(code, member, target.seq))

    def _expire(self, code):
        r = self.random
        accounts = self.world.ledger.programs[code].accounts.values()
        ends = [c.expires_at for a in accounts for c in a.lots() if c.expires_at < self.clock + 20 * DAY]
        as_of = r.choice([self.clock, self.clock, self.clock, self.clock - r.randrange(100 * DAY),
                          min(self.clock + r.randrange(60 * DAY), self.world.now),
                          r.choice(ends or [self.clock]) - r.randint(0, 1)])
        arguments = {'as_of': as_of}
        if r.random() < 0.25:
            arguments['max_accounts'] = r.randint(1, 4)
        return self._make('expire_batch', code, arguments, jobs_only=True)

    def _status(self, code):
        r = self.random
        accounts = self.world.ledger.programs[code].accounts
        frozen = [m for m, a in accounts.items() if a.status == 'frozen']
        empty = [m for m, a in accounts.items() if a.status == 'open' and a.entries
                 and not any(c.expires_at > self.world.now for c in a.lots())]
        roll = r.random()
        if frozen and roll < 0.5:
            return self._make('unfreeze_account', code, {'member': r.choice(frozen), 'reason': 'cleared'})
        if roll < 0.75:
            verb, member = r.choice([('freeze_account', 0), ('freeze_account', 0),
                                     ('unfreeze_account', 0), ('open_account', 0),
                                     ('open_account', self._new_member(code))])
        else:
            verb, member = 'close_account', r.choice(empty) if empty and r.random() < 0.6 else 0
            self._new_member(code)
        arguments = {'member': member or self._member(code)}
        if verb != 'open_account':
            arguments['reason'] = 'asked for'
        return self._make(verb, code, arguments)

    def _alter(self, code):
        r = self.random
        return self._make('alter_program', code, r.choice([
            {'expiry': r.choice(POLICIES)}, {'expiry': r.choice(POLICIES)},
            {'time_zone': r.choice(ZONES)}, {'tier_window': r.choice(WINDOWS)},
            {'auto_open': r.random() < 0.5}, {'expiry': '36 months inactive'},
            {'expiry': r.choice(POLICIES), 'time_zone': r.choice(ZONES)}]))

    def _bad(self, code):
        """An operation with one thing wrong in it, and now and then an unknown program besides."""
        r = self.random
        member = self._member(code)
        op = r.choice([self._earn, self._redeem, self._reverse])(code, member)
        wrong = {
            'program': ['nowhere', None, '', 'p' * 300],
            'member': ['nobody', None, '', 'm' * 300],
            'amount': [0, -1, -MAX_POINTS],
            'event_at': [FOREVER, -FOREVER, self.world.now + 10 * MINUTE, self.world.now + DAY],
        }
        if op.verb != 'reverse':
            wrong['amount'].append(None)
        else:
            wrong['seq'] = [None, 0, -1, NOWHERE]
            account = self._account(code, member)
            wrong['seq'] += [e.seq for e in account.entries
                             if e.kind not in ('earn', 'redeem')][-3:] if account else []
        if op.verb == 'earn':
            wrong['available_at'] = [FOREVER, -FOREVER, 0]
            wrong['qualifying'] = [-1]
            wrong['expiry'] = ['36 months inactive']
            account = self._account(code, member)
            if account and account.lots() and min(c.expires_at for c in account.lots()) > self.clock:
                wrong['amount'] += [MAX_POINTS] * 3
        if r.random() < 0.15:
            op = self._make(r.choice(['freeze_account', 'unfreeze_account', 'close_account']), code,
                            {'member': member, 'reason': 'asked for'})
            wrong = {name: wrong[name] for name in ('program', 'member')}
        elif r.random() < 0.1:
            op = self._make('expire_batch', code, {'as_of': self.clock}, jobs_only=True)
            wrong = {'program': ['nowhere', '', 'p' * 300], 'max_accounts': [0, -1],
                     'as_of': [FOREVER, -FOREVER, self.world.now + DAY]}
        name = r.choice(list(wrong))
        op.arguments[name] = r.choice(wrong[name])
        if name == 'seq':
            op.target = None
            op.jobs_only = True
        elif name in ('amount', 'event_at', 'member') and r.random() < 0.2:
            op.arguments['program'] = 'nowhere'
        return op

    # Whom and when.

    def _new_member(self, code):
        self.opened[code] += 1
        return f'm{self.opened[code]}'

    def _member(self, code):
        """A member: mostly of an account that is open, sometimes one not seen yet."""
        r = self.random
        accounts = self.world.ledger.programs[code].accounts
        if r.random() < 0.01:
            return self._new_member(code)
        member = f'm{r.randint(1, self.opened[code])}'
        if member in accounts and accounts[member].status == 'open' or r.random() < 0.1:
            return member
        return r.choice([m for m, a in accounts.items() if a.status == 'open'] or [member])

    def _account(self, code, member):
        return self.world.ledger.programs[code].accounts.get(member)

    def _label(self, code, member, seq):
        return self.world.names.get((code, member, seq))

    def _moment(self, code, member):
        """When it happened: mostly now, else some time ago or right at an instant that matters.

        The clock goes on to such an instant where it comes within a day.
        """
        r = self.random
        if self.live:
            return r.choice([None, None, None, self.world.now, self.world.now - r.randrange(90 * DAY),
                             self.world.now + 2 * MINUTE + r.randrange(MINUTE)])
        roll = r.random()
        if roll < 0.58:
            return self.clock
        if roll < 0.72:
            return self.clock - r.choice([r.randrange(SECOND), r.randrange(5 * DAY), r.randrange(150 * DAY)])
        account = self._account(code, member)
        turns = instants(account) if account else []
        soon = [t for t in turns if self.clock < t < min(self.clock + DAY, self.end)]
        past = [t for t in turns if t <= self.clock]
        if soon:
            self.clock = r.choice(soon)
        elif past:
            return r.choice(past)
        return self.clock
