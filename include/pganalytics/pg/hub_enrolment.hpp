// Enrolment of collectors: a token checked, a certificate asked of `pganalytics keys`, both kept,
// the answer given after the commit. Ingest goes on while a certificate is being made. Runs in the
// hub worker.
//
//   asked --token unknown, expired, of another name, used with another key--> 401 (one text), audit
//   asked --token used with this key--> the same answer again (the first was lost)
//   asked --token good--> certificate ordered --made--> token looked at again --> stored --> 200
//                                             --failed--> 503
//
// A token for a name that is enrolled enrols it again: same collector_id, generation + 1. Its older
// certificates end with the first use of the new one. Renewals take the same way, with the
// certificate shown in the token's place (hub_renewal_store.hpp).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>

#include "pganalytics/pg/hub_keys.hpp"
#include "pganalytics/pg/hub_transaction.hpp"

namespace pganalytics::pg {

class HubEnrolment {
  public:
    explicit HubEnrolment(HubKeys& keys) : keys_(keys) {}

    void set_files(HubFiles files, std::string ca_certificate) {
        files_ = std::move(files);
        ca_certificate_ = std::move(ca_certificate);
    }

    // An answer at once, or none: then take_certificate() gives it later.
    std::optional<RegisterResult> ask(const Register& request);
    std::optional<RegisterResult> ask(const Renew& request);

    // An answer of `keys`; empty where its number is not of a question asked here.
    std::optional<RegisterResult> take_certificate(const HubKeys::Answer& answer);

    // The front is gone, and with it whoever waits for an answer.
    void clear() { pending_.clear(); }

  private:
    struct PendingEnrolment {
        Register request;
        Uuid collector_id{};
    };
    using Pending = std::variant<PendingEnrolment, Renew>;
    bool order(const Uuid& collector_id, const std::string& public_key, Pending pending);
    RegisterResult finish(const PendingEnrolment& pending, const KeysSignResult& certificate);
    RegisterResult finish(const Renew& request, const KeysSignResult& certificate);
    RegisterResult failed(uint64_t number, std::string_view why) const;

    HubKeys& keys_;
    HubFiles files_;
    std::string ca_certificate_;
    std::map<uint64_t, Pending> pending_;  // by the number of the question
};

}  // namespace pganalytics::pg
