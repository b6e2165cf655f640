#include "pganalytics/core/visit_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace pganalytics {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kInterval = 60 * kSecond;
constexpr CycleRules kRules = {.interval_us = kInterval, .cpu_budget_us = 600000};
constexpr CycleRules kAsked = {.interval_us = kInterval, .cpu_budget_us = 1, .everything = true};

using Numbers = std::vector<uint16_t>;

const std::vector<PlanRowset> kRowsets = {
    {.number = 1, .cluster = true, .period_us = 0},
    {.number = 2, .cluster = false, .period_us = 0},
    {.number = 3, .cluster = false, .period_us = 600 * kSecond},
};

std::vector<PlanDatabase> databases(uint32_t count) {
    std::vector<PlanDatabase> made;
    for (uint32_t oid = 10; oid < 10 + count; ++oid) made.push_back({oid, "d", true});
    return made;
}

class VisitPlanTest : public testing::Test {
  protected:
    void begin(const CycleRules& rules, uint32_t count) {
        plan_.begin(now_, rules, databases(count), 10, kRowsets);
    }
    // Visits all there is, reading everything, each visit costing `cpu_us`; the order of databases.
    std::vector<uint32_t> run(int64_t cpu_us, bool good = true) {
        std::vector<uint32_t> order;
        while (auto visit = plan_.next()) {
            order.push_back(visit->oid);
            for (const uint16_t rowset : visit->rowsets) plan_.read(rowset, good);
            plan_.end_visit(cpu_us, false);
        }
        return order;
    }

    VisitPlan plan_;
    int64_t now_ = 1000 * kSecond;
};

TEST_F(VisitPlanTest, PeriodsAreKept) {
    for (int cycle = 0; cycle < 21; ++cycle, now_ += kInterval + (cycle % 3 - 1) * 1000) {
        begin(kRules, 1);
        const auto visit = plan_.next();
        ASSERT_TRUE(visit);
        EXPECT_EQ(visit->rowsets, cycle % 10 == 0 ? (Numbers{1, 2, 3}) : (Numbers{1, 2})) << cycle;
        for (const uint16_t rowset : visit->rowsets) plan_.read(rowset, true);
        plan_.end_visit(0, false);
    }
}

TEST_F(VisitPlanTest, ARowsetCanBeOffInADatabase) {
    std::vector<PlanRowset> rowsets = kRowsets;
    rowsets[0].off = {10};
    rowsets[1].off = {11, 99};
    plan_.begin(now_, kRules, databases(2), 10, rowsets);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{2, 3}));
    EXPECT_EQ(plan_.next()->rowsets, Numbers{3});
    EXPECT_FALSE(plan_.next());
}

TEST_F(VisitPlanTest, WhatIsFoundInACycleIsReadInItStill) {
    begin(kRules, 2);
    const auto read_all = [&](const PlannedVisit& visit) {
        for (const uint16_t rowset : visit.rowsets) plan_.read(rowset, true);
        plan_.end_visit(0, false);
    };
    auto visit = plan_.next();
    ASSERT_EQ(visit->oid, 10U);
    // In the midst of the first visit: of the second it is part, the first database gets one more.
    plan_.add({.number = 7, .cluster = false, .period_us = 0});
    plan_.add({.number = 8, .cluster = true, .period_us = 0});
    plan_.add({.number = 9, .cluster = false, .period_us = 0, .off = {10, 11}});
    read_all(*visit);
    visit = plan_.next();
    EXPECT_EQ(visit->oid, 11U);
    EXPECT_EQ(visit->rowsets, (Numbers{2, 3, 7}));
    read_all(*visit);
    visit = plan_.next();
    EXPECT_EQ(visit->oid, 10U);
    EXPECT_EQ(visit->rowsets, (Numbers{7, 8}));
    read_all(*visit);
    EXPECT_FALSE(plan_.next());
    EXPECT_EQ(plan_.visited(), 2U);
    EXPECT_EQ(plan_.waiting(), 0U);
}

TEST_F(VisitPlanTest, ClusterRowsetsAreReadInTheMainDatabaseOnly) {
    begin(kRules, 3);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{1, 2, 3}));
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{2, 3}));
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{2, 3}));
    EXPECT_FALSE(plan_.next());
    plan_.begin(now_, kRules, {{10, "d", false}, {11, "e", true}}, 10, kRowsets);
    EXPECT_EQ(plan_.next()->rowsets, Numbers{1});
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{2, 3}));
}

