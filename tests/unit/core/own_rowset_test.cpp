// Definitions of users' own rowsets: what can be one, and the query made of it.
#include "pganalytics/core/own_rowset.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/codec.hpp"
#include "pganalytics/core/json_check.hpp"

namespace pganalytics {
namespace {

OwnDefinition good() {
    OwnDefinition definition;
    definition.name = "orders";
    definition.digest = std::string(64, 'a');
    definition.sql = "select 1 as id, 2 as n -- the end";
    definition.definer = "postgres";
    definition.period_s = 60;
    definition.columns = {{"id", Kind::kKey, OwnType::kText, ""},
                          {"n", Kind::kCounter, OwnType::kInt64, "rows"}};
    return definition;
}

TEST(OwnRowset, NamesAreSimple) {
    for (const char* name : {"a", "_", "a_9", "own"}) EXPECT_TRUE(is_own_name(name)) << name;
    EXPECT_TRUE(is_own_name(std::string(40, 'x')));
    EXPECT_FALSE(is_own_name(std::string(41, 'x')));
    for (const char* name : {"", "9a", "A", "a b", "a\"", "a.b", "\xc3\xa9", "a;"})
        EXPECT_FALSE(is_own_name(name)) << name;
    EXPECT_FALSE(is_own_name(std::string_view("a\0b", 3)));
}

TEST(OwnRowset, DigestsAreHexadecimal) {
    EXPECT_TRUE(is_own_digest(std::string(64, '0')));
    EXPECT_FALSE(is_own_digest(std::string(63, '0')));
    EXPECT_FALSE(is_own_digest(std::string(65, '0')));
    EXPECT_FALSE(is_own_digest(std::string(64, 'A')));
    EXPECT_FALSE(is_own_digest(""));
}

TEST(OwnRowset, KindsAndTypesHaveNames) {
    for (const Kind kind : {Kind::kKey, Kind::kLabel, Kind::kCounter, Kind::kGauge})
        EXPECT_EQ(kind_of(kind_name(kind)), kind);
    EXPECT_FALSE(kind_of("metric"));
    for (const OwnType type : kOwnTypes) EXPECT_EQ(own_type_of(own_type_name(type)), type);
    EXPECT_FALSE(own_type_of("jsonb"));
    EXPECT_FALSE(own_type_of(""));
}

TEST(OwnRowset, AGoodDefinitionHasNoProblem) { EXPECT_EQ(own_definition_problem(good()), nullptr); }

template <class Change>
void has_problem(Change change, const char* what) {
    OwnDefinition definition = good();
    change(definition);
    const char* problem = own_definition_problem(definition);
    ASSERT_NE(problem, nullptr) << what;
    EXPECT_NE(std::string_view(problem).find(what), std::string_view::npos) << problem;
}

TEST(OwnRowset, LimitsOfADefinition) {
    has_problem([](auto& d) { d.name = "x y"; }, "lower case letters");
    has_problem([](auto& d) { d.digest.pop_back(); }, "digest");
    has_problem([](auto& d) { d.sql.clear(); }, "no query");
    has_problem([](auto& d) { d.sql.assign(kMostOwnSqlBytes + 1, ' '); }, "16 kB");
    has_problem([](auto& d) { d.period_s = 0; }, "period");
    has_problem([](auto& d) { d.period_s = kMostOwnPeriodSeconds + 1; }, "period");
    has_problem([](auto& d) { d.definer.clear(); }, "definer");
    has_problem([](auto& d) { d.columns.clear(); }, "no columns");
    has_problem([](auto& d) { d.columns.resize(65, d.columns[0]); }, "more than 64");
    has_problem([](auto& d) { d.columns[1].name = "id"; }, "one name");
    has_problem([](auto& d) { d.columns[1].name.clear(); }, "no name");
    has_problem([](auto& d) { d.columns[1].name.assign(64, 'x'); }, "too long");
    has_problem([](auto& d) { d.columns[1].name = "a\nb"; }, "control");
    has_problem([](auto& d) { d.columns[1].unit.assign(33, 'x'); }, "unit");
    has_problem([](auto& d) { d.columns[1].unit = "\x7f"; }, "unit");
    has_problem([](auto& d) { d.columns[1].type = OwnType::kText; }, "must be a number");
    for (const char* taken : {"server", "time", "collector_id", "datid", "datname"})
        has_problem([&](auto& d) { d.columns[0].name = taken; }, "can't be named");
}

TEST(OwnRowset, TheQueryQuotesEveryName) {
    OwnDefinition definition = good();
    definition.columns[0].name = "a\"'; drop table x; --";
    const std::string sql = own_query(definition, 16384);
    EXPECT_NE(sql.find("q.\"a\"\"'; drop table x; --\"::pg_catalog.text"), std::string::npos);
    // A comment at its end does not swallow what follows.
    EXPECT_NE(sql.find("\nselect 1 as id, 2 as n -- the end\n) q"), std::string::npos);
    EXPECT_TRUE(sql.starts_with("SELECT 16384::pg_catalog.oid AS datid, 'orders'"));
    EXPECT_NE(sql.find("json_build_array(q.\"a"), std::string::npos);
    definition.columns[0].kind = Kind::kLabel;
    EXPECT_NE(own_query(definition, 1).find("json_build_array()"), std::string::npos);
}

TEST(OwnRowset, ColumnsAsJson) {
    OwnDefinition definition = good();
    definition.columns[0].name = "a\"\\\xc3\xa9";
    const std::string json = own_columns_json(definition);
    EXPECT_TRUE(is_json(json)) << json;
    EXPECT_EQ(json,
              "[{\"name\":\"a\\\"\\\\\xc3\xa9\",\"kind\":\"key\",\"type\":\"text\",\"unit\":\"\"},"
              "{\"name\":\"n\",\"kind\":\"counter\",\"type\":\"bigint\",\"unit\":\"rows\"}]");
}

TEST(OwnRowset, TravelsWhole) {
    const OwnDefinition definition = good();
    const auto back = decode<OwnDefinition>(encode(definition));
    ASSERT_TRUE(back);
    EXPECT_EQ(encode(*back), encode(definition));
}

}  // namespace
}  // namespace pganalytics
