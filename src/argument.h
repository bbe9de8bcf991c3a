/*
 * argument.h
 *	  Checked arguments of SQL-callable functions, and refusals as errors.
 */
#ifndef JIFEN_ARGUMENT_H
#define JIFEN_ARGUMENT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "fmgr.h"
#include "utils/tuplestore.h"

#include "posting.h"

/* The longest identifier of a program or a member, in characters. */
#define JIFEN_MAX_IDENTIFIER 256

extern void jifen_require_writable(const char *command);
extern JifenRefusal *jifen_refuse_null(const char *name);
extern JifenRefusal *jifen_check_identifier(Datum value, const char *name);
extern JifenRefusal *jifen_check_amount(PointAmount amount, const char *name);
extern JifenRefusal *jifen_check_time(TimestampTz value, const char *name);
extern JifenRefusal *jifen_check_past(TimestampTz at, const char *name, int tolerance);
extern void jifen_require_argument(FunctionCallInfo fcinfo, int n, const char *name);
extern Datum jifen_identifier_argument(FunctionCallInfo fcinfo, int n, const char *name);
extern TimestampTz jifen_time_argument(FunctionCallInfo fcinfo, int n, const char *name);
extern TupleDesc jifen_row_type(FunctionCallInfo fcinfo);
extern Tuplestorestate *jifen_begin_rows(FunctionCallInfo fcinfo, TupleDesc *tupdesc);
extern void jifen_raise(const JifenRefusal *refusal);

#endif							/* JIFEN_ARGUMENT_H */
