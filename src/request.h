/*
 * request.h
 *	  Postings as callers ask for them.
 */
#ifndef JIFEN_REQUEST_H
#define JIFEN_REQUEST_H

#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"

#include "posting.h"

/* The columns of type posting, as in sql/. */
typedef enum JifenField
{
	JIFEN_FIELD_PROGRAM,
	JIFEN_FIELD_MEMBER,
	JIFEN_FIELD_KIND,
	JIFEN_FIELD_AMOUNT,
	JIFEN_FIELD_REFERENCE,
	JIFEN_FIELD_IDEMPOTENCY_KEY,
	JIFEN_FIELD_SOURCE,
	JIFEN_FIELD_EVENT_AT,
	JIFEN_FIELD_EXPIRY,
	JIFEN_FIELD_AVAILABLE_AT,
	JIFEN_FIELD_QUALIFYING,
	JIFEN_FIELD_REVENUE,
	JIFEN_FIELD_DETAILS,
	JIFEN_FIELD_REASON,
	JIFEN_FIELD_SEQ,
	JIFEN_FIELD_UNTIL,
	JIFEN_FIELD_TO_MEMBER,
	JIFEN_FIELD_ISSUED_AT,
	JIFEN_FIELD_EXPIRES_AT,
	JIFEN_FIELD_GROUP,
	JIFEN_FIELD_FUNDER,
	JIFEN_FIELD_PARTNER
} JifenField;

#define JIFEN_NFIELDS (JIFEN_FIELD_PARTNER + 1)

extern void jifen_posting_of_arguments(FunctionCallInfo fcinfo, const char *verb,
									   JifenPosting *posting);
extern void jifen_posting_of_row(HeapTupleHeader row, JifenPosting *posting);
extern JifenRefusal *jifen_replay(JifenPosting *posting);

#endif							/* JIFEN_REQUEST_H */
