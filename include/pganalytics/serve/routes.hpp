// The routes of the front. Each has two steps: check(), before a byte of the body is read, and
// handle(). Runs in `pganalytics serve`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/serve/asio.hpp"
#include "pganalytics/serve/front_state.hpp"
#include "pganalytics/serve/http_answer.hpp"
#include "pganalytics/serve/request_head.hpp"

namespace pganalytics::serve {

// What a listener is for. kBoth: everything on one port, the certificate required route by route.
enum class Listener : uint8_t { kCollectors, kConsole, kBoth };

// Counted in a BodyBudget for as long as it lives.
struct Body {
    explicit Body(BodyBudget& all) : budget(all) {}
    ~Body() { clear(); }
    Body(const Body&) = delete;
    Body& operator=(const Body&) = delete;
    // False: no room. The new bytes are for the caller to fill. Where memory itself runs out
    // (bad_alloc) what was counted is given back with the rest.
    bool grow(size_t size) {
        if (!budget.take(size - counted)) return false;
        counted = size;
        bytes.resize(size);
        return true;
    }
    void clear() {
        budget.give(counted);
        counted = 0;
        bytes = std::string();
    }

    BodyBudget& budget;
    size_t counted = 0;
    std::string bytes;
};

struct Request {
    explicit Request(BodyBudget& budget) : body(budget) {}

    RequestHead head;  // views into the connection's buffer
    Body body;
    std::optional<Sha256> fingerprint;  // of the client's certificate
    std::string address;                // of the peer, without port
    std::string network;                // the same as limits count it
    Clock::time_point started;
    Collectors::Identity collector;  // set by check_certificate()
};

struct Route {
    std::string_view method;
    std::string_view path;
    Listener listener;
    bool needs_body;
    size_t (*body_limit)(const FrontState& state);
    // An answer where the request goes no further.
    std::optional<Answer> (*check)(FrontState& state, Request& request);
    Task<Answer> (*handle)(FrontState& state, Request& request);
};

// The route, or the answer why there is none (404, 405).
const Route* find_route(Listener listener, const RequestHead& head, Answer& refusal);

// --- steps of checks

// The certificate is one of an enrolled collector; fills request.collector.
bool check_certificate(FrontState& state, Request& request);
// The token in the Authorization field is that collector's and bound to that certificate.
bool check_token(FrontState& state, const Request& request);

std::optional<Answer> check_health(FrontState& state, Request& request);
Task<Answer> handle_health(FrontState& state, Request& request);
std::optional<Answer> check_register(FrontState& state, Request& request);
Task<Answer> handle_register(FrontState& state, Request& request);
std::optional<Answer> check_refresh_token(FrontState& state, Request& request);
Task<Answer> handle_refresh_token(FrontState& state, Request& request);
std::optional<Answer> check_renew(FrontState& state, Request& request);
Task<Answer> handle_renew(FrontState& state, Request& request);
std::optional<Answer> check_push(FrontState& state, Request& request);
Task<Answer> handle_push(FrontState& state, Request& request);

}  // namespace pganalytics::serve
