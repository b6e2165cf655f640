// Rows of pushes as frames: times, the keys gone, full rowsets, sizes.
#include "pganalytics/serve/push_frames.hpp"

#include "push_fixture.hpp"

namespace pganalytics::serve {
namespace {

PushFrames frames_of(const std::string& body, int64_t retention_seconds = 30 * 86'400) {
    const auto targets = catalog_targets();
    return PushFrames(push_of(body, *targets), targets, Uuid{1}, 7,
                      row_window(kNow, retention_seconds));
}

std::string entry_at(const std::string& time) {
    return R"({"type":"pg_stats","timestamp":")" + time + R"(","tables":[{"relid":1}]})";
}

TEST(PushFrames, TimesAreHeldAgainstTheWindow) {
    PushFrames frames = frames_of(
        envelope("[" + entry_at("2026-02-20T10:40:00Z") + "," + entry_at("2026-02-20T10:40:01Z") +
                 "," + entry_at("2026-01-21T10:30:00Z") + "," + entry_at("2026-01-21T10:29:59Z") +
                 "," + entry_at("0001-01-01T00:00:00Z") + "," + entry_at("9999-12-31T00:00:00Z") +
                 R"(,{"type":"pg_stats","tables":[{"relid":9}]}])"));
    EXPECT_EQ(frames.too_old(), 2U);
    EXPECT_EQ(frames.future(), 2U);
    const std::vector<Row> rows = rows_of(frames);
    ASSERT_EQ(rows.size(), 5U);
    const int64_t epoch = 946'684'800'000'000;
    const auto time = [&](size_t row) {
        return static_cast<int64_t>(big_endian(*field_of(rows[row], "time"))) + epoch;
    };
    EXPECT_EQ(time(0), kNow + 600'000'000);
    EXPECT_EQ(time(1), kNow);  // the hub's own
    EXPECT_EQ(time(2), kNow - 30LL * 86'400 * 1'000'000);
    EXPECT_EQ(time(3), kNow);
    EXPECT_EQ(time(4), kNow);  // the envelope's
}

TEST(PushFrames, OldestIsTheRetentionOrAMonth) {
    EXPECT_EQ(row_window(kNow, 86'400).oldest, kNow - 86'400'000'000);
    EXPECT_EQ(row_window(kNow, 400LL * 86'400).oldest, kNow - 31LL * 86'400'000'000);
}

TEST(PushFrames, RowsWithTimesOfTheirOwn) {
    PushFrames frames = frames_of(
        envelope(R"([{"type":"pg_log","timestamp":"2026-02-20T10:29:00Z","entries":[)"
                 R"({"timestamp":"2026-02-20T10:28:00Z","level":"ERROR","message":"m"},)"
                 R"({"timestamp":"2024-02-20T10:25:00Z","level":"LOG"},{"level":"LOG"}]}])"));
    EXPECT_EQ(frames.too_old(), 1U);
    const std::vector<Row> rows = rows_of(frames);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(big_endian(*field_of(rows[0], "time")), 824'898'480'000'000U);
    EXPECT_EQ(big_endian(*field_of(rows[1], "time")), 824'898'540'000'000U);
}

TEST(PushFrames, KeysGoneAndFullRowsets) {
    const std::vector<Row> rows = rows_of(envelope(
        R"([{"type":"pg_stats","timestamp":"2026-02-20T10:29:00Z","datname":"app",)"
        R"("tables":{"full":true,"complete":false,"columns":{"datid":[5],"relid":[6]},)"
        R"("gone":{"relid":[16401,16402],"datid":[16384,16384],"relname":["no key"]}}},)"
        R"({"type":"sysstat","cpu":{"full":true,"columns":{"cpu":[]},"gone":{"cpu":["a\"1"]}}}])"));
    ASSERT_EQ(rows.size(), 6U);
    EXPECT_EQ(rows[0].rowset, "pg_stats.tables");
    for (size_t i = 1; i < 4; ++i) EXPECT_EQ(rows[i].rowset, "pganalytics.gone");
    EXPECT_EQ(field_of(rows[1], "rowset"), "pg_stats.tables");
    EXPECT_EQ(big_endian(*field_of(rows[1], "datid")), 16384U);
    EXPECT_EQ(field_of(rows[1], "key"), "\x01{\"datid\":16384,\"relid\":16401}");
    EXPECT_EQ(field_of(rows[3], "key"), "\x01{\"cpu\":\"a\\\"1\"}");
    EXPECT_EQ(big_endian(*field_of(rows[3], "datid")), 0U);
    EXPECT_EQ(rows[4].rowset, "pganalytics.fulls");
    EXPECT_EQ(field_of(rows[4], "rowset"), "pg_stats.tables");
    EXPECT_EQ(big_endian(*field_of(rows[4], "datid")), 5U);
    EXPECT_EQ(field_of(rows[4], "datname"), "app");
    EXPECT_EQ(field_of(rows[4], "complete"), std::string(1, '\0'));
    EXPECT_EQ(field_of(rows[5], "rowset"), "sysstat.cpu");
    EXPECT_EQ(field_of(rows[5], "datname"), std::nullopt);
    EXPECT_EQ(field_of(rows[5], "complete"), std::string(1, '\1'));
    EXPECT_EQ(field_of(rows[5], "cycle"), std::nullopt);
}

TEST(PushFrames, WhatWasLeftOutIsNotedBesideWhatIsGone) {
    const std::vector<Row> rows = rows_of(envelope(
        R"([{"type":"pg_stats","datname":"app","datid":5,)"
        R"("tables":{"full":true,"complete":false,"columns":{},"left_out":70,"gone":{"relid":[1]}},)"
        R"("indexes":{"full":true,"complete":true,"columns":{},"gone":{"indexrelid":[2]}}}])"));
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(field_of(rows[0], "key"), "\x01{\"datid\":null,\"relid\":1}");
    EXPECT_EQ(field_of(rows[0], "left_out"), std::string(1, '\1'));
    EXPECT_EQ(field_of(rows[1], "left_out"), std::string(1, '\0'));
    EXPECT_EQ(field_of(rows[2], "rowset"), "pg_stats.tables");
    EXPECT_EQ(big_endian(*field_of(rows[2], "left_out")), 70U);
    EXPECT_EQ(field_of(rows[2], "complete"), std::string(1, '\0'));
    EXPECT_EQ(field_of(rows[3], "left_out"), std::nullopt);
}

TEST(PushFrames, OnlyRowsetsWithKeysAreRecordedAsFull) {
    const std::vector<Row> rows =
        rows_of(envelope(R"([{"type":"sysstat","load":{"full":true,"columns":{"load_1m":[0.5]}}},)"
                         R"({"type":"sysstat","cpu":{"full":true,"columns":{"cpu":[]}}}])"));
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].rowset, "sysstat.load");
    EXPECT_EQ(field_of(rows[1], "rowset"), "sysstat.cpu");
}

