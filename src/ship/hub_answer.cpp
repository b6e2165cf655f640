// What the hub's answers mean (see the header). Runs in ship and register.
#include "pganalytics/ship/hub_answer.hpp"

#include <algorithm>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/retry_after.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/ship/json_object.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kMaxReason = 200;
constexpr size_t kMaxTokenBytes = 2048;
constexpr int64_t kLongestToken = int64_t{24} * 3600 * kMicrosecondsPerSecond;

bool is_success(int status) { return status >= 200 && status <= 299; }

// The hub's clock where it told it, else ours.
int64_t clock_of(const net::HttpsResponse& response, int64_t now) {
    return parse_http_date(response.date, now).value_or(now);
}

// Text of the hub's that may stand in a log line: one line, no control characters, bounded.
std::string fit_for_log(std::string_view text) {
    std::string clean;
    append_utf8_clean(clean, text.substr(0, 4 * kMaxReason));
    clean = utf8_cut(clean, kMaxReason);
    std::replace_if(
        clean.begin(), clean.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    return clean;
}

Verdict verdict_of(int status) {
    switch (status) {
        case 400:
        case 413:
        case 422:
            return Verdict::kRefused;
        case 415:
            return Verdict::kSetAside;
        case 401:
            return Verdict::kRenewToken;
        case 403:
            return Verdict::kHold;
        case 409:
            return Verdict::kConflict;
        default:
            return Verdict::kRetry;
    }
}

bool equal_uuid(const std::optional<std::string>& text, const Uuid& uuid) {
    return text && parse_uuid(*text) == uuid;
}

// Empty: it acknowledges this snapshot.
std::string_view missing_in_acknowledgement(const JsonObject& answer, const Snapshot& snapshot) {
    if (!equal_uuid(answer.text("collector_id"), snapshot.collector_id)) return "collector";
    if (!equal_uuid(answer.text("snapshot_id"), snapshot.snapshot_id)) return "snapshot";
    if (answer.number("sequence") != snapshot.sequence) return "sequence";
    if (answer.text("digest") != hex_text(snapshot.digest)) return "digest";
    return {};
}

void read_acknowledgement(const net::HttpsResponse& response, const Snapshot& snapshot,
                          PushAnswer& answer) {
    const std::optional<JsonObject> json = JsonObject::parse(response.body);
    if (!json) {
        answer.reason = "status " + std::to_string(response.status) +
                        " without an acknowledgement (is this a pganalytics hub?)";
        return;
    }
    if (const std::string_view missing = missing_in_acknowledgement(*json, snapshot);
        !missing.empty()) {
        answer.reason = "status " + std::to_string(response.status) +
                        " does not acknowledge this " + std::string(missing);
        return;
    }
    answer.verdict = Verdict::kDelivered;
    answer.duplicate = json->boolean("duplicate").value_or(false);
    answer.want_full = json->boolean("want_full").value_or(false);
    answer.inserted = json->number("metrics_inserted").value_or(0);
    answer.too_old = json->number("too_old").value_or(0);
    answer.config_version = json->number("next_config_version").value_or(0);
    answer.max_body = json->number("limits.max_body");
    answer.requests_per_second = json->number("limits.requests_per_second");
    answer.burst = json->number("limits.burst");
    answer.ca_mark = json->text("ca").value_or("");
}

}  // namespace

std::string refusal_text(const net::HttpsResponse& response) {
    std::string text = "status " + std::to_string(response.status);
    const std::optional<JsonObject> json = JsonObject::parse(response.body);
    if (!json) return text;
    const std::string message = fit_for_log(json->text("message").value_or(""));
    const std::string details = fit_for_log(json->text("details").value_or(""));
    if (message.empty() && details.empty()) return text;
    return text + " (" + message + (message.empty() || details.empty() ? "" : "; ") + details + ")";
}

PushAnswer read_push_answer(const net::HttpsResponse& response, const Snapshot& snapshot,
                            int64_t now) {
    PushAnswer answer;
    if (is_success(response.status)) {
        read_acknowledgement(response, snapshot, answer);
        return answer;
    }
    answer.verdict = verdict_of(response.status);
    answer.reason = refusal_text(response);
    if (response.status >= 300 && response.status <= 399)
        answer.reason += ", a redirect, which is never followed";
    if (answer.verdict == Verdict::kRetry)
        answer.retry_after = parse_retry_after(response.retry_after, clock_of(response, now));
    return answer;
}

std::optional<CollectorToken> read_token_answer(const net::HttpsResponse& response, int64_t now) {
    if (!is_success(response.status)) return std::nullopt;
    const std::optional<JsonObject> json = JsonObject::parse(response.body);
    if (!json) return std::nullopt;
    const std::optional<std::string> text = json->text("token");
    const std::optional<std::string> expires = json->text("expires_at");
    if (!text || !expires || text->empty() || text->size() > kMaxTokenBytes) return std::nullopt;
    // It becomes a header.
    const bool fit = std::all_of(text->begin(), text->end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               c == '-' || c == '_' || c == '.';
    });
    const std::optional<int64_t> expiry = parse_time(*expires);
    if (!fit || !expiry) return std::nullopt;
    const int64_t lifetime = *expiry - clock_of(response, now);
    return CollectorToken{*text, std::clamp(lifetime, int64_t{0}, kLongestToken),
                          json->text("ca_certificate").value_or("")};
}

std::optional<Registration> read_registration(const std::string& body) {
    const std::optional<JsonObject> json = JsonObject::parse(body);
    if (!json) return std::nullopt;
    const std::optional<std::string> parts[] = {json->text("collector_id"), json->text("hub_id"),
                                                json->text("hub_url"), json->text("certificate"),
                                                json->text("ca_certificate")};
    for (const std::optional<std::string>& part : parts)
        if (!part) return std::nullopt;
    return Registration{*parts[0], *parts[1], *parts[2], *parts[3], *parts[4]};
}

}  // namespace pganalytics::ship