TEST_F(VisitPlanTest, WhatDoesNotFitIsFirstInTheNextCycle) {
    begin(kRules, 10);
    EXPECT_EQ(run(200000), (std::vector<uint32_t>{10, 11, 12}));
    EXPECT_EQ(plan_.waiting(), 7u);
    EXPECT_EQ(plan_.waiting_since(), now_);
    now_ += kInterval;
    begin(kRules, 10);
    EXPECT_EQ(run(200000), (std::vector<uint32_t>{13, 14, 15}));
    now_ += kInterval;
    begin(kRules, 10);
    EXPECT_EQ(run(200000), (std::vector<uint32_t>{16, 17, 18}));
    now_ += kInterval;
    begin(kRules, 10);
    EXPECT_EQ(run(200000), (std::vector<uint32_t>{19, 10, 11}));
    EXPECT_EQ(plan_.waiting_since(), now_ - 2 * kInterval);
}

TEST_F(VisitPlanTest, CutVisitContinuesWhereItStopped) {
    begin(kRules, 1);
    ASSERT_TRUE(plan_.next());
    plan_.read(1, true);
    plan_.read(2, true);
    plan_.end_visit(700000, false);
    EXPECT_EQ(plan_.waiting(), 1u);
    now_ += kInterval;
    begin(kRules, 1);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{3, 1, 2}));
}

TEST_F(VisitPlanTest, OneVisitIsMadeWhateverItCosts) {
    for (int cycle = 0; cycle < 3; ++cycle, now_ += kInterval) {
        begin({.interval_us = kInterval, .cpu_budget_us = 0}, 2);
        EXPECT_EQ(run(900000).size(), 1u);
    }
}

TEST_F(VisitPlanTest, FailuresGoToTheEndOfTheLine) {
    begin(kRules, 3);
    const auto first = plan_.next();
    plan_.end_visit(600000, true);
    EXPECT_EQ(first->oid, 10u);
    EXPECT_FALSE(plan_.next());
    now_ += kInterval;
    begin(kRules, 3);
    EXPECT_EQ(run(0), (std::vector<uint32_t>{11, 12, 10}));
}

TEST_F(VisitPlanTest, FailedRowsetIsDueAgainAtOnce) {
    begin(kRules, 1);
    run(0, false);
    EXPECT_EQ(plan_.waiting(), 0u);
    now_ += kInterval;
    begin(kRules, 1);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{1, 2, 3}));
}

TEST_F(VisitPlanTest, AskedForReadsEverythingWithoutABudget) {
    begin(kRules, 5);
    run(0);
    now_ += kSecond;
    begin(kAsked, 5);
    const auto visit = plan_.next();
    EXPECT_EQ(visit->rowsets, (Numbers{1, 2, 3}));
    plan_.end_visit(kInterval, false);
    EXPECT_EQ(run(kInterval).size(), 4u);
}

TEST_F(VisitPlanTest, AskedForGoesOnWhereAVisitHadNoTime) {
    begin(kAsked, 2);
    auto visit = plan_.next();
    EXPECT_EQ(visit->rowsets, (Numbers{1, 2, 3}));
    plan_.read(1, true);
    plan_.end_visit(0, false);
    visit = plan_.next();
    EXPECT_EQ(visit->oid, 10u);
    EXPECT_EQ(visit->rowsets, (Numbers{2, 3}));
    plan_.read(2, false);
    plan_.end_visit(0, false);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{3}));
    // One that reads nothing is the last.
    plan_.end_visit(0, false);
    EXPECT_EQ(plan_.next()->oid, 11u);
    // One that failed as a whole is, too.
    plan_.read(2, true);
    plan_.end_visit(0, true);
    EXPECT_FALSE(plan_.next());
    EXPECT_EQ(plan_.visited(), 2u);
    EXPECT_EQ(plan_.waiting(), 1u);
}

TEST_F(VisitPlanTest, DryCycleIsNotRemembered) {
    CycleRules dry = kAsked;
    dry.dry = true;
    begin(dry, 1);
    run(0);
    now_ += kSecond;
    begin(kRules, 1);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{1, 2, 3}));
}

TEST_F(VisitPlanTest, ForgettingMakesAllDue) {
    begin(kRules, 1);
    run(0);
    plan_.forget_reads();
    now_ += kInterval;
    begin(kRules, 1);
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{1, 2, 3}));
}

