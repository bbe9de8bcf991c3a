/*
 * reverse.c
 *	  Decides how an entry is undone, wholly or in part.
 *
 * Pure, as posting.c.  A reversal undoes what was done: points return to the
 * lots that they came from, and a credit is taken from its own lot first.
 */
#include "postgres.h"

#include "errcodes.h"
#include "posting.h"

/* How much of the entry is to be undone: what was asked, or all that is left. */
PointAmount
jifen_reversed_amount(const JifenPosting *posting, const JifenTarget *target)
{
	if (jifen_is_given(posting, JIFEN_GIVEN_AMOUNT))
		return posting->amount;
	return (target->amount < 0 ? -target->amount : target->amount) - target->undone;
}

/* Why an entry of its kind cannot be reversed and what to do instead, or NULL. */
static const char *
what_instead(const JifenTarget *target)
{
	switch (target->kind)
	{
		case JIFEN_EARN:
		case JIFEN_REDEEM:
		case JIFEN_EXPIRE:
		case JIFEN_CAPTURE:
		case JIFEN_TRANSFER_OUT:
		case JIFEN_TRANSFER_IN:
		case JIFEN_IMPORT:
			return NULL;
		case JIFEN_ADJUST:
			/* One that forgives a debt is no credit. */
			return target->amount < 0 || target->expires_at != JIFEN_NO_TIME ? NULL :
				"A debt that was forgiven can be taken back with adjust().";
		case JIFEN_HOLD:
			return "release() ends a hold.";
		case JIFEN_RELEASE:
			return "Hold the points again with hold().";
		case JIFEN_REVERSE:
			return "A reversal is final: post again what it undid.";
		case JIFEN_REINSTATE:
			return "adjust() takes points back.";
		case JIFEN_EXTEND:
			return "undo_extension() takes an extension back.";
		default:
			return "It follows from another entry: reverse that one.";
	}
}

/* Whether the entry can be reversed by so much at that time. */
JifenRefusal *
jifen_check_reversal(const JifenAccount *account, const JifenPosting *posting,
					 const JifenTarget *target)
{
	const char *instead = what_instead(target);
	PointAmount whole = target->amount < 0 ? -target->amount : target->amount;
	PointAmount left = whole - target->undone;

	if (instead)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("entry cannot be reversed"),
							psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" is of kind %s.",
									 target->seq, account->member, account->program->code,
									 jifen_kind_name(target->kind)),
							pstrdup(instead));
	if (posting->expiry && target->kind != JIFEN_EXPIRE)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("expiry given for an entry that keeps its own"),
							psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" is of kind %s.",
									 target->seq, account->member, account->program->code,
									 jifen_kind_name(target->kind)),
							psprintf("Only where an expiry is undone do the points get another one."));
	if (posting->event_at < target->event_at)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("reversal before the entry that it reverses"),
							psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" happened at %s.",
									 target->seq, account->member, account->program->code,
									 timestamptz_to_str(target->event_at)),
							psprintf("Give an event_at that is not before it."));
	if (left == 0 || jifen_reversed_amount(posting, target) > left)
		return jifen_refuse(ERRCODE_JF_OVER_REVERSED,
							psprintf("more reversed than was posted"),
							psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" is of "
									 INT64_FORMAT " points; " INT64_FORMAT
									 " are reversed and " INT64_FORMAT " are left of it.",
									 target->seq, account->member, account->program->code,
									 whole, target->undone, left),
							psprintf("Reverse at most what is left of the entry."));
	return NULL;
}

/*
 * Returned points that belong to lots which have lapsed meanwhile lapse at
 * once, or get a grace that is still to come.  Then debts are repaid.
 */
static void
settle_returned(JifenAccount *account, TimestampTz event_at, const JifenClock *grace)
{
	if (grace == NULL || grace->expires_at <= event_at)
		jifen_expire_given(account, event_at);
	else
		jifen_extend_given(account, event_at, grace);
	jifen_repay_debts(account, event_at);
}

/*
 * A debit is undone: a debt that it made first, then its points return.  With
 * only_lot, they return to that lot alone (0: to any).
 */
