// Rates, counts of connections and bytes of bodies, with a clock of the test's own.
#include <gtest/gtest.h>

#include "pganalytics/serve/admission.hpp"
#include "pganalytics/serve/rate_limiter.hpp"
#include "pganalytics/serve/routes.hpp"

namespace pganalytics::serve {
namespace {

const Clock::time_point kStart = Clock::time_point{} + std::chrono::hours(1000);

TEST(RateLimiter, BurstThenRate) {
    RateLimiter limiter(2, 20);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(limiter.take("a", kStart), 0U);
    EXPECT_EQ(limiter.take("a", kStart), 1U);
    EXPECT_EQ(limiter.take("b", kStart), 0U);
    EXPECT_EQ(limiter.take("a", kStart + milliseconds(499)), 1U);
    EXPECT_EQ(limiter.take("a", kStart + milliseconds(500)), 0U);
    EXPECT_EQ(limiter.take("a", kStart + milliseconds(500)), 1U);
    // Never more than the burst.
    for (int i = 0; i < 20; ++i) EXPECT_EQ(limiter.take("a", kStart + seconds(10'000)), 0U);
    EXPECT_EQ(limiter.take("a", kStart + seconds(10'000)), 1U);
}

TEST(RateLimiter, SaysHowLongToWait) {
    RateLimiter limiter(3.0 / 60, 3);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.take("a", kStart), 0U);
    EXPECT_EQ(limiter.wait("a", kStart), 20U);
    EXPECT_EQ(limiter.take("a", kStart + seconds(19)), 1U);
    EXPECT_EQ(limiter.take("a", kStart + seconds(20)), 0U);
    EXPECT_EQ(limiter.wait("a", kStart + seconds(20)), 20U);
    EXPECT_EQ(limiter.wait("a", kStart + seconds(20)), 20U);  // asking takes nothing
}

TEST(RateLimiter, ClockThatStepsBackGivesNothing) {
    RateLimiter limiter(1, 1);
    EXPECT_EQ(limiter.take("a", kStart), 0U);
    EXPECT_EQ(limiter.take("a", kStart - seconds(100)), 1U);
}

TEST(RateLimiter, KeysAreBounded) {
    RateLimiter limiter(1.0 / 3600, 2);
    EXPECT_EQ(limiter.take("mine", kStart + seconds(2)), 0U);
    EXPECT_EQ(limiter.take("mine", kStart + seconds(2)), 0U);
    for (size_t i = 0; i < kRateKeys + 100; ++i) {
        EXPECT_EQ(limiter.take("k" + std::to_string(i), kStart + seconds(1)), 0U);
        ASSERT_LE(limiter.keys(), kRateKeys);
    }
    // Who was seen last is remembered longest.
    EXPECT_NE(limiter.take("mine", kStart + seconds(2)), 0U);
    // Buckets that are full again are forgotten first.
    EXPECT_EQ(limiter.take("new", kStart + seconds(8000)), 0U);
    EXPECT_LE(limiter.keys(), 2U);
}

Admission admission_of(size_t connections) {
    Admission admission;
    admission.set_limit(connections);
    return admission;
}

TEST(Admission, HandshakesOfAnAddress) {
    Admission admission = admission_of(512);
    for (Admission::Id id = 1; id <= kUnfinishedHandshakesAddress; ++id) {
        const auto begin = admission.begin_handshake(id, "a");
        EXPECT_TRUE(begin.accepted);
        EXPECT_FALSE(begin.evicted);
    }
    EXPECT_FALSE(admission.begin_handshake(1000, "b").evicted);
    const auto begin = admission.begin_handshake(1001, "a");
    EXPECT_TRUE(begin.accepted);
    EXPECT_EQ(begin.evicted, 1U);
    EXPECT_EQ(admission.unfinished(), kUnfinishedHandshakesAddress + 1);
    // A finished one counts no more.
    EXPECT_TRUE(admission.finish_handshake(2, false));
    EXPECT_FALSE(admission.begin_handshake(1002, "a").evicted);
    EXPECT_EQ(admission.begin_handshake(1003, "a").evicted, 3U);
    // The one put out is unknown from then on.
    EXPECT_FALSE(admission.finish_handshake(1, false));
    admission.end(1);
}

TEST(Admission, HandshakesInAll) {
    Admission admission = admission_of(512);
    for (Admission::Id id = 1; id <= kUnfinishedHandshakes; ++id) {
        EXPECT_FALSE(admission.begin_handshake(id, "a" + std::to_string(id)).evicted);
    }
    EXPECT_EQ(admission.begin_handshake(999, "z").evicted, 1U);
    EXPECT_EQ(admission.unfinished(), kUnfinishedHandshakes);
}

TEST(Admission, ConnectionsInAll) {
    Admission admission = admission_of(8);
    Admission::Id id = 0;
    for (size_t i = 0; i < 8; ++i) {
        EXPECT_TRUE(admission.begin_handshake(++id, "a").accepted);
        EXPECT_TRUE(admission.finish_handshake(id, false));
    }
    // Some more learn it by an answer, the rest by a closed door.
    for (size_t i = 0; i < kOverflowConnections; ++i) {
        EXPECT_TRUE(admission.begin_handshake(++id, "a").accepted);
        EXPECT_FALSE(admission.finish_handshake(id, false));
    }
    EXPECT_FALSE(admission.begin_handshake(++id, "a").accepted);
    EXPECT_EQ(admission.connections(), 8 + kOverflowConnections);
    admission.end(id - 1);
    admission.end(1);
    EXPECT_TRUE(admission.begin_handshake(++id, "a").accepted);
    EXPECT_TRUE(admission.finish_handshake(id, false));
}

TEST(Admission, StrangersHaveAShare) {
    Admission admission = admission_of(8);
    for (Admission::Id id = 1; id <= 3; ++id) {
        EXPECT_TRUE(admission.begin_handshake(id, "a").accepted);
        EXPECT_EQ(admission.finish_handshake(id, true), id <= 2);
    }
    EXPECT_TRUE(admission.begin_handshake(4, "a").accepted);
    EXPECT_TRUE(admission.finish_handshake(4, false));
    admission.end(1);
    EXPECT_TRUE(admission.begin_handshake(5, "a").accepted);
    EXPECT_TRUE(admission.finish_handshake(5, true));
}

TEST(Admission, ConnectionsOfACertificate) {
    Admission admission = admission_of(512);
    const Sha256 mine{1};
    for (Admission::Id id = 1; id <= 6; ++id) {
        EXPECT_TRUE(admission.begin_handshake(id, "a").accepted);
        EXPECT_TRUE(admission.finish_handshake(id, false));
        EXPECT_EQ(admission.bind_certificate(id, id <= 5 ? mine : Sha256{2}),
                  id <= kConnectionsCertificate || id == 6);
    }
    admission.end(5);  // was refused: gives nothing back
    admission.begin_handshake(7, "a");
    EXPECT_FALSE(admission.bind_certificate(7, mine));
    admission.end(1);
    EXPECT_TRUE(admission.bind_certificate(7, mine));
}

TEST(Admission, EndsOfAllSortsLeaveNothing) {
    Admission admission = admission_of(100);
    for (Admission::Id id = 1; id <= 90; ++id) {
        admission.begin_handshake(id, id % 2 ? "a" : "b");
        if (id % 3 == 0) admission.finish_handshake(id, id % 2 == 0);
        if (id % 5 == 0) admission.bind_certificate(id, Sha256{static_cast<uint8_t>(id % 4)});
    }
    for (Admission::Id id = 0; id <= 91; ++id) admission.end(id);
    EXPECT_EQ(admission.connections(), 0U);
    EXPECT_EQ(admission.unfinished(), 0U);
    for (Admission::Id id = 1000; id < 1100; ++id) {
        EXPECT_TRUE(admission.begin_handshake(id, std::to_string(id)).accepted);
        EXPECT_TRUE(admission.finish_handshake(id, false));
    }
}

TEST(BodyBudget, BytesOfAllBodies) {
    BodyBudget budget;
    EXPECT_TRUE(budget.take(kBodiesInMemory - 3));
    {
        Body body(budget);
        EXPECT_TRUE(body.grow(2));
        EXPECT_FALSE(body.grow(4));
        EXPECT_EQ(body.bytes.size(), 2U);
        EXPECT_TRUE(body.grow(3));
        EXPECT_EQ(budget.used(), kBodiesInMemory);
        EXPECT_FALSE(budget.take(1));
    }
    EXPECT_EQ(budget.used(), kBodiesInMemory - 3);
}

}  // namespace
}  // namespace pganalytics::serve
