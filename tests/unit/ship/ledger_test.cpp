// The ledger's equation, and what breaks it; the journal as it is written and read.
#include "pganalytics/ship/ledger.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "pganalytics/ship/journal.hpp"
#include "pganalytics/ship/spool_contents.hpp"
#include "spool_fixture.hpp"

namespace pganalytics::ship {
namespace {

Uuid id(uint8_t number) {
    Uuid made{};
    made.fill(number);
    return made;
}

std::string text(uint8_t number) { return uuid_text(id(number)); }

// Two cycles of a run that ended (1, 2 and 3), two of one that was killed (4, 5 and 6).
LedgerSides two_runs() {
    LedgerSides sides;
    JournalRecords& journal = sides.journal;
    const auto produced = [&](uint8_t number, uint8_t run, int cycle) {
        EXPECT_TRUE(journal.take("produced " + text(number) + " " + text(run) + " 1 " +
                                 std::to_string(cycle) + " 100"));
    };
    produced(1, 0xa1, 60);
    produced(2, 0xa1, 120);
    produced(3, 0xa1, 120);
    EXPECT_TRUE(journal.take("end " + text(0xa1)));
    produced(4, 0xa2, 180);
    produced(5, 0xa2, 240);
    produced(6, 0xa2, 240);
    return sides;
}

TEST(Ledger, IsInBalanceWhenEachIsSomewhere) {
    LedgerSides sides = two_runs();
    sides.stored = {id(1), id(2), id(4), id(0x77)};
    sides.spooled = {id(2), id(3)};
    const LedgerReport report = compare_ledger(sides);
    EXPECT_TRUE(report.balanced());
    EXPECT_EQ(report.produced, 6U);
    EXPECT_EQ(report.parts, 6U);
    EXPECT_EQ(report.runs, 2U);
    EXPECT_EQ(report.killed_runs, 1U);
    EXPECT_EQ(report.stored, 3U);
    EXPECT_EQ(report.spooled, 1U);
    EXPECT_EQ(report.spooled_and_stored, 1U);
    EXPECT_EQ(report.in_flight, 2U);
    EXPECT_EQ(report.others, 1U);
}

TEST(Ledger, OnlyTheLastCycleOfAKilledRunMayBeInFlight) {
    LedgerSides sides = two_runs();
    sides.stored = {id(1), id(2), id(3), id(5), id(6)};
    const LedgerReport report = compare_ledger(sides);
    EXPECT_FALSE(report.balanced());
    EXPECT_EQ(report.lost, 1U);
    EXPECT_EQ(report.missing, std::vector<Uuid>({id(4)}));

    sides.stored = {id(1), id(3), id(4), id(5), id(6)};
    EXPECT_EQ(compare_ledger(sides).missing, std::vector<Uuid>({id(2)})) << "of a run that ended";
}

TEST(Ledger, NoMoreRunsThanAllowedLoseTheirLastCycle) {
    LedgerSides sides = two_runs();
    sides.stored = {id(1), id(2), id(3), id(4)};
    sides.kills = 1;
    EXPECT_TRUE(compare_ledger(sides).balanced());
    sides.kills = 0;
    const LedgerReport report = compare_ledger(sides);
    EXPECT_EQ(report.lost, 2U);
    EXPECT_EQ(report.missing, std::vector<Uuid>({id(5), id(6)}));
}

TEST(Ledger, WhatIsDeclaredIsNotLost) {
    LedgerSides sides = two_runs();
    sides.stored = {id(1), id(5), id(6)};
    sides.declared = 3;
    EXPECT_TRUE(compare_ledger(sides).balanced());
    sides.declared = 2;
    const LedgerReport report = compare_ledger(sides);
    EXPECT_EQ(report.lost, 1U);
    EXPECT_EQ(report.missing, std::vector<Uuid>({id(2), id(3), id(4)})) << "one of these";
}

TEST(Ledger, MoreDeclaredThanMissingIsExcusedByAKillEach) {
    LedgerSides sides = two_runs();
    sides.stored = {id(1), id(2), id(3), id(4), id(5), id(6)};
    sides.declared = 1;
    EXPECT_TRUE(compare_ledger(sides).balanced());
    sides.declared = 2;
    EXPECT_EQ(compare_ledger(sides).over_declared, 2U);
    EXPECT_FALSE(compare_ledger(sides).balanced());
}

TEST(Ledger, TellsWhatIsDoubled) {
    LedgerSides sides = two_runs();
    sides.stored = {id(1), id(2), id(3), id(4), id(5), id(6), id(2)};
    EXPECT_EQ(compare_ledger(sides).doubled, std::vector<Uuid>({id(2)}));
    EXPECT_FALSE(compare_ledger(sides).balanced());
}

TEST(Ledger, PartsStandForTheirSnapshot) {
    LedgerSides sides = two_runs();
    EXPECT_TRUE(sides.journal.take("split " + text(2) + " " + text(21) + " " + text(22)));
    EXPECT_TRUE(sides.journal.take("split " + text(22) + " " + text(23) + " " + text(24)));
    sides.stored = {id(1), id(3), id(4), id(5), id(6), id(21), id(24)};
    sides.declared = 1;  // 23 was refused
    LedgerReport report = compare_ledger(sides);
    EXPECT_TRUE(report.balanced());
    EXPECT_EQ(report.produced, 6U);
    EXPECT_EQ(report.parts, 8U);
    EXPECT_EQ(report.others, 0U);

    sides.declared = 0;
    EXPECT_EQ(compare_ledger(sides).missing, std::vector<Uuid>({id(23)}));

    sides.declared = 1;
    sides.stored.push_back(id(2));
    report = compare_ledger(sides);
    EXPECT_EQ(report.doubled, std::vector<Uuid>({id(2)})) << "whole and in parts";
}

TEST(Ledger, FollowsNoFileForEver) {
    LedgerSides sides = two_runs();
    for (int i = 0; i < 200; ++i)
        EXPECT_TRUE(sides.journal.take("split " + text(2) + " " + text(2) + " " + text(2)));
    EXPECT_FALSE(compare_ledger(sides).balanced());
}

TEST(Ledger, TakesLinesOfAJournalOnly) {
    JournalRecords records;
    const std::string good = "produced " + text(1) + " " + text(2) + " 3 -4 5";
    EXPECT_TRUE(records.take(good));
    for (const std::string& bad :
         {std::string(), std::string("produced"), good + " ", good + " 6", " " + good,
          good.substr(0, 80), "produced " + text(1) + " " + text(2) + " x 4 5",
          "produced " + text(1) + " " + text(2) + " 3 4 -5", "split " + text(1) + " " + text(2),
          "end " + text(1) + "0", "END " + text(1), std::string(300, 'x'), "end  " + text(1)})
        EXPECT_FALSE(records.take(bad)) << bad;
    EXPECT_EQ(records.produced.size(), 1U);
    EXPECT_EQ(records.torn, 13U);
}

class JournalFile : public ::testing::Test {
  protected:
    JournalFile() { EXPECT_NE(mkdtemp(folder), nullptr); }
    ~JournalFile() override {
        std::remove(path().c_str());
        std::remove(folder);
    }
    std::string path() const { return std::string(folder) + kJournalFile; }
    std::string content() const {
        std::ostringstream all;
        all << std::ifstream(path()).rdbuf();
        return all.str();
    }
    char folder[32] = "/tmp/journal-test-XXXXXX";
};

TEST_F(JournalFile, IsWrittenOnlyWhereThereIsOne) {
    const auto none = Journal::open(folder);
    ASSERT_TRUE(none);
    EXPECT_FALSE(*none);
    EXPECT_EQ(std::ifstream(path()).good(), false);

    std::ofstream(path()).flush();
    auto journal = Journal::open(folder);
    ASSERT_TRUE(journal && *journal);
    const std::vector<Snapshot> snapshots = {numbered(3), numbered(4)};
    EXPECT_TRUE((*journal)->produced(snapshots, id(0xaa)));
    EXPECT_TRUE((*journal)->split(id(3), id(0x31), id(0x32)));
    EXPECT_TRUE((*journal)->end(id(0xaa)));
    EXPECT_EQ(content(), "produced " + text(3) + " " + text(0xaa) + " 3 180000000 1030\n" +
                             "produced " + text(4) + " " + text(0xaa) + " 4 240000000 1340\n" +
                             "split " + text(3) + " " + text(0x31) + " " + text(0x32) + "\nend " +
                             text(0xaa) + "\n");
}

TEST_F(JournalFile, GoesOnBehindALineThatAKillCutOff) {
    std::ofstream(path()) << "produced 0303";
    auto journal = Journal::open(folder);
    ASSERT_TRUE(journal && *journal);
    EXPECT_TRUE((*journal)->end(id(0xaa)));
    EXPECT_EQ(content(), "produced 0303\nend " + text(0xaa) + "\n");
}

TEST_F(JournalFile, FollowsNoLink) {
    ASSERT_EQ(symlink("/dev/null", path().c_str()), 0);
    EXPECT_FALSE(Journal::open(folder));
}

TEST(SpoolContents, AreReadWithoutAChange) {
    Random random(1);
    SimulatedFiles files;
    {
        Spool spool(files, small_options(random));
        ASSERT_TRUE(spool.open(kSpoolNow));
        for (uint64_t i = 1; i <= 9; ++i) ASSERT_TRUE(put(spool, {i}));
        auto next = spool.next(kSpoolNow);
        ASSERT_TRUE(next && *next);
        spool.finish((*next)->number);
        Losses lost;
        lost.count(numbered(2));
        next = spool.next(kSpoolNow);
        spool.lose((*next)->number, LossReason::kStranger, lost, kSpoolNow);
        ASSERT_TRUE(spool.keep(kSpoolNow));
    }
    bool changed = false;
    files.before_change = [&](const SimulatedFiles&) { changed = true; };
    const Result<SpoolContents> contents = read_spool(files);
    ASSERT_TRUE(contents);
    std::vector<Uuid> expected;
    for (uint8_t i = 3; i <= 9; ++i) expected.push_back(id(i));
    EXPECT_EQ(contents->waiting, expected);
    EXPECT_EQ(contents->losses.total(LossReason::kStranger).snapshots, 1U);
    EXPECT_EQ(contents->found_damaged, 0U);
    EXPECT_FALSE(changed);
}

}  // namespace
}  // namespace pganalytics::ship
