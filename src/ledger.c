/*
 * ledger.c
 *	  The verbs that write entries: arguments in, posting built, entry out.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "argument.h"
#include "plan.h"
#include "post.h"
#include "request.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(earn);
PG_FUNCTION_INFO_V1(redeem);
PG_FUNCTION_INFO_V1(hold);
PG_FUNCTION_INFO_V1(capture);
PG_FUNCTION_INFO_V1(release);
PG_FUNCTION_INFO_V1(reverse);
PG_FUNCTION_INFO_V1(adjust);
PG_FUNCTION_INFO_V1(import);
PG_FUNCTION_INFO_V1(transfer);
PG_FUNCTION_INFO_V1(post);

/* A transfer_out and, in the order of its lots, the credits that it made. */
static JifenStatement entries_of_transfer = {
	"select e from jifen.entry e where e.account_id = $1 and e.seq = $2"
	" union all"
	" (select i.entry from jifen.entry o"
	"  cross join lateral (select e as entry from jifen.entry e"
	"    where e.account_id = o.counter_account_id and e.seq >= o.counter_seq"
	"      and e.counter_account_id = $1 and e.counter_seq = $2 and e.kind = 'transfer_in'"
	"    order by e.seq"
	"    limit (select count(*) from jifen.allocation where account_id = $1 and seq = $2)) i"
	"  where o.account_id = $1 and o.seq = $2)",
	2, {INT8OID, INT8OID}
};

/* Posts what the verb's arguments ask for; connects to SPI and stays so. */
static void
post_arguments(FunctionCallInfo fcinfo, const char *verb, JifenPosting *posting)
{
	char		command[32];

	snprintf(command, sizeof(command), "%s()", verb);
	jifen_require_writable(command);
	jifen_posting_of_arguments(fcinfo, verb, posting);
	jifen_raise(posting->refusal);
	SPI_connect();
	if (jifen_post(posting, 1, false))
		jifen_raise(posting->refusal);
}

/* The same; returns the entry that the posting became, or that its key had. */
static Datum
post_entry(FunctionCallInfo fcinfo, const char *verb)
{
	JifenPosting posting;
	Datum		result = (Datum) 0;

	post_arguments(fcinfo, verb, &posting);
	if (posting.first)
		result = SPI_datumTransfer(HeapTupleHeaderGetDatum(posting.first), false, -1);
	for (int i = 0; result == (Datum) 0 && i < posting.account->nentries; i++)
	{
		const JifenEntry *entry = &posting.account->entries[i];

		if (entry->posting == &posting && entry->is_own)
			result = jifen_entry_datum(posting.account, entry);
	}
	SPI_finish();
	return result;
}

/*
 * earn(program, member, amount, reference, idempotency_key, source, event_at,
 *		expiry, available_at, qualifying, revenue, details) returns entry
 */
Datum
earn(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "earn"));
}

/*
 * redeem(program, member, amount, reference, idempotency_key, event_at,
 *		  details) returns entry
 */
Datum
redeem(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "redeem"));
}

/*
 * hold(program, member, amount, until, reference, idempotency_key, event_at,
 *		details) returns entry
 */
Datum
hold(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "hold"));
}

/*
 * capture(program, member, hold_seq, amount, reference, idempotency_key,
 *		   event_at, details) returns entry
 */
Datum
capture(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "capture"));
}

/*
 * release(program, member, hold_seq, reason, idempotency_key, event_at,
 *		   details) returns entry
 */
Datum
release(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "release"));
}

/*
 * reverse(program, member, seq, amount, reason, idempotency_key, event_at,
 *		   details, expiry) returns entry
 */
Datum
reverse(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "reverse"));
}

/*
 * adjust(program, member, amount, reason, reference, idempotency_key, source,
 *		  event_at, expiry, available_at, qualifying, details) returns entry
 */
Datum
adjust(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "adjust"));
}

/*
 * import(program, member, amount, expires_at, reference, idempotency_key,
 *		  source, event_at, issued_at, expiry, available_at, qualifying,
 *		  revenue, details) returns entry
 */
