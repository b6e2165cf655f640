// A volume that hangs, at each call: the queue goes on from memory, within its bound, and nothing
// is lost or doubled once the volume answers again.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "pganalytics/ship/spool_queue.hpp"
#include "spool_fixture.hpp"
#include "support/command.hpp"
#include "support/hanging_files.hpp"

namespace pganalytics::ship {
namespace {

using pganalytics::testing::eventually;

constexpr int64_t kSecond = 1'000'000;
constexpr size_t kMemory = 4000;

class SpoolHang : public ::testing::Test {
  protected:
    SpoolHang() { start(std::make_unique<SimulatedFiles>()); }
    ~SpoolHang() override {
        gate->hang_at("");
        eventually([this] { return queue->settle(); });
    }
    void start(std::unique_ptr<SimulatedFiles> made) {
        files = made.get();
        queue = std::make_unique<SpoolQueue>(
            Uuid{}, [this] { return static_cast<uint32_t>(jobs_random()); }, 2000);
        queue->set_limits(kMemory, 1 << 20);
        Uuid collector{};
        collector.fill(0x22);
        queue->set_collector(collector);
        queue->use_files(std::make_unique<HangingFiles>(std::move(made), gate), now);
        settle();
    }
    // What a kill leaves, read anew.
    void start_again() { start(files->after_kill()); }
    void settle() {
        ASSERT_TRUE(eventually([this] { return queue->settle(); }));
        queue->service(now);
        ASSERT_TRUE(eventually([this] { return queue->settle(); }));
    }
    void cycle(uint64_t sequence, size_t bytes = 100) {
        ++produced;
        for (const Snapshot& one : queue->push(numbered(sequence, bytes)))
            lost.push_back(one.sequence);
        queue->service(now);
    }
    void pass(int64_t seconds) {
        now.monotonic += seconds * kSecond;
        now.wall += seconds * kSecond;
        queue->service(now);
    }
    uint64_t deliver() {
        if (queue->front() == nullptr) return 0;
        queue->pin_front(true);
        const uint64_t sequence = queue->front()->sequence;
        EXPECT_EQ(difference(*queue->front(), !queue->front()->groups.empty(), 100), "")
            << sequence;
        queue->pop_delivered();
        return sequence;
    }
    // Also what comes from disk a little later.
    Sequences deliver_all() {
        Sequences all;
        for (settle(); const uint64_t one = deliver(); settle()) all.push_back(one);
        return all;
    }
    uint64_t declared() const { return queue->losses().dropped().snapshots; }

