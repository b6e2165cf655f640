// A SHA-256 digest as a value. The functions that make one are in the layers that have a library
// for it.
#pragma once

#include <array>
#include <cstdint>

namespace pganalytics {

using Sha256 = std::array<uint8_t, 32>;

}  // namespace pganalytics
