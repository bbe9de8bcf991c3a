/*
 * write.c
 *	  Writes rows of a table without a statement: adds them, many at a time, as
 *	  COPY does, and changes or removes those whose place is known.
 *
 * To start and end a plan takes several times as long as to write a row.
 * Constraints and indexes are seen to all the same; a table on which somebody
 * has put triggers for what is written, rules, or policies that are forced upon
 * its owner is left to a statement.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "compat.h"
#include "write.h"

/* Some pages full of rows. */
#define MAX_BUFFERED 256

/*
 * The checks of a table's constraints, and the predicates and expressions of
 * its indexes, ready to run.  To make them for each writing would take a tenth
 * of an earn's time and more.  Kept are only those that do not change with
 * anything but their table, and that keep nothing of the writing that runs them.
 */
typedef struct Expressions
{
	Oid			table_oid;
	bool		is_valid;		/* the table has not changed since */
	MemoryContext context;		/* NULL: they have not been made */
	int			nusers;			/* writings that may run them */
	ExprState **checks;
	int			nindexes;
	Oid		   *index_oids;
	ExprState **predicates;		/* of each index, NULL: none */
	List	  **columns;		/* its expressions, NIL: none */
} Expressions;

/* More than there are tables to which rows are written. */
#define MAX_EXPRESSIONS 8

static Expressions all_expressions[MAX_EXPRESSIONS];

struct JifenWriter
{
	Relation	table;
	int			nkeys;			/* columns of its key, the first ones */
	EState	   *estate;
	ResultRelInfo *target;
	bool		has_indexes;	/* they are open */
	int			nslots;
	int			nbuffered;
	TupleTableSlot *slots[MAX_BUFFERED];	/* nslots are made */
	TupleTableSlot *old;		/* of an update */
};

/* Whether a trigger of the table is for the event. */
static bool
has_triggers(const TriggerDesc *triggers, CmdType event)
{
	if (triggers == NULL)
		return false;
	switch (event)
	{
		case CMD_INSERT:
			return triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
				triggers->trig_insert_instead_row || triggers->trig_insert_before_statement ||
				triggers->trig_insert_after_statement;
		case CMD_UPDATE:
			return triggers->trig_update_before_row || triggers->trig_update_after_row ||
				triggers->trig_update_instead_row || triggers->trig_update_before_statement ||
				triggers->trig_update_after_statement;
		default:
			return triggers->trig_delete_before_row || triggers->trig_delete_after_row ||
				triggers->trig_delete_instead_row || triggers->trig_delete_before_statement ||
				triggers->trig_delete_after_statement;
	}
}

/* Whether all that such a writing sets off is known here. */
bool
jifen_can_write(Relation table, CmdType event)
{
	return table->rd_rel->relkind == RELKIND_RELATION &&
		table->rd_rules == NULL && !table->rd_rel->relforcerowsecurity &&
		!has_triggers(table->trigdesc, event);
}

static bool
are_ready(const Expressions *expressions)
{
	return expressions->is_valid && expressions->context;
}

/* The expressions of the table or, if there are none, room for them; NULL: none. */
static Expressions *
find_expressions(Oid table_oid)
{
	Expressions *unused = NULL;

	for (int i = 0; i < MAX_EXPRESSIONS; i++)
	{
		Expressions *expressions = &all_expressions[i];

		if (!are_ready(expressions))
			unused = expressions->nusers == 0 ? expressions : unused;
		else if (expressions->table_oid == table_oid)
			return expressions;
	}
	return unused;
}

static void
forget_expressions(Datum unused, Oid table_oid)
{
	for (int i = 0; i < MAX_EXPRESSIONS; i++)
	{
		if (table_oid == InvalidOid || all_expressions[i].table_oid == table_oid)
			all_expressions[i].is_valid = false;
	}
}

static void
forget_all_expressions(Datum unused, int cache, uint32 hash)
{
	forget_expressions(unused, InvalidOid);
}

/* Whether the function is no compiled code, as the server's own and ours are. */
static bool
is_not_compiled(Oid function, void *unused)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			language = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
		ReleaseSysCache(tuple);
	}
	return language != INTERNALlanguageId && language != ClanguageId;
}

/*
 * Whether the expression changes with more than its table (a function that is
 * replaced, a domain that is altered), or keeps a row type of the one who runs
 * it, as whole rows do.
 */
static bool
is_fleeting(Node *node, void *unused)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceToDomain) || IsA(node, RowExpr) || IsA(node, ConvertRowtypeExpr) || IsA(node, FieldSelect) ||
		(IsA(node, Var) && ((Var *) node)->varattno == 0) ||
		check_functions_in_node(node, is_not_compiled, unused))
		return true;
	return expression_tree_walker(node, is_fleeting, unused);
}

