/*
 * move.c
 *	  The moves that every posting is made of: an entry is added, points are
 *	  taken from lots and given back to them.
 *
 * Pure, like the deciding files that use it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "posting.h"

/*
 * Begins a step: from here on, what lots are given and what is taken from
 * them is counted in their given.
 */
void
jifen_begin_step(JifenAccount *account)
{
	account->step++;
}

/* What the lot has gained since the step began. */
static PointAmount
given_to(const JifenAccount *account, const JifenLot *lot)
{
	return lot->step == account->step ? lot->given : 0;
}

static void
count_given(JifenAccount *account, JifenLot *lot, PointAmount amount)
{
	lot->given = jifen_add(given_to(account, lot), amount);
	lot->step = account->step;
}

/*
 * Adds the account's next entry and changes its figures by what it says.
 * An overflow is an error, not a refusal: callers have checked before.
 */
JifenEntry *
jifen_add_entry(JifenAccount *account, JifenKind kind, PointAmount amount,
				PointAmount held, PointAmount debt, TimestampTz event_at,
				const JifenPosting *posting)
{
	JifenEntry	entry = {0};
	JifenTrace	trace = jifen_trace_of_kind(kind);

	account->balance = jifen_add(account->balance, amount);
	account->held = jifen_add(account->held, held);
	account->debt = jifen_add(account->debt, debt);
	account->last_event_at = Max(account->last_event_at, event_at);
	Assert(account->held >= 0 && account->debt >= 0);

	entry.seq = ++account->last_seq;
	if (trace != JIFEN_NO_TRACE)
	{
		JifenActivity activity = {event_at, entry.seq, 1 << trace};

		account->last_at[trace] = Max(account->last_at[trace], event_at);
		if (account->has_activities && trace != JIFEN_TRACE_EXPIRE)
		{
			JIFEN_APPEND(account, activities, &activity);
			account->activities_in_order = false;
		}
	}
	entry.kind = kind;
	entry.amount = amount;
	entry.held = held;
	entry.debt = debt;
	entry.balance = account->balance;
	entry.event_at = event_at;
	entry.expires_at = JIFEN_NO_TIME;
	entry.available_at = JIFEN_NO_TIME;
	entry.until = JIFEN_NO_TIME;
	entry.issued_at = JIFEN_NO_TIME;
	entry.posting = posting;
	entry.first_allocation = account->nallocations;
	return JIFEN_APPEND(account, entries, &entry);
}

/*
 * The latest entry becomes a credit: a lot of its own, which lapses by the
 * clock.
 */
JifenLot *
jifen_add_own_lot(JifenAccount *account, JifenEntry *entry, PointAmount amount,
				  const JifenClock *clock, TimestampTz available_at)
{
	JifenLot	lot = {0};
	JifenLot   *added;

	entry->expires_at = lot.expires_at = clock->expires_at;
	entry->rule = lot.rule = clock->rule;
	lot.rule_no = clock->rule ? clock->rule->rule_no : 0;
	entry->expiry = lot.expiry = clock->expiry;
	entry->available_at = lot.available_at = available_at;
	lot.seq = entry->seq;
	lot.remaining = lot.size = amount;
	lot.credited_at = entry->event_at;
	lot.has_origin = true;
	lot.issued_at = entry->issued_at == JIFEN_NO_TIME ? entry->event_at : entry->issued_at;
	lot.source = entry->source;
	lot.funder = entry->funder;
	lot.revenue = entry->revenue;
	lot.counts_from = lot.issued_at;
	added = jifen_add_lot(account, &lot);
	count_given(account, added, amount);
	if (added->rule)
	{
		jifen_wind_lot(account, added);
		account->due_at = account->due_at == JIFEN_NO_TIME ? added->lapses_at :
			Min(account->due_at, added->lapses_at);
	}
	return added;
}

static int
compare_due(const void *a, const void *b)
{
	const JifenLot *first = *(JifenLot *const *) a;
	const JifenLot *second = *(JifenLot *const *) b;

	return jifen_compare_lots(first->due_at, first->seq, second->due_at, second->seq);
}