static JifenRefusal *
return_points(JifenAccount *account, JifenPosting *posting, JifenTarget *target,
			  PointAmount amount, const JifenTaken *only_lot, bool is_own)
{
	const JifenProgram *program = account->program;
	JifenClock	grace;
	PointAmount balance;
	PointAmount owed = 0;
	JifenDebt  *debt = NULL;
	JifenEntry *entry;
	JifenRefusal *refusal = NULL;

	if (program->has_return_grace)
		refusal = jifen_reckon_expiry(account, &program->return_grace, posting->event_at,
									  JIFEN_NO_TIME, &grace);
	if (refusal)
		return refusal;
	if (jifen_add_overflows(account->balance, amount, &balance))
		return jifen_refuse_overflow(account, amount);

	for (int i = 0; i < account->ndebts; i++)
	{
		if (account->debts[i].seq == target->seq)
			debt = &account->debts[i];
	}
	if (debt)
	{
		owed = Min(amount, debt->remaining);
		debt->remaining -= owed;
	}
	jifen_begin_step(account);
	entry = jifen_add_entry(account, JIFEN_REVERSE, amount, 0, -owed, posting->event_at, posting);
	entry->is_own = is_own;
	entry->reverses_seq = target->seq;
	target->undone = jifen_add(target->undone, amount);
	if (only_lot == NULL)
		jifen_give_back(account, target->taken, target->ntaken, amount - owed,
						target->taking_seq);
	for (int i = 0; only_lot && i < target->ntaken; i++)
	{
		if (target->taken[i].seq == only_lot->seq)
			jifen_give_back(account, &target->taken[i], 1, amount, target->taking_seq);
	}
	settle_returned(account, posting->event_at, program->has_return_grace ? &grace : NULL);
	return NULL;
}

/* The part of total that belongs to the first part of whole, rounded down. */
static PointAmount
proportion(PointAmount total, PointAmount part, PointAmount whole)
{
	return (PointAmount) ((int128) total * part / whole);
}

/*
 * A credit is undone: its own lot first, then others, then by the program's
 * rule.  It loses its qualifying and its revenue in the proportion of all its
 * reversals so far, so that undoing the whole in any number of steps ends at exactly zero.
 */
static JifenRefusal *
withdraw_points(JifenAccount *account, JifenPosting *posting, JifenTarget *target,
				PointAmount amount, bool is_own)
{
	const JifenLot *own = jifen_find_lot(account, target->expires_at, target->seq);
	int64		seq;
	JifenEntry *entry;
	JifenRefusal *refusal = jifen_take_points(account, posting, JIFEN_REVERSE, amount,
											  own, true, &seq);

	if (refusal)
		return refusal;
	entry = &account->entries[account->nentries - 1 - (account->last_seq - seq)];
	entry->is_own = is_own;
	entry->reverses_seq = target->seq;
	if (target->has_qualifying)
	{
		entry->has_qualifying = true;
		entry->qualifying =
			proportion(target->qualifying, target->undone, target->amount) -
			proportion(target->qualifying, target->undone + amount, target->amount);
	}
	if (target->revenue)
		entry->revenue = jifen_undone_revenue(target->revenue, target->undone,
											  target->undone + amount, target->amount);
	target->undone = jifen_add(target->undone, amount);
	return NULL;
}

/*
 * An expiry is undone: the points return to their lots as if they had not been
 * booked as lapsed, and from there go on to lots with an expiry to come.
 */
