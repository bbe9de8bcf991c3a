#!/usr/bin/python3
"""selftest.py: the model against examples worked out by hand, without a database."""

import sys
import unittest

sys.dont_write_bytecode = True

from model import MAX_POINTS, Ledger, Refused
from policy import expires_at
from when import DAY, FOREVER, MINUTE, instant, shifted, show

NOW = instant('2024-12-31 12:00:00+00:00')


def day(text):
    return instant(f'2024-{text} 12:00:00+00:00')


class Calendar(unittest.TestCase):
    def lapses(self, policy, event_at, zone, expected):
        self.assertEqual(show(expires_at(policy, instant(event_at), zone)), expected)

    def test_local_midnight_that_ends_the_last_day(self):
        self.lapses('30 days', '2024-01-01 12:00:00+00:00', 'UTC', '2024-02-01 00:00:00+00:00')
        self.lapses('1 month', '2023-01-31 12:00:00+00:00', 'UTC', '2023-03-01 00:00:00+00:00')
        self.lapses('12 months', '2024-02-29 12:00:00+00:00', 'UTC', '2025-03-01 00:00:00+00:00')
        self.lapses('12 months end of month', '2023-01-31 17:00:00+00:00', 'Asia/Shanghai', '2024-02-29 16:00:00+00:00')
        self.lapses('3 years end of year', '2024-05-05 00:00:00+00:00', 'UTC', '2028-01-01 00:00:00+00:00')
        self.lapses('3 months end of quarter', '2024-01-31 00:00:00+00:00', 'UTC', '2024-07-01 00:00:00+00:00')
        self.lapses('6 months end of half', '2024-01-31 00:00:00+00:00', 'UTC', '2025-01-01 00:00:00+00:00')
        self.assertEqual(expires_at('never', 0, 'UTC'), FOREVER)

    def test_clocks_that_change(self):
        # London's summer ends on 27 October; São Paulo's began at midnight of 4 November 2018, which
        # does not exist; Havana's ends at 1:00, so that midnight comes twice.
        self.lapses('1 day', '2024-10-26 12:00:00+00:00', 'Europe/London', '2024-10-28 00:00:00+00:00')
        self.lapses('1 day', '2018-11-02 12:00:00+00:00', 'America/Sao_Paulo', '2018-11-04 03:00:00+00:00')
        self.lapses('1 day', '2024-11-01 16:00:00+00:00', 'America/Havana', '2024-11-03 04:00:00+00:00')

    def test_window(self):
        def check(at, window, direction, zone, expected):
            self.assertEqual(show(shifted(instant(at), window, direction, zone)), expected)

        check('2024-02-29 12:00:00+00:00', '12 months', -1, 'UTC', '2023-02-28 12:00:00+00:00')
        check('2024-02-29 12:00:00+00:00', '1 year', 1, 'UTC', '2025-02-28 12:00:00+00:00')
        check('2024-04-30 12:00:00+00:00', '1 month', -1, 'America/New_York', '2024-03-30 12:00:00+00:00')
        check('2024-04-10 06:30:00+00:00', '1 month', -1, 'America/New_York', '2024-03-10 07:30:00+00:00')
        check('2024-10-03 05:30:00+00:00', '1 month', 1, 'America/New_York', '2024-11-03 06:30:00+00:00')


class Example(unittest.TestCase):
    """A program and a member to work an example with."""

    def setUp(self):
        self.ledger = Ledger()
        self.ledger.create_program(NOW, 'p', auto_open=True)

    def call(self, verb, amount=None, event_at=None, now=NOW, **more):
        if amount is not None:
            more['amount'] = amount
        if verb != 'transfer':
            more = {'member': 'm', **more}
        return self.ledger.call(verb, now, program='p', event_at=event_at, **more)

    def expire(self, as_of=NOW):
        return self.ledger.expire_batch(NOW, 'p', as_of)

    def refused(self, sqlstate, verb, *arguments, **more):
        entries = len(self.entries())
        with self.assertRaises(Refused) as caught:
            self.call(verb, *arguments, **more)
        self.assertEqual(caught.exception.sqlstate, sqlstate)
        self.assertEqual(len(self.entries()), entries)

    def entries(self, member='m'):
        account = self.ledger.programs['p'].accounts.get(member)
        return [(e.kind, e.amount, e.reverses_seq) for e in account.entries] if account else []

    def written(self, since, member='m'):
        """Entries with seq > since: kind, amount, held, debt and what is taken from which lots."""
        return [(e.kind, e.amount, e.held, e.debt, {c.seq: n for c, n in e.uses})
                for e in self.ledger.account('p', member).entries[since:]]

    def entry(self, seq, member='m'):
        return self.ledger.account('p', member).entry(seq)

    def left(self, member='m'):
        return [(c.seq, c.remaining()) for c in self.ledger.account('p', member).lots()]

    def owed(self):
        return [(entry.seq, n) for entry, n in self.ledger.account('p', 'm').debts()]

    def balance(self, as_of=NOW):
        row = self.ledger.balance('p', 'm', as_of)
        return [row[name] for name in ('balance', 'available', 'pending', 'lapsed')]


