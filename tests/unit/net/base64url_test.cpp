// Vectors of RFC 4648 and python as judges.
#include "pganalytics/net/base64url.hpp"

#include <gtest/gtest.h>

#include "support/command.hpp"

namespace pganalytics::net {
namespace {

TEST(Base64Url, Vectors) {
    const std::pair<const char*, const char*> pairs[] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xef\xbe", "_---"}};
    for (const auto& [bytes, text] : pairs) {
        EXPECT_EQ(base64url(std::string_view(bytes)), text);
        EXPECT_EQ(parse_base64url(text), bytes);
    }
}

TEST(Base64Url, AgreesWithPython) {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
    const auto judge = testing::run_command(
        "/usr/bin/python3 -c \"import base64; "
        "print(base64.urlsafe_b64encode(bytes(range(256))).decode().rstrip('='), end='')\"");
    EXPECT_EQ(base64url(bytes), judge.output);
    EXPECT_EQ(parse_base64url(judge.output), bytes);
}

TEST(Base64Url, RefusesEverySecondForm) {
    for (const char* text : {"Zg==", "Zg=", "Zh", "Zm9", "Z", "Zm9vY", "Zm9v\n", " Zm9v", "Zm+v",
                             "Zm/v", "Zm9v=", "Zm9vYh"}) {
        EXPECT_FALSE(parse_base64url(text).has_value()) << text;
    }
    EXPECT_FALSE(parse_base64url(std::string_view("Zm\0v", 4)).has_value());
}

}  // namespace
}  // namespace pganalytics::net
