// Who this server is to its hub, and where that is kept: <state directory>/identity/ with
// collector.json, key.pem, cert.pem, ca.pem. Written as a set: after a crash at any point it is the
// old identity or the new one. Runs in ship and register, also both at once.
//
// A set is written to identity.new/ (collector.json last), then takes the place of identity/ by
// renaming; a reader that finds no identity/ but a complete identity.new/ ends an interrupted
// change. Writers exclude each other by a lock on identity.lock. In identity/ there may also be
// pending-key.pem and renewal-key.pem, of an enrolment or a renewal under way. Nothing else of the
// state directory is written here, and no other program is started for it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics::ship {

struct Identity {
    Uuid collector_id{};
    std::string hub_id;
    std::string hub_url;
    std::string name;            // empty: the hub's affair
    bool self_enrolled = false;  // with this server's own hub, by nobody's hand
    std::string key_pem;
    std::string certificate_pem;
    std::string ca_pem;
};

class IdentityStore {
  public:
    explicit IdentityStore(std::string state_directory);

    // Empty where there is none. An error where the files are unreadable, damaged, or do not belong
    // together.
    Result<std::optional<Identity>> load() const;
    Status save(const Identity& identity) const;
    // Nothing there is success.
    Status forget() const;

    // The key of an enrolment whose answer has not come yet; bound to its token. The same token
    // gets the same key again.
    Result<std::string> pending_key(std::string_view token) const;
    // The key of a renewal whose answer has not come yet; bound to the certificate that is to be
    // renewed. The next save() removes it.
    Result<std::string> renewal_key(std::string_view certificate_pem) const;

    std::string directory() const { return directory_; }
    // Where the next identity is written: a directory that changes places with directory(), and
    // that make_spare() makes.
    std::string spare() const { return directory_ + ".new"; }
    Status make_spare() const;
    std::string path(std::string_view file) const;

  private:
    Result<std::string> kept_key(std::string_view file, const std::string& mark) const;
    void end_interrupted_change() const;
    Result<Identity> read_set() const;
    Status write_set(const std::string& directory, const Identity& identity) const;
    Status put_in_force(const std::string& next) const;

    std::string state_directory_;
    std::string directory_;
};

// Of one hub, while its CA changes.
inline constexpr size_t kMostAuthorities = 4;

// Key, certificate and CA belong together, and the certificate names `collector_id`. Dates are not
// looked at: an expired certificate is the hub's to refuse.
Status check_identity(const Identity& identity);

// The CAs that a hub names instead of those in `identity`: at most four, one of them known, one of
// them the own certificate's; kept is what was understood of them.
Status change_authorities(Identity& identity, const std::string& pem);

// The collector a certificate names; an error that says what is wrong with the file.
Result<Uuid> collector_id_of(std::string_view certificate_pem, const std::string& path);

// Tells whether files were changed or replaced since the last look.
class FileWatch {
  public:
    void set(std::vector<std::string> paths);
    bool changed();

  private:
    struct Mark {
        dev_t device = 0;
        ino_t inode = 0;
        off_t size = -1;
        int64_t modified = 0;
        bool operator==(const Mark&) const = default;
    };
    static Mark look(const std::string& path);

    std::vector<std::string> paths_;
    std::vector<Mark> marks_;
};

}  // namespace pganalytics::ship
