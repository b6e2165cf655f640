// The pair of the hub's listeners (see the header).
#include "pganalytics/keys/hub_pair.hpp"

#include <algorithm>

#include "pganalytics/host/files.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::keys {

namespace {

constexpr size_t kMaxKeyBytes = size_t{64} * 1024;

struct Pair {
    std::vector<net::Certificate> chain;
    net::PrivateKey key;
};

Result<net::PrivateKey> load_key(const HubPaths& paths) {
    const auto pem = host::read_secret(paths.files.key_file, kMaxKeyBytes);
    if (!pem) return pem.error();
    auto key = net::parse_private_key(*pem);
    if (!key) return std::move(key).error();
    if (!net::is_accepted_key(**key)) {
        return make_error(sqlstate::kInvalidParameter,
                          "key of the hub is not accepted: " + net::key_text(**key));
    }
    return key;
}

Result<Pair> load_pair(const HubPaths& paths) {
    auto key = load_key(paths);
    if (!key) return std::move(key).error();
    const auto pem = host::read_file(paths.files.cert_file, net::kMaxPemBytes);
    if (!pem) return pem.error();
    auto chain = net::parse_certificates(*pem);
    if (!chain) return std::move(chain).error();
    if (!net::key_matches(*chain->front(), **key)) {
        return make_error(sqlstate::kInvalidParameter,
                          "certificate and key do not belong together");
    }
    return Pair{std::move(*chain), std::move(*key)};
}

Status check(const Pair& pair, const Authority& authority, int64_t now) {
    return net::check_certificate(*pair.chain.front(), std::span(pair.chain).subspan(1),
                                  authority.certificates, net::CertificatePurpose::kServer, now);
}

// While the CA changes others are trusted, too; a certificate is made by the one that signs.
bool signed_by_first(const Pair& pair, const Authority& authority, int64_t now) {
    return static_cast<bool>(net::check_certificate(
        *pair.chain.front(), std::span(pair.chain).subspan(1),
        std::span(authority.certificates).first(1), net::CertificatePurpose::kServer, now));
}

bool has_names(const X509& certificate, const std::vector<std::string>& names) {
    return std::all_of(names.begin(), names.end(), [&certificate](const std::string& name) {
        return net::certificate_has_name(certificate, name);
    });
}

// The operator's pair: what is wrong with it is said, not mended.
Result<int64_t> check_given(const HubPaths& paths, const Authority& authority, int64_t now) {
    auto pair = load_pair(paths);
    Status fine = pair ? check(*pair, authority, now) : Status(pair.error());
    if (fine) return net::certificate_not_after(*pair->chain.front());
    Error error = std::move(fine).error();
    error.message = "hub's certificate \"" + paths.files.cert_file + "\": " + error.message;
    if (error.hint.empty()) {
        error.hint = "Correct pganalytics.hub_cert_file and pganalytics.hub_key_file.";
    }
    return error;
}

Result<int64_t> issue(const HubPaths& paths, const Authority& authority, EVP_PKEY& key,
                      const PairOrder& order) {
    const auto certificate = net::issue_server_certificate(authority.issuer(), key, order.names,
                                                           order.now, order.lifetime);
    if (!certificate) return certificate.error();
    const auto pem = net::certificate_pem(**certificate);
    if (!pem) return pem.error();
    if (Status written = host::write_file_durably(paths.files.cert_file, *pem, 0644); !written) {
        return std::move(written).error();
    }
    return net::certificate_not_after(**certificate);
}

// Made where it is missing or can't be used: nothing outside depends on this key.
Result<net::PrivateKey> own_key(const HubPaths& paths) {
    auto key = load_key(paths);
    if (key) return key;
    key = net::make_private_key();
    if (!key) return key;
    const auto pem = net::private_key_pem(**key);
    if (!pem) return pem.error();
    if (Status written = host::write_file_durably(paths.files.key_file, *pem, 0600); !written) {
        return std::move(written).error();
    }
    return key;
}

}  // namespace

Result<int64_t> ensure_pair(const HubPaths& paths, const Authority& authority,
                            const PairOrder& order) {
    if (!paths.own_pair) return check_given(paths, authority, order.now);
    const auto pair = load_pair(paths);
    if (pair && check(*pair, authority, order.now)) {
        const X509& certificate = *pair->chain.front();
        if (order.now < net::certificate_renew_at(certificate) &&
            has_names(certificate, order.names) && signed_by_first(*pair, authority, order.now)) {
            return net::certificate_not_after(certificate);
        }
    }
    const auto key = own_key(paths);
    if (!key) return key.error();
    return issue(paths, authority, **key, order);
}

}  // namespace pganalytics::keys
