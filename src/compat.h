/*
 * compat.h
 *		All differences between the supported PostgreSQL versions, 14 to 18.
 *
 * Include it after postgres.h.  No other file looks at PG_VERSION_NUM.
 */
#ifndef JIFEN_COMPAT_H
#define JIFEN_COMPAT_H

#if PG_VERSION_NUM < 140000
#error "jifen needs PostgreSQL 14 or later"
#endif

/* The layout of variable-length values moved out of postgres.h in 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * Input functions report bad text softly where the server can take it, that
 * is from 16 on.  Before 16 there is no error context to save the error in:
 * ereturn() raises it, and the context is ignored.
 */
#if PG_VERSION_NUM < 160000
#define ereturn(context, dummy_value, ...) \
	do { \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
		return dummy_value; \
	} while (0)
#endif

/* Prefixes of settings are reserved from 15 on; before, they only warn. */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* 18 has a new word for functions that do not return. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 has checks of two kinds. */
#if PG_VERSION_NUM < 180000
#define ri_CheckConstraintExprs ri_ConstraintExprs
#endif

/* 18 has checks that are not enforced. */
#if PG_VERSION_NUM >= 180000
#define jifen_is_enforced(check) ((check)->ccenforced)
#else
#define jifen_is_enforced(check) true
#endif

/*
 * What ExecInsertIndexTuples() is asked, and what an update says of the indexes,
 * changed in 16: before, all of them or none got a new tuple; since, maybe only
 * those that summarize blocks.
 */
#if PG_VERSION_NUM >= 160000
#define JifenIndexUpdate TU_UpdateIndexes
#define jifen_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#define jifen_update_index_tuples(target, slot, estate, which) \
	ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL, (which) == TU_Summarizing)
#else
#define JifenIndexUpdate bool
#define jifen_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#define jifen_update_index_tuples(target, slot, estate, which) \
	ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL)
#endif

/* 18 can count what a scan does; nobody asks here. */
#if PG_VERSION_NUM >= 180000
#define jifen_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, NULL, nkeys, 0)
#else
#define jifen_index_beginscan(table, index, snapshot, nkeys) \
	index_beginscan(table, index, snapshot, nkeys, 0)
#endif

#endif							/* JIFEN_COMPAT_H */
