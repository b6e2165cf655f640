#include "pganalytics/core/clock_steps.hpp"

#include <gtest/gtest.h>

namespace pganalytics {
namespace {

constexpr int64_t kHour = ClockSteps::kStep;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kBegan = 20000 * kDay;  // the wall clock at the monotonic one's 0

TEST(ClockStepsTest, AClockThatGoesIsBelieved) {
    ClockSteps steps;
    for (int64_t at = 0; at < 40 * kDay; at += kHour) EXPECT_EQ(steps.doubt(kBegan + at, at), 0);
    // Also one that goes a little wrong, and one that is set back.
    for (int64_t at = 40 * kDay; at < 80 * kDay; at += kHour)
        EXPECT_EQ(steps.doubt(kBegan + at + (at - 40 * kDay) / 100, at), 0);
    EXPECT_EQ(steps.doubt(kBegan, 80 * kDay), 0);
}

TEST(ClockStepsTest, ForwardByMoreThanAnHourIsDoubtedForADay) {
    ClockSteps steps;
    EXPECT_EQ(steps.doubt(kBegan, 0), 0);
    EXPECT_EQ(steps.doubt(kBegan + kHour + 1000, 1000), 0);
    const int64_t ahead = 365 * kDay;
    for (int64_t at = 2000; at < kDay; at += kHour / 2)
        EXPECT_EQ(steps.doubt(kBegan + kHour + at + ahead, at), ahead);
    EXPECT_EQ(steps.doubt(kBegan + kHour + kDay + 1999 + ahead, kDay + 1999), ahead);
    EXPECT_EQ(steps.doubt(kBegan + kHour + kDay + 2000 + ahead, kDay + 2000), 0);
    // From then on it is the one that is right.
    EXPECT_EQ(steps.doubt(kBegan + kHour + 2 * kDay + ahead, 2 * kDay), 0);
}

TEST(ClockStepsTest, SetRightAgainItIsBelievedAtOnce) {
    ClockSteps steps;
    EXPECT_EQ(steps.doubt(kBegan, 0), 0);
    EXPECT_GT(steps.doubt(kBegan + kDay, 1), 0);
    EXPECT_EQ(steps.doubt(kBegan + 2, 2), 0);
    // The next step is doubted from its own beginning.
    EXPECT_GT(steps.doubt(kBegan + kDay, kDay - kHour - 1), 0);
    EXPECT_GT(steps.doubt(kBegan + 2 * kDay, kDay + kHour), 0);
}

TEST(ClockStepsTest, FromALastKnownMomentADayMayHavePassed) {
    ClockSteps steps;
    steps.begin(kBegan, 77);
    EXPECT_EQ(steps.doubt(kBegan + kDay, 77), 0);
    ClockSteps later;
    later.begin(kBegan, 77);
    EXPECT_GT(later.doubt(kBegan + kDay + 1, 77), 0);
    EXPECT_GT(later.doubt(kBegan + 2 * kDay, kDay), 0);
    EXPECT_EQ(later.doubt(kBegan + 2 * kDay + 78, kDay + 77), 0);
}

}  // namespace
}  // namespace pganalytics
