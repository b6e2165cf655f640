// Where the hub's files are (see the header).
#include "pganalytics/keys/hub_paths.hpp"

namespace pganalytics::keys {

HubPaths resolve_paths(const HubFiles& files) {
    HubPaths paths;
    paths.files = files;
    paths.directory = files.state_directory + "/hub";
    paths.own_authority = files.ca_file.empty() && files.ca_key_file.empty();
    paths.own_pair = files.cert_file.empty() && files.key_file.empty();
    paths.own_master = files.master_key_file.empty();
    const auto resolve = [&paths](std::string& path, const char* name) {
        if (path.empty()) path = paths.directory + "/" + name;
    };
    resolve(paths.files.ca_file, "ca.crt");
    resolve(paths.files.ca_key_file, "ca.key");
    resolve(paths.files.cert_file, "server.crt");
    resolve(paths.files.key_file, "server.key");
    resolve(paths.files.master_key_file, "master.key");
    return paths;
}

}  // namespace pganalytics::keys
