// SipHash: a 64-bit hash with a secret key, so that nobody who writes rows can choose rows that
// collide. The filter uses 1 and 3 rounds; 2 and 4 is the form with published test vectors.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pganalytics {

using SipKey = std::array<uint64_t, 2>;

uint64_t siphash13(const SipKey& key, std::string_view bytes);
uint64_t siphash24(const SipKey& key, std::string_view bytes);

}  // namespace pganalytics
