// The tie to the hub (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/hub_link.hpp"

#include <limits.h>
#include <unistd.h>

#include <utility>

#include "pganalytics/core/retry_after.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/https_url.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/random.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kLookInterval = 2 * kSecond;
constexpr int64_t kLongestSelfEnrolmentWait = 60 * kSecond;

bool same(const std::optional<Identity>& a, const std::optional<Identity>& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return a->collector_id == b->collector_id && a->hub_id == b->hub_id &&
           a->hub_url == b->hub_url && a->key_pem == b->key_pem &&
           a->certificate_pem == b->certificate_pem && a->ca_pem == b->ca_pem;
}

std::string mark_of(const std::string& ca_pem) {
    const Result<std::vector<net::Certificate>> authorities = net::parse_certificates(ca_pem);
    return authorities ? net::authorities_mark(*authorities) : std::string();
}

Result<std::string> new_key() {
    const Result<net::PrivateKey> key = net::make_private_key();
    if (!key) return key.error();
    return net::private_key_pem(**key);
}

Error not_enrolled() {
    return make_error(sqlstate::kObjectNotReady, "this server is not enrolled with a hub", {},
                      "Make a token with pganalytics_create_token() on the hub, then call "
                      "pganalytics_register(url, token) here; or run \"pganalytics register\".");
}

}  // namespace

std::string host_name() {
    char name[HOST_NAME_MAX + 1] = "";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "unknown";
    return name;
}

struct HubLink::HttpsTransport final : Transport {
    explicit HttpsTransport(net::HttpsClient made) : client(std::move(made)) {}
    uint64_t start(net::HttpsRequest request) override { return client.start(std::move(request)); }
    void cancel(uint64_t id) override { client.cancel(id); }
    // The delivery's; what is not for it is kept here.
    std::optional<net::HttpsOutcome> next_finished() override {
        while (std::optional<net::HttpsOutcome> outcome = client.next_finished()) {
            if (const auto hub_now = parse_http_date(outcome->response.date, host::now_us()))
                hub_began = *hub_now - host::monotonic_us();
            if (!renewal || outcome->id != *renewal) return outcome;
            renewal.reset();
            renewal_outcome = std::move(outcome);
        }
        return std::nullopt;
    }
    net::HttpsClient client;
    std::optional<uint64_t> renewal;  // its request, while under way
    std::optional<net::HttpsOutcome> renewal_outcome;
    std::optional<int64_t> hub_began;  // its time when our monotonic clock was 0
};

HubLink::HubLink(SnapshotQueue& queue)
    : self_enrolment_backoff_(kSecond, kLongestSelfEnrolmentWait),
      delivery_(queue, net::random_fraction) {}

HubLink::~HubLink() = default;

void HubLink::configure(const ShipSettings& settings, bool usable_state, Moment now) {
    settings_ = settings;
    usable_state_ = usable_state;
    store_.reset();
    if (usable_state) store_.emplace(settings.state_directory);
    std::vector<std::string> watched;
    for (const std::string* path : {&settings.ca_file, &settings.cert_file, &settings.key_file})
        if (!path->empty()) watched.push_back(*path);
    if (store_) {
        watched.push_back(store_->directory());
        for (const char* file : {"collector.json", "key.pem", "cert.pem", "ca.pem"})
            watched.push_back(store_->path(file));
    }
    watch_.set(std::move(watched));
    look_at_files(now);
}

void HubLink::reload(Moment now) {
    (void)watch_.changed();
    look_at_files(now);
    delivery_.hurry();
    self_enrolment_at_ = 0;
}

// The certificate is an operator's.
bool HubLink::own_pair() const {
    return !settings_.cert_file.empty() && !settings_.key_file.empty();
}

// What settings and state directory say together.
Result<std::optional<Identity>> HubLink::effective_identity() const {
    std::optional<Identity> identity = memory_identity_;
    if (store_) {
        Result<std::optional<Identity>> stored = store_->load();
        if (!stored) return stored;
        identity = *std::move(stored);
    }
    if (!identity && !own_pair()) return identity;
    if (!identity) identity.emplace();
    if (own_pair()) {
        Result<std::string> certificate = host::read_file(settings_.cert_file, net::kMaxPemBytes);
        if (!certificate) return certificate.error();
        Result<std::string> key = host::read_secret(settings_.key_file, net::kMaxPemBytes);
        if (!key) return key.error();
        const Result<Uuid> id = collector_id_of(*certificate, settings_.cert_file);
        if (!id) return id.error();
        identity->collector_id = *id;
        identity->certificate_pem = *std::move(certificate);
        identity->key_pem = *std::move(key);
    }
    if (!settings_.ca_file.empty()) {
        Result<std::string> ca = host::read_file(settings_.ca_file, net::kMaxPemBytes);
        if (!ca) return ca.error();
        identity->ca_pem = *std::move(ca);
    }
    if (!settings_.hub_url.empty()) identity->hub_url = settings_.hub_url;
    return identity;
}

