/*
 * write.h
 *	  Writes rows of a table without a statement.
 */
#ifndef JIFEN_WRITE_H
#define JIFEN_WRITE_H

#include "postgres.h"

#include "nodes/nodes.h"
#include "storage/itemptr.h"
#include "utils/relcache.h"

typedef struct JifenWriter JifenWriter;

extern bool jifen_can_write(Relation table, CmdType event);
extern JifenWriter *jifen_begin_writing(Relation table, CmdType event, int nkeys);
extern void jifen_insert(JifenWriter *writer, Datum *values, bool *nulls);
extern void jifen_update(JifenWriter *writer, ItemPointer row, Datum *values, bool *nulls,
						 bool *replaces);
extern void jifen_delete(JifenWriter *writer, ItemPointer row, const Datum *values);
extern void jifen_end_writing(JifenWriter *writer);

#endif							/* JIFEN_WRITE_H */