// An OID that comes back is another database.
TEST_F(VisitPlanTest, DroppedDatabaseIsForgotten) {
    begin(kRules, 2);
    run(0);
    now_ += kInterval;
    begin(kRules, 1);
    run(0);
    now_ += kInterval;
    begin(kRules, 2);
    plan_.next();
    EXPECT_EQ(plan_.next()->rowsets, (Numbers{2, 3}));
}

// What was read together at a start comes apart, and keeps its period from then on.
TEST_F(VisitPlanTest, DatabasesReadTogetherDoNotStayTogether) {
    std::map<uint32_t, std::vector<int>> read;  // rowset 3
    size_t most = 0;
    for (int cycle = 0; cycle < 40; ++cycle, now_ += kInterval) {
        begin(kRules, 40);
        size_t count = 0;
        while (auto visit = plan_.next()) {
            for (const uint16_t rowset : visit->rowsets) {
                plan_.read(rowset, true);
                if (rowset != 3) continue;
                read[visit->oid].push_back(cycle);
                ++count;
            }
            plan_.end_visit(0, false);
        }
        if (cycle > 0) most = std::max(most, count);
    }
    EXPECT_LE(most, 8U) << "of 40 in ten cycles";
    for (const auto& [oid, cycles] : read) {
        ASSERT_GE(cycles.size(), 4U) << oid;
        EXPECT_LE(cycles[1], 10) << oid;
        for (size_t i = 2; i < cycles.size(); ++i) EXPECT_EQ(cycles[i], cycles[i - 1] + 10) << oid;
    }
    EXPECT_EQ(read[10][1], 10) << "the main one";
}

TEST_F(VisitPlanTest, NorDoThoseThatSomebodyAskedFor) {
    begin(kRules, 40);
    run(0);
    for (int cycle = 0; cycle < 20; ++cycle, now_ += kInterval) {
        begin(kRules, 40);
        run(0);
    }
    begin(kAsked, 40);
    run(0);
    size_t soon = 0;
    for (int cycle = 0; cycle < 5; ++cycle) {
        now_ += kInterval;
        begin(kRules, 40);
        while (auto visit = plan_.next()) {
            soon += visit->rowsets.size() == 2 && visit->oid != 10 ? 1 : 0;
            for (const uint16_t rowset : visit->rowsets) plan_.read(rowset, true);
            plan_.end_visit(0, false);
        }
    }
    EXPECT_GT(soon, 10U);
    EXPECT_LT(soon, 30U);
}

// Rowsets 4 to 6 wait their turn.
class SlowPlanTest : public testing::Test {
  protected:
    static constexpr int64_t kCost = 70000;

    void begin(uint32_t count, const CycleRules& rules) {
        plan_.begin(now_, rules, databases(count), 10,
                    {{.number = 1, .cluster = true},
                     {.number = 4, .period_us = 900 * kSecond, .slow = true},
                     {.number = 5, .period_us = 900 * kSecond, .slow = true},
                     {.number = 6, .period_us = 3600 * kSecond, .slow = true},
                     {.number = 2}});
    }
    // As a visitor does it: each slow one costs `cost`. What is read in which database.
    std::map<uint32_t, Numbers> cycle(uint32_t count, int64_t cost, CycleRules rules = kStaggered) {
        begin(count, rules);
        std::map<uint32_t, Numbers> done;
        while (auto visit = plan_.next()) {
            int64_t left = visit->slow_budget_us;
            for (size_t i = 0; i < visit->rowsets.size(); ++i) {
                const bool slow = i >= visit->rowsets.size() - visit->slow;
                const bool first = i == visit->rowsets.size() - visit->slow;
                if (slow && !first && left <= 0) break;
                left -= slow ? cost : 0;
                plan_.read(visit->rowsets[i], true, cost);
                done[visit->oid].push_back(visit->rowsets[i]);
            }
            plan_.end_visit(0, false);
        }
        now_ += kInterval;
        return done;
    }

    static constexpr CycleRules kStaggered = {
        .interval_us = kInterval, .cpu_budget_us = 600000, .slow_budget_us = 60000};
    using Done = std::map<uint32_t, Numbers>;
    VisitPlan plan_;
    int64_t now_ = 1000 * kSecond;
};

