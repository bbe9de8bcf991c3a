"""samples.py: what was measured, and how large a run is."""

import os
from collections import namedtuple
from statistics import median

# commit: synchronous_commit; - where nothing is written.
Key = namedtuple('Key', 'workload implementation clients commit')


class Samples:
    """Rates, a list for each Key in the order in which they came, and figures that are no rates."""

    def __init__(self):
        self.rates = {}
        self.units = {}
        self.figures = {}

    def add(self, key, rate, unit):
        self.rates.setdefault(key, []).append(rate)
        self.units[key] = unit

    def figure(self, name, unit, number):
        self.figures[name] = (unit, number)

    def median(self, key):
        """None where it was not measured."""
        return median(self.rates[key]) if self.rates.get(key) else None

    def ratio(self, key, to):
        """Of the medians."""
        return self.median(key) / self.median(to) if self.rates.get(key) and self.rates.get(to) else None


# name: (make bench, make bench-quick)
DEFAULTS = {
    'ROUNDS': (3, 2),
    'SECONDS_EACH': (10, 2),
    'CLIENTS': ('2 8', '8'),
    'MEMBERS': (1_000_000, 20_000),
    'SCALE': (100, 10),
    'BATCHES': (20, 3),
    'WIDE_LOTS': (10_000, 10_000),
    'EXPIRY_MEMBERS': (300_000, 6_000),
    'EXPIRY_LOTS': (1_000_000, 20_000),
    'GROWTH_LOTS': ('10000 1000000 10000000', '10000 100000'),
    'ENTRIES': ('10 1000 100000', '10 1000'),
    'STORAGE_MEMBERS': (100_000, 10_000),
    'STORAGE_POSTINGS': (1_000_000, 50_000),
    'UN_ANALYZED_POSTINGS': (1_000_000, 50_000),
    'MEMORY_POSTINGS': (1_000_000, 50_000),
    'REPORT_MEMBERS': (1_000_000, 0),
    'REPORT_ENTRIES': (10_000_000, 0),
    'SECTIONS': ('calls batches expiry growth storage un_analyzed reports', 'calls batches expiry growth storage un_analyzed'),
}


class Sizes:
    """The defaults, but for what the environment says."""

    def __init__(self, quick):
        self.all = {}
        for name, defaults in DEFAULTS.items():
            default = defaults[1 if quick else 0]
            text = os.environ.get(name, str(default))
            self.all[name] = text
            setattr(self, name.lower(), text if isinstance(default, str) else int(text))

    def numbers(self, name):
        return [int(word) for word in getattr(self, name).split()]


class Section:
    """Prepared once, measured in each round, checked at the end."""

    def __init__(self, sizes, samples):
        self.sizes = sizes
        self.samples = samples

    def prepare(self):
        pass

    def measure(self, round_number):
        pass

    def check(self):
        """Ends the run where something does not add up."""

    def rotated(self, items, round_number):
        """In another order each round, so that a disturbance of the machine, or what the one before leaves behind, is not
        always the same one's."""
        at = round_number * len(items) // self.sizes.rounds
        return items[at:] + items[:at]
