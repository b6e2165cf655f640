// The files of one directory as the spool uses them: written at their end, read anywhere, renamed
// and removed. Runs in `pganalytics ship`. An interface, so that tests can put a disk under the
// same code that loses what was not synced, tears what was being written, and is full or broken.
//
// As on a real disk nothing is durable before sync(), and no name before sync_directory().
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"

namespace pganalytics::ship {

struct SpoolSpace {
    uint64_t total = 0;
    uint64_t available = 0;  // to us
};

class SpoolFiles {
  public:
    struct Entry {
        std::string name;
        uint64_t bytes = 0;
    };

    virtual ~SpoolFiles() = default;

    // Regular files only: what else lies there is not ours, and never opened.
    virtual Result<std::vector<Entry>> list() = 0;
    // An error where there is something of that name.
    virtual Status create(const std::string& name) = 0;
    // After an error part of it may have been written.
    virtual Status append(const std::string& name, std::string_view bytes) = 0;
    virtual Status truncate(const std::string& name, uint64_t bytes) = 0;
    virtual Status sync(const std::string& name) = 0;
    // Fewer bytes than asked for only at the end of the file.
    virtual Result<std::string> read(const std::string& name, uint64_t offset, size_t bytes) = 0;
    virtual Status rename(const std::string& from, const std::string& to) = 0;
    virtual Status remove(const std::string& name) = 0;
    virtual Status sync_directory() = 0;
    virtual Result<SpoolSpace> space() = 0;
};

// A real directory, which must be ours alone.
Result<std::unique_ptr<SpoolFiles>> open_spool_files(const std::string& directory);

}  // namespace pganalytics::ship
