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

.PHONY: sanitized
