// What the hub worker and `pganalytics serve` say to each other.
//
//   hub:   Hello, ServeSettings, ServeTargets, CollectorState*, Open; then at any time
//          ServeSettings, ServeTargets, CollectorState, CollectorGone, HubHealth, PushResult,
//          RegisterResult, Heartbeat, Stop
//   serve: Hello, Listening, LogLine, HeartbeatAnswer, CertificateUsed, Register, Renew,
//          PushBegin PushRows* PushEnd (one push at a time, validated completely before its begin)
//
// Times are microseconds since 1970-01-01 UTC. There is no SQL in a frame.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics {

struct ServeSettings {
    static constexpr FrameType kType = FrameType::kServeSettings;
    std::vector<std::string> listen_addresses;
    int32_t port = 8443;
    int32_t console_port = 8444;  // 0: all on one port
    std::string hub_id;           // uuid text
    std::string hub_url;          // what collectors are told: https://name:port
    std::string cert_file;        // absolute, resolved by the worker; also the next three
    std::string key_file;
    std::string ca_file;
    std::string master_key_file;
    int64_t retention_s = 0;
    int64_t max_body = 0;  // bytes on the wire
    int32_t max_connections = 0;
    bool accept_zlib = false;
    bool issue_keys = false;
    std::string server_version;
    std::string state_directory;  // for the front's lock and last words
    int64_t certificate_end = 0;  // of the hub's certificate; another one: read the files again
    std::string ca_key_file;      // which it never opens: what its sandbox must not reach
    static void fields(auto& self, auto& codec) {
        codec(self.listen_addresses, self.port, self.console_port, self.hub_id, self.hub_url,
              self.cert_file, self.key_file, self.ca_file, self.master_key_file, self.retention_s,
              self.max_body, self.max_connections, self.accept_zlib, self.issue_keys,
              self.server_version, self.state_directory, self.certificate_end, self.ca_key_file);
    }
};

// Rows of PushRows have these fields: time timestamptz, collector_id uuid, then for kDatabase scope
// datname text right after the first catalog column (datid), then the named catalog columns.
struct ServeTarget {
    uint16_t rowset = 0;
    std::vector<std::string> columns;  // of the table, in COPY order, time and collector_id first
    static void fields(auto& self, auto& codec) { codec(self.rowset, self.columns); }
};

struct ServeTargets {
    static constexpr FrameType kType = FrameType::kServeTargets;
    std::vector<ServeTarget> targets;
    static void fields(auto& self, auto& codec) { codec(self.targets); }
};

struct CertificateState {
    Sha256 fingerprint{};  // of the DER
    uint32_t generation = 0;
    static void fields(auto& self, auto& codec) { codec(self.fingerprint, self.generation); }
};

// One enrolled collector; only the certificates named here let it in.
struct CollectorState {
    static constexpr FrameType kType = FrameType::kCollectorState;
    Uuid collector_id{};
    std::string name;
    bool enabled = true;
    uint32_t generation = 0;  // of the token key
    std::vector<CertificateState> certificates;
    static void fields(auto& self, auto& codec) {
        codec(self.collector_id, self.name, self.enabled, self.generation, self.certificates);
    }
};

struct CollectorGone {
    static constexpr FrameType kType = FrameType::kCollectorGone;
    Uuid collector_id{};
    static void fields(auto& self, auto& codec) { codec(self.collector_id); }
};

// The list of collectors is complete: open the listeners.
struct Open {
    static constexpr FrameType kType = FrameType::kOpen;
    static void fields(auto&, auto& codec) { codec(); }
};

// The files of the hub that the front is allowed to read are others by now; it goes on with what it
// has read. Who finds the new ones good sends the settings again.
struct FilesReplaced {
    static constexpr FrameType kType = FrameType::kFilesReplaced;
    static void fields(auto&, auto& codec) { codec(); }
};

struct Listening {
    static constexpr FrameType kType = FrameType::kListening;
    int32_t port = 0;
    int32_t console_port = 0;
    std::string error;    // empty: both are open
    std::string sandbox;  // its layers, in words
    static void fields(auto& self, auto& codec) {
        codec(self.port, self.console_port, self.error, self.sandbox);
    }
};

struct HubHealth {
    static constexpr FrameType kType = FrameType::kHubHealth;
    bool database_ok = false;
    std::optional<bool> timescale_ok;  // empty: not installed
    static void fields(auto& self, auto& codec) { codec(self.database_ok, self.timescale_ok); }
};

