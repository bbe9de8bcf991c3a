/*
 * posting.c
 *	  Decides what is credited to an account and what is debited from it.
 *
 * Pure: it reads and changes accounts in memory and touches no table, no
 * clock and no setting.  Each function checks everything first; a refusal
 * leaves the account as it was.
 */
#include "postgres.h"

#include "errcodes.h"
#include "posting.h"

/* Refuses an account that is frozen or closed. */
JifenRefusal *
jifen_require_open(const JifenAccount *account)
{
	if (account->status == JIFEN_OPEN)
		return NULL;
	return jifen_refuse(ERRCODE_JF_ACCOUNT_NOT_OPEN,
						psprintf("account is not open"),
						psprintf("Account \"%s\" of program \"%s\" is %s.",
								 account->member, account->program->code,
								 account->status == JIFEN_FROZEN ? "frozen" : "closed"),
						account->status == JIFEN_FROZEN ?
						psprintf("unfreeze_account() opens it again.") :
						psprintf("A closed account takes no more postings."));
}

JifenRefusal *
jifen_refuse_overflow(const JifenAccount *account, PointAmount amount)
{
	return jifen_refuse(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
						psprintf("balance out of range"),
						psprintf("Account \"%s\" of program \"%s\" holds " INT64_FORMAT
								 " points and cannot take " INT64_FORMAT " more.",
								 account->member, account->program->code,
								 account->balance, amount),
						psprintf("A balance is at most " INT64_FORMAT " points.",
								 PG_INT64_MAX));
}

/*
 * All lots must be known.  Of a back-dated posting, available is what could
 * have been taken then and has not been since.
 */
static JifenRefusal *
refuse_insufficient(const JifenAccount *account, PointAmount asked, TimestampTz at)
{
	PointAmount available = 0;
	PointAmount pending = 0;
	PointAmount lapsed = 0;

	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];

		if (account->has_history && lot->credited_at > at)
			continue;
		if (lot->expires_at <= at)
			lapsed = jifen_add(lapsed, lot->remaining);
		else if (lot->available_at > at)
			pending = jifen_add(pending, lot->remaining);
		else
			available = jifen_add(available, lot->takeable);
	}
	return jifen_refuse(ERRCODE_JF_INSUFFICIENT_POINTS,
						psprintf("insufficient points"),
						psprintf("Account \"%s\" of program \"%s\" was asked for " INT64_FORMAT
								 " points; " INT64_FORMAT " are available, "
								 INT64_FORMAT " pending, " INT64_FORMAT " held and "
								 INT64_FORMAT " lapsed.",
								 account->member, account->program->code, asked,
								 available, pending, account->held, lapsed),
						psprintf("Ask for at most the available points; balance() shows them."));
}

/* When points credited at that time lapse under the policy. */
JifenRefusal *
jifen_reckon_expiry(const ExpiryPolicy *policy, TimestampTz from,
					const JifenProgram *program, TimestampTz *result)
{
	if (jifen_policy_has_inactivity(policy))
		return jifen_refuse(ERRCODE_FEATURE_NOT_SUPPORTED,
							psprintf("expiry by inactivity is not supported yet"),
							psprintf("The expiry policy is \"%s\".", jifen_expiry_policy_out(policy)),
							psprintf("Use a policy that counts from the credit alone, such as \"12 months\"."));
	if (!jifen_last_instant(policy, from, program->time_zone, result))
		return jifen_refuse(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
							psprintf("expiry out of range"),
							psprintf("The expiry policy is \"%s\"; the last day would end after the last timestamp that there is.",
									 jifen_expiry_policy_out(policy)),
							psprintf("Use a shorter policy, or never."));
	return NULL;
}

/* When a credit's points lapse and from when on they can be spent. */
static JifenRefusal *
reckon_times(const JifenAccount *account, const JifenPosting *posting,
			 TimestampTz *expires_at, TimestampTz *available_at)
{
	const ExpiryPolicy *policy = posting->expiry ? posting->expiry : &account->program->expiry;
	bool		is_issued = jifen_is_given(posting, JIFEN_GIVEN_ISSUED_AT);
	JifenRefusal *refusal = NULL;

	*available_at = jifen_is_given(posting, JIFEN_GIVEN_AVAILABLE_AT) ?
		posting->available_at : posting->event_at;
	if (is_issued && posting->issued_at > posting->event_at)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("issued_at is after event_at"),
							psprintf("The points are credited at %s and would have been issued at %s.",
									 pstrdup(timestamptz_to_str(posting->event_at)),
									 pstrdup(timestamptz_to_str(posting->issued_at))),
							psprintf("Give when the points were first issued, or leave it out."));
	if (*available_at < posting->event_at)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("available_at is before event_at"),
							psprintf("The points are credited at %s and would be available from %s.",
									 pstrdup(timestamptz_to_str(posting->event_at)),
									 pstrdup(timestamptz_to_str(*available_at))),
							psprintf("Leave available_at out for points that are available at once."));
	if (jifen_is_given(posting, JIFEN_GIVEN_EXPIRES_AT))
		*expires_at = posting->expires_at;
	else
		refusal = jifen_reckon_expiry(policy, is_issued ? posting->issued_at : posting->event_at,
									  account->program, expires_at);
	if (refusal == NULL && *available_at >= *expires_at)
		refusal = jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							   psprintf("points would lapse by the time they become available"),
							   psprintf("They would be available from %s and lapse at %s.",
										pstrdup(timestamptz_to_str(*available_at)),
										pstrdup(timestamptz_to_str(*expires_at))),
							   psprintf("Give an earlier available_at or a longer expiry policy."));
	return refusal;
}

