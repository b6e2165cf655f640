// The queue's side towards the disk: jobs of the thread beside the loop, and what they found (see
// spool_queue.hpp). Runs in `pganalytics ship`.
#include <algorithm>
#include <set>
#include <utility>

#include "pganalytics/ship/spool_queue.hpp"

namespace pganalytics::ship {

namespace {

constexpr int64_t kLookInterval = 5'000'000;
// Of another collector, given up in one go.
constexpr int kStrangersAtOnce = 100;
// Openings at files that can't be read before they are given up.
constexpr int kOpenTries = 5;

// What a job answers that had no memory to answer anything.
Error broken_off() { return make_error(sqlstate::kInternal, "the spool's thread broke off"); }

}  // namespace

// Nobody calls it while one is under way.
void SpoolQueue::work(std::function<void(Side&)> job, std::function<void()> after) {
    if (has_spool_) {
        figures_ = side_->spool->figures();
        book_ = side_->spool->losses();
    }
    const auto whole = [side = side_, first = before_job(), job = std::move(job)] {
        first(*side);
        job(*side);
    };
    after_ = std::move(after);
    under_way_ = true;
    if (thread_.start(whole)) {
        if (thread_.running_after(patience_)) return;
    } else {
        whole();
    }
    ended();
}

// What the spool has to know of the time since the last job.
std::function<void(SpoolQueue::Side&)> SpoolQueue::before_job() {
    if (!has_spool_) return [](Side&) {};
    spared_ = held();
    return [untold = std::exchange(untold_, {}), limit = spool_limit_, spared = spared_,
            now = now_.wall](Side& side) {
        side.spool->set_limit(limit);
        side.spool->set_held(spared);
        for (const Untold& one : untold) {
            if (one.reason) {
                side.spool->lose(one.number, *one.reason, one.losses, now);
            } else {
                side.spool->finish(one.number);
            }
        }
    };
}

// What is on its way or in memory, whole or in halves, is counted by us, should its segment be
// dropped.
std::set<uint64_t> SpoolQueue::held() const {
    std::set<uint64_t> numbers;
    if (pin_ == Pin::kSpool) numbers.insert(loaded_->number);
    for (const Entry& entry : memory_) numbers.insert(entry.number);
    for (const Replaced& whole : replaced_) numbers.insert(whole.number);
    numbers.erase(0);
    return numbers;
}

bool SpoolQueue::settle() {
    while (under_way_ && !thread_.running()) ended();
    return !under_way_;
}

void SpoolQueue::ended() {
    under_way_ = false;
    under_way_since_ = 0;
    hang_.reset();
    if (const auto after = std::exchange(after_, nullptr)) after();
    if (has_spool_) forget_dropped();
    finish_replaced();
    load();
    tell();
}

void SpoolQueue::tell() {
    if (at_hand() && !untold_.empty()) work([](Side&) {}, nullptr);
}

void SpoolQueue::open() {
    look_again_at_ = now_.monotonic + kLookInterval;
    const auto opening = std::make_shared<Opening>(Opening{broken_off()});
    const SpoolOptions options{spool_limit_, 0, incarnation_, random_, unreadable_ >= kOpenTries};
    const auto job = [opening, options, directory = directory_, now = now_.wall](Side& side) {
        if (!directory.empty()) {
            Result<std::unique_ptr<SpoolFiles>> files = open_spool_files(directory);
            if (!files) {
                opening->status = files.error();
                return;
            }
            side.files = *std::move(files);
        }
        auto spool = std::make_unique<Spool>(*side.files, options);
        opening->status = spool->open(now);
        opening->met_unreadable = spool->met_unreadable();
        if (opening->status) side.spool = std::move(spool);
    };
    work(job, [this, opening] { opened(*opening); });
}

void SpoolQueue::opened(const Opening& opening) {
    unreadable_ = opening.met_unreadable ? unreadable_ + 1 : 0;
    if (!opening.status) {
        problem_ = opening.status.error();
        return;
    }
    problem_.reset();
    has_spool_ = true;
    load_again_ = true;
    const LossBook before = std::exchange(book_, {});
    for (const LossEpisode& episode : before.episodes())
        side_->spool->lose(0, episode.reason, episode.losses, now_.wall);
}

// All that is in memory only, in one piece.
void SpoolQueue::write_memory() {
    if (!at_hand()) return;
    std::vector<Entry*> entries;
    for (Entry& entry : memory_)
        if (entry.number == 0) entries.push_back(&entry);
    if (!entries.empty()) write(entries);
}

void SpoolQueue::write(const std::vector<Entry*>& entries) {
    for (Entry* entry : entries) {
        entry->writing = true;
        writing_.push_back(entry->snapshot);
    }
    write_again_at_ = now_.monotonic + kLookInterval;
    const auto first = std::make_shared<Result<uint64_t>>(broken_off());
    const auto job = [first, snapshots = writing_, now = now_.wall](Side& side) {
        std::vector<const Snapshot*> pointers;
        pointers.reserve(snapshots.size());
        for (const auto& snapshot : snapshots) pointers.push_back(snapshot.get());
        *first = side.spool->append(pointers, now);
    };
    work(job, [this, first] { written(*first); });
}

// What is no longer in memory was delivered or given up while it was being written.
void SpoolQueue::written(const Result<uint64_t>& first) {
    if (first) {
        problem_.reset();
        load_again_ = true;
    } else {
        problem_ = first.error();
    }
    uint64_t number = first ? *first : 0;
    for (const auto& snapshot : std::exchange(writing_, {})) {
        const auto entry = std::find_if(memory_.begin(), memory_.end(),
                                        [&](const Entry& one) { return one.snapshot == snapshot; });
        if (entry != memory_.end()) {
            entry->writing = false;
            entry->number = number;
        } else if (first) {
            untold_.push_back({number, std::nullopt, {}});
        }
        if (first) ++number;
    }
}

void SpoolQueue::load() {
    if (!load_again_ || !at_hand() || loaded_ || !collector_) return;
    load_again_ = false;
    if (side_->spool->figures().segments == 0) return;
    const std::set<uint64_t> in_memory = held();
    const auto found = std::make_shared<Loading>();
    const auto job = [found, in_memory, collector = *collector_, now = now_.wall](Side& side) {
        Spool& spool = *side.spool;
        // None by its count: position and files follow what was delivered, and a count may err.
        const auto others = [&] {
            return spool.snapshots() == 0 || spool.snapshots() > in_memory.size();
        };
        for (int i = 0; i < kStrangersAtOnce && others(); ++i) {
            Result<std::optional<Spool::Stored>> next = spool.next(now);
            if (!next) found->error = next.error();
            if (!next || !*next) return;
            if ((*next)->snapshot.collector_id == collector) {
                if (!in_memory.contains((*next)->number)) found->stored = **std::move(next);
                return;
            }
            Losses lost;
            lost.count((*next)->snapshot);
            spool.lose((*next)->number, LossReason::kStranger, lost, now);
        }
        found->more = spool.snapshots() > in_memory.size();
    };
    work(job, [this, found] { loaded(std::move(*found)); });
}

void SpoolQueue::loaded(Loading found) {
    strangers_left_ = found.more;
    if (found.error) problem_ = found.error;
    if (!found.stored) return;
    // We may have become another one meanwhile.
    if (found.stored->snapshot.collector_id != collector_) {
        load_again_ = true;
        return;
    }
    if (const auto asked = requests_.find(found.stored->number); asked != requests_.end()) {
        found.stored->snapshot.request = asked->second;
        requests_.erase(asked);
    }
    loaded_ = std::move(found.stored);
}

void SpoolQueue::look_after() {
    look_again_at_ = now_.monotonic + kLookInterval;
    const auto status = std::make_shared<Status>(broken_off());
    const auto job = [status, now = now_.wall](Side& side) { *status = side.spool->tick(now); };
    work(job, [this, status] {
        if (!*status && !problem_) problem_ = status->error();
        const bool all_written = std::all_of(memory_.begin(), memory_.end(),
                                             [](const Entry& entry) { return entry.number != 0; });
        // Of a file that can't be read it comes again with the next try.
        if (*status && all_written) problem_.reset();
        load_again_ = true;
    });
}

}  // namespace pganalytics::ship
