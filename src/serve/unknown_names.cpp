// Counts of unknown names (see the header). Pure.
#include "pganalytics/serve/unknown_names.hpp"

#include <algorithm>

namespace pganalytics::serve {

namespace {

// What can be repeated in an answer, a log line or a table without being anything but a name.
bool is_plain(std::string_view name) {
    return !name.empty() && name.size() <= 3 * kNameBytes + 2 &&
           std::all_of(name.begin(), name.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-' || c == '.';
           });
}

void append_counts(std::string& out, std::string_view key,
                   const std::map<std::string, uint64_t, std::less<>>& counts) {
    if (counts.empty()) return;
    if (out.size() > 1) out += ',';
    out += '"';
    out += key;
    out += "\":{";
    bool first = true;
    for (const auto& [name, count] : counts) {
        if (!first) out += ',';
        first = false;
        out += '"' + name + "\":" + std::to_string(count);
    }
    out += '}';
}

}  // namespace

void UnknownNames::add(Counts& counts, std::string_view name) {
    if (const auto found = counts.find(name); found != counts.end()) {
        ++found->second;
    } else if (names_ < kUnknownNames && is_plain(name)) {
        counts.emplace(name, 1);
        ++names_;
    } else {
        ++others_;
    }
}

std::string UnknownNames::json() const {
    std::string out = "{";
    append_counts(out, "types", types_);
    append_counts(out, "rowsets", rowsets_);
    append_counts(out, "columns", columns_);
    if (others_ > 0) {
        if (out.size() > 1) out += ',';
        out += "\"others\":" + std::to_string(others_);
    }
    return out + "}";
}

}  // namespace pganalytics::serve
