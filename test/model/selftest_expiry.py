#!/usr/bin/python3
"""selftest_expiry.py: lots whose expiry moves, notices and policies, against examples worked out by hand."""

import sys
import unittest

sys.dont_write_bytecode = True

from model import Refused
from policy import expires_at, terms
from selftest import NOW, Example, day
from when import DAY, FOREVER, instant, show


def at(text):
    return instant(text + ' 12:00:00+00:00')


class Policies(unittest.TestCase):
    def lapses(self, policy, event_at, zone, expected, **more):
        self.assertEqual(show(expires_at(policy, instant(event_at), zone, **more)), expected)

    def test_terms(self):
        noon = '2024-01-31 12:00:00+00:00'
        self.lapses('2 weeks', noon, 'UTC', '2024-02-15 00:00:00+00:00')
        self.lapses('1 quarter', noon, 'UTC', '2024-05-01 00:00:00+00:00')
        self.lapses('end of year', noon, 'UTC', '2025-01-01 00:00:00+00:00')
        self.lapses('end of march', noon, 'UTC', '2024-04-01 00:00:00+00:00')
        self.lapses('end of january', noon, 'UTC', '2024-02-01 00:00:00+00:00')
        self.lapses('2 years end of january', '2024-02-01 12:00:00+00:00', 'UTC', '2027-02-01 00:00:00+00:00')
        self.lapses('on 2026-06-30', noon, 'Asia/Shanghai', '2026-06-30 16:00:00+00:00')
        self.lapses('12 months or end of quarter', noon, 'UTC', '2024-04-01 00:00:00+00:00')
        self.assertEqual(terms('12 months or 18 weeks inactive'), terms('126 days inactive or 1 year'))

    def test_membership_year(self):
        leap = {'joined_at': at('2020-02-29')}
        self.lapses('end of membership year', '2023-02-27 12:00:00+00:00', 'UTC', '2023-02-28 00:00:00+00:00', **leap)
        self.lapses('end of membership year', '2023-02-28 12:00:00+00:00', 'UTC', '2024-02-29 00:00:00+00:00', **leap)
        self.lapses('1 year end of membership year', '2023-02-28 12:00:00+00:00', 'UTC', '2024-02-29 00:00:00+00:00', **leap)
        # Joined on 1 March in Shanghai, where it is already that day.
        self.lapses('end of membership year', '2023-05-05 12:00:00+00:00', 'Asia/Shanghai', '2024-02-29 16:00:00+00:00',
                    joined_at=instant('2020-02-29 18:00:00+00:00'))

    def test_inactivity(self):
        self.lapses('6 months inactive end of month', '2024-01-31 12:00:00+00:00', 'UTC', '2024-08-01 00:00:00+00:00')
        active = {'activity_at': at('2024-05-05')}
        self.lapses('6 months inactive', '2024-01-31 12:00:00+00:00', 'UTC', '2024-11-06 00:00:00+00:00', **active)
        self.lapses('8 months or 6 months inactive', '2024-01-31 12:00:00+00:00', 'UTC', '2024-10-01 00:00:00+00:00', **active)


