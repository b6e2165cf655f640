// The queue's bound and what it does when it is reached.
#include "pganalytics/ship/snapshot_queue.hpp"

#include <gtest/gtest.h>

namespace pganalytics::ship {
namespace {

Snapshot snapshot(uint64_t sequence, size_t bytes = 1000) {
    Snapshot made;
    made.sequence = sequence;
    made.body.assign(bytes, 'x');
    made.body.shrink_to_fit();
    made.rows = 10;
    made.bytes_json = 50;
    made.time = static_cast<int64_t>(sequence) * 100;
    return made;
}

std::vector<uint64_t> sequences(const std::vector<Snapshot>& snapshots) {
    std::vector<uint64_t> found;
    for (const Snapshot& one : snapshots) found.push_back(one.sequence);
    return found;
}

using Sequences = std::vector<uint64_t>;

TEST(MemoryQueue, OldestFirst) {
    MemoryQueue queue(1 << 20);
    EXPECT_EQ(queue.front(), nullptr);
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(queue.push(snapshot(i)).empty());
    EXPECT_EQ(queue.snapshots(), 3U);
    EXPECT_EQ(queue.front()->sequence, 1U);
    EXPECT_EQ(queue.pop().sequence, 1U);
    EXPECT_EQ(queue.pop().sequence, 2U);
    EXPECT_GE(queue.bytes(), 1000U);
    EXPECT_EQ(queue.pop().sequence, 3U);
    EXPECT_EQ(queue.bytes(), 0U);
    EXPECT_EQ(queue.front(), nullptr);
}

TEST(MemoryQueue, DropsTheOldestForTheNewest) {
    MemoryQueue queue(3100);
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(queue.push(snapshot(i)).empty());
    EXPECT_EQ(sequences(queue.push(snapshot(4))), Sequences({1}));
    EXPECT_EQ(sequences(queue.push(snapshot(5, 2000))), Sequences({2, 3}));
    EXPECT_LE(queue.bytes(), queue.limit());
    EXPECT_EQ(queue.front()->sequence, 4U);
}

TEST(MemoryQueue, KeepsTheOneThatIsBeingSent) {
    MemoryQueue queue(3100);
    for (uint64_t i = 1; i <= 3; ++i) queue.push(snapshot(i));
    queue.pin_front(true);
    EXPECT_EQ(sequences(queue.push(snapshot(4))), Sequences({2}));
    EXPECT_EQ(queue.front()->sequence, 1U);
    EXPECT_EQ(sequences(queue.push(snapshot(5, 2500))), Sequences({3, 4, 5}));
    EXPECT_EQ(queue.pop().sequence, 1U);
    EXPECT_EQ(queue.front(), nullptr);
}

TEST(MemoryQueue, RefusesWhatCanNeverFit) {
    MemoryQueue queue(3100);
    queue.push(snapshot(1));
    EXPECT_EQ(sequences(queue.push(snapshot(2, 4000))), Sequences({1, 2}));
    EXPECT_EQ(queue.bytes(), 0U);
}

TEST(MemoryQueue, LossesAreAccountedFor) {
    MemoryQueue queue(1 << 20);
    for (uint64_t i = 3; i <= 5; ++i) queue.push(snapshot(i));
    Losses losses;
    for (const Snapshot& lost : queue.clear()) losses.count(lost);
    EXPECT_EQ(losses.snapshots, 3U);
    EXPECT_EQ(losses.rows, 30U);
    EXPECT_EQ(losses.bytes, 150U);
    EXPECT_EQ(losses.first_time, 300);
    EXPECT_EQ(losses.last_time, 500);
    EXPECT_EQ(queue.bytes(), 0U);
}

}  // namespace
}  // namespace pganalytics::ship
