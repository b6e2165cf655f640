// What `ship` is told of server and settings (see the header). Runs in the collector.
#include "pganalytics/pg/server_facts.hpp"

#include <charconv>

#include "pganalytics/core/name_patterns.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/pg/postgres.hpp"
#include "pganalytics/pg/settings.hpp"

namespace pganalytics::pg {

namespace {

constexpr int64_t kMegabyte = int64_t{1} << 20;

std::string text_option(const char* name) {
    const char* value = GetConfigOption(name, true, false);
    return value != nullptr ? value : "";
}

std::string clean(std::string_view text) {
    std::string out;
    append_utf8_clean(out, text);
    return out;
}

ShipSettings ship_settings() {
    const Settings& local = settings();
    ShipSettings made;
    made.enabled = local.enabled;
    made.hub_url = local.hub_url;
    made.ca_file = local.ca_file;
    made.cert_file = local.cert_file;
    made.key_file = local.key_file;
    made.state_directory = state_directory();
    made.own_hub = local.hub && !RecoveryInProgress();
    made.collect_interval_ms = local.collect_interval;
    made.full_interval_s = local.full_interval;
    made.config_pull_interval_s = local.config_pull_interval;
    made.remote_config = local.remote_config;
    made.spool_limit = local.spool_limit * kMegabyte;
    made.memory_limit = local.memory_limit * kMegabyte;
    return made;
}

std::string log_directory() {
    if (!Logging_collector || Log_directory == nullptr) return "";
    if (Log_directory[0] == '/') return Log_directory;
    return std::string(DataDir) + "/" + Log_directory;
}

std::vector<std::string> temp_tablespaces() {
    const auto names = parse_name_patterns(text_option("temp_tablespaces"));
    return names ? *names : std::vector<std::string>{};
}

ServerFacts server_facts() {
    ServerFacts facts;
    facts.system_identifier = std::to_string(GetSystemIdentifier());
    const std::string number = text_option("server_version_num");
    std::from_chars(number.data(), number.data() + number.size(), facts.server_version_num);
    facts.server_version = text_option("server_version");
    facts.in_recovery = RecoveryInProgress();
    facts.cluster_name = clean(text_option("cluster_name"));
    facts.postmaster_pid = PostmasterPid;
    facts.data_directory = DataDir;
    facts.log_directory = log_directory();
    facts.temp_tablespaces = temp_tablespaces();
    return facts;
}

}  // namespace

std::vector<std::string> ShipBriefing::due_frames() {
    std::vector<std::string> due;
    // Promotion tells nobody.
    const bool in_recovery = RecoveryInProgress();
    if (!look_again_ && in_recovery == in_recovery_) return due;
    look_again_ = false;
    in_recovery_ = in_recovery;
    std::string frame = make_frame(ship_settings());
    if (frame != sent_settings_) {
        due.push_back(frame);
        sent_settings_ = std::move(frame);
    }
    ServerFacts facts = server_facts();
    facts.tablespaces = tablespaces_;
    frame = make_frame(facts);
    if (frame != sent_facts_) {
        due.push_back(frame);
        sent_facts_ = std::move(frame);
    }
    return due;
}

}  // namespace pganalytics::pg
