# The program `pganalytics`: everything but src/pg, an ordinary hardened executable that never sees
# a server header.

PROGRAM_LAYERS := program ship serve keys net host core

program_sources := $(wildcard $(PROGRAM_LAYERS:%=src/%/*.cpp))
program_objects := $(patsubst src/%.cpp,$(BUILD)/program/%.o,$(program_sources))
# No product before there is a main.
program := $(if $(wildcard src/program/*.cpp),$(BUILD)/program/pganalytics)

OPTIMISE ?= -O2 -g
program_cppflags := -Iinclude $(CPPFLAGS)
hardened_cppflags := -D_FORTIFY_SOURCE=2 -D_GLIBCXX_ASSERTIONS
hardened_cxxflags := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection
program_cxxflags := -std=c++20 $(OPTIMISE) $(WARNINGS) $(CXX_QUIRKS) -fvisibility=hidden -pthread $(PREFIX_MAP)
program_ldflags := -pie -pthread -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed
program_libs := -lcurl -lssl -lcrypto -lz -lisal -lseccomp

# See make/sanitized.mk.
ifdef SANITIZED
program_cxxflags += $(SANITIZER_FLAGS)
program_ldflags += -fsanitize=address,undefined
endif

# Not every machine has control-flow protection.
ifeq ($(filter x86_64 i686,$(shell uname -m)),)
hardened_cxxflags := $(filter-out -fcf-protection,$(hardened_cxxflags))
endif

program_compile = $(CXX) $(program_cppflags) $(hardened_cppflags) $(program_cxxflags) \
    $(hardened_cxxflags) $(CXXFLAGS) $(EXTRA_CXXFLAGS)

program: $(program)

$(BUILD)/program/flags: FORCE | $(BUILD)/packages-ok
	$(call record_flags,$(program_compile))

$(program_objects): $(BUILD)/program/%.o: src/%.cpp $(BUILD)/program/flags
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(program_compile) -MMD -MP -c -o $@ $<

$(BUILD)/program/pganalytics: $(program_objects)
	$(call step,link $@)$(CXX) -o $@ $^ $(program_ldflags) $(LDFLAGS) $(EXTRA_LDFLAGS) $(program_libs)

# Says what is missing, and the command that installs it.
$(BUILD)/packages-ok: tools/packages
	@mkdir -p $(@D)
	@tools/packages headers '$(PG_CONFIG)' '$(CXX)'
	@touch $@

## make metrics         docs/metrics.md, anew from the catalog
metrics: $(BUILD)/program/pganalytics
	$< catalog --markdown > docs/metrics.md

-include $(program_objects:.o=.d)

.PHONY: program metrics
