/*
 * extend.c
 *	  Gives lots a later expiry, and takes that back.
 *
 * Behind extend_expiry() and undo_extension(), which keep what was asked for and
 * how far it has been carried out.  Accounts are worked on in the order of their
 * numbers, a bounded number in a transaction, each locked as by a posting.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "argument.h"
#include "calendar.h"
#include "plan.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(extend_batch);

/* Accounts are read so many at a time. */
#define EXTEND_ACCOUNTS 500

/*
 * Accounts of the program that have lots, or had some after $3 that have lapsed
 * since; of all members or of some.
 */
#define HAS_LOTS \
	"a.account_id > $2 and (a.last_expire_at > $3" \
	"   or exists (select from jifen.lot where account_id = a.account_id))"

static JifenStatement holders = {
	"select a.account_id from jifen.account a"
	" where a.program_id = $1 and " HAS_LOTS
	" order by a.account_id",
	3, {INT4OID, INT8OID, TIMESTAMPTZOID}
};

static JifenStatement holders_of_members = {
	"select a.account_id from unnest($4) w (member)"
	" cross join lateral (select account_id, last_expire_at from jifen.account"
	"   where program_id = $1 and member = w.member offset 0) a"
	" where " HAS_LOTS
	" group by a.account_id order by a.account_id",
	4, {INT4OID, INT8OID, TIMESTAMPTZOID, TEXTARRAYOID}
};

/*
 * Open lots and, if $3, of one that the extension $2 made where it would have
 * lapsed without it.  A lot that came back when a later extension was undone stands
 * for the one that it was before that.
 */
static JifenStatement open_lots = {
	"select " JIFEN_CREDIT_COLUMNS ", o.expires_at"
	" from jifen.lot l"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = l.account_id and seq = l.seq offset 0) c"
	" left join lateral ("
	"   with recursive stands_for as ("
	"     select c.seq, c.reference, c.reverses_seq where $3"
	"     union all"
	"     select e.seq, e.reference, e.reverses_seq from stands_for s"
	"     cross join lateral (select lot_seq from jifen.allocation"
	"       where account_id = c.account_id and seq = s.reverses_seq offset 0) x"
	"     cross join lateral (select seq, reference, reverses_seq from jifen.entry"
	"       where account_id = c.account_id and seq = x.lot_seq and kind = 'extend' offset 0) e"
	"     where s.reverses_seq is not null)"
	"   select e.expires_at from stands_for s"
	"   cross join lateral (select lot_seq from jifen.allocation"
	"     where account_id = c.account_id and seq = s.seq offset 0) x"
	"   cross join lateral (select expires_at from jifen.entry"
	"     where account_id = c.account_id and seq = x.lot_seq offset 0) e"
	"   where s.reverses_seq is null and s.reference = $2) o on c.kind = 'extend'"
	" where l.account_id = any ($1)"
	" order by l.account_id, l.expires_at, l.seq",
	3, {INT8ARRAYOID, TEXTOID, BOOLOID}
};

/* A lot that is moved, and to where. */
typedef struct Move
{
	int64		account_id;
	TimestampTz from;			/* with seq, which lot */
	int64		seq;
	TimestampTz to;
} Move;

/* What is asked for. */
typedef struct Extension
{
	bool		is_undoing;
	JifenPosting posting;		/* what its entries say, and when */
	ArrayType  *sources;		/* NULL: all */
	TimestampTz until;			/* JIFEN_NO_TIME: by is given */
	Interval   *by;
	TimestampTz expiring_since; /* JIFEN_NO_TIME: no bound, as the next one */
	TimestampTz expiring_until;
	/* done so far */
	int64		naccounts;
	int64		nlots;
	int128		points;
} Extension;

/* The day that is later by an interval of days and months. */
static int
later_day(int day, const Interval *by)
{
	return jifen_add_months(day, by->month) + by->day;
}

/*
 * The instant that is later by an interval of the local calendar.  Where a day
 * ends, it is the end of the last day moved or, if that is later, the eve of the
 * next day moved: a month after the end of January is the end of February, and
 * after that of March.
 */
static TimestampTz
later_by(TimestampTz at, const Interval *by, pg_tz *tz)
{
	Datum		zone;
	Datum		local;
	TimestampTz end;
	int			day;

	if (by->time == 0 && jifen_local_day(at - 1, tz, &day) &&
		jifen_day_end(day, tz, &end) && end == at)
	{
		if (jifen_day_end(Max(later_day(day, by), later_day(day + 1, by) - 1), tz, &end))
			return end;
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("expiry out of range"),
				 errdetail("Points that lapse at %s would do so after the last timestamp that there is.",
						   timestamptz_to_str(at)),
				 errhint("Give a shorter by_interval, or until => 'infinity'.")));
	}
	zone = CStringGetTextDatum(pg_get_timezone_name(tz));
	local = DirectFunctionCall2(timestamptz_zone, zone, TimestampTzGetDatum(at));
	local = DirectFunctionCall2(timestamp_pl_interval, local, PointerGetDatum(by));
	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, zone, local));
}

