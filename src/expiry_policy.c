/*
 * expiry_policy.c
 *		The type expiry_policy, and the instant at which a credit lapses.
 *
 * Pure: the answer depends on the arguments and the time zone database alone.
 * A policy keeps the units as written, for output; equality and hashing go by
 * meaning, so that 12 months equals 1 year.
 */
#include "postgres.h"

#include "compat.h"

#include "common/hashfn.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "expiry_policy.h"

/*
 * A unit: its name, its length as months or as days, and how many of it make
 * the longest term, 1000 years.
 */
typedef struct UnitInfo
{
	const char *singular;
	const char *plural;
	int32		months;
	int32		days;
	int32		most;
} UnitInfo;

static const UnitInfo units[] = {
	[EXPIRY_DAY] = {"day", "days", 0, 1, 365242},
	[EXPIRY_WEEK] = {"week", "weeks", 0, 7, 52177},
	[EXPIRY_MONTH] = {"month", "months", 1, 0, 12000},
	[EXPIRY_QUARTER] = {"quarter", "quarters", 3, 0, 4000},
	[EXPIRY_YEAR] = {"year", "years", 12, 0, 1000}
};

/* A period that a last day can move to the end of. */
typedef struct EndInfo
{
	const char *name;
	int			months;
} EndInfo;

static const EndInfo ends[] = {
	[EXPIRY_END_NONE] = {"", 0},
	[EXPIRY_END_OF_MONTH] = {"month", 1},
	[EXPIRY_END_OF_QUARTER] = {"quarter", 3},
	[EXPIRY_END_OF_HALF] = {"half", 6},
	[EXPIRY_END_OF_YEAR] = {"year", 12}
};

/* A literal being read, cut into lower-case words. */
typedef struct Reader
{
	char	  **words;
	int			count;
	int			next;			/* the first word not yet understood */
	char	   *complaint;		/* what was wrong, once something was */
} Reader;

PG_FUNCTION_INFO_V1(expiry_policy_in);
PG_FUNCTION_INFO_V1(expiry_policy_out);
PG_FUNCTION_INFO_V1(expiry_policy_recv);
PG_FUNCTION_INFO_V1(expiry_policy_send);
PG_FUNCTION_INFO_V1(expiry_policy_eq);
PG_FUNCTION_INFO_V1(expiry_policy_ne);
PG_FUNCTION_INFO_V1(expiry_policy_hash);
PG_FUNCTION_INFO_V1(expiry_policy_hash_extended);
PG_FUNCTION_INFO_V1(expires_at);

/* Cut a text at its blanks and fold ASCII letters to lower case. */
static void
read_words(Reader *reader, const char *text)
{
	char	   *c = pstrdup(text);

	reader->words = palloc((strlen(text) / 2 + 1) * sizeof(char *));
	reader->count = 0;
	reader->next = 0;
	reader->complaint = NULL;

	for (;;)
	{
		while (*c == ' ' || (*c >= '\t' && *c <= '\r'))
			*c++ = '\0';
		if (*c == '\0')
			return;
		reader->words[reader->count++] = c;
		for (; *c != '\0' && *c != ' ' && (*c < '\t' || *c > '\r'); c++)
		{
			if (*c >= 'A' && *c <= 'Z')
				*c += 'a' - 'A';
		}
	}
}

/* The next word, or "" at the end. */
static const char *
peek(const Reader *reader)
{
	return reader->next < reader->count ? reader->words[reader->next] : "";
}

/* Step over the next word if it is this one. */
static bool
accept_word(Reader *reader, const char *word)
{
	if (strcmp(peek(reader), word) != 0)
		return false;
	reader->next++;
	return true;
}

/*
 * Read a count of digits alone; zero and what no term can hold come back as
 * they are (the latter capped), for the caller to judge with the unit.
 */
