/*
 * find.h
 *	  Finds what callers name, to read it.
 */
#ifndef JIFEN_FIND_H
#define JIFEN_FIND_H

#include "postgres.h"

#include "scan.h"

extern void jifen_find_program_row(JifenScan *scan, Datum program);
extern int32 jifen_find_program_id(Datum program);
extern void jifen_find_account_row(JifenScan *scan, int32 program_id, Datum program, Datum member);

#endif							/* JIFEN_FIND_H */