/* The account's lots in spending order. */
static JifenLot **
spending_order(JifenAccount *account)
{
	JifenLot  **lots = palloc_extended(Max(account->nlots, 1) * sizeof(JifenLot *),
									   MCXT_ALLOC_HUGE);

	for (int i = 0; i < account->nlots; i++)
		lots[i] = &account->lots[i];
	/* Without moving lots they are in order. */
	if (account->due_at != JIFEN_NO_TIME)
		qsort(lots, account->nlots, sizeof(JifenLot *), compare_due);
	return lots;
}

/*
 * The account's latest entry takes amount from the lot, or gives it back when
 * negative.
 */
void
jifen_allocate(JifenAccount *account, JifenLot *lot, PointAmount amount)
{
	JifenEntry *entry = &account->entries[account->nentries - 1];
	JifenAllocation allocation = {entry->seq, lot->seq, amount};
	JifenUse	use = {lot->expires_at, lot->seq, entry->event_at, amount};

	CHECK_FOR_INTERRUPTS();
	JIFEN_APPEND(account, allocations, &allocation);
	entry->nallocations++;
	lot->remaining = jifen_sub(lot->remaining, amount);
	Assert(lot->remaining >= 0);
	count_given(account, lot, -amount);
	if (account->has_history && entry->kind != JIFEN_EXPIRE && entry->kind != JIFEN_REINSTATE)
		jifen_add_use(account, &use);
}

static int
compare_uses(const void *a, const void *b)
{
	const JifenUse *first = a;
	const JifenUse *second = b;
	int			lots = jifen_compare_lots(first->expires_at, first->lot_seq,
										  second->expires_at, second->lot_seq);

	if (lots != 0)
		return lots;
	return first->event_at < second->event_at ? -1 : first->event_at > second->event_at;
}

static bool
is_spendable(const JifenLot *lot, TimestampTz at)
{
	return lot->available_at <= at && at < lot->lapses_at;
}

/*
 * Works out what may be taken of each lot at that time, spendable or not.  From
 * the account's latest event on, that is what remains.  With history it is the
 * least that was left at any time since, expiry apart.
 */
void
jifen_judge(JifenAccount *account, TimestampTz at)
{
	int			u = 0;

	if (!account->has_history)
	{
		for (int i = 0; i < account->nlots; i++)
			account->lots[i].takeable = account->lots[i].remaining;
		return;
	}

	if (!account->uses_in_order)
		qsort(account->uses, account->nuses, sizeof(JifenUse), compare_uses);
	account->uses_in_order = true;
	for (int i = 0; i < account->nlots; i++)
	{
		JifenLot   *lot = &account->lots[i];
		PointAmount left = lot->size;
		PointAmount least = PG_INT64_MAX;

		while (u < account->nuses && account->uses[u].lot_seq == lot->seq)
		{
			TimestampTz event_at = account->uses[u].event_at;

			if (event_at > at)
				least = Min(least, left);
			while (u < account->nuses && account->uses[u].lot_seq == lot->seq &&
				   account->uses[u].event_at == event_at)
				left = jifen_sub(left, account->uses[u++].amount);
		}
		least = Min(least, left);
		lot->takeable = lot->credited_at <= at ? Max(least, 0) : 0;
	}
	Assert(u == account->nuses);
}

/* Whether what is known of the lots is enough to choose amount from. */
bool
jifen_lots_suffice(JifenAccount *account, PointAmount amount, TimestampTz at)
{
	JifenLot  **lots;
	bool		suffice = false;

	if (account->has_all_lots || account->has_history)
		return true;
	if (account->known_to == JIFEN_NO_TIME || at < account->known_from)
		return false;
	lots = spending_order(account);
	for (int i = 0; i < account->nlots && !suffice; i++)
	{
		const JifenLot *lot = lots[i];

		if (jifen_compare_lots(lot->due_at, lot->seq,
							   account->known_to, account->known_to_seq) > 0)
			break;
		if (!is_spendable(lot, at))
			continue;
		suffice = lot->remaining >= amount;
		amount -= lot->remaining;
	}
	pfree(lots);
	return suffice;
}

