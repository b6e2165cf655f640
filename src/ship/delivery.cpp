// The way to the hub (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/delivery.hpp"

#include <algorithm>
#include <utility>

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kShortestWait = kSecond;
constexpr int64_t kLongestWait = 300 * kSecond;
constexpr int64_t kHold = 300 * kSecond;
constexpr int64_t kAuthoritiesInterval = 3600 * kSecond;
constexpr int64_t kTokenMargin = 60 * kSecond;
constexpr int64_t kTokenJitter = 15 * kSecond;
// One bad rowset is never behind more refusals than this without a push that is taken between them;
// a hub that takes nothing at all shall not get everything in pieces.
constexpr int kMostRefusedInARow = 12;

constexpr char kEnrolAgain[] =
    "Enrol this server again: pganalytics_create_token() on the hub, then pganalytics_register() "
    "here.";

Error refusal(int status, const std::string& reason) {
    const std::string message = "hub did not take the push: " + reason;
    switch (status) {
        case 401:
            return make_error(sqlstate::kInvalidAuthorization,
                              "hub does not accept this server's certificate and token", {},
                              kEnrolAgain);
        case 403:
            return make_error(sqlstate::kInvalidAuthorization, message,
                              "Everything is kept; the next try is in five minutes.",
                              "The server may have been revoked at the hub; if it should not be, "
                              "enrol it again.");
        case 404:
        case 405:
            return make_error(
                sqlstate::kConnectionFailure, message, {},
                "Check pganalytics.hub_url: it has to name the hub's collector port.");
        case 408:
        case 429:
        case 503:
            return make_error(sqlstate::kConnectionFailure, message,
                              "The hub is busy; the push is kept and sent again.");
        default:
            return make_error(sqlstate::kProtocolViolation, message, {},
                              "Look into the log of the hub's server.");
    }
}

bool may_pass(int status) { return status == 408 || status == 429 || status == 503; }

}  // namespace

Delivery::Delivery(SnapshotQueue& queue, std::function<double()> random_fraction)
    : queue_(queue),
      random_fraction_(std::move(random_fraction)),
      backoff_(kShortestWait, kLongestWait) {}

void Delivery::connect(std::unique_ptr<Transport> transport, std::string hub_url) {
    cancel();
    transport_ = std::move(transport);
    hub_url_ = std::move(hub_url);
    token_.clear();
    token_is_new_ = token_was_renewed_ = false;
    backoff_.reset();
    wait_until_ = 0;
    allowance_limit_ = 0;
    hub_asked_to_wait_ = false;
    held_.reset();
    ca_mark_.clear();
    authorities_.reset();
    ask_authorities_at_ = 0;
}

void Delivery::disconnect() {
    cancel();
    transport_.reset();
    token_.clear();
}

void Delivery::cancel() {
    if (activity_ != Activity::kNone) transport_->cancel(request_);
    activity_ = Activity::kNone;
    queue_.pin_front(false);
}

void Delivery::set_token(const CollectorToken& token, Moment now) {
    token_ = token.text;
    token_is_new_ = true;
    const auto jitter = static_cast<int64_t>(random_fraction_() * kTokenJitter);
    const int64_t early = kTokenMargin + jitter;
    // A token so short that it would soon be due again is used for half its life.
    renew_token_at_ =
        now.monotonic + (token.lifetime > 2 * early ? token.lifetime - early : token.lifetime / 2);
}

std::optional<int64_t> Delivery::due() const {
    if (transport_ == nullptr || activity_ != Activity::kNone || queue_.front() == nullptr)
        return std::nullopt;
    return wait_until_;
}

void Delivery::hurry() {
    if (hub_asked_to_wait_) return;
    wait_until_ = 0;
}

std::vector<DeliveryEvent> Delivery::take_events() { return std::exchange(events_, {}); }

void Delivery::service(Moment now) {
    if (transport_ == nullptr) return;
    while (const std::optional<net::HttpsOutcome> outcome = transport_->next_finished()) {
        if (activity_ == Activity::kNone || outcome->id != request_) continue;
        figures_.handshakes += outcome->tls_us > 0 ? 1 : 0;
        finish(*outcome, now);
    }
    const std::optional<int64_t> due_at = due();
    if (!due_at || now.monotonic < *due_at) return;
    hub_asked_to_wait_ = false;
    held_.reset();
    if (token_.empty() || (!token_is_new_ && now.monotonic >= renew_token_at_)) {
        start_token();
    } else {
        start_push();
    }
}

