// Identity on disk (see the header). Runs in ship and register.
#include "pganalytics/ship/identity.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>
#include <vector>

#include "pganalytics/core/hex.hpp"
#include "pganalytics/core/json_writer.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/net/certificate.hpp"
#include "pganalytics/net/private_key.hpp"
#include "pganalytics/net/sha256.hpp"
#include "pganalytics/ship/json_object.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kMaxFileBytes = net::kMaxPemBytes;
constexpr const char* kFiles[] = {"collector.json", "key.pem",         "cert.pem",
                                  "ca.pem",         "pending-key.pem", "renewal-key.pem"};
constexpr char kEnrolAgain[] = "Enrol this server again with pganalytics_register().";

Error io_error(const std::string& what, const std::string& path) {
    return make_error(sqlstate::kIoError,
                      "could not " + what + " \"" + path + "\": " + std::strerror(errno));
}

Status sync_directory(const std::string& path) {
    const host::Descriptor directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || fsync(directory.number()) != 0) return io_error("sync directory", path);
    return {};
}

// A set that is not in force, with whatever an interrupted change left in it.
Status remove_set(const std::string& directory) {
    std::error_code problem;
    std::filesystem::remove_all(directory, problem);
    if (!problem) return {};
    return make_error(sqlstate::kIoError,
                      "could not remove directory \"" + directory + "\": " + problem.message());
}

// The same, but for the directory itself.
Status empty_set(const std::string& directory) {
    std::error_code problem;
    std::vector<std::filesystem::path> entries;
    for (std::filesystem::directory_iterator at(directory, problem), end; !problem && at != end;
         at.increment(problem))
        entries.push_back(at->path());
    if (problem == std::errc::no_such_file_or_directory) return {};
    for (const std::filesystem::path& entry : entries)
        if (!problem) std::filesystem::remove_all(entry, problem);
    if (!problem) return {};
    return make_error(sqlstate::kIoError,
                      "could not empty directory \"" + directory + "\": " + problem.message());
}

std::string collector_json(const Identity& identity) {
    std::string json = "{";
    const auto member = [&json](std::string_view name, std::string_view value) {
        append_json_name(json, name);
        append_json_text(json, value);
    };
    member("collector_id", uuid_text(identity.collector_id));
    member("hub_id", identity.hub_id);
    member("hub_url", identity.hub_url);
    member("name", identity.name);
    append_json_name(json, "self_enrolled");
    json.append(identity.self_enrolled ? "true" : "false");
    return json + "}\n";
}

}  // namespace

IdentityStore::IdentityStore(std::string state_directory)
    : state_directory_(std::move(state_directory)), directory_(state_directory_ + "/identity") {}

std::string IdentityStore::path(std::string_view file) const {
    return directory_ + "/" + std::string(file);
}

void IdentityStore::end_interrupted_change() const {
    const std::string next = directory_ + ".new";
    if (!host::is_absent(directory_) || host::is_absent(next + "/collector.json")) return;
    // Where somebody holds the lock the change is not interrupted but under way.
    const Result<host::FileLock> lock = host::FileLock::take(directory_ + ".lock");
    if (lock && host::is_absent(directory_)) (void)rename(next.c_str(), directory_.c_str());
}

Result<std::optional<Identity>> IdentityStore::load() const {
    end_interrupted_change();
    // The set may be replaced while it is read; what was read of two sets fits together in no case.
    for (int attempt = 0;; ++attempt) {
        if (host::is_absent(path("collector.json"))) return std::optional<Identity>();
        Result<Identity> identity = read_set();
        if (identity) return std::optional<Identity>(*std::move(identity));
        if (attempt == 3) return std::move(identity).error();
    }
}

