# Values that were never written, which the sanitizers do not look for: unit tests of what reads bytes
# from outside, with the program's own objects (as they are shipped, optimised), under valgrind.
# What starts processes, enters a sandbox or measures time is left out, and what takes minutes there.

valgrind_dir := $(BUILD)/valgrind
valgrind_layers := core host net serve ship
valgrind_core := *
valgrind_host := ProcText*:MountTable*:HostRowsets.*:MultixactMembers*:RelationFile.*
valgrind_net := *-HttpsClient*:TlsServer*:OpensslMemory*
valgrind_serve := *-WorkerLink*:Collectors.CollectorsAreBounded:RateLimiter.KeysAreBounded:StrictJson.Tokens:*CellsAreBounded
valgrind_ship := SpoolTest.*:SpoolFormat.*:LossBook.*:HubAnswer.*:SnapshotSplit*
# Of one layer at most. All five took less than 4 minutes on one core; net and core nearly all of it.
VALGRIND_SECONDS ?= 600

valgrind_sources := $(wildcard $(valgrind_layers:%=tests/unit/%/*_test.cpp))
valgrind_objects := $(patsubst %.cpp,$(valgrind_dir)/%.o,$(valgrind_sources))
valgrind_program_objects := $(filter-out $(BUILD)/program/program/%,$(program_objects))
valgrind_flags := -std=c++20 -O1 -g -Iinclude -Itests/unit -pthread
valgrind_tests := $(valgrind_layers:%=$(valgrind_dir)/%_test)

## make valgrind        unit tests of what reads bytes from outside, with the shipped objects, under valgrind
valgrind: $(valgrind_layers:%=valgrind-%)

$(valgrind_layers:%=valgrind-%): valgrind-%: $(valgrind_dir)/%_test
	@tools/packages install valgrind
	@echo "valgrind $*"
	@timeout $(VALGRIND_SECONDS) valgrind -q --error-exitcode=99 --track-origins=yes \
	    $< --gtest_brief=1 --gtest_filter='$(valgrind_$*)'

$(valgrind_objects): $(valgrind_dir)/%.o: %.cpp
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(CXX) $(valgrind_flags) -MMD -MP -c -o $@ $<

$(foreach layer,$(valgrind_layers),$(eval $(valgrind_dir)/$(layer)_test: $(filter $(valgrind_dir)/tests/unit/$(layer)/%,$(valgrind_objects))))
$(valgrind_tests): $(valgrind_program_objects)
	$(call step,link $@)$(CXX) -o $@ $(filter $(valgrind_dir)/%,$^) $(valgrind_program_objects) -pthread -lgtest -lgtest_main $(program_libs)

-include $(valgrind_objects:.o=.d)
.PHONY: valgrind $(valgrind_layers:%=valgrind-%)
