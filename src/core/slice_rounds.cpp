// Rowsets in slices (see the header).
#include "pganalytics/core/slice_rounds.hpp"

#include <algorithm>

namespace pganalytics {

namespace {

struct KeyOf {
    std::string_view column;
    std::string_view catalog;
};
constexpr KeyOf kKeys[] = {
    {"relid", "pg_class"},      {"indexrelid", "pg_class"}, {"seqrelid", "pg_class"},
    {"conid", "pg_constraint"}, {"tgid", "pg_trigger"},     {"funcid", "pg_proc"},
};

// Null: it can't be read in slices.
const KeyOf* slice_key(const Rowset& rowset, int major) {
    if (rowset.scope != Scope::kDatabase || !rowset.extension.empty()) return nullptr;
    const std::vector<const Column*> columns = columns_for(rowset, major);
    if (!is_queried(rowset, major) || key_count(columns) < 2) return nullptr;
    const auto* const key = std::find_if(std::begin(kKeys), std::end(kKeys), [&](const KeyOf& one) {
        return one.column == columns[1]->name;
    });
    return key == std::end(kKeys) ? nullptr : key;
}

std::string behind(std::string_view key, uint32_t last) {
    return std::string(key) + " OPERATOR(pg_catalog.>) '" + std::to_string(last) +
           "'::pg_catalog.oid";
}

}  // namespace

bool is_sliceable(const Rowset& rowset, int major) { return slice_key(rowset, major) != nullptr; }

std::string slice_end_sql(const Rowset& rowset, int major, const Slice& slice) {
    const KeyOf* const key = slice_key(rowset, major);
    if (key == nullptr) return {};
    return "SELECT CASE WHEN pg_catalog.count(*) OPERATOR(pg_catalog.=) " +
           std::to_string(slice.objects) +
           " THEN pg_catalog.max(o.oid) END\nFROM (SELECT c.oid FROM pg_catalog." +
           std::string(key->catalog) + " c WHERE " + behind("c.oid", slice.after) +
           " ORDER BY c.oid LIMIT " + std::to_string(slice.objects) + ") o";
}

std::string slice_sql(const Rowset& rowset, int major, const Slice& slice, uint32_t last) {
    const KeyOf* const key = slice_key(rowset, major);
    if (key == nullptr) return {};
    const std::string column = "s." + std::string(key->column);
    std::string sql = "SELECT s.*\nFROM (\n" + rowset_sql(rowset, major) + "\n) s WHERE " +
                      behind(column, slice.after);
    if (last != 0)
        sql += " AND " + column + " OPERATOR(pg_catalog.<=) '" + std::to_string(last) +
               "'::pg_catalog.oid";
    return sql;
}

std::string rows_behind_sql(const Rowset& rowset, int major, uint32_t last) {
    const KeyOf* const key = slice_key(rowset, major);
    if (key == nullptr) return {};
    return "SELECT pg_catalog.count(*)\nFROM (\n" + rowset_sql(rowset, major) + "\n) s WHERE " +
           behind("s." + std::string(key->column), last);
}

std::optional<Slice> SliceRounds::next(uint32_t database, uint16_t rowset) const {
    const auto round = rounds_.find({database, rowset});
    if (round == rounds_.end()) return std::nullopt;
    return round->second.next;
}

void SliceRounds::too_long(uint32_t database, uint16_t rowset) {
    const auto [place, is_new] = rounds_.try_emplace({database, rowset});
    Slice& slice = place->second.next;
    if (is_new) {
        slice.rowset = rowset;
        slice.number = 1;
        slice.objects = kFirstObjects;
    } else if (slice.objects <= kLeastObjects) {
        if (++place->second.failed == kTriesOfTheLeast) rounds_.erase(place);
    } else {
        slice.objects = std::max(slice.objects / 2, kLeastObjects);
    }
}

void SliceRounds::read(uint32_t database, uint16_t rowset, uint64_t rows, uint32_t last,
                       int64_t elapsed_us, int64_t limit_us) {
    const auto place = rounds_.find({database, rowset});
    if (place == rounds_.end()) return;
    Slice& slice = place->second.next;
    int64_t& round_us = place->second.elapsed_us;
    round_us += elapsed_us;
    place->second.failed = 0;
    // A server that was busy once is not so for ever.
    if (last == 0 && (slice.number == 1 || round_us < limit_us / 2)) {
        rounds_.erase(place);
        return;
    }
    if (last == 0) round_us = 0;
    if (elapsed_us < limit_us / 10) slice.objects = std::min(slice.objects * 2, kMostObjects);
    slice.after = last;
    slice.before = last == 0 ? 0 : slice.before + rows;
    slice.number = last == 0 ? uint16_t{1} : static_cast<uint16_t>(slice.number + 1);
}

void SliceRounds::keep_databases(std::span<const uint32_t> datids) {
    std::erase_if(rounds_, [&](const auto& entry) {
        return std::find(datids.begin(), datids.end(), entry.first.first) == datids.end();
    });
}

void SliceRounds::restart() {
    for (auto& [key, round] : rounds_) {
        round.next.number = 1;
        round.next.after = 0;
        round.next.before = 0;
        round.elapsed_us = 0;
    }
}

}  // namespace pganalytics
