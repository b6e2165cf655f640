// The sandbox as a whole, and its layer of files and ports (see the header). Runs in ship, serve
// and keys. The kernel's headers may be older than the kernel: the numbers stand here.
#include "pganalytics/host/sandbox.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>

#include "pganalytics/host/files.hpp"
#include "pganalytics/host/system_error.hpp"

namespace pganalytics::host {

namespace {

// <linux/landlock.h>; the system calls have these numbers on all architectures.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;
constexpr unsigned kAskVersion = 1;
constexpr int kPathBeneath = 1;
constexpr int kNetPort = 2;
struct RulesetAttributes {
    uint64_t files = 0;
    uint64_t ports = 0;   // version 4
    uint64_t scoped = 0;  // version 6
};
struct PathRule {
    uint64_t allowed;
    int32_t directory;
} __attribute__((packed));
struct PortRule {
    uint64_t allowed;
    uint64_t port;
};
constexpr uint64_t kWriteFile = 1 << 1;
constexpr uint64_t kReadFile = 1 << 2;
constexpr uint64_t kListDirectory = 1 << 3;
constexpr uint64_t kRemoveDirectory = 1 << 4;
constexpr uint64_t kRemoveFile = 1 << 5;
constexpr uint64_t kMakeDirectory = 1 << 7;
constexpr uint64_t kMakeFile = 1 << 8;
constexpr uint64_t kRefer = 1 << 13;     // version 2: move between directories
constexpr uint64_t kTruncate = 1 << 14;  // version 3
constexpr uint64_t kBindTcp = 1 << 0;
constexpr uint64_t kConnectTcp = 1 << 1;
constexpr uint64_t kAbstractSockets = 1 << 0;
constexpr uint64_t kSignals = 1 << 1;

constexpr uint64_t kReadTree = kReadFile | kListDirectory;
constexpr uint64_t kWriteTree = kReadTree | kWriteFile | kRemoveDirectory | kRemoveFile |
                                kMakeDirectory | kMakeFile | kRefer | kTruncate;
// All but reading: the same right on what is below would let it read there, too.
constexpr uint64_t kChangeTree = kWriteTree & ~kReadFile;
// The first that lets files be moved between directories at all, which the spool needs.
constexpr int kFirstUsable = 2;
constexpr uint64_t kDnsPort = 53;

// Libraries that the resolver loads, and what they read. Each may be replaced at any time.
constexpr const char* kResolverFiles[] = {"/etc/resolv.conf", "/etc/hosts",    "/etc/nsswitch.conf",
                                          "/etc/host.conf",   "/etc/gai.conf", "/etc/services"};
constexpr const char* kResolverTrees[] = {"/run/systemd/resolve", "/run/NetworkManager",
                                          "/run/resolvconf"};
constexpr const char* kLibraries[] = {"/usr/lib",       "/usr/lib64", "/usr/lib32",
                                      "/usr/local/lib", "/lib",       "/lib64"};
constexpr const char* kLibraryFiles[] = {"/etc/ld.so.cache", "/etc/ssl/openssl.cnf",
                                         "/etc/localtime", "/dev/null", "/dev/urandom"};
// Directories in which too much lies that is somebody else's.
constexpr const char* kShared[] = {
    "/etc/ssl/private", "/etc/ssl/certs", "/etc/postgresql", "/etc/postgresql-common",
    "/etc/passwd",      "/tmp",           "/var/tmp",        "/run",
    "/dev/shm",         "/root",          "/home",           "/usr/bin",
    "/var/lib"};

uint64_t rights_of_version(int version) {
    if (version < 2) return kRefer - 1;
    if (version < 3) return kTruncate - 1;
    return (version < 5 ? uint64_t{1} << 15 : uint64_t{1} << 16) - 1;
}

std::string without_links(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> found(realpath(path.c_str(), nullptr), free);
    return found ? std::string(found.get()) : std::string();
}

std::string directory_of(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {};
    return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_beneath(const std::string& path, const std::string& tree) {
    return path == tree || tree == "/" ||
           (path.starts_with(tree) && path.size() > tree.size() && path[tree.size()] == '/');
}

bool holds_any(const std::string& directory, const std::vector<std::string>& paths) {
    return std::any_of(paths.begin(), paths.end(), [&directory](const std::string& path) {
        const std::string real = without_links(path);
        return is_beneath(path, directory) || (!real.empty() && is_beneath(real, directory));
    });
}

// Whether all in it may be read because one file in it may.
bool is_apart(const std::string& directory, const std::vector<std::string>& kept_out) {
    const bool shared =
        std::any_of(std::begin(kShared), std::end(kShared),
                    [&directory](const char* path) { return is_beneath(path, directory); });
    if (shared || holds_any(directory, kept_out)) return false;
    // Nor a server's data directory, nor anything in it.
    for (std::string above = directory; !above.empty() && above != "/"; above = directory_of(above))
        if (!is_absent(above + "/PG_VERSION")) return false;
    return true;
}

#ifdef PGANALYTICS_COVERAGE
constexpr bool kCountsLines = true;
#else
constexpr bool kCountsLines = false;
#endif

}  // namespace

int landlock_version() {
    const long version = syscall(kCreateRuleset, nullptr, 0, kAskVersion);
    return version > 0 ? static_cast<int>(version) : 0;
}

class Sandbox::Rules {
  public:
    Rules(Sandbox& sandbox, int version, const SandboxPlan& plan)
        : sandbox_(sandbox), rights_(rights_of_version(version)) {
        RulesetAttributes attributes;
        attributes.files = rights_;
        size_t size = sizeof attributes.files;
        if (version >= 4) {
            attributes.ports = (plan.role == SandboxRole::kServe ? 0 : kBindTcp) |
                               (plan.role == SandboxRole::kShip ? 0 : kConnectTcp);
            size += sizeof attributes.ports;
        }
        if (version >= 6) {
            // Ship's helper is outside, and ends by a signal that counts as ship's (of its death).
            // For signals that a program sends itself there is the filter.
            attributes.scoped = kAbstractSockets | (plan.role == SandboxRole::kShip ? 0 : kSignals);
            size += sizeof attributes.scoped;
        }
        ports_ = attributes.ports;
        ruleset_ = Descriptor(static_cast<int>(syscall(kCreateRuleset, &attributes, size, 0)));
        if (!ruleset_) failure_ = errno;
    }

