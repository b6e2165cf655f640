// Jobs beside the loop: they end, throw, or hang without harm.
#include "pganalytics/host/side_thread.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>

#include "support/command.hpp"

namespace pganalytics::host {
namespace {

using pganalytics::testing::eventually;

bool readable(const SideThread& thread) {
    pollfd descriptor{thread.descriptor(), POLLIN, 0};
    return poll(&descriptor, 1, 0) == 1;
}

TEST(SideThread, WaitsForAQuickJob) {
    SideThread thread;
    int done = 0;
    for (int round = 1; round <= 100; ++round) {
        ASSERT_TRUE(thread.start([&] { ++done; }));
        ASSERT_FALSE(thread.running_after(60'000'000));
        EXPECT_EQ(done, round);
        EXPECT_FALSE(readable(thread)) << "it would wake the loop for nothing";
    }
}

TEST(SideThread, OneThatThrowsHasEnded) {
    SideThread thread;
    ASSERT_TRUE(thread.start([] { throw std::runtime_error("out of memory"); }));
    EXPECT_FALSE(thread.running_after(60'000'000));
}

TEST(SideThread, OneThatHangsIsNotWaitedFor) {
    struct Gate {
        std::mutex mutex;
        std::condition_variable opened;
        bool open = false;
    };
    const auto gate = std::make_shared<Gate>();
    const std::weak_ptr<Gate> seen = gate;
    SideThread thread;
    ASSERT_TRUE(thread.start([gate] {
        std::unique_lock lock(gate->mutex);
        gate->opened.wait(lock, [&] { return gate->open; });
    }));
    EXPECT_TRUE(thread.running_after(1000));
    EXPECT_FALSE(thread.start([] {})) << "one at a time";
    {
        const std::lock_guard lock(gate->mutex);
        gate->open = true;
    }
    gate->opened.notify_all();
    ASSERT_TRUE(eventually([&] { return readable(thread); }));
    EXPECT_FALSE(thread.running());
    EXPECT_EQ(seen.use_count(), 1) << "it holds nothing any more";
    EXPECT_TRUE(thread.start([] {}));
    EXPECT_FALSE(thread.running_after(60'000'000));
}

}  // namespace
}  // namespace pganalytics::host