/* Whether none of the table's expressions is. */
static bool
are_lasting(Relation table)
{
	TupleConstr *constraints = RelationGetDescr(table)->constr;
	List	   *index_oids = RelationGetIndexList(table);
	bool		result = true;
	ListCell   *lc;

	for (int i = 0; constraints && i < constraints->num_check; i++)
		result = result && !is_fleeting(stringToNode(constraints->check[i].ccbin), NULL);
	foreach(lc, index_oids)
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);

		result = result && !is_fleeting((Node *) RelationGetIndexPredicate(index), NULL) &&
			!is_fleeting((Node *) RelationGetIndexExpressions(index), NULL);
		index_close(index, NoLock);
	}
	return result;
}

static void
make_checks(Expressions *expressions, Relation table, EState *estate)
{
	TupleConstr *constraints = RelationGetDescr(table)->constr;

	if (constraints == NULL || constraints->num_check == 0)
		return;
	expressions->checks = palloc0(constraints->num_check * sizeof(ExprState *));
	for (int i = 0; i < constraints->num_check; i++)
	{
		if (jifen_is_enforced(&constraints->check[i]))
			expressions->checks[i] =
				ExecPrepareExpr(stringToNode(constraints->check[i].ccbin), estate);
	}
}

static void
make_index_expressions(Expressions *expressions, Relation table, EState *estate)
{
	List	   *index_oids = RelationGetIndexList(table);
	ListCell   *lc;

	expressions->index_oids = palloc(list_length(index_oids) * sizeof(Oid));
	expressions->predicates = palloc0(list_length(index_oids) * sizeof(ExprState *));
	expressions->columns = palloc0(list_length(index_oids) * sizeof(List *));
	foreach(lc, index_oids)
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);
		int			i = expressions->nindexes++;

		expressions->index_oids[i] = lfirst_oid(lc);
		expressions->predicates[i] = ExecPrepareQual(RelationGetIndexPredicate(index), estate);
		expressions->columns[i] = ExecPrepareExprList(RelationGetIndexExpressions(index), estate);
		index_close(index, NoLock);
	}
}

static void
make_expressions(Expressions *expressions, Relation table)
{
	static bool is_registered = false;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jifen expressions",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EState	   *estate = CreateExecutorState();

	if (!is_registered)
	{
		CacheRegisterRelcacheCallback(forget_expressions, (Datum) 0);
		CacheRegisterSyscacheCallback(PROCOID, forget_all_expressions, (Datum) 0);
	}
	is_registered = true;
	if (expressions->context)
		MemoryContextDelete(expressions->context);
	/* What changes while they are made is noticed. */
	*expressions = (Expressions)
	{
		RelationGetRelid(table), true
	};
	if (are_lasting(table))
	{
		make_checks(expressions, table, estate);
		make_index_expressions(expressions, table, estate);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	expressions->context = context;
}

static void
leave_expressions(void *expressions)
{
	((Expressions *) expressions)->nusers--;
}

/* The table's expressions for the writer to run, NULL where there is no room to keep them. */
static Expressions *
use_expressions(JifenWriter *writer)
{
	Expressions *expressions = find_expressions(RelationGetRelid(writer->table));
	MemoryContextCallback *leave;

	if (expressions == NULL)
		return NULL;
	if (!are_ready(expressions))
		make_expressions(expressions, writer->table);
	leave = MemoryContextAlloc(writer->estate->es_query_cxt, sizeof(MemoryContextCallback));
	leave->func = leave_expressions;
	leave->arg = expressions;
	expressions->nusers++;
	MemoryContextRegisterResetCallback(writer->estate->es_query_cxt, leave);
	return expressions;
}

/* Opens the indexes, once. */
static void
open_indexes(JifenWriter *writer)
{
	ResultRelInfo *target = writer->target;
	MemoryContext caller = MemoryContextSwitchTo(writer->estate->es_query_cxt);
	Expressions *expressions;

	if (!writer->has_indexes)
	{
		writer->has_indexes = true;
		ExecOpenIndices(target, false);
		expressions = use_expressions(writer);
		for (int i = 0; expressions && i < target->ri_NumIndices && i < expressions->nindexes; i++)
		{
			if (expressions->index_oids[i] != RelationGetRelid(target->ri_IndexRelationDescs[i]))
				continue;
			target->ri_IndexRelationInfo[i]->ii_PredicateState = expressions->predicates[i];
			target->ri_IndexRelationInfo[i]->ii_ExpressionsState = expressions->columns[i];
		}
	}
	MemoryContextSwitchTo(caller);
}

/*
 * The table must be open for writing until the writing ends.  The first nkeys
 * columns, all of them passed by value, tell its rows apart.
 */
JifenWriter *
jifen_begin_writing(Relation table, CmdType event, int nkeys)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext caller = MemoryContextSwitchTo(estate->es_query_cxt);
	JifenWriter *writer = palloc0(sizeof(JifenWriter));
	TupleConstr *constraints = RelationGetDescr(table)->constr;

	writer->table = table;
	writer->nkeys = nkeys;
	writer->estate = estate;
	writer->target = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->target, table, 0, NULL, 0);
	CheckCmdReplicaIdentity(table, event);
	if (event != CMD_DELETE && constraints && constraints->num_check > 0)
	{
		Expressions *expressions = use_expressions(writer);

		if (expressions)
			writer->target->ri_CheckConstraintExprs = expressions->checks;
	}
	MemoryContextSwitchTo(caller);
	return writer;
}

