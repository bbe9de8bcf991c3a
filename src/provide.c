/*
 * provide.c
 *	  Provides a posting of a batch, when it is its turn, with what only few need:
 *	  the entry that it reverses, more lots, the history of an account.
 */
#include "postgres.h"

#include "batch.h"
#include "storage.h"

bool
jifen_is_transfer(JifenKind kind)
{
	return kind == JIFEN_TRANSFER_OUT || kind == JIFEN_TRANSFER_IN;
}

/* Whether the posting takes points of its own account. */
bool
jifen_is_debit(const JifenPosting *posting)
{
	return posting->kind == JIFEN_REDEEM || posting->kind == JIFEN_HOLD ||
		posting->kind == JIFEN_TRANSFER_OUT ||
		(posting->kind == JIFEN_ADJUST && posting->amount < 0);
}

/*
 * Whether the posting credits points whose expiry can move.  A reversal does
 * where what it gives back goes on under another policy.
 */
bool
jifen_credits_moving(const JifenPosting *posting)
{
	const JifenProgram *program = posting->account->program;
	bool		is_credit = posting->kind == JIFEN_EARN || posting->kind == JIFEN_IMPORT ||
	posting->kind == JIFEN_REVERSE || (posting->kind == JIFEN_ADJUST && posting->amount > 0);
	const ExpiryPolicy *policy = &program->expiry;

	if (posting->expiry)
		policy = posting->expiry;
	else if (posting->kind == JIFEN_REVERSE && program->has_return_grace)
		policy = &program->return_grace;
	return is_credit && jifen_is_moving(program, policy);
}

/* Whether the posting may return points to lots that others were taken from. */
bool
jifen_may_give_back(const JifenPosting *posting)
{
	return posting->kind == JIFEN_REVERSE || posting->kind == JIFEN_RELEASE ||
		(posting->kind == JIFEN_CAPTURE && jifen_is_given(posting, JIFEN_GIVEN_AMOUNT));
}

/* The counterpart of a reversal of a transfer. */
static JifenAccount *
counter_of(const JifenBatch *batch, const JifenTarget *target)
{
	JifenAccount *counter = jifen_account_of_id(batch->accounts, batch->naccounts,
												target->counter_account_id);

	if (counter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not lock the other account of the transfer"),
				 errdetail("The other account of entry " INT64_FORMAT " was not known when the accounts were being locked.",
						   target->seq),
				 errhint("Retry the transaction.")));
	return counter;
}

/* Loads the entry that the posting reverses; of a transfer, both sides. */
JifenTarget *
jifen_batch_target(JifenBatch *batch, JifenPosting *posting)
{
	JifenAccount *account = posting->account;
	JifenTarget *target = jifen_find_target(account, posting->seq);
	JifenKeys	entries = {0};

	if (target == NULL)
	{
		jifen_add_key(&entries, account->account_id, Int64GetDatum(posting->seq));
		jifen_load_targets(&account, 1, &entries);
		target = jifen_find_target(account, posting->seq);
	}
	if (target && target->counter_account_id != 0)
	{
		JifenAccount *counter = counter_of(batch, target);

		posting->counter = counter;
		if (target->kind == JIFEN_TRANSFER_OUT)
			jifen_load_transfer(account, posting->seq, counter);
		else
			jifen_load_transfer(counter, target->counter_seq, account);
		target = jifen_find_target(account, posting->seq);
	}
	return target;
}

/*
 * Stores what the batch has decided so far, if any of it is the account's, so
 * that it can be looked up like anything else.
 */
void
jifen_store_so_far(JifenBatch *batch, const JifenAccount *account)
{
	if (account->nstored == account->nentries)
		return;
	if (batch->keeps_unstored)
		elog(ERROR, "group would store what may have to be undone");
	jifen_store(batch->accounts, batch->naccounts);
}

static void
load_history(JifenBatch *batch, JifenAccount *account, bool with_activities)
{
	if (!jifen_lacks_history(account, with_activities))
		return;
	jifen_store_so_far(batch, account);
	jifen_load_history(account, with_activities);
}

