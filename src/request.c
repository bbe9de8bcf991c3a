/*
 * request.c
 *	  Postings as callers ask for them: their arguments checked, and compared
 *	  with those of an earlier request of the same key.
 *
 * Whatever is wrong becomes the posting's refusal: a verb raises it, a batch
 * may skip it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "argument.h"
#include "errcodes.h"
#include "request.h"
#include "settings.h"
#include "storage.h"
#include "tables.h"

/* The longest idempotency key, in bytes. */
#define MAX_KEY 255

#define NO_FIELD (-1)

/* A verb that posts: what it takes, in the order of its arguments. */
typedef struct Verb
{
	const char *name;
	JifenKind	kind;
	bool		needs_amount;
	int			fields[17];		/* JifenFields, then NO_FIELD */
} Verb;

static const Verb verbs[] = {
	{"earn", JIFEN_EARN, true,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_AMOUNT, JIFEN_FIELD_REFERENCE,
			JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_SOURCE, JIFEN_FIELD_EVENT_AT, JIFEN_FIELD_EXPIRY,
			JIFEN_FIELD_AVAILABLE_AT, JIFEN_FIELD_QUALIFYING, JIFEN_FIELD_REVENUE, JIFEN_FIELD_DETAILS,
	JIFEN_FIELD_FUNDER, NO_FIELD}},
	{"redeem", JIFEN_REDEEM, true,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_AMOUNT, JIFEN_FIELD_REFERENCE,
			JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_EVENT_AT, JIFEN_FIELD_DETAILS, JIFEN_FIELD_SOURCE,
	JIFEN_FIELD_PARTNER, NO_FIELD}},
	{"hold", JIFEN_HOLD, true,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_AMOUNT, JIFEN_FIELD_UNTIL,
			JIFEN_FIELD_REFERENCE, JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_EVENT_AT, JIFEN_FIELD_DETAILS,
	NO_FIELD}},
	{"capture", JIFEN_CAPTURE, false,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_SEQ, JIFEN_FIELD_AMOUNT,
			JIFEN_FIELD_REFERENCE, JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_EVENT_AT, JIFEN_FIELD_DETAILS,
	JIFEN_FIELD_SOURCE, JIFEN_FIELD_PARTNER, NO_FIELD}},
	{"release", JIFEN_RELEASE, false,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_SEQ, JIFEN_FIELD_REASON,
	JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_EVENT_AT, JIFEN_FIELD_DETAILS, NO_FIELD}},
	{"reverse", JIFEN_REVERSE, false,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_SEQ, JIFEN_FIELD_AMOUNT,
			JIFEN_FIELD_REASON, JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_EVENT_AT, JIFEN_FIELD_DETAILS,
	JIFEN_FIELD_EXPIRY, NO_FIELD}},
	{"adjust", JIFEN_ADJUST, true,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_AMOUNT, JIFEN_FIELD_REASON,
			JIFEN_FIELD_REFERENCE, JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_SOURCE, JIFEN_FIELD_EVENT_AT,
			JIFEN_FIELD_EXPIRY, JIFEN_FIELD_AVAILABLE_AT, JIFEN_FIELD_QUALIFYING, JIFEN_FIELD_DETAILS,
	JIFEN_FIELD_FUNDER, NO_FIELD}},
	{"transfer", JIFEN_TRANSFER_OUT, true,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_TO_MEMBER, JIFEN_FIELD_AMOUNT,
			JIFEN_FIELD_REFERENCE, JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_REASON, JIFEN_FIELD_EVENT_AT,
	JIFEN_FIELD_DETAILS, NO_FIELD}},
	{"import", JIFEN_IMPORT, true,
		{JIFEN_FIELD_PROGRAM, JIFEN_FIELD_MEMBER, JIFEN_FIELD_AMOUNT, JIFEN_FIELD_EXPIRES_AT,
			JIFEN_FIELD_REFERENCE, JIFEN_FIELD_IDEMPOTENCY_KEY, JIFEN_FIELD_SOURCE, JIFEN_FIELD_EVENT_AT,
			JIFEN_FIELD_ISSUED_AT, JIFEN_FIELD_EXPIRY, JIFEN_FIELD_AVAILABLE_AT, JIFEN_FIELD_QUALIFYING,
	JIFEN_FIELD_REVENUE, JIFEN_FIELD_DETAILS, JIFEN_FIELD_FUNDER, NO_FIELD}},
};

