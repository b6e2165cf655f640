// Users' own rowsets: what a definition is, its limits, the query that is made of it. A definition
// is a row of pganalytics.own_rowset in pganalytics.database; a visitor there reads it, the
// collector keeps it and gives it to visitors of other databases with their orders.
//
// All of them travel in one rowset of the catalog, own.rows: each row of theirs is one json there,
// so that no table, column or name at the hub is made from what a collector sends. Pure. Runs in
// visitors, the collector, sessions and, for the names, in the front.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/result.hpp"

namespace pganalytics {

inline constexpr size_t kMostOwnRowsets = 32;
inline constexpr size_t kMostOwnColumns = 64;
inline constexpr size_t kMostOwnNameBytes = 40;
inline constexpr size_t kMostOwnSqlBytes = size_t{16} << 10;
inline constexpr size_t kMostOwnIdentifierBytes = 63;
inline constexpr size_t kMostOwnUnitBytes = 32;
inline constexpr uint64_t kMostOwnRows = 10000;               // of one reading
inline constexpr size_t kMostOwnBytes = size_t{4} << 20;      // of one reading
inline constexpr size_t kMostOwnRowBytes = size_t{32} << 10;  // of one row as json
inline constexpr size_t kMostOwnKeyBytes = size_t{2} << 10;   // of its key as json
inline constexpr int64_t kLeastOwnPeriodSeconds = 1;
inline constexpr int64_t kMostOwnPeriodSeconds = 86400;
// After so many failures one after the other a definition is left alone in that database.
inline constexpr uint32_t kOwnFailures = 3;

// What a column of a definition can be: a type of the server's, and what becomes of it in json.
enum class OwnType : uint8_t {
    kBool = 1,
    kInt64 = 2,    // smallint, integer, bigint, oid
    kFloat64 = 3,  // real, double precision, numeric; NaN and infinity become null
    kText = 4,     // text, varchar, char, name
    kTimestamp = 5,
    kLsn = 6,
    kUuid = 7,
};
inline constexpr OwnType kOwnTypes[] = {OwnType::kBool, OwnType::kInt64,     OwnType::kFloat64,
                                        OwnType::kText, OwnType::kTimestamp, OwnType::kLsn,
                                        OwnType::kUuid};
// The SQL type it has in a view at the hub, which is also its name in a definition.
std::string_view own_type_name(OwnType type);
std::optional<OwnType> own_type_of(std::string_view name);
std::optional<Kind> kind_of(std::string_view name);

struct OwnColumn {
    std::string name;
    Kind kind = Kind::kGauge;
    OwnType type = OwnType::kText;
    std::string unit;
    static void fields(auto& self, auto& codec) {
        codec(self.name, self.kind, self.type, self.unit);
    }
};

struct OwnDefinition {
    uint16_t number = 0;  // given by the collector; 0: none yet
    std::string name;
    std::string digest;  // SHA-256 in hex: of everything but period and definer
    std::string sql;
    std::string definer;  // role it runs as
    bool cluster = false;
    int64_t period_s = 0;
    int64_t defined_at = 0;          // microseconds; another for what was dropped and defined anew
    std::vector<OwnColumn> columns;  // as the query has them
    std::string problem;             // why it can't be read; empty: it can
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.name, self.digest, self.sql, self.definer, self.cluster,
              self.period_s, self.defined_at, self.columns, self.problem);
    }
};

// [a-z_][a-z0-9_]*, at most kMostOwnNameBytes.
bool is_own_name(std::string_view name);
// 64 hexadecimal digits.
bool is_own_digest(std::string_view text);
// Names a column can't have, because the hub's view has them.
bool is_taken_by_view(std::string_view column);

// Why the definition can't be; null: it can.
const char* own_definition_problem(const OwnDefinition& definition);

// The query that makes rows of own.rows, read in that database. The definition's own text stands in
// it between lines of its own, as a subquery; that it is one SELECT and nothing else is the
// caller's to check. Texts are in the database's encoding.
std::string own_query(const OwnDefinition& definition, uint32_t datid);

// Columns as json, for own.rowsets: [{"name": ..., "kind": ..., "type": ..., "unit": ...}, ...].
std::string own_columns_json(const OwnDefinition& definition);

// What of a failed reading may leave this server: our own messages, and the code of PostgreSQL's.
// The text of those may hold values of the user's tables, which nobody chose to send.
std::string own_error_to_send(std::string_view sqlstate, std::string_view message);

}  // namespace pganalytics
