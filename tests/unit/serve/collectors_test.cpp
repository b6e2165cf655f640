// Who is let in: only the certificates the worker names, of collectors that are enabled.
#include "pganalytics/serve/collectors.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {
namespace {

CollectorState state_of(uint8_t collector, std::vector<std::pair<uint8_t, uint32_t>> certificates) {
    CollectorState state;
    state.collector_id = Uuid{collector};
    state.generation = 3;
    for (const auto& [fingerprint, generation] : certificates) {
        state.certificates.push_back({Sha256{fingerprint}, generation});
    }
    return state;
}

TEST(Collectors, OnlyWhoIsNamed) {
    Collectors collectors;
    EXPECT_FALSE(collectors.find(Sha256{1}));
    EXPECT_TRUE(collectors.apply(state_of(7, {{1, 1}, {2, 2}})));
    EXPECT_EQ(collectors.find(Sha256{1})->collector_id, Uuid{7});
    EXPECT_EQ(collectors.find(Sha256{2})->generation, 3U);
    EXPECT_FALSE(collectors.find(Sha256{3}));
    EXPECT_FALSE(collectors.find(Sha256{}));
    // The list is replaced, not added to.
    EXPECT_TRUE(collectors.apply(state_of(7, {{2, 2}})));
    EXPECT_FALSE(collectors.find(Sha256{1}));
    CollectorState disabled = state_of(7, {{2, 2}});
    disabled.enabled = false;
    EXPECT_TRUE(collectors.apply(disabled));
    EXPECT_FALSE(collectors.find(Sha256{2}));
    EXPECT_TRUE(collectors.apply(state_of(7, {{2, 2}})));
    collectors.remove(Uuid{7});
    EXPECT_FALSE(collectors.find(Sha256{2}));
    EXPECT_EQ(collectors.size(), 0U);
    collectors.remove(Uuid{7});
}

TEST(Collectors, OneCertificateIsOneCollectors) {
    Collectors collectors;
    EXPECT_TRUE(collectors.apply(state_of(7, {{1, 1}})));
    EXPECT_FALSE(collectors.apply(state_of(8, {{1, 1}})));
    EXPECT_EQ(collectors.find(Sha256{1})->collector_id, Uuid{7});
    EXPECT_EQ(collectors.size(), 1U);
}

TEST(Collectors, CertificatesAreBounded) {
    Collectors collectors;
    std::vector<std::pair<uint8_t, uint32_t>> many;
    for (size_t i = 0; i < kCertificatesCollector; ++i) many.emplace_back(i + 1, 1);
    EXPECT_TRUE(collectors.apply(state_of(7, many)));
    many.emplace_back(99, 1);
    EXPECT_FALSE(collectors.apply(state_of(7, many)));
    EXPECT_TRUE(collectors.find(Sha256{1}));
}

TEST(Collectors, CollectorsAreBounded) {
    Collectors collectors;
    CollectorState state;
    const auto number = [&state](size_t i) {
        std::memcpy(state.collector_id.data(), &i, sizeof i);
        return state;
    };
    for (size_t i = 0; i < kMostCollectors; ++i) ASSERT_TRUE(collectors.apply(number(i)));
    EXPECT_FALSE(collectors.apply(number(kMostCollectors)));
    EXPECT_EQ(collectors.size(), kMostCollectors);
    // Who is there is changed all the same, and who goes makes room.
    EXPECT_TRUE(collectors.apply(number(7)));
    collectors.remove(number(7).collector_id);
    EXPECT_TRUE(collectors.apply(number(kMostCollectors)));
    EXPECT_FALSE(collectors.apply(number(7)));
}

TEST(Collectors, FirstUseOfANewerCertificate) {
    Collectors collectors;
    EXPECT_TRUE(collectors.apply(state_of(7, {{1, 1}})));
    EXPECT_FALSE(collectors.take_first_use(Sha256{1}));  // nothing older
    EXPECT_TRUE(collectors.apply(state_of(7, {{1, 1}, {2, 2}})));
    EXPECT_FALSE(collectors.take_first_use(Sha256{1}));
    EXPECT_TRUE(collectors.take_first_use(Sha256{2}));
    EXPECT_FALSE(collectors.take_first_use(Sha256{2}));  // said once
    EXPECT_TRUE(collectors.apply(state_of(7, {{1, 1}, {2, 2}, {3, 2}})));
    EXPECT_FALSE(collectors.take_first_use(Sha256{2}));
    EXPECT_TRUE(collectors.take_first_use(Sha256{3}));  // renewed, of the same generation
    EXPECT_FALSE(collectors.take_first_use(Sha256{4}));
    EXPECT_TRUE(collectors.apply(state_of(7, {{2, 2}})));
    EXPECT_FALSE(collectors.take_first_use(Sha256{2}));
}

}  // namespace
}  // namespace pganalytics::serve
