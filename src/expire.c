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
#include "utils/hsearch.h"

#include "argument.h"
#include "plan.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(expire_batch);
PG_FUNCTION_INFO_V1(release_batch);
PG_FUNCTION_INFO_V1(expire_member);

/* So many accounts are booked at a time. */
#define CHUNK_ACCOUNTS 1000

/* So many are found at a time, for several large batches. */
#define FOUND_ACCOUNTS 4096
#define LARGE_BATCH 100

/* Of so many accounts, others' locks tell whether another session is at work. */
#define PROBED_ACCOUNTS 64
#define MAX_LOCKED (PROBED_ACCOUNTS / 16)

static JifenStatement all_programs = {
	"select p.program_id from jifen.program p order by p.program_id", 0
};

/*
 * What finds account_ids and since when they are due: soonest first, from one
 * place in that order to another.
 */
#define DUE_STATEMENT(table, instant, condition) \
	"select account_id, " instant " from " table \
	" where program_id = $1 and " instant " <= $2" condition \
	"   and (" instant ", account_id) >= ($3, $4) and (" instant ", account_id) < ($5, $6)" \
	" order by " instant ", account_id", \
	6, {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, INT8OID}

static JifenStatement due_lots = {
	DUE_STATEMENT("jifen.lot", "expires_at", " and expires_at < 'infinity' and rule_no is null")
};

/* Whose moving lots come up. */
static JifenStatement due_accounts = {
	DUE_STATEMENT("jifen.account", "due_at", " and due_at < 'infinity'")
};

static JifenStatement due_holds = {
	DUE_STATEMENT("jifen.hold", "until", "")
};

/* A place in what a statement finds. */
typedef struct Place
{
	JifenStatement *due;		/* NULL: nowhere */
	int32		program_id;
	TimestampTz at;
	int64		account_id;
} Place;

/*
 * Where a session's latest batch left off, and accounts found before that
 * place which are still to be tried.  The next batch goes on from there and
 * comes round to what is before it: until it is vacuumed, the index still has
 * all that is booked.
 */
typedef struct LeftOff
{
	Place		place;			/* due is NULL: it left nothing */
	int			next;			/* the first of found to try */
	int			nfound;
	int64		found[FOUND_ACCOUNTS];
} LeftOff;

struct Batch;

/* What is booked, and how its accounts are found. */
typedef struct Job
{
	const char *command;
	JifenStatement *due[2];
	void		(*book) (struct Batch *batch, JifenAccount **accounts, int n);
	LeftOff    *left_off;
} Job;

/* What a batch has done so far. */
typedef struct Batch
{
	const Job  *job;
	TimestampTz as_of;
	int			max_accounts;
	HTAB	   *seen;			/* account_ids met: booked, left out or found */
	bool		may_pass;		/* by what another session is working on */
	bool		has_passed;
	int			nchanged;		/* accounts booked, or coming up later */
	int			naccounts;		/* on which something was booked */
	int64		nbooked;		/* lots or holds */
	int128		points;
	bool		more;
} Batch;

