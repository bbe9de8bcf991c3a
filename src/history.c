/*
 * history.c
 *	  Loads what a posting needs of the journal: the entries that it undoes, and
 *	  all uses of all credits where it happened before the latest entry.
 *
 * In the statements here and in moving.c, OFFSET 0 keeps a join by its whole
 * key: on tables that were never analyzed, the planner thinks that the account
 * alone is as good, and reads all of the account's rows for each of them.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tables.h"

#define TARGET_COLUMNS \
	"e.account_id, e.seq, e.kind, e.amount, e.qualifying," \
	" greatest(e.event_at, (select max(event_at) from jifen.entry" \
	"   where account_id = e.account_id and debt_seq = e.seq)), e.expires_at," \
	" e.counter_account_id, e.counter_seq," \
	" (select sum(abs(amount::bigint))::bigint from jifen.entry" \
	"  where account_id = e.account_id and reverses_seq = e.seq)," \
	" (select sum(amount::bigint)::bigint from jifen.entry" \
	"  where account_id = e.account_id and debt_seq = e.seq)," \
	" case e.kind when 'capture' then e.hold_seq else e.seq end," \
	" case when e.kind in ('earn', 'import') then e.revenue end"

static JifenStatement load_targets = {
	"select " TARGET_COLUMNS
	" from unnest($1, $2) w (account_id, seq)"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = w.account_id and seq = w.seq offset 0) e",
	2, {INT8ARRAYOID, INT8ARRAYOID}
};

/*
 * What the entries took of which lots, less what was given back: by
 * themselves or, of a capture, by its hold, and in repayment of their debt.
 */
static JifenStatement load_taken = {
	"select " JIFEN_CREDIT_COLUMNS ", w.seq, x.amount"
	" from unnest($1, $2) w (account_id, seq)"
	" cross join lateral ("
	"   select a.lot_seq, sum(a.amount) as amount from ("
	"     select w.seq"
	"     union all select e.hold_seq from jifen.entry e"
	"       where e.account_id = w.account_id and e.seq = w.seq"
	"     union all select r.seq from jifen.entry e"
	"       cross join lateral (select seq from jifen.entry where account_id = w.account_id"
	"         and hold_seq = e.hold_seq and kind = 'release' offset 0) r"
	"       where e.account_id = w.account_id and e.seq = w.seq"
	"     union all select e.seq from jifen.entry e"
	"       where e.account_id = w.account_id and e.reverses_seq = w.seq"
	"     union all select e.seq from jifen.entry e"
	"       where e.account_id = w.account_id and e.debt_seq = w.seq) s"
	"   cross join lateral (select lot_seq, amount from jifen.allocation"
	"     where account_id = w.account_id and seq = s.seq offset 0) a"
	"   group by a.lot_seq) x"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = w.account_id and seq = x.lot_seq offset 0) c"
	" left join jifen.lot l on l.account_id = w.account_id and l.expires_at = c.expires_at and l.seq = c.seq"
	" order by w.account_id, w.seq, c.expires_at, c.seq",
	2, {INT8ARRAYOID, INT8ARRAYOID}
};

/* The credits that a transfer of $2, $3 made, in the order of their lots. */
static JifenStatement load_transfer_ins = {
	"select seq from jifen.entry"
	" where account_id = $1 and counter_account_id = $2 and counter_seq = $3"
	"   and kind = 'transfer_in'"
	"   and seq >= (select counter_seq from jifen.entry where account_id = $2 and seq = $3)"
	" order by seq limit (select count(*) from jifen.allocation where account_id = $2 and seq = $3)",
	3, {INT8OID, INT8OID, INT8OID}
};

/* All credits in spending order. */
static JifenStatement load_credits = {
	"select " JIFEN_CREDIT_COLUMNS ", c.event_at"
	" from jifen.entry c"
	" left join jifen.lot l on l.account_id = $1 and l.expires_at = c.expires_at and l.seq = c.seq"
	" where c.account_id = $1 and c.expires_at is not null"
	" order by c.expires_at, c.seq",
	1, {INT8OID}
};

#define ENTRY_OF_ALLOCATION \
	"select * from jifen.entry where account_id = x.account_id and seq = x.seq offset 0"

