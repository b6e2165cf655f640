// Prints the catalog for tests: catalog {json|sql} MAJOR, or catalog markdown.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "pganalytics/core/catalog_text.hpp"

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    const int major = argc > 2 ? std::atoi(argv[2]) : 0;
    std::string text;
    if (what == "markdown") text = pganalytics::catalog_markdown();
    if (what == "sql" && major > 0) text = pganalytics::catalog_sql(major);
    if (what == "json" && major > 0) text = pganalytics::catalog_json(major);
    if (text.empty()) {
        std::fputs("usage: catalog {json|sql} MAJOR | catalog markdown\n", stderr);
        return 2;
    }
    std::fwrite(text.data(), 1, text.size(), stdout);
    return 0;
}