/* Books the lots that have lapsed. */
static void
book_lapsed(Batch *batch, JifenAccount **accounts, int n)
{
	jifen_load_lapsed(accounts, n, batch->as_of);
	for (int i = 0; i < n; i++)
	{
		jifen_post_expiry(accounts[i], batch->as_of);
		if (accounts[i]->nentries > 0 || accounts[i]->due_at != accounts[i]->stored_due_at)
			batch->nchanged++;
		if (accounts[i]->nentries == 0)
			continue;
		batch->naccounts++;
		batch->nbooked += accounts[i]->nallocations;
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
	jifen_load_for_due_holds(accounts, n, batch->as_of);
	jifen_load_debts(accounts, n);
	for (int i = 0; i < n; i++)
	{
		int			nreleased = jifen_post_due_holds(accounts[i], batch->as_of);

		if (nreleased == 0)
			continue;
		batch->nchanged++;
		batch->naccounts++;
		batch->nbooked += nreleased;
		for (int e = 0; e < accounts[i]->nentries; e++)
			batch->points -= accounts[i]->entries[e].held;
	}
}

static LeftOff expiry_left_off;
static LeftOff overdue_left_off;

static const Job expiry = {
	"expire_batch()", {&due_lots, &due_accounts}, book_lapsed, &expiry_left_off
};
static const Job overdue = {
	"release_batch()", {&due_holds}, book_overdue, &overdue_left_off
};

/* Opens a cursor on what is due from where the session left off up to that place. */
static Portal
open_due(Batch *batch, const Place *to)
{
	const Place *from = &batch->job->left_off->place;
	Datum		values[] = {
		Int32GetDatum(from->program_id), TimestampTzGetDatum(batch->as_of),
		TimestampTzGetDatum(from->at), Int64GetDatum(from->account_id),
		TimestampTzGetDatum(to ? to->at : DT_NOEND), Int64GetDatum(to ? to->account_id : 0)
	};

	return jifen_open_cursor(from->due, values, false);
}

/* Whether another session is at work on these accounts. */
static bool
is_taken(const int64 *account_ids)
{
	int			nfree;

	SPI_connect();
	(void) jifen_lock_free_accounts(account_ids, PROBED_ACCOUNTS, &nfree);
	SPI_finish();
	return PROBED_ACCOUNTS - nfree > MAX_LOCKED;
}

/*
 * Finds up to so many accounts that were not met before from where the session
 * left off.  Returns whether there were any.
 *
 * They are put into an order in which those of a batch are some accounts
 * apart: of accounts that lie in one page and are updated one batch after the
 * other, the later ones find room that the earlier ones left there, which saves
 * the index entries of a row that moves to another page.
 *
 * Where another session does the same already, about as many are passed by.
 */
static bool
find_accounts(Batch *batch, Portal *due, const Place *to, int most, int apart)
{
	LeftOff    *left_off = batch->job->left_off;
	int64	   *account_ids = palloc(most * sizeof(int64));
	bool		is_probed = !batch->may_pass || most < 2 * PROBED_ACCOUNTS;
	int			n = 0;

	left_off->next = left_off->nfound = 0;
	while (n < most && jifen_fetch(*due, is_probed ? most - n : PROBED_ACCOUNTS) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			int64		account_id = jifen_get_int64(row, 1);
			bool		found;

			(void) hash_search(batch->seen, &account_id, HASH_ENTER, &found);
			if (!found)
				account_ids[n++] = account_id;
			left_off->place.account_id = account_id;
			left_off->place.at = jifen_get_time(row, 2);
		}
		if (is_probed || n < PROBED_ACCOUNTS)
			continue;

		is_probed = !is_taken(account_ids);
		if (!is_probed)
		{
			int64		span = account_ids[n - 1] - account_ids[0];

			if (span > 0 && span < PG_INT32_MAX)
				left_off->place.account_id += span * (most / n);
			while (n > 0)
				(void) hash_search(batch->seen, &account_ids[--n], HASH_REMOVE, NULL);
			batch->has_passed = true;
			jifen_close_cursor(*due);
			*due = open_due(batch, to);
		}
	}
	/* The fewer of the accounts of a page are due, the nearer they may be. */
	if (n > 0 && account_ids[n - 1] - account_ids[0] > n)
		apart = Max(1, (int) ((int64) apart * n / (account_ids[n - 1] - account_ids[0])));
	for (int first = 0; first < apart; first++)
	{
		for (int i = first; i < n; i += apart)
			left_off->found[left_off->nfound++] = account_ids[i];
	}
	pfree(account_ids);
	return n > 0;
}

/* Locks those of the next n accounts that are free and books what is due of them. */
static void
book_found(Batch *batch, int n)
{
	LeftOff    *left_off = batch->job->left_off;
	const int64 *account_ids = &left_off->found[left_off->next];
	JifenAccount **accounts;
	int			naccounts;

	for (int i = 0; i < n; i++)
		(void) hash_search(batch->seen, &account_ids[i], HASH_ENTER, NULL);
	left_off->next += n;

	/* A connection of its own frees all that they needed. */
	SPI_connect();
	accounts = jifen_lock_free_accounts(account_ids, n, &naccounts);
	batch->job->book(batch, accounts, naccounts);
	jifen_store(accounts, naccounts);
	SPI_finish();
}

