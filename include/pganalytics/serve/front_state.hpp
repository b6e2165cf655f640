// What the routes of the front share: settings, who is enrolled, what there is room for. Runs in
// `pganalytics serve`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/jwt.hpp"
#include "pganalytics/net/master_keys.hpp"
#include "pganalytics/serve/admission.hpp"
#include "pganalytics/serve/collectors.hpp"
#include "pganalytics/serve/limits.hpp"
#include "pganalytics/serve/push_targets.hpp"
#include "pganalytics/serve/rate_limiter.hpp"

namespace pganalytics::serve {

class WorkerLink;

inline constexpr std::string_view kTokenIssuer = "pganalytics-hub";

// Bytes of request bodies in memory, of all connections.
class BodyBudget {
  public:
    bool take(size_t bytes) {
        if (bytes > kBodiesInMemory - used_) return false;
        used_ += bytes;
        return true;
    }
    void give(size_t bytes) { used_ -= bytes; }
    size_t used() const { return used_; }

  private:
    size_t used_ = 0;
};

struct RateLimits {
    RateLimiter pushes{kPushesPerSecond, kPushBurst};                               // collector
    RateLimiter tokens{kTokensPerSecond, kTokenBurst};                              // certificate
    RateLimiter renewals{kTokensPerSecond, kTokenBurst};                            // collector
    RateLimiter failed_registers{kFailedRegistersPerSecond, kFailedRegisterBurst};  // address
    RateLimiter registers{kRegistersPerSecond, kRegisterBurst};                     // all
    RateLimiter log_lines{kLogLinesPerSecond, kLogLineBurst};                       // cause
};

struct FrontState {
    // Says why somebody was not let in: to the server's log, never to them. Not more often than
    // rates.log_lines allows.
    void note_refusal(std::string_view reason, std::string_view address);

    WorkerLink* worker = nullptr;
    ServeSettings settings;
    std::shared_ptr<const PushTargets> targets = std::make_shared<PushTargets>();
    Collectors collectors;
    std::optional<HubHealth> health;

    // Files that the settings name, as read last.
    net::Certificate certificate;  // the hub's own
    std::vector<net::MasterKey> master_keys;
    std::string ca_pem;
    std::string ca_mark;

    Admission admission;
    RateLimits rates;
    BodyBudget bodies;
    Clock::time_point started = Clock::now();

    // Whether a Host names this hub: a name or address of its certificate.
    bool knows_host(std::string_view host) const {
        return certificate != nullptr && net::certificate_has_name(*certificate, host);
    }
    net::TokenSubject token_subject(const Collectors::Identity& who,
                                    const Sha256& fingerprint) const {
        return {std::string(kTokenIssuer), settings.hub_id, who.collector_id, who.generation,
                fingerprint};
    }
};

}  // namespace pganalytics::serve
