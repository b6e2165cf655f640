// That what is asked for ahead is there sooner is the bench's to show; here, that a walk may change
// as it likes.
#include "pganalytics/core/walk_order.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>

namespace pganalytics {
namespace {

TEST(WalkOrder, WalksMayGrowShrinkAndLeadAnywhere) {
    WalkOrder order;
    std::mt19937_64 random(3);
    for (const size_t pieces : {0U, 1U, 5000U, 7U, 20000U, 20000U, 3U, 0U}) {
        order.begin();
        for (size_t i = 0; i < pieces; ++i) {
            // Nothing is there: addresses are never looked into.
            order.pass(reinterpret_cast<const void*>(random()),
                       reinterpret_cast<const void*>(random()), 200);
        }
        EXPECT_EQ(order.passed(), pieces);
    }
    order.begin();
    EXPECT_EQ(order.passed(), 0U);
    order.pass(nullptr, nullptr, 200);
}

}  // namespace
}  // namespace pganalytics
