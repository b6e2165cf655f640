// Snapshots whose content follows from their sequence, for the tests of the spool.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pganalytics/ship/spool.hpp"
#include "support/simulated_files.hpp"

namespace pganalytics::ship {

constexpr int64_t kSpoolNow = 1'771'583'400LL * 1'000'000;

inline Snapshot numbered(uint64_t sequence, size_t bytes = 0) {
    Snapshot made;
    made.sequence = sequence;
    made.snapshot_id.fill(static_cast<uint8_t>(sequence));
    made.collector_id.fill(0x22);
    made.digest.fill(static_cast<uint8_t>(sequence * 7));
    const size_t size = bytes != 0 ? bytes : 10 + sequence * 31 % 150;
    made.body.resize(size);
    for (size_t i = 0; i < size; ++i)
        made.body[i] = static_cast<char>((sequence * 131 + i * 7) & 0xff);
    made.rows = sequence % 11;
    made.bytes_json = size * 10;
    made.time = static_cast<int64_t>(sequence) * 60'000'000;
    made.groups = {{static_cast<uint16_t>(sequence % 5), static_cast<uint32_t>(sequence), 0}};
    return made;
}

// Empty: it is that snapshot, in every part.
inline std::string difference(const Snapshot& read, bool with_groups, size_t bytes = 0) {
    const Snapshot made = numbered(read.sequence, bytes);
    if (read.body != made.body) return "body";
    if (read.snapshot_id != made.snapshot_id || read.collector_id != made.collector_id) return "id";
    if (read.digest != made.digest) return "digest";
    if (read.rows != made.rows || read.bytes_json != made.bytes_json || read.time != made.time)
        return "figures";
    if (read.groups != (with_groups ? made.groups : std::vector<RowsetGroup>())) return "groups";
    return {};
}

inline SpoolOptions small_options(Random& random, uint8_t run = 1) {
    SpoolOptions options;
    options.limit = 8192;
    options.segment_bytes = 600;
    options.incarnation.fill(run);
    options.random = [&random] { return static_cast<uint32_t>(random()); };
    return options;
}

inline Status put(Spool& spool, std::vector<uint64_t> sequences, size_t bytes = 0) {
    std::vector<Snapshot> made;
    for (const uint64_t sequence : sequences) made.push_back(numbered(sequence, bytes));
    std::vector<const Snapshot*> pointers;
    for (const Snapshot& one : made) pointers.push_back(&one);
    const Result<uint64_t> first = spool.append(pointers, kSpoolNow);
    return first ? Status() : Status(first.error());
}

// Delivers everything; the sequences in their order.
inline std::vector<uint64_t> drain(Spool& spool, size_t bytes = 0) {
    std::vector<uint64_t> found;
    for (int errors = 0; errors < 100;) {
        auto next = spool.next(kSpoolNow);
        if (!next) {
            ++errors;
            continue;
        }
        if (!*next) break;
        const Snapshot& one = (*next)->snapshot;
        EXPECT_EQ(difference(one, !one.groups.empty(), bytes), "") << one.sequence;
        found.push_back(one.sequence);
        spool.finish((*next)->number);
    }
    return found;
}

inline uint64_t declared(const Spool& spool) {
    uint64_t sum = 0;
    for (size_t i = 0; i < kLossReasons; ++i)
        sum += spool.losses().total(static_cast<LossReason>(i)).snapshots;
    return sum;
}

using Sequences = std::vector<uint64_t>;

}  // namespace pganalytics::ship
