// What the files of the visitor share (visitor.cpp and visitor_*.cpp). Runs in visitors.
#pragma once

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/ship_messages.hpp"
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
};

struct Visitor {
    VisitOrder order;
    std::vector<Reading> readings;
    ServerFacts facts;
    std::string frame;  // on its way
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

// False when the visit is over.
bool visit_tablespaces(RowEncoder* encoder);
bool visit_own_definitions(RowEncoder* encoder);
// The users' own rowsets of the order; `cut` where some are left for another visit.
bool visit_own(RowEncoder* encoder, bool first, bool* cut);

}  // namespace pganalytics::pg::visiting
