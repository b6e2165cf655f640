// CRC-32C (Castagnoli), the checksum of what lies in files for a while. Finds damage, not intent.
#pragma once

#include <cstdint>
#include <string_view>

namespace pganalytics {

// Of `bytes`, continuing `before` (0: a beginning; anything else also serves as a seed).
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

}  // namespace pganalytics