static bool
is_of_source(const Extension *extension, Datum source)
{
	Datum	   *sources;
	int			n;

	if (extension->sources == NULL)
		return true;
	if (source == (Datum) 0)
		return false;
	deconstruct_array(extension->sources, TEXTOID, -1, false, TYPALIGN_INT, &sources, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		if (jifen_compare_texts(sources[i], source) == 0)
			return true;
	}
	return false;
}

/* Whether the lot is extended, and until when. */
static bool
choose_extension(const Extension *extension, const JifenLot *lot, pg_tz *tz, TimestampTz *to)
{
	TimestampTz lapses_at = jifen_standing_lapse(lot);

	if (lapses_at == DT_NOEND || !is_of_source(extension, lot->source) ||
		(extension->expiring_since != JIFEN_NO_TIME && lapses_at < extension->expiring_since) ||
		(extension->expiring_until != JIFEN_NO_TIME && lapses_at >= extension->expiring_until))
		return false;
	*to = extension->by ? later_by(lapses_at, extension->by, tz) : extension->until;
	return *to > lapses_at;
}

/* The place of the account's lot among the moves, which are in their order, or -1. */
static int
find_move(const Move *moves, int nmoves, const JifenAccount *account, const JifenLot *lot)
{
	int			low = 0;
	int			high = nmoves;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		const Move *move = &moves[middle];
		int			order = move->account_id != account->account_id ?
		(move->account_id < account->account_id ? -1 : 1) :
		jifen_compare_lots(move->from, move->seq, lot->expires_at, lot->seq);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/*
 * Moves the account's lots that are to be moved.  Undone: of an undoing, the
 * lots that it is about and where they go back to.
 */
static void
extend_account(Extension *extension, JifenAccount *account, const Move *undone, int nundone)
{
	JifenPosting *posting = palloc(sizeof(JifenPosting));
	pg_tz	   *tz = account->program->rule.time_zone;
	JifenRefusal *refusal;
	PointAmount *takes;
	Move	   *moves;
	int			nmoves = 0;

	/* It stays empty, whatever lapsed before it was closed. */
	if (account->status == JIFEN_CLOSED)
		return;
	*posting = extension->posting;
	if (posting->event_at == JIFEN_NO_TIME)
		posting->event_at = jifen_default_event_at(account->program,
												   GetCurrentTransactionStartTimestamp(),
												   account->last_event_at);
	refusal = jifen_require_open_period(account->program, posting->event_at);
	if (refusal)
		jifen_raise(refusal);

	/*
	 * How a clock would stand without the extension, the latest activity does
	 * not tell: it may have come too late.
	 */
	if (posting->event_at < account->last_event_at ||
		(extension->is_undoing && account->due_at != JIFEN_NO_TIME))
		jifen_load_history(account, false);

	jifen_judge(account, posting->event_at);
	moves = palloc(Max(account->nlots, 1) * sizeof(Move));
	takes = palloc0(Max(account->nlots, 1) * sizeof(PointAmount));
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];
		int			place = extension->is_undoing ? find_move(undone, nundone, account, lot) : -1;
		TimestampTz to;

		if (lot->takeable == 0 || lot->lapses_at <= posting->event_at)
			continue;
		if (place >= 0)
			to = undone[place].to;
		else if (extension->is_undoing || !choose_extension(extension, lot, tz, &to) ||
				 to <= posting->event_at)
			continue;
		takes[i] = lot->takeable;
		moves[nmoves++] = (Move)
		{
			account->account_id, lot->expires_at, lot->seq, to
		};
	}
	if (nmoves == 0)
		return;

	jifen_begin_step(account);
	jifen_reinstate_taken(account, takes);
	for (int i = 0, l = 0; i < nmoves; i++)
	{
		JifenLot   *lot = jifen_find_lot(account, moves[i].from, moves[i].seq);
		JifenClock	clock = {moves[i].to, lot->rule, lot->expiry};

		while (takes[l] == 0)
			l++;
		extension->points += takes[l];
		jifen_extend_lot(account, lot, takes[l++], posting->event_at, &clock, posting)->reverses_seq =
			extension->is_undoing ? moves[i].seq : 0;
	}
	if (extension->is_undoing)
		jifen_expire_given(account, posting->event_at);
	jifen_settle_moving(account);
	extension->naccounts++;
	extension->nlots += nmoves;
	pfree(takes);
	pfree(moves);
}

