// Who may hold a connection: counts of unfinished handshakes, of connections in all, of those
// without a certificate, of those of one certificate. Pure: no sockets. Runs in
// `pganalytics serve`.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pganalytics/core/digest.hpp"
#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

class Admission {
  public:
    using Id = uint64_t;

    void set_limit(size_t connections) { limit_ = connections; }

    struct Begin {
        bool accepted = false;
        // An unfinished handshake that has to be closed for this one: the oldest of the address
        // where the address has too many, else the oldest of all. Who holds handshakes open loses
        // them first.
        std::optional<Id> evicted;
    };
    // A connection was accepted from `address`. Not accepted: close it at once (nothing to end()).
    Begin begin_handshake(Id id, std::string_view address);

    // Its handshake is done; `stranger`: it showed no certificate. False: answer 503 and close.
    bool finish_handshake(Id id, bool stranger);
    // False where that certificate has as many connections as it may: answer 503 and close.
    bool bind_certificate(Id id, const Sha256& fingerprint);
    void end(Id id);

    size_t connections() const { return connections_.size(); }
    size_t unfinished() const { return unfinished_.size(); }

  private:
    struct Connection {
        std::string address;
        std::optional<std::list<Id>::iterator> unfinished;
        bool seated = false;
        bool stranger = false;
        std::optional<Sha256> certificate;
    };
    std::optional<Id> oldest_of(std::string_view address) const;
    void leave_unfinished(Connection& connection);

    size_t limit_ = 0;
    size_t seated_ = 0;
    size_t strangers_ = 0;
    std::unordered_map<Id, Connection> connections_;
    std::list<Id> unfinished_;  // oldest first
    std::map<std::string, size_t, std::less<>> unfinished_of_;
    std::map<Sha256, size_t> of_certificate_;
};

}  // namespace pganalytics::serve
