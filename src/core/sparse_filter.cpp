// What was last sent of each row (see the header). Runs in the program.
#include "pganalytics/core/sparse_filter.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "pganalytics/core/ordered_key.hpp"

namespace pganalytics {

namespace {

uint64_t prefix_of(std::string_view key) {
    uint64_t prefix = 0;
    if (key.size() >= sizeof prefix) {
        static_assert(std::endian::native == std::endian::little);
        std::memcpy(&prefix, key.data(), sizeof prefix);
        return __builtin_bswap64(prefix);
    }
    for (size_t i = 0; i < 8; ++i)
        prefix = prefix << 8 | (i < key.size() ? static_cast<uint8_t>(key[i]) : 0U);
    return prefix;
}

std::vector<uint64_t> in_order(const std::vector<uint64_t>& numbers,
                               const std::vector<uint32_t>& order) {
    std::vector<uint64_t> out;
    out.reserve(order.size());
    for (const uint32_t index : order) out.push_back(numbers[index]);
    return out;
}

}  // namespace

void SparseFilter::begin(RowsetGroup group, size_t columns, std::span<const ColumnType> key_types,
                         bool full) {
    group_ = group;
    const auto known = groups_.find(group);
    before_ = known == groups_.end() ? nullptr : &known->second;
    columns_ = columns;
    key_types_.assign(key_types.begin(), key_types.end());
    requested_full_ = full || before_ == nullptr;
    full_ = requested_full_ || key_types.empty();
    partial_ = false;
    sorted_ = true;
    cursor_ = 0;
    following_ = before_ != nullptr && !key_types.empty();
    now_.keys.clear();
    now_.starts.clear();
    now_.prefixes.clear();
    now_.hashes.clear();
    now_.arrival.clear();
    if (following_) now_.hashes.reserve(before_->size());
    kept_.clear();
    bytes_.clear();
}

bool SparseFilter::begin_partial(RowsetGroup group, size_t columns,
                                 std::span<const ColumnType> key_types) {
    if (key_types.empty() || !groups_.contains(group)) return false;
    begin(group, columns, key_types, false);
    partial_ = true;
    following_ = false;
    return true;
}

// False: the row is another one than at this place in the reading before.
bool SparseFilter::follow(std::string_view body) {
    const size_t row = now_.hashes.size();
    if (row >= before_->size()) return false;
    key_.clear();
    if (!append_ordered_key(key_, body, columns_, key_types_)) return false;
    const size_t place = before_->place(row);
    if (!before_->is_at(place, prefix_of(key_), key_)) return false;
    const uint64_t hash = siphash13(sip_key_, body);
    now_.hashes.push_back(hash);
    if (full_ || before_->hashes[place] != hash)
        kept_.push_back({static_cast<uint32_t>(row), bytes_.copy(body)});
    return true;
}

// Makes of now_ what it would be without.
void SparseFilter::stop_following() {
    following_ = false;
    const std::vector<uint64_t> hashes = std::move(now_.hashes);
    now_.hashes = {};
    now_.reserve(before_->size(), before_->keys.size());
    for (size_t row = 0; row < hashes.size(); ++row) {
        const size_t place = before_->place(row);
        sorted_ = sorted_ && (row == 0 || before_->place(row - 1) < place);
        now_.append_from(*before_, place, hashes[row]);
    }
}

// All keys are there that were, and no other.
SparseFilter::Changes SparseFilter::end_following() {
    for (size_t row = 0; row < now_.hashes.size(); ++row)
        before_->hashes[before_->place(row)] = now_.hashes[row];
    for (Kept& kept : kept_) kept.index = static_cast<uint32_t>(before_->place(kept.index));
    std::sort(kept_.begin(), kept_.end(),
              [](const Kept& a, const Kept& b) { return a.index < b.index; });
    Changes changes = changes_of_kept();
    changes.anything = requested_full_ || !changes.rows.empty();
    before_ = nullptr;
    return changes;
}

SparseFilter::Changes SparseFilter::changes_of_kept() const {
    Changes changes;
    changes.full = full_;
    changes.rows.reserve(kept_.size());
    for (const Kept& kept : kept_) changes.rows.push_back(kept.body);
    return changes;
}

// Mostly all keys are known, and the state needs no other place for them.
SparseFilter::Changes SparseFilter::end_partial() {
    sort_reading();
    size_t known = 0;
    for (size_t i = 0; i < now_.size(); ++i) {
        const size_t place = before_->find(now_.prefixes[i], now_.key(i));
        if (!before_->is_at(place, now_.prefixes[i], now_.key(i))) continue;
        before_->hashes[place] = now_.hashes[i];
        ++known;
    }
    Changes changes = changes_of_kept();
    changes.anything = !changes.rows.empty();
    if (known < now_.size()) groups_[group_] = merge(false, nullptr);
    before_ = nullptr;
    return changes;
}

bool SparseFilter::add(std::string_view body) {
    if (following_) {
        if (follow(body)) return true;
        stop_following();
    }
    const size_t start = now_.keys.size();
    if (start > std::numeric_limits<uint32_t>::max() ||
        !append_ordered_key(now_.keys, body, columns_, key_types_)) {
        now_.keys.resize(start);
        return false;
    }
    const std::string_view key = std::string_view(now_.keys).substr(start);
    const uint64_t prefix = prefix_of(key);
    const uint64_t hash = siphash13(sip_key_, body);
    const size_t index = now_.size();
    if (index > 0 && (prefix < now_.prefixes.back() ||
                      (prefix == now_.prefixes.back() && key <= last_key(start))))
        sorted_ = false;
    now_.starts.push_back(static_cast<uint32_t>(start));
    now_.prefixes.push_back(prefix);
    now_.hashes.push_back(hash);
    if (full_ || !is_known(prefix, key, hash))
        kept_.push_back({static_cast<uint32_t>(index), bytes_.copy(body)});
    return true;
}

// The key before the one that begins at `end`.
std::string_view SparseFilter::last_key(size_t end) const {
    return std::string_view(now_.keys).substr(now_.starts.back(), end - now_.starts.back());
}

bool SparseFilter::is_known(uint64_t prefix, std::string_view key, uint64_t hash) {
    if (!before_->is_at(cursor_, prefix, key)) {
        cursor_ = before_->find(prefix, key);
        if (!before_->is_at(cursor_, prefix, key)) return false;
    }
    return before_->hashes[cursor_++] == hash;
}

// Where each row of now_ comes in the order of the keys: of rows with one key only the last is in
// it.
std::vector<uint32_t> SparseFilter::order_of_keys() const {
    struct Place {
        uint64_t prefix;
        uint32_t index;
    };
    std::vector<Place> places(now_.size());
    for (size_t i = 0; i < places.size(); ++i)
        places[i] = {now_.prefixes[i], static_cast<uint32_t>(i)};
    std::sort(places.begin(), places.end(), [this](const Place& a, const Place& b) {
        if (a.prefix != b.prefix) return a.prefix < b.prefix;
        const int order = now_.key(a.index).compare(now_.key(b.index));
        return order != 0 ? order < 0 : a.index < b.index;
    });
    std::vector<uint32_t> order;
    order.reserve(places.size());
    for (size_t i = 0; i < places.size(); ++i) {
        const bool again = i + 1 < places.size() && places[i + 1].prefix == places[i].prefix &&
                           now_.key(places[i + 1].index) == now_.key(places[i].index);
        if (!again) order.push_back(places[i].index);
    }
    return order;
}

// Puts now_ and kept_ in the order of the keys; one vector after the other, because this is the
// moment at which a reading takes most.
void SparseFilter::sort_reading() {
    if (sorted_) return;
    const std::vector<uint32_t> order = order_of_keys();
    sort_kept(order);
    State sorted;
    sorted.keys.reserve(now_.keys.size());
    sorted.starts.reserve(order.size());
    for (const uint32_t index : order) {
        sorted.starts.push_back(static_cast<uint32_t>(sorted.keys.size()));
        sorted.keys.append(now_.key(index));
    }
    std::string().swap(now_.keys);
    now_.starts = {};
    sorted.prefixes = in_order(std::exchange(now_.prefixes, {}), order);
    const size_t read = now_.hashes.size();
    sorted.hashes = in_order(std::exchange(now_.hashes, {}), order);
    if (order.size() == read) {
        sorted.arrival.resize(read);
        for (size_t i = 0; i < read; ++i) sorted.arrival[order[i]] = static_cast<uint32_t>(i);
    }
    now_ = std::move(sorted);
}

void SparseFilter::sort_kept(const std::vector<uint32_t>& order) {
    std::vector<std::string_view> bodies(now_.size());
    for (const Kept& kept : kept_) bodies[kept.index] = kept.body;
    const size_t count = kept_.size();
    kept_ = {};
    kept_.reserve(count);
    for (size_t i = 0; i < order.size(); ++i) {
        const std::string_view body = bodies[order[i]];
        if (body.data() != nullptr) kept_.push_back({static_cast<uint32_t>(i), body});
    }
}

// How many keys of this reading are new, and their bytes.
std::pair<size_t, size_t> SparseFilter::new_keys() const {
    size_t count = 0;
    size_t bytes = 0;
    size_t old = 0;
    for (size_t i = 0; i < now_.size(); ++i) {
        const std::string_view key = now_.key(i);
        while (old < before_->size() && before_->is_less(old, now_, i)) ++old;
        if (before_->is_at(old, now_.prefixes[i], key)) continue;
        ++count;
        bytes += key.size();
    }
    return {count, bytes};
}

// The state after a reading of which rows are missing and none is new: no other place is needed.
SparseFilter::State SparseFilter::update_known() {
    size_t i = 0;
    for (size_t old = 0; old < before_->size(); ++old) {
        uint64_t& hash = before_->hashes[old];
        if (i < now_.size() && before_->is_at(old, now_.prefixes[i], now_.key(i))) {
            hash = now_.hashes[i++];
        } else {
            hash = unseen(hash);
        }
    }
    return std::move(*before_);
}

// The receiver may have lost what a full reading was to bring back: the hash is made wrong, so that
// the row is sent when it is seen again, and named if it is gone by then.
uint64_t SparseFilter::unseen(uint64_t hash) const { return requested_full_ ? ~hash : hash; }

// The state after this reading; appends the keys that are in before_ only to `gone`.
SparseFilter::State SparseFilter::merge(bool complete, std::vector<std::string_view>* gone) {
    State next;
    if (before_ == nullptr || (complete && gone == nullptr)) {
        next = std::move(now_);
        next.shrink();
        return next;
    }
    if (complete) {
        next.reserve(now_.size(), now_.keys.size());
    } else {
        const auto [count, bytes] = new_keys();
        if (count == 0 && !key_types_.empty()) return update_known();
        next.reserve(before_->size() + count, before_->keys.size() + bytes);
    }
    size_t old = 0;
    const auto pass_old = [&](size_t i) {
        if (!complete) return next.append_from(*before_, i, unseen(before_->hashes[i]));
        if (gone != nullptr) gone->push_back(bytes_.copy(before_->key(i)));
    };
    for (size_t i = 0; i < now_.size(); ++i) {
        while (old < before_->size() && before_->is_less(old, now_, i)) pass_old(old++);
        if (before_->is_at(old, now_.prefixes[i], now_.key(i))) ++old;
        next.append_from(now_, i, now_.hashes[i]);
    }
    while (old < before_->size()) pass_old(old++);
    return next;
}

SparseFilter::Changes SparseFilter::end(bool complete) {
    if (partial_) return end_partial();
    if (following_) {
        if (now_.hashes.size() == before_->size()) return end_following();
        stop_following();
    }
    sort_reading();
    Changes changes = changes_of_kept();
    const size_t read = now_.size();
    State next = merge(complete, full_ ? nullptr : &changes.gone);
    if (next.arrival.empty() && next.size() == read) next.arrival = std::move(now_.arrival);
    const bool keyless_change =
        key_types_.empty() && before_ != nullptr && next.hashes != before_->hashes;
    changes.anything = requested_full_ || keyless_change || !changes.gone.empty() ||
                       (!key_types_.empty() && !changes.rows.empty());
    groups_[group_] = std::move(next);
    before_ = nullptr;
    return changes;
}

void SparseFilter::keep_databases(std::span<const uint32_t> datids) {
    std::erase_if(groups_, [&](const auto& entry) {
        const uint32_t datid = entry.first.datid;
        return datid != 0 && std::find(datids.begin(), datids.end(), datid) == datids.end();
    });
}

void SparseFilter::release() {
    now_.clear();
    kept_ = {};
    bytes_.clear();
}

size_t SparseFilter::rows() const {
    return std::accumulate(groups_.begin(), groups_.end(), size_t{0},
                           [](size_t sum, const auto& entry) { return sum + entry.second.size(); });
}

size_t SparseFilter::bytes() const {
    return std::accumulate(
        groups_.begin(), groups_.end(), size_t{0},
        [](size_t sum, const auto& entry) { return sum + entry.second.bytes(); });
}

}  // namespace pganalytics
