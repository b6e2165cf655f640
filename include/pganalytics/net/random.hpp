// Randomness from the kernel. Runs in the program. A kernel that gives none ends the process: no
// caller could go on safely.
#pragma once

#include <cstdint>
#include <span>

#include "pganalytics/core/uuid.hpp"

namespace pganalytics::net {

void random_bytes(std::span<uint8_t> out);
uint64_t random_number();
// Uniform in [0, bound); 0 where bound is 0.
uint64_t random_below(uint64_t bound);
// Uniform in [0, 1).
double random_fraction();
// Version 4.
Uuid random_uuid();

}  // namespace pganalytics::net
