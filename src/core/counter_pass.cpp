// A pass in place of visits (see the header).
#include "pganalytics/core/counter_pass.hpp"

#include <algorithm>
#include <cstring>

#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

namespace {

// pg_class, pg_namespace, pg_proc: rows written there are names that came, went or changed.
constexpr uint32_t kNamingCatalogs[] = {1259, 2615, 1255};

// Catalogs and what belongs to them have OIDs below this one (FirstNormalObjectId).
constexpr uint32_t kFirstOfUsers = 16384;
// Those that define nothing: pg_statistic, pg_statistic_ext_data, their TOAST tables, which each
// ANALYZE writes, and pg_largeobject.
constexpr uint32_t kDefineNothing[] = {2619, 2840, 3429, 3430, 2613};
// pg_authid, pg_tablespace, pg_subscription: shared, and named in what databases have.
constexpr uint32_t kSharedDefinitions[] = {1260, 1213, 6100};

bool is_one_of(std::span<const uint32_t> oids, uint32_t oid) {
    return std::find(oids.begin(), oids.end(), oid) != oids.end();
}

// There is always room for so many. What is not written costs addresses only.
constexpr size_t kLeastChanges = 4096;
constexpr size_t kLeastBytes = size_t{1} << 20;
constexpr size_t kLeastUnknown = 65536;

bool is_naming_catalog(StatisticsKind kind, uint32_t oid) {
    return kind == StatisticsKind::kRelation && is_one_of(kNamingCatalogs, oid);
}

uint64_t sum_at(std::string_view counters, std::span<const size_t> offsets) {
    uint64_t sum = 0;
    for (const size_t offset : offsets) {
        uint64_t value = 0;
        if (offset + sizeof value <= counters.size())
            std::memcpy(&value, counters.data() + offset, sizeof value);
        sum += value;
    }
    return sum;
}

}  // namespace

CounterPass::CounterPass(const FoldKey& key, std::vector<PassRowset> rowsets, MarkOffsets offsets)
    : key_(key), rowsets_(std::move(rowsets)), offsets_(std::move(offsets)) {
    if (rowsets_.size() > kMaxRowsets) rowsets_.clear();
}

std::optional<size_t> CounterPass::place_of(uint16_t rowset) const {
    for (size_t i = 0; i < rowsets_.size(); ++i)
        if (rowsets_[i].number == rowset) return i;
    return std::nullopt;
}

const CounterPass::Database* CounterPass::find(uint32_t datid) const {
    const auto place = std::lower_bound(
        databases_.begin(), databases_.end(), datid,
        [](const auto& database, uint32_t wanted) { return database->oid < wanted; });
    return place != databases_.end() && (*place)->oid == datid ? place->get() : nullptr;
}

CounterPass::Database* CounterPass::find(uint32_t datid) {
    return const_cast<Database*>(std::as_const(*this).find(datid));
}

bool CounterPass::all_primed(const Database& database) const {
    return !rowsets_.empty() &&
           std::all_of(database.groups.begin(),
                       database.groups.begin() + static_cast<std::ptrdiff_t>(rowsets_.size()),
                       [](const Group& group) { return group.primed; });
}

bool CounterPass::has_signs(const Database& database) const {
    if (!database.unknown.empty()) return true;
    for (size_t i = 0; i < rowsets_.size(); ++i)
        if (database.groups[i].written != database.written) return true;
    return false;
}

// --- a pass

// What all readings since the last pass did not have is in none of the rowsets.
void CounterPass::ignore_unknown(Database& database) {
    for (const uint64_t key : database.unknown) {
        const auto kind = static_cast<StatisticsKind>(key >> 32);
        const auto oid = static_cast<uint32_t>(key);
        if (database.objects.find(kind, oid) != nullptr) continue;
        KnownObject& object = database.objects.at(kind, oid);
        object.rowset = KnownObject::kInNone;
        object.set(KnownObject::kMet);
    }
}

// What readings since the last pass were good for.
void CounterPass::settle(Database& database) {
    bool all_read = true;
    bool news = false;
    for (size_t i = 0; i < rowsets_.size(); ++i) {
        Group& group = database.groups[i];
        all_read = all_read && group.read;
        news = news || group.news;
        group.read = group.news = false;
    }
    if (all_read) {
        ignore_unknown(database);
        database.lacks = false;
        if (news || !database.signs) {
            database.backoff_us = database.not_before_us = 0;
        } else {
            database.backoff_us =
                std::min(std::max(database.backoff_us * 2, interval_us_), kCompleteUs);
            database.not_before_us = now_us_ + database.backoff_us;
        }
    }
    database.unknown.clear();
    database.written = 0;
}

