// What `ship` is told of this server and of the settings: made anew and compared with what was
// sent, so that each change goes out once. Runs in the collector.
#pragma once

#include <string>
#include <vector>

#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics::pg {

class ShipBriefing {
  public:
    // A visitor read them; only a connected process can.
    void set_tablespaces(std::vector<TablespaceFact> tablespaces) {
        tablespaces_ = std::move(tablespaces);
        look_again_ = true;
    }

    // The configuration was read again.
    void settings_reloaded() { look_again_ = true; }

    // Frames that are due: settings, then facts; none where nothing changed since the last call.
    // Cheap enough for each turn of the loop.
    std::vector<std::string> due_frames();

    // A new run of the program knows nothing.
    void forget_sent() {
        sent_settings_ = sent_facts_ = {};
        look_again_ = true;
    }

  private:
    std::vector<TablespaceFact> tablespaces_;
    std::string sent_settings_;
    std::string sent_facts_;
    bool look_again_ = true;
    bool in_recovery_ = false;
};

}  // namespace pganalytics::pg