TEST(PushFrames, FullRowsetOfCycleInParts) {
    for (const bool cut : {false, true}) {
        const std::vector<Row> rows = rows_of(
            envelope(R"([{"type":"sysstat","cpu":{"full":true,"columns":{"cpu":[]}}}])",
                     R"(,"cycle":"30313233-3435-3637-3839-616263646566","part":1,"parts":)" +
                         std::string(cut ? "2" : "1")));
        ASSERT_EQ(rows.size(), 1U);
        EXPECT_EQ(field_of(rows[0], "cycle"), cut ? Field("0123456789abcdef") : std::nullopt);
    }
}

TEST(PushFrames, FramesAreBoundedAndWhole) {
    std::string relids = "1";
    std::string names = "\"" + std::string(200, 'n') + "\"";
    for (int i = 2; i <= 5000; ++i) {
        relids += "," + std::to_string(i);
        names += ",\"" + std::string(200, 'n') + "\"";
    }
    const std::string body = tables("\"relid\":[" + relids + "],\"relname\":[" + names + "]");
    PushFrames frames = frames_of(body);
    size_t bytes = 0;
    size_t count = 0;
    while (const auto frame = frames.next()) {
        EXPECT_LE(frame->size(), kRowsFrameBytes);
        bytes += frame->size();
        ++count;
    }
    EXPECT_GT(count, 4U);
    EXPECT_LE(bytes, frames.bytes_at_most());
    PushFrames again = frames_of(body);
    const std::vector<Row> rows = rows_of(again);
    ASSERT_EQ(rows.size(), 5000U);
    for (size_t i = 0; i < rows.size(); ++i) {
        ASSERT_EQ(big_endian(*field_of(rows[i], "relid")), i + 1);
    }
}

TEST(PushFrames, LongRows) {
    // Eight texts at their limit are a row too long; seven are not, and fit a frame.
    const auto body = [](int texts) {
        std::string row = R"({"level":"x")";
        const char* columns[] = {"sqlstate", "message", "detail",           "hint",
                                 "context",  "datname", "application_name", "usename"};
        for (int i = 0; i < texts; ++i) {
            row += ",\"" + std::string(columns[i]) + "\":\"" + std::string(65536, 'x') + "\"";
        }
        return envelope(R"([{"type":"pg_log","entries":[)" + row + "}]}]");
    };
    EXPECT_NE(frames_of(body(8)).refusal(), nullptr);
    PushFrames frames = frames_of(body(7));
    EXPECT_EQ(frames.refusal(), nullptr);
    const auto frame = frames.next();
    ASSERT_TRUE(frame);
    EXPECT_LT(frame->size(), kMaxFrameBytes);
    EXPECT_FALSE(frames.next());
}

}  // namespace
}  // namespace pganalytics::serve