    Random random{5};
    Random jobs_random{6};
    std::shared_ptr<HangingFiles::Gate> gate = std::make_shared<HangingFiles::Gate>();
    SimulatedFiles* files = nullptr;
    Moment now{1000 * kSecond, kSpoolNow};
    std::unique_ptr<SpoolQueue> queue;
    uint64_t produced = 0;
    Sequences lost;
};

TEST_F(SpoolHang, ItGoesOnFromMemory) {
    gate->hang_at("sync");
    queue->hub_is_away();
    cycle(1);
    ASSERT_TRUE(eventually([this] { return gate->holds(); }));
    EXPECT_FALSE(queue->settle());
    pass(0);
    EXPECT_FALSE(queue->problem()) << "a disk may be slow";
    pass(2);
    ASSERT_TRUE(queue->problem());
    EXPECT_EQ(queue->problem()->message, "the volume of the spool does not answer");
    for (uint64_t i = 2; i <= 5; ++i) cycle(i);
    EXPECT_EQ(queue->snapshots(), 5U);
    EXPECT_EQ(deliver(), 1U) << "while it is being written";
    EXPECT_EQ(deliver(), 2U);
    EXPECT_EQ(queue->snapshots(), 3U);
    gate->hang_at("");
    settle();
    EXPECT_FALSE(queue->problem());
    queue->hub_is_away();
    pass(6);
    settle();
    EXPECT_EQ(queue->spool_figures()->snapshots, 3U) << "the first was finished there";
    start_again();
    EXPECT_EQ(deliver_all(), Sequences({3, 4, 5}));
    EXPECT_TRUE(queue->losses().episodes().empty());
}

TEST_F(SpoolHang, TheNewestIsFirstOnceItAnswers) {
    gate->hang_at("sync");
    queue->hub_is_away();
    cycle(1);
    ASSERT_TRUE(eventually([this] { return gate->holds(); }));
    cycle(2);
    gate->hang_at("");
    settle();
    queue->hub_is_away();
    pass(0);
    settle();
    EXPECT_EQ(deliver_all(), Sequences({2, 1}));
}

TEST_F(SpoolHang, MemoryIsBoundedAndWhatIsDroppedDeclared) {
    gate->hang_at("append");
    queue->hub_is_away();
    cycle(1);
    for (uint64_t i = 2; i <= 100; ++i) {
        cycle(i);
        EXPECT_LE(queue->bytes(), kMemory);
    }
    EXPECT_FALSE(lost.empty());
    EXPECT_EQ(declared(), lost.size()) << "at once";
    EXPECT_EQ(std::count(lost.begin(), lost.end(), 1U), 0) << "it may be on disk any time";
    gate->hang_at("");
    settle();
    pass(6);
    settle();
    EXPECT_EQ(declared(), lost.size()) << "once";
    start_again();
    EXPECT_EQ(declared(), lost.size()) << "durable";
    const Sequences kept = deliver_all();
    EXPECT_EQ(kept.size() + lost.size(), produced);
    EXPECT_EQ(kept.front(), 1U);
    EXPECT_EQ(kept.back(), 100U);
}

TEST_F(SpoolHang, TheEndDoesNotWaitForIt) {
    gate->hang_at("sync");
    cycle(1);
    const auto began = std::chrono::steady_clock::now();
    EXPECT_FALSE(queue->keep_all());
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
}

TEST_F(SpoolHang, TheBacklogComesBackFromIt) {
    for (uint64_t i = 1; i <= 4; ++i) {
        queue->hub_is_away();
        cycle(i);
        settle();
    }
    start_again();
    EXPECT_EQ(deliver(), 1U);
    settle();
    gate->hang_at("read");
    EXPECT_EQ(deliver(), 2U);
    EXPECT_EQ(queue->front(), nullptr) << "it is being read";
    cycle(5);
    EXPECT_EQ(deliver(), 5U) << "what is fresh is not behind it";
    gate->hang_at("");
    EXPECT_EQ(deliver_all(), Sequences({3, 4}));
    EXPECT_EQ(queue->losses().total(LossReason::kDamaged).snapshots, 0U);
}

// Whatever the call is, and whatever is delivered, refused or comes meanwhile.
TEST_F(SpoolHang, AtEachCallNothingIsLostOrDoubled) {
    for (const std::string_view call : {"list", "create", "append", "sync", "sync_directory",
                                        "space", "read", "remove", "truncate", "rename"}) {
        SCOPED_TRACE(call);
        for (uint64_t turn = 0; turn < 20; ++turn) {
            start(std::make_unique<SimulatedFiles>());
            std::multiset<uint64_t> seen;
            uint64_t refused = 0;
            uint64_t last = 0;
            for (uint64_t step = 0; step < 30; ++step) {
                if (step == turn % 10) gate->hang_at(std::string(call));
                if (step == 20) gate->hang_at("");
                if (one_in(random, 2)) queue->hub_is_away();
                if (!one_in(random, 3)) cycle(++last);
                if (one_in(random, 8) && queue->front() != nullptr) {
                    queue->pin_front(true);
                    queue->pop_refused("status 422");
                    ++refused;
                } else if (one_in(random, 3)) {
                    if (const uint64_t one = deliver(); one != 0) seen.insert(one);
                }
                pass(static_cast<int64_t>(below(random, 4)));
            }
            pass(6);
            settle();
            for (const uint64_t one : deliver_all()) seen.insert(one);
            const uint64_t dropped = declared();
            EXPECT_EQ(queue->losses().total(LossReason::kRefused).snapshots, refused);
            EXPECT_EQ(seen.size() + refused + dropped, last);
            for (const uint64_t one : seen) EXPECT_EQ(seen.count(one), 1U) << one;
            start_again();
            EXPECT_TRUE(deliver_all().empty());
            EXPECT_EQ(declared(), dropped);
        }
    }
}

}  // namespace
}  // namespace pganalytics::ship
