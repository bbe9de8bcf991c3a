/*
 * point_amount.c
 *		The type point_amount: an exact 64-bit count of points.
 *
 * What cannot overflow (comparison, hashing, output, the binary format) is
 * the server's own int8 code, declared in sql/10-point_amount.sql.  Here is
 * the rest: reading text, arithmetic, rounding a numeric, and apportioning.
 * Whatever does not fit is error 22003; nothing is ever a float.
 */
#include "postgres.h"

#include "compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#include "point_amount.h"

/* One element of an apportionment. */
typedef struct Share
{
	PointAmount amount;
	Numeric		remainder;		/* what truncation cut off, as a magnitude */
	int			position;
} Share;

PG_FUNCTION_INFO_V1(point_amount_in);
PG_FUNCTION_INFO_V1(point_amount_add);
PG_FUNCTION_INFO_V1(point_amount_subtract);
PG_FUNCTION_INFO_V1(point_amount_negate);
PG_FUNCTION_INFO_V1(point_amount_abs);
PG_FUNCTION_INFO_V1(point_amount_multiply);
PG_FUNCTION_INFO_V1(point_amount_multiply_commuted);
PG_FUNCTION_INFO_V1(point_amount_sum_final);
PG_FUNCTION_INFO_V1(point_amount_from_numeric);
PG_FUNCTION_INFO_V1(points);
PG_FUNCTION_INFO_V1(apportion);

/* A blank in a literal.  Unlike isspace(), the same in every locale. */
static inline bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Text to point_amount: a whole number with an optional sign, blanks around
 * it.  Our own scan, since the server's int8 accepts more in some versions.
 */
Datum
point_amount_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	char	   *c = text;
	bool		negative = false;
	bool		any_digit = false;
	bool		overflow = false;
	PointAmount amount = 0;

	while (is_blank(*c))
		c++;
	if (*c == '+' || *c == '-')
		negative = (*c++ == '-');

	/* Counting downwards reaches the minimum, which has no positive twin. */
	for (; is_digit(*c); c++)
	{
		any_digit = true;
		if (pg_mul_s64_overflow(amount, 10, &amount) ||
			pg_sub_s64_overflow(amount, *c - '0', &amount))
			overflow = true;
	}

	if ((*c == '.' && (any_digit || is_digit(c[1]))) ||
		((*c == 'e' || *c == 'E') && any_digit))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"point_amount", text),
				 errhint("Points are whole numbers written in digits; "
						 "points(amount, rounding) rounds a numeric.")));

	while (is_blank(*c))
		c++;
	if (*c != '\0' || !any_digit)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"point_amount", text)));

	if (overflow ||
		(!negative && pg_sub_s64_overflow(0, amount, &amount)))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value \"%s\" is out of range for type %s",
						text, "point_amount")));

	PG_RETURN_POINT_AMOUNT(amount);
}

Datum
point_amount_add(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINT_AMOUNT(jifen_add(PG_GETARG_POINT_AMOUNT(0),
									 PG_GETARG_POINT_AMOUNT(1)));
}

Datum
point_amount_subtract(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINT_AMOUNT(jifen_sub(PG_GETARG_POINT_AMOUNT(0),
									 PG_GETARG_POINT_AMOUNT(1)));
}

Datum
point_amount_negate(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINT_AMOUNT(jifen_sub(0, PG_GETARG_POINT_AMOUNT(0)));
}

Datum
point_amount_abs(PG_FUNCTION_ARGS)
{
	PointAmount amount = PG_GETARG_POINT_AMOUNT(0);

	PG_RETURN_POINT_AMOUNT(amount < 0 ? jifen_sub(0, amount) : amount);
}

Datum
point_amount_multiply(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINT_AMOUNT(jifen_mul(PG_GETARG_POINT_AMOUNT(0),
									 PG_GETARG_INT64(1)));
}

Datum
point_amount_multiply_commuted(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINT_AMOUNT(jifen_mul(PG_GETARG_POINT_AMOUNT(1),
									 PG_GETARG_INT64(0)));
}

/* The numeric for a small constant. */
static inline Datum
numeric_constant(int64 value)
{
	return NumericGetDatum(int64_to_numeric(value));
}

static inline int
compare_numeric(Datum a, Datum b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, a, b));
}

/*
 * A numeric known to be whole and finite as points, or 22003.  Compared with
 * the limits here so that the message names our type.
 */
