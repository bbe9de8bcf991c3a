/*
 * lock.c
 *	  Finds, opens and locks accounts: their own rows and their programs'.
 *
 * Accounts are found first and locked next, in account order; what belongs to
 * them is read after that (load.c), with a snapshot of its own: under READ
 * COMMITTED the lots are those that the previous holder of the lock left.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "argument.h"
#include "chain.h"
#include "errcodes.h"
#include "plan.h"
#include "scan.h"
#include "storage.h"
#include "tables.h"

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
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(table, snapshot, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		bool		isnull;

		if (DatumGetInt32(heap_getattr(tuple, Anum_program_program_id, descriptor, &isnull)) != program->program_id)
			continue;
		program->booked_from =
			DatumGetTimestampTz(heap_getattr(tuple, Anum_program_booked_from, descriptor, &isnull));
		program->closed_until =
			DatumGetTimestampTz(heap_getattr(tuple, Anum_program_closed_until, descriptor, &isnull));
		if (isnull)
			program->closed_until = JIFEN_NO_TIME;
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(table, AccessShareLock);
}

/* The program whose row is at hand, as that says. */
static JifenProgram *
program_at_hand(JifenScan *scan)
{
	JifenProgram *program = palloc0(sizeof(JifenProgram));
	char	   *late_postings = TextDatumGetCString(jifen_row_datum(scan, Anum_program_late_postings));
	Datum		return_grace = jifen_row_datum(scan, Anum_program_return_grace);

	program->program_id = DatumGetInt32(jifen_row_datum(scan, Anum_program_program_id));
	program->code = TextDatumGetCString(jifen_row_datum(scan, Anum_program_code));
	program->expiry = *DatumGetExpiryPolicyP(jifen_row_datum(scan, Anum_program_expiry));
	program->auto_open = DatumGetBool(jifen_row_datum(scan, Anum_program_auto_open));
	program->overdraft =
		overdraft_from_name(TextDatumGetCString(jifen_row_datum(scan, Anum_program_overdraft)));
	program->overdraft_limit = jifen_row_int64(scan, Anum_program_overdraft_limit);
	program->has_return_grace = return_grace != (Datum) 0;
	if (program->has_return_grace)
		program->return_grace = *DatumGetExpiryPolicyP(return_grace);
	jifen_set_rule(&program->rule, jifen_row_datum(scan, Anum_program_rule_no),
				   jifen_row_datum(scan, Anum_program_time_zone),
				   jifen_row_datum(scan, Anum_program_activity),
				   jifen_row_datum(scan, Anum_program_notice_days));
	program->booked_from = jifen_row_time(scan, Anum_program_booked_from);
	program->closed_until = jifen_row_time(scan, Anum_program_closed_until);
	program->refuses_late = strcmp(late_postings, "refuse") == 0;
	return program;
}

/* The program that has this key in that index, NULL if there is none. */
static JifenProgram *
find_program(const char *index, Datum key)
{
	JifenProgram *program = NULL;
	JifenScan	scan;

	jifen_begin_scan(&scan, "program", Natts_program, index, false);
	jifen_set_key(&scan, 1, BTEqualStrategyNumber, key);
	if (jifen_next_row(&scan))
		program = program_at_hand(&scan);
	jifen_end_scan(&scan);
	return program;
}

/* The same for a posting, with its periods as they are by now: lock_periods() is held. */
static JifenProgram *
find_program_to_post(const char *index, Datum key)
{
	JifenProgram *program = find_program(index, key);

	if (program && IsolationUsesXactSnapshot())
		read_latest_period(program);
	return program;
}

static JifenStatus
status_from_name(const char *name)
{
	return strcmp(name, "open") == 0 ? JIFEN_OPEN :
		strcmp(name, "frozen") == 0 ? JIFEN_FROZEN : JIFEN_CLOSED;
}

