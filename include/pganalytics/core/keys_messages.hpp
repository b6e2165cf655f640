// What the hub worker and `pganalytics keys` say to each other: one question, one answer, end.
// `keys` is the only process that ever opens the CA's private key.
//
// Times are microseconds since 1970-01-01 UTC.
//
//   hub:  Hello, KeysInit or KeysSign      keys: Hello, LogLine*, KeysInitResult or KeysSignResult
#pragma once

#include <string>
#include <vector>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/serve_messages.hpp"

namespace pganalytics {

struct HubFiles {
    std::string state_directory;
    std::string cert_file;  // empty, also the next four: <state_directory>/hub/
    std::string key_file;
    std::string ca_file;
    std::string ca_key_file;
    std::string master_key_file;
    static void fields(auto& self, auto& codec) {
        codec(self.state_directory, self.cert_file, self.key_file, self.ca_file, self.ca_key_file,
              self.master_key_file);
    }
};

// Looks at the hub's files; makes what is missing where `may_create` (no collector is enrolled
// yet). Renews the hub's own certificate when it is past two thirds of its life or lacks one of
// `names`.
struct KeysInit {
    static constexpr FrameType kType = FrameType::kKeysInit;
    HubFiles files;
    std::string hub_id;
    std::vector<std::string> names;  // DNS names and IP addresses of the hub
    int32_t lifetime_s = 0;          // of the hub's own certificate; 0: 30 days
    bool may_create = false;
    static void fields(auto& self, auto& codec) {
        codec(self.files, self.hub_id, self.names, self.lifetime_s, self.may_create);
    }
};

struct KeysInitResult {
    static constexpr FrameType kType = FrameType::kKeysInitResult;
    std::string error;  // empty: ready; also hint
    std::string hint;
    HubFiles files;  // every path resolved
    Sha256 ca_fingerprint{};
    std::string ca_certificate;  // PEM
    int64_t certificate_expires_at = 0;
    static void fields(auto& self, auto& codec) {
        codec(self.error, self.hint, self.files, self.ca_fingerprint, self.ca_certificate,
              self.certificate_expires_at);
    }
};

struct KeysSign {
    static constexpr FrameType kType = FrameType::kKeysSign;
    HubFiles files;
    Uuid collector_id{};
    std::string public_key;  // SubjectPublicKeyInfo, DER
    int32_t lifetime_s = 0;
    static void fields(auto& self, auto& codec) {
        codec(self.files, self.collector_id, self.public_key, self.lifetime_s);
    }
};

struct KeysSignResult {
    static constexpr FrameType kType = FrameType::kKeysSignResult;
    std::string error;        // empty: signed
    std::string certificate;  // PEM
    Sha256 fingerprint{};
    std::string serial;  // hex
    int64_t not_before = 0;
    int64_t not_after = 0;
    static void fields(auto& self, auto& codec) {
        codec(self.error, self.certificate, self.fingerprint, self.serial, self.not_before,
              self.not_after);
    }
};

}  // namespace pganalytics