/*
 * Chooses what to take from each lot: from the own lot first (NULL: none goes
 * first), then in spending order.  Returns what the lots cannot cover.
 */
PointAmount
jifen_choose(JifenAccount *account, PointAmount amount, TimestampTz at,
			 const JifenLot *own, PointAmount *takes)
{
	JifenLot  **lots = spending_order(account);

	jifen_judge(account, at);
	for (int pass = own ? 0 : 1; pass < 2; pass++)
	{
		for (int i = 0; i < account->nlots && amount > 0; i++)
		{
			const JifenLot *lot = lots[i];
			PointAmount part = Min(amount, lot->takeable);

			if ((lot == own) != (pass == 0) || (lot != own && !is_spendable(lot, at)))
				continue;
			takes[lot - account->lots] = part;
			amount -= part;
		}
	}
	pfree(lots);
	return amount;
}

static int
compare_booked(const void *a, const void *b)
{
	const JifenBookedExpiry *first = a;
	const JifenBookedExpiry *second = b;

	if (first->event_at != second->event_at)
		return first->event_at < second->event_at ? -1 : 1;
	if (first->expire_seq != second->expire_seq)
		return first->expire_seq < second->expire_seq ? -1 : 1;
	return jifen_compare_lots(first->expires_at, first->lot_seq,
							  second->expires_at, second->lot_seq);
}

/* Part of what an entry took is no longer so: given back to that lot. */
static void
reduce_taken(JifenTarget *target, const JifenLot *lot, PointAmount amount)
{
	for (int i = 0; i < target->ntaken; i++)
	{
		if (target->taken[i].seq == lot->seq)
			target->taken[i].amount = jifen_sub(target->taken[i].amount, amount);
	}
}

/* Expiries that were booked, in the order in which they happened. */
void
jifen_order_booked(JifenAccount *account)
{
	qsort(account->booked, account->nbooked, sizeof(JifenBookedExpiry), compare_booked);
}

/*
 * Gives back to the lots what of each expiry booked, which are in order, is no
 * longer so: an entry for each expiry concerned, at that expiry's own time, so
 * that it is as if only the rest had lapsed.
 */
void
jifen_reinstate_booked(JifenAccount *account, const PointAmount *returns)
{
	for (int b = 0, next; b < account->nbooked; b = next)
	{
		int64		expire_seq = account->booked[b].expire_seq;
		JifenTarget *expire = jifen_find_target(account, expire_seq);
		PointAmount amount = 0;
		JifenEntry *entry;

		for (next = b; next < account->nbooked &&
			 account->booked[next].expire_seq == expire_seq; next++)
			amount = jifen_add(amount, returns[next]);
		if (amount == 0)
			continue;

		entry = jifen_add_entry(account, JIFEN_REINSTATE, amount, 0, 0,
								account->booked[b].event_at, NULL);
		entry->reverses_seq = expire_seq;
		for (int i = b; i < next; i++)
		{
			JifenLot   *lot = jifen_find_lot(account, account->booked[i].expires_at,
											 account->booked[i].lot_seq);

			if (returns[i] == 0)
				continue;
			jifen_allocate(account, lot, -returns[i]);
			account->booked[i].amount -= returns[i];
			if (expire)
				reduce_taken(expire, lot, returns[i]);
		}
		if (expire)
			expire->undone = jifen_add(expire->undone, amount);
	}
}

/*
 * Gives back to the lots what the chosen takes need beyond what remains and
 * what expiry has booked since.  The expiry that happened first gives back
 * first, or a lot could be short in between.
 */
