// What is in memory, what is on disk, and in what order both go to the hub.
#include "pganalytics/ship/spool_queue.hpp"

#include <gtest/gtest.h>

#include "split_fixture.hpp"
#include "spool_fixture.hpp"

namespace pganalytics::ship {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kForever = 600 * kSecond;

std::vector<uint64_t> sequences(const std::vector<Snapshot>& snapshots) {
    std::vector<uint64_t> found;
    for (const Snapshot& one : snapshots) found.push_back(one.sequence);
    return found;
}

Uuid collector(uint8_t number = 0x22) {
    Uuid id{};
    id.fill(number);
    return id;
}

class MemoryOnly : public ::testing::Test {
  protected:
    MemoryOnly() { queue.set_limits(3300, 1 << 20); }
    static Snapshot snapshot(uint64_t sequence, size_t bytes = 1000) {
        Snapshot made = numbered(sequence, bytes);
        made.body.shrink_to_fit();
        made.rows = 10;
        made.bytes_json = 50;
        return made;
    }
    SpoolQueue queue{{}, [] { return 1U; }, kForever};
};

TEST_F(MemoryOnly, OldestFirst) {
    EXPECT_EQ(queue.front(), nullptr);
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(queue.push(snapshot(i)).empty());
    EXPECT_EQ(queue.snapshots(), 3U);
    EXPECT_EQ(queue.front()->sequence, 1U);
    EXPECT_EQ(queue.oldest_time(), snapshot(1).time);
    EXPECT_EQ(queue.pop_delivered().sequence, 1U);
    EXPECT_EQ(queue.pop_delivered().sequence, 2U);
    EXPECT_GE(queue.bytes(), 1000U);
    EXPECT_EQ(queue.pop_delivered().sequence, 3U);
    EXPECT_EQ(queue.bytes(), 0U);
    EXPECT_EQ(queue.front(), nullptr);
    EXPECT_EQ(queue.oldest_time(), 0);
    EXPECT_FALSE(queue.spool_figures());
}

TEST_F(MemoryOnly, DropsTheOldestForTheNewest) {
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(queue.push(snapshot(i)).empty());
    EXPECT_EQ(sequences(queue.push(snapshot(4))), Sequences({1}));
    EXPECT_EQ(sequences(queue.push(snapshot(5, 2000))), Sequences({2, 3}));
    EXPECT_LE(queue.bytes(), queue.limit());
    EXPECT_EQ(queue.front()->sequence, 4U);
    const Losses lost = queue.losses().dropped();
    EXPECT_EQ(lost.snapshots, 3U);
    EXPECT_EQ(lost.rows, 30U);
    EXPECT_EQ(lost.bytes, 150U);
    EXPECT_EQ(lost.first_time, snapshot(1).time);
    EXPECT_EQ(lost.last_time, snapshot(3).time);
}

TEST_F(MemoryOnly, KeepsTheOneThatIsBeingSent) {
    for (uint64_t i = 1; i <= 3; ++i) queue.push(snapshot(i));
    queue.pin_front(true);
    EXPECT_EQ(sequences(queue.push(snapshot(4))), Sequences({2}));
    EXPECT_EQ(queue.front()->sequence, 1U);
    EXPECT_EQ(sequences(queue.push(snapshot(5, 2500))), Sequences({3, 4, 5}));
    EXPECT_EQ(queue.pop_delivered().sequence, 1U);
    EXPECT_EQ(queue.front(), nullptr);
}

TEST_F(MemoryOnly, RefusesWhatCanNeverFit) {
    queue.push(snapshot(1));
    EXPECT_EQ(sequences(queue.push(snapshot(2, 4000))), Sequences({1, 2}));
    EXPECT_EQ(queue.bytes(), 0U);
}

TEST_F(MemoryOnly, OfAnotherCollectorIsGivenUp) {
    queue.set_collector(collector());
    for (uint64_t i = 3; i <= 5; ++i) queue.push(snapshot(i, 500));
    EXPECT_TRUE(queue.set_collector(collector()).empty());
    EXPECT_EQ(sequences(queue.set_collector(collector(0x23))), Sequences({3, 4, 5}));
    EXPECT_EQ(queue.losses().total(LossReason::kStranger).snapshots, 3U);
    EXPECT_EQ(queue.bytes(), 0U);
}

class WithSpool : public ::testing::Test {
  protected:
    WithSpool() { start(); }
    void start(std::function<bool(std::string_view)> fails = {}) {
        std::unique_ptr<SimulatedFiles> after =
            files == nullptr ? std::make_unique<SimulatedFiles>() : files->after_power_cut(random);
        files = after.get();
        if (fails) files->fails = std::move(fails);
        queue = std::make_unique<SpoolQueue>(
            Uuid{}, [this] { return static_cast<uint32_t>(random()); }, kForever);
        queue->set_limits(1 << 20, 8192);
        queue->set_collector(collector());
        queue->use_files(std::move(after), now);
    }
    // As the shipper does it.
    void cycle(std::vector<uint64_t> parts) {
        for (const uint64_t part : parts) {
            Snapshot one = numbered(part);
            one.time = static_cast<int64_t>(parts.front()) * 60 * kSecond;
            EXPECT_TRUE(queue->push(std::move(one)).empty());
        }
        queue->service(now);
    }
    void pass(int64_t seconds) {
        now.monotonic += seconds * kSecond;
        now.wall += seconds * kSecond;
        queue->service(now);
    }
    void fail() {
        queue->pin_front(true);
        queue->pin_front(false);
        queue->hub_is_away();
        queue->service(now);
    }
    uint64_t deliver() {
        if (queue->front() == nullptr) return 0;
        queue->pin_front(true);
        const uint64_t sequence = queue->front()->sequence;
        EXPECT_EQ(queue->pop_delivered().sequence, sequence);
        return sequence;
    }
    Sequences deliver_all() {
        Sequences all;
        while (const uint64_t one = deliver()) all.push_back(one);
        return all;
    }

