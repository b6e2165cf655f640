// Frames and messages: cut anywhere, joined again, and refused where they are not what they should
// be.
#include "pganalytics/core/frame.hpp"

#include <gtest/gtest.h>

#include <random>

#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics {
namespace {

TEST(Frame, StreamCutAnywhereGivesTheSameFrames) {
    const std::string stream = make_frame(FrameType::kRowsetRows, std::string(1000, 'r')) +
                               make_frame(Heartbeat{7}) + make_frame(Stop{});
    for (size_t cut = 1; cut < stream.size(); ++cut) {
        FrameSplitter splitter;
        std::vector<FrameType> types;
        for (size_t at = 0; at < stream.size(); at += cut) {
            splitter.feed(std::string_view(stream).substr(at, cut));
            while (const auto frame = splitter.next()) {
                types.push_back(frame->type);
                if (frame->type == FrameType::kHeartbeat) {
                    EXPECT_EQ(decode<Heartbeat>(frame->payload)->number, 7U);
                }
            }
        }
        ASSERT_EQ(types,
                  (std::vector{FrameType::kRowsetRows, FrameType::kHeartbeat, FrameType::kStop}));
        EXPECT_EQ(splitter.buffered(), 0U);
        EXPECT_FALSE(splitter.failed());
    }
}

TEST(Frame, LongestFrameIsTakenAndOneByteMoreIsNot) {
    FrameSplitter splitter;
    splitter.feed(make_frame(FrameType::kRowsetRows, std::string(kMaxFrameBytes - 2, 'x')));
    EXPECT_TRUE(splitter.next());
    splitter.feed(make_frame(FrameType::kRowsetRows, std::string(kMaxFrameBytes - 1, 'x')));
    EXPECT_FALSE(splitter.next());
    EXPECT_TRUE(splitter.failed());
}

TEST(Frame, WrongVersionAndShortLengthEndTheConversation) {
    std::string frame = make_frame(Stop{});
    frame[5] = 2;
    FrameSplitter wrong_version;
    wrong_version.feed(frame);
    EXPECT_FALSE(wrong_version.next());
    EXPECT_TRUE(wrong_version.failed());
    wrong_version.feed(make_frame(Stop{}));
    EXPECT_FALSE(wrong_version.next());

    FrameSplitter too_short;
    too_short.feed(std::string("\1\0\0\0\5\1", 6));
    EXPECT_FALSE(too_short.next());
    EXPECT_TRUE(too_short.failed());
}

template <class Message>
void refuses_every_cut(const Message& message) {
    const std::string bytes = encode(message);
    ASSERT_TRUE(decode<Message>(bytes));
    EXPECT_EQ(encode(*decode<Message>(bytes)), bytes);
    for (size_t length = 0; length < bytes.size(); ++length) {
        EXPECT_FALSE(decode<Message>(std::string_view(bytes).substr(0, length))) << length;
    }
    EXPECT_FALSE(decode<Message>(bytes + '\0'));
}

TEST(Messages, RoundTripAndEveryCutRefused) {
    PushBegin push;
    push.number = UINT64_MAX;
    push.in_recovery = false;
    push.hostname = "db-1";
    push.time = -5;
    refuses_every_cut(push);

    ServerFacts facts;
    facts.tablespaces = {{16384, "fast \"disk\"", "/mnt/fast"}};
    facts.temp_tablespaces = {"a", ""};
    refuses_every_cut(facts);

    CollectorState collector;
    collector.certificates = {{Sha256{1, 2, 3}, 4}};
    refuses_every_cut(collector);

    refuses_every_cut(Renew{1, {}, {}, "key", "::1"});

    KeysInit keys;
    keys.names = {"localhost", "::1"};
    refuses_every_cut(keys);
    CycleEnd end{1, 2, 3, {4, 5}, {}, {6}, {7, 8}, {}};
    refuses_every_cut(end);
    end.own = {{7, "orders"}};
    refuses_every_cut(end);
    refuses_every_cut(NeedComplete{{9, 10}});
    refuses_every_cut(LogLine{LogLevel::kError, "cause", "message", "", "hint"});
}

TEST(Messages, CountsLargerThanTheBytesAreRefused) {
    ByteWriter out;
    out.varint(1);
    out.varint(0);
    out.varint(0);
    out.varint(UINT64_MAX);  // databases
    EXPECT_FALSE(decode<CycleEnd>(out.data()));
}

TEST(Messages, NumbersBeyondTheirTypeAreRefused) {
    ByteWriter out;
    out.varint(uint64_t{UINT16_MAX} + 1);
    out.varint(0);
    out.text("");
    out.varint(0);
    EXPECT_FALSE(decode<RowsetBegin>(out.data()));
}

TEST(Messages, RandomBytesAreHarmless) {
    std::mt19937 random(1);
    for (int round = 0; round < 50'000; ++round) {
        std::string bytes(random() % 80, '\0');
        for (char& byte : bytes) byte = static_cast<char>(random());
        (void)decode<ServerFacts>(bytes);
        (void)decode<CollectorState>(bytes);
        (void)decode<KeysInit>(bytes);
        (void)decode<Request>(bytes);
    }
}

TEST(Bytes, VarintLimits) {
    for (const uint64_t number : {uint64_t{0}, uint64_t{127}, uint64_t{128}, UINT64_MAX}) {
        ByteWriter out;
        out.varint(number);
        ByteReader in(out.data());
        EXPECT_EQ(in.varint(), number);
        EXPECT_TRUE(in.done());
    }
    ByteReader too_long(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
    too_long.varint();
    EXPECT_FALSE(too_long.ok());
    for (const int64_t number : {int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX}) {
        EXPECT_EQ(unzigzag(zigzag(number)), number);
    }
}

}  // namespace
}  // namespace pganalytics