void
jifen_reinstate_taken(JifenAccount *account, const PointAmount *takes)
{
	PointAmount *returns;
	PointAmount *missing;
	bool		is_missing = false;

	for (int i = 0; i < account->nlots && !is_missing; i++)
		is_missing = takes[i] > account->lots[i].remaining;
	if (!is_missing)
		return;

	returns = palloc0(Max(account->nbooked, 1) * sizeof(PointAmount));
	missing = palloc0(account->nlots * sizeof(PointAmount));
	for (int i = 0; i < account->nlots; i++)
		missing[i] = Max(takes[i] - account->lots[i].remaining, 0);
	jifen_order_booked(account);
	for (int b = 0; b < account->nbooked; b++)
	{
		const JifenLot *lot = jifen_find_lot(account, account->booked[b].expires_at,
											 account->booked[b].lot_seq);
		int			i = lot - account->lots;

		returns[b] = Min(missing[i], account->booked[b].amount);
		missing[i] -= returns[b];
	}
	jifen_reinstate_booked(account, returns);
}

/* The account's latest entry takes what was chosen. */
void
jifen_take(JifenAccount *account, const PointAmount *takes)
{
	for (int i = 0; i < account->nlots; i++)
	{
		if (takes[i] > 0)
			jifen_allocate(account, &account->lots[i], takes[i]);
	}
}

/*
 * The account's latest entry gives amount back to the lots that the entry of
 * that seq took it from, last in spending order first, which leaves
 * what taking less would have left.
 */
void
jifen_give_back(JifenAccount *account, JifenTaken *taken, int ntaken,
				PointAmount amount, int64 seq)
{
	int		   *places = jifen_order_of_taking(account, taken, ntaken, seq);

	for (int i = ntaken - 1; i >= 0 && amount > 0; i--)
	{
		JifenTaken *from = &taken[places[i]];
		PointAmount part = Min(amount, from->amount);

		if (part <= 0)
			continue;
		jifen_allocate(account, jifen_find_lot(account, from->expires_at, from->seq), -part);
		from->amount -= part;
		amount -= part;
	}
	pfree(places);
	if (amount > 0)
		elog(ERROR, "entry took fewer points than are to be given back");
}

/* By the instant at which they lapse. */
static int
compare_lapses(const void *a, const void *b)
{
	const JifenLot *first = *(JifenLot *const *) a;
	const JifenLot *second = *(JifenLot *const *) b;

	return jifen_compare_lots(first->lapses_at, first->seq, second->lapses_at, second->seq);
}

/*
 * Books as lapsed what remains of the lots, each at its own instant
 * (JIFEN_NO_TIME), or what this step gave to them, at that time: an entry for
 * each instant of their expiry.
 */
void
jifen_expire_lots(JifenAccount *account, JifenLot **lots, int n, TimestampTz event_at)
{
	bool		is_given = event_at != JIFEN_NO_TIME;

	qsort(lots, n, sizeof(JifenLot *), compare_lapses);
	for (int i = 0, next; i < n; i = next)
	{
		TimestampTz instant = lots[i]->lapses_at;
		TimestampTz at = is_given ? event_at : instant;
		PointAmount amount = 0;
		int64		seq;

		for (next = i; next < n && lots[next]->lapses_at == instant; next++)
			amount = jifen_add(amount, is_given ? given_to(account, lots[next]) :
							   lots[next]->remaining);
		seq = jifen_add_entry(account, JIFEN_EXPIRE, -amount, 0, 0, at, NULL)->seq;
		for (int j = i; j < next; j++)
		{
			JifenLot   *lot = lots[j];
			JifenBookedExpiry booked = {at, seq, lot->expires_at, lot->seq,
			is_given ? given_to(account, lot) : lot->remaining};

			jifen_allocate(account, lot, booked.amount);
			if (account->has_history)
				jifen_add_booked(account, &booked);
		}
	}
}

/* The lots lapsed by event_at that this step gave something, by their expiry. */
static JifenLot **
lapsed_given(JifenAccount *account, TimestampTz event_at, int *n)
{
	JifenLot  **lots = palloc_extended(Max(account->nlots, 1) * sizeof(JifenLot *),
									   MCXT_ALLOC_HUGE);

	*n = 0;
	for (int i = 0; i < account->nlots; i++)
	{
		if (account->lots[i].lapses_at <= event_at && given_to(account, &account->lots[i]) > 0)
			lots[(*n)++] = &account->lots[i];
	}
	qsort(lots, *n, sizeof(JifenLot *), compare_lapses);
	return lots;
}

