/*
 * load.c
 *	  Loads what a posting needs of the present state of accounts that are locked:
 *	  their lots, holds and debts.
 *
 * In the statements here, in moving.c and in history.c, OFFSET 0 keeps a join
 * by its whole key: on tables that were never analyzed, the planner thinks that
 * the account alone is as good, and reads all of the account's rows for each of
 * them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/datum.h"

#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tables.h"

/* So many lots are read at first; most redemptions need fewer. */
#define FIRST_LOTS 16

static JifenStatement load_origins = {
	"select " JIFEN_CREDIT_COLUMNS
	" from unnest($2) w (seq)"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = $1 and seq = w.seq offset 0) c"
	" cross join (select null::jifen.point_amount as remaining) l",
	2, {INT8OID, INT8ARRAYOID}
};

static JifenStatement load_holds = {
	"select h.account_id, h.seq, h.until, h.amount, e.event_at"
	" from jifen.hold h"
	" cross join lateral (select event_at from jifen.entry"
	"   where account_id = h.account_id and seq = h.seq offset 0) e"
	" where h.account_id = any ($1)"
	" order by h.account_id, h.seq",
	1, {INT8ARRAYOID}
};

static JifenStatement load_held_lots = {
	"select " JIFEN_CREDIT_COLUMNS ", w.seq, x.amount"
	" from unnest($1, $2) w (account_id, seq)"
	" cross join lateral (select lot_seq, amount from jifen.allocation"
	"   where account_id = w.account_id and seq = w.seq offset 0) x"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = w.account_id and seq = x.lot_seq offset 0) c"
	" left join jifen.lot l on l.account_id = w.account_id and l.expires_at = c.expires_at and l.seq = c.seq"
	" order by w.account_id, w.seq, c.expires_at, c.seq",
	2, {INT8ARRAYOID, INT8ARRAYOID}
};

static JifenStatement load_debts = {
	"select d.account_id, d.seq, d.remaining, e.event_at"
	" from jifen.debt d"
	" cross join lateral (select event_at from jifen.entry"
	"   where account_id = d.account_id and seq = d.seq offset 0) e"
	" where d.account_id = any ($1)"
	" order by d.account_id, d.seq",
	1, {INT8ARRAYOID}
};

/* Adds an account with the number or text of what is wanted of it. */
void
jifen_add_key(JifenKeys *keys, int64 account_id, Datum value)
{
	if (keys->n == keys->max)
	{
		keys->max = Max(8, keys->max * 2);
		keys->account_ids = keys->n == 0 ? palloc(keys->max * sizeof(int64)) :
			repalloc(keys->account_ids, keys->max * sizeof(int64));
		keys->values = keys->n == 0 ? palloc(keys->max * sizeof(Datum)) :
			repalloc(keys->values, keys->max * sizeof(Datum));
	}
	keys->account_ids[keys->n] = account_id;
	keys->values[keys->n++] = value;
}

/* A value of variable length, 0 where it is null. */
static Datum
copy_value(uint64 row, int column)
{
	return jifen_is_null(row, column) ? (Datum) 0 :
		datumCopy(jifen_get_datum(row, column), false, -1);
}

/* The policy of a lot, where that needs it. */
static const ExpiryPolicy *
policy_of_lot(Datum expiry)
{
	const ExpiryPolicy *policy = DatumGetExpiryPolicyP(expiry);
	ExpiryPolicy *copy;

	if (policy == NULL || !jifen_policy_has_inactivity(policy))
		return NULL;
	copy = palloc(sizeof(ExpiryPolicy));
	*copy = *policy;
	return copy;
}

/* The lot, with its origin, of a result row that begins with JIFEN_CREDIT_COLUMNS. */
JifenLot *
jifen_add_lot_of_row(JifenAccount *account, uint64 row)
{
	JifenLot	lot = {0};

	lot.seq = jifen_get_int64(row, 2);
	lot.expires_at = jifen_get_time(row, 3);
	lot.available_at = jifen_get_time(row, 4);
	lot.stored = lot.remaining = jifen_get_int64(row, 5);
	if (!jifen_is_null(row, 6))
	{
		lot.rule_no = DatumGetInt16(jifen_get_datum(row, 6));
		lot.counts_from = jifen_get_time(row, 8);
		lot.expiry = policy_of_lot(jifen_get_datum(row, 7));
	}
	lot.has_origin = true;
	lot.issued_at = jifen_get_time(row, 8);
	lot.source = copy_value(row, 9);
	lot.funder = copy_value(row, 10);
	lot.revenue = copy_value(row, 11);
	lot.size = jifen_get_int64(row, 12);
	return jifen_add_lot(account, &lot);
}