class Rules(Example):
    def test_soonest_to_lapse_first_oldest_among_equals(self):
        self.call('earn', 10, day('01-01'), expiry='never')
        self.call('earn', 10, day('01-02'), expiry='2 years')
        self.call('earn', 10, day('01-02'), expiry='2 years')
        self.call('redeem', 15, day('02-01'))
        self.assertEqual(self.left(), [(3, 5), (1, 10)])
        self.refused('JF001', 'redeem', 16, day('02-02'))

    def test_pending_and_lapsed(self):
        self.call('earn', 10, day('01-01'), available_at=day('02-01'), expiry='60 days')
        self.assertEqual(self.balance(day('01-15')), [10, 0, 10, 0])
        self.assertEqual(self.balance(day('02-01')), [10, 10, 0, 0])
        self.assertEqual(self.balance(day('04-01')), [10, 0, 0, 10])
        self.refused('JF001', 'redeem', 1, day('02-01') - 1)
        self.expire()
        self.expire()
        self.assertEqual(self.entries()[1:], [('expire', -10, None)])
        self.assertEqual(self.balance(), [0, 0, 0, 0])
        self.assertEqual(self.balance(day('02-01')), [10, 10, 0, 0])

    def test_back_dated_redemption_takes_what_nobody_took_since(self):
        self.call('earn', 100, day('01-01'))
        self.call('redeem', 70, day('03-01'))
        self.call('reverse', 50, day('05-01'), seq=2)
        self.refused('JF001', 'redeem', 31, day('02-01'))
        self.call('redeem', 30, day('02-01'))
        self.assertEqual(self.balance(day('04-01')), [0, 0, 0, 0])
        self.assertEqual(self.balance(), [50, 50, 0, 0])

    def test_back_dated_redemption_of_what_expired(self):
        self.call('earn', 100, day('01-01'), expiry='30 days')
        self.expire()
        self.call('redeem', 30, day('01-15'))
        self.assertEqual(self.entries()[1:], [('expire', -100, None), ('reinstate', 30, 2), ('redeem', -30, None)])
        self.assertEqual(self.balance(day('01-20')), [70, 70, 0, 0])
        self.assertEqual(self.balance(day('02-20')), [0, 0, 0, 0])

    def test_the_earliest_expiry_is_undone_first(self):
        self.call('earn', 445, day('01-01'), expiry='30 days')
        self.call('redeem', 146, day('01-20'))
        self.expire()
        self.call('reverse', 73, day('03-01'), seq=2)
        self.call('redeem', 49, day('01-10'))
        self.assertEqual(self.entries()[2:], [('expire', -299, None), ('reverse', 73, 2), ('expire', -73, None),
                                              ('reinstate', 49, 3), ('redeem', -49, None)])
        self.assertEqual(self.balance(day('02-15')), [0, 0, 0, 0])

    def test_redemption_reversed_last_consumed_first(self):
        self.call('earn', 10, day('01-01'), expiry='30 days')
        self.call('earn', 10, day('01-01'), expiry='60 days')
        self.call('earn', 10, day('01-01'))
        self.call('redeem', 25, day('01-15'))
        self.call('reverse', 6, day('03-10'), seq=4)
        self.call('reverse', None, day('03-10'), seq=4)
        self.assertEqual(self.entries()[4:], [('reverse', 6, 4), ('expire', -1, None), ('reverse', 19, 4),
                                              ('expire', -10, None), ('expire', -9, None)])
        self.assertEqual(self.left(), [(3, 10)])
        self.refused('JF006', 'reverse', None, day('03-11'), seq=4)

    def test_earn_reversed_from_its_own_lot_then_from_others(self):
        self.call('earn', 10, day('01-01'), expiry='30 days', qualifying=7)
        self.call('earn', 10, day('01-02'))
        self.call('redeem', 4, day('01-15'))
        self.expire()
        self.call('reverse', 8, day('03-01'), seq=1)
        self.assertEqual(self.entries()[3:], [('expire', -6, None), ('reinstate', 6, 4), ('reverse', -8, 1)])
        self.assertEqual(self.left(), [(2, 8)])
        self.assertEqual(self.ledger.account('p', 'm').entries[-1].qualifying, -5)
        self.call('reverse', None, day('03-02'), seq=1)
        self.assertEqual(self.ledger.account('p', 'm').entries[-1].qualifying, -2)
        self.refused('22023', 'reverse', 1, day('03-03'), seq=6)
        self.refused('22023', 'reverse', 1, day('01-01'), seq=2)

    def test_refusals(self):
        self.call('earn', 10, day('01-01'))
        self.refused('22003', 'earn', MAX_POINTS, day('01-01'))
        self.refused('22023', 'earn', 0, day('01-01'))
        self.refused('22023', 'earn', 1, NOW + 6 * MINUTE)
        self.refused('22023', 'earn', 1, day('01-01'), available_at=day('01-01') - 1)
        self.refused('22023', 'earn', 1, day('01-01'), available_at=day('02-01'), expiry='30 days')
        self.ledger.freeze_account(NOW, 'p', 'm')
        self.refused('JF004', 'redeem', 1, day('02-01'))

    def test_close(self):
        self.call('earn', 10, day('01-01'))
        self.call('earn', 10, day('01-01'), expiry='30 days')
        with self.assertRaises(Refused):
            self.ledger.call('close_account', NOW, program='p', member='m')
        self.assertEqual(len(self.entries()), 2)
        self.call('redeem', 10, day('06-01'))
        self.ledger.call('close_account', NOW, program='p', member='m')
        self.assertEqual(self.entries()[-1], ('expire', -10, None))
        self.refused('JF004', 'earn', 1, day('06-01'))

    def test_tier(self):
        self.ledger.create_tier(NOW, 'p', 'silver', 100)
        self.ledger.create_tier(NOW, 'p', 'gold', 200)
        self.call('earn', 150, day('01-01'))
        self.call('earn', 50, day('06-01'))
        at = day('01-01')
        self.assertEqual([self.ledger.tier_for('p', 'm', t) for t in
                          (at - 1, at, day('06-01'), at + 366 * DAY - 1, at + 366 * DAY)],
                         [None, 'silver', 'gold', 'gold', None])
        self.assertEqual(self.ledger.tier_status('p', 'm', at)['holds_until'], day('01-01') + 366 * DAY)
        self.call('reverse', None, day('12-01'), seq=1)
        self.assertEqual(self.ledger.tier_status('p', 'm', at + 366 * DAY)['qualifying'], -100)

    def test_rollback(self):
        self.call('earn', 10, day('01-01'))
        mark = self.ledger.mark()
        self.call('redeem', 4, day('01-02'))
        self.call('earn', 5, day('01-02'))
        self.ledger.alter_program(NOW, 'p', expiry='30 days')
        self.ledger.rollback(mark)
        self.assertEqual((self.entries(), self.left()), ([('earn', 10, None)], [(1, 10)]))
        self.assertEqual(self.ledger.programs['p'].expiry, 'never')


