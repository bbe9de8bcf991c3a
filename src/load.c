/*
 * load.c
 *	  Locks accounts and loads what a posting needs of their present state.
 *
 * Account rows are locked by one statement and what belongs to them is read by
 * the next: under READ COMMITTED each statement has a snapshot of its own, so
 * the lots are those that the previous holder of the lock left.
 *
 * Here and in history.c, OFFSET 0 keeps a join by its whole key: on tables
 * that were never analyzed, the planner thinks that the account alone is as
 * good, and reads all of the account's rows for each of them.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "argument.h"
#include "chain.h"
#include "errcodes.h"
#include "plan.h"
#include "storage.h"

/* So many lots are read at first; most redemptions need fewer. */
#define FIRST_LOTS "16"

#define PROGRAM_COLUMNS \
	"p.program_id, p.code, p.time_zone, p.expiry, p.auto_open," \
	" p.overdraft, p.overdraft_limit, p.return_grace"
#define NPROGRAM_COLUMNS 8
#define ACCOUNT_COLUMNS \
	"a.account_id, a.member, a.status, a.balance, a.held, a.debt, a.last_seq," \
	" a.last_activity_at, a.last_event_at, a.head_hash, a.salt"

/* The member is looked at again when the row is locked: it may have been renamed. */
#define ACCOUNT_OF_MEMBER \
	"select account_id from jifen.account" \
	" where program_id = p.program_id and member = w.member offset 0"

static JifenStatement load_program = {
	"select " PROGRAM_COLUMNS
	" from jifen.program p where p.code = $1",
	1, {TEXTOID}
};

/* The places of those pairs of program and member that have accounts. */
static JifenStatement find_accounts = {
	"select w.place"
	" from unnest($1, $2) with ordinality w (code, member, place)"
	" join jifen.program p on p.code = w.code"
	" cross join lateral (" ACCOUNT_OF_MEMBER ") f",
	2, {TEXTARRAYOID, TEXTARRAYOID}
};

static JifenStatement lock_members = {
	"select " PROGRAM_COLUMNS ", " ACCOUNT_COLUMNS
	" from unnest($1, $2) w (code, member)"
	" join jifen.program p on p.code = w.code"
	" cross join lateral (" ACCOUNT_OF_MEMBER ") f"
	" join jifen.account a on a.account_id = f.account_id and a.member = w.member"
	" order by a.account_id"
	" for no key update of a",
	2, {TEXTARRAYOID, TEXTARRAYOID}
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

static JifenStatement open_accounts = {
	"with opened as ("
	"  insert into jifen.account (program_id, member, salt)"
	"  select program_id, member, salt from unnest($1, $2, $4) w (program_id, member, salt)"
	"  order by program_id, member collate \"C\""
	"  on conflict (program_id, member) do nothing"
	"  returning account_id)"
	" insert into jifen.status_change (account_id, change_no, status, actor)"
	" select account_id, 1, 'open', $3 from opened"
	" returning account_id",
	4, {INT4ARRAYOID, TEXTARRAYOID, TEXTOID, BYTEAARRAYOID}
};

static JifenStatement load_first_lots = {
	"select l.account_id, l.seq, l.expires_at, l.available_at, l.remaining"
	" from unnest($1, $2) w (account_id, at)"
	" cross join lateral (select * from jifen.lot"
	"   where account_id = w.account_id and expires_at > w.at"
	"   order by expires_at, seq limit " FIRST_LOTS ") l",
	2, {INT8ARRAYOID, TIMESTAMPTZARRAYOID}
};

static JifenStatement load_all_lots = {
	"select account_id, seq, expires_at, available_at, remaining"
	" from jifen.lot where account_id = $1"
	" order by expires_at, seq",
	1, {INT8OID}
};

static JifenStatement load_lapsed_lots = {
	"select account_id, seq, expires_at, available_at, remaining"
	" from jifen.lot"
	" where account_id = any ($1) and expires_at <= $2"
	" order by account_id, expires_at, seq",
	2, {INT8ARRAYOID, TIMESTAMPTZOID}
};

static JifenStatement load_origins = {
	"select $1, c.seq, c.expires_at, c.available_at, null, coalesce(c.issued_at, c.event_at), c.source"
	" from unnest($2) w (seq)"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = $1 and seq = w.seq offset 0) c",
	2, {INT8OID, INT8ARRAYOID}
};

