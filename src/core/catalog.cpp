// The catalog's mechanism: one list of all rowsets, and what follows from a declaration. Runs in
// the server (visitors, hub worker) and in the program alike.
#include "pganalytics/core/catalog.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "catalog_parts.hpp"

namespace pganalytics {

namespace {

// FNV-1a, 64 bits; a length goes before each text, so that texts cannot run into each other.
class Digest {
  public:
    void number(uint64_t value) {
        for (unsigned shift = 0; shift < 64; shift += 8) byte(static_cast<uint8_t>(value >> shift));
    }
    void text(std::string_view value) {
        number(value.size());
        for (const char c : value) byte(static_cast<uint8_t>(c));
    }
    void versions(const Versions& value) {
        number(static_cast<uint64_t>(value.first));
        number(static_cast<uint64_t>(value.last));
    }
    uint64_t value() const { return value_; }

  private:
    void byte(uint8_t value) { value_ = (value_ ^ value) * 0x100000001b3; }
    uint64_t value_ = 0xcbf29ce484222325;
};

void add_rowset(Digest& digest, const Rowset& rowset) {
    digest.text(rowset.plugin);
    digest.text(rowset.name);
    digest.number(static_cast<uint64_t>(rowset.scope));
    digest.number(static_cast<uint64_t>(rowset.period_seconds));
    digest.text(rowset.extension);
    digest.number(static_cast<uint64_t>(rowset.whole_seconds));
    for (const Source& source : rowset.sources) {
        digest.text(source.sql);
        digest.versions(source.versions);
        digest.versions(source.extension);
    }
    for (const Column& column : rowset.columns) {
        digest.text(column.name);
        digest.text(column.sql);
        digest.number(static_cast<uint64_t>(column.type));
        digest.number(static_cast<uint64_t>(column.kind));
        digest.text(column.unit);
        digest.versions(column.versions);
        digest.number(static_cast<uint64_t>(column.form));
    }
}

bool contains(const std::vector<const Column*>& columns, std::string_view name) {
    return std::any_of(columns.begin(), columns.end(),
                       [&](const Column* column) { return column->name == name; });
}

constexpr std::string_view kSchema = "@schema@";

std::string select_from(const Rowset& rowset, int major, int extension) {
    const auto source =
        std::find_if(rowset.sources.begin(), rowset.sources.end(), [&](const Source& s) {
            return s.versions.contain(major) && s.extension.contain(extension);
        });
    if (source == rowset.sources.end()) return {};
    std::string sql = "SELECT ";
    bool first = true;
    for (const Column* column : columns_for(rowset, major)) {
        if (!first) sql += ",\n       ";
        first = false;
        sql += column->sql;
        sql += " AS ";
        sql += column->name;
    }
    sql += "\n";
    sql += source->sql;
    return sql;
}

// More than there are; catalog_test compares the sum.
constexpr size_t kCapacity = 128;

struct List {
    std::array<Rowset, kCapacity> rowsets = {};
    size_t count = 0;
    void add(std::span<const Rowset> plugin) {
        for (const Rowset& rowset : plugin) {
            if (count < kCapacity) rowsets[count++] = rowset;
        }
    }
};

}  // namespace

std::string_view scope_name(Scope scope) {
    switch (scope) {
        case Scope::kCluster:
            return "cluster";
        case Scope::kDatabase:
            return "database";
        case Scope::kHost:
            return "host";
        case Scope::kProgram:
            return "program";
        case Scope::kExternal:
            return "external";
        case Scope::kHub:
            return "hub";
        case Scope::kOwn:
            return "own";
    }
    return "";
}

std::string_view kind_name(Kind kind) {
    switch (kind) {
        case Kind::kKey:
            return "key";
        case Kind::kLabel:
            return "label";
        case Kind::kCounter:
            return "counter";
        case Kind::kGauge:
            return "gauge";
    }
    return "";
}

std::span<const Rowset> catalog() {
    // Made at the first call, not before main: the library is loaded into every session. Nothing in
    // it needs a destructor.
    static const List list = [] {
        List made;
        made.add(parts::pg_stats());
        made.add(parts::pg_stats_server());
        made.add(parts::pg_stats_more());
        made.add(parts::pg_stats_autovacuum());
        made.add(parts::pg_stats_files());
        made.add(parts::pg_replication());
        made.add(parts::pg_replication_logical());
        made.add(parts::pg_replication_recovery());
        made.add(parts::pg_activity());
        made.add(parts::pg_activity_progress());
        made.add(parts::pg_locks());
        made.add(parts::pg_query_stats());
        made.add(parts::pg_settings());
        made.add(parts::pg_extensions());
        made.add(parts::pg_roles());
        made.add(parts::pg_schema());
        made.add(parts::pg_schema_details());
        made.add(parts::pg_bloat());
        made.add(parts::sysstat());
        made.add(parts::disk_usage());
        made.add(parts::pg_log());
        made.add(parts::pganalytics_own());
        made.add(parts::own());
        return made;
    }();
    return {list.rowsets.data(), list.count};
}

const Rowset* find_rowset(std::string_view plugin, std::string_view name) {
    for (const Rowset& rowset : catalog()) {
        if (rowset.plugin == plugin && rowset.name == name) return &rowset;
    }
    return nullptr;
}

uint16_t rowset_number(const Rowset& rowset) {
    return static_cast<uint16_t>(&rowset - catalog().data());
}

uint64_t catalog_digest() {
    static const uint64_t digest = [] {
        Digest made;
        for (const Rowset& rowset : catalog()) add_rowset(made, rowset);
        return made.value();
    }();
    return digest;
}

std::vector<const Column*> columns_for(const Rowset& rowset, int major) {
    std::vector<const Column*> columns;
    for (const Column& column : rowset.columns) {
        if (column.versions.contain(major)) columns.push_back(&column);
    }
    return columns;
}

std::vector<const Column*> all_columns(const Rowset& rowset) {
    std::vector<const Column*> columns;
    for (const Column& column : rowset.columns) {
        if (!contains(columns, column.name)) columns.push_back(&column);
    }
    return columns;
}

std::vector<ColumnType> types_of(std::span<const Column* const> columns) {
    std::vector<ColumnType> types;
    types.reserve(columns.size());
    for (const Column* column : columns) types.push_back(column->type);
    return types;
}

size_t key_count(std::span<const Column* const> columns) {
    size_t count = 0;
    while (count < columns.size() && columns[count]->kind == Kind::kKey) ++count;
    return count;
}

bool is_of_database(const Rowset& rowset) {
    if (rowset.scope == Scope::kOwn) return rowset.columns.front().name == "datid";
    return rowset.scope == Scope::kDatabase;
}

bool is_queried(const Rowset& rowset, int major) {
    return std::any_of(rowset.sources.begin(), rowset.sources.end(),
                       [&](const Source& source) { return source.versions.contain(major); });
}

std::string rowset_sql(const Rowset& rowset, int major) {
    if (!rowset.extension.empty()) return {};
    return select_from(rowset, major, 0);
}

std::string extension_sql(const Rowset& rowset, int major, const InstalledExtension& installed) {
    std::string sql = select_from(rowset, major, installed.version);
    for (size_t at = 0; (at = sql.find(kSchema, at)) != std::string::npos;) {
        sql.replace(at, kSchema.size(), installed.schema);
        at += installed.schema.size();
    }
    return sql;
}

int extension_version(std::string_view text) {
    int parts[2] = {};
    const char* at = text.data();
    const char* const end = at + text.size();
    for (int i = 0; i < 2; ++i) {
        const auto [after, error] = std::from_chars(at, end, parts[i]);
        if (error != std::errc() || parts[i] < 0 || parts[i] > 99) return 0;
        if (i == 0 && (after == end || *after != '.')) return 0;
        at = after + (i == 0 ? 1 : 0);
    }
    return at == end ? parts[0] * 100 + parts[1] : 0;
}

std::string hub_table(const Rowset& rowset) {
    std::string table(rowset.plugin);
    table += '_';
    table += rowset.name;
    return table;
}

}  // namespace pganalytics
