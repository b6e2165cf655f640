// The hub's master keys, from which the keys of all collector tokens are derived, and the file that
// holds them. Runs in keys (makes the file) and serve (reads it). Form of the file: lines of
//
//     # comment
//     <version> <64 hexadecimal digits>
//
// Versions are 1 to 4294967295 and rise; the last one signs, the one before it still verifies.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"

namespace pganalytics::net {

inline constexpr size_t kMaxMasterKeyBytes = size_t{16} * 1024;

struct MasterKey {
    uint32_t version = 0;  // `kid`
    std::array<uint8_t, 32> secret{};
};

Result<std::vector<MasterKey>> parse_master_keys(std::string_view text);
std::string master_keys_text(const std::vector<MasterKey>& keys);
MasterKey make_master_key(uint32_t version);

}  // namespace pganalytics::net