static PointAmount
whole_numeric_to_points(Datum whole)
{
	if (compare_numeric(whole, numeric_constant(POINT_AMOUNT_MIN)) < 0 ||
		compare_numeric(whole, numeric_constant(POINT_AMOUNT_MAX)) > 0)
		JIFEN_POINT_AMOUNT_OUT_OF_RANGE();
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
}

/* Refuse NaN and the infinities, which count no points. */
static void
check_finite(Numeric value)
{
	if (numeric_is_nan(value) || numeric_is_inf(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot convert %s to point_amount",
						numeric_is_nan(value) ? "NaN" : "infinity"),
				 errdetail("A count of points is finite.")));
}

/*
 * Final function of sum(): the server's exact sum, brought back into range.
 * Null when no row was added.
 */
Datum
point_amount_sum_final(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(inner, 1);
	Datum		total;

	InitFunctionCallInfoData(*inner, NULL, 1, InvalidOid, fcinfo->context, NULL);
	inner->args[0] = fcinfo->args[0];
	total = numeric_poly_sum(inner);
	if (inner->isnull)
		PG_RETURN_NULL();

	PG_RETURN_POINT_AMOUNT(whole_numeric_to_points(total));
}

/* The assignment cast from numeric: whole numbers alone. */
Datum
point_amount_from_numeric(PG_FUNCTION_ARGS)
{
	Numeric		value = PG_GETARG_NUMERIC(0);
	Datum		whole;

	check_finite(value);

	whole = DirectFunctionCall2(numeric_trunc, NumericGetDatum(value),
								Int32GetDatum(0));
	if (compare_numeric(whole, NumericGetDatum(value)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot convert a fraction to point_amount"),
				 errdetail("%s is not a whole number of points.",
						   numeric_normalize(value)),
				 errhint("Round it with points(amount, rounding).")));

	PG_RETURN_POINT_AMOUNT(whole_numeric_to_points(whole));
}

/* Round to the nearest whole number, a tie to the even one. */
static Datum
round_half_even(Datum value)
{
	Datum		half = DirectFunctionCall2(numeric_div, numeric_constant(1),
										   numeric_constant(2));
	Datum		floor = DirectFunctionCall1(numeric_floor, value);
	Datum		above = DirectFunctionCall2(numeric_sub, value, floor);
	Datum		odd = DirectFunctionCall2(numeric_mod, floor,
										  numeric_constant(2));
	int			side = compare_numeric(above, half);

	if (side > 0 ||
		(side == 0 && compare_numeric(odd, numeric_constant(0)) != 0))
		return DirectFunctionCall2(numeric_add, floor, numeric_constant(1));
	return floor;
}

/* points(amount, rounding): a numeric as points, rounded the way named. */
Datum
points(PG_FUNCTION_ARGS)
{
	Numeric		value = PG_GETARG_NUMERIC(0);
	char	   *rounding = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Datum		amount = NumericGetDatum(value);
	Datum		whole;

	check_finite(value);

	if (strcmp(rounding, "floor") == 0)
		whole = DirectFunctionCall1(numeric_floor, amount);
	else if (strcmp(rounding, "half_up") == 0)
		whole = DirectFunctionCall2(numeric_round, amount, Int32GetDatum(0));
	else if (strcmp(rounding, "half_even") == 0)
		whole = round_half_even(amount);
	else if (strcmp(rounding, "ceil") == 0)
		whole = DirectFunctionCall1(numeric_ceil, amount);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown rounding \"%s\"", rounding),
				 errhint("The roundings are floor, half_up, half_even and "
						 "ceil.")));

	PG_RETURN_POINT_AMOUNT(whole_numeric_to_points(whole));
}

/* Larger remainder first, the earlier position first among equals. */
static int
compare_shares(const void *a, const void *b)
{
	const Share *first = (const Share *) a;
	const Share *second = (const Share *) b;
	int			order = compare_numeric(NumericGetDatum(second->remainder),
										NumericGetDatum(first->remainder));

	CHECK_FOR_INTERRUPTS();
	return order != 0 ? order : first->position - second->position;
}

static int
compare_positions(const void *a, const void *b)
{
	return ((const Share *) a)->position - ((const Share *) b)->position;
}

/* Refuse a weight that divides nothing: null, negative, NaN, infinite. */
static void
check_weight(Numeric weight, bool isnull, int position)
{
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("weights must not contain nulls"),
				 errdetail("Weight %d is null.", position)));

	if (numeric_is_nan(weight) || numeric_is_inf(weight) ||
		compare_numeric(NumericGetDatum(weight), numeric_constant(0)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weights must be finite and not negative"),
				 errdetail("Weight %d is %s.", position,
						   numeric_normalize(weight))));
}

