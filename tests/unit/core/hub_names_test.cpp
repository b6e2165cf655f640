// Names and addresses of a hub from its settings.
#include "pganalytics/core/hub_names.hpp"

#include <gtest/gtest.h>

namespace pganalytics {
namespace {

using Texts = std::vector<std::string>;

HubNames names(const char* listen, const char* own, int32_t console_port = 8444) {
    return hub_names_of({listen, own, "db-7", 8443, console_port});
}

TEST(HubNames, OnLoopback) {
    const HubNames made = names("localhost", "");
    EXPECT_EQ(made.hub_url, "https://localhost:8443");
    EXPECT_EQ(made.self_url, "https://localhost:8444");
    EXPECT_EQ(made.listen_addresses, (Texts{"localhost"}));
    EXPECT_EQ(made.certificate_names, (Texts{"db-7", "localhost", "127.0.0.1", "::1"}));
    EXPECT_EQ(names("127.0.0.5, ::1", "").hub_url, "https://localhost:8443");
}

TEST(HubNames, BeyondLoopback) {
    for (const char* listen : {"*", "0.0.0.0", "::", "localhost,10.0.0.5"}) {
        EXPECT_EQ(names(listen, "").hub_url, "https://db-7:8443") << listen;
        EXPECT_EQ(names(listen, "").self_url, "https://localhost:8444") << listen;
    }
    const HubNames one = names("10.0.0.5", "");
    EXPECT_EQ(one.self_url, "https://10.0.0.5:8444");
    EXPECT_EQ(one.certificate_names.back(), "10.0.0.5");
    EXPECT_EQ(names("fd00::5", "").self_url, "https://[fd00::5]:8444");
    EXPECT_EQ(hub_names_of({"*", "", "", 8443, 0}).hub_url, "https://localhost:8443");
}

TEST(HubNames, GivenNamesComeFirst) {
    const HubNames made = names("*", " hub.example.org , 192.0.2.1", 0);
    EXPECT_EQ(made.hub_url, "https://hub.example.org:8443");
    EXPECT_EQ(made.self_url, "https://localhost:8443");
    EXPECT_EQ(made.certificate_names[0], "hub.example.org");
    EXPECT_EQ(made.certificate_names[1], "192.0.2.1");
    EXPECT_EQ(made.certificate_names[2], "db-7");
    EXPECT_EQ(names("*", "fd00::1").hub_url, "https://[fd00::1]:8443");
    // Each once, and nothing listens on `*` by that name.
    EXPECT_EQ(names("*,localhost", "localhost").certificate_names,
              (Texts{"localhost", "db-7", "127.0.0.1", "::1"}));
}

TEST(HubNames, Lists) {
    EXPECT_EQ(split_list(""), Texts{});
    EXPECT_EQ(split_list(" , ,"), Texts{});
    EXPECT_EQ(split_list("a,b"), (Texts{"a", "b"}));
    EXPECT_EQ(split_list(" a b ,c\t"), (Texts{"a b", "c"}));
}

}  // namespace
}  // namespace pganalytics