/* Locks the accounts and moves their lots. */
static void
extend_accounts(Extension *extension, const int64 *account_ids, int n)
{
	int			naccounts;
	JifenAccount **accounts = jifen_lock_accounts(account_ids, n, &naccounts);
	Datum		values[] = {jifen_account_id_array(accounts, naccounts), extension->posting.reference,
	BoolGetDatum(extension->is_undoing)};
	uint64		nlots = jifen_execute(&open_lots, values, NULL, false, 0);
	Move	   *undone = palloc((nlots + 1) * sizeof(Move));
	int			nundone = 0;

	for (uint64 row = 0; row < nlots; row++)
	{
		JifenAccount *account = jifen_account_of_id(accounts, naccounts, jifen_get_int64(row, 1));
		const JifenLot *lot = jifen_add_lot_of_row(account, row);

		if (!jifen_is_null(row, JIFEN_CREDIT_NCOLUMNS + 1))
			undone[nundone++] = (Move)
		{
			account->account_id, lot->expires_at, lot->seq, jifen_get_time(row, JIFEN_CREDIT_NCOLUMNS + 1)
		};
	}
	for (int a = 0; a < naccounts; a++)
		accounts[a]->has_all_lots = accounts[a]->has_moving_lots = true;
	jifen_wind_loaded(accounts, naccounts, &jifen_everything);
	for (int a = 0; a < naccounts; a++)
		extend_account(extension, accounts[a], undone, nundone);
	jifen_store(accounts, naccounts);
}

/*
 * extend_batch(program_id, after_account, max_accounts, undoing, reference,
 *				reason, event_at, members, sources, until, by, expiring_since,
 *				expiring_until, OUT accounts, OUT lots, OUT points,
 *				OUT last_account)
 *
 * last_account: the last that was worked on if there may be more, else null.
 */
Datum
extend_batch(PG_FUNCTION_ARGS)
{
	Extension	extension = {0};
	int32		max_accounts = PG_GETARG_INT32(2);
	Datum		values[4];
	bool		nulls[4] = {false};
	Datum		find[4];
	int64		account_ids[EXTEND_ACCOUNTS];
	int			nread = 0;
	int			n = 1;
	TupleDesc	tupdesc;
	Portal		cursor;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);
	extension.is_undoing = PG_GETARG_BOOL(3);
	extension.posting.kind = JIFEN_EXTEND;
	extension.posting.reference = PG_GETARG_DATUM(4);
	extension.posting.reason = PG_GETARG_DATUM(5);
	extension.posting.event_at = jifen_time_argument(fcinfo, 6, "event_at");
	extension.sources = PG_ARGISNULL(8) ? NULL : PG_GETARG_ARRAYTYPE_P(8);
	extension.until = PG_ARGISNULL(9) ? JIFEN_NO_TIME : PG_GETARG_TIMESTAMPTZ(9);
	extension.by = PG_ARGISNULL(10) ? NULL : PG_GETARG_INTERVAL_P(10);
	extension.expiring_since = PG_ARGISNULL(11) ? JIFEN_NO_TIME : PG_GETARG_TIMESTAMPTZ(11);
	extension.expiring_until = PG_ARGISNULL(12) ? JIFEN_NO_TIME : PG_GETARG_TIMESTAMPTZ(12);

	find[0] = PG_GETARG_DATUM(0);
	find[1] = PG_GETARG_DATUM(1);
	find[2] = TimestampTzGetDatum(PG_ARGISNULL(6) ? DT_NOEND : extension.posting.event_at);
	find[3] = PG_GETARG_DATUM(7);
	SPI_connect();
	cursor = jifen_open_cursor(PG_ARGISNULL(7) ? &holders : &holders_of_members, find, false);
	while (n > 0 && nread < max_accounts)
	{
		CHECK_FOR_INTERRUPTS();
		n = (int) jifen_fetch(cursor, Min(EXTEND_ACCOUNTS, max_accounts - nread));
		for (int i = 0; i < n; i++)
			account_ids[i] = jifen_get_int64(i, 1);
		if (n == 0)
			break;
		nread += n;

		/* A connection of its own frees all that the chunk needed. */
		SPI_connect();
		extend_accounts(&extension, account_ids, n);
		SPI_finish();
	}
	jifen_close_cursor(cursor);
	SPI_finish();

	values[0] = Int64GetDatum(extension.naccounts);
	values[1] = Int64GetDatum(extension.nlots);
	values[2] = jifen_numeric_of_int128(extension.points);
	values[3] = Int64GetDatum(n > 0 ? account_ids[n - 1] : 0);
	nulls[3] = n == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}