static const char *const field_names[JIFEN_NFIELDS] = {
	"program", "member", "kind", "amount", "reference", "idempotency_key", "source", "event_at",
	"expiry", "available_at", "qualifying", "revenue", "details", "reason", "seq", "until",
	"to_member", "issued_at", "expires_at", "group", "funder", "partner"
};

static const Verb *
find_verb(const char *name)
{
	for (int i = 0; i < (int) lengthof(verbs); i++)
	{
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	}
	return NULL;
}

static bool
takes_field(const Verb *verb, int field)
{
	for (int i = 0; verb->fields[i] != NO_FIELD; i++)
	{
		if (verb->fields[i] == field)
			return true;
	}
	return false;
}

/* Takes the first refusal over. */
static void
check(JifenPosting *posting, JifenRefusal *refusal)
{
	if (posting->refusal == NULL)
		posting->refusal = refusal;
}

static JifenRefusal *
check_key(Datum value)
{
	int			length = VARSIZE_ANY_EXHDR(DatumGetPointer(value));

	if (length > 0 && length <= MAX_KEY)
		return NULL;
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf(length == 0 ? "idempotency_key must not be empty" :
								 "idempotency_key is too long"),
						psprintf("It has %d bytes.", length),
						psprintf("A key has from 1 to %d bytes.", MAX_KEY));
}

static JifenRefusal *
check_qualifying(PointAmount qualifying)
{
	if (qualifying >= 0)
		return NULL;
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("qualifying must not be negative"),
						psprintf("It is " INT64_FORMAT " points.", qualifying),
						psprintf("Give 0 for points that do not count towards a tier."));
}

static JifenRefusal *
check_revenue(Datum revenue)
{
	Numeric		value = DatumGetNumeric(revenue);

	if (!numeric_is_nan(value) && !numeric_is_inf(value))
	{
		Datum		sign = DirectFunctionCall1(numeric_sign, revenue);

		if (DatumGetInt32(DirectFunctionCall1(numeric_int4, sign)) >= 0)
			return NULL;
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("revenue must not be negative"),
							psprintf("It is %s.", numeric_normalize(value)),
							psprintf("Give the consideration allocated to these points; reverse() takes it back in proportion."));
	}
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("revenue must be finite"),
						psprintf("It is %s.", numeric_normalize(value)),
						psprintf("Give the consideration allocated to these points, in the program's currency."));
}

/* Sets an instant that was given. */
static void
set_time(JifenPosting *posting, TimestampTz *time, Datum value, int given, const char *name)
{
	*time = DatumGetTimestampTz(value);
	posting->given |= given;
	check(posting, jifen_check_time(*time, name));
}

