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
//   - a reading failed or was cut.
//
// A program that knows nothing of such a database, or asks for all of it, is given all its rows as
// a complete reading without a visit: the labels of the last one with the counters of this moment.
//
// Nothing here says when a reading is made; a database that is not primed is read as if there were
// no pass.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pganalytics/core/change_marks.hpp"
#include "pganalytics/core/object_table.hpp"
#include "pganalytics/core/pass_row.hpp"

namespace pganalytics {

// Where a relation's counters have what marks of changes are made of.
struct MarkOffsets {
    std::vector<size_t> written;  // rows
    std::vector<size_t> vacuums;  // and analyzes
};

struct PassGroup {
    uint32_t datid = 0;
    uint16_t rowset = 0;  // its number
    bool operator==(const PassGroup&) const = default;
};

// The counters of an object as they stand in shared memory.
struct CounterCopy {
    static constexpr size_t kMostBytes = 320;
    size_t size = 0;  // 0: it has none
    alignas(8) char bytes[kMostBytes];
    std::string_view view() const { return {bytes, size}; }
};
// Fills a copy for each OID. False: they could not be read.
using CounterLookup = std::function<bool(StatisticsKind kind, uint32_t datid,
                                         std::span<const uint32_t> oids, CounterCopy* copies)>;

class CounterPass {
  public:
    static constexpr size_t kMaxRowsets = 4;
    // Of all databases; those that would go beyond it stay without.
    static constexpr size_t kMaxObjects = 1000000;
    // A primed database is read completely this often all the same.
    static constexpr int64_t kCompleteUs = int64_t{600} * 1000000;

    // No rowsets: nothing is ever primed. `key` has to be random.
    CounterPass(const FoldKey& key, std::vector<PassRowset> rowsets, MarkOffsets offsets);

    bool covers(uint16_t rowset) const { return place_of(rowset).has_value(); }
    bool possible() const { return !rowsets_.empty(); }

    // --- a pass: begin(), meet() for each entry, end(). Databases not named are forgotten.
    void begin(int64_t now_us, int64_t interval_us, std::span<const uint32_t> databases);
    // `datid` 0: of a relation that all databases share. Allocates nothing.
    void meet(StatisticsKind kind, uint32_t datid, uint32_t oid, std::string_view counters);
    // Asks the processor for what meet() will want in a moment.
    void expect(StatisticsKind kind, uint32_t datid, uint32_t oid);
    // Whether there was more to note than room for it. again() makes that room and begins the same
    // pass anew; without it the rest comes with the next pass.
    bool is_short() const;
    void again();
    void end();

    // --- what came of it, until the next one
    // Whether no visit is needed for the counters of this database.
    bool stands_in(uint32_t datid) const;
    // None where there was no pass. `settings` is not known here.
    std::optional<ChangeMarks> marks(uint32_t datid) const;
    // With changed rows, by rowset and database; first those that are sent whole.
    std::vector<PassGroup> changed() const;
    bool is_whole(PassGroup group) const;

    // --- handing over: send() begins a group of changed(), then next_rows() until it is empty.
    void send(PassGroup group);
    // `look_up` is asked for groups that are sent whole.
    std::string_view next_rows(size_t limit, const CounterLookup& look_up);
    uint64_t sent_rows() const { return sent_rows_; }
    // Whether all of the group was sent. Where not, it has to be read.
    bool sent_all() const { return !send_failed_; }

    // --- a complete reading on its way to the program; of rowsets not covered nothing is kept
    void begin_reading(PassGroup group);
    void add_rows(std::string_view rows);
    // `good`: complete, and all of it was handed over. `left_out`: there were more rows, which only
    // a reading can sum up.
    void end_reading(bool good, uint64_t rows, bool left_out = false);

    // What was handed over is not known there: it is sent whole, or read where rows are left out.
    void send_whole(uint32_t datid);
    void send_all_whole();
    // All has to be read completely.
    void forget_all();

    // Databases that the next pass stands in for, as far as is known now; and the rowsets.
    std::vector<uint32_t> primed() const;
    std::vector<uint16_t> rowsets() const;
    // Of primed rowsets.
    size_t objects() const;

  private:
    struct Group {
        bool primed = false;
        bool whole = false;     // is to be sent so
        bool left_out = false;  // rows, by the last reading
        bool read = false;      // since the last pass
        bool news = false;      // that reading brought other labels than the one before
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
        uint64_t written = 0;           // to catalogs with names, by the last pass
        ChangeMarks marks;              // of that pass
        bool lacks = false;             // something that was counted is gone
        bool signs = false;             // of something new, in the last pass
        int64_t backoff_us = 0;
        int64_t not_before_us = 0;
    };
    struct Change {
        Database* database;
        uint32_t place;   // in its objects
        uint32_t rowset;  // its place
        uint64_t hash;
        std::string_view counters;
    };
    struct Staged {
        uint32_t oid;
        uint32_t head_at;
        uint16_t head_bytes;
        uint64_t tail;
    };

    struct Unknown {
        Database* database;
        uint64_t key;
    };
    // What a pass can note, or wanted to.
    struct Room {
        size_t changes = 0;
        size_t bytes = 0;  // of their counters
        size_t unknown = 0;
    };

    static uint64_t unknown_key(StatisticsKind kind, uint32_t oid) {
        return uint64_t{static_cast<uint8_t>(kind)} << 32 | oid;
    }
    std::optional<size_t> place_of(uint16_t rowset) const;
    Database* find(uint32_t datid);
    const Database* find(uint32_t datid) const;
    Database* met(uint32_t datid);
    void make_room(const Room& room);
    void note_unknown(Database& database, uint64_t key);
    void note_change(Database& database, const KnownObject& object, uint64_t hash,
                     std::string_view counters);
    void give_out_unknown();
    void settle(Database& database);
    static void ignore_unknown(Database& database);
    void meet_in(Database& database, StatisticsKind kind, uint32_t oid, std::string_view counters,
                 std::optional<uint64_t>& hash, bool shared);
    void mark(Database& database, uint32_t oid, std::string_view counters) const;
    void mark_others(Database& database, uint32_t oid, std::string_view counters) const;
    void forget_marks();
    static void sweep(Database& database);
    void send_changes(size_t limit);
    void send_objects(size_t limit, const CounterLookup& look_up);
    void put(const Database& database, KnownObject& object, std::string_view counters);
    bool all_primed(const Database& database) const;
    bool has_signs(const Database& database) const;
    void take_over(Database& database, size_t place);

    FoldKey key_;
    std::vector<PassRowset> rowsets_;
    MarkOffsets offsets_;
    uint64_t shared_definitions_ = 0;                   // by the last pass
    std::vector<std::unique_ptr<Database>> databases_;  // by OID
    Database* last_ = nullptr;                          // met

    // of the last pass
    int64_t now_us_ = 0;
    int64_t interval_us_ = 0;
    Room room_;
    Room wanted_;
    std::vector<Change> changes_;  // by rowset, database and object
    std::vector<Unknown> unknown_;
    std::unique_ptr<char[]> copies_;
    size_t copied_ = 0;

    // under way
    size_t sending_ = 0;  // rowset
    size_t next_change_ = 0;
    bool sending_whole_ = false;
    bool send_failed_ = false;
    std::vector<uint32_t> objects_to_send_;  // their places, where the group is sent whole
    size_t next_object_ = 0;
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
