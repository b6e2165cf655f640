// The hub's CA: made once, read ever after. Runs in keys, the only process that opens its key.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/keys/hub_paths.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/certificate_authority.hpp"

namespace pganalytics::keys {

struct Authority {
    // The first one signs; others are trusted, too (a bundle while the CA changes).
    std::vector<net::Certificate> certificates;
    net::PrivateKey key;
    net::Issuer issuer() const { return {*certificates.front(), *key}; }
};

// What is there, checked: the pair belongs together, is a CA's, holds at `now`.
Result<Authority> load_authority(const HubPaths& paths, int64_t now);

// Makes the CA where nothing of it is there, `may_create`, and no setting names a file; completes
// one whose certificate was not written yet. Never makes a second one: a certificate without its
// key is an error, and so is any missing part once collectors are enrolled.
Status ensure_authority(const HubPaths& paths, const std::string& hub_id, bool may_create,
                        int64_t now);

// The master keys, by the same rules.
Status ensure_master_key(const HubPaths& paths, bool may_create);

}  // namespace pganalytics::keys