void Delivery::start_token() {
    net::HttpsRequest request;
    request.method = "POST";
    request.url = hub_url_ + "/api/v1/collectors/refresh-token";
    ++figures_.token_renewals;
    activity_ = Activity::kToken;
    request_ = transport_->start(std::move(request));
}

void Delivery::start_push() {
    const Snapshot& snapshot = *queue_.front();
    net::HttpsRequest request;
    request.method = "POST";
    request.url = hub_url_ + "/api/v1/metrics/push";
    request.headers = {"Content-Type: application/json", "Content-Encoding: gzip",
                       "Authorization: Bearer " + token_};
    request.body = snapshot.body;
    ++figures_.attempts;
    token_is_new_ = false;
    queue_.pin_front(true);
    activity_ = Activity::kPush;
    request_ = transport_->start(std::move(request));
}

void Delivery::finish(const net::HttpsOutcome& outcome, Moment now) {
    const Activity was = std::exchange(activity_, Activity::kNone);
    figures_.last_transport_failure = outcome.failure;
    if (outcome.failure != net::HttpsFailure::kNone)
        return failed(outcome.error, 0, std::nullopt, false, now);
    if (was == Activity::kToken) return finish_token(outcome, now);
    finish_push(outcome, now);
}

void Delivery::finish_token(const net::HttpsOutcome& outcome, Moment now) {
    if (std::optional<CollectorToken> token = read_token_answer(outcome.response, now.wall)) {
        if (!token->ca_certificate.empty()) authorities_ = std::move(token->ca_certificate);
        return set_token(*token, now);
    }
    const int status = outcome.response.status;
    const std::string reason = status >= 200 && status <= 299
                                   ? "no token in the answer (is this a pganalytics hub?)"
                                   : refusal_text(outcome.response);
    // Only the way of reading Retry-After is shared with a push here.
    const PushAnswer answer = read_push_answer(outcome.response, Snapshot{}, now.wall);
    failed(refusal(status, reason), status,
           status == 403 ? std::optional(kHold) : answer.retry_after, may_pass(status), now);
}

void Delivery::finish_push(const net::HttpsOutcome& outcome, Moment now) {
    const Snapshot& snapshot = *queue_.front();
    const int status = outcome.response.status;
    const PushAnswer answer = read_push_answer(outcome.response, snapshot, now.wall);
    switch (answer.verdict) {
        case Verdict::kDelivered:
            return acknowledged(outcome, answer, now);
        case Verdict::kRefused:
            return refused(outcome, answer, now);
        case Verdict::kSetAside:
        case Verdict::kConflict:
            return set_aside(outcome, answer, now);
        case Verdict::kRenewToken:
            token_.clear();
            if (!std::exchange(token_was_renewed_, true)) return queue_.pin_front(false);
            return failed(refusal(status, answer.reason), status, std::nullopt, false, now);
        case Verdict::kHold:
            return failed(refusal(status, answer.reason), status, kHold, false, now);
        case Verdict::kRetry:
            return failed(refusal(status, answer.reason), status, answer.retry_after,
                          may_pass(status), now);
    }
}

void Delivery::acknowledged(const net::HttpsOutcome& outcome, const PushAnswer& answer,
                            Moment now) {
    DeliveryEvent event;
    event.kind = DeliveryEvent::Kind::kDelivered;
    event.snapshot = queue_.pop_delivered();
    event.answer = answer;
    event.status = outcome.response.status;
    event.took = outcome.total_us;
    event.bytes_gzip = event.snapshot.body.size();
    event.snapshot.body = {};
    ++figures_.delivered;
    figures_.duplicates += answer.duplicate ? 1 : 0;
    figures_.rows += event.snapshot.rows;
    figures_.bytes_json += event.snapshot.bytes_json;
    figures_.bytes_gzip += event.bytes_gzip;
    figures_.too_old += answer.too_old;
    figures_.last_success = now.wall;
    figures_.failing = false;
    events_.push_back(std::move(event));
    token_was_renewed_ = false;
    refused_in_a_row_ = 0;
    backoff_.reset();
    wait_until_ = 0;
    look_at_authorities(answer, now);
    pace(answer, now);
}

