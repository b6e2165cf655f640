# Coverage of src/ by unit tests, regress and end to end, program and library alike: products of
# their own under build/coverage. Servers of the unprivileged user write their counters there.

COVERAGE_FLAGS := --coverage -DPGANALYTICS_COVERAGE -fprofile-update=atomic -U_FORTIFY_SOURCE -O1

## make coverage        line coverage of src/ by all tests
coverage:
	@tools/packages install build test coverage
	@mkdir -p $(BUILD)/coverage; find $(BUILD)/coverage -name '*.gcda' -delete
	+@$(coverage_make) all
	@chmod -R a+rwX $(BUILD)/coverage
	+@rm -f $(BUILD)/coverage/failed; for step in unit installcheck e2e; do \
	    $(coverage_make) $$step || echo $$step >>$(BUILD)/coverage/failed; done
	@gcovr --root . --filter 'src/' --exclude-throw-branches --object-directory $(BUILD)/coverage \
	    --gcov-ignore-parse-errors --sort-percentage --html $(BUILD)/coverage/index.html --txt \
	    | tee $(BUILD)/coverage/report.txt | tail -n 200
	@! test -s $(BUILD)/coverage/failed || { echo "coverage: tests failed in:" $$(cat $(BUILD)/coverage/failed) >&2; exit 1; }

coverage_make = $(MAKE) --no-print-directory BUILD=$(BUILD)/coverage COVERAGE=1 \
    EXTRA_CXXFLAGS='$(COVERAGE_FLAGS)' EXTRA_LDFLAGS=--coverage

.PHONY: coverage