static JifenStatement load_holds = {
	"select h.account_id, h.seq, h.until, h.amount, e.event_at"
	" from jifen.hold h"
	" cross join lateral (select event_at from jifen.entry"
	"   where account_id = h.account_id and seq = h.seq offset 0) e"
	" where h.account_id = any ($1)"
	" order by h.account_id, h.seq",
	1, {INT8ARRAYOID}
};

static JifenStatement load_held_lots = {
	"select w.account_id, c.seq, c.expires_at, c.available_at, l.remaining,"
	"       coalesce(c.issued_at, c.event_at), c.source, w.seq, x.amount"
	" from unnest($1, $2) w (account_id, seq)"
	" cross join lateral (select lot_seq, amount from jifen.allocation"
	"   where account_id = w.account_id and seq = w.seq offset 0) x"
	" cross join lateral (select * from jifen.entry"
	"   where account_id = w.account_id and seq = x.lot_seq offset 0) c"
	" left join jifen.lot l on l.account_id = w.account_id and l.expires_at = c.expires_at and l.seq = c.seq"
	" order by w.account_id, w.seq, c.expires_at, c.seq",
	2, {INT8ARRAYOID, INT8ARRAYOID}
};

static JifenStatement load_debts = {
	"select d.account_id, d.seq, d.remaining, e.event_at"
	" from jifen.debt d"
	" cross join lateral (select event_at from jifen.entry"
	"   where account_id = d.account_id and seq = d.seq offset 0) e"
	" where d.account_id = any ($1)"
	" order by d.account_id, d.seq",
	1, {INT8ARRAYOID}
};

/* Adds an account with the number or text of what is wanted of it. */
void
jifen_add_key(JifenKeys *keys, int64 account_id, Datum value)
{
	if (keys->n == keys->max)
	{
		keys->max = Max(8, keys->max * 2);
		keys->account_ids = keys->n == 0 ? palloc(keys->max * sizeof(int64)) :
			repalloc(keys->account_ids, keys->max * sizeof(int64));
		keys->values = keys->n == 0 ? palloc(keys->max * sizeof(Datum)) :
			repalloc(keys->values, keys->max * sizeof(Datum));
	}
	keys->account_ids[keys->n] = account_id;
	keys->values[keys->n++] = value;
}

static JifenOverdraft
overdraft_from_name(const char *name)
{
	return strcmp(name, "debt") == 0 ? JIFEN_OVERDRAFT_DEBT :
		strcmp(name, "forgive") == 0 ? JIFEN_OVERDRAFT_FORGIVE : JIFEN_OVERDRAFT_REFUSE;
}

/* The program of a result row that begins with PROGRAM_COLUMNS. */
static JifenProgram *
program_of_row(uint64 row)
{
	JifenProgram *program = palloc0(sizeof(JifenProgram));

	program->program_id = DatumGetInt32(jifen_get_datum(row, 1));
	program->code = jifen_get_string(row, 2);
	program->time_zone = jifen_time_zone(jifen_get_string(row, 3));
	program->expiry = *DatumGetExpiryPolicyP(jifen_get_datum(row, 4));
	program->auto_open = DatumGetBool(jifen_get_datum(row, 5));
	program->overdraft = overdraft_from_name(jifen_get_string(row, 6));
	program->overdraft_limit = jifen_get_int64(row, 7);
	program->has_return_grace = !jifen_is_null(row, 8);
	if (program->has_return_grace)
		program->return_grace = *DatumGetExpiryPolicyP(jifen_get_datum(row, 8));
	return program;
}

/* The account of a result row of PROGRAM_COLUMNS and ACCOUNT_COLUMNS. */
static JifenAccount *
account_of_row(uint64 row, const JifenProgram *program)
{
	JifenAccount *account = palloc0(sizeof(JifenAccount));
	int			column = NPROGRAM_COLUMNS;
	char	   *status;

	account->program = program;
	account->account_id = jifen_get_int64(row, ++column);
	account->member = jifen_get_string(row, ++column);
	status = jifen_get_string(row, ++column);
	account->status = strcmp(status, "open") == 0 ? JIFEN_OPEN :
		strcmp(status, "frozen") == 0 ? JIFEN_FROZEN : JIFEN_CLOSED;
	account->balance = jifen_get_int64(row, ++column);
	account->held = jifen_get_int64(row, ++column);
	account->debt = jifen_get_int64(row, ++column);
	account->last_seq = jifen_get_int64(row, ++column);
	account->last_activity_at = jifen_get_time(row, ++column);
	account->last_event_at = jifen_get_time(row, ++column);
	if (!jifen_is_null(row, ++column))
		jifen_copy_hash(&account->head_hash, DatumGetByteaPP(jifen_get_datum(row, column)));
	if (!jifen_is_null(row, ++column))
		account->salt = DatumGetByteaPCopy(jifen_get_datum(row, column));
	account->known_to = JIFEN_NO_TIME;
	return account;
}