class Moving(Example):
    def setUp(self):
        super().setUp()
        self.ledger.alter_program(NOW, 'p', expiry='30 days inactive')

    def lapse(self, seq, member='m'):
        credit = self.ledger.account('p', member).credits[seq]
        return show(credit.due_at)[:10], show(credit.lapses_at)[:10]

    def test_activity_puts_it_off(self):
        self.call('earn', 100, day('01-01'))
        self.assertEqual(self.lapse(1), ('2024-02-01',) * 2)
        self.call('redeem', 10, day('01-20'))
        self.assertEqual(self.lapse(1), ('2024-02-20',) * 2)
        self.call('adjust', 5, day('02-10'), reason='goodwill', expiry='never')      # no activity by default
        self.assertEqual(self.lapse(1), ('2024-02-20',) * 2)
        self.refused('JF001', 'redeem', 96, day('02-19'))
        self.call('redeem', 5, day('02-20') - DAY // 2)                              # too late, at the very instant
        self.assertEqual(self.entries()[3:], [('expire', -90, None), ('redeem', -5, None)])
        self.assertEqual(self.balance(), [0, 0, 0, 0])

    def test_rules_are_frozen(self):
        self.call('earn', 100, day('01-01'))
        self.ledger.alter_program(NOW, 'p', activity=('redeem',), time_zone='Asia/Shanghai')
        self.call('earn', 10, day('01-10'))
        self.assertEqual(self.lapse(1), ('2024-02-10', '2024-02-10'))
        self.assertEqual(show(self.ledger.account('p', 'm').credits[2].due_at), '2024-02-09 16:00:00+00:00')
        self.assertEqual([self.entry(seq).rule_no for seq in (1, 2)], [2, 3])
        self.call('earn', 1, day('01-20'), expiry='never')
        self.assertEqual((self.lapse(1), self.lapse(2)), (('2024-02-20',) * 2, ('2024-02-09',) * 2))

    def test_a_back_dated_activity_revives(self):
        self.call('earn', 100, day('01-01'))
        self.expire(day('02-15'))
        self.assertEqual(self.balance(day('02-10')), [0, 0, 0, 0])
        self.call('redeem', 30, day('01-20'))
        self.assertEqual(self.entries()[1:], [('expire', -100, None), ('reinstate', 30, 2), ('redeem', -30, None),
                                              ('reinstate', 70, 2)])
        self.assertEqual(self.entry(5).event_at, self.entry(2).event_at)
        self.assertEqual(self.balance(day('02-10')), [70, 70, 0, 0])
        self.assertEqual(self.balance(day('02-20')), [70, 0, 0, 70])

    def test_what_had_come_back_lives_again_as_well(self):
        self.call('earn', 100, day('01-01'))
        self.call('redeem', 40, day('01-02'))
        self.expire(day('02-15'))
        self.call('reverse', 15, day('02-05'), seq=2)
        self.call('reverse', 25, day('03-15'), seq=2)
        self.assertEqual(self.entries()[2:], [('expire', -60, None), ('reverse', 15, 2), ('expire', -15, None),
                                              ('reverse', 25, 2), ('expire', -25, None)])
        self.call('earn', 1, day('01-31'), expiry='never')
        self.assertEqual(self.entries()[7:], [('earn', 1, None), ('reinstate', 60, 3), ('reinstate', 15, 5)])
        self.assertEqual(self.lapse(1), ('2024-03-02',) * 2)

    def test_it_lapses_between_two_activities(self):
        self.call('earn', 5, day('06-01'))
        self.call('earn', 100, day('01-01'))                 # lapsed on 1 February, though the member is active in June
        self.assertEqual(self.entries()[1:], [('earn', 100, None), ('expire', -100, None)])
        self.assertEqual(show(self.entry(3).event_at), '2024-02-01 00:00:00+00:00')
        self.call('earn', 1, day('01-31'))
        self.assertEqual(self.entries()[3:], [('earn', 1, None), ('reinstate', 100, 3), ('expire', -101, None)])
        self.assertEqual(show(self.entry(6).event_at), '2024-03-02 00:00:00+00:00')

    def test_the_first_of_two_terms(self):
        self.call('earn', 100, day('01-01'), expiry='2 months or 30 days inactive')
        self.assertEqual(self.lapse(1), ('2024-02-01',) * 2)
        self.call('earn', 1, day('01-31'))
        self.call('earn', 1, day('02-10'))
        self.assertEqual(self.lapse(1), ('2024-03-02',) * 2)
        self.assertEqual(self.lapse(2), ('2024-03-12',) * 2)

    def test_imported_with_an_older_issue(self):
        self.call('earn', 1, day('03-01'))
        self.call('import', 10, day('03-02'), issued_at=day('01-01'), expiry='3 months or 30 days inactive')
        self.assertEqual(self.lapse(2), ('2024-04-01',) * 2)       # 1 March and 30 days come before 1 January and 3 months
        self.call('earn', 1, day('03-10'))
        self.assertEqual(self.lapse(2), ('2024-04-02',) * 2)

    def test_a_transfer_keeps_policy_and_instant(self):
        self.ledger.open_account(NOW, 'p', 'n')
        self.call('earn', 100, day('01-01'))
        self.call('redeem', 1, day('01-20'))                 # 20 February
        self.call('transfer', 50, day('01-25'), from_member='m', to_member='n')
        self.assertEqual((self.lapse(1), self.lapse(1, 'n')), (('2024-02-25',) * 2, ('2024-02-20',) * 2))
        self.call('earn', 1, day('02-19'), member='n')
        self.assertEqual(self.lapse(1, 'n'), ('2024-03-21',) * 2)

    def test_order_as_it_stood(self):
        self.call('earn', 10, day('01-01'))
        self.call('earn', 10, day('01-02'), expiry='50 days')
        self.call('redeem', 15, day('01-03'))               # of 1, then of 2
        self.assertEqual(self.written(2), [('redeem', -15, 0, 0, {1: 10, 2: 5})])
        self.call('earn', 1, day('01-30'))                   # 1 now lapses after 2
        self.call('reverse', 7, day('02-01'), seq=3)
        self.assertEqual(self.written(4), [('reverse', 7, 0, 0, {2: -5, 1: -2})])
        self.call('redeem', 11, day('02-02'))
        self.assertEqual(self.written(5), [('redeem', -11, 0, 0, {2: 10, 1: 1})])

    def test_four_policies_in_one_account(self):
        self.ledger.alter_program(NOW, 'p', expiry='3 years end of year')
        self.call('earn', 100, at('2018-03-01'))
        self.ledger.alter_program(NOW, 'p', expiry='36 months inactive end of month')
        self.call('earn', 100, at('2019-02-10'))
        self.call('earn', 100, at('2019-02-11'), expiry='on 2019-06-30')
        self.call('earn', 100, at('2019-02-12'), expiry='never')
        self.assertEqual([self.lapse(seq)[1] for seq in (1, 2, 3)], ['2022-01-01', '2022-03-01', '2019-07-01'])
        self.call('redeem', 350, at('2019-05-20'))
        self.assertEqual(self.written(4), [('redeem', -350, 0, 0, {3: 100, 1: 100, 2: 100, 4: 50})])
        self.call('reverse', None, at('2019-05-21'), seq=5)
        self.call('earn', 1, at('2021-08-15'), expiry='never')
        self.expire(at('2022-01-02'))
        self.assertEqual([(e.amount, show(e.event_at)[:10]) for e in self.ledger.account('p', 'm').entries if e.kind == 'expire'],
                         [(-100, '2019-07-01'), (-100, '2022-01-01')])
        self.assertEqual(self.lapse(2), ('2024-09-01',) * 2)
        self.assertEqual(self.balance(at('2022-01-02')), [201, 201, 0, 0])


class Held(Example):
    def setUp(self):
        super().setUp()
        self.ledger.alter_program(NOW, 'p', expiry='30 days', notice_days=7)

    def notify(self, sent_at, until=None, now=NOW, window_days=30):
        return (self.ledger.record_notice(now, 'p', 'm', 'sms', window_days, until or sent_at + 30 * DAY, sent_at) or [None])[0]

    def reading(self, as_of):
        row = self.ledger.balance('p', 'm', as_of)
        coming = row['next_expires_at'] and show(row['next_expires_at'])[:10]
        return [row[name] for name in ('available', 'lapsed', 'held_back')] + [coming]

    def test_held_back_until_told(self):
        self.call('earn', 10, day('01-01'))                  # clock: 1 February
        self.assertEqual(self.reading(day('01-10')), [10, 0, 0, '2024-02-01'])
        self.assertEqual(self.reading(day('01-30')), [10, 0, 0, '2024-02-07'])
        self.assertEqual(self.reading(day('02-10')), [10, 0, 10, '2024-02-18'])
        self.expire(day('02-10'))
        self.call('redeem', 1, day('02-11'))
        self.notify(day('02-12'))
        self.assertEqual(self.reading(day('02-15')), [9, 0, 9, '2024-02-20'])
        self.assertEqual(self.reading(day('02-20')), [0, 9, 0, None])
        self.expire(day('02-20'))
        self.assertEqual([(e.kind, e.amount, show(e.event_at)[:10]) for e in self.ledger.account('p', 'm').entries[2:]],
                         [('expire', -9, '2024-02-20')])

    def test_told_in_time(self):
        self.call('earn', 10, day('01-01'))
        self.notify(day('01-10'))
        self.assertIsNone(self.notify(day('01-11')))
        self.assertEqual(self.notify(day('01-11'), None, day('01-11'), 7).lots,
                         {(1, instant('2024-02-01 00:00:00+00:00')): 10})
        self.refused('JF001', 'redeem', 1, day('02-01'))

    def test_a_notice_is_of_an_instant(self):
        self.ledger.alter_program(NOW, 'p', expiry='30 days inactive')
        self.call('earn', 10, day('01-01'))
        self.notify(day('01-10'))
        self.call('earn', 1, day('01-20'), expiry='never')   # clock: 20 February, and nobody was told
        self.call('redeem', 1, day('03-20'))                 # so that this winds it up again
        credit = self.ledger.account('p', 'm').credits[1]
        self.assertEqual((show(credit.due_at)[:10], credit.lapses_at), ('2024-04-20', FOREVER))

    def test_what_was_told_for_the_activity_before(self):
        self.ledger.alter_program(NOW, 'p', expiry='30 days inactive')
        self.call('earn', 10, day('01-01'))
        self.call('earn', 1, day('01-20'), expiry='never')
        self.notify(day('02-01'))                            # of 20 February
        self.call('earn', 1, day('03-20'), expiry='never')   # too late
        credit = self.ledger.account('p', 'm').credits[1]
        self.assertEqual((show(credit.due_at)[:10], show(credit.lapses_at)[:10]), ('2024-02-20',) * 2)
        self.assertEqual(self.entries()[2:], [('expire', -10, None), ('earn', 1, None)])

    def test_a_notice_recorded_late_of_points_given_back_since(self):
        self.call('earn', 10, day('01-01'))
        self.call('redeem', 4, day('02-20'))                 # held back since 1 February
        self.call('reverse', 3, day('03-10'), seq=2)
        self.notify(day('01-10'))                            # its days count from 10 March
        self.assertEqual(self.reading(day('03-05')), [6, 0, 6, '2024-03-13'])
        self.assertEqual(self.reading(day('03-17')), [9, 0, 9, '2024-03-18'])
        self.expire()
        self.assertEqual([(e.kind, e.amount, show(e.event_at)[:10]) for e in self.ledger.account('p', 'm').entries[3:]],
                         [('expire', -9, '2024-03-18')])


class Remedies(Example):
    def extend(self, event_at, **more):
        return self.ledger.call('extend_expiry', NOW, program='p', reason='why', event_at=event_at, **more)

    def undo(self, number, now=NOW):
        return self.ledger.call('undo_extension', now, program='p', extension_id=number, reason='a mistake')

    def test_extended(self):
        self.call('earn', 10, day('01-01'), expiry='30 days', source='shop')
        self.call('earn', 10, day('01-02'), expiry='on 2024-06-30', available_at=day('03-01'))
        self.call('earn', 10, day('01-03'), expiry='never')
        made = self.extend(day('01-20'), until=instant('2024-05-01 00:00:00+00:00'))
        self.assertEqual((made.accounts, made.lots, made.points), (1, 1, 10))
        self.assertEqual(self.written(3), [('extend', 0, 0, 0, {1: 10})])
        entry = self.entry(4)
        self.assertEqual([show(t)[:10] for t in (entry.until, entry.expires_at, entry.available_at, entry.issued_at)],
                         ['2024-02-01', '2024-05-01', '2024-01-20', '2024-01-01'])
        self.assertEqual((entry.source, entry.reference), ('shop', 'extension 1'))
        self.extend(day('01-21'), by_interval='1 month')
        self.assertEqual([show(self.entry(seq).expires_at)[:10] for seq in (5, 6)], ['2024-06-01', '2024-08-01'])
        self.assertEqual(self.entry(6).available_at, day('03-01'))

    def test_a_key(self):
        self.call('earn', 10, day('01-01'), expiry='30 days')
        first = self.extend(day('01-20'), by_interval='1 month', idempotency_key='k')
        self.assertIs(self.extend(day('01-20'), by_interval='1 month', idempotency_key='k'), first)
        with self.assertRaises(Refused):
            self.extend(day('01-20'), by_interval='2 months', idempotency_key='k')

    def test_what_a_job_has_booked_since(self):
        self.call('earn', 10, day('01-01'), expiry='30 days')
        self.expire()
        self.extend(day('01-20'), until=day('12-01'))
        self.assertEqual(self.written(1), [('expire', -10, 0, 0, {1: 10}), ('reinstate', 10, 0, 0, {1: -10}),
                                           ('extend', 0, 0, 0, {1: 10})])
        self.assertEqual(self.balance(day('06-01')), [10, 10, 0, 0])

    def test_undone(self):
        self.call('earn', 10, day('12-20'), expiry='30 days')
        self.extend(day('12-21'), by_interval='1 year')
        self.call('redeem', 3, day('12-22'))
        self.undo(1)
        self.assertEqual(self.written(3), [('extend', 0, 0, 0, {2: 7})])
        self.assertEqual((self.entry(4).expires_at, self.entry(4).reverses_seq), (self.entry(1).expires_at, 2))

    def test_undone_when_it_would_have_lapsed_whatever_came_later(self):
        self.call('earn', 10, day('09-22'), expiry='30 days inactive')
        self.extend(day('10-02'), until=NOW + 50 * DAY)
        self.call('earn', 1, day('12-26'), expiry='never')
        self.undo(1)
        self.assertEqual(self.written(3), [('extend', 0, 0, 0, {2: 10}), ('expire', -10, 0, 0, {4: 10})])

    def test_reinstated(self):
        self.call('earn', 100, day('01-10'), expiry='1 month end of month')
        self.call('earn', 30, day('02-10'), expiry='1 month end of month')
        asked = {'program': 'p', 'member': 'm', 'reason': 'ill', 'expiry': '2 months'}
        self.ledger.call('reinstate', NOW, amount=50, **asked)
        self.assertEqual(self.written(2), [
            ('expire', -100, 0, 0, {1: 100}), ('expire', -30, 0, 0, {2: 30}), ('reinstate', 30, 0, 0, {2: -30}),
            ('extend', 0, 0, 0, {2: 30}), ('reinstate', 20, 0, 0, {1: -20}), ('extend', 0, 0, 0, {1: 20})])
        with self.assertRaises(Refused):
            self.ledger.call('reinstate', NOW, amount=81, **asked)
        self.assertEqual(len(self.ledger.call('reinstate', NOW, lapsed_since=day('03-15'), **asked)), 0)
        self.assertEqual([e.amount for e in self.ledger.call('reinstate', NOW, **asked)], [80])


class Rules(Example):
    def test_checked(self):
        for settings in ({'activity': ()}, {'activity': ('expire',)}, {'activity': ('earn', 'earn')}, {'notice_days': 0}):
            with self.assertRaises(Refused):
                self.ledger.call('create_program', NOW, code='q', **settings)
        with self.assertRaises(Refused):
            self.ledger.open_account(NOW, 'p', 'm', NOW + 1)


if __name__ == '__main__':
    unittest.main()
