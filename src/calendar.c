/*
 * calendar.c
 *		Local days and their ends.
 *
 * Pure: the answer depends on the arguments and the time zone database alone.
 * Days are Julian days, and years run on as astronomers count them: the one
 * before 1 is 0.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "calendar.h"

/*
 * The time zone of that name, spelt as the database spells it
 * (pg_get_timezone_name() gives the spelling), or 22023.
 *
 * pg_tzset() takes any POSIX string too, and would read a slip such as "XYZ5"
 * as a zone of its own making.  Such a string always has a digit, and becomes
 * its own name in capitals; a zone that comes from the database has small
 * letters or no digit.  The few old database names of capitals and digits,
 * such as EST5EDT, are POSIX strings as well, mean one thing or the other as
 * the database has them or not, and are refused too.  So are the entries that
 * are no place: the machine's own zone, and the two fillers.
 */
pg_tz *
jifen_time_zone(const char *name)
{
	static const char *const no_place[] = {"localtime", "posixrules", "Factory"};
	pg_tz	   *tz = pg_tzset(name);
	bool		recognized = tz != NULL && pg_tz_acceptable(tz);

	if (recognized)
	{
		const char *canonical = pg_get_timezone_name(tz);

		if (strpbrk(canonical, "0123456789") != NULL &&
			strpbrk(canonical, "abcdefghijklmnopqrstuvwxyz") == NULL)
			recognized = false;
		for (size_t i = 0; i < lengthof(no_place); i++)
		{
			if (strcmp(canonical, no_place[i]) == 0)
				recognized = false;
		}
	}

	if (!recognized)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errdetail("The server's time zone database has no place of that name."),
				 errhint("Use the name of a place that pg_timezone_names "
						 "lists, such as \"Asia/Shanghai\", or \"UTC\".")));
	return tz;
}

/* The last day of a month */
static int
days_in_month(int year, int month)
{
	return day_tab[isleap(year) ? 1 : 0][month - 1];
}

/* That day of a month, or the month's last where it is shorter. */
static int
day_of_month(int year, int month, int day)
{
	return date2j(year, month, Min(day, days_in_month(year, month)));
}

/* The local day of an instant; false where it has none. */
bool
jifen_local_day(TimestampTz at, pg_tz *tz, int *day)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			utc_offset;

	if (TIMESTAMP_NOT_FINITE(at) ||
		timestamp2tm(at, &utc_offset, &tm, &fsec, NULL, tz) != 0)
		return false;
	*day = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday);
	return true;
}

/* The day that many months later, or the month's last if it is shorter. */
int
jifen_add_months(int day, int months)
{
	int			year;
	int			month;
	int			day_in_month;

	j2date(day, &year, &month, &day_in_month);
	months += month - 1;
	return day_of_month(year + months / 12, months % 12 + 1, day_in_month);
}

/*
 * The last day of the period that a day lies in.  Periods are so many months
 * long, a divisor of 12, and last_month is the last month of one of them.
 */
int
jifen_period_end(int day, int months, int last_month)
{
	int			year;
	int			month;
	int			day_in_month;

	j2date(day, &year, &month, &day_in_month);
	month += (last_month + 12 - month) % months;
	if (month > 12)
	{
		year++;
		month -= 12;
	}
	return day_of_month(year, month, 31);
}

/*
 * The last day of the year that a day lies in, where years begin on the
 * anniversaries of another day; those of 29 February are on the 28th in common
 * years.  There are years before that other day as well.
 */
int
jifen_anniversary_year_end(int day, int first_day)
{
	int			year;
	int			month;
	int			day_in_month;
	int			first_year;
	int			anniversary;

	j2date(day, &year, &month, &day_in_month);
	j2date(first_day, &first_year, &month, &day_in_month);
	anniversary = day_of_month(year, month, day_in_month);
	if (anniversary <= day)
		anniversary = day_of_month(year + 1, month, day_in_month);
	return anniversary - 1;
}

/*
 * The instant from which on every local time is at or past a local midnight.
 * Midnight is given, and the instant returned, in seconds since 1970; the
 * former as if the zone were UTC.
 *
 * While one offset is in force, local time reaches midnight at one instant.
 * Look at each stretch of one offset around it: the last instant at which
 * local time is still before midnight is where the day really ends.  That is
 * the jump itself where the clock jumps over midnight or over a whole day,
 * the later midnight where it goes back across midnight, and the first one
 * where it goes back to midnight without leaving the new day.
 */
static pg_time_t
local_midnight_passed(pg_time_t midnight, pg_tz *tz)
{
	/* No offset ever came near to this. */
	const pg_time_t reach = 2 * SECS_PER_DAY;
	pg_time_t	start = midnight - reach;
	pg_time_t	passed = start;

	for (;;)
	{
		pg_time_t	change;
		pg_time_t	reached;
		long		offset;
		long		offset_after;
		int			is_dst;
		int			is_dst_after;
		int			found = pg_next_dst_boundary(&start, &offset, &is_dst,
												 &change, &offset_after,
												 &is_dst_after, tz);

		if (found < 0)
			elog(ERROR, "could not determine the next change of time zone \"%s\"",
				 pg_get_timezone_name(tz));

		reached = midnight - offset;
		if (start < reached)
			passed = (found > 0 && change < reached) ? change : reached;

		if (found == 0 || change >= midnight + reach)
			return passed;
		start = change;
	}
}

/*
 * The instant at which a local day ends: from then on, every local time is of
 * a later day.  False where that is no timestamp.
 */
bool
jifen_day_end(int64 day, pg_tz *tz, TimestampTz *result)
{
	pg_time_t	passed;

	/* No zone is days away from UTC. */
	if (day < DATETIME_MIN_JULIAN - 2 || day > TIMESTAMP_END_JULIAN + 2)
		return false;

	passed = local_midnight_passed((day + 1 - UNIX_EPOCH_JDATE) * SECS_PER_DAY, tz);
	passed -= (pg_time_t) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		SECS_PER_DAY;
	return !pg_mul_s64_overflow(passed, USECS_PER_SEC, result) &&
		IS_VALID_TIMESTAMP(*result);
}

/*
 * The end of the local day that many days after that of an instant; false
 * where that is no timestamp.
 */
bool
jifen_day_end_after(TimestampTz from, int32 days, pg_tz *tz,
					TimestampTz *result)
{
	int			day;

	return jifen_local_day(from, tz, &day) &&
		jifen_day_end((int64) day + days, tz, result);
}
