// The delivery's state machine with a hub that answers by script and a clock that the test turns.
// The same against a real TLS server is in tests/e2e.
#include "pganalytics/ship/delivery.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/ship/spool_queue.hpp"
#include "split_fixture.hpp"

namespace pganalytics::ship {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kStart = 1'771'583'400 * kSecond;  // 2026-02-20T10:30:00Z

struct ScriptedHub final : Transport {
    struct Seen {
        uint64_t id;
        net::HttpsRequest request;
    };
    uint64_t start(net::HttpsRequest request) override {
        seen.push_back({++last_id, std::move(request)});
        return last_id;
    }
    void cancel(uint64_t id) override { cancelled.push_back(id); }
    std::optional<net::HttpsOutcome> next_finished() override {
        if (finished.empty()) return std::nullopt;
        net::HttpsOutcome first = finished.front();
        finished.erase(finished.begin());
        return first;
    }
    std::vector<Seen> seen;
    std::vector<uint64_t> cancelled;
    std::vector<net::HttpsOutcome> finished;
    uint64_t last_id = 0;
};

class DeliveryTest : public ::testing::Test {
  protected:
    DeliveryTest() {
        queue.set_limits(1 << 20, 1 << 20);
        connect();
    }

    void connect() {
        auto made = std::make_unique<ScriptedHub>();
        hub = made.get();
        delivery.connect(std::move(made), "https://hub:8443");
    }

    void put(uint64_t sequence) {
        Snapshot snapshot;
        snapshot.sequence = sequence;
        snapshot.snapshot_id.fill(static_cast<uint8_t>(sequence));
        snapshot.collector_id.fill(0x22);
        snapshot.body = "body " + std::to_string(sequence);
        snapshot.rows = 5;
        queue.push(std::move(snapshot));
    }

    void serve() { delivery.service({now, kStart + now - 1000 * kSecond + step}); }
    void pass(int64_t time) {
        now += time;
        serve();
    }
    std::string target() const {
        const std::string& url = hub->seen.back().request.url;
        return url.substr(url.rfind('/') + 1);
    }
    size_t requests() const { return hub->seen.size(); }

    void answer(int status, const std::string& body = "", const std::string& retry_after = "") {
        net::HttpsOutcome outcome;
        outcome.id = hub->seen.back().id;
        outcome.response.status = status;
        outcome.response.body = body;
        outcome.response.retry_after = retry_after;
        hub->finished.push_back(outcome);
        serve();
    }
    void fail() {
        net::HttpsOutcome outcome;
        outcome.id = hub->seen.back().id;
        outcome.failure = net::HttpsFailure::kConnect;
        outcome.error = make_error(sqlstate::kConnectionFailure, "could not connect");
        hub->finished.push_back(outcome);
        serve();
    }
    void answer_token(const std::string& expires = "2026-02-20T11:30:00Z") {
        ASSERT_EQ(target(), "refresh-token");
        answer(200, R"({"token":"tok","expires_at":")" + expires + "\"}");
    }
    void acknowledge(const std::string& more = "") {
        ASSERT_EQ(target(), "push");
        const Snapshot& front = *queue.front();
        answer(200, R"({"collector_id":")" + uuid_text(front.collector_id) +
                        R"(","snapshot_id":")" + uuid_text(front.snapshot_id) + R"(","sequence":)" +
                        std::to_string(front.sequence) + R"(,"digest":")" + hex_text(front.digest) +
                        "\"" + more + "}");
    }
    std::vector<DeliveryEvent> events() { return delivery.take_events(); }

    double fraction = 0.0;
    int64_t now = 1000 * kSecond;
    int64_t step = 0;  // of the wall clock
    SpoolQueue queue{{}, [] { return 1U; }};
    Delivery delivery{queue, [this] { return fraction; }};
    ScriptedHub* hub = nullptr;
};

TEST_F(DeliveryTest, TheLastTryCountsWhateverTheClockSays) {
    put(1);
    serve();
    answer_token();
    acknowledge(R"(,"too_old":3)");
    EXPECT_FALSE(delivery.figures().failing);
    EXPECT_EQ(delivery.figures().too_old, 3U);
    step = -3600 * kSecond;
    put(2);
    serve();
    fail();
    EXPECT_LT(delivery.figures().last_failure, delivery.figures().last_success);
    EXPECT_TRUE(delivery.figures().failing);
    step *= 2;
    pass(10 * kSecond);
    acknowledge();
    EXPECT_LT(delivery.figures().last_success, delivery.figures().last_failure);
    EXPECT_FALSE(delivery.figures().failing);
}

