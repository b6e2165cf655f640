// The two questions (see the header).
#include "pganalytics/keys/answers.hpp"

#include "pganalytics/core/time_text.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/keys/hub_authority.hpp"
#include "pganalytics/keys/hub_pair.hpp"
#include "pganalytics/keys/hub_paths.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::keys {

namespace {

std::string sentence(const Error& error) {
    return error.detail.empty() ? error.message : error.message + " (" + error.detail + ")";
}

Status fill(const KeysInit& question, int64_t now, KeysInitResult& result) {
    const HubPaths paths = resolve_paths(question.files);
    result.files = paths.files;
    if (Status made = host::make_state_directory(question.files.state_directory, true); !made) {
        return made;
    }
    // Two at once would make two CAs.
    const auto lock = host::FileLock::take(paths.directory + "/lock");
    if (!lock) return lock.error();
    if (Status made = ensure_authority(paths, question.hub_id, question.may_create, now); !made) {
        return made;
    }
    if (Status made = ensure_master_key(paths, question.may_create); !made) return made;
    const auto authority = load_authority(paths, now);
    if (!authority) return authority.error();
    const int64_t lifetime = question.lifetime_s > 0 ? question.lifetime_s : net::kLeafLifetime;
    const auto expires_at = ensure_pair(paths, *authority, {question.names, lifetime, now});
    if (!expires_at) return expires_at.error();
    result.certificate_expires_at = *expires_at * kMicrosecondsPerSecond;
    result.ca_fingerprint = net::certificate_fingerprint(*authority->certificates.front());
    for (const net::Certificate& certificate : authority->certificates) {
        const auto pem = net::certificate_pem(*certificate);
        if (!pem) return pem.error();
        result.ca_certificate += *pem;
    }
    return {};
}

Status fill(const KeysSign& question, int64_t now, KeysSignResult& result) {
    const auto authority = load_authority(resolve_paths(question.files), now);
    if (!authority) return authority.error();
    const auto key = net::parse_public_key(question.public_key);
    if (!key) return key.error();
    if (!net::is_accepted_key(**key)) {
        return make_error(sqlstate::kInvalidParameter,
                          "key of the collector is not accepted: " + net::key_text(**key));
    }
    const int64_t lifetime = question.lifetime_s > 0 ? question.lifetime_s : net::kLeafLifetime;
    const auto certificate = net::issue_collector_certificate(authority->issuer(), **key,
                                                              question.collector_id, now, lifetime);
    if (!certificate) return certificate.error();
    const auto pem = net::certificate_pem(**certificate);
    if (!pem) return pem.error();
    result.certificate = *pem;
    result.fingerprint = net::certificate_fingerprint(**certificate);
    result.serial = net::certificate_serial(**certificate);
    result.not_before = net::certificate_not_before(**certificate) * kMicrosecondsPerSecond;
    result.not_after = net::certificate_not_after(**certificate) * kMicrosecondsPerSecond;
    return {};
}

}  // namespace

KeysInitResult answer(const KeysInit& question, int64_t now) {
    KeysInitResult result;
    if (const Status filled = fill(question, now, result); !filled) {
        result.error = sentence(filled.error());
        result.hint = filled.error().hint;
    }
    return result;
}

KeysSignResult answer(const KeysSign& question, int64_t now) {
    KeysSignResult result;
    if (const Status filled = fill(question, now, result); !filled) {
        result = KeysSignResult{};
        result.error = sentence(filled.error());
    }
    return result;
}

}  // namespace pganalytics::keys
