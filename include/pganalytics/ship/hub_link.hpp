// This server's tie to its hub: identity from settings or the state directory, enrolment, and the
// delivery with the credentials that are in force. Runs in `pganalytics ship`.
//
//   unknown --identity found--> enrolled <--files changed, register, self-enrolment--
//   unknown, enrolled --enrol()--> enrolling (delivery waits) --done--> enrolled
//                                                            --failed--> as before
//   enrolled --certificate renewed--> enrolled, with the new pair
//   enrolled --forget()--> unknown
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/backoff.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/net/https_client.hpp"
#include "pganalytics/ship/delivery.hpp"
#include "pganalytics/ship/enrolment.hpp"
#include "pganalytics/ship/identity.hpp"
#include "pganalytics/ship/renewal.hpp"

namespace pganalytics::ship {

class HubLink {
  public:
    explicit HubLink(SnapshotQueue& queue);
    ~HubLink();

    // `usable_state`: the state directory can be written; without it identity is in memory only.
    void configure(const ShipSettings& settings, bool usable_state, Moment now);
    // Looks at the files now, and tries to deliver now.
    void reload(Moment now);

    // Starts an enrolment; `request` is the one to be answered (0: self-enrolment). Errors at once
    // where address or token can't be right, or a request's enrolment is under way.
    Status enrol(const std::string& url, const std::string& token, uint64_t request,
                 int64_t give_up_at);
    struct Outcome {
        uint64_t request = 0;
        std::optional<Error> error;
    };
    std::vector<Outcome> take_outcomes();
    // What happened to the certificate, for the log.
    struct Note {
        LogLevel level = LogLevel::kInfo;
        Error error;
    };
    std::vector<Note> take_notes();
    bool enrolling() const { return enrolment_ != nullptr; }
    uint64_t enrolling_for() const { return enrolment_request_; }

    // Removes the identity from the state directory.
    Status forget();

    void service(Moment now);
    std::optional<int64_t> due() const;
    // The client to wait with; null: none.
    net::HttpsClient* client();

    // Set while pushes can be addressed.
    const std::optional<Identity>& identity() const { return identity_; }
    // Why there is no identity, or why the one there is does not work.
    Error problem() const;
    // True once after each change to another collector_id (or to none).
    bool take_changed();
    // True when the server's own hub should be asked for a token now; false again for a while
    // afterwards.
    bool take_self_enrolment_wish(Moment now);
    // A self-enrolment can be expected soon.
    bool expects_self_enrolment() const;

    Delivery& delivery() { return delivery_; }
    const Delivery& delivery() const { return delivery_; }
    const std::string& hub_url() const { return hub_url_; }
    const Renewal& renewal() const { return renewal_; }

  private:
    struct HttpsTransport;

    void look_at_files(Moment now);
    Result<std::optional<Identity>> effective_identity() const;
    Status use(std::optional<Identity> identity);
    void finish_enrolment(Result<Enrolled> result, Moment now);
    void service_renewal(Moment now);
    void ask_for_renewal(Moment now);
    void finish_renewal(const net::HttpsOutcome& outcome, Moment now);
    Status take_renewed(const Renewed& renewed, Moment now);
    void take_authorities(const std::string& pem, Moment now);
    Status replace_identity(const std::function<void(Identity&)>& change, Moment now);
    Result<std::string> renewal_key();
    bool own_pair() const;
    bool own_hub_refuses_us() const;

    ShipSettings settings_;
    bool usable_state_ = false;
    std::optional<IdentityStore> store_;
    FileWatch watch_;
    int64_t look_again_at_ = 0;
    std::optional<Identity> memory_identity_;  // where the state directory can't be used

    std::optional<Identity> identity_;
    std::string hub_url_;
    std::optional<Error> problem_;
    bool changed_ = false;

    std::unique_ptr<Enrolment> enrolment_;
    uint64_t enrolment_request_ = 0;
    std::optional<Error> enrolment_error_;
    std::vector<Outcome> outcomes_;
    Backoff self_enrolment_backoff_;
    int64_t self_enrolment_at_ = 0;

    Renewal renewal_;
    std::string renewal_key_;  // of the renewal under way, where the state directory can't be used
    std::vector<Note> notes_;

    Delivery delivery_;
    HttpsTransport* transport_ = nullptr;  // the delivery's
};

// Name of this host, for the envelope.
std::string host_name();

}  // namespace pganalytics::ship
