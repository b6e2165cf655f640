// Renewals of certificates in the hub's tables; each function is one transaction. Runs in the hub
// worker.
//
// Only the newest certificate of a collector can be renewed, and once. Who shows the one before it
// gets the same answer again for the same key (the first answer was lost). For another key it is
// refused, and an alarm: two hold a certificate that only one can have, so a state directory was
// copied or stolen.
#pragma once

#include <string>

#include "pganalytics/core/keys_messages.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

enum class RenewalState : uint8_t {
    kRefused,     // it lets nobody in any more
    kGood,        // to be signed, for `generation`
    kDone,        // `certificate` and what follows are those of the first answer
    kSameKey,     // of the certificate shown: not a new one
    kSuperseded,  // its name was enrolled again since
    kTwoKeys,     // renewed before, with another key: alarmed
};

struct RenewalAnswer {
    RenewalState state = RenewalState::kRefused;
    uint32_t generation = 0;
    std::string certificate;
    int64_t expires_at = 0;
};

[[nodiscard]] bool check_renewal(const Renew& request, RenewalAnswer& answer,
                                 FlatError& error) noexcept;

// Looks again, then stores the certificate. What changed meanwhile shows in `answer.state`.
[[nodiscard]] bool store_renewal(const Renew& request, const KeysSignResult& certificate,
                                 RenewalAnswer& answer, FlatError& error) noexcept;

}  // namespace pganalytics::pg
