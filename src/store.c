/*
 * store.c
 *	  Stores what was decided on accounts.
 *
 * New rows are added to their tables many at a time (insert.c).  Rows that
 * change or go are written by statements: a few each by its own, more of them
 * all by one, which sees them as a transient relation.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "chain.h"
#include "insert.h"
#include "plan.h"
#include "storage.h"
#include "tables.h"

static JifenStatement update_accounts = {
	"update jifen.account a"
	" set balance = c.balance, held = c.held, debt = c.debt, last_seq = c.last_seq,"
	"     last_event_at = c.last_event_at, due_at = c.due_at,"
	"     last_earn_at = c.last_earn_at, last_redeem_at = c.last_redeem_at,"
	"     last_expire_at = c.last_expire_at, last_adjust_at = c.last_adjust_at,"
	"     last_hold_at = c.last_hold_at, last_capture_at = c.last_capture_at,"
	"     last_transfer_out_at = c.last_transfer_out_at, last_transfer_in_at = c.last_transfer_in_at,"
	"     last_import_at = c.last_import_at, head_hash = c.head_hash"
	" from changed_account c where a.account_id = c.account_id"
};

/* Of a single account: the columns in the order of the table. */
static JifenStatement update_account = {
	"update jifen.account"
	" set balance = $2, held = $3, debt = $4, last_seq = $5,"
	"     last_event_at = $6, due_at = $7,"
	"     last_earn_at = $8, last_redeem_at = $9, last_expire_at = $10, last_adjust_at = $11,"
	"     last_hold_at = $12, last_capture_at = $13, last_transfer_out_at = $14,"
	"     last_transfer_in_at = $15, last_import_at = $16, head_hash = $17"
	" where account_id = $1",
	17, {
		INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BYTEAOID
	}
};
static const AttrNumber account_columns[] = {
	Anum_account_account_id, Anum_account_balance, Anum_account_held, Anum_account_debt,
	Anum_account_last_seq, Anum_account_last_event_at, Anum_account_due_at,
	Anum_account_last_earn_at, Anum_account_last_redeem_at, Anum_account_last_expire_at,
	Anum_account_last_adjust_at, Anum_account_last_hold_at, Anum_account_last_capture_at,
	Anum_account_last_transfer_out_at, Anum_account_last_transfer_in_at,
	Anum_account_last_import_at, Anum_account_head_hash
};

static JifenStatement insert_entries = {
	"insert into jifen.entry select * from new_entry"
};

static JifenStatement insert_allocations = {
	"insert into jifen.allocation select * from new_allocation"
};

static JifenStatement insert_lots = {
	"insert into jifen.lot select * from new_lot"
};

static JifenStatement update_lots = {
	"update jifen.lot l set remaining = c.remaining"
	" from changed_lot c"
	" where l.account_id = c.account_id and l.expires_at = c.expires_at and l.seq = c.seq"
};

/* Of a single lot: the first columns of the table. */
static JifenStatement update_lot = {
	"update jifen.lot set remaining = $4"
	" where account_id = $1 and expires_at = $2 and seq = $3",
	4, {INT8OID, TIMESTAMPTZOID, INT8OID, INT8OID}
};

static JifenStatement delete_lot = {
	"delete from jifen.lot"
	" where account_id = $1 and expires_at = $2 and seq = $3",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};
static const AttrNumber lot_columns[] = {
	Anum_lot_account_id, Anum_lot_expires_at, Anum_lot_seq, Anum_lot_remaining
};

static JifenStatement delete_lots = {
	"delete from jifen.lot l using spent_lot c"
	" where l.account_id = c.account_id and l.expires_at = c.expires_at and l.seq = c.seq"
};

/* In the order of the table; they stay where they are as long as the account is locked. */
static JifenStatement delete_lot_rows = {
	"delete from jifen.lot where ctid = any ($1)",
	1, {TIDARRAYOID}
};

static JifenStatement insert_holds = {
	"insert into jifen.hold select * from new_hold"
};

