// Complete readings, on their way to the program, taken over by the pass (see the header). Runs in
// the collector.
#include <algorithm>
#include <limits>

#include "pganalytics/core/counter_pass.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

void CounterPass::begin_reading(PassGroup group) {
    const auto place = place_of(group.rowset);
    reads_ = place.has_value() && find(group.datid) != nullptr;
    if (!reads_) return;
    reading_ = group;
    reading_place_ = *place;
    reading_bad_ = false;
    staged_.clear();
    staged_heads_.clear();
    // Whatever comes of it: what was handed over last is not known any more.
    find(group.datid)->groups[*place].primed = false;
}

void CounterPass::add_rows(std::string_view rows) {
    if (!reads_ || reading_bad_) return;
    RowReader reader(rows);
    for (std::string_view body; reader.next(body);) {
        SplitRow row;
        reading_bad_ = !split_row(rowsets_[reading_place_], key_, body, &row) ||
                       row.head.size() > std::numeric_limits<uint16_t>::max() ||
                       staged_.size() >= kMaxObjects;
        if (reading_bad_) return;
        staged_.push_back({row.oid, static_cast<uint32_t>(staged_heads_.size()),
                           static_cast<uint16_t>(row.head.size()), row.tail});
        staged_heads_.append(row.head);
    }
    reading_bad_ = !reader.ok();
}

// What was staged becomes the rowset's.
void CounterPass::take_over(Database& database, size_t place) {
    Group& group = database.groups[place];
    size_t others = 0;
    for (const KnownObject& object : database.objects.places())
        others += object.is_there() && object.rowset != place ? 1 : 0;
    ObjectTable next(others + staged_.size());
    for (const KnownObject& object : database.objects.places()) {
        if (!object.is_there() || object.rowset == place) continue;
        next.at(object.kind(), object.oid) = object;
    }
    const StatisticsKind kind = rowsets_[place].kind;
    uint64_t digest = staged_.size();
    for (const Staged& row : staged_) {
        const KnownObject* const before = database.objects.find(kind, row.oid);
        KnownObject& object = next.at(kind, row.oid);
        const bool met = (before != nullptr && before->has(KnownObject::kMet)) ||
                         std::binary_search(database.unknown.begin(), database.unknown.end(),
                                            unknown_key(kind, row.oid));
        object.head_at = row.head_at;
        object.head_bytes = row.head_bytes;
        object.set_hash(row.tail);
        object.rowset = static_cast<uint8_t>(place);
        object.set(KnownObject::kOfTail);
        if (met) object.set(KnownObject::kMet);
        digest +=
            fold_hash(key_, std::string_view(staged_heads_).substr(row.head_at, row.head_bytes));
    }
    database.objects = std::move(next);
    group.heads = staged_heads_;  // without spare room
    group.news = group.news || digest != group.digest;
    group.digest = digest;
    group.objects = staged_.size();
    group.written = database.written;
    group.read = group.primed = true;
    group.whole = false;
}

void CounterPass::end_reading(bool good, uint64_t rows, bool left_out) {
    if (!reads_) return;
    reads_ = false;
    Database* const database = find(reading_.datid);
    if (database != nullptr && good && !reading_bad_ && staged_.size() == rows &&
        objects() + rows <= kMaxObjects) {
        take_over(*database, reading_place_);
        database->groups[reading_place_].left_out = left_out;
    }
    staged_ = {};
    staged_heads_ = {};
}

}  // namespace pganalytics