/* Sets a field that is not null. */
static void
set_field(JifenPosting *posting, int field, Datum value, const char *name)
{
	switch (field)
	{
		case JIFEN_FIELD_PROGRAM:
			posting->program = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_MEMBER:
			posting->member = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_TO_MEMBER:
			posting->to_member = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_AMOUNT:
			posting->amount = DatumGetPointAmount(value);
			posting->given |= JIFEN_GIVEN_AMOUNT;
			break;
		case JIFEN_FIELD_REFERENCE:
			posting->reference = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_SOURCE:
			posting->source = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_FUNDER:
			posting->funder = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_PARTNER:
			posting->partner = value;
			check(posting, jifen_check_identifier(value, name));
			break;
		case JIFEN_FIELD_IDEMPOTENCY_KEY:
			posting->idempotency_key = value;
			check(posting, check_key(value));
			break;
		case JIFEN_FIELD_EVENT_AT:
			set_time(posting, &posting->event_at, value, JIFEN_GIVEN_EVENT_AT, name);
			if (!TIMESTAMP_NOT_FINITE(posting->event_at))
				check(posting, jifen_check_past(posting->event_at, name, jifen_clock_tolerance));
			break;
		case JIFEN_FIELD_EXPIRY:
			posting->expiry = DatumGetExpiryPolicyP(value);
			posting->given |= JIFEN_GIVEN_EXPIRY;
			break;
		case JIFEN_FIELD_AVAILABLE_AT:
			set_time(posting, &posting->available_at, value, JIFEN_GIVEN_AVAILABLE_AT, name);
			break;
		case JIFEN_FIELD_QUALIFYING:
			posting->qualifying = DatumGetPointAmount(value);
			posting->given |= JIFEN_GIVEN_QUALIFYING;
			check(posting, check_qualifying(posting->qualifying));
			break;
		case JIFEN_FIELD_REVENUE:
			posting->revenue = value;
			check(posting, check_revenue(value));
			break;
		case JIFEN_FIELD_DETAILS:
			posting->details = value;
			break;
		case JIFEN_FIELD_REASON:
			posting->reason = value;
			break;
		case JIFEN_FIELD_SEQ:
			posting->seq = DatumGetInt64(value);
			break;
		case JIFEN_FIELD_UNTIL:
			set_time(posting, &posting->until, value, 0, name);
			break;
		case JIFEN_FIELD_ISSUED_AT:
			set_time(posting, &posting->issued_at, value, JIFEN_GIVEN_ISSUED_AT, name);
			break;
		case JIFEN_FIELD_EXPIRES_AT:
			posting->expires_at = DatumGetTimestampTz(value);
			posting->given |= JIFEN_GIVEN_EXPIRES_AT;
			if (TIMESTAMP_IS_NOBEGIN(posting->expires_at))
				check(posting, jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
											psprintf("%s must not be -infinity", name),
											psprintf("Points cannot have lapsed for ever."),
											psprintf("Give an instant, or infinity for points that never lapse.")));
			break;
		case JIFEN_FIELD_GROUP:
			posting->group = value;
			check(posting, jifen_check_identifier(value, name));
			break;
	}
}

/* Whether the verb cannot do without the field. */
static bool
needs_field(const Verb *verb, int field)
{
	switch (field)
	{
		case JIFEN_FIELD_PROGRAM:
		case JIFEN_FIELD_MEMBER:
		case JIFEN_FIELD_SEQ:
		case JIFEN_FIELD_UNTIL:
		case JIFEN_FIELD_TO_MEMBER:
			return true;
		case JIFEN_FIELD_AMOUNT:
			return verb->needs_amount;
		case JIFEN_FIELD_REASON:
			return verb->kind == JIFEN_ADJUST;
		default:
			return false;
	}
}

/* A credit's argument in an adjustment that takes points. */
static JifenRefusal *
refuse_credit_argument(const char *name)
{
	return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
						psprintf("%s given for points that are taken", name),
						psprintf("The amount is negative."),
						psprintf("Leave it out: it is of points that are credited."));
}

/* What only makes sense together. */
static JifenRefusal *
check_whole(const JifenPosting *posting)
{
	if (posting->kind == JIFEN_ADJUST)
	{
		if (posting->amount == 0)
			return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
								psprintf("amount must not be zero"),
								psprintf("It is 0 points."),
								psprintf("Give a positive number of points to credit, a negative one to take."));
		if (VARSIZE_ANY_EXHDR(DatumGetPointer(posting->reason)) == 0)
			return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
								psprintf("reason must not be empty"),
								psprintf("It has 0 characters."),
								psprintf("Say why the account is adjusted."));
		if (posting->amount < 0)
		{
			if (posting->amount == POINT_AMOUNT_MIN)
				return jifen_refuse(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
									psprintf("point_amount out of range"),
									psprintf("It is " INT64_FORMAT " points.", posting->amount),
									psprintf("Take at most " INT64_FORMAT " points.", POINT_AMOUNT_MAX));
			if (posting->expiry)
				return refuse_credit_argument("expiry");
			if (jifen_is_given(posting, JIFEN_GIVEN_AVAILABLE_AT))
				return refuse_credit_argument("available_at");
			if (jifen_is_given(posting, JIFEN_GIVEN_QUALIFYING))
				return refuse_credit_argument("qualifying");
			if (posting->funder)
				return refuse_credit_argument("funder");
		}
	}
	else if (jifen_is_given(posting, JIFEN_GIVEN_AMOUNT))
	{
		JifenRefusal *refusal = jifen_check_amount(posting->amount, "amount");

		if (refusal)
			return refusal;
	}
	if (jifen_is_given(posting, JIFEN_GIVEN_EXPIRES_AT) && posting->expiry)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("both expires_at and expiry given"),
							psprintf("expires_at is %s, and expiry is \"%s\".",
									 timestamptz_to_str(posting->expires_at),
									 jifen_expiry_policy_out(posting->expiry)),
							psprintf("Give the one or the other."));
	if (posting->to_member && jifen_compare_texts(posting->member, posting->to_member) == 0)
		return jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("transfer to oneself"),
							psprintf("Both members are \"%s\".", TextDatumGetCString(posting->member)),
							psprintf("Give two members of the program."));
	return NULL;
}

