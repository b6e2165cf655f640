// `pganalytics catalog` by itself, for tests that run without the rest of the program.
#include <vector>

#include "pganalytics/program/catalog_tool.hpp"

int main(int count, char** values) {
    const std::vector<std::string> words(values + 1, values + count);
    return pganalytics::catalog_main(words);
}
