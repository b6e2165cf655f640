// `pganalytics catalog`: prints the catalog. A tool a person runs; talks to nobody.
#include "pganalytics/program/catalog_tool.hpp"

#include <charconv>
#include <cstdio>

#include "pganalytics/core/catalog_text.hpp"

namespace pganalytics {

namespace {

// The majors whose queries are known to be right.
constexpr int kOldest = 13;
constexpr int kNewest = 19;

constexpr char kUsage[] =
    "Usage: pganalytics catalog [OPTION]\n"
    "\n"
    "Without an option a list of the rowsets. Options:\n"
    "  --markdown    the reference documentation\n"
    "  --sql MAJOR   the queries run on a server of that major version (13 to 19)\n"
    "  --json MAJOR  rowsets, columns and queries for it, as JSON\n";

// 0 where it is no known major version.
int parse_major(const std::string& text) {
    int major = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, major);
    return error == std::errc() && at == end && kOldest <= major && major <= kNewest ? major : 0;
}

// Empty where the arguments make no sense.
std::string catalog_output(std::span<const std::string> args) {
    if (args.empty()) return catalog_list();
    const std::string& option = args[0];
    if (option == "--help" && args.size() == 1) return kUsage;
    if (option == "--markdown" && args.size() == 1) return catalog_markdown();
    const int major = args.size() == 2 ? parse_major(args[1]) : 0;
    if (option == "--sql" && major != 0) return catalog_sql(major);
    if (option == "--json" && major != 0) return catalog_json(major);
    return {};
}

}  // namespace

int catalog_main(std::span<const std::string> args) {
    const std::string text = catalog_output(args);
    if (text.empty()) {
        std::fputs(kUsage, stderr);
        return 2;
    }
    const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    return std::fflush(stdout) == 0 && written ? 0 : 1;
}

}  // namespace pganalytics
