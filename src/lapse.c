/*
 * lapse.c
 *	  When lots lapse, and what follows for an account.
 *
 * Pure, as posting.c.
 *
 * A lot lapses at its expires_at, unless it is moving: then the member's
 * activity moves it, or it waits for a notice, by the rule that it was
 * credited under.  The clock of a moving lot stands at
 *
 *	greatest(expires_at, least(the policy's terms from when the points were
 *	issued, its inactive term from the latest activity))
 *
 * where an activity counts that happened before the lot lapsed.  So what
 * happened, and when, decides alone, in whichever order it was posted.
 *
 * Two ways lead there.  With all activities of the account, a clock is followed
 * from the beginning.  Without them, the latest activity tells, which holds
 * good for open lots: before an activity is posted, what has lapsed by then is
 * booked, and where an activity was posted late, jifen_settle_moving() books or
 * undoes what follows from it.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "calendar.h"
#include "posting.h"

/* Whether the expiry of points credited now under the policy can move. */
bool
jifen_is_moving(const JifenProgram *program, const ExpiryPolicy *policy)
{
	return program->rule.notice_days > 0 || jifen_policy_has_inactivity(policy);
}

/* The latest activity that counts by the rule, JIFEN_NO_TIME if there is none. */
static TimestampTz
latest_activity(const JifenAccount *account, const JifenRule *rule)
{
	TimestampTz latest = JIFEN_NO_TIME;

	for (int i = 0; i < JIFEN_TRACES; i++)
	{
		if (rule->activity & (1 << i))
			latest = Max(latest, account->last_at[i]);
	}
	return latest;
}

/* Where the clock of a moving lot stands after an activity. */
static TimestampTz
clock_of(const JifenAccount *account, const JifenLot *lot, TimestampTz active_at)
{
	if (lot->expiry == NULL)
		return lot->expires_at;
	return jifen_clock_instant(lot->expiry, lot->expires_at, lot->counts_from, active_at,
							   account->opened_at, lot->rule->time_zone);
}

/* When the lot lapses whose clock stands there: a notice may have to come first. */
static TimestampTz
lapses_at(const JifenAccount *account, const JifenLot *lot, TimestampTz due_at)
{
	TimestampTz sent_at = DT_NOEND;
	TimestampTz result;

	if (lot->rule->notice_days == 0 || due_at == DT_NOEND)
		return due_at;
	for (int i = 0; i < account->nnotices; i++)
	{
		const JifenNotice *notice = &account->notices[i];

		if (notice->lot_seq == lot->seq && notice->due_at == due_at)
			sent_at = Min(sent_at, notice->sent_at);
	}
	if (sent_at == DT_NOEND ||
		!jifen_day_end_after(sent_at, lot->rule->notice_days, lot->rule->time_zone, &result))
		return DT_NOEND;
	return Max(due_at, result);
}

static int
compare_activities(const void *a, const void *b)
{
	const JifenActivity *first = a;
	const JifenActivity *second = b;

	if (first->event_at != second->event_at)
		return first->event_at < second->event_at ? -1 : 1;
	return first->seq < second->seq ? -1 : first->seq > second->seq;
}

static void
order_activities(JifenAccount *account)
{
	if (!account->activities_in_order)
		qsort(account->activities, account->nactivities, sizeof(JifenActivity), compare_activities);
	account->activities_in_order = true;
}

