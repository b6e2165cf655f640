// Inflating by ISA-L (see the header). Runs in the program.
#include "pganalytics/net/inflate.hpp"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <memory>

namespace pganalytics::net {

namespace {

constexpr size_t kPiece = size_t{1} << 20;
// ISA-L counts in 32 bits.
constexpr size_t kMostAtOnce = size_t{1} << 30;

void feed(inflate_state& state, std::string_view& in) {
    const std::string_view part = in.substr(0, kMostAtOnce);
    // (never written through)
    state.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(part.data()));
    state.avail_in = static_cast<uint32_t>(part.size());
    in.remove_prefix(part.size());
}

// Bytes of the input that are not the stream's: those not looked at, and whole ones that wait in
// its buffer of bits.
size_t left_over(const inflate_state& state) {
    return state.avail_in + static_cast<size_t>(std::max(state.read_in_length, 0)) / 8;
}

}  // namespace

InflateEnd inflate_raw(std::string_view& in, std::string& out, size_t limit, size_t expected) {
    const auto state = std::make_unique_for_overwrite<inflate_state>();
    isal_inflate_init(state.get());
    state->avail_in = 0;
    const std::string_view all = in;
    const size_t before = out.size();
    out.reserve(before + std::min(expected, limit) + 1);
    size_t done = 0;
    while (true) {
        if (state->avail_in == 0 && !in.empty()) feed(*state, in);
        // One byte more than allowed is enough to know.
        const size_t room = std::min(kPiece, limit - done + 1);
        out.resize(before + done + room);
        state->next_out = reinterpret_cast<uint8_t*>(out.data() + before + done);
        state->avail_out = static_cast<uint32_t>(room);
        const uint32_t waiting = state->avail_in;
        const int code = isal_inflate(state.get());
        done += room - state->avail_out;
        out.resize(before + done);
        if (code < 0 || code == ISAL_NEED_DICT) return InflateEnd::kMalformed;
        if (done > limit) return InflateEnd::kTooLarge;
        if (state->block_state == ISAL_BLOCK_FINISH) break;
        if (state->avail_out > 0 && state->avail_in == 0 && in.empty())
            return InflateEnd::kTruncated;
        // Nothing taken, nothing made: it would be so for ever.
        if (state->avail_out == room && waiting > 0 && state->avail_in == waiting)
            return InflateEnd::kMalformed;
    }
    in = all.substr(all.size() - in.size() - left_over(*state));
    return InflateEnd::kDone;
}

}  // namespace pganalytics::net
