/*
 * expire.c
 *	  Books what the clock has brought about, a bounded batch at a time: the
 *	  expiry of lots that have lapsed and the release of holds that are overdue.
 *
 * Lapsed points cannot be spent, and overdue holds count as released, whether
 * or not that is booked; booking only writes the entries.  So an account that
 * somebody else holds is left for the next run, and any number of runs may
 * work side by side.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/numeric.h"

#include "argument.h"
#include "plan.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(expire_batch);
PG_FUNCTION_INFO_V1(release_batch);

/* Due rows are read so many at a time. */
#define DUE_ROWS 1000

static JifenStatement all_programs = {
	"select p.program_id from jifen.program p order by p.program_id", 0
};

static JifenStatement due_lots = {
	"select l.account_id from jifen.lot l"
	" where l.program_id = $1 and l.expires_at <= $2 and l.expires_at < 'infinity'"
	" order by l.expires_at",
	2, {INT4OID, TIMESTAMPTZOID}
};

static JifenStatement due_holds = {
	"select h.account_id from jifen.hold h"
	" where h.program_id = $1 and h.until <= $2"
	" order by h.until",
	2, {INT4OID, TIMESTAMPTZOID}
};

struct Batch;

/* What is booked, and how its accounts are found. */
typedef struct Job
{
	const char *command;
	JifenStatement *due;		/* account_ids, soonest due first */
	void		(*book) (struct Batch *batch, JifenAccount **accounts, int n);
} Job;

/* What a batch has done so far. */
typedef struct Batch
{
	const Job  *job;
	TimestampTz as_of;
	int			max_accounts;
	HTAB	   *seen;			/* account_ids met, booked or left out */
	int			naccounts;
	int64		nbooked;		/* lots or holds */
	int128		points;
	bool		more;
} Batch;

/* The account_ids of the latest result that were not met before. */
static int
new_account_ids(Batch *batch, int64 *account_ids)
{
	int			n = 0;

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		int64		account_id = jifen_get_int64(row, 1);
		bool		found;

		(void) hash_search(batch->seen, &account_id, HASH_ENTER, &found);
		if (!found)
			account_ids[n++] = account_id;
	}
	return n;
}

/* Books the lots that have lapsed. */
static void
book_lapsed(Batch *batch, JifenAccount **accounts, int n)
{
	jifen_load_lapsed(accounts, n, batch->as_of);
	for (int i = 0; i < n; i++)
	{
		jifen_post_expiry(accounts[i], batch->as_of);
		if (accounts[i]->nentries == 0)
			continue;
		batch->naccounts++;
		batch->nbooked += accounts[i]->nlots;
		for (int e = 0; e < accounts[i]->nentries; e++)
			batch->points -= accounts[i]->entries[e].amount;
	}
}

/* Books the release of the holds that are overdue. */
static void
book_overdue(Batch *batch, JifenAccount **accounts, int n)
{
	JifenKeys	none = {0};

	jifen_load_holds(accounts, n, &none, batch->as_of);
	jifen_load_debts(accounts, n);
	for (int i = 0; i < n; i++)
	{
		int			nreleased = jifen_post_due_holds(accounts[i], batch->as_of);

		if (nreleased == 0)
			continue;
		batch->naccounts++;
		batch->nbooked += nreleased;
		for (int e = 0; e < accounts[i]->nentries; e++)
			batch->points -= accounts[i]->entries[e].held;
	}
}

static const Job expiry = {"expire_batch()", &due_lots, book_lapsed};
static const Job overdue = {"release_batch()", &due_holds, book_overdue};

/* Locks those of the accounts that are free and books what is due of them. */
static void
book_accounts(Batch *batch, const int64 *account_ids, int n)
{
	JifenAccount **accounts;
	int			naccounts;

	if (n == 0)
		return;
	accounts = jifen_lock_accounts(account_ids, n, &naccounts);
	batch->job->book(batch, accounts, naccounts);
	jifen_store(accounts, naccounts);
}

/*
 * Books what is due in the program, soonest due first, until max_accounts are
 * done; sets more if an account with something due is left then.
 */
