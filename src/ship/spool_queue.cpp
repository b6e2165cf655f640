// Memory and spool as one queue (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/spool_queue.hpp"

#include <algorithm>
#include <utility>

namespace pganalytics::ship {

namespace {

constexpr int64_t kSecond = 1'000'000;
// So long a cycle may be on its way to a hub that seems to be there.
constexpr int64_t kTrust = 3 * kSecond;
constexpr int64_t kLookInterval = 5 * kSecond;
// Of another collector, given up in one go.
constexpr int kStrangersAtOnce = 100;

}  // namespace

SpoolQueue::SpoolQueue(Uuid incarnation, std::function<uint32_t()> random)
    : incarnation_(incarnation), random_(std::move(random)) {}

void SpoolQueue::use_directory(std::string path, Moment now) {
    if (path == directory_) return;
    use_files(nullptr, now);
    directory_ = std::move(path);
    if (!directory_.empty()) open(now);
}

void SpoolQueue::use_files(std::unique_ptr<SpoolFiles> files, Moment now) {
    now_ = now;
    if (spool_) book_ = spool_->losses();
    spool_.reset();
    loaded_.reset();
    requests_.clear();
    for (Entry& entry : memory_) entry.number = 0;
    problem_.reset();
    directory_.clear();
    files_ = std::move(files);
    if (files_) open(now);
}

void SpoolQueue::open(Moment now) {
    look_again_at_ = now.monotonic + kLookInterval;
    if (!directory_.empty()) {
        Result<std::unique_ptr<SpoolFiles>> files = open_spool_files(directory_);
        if (!files) {
            problem_ = files.error();
            return;
        }
        files_ = *std::move(files);
    }
    auto spool =
        std::make_unique<Spool>(*files_, SpoolOptions{spool_limit_, 0, incarnation_, random_});
    if (const Status opened = spool->open(now.wall); !opened) {
        problem_ = opened.error();
        return;
    }
    problem_.reset();
    spool_ = std::move(spool);
    const LossBook before = std::exchange(book_, {});
    for (const LossEpisode& episode : before.episodes())
        spool_->lose(0, episode.reason, episode.losses, now.wall);
    load();
}

void SpoolQueue::set_limits(size_t memory_bytes, uint64_t spool_bytes) {
    memory_limit_ = memory_bytes;
    spool_limit_ = spool_bytes;
    if (spool_) spool_->set_limit(spool_bytes);
}

std::vector<Snapshot> SpoolQueue::set_collector(std::optional<Uuid> collector) {
    write_memory();
    collector_ = collector;
    std::vector<Snapshot> dropped;
    for (Entry& entry : std::exchange(memory_, {})) {
        if (entry.snapshot.collector_id == collector) {
            memory_.push_back(std::move(entry));
            continue;
        }
        memory_bytes_ -= entry.snapshot.bytes();
        if (entry.number == 0) lose(LossReason::kStranger, entry.snapshot);
        dropped.push_back(std::move(entry.snapshot));
    }
    pin_ = Pin::kNone;
    loaded_.reset();
    load();
    return dropped;
}

void SpoolQueue::begin_cycle() {
    if (!spool_) return;
    write_memory();
    release_written();
}

std::vector<Snapshot> SpoolQueue::push(Snapshot snapshot) {
    std::vector<Snapshot> dropped;
    if (!memory_.empty() && memory_.back().snapshot.time != snapshot.time) begin_cycle();
    const size_t needed = snapshot.bytes();
    if (make_room(needed, dropped) < needed) {
        lose(LossReason::kNoRoom, snapshot);
        dropped.push_back(std::move(snapshot));
        return dropped;
    }
    memory_bytes_ += needed;
    memory_.push_back({std::move(snapshot), 0, now_.monotonic});
    return dropped;
}

// What is in the spool can go from memory; else the oldest is lost. Answers the room there is.
size_t SpoolQueue::make_room(size_t needed, std::vector<Snapshot>& dropped) {
    const auto room = [this] {
        return memory_limit_ > memory_bytes_ ? memory_limit_ - memory_bytes_ : 0;
    };
    if (room() < needed && spool_) {
        write_memory();
        release_written();
    }
    const size_t oldest = pin_ == Pin::kMemory ? 1 : 0;
    while (room() < needed && memory_.size() > oldest) {
        const auto victim = memory_.begin() + static_cast<std::ptrdiff_t>(oldest);
        memory_bytes_ -= victim->snapshot.bytes();
        lose(LossReason::kNoRoom, victim->snapshot);
        dropped.push_back(std::move(victim->snapshot));
        memory_.erase(victim);
    }
    return room();
}

void SpoolQueue::lose(LossReason reason, const Snapshot& snapshot) {
    Losses lost;
    lost.count(snapshot);
    if (spool_) {
        spool_->lose(0, reason, lost, now_.wall);
    } else {
        book_.add(reason, lost, now_.wall);
    }
}

// All that is in memory only, in one piece.
void SpoolQueue::write_memory() {
    if (!spool_) return;
    std::vector<const Snapshot*> snapshots;
    std::vector<Entry*> entries;
    for (Entry& entry : memory_) {
        if (entry.number != 0) continue;
        snapshots.push_back(&entry.snapshot);
        entries.push_back(&entry);
    }
    if (snapshots.empty()) return;
    const Result<uint64_t> first = spool_->append(snapshots, now_.wall);
    write_again_at_ = now_.monotonic + kLookInterval;
    if (first) {
        problem_.reset();
        uint64_t number = *first;
        for (Entry* entry : entries) entry->number = number++;
        if (pin_ == Pin::kMemory) spool_->set_in_flight(memory_.front().number);
    } else {
        problem_ = first.error();
    }
    forget_dropped();
}

// Making room may have dropped what we hold of the spool; that is counted already.
void SpoolQueue::forget_dropped() {
    if (loaded_ && loaded_->number != 0 && !spool_->holds(loaded_->number)) {
        loaded_->number = 0;
        if (pin_ != Pin::kSpool) loaded_.reset();
    }
    std::erase_if(requests_, [this](const auto& asked) { return !spool_->holds(asked.first); });
}

void SpoolQueue::release_written() {
    for (size_t i = pin_ == Pin::kMemory ? 1 : 0; i < memory_.size();) {
        Entry& entry = memory_[i];
        if (entry.number == 0) {
            ++i;
            continue;
        }
        if (entry.snapshot.request != 0) requests_[entry.number] = entry.snapshot.request;
        memory_bytes_ -= entry.snapshot.bytes();
        memory_.erase(memory_.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

void SpoolQueue::service(Moment now) {
    now_ = now;
    if (!spool_) {
        if ((!directory_.empty() || files_) && now.monotonic >= look_again_at_) open(now);
        return;
    }
    const auto unwritten = std::find_if(memory_.begin(), memory_.end(),
                                        [](const Entry& entry) { return entry.number == 0; });
    if (unwritten != memory_.end() && (away_ || now.monotonic - unwritten->since >= kTrust) &&
        (!problem_ || now.monotonic >= write_again_at_))
        write_memory();
    if (now.monotonic >= look_again_at_) {
        look_again_at_ = now.monotonic + kLookInterval;
        if (const Status looked = spool_->tick(now.wall); !looked && !problem_)
            problem_ = looked.error();
        forget_dropped();
    }
    load();
}

bool SpoolQueue::keep_all() {
    write_memory();
    if (spool_) static_cast<void>(spool_->keep(now_.wall));
    return std::all_of(memory_.begin(), memory_.end(),
                       [](const Entry& entry) { return entry.number != 0; });
}

void SpoolQueue::load() {
    if (!spool_ || loaded_ || !collector_) return;
    uint64_t in_memory = 0;
    for (const Entry& entry : memory_) in_memory += entry.number != 0 ? 1 : 0;
    for (int i = 0; i < kStrangersAtOnce && spool_->snapshots() > in_memory; ++i) {
        Result<std::optional<Spool::Stored>> next = spool_->next(now_.wall);
        if (!next) {
            problem_ = next.error();
            return;
        }
        if (!*next) return;
        Spool::Stored stored = **std::move(next);
        if (stored.snapshot.collector_id != collector_) {
            Losses lost;
            lost.count(stored.snapshot);
            spool_->lose(stored.number, LossReason::kStranger, lost, now_.wall);
            continue;
        }
        const bool also_in_memory =
            std::any_of(memory_.begin(), memory_.end(),
                        [&](const Entry& entry) { return entry.number == stored.number; });
        if (also_in_memory) return;
        if (const auto asked = requests_.find(stored.number); asked != requests_.end()) {
            stored.snapshot.request = asked->second;
            requests_.erase(asked);
        }
        loaded_ = std::move(stored);
        return;
    }
    // Position and files follow what was delivered.
    if (spool_->snapshots() == 0) static_cast<void>(spool_->next(now_.wall));
}

const Snapshot* SpoolQueue::front() const {
    if (pin_ == Pin::kSpool) return &loaded_->snapshot;
    if (!memory_.empty()) return &memory_.front().snapshot;
    return loaded_ ? &loaded_->snapshot : nullptr;
}

void SpoolQueue::pin_front(bool pinned) {
    if (pinned) {
        pin_ = memory_.empty() ? Pin::kSpool : Pin::kMemory;
        const uint64_t number = pin_ == Pin::kSpool ? loaded_->number : memory_.front().number;
        if (spool_) spool_->set_in_flight(number);
        return;
    }
    // It was dropped while it was on its way, and was not delivered.
    if (pin_ == Pin::kSpool && loaded_->number == 0) {
        lose(LossReason::kLimit, loaded_->snapshot);
        loaded_.reset();
    }
    pin_ = Pin::kNone;
    if (spool_) spool_->set_in_flight(0);
}

Snapshot SpoolQueue::take_front(uint64_t& number) {
    if (pin_ == Pin::kSpool || memory_.empty()) {
        number = loaded_->number;
        Snapshot taken = std::move(loaded_->snapshot);
        loaded_.reset();
        pin_ = Pin::kNone;
        return taken;
    }
    number = memory_.front().number;
    memory_bytes_ -= memory_.front().snapshot.bytes();
    Snapshot taken = std::move(memory_.front().snapshot);
    memory_.pop_front();
    pin_ = Pin::kNone;
    return taken;
}

Snapshot SpoolQueue::pop_delivered() {
    uint64_t number = 0;
    Snapshot taken = take_front(number);
    away_ = false;
    if (spool_ && number != 0) spool_->finish(number);
    after_pop();
    return taken;
}

Snapshot SpoolQueue::pop_refused(std::string_view reason) {
    uint64_t number = 0;
    Snapshot taken = take_front(number);
    if (spool_) {
        spool_->set_aside(number, taken, reason, now_.wall);
    } else {
        lose(LossReason::kRefused, taken);
    }
    after_pop();
    return taken;
}

// They are durable before it goes: after a kill it is split again, into the same.
Snapshot SpoolQueue::pop_split(SnapshotHalves halves) {
    if (on_split_) on_split_(*front(), halves);
    const Snapshot* const both[] = {&halves[0], &halves[1]};
    const bool written = spool_ && spool_->append(both, now_.wall);
    if (spool_) forget_dropped();
    uint64_t number = 0;
    Snapshot whole = take_front(number);
    if (!written) {
        for (Snapshot& half : halves) {
            memory_bytes_ += half.bytes();
            memory_.push_back({std::move(half), 0, now_.monotonic});
        }
    }
    if (spool_ && number != 0) spool_->finish(number);
    after_pop();
    return whole;
}

void SpoolQueue::after_pop() {
    if (!spool_) return;
    spool_->set_in_flight(0);
    load();
}

size_t SpoolQueue::snapshots() const {
    size_t count = spool_ ? static_cast<size_t>(spool_->snapshots()) : 0;
    for (const Entry& entry : memory_) count += entry.number == 0 ? 1 : 0;
    return count;
}

uint64_t SpoolQueue::bytes() const {
    uint64_t sum = 0;
    if (spool_ && spool_->snapshots() > 0) {
        const SpoolFigures figures = spool_->figures();
        sum = figures.bytes - figures.aside_bytes - figures.foreign_bytes;
    }
    for (const Entry& entry : memory_) sum += entry.number == 0 ? entry.snapshot.bytes() : 0;
    return sum;
}

uint64_t SpoolQueue::limit() const { return spool_ ? spool_limit_ : memory_limit_; }

int64_t SpoolQueue::oldest_time() const {
    if (loaded_) return loaded_->snapshot.time;
    return memory_.empty() ? 0 : memory_.front().snapshot.time;
}

std::vector<RowsetGroup> SpoolQueue::take_lost_groups() {
    return spool_ ? spool_->take_lost_groups() : std::vector<RowsetGroup>();
}

std::optional<SpoolFigures> SpoolQueue::spool_figures() const {
    if (!spool_) return std::nullopt;
    return spool_->figures();
}

}  // namespace pganalytics::ship
