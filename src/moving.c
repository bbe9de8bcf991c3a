/*
 * moving.c
 *	  Loads what moves the expiry of lots: their rules, the activities and the
 *	  notices, and winds their clocks.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "calendar.h"
#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tables.h"

static JifenStatement load_rules = {
	"select rule_no, time_zone, activity, notice_days"
	" from jifen.expiry_rule where program_id = $1",
	1, {INT4OID}
};

static JifenStatement load_notices = {
	"select x.account_id, x.lot_seq, x.expires_at, min(n.counts_from)"
	" from jifen.notice_lot x"
	" cross join lateral (select counts_from, after_seq, posted_at from jifen.notice"
	"   where account_id = x.account_id and notice_no = x.notice_no offset 0) n"
	" where x.account_id = any ($1) and n.counts_from <= $2 and n.after_seq < $3 and n.posted_at <= $4"
	" group by x.account_id, x.lot_seq, x.expires_at",
	4, {INT8ARRAYOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID}
};

/* All that may count as activity. */
static JifenStatement load_activities = {
	"select event_at, seq, kind from jifen.entry"
	" where account_id = $1 and event_at <= $2 and seq < $3"
	"   and kind in ('earn', 'redeem', 'adjust', 'hold', 'capture', 'transfer_out', 'transfer_in', 'import')",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

const JifenKnowledge jifen_everything = {DT_NOEND, PG_INT64_MAX, DT_NOEND, false};

/* Fills in the rule that has these columns; notice_days may be 0 for null. */
void
jifen_set_rule(JifenRule *rule, Datum rule_no, Datum time_zone, Datum activity, Datum notice_days)
{
	Datum	   *kinds;
	int			nkinds;

	rule->rule_no = DatumGetInt16(rule_no);
	rule->time_zone = jifen_time_zone(TextDatumGetCString(time_zone));
	rule->activity = 0;
	deconstruct_array(DatumGetArrayTypeP(activity), TEXTOID, -1, false, TYPALIGN_INT, &kinds, NULL, &nkinds);
	for (int i = 0; i < nkinds; i++)
		rule->activity |= 1 << jifen_trace_of_kind(jifen_kind_from_name(TextDatumGetCString(kinds[i])));
	rule->notice_days = DatumGetInt32(notice_days);
}

/* Among the rules of the program, NULL if it has not been loaded. */
static const JifenRule *
find_rule(const JifenProgram *program, int16 rule_no)
{
	ListCell   *lc;

	if (program->rule.rule_no == rule_no)
		return &program->rule;
	foreach(lc, program->rules)
	{
		const JifenRule *rule = lfirst(lc);

		if (rule->rule_no == rule_no)
			return rule;
	}
	return NULL;
}

/* The rule of that number, which lots of the program keep to. */
static const JifenRule *
rule_of(JifenProgram *program, int16 rule_no, bool read_only)
{
	const JifenRule *rule = find_rule(program, rule_no);
	Datum		values[] = {Int32GetDatum(program->program_id)};
	uint64		n;

	if (rule)
		return rule;
	n = jifen_execute(&load_rules, values, NULL, read_only, 0);
	program->rules = NIL;
	for (uint64 row = 0; row < n; row++)
	{
		JifenRule  *loaded = palloc(sizeof(JifenRule));

		jifen_set_rule(loaded, jifen_get_datum(row, 1), jifen_get_datum(row, 2),
					   jifen_get_datum(row, 3), jifen_get_datum(row, 4));
		program->rules = lappend(program->rules, loaded);
	}
	rule = find_rule(program, rule_no);
	if (rule == NULL)
		elog(ERROR, "program %d has no expiry_rule %d", program->program_id, rule_no);
	return rule;
}

/* Those of the accounts that have a lot for which it takes a notice to lapse. */
static int
accounts_without_notices(JifenAccount **accounts, int n, JifenAccount **wanting)
{
	int			nwanting = 0;

	for (int a = 0; a < n; a++)
	{
		bool		wants = false;

		for (int i = 0; i < accounts[a]->nlots && !accounts[a]->has_notices && !wants; i++)
		{
			const JifenLot *lot = &accounts[a]->lots[i];

			wants = lot->rule && lot->rule->notice_days > 0;
		}
		if (wants)
			wanting[nwanting++] = accounts[a];
	}
	return nwanting;
}

/*
 * Gives the lots that have been loaded of the accounts their rules and the
 * notices that are known, and winds their clocks.
 */
void
jifen_wind_loaded(JifenAccount **accounts, int n, const JifenKnowledge *known)
{
	JifenAccount **wanting = palloc((n + 1) * sizeof(JifenAccount *));
	int			nwanting;

	for (int a = 0; a < n; a++)
	{
		for (int i = 0; i < accounts[a]->nlots; i++)
		{
			JifenLot   *lot = &accounts[a]->lots[i];

			if (lot->rule_no != 0 && lot->rule == NULL)
				lot->rule = rule_of((JifenProgram *) accounts[a]->program, lot->rule_no, known->is_read_only);
		}
	}
	nwanting = accounts_without_notices(accounts, n, wanting);
	if (nwanting > 0)
	{
		Datum		values[] = {jifen_account_id_array(wanting, nwanting),
			TimestampTzGetDatum(known->by), Int64GetDatum(known->before_seq),
		TimestampTzGetDatum(known->booked_by)};
		uint64		nfound = jifen_execute(&load_notices, values, NULL, known->is_read_only, 0);

		for (uint64 row = 0; row < nfound; row++)
		{
			JifenAccount *account = jifen_account_of_id(wanting, nwanting, jifen_get_int64(row, 1));
			JifenNotice notice = {jifen_get_int64(row, 2), jifen_get_time(row, 3), jifen_get_time(row, 4)};

			JIFEN_APPEND(account, notices, &notice);
		}
		for (int a = 0; a < nwanting; a++)
			wanting[a]->has_notices = true;
	}
	for (int a = 0; a < n; a++)
		jifen_wind_lots(accounts[a]);
	pfree(wanting);
}

/* Loads the moving lots of the accounts that have any, and winds them. */
void
jifen_load_moving_lots(JifenAccount **accounts, int n)
{
	JifenAccount **movers = palloc((n + 1) * sizeof(JifenAccount *));
	int			nmovers = 0;
	JifenScan	scan;

	for (int a = 0; a < n; a++)
	{
		if (accounts[a]->due_at != JIFEN_NO_TIME && !accounts[a]->has_moving_lots)
			movers[nmovers++] = accounts[a];
	}
	if (nmovers == 0)
		return;
	jifen_begin_scan(&scan, "lot", Natts_lot, "lot_moving", false);
	for (int a = 0; a < nmovers; a++)
	{
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(movers[a]->account_id));
		while (jifen_next_row(&scan))
			jifen_add_lot_at_hand(movers[a], &scan);
		movers[a]->has_moving_lots = true;
	}
	jifen_end_scan(&scan);
	jifen_wind_loaded(movers, nmovers, &jifen_everything);
	pfree(movers);
}

/*
 * Loads all that may count as activity and is known.  What was decided on the
 * account must be stored.
 */
void
jifen_load_activities(JifenAccount *account, const JifenKnowledge *known)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(known->by),
	Int64GetDatum(known->before_seq)};
	uint64		n;

	Assert(account->nstored == account->nentries);
	n = jifen_execute(&load_activities, values, NULL, known->is_read_only, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenActivity activity = {0};

		activity.event_at = jifen_get_time(row, 1);
		activity.seq = jifen_get_int64(row, 2);
		activity.trace = 1 << jifen_trace_of_kind(jifen_kind_from_name(jifen_get_string(row, 3)));
		JIFEN_APPEND(account, activities, &activity);
	}
	account->has_activities = true;
	account->activities_in_order = false;
}