    Random random{3};
    SimulatedFiles* files = nullptr;
    Moment now{1000 * kSecond, kSpoolNow};
    std::unique_ptr<SpoolQueue> queue;
};

TEST_F(WithSpool, WritesNothingWhileTheHubTakesWhatItGets) {
    for (uint64_t i = 1; i <= 50; ++i) {
        cycle({i});
        EXPECT_EQ(deliver(), i);
        pass(60);
    }
    EXPECT_TRUE(files->names().empty());
    EXPECT_EQ(queue->snapshots(), 0U);
}

TEST_F(WithSpool, WritesWhenATryFailed) {
    cycle({1, 2});
    EXPECT_TRUE(files->names().empty());
    fail();
    EXPECT_EQ(queue->spool_figures()->snapshots, 2U);
    EXPECT_EQ(queue->snapshots(), 2U) << "each once";
    cycle({3});
    EXPECT_EQ(queue->spool_figures()->snapshots, 3U) << "at once from then on";
    start();
    EXPECT_EQ(deliver_all(), Sequences({1, 2, 3}));
}

TEST_F(WithSpool, WritesWhenAnAnswerTakesLong) {
    cycle({1});
    queue->pin_front(true);
    pass(2);
    EXPECT_EQ(queue->spool_figures()->snapshots, 0U);
    pass(2);
    EXPECT_EQ(queue->spool_figures()->snapshots, 1U);
    EXPECT_EQ(queue->pop_delivered().sequence, 1U);
    EXPECT_EQ(queue->snapshots(), 0U);
    EXPECT_EQ(queue->front(), nullptr);
}

TEST_F(WithSpool, WritesTheOneBeforeWhenTheNextCycleComes) {
    cycle({1});
    queue->pin_front(true);
    cycle({2});
    EXPECT_EQ(queue->spool_figures()->snapshots, 1U);
    EXPECT_EQ(queue->pop_delivered().sequence, 1U);
    EXPECT_EQ(deliver_all(), Sequences({2}));
}

TEST_F(WithSpool, WritesWhenTheProgramEnds) {
    cycle({1});
    queue->keep_all();
    start();
    EXPECT_EQ(deliver_all(), Sequences({1}));
    EXPECT_EQ(queue->losses().total(LossReason::kDamaged).snapshots, 0U);
}

TEST_F(WithSpool, TheNewestGoesFirstWhileTheBacklogDrains) {
    for (uint64_t i = 1; i <= 5; ++i) {
        cycle({i});
        fail();
    }
    EXPECT_EQ(queue->oldest_time(), numbered(1).time);
    EXPECT_EQ(deliver(), 5U);
    EXPECT_EQ(deliver(), 1U);
    cycle({6});
    EXPECT_EQ(deliver(), 6U);
    queue->pin_front(true);  // 2 is on its way
    cycle({7});
    EXPECT_EQ(queue->front()->sequence, 2U) << "what is on its way stays";
    EXPECT_EQ(queue->pop_delivered().sequence, 2U);
    EXPECT_EQ(deliver_all(), Sequences({7, 3, 4}));
    EXPECT_EQ(queue->snapshots(), 0U);
    EXPECT_EQ(queue->oldest_time(), 0);
    start();
    EXPECT_EQ(queue->losses().total(LossReason::kDamaged).snapshots, 0U);
}

TEST_F(WithSpool, ARequestIsKnownAgainWhenItComesFromDisk) {
    Snapshot asked = numbered(1);
    asked.request = 77;
    queue->push(std::move(asked));
    fail();
    cycle({2});
    cycle({3});
    EXPECT_EQ(deliver(), 3U);
    ASSERT_NE(queue->front(), nullptr);
    EXPECT_EQ(queue->front()->sequence, 1U);
    EXPECT_EQ(queue->front()->request, 77U);
}

TEST_F(WithSpool, WhatIsDroppedOnItsWayCountsOnce) {
    uint64_t last = 0;
    for (; last < 5; cycle({last})) {
        ++last;
        queue->hub_is_away();
    }
    EXPECT_EQ(deliver(), 5U);
    queue->pin_front(true);
    EXPECT_EQ(queue->front()->sequence, 1U);
    queue->hub_is_away();
    while (queue->losses().dropped().snapshots == 0) cycle({++last});
    for (int i = 0; i < 10; ++i) cycle({++last});
    EXPECT_EQ(queue->front()->sequence, 1U);
    queue->pin_front(false);  // it was not delivered
    const uint64_t lost = queue->losses().dropped().snapshots;
    EXPECT_EQ(deliver_all().size() + lost + 1, last);
    EXPECT_FALSE(queue->take_lost_groups().empty());
}

// The newest cycle is on its way to a hub that does not answer, and so in memory and in the spool,
// when others fill the volume.
TEST_F(WithSpool, WhatIsInMemoryIsNotLostWithItsSegment) {
    for (uint64_t i = 1; i <= 5; ++i) {
        queue->hub_is_away();
        cycle({i});
    }
    cycle({6, 7});
    queue->pin_front(true);
    pass(4);
    EXPECT_EQ(queue->spool_figures()->snapshots, 7U);
    files->foreign = files->total - free_space_floor({files->total, 0}) + 1;
    pass(6);
    EXPECT_EQ(queue->losses().dropped().snapshots, 5U) << "what was on disk only";
    EXPECT_EQ(queue->snapshots(), 2U);
    files->foreign = 0;
    queue->pin_front(false);
    queue->hub_is_away();
    cycle({8});
    EXPECT_EQ(deliver_all(), Sequences({8, 6, 7}));
    EXPECT_EQ(queue->losses().dropped().snapshots, 5U);
}

TEST_F(WithSpool, AProblemThatPassedIsForgotten) {
    cycle({1});
    fail();
    EXPECT_EQ(deliver(), 1U);
    files->foreign = files->total - free_space_floor({files->total, 0}) + 1;
    pass(6);
    EXPECT_TRUE(queue->problem());
    files->foreign = 0;
    pass(6);
    EXPECT_FALSE(queue->problem()) << "though nothing is written";
}

TEST_F(WithSpool, ItOpensOnceItCanBeRead) {
    for (uint64_t i = 1; i <= 5; ++i) {
        cycle({i});
        fail();
    }
    start([](std::string_view call) { return call == "read"; });
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(queue->problem());
        EXPECT_FALSE(queue->spool_figures());
        pass(6);
    }
    files->fails = [](std::string_view) { return false; };
    pass(6);
    EXPECT_FALSE(queue->problem());
    EXPECT_EQ(queue->losses().total(LossReason::kDamaged).bytes, 0U);
    EXPECT_EQ(deliver_all(), Sequences({1, 2, 3, 4, 5}));
}

