// The ledger: what became of every snapshot a journal names. Each is stored at the hub, waits in
// the spool, is declared lost, or was in flight when its run was killed; nothing is stored twice.
//
//     produced = stored + spooled + declared lost + in flight at a kill
//
// Pure: the files are read in ledger_main.cpp. Runs in `pganalytics ledger`.
//
// A snapshot that the hub refused may go on as two parts, and these as parts again: what counts are
// the last parts. The loss book counts snapshots without naming them, so what is declared is
// compared by number. In flight may be the last cycle of a run that was killed, no other: when a
// cycle begins, the one before is in the spool or at the hub.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include "pganalytics/core/result.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics::ship {

inline constexpr size_t kLongestJournalLine = 256;

struct JournalRecords {
    struct Run {
        Uuid incarnation{};
        bool ended = false;
        int64_t last_cycle = 0;
    };
    struct Produced {
        Uuid id{};
        uint32_t run = 0;
        int64_t cycle = 0;
    };
    struct Split {
        Uuid whole{};
        std::array<Uuid, 2> parts{};
    };
    std::vector<Run> runs;  // in the order they began
    std::vector<Produced> produced;
    std::vector<Split> splits;
    uint64_t torn = 0;  // lines a kill cut off: of snapshots that went nowhere yet

    uint64_t killed_runs() const;
    // Without its end. False: it is no line of a journal.
    bool take(std::string_view line);

  private:
    size_t run_of(const Uuid& incarnation);
    bool take_words(const std::vector<std::string_view>& words);

    std::map<Uuid, size_t> run_numbers_;
};

struct LedgerSides {
    JournalRecords journal;
    std::vector<Uuid> stored;   // as the hub's ledger names them
    std::vector<Uuid> spooled;  // not finished there
    uint64_t declared = 0;      // snapshots in the loss book
    // Runs that may have lost a cycle at a kill; empty: as many as the journal says were killed.
    std::optional<uint64_t> kills;
};

struct LedgerReport {
    uint64_t produced = 0;
    uint64_t parts = 0;  // that they are in the end; `produced` where none was split
    uint64_t runs = 0;
    uint64_t killed_runs = 0;
    uint64_t stored = 0;
    uint64_t spooled = 0;
    uint64_t spooled_and_stored = 0;  // counted as stored: the answer was not heard, or not yet
    uint64_t declared = 0;
    uint64_t in_flight = 0;
    uint64_t others = 0;         // stored, but not of this journal
    uint64_t lost = 0;           // neither here nor there, nor declared
    uint64_t over_declared = 0;  // declared lost, but here or there
    std::vector<Uuid> missing;   // where lost > 0: those in question
    std::vector<Uuid> doubled;

    bool balanced() const;
};

LedgerReport compare_ledger(LedgerSides sides);

}  // namespace pganalytics::ship