TEST_F(DeliveryTest, GetsATokenThenPushesInOrderOneAtATime) {
    serve();
    EXPECT_EQ(requests(), 0U);
    EXPECT_FALSE(delivery.due());
    put(1);
    put(2);
    serve();
    ASSERT_EQ(requests(), 1U);
    EXPECT_EQ(hub->seen[0].request.url, "https://hub:8443/api/v1/collectors/refresh-token");
    serve();
    EXPECT_EQ(requests(), 1U);
    answer_token();
    ASSERT_EQ(requests(), 2U);
    EXPECT_EQ(hub->seen[1].request.url, "https://hub:8443/api/v1/metrics/push");
    EXPECT_EQ(hub->seen[1].request.body, "body 1");
    EXPECT_EQ(hub->seen[1].request.headers,
              std::vector<std::string>({"Content-Type: application/json", "Content-Encoding: gzip",
                                        "Authorization: Bearer tok"}));
    acknowledge(R"(,"want_full":true,"metrics_inserted":5)");
    ASSERT_EQ(requests(), 3U);
    EXPECT_EQ(hub->seen[2].request.body, "body 2");
    acknowledge(R"(,"duplicate":true)");
    EXPECT_EQ(requests(), 3U);
    const std::vector<DeliveryEvent> seen = events();
    ASSERT_EQ(seen.size(), 2U);
    EXPECT_EQ(seen[0].kind, DeliveryEvent::Kind::kDelivered);
    EXPECT_TRUE(seen[0].answer.want_full);
    EXPECT_EQ(seen[0].snapshot.sequence, 1U);
    EXPECT_TRUE(seen[1].answer.duplicate);
    EXPECT_EQ(delivery.figures().delivered, 2U);
    EXPECT_EQ(delivery.figures().rows, 10U);
    EXPECT_EQ(queue.snapshots(), 0U);
}

TEST_F(DeliveryTest, RenewsTheTokenBeforeItEnds) {
    fraction = 0.5;  // 7.5 s earlier
    put(1);
    serve();
    answer_token();
    acknowledge();
    now += (3600 - 68) * kSecond;
    put(2);
    serve();
    EXPECT_EQ(target(), "push");
    acknowledge();
    now += kSecond;
    put(3);
    serve();
    EXPECT_EQ(target(), "refresh-token");
    answer_token("2026-02-20T12:29:00Z");
    EXPECT_EQ(target(), "push");
}

TEST_F(DeliveryTest, ATokenWithoutLifeIsUsedOnceAndNotAskedForInALoop) {
    put(1);
    put(2);
    serve();
    answer_token("2020-01-01T00:00:00Z");
    EXPECT_EQ(target(), "push");
    acknowledge();
    EXPECT_EQ(requests(), 3U);
    EXPECT_EQ(target(), "refresh-token");
}

TEST_F(DeliveryTest, BacksOffWithFullJitterAndKeepsTheSnapshot) {
    put(1);
    serve();
    fraction = 0.999999;
    int64_t bound = 2 * kSecond;
    for (int failure = 0; failure < 12; ++failure) {
        const size_t before = requests();
        fail();
        EXPECT_EQ(requests(), before);
        const int64_t wait = *delivery.due() - now;
        EXPECT_NEAR(static_cast<double>(wait), static_cast<double>(bound),
                    static_cast<double>(bound) / 100);
        pass(wait - 1);
        EXPECT_EQ(requests(), before);
        pass(1);
        EXPECT_EQ(requests(), before + 1);
        bound = std::min(bound * 2, 300 * kSecond);
    }
    EXPECT_EQ(queue.snapshots(), 1U);
    answer_token();
    acknowledge();
    put(2);
    serve();
    fail();
    EXPECT_LE(*delivery.due() - now, 2 * kSecond) << "success starts the back-off anew";
}

TEST_F(DeliveryTest, HurryEndsABackOffButNotWhatTheHubAskedFor) {
    put(1);
    serve();
    fail();
    delivery.hurry();
    serve();
    EXPECT_EQ(requests(), 2U);
    answer_token();
    answer(503, "", "60");
    const size_t before = requests();
    delivery.hurry();
    pass(60 * kSecond - 1);
    EXPECT_EQ(requests(), before);
    pass(1);
    EXPECT_EQ(requests(), before + 1);
}

TEST_F(DeliveryTest, RetryAfterIsNeverUndercut) {
    for (const double draw : {0.0, 0.5, 0.999}) {
        fraction = draw;
        for (const auto& [status, text, seconds] :
             {std::tuple(503, "7", 7), std::tuple(429, "0", 1), std::tuple(500, "99999", 900),
              std::tuple(404, "Fri, 20 Feb 2036 10:30:00 GMT", 900)}) {
            connect();
            if (queue.front() == nullptr) put(1);
            serve();
            answer_token();
            answer(status, "", text);
            const int64_t wait = *delivery.due() - now;
            EXPECT_GE(wait, seconds * kSecond);
            EXPECT_LE(wait, seconds * kSecond * 11 / 10);
            const size_t before = requests();
            pass(seconds * kSecond - 1);
            EXPECT_EQ(requests(), before);
        }
    }
}