/* The accounts of the latest result, which share what programs they have in common. */
static JifenAccount **
accounts_of_result(int *n)
{
	JifenAccount **accounts = palloc((SPI_processed + 1) * sizeof(JifenAccount *));
	List	   *programs = NIL;

	*n = (int) SPI_processed;
	for (int i = 0; i < *n; i++)
	{
		int32		program_id = DatumGetInt32(jifen_get_datum(i, 1));
		JifenProgram *program = NULL;
		ListCell   *lc;

		foreach(lc, programs)
		{
			if (((JifenProgram *) lfirst(lc))->program_id == program_id)
				program = lfirst(lc);
		}
		if (program == NULL)
		{
			program = program_of_row(i);
			programs = lappend(programs, program);
		}
		accounts[i] = account_of_row(i, program);
	}
	return accounts;
}

/* The program of that code, NULL if there is none. */
JifenProgram *
jifen_find_program(Datum program)
{
	Datum		values[] = {program};

	return jifen_execute(&load_program, values, NULL, false, 0) > 0 ? program_of_row(0) : NULL;
}

JifenRefusal *
jifen_refuse_unknown_program(Datum program)
{
	char	   *code = TextDatumGetCString(program);

	return jifen_refuse(ERRCODE_JF_UNKNOWN_PROGRAM,
						psprintf("unknown program \"%s\"", code),
						psprintf("No program has the code \"%s\".", code),
						psprintf("create_program() creates one; codes are case-sensitive."));
}

JifenRefusal *
jifen_refuse_unknown_member(const JifenProgram *program, Datum member)
{
	return jifen_refuse(ERRCODE_JF_UNKNOWN_MEMBER,
						psprintf("unknown member \"%s\"", TextDatumGetCString(member)),
						psprintf("Program \"%s\" has no account of member \"%s\".",
								 program->code, TextDatumGetCString(member)),
						psprintf("open_account() opens one; earn() and import() do too where the program's auto_open is true."));
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
		jifen_raise(jifen_refuse_unknown_program(program));
	return program_of_row(0);
}

/* Says which of the two is not known: JF002 or JF003. */
void
jifen_report_unknown(Datum program, Datum member)
{
	jifen_raise(jifen_refuse_unknown_member(jifen_load_program(program, false), member));
	pg_unreachable();
}

/*
 * Locks the member's account against other postings until the end of the
 * transaction (FOR NO KEY UPDATE of its row).  JF002 or JF003 if unknown.
 */
JifenAccount *
jifen_lock_account(Datum program, Datum member)
{
	int			n;
	JifenAccount **accounts = jifen_lock_members(&program, &member, 1, &n);

	if (n == 0)
		jifen_report_unknown(program, member);
	return accounts[0];
}