void CounterPass::forget_marks() {
    shared_definitions_ = 0;
    for (const auto& database : databases_) database->marks = {};
}

void CounterPass::begin(int64_t now_us, int64_t interval_us, std::span<const uint32_t> databases) {
    now_us_ = now_us;
    interval_us_ = interval_us;
    make_room({wanted_.changes * 2, wanted_.bytes * 2, wanted_.unknown * 2});
    std::vector<uint32_t> wanted(databases.begin(), databases.end());
    std::sort(wanted.begin(), wanted.end());
    // Where memory runs out in the midst of it, nothing is known any more.
    last_ = nullptr;
    std::vector<std::unique_ptr<Database>> before = std::move(databases_);
    databases_.clear();
    std::vector<std::unique_ptr<Database>> next;
    for (const uint32_t oid : wanted) {
        auto known = std::find_if(before.begin(), before.end(), [&](const auto& database) {
            return database != nullptr && database->oid == oid;
        });
        if (known == before.end()) {
            next.push_back(std::make_unique<Database>());
            next.back()->oid = oid;
        } else {
            next.push_back(std::move(*known));
        }
        settle(*next.back());
    }
    databases_ = std::move(next);
    forget_marks();
}

// For another pass, of which nothing is noted yet.
void CounterPass::make_room(const Room& room) {
    changes_ = {};
    unknown_ = {};
    copies_ = {};
    room_.changes = std::max(room.changes, kLeastChanges);
    room_.bytes = std::max(room.bytes, kLeastBytes);
    room_.unknown = std::clamp(room.unknown, kLeastUnknown, kMaxObjects);
    changes_.reserve(room_.changes);
    unknown_.reserve(room_.unknown);
    copies_ = std::make_unique_for_overwrite<char[]>(room_.bytes);
    copied_ = 0;
    wanted_ = {};
}

bool CounterPass::is_short() const {
    return wanted_.changes > room_.changes || wanted_.bytes > room_.bytes ||
           std::min(wanted_.unknown, kMaxObjects) > room_.unknown;
}

void CounterPass::again() {
    // A little more, because meanwhile there may be.
    make_room({wanted_.changes + wanted_.changes / 4, wanted_.bytes + wanted_.bytes / 4,
               wanted_.unknown + wanted_.unknown / 4});
    for (const auto& database : databases_) database->written = 0;
    forget_marks();
}

void CounterPass::note_unknown(Database& database, uint64_t key) {
    if (++wanted_.unknown <= room_.unknown) unknown_.push_back({&database, key});
}

void CounterPass::note_change(Database& database, const KnownObject& object, uint64_t hash,
                              std::string_view counters) {
    ++wanted_.changes;
    wanted_.bytes += counters.size();
    if (is_short()) return;
    char* const copy = copies_.get() + copied_;
    std::memcpy(copy, counters.data(), counters.size());
    copied_ += counters.size();
    const auto place = static_cast<uint32_t>(&object - database.objects.places().data());
    changes_.push_back({&database, place, object.rowset, hash, {copy, counters.size()}});
}

// Of a relation of its own.
void CounterPass::mark(Database& database, uint32_t oid, std::string_view counters) const {
    database.marks.vacuums += sum_at(counters, offsets_.vacuums);
    if (oid >= kFirstOfUsers || is_one_of(kDefineNothing, oid)) return;
    const uint64_t written = sum_at(counters, offsets_.written);
    database.marks.definitions += written;
    if (is_naming_catalog(StatisticsKind::kRelation, oid)) database.written += written;
}

// Of one that no rowset of the pass has: of the users', it is a sequence.
void CounterPass::mark_others(Database& database, uint32_t oid, std::string_view counters) const {
    if (oid >= kFirstOfUsers) database.marks.sequences += fold_hash(key_, counters) ^ oid;
}

void CounterPass::meet_in(Database& database, StatisticsKind kind, uint32_t oid,
                          std::string_view counters, std::optional<uint64_t>& hash, bool shared) {
    KnownObject* const object = database.objects.find(kind, oid);
    if (object == nullptr) {
        // All databases have the same shared ones, and no reading is needed to see that.
        if (shared) return;
        note_unknown(database, unknown_key(kind, oid));
        if (kind == StatisticsKind::kRelation) mark_others(database, oid, counters);
        return;
    }
    object->set(KnownObject::kMetNow);
    if (object->rowset >= rowsets_.size()) {
        if (kind == StatisticsKind::kRelation && !shared) mark_others(database, oid, counters);
        return;
    }
    const Group& group = database.groups[object->rowset];
    if (!group.primed || group.whole) return;
    if (!hash) hash = fold_hash(key_, counters);
    if (object->has(KnownObject::kOfTail) &&
        object->hash() == tail_hash(rowsets_[object->rowset], key_, counters)) {
        object->set_hash(*hash);
        object->clear(KnownObject::kOfTail);
    }
    if (!object->has(KnownObject::kOfTail) && object->hash() == *hash) return;
    note_change(database, *object, *hash, counters);
}

