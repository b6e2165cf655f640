// Reads the host's rowsets: those of /proc at once, those that ask a file system in a thread of
// their own, because statvfs() on a volume that hangs never returns, and the loop has heartbeats to
// answer. A reading that hangs is left behind; until it ends no other one is started. Runs in
// `pganalytics ship`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/row_format.hpp"
#include "pganalytics/host/side_thread.hpp"
#include "pganalytics/ship/rowset_shapes.hpp"

namespace pganalytics::ship {

struct HostRowset {
    uint16_t number = 0;
    std::string rows;
    uint64_t count = 0;
    int64_t time = 0;
    uint64_t elapsed_us = 0;
    uint64_t cpu_us = 0;
    std::optional<Error> error;  // rows are then those read before
};

// Reads one rowset; in the thread it may use nothing that the loop changes.
using ReadHostRowset = std::function<Status(const Rowset&, RowBuilder&)>;

HostRowset read_host_rowset(const RowsetShape& shape, const ReadHostRowset& read);

class HostReader {
  public:
    // Becomes readable when a reading has ended.
    int descriptor() const { return thread_.descriptor(); }
    // False: the reading before still runs, or no thread can be had.
    bool start(std::vector<RowsetShape> shapes, ReadHostRowset read);
    bool running() const { return rowsets_ != nullptr; }
    // The reading's rowsets, once it has ended.
    std::optional<std::vector<HostRowset>> take();

  private:
    host::SideThread thread_;
    std::shared_ptr<std::vector<HostRowset>> rowsets_;  // the thread's while it runs
};

}  // namespace pganalytics::ship
