#include "pganalytics/core/setting_forms.hpp"

#include <gtest/gtest.h>

namespace pganalytics {
namespace {

TEST(SettingForms, Url) {
    for (const char* text :
         {"https://hub", "https://hub:8443", "https://hub.example.org:8443/", "https://10.0.0.1:1",
          "https://[::1]:8443", "https://[fe80::1]", "https://h_b:65535"}) {
        EXPECT_TRUE(check_https_url(text)) << text;
    }
    for (const char* text : {"",
                             "hub",
                             "http://hub",
                             "https://",
                             "https:///x",
                             "https://hub:",
                             "https://hub:0",
                             "https://hub:65536",
                             "https://hub:84x",
                             "https://user@hub",
                             "https://hub/path",
                             "https://hub?x",
                             "https://hub#x",
                             "https://h b",
                             "https://[::1",
                             "https://[]",
                             "https://[hub]",
                             "https://a..b",
                             "https://.a",
                             "https://hub:123456",
                             "HTTPS://hub",
                             "https://hub\n"}) {
        EXPECT_FALSE(check_https_url(text)) << text;
    }
    EXPECT_TRUE(check_https_url("https://" + std::string(253, 'a')));
    EXPECT_FALSE(check_https_url("https://" + std::string(254, 'a')));
}

TEST(SettingForms, Path) {
    EXPECT_TRUE(check_absolute_path("/etc/pki/ca.pem"));
    EXPECT_TRUE(check_absolute_path("/with space/\xc3\xa9"));
    for (const char* text : {"", "ca.pem", "./ca.pem", "~/ca.pem", "/a\nb"}) {
        EXPECT_FALSE(check_absolute_path(text)) << text;
    }
    EXPECT_TRUE(check_absolute_path("/" + std::string(999, 'a')));
    EXPECT_FALSE(check_absolute_path("/" + std::string(1000, 'a')));
}

TEST(SettingForms, Addresses) {
    for (const char* text : {"localhost", "*", "10.0.0.1, ::1", " db-1 ,hub.example.org"}) {
        EXPECT_TRUE(check_address_list(text)) << text;
    }
    for (const char* text : {"", ",", "a,", "a b", "a;b", "[::1]", "a/b", "\"a\""}) {
        EXPECT_FALSE(check_address_list(text)) << text;
    }
    std::string many = "a";
    for (int i = 1; i < 32; ++i) many += ",a";
    EXPECT_TRUE(check_address_list(many));
    EXPECT_FALSE(check_address_list(many + ",a"));
}

}  // namespace
}  // namespace pganalytics
