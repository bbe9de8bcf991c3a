/*
 * expiry_policy.c
 *		The type expiry_policy, and the instant at which a credit lapses.
 *
 * Pure: the answer depends on the arguments and the time zone database alone.
 * A policy keeps the units as written, for output; equality and hashing go by
 * meaning, so that 12 months equals 1 year.
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "calendar.h"
#include "expiry_policy.h"

/* A unit's length as months or as days; a fixed day has none. */
typedef struct UnitLength
{
	int32		months;
	int32		days;
} UnitLength;

static const UnitLength units[] = {
	[EXPIRY_DAY] = {0, 1},
	[EXPIRY_WEEK] = {0, 7},
	[EXPIRY_MONTH] = {1, 0},
	[EXPIRY_QUARTER] = {3, 0},
	[EXPIRY_YEAR] = {12, 0},
	[EXPIRY_DATE] = {0, 0}
};

/*
 * How long the periods are that a last day can move to the end of.  Each ends
 * with December, but for the years that end with a month by name; a membership
 * year has no such end.
 */
static const int period_months[] = {
	[EXPIRY_END_OF_MONTH] = 1,
	[EXPIRY_END_OF_QUARTER] = 3,
	[EXPIRY_END_OF_HALF] = 6,
	[EXPIRY_END_OF_YEAR] = 12
};

/* The longest term, 1000 years. */
#define MOST_MONTHS	12000
#define MOST_DAYS	365242

/* The fixed days: from 1 January of the year 1 to 31 December of 9999. */
#define FIRST_DATE	1721426
#define LAST_DATE	5373484

PG_FUNCTION_INFO_V1(expiry_policy_in);
PG_FUNCTION_INFO_V1(expiry_policy_out);
PG_FUNCTION_INFO_V1(expiry_policy_recv);
PG_FUNCTION_INFO_V1(expiry_policy_send);
PG_FUNCTION_INFO_V1(expiry_policy_eq);
PG_FUNCTION_INFO_V1(expiry_policy_ne);
PG_FUNCTION_INFO_V1(expiry_policy_hash);
PG_FUNCTION_INFO_V1(expiry_policy_hash_extended);
PG_FUNCTION_INFO_V1(expires_at);
PG_FUNCTION_INFO_V1(lot_expires_at);

/* Whether there is such a term at all. */
bool
jifen_term_is_present(const ExpiryTerm *term)
{
	return term->count != 0 || term->end_of != EXPIRY_END_NONE;
}

/* Whether a term that counts units does so for more than 1000 years. */
bool
jifen_term_is_too_long(const ExpiryTerm *term)
{
	const UnitLength *unit = &units[term->unit];

	Assert(term->unit != EXPIRY_DATE);
	return term->count > (unit->months > 0 ? MOST_MONTHS / unit->months :
						  MOST_DAYS / unit->days);
}

/*
 * The same term in months or, where it has none, in days, with one way to say
 * the calendar year.
 */
static ExpiryTerm
term_meaning(const ExpiryTerm *term)
{
	const UnitLength *unit = &units[term->unit];
	ExpiryTerm	meaning = *term;

	if (term->count != 0 && term->unit != EXPIRY_DATE)
	{
		meaning.unit = unit->months > 0 ? EXPIRY_MONTH : EXPIRY_DAY;
		meaning.count *= unit->months > 0 ? unit->months : unit->days;
	}
	if (term->end_of == EXPIRY_END_OF_DECEMBER)
		meaning.end_of = EXPIRY_END_OF_YEAR;
	return meaning;
}

/* Whether two terms mean the same. */
bool
jifen_same_term(const ExpiryTerm *a, const ExpiryTerm *b)
{
	ExpiryTerm	first = term_meaning(a);
	ExpiryTerm	second = term_meaning(b);

	return memcmp(&first, &second, sizeof(ExpiryTerm)) == 0;
}

/* Text to expiry_policy. */
Datum
expiry_policy_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	ExpiryPolicy *policy = palloc(sizeof(ExpiryPolicy));
	char	   *complaint = jifen_read_expiry_policy(text, policy);

	if (complaint != NULL)
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"expiry_policy", text),
				 errdetail("%s", complaint),
				 errhint("Write for example \"never\", \"12 months\", "
						 "\"12 months end of month\", \"end of year\", "
						 "\"on 2030-12-31\", \"18 months inactive\" or "
						 "\"48 months or 18 months inactive\".")));

	PG_RETURN_EXPIRY_POLICY_P(policy);
}

