"""reversals.py: what undoes an entry, wholly or in part."""

from booking import Booking, share
from journal import Refused

REVERSIBLE = ('earn', 'import', 'adjust', 'redeem', 'capture', 'transfer_out', 'transfer_in', 'expire')
REFERENCED = ('earn', 'import', 'redeem', 'capture', 'adjust')


def reversible(entry, kinds=REVERSIBLE):
    return entry.kind in kinds and entry.debt_seq is None


class Reversals(Booking):
    def reverse(self, now, program, member, seq, amount=None, reason=None, idempotency_key=None, event_at=None,
                details=None, expiry=None):
        self._check(now, [program, member, seq], [amount], [program, member], [event_at], key=idempotency_key)
        scheme, account = self._program(program), self.account(program, member)
        first = self._first(account, idempotency_key)
        if first:
            return first
        target = account.entry(seq)
        self._must_be(account, 'open')
        if target is None:
            raise Refused('22023')
        other = scheme.accounts[target.counter] if target.counter else None
        at = self._begin(now, event_at, scheme, account, *([other] if other else []))
        if not reversible(target) or at < target.event_at \
                or expiry is not None and target.kind != 'expire' \
                or any(at < e.event_at for e in account.concerning(target, 'repay')):
            raise Refused('22023')
        left = account.left_of(target)
        amount = left if amount is None else amount
        if amount > left or left == 0:
            raise Refused('JF006')
        said = {'reason': reason, 'details': details}
        given = {**said, 'idempotency_key': idempotency_key}
        if target.kind == 'expire':
            return self._revive(scheme, account, target, amount, at, now, expiry, **given)
        if target.kind == 'transfer_out':
            return self._reverse_out(scheme, account, other, target, amount, at, now, said, given)
        if target.kind == 'transfer_in':
            return self._reverse_in(scheme, account, other, target, amount, at, now, said, given)
        if target.amount > 0:
            return self._take_back(scheme, account, target, amount, at, now, **given)
        return self._give_back(scheme, account, target, account.taken_by(target), amount, at, now, **given)

    def _give_back(self, scheme, account, target, taken, amount, at, now, **fields):
        """Undoes a debit: its debt first, then what it took of these lots."""
        undone = min(amount, dict(account.debts()).get(target, 0))
        uses = self._back(taken, amount - undone)
        reversal = self._post(account, 'reverse', at, now, uses, debt=-undone, reverses_seq=target.seq, **fields)
        if scheme.return_grace is None or scheme.lapses(scheme.return_grace, at, account) <= at:
            lots = self._expire_returned(account, uses, at, now)
        else:
            lots = [(credit, -n) for credit, n in uses if credit.lapses_at > at]
            lots += self._move(scheme, account, [use for use in uses if use[0].lapses_at <= at], scheme.return_grace, at, now)
        self._repay(account, at, lots, now)
        return reversal

    def _take_back(self, scheme, account, target, amount, at, now, **fields):
        """Undoes a credit: from its own lot first, whatever its state, then from others, then as a debt."""
        own = account.credits[target.seq]
        others = [(credit, limit) for credit, limit in account.spendable(at) if credit is not own]
        uses, short = self._take([(own, own.limit(at))] + others, amount)
        before, qualifying, revenue = account.reversed_of(target), None, None
        if target.qualifying is not None:
            qualifying = target.qualifying * before // target.points \
                - target.qualifying * (before + amount) // target.points
        if target.revenue is not None and target.kind in ('earn', 'import'):
            revenue = share(target.revenue, before, target.points) - share(target.revenue, before + amount, target.points)
        reversal = self._debit(account, 'reverse', at, now, uses, debt=self._owe(scheme, account, short),
                               reverses_seq=target.seq, qualifying=qualifying, revenue=revenue, **fields)
        self._forgive(scheme, account, reversal, now)
        return reversal

    def _revive(self, scheme, account, target, amount, at, now, expiry, **fields):
        """Undoes an expiry: the points live on in new lots."""
        policy = next(p for p in (expiry, scheme.return_grace, scheme.expiry) if p is not None)
        uses = self._back(account.taken_by(target), amount)
        reinstatement = self._post(account, 'reinstate', target.event_at, now, uses, reverses_seq=target.seq,
                                   expiry=expiry, **fields)
        self._repay(account, at, self._move(scheme, account, uses, policy, at, now), now)
        return reinstatement

    def _move(self, scheme, account, uses, policy, at, now):
        """What came back moves to new lots that lapse by that policy from then on: [(credit, points)]."""
        lots = []
        for credit, n in sorted(uses, key=lambda use: (use[0].lapses_at, use[0].seq)):
            terms = self._terms(scheme, account, 'extend', policy, at, at, credit.issued_at)
            if terms.expires_at <= at:
                raise Refused('22023')      # a fixed day that has passed
            lots.append(self._extend(account, credit, -n, terms, at, now))
        return lots

    @staticmethod
    def _parts(giver, receiver, out):
        """The lots that a transfer_out took, each with the transfer_in of its part."""
        ins = [e for e in receiver.entries if e.kind == 'transfer_in'
               and (e.counter, e.counter_seq) == (giver.member, out.seq)]
        taken = sorted((credit for credit, _ in out.uses), key=lambda credit: credit.place)
        return list(zip(taken, ins, strict=True))

    def _reverse_out(self, scheme, giver, receiver, out, amount, at, now, said, given):
        taken = giver.taken_by(out)
        parts = dict(self._parts(giver, receiver, out))
        reversal = self._give_back(scheme, giver, out, taken, amount, at, now, **given)
        for credit, n in self._back(taken, amount):
            self._take_back(scheme, receiver, parts[credit], -n, at, now, **said)
        return reversal

    def _reverse_in(self, scheme, receiver, giver, part, amount, at, now, said, given):
        out = giver.entry(part.counter_seq)
        reversal = self._take_back(scheme, receiver, part, amount, at, now, **given)
        taken = [(credit, n) for credit, n in giver.taken_by(out)
                 if dict(self._parts(giver, receiver, out))[credit] is part]
        self._give_back(scheme, giver, out, taken, amount, at, now, **said)
        return reversal

    def reverse_reference(self, now, program, member, reference, returned=1, total=1, reason=None, event_at=None,
                          details=None):
        """returned and total: numbers that divide exactly, such as fractions. Returns the reverse entries."""
        self._check(now, [program, member, reference, returned, total], [total], [program, member, reference],
                    [event_at])
        if not 0 <= returned <= total:
            raise Refused('22023')
        account = self.account(program, member)
        self._must_be(account, 'open')
        targets = [e for e in account.entries if reversible(e, REFERENCED) and e.reference == reference]
        if not targets:
            raise Refused('22023')
        reversals = []
        for target in targets:
            undone = abs(target.amount) - account.left_of(target)       # or forgiven
            amount = abs(target.amount) * returned // total - undone
            if amount > 0:
                reversals.append(self.reverse(now, program, member, target.seq, amount, reason, None, event_at,
                                              details))
        return reversals
