// Which rowsets the hub has tables for, and how a row of each is made: the worker's announcement
// joined with the catalog. Pure. Runs in `pganalytics serve`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/core/serve_messages.hpp"

namespace pganalytics::serve {

// One field of a row on its way to COPY.
struct TargetField {
    enum class Source : uint8_t { kTime, kCollector, kDatname, kColumn };
    Source source = Source::kColumn;
    uint16_t column = 0;  // place in PushTarget::columns, for kColumn
};

struct PushTarget {
    static constexpr size_t kNone = SIZE_MAX;

    const Rowset* rowset = nullptr;
    uint16_t number = 0;
    std::string name;  // "pg_stats.tables"
    std::vector<TargetField> fields;
    std::vector<const Column*> columns;  // of the catalog, those that are among the fields
    size_t keys = 0;                     // leading columns that are keys
    size_t datid = kNone;  // place of the key column datid of a rowset read in each database

    // kNone where there is no such column. `guess` is where it is looked for first: rows of one
    // sender name their columns in the same order again and again.
    size_t find_column(std::string_view name, size_t guess = 0) const;
};

class PushTargets {
  public:
    PushTargets() = default;
    // An error where the announcement does not fit the catalog.
    static Result<PushTargets> make(const ServeTargets& announced);

    // What collectors may send: rowsets the hub itself writes are not found. A plugin is known
    // where one of its rowsets is.
    bool knows_plugin(std::string_view plugin) const;
    const PushTarget* find(std::string_view plugin, std::string_view rowset) const;

    // Rowsets of the hub's own (null where the worker has no table for them).
    const PushTarget* gone() const { return find_own("gone"); }
    const PushTarget* fulls() const { return find_own("fulls"); }

    const std::vector<PushTarget>& all() const { return targets_; }

  private:
    const PushTarget* find_own(std::string_view rowset) const;
    std::vector<PushTarget> targets_;
};

}  // namespace pganalytics::serve