TEST_F(DeliveryTest, OneRenewalAndOneRepeatOn401) {
    put(1);
    serve();
    answer_token();
    answer(401);
    EXPECT_EQ(target(), "refresh-token");
    answer_token();
    EXPECT_EQ(target(), "push");
    const size_t before = requests();
    answer(401);
    EXPECT_EQ(requests(), before) << "no third try before the back-off";
    const std::vector<DeliveryEvent> seen = events();
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].error.sqlstate, sqlstate::kInvalidAuthorization);
    EXPECT_FALSE(seen[0].error.hint.empty());
    EXPECT_FALSE(seen[0].may_pass);
    EXPECT_EQ(queue.snapshots(), 1U);
    pass(2 * kSecond);
    answer_token();
    acknowledge();
    EXPECT_EQ(delivery.figures().delivered, 1U);
}

TEST_F(DeliveryTest, A401ForTheTokenItselfBacksOff) {
    put(1);
    serve();
    answer(401);
    EXPECT_EQ(requests(), 1U);
    EXPECT_GE(*delivery.due() - now, kSecond);
}

TEST_F(DeliveryTest, HoldsFiveMinutesOn403AndKeepsAll) {
    put(1);
    serve();
    answer_token();
    answer(403);
    EXPECT_TRUE(delivery.held());
    EXPECT_GE(*delivery.due() - now, 300 * kSecond);
    delivery.hurry();
    pass(299 * kSecond);
    EXPECT_EQ(requests(), 2U);
    EXPECT_EQ(queue.snapshots(), 1U);
    fraction = 0;
    pass(31 * kSecond);
    EXPECT_EQ(requests(), 3U);
    EXPECT_FALSE(delivery.held());
}

TEST_F(DeliveryTest, SetsAsideWhatTheHubWillNeverTake) {
    for (const int status : {400, 413, 415, 422, 409}) {
        const uint64_t lost = static_cast<uint64_t>(status);
        put(lost);
        put(lost + 1);
        serve();
        if (target() == "refresh-token") answer_token();
        answer(status, R"({"message":"no"})");
        EXPECT_EQ(hub->seen.back().request.body, "body " + std::to_string(lost + 1))
            << "the next one goes at once";
        acknowledge();
        const std::vector<DeliveryEvent> seen = events();
        ASSERT_EQ(seen.size(), 2U);
        EXPECT_EQ(seen[0].kind, DeliveryEvent::Kind::kSetAside);
        EXPECT_EQ(seen[0].snapshot.sequence, lost);
        EXPECT_EQ(seen[0].status, status);
        EXPECT_EQ(seen[0].answer.verdict == Verdict::kConflict, status == 409);
        EXPECT_NE(seen[0].error.message.find("(no)"), std::string::npos);
    }
    EXPECT_EQ(queue.losses().total(LossReason::kRefused).snapshots, 5U);
    EXPECT_EQ(queue.losses().total(LossReason::kRefused).rows, 25U);
}

const std::vector<std::string> kRowsets = {
    "pg_stats.tables", "pg_stats.indexes", "pg_stats.server", "sysstat.cpu",
    "sysstat.load",    "sysstat.memory",   "pg_stats.wal",    "pg_stats.databases"};

TEST_F(DeliveryTest, OneBadRowsetCostsTheOthersNothing) {
    for (const int status : {400, 413, 422}) {
        std::vector<std::pair<Uuid, SnapshotHalves>> heard;
        queue.on_split([&](const Snapshot& whole, const SnapshotHalves& halves) {
            heard.push_back({whole.snapshot_id, halves});
        });
        queue.push(snapshot_of_rowsets(kRowsets));
        serve();
        if (target() == "refresh-token") answer_token();
        std::string stored;
        size_t pushes = 0;
        for (; queue.front() != nullptr && pushes < 50; ++pushes) {
            const std::string json = json_of(*queue.front());
            if (json.find("\"memory\"") != std::string::npos) {
                answer(status, R"({"message":"no"})");
            } else {
                stored += json;
                acknowledge();
            }
        }
        for (const std::string& name : kRowsets) {
            const std::string member = "\"" + name.substr(name.find('.') + 1) + "\":{";
            EXPECT_EQ(stored.find(member) != std::string::npos, name != "sysstat.memory") << name;
            EXPECT_EQ(stored.find(member), stored.rfind(member)) << "once";
        }
        EXPECT_EQ(pushes, 7U) << "whole, half, quarter, eighth, and what is beside each";
        ASSERT_EQ(heard.size(), 3U);
        EXPECT_TRUE(heard[1].first == heard[0].second[0].snapshot_id ||
                    heard[1].first == heard[0].second[1].snapshot_id);
        size_t split = 0;
        size_t aside = 0;
        for (const DeliveryEvent& event : events()) {
            split += event.kind == DeliveryEvent::Kind::kSplit ? 1 : 0;
            aside += event.kind == DeliveryEvent::Kind::kSetAside ? 1 : 0;
        }
        EXPECT_EQ(split, 3U);
        EXPECT_EQ(aside, 1U);
    }
    EXPECT_EQ(queue.losses().total(LossReason::kRefused).snapshots, 3U);
    EXPECT_EQ(queue.losses().total(LossReason::kRefused).rows, 6U);
}