TEST_F(SlowPlanTest, DearOnesComeOneACycleFromTheSecondOn) {
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2}}}));
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2, 4}}}));
    EXPECT_EQ(plan_.waiting(), 0U) << "they wait their turn";
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2, 5}}}));
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2, 6}}}));
    for (int i = 4; i < 16; ++i) EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2}}})) << i;
    // And stay apart.
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2, 4}}}));
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2, 5}}}));
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2}}}));
}

TEST_F(SlowPlanTest, CheapOnesComeTogether) {
    EXPECT_EQ(cycle(2, 10000), (Done{{10, {1, 2}}, {11, {2}}}));
    EXPECT_EQ(cycle(2, 10000), (Done{{10, {1, 2, 4, 5, 6}}, {11, {2, 4, 5, 6}}}));
    EXPECT_EQ(cycle(2, 10000), (Done{{10, {1, 2}}, {11, {2}}}));
}

TEST_F(SlowPlanTest, DatabasesShareTheBudget) {
    cycle(3, 25000);
    EXPECT_EQ(cycle(3, 25000), (Done{{10, {1, 2, 4, 5, 6}}, {11, {2}}, {12, {2}}}));
    EXPECT_EQ(cycle(3, 25000), (Done{{10, {1, 2}}, {11, {2, 4, 5, 6}}, {12, {2}}}));
    EXPECT_EQ(cycle(3, 25000), (Done{{10, {1, 2}}, {11, {2}}, {12, {2, 4, 5, 6}}}));
}

TEST_F(SlowPlanTest, WhoAsksGetsThemAtOnce) {
    CycleRules asked = kAsked;
    asked.slow_budget_us = 1;
    EXPECT_EQ(cycle(1, kCost, asked), (Done{{10, {1, 4, 5, 6, 2}}}));
    plan_.forget_reads();
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2}}})) << "a new run of the program";
    EXPECT_EQ(cycle(1, kCost), (Done{{10, {1, 2, 4}}}));
    EXPECT_EQ(cycle(1, kCost, asked), (Done{{10, {5, 6, 1, 2, 4}}}));
}

TEST_F(SlowPlanTest, AfterHalfItsPeriodItWaitsNoLonger) {
    CycleRules poor = kStaggered;
    poor.cpu_budget_us = 0;  // a visit a cycle
    for (int i = 0; i < 8; ++i) {
        // Each visit has time for the two quick ones only.
        begin(1, poor);
        ASSERT_TRUE(plan_.next()) << i;
        plan_.read(1, true);
        plan_.read(2, true);
        plan_.end_visit(kCost, false);
        EXPECT_EQ(plan_.waiting(), 0U) << i;
        now_ += kInterval;
    }
    begin(1, poor);
    const auto visit = plan_.next();
    EXPECT_EQ(visit->rowsets, (Numbers{4, 5, 1, 2, 6}));
    EXPECT_EQ(visit->slow, 1U);
    plan_.end_visit(0, false);
    EXPECT_EQ(plan_.waiting(), 1U);
}

// A database of which nothing else is due is visited after all others, and not once the cycle's
// share for such rowsets is spent.
TEST_F(SlowPlanTest, NobodyIsVisitedForThemWithoutABudget) {
    const auto plan = [&] {
        std::vector<PlanDatabase> all = databases(3);
        plan_.begin(now_, kStaggered, all, 10,
                    {{.number = 1, .cluster = true},
                     {.number = 4, .period_us = 900 * kSecond, .slow = true}});
        std::vector<uint32_t> visited;
        while (auto visit = plan_.next()) {
            visited.push_back(visit->oid);
            for (const uint16_t rowset : visit->rowsets) plan_.read(rowset, true, kCost);
            plan_.end_visit(0, false);
        }
        now_ += kInterval;
        return visited;
    };
    EXPECT_EQ(plan(), std::vector<uint32_t>{10});
    EXPECT_EQ(plan(), std::vector<uint32_t>{10});
    EXPECT_EQ(plan_.visited(), 1U);
    EXPECT_EQ(plan(), (std::vector<uint32_t>{10, 11}));
    EXPECT_EQ(plan(), (std::vector<uint32_t>{10, 12}));
    EXPECT_EQ(plan(), std::vector<uint32_t>{10});
}

