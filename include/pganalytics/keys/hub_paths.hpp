// Where the hub's files are. Runs in keys.
//
// In <state directory>/hub, unless a setting names another place:
//
//     ca.key       private key of the hub's CA, PKCS #8
//     ca.crt       its certificate
//     server.key   private key of the hub's listeners
//     server.crt   its certificate, renewed here
//     master.key   the master keys of collector tokens (form: net/master_keys.hpp)
//
// A file that a setting names is the operator's: read, checked, never written.
#pragma once

#include "pganalytics/core/keys_messages.hpp"

namespace pganalytics::keys {

struct HubPaths {
    HubFiles files;  // every path resolved
    std::string directory;
    bool own_authority = false;  // neither ca_file nor ca_key_file was set; so for the next two
    bool own_pair = false;
    bool own_master = false;
};

HubPaths resolve_paths(const HubFiles& files);

}  // namespace pganalytics::keys
