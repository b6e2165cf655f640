// Keeps what was last sent of each row, as its key and a 64-bit keyed hash of its bytes, so that
// the next reading of a rowset sends only the rows that changed and names the keys that are gone.
// About 28 bytes a row with a key of two oids, 32 where rows come in another order. Runs in
// `pganalytics ship`; makes no decision about when a full rowset is due (full_schedule.hpp).
//
// Two rows with one key in one reading: the later one counts.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pganalytics/core/byte_arena.hpp"
#include "pganalytics/core/column_type.hpp"
#include "pganalytics/core/siphash.hpp"

namespace pganalytics {

// One rowset of one database (datid 0: of the cluster or the host); of own.rows one of the users'.
struct RowsetGroup {
    uint16_t rowset = 0;
    uint32_t datid = 0;
    uint16_t own = 0;
    auto operator<=>(const RowsetGroup&) const = default;
};

class SparseFilter {
  public:
    // `key` has to be random, made anew in each run.
    explicit SparseFilter(const SipKey& key) : sip_key_(key) {}

    // Starts a reading; one at a time. `columns` is the number of columns of a row, `key_types` the
    // types of its leading key columns. With `full`, or where nothing is known of the group yet,
    // every row is kept. A rowset without key columns is full whenever anything of it changed.
    void begin(RowsetGroup group, size_t columns, std::span<const ColumnType> key_types, bool full);

    // The same for a reading that names changed rows only: whatever it does not name stays known.
    // False, and nothing begun, where nothing is known of the group.
    bool begin_partial(RowsetGroup group, size_t columns, std::span<const ColumnType> key_types);

    // One row; false where it is malformed (nothing changed then).
    bool add(std::string_view body);

    struct Changes {
        bool full = false;
        bool anything = false;               // worth sending
        std::vector<std::string_view> rows;  // bodies to send, by key
        std::vector<std::string_view> gone;  // ordered keys (ordered_key.hpp), by key
    };

    // Ends the reading and takes it as sent. Where it is not `complete` nothing is gone and rows
    // that were not seen stay known. The views live until the next begin() or release().
    Changes end(bool complete);

    // Ends the reading as if it had not been.
    void abandon() { release(); }

    // Nothing is known of the group any more: its next reading is full.
    void forget(RowsetGroup group) { groups_.erase(group); }
    void forget_all() { groups_.clear(); }
    // Forgets the groups of databases that are not in `datids` (and not of the cluster or host).
    void keep_databases(std::span<const uint32_t> datids);

    // Gives back what a reading needed beside the state.
    void release();

    // Of the state.
    size_t rows() const;
    size_t bytes() const;
    // What the reading under way holds.
    size_t reading_bytes() const {
        return bytes_.held() + now_.keys.size() + now_.size() * 20 + kept_.size() * sizeof(Kept);
    }

  private:
    // Keys of all rows, sorted, one after the other, and where each starts. The first eight bytes
    // of a key stand apart as a number of the same order: nearly every comparison ends there.
    struct State {
        std::string keys;
        std::vector<uint32_t> starts;
        std::vector<uint64_t> prefixes;
        std::vector<uint64_t> hashes;
        // Where the rows of the last reading stand, as they came; empty: in the order of the keys,
        // or not known.
        std::vector<uint32_t> arrival;

        size_t place(size_t row) const { return arrival.empty() ? row : arrival[row]; }
        size_t size() const { return starts.size(); }
        size_t bytes() const;
        std::string_view key(size_t i) const;
        // Place of the first key that is not less.
        size_t find(uint64_t prefix, std::string_view key) const;
        bool is_at(size_t i, uint64_t prefix, std::string_view key) const;
        bool is_less(size_t i, const State& other, size_t j) const;
        void append(std::string_view key, uint64_t prefix, uint64_t hash);
        void append_from(const State& other, size_t i, uint64_t hash);
        void reserve(size_t rows, size_t key_bytes);
        void shrink();
        void clear();
    };
    struct Kept {
        uint32_t index;  // in now_, or of the row where that is not made
        std::string_view body;
    };

    bool follow(std::string_view body);
    void stop_following();
    Changes end_following();
    Changes end_partial();
    Changes changes_of_kept() const;
    std::string_view last_key(size_t end) const;
    bool is_known(uint64_t prefix, std::string_view key, uint64_t hash);
    std::vector<uint32_t> order_of_keys() const;
    void sort_reading();
    void sort_kept(const std::vector<uint32_t>& order);
    std::pair<size_t, size_t> new_keys() const;
    State update_known();
    uint64_t unseen(uint64_t hash) const;
    State merge(bool complete, std::vector<std::string_view>* gone);

    SipKey sip_key_;
    std::map<RowsetGroup, State> groups_;

    // The reading under way.
    RowsetGroup group_;
    State* before_ = nullptr;  // null: nothing known
    size_t columns_ = 0;
    std::vector<ColumnType> key_types_;
    bool requested_full_ = false;
    bool full_ = false;
    bool partial_ = false;
    bool sorted_ = true;
    size_t cursor_ = 0;  // where in before_ the next row is expected
    // So far the keys came as in the reading before: of now_ there is nothing but the hashes.
    bool following_ = false;
    std::string key_;  // of one row
    State now_;
    std::vector<Kept> kept_;
    ByteArena bytes_;
};

}  // namespace pganalytics
