// Memory and spool as one queue (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/spool_queue.hpp"

#include <algorithm>
#include <utility>

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
// So long a cycle may be on its way to a hub that seems to be there.
constexpr int64_t kTrust = 3 * kSecond;
// A job that takes longer is told.
constexpr int64_t kHang = kSecond;

}  // namespace

SpoolQueue::SpoolQueue(Uuid incarnation, std::function<uint32_t()> random, int64_t patience)
    : incarnation_(incarnation),
      random_(std::move(random)),
      patience_(patience),
      side_(std::make_shared<Side>()) {}

void SpoolQueue::use_directory(std::string path, Moment now) {
    if (path == directory_) return;
    use_files(nullptr, now);
    directory_ = std::move(path);
    if (!directory_.empty()) open();
}

void SpoolQueue::use_files(std::unique_ptr<SpoolFiles> files, Moment now) {
    now_ = now;
    if (!settle()) {
        // Left behind with all that it uses.
        thread_ = host::SideThread();
        under_way_ = false;
        under_way_since_ = 0;
        hang_.reset();
        after_ = nullptr;
        writing_.clear();
    } else if (has_spool_) {
        book_ = side_->spool->losses();
    }
    has_spool_ = false;
    untold_.clear();
    loaded_.reset();
    requests_.clear();
    replaced_.clear();
    unreadable_ = 0;
    for (Entry& entry : memory_) {
        entry.number = 0;
        entry.writing = false;
    }
    problem_.reset();
    directory_.clear();
    side_ = std::make_shared<Side>();
    side_->files = std::move(files);
    if (side_->files) open();
}

void SpoolQueue::set_limits(size_t memory_bytes, uint64_t spool_bytes) {
    memory_limit_ = memory_bytes;
    spool_limit_ = spool_bytes;
}

std::vector<Snapshot> SpoolQueue::set_collector(std::optional<Uuid> collector) {
    write_memory();
    collector_ = collector;
    std::vector<Snapshot> dropped;
    for (Entry& entry : std::exchange(memory_, {})) {
        if (entry.snapshot->collector_id == collector) {
            memory_.push_back(std::move(entry));
            continue;
        }
        memory_bytes_ -= entry.snapshot->bytes();
        if (entry.number == 0) lose(LossReason::kStranger, *entry.snapshot);
        dropped.push_back(entry.take());
    }
    pin_ = Pin::kNone;
    loaded_.reset();
    load_again_ = true;
    load();
    return dropped;
}

void SpoolQueue::begin_cycle() {
    if (!settle() || !has_spool_) return;
    write_memory();
    release_written();
}

std::vector<Snapshot> SpoolQueue::push(Snapshot snapshot) {
    std::vector<Snapshot> dropped;
    if (!memory_.empty() && memory_.back().snapshot->time != snapshot.time) begin_cycle();
    const size_t needed = snapshot.bytes();
    if (make_room(needed, dropped) < needed) {
        lose(LossReason::kNoRoom, snapshot);
        dropped.push_back(std::move(snapshot));
        return dropped;
    }
    remember(std::move(snapshot));
    return dropped;
}

void SpoolQueue::remember(Snapshot snapshot) {
    memory_bytes_ += snapshot.bytes();
    memory_.push_back({std::make_shared<Snapshot>(std::move(snapshot)), 0, now_.monotonic, false});
}

// While it is being written it is the thread's, too.
Snapshot SpoolQueue::Entry::take() const { return writing ? *snapshot : std::move(*snapshot); }

// What is in the spool can go from memory; else the oldest is lost, but for what is being written
// or may be dropped from the spool just now: that is no room yet. Answers the room there is.
size_t SpoolQueue::make_room(size_t needed, std::vector<Snapshot>& dropped) {
    const auto room = [this] {
        return memory_limit_ > memory_bytes_ ? memory_limit_ - memory_bytes_ : 0;
    };
    if (room() < needed && has_spool_) {
        if (settle()) write_memory();
        release_written();
    }
    for (size_t i = pin_ == Pin::kMemory ? 1 : 0; room() < needed && i < memory_.size();) {
        const auto victim = memory_.begin() + static_cast<std::ptrdiff_t>(i);
        if (victim->writing || victim->number != 0) {
            ++i;
            continue;
        }
        memory_bytes_ -= victim->snapshot->bytes();
        lose(LossReason::kNoRoom, *victim->snapshot);
        dropped.push_back(victim->take());
        memory_.erase(victim);
    }
    return room();
}