static bool
read_count(Reader *reader, int32 *count)
{
	const char *word = peek(reader);

	if (*word == '\0')
	{
		reader->complaint = reader->next == 0 ?
			pstrdup("The text is blank.") :
			psprintf("Nothing follows \"%s\".",
					 reader->words[reader->next - 1]);
		return false;
	}

	*count = 0;
	for (const char *c = word; *c != '\0'; c++)
	{
		if (*c < '0' || *c > '9')
		{
			reader->complaint = psprintf("\"%s\" is not a whole number%s.",
										 word,
										 reader->next == 0 ? " or \"never\"" : "");
			return false;
		}
		*count = Min(*count * 10 + (*c - '0'), 10000000);
	}
	reader->next++;
	return true;
}

/* Read a unit of time, in the singular or the plural. */
static bool
read_unit(Reader *reader, uint8 *unit)
{
	if (reader->next == reader->count)
	{
		reader->complaint = psprintf("No unit of time follows \"%s\".",
									 reader->words[reader->next - 1]);
		return false;
	}

	for (uint8 i = 0; i < lengthof(units); i++)
	{
		if (accept_word(reader, units[i].singular) ||
			accept_word(reader, units[i].plural))
		{
			*unit = i;
			return true;
		}
	}
	reader->complaint = psprintf("\"%s\" is not a unit of time.",
								 peek(reader));
	return false;
}

/* Read what follows "end". */
static bool
read_end(Reader *reader, uint8 *end_of)
{
	if (accept_word(reader, "of"))
	{
		for (uint8 i = EXPIRY_END_OF_MONTH; i < lengthof(ends); i++)
		{
			if (accept_word(reader, ends[i].name))
			{
				*end_of = i;
				return true;
			}
		}
	}
	reader->complaint = psprintf("\"end\" needs \"of month\", \"of quarter\", "
								 "\"of half\" or \"of year\" after it%s%s%s.",
								 *peek(reader) ? ", not \"" : "",
								 peek(reader),
								 *peek(reader) ? "\"" : "");
	return false;
}

/* Read one term into its place in the policy, which must be free. */
static bool
read_term(Reader *reader, ExpiryPolicy *policy)
{
	ExpiryTerm	term = {0};
	ExpiryTerm *place;
	int			start = reader->next;

	if (!read_count(reader, &term.count) || !read_unit(reader, &term.unit))
		return false;

	if (term.count == 0)
	{
		reader->complaint = psprintf("The count in \"%s %s\" is not at least 1.",
									 reader->words[start],
									 reader->words[start + 1]);
		return false;
	}
	if (term.count > units[term.unit].most)
	{
		reader->complaint = psprintf("\"%s %s\" is longer than 1000 years.",
									 reader->words[start],
									 reader->words[start + 1]);
		return false;
	}

	place = accept_word(reader, "inactive") ? &policy->inactive :
		&policy->credit;
	if (accept_word(reader, "end") && !read_end(reader, &term.end_of))
		return false;

	if (place->count != 0)
	{
		reader->complaint = psprintf("Two terms count from the %s; only one may.",
									 place == &policy->credit ? "credit" :
									 "last activity");
		return false;
	}
	*place = term;
	return true;
}

/* Read a whole literal; false leaves a complaint. */
static bool
read_policy(Reader *reader, ExpiryPolicy *policy)
{
	memset(policy, 0, sizeof(ExpiryPolicy));

	if (!accept_word(reader, "never"))
	{
		do
		{
			if (!read_term(reader, policy))
				return false;
		} while (accept_word(reader, "or"));
	}

	if (reader->next < reader->count)
	{
		reader->complaint = psprintf("\"%s\" is not understood after \"%s\".",
									 peek(reader),
									 reader->words[reader->next - 1]);
		return false;
	}
	return true;
}

/* Text to expiry_policy. */
Datum
expiry_policy_in(PG_FUNCTION_ARGS)
{
	char	   *text = PG_GETARG_CSTRING(0);
	ExpiryPolicy *policy = palloc(sizeof(ExpiryPolicy));
	Reader		reader;

	read_words(&reader, text);
	if (!read_policy(&reader, policy))
		ereturn(fcinfo->context, (Datum) 0,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid input syntax for type %s: \"%s\"",
						"expiry_policy", text),
				 errdetail("%s", reader.complaint),
				 errhint("Write for example \"never\", \"12 months\", "
						 "\"12 months end of month\", "
						 "\"3 years end of year\", \"18 months inactive\" or "
						 "\"48 months or 18 months inactive\".")));

	PG_RETURN_EXPIRY_POLICY_P(policy);
}

