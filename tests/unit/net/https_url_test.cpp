#include "pganalytics/net/https_url.hpp"

#include <gtest/gtest.h>

namespace pganalytics::net {
namespace {

TEST(HttpsUrl, FormsThatAreTaken) {
    const std::pair<const char*, const char*> forms[] = {
        {"https://hub.example", "https://hub.example:443"},
        {"https://hub.example/", "https://hub.example:443"},
        {"https://HUB.example:8443", "https://hub.example:8443"},
        {"https://127.0.0.1:1", "https://127.0.0.1:1"},
        {"https://[::1]:8443/a/b/", "https://[::1]:8443/a/b"},
        {"https://[FE80::1]", "https://[fe80::1]:443"},
        {"https://h_1-x:65535/p%20q", "https://h_1-x:65535/p%20q"},
    };
    for (const auto& [text, canonical] : forms) {
        const auto url = parse_https_url(text);
        ASSERT_TRUE(url) << text;
        EXPECT_EQ(url->text(), canonical);
        EXPECT_EQ(parse_https_url(url->text())->text(), canonical);
    }
    const auto url = parse_https_url("https://[::1]:8443/base/");
    EXPECT_EQ(url->host, "::1");
    EXPECT_EQ(url->port, 8443);
    EXPECT_EQ(url->with("/api/v1/health"), "https://[::1]:8443/base/api/v1/health");
}

TEST(HttpsUrl, FormsThatAreRefusedWithoutEcho) {
    for (const char* text : {"",
                             "hub.example",
                             "http://hub.example",
                             "HTTPS://hub.example",
                             "https://",
                             "https://:8443",
                             "https://user:geheim@hub.example",
                             "https://user@hub.example",
                             "https://hub.example:0",
                             "https://hub.example:65536",
                             "https://hub.example:",
                             "https://hub.example:84 43",
                             "https://hub.example:-1",
                             "https://hub example",
                             "https://hub.example?geheim=1",
                             "https://hub.example/#geheim",
                             "https://[::1",
                             "https://[hub.example]",
                             "https://[::1]x",
                             "https://::1",
                             "https://hub.example/a b",
                             "https://hub.example/\r\nX: geheim",
                             "https://h\xc3\xbc"
                             "b.example",
                             "https://-x"}) {
        const auto url = parse_https_url(text);
        EXPECT_FALSE(url) << text;
        if (url) continue;
        EXPECT_EQ((url.error().message + url.error().detail).find("geheim"), std::string::npos);
    }
    EXPECT_FALSE(parse_https_url("https://h/" + std::string(2048, 'a')));
}

}  // namespace
}  // namespace pganalytics::net