static JifenStatement delete_holds = {
	"delete from jifen.hold h using ended_hold c"
	" where h.account_id = c.account_id and h.seq = c.seq"
};

static JifenStatement insert_debts = {
	"insert into jifen.debt select * from new_debt"
};

static JifenStatement update_debts = {
	"update jifen.debt d set remaining = c.remaining"
	" from changed_debt c where d.account_id = c.account_id and d.seq = c.seq"
};

static JifenStatement delete_debts = {
	"delete from jifen.debt d using repaid_debt c"
	" where d.account_id = c.account_id and d.seq = c.seq"
};

/*
 * The role that posts, as text: the outer user, since the functions run as
 * the extension's owner.
 */
Datum
jifen_actor(void)
{
	return CStringGetTextDatum(GetUserNameFromId(GetOuterUserId(), false));
}

/* Up to so many rows are written by a statement for each, more by one for all. */
#define FEW_ROWS 3

/* The rows that are to be written to a table, and how. */
typedef struct Rows
{
	const char *table_name;
	int			natts;
	bool		is_new;			/* they are inserted */
	JifenStatement *each;		/* writes a single row; NULL: there is none */
	const AttrNumber *columns;	/* the parameters of that */
	Relation	table;			/* open once there are any */
	uint64		n;
	JifenInsertion *insertion;	/* unless a statement has to */
	Datum	   *few_values;		/* FEW_ROWS at most */
	bool	   *few_nulls;
	Tuplestorestate *rows;		/* all of them, as soon as there are more */
} Rows;

/* Opens the table for writing; its row type must be the one known here. */
static Relation
open_table(const char *name, int natts)
{
	Oid			table_oid = get_relname_relid(name, get_namespace_oid("jifen", false));
	Relation	table = table_open(table_oid, RowExclusiveLock);

	if (RelationGetDescr(table)->natts != natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table jifen.%s is not of the version of the jifen library", name),
				 errhint("Run ALTER EXTENSION jifen UPDATE.")));
	return table;
}

/* What the values point to must last until the rows are written. */
static void
add_row(Rows *rows, Datum *values, bool *nulls)
{
	int			n = (int) rows->n++;

	if (n == 0)
	{
		rows->table = open_table(rows->table_name, rows->natts);
		if (rows->is_new && jifen_can_insert(rows->table))
			rows->insertion = jifen_begin_insertion(rows->table);
		else if (rows->each)
		{
			rows->few_values = palloc(FEW_ROWS * rows->natts * sizeof(Datum));
			rows->few_nulls = palloc(FEW_ROWS * rows->natts * sizeof(bool));
		}
	}
	if (rows->insertion)
	{
		jifen_insert(rows->insertion, values, nulls);
		return;
	}
	if (rows->each && n < FEW_ROWS)
	{
		memcpy(rows->few_values + n * rows->natts, values, rows->natts * sizeof(Datum));
		memcpy(rows->few_nulls + n * rows->natts, nulls, rows->natts * sizeof(bool));
		return;
	}
	if (rows->rows == NULL)
	{
		rows->rows = tuplestore_begin_heap(false, false, work_mem);
		for (int i = 0; i < n; i++)
			tuplestore_putvalues(rows->rows, RelationGetDescr(rows->table),
								 rows->few_values + i * rows->natts,
								 rows->few_nulls + i * rows->natts);
	}
	tuplestore_putvalues(rows->rows, RelationGetDescr(rows->table), values, nulls);
}

/* Runs the statement for a row of few. */
static void
write_row(Rows *rows, const Datum *values, const bool *nulls)
{
	Datum		parameters[JIFEN_MAX_PARAMETERS];
	char		is_null[JIFEN_MAX_PARAMETERS];

	for (int i = 0; i < rows->each->nparameters; i++)
	{
		parameters[i] = values[rows->columns[i] - 1];
		is_null[i] = nulls[rows->columns[i] - 1] ? 'n' : ' ';
	}
	if (jifen_execute(rows->each, parameters, is_null, false, 0) != 1)
		elog(ERROR, "\"%s\" did not write its row", rows->each->sql);
}

