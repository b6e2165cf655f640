// How much memory the rows of one rowset may take while they are read, so that the program stays
// within pganalytics.memory_limit: what is beyond is not taken, and said to be missing, where an
// allocation that fails would end the program, at each new start again.
//
// What a reading takes for itself is counted (SparseFilter::reading_bytes); putting it in order and
// writing it takes half as much again, for a moment.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "pganalytics/host/process.hpp"

namespace pganalytics::ship {

// What the limit counts beside the heap, and what sending needs meanwhile.
inline constexpr size_t kBesideTheHeap = size_t{10} << 20;
// So much a rowset may take in any case: those that tell of the program itself need it.
inline constexpr size_t kLeastReading = size_t{512} << 10;

// Bytes; `taken` is what the heap has of the system now (host::heap_bytes), no limit: 0. Not more
// than a third of the limit in any case: the rest is for what is known of the rows of before, and
// what waits for the hub.
inline size_t reading_limit(size_t memory_limit, size_t taken) {
    const size_t most = std::max(memory_limit / 3, size_t{8} << 20);
    if (memory_limit == 0) return most;
    const size_t used = taken + kBesideTheHeap;
    const size_t left = memory_limit > used ? memory_limit - used : 0;
    return std::clamp(left / 3 * 2, kLeastReading, most);
}

// The same, asked again as each rowset begins; with a limit below 0: none.
inline std::function<size_t()> reading_limits(int64_t memory_limit) {
    return [limit = static_cast<size_t>(std::max<int64_t>(memory_limit, 0))] {
        return reading_limit(limit, host::heap_bytes());
    };
}

}  // namespace pganalytics::ship
