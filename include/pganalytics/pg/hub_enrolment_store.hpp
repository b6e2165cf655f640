// Enrolments in the hub's tables; each function is one transaction. Runs in the hub worker.
#pragma once

#include <string>

#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

enum class TokenState : uint8_t {
    kRefused,  // in the audit, with the reason, which the answer does not give
    kGood,
    kUsedByThisKey,  // `certificate` and what follows are those of the first answer
};

struct TokenAnswer {
    TokenState state = TokenState::kRefused;
    Uuid collector_id{};  // kGood: of the name's earlier enrolment, else zero
    uint32_t generation = 0;
    std::string certificate;
    int64_t expires_at = 0;
};

// Inside a transaction of the hub: one more certificate for this collector, and of those never used
// the oldest end.
void add_certificate(const Uuid& collector_id, uint32_t generation, std::string_view public_key,
                     const KeysSignResult& certificate);

[[nodiscard]] bool check_token(const Register& request, TokenAnswer& answer,
                               FlatError& error) noexcept;

// Looks at the token again, then stores collector, certificate and the token's use. What changed
// meanwhile shows in `answer.state`.
[[nodiscard]] bool store_enrolment(const Register& request, const Uuid& collector_id,
                                   const KeysSignResult& certificate, TokenAnswer& answer,
                                   FlatError& error) noexcept;

}  // namespace pganalytics::pg