/*
 * Runs a statement that writes the rows, which it sees as a relation of that
 * name; it must write each of them.
 */
static void
write_all_rows(Rows *rows, char *name, JifenStatement *statement)
{
	EphemeralNamedRelationData relation = {0};

	relation.md.name = name;
	relation.md.reliddesc = InvalidOid;
	relation.md.tupdesc = RelationGetDescr(rows->table);
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = 1;
	relation.reldata = rows->rows;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation \"%s\"", name);
	if (jifen_execute(statement, NULL, NULL, false, 0) != rows->n)
		elog(ERROR, "\"%s\" did not write all of " UINT64_FORMAT " rows",
			 statement->sql, rows->n);
	SPI_unregister_relation(name);
	tuplestore_end(rows->rows);
}

static void
write_rows(Rows *rows, char *name, JifenStatement *statement)
{
	if (rows->n == 0)
		return;
	if (rows->insertion)
		jifen_end_insertion(rows->insertion);
	else if (rows->rows)
		write_all_rows(rows, name, statement);
	else
	{
		for (uint64 i = 0; i < rows->n; i++)
			write_row(rows, rows->few_values + i * rows->natts, rows->few_nulls + i * rows->natts);
	}
	table_close(rows->table, NoLock);
}

/* Runs a statement that deletes the rows at these places, each of them. */
static void
delete_rows(List *rows, JifenStatement *statement)
{
	Datum	   *places = palloc(list_length(rows) * sizeof(Datum));
	int			n = 0;
	Datum		values[1];
	ListCell   *lc;

	if (rows == NIL)
		return;
	foreach(lc, rows)
		places[n++] = PointerGetDatum(lfirst(lc));
	values[0] = PointerGetDatum(construct_array(places, n, TIDOID, sizeof(ItemPointerData),
												false, TYPALIGN_SHORT));
	if (jifen_execute(statement, values, NULL, false, 0) != (uint64) n)
		elog(ERROR, "\"%s\" did not delete all of %d rows", statement->sql, n);
}

/* A Datum that is null where it is 0: for pass-by-reference types. */
static void
set_optional(Datum *values, bool *nulls, int column, Datum value)
{
	values[column - 1] = value;
	nulls[column - 1] = value == (Datum) 0;
}

static void
set_time(Datum *values, bool *nulls, int column, TimestampTz value)
{
	values[column - 1] = TimestampTzGetDatum(value);
	nulls[column - 1] = value == JIFEN_NO_TIME;
}

/* A number that is null where it is 0. */
static void
set_number(Datum *values, bool *nulls, int column, int64 value)
{
	values[column - 1] = Int64GetDatum(value);
	nulls[column - 1] = value == 0;
}

