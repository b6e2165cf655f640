// Compressed bodies. The first two bytes are the limit, the third says whether zlib's form is
// taken.
#include "check.hpp"
#include "pganalytics/net/gzip.hpp"

namespace pganalytics::net {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3) return 0;
    const size_t limit = data[0] + size_t{256} * data[1];
    const bool accept_zlib = (data[2] & 1) != 0;
    const std::string_view bytes = fuzz_text(data + 3, size - 3);
    const Inflated result = inflate_gzip(bytes, limit, accept_zlib);
    FUZZ_CHECK(result.bytes.size() <= limit);
    if (!result) {
        FUZZ_CHECK(result.bytes.empty());
        FUZZ_CHECK(!inflate_problem_text(result.problem).empty());
        return 0;
    }
    // The limit is exact, the end is exact, and one member is one member.
    const size_t length = result.bytes.size();
    FUZZ_CHECK(inflate_gzip(bytes, length, accept_zlib).bytes == result.bytes);
    if (length > 0) {
        FUZZ_CHECK(inflate_gzip(bytes, length - 1, accept_zlib).problem ==
                   InflateProblem::kTooLarge);
    }
    FUZZ_CHECK(inflate_gzip(bytes.substr(0, bytes.size() - 1), limit, accept_zlib).problem ==
               InflateProblem::kTruncated);
    FUZZ_CHECK(inflate_gzip(std::string(bytes) + "x", limit, accept_zlib).problem ==
               InflateProblem::kTrailing);
    FUZZ_CHECK(inflate_gzip(gzip(result.bytes), length).bytes == result.bytes);
    return 0;
}

}  // namespace pganalytics::net
