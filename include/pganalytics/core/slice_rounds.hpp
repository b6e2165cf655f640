// Rowsets that one reading is too short for: in which slices they are read, turn by turn. A slice
// is the rows of so many objects of a catalog (relations, constraints, ...), in the order of their
// OIDs, which are the first key behind datid; the program puts the slices of a round together.
// Pure. Runs in the collector and, for the queries, in visitors.
//
//   whole --took too long--> round: slice 1 --more--> 2 ... --no more--> a round is done
//   next round: one slice does it, or all took half of what one reading may --> whole; else the
//   next round
//
// A slice that takes too long is tried again half as long, one that was quick is followed by one
// twice as long. The shortest has a few turns: a server that is busy for a moment does not cost
// what was read before. Where none of them does it, the rowset is read whole again, and tells what
// is wrong with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/core/catalog.hpp"

namespace pganalytics {

struct Slice {
    uint16_t rowset = 0;
    uint16_t number = 0;   // from 1
    uint32_t after = 0;    // OID of the last object before it
    uint32_t objects = 0;  // at most
    uint64_t before = 0;   // rows of the slices before
    static void fields(auto& self, auto& codec) {
        codec(self.rowset, self.number, self.after, self.objects, self.before);
    }
};

// Whether the first key behind datid is the OID of what a catalog has.
bool is_sliceable(const Rowset& rowset, int major);

// Asks for the OID of the slice's last object; null where it has all that are left.
std::string slice_end_sql(const Rowset& rowset, int major, const Slice& slice);
// The query of a slice that ends with object `last`; 0: with all that are left. Empty where it
// can't be, as the other two.
std::string slice_sql(const Rowset& rowset, int major, const Slice& slice, uint32_t last);
// Asks how many rows there are behind an object.
std::string rows_behind_sql(const Rowset& rowset, int major, uint32_t last);

class SliceRounds {
  public:
    static constexpr uint32_t kFirstObjects = 4000;
    static constexpr uint32_t kLeastObjects = 50;
    static constexpr uint32_t kMostObjects = 50000;
    static constexpr uint32_t kTriesOfTheLeast = 10;

    // The slice that comes next; nothing where the rowset is read whole.
    std::optional<Slice> next(uint32_t database, uint16_t rowset) const;

    // A whole reading, or a slice, took too long.
    void too_long(uint32_t database, uint16_t rowset);
    // A slice was read. `last` is the object it ends with where there is more behind it; 0: there
    // is no more. It was quick where it took a tenth of `limit_us`, the time that a reading has.
    void read(uint32_t database, uint16_t rowset, uint64_t rows, uint32_t last, int64_t elapsed_us,
              int64_t limit_us);

    void keep_databases(std::span<const uint32_t> datids);
    // The slices read so far are lost.
    void restart();

  private:
    using Key = std::pair<uint32_t, uint16_t>;  // database, rowset
    struct Round {
        Slice next;
        int64_t elapsed_us = 0;  // of the slices before
        uint32_t failed = 0;     // tries of the shortest slice, in a row
    };
    std::map<Key, Round> rounds_;
};

}  // namespace pganalytics