/* The columns of the journal line; its hash is good once it is chained. */
static void
entry_values(const JifenAccount *account, const JifenEntry *entry, Datum actor,
			 Datum *values, bool *nulls)
{
	static const JifenPosting none = {0};
	const JifenPosting *posting = entry->posting ? entry->posting : &none;
	bool		has_key = entry->is_own && posting->idempotency_key;

	memset(nulls, false, Natts_entry * sizeof(bool));
	values[Anum_entry_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_entry_seq - 1] = Int64GetDatum(entry->seq);
	values[Anum_entry_amount - 1] = PointAmountGetDatum(entry->amount);
	values[Anum_entry_held - 1] = PointAmountGetDatum(entry->held);
	values[Anum_entry_debt - 1] = PointAmountGetDatum(entry->debt);
	values[Anum_entry_balance - 1] = PointAmountGetDatum(entry->balance);
	values[Anum_entry_event_at - 1] = TimestampTzGetDatum(entry->event_at);
	values[Anum_entry_posted_at - 1] =
		TimestampTzGetDatum(Max(GetCurrentTransactionStartTimestamp(), account->program->booked_from));
	set_time(values, nulls, Anum_entry_expires_at, entry->expires_at);
	set_time(values, nulls, Anum_entry_available_at, entry->available_at);
	set_time(values, nulls, Anum_entry_until, entry->until);
	set_time(values, nulls, Anum_entry_issued_at, entry->issued_at);
	set_number(values, nulls, Anum_entry_reverses_seq, entry->reverses_seq);
	set_number(values, nulls, Anum_entry_hold_seq, entry->hold_seq);
	set_number(values, nulls, Anum_entry_debt_seq, entry->debt_seq);
	set_number(values, nulls, Anum_entry_counter_account_id, entry->counter_account_id);
	set_number(values, nulls, Anum_entry_counter_seq, entry->counter_seq);
	values[Anum_entry_qualifying - 1] = PointAmountGetDatum(entry->qualifying);
	nulls[Anum_entry_qualifying - 1] = !entry->has_qualifying;
	values[Anum_entry_given - 1] = Int16GetDatum(posting->given);
	nulls[Anum_entry_given - 1] = !has_key;
	values[Anum_entry_rule_no - 1] = Int16GetDatum(entry->rule ? entry->rule->rule_no : 0);
	nulls[Anum_entry_rule_no - 1] = entry->rule == NULL;
	values[Anum_entry_kind - 1] = CStringGetTextDatum(jifen_kind_name(entry->kind));
	set_optional(values, nulls, Anum_entry_source, entry->source);
	set_optional(values, nulls, Anum_entry_funder, entry->funder);
	set_optional(values, nulls, Anum_entry_partner,
				 entry->is_own ? posting->partner : (Datum) 0);
	set_optional(values, nulls, Anum_entry_reference, posting->reference);
	set_optional(values, nulls, Anum_entry_reason,
				 entry->reason ? CStringGetTextDatum(entry->reason) : posting->reason);
	set_optional(values, nulls, Anum_entry_idempotency_key,
				 has_key ? posting->idempotency_key : (Datum) 0);
	set_optional(values, nulls, Anum_entry_expiry,
				 PointerGetDatum(entry->expiry ? entry->expiry :
								 entry->is_own ? posting->expiry : NULL));
	set_optional(values, nulls, Anum_entry_revenue, entry->revenue);
	set_optional(values, nulls, Anum_entry_details, posting->details);
	values[Anum_entry_actor - 1] = actor;
	values[Anum_entry_hash - 1] = PointerGetDatum(&entry->hash);
}

/* The columns of a value of type jifen.entry. */
void
jifen_deform_entry(HeapTupleHeader entry, Datum *values, bool *nulls)
{
	TupleDesc	descriptor = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(entry),
													HeapTupleHeaderGetTypMod(entry));
	HeapTupleData tuple = {0};

	if (descriptor->natts != Natts_entry)
		elog(ERROR, "entry has %d columns", descriptor->natts);
	tuple.t_len = HeapTupleHeaderGetDatumLength(entry);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = entry;
	heap_deform_tuple(&tuple, descriptor, values, nulls);
	ReleaseTupleDesc(descriptor);
}

/* The entry, once stored, as a value of type jifen.entry, in the caller's memory. */
Datum
jifen_entry_datum(const JifenAccount *account, const JifenEntry *entry)
{
	Relation	table = open_table("entry", Natts_entry);
	Datum		values[Natts_entry];
	bool		nulls[Natts_entry];
	HeapTuple	tuple;
	Datum		result;

	entry_values(account, entry, jifen_actor(), values, nulls);
	tuple = heap_form_tuple(RelationGetDescr(table), values, nulls);
	result = PointerGetDatum(SPI_returntuple(tuple, RelationGetDescr(table)));
	table_close(table, NoLock);
	return result;
}

