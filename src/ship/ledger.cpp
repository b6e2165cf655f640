// Journal against hub, spool and loss book (see the header). Runs in `pganalytics ledger`.
#include "pganalytics/ship/ledger.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace pganalytics::ship {

namespace {

// Halves of halves: more than any snapshot has rowsets.
constexpr int kDeepestSplit = 40;

template <class Number>
bool parse_number(std::string_view text, Number& number) {
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && at == text.data() + text.size();
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    while (words.size() < 8) {
        const size_t space = line.find(' ');
        words.push_back(line.substr(0, space));
        if (space == std::string_view::npos) break;
        line.remove_prefix(space + 1);
    }
    return words;
}

// Sorted; those that were there twice are told.
std::vector<Uuid> take_unique(std::vector<Uuid>& ids) {
    std::sort(ids.begin(), ids.end());
    std::vector<Uuid> twice;
    for (size_t i = 1; i < ids.size(); ++i)
        if (ids[i] == ids[i - 1] && (twice.empty() || twice.back() != ids[i]))
            twice.push_back(ids[i]);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    return twice;
}

bool contains(const std::vector<Uuid>& sorted, const Uuid& id) {
    return std::binary_search(sorted.begin(), sorted.end(), id);
}

class Comparison {
  public:
    explicit Comparison(LedgerSides sides) : sides_(std::move(sides)) {}
    LedgerReport run();

  private:
    struct Absent {
        Uuid id{};
        uint32_t run = 0;
        bool last_cycle = false;  // of its run
    };
    void follow(const Uuid& id, const JournalRecords::Produced& of, int depth);
    bool any_part_stored(const Uuid& id, int depth);
    // Empty, too, where a file that no shipper wrote would lead on for ever.
    const JournalRecords::Split* split_of(const Uuid& id, int depth);
    void count_others();
    void settle();

    LedgerSides sides_;
    LedgerReport report_;
    std::vector<Absent> absent_;
    uint64_t looks_left_ = 0;
};

const JournalRecords::Split* Comparison::split_of(const Uuid& id, int depth) {
    if (depth >= kDeepestSplit || looks_left_ == 0) return nullptr;
    --looks_left_;
    const auto& splits = sides_.journal.splits;
    const auto found = std::lower_bound(
        splits.begin(), splits.end(), id,
        [](const auto& split, const Uuid& wanted) { return split.whole < wanted; });
    return found != splits.end() && found->whole == id ? &*found : nullptr;
}

bool Comparison::any_part_stored(const Uuid& id, int depth) {
    const JournalRecords::Split* split = split_of(id, depth);
    if (split == nullptr) return false;
    return std::any_of(split->parts.begin(), split->parts.end(), [&](const Uuid& part) {
        return contains(sides_.stored, part) || any_part_stored(part, depth + 1);
    });
}

void Comparison::follow(const Uuid& id, const JournalRecords::Produced& of, int depth) {
    const bool stored = contains(sides_.stored, id);
    const bool spooled = contains(sides_.spooled, id);
    const JournalRecords::Split* split = split_of(id, depth);
    if (stored && split != nullptr && any_part_stored(id, depth)) report_.doubled.push_back(id);
    if (split != nullptr && !stored && !spooled) {
        for (const Uuid& part : split->parts) follow(part, of, depth + 1);
        return;
    }
    ++report_.parts;
    if (stored) {
        ++report_.stored;
        report_.spooled_and_stored += spooled ? 1 : 0;
    } else if (spooled) {
        ++report_.spooled;
    } else {
        absent_.push_back({id, of.run, of.cycle == sides_.journal.runs[of.run].last_cycle});
    }
}

// What is stored of other state directories, or was made before the journal.
void Comparison::count_others() {
    std::vector<Uuid> known;
    for (const auto& one : sides_.journal.produced) known.push_back(one.id);
    for (const auto& split : sides_.journal.splits)
        known.insert(known.end(), split.parts.begin(), split.parts.end());
    std::sort(known.begin(), known.end());
    for (const Uuid& id : sides_.stored) report_.others += contains(known, id) ? 0 : 1;
}

// Of what is nowhere: so much is declared, so much may have been in flight, the rest is lost.
void Comparison::settle() {
    std::map<uint32_t, uint64_t> of_run;
    for (const Absent& one : absent_)
        if (one.last_cycle && !sides_.journal.runs[one.run].ended) ++of_run[one.run];
    std::vector<std::pair<uint64_t, uint32_t>> by_size;
    by_size.reserve(of_run.size());
    for (const auto& [run, count] : of_run) by_size.push_back({count, run});
    std::sort(by_size.rbegin(), by_size.rend());
    const uint64_t kills = sides_.kills.value_or(report_.killed_runs);
    if (by_size.size() > kills) by_size.resize(static_cast<size_t>(kills));
    uint64_t excusable = 0;
    for (const auto& [count, run] : by_size) excusable += count;

    const uint64_t absent = absent_.size();
    report_.over_declared = report_.declared > absent ? report_.declared - absent : 0;
    const uint64_t undeclared = absent - std::min(absent, report_.declared);
    report_.in_flight = std::min(undeclared, excusable);
    report_.lost = undeclared - report_.in_flight;
    if (report_.lost == 0) return;
    for (const Absent& one : absent_) {
        const bool excused =
            one.last_cycle && std::any_of(by_size.begin(), by_size.end(),
                                          [&](const auto& run) { return run.second == one.run; });
        if (!excused) report_.missing.push_back(one.id);
    }
}

LedgerReport Comparison::run() {
    JournalRecords& journal = sides_.journal;
    report_.produced = journal.produced.size();
    report_.runs = journal.runs.size();
    report_.killed_runs = journal.killed_runs();
    report_.declared = sides_.declared;
    report_.doubled = take_unique(sides_.stored);
    take_unique(sides_.spooled);
    std::stable_sort(journal.splits.begin(), journal.splits.end(),
                     [](const auto& a, const auto& b) { return a.whole < b.whole; });
    std::vector<Uuid> made;
    for (const auto& one : journal.produced) made.push_back(one.id);
    const std::vector<Uuid> made_twice = take_unique(made);
    report_.doubled.insert(report_.doubled.end(), made_twice.begin(), made_twice.end());
    looks_left_ = 4 * (journal.produced.size() + 2 * journal.splits.size());
    for (const auto& one : journal.produced) follow(one.id, one, 0);
    count_others();
    settle();
    return std::move(report_);
}

}  // namespace