TEST_F(WithSpool, WhatIsUnreadableForGoodDoesNotKeepItShut) {
    for (uint64_t i = 1; i <= 5; ++i) {
        cycle({i});
        fail();
    }
    start([](std::string_view call) { return call == "read"; });
    for (int i = 0; i < 5; ++i) pass(6);
    ASSERT_TRUE(queue->spool_figures());
    EXPECT_GT(queue->losses().total(LossReason::kDamaged).bytes, 0U);
}

// The header of a record that was passed is rotten, so that a start can't count how many were.
TEST_F(WithSpool, TheLastComesThoughItsCountErrs) {
    queue->set_limits(1 << 20, 1 << 20);
    cycle({1, 2, 3});
    EXPECT_TRUE(queue->keep_all());
    const std::string name = files->names().begin()->first;
    std::string content = files->content(name);
    content[content.find(numbered(1).body) + numbered(1).body.size()] ^= 1;
    files->put(name, content);
    start();
    EXPECT_EQ(deliver(), 1U);
    EXPECT_EQ(queue->front()->sequence, 3U);
    EXPECT_TRUE(queue->keep_all());
    start();
    ASSERT_NE(queue->front(), nullptr);
    EXPECT_EQ(queue->front()->sequence, 3U);
    EXPECT_EQ(queue->losses().total(LossReason::kDamaged).snapshots, 1U);
}

