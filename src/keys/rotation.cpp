// Rotation of a hub's CA and master key (see the header). Runs as a tool.
#include "pganalytics/keys/rotation.hpp"

#include <openssl/x509.h>

#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "pganalytics/host/files.hpp"
#include "pganalytics/keys/hub_authority.hpp"
#include "pganalytics/net/master_keys.hpp"
#include "pganalytics/net/private_key.hpp"

namespace pganalytics::keys {

namespace {

constexpr size_t kMaxKeyBytes = size_t{64} * 1024;
constexpr int kLockTries = 100;
constexpr std::chrono::milliseconds kLockPause{100};
constexpr mode_t kSecretMode = 0600;
constexpr mode_t kPublicMode = 0644;
constexpr char kReload[] = "Now reload the server: SELECT pg_reload_conf().";

// The hub's files, for the time of one step nobody else's to change.
struct Files {
    HubPaths paths;
    std::string next_key;  // of the CA that is to sign
    host::FileLock lock;
};

// The running hub holds it for a moment after each reload.
Result<host::FileLock> take_lock(const std::string& path) {
    for (int attempt = 1;; ++attempt) {
        Result<host::FileLock> lock = host::FileLock::take(path);
        if (lock || attempt == kLockTries) return lock;
        std::this_thread::sleep_for(kLockPause);
    }
}

Result<Files> open_files(const std::string& state_directory) {
    HubFiles files;
    files.state_directory = state_directory;
    HubPaths paths = resolve_paths(files);
    if (host::is_absent(paths.files.ca_key_file) && host::is_absent(paths.files.master_key_file))
        return make_error(sqlstate::kObjectNotReady,
                          "\"" + state_directory + "\" is not the state directory of a hub", {},
                          "See setting pganalytics.state_directory of the hub's server. Files that "
                          "settings pganalytics.hub_*_file name are yours to replace.");
    std::string next = paths.directory + "/next-ca.key";
    Result<host::FileLock> lock = take_lock(paths.directory + "/lock");
    if (!lock) return std::move(lock).error();
    return Files{std::move(paths), std::move(next), *std::move(lock)};
}

Result<net::PrivateKey> read_key(const std::string& path) {
    const auto pem = host::read_secret(path, kMaxKeyBytes);
    if (!pem) return pem.error();
    return net::parse_private_key(*pem);
}

Result<std::vector<net::Certificate>> read_bundle(const Files& files) {
    const auto pem = host::read_file(files.paths.files.ca_file, net::kMaxPemBytes);
    if (!pem) return pem.error();
    return net::parse_certificates(*pem);
}

Status write_bundle(const Files& files, const std::vector<const X509*>& certificates) {
    std::string text;
    for (const X509* certificate : certificates) {
        const auto pem = net::certificate_pem(*certificate);
        if (!pem) return pem.error();
        text += *pem;
    }
    return host::write_file_durably(files.paths.files.ca_file, text, kPublicMode);
}

// The key of the next CA, where one is there; made and kept where it is not.
Result<net::PrivateKey> next_key(const Files& files) {
    if (!host::is_absent(files.next_key)) return read_key(files.next_key);
    auto key = net::make_private_key();
    if (!key) return key;
    const auto pem = net::private_key_pem(**key);
    if (!pem) return pem.error();
    if (Status written = host::write_file_durably(files.next_key, *pem, kSecretMode); !written)
        return std::move(written).error();
    return key;
}

std::string common_name(X509& certificate) {
    char text[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(&certificate), NID_commonName, text,
                              sizeof text);
    return text;
}

const X509* of_key(const std::vector<net::Certificate>& bundle, const EVP_PKEY& key) {
    for (const net::Certificate& certificate : bundle)
        if (net::key_matches(*certificate, key)) return certificate.get();
    return nullptr;
}

Error not_begun() {
    return make_error(sqlstate::kObjectNotReady, "no rotation of the CA has begun", {},
                      "Begin with \"pganalytics keys rotate-ca begin\".");
}

}  // namespace

Result<std::string> begin_ca_rotation(const std::string& state_directory, int64_t now) {
    const Result<Files> files = open_files(state_directory);
    if (!files) return files.error();
    const auto authority = load_authority(files->paths, now);
    if (!authority) return authority.error();
    if (authority->certificates.size() > 1 && host::is_absent(files->next_key))
        return make_error(sqlstate::kObjectNotReady, "the rotation before has not ended", {},
                          "End it with \"pganalytics keys rotate-ca end\".");
    const auto key = next_key(*files);
    if (!key) return key.error();
    X509& old = *authority->certificates.front();
    if (of_key(authority->certificates, **key) == nullptr) {
        const auto made = net::make_authority(**key, common_name(old), now);
        if (!made) return made.error();
        if (Status written = write_bundle(*files, {&old, made->get()}); !written)
            return std::move(written).error();
    }
    return std::string("The next CA is made; the hub trusts it beside the one of now. ") + kReload +
           "\nCollectors learn it with their next push. When each has pushed twice, go on with "
           "\"pganalytics keys rotate-ca switch\".";
}

Result<std::string> switch_ca(const std::string& state_directory, int64_t now) {
    const Result<Files> files = open_files(state_directory);
    if (!files) return files.error();
    if (host::is_absent(files->next_key)) return not_begun();
    const auto key = read_key(files->next_key);
    if (!key) return key.error();
    const auto bundle = read_bundle(*files);
    if (!bundle) return bundle.error();
    const X509* next = of_key(*bundle, **key);
    if (next == nullptr) return not_begun();
    if (net::certificate_not_after(*next) <= now)
        return make_error(sqlstate::kObjectNotReady, "the next CA's certificate has expired");
    // Certificates first: between the two the hub goes on with what it has read before.
    std::vector<const X509*> order = {next};
    for (const net::Certificate& one : *bundle)
        if (one.get() != next) order.push_back(one.get());
    if (Status written = write_bundle(*files, order); !written) return std::move(written).error();
    const auto pem = net::private_key_pem(**key);
    if (!pem) return pem.error();
    if (Status written =
            host::write_file_durably(files->paths.files.ca_key_file, *pem, kSecretMode);
        !written)
        return std::move(written).error();
    if (Status gone = host::remove_file_durably(files->next_key); !gone)
        return std::move(gone).error();
    return std::string("The new CA signs. ") + kReload +
           "\nCollectors renew their certificates by themselves. When table "
           "pganalytics.certificates has no other in use, go on with \"pganalytics keys rotate-ca "
           "end\".";
}

Result<std::string> end_ca_rotation(const std::string& state_directory, int64_t now) {
    const Result<Files> files = open_files(state_directory);
    if (!files) return files.error();
    if (!host::is_absent(files->next_key))
        return make_error(sqlstate::kObjectNotReady, "the new CA does not sign yet", {},
                          "Go on with \"pganalytics keys rotate-ca switch\".");
    const auto authority = load_authority(files->paths, now);
    if (!authority) return authority.error();
    if (authority->certificates.size() < 2) return not_begun();
    if (Status written = write_bundle(*files, {authority->certificates.front().get()}); !written)
        return std::move(written).error();
    return std::string("Only the new CA is trusted. ") + kReload;
}

Result<std::string> rotate_master_key(const std::string& state_directory) {
    const Result<Files> files = open_files(state_directory);
    if (!files) return files.error();
    const std::string& path = files->paths.files.master_key_file;
    const auto text = host::read_secret(path, net::kMaxMasterKeyBytes);
    if (!text) return text.error();
    auto keys = net::parse_master_keys(*text);
    if (!keys) return std::move(keys).error();
    std::vector<net::MasterKey> kept = {keys->back(),
                                        net::make_master_key(keys->back().version + 1)};
    if (Status written = host::write_file_durably(path, net::master_keys_text(kept), kSecretMode);
        !written)
        return std::move(written).error();
    return "Tokens are signed with key " + std::to_string(kept.back().version) +
           " within a minute; those signed with key " + std::to_string(kept.front().version) +
           " stay good. Nothing else has to be done.";
}

}  // namespace pganalytics::keys
