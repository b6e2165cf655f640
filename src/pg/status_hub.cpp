// The hub's rows of pganalytics_status(), from shared memory. Runs in sessions.
#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/shared_state.hpp"
#include "pganalytics/pg/status_rows.hpp"

namespace pganalytics::pg {

namespace {

constexpr const char* kHub = "hub_worker";
constexpr const char* kFront = "hub_front";

const char* text_or_null(const char* text) { return text[0] != '\0' ? text : nullptr; }

HubShared take_snapshot() {
    HubShared& shared = shared_state()->hub;
    const SpinLock lock(shared.mutex);
    HubShared copy = shared;
    // Nobody's business here.
    std::memset(static_cast<void*>(&copy.mailbox), 0, sizeof copy.mailbox);
    return copy;
}

void put_state(ResultRows* result, const HubShared& hub) {
    const char* state = hub.pid == 0 ? "not running" : hub.ready ? "ready" : "not ready";
    const char* note = nullptr;
    if (RecoveryInProgress()) {
        note = "The hub starts at the end of recovery.";
    } else if (hub.problem[0] != '\0') {
        note = hub.hint[0] != '\0' ? psprintf("%s. %s", hub.problem, hub.hint) : hub.problem;
    } else if (hub.pid == 0) {
        note = "It starts by itself, after an error within 5 s; the server's log has the reason.";
    }
    put_status(result, kHub, "state", state, nullptr, note);
}

void put_certificate(ResultRows* result, const HubShared& hub) {
    if (hub.certificate_end == 0) return;
    const TimestampTz end = time_t_to_timestamptz(static_cast<pg_time_t>(hub.certificate_end));
    const bool over = end < GetCurrentTimestamp();
    const char* note = hub.own_certificate
                           ? "The hub renews it by itself."
                           : "Yours (pganalytics.hub_cert_file): replace the files in time; they "
                             "are read within a minute.";
    if (over) note = "It has expired; collectors do not talk to this hub.";
    put_status_time(result, kHub, "certificate_expires_at", end, note);
}

}  // namespace

void put_hub_status(ResultRows* result) {
    if (!settings().hub) return;
    const HubShared hub = take_snapshot();
    put_state(result, hub);
    put_status(result, kHub, "hub_id", text_or_null(hub.hub_id));
    put_status(result, kHub, "url", text_or_null(hub.hub_url));
    put_certificate(result, hub);
    put_status_number(
        result, kHub, "alarms", hub.alarms, "servers",
        hub.alarms > 0 ? psprintf("%s. See table pganalytics.audit of the hub.", hub.newest_alarm)
                       : nullptr);
    put_status_number(result, kHub, "snapshots_stored", hub.snapshots_stored, "snapshots");
    put_status_number(result, kHub, "snapshots_duplicate", hub.snapshots_duplicate, "snapshots");
    put_status_number(result, kHub, "snapshots_refused", hub.snapshots_refused, "snapshots");
    put_status_number(result, kHub, "rows_stored", hub.rows_stored, "rows");
    put_status_time(result, kHub, "last_stored", hub.last_stored);
    put_status_time(result, kHub, "last_busy", hub.last_busy, text_or_null(hub.busy_reason));
    put_status_number(result, kHub, "cpu_time", hub.worker_cpu_us / 1000, "milliseconds");
    if (hub.front_pid != 0) {
        put_status_number(result, kFront, "pid", static_cast<uint64_t>(hub.front_pid));
    }
    put_status(result, kFront, "sandbox", text_or_null(hub.front_sandbox));
    put_status_number(result, kFront, "starts", hub.front_starts, "times");
    put_status_number(result, kFront, "cpu_time", hub.front_cpu_us / 1000, "milliseconds");
}

}  // namespace pganalytics::pg