static void
begin_posting(JifenPosting *posting)
{
	memset(posting, 0, sizeof(JifenPosting));
	posting->event_at = JIFEN_NO_TIME;
	posting->available_at = JIFEN_NO_TIME;
	posting->until = JIFEN_NO_TIME;
	posting->issued_at = JIFEN_NO_TIME;
	posting->expires_at = JIFEN_NO_TIME;
}

/*
 * A value that is not toasted, since it may be stored after its tuple is gone.
 * A short text stays as it is, in the memory of the arguments.
 */
static Datum
plain_value(int field, Datum value)
{
	switch (field)
	{
		case JIFEN_FIELD_PROGRAM:
		case JIFEN_FIELD_MEMBER:
		case JIFEN_FIELD_KIND:
		case JIFEN_FIELD_REFERENCE:
		case JIFEN_FIELD_IDEMPOTENCY_KEY:
		case JIFEN_FIELD_SOURCE:
		case JIFEN_FIELD_FUNDER:
		case JIFEN_FIELD_PARTNER:
		case JIFEN_FIELD_REASON:
		case JIFEN_FIELD_TO_MEMBER:
		case JIFEN_FIELD_GROUP:
			return PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
		case JIFEN_FIELD_REVENUE:
		case JIFEN_FIELD_DETAILS:
			return PointerGetDatum(PG_DETOAST_DATUM(value));
		default:
			return value;
	}
}

/* How the verb's function calls its argument. */
static const char *
argument_name(const Verb *verb, int field)
{
	if (field == JIFEN_FIELD_SEQ && verb->kind != JIFEN_REVERSE)
		return "hold_seq";
	if (field == JIFEN_FIELD_MEMBER && verb->kind == JIFEN_TRANSFER_OUT)
		return "from_member";
	return field_names[field];
}

/* The posting that the arguments of the verb's function ask for. */
void
jifen_posting_of_arguments(FunctionCallInfo fcinfo, const char *name, JifenPosting *posting)
{
	const Verb *verb = find_verb(name);

	begin_posting(posting);
	posting->kind = verb->kind;
	for (int i = 0; verb->fields[i] != NO_FIELD; i++)
	{
		int			field = verb->fields[i];

		if (!PG_ARGISNULL(i))
			set_field(posting, field, plain_value(field, PG_GETARG_DATUM(i)),
					  argument_name(verb, field));
		else if (needs_field(verb, field))
			check(posting, jifen_refuse_null(argument_name(verb, field)));
	}
	if (posting->refusal == NULL)
		check(posting, check_whole(posting));
}

