/*
 * posting.h
 *	  An account in memory, what is asked of it, and what was decided.
 *
 * lock.c, load.c and history.c fill a JifenAccount; posting.c, hold.c, reverse.c and
 * lapse.c decide on it with the means of book.c and move.c; store.c stores what
 * changed.  Nothing here knows a table.
 */
#ifndef JIFEN_POSTING_H
#define JIFEN_POSTING_H

#include "postgres.h"

#include "access/htup.h"
#include "common/sha2.h"
#include "nodes/pg_list.h"
#include "pgtime.h"
#include "storage/itemptr.h"
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
	JIFEN_ADJUST,
	JIFEN_HOLD,
	JIFEN_CAPTURE,
	JIFEN_RELEASE,
	JIFEN_REVERSE,
	JIFEN_TRANSFER_OUT,
	JIFEN_TRANSFER_IN,
	JIFEN_IMPORT,
	JIFEN_REINSTATE,
	JIFEN_REPAY,
	JIFEN_EXTEND
} JifenKind;

/*
 * The kinds of which an account keeps when the latest happened.  All but
 * expire can count as activity, by the program's choice.
 */
typedef enum JifenTrace
{
	JIFEN_TRACE_EARN,
	JIFEN_TRACE_REDEEM,
	JIFEN_TRACE_EXPIRE,
	JIFEN_TRACE_ADJUST,
	JIFEN_TRACE_HOLD,
	JIFEN_TRACE_CAPTURE,
	JIFEN_TRACE_TRANSFER_OUT,
	JIFEN_TRACE_TRANSFER_IN,
	JIFEN_TRACE_IMPORT,
	JIFEN_TRACES,
	JIFEN_NO_TRACE = JIFEN_TRACES
} JifenTrace;

/* What happens where points are taken back that the member has spent. */
typedef enum JifenOverdraft
{
	JIFEN_OVERDRAFT_REFUSE,
	JIFEN_OVERDRAFT_DEBT,
	JIFEN_OVERDRAFT_FORGIVE
} JifenOverdraft;

/* A row of expiry_rule: what a lot whose expiry can move keeps to. */
typedef struct JifenRule
{
	int16		rule_no;
	pg_tz	   *time_zone;
	int			activity;		/* bits by JifenTrace */
	int32		notice_days;	/* 0: none */
} JifenRule;

/* The rules of an account's program that a decision needs. */
typedef struct JifenProgram
{
	int32		program_id;
	char	   *code;
	JifenRule	rule;			/* the present one */
	List	   *rules;			/* of JifenRule: others that were needed */
	ExpiryPolicy expiry;
	bool		auto_open;
	JifenOverdraft overdraft;
	PointAmount overdraft_limit;	/* 0: none */
	bool		has_return_grace;
	ExpiryPolicy return_grace;
	TimestampTz booked_from;	/* entries have no earlier posted_at */
	TimestampTz closed_until;	/* JIFEN_NO_TIME: nothing is closed */
	bool		refuses_late;	/* postings before that */
} JifenProgram;

/*
 * When a credit's points lapse: at that instant or, where there is a rule, not
 * before it; see lapse.c.
 */
typedef struct JifenClock
{
	TimestampTz expires_at;
	const JifenRule *rule;		/* NULL: the expiry cannot move */
	const ExpiryPolicy *expiry; /* NULL: expires_at says it all */
} JifenClock;

/*
 * What is unspent of one credit.  A lot whose remaining differs from stored
 * is inserted (stored = 0), updated or deleted (remaining = 0) by store.c.
 */
typedef struct JifenLot
{
	int64		seq;			/* of the credit */
	TimestampTz expires_at;		/* with seq, which lot */
	int16		rule_no;		/* of a moving lot, else 0 */
	const JifenRule *rule;		/* the rule of that number, once it is loaded */
	const ExpiryPolicy *expiry; /* as in JifenClock */
	TimestampTz counts_from;	/* of a moving lot */
	TimestampTz due_at;			/* by its clock; orders spending */
	TimestampTz lapses_at;		/* then, or later for want of a notice */
	TimestampTz available_at;
	PointAmount stored;			/* in the table; 0: no row */
	PointAmount remaining;		/* after what was decided so far */
	PointAmount takeable;		/* what the debit at hand may take */
	PointAmount given;			/* net gain since step, see book.c */
	int64		step;
	TimestampTz credited_at;	/* event_at of the credit; only with history */
	PointAmount size;			/* what was credited; only with history or
								 * origin */
	bool		has_origin;		/* size and the next four are loaded */
	TimestampTz issued_at;		/* when its points were issued first */
	Datum		source;			/* of the credit, 0: null */
	Datum		funder;			/* the same */
	Datum		revenue;		/* of all that was credited, the same */
	ItemPointerData row;		/* its place in the table, if known */
} JifenLot;