Datum
jifen_text_array(const Datum *values, int n)
{
	return PointerGetDatum(construct_array((Datum *) values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
jifen_int8_array(const int64 *values, int n)
{
	Datum	   *elements = palloc(n * sizeof(Datum));

	for (int i = 0; i < n; i++)
		elements[i] = Int64GetDatum(values[i]);
	return PointerGetDatum(construct_array(elements, n, INT8OID, sizeof(int64),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
account_id_array(JifenAccount **accounts, int n)
{
	int64	   *account_ids = palloc((n + 1) * sizeof(int64));

	for (int i = 0; i < n; i++)
		account_ids[i] = accounts[i]->account_id;
	return jifen_int8_array(account_ids, n);
}

/* Which of these pairs of program and member have accounts. */
void
jifen_find_accounts(const Datum *programs, const Datum *members, int n, bool *exist)
{
	Datum		values[] = {jifen_text_array(programs, n), jifen_text_array(members, n)};

	memset(exist, false, n * sizeof(bool));
	jifen_execute(&find_accounts, values, NULL, false, 0);
	for (uint64 row = 0; row < SPI_processed; row++)
		exist[jifen_get_int64(row, 1) - 1] = true;
}

/*
 * Locks the accounts of these pairs of program and member, in account order,
 * as jifen_lock_account() does, and leaves out pairs that have none.
 */
JifenAccount **
jifen_lock_members(const Datum *programs, const Datum *members, int n, int *nlocked)
{
	Datum		values[] = {jifen_text_array(programs, n), jifen_text_array(members, n)};

	jifen_execute(&lock_members, values, NULL, false, 0);
	return accounts_of_result(nlocked);
}

/*
 * Opens accounts of these members unless there are any, of whatever status.
 * Returns how many, and their numbers.
 */
int
jifen_open_accounts(const int32 *program_ids, const Datum *members, int n, int64 *opened)
{
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *salts = palloc(n * sizeof(Datum));
	Datum		values[4];

	for (int i = 0; i < n; i++)
	{
		ids[i] = Int32GetDatum(program_ids[i]);
		salts[i] = jifen_new_salt();
	}
	values[0] = PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[1] = jifen_text_array(members, n);
	values[2] = jifen_actor();
	values[3] = PointerGetDatum(construct_array(salts, n, BYTEAOID, -1, false, TYPALIGN_INT));
	jifen_execute(&open_accounts, values, NULL, false, 0);
	for (uint64 row = 0; row < SPI_processed; row++)
		opened[row] = jifen_get_int64(row, 1);
	return (int) SPI_processed;
}

/*
 * Locks those of the accounts that nobody else holds, in account order, and
 * leaves the others out.
 */
JifenAccount **
jifen_lock_accounts(const int64 *account_ids, int n, int *nlocked)
{
	Datum		values[] = {jifen_int8_array(account_ids, n)};

	jifen_execute(&lock_accounts, values, NULL, false, 0);
	return accounts_of_result(nlocked);
}

static int
compare_account_id(const void *key, const void *element)
{
	int64		account_id = *(const int64 *) key;
	int64		other = (*(JifenAccount *const *) element)->account_id;

	return account_id < other ? -1 : account_id > other;
}

/* The account of that number, NULL if it is not among them. */
JifenAccount *
jifen_account_of_id(JifenAccount **accounts, int naccounts, int64 account_id)
{
	JifenAccount **found = bsearch(&account_id, accounts, naccounts,
								   sizeof(JifenAccount *), compare_account_id);

	return found ? *found : NULL;
}

/*
 * The lot of a result row of account_id, seq, expires_at, available_at,
 * remaining and, with its origin, issued_at and source.
 */
JifenLot *
jifen_add_lot_of_row(JifenAccount *account, uint64 row, bool has_origin)
{
	JifenLot	lot = {0};

	lot.seq = jifen_get_int64(row, 2);
	lot.expires_at = jifen_get_time(row, 3);
	lot.available_at = jifen_get_time(row, 4);
	lot.stored = lot.remaining = jifen_get_int64(row, 5);
	lot.has_origin = has_origin;
	if (has_origin)
	{
		lot.issued_at = jifen_get_time(row, 6);
		if (!jifen_is_null(row, 7))
			lot.source = datumCopy(jifen_get_datum(row, 7), false, -1);
	}
	return jifen_add_lot(account, &lot);
}

/*
 * Loads of each account that is named in from the first lots that lapse after
 * that instant, at most FIRST_LOTS.
 */
void
jifen_load_first_lots(JifenAccount **accounts, int naccounts, const JifenKeys *from)
{
	Datum		values[2];
	uint64		n;

	if (from->n == 0)
		return;
	values[0] = jifen_int8_array(from->account_ids, from->n);
	values[1] = PointerGetDatum(construct_array(from->values, from->n, TIMESTAMPTZOID, sizeof(TimestampTz),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	n = jifen_execute(&load_first_lots, values, NULL, false, 0);
	for (int i = 0; i < from->n; i++)
		jifen_account_of_id(accounts, naccounts, from->account_ids[i])->known_from =
			DatumGetTimestampTz(from->values[i]);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(accounts, naccounts, jifen_get_int64(row, 1));
		JifenLot   *lot = jifen_add_lot_of_row(account, row, false);

		account->known_to = lot->expires_at;
		account->known_to_seq = lot->seq;
	}
}

void
jifen_load_all_lots(JifenAccount *account)
{
	Datum		values[] = {Int64GetDatum(account->account_id)};
	uint64		n;

	if (account->has_all_lots)
		return;
	n = jifen_execute(&load_all_lots, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
		jifen_add_lot_of_row(account, row, false);
	account->has_all_lots = true;
}

/* Loads when and by which channel the points of the lots in memory were issued. */
void
jifen_load_origins(JifenAccount *account)
{
	int64	   *seqs = palloc((account->nlots + 1) * sizeof(int64));
	int			nseqs = 0;
	Datum		values[2];
	uint64		n;

	for (int i = 0; i < account->nlots; i++)
	{
		if (!account->lots[i].has_origin)
			seqs[nseqs++] = account->lots[i].seq;
	}
	if (nseqs == 0)
		return;
	values[0] = Int64GetDatum(account->account_id);
	values[1] = jifen_int8_array(seqs, nseqs);
	n = jifen_execute(&load_origins, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
		jifen_add_lot_of_row(account, row, true);
}

/* Loads into each account its lots lapsed by as_of. */
void
jifen_load_lapsed(JifenAccount **accounts, int naccounts, TimestampTz as_of)
{
	Datum		values[] = {account_id_array(accounts, naccounts), TimestampTzGetDatum(as_of)};
	uint64		n = jifen_execute(&load_lapsed_lots, values, NULL, false, 0);
	JifenAccount **account = accounts;

	for (uint64 row = 0; row < n; row++)
	{
		while ((*account)->account_id != jifen_get_int64(row, 1))
			account++;
		jifen_add_lot_of_row(*account, row, false);
	}
}

/*
 * Loads the open holds of the accounts that have any; of those that are due by
 * then or named, also what they took of which lots.
 */
void
jifen_load_holds(JifenAccount **accounts, int naccounts, const JifenKeys *named,
				 TimestampTz due)
{
	JifenAccount **holders = palloc((naccounts + 1) * sizeof(JifenAccount *));
	int			nholders = 0;
	JifenKeys	wanted = {0};
	int64	   *seqs;
	Datum		values[2];
	uint64		n;

	for (int i = 0; i < naccounts; i++)
	{
		if (accounts[i]->held > 0)
			holders[nholders++] = accounts[i];
	}
	if (nholders == 0)
		return;
	values[0] = account_id_array(holders, nholders);
	n = jifen_execute(&load_holds, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(holders, nholders, jifen_get_int64(row, 1));
		JifenHold	hold = {0};

		hold.seq = jifen_get_int64(row, 2);
		hold.until = jifen_get_time(row, 3);
		hold.stored = hold.amount = jifen_get_int64(row, 4);
		hold.event_at = jifen_get_time(row, 5);
		hold.has_taken = hold.until <= due;
		for (int i = 0; i < named->n && !hold.has_taken; i++)
			hold.has_taken = named->account_ids[i] == account->account_id &&
				DatumGetInt64(named->values[i]) == hold.seq;
		jifen_add_hold(account, &hold);
		if (hold.has_taken)
			jifen_add_key(&wanted, account->account_id, Int64GetDatum(hold.seq));
	}
	if (wanted.n == 0)
		return;

	seqs = palloc(wanted.n * sizeof(int64));
	for (int i = 0; i < wanted.n; i++)
		seqs[i] = DatumGetInt64(wanted.values[i]);
	values[0] = jifen_int8_array(wanted.account_ids, wanted.n);
	values[1] = jifen_int8_array(seqs, wanted.n);
	n = jifen_execute(&load_held_lots, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(holders, nholders, jifen_get_int64(row, 1));
		JifenLot   *lot = jifen_add_lot_of_row(account, row, true);
		JifenHold  *hold = jifen_find_hold(account, jifen_get_int64(row, 8));

		jifen_add_taken(&hold->taken, &hold->ntaken, lot, jifen_get_int64(row, 9));
	}
}

/* Loads the open debts of the accounts that have any. */
void
jifen_load_debts(JifenAccount **accounts, int naccounts)
{
	JifenAccount **debtors = palloc((naccounts + 1) * sizeof(JifenAccount *));
	int			ndebtors = 0;
	Datum		values[1];
	uint64		n;

	for (int i = 0; i < naccounts; i++)
	{
		if (accounts[i]->debt > 0)
			debtors[ndebtors++] = accounts[i];
	}
	if (ndebtors == 0)
		return;
	values[0] = account_id_array(debtors, ndebtors);
	n = jifen_execute(&load_debts, values, NULL, false, 0);
	for (uint64 row = 0; row < n; row++)
	{
		JifenAccount *account = jifen_account_of_id(debtors, ndebtors, jifen_get_int64(row, 1));
		JifenDebt	debt = {0};

		debt.seq = jifen_get_int64(row, 2);
		debt.stored = debt.remaining = jifen_get_int64(row, 3);
		debt.event_at = jifen_get_time(row, 4);
		jifen_add_debt(account, &debt);
	}
}
