"""storage.py: bytes on disk, bytes of WAL and memory, once in a run."""

import server
from calls import scripts
from check import check
from samples import Section

TABLES = '''
    select n.nspname || '.' || c.relname, pg_total_relation_size(c.oid)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('jifen', 'careful', 'everyday') and c.relkind = 'r'
'''
BATCH = '''
    select jifen.posting('bench', 'member ' || 1 + n % {members}, 'earn', 10, reference => 'order ' || n,
        idempotency_key => 'million ' || n, source => 'purchase')
    from generate_series(1, {postings}) n
'''


class Storage(Section):

    def prepare(self):
        sizes = self.sizes
        server.create_database('storage')
        server.log(f'preparing storage of {sizes.storage_members} members')
        server.psql('storage', 'prepare.sql', members=sizes.storage_members)
        for name in ('careful', 'everyday'):
            server.psql('storage', f'baseline/{name}.sql')
            server.psql('storage', f'baseline/{name}_prepare.sql', members=sizes.storage_members)
        server.rows('storage', 'vacuum analyze')

    def measure(self, round_number):
        if round_number > 0:
            return
        self.measure_bytes()
        self.measure_memory()

    def measure_bytes(self):
        server.warm('storage')
        clients = max(self.sizes.numbers('clients'))
        each = self.sizes.storage_postings // 2 // clients
        for name in ('jifen', 'careful', 'everyday'):
            before = dict(server.rows('storage', TABLES))
            server.rows('storage', 'checkpoint')
            for part in ('first', 'second'):
                server.log(f'bytes of {each * clients} earns, {name}')
                at = server.value('storage', 'select pg_current_wal_insert_lsn()')
                server.pgbench('storage', scripts(name, 'any', [('earn', 1)]), clients, 'off',
                               {'members': self.sizes.storage_members}, transactions=each)
                wal = int(server.value('storage', f"select pg_current_wal_insert_lsn() - '{at}'"))
                self.samples.figure(f'WAL of an earn, {name}, {part} half after a checkpoint', 'bytes', wal / each / clients)
            after = dict(server.rows('storage', TABLES))
            grown = sum(after[table] - before[table] for table in after if table.startswith(name + '.'))
            self.samples.figure(f'disk of an earn, {name}', 'bytes', grown / 2 / each / clients)

    def measure_memory(self):
        sizes = {'members': self.sizes.storage_members, 'postings': self.sizes.memory_postings}
        for name, statement in (('the array alone', f'select cardinality(array({BATCH}))'),
                                ('post()', f'select count(*) from jifen.post(array({BATCH}))')):
            server.log(f'memory of {sizes["postings"]} postings, {name}')
            connection = server.connect('storage')
            with connection.cursor() as cursor:
                most = server.peak_memory(cursor, statement.format(**sizes))
            connection.close()
            self.samples.figure(f'memory of a batch of {sizes["postings"]:,}, {name}', 'MB', most)

    def check(self):
        check('storage', 'jifen', 'careful', 'everyday')
