// A hub's CA and master key changed step by step, and what a kill between two writes leaves.
#include "pganalytics/keys/rotation.hpp"

#include <gtest/gtest.h>

#include <ctime>

#include "pganalytics/keys/answers.hpp"
#include "pganalytics/net/certificate.hpp"
#include "support/command.hpp"

namespace pganalytics::keys {
namespace {

using testing::read_text;
using testing::run_command;
using testing::write_text;

class RotationTest : public ::testing::Test {
  protected:
    RotationTest() : now_(std::time(nullptr)) {
        question_.files.state_directory = state_;
        question_.hub_id = "11111111-2222-4333-8444-555555555555";
        question_.names = {"localhost"};
        question_.may_create = true;
        EXPECT_EQ(answer(question_, now_).error, "");
        question_.may_create = false;
    }
    std::string file(const std::string& name) { return state_ + "/hub/" + name; }
    size_t trusted() { return net::parse_certificates(read_text(file("ca.crt")))->size(); }
    // The CA that made the hub's certificate is the first.
    bool serves_by_the_first() {
        EXPECT_EQ(answer(question_, now_).error, "");
        return run_command("openssl x509 -in " + file("ca.crt") + " -out " + file("first") +
                           " && openssl verify -CAfile " + file("first") + " " + file("server.crt"))
                   .status == 0;
    }

    testing::TemporaryFolder folder_;
    const std::string state_ = folder_ / "state";
    const int64_t now_;
    KeysInit question_;
};

TEST_F(RotationTest, ThreeSteps) {
    const std::string old = read_text(file("ca.crt"));
    EXPECT_FALSE(switch_ca(state_, now_));
    EXPECT_FALSE(end_ca_rotation(state_, now_));
    ASSERT_TRUE(begin_ca_rotation(state_, now_));
    ASSERT_TRUE(begin_ca_rotation(state_, now_));
    EXPECT_EQ(trusted(), 2u);
    EXPECT_EQ(read_text(file("ca.crt")).find(old), 0u);
    EXPECT_FALSE(end_ca_rotation(state_, now_));
    EXPECT_TRUE(serves_by_the_first());
    ASSERT_TRUE(switch_ca(state_, now_));
    EXPECT_FALSE(switch_ca(state_, now_));
    EXPECT_FALSE(begin_ca_rotation(state_, now_)) << "not before the end of this one";
    EXPECT_EQ(trusted(), 2u);
    EXPECT_GT(read_text(file("ca.crt")).find(old), 0u);
    EXPECT_TRUE(serves_by_the_first());
    ASSERT_TRUE(end_ca_rotation(state_, now_));
    EXPECT_EQ(trusted(), 1u);
    EXPECT_TRUE(serves_by_the_first());
    EXPECT_FALSE(end_ca_rotation(state_, now_));
}

TEST_F(RotationTest, KilledInTheSwitch) {
    ASSERT_TRUE(begin_ca_rotation(state_, now_));
    const std::string bundle = read_text(file("ca.crt"));
    const std::string next = read_text(file("next-ca.key"));
    ASSERT_TRUE(switch_ca(state_, now_));
    const std::string switched = read_text(file("ca.crt"));
    ASSERT_NE(bundle, switched);
    // Before its last write, and after it but with the next key still there.
    write_text(file("next-ca.key"), next);
    ASSERT_EQ(run_command("chmod 600 " + file("next-ca.key")).status, 0);
    ASSERT_TRUE(switch_ca(state_, now_));
    EXPECT_EQ(read_text(file("ca.crt")), switched);
    EXPECT_TRUE(serves_by_the_first());
}

TEST_F(RotationTest, MasterKey) {
    const std::string first = read_text(file("master.key"));
    ASSERT_TRUE(rotate_master_key(state_));
    ASSERT_TRUE(rotate_master_key(state_));
    const std::string text = read_text(file("master.key"));
    EXPECT_NE(text.find("\n2 "), std::string::npos);
    EXPECT_NE(text.find("\n3 "), std::string::npos);
    EXPECT_EQ(text.find("\n1 "), std::string::npos);
    EXPECT_EQ(answer(question_, now_).error, "");
    EXPECT_FALSE(rotate_master_key(folder_ / "nowhere"));
}

}  // namespace
}  // namespace pganalytics::keys
