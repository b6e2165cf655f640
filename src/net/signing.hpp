// What making certificates and requests have in common. Private to src/net.
#pragma once

#include <string_view>

#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

// Of signatures by `key`; null where the kind of key prescribes it (Ed25519).
const EVP_MD* signing_digest(const EVP_PKEY& key);

// CN=`value` (cut to 64 bytes, at a character's start; "pganalytics" where it is empty or no
// UTF-8).
bool set_common_name(X509_NAME& name, std::string_view value);

}  // namespace pganalytics::net