/*
 * Whether what is booked may not stay as it is because of the posting: points
 * return to lots that were used up, or it happened before other things.
 * Gets_moving: it brings points whose expiry can move.
 */
static bool
needs_past(const JifenAccount *account, const JifenPosting *posting, bool gets_moving)
{
	const JifenProgram *program = account->program;
	TimestampTz at = posting->event_at;
	TimestampTz from = jifen_is_given(posting, JIFEN_GIVEN_ISSUED_AT) ? posting->issued_at : at;
	TimestampTz latest = JIFEN_NO_TIME;
	TimestampTz lapses_at;

	if (account->due_at == JIFEN_NO_TIME && !gets_moving)
		return false;
	if (account->due_at != JIFEN_NO_TIME && jifen_may_give_back(posting))
		return true;
	if (at >= account->last_event_at)
		return false;
	if (jifen_is_debit(posting) || posting->kind == JIFEN_REVERSE || at < account->last_at[JIFEN_TRACE_EXPIRE])
		return true;
	if (!jifen_credits_moving(posting))
		return false;

	/* Points that last beyond whatever happened need to know nothing of it. */
	for (int i = 0; i < JIFEN_TRACES; i++)
		latest = Max(latest, account->last_at[i]);
	return !jifen_last_instant(posting->expiry ? posting->expiry : &program->expiry, from,
							   account->opened_at, program->rule.time_zone, &lapses_at) ||
		lapses_at <= latest;
}

/*
 * Makes sure that what the posting needs of the account's moving lots is in
 * memory and wound, and books what of them has lapsed by then.
 */
static void
prepare_moving(JifenBatch *batch, JifenAccount *account, const JifenPosting *posting,
			   bool gets_moving)
{
	if (needs_past(account, posting, gets_moving))
		load_history(batch, account, true);
	if (account->due_at == JIFEN_NO_TIME ||
		(account->due_at > posting->event_at && !jifen_is_debit(posting) && !jifen_may_give_back(posting)))
		return;
	if (account->has_moving_lots)
		jifen_wind_lots(account);
	else
		jifen_load_moving_lots(&account, 1);
	jifen_expire_moving(account, posting->event_at);
}

/* The same for both sides of the posting. */
void
jifen_prepare_moving(JifenBatch *batch, JifenPosting *posting)
{
	prepare_moving(batch, posting->account, posting, jifen_credits_moving(posting));
	if (posting->counter)
		prepare_moving(batch, posting->counter, posting,
					   posting->account->due_at != JIFEN_NO_TIME || jifen_credits_moving(posting));
}

/* Books the release of the account's holds that are due by then. */
void
jifen_release_due(JifenBatch *batch, JifenAccount *account, TimestampTz by)
{
	if (account->due_at != JIFEN_NO_TIME && jifen_has_due_hold(account, by))
		load_history(batch, account, true);
	(void) jifen_post_due_holds(account, by);
}

/*
 * Makes sure that enough is known of the account's lots to take that many
 * points at that time.
 */
void
jifen_prepare_debit(JifenBatch *batch, JifenAccount *account, PointAmount amount, TimestampTz at,
					bool needs_history)
{
	if (needs_history || at < account->last_event_at)
		load_history(batch, account, false);
	if (!jifen_lots_suffice(account, amount, at))
		jifen_load_all_lots(account);
}

/* Prepares an account to lose a credit, whose own lot often suffices. */
void
jifen_prepare_withdrawal(JifenBatch *batch, JifenAccount *account, const JifenTarget *credit,
						 PointAmount amount, TimestampTz at)
{
	const JifenLot *own = jifen_find_lot(account, credit->expires_at, credit->seq);

	if (at < account->last_event_at || at >= credit->expires_at || own->remaining < amount)
		jifen_prepare_debit(batch, account, amount, at, credit->expires_at <= at);
}
