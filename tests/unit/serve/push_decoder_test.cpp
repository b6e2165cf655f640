// Pushes taken apart: both forms of a rowset, types kept exactly, whatever is unknown counted,
// whatever is wrong refused with its place.
#include "pganalytics/serve/push_decoder.hpp"

#include "push_fixture.hpp"

namespace pganalytics::serve {
namespace {

TEST(PushDecoder, Envelope) {
    const auto targets = catalog_targets();
    const Push push = push_of(
        envelope("[]",
                 R"(,"hostname":"db-1","version":"1.0.0","system_identifier":"7123",)"
                 R"("in_recovery":true,"snapshot_id":"00000000-0000-0000-0000-000000000001",)"
                 R"("incarnation":"00000000-0000-0000-0000-000000000002","sequence":1234,)"
                 R"("cycle":"00000000-0000-0000-0000-000000000003","part":2,"parts":3,)"
                 R"("config_version":9223372036854775807,"metrics_count":0,"new":{"a":[1,{}]})"),
        *targets);
    const Envelope& envelope = push.envelope;
    EXPECT_EQ(uuid_text(*envelope.collector_id), kCollector);
    EXPECT_EQ(envelope.timestamp, kNow);
    EXPECT_EQ(envelope.hostname, "db-1");
    EXPECT_EQ(envelope.version, "1.0.0");
    EXPECT_EQ(envelope.system_identifier, "7123");
    EXPECT_EQ(envelope.in_recovery, true);
    EXPECT_EQ((*envelope.snapshot_id)[15], 1);
    EXPECT_EQ((*envelope.incarnation)[15], 2);
    EXPECT_EQ((*envelope.cycle)[15], 3);
    EXPECT_EQ(envelope.sequence, 1234U);
    EXPECT_EQ(envelope.part, 2U);
    EXPECT_EQ(envelope.parts, 3U);
    EXPECT_EQ(envelope.config_version, static_cast<uint64_t>(INT64_MAX));
}

TEST(PushDecoder, EnvelopeOfOlderCollectors) {
    EXPECT_EQ(problem_of(envelope("[]")), "");
    EXPECT_EQ(problem_of(envelope("null")), "");
    EXPECT_EQ(problem_of(envelope("[]", R"(,"hostname":null,"sequence":null)")), "");
}

TEST(PushDecoder, EnvelopeRefused) {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"{}", "collector_id missing"},
        {R"({"collector_id":"x"})", "collector_id: UUID expected"},
        {R"({"collector_id":5})", "collector_id: string expected"},
        {R"({"collector_id":"0192d3a4-5b6c-7d8e-9f00-112233445566"})", "timestamp missing"},
        {R"({"timestamp":"yesterday"})", "timestamp: time in RFC 3339 form expected"},
        {R"({"timestamp":"2026-02-20 10:30:00"})", "timestamp: time in RFC 3339 form expected"},
        {R"({"hostname":["x"]})", "hostname: string expected"},
        {R"({"hostname":")" + std::string(256, 'h') + "\"}", "hostname: string too long"},
        {R"({"hostname":")" + std::string(255, 'h') + "\"}", "collector_id missing"},
        {R"({"in_recovery":1})", "in_recovery: true or false expected"},
        {R"({"sequence":-1})", "sequence: integer without sign expected"},
        {R"({"sequence":1.0})", "sequence: integer without sign expected"},
        {R"({"sequence":"1"})", "sequence: integer without sign expected"},
        {R"({"sequence":9223372036854775808})", "sequence: integer without sign expected"},
        {R"({"metrics":{}})", "metrics: array expected"},
        {R"({"metrics":"x"})", "metrics: array expected"},
        {R"({"metrics":[1]})", "metrics[0]: object expected"},
        {R"({"metrics":[[]]})", "metrics[0]: object expected"},
        {R"({"metrics":[null]})", "metrics[0]: object expected"},
        {envelope("[]", ",\"metrics_count\":1"), "metrics_count is not the number of metrics"},
        {envelope("[]", ",\"part\":2,\"parts\":1"), "part and parts do not fit"},
        {envelope("[]", ",\"part\":0"), "part and parts do not fit"},
        {"[]", "object expected"},
        {"null", "object expected"},
        {"1", "object expected"},
        {"\"x\"", "object expected"},
        {"", "empty"},
    };
    for (const auto& [body, reason] : cases) {
        EXPECT_NE(problem_of(body).find(reason), std::string::npos) << body << problem_of(body);
    }
}

