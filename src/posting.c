/*
 * posting.c
 *	  Decides what a posting does to an account: entries, allocations, lots.
 *
 * Pure: it reads and changes an account in memory and touches no table, no
 * clock and no setting.  Each jifen_post_* function checks everything first;
 * a refusal leaves the account as it was.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"

#include "errcodes.h"
#include "posting.h"

static const char *const kind_names[] = {
	[JIFEN_EARN] = "earn",
	[JIFEN_REDEEM] = "redeem",
	[JIFEN_EXPIRE] = "expire",
	[JIFEN_REVERSE] = "reverse",
	[JIFEN_REINSTATE] = "reinstate",
};

const char *
jifen_kind_name(JifenKind kind)
{
	return kind_names[kind];
}

JifenKind
jifen_kind_from_name(const char *name)
{
	for (int i = 0; i < (int) lengthof(kind_names); i++)
	{
		if (strcmp(kind_names[i], name) == 0)
			return (JifenKind) i;
	}
	elog(ERROR, "unrecognized entry kind \"%s\"", name);
	return JIFEN_EARN;			/* not reached */
}

/* Makes room for one more element of an array that doubles as it grows. */
static void *
grown(void *array, int used, int *allotted, Size element)
{
	if (used < *allotted)
		return array;
	*allotted = Max(8, *allotted * 2);
	if (array == NULL)
		return palloc_extended(*allotted * element, MCXT_ALLOC_HUGE);
	return repalloc_huge(array, *allotted * element);
}

/* Adds a lot at its place in spending order: soonest to lapse, then oldest. */
void
jifen_add_lot(JifenAccount *account, const JifenLot *lot)
{
	int			at = account->nlots;

	CHECK_FOR_INTERRUPTS();
	account->lots = grown(account->lots, account->nlots, &account->maxlots,
						  sizeof(JifenLot));
	while (at > 0 &&
		   (account->lots[at - 1].expires_at > lot->expires_at ||
			(account->lots[at - 1].expires_at == lot->expires_at &&
			 account->lots[at - 1].seq > lot->seq)))
	{
		account->lots[at] = account->lots[at - 1];
		at--;
	}
	account->lots[at] = *lot;
	account->nlots++;
}

/* Adds a booked expiry; they come by (event_at, expire_seq, lot_seq). */
void
jifen_add_booked(JifenAccount *account, const JifenBookedExpiry *booked)
{
	Assert(account->nbooked == 0 ||
		   account->booked[account->nbooked - 1].event_at <= booked->event_at);
	account->booked = grown(account->booked, account->nbooked,
							&account->maxbooked, sizeof(JifenBookedExpiry));
	account->booked[account->nbooked++] = *booked;
}

/*
 * Adds the account's next entry and moves the balance by its amount.
 * An overflow is an error, not a refusal: callers have checked before.
 */
static JifenEntry *
add_entry(JifenAccount *account, JifenKind kind, PointAmount amount,
		  TimestampTz event_at, const JifenPosting *posting)
{
	JifenEntry *entry;

	account->entries = grown(account->entries, account->nentries,
							 &account->maxentries, sizeof(JifenEntry));
	entry = &account->entries[account->nentries++];
	memset(entry, 0, sizeof(JifenEntry));

	account->balance = jifen_add(account->balance, amount);
	account->last_event_at = Max(account->last_event_at, event_at);

	entry->seq = ++account->last_seq;
	entry->kind = kind;
	entry->amount = amount;
	entry->balance = account->balance;
	entry->event_at = event_at;
	entry->expires_at = JIFEN_NO_TIME;
	entry->available_at = JIFEN_NO_TIME;
	entry->posting = posting;
	return entry;
}

/*
 * The account's latest entry takes amount from the lot, or gives it back when
 * negative.
 */
static void
allocate(JifenAccount *account, JifenLot *lot, PointAmount amount)
{
	JifenAllocation *allocation;

	CHECK_FOR_INTERRUPTS();
	account->allocations = grown(account->allocations, account->nallocations,
								 &account->maxallocations, sizeof(JifenAllocation));
	allocation = &account->allocations[account->nallocations++];
	allocation->seq = account->last_seq;
	allocation->lot_seq = lot->seq;
	allocation->amount = amount;

	lot->remaining = jifen_sub(lot->remaining, amount);
	Assert(lot->remaining >= 0);
}

