// The files the front reads: its certificate and key, the CA's certificate, the master keys. Never
// the CA's key. Runs in `pganalytics serve`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/master_keys.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::serve {

struct HubFilesRead {
    net::Certificate certificate;
    std::vector<net::MasterKey> master_keys;
    std::string ca_pem;          // the CA's certificates as read, the one that signs first
    std::string ca_mark;         // of them
    net::TlsContext collectors;  // asks for certificates, as the ports say
    net::TlsContext console;
};

// Everything checked before any of it is used. Errors name the file.
Result<HubFilesRead> read_hub_files(const ServeSettings& settings);

// Changes when one of the files does: inode, size, time of change.
std::string hub_files_mark(const ServeSettings& settings);

}  // namespace pganalytics::serve
