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
#include "nodes/nodes.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "compat.h"
#include "insert.h"

/* Some pages full of rows. */
#define MAX_BUFFERED 256

/*
 * The checks of a table's constraints, ready to run.  To make them for each
 * insertion would take a tenth of an earn's time.
 */
typedef struct Checks
{
	Oid			table_oid;
	bool		is_valid;		/* the table has not changed since */
	int			nusers;			/* insertions that may run them */
	MemoryContext context;
	ExprState **states;			/* NULL: they have not been made */
} Checks;

/* More than there are tables to which rows are added. */
#define MAX_CHECKS 8

static Checks all_checks[MAX_CHECKS];

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

static bool
are_ready(const Checks *checks)
{
	return checks->is_valid && checks->states;
}

/* The checks of the table or, if there are none, room for them; NULL: none. */
static Checks *
find_checks(Oid table_oid)
{
	Checks	   *unused = NULL;

	for (int i = 0; i < MAX_CHECKS; i++)
	{
		Checks	   *checks = &all_checks[i];

		if (!are_ready(checks))
			unused = checks->nusers == 0 ? checks : unused;
		else if (checks->table_oid == table_oid)
			return checks;
	}
	return unused;
}

static void
forget_checks(Datum unused, Oid table_oid)
{
	for (int i = 0; i < MAX_CHECKS; i++)
	{
		if (table_oid == InvalidOid || all_checks[i].table_oid == table_oid)
			all_checks[i].is_valid = false;
	}
}

static void
make_checks(Checks *checks, Relation table)
{
	static bool is_registered = false;
	TupleConstr *constraints = RelationGetDescr(table)->constr;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "jifen checks",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	EState	   *estate = CreateExecutorState();
	ExprState **states = palloc(constraints->num_check * sizeof(ExprState *));

	if (!is_registered)
		CacheRegisterRelcacheCallback(forget_checks, (Datum) 0);
	is_registered = true;
	if (checks->context)
		MemoryContextDelete(checks->context);
	/* What changes while they are made is noticed. */
	*checks = (Checks)
	{
		RelationGetRelid(table), true
	};
	for (int i = 0; i < constraints->num_check; i++)
		states[i] = ExecPrepareExpr(stringToNode(constraints->check[i].ccbin), estate);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, CacheMemoryContext);
	checks->context = context;
	checks->states = states;
}

static void
leave_checks(void *checks)
{
	((Checks *) checks)->nusers--;
}

/* Has the insertion run the table's checks, if there is room to keep them. */
static void
use_checks(JifenInsertion *insertion)
{
	TupleConstr *constraints = RelationGetDescr(insertion->table)->constr;
	Checks	   *checks;
	MemoryContextCallback *leave;

	if (constraints == NULL || constraints->num_check == 0)
		return;
	checks = find_checks(RelationGetRelid(insertion->table));
	if (checks == NULL)
		return;
	if (!are_ready(checks))
		make_checks(checks, insertion->table);
	leave = MemoryContextAlloc(insertion->estate->es_query_cxt, sizeof(MemoryContextCallback));
	leave->func = leave_checks;
	leave->arg = checks;
	checks->nusers++;
	MemoryContextRegisterResetCallback(insertion->estate->es_query_cxt, leave);
	insertion->target->ri_CheckConstraintExprs = checks->states;
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
	use_checks(insertion);
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
