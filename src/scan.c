/*
 * scan.c
 *	  Finds rows by an index, locks them and reads their columns, without a
 *	  statement.
 *
 * To start and end a plan for a row or two takes several times as long as to
 * find them.  What every posting and every reading looks up is found here; what
 * takes joins is left to statements (plan.c).
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "posting.h"
#include "scan.h"

/* Opens the table; its row type must be the one known in tables.h. */
Relation
jifen_open_table(const char *name, int natts, LOCKMODE mode)
{
	Oid			table_oid = get_relname_relid(name, get_namespace_oid("jifen", false));
	Relation	table = table_open(table_oid, mode);

	if (RelationGetDescr(table)->natts != natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table jifen.%s is not of the version of the jifen library", name),
				 errhint("Run ALTER EXTENSION jifen UPDATE.")));
	return table;
}

/*
 * Opens the index.  One that is being replaced concurrently is found to be not
 * valid any more; by then its name is that of the new one.
 */
static Relation
open_index(const char *name, Oid schema)
{
	for (int attempt = 0;; attempt++)
	{
		Oid			index_oid = get_relname_relid(name, schema);
		Relation	index;

		if (!OidIsValid(index_oid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index jifen.%s is missing", name),
					 errdetail("Postings and balances are found by it."),
					 errhint("Create it as the extension's script does.")));
		index = index_open(index_oid, AccessShareLock);
		if (index->rd_index->indisvalid)
			return index;
		index_close(index, NoLock);
		if (attempt > 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("index jifen.%s is not valid", name),
					 errdetail("Postings and balances are found by it."),
					 errhint("Run REINDEX INDEX jifen.%s.", name)));
	}
}

/*
 * Begins a scan of the table by that index: read-only, with the snapshot of the
 * calling query, else with the transaction's, which under READ COMMITTED is
 * taken now; it sees what this transaction has written.  Keys are set next, then
 * rows are asked for.
 *
 * A scan that is not read-only takes the lock of writing at once: with a weaker
 * one, whoever rebuilds an index while a posting waits for an account would wait
 * for the posting, and the posting, once it writes, for them.
 */
void
jifen_begin_scan(JifenScan *scan, const char *table, int natts, const char *index, bool read_only)
{
	memset(scan, 0, sizeof(*scan));
	if (!read_only)
		PreventCommandIfReadOnly("SELECT FOR NO KEY UPDATE");
	scan->table = jifen_open_table(table, natts, read_only ? AccessShareLock : RowExclusiveLock);
	scan->index = open_index(index, RelationGetNamespace(scan->table));
	scan->slot = table_slot_create(scan->table, NULL);
	scan->snapshot = RegisterSnapshot(read_only ? GetActiveSnapshot() : GetTransactionSnapshot());
}

/*
 * Adds a condition on a column of the index, from 1, or gives the one that is
 * there another value; rows are found anew.
 */
void
jifen_set_key(JifenScan *scan, int column, StrategyNumber strategy, Datum value)
{
	Oid			type = scan->index->rd_opcintype[column - 1];
	Oid			operator;

	scan->is_under_way = false;
	for (int i = 0; i < scan->nkeys; i++)
	{
		if (scan->keys[i].sk_attno == column && scan->keys[i].sk_strategy == strategy)
		{
			scan->keys[i].sk_argument = value;
			return;
		}
	}
	Assert(scan->nkeys < JIFEN_MAX_SCAN_KEYS);
	operator = get_opfamily_member(scan->index->rd_opfamily[column - 1], type, type, strategy);
	ScanKeyEntryInitialize(&scan->keys[scan->nkeys++], 0, (AttrNumber) column, strategy, type,
						   scan->index->rd_indcollation[column - 1], get_opcode(operator), value);
}

/* The next row, in the order of the index; false: there is none. */
bool
jifen_next_row(JifenScan *scan)
{
	if (scan->scan == NULL)
		scan->scan = jifen_index_beginscan(scan->table, scan->index, scan->snapshot, scan->nkeys);
	if (!scan->is_under_way)
		index_rescan(scan->scan, scan->keys, scan->nkeys, NULL, 0);
	scan->is_under_way = true;
	return index_getnext_slot(scan->scan, ForwardScanDirection, scan->slot);
}

/* No page stays pinned while others are waited for. */
static void
forget_row(JifenScan *scan)
{
	ExecClearTuple(scan->slot);
	if (scan->scan)
		table_index_fetch_reset(scan->scan->xs_heapfetch);
}

