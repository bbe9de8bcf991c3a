"""affairs.py: jobs, notices, accounts and programs at random, and operations with something wrong in them."""

from datetime import timedelta
from decimal import Decimal

import literals
from account import ACTIVITIES
from model import MAX_POINTS
from operation import NOWHERE
from operations import GRACES, POLICIES, SOURCES, WINDOWS, ZONES
from reversals import REVERSIBLE
from when import DAY, FOREVER, MINUTE, SECOND, instant, local_day, midnight_after


class Affairs:
    """Chooses as Operations does."""

    # Jobs, accounts, programs.

    def _job(self, code):
        r = self.random
        accounts = self.world.ledger.programs[code].accounts.values()
        if r.random() < 0.15:
            arguments = {'as_of': r.choice([self.world.now, self.world.now, self.world.now - r.randrange(3 * SECOND)])}
            if r.random() < 0.25:
                arguments['max_accounts'] = r.randint(1, 4)
            return self._make('release_batch', code, arguments, jobs_only=True)
        ends = [c.lapses_at for a in accounts for c in a.lots() if c.lapses_at < self.clock + 20 * DAY]
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
                 and not any(c.lapses_at > self.world.now for c in a.lots())]
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
        elif r.random() < 0.7:
            arguments['opened_at'] = self._joined()
        return self._make(verb, code, arguments)

    def _alter(self, code):
        r = self.random
        return self._make('alter_program', code, r.choice([
            {'expiry': r.choice(POLICIES)}, self._rules(), self._rules(),
            {'expiry': literals.policy(r, self.clock), 'time_zone': r.choice(ZONES)},
            {'activity': self._activity()}, {'notice_days': r.choice([1, 7, 14, 30, 60])},
            {'unset': ('notice_days',)}, {'notice_days': r.choice([0, 3651])},
            {'activity': r.choice([(), ('earn', 'earn'), ('expire',), ('earn', 'nothing')])},
            {'late_postings': r.choice(['book', 'book', 'refuse'])}, {'late_postings': 'perhaps'},
            {'time_zone': r.choice(ZONES)}, {'tier_window': r.choice(WINDOWS)}, {'auto_open': r.random() < 0.5},
            {'overdraft': r.choice(['refuse', 'debt', 'forgive'])}, {'overdraft': 'debt', 'overdraft_limit': 500},
            {'overdraft_limit': r.choice([0, 100, 2_000])}, {'overdraft': 'perhaps'},
            {'return_grace': r.choice([*GRACES, literals.policy(r)])}]))

    def _close(self, code):
        """Books closed, mostly once what is due before then is booked; or opened again."""
        r = self.random
        scheme = self.world.ledger.programs[code]
        closed = scheme.closed_until
        if closed is not None and r.random() < 0.25:
            until = r.choice([None, closed, closed - r.randrange(100 * DAY), self._day_begin(scheme, closed - 30 * DAY)])
            return [('call', [self._make('reopen_period', code, {
                'until': until, 'reason': r.choice(['an error', 'an error', ''])})])]
        until = r.choice([*(self._day_begin(scheme, self.clock - r.randrange(days * DAY)) for days in (1, 10, 60)),
                          midnight_after(local_day(self.clock - 30 * DAY, 'UTC'), 'UTC'), self.world.now + DAY, None])
        steps = [('call', [self._make('close_period', code, {'until': until, 'reason': 'end of month'})])]
        if r.random() < 0.8:
            steps = [('call', [self._make('expire_batch', code, {'as_of': self.clock}, jobs_only=True)])] + steps
        return steps

    @staticmethod
    def _day_begin(scheme, at):
        return midnight_after(local_day(at, scheme.time_zone) - timedelta(days=1), scheme.time_zone)

    def _joined(self):
        """Mostly before the history, now and then in it or on a leap day."""
        r = self.random
        return r.choice([self.start - r.randrange(2000 * DAY), self.start - r.randrange(2000 * DAY), self.clock,
                         instant('2012-02-29 03:00:00+00:00'), self.world.now + DAY if r.random() < 0.2 else self.start])

    def _activity(self):
        chosen = self.random.sample(ACTIVITIES, self.random.randint(1, len(ACTIVITIES)))
        return tuple(kind for kind in ACTIVITIES if kind in chosen)

    def _rules(self, inactive=0.6):
        """What lots are given from then on."""
        r = self.random
        rules = {'expiry': literals.policy(r, self.clock, inactive)}
        if r.random() < 0.5:
            rules['activity'] = self._activity()
        if r.random() < 0.4:
            rules['notice_days'] = r.choice([1, 7, 14, 30, 60])
        return rules

    def _notice(self, code):
        """Mostly of what lapses soon, sent now; sometimes long ago, or of all that there is."""
        r = self.random
        sent_at = r.choice([self.clock, self.clock, self.clock, self.clock - r.randrange(60 * DAY)])
        days = r.choice([7, 30, 30, 60])
        until = sent_at + r.choice([days, days, 4, 400]) * DAY
        arguments = {'member': self._member(code), 'channel': r.choice(['sms', 'app']), 'window_days': days,
                     'sent_at': sent_at}
        if r.random() < 0.7:
            arguments['until'] = until
        return self._make('record_notice', code, arguments)

    def _remedy(self, code):
        """Lots that lapse later, that undone, or lapsed ones given back."""
        r = self.random
        roll = r.random()
        if roll < 0.2 and self.extended[code]:
            return self._make('undo_extension', code, {'reason': 'a mistake', **self._chosen(code)},
                              target=r.choice(self.extended[code]))
        at = None if self.live else self.clock
        if roll < 0.5:
            member = self._member(code)
            arguments = {'member': member, 'reason': 'goodwill', 'event_at': at}
            if r.random() < 0.6:
                arguments['lapsed_until'] = self.clock - r.choice([0, 0, r.randrange(20 * DAY)])
            if r.random() < 0.4:
                arguments['lapsed_since'] = self.clock - r.randrange(300 * DAY)
            if r.random() < 0.5:
                arguments['amount'] = self._amount()
            if r.random() < 0.3:
                arguments['expiry'] = literals.policy(r, self.clock)
            return self._make('reinstate', code, arguments)
        arguments = {'reason': 'shops closed', 'event_at': at, **self._chosen(code)}
        if r.random() < 0.5:
            arguments['by_interval'] = r.choice(['30 days', '1 month', '3 months', '1 year'])
        else:
            arguments['until'] = r.choice([self.clock + r.randrange(300 * DAY), self.clock + r.randrange(90) * DAY,
                                           FOREVER if r.random() < 0.2 else self.world.now + DAY])
        if r.random() < 0.3:
            arguments['sources'] = tuple(r.sample(SOURCES, 2))
        if r.random() < 0.4:
            arguments['expiring_since'] = self.clock - r.randrange(100 * DAY)
        if r.random() < 0.6:
            arguments['expiring_until'] = self.clock + r.randrange(300 * DAY)
        op = self._make('extend_expiry', code, arguments)
        if r.random() < 0.3:
            arguments['idempotency_key'] = f'extension {r.randrange(6)}'
        self.extended[code].append(op.label)
        return op

    def _chosen(self, code):
        r = self.random
        members = {self._member(code) for _ in range(r.randint(1, 3))} | ({'nobody'} if r.random() < 0.05 else set())
        return {'members': tuple(sorted(members))} if r.random() < 0.8 else {}

    def _bad(self, code):
        """An operation with one thing wrong in it, and now and then an unknown program besides."""
        r = self.random
        member = self._member(code)
        op = r.choice([self._earn, self._redeem, self._reverse, self._hold, self._transfer, self._import,
                       self._end_hold])(code, member)
        member = op.member
        if op.arguments.get('until', 0) is None:
            op.arguments['until'] = self.world.now + DAY
        wrong = {
            'program': ['nowhere', None, '', 'p' * 300],
            'from_member' if op.verb == 'transfer' else 'member': ['nobody', None, '', 'm' * 300],
            'amount': [0, -1, -MAX_POINTS],
            'event_at': [FOREVER, -FOREVER, self.world.now + 10 * MINUTE, self.world.now + DAY],
            'idempotency_key': ['', 'k' * 256, '键' * 86],
        }
        if op.verb == 'release':
            del wrong['amount']
        elif op.verb not in ('reverse', 'capture'):
            wrong['amount'].append(None)
        if op.verb in ('reverse', 'capture', 'release'):
            name = 'seq' if op.verb == 'reverse' else 'hold_seq'
            wrong[name] = [None, 0, -1, NOWHERE]
            account = self._account(code, member)
            taken = ('hold',) if name == 'hold_seq' else REVERSIBLE
            wrong[name] += [e.seq for e in account.entries if e.kind not in taken][-3:] if account else []
        if op.verb in ('earn', 'import'):
            wrong['revenue'] = [Decimal('-0.01')]
            wrong['funder'] = ['', 'f' * 300]
            wrong['available_at'] = [FOREVER, -FOREVER, 0]
            wrong['qualifying'] = [-1]
        if op.verb in ('redeem', 'capture'):
            wrong['partner'] = wrong['source'] = ['', 'p' * 300]
        if op.verb == 'earn':
            account = self._account(code, member)
            if account and account.lots() and min(c.lapses_at for c in account.lots()) > self.world.now:
                wrong['amount'] += [MAX_POINTS] * 3
        if r.random() < 0.15:
            op = self._make(r.choice(['freeze_account', 'unfreeze_account', 'close_account']), code,
                            {'member': member, 'reason': 'asked for'})
            wrong = {name: wrong.get(name, ['']) for name in ('program', 'member')}
        elif r.random() < 0.1:
            op = self._make(r.choice(['expire_batch', 'release_batch']), code, {'as_of': self.clock}, jobs_only=True)
            wrong = {'program': ['nowhere', '', 'p' * 300], 'max_accounts': [0, -1],
                     'as_of': [FOREVER, -FOREVER, self.world.now + DAY]}
        name = r.choice(list(wrong))
        op.arguments[name] = r.choice(wrong[name])
        if name in ('seq', 'hold_seq'):
            op.target = None
            op.jobs_only = True
        elif name in ('amount', 'event_at', 'member') and r.random() < 0.2:
            op.arguments['program'] = 'nowhere'
        return op
