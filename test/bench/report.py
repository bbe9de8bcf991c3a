"""report.py: the samples as Markdown and as CSV."""

import csv
import io
from datetime import datetime, timezone

import budget
import server
from calls import READS

ABOUT = """\
# benchmarks

What `make bench` measured, and wrote here. Everything in these tables was measured in one run on one machine, in rounds: in
each round every workload has its turn, in another order, so that what disturbs the machine falls on all of them. A figure is
the median of the rounds, the spread goes from the lowest to the highest, and a ratio is one of medians. Ratios say more than
rates: those are the machine's. Before each round the tables and indexes of postings and reads are read into memory. At the end of
the run `reconcile()` and `verify_chain()` found nothing in any of its databases, and the balances of the others added up too.

[benchmarks.csv](benchmarks.csv) has all of it.
"""

COMPARED = """\
## What is compared

| implementation | what it is |
|---|---|
| jifen | as it is: journal, lots, allocations, hash chain; each posting with a reference, and with an idempotency key but for captures |
| pgbench | `tpcb-like`, `simple-update` and `select-only` of pgbench, at the scale above |
| careful | what a careful developer would write in PL/pgSQL: balance row, lots spent soonest to lapse first, journal, allocations, idempotency key, holds; `test/bench/baseline/careful.sql` |
| everyday | what is written most often: a balance column and a log table with a unique key, no lots; `test/bench/baseline/everyday.sql` |
| floor | the very rows that jifen has written, in tables with the same columns and indexes, written by COPY (entries and lots, out of files in binary, which is faster than text) and one UPDATE (accounts) for each batch; for expiry one DELETE, two INSERTs and one UPDATE of ready-made rows |

Each call is a transaction of its own, in the prepared protocol, but for hold and capture, which are one together. A member starts
with three lots of 10 points and a reserve that lapses last. Members are drawn evenly, a redemption is of 1 to 21 points, so of one
to three lots. The mix is 70 % earn, 15 % redeem and 15 % balance, of members drawn by a Zipf law of exponent 1.05; the hot account
earns and redeems by turns. In batches, both post() and the loop in the server, the postings are made by the same statement.
"""


BUDGET = """\
## The budget

Ratios that are aimed at, each within this run.

"""

CALLS = """\
## Postings and reads

How many times as fast as the others jifen is; of pgbench's own, `select-only` is beside reads and `tpcb-like` beside the rest.

"""

LEDGERS = """\
## Growth of the ledger

Transactions per second of ledgers of so many lots, four for each member; `select-only` and `simple-update` of as many rows beside
them. synchronous_commit off.

"""

ACCOUNTS = """\
## Growth of an account

Transactions per second on accounts of so many entries, most of their points spent. 1 client, synchronous_commit off.

"""

STORAGE = """\
## Storage, memory, and a database that nothing analyzes

Bytes of disk are those by which all tables and indexes grow. Bytes of WAL are all that is written, with the images of pages that are
changed for the first time after a checkpoint, most of which fall into the first half. Memory is the session's own, with the array of
postings, which is measured alone too. The last lines are of one session that posts into a new database whose tables are not analyzed.

"""

REPORTS = """\
## Reports

What finance reads, out of summaries and out of the journal.

"""


