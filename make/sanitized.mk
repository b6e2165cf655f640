# Program and library with the address and undefined-behaviour sanitizers, in end-to-end tests on a
# server that starts with their runtime loaded (Debian's own 13 and 15 hang with it): products of
# their own under build/sanitized. What is found in a program is among its last words, and in the
# library in the server's log; each test looks into both at its end.

SANITIZER_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
    -DPGANALYTICS_SANITIZED -U_FORTIFY_SOURCE -O1
SANITIZED_MAJOR ?= 17

## make sanitized       end-to-end tests with sanitizers in program and library (TESTS="files" for some)
sanitized:
	+@config=$$(tools/server-matrix $(SANITIZED_MAJOR)) && PGANALYTICS_SANITIZED=1 \
	    $(MAKE) --no-print-directory BUILD=$(BUILD)/sanitized SANITIZED=1 PG_CONFIG="$${config#* }" e2e

# PostgreSQL's own assertions look on, in the server and in what of its headers is in the library.
## make asserted        end-to-end tests on a server with assertions, built here (TESTS="files" for some)
asserted:
	+@config=$$(tools/server-matrix asserted) && \
	    $(MAKE) --no-print-directory BUILD=$(BUILD)/asserted PG_CONFIG="$${config#* }" e2e

# What runs in threads: the one beside ship's loop (host/side_thread), and who uses it.
threads_dir := $(BUILD)/threads
threads_tests := $(wildcard tests/unit/host/side_thread_test.cpp tests/unit/ship/host_reader_test.cpp \
    tests/unit/ship/spool_hang_test.cpp tests/unit/ship/spool_queue_test.cpp)
threads_sources := $(wildcard src/ship/spool_*.cpp src/ship/snapshot_*.cpp src/core/*.cpp src/host/*.cpp) \
    src/ship/host_reader.cpp src/ship/loss_book.cpp src/ship/rowset_shapes.cpp src/ship/json_object.cpp \
    src/net/gzip.cpp src/net/deflate.cpp src/net/inflate.cpp src/net/sha256.cpp src/net/openssl_handles.cpp
threads_objects := $(patsubst %.cpp,$(threads_dir)/%.o,$(threads_tests) $(threads_sources))
threads_flags := -std=c++20 -O1 -g -fsanitize=thread -Iinclude -Itests/unit -pthread

## make threads         tests of what runs in threads, with the thread sanitizer
threads: $(threads_dir)/test
	@setarch -R $< --gtest_brief=1

$(threads_objects): $(threads_dir)/%.o: %.cpp
	@mkdir -p $(@D)
	$(call step,c++ $@)$(CCACHE) $(CXX) $(threads_flags) -MMD -MP -c -o $@ $<

$(threads_dir)/test: $(threads_objects)
	$(call step,link $@)$(CXX) -fsanitize=thread -pthread -o $@ $^ -lgtest -lgtest_main $(program_libs)

-include $(threads_objects:.o=.d)

.PHONY: sanitized asserted threads