// Of what is in the spool by its number.
void SpoolQueue::lose(LossReason reason, const Snapshot& snapshot, uint64_t number) {
    Losses lost;
    lost.count(snapshot);
    if (at_hand() && number == 0) return side_->spool->lose(0, reason, lost, now_.wall);
    book_.add(reason, lost, now_.wall);
    if (!has_spool_) return;
    const auto same = std::find_if(untold_.begin(), untold_.end(), [&](const Untold& one) {
        return one.number == 0 && number == 0 && one.reason == reason;
    });
    if (same != untold_.end()) return same->losses.add(lost);
    untold_.push_back({number, reason, lost});
}

// Its segment was dropped; the spool left it to us.
void SpoolQueue::lose_loaded() {
    lose(LossReason::kLimit, loaded_->snapshot);
    lost_groups_.insert(lost_groups_.end(), loaded_->snapshot.groups.begin(),
                        loaded_->snapshot.groups.end());
    loaded_.reset();
}

// Making room may have dropped what we have of the spool; that is counted, but for what was on its
// way or is in memory.
void SpoolQueue::forget_dropped() {
    const auto dropped = [this](uint64_t number) {
        return number != 0 && !side_->spool->holds(number);
    };
    if (loaded_ && dropped(loaded_->number)) {
        if (!spared_.contains(loaded_->number)) {
            loaded_.reset();
        } else {
            loaded_->number = 0;
            if (pin_ != Pin::kSpool) lose_loaded();
        }
    }
    for (Entry& entry : memory_)
        if (dropped(entry.number)) entry.number = 0;
    std::erase_if(requests_, [&](const auto& asked) { return dropped(asked.first); });
    std::erase_if(replaced_, [&](const Replaced& whole) { return dropped(whole.number); });
}

void SpoolQueue::finish_replaced() {
    const auto in_memory_only = [this](const std::shared_ptr<Snapshot>& half) {
        return std::any_of(memory_.begin(), memory_.end(), [&](const Entry& entry) {
            return entry.snapshot == half && entry.number == 0;
        });
    };
    std::erase_if(replaced_, [&](const Replaced& whole) {
        if (in_memory_only(whole.halves[0]) || in_memory_only(whole.halves[1])) return false;
        untold_.push_back({whole.number, std::nullopt, {}});
        return true;
    });
}

// The spool counts on what is in memory while a job is under way.
void SpoolQueue::release_written(std::optional<int64_t> kept_time) {
    if (under_way_) return;
    for (size_t i = pin_ == Pin::kMemory ? 1 : 0; i < memory_.size();) {
        Entry& entry = memory_[i];
        if (entry.number == 0 || entry.snapshot->time == kept_time) {
            ++i;
            continue;
        }
        if (entry.snapshot->request != 0) requests_[entry.number] = entry.snapshot->request;
        memory_bytes_ -= entry.snapshot->bytes();
        memory_.erase(memory_.begin() + static_cast<std::ptrdiff_t>(i));
        load_again_ = true;
    }
}

void SpoolQueue::service(Moment now) {
    now_ = now;
    if (!settle()) {
        if (under_way_since_ == 0) under_way_since_ = now.monotonic;
        if (now.monotonic - under_way_since_ >= kHang)
            hang_ = make_error(sqlstate::kIoError, "the volume of the spool does not answer",
                               "A call to it has not returned.",
                               "Look after the volume of pganalytics.state_directory.");
        return;
    }
    if (!has_spool_) {
        if ((!directory_.empty() || side_->files) && now.monotonic >= look_again_at_) open();
        return;
    }
    // Those that were still being written when the next cycle came.
    if (!memory_.empty()) release_written(memory_.back().snapshot->time);
    const auto unwritten = std::find_if(memory_.begin(), memory_.end(),
                                        [](const Entry& entry) { return entry.number == 0; });
    if (unwritten != memory_.end() && (away_ || now.monotonic - unwritten->since >= kTrust) &&
        (!problem_ || now.monotonic >= write_again_at_))
        write_memory();
    if (at_hand() && now.monotonic >= look_again_at_) look_after();
    if (std::exchange(strangers_left_, false)) load_again_ = true;
    load();
}

bool SpoolQueue::keep_all() {
    if (under_way_) static_cast<void>(thread_.running_after(patience_));
    if (settle()) write_memory();
    if (at_hand())
        work([now = now_.wall](Side& side) { static_cast<void>(side.spool->keep(now)); }, nullptr);
    return std::all_of(memory_.begin(), memory_.end(),
                       [](const Entry& entry) { return entry.number != 0; });
}

const Snapshot* SpoolQueue::front() const {
    if (pin_ == Pin::kSpool) return &loaded_->snapshot;
    if (!memory_.empty()) return memory_.front().snapshot.get();
    // A job that is under way may drop it, and count it as lost.
    const bool ours = loaded_ && (!under_way_ || spared_.contains(loaded_->number));
    return ours ? &loaded_->snapshot : nullptr;
}