/* What this step gave to lots that have lapsed by event_at lapses at once. */
void
jifen_expire_given(JifenAccount *account, TimestampTz event_at)
{
	int			n;
	JifenLot  **lots = lapsed_given(account, event_at, &n);

	jifen_expire_lots(account, lots, n, event_at);
	pfree(lots);
}

/*
 * The credit is of points of that lot: it keeps when they were issued, by which
 * channel, who pays for them and, in proportion, what was paid.
 */
void
jifen_keep_origin(JifenEntry *entry, const JifenLot *lot, PointAmount amount)
{
	Assert(lot->has_origin);
	entry->issued_at = lot->issued_at;
	entry->source = lot->source;
	entry->funder = lot->funder;
	if (lot->revenue)
		entry->revenue = jifen_share_of_revenue(lot->revenue, amount, lot->size, true);
}

/*
 * That much of the lot goes on in a lot that lapses by the clock and keeps
 * its origin.  Returns the entry.
 */
JifenEntry *
jifen_extend_lot(JifenAccount *account, JifenLot *lot, PointAmount amount,
				 TimestampTz event_at, const JifenClock *clock, const JifenPosting *posting)
{
	JifenEntry *entry = jifen_add_entry(account, JIFEN_EXTEND, 0, 0, 0, event_at, posting);

	jifen_keep_origin(entry, lot, amount);
	entry->until = jifen_standing_lapse(lot);
	jifen_allocate(account, lot, amount);
	jifen_add_own_lot(account, entry, amount, clock, Max(event_at, lot->available_at));
	return entry;
}

/*
 * What this step gave to lots that have lapsed by event_at moves to lots that
 * lapse by the clock.
 */
void
jifen_extend_given(JifenAccount *account, TimestampTz event_at, const JifenClock *clock)
{
	int			n;
	JifenLot  **lots = lapsed_given(account, event_at, &n);
	JifenTaken *lapsed = palloc(Max(n, 1) * sizeof(JifenTaken));

	for (int i = 0; i < n; i++)
		lapsed[i] = (JifenTaken)
	{
		lots[i]->expires_at, lots[i]->seq, given_to(account, lots[i])
	};
	for (int i = 0; i < n; i++)
		jifen_extend_lot(account, jifen_find_lot(account, lapsed[i].expires_at, lapsed[i].seq),
						 lapsed[i].amount, event_at, clock, NULL);
	pfree(lapsed);
	pfree(lots);
}

/*
 * The debts are repaid, oldest first, from what this step gave to lots that
 * have not lapsed: an entry for each debt, dated when both the points and the
 * debt were there.
 */
void
jifen_repay_debts(JifenAccount *account, TimestampTz event_at)
{
	JifenLot  **lots;

	if (account->debt == 0)
		return;
	lots = spending_order(account);
	for (int d = 0; d < account->ndebts; d++)
	{
		TimestampTz at = Max(event_at, account->debts[d].event_at);
		JifenTarget *target = jifen_find_target(account, account->debts[d].seq);
		PointAmount amount = 0;
		JifenEntry *entry;

		for (int i = 0; i < account->nlots && amount < account->debts[d].remaining; i++)
		{
			if (at < lots[i]->lapses_at)
				amount += Min(account->debts[d].remaining - amount,
							  Max(given_to(account, lots[i]), 0));
		}
		if (amount == 0)
			continue;
		entry = jifen_add_entry(account, JIFEN_REPAY, 0, 0, -amount, at, NULL);
		entry->debt_seq = account->debts[d].seq;
		if (target)
			target->event_at = Max(target->event_at, at);
		account->debts[d].remaining -= amount;
		for (int i = 0; i < account->nlots && amount > 0; i++)
		{
			PointAmount part = Min(amount, Max(given_to(account, lots[i]), 0));

			if (part == 0 || at >= lots[i]->lapses_at)
				continue;
			jifen_allocate(account, lots[i], part);
			amount -= part;
			if (target)
				jifen_add_taken(&target->taken, &target->ntaken, lots[i], part);
		}
	}
	pfree(lots);
}
