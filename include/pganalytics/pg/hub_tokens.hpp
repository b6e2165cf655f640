// Enrolment tokens: made here, kept as SHA-256 of their text only. The text never enters a
// statement, its arguments or an error, so that nothing that logs statements can log it. Runs in
// sessions (pganalytics_create_token) and in the hub worker (self-enrolment).
#pragma once

#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

inline constexpr size_t kLongestServerName = 128;

// Null where `name` can be a server's; else what is wrong with it.
const char* server_name_problem(std::string_view name);

struct TokenOrder {
    std::string_view name;        // of the server
    std::string_view created_by;  // role
    TimestampTz expires_at = 0;
    bool own = false;  // for this server's own collector
};

// Text of a new token in the current memory context. ERROR where there is no randomness.
char* make_token_text(const uint8_t (&ca_fingerprint)[32]);

// Inside a transaction of the hub, SPI connected.
void store_token(const TokenOrder& order, const char* text);

// For this server's own collector: a name (that of its earlier enrolment, else a free one made from
// `base`) and a token for it, valid for 60 s. One transaction.
[[nodiscard]] bool make_own_token(std::string_view base, const Sha256& ca_fingerprint,
                                  std::string& text, FlatError& error) noexcept;

}  // namespace pganalytics::pg