TEST(PushDecoder, ColumnsAndObjectsGiveTheSameRows) {
    const std::string columns =
        tables(R"("datid":[16384,16384],"relid":[16390,16391],"schemaname":["public","a \"b\"\n"],)"
               R"("relname":["orders","\ud83d\ude00"],"seq_scan":[42,null],)"
               R"("last_vacuum":[null,"2026-02-20T10:00:00.123456Z"])");
    const std::string objects = envelope(
        R"([{"type":"pg_stats","timestamp":"2026-02-20T10:29:00Z","datname":"app","tables":[)"
        R"({"datid":16384,"relid":16390,"schemaname":"public","relname":"orders","seq_scan":42},)"
        R"({"relname":"😀","schemaname":"a \"b\"\n","relid":16391,"datid":16384,)"
        R"("last_vacuum":"2026-02-20T10:00:00.123456Z"}]}])");
    const std::vector<Row> rows = rows_of(columns);
    const std::vector<Row> other = rows_of(objects);
    ASSERT_EQ(rows.size(), 2U);
    ASSERT_EQ(other.size(), 2U);
    EXPECT_EQ(rows[0].fields, other[0].fields);
    EXPECT_EQ(rows[1].fields, other[1].fields);
    EXPECT_EQ(field_of(rows[0], "datname"), "app");
    EXPECT_EQ(field_of(rows[0], "schemaname"), "public");
    EXPECT_EQ(field_of(rows[1], "schemaname"), "a \"b\"\n");
    EXPECT_EQ(field_of(rows[1], "relname"), "\xf0\x9f\x98\x80");
    EXPECT_EQ(big_endian(*field_of(rows[0], "seq_scan")), 42U);
    EXPECT_EQ(field_of(rows[1], "seq_scan"), std::nullopt);
    EXPECT_EQ(field_of(rows[0], "n_tup_ins"), std::nullopt);
    // Microseconds since 2000.
    EXPECT_EQ(big_endian(*field_of(rows[1], "last_vacuum")), 824'896'800'123'456U);
    EXPECT_EQ(big_endian(*field_of(rows[0], "time")), 824'898'540'000'000U);
}

TEST(PushDecoder, NumbersAreExact) {
    const auto rows = rows_of(
        tables(R"("datid":[0,4294967295,1],)"
               R"("seq_scan":[9223372036854775807,-9223372036854775808,-8878074361178081634])"));
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(big_endian(*field_of(rows[0], "seq_scan")), 0x7fffffffffffffffU);
    EXPECT_EQ(big_endian(*field_of(rows[1], "seq_scan")), 0x8000000000000000U);
    EXPECT_EQ(static_cast<int64_t>(big_endian(*field_of(rows[2], "seq_scan"))),
              -8878074361178081634);
    EXPECT_EQ(big_endian(*field_of(rows[1], "datid")), 0xffffffffU);
}

