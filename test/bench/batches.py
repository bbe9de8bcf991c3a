"""batches.py: many postings in one call, beside the rows that they write; and a redemption of a member with many lots."""

import os

import server
from check import check
from samples import Key, Section

# What a batch of earns does, and a loop in the server that does the same.
POST = '''
    select count(*) from jifen.post(array(
        select jifen.posting('bench', 'member ' || m, 'earn', 10, reference => 'order ' || m, idempotency_key => 'batch ' || n,
            source => 'purchase')
        from (
            select 1 + floor(random() * {members})::bigint as m, floor(random() * 9e18)::bigint as n from generate_series(1, {size})
        ) r))
'''
LOOP = '''
    select count(careful.earn('member ' || m, 10, 'order ' || m, 'batch ' || n))
    from (
        select 1 + floor(random() * {members})::bigint as m, floor(random() * 9e18)::bigint as n from generate_series(1, {size})
    ) r
'''


class Batches(Section):

    sizes_of_batch = (1000, 10000)

    def prepare(self):
        sizes = self.sizes
        server.log(f'preparing batches of {sizes.members} members')
        server.create_database('batches')
        server.psql('batches', 'prepare.sql', members=sizes.members)
        server.psql('batches', 'baseline/careful.sql')
        server.psql('batches', 'baseline/careful_prepare.sql', members=sizes.members)
        server.psql('batches', 'floor_prepare.sql')
        self.wide = 0
        members = 3 * sizes.rounds
        server.psql('batches', 'wide_prepare.sql', members=members, lots=sizes.wide_lots)
        server.psql('batches', 'baseline/careful_wide_prepare.sql', members=members, lots=sizes.wide_lots)
        server.rows('batches', 'vacuum analyze')

    def measure(self, round_number):
        server.warm('batches')
        for size in self.sizes_of_batch:
            # The floor writes what jifen has written, so it cannot come first of the two.
            for name in self.rotated(['careful', 'jifen and floor'], round_number):
                if name == 'careful':
                    self.add(size, name, [LOOP.format(members=self.sizes.members, size=size)] * self.sizes.batches)
                else:
                    self.jifen_and_floor(size)
        self.measure_wide(round_number)

    def add(self, size, implementation, statements):
        server.log(f'batches of {size}, {implementation}')
        connection = server.connect('batches')
        with connection.cursor() as cursor:
            seconds = server.timed(cursor, statements)
        connection.close()
        self.samples.add(Key(f'batches of {size:,}', implementation, 1, 'on'), self.sizes.batches * size / seconds, 'postings/s')

    def jifen_and_floor(self, size):
        batches = self.sizes.batches
        began = server.value('batches', 'select clock_timestamp()')
        self.add(size, 'jifen', [POST.format(members=self.sizes.members, size=size)] * batches)
        directory = f'{server.TEMPORARY}/floor'
        os.makedirs(directory, exist_ok=True)
        connection = server.connect('batches')
        with connection.cursor() as cursor:
            cursor.execute('truncate plain.posted, plain.changed')
            cursor.execute('''
                insert into plain.posted
                select dense_rank() over (order by posted_at), account_id, seq from jifen.entry where posted_at > %s''', (began,))
            cursor.execute('''
                insert into plain.changed
                select distinct on (batch, account_id) batch, account_id, balance, seq, event_at, hash
                from plain.posted join jifen.entry using (account_id, seq) order by batch, account_id, seq desc''')
            cursor.execute('select count(distinct batch), count(*) from plain.posted')
            assert cursor.fetchone() == (batches, batches * size)
            cursor.execute('vacuum analyze plain.posted, plain.changed')
            for batch in range(1, batches + 1):
                for table in ('entry', 'lot'):
                    cursor.execute(f'''
                        copy (select t.* from jifen.{table} t join plain.posted using (account_id, seq)
                              where batch = {batch} order by t.ctid) to '{directory}/{table}.{batch}' binary''')
        connection.close()
        self.add(size, 'floor', [f'''
            begin;
            copy plain.entry from '{directory}/entry.{batch}' binary;
            copy plain.lot from '{directory}/lot.{batch}' binary;
            update plain.account a
            set balance = c.balance, last_seq = c.seq, last_event_at = c.event_at, last_earn_at = c.event_at, head_hash = c.hash
            from plain.changed c where a.account_id = c.account_id and c.batch = {batch};
            commit''' for batch in range(1, batches + 1)])

    def measure_wide(self, round_number):
        lots = self.sizes.wide_lots
        members = [f'wide {self.wide + n}' for n in (1, 2, 3)]
        self.wide += 3
        for name in self.rotated(['jifen', 'careful'], round_number):
            call = "jifen.redeem('bench', '{}', {})" if name == 'jifen' else "careful.redeem('{}', {}, null, null)"
            connection = server.connect('batches')
            with connection.cursor() as cursor:
                server.log(f'redemption over {lots} lots, {name}')
                seconds = server.timed(cursor, ['select ' + call.format(member, 10 * lots) for member in members])
            connection.close()
            self.samples.add(Key(f'redemption over {lots:,} lots', name, 1, 'on'), 3 * lots / seconds, 'lots/s')

    def check(self):
        connection = server.connect('batches')
        with connection.cursor() as cursor:
            # The floor has written what jifen has.
            for table in ('entry', 'lot'):
                cursor.execute(f"""select count(*) from jifen.{table} t join jifen.account a using (account_id)
                    where not exists (select from plain.{table} p where (p.account_id, p.seq) = (t.account_id, t.seq))
                    and a.member not like 'wide %'""")
                assert cursor.fetchone() == (0,), table
            cursor.execute("""select count(*) from plain.account p join jifen.account a using (account_id)
                where (p.balance::bigint, p.last_seq, p.head_hash) is distinct from (a.balance::bigint, a.last_seq, a.head_hash)
                and a.member not like 'wide %'""")
            assert cursor.fetchone() == (0,)
        connection.close()
        check('batches', 'jifen', 'careful')
