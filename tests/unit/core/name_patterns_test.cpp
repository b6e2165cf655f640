#include "pganalytics/core/name_patterns.hpp"

#include <gtest/gtest.h>

namespace pganalytics {
namespace {

using Names = std::vector<std::string>;

TEST(NamePatterns, FollowTheRulesOfIdentifiers) {
    EXPECT_EQ(*parse_name_patterns(""), Names{});
    EXPECT_EQ(*parse_name_patterns("  "), Names{});
    EXPECT_EQ(*parse_name_patterns("app"), Names{"app"});
    EXPECT_EQ(*parse_name_patterns(" App , \"App\",tmp_* "), (Names{"app", "App", "tmp_*"}));
    EXPECT_EQ(*parse_name_patterns("\"a, \"\"b\"\"\""), Names{"a, \"b\""});
}

TEST(NamePatterns, RefuseWhatIsNoList) {
    for (const char* text : {",", "a,", ",a", "a b", "\"a", "a\"b", "\"\"", "a,,b", "\"a\"b"}) {
        EXPECT_FALSE(parse_name_patterns(text)) << text;
    }
    std::string many = "a";
    for (size_t i = 1; i < kMaxPatterns; ++i) many += ",a";
    EXPECT_TRUE(parse_name_patterns(many));
    EXPECT_FALSE(parse_name_patterns(many + ",a"));
}

TEST(NamePatterns, Wildcards) {
    EXPECT_TRUE(matches_pattern("app", "app"));
    EXPECT_FALSE(matches_pattern("app2", "app"));
    EXPECT_TRUE(matches_pattern("", "*"));
    EXPECT_TRUE(matches_pattern("anything", "*"));
    EXPECT_TRUE(matches_pattern("app_2026_q1", "app_*_q?"));
    EXPECT_FALSE(matches_pattern("app_2026_q10", "app_*_q?"));
    EXPECT_TRUE(matches_pattern("aXbXc", "a*X*c"));
    EXPECT_FALSE(matches_pattern("app", "?"));
    // One character, not one byte.
    EXPECT_TRUE(matches_pattern("caf\xc3\xa9", "caf?"));
    EXPECT_TRUE(matches_pattern("caf\xe9", "caf?"));  // LATIN1
    EXPECT_TRUE(matches_any("b", {"a", "b"}));
    EXPECT_FALSE(matches_any("b", {}));
}

// A pattern that takes exponential time in a naive matcher.
TEST(NamePatterns, StayFast) {
    std::string pattern;
    for (int i = 0; i < 50; ++i) pattern += "*a";
    EXPECT_FALSE(matches_pattern(std::string(5000, 'a') + "b", pattern));
}

TEST(Selection, TheLastWordWins) {
    const auto selected = [](const char* text, const char* name) {
        return is_selected(name, *parse_selection(text));
    };
    EXPECT_TRUE(selected("*", "sysstat"));
    EXPECT_FALSE(selected("", "sysstat"));
    EXPECT_TRUE(selected("sysstat", "sysstat"));
    EXPECT_FALSE(selected("pg_stats", "sysstat"));
    EXPECT_FALSE(selected("*, -sysstat", "sysstat"));
    EXPECT_TRUE(selected("*, -sysstat", "pg_stats"));
    EXPECT_TRUE(selected("-sysstat", "pg_stats"));
    EXPECT_FALSE(selected("-sysstat", "sysstat"));
    EXPECT_TRUE(selected("-sysstat, sysstat", "sysstat"));
}

TEST(Selection, RefusesWhatIsNoPlugin) {
    for (const char* text : {"a-b", "--a", "-", "a*", "\"x y\"", "a;b"}) {
        EXPECT_FALSE(parse_selection(text)) << text;
    }
}

}  // namespace
}  // namespace pganalytics