/* Append a term that is present, with " or " where one came before it. */
static void
append_term(StringInfo text, const ExpiryTerm *term, const char *clock)
{
	const UnitInfo *unit = &units[term->unit];

	if (term->count == 0)
		return;
	appendStringInfo(text, "%s%d %s%s", text->len > 0 ? " or " : "",
					 term->count,
					 term->count == 1 ? unit->singular : unit->plural,
					 clock);
	if (term->end_of != EXPIRY_END_NONE)
		appendStringInfo(text, " end of %s", ends[term->end_of].name);
}

/*
 * The canonical literal: lower case, single blanks, the term from the credit
 * first.
 */
char *
jifen_expiry_policy_out(const ExpiryPolicy *policy)
{
	StringInfoData text;

	initStringInfo(&text);
	append_term(&text, &policy->credit, "");
	append_term(&text, &policy->inactive, " inactive");
	if (text.len == 0)
		appendStringInfoString(&text, "never");
	return text.data;
}

Datum
expiry_policy_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(jifen_expiry_policy_out(PG_GETARG_EXPIRY_POLICY_P(0)));
}

/* Read one term of the binary format; nothing out of range gets in. */
static void
receive_term(StringInfo buffer, ExpiryTerm *term)
{
	term->count = pq_getmsgint(buffer, 4);
	term->unit = pq_getmsgbyte(buffer);
	term->end_of = pq_getmsgbyte(buffer);
	term->zero = 0;

	if (term->unit >= lengthof(units) || term->end_of >= lengthof(ends) ||
		term->count < 0 || term->count > units[term->unit].most ||
		(term->count == 0 && (term->unit != 0 || term->end_of != 0)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary representation of type %s",
						"expiry_policy"),
				 errdetail("A term has count %d, unit %d and end %d.",
						   term->count, term->unit, term->end_of)));
}

/*
 * Binary format: for the credit's term, then for inactivity's, the count as 4
 * bytes, the unit and the end as one byte each.
 */
Datum
expiry_policy_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buffer = (StringInfo) PG_GETARG_POINTER(0);
	ExpiryPolicy *policy = palloc0(sizeof(ExpiryPolicy));

	receive_term(buffer, &policy->credit);
	receive_term(buffer, &policy->inactive);
	PG_RETURN_EXPIRY_POLICY_P(policy);
}

static void
send_term(StringInfo buffer, const ExpiryTerm *term)
{
	pq_sendint32(buffer, term->count);
	pq_sendbyte(buffer, term->unit);
	pq_sendbyte(buffer, term->end_of);
}

Datum
expiry_policy_send(PG_FUNCTION_ARGS)
{
	ExpiryPolicy *policy = PG_GETARG_EXPIRY_POLICY_P(0);
	StringInfoData buffer;

	pq_begintypsend(&buffer);
	send_term(&buffer, &policy->credit);
	send_term(&buffer, &policy->inactive);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buffer));
}

/* The same term in months or, where it has none, in days. */
static ExpiryTerm
term_meaning(const ExpiryTerm *term)
{
	const UnitInfo *unit = &units[term->unit];
	ExpiryTerm	meaning = *term;

	if (term->count == 0)
		return meaning;
	meaning.unit = unit->months > 0 ? EXPIRY_MONTH : EXPIRY_DAY;
	meaning.count *= unit->months > 0 ? unit->months : unit->days;
	return meaning;
}

/* What equality and hashing look at, with every byte defined. */
static ExpiryPolicy
policy_meaning(const ExpiryPolicy *policy)
{
	ExpiryPolicy meaning;

	meaning.credit = term_meaning(&policy->credit);
	meaning.inactive = term_meaning(&policy->inactive);
	return meaning;
}

