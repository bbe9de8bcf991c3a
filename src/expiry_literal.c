/*
 * expiry_literal.c
 *		The text of an expiry policy: reading and writing it.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/datetime.h"

#include "expiry_policy.h"

/* The names of a unit. */
typedef struct UnitName
{
	const char *singular;
	const char *plural;
} UnitName;

static const UnitName units[] = {
	[EXPIRY_DAY] = {"day", "days"},
	[EXPIRY_WEEK] = {"week", "weeks"},
	[EXPIRY_MONTH] = {"month", "months"},
	[EXPIRY_QUARTER] = {"quarter", "quarters"},
	[EXPIRY_YEAR] = {"year", "years"}
};

/* What can follow "end of", all of one word but the last. */
static const char *const ends[] = {
	[EXPIRY_END_OF_MONTH] = "month",
	[EXPIRY_END_OF_QUARTER] = "quarter",
	[EXPIRY_END_OF_HALF] = "half",
	[EXPIRY_END_OF_YEAR] = "year",
	[EXPIRY_END_OF_JANUARY] = "january",
	"february", "march", "april", "may", "june", "july",
	"august", "september", "october", "november",
	[EXPIRY_END_OF_DECEMBER] = "december",
	[EXPIRY_END_OF_MEMBERSHIP_YEAR] = "membership year"
};