class Holds(Example):
    LATER = NOW + 3 * DAY

    def setUp(self):
        super().setUp()
        self.call('earn', 10, day('12-01'), expiry='32 days')       # until 3 January's midnight
        self.call('earn', 10, day('12-01'))
        self.call('hold', 15, day('12-02'), until=NOW + 2 * DAY)    # entry 3: 10 of 1, 5 of 2

    def test_hold(self):
        self.assertEqual(self.written(2), [('hold', 0, 15, 0, {1: 10, 2: 5})])
        row = self.ledger.balance('p', 'm', NOW)
        self.assertEqual([row[name] for name in ('balance', 'available', 'held')], [20, 5, 15])
        row = self.ledger.balance('p', 'm', NOW + 2 * DAY)
        self.assertEqual([row[name] for name in ('balance', 'available', 'held')], [20, 20, 0])
        self.refused('JF001', 'redeem', 6)
        self.refused('22023', 'hold', 1, until=NOW)
        self.refused('22023', 'hold', 1, day('12-03'), until=day('12-04'))
        self.refused('22023', 'reverse', 1, seq=3)

    def test_capture_in_full_and_its_reversal(self):
        self.call('capture', event_at=day('12-03'), hold_seq=3)
        self.assertEqual(self.written(3), [('capture', -15, -15, 0, {})])
        self.refused('JF007', 'capture', hold_seq=3)
        self.refused('JF007', 'release', hold_seq=3)
        self.call('reverse', 7, day('12-04'), seq=4)
        self.call('reverse', None, day('12-04'), seq=4)
        self.assertEqual(self.written(4), [('reverse', 7, 0, 0, {2: -5, 1: -2}), ('reverse', 8, 0, 0, {1: -8})])

    def test_capture_in_part_releases_the_last_lots(self):
        self.refused('JF001', 'capture', 16, hold_seq=3)
        self.refused('22023', 'capture', 1, day('12-01'), hold_seq=3)
        self.refused('JF007', 'capture', 1, hold_seq=2)
        self.call('capture', 6, day('12-03'), hold_seq=3)
        self.assertEqual(self.written(3), [('capture', -6, -6, 0, {}), ('release', 0, -9, 0, {2: -5, 1: -4})])
        self.assertEqual(self.left(), [(1, 4), (2, 10)])
        self.call('reverse', None, day('12-04'), seq=4)
        self.assertEqual(self.written(5), [('reverse', 6, 0, 0, {1: -6})])

    def test_release(self):
        self.call('release', event_at=day('12-03'), hold_seq=3)
        self.assertEqual(self.written(3), [('release', 0, -15, 0, {2: -5, 1: -10})])
        self.refused('22023', 'reverse', seq=4)

    def test_an_overdue_hold_is_released_first(self):
        self.refused('JF007', 'capture', now=NOW + 2 * DAY, hold_seq=3)
        self.call('redeem', 20, now=NOW + 2 * DAY)
        self.assertEqual(self.written(3), [('release', 0, -15, 0, {2: -5, 1: -10}), ('redeem', -20, 0, 0, {1: 10, 2: 10})])
        self.assertEqual((self.entry(4).event_at, self.entry(5).event_at), (NOW + 2 * DAY,) * 2)

    def test_what_comes_back_to_a_lapsed_lot_lapses_at_once(self):
        self.call('hold', 5, day('12-02'), until=self.LATER)        # entry 4: 5 of 2
        self.call('release', event_at=NOW + 1, hold_seq=4)
        self.refused('JF001', 'hold', 5, day('12-02'), until=NOW + 4 * DAY)
        self.call('hold', 5, NOW + 1, until=NOW + 4 * DAY)          # entry 6: 5 of 2
        self.ledger.release_batch(NOW + 2 * DAY, 'p', NOW + 2 * DAY)
        self.call('hold', 12, now=NOW + 2 * DAY, until=NOW + 4 * DAY)   # entry 8: 10 of 1, 2 of 2
        found = self.ledger.release_batch(NOW + 5 * DAY, 'p', NOW + 5 * DAY)
        self.assertEqual(found, {'accounts': 1, 'holds': 2, 'points': 17, 'more': False})
        self.assertEqual(self.written(8), [('release', 0, -5, 0, {2: -5}), ('release', 0, -12, 0, {2: -2, 1: -10}),
                                           ('expire', -10, 0, 0, {1: 10})])
        self.assertEqual(self.entry(11).event_at, NOW + 4 * DAY)


