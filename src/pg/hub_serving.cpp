// The hub worker while it serves (see hub_stages.hpp). Runs in the hub worker.
#include <chrono>
#include <utility>

#include "pganalytics/core/hub_schema.hpp"
#include "pganalytics/pg/hub_stages.hpp"
#include "pganalytics/pg/hub_status.hpp"
#include "pganalytics/pg/hub_tokens.hpp"
#include "pganalytics/pg/hub_views.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kDayUs = 86400 * kSecond;
constexpr int64_t kRefreshEveryUs = 10 * kSecond;
constexpr int64_t kFilesToldEveryUs = 30 * kSecond;
constexpr int64_t kMaintainEveryUs = 60 * kSecond;
constexpr int64_t kRetainEveryUs = 3600 * kSecond;
constexpr size_t kCertificatesUsed = 1024;

// Rows are let in by the front's clock at their arrival: they may be a little older by now.
constexpr int64_t kSlackUs = 3600 * kSecond;

int64_t wall_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

int64_t retention_us() { return int64_t{settings().hub_retention} * kSecond; }

ServeSettings serve_settings(const HubNames& names, const KeysInitResult& files,
                             const std::string& hub_id) {
    const Settings& now = settings();
    ServeSettings out;
    out.listen_addresses = names.listen_addresses;
    out.port = now.hub_port;
    out.console_port = now.hub_console_port;
    out.hub_id = hub_id;
    out.hub_url = names.hub_url;
    out.cert_file = files.files.cert_file;
    out.key_file = files.files.key_file;
    out.ca_file = files.files.ca_file;
    out.master_key_file = files.files.master_key_file;
    out.retention_s = now.hub_retention;
    out.max_body = int64_t{now.hub_max_body} * 1024;
    out.max_connections = now.hub_max_connections;
    out.accept_zlib = now.hub_accept_zlib;
    out.issue_keys = now.hub_issue_keys;
    out.server_version = PG_VERSION;
    out.state_directory = state_directory();
    out.certificate_end = files.certificate_expires_at;
    out.ca_key_file = files.files.ca_key_file;
    return out;
}

// It raises ERROR where shared memory for the figures is out.
void report_statistics() {
    FlatError error;
    if (try_postgres([] { pgstat_report_stat(false); }, error)) return;
    recover_from_error();
    log_limited(LOG, "hub statistics", "statistics of the worker were not reported", error.message);
}

bool same_columns(const std::vector<ServeTarget>& left, const std::vector<ServeTarget>& right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](const ServeTarget& a, const ServeTarget& b) {
                          return a.rowset == b.rowset && a.columns == b.columns;
                      });
}

}  // namespace

size_t HubStages::fields(uint16_t rowset) const {
    return rowset < announced_.size() ? announced_[rowset].columns.size() : 0;
}

TimeWindow HubStages::window() const {
    const int64_t now = wall_us();
    return {now - std::min(31 * kDayUs, retention_us()) - kSlackUs, now + 660 * kSecond};
}

void HubStages::serve() {
    look_at_clock();
    if (files_question_ == 0 && now_us_ >= files_due_us_) ask_for_files();
    if (now_us_ >= refresh_due_us_) refresh_collectors();
    if (stage_ != Stage::kServing) return;
    if (tell_due_) tell_front();
    HubHealth health;
    health.database_ok = healthy_;
    if (identity_.timescale) health.timescale_ok = true;
    front_.set_health(health);
    front_.start();
    take_frames();
    if (ingest_.empty() && !pushes_.empty()) ingest_.add(pushes_.take_ready());
    if (!ingest_.empty()) store_pushes();
    use_certificates();
    if (stage_ != Stage::kServing) return;
    answer_own_collector();
    maintain();
}

void HubStages::tell_front() {
    tell_due_ = false;
    front_.set_settings(serve_settings(names_, files_, identity_.hub_id));
    std::vector<ServeTarget> targets = tables_.targets();
    // Rows on their way have the columns of before, and nothing in them tells: a front that makes
    // other ones is a new one. What is not answered comes again.
    if (front_.started() && !same_columns(targets, announced_)) {
        front_.stop();
        forget_front();
        publish_problem("the tables changed, the front is being started again", "");
    }
    announced_ = targets;
    front_.set_targets(std::move(targets));
}