def table(head, lines):
    return '\n'.join(['| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
                     + ['| ' + ' | '.join(line) + ' |' for line in lines]) + '\n'


def rate(number):
    return '' if number is None else f'{number:,.0f}' if number >= 100 else f'{number:.1f}'


def times(ratio):
    return '' if ratio is None else f'{ratio:.2f} ×'


def spread(numbers):
    return f'{rate(min(numbers))} to {rate(max(numbers))}'


def budget_table(samples, sizes):
    return table(['what', 'wanted', 'measured', 'met', 'beside it'],
                 [[line.what, line.wanted, line.measured or 'not measured', '' if line.met is None else 'yes' if line.met else '**no**',
                   line.beside or ''] for line in budget.lines(samples, sizes)])


def compared(samples, key):
    """How many times as fast jifen's is as pgbench's own, careful, everyday and the floor; None where there is no such."""
    own = 'select-only' if key.workload in READS else 'tpcb-like'
    return [samples.ratio(key, key._replace(workload=own, implementation='pgbench'))] \
        + [samples.ratio(key, key._replace(implementation=name)) for name in ('careful', 'everyday', 'floor')]


def ratio_table(samples, keys):
    """jifen's rates beside those of the others at the same."""
    lines = []
    for key in keys:
        lines.append([key.workload, str(key.clients), key.commit, f'{rate(samples.median(key))} {samples.units[key]}',
                      spread(samples.rates[key])] + [times(ratio) for ratio in compared(samples, key)])
    return table(['workload', 'clients', 'synchronous_commit', 'jifen', 'lowest to highest', 'to pgbench\'s', 'to careful', 'to everyday',
                  'to the floor'], lines)


def growth_table(samples, keys, between):
    """A line for each call, a column for each size: the key's workload is the call, between, and the size."""
    calls = list(dict.fromkeys(key.workload.split(between)[0] for key in keys))
    columns = list(dict.fromkeys(key.workload.split(between)[1] for key in keys))
    lines = []
    for call in calls:
        found = {key.workload.split(between)[1]: key for key in keys if key.workload.split(between)[0] == call}
        lines.append([call] + [f'{rate(samples.median(found[size]))} ({spread(samples.rates[found[size]])})' for size in columns]
                     + [times(samples.ratio(found[columns[-1]], found[columns[0]]))])
    return table(['call'] + columns + ['last to first'], lines)


def markdown(samples, sizes, took, reports):
    keys = list(samples.rates)
    at_lots = [key for key in keys if ' lots' in key.workload and ' at ' in key.workload]
    of_accounts = [key for key in keys if ' of accounts of ' in key.workload]
    sections = [ABOUT]
    sections.append('\n'.join(
        ['## Machine and settings', '', f'- {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {took / 60:.0f} minutes'] + server.machine()
        + ['- sizes: ' + ', '.join(f'{name}={what}' for name, what in sizes.all.items()), '']))
    sections.append(COMPARED)
    sections.append(BUDGET + budget_table(samples, sizes))
    own = [key for key in keys if key.implementation == 'jifen' and key not in at_lots + of_accounts]
    if own:
        sections.append(CALLS + ratio_table(samples, own))
    if at_lots:
        sections.append(LEDGERS + growth_table(samples, at_lots, ' at '))
    if of_accounts:
        sections.append(ACCOUNTS + growth_table(samples, of_accounts, ' of accounts of '))
    if samples.figures:
        sections.append(STORAGE + table(['what', 'measured'], [[name, f'{number:,.1f} {unit}']
                                                               for name, (unit, number) in samples.figures.items()]))
    if reports:
        sections.append(REPORTS + reports)
    sections.append('## All rates\n\n' + table(
        ['workload', 'implementation', 'clients', 'synchronous_commit', 'median', 'lowest to highest'],
        [[key.workload, key.implementation, str(key.clients), key.commit, f'{rate(samples.median(key))} {samples.units[key]}',
          spread(numbers)]
         for key, numbers in samples.rates.items()]))
    return '\n'.join(sections)


def comma_separated(samples):
    """A line for each rate, with jifen's as so many times the others, and for each figure."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(['workload', 'implementation', 'clients', 'synchronous_commit', 'unit', 'median', 'lowest', 'highest', 'rounds',
                     'to_pgbench', 'to_careful', 'to_everyday', 'to_floor'])
    for key, numbers in samples.rates.items():
        ratios = compared(samples, key) if key.implementation == 'jifen' else [None] * 4
        figures = [f'{number:.3f}' for number in (samples.median(key), min(numbers), max(numbers))]
        writer.writerow([key.workload.replace(',', ''), *key[1:], samples.units[key], *figures, len(numbers)]
                        + ['' if ratio is None else f'{ratio:.3f}' for ratio in ratios])
    for name, (unit, number) in samples.figures.items():
        writer.writerow([name.replace(',', ''), '', '', '', unit] + [f'{number:.3f}'] * 3 + [1] + [''] * 4)
    return file.getvalue()