TEST(PushDecoder, WrongValuesAreRefusedWithTheirPlace) {
    const auto column = [](const std::string& text) { return tables(text); };
    const std::vector<std::pair<std::string, std::string>> cases = {
        {column(R"("seq_scan":[1,2,"3"])"), "metrics[0].tables.seq_scan[2]: integer of 64 bits"},
        {column(R"("seq_scan":[1.5])"), "metrics[0].tables.seq_scan[0]: integer of 64 bits"},
        {column(R"("seq_scan":[1e3])"), "integer of 64 bits expected"},
        {column(R"("seq_scan":[true])"), "integer of 64 bits expected"},
        {column(R"("seq_scan":[[1]])"), "value of another type expected"},
        {column(R"("seq_scan":[{}])"), "value of another type expected"},
        {column(R"("seq_scan":[9223372036854775808])"), "integer of 64 bits expected"},
        {column(R"("seq_scan":[-9223372036854775809])"), "integer of 64 bits expected"},
        {column(R"("datid":[-1])"), "integer of 32 bits without sign expected"},
        {column(R"("datid":[4294967296])"), "integer of 32 bits without sign expected"},
        {column(R"("relname":[5])"), "string expected"},
        {column(R"("relname":[false])"), "string expected"},
        {column(R"("last_vacuum":["never"])"), "time in RFC 3339 form expected"},
        {column(R"("last_vacuum":["2026-02-30T00:00:00Z"])"), "time in RFC 3339 form expected"},
        {column(R"("last_vacuum":[1771583400])"), "time in RFC 3339 form expected"},
        {column(R"("seq_scan":1)"), "metrics[0].tables.seq_scan: array expected"},
        {column(R"("seq_scan":{"a":1})"), "array expected"},
        {column(R"("seq_scan":null)"), "array expected"},
        {column(R"("seq_scan":[1],"datid":[1,2])"), "columns of one rowset differ in length"},
        {column(R"("seq_scan":[1,2],"datid":[])"), "columns of one rowset differ in length"},
        {tables("", R"(,"full":1)"), "true or false expected"},
        {tables("", R"(,"complete":"yes")"), "true or false expected"},
        {tables("", R"(,"gone":[])"), "object expected"},
        {tables("", R"(,"gone":{"relid":["x"]})"),
         "metrics[0].tables.gone.relid[0]: integer of 32 bits"},
        {tables("", R"(,"gone":{"relid":[1],"datid":[]})"), "differ in length"},
        {tables("", R"(,"left_out":-1)"), "integer without sign expected"},
        {tables("", R"(,"left_out":9223372036854775808)"), "integer without sign expected"},
        {tables("", R"(,"left_out":true)"), "integer without sign expected"},
        {envelope(R"([{"type":"pg_stats","tables":5}])"), "object or array expected"},
        {envelope(R"([{"type":"pg_stats","tables":{"columns":[]}}])"), "object expected"},
        {envelope(R"([{"type":"pg_stats","tables":[5]}])"), "metrics[0].tables[0]: object"},
        {envelope(R"([{"type":"pg_stats","tables":[{"seq_scan":1},{"seq_scan":"x"}]}])"),
         "metrics[0].tables[1].seq_scan: integer of 64 bits"},
        {envelope(R"([{"type":"pg_stats","timestamp":"x"}])"), "metrics[0]: time in RFC 3339"},
        {envelope(R"([{"type":"pg_stats","timestamp":5}])"), "string expected"},
        {envelope(R"([{"type":"pg_stats","datid":"x"}])"), "integer without sign expected"},
        {envelope(R"([{"tables":[]}])"), "entry without a plain type"},
        {envelope(R"([{"type":5}])"), "entry without a plain type"},
        {envelope(R"([{"type":"pg_\u0073tats"}])"), "entry without a plain type"},
        {envelope(R"([{"type":""}])"), "entry without a plain type"},
    };
    for (const auto& [body, reason] : cases) {
        EXPECT_NE(problem_of(body).find(reason), std::string::npos) << body << problem_of(body);
    }
}

TEST(PushDecoder, MembersInAnyOrder) {
    // As a sender whose JSON library sorts keys: rowsets before "type", braces in strings.
    const auto rows = rows_of(envelope(
        R"([{"a":"}\"]","b":[{"type":"sysstat"},"]"],"datname":"x","tables":[{"relid":7}],)"
        R"("timestamp":"2026-02-20T10:29:00Z", "type" : "pg_stats" }])"));
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(big_endian(*field_of(rows[0], "relid")), 7U);
    EXPECT_EQ(field_of(rows[0], "datname"), "x");
}

TEST(PushDecoder, SeveralEntriesOfOneRowset) {
    const auto rows = rows_of(envelope(
        R"([{"type":"pg_stats","datname":"a","tables":{"columns":{"relid":[1,2]}}},)"
        R"({"type":"pg_stats","datname":"b","tables":{"columns":{"seq_scan":[5],"relid":[3]}}},)"
        R"({"type":"pg_stats","datname":"c","tables":[{"relid":4},{},{"seq_scan":null},)"
        R"({"relid":5,"relname":"last"}]}])"));
    ASSERT_EQ(rows.size(), 5U);
    for (size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(big_endian(*field_of(rows[i], "relid")), i + 1);
    }
    EXPECT_EQ(field_of(rows[1], "datname"), "a");
    EXPECT_EQ(field_of(rows[2], "datname"), "b");
    EXPECT_EQ(field_of(rows[4], "datname"), "c");
    EXPECT_EQ(field_of(rows[0], "seq_scan"), std::nullopt);
    EXPECT_EQ(big_endian(*field_of(rows[2], "seq_scan")), 5U);
    EXPECT_EQ(field_of(rows[3], "seq_scan"), std::nullopt);
    EXPECT_EQ(field_of(rows[4], "relname"), "last");
}

