# Targets that are not part of `make check`: a run to look at, fuzzing, the benchmark.

## make run             a server, its standby, a load; figures arriving in the hub (RUN_SECONDS=n)
run:
	@tools/packages install build run
	+@$(MAKE) --no-print-directory private
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" $(PYTHON) -B tools/run

fuzz_sources := $(wildcard tests/fuzz/*_fuzz.cpp)
ifneq ($(fuzz_sources),)
FUZZ_SECONDS ?= 30
fuzz_dir := $(BUILD)/fuzz
fuzz_compile = $(CLANGXX) -std=c++20 -O1 -g $(WARNINGS) -Iinclude -Itests/unit -pthread \
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
    -fsanitize-ignorelist=tests/fuzz/sanitizer-ignore -fno-omit-frame-pointer \
    $(PREFIX_MAP) $(EXTRA_CXXFLAGS)
# Without what waits in coroutines: clang 14 cannot compile them with the sanitizers, and no target
# needs them.
fuzz_library_sources := $(filter-out $(shell grep -lE 'co_await|co_return|co_spawn' src/serve/*.cpp),$(unit_library_sources))
fuzz_library_objects := $(patsubst src/%.cpp,$(fuzz_dir)/src/%.o,$(fuzz_library_sources))
fuzz_programs := $(patsubst tests/fuzz/%.cpp,$(fuzz_dir)/%,$(fuzz_sources))

## make fuzz            libFuzzer targets of tests/fuzz, each for FUZZ_SECONDS (30)
fuzz: $(fuzz_programs)
	@tests/fuzz/run $(FUZZ_SECONDS) $^

$(fuzz_library_objects): $(fuzz_dir)/src/%.o: src/%.cpp | $(BUILD)/packages-ok
	@mkdir -p $(@D)
	$(call step,clang++ $@)$(CCACHE) $(fuzz_compile) -MMD -MP -c -o $@ $<

$(fuzz_dir)/libpganalytics.a: $(fuzz_library_objects)
	@rm -f $@
	$(call step,ar $@)ar rcs $@ $^

$(fuzz_programs): $(fuzz_dir)/%: tests/fuzz/%.cpp $(fuzz_dir)/libpganalytics.a
	$(call step,fuzz $@)$(fuzz_compile) -fsanitize=fuzzer -o $@ $< $(fuzz_dir)/libpganalytics.a $(program_libs)

-include $(fuzz_library_objects:.o=.d)
.PHONY: fuzz
endif

ifneq ($(wildcard tests/bench/run),)
## make bench           costs at 1,000 and 10,000 tables, hub throughput, a peer beside it
bench:
	@tools/packages install build test bench
	+@$(MAKE) --no-print-directory private
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" tests/bench/run
.PHONY: bench
endif

## make torture         1,000,000 crash states and 100,000 damaged spools, 2,000 kills (TORTURE_KILLS="n seconds"),
##                      1,920 faults of a network, 200 collectors at once, a frozen volume, lifecycles in full, 50,000
##                      tables, 500 databases (TORTURE_TABLES=n TORTURE_DATABASES=n), all hostile input, fuzzing, a
##                      search for secrets; ends with a scorecard. PARTS="a b"
##                      for some (tests/torture/run --list), SEED=n again what a seed gave; hours
torture: private $(spool_states) $(fuzz_programs)
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" $(PYTHON) -B tests/torture/run $(if $(SEED),--seed $(SEED)) $(PARTS)

torture-spool: $(spool_states)
	SPOOL_CRASH_STATES=1000000 SPOOL_DAMAGE_CASES=100000 $(spool_states) --gtest_brief=1

## make mutants         seeded defects, each caught by a named test (tests/mutants/*.toml)
mutants: all $(addprefix $(BUILD)/unit/,core_test host_test net_test serve_test ship_test)
	@tests/mutants/run
.PHONY: mutants

.PHONY: run torture torture-spool
