/*
 * expiry_policy.h
 *		When points lapse: the policy as stored, and its date arithmetic.
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
	EXPIRY_YEAR = 4
} ExpiryUnit;

/* The period to whose end the last day moves.  Stored: never renumber. */
typedef enum ExpiryEnd
{
	EXPIRY_END_NONE = 0,
	EXPIRY_END_OF_MONTH = 1,
	EXPIRY_END_OF_QUARTER = 2,
	EXPIRY_END_OF_HALF = 3,
	EXPIRY_END_OF_YEAR = 4
} ExpiryEnd;

/* One clock of a policy.  An absent term is all zero. */
typedef struct ExpiryTerm
{
	int32		count;			/* 0: the term is absent */
	uint8		unit;			/* an ExpiryUnit */
	uint8		end_of;			/* an ExpiryEnd */
	int16		zero;			/* always 0, so that every byte is defined */
} ExpiryTerm;

/*
 * The whole policy, exactly 16 bytes.  The points lapse at whichever of the
 * present terms comes first; with no term present they never do.
 */
typedef struct ExpiryPolicy
{
	ExpiryTerm	credit;			/* from the credit's local day */
	ExpiryTerm	inactive;		/* from the member's last activity */
} ExpiryPolicy;

StaticAssertDecl(sizeof(ExpiryPolicy) == 16,
				 "expiry_policy is stored in 16 bytes");

#define DatumGetExpiryPolicyP(X)		((ExpiryPolicy *) DatumGetPointer(X))
#define ExpiryPolicyPGetDatum(X)		PointerGetDatum(X)
#define PG_GETARG_EXPIRY_POLICY_P(n)	DatumGetExpiryPolicyP(PG_GETARG_DATUM(n))
#define PG_RETURN_EXPIRY_POLICY_P(x)	return ExpiryPolicyPGetDatum(x)

extern bool jifen_last_instant(const ExpiryPolicy *policy,
							   TimestampTz event_at, pg_tz *tz,
							   TimestampTz *result);
extern TimestampTz jifen_expires_at(const ExpiryPolicy *policy,
									TimestampTz event_at, pg_tz *tz);
extern bool jifen_policy_has_inactivity(const ExpiryPolicy *policy);
extern pg_tz *jifen_time_zone(const char *name);
extern char *jifen_expiry_policy_out(const ExpiryPolicy *policy);

#endif							/* JIFEN_EXPIRY_POLICY_H */
