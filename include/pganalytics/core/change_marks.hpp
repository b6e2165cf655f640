// What the shared statistics tell of changes in a database: numbers that are others once something
// was written, so that nobody has to go there to find that nothing did. Made by a pass
// (counter_pass.hpp; 15 to 18) or not at all.
//
// A session reports what it did when its command is over (a procedure or CREATE INDEX CONCURRENTLY
// that commits on its way, at its end), and no more often than each second; a session with
// track_counts off reports nothing, nor does replay on a standby (there are no marks then). So
// whoever relies on them still looks from time to time.
#pragma once

#include <cstdint>

namespace pganalytics {

struct ChangeMarks {
    uint64_t definitions = 0;  // rows written to the database's catalogs, and to shared ones that
                               // name owners, tablespaces and subscriptions
    uint64_t vacuums = 0;      // vacuums and analyzes of its relations, which write in place
    uint64_t sequences = 0;    // use of what is neither table nor index
    uint64_t settings = 0;     // when the configuration files were read last
    bool operator==(const ChangeMarks&) const = default;
};

// Which of them the rows of a rowset change with, one or several; 0: nothing tells.
enum ChangeMark : uint8_t {
    kWithDefinitions = 1,
    kWithVacuums = 2,
    kWithSequences = 4,
    kWithSettings = 8,
};

// One number for those that are asked for. Not to be compared across servers.
inline uint64_t change_mark(const ChangeMarks& marks, unsigned which) {
    const uint64_t values[] = {marks.definitions, marks.vacuums, marks.sequences, marks.settings};
    uint64_t sum = which;
    for (unsigned i = 0; i < 4; ++i)
        if ((which & 1U << i) != 0) sum = (sum ^ values[i]) * 0x9e3779b97f4a7c15 + (sum >> 29);
    return sum;
}

}  // namespace pganalytics