class Debts(Example):
    def rule(self, overdraft, **more):
        self.ledger.alter_program(NOW, 'p', overdraft=overdraft, **more)

    def spent(self):
        self.call('earn', 100, day('01-01'), qualifying=10)
        self.call('redeem', 70, day('02-01'))

    def test_refuse(self):
        self.spent()
        self.refused('JF001', 'reverse', None, day('03-01'), seq=1)
        self.refused('JF001', 'adjust', -31, day('03-01'), reason='penalty')
        self.call('adjust', -30, day('03-01'), reason='penalty')
        self.assertEqual(self.written(2), [('adjust', -30, 0, 0, {1: 30})])

    def test_debt_and_how_it_is_repaid(self):
        self.rule('debt', overdraft_limit=80)
        self.spent()
        self.call('reverse', None, day('03-01'), seq=1)
        self.call('adjust', -10, day('03-02'), reason='penalty')
        self.refused('JF009', 'adjust', -1, day('03-02'), reason='penalty')
        self.assertEqual(self.written(2), [('reverse', -100, 0, 70, {1: 30}), ('adjust', -10, 0, 10, {})])
        self.assertEqual(self.entry(3).qualifying, -10)
        self.assertEqual(self.owed(), [(3, 70), (4, 10)])
        row = self.ledger.balance('p', 'm', NOW)
        self.assertEqual((row['balance'], row['debt']), (-80, 80))
        self.call('earn', 75, day('02-15'), available_at=day('12-31') + DAY)
        self.assertEqual(self.written(5), [('repay', 0, 0, -70, {5: 70}), ('repay', 0, 0, -5, {5: 5})])
        self.assertEqual([self.entry(seq).event_at for seq in (6, 7)], [day('03-01'), day('03-02')])
        self.assertEqual([self.entry(seq).debt_seq for seq in (6, 7)], [3, 4])
        self.refused('22023', 'reverse', 1, day('04-01'), seq=6)
        self.call('adjust', 8, day('05-01'), reason='goodwill')
        self.assertEqual((self.owed(), self.left()), ([], [(8, 3)]))

    def test_a_penalty_reversed_undoes_its_debt_first(self):
        self.rule('debt')
        self.call('earn', 10, day('01-01'))
        self.call('adjust', -40, day('02-01'), reason='penalty')
        self.call('earn', 12, day('03-01'))
        self.assertEqual(self.owed(), [(2, 18)])
        self.refused('22023', 'reverse', 20, day('02-15'), seq=2)
        self.call('reverse', 20, day('03-01'), seq=2)
        self.call('reverse', None, day('03-01'), seq=2)
        self.assertEqual(self.written(4), [('reverse', 20, 0, -18, {3: -2}), ('reverse', 20, 0, 0, {3: -10, 1: -10})])
        self.assertEqual(self.left(), [(1, 10), (3, 12)])

    def test_forgive(self):
        self.rule('forgive')
        self.spent()
        self.call('reverse', None, day('03-01'), seq=1)
        self.call('adjust', -5, day('03-01'), reason='penalty')
        self.assertEqual(self.written(2), [('reverse', -100, 0, 70, {1: 30}), ('adjust', 70, 0, -70, {}),
                                           ('adjust', -5, 0, 5, {}), ('adjust', 5, 0, -5, {})])
        self.assertEqual((self.entry(4).debt_seq, self.entry(4).reason), (3, 'forgiven'))
        self.refused('22023', 'reverse', 1, seq=4)
        self.refused('JF006', 'reverse', None, seq=5)

    def test_an_overdue_hold_repays(self):
        self.rule('debt')
        self.call('earn', 10, day('01-01'))
        self.call('hold', 10, day('01-01'), until=NOW + DAY)
        self.call('adjust', -4, day('01-02'), reason='penalty')
        row = self.ledger.balance('p', 'm', NOW + DAY)
        self.assertEqual((row['available'], row['debt']), (6, 0))
        self.ledger.release_batch(NOW + 2 * DAY, 'p', NOW + 2 * DAY)
        self.assertEqual(self.written(3), [('release', 0, -10, 0, {1: -10}), ('repay', 0, 0, -4, {1: 4})])
        self.assertEqual(self.entry(5).event_at, NOW + DAY)

    def test_lapsed_lots_do_not_repay(self):
        self.rule('debt')
        self.ledger.open_account(NOW, 'p', 'm')
        self.call('adjust', -4, day('06-01'), reason='penalty')
        self.call('earn', 10, day('01-01'), expiry='30 days')
        self.assertEqual((self.owed(), self.left()), ([(1, 4)], [(2, 10)]))


