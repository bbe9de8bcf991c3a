/*
 * load.c
 *	  Loads what a posting needs of the present state of accounts that are locked:
 *	  their lots, holds and debts.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tables.h"

/* So many lots are read at first; most redemptions need fewer. */
#define FIRST_LOTS 16

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
	lot.source = jifen_copy_value(jifen_get_datum(row, 9));
	lot.funder = jifen_copy_value(jifen_get_datum(row, 10));
	lot.revenue = jifen_copy_value(jifen_get_datum(row, 11));
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
 * that instant: as many as have the points wanted, at most FIRST_LOTS.
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
		PointAmount wanted = account->wanted;

		account->known_from = DatumGetTimestampTz(from->values[i]);
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
		jifen_set_key(&scan, 2, BTGreaterStrategyNumber, from->values[i]);
		for (int n = 0; n < FIRST_LOTS && wanted > 0 && jifen_next_row(&scan); n++)
		{
			const JifenLot *lot = jifen_add_lot_at_hand(account, &scan);

			account->known_to = lot->expires_at;
			account->known_to_seq = lot->seq;
			if (lot->rule_no == 0 && lot->available_at <= account->known_from)
				wanted -= Min(wanted, lot->remaining);
		}
	}
	jifen_end_scan(&scan);
}

/* Adds the lots that are open, seen as by jifen_begin_scan(). */
void
jifen_add_open_lots(JifenAccount *account, bool read_only)
{
	JifenScan	scan;

	jifen_begin_scan(&scan, "lot", Natts_lot, "lot_pkey", read_only);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
	while (jifen_next_row(&scan))
		jifen_add_lot_at_hand(account, &scan);
	jifen_end_scan(&scan);
}

void
jifen_load_all_lots(JifenAccount *account)
{
	if (account->has_all_lots)
		return;
	jifen_add_open_lots(account, false);
	account->has_all_lots = true;
	account->has_moving_lots = true;
	jifen_wind_loaded(&account, 1, &jifen_everything);
}

/* Has the scan of entry_pkey at that entry of the account, which must be there. */
static void
find_entry(JifenScan *entries, const JifenAccount *account, int64 seq)
{
	jifen_set_key(entries, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
	jifen_set_key(entries, 2, BTEqualStrategyNumber, Int64GetDatum(seq));
	if (!jifen_next_row(entries))
		elog(ERROR, "account " INT64_FORMAT " has no entry " INT64_FORMAT, account->account_id, seq);
}

static TimestampTz
event_at_of(JifenScan *entries, const JifenAccount *account, int64 seq)
{
	find_entry(entries, account, seq);
	return jifen_row_time(entries, Anum_entry_event_at);
}

/* What the extension took of another lot. */
static PointAmount
size_of_extension(int64 account_id, int64 seq)
{
	PointAmount size = 0;
	JifenScan	scan;

	jifen_begin_scan(&scan, "allocation", Natts_allocation, "allocation_pkey", false);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account_id));
	jifen_set_key(&scan, 2, BTEqualStrategyNumber, Int64GetDatum(seq));
	while (jifen_next_row(&scan))
		size = jifen_add(size, jifen_row_int64(&scan, Anum_allocation_amount));
	jifen_end_scan(&scan);
	return size;
}

void
jifen_begin_credits(JifenCredits *credits)
{
	jifen_begin_scan(&credits->entries, "entry", Natts_entry, "entry_pkey", false);
	jifen_begin_scan(&credits->lots, "lot", Natts_lot, "lot_pkey", false);
}

void
jifen_end_credits(JifenCredits *credits)
{
	jifen_end_scan(&credits->lots);
	jifen_end_scan(&credits->entries);
}

