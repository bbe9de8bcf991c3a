/*
 * batch.h
 *	  Postings that are posted together, and the accounts that they concern.
 *
 * prepare.c locks and loads, provide.c loads what only few need, decide.c decides
 * one posting after the other, post.c runs the whole.
 */
#ifndef JIFEN_BATCH_H
#define JIFEN_BATCH_H

#include "postgres.h"

#include "posting.h"

/* A member whom the batch concerns. */
typedef struct JifenMember
{
	Datum		program;
	Datum		member;
	bool		may_open;		/* a posting opens unknown members' accounts */
	bool		exists;			/* there is an account, as far as is known */
	JifenAccount *account;		/* once it is locked */
	JifenRefusal *refusal;		/* why there is no account */
} JifenMember;

typedef struct JifenBatch
{
	JifenPosting *postings;
	int			n;
	TimestampTz now;
	JifenMember *members;		/* in order, each once */
	int			nmembers;
	JifenAccount **accounts;	/* locked, in account order */
	int			naccounts;
	int64	   *opened;			/* account_ids */
	int			nopened;
	bool		has_groups;		/* and refused postings are skipped */
	bool		keeps_unstored; /* what is decided may have to be undone */
} JifenBatch;

/* prepare.c */
extern JifenMember *jifen_find_member(const JifenBatch *batch, Datum program, Datum member);
extern void jifen_prepare(JifenBatch *batch);

/* provide.c */
extern bool jifen_is_transfer(JifenKind kind);
extern bool jifen_is_debit(const JifenPosting *posting);
extern bool jifen_credits_moving(const JifenPosting *posting);
extern bool jifen_may_give_back(const JifenPosting *posting);
extern JifenTarget *jifen_batch_target(JifenBatch *batch, JifenPosting *posting);
extern void jifen_store_so_far(JifenBatch *batch, const JifenAccount *account);
extern void jifen_prepare_moving(JifenBatch *batch, JifenPosting *posting);
extern void jifen_release_due(JifenBatch *batch, JifenAccount *account, TimestampTz by);
extern void jifen_prepare_debit(JifenBatch *batch, JifenAccount *account,
								PointAmount amount, TimestampTz at, bool needs_history);
extern void jifen_prepare_withdrawal(JifenBatch *batch, JifenAccount *account,
									 const JifenTarget *credit, PointAmount amount,
									 TimestampTz at);

/* decide.c */
extern void jifen_settle(JifenBatch *batch, JifenPosting *posting);

#endif							/* JIFEN_BATCH_H */