/* The account whose row is at hand. */
static JifenAccount *
account_at_hand(JifenScan *scan, const JifenProgram *program)
{
	JifenAccount *account = palloc0(sizeof(JifenAccount));
	Datum		head_hash = jifen_row_datum(scan, Anum_account_head_hash);
	Datum		salt = jifen_row_datum(scan, Anum_account_salt);

	account->program = program;
	account->row = scan->slot->tts_tid;
	account->account_id = jifen_row_int64(scan, Anum_account_account_id);
	account->member = TextDatumGetCString(jifen_row_datum(scan, Anum_account_member));
	account->status =
		status_from_name(TextDatumGetCString(jifen_row_datum(scan, Anum_account_status)));
	account->balance = jifen_row_int64(scan, Anum_account_balance);
	account->held = jifen_row_int64(scan, Anum_account_held);
	account->debt = jifen_row_int64(scan, Anum_account_debt);
	account->last_seq = jifen_row_int64(scan, Anum_account_last_seq);
	if (head_hash)
		jifen_copy_hash(&account->head_hash, DatumGetByteaPP(head_hash));
	if (salt)
		account->salt = DatumGetByteaPCopy(salt);
	account->last_event_at = jifen_row_time(scan, Anum_account_last_event_at);
	account->opened_at = jifen_row_time(scan, Anum_account_opened_at);
	account->due_at = account->stored_due_at = jifen_row_time(scan, Anum_account_due_at);
	for (int i = 0; i < JIFEN_TRACES; i++)
		account->last_at[i] = jifen_row_time(scan, Anum_account_last_earn_at - i);
	account->known_to = JIFEN_NO_TIME;
	return account;
}

/* The program of that number among them, NULL if it is not. */
static JifenProgram *
program_of_id(List *programs, int32 program_id)
{
	ListCell   *lc;

	foreach(lc, programs)
	{
		if (((JifenProgram *) lfirst(lc))->program_id == program_id)
			return lfirst(lc);
	}
	return NULL;
}

/* An account that was found. */
typedef struct Found
{
	int64		account_id;
	ItemPointerData row;
	Datum		member;			/* by whose name; 0: by its number */
} Found;

struct JifenFinding
{
	JifenScan	scan;
	List	   *programs;		/* of JifenProgram */
	Found	   *found;
	int			nfound;
};

static int
compare_found(const void *a, const void *b)
{
	int64		first = ((const Found *) a)->account_id;
	int64		second = ((const Found *) b)->account_id;

	return first < second ? -1 : first > second;
}

/*
 * Locks the accounts found, in account order; they share what programs they
 * have in common.  Left out are those that are gone, that have been renamed
 * before they were locked or, if locked ones are to be skipped, that others
 * hold.
 */
static JifenAccount **
lock_found(JifenScan *scan, Found *found, int nfound, List *programs, bool skip_locked, int *nlocked)
{
	JifenAccount **accounts = palloc((nfound + 1) * sizeof(JifenAccount *));

	*nlocked = 0;
	qsort(found, nfound, sizeof(Found), compare_found);
	for (int i = 0; i < nfound; i++)
	{
		JifenProgram *program;
		int32		program_id;

		CHECK_FOR_INTERRUPTS();
		if (!jifen_lock_row(scan, &found[i].row, found[i].account_id, skip_locked))
			continue;
		if (found[i].member &&
			jifen_compare_texts(found[i].member, jifen_row_datum(scan, Anum_account_member)) != 0)
			continue;
		program_id = DatumGetInt32(jifen_row_datum(scan, Anum_account_program_id));
		program = program_of_id(programs, program_id);
		if (program == NULL)
		{
			program = find_program_to_post("program_pkey", Int32GetDatum(program_id));
			if (program == NULL)
				elog(ERROR, "account " INT64_FORMAT " has no program", found[i].account_id);
			programs = lappend(programs, program);
		}
		accounts[(*nlocked)++] = account_at_hand(scan, program);
	}
	return accounts;
}

