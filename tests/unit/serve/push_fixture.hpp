// A hub with a table for each rowset of the catalog, pushes put together, and rows read back out of
// frames by code of their own (not the encoder's): for the tests of pushes.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/serve/push_decoder.hpp"
#include "pganalytics/serve/push_frames.hpp"

namespace pganalytics::serve {

// As the hub worker announces its tables.
inline ServeTargets announced_targets() {
    ServeTargets announced;
    for (const Rowset& rowset : catalog()) {
        ServeTarget target{rowset_number(rowset), {"time", "collector_id"}};
        for (const Column* column : all_columns(rowset)) {
            target.columns.emplace_back(column->name);
            if (is_of_database(rowset) && column->name == "datid") {
                target.columns.emplace_back("datname");
            }
        }
        announced.targets.push_back(std::move(target));
    }
    return announced;
}

inline std::shared_ptr<const PushTargets> catalog_targets() {
    Result<PushTargets> made = PushTargets::make(announced_targets());
    EXPECT_TRUE(made) << made.error().message;
    return std::make_shared<const PushTargets>(*std::move(made));
}

inline constexpr std::string_view kCollector = "0192d3a4-5b6c-7d8e-9f00-112233445566";
// 2026-02-20T10:30:00Z
inline constexpr int64_t kNow = 1'771'583'400'000'000;

inline std::string envelope(const std::string& metrics, const std::string& more = {}) {
    return "{\"collector_id\":\"" + std::string(kCollector) +
           "\",\"timestamp\":\"2026-02-20T10:30:00.000Z\"" + more + ",\"metrics\":" + metrics + "}";
}

// One entry of pg_stats with a rowset "tables" of these columns.
inline std::string tables(const std::string& columns, const std::string& more = {}) {
    return envelope(
        "[{\"type\":\"pg_stats\",\"timestamp\":\"2026-02-20T10:29:00Z\","
        "\"datname\":\"app\",\"tables\":{\"columns\":{" +
        columns + "}" + more + "}}]");
}

// "" where it was taken, else the problem.
inline std::string problem_of(const std::string& body) {
    const auto decoded = decode_push(body, *catalog_targets());
    const auto* problem = std::get_if<JsonProblem>(&decoded);
    return problem == nullptr ? "" : problem->text();
}

inline Push push_of(const std::string& body, const PushTargets& targets) {
    auto decoded = decode_push(body, targets);
    const auto* problem = std::get_if<JsonProblem>(&decoded);
    EXPECT_EQ(problem, nullptr) << problem->text();
    return problem == nullptr ? std::get<Push>(std::move(decoded)) : Push{};
}

// A field of a row in binary COPY form: its bytes; empty optional: null.
using Field = std::optional<std::string>;
struct Row {
    std::string rowset;
    std::vector<Field> fields;
};

inline uint64_t big_endian(const std::string& bytes) {
    uint64_t value = 0;
    for (const char c : bytes) value = (value << 8) | static_cast<uint8_t>(c);
    return value;
}

inline std::vector<Row> rows_of_copy(const std::string& rowset, const std::string& bytes) {
    std::vector<Row> rows;
    size_t at = 0;
    const auto take = [&](size_t count) {
        EXPECT_LE(count, bytes.size() - at);
        at += count;
        return bytes.substr(at - count, count);
    };
    while (at < bytes.size()) {
        Row& row = rows.emplace_back(Row{rowset, {}});
        for (uint64_t left = big_endian(take(2)); left > 0; --left) {
            const auto length = static_cast<uint32_t>(big_endian(take(4)));
            row.fields.push_back(length == UINT32_MAX ? Field{} : Field{take(length)});
        }
    }
    return rows;
}

// All rows that the frames of a push hold.
inline std::vector<Row> rows_of(PushFrames& frames) {
    std::vector<Row> rows;
    while (const std::optional<std::string> frame = frames.next()) {
        FrameSplitter splitter;
        splitter.feed(*frame);
        const std::optional<Frame> one = splitter.next();
        EXPECT_TRUE(one && one->type == FrameType::kPushRows);
        const std::optional<PushRows> message = decode<PushRows>(one->payload);
        if (!message) {
            ADD_FAILURE() << "not a PushRows message";
            break;
        }
        EXPECT_EQ(splitter.buffered(), 0U);
        const Rowset& rowset = catalog()[message->rowset];
        const auto more = rows_of_copy(std::string(rowset.plugin) + "." + std::string(rowset.name),
                                       message->rows);
        EXPECT_EQ(more.size(), message->count);
        rows.insert(rows.end(), more.begin(), more.end());
        EXPECT_EQ(frames.rows(), rows.size());
    }
    return rows;
}

inline std::vector<Row> rows_of(const std::string& body,
                                const RowWindow& window = row_window(kNow, 30 * 86'400)) {
    const auto targets = catalog_targets();
    PushFrames frames(push_of(body, *targets), targets, Uuid{1}, 7, window);
    return rows_of(frames);
}

// The field of `row` in the column of that name.
inline Field field_of(const Row& row, const std::string& column) {
    static const ServeTargets announced = announced_targets();
    for (const ServeTarget& target : announced.targets) {
        const Rowset& rowset = catalog()[target.rowset];
        if (row.rowset != std::string(rowset.plugin) + "." + std::string(rowset.name)) continue;
        EXPECT_EQ(row.fields.size(), target.columns.size());
        for (size_t i = 0; i < target.columns.size() && i < row.fields.size(); ++i) {
            if (target.columns[i] == column) return row.fields[i];
        }
    }
    ADD_FAILURE() << "no column " << column;
    return std::nullopt;
}

}  // namespace pganalytics::serve
