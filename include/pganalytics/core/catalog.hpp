// The catalog: the one declaration of all plugins, rowsets and columns. From it follow the SQL for
// a server version, the JSON, the sparse filter's key, the hub's tables and the documentation.
// Rowsets are declared in src/core/catalog_<plugin>.cpp, one file a plugin, as constexpr data.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/column_type.hpp"

namespace pganalytics {

enum class Scope : uint8_t {
    kCluster,  // read once a cycle, in the visit to pganalytics.database (but see is_same_anywhere)
    kDatabase,  // read in each database; the first key column is datid
    kHost,      // read by the program from /proc and the file systems
    kProgram,   // what the program says of the collector itself, at a cycle's end
    kExternal,  // no source of ours: rows come from other collectors of the family only
    kHub,       // rows the hub itself writes beside what it was sent
    kOwn,       // users' own rowsets: definitions and rows, each of them in one rowset
};

enum class Kind : uint8_t { kKey, kLabel, kCounter, kGauge };

// "cluster", "key": as people read them. They end with a zero byte.
std::string_view scope_name(Scope scope);
std::string_view kind_name(Kind kind);

// What a visitor does to a text before it leaves the server.
enum class TextForm : uint8_t {
    kAsIs,
    kStatement,  // SQL text: constants and comments taken out, null where query_text is none
    kDigest,     // a definition, of which only a keyed digest leaves (definition_digest.hpp)
};

// Server majors, both ends included.
struct Versions {
    int first = 0;
    int last = 999;
    constexpr bool contain(int major) const { return first <= major && major <= last; }
};

struct Column {
    std::string_view name;  // PostgreSQL's own
    std::string_view
        sql;  // expression over the rowset's source; empty for kHost, kProgram and kExternal
    ColumnType type;
    Kind kind;
    std::string_view unit;  // "bytes", "milliseconds", "rows", "blocks", ... ; empty: none
    std::string_view help;  // one line
    Versions versions = {};
    TextForm form = TextForm::kAsIs;
};

// What stands from FROM on. One source covers each supported major, or none where the server has no
// such figures yet (pg_stat_io before 16).
struct Source {
    std::string_view sql;
    Versions versions = {};
    Versions extension = {};
};

// What shows, without a query, whether a rowset can have rows now (pg/presence.hpp): of most of
// these there is nothing most of the time.
enum class Presence : uint8_t {
    kUnknown,  // its query has to tell
    kVacuum,   // progress of commands
    kAnalyze,
    kCreateIndex,
    kCluster,
    kBasebackup,
    kCopy,
    kOldSessions,
    kHorizon,  // who holds back vacuum
    kLockWaits,
    kPreparedTransactions,
    kSenders,
    kSlots,
    kReceiver,
    kSubscriptions,
};

// `columns` may name a column several times with disjoint versions where its expression differs
// between majors; its type, kind and unit are then the same each time. Keys come first.
//
// A rowset with an `extension` (scope kCluster) is read in one database that has the extension,
// whichever that is, at the version installed there, which need not be the server's newest. In its
// SQL "@schema@" stands for the extension's schema; versions of extensions are major * 100 + minor
// (1.10: 110). Its columns on the wire depend on the server's major only: a source delivers null
// for those its version lacks.
struct Rowset {
    std::string_view plugin;
    std::string_view name;
    Scope scope;
    int period_seconds;  // 0: each cycle
    std::span<const Source> sources;
    std::span<const Column> columns;
    std::string_view help;
    std::string_view extension = {};
    int whole_seconds = 0;  // sent whole no more often than this; 0: each full_interval
    Presence presence = Presence::kUnknown;
    uint8_t changes_with = 0;  // marks (change_marks.hpp): read when these have changed, where a
                               // pass tells them; 0: after each period
    int marked_until = 999;    // the last major of which that is so
};

// The OID that stands first in each row of a database; evaluated once a query.
inline constexpr std::string_view kThisDatabase =
    "(SELECT d.oid FROM pg_catalog.pg_database d"
    " WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())";

// A rowset's number is its place here; library and program of one build agree on it
// (catalog_digest() is compared when they meet).
std::span<const Rowset> catalog();
const Rowset* find_rowset(std::string_view plugin, std::string_view name);
uint16_t rowset_number(const Rowset& rowset);
uint64_t catalog_digest();

// The columns a server of `major` delivers, in order: the columns of a row on the wire.
std::vector<const Column*> columns_for(const Rowset& rowset, int major);
// Every column once, in order of first appearance: the columns of the hub's table.
std::vector<const Column*> all_columns(const Rowset& rowset);
std::vector<ColumnType> types_of(std::span<const Column* const> columns);
// Number of leading key columns.
size_t key_count(std::span<const Column* const> columns);

// Rows that say in which database they were read; their first key column is datid.
bool is_of_database(const Rowset& rowset);

// Of those that change slowly and are dear to read: they wait their turn (visit_plan.hpp).
inline constexpr int kSlowSeconds = 600;
inline bool is_slow(const Rowset& rowset) { return rowset.period_seconds >= kSlowSeconds; }

// The cluster's figures of each cycle: not as what has a period (settings, which a database can
// have its own of; what is visible from where), they are the same in whichever database.
inline bool is_same_anywhere(const Rowset& rowset) {
    return rowset.scope == Scope::kCluster && rowset.period_seconds == 0 &&
           rowset.extension.empty();
}

// Whether there is something to ask a server of `major` for it.
bool is_queried(const Rowset& rowset, int major);

// SELECT ... for a kCluster or kDatabase rowset on `major`; qualified with pg_catalog throughout.
// Empty where the rowset does not exist on that major, or is an extension's.
std::string rowset_sql(const Rowset& rowset, int major);

// An extension as it is installed in a database; the schema quoted where it needs it.
struct InstalledExtension {
    std::string schema;
    int version = 0;
};
// The same for the rowset of an extension; empty where that version has nothing to read.
std::string extension_sql(const Rowset& rowset, int major, const InstalledExtension& installed);
// 110 for "1.10"; 0 where the text is no such version.
int extension_version(std::string_view text);

// "pg_stats_tables" (in schema pganalytics of the hub).
std::string hub_table(const Rowset& rowset);

}  // namespace pganalytics
