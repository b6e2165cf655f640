#include "pganalytics/net/enrolment_token.hpp"

#include <gtest/gtest.h>

#include "pganalytics/net/sha256.hpp"

namespace pganalytics::net {
namespace {

TEST(EnrolmentToken, ThereAndBack) {
    const EnrolmentToken token{sha256("ca"), sha256("secret")};
    const std::string text = token.text();
    EXPECT_TRUE(text.starts_with("pga1."));
    EXPECT_EQ(text.size(), 5U + 43 + 1 + 43);
    for (const std::string& form : {text, text + "\n", "  " + text + "\r\n"}) {
        const auto again = parse_enrolment_token(form);
        ASSERT_TRUE(again.has_value());
        EXPECT_EQ(again->ca_fingerprint, token.ca_fingerprint);
        EXPECT_EQ(again->secret, token.secret);
    }
}

TEST(EnrolmentToken, OtherFormsAreRefused) {
    const std::string text = EnrolmentToken{sha256("ca"), sha256("secret")}.text();
    for (const std::string& form :
         {std::string(), std::string("pga1."), std::string("\n"), "x" + text, text + "A",
          text.substr(0, text.size() - 1), "pga2." + text.substr(5), text + "." + text,
          text.substr(0, 48), text + " " + text, std::string("pga1.AA.AA")}) {
        EXPECT_FALSE(parse_enrolment_token(form).has_value()) << form;
    }
}

}  // namespace
}  // namespace pganalytics::net
