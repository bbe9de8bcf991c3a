/*
 * account.c
 *	  Finds, opens, freezes, unfreezes and closes accounts.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "argument.h"
#include "errcodes.h"
#include "find.h"
#include "plan.h"
#include "storage.h"
#include "tables.h"

PG_FUNCTION_INFO_V1(program_id);
PG_FUNCTION_INFO_V1(account_id);
PG_FUNCTION_INFO_V1(lock_account);
PG_FUNCTION_INFO_V1(open_account);
PG_FUNCTION_INFO_V1(freeze_account);
PG_FUNCTION_INFO_V1(unfreeze_account);
PG_FUNCTION_INFO_V1(close_account);

static JifenStatement select_account = {
	"select a from jifen.account a where a.account_id = $1",
	1, {INT8OID}
};

static JifenStatement change_status = {
	"with changed as ("
	"  update jifen.account set status = $2 where account_id = $1)"
	" insert into jifen.status_change (account_id, change_no, status, reason, actor)"
	" select $1, coalesce(max(change_no), 0) + 1, $2, $3, $4"
	" from jifen.status_change where account_id = $1",
	4, {INT8OID, TEXTOID, TEXTOID, TEXTOID}
};

/* The account's row, in the caller's memory; ends the SPI connection. */
static Datum
finish(const JifenAccount *account)
{
	Datum		values[] = {Int64GetDatum(account->account_id)};
	Datum		result;

	jifen_execute(&select_account, values, NULL, false, 0);
	result = SPI_datumTransfer(jifen_get_datum(0, 1), false, -1);
	SPI_finish();
	return result;
}

/* program_id(program) returns integer */
Datum
program_id(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(jifen_find_program_id(jifen_identifier_argument(fcinfo, 0, "program")));
}

/* account_id(program, member) returns bigint */
Datum
account_id(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	JifenScan	scan;
	int64		result;

	jifen_find_account_row(&scan, jifen_find_program_id(program), program, member);
	result = jifen_row_int64(&scan, Anum_account_account_id);
	jifen_end_scan(&scan);
	PG_RETURN_INT64(result);
}

/* lock_account(program, member) returns bigint */
Datum
lock_account(PG_FUNCTION_ARGS)
{
	Datum		program = jifen_identifier_argument(fcinfo, 0, "program");
	Datum		member = jifen_identifier_argument(fcinfo, 1, "member");
	JifenAccount *account;
	int64		result;

	jifen_require_writable("lock_account()");
	SPI_connect();
	account = jifen_lock_account(program, member);
	jifen_raise(jifen_require_open(account));
	result = account->account_id;
	SPI_finish();
	PG_RETURN_INT64(result);
}

/* open_account(program, member, opened_at) returns account */
Datum
open_account(PG_FUNCTION_ARGS)
{
	Datum		program;
	Datum		member;
	JifenAccount *account;
	TimestampTz opened_at;
	int32		program_id;
	int64		opened;

	jifen_require_writable("open_account()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	opened_at = jifen_time_argument(fcinfo, 2, "opened_at");
	if (opened_at != JIFEN_NO_TIME)
		jifen_raise(jifen_check_past(opened_at, "opened_at", 0));

	SPI_connect();
	program_id = jifen_load_program(program)->program_id;
	(void) jifen_open_accounts(&program_id, &member, 1, opened_at, &opened);
	account = jifen_lock_account(program, member);
	jifen_raise(jifen_require_open(account));
	PG_RETURN_DATUM(finish(account));
}

/* Locks the account that the arguments program, member and reason name. */
static JifenAccount *
lock_account_argument(FunctionCallInfo fcinfo, const char *command)
{
	Datum		program;
	Datum		member;

	jifen_require_writable(command);
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	jifen_require_argument(fcinfo, 2, "reason");

	SPI_connect();
	return jifen_lock_account(program, member);
}

static Datum
set_status(FunctionCallInfo fcinfo, const JifenAccount *account, const char *status)
{
	Datum		values[] = {Int64GetDatum(account->account_id),
	CStringGetTextDatum(status), PG_GETARG_DATUM(2), jifen_actor()};

	jifen_execute(&change_status, values, NULL, false, 0);
	return finish(account);
}

/* freeze_account(program, member, reason) returns account */
Datum
freeze_account(PG_FUNCTION_ARGS)
{
	JifenAccount *account = lock_account_argument(fcinfo, "freeze_account()");

	jifen_raise(jifen_require_open(account));
	PG_RETURN_DATUM(set_status(fcinfo, account, "frozen"));
}

/* unfreeze_account(program, member, reason) returns account */
Datum
unfreeze_account(PG_FUNCTION_ARGS)
{
	JifenAccount *account = lock_account_argument(fcinfo, "unfreeze_account()");

	if (account->status != JIFEN_FROZEN)
		ereport(ERROR,
				(errcode(ERRCODE_JF_ACCOUNT_NOT_OPEN),
				 errmsg("account is not frozen"),
				 errdetail("Account \"%s\" of program \"%s\" is %s.",
						   account->member, account->program->code,
						   account->status == JIFEN_OPEN ? "open" : "closed"),
				 errhint("Only a frozen account can be unfrozen.")));
	PG_RETURN_DATUM(set_status(fcinfo, account, "open"));
}

/*
 * close_account(program, member, reason) returns account
 *
 * Books what is due by now, then wants a balance of zero without held points
 * and debts.
 */
Datum
close_account(PG_FUNCTION_ARGS)
{
	JifenAccount *account = lock_account_argument(fcinfo, "close_account()");
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	JifenKeys	no_holds = {0};

	if (account->status == JIFEN_CLOSED)
		jifen_raise(jifen_require_open(account));
	jifen_load_holds(&account, 1, &no_holds, now);
	jifen_load_for_due_holds(&account, 1, now);
	jifen_load_debts(&account, 1);
	(void) jifen_post_due_holds(account, now);
	jifen_load_lapsed(&account, 1, now);
	jifen_post_expiry(account, now);
	if (account->debt != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("account still owes points"),
				 errdetail("Account \"%s\" of program \"%s\" owes " INT64_FORMAT " points.",
						   account->member, account->program->code, account->debt),
				 errhint("They have to be repaid by a credit first, such as adjust().")));
	if (account->balance != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("account still holds points"),
				 errdetail("Account \"%s\" of program \"%s\" holds " INT64_FORMAT
						   " points that have not lapsed.",
						   account->member, account->program->code, account->balance),
				 errhint("They have to be spent, released or reversed first; a frozen account has to be unfrozen for that.")));
	jifen_store(&account, 1);
	PG_RETURN_DATUM(set_status(fcinfo, account, "closed"));
}
