"""verbs.py: programs, accounts, and the verbs that post to one account or between two; the jobs; batches."""

from account import ACTIVITIES, Account, Program, Rule
from booking import Booking
from journal import Refused, Terms
from when import FOREVER

POSTED = ('earn', 'redeem', 'hold', 'capture', 'release', 'reverse', 'adjust', 'transfer', 'import')


class Verbs(Booking):
    """Named and called as the SQL functions are, plus now."""

    # Programs, tiers and accounts.

    def _check_rules(self, scheme):
        limit, days, activity = scheme.overdraft_limit, scheme.notice_days, scheme.activity
        if scheme.overdraft not in ('refuse', 'debt', 'forgive') \
                or limit is not None and (limit <= 0 or scheme.overdraft != 'debt') \
                or days is not None and not 1 <= days <= 3650 or scheme.late_postings not in ('refuse', 'book') \
                or not activity or len(set(activity)) < len(activity) or not set(activity) <= set(ACTIVITIES):
            raise Refused('22023')
        old, new = scheme.rule, (scheme.time_zone, scheme.expiry, tuple(activity), days)
        if old is None or (old.time_zone, old.expiry, old.activity, old.notice_days) != new:
            self._set(scheme, 'rule', Rule(old.rule_no + 1 if old else 1, *new))
        return scheme

    def create_program(self, now, code, **settings):
        self._check(now, nulls=[code], identifiers=[code])
        self.put(self.programs, code, self._check_rules(Program(code, **settings)))
        return self.programs[code]

    def alter_program(self, now, program, unset=(), **settings):
        found = self._program(program)
        time_zone = found.time_zone
        for name in unset:
            self._set(found, name, None)
        if settings.get('overdraft', found.overdraft) != 'debt' and 'overdraft_limit' not in settings:
            self._set(found, 'overdraft_limit', None)
        for name, value in settings.items():
            if value is not None:
                self._set(found, name, value)
        self._check_rules(found)
        if found.closed_until is not None and found.time_zone != time_zone:
            raise Refused('55000')
        return found

    def create_tier(self, now, program, code, threshold, name=None):
        self.put(self._program(program).tiers, code, (threshold, name))

    def open_account(self, now, program, member, opened_at=None):
        self._check(now, nulls=[program, member], identifiers=[program, member], times=[opened_at])
        if opened_at is not None and opened_at > now:
            raise Refused('22023')
        account = self._found_or_opened(self._program(program), member, now if opened_at is None else opened_at)
        self._must_be(account, 'open')
        return account

    def _found_or_opened(self, scheme, member, opened_at):
        if member not in scheme.accounts:
            self.put(scheme.accounts, member, Account(member, opened_at))
        return scheme.accounts[member]

    def _change_status(self, now, program, member, needed, status):
        self._check(now, nulls=[program, member], identifiers=[program, member])
        account = self.account(program, member)
        self._must_be(account, *needed)
        self._append(account.statuses, status)
        return account

    def freeze_account(self, now, program, member, reason=None):
        return self._change_status(now, program, member, ['open'], 'frozen')

    def unfreeze_account(self, now, program, member, reason=None):
        return self._change_status(now, program, member, ['frozen'], 'open')

    def close_account(self, now, program, member, reason=None):
        account = self._change_status(now, program, member, ['open', 'frozen'], 'closed')
        self._release_due(account, now, now)
        self._book_lapsed(account, now, now)
        if (account.balance(), account.held(), account.debt()) != (0, 0, 0):
            raise Refused('55000')
        return account

    # Credits.

    def _gain(self, now, kind, program, member, amount, reference, idempotency_key, source, event_at, expiry,
              available_at, qualifying, funder=None, revenue=None, ends=None, issued_at=None, **fields):
        """What earn, import and adjust do to give points."""
        self._check(now, [program, member, amount], [amount], [program, member, reference, source, funder],
                    [event_at], [available_at, issued_at], idempotency_key)
        if qualifying is not None and qualifying < 0 or revenue is not None and revenue < 0 or ends == -FOREVER or None not in (ends, expiry):
            raise Refused('22023')
        scheme = self._program(program)
        account = self._found_or_opened(scheme, member, now) if scheme.auto_open and kind != 'adjust' \
            else self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        at = self._begin(now, event_at, self.programs[program], account)
        issued = at if issued_at is None else issued_at
        available = at if available_at is None else available_at
        if ends is None:
            given = self._terms(scheme, account, kind, scheme.expiry if expiry is None else expiry, issued, at)
        else:
            given = self._fixed(scheme, ends, issued)
        if issued > at or not at <= available < given.expires_at:
            raise Refused('22023')
        entry = self._credit(account, kind, at, now, amount, given, available, reference=reference, source=source,
                             idempotency_key=idempotency_key, expiry=expiry, issued_at=issued_at, funder=funder,
                             revenue=revenue, qualifying=qualifying, **fields)
        self._repay(account, at, [(account.credits[entry.seq], amount)], now)
        return entry

    def earn(self, now, program, member, amount, reference=None, idempotency_key=None, source=None, event_at=None,
             expiry=None, available_at=None, qualifying=None, revenue=None, details=None, funder=None):
        return self._gain(now, 'earn', program, member, amount, reference, idempotency_key, source, event_at, expiry,
                          available_at, amount if qualifying is None else qualifying, funder, revenue,
                          details=details)

    def import_(self, now, program, member, amount, expires_at=None, reference=None, idempotency_key=None,
                source=None, event_at=None, issued_at=None, expiry=None, available_at=None, qualifying=None,
                revenue=None, details=None, funder=None):
        return self._gain(now, 'import', program, member, amount, reference, idempotency_key, source, event_at, expiry,
                          available_at, qualifying, funder, revenue, expires_at, issued_at, details=details)

    def adjust(self, now, program, member, amount, reason, reference=None, idempotency_key=None, source=None,
               event_at=None, expiry=None, available_at=None, qualifying=None, details=None, funder=None):
        self._check(now, [program, member, amount, reason], [], [program, member, reference, source, funder],
                    [event_at], [available_at], idempotency_key)
        if amount == 0 or reason == '':
            raise Refused('22023')
        if amount > 0:
            return self._gain(now, 'adjust', program, member, amount, reference, idempotency_key, source, event_at,
                              expiry, available_at, qualifying, funder, reason=reason, details=details)
        if (expiry, available_at, qualifying, funder) != (None,) * 4:
            raise Refused('22023')
        scheme, account = self._program(program), self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        at = self._begin(now, event_at, self.programs[program], account)
        uses, short = self._take(account.spendable(at), -amount)
        entry = self._debit(account, 'adjust', at, now, uses, debt=self._owe(scheme, account, short), reason=reason,
                            reference=reference, source=source, idempotency_key=idempotency_key, details=details)
        self._forgive(scheme, account, entry, now)
        return entry

    # Debits and holds.

    def redeem(self, now, program, member, amount, reference=None, idempotency_key=None, event_at=None, details=None,
               source=None, partner=None):
        self._check(now, [program, member, amount], [amount], [program, member, reference, source, partner], [event_at],
                    key=idempotency_key)
        account = self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        at = self._begin(now, event_at, self.programs[program], account)
        return self._debit(account, 'redeem', at, now, self._take_all(account, at, amount), reference=reference,
                           source=source, partner=partner, idempotency_key=idempotency_key, details=details)

    def hold(self, now, program, member, amount, until, reference=None, idempotency_key=None, event_at=None,
             details=None):
        self._check(now, [program, member, amount, until], [amount], [program, member, reference], [event_at],
                    [until], idempotency_key)
        account = self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        at = self._begin(now, event_at, self.programs[program], account)
        if until <= max(at, now):
            raise Refused('22023')
        return self._debit(account, 'hold', at, now, self._take_all(account, at, amount), held=amount, until=until,
                           reference=reference, idempotency_key=idempotency_key, details=details)

    def _open_hold(self, account, hold_seq, at):
        """The hold of that seq, open still, and its points."""
        for hold, points in account.holds():
            if hold.seq == hold_seq:
                if at < hold.event_at:
                    raise Refused('22023')
                return hold, points
        raise Refused('JF007')

    def capture(self, now, program, member, hold_seq, amount=None, reference=None, idempotency_key=None,
                event_at=None, details=None, source=None, partner=None):
        self._check(now, [program, member, hold_seq], [amount], [program, member, reference, source, partner], [event_at],
                    key=idempotency_key)
        account = self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        at = self._begin(now, event_at, self.programs[program], account)
        hold, points = self._open_hold(account, hold_seq, at)
        amount = points if amount is None else amount
        if amount > points:
            raise Refused('JF001')
        entry = self._post(account, 'capture', at, now, held=-amount, hold_seq=hold_seq, reference=reference,
                           source=source, partner=partner, idempotency_key=idempotency_key, details=details)
        if amount < points:
            self._release(account, hold, points - amount, at, now)
        return entry

    def release(self, now, program, member, hold_seq, reason=None, idempotency_key=None, event_at=None, details=None):
        self._check(now, [program, member, hold_seq], [], [program, member], [event_at], key=idempotency_key)
        account = self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        at = self._begin(now, event_at, self.programs[program], account)
        hold, points = self._open_hold(account, hold_seq, at)
        return self._release(account, hold, points, at, now, reason=reason, idempotency_key=idempotency_key,
                             details=details)

    # Between accounts.

    def transfer(self, now, program, from_member, to_member, amount, reference=None, idempotency_key=None,
                 reason=None, event_at=None, details=None):
        """Returns the transfer_out and its transfer_ins."""
        self._check(now, [program, from_member, to_member, amount], [amount],
                    [program, from_member, to_member, reference], [event_at], key=idempotency_key)
        if from_member == to_member:
            raise Refused('22023')
        giver, receiver = self.account(program, from_member), self.account(program, to_member)
        out = self._first(giver, idempotency_key)
        if out:
            return [out] + [e for e in receiver.entries if e.kind == 'transfer_in'
                            and (e.counter, e.counter_seq) == (from_member, out.seq)]
        at = self._begin(now, event_at, self.programs[program], giver, receiver)
        fields = {'reference': reference, 'reason': reason, 'details': details}
        out = self._debit(giver, 'transfer_out', at, now, self._take_all(giver, at, amount), counter=to_member,
                          idempotency_key=idempotency_key, **fields)
        ins = []
        for credit, points in sorted(out.uses, key=lambda use: use[0].place):
            given = Terms(out.places[credit][0], credit.rule, credit.policy, credit.counts_from)
            ins.append(self._credit(receiver, 'transfer_in', at, now, points, given, at,
                                    counter=from_member, counter_seq=out.seq, **self._origin(credit, points), **fields))
            self._repay(receiver, at, [(receiver.credits[ins[-1].seq], points)], now)
        self._set(out, 'counter_seq', ins[0].seq)
        return [out] + ins

    # Jobs.

    def lapsed(self, program, as_of):
        """Accounts with lapsed lots not booked: (program code, account)."""
        return self._due(program, lambda account: any(c.lapses_at <= as_of for c in account.lots()))

    def overdue(self, program, as_of):
        """Accounts with holds whose time has come."""
        return self._due(program, lambda account: any(hold.until <= as_of for hold, _ in account.holds()))

    def _due(self, program, wanted):
        codes = self.programs if program is None else [program]
        return [(code, account) for code in codes for account in self.programs[code].accounts.values()
                if wanted(account)]

    def _check_job(self, now, program, as_of, max_accounts):
        self._check(now, [as_of, max_accounts], [max_accounts], events=[as_of])
        if program is not None:
            self._check(now, [], identifiers=[program])
            self._program(program)

    def expire_batch(self, now, program=None, as_of=None, max_accounts=1000, chosen=None):
        """chosen: (program code, member) of the accounts that the batch took, where known."""
        self._check_job(now, program, as_of, max_accounts)
        due = self.lapsed(program, as_of)
        lots = points = 0
        for _, account in self._batch(due, max_accounts, chosen):
            before = account.balance()
            lots += self._book_lapsed(account, as_of, now)
            points += before - account.balance()
        return {'accounts': min(len(due), max_accounts), 'lots': lots, 'points': points,
                'more': len(due) > max_accounts}

    def release_batch(self, now, program=None, as_of=None, max_accounts=1000, chosen=None):
        self._check_job(now, program, as_of, max_accounts)
        if as_of > now:
            raise Refused('22023')
        due = self.overdue(program, as_of)
        released = [self._release_due(account, as_of, now)
                    for _, account in self._batch(due, max_accounts, chosen)]
        return {'accounts': min(len(due), max_accounts), 'holds': sum(n for n, _ in released),
                'points': sum(points for _, points in released), 'more': len(due) > max_accounts}

    @staticmethod
    def _batch(due, max_accounts, chosen):
        return [(code, account) for code, account in due
                if chosen is None or (code, account.member) in chosen][:max_accounts]

    # Batches.

    def post(self, now, postings, on_refusal='abort', due=None):
        """Each posting is a dict: kind, group and the arguments of its verb, the member's as member, a hold's as seq.

        due: (program, member, seq) of each release or expire that a refused posting may have booked → its kind and time.
        """
        if on_refusal not in ('abort', 'skip'):
            raise Refused('22004' if on_refusal is None else '22023')
        units = {}                  # ordinals decided together, in the order of their first
        for n, posting in enumerate(postings):
            group = posting.get('group') if on_refusal == 'skip' else None
            units.setdefault(n if group is None else group, []).append(n)
        rows = {}
        for unit in units.values():
            self._book_due(due or {}, now)
            mark = self.mark()
            try:
                for n in unit:
                    entry = self._post_one(now, postings[n])
                    rows[n] = {'ordinal': n + 1, 'seq': entry.seq, 'balance': entry.balance, 'sqlstate': None}
            except Refused as refusal:
                if on_refusal == 'abort':
                    raise
                self.rollback(mark)
                for n in unit:
                    rows[n] = {'ordinal': n + 1, 'seq': None, 'balance': None, 'sqlstate': refusal.sqlstate}
        self._book_due(due or {}, now)
        return [rows[n] for n in sorted(rows)]

    def _book_due(self, due, now):
        """Books what is due and whose turn has come in its account."""
        for (program, member, seq), (kind, when) in sorted(due.items()):
            account = self.account(program, member)
            if seq == len(account.entries) + 1:
                if kind == 'release':
                    self._release_due(account, when, now)
                else:
                    self._book(account, {credit: when for credit in account.lots() if credit.rule}, now)

    def _post_one(self, now, posting):
        arguments = {name: value for name, value in posting.items() if name not in ('kind', 'group')}
        if posting['kind'] not in POSTED:
            raise Refused('22004' if posting['kind'] is None else '22023')
        if posting['kind'] == 'transfer':
            arguments['from_member'] = arguments.pop('member')
            return self.call('transfer', now, **arguments)[0]
        if posting['kind'] in ('capture', 'release'):
            arguments['hold_seq'] = arguments.pop('seq')
        return self.call(posting['kind'], now, **arguments)