// Null: none of ours.
CounterPass::Database* CounterPass::met(uint32_t datid) {
    if (last_ == nullptr || last_->oid != datid) {
        Database* const database = find(datid);
        if (database == nullptr) return nullptr;
        last_ = database;
    }
    return last_;
}

void CounterPass::expect(StatisticsKind kind, uint32_t datid, uint32_t oid) {
    if (datid == 0) return;
    if (const Database* const database = met(datid)) database->objects.prefetch(kind, oid);
}

void CounterPass::meet(StatisticsKind kind, uint32_t datid, uint32_t oid,
                       std::string_view counters) {
    std::optional<uint64_t> hash;
    if (datid == 0) {
        if (kind == StatisticsKind::kRelation && is_one_of(kSharedDefinitions, oid))
            shared_definitions_ += sum_at(counters, offsets_.written);
        for (const auto& database : databases_) meet_in(*database, kind, oid, counters, hash, true);
        return;
    }
    Database* const database = met(datid);
    if (database == nullptr) return;
    if (kind == StatisticsKind::kRelation) mark(*database, oid, counters);
    meet_in(*database, kind, oid, counters, hash, false);
}

void CounterPass::sweep(Database& database) {
    for (KnownObject& object : database.objects.places()) {
        if (!object.is_there()) continue;
        if (object.has(KnownObject::kMetNow)) {
            object.set(KnownObject::kMet);
            object.clear(KnownObject::kMetNow);
        } else if (object.has(KnownObject::kMet)) {
            object.clear(KnownObject::kMet);
            if (object.rowset == KnownObject::kInNone) {
                object.rowset = KnownObject::kGone;
            } else {
                database.lacks = true;
            }
        }
    }
}

// Sorted, to each database what is its own.
void CounterPass::give_out_unknown() {
    std::sort(unknown_.begin(), unknown_.end(), [](const Unknown& a, const Unknown& b) {
        return a.database != b.database ? a.database->oid < b.database->oid : a.key < b.key;
    });
    for (auto at = unknown_.begin(); at != unknown_.end();) {
        Database* const database = at->database;
        const auto last = std::find_if(
            at, unknown_.end(), [&](const Unknown& one) { return one.database != database; });
        database->unknown.reserve(static_cast<size_t>(last - at));
        for (; at != last; ++at) database->unknown.push_back(at->key);
    }
    unknown_ = {};
}

void CounterPass::end() {
    give_out_unknown();
    for (const auto& database : databases_) {
        sweep(*database);
        database->signs = has_signs(*database);
    }
    const auto oid = [](const Change& c) { return c.database->objects.places()[c.place].oid; };
    std::sort(changes_.begin(), changes_.end(), [&](const Change& a, const Change& b) {
        if (a.rowset != b.rowset) return a.rowset < b.rowset;
        if (a.database != b.database) return a.database->oid < b.database->oid;
        return oid(a) < oid(b);
    });
}

bool CounterPass::stands_in(uint32_t datid) const {
    const Database* const database = find(datid);
    if (database == nullptr || !all_primed(*database) || database->lacks) return false;
    return !database->signs || now_us_ < database->not_before_us;
}

std::optional<ChangeMarks> CounterPass::marks(uint32_t datid) const {
    const Database* const database = find(datid);
    if (database == nullptr) return std::nullopt;
    ChangeMarks marks = database->marks;
    marks.definitions += shared_definitions_;
    return marks;
}

// --- what is known

void CounterPass::forget_all() {
    changes_ = {};
    unknown_ = {};
    copies_ = {};
    copied_ = 0;
    databases_.clear();
    last_ = nullptr;
    reads_ = false;
}

std::vector<uint32_t> CounterPass::primed() const {
    std::vector<uint32_t> oids;
    for (const auto& database : databases_)
        if (all_primed(*database)) oids.push_back(database->oid);
    return oids;
}

std::vector<uint16_t> CounterPass::rowsets() const {
    std::vector<uint16_t> numbers;
    for (const PassRowset& rowset : rowsets_) numbers.push_back(rowset.number);
    return numbers;
}

size_t CounterPass::objects() const {
    size_t sum = 0;
    for (const auto& database : databases_)
        for (const Group& group : database->groups) sum += group.primed ? group.objects : 0;
    return sum;
}

}  // namespace pganalytics