// Rowset 9 is an extension's.
class ExtensionPlanTest : public VisitPlanTest {
  protected:
    void begin_with(std::vector<PlanDatabase> found, bool everything = false) {
        plan_.begin(now_, everything ? kAsked : kRules, std::move(found), 10,
                    {{.number = 2, .cluster = false, .period_us = 0},
                     {.number = 9, .cluster = true, .period_us = 0, .of_extension = true}});
    }
    // A cycle in which `provider` has it; the databases that were asked for it.
    std::vector<uint32_t> cycle(uint32_t provider, bool everything = false) {
        begin_with(databases(3), everything);
        std::vector<uint32_t> asked;
        while (auto visit = plan_.next()) {
            for (const uint16_t rowset : visit->rowsets) {
                if (rowset == 9) asked.push_back(visit->oid);
                if (rowset == 9 && visit->oid != provider) {
                    was_there_ = plan_.absent(9) || was_there_;
                } else {
                    plan_.read(rowset, true);
                }
            }
            plan_.end_visit(0, false);
        }
        now_ += kInterval;
        return asked;
    }
    bool was_there_ = false;
};

TEST_F(ExtensionPlanTest, IsAskedForUntilFoundThenReadThereOnly) {
    EXPECT_EQ(cycle(11), (std::vector<uint32_t>{10, 11}));
    EXPECT_EQ(cycle(11), std::vector<uint32_t>{11});
    EXPECT_EQ(cycle(11), std::vector<uint32_t>{11});
    EXPECT_FALSE(was_there_);
}

TEST_F(ExtensionPlanTest, AbsenceIsRememberedForTenMinutes) {
    EXPECT_EQ(cycle(0), (std::vector<uint32_t>{10, 11, 12}));
    for (int i = 1; i < 10; ++i) EXPECT_EQ(cycle(0), std::vector<uint32_t>{}) << i;
    EXPECT_EQ(plan_.waiting(), 0U);
    EXPECT_EQ(cycle(0), (std::vector<uint32_t>{10, 11, 12}));
    plan_.forget_reads();
    EXPECT_EQ(cycle(0), std::vector<uint32_t>{});
    EXPECT_EQ(cycle(12, true), (std::vector<uint32_t>{10, 11, 12})) << "somebody asks";
    EXPECT_EQ(cycle(12), std::vector<uint32_t>{12});
}

TEST_F(ExtensionPlanTest, DroppedItIsLookedForAgain) {
    EXPECT_EQ(cycle(10), std::vector<uint32_t>{10});
    EXPECT_EQ(cycle(0), std::vector<uint32_t>{10});
    EXPECT_TRUE(was_there_);
    EXPECT_EQ(cycle(12), (std::vector<uint32_t>{11, 12}));
    EXPECT_EQ(cycle(12), std::vector<uint32_t>{12});
    begin_with({{10, "d", true}});  // its database is dropped
    EXPECT_FALSE(plan_.next()->rowsets.empty());
}

// Rowsets 1 and 2 are the cluster's, 1 the same anywhere, 2 in the main database; 9 an extension's,
// which the database 11 has.
class SeatPlanTest : public VisitPlanTest {
  protected:
    using Done = std::vector<std::pair<uint32_t, Numbers>>;

    // The visits of a cycle; a visit to `broken` fails before it has read anything.
    Done cycle(uint32_t broken = 0, const CycleRules& rules = kRules) {
        auto found = databases(3);
        found[1].like_main = like_main_;
        plan_.begin(now_, rules, found, 10,
                    {{.number = 1, .cluster = true, .period_us = 0, .anywhere = true},
                     {.number = 2, .cluster = true, .period_us = 5 * kInterval},
                     {.number = 9, .cluster = true, .period_us = 0, .of_extension = true}});
        Done done;
        while (auto visit = plan_.next()) {
            Numbers read;
            for (const uint16_t rowset : visit->rowsets) {
                if (visit->oid == broken) continue;
                if (rowset == 9 && visit->oid != 11) {
                    plan_.absent(9);
                    continue;
                }
                plan_.read(rowset, true);
                read.push_back(rowset);
                EXPECT_TRUE(visit->seat || rowset != 1) << visit->oid;
            }
            plan_.end_visit(0, visit->oid == broken);
            done.emplace_back(visit->oid, read);
        }
        now_ += kInterval;
        return done;
    }
    bool like_main_ = true;
};

