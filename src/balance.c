/*
 * balance.c
 *	  What a member holds at an instant: past, present or to come.
 *
 * Reads only.  All statements of a call see the snapshot of the query that
 * called it.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"

#include "argument.h"
#include "find.h"
#include "plan.h"
#include "storage.h"
#include "tables.h"

PG_FUNCTION_INFO_V1(balance);
PG_FUNCTION_INFO_V1(expiring);
PG_FUNCTION_INFO_V1(lots_at);
PG_FUNCTION_INFO_V1(settled_lots);

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
 * What was left then of each credit.  OFFSET 0 keeps the joins by the whole
 * key, whatever the planner thinks of its size.
 */
static JifenStatement lots_in_history = {
	"with move as ("
	"  select e.seq, e.kind, e.expires_at, e.amount, x.lot_seq, x.amount as taken"
	"  from jifen.entry e"
	"  left join lateral (select lot_seq, amount from jifen.allocation"
	"    where account_id = e.account_id and seq = e.seq offset 0) x on true"
	"  where " KNOWN("e") "),"
	" change as ("
	"  select distinct on (seq) seq, case kind when 'extend' then taken else amount end as amount"
	"  from move where expires_at is not null"
	"  union all"
	"  select lot_seq, -taken from move where lot_seq is not null)"
	" select " JIFEN_CREDIT_COLUMNS
	" from (select seq, sum(amount) as remaining from change group by seq having sum(amount) <> 0) l"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = $1 and seq = l.seq offset 0) c"
	" order by c.expires_at, c.seq",
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
	"select " JIFEN_CREDIT_COLUMNS ", x.amount"
	" from jifen.allocation x"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = x.account_id and seq = x.lot_seq offset 0) c"
	" cross join (select null::jifen.point_amount as remaining) l"
	" where x.account_id = $1 and x.seq = $2",
	2, {INT8OID, INT8OID}
};

/* The holds of the latest result. */
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
}

/* Loads the open holds that are due by then. */
static void
load_due_holds(JifenAccount *account, TimestampTz due_by)
{
	JifenScan	scan;

	jifen_begin_scan(&scan, "hold", Natts_hold, "hold_pkey", true);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
	while (jifen_next_row(&scan))
	{
		JifenHold	hold = {0};

		hold.seq = jifen_row_int64(&scan, Anum_hold_seq);
		hold.until = jifen_row_time(&scan, Anum_hold_until);
		hold.amount = jifen_row_int64(&scan, Anum_hold_amount);
		hold.has_taken = true;
		if (hold.until <= due_by)
			jifen_add_hold(account, &hold);
	}
	jifen_end_scan(&scan);
}

/* Loads what the holds took of which lots. */
static void
load_held_lots(JifenAccount *account)
{
	for (int i = 0; i < account->nholds; i++)
	{
		JifenHold  *hold = &account->holds[i];
		Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(hold->seq)};
		uint64		n = jifen_execute(&held_lots, values, NULL, true, 0);

		for (uint64 row = 0; row < n; row++)
		{
			JifenLot   *lot = jifen_add_lot_of_row(account, row);

			jifen_add_taken(&hold->taken, &hold->ntaken, lot, jifen_get_int64(row, JIFEN_CREDIT_NCOLUMNS + 1));
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

/* The account's own figures: everything but its parts. */
static JifenAccount *
load_account(Datum program, Datum member)
{
	JifenAccount *account = palloc0(sizeof(JifenAccount));
	JifenProgram *own_program = palloc0(sizeof(JifenProgram));
	JifenScan	scan;

	own_program->program_id = jifen_find_program_id(program);
	jifen_find_account_row(&scan, own_program->program_id, program, member);
	account->account_id = jifen_row_int64(&scan, Anum_account_account_id);
	account->balance = jifen_row_int64(&scan, Anum_account_balance);
	account->held = jifen_row_int64(&scan, Anum_account_held);
	account->debt = jifen_row_int64(&scan, Anum_account_debt);
	account->program = own_program;
	account->last_event_at = jifen_row_time(&scan, Anum_account_last_event_at);
	account->opened_at = jifen_row_time(&scan, Anum_account_opened_at);
	account->due_at = jifen_row_time(&scan, Anum_account_due_at);
	for (int i = 0; i < JIFEN_TRACES; i++)
		account->last_at[i] = jifen_row_time(&scan, Anum_account_last_earn_at - i);
	jifen_end_scan(&scan);
	return account;
}

static bool
has_moving_lot(const JifenAccount *account)
{
	for (int i = 0; i < account->nlots; i++)
	{
		if (account->lots[i].rule_no != 0)
			return true;
	}
	return false;
}

/*
 * Loads the account's lots as far as they are known, or those that are open
 * now.  A hold that is due by then counts as released, as the job would book
 * it.  The past takes statements, which have begun; the present begins them
 * when it does.
 */
static void
load_parts(JifenAccount *account, bool is_past, const JifenKnowledge *known, TimestampTz due_by,
		   JifenCaller *caller)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(known->by),
	Int64GetDatum(known->before_seq)};
	Datum		due[] = {values[0], TimestampTzGetDatum(due_by), values[2]};

	if (is_past)
	{
		uint64		n = jifen_execute(&lots_in_history, values, NULL, true, 0);

		for (uint64 row = 0; row < n; row++)
			jifen_add_lot_of_row(account, row);
		if (account->held != 0)
			add_due_holds(account, jifen_execute(&due_holds_in_history, due, NULL, true, 0));
	}
	else
	{
		jifen_add_open_lots(account, true);
		if (account->held != 0)
			load_due_holds(account, due_by);
		if (account->nholds > 0 || has_moving_lot(account))
			jifen_begin_statements(caller);
	}

	load_held_lots(account);
	if (account->due_at != JIFEN_NO_TIME && (is_past || account->nholds > 0))
		jifen_load_activities(account, known);
	jifen_wind_loaded(&account, 1, known);
	if (account->nholds == 0)
		return;
	if (account->debt > 0)
		add_debts(account, jifen_execute(is_past ? &debts_in_history : &open_debts,
										 values, NULL, true, 0));
	(void) jifen_post_due_holds(account, due_by);
}