void HubLink::look_at_files(Moment now) {
    look_again_at_ = now.monotonic + kLookInterval;
    Result<std::optional<Identity>> found = effective_identity();
    problem_.reset();
    // Half-written files come right at a later look; a good identity stays in force till then.
    if (!found) {
        problem_ = found.error();
    } else if (!same(*found, identity_)) {
        if (const Status used = use(*std::move(found)); !used) problem_ = used.error();
    }
}

// From now on this identity, or none; or an error, and all is as before.
Status HubLink::use(std::optional<Identity> identity) {
    std::unique_ptr<HttpsTransport> transport;
    std::string hub_url;
    if (identity) {
        const Result<net::HttpsUrl> url = net::parse_https_url(identity->hub_url);
        if (!url) return url.error();
        hub_url = url->text();
        net::ClientTlsOptions tls;
        tls.ca_pem = identity->ca_pem;
        tls.certificate_pem = identity->certificate_pem;
        tls.key_pem = identity->key_pem;
        Result<net::HttpsClient> client = net::HttpsClient::make(tls);
        if (!client) return client.error();
        transport = std::make_unique<HttpsTransport>(*std::move(client));
    }
    const bool other = identity_.has_value() != identity.has_value() ||
                       (identity && identity->collector_id != identity_->collector_id);
    changed_ = changed_ || other;
    identity_ = std::move(identity);
    hub_url_ = std::move(hub_url);
    transport_ = transport.get();
    delivery_.disconnect();
    if (transport) {
        delivery_.connect(std::move(transport), hub_url_);
        delivery_.know_authorities(mark_of(identity_->ca_pem));
    }
    renewal_.forget();
    renewal_key_.clear();
    if (identity_) renewal_.watch(*identity_, own_pair());
    return {};
}

Status HubLink::enrol(const std::string& url, const std::string& token, uint64_t request,
                      int64_t give_up_at) {
    if (enrolment_ != nullptr && enrolment_request_ != 0)
        return make_error(sqlstate::kObjectNotReady, "another enrolment is under way");
    if (request != 0 && !store_)
        return make_error(sqlstate::kObjectNotReady, "state directory cannot be used",
                          "The identity would be lost at the next start.",
                          "See pganalytics_status(), component \"state_directory\".");
    EnrolmentOptions options;
    options.url = url;
    options.token = token;
    options.hostname = host_name();
    options.give_up_at = give_up_at;
    Result<std::string> key = store_ ? store_->pending_key(token) : new_key();
    if (!key) return key.error();
    options.key_pem = *std::move(key);
    Result<Enrolment> begun = Enrolment::begin(std::move(options));
    if (!begun) return begun.error();
    enrolment_ = std::make_unique<Enrolment>(*std::move(begun));
    enrolment_request_ = request;
    return {};
}

std::vector<HubLink::Outcome> HubLink::take_outcomes() { return std::exchange(outcomes_, {}); }

void HubLink::finish_enrolment(Result<Enrolled> result, Moment now) {
    enrolment_.reset();
    Outcome outcome{std::exchange(enrolment_request_, 0), std::nullopt};
    if (result) result->identity.self_enrolled = outcome.request == 0;
    if (result && store_) {
        if (const Status saved = store_->save(result->identity); !saved) result = saved.error();
    } else if (result) {
        memory_identity_ = result->identity;
    }
    if (result) {
        enrolment_error_.reset();
        self_enrolment_backoff_.reset();
        (void)watch_.changed();
        look_at_files(now);
        if (result->token && delivery_.connected()) delivery_.set_token(*result->token, now);
    } else {
        outcome.error = result.error();
        enrolment_error_ = std::move(result).error();
    }
    outcomes_.push_back(std::move(outcome));
}

Status HubLink::forget() {
    enrolment_.reset();
    memory_identity_.reset();
    if (store_) {
        if (Status gone = store_->forget(); !gone) return gone;
    }
    look_again_at_ = 0;
    return {};
}

void HubLink::service(Moment now) {
    if (now.monotonic >= look_again_at_) {
        look_again_at_ = now.monotonic + kLookInterval;
        if (watch_.changed() || problem_) look_at_files(now);
    }
    if (enrolment_ != nullptr) {
        if (std::optional<Result<Enrolled>> result = enrolment_->service(now))
            finish_enrolment(*std::move(result), now);
        return;
    }
    if (transport_ == nullptr) return;
    transport_->client.service();
    delivery_.service(now);
    if (const auto authorities = delivery_.take_authorities()) take_authorities(*authorities, now);
    if (transport_ == nullptr) return;
    service_renewal(now);
}

void HubLink::service_renewal(Moment now) {
    if (transport_->hub_began) renewal_.set_hub_began(*transport_->hub_began);
    if (const auto outcome = std::exchange(transport_->renewal_outcome, std::nullopt))
        finish_renewal(*outcome, now);
    if (renewal_.is_due(now)) ask_for_renewal(now);
    if (std::optional<Error> warning = renewal_.take_warning(now))
        notes_.push_back({LogLevel::kWarning, *std::move(warning)});
}