TEST_F(SeatPlanTest, TheClustersGoAlongWithAnExtensions) {
    EXPECT_EQ(cycle(), (Done{{10, {1, 2}}, {11, {9}}}));
    for (int i = 1; i < 5; ++i) EXPECT_EQ(cycle(), (Done{{11, {1, 9}}})) << i;
    EXPECT_EQ(cycle(), (Done{{11, {1, 9}}, {10, {2}}})) << "what has a period stays";
    EXPECT_EQ(plan_.waiting(), 0U);
}

TEST_F(SeatPlanTest, WhereThatVisitFailsTheMainDatabaseHasThemAtOnce) {
    cycle();
    EXPECT_EQ(cycle(11), (Done{{11, {}}, {10, {1}}}));
    EXPECT_EQ(cycle(11), (Done{{11, {}}, {10, {1}}})) << "and from then on";
    EXPECT_EQ(cycle(), (Done{{11, {9}}, {10, {1}}})) << "until one has gone well";
    EXPECT_EQ(cycle(), (Done{{11, {1, 9}}}));
}

TEST_F(SeatPlanTest, NotWhereNamesWouldReadDifferently) {
    like_main_ = false;
    cycle();
    EXPECT_EQ(cycle(), (Done{{10, {1}}, {11, {9}}}));
}

TEST_F(SeatPlanTest, WhoAsksForEverythingGetsItInTheMainDatabase) {
    cycle();
    EXPECT_EQ(cycle(0, kAsked), (Done{{10, {1, 2}}, {11, {9}}}));
}

// A pass stands in for rowset 2, whose own period is a minute.
class PassPlanTest : public testing::Test {
  protected:
    // What is read in which database.
    std::map<uint32_t, Numbers> cycle(bool by_pass) {
        std::vector<PlanDatabase> both = databases(2);
        for (PlanDatabase& database : both) database.by_pass = by_pass;
        plan_.begin(now_, kRules, both, 10,
                    {{.number = 1, .cluster = true},
                     {.number = 2, .period_us = kInterval, .pass_period_us = 600 * kSecond},
                     {.number = 3, .period_us = 800 * kSecond, .off = off_}});
        std::map<uint32_t, Numbers> done;
        while (auto visit = plan_.next()) {
            for (const uint16_t rowset : visit->rowsets) {
                if (rowset != 1) {
                    EXPECT_TRUE(plan_.is_planned(visit->oid, rowset));
                }
            }
            for (const uint16_t rowset : visit->rowsets) plan_.read(rowset, true);
            done[visit->oid] = visit->rowsets;
            std::sort(done[visit->oid].begin(), done[visit->oid].end());
            plan_.end_visit(0, false);
        }
        now_ += kInterval;
        return done;
    }

    VisitPlan plan_;
    int64_t now_ = 1000 * kSecond;
    std::vector<uint32_t> off_;  // of rowset 3
};

TEST_F(PassPlanTest, OnlyTheMainDatabaseIsVisitedWhereOneStandsIn) {
    using Done = std::map<uint32_t, Numbers>;
    EXPECT_EQ(cycle(false), (Done{{10, {1, 2, 3}}, {11, {2, 3}}}));
    EXPECT_EQ(cycle(false), (Done{{10, {1, 2}}, {11, {2}}}));
    EXPECT_EQ(cycle(false), (Done{{10, {1, 2}}, {11, {2}}}));
    EXPECT_EQ(cycle(false), (Done{{10, {1, 2}}, {11, {2, 3}}})) << "3 ahead by 637 s";
    for (int i = 0; i < 9; ++i) {
        EXPECT_EQ(cycle(true), (Done{{10, {1}}})) << i;
        EXPECT_FALSE(plan_.is_planned(11, 2));
    }
    EXPECT_EQ(plan_.waiting(), 0U);
    EXPECT_EQ(cycle(true), (Done{{10, {1, 2, 3}}, {11, {2}}})) << "ten minutes after the last";
    EXPECT_EQ(cycle(true), (Done{{10, {1}}}));
    // Once it does not stand in any more, at once.
    EXPECT_EQ(cycle(false), (Done{{10, {1, 2}}, {11, {2}}}));
}

TEST_F(PassPlanTest, WhoComesAnywayReadsWhatIsHalfDue) {
    for (int i = 0; i <= 9; ++i) cycle(false);  // 3 at 0 and at 3
    for (int i = 0; i < 6; ++i) EXPECT_EQ(cycle(true)[11], Numbers{}) << i;
    EXPECT_EQ(cycle(true)[11], (Numbers{2, 3})) << "7 of its 10 minutes";
}

