/*
 * posting.h
 *	  An account in memory, what is asked of it, and what was decided.
 *
 * load.c fills a JifenAccount, posting.c decides on it, store.c stores what
 * changed.  Nothing here knows a table.
 */
#ifndef JIFEN_POSTING_H
#define JIFEN_POSTING_H

#include "postgres.h"

#include "pgtime.h"
#include "utils/timestamp.h"

#include "expiry_policy.h"
#include "point_amount.h"

/* An instant that is absent; -infinity is refused wherever a caller gives one. */
#define JIFEN_NO_TIME	DT_NOBEGIN

typedef enum JifenKind
{
	JIFEN_EARN,
	JIFEN_REDEEM,
	JIFEN_EXPIRE,
	JIFEN_REVERSE,
	JIFEN_REINSTATE
} JifenKind;

/* The rules of an account's program that a decision needs. */
typedef struct JifenProgram
{
	int32		program_id;
	char	   *code;
	pg_tz	   *time_zone;
	ExpiryPolicy expiry;
	bool		auto_open;
} JifenProgram;

/*
 * What is unspent of one credit.  A lot whose remaining differs from stored
 * is inserted (stored = 0), updated or deleted (remaining = 0) by store.c.
 */
typedef struct JifenLot
{
	int64		seq;			/* of the credit */
	TimestampTz expires_at;
	TimestampTz available_at;
	PointAmount stored;			/* in the table; 0: no row */
	PointAmount remaining;		/* after what was decided so far */
	PointAmount takeable;		/* what the posting at hand may take, at most
								 * remaining plus what expiry booked of it */
	PointAmount returnable;		/* what the entry being reversed took from it,
								 * net of its earlier reversals */
} JifenLot;

/* What an expire entry took from a lot and no reinstatement gave back. */
typedef struct JifenBookedExpiry
{
	int64		expire_seq;
	TimestampTz event_at;		/* of the expire entry */
	int64		lot_seq;
	PointAmount amount;
} JifenBookedExpiry;

typedef struct JifenEntry
{
	int64		seq;
	JifenKind	kind;
	PointAmount amount;			/* signed change of the balance */
	PointAmount balance;		/* after it */
	TimestampTz event_at;
	TimestampTz expires_at;		/* of a credit, else JIFEN_NO_TIME */
	TimestampTz available_at;	/* of a credit, else JIFEN_NO_TIME */
	int64		reverses_seq;	/* 0: none */
	bool		has_qualifying;
	PointAmount qualifying;
	/* carried from the posting to the journal unread; NULL: none */
	const struct JifenPosting *posting;
} JifenEntry;

typedef struct JifenAllocation
{
	int64		seq;
	int64		lot_seq;
	PointAmount amount;
} JifenAllocation;

typedef enum JifenStatus
{
	JIFEN_OPEN,
	JIFEN_FROZEN,
	JIFEN_CLOSED
} JifenStatus;

typedef struct JifenAccount
{
	int64		account_id;
	const JifenProgram *program;
	char	   *member;
	JifenStatus status;
	PointAmount balance;
	PointAmount held;
	int64		last_seq;
	TimestampTz last_activity_at;	/* JIFEN_NO_TIME: none yet */
	TimestampTz last_event_at;	/* JIFEN_NO_TIME: none yet */

	/* lots in spending order, as far as the posting at hand needs them */
	JifenLot   *lots;
	int			nlots;
	int			maxlots;

	/* booked expiries of those lots, by (event_at, expire_seq, lot_seq) */
	JifenBookedExpiry *booked;
	int			nbooked;
	int			maxbooked;

	/* figures for a refusal, loaded only when the lots do not suffice */
	PointAmount available;
	PointAmount pending;
	PointAmount lapsed;

	/* decided and not stored yet */
	JifenEntry *entries;
	int			nentries;
	int			maxentries;
	JifenAllocation *allocations;
	int			nallocations;
	int			maxallocations;
} JifenAccount;

/* The entry that a reversal names, as the journal has it. */
typedef struct JifenReversed
{
	int64		seq;
	JifenKind	kind;
	PointAmount amount;			/* unsigned */
	PointAmount reversed;		/* by earlier reversals, unsigned */
	PointAmount qualifying;
	bool		has_qualifying;
	TimestampTz event_at;
} JifenReversed;

/*
 * A request to write an entry.  Times are finite and resolved, identifiers
 * checked; texts and the like are Datums that go to the journal as they are.
 */
typedef struct JifenPosting
{
	JifenKind	kind;
	PointAmount amount;
	TimestampTz event_at;
	TimestampTz available_at;	/* of an earn */
	TimestampTz expires_at;		/* of an earn */
	bool		has_qualifying;
	PointAmount qualifying;
	Datum		source;			/* text, 0: null */
	Datum		reference;		/* text, 0: null */
	Datum		reason;			/* text, 0: null */
	Datum		revenue;		/* numeric, 0: null */
	Datum		details;		/* jsonb, 0: null */
} JifenPosting;

/* Why a posting was refused; nothing of the account has changed then. */
typedef struct JifenRefusal
{
	int			sqlerrcode;
	char	   *message;
	char	   *detail;
	char	   *hint;
} JifenRefusal;

extern const char *jifen_kind_name(JifenKind kind);
extern JifenKind jifen_kind_from_name(const char *name);

extern void jifen_add_lot(JifenAccount *account, const JifenLot *lot);
extern void jifen_add_booked(JifenAccount *account, const JifenBookedExpiry *booked);

extern JifenRefusal *jifen_require_open(const JifenAccount *account);
extern JifenRefusal *jifen_post_earn(JifenAccount *account, const JifenPosting *posting);
extern JifenRefusal *jifen_post_redeem(JifenAccount *account, const JifenPosting *posting);
extern JifenRefusal *jifen_post_reverse(JifenAccount *account, const JifenPosting *posting,
										const JifenReversed *reversed);
extern void jifen_post_expiry(JifenAccount *account, TimestampTz as_of);

#endif							/* JIFEN_POSTING_H */