/* A slot with the row, whose constraints are checked. */
static void
fill_slot(JifenWriter *writer, TupleTableSlot *slot, HeapTuple row)
{
	ExecStoreHeapTuple(row, slot, true);
	slot->tts_tableOid = RelationGetRelid(writer->table);
	if (RelationGetDescr(writer->table)->constr)
		ExecConstraints(writer->target, slot, writer->estate);
}

static TupleTableSlot *
get_slot(JifenWriter *writer, int n)
{
	if (writer->nslots == n)
	{
		MemoryContext caller = MemoryContextSwitchTo(writer->estate->es_query_cxt);

		writer->slots[writer->nslots++] =
			MakeSingleTupleTableSlot(RelationGetDescr(writer->table), &TTSOpsHeapTuple);
		MemoryContextSwitchTo(caller);
	}
	return writer->slots[n];
}

static void
flush(JifenWriter *writer)
{
	MemoryContext caller;

	open_indexes(writer);
	caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(writer->estate));
	table_multi_insert(writer->table, writer->slots, writer->nbuffered,
					   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < writer->nbuffered; i++)
	{
		list_free(jifen_insert_index_tuples(writer->target, writer->slots[i], writer->estate));
		ExecClearTuple(writer->slots[i]);
	}
	MemoryContextSwitchTo(caller);
	ResetPerTupleExprContext(writer->estate);
	writer->nbuffered = 0;
}

/* Adds the row, which need not last. */
void
jifen_insert(JifenWriter *writer, Datum *values, bool *nulls)
{
	TupleTableSlot *slot = get_slot(writer, writer->nbuffered++);

	fill_slot(writer, slot, heap_form_tuple(RelationGetDescr(writer->table), values, nulls));
	if (writer->nbuffered == MAX_BUFFERED)
		flush(writer);
}

/*
 * Fetches the row there, which must be that of the key in values.  Whatever
 * locks it is held.
 */
static TupleTableSlot *
fetch_row(JifenWriter *writer, ItemPointer row, const Datum *values)
{
	TupleTableSlot *slot = writer->old;

	if (slot == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(writer->estate->es_query_cxt);

		slot = writer->old = table_slot_create(writer->table, NULL);
		MemoryContextSwitchTo(caller);
	}
	if (!table_tuple_fetch_row_version(writer->table, row, SnapshotAny, slot))
		elog(ERROR, "a row of \"%s\" is not where it was", RelationGetRelationName(writer->table));
	for (int i = 0; i < writer->nkeys; i++)
	{
		bool		isnull;
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(writer->table), i);

		if (!datumIsEqual(slot_getattr(slot, i + 1, &isnull), values[i],
						  column->attbyval, column->attlen))
			elog(ERROR, "another row of \"%s\" is where one was", RelationGetRelationName(writer->table));
	}
	return slot;
}

/*
 * Changes the columns of the row there that replaces names.  Nobody else may
 * write it meanwhile.  It is given its new place.
 */
void
jifen_update(JifenWriter *writer, ItemPointer row, Datum *values, bool *nulls, bool *replaces)
{
	TupleTableSlot *slot = get_slot(writer, 0);
	TupleTableSlot *old_slot = fetch_row(writer, row, values);
	bool		is_copy;
	HeapTuple	old = ExecFetchSlotHeapTuple(old_slot, false, &is_copy);
	JifenIndexUpdate indexes;

	fill_slot(writer, slot, heap_modify_tuple(old, RelationGetDescr(writer->table), values, nulls, replaces));
	if (is_copy)
		heap_freetuple(old);
	ExecClearTuple(old_slot);
	simple_table_tuple_update(writer->table, row, slot, SnapshotAny, &indexes);
	if (indexes)
	{
		open_indexes(writer);
		list_free(jifen_update_index_tuples(writer->target, slot, writer->estate, indexes));
	}
	ResetPerTupleExprContext(writer->estate);
	*row = slot->tts_tid;
	ExecClearTuple(slot);
}

/* Removes the row there, which must be that of the key in values; as above. */
void
jifen_delete(JifenWriter *writer, ItemPointer row, const Datum *values)
{
	ExecClearTuple(fetch_row(writer, row, values));
	simple_table_tuple_delete(writer->table, row, SnapshotAny);
}

/* The next command sees what was written. */
void
jifen_end_writing(JifenWriter *writer)
{
	if (writer->nbuffered > 0)
		flush(writer);
	for (int i = 0; i < writer->nslots; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	if (writer->old)
		ExecDropSingleTupleTableSlot(writer->old);
	if (writer->has_indexes)
		ExecCloseIndices(writer->target);
	FreeExecutorState(writer->estate);
}
