// POST /collectors/renew-certificate: who shows an enrolled certificate gets the one that follows
// it, for a new key. The worker decides whether the one shown is the newest. Runs in
// `pganalytics serve`.
#include "pganalytics/net/certificate_request.hpp"
#include "pganalytics/net/sha256.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/media.hpp"
#include "pganalytics/serve/register_body.hpp"
#include "pganalytics/serve/routes.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

namespace {

Answer renewed(const FrontState& state, const RegisterResult& result) {
    JsonObject body;
    // No token: the first one that is asked for with the new certificate is its first use.
    body.text("collector_id", uuid_text(result.collector_id))
        .text("hub_id", state.settings.hub_id)
        .text("certificate", result.certificate)
        .text("ca_certificate", result.ca_certificate)
        .time("certificate_expires_at", result.expires_at);
    Answer answer;
    answer.body = body.take();
    return answer;
}

}  // namespace

std::optional<Answer> check_renew(FrontState& state, Request& request) {
    if (!check_certificate(state, request)) return unauthorized();
    if (!is_json(request.head)) return error_answer(415, "Content-Type must be application/json");
    if (content_coding(request.head) != Coding::kIdentity) {
        return error_answer(415, "no Content-Encoding is accepted here");
    }
    const uint32_t wait =
        state.rates.renewals.take(net::as_text(request.collector.collector_id), Clock::now());
    if (wait > 0) return wait_answer(429, wait, "too many certificates asked for");
    return std::nullopt;
}

Task<Answer> handle_renew(FrontState& state, Request& request) {
    RegisterBody body;
    if (const auto problem = parse_register_body(request.body.bytes, body)) {
        co_return error_answer(400, "body not accepted", problem->text());
    }
    Result<std::string> key = net::verify_certificate_request(body.csr);
    if (!key) {
        co_return error_answer(400, "certificate request not accepted", key.error().message);
    }
    Renew renewal;
    renewal.collector_id = request.collector.collector_id;
    renewal.fingerprint = *request.fingerprint;
    renewal.public_key = *std::move(key);
    renewal.address = request.address;
    const std::optional<RegisterResult> result = co_await state.worker->renew(std::move(renewal));
    if (!result) co_return wait_answer(503, kRetryAfterAway, "the hub cannot renew now");
    if (result->status == 200) co_return renewed(state, *result);
    if (result->status == 401) co_return unauthorized();
    if (result->status >= 400 && result->status < 500) {
        state.note_refusal("renewal: " + result->message, request.address);
        co_return error_answer(result->status, result->message);
    }
    co_return wait_answer(503, kRetryAfterAway, "the hub cannot renew now");
}

}  // namespace pganalytics::serve
