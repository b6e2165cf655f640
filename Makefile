# pganalytics: the usual targets of a PGXS extension (all, install, uninstall, clean, with
# PG_CONFIG=... and DESTDIR=...) and those of the project (make help lists them).
#
# Two products, with rules of their own each, because they share nothing but the core's sources:
#
#   build/library-<major>/pganalytics.so   src/pg + src/core, by PGXS        (make/library.mk)
#   build/program/pganalytics              everything but src/pg             (make/program.mk)
#
# Everything built lies under $(BUILD); libraries for several server majors live side by side.

PG_CONFIG ?= pg_config
BUILD ?= build
export PG_CONFIG BUILD

# Never a half-written target, never a shell without errors in pipes.
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

all: program library

include make/common.mk
include make/sanitized.mk
include make/program.mk
include make/tests.mk
include make/lint.mk
include make/coverage.mk
include make/fuzz.mk
include make/valgrind.mk
include make/more.mk

library_make = $(MAKE) --no-print-directory -f make/library.mk

library: $(BUILD)/packages-ok
	+@$(library_make) all

install: all
	+@$(library_make) install
	@$(MKDIR_INSTALL) '$(DESTDIR)$(shell $(PG_CONFIG) --bindir)'
	$(if $(program),install -m 755 $(program) '$(DESTDIR)$(shell $(PG_CONFIG) --bindir)/pganalytics')

installdirs: $(BUILD)/packages-ok
	+@$(library_make) installdirs
	@$(MKDIR_INSTALL) '$(DESTDIR)$(shell $(PG_CONFIG) --bindir)'

uninstall: $(BUILD)/packages-ok
	+@$(library_make) uninstall
	rm -f '$(DESTDIR)$(shell $(PG_CONFIG) --bindir)/pganalytics'

clean distclean maintainer-clean:
	rm -rf $(BUILD)

MKDIR_INSTALL := mkdir -p

help:
	@sed -n 's/^## *//p' Makefile make/*.mk

## make all             both products under build/
## make install         into the server of PG_CONFIG (DESTDIR is honoured)
## make uninstall
## make clean

.PHONY: all library install installdirs uninstall clean distclean maintainer-clean help