/* How much of a lot an entry took, net of what was given back since. */
typedef struct JifenTaken
{
	TimestampTz expires_at;		/* with seq, which lot */
	int64		seq;
	PointAmount amount;
} JifenTaken;

/* A use of a lot at a business time, expiry and its reinstatement apart. */
typedef struct JifenUse
{
	TimestampTz expires_at;		/* with lot_seq, which lot */
	int64		lot_seq;
	TimestampTz event_at;
	PointAmount amount;
} JifenUse;

/* What an expire entry took from a lot and no reinstatement gave back. */
typedef struct JifenBookedExpiry
{
	TimestampTz event_at;		/* of the expire entry */
	int64		expire_seq;
	TimestampTz expires_at;		/* with lot_seq, which lot */
	int64		lot_seq;
	PointAmount amount;
} JifenBookedExpiry;

/* When the member did something that may count as activity. */
typedef struct JifenActivity
{
	TimestampTz event_at;
	int64		seq;
	int			trace;			/* a bit by JifenTrace */
} JifenActivity;

/* A notice on record that the lot lapses at that instant of its clock. */
typedef struct JifenNotice
{
	int64		lot_seq;
	TimestampTz due_at;
	TimestampTz sent_at;
} JifenNotice;

/* An open hold. */
typedef struct JifenHold
{
	int64		seq;
	TimestampTz event_at;
	TimestampTz until;
	PointAmount stored;			/* in the table; 0: no row */
	PointAmount amount;			/* 0: it has ended */
	bool		has_taken;		/* the next two are loaded */
	JifenTaken *taken;			/* in spending order */
	int			ntaken;
} JifenHold;

/* An open debt. */
typedef struct JifenDebt
{
	int64		seq;
	TimestampTz event_at;
	PointAmount stored;
	PointAmount remaining;
} JifenDebt;

/* The entry that a reversal names, as the journal and this batch have it. */
typedef struct JifenTarget
{
	int64		seq;
	JifenKind	kind;
	PointAmount amount;			/* signed */
	PointAmount undone;			/* by reversals and forgiveness, unsigned */
	bool		has_qualifying;
	PointAmount qualifying;
	Datum		revenue;		/* of an earn or import, 0: null */
	TimestampTz event_at;		/* of it and of what repaid its debt */
	TimestampTz expires_at;		/* of a credit, else JIFEN_NO_TIME */
	int64		counter_account_id;
	int64		counter_seq;
	int64		taking_seq;		/* the entry that took: of a capture, its hold */
	JifenTaken *taken;			/* by the order of the lots */
	int			ntaken;
} JifenTarget;

/* A bytea that holds a hash. */
typedef struct JifenHash
{
	int32		vl_len_;
	uint8		bytes[PG_SHA256_DIGEST_LENGTH];
} JifenHash;

