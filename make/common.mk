# What both products' rules share: language, warnings, ccache, and the check that says which package
# is missing before a compiler error does.

WARNINGS := -Wall -Wextra -Wshadow -Wconversion
# GCC 12 warns of its own library's std::string (its bug 105651), mended in 13.
ifneq ($(filter 12.%,$(shell $(CXX) -dumpfullversion 2>/dev/null)),)
CXX_QUIRKS := -Wno-restrict
endif
ifdef WERROR
WARNINGS += -Werror
endif

ifeq ($(findstring ccache,$(CXX)),)
CCACHE := $(shell command -v ccache 2>/dev/null)
endif

# The checkout's path stays out of the objects: the same source gives the same object anywhere.
ifndef COVERAGE
PREFIX_MAP := '-ffile-prefix-map=$(CURDIR)=.'
endif

# Writes the command line into $@ where it changed, so that other flags rebuild the objects (-Werror
# makes no other object). $(call record_flags,text)
quote = '$(subst ','\'',$(1))'
define record_flags
	@mkdir -p $(@D); printf '%s\n' $(call quote,$(filter-out -Werror,$(1))) | cmp -s - $@ || printf '%s\n' $(call quote,$(filter-out -Werror,$(1))) > $@
endef

FORCE:
.PHONY: FORCE

# A short line for each step; V=1 shows the commands.
ifdef V
step =
else
step = @echo "  $(1)";
endif
