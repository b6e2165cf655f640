// Snapshots on their way: oldest first, bounded in bytes, the oldest dropped and accounted for when
// a new one needs the room. Runs in `pganalytics ship`. Behind an interface, because this one is in
// memory; a durable one takes its place without the delivery noticing.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "pganalytics/ship/loss_book.hpp"
#include "pganalytics/ship/snapshot.hpp"

namespace pganalytics::ship {

class SnapshotQueue {
  public:
    virtual ~SnapshotQueue() = default;

    // Takes it in; drops the oldest ones for it where the room is short, but never the one that is
    // being sent. What was dropped comes back.
    virtual std::vector<Snapshot> push(Snapshot snapshot) = 0;
    // The oldest; null where there is none. Lives until it is popped.
    virtual const Snapshot* front() const = 0;
    // While it is being sent the front stays.
    virtual void pin_front(bool pinned) = 0;
    virtual Snapshot pop() = 0;
    // Drops everything; what was dropped comes back.
    virtual std::vector<Snapshot> clear() = 0;
    virtual void set_limit(size_t bytes) = 0;

    virtual size_t snapshots() const = 0;
    virtual size_t bytes() const = 0;
    virtual size_t limit() const = 0;
};

class MemoryQueue final : public SnapshotQueue {
  public:
    explicit MemoryQueue(size_t limit) : limit_(limit) {}

    std::vector<Snapshot> push(Snapshot snapshot) override;
    const Snapshot* front() const override;
    void pin_front(bool pinned) override { pinned_ = pinned; }
    Snapshot pop() override;
    std::vector<Snapshot> clear() override;
    void set_limit(size_t bytes) override { limit_ = bytes; }
    size_t snapshots() const override { return queue_.size(); }
    size_t bytes() const override { return bytes_; }
    size_t limit() const override { return limit_; }

  private:
    std::deque<Snapshot> queue_;
    size_t bytes_ = 0;
    size_t limit_;
    bool pinned_ = false;
};

}  // namespace pganalytics::ship
