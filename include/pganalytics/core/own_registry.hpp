// The users' own rowsets as the collector knows them: what each is, which number it has on the
// wire, where it failed. Pure, no clock. Runs in the collector.
//
//   on --a reading fails, the third time one after the other in a database--> off there
//   off --another definition, retry(), the collector's end--> on
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pganalytics/core/own_rowset.hpp"
#include "pganalytics/core/ship_messages.hpp"

namespace pganalytics {

// Numbers of own rowsets begin here; those of the catalog are below.
inline constexpr uint16_t kFirstOwnNumber = 0x8000;
// The reading of the definitions themselves, in a plan.
inline constexpr uint16_t kOwnDefinitionsNumber = 0x7fff;

struct OwnState {
    OwnDefinition definition;
    uint64_t failures = 0;  // ever
    uint32_t off = 0;       // databases
    uint32_t tried = 0;     // databases
    std::string error;      // of the last failure; for eyes on this server only
    std::string sqlstate;   // of that; empty: it is none of PostgreSQL's
};

// on, off, or partly off: in some of the databases it was tried in.
std::string_view own_state_text(const OwnState& state);

class OwnRegistry {
  public:
    // What pganalytics.database has now. Those that are new, or other than before, get a number of
    // their own and begin anew. Answers the numbers that are new.
    std::vector<uint16_t> set(std::vector<OwnDefinition> definitions);

    // A reading was made. `error` empty: it was good. True where it is off now because of it.
    bool read(uint16_t number, uint32_t datid, std::string_view sqlstate, std::string_view error);
    bool is_off(uint16_t number, uint32_t datid) const;
    // Off is on again.
    void retry();
    void keep_databases(const std::vector<uint32_t>& datids);

    const OwnDefinition* find(uint16_t number) const;
    std::vector<OwnState> states() const;
    std::vector<OwnNumber> numbers() const;
    bool empty() const { return definitions_.empty(); }

    // Rows of own.rowsets (row_format.hpp), and how many.
    std::string rows(size_t& count) const;

  private:
    struct Place {
        uint32_t in_a_row = 0;
    };
    struct Entry {
        OwnDefinition definition;
        uint64_t failures = 0;
        std::string error;
        std::string sqlstate;
        std::map<uint32_t, Place> places;  // by database
    };
    const Entry* entry_of(uint16_t number) const;
    uint16_t free_number(const std::vector<Entry>& now);

    std::vector<Entry> definitions_;              // by name
    uint16_t last_number_ = kFirstOwnNumber - 1;  // given
};

}  // namespace pganalytics