/*
 * A credit - an earn, an import or a goodwill adjustment - becomes a lot of
 * its own under the policy frozen in expires_at, and repays debts first.
 */
JifenRefusal *
jifen_post_credit(JifenAccount *account, JifenPosting *posting)
{
	PointAmount balance;
	TimestampTz expires_at;
	TimestampTz available_at;
	JifenEntry *entry;
	JifenRefusal *refusal = reckon_times(account, posting, &expires_at, &available_at);

	if (refusal)
		return refusal;
	if (jifen_add_overflows(account->balance, posting->amount, &balance))
		return jifen_refuse_overflow(account, posting->amount);

	jifen_begin_step(account);
	entry = jifen_add_entry(account, posting->kind, posting->amount, 0, 0,
							posting->event_at, posting);
	entry->is_own = true;
	entry->source = posting->source;
	if (jifen_is_given(posting, JIFEN_GIVEN_ISSUED_AT))
		entry->issued_at = posting->issued_at;
	entry->has_qualifying = posting->kind == JIFEN_EARN ||
		jifen_is_given(posting, JIFEN_GIVEN_QUALIFYING);
	entry->qualifying = jifen_is_given(posting, JIFEN_GIVEN_QUALIFYING) ?
		posting->qualifying : posting->amount;
	jifen_add_own_lot(account, entry, posting->amount, expires_at, available_at);
	if (posting->kind == JIFEN_EARN)
		account->last_activity_at = Max(account->last_activity_at, posting->event_at);
	jifen_repay_debts(account, posting->event_at);
	return NULL;
}

/*
 * What is taken back beyond what there was is owed by the member, or forgiven
 * at once.
 */
static void
owe(JifenAccount *account, int64 seq, PointAmount amount, TimestampTz event_at)
{
	JifenDebt	debt = {seq, event_at, 0, amount};
	JifenEntry *forgiving;

	if (account->program->overdraft == JIFEN_OVERDRAFT_DEBT)
	{
		jifen_add_debt(account, &debt);
		return;
	}
	forgiving = jifen_add_entry(account, JIFEN_ADJUST, amount, 0, -amount, event_at, NULL);
	forgiving->debt_seq = seq;
	forgiving->reason = "forgiven";
}

/*
 * A debit takes amount from the own lot (NULL: none goes first), then from
 * what is spendable.  Where that does not suffice it is refused or, if it may
 * owe, follows the program's rule.
 */
JifenRefusal *
jifen_take_points(JifenAccount *account, JifenPosting *posting, JifenKind kind,
				  PointAmount amount, const JifenLot *own, bool may_owe, int64 *entry_seq)
{
	const JifenProgram *program = account->program;
	bool		is_hold = kind == JIFEN_HOLD;
	PointAmount *takes = palloc0(Max(account->nlots, 1) * sizeof(PointAmount));
	PointAmount missing = jifen_choose(account, amount, posting->event_at, own, takes);
	PointAmount balance;
	PointAmount debt;
	JifenEntry *entry;

	if (missing > 0 && (!may_owe || program->overdraft == JIFEN_OVERDRAFT_REFUSE))
		return refuse_insufficient(account, amount, posting->event_at);
	if (pg_sub_s64_overflow(account->balance, amount, &balance) ||
		jifen_add_overflows(account->debt, missing, &debt))
		return jifen_refuse_overflow(account, -amount);
	if (missing > 0 && program->overdraft_limit > 0 && debt > program->overdraft_limit)
		return jifen_refuse(ERRCODE_JF_LIMIT_REACHED,
							psprintf("limit of debt reached"),
							psprintf("Account \"%s\" of program \"%s\" owes " INT64_FORMAT
									 " points, would owe " INT64_FORMAT
									 " more, and may owe " INT64_FORMAT ".",
									 account->member, program->code, account->debt, missing,
									 program->overdraft_limit),
							psprintf("Take back less, or raise the program's overdraft_limit."));

	jifen_reinstate_booked(account, takes);
	entry = jifen_add_entry(account, kind, is_hold ? 0 : -amount, is_hold ? amount : 0,
							missing, posting->event_at, posting);
	*entry_seq = entry->seq;
	jifen_take(account, takes);
	if (missing > 0)
		owe(account, *entry_seq, missing, posting->event_at);
	pfree(takes);
	return NULL;
}