/* The lot whose row is at hand. */
JifenLot *
jifen_add_lot_at_hand(JifenAccount *account, JifenScan *scan)
{
	JifenLot	lot = {0};

	lot.row = scan->slot->tts_tid;
	lot.seq = jifen_row_int64(scan, Anum_lot_seq);
	lot.expires_at = jifen_row_time(scan, Anum_lot_expires_at);
	lot.available_at = jifen_row_time(scan, Anum_lot_available_at);
	lot.stored = lot.remaining = jifen_row_int64(scan, Anum_lot_remaining);
	lot.rule_no = DatumGetInt16(jifen_row_datum(scan, Anum_lot_rule_no));
	if (lot.rule_no != 0)
	{
		lot.counts_from = jifen_row_time(scan, Anum_lot_counts_from);
		lot.expiry = policy_of_lot(jifen_row_datum(scan, Anum_lot_expiry));
	}
	return jifen_add_lot(account, &lot);
}

/*
 * Loads of each account that is named in from the first lots that lapse after
 * that instant, at most FIRST_LOTS.
 */
void
jifen_load_first_lots(JifenAccount **accounts, int naccounts, const JifenKeys *from)
{
	JifenScan	scan;

	if (from->n == 0)
		return;
	jifen_begin_scan(&scan, "lot", Natts_lot, "lot_pkey", false);
	for (int i = 0; i < from->n; i++)
	{
		JifenAccount *account = jifen_account_of_id(accounts, naccounts, from->account_ids[i]);

		account->known_from = DatumGetTimestampTz(from->values[i]);
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
		jifen_set_key(&scan, 2, BTGreaterStrategyNumber, from->values[i]);
		jifen_rescan(&scan);
		for (int n = 0; n < FIRST_LOTS && jifen_next_row(&scan); n++)
		{
			const JifenLot *lot = jifen_add_lot_at_hand(account, &scan);

			account->known_to = lot->expires_at;
			account->known_to_seq = lot->seq;
		}
	}
	jifen_end_scan(&scan);
}

void
jifen_load_all_lots(JifenAccount *account)
{
	JifenScan	scan;

	if (account->has_all_lots)
		return;
	jifen_begin_scan(&scan, "lot", Natts_lot, "lot_pkey", false);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
	while (jifen_next_row(&scan))
		jifen_add_lot_at_hand(account, &scan);
	jifen_end_scan(&scan);
	account->has_all_lots = true;
	account->has_moving_lots = true;
	jifen_wind_loaded(&account, 1, &jifen_everything);
}

/* Loads when and by which channel the points of the lots in memory were issued. */
void
jifen_load_origins(JifenAccount *account)
{
	int64	   *seqs = palloc((account->nlots + 1) * sizeof(int64));
	int			nseqs = 0;
	Datum		values[2];
	uint64		n;

	for (int i = 0; i < account->nlots; i++)
	{
		if (!account->lots[i].has_origin)
			seqs[nseqs++] = account->lots[i].seq;
	}
	if (nseqs == 0)
		return;
	values[0] = Int64GetDatum(account->account_id);
	values[1] = jifen_int8_array(seqs, nseqs);
	n = jifen_execute(&load_origins, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
		jifen_add_lot_of_row(account, row);
}

/* Loads into each account its lots lapsed by as_of, and the moving ones that may have. */
void
jifen_load_lapsed(JifenAccount **accounts, int naccounts, TimestampTz as_of)
{
	JifenAccount **due = palloc((naccounts + 1) * sizeof(JifenAccount *));
	int			ndue = 0;
	JifenScan	scan;

	jifen_begin_scan(&scan, "lot", Natts_lot, "lot_pkey", false);
	for (int i = 0; i < naccounts; i++)
	{
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(accounts[i]->account_id));
		jifen_set_key(&scan, 2, BTLessEqualStrategyNumber, TimestampTzGetDatum(as_of));
		jifen_rescan(&scan);
		while (jifen_next_row(&scan))
		{
			if (jifen_row_datum(&scan, Anum_lot_rule_no) == (Datum) 0)
				jifen_add_lot_at_hand(accounts[i], &scan);
		}
	}
	jifen_end_scan(&scan);
	for (int i = 0; i < naccounts; i++)
	{
		if (accounts[i]->due_at != JIFEN_NO_TIME && accounts[i]->due_at <= as_of)
			due[ndue++] = accounts[i];
	}
	jifen_load_moving_lots(due, ndue);
}