static bool
same_meaning(const ExpiryPolicy *a, const ExpiryPolicy *b)
{
	ExpiryPolicy first = policy_meaning(a);
	ExpiryPolicy second = policy_meaning(b);

	return memcmp(&first, &second, sizeof(ExpiryPolicy)) == 0;
}

Datum
expiry_policy_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(same_meaning(PG_GETARG_EXPIRY_POLICY_P(0),
								PG_GETARG_EXPIRY_POLICY_P(1)));
}

Datum
expiry_policy_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!same_meaning(PG_GETARG_EXPIRY_POLICY_P(0),
								 PG_GETARG_EXPIRY_POLICY_P(1)));
}

/* Low 32 bits the same as the extended hash with seed 0, as hashing asks. */
Datum
expiry_policy_hash(PG_FUNCTION_ARGS)
{
	ExpiryPolicy meaning = policy_meaning(PG_GETARG_EXPIRY_POLICY_P(0));

	return hash_any((const unsigned char *) &meaning, sizeof(meaning));
}

Datum
expiry_policy_hash_extended(PG_FUNCTION_ARGS)
{
	ExpiryPolicy meaning = policy_meaning(PG_GETARG_EXPIRY_POLICY_P(0));

	return hash_any_extended((const unsigned char *) &meaning,
							 sizeof(meaning), PG_GETARG_INT64(1));
}

/* Whether an inactivity term is present. */
bool
jifen_policy_has_inactivity(const ExpiryPolicy *policy)
{
	return policy->inactive.count != 0;
}

/*
 * The time zone of that name, spelt as the database spells it
 * (pg_get_timezone_name() gives the spelling), or 22023.
 *
 * pg_tzset() takes any POSIX string too, and would read a slip such as "XYZ5"
 * as a zone of its own making.  Such a string always has a digit, and becomes
 * its own name in capitals; a zone that comes from the database has small
 * letters or no digit.  The few old database names of capitals and digits,
 * such as EST5EDT, are POSIX strings as well, mean one thing or the other as
 * the database has them or not, and are refused too.  So are the entries that
 * are no place: the machine's own zone, and the two fillers.
 */
pg_tz *
jifen_time_zone(const char *name)
{
	static const char *const no_place[] = {"localtime", "posixrules", "Factory"};
	pg_tz	   *tz = pg_tzset(name);
	bool		recognized = tz != NULL && pg_tz_acceptable(tz);

	if (recognized)
	{
		const char *canonical = pg_get_timezone_name(tz);

		if (strpbrk(canonical, "0123456789") != NULL &&
			strpbrk(canonical, "abcdefghijklmnopqrstuvwxyz") == NULL)
			recognized = false;
		for (size_t i = 0; i < lengthof(no_place); i++)
		{
			if (strcmp(canonical, no_place[i]) == 0)
				recognized = false;
		}
	}

	if (!recognized)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" not recognized", name),
				 errdetail("The server's time zone database has no place of that name."),
				 errhint("Use the name of a place that pg_timezone_names "
						 "lists, such as \"Asia/Shanghai\", or \"UTC\".")));
	return tz;
}

/* The last day of a month; the year before 1 is 0 */
static int
days_in_month(int year, int month)
{
	return day_tab[isleap(year) ? 1 : 0][month - 1];
}

/*
 * The last day on which the points live, as a Julian day: the credit's day
 * plus the term, cut to the end of a shorter month, then moved to the end of
 * its period where the term asks for it.
 */
static int
last_day(const ExpiryTerm *term, int year, int month, int day)
{
	ExpiryTerm	meaning = term_meaning(term);
	int			period = ends[term->end_of].months;

	if (meaning.unit == EXPIRY_DAY)
		j2date(date2j(year, month, day) + meaning.count, &year, &month, &day);
	else
	{
		int			months = month - 1 + meaning.count;

		year += months / 12;
		month = months % 12 + 1;
		day = Min(day, days_in_month(year, month));
	}

	if (period > 0)
	{
		month = (month - 1) / period * period + period;
		day = days_in_month(year, month);
	}
	return date2j(year, month, day);
}

