// The list of enrolled collectors (see the header). Pure.
#include "pganalytics/serve/collectors.hpp"

#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

bool Collectors::apply(const CollectorState& state) {
    const bool is_new = !collectors_.contains(state.collector_id);
    if (is_new && collectors_.size() >= kMostCollectors) return false;
    if (state.certificates.size() > kCertificatesCollector) return false;
    for (const CertificateState& certificate : state.certificates) {
        const auto owner = certificates_.find(certificate.fingerprint);
        if (owner != certificates_.end() && owner->second != state.collector_id) return false;
    }
    std::set<Sha256> used;
    for (const CertificateState& certificate : state.certificates) {
        if (used_.contains(certificate.fingerprint)) used.insert(certificate.fingerprint);
    }
    remove(state.collector_id);
    for (const CertificateState& certificate : state.certificates) {
        certificates_.emplace(certificate.fingerprint, state.collector_id);
    }
    used_.merge(used);
    collectors_.emplace(state.collector_id, state);
    return true;
}

void Collectors::remove(const Uuid& collector_id) {
    const auto found = collectors_.find(collector_id);
    if (found == collectors_.end()) return;
    for (const CertificateState& certificate : found->second.certificates) {
        certificates_.erase(certificate.fingerprint);
        used_.erase(certificate.fingerprint);
    }
    collectors_.erase(found);
}

std::optional<Collectors::Identity> Collectors::find(const Sha256& fingerprint) const {
    const auto owner = certificates_.find(fingerprint);
    if (owner == certificates_.end()) return std::nullopt;
    const CollectorState& state = collectors_.at(owner->second);
    if (!state.enabled) return std::nullopt;
    return Identity{state.collector_id, state.generation};
}

bool Collectors::take_first_use(const Sha256& fingerprint) {
    const auto owner = certificates_.find(fingerprint);
    if (owner == certificates_.end()) return false;
    const std::vector<CertificateState>& all = collectors_.at(owner->second).certificates;
    // In order of issue: the first one has no older one to end.
    if (all.front().fingerprint == fingerprint) return false;
    return used_.insert(fingerprint).second;
}

}  // namespace pganalytics::serve