typedef struct JifenEntry
{
	int64		seq;
	JifenKind	kind;
	PointAmount amount;			/* signed change of the balance */
	PointAmount held;			/* of the held points */
	PointAmount debt;			/* of the debt */
	PointAmount balance;		/* after it */
	TimestampTz event_at;
	TimestampTz expires_at;		/* of a credit, else JIFEN_NO_TIME */
	const JifenRule *rule;		/* of a moving credit, else NULL */
	const ExpiryPolicy *expiry; /* of a moving credit, as in JifenClock */
	TimestampTz available_at;	/* of a credit, else JIFEN_NO_TIME */
	TimestampTz until;			/* of a hold or extend, else JIFEN_NO_TIME */
	TimestampTz issued_at;		/* JIFEN_NO_TIME: at event_at */
	int64		reverses_seq;	/* 0: none, as in the next four */
	int64		hold_seq;
	int64		debt_seq;
	int64		counter_account_id;
	int64		counter_seq;
	bool		has_qualifying;
	PointAmount qualifying;
	Datum		source;			/* text, 0: null */
	Datum		funder;			/* the same */
	Datum		revenue;		/* numeric, 0: null */
	const char *reason;			/* of an entry without posting, else NULL */
	/* carried to the journal unread; NULL: none */
	const struct JifenPosting *posting;
	bool		is_own;			/* the posting's key belongs to it */
	int			first_allocation;	/* in the account's allocations */
	int			nallocations;
	JifenHash	hash;			/* from when it is stored */
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
	ItemPointerData row;		/* its place in the table, once locked */
	char	   *member;
	JifenStatus status;
	bool		is_opened;		/* by the batch at hand */
	PointAmount balance;
	PointAmount held;
	PointAmount debt;
	int64		last_seq;
	TimestampTz last_event_at;	/* JIFEN_NO_TIME: none yet */
	TimestampTz opened_at;
	TimestampTz due_at;			/* as the column; JIFEN_NO_TIME: null */
	TimestampTz stored_due_at;	/* in the table */
	TimestampTz last_at[JIFEN_TRACES];	/* JIFEN_NO_TIME: none yet */
	JifenHash	head_hash;		/* of the latest entry stored, if any */
	bytea	   *salt;			/* NULL: none */

	/*
	 * Lots by (expires_at, seq), which is spending order where none is
	 * moving.  Known are all open ones (has_all_lots), else the moving ones
	 * (has_moving_lots) and, of the others, those from known_from on as far
	 * as the lot of known_to, and whichever else were needed.
	 */
	JifenLot   *lots;
	int			nlots;
	int			maxlots;
	bool		has_all_lots;
	bool		has_moving_lots;
	PointAmount wanted;			/* by the debits of the batch, all together */
	TimestampTz known_from;
	TimestampTz known_to;		/* JIFEN_NO_TIME: nothing is known */
	int64		known_to_seq;

	/*
	 * What a debit before the latest event needs as well: all credits are in
	 * lots then, with all uses of them and the booked expiries.
	 */
	bool		has_history;
	JifenUse   *uses;
	int			nuses;
	int			maxuses;
	bool		uses_in_order;	/* by lot in spending order, then event_at */
	JifenBookedExpiry *booked;
	int			nbooked;
	int			maxbooked;

	/*
	 * With all activities, the past of the clocks is known too, else only how
	 * those of open lots stand.
	 */
	bool		has_activities;
	JifenActivity *activities;
	int			nactivities;
	int			maxactivities;
	bool		activities_in_order;	/* by event_at */
	bool		has_notices;
	JifenNotice *notices;		/* of all its lots */
	int			nnotices;
	int			maxnotices;

	JifenHold  *holds;			/* by (until, seq) where it matters */
	int			nholds;
	int			maxholds;
	JifenDebt  *debts;			/* by seq */
	int			ndebts;
	int			maxdebts;
	JifenTarget *targets;
	int			ntargets;
	int			maxtargets;

	int64		step;			/* what given of the lots counts from */
	TimestampTz foreseen;		/* latest event to come of the batch, so far */

	/* decided; those from the first unstored on are not stored yet */
	JifenEntry *entries;
	int			nentries;
	int			maxentries;
	int			nstored;
	JifenAllocation *allocations;
	int			nallocations;
	int			maxallocations;
} JifenAccount;

/* Which optional arguments with a default a posting was given: entry.given. */
#define JIFEN_GIVEN_AMOUNT			0x01
#define JIFEN_GIVEN_EVENT_AT		0x02
#define JIFEN_GIVEN_EXPIRY			0x04
#define JIFEN_GIVEN_AVAILABLE_AT	0x08
#define JIFEN_GIVEN_QUALIFYING		0x10
#define JIFEN_GIVEN_ISSUED_AT		0x20
#define JIFEN_GIVEN_EXPIRES_AT		0x40

/* Why a posting was refused. */
typedef struct JifenRefusal
{
	int			sqlerrcode;
	char	   *message;
	char	   *detail;
	char	   *hint;
} JifenRefusal;

/*
 * A request to write an entry: first what was asked, absent where the caller
 * left it out, then what has become of it.  Texts and the like are Datums
 * that go to the journal as they are, 0 where null.
 */
