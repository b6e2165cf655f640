// What a pass hands over to the program (see the header): rows that changed, or all of a group.
// Runs in the collector.
#include <algorithm>

#include "pganalytics/core/counter_pass.hpp"
#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

namespace {
// Objects looked up together.
constexpr size_t kLookUp = 64;
}  // namespace

std::vector<PassGroup> CounterPass::changed() const {
    std::vector<PassGroup> groups;
    for (size_t i = 0; i < rowsets_.size(); ++i) {
        for (const auto& database : databases_) {
            const PassGroup group = {database->oid, rowsets_[i].number};
            if (is_whole(group)) groups.push_back(group);
        }
    }
    for (const Change& change : changes_) {
        const PassGroup group = {change.database->oid, rowsets_[change.rowset].number};
        if (groups.empty() || groups.back() != group) groups.push_back(group);
    }
    return groups;
}

bool CounterPass::is_whole(PassGroup group) const {
    const auto place = place_of(group.rowset);
    const Database* const database = find(group.datid);
    if (!place || database == nullptr) return false;
    return database->groups[*place].primed && database->groups[*place].whole;
}

void CounterPass::send_whole(uint32_t datid) {
    Database* const database = find(datid);
    if (database == nullptr) return;
    for (Group& group : database->groups) {
        group.whole = true;
        if (group.left_out) group.primed = false;
    }
}

void CounterPass::send_all_whole() {
    for (const auto& database : databases_) send_whole(database->oid);
    changes_ = {};
    copies_ = {};
    copied_ = 0;
    objects_to_send_ = {};
    reads_ = false;
}

void CounterPass::send(PassGroup group) {
    sent_rows_ = 0;
    send_failed_ = false;
    sending_ = place_of(group.rowset).value_or(0);
    sending_datid_ = group.datid;
    sending_whole_ = is_whole(group);
    objects_to_send_.clear();
    next_object_ = 0;
    if (sending_whole_) {
        Database& database = *find(group.datid);
        std::vector<KnownObject>& places = database.objects.places();
        for (uint32_t i = 0; i < places.size(); ++i)
            if (places[i].is_there() && places[i].rowset == sending_) objects_to_send_.push_back(i);
        // As they were read: neighbours are alike, which compresses well.
        std::sort(objects_to_send_.begin(), objects_to_send_.end(),
                  [&](uint32_t a, uint32_t b) { return places[a].head_at < places[b].head_at; });
        return;
    }
    const auto first =
        std::partition_point(changes_.begin(), changes_.end(), [&](const Change& change) {
            if (change.rowset != sending_) return change.rowset < sending_;
            return change.database->oid < group.datid;
        });
    next_change_ = static_cast<size_t>(first - changes_.begin());
}

std::string_view CounterPass::next_rows(size_t limit, const CounterLookup& look_up) {
    rows_.clear();
    if (sending_whole_) {
        send_objects(limit, look_up);
    } else {
        send_changes(limit);
    }
    return rows_;
}

void CounterPass::put(const Database& database, KnownObject& object, std::string_view counters) {
    const std::string_view head =
        std::string_view(database.groups[sending_].heads).substr(object.head_at, object.head_bytes);
    make_row(rowsets_[sending_], head, counters, &body_);
    uint8_t length[kMaxVarintBytes];
    rows_.append(reinterpret_cast<const char*>(length), put_varint(length, body_.size()));
    rows_.append(body_);
    ++sent_rows_;
}

void CounterPass::send_changes(size_t limit) {
    for (; next_change_ < changes_.size() && rows_.size() < limit; ++next_change_) {
        const Change& change = changes_[next_change_];
        if (change.rowset != sending_ || change.database->oid != sending_datid_) break;
        KnownObject& object = change.database->objects.places()[change.place];
        put(*change.database, object, change.counters);
        object.set_hash(change.hash);
        object.clear(KnownObject::kOfTail);
    }
}

void CounterPass::send_objects(size_t limit, const CounterLookup& look_up) {
    Database* const database = find(sending_datid_);
    if (database == nullptr) return;
    const PassRowset& rowset = rowsets_[sending_];
    Group& group = database->groups[sending_];
    CounterCopy copies[kLookUp];
    uint32_t oids[kLookUp];
    while (next_object_ < objects_to_send_.size() && rows_.size() < limit) {
        const size_t count = std::min(kLookUp, objects_to_send_.size() - next_object_);
        const auto object_at = [&](size_t i) -> KnownObject& {
            return database->objects.places()[objects_to_send_[next_object_ + i]];
        };
        for (size_t i = 0; i < count; ++i) oids[i] = object_at(i).oid;
        if (!look_up(rowset.kind, sending_datid_, {oids, count}, copies)) {
            send_failed_ = true;
            group.primed = false;
            next_object_ = objects_to_send_.size();
            return;
        }
        for (size_t i = 0; i < count; ++i) {
            KnownObject& object = object_at(i);
            const std::string_view counters = copies[i].view();
            // Dropped since the pass.
            if (counters.empty() && object.has(KnownObject::kMet)) continue;
            put(*database, object, counters);
            if (counters.empty()) {
                object.set_hash(tail_hash(rowset, key_, counters));
                object.set(KnownObject::kOfTail);
            } else {
                object.set_hash(fold_hash(key_, counters));
                object.clear(KnownObject::kOfTail);
            }
        }
        next_object_ += count;
    }
    if (rows_.empty()) group.whole = false;
}

}  // namespace pganalytics
