#include "pganalytics/net/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

namespace pganalytics::net {
namespace {

TEST(Random, UuidsAreVersionFourAndDiffer) {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::string text = uuid_text(random_uuid());
        EXPECT_EQ(text[14], '4');
        EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos);
        seen.insert(text);
    }
    EXPECT_EQ(seen.size(), 1000U);
}

TEST(Random, BoundIsKeptAndEveryValueComes) {
    std::array<int, 5> counts{};
    for (int i = 0; i < 5000; ++i) {
        const uint64_t number = random_below(counts.size());
        ASSERT_LT(number, counts.size());
        ++counts[number];
    }
    for (const int count : counts) EXPECT_GT(count, 800);
    EXPECT_EQ(random_below(0), 0U);
    EXPECT_EQ(random_below(1), 0U);
}

TEST(Random, FractionIsBelowOne) {
    double most = 0;
    for (int i = 0; i < 5000; ++i) {
        const double fraction = random_fraction();
        ASSERT_GE(fraction, 0.0);
        ASSERT_LT(fraction, 1.0);
        most = std::max(most, fraction);
    }
    EXPECT_GT(most, 0.9);
}

}  // namespace
}  // namespace pganalytics::net
