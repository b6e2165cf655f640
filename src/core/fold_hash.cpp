// Hash by folded multiplications (see the header). Runs in the collector.
#include "pganalytics/core/fold_hash.hpp"

#include <cstring>

namespace pganalytics {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr size_t kStep = 16;
constexpr size_t kLanes = 3;  // that do not wait for each other

uint64_t fold(uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t word_at(const char* bytes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

uint64_t step(uint64_t key, uint64_t lane, const char* bytes) {
    return fold(word_at(bytes) ^ key, word_at(bytes + 8) ^ lane);
}

}  // namespace

uint64_t fold_hash(const FoldKey& key, std::string_view bytes) {
    const char* at = bytes.data();
    size_t left = bytes.size();
    uint64_t lanes[kLanes] = {key[0], key[0], key[0]};
    for (; left >= kStep * kLanes; left -= kStep * kLanes) {
        for (size_t i = 0; i < kLanes; ++i, at += kStep) lanes[i] = step(key[1 + i], lanes[i], at);
    }
    uint64_t lane = lanes[0] ^ lanes[1] ^ lanes[2];
    for (; left >= kStep; left -= kStep, at += kStep) lane = step(key[1], lane, at);
    char rest[kStep] = {};
    if (left > 0) std::memcpy(rest, at, left);
    lane = step(key[2], lane, rest);
    // The length tells apart what zeros filled up.
    return fold(lane ^ key[3], key[0] ^ bytes.size());
}

}  // namespace pganalytics