/*
 * What the member holds at as_of, by what was booked by known_at
 * (JIFEN_NO_TIME: by now).  From the account's latest event on that is what is
 * open; before it, it is reckoned from the journal.  What it takes statements
 * for lives until they end.
 */
static JifenAccount *
load_holding(Datum program, Datum member, TimestampTz as_of, TimestampTz known_at,
			 JifenCaller *caller)
{
	JifenAccount *account = load_account(program, member);
	JifenKnowledge known = {as_of, PG_INT64_MAX, known_at != JIFEN_NO_TIME ? known_at : DT_NOEND, true};
	Datum		values[3];
	bool		is_past = as_of < account->last_event_at || known_at != JIFEN_NO_TIME;

	if (is_past)
		jifen_begin_statements(caller);
	if (known_at != JIFEN_NO_TIME)
	{
		Datum		booked[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(known_at)};

		jifen_execute(&first_unknown, booked, NULL, true, 0);
		if (!jifen_is_null(0, 1))
			known.before_seq = jifen_get_int64(0, 1);
	}
	values[0] = Int64GetDatum(account->account_id);
	values[1] = TimestampTzGetDatum(known.by);
	values[2] = Int64GetDatum(known.before_seq);
	if (is_past)
	{
		jifen_execute(&sums_in_history, values, NULL, true, 0);
		account->balance = jifen_get_int64(0, 1);
		account->held = jifen_get_int64(0, 2);
		account->debt = jifen_get_int64(0, 3);
	}
	load_parts(account, is_past, &known, as_of, caller);
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
 *		   OUT next_expiring, OUT debt, OUT held_back)
 */
Datum
balance(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	TimestampTz as_of = as_of_argument(fcinfo, 2);
	TimestampTz known_at = jifen_time_argument(fcinfo, 3, "known_at");
	TupleDesc	tupdesc = jifen_row_type(fcinfo);
	JifenCaller caller = {false};
	JifenAccount *account;
	PointAmount available = 0;
	PointAmount pending = 0;
	PointAmount lapsed = 0;
	TimestampTz next_expires_at = JIFEN_NO_TIME;
	PointAmount next_expiring = 0;
	PointAmount held_back = 0;
	Datum		values[9];
	bool		nulls[9] = {false};

	account = load_holding(program, member, as_of, known_at, &caller);
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];
		TimestampTz planned;

		if (lot->lapses_at <= as_of)
		{
			lapsed = jifen_add(lapsed, lot->remaining);
			continue;
		}
		if (lot->available_at > as_of)
			pending = jifen_add(pending, lot->remaining);
		else
			available = jifen_add(available, lot->remaining);
		if (lot->due_at <= as_of)
			held_back = jifen_add(held_back, lot->remaining);
		planned = jifen_planned_lapse(lot, as_of);
		if (TIMESTAMP_IS_NOEND(planned) || lot->remaining == 0)
			continue;
		if (next_expires_at == JIFEN_NO_TIME || planned < next_expires_at)
		{
			next_expires_at = planned;
			next_expiring = 0;
		}
		if (planned == next_expires_at)
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
	values[8] = PointAmountGetDatum(held_back);
	nulls[5] = nulls[6] = next_expires_at == JIFEN_NO_TIME;
	jifen_end_statements(&caller);
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
	JifenCaller caller = {false};
	JifenAccount *account;
	PointAmount points = 0;

	jifen_require_argument(fcinfo, 2, "until");
	until = jifen_time_argument(fcinfo, 2, "until");
	as_of = as_of_argument(fcinfo, 3);

	account = load_holding(program, member, as_of, JIFEN_NO_TIME, &caller);
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];
		TimestampTz planned = jifen_planned_lapse(lot, as_of);

		if (lot->lapses_at > as_of && planned > as_of && planned <= until)
			points = jifen_add(points, lot->remaining);
	}
	jifen_end_statements(&caller);
	PG_RETURN_POINT_AMOUNT(points);
}

