// Rowsets as a cycle takes them from frames of which some got lost.
#include "pganalytics/ship/cycle.hpp"

#include <gtest/gtest.h>

#include "pganalytics/host/relation_sizes.hpp"

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
        options.reading_limit = [] { return size_t{1} << 20; };
        options.now = now_ += 1000000;
        Cycle cycle(options, shapes_, filter_, schedule_, own_groups_, slices_);
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
    OwnGroups own_groups_;
    SlicedRowsets slices_;
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
        options.reading_limit = [] { return size_t{1} << 20; };
        options.now = now_ += 1000000;
        options.use = use;
        Cycle cycle(options, shapes_, filter_, schedule_, own_groups_, slices_);
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

TEST_F(CycleTest, WhatWasLeftOutIsNotKnownAnyMore) {
    report_of({rows({1, 2, 3})}, complete(3));
    RowsetEnd end = complete(2);
    end.left_out = 4;
    end.sums = "{}";
    const RowsetReport report = report_of({rows({1, 4})}, end);
    EXPECT_TRUE(report.complete);
    EXPECT_EQ(report.left_out, 4U);
    EXPECT_EQ(report.datid, kDatid);
    EXPECT_EQ(report.sums, "{}");
    EXPECT_EQ(report.error, "");
    EXPECT_EQ(report.sent, 1U);
    EXPECT_EQ(filter_.rows(), 2U);
}

// Sizes of files: what a visitor brought, and the same rows again in later cycles.
TEST_F(CycleTest, SizesComeAgainWithoutAVisit) {
    const RowsetShape* const shape = shapes_.find(host::file_sizes_rowset());
    const auto sized = [&](uint32_t relid, std::optional<int64_t> bytes) {
        RowBuilder builder(shape->types);
        builder.begin();
        builder.number(kDatid);
        builder.number(relid);
        for (size_t i = 2; i < shape->types.size(); ++i) {
            if (bytes && shape->columns[i]->name == "main_bytes") {
                builder.integer(*bytes);
            } else {
                builder.null();
            }
        }
        builder.end();
        return builder.take();
    };
    const auto bytes =
        std::make_shared<const std::string>(sized(1, std::nullopt) + sized(2, std::nullopt));
    const FileList list{kDatid, "app", bytes};
    bool used = false;
    // A cycle with rows of a visitor, or only those of before; what the file systems say of them.
    const auto cycle_with = [&](bool visited, const std::string& filled) {
        CycleOptions options;
        options.snapshots.new_id = [] { return Uuid{1}; };
        options.reading_limit = [] { return size_t{1} << 20; };
        options.now = now_ += 1000000;
        Cycle cycle(options, shapes_, filter_, schedule_, own_groups_, slices_);
        if (visited) {
            RowsetBegin begin;
            begin.rowset = shape->number;
            begin.datid = kDatid;
            begin.datname = "app";
            EXPECT_TRUE(cycle.begin_rowset(begin));
            EXPECT_TRUE(cycle.rows(*bytes));
            EXPECT_TRUE(cycle.end_rowset(complete(2)));
        }
        CycleEnd end;
        end.databases = {kDatid};
        cycle.end(end);
        cycle.add_again(list);
        EXPECT_EQ(cycle.unfilled().size(), 1U) << "either of them";
        EXPECT_EQ(cycle.unfilled()[0].again, !visited);
        HostRowset host;
        host.rows = filled;
        cycle.add_filled(0, &host);
        used = used || !cycle.used_databases().empty();
        EXPECT_EQ(cycle.reports().size(), 1U);
        return cycle.reports().front();
    };
    const RowsetReport nothing = cycle_with(false, sized(1, 5));
    EXPECT_EQ(nothing.sent, 0U) << "where nothing is known a part is worth nothing";
    EXPECT_EQ(cycle_with(true, sized(1, 10) + sized(2, 20)).sent, 2U);
    const RowsetReport grown = cycle_with(false, sized(1, 10) + sized(2, 30));
    EXPECT_EQ(grown.sent, 1U);
    EXPECT_TRUE(grown.partial);
    EXPECT_TRUE(grown.complete);
    EXPECT_EQ(cycle_with(false, sized(1, 11)).sent, 1U);
    EXPECT_EQ(filter_.rows(), 2U) << "2 is not gone, its file is another";
    EXPECT_EQ(cycle_with(true, sized(1, 11)).sent, 0U);
    EXPECT_EQ(filter_.rows(), 1U) << "now it is";
    EXPECT_FALSE(used);
}

