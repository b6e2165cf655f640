// What was sent of users' own rowsets, by group, so that the hub is told when a definition is gone.
// Kept in a file of the state directory: a definition can go while the program is down. Runs in
// `pganalytics ship`.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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

    // What a run of the program before this one has sent, as it kept it. What makes no sense is
    // passed over.
    void inherit(std::string_view bytes);
    // All of it, to be kept, where that is other than the last time.
    std::optional<std::string> to_keep();

    void sent(RowsetGroup group, std::string_view name, std::string_view datname);
    // Forgets the groups whose definition is not among `own`, and tells which.
    std::vector<Gone> keep(std::span<const OwnNumber> own);
    void keep_databases(std::span<const uint32_t> datids);
    size_t size() const { return groups_.size(); }

  private:
    struct Names {
        std::string name;
        std::string datname;
    };
    struct Sent {
        uint32_t datid = 0;
        std::string name;
        std::string datname;
        static void fields(auto& self, auto& codec) { codec(self.datid, self.name, self.datname); }
    };
    struct SentList {
        std::vector<Sent> sent;
        static void fields(auto& self, auto& codec) { codec(self.sent); }
    };

    std::map<RowsetGroup, Names> groups_;
    std::vector<Sent> inherited_;  // not sent by this run
    std::string kept_;
};

}  // namespace pganalytics::ship
