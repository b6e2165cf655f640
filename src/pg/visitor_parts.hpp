// What the files of the visitor share (visitor.cpp and visitor_*.cpp). Runs in visitors.
#pragma once

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/pg/installed_extension.hpp"
#include "pganalytics/pg/relation_scan.hpp"
#include "pganalytics/pg/row_encoder.hpp"
#include "pganalytics/pg/transaction.hpp"
#include "pganalytics/pg/visit_order.hpp"

namespace pganalytics::pg::visiting {

// Not begun with less than this left.
inline constexpr int64_t kLeastLeftUs = 20000;

// One rowset as this server reads it.
struct Reading {
    const Rowset* rowset = nullptr;
    uint16_t number = 0;
    std::string sql;
    std::string name;  // for pg_stat_activity
    std::vector<ColumnType> types;
    std::vector<TextForm> text_forms;
    std::vector<const Column*> columns;
    std::vector<Summing> summings;
    RelationScan scan;
    FoundExtension found;  // of a rowset of one
    int found_version = 0;
    Slice slice;             // number 0: it is read whole
    uint32_t slice_end = 0;  // its last object; 0: all that are left
};

struct Visitor {
    VisitOrder order;
    std::vector<Reading> readings;
    ServerFacts facts;
    std::string frame;  // on its way
    int64_t began_us = 0;
};

extern Visitor* visitor;
extern VisitReport* report;  // null once the segment is gone

uint64_t process_cpu_us();
int64_t left_us();
// Of one statement, by statement_timeout and what is left of the visit.
TransactionOptions limits();
void run_query(const char* sql, RowEncoder* encoder);

// False when the time is over, the collector does not listen any more, or somebody cancelled us.
bool hand_over(const char* bytes, size_t size);
bool hand_over_rows(const RowEncoder& encoder);
template <class Message>
bool hand_over(const Message& message) {
    visitor->frame = make_frame(message);
    return hand_over(visitor->frame.data(), visitor->frame.size());
}

// --- visitor_slices.cpp
// Takes the slice of the order, where there is one.
void order_slice(Reading& reading, const VisitOrder& order);
// Finds out where it ends, and makes its query.
void begin_slice(Reading& reading, RowEncoder* encoder);
// What is behind it, once it was read.
void end_slice(const Reading& reading, const RowEncoder& encoder, RowEncoder* spare,
               RowsetEnd& end);
// A reading that another visit has to do found no time, though it had most of this one.
void note_too_long(const Reading& reading, uint64_t elapsed_us);

// False when the visit is over.
bool visit_tablespaces(RowEncoder* encoder);
bool visit_own_definitions(RowEncoder* encoder);
// The users' own rowsets of the order; `cut` where some are left for another visit.
bool visit_own(RowEncoder* encoder, bool first, bool* cut);

}  // namespace pganalytics::pg::visiting