// Nobody waits for an answer any more; what is not stored comes again.
void HubStages::forget_front() {
    front_.take_ended();
    pushes_.clear();
    ingest_.clear();
    enrolment_.clear();
    listening_ = false;
}

void HubStages::take_frames() {
    while (!pushes_.full()) {
        const auto frame = front_.next();
        if (!frame) break;
        if (!take_frame(*frame)) front_.reject("it sent a frame that is not understood");
    }
    more_to_do_ = more_to_do_ || pushes_.full();
    const std::string failure = front_.take_failure();
    if (!failure.empty()) log_limited(LOG, "front ended", failure);
    if (!front_.take_ended()) return;
    forget_front();
    publish_problem("program \"pganalytics serve\" is being started again", "");
}

bool HubStages::take_frame(const Frame& frame) {
    switch (frame.type) {
        case FrameType::kLog:
            return log_program_line(frame.payload);
        case FrameType::kFilesReplaced:
            if (now_us_ >= files_told_us_ + kFilesToldEveryUs)
                files_due_us_ = files_told_us_ = now_us_;
            return true;
        case FrameType::kListening:
            return take_listening(frame);
        case FrameType::kPushBegin: {
            auto begin = decode<PushBegin>(frame.payload);
            return begin && pushes_.begin(std::move(*begin));
        }
        case FrameType::kPushRows: {
            auto rows = decode<PushRows>(frame.payload);
            return rows && pushes_.rows(std::move(*rows));
        }
        case FrameType::kPushEnd: {
            const auto end = decode<PushEnd>(frame.payload);
            return end && pushes_.end(*end);
        }
        case FrameType::kRegister: {
            const auto request = decode<Register>(frame.payload);
            if (!request) return false;
            if (const auto result = enrolment_.ask(*request)) answer(*result);
            more_to_do_ = true;  // a question to keys starts its program
            return true;
        }
        case FrameType::kRenew: {
            const auto request = decode<Renew>(frame.payload);
            if (!request) return false;
            if (const auto result = enrolment_.ask(*request)) answer(*result);
            more_to_do_ = true;
            return true;
        }
        case FrameType::kCertificateUsed: {
            const auto used = decode<CertificateUsed>(frame.payload);
            if (used && used_.size() < kCertificatesUsed) used_.push_back(*used);
            return used.has_value();
        }
        default:
            return false;
    }
}

bool HubStages::take_listening(const Frame& frame) {
    const auto listening = decode<Listening>(frame.payload);
    if (!listening) return false;
    listening_ = listening->error.empty();
    publish_sandbox(listening->sandbox);
    if (!listening_) {
        publish(listening->error,
                "Look at pganalytics.hub_listen_addresses, hub_port and hub_console_port.");
        return true;
    }
    publish_ready({identity_.hub_id, files_.ca_fingerprint, names_.hub_url, listening->port,
                   listening->console_port});
    log_limited(LOG, "hub is ready", "the hub is ready");
    return true;
}

void HubStages::store_pushes() {
    pgstat_report_activity(STATE_RUNNING, "storing");
    std::string failure;
    for (const PushResult& result : ingest_.step(failure)) front_.send(result);
    more_to_do_ = more_to_do_ || !ingest_.empty();
    pgstat_report_activity(STATE_IDLE, nullptr);
    report_statistics();
    healthy_ = failure.empty();
    if (healthy_) return;
    publish_busy(failure);
    log_limited(WARNING, "hub storing", "pushes could not be stored now", failure);
    // Perhaps the extension is gone, or a column.
    refresh_due_us_ = now_us_;
    tell_due_ = true;
}

void HubStages::answer(const RegisterResult& result) {
    // The front has to know the certificate before its owner does; a conflict may be an alarm.
    if (result.status == 200 || result.status == 409) refresh_collectors();
    front_.send(result);
}