typedef struct JifenPosting
{
	JifenKind	kind;			/* JIFEN_TRANSFER_OUT stands for a transfer */
	int			given;
	Datum		program;
	Datum		member;
	PointAmount amount;			/* 0: all there is */
	int64		seq;			/* of the entry to reverse, or of the hold */
	Datum		to_member;
	TimestampTz event_at;
	TimestampTz available_at;
	TimestampTz until;
	TimestampTz issued_at;
	TimestampTz expires_at;
	const ExpiryPolicy *expiry;
	PointAmount qualifying;
	Datum		idempotency_key;
	Datum		source;
	Datum		funder;
	Datum		partner;
	Datum		reference;
	Datum		reason;
	Datum		revenue;
	Datum		details;
	Datum		group;

	JifenAccount *account;
	JifenAccount *counter;		/* the other account of a transfer */
	HeapTupleHeader first;		/* the entry of the same key, NULL: none */
	TimestampTz first_event_at; /* when that was asked to happen */
	bool		repeats_key;	/* of an earlier posting of the batch */
	bool		is_late;		/* it happened before what is booked */
	JifenRefusal *refusal;
	bool		is_done;
	int64		entry_seq;
	PointAmount entry_balance;
} JifenPosting;

/* A boolean that tells whether an optional argument was given. */
static inline bool
jifen_is_given(const JifenPosting *posting, int argument)
{
	return (posting->given & argument) != 0;
}

/*
 * When the lot lapses as things stand: by its clock alone while a notice that
 * it waits for is not on record.
 */
static inline TimestampTz
jifen_standing_lapse(const JifenLot *lot)
{
	return lot->lapses_at == DT_NOEND ? lot->due_at : lot->lapses_at;
}