Datum
expiry_policy_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(jifen_expiry_policy_out(PG_GETARG_EXPIRY_POLICY_P(0)));
}

/* Whether a term could have been read from text, or is absent. */
static bool
is_possible(const ExpiryTerm *term)
{
	if (term->unit > EXPIRY_DATE ||
		term->end_of > EXPIRY_END_OF_MEMBERSHIP_YEAR ||
		(term->clock != EXPIRY_FROM_CREDIT && term->clock != EXPIRY_FROM_ACTIVITY))
		return false;
	if (term->unit == EXPIRY_DATE)
		return term->count >= FIRST_DATE && term->count <= LAST_DATE &&
			term->end_of == EXPIRY_END_NONE && term->clock == EXPIRY_FROM_CREDIT;
	if (term->count == 0)
		return term->unit == EXPIRY_DAY && term->clock == EXPIRY_FROM_CREDIT;
	return term->count > 0 && !jifen_term_is_too_long(term);
}

/* Read one term of the binary format; nothing out of range gets in. */
static void
receive_term(StringInfo buffer, ExpiryTerm *term)
{
	term->count = pq_getmsgint(buffer, 4);
	term->unit = pq_getmsgbyte(buffer);
	term->end_of = pq_getmsgbyte(buffer);
	term->clock = pq_getmsgint(buffer, 2);

	if (!is_possible(term))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary representation of type %s",
						"expiry_policy"),
				 errdetail("A term has count %d, unit %d, end %d and clock %d.",
						   term->count, term->unit, term->end_of, term->clock)));
}

/*
 * Binary format: for the first term, then for the second, the count as 4
 * bytes, the unit and the end as one byte each, the clock as 2 bytes.
 */
Datum
expiry_policy_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buffer = (StringInfo) PG_GETARG_POINTER(0);
	ExpiryPolicy *policy = palloc0(sizeof(ExpiryPolicy));

	receive_term(buffer, &policy->terms[0]);
	receive_term(buffer, &policy->terms[1]);
	if (jifen_term_is_present(&policy->terms[1]) &&
		(!jifen_term_is_present(&policy->terms[0]) ||
		 policy->terms[0].clock == EXPIRY_FROM_ACTIVITY ||
		 jifen_same_term(&policy->terms[0], &policy->terms[1])))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary representation of type %s",
						"expiry_policy"),
				 errdetail("The second term does not go with the first.")));
	PG_RETURN_EXPIRY_POLICY_P(policy);
}

static void
send_term(StringInfo buffer, const ExpiryTerm *term)
{
	pq_sendint32(buffer, term->count);
	pq_sendbyte(buffer, term->unit);
	pq_sendbyte(buffer, term->end_of);
	pq_sendint16(buffer, term->clock);
}

Datum
expiry_policy_send(PG_FUNCTION_ARGS)
{
	ExpiryPolicy *policy = PG_GETARG_EXPIRY_POLICY_P(0);
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	send_term(&buffer, &policy->terms[0]);
	send_term(&buffer, &policy->terms[1]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

/* What equality and hashing look at, with every byte defined. */
static ExpiryPolicy
policy_meaning(const ExpiryPolicy *policy)
{
	ExpiryTerm	first = term_meaning(&policy->terms[0]);
	ExpiryTerm	second = term_meaning(&policy->terms[1]);

	ExpiryPolicy meaning = {{first, second}};

	/* Two terms from the credit mean the same in either order. */
	if (jifen_term_is_present(&second) && second.clock == EXPIRY_FROM_CREDIT &&
		memcmp(&first, &second, sizeof(ExpiryTerm)) > 0)
	{
		meaning.terms[0] = second;
		meaning.terms[1] = first;
	}
	return meaning;
}

static bool
same_meaning(const ExpiryPolicy *a, const ExpiryPolicy *b)
{
	ExpiryPolicy first = policy_meaning(a);
	ExpiryPolicy second = policy_meaning(b);

	return memcmp(&first, &second, sizeof(ExpiryPolicy)) == 0;
}

Datum
expiry_policy_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(same_meaning(PG_GETARG_EXPIRY_POLICY_P(0),
								PG_GETARG_EXPIRY_POLICY_P(1)));
}

Datum
expiry_policy_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!same_meaning(PG_GETARG_EXPIRY_POLICY_P(0),
								 PG_GETARG_EXPIRY_POLICY_P(1)));
}