static void
add_account_row(Rows *rows, const JifenAccount *account)
{
	Datum		values[Natts_account] = {0};
	bool		nulls[Natts_account];

	memset(nulls, true, sizeof(nulls));
#define SET(column, value) \
	(values[(column) - 1] = (value), nulls[(column) - 1] = false)
	SET(Anum_account_account_id, Int64GetDatum(account->account_id));
	SET(Anum_account_balance, PointAmountGetDatum(account->balance));
	SET(Anum_account_held, PointAmountGetDatum(account->held));
	SET(Anum_account_debt, PointAmountGetDatum(account->debt));
	SET(Anum_account_last_seq, Int64GetDatum(account->last_seq));
	SET(Anum_account_head_hash, PointerGetDatum(&account->head_hash));
#undef SET
	set_time(values, nulls, Anum_account_last_event_at, account->last_event_at);
	set_time(values, nulls, Anum_account_due_at, account->due_at);
	for (int i = 0; i < JIFEN_TRACES; i++)
		set_time(values, nulls, Anum_account_last_earn_at + i, account->last_at[i]);
	add_row(rows, values, nulls);
}

static void
add_lot_row(Rows *rows, const JifenAccount *account, const JifenLot *lot)
{
	Datum		values[Natts_lot];
	bool		nulls[Natts_lot] = {false};

	values[Anum_lot_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_lot_expires_at - 1] = TimestampTzGetDatum(lot->expires_at);
	values[Anum_lot_seq - 1] = Int64GetDatum(lot->seq);
	values[Anum_lot_available_at - 1] = TimestampTzGetDatum(lot->available_at);
	values[Anum_lot_remaining - 1] = PointAmountGetDatum(lot->remaining);
	values[Anum_lot_program_id - 1] = Int32GetDatum(account->program->program_id);
	values[Anum_lot_rule_no - 1] = Int16GetDatum(lot->rule ? lot->rule->rule_no : 0);
	nulls[Anum_lot_rule_no - 1] = lot->rule == NULL;
	values[Anum_lot_counts_from - 1] = TimestampTzGetDatum(lot->counts_from);
	nulls[Anum_lot_counts_from - 1] = lot->rule == NULL;
	set_optional(values, nulls, Anum_lot_expiry, PointerGetDatum(lot->rule ? lot->expiry : NULL));
	set_time(values, nulls, Anum_lot_pending_until,
			 lot->available_at > GetCurrentTransactionStartTimestamp() ? lot->available_at : JIFEN_NO_TIME);
	add_row(rows, values, nulls);
}

static void
add_allocation_row(Rows *rows, const JifenAccount *account,
				   const JifenAllocation *allocation)
{
	Datum		values[Natts_allocation];
	bool		nulls[Natts_allocation] = {false};

	values[Anum_allocation_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_allocation_seq - 1] = Int64GetDatum(allocation->seq);
	values[Anum_allocation_lot_seq - 1] = Int64GetDatum(allocation->lot_seq);
	values[Anum_allocation_amount - 1] = PointAmountGetDatum(allocation->amount);
	add_row(rows, values, nulls);
}

static void
add_hold_row(Rows *rows, const JifenAccount *account, const JifenHold *hold)
{
	Datum		values[Natts_hold];
	bool		nulls[Natts_hold] = {false};

	values[Anum_hold_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_hold_seq - 1] = Int64GetDatum(hold->seq);
	values[Anum_hold_until - 1] = TimestampTzGetDatum(hold->until);
	values[Anum_hold_amount - 1] = PointAmountGetDatum(hold->amount);
	values[Anum_hold_program_id - 1] = Int32GetDatum(account->program->program_id);
	add_row(rows, values, nulls);
}

static void
add_debt_row(Rows *rows, const JifenAccount *account, const JifenDebt *debt)
{
	Datum		values[Natts_debt];
	bool		nulls[Natts_debt] = {false};

	values[Anum_debt_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_debt_seq - 1] = Int64GetDatum(debt->seq);
	values[Anum_debt_remaining - 1] = PointAmountGetDatum(debt->remaining);
	add_row(rows, values, nulls);
}

