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
	"select a.account_id, a.balance, a.held, a.debt, a.last_event_at"
	" from jifen.program p"
	" join jifen.account a on a.program_id = p.program_id"
	" where p.code = $1 and a.member = $2",
	2, {TEXTOID, TEXTOID}
};

static JifenStatement open_lots = {
	"select seq, expires_at, available_at, remaining"
	" from jifen.lot where account_id = $1"
	" order by expires_at, seq",
	1, {INT8OID}
};

static JifenStatement due_holds = {
	"select seq, until, amount from jifen.hold where account_id = $1 and until <= $2",
	2, {INT8OID, TIMESTAMPTZOID}
};

static JifenStatement open_debts = {
	"select d.seq, d.remaining, e.event_at"
	" from jifen.debt d"
	" cross join lateral (select event_at from jifen.entry"
	"   where account_id = d.account_id and seq = d.seq offset 0) e"
	" where d.account_id = $1 order by d.seq",
	1, {INT8OID}
};

/*
 * The first entry that was booked after $2.  Those before it are what was known
 * then: a transaction that began earlier but had to wait comes after it.
 */
static JifenStatement first_unknown = {
	"select min(seq) from jifen.entry where account_id = $1 and posted_at > $2",
	2, {INT8OID, TIMESTAMPTZOID}
};

/* The entries that count at a business time $2, of those before the one of $3. */
#define KNOWN(entry) \
	entry ".account_id = $1 and " entry ".event_at <= $2 and " entry ".seq < $3"