    // What is not there needs no rule.
    void allow(const std::string& path, uint64_t rights) {
        const Descriptor file(open(path.c_str(), O_PATH | O_CLOEXEC));
        struct stat facts {};
        if (failure_ != 0 || !file || fstat(file.number(), &facts) != 0) return;
        const bool directory = S_ISDIR(facts.st_mode);
        if (!directory) rights &= kReadFile | kWriteFile | kTruncate;
        const PathRule rule{rights & rights_, file.number()};
        if (syscall(kAddRule, ruleset_.number(), kPathBeneath, &rule, 0) != 0) {
            failure_ = errno;
            return;
        }
        const std::string real = without_links(path);
        if (real.empty()) return;
        const FileId id(facts.st_dev, facts.st_ino);
        const bool reads = (rights & kReadFile) != 0;
        const bool makes = (rights & kMakeFile) != 0;
        if (reads && !directory) sandbox_.read_files_.push_back(id);
        if (reads && directory) sandbox_.read_trees_.push_back(real);
        if (makes) sandbox_.write_trees_.push_back(real);
        if (makes && reads) sandbox_.written_.emplace_back(real, id);
    }

    void allow_file(const std::string& path, const std::vector<std::string>& kept_out) {
        sandbox_.watched_.push_back(path);
        for (const std::string& name : {path, without_links(path)}) {
            const std::string directory = without_links(directory_of(name));
            if (directory.empty()) continue;
            allow(directory, is_apart(directory, kept_out) ? kReadTree : kListDirectory);
        }
        allow(path, kReadFile);
    }

    void allow_dns_port() {
        if ((ports_ & kConnectTcp) == 0 || failure_ != 0) return;
        const PortRule rule{kConnectTcp, kDnsPort};
        if (syscall(kAddRule, ruleset_.number(), kNetPort, &rule, 0) != 0) failure_ = errno;
    }

    int enforce() {
        if (failure_ == 0 && syscall(kRestrictSelf, ruleset_.number(), 0) != 0) failure_ = errno;
        return failure_;
    }

