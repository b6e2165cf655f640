// Enrolment (see the header). Runs in ship and register.
#include "pganalytics/ship/enrolment.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "pganalytics/core/json_writer.hpp"
#include "pganalytics/core/retry_after.hpp"
#include "pganalytics/core/version.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/net/enrolment_token.hpp"
#include "pganalytics/net/https_url.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr char kNewToken[] =
    "Make a new token with pganalytics_create_token() on the hub; a token works once.";

Result<std::string> registration_request(const EnrolmentOptions& options) {
    const Result<net::PrivateKey> key = net::parse_private_key(options.key_pem);
    if (!key) return key.error();
    const Result<std::string> csr = net::make_certificate_request(
        **key, options.name.empty() ? options.hostname : options.name);
    if (!csr) return csr.error();
    std::string json = "{";
    const auto member = [&json](std::string_view name, std::string_view value) {
        append_json_name(json, name);
        append_json_text(json, value);
    };
    member("name", options.name);
    member("hostname", options.hostname);
    member("version", kVersion);
    member("csr", *csr);
    return json + "}";
}

Error refusal(const net::HttpsResponse& response) {
    const std::string reason = refusal_text(response);
    switch (response.status) {
        case 401:
            return make_error(sqlstate::kInvalidAuthorization,
                              "hub does not accept the enrolment token: " + reason,
                              "The token is unknown, expired, or was used.", kNewToken);
        case 409:
            return make_error(sqlstate::kInvalidAuthorization,
                              "hub refuses the enrolment: " + reason,
                              "The token was used already, with another key.", kNewToken);
        case 404:
        case 405:
            return make_error(sqlstate::kConnectionFailure, "hub refuses the enrolment: " + reason,
                              {}, "The address has to name the hub's console port.");
        default:
            return make_error(sqlstate::kConnectionFailure, "hub refuses the enrolment: " + reason,
                              {}, "Look into the log of the hub's server.");
    }
}

Error unusable(const std::string& what) {
    return make_error(sqlstate::kProtocolViolation, "unusable answer to the enrolment: " + what, {},
                      "Look into the log of the hub's server.");
}

bool is_passing(int status) { return status == 408 || status == 429 || status >= 500; }

}  // namespace

Enrolment::Enrolment(EnrolmentOptions options, net::HttpsClient client, Sha256 ca_fingerprint,
                     std::string target, std::string request)
    : options_(std::move(options)),
      client_(std::move(client)),
      ca_fingerprint_(ca_fingerprint),
      target_(std::move(target)),
      request_(std::move(request)) {}

Result<Enrolment> Enrolment::begin(EnrolmentOptions options) {
    const Result<net::HttpsUrl> url = net::parse_https_url(options.url);
    if (!url) return url.error();
    const std::optional<net::EnrolmentToken> token = net::parse_enrolment_token(options.token);
    if (!token)
        return make_error(sqlstate::kInvalidParameter, "enrolment token is malformed",
                          "A token looks like pga1.<43 characters>.<43 characters>.", kNewToken);
    options.token = token->text();
    Result<std::string> request = registration_request(options);
    if (!request) return request.error();
    net::ClientTlsOptions tls;
    tls.ca_fingerprint = token->ca_fingerprint;
    Result<net::HttpsClient> client = net::HttpsClient::make(tls);
    if (!client) return client.error();
    return Enrolment(std::move(options), *std::move(client), token->ca_fingerprint,
                     url->with("/api/v1/collectors/register"), *std::move(request));
}

std::optional<int64_t> Enrolment::due() const {
    if (under_way_) return std::nullopt;
    return next_try_;
}

std::optional<Result<Enrolled>> Enrolment::service(Moment now) {
    client_.service();
    while (const std::optional<net::HttpsOutcome> outcome = client_.next_finished()) {
        under_way_ = false;
        if (std::optional<Result<Enrolled>> result = finish(*outcome, now)) return result;
    }
    if (under_way_ || now.monotonic < next_try_) return std::nullopt;
    net::HttpsRequest request;
    request.method = "POST";
    request.url = target_;
    request.headers = {"Content-Type: application/json",
                       "X-Registration-Secret: " + options_.token};
    request.body = request_;
    client_.start(std::move(request));
    under_way_ = true;
    return std::nullopt;
}

std::optional<Result<Enrolled>> Enrolment::finish(const net::HttpsOutcome& outcome, Moment now) {
    if (outcome.failure != net::HttpsFailure::kNone) {
        // The hub gives the same key the same answer again.
        if (outcome.may_have_arrived) return again_or(outcome.error, kSecond, now);
        return Result<Enrolled>(outcome.error);
    }
    const int status = outcome.response.status;
    if (is_passing(status))
        return again_or(refusal(outcome.response),
                        parse_retry_after(outcome.response.retry_after, now.wall).value_or(kSecond),
                        now);
    if (status != 200 && status != 201) return Result<Enrolled>(refusal(outcome.response));
    return check(outcome.response, now);
}

std::optional<Result<Enrolled>> Enrolment::again_or(Error error, int64_t wait, Moment now) {
    if (now.monotonic + wait >= options_.give_up_at) return Result<Enrolled>(std::move(error));
    next_try_ = now.monotonic + wait;
    return std::nullopt;
}

Result<Enrolled> Enrolment::check(const net::HttpsResponse& response, Moment now) const {
    const std::optional<Registration> answer = read_registration(response.body);
    if (!answer) return unusable("not a registration (is this a pganalytics hub?)");
    Enrolled enrolled;
    Identity& identity = enrolled.identity;
    const std::optional<Uuid> id = parse_uuid(answer->collector_id);
    if (!id) return unusable("collector_id is no UUID");
    identity.collector_id = *id;
    identity.hub_id = answer->hub_id;
    identity.name = options_.name;
    identity.key_pem = options_.key_pem;
    const Result<net::HttpsUrl> hub_url = net::parse_https_url(answer->hub_url);
    if (!hub_url) return unusable("hub_url is no https address");
    identity.hub_url = hub_url->text();
    // What is kept is what was understood, not what was sent.
    const Result<std::vector<net::Certificate>> ca =
        net::parse_certificates(answer->ca_certificate);
    if (!ca) return unusable("its CA is not the one that the token names");
    // While the hub's CA changes it names two; the other one is learned over the one of the token.
    const auto named = std::find_if(ca->begin(), ca->end(), [this](const net::Certificate& one) {
        return net::certificate_fingerprint(*one) == ca_fingerprint_;
    });
    if (named == ca->end()) return unusable("its CA is not the one that the token names");
    const Result<net::Certificate> certificate = net::parse_certificate(answer->certificate);
    if (!certificate) return unusable("no certificate");
    Result<std::string> ca_pem = net::certificate_pem(**named);
    Result<std::string> certificate_pem = net::certificate_pem(**certificate);
    if (!ca_pem || !certificate_pem) return unusable("no certificate");
    identity.ca_pem = *std::move(ca_pem);
    identity.certificate_pem = *std::move(certificate_pem);
    if (const Status fits = check_identity(identity); !fits) return unusable(fits.error().message);
    enrolled.token = read_token_answer(response, now.wall);
    return enrolled;
}

}  // namespace pganalytics::ship
