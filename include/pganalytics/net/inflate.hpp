// DEFLATE (RFC 1951) in, by ISA-L: the one inflate routine. Runs in the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pganalytics::net {

enum class InflateEnd : uint8_t {
    kDone,
    kTooLarge,   // more than the limit
    kMalformed,  // no deflated data
    kTruncated,  // the input ends before the data does
};

// Inflates the stream that `in` begins with, which becomes what is behind it, and appends it to
// `out`: `limit` bytes at most, one more is never made. `expected` is what room is made for at
// first; memory is touched only as it is filled. Takes 130 KB beside the output; throws
// std::bad_alloc only.
InflateEnd inflate_raw(std::string_view& in, std::string& out, size_t limit, size_t expected);

}  // namespace pganalytics::net