TEST_F(WithSpool, ADiskThatFailsLeavesItInMemory) {
    files->fails = [](std::string_view call) { return call == "append"; };
    for (uint64_t i = 1; i <= 4; ++i) {
        cycle({i});
        fail();
        pass(60);
    }
    EXPECT_TRUE(queue->problem());
    EXPECT_EQ(queue->snapshots(), 4U);
    files->fails = [](std::string_view) { return false; };
    pass(6);
    EXPECT_FALSE(queue->problem());
    EXPECT_EQ(queue->spool_figures()->snapshots, 4U);
    start();
    EXPECT_EQ(deliver_all(), Sequences({1, 2, 3, 4}));
}

TEST_F(WithSpool, RefusedOnesAreSetAside) {
    cycle({1});
    fail();
    cycle({2});
    queue->pin_front(true);
    EXPECT_EQ(queue->pop_refused("status 422").sequence, 2U);
    queue->pin_front(true);
    EXPECT_EQ(queue->pop_refused("status 422").sequence, 1U);
    EXPECT_EQ(queue->spool_figures()->aside_files, 2U);
    EXPECT_EQ(queue->losses().total(LossReason::kRefused).snapshots, 2U);
    EXPECT_EQ(queue->snapshots(), 0U);
}

TEST_F(WithSpool, TheCycleBeforeIsDurableWhenTheNextBegins) {
    cycle({1});
    EXPECT_EQ(queue->spool_figures()->snapshots, 0U);
    queue->begin_cycle();
    EXPECT_EQ(queue->spool_figures()->snapshots, 1U);
    start();
    EXPECT_EQ(deliver_all(), Sequences({1}));
}

TEST_F(WithSpool, HalvesAreThereAfterAKill) {
    const Snapshot whole =
        snapshot_of_rowsets({"pg_stats.tables", "sysstat.cpu", "sysstat.load", "pg_stats.wal"});
    const SnapshotHalves halves = *split_snapshot(whole);
    size_t heard = 0;
    queue->on_split([&](const Snapshot& told, const SnapshotHalves& parts) {
        ++heard;
        EXPECT_EQ(told.snapshot_id, whole.snapshot_id);
        EXPECT_EQ(parts[1].snapshot_id, halves[1].snapshot_id);
        EXPECT_EQ(queue->spool_figures()->snapshots, 0U) << "before they are queued";
    });
    queue->push(whole);
    queue->pin_front(true);
    EXPECT_EQ(queue->pop_split(halves).snapshot_id, whole.snapshot_id);
    EXPECT_EQ(heard, 1U);
    EXPECT_EQ(queue->snapshots(), 2U);
    start();
    for (const Snapshot& half : halves) {
        ASSERT_NE(queue->front(), nullptr);
        EXPECT_EQ(queue->front()->snapshot_id, half.snapshot_id);
        EXPECT_EQ(queue->front()->body, half.body);
        queue->pin_front(true);
        queue->pop_delivered();
    }
    EXPECT_EQ(queue->front(), nullptr);
    EXPECT_TRUE(queue->losses().episodes().empty());
}

TEST_F(WithSpool, HalvesStayInMemoryWhereTheDiskFails) {
    const Snapshot whole = snapshot_of_rowsets({"pg_stats.tables", "sysstat.cpu"});
    queue->push(whole);
    queue->pin_front(true);
    files->fails = [](std::string_view call) { return call == "append"; };
    queue->pop_split(*split_snapshot(whole));
    files->fails = [](std::string_view) { return false; };
    for (int i = 0; i < 2; ++i) {
        ASSERT_NE(queue->front(), nullptr);
        queue->pin_front(true);
        queue->pop_delivered();
    }
    EXPECT_EQ(queue->front(), nullptr);
}

