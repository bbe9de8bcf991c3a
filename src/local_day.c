/*
 * local_day.c
 *		Local days and months, for sums over the whole journal, and where days begin.
 *
 * What timezone() and casts would do in three steps, with the zone looked up
 * each time, is done in one: a summary reckons several days for each entry.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "calendar.h"
#include "compat.h"

/* The zone of the latest call, as it was named then. */
typedef struct ZoneCache
{
	pg_tz	   *tz;
	int			length;
	char		name[TZ_STRLEN_MAX + 1];
} ZoneCache;

PG_FUNCTION_INFO_V1(local_day);
PG_FUNCTION_INFO_V1(day_until);
PG_FUNCTION_INFO_V1(local_month);
PG_FUNCTION_INFO_V1(month_until);
PG_FUNCTION_INFO_V1(day_begin);

static pg_tz *
zone_of_call(FunctionCallInfo fcinfo, text *name)
{
	ZoneCache  *cache = fcinfo->flinfo->fn_extra;
	int			length = VARSIZE_ANY_EXHDR(name);
	pg_tz	   *tz;

	if (cache && cache->length == length && memcmp(cache->name, VARDATA_ANY(name), length) == 0)
		return cache->tz;
	tz = jifen_time_zone(text_to_cstring(name));
	if (length <= TZ_STRLEN_MAX)
	{
		if (!cache)
			cache = fcinfo->flinfo->fn_extra =
				MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(ZoneCache));
		cache->tz = tz;
		cache->length = length;
		memcpy(cache->name, VARDATA_ANY(name), length);
	}
	return tz;
}

/*
 * The day, or the first of the month, that the call's instant lies in, or the
 * microsecond before it; infinity of infinity.
 */
static DateADT
date_of_call(FunctionCallInfo fcinfo, bool of_month, bool before)
{
	TimestampTz instant = PG_GETARG_TIMESTAMPTZ(0);
	int			day;

	if (TIMESTAMP_NOT_FINITE(instant))
		return TIMESTAMP_IS_NOBEGIN(instant) ? DATEVAL_NOBEGIN : DATEVAL_NOEND;
	if (!jifen_local_day(before ? instant - 1 : instant, zone_of_call(fcinfo, PG_GETARG_TEXT_PP(1)), &day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	if (of_month)
	{
		int			year;
		int			month;
		int			day_in_month;

		j2date(day, &year, &month, &day_in_month);
		day -= day_in_month - 1;
	}
	return day - POSTGRES_EPOCH_JDATE;
}

/* local_day(instant, time_zone) */
Datum
local_day(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(date_of_call(fcinfo, false, false));
}

/* day_until(instant, time_zone) */
Datum
day_until(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(date_of_call(fcinfo, false, true));
}

/* local_month(instant, time_zone) */
Datum
local_month(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(date_of_call(fcinfo, true, false));
}

/* month_until(instant, time_zone) */
Datum
month_until(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(date_of_call(fcinfo, true, true));
}

/*
 * day_begin(day, time_zone): where the one before ends, by the clock that ends
 * those of expiry; infinity of infinity.
 */
Datum
day_begin(PG_FUNCTION_ARGS)
{
	DateADT		day = PG_GETARG_DATEADT(0);
	TimestampTz result;

	if (DATE_IS_NOBEGIN(day))
		TIMESTAMP_NOBEGIN(result);
	else if (DATE_IS_NOEND(day))
		TIMESTAMP_NOEND(result);
	else if (!jifen_day_end((int64) day + POSTGRES_EPOCH_JDATE - 1,
							zone_of_call(fcinfo, PG_GETARG_TEXT_PP(1)), &result))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	PG_RETURN_TIMESTAMPTZ(result);
}