static JifenStatement load_uses = {
	"select x.lot_seq, e.event_at, x.amount"
	" from jifen.allocation x"
	" cross join lateral (" ENTRY_OF_ALLOCATION ") e"
	" where x.account_id = $1 and e.kind not in ('expire', 'reinstate')",
	1, {INT8OID}
};

/* What expiry booked and nobody gave back. */
static JifenStatement load_booked_expiry = {
	"select x.lot_seq, case e.kind when 'expire' then x.seq else e.reverses_seq end as expire_seq,"
	"       min(e.event_at) filter (where e.kind = 'expire'), sum(x.amount)"
	" from jifen.allocation x"
	" cross join lateral (" ENTRY_OF_ALLOCATION ") e"
	" where x.account_id = $1 and e.kind in ('expire', 'reinstate')"
	" group by x.lot_seq, 2"
	" having sum(x.amount) > 0",
	1, {INT8OID}
};

/* The other members of the transfers that these entries are of. */
static JifenStatement find_counters = {
	"select w.place, c.member"
	" from unnest($1, $2, $3) with ordinality w (code, member, seq, place)"
	" join jifen.program p on p.code = w.code"
	" cross join lateral (select account_id from jifen.account"
	"   where program_id = p.program_id and member = w.member offset 0) a"
	" cross join lateral (select counter_account_id from jifen.entry"
	"   where account_id = a.account_id and seq = w.seq offset 0) e"
	" join jifen.account c on c.account_id = e.counter_account_id",
	3, {TEXTARRAYOID, TEXTARRAYOID, INT8ARRAYOID}
};

/* The two arrays that stand for the keys in statements. */
static void
key_arrays(const JifenKeys *keys, Datum *values)
{
	int64	   *seqs = palloc((keys->n + 1) * sizeof(int64));

	for (int i = 0; i < keys->n; i++)
		seqs[i] = DatumGetInt64(keys->values[i]);
	values[0] = jifen_int8_array(keys->account_ids, keys->n);
	values[1] = jifen_int8_array(seqs, keys->n);
}

/*
 * When the entry was asked to happen: a reinstatement is dated as the expiry
 * that it undoes, and what follows from it as asked.
 */
static TimestampTz
asked_event_at(int64 account_id, int64 seq, JifenKind kind, TimestampTz event_at)
{
	JifenScan	scan;

	if (kind != JIFEN_REINSTATE)
		return event_at;
	jifen_begin_scan(&scan, "entry", Natts_entry, "entry_pkey", false);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account_id));
	jifen_set_key(&scan, 2, BTEqualStrategyNumber, Int64GetDatum(seq + 1));
	if (jifen_next_row(&scan))
		event_at = jifen_row_time(&scan, Anum_entry_event_at);
	jifen_end_scan(&scan);
	return event_at;
}

/* Sets first of the postings, which have keys, to the entries that have the same. */
void
jifen_load_keys(JifenPosting **postings, int n)
{
	JifenScan	scan;

	jifen_begin_scan(&scan, "entry", Natts_entry, "entry_key", false);
	for (int i = 0; i < n; i++)
	{
		JifenPosting *posting = postings[i];
		Datum		key = posting->idempotency_key;

		CHECK_FOR_INTERRUPTS();
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(posting->account->account_id));
		jifen_set_key(&scan, 2, BTEqualStrategyNumber,
					  DirectFunctionCall2Coll(hashtextextended, DEFAULT_COLLATION_OID,
											  key, Int64GetDatum(0)));
		while (posting->first == NULL && jifen_next_row(&scan))
		{
			if (jifen_compare_texts(key, jifen_row_datum(&scan, Anum_entry_idempotency_key)) != 0)
				continue;
			posting->first = DatumGetHeapTupleHeader(ExecFetchSlotHeapTupleDatum(scan.slot));
			posting->first_event_at =
				asked_event_at(posting->account->account_id, jifen_row_int64(&scan, Anum_entry_seq),
							   jifen_kind_from_name(TextDatumGetCString(jifen_row_datum(&scan, Anum_entry_kind))),
							   jifen_row_time(&scan, Anum_entry_event_at));
		}
	}
	jifen_end_scan(&scan);
}

/*
 * Sets of each reversal of a transfer the other member, 0 of others.  Reads
 * without locks: an entry never changes.
 */
