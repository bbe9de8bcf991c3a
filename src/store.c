/*
 * store.c
 *	  Stores what was decided on accounts.
 *
 * Rows are written without statements (write.c) where nothing but their table
 * wants to know, else all of a kind by one, which sees them as a transient
 * relation.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "chain.h"
#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tables.h"
#include "write.h"

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

/* The rows of a table that are to be written in the same way. */
typedef struct Rows
{
	const char *table_name;
	int			natts;
	CmdType		event;
	const char *key;			/* the index of its primary key */
	int			nkeys;			/* which is its first columns */
	JifenStatement *statement;	/* writes them where a writer may not */
	char	   *name;			/* by which that sees them */
	Relation	table;			/* open once there are any */
	uint64		n;
	JifenWriter *writer;		/* unless the statement has to */
	Tuplestorestate *rows;		/* for the statement */
	JifenScan  *finder;			/* of rows whose place is not known */
} Rows;

static void
begin_rows(Rows *rows)
{
	if (rows->n++ > 0)
		return;
	rows->table = jifen_open_table(rows->table_name, rows->natts, RowExclusiveLock);
	if (jifen_can_write(rows->table, rows->event))
		rows->writer = jifen_begin_writing(rows->table, rows->event, rows->nkeys);
	else
		rows->rows = tuplestore_begin_heap(false, false, work_mem);
}

/* Finds the place of the row that has the key in values, unless it is known. */
static void
find_place(Rows *rows, const Datum *values, ItemPointer place)
{
	if (ItemPointerIsValid(place))
		return;
	if (rows->finder == NULL)
	{
		rows->finder = palloc(sizeof(JifenScan));
		jifen_begin_scan(rows->finder, rows->table_name, rows->natts, rows->key, false);
	}
	for (int i = 0; i < rows->nkeys; i++)
		jifen_set_key(rows->finder, i + 1, BTEqualStrategyNumber, values[i]);
	if (!jifen_next_row(rows->finder))
		elog(ERROR, "a row of \"%s\" is missing", rows->table_name);
	*place = rows->finder->slot->tts_tid;
}

static void
insert_row(Rows *rows, Datum *values, bool *nulls)
{
	begin_rows(rows);
	if (rows->writer)
		jifen_insert(rows->writer, values, nulls);
	else
		tuplestore_putvalues(rows->rows, RelationGetDescr(rows->table), values, nulls);
}

/*
 * Changes the columns that replaces names.  Place is the row's, invalid where it
 * is not known, and afterwards that of the changed row, by the same token.
 */
static void
update_row(Rows *rows, ItemPointer place, Datum *values, bool *nulls, bool *replaces)
{
	begin_rows(rows);
	if (rows->writer)
	{
		find_place(rows, values, place);
		jifen_update(rows->writer, place, values, nulls, replaces);
		return;
	}
	tuplestore_putvalues(rows->rows, RelationGetDescr(rows->table), values, nulls);
	ItemPointerSetInvalid(place);
}

/* Removes the row; place is as in update_row(), invalid afterwards. */
static void
delete_row(Rows *rows, ItemPointer place, Datum *values, bool *nulls)
{
	begin_rows(rows);
	if (rows->writer)
	{
		find_place(rows, values, place);
		jifen_delete(rows->writer, place, values);
	}
	else
		tuplestore_putvalues(rows->rows, RelationGetDescr(rows->table), values, nulls);
	ItemPointerSetInvalid(place);
}

