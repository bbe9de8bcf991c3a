/*
 * prepare.c
 *	  Locks the accounts that a batch concerns and loads what it needs of them.
 *
 * Each account is locked once, in account order.  What most postings need is
 * loaded for all of them together; what only few need, by provide.c.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "batch.h"
#include "storage.h"

/* By member and program. */
static int
compare_pairs(Datum member, Datum program, Datum other_member, Datum other_program)
{
	int			result = jifen_compare_texts(member, other_member);

	return result != 0 ? result : jifen_compare_texts(program, other_program);
}

static int
compare_members(const void *a, const void *b)
{
	const JifenMember *first = a;
	const JifenMember *second = b;

	return compare_pairs(first->member, first->program, second->member, second->program);
}

JifenMember *
jifen_find_member(const JifenBatch *batch, Datum program, Datum member)
{
	JifenMember key = {program, member};

	return bsearch(&key, batch->members, batch->nmembers, sizeof(JifenMember), compare_members);
}

/* A member whom a posting concerns. */
typedef struct Side
{
	Datum		program;
	Datum		member;
	JifenPosting *posting;
	int			place;			/* among the members of the batch */
	bool		is_counter;		/* of a transfer that it makes or reverses */
} Side;

static int
compare_sides(const Side *a, const Side *b)
{
	return compare_pairs(a->member, a->program, b->member, b->program);
}

#define ST_SORT sort_sides
#define ST_ELEMENT_TYPE Side
#define ST_COMPARE(a, b) compare_sides(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The sides of the postings, in the order of their members. */
static Side *
list_sides(JifenBatch *batch, int *nsides)
{
	Side	   *sides;
	JifenPosting **reversals;
	Datum	   *counters;
	int			nreversals = 0;
	int			n = 0;

	for (int i = 0; i < batch->n; i++)
	{
		const JifenPosting *posting = &batch->postings[i];

		n += posting->to_member || posting->kind == JIFEN_REVERSE ? 2 : 1;
		nreversals += posting->kind == JIFEN_REVERSE;
	}
	sides = palloc_extended((n + 1) * sizeof(Side), MCXT_ALLOC_HUGE);
	reversals = palloc((nreversals + 1) * sizeof(JifenPosting *));
	counters = palloc((nreversals + 1) * sizeof(Datum));

	n = nreversals = 0;
	for (int i = 0; i < batch->n; i++)
	{
		JifenPosting *posting = &batch->postings[i];

		if (posting->refusal)
			continue;
		sides[n++] = (Side)
		{
			posting->program, posting->member, posting
		};
		if (posting->to_member)
			sides[n++] = (Side)
		{
			posting->program, posting->to_member, posting, 0, true
		};
		if (posting->kind == JIFEN_REVERSE)
			reversals[nreversals++] = posting;
	}
	if (nreversals > 0)
		jifen_find_counters(reversals, nreversals, counters);
	for (int i = 0; i < nreversals; i++)
	{
		if (counters[i])
			sides[n++] = (Side)
		{
			reversals[i]->program, counters[i], reversals[i], 0, true
		};
	}
	pfree(reversals);
	pfree(counters);
	sort_sides(sides, n);
	*nsides = n;
	return sides;
}

/* Lists the members whom the postings concern, each once. */
static void
list_members(JifenBatch *batch, Side *sides, int nsides)
{
	int			n = 0;

	for (int i = 0; i < nsides; i++)
	{
		if (i > 0 && compare_sides(&sides[i - 1], &sides[i]) != 0)
			n++;
		sides[i].place = n;
	}
	batch->nmembers = nsides == 0 ? 0 : n + 1;
	batch->members = palloc_extended((batch->nmembers + 1) * sizeof(JifenMember),
									 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < nsides; i++)
	{
		JifenMember *member = &batch->members[sides[i].place];

		member->program = sides[i].program;
		member->member = sides[i].member;
		member->may_open |= !sides[i].is_counter &&
			(sides[i].posting->kind == JIFEN_EARN || sides[i].posting->kind == JIFEN_IMPORT);
	}
}

/* Orders an account's member as compare_members() does. */
static int
compare_account_with_member(const void *key, const void *element)
{
	const JifenAccount *account = key;
	const JifenMember *member = element;
	int			result = jifen_compare_string(account->member, member->member);

	return result != 0 ? result : jifen_compare_string(account->program->code, member->program);
}