TEST_F(DeliveryTest, AHubThatTakesNothingDoesNotGetEverythingInPieces) {
    size_t pushes = 0;
    for (int cycle = 0; cycle < 10; ++cycle) {
        queue.push(snapshot_of_rowsets(kRowsets));
        serve();
        if (target() == "refresh-token") answer_token();
        for (; queue.front() != nullptr && pushes < 100; ++pushes) answer(400);
    }
    EXPECT_LT(pushes, 40U);
    EXPECT_EQ(queue.front(), nullptr);
    EXPECT_EQ(queue.losses().total(LossReason::kRefused).rows, 160U) << "all is declared";
}

TEST_F(DeliveryTest, WhatIsRefusedForItsFormIsNotSplit) {
    for (const int status : {415, 409}) {
        queue.push(snapshot_of_rowsets(kRowsets));
        serve();
        if (target() == "refresh-token") answer_token();
        answer(status);
        EXPECT_EQ(queue.front(), nullptr);
    }
}

TEST_F(DeliveryTest, EveryOtherStatusIsRetried) {
    for (int status = 100; status < 600; ++status) {
        if (status == 400 || status == 401 || status == 403 || status == 409 || status == 413 ||
            status == 415 || status == 422)
            continue;
        connect();
        if (queue.front() == nullptr) put(1);
        serve();
        answer_token();
        answer(status, "{}");
        EXPECT_EQ(queue.snapshots(), 1U) << status;
        EXPECT_GE(*delivery.due() - now, kSecond) << status;
        const std::vector<DeliveryEvent> seen = events();
        ASSERT_EQ(seen.size(), 1U) << status;
        EXPECT_EQ(seen[0].may_pass, status == 408 || status == 429 || status == 503) << status;
    }
}

TEST_F(DeliveryTest, ABacklogDrainsWithinTheHubsRate) {
    const std::string limits = R"(,"limits":{"requests_per_second":2,"burst":20})";
    for (uint64_t i = 1; i <= 100; ++i) put(i);
    serve();
    answer_token();
    const int64_t began = now;
    uint64_t pushed = 0;
    while (queue.front() != nullptr) {
        acknowledge(limits);
        ++pushed;
        const auto seconds = static_cast<double>(now - began) / kSecond;
        EXPECT_LE(static_cast<double>(pushed), 12 + seconds * 1.5);
        // Nothing is due while a push is under way.
        if (const std::optional<int64_t> due = delivery.due()) pass(*due - now);
    }
    EXPECT_LT(now - began, 70 * kSecond);
    EXPECT_GT(now - began, 55 * kSecond);
    // Rested, it has its burst again; and somebody who waits need not.
    now += 60 * kSecond;
    put(200);
    put(201);
    serve();
    acknowledge(limits);
    EXPECT_EQ(target(), "push");
    EXPECT_EQ(hub->seen.back().request.body, "body 201");
}

TEST_F(DeliveryTest, NewCredentialsCancelWhatIsUnderWay) {
    put(1);
    serve();
    answer_token();
    delivery.disconnect();
    EXPECT_FALSE(delivery.connected());
    EXPECT_FALSE(delivery.due());
    connect();
    serve();
    EXPECT_EQ(target(), "refresh-token") << "the old token is not used with new credentials";
    EXPECT_EQ(queue.snapshots(), 1U);
    // An answer to a request of another client is nobody's.
    net::HttpsOutcome stray;
    stray.id = 99;
    stray.response.status = 400;
    hub->finished.push_back(stray);
    serve();
    EXPECT_EQ(queue.snapshots(), 1U);
}

TEST_F(DeliveryTest, ATokenFromTheEnrolmentIsUsed) {
    delivery.set_token({"enrolled", 3600 * kSecond}, {now, kStart});
    put(1);
    serve();
    EXPECT_EQ(target(), "push");
    EXPECT_EQ(hub->seen[0].request.headers[2], "Authorization: Bearer enrolled");
}

}  // namespace
}  // namespace pganalytics::ship