  private:
    Sandbox& sandbox_;
    uint64_t rights_;
    uint64_t ports_ = 0;
    Descriptor ruleset_;
    int failure_ = 0;
};

// The version in force.
Result<int> Sandbox::restrict_files(const SandboxPlan& plan) {
    const int version = landlock_version();
    if (version < kFirstUsable) {
        return make_error(sqlstate::kObjectNotReady,
                          version == 0 ? "the kernel has no Landlock, or it is switched off"
                                       : "the kernel's Landlock is too old (version 1)");
    }
    Rules rules(*this, version, plan);
    for (const char* tree : kLibraries) rules.allow(tree, kReadTree);
    for (const char* file : kLibraryFiles) rules.allow(file, kReadFile);
    rules.allow("/dev/null", kReadFile | kWriteFile);
    if (plan.resolves_names) {
        for (const char* tree : kResolverTrees) rules.allow(tree, kReadTree);
        for (const char* file : kResolverFiles) {
            watched_.emplace_back(file);
            rules.allow(file, kReadFile);
        }
        rules.allow_dns_port();
    }
    for (const std::string& path : plan.files) rules.allow_file(path, plan.kept_out);
    for (const std::string& path : plan.read) rules.allow(path, kReadTree);
    for (const std::string& path : plan.list) rules.allow(path, kListDirectory);
    for (const std::string& path : plan.change) rules.allow(path, kChangeTree);
    for (const std::string& path : plan.write) rules.allow(path, kWriteTree);
    if (const int failure = rules.enforce(); failure != 0) {
        return system_error("could not restrict files with Landlock below", "/", failure);
    }
    return version;
}

void Sandbox::enter(const SandboxPlan& plan) {
    if (entered_) return;
    entered_ = true;
    if (kCountsLines) {
        layers_.push_back(
            {"sandbox", "off", "this build counts its lines, and writes what it counted"});
        return;
    }
    const bool no_new = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    layers_.push_back(
        {"no_new_privileges", no_new ? "on" : "off", no_new ? "" : "the kernel refuses it"});
    if (plan.role != SandboxRole::kReader) {
        const Result<int> version = restrict_files(plan);
        landlocked_ = static_cast<bool>(version);
        layers_.push_back({"landlock", version ? "on, version " + std::to_string(*version) : "off",
                           version ? "" : version.error().message});
    }
    const Status filtered = filter_system_calls(plan.role);
    layers_.push_back(
        {"system_call_filter", filtered ? "on" : "off", filtered ? "" : filtered.error().message});
}

bool Sandbox::covers_file(const std::string& path) const {
    const std::string real = landlocked_ ? without_links(path) : std::string();
    if (real.empty()) return true;
    const auto holds = [&real](const std::string& tree) { return is_beneath(real, tree); };
    if (std::any_of(read_trees_.begin(), read_trees_.end(), holds)) return true;
    struct stat facts {};
    if (stat(real.c_str(), &facts) != 0) return true;
    return std::find(read_files_.begin(), read_files_.end(), FileId(facts.st_dev, facts.st_ino)) !=
           read_files_.end();
}

bool Sandbox::covers_tree(const std::string& path) const {
    if (!landlocked_) return true;
    const std::string real = without_links(path);
    return !real.empty() &&
           std::any_of(write_trees_.begin(), write_trees_.end(),
                       [&real](const std::string& tree) { return is_beneath(real, tree); });
}

bool Sandbox::outdated() const {
    const auto is_another = [this](const std::pair<std::string, FileId>& tree) {
        struct stat facts {};
        if (!landlocked_ || stat(tree.first.c_str(), &facts) != 0) return false;
        // Two that changed places are known, both.
        const FileId now(facts.st_dev, facts.st_ino);
        return std::none_of(written_.begin(), written_.end(),
                            [&now](const auto& known) { return known.second == now; });
    };
    return std::any_of(written_.begin(), written_.end(), is_another) ||
           std::any_of(watched_.begin(), watched_.end(),
                       [this](const std::string& path) { return !covers_file(path); });
}

std::string Sandbox::missing() const {
    std::string text;
    for (const Layer& layer : layers_) {
        if (layer.note.empty()) continue;
        if (!text.empty()) text += "; ";
        text += layer.name + ": " + layer.note;
    }
    return text;
}

std::string Sandbox::text() const {
    std::string text;
    for (const Layer& layer : layers_) {
        if (!text.empty()) text += ", ";
        text += layer.name + " " + layer.state;
        if (!layer.note.empty()) text += " (" + layer.note + ")";
    }
    return text;
}

}  // namespace pganalytics::host
