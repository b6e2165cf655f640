// Who waits for a push gets one answer: the rows, or why not.
#include "pganalytics/ship/push_waiters.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics::ship {
namespace {

using Kind = DeliveryEvent::Kind;

DeliveryEvent event(Kind kind, uint64_t request, uint64_t sequence) {
    DeliveryEvent made;
    made.kind = kind;
    made.snapshot.request = request;
    made.snapshot.sequence = sequence;
    made.snapshot.snapshot_id.fill(7);
    made.snapshot.rows = 11;
    made.snapshot.bytes_json = 1000;
    made.bytes_gzip = 100;
    made.answer.inserted = 11;
    made.answer.duplicate = true;
    made.took = 1234;
    if (kind != Kind::kDelivered) made.error = make_error("08006", "no hub");
    return made;
}

TEST(PushWaiters, AnswerWithARowForEachSnapshot) {
    PushWaiters waiters;
    waiters.ask(5, 100);
    EXPECT_TRUE(waiters.waits(5));
    waiters.expect(5, 41);
    waiters.expect(5, 42);
    waiters.take(event(Kind::kDelivered, 0, 40));
    waiters.take(event(Kind::kDelivered, 5, 41));
    EXPECT_TRUE(waiters.take_answers().empty());
    waiters.take(event(Kind::kDelivered, 5, 42));
    const std::vector<PushWaiters::Answer> answers = waiters.take_answers();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].request, 5U);
    EXPECT_FALSE(answers[0].error);
    RowReader reader(answers[0].rows);
    std::string_view body;
    std::vector<int64_t> sequences;
    while (reader.next(body)) {
        Value values[9];
        ASSERT_TRUE(decode_row(body, answer_types(RequestKind::kPushNow), values));
        EXPECT_EQ(values[0].text, std::string(16, 7));
        sequences.push_back(values[1].integer);
        EXPECT_EQ(values[2].integer, 11);
        EXPECT_EQ(values[3].integer, 1000);
        EXPECT_EQ(values[4].integer, 100);
        EXPECT_EQ(values[5].text, "success");
        EXPECT_EQ(values[6].integer, 1);
        EXPECT_EQ(values[7].integer, 11);
        EXPECT_EQ(values[8].integer, 1234);
    }
    EXPECT_EQ(sequences, std::vector<int64_t>({41, 42}));
    EXPECT_TRUE(waiters.empty());
}

TEST(PushWaiters, FailAtOnceWithTheCauseUnlessItMayPass) {
    PushWaiters waiters;
    waiters.ask(5, 100);
    waiters.ask(6, 100);
    waiters.expect(5, 41);
    DeliveryEvent busy = event(Kind::kFailed, 0, 0);
    busy.may_pass = true;
    waiters.take(busy);
    EXPECT_TRUE(waiters.take_answers().empty());
    waiters.take(event(Kind::kFailed, 0, 0));
    const std::vector<PushWaiters::Answer> answers = waiters.take_answers();
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_EQ(answers[0].error->message, "no hub");
    waiters.take(event(Kind::kDelivered, 5, 41));
    EXPECT_TRUE(waiters.take_answers().empty()) << "one answer each";
}

TEST(PushWaiters, FailWhenTheirOwnSnapshotIsRefusedOrLost) {
    PushWaiters waiters;
    waiters.ask(5, 100);
    waiters.ask(6, 100);
    waiters.take(event(Kind::kSetAside, 4, 40));
    EXPECT_TRUE(waiters.take_answers().empty());
    waiters.take(event(Kind::kSetAside, 5, 41));
    waiters.lost(event(Kind::kFailed, 6, 42).snapshot);
    const std::vector<PushWaiters::Answer> answers = waiters.take_answers();
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_EQ(answers[0].request, 5U);
    EXPECT_EQ(answers[0].error->message, "no hub");
    EXPECT_EQ(answers[1].request, 6U);
    EXPECT_FALSE(answers[1].error->hint.empty());
}

TEST(PushWaiters, TimeEndsWithWhatIsKnown) {
    PushWaiters waiters;
    EXPECT_FALSE(waiters.next_deadline());
    waiters.ask(5, 100);
    waiters.ask(6, 50);
    waiters.expect(6, 41);
    EXPECT_EQ(waiters.next_deadline(), 50);
    waiters.expire(49, {});
    EXPECT_TRUE(waiters.take_answers().empty());
    waiters.expire(50, make_error("08006", "hub is busy", {}, "Wait."));
    std::vector<PushWaiters::Answer> answers = waiters.take_answers();
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].request, 6U);
    EXPECT_NE(answers[0].error->detail.find("hub is busy"), std::string::npos);
    EXPECT_EQ(answers[0].error->hint, "Wait.");
    waiters.expire(100, {});
    EXPECT_EQ(waiters.take_answers().size(), 1U);
}

}  // namespace
}  // namespace pganalytics::ship
