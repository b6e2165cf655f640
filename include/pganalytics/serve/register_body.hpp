// The body of a registration: a flat JSON object. Pure: hostile bytes in. Runs in
// `pganalytics serve`.
#pragma once

#include <optional>
#include <string>

#include "pganalytics/serve/json_problem.hpp"

namespace pganalytics::serve {

struct RegisterBody {
    std::string name;
    std::string hostname;
    std::string version;
    std::string csr;  // PEM; empty: none
};

// Members it does not know are left out. Fills `body` where it answers nothing.
std::optional<JsonProblem> parse_register_body(std::string json, RegisterBody& body);

}  // namespace pganalytics::serve
