"""database.py: the ledger in PostgreSQL as the run sees it: operations as SQL, rows as plain values."""

import json
import threading
import time
from decimal import Decimal
from fractions import Fraction
from functools import partial

import psycopg2
import psycopg2.extras

import reports

from when import instant, show

TIMES = ('event_at', 'available_at', 'as_of', 'until', 'since', 'expires_at', 'issued_at', 'opened_at', 'sent_at',
         'expiring_since', 'expiring_until', 'lapsed_since', 'lapsed_until')
SETS = ('transfer', 'reverse_reference', 'post', 'record_notice', 'reinstate')        # functions that return several rows

psycopg2.extras.register_default_jsonb(globally=True, loads=partial(json.loads, parse_float=Decimal))

# A function for its setting: to plan it takes longer than to run it.
STORED = '''
    create or replace function pg_temp.stored(text, text[], bigint) returns setof jsonb
    language plpgsql set plan_cache_mode = force_generic_plan as $$
    begin return query
    select jsonb_build_object('account', to_jsonb(a) || jsonb_build_object('last_activity_at', jifen.last_activity_at(a)),
        'entries', (select coalesce(jsonb_agg(to_jsonb(e) || jsonb_build_object('counter', c.member)
                                              order by e.seq), '[]')
                    from jifen.entry e left join jifen.account c on c.account_id = e.counter_account_id
                    where e.account_id = a.account_id and e.seq > $3),
        'uses', (select coalesce(jsonb_agg(jsonb_build_array(u.seq, u.lot_seq, u.amount)), '[]')
                 from jifen.allocation u where u.account_id = a.account_id and u.seq > $3),
        'lots', (select coalesce(jsonb_agg(to_jsonb(l) order by l.expires_at, l.seq), '[]')
                 from jifen.lot l where l.account_id = a.account_id),
        'open', (select coalesce(jsonb_agg(to_jsonb(o) order by o.seq), '[]')
                 from jifen.open_lot o where o.account_id = a.account_id),
        'notices', (select coalesce(jsonb_agg(to_jsonb(n) order by n.notice_no), '[]')
                    from jifen.notice n where n.account_id = a.account_id),
        'noticed', (select coalesce(jsonb_agg(to_jsonb(n) order by n.notice_no, n.lot_seq), '[]')
                    from jifen.notice_lot n where n.account_id = a.account_id),
        'holds', (select coalesce(jsonb_agg(to_jsonb(h) order by h.until, h.seq), '[]')
                  from jifen.hold h where h.account_id = a.account_id),
        'debts', (select coalesce(jsonb_agg(to_jsonb(d) order by d.seq), '[]')
                  from jifen.debt d where d.account_id = a.account_id),
        'statuses', (select jsonb_agg(s.status order by s.change_no)
                     from jifen.status_change s where s.account_id = a.account_id))
    from jifen.account a
    where a.program_id = (select program_id from jifen.program where code = $1)
        and ($2 is null or a.member = any ($2));
    end $$'''


def literal(name, value):
    """A value as the caller of the SQL function would write it."""
    if value is None:
        return 'null'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Fraction):
        return str(float(value))
    if isinstance(value, tuple):
        return "'{" + ', '.join(f'"{one}"' for one in value) + "}'"
    if name == 'postings':
        return 'array[' + ', '.join(function_text('posting', one) for one in value) + ']'
    text = show(value) if name in TIMES else json.dumps(value) if name == 'details' else str(value)
    return text if isinstance(value, int) and name not in TIMES else "'" + text.replace("'", "''") + "'"


def function_text(function, arguments):
    return f'jifen.{function}(' + ', '.join(f'{quoted(name)} => {literal(name, value)}'
                                            for name, value in arguments.items()) + ')'


def quoted(name):
    return f'"{name}"' if name == 'group' else name


def call_text(verb, arguments):
    """The call as an expression whose value is one jsonb."""
    text = function_text(verb, arguments)
    if verb not in SETS:
        return f'to_jsonb({text})'
    return f"(select coalesce(jsonb_agg(to_jsonb(r) order by r.ordinality), '[]') from {text} with ordinality r)"


def rows_text(calls):
    """Calls of one function that differ in the values alone, as one call for each row of a table."""
    names = list(calls[0][1])
    types = {name: 'timestamptz' if name in TIMES else 'bigint' if name == 'amount' else 'text' for name in names}
    rows = ', '.join('(' + ', '.join(f'{literal(name, arguments[name])}::{types[name]}' for name in names) + ')'
                     for _, arguments in calls)
    return f'select to_jsonb(jifen.{calls[0][0]}(' + ', '.join(f'{name} => q.{name}' for name in names) \
        + f')), now()::text from (values {rows}) q(' + ', '.join(names) + ')'


