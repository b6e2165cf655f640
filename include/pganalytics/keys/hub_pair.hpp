// The certificate of the hub's listeners: made, renewed, or checked where it is the operator's.
// Runs in keys.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/keys/hub_authority.hpp"

namespace pganalytics::keys {

struct PairOrder {
    const std::vector<std::string>& names;
    int64_t lifetime = 0;  // seconds, of a certificate that is made now
    int64_t now = 0;
};

// Ends with a pair that passes: its own is made where it is missing, and issued again where it does
// not pass, is past two thirds of its life, or lacks one of `names`. Answers when it ends.
Result<int64_t> ensure_pair(const HubPaths& paths, const Authority& authority,
                            const PairOrder& order);

}  // namespace pganalytics::keys
