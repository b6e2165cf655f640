// Counts of connections (see the header). Pure.
#include "pganalytics/serve/admission.hpp"

#include <algorithm>

namespace pganalytics::serve {

std::optional<Admission::Id> Admission::oldest_of(std::string_view address) const {
    for (const Id id : unfinished_) {
        if (connections_.at(id).address == address) return id;
    }
    return std::nullopt;
}

Admission::Begin Admission::begin_handshake(Id id, std::string_view address) {
    Begin begin;
    const auto mine = unfinished_of_.find(address);
    if (mine != unfinished_of_.end() && mine->second >= kUnfinishedHandshakesAddress) {
        begin.evicted = oldest_of(address);
    } else if (unfinished_.size() >= kUnfinishedHandshakes) {
        begin.evicted = unfinished_.front();
    }
    if (begin.evicted) end(*begin.evicted);
    if (connections_.size() >= limit_ + kOverflowConnections) return begin;
    begin.accepted = true;
    Connection connection;
    connection.address = address;
    connection.unfinished = unfinished_.insert(unfinished_.end(), id);
    ++unfinished_of_[connection.address];
    connections_.emplace(id, std::move(connection));
    return begin;
}

void Admission::leave_unfinished(Connection& connection) {
    if (!connection.unfinished) return;
    unfinished_.erase(*connection.unfinished);
    connection.unfinished.reset();
    const auto mine = unfinished_of_.find(connection.address);
    if (--mine->second == 0) unfinished_of_.erase(mine);
}

bool Admission::finish_handshake(Id id, bool stranger) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return false;
    Connection& connection = found->second;
    leave_unfinished(connection);
    if (seated_ >= limit_) return false;
    if (stranger && strangers_ >= std::max<size_t>(1, limit_ / kStrangersShare)) return false;
    connection.seated = true;
    connection.stranger = stranger;
    ++seated_;
    if (stranger) ++strangers_;
    return true;
}

bool Admission::bind_certificate(Id id, const Sha256& fingerprint) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.certificate) return false;
    size_t& count = of_certificate_[fingerprint];
    if (count >= kConnectionsCertificate) return false;
    ++count;
    found->second.certificate = fingerprint;
    return true;
}

void Admission::end(Id id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    Connection& connection = found->second;
    leave_unfinished(connection);
    if (connection.seated) --seated_;
    if (connection.seated && connection.stranger) --strangers_;
    if (connection.certificate) {
        const auto count = of_certificate_.find(*connection.certificate);
        if (--count->second == 0) of_certificate_.erase(count);
    }
    connections_.erase(found);
}

}  // namespace pganalytics::serve