/*
 * Loads the open holds of the accounts that have any; of those that are due by
 * then or named, also what they took of which lots.
 */
void
jifen_load_holds(JifenAccount **accounts, int naccounts, const JifenKeys *named,
				 TimestampTz due)
{
	JifenAccount **holders = palloc((naccounts + 1) * sizeof(JifenAccount *));
	int			nholders = 0;
	JifenKeys	wanted = {0};
	int64	   *seqs;
	Datum		values[2];
	uint64		n;

	for (int i = 0; i < naccounts; i++)
	{
		if (accounts[i]->held > 0)
			holders[nholders++] = accounts[i];
	}
	if (nholders == 0)
		return;
	values[0] = jifen_account_id_array(holders, nholders);
	n = jifen_execute(&load_holds, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(holders, nholders, jifen_get_int64(row, 1));
		JifenHold	hold = {0};

		hold.seq = jifen_get_int64(row, 2);
		hold.until = jifen_get_time(row, 3);
		hold.stored = hold.amount = jifen_get_int64(row, 4);
		hold.event_at = jifen_get_time(row, 5);
		hold.has_taken = hold.until <= due;
		for (int i = 0; i < named->n && !hold.has_taken; i++)
			hold.has_taken = named->account_ids[i] == account->account_id &&
				DatumGetInt64(named->values[i]) == hold.seq;
		jifen_add_hold(account, &hold);
		if (hold.has_taken)
			jifen_add_key(&wanted, account->account_id, Int64GetDatum(hold.seq));
	}
	if (wanted.n == 0)
		return;

	seqs = palloc(wanted.n * sizeof(int64));
	for (int i = 0; i < wanted.n; i++)
		seqs[i] = DatumGetInt64(wanted.values[i]);
	values[0] = jifen_int8_array(wanted.account_ids, wanted.n);
	values[1] = jifen_int8_array(seqs, wanted.n);
	n = jifen_execute(&load_held_lots, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(holders, nholders, jifen_get_int64(row, 1));
		JifenLot   *lot = jifen_add_lot_of_row(account, row);
		JifenHold  *hold = jifen_find_hold(account, jifen_get_int64(row, JIFEN_CREDIT_NCOLUMNS + 1));

		jifen_add_taken(&hold->taken, &hold->ntaken, lot,
						jifen_get_int64(row, JIFEN_CREDIT_NCOLUMNS + 2));
	}
	jifen_wind_loaded(holders, nholders, &jifen_everything);
}

/* Loads the open debts of the accounts that have any. */
void
jifen_load_debts(JifenAccount **accounts, int naccounts)
{
	JifenAccount **debtors = palloc((naccounts + 1) * sizeof(JifenAccount *));
	int			ndebtors = 0;
	Datum		values[1];
	uint64		n;

	for (int i = 0; i < naccounts; i++)
	{
		if (accounts[i]->debt > 0)
			debtors[ndebtors++] = accounts[i];
	}
	if (ndebtors == 0)
		return;
	values[0] = jifen_account_id_array(debtors, ndebtors);
	n = jifen_execute(&load_debts, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(debtors, ndebtors, jifen_get_int64(row, 1));
		JifenDebt	debt = {0};

		debt.seq = jifen_get_int64(row, 2);
		debt.stored = debt.remaining = jifen_get_int64(row, 3);
		debt.event_at = jifen_get_time(row, 4);
		jifen_add_debt(account, &debt);
	}
}