static JifenRefusal *
reinstate_points(JifenAccount *account, JifenPosting *posting, JifenTarget *target,
				 PointAmount amount)
{
	const JifenProgram *program = account->program;
	const ExpiryPolicy *policy = posting->expiry ? posting->expiry :
	program->has_return_grace ? &program->return_grace : &program->expiry;
	JifenClock	clock;
	PointAmount balance;
	JifenEntry *entry;
	JifenRefusal *refusal = jifen_reckon_expiry(account, policy, posting->event_at,
												JIFEN_NO_TIME, &clock);

	if (refusal)
		return refusal;
	if (clock.expires_at <= posting->event_at)
		return jifen_refuse_lapsed(posting->event_at, clock.expires_at);
	if (jifen_add_overflows(account->balance, amount, &balance))
		return jifen_refuse_overflow(account, amount);

	jifen_begin_step(account);
	entry = jifen_add_entry(account, JIFEN_REINSTATE, amount, 0, 0, target->event_at, posting);
	entry->is_own = true;
	entry->reverses_seq = target->seq;
	target->undone = jifen_add(target->undone, amount);
	jifen_give_back(account, target->taken, target->ntaken, amount, target->taking_seq);
	for (int i = 0; i < account->nbooked; i++)
	{
		JifenBookedExpiry *booked = &account->booked[i];

		for (int t = 0; booked->expire_seq == target->seq && t < target->ntaken; t++)
		{
			if (target->taken[t].seq == booked->lot_seq)
				booked->amount = target->taken[t].amount;
		}
	}
	settle_returned(account, posting->event_at, &clock);
	return NULL;
}

/* Undoes the entry, which is none of a transfer and passed the check. */
JifenRefusal *
jifen_post_reversal(JifenAccount *account, JifenPosting *posting, JifenTarget *target)
{
	PointAmount amount = jifen_reversed_amount(posting, target);

	if (target->kind == JIFEN_EXPIRE)
		return reinstate_points(account, posting, target, amount);
	if (target->amount > 0)
		return withdraw_points(account, posting, target, amount, true);
	return return_points(account, posting, target, amount, NULL, true);
}

static int
compare_targets(const void *a, const void *b)
{
	int64		first = (*(JifenTarget *const *) a)->seq;
	int64		second = (*(JifenTarget *const *) b)->seq;

	return first < second ? -1 : first > second;
}

/* The credits that the receiver has of the transfer, in the order of its lots. */
static JifenTarget **
credits_of(JifenAccount *receiver, const JifenAccount *giver, const JifenTarget *out)
{
	JifenTarget **credits = palloc((out->ntaken + 1) * sizeof(JifenTarget *));
	int			n = 0;

	for (int i = 0; i < receiver->ntargets; i++)
	{
		JifenTarget *credit = &receiver->targets[i];

		if (credit->kind == JIFEN_TRANSFER_IN && credit->counter_account_id == giver->account_id &&
			credit->counter_seq == out->seq && n < out->ntaken)
			credits[n++] = credit;
	}
	if (n != out->ntaken)
		elog(ERROR, "transfer took from %d lots and has %d credits", out->ntaken, n);
	qsort(credits, n, sizeof(JifenTarget *), compare_targets);
	return credits;
}

/*
 * Undoes a transfer on both sides, whichever of its entries is named: of a
 * transfer_in that credit alone, of a transfer_out its lots, last taken
 * first.  The targets of all entries concerned are loaded.  A refusal may
 * leave the receiver changed.
 */
JifenRefusal *
jifen_post_transfer_reversal(JifenAccount *account, JifenAccount *counter,
							 JifenPosting *posting, JifenTarget *target)
{
	bool		is_out = target->kind == JIFEN_TRANSFER_OUT;
	JifenAccount *giver = is_out ? account : counter;
	JifenAccount *receiver = is_out ? counter : account;
	JifenTarget *out = is_out ? target : jifen_find_target(giver, target->counter_seq);
	JifenTarget **credits = credits_of(receiver, giver, out);
	PointAmount amount = jifen_reversed_amount(posting, target);
	PointAmount left = amount;
	int		   *places = jifen_order_of_taking(giver, out->taken, out->ntaken, out->taking_seq);
	int			lot = 0;

	for (int n = out->ntaken - 1; n >= 0 && left > 0; n--)
	{
		int			i = places[n];
		PointAmount part = is_out ? Min(left, out->taken[i].amount) : left;
		JifenRefusal *refusal;

		if (part == 0 || (!is_out && credits[i] != target))
			continue;
		lot = i;
		refusal = withdraw_points(receiver, posting, credits[i], part, !is_out);
		if (refusal)
			return refusal;
		left -= part;
	}
	Assert(left == 0);
	return return_points(giver, posting, out, amount, is_out ? NULL : &out->taken[lot], is_out);
}