/*
 * Books what is due from one place on, up to another place of the same
 * statement and program (NULL: to the end), until max_accounts are done; sets
 * more if an account with something due is left then.
 */
static void
book_due(Batch *batch, const Place *from, const Place *to)
{
	LeftOff    *left_off = batch->job->left_off;
	Portal		due;

	left_off->place = *from;
	due = open_due(batch, to);
	for (;;)
	{
		int			wanted = Min(CHUNK_ACCOUNTS, batch->max_accounts - batch->nchanged);
		int			apart = wanted < LARGE_BATCH ? 1 : Max(1, FOUND_ACCOUNTS / wanted);

		if (left_off->next == left_off->nfound &&
			!find_accounts(batch, &due, to, Max(wanted, 1) * apart, apart))
			break;
		if (wanted <= 0)
		{
			/* Full: what was not tried is left over. */
			batch->more = true;
			break;
		}
		book_found(batch, Min(wanted, left_off->nfound - left_off->next));
	}
	jifen_close_cursor(due);
}

/*
 * Books what is due in the programs, from where the session left off once
 * round; then what it passed by, if there is room for that.
 */
static void
book_programs(Batch *batch, const int32 *program_ids, int nprograms)
{
	const Job  *job = batch->job;
	int			ndue = job->due[1] ? 2 : 1;
	int			nplaces = nprograms * ndue;
	Place	   *places = palloc0((nplaces + 1) * sizeof(Place));
	Place		began = job->left_off->place;
	int			first = 0;
	bool		is_resumed = false;

	for (int i = 0; i < nplaces; i++)
	{
		places[i].due = job->due[i % ndue];
		places[i].program_id = program_ids[i / ndue];
		places[i].at = DT_NOBEGIN;
		if (places[i].due == began.due && places[i].program_id == began.program_id)
		{
			first = i;
			is_resumed = true;
		}
	}
	if (!is_resumed)
		job->left_off->next = job->left_off->nfound;

	batch->may_pass = batch->max_accounts >= LARGE_BATCH;
	for (int i = 0; i < nplaces && !batch->more; i++)
		book_due(batch, i == 0 && is_resumed ? &began : &places[(first + i) % nplaces], NULL);
	if (is_resumed && !batch->more)
		book_due(batch, &places[first], &began);

	batch->may_pass = false;
	for (int i = 0; i < nplaces && batch->has_passed && !batch->more; i++)
		book_due(batch, &places[i], NULL);
	if (!batch->more)
		job->left_off->place.due = NULL;
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
		program_ids[0] = jifen_load_program(program)->program_id;
	}
	else
	{
		nprograms = (int) jifen_execute(&all_programs, NULL, NULL, false, 0);
		program_ids = palloc((nprograms + 1) * sizeof(int32));
		for (int i = 0; i < nprograms; i++)
			program_ids[i] = DatumGetInt32(jifen_get_datum(i, 1));
	}

	book_programs(&batch, program_ids, nprograms);
	SPI_finish();

	values[0] = Int32GetDatum(batch.naccounts);
	values[1] = Int64GetDatum(batch.nbooked);
	values[2] = jifen_numeric_of_int128(batch.points);
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

/* expire_member(program, member, as_of) returns point_amount */
Datum
expire_member(PG_FUNCTION_ARGS)
{
	Datum		program;
	Datum		member;
	TimestampTz as_of;
	JifenAccount *account;
	PointAmount points = 0;

	jifen_require_writable("expire_member()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	jifen_require_argument(fcinfo, 2, "as_of");
	as_of = jifen_time_argument(fcinfo, 2, "as_of");
	jifen_raise(jifen_check_past(as_of, "as_of", 0));

	SPI_connect();
	account = jifen_lock_account(program, member);
	jifen_load_lapsed(&account, 1, as_of);
	jifen_post_expiry(account, as_of);
	for (int i = 0; i < account->nentries; i++)
		points = jifen_sub(points, account->entries[i].amount);
	jifen_store(&account, 1);
	SPI_finish();
	PG_RETURN_POINT_AMOUNT(points);
}
