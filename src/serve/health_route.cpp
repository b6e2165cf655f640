// GET /health. Runs in `pganalytics serve`.
#include "pganalytics/core/version.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/serve/json_text.hpp"
#include "pganalytics/serve/routes.hpp"
#include "pganalytics/serve/worker_link.hpp"

namespace pganalytics::serve {

std::optional<Answer> check_health(FrontState&, Request&) { return std::nullopt; }

// 503 only where the worker itself says that its database is not well. A worker that says nothing
// for a while (a long commit, say) makes the answer "degraded", not the hub unreachable.
Task<Answer> handle_health(FrontState& state, Request&) {
    const bool away = state.worker->worker_away() || !state.health;
    const bool database_ok = !away && state.health->database_ok;
    const auto uptime = std::chrono::duration_cast<seconds>(Clock::now() - state.started);
    JsonObject body;
    body.text("status", database_ok ? "ok" : "degraded")
        .text("version", kVersion)
        .time("timestamp", host::now_us())
        .boolean("database_ok", database_ok);
    if (state.health && state.health->timescale_ok) {
        body.boolean("timescale_ok", *state.health->timescale_ok);
    } else {
        body.null("timescale_ok");
    }
    body.number("uptime", static_cast<uint64_t>(uptime.count()));
    Answer answer;
    answer.status = database_ok || away ? 200 : 503;
    answer.body = body.take();
    co_return answer;
}

}  // namespace pganalytics::serve