void
jifen_find_counters(JifenPosting **reversals, int n, Datum *members)
{
	Datum	   *programs = palloc(n * sizeof(Datum));
	Datum	   *own = palloc(n * sizeof(Datum));
	int64	   *seqs = palloc(n * sizeof(int64));
	Datum		values[3];
	uint64		nfound;

	for (int i = 0; i < n; i++)
	{
		programs[i] = reversals[i]->program;
		own[i] = reversals[i]->member;
		seqs[i] = reversals[i]->seq;
		members[i] = (Datum) 0;
	}
	values[0] = jifen_text_array(programs, n);
	values[1] = jifen_text_array(own, n);
	values[2] = jifen_int8_array(seqs, n);
	nfound = jifen_execute(&find_counters, values, NULL, false, 0);
	for (uint64 row = 0; row < nfound; row++)
		members[jifen_get_int64(row, 1) - 1] = CStringGetTextDatum(jifen_get_string(row, 2));
}

/*
 * Loads the entries, each once, as far as the accounts have them; of debits
 * with the lots that they took from, of credits with their own lot.
 */
void
jifen_load_targets(JifenAccount **accounts, int naccounts, const JifenKeys *entries)
{
	JifenKeys	debits = {0};
	JifenKeys	credits = {0};
	Datum		values[2];
	uint64		n;

	if (entries->n == 0)
		return;
	key_arrays(entries, values);
	n = jifen_execute(&load_targets, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(accounts, naccounts, jifen_get_int64(row, 1));
		JifenTarget target = {0};

		target.seq = jifen_get_int64(row, 2);
		if (jifen_find_target(account, target.seq))
			continue;
		target.kind = jifen_kind_from_name(jifen_get_string(row, 3));
		target.amount = jifen_get_int64(row, 4);
		target.has_qualifying = !jifen_is_null(row, 5);
		target.qualifying = jifen_get_int64(row, 5);
		target.event_at = jifen_get_time(row, 6);
		target.expires_at = jifen_get_time(row, 7);
		target.counter_account_id = jifen_get_int64(row, 8);
		target.counter_seq = jifen_get_int64(row, 9);
		target.undone = jifen_get_int64(row, 10) + jifen_get_int64(row, 11);
		target.taking_seq = jifen_get_int64(row, 12);
		if (!jifen_is_null(row, 13))
			target.revenue = datumCopy(jifen_get_datum(row, 13), false, -1);
		jifen_add_target(account, &target);
		jifen_add_key(target.expires_at == JIFEN_NO_TIME ? &debits : &credits,
					  account->account_id, Int64GetDatum(target.seq));
	}

	if (debits.n > 0)
	{
		key_arrays(&debits, values);
		n = jifen_execute(&load_taken, values, NULL, false, 0);
		for (uint64 row = 0; row < n; row++)
		{
			JifenAccount *account = jifen_account_of_id(accounts, naccounts, jifen_get_int64(row, 1));
			JifenTarget *target = jifen_find_target(account, jifen_get_int64(row, JIFEN_CREDIT_NCOLUMNS + 1));

			jifen_add_taken(&target->taken, &target->ntaken,
							jifen_add_lot_of_row(account, row),
							jifen_get_int64(row, JIFEN_CREDIT_NCOLUMNS + 2));
		}
	}
	if (credits.n > 0)
	{
		JifenCredits finder;

		jifen_begin_credits(&finder);
		for (int i = 0; i < credits.n; i++)
			jifen_load_credit(jifen_account_of_id(accounts, naccounts, credits.account_ids[i]),
							  &finder, DatumGetInt64(credits.values[i]));
		jifen_end_credits(&finder);
	}
	jifen_wind_loaded(accounts, naccounts, &jifen_everything);
}

