// What was sent of users' own rowsets, over runs of the program.
#include "pganalytics/ship/own_groups.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/catalog.hpp"

namespace pganalytics::ship {
namespace {

constexpr uint32_t kDatabase = 16384;

TEST(OwnGroups, WhatWentWhileNobodyLookedIsTold) {
    OwnGroups before;
    before.sent({9, kDatabase, 0x8000}, "stays", "app");
    before.sent({9, kDatabase, 0x8001}, "goes", "app\n\"x\"");
    const std::optional<std::string> kept = before.to_keep();
    ASSERT_TRUE(kept);
    EXPECT_FALSE(before.to_keep());

    OwnGroups after;
    after.inherit(*kept);
    EXPECT_FALSE(after.to_keep());
    // Another number for the same name.
    const OwnNumber defined[] = {{0x8005, "stays"}};
    const auto gone = after.keep(defined);
    ASSERT_EQ(gone.size(), 1U);
    EXPECT_EQ(gone[0].name, "goes");
    EXPECT_EQ(gone[0].datname, "app\n\"x\"");
    EXPECT_EQ(gone[0].group.datid, kDatabase);
    EXPECT_EQ(gone[0].group.rowset, rowset_number(*find_rowset("own", "rows")));
    EXPECT_TRUE(after.keep(defined).empty());
    EXPECT_TRUE(after.to_keep());
    // Once it is sent the group is what there is.
    after.sent({9, kDatabase, 0x8005}, "stays", "app");
    EXPECT_FALSE(after.to_keep());
    EXPECT_EQ(after.keep({}).size(), 1U);
    EXPECT_TRUE(after.keep({}).empty());
}

TEST(OwnGroups, NonsenseAndDatabasesThatWentAreNotInherited) {
    OwnGroups before;
    before.sent({9, kDatabase, 0x8000}, "a", "app");
    const std::string good = before.to_keep().value_or("");
    std::string kept = good;
    OwnGroups cut;
    cut.inherit(std::string_view(kept).substr(1));
    EXPECT_TRUE(cut.keep({}).empty());
    kept.replace(kept.find('a', 2), 1, "A");
    OwnGroups wrong;
    wrong.inherit(kept);
    EXPECT_TRUE(wrong.keep({}).empty());
    OwnGroups other;
    other.inherit(good);
    constexpr uint32_t kOther[] = {1};
    other.keep_databases(kOther);
    EXPECT_TRUE(other.keep({}).empty());
}

}  // namespace
}  // namespace pganalytics::ship
