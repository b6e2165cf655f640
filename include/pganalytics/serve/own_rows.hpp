// Rows of users' own rowsets in a push: whether each is of the rowset it came under and has the
// form of one. What is in them is their user's affair: nothing at the hub is named after it. Each
// function answers a reason (fixed text), or null. Pure. Runs in `pganalytics serve`.
#pragma once

#include <string_view>

#include "pganalytics/serve/push.hpp"

namespace pganalytics::serve {

// Some rows of a set, in the midst of a push's decoding.
struct OwnPart {
    const RowSet* set = nullptr;  // null: none
    size_t first = 0;
    size_t rows = 0;
};

const char* own_rows_problem(const OwnPart& rows, const OwnPart& gone, std::string_view name,
                             const Push& push);
const char* own_definitions_problem(const OwnPart& rows, const Push& push);

}  // namespace pganalytics::serve
