/*
 * scan.h
 *	  Finds rows by an index, locks them and reads their columns, without a
 *	  statement.
 */
#ifndef JIFEN_SCAN_H
#define JIFEN_SCAN_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#define JIFEN_MAX_SCAN_KEYS 3

/* Rows of a table whose columns are as in tables.h. */
typedef struct JifenScan
{
	Relation	table;
	Relation	index;
	Snapshot	snapshot;
	IndexScanDesc scan;			/* from the first row on */
	bool		is_under_way;	/* with the keys as they are */
	TupleTableSlot *slot;		/* the row at hand */
	int			nkeys;
	ScanKeyData keys[JIFEN_MAX_SCAN_KEYS];
} JifenScan;

extern Relation jifen_open_table(const char *name, int natts, LOCKMODE mode);
extern void jifen_begin_scan(JifenScan *scan, const char *table, int natts,
							 const char *index, bool read_only);
extern void jifen_set_key(JifenScan *scan, int column, StrategyNumber strategy, Datum value);
extern bool jifen_next_row(JifenScan *scan);
extern bool jifen_lock_row(JifenScan *scan, const ItemPointerData *row, int64 number,
						   bool skip_locked);
extern void jifen_end_scan(JifenScan *scan);

/* A column of the row at hand; what NULL is read as. */
extern int64 jifen_row_int64(JifenScan *scan, AttrNumber column);	/* 0 */
extern TimestampTz jifen_row_time(JifenScan *scan, AttrNumber column);	/* JIFEN_NO_TIME */
extern Datum jifen_row_datum(JifenScan *scan, AttrNumber column);	/* 0 */
extern Datum jifen_row_copy(JifenScan *scan, AttrNumber column);	/* 0 */

/* Values as they are in a table, maybe compressed or out of line. */
extern Datum jifen_copy_value(Datum value);
extern int	jifen_compare_texts(Datum a, Datum b);
extern int	jifen_compare_string(const char *a, Datum b);

#endif							/* JIFEN_SCAN_H */
