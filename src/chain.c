/*
 * chain.c
 *	  The hash chain over the entries of an account.
 *
 * docs/chain.md describes the canonical form.  It is part of every hash that
 * was ever stored: never change it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "chain.h"
#include "compat.h"
#include "expiry_policy.h"
#include "storage.h"
#include "tables.h"

PG_FUNCTION_INFO_V1(entry_hash);
PG_FUNCTION_INFO_V1(personal_digest);

#define SALT_LENGTH 16

/* Enough for any 64-bit number as decimal text, and its end. */
#define MAX_DIGITS 24

/* How a column of entry is written in the canonical form. */
typedef enum ColumnForm
{
	FORM_INT64,					/* and point_amount */
	FORM_INT16,
	FORM_TIME,
	FORM_TEXT,
	FORM_POLICY,
	FORM_NUMERIC,
	FORM_PERSONAL,				/* the digest of reason and details */
	FORM_OMITTED
} ColumnForm;

static const uint8 column_form[Natts_entry] = {
	[Anum_entry_event_at - 1] = FORM_TIME,
	[Anum_entry_posted_at - 1] = FORM_TIME,
	[Anum_entry_expires_at - 1] = FORM_TIME,
	[Anum_entry_available_at - 1] = FORM_TIME,
	[Anum_entry_until - 1] = FORM_TIME,
	[Anum_entry_issued_at - 1] = FORM_TIME,
	[Anum_entry_given - 1] = FORM_INT16,
	[Anum_entry_rule_no - 1] = FORM_INT16,
	[Anum_entry_kind - 1] = FORM_TEXT,
	[Anum_entry_source - 1] = FORM_TEXT,
	[Anum_entry_funder - 1] = FORM_TEXT,
	[Anum_entry_partner - 1] = FORM_TEXT,
	[Anum_entry_reference - 1] = FORM_TEXT,
	[Anum_entry_reason - 1] = FORM_PERSONAL,
	[Anum_entry_idempotency_key - 1] = FORM_TEXT,
	[Anum_entry_expiry - 1] = FORM_POLICY,
	[Anum_entry_revenue - 1] = FORM_NUMERIC,
	[Anum_entry_details - 1] = FORM_OMITTED,
	[Anum_entry_actor - 1] = FORM_TEXT,
	[Anum_entry_hash - 1] = FORM_OMITTED,
};

/*
 * What computes hashes, one after the other: to make it takes a good part of the
 * time of a hash.
 */
pg_cryptohash_ctx *
jifen_begin_hashing(void)
{
	pg_cryptohash_ctx *hashing = pg_cryptohash_create(PG_SHA256);

	if (hashing == NULL)
		elog(ERROR, "could not compute a SHA-256 hash");
	return hashing;
}

void
jifen_end_hashing(pg_cryptohash_ctx *hashing)
{
	pg_cryptohash_free(hashing);
}

/* The SHA-256 of the bytes, to hash: PG_SHA256_DIGEST_LENGTH bytes. */
static void
compute_hash(pg_cryptohash_ctx *hashing, const void *data, size_t length, uint8 *hash)
{
	if (pg_cryptohash_init(hashing) < 0 ||
		pg_cryptohash_update(hashing, data, length) < 0 ||
		pg_cryptohash_final(hashing, hash, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute a SHA-256 hash");
}

/* The same for a single hash. */
void
jifen_sha256(const void *data, size_t length, uint8 *hash)
{
	pg_cryptohash_ctx *hashing = jifen_begin_hashing();

	compute_hash(hashing, data, length, hash);
	jifen_end_hashing(hashing);
}

/* Random bytes for a new account.salt, as bytea. */
Datum
jifen_new_salt(void)
{
	bytea	   *salt = palloc(VARHDRSZ + SALT_LENGTH);

	SET_VARSIZE(salt, VARHDRSZ + SALT_LENGTH);
	if (!pg_strong_random(VARDATA(salt), SALT_LENGTH))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	return PointerGetDatum(salt);
}

static bool
is_hash(const bytea *value)
{
	return VARSIZE_ANY_EXHDR(value) == PG_SHA256_DIGEST_LENGTH;
}

/* Takes a hash over from a column; a value that cannot be one is an error. */
void
jifen_copy_hash(JifenHash *hash, const bytea *value)
{
	if (!is_hash(value))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a hash has %d bytes instead of %d",
						(int) VARSIZE_ANY_EXHDR(value), PG_SHA256_DIGEST_LENGTH),
				 errdetail("The head_hash of an account has been altered."),
				 errhint("verify_chain() tells what should be there.")));
	SET_VARSIZE(hash, sizeof(JifenHash));
	memcpy(hash->bytes, VARDATA_ANY(value), PG_SHA256_DIGEST_LENGTH);
}