/* Loads the lot of the credit of that number, with its origin; all of it may be spent. */
JifenLot *
jifen_load_credit(JifenAccount *account, JifenCredits *credits, int64 seq)
{
	JifenScan  *entry = &credits->entries;
	JifenScan  *row = &credits->lots;
	JifenLot	lot = {0};

	find_entry(entry, account, seq);
	lot.seq = seq;
	lot.expires_at = jifen_row_time(entry, Anum_entry_expires_at);
	lot.available_at = jifen_row_time(entry, Anum_entry_available_at);
	lot.issued_at = jifen_row_time(entry, Anum_entry_issued_at);
	if (lot.issued_at == JIFEN_NO_TIME)
		lot.issued_at = jifen_row_time(entry, Anum_entry_event_at);
	lot.rule_no = DatumGetInt16(jifen_row_datum(entry, Anum_entry_rule_no));
	if (lot.rule_no != 0)
	{
		lot.counts_from = lot.issued_at;
		lot.expiry = policy_of_lot(jifen_row_datum(entry, Anum_entry_expiry));
	}
	lot.has_origin = true;
	lot.source = jifen_row_copy(entry, Anum_entry_source);
	lot.funder = jifen_row_copy(entry, Anum_entry_funder);
	lot.revenue = jifen_row_copy(entry, Anum_entry_revenue);
	lot.size = jifen_kind_from_name(TextDatumGetCString(jifen_row_datum(entry, Anum_entry_kind))) == JIFEN_EXTEND ?
		size_of_extension(account->account_id, seq) : jifen_row_int64(entry, Anum_entry_amount);

	jifen_set_key(row, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
	jifen_set_key(row, 2, BTEqualStrategyNumber, TimestampTzGetDatum(lot.expires_at));
	jifen_set_key(row, 3, BTEqualStrategyNumber, Int64GetDatum(seq));
	if (jifen_next_row(row))
	{
		lot.row = row->slot->tts_tid;
		lot.stored = lot.remaining = jifen_row_int64(row, Anum_lot_remaining);
	}
	return jifen_add_lot(account, &lot);
}

/* Loads when and by which channel the points of the lots in memory were issued. */
void
jifen_load_origins(JifenAccount *account)
{
	JifenCredits credits;

	jifen_begin_credits(&credits);
	for (int i = 0; i < account->nlots; i++)
	{
		if (!account->lots[i].has_origin)
			jifen_load_credit(account, &credits, account->lots[i].seq);
	}
	jifen_end_credits(&credits);
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

/* Loads what the hold took of which lots. */
static void
load_taken(JifenAccount *account, JifenHold *hold, JifenCredits *credits)
{
	JifenScan	scan;

	jifen_begin_scan(&scan, "allocation", Natts_allocation, "allocation_pkey", false);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
	jifen_set_key(&scan, 2, BTEqualStrategyNumber, Int64GetDatum(hold->seq));
	while (jifen_next_row(&scan))
	{
		const JifenLot *lot = jifen_load_credit(account, credits,
												jifen_row_int64(&scan, Anum_allocation_lot_seq));

		jifen_add_taken(&hold->taken, &hold->ntaken, lot,
						jifen_row_int64(&scan, Anum_allocation_amount));
	}
	jifen_end_scan(&scan);
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
	bool		any_taken = false;
	JifenCredits credits;
	JifenScan	scan;

	for (int i = 0; i < naccounts; i++)
	{
		if (accounts[i]->held > 0)
			holders[nholders++] = accounts[i];
	}
	if (nholders == 0)
		return;
	jifen_begin_credits(&credits);
	jifen_begin_scan(&scan, "hold", Natts_hold, "hold_pkey", false);
	for (int a = 0; a < nholders; a++)
	{
		JifenAccount *account = holders[a];

		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
		while (jifen_next_row(&scan))
		{
			JifenHold	hold = {0};

			hold.seq = jifen_row_int64(&scan, Anum_hold_seq);
			hold.until = jifen_row_time(&scan, Anum_hold_until);
			hold.stored = hold.amount = jifen_row_int64(&scan, Anum_hold_amount);
			hold.event_at = event_at_of(&credits.entries, account, hold.seq);
			hold.has_taken = hold.until <= due;
			for (int i = 0; i < named->n && !hold.has_taken; i++)
				hold.has_taken = named->account_ids[i] == account->account_id &&
					DatumGetInt64(named->values[i]) == hold.seq;
			if (hold.has_taken)
				load_taken(account, &hold, &credits);
			any_taken |= hold.has_taken;
			jifen_add_hold(account, &hold);
		}
	}
	jifen_end_scan(&scan);
	jifen_end_credits(&credits);
	if (any_taken)
		jifen_wind_loaded(holders, nholders, &jifen_everything);
}

/* Loads the open debts of the accounts that have any. */
void
jifen_load_debts(JifenAccount **accounts, int naccounts)
{
	for (int a = 0; a < naccounts; a++)
	{
		JifenAccount *account = accounts[a];
		JifenScan	entries;
		JifenScan	scan;

		if (account->debt == 0)
			continue;
		jifen_begin_scan(&entries, "entry", Natts_entry, "entry_pkey", false);
		jifen_begin_scan(&scan, "debt", Natts_debt, "debt_pkey", false);
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account->account_id));
		while (jifen_next_row(&scan))
		{
			JifenDebt	debt = {0};

			debt.seq = jifen_row_int64(&scan, Anum_debt_seq);
			debt.stored = debt.remaining = jifen_row_int64(&scan, Anum_debt_remaining);
			debt.event_at = event_at_of(&entries, account, debt.seq);
			jifen_add_debt(account, &debt);
		}
		jifen_end_scan(&scan);
		jifen_end_scan(&entries);
	}
}
