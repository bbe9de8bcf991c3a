/*
 * argument.c
 *	  Checked arguments of SQL-callable functions, and refusals as errors.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "argument.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(require_writable);

/* 25006 in a read-only transaction, as any on a standby is. */
void
jifen_require_writable(const char *command)
{
	bool		standby = RecoveryInProgress();

	if (!XactReadOnly && !standby)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("cannot execute %s in a read-only transaction", command),
			 standby ? errdetail("The server is a standby, which only reads.") :
			 errdetail("The transaction is read only."),
			 standby ? errhint("Call it on the primary server.") :
			 errhint("Call it in a transaction that is READ WRITE.")));
}

/* require_writable(command) returns void */
Datum
require_writable(PG_FUNCTION_ARGS)
{
	jifen_require_argument(fcinfo, 0, "command");
	jifen_require_writable(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}

/* 22004: a value is needed. */
JifenRefusal *
jifen_refuse_null(const char *name)
{
	return jifen_refuse(ERRCODE_NULL_VALUE_NOT_ALLOWED,
						psprintf("%s must not be null", name),
						psprintf("The argument \"%s\" is null.", name),
						psprintf("Give a value for it."));
}

/* 22023 unless the text has 1 to JIFEN_MAX_IDENTIFIER characters. */
JifenRefusal *
jifen_check_identifier(Datum value, const char *name)
{
	text	   *packed = DatumGetTextPP(value);
	int			length = pg_mbstrlen_with_len(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));

	if (length > 0 && length <= JIFEN_MAX_IDENTIFIER)
		return NULL;
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf(length == 0 ? "%s must not be empty" : "%s is too long", name),
						psprintf("It has %d characters.", length),
						psprintf("An identifier has from 1 to %d characters.", JIFEN_MAX_IDENTIFIER));
}

/* 22023 unless it is more than zero. */
JifenRefusal *
jifen_check_amount(PointAmount amount, const char *name)
{
	if (amount > 0)
		return NULL;
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("%s must be more than zero", name),
						psprintf("It is " INT64_FORMAT " points.", amount),
						psprintf("Give a positive number of points."));
}

/* 22023 unless the instant is finite. */
JifenRefusal *
jifen_check_time(TimestampTz value, const char *name)
{
	if (!TIMESTAMP_NOT_FINITE(value))
		return NULL;
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("%s must be finite", name),
						psprintf("It is %s.", timestamptz_to_str(value)),
						psprintf("Give a finite instant."));
}

/* 22023 if the instant is after now() by more than so many seconds. */
JifenRefusal *
jifen_check_past(TimestampTz at, const char *name, int tolerance)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (at <= now || at - now <= tolerance * USECS_PER_SEC)
		return NULL;
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("%s is in the future", name),
						psprintf("It is %s, and it is now %s.",
								 pstrdup(timestamptz_to_str(at)),
								 pstrdup(timestamptz_to_str(now))),
						tolerance == 0 ? psprintf("Give an instant that has passed.") :
						psprintf("It may be at most %d seconds ahead (setting jifen.clock_tolerance).",
								 tolerance));
}

/* 22004 unless the argument is given. */
void
jifen_require_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		jifen_raise(jifen_refuse_null(name));
}

/* A text argument of 1 to JIFEN_MAX_IDENTIFIER characters. */
Datum
jifen_identifier_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	Datum		value;

	jifen_require_argument(fcinfo, n, name);
	value = PointerGetDatum(PG_GETARG_TEXT_PP(n));
	jifen_raise(jifen_check_identifier(value, name));
	return value;
}

/* A finite instant, JIFEN_NO_TIME where the argument is null. */
TimestampTz
jifen_time_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		return JIFEN_NO_TIME;
	jifen_raise(jifen_check_time(PG_GETARG_TIMESTAMPTZ(n), name));
	return PG_GETARG_TIMESTAMPTZ(n);
}

/*
 * The type of the rows to return.  Whoever calls the function in FROM has
 * looked it up, which takes as long as to find a row or two.
 */
static TupleDesc
result_type(FunctionCallInfo fcinfo)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleDesc	tupdesc;

	if (result && IsA(result, ReturnSetInfo) && result->expectedDesc)
		return result->expectedDesc;
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return tupdesc;
}

/* The same for a function that returns a single row, as a Datum. */
TupleDesc
jifen_row_type(FunctionCallInfo fcinfo)
{
	return BlessTupleDesc(result_type(fcinfo));
}

/* Begins the rows of a function that returns a set. */
Tuplestorestate *
jifen_begin_rows(FunctionCallInfo fcinfo, TupleDesc *tupdesc)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller;
	Tuplestorestate *rows;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		(result->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set"),
				 errdetail("The function returns rows."),
				 errhint("Call it in FROM.")));
	caller = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
	*tupdesc = CreateTupleDescCopy(result_type(fcinfo));
	rows = tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
	result->returnMode = SFRM_Materialize;
	result->setResult = rows;
	result->setDesc = *tupdesc;
	MemoryContextSwitchTo(caller);
	return rows;
}

/* Raises the refusal, if there is one, as an error. */
void
jifen_raise(const JifenRefusal *refusal)
{
	if (refusal == NULL)
		return;
	ereport(ERROR,
			(errcode(refusal->sqlerrcode),
			 errmsg("%s", refusal->message),
			 errdetail("%s", refusal->detail),
			 errhint("%s", refusal->hint)));
}
