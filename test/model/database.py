"""database.py: the ledger in PostgreSQL as the run sees it: operations as SQL, rows as plain values."""

import psycopg2

from when import instant, show

NUMBERS = ('amount', 'qualifying', 'seq')
TIMES = ('event_at', 'available_at', 'as_of', 'until', 'since')


def literal(name, value):
    """A value as the caller of the SQL function would write it."""
    if value is None:
        return 'null'
    if isinstance(value, bool):
        return str(value).lower()
    text = show(value) if name in TIMES else str(value)
    return text if isinstance(value, int) and name not in TIMES else "'" + text.replace("'", "''") + "'"


def call_text(verb, arguments):
    return f'jifen.{verb}(' + ', '.join(f'{name} => {literal(name, value)}'
                                        for name, value in arguments.items()) + ')'


def rows_text(calls):
    """Calls of one function that differ in the values alone, as one call for each row of a table."""
    names = list(calls[0][1])
    types = {name: 'timestamptz' if name in TIMES else 'bigint' if name in NUMBERS
             else 'jifen.expiry_policy' if name == 'expiry' else 'text' for name in names}
    rows = ', '.join('(' + ', '.join(f'{literal(name, arguments[name])}::{types[name]}' for name in names) + ')'
                     for _, arguments in calls)
    return f'select to_jsonb(jifen.{calls[0][0]}(' + ', '.join(f'{name} => q.{name}' for name in names) \
        + f')), now()::text from (values {rows}) q(' + ', '.join(names) + ')'


class Database:
    """One session; every statement that changes something is kept in .log for a reproduction."""

    def __init__(self, name):
        self.name = name
        admin = psycopg2.connect(dbname='postgres')
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f'drop database if exists "{name}"')
            cursor.execute(f'create database "{name}"')
        admin.close()
        self.connection = None
        self.reset()

    def reset(self):
        """A new session on a new ledger."""
        if self.connection:
            self.connection.close()
        self.connection = psycopg2.connect(dbname=self.name)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.log = []
        self.rows('set timezone = \'UTC\'; set client_min_messages = warning')
        self.rows('drop extension if exists jifen cascade; create extension jifen')

    def drop(self):
        self.connection.close()
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
            if len(calls) > 1 and all(verb == calls[0][0] and list(arguments) == names
                                      for verb, arguments in calls):
                rows = self.rows(rows_text(calls))
                return 'ok', [row[0] for row in rows], instant(rows[0][1])
            *results, now = self.rows('select ' + ', '.join(f'to_jsonb({call_text(*call)})' for call in calls)
                                      + ', now()::text')[0]
        except psycopg2.Error as error:
            return error.pgcode, str(error).strip(), None
        return 'ok', results, instant(now)

    def now(self):
        return instant(self.rows('select now()::text')[0][0])

    def stored(self, program, member=None, after=0):
        """By member: the account row, entries and allocations with seq > after, open lots, statuses."""
        return {row['account']['member']: row for (row,) in self.rows(f'''
            select jsonb_build_object('account', to_jsonb(a),
                'entries', (select coalesce(jsonb_agg(to_jsonb(e) order by e.seq), '[]')
                            from jifen.entry e where e.account_id = a.account_id and e.seq > %(after)s),
                'uses', (select coalesce(jsonb_agg(jsonb_build_array(u.seq, u.lot_seq, u.amount)), '[]')
                         from jifen.allocation u where u.account_id = a.account_id and u.seq > %(after)s),
                'lots', (select coalesce(jsonb_agg(to_jsonb(l) order by l.expires_at, l.seq), '[]')
                         from jifen.lot l where l.account_id = a.account_id),
                'statuses', (select jsonb_agg(s.status order by s.change_no)
                             from jifen.status_change s where s.account_id = a.account_id))
            from jifen.account a
            where a.program_id = (select program_id from jifen.program where code = %(program)s)
            {'' if member is None else 'and a.member = %(member)s'}''',
            {'program': program, 'member': member, 'after': after})}

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
