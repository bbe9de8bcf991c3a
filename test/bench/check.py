"""check.py: nothing counts unless everything adds up."""

import sys

from server import log, rows

CHECKS = {
    'jifen': ('select * from jifen.reconcile()', 'select * from jifen.verify_chain()'),
    'careful': ('select * from careful.breach',),
    'everyday': ('select * from everyday.breach',),
}


def check(database, *implementations):
    for implementation in implementations:
        for query in CHECKS[implementation]:
            log(f'{database}: {query}')
            wrong = rows(database, query)
            if wrong:
                sys.exit(f'{database}: {query} finds {len(wrong)}: {wrong[:3]}')