/*
 * Stores what was decided since the last time on the accounts, which the
 * caller has locked: each account updated once, each row written once, table
 * by table.
 */
void
jifen_store(JifenAccount **accounts, int naccounts)
{
	Datum		actor = jifen_actor();
	Rows		changed_accounts = {"account", Natts_account, false, &update_account, account_columns};
	Rows		new_entries = {"entry", Natts_entry, true};
	Rows		new_allocations = {"allocation", Natts_allocation, true};
	Rows		new_lots = {"lot", Natts_lot, true};
	Rows		changed_lots = {"lot", Natts_lot, false, &update_lot, lot_columns};
	Rows		spent_lots = {"lot", Natts_lot, false, &delete_lot, lot_columns};
	List	   *spent_rows = NIL;
	Rows		new_holds = {"hold", Natts_hold, true};
	Rows		ended_holds = {"hold", Natts_hold};
	Rows		new_debts = {"debt", Natts_debt, true};
	Rows		changed_debts = {"debt", Natts_debt};
	Rows		repaid_debts = {"debt", Natts_debt};

	for (int a = 0; a < naccounts; a++)
	{
		JifenAccount *account = accounts[a];

		CHECK_FOR_INTERRUPTS();
		if (account->nstored == account->nentries && account->due_at == account->stored_due_at)
			continue;
		for (int i = account->nstored; i < account->nentries; i++)
		{
			JifenEntry *entry = &account->entries[i];
			Datum		values[Natts_entry];
			bool		nulls[Natts_entry];

			entry_values(account, entry, actor, values, nulls);
			jifen_chain_entry(account, entry, values, nulls);
			add_row(&new_entries, values, nulls);
			for (int x = 0; x < entry->nallocations; x++)
				add_allocation_row(&new_allocations, account,
								   &account->allocations[entry->first_allocation + x]);
		}
		account->nstored = account->nentries;
		account->stored_due_at = account->due_at;
		add_account_row(&changed_accounts, account);
		for (int i = 0; i < account->nlots; i++)
		{
			JifenLot   *lot = &account->lots[i];

			if (lot->remaining == lot->stored)
				continue;
			if (lot->remaining == 0 && ItemPointerIsValid(&lot->row))
				spent_rows = lappend(spent_rows, &lot->row);
			else
				add_lot_row(lot->stored == 0 ? &new_lots :
							lot->remaining == 0 ? &spent_lots : &changed_lots,
							account, lot);
			lot->stored = lot->remaining;
		}
		for (int i = 0; i < account->nholds; i++)
		{
			JifenHold  *hold = &account->holds[i];

			if (hold->amount == hold->stored)
				continue;
			add_hold_row(hold->stored == 0 ? &new_holds : &ended_holds, account, hold);
			hold->stored = hold->amount;
		}
		for (int i = 0; i < account->ndebts; i++)
		{
			JifenDebt  *debt = &account->debts[i];

			if (debt->remaining == debt->stored)
				continue;
			add_debt_row(debt->stored == 0 ? &new_debts :
						 debt->remaining == 0 ? &repaid_debts : &changed_debts,
						 account, debt);
			debt->stored = debt->remaining;
		}
	}

	write_rows(&changed_accounts, "changed_account", &update_accounts);
	write_rows(&new_entries, "new_entry", &insert_entries);
	write_rows(&new_allocations, "new_allocation", &insert_allocations);
	delete_rows(spent_rows, &delete_lot_rows);
	write_rows(&spent_lots, "spent_lot", &delete_lots);
	write_rows(&changed_lots, "changed_lot", &update_lots);
	write_rows(&new_lots, "new_lot", &insert_lots);
	write_rows(&new_holds, "new_hold", &insert_holds);
	write_rows(&ended_holds, "ended_hold", &delete_holds);
	write_rows(&new_debts, "new_debt", &insert_debts);
	write_rows(&changed_debts, "changed_debt", &update_debts);
	write_rows(&repaid_debts, "repaid_debt", &delete_debts);
}
