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

/* When it happens, unless somebody says so: now, but not before the latest of the account, nor in closed books. */
TimestampTz
jifen_default_event_at(const JifenProgram *program, TimestampTz now, TimestampTz latest)
{
	return Max(Max(now, latest), program->closed_until);
}

/* Refuses what happened in a period that is closed, where the program does. */
JifenRefusal *
jifen_require_open_period(const JifenProgram *program, TimestampTz event_at)
{
	if (event_at >= program->closed_until || !program->refuses_late)
		return NULL;
	return jifen_refuse(ERRCODE_JF_PERIOD_CLOSED,
						psprintf("period is closed"),
						psprintf("The books of program \"%s\" are closed until %s, and it happened at %s.",
								 program->code, pstrdup(timestamptz_to_str(program->closed_until)),
								 pstrdup(timestamptz_to_str(event_at))),
						psprintf("Give an event_at in the open period; late_postings 'book' would take it, and reopen_period() opens the books again."));
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
		if (lot->lapses_at <= at)
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

/*
 * By which clock points issued at that time lapse under the policy, with the
 * member active at the other.
 */
JifenRefusal *
jifen_reckon_expiry(const JifenAccount *account, const ExpiryPolicy *policy,
					TimestampTz from, TimestampTz active_at, JifenClock *clock)
{
	const JifenProgram *program = account->program;
	pg_tz	   *tz = program->rule.time_zone;
	TimestampTz from_credit;
	TimestampTz from_activity;
	bool		in_range = jifen_credit_instant(policy, from, account->opened_at, tz, &from_credit);

	if (!in_range)
		from_credit = DT_NOEND;
	if (!jifen_inactive_instant(policy, Max(from, active_at), account->opened_at, tz, &from_activity))
	{
		from_activity = DT_NOEND;
		in_range = false;
	}
	clock->expires_at = Min(from_credit, from_activity);
	if (!in_range && clock->expires_at == DT_NOEND)
		return jifen_refuse(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
							psprintf("expiry out of range"),
							psprintf("The expiry policy is \"%s\"; the last day would end after the last timestamp that there is.",
									 jifen_expiry_policy_out(policy)),
							psprintf("Use a shorter policy, or never."));
	clock->rule = jifen_is_moving(program, policy) ? &program->rule : NULL;
	clock->expiry = jifen_policy_has_inactivity(policy) ? policy : NULL;
	return NULL;
}

/* When the member was active last, as far as is known, by the time of the posting. */
static TimestampTz
active_by(JifenAccount *account, const JifenPosting *posting)
{
	const JifenRule *rule = &account->program->rule;

	if (rule->activity & (1 << jifen_trace_of_kind(posting->kind)))
		return posting->event_at;
	return jifen_activity_by(account, rule, posting->event_at);
}

JifenRefusal *
jifen_refuse_lapsed(TimestampTz available_at, TimestampTz expires_at)
{
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("points would lapse by the time they become available"),
						psprintf("They would be available from %s and lapse at %s.",
								 pstrdup(timestamptz_to_str(available_at)),
								 pstrdup(timestamptz_to_str(expires_at))),
						psprintf("Give an earlier available_at or a longer expiry policy."));
}

/* By which clock a credit's points lapse and from when on they can be spent. */
static JifenRefusal *
reckon_times(JifenAccount *account, const JifenPosting *posting,
			 JifenClock *clock, TimestampTz *available_at)
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
	{
		clock->expires_at = posting->expires_at;
		clock->rule = account->program->rule.notice_days > 0 ? &account->program->rule : NULL;
		clock->expiry = NULL;
	}
	else
		refusal = jifen_reckon_expiry(account, policy,
									  is_issued ? posting->issued_at : posting->event_at,
									  active_by(account, posting), clock);
	if (refusal == NULL && *available_at >= clock->expires_at)
		refusal = jifen_refuse_lapsed(*available_at, clock->expires_at);
	return refusal;
}

/*
 * A credit - an earn, an import or a goodwill adjustment - becomes a lot of
 * its own under the policy frozen in its clock, and repays debts first.
 */
JifenRefusal *
jifen_post_credit(JifenAccount *account, JifenPosting *posting)
{
	PointAmount balance;
	JifenClock	clock;
	TimestampTz available_at;
	JifenEntry *entry;
	JifenRefusal *refusal = reckon_times(account, posting, &clock, &available_at);

	if (refusal)
		return refusal;
	if (jifen_add_overflows(account->balance, posting->amount, &balance))
		return jifen_refuse_overflow(account, posting->amount);

	jifen_begin_step(account);
	entry = jifen_add_entry(account, posting->kind, posting->amount, 0, 0,
							posting->event_at, posting);
	entry->is_own = true;
	entry->source = posting->source;
	entry->funder = posting->funder;
	entry->revenue = posting->revenue;
	if (jifen_is_given(posting, JIFEN_GIVEN_ISSUED_AT))
		entry->issued_at = posting->issued_at;
	entry->has_qualifying = posting->kind == JIFEN_EARN ||
		jifen_is_given(posting, JIFEN_GIVEN_QUALIFYING);
	entry->qualifying = jifen_is_given(posting, JIFEN_GIVEN_QUALIFYING) ?
		posting->qualifying : posting->amount;
	jifen_add_own_lot(account, entry, posting->amount, &clock, available_at);
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

	jifen_reinstate_taken(account, takes);
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
	added_entry(account, seq)->source = posting->source;
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
 * keeps its expiry and its origin, which must be loaded.
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

	first = entry->first_allocation;
	next = first + entry->nallocations;
	for (int i = 0, l = 0; i < next - first; i++, l++)
	{
		const JifenAllocation *taken = &account->allocations[first + i];
		const JifenLot *lot;
		JifenClock	clock;

		/* Allocations are in the order of the lots. */
		while (account->lots[l].seq != taken->lot_seq)
			l++;
		lot = &account->lots[l];
		Assert(lot->has_origin);

		jifen_begin_step(receiver);
		entry = jifen_add_entry(receiver, JIFEN_TRANSFER_IN, taken->amount, 0, 0,
								posting->event_at, posting);
		entry->counter_account_id = account->account_id;
		entry->counter_seq = out_seq;
		jifen_keep_origin(entry, lot, taken->amount);
		clock = (JifenClock)
		{
			lot->due_at, lot->rule, lot->expiry
		};
		jifen_add_own_lot(receiver, entry, taken->amount, &clock, posting->event_at);
		jifen_repay_debts(receiver, posting->event_at);
	}
	return NULL;
}
