/*
 * storage.h
 *	  Between tables and memory: load.c brings what a posting needs, store.c
 *	  takes what was decided.
 *
 * All functions need an SPI connection; what they return lives in its memory.
 */
#ifndef JIFEN_STORAGE_H
#define JIFEN_STORAGE_H

#include "postgres.h"

#include "compat.h"
#include "posting.h"

/* load.c */
extern JifenProgram *jifen_load_program(Datum program, bool read_only);
extern JifenAccount *jifen_lock_account(Datum program, Datum member);
extern JifenAccount *jifen_lock_or_open_account(Datum program, Datum member);
extern JifenAccount **jifen_lock_accounts(const int64 *account_ids, int n, int *nlocked);
extern void jifen_open_account(const JifenProgram *program, Datum member);
pg_noreturn extern void jifen_report_unknown(Datum program, Datum member);
extern void jifen_load_spendable(JifenAccount *account, int64 own_seq,
								 PointAmount amount, TimestampTz at);
extern bool jifen_load_reversed(JifenAccount *account, int64 seq,
								JifenReversed *reversed);
extern void jifen_load_lapsed(JifenAccount **accounts, int naccounts, TimestampTz as_of);

/* store.c */
extern Datum jifen_actor(void);
extern void jifen_store(JifenAccount **accounts, int naccounts);
extern Datum jifen_entry_datum(const JifenAccount *account, const JifenEntry *entry);

#endif							/* JIFEN_STORAGE_H */
