// Pushes as the hub worker takes them from a front that loses frames, or says what is not so.
#include "pganalytics/pg/hub_pushes.hpp"

#include <gtest/gtest.h>

namespace pganalytics::pg {
namespace {

constexpr int64_t kNow = int64_t{1'771'583'400} * 1000000;
constexpr int64_t kPostgresEpoch = int64_t{946'684'800} * 1000000;
constexpr uint16_t kRowset = 3;
constexpr Uuid kCollector = {7};

class Rules : public PushRules {
  public:
    size_t fields(uint16_t rowset) const override { return rowset == kRowset ? 3 : 0; }
    TimeWindow window() const override { return {kNow - 1000000, kNow + 1000000}; }
};

template <class T>
void put(std::string& out, T value) {
    for (size_t i = sizeof(T); i-- > 0;)
        out.push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
}

std::string copy_rows(size_t count, int16_t fields = 3) {
    std::string rows;
    for (size_t i = 0; i < count; ++i) {
        put<int16_t>(rows, fields);
        put<int32_t>(rows, 8);
        put<int64_t>(rows, kNow - kPostgresEpoch);
        put<int32_t>(rows, 16);
        rows.append(kCollector.begin(), kCollector.end());
        for (int16_t field = 2; field < fields; ++field) put<int32_t>(rows, -1);
    }
    return rows;
}

PushRows frame_of(uint32_t said, const std::string& rows) {
    PushRows frame;
    frame.number = 1;
    frame.rowset = kRowset;
    frame.count = said;
    frame.rows = rows;
    return frame;
}

class HubPushesTest : public testing::Test {
  protected:
    // A push of these frames whose end says `total`.
    Push push_of(const std::vector<PushRows>& frames, uint64_t total) {
        PushBegin begin;
        begin.number = 1;
        begin.collector_id = kCollector;
        EXPECT_TRUE(pushes_.begin(begin));
        for (const PushRows& frame : frames) EXPECT_TRUE(pushes_.rows(frame));
        EXPECT_TRUE(pushes_.end({1, total}));
        std::vector<Push> ready = pushes_.take_ready();
        EXPECT_EQ(ready.size(), 1U);
        return ready.empty() ? Push{} : std::move(ready.front());
    }

    Rules rules_;
    HubPushes pushes_{rules_};
};

TEST_F(HubPushesTest, WholePushIsKept) {
    const Push push =
        push_of({frame_of(2, copy_rows(2)), frame_of(0, {}), frame_of(1, copy_rows(1))}, 3);
    EXPECT_FALSE(push.again);
    EXPECT_EQ(push.refusal, "");
    ASSERT_EQ(push.rowsets.size(), 1U);
    EXPECT_EQ(push.rowsets[0].facts.rows, 3U);
    EXPECT_EQ(push.rowsets[0].chunks.size(), 2U);
    EXPECT_FALSE(push_of({}, 0).again);
}

TEST_F(HubPushesTest, LostFrameIsNoticed) {
    for (const Push& push : {push_of({frame_of(2, copy_rows(2))}, 3), push_of({}, 1),
                             push_of({frame_of(2, copy_rows(2))}, 1)}) {
        EXPECT_TRUE(push.again);
        EXPECT_TRUE(push.rowsets.empty());
        EXPECT_EQ(push.refusal, "");
    }
}

TEST_F(HubPushesTest, CountIsHeldAgainstTheRows) {
    EXPECT_TRUE(push_of({frame_of(2, copy_rows(1))}, 2).again);
    EXPECT_TRUE(push_of({frame_of(1, copy_rows(2))}, 1).again);
    EXPECT_TRUE(push_of({frame_of(1, {})}, 1).again);
    EXPECT_TRUE(push_of({frame_of(3, copy_rows(2)), frame_of(0, copy_rows(1))}, 3).again);
}

TEST_F(HubPushesTest, RowsOfOtherColumnsComeAgain) {
    EXPECT_TRUE(push_of({frame_of(1, copy_rows(1, 4)), frame_of(1, copy_rows(1))}, 2).again);
}

// Sent again it would be no better.
TEST_F(HubPushesTest, RefusalStands) {
    std::string cut = copy_rows(2);
    cut.pop_back();
    const Push push = push_of({frame_of(2, cut)}, 5);
    EXPECT_FALSE(push.again);
    EXPECT_NE(push.refusal.find("is cut"), std::string::npos);
}

TEST_F(HubPushesTest, FramesOutOfOrderAreTheFrontsFault) {
    EXPECT_FALSE(pushes_.rows(frame_of(1, copy_rows(1))));
    EXPECT_FALSE(pushes_.end({1, 0}));
    PushBegin begin;
    begin.number = 1;
    EXPECT_TRUE(pushes_.begin(begin));
    // The end of the one before was lost.
    EXPECT_FALSE(pushes_.begin(begin));
    EXPECT_FALSE(pushes_.end({2, 0}));
}

}  // namespace
}  // namespace pganalytics::pg
