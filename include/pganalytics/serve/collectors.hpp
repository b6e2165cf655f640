// The collectors the worker says are enrolled, and their certificates: nobody else is let in. Pure.
// Runs in `pganalytics serve`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "pganalytics/core/serve_messages.hpp"

namespace pganalytics::serve {

class Collectors {
  public:
    struct Identity {
        Uuid collector_id{};
        uint32_t generation = 0;  // of the token key
    };

    // False (and nothing changed) where the list would go beyond its limits, or another collector
    // has one of the certificates.
    bool apply(const CollectorState& state);
    void remove(const Uuid& collector_id);

    // Empty for every certificate but those of enabled collectors.
    std::optional<Identity> find(const Sha256& fingerprint) const;

    // True once for a certificate that is newer than another one of its collector: the worker is
    // then told of its first use, and ends the older ones.
    bool take_first_use(const Sha256& fingerprint);

    size_t size() const { return collectors_.size(); }

  private:
    std::map<Uuid, CollectorState> collectors_;
    std::map<Sha256, Uuid> certificates_;
    std::set<Sha256> used_;
};

}  // namespace pganalytics::serve
