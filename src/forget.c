/*
 * forget.c
 *	  Erases what is personal of a member, past the guard of the journal.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "argument.h"
#include "chain.h"
#include "plan.h"
#include "storage.h"

PG_FUNCTION_INFO_V1(refuse_change);
PG_FUNCTION_INFO_V1(forget_member);

/*
 * True while forget_member() runs an UPDATE of its own of a guarded table,
 * whose trigger sets it back.
 */
static bool erasing = false;

static JifenStatement save_digests = {
	"insert into jifen.erasure (account_id, seq, personal_digest)"
	" select e.account_id, e.seq, jifen.personal_digest(e, a.salt)"
	" from jifen.account a join jifen.entry e on e.account_id = a.account_id"
	" where a.account_id = $1 and (e.reason is not null or e.details is not null)",
	1, {INT8OID}
};

static JifenStatement erase_entries = {
	"update jifen.entry set reason = null, details = null"
	" where account_id = $1 and (reason is not null or details is not null)",
	1, {INT8OID}
};

static JifenStatement erase_notices = {
	"update jifen.notice set message = null"
	" where account_id = $1 and message is not null",
	1, {INT8OID}
};

static JifenStatement erase_status_changes = {
	"update jifen.status_change set reason = null"
	" where account_id = $1 and reason is not null",
	1, {INT8OID}
};

/* extend_expiry() and undo_extension() lock their rows before accounts. */
static JifenStatement lock_extensions = {
	"select from jifen.extension"
	" where program_id = (select program_id from jifen.program where code = $1) and $2 = any (members)"
	" order by extension_id for no key update",
	2, {TEXTOID, TEXTOID}
};

static JifenStatement erase_from_extensions = {
	"update jifen.extension x set members = array_replace(x.members, $2, a.member)"
	" from jifen.account a"
	" where a.account_id = $1 and x.program_id = a.program_id and $2 = any (x.members)",
	2, {INT8OID, TEXTOID}
};

static JifenStatement erase_member = {
	"with forgotten as ("
	"  insert into jifen.forgetting (account_id, forgetting_no, last_seq, reason, actor)"
	"  select $1, coalesce(max(forgetting_no), 0) + 1, $3, $4, $5"
	"  from jifen.forgetting where account_id = $1)"
	" update jifen.account a"
	" set member = 'forgotten-' || gen_random_uuid(), salt = $2"
	" where account_id = $1"
	" returning a",
	5, {INT8OID, BYTEAOID, INT8OID, TEXTOID, TEXTOID}
};

/* Whether the statement updates what is personal in a guarded table and nothing else. */
static bool
is_erasure(const TriggerData *trigger)
{
	static const struct
	{
		const char *table;
		const char *column;
	}			personal[] = {
		{"entry", "reason"},
		{"entry", "details"},
		{"notice", "message"}
	};
	Bitmapset  *columns = NULL;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		return false;
	for (int i = 0; i < (int) lengthof(personal); i++)
	{
		if (strcmp(RelationGetRelationName(trigger->tg_relation), personal[i].table) == 0)
			columns = bms_add_member(columns,
									 get_attnum(RelationGetRelid(trigger->tg_relation), personal[i].column) -
									 FirstLowInvalidHeapAttributeNumber);
	}
	return columns != NULL && bms_equal(trigger->tg_updatedcols, columns);
}

/*
 * refuse_change(what, hint) returns trigger
 *
 * Raises 42501 for all but the UPDATEs by forget_member(), which no SQL can
 * announce.
 */
Datum
refuse_change(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger functions can only be called as triggers")));
	if (erasing && is_erasure(trigger))
	{
		erasing = false;
		return PointerGetDatum(NULL);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s of jifen.%s is refused",
					TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? "UPDATE" :
					TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "DELETE" : "TRUNCATE",
					RelationGetRelationName(trigger->tg_relation)),
			 errdetail("%s are kept as they were written.",
					   trigger->tg_trigger->tgargs[0]),
			 errhint("%s", trigger->tg_trigger->tgargs[1])));
}

/*
 * forget_member(program, member, reason) returns account
 *
 * The digests are saved by one statement and what they are of is erased by
 * the next; nobody posts meanwhile, since the account is locked.
 */
Datum
forget_member(PG_FUNCTION_ARGS)
{
	Datum		program;
	Datum		member;
	Datum		values[5];
	Datum		names[2];
	Datum		result;
	JifenAccount *account;
	uint64		nsaved;

	jifen_require_writable("forget_member()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	jifen_require_argument(fcinfo, 2, "reason");

	SPI_connect();
	names[0] = program;
	names[1] = member;
	jifen_execute(&lock_extensions, names, NULL, false, 0);
	account = jifen_lock_account(program, member);
	values[0] = Int64GetDatum(account->account_id);
	values[1] = jifen_new_salt();
	values[2] = Int64GetDatum(account->last_seq);
	values[3] = PG_GETARG_DATUM(2);
	values[4] = jifen_actor();

	nsaved = jifen_execute(&save_digests, values, NULL, false, 0);
	PG_TRY();
	{
		erasing = true;
		if (jifen_execute(&erase_entries, values, NULL, false, 0) != nsaved)
			elog(ERROR, "account " INT64_FORMAT " changed while it was locked",
				 account->account_id);
		erasing = true;
		jifen_execute(&erase_notices, values, NULL, false, 0);
	}
	PG_FINALLY();
	{
		erasing = false;
	}
	PG_END_TRY();
	jifen_execute(&erase_status_changes, values, NULL, false, 0);
	jifen_execute(&erase_member, values, NULL, false, 0);
	result = SPI_datumTransfer(jifen_get_datum(0, 1), false, -1);
	names[0] = values[0];
	jifen_execute(&erase_from_extensions, names, NULL, false, 0);
	SPI_finish();
	PG_RETURN_DATUM(result);
}
