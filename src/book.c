/*
 * book.c
 *	  An account in memory: its parts, found, added and copied.
 *
 * Pure, like the deciding files that use it.  A pointer to a lot, an entry or
 * another part is good until the next one of its sort is added.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "posting.h"

static const char *const kind_names[] = {
	[JIFEN_EARN] = "earn",
	[JIFEN_REDEEM] = "redeem",
	[JIFEN_EXPIRE] = "expire",
	[JIFEN_ADJUST] = "adjust",
	[JIFEN_HOLD] = "hold",
	[JIFEN_CAPTURE] = "capture",
	[JIFEN_RELEASE] = "release",
	[JIFEN_REVERSE] = "reverse",
	[JIFEN_TRANSFER_OUT] = "transfer_out",
	[JIFEN_TRANSFER_IN] = "transfer_in",
	[JIFEN_IMPORT] = "import",
	[JIFEN_REINSTATE] = "reinstate",
	[JIFEN_REPAY] = "repay",
	[JIFEN_EXTEND] = "extend",
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

JifenRefusal *
jifen_refuse(int sqlerrcode, char *message, char *detail, char *hint)
{
	JifenRefusal *refusal = palloc(sizeof(JifenRefusal));

	refusal->sqlerrcode = sqlerrcode;
	refusal->message = message;
	refusal->detail = detail;
	refusal->hint = hint;
	return refusal;
}

/* Which of an account's latest instants a kind of entry is kept in, if any. */
JifenTrace
jifen_trace_of_kind(JifenKind kind)
{
	switch (kind)
	{
		case JIFEN_EARN:
			return JIFEN_TRACE_EARN;
		case JIFEN_REDEEM:
			return JIFEN_TRACE_REDEEM;
		case JIFEN_EXPIRE:
			return JIFEN_TRACE_EXPIRE;
		case JIFEN_ADJUST:
			return JIFEN_TRACE_ADJUST;
		case JIFEN_HOLD:
			return JIFEN_TRACE_HOLD;
		case JIFEN_CAPTURE:
			return JIFEN_TRACE_CAPTURE;
		case JIFEN_TRANSFER_OUT:
			return JIFEN_TRACE_TRANSFER_OUT;
		case JIFEN_TRANSFER_IN:
			return JIFEN_TRACE_TRANSFER_IN;
		case JIFEN_IMPORT:
			return JIFEN_TRACE_IMPORT;
		default:
			return JIFEN_NO_TRACE;
	}
}

/* Makes room for one more element of an array that doubles as it grows. */
void *
jifen_grown(void *array, int used, int *allotted, Size element)
{
	if (used < *allotted)
		return array;
	*allotted = Max(1, *allotted * 2);
	if (array == NULL)
		return palloc_extended(*allotted * element, MCXT_ALLOC_HUGE);
	return repalloc_huge(array, *allotted * element);
}

/*
 * The order of lots by (expires_at, seq): soonest to lapse first, oldest first
 * among equals.
 */
int
jifen_compare_lots(TimestampTz expires_at, int64 seq,
				   TimestampTz other_expires_at, int64 other_seq)
{
	if (expires_at != other_expires_at)
		return expires_at < other_expires_at ? -1 : 1;
	if (seq != other_seq)
		return seq < other_seq ? -1 : 1;
	return 0;
}

