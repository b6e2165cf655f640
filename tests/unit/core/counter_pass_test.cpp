// A pass against a model: databases whose objects come, work and go, and a receiver that knows
// only what readings and passes told it.
#include "pganalytics/core/counter_pass.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "pganalytics/core/object_table.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {
namespace {

using enum ColumnType;

constexpr int64_t kSecond = 1000000;
constexpr int64_t kInterval = 60 * kSecond;
constexpr FoldKey kKey = {0x9ae16a3b2f90404f, 0xc949d7c7509e6557, 0xff51afd7ed558ccd,
                          0x9e3779b97f4a7c15};
constexpr uint16_t kTables = 7;
constexpr uint16_t kIndexes = 9;
constexpr uint16_t kFunctions = 11;

struct Counters {
    int64_t scans = 0;
    int64_t inserted = 0;
    int64_t at = 0;  // microseconds since 2000
    int64_t vacuums = 0;
    bool operator==(const Counters&) const = default;
    std::string_view bytes() const { return {reinterpret_cast<const char*>(this), sizeof *this}; }
};

std::vector<PassRowset> rowsets() {
    const std::vector<CounterColumn> tail = {
        {CounterForm::kInt64, offsetof(Counters, scans)},
        {CounterForm::kTimestamp, offsetof(Counters, at)},
        {CounterForm::kInt64, offsetof(Counters, inserted)},
    };
    return {{kTables, StatisticsKind::kRelation, {kOid, kOid, kText}, tail},
            {kIndexes, StatisticsKind::kRelation, {kOid, kOid, kOid, kText}, tail},
            {kFunctions,
             StatisticsKind::kFunction,
             {kOid, kOid, kText},
             {{CounterForm::kInt64, 0}, {CounterForm::kMilliseconds, 8}}}};
}

std::string row(uint16_t rowset, uint32_t datid, uint32_t oid, const std::string& name,
                const Counters& counters) {
    static constexpr ColumnType kTable[] = {kOid, kOid, kText, kInt64, kTimestamp, kInt64};
    static constexpr ColumnType kIndex[] = {kOid, kOid, kOid, kText, kInt64, kTimestamp, kInt64};
    static constexpr ColumnType kFunction[] = {kOid, kOid, kText, kInt64, kFloat64};
    RowBuilder builder(rowset == kTables    ? std::span<const ColumnType>(kTable)
                       : rowset == kIndexes ? std::span<const ColumnType>(kIndex)
                                            : std::span<const ColumnType>(kFunction));
    builder.begin();
    builder.number(datid);
    builder.number(oid);
    if (rowset == kIndexes) builder.number(oid - 1);
    builder.text(name);
    builder.integer(counters.scans);
    if (rowset == kFunctions) {
        builder.real(static_cast<double>(counters.inserted) / 1000);
    } else {
        if (counters.at == 0) {
            builder.null();
        } else {
            builder.integer(counters.at + int64_t{946684800} * kSecond);
        }
        builder.integer(counters.inserted);
    }
    builder.end();
    return builder.take();
}

struct Object {
    uint16_t rowset = 0;  // 0: in none
    std::string name;
    Counters counters;
    bool has_entry = false;
};

StatisticsKind kind_of(uint16_t rowset) {
    return rowset == kFunctions ? StatisticsKind::kFunction : StatisticsKind::kRelation;
}

using Rows = std::map<std::pair<uint16_t, uint32_t>, std::string>;  // rowset, OID: body

struct Database {
    std::map<uint32_t, Object> objects;
    Counters catalog;                            // pg_class's own
    std::map<uint32_t, Counters> catalogs = {};  // others'
    Rows received;
};

class CounterPassTest : public testing::Test {
  protected:
    void pass() {
        now_ += kInterval;
        std::vector<uint32_t> oids;
        for (const auto& [datid, database] : databases_) oids.push_back(datid);
        pass_.begin(now_, kInterval, oids);
        walk();
        for (walks_ = 1; pass_.is_short() && walks_ < most_walks_; ++walks_) {
            pass_.again();
            walk();
        }
        pass_.end();
    }

