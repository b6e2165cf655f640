// A hub with a table for each rowset of the catalog, and binary COPY rows read by a reader of the
// tests' own: for the targets of pushes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/pg/hub_pushes.hpp"

namespace pganalytics {

inline constexpr int64_t kFuzzNow = 1'771'583'400'000'000;  // 2026-02-20T10:30:00Z
inline constexpr int64_t kFuzzDay = int64_t{86'400} * 1'000'000;

// As the hub worker announces its tables.
inline const ServeTargets& announced_tables() {
    static const ServeTargets made = [] {
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
    }();
    return made;
}

class FuzzRules : public pg::PushRules {
  public:
    size_t fields(uint16_t rowset) const override {
        const auto& targets = announced_tables().targets;
        return rowset < targets.size() ? targets[rowset].columns.size() : 0;
    }
    TimeWindow window() const override {
        return {kFuzzNow - 31 * kFuzzDay - 600'000'000, kFuzzNow + 660'000'000};
    }
};

// A field: its bytes; empty: null. False from a row that is not whole.
using CopyFields = std::vector<std::optional<std::string_view>>;

inline bool read_copy_row(std::string_view& rows, CopyFields& fields) {
    const auto number = [&rows](size_t size, int64_t& value) {
        if (rows.size() < size) return false;
        uint64_t bits = 0;
        for (size_t i = 0; i < size; ++i) bits = (bits << 8) | static_cast<uint8_t>(rows[i]);
        value = size == 4 ? static_cast<int32_t>(bits) : static_cast<int64_t>(bits);
        rows.remove_prefix(size);
        return true;
    };
    int64_t count = 0;
    if (!number(2, count)) return false;
    fields.clear();
    for (; count > 0; --count) {
        int64_t length = 0;
        if (!number(4, length) || length < -1) return false;
        if (length == -1) {
            fields.emplace_back(std::nullopt);
            continue;
        }
        if (rows.size() < static_cast<size_t>(length)) return false;
        fields.emplace_back(rows.substr(0, static_cast<size_t>(length)));
        rows.remove_prefix(static_cast<size_t>(length));
    }
    return true;
}

// What HubPushes lets through to COPY: whole rows of their tables, each the pusher's own.
inline void check_ready(const pg::Push& push) {
    FUZZ_CHECK(push.bytes <= pg::HubPushes::kPushBytes);
    if (!push.refusal.empty() || push.again) {
        FUZZ_CHECK(push.rowsets.empty());
        return;
    }
    const FuzzRules rules;
    uint64_t rows = 0;
    for (const pg::PushedRows& pushed : push.rowsets) {
        uint64_t met = 0;
        for (std::string_view chunk : pushed.chunks) {
            CopyFields fields;
            for (; !chunk.empty(); ++met) {
                FUZZ_CHECK(read_copy_row(chunk, fields));
                FUZZ_CHECK(fields.size() == rules.fields(pushed.rowset));
                FUZZ_CHECK(fields[0] && fields[0]->size() == 8 && fields[1]);
                const auto& id = push.begin.collector_id;
                FUZZ_CHECK(*fields[1] ==
                           std::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
            }
        }
        FUZZ_CHECK(met == pushed.facts.rows);
        rows += met;
    }
    FUZZ_CHECK(rows == push.rows);
}

}  // namespace pganalytics
