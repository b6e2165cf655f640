// Brings the queue's snapshots to the hub: oldest first, one in flight, until the hub has
// acknowledged each by name. Runs in `pganalytics ship`, inside its event loop; never blocks.
//
//   disconnected --connect()--> idle
//   idle --something queued, time come--> renewing the token, where it is not fresh --> pushing
//   pushing --acknowledged--> idle
//           --401, first time for this snapshot--> renewing the token --> pushing
//           --400, 413, 422--> its halves are queued in its place; one rowset alone is set aside
//           --415, 409--> set aside (see the queue) --> idle
//           --403--> waiting 5 min
//           --429, 503 and the like with Retry-After--> waiting that long
//           --anything else--> waiting (full jitter, 1 s to 300 s) --> idle
//
// A backlog drains at three quarters of the rate that the hub allows, once half its burst is used.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/core/backoff.hpp"
#include "pganalytics/core/result.hpp"
#include "pganalytics/net/https_client.hpp"
#include "pganalytics/ship/hub_answer.hpp"
#include "pganalytics/ship/moment.hpp"
#include "pganalytics/ship/snapshot_queue.hpp"

namespace pganalytics::ship {

// The part of an HTTPS client that the delivery needs.
class Transport {
  public:
    virtual ~Transport() = default;
    virtual uint64_t start(net::HttpsRequest request) = 0;
    virtual void cancel(uint64_t id) = 0;
    virtual std::optional<net::HttpsOutcome> next_finished() = 0;
};

struct DeliveryEvent {
    enum class Kind : uint8_t { kDelivered, kSetAside, kSplit, kFailed };
    Kind kind = Kind::kFailed;
    Snapshot snapshot;  // delivered, set aside or split; without its body
    PushAnswer answer;  // the same
    int status = 0;     // of the answer; 0: none came
    int64_t took = 0;   // microseconds of the request
    uint64_t bytes_gzip = 0;
    Error error;            // set aside, split or failed
    bool may_pass = false;  // failed because the hub is busy: worth waiting for
};

struct DeliveryFigures {
    uint64_t attempts = 0;
    uint64_t delivered = 0;
    uint64_t duplicates = 0;
    uint64_t rows = 0;
    uint64_t bytes_json = 0;
    uint64_t bytes_gzip = 0;
    uint64_t token_renewals = 0;
    uint64_t handshakes = 0;
    // Wall clock, 0: never. Which of them was later is in `failing`: a clock may be set back.
    int64_t last_success = 0;
    int64_t last_failure = 0;
    bool failing = false;
    uint64_t too_old = 0;  // rows that the hub acknowledged and did not keep
    int last_status = 0;   // of the last failure; 0: no answer came
    net::HttpsFailure last_transport_failure = net::HttpsFailure::kNone;
    Error last_error;
};

class Delivery {
  public:
    // `random_fraction` answers numbers in [0, 1).
    Delivery(SnapshotQueue& queue, std::function<double()> random_fraction);

    // From now on to this hub, with these credentials. Whatever was under way is cancelled.
    void connect(std::unique_ptr<Transport> transport, std::string hub_url);
    void disconnect();
    bool connected() const { return transport_ != nullptr; }
    void set_token(const CollectorToken& token, Moment now);
    // The CAs this side knows. Where the hub says that it has others, the next token is asked for
    // at once, because its answer brings them; once an hour at most.
    void know_authorities(std::string mark) { ca_mark_ = std::move(mark); }
    // What such an answer brought, once: PEM, not checked.
    std::optional<std::string> take_authorities() { return std::exchange(authorities_, {}); }

    // Takes finished requests and starts what is due.
    void service(Moment now);
    // When service() has something to start; empty: nothing before a request finishes.
    std::optional<int64_t> due() const;

    // Somebody waits: ends a wait that is our own back-off, but not one the hub asked for.
    void hurry();
    // Set while the hub has told us to stay away for a reason that will not pass soon.
    const std::optional<Error>& held() const { return held_; }
    int64_t wait_until() const { return wait_until_; }

    std::vector<DeliveryEvent> take_events();
    const DeliveryFigures& figures() const { return figures_; }

  private:
    enum class Activity : uint8_t { kNone, kToken, kPush };

    void finish(const net::HttpsOutcome& outcome, Moment now);
    void finish_token(const net::HttpsOutcome& outcome, Moment now);
    void finish_push(const net::HttpsOutcome& outcome, Moment now);
    void acknowledged(const net::HttpsOutcome& outcome, const PushAnswer& answer, Moment now);
    void refused(const net::HttpsOutcome& outcome, const PushAnswer& answer, Moment now);
    void set_aside(const net::HttpsOutcome& outcome, const PushAnswer& answer, Moment now);
    void tell_refusal(DeliveryEvent event, const net::HttpsOutcome& outcome,
                      const PushAnswer& answer, Moment now);
    void failed(Error error, int status, std::optional<int64_t> retry_after, bool may_pass,
                Moment now);
    void note_failure(const Error& error, int status, Moment now);
    void look_at_authorities(const PushAnswer& answer, Moment now);
    void pace(const PushAnswer& answer, Moment now);
    void spend(Moment now);
    void start_token();
    void start_push();
    void cancel();

    SnapshotQueue& queue_;
    std::function<double()> random_fraction_;
    std::unique_ptr<Transport> transport_;
    std::string hub_url_;

    Activity activity_ = Activity::kNone;
    uint64_t request_ = 0;

    std::string token_;  // empty: none
    int64_t renew_token_at_ = 0;
    bool token_is_new_ = false;       // not used yet: no further renewal before a push
    bool token_was_renewed_ = false;  // for the snapshot at the front, after a 401

    // Pushes that may go at once, and what comes to them each second; without a limit by the hub
    // there is no bound.
    double allowance_ = 0;
    double allowance_limit_ = 0;  // 0: no limit known
    double allowance_rate_ = 0;
    int64_t allowance_at_ = 0;

    std::string ca_mark_;
    std::optional<std::string> authorities_;
    int64_t ask_authorities_at_ = 0;

    int refused_in_a_row_ = 0;

    Backoff backoff_;
    int64_t wait_until_ = 0;
    bool hub_asked_to_wait_ = false;
    std::optional<Error> held_;

    std::vector<DeliveryEvent> events_;
    DeliveryFigures figures_;
};

}  // namespace pganalytics::ship
