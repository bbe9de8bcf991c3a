/*
 * calendar.h
 *		Local days and their ends.
 */
#ifndef JIFEN_CALENDAR_H
#define JIFEN_CALENDAR_H

#include "datatype/timestamp.h"
#include "pgtime.h"

extern pg_tz *jifen_time_zone(const char *name);

extern bool jifen_local_day(TimestampTz at, pg_tz *tz, int *day);
extern int	jifen_add_months(int day, int months);
extern int	jifen_period_end(int day, int months, int last_month);
extern int	jifen_anniversary_year_end(int day, int first_day);
extern bool jifen_day_end(int64 day, pg_tz *tz, TimestampTz *result);
extern bool jifen_day_end_after(TimestampTz from, int32 days, pg_tz *tz,
								TimestampTz *result);

#endif							/* JIFEN_CALENDAR_H */
