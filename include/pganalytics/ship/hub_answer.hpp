// What the hub's answers mean. Pure; the answers are hostile. Runs in `pganalytics ship` and
// `pganalytics register`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "pganalytics/net/https_client.hpp"
#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

enum class Verdict : uint8_t {
    kDelivered,
    kRetry,       // later, with back-off or as the hub asks
    kRenewToken,  // 401
    kHold,        // 403: five minutes
    kSetAside,    // 415: the same bytes will never be taken
    kRefused,     // 400, 413, 422: nor these, but perhaps a part of them
    kConflict,    // 409: stored before with other content
};

struct PushAnswer {
    Verdict verdict = Verdict::kRetry;
    std::string reason;                  // for a person, where it is not kDelivered
    std::optional<int64_t> retry_after;  // microseconds
    bool duplicate = false;
    bool want_full = false;
    uint64_t inserted = 0;
    uint64_t too_old = 0;
    uint64_t config_version = 0;
    // The hub's limits, where it names them.
    std::optional<uint64_t> max_body;
    std::optional<uint64_t> requests_per_second;
    std::optional<uint64_t> burst;
    std::string ca_mark;  // of the CAs that the hub trusts; empty: not told
};

// `now`: our clock, for a Retry-After date without the hub's own.
PushAnswer read_push_answer(const net::HttpsResponse& response, const Snapshot& snapshot,
                            int64_t now);

struct CollectorToken {
    std::string text;
    int64_t lifetime = 0;          // microseconds from the answer on
    std::string ca_certificate{};  // PEM, of each CA that the hub trusts; not checked
};

// Answer of refresh-token; also the part of register's answer about the token.
std::optional<CollectorToken> read_token_answer(const net::HttpsResponse& response, int64_t now);

struct Registration {
    std::string collector_id;
    std::string hub_id;
    std::string hub_url;
    std::string certificate;
    std::string ca_certificate;
};

// Empty where a part is missing or of another type; the values are not checked.
std::optional<Registration> read_registration(const std::string& body);

// What a refusing answer says, fit for a log line: "401 (token is not valid)".
std::string refusal_text(const net::HttpsResponse& response);

}  // namespace pganalytics::ship