class Returns(Example):
    def test_grace(self):
        self.ledger.alter_program(NOW, 'p', return_grace='7 days')
        self.call('import', 10, day('01-01'), issued_at=day('01-01') - 30 * DAY, expiry='60 days', source='bank')
        self.call('earn', 10, day('01-01'), expiry='31 days')
        self.call('earn', 10, day('01-01'))
        self.call('redeem', 30, day('01-05'))
        self.call('reverse', 25, day('03-01'), seq=4)
        self.assertEqual(self.written(4), [('reverse', 25, 0, 0, {3: -10, 2: -10, 1: -5}),
                                           ('extend', 0, 0, 0, {1: 5}), ('extend', 0, 0, 0, {2: 10})])
        self.assertEqual(self.left(), [(6, 5), (7, 10), (3, 10)])
        first = self.entry(6)
        self.assertEqual((show(first.expires_at), first.available_at, first.issued_at, first.source),
                         ('2024-03-09 00:00:00+00:00', day('03-01'), day('01-01') - 30 * DAY, 'bank'))
        self.refused('22023', 'reverse', 1, seq=6)

    def test_expiry_reversed(self):
        self.call('earn', 10, day('01-01'), expiry='30 days')
        self.call('earn', 10, day('01-02'), expiry='29 days')
        self.expire()
        self.call('redeem', 3, day('01-15'))
        self.assertEqual(self.entries()[2:], [('expire', -20, None), ('reinstate', 3, 3), ('redeem', -3, None)])
        self.refused('JF006', 'reverse', 18, day('03-01'), seq=3)
        self.refused('22023', 'reverse', 1, day('01-20'), seq=3)
        self.refused('22023', 'reverse', 1, day('03-01'), seq=2, expiry='7 days')
        self.call('reverse', 12, day('03-01'), seq=3, expiry='7 days')
        self.assertEqual(self.written(5), [('reinstate', 12, 0, 0, {2: -10, 1: -2}),
                                           ('extend', 0, 0, 0, {1: 2}), ('extend', 0, 0, 0, {2: 10})])
        self.assertEqual(show(self.entry(7).expires_at), '2024-03-09 00:00:00+00:00')
        self.call('reverse', None, day('03-01'), seq=3)
        self.assertEqual(self.entry(10).expires_at, FOREVER)
        self.refused('JF006', 'reverse', None, day('03-01'), seq=3)
        self.refused('JF001', 'redeem', 1, day('01-15'))
        self.assertEqual(self.entry(6).event_at, self.entry(3).event_at)

    def test_a_reversed_expiry_leaves_no_lot_short(self):
        self.call('earn', 100, day('01-01'), expiry='30 days')
        self.call('redeem', 40, day('01-10'))
        self.expire()
        self.call('reverse', None, day('03-01'), seq=2)
        self.call('reverse', None, day('04-01'), seq=3)
        self.refused('JF001', 'redeem', 41, day('01-05'))
        self.call('redeem', 40, day('01-05'))
        self.assertEqual(self.entries()[3:], [('reverse', 40, 2), ('expire', -40, None), ('reinstate', 60, 3),
                                              ('extend', 0, None), ('reinstate', 40, 5), ('redeem', -40, None)])
        self.assertEqual(self.balance(day('02-15')), [20, 0, 0, 20])
        self.assertEqual(self.balance(day('04-01')), [60, 60, 0, 0])

    def test_reference_in_parts_ends_at_exactly_all(self):
        self.call('earn', 1000, day('01-01'))
        for n in (40, 50, 10):
            self.call('redeem', n, day('02-01'), reference='order 7')
        for returned, expected in ((1, [13, 16, 3]), (1, []), (2, [13, 17, 3]), (3, [14, 17, 4]), (3, [])):
            found = self.call('reverse_reference', event_at=day('03-01'), reference='order 7',
                              returned=returned, total=3)
            self.assertEqual([entry.amount for entry in found], expected)
        self.assertEqual(self.left(), [(1, 1000)])
        self.refused('22023', 'reverse_reference', event_at=day('03-01'), reference='order 8')
        self.refused('22023', 'reverse_reference', event_at=day('03-01'), reference='order 7', returned=4, total=3)

    def test_a_hundred_points_in_thirds(self):
        self.call('earn', 100, day('01-01'), reference='order 7')
        amounts = [entry.amount for returned in (1, 2, 3) for entry in
                   self.call('reverse_reference', event_at=day('03-01'), reference='order 7', returned=returned, total=3)]
        self.assertEqual((amounts, self.left()), ([-33, -33, -34], []))


