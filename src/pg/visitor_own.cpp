// The users' own rowsets in a visit: their definitions, and their rows (see visitor.cpp). They come
// after everything else, so that nothing of theirs is in the way of the catalog's. Runs in
// visitors.
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/own_reading.hpp"
#include "pganalytics/pg/own_trust.hpp"
#include "pganalytics/pg/read_result.hpp"
#include "pganalytics/pg/result_rows.hpp"
#include "pganalytics/pg/worker.hpp"
#include "visitor_parts.hpp"

namespace pganalytics::pg::visiting {

namespace {

constexpr int64_t kUnixOfPostgres =
    int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;
constexpr uint64_t kDefinitionRows = kMostOwnRowsets * (kMostOwnColumns + 1);

// --- definitions

bool read_into(const char* query, const RowShape& shape, RowEncoder* encoder, FlatError& error) {
    return run_transaction(
        limits(),
        [&] {
            begin_rows(encoder, shape, kDefinitionRows);
            run_query(query, encoder);
        },
        error);
}

// Whether others may write the table; empty where it is not there.
std::optional<bool> writable(const RowEncoder& encoder) {
    if (encoder.first == nullptr) return std::nullopt;
    RowReader rows(
        {encoder.first->bytes + kFrameHeaderBytes, encoder.first->used - kFrameHeaderBytes});
    Value value;
    std::string_view body;
    if (!rows.next(body) || !decode_row(body, {own_table_shape().types, 1}, {&value, 1}))
        return true;
    return value.integer != 0;
}

// --- rows

// In the database's encoding, as plain data.
struct OwnTexts {
    char* sql;
    char* query;
    char* definer;
};

char* in_database(const std::string& text) {
    const std::string_view converted = from_utf8(text);
    return pnstrdup(converted.data(), converted.size());
}

TransactionOptions own_limits() {
    TransactionOptions options = limits();
    options.timeout_ms = std::min(options.timeout_ms, visitor->order.own_timeout_ms);
    return options;
}

void read_own(const OwnDefinition& definition, const OwnQuery& shape, RowEncoder* encoder,
              ReadResult* result) {
    const std::string query = own_query(definition, visitor->order.database);
    const std::string name = "reading own." + definition.name;
    const int64_t began = monotonic_us();
    const uint64_t cpu = process_cpu_us();
    result->time = GetCurrentTimestamp() + kUnixOfPostgres;
    const SuperusersCodeOnly trust;
    result->good = run_transaction(
        own_limits(),
        [&] {
            pgstat_report_activity(STATE_RUNNING, name.c_str());
            const OwnTexts texts = {in_database(definition.sql), in_database(query),
                                    in_database(definition.definer)};
            OwnQuery plain = shape;
            plain.sql = texts.sql;
            plain.query = texts.query;
            plain.definer = texts.definer;
            run_own_query(plain, encoder);
        },
        result->error);
    pgstat_report_activity(STATE_IDLE, nullptr);
    result->elapsed_us = static_cast<uint64_t>(monotonic_us() - began);
    result->cpu_us = process_cpu_us() - cpu;
    if (!result->good) drop_rows(encoder);
    end_rows(encoder);
}

RowsetEnd own_end(const ReadResult& result, const OwnQuery& shape, const RowEncoder& encoder) {
    RowsetEnd end = end_of(result, encoder);
    if (!result.good) return end;
    const char* problem = own_result_problem(shape, encoder);
    if (problem == nullptr) {
        problem = own_keys_problem(encoder);
        if (problem != nullptr) end.sqlstate = sqlstate_text(ERRCODE_CARDINALITY_VIOLATION);
    }
    if (problem == nullptr) return end;
    end.message = problem;
    end.complete = false;
    // What can't be told apart is a mistake; what is too much is cut.
    if (encoder.cut && !shape.has_key) end.sqlstate = sqlstate_text(ERRCODE_CARDINALITY_VIOLATION);
    return end;
}

bool visit_one(const OwnDefinition& definition, RowEncoder* encoder) {
    OwnQuery shape = {};
    shape.has_key = std::any_of(definition.columns.begin(), definition.columns.end(),
                                [](const OwnColumn& column) { return column.kind == Kind::kKey; });
    shape.max_rows = std::min(visitor->order.max_rows, kMostOwnRows);
    ReadResult result;
    report->own = definition.number;
    read_own(definition, shape, encoder, &result);
    report->own = 0;
    RowsetBegin begin;
    begin.rowset = rowset_number(*find_rowset("own", "rows"));
    begin.datid = visitor->order.database;
    begin.datname = visitor->order.datname;
    begin.time = result.time;
    begin.own = definition.number;
    begin.own_name = definition.name;
    RowsetEnd end = own_end(result, shape, *encoder);
    if (!end.sqlstate.empty()) {
        drop_rows(encoder);
        end.rows = 0;
    }
    const bool handed = hand_over(begin) && hand_over_rows(*encoder) && hand_over(end);
    drop_rows(encoder);
    return handed;
}

}  // namespace

bool visit_own_definitions(RowEncoder* encoder) {
    OwnDefinitions answer;
    FlatError error;
    bool good = read_into(own_table_query(), own_table_shape(), encoder, error);
    const std::optional<bool> others_write = good ? writable(*encoder) : std::nullopt;
    if (others_write == true) {
        answer.problem = "others than its owner may write pganalytics.own_rowset";
    } else if (others_write == false) {
        good = read_into(own_definitions_query(), own_definitions_shape(), encoder, error);
        if (good) answer.definitions = own_definitions_from(*encoder);
    }
    if (!good) answer.problem = error.message;
    drop_rows(encoder);
    return hand_over(answer);
}

bool visit_own(RowEncoder* encoder, bool first, bool* cut) {
    const auto budget = static_cast<uint64_t>(std::max<int64_t>(visitor->order.cpu_budget_us, 0));
    for (const OwnDefinition& definition : visitor->order.own) {
        // One that is begun has all the time it may take: who needs longer fails for good.
        if (left_us() < int64_t{visitor->order.own_timeout_ms} * 1000 + kLeastLeftUs ||
            (!first && process_cpu_us() >= budget)) {
            *cut = true;
            return true;
        }
        if (!visit_one(definition, encoder)) return false;
        first = false;
    }
    return true;
}

}  // namespace pganalytics::pg::visiting
