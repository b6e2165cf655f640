// Snapshots of several rowsets that can be split, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/net/gzip.hpp"
#include "pganalytics/ship/snapshot_writer.hpp"

namespace pganalytics::ship {

// Of each of these rowsets ("pg_stats.tables") two rows, in one snapshot.
inline Snapshot snapshot_of_rowsets(const std::vector<std::string>& names,
                                    size_t slice_bytes = kSliceBytes, uint64_t sequence = 7) {
    static constexpr Column kKey = {"datid", "", ColumnType::kOid, Kind::kKey, "", ""};
    static constexpr Column kText = {"datname", "", ColumnType::kText, Kind::kLabel, "", ""};
    static const Column* const kColumns[] = {&kKey, &kText};
    SnapshotOptions options;
    options.head.hostname = "db \"1\"\\";
    options.head.time = 1'771'583'400'000'000;
    options.head.incarnation.fill(0xaa);
    options.slice_bytes = slice_bytes;
    options.new_id = [] {
        Uuid id{};
        id.fill(0x33);
        return id;
    };
    SnapshotWriter writer(std::move(options));
    const std::vector<ColumnType> types = types_of(kColumns);
    for (const std::string& name : names) {
        RowBuilder builder(types);
        for (int row = 0; row < 2; ++row) {
            builder.begin();
            builder.number(static_cast<uint32_t>(row));
            builder.text(name + "]},{[\"\\" + std::to_string(row));
            builder.end();
        }
        std::vector<std::string> bodies;
        RowReader reader(builder.rows());
        for (std::string_view body; reader.next(body);) bodies.emplace_back(body);
        const std::vector<std::string_view> rows(bodies.begin(), bodies.end());
        RowsetPart part;
        const size_t dot = name.find('.');
        part.type = std::string_view(name).substr(0, dot);
        part.name = std::string_view(name).substr(dot + 1);
        const Rowset* known = find_rowset(part.type, part.name);
        part.group = {known != nullptr ? rowset_number(*known) : uint16_t{9999}, 16384};
        part.datname = "app";
        part.time = 1'771'583'400'000'000;
        part.columns = kColumns;
        part.keys = 1;
        part.full = part.complete = true;
        part.rows = rows;
        EXPECT_TRUE(writer.add(part));
    }
    Uuid collector{};
    collector.fill(0x22);
    return writer.finish(collector, sequence).front();
}

inline std::string json_of(const Snapshot& snapshot) {
    const net::Inflated json = net::inflate_gzip(snapshot.body, size_t{64} << 20);
    EXPECT_TRUE(json);
    return json.bytes;
}

}  // namespace pganalytics::ship