/* Where the lot is among the account's, or where it would be. */
static int
place_of_lot(const JifenAccount *account, TimestampTz expires_at, int64 seq)
{
	int			low = 0;
	int			high = account->nlots;

	/* Lots mostly come in order. */
	if (high > 0 && jifen_compare_lots(account->lots[high - 1].expires_at,
									   account->lots[high - 1].seq,
									   expires_at, seq) < 0)
		return high;
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (jifen_compare_lots(account->lots[middle].expires_at,
							   account->lots[middle].seq, expires_at, seq) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The lot, NULL if it is not in memory. */
JifenLot *
jifen_find_lot(const JifenAccount *account, TimestampTz expires_at, int64 seq)
{
	int			place = place_of_lot(account, expires_at, seq);

	if (place < account->nlots && account->lots[place].seq == seq &&
		account->lots[place].expires_at == expires_at)
		return &account->lots[place];
	return NULL;
}

/*
 * Adds a lot at its place.  One that is in memory already stays as it is, but
 * for what it has not been told yet.  A lot that is not moving lapses at its
 * expires_at; a moving one has to be wound.
 */
JifenLot *
jifen_add_lot(JifenAccount *account, const JifenLot *lot)
{
	int			place = place_of_lot(account, lot->expires_at, lot->seq);
	JifenLot   *known = &account->lots[place];

	CHECK_FOR_INTERRUPTS();
	if (place < account->nlots && known->seq == lot->seq &&
		known->expires_at == lot->expires_at)
	{
		if (!known->has_origin && lot->has_origin)
		{
			known->has_origin = true;
			known->issued_at = lot->issued_at;
			known->source = lot->source;
			known->funder = lot->funder;
			known->revenue = lot->revenue;
			known->size = lot->size;
		}
		if (ItemPointerIsValid(&lot->row))
			known->row = lot->row;
		return known;
	}
	account->lots = jifen_grown(account->lots, account->nlots, &account->maxlots,
								sizeof(JifenLot));
	memmove(&account->lots[place + 1], &account->lots[place],
			(account->nlots - place) * sizeof(JifenLot));
	known = &account->lots[place];
	*known = *lot;
	known->due_at = known->lapses_at = lot->expires_at;
	account->nlots++;
	return known;
}

void
jifen_add_use(JifenAccount *account, const JifenUse *use)
{
	JIFEN_APPEND(account, uses, use);
	account->uses_in_order = false;
}

void
jifen_add_booked(JifenAccount *account, const JifenBookedExpiry *booked)
{
	JIFEN_APPEND(account, booked, booked);
}

JifenHold *
jifen_add_hold(JifenAccount *account, const JifenHold *hold)
{
	return JIFEN_APPEND(account, holds, hold);
}

/* The open hold of that number, NULL if there is none. */
JifenHold *
jifen_find_hold(const JifenAccount *account, int64 seq)
{
	for (int i = 0; i < account->nholds; i++)
	{
		if (account->holds[i].seq == seq && account->holds[i].amount > 0)
			return &account->holds[i];
	}
	return NULL;
}

/* Adds a part to what an entry took of a lot, by the order of the lots. */
void
jifen_add_taken(JifenTaken **taken, int *ntaken, const JifenLot *lot, PointAmount amount)
{
	int			at = *ntaken;

	while (at > 0 && jifen_compare_lots((*taken)[at - 1].expires_at, (*taken)[at - 1].seq,
										lot->expires_at, lot->seq) > 0)
		at--;
	if (at > 0 && (*taken)[at - 1].seq == lot->seq)
	{
		(*taken)[at - 1].amount = jifen_add((*taken)[at - 1].amount, amount);
		return;
	}

	/* Room doubles as it is used up. */
	if (*ntaken == 0)
		*taken = palloc(sizeof(JifenTaken));
	else if ((*ntaken & (*ntaken - 1)) == 0)
		*taken = repalloc_huge(*taken, 2 * *ntaken * sizeof(JifenTaken));
	memmove(&(*taken)[at + 1], &(*taken)[at], (*ntaken - at) * sizeof(JifenTaken));
	(*taken)[at] = (JifenTaken)
	{
		lot->expires_at, lot->seq, amount
	};
	(*ntaken)++;
}

/* Debts come in the order of their seq. */
JifenDebt *
jifen_add_debt(JifenAccount *account, const JifenDebt *debt)
{
	Assert(account->ndebts == 0 || account->debts[account->ndebts - 1].seq < debt->seq);
	return JIFEN_APPEND(account, debts, debt);
}

JifenTarget *
jifen_add_target(JifenAccount *account, const JifenTarget *target)
{
	return JIFEN_APPEND(account, targets, target);
}

/* The entry of that seq, NULL if it has not been loaded. */
JifenTarget *
jifen_find_target(const JifenAccount *account, int64 seq)
{
	for (int i = 0; i < account->ntargets; i++)
	{
		if (account->targets[i].seq == seq)
			return &account->targets[i];
	}
	return NULL;
}

static void *
copied(const void *array, int n, Size element)
{
	void	   *copy;

	if (n == 0)
		return NULL;
	copy = palloc_extended(n * element, MCXT_ALLOC_HUGE);
	memcpy(copy, array, n * element);
	return copy;
}

/* Room for one more is as jifen_add_taken() expects it. */
static JifenTaken *
copied_taken(const JifenTaken *taken, int n)
{
	int			room = 1;
	JifenTaken *copy;

	while (room < n)
		room *= 2;
	copy = palloc_extended(room * sizeof(JifenTaken), MCXT_ALLOC_HUGE);
	if (n > 0)
		memcpy(copy, taken, n * sizeof(JifenTaken));
	return copy;
}

/* The account as it is, to come back to. */
JifenAccount *
jifen_copy_account(const JifenAccount *account)
{
	JifenAccount *copy = palloc(sizeof(JifenAccount));

	*copy = *account;
	copy->lots = copied(account->lots, account->nlots, sizeof(JifenLot));
	copy->uses = copied(account->uses, account->nuses, sizeof(JifenUse));
	copy->booked = copied(account->booked, account->nbooked, sizeof(JifenBookedExpiry));
	copy->activities = copied(account->activities, account->nactivities, sizeof(JifenActivity));
	copy->notices = copied(account->notices, account->nnotices, sizeof(JifenNotice));
	copy->holds = copied(account->holds, account->nholds, sizeof(JifenHold));
	copy->debts = copied(account->debts, account->ndebts, sizeof(JifenDebt));
	copy->targets = copied(account->targets, account->ntargets, sizeof(JifenTarget));
	for (int i = 0; i < copy->nholds; i++)
		copy->holds[i].taken = copied_taken(copy->holds[i].taken, copy->holds[i].ntaken);
	for (int i = 0; i < copy->ntargets; i++)
		copy->targets[i].taken = copied_taken(copy->targets[i].taken, copy->targets[i].ntaken);
	return copy;
}

/*
 * Puts the account back to the copy, which is used up.  What was decided only
 * ever grew, so that its beginning is as it was.
 */
void
jifen_restore_account(JifenAccount *account, const JifenAccount *copy)
{
	JifenAccount now = *account;

	*account = *copy;
	account->maxlots = copy->nlots;
	account->maxuses = copy->nuses;
	account->maxbooked = copy->nbooked;
	account->maxactivities = copy->nactivities;
	account->maxnotices = copy->nnotices;
	account->maxholds = copy->nholds;
	account->maxdebts = copy->ndebts;
	account->maxtargets = copy->ntargets;
	account->entries = now.entries;
	account->maxentries = now.maxentries;
	account->allocations = now.allocations;
	account->maxallocations = now.maxallocations;
}
