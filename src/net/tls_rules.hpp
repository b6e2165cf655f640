// The rules that both ends of a TLS connection set on their context. Private to src/net.
#pragma once

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/openssl_handles.hpp"

namespace pganalytics::net {

// Version, suites, groups, security level, options, no sessions: everything that does not depend on
// the role.
Status apply_tls_rules(SSL_CTX& context);

// How chains are verified: depth, strength, strict X.509, no partial chains.
void set_verification_rules(X509_VERIFY_PARAM& rules);

// Loads a pair whose certificate is the first of `chain`.
Status use_pair(SSL_CTX& context, X509& certificate, EVP_PKEY& key);

// What OpenSSL leaves open about a chain that it verified: the leaf is no CA, names its purpose
// (extended key usage) outright, and its key may sign. An X509_V_ERR_*, or X509_V_OK.
int check_leaf_purpose(X509& leaf, bool server);

// "tls: could not ...: reason".
Error tls_error(std::string_view action);

}  // namespace pganalytics::net
