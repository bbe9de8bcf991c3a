/*
 * plan.h
 *	  Statements planned once per session, always by index.
 */
#ifndef JIFEN_PLAN_H
#define JIFEN_PLAN_H

#include "postgres.h"

#include "executor/spi.h"
#include "utils/timestamp.h"

#define JIFEN_MAX_PARAMETERS 8
#define JIFEN_MAX_COLUMNS 64

/* A statement and, from its first use on, its saved plan. */
typedef struct JifenStatement
{
	const char *sql;
	int			nparameters;
	Oid			types[JIFEN_MAX_PARAMETERS];
	SPIPlanPtr	plan;
} JifenStatement;

/* What jifen_begin_statements() changed. */
typedef struct JifenCaller
{
	bool		has_begun;
	Oid			user;
	int			security_context;
	int			nest_level;
} JifenCaller;

extern void jifen_begin_statements(JifenCaller *caller);
extern void jifen_end_statements(const JifenCaller *caller);
extern uint64 jifen_execute(JifenStatement *statement, const Datum *values,
							const char *nulls, bool read_only,
							uint64 limit);
extern Portal jifen_open_cursor(JifenStatement *statement, const Datum *values,
								bool read_only);

extern uint64 jifen_fetch(Portal portal, long n);
extern void jifen_close_cursor(Portal portal);

/*
 * Columns of a row of the latest result, rows from 0 and columns from 1; what
 * NULL is read as.  A Datum by reference lives as long as the result.
 */
extern int64 jifen_get_int64(uint64 row, int column);	/* 0 */
extern TimestampTz jifen_get_time(uint64 row, int column);	/* JIFEN_NO_TIME */
extern bool jifen_is_null(uint64 row, int column);
extern Datum jifen_get_datum(uint64 row, int column);	/* 0 */
extern char *jifen_get_string(uint64 row, int column);	/* NULL */

#endif							/* JIFEN_PLAN_H */
