// Sizes in the rows of pg_stats.file_sizes (see the header).
#include "pganalytics/host/relation_sizes.hpp"

#include <map>
#include <optional>
#include <vector>

#include "pganalytics/host/relation_files.hpp"

namespace pganalytics::host {

namespace {

constexpr std::string_view kSizeColumns[kForks] = {"main_bytes", "fsm_bytes", "vm_bytes",
                                                   "init_bytes"};

struct Places {
    size_t folder = 0;
    size_t file = 0;
    size_t sizes[kForks] = {};
};

std::optional<Places> places_in(std::span<const Column* const> columns) {
    Places places;
    size_t found = 0;
    for (size_t i = 0; i < columns.size(); ++i) {
        const std::string_view name = columns[i]->name;
        found += name == "folder" || name == "relfilenode" ? 1 : 0;
        if (name == "folder") places.folder = i;
        if (name == "relfilenode") places.file = i;
        for (size_t fork = 0; fork < kForks; ++fork) {
            if (name != kSizeColumns[fork]) continue;
            places.sizes[fork] = i;
            ++found;
        }
    }
    if (found != 2 + kForks) return std::nullopt;
    return places;
}

// Each folder is read once.
class Folders {
  public:
    explicit Folders(const std::string& data_directory) : data_directory_(data_directory) {}

    // Null where the file is not there.
    std::optional<ForkSizes> find(std::string_view folder, uint32_t file) {
        auto known = folders_.find(folder);
        if (known == folders_.end())
            known = folders_.emplace(std::string(folder), read(folder)).first;
        const std::optional<ForkSizes> sizes = known->second.find(file);
        return sizes && sizes->has_main ? sizes : std::nullopt;
    }
    const Status& status() const { return status_; }

  private:
    FolderSizes read(std::string_view folder) {
        if (!is_relation_folder(folder)) return {};
        Result<FolderSizes> sizes = read_relation_folder(data_directory_, folder);
        if (sizes) return *std::move(sizes);
        status_ = sizes.error();
        return {};
    }

    const std::string& data_directory_;
    std::map<std::string, FolderSizes, std::less<>> folders_;
    Status status_;
};

}  // namespace

bool has_file_sizes(const Rowset& rowset) {
    return rowset.plugin == "pg_stats" && rowset.name == "file_sizes";
}

uint16_t file_sizes_rowset() {
    static const uint16_t number = rowset_number(*find_rowset("pg_stats", "file_sizes"));
    return number;
}

bool changes_file_sizes(const Rowset& rowset) {
    return rowset.plugin == "pg_stats" && (rowset.name == "tables" || rowset.name == "indexes");
}

Status fill_file_sizes(std::string_view rows, std::span<const Column* const> columns,
                       const std::string& data_directory, AbsentFiles absent, RowBuilder& out) {
    const std::optional<Places> places = places_in(columns);
    if (!places) return make_error(sqlstate::kInternal, "rowset has no columns for file sizes");
    const std::vector<ColumnType> types = types_of(columns);
    std::vector<Value> values(types.size());
    Folders folders(data_directory);
    // A row gets four sizes for four nulls; where they are left out mostly, so are most rows.
    if (absent != AbsentFiles::kLeftOut) out.reserve(rows.size() + rows.size() / 4);
    RowReader reader(rows);
    for (std::string_view body; reader.next(body);) {
        if (!decode_row(body, types, values))
            return make_error(sqlstate::kProtocolViolation, "malformed row");
        const Value& folder = values[places->folder];
        const Value& file = values[places->file];
        const std::optional<ForkSizes> sizes =
            folder.null || file.null
                ? std::nullopt
                : folders.find(folder.text, static_cast<uint32_t>(file.integer));
        if (!sizes && absent == AbsentFiles::kLeftOut) continue;
        for (size_t fork = 0; fork < kForks; ++fork) {
            Value& size = values[places->sizes[fork]];
            size.null = !sizes;
            if (sizes) size.integer = sizes->bytes[fork];
        }
        out.begin();
        for (const Value& value : values) out.value(value);
        out.end();
    }
    if (!reader.ok()) return make_error(sqlstate::kProtocolViolation, "malformed row");
    return folders.status();
}

}  // namespace pganalytics::host
