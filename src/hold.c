/*
 * hold.c
 *	  Decides on points that are reserved for a purchase in progress.
 *
 * Pure, as posting.c.  The lots of a hold that ends must be loaded.
 */
#include "postgres.h"

#include "errcodes.h"
#include "posting.h"

JifenRefusal *
jifen_post_hold(JifenAccount *account, JifenPosting *posting)
{
	JifenHold	hold = {0};
	JifenEntry *entry;
	int64		seq;
	JifenRefusal *refusal;

	if (posting->until <= posting->event_at)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("until is not after event_at"),
							psprintf("The points would be held from %s until %s.",
									 pstrdup(timestamptz_to_str(posting->event_at)),
									 pstrdup(timestamptz_to_str(posting->until))),
							psprintf("Give a deadline after the hold."));
	refusal = jifen_take_points(account, posting, JIFEN_HOLD, posting->amount,
								NULL, false, &seq);
	if (refusal)
		return refusal;
	entry = &account->entries[account->nentries - 1];
	entry->is_own = true;
	entry->until = posting->until;

	hold.seq = seq;
	hold.event_at = posting->event_at;
	hold.until = posting->until;
	hold.amount = posting->amount;
	hold.has_taken = true;
	hold.taken = palloc(entry->nallocations * sizeof(JifenTaken));
	for (int l = 0; hold.ntaken < entry->nallocations; l++)
	{
		const JifenAllocation *taken =
		&account->allocations[entry->first_allocation + hold.ntaken];

		if (account->lots[l].seq == taken->lot_seq)
			hold.taken[hold.ntaken++] =
				(JifenTaken)
		{
			account->lots[l].expires_at, taken->lot_seq, taken->amount
		};
	}
	jifen_add_hold(account, &hold);
	return NULL;
}

/*
 * Points of the hold that are not captured go back to their lots, last in
 * spending order first; what has lapsed meanwhile lapses at once.
 */
static void
give_up(JifenAccount *account, JifenHold *hold, PointAmount amount,
		TimestampTz event_at, const JifenPosting *posting, bool is_own)
{
	JifenEntry *entry;

	jifen_begin_step(account);
	entry = jifen_add_entry(account, JIFEN_RELEASE, 0, -amount, 0, event_at, posting);
	entry->is_own = is_own;
	entry->hold_seq = hold->seq;
	jifen_give_back(account, hold->taken, hold->ntaken, amount, hold->seq);
	hold->amount = 0;
	jifen_expire_given(account, event_at);
	jifen_repay_debts(account, event_at);
}

/* The open hold that the posting names, which must have been there then. */
static JifenRefusal *
find_hold(JifenAccount *account, const JifenPosting *posting, JifenHold **hold)
{
	*hold = jifen_find_hold(account, posting->seq);
	if (*hold == NULL)
		return jifen_refuse(ERRCODE_JF_NO_SUCH_HOLD,
							psprintf("no such hold or hold ended"),
							psprintf("Account \"%s\" of program \"%s\" has no open hold " INT64_FORMAT ".",
									 account->member, account->program->code, posting->seq),
							psprintf("A hold ends with its capture, its release or its deadline; statement() shows which."));
	if (posting->event_at < (*hold)->event_at)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("event_at is before the hold"),
							psprintf("Hold " INT64_FORMAT " of account \"%s\" of program \"%s\" happened at %s.",
									 posting->seq, account->member, account->program->code,
									 timestamptz_to_str((*hold)->event_at)),
							psprintf("Give an event_at that is not before it."));
	return NULL;
}

/* What is captured of a hold is spent, from its soonest to lapse; the rest is released. */
JifenRefusal *
jifen_post_capture(JifenAccount *account, JifenPosting *posting)
{
	JifenHold  *hold;
	JifenEntry *entry;
	PointAmount amount;
	PointAmount rest;
	JifenRefusal *refusal = find_hold(account, posting, &hold);

	if (refusal)
		return refusal;
	amount = jifen_is_given(posting, JIFEN_GIVEN_AMOUNT) ? posting->amount : hold->amount;
	if (amount > hold->amount)
		return jifen_refuse(ERRCODE_JF_INSUFFICIENT_POINTS,
							psprintf("insufficient points"),
							psprintf("Hold " INT64_FORMAT " of account \"%s\" of program \"%s\" is of "
									 INT64_FORMAT " points; " INT64_FORMAT " were to be captured.",
									 hold->seq, account->member, account->program->code,
									 hold->amount, amount),
							psprintf("Capture at most what is held and redeem the rest."));

	rest = hold->amount - amount;
	entry = jifen_add_entry(account, JIFEN_CAPTURE, -amount, -amount, 0, posting->event_at, posting);
	entry->is_own = true;
	entry->source = posting->source;
	entry->hold_seq = hold->seq;
	hold->amount = 0;
	if (rest > 0)
		give_up(account, hold, rest, posting->event_at, NULL, false);
	return NULL;
}

JifenRefusal *
jifen_post_release(JifenAccount *account, JifenPosting *posting)
{
	JifenHold  *hold;
	JifenRefusal *refusal = find_hold(account, posting, &hold);

	if (refusal)
		return refusal;
	give_up(account, hold, hold->amount, posting->event_at, posting, true);
	return NULL;
}

bool
jifen_has_due_hold(const JifenAccount *account, TimestampTz as_of)
{
	for (int i = 0; i < account->nholds; i++)
	{
		if (account->holds[i].amount > 0 && account->holds[i].until <= as_of)
			return true;
	}
	return false;
}

/*
 * Books the release of the holds whose deadline has come by as_of, each at
 * its deadline.  Returns how many.
 */
int
jifen_post_due_holds(JifenAccount *account, TimestampTz as_of)
{
	int			ndue = 0;

	for (;;)
	{
		JifenHold  *due = NULL;

		for (int i = 0; i < account->nholds; i++)
		{
			JifenHold  *hold = &account->holds[i];

			if (hold->amount > 0 && hold->until <= as_of &&
				(due == NULL || hold->until < due->until ||
				 (hold->until == due->until && hold->seq < due->seq)))
				due = hold;
		}
		if (due == NULL)
			break;
		Assert(due->has_taken);
		give_up(account, due, due->amount, due->until, NULL, false);
		ndue++;
	}
	if (ndue > 0)
		jifen_settle_moving(account);
	return ndue;
}