/* Finds the accounts of those of the listed members who have none yet, as far as is known. */
static void
find_accounts(JifenBatch *batch, JifenFinding *finding)
{
	JifenMember **missing = palloc(batch->nmembers * sizeof(JifenMember *));
	Datum	   *programs = palloc(batch->nmembers * sizeof(Datum));
	Datum	   *members = palloc(batch->nmembers * sizeof(Datum));
	bool	   *exist = palloc(batch->nmembers * sizeof(bool));
	int			n = 0;

	for (int i = 0; i < batch->nmembers; i++)
	{
		JifenMember *member = &batch->members[i];

		if (member->exists || member->refusal)
			continue;
		programs[n] = member->program;
		members[n] = member->member;
		missing[n++] = member;
	}
	jifen_find_members(finding, programs, members, n, exist);
	for (int i = 0; i < n; i++)
		missing[i]->exists = exist[i];
	pfree(missing);
	pfree(programs);
	pfree(members);
	pfree(exist);
}

/* Locks the accounts that were found. */
static void
lock_accounts(JifenBatch *batch, JifenFinding *finding)
{
	batch->accounts = jifen_lock_found(finding, &batch->naccounts);
	for (int i = 0; i < batch->naccounts; i++)
	{
		JifenAccount *account = batch->accounts[i];
		JifenMember *member = bsearch(account, batch->members, batch->nmembers,
									  sizeof(JifenMember), compare_account_with_member);

		member->account = account;
	}
	for (int i = 0; i < batch->nmembers; i++)
		batch->members[i].exists = batch->members[i].account != NULL;
}

/* Opens accounts for those who have none, where their program does so. */
static void
open_members(JifenBatch *batch)
{
	int32	   *program_ids = palloc((batch->nmembers + 1) * sizeof(int32));
	Datum	   *members = palloc((batch->nmembers + 1) * sizeof(Datum));
	JifenProgram *program = NULL;
	Datum		code = (Datum) 0;
	int			n = 0;

	for (int i = 0; i < batch->nmembers; i++)
	{
		JifenMember *member = &batch->members[i];

		if (member->exists)
			continue;
		/* Mostly they are of one program. */
		if (code == (Datum) 0 || jifen_compare_texts(code, member->program) != 0)
			program = jifen_find_program(member->program);
		code = member->program;
		if (program == NULL)
			member->refusal = jifen_refuse_unknown_program(member->program);
		else if (!program->auto_open || !member->may_open)
			member->refusal = jifen_refuse_unknown_member(program, member->member);
		else
		{
			program_ids[n] = program->program_id;
			members[n++] = member->member;
		}
	}
	if (n > 0)
	{
		batch->opened = palloc(n * sizeof(int64));
		batch->nopened = jifen_open_accounts(program_ids, members, n, JIFEN_NO_TIME, batch->opened);
	}
	pfree(program_ids);
	pfree(members);
}

/* A member who was found may have been renamed before the account was locked. */
static void
refuse_vanished(JifenBatch *batch)
{
	for (int i = 0; i < batch->nmembers; i++)
	{
		JifenMember *member = &batch->members[i];

		if (member->account == NULL && member->refusal == NULL)
			member->refusal = jifen_refuse_unknown_member(jifen_find_program(member->program),
														  member->member);
	}
}

/* Gives each posting its account and its counterpart, or its refusal. */
static void
assign_accounts(JifenBatch *batch, const Side *sides, int nsides)
{
	for (int i = 0; i < nsides; i++)
	{
		const JifenMember *member = &batch->members[sides[i].place];
		JifenPosting *posting = sides[i].posting;

		if (!sides[i].is_counter)
		{
			posting->account = member->account;
			if (member->refusal)
				posting->refusal = member->refusal;
		}
		else if (posting->to_member)
		{
			posting->counter = member->account;
			/* A key comes first: what it names decides. */
			if (posting->refusal == NULL && posting->idempotency_key == (Datum) 0)
				posting->refusal = member->refusal;
		}
	}
}

static int
compare_keys(const void *a, const void *b)
{
	const JifenPosting *first = *(JifenPosting *const *) a;
	const JifenPosting *second = *(JifenPosting *const *) b;

	if (first->account != second->account)
		return first->account->account_id < second->account->account_id ? -1 : 1;
	return jifen_compare_texts(first->idempotency_key, second->idempotency_key);
}