/* Low 32 bits the same as the extended hash with seed 0, as hashing asks. */
Datum
expiry_policy_hash(PG_FUNCTION_ARGS)
{
	ExpiryPolicy meaning = policy_meaning(PG_GETARG_EXPIRY_POLICY_P(0));

	return hash_any((const unsigned char *) &meaning, sizeof(meaning));
}

Datum
expiry_policy_hash_extended(PG_FUNCTION_ARGS)
{
	ExpiryPolicy meaning = policy_meaning(PG_GETARG_EXPIRY_POLICY_P(0));

	return hash_any_extended((const unsigned char *) &meaning,
							 sizeof(meaning), PG_GETARG_INT64(1));
}

/* Whether a term counts from the last activity. */
bool
jifen_policy_has_inactivity(const ExpiryPolicy *policy)
{
	return policy->terms[0].clock == EXPIRY_FROM_ACTIVITY ||
		policy->terms[1].clock == EXPIRY_FROM_ACTIVITY;
}

/* Whether it matters when the member joined. */
bool
jifen_policy_needs_joining(const ExpiryPolicy *policy)
{
	return policy->terms[0].end_of == EXPIRY_END_OF_MEMBERSHIP_YEAR ||
		policy->terms[1].end_of == EXPIRY_END_OF_MEMBERSHIP_YEAR;
}

/*
 * The last day on which the points live by one term: the day that it counts
 * from plus the term, cut to the end of a shorter month, then moved to the end
 * of its period where the term asks for it.  False where there is no local day
 * to count from.
 */
static bool
last_day(const ExpiryTerm *term, TimestampTz from, TimestampTz joined_at,
		 pg_tz *tz, int *day)
{
	const ExpiryTerm meaning = term_meaning(term);

	if (term->unit == EXPIRY_DATE)
	{
		*day = term->count;
		return true;
	}

	if (!jifen_local_day(from, tz, day))
		return false;
	if (meaning.unit == EXPIRY_MONTH)
		*day = jifen_add_months(*day, meaning.count);
	else
		*day += meaning.count;

	if (term->end_of == EXPIRY_END_OF_MEMBERSHIP_YEAR)
	{
		int			joined;

		if (!jifen_local_day(joined_at, tz, &joined))
			return false;
		*day = jifen_anniversary_year_end(*day, joined);
	}
	else if (term->end_of >= EXPIRY_END_OF_JANUARY)
		*day = jifen_period_end(*day, 12, term->end_of - EXPIRY_END_OF_JANUARY + 1);
	else if (term->end_of != EXPIRY_END_NONE)
		*day = jifen_period_end(*day, period_months[term->end_of], 12);
	return true;
}

/* Sets of clocks, as bits. */
#define CLOCK_BIT(clock)	(1 << (clock))
#define ALL_CLOCKS			(CLOCK_BIT(EXPIRY_FROM_CREDIT) | CLOCK_BIT(EXPIRY_FROM_ACTIVITY))

/*
 * The earliest instant at which the terms of those clocks let points lapse:
 * where the local day ends that is the last.  DT_NOEND if there is no such
 * term.
 *
 * A term whose instant is no timestamp lies after the last one that there is,
 * so that any other comes first; false where there is no other.
 */
static bool
earliest_instant(const ExpiryPolicy *policy, int clocks, TimestampTz from,
				 TimestampTz joined_at, pg_tz *tz, TimestampTz *result)
{
	bool		in_range = true;
	bool		found = false;

	*result = DT_NOEND;
	for (size_t i = 0; i < lengthof(policy->terms); i++)
	{
		const ExpiryTerm *term = &policy->terms[i];
		TimestampTz instant;
		int			day;

		if (!jifen_term_is_present(term) || (clocks & CLOCK_BIT(term->clock)) == 0)
			continue;
		if (last_day(term, from, joined_at, tz, &day) &&
			jifen_day_end(day, tz, &instant))
		{
			*result = Min(*result, instant);
			found = true;
		}
		else
			in_range = false;
	}
	return found || in_range;
}

/*
 * The instant from which on a credit of from is lapsed by the terms that count
 * from the credit, for a member who joined at joined_at (of no matter unless
 * jifen_policy_needs_joining()).  DT_NOEND if there are none.  False if it is
 * out of range.
 */