void Delivery::look_at_authorities(const PushAnswer& answer, Moment now) {
    if (answer.ca_mark.empty() || answer.ca_mark == ca_mark_) return;
    if (now.monotonic < ask_authorities_at_) return;
    ask_authorities_at_ = now.monotonic + kAuthoritiesInterval;
    renew_token_at_ = 0;
}

void Delivery::pace(const PushAnswer& answer, Moment now) {
    if (!answer.requests_per_second || !answer.burst) return;
    const double limit = std::max(1.0, static_cast<double>(*answer.burst) / 2);
    if (allowance_limit_ == 0) allowance_ = limit;
    allowance_limit_ = limit;
    allowance_rate_ = std::max(0.1, static_cast<double>(*answer.requests_per_second) * 3 / 4);
    spend(now);
}

void Delivery::spend(Moment now) {
    if (allowance_limit_ == 0) return;
    const auto passed = static_cast<double>(now.monotonic - allowance_at_) / kSecond;
    allowance_at_ = now.monotonic;
    allowance_ = std::min(allowance_limit_, allowance_ + passed * allowance_rate_) - 1;
    if (allowance_ < 0)
        wait_until_ = now.monotonic + static_cast<int64_t>(-allowance_ / allowance_rate_ * kSecond);
}

void Delivery::refused(const net::HttpsOutcome& outcome, const PushAnswer& answer, Moment now) {
    std::optional<SnapshotHalves> halves;
    if (++refused_in_a_row_ <= kMostRefusedInARow) halves = split_snapshot(*queue_.front());
    if (!halves) return set_aside(outcome, answer, now);
    DeliveryEvent event;
    event.kind = DeliveryEvent::Kind::kSplit;
    event.snapshot = queue_.pop_split(*std::move(halves));
    event.error = make_error(sqlstate::kProtocolViolation, "hub refused the push: " + answer.reason,
                             "It is sent again in halves, down to the rowset that is refused.",
                             "Look into the log of the hub's server.");
    tell_refusal(std::move(event), outcome, answer, now);
}

void Delivery::set_aside(const net::HttpsOutcome& outcome, const PushAnswer& answer, Moment now) {
    DeliveryEvent event;
    event.kind = DeliveryEvent::Kind::kSetAside;
    event.snapshot = queue_.pop_refused(answer.reason);
    const bool conflict = answer.verdict == Verdict::kConflict;
    event.error = make_error(
        sqlstate::kProtocolViolation,
        conflict ? "hub has stored something else under this push's number: " + answer.reason
                 : "hub refused the push for good: " + answer.reason,
        "The push is set aside; the next cycle sends its rowsets in full.",
        conflict ? "Look for a second server that uses this one's state directory or a copy of it."
                 : "Look into the log of the hub's server.");
    tell_refusal(std::move(event), outcome, answer, now);
}

void Delivery::tell_refusal(DeliveryEvent event, const net::HttpsOutcome& outcome,
                            const PushAnswer& answer, Moment now) {
    event.answer = answer;
    event.status = outcome.response.status;
    event.took = outcome.total_us;
    event.bytes_gzip = event.snapshot.body.size();
    event.snapshot.body = {};
    note_failure(event.error, event.status, now);
    events_.push_back(std::move(event));
    token_was_renewed_ = false;
    backoff_.reset();
    wait_until_ = 0;
    spend(now);
}

void Delivery::failed(Error error, int status, std::optional<int64_t> retry_after, bool passing,
                      Moment now) {
    queue_.pin_front(false);
    queue_.hub_is_away();
    token_was_renewed_ = false;
    hub_asked_to_wait_ = retry_after.has_value();
    int64_t wait = backoff_.next(random_fraction_());
    // A little later than asked, so that those who were told the same do not come together.
    if (retry_after)
        wait = *retry_after +
               static_cast<int64_t>(random_fraction_() * static_cast<double>(*retry_after) / 10);
    wait_until_ = now.monotonic + wait;
    held_.reset();
    if (retry_after && !passing) held_ = error;
    note_failure(error, status, now);
    DeliveryEvent event;
    event.kind = DeliveryEvent::Kind::kFailed;
    event.status = status;
    event.error = std::move(error);
    event.may_pass = passing;
    events_.push_back(std::move(event));
}

void Delivery::note_failure(const Error& error, int status, Moment now) {
    figures_.last_failure = now.wall;
    figures_.failing = true;
    figures_.last_status = status;
    figures_.last_error = error;
}

}  // namespace pganalytics::ship