// One push, as its envelope says and the front found. `collector_id` is the certificate's.
struct PushBegin {
    static constexpr FrameType kType = FrameType::kPushBegin;
    uint64_t number = 0;
    Uuid collector_id{};
    Uuid snapshot_id{};
    Uuid incarnation{};     // all zero where the sender has none (older collectors)
    uint64_t sequence = 0;  // 0 where the sender has none
    Sha256 digest{};        // of the inflated body
    Uuid cycle{};
    uint32_t part = 1;
    uint32_t parts = 1;
    int64_t time = 0;  // of the envelope
    int64_t received_at = 0;
    std::string hostname;
    std::string version;
    std::string system_identifier;
    std::optional<bool> in_recovery;
    uint64_t config_version = 0;
    uint64_t bytes_received = 0;
    uint64_t bytes_json = 0;
    uint64_t too_old = 0;  // rows not passed on
    uint64_t future = 0;   // rows that got the hub's time
    std::string unknown;   // JSON: types, rowsets and columns not known, with counts
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.collector_id, self.snapshot_id, self.incarnation, self.sequence,
              self.digest, self.cycle, self.part, self.parts, self.time, self.received_at,
              self.hostname, self.version, self.system_identifier, self.in_recovery,
              self.config_version, self.bytes_received, self.bytes_json, self.too_old, self.future,
              self.unknown);
    }
};

// `rows` is binary COPY data without header and trailer: `count` whole rows, each with the fields
// of the rowset's ServeTarget.
struct PushRows {
    static constexpr FrameType kType = FrameType::kPushRows;
    uint64_t number = 0;
    uint16_t rowset = 0;
    uint32_t count = 0;
    std::string rows;
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.rowset, self.count, self.rows);
    }
};

struct PushEnd {
    static constexpr FrameType kType = FrameType::kPushEnd;
    uint64_t number = 0;
    uint64_t rows = 0;  // of all its PushRows: a push that lost some on its way is not stored
    static void fields(auto& self, auto& codec) { codec(self.number, self.rows); }
};

enum class PushOutcome : uint8_t {
    kStored = 1,
    kDuplicate = 2,
    kConflict = 3,   // same snapshot or sequence, another digest
    kRefused = 4,    // its rows can't be stored: 422
    kBusy = 5,       // not now: 503 with retry_after_s
    kOverQuota = 6,  // its collector's storage is used up: 429 with retry_after_s
};

// Sent after the durable commit.
struct PushResult {
    static constexpr FrameType kType = FrameType::kPushResult;
    uint64_t number = 0;
    PushOutcome outcome = PushOutcome::kBusy;
    uint64_t inserted = 0;
    bool want_full = false;
    uint32_t retry_after_s = 0;
    std::string message;
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.outcome, self.inserted, self.want_full, self.retry_after_s,
              self.message);
    }
};

struct Register {
    static constexpr FrameType kType = FrameType::kRegister;
    uint64_t number = 0;
    Sha256 token_digest{};  // SHA-256 of the token's text
    std::string name;
    std::string hostname;
    std::string version;
    std::string public_key;  // SubjectPublicKeyInfo, DER; the request's signature was checked
    std::string address;     // of the peer
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.token_digest, self.name, self.hostname, self.version,
              self.public_key, self.address);
    }
};

// A collector asks for the certificate that follows the one it shows; RegisterResult answers.
struct Renew {
    static constexpr FrameType kType = FrameType::kRenew;
    uint64_t number = 0;
    Uuid collector_id{};
    Sha256 fingerprint{};    // of the certificate shown
    std::string public_key;  // SubjectPublicKeyInfo, DER; the request's signature was checked
    std::string address;     // of the peer
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.collector_id, self.fingerprint, self.public_key, self.address);
    }
};

struct RegisterResult {
    static constexpr FrameType kType = FrameType::kRegisterResult;
    uint64_t number = 0;
    uint16_t status = 0;  // HTTP: 200, 400, 401, 409, 503
    std::string message;
    Uuid collector_id{};
    uint32_t generation = 0;
    std::string certificate;     // PEM
    std::string ca_certificate;  // PEM
    int64_t expires_at = 0;      // of the certificate
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.status, self.message, self.collector_id, self.generation,
              self.certificate, self.ca_certificate, self.expires_at);
    }
};

// First request seen with this certificate: older ones of the collector end now.
struct CertificateUsed {
    static constexpr FrameType kType = FrameType::kCertificateUsed;
    Uuid collector_id{};
    Sha256 fingerprint{};
    static void fields(auto& self, auto& codec) { codec(self.collector_id, self.fingerprint); }
};

}  // namespace pganalytics
