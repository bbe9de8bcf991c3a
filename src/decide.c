/*
 * decide.c
 *	  Decides one posting of a batch: what it asks for is checked in the order in
 *	  which refusals take precedence, and handed to the file of its topic.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "batch.h"
#include "request.h"
#include "storage.h"

/* Whether the entry to reverse is one that the batch has decided and not stored. */
static bool
is_of_batch(const JifenPosting *posting)
{
	const JifenAccount *account = posting->account;

	return account->nstored < account->nentries &&
		posting->seq >= account->entries[account->nstored].seq &&
		posting->seq <= account->last_seq;
}

static JifenRefusal *
refuse_no_such_entry(const JifenPosting *posting)
{
	const JifenAccount *account = posting->account;

	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("no such entry"),
						psprintf("Account \"%s\" of program \"%s\" has entries 1 to " INT64_FORMAT
								 ", and no entry " INT64_FORMAT ".",
								 account->member, account->program->code, account->last_seq,
								 posting->seq),
						psprintf("statement() lists the entries of an account."));
}

/* Whether a credit of the transfer has lapsed by then. */
static bool
has_lapsed_credit(const JifenAccount *receiver, int64 giver_id, int64 out_seq, TimestampTz at)
{
	for (int i = 0; i < receiver->ntargets; i++)
	{
		const JifenTarget *credit = &receiver->targets[i];

		if (credit->kind == JIFEN_TRANSFER_IN && credit->counter_account_id == giver_id &&
			credit->counter_seq == out_seq && credit->expires_at <= at)
			return true;
	}
	return false;
}

/* Reverses an entry of a transfer, on both accounts or on none. */
static JifenRefusal *
decide_transfer_reversal(JifenBatch *batch, JifenPosting *posting, JifenTarget *target)
{
	JifenAccount *account = posting->account;
	JifenAccount *counter = posting->counter;
	bool		is_out = target->kind == JIFEN_TRANSFER_OUT;
	JifenAccount *receiver = is_out ? counter : account;
	JifenAccount *account_before;
	JifenAccount *counter_before;
	JifenRefusal *refusal;

	jifen_prepare_debit(batch, receiver, jifen_reversed_amount(posting, target), posting->event_at,
						has_lapsed_credit(receiver, (is_out ? account : counter)->account_id,
										  is_out ? target->seq : target->counter_seq,
										  posting->event_at));
	account_before = jifen_copy_account(account);
	counter_before = jifen_copy_account(counter);
	refusal = jifen_post_transfer_reversal(account, counter, posting, target);
	if (refusal)
	{
		jifen_restore_account(account, account_before);
		jifen_restore_account(counter, counter_before);
	}
	return refusal;
}

static JifenRefusal *
decide_reversal(JifenBatch *batch, JifenPosting *posting, JifenTarget *target)
{
	JifenRefusal *refusal = jifen_check_reversal(posting->account, posting, target);

	if (refusal)
		return refusal;
	if (jifen_is_transfer(target->kind))
		return decide_transfer_reversal(batch, posting, target);
	if (target->expires_at != JIFEN_NO_TIME)
		jifen_prepare_withdrawal(batch, posting->account, target,
								 jifen_reversed_amount(posting, target), posting->event_at);
	return jifen_post_reversal(posting->account, posting, target);
}

/* Decides a posting that takes points of its own account. */
static JifenRefusal *
decide_debit(JifenBatch *batch, JifenPosting *posting)
{
	JifenAccount *account = posting->account;
	PointAmount amount = posting->amount < 0 ? -posting->amount : posting->amount;

	jifen_prepare_debit(batch, account, amount, posting->event_at, false);
	switch (posting->kind)
	{
		case JIFEN_REDEEM:
			return jifen_post_redeem(account, posting);
		case JIFEN_HOLD:
			return jifen_post_hold(account, posting);
		case JIFEN_TRANSFER_OUT:
			jifen_load_origins(account);
			return jifen_post_transfer(account, posting->counter, posting);
		default:
			return jifen_post_penalty(account, posting);
	}
}

/* The entry of the same key, whose request must have been the same. */
static JifenRefusal *
check_key(JifenBatch *batch, JifenPosting *posting)
{
	if (posting->first == NULL && posting->repeats_key)
	{
		jifen_store_so_far(batch, posting->account);
		jifen_load_keys(&posting, 1);
	}
	return posting->first ? jifen_replay(posting) : NULL;
}

