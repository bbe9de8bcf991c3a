"""un_analyzed.py: one session that posts into a new database which nothing ever analyzes, once in a run."""

import re

import server
from check import check
from samples import Section

# Two postings and a read.
SCRIPT = """
\\set m random(1, :members)
\\set n random(1, 9000000000000000000)
select seq from jifen.earn('bench', 'member ' || :m, 10, reference => 'order ' || :m, idempotency_key => 'earn ' || :n,
    source => 'purchase');
select seq from jifen.redeem('bench', 'member ' || :m, 4, reference => 'order ' || :m, idempotency_key => 'redeem ' || :n);
select available from jifen.balance('bench', 'member ' || :m);
"""


class UnAnalyzed(Section):

    def measure(self, round_number):
        if round_number > 0:
            return
        postings = self.sizes.un_analyzed_postings
        server.create_database('un_analyzed')
        server.psql('un_analyzed', 'un_analyzed_prepare.sql')
        server.log(f'from empty to {postings} postings')
        _, progress = server.pgbench('un_analyzed', [(1, SCRIPT)], 1, 'off', {'members': postings // 10},
                                     transactions=postings // 2, progress=1)
        analyzed = server.rows('un_analyzed', '''select relname from pg_class
            where relnamespace = 'jifen'::regnamespace and relname in ('account', 'entry', 'lot', 'allocation') and reltuples >= 0''')
        assert not analyzed, analyzed
        rates = [float(rate) for rate in re.findall(r'([0-9.]+) tps', progress)]
        done, means = 0, [[] for _ in range(10)]
        for rate in rates:
            means[min(9, int(done * 20 // postings))].append(rate)
            done += rate
        for tenth, mean in enumerate(means):
            if mean:
                self.samples.figure(f'un-analyzed, from {tenth * postings // 10:,} postings on', 'postings/s',
                                    2 * sum(mean) / len(mean))

    def check(self):
        check('un_analyzed', 'jifen')