class Transfers(Example):
    def setUp(self):
        super().setUp()
        self.ledger.open_account(NOW, 'p', 'n')
        self.call('earn', 10, day('01-01'), expiry='30 days', source='shop')
        self.call('earn', 10, day('01-02'))
        self.out = self.call('transfer', 15, day('01-10'), from_member='m', to_member='n')[0].seq

    def test_both_sides(self):
        self.assertEqual(self.written(2), [('transfer_out', -15, 0, 0, {1: 10, 2: 5})])
        self.assertEqual(self.written(0, 'n'), [('transfer_in', 10, 0, 0, {}), ('transfer_in', 5, 0, 0, {})])
        first, out = self.entry(1, 'n'), self.entry(3)
        self.assertEqual((show(first.expires_at), first.issued_at, first.source, first.counter, first.counter_seq),
                         ('2024-02-01 00:00:00+00:00', day('01-01'), 'shop', 'm', 3))
        self.assertEqual((out.counter, out.counter_seq), ('n', 1))
        self.refused('22023', 'transfer', 1, from_member='m', to_member='m')
        self.refused('JF003', 'transfer', 1, from_member='m', to_member='nobody')
        self.refused('JF001', 'transfer', 6, from_member='m', to_member='n')

    def test_reversed_by_the_giver_last_lot_first(self):
        self.refused('JF006', 'reverse', 16, day('03-01'), seq=3)
        self.call('reverse', 7, day('03-01'), seq=3)
        self.assertEqual(self.written(3), [('reverse', 7, 0, 0, {2: -5, 1: -2}), ('expire', -2, 0, 0, {1: 2})])
        self.assertEqual(self.written(2, 'n'), [('reverse', -5, 0, 0, {2: 5}), ('reverse', -2, 0, 0, {1: 2})])
        self.assertEqual([self.entry(seq, 'n').reverses_seq for seq in (3, 4)], [2, 1])

    def test_reversed_by_the_receiver_and_then_by_the_giver(self):
        self.call('reverse', 4, day('01-15'), member='n', seq=1)
        self.assertEqual(self.written(2, 'n'), [('reverse', -4, 0, 0, {1: 4})])
        self.assertEqual(self.written(3), [('reverse', 4, 0, 0, {1: -4})])
        self.call('reverse', None, day('01-15'), seq=3)
        self.assertEqual(self.written(4), [('reverse', 11, 0, 0, {2: -5, 1: -6})])
        self.assertEqual((self.left(), self.left('n')), ([(1, 10), (2, 10)], []))

    def test_a_receiver_who_spent_them(self):
        self.call('redeem', 12, day('01-15'), member='n')
        self.refused('JF001', 'reverse', None, day('01-16'), seq=3)
        self.ledger.alter_program(NOW, 'p', overdraft='debt')
        self.call('reverse', None, day('01-16'), seq=3)
        self.assertEqual(self.written(3, 'n'), [('reverse', -5, 0, 2, {2: 3}), ('reverse', -10, 0, 10, {})])
        self.assertEqual(self.left(), [(1, 10), (2, 10)])
        self.call('transfer', 20, day('01-17'), from_member='m', to_member='n')
        self.assertEqual(self.written(5, 'n'), [
            ('transfer_in', 10, 0, 0, {}), ('repay', 0, 0, -2, {6: 2}), ('repay', 0, 0, -8, {6: 8}),
            ('transfer_in', 10, 0, 0, {}), ('repay', 0, 0, -2, {9: 2})])

    def test_the_other_side_must_be_open(self):
        self.ledger.freeze_account(NOW, 'p', 'n')
        self.refused('JF004', 'reverse', 1, seq=3)
        self.refused('JF004', 'transfer', 1, from_member='m', to_member='n')