TEST_F(PassPlanTest, ForgettingBringsNoVisitWhereOneStandsIn) {
    using Done = std::map<uint32_t, Numbers>;
    for (int i = 0; i <= 3; ++i) cycle(false);
    plan_.forget_reads();
    EXPECT_EQ(cycle(true), (Done{{10, {1, 3}}, {11, {3}}}));
    plan_.forget_reads();
    off_ = {10, 11};
    EXPECT_EQ(cycle(true), (Done{{10, {1}}}));
    plan_.forget_reads();
    EXPECT_EQ(cycle(false), (Done{{10, {1, 2}}, {11, {2}}}));
}

TEST_F(PassPlanTest, WhatIsOffBringsNobodyThere) {
    off_ = {11};
    for (int i = 0; i < 7; ++i) cycle(false);
    for (int i = 0; i < 9; ++i) EXPECT_FALSE(cycle(true).contains(11)) << i;
}

// Rowset 3 changes with definitions, 4 with use of sequences, 5 with nothing that is known.
class MarkPlanTest : public testing::Test {
  protected:
    // What is read in which database; of the rowset that each cycle reads in the main one nothing.
    std::map<uint32_t, Numbers> cycle(const CycleRules& rules = kRules) {
        std::vector<PlanDatabase> all = databases(count_);
        for (PlanDatabase& database : all) {
            database.by_pass = true;
            if (told_) database.marks = marks_[database.oid];
        }
        plan_.begin(now_, rules, all, 10,
                    {{.number = 1, .cluster = true},
                     {.number = 2, .period_us = kInterval, .pass_period_us = 600 * kSecond},
                     {.number = 3, .period_us = 600 * kSecond, .changes_with = kWithDefinitions},
                     {.number = 4, .period_us = 600 * kSecond, .changes_with = kWithSequences},
                     {.number = 5, .period_us = period_of_5_}});
        std::map<uint32_t, Numbers> done;
        while (auto visit = plan_.next()) {
            for (const uint16_t rowset : visit->rowsets) {
                plan_.read(rowset, good_);
                if (rowset != 1) done[visit->oid].push_back(rowset);
            }
            if (done.contains(visit->oid))
                std::sort(done[visit->oid].begin(), done[visit->oid].end());
            plan_.end_visit(0, false);
        }
        now_ += kInterval;
        return done;
    }
    // Of so many cycles together: how often each was read.
    std::map<uint16_t, int> cycles(int count) {
        std::map<uint16_t, int> readings;
        for (int i = 0; i < count; ++i)
            for (const auto& [oid, numbers] : cycle())
                for (const uint16_t number : numbers) ++readings[number];
        return readings;
    }

    VisitPlan plan_;
    std::map<uint32_t, ChangeMarks> marks_;
    int64_t now_ = 1000 * kSecond;
    uint32_t count_ = 1;
    int64_t period_of_5_ = 600 * kSecond;
    bool told_ = true;
    bool good_ = true;
};

using Readings = std::map<uint16_t, int>;

TEST_F(MarkPlanTest, WhatIsUnchangedIsReadOnceAnHour) {
    // 2 twice, because 5 brings somebody there when it is half due.
    EXPECT_EQ(cycles(60), (Readings{{2, 2}, {3, 1}, {4, 1}, {5, 6}}));
    EXPECT_EQ(cycles(60), (Readings{{2, 2}, {3, 1}, {4, 1}, {5, 6}}));
}

TEST_F(MarkPlanTest, WhatChangedIsReadAfterItsPeriod) {
    cycles(5);
    ++marks_[10].sequences;
    EXPECT_EQ(cycles(5), Readings{});
    EXPECT_EQ(cycle()[10], (Numbers{4, 5}));
    cycles(20);
    ++marks_[10].definitions;
    EXPECT_EQ(cycles(1)[3], 1);
    ++marks_[10].definitions;
    EXPECT_EQ(cycles(9)[3], 0);
    EXPECT_EQ(cycles(1)[3], 1);
}

