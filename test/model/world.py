"""world.py: one history in both ledgers: every script is played in the model and in PostgreSQL and compared."""

import time
from collections import Counter

import parallel
from model import Ledger, Refused
from operation import NOWHERE, Deadline
from rows import ENTRY, EXTENSIONS, JOBS, ONE_ENTRY, PERIODS, SOME_ENTRIES, Disagreement, plain, readable
from stored import check_account
from when import SECOND, instant

LATE = '-late'      # the twin of a program, where no job runs before the end

CLOSE = SECOND // 3         # to a deadline: no script starts
SPREAD = 20_000             # microseconds after a deadline by which all holds of its wave are due


class World:
    """The model, the database (None: the model plays alone) and what they agreed on so far."""

    def __init__(self, database, now):
        self.database = database
        self.ledger = Ledger()
        self.labels = {}            # (program, member, label) → seq
        self.names = {}             # (program, member, seq) → label
        self.deadlines = {}         # number → instant
        self.parted = set()         # programs whose twins fell on either side of a deadline
        self.agreed = Counter()
        self.outcomes = Counter()   # of calls, by SQLSTATE
        self.faults = Counter()     # calls cut short, by what became of them
        self.now = self.started = database.now() if database else now

    def agree(self, agreement, expected, found, program, member=None, about=''):
        self.agreed[agreement] += 1
        if expected != found:
            raise Disagreement(agreement, program, member, expected, found, about)

    def agree_rows(self, agreement, names, expected, found, program, member=None, about=''):
        """Rows of the model against rows of the database, column by column."""
        expected = [plain(row, names) for row in expected]
        found = [plain(row, names) for row in found]
        self.agreed[agreement] += 1
        for n in range(max(len(expected), len(found))):
            pair = [rows[n] if n < len(rows) else None for rows in (expected, found)]
            if pair[0] != pair[1]:
                raise Disagreement(agreement, program, member,
                                   *(row and readable(names, row) for row in pair), about)

    # Time, which is the database's; without one it goes on by itself.

    def _look(self):
        """The clock outside a transaction, as far as it matters."""
        self.now = self.database.clock() if self.database else self.now + 5_000

    def _pass(self, deadline):
        """Waits until all holds of that deadline are due."""
        if self.database:
            time.sleep(max(0, deadline + SPREAD - self.now) / SECOND)
        else:
            self.now = max(self.now, deadline + SPREAD)
        self._look()

    def _instant(self, value):
        if not isinstance(value, Deadline):
            return value
        return self.deadlines.setdefault(value.number, self.now + value.delay) + value.after

    # Playing.

    def play_both(self, script):
        """A script in the program with jobs and in its twin, with no deadline in between."""
        self._look()
        for deadline in self.deadlines.values():
            if deadline - CLOSE < self.now <= deadline + SPREAD:
                self._pass(deadline)
        start = self.now
        outcomes = self.play(script)
        if not script.twin:
            return
        late = self.play(script, late=True)
        self._look()
        if any(start <= deadline + SPREAD and deadline <= self.now for deadline in self.deadlines.values()):
            if script.steps[0][0] != 'wait':
                self.parted.add(script.program)
        if script.program not in self.parted:
            self.agree('jobs change no outcome', outcomes, late, script.program,
                       about=', '.join(op.verb for op in script.operations()))

    def play(self, script, late=False):
        """Plays a script; returns the outcome of each call that both twins play."""
        suffix = LATE if late else ''
        program = script.program + suffix
        outcomes, start, savepoint, failed = [], None, None, False
        self.transaction = False
        known = {member: self._length(program, member) for member in script.members()}
        if any(op.verb in EXTENSIONS and 'members' not in op.arguments for op in script.operations()):
            known.update((member, len(account.entries)) for member, account in self.ledger.programs[program].accounts.items())
        for kind, *rest in script.steps:
            if kind == 'call':
                calls = [op for op in rest[0] if not (late and op.jobs_only)]
                if calls and not failed:
                    outcome, details = self._call(program, calls)
                    failed = outcome != 'ok' and start is not None
                    if not any(op.jobs_only for op in calls):
                        outcomes.append(details)
                continue
            if kind == 'summary':
                if self.database:
                    self.database.command('all', 'call jifen.run_summary()')
                continue
            if kind in ('fault', 'wait', 'jobs'):
                if kind == 'jobs' and not late:
                    parallel.play(self, program, [(op.verb, self._arguments(program, op)) for op in rest[0]])
                    known = dict.fromkeys(self.ledger.programs[program].accounts, 0)
                elif kind == 'wait':
                    self._pass(self._instant(rest[0]))
                elif not late and self.database:
                    self._fault(program, *rest)
                continue
            if kind == 'begin':
                start = self.ledger.mark()
            elif kind == 'savepoint' and not failed:
                savepoint = self.ledger.mark()
                kind = 'savepoint s'
            elif kind == 'rollback to' and savepoint is not None:
                self.ledger.rollback(savepoint)
                failed = False
                kind = 'rollback to s'
            elif kind in ('commit', 'rollback'):
                if failed or kind == 'rollback':
                    self.ledger.rollback(start)
                    kind = 'rollback'
            else:
                continue
            if self.database:
                self.database.command(program, kind)
                if kind == 'begin':
                    self.now = self.database.now()
            self.transaction = kind not in ('commit', 'rollback')
        self._check_stored(program, known)
        self.ledger.undo.clear()
        return outcomes

    def _length(self, program, member):
        scheme = self.ledger.programs.get(program)
        account = scheme and scheme.accounts.get(member)
        return len(account.entries) if account else 0

    def _arguments(self, program, op):
        """The arguments as they are given to SQL: with the program's code, seqs for labels, and instants."""
        arguments = {name: self._instant(value) for name, value in op.arguments.items()}
        if op.verb == 'create_program':
            arguments['code'] = program
        elif 'program' not in arguments and op.verb != 'post':
            arguments = {'program': program, **arguments}
        if op.verb == 'undo_extension':
            arguments['extension_id'] = self.labels.get((program, None, op.target), NOWHERE)
        elif op.target is not None:
            name = 'hold_seq' if op.verb in ('capture', 'release') else 'seq'
            arguments[name] = self._target(program, op)
        if op.postings:
            postings = []
            for one in op.postings:
                given = self._arguments(program, one)
                given['member'] = given.pop('from_member', one.member)
                if 'hold_seq' in given:
                    given['seq'] = given.pop('hold_seq')
                postings.append({'kind': one.verb, **given, **({'group': one.group} if one.group else {})})
            arguments = {'postings': postings, **arguments}
        return arguments

    def _target(self, program, op):
        """The seq that the operation's target stands for: a label, or an entry by kind, time and order."""
        if isinstance(op.target, tuple) and len(op.target) == 3:
            account = self.ledger.programs[program].accounts.get(op.member)
            same = [e.seq for e in account.entries if (e.kind, e.event_at) == op.target[:2]] if account else []
            return same[op.target[2]] if op.target[2] < len(same) else NOWHERE
        return self.labels.get((program, op.member, op.target), NOWHERE)

    def _call(self, program, ops):
        """One SELECT of these operations in both ledgers; returns 'ok' or the SQLSTATE, and what became of each."""
        calls = [(op.verb, self._arguments(program, op)) for op in ops]
        if not self.database:
            if not self.transaction:
                self._look()
            return self._follow(program, ops, calls, None, [], self.now)
        state, results, now = self.database.call(program, calls)
        if now or not self.transaction:
            self.now = now or self.database.clock()
        return self._follow(program, ops, calls, state, results, self.now)

    def _follow(self, program, ops, calls, state, results, now):
        """The model makes the calls that the database answered so (state None: there is no database)."""
        hints = {}
        if state == 'ok' and ops[0].verb in JOBS:
            scope = calls[0][1]['program']
            hints['chosen'] = [key for key, seq in self.database.last_seqs(scope).items()
                               if seq > self._length(*key)]
        if state == 'ok' and ops[0].verb == 'post':
            members = ops[0].members() | {m for one in ops[0].postings for m in self._counters(program, one)}
            hints['due'] = self.database.due_entries(program, {m: self._length(program, m) for m in members})
        if state == 'ok' and ops[0].verb in EXTENSIONS:
            hints['number'] = results[0]['extension_id']
        if state == 'ok' and ops[0].verb in PERIODS:
            hints['changed_at'] = instant(results[0]['changed_at'])
            self.agree('closings', True, hints['changed_at'] >= now, program, None, 'changed when')
        mark, expected, answers = self.ledger.mark(), 'ok', []
        try:
            for op, (verb, arguments) in zip(ops, calls):
                answers.append(self.ledger.call(verb, now, **arguments, **hints))
                self._name(program, op, answers[-1])
        except Refused as refusal:
            self.ledger.rollback(mark)
            expected = refusal.sqlstate
        self.outcomes[expected] += 1
        details = [expected] + [row['sqlstate'] for op, answer in zip(ops, answers) if op.verb == 'post'
                                for row in answer]
        if state is None:
            return expected, details
        about = ', '.join(verb for verb, _ in calls)
        if state != 'ok' and expected != state:
            about += f' ({results})'
        self.agree('accepted or refused alike', expected, state, program, ops[0].member, about)
        if state == 'ok':
            for op, answer, found in zip(ops, answers, results):
                self._check_result(program, op, answer, found)
        return state, details

    def _name(self, program, op, answer):
        """Labels for the entries that came of an operation: (label, n) for the further ones of a transfer."""
        named = []
        if op.verb in ONE_ENTRY:
            named = [(op.member, op.label, answer)]
        elif op.verb == 'extend_expiry':
            self.ledger.put(self.labels, (program, None, op.label), answer.extension_id)
        elif op.verb == 'transfer':
            named = [(op.member, op.label, answer[0])]
            named += [(op.arguments['to_member'], (op.label, n), entry) for n, entry in enumerate(answer[1:])]
        elif op.verb == 'post':
            for one, row in zip(op.postings, answer):
                if row['seq'] is not None:
                    entry = self.ledger.account(program, one.member).entry(row['seq'])
                    named.append((one.member, one.label, entry))
                    if one.verb == 'transfer':
                        other = one.arguments['to_member']
                        ins = self.ledger.account(program, other).entries[entry.counter_seq - 1:]
                        named += [(other, (one.label, n), e) for n, e in enumerate(
                            e for e in ins if (e.counter, e.counter_seq) == (one.member, entry.seq))]
        for member, label, entry in named:
            self.ledger.put(self.labels, (program, member, label), entry.seq)
            if (program, member, entry.seq) not in self.names:
                self.ledger.put(self.names, (program, member, entry.seq), label)

    def _counters(self, program, op):
        """The other member of the transfer that the operation reverses, if it does."""
        if op.verb != 'reverse' or not op.member:
            return []
        account = self.ledger.programs[program].accounts.get(op.member)
        entry = account and account.entry(self._target(program, op))
        return [entry.counter] if entry and entry.counter else []

    def _fault(self, program, ops, how, delay):
        """A call cut short that far on: done in full or not at all, and which of both the database knows."""
        calls = [(op.verb, self._arguments(program, op)) for op in ops]
        before = self.database.last_seqs(program)
        state, results, now = self.database.cut_short(program, calls, how, delay)
        after = self.database.last_seqs(program)
        if state in ('57014', '57P01', 'lost'):
            self.faults[f'{how} {state}' + (' done' if before != after else '')] += 1
            if before != after:
                now = self.database.posted_at(program, {key: seq for key, seq in after.items()
                                                        if before.get(key) != seq})
                self._follow(program, ops, calls, None, [], now)
            self._check_stored(program, {member: 0 for member in ops[0].members()})
            self.agreed['a call cut short is done or not'] += 1
            return
        self.faults[f'{how} too late'] += 1
        self._follow(program, ops, calls, state, results, now or self.database.clock())

    def _check_result(self, program, op, expected, found):
        if op.verb in ONE_ENTRY:
            self.agree_rows('entries returned', ENTRY + ('posted_at',), [expected], [found],
                            program, op.member)
        elif op.verb in SOME_ENTRIES:
            self.agree_rows('entries returned', ENTRY + ('posted_at',), expected, found, program, op.member, op.verb)
        elif op.verb == 'post':
            self.agree_rows('post()', ('ordinal', 'seq', 'balance', 'sqlstate'), expected, found, program, None,
                            ', '.join(one.verb for one in op.postings))
        elif op.verb.endswith('_account'):
            self.agree_rows('accounts returned', ('member', 'status'), [expected], [found],
                            program, op.member)
        elif op.verb in EXTENSIONS:
            self.agree_rows('extensions', ('extension_id', 'accounts', 'lots', 'points'), [expected], [found], program)
        elif op.verb in PERIODS:
            self.agree_rows('closings', ('change_no', 'closed_until'), [expected], [found], program)
        elif op.verb in JOBS:
            names = JOBS[op.verb]
            if 'max_accounts' in op.arguments and found['more']:
                names = names[1:-1]     # it may have looked at accounts where nothing was due after all
            self.agree_rows(f'{op.verb}()', names, [expected], [found], program)

    # Comparing.

    def _check_stored(self, program, known):
        """What is stored of these members: their entries after the seq that was known, all else in full."""
        if not self.database or not known:
            return
        scheme = self.ledger.programs.get(program)
        after = min(min(length, self._length(program, member)) for member, length in known.items())
        stored = self.database.stored(program, list(known), after)
        for member in known:
            account = scheme and scheme.accounts.get(member)
            self.agree('accounts exist alike', account is not None, member in stored, program, member)
            if account:
                check_account(self, program, account, stored[member], after)