void HubStages::take_keys_answers() {
    while (const auto line = keys_.take_line()) {
        if (!log_program_line(*line)) log_limited(LOG, "keys", "keys sent a malformed log line");
    }
    while (const auto answer_of_keys = keys_.take_answer()) {
        if (answer_of_keys->number == files_question_) {
            take_files(*answer_of_keys);
        } else if (const auto result = enrolment_.take_certificate(*answer_of_keys)) {
            answer(*result);
        }
        more_to_do_ = true;
    }
}

void HubStages::use_certificates() {
    bool changed = false;
    while (!used_.empty()) {
        FlatError error;
        if (!mark_certificate_used(used_.front(), error)) {
            log_limited(LOG, "certificate used", "a certificate's use could not be noted",
                        error.message);
            break;
        }
        used_.pop_front();
        changed = true;
    }
    if (changed) refresh_collectors();
}

void HubStages::refresh_collectors() {
    refresh_due_us_ = now_us_ + kRefreshEveryUs;
    std::vector<CollectorState> collectors;
    HubAlarms alarms;
    Oid extension = InvalidOid;
    FlatError error;
    if (load_collectors(collectors, alarms, extension, error)) {
        if (extension != identity_.extension) {
            copy_text(error.message, "the extension was created again");
            return leave(error);
        }
        identity_.has_collectors = !collectors.empty();
        publish_alarms(alarms);
        return front_.set_collectors(collectors);
    }
    if (error.code == kNoExtension || error.code == kOtherExtensionVersion ||
        error.code == ERRCODE_UNDEFINED_TABLE)
        return leave(error);
    log_limited(LOG, "collectors", "the list of collectors could not be read", error.message);
}

void HubStages::answer_own_collector() {
    if (!listening_ || !mailbox_asks()) return;
    const char* cluster = GetConfigOption("cluster_name", true, false);
    std::string base = cluster != nullptr && cluster[0] != '\0' ? cluster : hostname_;
    if (server_name_problem(base) != nullptr) base = "server";
    std::string token;
    FlatError error;
    if (make_own_token(base, files_.ca_fingerprint, token, error)) {
        answer_mailbox(names_.self_url, token);
    } else {
        refuse_mailbox(error.message);
    }
}

void HubStages::look_at_clock() {
    const int64_t began = wall_us() - now_us_;
    // A certificate made by a wrong clock may be none by the right one, and who is let in was asked
    // for by the clock of before.
    if (std::abs(began - clock_began_) > ClockSteps::kStep)
        files_due_us_ = refresh_due_us_ = now_us_;
    clock_began_ = began;
    const int64_t ahead = clock_steps_.doubt(wall_us(), now_us_);
    const bool was_doubted = std::exchange(clock_doubted_, ahead != 0);
    if (was_doubted || !clock_doubted_) return;
    log_limited(WARNING, "clock",
                "the clock of this server went forward by " +
                    std::to_string(ahead / ClockSteps::kStep) +
                    " hours; nothing is removed as too old for a day",
                "Or the hub did not run, or received nothing, for that long.",
                "Set the clock right if it is wrong.");
}

void HubStages::maintain() {
    if (now_us_ >= maintenance_due_us_) {
        maintenance_due_us_ = now_us_ + kMaintainEveryUs;
        FlatError error;
        bool changed = false;
        const int32_t today = day_of(wall_us());
        const int32_t days[] = {today, today + 1};
        if (!tables_.add_columns(changed, error) || (views_due_ && !make_views(tables_, error)) ||
            !tables_.prepare_days(days, error)) {
            log_limited(LOG, "hub tables", "a table or view is to be made later", error.message);
        } else {
            views_due_ = false;
        }
        tell_due_ = tell_due_ || changed;
    }
    if (now_us_ >= retention_due_us_) {
        retention_due_us_ = now_us_ + kRetainEveryUs;
        if (!clock_doubted_) retention_.begin(cutoffs(wall_us(), settings().hub_retention));
    }
    if (!retention_.running()) return;
    bool changed = false;
    retention_.work(changed);
    FlatError error;
    if (changed && !tables_.load(error))
        log_limited(LOG, "hub tables", "the tables could not be read", error.message);
    more_to_do_ = more_to_do_ || retention_.running();
}

}  // namespace pganalytics::pg