Result<Identity> IdentityStore::read_set() const {
    const Result<std::string> json = host::read_secret(path("collector.json"), kMaxFileBytes);
    if (!json) return json.error();
    Result<std::string> key = host::read_secret(path("key.pem"), kMaxFileBytes);
    if (!key) return key.error();
    Result<std::string> certificate = host::read_file(path("cert.pem"), kMaxFileBytes);
    if (!certificate) return certificate.error();
    Result<std::string> ca = host::read_file(path("ca.pem"), kMaxFileBytes);
    if (!ca) return ca.error();
    const std::optional<JsonObject> object = JsonObject::parse(*json);
    const std::optional<Uuid> id =
        object ? parse_uuid(object->text("collector_id").value_or("")) : std::nullopt;
    if (!id)
        return make_error(sqlstate::kInvalidText,
                          "file \"" + path("collector.json") + "\" is damaged", {}, kEnrolAgain);
    Identity identity{*id,
                      object->text("hub_id").value_or(""),
                      object->text("hub_url").value_or(""),
                      object->text("name").value_or(""),
                      object->boolean("self_enrolled").value_or(false),
                      *std::move(key),
                      *std::move(certificate),
                      *std::move(ca)};
    if (const Status fits = check_identity(identity); !fits)
        return make_error(fits.error().sqlstate,
                          "identity in \"" + directory_ + "\" is damaged: " + fits.error().message,
                          fits.error().detail, kEnrolAgain);
    return identity;
}

Status IdentityStore::write_set(const std::string& directory, const Identity& identity) const {
    if (Status made = host::make_private_directory(directory); !made) return made;
    const std::pair<const char*, std::string> files[] = {
        {"key.pem", identity.key_pem},
        {"cert.pem", identity.certificate_pem},
        {"ca.pem", identity.ca_pem},
        {"collector.json", collector_json(identity)}};
    for (const auto& [file, bytes] : files)
        if (Status done = host::write_file_durably(directory + "/" + file, bytes); !done)
            return done;
    return sync_directory(state_directory_);
}

Status IdentityStore::save(const Identity& identity) const {
    const Result<host::FileLock> lock = host::FileLock::take(directory_ + ".lock");
    if (!lock) return lock.error();
    const std::string next = spare();
    // identity.new is left by a change that did not come to its end; with identity/ in place, or
    // with nothing complete in it, it never counted.
    if (!host::is_absent(directory_) || host::is_absent(next + "/collector.json")) {
        if (Status emptied = empty_set(next); !emptied) return emptied;
    } else if (rename(next.c_str(), directory_.c_str()) != 0) {
        return io_error("rename directory", next);
    }
    if (Status written = write_set(next, identity); !written) return written;
    return put_in_force(next);
}

Status IdentityStore::put_in_force(const std::string& next) const {
    // The two change places, so that a sandbox which knows both directories knows them still.
    if (renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, directory_.c_str(), RENAME_EXCHANGE) == 0) {
        if (Status synced = sync_directory(state_directory_); !synced) return synced;
        // The new identity is in force; what is left of the old one is no reason to fail.
        (void)empty_set(next);
        return {};
    }
    // There is none yet, or the file system cannot do that: one after the other.
    const std::string last = directory_ + ".old";
    if (Status removed = remove_set(last); !removed) return removed;
    if (rename(directory_.c_str(), last.c_str()) != 0 && errno != ENOENT)
        return io_error("rename directory", directory_);
    if (rename(next.c_str(), directory_.c_str()) != 0) return io_error("rename directory", next);
    if (Status synced = sync_directory(state_directory_); !synced) return synced;
    (void)remove_set(last);
    return {};
}

Status IdentityStore::make_spare() const { return host::make_private_directory(spare()); }

Status IdentityStore::forget() const {
    const Result<host::FileLock> lock = host::FileLock::take(directory_ + ".lock");
    if (!lock) return lock.error();
    if (Status emptied = empty_set(spare()); !emptied) return emptied;
    if (Status removed = remove_set(directory_ + ".old"); !removed) return removed;
    if (host::is_absent(directory_)) return {};
    // collector.json first: without it there is no identity.
    for (const char* file : kFiles) {
        // Beside it what an interrupted write may have left.
        for (const char* suffix : {"", ".new"}) {
            const std::string name = path(file) + suffix;
            if (Status removed = host::remove_file_durably(name); !removed) return removed;
        }
    }
    return {};
}

Result<std::string> IdentityStore::pending_key(std::string_view token) const {
    return kept_key("pending-key.pem", "token sha256 " + hex_text(net::sha256(token)) + "\n");
}

Result<std::string> IdentityStore::renewal_key(std::string_view certificate_pem) const {
    return kept_key("renewal-key.pem",
                    "certificate sha256 " + hex_text(net::sha256(certificate_pem)) + "\n");
}

