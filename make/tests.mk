# Tests. Unit tests: one GoogleTest binary a layer, made of tests/unit/<layer>/*_test.cpp and of the
# sources themselves, with the address and undefined-behaviour sanitizers.

UNIT_LAYERS := $(filter-out program,$(PROGRAM_LAYERS))
unit_dir := $(BUILD)/unit

unit_flags := -std=c++20 -O1 -g $(WARNINGS) $(CXX_QUIRKS) -Iinclude -Itests/unit -pthread \
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
    -D_GLIBCXX_ASSERTIONS $(PREFIX_MAP)
unit_compile = $(CXX) $(unit_flags) $(CXXFLAGS) $(EXTRA_CXXFLAGS)

# Supervision of programs, and what the hub worker takes from its front, call nothing of PostgreSQL,
# so they can be tested here.
unit_library_sources := $(wildcard $(UNIT_LAYERS:%=src/%/*.cpp) src/pg/program.cpp \
    src/pg/program_start.cpp src/pg/frame_link.cpp src/pg/hub_pushes.cpp)
unit_library_objects := $(patsubst src/%.cpp,$(unit_dir)/src/%.o,$(unit_library_sources))
unit_library := $(unit_dir)/libpganalytics.a
unit_sources := $(wildcard tests/unit/*/*.cpp)
unit_objects := $(patsubst tests/unit/%.cpp,$(unit_dir)/tests/%.o,$(unit_sources))
spool_states := $(unit_dir)/spool_states
unit_programs := $(patsubst tests/unit/%/,$(unit_dir)/%_test,$(sort $(dir $(unit_sources))))

## make unit            unit tests with sanitizers; the spool's crash states also without, for their number
unit: $(unit_programs) $(spool_states)
	@tests/unit/run $(unit_programs)
	$(call step,crash states)SPOOL_CRASH_STATES=100000 $(spool_states) --gtest_brief=1

$(unit_dir)/flags: FORCE | $(BUILD)/packages-ok
	$(call record_flags,$(unit_compile))

$(unit_library_objects): $(unit_dir)/src/%.o: src/%.cpp $(unit_dir)/flags
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(unit_compile) -MMD -MP -c -o $@ $<

$(unit_objects): $(unit_dir)/tests/%.o: tests/unit/%.cpp $(unit_dir)/flags
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(unit_compile) -MMD -MP -c -o $@ $<

$(unit_library): $(unit_library_objects)
	@rm -f $@; mkdir -p $(@D)
	$(call step,ar $@)ar rcs $@ $^

$(foreach p,$(unit_programs),$(eval $(p): $(filter $(patsubst $(unit_dir)/%_test,$(unit_dir)/tests/%/,$(p))%,$(unit_objects)) $(unit_library)))

$(unit_programs):
	$(call step,link $@)$(CXX) -o $@ $(filter %.o,$^) $(unit_library) -fsanitize=address,undefined -pthread \
	    $(LDFLAGS) $(EXTRA_LDFLAGS) -lgtest -lgtest_main $(program_libs)

# Sanitizers make it ten times slower.
spool_states_sources := tests/unit/ship/spool_crash_test.cpp tests/unit/ship/spool_damage_test.cpp \
    $(wildcard src/ship/spool_*.cpp) src/ship/loss_book.cpp src/core/crc32c.cpp src/host/files.cpp \
    src/host/side_thread.cpp src/host/system_error.cpp
$(spool_states): $(spool_states_sources) $(wildcard tests/unit/ship/spool_fixture.hpp \
    tests/unit/support/simulated_files.hpp include/pganalytics/ship/*.hpp) $(unit_dir)/flags
	$(call step,c++ $@)$(CXX) -std=c++20 -O2 $(WARNINGS) $(CXX_QUIRKS) -Iinclude -Itests/unit $(CXXFLAGS) \
	    $(EXTRA_CXXFLAGS) -o $@ $(spool_states_sources) -pthread $(LDFLAGS) $(EXTRA_LDFLAGS) -lgtest -lgtest_main

-include $(unit_library_objects:.o=.d) $(unit_objects:.o=.d)

.PHONY: unit

# Where the tests' private server is; made anew from what `all` built.
PYTHON ?= /usr/bin/python3

private: all
	+@mkdir -p $(BUILD); tools/private-install > $(BUILD)/private-bindir

## make installcheck    pg_regress and isolation tests against a private server (TESTS="a b")
installcheck: private
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" tests/installcheck $(TESTS)

## make e2e             end-to-end tests (TESTS="file.py ... -k name" or other pytest options)
e2e: private
	@PGANALYTICS_BINDIR="$$(cat $(BUILD)/private-bindir)" $(PYTHON) -B tests/e2e/run $(TESTS)

VERSIONS ?= 13 15 17 18

## make check-versions  build, regress and end-to-end core on each of VERSIONS (default 13 15 17 18)
check-versions: $(BUILD)/packages-ok
	+@tests/versions $(VERSIONS)

## make check           everything CI runs
check:
	@tests/check

.PHONY: private installcheck e2e check-versions check
