// The envelope's pieces put together, judged by another parser. (The schema check of whole
// payloads is in tests/ship.)
#include "pganalytics/core/envelope.hpp"

#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace pganalytics {
namespace {

using enum ColumnType;
constexpr Column kColumns[] = {
    {"relid", "", kOid, Kind::kKey, "", ""},
    {"relname", "", kText, Kind::kLabel, "", ""},
    {"seq_scan", "", kInt64, Kind::kCounter, "", ""},
};
const Column* const kAll[] = {&kColumns[0], &kColumns[1], &kColumns[2]};

std::vector<Value> row(int64_t relid, std::string_view relname, int64_t seq_scan) {
    std::vector<Value> values(3);
    for (Value& value : values) value.null = false;
    values[0].integer = relid;
    values[1].text = relname;
    values[2].integer = seq_scan;
    return values;
}

std::string drained(ColumnarRowset& rowset) {
    std::string out;
    rowset.drain([&out](std::string_view piece) { out.append(piece); });
    return out;
}

TEST(ColumnarRowset, MakesOneArrayAColumn) {
    ColumnarRowset rowset(kAll);
    EXPECT_EQ(rowset.bytes(), drained(rowset).size());
    rowset.add(row(16384, "a\"b", -1));
    std::vector<Value> second = row(16385, "c", 0);
    second[2].null = true;
    rowset.add(second);
    EXPECT_EQ(rowset.rows(), 2U);
    const size_t bytes = rowset.bytes();
    const std::string json = drained(rowset);
    EXPECT_EQ(json, R"({"relid":[16384,16385],"relname":["a\"b","c"],"seq_scan":[-1,null]})");
    EXPECT_EQ(bytes, json.size());
    EXPECT_EQ(rowset.rows(), 0U);
    EXPECT_EQ(drained(rowset), R"({"relid":[],"relname":[],"seq_scan":[]})");
}

TEST(Envelope, PiecesMakeOneDocument) {
    EnvelopeHead head;
    head.hostname = "db \"1\"\n";
    head.time = 1'771'583'400'000'000;
    head.version = "1.0.0";
    head.system_identifier = "7123456789012345678";
    head.in_recovery = true;
    head.snapshot_id.fill(0x11);
    head.incarnation.fill(0x22);
    head.cycle.fill(0x33);
    head.config_version = 7;
    EnvelopeTail tail;
    tail.metrics_count = 2;
    tail.part = 2;
    tail.parts = 3;
    tail.sequence = 18446744073709551615U;
    tail.collector_id.fill(0x44);
    const std::string json = envelope_head(head) + entry_head("pg_stats", head.time, "app", 16384) +
                             "}," + entry_head("sysstat", head.time + 1, std::nullopt) + "}" +
                             envelope_tail(tail);
    rapidjson::Document document;
    document.Parse<rapidjson::kParseValidateEncodingFlag>(json.data(), json.size());
    ASSERT_FALSE(document.HasParseError()) << json;
    EXPECT_STREQ(document["hostname"].GetString(), "db \"1\"\n");
    EXPECT_STREQ(document["timestamp"].GetString(), "2026-02-20T10:30:00.000Z");
    EXPECT_STREQ(document["system_identifier"].GetString(), "7123456789012345678");
    EXPECT_TRUE(document["in_recovery"].GetBool());
    EXPECT_STREQ(document["snapshot_id"].GetString(), "11111111-1111-1111-1111-111111111111");
    EXPECT_STREQ(document["collector_id"].GetString(), "44444444-4444-4444-4444-444444444444");
    EXPECT_EQ(document["sequence"].GetUint64(), 18446744073709551615U);
    EXPECT_EQ(document["part"].GetInt(), 2);
    EXPECT_EQ(document["parts"].GetInt(), 3);
    EXPECT_EQ(document["metrics_count"].GetInt(), 2);
    EXPECT_EQ(document["config_version"].GetInt(), 7);
    ASSERT_EQ(document["metrics"].Size(), 2U);
    EXPECT_STREQ(document["metrics"][0]["datname"].GetString(), "app");
    EXPECT_EQ(document["metrics"][0]["datid"].GetUint(), 16384U);
    EXPECT_FALSE(document["metrics"][1].HasMember("datname"));
    EXPECT_FALSE(document["metrics"][1].HasMember("datid"));
    EXPECT_STREQ(document["metrics"][1]["timestamp"].GetString(), "2026-02-20T10:30:00.000001Z");
}

}  // namespace
}  // namespace pganalytics
