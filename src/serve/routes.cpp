// The table of routes, and what several of them check (see the header). Runs in
// `pganalytics serve`.
#include "pganalytics/serve/routes.hpp"

#include <array>

#include "pganalytics/host/process.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

namespace {

size_t no_body(const FrontState&) { return 0; }
size_t small_body(const FrontState&) { return kSmallBodyBytes; }
size_t push_body(const FrontState& state) {
    return static_cast<size_t>(std::max<int64_t>(state.settings.max_body, 0));
}

constexpr std::array<Route, 5> kRoutes = {{
    {"GET", "/api/v1/health", Listener::kConsole, false, no_body, check_health, handle_health},
    {"POST", "/api/v1/collectors/register", Listener::kConsole, true, small_body, check_register,
     handle_register},
    {"POST", "/api/v1/collectors/refresh-token", Listener::kCollectors, false, small_body,
     check_refresh_token, handle_refresh_token},
    {"POST", "/api/v1/collectors/renew-certificate", Listener::kCollectors, true, small_body,
     check_renew, handle_renew},
    {"POST", "/api/v1/metrics/push", Listener::kCollectors, true, push_body, check_push,
     handle_push},
}};

}  // namespace

const Route* find_route(Listener listener, const RequestHead& head, Answer& refusal) {
    const std::string_view path = head.target.substr(0, head.target.find('?'));
    for (const Route& route : kRoutes) {
        const bool is_here = listener == Listener::kBoth || listener == route.listener;
        if (!is_here || route.path != path) continue;
        if (route.method == head.method) return &route;
        refusal = error_answer(405, "method not allowed here");
        refusal.allow = route.method;
        return nullptr;
    }
    refusal = error_answer(404, "no such route");
    return nullptr;
}

void FrontState::note_refusal(std::string_view reason, std::string_view address) {
    if (rates.log_lines.take(reason, Clock::now()) > 0) return;
    worker->log(LogLevel::kInfo, "not let in: " + std::string(reason),
                "a client was not let in by the hub: " + std::string(reason),
                "Its address is " + std::string(address) + ".");
}

bool check_certificate(FrontState& state, Request& request) {
    if (request.fingerprint) {
        if (const auto who = state.collectors.find(*request.fingerprint)) {
            request.collector = *who;
            return true;
        }
    }
    state.note_refusal(request.fingerprint ? "certificate of no collector" : "no certificate",
                       request.address);
    return false;
}

bool check_token(FrontState& state, const Request& request) {
    constexpr std::string_view kScheme = "Bearer ";
    const auto field = request.head.field("authorization");
    if (!field || field->size() <= kScheme.size() ||
        !equal_ignoring_case(field->substr(0, kScheme.size()), kScheme)) {
        state.note_refusal("no token", request.address);
        return false;
    }
    const net::TokenRefusal refusal = net::verify_collector_token(
        field->substr(kScheme.size()), state.master_keys,
        state.token_subject(request.collector, *request.fingerprint), host::now_seconds());
    if (refusal == net::TokenRefusal::kNone) return true;
    state.note_refusal(net::token_refusal_text(refusal), request.address);
    return false;
}

}  // namespace pganalytics::serve
