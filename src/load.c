/*
 * load.c
 *	  Locks accounts and loads what a posting needs of them.
 *
 * An account row is locked by one statement and its lots are read by the
 * next: under READ COMMITTED each statement has a snapshot of its own, so the
 * lots are those that the previous holder of the lock left.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "errcodes.h"
#include "plan.h"
#include "storage.h"

/* So many lots are read at first; most redemptions need fewer. */
#define FIRST_LOTS 16

#define PROGRAM_COLUMNS \
	"p.program_id, p.code, p.time_zone, p.expiry, p.auto_open"
#define ACCOUNT_COLUMNS \
	"a.account_id, a.member, a.status, a.balance, a.held, a.last_seq," \
	" a.last_activity_at, a.last_event_at"

/*
 * The entry of allocation x.  OFFSET 0 keeps the join by the whole key: on
 * tables that were never analyzed, the planner thinks that the account alone
 * is as good, and reads all of the account's entries for each allocation.
 */
#define ENTRY_OF_ALLOCATION \
	"select kind, event_at, reverses_seq from jifen.entry" \
	" where account_id = x.account_id and seq = x.seq offset 0"

static JifenStatement load_program = {
	"select " PROGRAM_COLUMNS
	" from jifen.program p where p.code = $1",
	1, {TEXTOID}
};

static JifenStatement lock_account = {
	"select " PROGRAM_COLUMNS ", " ACCOUNT_COLUMNS
	" from jifen.program p"
	" join jifen.account a on a.program_id = p.program_id"
	" where p.code = $1 and a.member = $2"
	" for no key update of a",
	2, {TEXTOID, TEXTOID}
};

static JifenStatement lock_accounts = {
	"select " PROGRAM_COLUMNS ", " ACCOUNT_COLUMNS
	" from jifen.account a"
	" join jifen.program p on p.program_id = a.program_id"
	" where a.account_id = any ($1)"
	" order by a.account_id"
	" for no key update of a skip locked",
	1, {INT8ARRAYOID}
};

static JifenStatement open_account = {
	"with opened as ("
	"  insert into jifen.account (program_id, member) values ($1, $2)"
	"  on conflict (program_id, member) do nothing"
	"  returning account_id)"
	" insert into jifen.status_change (account_id, change_no, status, actor)"
	" select account_id, 1, 'open', $3 from opened",
	3, {INT4OID, TEXTOID, TEXTOID}
};

static JifenStatement load_spendable_lots = {
	"select seq, expires_at, available_at, remaining"
	" from jifen.lot"
	" where account_id = $1 and expires_at > $2 and available_at <= $2"
	" order by expires_at, seq",
	2, {INT8OID, TIMESTAMPTZOID}
};

static JifenStatement load_own_lot = {
	"select e.seq, e.expires_at, e.available_at, l.remaining"
	" from jifen.entry e"
	" left join jifen.lot l on l.account_id = $1 and l.expires_at = e.expires_at and l.seq = e.seq"
	" where e.account_id = $1 and e.seq = $2",
	2, {INT8OID, INT8OID}
};

/*
 * What may be taken of each credit at a business time $2 from which on other
 * postings have happened: the least that was left of it at any time since,
 * expiry apart.  The credit of $3 counts even where it is not spendable.
 */
