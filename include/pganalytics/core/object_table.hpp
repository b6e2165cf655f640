// The relations and functions of one database that a pass knows, by kind and OID: an
// open-addressing table of 20 bytes an entry, a third more of them than
// objects. Runs in the collector.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "pganalytics/core/pass_row.hpp"

namespace pganalytics {

struct KnownObject {
    enum Flags : uint8_t {
        kUsed = 1,      // the place is taken
        kFunction = 2,  // else a relation
        kOfTail = 4,    // `hash` is tail_hash() of a row, else the hash of the raw counters
        kMet = 8,       // had an entry in the shared statistics
        kMetNow = 16,   // has one in the pass under way
    };
    // In place of a rowset: known to be in none; not there any more.
    static constexpr uint8_t kInNone = 0xfe;
    static constexpr uint8_t kGone = 0xff;

    uint32_t oid = 0;
    uint32_t head_at = 0;  // in the rowset's heads
    std::array<uint32_t, 2> hash_halves = {};
    uint16_t head_bytes = 0;
    uint8_t rowset = kInNone;
    uint8_t flags = 0;

    // Of the counters handed over last. In halves: it would make each entry four bytes longer.
    uint64_t hash() const { return uint64_t{hash_halves[1]} << 32 | hash_halves[0]; }
    void set_hash(uint64_t hash) {
        hash_halves = {static_cast<uint32_t>(hash), static_cast<uint32_t>(hash >> 32)};
    }
    StatisticsKind kind() const {
        return (flags & kFunction) != 0 ? StatisticsKind::kFunction : StatisticsKind::kRelation;
    }
    bool is_there() const { return (flags & kUsed) != 0 && rowset != kGone; }
    bool has(uint8_t flag) const { return (flags & flag) != 0; }
    void set(uint8_t flag) { flags = static_cast<uint8_t>(flags | flag); }
    void clear(uint8_t flag) { flags = static_cast<uint8_t>(flags & ~flag); }
};

class ObjectTable {
  public:
    explicit ObjectTable(size_t objects = 0);

    // Null: not there.
    KnownObject* find(StatisticsKind kind, uint32_t oid);
    // Asks the processor for what find() will want in a moment.
    void prefetch(StatisticsKind kind, uint32_t oid) const {
        __builtin_prefetch(&places_[start_of(kind, oid)], 1);
    }
    // Its place, made where there is none; may move all others.
    KnownObject& at(StatisticsKind kind, uint32_t oid);

    // Places, taken or not: is_there() tells. Stay as they are until at() makes one.
    std::vector<KnownObject>& places() { return places_; }
    size_t bytes() const { return places_.capacity() * sizeof(KnownObject); }

  private:
    size_t start_of(StatisticsKind kind, uint32_t oid) const;
    KnownObject& place_of(StatisticsKind kind, uint32_t oid);

    std::vector<KnownObject> places_;
    size_t used_ = 0;
};

}  // namespace pganalytics
