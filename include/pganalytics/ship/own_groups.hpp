// What was sent of users' own rowsets, by group, so that the hub is told when a definition is gone.
// Runs in `pganalytics ship`.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/core/sparse_filter.hpp"

namespace pganalytics::ship {

class OwnGroups {
  public:
    struct Gone {
        RowsetGroup group;
        std::string name;
        std::string datname;
    };

    void sent(RowsetGroup group, std::string_view name, std::string_view datname) {
        groups_[group] = {std::string(name), std::string(datname)};
    }
    // Forgets the groups whose definition is not among `own`, and tells which.
    std::vector<Gone> keep(std::span<const OwnNumber> own);
    void keep_databases(std::span<const uint32_t> datids);
    size_t size() const { return groups_.size(); }

  private:
    struct Names {
        std::string name;
        std::string datname;
    };
    std::map<RowsetGroup, Names> groups_;
};

}  // namespace pganalytics::ship
