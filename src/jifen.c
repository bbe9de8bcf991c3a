/*
 * jifen.c
 *	  Module magic and settings.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "settings.h"

PG_MODULE_MAGIC;

int			jifen_clock_tolerance = 300;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	DefineCustomIntVariable("jifen.clock_tolerance",
							"How far in the future a posting's event_at may lie.",
							"Allows for clocks of application servers that run ahead of the database's.",
							&jifen_clock_tolerance,
							300, 0, 86400,
							PGC_SUSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	MarkGUCPrefixReserved("jifen");
}