    void walk() {
        for (const auto& [datid, database] : databases_) {
            pass_.meet(StatisticsKind::kRelation, datid, 1259, database.catalog.bytes());
            for (const auto& [oid, counters] : database.catalogs)
                pass_.meet(StatisticsKind::kRelation, datid, oid, counters.bytes());
            for (const auto& [oid, object] : database.objects) {
                pass_.expect(kind_of(object.rowset), datid, oid);
                if (object.has_entry)
                    pass_.meet(kind_of(object.rowset), datid, oid, longer(object.counters));
            }
        }
        for (const auto& [oid, counters] : shared_)
            pass_.meet(StatisticsKind::kRelation, 0, oid, counters.bytes());
        pass_.expect(StatisticsKind::kRelation, 999, 1);
        pass_.meet(StatisticsKind::kRelation, 999, 1, Counters{}.bytes());
    }

    // As those of another major may be.
    std::string_view longer(const Counters& counters) {
        longer_.assign(counters.bytes());
        longer_.resize(longer_.size() + more_bytes_);
        return longer_;
    }

    // As the collector does it: what the pass stands in for is handed over, the rest is read.
    uint64_t hand_over() {
        uint64_t rows = 0;
        for (const PassGroup& group : pass_.changed()) {
            if (!pass_.stands_in(group.datid)) continue;
            if (pass_.is_whole(group)) {
                std::erase_if(databases_[group.datid].received,
                              [&](const auto& one) { return one.first.first == group.rowset; });
            }
            pass_.send(group);
            for (std::string_view bytes = next_rows(); !bytes.empty(); bytes = next_rows())
                take(group, bytes);
            rows += pass_.sent_rows();
        }
        return rows;
    }

    std::string_view next_rows() {
        return pass_.next_rows(64, [&](auto kind, auto datid, auto oids, auto* copies) {
            for (const uint32_t oid : oids) {
                copies->size = copy(kind, datid, oid, copies->bytes);
                ++copies;
            }
            return look_ups_work_;
        });
    }

    size_t copy(StatisticsKind kind, uint32_t datid, uint32_t oid, char* out) {
        const auto& objects = databases_[datid].objects;
        const auto place = objects.find(oid);
        if (place == objects.end() || !place->second.has_entry ||
            kind_of(place->second.rowset) != kind)
            return 0;
        const std::string_view bytes = place->second.counters.bytes();
        std::memcpy(out, bytes.data(), bytes.size());
        return bytes.size();
    }

    void take(PassGroup group, std::string_view bytes) {
        RowReader reader(bytes);
        for (std::string_view body; reader.next(body);) {
            static constexpr ColumnType kTypes[] = {kOid, kOid};
            const size_t columns = group.rowset == kTables ? 6 : group.rowset == kIndexes ? 7 : 5;
            Value values[2];
            ASSERT_TRUE(decode_leading(body, columns, kTypes, values));
            EXPECT_EQ(values[0].integer, group.datid);
            databases_[group.datid]
                .received[{group.rowset, static_cast<uint32_t>(values[1].integer)}] = body;
        }
    }

    static std::string body_of(const std::string& row) {
        RowReader reader(row);
        std::string_view body;
        EXPECT_TRUE(reader.next(body));
        return std::string(body);
    }

    Rows truth(uint32_t datid) {
        Rows rows;
        for (const auto& [oid, object] : databases_[datid].objects) {
            if (object.rowset == 0 || (object.rowset == kFunctions && !object.has_entry)) continue;
            rows[{object.rowset, oid}] =
                body_of(row(object.rowset, datid, oid, object.name, object.counters));
        }
        return rows;
    }

    void read(uint32_t datid, uint16_t rowset, bool good = true) {
        pass_.begin_reading({datid, rowset});
        Rows rows = truth(datid);
        uint64_t count = 0;
        auto& received = databases_[datid].received;
        if (good)
            std::erase_if(received, [&](const auto& one) { return one.first.first == rowset; });
        for (const auto& [key, body] : rows) {
            if (key.first != rowset) continue;
            const Object& object = databases_[datid].objects[key.second];
            pass_.add_rows(row(rowset, datid, key.second, object.name, object.counters));
            received[key] = body;
            ++count;
        }
        pass_.end_reading(good, count);
    }