static void
book_program(Batch *batch, int32 program_id)
{
	Datum		values[] = {Int32GetDatum(program_id), TimestampTzGetDatum(batch->as_of)};
	Portal		due = jifen_open_cursor(batch->job->due, values, false);
	int64		account_ids[DUE_ROWS];

	for (;;)
	{
		int			n;

		CHECK_FOR_INTERRUPTS();
		SPI_freetuptable(SPI_tuptable);
		SPI_cursor_fetch(due, true, batch->naccounts < batch->max_accounts ?
						 Min(DUE_ROWS, batch->max_accounts - batch->naccounts) : DUE_ROWS);
		if (SPI_processed == 0)
			break;
		n = new_account_ids(batch, account_ids);
		if (batch->naccounts >= batch->max_accounts)
		{
			/* Full: what is met now for the first time is left over. */
			batch->more = n > 0;
			if (batch->more)
				break;
			continue;
		}

		/* A connection of its own frees all that the chunk needed. */
		SPI_connect();
		book_accounts(batch, account_ids, n);
		SPI_finish();
	}
	SPI_cursor_close(due);
}

/* Points of many accounts may be more than a point_amount holds. */
static Datum
numeric_of_int128(int128 value)
{
	const int64 base = INT64CONST(1000000000000000000);
	Datum		high = NumericGetDatum(int64_to_numeric((int64) (value / base)));
	Datum		low = NumericGetDatum(int64_to_numeric((int64) (value % base)));

	return DirectFunctionCall2(numeric_add,
							   DirectFunctionCall2(numeric_mul, high,
												   NumericGetDatum(int64_to_numeric(base))),
							   low);
}

/* The batch that the arguments program, as_of and max_accounts ask for. */
static Datum
book_batch(FunctionCallInfo fcinfo, const Job *job)
{
	Batch		batch = {job};
	HASHCTL		hash = {.keysize = sizeof(int64),.entrysize = sizeof(int64)};
	TupleDesc	tupdesc;
	Datum		program = (Datum) 0;
	int32	   *program_ids;
	int			nprograms = 1;
	Datum		values[4];
	bool		nulls[4] = {false};

	jifen_require_writable(job->command);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);
	if (!PG_ARGISNULL(0))
		program = jifen_identifier_argument(fcinfo, 0, "program");
	jifen_require_argument(fcinfo, 1, "as_of");
	batch.as_of = jifen_time_argument(fcinfo, 1, "as_of");
	jifen_raise(jifen_check_past(batch.as_of, "as_of", 0));
	jifen_require_argument(fcinfo, 2, "max_accounts");
	batch.max_accounts = PG_GETARG_INT32(2);
	if (batch.max_accounts <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_accounts must be more than zero"),
				 errdetail("It is %d.", batch.max_accounts),
				 errhint("Give the most accounts that one transaction should book, such as 1000.")));

	SPI_connect();
	hash.hcxt = CurrentMemoryContext;
	batch.seen = hash_create("jifen batch", 1024, &hash,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	if (program)
	{
		program_ids = palloc(sizeof(int32));
		program_ids[0] = jifen_load_program(program, false)->program_id;
	}
	else
	{
		nprograms = (int) jifen_execute(&all_programs, NULL, NULL, false, 0);
		program_ids = palloc((nprograms + 1) * sizeof(int32));
		for (int i = 0; i < nprograms; i++)
			program_ids[i] = DatumGetInt32(jifen_get_datum(i, 1));
	}

	for (int i = 0; i < nprograms && !batch.more; i++)
		book_program(&batch, program_ids[i]);
	SPI_finish();

	values[0] = Int32GetDatum(batch.naccounts);
	values[1] = Int64GetDatum(batch.nbooked);
	values[2] = numeric_of_int128(batch.points);
	values[3] = BoolGetDatum(batch.more);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}

/*
 * expire_batch(program, as_of, max_accounts,
 *				OUT accounts, OUT lots, OUT points, OUT more)
 */
Datum
expire_batch(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(book_batch(fcinfo, &expiry));
}

/*
 * release_batch(program, as_of, max_accounts,
 *				 OUT accounts, OUT holds, OUT points, OUT more)
 */
Datum
release_batch(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(book_batch(fcinfo, &overdue));
}
