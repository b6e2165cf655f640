// The queue in memory (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/snapshot_queue.hpp"

#include <utility>

namespace pganalytics::ship {

std::vector<Snapshot> MemoryQueue::push(Snapshot snapshot) {
    std::vector<Snapshot> dropped;
    const size_t needed = snapshot.bytes();
    const size_t oldest = pinned_ ? 1 : 0;
    while (queue_.size() > oldest && bytes_ + needed > limit_) {
        const auto victim = queue_.begin() + static_cast<std::ptrdiff_t>(oldest);
        bytes_ -= victim->bytes();
        dropped.push_back(std::move(*victim));
        queue_.erase(victim);
    }
    if (bytes_ + needed > limit_) {
        dropped.push_back(std::move(snapshot));
        return dropped;
    }
    bytes_ += needed;
    queue_.push_back(std::move(snapshot));
    return dropped;
}

const Snapshot* MemoryQueue::front() const { return queue_.empty() ? nullptr : &queue_.front(); }

Snapshot MemoryQueue::pop() {
    Snapshot first = std::move(queue_.front());
    queue_.pop_front();
    // Its room was counted while its groups and body were in place.
    bytes_ -= first.bytes();
    pinned_ = false;
    return first;
}

std::vector<Snapshot> MemoryQueue::clear() {
    std::vector<Snapshot> all(std::make_move_iterator(queue_.begin()),
                              std::make_move_iterator(queue_.end()));
    queue_.clear();
    bytes_ = 0;
    pinned_ = false;
    return all;
}

}  // namespace pganalytics::ship
