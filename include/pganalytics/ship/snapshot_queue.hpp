// Snapshots on their way to the hub, as the delivery sees them. Runs in `pganalytics ship`.
#pragma once

#include <cstdint>
#include <string_view>

#include "pganalytics/ship/snapshot.hpp"
#include "pganalytics/ship/snapshot_split.hpp"

namespace pganalytics::ship {

class SnapshotQueue {
  public:
    virtual ~SnapshotQueue() = default;

    // The next to be sent; null where there is none. While it is pinned (on its way) it stays.
    virtual const Snapshot* front() const = 0;
    virtual void pin_front(bool pinned) = 0;
    // The hub has it, or refuses it for good.
    virtual Snapshot pop_delivered() = 0;
    virtual Snapshot pop_refused(std::string_view reason) = 0;
    // The hub refuses it, but may take a half: these come in its place, behind all others.
    virtual Snapshot pop_split(SnapshotHalves halves) = 0;
    // A try failed, or there is no hub: what is queued has to last.
    virtual void hub_is_away() = 0;
};

}  // namespace pganalytics::ship
