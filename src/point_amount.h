/*
 * point_amount.h
 *		The exact count of points, and the only arithmetic allowed on it.
 */
#ifndef JIFEN_POINT_AMOUNT_H
#define JIFEN_POINT_AMOUNT_H

#include "common/int.h"
#include "fmgr.h"

/* A whole number of points, stored and passed as int8. */
typedef int64 PointAmount;

#define POINT_AMOUNT_MIN	PG_INT64_MIN
#define POINT_AMOUNT_MAX	PG_INT64_MAX

#define DatumGetPointAmount(X)		((PointAmount) DatumGetInt64(X))
#define PointAmountGetDatum(X)		Int64GetDatum((int64) (X))
#define PG_GETARG_POINT_AMOUNT(n)	DatumGetPointAmount(PG_GETARG_DATUM(n))
#define PG_RETURN_POINT_AMOUNT(x)	return PointAmountGetDatum(x)

/* What every overflow of points reports. */
#define JIFEN_POINT_AMOUNT_OUT_OF_RANGE() \
	ereport(ERROR, \
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), \
			 errmsg("point_amount out of range")))

/*
 * Add without raising: true if a + b does not fit, and then *result means
 * nothing.
 */
static inline bool
jifen_add_overflows(PointAmount a, PointAmount b, PointAmount *result)
{
	return pg_add_s64_overflow(a, b, result);
}

/* a + b, or 22003. */
static inline PointAmount
jifen_add(PointAmount a, PointAmount b)
{
	PointAmount result;

	if (unlikely(pg_add_s64_overflow(a, b, &result)))
		JIFEN_POINT_AMOUNT_OUT_OF_RANGE();
	return result;
}

/* a - b, or 22003. */
static inline PointAmount
jifen_sub(PointAmount a, PointAmount b)
{
	PointAmount result;

	if (unlikely(pg_sub_s64_overflow(a, b, &result)))
		JIFEN_POINT_AMOUNT_OUT_OF_RANGE();
	return result;
}

/* a taken factor times, or 22003. */
static inline PointAmount
jifen_mul(PointAmount a, int64 factor)
{
	PointAmount result;

	if (unlikely(pg_mul_s64_overflow(a, factor, &result)))
		JIFEN_POINT_AMOUNT_OUT_OF_RANGE();
	return result;
}

extern Datum jifen_numeric_of_int128(int128 value);

#endif							/* JIFEN_POINT_AMOUNT_H */
