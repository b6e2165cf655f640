// `pganalytics keys rotate-...`: what an operator runs on a hub, as the server's user, to change
// its CA or its master key. The running hub reads the files again; nothing is restarted.
//
// The CA changes in three steps, and at each moment whoever is enrolled and the hub trust each
// other:
//
//     begin    a new CA is trusted beside the old one, which goes on signing; collectors learn it
//     switch   the new one signs; collectors renew their certificates
//     end      the old one is trusted no longer
//
// Each step can be done again after a kill. In ca.crt the first certificate is the one that signs.
#pragma once

#include <cstdint>
#include <string>

#include "pganalytics/core/result.hpp"

namespace pganalytics::keys {

// Of the hub with this state directory; the text is for the operator. `now`: seconds since 1970.
Result<std::string> begin_ca_rotation(const std::string& state_directory, int64_t now);
Result<std::string> switch_ca(const std::string& state_directory, int64_t now);
Result<std::string> end_ca_rotation(const std::string& state_directory, int64_t now);

// A new key signs tokens from now on; those of the one before stay good, older ones end.
Result<std::string> rotate_master_key(const std::string& state_directory);

}  // namespace pganalytics::keys
