// Sizes of relations by fork, from the file sizes in the server's folders. Runs in
// `pganalytics ship`, in a thread of its own: a volume that hangs makes its caller wait.
//
// Asking the server (pg_relation_size) opens each relation and keeps its cache entry; here a folder
// is read once and each file in it asked for its size, segments and forks as the server names them
// ("16384", "16384.1", "16384_fsm").
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "pganalytics/core/result.hpp"

namespace pganalytics::host {

enum class Fork : uint8_t { kMain = 0, kFreeSpace = 1, kVisibility = 2, kInit = 3 };
inline constexpr size_t kForks = 4;

struct ForkSizes {
    std::array<int64_t, kForks> bytes = {};
    bool has_main = false;
};

// Of one folder: sixteen bytes a file, because there may be hundreds of thousands.
class FolderSizes {
  public:
    void add(uint32_t number, Fork fork, int64_t bytes) { files_.push_back({bytes, number, fork}); }
    // After the last one.
    void sort();
    // By name of the file (relfilenode); null where there is none.
    std::optional<ForkSizes> find(uint32_t number) const;

  private:
    struct File {
        int64_t bytes;
        uint32_t number;
        Fork fork;
    };
    std::deque<File> files_;
};

// Whether `folder` is one that relations can be in, relative to the data directory: "global",
// "base/5", "pg_tblspc/16400/PG_15_202209061/5". Nothing else is ever looked into.
bool is_relation_folder(std::string_view folder);

// What the name of a file says; false where it is not a relation's (temporary ones are not).
bool parse_relation_file(std::string_view name, uint32_t& number, Fork& fork);

// Files that vanish meanwhile are left out. An Error where the folder can't be read or has more
// than `limit` files.
Result<FolderSizes> read_relation_folder(const std::string& data_directory, std::string_view folder,
                                         size_t limit = 4'000'000);

}  // namespace pganalytics::host
