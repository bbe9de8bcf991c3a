/*
 * expiry_policy.h
 *		When points lapse: the policy as stored, and its instants.
 */
#ifndef JIFEN_EXPIRY_POLICY_H
#define JIFEN_EXPIRY_POLICY_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "pgtime.h"

/* What a term counts.  The values are stored: never renumber them. */
typedef enum ExpiryUnit
{
	EXPIRY_DAY = 0,
	EXPIRY_WEEK = 1,
	EXPIRY_MONTH = 2,
	EXPIRY_QUARTER = 3,
	EXPIRY_YEAR = 4,
	EXPIRY_DATE = 5				/* nothing: the count is a Julian day */
} ExpiryUnit;

/*
 * The period to whose end the last day moves.  Stored: never renumber.  Those
 * from January to December are the years that end with that month.
 */
typedef enum ExpiryEnd
{
	EXPIRY_END_NONE = 0,
	EXPIRY_END_OF_MONTH = 1,
	EXPIRY_END_OF_QUARTER = 2,
	EXPIRY_END_OF_HALF = 3,
	EXPIRY_END_OF_YEAR = 4,
	EXPIRY_END_OF_JANUARY = 5,
	EXPIRY_END_OF_DECEMBER = 16,
	EXPIRY_END_OF_MEMBERSHIP_YEAR = 17
} ExpiryEnd;

/* From when a term counts.  Stored: never renumber. */
typedef enum ExpiryClock
{
	EXPIRY_FROM_CREDIT = 0,
	EXPIRY_FROM_ACTIVITY = 1
} ExpiryClock;

/*
 * One term of a policy.  An absent one is all zero; "end of year" alone has
 * no count, and 0 days.
 */
typedef struct ExpiryTerm
{
	int32		count;
	uint8		unit;			/* an ExpiryUnit */
	uint8		end_of;			/* an ExpiryEnd */
	int16		clock;			/* an ExpiryClock */
} ExpiryTerm;

/*
 * The whole policy, exactly 16 bytes.  The points lapse at whichever of the
 * present terms comes first; with no term present they never do.  There is no
 * second term without a first, and the term from the last activity, of which
 * there is at most one, comes last.
 */
typedef struct ExpiryPolicy
{
	ExpiryTerm	terms[2];
} ExpiryPolicy;

StaticAssertDecl(sizeof(ExpiryPolicy) == 16,
				 "expiry_policy is stored in 16 bytes");

#define DatumGetExpiryPolicyP(X)		((ExpiryPolicy *) DatumGetPointer(X))
#define ExpiryPolicyPGetDatum(X)		PointerGetDatum(X)
#define PG_GETARG_EXPIRY_POLICY_P(n)	DatumGetExpiryPolicyP(PG_GETARG_DATUM(n))
#define PG_RETURN_EXPIRY_POLICY_P(x)	return ExpiryPolicyPGetDatum(x)

extern bool jifen_policy_has_inactivity(const ExpiryPolicy *policy);
extern bool jifen_policy_needs_joining(const ExpiryPolicy *policy);
extern bool jifen_credit_instant(const ExpiryPolicy *policy, TimestampTz from,
								 TimestampTz joined_at, pg_tz *tz,
								 TimestampTz *result);
extern bool jifen_inactive_instant(const ExpiryPolicy *policy,
								   TimestampTz activity_at,
								   TimestampTz joined_at, pg_tz *tz,
								   TimestampTz *result);
extern bool jifen_last_instant(const ExpiryPolicy *policy, TimestampTz from,
							   TimestampTz joined_at, pg_tz *tz,
							   TimestampTz *result);
extern TimestampTz jifen_clock_instant(const ExpiryPolicy *policy, TimestampTz expires_at,
									   TimestampTz counts_from, TimestampTz active_at,
									   TimestampTz joined_at, pg_tz *tz);

extern char *jifen_read_expiry_policy(const char *text, ExpiryPolicy *policy);
extern char *jifen_expiry_policy_out(const ExpiryPolicy *policy);
extern bool jifen_term_is_present(const ExpiryTerm *term);
extern bool jifen_term_is_too_long(const ExpiryTerm *term);
extern bool jifen_same_term(const ExpiryTerm *a, const ExpiryTerm *b);

#endif							/* JIFEN_EXPIRY_POLICY_H */
