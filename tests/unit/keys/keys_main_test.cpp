// The process: a worker played by the test on the other end of the socket pair.
#include "pganalytics/keys/keys_main.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/net/frame_socket.hpp"
#include "support/command.hpp"

namespace pganalytics::keys {
namespace {

class KeysMainTest : public ::testing::Test {
  protected:
    void SetUp() override {
        int ends[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        child_ = fork();
        if (child_ == 0) {
            dup2(ends[1], 3);
            // As keys_main() does, but for the limit of memory, which the sanitizers can't live
            // with.
            if (!host::start_under_worker()) _exit(9);
            net::FrameSocket socket;
            _exit(answer_question(socket));
        }
        close(ends[1]);
        worker_ = ends[0];
    }
    void TearDown() override {
        kill(child_, SIGKILL);
        close(worker_);
        if (!reaped_) waitpid(child_, nullptr, 0);
    }
    int exit_status() {
        int status = 0;
        waitpid(child_, &status, 0);
        reaped_ = true;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    const Hello hello_{.version = std::string(kVersion), .catalog_digest = catalog_digest()};
    testing::TemporaryFolder folder_;
    pid_t child_ = -1;
    int worker_ = -1;
    bool reaped_ = false;
};

TEST_F(KeysMainTest, OneQuestionOneAnswerEnd) {
    net::FrameSocket socket(worker_);
    ASSERT_TRUE(socket.exchange_hello(hello_));
    KeysInit question;
    question.files.state_directory = folder_ / "state";
    question.hub_id = "11111111-2222-4333-8444-555555555555";
    question.names = {"localhost"};
    question.may_create = true;
    ASSERT_TRUE(socket.send_message(question));
    const auto frame = socket.wait_frame(30'000);
    ASSERT_TRUE(frame.has_value());
    ASSERT_EQ(frame->type, FrameType::kKeysInitResult);
    const auto result = decode<KeysInitResult>(frame->payload);
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(result->error, "");
    EXPECT_TRUE(std::filesystem::exists(folder_ / "state/hub/ca.crt"));
    EXPECT_EQ(exit_status(), 0);
    EXPECT_FALSE(socket.wait_frame(5000).has_value());
    EXPECT_EQ(socket.state(), net::FrameSocket::State::kEnded);
}

TEST_F(KeysMainTest, AnotherVersionGetsOurHelloAndNoMore) {
    net::FrameSocket socket(worker_);
    Hello other = hello_;
    other.version = "0.9.0";
    const auto theirs = socket.exchange_hello(other);
    ASSERT_FALSE(theirs);
    EXPECT_NE(theirs.error().detail.find("1.0.0"), std::string::npos);
    EXPECT_EQ(exit_status(), 1);
}

TEST_F(KeysMainTest, EndsWithTheWorker) {
    net::FrameSocket socket(worker_);
    ASSERT_TRUE(socket.exchange_hello(hello_));
    shutdown(worker_, SHUT_RDWR);
    EXPECT_EQ(exit_status(), 1);
}

TEST_F(KeysMainTest, GarbageEndsIt) {
    net::FrameSocket socket(worker_);
    ASSERT_TRUE(socket.exchange_hello(hello_));
    ASSERT_TRUE(socket.send(make_frame(FrameType::kKeysSign, "not a question")));
    EXPECT_EQ(exit_status(), 1);
}

}  // namespace
}  // namespace pganalytics::keys
