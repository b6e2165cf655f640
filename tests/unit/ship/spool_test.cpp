// The spool on a disk that keeps what it is given: order, limit, floor, losses, what is set aside.
// What crashes and damage do to it is in spool_crash_test.cpp and spool_damage_test.cpp.
#include "pganalytics/ship/spool.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "spool_fixture.hpp"

namespace pganalytics::ship {
namespace {

class SpoolTest : public ::testing::Test {
  protected:
    SpoolTest() { files.random = nullptr; }
    std::unique_ptr<Spool> open(uint8_t run = 1) {
        auto made = std::make_unique<Spool>(files, small_options(random, run));
        EXPECT_TRUE(made->open(kSpoolNow));
        return made;
    }
    static Sequences range(uint64_t first, uint64_t last) {
        Sequences all(last - first + 1);
        std::iota(all.begin(), all.end(), first);
        return all;
    }
    Random random{1};
    SimulatedFiles files;
};

TEST_F(SpoolTest, NothingIsWrittenBeforeSomethingIsPut) {
    auto spool = open();
    EXPECT_FALSE(*spool->next(kSpoolNow));
    EXPECT_TRUE(spool->tick(kSpoolNow));
    EXPECT_TRUE(files.names().empty());
    EXPECT_EQ(spool->figures().bytes, 0U);
}

TEST_F(SpoolTest, OldestFirstThroughARestart) {
    auto spool = open();
    for (uint64_t i = 1; i <= 9; ++i) EXPECT_TRUE(put(*spool, {i}));
    EXPECT_TRUE(put(*spool, {10, 11, 12}));
    EXPECT_EQ(spool->snapshots(), 12U);
    EXPECT_GT(spool->figures().segments, 2U);
    auto front = *spool->next(kSpoolNow);
    EXPECT_EQ(front->snapshot.sequence, 1U);
    EXPECT_EQ(difference(front->snapshot, true), "");
    EXPECT_EQ((*spool->next(kSpoolNow))->number, front->number) << "the same until it is finished";
    spool->finish(front->number);
    spool = open(2);
    EXPECT_EQ(spool->snapshots(), 11U);
    front = *spool->next(kSpoolNow);
    EXPECT_EQ(difference(front->snapshot, false), "") << "rowsets of another run are not ours";
    EXPECT_TRUE(put(*spool, {13}));
    EXPECT_EQ(drain(*spool), range(2, 13));
    EXPECT_EQ(spool->snapshots(), 0U);
    EXPECT_EQ(declared(*spool), 0U);
}

TEST_F(SpoolTest, GivesTheDiskBack) {
    auto spool = open();
    for (uint64_t i = 1; i <= 20; ++i) EXPECT_TRUE(put(*spool, {i}));
    EXPECT_GT(files.bytes(), 2000U);
    EXPECT_EQ(drain(*spool), range(1, 20));
    EXPECT_LT(files.bytes(), 800U);
    EXPECT_EQ(files.names().size(), 1U);
    // And again after a start, with nothing to be sent.
    spool = open(2);
    EXPECT_EQ(drain(*spool), Sequences());
    EXPECT_EQ(declared(*spool), 0U);
}

TEST_F(SpoolTest, WhatIsFinishedOutOfTurnIsNotSentAgain) {
    auto spool = open();
    for (uint64_t i = 1; i <= 6; ++i) EXPECT_TRUE(put(*spool, {i}));
    spool->finish(5);
    spool->finish(1);
    EXPECT_EQ(spool->snapshots(), 4U);
    spool = open(2);
    EXPECT_EQ(spool->snapshots(), 4U);
    EXPECT_EQ(drain(*spool), Sequences({2, 3, 4, 6}));
    EXPECT_EQ(declared(*spool), 0U);
}

TEST_F(SpoolTest, DropsTheOldestAtItsLimitAndDeclaresThem) {
    auto spool = open();
    uint64_t last = 0;
    while (declared(*spool) == 0) EXPECT_TRUE(put(*spool, {++last}));
    EXPECT_LE(files.highest, 8192U);
    EXPECT_GT(files.highest, 8192U * 6 / 10);
    const Losses lost = spool->losses().total(LossReason::kLimit);
    uint64_t rows = 0;
    uint64_t bytes = 0;
    for (uint64_t i = 1; i <= lost.snapshots; ++i) {
        rows += numbered(i).rows;
        bytes += numbered(i).bytes_json;
    }
    EXPECT_EQ(lost.rows, rows);
    EXPECT_EQ(lost.bytes, bytes);
    EXPECT_EQ(lost.first_time, numbered(1).time);
    EXPECT_EQ(lost.last_time, numbered(lost.snapshots).time);
    EXPECT_EQ(spool->take_lost_groups().size(), lost.snapshots);
    EXPECT_TRUE(spool->take_lost_groups().empty());
    ASSERT_EQ(spool->losses().episodes().size(), 1U);
    EXPECT_EQ(spool->losses().episodes()[0].losses.rows, rows);
    // It is durable, and stays so.
    spool = open(2);
    EXPECT_EQ(spool->losses().total(LossReason::kLimit).rows, rows);
    EXPECT_EQ(drain(*spool), range(lost.snapshots + 1, last));
    spool = open(3);
    EXPECT_EQ(declared(*spool), lost.snapshots);
}

TEST_F(SpoolTest, ASmallerLimitIsKept) {
    auto spool = open();
    for (uint64_t i = 1; i <= 30; ++i) EXPECT_TRUE(put(*spool, {i}));
    spool->set_limit(3000);
    EXPECT_TRUE(spool->tick(kSpoolNow));
    EXPECT_LE(files.bytes(), 3000U);
    const uint64_t lost = declared(*spool);
    EXPECT_GT(lost, 5U);
    EXPECT_EQ(drain(*spool), range(lost + 1, 30));
    // Larger than all of it: an error, and the others stay.
    EXPECT_TRUE(put(*spool, {31}));
    EXPECT_FALSE(put(*spool, {32}, 5000));
    EXPECT_LE(files.bytes(), 3000U);
}

TEST_F(SpoolTest, LeavesRoomOnTheVolume) {
    EXPECT_EQ(free_space_floor({uint64_t{1} << 40, 0}), (uint64_t{1} << 40) / 20);
    EXPECT_EQ(free_space_floor({uint64_t{20} << 30, 0}), uint64_t{2} << 30);
    EXPECT_EQ(free_space_floor({uint64_t{1} << 30, 0}), (uint64_t{1} << 30) / 5);
    auto spool = open();
    for (uint64_t i = 1; i <= 20; ++i) EXPECT_TRUE(put(*spool, {i}));
    files.foreign = files.total - free_space_floor({files.total, 0}) - 1500;
    EXPECT_TRUE(spool->tick(kSpoolNow));
    EXPECT_LE(files.bytes(), 1500U);
    const uint64_t lost = spool->losses().total(LossReason::kNoRoom).snapshots;
    EXPECT_GT(lost, 0U);
    // Nothing left to give: an error, no more.
    files.foreign = files.total - 1000;
    EXPECT_FALSE(put(*spool, {21}));
    EXPECT_EQ(declared(*spool), 20U);
    files.foreign = 0;
    EXPECT_TRUE(put(*spool, {22}));
    EXPECT_EQ(drain(*spool), Sequences({22}));
}

TEST_F(SpoolTest, TheOneOnItsWayIsNotLostWithItsSegment) {
    auto spool = open();
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(put(*spool, {i}));
    const auto front = *spool->next(kSpoolNow);
    spool->set_held({front->number});
    uint64_t last = 3;
    while (spool->holds(front->number)) EXPECT_TRUE(put(*spool, {++last}));
    const uint64_t lost = declared(*spool);
    spool->finish(front->number);
    spool->set_held({});
    const Sequences rest = drain(*spool);
    EXPECT_EQ(1 + lost + rest.size(), last);
}

TEST_F(SpoolTest, WhatTheHubRefusesIsSetAsideAndCounted) {
    auto spool = open();
    for (uint64_t i = 1; i <= 3; ++i) EXPECT_TRUE(put(*spool, {i}));
    const auto front = *spool->next(kSpoolNow);
    spool->set_aside(front->number, front->snapshot, "status 422", kSpoolNow);
    EXPECT_EQ(spool->figures().aside_files, 1U);
    EXPECT_EQ(drain(*spool), Sequences({2, 3}));
    EXPECT_TRUE(spool->tick(kSpoolNow));
    spool = open(2);
    EXPECT_EQ(spool->losses().total(LossReason::kRefused).snapshots, 1U);
    EXPECT_EQ(spool->losses().total(LossReason::kRefused).rows, numbered(1).rows);
    EXPECT_EQ(spool->figures().aside_files, 1U);
    // Bounded: the oldest go.
    for (uint64_t i = 10; i < 60; ++i) spool->set_aside(0, numbered(i), "no", kSpoolNow);
    EXPECT_LE(spool->figures().aside_bytes, 8192U / 8);
    EXPECT_GT(spool->figures().aside_files, 1U);
    EXPECT_LE(files.bytes(), 8192U);
}

// A kill leaves the files as they were written last: nothing is gone that is not declared there.
TEST_F(SpoolTest, AKillTakesNoLossThatWasNotDeclared) {
    auto spool = open();
    for (uint64_t i = 1; i <= 6; ++i) EXPECT_TRUE(put(*spool, {i}));
    const auto lose_front = [&] {
        auto next = spool->next(kSpoolNow);
        ASSERT_TRUE(next && *next);
        Losses lost;
        lost.count((*next)->snapshot);
        spool->lose((*next)->number, LossReason::kStranger, lost, kSpoolNow);
    };
    lose_front();  // 1
    spool->lose(4, LossReason::kRefused, {1, 0, 0, 0, 0}, kSpoolNow);
    auto next = spool->next(kSpoolNow);
    ASSERT_TRUE(next && *next);
    spool->finish((*next)->number);  // 2 was delivered
    {
        SimulatedFiles killed = files;
        Spool after(killed, small_options(random));
        ASSERT_TRUE(after.open(kSpoolNow));
        EXPECT_EQ(drain(after).size() + declared(after), 6U);
    }
    EXPECT_TRUE(spool->keep(kSpoolNow));
    spool = open();
    EXPECT_EQ(declared(*spool), 2U);
    EXPECT_EQ(drain(*spool), Sequences({3, 5, 6}));
}

TEST_F(SpoolTest, ManyRunsThatSendNothing) {
    for (uint64_t run = 1; run <= 40; ++run) {
        auto spool = open(static_cast<uint8_t>(run));
        EXPECT_TRUE(put(*spool, {run}));
    }
    auto spool = open(99);
    const Sequences found = drain(*spool);
    EXPECT_EQ(found.back(), 40U);
    EXPECT_EQ(found.size() + declared(*spool), 40U);
}

TEST_F(SpoolTest, LeavesFilesOfOtherVersionsAlone) {
    files.put("v2-0000000000000001.spool", std::string(500, 'x'));
    files.put("notes", "mine");
    auto spool = open();
    EXPECT_EQ(spool->figures().foreign_bytes, 504U);
    for (uint64_t i = 1; i <= 100; ++i) EXPECT_TRUE(put(*spool, {i}));
    drain(*spool);
    EXPECT_LE(files.highest, 8192U) << "they count";
    EXPECT_EQ(files.content("v2-0000000000000001.spool"), std::string(500, 'x'));
    EXPECT_EQ(files.content("notes"), "mine");
}

TEST_F(SpoolTest, AFullDiskHealsByItself) {
    auto spool = open();
    EXPECT_TRUE(put(*spool, {1}));
    files.capacity = files.bytes() + 30;
    for (uint64_t i = 2; i < 20; ++i) EXPECT_FALSE(put(*spool, {i}));
    EXPECT_LE(files.names().size(), 3U) << "a failed attempt leaves nothing behind";
    files.capacity = UINT64_MAX;
    EXPECT_TRUE(put(*spool, {20}));
    EXPECT_EQ(drain(*spool), Sequences({1, 20}));
    EXPECT_EQ(declared(*spool), 0U);
}

TEST_F(SpoolTest, DrainsAFullDisk) {
    auto spool = open();
    for (uint64_t i = 1; i <= 20; ++i) EXPECT_TRUE(put(*spool, {i}));
    files.capacity = files.bytes();
    EXPECT_EQ(drain(*spool), range(1, 20));
    EXPECT_LT(files.bytes(), 1500U);
    spool = open(2);
    EXPECT_EQ(drain(*spool), Sequences());
    EXPECT_EQ(declared(*spool), 0U);
}

TEST_F(SpoolTest, AfterAFailedSyncItIsWrittenToAnotherFile) {
    auto spool = open();
    EXPECT_TRUE(put(*spool, {1}));
    const size_t before = files.names().size();
    bool fail = true;
    files.fails = [&](std::string_view call) {
        return call == "sync" && std::exchange(fail, false);
    };
    EXPECT_FALSE(put(*spool, {2}));
    EXPECT_TRUE(put(*spool, {3}));
    EXPECT_EQ(files.names().size(), before + 1);
    files.fails = [](std::string_view) { return false; };
    Random rng(5);
    for (int i = 0; i < 50; ++i) {
        auto later = files.after_power_cut(rng);
        Spool again(*later, small_options(random, 2));
        EXPECT_TRUE(again.open(kSpoolNow));
        EXPECT_EQ(drain(again), Sequences({1, 3}));
    }
}

TEST_F(SpoolTest, AFileThatCannotBeReadIsGivenUpAfterSomeTries) {
    auto spool = open();
    for (uint64_t i = 1; i <= 10; ++i) EXPECT_TRUE(put(*spool, {i}));
    int left = 3;
    files.fails = [&](std::string_view call) { return call == "read" && left-- > 0; };
    EXPECT_EQ(drain(*spool), range(1, 10)) << "some errors pass";
    for (uint64_t i = 11; i <= 20; ++i) EXPECT_TRUE(put(*spool, {i}));
    left = 5;
    const Sequences rest = drain(*spool);
    EXPECT_GT(rest.size(), 4U);
    EXPECT_LT(rest.size(), 10U);
    EXPECT_EQ(rest.back(), 20U);
    EXPECT_EQ(rest.size() + declared(*spool), 10U);
    EXPECT_EQ(spool->figures().aside_files, 1U);
}

// Each segment that can't be removed gives no room, so that one after the other would be given up.
TEST_F(SpoolTest, AFileThatCannotBeRemovedCostsNoOther) {
    auto spool = open();
    uint64_t last = 0;
    while (spool->figures().bytes < 6500) EXPECT_TRUE(put(*spool, {++last}));
    const uint64_t waiting = spool->snapshots();
    bool read_only = false;
    files.fails = [&](std::string_view call) {
        return call == "remove" || (read_only && (call == "append" || call == "create"));
    };
    int refused = 0;
    for (int i = 0; i < 30; ++i) refused += put(*spool, {++last}) ? 0 : 1;
    EXPECT_GT(refused, 10);
    EXPECT_LT(declared(*spool), 8U) << "one segment at most";
    const uint64_t lost = declared(*spool);
    // On a disk that takes nothing at all not even that.
    files.fails = [](std::string_view) { return false; };
    EXPECT_TRUE(spool->tick(kSpoolNow));
    while (spool->figures().bytes < 6500) EXPECT_TRUE(put(*spool, {++last}));
    read_only = true;
    files.fails = [&](std::string_view call) {
        return call == "remove" || call == "append" || call == "create";
    };
    spool->set_limit(spool->figures().bytes);
    for (int i = 0; i < 30; ++i) EXPECT_FALSE(put(*spool, {99}, 200));
    EXPECT_EQ(declared(*spool), lost);
    files.fails = [](std::string_view) { return false; };
    spool->set_limit(8192);
    const Sequences found = drain(*spool);
    EXPECT_GE(found.size(), waiting - lost);
    EXPECT_EQ(declared(*spool), lost);
    spool = open(2);
    EXPECT_EQ(drain(*spool), Sequences());
    EXPECT_EQ(declared(*spool), lost);
}

TEST_F(SpoolTest, ReadErrorsAtTheStartChangeNothing) {
    auto spool = open();
    for (uint64_t i = 1; i <= 20; ++i) EXPECT_TRUE(put(*spool, {i}));
    files.put("v1-00000000000000ff.spool", std::string(100, 'x'));
    const SimulatedFiles::Names before = files.names();
    // At each of the reads that an opening needs.
    for (int at = 0;; ++at) {
        int left = at;
        files.fails = [&](std::string_view call) { return call == "read" && left-- == 0; };
        Spool again(files, small_options(random, 2));
        if (again.open(kSpoolNow)) {
            EXPECT_GT(at, 20);
            EXPECT_FALSE(again.met_unreadable());
            EXPECT_EQ(again.figures().aside_files, 1U) << "damage is damage";
            files.fails = [](std::string_view) { return false; };
            EXPECT_EQ(drain(again), range(1, 20));
            break;
        }
        EXPECT_TRUE(again.met_unreadable());
        ASSERT_EQ(files.names(), before) << at;
    }
}

TEST_F(SpoolTest, WhatIsUnreadableForGoodIsGivenUpWhereOneSaysSo) {
    auto spool = open();
    for (uint64_t i = 1; i <= 4; ++i) EXPECT_TRUE(put(*spool, {i}));
    files.fails = [](std::string_view call) { return call == "read"; };
    SpoolOptions options = small_options(random, 2);
    options.unreadable_is_damage = true;
    Spool again(files, options);
    EXPECT_TRUE(again.open(kSpoolNow));
    files.fails = [](std::string_view) { return false; };
    EXPECT_TRUE(put(again, {5}));
    EXPECT_EQ(drain(again), Sequences({5}));
    EXPECT_GT(again.losses().total(LossReason::kDamaged).bytes, 0U);
}

// A kill between the making of a file and its first bytes.
TEST_F(SpoolTest, AnEmptyFileThatWasToBeSetAsideIsRemoved) {
    files.put("v1-0000000000000001.aside", "");
    files.foreign = files.total - free_space_floor({files.total, 0});
    auto spool = open();
    EXPECT_TRUE(files.names().empty());
    EXPECT_EQ(spool->figures().aside_files, 0U);
    spool->set_limit(50);
    files.foreign = 0;
    EXPECT_FALSE(put(*spool, {1}, 200)) << "and no search for room goes on for ever";
}

TEST_F(SpoolTest, WhatSomebodyElseHasIsNotLostByDamage) {
    auto spool = open();
    for (uint64_t i = 1; i <= 2; ++i) EXPECT_TRUE(put(*spool, {i}, 100));
    const std::string name = files.names().begin()->first;
    std::string content = files.content(name);
    // The last byte of the first one's body.
    content[content.find(numbered(1, 100).body) + 99] ^= 1;
    files.put(name, content);
    spool->set_held({1});
    auto next = spool->next(kSpoolNow);
    ASSERT_TRUE(next && *next);
    EXPECT_EQ((*next)->number, 2U);
    EXPECT_FALSE(spool->holds(1));
    EXPECT_EQ(declared(*spool), 0U);
}

// Where there is no memory for it after the first bytes are written.
TEST_F(SpoolTest, NoMemoryWhileWritingLeavesNoNumberTwice) {
    auto spool = open();
    EXPECT_TRUE(put(*spool, {1}));
    int left = 1;
    files.fails = [&](std::string_view call) {
        if (call == "append" && left-- == 0) throw std::bad_alloc();
        return false;
    };
    EXPECT_THROW(static_cast<void>(put(*spool, {2})), std::bad_alloc);
    files.fails = [](std::string_view) { return false; };
    EXPECT_TRUE(put(*spool, {3}));
    EXPECT_TRUE(put(*spool, {4}));
    spool = open(2);
    EXPECT_EQ(drain(*spool), Sequences({1, 3, 4}));
    EXPECT_EQ(declared(*spool), 0U);
}

TEST(LossBook, MergesWhatComesTogetherAndKeepsABoundedNumber) {
    LossBook book;
    constexpr int64_t kMinute = 60'000'000;
    book.add(LossReason::kLimit, {1, 10, 100, 5, 6}, kSpoolNow);
    book.add(LossReason::kRefused, {1, 1, 1, 1, 1}, kSpoolNow + kMinute);
    book.add(LossReason::kLimit, {2, 20, 200, 7, 9}, kSpoolNow + 2 * kMinute);
    ASSERT_EQ(book.episodes().size(), 2U);
    EXPECT_EQ(book.episodes()[0].losses.rows, 30U);
    EXPECT_EQ(book.episodes()[0].losses.first_time, 5);
    EXPECT_EQ(book.episodes()[0].losses.last_time, 9);
    EXPECT_EQ(book.dropped().snapshots, 3U);
    for (int i = 1; i < 100; ++i)
        book.add(LossReason::kDamaged, {1, 0, 0, 0, 0}, kSpoolNow + i * 61 * kMinute);
    EXPECT_EQ(book.episodes().size(), LossBook::kMostEpisodes);
    EXPECT_EQ(book.episodes().back().number, 101U);
    EXPECT_EQ(book.total(LossReason::kDamaged).snapshots, 99U);
    EXPECT_EQ(book.total(LossReason::kLimit).rows, 30U);
}

}  // namespace
}  // namespace pganalytics::ship