TEST_F(MarkPlanTest, WhatFailedIsNotTakenAsRead) {
    cycles(12);
    ++marks_[10].definitions;
    good_ = false;
    EXPECT_EQ(cycle()[10], (Numbers{2, 3}));
    good_ = true;
    EXPECT_EQ(cycle()[10], (Numbers{2, 3}));
    EXPECT_EQ(cycle()[10], Numbers{});
}

TEST_F(MarkPlanTest, WhereNothingTellsPeriodsAreKept) {
    told_ = false;
    EXPECT_EQ(cycles(60), (Readings{{2, 6}, {3, 6}, {4, 6}, {5, 6}}));
    told_ = true;
    EXPECT_EQ(cycle()[10], (Numbers{2, 3, 4, 5})) << "as of the last reading nothing is known";
    // Asked for, without a pass: what is as it was before that is still.
    told_ = false;
    cycle(kAsked);
    told_ = true;
    EXPECT_EQ(cycles(30)[3], 0);
    told_ = false;
    Readings now = cycles(1);
    EXPECT_EQ(now[3], 1);
    EXPECT_EQ(now[4], 1);
}

TEST_F(MarkPlanTest, WhoAsksGetsWhatIsUnchanged) {
    cycle();
    EXPECT_EQ(cycle(kAsked)[10], (Numbers{2, 3, 4, 5}));
}

TEST_F(MarkPlanTest, ForTheUnchangedAloneOneDatabaseIsVisitedInFiveMinutes) {
    count_ = 30;
    period_of_5_ = int64_t{1000} * 3600 * kSecond;
    EXPECT_EQ(cycle().size(), 30U);
    for (int i = 1; i < 50; ++i) EXPECT_EQ(cycle().size(), 0U) << i;
    std::map<uint32_t, int> visits;
    int last = -5;
    for (int i = 0; i < 180; ++i) {
        auto done = cycle();
        EXPECT_EQ(plan_.waiting(), 0U);
        for (const auto& [oid, numbers] : done) ++visits[oid];
        done.erase(10);  // visited anyway
        if (done.empty()) continue;
        EXPECT_EQ(done.size(), 1U) << i;
        EXPECT_GE(i - last, 5);
        last = i;
    }
    EXPECT_EQ(visits.size(), 30U) << "turn by turn";
    ++marks_[27].definitions;
    const auto done = cycle();
    EXPECT_TRUE(done.contains(27));
}

TEST_F(MarkPlanTest, NoneWaitsTooLong) {
    count_ = 1000;
    period_of_5_ = int64_t{1000} * 3600 * kSecond;
    cycle();
    std::map<uint32_t, int> last;
    int longest = 0;
    for (int i = 1; i < 1500; ++i) {
        for (const auto& [oid, numbers] : cycle()) {
            longest = std::max(longest, i - last[oid]);
            last[oid] = i;
        }
    }
    EXPECT_EQ(longest, 12 * 60);
    EXPECT_EQ(last.size(), 1000U);
}

TEST_F(ExtensionPlanTest, WhereCatalogsAreAsTheyWereItIsNotAskedFor) {
    const auto asked = [&](uint64_t definitions) {
        auto both = databases(2);
        for (PlanDatabase& database : both)
            database.marks = ChangeMarks{.definitions = definitions};
        begin_with(both);
        bool found = false;
        while (const auto visit = plan_.next()) {
            for (const uint16_t rowset : visit->rowsets) {
                if (rowset == 9) {
                    found = found || visit->oid == 11;
                    plan_.absent(9);
                } else {
                    plan_.read(rowset, true);
                }
            }
            plan_.end_visit(0, false);
        }
        now_ += kInterval;
        return found;
    };
    EXPECT_TRUE(asked(1));
    for (int i = 1; i < 60; ++i) EXPECT_FALSE(asked(1)) << i;
    EXPECT_TRUE(asked(1)) << "an hour later";
    for (int i = 1; i < 10; ++i) EXPECT_FALSE(asked(2)) << i;
    EXPECT_TRUE(asked(2)) << "ten minutes later, because they changed";
}

TEST_F(ExtensionPlanTest, AQuestionBringsNoDatabaseForward) {
    begin_with(databases(2));
    plan_.next();
    plan_.read(2, true);
    plan_.absent(9);
    plan_.end_visit(kRules.cpu_budget_us, false);  // 11 is not reached
    now_ += kInterval;
    begin_with(databases(2));
    EXPECT_EQ(plan_.next()->oid, 11U);
}

}  // namespace
}  // namespace pganalytics