/* Where the first activity is that happened at that time or later. */
static int
place_of_activity(const JifenAccount *account, TimestampTz at)
{
	int			low = 0;
	int			high = account->nactivities;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (account->activities[middle].event_at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The latest activity that counts by the rule, happened before then and was booked before seq. */
static TimestampTz
activity_before(const JifenAccount *account, const JifenRule *rule, TimestampTz before, int64 seq)
{
	int			i = place_of_activity(account, before);

	while (--i >= 0)
	{
		const JifenActivity *activity = &account->activities[i];

		if ((rule->activity & activity->trace) && activity->seq < seq)
			return activity->event_at;
	}
	return JIFEN_NO_TIME;
}

/*
 * The latest activity that counts by the rule and happened by then, as far as
 * is known; JIFEN_NO_TIME if there is none.
 */
TimestampTz
jifen_activity_by(JifenAccount *account, const JifenRule *rule, TimestampTz at)
{
	TimestampTz latest = latest_activity(account, rule);

	if (latest <= at)
		return latest;
	if (!account->has_activities)
		return JIFEN_NO_TIME;
	order_activities(account);
	return activity_before(account, rule, at + 1, PG_INT64_MAX);
}

/*
 * The first activity that counts by the rule, happened after one time and
 * before another, and was booked before seq; JIFEN_NO_TIME if there is none.
 */
static TimestampTz
activity_between(const JifenAccount *account, const JifenRule *rule, TimestampTz after,
				 TimestampTz before, int64 seq)
{
	for (int i = place_of_activity(account, after + 1); i < account->nactivities; i++)
	{
		const JifenActivity *activity = &account->activities[i];

		if (activity->event_at >= before)
			break;
		if ((rule->activity & activity->trace) && activity->seq < seq)
			return activity->event_at;
	}
	return JIFEN_NO_TIME;
}

/*
 * Follows the clock of a moving lot from the beginning, by what was booked
 * before seq: where it stands, and when the lot lapses.  The activities must be
 * in memory.
 *
 * Each activity that comes before the lot lapses moves it on, so the latest of
 * them can be taken at once.  Only where a notice is needed must they be taken
 * one by one: the lot may lapse at an instant that was told of, and not at a
 * later one that was not.
 */
static void
follow_clock(JifenAccount *account, const JifenLot *lot, int64 seq,
			 TimestampTz *due_at, TimestampTz *instant)
{
	TimestampTz active_at = JIFEN_NO_TIME;

	order_activities(account);
	for (;;)
	{
		TimestampTz later;

		*due_at = clock_of(account, lot, active_at);
		*instant = lapses_at(account, lot, *due_at);
		if (lot->expiry == NULL)
			return;
		later = lot->rule->notice_days > 0 ?
			activity_between(account, lot->rule, active_at, *instant, seq) :
			activity_before(account, lot->rule, *instant, seq);
		if (later <= active_at)
			return;
		active_at = later;
	}
}

/* Works out where the lot's clock stands and when it lapses. */
void
jifen_wind_lot(JifenAccount *account, JifenLot *lot)
{
	if (lot->rule == NULL)
		return;
	if (account->has_activities)
	{
		follow_clock(account, lot, PG_INT64_MAX, &lot->due_at, &lot->lapses_at);
		return;
	}
	lot->due_at = clock_of(account, lot, latest_activity(account, lot->rule));
	lot->lapses_at = lapses_at(account, lot, lot->due_at);
}

/*
 * When the lot lapses if the notice that it waits for is given at that time, or
 * else as it stands.
 */
TimestampTz
jifen_planned_lapse(const JifenLot *lot, TimestampTz at)
{
	TimestampTz after_notice;

	if (lot->lapses_at != DT_NOEND || lot->due_at == DT_NOEND ||
		!jifen_day_end_after(at, lot->rule->notice_days, lot->rule->time_zone, &after_notice))
		return lot->lapses_at;
	return Max(lot->due_at, after_notice);
}

void
jifen_wind_lots(JifenAccount *account)
{
	for (int i = 0; i < account->nlots; i++)
	{
		CHECK_FOR_INTERRUPTS();
		jifen_wind_lot(account, &account->lots[i]);
	}
}

typedef struct Standing
{
	TimestampTz due_at;
	int64		seq;
	int			place;
} Standing;

static int
compare_standings(const void *a, const void *b)
{
	const Standing *first = a;
	const Standing *second = b;

	return jifen_compare_lots(first->due_at, first->seq, second->due_at, second->seq);
}

/*
 * The places of what an entry took in the order in which it took it: by the
 * clocks as they stood then, by what was booked before it.
 */
int *
jifen_order_of_taking(JifenAccount *account, const JifenTaken *taken, int ntaken, int64 seq)
{
	Standing   *standings = palloc(Max(ntaken, 1) * sizeof(Standing));
	int		   *places = palloc(Max(ntaken, 1) * sizeof(int));

	for (int i = 0; i < ntaken; i++)
	{
		const JifenLot *lot = jifen_find_lot(account, taken[i].expires_at, taken[i].seq);
		TimestampTz instant;

		standings[i] = (Standing)
		{
			taken[i].expires_at, taken[i].seq, i
		};
		if (lot->rule && account->has_activities)
			follow_clock(account, lot, seq, &standings[i].due_at, &instant);
	}
	qsort(standings, ntaken, sizeof(Standing), compare_standings);
	for (int i = 0; i < ntaken; i++)
		places[i] = standings[i].place;
	pfree(standings);
	return places;
}

/* Moves due_at on: all moving lots that are open must be in memory and wound. */
static void
move_due_at(JifenAccount *account)
{
	if (account->due_at == JIFEN_NO_TIME)
		return;
	account->due_at = DT_NOEND;
	for (int i = 0; i < account->nlots; i++)
	{
		if (account->lots[i].rule && account->lots[i].remaining > 0)
			account->due_at = Min(account->due_at, account->lots[i].lapses_at);
	}
}

/*
 * Books what remains of the lots, or of the moving ones alone, that have lapsed
 * by then; JIFEN_NO_TIME: by the latest activity that counts for each.
 */
static void
expire_lapsed(JifenAccount *account, bool only_moving, TimestampTz by)
{
	JifenLot  **lapsed = palloc(Max(account->nlots, 1) * sizeof(JifenLot *));
	int			n = 0;

	for (int i = 0; i < account->nlots; i++)
	{
		JifenLot   *lot = &account->lots[i];

		if (lot->remaining == 0 || (only_moving && lot->rule == NULL))
			continue;
		if (lot->lapses_at <= (by == JIFEN_NO_TIME ? latest_activity(account, lot->rule) : by))
			lapsed[n++] = lot;
	}
	jifen_expire_lots(account, lapsed, n, JIFEN_NO_TIME);
	pfree(lapsed);
}

/*
 * Books what has lapsed by as_of: one entry for each expiry instant, at that
 * instant.  All lots that have lapsed by then must be loaded.  An account of
 * any status can lapse.
 */
void
jifen_post_expiry(JifenAccount *account, TimestampTz as_of)
{
	expire_lapsed(account, false, as_of);
	if (account->has_moving_lots)
		move_due_at(account);
}

/*
 * Books of the moving lots what has lapsed by then, so that an activity of
 * that time finds only what it can move.
 */
void
jifen_expire_moving(JifenAccount *account, TimestampTz by)
{
	if (account->due_at == JIFEN_NO_TIME || account->due_at > by)
		return;
	Assert(account->has_moving_lots);
	expire_lapsed(account, true, by);
	move_due_at(account);
}

/*
 * Books what follows where something happened before what is booked: an expiry
 * that an activity comes before is undone, and what lapsed before a later
 * activity is booked.  Without all activities there is nothing of the sort.
 */
void
jifen_settle_moving(JifenAccount *account)
{
	PointAmount *returns;
	bool		is_undone = false;

	if (!account->has_activities || account->due_at == JIFEN_NO_TIME)
		return;
	jifen_wind_lots(account);

	jifen_order_booked(account);
	returns = palloc0(Max(account->nbooked, 1) * sizeof(PointAmount));
	for (int b = 0; b < account->nbooked; b++)
	{
		const JifenBookedExpiry *booked = &account->booked[b];
		const JifenLot *lot = jifen_find_lot(account, booked->expires_at, booked->lot_seq);

		if (lot->rule == NULL || lot->lapses_at <= booked->event_at || booked->amount == 0)
			continue;
		returns[b] = booked->amount;
		is_undone = true;
	}
	if (is_undone)
		jifen_reinstate_booked(account, returns);
	pfree(returns);

	expire_lapsed(account, true, JIFEN_NO_TIME);
	move_due_at(account);
}
