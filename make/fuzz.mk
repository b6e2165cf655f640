# Fuzzing with libFuzzer, and which lines of src/ it reaches.

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

# Programs of their own under build/fuzz-coverage, which count lines; the inputs are those of the repository and
# what `make fuzz` found beside them.
## make fuzz-coverage   which lines of the sources it aims at each target reaches with its corpus
fuzz-coverage: $(BUILD)/packages-ok
	@tools/packages install build fuzz
	+@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz-coverage \
	    EXTRA_CXXFLAGS='$(EXTRA_CXXFLAGS) -fprofile-instr-generate -fcoverage-mapping' fuzz-programs
	@tests/fuzz/coverage $(BUILD)/fuzz-coverage/fuzz $(fuzz_dir)/corpus

fuzz-programs: $(fuzz_programs)
.PHONY: fuzz fuzz-coverage fuzz-programs
endif
