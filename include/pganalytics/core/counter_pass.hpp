// What lets one pass over the shared statistics stand in for a visit to each database: of each
// object the labels of its last complete reading, and a hash of the counters that were handed over
// last. Runs in the collector.
//
//   database   not read --complete readings of all rowsets--> primed --anything goes wrong--> not
//   read
//
// A complete reading (by a visitor, on its way to the program) tells what there is. From then on
// each pass gives the changed rows of that database, whole, as a partial reading: rows that it does
// not name are as they were. A wish for a complete reading comes up where
//   - an object that was counted is gone,
//   - the database's own catalogs were written, or an object is met that no reading had; as long as
//     such readings bring nothing new (temporary tables), the next wish waits twice as long, ten
//     minutes at most,
//   - a reading failed, was cut, or the program asks for it.
//
// Nothing here says when a reading is made; a database that is not primed is read as if there were
// no pass.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/byte_arena.hpp"
#include "pganalytics/core/object_table.hpp"
#include "pganalytics/core/pass_row.hpp"

namespace pganalytics {

// Where a relation's counters have the rows written, to see that a catalog was.
struct WrittenRows {
    std::vector<size_t> offsets;
};

struct PassGroup {
    uint32_t datid = 0;
    uint16_t rowset = 0;  // its number
};

class CounterPass {
  public:
    static constexpr size_t kMaxRowsets = 4;
    // Of all databases; those that would go beyond it stay without.
    static constexpr size_t kMaxObjects = 1000000;
    // A primed database is read completely this often all the same.
    static constexpr int64_t kCompleteUs = int64_t{600} * 1000000;

    // No rowsets: nothing is ever primed. `key` has to be random.
    CounterPass(const SipKey& key, std::vector<PassRowset> rowsets, WrittenRows written);

    bool covers(uint16_t rowset) const { return place_of(rowset).has_value(); }
    bool possible() const { return !rowsets_.empty(); }

    // --- a pass: begin(), meet() for each entry, end(). Databases not named are forgotten.
    void begin(int64_t now_us, int64_t interval_us, std::span<const uint32_t> databases);
    // `datid` 0: of a relation that all databases share. Allocates nothing but memory for changes.
    void meet(StatisticsKind kind, uint32_t datid, uint32_t oid, std::string_view counters);
    void end();

    // --- what came of it, until the next one
    // Whether no visit is needed for the counters of this database.
    bool stands_in(uint32_t datid) const;
    // With changed rows, by rowset and database.
    std::vector<PassGroup> changed() const;

    // --- handing over: send() begins a group of changed(), then next_rows() until it is empty.
    void send(PassGroup group);
    std::string_view next_rows(size_t limit);
    uint64_t sent_rows() const { return sent_rows_; }

    // --- a complete reading on its way to the program; of rowsets not covered nothing is kept
    void begin_reading(PassGroup group);
    void add_rows(std::string_view rows);
    // `good`: complete, and all of it was handed over.
    void end_reading(bool good, uint64_t rows);

    // Has to be read completely.
    void forget(uint32_t datid);
    void forget_all();

    // Databases that the next pass stands in for, as far as is known now; and the rowsets.
    std::vector<uint32_t> primed() const;
    std::vector<uint16_t> rowsets() const;
    // Of primed rowsets.
    size_t objects() const;

  private:
    struct Group {
        bool primed = false;
        bool read = false;  // since the last pass
        bool news = false;  // that reading brought other labels than the one before
        std::string heads;
        uint64_t digest = 0;  // of all heads
        size_t objects = 0;
        uint64_t written = 0;  // to catalogs, before that reading
    };
    struct Database {
        uint32_t oid = 0;
        std::array<Group, kMaxRowsets> groups;
        ObjectTable objects;
        std::vector<uint64_t> unknown;  // kind and OID, met in the last pass
        uint64_t written = 0;           // to catalogs, by the last pass
        bool lacks = false;             // something that was counted is gone
        bool signs = false;             // of something new, in the last pass
        int64_t backoff_us = 0;
        int64_t not_before_us = 0;
    };
    struct Change {
        Database* database;
        uint32_t place;  // in its objects
        uint64_t hash;
        std::string_view counters;
    };
    struct Staged {
        uint32_t oid;
        uint32_t head_at;
        uint16_t head_bytes;
        uint64_t tail;
    };

    std::optional<size_t> place_of(uint16_t rowset) const;
    Database* find(uint32_t datid);
    const Database* find(uint32_t datid) const;
    void settle(Database& database);
    static void ignore_unknown(Database& database);
    void meet_in(Database& database, StatisticsKind kind, uint32_t oid, std::string_view counters,
                 std::optional<uint64_t>& hash, bool shared);
    static void sweep(Database& database);
    bool all_primed(const Database& database) const;
    bool has_signs(const Database& database) const;
    void take_over(Database& database, size_t place);

    SipKey key_;
    std::vector<PassRowset> rowsets_;
    WrittenRows written_;
    std::vector<std::unique_ptr<Database>> databases_;  // by OID
    Database* last_ = nullptr;                          // met

    // of the last pass
    int64_t now_us_ = 0;
    int64_t interval_us_ = 0;
    std::array<std::vector<Change>, kMaxRowsets> changes_;
    ByteArena copies_;

    // under way
    size_t sending_ = 0;  // rowset
    size_t next_change_ = 0;
    uint32_t sending_datid_ = 0;
    uint64_t sent_rows_ = 0;
    std::string rows_;
    std::string body_;

    // the reading under way
    bool reads_ = false;
    bool reading_bad_ = false;
    PassGroup reading_;
    size_t reading_place_ = 0;
    std::vector<Staged> staged_;
    std::string staged_heads_;
};

}  // namespace pganalytics