/*
 * An account that the batch has opened is there for others from the first
 * posting on that opens accounts and is not refused.
 */
static JifenRefusal *
require_known(const JifenAccount *account, Datum member)
{
	return account->is_opened && account->last_seq == 0 ?
		jifen_refuse_unknown_member(account->program, member) : NULL;
}

/* Decides one posting; a refusal leaves its accounts as they were but for what was due. */
static JifenRefusal *
decide(JifenBatch *batch, JifenPosting *posting)
{
	JifenAccount *account = posting->account;
	JifenTarget *target = NULL;
	JifenRefusal *refusal;
	TimestampTz clock;

	refusal = check_key(batch, posting);
	if (refusal || posting->first)
		return refusal;
	if (posting->kind != JIFEN_EARN && posting->kind != JIFEN_IMPORT)
		refusal = require_known(account, posting->member);
	if (refusal == NULL && posting->to_member)
		refusal = posting->counter == NULL ?
			jifen_find_member(batch, posting->program, posting->to_member)->refusal :
			require_known(posting->counter, posting->to_member);
	if (refusal == NULL)
		refusal = jifen_require_open(account);
	if (refusal)
		return refusal;

	if (posting->kind == JIFEN_REVERSE)
	{
		if (is_of_batch(posting))
			jifen_store_so_far(batch, account);
		target = jifen_batch_target(batch, posting);
		if (target == NULL)
			return refuse_no_such_entry(posting);
	}
	if (posting->counter)
		refusal = jifen_require_open(posting->counter);
	if (refusal)
		return refusal;

	if (posting->event_at == JIFEN_NO_TIME)
	{
		posting->event_at = jifen_default_event_at(account->program, batch->now, account->last_event_at);
		if (posting->counter)
			posting->event_at = Max(posting->event_at, posting->counter->last_event_at);
	}
	refusal = jifen_require_open_period(account->program, posting->event_at);
	if (refusal)
		return refusal;
	clock = Max(batch->now, posting->event_at);
	jifen_release_due(batch, account, clock);
	if (posting->counter)
		jifen_release_due(batch, posting->counter, clock);
	posting->is_late = posting->event_at < account->last_event_at ||
		(posting->counter && posting->event_at < posting->counter->last_event_at);
	jifen_prepare_moving(batch, posting);

	switch (posting->kind)
	{
		case JIFEN_EARN:
		case JIFEN_IMPORT:
			return jifen_post_credit(account, posting);
		case JIFEN_CAPTURE:
			return jifen_post_capture(account, posting);
		case JIFEN_RELEASE:
			return jifen_post_release(account, posting);
		case JIFEN_REVERSE:
			return decide_reversal(batch, posting, target);
		case JIFEN_HOLD:
			if (posting->until <= batch->now)
				return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
									psprintf("until has passed"),
									psprintf("It is %s, and it is now %s.",
											 pstrdup(timestamptz_to_str(posting->until)),
											 pstrdup(timestamptz_to_str(batch->now))),
									psprintf("Give a deadline to come."));
			return decide_debit(batch, posting);
		case JIFEN_ADJUST:
			if (posting->amount > 0)
				return jifen_post_credit(account, posting);
			return decide_debit(batch, posting);
		default:
			return decide_debit(batch, posting);
	}
}

/* Decides one posting and notes what has become of it. */
void
jifen_settle(JifenBatch *batch, JifenPosting *posting)
{
	JifenAccount *account = posting->account;

	CHECK_FOR_INTERRUPTS();
	posting->is_done = true;
	if (posting->refusal == NULL)
		posting->refusal = decide(batch, posting);
	if (posting->refusal || posting->first)
		return;
	if (posting->is_late || jifen_may_give_back(posting))
	{
		jifen_settle_moving(account);
		if (posting->counter)
			jifen_settle_moving(posting->counter);
	}
	for (int i = account->nentries - 1; i >= 0; i--)
	{
		const JifenEntry *entry = &account->entries[i];

		if (entry->posting == posting && entry->is_own)
		{
			posting->entry_seq = entry->seq;
			posting->entry_balance = entry->balance;
			return;
		}
	}
	elog(ERROR, "posting has become no entry");
}