TEST(PushDecoder, UnknownIsCountedAndNeverAnError) {
    const auto targets = catalog_targets();
    const Push push = push_of(
        envelope(R"([{"type":"pg_new","x":[{"deep":[[{}]]}],"tables":"any"},)"
                 R"({"type":"pg_new"},)"
                 R"({"type":"pganalytics","gone":[{"rowset":"x"}]},)"
                 R"({"type":"pg_stats","hostname":"h","collector_id":"c","newset":[1,2],)"
                 R"("tables":{"columns":{"relid":[1],"new":[{"a":1}],"newer":"x"},"odd":1}},)"
                 R"({"type":"pg_stats","tables":[{"relid":1,"new":[1]},{"relid":2,"new":{}}]},)"
                 R"({"type":"sysstat","cpu":{"user":1.5,"<b>\u0007":2}}])"),
        *targets);
    EXPECT_EQ(push.unknown.json(),
              R"({"types":{"pg_new":2},"rowsets":{"pg_stats.newset":1,"pganalytics.gone":1},)"
              R"("columns":{"pg_stats.tables.new":3,"pg_stats.tables.newer":1,)"
              R"("pg_stats.tables.odd":1,"sysstat.cpu.user":1},"others":1})");
    EXPECT_EQ(push.rowsets.size(), 2U);
    EXPECT_EQ(push.rowsets[0].rows, 3U);
    EXPECT_EQ(push.rowsets[1].rows, 0U);
}

TEST(PushDecoder, ManyUnknownNamesAreBounded) {
    std::string columns = "\"relid\":[1]";
    for (int i = 0; i < 200; ++i) columns += ",\"new" + std::to_string(i) + "\":[1]";
    const auto targets = catalog_targets();
    const Push push = push_of(tables(columns), *targets);
    const std::string json = push.unknown.json();
    EXPECT_LT(json.size(), 4000U);
    EXPECT_NE(json.find("\"others\":136"), std::string::npos) << json;
}

TEST(PushDecoder, LongUnknownNamesAreNotRepeated) {
    // Three names of 63 bytes and two dots.
    const auto targets = catalog_targets();
    const std::string longest(3 * kNameBytes + 2, 'x');
    const Push push = push_of(
        envelope("[{\"type\":\"" + longest + "\"},{\"type\":\"y" + longest + "\"}]"), *targets);
    EXPECT_EQ(push.unknown.json(), "{\"types\":{\"" + longest + "\":1},\"others\":1}");
}

TEST(PushDecoder, CellsAreBounded) {
    // One short column, rows as wide as the table: 250,000 rows of pg_stats.tables.
    std::string zeros = "0";
    for (int i = 1; i < 400'000; ++i) zeros += ",0";
    EXPECT_NE(problem_of(tables("\"seq_scan\":[" + zeros + "]")).find("too many rows"),
              std::string::npos);
    EXPECT_EQ(problem_of(tables("\"seq_scan\":[" + zeros.substr(0, 300'000) + "0]")), "");
}

TEST(PushDecoder, FamilyForms) {
    // Empty text for no time, the server's own text for a time, "database" for the name.
    const auto rows = rows_of(
        envelope(R"([{"type":"pg_stats","database":"app","tables":[{"relid":1,"last_vacuum":"",)"
                 R"("last_analyze":"2026-02-20 10:00:00.5+00"}]}])"));
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_EQ(field_of(rows[0], "datname"), "app");
    EXPECT_EQ(field_of(rows[0], "last_vacuum"), std::nullopt);
    EXPECT_EQ(big_endian(*field_of(rows[0], "last_analyze")), 824'896'800'500'000U);
}

}  // namespace
}  // namespace pganalytics::serve