/* Runs the statement that writes the rows; it must write each of them. */
static void
run_statement(Rows *rows)
{
	EphemeralNamedRelationData relation = {0};

	relation.md.name = rows->name;
	relation.md.reliddesc = InvalidOid;
	relation.md.tupdesc = RelationGetDescr(rows->table);
	relation.md.enrtype = ENR_NAMED_TUPLESTORE;
	relation.md.enrtuples = 1;
	relation.reldata = rows->rows;
	if (SPI_register_relation(&relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "could not register relation \"%s\"", rows->name);
	if (jifen_execute(rows->statement, NULL, NULL, false, 0) != rows->n)
		elog(ERROR, "\"%s\" did not write all of " UINT64_FORMAT " rows",
			 rows->statement->sql, rows->n);
	SPI_unregister_relation(rows->name);
	tuplestore_end(rows->rows);
}

static void
end_rows(Rows *rows)
{
	if (rows->n == 0)
		return;
	if (rows->finder)
	{
		jifen_end_scan(rows->finder);
		pfree(rows->finder);
	}
	if (rows->writer)
		jifen_end_writing(rows->writer);
	else
		run_statement(rows);
	table_close(rows->table, NoLock);
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
	Relation	table = jifen_open_table("entry", Natts_entry, AccessShareLock);
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

/* What postings change of an account. */
static bool account_changes[Natts_account] = {
	[Anum_account_balance - 1] = true,
	[Anum_account_held - 1] = true,
	[Anum_account_debt - 1] = true,
	[Anum_account_last_seq - 1] = true,
	[Anum_account_last_event_at - 1] = true,
	[Anum_account_due_at - 1] = true,
	[Anum_account_last_earn_at - 1] = true,
	[Anum_account_last_redeem_at - 1] = true,
	[Anum_account_last_expire_at - 1] = true,
	[Anum_account_last_adjust_at - 1] = true,
	[Anum_account_last_hold_at - 1] = true,
	[Anum_account_last_capture_at - 1] = true,
	[Anum_account_last_transfer_out_at - 1] = true,
	[Anum_account_last_transfer_in_at - 1] = true,
	[Anum_account_last_import_at - 1] = true,
	[Anum_account_head_hash - 1] = true,
};

static bool lot_changes[Natts_lot] = {
	[Anum_lot_remaining - 1] = true,
};

static bool debt_changes[Natts_debt] = {
	[Anum_debt_remaining - 1] = true,
};

static void
update_account(Rows *rows, JifenAccount *account)
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
		set_time(values, nulls, Anum_account_last_earn_at - i, account->last_at[i]);
	update_row(rows, &account->row, values, nulls, account_changes);
}

static void
insert_allocation(Rows *rows, const JifenAccount *account, const JifenAllocation *allocation)
{
	Datum		values[Natts_allocation];
	bool		nulls[Natts_allocation] = {false};

	values[Anum_allocation_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_allocation_seq - 1] = Int64GetDatum(allocation->seq);
	values[Anum_allocation_lot_seq - 1] = Int64GetDatum(allocation->lot_seq);
	values[Anum_allocation_amount - 1] = PointAmountGetDatum(allocation->amount);
	insert_row(rows, values, nulls);
}

/* The rows of one table, of which some are new, some change and some go. */
typedef struct Table
{
	Rows		added;
	Rows		changed;
	Rows		removed;
} Table;

static void
store_lot(Table *lots, const JifenAccount *account, JifenLot *lot)
{
	Datum		values[Natts_lot];
	bool		nulls[Natts_lot] = {false};

	if (lot->remaining == lot->stored)
		return;
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
	if (lot->stored == 0)
		insert_row(&lots->added, values, nulls);
	else if (lot->remaining == 0)
		delete_row(&lots->removed, &lot->row, values, nulls);
	else
		update_row(&lots->changed, &lot->row, values, nulls, lot_changes);
	lot->stored = lot->remaining;
}

static void
store_hold(Table *holds, const JifenAccount *account, JifenHold *hold)
{
	Datum		values[Natts_hold];
	bool		nulls[Natts_hold] = {false};
	ItemPointerData place;

	if (hold->amount == hold->stored)
		return;
	ItemPointerSetInvalid(&place);
	values[Anum_hold_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_hold_seq - 1] = Int64GetDatum(hold->seq);
	values[Anum_hold_until - 1] = TimestampTzGetDatum(hold->until);
	values[Anum_hold_amount - 1] = PointAmountGetDatum(hold->amount);
	values[Anum_hold_program_id - 1] = Int32GetDatum(account->program->program_id);
	if (hold->stored == 0)
		insert_row(&holds->added, values, nulls);
	else
		delete_row(&holds->removed, &place, values, nulls);
	hold->stored = hold->amount;
}

static void
store_debt(Table *debts, const JifenAccount *account, JifenDebt *debt)
{
	Datum		values[Natts_debt];
	bool		nulls[Natts_debt] = {false};
	ItemPointerData place;

	if (debt->remaining == debt->stored)
		return;
	ItemPointerSetInvalid(&place);
	values[Anum_debt_account_id - 1] = Int64GetDatum(account->account_id);
	values[Anum_debt_seq - 1] = Int64GetDatum(debt->seq);
	values[Anum_debt_remaining - 1] = PointAmountGetDatum(debt->remaining);
	if (debt->stored == 0)
		insert_row(&debts->added, values, nulls);
	else if (debt->remaining == 0)
		delete_row(&debts->removed, &place, values, nulls);
	else
		update_row(&debts->changed, &place, values, nulls, debt_changes);
	debt->stored = debt->remaining;
}

static void
end_table(Table *table)
{
	end_rows(&table->removed);
	end_rows(&table->changed);
	end_rows(&table->added);
}

/*
 * Stores what was decided since the last time on the accounts, which the
 * caller has locked: each account updated once, each row written once.
 */
void
jifen_store(JifenAccount **accounts, int naccounts)
{
	Datum		actor = jifen_actor();
	pg_cryptohash_ctx *hashing = jifen_begin_hashing();
	Table		of_accounts = {
		.changed = {"account", Natts_account, CMD_UPDATE, "account_pkey", 1, &update_accounts, "changed_account"}
	};
	Table		of_entries = {
		.added = {"entry", Natts_entry, CMD_INSERT, NULL, 0, &insert_entries, "new_entry"}
	};
	Table		of_allocations = {
		.added = {"allocation", Natts_allocation, CMD_INSERT, NULL, 0, &insert_allocations, "new_allocation"}
	};
	Table		of_lots = {
		{"lot", Natts_lot, CMD_INSERT, NULL, 0, &insert_lots, "new_lot"},
		{"lot", Natts_lot, CMD_UPDATE, "lot_pkey", 3, &update_lots, "changed_lot"},
		{"lot", Natts_lot, CMD_DELETE, "lot_pkey", 3, &delete_lots, "spent_lot"}
	};
	Table		of_holds = {
		.added = {"hold", Natts_hold, CMD_INSERT, NULL, 0, &insert_holds, "new_hold"},
		.removed = {"hold", Natts_hold, CMD_DELETE, "hold_pkey", 2, &delete_holds, "ended_hold"}
	};
	Table		of_debts = {
		{"debt", Natts_debt, CMD_INSERT, NULL, 0, &insert_debts, "new_debt"},
		{"debt", Natts_debt, CMD_UPDATE, "debt_pkey", 2, &update_debts, "changed_debt"},
		{"debt", Natts_debt, CMD_DELETE, "debt_pkey", 2, &delete_debts, "repaid_debt"}
	};

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
			jifen_chain_entry(hashing, account, entry, values, nulls);
			insert_row(&of_entries.added, values, nulls);
			for (int x = 0; x < entry->nallocations; x++)
				insert_allocation(&of_allocations.added, account,
								  &account->allocations[entry->first_allocation + x]);
		}
		account->nstored = account->nentries;
		account->stored_due_at = account->due_at;
		update_account(&of_accounts.changed, account);
		for (int i = 0; i < account->nlots; i++)
			store_lot(&of_lots, account, &account->lots[i]);
		for (int i = 0; i < account->nholds; i++)
			store_hold(&of_holds, account, &account->holds[i]);
		for (int i = 0; i < account->ndebts; i++)
			store_debt(&of_debts, account, &account->debts[i]);
	}
	jifen_end_hashing(hashing);
	end_table(&of_accounts);
	end_table(&of_lots);
	end_table(&of_holds);
	end_table(&of_debts);
	end_table(&of_allocations);
	/* Last, so that a trigger of entry finds all that belongs to it. */
	end_table(&of_entries);
	CommandCounterIncrement();
}
