// What the collector and a visitor share: a segment of dynamic shared memory with the order, what
// the visitor says at its end, and the queue for ready frames.
//
// In the queue: for each rowset RowsetBegin RowsetRows* RowsetEnd, as `ship` gets them; before
// them, where the order asks for it, one ServerFacts with the tablespaces only, which the collector
// keeps, and one OwnDefinitions, which it keeps too. For the rowset of an extension that this
// database lacks there is a RowsetAbsent instead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pganalytics/core/frame.hpp"
#include "pganalytics/core/own_rowset.hpp"
#include "pganalytics/core/slice_rounds.hpp"
#include "pganalytics/pg/postgres.hpp"

namespace pganalytics::pg {

inline constexpr uint64 kVisitMagic = 0x70676176'69736974;
inline constexpr size_t kVisitQueueBytes = size_t{64} << 10;

// Keys of the segment's table of contents.
enum VisitKey : uint64 { kVisitKeyOrder = 1, kVisitKeyReport = 2, kVisitKeyQueue = 3 };

// Encoded by core/codec.hpp, with its length in 4 bytes before it.
struct VisitOrder {
    uint32_t database = 0;
    uint32_t role = 0;  // 0: the bootstrap superuser
    std::string datname;
    std::vector<uint16_t> rowsets;
    bool tablespaces = false;
    int64_t deadline_us = 0;    // of the whole visit, CLOCK_MONOTONIC
    int64_t cpu_budget_us = 0;  // it stops after the rowset that spends it
    // So many of the rowsets, the last, share another budget; it stops after that one that spends
    // it.
    uint16_t slow_rowsets = 0;
    std::vector<Slice> slices;  // of rowsets that are not read whole
    int64_t slow_budget_us = 0;
    int32_t statement_timeout_ms = 0;
    int32_t lock_timeout_ms = 0;
    uint64_t max_rows = 0;
    bool statement_texts = false;  // pganalytics.query_text is not none
    bool own_definitions = false;  // to be read, here in pganalytics.database
    std::vector<OwnDefinition> own;
    bool own_first = false;      // before the catalog's rowsets
    int32_t own_timeout_ms = 0;  // of one of these
    static void fields(auto& self, auto& codec) {
        codec(self.database, self.role, self.datname, self.rowsets, self.tablespaces,
              self.deadline_us, self.cpu_budget_us, self.statement_timeout_ms, self.lock_timeout_ms,
              self.max_rows, self.statement_texts, self.own_definitions, self.own, self.own_first,
              self.own_timeout_ms, self.slow_rowsets, self.slow_budget_us, self.slices);
    }
};

struct RowsetAbsent {
    static constexpr FrameType kType = FrameType::kRowsetAbsent;
    uint16_t rowset = 0;
    static void fields(auto& self, auto& codec) { codec(self.rowset); }
};

// The users' own rowsets that are defined in pganalytics.database.
struct OwnDefinitions {
    static constexpr FrameType kType = FrameType::kOwnDefinitions;
    std::string problem;  // why they could not be read; empty: they were
    std::vector<OwnDefinition> definitions;
    static void fields(auto& self, auto& codec) { codec(self.problem, self.definitions); }
};

// Written by the visitor, read by the collector when the visitor is gone.
struct VisitReport {
    bool done;          // came to its end by itself
    bool cut;           // left rowsets out: deadline or CPU budget
    uint16_t own;       // the user's own rowset that is read now
    uint16_t too_long;  // this rowset had most of the visit and was not read; its number + 1
    uint64_t cpu_us;    // all of it but the last of its exit
    int error_code;     // what ended it; 0: nothing
    char error[512];
};

}  // namespace pganalytics::pg