/* Finds what the postings' keys have been used for, before and in the batch. */
static void
load_keys(JifenBatch *batch)
{
	JifenPosting **keyed = palloc((batch->n + 1) * sizeof(JifenPosting *));
	int			n = 0;

	for (int i = 0; i < batch->n; i++)
	{
		if (batch->postings[i].refusal == NULL && batch->postings[i].idempotency_key)
			keyed[n++] = &batch->postings[i];
	}
	if (n == 0)
		return;
	/* In account order, what is looked up lies close together. */
	qsort(keyed, n, sizeof(JifenPosting *), compare_keys);
	jifen_load_keys(keyed, n);
	for (int i = 0; i < n; i++)
		keyed[i]->repeats_key = (i > 0 && compare_keys(&keyed[i - 1], &keyed[i]) == 0) ||
			(i + 1 < n && compare_keys(&keyed[i], &keyed[i + 1]) == 0);
	pfree(keyed);
}

/* Whether a side of a posting has moving lots or will have some. */
static bool
concerns_moving(const JifenBatch *batch)
{
	for (int i = 0; i < batch->n; i++)
	{
		const JifenPosting *posting = &batch->postings[i];

		if (posting->refusal || posting->first)
			continue;
		if (posting->account->due_at != JIFEN_NO_TIME || jifen_credits_moving(posting) ||
			(posting->counter && posting->counter->due_at != JIFEN_NO_TIME))
			return true;
	}
	return false;
}

/* When the posting happens, if nothing before it in the batch is refused. */
static TimestampTz
foresee_event_at(const JifenBatch *batch, const JifenPosting *posting)
{
	TimestampTz at;

	if (posting->event_at != JIFEN_NO_TIME)
		return posting->event_at;
	at = jifen_default_event_at(posting->account->program, batch->now, posting->account->foreseen);
	return posting->counter ? Max(at, posting->counter->foreseen) : at;
}

/* Groups change the order: what is latest of an account may come first. */
static void
foresee_groups(JifenBatch *batch)
{
	for (int i = 0; i < batch->n; i++)
	{
		JifenPosting *posting = &batch->postings[i];
		TimestampTz at;

		if (posting->refusal || posting->first)
			continue;
		at = foresee_event_at(batch, posting);
		posting->account->foreseen = Max(posting->account->foreseen, at);
		if (posting->counter)
			posting->counter->foreseen = Max(posting->counter->foreseen, at);
	}
}

/* Loads the entries that the batch reverses, as far as they are there already. */
static void
load_targets(JifenBatch *batch)
{
	JifenKeys	entries = {0};

	for (int i = 0; i < batch->n; i++)
	{
		JifenPosting *posting = &batch->postings[i];

		if (posting->refusal == NULL && posting->first == NULL && posting->kind == JIFEN_REVERSE)
			jifen_add_key(&entries, posting->account->account_id, Int64GetDatum(posting->seq));
	}
	jifen_load_targets(batch->accounts, batch->naccounts, &entries);
}

/* How many points the debit takes, at least. */
static PointAmount
points_of_debit(const JifenPosting *posting)
{
	if (posting->amount == PG_INT64_MIN)
		return PG_INT64_MAX;
	return posting->amount < 0 ? -posting->amount : posting->amount;
}

/* Loads the moving lots of the accounts that are named. */
static void
load_moving_lots(JifenBatch *batch, const JifenKeys *named)
{
	JifenAccount **accounts = palloc((named->n + 1) * sizeof(JifenAccount *));

	for (int i = 0; i < named->n; i++)
		accounts[i] = jifen_account_of_id(batch->accounts, batch->naccounts, named->account_ids[i]);
	jifen_load_moving_lots(accounts, named->n);
	pfree(accounts);
}

/*
 * Loads what the postings will need of the accounts: holds, debts, the lots
 * that are first to be spent and, where a posting happens before what the
 * account has seen by then, its history.
 */
