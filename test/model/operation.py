"""operation.py: what a history is made of: operations, their deadlines, and scripts of them."""

from dataclasses import dataclass, field

from when import FOREVER

NOWHERE = 10 ** 9       # a seq that no account reaches


@dataclass(frozen=True)
class Deadline:
    """An instant soon to come, fixed when it is first played: the delay after that, and some microseconds."""
    number: int
    delay: int
    after: int = 0


@dataclass
class Operation:
    """A call of one SQL function in one program (its twin's code is put in when it is played)."""
    verb: str
    program: str
    arguments: dict
    label: int = 0              # names the entry that it returns
    target: object = None       # label of the entry that it concerns
    jobs_only: bool = False     # not played in the twin
    postings: list = field(default_factory=list)    # of post(): operations
    group: object = None        # of such an operation

    member = property(lambda self: self.arguments.get('member', self.arguments.get('from_member')))

    def members(self):
        found = {self.arguments.get(name) for name in ('member', 'from_member', 'to_member')}
        found.update(self.arguments.get('members') or ())
        return (found | {m for op in self.postings for m in op.members()}) - {None}


def instants(account):
    """The instants at which something changes for the account, and those next to them."""
    found = set()
    for entry in account.entries[-60:]:
        found |= {entry.event_at, entry.available_at, entry.expires_at, entry.until}
    for credit in list(account.credits.values())[-20:]:
        found |= {credit.due_at, credit.lapses_at}
    found |= {notice.sent_at for notice in account.notices[-3:]}
    return sorted(t + d for t in found - {None, FOREVER} for d in (-1, 0, 1))


@dataclass
class Script:
    program: str
    steps: list = field(default_factory=list)   # ('call', [operation, …]), ('fault', …), ('begin',), ('wait',) …
    twin: bool = True                           # whether the twin plays it too

    def operations(self):
        return [op for step in self.steps if step[0] in ('call', 'fault', 'jobs') for op in step[1]]

    def members(self):
        return {member for op in self.operations() for member in op.members()}
