/*
 * store.c
 *	  Stores what was decided on accounts.
 *
 * The rows are handed to the statements that write them as transient
 * relations, one row or ten thousand alike.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "plan.h"
#include "storage.h"

/* The columns of the tables that are written, as in sql/. */
enum
{
	Anum_account_account_id = 1,
	Anum_account_balance,
	Anum_account_held,
	Anum_account_last_seq,
	Anum_account_last_activity_at,
	Anum_account_last_event_at,
	Anum_account_opened_at,
	Anum_account_program_id,
	Anum_account_status,
	Anum_account_member,
	Natts_account = Anum_account_member
};

enum
{
	Anum_entry_account_id = 1,
	Anum_entry_seq,
	Anum_entry_amount,
	Anum_entry_held,
	Anum_entry_balance,
	Anum_entry_event_at,
	Anum_entry_posted_at,
	Anum_entry_expires_at,
	Anum_entry_available_at,
	Anum_entry_reverses_seq,
	Anum_entry_qualifying,
	Anum_entry_kind,
	Anum_entry_source,
	Anum_entry_reference,
	Anum_entry_reason,
	Anum_entry_revenue,
	Anum_entry_details,
	Anum_entry_actor,
	Natts_entry = Anum_entry_actor
};

enum
{
	Anum_lot_account_id = 1,
	Anum_lot_expires_at,
	Anum_lot_seq,
	Anum_lot_available_at,
	Anum_lot_remaining,
	Anum_lot_program_id,
	Natts_lot = Anum_lot_program_id
};

enum
{
	Anum_allocation_account_id = 1,
	Anum_allocation_seq,
	Anum_allocation_lot_seq,
	Anum_allocation_amount,
	Natts_allocation = Anum_allocation_amount
};

