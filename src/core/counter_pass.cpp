// A pass in place of visits (see the header).
#include "pganalytics/core/counter_pass.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "pganalytics/core/row_format.hpp"

namespace pganalytics {

namespace {

// pg_class, pg_namespace, pg_proc: rows written there are names that came, went or changed.
constexpr uint32_t kNamingCatalogs[] = {1259, 2615, 1255};

uint64_t unknown_key(StatisticsKind kind, uint32_t oid) {
    return uint64_t{static_cast<uint8_t>(kind)} << 32 | oid;
}

bool is_naming_catalog(StatisticsKind kind, uint32_t oid) {
    return kind == StatisticsKind::kRelation &&
           std::find(std::begin(kNamingCatalogs), std::end(kNamingCatalogs), oid) !=
               std::end(kNamingCatalogs);
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

CounterPass::CounterPass(const SipKey& key, std::vector<PassRowset> rowsets, WrittenRows written)
    : key_(key), rowsets_(std::move(rowsets)), written_(std::move(written)) {
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

void CounterPass::begin(int64_t now_us, int64_t interval_us, std::span<const uint32_t> databases) {
    now_us_ = now_us;
    interval_us_ = interval_us;
    for (auto& changes : changes_) changes.clear();
    copies_.clear();
    std::vector<uint32_t> wanted(databases.begin(), databases.end());
    std::sort(wanted.begin(), wanted.end());
    std::vector<std::unique_ptr<Database>> next;
    for (const uint32_t oid : wanted) {
        auto known = std::find_if(databases_.begin(), databases_.end(), [&](const auto& database) {
            return database != nullptr && database->oid == oid;
        });
        if (known == databases_.end()) {
            next.push_back(std::make_unique<Database>());
            next.back()->oid = oid;
        } else {
            next.push_back(std::move(*known));
        }
        settle(*next.back());
    }
    databases_ = std::move(next);
    last_ = nullptr;
}

void CounterPass::meet_in(Database& database, StatisticsKind kind, uint32_t oid,
                          std::string_view counters, std::optional<uint64_t>& hash, bool shared) {
    KnownObject* const object = database.objects.find(kind, oid);
    if (object == nullptr) {
        // All databases have the same shared ones, and no reading is needed to see that.
        if (!shared && database.unknown.size() < kMaxObjects)
            database.unknown.push_back(unknown_key(kind, oid));
        return;
    }
    object->set(KnownObject::kMetNow);
    if (object->rowset >= rowsets_.size() || !database.groups[object->rowset].primed) return;
    if (!hash) hash = siphash13(key_, counters);
    if (object->has(KnownObject::kOfTail) &&
        object->hash == tail_hash(rowsets_[object->rowset], key_, counters)) {
        object->hash = *hash;
        object->clear(KnownObject::kOfTail);
    }
    if (!object->has(KnownObject::kOfTail) && object->hash == *hash) return;
    const auto place = static_cast<uint32_t>(object - database.objects.places().data());
    changes_[object->rowset].push_back({&database, place, *hash, copies_.copy(counters)});
}

void CounterPass::meet(StatisticsKind kind, uint32_t datid, uint32_t oid,
                       std::string_view counters) {
    std::optional<uint64_t> hash;
    if (datid == 0) {
        for (const auto& database : databases_) meet_in(*database, kind, oid, counters, hash, true);
        return;
    }
    if (last_ == nullptr || last_->oid != datid) {
        Database* const database = find(datid);
        if (database == nullptr) return;
        last_ = database;
    }
    if (is_naming_catalog(kind, oid)) last_->written += sum_at(counters, written_.offsets);
    meet_in(*last_, kind, oid, counters, hash, false);
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

void CounterPass::end() {
    for (const auto& database : databases_) {
        sweep(*database);
        std::sort(database->unknown.begin(), database->unknown.end());
        database->signs = has_signs(*database);
    }
    for (auto& changes : changes_) {
        std::sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
            if (a.database != b.database) return a.database->oid < b.database->oid;
            const auto oid = [](const Change& c) {
                return c.database->objects.places()[c.place].oid;
            };
            return oid(a) < oid(b);
        });
    }
}

bool CounterPass::stands_in(uint32_t datid) const {
    const Database* const database = find(datid);
    if (database == nullptr || !all_primed(*database) || database->lacks) return false;
    return !database->signs || now_us_ < database->not_before_us;
}

std::vector<PassGroup> CounterPass::changed() const {
    std::vector<PassGroup> groups;
    for (size_t i = 0; i < rowsets_.size(); ++i) {
        const Database* last = nullptr;
        for (const Change& change : changes_[i]) {
            if (change.database != last)
                groups.push_back({change.database->oid, rowsets_[i].number});
            last = change.database;
        }
    }
    return groups;
}

// --- handing over

void CounterPass::send(PassGroup group) {
    sent_rows_ = 0;
    sending_ = place_of(group.rowset).value_or(0);
    sending_datid_ = group.datid;
    const auto& changes = changes_[sending_];
    const auto first = std::lower_bound(
        changes.begin(), changes.end(), group.datid,
        [](const Change& change, uint32_t datid) { return change.database->oid < datid; });
    next_change_ = static_cast<size_t>(first - changes.begin());
}

std::string_view CounterPass::next_rows(size_t limit) {
    const auto& changes = changes_[sending_];
    rows_.clear();
    for (; next_change_ < changes.size() && rows_.size() < limit; ++next_change_) {
        const Change& change = changes[next_change_];
        if (change.database->oid != sending_datid_) break;
        KnownObject& object = change.database->objects.places()[change.place];
        const std::string_view head = std::string_view(change.database->groups[sending_].heads)
                                          .substr(object.head_at, object.head_bytes);
        make_row(rowsets_[sending_], head, change.counters, &body_);
        uint8_t length[kMaxVarintBytes];
        rows_.append(reinterpret_cast<const char*>(length), put_varint(length, body_.size()));
        rows_.append(body_);
        object.hash = change.hash;
        object.clear(KnownObject::kOfTail);
        ++sent_rows_;
    }
    return rows_;
}

// --- complete readings

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
        object.hash = row.tail;
        object.rowset = static_cast<uint8_t>(place);
        object.set(KnownObject::kOfTail);
        if (met) object.set(KnownObject::kMet);
        digest +=
            siphash13(key_, std::string_view(staged_heads_).substr(row.head_at, row.head_bytes));
    }
    database.objects = std::move(next);
    group.heads = staged_heads_;  // without spare room
    group.news = group.news || digest != group.digest;
    group.digest = digest;
    group.objects = staged_.size();
    group.written = database.written;
    group.read = group.primed = true;
}

void CounterPass::end_reading(bool good, uint64_t rows) {
    if (!reads_) return;
    reads_ = false;
    Database* const database = find(reading_.datid);
    if (database != nullptr && good && !reading_bad_ && staged_.size() == rows &&
        objects() + rows <= kMaxObjects)
        take_over(*database, reading_place_);
    staged_ = {};
    staged_heads_ = {};
}

void CounterPass::forget(uint32_t datid) {
    if (Database* const database = find(datid))
        for (Group& group : database->groups) group.primed = false;
}

void CounterPass::forget_all() {
    for (auto& changes : changes_) changes.clear();
    copies_.clear();
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