/* ---------- the canonical form ---------- */

static void
append_netstring(StringInfo form, const void *data, int length)
{
	char	   *end;

	enlargeStringInfo(form, MAX_DIGITS + length);
	end = form->data + form->len;
	end += pg_ultoa_n((uint32) length, end);
	*end++ = ':';
	memcpy(end, data, length);
	end += length;
	*end++ = ',';
	form->len = end - form->data;
}

static void
append_null(StringInfo form)
{
	enlargeStringInfo(form, 2);
	form->data[form->len++] = '-';
	form->data[form->len++] = ',';
}

static void
append_number(StringInfo form, int64 value)
{
	char		digits[MAX_DIGITS];

	append_netstring(form, digits, pg_lltoa(value, digits));
}

/*
 * Microseconds since 1970 in UTC.  The latest timestamps are more of them
 * than an int64 holds.
 */
static void
append_time(StringInfo form, TimestampTz value)
{
	const int64 epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	char		digits[MAX_DIGITS];

	if (TIMESTAMP_IS_NOEND(value))
		append_netstring(form, "infinity", strlen("infinity"));
	else if (TIMESTAMP_IS_NOBEGIN(value))
		append_netstring(form, "-infinity", strlen("-infinity"));
	else if (value >= 0)
		append_netstring(form, digits, pg_ulltoa_n((uint64) value + epoch, digits));
	else
		append_number(form, value + epoch);
}

static void
append_text(StringInfo form, Datum value)
{
	text	   *packed = DatumGetTextPP(value);

	append_netstring(form, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
	if (packed != (text *) DatumGetPointer(value))
		pfree(packed);
}

static void
append_string(StringInfo form, char *string)
{
	append_netstring(form, string, strlen(string));
	pfree(string);
}

static void
append_jsonb(StringInfo form, Datum value)
{
	Jsonb	   *jsonb = DatumGetJsonbP(value);

	append_string(form, JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb)));
	if (jsonb != (Jsonb *) DatumGetPointer(value))
		pfree(jsonb);
}

static bool
has_personal(const bool *nulls)
{
	return !nulls[Anum_entry_reason - 1] || !nulls[Anum_entry_details - 1];
}

/* What stands for reason and details of the entry in its canonical form. */
static void
digest_personal(pg_cryptohash_ctx *hashing, const Datum *values,
				const bool *nulls, const char *salt, int salt_length, uint8 *digest)
{
	StringInfoData form;

	initStringInfo(&form);
	appendBinaryStringInfo(&form, salt, salt_length);
	append_number(&form, DatumGetInt64(values[Anum_entry_account_id - 1]));
	append_number(&form, DatumGetInt64(values[Anum_entry_seq - 1]));
	if (nulls[Anum_entry_reason - 1])
		append_null(&form);
	else
		append_text(&form, values[Anum_entry_reason - 1]);
	if (nulls[Anum_entry_details - 1])
		append_null(&form);
	else
		append_jsonb(&form, values[Anum_entry_details - 1]);
	compute_hash(hashing, form.data, form.len, digest);
	pfree(form.data);
}