void SpoolQueue::pin_front(bool pinned) {
    if (pinned) {
        pin_ = memory_.empty() ? Pin::kSpool : Pin::kMemory;
        return;
    }
    const Pin was = std::exchange(pin_, Pin::kNone);
    // It was dropped while it was on its way, and was not delivered.
    if (was == Pin::kSpool && loaded_->number == 0) lose_loaded();
}

Snapshot SpoolQueue::take_front(uint64_t& number) {
    const bool from_spool = pin_ == Pin::kSpool || memory_.empty();
    pin_ = Pin::kNone;
    if (from_spool) {
        number = loaded_->number;
        Snapshot taken = std::move(loaded_->snapshot);
        loaded_.reset();
        return taken;
    }
    number = memory_.front().number;
    memory_bytes_ -= memory_.front().snapshot->bytes();
    Snapshot taken = memory_.front().take();
    memory_.pop_front();
    return taken;
}

Snapshot SpoolQueue::pop_delivered() {
    uint64_t number = 0;
    Snapshot taken = take_front(number);
    away_ = false;
    if (number != 0) untold_.push_back({number, std::nullopt, {}});
    after_pop();
    return taken;
}

Snapshot SpoolQueue::pop_refused(std::string_view reason) {
    uint64_t number = 0;
    Snapshot taken = take_front(number);
    if (settle() && has_spool_) {
        const auto job = [number, taken, reason = std::string(reason), now = now_.wall](
                             Side& side) { side.spool->set_aside(number, taken, reason, now); };
        work(job, nullptr);
    } else {
        lose(LossReason::kRefused, taken, number);
    }
    after_pop();
    return taken;
}

// They are durable before it goes from the spool: after a kill it is split again, into the same.
Snapshot SpoolQueue::pop_split(SnapshotHalves halves) {
    if (on_split_) on_split_(*front(), halves);
    if (memory_.empty()) pin_ = Pin::kSpool;
    for (Snapshot& half : halves) remember(std::move(half));
    const auto place = [this](size_t half) { return &memory_[memory_.size() - 2 + half]; };
    const std::array both{place(0)->snapshot, place(1)->snapshot};
    if (settle() && has_spool_) write({place(0), place(1)});
    uint64_t number = 0;
    Snapshot whole = take_front(number);
    if (number != 0) replaced_.push_back({number, both});
    // In the spool they have their place behind all others.
    if (!under_way_ && place(0)->number != 0) {
        for (size_t half = 0; half < both.size(); ++half) {
            memory_bytes_ -= memory_.back().snapshot->bytes();
            memory_.pop_back();
        }
    }
    after_pop();
    return whole;
}

void SpoolQueue::after_pop() {
    finish_replaced();
    load_again_ = true;
    load();
    tell();
}

size_t SpoolQueue::snapshots() const {
    const std::optional<SpoolFigures> spool = spool_figures();
    size_t count = spool ? static_cast<size_t>(spool->snapshots) : 0;
    for (const Entry& entry : memory_) count += entry.number == 0 ? 1 : 0;
    return count - std::min(count, replaced_.size());
}

uint64_t SpoolQueue::bytes() const {
    uint64_t sum = 0;
    if (const std::optional<SpoolFigures> spool = spool_figures(); spool && spool->snapshots > 0)
        sum = spool->bytes - spool->aside_bytes - spool->foreign_bytes;
    for (const Entry& entry : memory_) sum += entry.number == 0 ? entry.snapshot->bytes() : 0;
    return sum;
}

uint64_t SpoolQueue::limit() const { return has_spool_ ? spool_limit_ : memory_limit_; }

int64_t SpoolQueue::oldest_time() const {
    if (loaded_) return loaded_->snapshot.time;
    return memory_.empty() ? 0 : memory_.front().snapshot->time;
}

std::vector<RowsetGroup> SpoolQueue::take_lost_groups() {
    std::vector<RowsetGroup> lost = std::exchange(lost_groups_, {});
    if (!at_hand()) return lost;
    const std::vector<RowsetGroup> dropped = side_->spool->take_lost_groups();
    lost.insert(lost.end(), dropped.begin(), dropped.end());
    return lost;
}

std::optional<SpoolFigures> SpoolQueue::spool_figures() const {
    if (!has_spool_) return std::nullopt;
    if (at_hand()) return side_->spool->figures();
    SpoolFigures figures = figures_;
    for (const Untold& one : untold_)
        figures.snapshots -= std::min<uint64_t>(figures.snapshots, one.number != 0 ? 1 : 0);
    return figures;
}

}  // namespace pganalytics::ship
