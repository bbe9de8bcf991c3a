/*
 * load.c
 *	  Loads what a posting needs of the present state of accounts that are locked:
 *	  their lots, holds and debts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/datum.h"

#include "plan.h"
#include "storage.h"

/* So many lots are read at first; most redemptions need fewer. */
#define FIRST_LOTS "16"

static JifenStatement load_first_lots = {
	"select " JIFEN_LOT_COLUMNS
	" from unnest($1, $2) w (account_id, at)"
	" cross join lateral (select * from jifen.lot"
	"   where account_id = w.account_id and expires_at > w.at"
	"   order by expires_at, seq limit " FIRST_LOTS ") l",
	2, {INT8ARRAYOID, TIMESTAMPTZARRAYOID}
};

static JifenStatement load_all_lots = {
	"select " JIFEN_LOT_COLUMNS
	" from jifen.lot l where l.account_id = $1"
	" order by l.expires_at, l.seq",
	1, {INT8OID}
};

static JifenStatement load_lapsed_lots = {
	"select " JIFEN_LOT_COLUMNS ", l.ctid"
	" from jifen.lot l"
	" where l.account_id = any ($1) and l.expires_at <= $2 and l.rule_no is null"
	" order by l.account_id, l.expires_at, l.seq",
	2, {INT8ARRAYOID, TIMESTAMPTZOID}
};

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

/*
 * The lot of a result row that begins with JIFEN_LOT_COLUMNS or, with its
 * origin, JIFEN_CREDIT_COLUMNS.
 */
JifenLot *
jifen_add_lot_of_row(JifenAccount *account, uint64 row, bool has_origin)
{
	JifenLot	lot = {0};

	lot.seq = jifen_get_int64(row, 2);
	lot.expires_at = jifen_get_time(row, 3);
	lot.available_at = jifen_get_time(row, 4);
	lot.stored = lot.remaining = jifen_get_int64(row, 5);
	if (!jifen_is_null(row, 6))
	{
		const ExpiryPolicy *policy = DatumGetExpiryPolicyP(jifen_get_datum(row, 7));

		lot.rule_no = DatumGetInt16(jifen_get_datum(row, 6));
		lot.counts_from = jifen_get_time(row, 8);
		if (policy && jifen_policy_has_inactivity(policy))
		{
			ExpiryPolicy *copy = palloc(sizeof(ExpiryPolicy));

			*copy = *policy;
			lot.expiry = copy;
		}
	}
	lot.has_origin = has_origin;
	if (has_origin)
	{
		lot.issued_at = jifen_get_time(row, 8);
		lot.source = copy_value(row, 9);
		lot.funder = copy_value(row, 10);
		lot.revenue = copy_value(row, 11);
		lot.size = jifen_get_int64(row, 12);
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
	Datum		values[2];
	uint64		n;

	if (from->n == 0)
		return;
	values[0] = jifen_int8_array(from->account_ids, from->n);
	values[1] = PointerGetDatum(construct_array(from->values, from->n, TIMESTAMPTZOID, sizeof(TimestampTz),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	n = jifen_execute(&load_first_lots, values, NULL, false, 0);
	for (int i = 0; i < from->n; i++)
		jifen_account_of_id(accounts, naccounts, from->account_ids[i])->known_from =
			DatumGetTimestampTz(from->values[i]);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(accounts, naccounts, jifen_get_int64(row, 1));
		JifenLot   *lot = jifen_add_lot_of_row(account, row, false);

		account->known_to = lot->expires_at;
		account->known_to_seq = lot->seq;
	}
}

void
jifen_load_all_lots(JifenAccount *account)
{
	Datum		values[] = {Int64GetDatum(account->account_id)};
	uint64		n;

	if (account->has_all_lots)
		return;
	n = jifen_execute(&load_all_lots, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
		jifen_add_lot_of_row(account, row, false);
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
		jifen_add_lot_of_row(account, row, true);
}

/* Loads into each account its lots lapsed by as_of, and the moving ones that may have. */
void
jifen_load_lapsed(JifenAccount **accounts, int naccounts, TimestampTz as_of)
{
	JifenAccount **due = palloc((naccounts + 1) * sizeof(JifenAccount *));
	int			ndue = 0;
	Datum		values[] = {jifen_account_id_array(accounts, naccounts), TimestampTzGetDatum(as_of)};
	uint64		n = jifen_execute(&load_lapsed_lots, values, NULL, false, 0);
	JifenAccount **account = accounts;

	for (uint64 row = 0; row < n; row++)
	{
		JifenLot   *lot;

		while ((*account)->account_id != jifen_get_int64(row, 1))
			account++;
		lot = jifen_add_lot_of_row(*account, row, false);
		lot->row = *(ItemPointer) DatumGetPointer(jifen_get_datum(row, JIFEN_LOT_NCOLUMNS + 1));
	}
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
		JifenLot   *lot = jifen_add_lot_of_row(account, row, true);
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
