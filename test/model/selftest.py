#!/usr/bin/python3
"""selftest.py: the model against examples worked out by hand, without a database."""

import sys
import unittest

sys.dont_write_bytecode = True

from model import MAX_POINTS, Ledger, Refused
from when import DAY, FOREVER, MINUTE, expires_at, instant, shifted, show

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


class Rules(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger()
        self.ledger.create_program(NOW, 'p', auto_open=True)

    def call(self, verb, amount=None, event_at=None, **more):
        if amount is not None:
            more['amount'] = amount
        return self.ledger.call(verb, NOW, program='p', member='m', event_at=event_at, **more)

    def expire(self, as_of=NOW):
        return self.ledger.expire_batch(NOW, 'p', as_of)

    def refused(self, sqlstate, verb, *arguments, **more):
        entries = len(self.entries())
        with self.assertRaises(Refused) as caught:
            self.call(verb, *arguments, **more)
        self.assertEqual(caught.exception.sqlstate, sqlstate)
        self.assertEqual(len(self.entries()), entries)

    def entries(self):
        account = self.ledger.programs['p'].accounts.get('m')
        return [(e.kind, e.amount, e.reverses_seq) for e in account.entries] if account else []

    def left(self):
        return [(c.seq, c.remaining()) for c in self.ledger.account('p', 'm').lots()]

    def balance(self, as_of=NOW):
        row = self.ledger.balance('p', 'm', as_of)
        return [row[name] for name in ('balance', 'available', 'pending', 'lapsed')]

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


if __name__ == '__main__':
    unittest.main()
