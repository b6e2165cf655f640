# Lint: what can be said about the code without running it. The compiled parts are here (each header
# alone by both compilers, everything by clang without a warning), the rest in tools/lint.

CLANGXX ?= $(firstword $(shell command -v clang++-14 clang++ 2>/dev/null) clang++)
lint_dir := $(BUILD)/lint
lint_headers := $(patsubst include/pganalytics/%.hpp,%,$(wildcard include/pganalytics/*/*.hpp))
lint_flags = -std=c++20 -O0 -Iinclude $(WARNINGS) -Werror -Wno-register -pthread \
    $(if $(filter pg/%,$*),-isystem '$(shell $(PG_CONFIG) --includedir-server)')

## make lint            format, layers, warnings of both compilers, symbols, hardening, sizes
lint: lint-headers lint-clang all
	@tools/lint

lint-headers: $(lint_headers:%=$(lint_dir)/gcc/%.o) $(lint_headers:%=$(lint_dir)/clang/%.o)

$(lint_headers:%=$(lint_dir)/stub/%.cpp): $(lint_dir)/stub/%.cpp:
	@mkdir -p $(@D); echo '#include "pganalytics/$*.hpp"' > $@

$(lint_headers:%=$(lint_dir)/gcc/%.o): $(lint_dir)/gcc/%.o: $(lint_dir)/stub/%.cpp
	@mkdir -p $(@D)
	$(call step,header $* gcc)$(CCACHE) $(CXX) $(lint_flags) -MMD -MP -c -o $@ $<

$(lint_headers:%=$(lint_dir)/clang/%.o): $(lint_dir)/clang/%.o: $(lint_dir)/stub/%.cpp
	@mkdir -p $(@D)
	$(call step,header $* clang)$(CCACHE) $(CLANGXX) $(lint_flags) -MMD -MP -c -o $@ $<

lint-clang:
	+@$(MAKE) --no-print-directory all CXX='$(CLANGXX)' BUILD=$(lint_dir)/products WERROR=1

-include $(lint_headers:%=$(lint_dir)/gcc/%.d) $(lint_headers:%=$(lint_dir)/clang/%.d)

.PHONY: lint lint-headers lint-clang
