// The journal of a state directory: a line for every snapshot that was made, written before the
// snapshot goes anywhere, so that `pganalytics ledger` can tell from outside the queue what became
// of each. Only where somebody has made the file "journal"; else nothing is written. Runs in
// `pganalytics ship`.
//
//     produced ID INCARNATION SEQUENCE TIME BYTES     time of its cycle, microseconds since 1970
//     split ID PART PART                              it was refused and goes on as these two
//     end INCARNATION                                 that run has put all it had into the spool
//
// A line is in the file once write() has taken it, which the death of this process does not undo;
// it is not synced, so it does not tell what a power cut takes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "pganalytics/core/result.hpp"
#include "pganalytics/host/files.hpp"
#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

inline constexpr const char* kJournalFile = "/journal";
// Some two million snapshots.
inline constexpr uint64_t kMostJournalBytes = uint64_t{256} << 20;

class Journal {
  public:
    // Empty: there is none.
    static Result<std::optional<Journal>> open(const std::string& state_directory);

    // An error is told once, until it has passed; what could not be written waits in memory.
    Status produced(std::span<const Snapshot> snapshots, const Uuid& incarnation);
    Status split(const Uuid& whole, const Uuid& first, const Uuid& second);
    Status end(const Uuid& incarnation);

  private:
    Journal(host::Descriptor file, std::string path, uint64_t bytes)
        : file_(std::move(file)), path_(std::move(path)), bytes_(bytes) {}
    Status write_pending();

    host::Descriptor file_;
    std::string path_;
    uint64_t bytes_ = 0;
    std::string pending_;
    bool told_ = false;
};

}  // namespace pganalytics::ship