class Keys(Example):
    def test_replay_and_conflict(self):
        first = self.call('earn', 10, day('01-01'), idempotency_key='k')
        self.assertIs(self.call('earn', 10, day('01-01'), idempotency_key='k'), first)
        self.refused('JF005', 'earn', 11, day('01-01'), idempotency_key='k')
        self.refused('JF005', 'earn', 10, idempotency_key='k')
        self.refused('JF005', 'earn', 10, day('01-01'), idempotency_key='k', qualifying=10)
        self.refused('JF005', 'redeem', 10, day('01-01'), idempotency_key='k')
        self.refused('22023', 'earn', 10, idempotency_key='')
        self.refused('22023', 'earn', 10, idempotency_key='键' * 86)
        self.ledger.freeze_account(NOW, 'p', 'm')
        self.assertIs(self.call('earn', 10, day('01-01'), idempotency_key='k'), first)
        self.assertEqual(len(self.entries()), 1)

    def test_a_transfer_again(self):
        self.ledger.open_account(NOW, 'p', 'n')
        self.call('earn', 10, day('01-01'))
        asked = {'from_member': 'm', 'to_member': 'n', 'idempotency_key': 'k'}
        rows = self.call('transfer', 10, day('01-02'), **asked)
        self.assertEqual(self.call('transfer', 10, day('01-02'), **asked), rows)
        self.assertEqual([entry.kind for entry in rows], ['transfer_out', 'transfer_in'])
        self.call('redeem', 1, day('01-02'), member='n', idempotency_key='k')


