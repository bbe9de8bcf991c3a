"""check.py: nothing counts unless everything adds up."""

import sys

from server import log, rows

CHECKS = {
    'jifen': ('select * from jifen.reconcile() limit 3', 'select * from jifen.verify_chain() limit 3'),
    'careful': ('select * from careful.breach limit 3',),
    'everyday': ('select * from everyday.breach limit 3',),
}


def check(database, *implementations):
    for implementation in implementations:
        for query in CHECKS[implementation]:
            log(f'{database}: {query}')
            wrong = rows(database, query)
            if wrong:
                sys.exit(f'{database}: {query} finds {wrong}')
