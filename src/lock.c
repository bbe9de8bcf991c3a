/*
 * lock.c
 *	  Finds, opens and locks accounts: their own rows and their programs'.
 *
 * Account rows are locked by one statement and what belongs to them is read by
 * the next (load.c): under READ COMMITTED each statement has a snapshot of its
 * own, so the lots are those that the previous holder of the lock left.
 *
 * Here, in load.c, moving.c and history.c, OFFSET 0 keeps a join by its whole
 * key: on tables that were never analyzed, the planner thinks that the account
 * alone is as good, and reads all of the account's rows for each of them.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "argument.h"
#include "chain.h"
#include "errcodes.h"
#include "plan.h"
#include "storage.h"

#define PROGRAM_COLUMNS \
	"p.program_id, p.code, p.expiry, p.auto_open," \
	" p.overdraft, p.overdraft_limit, p.return_grace," \
	" p.rule_no, p.time_zone, p.activity, p.notice_days," \
	" p.booked_from, p.closed_until, p.late_postings = 'refuse'"
#define NPROGRAM_COLUMNS 14
#define ACCOUNT_COLUMNS \
	"a.account_id, a.member, a.status, a.balance, a.held, a.debt, a.last_seq," \
	" a.head_hash, a.salt, a.last_event_at, a.opened_at, a.due_at," \
	" a.last_earn_at, a.last_redeem_at, a.last_expire_at, a.last_adjust_at," \
	" a.last_hold_at, a.last_capture_at, a.last_transfer_out_at," \
	" a.last_transfer_in_at, a.last_import_at"

/*
 * The member is looked at again when the row, found by its number alone, is
 * locked: it may have been renamed.
 */
#define ACCOUNT_OF_MEMBER \
	"select account_id, member from jifen.account" \
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
	" join jifen.account a on a.account_id = f.account_id and (a.member = f.member) is true"
	" order by a.account_id"
	" for no key update of a",
	2, {TEXTARRAYOID, TEXTARRAYOID}
};

/* The same for a single one, which is most often the case. */
static JifenStatement lock_member = {
	"select " PROGRAM_COLUMNS ", " ACCOUNT_COLUMNS
	" from jifen.program p"
	" join jifen.account a on a.program_id = p.program_id and a.member = $2"
	" where p.code = $1"
	" for no key update of a",
	2, {TEXTOID, TEXTOID}
};

#define ACCOUNTS_OF_NUMBERS \
	"select " PROGRAM_COLUMNS ", " ACCOUNT_COLUMNS \
	" from jifen.account a" \
	" join jifen.program p on p.program_id = a.program_id" \
	" where a.account_id = any ($1)" \
	" order by a.account_id" \
	" for no key update of a"

static JifenStatement lock_accounts = {ACCOUNTS_OF_NUMBERS, 1, {INT8ARRAYOID}};

static JifenStatement lock_free_accounts = {
	ACCOUNTS_OF_NUMBERS " skip locked", 1, {INT8ARRAYOID}
};

static JifenStatement open_accounts = {
	"with opened as ("
	"  insert into jifen.account (program_id, member, salt, opened_at)"
	"  select program_id, member, salt, coalesce($5, now())"
	"  from unnest($1, $2, $4) w (program_id, member, salt)"
	"  order by program_id, member collate \"C\""
	"  on conflict (program_id, member) do nothing"
	"  returning account_id)"
	" insert into jifen.status_change (account_id, change_no, status, actor)"
	" select account_id, 1, 'open', $3 from opened"
	" returning account_id",
	5, {INT4ARRAYOID, TEXTARRAYOID, TEXTOID, BYTEAARRAYOID, TIMESTAMPTZOID}
};

static JifenOverdraft
overdraft_from_name(const char *name)
{
	return strcmp(name, "debt") == 0 ? JIFEN_OVERDRAFT_DEBT :
		strcmp(name, "forgive") == 0 ? JIFEN_OVERDRAFT_FORGIVE : JIFEN_OVERDRAFT_REFUSE;
}

static Oid
program_table(void)
{
	return get_relname_relid("program", get_namespace_oid("jifen", false));
}

/*
 * Postings hold this lock, which close_period() waits for and holds off, from
 * before they read the rules until their transaction ends.  Nobody else's
 * reads or writes of the table wait.
 */
static void
lock_periods(void)
{
	LockRelationOid(program_table(), RowShareLock);
}

/*
 * The transaction's snapshot may be from before the latest closing: what that
 * has changed is read as it is by now.  The caller holds lock_periods().
 */
