// The server's databases (see the header). Runs in the collector.
#include "pganalytics/pg/database_list.hpp"

#include "pganalytics/pg/settings.hpp"
#include "pganalytics/pg/transaction.hpp"

namespace pganalytics::pg {

namespace {

// What an interrupted DROP DATABASE leaves.
constexpr int kInvalidConnectionLimit = -2;
constexpr size_t kFirstCapacity = 64;

struct Entry {
    Oid oid;
    int encoding;
    bool connectable;
    bool is_template;
    char name[NAMEDATALEN];
};

struct Entries {
    MemoryContext context;
    Entry* items;
    size_t count;
    size_t capacity;
};

void add(Entries* entries, const FormData_pg_database& row) {
    if (entries->count == entries->capacity) {
        entries->capacity *= 2;
        entries->items =
            static_cast<Entry*>(repalloc_huge(entries->items, entries->capacity * sizeof(Entry)));
    }
    Entry& entry = entries->items[entries->count++];
    entry.oid = row.oid;
    entry.encoding = row.encoding;
    entry.connectable = row.datallowconn && row.datconnlimit != kInvalidConnectionLimit;
    entry.is_template = row.datistemplate;
    copy_text(entry.name, NameStr(row.datname));
}

void scan(Entries* entries) {
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
    while (HeapTuple tuple = heap_getnext(scan, ForwardScanDirection)) {
        add(entries, *reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple)));
    }
    table_endscan(scan);
    table_close(relation, AccessShareLock);
}

}  // namespace

bool list_databases(const char* role, DatabaseList& list, FlatError& error) {
    Entries entries = {CurrentMemoryContext, nullptr, 0, kFirstCapacity};
    Oid role_oid = InvalidOid;
    // Without a snapshot of its own: while it waits for a lock it must hold back no vacuum.
    const bool good = run_transaction(
        {.snapshot = false, .timeout_ms = settings().visit_timeout},
        [&] {
            set_lock_timeout(settings().lock_timeout);
            entries.items = static_cast<Entry*>(
                MemoryContextAlloc(entries.context, kFirstCapacity * sizeof(Entry)));
            scan(&entries);
            if (role[0] != '\0') role_oid = get_role_oid(role, true);
        },
        error);
    if (!good) return false;
    list.role = role_oid;
    list.databases.clear();
    for (size_t i = 0; i < entries.count; ++i) {
        const Entry& entry = entries.items[i];
        list.databases.push_back(
            {entry.oid, entry.name, entry.encoding, entry.connectable, entry.is_template});
    }
    std::sort(list.databases.begin(), list.databases.end(),
              [](const Database& a, const Database& b) { return a.oid < b.oid; });
    return true;
}

}  // namespace pganalytics::pg