static JifenRefusal *
refuse(int sqlerrcode, char *message, char *detail, char *hint)
{
	JifenRefusal *refusal = palloc(sizeof(JifenRefusal));

	refusal->sqlerrcode = sqlerrcode;
	refusal->message = message;
	refusal->detail = detail;
	refusal->hint = hint;
	return refusal;
}

static JifenRefusal *
refuse_insufficient(const JifenAccount *account, PointAmount asked)
{
	return refuse(ERRCODE_JF_INSUFFICIENT_POINTS,
				  psprintf("insufficient points"),
				  psprintf("Account \"%s\" of program \"%s\" was asked for " INT64_FORMAT
						   " points; " INT64_FORMAT " are available, "
						   INT64_FORMAT " pending, " INT64_FORMAT " held and "
						   INT64_FORMAT " lapsed.",
						   account->member, account->program->code, asked,
						   account->available, account->pending, account->held,
						   account->lapsed),
				  psprintf("Ask for at most the available points; balance() shows them."));
}

/* Refuses an account that is frozen or closed. */
JifenRefusal *
jifen_require_open(const JifenAccount *account)
{
	if (account->status == JIFEN_OPEN)
		return NULL;
	return refuse(ERRCODE_JF_ACCOUNT_NOT_OPEN,
				  psprintf("account is not open"),
				  psprintf("Account \"%s\" of program \"%s\" is %s.",
						   account->member, account->program->code,
						   account->status == JIFEN_FROZEN ? "frozen" : "closed"),
				  account->status == JIFEN_FROZEN ?
				  psprintf("unfreeze_account() opens it again.") :
				  psprintf("A closed account takes no more postings."));
}

/* A credit becomes a lot of its own under the policy frozen in expires_at. */
JifenRefusal *
jifen_post_earn(JifenAccount *account, const JifenPosting *posting)
{
	JifenRefusal *refusal = jifen_require_open(account);
	PointAmount balance;
	JifenEntry *entry;
	JifenLot	lot = {0};

	if (refusal)
		return refusal;
	if (posting->available_at >= posting->expires_at)
		return refuse(ERRCODE_INVALID_PARAMETER_VALUE,
					  psprintf("points would lapse by the time they become available"),
					  psprintf("They would be available from %s and lapse at %s.",
							   pstrdup(timestamptz_to_str(posting->available_at)),
							   pstrdup(timestamptz_to_str(posting->expires_at))),
					  psprintf("Give an earlier available_at or a longer expiry policy."));
	if (jifen_add_overflows(account->balance, posting->amount, &balance))
		return refuse(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
					  psprintf("balance out of range"),
					  psprintf("Account \"%s\" of program \"%s\" holds " INT64_FORMAT
							   " points and cannot take " INT64_FORMAT " more.",
							   account->member, account->program->code,
							   account->balance, posting->amount),
					  psprintf("A balance is at most " INT64_FORMAT " points.",
							   PG_INT64_MAX));

	entry = add_entry(account, JIFEN_EARN, posting->amount, posting->event_at,
					  posting);
	entry->expires_at = posting->expires_at;
	entry->available_at = posting->available_at;
	entry->has_qualifying = true;
	entry->qualifying = posting->has_qualifying ? posting->qualifying : posting->amount;
	account->last_activity_at = Max(account->last_activity_at, posting->event_at);

	lot.seq = entry->seq;
	lot.expires_at = entry->expires_at;
	lot.available_at = entry->available_at;
	lot.remaining = posting->amount;
	jifen_add_lot(account, &lot);
	return NULL;
}

/*
 * Chooses what to take from each lot: from the lot of own_seq first (0: none
 * goes first), then in spending order.  Returns what the lots cannot cover.
 */
static PointAmount
choose(const JifenAccount *account, PointAmount amount, int64 own_seq,
	   PointAmount *takes)
{
	for (int pass = own_seq ? 0 : 1; pass < 2; pass++)
	{
		for (int i = 0; i < account->nlots && amount > 0; i++)
		{
			const JifenLot *lot = &account->lots[i];

			if ((lot->seq == own_seq) != (pass == 0))
				continue;
			takes[i] = Min(amount, lot->takeable);
			amount = jifen_sub(amount, takes[i]);
		}
	}
	return amount;
}

static int
compare_lot_seq(const void *a, const void *b)
{
	int64		first = (*(JifenLot *const *) a)->seq;
	int64		second = (*(JifenLot *const *) b)->seq;

	return first < second ? -1 : first > second;
}