// Whatever comes first, the disk that works again or a kill: the whole is in the spool until its
// halves are.
TEST_F(WithSpool, AWholeStaysInTheSpoolUntilItsHalvesAre) {
    for (const bool killed : {false, true}) {
        SCOPED_TRACE(killed);
        start();
        Snapshot whole = snapshot_of_rowsets({"pg_stats.tables", "sysstat.cpu"});
        whole.time = 60 * kSecond;
        const SnapshotHalves halves = *split_snapshot(whole);
        queue->push(whole);
        fail();
        cycle({2});
        fail();
        EXPECT_EQ(deliver(), 2U);
        ASSERT_EQ(queue->front()->snapshot_id, whole.snapshot_id);
        queue->pin_front(true);
        files->fails = [](std::string_view call) { return call == "append"; };
        queue->pop_split(halves);
        files->fails = [](std::string_view) { return false; };
        EXPECT_EQ(queue->snapshots(), 2U);
        EXPECT_EQ(queue->spool_figures()->snapshots, 1U);
        if (killed) {
            start();
            ASSERT_NE(queue->front(), nullptr);
            EXPECT_EQ(queue->front()->snapshot_id, whole.snapshot_id) << "to be split again";
            continue;
        }
        queue->hub_is_away();
        pass(6);
        EXPECT_EQ(queue->spool_figures()->snapshots, 2U) << "they have taken its place";
        for (const Snapshot& half : halves) {
            ASSERT_NE(queue->front(), nullptr);
            EXPECT_EQ(queue->front()->snapshot_id, half.snapshot_id);
            queue->pin_front(true);
            queue->pop_delivered();
        }
        EXPECT_EQ(queue->front(), nullptr);
        EXPECT_EQ(queue->snapshots(), 0U);
        EXPECT_TRUE(queue->losses().episodes().empty());
    }
}

TEST_F(WithSpool, AWholeIsNotLostWhileItsHalvesAreInMemory) {
    const Snapshot whole = snapshot_of_rowsets({"pg_stats.tables", "sysstat.cpu"});
    queue->push(whole);
    fail();
    queue->pin_front(true);
    files->fails = [](std::string_view call) { return call == "append"; };
    queue->pop_split(*split_snapshot(whole));
    files->fails = [](std::string_view) { return false; };
    files->foreign = files->total - free_space_floor({files->total, 0}) + 1;
    pass(6);
    EXPECT_EQ(queue->spool_figures()->snapshots, 0U) << "its segment had to go";
    EXPECT_EQ(queue->snapshots(), 2U);
    EXPECT_TRUE(queue->losses().episodes().empty());
    for (int half = 0; half < 2; ++half) {
        ASSERT_NE(queue->front(), nullptr);
        queue->pin_front(true);
        queue->pop_delivered();
    }
    EXPECT_EQ(queue->snapshots(), 0U);
}

// The newest cycle stays first, and what asked for it hears of it.
TEST_F(WithSpool, HalvesOfTheBacklogLeaveTheNewestWhereItIs) {
    Snapshot whole = snapshot_of_rowsets({"pg_stats.tables", "sysstat.cpu"});
    whole.time = 60 * kSecond;
    queue->push(whole);
    fail();
    cycle({2});
    fail();
    EXPECT_EQ(deliver(), 2U);
    queue->pin_front(true);
    Snapshot asked = numbered(3);
    asked.request = 77;
    queue->push(std::move(asked));
    queue->hub_is_away();
    queue->service(now);
    queue->pop_split(*split_snapshot(whole));
    ASSERT_NE(queue->front(), nullptr);
    EXPECT_EQ(queue->front()->sequence, 3U);
    EXPECT_EQ(queue->front()->request, 77U);
}

TEST_F(WithSpool, NeverShipsAnotherCollectors) {
    for (uint64_t i = 1; i <= 3; ++i) {
        cycle({i});
        fail();
    }
    EXPECT_EQ(queue->set_collector(std::nullopt).size(), 1U) << "what was in memory";
    EXPECT_EQ(queue->front(), nullptr);
    queue->set_collector(collector());
    EXPECT_EQ(deliver(), 1U) << "enrolled again as the same one";
    queue->set_collector(collector(0x23));
    EXPECT_EQ(queue->front(), nullptr);
    EXPECT_EQ(queue->losses().total(LossReason::kStranger).snapshots, 2U);
    EXPECT_EQ(queue->snapshots(), 0U);
}

}  // namespace
}  // namespace pganalytics::ship