// The same for the same certificate, also after a restart: the hub may have answered already.
Result<std::string> HubLink::renewal_key() {
    if (store_) return store_->renewal_key(identity_->certificate_pem);
    if (!renewal_key_.empty()) return renewal_key_;
    Result<std::string> key = new_key();
    if (key) renewal_key_ = *key;
    return key;
}

void HubLink::ask_for_renewal(Moment now) {
    const Result<std::string> key = renewal_key();
    Result<net::HttpsRequest> request =
        key ? renewal_.ask(*identity_, hub_url_, *key) : Result<net::HttpsRequest>(key.error());
    if (!request) return renewal_.failed(request.error(), now, net::random_fraction());
    transport_->renewal = transport_->client.start(*std::move(request));
}

void HubLink::finish_renewal(const net::HttpsOutcome& outcome, Moment now) {
    Result<Renewed> renewed = renewal_.finish(*identity_, outcome, now, net::random_fraction());
    if (!renewed) return notes_.push_back({LogLevel::kWarning, renewed.error()});
    if (const Status taken = take_renewed(*renewed, now); !taken) {
        notes_.push_back({LogLevel::kWarning, taken.error()});
        return renewal_.failed(taken.error(), now, net::random_fraction());
    }
    std::string until;
    append_time(until, renewal_.ends_at());
    notes_.push_back(
        {LogLevel::kInfo, make_error("00000", "certificate renewed, valid until " + until)});
}

// The hub's CA changes: it told us over a connection that the one we know vouches for. What the
// settings name is the operator's.
void HubLink::take_authorities(const std::string& pem, Moment now) {
    if (!settings_.ca_file.empty()) return;
    Identity next = *identity_;
    Status taken = change_authorities(next, pem);
    if (taken && next.ca_pem == identity_->ca_pem) return;
    if (taken)
        taken = replace_identity([&next](Identity& kept) { kept.ca_pem = next.ca_pem; }, now);
    if (!taken) return notes_.push_back({LogLevel::kWarning, taken.error()});
    notes_.push_back(
        {LogLevel::kInfo, make_error("00000",
                                     "the hub's certificate authorities are others now; they "
                                     "were taken over")});
}

Status HubLink::take_renewed(const Renewed& renewed, Moment now) {
    return replace_identity(
        [&renewed](Identity& kept) {
            kept.certificate_pem = renewed.certificate_pem;
            kept.key_pem = renewed.key_pem;
        },
        now);
}

// Kept as a set first, then used.
Status HubLink::replace_identity(const std::function<void(Identity&)>& change, Moment now) {
    Identity next = *identity_;
    if (store_) {
        // Not what the settings make of it.
        Result<std::optional<Identity>> stored = store_->load();
        if (!stored) return stored.error();
        if (!*stored || (*stored)->certificate_pem != identity_->certificate_pem)
            return make_error(sqlstate::kObjectNotReady,
                              "this server was enrolled otherwise meanwhile");
        next = **std::move(stored);
    }
    change(next);
    if (Status fits = check_identity(next); !fits) return fits;
    if (store_) {
        if (Status saved = store_->save(next); !saved) return saved;
    } else {
        memory_identity_ = next;
    }
    (void)watch_.changed();
    look_at_files(now);
    return problem_ ? Status(*problem_) : Status();
}

std::vector<HubLink::Note> HubLink::take_notes() { return std::exchange(notes_, {}); }

std::optional<int64_t> HubLink::due() const {
    const std::optional<int64_t> other =
        enrolment_ != nullptr ? enrolment_->due() : delivery_.due();
    return other ? std::min(*other, look_again_at_) : look_again_at_;
}

net::HttpsClient* HubLink::client() {
    if (enrolment_ != nullptr) return &enrolment_->client();
    return transport_ != nullptr ? &transport_->client : nullptr;
}

Error HubLink::problem() const {
    if (problem_) return *problem_;
    if (enrolment_error_ && !identity_) return *enrolment_error_;
    if (!identity_) return not_enrolled();
    return delivery_.figures().last_error;
}

bool HubLink::take_changed() { return std::exchange(changed_, false); }

// The server's own hub was set up anew and does not know us: asking it again is what an operator
// would do.
bool HubLink::own_hub_refuses_us() const {
    const DeliveryFigures& figures = delivery_.figures();
    return identity_ && identity_->self_enrolled && figures.failing &&
           (figures.last_status == 401 ||
            figures.last_transport_failure == net::HttpsFailure::kOurCertificate);
}

bool HubLink::expects_self_enrolment() const {
    return settings_.own_hub && settings_.hub_url.empty() && settings_.cert_file.empty() &&
           enrolment_ == nullptr && (!identity_ || own_hub_refuses_us());
}

bool HubLink::take_self_enrolment_wish(Moment now) {
    if (!expects_self_enrolment() || now.monotonic < self_enrolment_at_) return false;
    self_enrolment_at_ = now.monotonic + self_enrolment_backoff_.next(net::random_fraction());
    return true;
}

}  // namespace pganalytics::ship