/*
 * Read the weights into *weights and return their sum, which is above zero.
 */
static Datum
read_weights(ArrayType *array, Datum **weights, int *count)
{
	bool	   *nulls;
	Datum		sum = numeric_constant(0);

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weights must be a one-dimensional array"),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array))));

	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT,
					  weights, &nulls, count);
	if (*count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weights must not be empty"),
				 errhint("Give one weight for each share.")));

	for (int i = 0; i < *count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		check_weight(nulls[i] ? NULL : DatumGetNumeric((*weights)[i]),
					 nulls[i], i + 1);
		sum = DirectFunctionCall2(numeric_add, sum, (*weights)[i]);
	}

	if (compare_numeric(sum, numeric_constant(0)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("weights must not all be zero"),
				 errdetail("There is nothing to divide in proportion to."),
				 errhint("Give at least one weight above zero.")));
	return sum;
}

/*
 * Largest remainder (Hamilton): everyone gets the exact share cut to a whole
 * number, and what is left over goes one by one to the largest remainders.
 *
 * No share is larger than the total, so that nothing can overflow on the way.
 * What is left over is less than the number of non-zero remainders, so that
 * each gets at most one and a weight of zero gets nothing.
 */
static void
apportion_shares(PointAmount total, const Datum *weights, Datum weight_sum,
				 Share *shares, int count)
{
	Datum		exact_total = numeric_constant(total);
	PointAmount left = total;
	PointAmount one = total < 0 ? -1 : 1;

	for (int i = 0; i < count; i++)
	{
		Datum		product;
		Datum		quotient;
		Datum		remainder;

		CHECK_FOR_INTERRUPTS();
		product = DirectFunctionCall2(numeric_mul, exact_total, weights[i]);
		quotient = DirectFunctionCall2(numeric_div_trunc, product, weight_sum);
		remainder = DirectFunctionCall2(numeric_sub, product,
										DirectFunctionCall2(numeric_mul,
															quotient,
															weight_sum));
		shares[i].amount = whole_numeric_to_points(quotient);
		shares[i].remainder =
			DatumGetNumeric(DirectFunctionCall1(numeric_abs, remainder));
		shares[i].position = i;
		left = jifen_sub(left, shares[i].amount);
	}

	Assert(left * one >= 0 && left * one < count);
	if (left == 0)
		return;

	qsort(shares, count, sizeof(Share), compare_shares);
	for (int i = 0; left != 0; i++)
	{
		shares[i].amount = jifen_add(shares[i].amount, one);
		left = jifen_sub(left, one);
	}
	qsort(shares, count, sizeof(Share), compare_positions);
}

/*
 * apportion(total, weights): split the total in proportion to the weights,
 * into shares that add up to exactly the total.
 */
Datum
apportion(PG_FUNCTION_ARGS)
{
	PointAmount total = PG_GETARG_POINT_AMOUNT(0);
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	Oid			element_type;
	int16		length;
	bool		by_value;
	char		alignment;
	Datum	   *weights;
	Datum	   *result;
	Datum		weight_sum;
	Share	   *shares;
	int			count;

	weight_sum = read_weights(array, &weights, &count);
	shares = palloc(count * sizeof(Share));
	apportion_shares(total, weights, weight_sum, shares, count);

	result = palloc(count * sizeof(Datum));
	for (int i = 0; i < count; i++)
		result[i] = PointAmountGetDatum(shares[i].amount);

	/* The same subscripts as the weights, so that they can be read together. */
	element_type = get_element_type(get_func_rettype(fcinfo->flinfo->fn_oid));
	get_typlenbyvalalign(element_type, &length, &by_value, &alignment);
	PG_RETURN_ARRAYTYPE_P(construct_md_array(result, NULL, 1,
											 ARR_DIMS(array),
											 ARR_LBOUND(array),
											 element_type, length, by_value,
											 alignment));
}

/* Points of many accounts may be more than a point_amount holds. */
Datum
jifen_numeric_of_int128(int128 value)
{
	const int64 base = INT64CONST(1000000000000000000);
	Datum		high = NumericGetDatum(int64_to_numeric((int64) (value / base)));
	Datum		low = NumericGetDatum(int64_to_numeric((int64) (value % base)));

	return DirectFunctionCall2(numeric_add,
							   DirectFunctionCall2(numeric_mul, high,
												   NumericGetDatum(int64_to_numeric(base))),
							   low);
}