/* The posting that a row of type posting asks for. */
void
jifen_posting_of_row(HeapTupleHeader row, JifenPosting *posting)
{
	TupleDesc	descriptor = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
													HeapTupleHeaderGetTypMod(row));
	HeapTupleData tuple = {0};
	Datum		values[JIFEN_NFIELDS];
	bool		nulls[JIFEN_NFIELDS];
	const Verb *verb;
	char	   *kind;

	if (descriptor->natts != JIFEN_NFIELDS)
		elog(ERROR, "posting has %d columns", descriptor->natts);
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = row;
	heap_deform_tuple(&tuple, descriptor, values, nulls);
	ReleaseTupleDesc(descriptor);

	begin_posting(posting);
	if (!nulls[JIFEN_FIELD_GROUP])
		set_field(posting, JIFEN_FIELD_GROUP,
				  plain_value(JIFEN_FIELD_GROUP, values[JIFEN_FIELD_GROUP]),
				  field_names[JIFEN_FIELD_GROUP]);
	if (nulls[JIFEN_FIELD_KIND])
	{
		check(posting, jifen_refuse_null("kind"));
		return;
	}
	kind = TextDatumGetCString(values[JIFEN_FIELD_KIND]);
	verb = find_verb(kind);
	if (verb == NULL)
	{
		check(posting, jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
									psprintf("unknown kind of posting \"%s\"", kind),
									psprintf("A posting is named after the function that posts one."),
									psprintf("Use earn, redeem, hold, capture, release, reverse, adjust, transfer or import.")));
		return;
	}
	posting->kind = verb->kind;
	for (int field = 0; field < JIFEN_NFIELDS; field++)
	{
		if (field == JIFEN_FIELD_KIND || field == JIFEN_FIELD_GROUP)
			continue;
		if (nulls[field])
		{
			if (takes_field(verb, field) && needs_field(verb, field))
				check(posting, jifen_refuse_null(field_names[field]));
			continue;
		}
		if (!takes_field(verb, field))
			check(posting, jifen_refuse(ERRCODE_INVALID_PARAMETER_VALUE,
										psprintf("%s takes no %s", verb->name, field_names[field]),
										psprintf("It is not null."),
										psprintf("Leave it out.")));
		else
			set_field(posting, field, plain_value(field, values[field]), field_names[field]);
	}
	if (posting->refusal == NULL)
		check(posting, check_whole(posting));
}

static bool
same_text(Datum asked, Datum stored, bool isnull)
{
	if (asked == (Datum) 0 || isnull)
		return asked == (Datum) 0 && isnull;
	return jifen_compare_texts(asked, stored) == 0;
}

