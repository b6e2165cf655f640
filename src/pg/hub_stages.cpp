// The hub worker's stages up to serving (see the header). Runs in the hub worker.
#include "pganalytics/pg/hub_stages.hpp"

#include <unistd.h>

#include "pganalytics/pg/hub_status.hpp"
#include "pganalytics/pg/log.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kLookEveryUs = 2 * kSecond;
constexpr int64_t kLongestPauseUs = 60 * kSecond;
// The hub's certificate is looked at this often, a short-lived one more often.
constexpr int64_t kFilesEveryUs = int64_t{6} * 3600 * kSecond;
constexpr int64_t kLooksALife = 20;

std::string own_hostname() {
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) != 0) return {};
    return name;
}

HubFiles files_of(const Settings& settings) {
    HubFiles files;
    files.state_directory = state_directory();
    files.cert_file = settings.hub_cert_file;
    files.key_file = settings.hub_key_file;
    files.ca_file = settings.hub_ca_file;
    files.ca_key_file = settings.hub_ca_key_file;
    files.master_key_file = settings.hub_master_key_file;
    return files;
}

}  // namespace

HubStages::HubStages(int poll, const std::string& program)
    : keys_(poll, program),
      front_(poll, program),
      pushes_(*this),
      ingest_(tables_, announced_),
      enrolment_(keys_) {
    read_settings();
}

int HubStages::step(const Wakeup& wakeup) {
    now_us_ = monotonic_us();
    more_to_do_ = false;
    if (in_step_) recover();
    in_step_ = true;
    if (wakeup.reloaded) {
        read_settings();
        // Files, names and retention may be others; while serving, the files of before stay in use
        // until the answer. Somebody who reloads may have changed a collector, too.
        due_us_ = files_due_us_ = refresh_due_us_ = now_us_;
        maintenance_due_us_ = retention_due_us_ = now_us_;
    }
    const int keys_ms = keys_.service(now_us_);
    const int front_ms = front_.service(now_us_);
    take_keys_answers();
    if (stage_ == Stage::kWaiting && now_us_ >= due_us_) look_for_extension();
    if (stage_ == Stage::kFiles && files_question_ == 0 && now_us_ >= due_us_) ask_for_files();
    if (stage_ == Stage::kTables && now_us_ >= due_us_) make_tables();
    if (stage_ == Stage::kServing) serve();
    publish_figures(ingest_.totals(), own_cpu_us(), front_.cpu_us(), front_.pid(), front_.starts());
    in_step_ = false;
    if (more_to_do_) return 0;
    // Due work of our own comes each second at the latest; the programs may want less.
    return std::min({keys_ms, front_ms, 1000});
}

// The front waits for answers, and of what it said something may be lost: it starts anew.
void HubStages::recover() {
    read_settings();
    front_.reject("the hub worker lost what it said");
    forget_front();
}

void HubStages::stop_now() {
    front_.stop();
    keys_.stop_now();
}

void HubStages::publish(std::string_view problem, std::string_view hint) {
    publish_problem(problem, hint);
    // Another problem is another cause: it shall not wait until the first one may be told again.
    log_limited(LOG, problem, "the hub is not ready: " + std::string(problem), {}, hint);
}

void HubStages::read_settings() {
    const Settings& now = settings();
    hostname_ = own_hostname();
    names_ = hub_names_of(
        {now.hub_listen_addresses, now.hub_names, hostname_, now.hub_port, now.hub_console_port});
    tell_due_ = true;
}

void HubStages::look_for_extension() {
    FlatError error;
    due_us_ = now_us_ + kLookEveryUs;
    if (load_identity(identity_, error)) {
        if (identity_.last_received != 0) clock_steps_.begin(identity_.last_received, now_us_);
        stage_ = Stage::kFiles;
        due_us_ = now_us_;
        tries_ = 0;
        return;
    }
    publish(error.message, error.hint);
}

void HubStages::leave(const FlatError& error) {
    front_.stop();
    forget_front();
    used_.clear();
    files_question_ = 0;
    stage_ = Stage::kWaiting;
    due_us_ = now_us_ + kLookEveryUs;
    publish(error.message, error.hint);
}

void HubStages::ask_for_files() {
    KeysInit question;
    question.files = files_of(settings());
    question.hub_id = identity_.hub_id;
    question.names = names_.certificate_names;
    question.lifetime_s = settings().hub_certificate_life;
    question.may_create = !identity_.has_collectors;
    files_question_ = keys_.ask(question);
    files_due_us_ = now_us_ + std::min(kFilesEveryUs, question.lifetime_s * kSecond / kLooksALife);
    if (files_question_ == 0) due_us_ = now_us_ + kSecond;
}

void HubStages::take_files(const HubKeys::Answer& answer) {
    files_question_ = 0;
    const auto* files = std::get_if<KeysInitResult>(&answer.result);
    const auto* why = std::get_if<std::string>(&answer.result);
    std::string problem = why != nullptr ? *why : "keys gave another answer";
    std::string hint;
    if (files != nullptr) {
        problem = files->error;
        hint = files->hint;
    }
    if (!problem.empty()) {
        // While serving, what was there before goes on being used.
        const int64_t pause = std::min(kSecond << std::min(tries_, 6), kLongestPauseUs);
        ++tries_;
        due_us_ = files_due_us_ = now_us_ + pause;
        if (stage_ != Stage::kServing) return publish(problem, hint);
        log_limited(WARNING, "hub files", problem, {}, hint);
        return;
    }
    tries_ = 0;
    const bool other_authority = files->ca_fingerprint != files_.ca_fingerprint;
    files_ = *files;
    // Good ones may be others than before.
    front_.send_settings_again();
    enrolment_.set_files(files_.files, files_.ca_certificate);
    publish_certificate(files_.certificate_expires_at / kSecond,
                        settings().hub_cert_file[0] == '\0');
    tell_due_ = true;
    if (stage_ == Stage::kFiles) {
        stage_ = Stage::kTables;
        due_us_ = now_us_;
    } else if (stage_ == Stage::kServing && other_authority) {
        if (FlatError error; !tell_authority(error)) leave(error);
    }
}

bool HubStages::tell_authority(FlatError& error) {
    bool changed = false;
    if (!store_ca(files_.ca_fingerprint, changed, error)) return false;
    constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
    const bool in_overlap =
        files_.ca_certificate.find(kBegin) != files_.ca_certificate.rfind(kBegin);
    if (changed && in_overlap)
        log_limited(LOG, "hub certificate authority",
                    "the hub's certificates are made by another certificate authority now",
                    "The one before is still accepted.");
    if (changed && !in_overlap)
        log_limited(WARNING, "hub certificate authority",
                    "the hub's certificate authority is not the one it had before",
                    "Servers enrolled with the earlier one can't verify this hub.",
                    "Give the hub its earlier files back, or enrol the servers again.");
    return true;
}

void HubStages::make_tables() {
    FlatError error;
    due_us_ = now_us_ + kLookEveryUs;
    if (!tell_authority(error)) return leave(error);
    if (!tables_.load(error)) return leave(error);
    stage_ = Stage::kServing;
    views_due_ = tell_due_ = true;
    refresh_due_us_ = maintenance_due_us_ = retention_due_us_ = now_us_;
}

}  // namespace pganalytics::pg
