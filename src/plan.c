/*
 * plan.c
 *	  Statements planned once per session, always by index.
 *
 * The first plan of a session may be made on tables that are empty or not
 * analyzed, where the planner takes a sequential scan to be free; kept, it
 * would cost a full scan for each posting once the tables have grown.  So
 * statements of this extension are planned, and planned again after an
 * invalidation, with only index-driven nested loops allowed, and without JIT
 * compilation, which never pays for statements this short.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/plancache.h"

#include "plan.h"
#include "posting.h"
#include "scan.h"
#include "tables.h"

static const char *const planner_settings[] = {
	"enable_seqscan",
	"enable_bitmapscan",
	"enable_hashjoin",
	"enable_mergejoin",
	"enable_material",
	"jit",
};

/*
 * The columns of the row that was looked at last; NULL row: none.  A row is
 * taken apart once, however many of its columns are wanted.  Forgotten before
 * and after a statement: what it calls may look at rows of its own, whose
 * memory a row of its result may then be in.
 */
static HeapTuple row_apart;
static Datum row_values[JIFEN_MAX_COLUMNS];
static bool row_nulls[JIFEN_MAX_COLUMNS];

/* How a statement is run. */
typedef struct Use
{
	bool		makes_plan;		/* of its own */
	int			nest_level;		/* and under these settings */
	int			generation;		/* of the plan */
} Use;

/* Enters a nest level of settings under which only index plans are made. */
static int
allow_only_index_plans(void)
{
	int			nest_level = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(planner_settings); i++)
		(void) set_config_option(planner_settings[i], "off", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nest_level;
}

static void
prepare(JifenStatement *statement)
{
	if (statement->plan)
		return;
	statement->plan = SPI_prepare_cursor(statement->sql, statement->nparameters,
										 statement->types, CURSOR_OPT_GENERIC_PLAN);
	if (statement->plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement->sql,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(statement->plan);
}

static CachedPlanSource *
plan_source(JifenStatement *statement)
{
	return linitial(SPI_plan_get_plan_sources(statement->plan));
}

/* Whether there is a plan that a use of the statement would take. */
static bool
has_valid_plan(JifenStatement *statement)
{
	CachedPlanSource *source = plan_source(statement);

	return source->is_valid && source->gplan && source->gplan->is_valid;
}

/*
 * An invalidation that arrives while a statement takes its locks makes the
 * server plan it again without our settings.  Such a plan is invalidated, as
 * a change of the tables would: it is not freed, since an outer call may be
 * running the very statement.
 */
static void
forget_unless(JifenStatement *statement, int generation)
{
	CachedPlanSource *source = plan_source(statement);

	if (source->generation == generation)
		return;
	source->is_valid = false;
	if (source->gplan)
		source->gplan->is_valid = false;
}

static void
forget_result(void)
{
	SPI_freetuptable(SPI_tuptable);
	SPI_tuptable = NULL;
	row_apart = NULL;
}

/*
 * Prepares the statement to be run, with a plan under our settings.  Changing
 * those costs more than many a statement, so it is done only when there is no
 * valid plan, and not for longer than it takes to make one: triggers that the
 * statement fires plan theirs as they like.  Only where the session has all
 * plans made anew for each use, they hold until end_use().
 */
static void
begin_use(JifenStatement *statement, Use *use)
{
	int			nest_level;

	prepare(statement);
	use->makes_plan = plan_cache_mode == PLAN_CACHE_MODE_FORCE_CUSTOM_PLAN;
	if (use->makes_plan)
		use->nest_level = allow_only_index_plans();
	else if (!has_valid_plan(statement))
	{
		nest_level = allow_only_index_plans();
		ReleaseCachedPlan(SPI_plan_get_cached_plan(statement->plan), CurrentResourceOwner);
		AtEOXact_GUC(true, nest_level);
	}
	use->generation = plan_source(statement)->generation;
}

static void
end_use(JifenStatement *statement, const Use *use)
{
	if (use->makes_plan)
		AtEOXact_GUC(true, use->nest_level);
	else
		forget_unless(statement, use->generation);
}

/*
 * Runs the statement to its end, or for at most limit rows (0: all); they are
 * in SPI_tuptable until the next one runs.
 */
uint64
jifen_execute(JifenStatement *statement, const Datum *values, const char *nulls,
			  bool read_only, uint64 limit)
{
	Use			use;
	int			result;

	forget_result();
	begin_use(statement, &use);
	result = SPI_execute_plan(statement->plan, (Datum *) values, nulls, read_only, (long) limit);
	end_use(statement, &use);
	row_apart = NULL;
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * Connects to SPI, as the owner of the tables and with the search_path that
 * statements are written for: what a function that is SECURITY DEFINER and sets
 * its search_path has already.  That takes as long as to find a row, so
 * functions that seldom run a statement do it when they come to one.  An error
 * ends it as well.
 */
void
jifen_begin_statements(JifenCaller *caller)
{
	Relation	table = jifen_open_table("account", Natts_account, AccessShareLock);

	GetUserIdAndSecContext(&caller->user, &caller->security_context);
	SetUserIdAndSecContext(table->rd_rel->relowner,
						   caller->security_context | SECURITY_LOCAL_USERID_CHANGE);
	table_close(table, NoLock);
	caller->nest_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "jifen, pg_temp", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
	caller->has_begun = true;
}

/* Undoes that, if it was done. */
void
jifen_end_statements(const JifenCaller *caller)
{
	if (!caller->has_begun)
		return;
	SPI_finish();
	AtEOXact_GUC(true, caller->nest_level);
	SetUserIdAndSecContext(caller->user, caller->security_context);
}

/* Opens a cursor on the statement. */
Portal
jifen_open_cursor(JifenStatement *statement, const Datum *values, bool read_only)
{
	Use			use;
	Portal		portal;

	begin_use(statement, &use);
	portal = SPI_cursor_open(NULL, statement->plan, (Datum *) values, NULL, read_only);
	end_use(statement, &use);
	return portal;
}

/* The next rows of the cursor, at most so many; returns how many there are. */
uint64
jifen_fetch(Portal portal, long n)
{
	forget_result();
	SPI_cursor_fetch(portal, true, n);
	row_apart = NULL;
	return SPI_processed;
}

void
jifen_close_cursor(Portal portal)
{
	forget_result();
	SPI_cursor_close(portal);
}

static void
take_apart(uint64 row)
{
	HeapTuple	tuple = SPI_tuptable->vals[row];

	if (tuple == row_apart)
		return;
	Assert(SPI_tuptable->tupdesc->natts <= JIFEN_MAX_COLUMNS);
	heap_deform_tuple(tuple, SPI_tuptable->tupdesc, row_values, row_nulls);
	row_apart = tuple;
}

Datum
jifen_get_datum(uint64 row, int column)
{
	take_apart(row);
	return row_nulls[column - 1] ? (Datum) 0 : row_values[column - 1];
}

bool
jifen_is_null(uint64 row, int column)
{
	take_apart(row);
	return row_nulls[column - 1];
}

int64
jifen_get_int64(uint64 row, int column)
{
	return DatumGetInt64(jifen_get_datum(row, column));
}

TimestampTz
jifen_get_time(uint64 row, int column)
{
	return jifen_is_null(row, column) ? JIFEN_NO_TIME :
		DatumGetTimestampTz(jifen_get_datum(row, column));
}

char *
jifen_get_string(uint64 row, int column)
{
	Datum		value = jifen_get_datum(row, column);

	return value ? TextDatumGetCString(value) : NULL;
}