/* The first field in which the request differs from the one of that entry, or NULL. */
static const char *
differing_field(const JifenPosting *posting, const Datum *values, const bool *nulls)
{
#define VALUE(column) values[(column) - 1]
#define ISNULL(column) nulls[(column) - 1]
	int			given = DatumGetInt16(VALUE(Anum_entry_given));
	JifenKind	kind = jifen_kind_from_name(TextDatumGetCString(VALUE(Anum_entry_kind)));
	PointAmount amount = DatumGetPointAmount(VALUE(Anum_entry_amount));

	/* The undoing of an expiry is a reinstatement. */
	if (kind != posting->kind && !(posting->kind == JIFEN_REVERSE && kind == JIFEN_REINSTATE))
		return "kind";
	if ((given ^ posting->given) & JIFEN_GIVEN_AMOUNT)
		return "amount";
	if (jifen_is_given(posting, JIFEN_GIVEN_AMOUNT))
	{
		if (kind == JIFEN_HOLD)
			amount = DatumGetPointAmount(VALUE(Anum_entry_held));
		else if (amount < 0 && kind != JIFEN_ADJUST)
			amount = -amount;
		if (posting->amount != amount)
			return "amount";
	}
	if ((posting->kind == JIFEN_REVERSE &&
		 DatumGetInt64(VALUE(Anum_entry_reverses_seq)) != posting->seq) ||
		((posting->kind == JIFEN_CAPTURE || posting->kind == JIFEN_RELEASE) &&
		 DatumGetInt64(VALUE(Anum_entry_hold_seq)) != posting->seq))
		return posting->kind == JIFEN_REVERSE ? "seq" : "hold_seq";
	if (posting->to_member &&
		(posting->counter == NULL ||
		 DatumGetInt64(VALUE(Anum_entry_counter_account_id)) != posting->counter->account_id))
		return "to_member";
	if (posting->kind == JIFEN_HOLD && DatumGetTimestampTz(VALUE(Anum_entry_until)) != posting->until)
		return "until";

	if (((given ^ posting->given) & JIFEN_GIVEN_EVENT_AT) ||
		(jifen_is_given(posting, JIFEN_GIVEN_EVENT_AT) && posting->first_event_at != posting->event_at))
		return "event_at";
	if (((given ^ posting->given) & JIFEN_GIVEN_EXPIRY) ||
		(posting->expiry &&
		 memcmp(DatumGetExpiryPolicyP(VALUE(Anum_entry_expiry)), posting->expiry,
				sizeof(ExpiryPolicy)) != 0))
		return "expiry";
	if (((given ^ posting->given) & JIFEN_GIVEN_EXPIRES_AT) ||
		(jifen_is_given(posting, JIFEN_GIVEN_EXPIRES_AT) &&
		 DatumGetTimestampTz(VALUE(Anum_entry_expires_at)) != posting->expires_at))
		return "expires_at";
	if (((given ^ posting->given) & JIFEN_GIVEN_AVAILABLE_AT) ||
		(jifen_is_given(posting, JIFEN_GIVEN_AVAILABLE_AT) &&
		 DatumGetTimestampTz(VALUE(Anum_entry_available_at)) != posting->available_at))
		return "available_at";
	if (((given ^ posting->given) & JIFEN_GIVEN_ISSUED_AT) ||
		(jifen_is_given(posting, JIFEN_GIVEN_ISSUED_AT) &&
		 DatumGetTimestampTz(VALUE(Anum_entry_issued_at)) != posting->issued_at))
		return "issued_at";
	if (((given ^ posting->given) & JIFEN_GIVEN_QUALIFYING) ||
		(jifen_is_given(posting, JIFEN_GIVEN_QUALIFYING) &&
		 DatumGetPointAmount(VALUE(Anum_entry_qualifying)) != posting->qualifying))
		return "qualifying";

	if (!same_text(posting->source, VALUE(Anum_entry_source), ISNULL(Anum_entry_source)))
		return "source";
	if (!same_text(posting->funder, VALUE(Anum_entry_funder), ISNULL(Anum_entry_funder)))
		return "funder";
	if (!same_text(posting->partner, VALUE(Anum_entry_partner), ISNULL(Anum_entry_partner)))
		return "partner";
	if (!same_text(posting->reference, VALUE(Anum_entry_reference), ISNULL(Anum_entry_reference)))
		return "reference";
	if (!same_text(posting->reason, VALUE(Anum_entry_reason), ISNULL(Anum_entry_reason)))
		return "reason";
	/* A reversal's own follows from what it undoes. */
	if (posting->kind != JIFEN_REVERSE &&
		((posting->revenue == (Datum) 0) != ISNULL(Anum_entry_revenue) ||
		 (posting->revenue &&
		  !DatumGetBool(DirectFunctionCall2(numeric_eq, posting->revenue, VALUE(Anum_entry_revenue))))))
		return "revenue";
	if ((posting->details == (Datum) 0) != ISNULL(Anum_entry_details) ||
		(posting->details &&
		 !DatumGetBool(DirectFunctionCall2(jsonb_eq, posting->details, VALUE(Anum_entry_details)))))
		return "details";
	return NULL;
#undef VALUE
#undef ISNULL
}

/*
 * The posting's key is of that entry already: it is the outcome if the request
 * is the same, else JF005.
 */
JifenRefusal *
jifen_replay(JifenPosting *posting)
{
	Datum		values[Natts_entry];
	bool		nulls[Natts_entry];
	const char *field;

	jifen_deform_entry(posting->first, values, nulls);
	posting->entry_seq = DatumGetInt64(values[Anum_entry_seq - 1]);
	posting->entry_balance = DatumGetPointAmount(values[Anum_entry_balance - 1]);
	field = differing_field(posting, values, nulls);
	if (field == NULL)
		return NULL;
	return jifen_refuse(ERRCODE_JF_KEY_REUSED,
						psprintf("idempotency key reused for another request"),
						psprintf("Key \"%s\" of account \"%s\" of program \"%s\" is of entry " INT64_FORMAT
								 ", whose request differs in %s.",
								 TextDatumGetCString(posting->idempotency_key),
								 posting->account->member, posting->account->program->code,
								 posting->entry_seq, field),
						psprintf("Repeat the request as it was, or use another key for another one."));
}
