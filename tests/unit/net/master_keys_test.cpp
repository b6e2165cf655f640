#include "pganalytics/net/master_keys.hpp"

#include <gtest/gtest.h>

#include "pganalytics/core/hex.hpp"

namespace pganalytics::net {
namespace {

TEST(MasterKeys, FileIsReadBack) {
    const std::vector<MasterKey> keys = {make_master_key(1), make_master_key(4294967295U)};
    EXPECT_NE(keys[0].secret, keys[1].secret);
    const auto again = parse_master_keys(master_keys_text(keys));
    ASSERT_TRUE(again);
    ASSERT_EQ(again->size(), 2U);
    EXPECT_EQ(again->at(0).version, 1U);
    EXPECT_EQ(again->at(0).secret, keys[0].secret);
    EXPECT_EQ(again->at(1).version, 4294967295U);
    EXPECT_EQ(again->at(1).secret, keys[1].secret);
}

TEST(MasterKeys, MalformedFilesAreRefusedWithoutEcho) {
    const std::string secret(64, 'a');
    for (const std::string& text :
         {std::string(), std::string("# only a comment\n"), "1 " + secret.substr(1) + "\n",
          "1 " + secret + "a\n", "0 " + secret + "\n", "-1 " + secret + "\n",
          "4294967296 " + secret + "\n", "1\t" + secret + "\n", secret + "\n",
          "2 " + secret + "\n1 " + secret + "\n", "1 " + secret + "\n1 " + secret + "\n",
          "1 " + secret + " \n", " 1 " + secret + "\n", "1 " + secret.substr(1) + "g\n"}) {
        const auto keys = parse_master_keys(text);
        ASSERT_FALSE(keys) << text;
        const Error& error = keys.error();
        EXPECT_EQ((error.message + error.detail + error.hint).find("aaaa"), std::string::npos);
    }
    EXPECT_TRUE(parse_master_keys("# c\n\n1 " + secret));
}

}  // namespace
}  // namespace pganalytics::net