bool
jifen_credit_instant(const ExpiryPolicy *policy, TimestampTz from,
					 TimestampTz joined_at, pg_tz *tz, TimestampTz *result)
{
	return earliest_instant(policy, CLOCK_BIT(EXPIRY_FROM_CREDIT), from,
							joined_at, tz, result);
}

/* The same by the term that counts from the last activity. */
bool
jifen_inactive_instant(const ExpiryPolicy *policy, TimestampTz activity_at,
					   TimestampTz joined_at, pg_tz *tz, TimestampTz *result)
{
	return earliest_instant(policy, CLOCK_BIT(EXPIRY_FROM_ACTIVITY),
							activity_at, joined_at, tz, result);
}

/* The earlier of the two, where no activity follows the credit. */
bool
jifen_last_instant(const ExpiryPolicy *policy, TimestampTz from,
				   TimestampTz joined_at, pg_tz *tz, TimestampTz *result)
{
	return earliest_instant(policy, ALL_CLOCKS, from, joined_at, tz, result);
}

/* Raise 22023 for an argument that is infinite. */
static void
check_finite(const char *name, TimestampTz at)
{
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be finite", name),
				 errdetail("It is %s.", timestamptz_to_str(at)),
				 errhint("Give a finite instant.")));
}

/* expires_at(policy, event_at, time_zone, joined_at) */
Datum
expires_at(PG_FUNCTION_ARGS)
{
	ExpiryPolicy *policy;
	TimestampTz event_at;
	TimestampTz joined_at = 0;
	TimestampTz result;
	pg_tz	   *tz;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	policy = PG_GETARG_EXPIRY_POLICY_P(0);
	event_at = PG_GETARG_TIMESTAMPTZ(1);
	tz = jifen_time_zone(text_to_cstring(PG_GETARG_TEXT_PP(2)));

	check_finite("event_at", event_at);
	if (!PG_ARGISNULL(3))
	{
		joined_at = PG_GETARG_TIMESTAMPTZ(3);
		check_finite("joined_at", joined_at);
	}
	else if (jifen_policy_needs_joining(policy))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("joined_at must not be null"),
				 errdetail("The expiry policy is \"%s\".",
						   jifen_expiry_policy_out(policy)),
				 errhint("Give the instant at which the member joined.")));

	if (!jifen_last_instant(policy, event_at, joined_at, tz, &result))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("expiry out of range"),
				 errdetail("The last day would end after the last timestamp "
						   "that there is.")));
	PG_RETURN_TIMESTAMPTZ(result);
}

/*
 * Where the clock of a lot stands whose credit terms count from one instant and
 * whose inactive term from the later of that and another: not before
 * expires_at.  What would end after the last timestamp does not end.
 */
TimestampTz
jifen_clock_instant(const ExpiryPolicy *policy, TimestampTz expires_at,
					TimestampTz counts_from, TimestampTz active_at,
					TimestampTz joined_at, pg_tz *tz)
{
	TimestampTz from_credit;
	TimestampTz from_activity;

	if (!jifen_credit_instant(policy, counts_from, joined_at, tz, &from_credit))
		from_credit = DT_NOEND;
	if (!jifen_inactive_instant(policy, Max(counts_from, active_at), joined_at, tz,
								&from_activity))
		from_activity = DT_NOEND;
	return Max(expires_at, Min(from_credit, from_activity));
}

/*
 * lot_expires_at(expires_at, expiry, counts_from, active_at, joined_at,
 *				  time_zone)
 */
Datum
lot_expires_at(PG_FUNCTION_ARGS)
{
	TimestampTz expires_at;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	expires_at = PG_GETARG_TIMESTAMPTZ(0);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(5))
		PG_RETURN_TIMESTAMPTZ(expires_at);
	PG_RETURN_TIMESTAMPTZ(jifen_clock_instant(PG_GETARG_EXPIRY_POLICY_P(1), expires_at,
											  PG_GETARG_TIMESTAMPTZ(2),
											  PG_ARGISNULL(3) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(3),
											  PG_ARGISNULL(4) ? PG_GETARG_TIMESTAMPTZ(2) : PG_GETARG_TIMESTAMPTZ(4),
											  jifen_time_zone(text_to_cstring(PG_GETARG_TEXT_PP(5)))));
}