/* Loads both sides of a transfer: what was taken, and all credits of it. */
void
jifen_load_transfer(JifenAccount *giver, int64 out_seq, JifenAccount *receiver)
{
	JifenKeys	out = {0};
	JifenKeys	ins = {0};
	Datum		values[] = {Int64GetDatum(receiver->account_id), Int64GetDatum(giver->account_id),
	Int64GetDatum(out_seq)};
	uint64		n;

	jifen_add_key(&out, giver->account_id, Int64GetDatum(out_seq));
	jifen_load_targets(&giver, 1, &out);
	n = jifen_execute(&load_transfer_ins, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
		jifen_add_key(&ins, receiver->account_id, Int64GetDatum(jifen_get_int64(row, 1)));
	jifen_load_targets(&receiver, 1, &ins);
}

typedef struct CreditTime
{
	int64		seq;
	TimestampTz expires_at;
} CreditTime;

static int
compare_credit_seq(const void *a, const void *b)
{
	int64		first = ((const CreditTime *) a)->seq;
	int64		second = ((const CreditTime *) b)->seq;

	return first < second ? -1 : first > second;
}

static TimestampTz
expires_at_of(const CreditTime *credits, uint64 n, int64 seq)
{
	CreditTime	key = {seq, 0};
	CreditTime *found = bsearch(&key, credits, n, sizeof(CreditTime), compare_credit_seq);

	if (found == NULL)
		elog(ERROR, "allocation of entry " INT64_FORMAT ", which is no credit", seq);
	return found->expires_at;
}

/* Loads all credits of the account, all uses of them, and what expiry has booked. */
static void
load_lots_in_history(JifenAccount *account)
{
	Datum		values[] = {Int64GetDatum(account->account_id)};
	CreditTime *credits;
	uint64		ncredits;
	uint64		n;

	ncredits = jifen_execute(&load_credits, values, NULL, false, 0);
	credits = palloc_extended((ncredits + 1) * sizeof(CreditTime), MCXT_ALLOC_HUGE);
	for (uint64 row = 0; row < ncredits; row++)
	{
		JifenLot   *lot = jifen_add_lot_of_row(account, row);

		lot->credited_at = jifen_get_time(row, JIFEN_CREDIT_NCOLUMNS + 1);
		credits[row] = (CreditTime)
		{
			lot->seq, lot->expires_at
		};
	}
	qsort(credits, ncredits, sizeof(CreditTime), compare_credit_seq);
	n = jifen_execute(&load_uses, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenUse	use = {0};

		use.lot_seq = jifen_get_int64(row, 1);
		use.expires_at = expires_at_of(credits, ncredits, use.lot_seq);
		use.event_at = jifen_get_time(row, 2);
		use.amount = jifen_get_int64(row, 3);
		jifen_add_use(account, &use);
	}
	n = jifen_execute(&load_booked_expiry, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenBookedExpiry booked = {0};

		booked.lot_seq = jifen_get_int64(row, 1);
		booked.expires_at = expires_at_of(credits, ncredits, booked.lot_seq);
		booked.expire_seq = jifen_get_int64(row, 2);
		booked.event_at = jifen_get_time(row, 3);
		booked.amount = jifen_get_int64(row, 4);
		jifen_add_booked(account, &booked);
	}
	account->has_all_lots = true;
	account->has_moving_lots = true;
	account->has_history = true;
}

/* Whether jifen_load_history() would have anything to load. */
bool
jifen_lacks_history(const JifenAccount *account, bool with_activities)
{
	return !account->has_history ||
		(!account->has_activities && (with_activities || account->due_at != JIFEN_NO_TIME));
}

/*
 * Loads what has become of all credits of the account and, where it has moving
 * lots or will have, all activities.  What was decided on the account must be
 * stored.
 */
void
jifen_load_history(JifenAccount *account, bool with_activities)
{
	with_activities |= account->due_at != JIFEN_NO_TIME;
	if (!jifen_lacks_history(account, with_activities))
		return;
	Assert(account->nstored == account->nentries);
	if (!account->has_history)
		load_lots_in_history(account);
	if (with_activities && !account->has_activities)
		jifen_load_activities(account, &jifen_everything);
	jifen_wind_loaded(&account, 1, &jifen_everything);
}

/*
 * Loads the history of those of the accounts that have moving lots and holds
 * due by then: points that return to a lot may find that it has lapsed.
 */
void
jifen_load_for_due_holds(JifenAccount **accounts, int n, TimestampTz due)
{
	for (int a = 0; a < n; a++)
	{
		if (accounts[a]->due_at != JIFEN_NO_TIME && jifen_has_due_hold(accounts[a], due))
			jifen_load_history(accounts[a], true);
	}
}