static void
append_digest(StringInfo form, const uint8 *digest)
{
	char		hex[2 * PG_SHA256_DIGEST_LENGTH];

	hex_encode((const char *) digest, PG_SHA256_DIGEST_LENGTH, hex);
	append_netstring(form, hex, sizeof(hex));
}

static int
compare_lot_seq(const void *a, const void *b)
{
	int64		one = ((const JifenAllocation *) a)->lot_seq;
	int64		other = ((const JifenAllocation *) b)->lot_seq;

	return (one > other) - (one < other);
}

static void
append_allocations(StringInfo form, const JifenAllocation *allocations, int n)
{
	JifenAllocation *sorted = palloc(n * sizeof(JifenAllocation));

	memcpy(sorted, allocations, n * sizeof(JifenAllocation));
	qsort(sorted, n, sizeof(JifenAllocation), compare_lot_seq);
	for (int i = 0; i < n; i++)
	{
		append_number(form, sorted[i].lot_seq);
		append_number(form, sorted[i].amount);
	}
	pfree(sorted);
}

/*
 * The hash of an entry, to hash: that of the entry before it, NULL for the
 * first, and the canonical form.  The values are the columns of entry, of
 * which hash is not looked at; the allocations are the entry's, in any order.
 * Where the personal details are erased, their digest is given and neither
 * they nor the salt are looked at.
 */
void
jifen_hash_entry(pg_cryptohash_ctx *hashing, const uint8 *previous,
				 const Datum *values, const bool *nulls,
				 const JifenAllocation *allocations, int nallocations,
				 const char *salt, int salt_length,
				 const uint8 *personal_digest, uint8 *hash)
{
	uint8		own_digest[PG_SHA256_DIGEST_LENGTH];
	StringInfoData form;

	if (personal_digest == NULL && has_personal(nulls))
	{
		digest_personal(hashing, values, nulls, salt, salt_length, own_digest);
		personal_digest = own_digest;
	}

	initStringInfo(&form);
	if (previous)
		appendBinaryStringInfo(&form, (const char *) previous, PG_SHA256_DIGEST_LENGTH);
	for (int i = 0; i < Natts_entry; i++)
	{
		ColumnForm	column = column_form[i];

		if (column == FORM_OMITTED)
			continue;
		if (column == FORM_PERSONAL ? personal_digest == NULL : nulls[i])
		{
			append_null(&form);
			continue;
		}
		switch (column)
		{
			case FORM_INT64:
				append_number(&form, DatumGetInt64(values[i]));
				break;
			case FORM_INT16:
				append_number(&form, DatumGetInt16(values[i]));
				break;
			case FORM_TIME:
				append_time(&form, DatumGetTimestampTz(values[i]));
				break;
			case FORM_TEXT:
				append_text(&form, values[i]);
				break;
			case FORM_POLICY:
				append_string(&form, jifen_expiry_policy_out(DatumGetExpiryPolicyP(values[i])));
				break;
			case FORM_NUMERIC:
				append_string(&form, DatumGetCString(DirectFunctionCall1(numeric_out, values[i])));
				break;
			case FORM_PERSONAL:
				append_digest(&form, personal_digest);
				break;
			case FORM_OMITTED:
				break;
		}
	}
	if (nallocations > 0)
		append_allocations(&form, allocations, nallocations);
	compute_hash(hashing, form.data, form.len, hash);
	pfree(form.data);
}

/*
 * Hashes the account's next entry to be stored, whose columns are given, and
 * makes it the account's head.
 */
void
jifen_chain_entry(pg_cryptohash_ctx *hashing, JifenAccount *account, JifenEntry *entry,
				  const Datum *values, const bool *nulls)
{
	jifen_hash_entry(hashing, entry->seq == 1 ? NULL : account->head_hash.bytes, values, nulls,
					 &account->allocations[entry->first_allocation], entry->nallocations,
					 account->salt ? VARDATA(account->salt) : "",
					 account->salt ? VARSIZE(account->salt) - VARHDRSZ : 0,
					 NULL, entry->hash.bytes);
	SET_VARSIZE(&entry->hash, sizeof(JifenHash));
	account->head_hash = entry->hash;
}

