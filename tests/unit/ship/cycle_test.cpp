// Rowsets as a cycle takes them from frames of which some got lost.
#include "pganalytics/ship/cycle.hpp"

#include <gtest/gtest.h>

namespace pganalytics::ship {
namespace {

constexpr uint32_t kDatid = 16384;

class CycleTest : public testing::Test {
  protected:
    CycleTest() { tables_ = shapes_.find(rowset_number(*find_rowset("pg_stats", "tables"))); }

    std::string rows(std::initializer_list<uint32_t> relids) {
        RowBuilder builder(tables_->types);
        for (const uint32_t relid : relids) {
            builder.begin();
            builder.number(kDatid);
            builder.number(relid);
            for (size_t i = 2; i < tables_->types.size(); ++i) builder.null();
            builder.end();
        }
        return builder.take();
    }

    // One cycle with one rowset, whose end says `said`.
    RowsetReport report_of(const std::vector<std::string>& frames, RowsetEnd end) {
        CycleOptions options;
        options.snapshots.new_id = [] { return Uuid{1}; };
        options.reading_limit = 1 << 20;
        options.now = now_ += 1000000;
        Cycle cycle(options, shapes_, filter_, schedule_);
        RowsetBegin begin;
        begin.rowset = tables_->number;
        begin.datid = kDatid;
        begin.datname = "app";
        EXPECT_TRUE(cycle.begin_rowset(begin));
        for (const std::string& frame : frames) EXPECT_TRUE(cycle.rows(frame));
        EXPECT_TRUE(cycle.end_rowset(end));
        EXPECT_EQ(cycle.reports().size(), 1U);
        return cycle.reports().front();
    }

    static RowsetEnd complete(uint64_t rows) {
        RowsetEnd end;
        end.rows = rows;
        end.complete = true;
        return end;
    }

    RowsetShapes shapes_{15};
    const RowsetShape* tables_ = nullptr;
    SparseFilter filter_{SipKey{}};
    FullSchedule schedule_{int64_t{3600} * 1000000};
    int64_t now_ = 0;
};

TEST_F(CycleTest, LostRowsMakeARowsetIncomplete) {
    const RowsetReport first = report_of({rows({1}), rows({2, 3})}, complete(3));
    EXPECT_TRUE(first.complete);
    EXPECT_EQ(first.error, "");
    EXPECT_EQ(filter_.rows(), 3U);

    const RowsetReport lost = report_of({rows({1})}, complete(3));
    EXPECT_FALSE(lost.complete);
    EXPECT_EQ(lost.error, "rows were lost on their way");
    // Nothing is gone for that.
    EXPECT_EQ(filter_.rows(), 3U);
    EXPECT_FALSE(report_of({}, complete(3)).complete);
    EXPECT_FALSE(report_of({rows({1, 2, 3}), rows({3})}, complete(3)).complete);
    EXPECT_EQ(filter_.rows(), 3U);

    // What really is gone is seen as before.
    EXPECT_TRUE(report_of({rows({1})}, complete(1)).complete);
    EXPECT_EQ(filter_.rows(), 1U);
}

// Changed rows only, and what is asked for at the end of the cycle.
TEST_F(CycleTest, PartialReadingsStandOnACompleteOne) {
    std::vector<uint32_t> asked;
    const auto partial = [&](const std::string& frame, uint64_t said, CycleUse use) {
        CycleOptions options;
        options.snapshots.new_id = [] { return Uuid{1}; };
        options.reading_limit = 1 << 20;
        options.now = now_ += 1000000;
        options.use = use;
        Cycle cycle(options, shapes_, filter_, schedule_);
        RowsetBegin begin;
        begin.rowset = tables_->number;
        begin.datid = kDatid;
        begin.partial = true;
        EXPECT_TRUE(cycle.begin_rowset(begin));
        EXPECT_TRUE(cycle.rows(frame));
        EXPECT_TRUE(cycle.end_rowset(complete(said)));
        CycleEnd end;
        end.databases = {kDatid, kDatid + 1};
        end.partial_rowsets = {tables_->number};
        end.partial_databases = {kDatid};
        cycle.end(end);
        asked = cycle.need_complete();
        return cycle.reports().front().sent;
    };
    const std::vector<uint32_t> ours = {kDatid};
    EXPECT_EQ(partial(rows({1}), 1, CycleUse::kSend), 0U) << "on nothing";
    EXPECT_EQ(asked, ours);
    report_of({rows({1, 2, 3})}, complete(3));
    EXPECT_EQ(partial(rows({2, 4}), 2, CycleUse::kSend), 1U) << "2 is as it was";
    EXPECT_EQ(asked, std::vector<uint32_t>{});
    EXPECT_EQ(filter_.rows(), 4U);
    EXPECT_EQ(partial(rows({5}), 2, CycleUse::kSend), 1U) << "a row was lost";
    EXPECT_EQ(asked, ours);
    EXPECT_EQ(partial("rubbish", 1, CycleUse::kSend), 0U);
    EXPECT_EQ(asked, ours);
    EXPECT_EQ(partial(rows({}), 0, CycleUse::kSend), 0U);
    EXPECT_EQ(asked, std::vector<uint32_t>{});
    schedule_.require({tables_->number, kDatid});
    EXPECT_EQ(partial(rows({1}), 1, CycleUse::kSend), 0U);
    EXPECT_EQ(asked, ours) << "a full one is required";
    schedule_.require_all();
    EXPECT_EQ(partial(rows({6}), 1, CycleUse::kCount), 0U);
    EXPECT_EQ(asked, std::vector<uint32_t>{}) << "there is no hub";
    EXPECT_EQ(filter_.rows(), 5U);
}

// The collector ends a rowset for a visitor that died in it: it knows no number of rows.
TEST_F(CycleTest, AnErrorIsNotHiddenByLostRows) {
    RowsetEnd end;
    end.sqlstate = "57014";
    end.message = "the visit ended before the rowset did";
    const RowsetReport report = report_of({rows({1})}, end);
    EXPECT_FALSE(report.complete);
    EXPECT_EQ(report.error, "the visit ended before the rowset did (57014)");
}

}  // namespace
}  // namespace pganalytics::ship