class Database:
    """One session, and another to disturb it; what may change something is kept in .log for a reproduction."""

    def __init__(self, name):
        self.name = name
        admin = psycopg2.connect(dbname='postgres')
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f'drop database if exists "{name}"')
            cursor.execute(f'create database "{name}"')
        admin.close()
        self.connection = None
        self.more = []                      # connections for runs at once
        self.reset()
        self.other = self.connect()         # strikes at the first

    def reset(self):
        """A new session on a new ledger."""
        self.log = []
        self._reconnect()
        self.rows('discard temp; drop extension if exists jifen cascade; create extension jifen')
        self._prepare()
        self.ahead = self.now() - time.time_ns() // 1000

    def connect(self):
        connection = psycopg2.connect(dbname=self.name)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute('set timezone = \'UTC\'; set client_min_messages = warning; set jit = off')
        return connection

    def workers(self, count):
        """So many further connections."""
        self.more += [self.connect() for _ in range(count - len(self.more))]
        return self.more[:count]

    def _reconnect(self):
        if self.connection:
            self.connection.close()
        self.connection = self.connect()
        self.cursor = self.connection.cursor()
        if self.rows("select 1 from pg_extension where extname = 'jifen'"):
            self._prepare()

    def _prepare(self):
        """What a session needs."""
        self.rows(STORED)
        reports.prepare(self)

    def drop(self):
        for connection in (self.connection, self.other, *self.more):
            connection.close()
        admin = psycopg2.connect(dbname='postgres')
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f'drop database if exists "{self.name}"')
        admin.close()

    def rows(self, text, parameters=None):
        self.cursor.execute(text, parameters)
        return self.cursor.fetchall() if self.cursor.description else []

    def command(self, program, text):
        self.log.append((program, text))
        self.rows(text)

    def call(self, program, calls):
        """Runs the calls in one SELECT: ('ok', [result, …], now) or (sqlstate, message, None)."""
        names = list(calls[0][1])
        self.log.append((program, 'select ' + ',\n       '.join(call_text(*call) for call in calls)))
        try:
            if len(calls) > 1 and names == ['program', 'member', 'amount', 'event_at'] \
                    and all(verb == calls[0][0] and list(arguments) == names for verb, arguments in calls):
                rows = self.rows(rows_text(calls))
                return 'ok', [row[0] for row in rows], instant(rows[0][1])
            *results, now = self.rows('select ' + ', '.join(call_text(*call) for call in calls)
                                      + ', now()::text')[0]
        except psycopg2.Error as error:
            return error.pgcode, str(error).strip(), None
        return 'ok', results, instant(now)

    def cut_short(self, program, calls, how, delay):
        """As call(), but so many microseconds on it is cancelled or its session ended: 57014, 57P01 or 'lost'."""
        self.log.append((program, f'-- {how} after {delay} microseconds:'))
        (pid,), = self.rows('select pg_backend_pid()')
        if how == 'timeout':
            self.rows(f'set statement_timeout = {1 + delay // 1000}')
            answer = self.call(program, calls)
            while True:
                try:
                    self.rows('reset statement_timeout')
                    return answer
                except psycopg2.errors.QueryCanceled:
                    pass            # it, too, has a millisecond

        def strike():
            time.sleep(delay / 1e6)
            with self.other.cursor() as cursor:
                cursor.execute(f'select pg_{how}_backend({pid})')

        striker = threading.Thread(target=strike)
        striker.start()
        answer = self.call(program, calls)
        striker.join()
        if how == 'terminate':
            self._reconnect()
            while self.rows(f'select 1 from pg_stat_activity where pid = {pid}'):
                time.sleep(0.001)
        return answer if answer[0] is not None else ('lost', *answer[1:])

    def posted_at(self, program, seqs):
        """The one time at which these entries were posted: (program, member) → seq."""
        (found, when), = self.rows('''
            select count(distinct e.posted_at), min(e.posted_at)::text
            from jifen.entry e join jifen.account a using (account_id) join jifen.program p using (program_id)
            where p.code = %s and (a.member, e.seq) in %s''',
            (program, tuple((member, seq) for (_, member), seq in seqs.items())))
        assert found == 1
        return instant(when)

    def clock(self):
        """About what now() would be."""
        return time.time_ns() // 1000 + self.ahead

    def now(self):
        return instant(self.rows('select now()::text')[0][0])

    def stored(self, program, members=None, after=0):
        """By member: the account row, entries and allocations with seq > after, open lots, holds, debts, statuses."""
        found = self.rows('select pg_temp.stored(%s, %s, %s)', (program, members, after))
        return {row['account']['member']: row for (row,) in found}

    def due_entries(self, program, after):
        """What falls due by itself among entries after these: member → seq. (program, member, seq) → (kind, when).

        Releases at their hold's deadline, and expire entries.
        """
        return {(program, member, seq): (kind, instant(when)) for member, seq, kind, when in self.rows('''
            select a.member, e.seq, e.kind::text, e.event_at::text
            from jifen.account a join jifen.program p using (program_id) join jifen.entry e using (account_id)
            left join jifen.entry h on (h.account_id, h.seq) = (e.account_id, e.hold_seq)
            where p.code = %s and a.member = any (%s)
                and (e.kind = 'release' and h.until = e.event_at or e.kind = 'expire')''', (program, list(after)))
            if seq > after[member]}

    def last_seqs(self, program):
        return {(code, member): seq for code, member, seq in self.rows('''
            select p.code, a.member, a.last_seq from jifen.account a join jifen.program p using (program_id)
            where p.code = %(program)s or %(program)s is null''', {'program': program})}

    def readings(self, function, program, questions):
        """function(program, member, time…) for each (member, time…), as one query: a list of row lists."""
        if not questions:
            return []
        times = len(questions[0]) - 1
        values = ', '.join(
            f"({n}, {literal('', q[0])}" + ''.join(f", {literal('as_of', t)}::timestamptz" for t in q[1:]) + ')'
            for n, q in enumerate(questions))
        answers = [[] for _ in questions]
        for n, row in self.rows(f'''
                select q.n, to_jsonb(r) from (values {values}) q(n, member{''.join(f', t{i}' for i in range(times))}),
                lateral jifen.{function}(%s, q.member{''.join(f', q.t{i}' for i in range(times))})
                    with ordinality r order by q.n, r.ordinality''', (program,)):
            answers[n].append(row)
        return answers
