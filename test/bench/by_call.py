"""by_call.py: postings and reads one by one, by several clients."""

import server
from calls import READS, workloads
from check import check
from samples import Key, Section


class Calls(Section):

    def prepare(self):
        sizes = self.sizes
        server.create_database('bench')
        server.log(f'preparing {sizes.members} members, and pgbench scale {sizes.scale}')
        server.psql('bench', 'prepare.sql', members=sizes.members)
        for name in ('careful', 'everyday'):
            server.psql('bench', f'baseline/{name}.sql')
            server.psql('bench', f'baseline/{name}_prepare.sql', members=sizes.members)
        server.initialize_pgbench('bench', sizes.scale)
        server.rows('bench', 'vacuum analyze')
        self.updated = {name: self.updates(name) for name in ('jifen.account', 'careful.member')}

    @staticmethod
    def updates(table):
        return server.rows('bench', f"select n_tup_upd, n_tup_hot_upd from pg_stat_all_tables where relid = '{table}'::regclass")[0]

    def measure(self, round_number):
        server.warm('bench')
        runs = [(commit, clients, workload)
                for commit in ('on', 'off') for clients in self.sizes.numbers('clients') for workload in workloads()
                if commit == 'on' or workload[0] not in READS]
        for commit, clients, (name, implementation, scripts) in self.rotated(runs, round_number):
            server.log(f'{name}, {implementation}, {clients} clients, synchronous_commit {commit}')
            rate, _ = server.pgbench('bench', scripts, clients, commit, {'members': self.sizes.members},
                                     seconds=self.sizes.seconds_each)
            self.samples.add(Key(name, implementation, clients, '-' if name in READS else commit), rate, 'transactions/s')

    def check(self):
        for name, (updated, hot) in self.updated.items():
            now_updated, now_hot = self.updates(name)
            self.samples.figure(f'HOT share of updates of {name}', '%', 100 * (now_hot - hot) / max(1, now_updated - updated))
        check('bench', 'jifen', 'careful', 'everyday')
