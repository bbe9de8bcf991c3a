/*
 * find.c
 *	  Finds what callers name, to read it: programs by their code and accounts by
 *	  their member.
 *
 * All is seen with the snapshot of the calling query; nothing is locked.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "utils/builtins.h"

#include "argument.h"
#include "find.h"
#include "storage.h"
#include "tables.h"

/* Begins a scan whose row at hand is the program's, or raises JF002. */
void
jifen_find_program_row(JifenScan *scan, Datum program)
{
	jifen_begin_scan(scan, "program", Natts_program, "program_code_key", true);
	jifen_set_key(scan, 1, BTEqualStrategyNumber, program);
	if (!jifen_next_row(scan))
		jifen_raise(jifen_refuse_unknown_program(program));
}

/* The number of the program, or JF002. */
int32
jifen_find_program_id(Datum program)
{
	JifenScan	scan;
	int32		result;

	jifen_find_program_row(&scan, program);
	result = DatumGetInt32(jifen_row_datum(&scan, Anum_program_program_id));
	jifen_end_scan(&scan);
	return result;
}

/* Begins a scan whose row at hand is the account of that member of the program, or raises JF003. */
void
jifen_find_account_row(JifenScan *scan, int32 program_id, Datum program, Datum member)
{
	jifen_begin_scan(scan, "account", Natts_account, "account_member_key", true);
	jifen_set_key(scan, 1, BTEqualStrategyNumber, Int32GetDatum(program_id));
	jifen_set_key(scan, 2, BTEqualStrategyNumber, member);
	if (!jifen_next_row(scan))
	{
		JifenProgram own_program = {.code = TextDatumGetCString(program)};

		jifen_raise(jifen_refuse_unknown_member(&own_program, member));
	}
}
