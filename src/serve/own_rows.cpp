// Rows of users' own rowsets in a push (see the header). Pure.
#include "pganalytics/serve/own_rows.hpp"

#include "pganalytics/core/own_rowset.hpp"

namespace pganalytics::serve {

namespace {

// The text (or json) of a column; empty where it is null or the column is not there.
class Texts {
  public:
    Texts(const RowSet& set, std::string_view column, const Push& push) : push_(push) {
        const size_t place = set.target->find_column(column);
        if (place < set.columns.size()) column_ = &set.columns[place];
        if (column_ != nullptr) is_json_ = set.target->columns[place]->type == ColumnType::kJson;
    }
    std::string_view at(size_t row) const {
        if (column_ == nullptr || column_->is_null(row)) return {};
        return column_->text(row, is_json_ ? push_.made : push_.body);
    }

  private:
    const Push& push_;
    const ValueColumn* column_ = nullptr;
    bool is_json_ = false;
};

const char* keys_problem(const OwnPart& part, std::string_view name, const Push& push) {
    if (part.set == nullptr) return nullptr;
    const Texts names(*part.set, "rowset", push);
    const Texts digests(*part.set, "digest", push);
    const Texts keys(*part.set, "key", push);
    for (size_t row = part.first; row < part.first + part.rows; ++row) {
        if (names.at(row) != name) return "row of another rowset";
        if (!is_own_digest(digests.at(row))) return "malformed digest";
        if (!keys.at(row).starts_with('[') || keys.at(row).size() > kMostOwnRowBytes)
            return "malformed key";
    }
    return nullptr;
}

}  // namespace

const char* own_rows_problem(const OwnPart& rows, const OwnPart& gone, std::string_view name,
                             const Push& push) {
    if (name.empty()) return "rows without the name of their rowset";
    if (const char* problem = keys_problem(rows, name, push)) return problem;
    if (const char* problem = keys_problem(gone, name, push)) return problem;
    if (rows.set == nullptr) return nullptr;
    const Texts values(*rows.set, "row", push);
    for (size_t row = rows.first; row < rows.first + rows.rows; ++row) {
        if (!values.at(row).starts_with('{')) return "malformed row";
    }
    return nullptr;
}

const char* own_definitions_problem(const OwnPart& rows, const Push& push) {
    if (rows.set == nullptr) return nullptr;
    if (rows.rows > kMostOwnRowsets) return "too many rowsets of users";
    const Texts names(*rows.set, "rowset", push);
    const Texts digests(*rows.set, "digest", push);
    for (size_t row = rows.first; row < rows.first + rows.rows; ++row) {
        if (!is_own_name(names.at(row))) return "malformed name of a rowset";
        if (!is_own_digest(digests.at(row))) return "malformed digest";
    }
    return nullptr;
}

}  // namespace pganalytics::serve
