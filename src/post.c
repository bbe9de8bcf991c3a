/*
 * post.c
 *	  The one path of all postings, one or ten thousand alike: lock the
 *	  accounts, load what is needed, decide in the order given, store.
 *
 * Each account is updated once.  Only a posting that refers to what an earlier
 * one of its batch has posted makes the batch store in between.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#include "batch.h"
#include "plan.h"
#include "post.h"
#include "storage.h"

static JifenStatement remove_accounts = {
	"with removed as (delete from jifen.account where account_id = any ($1))"
	" delete from jifen.status_change where account_id = any ($1)",
	1, {INT8ARRAYOID}
};

/* Saves the account, once, so that a group can be undone. */
static void
save_account(JifenAccount *account, List **accounts, List **copies)
{
	if (account == NULL || list_member_ptr(*accounts, account))
		return;
	*accounts = lappend(*accounts, account);
	*copies = lappend(*copies, jifen_copy_account(account));
}

/* The postings of the group that first belongs to. */
static List *
list_group(JifenBatch *batch, JifenPosting *first)
{
	List	   *members = NIL;

	for (JifenPosting *posting = first; posting < batch->postings + batch->n; posting++)
	{
		if (posting->group && jifen_compare_texts(posting->group, first->group) == 0)
			members = lappend(members, posting);
	}
	return members;
}

/* Decides postings in their order as far as the first refused one, which it returns. */
static JifenPosting *
settle_until_refused(JifenBatch *batch, List *postings)
{
	ListCell   *lc;

	foreach(lc, postings)
	{
		jifen_settle(batch, lfirst(lc));
		if (((JifenPosting *) lfirst(lc))->refusal)
			return lfirst(lc);
	}
	return NULL;
}

/*
 * The same within a subtransaction, which is undone if one is refused: what
 * the postings store in order to refer to it goes with it.
 */
static JifenPosting *
settle_in_subtransaction(JifenBatch *batch, List *postings)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	JifenPosting *refused = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		refused = settle_until_refused(batch, postings);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		ReThrowError(error);
	}
	PG_END_TRY();
	if (refused)
		RollbackAndReleaseCurrentSubTransaction();
	else
		ReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return refused;
}

/*
 * Whether the posting may need to look up what the batch has posted.  The
 * account that a transfer was made to is not foreseen.
 */
static bool
may_refer_to_batch(JifenBatch *batch, JifenPosting *posting)
{
	JifenTarget *target;

	if (posting->repeats_key)
		return true;
	if (posting->kind != JIFEN_REVERSE)
		return false;
	target = jifen_batch_target(batch, posting);
	return target == NULL || jifen_is_transfer(target->kind);
}

/* Decides the postings of a group, all or none of them. */
static void
settle_group(JifenBatch *batch, JifenPosting *first)
{
	List	   *postings = list_group(batch, first);
	List	   *accounts = NIL;
	List	   *copies = NIL;
	bool		refers_to_batch = false;
	JifenPosting *refused;
	ListCell   *lc;
	ListCell   *copy;

	foreach(lc, postings)
	{
		JifenPosting *posting = lfirst(lc);

		posting->is_done = true;
		if (posting->refusal == NULL && posting->first == NULL)
			refers_to_batch |= may_refer_to_batch(batch, posting);
	}
	if (refers_to_batch)
		jifen_store(batch->accounts, batch->naccounts);
	foreach(lc, postings)
	{
		JifenPosting *posting = lfirst(lc);

		/* The other account of a transfer may only now be known. */
		if (refers_to_batch && posting->kind == JIFEN_REVERSE &&
			posting->refusal == NULL && posting->first == NULL)
			(void) jifen_batch_target(batch, posting);
		save_account(posting->account, &accounts, &copies);
		save_account(posting->counter, &accounts, &copies);
	}

	batch->keeps_unstored = !refers_to_batch;
	refused = refers_to_batch ? settle_in_subtransaction(batch, postings) :
		settle_until_refused(batch, postings);
	batch->keeps_unstored = false;
	if (refused == NULL)
		return;
	forboth(lc, accounts, copy, copies)
		jifen_restore_account(lfirst(lc), lfirst(copy));
	foreach(lc, postings)
	{
		JifenPosting *posting = lfirst(lc);

		if (posting == refused)
			continue;
		posting->refusal =
			jifen_refuse(refused->refusal->sqlerrcode,
						 psprintf("another posting of group \"%s\" was refused",
								  TextDatumGetCString(first->group)),
						 psprintf("Posting %d: %s", (int) (refused - batch->postings) + 1,
								  refused->refusal->message),
						 psprintf("The postings of a group are posted together or not at all."));
	}
}

/* Takes back the opening of accounts on which nothing was posted. */
static void
remove_unused(JifenBatch *batch)
{
	int			n = 0;
	Datum		values[1];

	for (int i = 0; i < batch->nopened; i++)
	{
		if (jifen_account_of_id(batch->accounts, batch->naccounts, batch->opened[i])->last_seq == 0)
			batch->opened[n++] = batch->opened[i];
	}
	if (n == 0)
		return;
	values[0] = jifen_int8_array(batch->opened, n);
	jifen_execute(&remove_accounts, values, NULL, false, 0);
}

/*
 * Posts them in their order.  With skip, refused postings have their refusal
 * and the others are posted, those of a group together or not at all.  Without
 * it, the first refused posting is returned and nothing is posted.
 */
JifenPosting *
jifen_post(JifenPosting *postings, int n, bool skip)
{
	JifenBatch	batch = {postings, n, GetCurrentTransactionStartTimestamp()};

	for (int i = 0; i < n && skip; i++)
		batch.has_groups |= postings[i].group != (Datum) 0;
	jifen_prepare(&batch);
	for (int i = 0; i < n; i++)
	{
		JifenPosting *posting = &postings[i];

		if (posting->is_done)
			continue;
		if (skip && posting->group)
			settle_group(&batch, posting);
		else
			jifen_settle(&batch, posting);
		if (posting->refusal && !skip)
			return posting;
	}
	jifen_store(batch.accounts, batch.naccounts);
	remove_unused(&batch);
	return NULL;
}
