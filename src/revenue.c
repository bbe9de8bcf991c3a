/*
 * revenue.c
 *	  Consideration in proportion to points.
 *
 * Pure, like the deciding files that use it.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "posting.h"

/*
 * What is carried along with points is not booked and keeps more digits, so
 * that a small part of it does not become nothing.
 */
#define CARRIED_DIGITS 6

static Datum
numeric_of(PointAmount amount)
{
	return NumericGetDatum(int64_to_numeric(amount));
}

/* revenue * part / whole, rounded to the digits of revenue or, carried along, to more. */
Datum
jifen_share_of_revenue(Datum revenue, PointAmount part, PointAmount whole, bool is_carried)
{
	int			scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, revenue));
	Datum		product = DirectFunctionCall2(numeric_mul, revenue, numeric_of(part));

	/* The quotient of numeric_div() may have fewer digits than are wanted. */
	product = DirectFunctionCall2(numeric_round, product,
								  Int32GetDatum(scale + CARRIED_DIGITS));
	return DirectFunctionCall2(numeric_round,
							   DirectFunctionCall2(numeric_div, product, numeric_of(whole)),
							   Int32GetDatum(is_carried ? scale + CARRIED_DIGITS : scale));
}

/*
 * What a credit loses of its revenue, negative, where its points are undone as
 * far as after and were so as far as before: reckoned from the whole, so that
 * undoing it in any number of steps ends at exactly zero.
 */
Datum
jifen_undone_revenue(Datum revenue, PointAmount before, PointAmount after, PointAmount whole)
{
	return DirectFunctionCall2(numeric_sub,
							   jifen_share_of_revenue(revenue, before, whole, false),
							   jifen_share_of_revenue(revenue, after, whole, false));
}