static JifenStatement load_spendable_history = {
	"with taken as ("
	"  select x.lot_seq,"
	"         sum(x.amount) over (partition by x.lot_seq"
	"                             order by greatest(e.event_at, $2)) as total"
	"  from jifen.allocation x"
	"  cross join lateral (" ENTRY_OF_ALLOCATION ") e"
	"  where x.account_id = $1 and e.kind not in ('expire', 'reinstate')),"
	" history as ("
	"  select e.seq, e.expires_at, e.available_at, e.amount, null::jifen.point_amount as total"
	"  from jifen.entry e"
	"  where e.account_id = $1 and e.kind = 'earn' and e.event_at <= $2"
	"    and (e.seq = $3 or (e.available_at <= $2 and e.expires_at > $2))"
	"  union all"
	"  select lot_seq, null, null, null, total from taken),"
	" credit as ("
	"  select seq, min(expires_at) as expires_at, min(available_at) as available_at,"
	"         max(amount) - coalesce(max(total), 0) as takeable"
	"  from history group by seq having count(expires_at) > 0)"
	" select c.seq, c.expires_at, c.available_at, l.remaining, c.takeable"
	" from credit c"
	" left join jifen.lot l on l.account_id = $1 and l.expires_at = c.expires_at and l.seq = c.seq"
	" where c.takeable > 0"
	" order by c.expires_at, c.seq",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

/* What expiry booked after $2, and of the lot of $3 at any time. */
static JifenStatement load_booked_expiry = {
	"select case e.kind when 'expire' then x.seq else e.reverses_seq end as expire_seq,"
	"       min(e.event_at), x.lot_seq, sum(x.amount)"
	" from jifen.allocation x"
	" cross join lateral (" ENTRY_OF_ALLOCATION ") e"
	" where x.account_id = $1 and e.kind in ('expire', 'reinstate')"
	"   and (e.event_at > $2 or x.lot_seq = $3)"
	" group by 1, x.lot_seq"
	" having sum(x.amount) > 0"
	" order by 2, 1, x.lot_seq",
	3, {INT8OID, TIMESTAMPTZOID, INT8OID}
};

/* Of the lots that were earned by $2. */
static JifenStatement load_figures = {
	"select sum(l.remaining) filter (where l.expires_at > $2 and l.available_at > $2),"
	"       sum(l.remaining) filter (where l.expires_at <= $2)"
	" from jifen.lot l"
	" cross join lateral (select event_at from jifen.entry"
	"   where account_id = l.account_id and seq = l.seq offset 0) e"
	" where l.account_id = $1 and e.event_at <= $2",
	2, {INT8OID, TIMESTAMPTZOID}
};

static JifenStatement load_reversed = {
	"select e.kind, e.amount, e.qualifying, e.event_at,"
	"       (select sum(r.amount) from jifen.entry r"
	"        where r.account_id = $1 and r.reverses_seq = $2 and r.kind = 'reverse')"
	" from jifen.entry e where e.account_id = $1 and e.seq = $2",
	2, {INT8OID, INT8OID}
};

static JifenStatement load_returnable_lots = {
	"with concerned as ("
	"  select $2 as seq"
	"  union all"
	"  select r.seq from jifen.entry r"
	"  where r.account_id = $1 and r.reverses_seq = $2 and r.kind = 'reverse')"
	" select c.seq, c.expires_at, c.available_at, l.remaining, x.amount"
	" from (select a.lot_seq, sum(a.amount) as amount"
	"       from concerned"
	"       cross join lateral (select lot_seq, amount from jifen.allocation"
	"         where account_id = $1 and seq = concerned.seq offset 0) a"
	"       group by a.lot_seq having sum(a.amount) > 0) x"
	" cross join lateral (select seq, expires_at, available_at from jifen.entry"
	"   where account_id = $1 and seq = x.lot_seq offset 0) c"
	" left join jifen.lot l on l.account_id = $1 and l.expires_at = c.expires_at and l.seq = c.seq"
	" order by c.expires_at, c.seq",
	2, {INT8OID, INT8OID}
};

static JifenStatement load_lapsed_lots = {
	"select account_id, seq, expires_at, available_at, remaining"
	" from jifen.lot"
	" where account_id = any ($1) and expires_at <= $2"
	" order by account_id, expires_at, seq",
	2, {INT8ARRAYOID, TIMESTAMPTZOID}
};

/* The program of a result row that begins with PROGRAM_COLUMNS. */
static JifenProgram *
program_of_row(uint64 row)
{
	JifenProgram *program = palloc(sizeof(JifenProgram));

	program->program_id = DatumGetInt32(jifen_get_datum(row, 1));
	program->code = jifen_get_string(row, 2);
	program->time_zone = jifen_time_zone(jifen_get_string(row, 3));
	program->expiry = *DatumGetExpiryPolicyP(jifen_get_datum(row, 4));
	program->auto_open = DatumGetBool(jifen_get_datum(row, 5));
	return program;
}

/* The account of a result row of PROGRAM_COLUMNS and ACCOUNT_COLUMNS. */
static JifenAccount *
account_of_row(uint64 row)
{
	JifenAccount *account = palloc0(sizeof(JifenAccount));
	char	   *status = jifen_get_string(row, 8);

	account->program = program_of_row(row);
	account->account_id = jifen_get_int64(row, 6);
	account->member = jifen_get_string(row, 7);
	account->status = strcmp(status, "open") == 0 ? JIFEN_OPEN :
		strcmp(status, "frozen") == 0 ? JIFEN_FROZEN : JIFEN_CLOSED;
	account->balance = jifen_get_int64(row, 9);
	account->held = jifen_get_int64(row, 10);
	account->last_seq = jifen_get_int64(row, 11);
	account->last_activity_at = jifen_get_time(row, 12);
	account->last_event_at = jifen_get_time(row, 13);
	return account;
}

/*
 * The program of that code, or JF002.  Read-only, it is seen with the
 * snapshot of the calling query, else as it is by now.
 */
JifenProgram *
jifen_load_program(Datum program, bool read_only)
{
	Datum		values[] = {program};

	if (jifen_execute(&load_program, values, NULL, read_only, 0) == 0)
	{
		char	   *code = TextDatumGetCString(program);

		ereport(ERROR,
				(errcode(ERRCODE_JF_UNKNOWN_PROGRAM),
				 errmsg("unknown program \"%s\"", code),
				 errdetail("No program has the code \"%s\".", code),
				 errhint("create_program() creates one; codes are case-sensitive.")));
	}
	return program_of_row(0);
}

/* Says which of the two is not known: JF002 or JF003. */
void
jifen_report_unknown(Datum program, Datum member)
{
	char	   *code = jifen_load_program(program, false)->code;

	ereport(ERROR,
			(errcode(ERRCODE_JF_UNKNOWN_MEMBER),
			 errmsg("unknown member \"%s\"", TextDatumGetCString(member)),
			 errdetail("Program \"%s\" has no account of member \"%s\".",
					   code, TextDatumGetCString(member)),
			 errhint("open_account() opens one; earn() does too where the program's auto_open is true.")));
}

/*
 * Locks the member's account against other postings until the end of the
 * transaction (FOR NO KEY UPDATE of its row).  JF002 or JF003 if unknown.
 */
JifenAccount *
jifen_lock_account(Datum program, Datum member)
{
	Datum		values[] = {program, member};

	if (jifen_execute(&lock_account, values, NULL, false, 0) == 0)
		jifen_report_unknown(program, member);
	return account_of_row(0);
}

/* The same, opening the account first where the program opens by itself. */
JifenAccount *
jifen_lock_or_open_account(Datum program, Datum member)
{
	Datum		values[] = {program, member};
	JifenProgram *opener;

	if (jifen_execute(&lock_account, values, NULL, false, 0) > 0)
		return account_of_row(0);
	opener = jifen_load_program(program, false);
	if (opener->auto_open)
		jifen_open_account(opener, member);
	return jifen_lock_account(program, member);
}

/* Opens the member's account unless there is one, of whatever status. */
void
jifen_open_account(const JifenProgram *program, Datum member)
{
	Datum		values[] = {Int32GetDatum(program->program_id), member, jifen_actor()};

	jifen_execute(&open_account, values, NULL, false, 0);
}

static Datum
int8_array(const int64 *values, int n)
{
	Datum	   *elements = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(values[i]);
	return PointerGetDatum(construct_array(elements, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Locks those of the accounts that nobody else holds, in account order, and
 * leaves the others out.
 */
JifenAccount **
jifen_lock_accounts(const int64 *account_ids, int n, int *nlocked)
{
	Datum		values[] = {int8_array(account_ids, n)};
	JifenAccount **accounts;

	*nlocked = (int) jifen_execute(&lock_accounts, values, NULL, false, 0);
	accounts = palloc((*nlocked + 1) * sizeof(JifenAccount *));
	for (int i = 0; i < *nlocked; i++)
		accounts[i] = account_of_row(i);
	return accounts;
}

/* The lot of a result row of seq, expires_at, available_at, remaining. */
static JifenLot
lot_of_row(uint64 row, int first_column)
{
	JifenLot	lot = {0};

	lot.seq = jifen_get_int64(row, first_column);
	lot.expires_at = jifen_get_time(row, first_column + 1);
	lot.available_at = jifen_get_time(row, first_column + 2);
	lot.stored = lot.remaining = jifen_get_int64(row, first_column + 3);
	return lot;
}

/*
 * Loads lots in spending order until they cover amount, a few at first; the
 * lot of own_seq is left out.  Returns what they cannot cover.
 */
static PointAmount
load_from_lots(JifenAccount *account, int64 own_seq, PointAmount amount,
			   TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(at)};
	uint64		limit = FIRST_LOTS;
	PointAmount missing;

	for (;;)
	{
		uint64		n = jifen_execute(&load_spendable_lots, values, NULL, false, limit);

		missing = amount;
		account->nlots = 0;
		for (uint64 row = 0; row < n && missing > 0; row++)
		{
			JifenLot	lot = lot_of_row(row, 1);

			if (lot.seq == own_seq)
				continue;
			lot.takeable = lot.remaining;
			missing -= Min(missing, lot.takeable);
			jifen_add_lot(account, &lot);
		}
		if (missing == 0 || limit == 0 || n < limit)
			return missing;
		limit = 0;
	}
}

/*
 * The same, the lot of own_seq first.  It must not have lapsed: what is left
 * of it is then in the table and nowhere else.
 */
static PointAmount
load_own_and_from_lots(JifenAccount *account, JifenLot *own, PointAmount amount,
					   TimestampTz at)
{
	PointAmount missing = 0;

	Assert(at < own->expires_at);
	own->takeable = own->remaining;
	if (own->takeable < amount)
		missing = load_from_lots(account, own->seq, amount - own->takeable, at);
	jifen_add_lot(account, own);
	return missing;
}

/* The same from the journal, with what expiry has booked of those lots since. */
static PointAmount
load_from_history(JifenAccount *account, int64 own_seq, PointAmount amount,
				  TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(at),
	Int64GetDatum(own_seq)};
	uint64		n = jifen_execute(&load_spendable_history, values, NULL, false, 0);
	PointAmount missing = amount;

	for (uint64 row = 0; row < n; row++)
	{
		JifenLot	lot = lot_of_row(row, 1);

		lot.takeable = jifen_get_int64(row, 5);
		missing -= Min(missing, lot.takeable);
		jifen_add_lot(account, &lot);
	}

	n = jifen_execute(&load_booked_expiry, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenBookedExpiry booked;

		booked.expire_seq = jifen_get_int64(row, 1);
		booked.event_at = jifen_get_time(row, 2);
		booked.lot_seq = jifen_get_int64(row, 3);
		booked.amount = jifen_get_int64(row, 4);
		jifen_add_booked(account, &booked);
	}
	return missing;
}

/*
 * Loads what a debit of amount at that time may take, in spending order and,
 * where own_seq is not 0, the lot of that credit whatever its state.  Where
 * the lots do not suffice, all are loaded and the figures for a refusal too.
 *
 * From the account's latest event on, what is open is what there is, but for
 * what expiry has booked of a lapsed own lot.  Before it the journal tells
 * what was there then and nobody has taken since.
 */
void
jifen_load_spendable(JifenAccount *account, int64 own_seq, PointAmount amount,
					 TimestampTz at)
{
	Datum		values[] = {Int64GetDatum(account->account_id), TimestampTzGetDatum(at)};
	JifenLot	own = {0};
	PointAmount missing;

	if (own_seq != 0 && at >= account->last_event_at)
	{
		Datum		find[] = {Int64GetDatum(account->account_id), Int64GetDatum(own_seq)};

		jifen_execute(&load_own_lot, find, NULL, false, 0);
		own = lot_of_row(0, 1);
	}

	if (at < account->last_event_at || (own.seq != 0 && own.expires_at <= at))
		missing = load_from_history(account, own_seq, amount, at);
	else if (own.seq != 0)
		missing = load_own_and_from_lots(account, &own, amount, at);
	else
		missing = load_from_lots(account, 0, amount, at);
	if (missing == 0)
		return;

	for (int i = 0; i < account->nlots; i++)
	{
		const JifenLot *lot = &account->lots[i];

		if (lot->available_at <= at && at < lot->expires_at)
			account->available = jifen_add(account->available, lot->takeable);
	}
	jifen_execute(&load_figures, values, NULL, false, 0);
	account->pending = jifen_get_int64(0, 1);
	account->lapsed = jifen_get_int64(0, 2);
}

static PointAmount
without_sign(PointAmount amount)
{
	return amount < 0 ? -amount : amount;
}

/*
 * Loads the entry that is to be reversed and, of a redeem, the lots that it
 * took from.  False if the account has no such entry.
 */
bool
jifen_load_reversed(JifenAccount *account, int64 seq, JifenReversed *reversed)
{
	Datum		values[] = {Int64GetDatum(account->account_id), Int64GetDatum(seq)};
	uint64		n;

	if (jifen_execute(&load_reversed, values, NULL, false, 0) == 0)
		return false;
	reversed->seq = seq;
	reversed->kind = jifen_kind_from_name(jifen_get_string(0, 1));
	reversed->amount = without_sign(jifen_get_int64(0, 2));
	reversed->has_qualifying = !jifen_is_null(0, 3);
	reversed->qualifying = jifen_get_int64(0, 3);
	reversed->event_at = jifen_get_time(0, 4);
	reversed->reversed = without_sign(jifen_get_int64(0, 5));
	if (reversed->kind != JIFEN_REDEEM)
		return true;

	n = jifen_execute(&load_returnable_lots, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenLot	lot = lot_of_row(row, 1);

		lot.returnable = jifen_get_int64(row, 5);
		jifen_add_lot(account, &lot);
	}
	return true;
}

/* Loads into each account, given in account order, its lots lapsed by as_of. */
void
jifen_load_lapsed(JifenAccount **accounts, int naccounts, TimestampTz as_of)
{
	int64	   *account_ids = palloc((naccounts + 1) * sizeof(int64));
	Datum		values[2];
	uint64		n;
	int			a = 0;

	for (int i = 0; i < naccounts; i++)
		account_ids[i] = accounts[i]->account_id;
	values[0] = int8_array(account_ids, naccounts);
	values[1] = TimestampTzGetDatum(as_of);
	n = jifen_execute(&load_lapsed_lots, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenLot	lot = lot_of_row(row, 2);

		while (accounts[a]->account_id != jifen_get_int64(row, 1))
			a++;
		jifen_add_lot(accounts[a], &lot);
	}
}