TEST_F(CycleTest, UseOfTablesTouchesTheirFiles) {
    const auto used = [&](std::initializer_list<uint32_t> relids, bool partial) {
        CycleOptions options;
        options.snapshots.new_id = [] { return Uuid{1}; };
        options.reading_limit = [] { return size_t{1} << 20; };
        options.now = now_ += 1000000;
        Cycle cycle(options, shapes_, filter_, schedule_, own_groups_, slices_);
        RowsetBegin begin;
        begin.rowset = tables_->number;
        begin.datid = kDatid;
        begin.partial = partial;
        EXPECT_TRUE(cycle.begin_rowset(begin));
        EXPECT_TRUE(cycle.rows(rows(relids)));
        EXPECT_TRUE(cycle.end_rowset(complete(relids.size())));
        return cycle.used_databases();
    };
    EXPECT_EQ(used({1}, false), std::set<uint32_t>{kDatid});
    EXPECT_EQ(used({1}, false), std::set<uint32_t>{}) << "as it was";
    EXPECT_EQ(used({1, 2}, false), std::set<uint32_t>{kDatid});
    EXPECT_EQ(used({2}, true), std::set<uint32_t>{});
    EXPECT_EQ(used({3}, true), std::set<uint32_t>{kDatid});
}

// A cycle with one slice of the tables.
class SlicedCycleTest : public CycleTest {
  protected:
    RowsetReport slice(uint16_t number, const std::string& rows, uint64_t count, uint32_t last,
                       const std::string& sqlstate = {}) {
        CycleOptions options;
        options.snapshots.new_id = [] { return Uuid{1}; };
        options.reading_limit = [this] { return limit_; };
        options.now = now_ += 1000000;
        Cycle cycle(options, shapes_, filter_, schedule_, own_groups_, slices_);
        RowsetBegin begin;
        begin.rowset = tables_->number;
        begin.datid = kDatid;
        begin.slice = number;
        EXPECT_TRUE(cycle.begin_rowset(begin));
        EXPECT_TRUE(cycle.rows(rows));
        RowsetEnd end;
        end.rows = count;
        end.complete = last == 0 && sqlstate.empty();
        end.last = last;
        end.sqlstate = sqlstate;
        EXPECT_TRUE(cycle.end_rowset(end));
        EXPECT_EQ(cycle.reports().size(), 1U);
        return cycle.reports().front();
    }

    size_t limit_ = 1 << 20;
};

TEST_F(SlicedCycleTest, SlicesAreOneReading) {
    const RowsetReport first = slice(1, rows({1, 2}), 2, 2);
    EXPECT_FALSE(first.complete);
    EXPECT_EQ(first.error, "");
    EXPECT_EQ(first.slice, 1);
    EXPECT_EQ(filter_.rows(), 0U);
    const RowsetReport second = slice(2, rows({3}), 1, 0);
    EXPECT_TRUE(second.complete);
    EXPECT_EQ(second.slice, 0);
    EXPECT_EQ(second.rows, 3U);
    EXPECT_EQ(second.sent, 3U);
    EXPECT_EQ(filter_.rows(), 3U);
    EXPECT_EQ(slices_.bytes(), 0U);
    // The next round lacks one, which is gone.
    slice(1, rows({1}), 1, 2);
    EXPECT_TRUE(slice(2, rows({3}), 1, 0).complete);
    EXPECT_EQ(filter_.rows(), 2U);
}

TEST_F(SlicedCycleTest, AFailedSliceComesAgain) {
    slice(1, rows({1, 2}), 2, 2);
    const RowsetReport failed = slice(2, rows({3}), 1, 0, "57014");
    EXPECT_NE(failed.error, "");
    EXPECT_TRUE(slice(2, rows({3}), 1, 0).complete);
    EXPECT_EQ(filter_.rows(), 3U);
}

