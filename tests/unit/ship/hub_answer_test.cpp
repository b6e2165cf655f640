// What answers mean: only a real acknowledgement delivers.
#include "pganalytics/ship/hub_answer.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/time_text.hpp"

namespace pganalytics::ship {
namespace {

constexpr int64_t kSecond = 1'000'000;
const int64_t kNow = *parse_time("2026-02-20T10:30:00Z");

Snapshot snapshot() {
    Snapshot made;
    made.snapshot_id.fill(0x11);
    made.collector_id.fill(0x22);
    made.sequence = 1234;
    made.digest.fill(0xab);
    return made;
}

std::string acknowledgement(const std::string& replaced = "", const std::string& by = "") {
    std::string json =
        R"({"status":"success","collector_id":"22222222-2222-2222-2222-222222222222",)"
        R"("snapshot_id":"11111111-1111-1111-1111-111111111111","sequence":1234,"digest":")" +
        hex_text(snapshot().digest) +
        R"(","metrics_inserted":2101,"duplicate":true,"want_full":true,"too_old":3,)"
        R"("next_config_version":9,"limits":{"max_body":4194304},"new_member":[]})";
    if (!replaced.empty()) json.replace(json.find(replaced), replaced.size(), by);
    return json;
}

net::HttpsResponse response(int status, std::string body, std::string retry_after = "") {
    net::HttpsResponse made;
    made.status = status;
    made.body = std::move(body);
    made.retry_after = std::move(retry_after);
    return made;
}

PushAnswer read(int status, const std::string& body, const std::string& retry_after = "") {
    return read_push_answer(response(status, body, retry_after), snapshot(), kNow);
}

TEST(HubAnswer, AnAcknowledgementDelivers) {
    for (const int status : {200, 201, 202}) {
        const PushAnswer answer = read(status, acknowledgement());
        EXPECT_EQ(answer.verdict, Verdict::kDelivered);
        EXPECT_TRUE(answer.duplicate);
        EXPECT_TRUE(answer.want_full);
        EXPECT_EQ(answer.inserted, 2101U);
        EXPECT_EQ(answer.too_old, 3U);
        EXPECT_EQ(answer.config_version, 9U);
        EXPECT_EQ(answer.max_body, 4194304U);
    }
    // What other hubs leave out.
    const std::string digest = hex_text(snapshot().digest);
    EXPECT_EQ(read(200, R"({"collector_id":"22222222-2222-2222-2222-222222222222","snapshot_id":)"
                        R"("11111111-1111-1111-1111-111111111111","sequence":1234,"digest":")" +
                            digest + R"("})")
                  .verdict,
              Verdict::kDelivered);
}

TEST(HubAnswer, NothingElseDoes) {
    const std::string good = acknowledgement();
    for (const std::string& body :
         {std::string(), std::string("<html>Welcome</html>"), std::string("{}"),
          std::string("null"), good.substr(0, good.size() - 1), good + "x",
          acknowledgement("22222222-", "32222222-"), acknowledgement("11111111-", "21111111-"),
          acknowledgement("1234", "1235"), acknowledgement("1234", "\"1234\""),
          acknowledgement("1234", "1234.0"), acknowledgement("abab", "abac"),
          acknowledgement("\"digest\"", "\"digset\""), "[" + good + "]",
          std::string(100000, '[')}) {
        const PushAnswer answer = read(200, body);
        EXPECT_EQ(answer.verdict, Verdict::kRetry) << body.substr(0, 200);
        EXPECT_FALSE(answer.reason.empty());
    }
}

TEST(HubAnswer, EachStatusHasItsVerdict) {
    for (int status = 100; status < 600; ++status) {
        Verdict expected = Verdict::kRetry;
        if (status == 400 || status == 413 || status == 422) expected = Verdict::kRefused;
        if (status == 415) expected = Verdict::kSetAside;
        if (status == 401) expected = Verdict::kRenewToken;
        if (status == 403) expected = Verdict::kHold;
        if (status == 409) expected = Verdict::kConflict;
        if (status / 100 == 2) continue;
        EXPECT_EQ(read(status, acknowledgement()).verdict, expected) << status;
    }
}

TEST(HubAnswer, RetryAfterIsReadByTheHubsClock) {
    EXPECT_EQ(read(503, "", "7").retry_after, 7 * kSecond);
    EXPECT_EQ(read(429, "", "100000000000000000000").retry_after, 900 * kSecond);
    EXPECT_FALSE(read(503, "", "later").retry_after);
    EXPECT_FALSE(read(503, "").retry_after);
    net::HttpsResponse skewed = response(503, "", "Fri, 20 Feb 2026 12:00:30 GMT");
    skewed.date = "Fri, 20 Feb 2026 12:00:00 GMT";
    EXPECT_EQ(read_push_answer(skewed, snapshot(), kNow).retry_after, 30 * kSecond);
}

TEST(HubAnswer, ReasonsAreFitForALogLine) {
    EXPECT_EQ(read(400, R"({"code":400,"message":"bad rowset","details":"column x"})").reason,
              "status 400 (bad rowset; column x)");
    EXPECT_EQ(read(500, "<html>").reason, "status 500");
    const std::string hostile = read(400, R"({"message":"a\nLOG:  b\u001b[31m"})").reason;
    EXPECT_EQ(hostile, "status 400 (a LOG:  b [31m)");
    EXPECT_LT(read(400, "{\"message\":\"" + std::string(60000, 'x') + "\"}").reason.size(), 300U);
    EXPECT_NE(read(302, "").reason.find("never followed"), std::string::npos);
}

TEST(HubAnswer, TokensAreReadByTheHubsClock) {
    net::HttpsResponse answer =
        response(200, R"({"token":"abc.DEF-_.123","expires_at":"2026-02-20T13:00:00Z"})");
    answer.date = "Fri, 20 Feb 2026 12:00:00 GMT";
    const std::optional<CollectorToken> token = read_token_answer(answer, kNow);
    ASSERT_TRUE(token);
    EXPECT_EQ(token->text, "abc.DEF-_.123");
    EXPECT_EQ(token->lifetime, 3600 * kSecond);
    answer.date.clear();
    EXPECT_EQ(read_token_answer(answer, kNow)->lifetime, 9000 * kSecond);
    answer.date = "Fri, 20 Feb 2026 14:00:00 GMT";
    EXPECT_EQ(read_token_answer(answer, kNow)->lifetime, 0);
    for (const char* body :
         {"", "{}", R"({"token":"a"})", R"({"token":"","expires_at":"2026-02-20T13:00:00Z"})",
          R"({"token":"a\r\nX: y","expires_at":"2026-02-20T13:00:00Z"})",
          R"({"token":"a b","expires_at":"2026-02-20T13:00:00Z"})",
          R"({"token":"a","expires_at":"soon"})", R"({"token":1,"expires_at":"x"})"})
        EXPECT_FALSE(read_token_answer(response(200, body), kNow)) << body;
    const std::string endless =
        R"({"token":")" + std::string(2049, 'a') + R"(","expires_at":"2026-02-20T13:00:00Z"})";
    EXPECT_FALSE(read_token_answer(response(200, endless), kNow));
    answer.status = 401;
    EXPECT_FALSE(read_token_answer(answer, kNow));
}

}  // namespace
}  // namespace pganalytics::ship
