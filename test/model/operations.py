"""operations.py: one posting at a time, with arguments chosen at random from what the model knows."""

from decimal import Decimal
from fractions import Fraction

import literals
from operation import Deadline, Operation, instants
from when import DAY, FOREVER, MINUTE, SECOND

POLICIES = ['never', '30 days', '3 months', '12 months end of month', '1 year end of year']
CAMPAIGNS = ['1 day', '7 days', '30 days', '1 month', '3 months end of quarter',
             '6 months end of half', '2 years', 'never']
GRACES = ['7 days', '1 day', '1 month']
SOURCES = ['purchase', 'check-in', 'review', '签到']
FUNDERS = ['bank', 'mall', '商场']
PARTNERS = ['cinema', 'hotel']
ZONES = ['Asia/Shanghai', 'Europe/London', 'America/New_York', 'America/Sao_Paulo',
         'UTC', 'Asia/Kathmandu', 'Atlantic/Azores', 'America/Havana', 'Australia/Lord_Howe']
WINDOWS = ['12 months', '1 month', '90 days', '1 year']

class Operations:
    """Reads the world of the programs with jobs, changes nothing. What Generator sets up is used here."""

    def _make(self, verb, code, arguments, **more):
        self.made += verb not in ('create_program', 'create_tier')
        self.labels += 1
        return Operation(verb, code, arguments, self.labels, **more)

    def _operation(self, code):
        op = self._any(code)
        while op.verb in self.without:
            op = self._any(code)
        return op

    def _any(self, code):
        roll = self.random.random()
        if roll < 0.05:
            return self._bad(code)
        if roll < 0.12:
            return self._job(code)
        if roll < 0.17:
            return self._status(code)
        if roll < 0.19:
            return self._alter(code)
        if roll < 0.23 and self.world.ledger.programs[code].notice_days is not None or roll < 0.195:
            return self._notice(code)
        if roll < (0.32 if self.live else 0.24):
            return self._remedy(code)
        return self._posting(code, self._member(code))

    def _posting(self, code, member):
        r = self.random
        if r.random() < 0.04 and self.keyed[code]:
            return self._again(code)
        verb = r.choices([self._earn, self._redeem, self._reverse, self._adjust, self._import, self._hold,
                          self._end_hold, self._transfer, self._reverse_reference],
                         [30, 17, 17, 8, 4, 8, 8, 6, 2])[0]
        op = verb(code, member)
        if r.random() < 0.2 and op.verb != 'reverse_reference':
            self._key(op)
        return op

    def _key(self, op):
        op.arguments.setdefault('idempotency_key', f'key {self.labels}')
        self.keyed[op.program] = self.keyed[op.program][-30:] + [op]
        return op

    def _again(self, code):
        """A posting with a key once more, or another request under its key."""
        r = self.random
        first = r.choice(self.keyed[code])
        op = self._make(first.verb, code, dict(first.arguments), target=first.target)
        if r.random() < 0.3:
            name = r.choice(['event_at', 'details', 'amount', 'verb'])
            if name == 'verb':
                op.verb, op.target = 'redeem', None
                op.arguments = {'member': first.member, 'amount': op.arguments.get('amount', 1),
                                'idempotency_key': op.arguments['idempotency_key']}
            elif name == 'event_at':
                op.arguments[name] = None if op.arguments.get(name) is not None else self.clock
            elif name == 'details':
                op.arguments[name] = {'retry': 1}
            elif op.verb != 'release':
                op.arguments[name] = (op.arguments.get(name) or 0) + 1
        return op

    # Credits.

    def _amount(self):
        r = self.random
        return r.choice([1, r.randint(1, 20), r.randint(1, 500), r.randint(1, 500),
                         r.randint(1, 5_000), r.randint(1, 10 ** 12) if r.random() < 0.05 else 100])

    def _reference(self, arguments, chance):
        if self.random.random() < chance:
            arguments['reference'] = f'order {self.made // 60}'
        if self.random.random() < 0.05:
            arguments['details'] = self.random.choice([{'till': 7}, {'lines': [1, 'two', None]}])

    def _gain(self, member, code, amount):
        """Arguments that credits have in common, and when it happens."""
        r = self.random
        arguments = {'member': member, 'amount': amount, 'event_at': self._moment(code, member)}
        at = self.clock if arguments['event_at'] is None else arguments['event_at']
        if r.random() < 0.3:
            arguments['expiry'] = r.choice([r.choice(CAMPAIGNS), literals.policy(r, at)])
        if r.random() < 0.2 and not self.live:
            arguments['available_at'] = at + r.choice([0, 1, r.randrange(3 * DAY), r.randrange(40 * DAY),
                                                       -1 if r.random() < 0.2 else 14 * DAY])
        if r.random() < 0.2:
            arguments['qualifying'] = r.choice([0, 1, r.randint(0, 2 * abs(amount)), r.randint(0, 300)])
        if r.random() < 0.3:
            arguments['source'] = r.choice(SOURCES)
        if r.random() < 0.3:
            arguments['funder'] = r.choice(FUNDERS)
        self._reference(arguments, 0.4)
        return arguments, at

    def _paid(self, arguments):
        """Sold points, with as many decimals as may be."""
        r = self.random
        if r.random() < 0.4:
            arguments['revenue'] = r.choice([Decimal(0), Decimal(r.randint(1, 99_999)).scaleb(-2), Decimal(r.randint(1, 500)),
                                             Decimal(r.randint(1, 9_999_999)).scaleb(-5)])
        return arguments

    def _spent(self, arguments):
        """By which channel, and who honours it."""
        r = self.random
        if r.random() < 0.3:
            arguments['source'] = r.choice(SOURCES)
        if r.random() < 0.3:
            arguments['partner'] = r.choice(PARTNERS)
        return arguments

    def _earn(self, code, member):
        return self._make('earn', code, self._paid(self._gain(member, code, self._amount())[0]))

    def _import(self, code, member):
        r = self.random
        arguments, at = self._gain(member, code, self._amount())
        if r.random() < 0.4:
            arguments['issued_at'] = at - r.choice([0, r.randrange(20 * DAY), r.randrange(200 * DAY), -1])
        if r.random() < 0.4:
            if r.random() < 0.9:
                arguments.pop('expiry', None)
            arguments['expires_at'] = r.choice([FOREVER, at + r.randrange(400 * DAY), at + r.randrange(400 * DAY),
                                                self.world.now + 90 * DAY, at])
        return self._make('import', code, self._paid(arguments))

    def _adjust(self, code, member):
        r = self.random
        if r.random() < 0.4:
            arguments = {**self._gain(member, code, self._amount())[0], 'reason': 'goodwill'}
        else:
            arguments, _ = self._loss(code, member)
            arguments['amount'] *= -1
            arguments['reason'] = 'penalty'
            if r.random() < 0.2:
                arguments['source'] = r.choice(SOURCES)
            if r.random() < 0.03:
                arguments.update(r.choice([{'expiry': 'never'}, {'funder': 'bank'}]))
        if r.random() < 0.03 and (arguments['amount'] > 0 or not {'expiry', 'funder'} & set(arguments)):
            arguments['reason'] = r.choice(['', None])
        return self._make('adjust', code, arguments)

    # Debits and holds.

    def _loss(self, code, member):
        """Arguments of a debit: about what can be spent then, or little, or too much."""
        r = self.random
        arguments = {'member': member, 'event_at': self._moment(code, member)}
        at = self.clock if arguments['event_at'] is None else arguments['event_at']
        account = self._account(code, member)
        most = sum(limit for _, limit in account.spendable(at)) if account else 0
        arguments['amount'] = max(1, r.choice([
            r.randint(1, 300), r.randint(1, 300), most // 2, most // 3, most // 5, r.randint(0, most),
            most, most + 1, 2 * most if r.random() < 0.3 else most // 4]))
        self._reference(arguments, 0.3)
        return arguments, at

    def _redeem(self, code, member):
        return self._make('redeem', code, self._spent(self._loss(code, member)[0]))

    def _hold(self, code, member):
        r = self.random
        arguments, at = self._loss(code, member)
        if r.random() < 0.5 and (self.wave or self.made >= self.wave_end + self.operations // 9):
            if self.wave is None:
                self.waves += 1
                length = r.randint(40, 100)         # operations until all wait for it
                self.wave = Deadline(self.waves, length * SECOND // 80)
                self.wave_end = self.made + length
            arguments['until'] = Deadline(self.wave.number, self.wave.delay, r.randrange(20_000))
        elif self.live and r.random() < 0.5:
            # Before the latest event of accounts with events a little in the future.
            arguments['until'] = Deadline(-self.labels, 90 * SECOND)
        else:
            arguments['until'] = self.world.now + r.choice([6, 12, 48, 24 * 60]) * 3600 * SECOND
        if r.random() < 0.03:
            arguments['until'] = r.choice([at, at - 1, self.world.now - MINUTE, FOREVER, -FOREVER, None])
        return self._make('hold', code, arguments)

    def _end_hold(self, code, member):
        """A capture or a release, of a member who has a hold."""
        r = self.random
        accounts = self.world.ledger.programs[code].accounts
        holders = [a for a in accounts.values() if a.holds() and a.status == 'open']
        account = r.choice(holders) if holders else accounts.get(member)
        holds = [(h, n) for h, n in account.holds() if self._label(code, account.member, h.seq)] if account else []
        if holds and r.random() < 0.95:
            target, points = r.choice(holds)
        else:
            labelled = [e for e in account.entries if self._label(code, account.member, e.seq)] if account else []
            if not labelled or not holds and r.random() < 0.8:
                return self._hold(code, member)
            target, points = r.choice(labelled), 10
        arguments = {'member': account.member, 'event_at': self._after(code, account.member, target)}
        verb = 'release' if r.random() < 0.4 else 'capture'
        if verb == 'release' and r.random() < 0.5:
            arguments['reason'] = 'cancelled'
        if verb == 'capture':
            amount = r.choice([None, None, points, points // 2, points // 3, r.randint(0, points), points + 1])
            if amount is not None:
                arguments['amount'] = max(1, amount)
            self._reference(self._spent(arguments), 0.3)
        return self._make(verb, code, arguments, target=self._label(code, account.member, target.seq))

    # Between accounts, and back.

    def _transfer(self, code, member):
        r = self.random
        arguments, _ = self._loss(code, member)
        other = self._member(code) if r.random() < 0.97 else r.choice([member, 'nobody'])
        if r.random() < 0.3:
            arguments['reason'] = 'gift'
        return self._make('transfer', code, {'from_member': arguments.pop('member'), 'to_member': other, **arguments})

    def _reverse(self, code, member):
        r = self.random
        account = self._account(code, member)
        targets = [e for e in account.entries if self._label(code, member, e.seq)] if account else []
        if r.random() < 0.95:
            targets = [e for e in targets if e.kind not in ('hold', 'release', 'reverse', 'reinstate')]
        if account and code in self.single:
            targets += [e for e in account.entries if e.kind == 'expire']
        if not targets:
            return self._earn(code, member)
        target = r.choice(targets[-6:] if r.random() < 0.6 else targets)
        left = account.left_of(target)
        arguments = {'member': member, 'event_at': self._after(code, member, target)}
        amount = r.choice([None, None, left, left // 2, left // 3, 1, r.randint(0, left),
                           left + 1 if r.random() < 0.4 else left])
        if amount is not None:
            arguments['amount'] = max(1, amount)
        if r.random() < 0.3:
            arguments['reason'] = 'returned goods'
        if target.kind == 'expire' and r.random() < 0.5 or r.random() < 0.02:
            arguments['expiry'] = r.choice([r.choice(CAMPAIGNS), literals.policy(r)])
        label = self._label(code, member, target.seq)
        if label is None:
            same = [e.seq for e in account.entries if (e.kind, e.event_at) == (target.kind, target.event_at)]
            label = (target.kind, target.event_at, same.index(target.seq))
        return self._make('reverse', code, arguments, target=label)

    def _reverse_reference(self, code, member):
        r = self.random
        account = self._account(code, member)
        known = [e.reference for e in account.entries if e.reference] if account else []
        arguments = {'member': member, 'event_at': self._moment(code, member),
                     'reference': r.choice(known[-5:] + known[:1] + ['order nowhere'])}
        if r.random() < 0.8:
            total = r.choice([2, 3, 3, 4, 7, Fraction(5, 2)])
            arguments['total'] = total
            arguments['returned'] = r.choice([1, 1, 2, 2, total, Fraction(1, 4), 0])
            if r.random() < 0.05:
                arguments[r.choice(['returned', 'total'])] = r.choice([-1, 0, None, 100])
        return self._make('reverse_reference', code, arguments)

    # Batches.

    def _post(self, code):
        r = self.random
        members = [self._member(code) for _ in range(r.choice([1, 2, 3]))]
        on_refusal = r.choice(['abort', 'skip', 'skip'])
        ops = []
        for _ in range(r.randint(1, 6) if r.random() < 0.9 else r.randint(20, 40)):
            op = self._posting(code, r.choice(members))
            while op.verb == 'reverse_reference':
                op = self._posting(code, r.choice(members))
            if on_refusal == 'skip' and r.random() < 0.08:
                name, value = r.choice([('amount', 0), ('amount', -1), ('program', 'nowhere'), ('verb', 'nothing')])
                if name == 'verb':
                    op.verb = value
                elif op.verb not in ('adjust', 'release'):
                    op.arguments[name] = value
                self.keyed[code] = [keyed for keyed in self.keyed[code] if keyed is not op]
            if r.random() < 0.4:
                op.group = r.choice('ab')
            ops.append(op)
        self.made -= len(ops) - 1       # they count as one call
        arguments = {'on_refusal': on_refusal}
        return Operation('post', code, arguments, self.labels, postings=ops)

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

    def _after(self, code, member, target):
        """When something happens to an entry: mostly not before it."""
        r = self.random
        at = self._moment(code, member)
        if at is not None and at < target.event_at and r.random() < 0.9:
            at = r.choice([target.event_at, self.clock, self.clock])
        if target.event_at >= self.world.started:
            at = None           # it fell on its own now() in each twin
        return at

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
