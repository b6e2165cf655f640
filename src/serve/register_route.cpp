// POST /collectors/register: an enrolment token and a public key become a collector. The worker
// decides; here is what the network may ask of it. Runs in `pganalytics serve`.
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/net/enrolment_token.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/sha256.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/media.hpp"
#include "pganalytics/serve/register_body.hpp"
#include "pganalytics/serve/routes.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

namespace {

constexpr std::string_view kSecretField = "x-registration-secret";

Answer refuse_token(FrontState& state, const Request& request) {
    state.rates.failed_registers.take(request.network, Clock::now());
    state.note_refusal("registration token not accepted", request.address);
    return error_answer(401, "registration token not accepted");
}

// The key the certificate will be for: the request's, or one made here where the hub may.
struct Key {
    std::string public_der;
    std::string private_pem;  // only of a key made here
};

std::optional<Answer> take_key(const FrontState& state, const RegisterBody& body, Key& key) {
    if (!body.csr.empty()) {
        Result<std::string> checked = net::verify_certificate_request(body.csr);
        if (!checked) {
            return error_answer(400, "certificate request not accepted", checked.error().message);
        }
        key.public_der = *std::move(checked);
        return std::nullopt;
    }
    if (!state.settings.issue_keys) {
        return error_answer(400, "csr missing",
                            "Send a certificate request as \"csr\". (A hub makes keys itself only "
                            "with pganalytics.hub_issue_keys = on.)");
    }
    const Result<net::PrivateKey> made = net::make_private_key();
    if (!made) return wait_answer(503, kRetryAfterBusy, "busy");
    Result<std::string> public_der = net::public_key_der(**made);
    Result<std::string> private_pem = net::private_key_pem(**made);
    if (!public_der || !private_pem) return wait_answer(503, kRetryAfterBusy, "busy");
    key = {*std::move(public_der), *std::move(private_pem)};
    return std::nullopt;
}

Answer enrolled(const FrontState& state, const RegisterResult& result, const Key& key) {
    const Result<net::Certificate> certificate = net::parse_certificate(result.certificate);
    if (!certificate || state.master_keys.empty()) {
        return wait_answer(503, kRetryAfterBusy, "busy");
    }
    const int64_t now = host::now_seconds();
    const Sha256 fingerprint = net::certificate_fingerprint(**certificate);
    const Collectors::Identity who{result.collector_id, result.generation};
    JsonObject body;
    body.text("collector_id", uuid_text(result.collector_id))
        .text("hub_id", state.settings.hub_id)
        .text("hub_url", state.settings.hub_url)
        .text("token", net::make_collector_token(state.master_keys.back(),
                                                 state.token_subject(who, fingerprint), now))
        .text("certificate", result.certificate)
        .text("ca_certificate", result.ca_certificate)
        .time("expires_at", (now + net::kTokenLifetime) * kMicrosecondsPerSecond)
        .time("certificate_expires_at", result.expires_at);
    if (!key.private_pem.empty()) body.text("private_key", key.private_pem);
    Answer answer;
    answer.body = body.take();
    return answer;
}

}  // namespace

std::optional<Answer> check_register(FrontState& state, Request& request) {
    const Clock::time_point now = Clock::now();
    if (const uint32_t wait = state.rates.failed_registers.wait(request.network, now)) {
        return wait_answer(429, wait, "too many failed registrations");
    }
    const auto secret = request.head.field(kSecretField);
    if (!secret || !net::parse_enrolment_token(*secret)) return refuse_token(state, request);
    if (!is_json(request.head)) return error_answer(415, "Content-Type must be application/json");
    if (content_coding(request.head) != Coding::kIdentity) {
        return error_answer(415, "no Content-Encoding is accepted here");
    }
    if (const uint32_t wait = state.rates.registers.wait("", now)) {
        return wait_answer(429, wait, "too many registrations");
    }
    return std::nullopt;
}

Task<Answer> handle_register(FrontState& state, Request& request) {
    RegisterBody body;
    if (const auto problem = parse_register_body(request.body.bytes, body)) {
        co_return error_answer(400, "body not accepted", problem->text());
    }
    Key key;
    if (std::optional<Answer> refused = take_key(state, body, key)) co_return *refused;
    Register enrolment;
    enrolment.token_digest = net::sha256(request.head.field(kSecretField).value_or(""));
    enrolment.name = body.name;
    enrolment.hostname = body.hostname;
    enrolment.version = body.version;
    enrolment.public_key = key.public_der;
    enrolment.address = request.address;
    const std::optional<RegisterResult> result = co_await state.worker->enrol(std::move(enrolment));
    if (!result) co_return wait_answer(503, kRetryAfterAway, "the hub cannot enrol now");
    if (result->status == 200) {
        state.rates.registers.take("", Clock::now());
        co_return enrolled(state, *result, key);
    }
    if (result->status == 401) co_return refuse_token(state, request);
    if (result->status >= 400 && result->status < 500) {
        co_return error_answer(result->status, result->message);
    }
    co_return wait_answer(503, kRetryAfterAway,
                          result->message.empty() ? "the hub cannot enrol now" : result->message);
}

}  // namespace pganalytics::serve
