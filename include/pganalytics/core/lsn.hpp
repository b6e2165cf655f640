// Positions in the write-ahead log as PostgreSQL prints them: "16/B374D848".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pganalytics {

void append_lsn(std::string& out, uint64_t lsn);
std::optional<uint64_t> parse_lsn(std::string_view text);

}  // namespace pganalytics
