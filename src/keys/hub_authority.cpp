// The hub's CA and master keys on disk (see the header).
#include "pganalytics/keys/hub_authority.hpp"

#include <openssl/x509v3.h>

#include "pganalytics/host/files.hpp"
#include "pganalytics/net/master_keys.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::keys {

namespace {

constexpr size_t kMaxKeyBytes = size_t{64} * 1024;
constexpr mode_t kSecretMode = 0600;
constexpr mode_t kPublicMode = 0644;

Error missing(const std::string& path, const char* what) {
    return make_error(
        sqlstate::kObjectNotReady, std::string(what) + " \"" + path + "\" is missing",
        "Collectors are enrolled with it, or other files of the hub are there.",
        "Restore the folder hub of the state directory from its backup, or set the paths of the "
        "hub's files.");
}

Error missing_operators(const std::string& path, const char* what) {
    return make_error(sqlstate::kObjectNotReady, std::string(what) + " \"" + path + "\" is missing",
                      {},
                      "Put the file there, or reset all settings pganalytics.hub_*_file: the hub "
                      "then makes its own.");
}

Status create(const std::string& path, const std::string& bytes, mode_t mode) {
    bool exists = false;
    return host::create_file_durably(path, bytes, mode, exists);
}

Status make_key_file(const std::string& path) {
    auto key = net::make_private_key();
    if (!key) return std::move(key).error();
    const auto pem = net::private_key_pem(**key);
    if (!pem) return pem.error();
    return create(path, *pem, kSecretMode);
}

Result<net::PrivateKey> read_key(const std::string& path) {
    const auto pem = host::read_secret(path, kMaxKeyBytes);
    if (!pem) return pem.error();
    auto key = net::parse_private_key(*pem);
    if (key) return key;
    Error error = std::move(key).error();
    error.message = "file \"" + path + "\": " + error.message;
    return error;
}

Status make_authority_certificate(const HubPaths& paths, const std::string& hub_id, int64_t now) {
    const auto key = read_key(paths.files.ca_key_file);
    if (!key) return key.error();
    const auto certificate = net::make_authority(**key, "pganalytics hub " + hub_id, now);
    if (!certificate) return certificate.error();
    const auto pem = net::certificate_pem(**certificate);
    if (!pem) return pem.error();
    return create(paths.files.ca_file, *pem, kPublicMode);
}

}  // namespace

Status ensure_authority(const HubPaths& paths, const std::string& hub_id, bool may_create,
                        int64_t now) {
    const bool no_key = host::is_absent(paths.files.ca_key_file);
    const bool no_certificate = host::is_absent(paths.files.ca_file);
    if (!no_key && !no_certificate) return {};
    const char* what = no_key ? "private key of the hub's CA" : "certificate of the hub's CA";
    const std::string& path = no_key ? paths.files.ca_key_file : paths.files.ca_file;
    if (!paths.own_authority) return missing_operators(path, what);
    // A certificate may have been pinned by somebody; a key alone can't have been.
    if (!may_create || !no_certificate) return missing(path, what);
    // The key first: killed between the two, the next run goes on from here.
    if (no_key) {
        if (Status made = make_key_file(path); !made) return made;
    }
    return make_authority_certificate(paths, hub_id, now);
}

Result<Authority> load_authority(const HubPaths& paths, int64_t now) {
    const auto pem = host::read_file(paths.files.ca_file, net::kMaxPemBytes);
    if (!pem) return pem.error();
    auto certificates = net::parse_certificates(*pem);
    if (!certificates) {
        Error error = std::move(certificates).error();
        error.message = "file \"" + paths.files.ca_file + "\": " + error.message;
        return error;
    }
    auto key = read_key(paths.files.ca_key_file);
    if (!key) return std::move(key).error();
    X509& first = *certificates->front();
    const auto refuse = [&paths](const char* why) {
        return make_error(sqlstate::kObjectNotReady,
                          "CA certificate \"" + paths.files.ca_file + "\" " + why, {},
                          "Restore the hub's CA from its backup, or correct "
                          "pganalytics.hub_ca_file and pganalytics.hub_ca_key_file.");
    };
    if (!net::key_matches(first, **key)) return refuse("does not belong to its key");
    if (!net::is_accepted_key(**key)) return refuse("has a key of a kind that is not accepted");
    if (X509_check_ca(&first) != 1) return refuse("is not that of a CA");
    if (net::certificate_not_after(first) <= now) return refuse("has expired");
    return Authority{std::move(*certificates), std::move(*key)};
}

Status ensure_master_key(const HubPaths& paths, bool may_create) {
    const std::string& path = paths.files.master_key_file;
    if (!host::is_absent(path)) {
        const auto text = host::read_secret(path, net::kMaxMasterKeyBytes);
        if (!text) return text.error();
        const auto keys = net::parse_master_keys(*text);
        if (!keys) return keys.error();
        return {};
    }
    if (!paths.own_master) return missing_operators(path, "master key file");
    if (!may_create) return missing(path, "master key file");
    return create(path, net::master_keys_text({net::make_master_key(1)}), kSecretMode);
}

}  // namespace pganalytics::keys
