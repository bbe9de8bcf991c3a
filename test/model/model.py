"""model.py: the ledger once more, in memory and in the plainest way, to check the real one against.

Nothing is stored but the journal: entries, and under every credit the uses (allocations) made of
it, and what members were told. What remains of a lot, holds, debts, balances, tiers and what may be spent are reckoned anew from
the journal each time. Times are instants of when.py; a refusal is Refused with its SQLSTATE.
journal.py and booking.py write entries, verbs.py, reversals.py, extensions.py and notices.py decide, lapse.py says when
points lapse, periods.py closes books, readings.py answers.

The rules, as this model understands them
-----------------------------------------
Refusals, in this order: a null argument (22004) or a bad amount, identifier, key or time (22023); unknown
program (JF002); unknown member (JF003; earn and import open one where the program has auto_open); the key
(JF005); status (JF004); then the rest. A negative explicit
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

A lot lapses at expires_at unless it moves: where its policy counts inactivity, or the program's rules at the
posting required a notice. These rules, its policy and counts_from (first issue) are its own from then on. Its clock stands at the
later of expires_at and what the policy says with the latest activity, of the kinds and in the zone of its rule.
From the latest activity by the credit's event_at it goes on to the next for as long as that comes before the
lot lapses. It lapses where its clock stands, or where a notice must be given, the later of that and the end of the
local day notice_days after the first notice of that very instant; never without one. expires_at of a policy
with inactivity is reckoned with the latest activity by event_at, the credit itself among it.

A posting first books those lots that move and have lapsed by its event_at, after the holds. At its end it
reinstates what expire entries took of lots with inactivity that lapse later by now (one reinstate entry for each such expire
entry, by event_at and seq), then books what has lapsed of the lots that move by the latest activity.

The order of lots is by where their clocks stand before the posting, then seq. redeem, hold, transfer and a
negative adjust take from the lots spendable at t (available_at <= t, not lapsed at t) in that order, each up
to that limit; JF001 if it is not enough.

Where a debit takes more of a lot than remains stored, expire entries have booked the difference:
it is reinstated first, from the expire entries of that lot by ascending (event_at, seq); one reinstate
entry for each expire entry concerned (all lots together), in the same order, with its event_at and
reverses_seq = its seq, all before the debit's own entry. The earliest comes first because points may
have been given back to a lapsed lot and expired at once: undoing that later expiry for a debit from
before it would leave less than nothing in the lot in between.

What goes back to lots goes to the last first, in the order in which they stood when they were taken. What
goes back to lots that have lapsed by the event_at of the entry that gives it back is expired right after that
entry: one expire entry for each instant at which some lapsed, ascending, with the same event_at. Points that remained in such a lot before are left to the job.

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
  but moves by an extend entry to a new lot, one for each lot by (when it lapsed, seq), unless the grace is a day
  that has passed. What was forgiven cannot come back.
- of a capture: its lots are those of the hold less what was released of it.
- of an expire entry: a reinstate entry of its event_at gives back, and at t all of it moves by extend entries to
  new lots that lapse by the expiry given, else the return_grace, else the program's expiry, reckoned from t
  (22023 if that has passed). An extend keeps source and first issue, and its until is where the old clock stood.
- of either side of a transfer: both sides, the giver's as a debit, the receiver's as credits, that of the
  last lot first. Both accounts must be open.

Qualifying: an earn's own (its amount by default), an adjust's or import's where given; of a reversal of
a credit minus the share of it that falls to the reversed points, cumulated and rounded down: after R of A
points are reversed, floor(Q * R / A) is taken back altogether. Null in every other entry.

A transfer writes transfer_out and, for each lot taken, by its entry's expires_at and seq, a transfer_in with
that lot's clock as its expires_at, and its policy, rule, source and first issue; from then on the receiver's activity
moves it. Its key is on the transfer_out alone.

extend_expiry moves what is left (the limit above) of each lot not lapsed at t to a lot of its own, by (expires_at,
seq), after the reinstatements that all of it needs, if the new instant is later than its clock and t; lots that never
lapse and closed accounts are left out. Releases are not booked before. undo_extension does the same with what is
left of the lots made, back to the expires_at of the lots that they came from, whose clocks go on; what has lapsed by
those lapses at once. reinstate books all that has lapsed by now(), then reverses the expire entries by t, the latest first.

A notice tells of the lots left at sent_at that lapse by until, by their clocks where they wait for a notice, and of
which no notice of that window, or before then of a shorter one, told. Its days count from sent_at or the latest entry
(but expire and reinstate) or due hold, whichever is later.

Books are closed until a time that has come, later than before, if no hold whose deadline was before it is open and no
lot that lapsed before it has points left (55000); they are opened again to an earlier time, or wholly. A posting or
an extension of before that time is refused (JF008) after the key and the status, where the program refuses late
postings; what is due, and what follows from others, never is. The reports count an entry at its event_at, or at the
time until which the books were closed when it was posted, whichever is later.

funder is of credits, partner of redemptions and captures, source of both, revenue of earn and import. What moves by a
transfer or an extend entry keeps source and funder, and of its lot's revenue the part of its points, rounded half up to
six more decimals. A reversal of an earn or import loses the share of its revenue as it does of qualifying, rounded
half up to its own decimals.

A key names one request in its account: the same request again returns the first entry and writes
nothing; an argument left out differs from one given.

post decides its postings in order, in skip mode those of a group where its first stands, all or none.
reverse_reference brings what is reversed (or forgiven) of every entry with the reference, by seq, to
floor(points * returned / total).

expire_batch books for each account, ascending, one expire entry at each instant <= as_of for all that
remains in lots that lapsed then, whatever the account's status. Which accounts a limited batch takes, and whether it
counts one in which nothing was due after all, is left open. `more` tells whether due accounts are left. release_batch does the same
for holds with until <= as_of.

freeze needs an open account, unfreeze a frozen one, close one that is not closed (JF004). close books
overdue holds and what has lapsed by now(), then needs no balance, hold or debt (55000).

balance(as_of): entries with event_at <= as_of alone (and posted_at <= known_at), as if holds due by as_of
had been released and what they repay repaid; a lot is lapsed if it lapses by as_of, by the activities and notices
until then, else pending if available_at > as_of, else available, and held back besides if its clock has run out.
next_expires_at is the least finite instant > as_of at which lots with points will lapse, a notice that is missing
given at as_of, pending ones included, next_expiring the points lapsing then (both null if none).

Last activity is the latest event_at of the kinds that the program counts now.

Tiers: an entry's qualifying points count from its event_at until the instant a tier_window later by the
program's local clock. A sum below zero reaches what zero reaches. A tier holds until the first such
instant after which less than its threshold is left.

expires_at and available_at are null in entries without a lot of their own.
"""

from extensions import Extensions
from journal import MAX_POINTS, Refused
from notices import Notices
from periods import Periods
from readings import Readings
from reversals import Reversals
from verbs import Verbs

__all__ = ['MAX_POINTS', 'Ledger', 'Refused']


class Ledger(Verbs, Reversals, Notices, Extensions, Periods, Readings):
    """All of it: verbs and readings are named and called as the SQL functions are, plus now."""
