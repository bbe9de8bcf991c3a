/*
 * insert.h
 *	  Adds rows to a table many at a time, as COPY does.
 */
#ifndef JIFEN_INSERT_H
#define JIFEN_INSERT_H

#include "postgres.h"

#include "utils/relcache.h"

typedef struct JifenInsertion JifenInsertion;

extern bool jifen_can_insert(Relation table);
extern JifenInsertion *jifen_begin_insertion(Relation table);
extern void jifen_insert(JifenInsertion *insertion, Datum *values, bool *nulls);
extern void jifen_end_insertion(JifenInsertion *insertion);

#endif							/* JIFEN_INSERT_H */
