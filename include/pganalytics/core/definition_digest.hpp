// What leaves the server of a definition that may hold data (constants of defaults, checks, trigger
// arguments): a digest that changes when the definition does. It is keyed with a secret that never
// leaves the server and that its standbys share, so that nobody who sees digests can try values
// out. Pure; used by visitors.
//
// The server's node trees (pg_node_tree) tell where in a statement each node stood. That is left
// out: the same default set by another statement is the same.
#pragma once

#include <cstddef>
#include <string_view>

#include "pganalytics/core/siphash.hpp"

namespace pganalytics {

inline constexpr size_t kDefinitionDigestBytes = 16;

// Of the first 16 of a secret's bytes; the secret can't be reckoned from what is made with the key.
inline constexpr size_t kDefinitionSecretBytes = 16;
SipKey definition_key(const char* secret);

// Hexadecimal digits.
void write_definition_digest(const SipKey& key, std::string_view definition,
                             char (&digits)[kDefinitionDigestBytes]);

}  // namespace pganalytics
