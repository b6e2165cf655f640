// Both ends of a socket pair: ours, and a worker played by the test with plain calls.
#include "pganalytics/net/frame_socket.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace pganalytics::net {
namespace {

class FrameSocketTest : public ::testing::Test {
  protected:
    void SetUp() override {
        int ends[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        ours_ = ends[0];
        theirs_ = ends[1];
    }
    void TearDown() override {
        close(ours_);
        if (theirs_ >= 0) close(theirs_);
    }
    void worker_writes(const std::string& bytes) {
        ASSERT_EQ(::send(theirs_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    std::string worker_reads() {
        std::string bytes(1 << 20, '\0');
        const ssize_t count = recv(theirs_, bytes.data(), bytes.size(), MSG_DONTWAIT);
        bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
        return bytes;
    }
    void worker_ends() {
        close(theirs_);
        theirs_ = -1;
    }

    int ours_ = -1;
    int theirs_ = -1;
};

const Hello kHello{.version = "1.0.0", .catalog_digest = 7};

TEST_F(FrameSocketTest, HelloBothWays) {
    FrameSocket socket(ours_);
    worker_writes(make_frame(kHello));
    const auto hello = socket.exchange_hello(kHello);
    ASSERT_TRUE(hello);
    EXPECT_EQ(hello->version, "1.0.0");
    EXPECT_EQ(worker_reads(), make_frame(kHello));
}

TEST_F(FrameSocketTest, HelloOfAnotherVersionOrCatalogIsRefusedButAnswered) {
    for (const Hello& other :
         {Hello{.version = "1.0.1", .catalog_digest = 7}, Hello{.version = "1.0.0"},
          Hello{.protocol = 2, .version = "1.0.0", .catalog_digest = 7}}) {
        FrameSocket socket(ours_);
        worker_writes(make_frame(other));
        const auto hello = socket.exchange_hello(kHello);
        ASSERT_FALSE(hello);
        EXPECT_NE(hello.error().hint.find("Restart the server"), std::string::npos);
        EXPECT_EQ(worker_reads(), make_frame(kHello));
    }
}

TEST_F(FrameSocketTest, NoHelloInTimeOrAnotherFrame) {
    FrameSocket silent(ours_);
    EXPECT_FALSE(silent.exchange_hello(kHello, 20));
    FrameSocket other(ours_);
    worker_writes(make_frame(Stop{}));
    EXPECT_FALSE(other.exchange_hello(kHello));
    worker_ends();
    FrameSocket ended(ours_);
    EXPECT_FALSE(ended.exchange_hello(kHello));
}

TEST_F(FrameSocketTest, FramesInPiecesAndHeartbeatsAnsweredInside) {
    FrameSocket socket(ours_);
    const std::string bytes =
        make_frame(Heartbeat{.number = 42}) + make_frame(FrameType::kLog, "c");
    for (const char byte : bytes.substr(0, bytes.size() - 1)) {
        worker_writes({&byte, 1});
        socket.service();
        EXPECT_FALSE(socket.next().has_value());
    }
    worker_writes(bytes.substr(bytes.size() - 1));
    socket.service();
    const auto frame = socket.next();
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->type, FrameType::kLog);
    EXPECT_EQ(worker_reads(), make_frame(HeartbeatAnswer{.number = 42}));
    EXPECT_EQ(socket.state(), FrameSocket::State::kOpen);
}

TEST_F(FrameSocketTest, FramesReadBeforeTheEndAreStillGiven) {
    FrameSocket socket(ours_);
    worker_writes(make_frame(Stop{}));
    worker_ends();
    socket.service();
    EXPECT_EQ(socket.state(), FrameSocket::State::kEnded);
    ASSERT_TRUE(socket.next().has_value());
    EXPECT_FALSE(socket.next().has_value());
    EXPECT_EQ(socket.events(), 0);
    EXPECT_FALSE(socket.send_message(Stop{}));
}

TEST_F(FrameSocketTest, GarbageFails) {
    FrameSocket socket(ours_);
    worker_writes("this is no frame at all");
    socket.service();
    EXPECT_FALSE(socket.next().has_value());
    EXPECT_EQ(socket.state(), FrameSocket::State::kFailed);
}

TEST_F(FrameSocketTest, NeverBlocksOnAWorkerThatTakesNothing) {
    FrameSocket socket(ours_, 4u << 20);
    const std::string frame = make_frame(FrameType::kAnswerPart, std::string(200'000, 'x'));
    size_t sent = 0;
    while (socket.send(frame)) ++sent;
    EXPECT_EQ(socket.dropped(), 1U);
    EXPECT_LE(socket.queued(), 4u << 20);
    EXPECT_GE(sent * frame.size(), 4u << 20);
    EXPECT_NE(socket.events() & POLLOUT, 0);
    EXPECT_FALSE(socket.drain(20));
    // Then it takes everything, whole.
    FrameSplitter splitter;
    size_t got = 0;
    std::thread worker([&] {
        char piece[65536];
        while (got < sent) {
            const ssize_t count = recv(theirs_, piece, sizeof piece, 0);
            if (count <= 0) break;
            splitter.feed({piece, static_cast<size_t>(count)});
            while (splitter.next()) ++got;
        }
    });
    EXPECT_TRUE(socket.drain(10'000));
    worker.join();
    EXPECT_EQ(got, sent);
    EXPECT_EQ(socket.queued(), 0U);
    EXPECT_EQ(socket.events(), POLLIN);
}

TEST_F(FrameSocketTest, AFloodStaysInTheSocketUntilItIsTaken) {
    FrameSocket socket(ours_);
    std::thread worker([&] {
        const std::string frame = make_frame(FrameType::kAnswerPart, std::string(100'000, 'x'));
        for (int i = 0; i < 60; ++i) {
            if (::send(theirs_, frame.data(), frame.size(), MSG_NOSIGNAL) < 0) return;
        }
    });
    // Reads without taking: what is held stays near one frame of the largest size.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while ((socket.events() & POLLIN) != 0 && std::chrono::steady_clock::now() < end) {
        socket.service();
    }
    EXPECT_EQ(socket.events() & POLLIN, 0);
    int frames = 0;
    while (frames < 60) {
        if (!socket.wait_frame(5000)) break;
        ++frames;
    }
    worker.join();
    EXPECT_EQ(frames, 60);
}

}  // namespace
}  // namespace pganalytics::net
