"""expiry.py: all that lapses at the end of a year, beside plain statements that write the same rows."""

import server
from check import check
from samples import Key, Section

with open(f'{server.HERE}/year_end_plain.sql') as plain:
    PLAIN = plain.read().replace(':from_account', '0').replace(':to_account', '9223372036854775807')
RUNS = {'jifen': "call jifen.run_expiry('shop')", 'careful': 'call careful.run_expiry(1000)', 'floor': PLAIN}


class Expiry(Section):

    def prepare(self):
        sizes = self.sizes
        server.create_database('year_end')
        server.log(f'preparing the end of a year: {sizes.expiry_members} members and {sizes.expiry_lots} lots')
        server.psql('year_end', 'year_end.sql', members=sizes.expiry_members, lots=sizes.expiry_lots, instants=1)
        server.psql('year_end', 'baseline/careful.sql')
        server.psql('year_end', 'baseline/careful_year_end.sql')
        server.rows('year_end', 'vacuum analyze')

    def measure(self, round_number):
        lots = self.sizes.expiry_lots
        server.create_database('year_end_run', 'year_end')
        server.rows('year_end_run', 'checkpoint')
        for name in self.rotated(list(RUNS), round_number):
            server.log(f'expiry, {name}')
            connection = server.connect('year_end_run')
            with connection.cursor() as cursor:
                seconds = server.timed(cursor, [RUNS[name]])
            connection.close()
            self.samples.add(Key('expiry', name, 1, 'on'), lots / seconds, 'lots/s')
        written = server.value('year_end_run', 'select sum(lots) from jifen.job_run where error is null and ended_at is not null')
        emptied = server.value('year_end_run', 'select count(*) from careful.lot where not open')
        more = server.value('year_end_run',
                            'select (select count(*) from plain.allocation) - (select count(*) from jifen.allocation)')
        assert (written, emptied, more) == (lots, lots, 0), (written, emptied, more)
        check('year_end_run', 'jifen', 'careful')
