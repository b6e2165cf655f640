// Renewal of the collector's certificate (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/renewal.hpp"

#include <algorithm>
#include <utility>

#include "pganalytics/core/json_writer.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/sha256.hpp"
#include "pganalytics/ship/hub_answer.hpp"
#include "pganalytics/ship/json_object.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = kMicrosecondsPerSecond;
constexpr int64_t kHold = 3600 * kSecond;
constexpr char kEnrolAgain[] =
    "Enrol this server again: pganalytics_create_token() on the hub, then pganalytics_register() "
    "here.";

// In [0, 1), the same for a collector always.
double share_of(const Uuid& collector_id) {
    const Sha256 digest = net::sha256(net::as_text(collector_id));
    uint64_t number = 0;
    for (size_t i = 0; i < 4; ++i) number = number << 8 | digest[i];
    return static_cast<double>(number) / 4294967296.0;
}

Error unusable(const std::string& what) {
    return make_error(sqlstate::kProtocolViolation, "unusable answer to the renewal: " + what, {},
                      "Look into the log of the hub's server.");
}

Error refusal(const net::HttpsResponse& response) {
    const std::string message =
        "hub does not renew this server's certificate: " + refusal_text(response);
    if (response.status == 409)
        return make_error(sqlstate::kInvalidAuthorization, message,
                          "A copy of this server's state directory may be in use elsewhere, or "
                          "this one is a copy.",
                          kEnrolAgain);
    if (response.status == 401 || response.status == 403)
        return make_error(sqlstate::kInvalidAuthorization, message, {}, kEnrolAgain);
    if (response.status == 404 || response.status == 405)
        return make_error(sqlstate::kConnectionFailure, message, {},
                          "The hub may be of an older version: upgrade it.");
    return make_error(sqlstate::kConnectionFailure, message);
}

bool signed_by_first(const Identity& identity, X509& certificate) {
    const Result<std::vector<net::Certificate>> authorities =
        net::parse_certificates(identity.ca_pem);
    if (!authorities || authorities->size() < 2) return true;
    const int64_t moment = std::max(net::certificate_not_before(certificate),
                                    net::certificate_not_before(*authorities->front()));
    return static_cast<bool>(net::check_certificate(certificate, {},
                                                    std::span(*authorities).first(1),
                                                    net::CertificatePurpose::kClient, moment));
}

std::string time_of(int64_t time) {
    std::string text;
    append_time(text, time);
    return text;
}

}  // namespace

void Renewal::watch(const Identity& identity, bool given) {
    const std::optional<int64_t> hub_began = hub_began_;
    const int64_t renewed_at = renewed_at_;
    forget();
    hub_began_ = hub_began;
    renewed_at_ = renewed_at;
    given_ = given;
    const Result<net::Certificate> certificate = net::parse_certificate(identity.certificate_pem);
    if (!certificate) return;
    begins_at_ = net::certificate_not_before(**certificate) * kSecond;
    ends_at_ = net::certificate_not_after(**certificate) * kSecond;
    const int64_t life = std::max<int64_t>(ends_at_ - begins_at_, 0);
    const auto more =
        static_cast<int64_t>(share_of(identity.collector_id) * static_cast<double>(life) / 10);
    renews_at_ = net::certificate_renew_at(**certificate) * kSecond + more;
    // The hub's CA changes: one that the first of them signs is asked for now.
    if (!signed_by_first(identity, **certificate)) renews_at_ = begins_at_;
    const int64_t shortest = std::clamp(life / 60, kSecond, 60 * kSecond);
    backoff_ = Backoff(shortest, std::clamp(life / 8, 4 * kSecond, 3600 * kSecond));
    // A certificate that is due when it is issued must not make a storm.
    if (renewed_at_ != 0) next_try_ = renewed_at_ + shortest;
}

void Renewal::forget() { *this = Renewal(); }

bool Renewal::is_due(Moment now) const {
    if (given_ || asking_ || ends_at_ == 0 || now.monotonic < next_try_) return false;
    const int64_t time = hub_time(now);
    // With one that has ended nothing can be asked.
    return time >= renews_at_ && time < ends_at_;
}

