/*
 * ledger.c
 *	  The verbs that write entries: arguments in, posting built, entry out.
 *
 * Each verb checks its arguments, locks the account, loads what the decision
 * needs, lets posting.c decide, stores the outcome and returns its entry.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/numeric.h"

#include "argument.h"
#include "settings.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(earn);
PG_FUNCTION_INFO_V1(redeem);
PG_FUNCTION_INFO_V1(reverse);

/*
 * When the posting happened.  One that says nothing happened now, or with the
 * account's latest entry where that is later: a transaction that began before
 * another one's posting still comes after it.
 */
static TimestampTz
effective_event_at(const JifenAccount *account, TimestampTz event_at)
{
	if (event_at != JIFEN_NO_TIME)
		return event_at;
	return Max(GetCurrentTransactionStartTimestamp(), account->last_event_at);
}

/* Stores what was decided; returns the entry that the posting became. */
static Datum
finish(JifenAccount *account, const JifenPosting *posting)
{
	Datum		result = (Datum) 0;

	jifen_store(&account, 1);
	for (int i = 0; i < account->nentries; i++)
	{
		if (account->entries[i].posting == posting)
			result = jifen_entry_datum(account, &account->entries[i]);
	}
	SPI_finish();
	return result;
}

/*
 * earn(program, member, amount, reference, source, event_at, expiry,
 *		available_at, qualifying, revenue, details) returns entry
 */
Datum
earn(PG_FUNCTION_ARGS)
{
	JifenPosting posting = {JIFEN_EARN};
	JifenAccount *account;
	Datum		program;
	Datum		member;
	TimestampTz event_at;
	TimestampTz available_at;
	const ExpiryPolicy *expiry;

	jifen_require_writable("earn()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	posting.amount = jifen_amount_argument(fcinfo, 2, "amount");
	posting.reference = jifen_optional_identifier_argument(fcinfo, 3, "reference");
	posting.source = jifen_optional_identifier_argument(fcinfo, 4, "source");
	event_at = jifen_time_argument(fcinfo, 5, "event_at");
	jifen_require_past(event_at, "event_at", jifen_clock_tolerance);
	expiry = PG_ARGISNULL(6) ? NULL : PG_GETARG_EXPIRY_POLICY_P(6);
	available_at = jifen_time_argument(fcinfo, 7, "available_at");
	posting.has_qualifying = !PG_ARGISNULL(8);
	if (posting.has_qualifying)
		posting.qualifying = PG_GETARG_POINT_AMOUNT(8);
	if (posting.qualifying < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("qualifying must not be negative"),
				 errdetail("It is " INT64_FORMAT " points.", posting.qualifying),
				 errhint("Give 0 for points that do not count towards a tier.")));
	posting.revenue = jifen_optional_argument(fcinfo, 9);
	if (posting.revenue &&
		(numeric_is_nan(DatumGetNumeric(posting.revenue)) ||
		 numeric_is_inf(DatumGetNumeric(posting.revenue))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("revenue must be finite"),
				 errdetail("It is %s.",
						   numeric_normalize(DatumGetNumeric(posting.revenue))),
				 errhint("Give the consideration allocated to these points, in the program's currency.")));
	posting.details = jifen_optional_argument(fcinfo, 10);

	SPI_connect();
	account = jifen_lock_or_open_account(program, member);
	jifen_raise(jifen_require_open(account));
	posting.event_at = effective_event_at(account, event_at);
	posting.available_at = available_at == JIFEN_NO_TIME ? posting.event_at : available_at;
	if (posting.available_at < posting.event_at)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("available_at is before event_at"),
				 errdetail("The points are earned at %s and would be available from %s.",
						   pstrdup(timestamptz_to_str(posting.event_at)),
						   pstrdup(timestamptz_to_str(posting.available_at))),
				 errhint("Leave available_at out for points that are available at once.")));
	posting.expires_at = jifen_expires_at(expiry ? expiry : &account->program->expiry,
										  posting.event_at,
										  account->program->time_zone);
	jifen_raise(jifen_post_earn(account, &posting));
	PG_RETURN_DATUM(finish(account, &posting));
}

/* redeem(program, member, amount, reference, event_at, details) returns entry */
Datum
redeem(PG_FUNCTION_ARGS)
{
	JifenPosting posting = {JIFEN_REDEEM};
	JifenAccount *account;
	Datum		program;
	Datum		member;
	TimestampTz event_at;

	jifen_require_writable("redeem()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	posting.amount = jifen_amount_argument(fcinfo, 2, "amount");
	posting.reference = jifen_optional_identifier_argument(fcinfo, 3, "reference");
	event_at = jifen_time_argument(fcinfo, 4, "event_at");
	jifen_require_past(event_at, "event_at", jifen_clock_tolerance);
	posting.details = jifen_optional_argument(fcinfo, 5);

	SPI_connect();
	account = jifen_lock_account(program, member);
	jifen_raise(jifen_require_open(account));
	posting.event_at = effective_event_at(account, event_at);
	jifen_load_spendable(account, 0, posting.amount, posting.event_at);
	jifen_raise(jifen_post_redeem(account, &posting));
	PG_RETURN_DATUM(finish(account, &posting));
}

/* reverse(program, member, seq, amount, reason, event_at, details) returns entry */
Datum
reverse(PG_FUNCTION_ARGS)
{
	JifenPosting posting = {JIFEN_REVERSE};
	JifenReversed reversed;
	JifenAccount *account;
	Datum		program;
	Datum		member;
	TimestampTz event_at;
	int64		seq;

	jifen_require_writable("reverse()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	jifen_require_argument(fcinfo, 2, "seq");
	seq = PG_GETARG_INT64(2);
	if (!PG_ARGISNULL(3))
		posting.amount = jifen_amount_argument(fcinfo, 3, "amount");
	posting.reason = jifen_optional_argument(fcinfo, 4);
	event_at = jifen_time_argument(fcinfo, 5, "event_at");
	jifen_require_past(event_at, "event_at", jifen_clock_tolerance);
	posting.details = jifen_optional_argument(fcinfo, 6);

	SPI_connect();
	account = jifen_lock_account(program, member);
	jifen_raise(jifen_require_open(account));
	posting.event_at = effective_event_at(account, event_at);
	if (!jifen_load_reversed(account, seq, &reversed))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no such entry"),
				 errdetail("Account \"%s\" of program \"%s\" has entries 1 to " INT64_FORMAT
						   ", and no entry " INT64_FORMAT ".",
						   account->member, account->program->code, account->last_seq, seq),
				 errhint("statement() lists the entries of an account.")));
	if (reversed.kind == JIFEN_EARN)
		jifen_load_spendable(account, seq,
							 posting.amount ? posting.amount : reversed.amount - reversed.reversed,
							 posting.event_at);
	jifen_raise(jifen_post_reverse(account, &posting, &reversed));
	PG_RETURN_DATUM(finish(account, &posting));
}