static JifenStatement sums_in_history = {
	"select sum(amount), sum(held), sum(debt) from jifen.entry e where " KNOWN("e"),
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

/*
 * What was left then of each credit.  OFFSET 0 keeps the join by the whole
 * key, whatever the planner thinks of its size.
 */
static JifenStatement lots_in_history = {
	"with move as ("
	"  select e.seq, e.kind, e.expires_at, e.available_at, e.amount, x.lot_seq, x.amount as taken"
	"  from jifen.entry e"
	"  left join lateral (select lot_seq, amount from jifen.allocation"
	"    where account_id = e.account_id and seq = e.seq offset 0) x on true"
	"  where " KNOWN("e") "),"
	" change as ("
	"  select distinct on (seq) seq, expires_at, available_at,"
	"    case kind when 'extend' then taken else amount end as amount"
	"  from move where expires_at is not null"
	"  union all"
	"  select lot_seq, null, null, -taken from move where lot_seq is not null)"
	" select seq, min(expires_at), min(available_at), sum(amount)"
	" from change group by seq having sum(amount) <> 0"
	" order by 2, seq",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

static JifenStatement due_holds_in_history = {
	"select h.seq, h.until, h.held from jifen.entry h"
	" where " KNOWN("h") " and h.kind = 'hold' and h.until <= $2"
	"   and not exists (select from jifen.entry e where " KNOWN("e") " and e.hold_seq = h.seq)",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

static JifenStatement debts_in_history = {
	"select d.seq, sum(d.debt), min(d.event_at) from ("
	"  select e.seq, e.debt, e.event_at from jifen.entry e where " KNOWN("e") " and e.debt > 0"
	"  union all"
	"  select coalesce(e.debt_seq, e.reverses_seq), e.debt, null from jifen.entry e"
	"  where " KNOWN("e") " and e.debt < 0) d"
	" group by d.seq having sum(d.debt) > 0 order by d.seq",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

static JifenStatement held_lots = {
	"select c.seq, c.expires_at, c.available_at, x.amount"
	" from jifen.allocation x"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = x.account_id and seq = x.lot_seq offset 0) c"
	" where x.account_id = $1 and x.seq = $2",
	2, {INT8OID, INT8OID}
};

/* The lot of a result row of seq, expires_at, available_at. */
static JifenLot
lot_of_row(uint64 row)
{
	JifenLot	lot = {0};

	lot.seq = jifen_get_int64(row, 1);
	lot.expires_at = jifen_get_time(row, 2);
	lot.available_at = jifen_get_time(row, 3);
	return lot;
}

/* The holds of the latest result, with what each took of which lots. */
static void
add_due_holds(JifenAccount *account, uint64 n)
{
	for (uint64 row = 0; row < n; row++)
	{
		JifenHold	hold = {0};

		hold.seq = jifen_get_int64(row, 1);
		hold.until = jifen_get_time(row, 2);
		hold.amount = jifen_get_int64(row, 3);
		hold.has_taken = true;
		jifen_add_hold(account, &hold);
	}
	for (int i = 0; i < account->nholds; i++)
	{
		JifenHold  *hold = &account->holds[i];
		Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(hold->seq)};

		n = jifen_execute(&held_lots, values, NULL, true, 0);
		for (uint64 row = 0; row < n; row++)
		{
			JifenLot	lot = lot_of_row(row);

			jifen_add_taken(&hold->taken, &hold->ntaken, jifen_add_lot(account, &lot),
							jifen_get_int64(row, 4));
		}
	}
}

static void
add_debts(JifenAccount *account, uint64 n)
{
	for (uint64 row = 0; row < n; row++)
	{
		JifenDebt	debt = {0};

		debt.seq = jifen_get_int64(row, 1);
		debt.remaining = jifen_get_int64(row, 2);
		debt.event_at = jifen_get_time(row, 3);
		jifen_add_debt(account, &debt);
	}
}

/*
 * What the member holds at as_of, by what was booked by known_at
 * (JIFEN_NO_TIME: by now).  From the account's latest event on that is what is
 * open; before it, it is reckoned from the journal.  A hold that is due counts
 * as released, as the job would book it.
 */
static JifenAccount *
load_holding(Datum program, Datum member, TimestampTz as_of, TimestampTz known_at)
{
	JifenAccount *account = palloc0(sizeof(JifenAccount));
	Datum		find[] = {program, member};
	Datum		values[3];
	bool		is_past;
	uint64		n;

	if (jifen_execute(&find_account, find, NULL, true, 0) == 0)
		jifen_report_unknown(program, member);
	account->account_id = jifen_get_int64(0, 1);
	account->balance = jifen_get_int64(0, 2);
	account->held = jifen_get_int64(0, 3);
	account->debt = jifen_get_int64(0, 4);
	account->last_event_at = jifen_get_time(0, 5);
	values[0] = Int64GetDatum(account->account_id);
	values[1] = TimestampTzGetDatum(as_of);
	values[2] = Int64GetDatum(PG_INT64_MAX);
	if (known_at != JIFEN_NO_TIME)
	{
		Datum		known[] = {values[0], TimestampTzGetDatum(known_at)};

		jifen_execute(&first_unknown, known, NULL, true, 0);
		if (!jifen_is_null(0, 1))
			values[2] = jifen_get_datum(0, 1);
	}

	is_past = as_of < account->last_event_at || known_at != JIFEN_NO_TIME;
	if (is_past)
	{
		jifen_execute(&sums_in_history, values, NULL, true, 0);
		account->balance = jifen_get_int64(0, 1);
		account->held = jifen_get_int64(0, 2);
		account->debt = jifen_get_int64(0, 3);
	}
	n = jifen_execute(is_past ? &lots_in_history : &open_lots, values, NULL, true, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenLot	lot = lot_of_row(row);

		lot.remaining = jifen_get_int64(row, 4);
		jifen_add_lot(account, &lot);
	}
	if (account->held == 0)
		return account;

	n = jifen_execute(is_past ? &due_holds_in_history : &due_holds, values, NULL, true, 0);
	if (n == 0)
		return account;
	add_due_holds(account, n);
	if (account->debt > 0)
		add_debts(account, jifen_execute(is_past ? &debts_in_history : &open_debts,
										 values, NULL, true, 0));
	(void) jifen_post_due_holds(account, as_of);
	return account;
}

/* An instant that has a default: 22004 where it is given as null. */
static TimestampTz
as_of_argument(FunctionCallInfo fcinfo, int n)
{
	jifen_require_argument(fcinfo, n, "as_of");
	return jifen_time_argument(fcinfo, n, "as_of");
}

/*
 * balance(program, member, as_of, known_at, OUT balance, OUT available,
 *		   OUT pending, OUT held, OUT lapsed, OUT next_expires_at,
 *		   OUT next_expiring, OUT debt)
 */
Datum
balance(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	TimestampTz as_of = as_of_argument(fcinfo, 2);
	TimestampTz known_at = jifen_time_argument(fcinfo, 3, "known_at");
	TupleDesc	tupdesc;
	JifenAccount *account;
	PointAmount available = 0;
	PointAmount pending = 0;
	PointAmount lapsed = 0;
	TimestampTz next_expires_at = JIFEN_NO_TIME;
	PointAmount next_expiring = 0;
	Datum		values[8];
	bool		nulls[8] = {false};

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);

	SPI_connect();
	account = load_holding(program, member, as_of, known_at);
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];

		if (lot->expires_at <= as_of)
		{
			lapsed = jifen_add(lapsed, lot->remaining);
			continue;
		}
		if (lot->available_at > as_of)
			pending = jifen_add(pending, lot->remaining);
		else
			available = jifen_add(available, lot->remaining);
		if (TIMESTAMP_IS_NOEND(lot->expires_at) || lot->remaining == 0)
			continue;
		if (next_expires_at == JIFEN_NO_TIME)
			next_expires_at = lot->expires_at;
		if (lot->expires_at == next_expires_at)
			next_expiring = jifen_add(next_expiring, lot->remaining);
	}

	/*
	 * What the release of a hold would let expire has lapsed and is not
	 * booked.
	 */
	for (int i = 0; i < account->nentries; i++)
	{
		if (account->entries[i].kind != JIFEN_EXPIRE)
			continue;
		lapsed = jifen_sub(lapsed, account->entries[i].amount);
		account->balance = jifen_sub(account->balance, account->entries[i].amount);
	}
	values[0] = PointAmountGetDatum(account->balance);
	values[1] = PointAmountGetDatum(available);
	values[2] = PointAmountGetDatum(pending);
	values[3] = PointAmountGetDatum(account->held);
	values[4] = PointAmountGetDatum(lapsed);
	values[5] = TimestampTzGetDatum(next_expires_at);
	values[6] = PointAmountGetDatum(next_expiring);
	values[7] = PointAmountGetDatum(account->debt);
	nulls[5] = nulls[6] = next_expires_at == JIFEN_NO_TIME;
	SPI_finish();
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
	JifenAccount *account;
	PointAmount points = 0;

	jifen_require_argument(fcinfo, 2, "until");
	until = jifen_time_argument(fcinfo, 2, "until");
	as_of = as_of_argument(fcinfo, 3);

	SPI_connect();
	account = load_holding(program, member, as_of, JIFEN_NO_TIME);
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];

		if (lot->expires_at > as_of && lot->expires_at <= until)
			points = jifen_add(points, lot->remaining);
	}
	SPI_finish();
	PG_RETURN_POINT_AMOUNT(points);
}
