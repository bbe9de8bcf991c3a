"""model.py: the ledger once more, in memory and in the plainest way, to check the real one against.

Nothing is stored but the journal: entries, and under every credit the uses (allocations) made of
it. What remains of a lot, holds, debts, balances, tiers and what may be spent are reckoned anew from
the journal each time. Times are instants of when.py; a refusal is Refused with its SQLSTATE.
journal.py writes entries, verbs.py and reversals.py decide, readings.py answers.

The rules, as this model understands them
-----------------------------------------
Refusals, in this order: a null argument (22004) or a bad amount, identifier, key or time (22023); unknown
program (JF002); unknown member (JF003; earn and import open one where the program has auto_open); the key
(JF005); status (JF004); then the rest, an expiry by inactivity (0A000) among it. A negative explicit
`qualifying` is 22023, zero is not. What is due is booked after the status is known, so that a refusal
undoes it; where post() skips a refused posting, that is left open.

event_at: null means now(), or the account's latest event_at (of any entry) where that is later; of a
transfer and its reversal, the latest of both accounts. The clock of a posting is the later of now() and
event_at. An as_of of expire_batch in the future beyond the tolerance is 22023 like an event_at; one of
release_batch in the future at all.

Every entry's amount is what its own lot has, less what it takes from lots (more what it gives back),
plus its change of held, less its change of debt.

Net of a lot at τ: its points less the allocations of its entries with event_at <= τ, those of expire
and reinstate entries left out. A debit of event_at t may take from a lot at most the least net at any τ >= t. For a
debit later than all else that is what remains; for a back-dated one it is what was there at t and nobody
has taken since. Booked expiries play no part in it, hence no job can change an answer.

redeem, hold, transfer and a negative adjust take from the lots spendable at t (available_at <= t <
expires_at) by (expires_at, seq), the order of lots, each up to that limit; JF001 if it is not enough.

Where a debit takes more of a lot than remains stored, expire entries have booked the difference:
it is reinstated first, from the expire entries of that lot by ascending (event_at, seq); one reinstate
entry for each expire entry concerned (all lots together), in the same order, with its event_at and
reverses_seq = its seq, all before the debit's own entry. The earliest comes first because points may
have been given back to a lapsed lot and expired at once: undoing that later expiry for a debit from
before it would leave less than nothing in the lot in between.

What goes back to lots goes to the last in order first. What goes back to lots with expires_at <= the
event_at of the entry that gives it back is expired right after that entry: one expire entry for each such
expires_at, ascending, with the same event_at. Points that remained in such a lot before are left to the job.

Holds: until must be after t and after now() (22023). A posting first releases the account's holds with
until <= its clock, by (until, seq), each with event_at = until, then what lapses at once, then repayments.
capture keeps the first points of the hold's lots in order and releases the rest; both it and release
refuse what is no open hold (JF007), then an event_at before the hold's (22023), then too much (JF001).

Debts: taking back a credit, or a negative adjust, may lack points. The program's overdraft says what then
happens: refuse (JF001), debt (JF009 if the account's debt would exceed overdraft_limit), or forgive: a
debt that an adjust entry without lots writes off at once. After each entry that put points into lots, open
debts by seq are repaid from those points, lots by order: one repay entry for each debt, at the later of
both event_at, from lots that have not lapsed by then.

reverse: null amount means all that is left; nothing left, or less than asked: JF006. The order among
"the rest": no such seq, an entry that cannot be reversed, an event_at before it or before a repayment of
its debt, an expiry where no expire entry is reversed (all 22023), JF006, JF001 or JF009.
- of a credit: takes from its own lot first, lapsed or pending or not, up to the limit, then from the
  other lots spendable at t, then as the overdraft rule says.
- of a debit: undoes its open debt first, then gives back to the lots that it took from, repayments of
  its debt included. Where the program has a return_grace, what comes back to a lapsed lot does not lapse
  but moves by an extend entry to a new lot, one for each lot by order. What was forgiven cannot come back.
- of a capture: its lots are those of the hold less what was released of it.
- of an expire entry: a reinstate entry of its event_at gives back, and at t all of it moves by extend entries to new lots that
  lapse by the expiry given, else the return_grace, else the program's expiry, reckoned from t.
- of either side of a transfer: both sides, the giver's as a debit, the receiver's as credits, that of the
  last lot first. Both accounts must be open.

Qualifying: an earn's own (its amount by default), an adjust's or import's where given; of a reversal of
a credit minus the share of it that falls to the reversed points, cumulated and rounded down: after R of A
points are reversed, floor(Q * R / A) is taken back altogether. Null in every other entry.

A transfer writes transfer_out and, for each lot taken, by its entry's expires_at and seq, a transfer_in with
that lot's expiry, source and first issue. Its key is on the transfer_out alone. An extend has its lot's source and first issue.

A key names one request in its account: the same request again returns the first entry and writes
nothing; an argument left out differs from one given.

post decides its postings in order, in skip mode those of a group where its first stands, all or none.
reverse_reference brings what is reversed (or forgiven) of every entry with the reference, by seq, to
floor(points * returned / total).

expire_batch books for each account, by ascending expires_at, one expire entry of that event_at for all
that remains in lots with that expires_at <= as_of, whatever the account's status. Which accounts a
limited batch takes is left open. `more` tells whether due accounts are left. release_batch does the same
for holds with until <= as_of.

freeze needs an open account, unfreeze a frozen one, close one that is not closed (JF004). close books
overdue holds and what has lapsed by now(), then needs no balance, hold or debt (55000).

balance(as_of): entries with event_at <= as_of alone (and posted_at <= known_at), as if holds due by as_of
had been released and what they repay repaid; a lot is lapsed if expires_at <= as_of, else pending
if available_at > as_of, else available. next_expires_at is the least finite expires_at > as_of of lots with
points, pending ones included, next_expiring the points lapsing then (both null if none).

Last activity is the latest event_at of an earn, a redeem, a hold, a capture or a transfer_out; what is done
to the account is no activity of the member.

Tiers: an entry's qualifying points count from its event_at until the instant a tier_window later by the
program's local clock. A sum below zero reaches what zero reaches. A tier holds until the first such
instant after which less than its threshold is left.

expires_at and available_at are null in entries without a lot of their own.
"""

from extensions import Extensions
from journal import MAX_POINTS, Refused
from notices import Notices
from readings import Readings
from reversals import Reversals
from verbs import Verbs

__all__ = ['MAX_POINTS', 'Ledger', 'Refused']


class Ledger(Verbs, Reversals, Notices, Extensions, Readings):
    """All of it: verbs and readings are named and called as the SQL functions are, plus now."""
