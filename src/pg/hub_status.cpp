// The hub worker's side of shared memory (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_status.hpp"

#include <algorithm>

#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/shared_state.hpp"

namespace pganalytics::pg {

namespace {

// After the first failed start the postmaster's own pause (module.cpp) is all, as what made it fail
// may be over: memory that ran out for a moment, connections that were all taken.
constexpr int64_t kShortestStartPauseUs = 5 * int64_t{1000000};
constexpr int64_t kLongestStartPauseUs = 60 * int64_t{1000000};

HubShared& shared() { return shared_state()->hub; }

}  // namespace

int failed_start_delay_ms() {
    const TimestampTz now = GetCurrentTimestamp();
    const SpinLock lock(shared().mutex);
    if (shared().failed_starts == 0) return 0;
    // Somebody reloaded between that worker's end and the start of this one.
    if (PgReloadTime > shared().last_failed_start) return 0;
    const int doublings = std::min(shared().failed_starts - 1, 10);
    const int64_t pause = std::min(kShortestStartPauseUs << doublings, kLongestStartPauseUs);
    const int64_t since = now - shared().last_failed_start;
    // A clock set back must not keep it away.
    if (since < 0 || since >= pause) return 0;
    return static_cast<int>((pause - since) / 1000 + 1);
}

void publish_starting() {
    const TimestampTz now = GetCurrentTimestamp();
    const SpinLock lock(shared().mutex);
    shared().pid = MyProcPid;
    shared().latch = MyLatch;
    shared().ready = false;
    ++shared().failed_starts;
    shared().last_failed_start = now;
}

void publish_connected() {
    const SpinLock lock(shared().mutex);
    shared().failed_starts = 0;
    shared().last_failed_start = 0;
}

void publish_gone() {
    {
        const SpinLock lock(shared().mutex);
        shared().pid = 0;
        shared().latch = nullptr;
        shared().ready = false;
        shared().front_pid = 0;
    }
}

void publish_problem(std::string_view problem, std::string_view hint) {
    const SpinLock lock(shared().mutex);
    shared().ready = false;
    copy_text(shared().problem, problem);
    copy_text(shared().hint, hint);
}

void publish_ready(const HubFacts& facts) {
    const SpinLock lock(shared().mutex);
    shared().ready = true;
    shared().problem[0] = shared().hint[0] = '\0';
    copy_text(shared().hub_id, facts.hub_id);
    memcpy(shared().ca_fingerprint, facts.ca_fingerprint.data(), facts.ca_fingerprint.size());
    copy_text(shared().hub_url, facts.hub_url);
    shared().port = facts.port;
    shared().console_port = facts.console_port;
}

void publish_alarms(const HubAlarms& alarms) {
    const int size =
        pg_encoding_mbcliplen(PG_UTF8, alarms.newest.data(), static_cast<int>(alarms.newest.size()),
                              sizeof(HubShared::newest_alarm) - 1);
    const std::string_view newest(alarms.newest.data(), static_cast<size_t>(size));
    const SpinLock lock(shared().mutex);
    shared().alarms = alarms.count;
    copy_text(shared().newest_alarm, newest);
}

void publish_certificate(int64_t end, bool own) {
    const SpinLock lock(shared().mutex);
    shared().certificate_end = end;
    shared().own_certificate = own;
}

void publish_sandbox(std::string_view layers) {
    const SpinLock lock(shared().mutex);
    copy_text(shared().front_sandbox, layers);
}

void publish_busy(std::string_view reason) {
    const TimestampTz now = GetCurrentTimestamp();
    // Cut where a character begins.
    const int size = pg_encoding_mbcliplen(PG_UTF8, reason.data(), static_cast<int>(reason.size()),
                                           sizeof(HubShared::busy_reason) - 1);
    const SpinLock lock(shared().mutex);
    shared().last_busy = now;
    copy_text(shared().busy_reason, reason.substr(0, static_cast<size_t>(size)));
}

void publish_figures(const IngestTotals& totals, uint64_t worker_cpu_us, uint64_t front_cpu_us,
                     pid_t front_pid, uint64_t front_starts) {
    const TimestampTz now = GetCurrentTimestamp();
    const SpinLock lock(shared().mutex);
    if (shared().snapshots_stored != totals.stored) shared().last_stored = now;
    shared().snapshots_stored = totals.stored;
    shared().snapshots_duplicate = totals.duplicates;
    shared().snapshots_refused = totals.refused;
    shared().rows_stored = totals.rows;
    shared().worker_cpu_us = worker_cpu_us;
    shared().front_cpu_us = front_cpu_us;
    shared().front_pid = front_pid;
    shared().front_starts = front_starts;
}

bool mailbox_asks() {
    const SpinLock lock(shared().mutex);
    return shared().mailbox.state == MailboxState::kAsked;
}

void answer_mailbox(std::string_view url, std::string_view token) {
    {
        const SpinLock lock(shared().mutex);
        EnrolmentMailbox& mailbox = shared().mailbox;
        if (mailbox.state != MailboxState::kAsked) return;
        copy_text(mailbox.url, url);
        copy_text(mailbox.token, token);
        mailbox.state = MailboxState::kAnswered;
    }
    wake_collector();
}

void refuse_mailbox(std::string_view problem) {
    {
        const SpinLock lock(shared().mutex);
        EnrolmentMailbox& mailbox = shared().mailbox;
        if (mailbox.state != MailboxState::kAsked) return;
        copy_text(mailbox.problem, problem);
        mailbox.state = MailboxState::kRefused;
    }
    wake_collector();
}

}  // namespace pganalytics::pg
