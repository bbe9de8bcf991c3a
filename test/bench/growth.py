"""growth.py: the same calls on ledgers and on accounts of very different sizes."""

import server
from calls import CALLS, SELECT_ONLY, SIMPLE_UPDATE, scripts
from check import check
from samples import Key, Section

CALLS_MEASURED = ('earn', 'redeem', 'hold and capture', 'balance', 'tier_for')
# What is small is copied for each call, and no more calls are made than it has lots: or it would not stay so.
SMALL = 20_000


class Growth(Section):

    def prepare(self):
        sizes = self.sizes
        self.lots = sizes.numbers('growth_lots')
        for lots in self.lots:
            server.log(f'preparing {lots} lots')
            server.create_database(f'growth_{lots}')
            server.psql(f'growth_{lots}', 'prepare.sql', members=lots // 4)
        server.create_database('growth_pgbench')
        server.initialize_pgbench('growth_pgbench', -(-max(self.lots) // 100_000))
        # Accounts of about as many entries each, which few more do not change much.
        self.entries = {entries: max(2, min(10_000, 200_000 // entries)) for entries in sizes.numbers('entries')}
        server.create_database('entries')
        server.psql('entries', 'prepare.sql', members=1)
        for entries, members in self.entries.items():
            server.log(f'preparing {members} accounts of {entries} entries')
            server.psql('entries', 'entries_prepare.sql', entries=entries, members=members)
        for database in [f'growth_{lots}' for lots in self.lots] + ['growth_pgbench', 'entries']:
            server.rows(database, 'vacuum analyze')

    def measure(self, round_number):
        server.warm('entries', 'growth_pgbench', *[f'growth_{lots}' for lots in reversed(self.lots)])
        clients = max(self.sizes.numbers('clients'))
        # What is compared comes one after the other.
        runs = [(lots, name) for name in CALLS_MEASURED + ('select-only', 'simple-update') for lots in self.lots]
        for lots, name in self.rotated(runs, round_number):
            server.log(f'{name} at {lots} lots')
            limit = {'seconds': self.sizes.seconds_each}
            if name in CALLS_MEASURED:
                database, implementation, script = f'growth_{lots}', 'jifen', scripts('jifen', 'any', [(name, 1)])
                if lots <= SMALL:
                    server.create_database('growth_run', database)
                    database = 'growth_run'
                    limit = {'transactions': lots // clients}
            else:
                database, implementation = 'growth_pgbench', 'pgbench'
                script = [(1, SELECT_ONLY if name == 'select-only' else SIMPLE_UPDATE)]
            rate, _ = server.pgbench(database, script, clients, 'off', {'members': lots // 4, 'rows': lots}, **limit)
            self.samples.add(Key(f'{name} at {lots:,} lots', implementation, clients, 'off'), rate, 'transactions/s')
        runs = [(entries, name) for name in CALLS_MEASURED for entries in self.entries]
        for entries, name in self.rotated(runs, round_number):
            server.log(f'{name} of accounts of {entries} entries')
            script = f'\\set m random(1, {self.entries[entries]})\n' + \
                CALLS['jifen'][name].replace("'member ' || :m", f"'{entries} entries ' || :m")
            rate, _ = server.pgbench('entries', [(1, script)], 1, 'off', seconds=self.sizes.seconds_each)
            self.samples.add(Key(f'{name} of accounts of {entries:,} entries', 'jifen', 1, 'off'), rate, 'transactions/s')

    def check(self):
        for database in [f'growth_{lots}' for lots in self.lots] + ['entries']:
            check(database, 'jifen')
