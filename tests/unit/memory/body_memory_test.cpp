// A body that there is no memory for counts no longer than it lives: what stayed would be missing
// for everybody, until the front answers "busy" to all.
#include <gtest/gtest.h>

#include "memory/failing_allocation.hpp"
#include "pganalytics/serve/routes.hpp"

namespace pganalytics::serve {
namespace {

TEST(BodyOutOfMemory, ItsBytesAreGivenBack) {
    BodyBudget budget;
    for (int i = 0; i < 3; ++i) {
        Body body(budget);
        EXPECT_TRUE(body.grow(1000));
        {
            const testing::FailingAllocation failing(1);
            EXPECT_THROW(body.grow(size_t{40} << 20), std::bad_alloc);
            EXPECT_TRUE(failing.failed());
        }
        EXPECT_EQ(body.bytes.size(), 1000U);
    }
    EXPECT_EQ(budget.used(), 0U);
    Body after(budget);
    EXPECT_TRUE(after.grow(size_t{40} << 20));
}

}  // namespace
}  // namespace pganalytics::serve
