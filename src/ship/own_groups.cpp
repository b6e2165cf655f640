// What was sent of users' own rowsets (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/own_groups.hpp"

#include <algorithm>

namespace pganalytics::ship {

std::vector<OwnGroups::Gone> OwnGroups::keep(std::span<const OwnNumber> own) {
    std::vector<Gone> gone;
    for (const auto& [group, names] : groups_) {
        const auto number = group.own;
        const auto is_number = [number](const OwnNumber& one) { return one.number == number; };
        if (std::any_of(own.begin(), own.end(), is_number)) continue;
        gone.push_back({group, names.name, names.datname});
    }
    for (const Gone& one : gone) groups_.erase(one.group);
    return gone;
}

void OwnGroups::keep_databases(std::span<const uint32_t> datids) {
    std::erase_if(groups_, [&](const auto& entry) {
        return std::find(datids.begin(), datids.end(), entry.first.datid) == datids.end();
    });
}

}  // namespace pganalytics::ship
