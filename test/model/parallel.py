"""parallel.py: several job runs at once, each in a session of its own; the model then runs each where it wrote."""

import threading

import psycopg2

from database import call_text
from rows import JOBS
from when import instant


class Run(threading.Thread):
    def __init__(self, connection, verb, arguments):
        super().__init__()
        self.connection, self.verb, self.arguments = connection, verb, arguments
        self.found = self.now = self.error = None

    def run(self):
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(f'select {call_text(self.verb, self.arguments)}, now()::text')
                self.found, now = cursor.fetchone()
                self.now = instant(now)
        except psycopg2.Error as error:
            self.error = f'{error.pgcode}: {error}'


def play(world, program, calls):
    """Runs these jobs, (verb, arguments), at once; all of the program's accounts must then be as the model has them."""
    ledger, accounts = world.ledger, world.ledger.programs[program].accounts
    if not world.database:
        for verb, arguments in calls:
            ledger.call(verb, world.now, **arguments)
        return
    known = {member: len(account.entries) for member, account in accounts.items()}
    runs = [Run(connection, *call) for connection, call in zip(world.database.workers(len(calls)), calls)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
        world.database.log.append((program, f'select {call_text(run.verb, run.arguments)} -- at once with those around it'))
    world.agree('jobs at once all end well', [], [run.error for run in runs if run.error], program)
    by_now = {run.now: run for run in runs}
    done = {run: dict.fromkeys(JOBS[run.verb][:-1], 0) for run in runs}
    for member, found in world.database.stored(program).items():
        turns = dict.fromkeys(instant(e['posted_at']) for e in found['entries'] if int(e['seq']) > known[member])
        for now in turns:
            run = by_now[now]
            answer = ledger.call(run.verb, now, **{**run.arguments, 'max_accounts': 1, 'chosen': [(program, member)]})
            for name in done[run]:
                done[run][name] += answer[name]
    for run in runs:
        world.agree('jobs at once share the work', done[run], {name: int(run.found[name]) for name in done[run]},
                    program, None, f'{run.verb} {run.arguments}')
    world.now = max(run.now for run in runs)