static JifenStatement update_accounts = {
	"update jifen.account a"
	" set balance = c.balance, held = c.held, last_seq = c.last_seq,"
	"     last_activity_at = c.last_activity_at, last_event_at = c.last_event_at"
	" from changed_account c where a.account_id = c.account_id"
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

static JifenStatement delete_lots = {
	"delete from jifen.lot l using spent_lot c"
	" where l.account_id = c.account_id and l.expires_at = c.expires_at and l.seq = c.seq"
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

/* A table together with the rows that are to be written to it. */
typedef struct Rows
{
	Relation	table;
	Tuplestorestate *rows;
	uint64		n;
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

static void
add_row(Rows *rows, Datum *values, bool *nulls)
{
	if (rows->rows == NULL)
		rows->rows = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_putvalues(rows->rows, RelationGetDescr(rows->table), values, nulls);
	rows->n++;
}

/*
 * Runs a statement that writes the rows, which it sees as a relation of that
 * name; it must write each of them.
 */
static void
write_rows(Rows *rows, char *name, JifenStatement *statement)
{
	EphemeralNamedRelationData relation = {0};

	if (rows->n == 0)
		return;
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

/* The columns of the journal line. */
static void
entry_values(const JifenAccount *account, const JifenEntry *entry,
			 Datum *values, bool *nulls)
{
	static const JifenPosting none = {0};
	const JifenPosting *posting = entry->posting ? entry->posting : &none;

	memset(nulls, false, Natts_entry * sizeof(bool));
	values[Anum_entry_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_entry_seq - 1] = Int64GetDatum(entry->seq);
	values[Anum_entry_amount - 1] = PointAmountGetDatum(entry->amount);
	values[Anum_entry_held - 1] = PointAmountGetDatum(0);
	values[Anum_entry_balance - 1] = PointAmountGetDatum(entry->balance);
	values[Anum_entry_event_at - 1] = TimestampTzGetDatum(entry->event_at);
	values[Anum_entry_posted_at - 1] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	set_time(values, nulls, Anum_entry_expires_at, entry->expires_at);
	set_time(values, nulls, Anum_entry_available_at, entry->available_at);
	values[Anum_entry_reverses_seq - 1] = Int64GetDatum(entry->reverses_seq);
	nulls[Anum_entry_reverses_seq - 1] = entry->reverses_seq == 0;
	values[Anum_entry_qualifying - 1] = PointAmountGetDatum(entry->qualifying);
	nulls[Anum_entry_qualifying - 1] = !entry->has_qualifying;
	values[Anum_entry_kind - 1] = CStringGetTextDatum(jifen_kind_name(entry->kind));
	set_optional(values, nulls, Anum_entry_source, posting->source);
	set_optional(values, nulls, Anum_entry_reference, posting->reference);
	set_optional(values, nulls, Anum_entry_reason, posting->reason);
	set_optional(values, nulls, Anum_entry_revenue, posting->revenue);
	set_optional(values, nulls, Anum_entry_details, posting->details);
	values[Anum_entry_actor - 1] = jifen_actor();
}

/* The entry as a value of type jifen.entry, in the caller's memory. */
Datum
jifen_entry_datum(const JifenAccount *account, const JifenEntry *entry)
{
	Relation	table = open_table("entry", Natts_entry);
	Datum		values[Natts_entry];
	bool		nulls[Natts_entry];
	HeapTuple	tuple;
	Datum		result;

	entry_values(account, entry, values, nulls);
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
	SET(Anum_account_last_seq, Int64GetDatum(account->last_seq));
#undef SET
	set_time(values, nulls, Anum_account_last_activity_at, account->last_activity_at);
	set_time(values, nulls, Anum_account_last_event_at, account->last_event_at);
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

/*
 * Stores what was decided on the accounts, which the caller has locked: each
 * account updated once, each row written once, a statement for each table and
 * kind of change.
 */
void
jifen_store(JifenAccount **accounts, int naccounts)
{
	Relation	account_table = open_table("account", Natts_account);
	Relation	entry_table = open_table("entry", Natts_entry);
	Relation	lot_table = open_table("lot", Natts_lot);
	Relation	allocation_table = open_table("allocation", Natts_allocation);
	Rows		changed_accounts = {account_table};
	Rows		new_entries = {entry_table};
	Rows		new_allocations = {allocation_table};
	Rows		new_lots = {lot_table};
	Rows		changed_lots = {lot_table};
	Rows		spent_lots = {lot_table};

	for (int a = 0; a < naccounts; a++)
	{
		const JifenAccount *account = accounts[a];

		CHECK_FOR_INTERRUPTS();
		if (account->nentries == 0)
			continue;
		add_account_row(&changed_accounts, account);
		for (int i = 0; i < account->nentries; i++)
		{
			Datum		values[Natts_entry];
			bool		nulls[Natts_entry];

			entry_values(account, &account->entries[i], values, nulls);
			add_row(&new_entries, values, nulls);
		}
		for (int i = 0; i < account->nallocations; i++)
			add_allocation_row(&new_allocations, account, &account->allocations[i]);
		for (int i = 0; i < account->nlots; i++)
		{
			const JifenLot *lot = &account->lots[i];

			if (lot->remaining == lot->stored)
				continue;
			add_lot_row(lot->stored == 0 ? &new_lots :
						lot->remaining == 0 ? &spent_lots : &changed_lots,
						account, lot);
		}
	}

	write_rows(&changed_accounts, "changed_account", &update_accounts);
	write_rows(&new_entries, "new_entry", &insert_entries);
	write_rows(&new_allocations, "new_allocation", &insert_allocations);
	write_rows(&spent_lots, "spent_lot", &delete_lots);
	write_rows(&changed_lots, "changed_lot", &update_lots);
	write_rows(&new_lots, "new_lot", &insert_lots);

	table_close(allocation_table, NoLock);
	table_close(lot_table, NoLock);
	table_close(entry_table, NoLock);
	table_close(account_table, NoLock);
}
