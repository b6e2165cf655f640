// What the spool promises when the power goes off or the process is killed at any moment: what was
// taken is there, whole, or its loss is declared. Walks at random through operations, on a disk
// that loses and tears what was not synced, and opens the spool anew from each state a crash could
// have left.
//
//     SPOOL_CRASH_STATES   how many states (10,000; without sanitizers `make unit` asks for
//     100,000) SPOOL_SEED           another walk
#include <cstdlib>
#include <map>
#include <optional>
#include <set>

#include "spool_fixture.hpp"

namespace pganalytics::ship {
namespace {

uint64_t environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What must be, may be, and was declared.
struct Truth {
    std::set<uint64_t> taken;     // by append()
    std::set<uint64_t> finished;  // delivered
    std::set<uint64_t> given_up;  // by lose() and set_aside(): finished and declared
    std::set<uint64_t> doubtful;  // append() failed, or has not answered yet
    std::map<uint64_t, uint64_t> number_of;
    uint64_t declared_before = 0;
};

class Walk {
  public:
    Walk(uint64_t seed, bool faults) : random_(seed), faults_(faults) {}

    // Until so many states were looked at.
    void run(uint64_t states) {
        start(std::make_unique<SimulatedFiles>());
        while (states_ < states && !::testing::Test::HasFailure()) {
            for (int i = 0; i < 60; ++i) step();
            // Life goes on from what a crash left.
            if (one_in(random_, 4)) {
                start(std::make_unique<SimulatedFiles>());
            } else {
                const bool kill = one_in(random_, 2);
                start(kill ? files_->after_kill() : files_->after_power_cut(random_));
            }
        }
    }
    uint64_t states() const { return states_; }

  private:
    void start(std::unique_ptr<SimulatedFiles> files) {
        files_ = std::move(files);
        files_->random = &random_;
        spool_ = std::make_unique<Spool>(*files_, small_options(random_, ++run_));
        ASSERT_TRUE(spool_->open(kSpoolNow));
        truth_ = {};
        truth_.declared_before = declared(*spool_);
        // Whatever it holds now is what it has taken: read by a copy.
        auto copy = files_->after_kill();
        Spool reader(*copy, small_options(random_, run_));
        ASSERT_TRUE(reader.open(kSpoolNow));
        while (const auto next = *reader.next(kSpoolNow)) {
            truth_.taken.insert(next->snapshot.sequence);
            truth_.number_of[next->snapshot.sequence] = next->number;
            reader.finish(next->number);
        }
        // Damage is counted when it is met.
        late_ = declared(reader) - truth_.declared_before;
        files_->before_change = [this](const SimulatedFiles& now) {
            if (!quiet_ && one_in(random_, 3)) look(now);
        };
        files_->fails = [this](std::string_view call) {
            return faults_ && !quiet_ && call != "list" && one_in(random_, 40);
        };
    }

    void step() {
        switch (below(random_, 10)) {
            case 0:
            case 1:
            case 2:
            case 3:
                return append();
            case 4:
            case 5:
            case 6:
                return deliver_front();
            case 7:
                return deliver_any();
            case 8:
                return give_up();
            default:
                static_cast<void>(spool_->tick(kSpoolNow));
        }
        if (one_in(random_, 20)) spool_->set_limit(4096 + below(random_, 4096));
    }

    void append() {
        Sequences sequences;
        for (uint64_t i = below(random_, 3) + 1; i > 0; --i) sequences.push_back(++last_sequence_);
        std::vector<Snapshot> made;
        for (const uint64_t sequence : sequences) made.push_back(numbered(sequence));
        std::vector<const Snapshot*> pointers;
        for (const Snapshot& one : made) pointers.push_back(&one);
        truth_.doubtful.insert(sequences.begin(), sequences.end());
        may_return_.insert(sequences.begin(), sequences.end());
        const Result<uint64_t> first = spool_->append(pointers, kSpoolNow);
        if (!first) return;
        uint64_t number = *first;
        for (const uint64_t sequence : sequences) {
            truth_.doubtful.erase(sequence);
            may_return_.erase(sequence);
            truth_.taken.insert(sequence);
            truth_.number_of[sequence] = number++;
        }
        look(*files_);
    }

    void deliver_front() {
        const auto next = spool_->next(kSpoolNow);
        if (!next || !*next) return;
        const uint64_t sequence = (*next)->snapshot.sequence;
        ASSERT_EQ(difference((*next)->snapshot, !(*next)->snapshot.groups.empty()), "");
        ASSERT_FALSE(truth_.finished.contains(sequence)) << "sent twice without a crash";
        truth_.finished.insert(sequence);
        spool_->finish((*next)->number);
        look(*files_);
    }