// The one of before where it has the same mark, else a new one.
Result<std::string> IdentityStore::kept_key(std::string_view name, const std::string& mark) const {
    const Result<host::FileLock> lock = host::FileLock::take(directory_ + ".lock");
    if (!lock) return lock.error();
    if (Status made = host::make_private_directory(directory_); !made) return made.error();
    const std::string file = path(name);
    if (!host::is_absent(file)) {
        Result<std::string> kept = host::read_secret(file, kMaxFileBytes);
        if (kept && kept->starts_with(mark)) {
            kept->erase(0, mark.size());
            if (net::parse_private_key(*kept)) return kept;
        }
    }
    const Result<net::PrivateKey> key = net::make_private_key();
    if (!key) return key.error();
    Result<std::string> pem = net::private_key_pem(**key);
    if (!pem) return pem;
    if (Status written = host::write_file_durably(file, mark + *pem); !written)
        return written.error();
    return pem;
}

Result<Uuid> collector_id_of(std::string_view certificate_pem, const std::string& path) {
    const Result<net::Certificate> certificate = net::parse_certificate(certificate_pem);
    if (!certificate) return certificate.error();
    const std::optional<Uuid> id = net::certificate_collector_id(**certificate);
    if (!id)
        return make_error(sqlstate::kInvalidParameter,
                          "certificate \"" + path + "\" is not a collector's",
                          "It has no name of the form urn:uuid:<collector_id>.");
    return *id;
}

Status check_identity(const Identity& identity) {
    const Result<net::Certificate> certificate = net::parse_certificate(identity.certificate_pem);
    if (!certificate) return certificate.error();
    const Result<net::PrivateKey> key = net::parse_private_key(identity.key_pem);
    if (!key) return key.error();
    if (!net::key_matches(**certificate, **key))
        return make_error(sqlstate::kInvalidParameter, "key and certificate do not match");
    if (net::certificate_collector_id(**certificate) != identity.collector_id)
        return make_error(sqlstate::kInvalidParameter, "certificate is another collector's");
    const Result<std::vector<net::Certificate>> authorities =
        net::parse_certificates(identity.ca_pem);
    if (!authorities) return authorities.error();
    // A moment at which the certificate and the CA that signed it are valid for sure.
    int64_t moment = net::certificate_not_before(**certificate);
    for (const net::Certificate& authority : *authorities)
        moment = std::max(moment, net::certificate_not_before(*authority));
    moment = std::min(moment, net::certificate_not_after(**certificate));
    return net::check_certificate(**certificate, {}, *authorities, net::CertificatePurpose::kClient,
                                  moment);
}

Status change_authorities(Identity& identity, const std::string& pem) {
    const auto unusable = [](const std::string& what) {
        return make_error(sqlstate::kProtocolViolation,
                          "certificate authorities that the hub names are not taken: " + what, {},
                          "Look into the log of the hub's server.");
    };
    const Result<std::vector<net::Certificate>> known = net::parse_certificates(identity.ca_pem);
    const Result<std::vector<net::Certificate>> named = net::parse_certificates(pem);
    if (!known || !named || named->size() > kMostAuthorities) return unusable("no certificates");
    bool continues = false;
    Identity next = identity;
    next.ca_pem.clear();
    for (const net::Certificate& one : *named) {
        if (!net::is_authority(*one)) return unusable("one is not a CA's");
        for (const net::Certificate& before : *known)
            continues = continues ||
                        net::certificate_fingerprint(*before) == net::certificate_fingerprint(*one);
        const Result<std::string> text = net::certificate_pem(*one);
        if (!text) return text.error();
        next.ca_pem += *text;
    }
    if (!continues) return unusable("none of them is known here");
    if (const Status fits = check_identity(next); !fits) return unusable(fits.error().message);
    identity = std::move(next);
    return {};
}

void FileWatch::set(std::vector<std::string> paths) {
    paths_ = std::move(paths);
    marks_.clear();
    for (const std::string& path : paths_) marks_.push_back(look(path));
}

bool FileWatch::changed() {
    bool any = false;
    for (size_t i = 0; i < paths_.size(); ++i) {
        const Mark mark = look(paths_[i]);
        any = any || mark != marks_[i];
        marks_[i] = mark;
    }
    return any;
}

FileWatch::Mark FileWatch::look(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return {};
    return {status.st_dev, status.st_ino, status.st_size,
            int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

}  // namespace pganalytics::ship
