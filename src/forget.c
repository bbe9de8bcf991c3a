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
#include "utils/rel.h"

#include "argument.h"
#include "chain.h"
#include "plan.h"
#include "storage.h"
#include "tables.h"

PG_FUNCTION_INFO_V1(refuse_change);
PG_FUNCTION_INFO_V1(forget_member);

/*
 * True while forget_member() runs its own UPDATE of entry, whose trigger sets
 * it back.
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

static JifenStatement erase_status_changes = {
	"update jifen.status_change set reason = null"
	" where account_id = $1 and reason is not null",
	1, {INT8OID}
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

/* Whether the statement updates reason and details of entry and nothing else. */
static bool
is_erasure(const TriggerData *trigger)
{
	const int	columns[] = {Anum_entry_reason, Anum_entry_details};
	Bitmapset  *personal = NULL;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ||
		strcmp(RelationGetRelationName(trigger->tg_relation), "entry") != 0)
		return false;
	for (int i = 0; i < (int) lengthof(columns); i++)
		personal = bms_add_member(personal, columns[i] - FirstLowInvalidHeapAttributeNumber);
	return bms_equal(trigger->tg_updatedcols, personal);
}

/*
 * refuse_change(what, hint) returns trigger
 *
 * Raises 42501 for all but the one UPDATE by forget_member(), which no SQL
 * can announce.
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
	Datum		result;
	JifenAccount *account;
	uint64		nsaved;

	jifen_require_writable("forget_member()");
	program = jifen_identifier_argument(fcinfo, 0, "program");
	member = jifen_identifier_argument(fcinfo, 1, "member");
	jifen_require_argument(fcinfo, 2, "reason");

	SPI_connect();
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
	}
	PG_FINALLY();
	{
		erasing = false;
	}
	PG_END_TRY();
	jifen_execute(&erase_status_changes, values, NULL, false, 0);
	jifen_execute(&erase_member, values, NULL, false, 0);
	result = SPI_datumTransfer(jifen_get_datum(0, 1), false, -1);
	SPI_finish();
	PG_RETURN_DATUM(result);
}