/* The program of that code, NULL if there is none. */
JifenProgram *
jifen_find_program(Datum program)
{
	lock_periods();
	return find_program_to_post("program_code_key", program);
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

/* The program of that code, or JF002. */
JifenProgram *
jifen_load_program(Datum program)
{
	JifenProgram *found = find_program("program_code_key", program);

	if (found == NULL)
		jifen_raise(jifen_refuse_unknown_program(program));
	return found;
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

/* Begins to find accounts that are to be locked, at most so many. */
JifenFinding *
jifen_begin_finding(int n)
{
	JifenFinding *finding = palloc0(sizeof(JifenFinding));

	lock_periods();
	finding->found = palloc_extended(n * sizeof(Found), MCXT_ALLOC_HUGE);
	jifen_begin_scan(&finding->scan, "account", Natts_account, "account_member_key", false);
	return finding;
}

/* What was written since the finding began is seen from here on. */
void
jifen_renew_finding(JifenFinding *finding)
{
	jifen_end_scan(&finding->scan);
	jifen_begin_scan(&finding->scan, "account", Natts_account, "account_member_key", false);
}

/* The program of that code, NULL if there is none; each is looked up once. */
static JifenProgram *
find_known_program(JifenFinding *finding, Datum code)
{
	JifenProgram *program;
	ListCell   *lc;

	foreach(lc, finding->programs)
	{
		program = lfirst(lc);
		if (jifen_compare_string(program->code, code) == 0)
			return program;
	}
	program = find_program_to_post("program_code_key", code);
	if (program)
		finding->programs = lappend(finding->programs, program);
	return program;
}

/* Finds the accounts of these pairs of program and member: whether each is there. */
void
jifen_find_members(JifenFinding *finding, const Datum *programs, const Datum *members, int n,
				   bool *exist)
{
	JifenScan  *scan = &finding->scan;
	JifenProgram *program = NULL;

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		exist[i] = false;
		if (i == 0 || jifen_compare_texts(programs[i - 1], programs[i]) != 0)
			program = find_known_program(finding, programs[i]);
		if (program == NULL)
			continue;
		jifen_set_key(scan, 1, BTEqualStrategyNumber, Int32GetDatum(program->program_id));
		jifen_set_key(scan, 2, BTEqualStrategyNumber, members[i]);
		exist[i] = jifen_next_row(scan);
		if (exist[i])
			finding->found[finding->nfound++] = (Found)
		{
			jifen_row_int64(scan, Anum_account_account_id), scan->slot->tts_tid, members[i]
		};
	}
}

/*
 * Locks the accounts that have been found since the last time, in account order,
 * as jifen_lock_account() does, and leaves out those that turn out to have been
 * renamed.
 */
JifenAccount **
jifen_lock_found(JifenFinding *finding, int *nlocked)
{
	JifenAccount **accounts = lock_found(&finding->scan, finding->found, finding->nfound,
										 finding->programs, false, nlocked);

	finding->nfound = 0;
	return accounts;
}

void
jifen_end_finding(JifenFinding *finding)
{
	jifen_end_scan(&finding->scan);
	pfree(finding->found);
	pfree(finding);
}

/*
 * Locks the member's account against other postings until the end of the
 * transaction (FOR NO KEY UPDATE of its row).  JF002 or JF003 if unknown.
 */
JifenAccount *
jifen_lock_account(Datum program, Datum member)
{
	JifenFinding *finding = jifen_begin_finding(1);
	JifenAccount **accounts;
	bool		exists;
	int			n;

	jifen_find_members(finding, &program, &member, 1, &exists);
	accounts = jifen_lock_found(finding, &n);
	jifen_end_finding(finding);
	if (n == 0)
		jifen_raise(jifen_refuse_unknown_member(jifen_load_program(program), member));
	return accounts[0];
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
lock_accounts(const int64 *account_ids, int n, bool skip_locked, int *nlocked)
{
	Found	   *found = palloc((n + 1) * sizeof(Found));
	int			nfound = 0;
	JifenAccount **accounts;
	JifenScan	scan;

	lock_periods();
	jifen_begin_scan(&scan, "account", Natts_account, "account_pkey", false);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		jifen_set_key(&scan, 1, BTEqualStrategyNumber, Int64GetDatum(account_ids[i]));
		if (jifen_next_row(&scan))
			found[nfound++] = (Found)
		{
			account_ids[i], scan.slot->tts_tid
		};
	}
	accounts = lock_found(&scan, found, nfound, NIL, skip_locked, nlocked);
	jifen_end_scan(&scan);
	return accounts;
}

/*
 * Locks those of the accounts that nobody else holds, in account order, and
 * leaves the others out.
 */
JifenAccount **
jifen_lock_free_accounts(const int64 *account_ids, int n, int *nlocked)
{
	return lock_accounts(account_ids, n, true, nlocked);
}

/* Locks the accounts, in account order, waiting for those that others hold. */
JifenAccount **
jifen_lock_accounts(const int64 *account_ids, int n, int *nlocked)
{
	return lock_accounts(account_ids, n, false, nlocked);
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