/* ---------- SQL-callable hashes ---------- */

/* The elements of an array of bigint that has no nulls; none where it is null. */
static Datum *
int8_array_argument(FunctionCallInfo fcinfo, int n, const char *name, int *length)
{
	ArrayType  *array;
	Datum	   *elements;

	*length = 0;
	if (PG_ARGISNULL(n))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(n);
	if (ARR_NDIM(array) > 1 || array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be an array of one dimension without nulls", name),
				 errdetail("It lists what the allocations of an entry have, one after the other."),
				 errhint("Aggregate the allocations of the entry with array_agg().")));
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, NULL, length);
	return elements;
}

static Datum
hash_datum(const uint8 *hash)
{
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(result), hash, PG_SHA256_DIGEST_LENGTH);
	return PointerGetDatum(result);
}

/* A bytea argument, NULL where it is null. */
static bytea *
bytea_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : PG_GETARG_BYTEA_PP(n);
}

/*
 * entry_hash(previous, line, lot_seqs, amounts, salt, personal_digest) returns bytea
 *
 * NULL where previous or personal_digest is given and cannot be a hash: what
 * was tampered with has to be told, not to end the search for it.
 */
Datum
entry_hash(PG_FUNCTION_ARGS)
{
	Datum		values[Natts_entry];
	bool		nulls[Natts_entry];
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hashing;
	bytea	   *previous = bytea_argument(fcinfo, 0);
	bytea	   *salt = bytea_argument(fcinfo, 4);
	bytea	   *digest = bytea_argument(fcinfo, 5);
	int			n;
	int			namounts;
	Datum	   *lot_seqs = int8_array_argument(fcinfo, 2, "lot_seqs", &n);
	Datum	   *amounts = int8_array_argument(fcinfo, 3, "amounts", &namounts);
	JifenAllocation *allocations = palloc0((n + 1) * sizeof(JifenAllocation));

	if (PG_ARGISNULL(1) || (previous && !is_hash(previous)) || (digest && !is_hash(digest)))
		PG_RETURN_NULL();
	if (n != namounts)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("lot_seqs and amounts must be of the same length"),
				 errdetail("They have %d and %d elements.", n, namounts),
				 errhint("Aggregate the allocations of the entry with array_agg().")));
	for (int i = 0; i < n; i++)
	{
		allocations[i].lot_seq = DatumGetInt64(lot_seqs[i]);
		allocations[i].amount = DatumGetInt64(amounts[i]);
	}
	jifen_deform_entry(PG_GETARG_HEAPTUPLEHEADER(1), values, nulls);
	hashing = jifen_begin_hashing();
	jifen_hash_entry(hashing, previous ? (uint8 *) VARDATA_ANY(previous) : NULL,
					 values, nulls, allocations, n,
					 salt ? VARDATA_ANY(salt) : "", salt ? VARSIZE_ANY_EXHDR(salt) : 0,
					 digest ? (uint8 *) VARDATA_ANY(digest) : NULL, hash);
	jifen_end_hashing(hashing);
	PG_RETURN_DATUM(hash_datum(hash));
}

/* personal_digest(line, salt) returns bytea */
Datum
personal_digest(PG_FUNCTION_ARGS)
{
	Datum		values[Natts_entry];
	bool		nulls[Natts_entry];
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hashing;
	bytea	   *salt = bytea_argument(fcinfo, 1);

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	jifen_deform_entry(PG_GETARG_HEAPTUPLEHEADER(0), values, nulls);
	if (!has_personal(nulls))
		PG_RETURN_NULL();
	hashing = jifen_begin_hashing();
	digest_personal(hashing, values, nulls, salt ? VARDATA_ANY(salt) : "",
					salt ? VARSIZE_ANY_EXHDR(salt) : 0, digest);
	jifen_end_hashing(hashing);
	PG_RETURN_DATUM(hash_datum(digest));
}
