/*
 * argument.c
 *	  Checked arguments of SQL-callable functions, and refusals as errors.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "mb/pg_wchar.h"
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

/* 22004 unless the argument is given. */
void
jifen_require_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errdetail("The argument \"%s\" is null.", name),
				 errhint("Give a value for it.")));
}

/* A text argument of 1 to JIFEN_MAX_IDENTIFIER characters. */
Datum
jifen_identifier_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	text	   *value;
	int			length;

	jifen_require_argument(fcinfo, n, name);
	value = PG_GETARG_TEXT_PP(n);
	length = pg_mbstrlen_with_len(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	if (length == 0 || length > JIFEN_MAX_IDENTIFIER)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 length == 0 ? errmsg("%s must not be empty", name) :
				 errmsg("%s is too long", name),
				 errdetail("It has %d characters.", length),
				 errhint("An identifier has from 1 to %d characters.", JIFEN_MAX_IDENTIFIER)));
	return PointerGetDatum(value);
}

/* The same where the argument may be null: 0 then. */
Datum
jifen_optional_identifier_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	return PG_ARGISNULL(n) ? (Datum) 0 : jifen_identifier_argument(fcinfo, n, name);
}

/* A number of points that is more than zero. */
PointAmount
jifen_amount_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	PointAmount amount;

	jifen_require_argument(fcinfo, n, name);
	amount = PG_GETARG_POINT_AMOUNT(n);
	if (amount <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be more than zero", name),
				 errdetail("It is " INT64_FORMAT " points.", amount),
				 errhint("Give a positive number of points.")));
	return amount;
}

/* A finite instant, JIFEN_NO_TIME where the argument is null. */
TimestampTz
jifen_time_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	TimestampTz value;

	if (PG_ARGISNULL(n))
		return JIFEN_NO_TIME;
	value = PG_GETARG_TIMESTAMPTZ(n);
	if (TIMESTAMP_NOT_FINITE(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be finite", name),
				 errdetail("It is %s.", timestamptz_to_str(value)),
				 errhint("Give a finite instant.")));
	return value;
}

/* A pass-by-reference argument, 0 where it is null. */
Datum
jifen_optional_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? (Datum) 0 : PG_GETARG_DATUM(n);
}

/* 22023 if the instant is after now() by more than so many seconds. */
void
jifen_require_past(TimestampTz at, const char *name, int tolerance)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();

	if (at > now && at - now > tolerance * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is in the future", name),
				 errdetail("It is %s, and it is now %s.",
						   pstrdup(timestamptz_to_str(at)),
						   pstrdup(timestamptz_to_str(now))),
				 tolerance == 0 ? errhint("Give an instant that has passed.") :
				 errhint("It may be at most %d seconds ahead (setting jifen.clock_tolerance).",
						 tolerance)));
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