Result<net::HttpsRequest> Renewal::ask(const Identity& identity, const std::string& hub_url,
                                       const std::string& key_pem) {
    const Result<net::PrivateKey> key = net::parse_private_key(key_pem);
    if (!key) return key.error();
    const Result<std::string> csr =
        net::make_certificate_request(**key, uuid_text(identity.collector_id));
    if (!csr) return csr.error();
    net::HttpsRequest request;
    request.method = "POST";
    request.url = hub_url + "/api/v1/collectors/renew-certificate";
    request.headers = {"Content-Type: application/json"};
    request.body = "{";
    append_json_name(request.body, "csr");
    append_json_text(request.body, *csr);
    request.body += "}";
    key_pem_ = key_pem;
    asking_ = true;
    return request;
}

Result<Renewed> Renewal::finish(const Identity& identity, const net::HttpsOutcome& outcome,
                                Moment now, double fraction) {
    asking_ = false;
    const net::HttpsResponse& response = outcome.response;
    Result<std::string> certificate =
        outcome.failure != net::HttpsFailure::kNone ? Result<std::string>(outcome.error)
        : response.status == 200                    ? check(identity, response, hub_time(now))
                                                    : Result<std::string>(refusal(response));
    if (certificate) {
        problem_.reset();
        renewed_at_ = now.monotonic;
        return Renewed{std::move(key_pem_), *std::move(certificate)};
    }
    failed(certificate.error(), now, fraction);
    if (outcome.failure == net::HttpsFailure::kNone && response.status == 409)
        next_try_ = now.monotonic + kHold;
    return certificate.error();
}

void Renewal::failed(Error error, Moment now, double fraction) {
    asking_ = false;
    problem_ = std::move(error);
    next_try_ = now.monotonic + backoff_.next(fraction);
}

// Signed by the CA we know, for this collector and the key that was asked for, and good now.
Result<std::string> Renewal::check(const Identity& identity, const net::HttpsResponse& response,
                                   int64_t hub_now) const {
    const std::optional<JsonObject> json = JsonObject::parse(response.body);
    const std::optional<std::string> pem =
        json ? json->text("certificate") : std::optional<std::string>();
    if (!pem) return unusable("no certificate");
    const Result<net::Certificate> certificate = net::parse_certificate(*pem);
    if (!certificate) return unusable("no certificate");
    // What is kept is what was understood, not what was sent.
    Result<std::string> understood = net::certificate_pem(**certificate);
    if (!understood) return unusable("no certificate");
    Identity next = identity;
    next.key_pem = key_pem_;
    next.certificate_pem = *understood;
    if (const Status fits = check_identity(next); !fits) return unusable(fits.error().message);
    if (net::certificate_not_after(**certificate) * kSecond <= hub_now)
        return unusable("the certificate has ended already");
    return understood;
}

std::optional<Error> Renewal::take_warning(Moment now) {
    if (ends_at_ == 0) return std::nullopt;
    const int64_t time = hub_time(now);
    const int64_t life = ends_at_ - begins_at_;
    const int step = time >= ends_at_                      ? 3
                     : time >= begins_at_ + life / 20 * 19 ? 2
                     : time >= begins_at_ + life / 5 * 4   ? 1
                                                           : 0;
    if (step <= warned_) return std::nullopt;
    warned_ = step;
    const bool over = step == 3;
    const std::string message = over ? "this server's certificate has expired"
                                     : "this server's certificate expires at " + time_of(ends_at_);
    if (given_)
        return make_error(sqlstate::kInvalidAuthorization, message, {},
                          "Replace the files of pganalytics.cert_file and key_file; they are read "
                          "at once.");
    return make_error(sqlstate::kInvalidAuthorization, message,
                      problem_ ? "It could not be renewed: " + problem_->message : "",
                      over       ? kEnrolAgain
                      : problem_ ? problem_->hint
                                 : "");
}

}  // namespace pganalytics::ship