/*
 * The instant from which on every local time is at or past a local midnight.
 * Midnight is given, and the instant returned, in seconds since 1970; the
 * former as if the zone were UTC.
 *
 * While one offset is in force, local time reaches midnight at one instant.
 * Look at each stretch of one offset around it: the last instant at which
 * local time is still before midnight is where the day really ends.  That is
 * the jump itself where the clock jumps over midnight or over a whole day,
 * the later midnight where it goes back across midnight, and the first one
 * where it goes back to midnight without leaving the new day.
 */
static pg_time_t
local_midnight_passed(pg_time_t midnight, pg_tz *tz)
{
	/* No offset ever came near to this. */
	const pg_time_t reach = 2 * SECS_PER_DAY;
	pg_time_t	start = midnight - reach;
	pg_time_t	passed = start;

	for (;;)
	{
		pg_time_t	change;
		pg_time_t	reached;
		long		offset;
		long		offset_after;
		int			is_dst;
		int			is_dst_after;
		int			found = pg_next_dst_boundary(&start, &offset, &is_dst,
												 &change, &offset_after,
												 &is_dst_after, tz);

		if (found < 0)
			elog(ERROR, "could not determine the next change of time zone \"%s\"",
				 pg_get_timezone_name(tz));

		reached = midnight - offset;
		if (start < reached)
			passed = (found > 0 && change < reached) ? change : reached;

		if (found == 0 || change >= midnight + reach)
			return passed;
		start = change;
	}
}

/*
 * The instant from which on a credit of event_at is lapsed in a zone: where
 * the local day ends that is its last.  DT_NOEND for a policy of never.
 * False where that is no timestamp.
 *
 * The policy must not count inactivity.
 */
bool
jifen_last_instant(const ExpiryPolicy *policy, TimestampTz event_at, pg_tz *tz,
				   TimestampTz *result)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			utc_offset;
	pg_time_t	passed;

	Assert(!jifen_policy_has_inactivity(policy));
	*result = DT_NOEND;
	if (policy->credit.count == 0)
		return true;
	if (timestamp2tm(event_at, &utc_offset, &tm, &fsec, NULL, tz) != 0)
		return false;

	passed = (pg_time_t) (last_day(&policy->credit, tm.tm_year, tm.tm_mon,
								   tm.tm_mday) + 1 - UNIX_EPOCH_JDATE) *
		SECS_PER_DAY;
	passed = local_midnight_passed(passed, tz);

	passed -= (pg_time_t) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) *
		SECS_PER_DAY;
	return !pg_mul_s64_overflow(passed, USECS_PER_SEC, result) &&
		IS_VALID_TIMESTAMP(*result);
}

/*
 * The same, raising 22023 where event_at is infinite, 22008 where the result
 * is no timestamp, and 0A000 for a policy that counts inactivity.
 */
TimestampTz
jifen_expires_at(const ExpiryPolicy *policy, TimestampTz event_at, pg_tz *tz)
{
	TimestampTz result;

	if (TIMESTAMP_NOT_FINITE(event_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("event_at must be finite"),
				 errdetail("It is %s.", timestamptz_to_str(event_at)),
				 errhint("Give a finite instant.")));

	if (jifen_policy_has_inactivity(policy))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("expiry by inactivity is not supported yet"),
				 errdetail("The expiry policy is \"%s\".",
						   jifen_expiry_policy_out(policy)),
				 errhint("Use a policy that counts from the credit alone, "
						 "such as \"12 months\".")));

	if (!jifen_last_instant(policy, event_at, tz, &result))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("expiry out of range"),
				 errdetail("The last day would end after the last timestamp "
						   "that there is.")));
	return result;
}

/* expires_at(policy, event_at, time_zone) */
Datum
expires_at(PG_FUNCTION_ARGS)
{
	ExpiryPolicy *policy = PG_GETARG_EXPIRY_POLICY_P(0);
	TimestampTz event_at = PG_GETARG_TIMESTAMPTZ(1);
	char	   *time_zone = text_to_cstring(PG_GETARG_TEXT_PP(2));

	PG_RETURN_TIMESTAMPTZ(jifen_expires_at(policy, event_at,
										   jifen_time_zone(time_zone)));
}
