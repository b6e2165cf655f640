// What is remembered of the rows of one rowset (part of SparseFilter, see sparse_filter.hpp). Runs
// in the program.
#include <utility>

#include "pganalytics/core/sparse_filter.hpp"

namespace pganalytics {

namespace {

// std::lower_bound without branches, which rows in no order would make the processor guess wrongly.
size_t first_not_less(const std::vector<uint64_t>& sorted, uint64_t wanted) {
    const uint64_t* base = sorted.data();
    for (size_t left = sorted.size(); left > 0;) {
        const size_t half = (left + 1) / 2;
        base += base[half - 1] < wanted ? half : 0;
        left -= half;
    }
    return static_cast<size_t>(base - sorted.data());
}

}  // namespace

size_t SparseFilter::State::bytes() const {
    return keys.capacity() + (starts.capacity() + arrival.capacity()) * sizeof(uint32_t) +
           (prefixes.capacity() + hashes.capacity()) * sizeof(uint64_t);
}

std::string_view SparseFilter::State::key(size_t i) const {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : keys.size();
    return std::string_view(keys).substr(starts[i], end - starts[i]);
}

size_t SparseFilter::State::find(uint64_t prefix, std::string_view wanted) const {
    size_t first = first_not_less(prefixes, prefix);
    if (first == size() || prefixes[first] != prefix || key(first) >= wanted) return first;
    // Of statements of one role in one database thousands begin alike.
    size_t last = prefix == UINT64_MAX ? size() : first_not_less(prefixes, prefix + 1);
    while (first < last) {
        const size_t middle = first + (last - first) / 2;
        if (key(middle) < wanted) {
            first = middle + 1;
        } else {
            last = middle;
        }
    }
    return first;
}

bool SparseFilter::State::is_at(size_t i, uint64_t prefix, std::string_view wanted) const {
    return i < size() && prefixes[i] == prefix && key(i) == wanted;
}

bool SparseFilter::State::is_less(size_t i, const State& other, size_t j) const {
    return prefixes[i] < other.prefixes[j] ||
           (prefixes[i] == other.prefixes[j] && key(i) < other.key(j));
}

void SparseFilter::State::append(std::string_view key, uint64_t prefix, uint64_t hash) {
    starts.push_back(static_cast<uint32_t>(keys.size()));
    prefixes.push_back(prefix);
    keys.append(key);
    hashes.push_back(hash);
}

void SparseFilter::State::append_from(const State& other, size_t i, uint64_t hash) {
    append(other.key(i), other.prefixes[i], hash);
}

void SparseFilter::State::reserve(size_t rows, size_t key_bytes) {
    keys.reserve(key_bytes);
    starts.reserve(rows);
    prefixes.reserve(rows);
    hashes.reserve(rows);
}

void SparseFilter::State::shrink() {
    keys.shrink_to_fit();
    starts.shrink_to_fit();
    prefixes.shrink_to_fit();
    hashes.shrink_to_fit();
    arrival.shrink_to_fit();
}

// A string that is assigned an empty one keeps its room.
void SparseFilter::State::clear() {
    std::string().swap(keys);
    *this = State{};
}

}  // namespace pganalytics
