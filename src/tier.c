/*
 * tier.c
 *	  The tier that a member's qualifying points of a rolling window reach.
 *
 * Nothing is kept: a tier follows from the journal and the program's tiers.
 * An entry counts from when it happened until its local time plus the length
 * of the program's window.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"

#include "argument.h"
#include "find.h"
#include "tables.h"

PG_FUNCTION_INFO_V1(tier_for);
PG_FUNCTION_INFO_V1(tier_status);

/*
 * What happened so many days before or after the window's start, as reckoned
 * backwards from its end, has surely left it or surely not.  Months and days
 * are not always as long, nor are clocks alike, but the difference is of fewer
 * days than these.
 */
#define UNSURE_DAYS 8

/* A program's window that ends at as_of. */
typedef struct TierWindow
{
	Datum		time_zone;		/* text */
	Interval	length;
	TimestampTz as_of;
} TierWindow;

/* Qualifying points of the window, and when they leave it. */
typedef struct TierPoints
{
	TimestampTz leave_at;
	PointAmount points;
} TierPoints;

/* Where a member stands. */
typedef struct TierStanding
{
	int32		program_id;
	int64		account_id;
	TierWindow	window;
	int128		points;			/* in the window */
	PointAmount qualifying;		/* the same */
	bool		wants_leaving;	/* the next are kept */
	TierPoints *leaving;
	int			nleaving;
	int			maxleaving;
	Datum		code;			/* of the tier reached, 0: none, as in the
								 * next */
	Datum		name;
	PointAmount threshold;
	Datum		next_code;
	PointAmount next_threshold;
} TierStanding;

/* That instant's local time moved by the window's length, by function: timestamp_pl_interval() or _mi_. */
static TimestampTz
move_by_window(const TierWindow *window, TimestampTz at, PGFunction move)
{
	Datum		local = DirectFunctionCall2(timestamptz_zone, window->time_zone, TimestampTzGetDatum(at));
	Datum		moved = DirectFunctionCall2(move, local, IntervalPGetDatum(&window->length));

	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, window->time_zone, moved));
}

/* So many days later, where the instant is finite. */
static TimestampTz
add_days(TimestampTz at, int days)
{
	return TIMESTAMP_NOT_FINITE(at) ? at : at + days * USECS_PER_DAY;
}

/*
 * Sums up the qualifying points of the account's entries in the window.  There
 * may be more than can be counted: as many as there can be, then.
 */
static void
sum_up_qualifying(TierStanding *standing)
{
	const TierWindow *window = &standing->window;
	TimestampTz start = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
																TimestampTzGetDatum(window->as_of),
																IntervalPGetDatum(&window->length)));
	TimestampTz has_left_to = add_days(start, -UNSURE_DAYS);
	TimestampTz counts_after = add_days(start, UNSURE_DAYS);
	JifenScan	entries;

	jifen_begin_scan(&entries, "entry", Natts_entry, "entry_pkey", true);
	jifen_set_key(&entries, 1, BTEqualStrategyNumber, Int64GetDatum(standing->account_id));
	while (jifen_next_row(&entries))
	{
		TimestampTz event_at = jifen_row_time(&entries, Anum_entry_event_at);
		TierPoints	found;

		CHECK_FOR_INTERRUPTS();
		if (event_at > window->as_of || event_at <= has_left_to)
			continue;
		found.points = jifen_row_int64(&entries, Anum_entry_qualifying);
		if (found.points == 0)
			continue;
		if (standing->wants_leaving || event_at <= counts_after)
		{
			found.leave_at = move_by_window(window, event_at, timestamp_pl_interval);
			if (found.leave_at <= window->as_of)
				continue;
			if (standing->wants_leaving)
				JIFEN_APPEND(standing, leaving, &found);
		}
		standing->points += found.points;
	}
	jifen_end_scan(&entries);
	if (standing->points < POINT_AMOUNT_MIN)
		JIFEN_POINT_AMOUNT_OUT_OF_RANGE();
	standing->qualifying = (PointAmount) Min(standing->points, POINT_AMOUNT_MAX);
}

/*
 * Finds the tier reached and the next.  Where more was undone than earned
 * within the window, it counts for nothing.
 */
