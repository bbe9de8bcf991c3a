"""budget.py: what must at least be reached, as ratios within one run."""

from samples import Key


class Line:
    """One ratio or figure, and whether it is what it must be; measured is None where this run has not measured it."""

    def __init__(self, what, wanted, measured, met, beside=''):
        self.what = what
        self.wanted = wanted
        self.measured = measured
        self.met = met
        self.beside = beside


def rates(clients):
    """(jifen's rate, what it is compared with, at least)."""
    def of(workload, implementation, commit, sessions=clients):
        return Key(workload, implementation, sessions, commit)
    return [
        (of('earn', 'jifen', 'on'), of('tpcb-like', 'pgbench', 'on'), 1.8),
        (of('earn', 'jifen', 'off'), of('tpcb-like', 'pgbench', 'off'), 2.5),
        (of('redeem', 'jifen', 'on'), of('tpcb-like', 'pgbench', 'on'), 1.4),
        (of('redeem', 'jifen', 'on'), of('redeem', 'careful', 'on'), 1.5),
        (of('earn', 'jifen', 'off'), of('earn', 'careful', 'off'), 1.5),
        (of('earn', 'jifen', 'off'), of('earn', 'everyday', 'off'), 1.0),
        (of('one hot account', 'jifen', 'on'), of('one hot account', 'careful', 'on'), 2.0),
        (of('balance', 'jifen', '-'), of('select-only', 'pgbench', '-'), 0.6),
        (of('tier_for', 'jifen', '-'), of('select-only', 'pgbench', '-'), 0.6),
        (of('batches of 10,000', 'jifen', 'on', 1), of('batches of 10,000', 'floor', 'on', 1), 0.5),
        (of('batches of 10,000', 'jifen', 'on', 1), of('batches of 10,000', 'careful', 'on', 1), 6.0),
        (of('expiry', 'jifen', 'on', 1), of('expiry', 'floor', 'on', 1), 0.5),
    ]


# name of the figure, and its bound
FIGURES = [
    ('disk of an earn, jifen', 'at most', 300),
    ('WAL of an earn, jifen, second half after a checkpoint', 'at most', 700),
    ('HOT share of updates of jifen.account', 'at least', 95),
]

# From the smallest to the largest ledger a call may lose so much, or that beyond what pgbench's own loses there.
GROWTH = 0.75


def growth(samples, sizes):
    """(call, its ratio, that of what pgbench does of the same kind, and pgbench's ratios to be shown)."""
    lots = sizes.numbers('growth_lots')
    clients = max(sizes.numbers('clients'))

    def ratio(call, implementation):
        key = [Key(f'{call} at {n:,} lots', implementation, clients, 'off') for n in (max(lots), min(lots))]
        return samples.ratio(*key)
    for call in ('earn', 'redeem', 'hold and capture', 'balance', 'tier_for'):
        beside = {name: ratio(name, 'pgbench')
                  for name in (['select-only'] if call in ('balance', 'tier_for') else ['simple-update', 'select-only'])}
        yield (call, ratio(call, 'jifen'), next(iter(beside.values())),
               ', '.join(f'{name}: {other:.2f} ×' for name, other in beside.items() if other))


def lines(samples, sizes):
    clients = max(sizes.numbers('clients'))
    for key, to, least in rates(clients):
        ratio = samples.ratio(key, to)
        commit = '' if key.commit == '-' else f', synchronous_commit {key.commit}'
        sessions = '' if key.clients == 1 else f', {key.clients} clients'
        name = to.implementation if to.workload == key.workload else to.workload
        yield Line(f'{key.workload}{sessions}{commit}', f'≥ {least:g} × {name}', ratio and f'{ratio:.2f} ×',
                   ratio and ratio >= least)
    lots = sizes.numbers('growth_lots')
    for call, ratio, other, beside in growth(samples, sizes):
        yield Line(f'{call} at {max(lots):,} lots', f'≥ {GROWTH} × the same at {min(lots):,}', ratio and f'{ratio:.2f} ×',
                   ratio and ratio >= GROWTH * min(1, other), beside)
    for name, bound, wanted in FIGURES:
        if name in samples.figures:
            unit, number = samples.figures[name]
            met = number <= wanted if bound == 'at most' else number >= wanted
            yield Line(name, f'{"≤" if bound == "at most" else "≥"} {wanted} {unit}', f'{number:.1f} {unit}', met)
