// Digests of definitions.
#include "pganalytics/core/definition_digest.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace pganalytics {
namespace {

constexpr char kSecret[] = "0123456789abcdef and more";

std::string digest(std::string_view definition, const char* secret = kSecret) {
    char digits[kDefinitionDigestBytes];
    write_definition_digest(definition_key(secret), definition, digits);
    return {digits, sizeof digits};
}

TEST(DefinitionDigest, IsTheSameForTheSameOnly) {
    const std::string tree =
        "{CONST :consttype 23 :constlen 4 :constisnull false :location 41 :constvalue 4 [ 7 0 ]}";
    EXPECT_EQ(digest(tree), digest(tree));
    EXPECT_EQ(digest(tree).find_first_not_of("0123456789abcdef"), std::string::npos);
    std::set<std::string> all = {digest(tree), digest(""), digest(" ")};
    for (size_t i = 0; i < tree.size(); ++i) {
        std::string other = tree;
        other[i] = other[i] == 'x' ? 'y' : 'x';
        EXPECT_TRUE(all.insert(digest(other)).second) << other;
    }
}

TEST(DefinitionDigest, WhereANodeStoodDoesNotCount) {
    EXPECT_EQ(digest("{A :location 4 :b 1}"), digest("{A :location 12345 :b 1}"));
    EXPECT_EQ(digest("{A :location -1}"), digest("{A :location 7}"));
    EXPECT_EQ(digest("{A :stmt_location 4 :stmt_len 0}"),
              digest("{A :stmt_location 0 :stmt_len 99}"));
    EXPECT_NE(digest("{A :location 4 :b 1}"), digest("{A :location 4 :b 2}"));
    EXPECT_NE(digest("{A :allocation 4}"), digest("{A :allocation 5}"));
    // Nor do pieces run into each other.
    EXPECT_NE(digest("ab:location 1c"), digest("a:location 1bc"));
    EXPECT_EQ(digest(":location "), digest(":location 1"));
    EXPECT_NE(digest(":"), digest("::"));
    EXPECT_NE(digest(":location 1"), digest(""));
}

TEST(DefinitionDigest, NobodyWithoutTheSecretMakesTheSame) {
    EXPECT_NE(digest("x"), digest("x", "1123456789abcdef and more"));
    EXPECT_NE(digest("x"), digest("x", "0123456789abcdeg and more"));
    EXPECT_EQ(digest("x"), digest("x", "0123456789abcdef"));
    // A known value: another one would tell every hub that everything was changed.
    EXPECT_EQ(digest("{TABLE :name t :location 3 :x 1}"), "f0949e27e58b86b7");
}

}  // namespace
}  // namespace pganalytics