    void read_all(uint32_t datid) {
        for (const uint16_t rowset : {kTables, kIndexes, kFunctions}) read(datid, rowset);
    }

    uint64_t cycle() {
        pass();
        const uint64_t rows = hand_over();
        for (const auto& [datid, database] : databases_)
            if (!pass_.stands_in(datid)) read_all(datid);
        return rows;
    }

    void make_two() {
        for (const uint32_t datid : {50U, 60U}) {
            auto& objects = databases_[datid].objects;
            objects[100] = {kTables, "used", {1, 2, 3}, true};
            objects[101] = {kIndexes, "index", {1, 0, 0}, true};
            objects[102] = {kTables, "idle", {}, false};
            objects[103] = {kFunctions, "called", {5, 1500, 0}, true};
            objects[104] = {0, "temporary", {9, 9, 9}, true};
        }
        cycle();
    }

    CounterPass pass_{
        kKey, rowsets(), {{offsetof(Counters, inserted)}, {offsetof(Counters, vacuums)}}};
    std::map<uint32_t, Database> databases_;
    std::map<uint32_t, Counters> shared_;
    int64_t now_ = 0;
    int walks_ = 0;  // of the last pass
    int most_walks_ = 3;
    size_t more_bytes_ = 0;
    std::string longer_;
    bool look_ups_work_ = true;
};

TEST_F(CounterPassTest, ChangedRowsOnlyOnceAllIsRead) {
    make_two();
    EXPECT_EQ(pass_.primed(), (std::vector<uint32_t>{50, 60}));
    EXPECT_EQ(pass_.objects(), 8U);
    EXPECT_EQ(cycle(), 0U);
    EXPECT_TRUE(pass_.stands_in(50));
    databases_[60].objects[100].counters.scans = 7;
    databases_[60].objects[102] = {kTables, "idle", {0, 4, 0}, true};
    databases_[60].objects[103].counters.inserted = 1750;
    databases_[60].objects[104].counters.scans = 10;
    EXPECT_EQ(cycle(), 3U);
    EXPECT_EQ(databases_[60].received, truth(60));
    EXPECT_EQ(cycle(), 0U);
    // What a reading told need not be told again, nor what went there and back since.
    databases_[60].objects[100].counters.scans = 8;
    read_all(60);
    EXPECT_EQ(cycle(), 0U);
    databases_[60].objects[100].counters.scans = 9;
    read_all(60);
    databases_[60].objects[100].counters.scans = 8;
    EXPECT_EQ(cycle(), 1U);
    EXPECT_EQ(databases_[60].received, truth(60));
}

TEST_F(CounterPassTest, WishesForReadings) {
    make_two();
    cycle();
    const auto wished = [&] { return pass(), !pass_.stands_in(60); };
    EXPECT_FALSE(wished());
    databases_[60].objects.erase(100);
    EXPECT_TRUE(wished()) << "an object is gone";
    EXPECT_TRUE(pass_.stands_in(50));
    EXPECT_TRUE(wished()) << "until it is read";
    read_all(60);
    EXPECT_FALSE(wished());
    databases_[60].objects[200] = {kTables, "young", {1, 1, 1}, true};
    EXPECT_TRUE(wished()) << "an unknown one";
    read_all(60);
    EXPECT_FALSE(wished());
    databases_[60].objects[102].name = "renamed";
    EXPECT_FALSE(wished());
    ++databases_[60].catalog.inserted;
    EXPECT_TRUE(wished()) << "the catalog was written";
    read_all(60);
    EXPECT_FALSE(wished());
    pass_.send_whole(60);
    EXPECT_FALSE(wished()) << "asked for: no reading is needed";
    read(60, kIndexes, false);
    EXPECT_TRUE(wished()) << "a reading failed";
    read(60, kIndexes);
    EXPECT_FALSE(wished());
    pass_.forget_all();
    EXPECT_TRUE(wished());
    EXPECT_TRUE(pass_.changed().empty());
}

TEST_F(CounterPassTest, AllRowsWithoutAReading) {
    make_two();
    pass_.send_whole(60);
    databases_[60].received.clear();
    ++databases_[60].objects[100].counters.scans;
    ++databases_[50].objects[100].counters.scans;
    EXPECT_EQ(cycle(), 5U) << "all of one, what changed of the other";
    EXPECT_EQ(databases_[50].received, truth(50));
    EXPECT_EQ(databases_[60].received, truth(60));
    EXPECT_EQ(cycle(), 0U);
    // What is used between the pass and the look-up is told once; what is dropped there, not at
    // all.
    pass_.send_all_whole();
    pass();
    ++databases_[50].objects[103].counters.scans;
    databases_[60].objects[102] = {kTables, "idle", {0, 1, 0}, true};
    databases_[60].objects.erase(101);
    EXPECT_EQ(hand_over(), 7U);
    EXPECT_EQ(databases_[50].received, truth(50));
    EXPECT_EQ(databases_[60].received, truth(60));
    read_all(60);
    EXPECT_EQ(cycle(), 0U);
    ++databases_[60].objects[102].counters.scans;
    EXPECT_EQ(cycle(), 1U);
    EXPECT_EQ(databases_[60].received, truth(60));
    // An empty rowset is sent whole, too: it is known then that there is nothing in it.
    databases_[60].objects.erase(103);
    read_all(60);
    pass();
    pass_.send_whole(60);
    EXPECT_TRUE(pass_.is_whole({60, kFunctions}));
    databases_[60].received[{kFunctions, 1}] = "of another time";
    hand_over();
    EXPECT_FALSE(pass_.is_whole({60, kFunctions}));
    EXPECT_EQ(databases_[60].received, truth(60));
}

TEST_F(CounterPassTest, WhereRowsAreLeftOutAReadingIsNeeded) {
    make_two();
    const auto leave_out = [&](bool left_out) {
        pass_.begin_reading({60, kTables});
        pass_.add_rows(row(kTables, 60, 100, "used", databases_[60].objects[100].counters));
        pass_.end_reading(true, 1, left_out);
    };
    leave_out(true);
    pass();
    EXPECT_TRUE(pass_.stands_in(60));
    pass_.send_whole(60);
    pass();
    EXPECT_FALSE(pass_.stands_in(60));
    leave_out(false);
    pass_.send_whole(60);
    pass();
    EXPECT_TRUE(pass_.stands_in(60));
}

TEST_F(CounterPassTest, AReadingTellsAllRowsToo) {
    make_two();
    pass_.send_all_whole();
    read_all(60);
    pass();
    EXPECT_EQ(pass_.changed(),
              (std::vector<PassGroup>{{50, kTables}, {50, kIndexes}, {50, kFunctions}}));
}

TEST_F(CounterPassTest, LookUpsThatFailLeaveItToReadings) {
    make_two();
    pass_.send_whole(60);
    pass();
    look_ups_work_ = false;
    pass_.send({60, kTables});
    EXPECT_TRUE(next_rows().empty());
    EXPECT_FALSE(pass_.sent_all());
    look_ups_work_ = true;
    EXPECT_FALSE(pass_.stands_in(60));
    pass_.send({60, kIndexes});
    EXPECT_FALSE(next_rows().empty());
    EXPECT_TRUE(next_rows().empty());
    EXPECT_TRUE(pass_.sent_all());
    cycle();
    EXPECT_EQ(cycle(), 0U);
    EXPECT_EQ(databases_[60].received, truth(60));
}

TEST_F(CounterPassTest, ReadingsThatBringNothingNewComeSeldom) {
    make_two();
    int readings = 0;
    for (int i = 0; i < 40; ++i) {
        ++databases_[60].catalog.inserted;
        databases_[60].objects.erase(static_cast<uint32_t>(300 + i - 1));
        databases_[60].objects[static_cast<uint32_t>(300 + i)] = {0, "temporary", {1, 1, 1}, true};
        ++databases_[60].objects[100].counters.scans;
        pass();
        const bool reads = !pass_.stands_in(60);
        readings += reads ? 1 : 0;
        if (reads) {
            read_all(60);
        } else {
            EXPECT_EQ(hand_over(), 1U);
        }
        EXPECT_EQ(databases_[60].received, truth(60));
    }
    // After 0, 1, 2, 4, 8, 10, 10 ... intervals.
    EXPECT_GE(readings, 6);
    EXPECT_LE(readings, 9);
    // Something new: from the start.
    databases_[60].objects[400] = {kTables, "new", {1, 1, 1}, true};
    for (int i = 0; i < 11 && pass_.stands_in(60); ++i) pass();
    EXPECT_FALSE(pass_.stands_in(60));
    read_all(60);
    pass();
    ++databases_[60].catalog.inserted;
    pass();
    EXPECT_FALSE(pass_.stands_in(60));
}

TEST_F(CounterPassTest, IncompleteAndMalformedReadingsAreNone) {
    make_two();
    read(60, kTables, false);
    EXPECT_EQ(pass_.primed(), (std::vector<uint32_t>{50}));
    const auto tables = [&](std::string_view bytes, uint64_t rows) {
        pass_.begin_reading({60, kTables});
        pass_.add_rows(bytes);
        pass_.end_reading(true, rows);
        return pass_.primed().size();
    };
    const std::string good = row(kTables, 60, 100, "x", {});
    EXPECT_EQ(tables(good, 1), 2U);
    EXPECT_EQ(tables(good, 2), 1U) << "a row is missing";
    EXPECT_EQ(tables(good.substr(0, good.size() - 1), 1), 1U);
    for (size_t size = 0; size < good.size(); ++size) {
        std::string cut = good.substr(0, size);
        if (size > 0) cut[0] = static_cast<char>(size - 1);
        tables(cut, 1);
    }
    EXPECT_EQ(tables("\x05\xff\xff\xff\xff\xff", 1), 1U) << "a key is null";
    // Of rowsets and databases that are none of its own it takes no notice.
    pass_.begin_reading({60, 77});
    pass_.add_rows("rubbish");
    pass_.end_reading(true, 1);
    pass_.begin_reading({77, kTables});
    pass_.end_reading(true, 0);
    EXPECT_EQ(tables(good, 1), 2U);
}

TEST_F(CounterPassTest, SharedRelationsAreEverybodys) {
    make_two();
    cycle();
    pass();
    for (auto& [datid, database] : databases_) {
        database.objects[100].has_entry = false;
        database.objects[100].counters = {70, 0, 0};
    }
    // Met as what it is now: without an entry of its own, with a shared one.
    now_ += kInterval;
    const std::vector<uint32_t> oids = {50, 60};
    pass_.begin(now_, kInterval, oids);
    for (const uint32_t datid : oids)
        for (const auto& [oid, object] : databases_[datid].objects)
            if (object.has_entry)
                pass_.meet(kind_of(object.rowset), datid, oid, object.counters.bytes());
    pass_.meet(StatisticsKind::kRelation, 50, 1259, Counters{}.bytes());
    pass_.meet(StatisticsKind::kRelation, 60, 1259, Counters{}.bytes());
    pass_.meet(StatisticsKind::kRelation, 0, 100, databases_[50].objects[100].counters.bytes());
    pass_.meet(StatisticsKind::kRelation, 0, 12345, Counters{1, 1, 1}.bytes());
    pass_.end();
    EXPECT_TRUE(pass_.stands_in(50));
    EXPECT_EQ(hand_over(), 2U);
    EXPECT_EQ(databases_[50].received, truth(50));
    EXPECT_EQ(databases_[60].received, truth(60));
}

// There is room for 4,096 changes and 65,536 unknown objects before one asks for more.
TEST_F(CounterPassTest, WhatHasNoRoomIsMetAgainOrComesLater) {
    databases_[50];
    auto& objects = databases_[60].objects;
    for (uint32_t oid = 10000; oid < 80000; ++oid)
        objects[oid] = {uint16_t{oid < 16000 ? kTables : uint16_t{0}}, "x", {1, 1, 1}, true};
    cycle();
    EXPECT_EQ(walks_, 2) << "70,000 are unknown";
    cycle();
    EXPECT_EQ(walks_, 1);
    const auto use_all = [&] {
        for (uint32_t oid = 10000; oid < 16000; ++oid) ++objects[oid].counters.scans;
    };
    use_all();
    EXPECT_EQ(cycle(), 6000U);
    EXPECT_EQ(walks_, 2);
    EXPECT_EQ(databases_[60].received, truth(60));
    use_all();
    EXPECT_EQ(cycle(), 6000U);
    EXPECT_EQ(walks_, 1) << "there is room for twice as many as the last time";
    EXPECT_EQ(cycle(), 0U);
    EXPECT_EQ(cycle(), 0U);
    most_walks_ = 1;
    use_all();
    EXPECT_EQ(cycle(), 4096U);
    EXPECT_EQ(cycle(), 1904U);
    EXPECT_EQ(databases_[60].received, truth(60));
    // A catalog that was written is written once, however often it is met.
    most_walks_ = 3;
    cycle();
    ++databases_[60].catalog.inserted;
    use_all();
    pass();
    EXPECT_EQ(walks_, 2);
    EXPECT_FALSE(pass_.stands_in(60));
    read_all(60);
    EXPECT_EQ(cycle(), 0U);
    EXPECT_TRUE(pass_.stands_in(60));
}

// And for 1 MiB of what changed.
TEST_F(CounterPassTest, LongOnesThatHaveNoRoomAreMetAgain) {
    for (uint32_t oid = 10000; oid < 10300; ++oid)
        databases_[60].objects[oid] = {kTables, "x", {1, 1, 1}, true};
    cycle();
    cycle();
    more_bytes_ = 4096;
    EXPECT_EQ(cycle(), 300U);
    EXPECT_EQ(walks_, 2);
    EXPECT_EQ(databases_[60].received, truth(60));
}

// Which marks of database 50 differ after something happened; those of 60 do only where `both`.
TEST_F(CounterPassTest, MarksTellWhatChanged) {
    make_two();
    databases_[50].objects[20000] = {kTables, "table", {1, 1, 0, 1}, true};
    databases_[50].objects[20001] = {0, "sequence", {1, 0, 0, 0}, true};
    for (int i = 0; i < 4; ++i) cycle();
    const auto what = [&](auto change, bool both = false) {
        const ChangeMarks before = pass_.marks(50).value();
        const ChangeMarks other = pass_.marks(60).value();
        change(databases_[50]);
        pass();
        const ChangeMarks after = pass_.marks(50).value();
        EXPECT_EQ(pass_.marks(60).value() != other, both);
        return std::string(after.definitions != before.definitions ? "d" : "") +
               (after.vacuums != before.vacuums ? "v" : "") +
               (after.sequences != before.sequences ? "s" : "");
    };
    EXPECT_EQ(what([](Database&) {}), "");
    EXPECT_EQ(what([](Database& d) { ++d.objects[20000].counters.scans; }), "");
    EXPECT_EQ(what([](Database& d) { ++d.objects[20000].counters.inserted; }), "");
    EXPECT_EQ(what([](Database& d) { ++d.objects[20000].counters.vacuums; }), "v");
    EXPECT_EQ(what([](Database& d) { ++d.objects[20001].counters.scans; }), "s");
    EXPECT_EQ(what([](Database& d) { d.objects[20001].has_entry = false; }), "s");
    EXPECT_EQ(what([](Database& d) { d.objects[20002] = {0, "new", {}, true}; }), "s");
    EXPECT_EQ(what([](Database& d) { ++d.catalog.inserted; }), "d");
    EXPECT_EQ(what([](Database& d) { ++d.catalog.vacuums; }), "v");
    EXPECT_EQ(what([](Database& d) { ++d.catalogs[1249].inserted; }), "d");
    EXPECT_EQ(what([](Database& d) { ++d.catalogs[1249].scans; }), "");
    for (const uint32_t oid : {2619U, 2840U, 3429U, 3430U, 2613U})
        EXPECT_EQ(what([&](Database& d) { ++d.catalogs[oid].inserted; }), "") << oid;
    for (const uint32_t oid : {1260U, 1213U, 6100U})
        EXPECT_EQ(what([&](Database&) { ++shared_[oid].inserted; }, true), "d") << oid;
    EXPECT_EQ(what([&](Database&) { ++shared_[1262].inserted; }), "");
    EXPECT_EQ(what([&](Database&) { ++shared_[1260].scans; }), "");
    EXPECT_FALSE(pass_.marks(70));
    pass_.forget_all();
    EXPECT_FALSE(pass_.marks(50));
}

TEST_F(CounterPassTest, ReceiverKnowsTheTruth) {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        const auto dice = [&](uint32_t sides) { return static_cast<uint32_t>(random() % sides); };
        pass_.forget_all();
        databases_.clear();
        for (uint32_t datid = 1; datid <= 3; ++datid) databases_[datid];
        for (int step = 0; step < 120; ++step) {
            for (uint32_t deed = 0; deed < dice(8); ++deed) {
                Database& database = databases_[1 + dice(3)];
                const uint32_t oid = 100 + dice(40);
                Object& object = database.objects[oid];
                constexpr uint16_t kKinds[] = {0, kTables, kIndexes, kFunctions};
                switch (dice(5)) {
                    case 0:
                        database.objects.erase(oid);
                        ++database.catalog.inserted;
                        break;
                    case 1:
                        object = {kKinds[dice(4)], "n" + std::to_string(dice(5)), {}, false};
                        ++database.catalog.inserted;
                        break;
                    default:
                        object.has_entry = true;
                        object.counters.scans = dice(3);
                        object.counters.inserted = dice(2);
                        break;
                }
                std::erase_if(database.objects,
                              [](const auto& one) { return one.second.name.empty(); });
            }
            const uint32_t datid = 1 + dice(3);
            if (dice(9) == 0) {
                databases_[datid].received.clear();
                pass_.send_whole(datid);
            }
            if (dice(15) == 0) {
                for (auto& [oid, database] : databases_) database.received.clear();
                pass_.send_all_whole();
            }
            switch (dice(8)) {
                case 0:
                    read(datid, kTables, false);
                    break;
                case 1:
                    read_all(datid);
                    break;
                case 2:
                    look_ups_work_ = false;
                    cycle();
                    look_ups_work_ = true;
                    break;
                default:
                    cycle();
                    break;
            }
        }
        for (int i = 0; i < 12; ++i) cycle();
        for (const uint32_t datid : {1U, 2U, 3U})
            EXPECT_EQ(databases_[datid].received, truth(datid)) << seed;
    }
}

