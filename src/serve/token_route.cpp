// POST /collectors/refresh-token: a new token for who shows an enrolled certificate. Runs in
// `pganalytics serve`.
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/net/sha256.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/routes.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

std::optional<Answer> check_refresh_token(FrontState& state, Request& request) {
    if (!check_certificate(state, request)) return unauthorized();
    const uint32_t wait = state.rates.tokens.take(net::as_text(*request.fingerprint), Clock::now());
    if (wait > 0) return wait_answer(429, wait, "too many tokens asked for");
    if (state.collectors.take_first_use(*request.fingerprint)) {
        state.worker->send(CertificateUsed{request.collector.collector_id, *request.fingerprint});
    }
    return std::nullopt;
}

Task<Answer> handle_refresh_token(FrontState& state, Request& request) {
    if (state.master_keys.empty()) co_return wait_answer(503, kRetryAfterAway, "not ready");
    const int64_t now = host::now_seconds();
    JsonObject body;
    body.text("token", net::make_collector_token(
                           state.master_keys.back(),
                           state.token_subject(request.collector, *request.fingerprint), now))
        .text("ca_certificate", state.ca_pem)
        .time("expires_at", (now + net::kTokenLifetime) * kMicrosecondsPerSecond);
    Answer answer;
    answer.body = body.take();
    co_return answer;
}

}  // namespace pganalytics::serve