/* Appends a copy of the element to one of the account's arrays. */
#define JIFEN_APPEND(account, array, element) \
	((account)->array = jifen_grown((account)->array, (account)->n##array, \
									&(account)->max##array, sizeof(*(account)->array)), \
	 (account)->array[(account)->n##array] = *(element), \
	 &(account)->array[(account)->n##array++])

/* book.c */
extern const char *jifen_kind_name(JifenKind kind);
extern JifenKind jifen_kind_from_name(const char *name);
extern JifenTrace jifen_trace_of_kind(JifenKind kind);
extern JifenRefusal *jifen_refuse(int sqlerrcode, char *message, char *detail, char *hint);
extern void *jifen_grown(void *array, int used, int *allotted, Size element);
extern int	jifen_compare_lots(TimestampTz expires_at, int64 seq,
							   TimestampTz other_expires_at, int64 other_seq);
extern JifenLot *jifen_find_lot(const JifenAccount *account, TimestampTz expires_at, int64 seq);
extern JifenLot *jifen_add_lot(JifenAccount *account, const JifenLot *lot);
extern void jifen_add_use(JifenAccount *account, const JifenUse *use);
extern void jifen_add_booked(JifenAccount *account, const JifenBookedExpiry *booked);
extern JifenHold *jifen_add_hold(JifenAccount *account, const JifenHold *hold);
extern JifenHold *jifen_find_hold(const JifenAccount *account, int64 seq);
extern JifenDebt *jifen_add_debt(JifenAccount *account, const JifenDebt *debt);
extern JifenTarget *jifen_add_target(JifenAccount *account, const JifenTarget *target);
extern JifenTarget *jifen_find_target(const JifenAccount *account, int64 seq);
extern void jifen_add_taken(JifenTaken **taken, int *ntaken, const JifenLot *lot,
							PointAmount amount);
extern JifenAccount *jifen_copy_account(const JifenAccount *account);
extern void jifen_restore_account(JifenAccount *account, const JifenAccount *copy);

/* revenue.c */
extern Datum jifen_share_of_revenue(Datum revenue, PointAmount part, PointAmount whole,
									bool is_carried);
extern Datum jifen_undone_revenue(Datum revenue, PointAmount before, PointAmount after,
								  PointAmount whole);

/* move.c */
extern void jifen_begin_step(JifenAccount *account);
extern void jifen_keep_origin(JifenEntry *entry, const JifenLot *lot, PointAmount amount);
extern JifenEntry *jifen_add_entry(JifenAccount *account, JifenKind kind,
								   PointAmount amount, PointAmount held,
								   PointAmount debt, TimestampTz event_at,
								   const JifenPosting *posting);
extern JifenLot *jifen_add_own_lot(JifenAccount *account, JifenEntry *entry,
								   PointAmount amount, const JifenClock *clock,
								   TimestampTz available_at);
extern void jifen_allocate(JifenAccount *account, JifenLot *lot, PointAmount amount);
extern bool jifen_lots_suffice(JifenAccount *account, PointAmount amount,
							   TimestampTz at);
extern PointAmount jifen_choose(JifenAccount *account, PointAmount amount,
								TimestampTz at, const JifenLot *own, PointAmount *takes);
extern void jifen_order_booked(JifenAccount *account);
extern void jifen_reinstate_booked(JifenAccount *account, const PointAmount *returns);
extern void jifen_reinstate_taken(JifenAccount *account, const PointAmount *takes);
extern void jifen_take(JifenAccount *account, const PointAmount *takes);
extern void jifen_give_back(JifenAccount *account, JifenTaken *taken, int ntaken,
							PointAmount amount, int64 seq);
extern void jifen_expire_lots(JifenAccount *account, JifenLot **lots, int n, TimestampTz event_at);
extern void jifen_expire_given(JifenAccount *account, TimestampTz event_at);
extern void jifen_judge(JifenAccount *account, TimestampTz at);
extern JifenEntry *jifen_extend_lot(JifenAccount *account, JifenLot *lot, PointAmount amount,
									TimestampTz event_at, const JifenClock *clock,
									const JifenPosting *posting);
extern void jifen_extend_given(JifenAccount *account, TimestampTz event_at,
							   const JifenClock *clock);
extern void jifen_repay_debts(JifenAccount *account, TimestampTz event_at);

/* posting.c */
extern TimestampTz jifen_default_event_at(const JifenProgram *program, TimestampTz now,
										  TimestampTz latest);
extern JifenRefusal *jifen_require_open_period(const JifenProgram *program, TimestampTz event_at);
extern JifenRefusal *jifen_require_open(const JifenAccount *account);
extern JifenRefusal *jifen_refuse_overflow(const JifenAccount *account, PointAmount amount);
extern JifenRefusal *jifen_refuse_lapsed(TimestampTz available_at, TimestampTz expires_at);
extern JifenRefusal *jifen_reckon_expiry(const JifenAccount *account, const ExpiryPolicy *policy,
										 TimestampTz from, TimestampTz active_at,
										 JifenClock *clock);
extern JifenRefusal *jifen_take_points(JifenAccount *account, JifenPosting *posting,
									   JifenKind kind, PointAmount amount,
									   const JifenLot *own, bool may_owe, int64 *entry_seq);
extern JifenRefusal *jifen_post_credit(JifenAccount *account, JifenPosting *posting);
extern JifenRefusal *jifen_post_redeem(JifenAccount *account, JifenPosting *posting);
extern JifenRefusal *jifen_post_penalty(JifenAccount *account, JifenPosting *posting);
extern JifenRefusal *jifen_post_transfer(JifenAccount *account, JifenAccount *receiver,
										 JifenPosting *posting);

/* lapse.c */
extern bool jifen_is_moving(const JifenProgram *program, const ExpiryPolicy *policy);
extern TimestampTz jifen_activity_by(JifenAccount *account, const JifenRule *rule, TimestampTz at);
extern void jifen_wind_lot(JifenAccount *account, JifenLot *lot);
extern void jifen_wind_lots(JifenAccount *account);
extern TimestampTz jifen_planned_lapse(const JifenLot *lot, TimestampTz at);
extern int *jifen_order_of_taking(JifenAccount *account, const JifenTaken *taken, int ntaken,
								  int64 seq);
extern void jifen_post_expiry(JifenAccount *account, TimestampTz as_of);
extern void jifen_expire_moving(JifenAccount *account, TimestampTz by);
extern void jifen_settle_moving(JifenAccount *account);

/* hold.c */
extern JifenRefusal *jifen_post_hold(JifenAccount *account, JifenPosting *posting);
extern JifenRefusal *jifen_post_capture(JifenAccount *account, JifenPosting *posting);
extern JifenRefusal *jifen_post_release(JifenAccount *account, JifenPosting *posting);
extern bool jifen_has_due_hold(const JifenAccount *account, TimestampTz as_of);
extern int	jifen_post_due_holds(JifenAccount *account, TimestampTz as_of);

/* reverse.c */
extern JifenRefusal *jifen_check_reversal(const JifenAccount *account,
										  const JifenPosting *posting,
										  const JifenTarget *target);
extern PointAmount jifen_reversed_amount(const JifenPosting *posting, const JifenTarget *target);
extern JifenRefusal *jifen_post_reversal(JifenAccount *account, JifenPosting *posting,
										 JifenTarget *target);
extern JifenRefusal *jifen_post_transfer_reversal(JifenAccount *account,
												  JifenAccount *counter,
												  JifenPosting *posting,
												  JifenTarget *target);

#endif							/* JIFEN_POSTING_H */