Datum
import(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(post_entry(fcinfo, "import"));
}

/*
 * transfer(program, from_member, to_member, amount, reference,
 *			idempotency_key, reason, event_at, details) returns setof entry
 */
Datum
transfer(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Tuplestorestate *rows = jifen_begin_rows(fcinfo, &tupdesc);
	JifenPosting posting;
	Datum		values[2];
	uint64		n;

	post_arguments(fcinfo, "transfer", &posting);
	values[0] = Int64GetDatum(posting.account->account_id);
	values[1] = Int64GetDatum(posting.entry_seq);
	n = jifen_execute(&entries_of_transfer, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		HeapTupleHeader header = DatumGetHeapTupleHeader(jifen_get_datum(row, 1));
		HeapTupleData tuple = {0};

		tuple.t_len = HeapTupleHeaderGetDatumLength(header);
		ItemPointerSetInvalid(&tuple.t_self);
		tuple.t_data = header;
		tuplestore_puttuple(rows, &tuple);
	}
	SPI_finish();
	return (Datum) 0;
}

/* The postings of an array of type posting; null elements are refused. */
static JifenPosting *
postings_of_array(ArrayType *array, int *n)
{
	JifenPosting *postings;
	Datum	   *elements;
	bool	   *nulls;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &elements, &nulls, n);
	postings = palloc_extended((*n + 1) * sizeof(JifenPosting), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < *n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			postings[i].refusal = jifen_refuse_null("posting");
		else
			jifen_posting_of_row(DatumGetHeapTupleHeader(elements[i]), &postings[i]);
	}
	pfree(elements);
	pfree(nulls);
	return postings;
}

static bool
skip_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *rule;

	jifen_require_argument(fcinfo, n, "on_refusal");
	rule = text_to_cstring(PG_GETARG_TEXT_PP(n));
	if (strcmp(rule, "abort") != 0 && strcmp(rule, "skip") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid on_refusal \"%s\"", rule),
				 errdetail("It says what happens to the others where a posting is refused."),
				 errhint("Use abort or skip.")));
	return strcmp(rule, "skip") == 0;
}

/*
 * post(postings, on_refusal) returns setof (ordinal, seq, balance, sqlstate,
 *		message, detail)
 */
Datum
post(PG_FUNCTION_ARGS)
{
	TupleDesc	tupdesc;
	Tuplestorestate *rows = jifen_begin_rows(fcinfo, &tupdesc);
	JifenPosting *postings;
	JifenPosting *refused;
	bool		skip;
	int			n;

	jifen_require_writable("post()");
	jifen_require_argument(fcinfo, 0, "postings");
	skip = skip_argument(fcinfo, 1);
	SPI_connect();
	postings = postings_of_array(PG_GETARG_ARRAYTYPE_P(0), &n);
	refused = jifen_post(postings, n, skip);
	if (refused)
	{
		refused->refusal->detail = psprintf("Posting %d: %s", (int) (refused - postings) + 1,
											refused->refusal->detail);
		jifen_raise(refused->refusal);
	}
	for (int i = 0; i < n; i++)
	{
		const JifenPosting *posting = &postings[i];
		Datum		values[6] = {0};
		bool		nulls[6] = {false, true, true, true, true, true};

		values[0] = Int32GetDatum(i + 1);
		if (posting->refusal)
		{
			values[3] = CStringGetTextDatum(unpack_sql_state(posting->refusal->sqlerrcode));
			values[4] = CStringGetTextDatum(posting->refusal->message);
			values[5] = CStringGetTextDatum(posting->refusal->detail);
			nulls[3] = nulls[4] = nulls[5] = false;
		}
		else
		{
			values[1] = Int64GetDatum(posting->entry_seq);
			values[2] = PointAmountGetDatum(posting->entry_balance);
			nulls[1] = nulls[2] = false;
		}
		tuplestore_putvalues(rows, tupdesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}
