// SipHash (see the header). Runs in the program.
#include "pganalytics/core/siphash.hpp"

#include <bit>
#include <cstring>

namespace pganalytics {

namespace {

struct State {
    uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
};

template <int kCompressions, int kFinalizations>
uint64_t siphash(const SipKey& key, std::string_view bytes) {
    static_assert(std::endian::native == std::endian::little);
    State state{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
    const auto absorb = [&state](uint64_t word) {
        state.v3 ^= word;
        for (int i = 0; i < kCompressions; ++i) state.round();
        state.v0 ^= word;
    };
    const uint64_t length = bytes.size();
    while (bytes.size() >= 8) {
        uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        absorb(word);
        bytes.remove_prefix(8);
    }
    uint64_t last = 0;
    if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
    absorb(last | length << 56);
    state.v2 ^= 0xff;
    for (int i = 0; i < kFinalizations; ++i) state.round();
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace

uint64_t siphash13(const SipKey& key, std::string_view bytes) { return siphash<1, 3>(key, bytes); }
uint64_t siphash24(const SipKey& key, std::string_view bytes) { return siphash<2, 4>(key, bytes); }

}  // namespace pganalytics
