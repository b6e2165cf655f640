// When rowsets are sent whole.
#include "pganalytics/core/full_schedule.hpp"

#include <gtest/gtest.h>

#include <set>

namespace pganalytics {
namespace {

constexpr int64_t kHour = 3600 * 1'000'000L;

TEST(FullSchedule, IsDueAtFirstAndEachInterval) {
    FullSchedule schedule(kHour);
    const RowsetGroup group{3, 16384};
    EXPECT_TRUE(schedule.due(group, 5));
    schedule.sent(group, 5);
    EXPECT_FALSE(schedule.due(group, 5));
    EXPECT_FALSE(schedule.due(group, 5 + kHour / 2 - 1));
    EXPECT_TRUE(schedule.due(group, 5 + kHour));
    schedule.sent(group, 5 + kHour);
    EXPECT_FALSE(schedule.due(group, 5 + 2 * kHour - 1));
    EXPECT_TRUE(schedule.due(group, 5 + 2 * kHour));
    schedule.set_interval(kHour / 60);
    EXPECT_TRUE(schedule.due(group, 5 + kHour + kHour / 60));
}

TEST(FullSchedule, ARowsetCanAskForALongerInterval) {
    FullSchedule schedule(kHour);
    const RowsetGroup group{3, 16384};
    EXPECT_TRUE(schedule.due(group, 0, 12 * kHour));
    schedule.sent(group, 0);
    EXPECT_FALSE(schedule.due(group, 6 * kHour - 1, 12 * kHour));
    EXPECT_TRUE(schedule.due(group, 12 * kHour, 12 * kHour));
    schedule.sent(group, 12 * kHour);
    EXPECT_FALSE(schedule.due(group, 24 * kHour - 1, 12 * kHour));
    EXPECT_TRUE(schedule.due(group, 24 * kHour, 12 * kHour));
    // But none that is shorter.
    EXPECT_FALSE(schedule.due(group, 13 * kHour - 1, kHour / 2));
    schedule.require(group);
    EXPECT_TRUE(schedule.due(group, 12 * kHour + 1, 12 * kHour));
}

TEST(FullSchedule, SpreadsAfterACommonStart) {
    FullSchedule schedule(kHour);
    std::set<int> minutes;
    for (uint32_t datid = 16384; datid < 16484; ++datid) {
        const RowsetGroup group{1, datid};
        schedule.sent(group, 0);
        int minute = 0;
        while (!schedule.due(group, minute * (kHour / 60))) ++minute;
        EXPECT_GE(minute, 30);
        EXPECT_LE(minute, 60);
        minutes.insert(minute);
    }
    EXPECT_GT(minutes.size(), 20U);
}

TEST(FullSchedule, CanBeRequired) {
    FullSchedule schedule(kHour);
    const RowsetGroup a{1, 10};
    const RowsetGroup b{1, 20};
    for (const RowsetGroup group : {a, b}) schedule.sent(group, 100);
    schedule.require(a);
    EXPECT_TRUE(schedule.due(a, 101));
    EXPECT_FALSE(schedule.due(b, 101));
    schedule.sent(a, 101);
    EXPECT_FALSE(schedule.due(a, 102));
    schedule.require(a, 500);
    schedule.require(a, 900);
    EXPECT_FALSE(schedule.due(a, 499));
    EXPECT_TRUE(schedule.due(a, 500));
    schedule.require_all();
    EXPECT_TRUE(schedule.due(b, 102));
}

TEST(FullSchedule, IsOverdueAtOnceWhereRequiredElseAfterAWhile) {
    FullSchedule schedule(kHour);
    const RowsetGroup group{1, 10};
    EXPECT_TRUE(schedule.overdue(group, 0));
    EXPECT_FALSE(schedule.knows(group));
    schedule.sent(group, 0);
    schedule.sent(group, 0);  // the second has a whole interval
    EXPECT_TRUE(schedule.knows(group));
    EXPECT_TRUE(schedule.due(group, kHour));
    EXPECT_FALSE(schedule.overdue(group, kHour + kHour / 4 - 1));
    EXPECT_TRUE(schedule.overdue(group, kHour + kHour / 4));
    schedule.require(group);
    EXPECT_TRUE(schedule.overdue(group, 1));
    schedule.require_all();
    EXPECT_FALSE(schedule.knows(group));
}

TEST(FullSchedule, ForgetsDatabasesThatAreGone) {
    FullSchedule schedule(kHour);
    for (const uint32_t datid : {0U, 10U, 20U}) schedule.sent({1, datid}, 0);
    const uint32_t left[] = {20};
    schedule.keep_databases(left);
    EXPECT_FALSE(schedule.due({1, 0}, 1));
    EXPECT_TRUE(schedule.due({1, 10}, 1));
    EXPECT_FALSE(schedule.due({1, 20}, 1));
}

}  // namespace
}  // namespace pganalytics