uint64_t JournalRecords::killed_runs() const {
    return static_cast<uint64_t>(
        std::count_if(runs.begin(), runs.end(), [](const Run& run) { return !run.ended; }));
}

bool JournalRecords::take(std::string_view line) {
    if (line.size() <= kLongestJournalLine && take_words(words_of(line))) return true;
    ++torn;
    return false;
}

size_t JournalRecords::run_of(const Uuid& incarnation) {
    const auto [entry, fresh] = run_numbers_.try_emplace(incarnation, runs.size());
    if (fresh) runs.push_back({incarnation, false, 0});
    return entry->second;
}

bool JournalRecords::take_words(const std::vector<std::string_view>& words) {
    std::array<Uuid, 3> ids{};
    const auto take_ids = [&](size_t count) {
        if (words.size() < count + 1) return false;
        for (size_t i = 0; i < count; ++i) {
            const std::optional<Uuid> id = parse_uuid(words[i + 1]);
            if (!id) return false;
            ids[i] = *id;
        }
        return true;
    };
    if (words[0] == "produced" && words.size() == 6 && take_ids(2)) {
        uint64_t sequence = 0;
        uint64_t bytes = 0;
        int64_t cycle = 0;
        if (!parse_number(words[3], sequence) || !parse_number(words[4], cycle) ||
            !parse_number(words[5], bytes))
            return false;
        const size_t run = run_of(ids[1]);
        runs[run].last_cycle = cycle;
        produced.push_back({ids[0], static_cast<uint32_t>(run), cycle});
        return true;
    }
    if (words[0] == "split" && words.size() == 4 && take_ids(3)) {
        splits.push_back({ids[0], {ids[1], ids[2]}});
        return true;
    }
    if (words[0] == "end" && words.size() == 2 && take_ids(1)) {
        runs[run_of(ids[0])].ended = true;
        return true;
    }
    return false;
}

// A kill between the hub's answer, or a loss, and the note of it makes one count twice.
bool LedgerReport::balanced() const {
    return lost == 0 && doubled.empty() && over_declared <= killed_runs;
}

LedgerReport compare_ledger(LedgerSides sides) { return Comparison(std::move(sides)).run(); }

}  // namespace pganalytics::ship
