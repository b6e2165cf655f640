# pganalytics.so: src/pg + src/core, linked with nothing but PostgreSQL and the C++ runtime. Run by
# the Makefile through a make of its own, because PGXS brings variables and targets (check, clean)
# that belong to this product alone.

PG_CONFIG ?= pg_config
BUILD ?= build
SHELL := /bin/bash

pg_version := $(shell $(PG_CONFIG) --version)
pg_major := $(shell echo '$(pg_version)' | sed -E 's/[^0-9]*([0-9]+).*/\1/')

# Sources lie beside this make's working directory, not beside this file.
VPATH := .
EXTENSION = pganalytics
DATA = $(wildcard sql/pganalytics--*.sql)

# Compiling each file a second time to bitcode would gain nothing, and does not know our flags.
override with_llvm := no
# Our library needs no run path.
override rpath :=

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)
include make/common.mk

objects := $(BUILD)/library-$(pg_major)
shared_library := $(objects)/pganalytics.so

sources := $(wildcard src/pg/*.cpp)
library_objects := $(patsubst src/%.cpp,$(objects)/%.o,$(sources))
# The core knows no server: compiled once for all majors, with no flag of a server's own.
core_objects := $(patsubst src/%.cpp,$(BUILD)/library/%.o,$(wildcard src/core/*.cpp))

# Server headers by -isystem: their warnings are not ours.
library_cppflags := -Iinclude -isystem $(includedir_server) \
    $(filter-out -I%,$(CPPFLAGS)) \
    -DPGANALYTICS_BINDIR='"$(bindir)"'
# PGDLLEXPORT is empty before 16, and hidden visibility would hide even the magic block.
ifneq ($(filter 13 14 15,$(pg_major)),)
library_cppflags += '-DPGDLLEXPORT=__attribute__((visibility("default")))'
endif

library_cxxflags := $(filter-out -W%,$(CXXFLAGS)) -std=c++20 -fPIC -fvisibility=hidden \
    -fvisibility-inlines-hidden -fstack-protector-strong $(WARNINGS) $(CXX_QUIRKS) -Wno-register $(PREFIX_MAP) \
    $(EXTRA_CXXFLAGS)
given_cxxflags := $(if $(filter-out file default undefined,$(origin CXXFLAGS)),$(CXXFLAGS))
core_cxxflags := -O2 -g -D_FORTIFY_SOURCE=2 -fno-strict-aliasing -fwrapv $(filter-out -W%,$(given_cxxflags)) -std=c++20 -fPIC \
    -fvisibility=hidden -fvisibility-inlines-hidden -fstack-protector-strong $(WARNINGS) $(CXX_QUIRKS) \
    $(PREFIX_MAP) $(EXTRA_CXXFLAGS)
ifdef SANITIZED
include make/sanitized.mk
library_cxxflags += $(SANITIZER_FLAGS)
core_cxxflags += $(SANITIZER_FLAGS)
override LDFLAGS_SL += -fsanitize=address,undefined
endif
comma := ,
# Exported is what src/pg/exports.map names; make lint holds it against the SQL script.
library_ldflags := $(LDFLAGS) $(LDFLAGS_SL) -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack \
    -Wl,--as-needed $(addprefix -Wl$(comma)--version-script=,$(wildcard src/pg/exports.map)) \
    $(EXTRA_LDFLAGS)
SHLIB_LINK = -lstdc++

ifneq ($(sources),)
all: $(shared_library)
endif

$(objects)/flags: FORCE
	$(call record_flags,$(CXX) $(library_cppflags) $(library_cxxflags))

$(BUILD)/library/flags: FORCE
	$(call record_flags,$(CXX) $(core_cxxflags))

$(core_objects): $(BUILD)/library/%.o: src/%.cpp $(BUILD)/library/flags
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(CXX) -Iinclude $(core_cxxflags) -MMD -MP -c -o $@ $<

$(library_objects): $(objects)/%.o: src/%.cpp $(objects)/flags
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(CXX) $(library_cppflags) $(library_cxxflags) -MMD -MP -c -o $@ $<

$(shared_library): $(library_objects) $(core_objects) $(wildcard src/pg/exports.map)
	$(call step,link $@)$(CC) -shared -o $@ $(library_objects) $(core_objects) $(library_ldflags) $(SHLIB_LINK)

install: install-library
install-library: all installdirs
ifneq ($(sources),)
	$(INSTALL_SHLIB) $(shared_library) '$(DESTDIR)$(pkglibdir)/pganalytics.so'
endif

installdirs: installdirs-library
installdirs-library:
	$(MKDIR_P) '$(DESTDIR)$(pkglibdir)'

uninstall: uninstall-library
uninstall-library:
	rm -f '$(DESTDIR)$(pkglibdir)/pganalytics.so'

-include $(library_objects:.o=.d) $(core_objects:.o=.d)

.PHONY: install-library installdirs-library uninstall-library