static void
load_accounts(JifenBatch *batch)
{
	JifenKeys	holds = {0};
	JifenKeys	lots = {0};
	TimestampTz latest = batch->now;

	for (int a = 0; a < batch->naccounts; a++)
	{
		batch->accounts[a]->foreseen = batch->accounts[a]->last_event_at;
		batch->accounts[a]->known_from = DT_NOEND;
	}
	load_targets(batch);
	if (batch->has_groups)
		foresee_groups(batch);
	/* A group cannot look up later what it may need. */
	if (batch->has_groups && concerns_moving(batch))
	{
		for (int a = 0; a < batch->naccounts; a++)
			jifen_load_history(batch->accounts[a], true);
	}
	for (int i = 0; i < batch->n; i++)
	{
		JifenPosting *posting = &batch->postings[i];
		JifenAccount *account = posting->account;
		TimestampTz at;

		CHECK_FOR_INTERRUPTS();
		if (posting->refusal || posting->first)
			continue;
		at = foresee_event_at(batch, posting);
		latest = Max(latest, at);
		if (posting->kind == JIFEN_CAPTURE || posting->kind == JIFEN_RELEASE)
			jifen_add_key(&holds, account->account_id, Int64GetDatum(posting->seq));
		if (jifen_is_debit(posting) || posting->kind == JIFEN_REVERSE)
		{
			JifenTarget *target = posting->kind == JIFEN_REVERSE ?
			jifen_find_target(account, posting->seq) : NULL;
			bool		is_credit = target && target->expires_at != JIFEN_NO_TIME;

			if ((target == NULL || is_credit) &&
				(at < account->foreseen || (account->held > 0 && at < batch->now) ||
				 (is_credit && target->expires_at <= at)))
				jifen_load_history(account, false);
			if (jifen_is_debit(posting))
			{
				account->known_from = Min(account->known_from, at);
				if (pg_add_s64_overflow(account->wanted, points_of_debit(posting), &account->wanted))
					account->wanted = PG_INT64_MAX;
			}
		}
		account->foreseen = Max(account->foreseen, at);
		if (posting->counter)
			posting->counter->foreseen = Max(posting->counter->foreseen, at);
	}

	/*
	 * A reversal of a transfer may happen with the latest of the other
	 * account.
	 */
	for (int a = 0; a < batch->naccounts; a++)
		latest = Max(latest, batch->accounts[a]->foreseen);
	jifen_load_holds(batch->accounts, batch->naccounts, &holds, latest);
	jifen_load_for_due_holds(batch->accounts, batch->naccounts, latest);
	jifen_load_debts(batch->accounts, batch->naccounts);
	for (int a = 0; a < batch->naccounts; a++)
	{
		JifenAccount *account = batch->accounts[a];

		if (account->known_from != DT_NOEND && !account->has_history)
			jifen_add_key(&lots, account->account_id, TimestampTzGetDatum(account->known_from));
	}
	jifen_load_first_lots(batch->accounts, batch->naccounts, &lots);
	load_moving_lots(batch, &lots);
}

/* The accounts that were opened are among those that were found, unless a trigger renames them. */
static void
mark_opened(JifenBatch *batch)
{
	for (int i = 0; i < batch->nopened; i++)
	{
		JifenAccount *account = jifen_account_of_id(batch->accounts, batch->naccounts, batch->opened[i]);

		if (account == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
					 errmsg("the member of an account that was opened is not found by its name"),
					 errdetail("A trigger of jifen.account gave it another one."),
					 errhint("Give members' names to postings as they are to be stored.")));
		account->is_opened = true;
	}
}

/* Locks the accounts of the batch, gives each posting its own, and loads. */
void
jifen_prepare(JifenBatch *batch)
{
	int			nsides;
	Side	   *sides = list_sides(batch, &nsides);
	JifenFinding *finding;

	list_members(batch, sides, nsides);
	if (batch->nmembers == 0)
		return;

	finding = jifen_begin_finding(batch->nmembers);
	find_accounts(batch, finding);

	/*
	 * Accounts are opened while none is locked, or the new ones would be
	 * locked out of order.  A single one is mostly there.
	 */
	if (batch->nmembers == 1)
		lock_accounts(batch, finding);
	open_members(batch);
	if (batch->opened)
	{
		jifen_renew_finding(finding);
		find_accounts(batch, finding);
	}
	if (batch->naccounts == 0)
		lock_accounts(batch, finding);
	jifen_end_finding(finding);
	mark_opened(batch);
	refuse_vanished(batch);
	assign_accounts(batch, sides, nsides);
	pfree(sides);
	load_keys(batch);
	load_accounts(batch);
}
