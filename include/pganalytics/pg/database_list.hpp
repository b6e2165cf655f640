// The server's databases, read from the shared catalog without being connected to one of them. Runs
// in the collector.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pganalytics/pg/guard.hpp"

namespace pganalytics::pg {

struct Database {
    uint32_t oid = 0;
    std::string name;          // its bytes, in whatever encoding
    int encoding = 0;          // pg_enc
    bool connectable = false;  // allows connections, and no interrupted drop
    bool is_template = false;
};

struct DatabaseList {
    std::vector<Database> databases;  // by OID
    // Of pganalytics.role; 0: the setting is empty, or there is no such role.
    uint32_t role = 0;
};

// One short transaction. False: `error` says why.
bool list_databases(const char* role, DatabaseList& list, FlatError& error);

}  // namespace pganalytics::pg