/*
 * Gives back to the lots what the chosen takes need beyond what remains and
 * what expiry has booked since: an entry for each expiry concerned, at that
 * expiry's own time, so that it is as if only the rest had lapsed.  The expiry
 * that happened first gives back first, or a lot could be short in between.
 */
static void
reinstate(JifenAccount *account, const PointAmount *takes)
{
	PointAmount *returns = palloc0(Max(account->nbooked, 1) * sizeof(PointAmount));
	PointAmount *missing = palloc(Max(account->nlots, 1) * sizeof(PointAmount));
	JifenLot  **by_seq = palloc(Max(account->nlots, 1) * sizeof(JifenLot *));
	JifenLot  **lots = palloc0(Max(account->nbooked, 1) * sizeof(JifenLot *));

	for (int i = 0; i < account->nlots; i++)
	{
		missing[i] = jifen_sub(takes[i], account->lots[i].remaining);
		by_seq[i] = &account->lots[i];
	}
	qsort(by_seq, account->nlots, sizeof(JifenLot *), compare_lot_seq);

	for (int b = 0; b < account->nbooked; b++)
	{
		JifenLot	sought = {.seq = account->booked[b].lot_seq};
		JifenLot   *key = &sought;
		JifenLot  **found = bsearch(&key, by_seq, account->nlots, sizeof(JifenLot *),
									compare_lot_seq);
		int			i;

		if (found == NULL)
			continue;
		lots[b] = *found;
		i = lots[b] - account->lots;
		if (missing[i] <= 0)
			continue;
		returns[b] = Min(missing[i], account->booked[b].amount);
		missing[i] = jifen_sub(missing[i], returns[b]);
	}

	for (int b = 0, next; b < account->nbooked; b = next)
	{
		PointAmount amount = 0;
		JifenEntry *entry;

		for (next = b; next < account->nbooked &&
			 account->booked[next].expire_seq == account->booked[b].expire_seq; next++)
			amount = jifen_add(amount, returns[next]);
		if (amount == 0)
			continue;

		entry = add_entry(account, JIFEN_REINSTATE, amount,
						  account->booked[b].event_at, NULL);
		entry->reverses_seq = account->booked[b].expire_seq;
		for (int i = b; i < next; i++)
		{
			if (returns[i] == 0)
				continue;
			allocate(account, lots[i], -returns[i]);
			account->booked[i].amount = jifen_sub(account->booked[i].amount, returns[i]);
		}
	}
}

/* The account's latest entry takes what was chosen. */
static void
take(JifenAccount *account, const PointAmount *takes)
{
	for (int i = 0; i < account->nlots; i++)
	{
		if (takes[i] == 0)
			continue;
		allocate(account, &account->lots[i], takes[i]);
		account->lots[i].takeable = jifen_sub(account->lots[i].takeable, takes[i]);
	}
}

JifenRefusal *
jifen_post_redeem(JifenAccount *account, const JifenPosting *posting)
{
	JifenRefusal *refusal = jifen_require_open(account);
	PointAmount *takes;

	if (refusal)
		return refusal;
	takes = palloc0(Max(account->nlots, 1) * sizeof(PointAmount));
	if (choose(account, posting->amount, 0, takes) > 0)
		return refuse_insufficient(account, posting->amount);

	reinstate(account, takes);
	add_entry(account, JIFEN_REDEEM, -posting->amount, posting->event_at, posting);
	take(account, takes);
	account->last_activity_at = Max(account->last_activity_at, posting->event_at);
	return NULL;
}

/* An expire entry of what is marked returnable of the lots [first, next). */
static void
expire_returned(JifenAccount *account, int first, int next, TimestampTz event_at)
{
	PointAmount amount = 0;

	for (int i = first; i < next; i++)
		amount = jifen_add(amount, account->lots[i].returnable);
	if (amount == 0)
		return;
	add_entry(account, JIFEN_EXPIRE, -amount, event_at, NULL);
	for (int i = first; i < next; i++)
	{
		if (account->lots[i].returnable > 0)
			allocate(account, &account->lots[i], account->lots[i].returnable);
	}
}

/*
 * Points of a redemption go back to the lots that they came from, last
 * consumed first, which leaves what a smaller redemption would have left.
 * What goes back to a lot that has lapsed by then lapses at once.
 */
