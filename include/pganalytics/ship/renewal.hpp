// The certificate that follows the one in force, asked of the hub in time. A pair that an operator
// gave is only watched. Runs in `pganalytics ship`.
//
//   waiting --two thirds of the life, and up to a tenth more--> key made and kept --> asked
//   asked --200, checked--> renewed: the caller stores the set, then uses it
//         --409 (renewed before, with another key)--> waiting an hour
//         --anything else--> waiting (full jitter, a minute to an hour; less for a short life)
//
// Times of a certificate are meant by the hub's clock. What is added to two thirds comes from the
// collector's id: a fleet enrolled at one moment does not come back at one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pganalytics/core/backoff.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/net/https_client.hpp"
#include "pganalytics/ship/identity.hpp"
#include "pganalytics/ship/moment.hpp"

namespace pganalytics::ship {

struct Renewed {
    std::string key_pem;
    std::string certificate_pem;
};

class Renewal {
  public:
    // From now on this certificate. `given`: by an operator's settings.
    void watch(const Identity& identity, bool given);
    void forget();

    // The hub's clock, by its last Date: what it was when our monotonic clock was 0. Ours may be
    // set at any time.
    void set_hub_began(int64_t began) { hub_began_ = began; }
    // Ours, until the hub was heard.
    int64_t hub_time(Moment now) const {
        return hub_began_ ? now.monotonic + *hub_began_ : now.wall;
    }
    bool hub_was_heard() const { return hub_began_.has_value(); }

    // Whether to ask now. False while asking.
    bool is_due(Moment now) const;
    // Marks it as asked.
    Result<net::HttpsRequest> ask(const Identity& identity, const std::string& hub_url,
                                  const std::string& key_pem);
    // The new pair; or an error, and the next try is later. `fraction` in [0, 1).
    Result<Renewed> finish(const Identity& identity, const net::HttpsOutcome& outcome, Moment now,
                           double fraction);
    // Neither asked nor renewed: the next try is later.
    void failed(Error error, Moment now, double fraction);

    // For people: each warning comes once. 80 % and 95 % of the life, and its end.
    std::optional<Error> take_warning(Moment now);

    bool given() const { return given_; }
    // Wall clock of the hub, microseconds; 0: no certificate.
    int64_t renews_at() const { return renews_at_; }
    int64_t ends_at() const { return ends_at_; }
    // Why the last try failed; empty after a success.
    const std::optional<Error>& problem() const { return problem_; }

  private:
    Result<std::string> check(const Identity& identity, const net::HttpsResponse& response,
                              int64_t hub_now) const;

    bool given_ = false;
    bool asking_ = false;
    int64_t begins_at_ = 0;
    int64_t renews_at_ = 0;
    int64_t ends_at_ = 0;
    std::optional<int64_t> hub_began_;
    int64_t next_try_ = 0;    // monotonic
    int64_t renewed_at_ = 0;  // monotonic; 0: never
    std::string key_pem_;     // of the request under way
    Backoff backoff_{0, 0};
    std::optional<Error> problem_;
    int warned_ = 0;  // steps of take_warning() that were told
};

}  // namespace pganalytics::ship
