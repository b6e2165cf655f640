// How much a reading may take of the memory there is.
#include "pganalytics/ship/reading_limit.hpp"

#include <gtest/gtest.h>

namespace pganalytics::ship {
namespace {

constexpr size_t kMegabyte = size_t{1} << 20;

TEST(ReadingLimit, IsAThirdWhileThereIsRoom) {
    EXPECT_EQ(reading_limit(96 * kMegabyte, 10 * kMegabyte), 32 * kMegabyte);
    EXPECT_EQ(reading_limit(4096 * kMegabyte, 100 * kMegabyte), 4096 * kMegabyte / 3);
    EXPECT_EQ(reading_limit(0, 500 * kMegabyte), 8 * kMegabyte) << "no limit is known yet";
}

// With what ordering and writing take beside it.
TEST(ReadingLimit, LeavesHalfAsMuchAgain) {
    for (size_t taken = 0; taken < 96 * kMegabyte; taken += kMegabyte) {
        const size_t limit = reading_limit(96 * kMegabyte, taken);
        EXPECT_GE(limit, kLeastReading);
        if (limit > kLeastReading) {
            EXPECT_LE(taken + limit + limit / 2 + kBesideTheHeap, 96 * kMegabyte) << taken;
        }
    }
    EXPECT_EQ(reading_limit(96 * kMegabyte, 200 * kMegabyte), kLeastReading);
}

TEST(ReadingLimit, FollowsTheHeap) {
    const auto limit = reading_limits(96 << 20);
    EXPECT_EQ(limit(), reading_limit(96 * kMegabyte, host::heap_bytes()));
}

}  // namespace
}  // namespace pganalytics::ship
