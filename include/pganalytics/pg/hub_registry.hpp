// Who the hub is and whom it knows: the fixed tables hub, collectors, certificates and audit. Each
// function is one transaction. Runs in the hub worker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/serve_messages.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

struct HubIdentity {
    Oid extension = InvalidOid;
    std::string hub_id;           // uuid text
    bool has_collectors = false;  // then no second CA is ever made
    bool timescale = false;       // the extension is in this database
    int64_t last_received = 0;    // when the newest push came, microseconds since 1970; 0: none
    std::optional<Sha256> ca_fingerprint;
};

// Makes the hub's row where there is none.
[[nodiscard]] bool load_identity(HubIdentity& identity, FlatError& error) noexcept;

// Remembers the CA; another one than before is a fact for the audit (`changed`).
[[nodiscard]] bool store_ca(const Sha256& fingerprint, bool& changed, FlatError& error) noexcept;

// Alarms that stand (identities, quotas): how many, and the newest in words ("name: why").
struct HubAlarms {
    uint64_t count = 0;
    std::string newest;
};

// Every collector with the certificates that let it in now. `extension`: whose tables these are;
// one dropped and created again is another hub.
[[nodiscard]] bool load_collectors(std::vector<CollectorState>& collectors, HubAlarms& alarms,
                                   Oid& extension, FlatError& error) noexcept;

// First use of a certificate: those of older generations end now, an older one of the same
// generation in an hour.
[[nodiscard]] bool mark_certificate_used(const CertificateUsed& used, FlatError& error) noexcept;

// Inside a transaction of the hub: marks a collector for people to look at. False where the same
// was said within the last hour: nothing new for the audit.
bool raise_alarm(const Uuid& collector_id, const char* why);

// One line of the audit; inside a transaction of the hub. Plain data: texts stay the caller's.
struct AuditEvent {
    const char* event;  // "enrolled", "enrolment refused", "digest conflict", ...
    const Uuid* collector_id = nullptr;
    std::string_view name = {};
    std::string_view address = {};
    // Two facts at most, each with its name.
    const char* first = nullptr;
    std::string_view first_value = {};
    const char* second = nullptr;
    std::string_view second_value = {};
    // Strangers can cause it: only so many are written.
    bool limited = false;
};
void write_audit(const AuditEvent& event);

}  // namespace pganalytics::pg
