# jifen: builds and installs the extension with PGXS, and runs the project's tasks.
#
## Build, for the server that PG_CONFIG= names (default: pg_config):
##   make                 the library and jifen--VERSION.sql; WERROR=1 makes warnings errors
##   make install         into that server's directories
##   make uninstall       removes that again
##   make installcheck    SQL and isolation tests against a running server where it is installed
##   make clean           removes what was built
##
## In a private cluster that is gone afterwards (Debian; installs what is missing with apt):
##   make demo            the main job on a small example; DATA=FILE replays a purchase file
##   make shell           psql with the demo loaded
##   make check           every test; PROVE_TESTS='FILE...' only those, PROVE_FLAGS=-v tells more
##   make soak            the random model of the tests, longer, run after run; SEED=1 OPERATIONS=20000 RUNS=10 and the like
##   make bench           everything beside pgbench's own, what a user would write and the floor; writes docs/benchmarks.md and
##                        .csv, which takes hours at full size; ROUNDS=3 SECONDS_EACH=10 MEMBERS=1000000 SECTIONS='calls batches' and the like
##   make bench-quick     the same in a few minutes, smaller; prints it only
##   make bench-profile   where the time, the log and the space of a posting go (with perf, of linux-perf); CALL=earn MEMBERS=100000 SECONDS=10
##   make bench-year-end  everything of 300,000 members lapses at once, beside plain statements; LOTS=1000000 ROUNDS=3 and the like
##   make bench-liability the reports over 10 million entries, beside plain aggregates; MEMBERS=1000000 ENTRIES=10000000 and the like
##
## Source:
##   make format          lays out src/ as pgindent does
##   make format-check    fails where that would change something
##   make help            this list

srcdir := $(patsubst %/,%,$(dir $(firstword $(MAKEFILE_LIST))))

# The tasks need neither a server nor PGXS, and PGXS has a check of its own.
TASKS = help demo shell check soak bench bench-quick bench-profile bench-year-end bench-liability format format-check

ifneq ($(filter $(TASKS),$(MAKECMDGOALS)),)

ifneq ($(filter-out $(TASKS),$(MAKECMDGOALS)),)
$(error $(filter-out $(TASKS),$(MAKECMDGOALS)) builds and $(filter $(TASKS),$(MAKECMDGOALS)) does not: call make for each)
endif

.PHONY: $(TASKS)

help:
	@sed -n 's/^## \{0,1\}//p' $(srcdir)/Makefile

# The file is read here and passed on as standard input: the user who runs the
# cluster may not be allowed to read it.
demo:
	@$(srcdir)/test/bin/cluster $(if $(DATA),test/demo/replay < '$(DATA)',test/demo/demo)

shell:
	@$(srcdir)/test/bin/cluster test/demo/shell

check:
	@$(srcdir)/test/bin/cluster test/bin/check

soak:
	@$(srcdir)/test/bin/cluster test/bin/soak

# The user who runs the cluster may not be allowed to write here: the result comes back as an archive.
bench:
	@archive=$$(mktemp) && trap 'rm -f "$$archive"' EXIT && \
		$(srcdir)/test/bin/cluster test/bench/bench --archive >"$$archive" && \
		tar -xof "$$archive" -C $(srcdir)/docs && echo 'written: docs/benchmarks.md docs/benchmarks.csv'

bench-quick:
	@$(srcdir)/test/bin/cluster test/bench/bench --quick

bench-profile:
	@$(srcdir)/test/bin/cluster test/bench/profile

bench-year-end:
	@$(srcdir)/test/bin/cluster test/bench/year_end

bench-liability:
	@$(srcdir)/test/bin/cluster test/bench/liability

format:
	@$(srcdir)/test/bin/format

format-check:
	@$(srcdir)/test/bin/format --check

else

EXTENSION = jifen
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(srcdir)/jifen.control)

MODULE_big = jifen
OBJS = $(patsubst $(srcdir)/%.c,%.o,$(sort $(wildcard $(srcdir)/src/*.c)))
PGFILEDESC = "jifen - loyalty points ledger"

SQL_PARTS := $(sort $(wildcard $(srcdir)/sql/[0-9]*.sql))
DATA =
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

# PostgreSQL's headers leave parameters unused, and a struct may be initialized
# by its first fields alone.
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -MMD -MP
ifneq ($(filter 1 true,$(WERROR) $(CI)),)
PG_CFLAGS += -Werror
endif

# Each test finds the extension created, so that any of them runs alone. The
# databases are UTF-8 with C's order whatever the server's default is.
REGRESS := $(patsubst $(srcdir)/test/sql/%.sql,%,$(sort $(wildcard $(srcdir)/test/sql/*.sql)))
ISOLATION := $(patsubst $(srcdir)/test/specs/%.spec,%,$(sort $(wildcard $(srcdir)/test/specs/*.spec)))
REGRESS_OPTS = --inputdir=$(srcdir)/test --load-extension=$(EXTENSION)
ISOLATION_OPTS := $(REGRESS_OPTS) --launcher=$(srcdir)/test/bin/spec
ENCODING = UTF8
NO_LOCALE = 1

EXTRA_CLEAN = $(OBJS:.o=.d)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifeq ($(wildcard $(PGXS)),)
$(error $(PG_CONFIG) finds no PGXS: install the server's development files (on Debian 12: \
apt install build-essential postgresql-server-dev-15), or name the server with PG_CONFIG=/path/to/pg_config)
endif
include $(PGXS)

# In a VPATH build sources alone come from $(srcdir), not what was built there.
VPATH =
vpath %.c $(srcdir)
vpath %.control $(srcdir)

# Nor does it have a src/ yet.
$(OBJS): | $(CURDIR)/src
$(CURDIR)/src:
	mkdir -p $@

.DELETE_ON_ERROR:

# The directory is a prerequisite too: it changes when a part comes or goes.
$(DATA_built): $(SQL_PARTS) $(srcdir)/sql $(srcdir)/jifen.control
	printf '%s\n' '\echo Use "CREATE EXTENSION $(EXTENSION)" to load this file. \quit' | cat - $(SQL_PARTS) > $@

# -MMD notes the headers of each object; its bitcode follows the object.
-include $(OBJS:.o=.d)
$(OBJS:.o=.bc): %.bc: %.o

endif
