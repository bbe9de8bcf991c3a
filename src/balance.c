/*
 * balance.c
 *	  What a member holds at an instant: past, present or to come.
 *
 * Reads only.  All statements of a call see the snapshot of the query that
 * called it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"

#include "argument.h"
#include "plan.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(balance);
PG_FUNCTION_INFO_V1(expiring);

static JifenStatement find_account = {
	"select a.account_id, a.balance, a.held, a.last_event_at"
	" from jifen.program p"
	" join jifen.account a on a.program_id = p.program_id"
	" where p.code = $1 and a.member = $2",
	2, {TEXTOID, TEXTOID}
};

static JifenStatement open_lots = {
	"select expires_at, available_at, remaining"
	" from jifen.lot where account_id = $1"
	" order by expires_at, seq",
	1, {INT8OID}
};

static JifenStatement balance_in_history = {
	"select sum(amount), sum(held)"
	" from jifen.entry where account_id = $1 and event_at <= $2",
	2, {INT8OID, TIMESTAMPTZOID}
};

/*
 * What was left at $2 of each credit before it, by business time.  OFFSET 0
 * keeps the join by the whole key, whatever the planner thinks of its size.
 */
static JifenStatement lots_in_history = {
	"with change as ("
	"  select e.seq, e.expires_at, e.available_at, e.amount"
	"  from jifen.entry e"
	"  where e.account_id = $1 and e.kind = 'earn' and e.event_at <= $2"
	"  union all"
	"  select x.lot_seq, null, null, -x.amount"
	"  from jifen.entry e"
	"  cross join lateral (select lot_seq, amount from jifen.allocation"
	"    where account_id = e.account_id and seq = e.seq offset 0) x"
	"  where e.account_id = $1 and e.event_at <= $2)"
	" select min(expires_at), min(available_at), sum(amount)"
	" from change group by seq having sum(amount) <> 0"
	" order by 1, seq",
	2, {INT8OID, TIMESTAMPTZOID}
};

/* An account as it is at an instant; its lots are in SPI_tuptable. */
typedef struct Holding
{
	PointAmount balance;
	PointAmount held;
	uint64		nlots;
} Holding;

/* One of its lots. */
typedef struct HeldLot
{
	TimestampTz expires_at;
	TimestampTz available_at;
	PointAmount remaining;
} HeldLot;

/*
 * Loads what the member holds at as_of.  From the account's latest event on
 * that is what is open; before it, it is reckoned from the journal.
 */
static Holding
load_holding(Datum program, Datum member, TimestampTz as_of)
{
	Holding		holding = {0};
	Datum		find[] = {program, member};
	Datum		values[2];

	if (jifen_execute(&find_account, find, NULL, true, 0) == 0)
		jifen_report_unknown(program, member);
	values[0] = jifen_get_datum(0, 1);
	values[1] = TimestampTzGetDatum(as_of);
	if (as_of >= jifen_get_time(0, 4))
	{
		holding.balance = jifen_get_int64(0, 2);
		holding.held = jifen_get_int64(0, 3);
		holding.nlots = jifen_execute(&open_lots, values, NULL, true, 0);
	}
	else
	{
		jifen_execute(&balance_in_history, values, NULL, true, 0);
		holding.balance = jifen_get_int64(0, 1);
		holding.held = jifen_get_int64(0, 2);
		holding.nlots = jifen_execute(&lots_in_history, values, NULL, true, 0);
	}
	return holding;
}

static HeldLot
held_lot(uint64 row)
{
	HeldLot		lot;

	lot.expires_at = jifen_get_time(row, 1);
	lot.available_at = jifen_get_time(row, 2);
	lot.remaining = jifen_get_int64(row, 3);
	return lot;
}

/* 22004 where as_of, whose default is now(), is given as null. */
static TimestampTz
as_of_argument(FunctionCallInfo fcinfo, int n)
{
	jifen_require_argument(fcinfo, n, "as_of");
	return jifen_time_argument(fcinfo, n, "as_of");
}

/*
 * balance(program, member, as_of, OUT balance, OUT available, OUT pending,
 *		   OUT held, OUT lapsed, OUT next_expires_at, OUT next_expiring)
 */
Datum
balance(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	TimestampTz as_of = as_of_argument(fcinfo, 2);
	TupleDesc	tupdesc;
	Holding		holding;
	PointAmount available = 0;
	PointAmount pending = 0;
	PointAmount lapsed = 0;
	TimestampTz next_expires_at = JIFEN_NO_TIME;
	PointAmount next_expiring = 0;
	Datum		values[7];
	bool		nulls[7] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);

	SPI_connect();
	holding = load_holding(program, member, as_of);
	for (uint64 row = 0; row < holding.nlots; row++)
	{
		HeldLot		lot = held_lot(row);

		if (lot.expires_at <= as_of)
		{
			lapsed = jifen_add(lapsed, lot.remaining);
			continue;
		}
		if (lot.available_at > as_of)
			pending = jifen_add(pending, lot.remaining);
		else
			available = jifen_add(available, lot.remaining);
		if (TIMESTAMP_IS_NOEND(lot.expires_at))
			continue;
		if (next_expires_at == JIFEN_NO_TIME)
			next_expires_at = lot.expires_at;
		if (lot.expires_at == next_expires_at)
			next_expiring = jifen_add(next_expiring, lot.remaining);
	}
	SPI_finish();

	values[0] = PointAmountGetDatum(holding.balance);
	values[1] = PointAmountGetDatum(available);
	values[2] = PointAmountGetDatum(pending);
	values[3] = PointAmountGetDatum(holding.held);
	values[4] = PointAmountGetDatum(lapsed);
	values[5] = TimestampTzGetDatum(next_expires_at);
	values[6] = PointAmountGetDatum(next_expiring);
	nulls[5] = nulls[6] = next_expires_at == JIFEN_NO_TIME;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(tupdesc, values, nulls)));
}

/* expiring(program, member, until, as_of) returns point_amount */
Datum
expiring(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	TimestampTz until;
	TimestampTz as_of;
	Holding		holding;
	PointAmount points = 0;

	jifen_require_argument(fcinfo, 2, "until");
	until = jifen_time_argument(fcinfo, 2, "until");
	as_of = as_of_argument(fcinfo, 3);

	SPI_connect();
	holding = load_holding(program, member, as_of);
	for (uint64 row = 0; row < holding.nlots; row++)
	{
		HeldLot		lot = held_lot(row);

		if (lot.expires_at > as_of && lot.expires_at <= until)
			points = jifen_add(points, lot.remaining);
	}
	SPI_finish();
	PG_RETURN_POINT_AMOUNT(points);
}
