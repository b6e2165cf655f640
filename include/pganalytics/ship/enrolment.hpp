// Becoming a collector of a hub: a key of our own, a request for its certificate sent with the
// enrolment token over TLS whose CA the token names, the answer checked. Runs in ship (inside its
// event loop) and in register.
//
//   begun --answer--> checked --> done
//         --no answer, 408, 429, 5xx, time left--> waiting 1 s or as asked --> begun, same key
//         --anything else, or time over--> failed
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "pganalytics/core/result.hpp"
#include "pganalytics/net/https_client.hpp"
#include "pganalytics/ship/delivery.hpp"
#include "pganalytics/ship/hub_answer.hpp"
#include "pganalytics/ship/identity.hpp"

namespace pganalytics::ship {

struct EnrolmentOptions {
    std::string url;    // of the hub's console port
    std::string token;  // "pga1...."
    std::string name;   // empty: the one the token was made for
    std::string hostname;
    std::string key_pem;     // from IdentityStore::pending_key()
    int64_t give_up_at = 0;  // monotonic
};

struct Enrolled {
    Identity identity;
    std::optional<CollectorToken> token;
};

class Enrolment {
  public:
    // Checks address and token; sends nothing yet.
    static Result<Enrolment> begin(EnrolmentOptions options);

    // Call when the client is ready or due() has come. A result ends it.
    std::optional<Result<Enrolled>> service(Moment now);
    // When service() has something to start; empty: nothing before the request finishes.
    std::optional<int64_t> due() const;
    net::HttpsClient& client() { return client_; }

  private:
    Enrolment(EnrolmentOptions options, net::HttpsClient client, Sha256 ca_fingerprint,
              std::string target, std::string request);
    std::optional<Result<Enrolled>> finish(const net::HttpsOutcome& outcome, Moment now);
    std::optional<Result<Enrolled>> again_or(Error error, int64_t wait, Moment now);
    Result<Enrolled> check(const net::HttpsResponse& response, Moment now) const;

    EnrolmentOptions options_;
    net::HttpsClient client_;
    Sha256 ca_fingerprint_;
    std::string target_;
    std::string request_;  // body
    bool under_way_ = false;
    int64_t next_try_ = 0;
};

}  // namespace pganalytics::ship