    std::optional<uint64_t> any() {
        if (truth_.taken.empty()) return std::nullopt;
        auto one = truth_.taken.lower_bound(
            *truth_.taken.begin() + below(random_, last_sequence_ - *truth_.taken.begin() + 1));
        if (one == truth_.taken.end()) --one;
        if (truth_.finished.contains(*one) || truth_.given_up.contains(*one) ||
            !spool_->holds(truth_.number_of[*one]))
            return std::nullopt;
        return *one;
    }

    void deliver_any() {
        const std::optional<uint64_t> sequence = any();
        if (!sequence) return;
        truth_.finished.insert(*sequence);
        may_return_.insert(*sequence);
        spool_->finish(truth_.number_of[*sequence]);
        look(*files_);
    }

    void give_up() {
        const std::optional<uint64_t> sequence = any();
        if (!sequence) return;
        truth_.given_up.insert(*sequence);
        may_return_.insert(*sequence);
        const uint64_t number = truth_.number_of[*sequence];
        if (one_in(random_, 2)) {
            spool_->set_aside(number, numbered(*sequence), "no", kSpoolNow);
        } else {
            Losses lost;
            lost.count(numbered(*sequence));
            spool_->lose(number, LossReason::kStranger, lost, kSpoolNow);
        }
        look(*files_);
    }

    void look(const SimulatedFiles& now) {
        if (::testing::Test::HasFailure()) return;
        ASSERT_LE(now.highest, 8192U) << "the limit holds at each moment";
        quiet_ = true;
        for (int i = 0; i < 4; ++i)
            check(*(i == 0 ? now.after_kill() : now.after_power_cut(random_)));
        quiet_ = false;
    }

    void check(SimulatedFiles& files) {
        ++states_;
        Spool spool(files, small_options(random_, 0));
        ASSERT_TRUE(spool.open(kSpoolNow));
        std::set<uint64_t> found;
        uint64_t before = 0;
        const uint64_t waiting = spool.snapshots();
        while (true) {
            const auto next = spool.next(kSpoolNow);
            ASSERT_TRUE(next);
            if (!*next) break;
            const Snapshot& one = (*next)->snapshot;
            ASSERT_EQ(difference(one, false), "") << one.sequence;
            // What a failed append() left half there may turn up later, and that something was
            // delivered out of its turn may be forgotten: the hub stores it once.
            ASSERT_TRUE(truth_.taken.contains(one.sequence) || may_return_.contains(one.sequence))
                << one.sequence << " was never put, or sent long ago";
            ASSERT_TRUE(found.insert(one.sequence).second) << "twice " << one.sequence;
            ASSERT_GT(one.sequence, before) << "order";
            before = one.sequence;
            spool.finish((*next)->number);
        }
        ASSERT_LE(found.size(), waiting);
        ASSERT_LE(files.highest, 8192U);
        uint64_t missing = 0;
        for (const uint64_t sequence : truth_.taken)
            if (!found.contains(sequence) && !truth_.finished.contains(sequence) &&
                !truth_.given_up.contains(sequence))
                ++missing;
        const uint64_t told = declared(spool) - truth_.declared_before;
        // Nothing is lost that is not declared.
        ASSERT_GE(told, missing) << "silently lost";
        // Nor is more declared than can be lost: what append() had not taken yet, too.
        uint64_t slack = truth_.given_up.size() + truth_.doubtful.size() + late_;
        if (faults_) slack += truth_.finished.size();
        ASSERT_LE(told, missing + slack) << "declared, but not lost";
        ASSERT_TRUE(put(spool, {1'000'000})) << "and it works";
    }

    Random random_;
    bool faults_;
    bool quiet_ = false;
    uint8_t run_ = 0;
    uint64_t states_ = 0;
    uint64_t last_sequence_ = 0;
    uint64_t late_ = 0;
    Truth truth_;
    std::set<uint64_t> may_return_;
    std::unique_ptr<SimulatedFiles> files_;
    std::unique_ptr<Spool> spool_;
};

class SpoolCrash : public ::testing::TestWithParam<bool> {};

TEST_P(SpoolCrash, WhatWasTakenIsThereOrDeclared) {
    const uint64_t states = environment("SPOOL_CRASH_STATES", 10'000) / 2;
    const uint64_t seed = environment("SPOOL_SEED", 20260220);
    SCOPED_TRACE("SPOOL_SEED=" + std::to_string(seed));
    uint64_t seen = 0;
    for (uint64_t walk = 0; seen < states && !HasFailure(); ++walk) {
        Walk one(seed + walk, GetParam());
        one.run(std::min<uint64_t>(states - seen, 10'000));
        seen += one.states();
    }
    RecordProperty("states", static_cast<int>(seen));
    std::cout << seen << " crash states, seed " << seed << "\n";
}

INSTANTIATE_TEST_SUITE_P(Disk, SpoolCrash, ::testing::Values(false, true),
                         [](const auto& disk) { return disk.param ? "Failing" : "Sound"; });

}  // namespace
}  // namespace pganalytics::ship
