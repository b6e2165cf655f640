// What is wrong with a JSON text, and where. Pure. Runs in `pganalytics serve`.
#pragma once

#include <cstddef>
#include <string>

namespace pganalytics::serve {

struct JsonProblem {
    size_t offset = 0;   // bytes from the start of the (inflated) body
    std::string reason;  // fixed text, nothing of the body
    std::string place;   // "metrics[3].tables.seq_scan[17]": known names and numbers only

    std::string text() const {
        std::string out = "byte " + std::to_string(offset);
        if (!place.empty()) out += ", " + place;
        return out + ": " + reason;
    }
};

}  // namespace pganalytics::serve
