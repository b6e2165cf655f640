// The space for members of multixacts, by the files of pg_multixact/members: what is in use lies
// between the oldest and the newest of them, and no SQL function tells it before 19. Runs in the
// program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pganalytics/core/result.hpp"

namespace pganalytics::host {

struct MultixactMembers {
    int64_t files = 0;
    int64_t bytes = 0;
    int64_t members = 0;  // at most so many are in them
    // Beyond the first vacuum's age for multixacts is made less, beyond the second it is 0; at the
    // limit no multixact can be made. Without one from 19 on.
    int64_t low = 0;
    int64_t high = 0;
    std::optional<int64_t> limit;
};

Result<MultixactMembers> read_multixact_members(const std::string& data_directory,
                                                int server_version_num);

}  // namespace pganalytics::host
