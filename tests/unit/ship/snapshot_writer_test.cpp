// Snapshots as gzip, python and sha256sum see them.
#include "pganalytics/ship/snapshot_writer.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <map>
#include <set>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/ordered_key.hpp"
#include "support/command.hpp"

namespace pganalytics::ship {
namespace {

using pganalytics::testing::read_text;
using pganalytics::testing::run_command;
using pganalytics::testing::TemporaryFolder;
using pganalytics::testing::write_text;
using enum ColumnType;

constexpr Column kColumns[] = {
    {"datid", "", kOid, Kind::kKey, "", ""},
    {"relid", "", kOid, Kind::kKey, "", ""},
    {"relname", "", kText, Kind::kLabel, "", ""},
    {"seq_scan", "", kInt64, Kind::kCounter, "", ""},
};
const Column* const kAll[] = {&kColumns[0], &kColumns[1], &kColumns[2], &kColumns[3]};

std::vector<std::string> rows_of(uint32_t first, size_t count, std::string_view name) {
    const std::vector<ColumnType> types = types_of(kAll);
    std::vector<std::string> bodies;
    for (size_t i = 0; i < count; ++i) {
        RowBuilder builder(types);
        builder.begin();
        builder.number(16384);
        builder.number(first + i);
        builder.text(name);
        builder.integer(static_cast<int64_t>(i) - 1);
        builder.end();
        RowReader reader(builder.rows());
        std::string_view body;
        EXPECT_TRUE(reader.next(body));
        bodies.emplace_back(body);
    }
    return bodies;
}

std::string gone_key(uint32_t relid) {
    Value values[2];
    values[0].null = values[1].null = false;
    values[0].integer = 16384;
    values[1].integer = relid;
    std::string key;
    append_ordered_key(key, types_of(std::span(kAll).first(2)), values);
    return key;
}

SnapshotOptions options(size_t slice_bytes = kSliceBytes) {
    SnapshotOptions made;
    made.head.hostname = "db-1";
    made.head.time = 1'771'583'400'000'000;
    made.head.cycle.fill(7);
    made.slice_bytes = slice_bytes;
    made.new_id = [n = uint8_t{0}]() mutable {
        Uuid id{};
        id[15] = ++n;
        return id;
    };
    return made;
}

RowsetPart part_of(std::string_view name, std::span<const std::string_view> rows, bool full,
                   std::span<const std::string_view> gone = {}) {
    RowsetPart part;
    part.group = {static_cast<uint16_t>(name.size()), 16384};
    part.type = "pg_stats";
    part.name = name;
    part.datname = "app";
    part.time = 1'771'583'400'500'000;
    part.columns = kAll;
    part.keys = 2;
    part.full = full;
    part.complete = true;
    part.rows = rows;
    part.gone = gone;
    return part;
}

std::vector<std::string_view> views(const std::vector<std::string>& texts) {
    return {texts.begin(), texts.end()};
}

// The JSON by gunzip, which also checks the stream; its digest by sha256sum.
rapidjson::Document document_of(const Snapshot& snapshot) {
    const TemporaryFolder folder;
    write_text(folder / "body.gz", snapshot.body);
    EXPECT_EQ(run_command("gzip -t " + folder / "body.gz").output, "");
    EXPECT_EQ(run_command("gunzip -k " + folder / "body.gz").status, 0);
    const std::string json = read_text(folder / "body");
    EXPECT_EQ(json.size(), snapshot.bytes_json);
    EXPECT_EQ(run_command("sha256sum < " + folder / "body").output.substr(0, 64),
              hex_text(snapshot.digest));
    rapidjson::Document document;
    document.Parse<rapidjson::kParseValidateEncodingFlag>(json.data(), json.size());
    EXPECT_FALSE(document.HasParseError());
    return document;
}

TEST(SnapshotWriter, PutsRowsetsOfOneDatabaseIntoOneEntry) {
    const std::vector<std::string> rows = rows_of(20000, 3, "it's \"x\"");
    const std::vector<std::string> keys = {gone_key(5), gone_key(7)};
    SnapshotWriter writer(options());
    EXPECT_TRUE(writer.add(part_of("tables", views(rows), true)));
    EXPECT_TRUE(writer.add(part_of("indexes", {}, false, views(keys))));
    RowsetPart host = part_of("cpu", {}, true);
    host.type = "sysstat";
    host.datname.reset();
    host.complete = false;
    EXPECT_TRUE(writer.add(host));
    Uuid collector{};
    collector.fill(0x44);
    uint64_t sequence = 10;
    const std::vector<Snapshot> snapshots = writer.finish(collector, sequence);
    ASSERT_EQ(snapshots.size(), 1U);
    EXPECT_EQ(sequence, 11U);
    EXPECT_EQ(snapshots[0].sequence, 10U);
    EXPECT_EQ(snapshots[0].rows, 3U);
    EXPECT_EQ(snapshots[0].groups.size(), 3U);
    const rapidjson::Document json = document_of(snapshots[0]);
    EXPECT_STREQ(json["collector_id"].GetString(), "44444444-4444-4444-4444-444444444444");
    EXPECT_EQ(json["sequence"].GetInt(), 10);
    EXPECT_EQ(json["metrics_count"].GetInt(), 2);
    EXPECT_EQ(json["parts"].GetInt(), 1);
    const auto& app = json["metrics"][0];
    EXPECT_STREQ(app["datname"].GetString(), "app");
    EXPECT_STREQ(app["timestamp"].GetString(), "2026-02-20T10:30:00.500Z");
    const auto& tables = app["tables"];
    EXPECT_TRUE(tables["full"].GetBool());
    EXPECT_EQ(tables["columns"]["relid"][2].GetInt(), 20002);
    EXPECT_STREQ(tables["columns"]["relname"][0].GetString(), "it's \"x\"");
    EXPECT_EQ(tables["columns"]["seq_scan"][0].GetInt(), -1);
    EXPECT_FALSE(tables.HasMember("gone"));
    const auto& indexes = app["indexes"];
    EXPECT_FALSE(indexes["full"].GetBool());
    EXPECT_EQ(indexes["gone"]["relid"][1].GetInt(), 7);
    EXPECT_EQ(indexes["gone"]["datid"].Size(), 2U);
    EXPECT_EQ(indexes["columns"].MemberCount(), 0U);
    const auto& cpu = json["metrics"][1]["cpu"];
    EXPECT_FALSE(cpu["complete"].GetBool());
    EXPECT_EQ(cpu["columns"]["relid"].Size(), 0U);
}

TEST(SnapshotWriter, RowsLeftOutAreCountedAndProveNothingGone) {
    SnapshotWriter writer(options());
    const std::vector<std::string> rows = rows_of(20000, 1, "t");
    const std::vector<std::string_view> bodies = views(rows);
    RowsetPart part = part_of("tables", bodies, true);
    part.left_out = 12;
    EXPECT_TRUE(writer.add(part));
    RowsetPart cut = part_of("indexes", bodies, true);
    cut.left_out = 12;
    cut.complete = false;
    EXPECT_TRUE(writer.add(cut));
    uint64_t sequence = 1;
    const rapidjson::Document json = document_of(writer.finish(Uuid{}, sequence)[0]);
    const auto& tables = json["metrics"][0]["tables"];
    EXPECT_FALSE(tables["complete"].GetBool());
    EXPECT_EQ(tables["left_out"].GetInt(), 12);
    // What an error cut is more than that.
    EXPECT_FALSE(json["metrics"][0]["indexes"].HasMember("left_out"));
}

TEST(SnapshotWriter, AnEmptyCycleIsStillASnapshot) {
    SnapshotWriter writer(options());
    uint64_t sequence = 1;
    const std::vector<Snapshot> snapshots = writer.finish(Uuid{}, sequence);
    ASSERT_EQ(snapshots.size(), 1U);
    const rapidjson::Document json = document_of(snapshots[0]);
    EXPECT_EQ(json["metrics"].Size(), 0U);
    EXPECT_EQ(json["metrics_count"].GetInt(), 0);
}

// Cut between rows; nothing lost, nothing twice, each part says the same time.
TEST(SnapshotWriter, CutsALargeCycle) {
    constexpr size_t kRows = 5000;
    constexpr size_t kSlice = 64 << 10;
    const std::vector<std::string> first = rows_of(1, 10, "first");
    const std::vector<std::string> rows = rows_of(20000, kRows, "a name of some length");
    std::vector<std::string> keys;
    for (uint32_t i = 0; i < kRows; ++i) keys.push_back(gone_key(100000 + i));
    SnapshotWriter writer(options(kSlice));
    EXPECT_TRUE(writer.add(part_of("tables", views(first), true)));
    const std::vector<std::string_view> row_views = views(rows);
    const std::vector<std::string_view> key_views = views(keys);
    RowsetPart later = part_of("relations", row_views, false, key_views);
    later.time += 77;
    EXPECT_TRUE(writer.add(later));
    uint64_t sequence = 1;
    const std::vector<Snapshot> snapshots = writer.finish(Uuid{}, sequence);
    ASSERT_GT(snapshots.size(), 3U);
    EXPECT_EQ(sequence, snapshots.size() + 1);
    std::set<int> relids;
    std::set<int> gone;
    std::set<std::string> ids;
    std::set<std::string> times;
    size_t counted = 0;
    for (size_t i = 0; i < snapshots.size(); ++i) {
        const rapidjson::Document json = document_of(snapshots[i]);
        EXPECT_LT(snapshots[i].bytes_json, kSlice + 1000);
        EXPECT_EQ(json["part"].GetUint64(), i + 1);
        EXPECT_EQ(json["parts"].GetUint64(), snapshots.size());
        EXPECT_STREQ(json["cycle"].GetString(), "07070707-0707-0707-0707-070707070707");
        ids.insert(json["snapshot_id"].GetString());
        ASSERT_EQ(json["metrics"].Size(), 1U);
        times.insert(json["metrics"][0]["timestamp"].GetString());
        counted += snapshots[i].rows;
        const auto& relations = json["metrics"][0]["relations"];
        const auto& columns = relations["columns"];
        if (columns.MemberCount() > 0) {
            for (const auto& relid : columns["relid"].GetArray()) {
                EXPECT_TRUE(relids.insert(relid.GetInt()).second);
            }
            EXPECT_EQ(columns["relid"].Size(), columns["seq_scan"].Size());
        }
        if (!relations.HasMember("gone")) continue;
        for (const auto& relid : relations["gone"]["relid"].GetArray())
            EXPECT_TRUE(gone.insert(relid.GetInt()).second);
    }
    EXPECT_EQ(relids.size(), kRows);
    EXPECT_EQ(gone.size(), kRows);
    EXPECT_EQ(counted, kRows + first.size());
    EXPECT_EQ(ids.size(), snapshots.size());
    EXPECT_EQ(times.size(), 1U);
}

TEST(SnapshotWriter, AlsoCutsByTheNumberOfValues) {
    const std::vector<std::string> rows = rows_of(0, kSliceValues / 4 + 5, "");
    SnapshotWriter writer(options(size_t{1} << 30));
    EXPECT_TRUE(writer.add(part_of("tables", views(rows), true)));
    uint64_t sequence = 1;
    EXPECT_EQ(writer.finish(Uuid{}, sequence).size(), 2U);
}

TEST(SnapshotWriter, SaysWhenARowIsMalformed) {
    std::vector<std::string> rows = rows_of(1, 2, "x");
    rows.push_back(rows[0] + "y");
    SnapshotWriter writer(options());
    EXPECT_FALSE(writer.add(part_of("tables", views(rows), true)));
    uint64_t sequence = 1;
    const std::vector<Snapshot> snapshots = writer.finish(Uuid{}, sequence);
    EXPECT_EQ(document_of(snapshots[0])["metrics"][0]["tables"]["columns"]["relid"].Size(), 2U);
}

}  // namespace
}  // namespace pganalytics::ship