TEST(ObjectTable, FindsWhatWasPutIn) {
    ObjectTable table;
    std::mt19937 random(5);
    std::map<std::pair<bool, uint32_t>, uint64_t> model;
    for (int i = 0; i < 5000; ++i) {
        const auto oid = static_cast<uint32_t>(random() % 3000);
        const bool function = random() % 2 == 0;
        const auto kind = function ? StatisticsKind::kFunction : StatisticsKind::kRelation;
        if (random() % 3 == 0) {
            if (KnownObject* object = table.find(kind, oid)) object->rowset = KnownObject::kGone;
            model.erase({function, oid});
        } else {
            KnownObject& object = table.at(kind, oid);
            object.rowset = 1;
            object.set_hash(uint64_t{random()} << 32 | random());
            model[{function, oid}] = object.hash();
        }
    }
    size_t there = 0;
    for (const KnownObject& object : table.places()) there += object.is_there() ? 1 : 0;
    EXPECT_EQ(there, model.size());
    for (uint32_t oid = 0; oid < 3000; ++oid) {
        for (const bool function : {false, true}) {
            const auto kind = function ? StatisticsKind::kFunction : StatisticsKind::kRelation;
            const auto known = model.find({function, oid});
            const KnownObject* object = table.find(kind, oid);
            ASSERT_EQ(object != nullptr, known != model.end());
            if (object != nullptr) {
                EXPECT_EQ(object->hash(), known->second);
            }
        }
    }
    static_assert(sizeof(KnownObject) == 20);
}

}  // namespace
}  // namespace pganalytics