/* The entry of that seq, which this batch has added. */
static JifenEntry *
added_entry(JifenAccount *account, int64 seq)
{
	return &account->entries[account->nentries - 1 - (account->last_seq - seq)];
}

JifenRefusal *
jifen_post_redeem(JifenAccount *account, JifenPosting *posting)
{
	int64		seq;
	JifenRefusal *refusal = jifen_take_points(account, posting, JIFEN_REDEEM,
											  posting->amount, NULL, false, &seq);

	if (refusal)
		return refusal;
	added_entry(account, seq)->is_own = true;
	account->last_activity_at = Max(account->last_activity_at, posting->event_at);
	return NULL;
}

/* An adjustment of less than zero. */
JifenRefusal *
jifen_post_penalty(JifenAccount *account, JifenPosting *posting)
{
	int64		seq;
	JifenRefusal *refusal = jifen_take_points(account, posting, JIFEN_ADJUST,
											  -posting->amount, NULL, true, &seq);

	if (refusal)
		return refusal;
	added_entry(account, seq)->is_own = true;
	added_entry(account, seq)->source = posting->source;
	return NULL;
}

/*
 * Points go to another member as they are: each lot becomes a credit that
 * keeps its expiry, when it was issued and by which channel.  The origin of
 * the lots must be loaded.
 */
JifenRefusal *
jifen_post_transfer(JifenAccount *account, JifenAccount *receiver, JifenPosting *posting)
{
	JifenRefusal *refusal;
	JifenEntry *entry;
	PointAmount balance;
	int64		out_seq;
	int			first;
	int			next;

	if (jifen_add_overflows(receiver->balance, posting->amount, &balance))
		return jifen_refuse_overflow(receiver, posting->amount);
	refusal = jifen_take_points(account, posting, JIFEN_TRANSFER_OUT, posting->amount,
								NULL, false, &out_seq);
	if (refusal)
		return refusal;
	entry = added_entry(account, out_seq);
	entry->is_own = true;
	entry->counter_account_id = receiver->account_id;
	entry->counter_seq = receiver->last_seq + 1;
	account->last_activity_at = Max(account->last_activity_at, posting->event_at);

	first = entry->first_allocation;
	next = first + entry->nallocations;
	for (int i = 0, l = 0; i < next - first; i++, l++)
	{
		const JifenAllocation *taken = &account->allocations[first + i];
		const JifenLot *lot;

		/* Allocations are in spending order, as the lots are. */
		while (account->lots[l].seq != taken->lot_seq)
			l++;
		lot = &account->lots[l];
		Assert(lot->has_origin);

		jifen_begin_step(receiver);
		entry = jifen_add_entry(receiver, JIFEN_TRANSFER_IN, taken->amount, 0, 0,
								posting->event_at, posting);
		entry->counter_account_id = account->account_id;
		entry->counter_seq = out_seq;
		entry->source = lot->source;
		entry->issued_at = lot->issued_at;
		jifen_add_own_lot(receiver, entry, taken->amount, lot->expires_at, posting->event_at);
		jifen_repay_debts(receiver, posting->event_at);
	}
	return NULL;
}

/*
 * Books what has lapsed by as_of: one entry for each expiry instant, at that
 * instant.  All lots that have lapsed by then must be loaded.  An account of
 * any status can lapse.
 */
void
jifen_post_expiry(JifenAccount *account, TimestampTz as_of)
{
	for (int i = 0, next; i < account->nlots; i = next)
	{
		TimestampTz instant = account->lots[i].expires_at;
		PointAmount amount = 0;

		if (instant > as_of)
			break;
		for (next = i; next < account->nlots && account->lots[next].expires_at == instant; next++)
			amount = jifen_add(amount, account->lots[next].remaining);
		if (amount == 0)
			continue;

		jifen_add_entry(account, JIFEN_EXPIRE, -amount, 0, 0, instant, NULL);
		for (int j = i; j < next; j++)
		{
			if (account->lots[j].remaining > 0)
				jifen_allocate(account, &account->lots[j], account->lots[j].remaining);
		}
	}
}
