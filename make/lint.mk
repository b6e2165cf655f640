# Lint: what can be said about the code without running it. The compiled parts are here (every source
# and header by clang, each header that no source includes first alone by gcc, nothing but their
# opinion kept), the rest in tools/lint.

CLANGXX ?= $(firstword $(shell command -v clang++-14 clang++ 2>/dev/null) clang++)
lint_dir := $(BUILD)/lint
lint_sources := $(patsubst src/%.cpp,%,$(wildcard src/*/*.cpp))
lint_headers := $(filter-out $(lint_sources),\
    $(patsubst include/pganalytics/%.hpp,%,$(wildcard include/pganalytics/*/*.hpp)))
lint_header_files := $(lint_headers:%=$(lint_dir)/stub/%.cpp)
lint_language = -std=c++20 -Iinclude $(WARNINGS) -Werror -Wno-register -pthread \
    $(if $(filter pg,$(firstword $(subst /, ,$*))),-isystem '$(shell $(PG_CONFIG) --includedir-server)' -D_GNU_SOURCE \
        '-DPGANALYTICS_BINDIR=""' '-DPGDLLEXPORT=__attribute__((visibility("default")))')
lint_flags = $(lint_language) -fsyntax-only
look = $(call step,$(1) $*)$(2) $(lint_flags) $(3) -MMD -MP -MF $@.d -MT $@ $< && touch $@
# What clang would read again for each source. gcc builds the same sources without it, so an include
# that is missing still shows.
lint_prefixes := $(foreach name,common pg serve,$(lint_dir)/prefix/$(name)/prefix.pch)
lint_prefix = $(lint_dir)/prefix/$(or $(filter pg serve,$(firstword $(subst /, ,$*))),common)/prefix.pch

## make lint            format, layers, warnings of both compilers, symbols, hardening, sizes
lint: lint-headers lint-clang all
	@tools/lint

# That a header stands alone gcc says, one by one; what clang has to say of them it says of all of a
# layer at once.
lint_header_layers := $(sort $(foreach header,$(lint_headers),$(firstword $(subst /, ,$(header)))))
lint-headers: $(lint_headers:%=$(lint_dir)/header-gcc/%) $(lint_header_layers:%=$(lint_dir)/header-clang/%)

lint-clang: $(lint_sources:%=$(lint_dir)/source-clang/%)

$(lint_header_files): $(lint_dir)/stub/%.cpp:
	@mkdir -p $(@D); echo '#include "pganalytics/$*.hpp"' > $@

$(lint_dir)/header-gcc/%: $(lint_dir)/stub/%.cpp
	@mkdir -p $(@D)
	$(call look,gcc header,$(CXX))

$(lint_header_layers:%=$(lint_dir)/stub/%.cpp): $(lint_dir)/stub/%.cpp:
	@mkdir -p $(@D); printf '#include "pganalytics/%s.hpp"\n' $(filter $*/%,$(lint_headers)) > $@

$(lint_dir)/header-clang/%: $(lint_dir)/stub/%.cpp
	@mkdir -p $(@D)
	$(call look,clang headers,$(CLANGXX))

# (system headers too: clang refuses what was made from others)
$(lint_prefixes): $(lint_dir)/prefix/%/prefix.pch: make/prefix/%.hpp
	@mkdir -p $(@D)
	$(call step,clang prefix $*)$(CLANGXX) $(lint_language) -x c++-header -MD -MP -MF $@.d -MT $@ -o $@ $<

$(lint_dir)/source-clang/%: src/%.cpp $(lint_prefixes)
	@mkdir -p $(@D)
	$(call look,clang,$(CLANGXX),-include-pch $(lint_prefix))

CLANG_TIDY ?= $(firstword $(shell command -v clang-tidy-14 clang-tidy 2>/dev/null) clang-tidy)

## make tidy            clang-tidy over every source, by .clang-tidy; not part of make check, because it takes a quarter of an hour
tidy:
	@tools/packages install build tidy
	+@$(MAKE) --no-print-directory tidy-sources

tidy-sources: $(lint_sources:%=$(lint_dir)/tidy/%)

# What clang itself has looked at knows which headers to look at again.
$(lint_dir)/tidy/%: $(lint_dir)/source-clang/% .clang-tidy $(wildcard src/*/.clang-tidy)
	@mkdir -p $(@D)
	$(call step,clang-tidy $*)$(CLANG_TIDY) --quiet src/$*.cpp -- $(lint_language) 2> $@.told || { cat $@.told >&2; false; }; touch $@

-include $(wildcard $(lint_dir)/*/*.d $(lint_dir)/*/*/*.d)

.PHONY: lint lint-headers lint-clang tidy tidy-sources
