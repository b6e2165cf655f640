// A refused snapshot in halves: nothing missing, nothing twice, the same each time.
#include "pganalytics/ship/snapshot_split.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

#include <set>

#include "pganalytics/net/sha256.hpp"
#include "split_fixture.hpp"

namespace pganalytics::ship {
namespace {

const std::vector<std::string> kNames = {"pg_stats.tables",   "pg_stats.indexes", "pg_stats.server",
                                         "sysstat.cpu",       "sysstat.load",     "pg_log.events",
                                         "pg_stats.databases"};

std::vector<Snapshot> leaves_of(const Snapshot& whole) {
    std::optional<SnapshotHalves> halves = split_snapshot(whole);
    if (!halves) return {whole};
    std::vector<Snapshot> leaves = leaves_of((*halves)[0]);
    for (Snapshot& one : leaves_of((*halves)[1])) leaves.push_back(std::move(one));
    return leaves;
}

// "type.name=value" of its rowsets.
std::vector<std::string> rowsets_of(const Snapshot& snapshot) {
    const std::string json = json_of(snapshot);
    rapidjson::Document document;
    document.Parse(json.c_str());
    EXPECT_FALSE(document.HasParseError()) << json;
    EXPECT_EQ(document["metrics_count"].GetUint(), document["metrics"].Size());
    EXPECT_EQ(document["snapshot_id"].GetString(), uuid_text(snapshot.snapshot_id));
    EXPECT_EQ(document["sequence"].GetUint64(), snapshot.sequence);
    EXPECT_STREQ(document["hostname"].GetString(), "db \"1\"\\");
    std::vector<std::string> found;
    for (const auto& entry : document["metrics"].GetArray()) {
        EXPECT_STREQ(entry["datname"].GetString(), "app");
        EXPECT_EQ(entry["datid"].GetUint(), 16384U);
        for (const auto& member : entry.GetObject()) {
            if (!member.value.IsObject()) continue;
            const auto& texts = member.value["columns"]["datname"];
            found.push_back(std::string(entry["type"].GetString()) + "." + member.name.GetString() +
                            "=" + texts[1].GetString());
        }
    }
    return found;
}

TEST(SnapshotSplit, GoesDownToTheRowset) {
    const Snapshot whole = snapshot_of_rowsets(kNames);
    const std::vector<Snapshot> leaves = leaves_of(whole);
    ASSERT_EQ(leaves.size(), kNames.size());
    std::set<Uuid> ids = {whole.snapshot_id};
    std::set<uint64_t> sequences = {whole.sequence};
    std::vector<std::string> rowsets;
    uint64_t rows = 0;
    std::set<RowsetGroup> groups;
    for (const Snapshot& leaf : leaves) {
        EXPECT_TRUE(ids.insert(leaf.snapshot_id).second);
        EXPECT_TRUE(sequences.insert(leaf.sequence).second);
        EXPECT_LE(leaf.sequence, uint64_t{INT64_MAX});
        EXPECT_EQ(leaf.sequence & 0xffffffff, whole.sequence);
        EXPECT_EQ(leaf.collector_id, whole.collector_id);
        EXPECT_EQ(leaf.time, whole.time);
        const std::string json = json_of(leaf);
        EXPECT_EQ(leaf.digest, net::sha256(json));
        EXPECT_EQ(leaf.bytes_json, json.size());
        for (std::string& one : rowsets_of(leaf)) rowsets.push_back(std::move(one));
        rows += leaf.rows;
        groups.insert(leaf.groups.begin(), leaf.groups.end());
    }
    EXPECT_EQ(rowsets, rowsets_of(whole));
    EXPECT_EQ(rows, whole.rows);
    // Of one the catalog does not know nobody can be asked.
    for (const RowsetGroup& group : whole.groups)
        EXPECT_EQ(groups.contains(group), group.rowset != 9999);
}

TEST(SnapshotSplit, IsTheSameEachTime) {
    const Snapshot whole = snapshot_of_rowsets(kNames);
    const std::vector<Snapshot> once = leaves_of(whole);
    const std::vector<Snapshot> again = leaves_of(whole);
    for (size_t i = 0; i < once.size(); ++i) {
        EXPECT_EQ(once[i].snapshot_id, again[i].snapshot_id);
        EXPECT_EQ(once[i].sequence, again[i].sequence);
        EXPECT_EQ(once[i].digest, again[i].digest);
    }
}

TEST(SnapshotSplit, OneRowsetIsNotSplit) {
    EXPECT_FALSE(split_snapshot(snapshot_of_rowsets({"pg_stats.tables"})));
    EXPECT_FALSE(split_snapshot(snapshot_of_rowsets({})));
    Snapshot deep = snapshot_of_rowsets(kNames);
    deep.sequence |= uint64_t{1} << 62;
    EXPECT_FALSE(split_snapshot(deep)) << "no numbers are left";
}

TEST(SnapshotSplit, ACycleInSeveralPushesIsNotWholeWithoutBothHalves) {
    const auto parts = [](const Snapshot& one) {
        rapidjson::Document document;
        document.Parse(json_of(one).c_str());
        return document["parts"].GetUint();
    };
    const Snapshot alone = snapshot_of_rowsets(kNames);
    EXPECT_EQ(parts((*split_snapshot(alone))[1]), 1U);
    const Snapshot first = snapshot_of_rowsets(kNames, 400);
    ASSERT_GT(parts(first), 1U);
    EXPECT_EQ(parts((*split_snapshot(first))[0]), parts(first) + 1);
}

TEST(SnapshotSplit, TakesNothingElseForASnapshot) {
    Snapshot other = snapshot_of_rowsets({"pg_stats.tables", "sysstat.cpu"});
    const std::string json = json_of(other);
    other.body = "body";
    EXPECT_FALSE(split_snapshot(other));
    const size_t whole = json.rfind('}');
    for (size_t length = 0; length <= whole; length += 3) {
        other.body = net::gzip(std::string_view(json).substr(0, length));
        ASSERT_FALSE(split_snapshot(other)) << length;
    }
    for (size_t i = 0; i < json.size(); i += 2) {
        std::string changed = json;
        changed[i] = "{}[]\",:\\x"[i % 9];
        other.body = net::gzip(changed);
        static_cast<void>(split_snapshot(other));
    }
    other.body = net::gzip(std::string(1'000'000, '['));
    EXPECT_FALSE(split_snapshot(other));
}

}  // namespace
}  // namespace pganalytics::ship