TEST_F(SlicedCycleTest, ARoundWithALossProvesNothingGone) {
    slice(1, rows({1, 2, 3}), 3, 0);
    EXPECT_EQ(filter_.rows(), 3U);
    // A frame of it is missing.
    slice(1, rows({1}), 2, 2);
    const RowsetReport lost = slice(2, rows({3}), 1, 0);
    EXPECT_FALSE(lost.complete);
    EXPECT_EQ(lost.error, "rows were lost on their way");
    // A slice is missing.
    slice(1, rows({1}), 1, 1);
    EXPECT_FALSE(slice(3, rows({3}), 1, 0).complete);
    // There is no room for them.
    limit_ = rows({1, 2}).size() - 1;
    slice(1, rows({1}), 1, 1);
    EXPECT_FALSE(slice(2, rows({2}), 1, 0).complete);
    EXPECT_EQ(filter_.rows(), 3U);
    EXPECT_EQ(slices_.bytes(), 0U);
}

// Users' own rowsets: each is a group of its own, and one that is no longer defined is told gone.
class OwnCycleTest : public testing::Test {
  protected:
    std::string row(std::string_view key) {
        RowBuilder builder(shape_->types);
        builder.begin();
        builder.number(kDatid);
        builder.text("orders");
        builder.text(std::string(64, 'a'));
        builder.text(key);
        builder.text("{\"x\":1}");
        builder.end();
        return builder.take();
    }

    std::unique_ptr<Cycle> cycle() {
        CycleOptions options;
        options.snapshots.new_id = [] { return Uuid{1}; };
        options.reading_limit = [] { return size_t{1} << 20; };
        options.now = now_ += 1000000;
        return std::make_unique<Cycle>(options, shapes_, filter_, schedule_, own_groups_, slices_);
    }

    RowsetBegin begin(uint16_t own, std::string name) const {
        RowsetBegin made;
        made.rowset = shape_->number;
        made.datid = kDatid;
        made.datname = "app";
        made.own = own;
        made.own_name = std::move(name);
        return made;
    }

    void read(Cycle& cycle, uint16_t own, const std::string& name, const std::string& rows) {
        EXPECT_TRUE(cycle.begin_rowset(begin(own, name)));
        EXPECT_TRUE(cycle.rows(rows));
        RowsetEnd end;
        end.rows = rows.empty() ? 0 : 1;
        end.complete = true;
        EXPECT_TRUE(cycle.end_rowset(end));
    }

    static size_t sent(Cycle& cycle, std::vector<OwnNumber> own) {
        CycleEnd end;
        end.databases = {kDatid};
        end.own = std::move(own);
        cycle.end(end);
        uint64_t sequence = 1;
        size_t groups = 0;
        for (const Snapshot& snapshot : cycle.take_writer()->finish(Uuid{2}, sequence))
            groups += snapshot.groups.size();
        return groups;
    }

    RowsetShapes shapes_{15};
    const RowsetShape* shape_ = shapes_.find(rowset_number(*find_rowset("own", "rows")));
    SparseFilter filter_{SipKey{}};
    OwnGroups own_groups_;
    SlicedRowsets slices_;
    FullSchedule schedule_{int64_t{3600} * 1000000};
    int64_t now_ = 0;
};

TEST_F(OwnCycleTest, EachHasAStateOfItsOwn) {
    auto one = cycle();
    read(*one, 0x8000, "orders", row("[1]"));
    read(*one, 0x8001, "others", row("[1]"));
    EXPECT_EQ(one->reports()[1].name(), "others");
    EXPECT_EQ(sent(*one, {{0x8000, "orders"}, {0x8001, "others"}}), 2U);
    // Of orders there is another definition, which need not be read where the first was.
    auto two = cycle();
    EXPECT_EQ(sent(*two, {{0x8002, "orders"}}), 2U);
    EXPECT_EQ(own_groups_.size(), 0U);
    EXPECT_EQ(filter_.rows(), 0U);
    auto three = cycle();
    EXPECT_EQ(sent(*three, {}), 0U);
}

TEST_F(OwnCycleTest, NumbersAndNamesMustFit) {
    auto one = cycle();
    EXPECT_FALSE(one->begin_rowset(begin(0, "orders")));
    EXPECT_FALSE(one->begin_rowset(begin(0x8000, "")));
    EXPECT_FALSE(one->begin_rowset(begin(0x8000, "Orders\"")));
    RowsetBegin other = begin(0x8000, "orders");
    other.rowset = rowset_number(*find_rowset("pg_stats", "tables"));
    EXPECT_FALSE(one->begin_rowset(other));
}

}  // namespace
}  // namespace pganalytics::ship
