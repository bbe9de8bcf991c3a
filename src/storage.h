/*
 * storage.h
 *	  Between tables and memory: lock.c, load.c, moving.c and history.c bring what
 *	  a posting needs, store.c takes what was decided.
 *
 * What runs a statement needs an SPI connection; what is returned lives in the
 * memory at hand.
 * Sets of accounts are given in account order.
 */
#ifndef JIFEN_STORAGE_H
#define JIFEN_STORAGE_H

#include "postgres.h"

#include "compat.h"
#include "posting.h"
#include "scan.h"

/* Entries, holds or keys of accounts, by number: arrays of one length. */
typedef struct JifenKeys
{
	int			n;
	int			max;
	int64	   *account_ids;
	Datum	   *values;			/* int8, timestamptz or text */
} JifenKeys;

/* Finds credits by their numbers, and the rows of their lots. */
typedef struct JifenCredits
{
	JifenScan	entries;
	JifenScan	lots;
} JifenCredits;

/* Which entries and notices count. */
typedef struct JifenKnowledge
{
	TimestampTz by;				/* what happened by then */
	int64		before_seq;		/* of the entries before this one */
	TimestampTz booked_by;		/* of the notices booked by then, before it */
	bool		is_read_only;	/* seen with the snapshot of the calling query */
} JifenKnowledge;

/*
 * The columns of the lot of a credit c whose row l, outer joined, it may have.
 * The size of an extension is what it took of another lot.
 */
#define JIFEN_CREDIT_COLUMNS \
	"c.account_id, c.seq, c.expires_at, c.available_at, l.remaining," \
	" c.rule_no, c.expiry, coalesce(c.issued_at, c.event_at), c.source, c.funder, c.revenue," \
	" case when c.kind <> 'extend' then c.amount else" \
	"   (select sum(amount) from jifen.allocation" \
	"    where account_id = c.account_id and seq = c.seq) end"
#define JIFEN_CREDIT_NCOLUMNS 12

/* lock.c */
typedef struct JifenFinding JifenFinding;

extern JifenProgram *jifen_load_program(Datum program);
extern JifenProgram *jifen_find_program(Datum program);
extern JifenRefusal *jifen_refuse_unknown_program(Datum program);
extern JifenRefusal *jifen_refuse_unknown_member(const JifenProgram *program, Datum member);
extern JifenAccount *jifen_lock_account(Datum program, Datum member);
extern JifenFinding *jifen_begin_finding(int n);
extern void jifen_renew_finding(JifenFinding *finding);
extern void jifen_find_members(JifenFinding *finding, const Datum *programs, const Datum *members,
							   int n, bool *exist);
extern JifenAccount **jifen_lock_found(JifenFinding *finding, int *nlocked);
extern void jifen_end_finding(JifenFinding *finding);
extern JifenAccount **jifen_lock_free_accounts(const int64 *account_ids, int n, int *nlocked);
extern JifenAccount **jifen_lock_accounts(const int64 *account_ids, int n, int *nlocked);
extern int	jifen_open_accounts(const int32 *program_ids, const Datum *members, int n,
								TimestampTz opened_at, int64 *opened);
extern Datum jifen_text_array(const Datum *values, int n);
extern Datum jifen_int8_array(const int64 *values, int n);
extern Datum jifen_account_id_array(JifenAccount **accounts, int n);
extern JifenAccount *jifen_account_of_id(JifenAccount **accounts, int naccounts, int64 account_id);

/* load.c */
extern void jifen_add_key(JifenKeys *keys, int64 account_id, Datum value);
extern JifenLot *jifen_add_lot_of_row(JifenAccount *account, uint64 row);
extern JifenLot *jifen_add_lot_at_hand(JifenAccount *account, JifenScan *scan);
extern void jifen_begin_credits(JifenCredits *credits);
extern JifenLot *jifen_load_credit(JifenAccount *account, JifenCredits *credits, int64 seq);
extern void jifen_end_credits(JifenCredits *credits);
extern void jifen_load_first_lots(JifenAccount **accounts, int naccounts, const JifenKeys *from);
extern void jifen_add_open_lots(JifenAccount *account, bool read_only);
extern void jifen_load_all_lots(JifenAccount *account);
extern void jifen_load_origins(JifenAccount *account);
extern void jifen_load_lapsed(JifenAccount **accounts, int naccounts, TimestampTz as_of);
extern void jifen_load_holds(JifenAccount **accounts, int naccounts, const JifenKeys *named,
							 TimestampTz due);
extern void jifen_load_debts(JifenAccount **accounts, int naccounts);

/* moving.c */
extern void jifen_set_rule(JifenRule *rule, Datum rule_no, Datum time_zone, Datum activity,
						   Datum notice_days);
extern const JifenKnowledge jifen_everything;
extern void jifen_wind_loaded(JifenAccount **accounts, int n, const JifenKnowledge *known);
extern void jifen_load_moving_lots(JifenAccount **accounts, int n);
extern void jifen_load_activities(JifenAccount *account, const JifenKnowledge *known);

/* history.c */
extern void jifen_load_keys(JifenPosting **postings, int n);
extern void jifen_find_counters(JifenPosting **reversals, int n, Datum *members);
extern void jifen_load_targets(JifenAccount **accounts, int naccounts, const JifenKeys *entries);
extern void jifen_load_transfer(JifenAccount *giver, int64 out_seq, JifenAccount *receiver);
extern bool jifen_lacks_history(const JifenAccount *account, bool with_activities);
extern void jifen_load_history(JifenAccount *account, bool with_activities);
extern void jifen_load_for_due_holds(JifenAccount **accounts, int n, TimestampTz due);

/* store.c */
extern Datum jifen_actor(void);
extern void jifen_store(JifenAccount **accounts, int naccounts);
extern void jifen_deform_entry(HeapTupleHeader entry, Datum *values, bool *nulls);
extern Datum jifen_entry_datum(const JifenAccount *account, const JifenEntry *entry);

#endif							/* JIFEN_STORAGE_H */