/* A literal being read, cut into lower-case words. */
typedef struct Reader
{
	char	  **words;
	int			count;
	int			next;			/* the first word not yet understood */
	char	   *complaint;		/* what was wrong, once something was */
} Reader;

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
	if (strcmp(word, "inactive") == 0)
	{
		reader->complaint = pstrdup("\"inactive\" needs a count and a unit of time before it.");
		return false;
	}
	if (strcmp(word, "never") == 0)
	{
		reader->complaint = pstrdup("\"never\" stands alone.");
		return false;
	}

	*count = 0;
	for (const char *c = word; *c != '\0'; c++)
	{
		if (*c < '0' || *c > '9')
		{
			reader->complaint = psprintf("\"%s\" is not a whole number, %s.",
										 word,
										 reader->next == 0 ?
										 "\"end\", \"on\" or \"never\"" :
										 "\"end\" or \"on\"");
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

	for (uint8 i = EXPIRY_DAY; i <= EXPIRY_YEAR; i++)
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

/* Read what follows a count: its unit, and which clock it is. */
static bool
read_length(Reader *reader, ExpiryTerm *term)
{
	int			start = reader->next;

	if (!read_count(reader, &term->count) || !read_unit(reader, &term->unit))
		return false;

	if (term->count == 0)
	{
		reader->complaint = psprintf("The count in \"%s %s\" is not at least 1.",
									 reader->words[start],
									 reader->words[start + 1]);
		return false;
	}
	if (jifen_term_is_too_long(term))
	{
		reader->complaint = psprintf("\"%s %s\" is longer than 1000 years.",
									 reader->words[start],
									 reader->words[start + 1]);
		return false;
	}

	if (accept_word(reader, "inactive"))
		term->clock = EXPIRY_FROM_ACTIVITY;
	return true;
}

/* The end of a complaint that something else should have come next. */
static char *
not_what_came(const Reader *reader)
{
	return reader->next < reader->count ?
		psprintf(", not \"%s\".", peek(reader)) : pstrdup(".");
}

/* Read what follows "end". */
static bool
read_end(Reader *reader, uint8 *end_of)
{
	if (!accept_word(reader, "of"))
	{
		reader->complaint = psprintf("\"end\" needs \"of\" after it%s",
									 not_what_came(reader));
		return false;
	}

	for (uint8 i = EXPIRY_END_OF_MONTH; i <= EXPIRY_END_OF_DECEMBER; i++)
	{
		if (accept_word(reader, ends[i]))
		{
			*end_of = i;
			return true;
		}
	}

	if (!accept_word(reader, "membership"))
		reader->complaint = psprintf("\"end of\" needs \"month\", \"quarter\", \"half\", \"year\", "
									 "a month's name or \"membership year\" after it%s",
									 not_what_came(reader));
	else if (!accept_word(reader, "year"))
		reader->complaint = psprintf("\"membership\" needs \"year\" after it%s",
									 not_what_came(reader));
	else
		*end_of = EXPIRY_END_OF_MEMBERSHIP_YEAR;
	return reader->complaint == NULL;
}

/* The number that so many digits of a text make, or -1 if others are there. */
static int
digits(const char *text, int count)
{
	int			number = 0;

	for (int i = 0; i < count; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number;
}

/* Read what follows "on": a day as YYYY-MM-DD, and nothing else of a term. */
static bool
read_date(Reader *reader, ExpiryTerm *term)
{
	const char *word = peek(reader);
	size_t		year_digits = strspn(word, "0123456789");
	const char *last;
	int			year;
	int			month;
	int			day;

	if (*word == '\0')
	{
		reader->complaint = pstrdup("\"on\" needs a date after it, as YYYY-MM-DD.");
		return false;
	}

	/* Further digits of a year are for the complaint about its range. */
	last = word + Max(year_digits, 4) - 4;
	if (strlen(last) != strlen("YYYY-MM-DD") || last[4] != '-' || last[7] != '-' ||
		(year = digits(last, 4)) < 0 || (month = digits(last + 5, 2)) < 0 ||
		(day = digits(last + 8, 2)) < 0)
	{
		reader->complaint = psprintf("\"%s\" is not a date as YYYY-MM-DD.", word);
		return false;
	}
	if (year_digits > 4 || year == 0)
	{
		reader->complaint = psprintf("The year of \"%s\" is out of range: it goes from 0001 to 9999.",
									 word);
		return false;
	}
	if (month < 1 || month > 12 || day < 1 ||
		day > day_tab[isleap(year) ? 1 : 0][month - 1])
	{
		reader->complaint = psprintf("There is no day %s.", word);
		return false;
	}
	reader->next++;

	if (strcmp(peek(reader), "inactive") == 0)
	{
		reader->complaint = psprintf("\"on %s\" is a fixed day and cannot count from an activity.",
									 word);
		return false;
	}
	if (strcmp(peek(reader), "end") == 0)
	{
		reader->complaint = psprintf("\"on %s\" is a fixed day and takes no \"end of\".",
									 word);
		return false;
	}

	term->unit = EXPIRY_DATE;
	term->count = date2j(year, month, day);
	return true;
}

/* Read one term. */
static bool
read_term(Reader *reader, ExpiryTerm *term)
{
	memset(term, 0, sizeof(ExpiryTerm));

	if (accept_word(reader, "on"))
		return read_date(reader, term);

	if (strcmp(peek(reader), "end") != 0 && !read_length(reader, term))
		return false;
	if (accept_word(reader, "end") && !read_end(reader, &term->end_of))
		return false;

	if (term->end_of != EXPIRY_END_NONE &&
		strcmp(peek(reader), "inactive") == 0)
	{
		reader->complaint = term->count == 0 ?
			pstrdup("\"inactive\" needs a count and a unit of time before it.") :
			pstrdup("\"inactive\" goes before \"end of\".");
		return false;
	}
	return true;
}

/* Read a whole literal; false leaves a complaint. */
static bool
read_policy(Reader *reader, ExpiryPolicy *policy)
{
	ExpiryTerm *first = &policy->terms[0];
	ExpiryTerm *second = &policy->terms[1];

	memset(policy, 0, sizeof(ExpiryPolicy));

	if (accept_word(reader, "never"))
	{
		if (reader->next < reader->count)
		{
			reader->complaint = pstrdup("\"never\" stands alone.");
			return false;
		}
		return true;
	}

	if (!read_term(reader, first))
		return false;
	if (accept_word(reader, "or") && !read_term(reader, second))
		return false;

	if (reader->next < reader->count)
	{
		reader->complaint = strcmp(peek(reader), "or") == 0 ?
			pstrdup("There are more than two terms.") :
			psprintf("\"%s\" is not understood after \"%s\".",
					 peek(reader), reader->words[reader->next - 1]);
		return false;
	}

	if (first->clock == EXPIRY_FROM_ACTIVITY)
	{
		ExpiryTerm	inactive = *first;

		if (second->clock == EXPIRY_FROM_ACTIVITY)
		{
			reader->complaint = pstrdup("Two terms count from the last activity; only one may.");
			return false;
		}
		if (jifen_term_is_present(second))
		{
			*first = *second;
			*second = inactive;
		}
	}
	if (jifen_same_term(first, second))
	{
		reader->complaint = pstrdup("Both terms mean the same.");
		return false;
	}
	return true;
}

/*
 * Read a literal into a policy.  Returns NULL, or a sentence that says what
 * was not understood; then the policy is of no use.
 */
char *
jifen_read_expiry_policy(const char *text, ExpiryPolicy *policy)
{
	Reader		reader;

	read_words(&reader, text);
	return read_policy(&reader, policy) ? NULL : reader.complaint;
}

/* Append a term that is present, with " or " where one came before it. */
static void
append_term(StringInfo text, const ExpiryTerm *term)
{
	if (!jifen_term_is_present(term))
		return;
	if (text->len > 0)
		appendStringInfoString(text, " or ");

	if (term->unit == EXPIRY_DATE)
	{
		int			year;
		int			month;
		int			day;

		j2date(term->count, &year, &month, &day);
		appendStringInfo(text, "on %04d-%02d-%02d", year, month, day);
		return;
	}

	if (term->count > 0)
		appendStringInfo(text, "%d %s%s%s", term->count,
						 term->count == 1 ? units[term->unit].singular :
						 units[term->unit].plural,
						 term->clock == EXPIRY_FROM_ACTIVITY ? " inactive" : "",
						 term->end_of != EXPIRY_END_NONE ? " " : "");
	if (term->end_of != EXPIRY_END_NONE)
		appendStringInfo(text, "end of %s", ends[term->end_of]);
}

/*
 * The canonical literal: lower case, single blanks, the term from the last
 * activity last.
 */
char *
jifen_expiry_policy_out(const ExpiryPolicy *policy)
{
	StringInfoData text;

	initStringInfo(&text);
	append_term(&text, &policy->terms[0]);
	append_term(&text, &policy->terms[1]);
	if (text.len == 0)
		appendStringInfoString(&text, "never");
	return text.data;
}