/* Tries to lock the row there, or waits for who holds it. */
static TM_Result
lock_row(JifenScan *scan, const ItemPointerData *row, LockWaitPolicy policy)
{
	TM_FailureData failure;
	ItemPointerData place = *row;

	forget_row(scan);
	return table_tuple_lock(scan->table, &place, scan->snapshot, scan->slot,
							GetCurrentCommandId(false), LockTupleNoKeyExclusive, policy,
							IsolationUsesXactSnapshot() ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION,
							&failure);
}

/*
 * Waits for who holds the row, and nobody but the first in the queue of that
 * number does so.  Without a queue all wait for the same writer, wake up at once
 * and have to wait for the first one's version of the row anew.
 */
static TM_Result
lock_row_in_turn(JifenScan *scan, const ItemPointerData *row, int64 queue)
{
	LOCKTAG		tag;
	TM_Result	result;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationGetRelid(scan->table), (Oid) queue,
					   (uint16) (queue >> 32));
	forget_row(scan);
	LockAcquire(&tag, ExclusiveLock, false, false);
	result = lock_row(scan, row, LockWaitBlock);
	LockRelease(&tag, ExclusiveLock, false);
	return result;
}

/*
 * Locks the row there, whose number it has in the table, FOR NO KEY UPDATE,
 * waiting for others unless it is to be skipped; it becomes the row at hand,
 * under READ COMMITTED as its latest writer left it.  False: it is gone, or
 * locked.
 */
bool
jifen_lock_row(JifenScan *scan, const ItemPointerData *row, int64 number, bool skip_locked)
{
	TM_Result	result = lock_row(scan, row, LockWaitSkip);

	if (result == TM_WouldBlock && !skip_locked)
		result = lock_row_in_turn(scan, row, number);
	switch (result)
	{
		case TM_Ok:
			return true;
		case TM_WouldBlock:
			return false;
		case TM_Updated:
		case TM_Deleted:
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent %s",
								result == TM_Updated ? "update" : "delete")));
			return false;
		default:
			elog(ERROR, "could not lock a row of \"%s\": result %d",
				 RelationGetRelationName(scan->table), result);
	}
}

void
jifen_end_scan(JifenScan *scan)
{
	if (scan->scan)
		index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	UnregisterSnapshot(scan->snapshot);
	index_close(scan->index, NoLock);
	table_close(scan->table, NoLock);
}

Datum
jifen_row_datum(JifenScan *scan, AttrNumber column)
{
	bool		is_null;
	Datum		value = slot_getattr(scan->slot, column, &is_null);

	return is_null ? (Datum) 0 : value;
}

int64
jifen_row_int64(JifenScan *scan, AttrNumber column)
{
	bool		is_null;
	Datum		value = slot_getattr(scan->slot, column, &is_null);

	return is_null ? 0 : DatumGetInt64(value);
}

TimestampTz
jifen_row_time(JifenScan *scan, AttrNumber column)
{
	bool		is_null;
	Datum		value = slot_getattr(scan->slot, column, &is_null);

	return is_null ? JIFEN_NO_TIME : DatumGetTimestampTz(value);
}

/* A value of variable length in memory of its own, neither compressed nor out of line; 0 stays 0. */
Datum
jifen_copy_value(Datum value)
{
	struct varlena *plain;

	if (value == (Datum) 0)
		return value;
	plain = PG_DETOAST_DATUM_PACKED(value);
	return plain == (struct varlena *) DatumGetPointer(value) ? datumCopy(value, false, -1) :
		PointerGetDatum(plain);
}

/* The same of a column of the row at hand. */
Datum
jifen_row_copy(JifenScan *scan, AttrNumber column)
{
	return jifen_copy_value(jifen_row_datum(scan, column));
}

static int
compare_bytes(const char *a, int length, const char *b, int other_length)
{
	int			result = memcmp(a, b, Min(length, other_length));

	return result != 0 ? result : length - other_length;
}

/* Texts by their bytes. */
int
jifen_compare_texts(Datum a, Datum b)
{
	const text *first = DatumGetTextPP(a);
	const text *second = DatumGetTextPP(b);

	return compare_bytes(VARDATA_ANY(first), VARSIZE_ANY_EXHDR(first),
						 VARDATA_ANY(second), VARSIZE_ANY_EXHDR(second));
}

/* A string and a text, the same. */
int
jifen_compare_string(const char *a, Datum b)
{
	const text *second = DatumGetTextPP(b);

	return compare_bytes(a, strlen(a), VARDATA_ANY(second), VARSIZE_ANY_EXHDR(second));
}