static void
find_tiers(TierStanding *standing)
{
	PointAmount points = Max(standing->qualifying, 0);
	JifenScan	tiers;

	jifen_begin_scan(&tiers, "tier", Natts_tier, "tier_threshold_key", true);
	jifen_set_key(&tiers, 1, BTEqualStrategyNumber, Int32GetDatum(standing->program_id));
	while (standing->next_code == 0 && jifen_next_row(&tiers))
	{
		PointAmount threshold = jifen_row_int64(&tiers, Anum_tier_threshold);

		if (threshold > points)
		{
			standing->next_code = jifen_row_copy(&tiers, Anum_tier_code);
			standing->next_threshold = threshold;
			continue;
		}
		standing->code = jifen_row_copy(&tiers, Anum_tier_code);
		standing->name = jifen_row_copy(&tiers, Anum_tier_name);
		standing->threshold = threshold;
	}
	jifen_end_scan(&tiers);
}

/*
 * Where the member stands, for the arguments program, member, as_of; and what
 * leaves the window when, if that is wanted.
 */
static void
find_standing(FunctionCallInfo fcinfo, TierStanding *standing, bool wants_leaving)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	JifenScan	scan;

	memset(standing, 0, sizeof(*standing));
	standing->wants_leaving = wants_leaving;
	jifen_require_argument(fcinfo, 2, "as_of");
	standing->window.as_of = jifen_time_argument(fcinfo, 2, "as_of");

	jifen_find_program_row(&scan, program);
	standing->program_id = DatumGetInt32(jifen_row_datum(&scan, Anum_program_program_id));
	standing->window.time_zone = jifen_row_copy(&scan, Anum_program_time_zone);
	standing->window.length = *DatumGetIntervalP(jifen_row_datum(&scan, Anum_program_tier_window));
	jifen_end_scan(&scan);

	jifen_find_account_row(&scan, standing->program_id, program, member);
	standing->account_id = jifen_row_int64(&scan, Anum_account_account_id);
	jifen_end_scan(&scan);

	sum_up_qualifying(standing);
	find_tiers(standing);
}

/* tier_for(program, member, as_of) returns text: the tier's code, or null */
Datum
tier_for(PG_FUNCTION_ARGS)
{
	TierStanding standing;

	find_standing(fcinfo, &standing, false);
	if (standing.code == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(standing.code);
}

static int
compare_leaving(const void *a, const void *b)
{
	TimestampTz first = ((const TierPoints *) a)->leave_at;
	TimestampTz second = ((const TierPoints *) b)->leave_at;

	return first < second ? -1 : first > second;
}

/*
 * When so much has left the window that, nothing more being earned, less than
 * the threshold is left in it; JIFEN_NO_TIME: never.  What leaves together
 * counts as one.
 */
static TimestampTz
held_until(TierStanding *standing)
{
	int128		left = standing->points;

	qsort(standing->leaving, standing->nleaving, sizeof(TierPoints), compare_leaving);
	for (int i = 0; i < standing->nleaving; i++)
	{
		TimestampTz leave_at = standing->leaving[i].leave_at;

		CHECK_FOR_INTERRUPTS();
		left -= standing->leaving[i].points;
		if (i + 1 < standing->nleaving && standing->leaving[i + 1].leave_at == leave_at)
			continue;
		if (Max(left, 0) < standing->threshold)
			return leave_at;
	}
	return JIFEN_NO_TIME;
}

/*
 * tier_status(program, member, as_of, OUT tier, OUT name, OUT qualifying,
 *			   OUT threshold, OUT window_start, OUT window_end, OUT next_tier,
 *			   OUT next_threshold, OUT missing, OUT holds_until)
 */
Datum
tier_status(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc = jifen_row_type(fcinfo);
	TierStanding standing;
	const TierWindow *window = &standing.window;
	Datum		values[10] = {0};
	bool		nulls[10] = {false};

	find_standing(fcinfo, &standing, true);
	values[2] = PointAmountGetDatum(standing.qualifying);
	values[4] = TimestampTzGetDatum(move_by_window(window, window->as_of, timestamp_mi_interval));
	values[5] = TimestampTzGetDatum(window->as_of);
	nulls[0] = nulls[1] = nulls[3] = nulls[9] = standing.code == (Datum) 0;
	if (standing.code)
	{
		TimestampTz until = held_until(&standing);

		values[0] = standing.code;
		values[1] = standing.name;
		values[3] = PointAmountGetDatum(standing.threshold);
		values[9] = TimestampTzGetDatum(until);
		nulls[9] = until == JIFEN_NO_TIME;
	}
	nulls[6] = nulls[7] = nulls[8] = standing.next_code == (Datum) 0;
	if (standing.next_code)
	{
		values[6] = standing.next_code;
		values[7] = PointAmountGetDatum(standing.next_threshold);
		values[8] = PointAmountGetDatum(jifen_sub(standing.next_threshold, standing.qualifying));
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}
