"""stored.py: what is stored of an account against what the model knows of it."""

from account import ACTIVITIES
from lapse import noticed_at, waits
from rows import ENTRY, plain
from when import instant, show


def check_account(world, program, account, found, after=0):
    member = account.member
    world.agree_rows('entries written', ENTRY + ('counter',), account.entries[after:], found['entries'],
                    program, member)
    world.agree('allocations', sorted((e.seq, c.seq, n) for e in account.entries[after:] for c, n in e.uses),
               sorted(tuple(map(int, use)) for use in found['uses']), program, member)
    names = ('seq', 'expires_at', 'available_at', 'remaining', 'rule_no', 'counts_from', 'expiry')
    lots = sorted(account.lots(), key=lambda c: (c.expires_at, c.seq))
    world.agree_rows('open lots', names, [
        dict(zip(names, (c.seq, c.expires_at, c.available_at, c.remaining(), c.rule and c.rule.rule_no,
                         c.rule and c.counts_from, c.policy))) for c in lots], found['lots'], program, member)
    names = ('seq', 'available_at', 'remaining', 'expires_at', 'lapses_at', 'notice_days', 'noticed_at')
    world.agree_rows('when open lots lapse', names, [
        dict(zip(names, (c.seq, c.available_at, c.remaining(), c.due_at, c.lapses_at, c.rule and c.rule.notice_days,
                         noticed_at(c, c.due_at) if waits(c) else None)))
        for c in sorted(world.ledger.settled(program, member, world.now).lots(), key=lambda c: c.seq)], found['open'], program,
        member)
    check_due(world, program, account, found['account']['due_at'])
    check_notices(world, program, account, found)
    world.agree('open holds', [(hold.seq, hold.until, points) for hold, points in account.holds()],
               [plain(hold, ('seq', 'until', 'amount')) for hold in found['holds']], program, member)
    world.agree('open debts', [(entry.seq, owed) for entry, owed in account.debts()],
               [plain(debt, ('seq', 'remaining')) for debt in found['debts']], program, member)
    row = {'member': member, 'status': account.status, 'balance': account.balance(), 'held': account.held(),
           'debt': account.debt(), 'last_seq': len(account.entries),
           'last_activity_at': account.last_activity(world.ledger.programs[program].activity),
           'last_event_at': account.latest() if account.entries else None,
           **{f'last_{kind}_at': account.last_activity([kind]) for kind in (*ACTIVITIES, 'expire')}}
    world.agree_rows('account rows', tuple(row), [row], [found['account']], program, member)
    world.agree('status changes', account.statuses, found['statuses'], program, member)


def check_due(world, program, account, found):
    """No lot that moves lapses before due_at."""
    moving = [credit.lapses_at for credit in account.lots() if credit.rule]
    found = instant(found)
    world.agree('due_at is a lower bound', True, not moving or found is not None and found <= min(moving), program,
               account.member, f'{show(found)} {[show(t) for t in moving]}')
    world.agree('due_at is null where no lot ever moved', found is None,
               not any(credit.rule for credit in account.credits.values()), program, account.member)


def check_notices(world, program, account, found):
    names = ('notice_no', 'window_days', 'sent_at', 'counts_from', 'channel', 'points', 'first_expires_at',
             'last_expires_at')
    world.agree_rows('notices', names, account.notices, found['notices'], program, account.member)
    names = ('notice_no', 'window_days', 'lot_seq', 'expires_at', 'points')
    world.agree_rows('notices', names, [
        dict(zip(names, (n.notice_no, n.window_days, seq, when, points)))
        for n in account.notices for (seq, when), points in sorted(n.lots.items())], found['noticed'],
        program, account.member)