static void
return_to_lots(JifenAccount *account, const JifenPosting *posting,
			   PointAmount amount)
{
	for (int i = account->nlots - 1; i >= 0; i--)
	{
		JifenLot   *lot = &account->lots[i];

		lot->returnable = Min(amount, lot->returnable);
		amount = jifen_sub(amount, lot->returnable);
		if (lot->returnable > 0)
			allocate(account, lot, -lot->returnable);
	}
	Assert(amount == 0);

	for (int i = 0, next; i < account->nlots; i = next)
	{
		for (next = i; next < account->nlots &&
			 account->lots[next].expires_at == account->lots[i].expires_at; next++)
			;
		if (account->lots[i].expires_at <= posting->event_at)
			expire_returned(account, i, next, posting->event_at);
	}
}

/* The part of total that belongs to the first part of whole, rounded down. */
static PointAmount
proportion(PointAmount total, PointAmount part, PointAmount whole)
{
	return (PointAmount) ((int128) total * part / whole);
}

/*
 * Undoes an earn or a redeem, wholly or in part.  A reversed earn loses its
 * qualifying in the proportion of all its reversals so far, so that undoing
 * the whole in any number of steps ends at exactly zero.
 */
JifenRefusal *
jifen_post_reverse(JifenAccount *account, const JifenPosting *posting,
				   const JifenReversed *reversed)
{
	JifenRefusal *refusal = jifen_require_open(account);
	PointAmount left = reversed->amount - reversed->reversed;
	PointAmount amount = posting->amount ? posting->amount : left;
	PointAmount balance;
	PointAmount *takes;
	JifenEntry *entry;

	if (refusal)
		return refusal;
	if (reversed->kind != JIFEN_EARN && reversed->kind != JIFEN_REDEEM)
		return refuse(ERRCODE_INVALID_PARAMETER_VALUE,
					  psprintf("entry cannot be reversed"),
					  psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" is of kind %s.",
							   reversed->seq, account->member, account->program->code,
							   jifen_kind_name(reversed->kind)),
					  psprintf("An earn or a redeem can be reversed."));
	if (posting->event_at < reversed->event_at)
		return refuse(ERRCODE_INVALID_PARAMETER_VALUE,
					  psprintf("reversal before the entry that it reverses"),
					  psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" happened at %s.",
							   reversed->seq, account->member, account->program->code,
							   timestamptz_to_str(reversed->event_at)),
					  psprintf("Give an event_at that is not before it."));
	if (left == 0 || amount > left)
		return refuse(ERRCODE_JF_OVER_REVERSED,
					  psprintf("more reversed than was posted"),
					  psprintf("Entry " INT64_FORMAT " of account \"%s\" of program \"%s\" is of "
							   INT64_FORMAT " points; " INT64_FORMAT
							   " are reversed and " INT64_FORMAT " are left of it.",
							   reversed->seq, account->member, account->program->code,
							   reversed->amount, reversed->reversed, left),
					  psprintf("Reverse at most what is left of the entry."));

	if (reversed->kind == JIFEN_REDEEM)
	{
		if (jifen_add_overflows(account->balance, amount, &balance))
			return refuse(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
						  psprintf("balance out of range"),
						  psprintf("Account \"%s\" of program \"%s\" holds " INT64_FORMAT
								   " points and cannot take " INT64_FORMAT " back.",
								   account->member, account->program->code,
								   account->balance, amount),
						  psprintf("A balance is at most " INT64_FORMAT " points.",
								   PG_INT64_MAX));
		entry = add_entry(account, JIFEN_REVERSE, amount, posting->event_at, posting);
		entry->reverses_seq = reversed->seq;
		return_to_lots(account, posting, amount);
		return NULL;
	}

	takes = palloc0(Max(account->nlots, 1) * sizeof(PointAmount));
	if (choose(account, amount, reversed->seq, takes) > 0)
		return refuse_insufficient(account, amount);
	reinstate(account, takes);
	entry = add_entry(account, JIFEN_REVERSE, -amount, posting->event_at, posting);
	entry->reverses_seq = reversed->seq;
	take(account, takes);
	if (reversed->has_qualifying)
	{
		entry->has_qualifying = true;
		entry->qualifying =
			proportion(reversed->qualifying, reversed->reversed, reversed->amount) -
			proportion(reversed->qualifying, reversed->reversed + amount, reversed->amount);
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

		add_entry(account, JIFEN_EXPIRE, -amount, instant, NULL);
		for (int j = i; j < next; j++)
		{
			if (account->lots[j].remaining > 0)
				allocate(account, &account->lots[j], account->lots[j].remaining);
		}
	}
}
