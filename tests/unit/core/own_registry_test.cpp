// What the collector knows of users' own rowsets: numbers, failures, switching off.
#include "pganalytics/core/own_registry.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/row_format.hpp"

namespace pganalytics {
namespace {

OwnDefinition named(const char* name, char digest = 'a', bool cluster = true) {
    OwnDefinition definition;
    definition.name = name;
    definition.digest = std::string(64, digest);
    definition.definer = "postgres";
    definition.cluster = cluster;
    definition.period_s = 60;
    definition.columns = {{"x", Kind::kGauge, OwnType::kInt64, ""}};
    return definition;
}

TEST(OwnRegistry, ADefinitionKeepsItsNumber) {
    OwnRegistry own;
    const auto first = own.set({named("a"), named("b")});
    ASSERT_EQ(first.size(), 2U);
    EXPECT_GE(first[0], kFirstOwnNumber);
    EXPECT_NE(first[0], first[1]);
    EXPECT_TRUE(own.set({named("a"), named("b")}).empty());
    // Of b only the digest is another, of a only the period.
    OwnDefinition slower = named("a");
    slower.period_s = 120;
    const auto second = own.set({slower, named("b", 'b')});
    ASSERT_EQ(second.size(), 1U);
    EXPECT_NE(second[0], first[1]);
    ASSERT_NE(own.find(first[0]), nullptr);
    EXPECT_EQ(own.find(first[0])->period_s, 120);
    EXPECT_EQ(own.find(first[1]), nullptr);
    ASSERT_EQ(own.numbers().size(), 2U);
    EXPECT_EQ(own.numbers()[1].name, "b");
    own.set({});
    EXPECT_TRUE(own.empty());
    EXPECT_EQ(own.find(first[0]), nullptr);
}

TEST(OwnRegistry, NumbersDoNotRunIntoTheCatalogs) {
    OwnRegistry own;
    for (int i = 0; i < 40000; ++i) {
        const auto fresh = own.set({named(i % 2 == 0 ? "a" : "b")});
        ASSERT_EQ(fresh.size(), 1U);
        ASSERT_GE(fresh[0], kFirstOwnNumber);
    }
}

TEST(OwnRegistry, NumbersThatBeginAgainAreNoOtherRowsets) {
    OwnRegistry own;
    const uint16_t kept = own.set({named("kept")})[0];
    for (int i = 0; i < 40000; ++i) {
        const auto fresh = own.set({named(i % 2 == 0 ? "a" : "b"), named("kept")});
        ASSERT_EQ(fresh.size(), 1U);
        ASSERT_NE(fresh[0], kept);
    }
}

TEST(OwnRegistry, ThreeFailuresInARowSwitchItOffThere) {
    OwnRegistry own;
    const uint16_t number = own.set({named("a", 'a', false)})[0];
    EXPECT_FALSE(own.read(number, 1, "42P01", "missing"));
    EXPECT_FALSE(own.read(number, 1, "42P01", "missing"));
    EXPECT_FALSE(own.read(number, 1, "", ""));
    EXPECT_FALSE(own.read(number, 2, "", ""));
    EXPECT_FALSE(own.read(number, 1, "42P01", "missing"));
    EXPECT_FALSE(own.read(number, 1, "42P01", "missing"));
    EXPECT_FALSE(own.is_off(number, 1));
    EXPECT_TRUE(own.read(number, 1, "57014", "too slow"));
    EXPECT_TRUE(own.is_off(number, 1));
    EXPECT_FALSE(own.is_off(number, 2));
    ASSERT_EQ(own.states().size(), 1U);
    EXPECT_EQ(own.states()[0].failures, 5U);
    EXPECT_EQ(own.states()[0].off, 1U);
    EXPECT_EQ(own.states()[0].error, "too slow");
    EXPECT_EQ(own_state_text(own.states()[0]), "partly off");
    for (int i = 0; i < 3; ++i) own.read(number, 2, "42P01", "missing");
    EXPECT_EQ(own_state_text(own.states()[0]), "off");
    // Also where the definition is read again unchanged.
    own.set({named("a", 'a', false)});
    EXPECT_TRUE(own.is_off(number, 1));
    own.keep_databases({1});
    EXPECT_EQ(own.states()[0].tried, 1U);
    own.retry();
    EXPECT_FALSE(own.is_off(number, 1));
    EXPECT_EQ(own_state_text(own.states()[0]), "on");
    EXPECT_EQ(own.states()[0].failures, 8U);
}

TEST(OwnRegistry, WhatPassesSwitchesNothingOff) {
    OwnRegistry own;
    const uint16_t number = own.set({named("a")})[0];
    for (const char* sqlstate : {"40001", "40P01", "55P03", "57P01"}) {
        for (int i = 0; i < 4; ++i) EXPECT_FALSE(own.read(number, 1, sqlstate, "later"));
    }
    EXPECT_FALSE(own.is_off(number, 1));
    EXPECT_EQ(own.states()[0].failures, 16U);
}

TEST(OwnRegistry, WhatCanNotBeReadIsOff) {
    OwnRegistry own;
    OwnDefinition broken = named("a");
    broken.problem = "there is no query";
    const uint16_t number = own.set({broken})[0];
    EXPECT_TRUE(own.is_off(number, 1));
    EXPECT_EQ(own_state_text(own.states()[0]), "off");
    EXPECT_EQ(own.states()[0].error, "there is no query");
    EXPECT_TRUE(own.is_off(1, 1));
    EXPECT_FALSE(own.read(1, 1, "42P01", ""));
}

TEST(OwnRegistry, DroppedAndDefinedAnewItBeginsAnew) {
    OwnRegistry own;
    OwnDefinition one = named("a");
    const uint16_t number = own.set({one})[0];
    for (int i = 0; i < 3; ++i) own.read(number, 1, "42P01", "missing");
    one.defined_at = 7;
    const std::vector<uint16_t> fresh = own.set({one});
    ASSERT_EQ(fresh.size(), 1U);
    EXPECT_FALSE(own.is_off(fresh[0], 1));
}

TEST(OwnRegistry, TheTextOfAnErrorStaysHere) {
    OwnRegistry own;
    const uint16_t number = own.set({named("a")})[0];
    own.read(number, 1, "22P02", "invalid input syntax for type integer: \"4929 1111\"");
    size_t count = 0;
    const std::string rows = own.rows(count);
    EXPECT_EQ(rows.find("4929"), std::string::npos);
    EXPECT_NE(rows.find("SQLSTATE 22P02"), std::string::npos);
    EXPECT_NE(own.states()[0].error.find("4929"), std::string::npos);
}

TEST(OwnRegistry, RowsForTheHub) {
    OwnRegistry own;
    const uint16_t number = own.set({named("a", 'a', false), named("b")})[0];
    for (int i = 0; i < 3; ++i) own.read(number, 1, "42P01", "missing");
    size_t count = 0;
    const std::string bytes = own.rows(count);
    ASSERT_EQ(count, 2U);
    const auto types = types_of(all_columns(*find_rowset("own", "rowsets")));
    RowReader reader(bytes);
    std::string_view body;
    std::vector<Value> values(types.size());
    ASSERT_TRUE(reader.next(body));
    ASSERT_TRUE(decode_row(body, types, values));
    EXPECT_EQ(values[0].text, "a");
    EXPECT_EQ(values[1].text, std::string(64, 'a'));
    EXPECT_EQ(values[2].text, "database");
    EXPECT_EQ(values[3].integer, 60);
    EXPECT_EQ(values[4].text, R"([{"name":"x","kind":"gauge","type":"bigint","unit":""}])");
    EXPECT_EQ(values[5].text, "off");
    EXPECT_EQ(values[6].integer, 1);
    EXPECT_EQ(values[7].integer, 3);
    EXPECT_TRUE(values[8].text.starts_with("SQLSTATE 42P01"));
    ASSERT_TRUE(reader.next(body));
    ASSERT_TRUE(decode_row(body, types, values));
    EXPECT_EQ(values[5].text, "on");
    EXPECT_TRUE(values[8].null);
}

}  // namespace
}  // namespace pganalytics
