# Targets that are not part of `make check`: a run to look at, the benchmark, torture.

## make run             a server, its standby, a load; figures arriving in the hub (RUN_SECONDS=n)
run:
	@tools/packages install build run
	+@$(MAKE) --no-print-directory private
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" $(PYTHON) -B tools/run

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
##                      tables, 500 databases (TORTURE_TABLES=n TORTURE_DATABASES=n), 60 steps of a clock, all hostile input, fuzzing,
##                      sanitizers, valgrind, a search for secrets; ends with a scorecard. PARTS="a b"
##                      for some (tests/torture/run --list), SEED=n again what a seed gave; hours
torture: private $(spool_states) $(fuzz_programs)
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" $(PYTHON) -B tests/torture/run $(if $(SEED),--seed $(SEED)) $(PARTS)

torture-spool: $(spool_states)
	SPOOL_CRASH_STATES=1000000 SPOOL_DAMAGE_CASES=100000 $(spool_states) --gtest_brief=1

## make mutants         seeded defects, each caught by a named test (tests/mutants/*.toml)
mutants: all $(addprefix $(BUILD)/unit/,core_test host_test memory_test net_test serve_test ship_test)
	@tests/mutants/run
.PHONY: mutants

.PHONY: run torture torture-spool
