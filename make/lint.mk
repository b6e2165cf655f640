# Lint: what can be said about the code without running it. The compiled parts are here (every source
# by clang, each header that no source includes first alone by both compilers, nothing but their
# opinion kept), the rest in tools/lint.

CLANGXX ?= $(firstword $(shell command -v clang++-14 clang++ 2>/dev/null) clang++)
lint_dir := $(BUILD)/lint
lint_sources := $(patsubst src/%.cpp,%,$(wildcard src/*/*.cpp))
lint_headers := $(filter-out $(lint_sources),\
    $(patsubst include/pganalytics/%.hpp,%,$(wildcard include/pganalytics/*/*.hpp)))
lint_header_files := $(lint_headers:%=$(lint_dir)/stub/%.cpp)
lint_flags = -std=c++20 -fsyntax-only -Iinclude $(WARNINGS) -Werror -Wno-register -pthread \
    $(if $(filter pg/%,$*),-isystem '$(shell $(PG_CONFIG) --includedir-server)' -D_GNU_SOURCE \
        '-DPGANALYTICS_BINDIR=""' '-DPGDLLEXPORT=__attribute__((visibility("default")))')
look = $(call step,$(1) $*)$(2) $(lint_flags) -MMD -MP -MF $@.d -MT $@ $< && touch $@

## make lint            format, layers, warnings of both compilers, symbols, hardening, sizes
lint: lint-headers lint-clang all
	@tools/lint

lint-headers: $(lint_headers:%=$(lint_dir)/header-gcc/%) $(lint_headers:%=$(lint_dir)/header-clang/%)

lint-clang: $(lint_sources:%=$(lint_dir)/source-clang/%)

$(lint_header_files): $(lint_dir)/stub/%.cpp:
	@mkdir -p $(@D); echo '#include "pganalytics/$*.hpp"' > $@

$(lint_dir)/header-gcc/%: $(lint_dir)/stub/%.cpp
	@mkdir -p $(@D)
	$(call look,gcc header,$(CXX))

$(lint_dir)/header-clang/%: $(lint_dir)/stub/%.cpp
	@mkdir -p $(@D)
	$(call look,clang header,$(CLANGXX))

$(lint_dir)/source-clang/%: src/%.cpp
	@mkdir -p $(@D)
	$(call look,clang,$(CLANGXX))

-include $(wildcard $(lint_dir)/*/*/*.d)

.PHONY: lint lint-headers lint-clang