/*
 * lots_at(program, member, as_of, told_at, OUT seq, OUT available_at,
 *		   OUT remaining, OUT expires_at, OUT planned_at, OUT wanted_days,
 *		   OUT held, OUT debt) returns setof record
 *
 * wanted_days are those of the notice that the lot waits for, which planned_at
 * takes as given at told_at.
 */
Datum
lots_at(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	TimestampTz as_of = as_of_argument(fcinfo, 2);
	TimestampTz told_at;
	TupleDesc	tupdesc;
	Tuplestorestate *rows = jifen_begin_rows(fcinfo, &tupdesc);
	JifenCaller caller = {false};
	JifenAccount *account;

	jifen_require_argument(fcinfo, 3, "told_at");
	told_at = jifen_time_argument(fcinfo, 3, "told_at");

	account = load_holding(program, member, as_of, JIFEN_NO_TIME, &caller);
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];
		bool		wants_notice = lot->lapses_at == DT_NOEND && lot->due_at != DT_NOEND;
		Datum		values[8];
		bool		nulls[8] = {false};

		if (lot->remaining == 0 || lot->lapses_at <= as_of)
			continue;
		values[0] = Int64GetDatum(lot->seq);
		values[1] = TimestampTzGetDatum(lot->available_at);
		values[2] = PointAmountGetDatum(lot->remaining);
		values[3] = TimestampTzGetDatum(lot->due_at);
		values[4] = TimestampTzGetDatum(jifen_planned_lapse(lot, told_at));
		values[5] = Int32GetDatum(wants_notice ? lot->rule->notice_days : 0);
		nulls[5] = !wants_notice;
		values[6] = PointAmountGetDatum(account->held);
		values[7] = PointAmountGetDatum(account->debt);
		tuplestore_putvalues(rows, tupdesc, values, nulls);
	}
	jifen_end_statements(&caller);
	return (Datum) 0;
}

/* What was booked in memory as lapsed of the lot. */
static PointAmount
lapsed_of(const JifenAccount *account, const JifenLot *lot)
{
	PointAmount lapsed = 0;

	for (int e = 0; e < account->nentries; e++)
	{
		const JifenEntry *entry = &account->entries[e];

		for (int i = 0; entry->kind == JIFEN_EXPIRE && i < entry->nallocations; i++)
		{
			const JifenAllocation *taken = &account->allocations[entry->first_allocation + i];

			if (taken->lot_seq == lot->seq)
				lapsed = jifen_add(lapsed, taken->amount);
		}
	}
	return lapsed;
}

/*
 * settled_lots(program, member, as_of, OUT seq, OUT remaining, OUT expires_at)
 *				returns setof record
 */
Datum
settled_lots(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	TimestampTz as_of = as_of_argument(fcinfo, 2);
	JifenKnowledge everything = jifen_everything;
	TupleDesc	tupdesc;
	Tuplestorestate *rows = jifen_begin_rows(fcinfo, &tupdesc);
	JifenCaller caller = {false};
	JifenAccount *account;

	everything.is_read_only = true;
	account = load_account(program, member);
	load_parts(account, false, &everything, as_of, &caller);
	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];
		PointAmount expired = lapsed_of(account, lot);
		Datum		values[3];
		bool		nulls[3] = {false};

		CHECK_FOR_INTERRUPTS();
		Assert(expired == 0 || lot->lapses_at <= as_of);
		values[0] = Int64GetDatum(lot->seq);
		values[1] = PointAmountGetDatum(jifen_add(lot->remaining, expired));
		values[2] = TimestampTzGetDatum(lot->due_at);
		tuplestore_putvalues(rows, tupdesc, values, nulls);
	}
	jifen_end_statements(&caller);
	return (Datum) 0;
}