class Batches(Example):
    def post(self, on_refusal, *postings):
        return [(row['ordinal'], row['seq'], row['balance'], row['sqlstate']) for row in self.ledger.call(
            'post', NOW, on_refusal=on_refusal,
            postings=[{'program': 'p', 'member': 'm', 'event_at': day('01-01'), **p} for p in postings])]

    def test_abort(self):
        earn, redeem = {'kind': 'earn', 'amount': 10}, {'kind': 'redeem', 'amount': 6}
        self.assertEqual(self.post('abort', earn, redeem), [(1, 1, 10, None), (2, 2, 4, None)])
        with self.assertRaises(Refused):
            self.post('abort', earn, redeem, redeem, redeem)
        self.assertEqual(len(self.entries()), 2)

    def test_skip_and_groups(self):
        self.ledger.open_account(NOW, 'p', 'm')
        found = self.post('skip', {'kind': 'redeem', 'amount': 10, 'group': 'a'}, {'kind': 'earn', 'amount': 7},
                          {'kind': 'redeem', 'amount': 8, 'group': 'b'}, {'kind': 'earn', 'amount': 3, 'group': 'a'},
                          {'kind': 'redeem', 'amount': 5}, {'kind': 'earn', 'amount': 2, 'group': 'b'},
                          {'kind': 'nothing', 'amount': 5}, {'kind': 'redeem', 'amount': 0})
        self.assertEqual(found, [(1, None, None, 'JF001'), (2, 1, 7, None), (3, None, None, 'JF001'),
                                 (4, None, None, 'JF001'), (5, 2, 2, None), (6, None, None, 'JF001'),
                                 (7, None, None, '22023'), (8, None, None, '22023')])
        found = self.post('skip', {'kind': 'earn', 'amount': 3, 'group': 'a'}, {'kind': 'redeem', 'amount': 5},
                          {'kind': 'redeem', 'amount': 4, 'group': 'a'})
        self.assertEqual(found, [(1, 3, 5, None), (2, None, None, 'JF001'), (3, 4, 1, None)])


class Knowledge(Example):
    def test_known_at(self):
        self.call('earn', 10, day('01-01'))
        self.call('earn', 5, day('01-02'), now=NOW + 1)
        self.call('redeem', 12, day('01-03'), now=NOW + 2)
        known = [self.ledger.balance('p', 'm', day('02-01'), NOW + n)['balance'] for n in (-1, 0, 1, 2)]
        self.assertEqual(known, [0, 10, 15, 3])
        self.assertEqual(len(self.ledger.statement('p', 'm', known_at=NOW + 1)), 2)

    def test_close_wants_no_hold_and_no_debt(self):
        self.ledger.alter_program(NOW, 'p', overdraft='debt')
        self.call('earn', 10, day('01-01'))
        self.call('hold', 10, day('01-01'), until=NOW + DAY)
        self.call('adjust', -10, day('01-02'), reason='penalty')
        self.assertEqual(self.ledger.account('p', 'm').balance(), 0)
        with self.assertRaises(Refused):
            self.ledger.call('close_account', NOW, program='p', member='m')
        self.ledger.call('close_account', NOW + DAY, program='p', member='m')
        self.assertEqual(self.written(3), [('release', 0, -10, 0, {1: -10}), ('repay', 0, 0, -10, {1: 10})])


if __name__ == '__main__':
    unittest.main()
