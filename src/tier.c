/*
 * tier.c
 *	  The tier that a member's qualifying points of a rolling window reach.
 *
 * Nothing is kept: a tier follows from the journal and the program's tiers.
 * An entry counts from when it happened until its local time plus the length
 * of the program's window.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "argument.h"
#include "plan.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(tier_for);
PG_FUNCTION_INFO_V1(tier_status);

/*
 * When entry e leaves the window, by local time.  The condition before it
 * spares the reckoning for what left long ago: months and days are not always
 * as long, but never differ by four days.
 */
#define LEAVES_AT \
	"((e.event_at at time zone p.time_zone) + p.tier_window) at time zone p.time_zone"
#define IN_WINDOW \
	"e.event_at <= $3 and e.event_at > $3 - p.tier_window - interval '4 days'" \
	" and " LEAVES_AT " > $3"

/*
 * The member's window and what it holds, then the tier reached, the next.
 * Where more was undone than earned within it, it counts for nothing.
 */
static JifenStatement tier_reached = {
	"select t.code, t.name, q.qualifying, t.threshold,"
	"       (($3 at time zone p.time_zone) - p.tier_window) at time zone p.time_zone,"
	"       n.code, n.threshold, n.threshold - q.qualifying, p.program_id, a.account_id"
	" from jifen.program p"
	" join jifen.account a on a.program_id = p.program_id and a.member = $2"
	" cross join lateral ("
	"   select least(coalesce(sum(e.qualifying::bigint), 0), 9223372036854775807)::jifen.point_amount as qualifying"
	"   from jifen.entry e where e.account_id = a.account_id and " IN_WINDOW ") q"
	" left join lateral ("
	"   select code, name, threshold from jifen.tier"
	"   where program_id = p.program_id and threshold <= greatest(q.qualifying, 0)"
	"   order by threshold desc limit 1) t on true"
	" left join lateral ("
	"   select code, threshold from jifen.tier"
	"   where program_id = p.program_id and threshold > greatest(q.qualifying, 0)"
	"   order by threshold limit 1) n on true"
	" where p.code = $1",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/*
 * When so much has left the window that, nothing more being earned, less than
 * the threshold $4 is left in it.  Entries that leave together count as one.
 */
static JifenStatement tier_held_until = {
	"with leaving as ("
	"  select e.qualifying::bigint as qualifying, " LEAVES_AT " as leaves_at"
	"  from jifen.program p"
	"  join jifen.entry e on e.account_id = $2 and " IN_WINDOW
	"  where p.program_id = $1 and e.qualifying is not null)"
	" select min(leaves_at)"
	" from (select leaves_at,"
	"         coalesce(sum(qualifying) over (order by leaves_at desc"
	"           groups between unbounded preceding and 1 preceding), 0) as left_then"
	"       from leaving) l"
	" where greatest(left_then, 0) < $4",
	4, {INT4OID, INT8OID, TIMESTAMPTZOID, INT8OID}
};

/* Loads the single row of tier_reached for the arguments program, member, as_of. */
static TimestampTz
load_tier(FunctionCallInfo fcinfo)
{
	Datum		values[3];

	values[0] = jifen_identifier_argument(fcinfo, 0, "program");
	values[1] = jifen_identifier_argument(fcinfo, 1, "member");
	jifen_require_argument(fcinfo, 2, "as_of");
	values[2] = TimestampTzGetDatum(jifen_time_argument(fcinfo, 2, "as_of"));
	if (jifen_execute(&tier_reached, values, NULL, true, 0) == 0)
		jifen_report_unknown(values[0], values[1]);
	return DatumGetTimestampTz(values[2]);
}

/* tier_for(program, member, as_of) returns text: the tier's code, or null */
Datum
tier_for(PG_FUNCTION_ARGS)
{
	Datum		code;

	SPI_connect();
	(void) load_tier(fcinfo);
	code = jifen_get_datum(0, 1);
	if (code)
		code = SPI_datumTransfer(code, false, -1);
	SPI_finish();
	if (code == (Datum) 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(code);
}

/* OUT columns of tier_status that tier_reached does not give. */
#define STATUS_WINDOW_END	5
#define STATUS_HOLDS_UNTIL	9

/*
 * tier_status(program, member, as_of, OUT tier, OUT name, OUT qualifying,
 *			   OUT threshold, OUT window_start, OUT window_end, OUT next_tier,
 *			   OUT next_threshold, OUT missing, OUT holds_until)
 */
Datum
tier_status(PG_FUNCTION_ARGS)
{
	/* where each OUT column stands in tier_reached; 0: it does not */
	static const int columns[] = {1, 2, 3, 4, 5, 0, 6, 7, 8, 0};
	TupleDesc	tupdesc;
	TimestampTz as_of;
	Datum		values[lengthof(columns)] = {0};
	bool		nulls[lengthof(columns)] = {false};
	Datum		result;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = BlessTupleDesc(tupdesc);

	SPI_connect();
	as_of = load_tier(fcinfo);
	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		if (columns[i] == 0)
			continue;
		nulls[i] = jifen_is_null(0, columns[i]);
		if (!nulls[i])
			values[i] = datumCopy(jifen_get_datum(0, columns[i]),
								  TupleDescAttr(tupdesc, i)->attbyval,
								  TupleDescAttr(tupdesc, i)->attlen);
	}
	values[STATUS_WINDOW_END] = TimestampTzGetDatum(as_of);

	nulls[STATUS_HOLDS_UNTIL] = true;
	if (!nulls[0])
	{
		Datum		held[] = {jifen_get_datum(0, 9), jifen_get_datum(0, 10),
		TimestampTzGetDatum(as_of), values[3]};

		jifen_execute(&tier_held_until, held, NULL, true, 0);
		values[STATUS_HOLDS_UNTIL] = jifen_get_datum(0, 1);
		nulls[STATUS_HOLDS_UNTIL] = jifen_is_null(0, 1);
	}
	result = PointerGetDatum(SPI_returntuple(heap_form_tuple(tupdesc, values, nulls), tupdesc));
	SPI_finish();
	PG_RETURN_DATUM(result);
}
