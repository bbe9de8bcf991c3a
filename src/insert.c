/*
 * insert.c
 *	  Adds rows to a table many at a time, as COPY does.
 *
 * A statement would insert them one by one.  Constraints and indexes are seen
 * to all the same; a table on which somebody has put triggers, rules or policies
 * for insertions is left to a statement.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/rel.h"

#include "compat.h"
#include "insert.h"

/* Some pages full of rows. */
#define MAX_BUFFERED 256

struct JifenInsertion
{
	Relation	table;
	EState	   *estate;
	ResultRelInfo *target;
	int			nslots;
	int			nbuffered;
	TupleTableSlot *slots[MAX_BUFFERED];	/* nslots are made */
};

/* Whether all that an insertion sets off is known here. */
bool
jifen_can_insert(Relation table)
{
	TriggerDesc *triggers = table->trigdesc;

	return table->rd_rel->relkind == RELKIND_RELATION &&
		table->rd_rules == NULL && !table->rd_rel->relforcerowsecurity &&
		(triggers == NULL ||
		 !(triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
		   triggers->trig_insert_instead_row || triggers->trig_insert_before_statement ||
		   triggers->trig_insert_after_statement));
}

/* The table must be open for writing until the insertion ends. */
JifenInsertion *
jifen_begin_insertion(Relation table)
{
	JifenInsertion *insertion = palloc0(sizeof(JifenInsertion));

	insertion->table = table;
	insertion->estate = CreateExecutorState();
	insertion->target = makeNode(ResultRelInfo);
	InitResultRelInfo(insertion->target, table, 0, NULL, 0);
	ExecOpenIndices(insertion->target, false);
	return insertion;
}

static void
flush(JifenInsertion *insertion)
{
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(insertion->estate));

	table_multi_insert(insertion->table, insertion->slots, insertion->nbuffered,
					   GetCurrentCommandId(true), 0, NULL);
	for (int i = 0; i < insertion->nbuffered; i++)
	{
		list_free(jifen_insert_index_tuples(insertion->target, insertion->slots[i],
											insertion->estate));
		ExecClearTuple(insertion->slots[i]);
	}
	MemoryContextSwitchTo(caller);
	ResetPerTupleExprContext(insertion->estate);
	insertion->nbuffered = 0;
}

/* Adds the row, which need not last. */
void
jifen_insert(JifenInsertion *insertion, Datum *values, bool *nulls)
{
	TupleDesc	descriptor = RelationGetDescr(insertion->table);
	TupleTableSlot *slot;

	if (insertion->nslots == insertion->nbuffered)
		insertion->slots[insertion->nslots++] =
			MakeSingleTupleTableSlot(descriptor, &TTSOpsHeapTuple);
	slot = insertion->slots[insertion->nbuffered++];
	ExecStoreHeapTuple(heap_form_tuple(descriptor, values, nulls), slot, true);
	slot->tts_tableOid = RelationGetRelid(insertion->table);
	if (descriptor->constr)
		ExecConstraints(insertion->target, slot, insertion->estate);
	if (insertion->nbuffered == MAX_BUFFERED)
		flush(insertion);
}

/* Afterwards, the next command sees the rows. */
void
jifen_end_insertion(JifenInsertion *insertion)
{
	if (insertion->nbuffered > 0)
		flush(insertion);
	for (int i = 0; i < insertion->nslots; i++)
		ExecDropSingleTupleTableSlot(insertion->slots[i]);
	ExecCloseIndices(insertion->target);
	FreeExecutorState(insertion->estate);
	CommandCounterIncrement();
}