static void
read_latest_period(JifenProgram *program)
{
	Relation	table = table_open(program_table(), AccessShareLock);
	TupleDesc	descriptor = RelationGetDescr(table);
	AttrNumber	id = get_attnum(RelationGetRelid(table), "program_id");
	AttrNumber	booked_from = get_attnum(RelationGetRelid(table), "booked_from");
	AttrNumber	closed_until = get_attnum(RelationGetRelid(table), "closed_until");
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(table, snapshot, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		if (DatumGetInt32(heap_getattr(tuple, id, descriptor, &isnull)) != program->program_id)
			continue;
		program->booked_from =
			DatumGetTimestampTz(heap_getattr(tuple, booked_from, descriptor, &isnull));
		program->closed_until =
			DatumGetTimestampTz(heap_getattr(tuple, closed_until, descriptor, &isnull));
		if (isnull)
			program->closed_until = JIFEN_NO_TIME;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(table, AccessShareLock);
}

/*
 * The program of a result row that begins with PROGRAM_COLUMNS, seen with the
 * snapshot of the query.
 */
static JifenProgram *
program_of_row(uint64 row)
{
	JifenProgram *program = palloc0(sizeof(JifenProgram));

	program->program_id = DatumGetInt32(jifen_get_datum(row, 1));
	program->code = jifen_get_string(row, 2);
	program->expiry = *DatumGetExpiryPolicyP(jifen_get_datum(row, 3));
	program->auto_open = DatumGetBool(jifen_get_datum(row, 4));
	program->overdraft = overdraft_from_name(jifen_get_string(row, 5));
	program->overdraft_limit = jifen_get_int64(row, 6);
	program->has_return_grace = !jifen_is_null(row, 7);
	if (program->has_return_grace)
		program->return_grace = *DatumGetExpiryPolicyP(jifen_get_datum(row, 7));
	jifen_get_rule(row, 8, &program->rule);
	program->booked_from = jifen_get_time(row, 12);
	program->closed_until = jifen_get_time(row, 13);
	program->refuses_late = DatumGetBool(jifen_get_datum(row, 14));
	return program;
}

/* The same for a posting, with its periods as they are by now: lock_periods() is held. */
static JifenProgram *
program_to_post(uint64 row)
{
	JifenProgram *program = program_of_row(row);

	if (IsolationUsesXactSnapshot())
		read_latest_period(program);
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
	if (!jifen_is_null(row, ++column))
		jifen_copy_hash(&account->head_hash, DatumGetByteaPP(jifen_get_datum(row, column)));
	if (!jifen_is_null(row, ++column))
		account->salt = DatumGetByteaPCopy(jifen_get_datum(row, column));
	account->last_event_at = jifen_get_time(row, ++column);
	account->opened_at = jifen_get_time(row, ++column);
	account->due_at = account->stored_due_at = jifen_get_time(row, ++column);
	for (int i = 0; i < JIFEN_TRACES; i++)
		account->last_at[i] = jifen_get_time(row, ++column);
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
			program = program_to_post(i);
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

	lock_periods();
	return jifen_execute(&load_program, values, NULL, false, 0) > 0 ? program_to_post(0) : NULL;
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

Datum
jifen_account_id_array(JifenAccount **accounts, int n)
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
	lock_periods();
	if (n == 1)
	{
		Datum		values[] = {programs[0], members[0]};

		jifen_execute(&lock_member, values, NULL, false, 0);
	}
	else
	{
		Datum		values[] = {jifen_text_array(programs, n), jifen_text_array(members, n)};

		jifen_execute(&lock_members, values, NULL, false, 0);
	}
	return accounts_of_result(nlocked);
}

/*
 * Opens accounts of these members unless there are any, of whatever status.
 * They joined then, or now (JIFEN_NO_TIME).  Returns how many, and their
 * numbers.
 */
int
jifen_open_accounts(const int32 *program_ids, const Datum *members, int n,
					TimestampTz opened_at, int64 *opened)
{
	Datum	   *ids = palloc(n * sizeof(Datum));
	Datum	   *salts = palloc(n * sizeof(Datum));
	Datum		values[5];

	for (int i = 0; i < n; i++)
	{
		ids[i] = Int32GetDatum(program_ids[i]);
		salts[i] = jifen_new_salt();
	}
	values[0] = PointerGetDatum(construct_array(ids, n, INT4OID, sizeof(int32), true, TYPALIGN_INT));
	values[1] = jifen_text_array(members, n);
	values[2] = jifen_actor();
	values[3] = PointerGetDatum(construct_array(salts, n, BYTEAOID, -1, false, TYPALIGN_INT));
	values[4] = TimestampTzGetDatum(opened_at);
	jifen_execute(&open_accounts, values, opened_at == JIFEN_NO_TIME ? "    n" : NULL, false, 0);
	for (uint64 row = 0; row < SPI_processed; row++)
		opened[row] = jifen_get_int64(row, 1);
	return (int) SPI_processed;
}

static JifenAccount **
lock_accounts_by(JifenStatement *statement, const int64 *account_ids, int n, int *nlocked)
{
	Datum		values[] = {jifen_int8_array(account_ids, n)};

	lock_periods();
	jifen_execute(statement, values, NULL, false, 0);
	return accounts_of_result(nlocked);
}

/*
 * Locks those of the accounts that nobody else holds, in account order, and
 * leaves the others out.
 */
JifenAccount **
jifen_lock_free_accounts(const int64 *account_ids, int n, int *nlocked)
{
	return lock_accounts_by(&lock_free_accounts, account_ids, n, nlocked);
}

/* Locks the accounts, in account order, waiting for those that others hold. */
JifenAccount **
jifen_lock_accounts(const int64 *account_ids, int n, int *nlocked)
{
	return lock_accounts_by(&lock_accounts, account_ids, n, nlocked);
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
