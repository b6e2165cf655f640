// Plugin pg_locks: locks counted, who waits for whom, and how full the lock table is.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// --- locks

constexpr Source kLocksSources[] = {
    {R"(FROM pg_catalog.pg_lock_status() l
LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) l.database
WHERE l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
GROUP BY l.database, d.datname, l.locktype, l.mode, l.granted)",
     since(13)},
};

constexpr Column kLocks[] = {
    key("datid", kOid, "COALESCE(l.database, 0::pg_catalog.oid)",
        "OID of the database of what is locked; 0 for shared objects and for what is in none "
        "(transaction ids)"),
    key("locktype", kText, "l.locktype", "kind of what is locked: relation, tuple and others"),
    key("mode", kText, "l.mode", "mode of the lock: AccessShareLock and others"),
    key("granted", kBool, "l.granted", "true: held, false: waited for"),
    label("datname", kText, "d.datname::pg_catalog.text", "name of the database"),
    gauge("locks", kInt64, "locks", "pg_catalog.count(l.locktype)", "locks like this"),
    gauge("fastpath", kInt64, "locks", "pg_catalog.count(l.locktype) FILTER (WHERE l.fastpath)",
          "of these those that need no place in the lock table"),
};

// --- who waits for whom

// Nothing but the list of sessions is read while nobody waits: the lock table is read where its
// condition on the number of waiters, which names none of its columns, holds. Of many waiters the
// 100 that wait longest are asked about, because each question stops all locking for a moment.
// A waiter's blockers are those the server itself names; UNION makes the walk up to the roots end
// where they form a circle (a deadlock not yet detected). 0 is a prepared transaction.
#define PGANALYTICS_BLOCKING(wait_start)                                                         \
    "FROM (\n"                                                                                   \
    "WITH RECURSIVE w AS MATERIALIZED (\n"                                                       \
    "    SELECT s.pid, pg_catalog.pg_blocking_pids(s.pid) AS blockers\n"                         \
    "    FROM (SELECT a.pid FROM pg_catalog.pg_stat_activity a\n"                                \
    "          WHERE a.wait_event_type OPERATOR(pg_catalog.=) 'Lock'\n"                          \
    "          ORDER BY a.state_change, a.pid LIMIT 100) s),\n"                                  \
    "edge AS MATERIALIZED (\n"                                                                   \
    "    SELECT DISTINCT w.pid, b.pid AS blocker FROM w\n"                                       \
    "    CROSS JOIN LATERAL pg_catalog.unnest(w.blockers) AS b(pid)),\n"                         \
    "behind AS (\n"                                                                              \
    "    SELECT e.pid, e.blocker FROM edge e\n"                                                  \
    "    UNION\n"                                                                                \
    "    SELECT h.pid, e.blocker FROM behind h\n"                                                \
    "    JOIN edge e ON e.pid OPERATOR(pg_catalog.=) h.blocker),\n"                              \
    "node AS (SELECT e.pid FROM edge e UNION SELECT e.blocker FROM edge e)\n"                    \
    "SELECT n.pid, up.blocked_by, root.roots, COALESCE(down.blocks, 0) AS blocks,\n"             \
    "       COALESCE(down.all_blocks, 0) AS all_blocks, want.locktype, want.mode,\n"             \
    "       want.database AS locked_datid, want.relation, want.wait_start\n"                     \
    "FROM node n\n"                                                                              \
    "LEFT JOIN (SELECT e.pid, pg_catalog.json_agg(e.blocker ORDER BY e.blocker) AS blocked_by\n" \
    "           FROM edge e GROUP BY e.pid) up ON up.pid OPERATOR(pg_catalog.=) n.pid\n"         \
    "LEFT JOIN (SELECT h.pid, pg_catalog.json_agg(h.blocker ORDER BY h.blocker) AS roots\n"      \
    "           FROM behind h\n"                                                                 \
    "           WHERE NOT EXISTS (SELECT FROM edge e"                                            \
    " WHERE e.pid OPERATOR(pg_catalog.=) h.blocker)\n"                                           \
    "           GROUP BY h.pid) root ON root.pid OPERATOR(pg_catalog.=) n.pid\n"                 \
    "LEFT JOIN (SELECT h.blocker, pg_catalog.count(h.pid) AS all_blocks,\n"                      \
    "                  pg_catalog.count(h.pid) FILTER (WHERE EXISTS (SELECT FROM edge e\n"       \
    "                      WHERE e.pid OPERATOR(pg_catalog.=) h.pid\n"                           \
    "                        AND e.blocker OPERATOR(pg_catalog.=) h.blocker)) AS blocks\n"       \
    "           FROM behind h GROUP BY h.blocker) down"                                          \
    " ON down.blocker OPERATOR(pg_catalog.=) n.pid\n"                                            \
    "LEFT JOIN (SELECT l.pid, pg_catalog.min(l.locktype) AS locktype,"                           \
    " pg_catalog.min(l.mode) AS mode,\n"                                                         \
    "                  pg_catalog.min(l.database) AS database,"                                  \
    " pg_catalog.min(l.relation) AS relation,\n"                                                 \
    "                  " wait_start                                                              \
    " AS wait_start\n"                                                                           \
    "           FROM pg_catalog.pg_lock_status() l\n"                                            \
    "           WHERE NOT l.granted AND EXISTS (SELECT FROM edge)\n"                             \
    "           GROUP BY l.pid) want ON want.pid OPERATOR(pg_catalog.=) n.pid\n"                 \
    "OFFSET 0) n\n"                                                                              \
    "LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid OPERATOR(pg_catalog.=) n.pid"

constexpr Source kBlockingSources[] = {
    {PGANALYTICS_BLOCKING("NULL::pg_catalog.timestamptz"), until(13)},
    {PGANALYTICS_BLOCKING("pg_catalog.min(l.waitstart)"), since(14)},
};

#undef PGANALYTICS_BLOCKING

constexpr Column kBlocking[] = {
    key("pid", kInt64, "n.pid::pg_catalog.int8",
        "process id; 0 stands for prepared transactions, which have none"),
    gauge("blocked_by", kJson, "", "n.blocked_by",
          "processes it waits for, as the server names them; null: a root, it waits for nobody (or "
          "root"),
    gauge("roots", kJson, "", "n.roots",
          "processes at the beginning of the chains it stands in; null for a root and in a circle"),
    gauge("blocks", kInt64, "sessions", "n.blocks", "sessions that wait for it directly"),
    gauge("all_blocks", kInt64, "sessions", "n.all_blocks",
          "sessions that wait for it, directly or through others"),
    gauge("locktype", kText, "", "n.locktype", "kind of what it waits for; null for a root"),
    gauge("mode", kText, "", "n.mode", "mode of the lock it waits for; null for a root"),
    gauge("locked_datid", kOid, "", "n.locked_datid",
          "OID of the database of what it waits for; null where it is in none"),
    gauge("relation", kOid, "", "n.relation",
          "OID of the table it waits for, or for a row of which; null where it is none"),
    moment("wait_start", "n.wait_start",
           "since when it waits; null for a root, for a moment after it began, and before 14"),
    label("datid", kOid, "s.datid", "OID of the database of the session"),
    label("datname", kText, "s.datname::pg_catalog.text", "name of the database of the session"),
    label("usename", kText, "s.usename::pg_catalog.text", "name of the role"),
    label("application_name", kText, "s.application_name", "application of the session"),
    label("backend_type", kText, "s.backend_type", "kind of process"),
    gauge("state", kText, "", "s.state", "active, idle in transaction and others"),
    gauge("wait_event_type", kText, "", "s.wait_event_type",
          "kind of what it waits for; null where it does not wait"),
    gauge("wait_event", kText, "", "s.wait_event",
          "what it waits for; null where it does not wait"),
    moment("xact_start", "s.xact_start", "when its transaction began"),
    moment("query_start", "s.query_start", "when its statement, running or the last, began"),
    gauge("query_id", kInt64, "", "s.query_id",
          "identifier of the statement, as in pg_query_stats.statements; null while not computed",
          since(14)),
    statement("query", "s.query",
              "text of the statement, running or the last, without its constants; null while "
              "pganalytics.query_text is none"),
};

// --- the lock table

// How the server reckons it: max_locks_per_transaction for each session, worker and prepared
// transaction there can be.
#define PGANALYTICS_USAGE(backends)                                                              \
    "FROM (SELECT " backends                                                                     \
    " OPERATOR(pg_catalog.+)"                                                                    \
    " pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8 AS holders\n"     \
    "      OFFSET 0) m\n"                                                                        \
    "CROSS JOIN (\n"                                                                             \
    "    SELECT pg_catalog.count(DISTINCT (l.locktype, l.database, l.relation, l.page, l.tuple," \
    " l.virtualxid,\n"                                                                           \
    "                                      l.transactionid::pg_catalog.text, l.classid,"         \
    " l.objid, l.objsubid))\n"                                                                   \
    "               FILTER (WHERE NOT l.fastpath"                                                \
    " AND l.mode OPERATOR(pg_catalog.<>) 'SIReadLock') AS used,\n"                               \
    "           pg_catalog.count(l.locktype) FILTER (WHERE l.fastpath) AS fastpath,\n"           \
    "           pg_catalog.count(l.locktype) FILTER (WHERE NOT l.granted) AS waiting,\n"         \
    "           pg_catalog.count(l.locktype) FILTER"                                             \
    " (WHERE l.mode OPERATOR(pg_catalog.=) 'SIReadLock') AS predicate_locks\n"                   \
    "    FROM pg_catalog.pg_lock_status() l\n"                                                   \
    "    WHERE l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()) u"

#define PGANALYTICS_SETTING(name) "pg_catalog.current_setting('" name "')::pg_catalog.int8"
#define PGANALYTICS_PLUS " OPERATOR(pg_catalog.+) "

constexpr Source kUsageSources[] = {
    {PGANALYTICS_USAGE(PGANALYTICS_SETTING("max_connections") PGANALYTICS_PLUS PGANALYTICS_SETTING(
         "autovacuum_max_workers") PGANALYTICS_PLUS
                       "1" PGANALYTICS_PLUS PGANALYTICS_SETTING("max_worker_processes")
                           PGANALYTICS_PLUS PGANALYTICS_SETTING("max_wal_senders")),
     until(17)},
    {PGANALYTICS_USAGE(PGANALYTICS_SETTING("max_connections") PGANALYTICS_PLUS PGANALYTICS_SETTING(
         "autovacuum_worker_slots") PGANALYTICS_PLUS
                       "2" PGANALYTICS_PLUS PGANALYTICS_SETTING("max_worker_processes")
                           PGANALYTICS_PLUS PGANALYTICS_SETTING("max_wal_senders")),
     since(18)},
};

constexpr Column kUsage[] = {
    gauge("used", kInt64, "locks", "u.used",
          "things locked that have a place in the lock table (some locks of sessions have none)"),
    gauge("places", kInt64, "locks",
          "m.holders OPERATOR(pg_catalog.*) " PGANALYTICS_SETTING("max_locks_per_transaction"),
          "places in the lock table by the settings; a little more fits while shared memory is "
          "left"),
    gauge("fastpath", kInt64, "locks", "u.fastpath", "locks that need no place in it"),
    gauge("waiting", kInt64, "locks", "u.waiting", "locks waited for"),
    gauge("predicate_locks", kInt64, "locks", "u.predicate_locks",
          "locks of serializable transactions, which have a table of their own"),
    gauge("predicate_places", kInt64, "locks",
          "m.holders OPERATOR(pg_catalog.*) " PGANALYTICS_SETTING("max_pred_locks_per_transaction"),
          "places in that table by the settings"),
};

#undef PGANALYTICS_USAGE
#undef PGANALYTICS_SETTING
#undef PGANALYTICS_PLUS

constexpr Rowset kRowsets[] = {
    shown_by(Presence::kLockWaits,
             {"pg_locks", "blocking", Scope::kCluster, 0, kBlockingSources, kBlocking,
              "sessions that wait for a lock and those they wait for: the whole graph, each "
              "session once"}),
    {"pg_locks", "locks", Scope::kCluster, 0, kLocksSources, kLocks,
     "locks held and waited for, counted by database, kind and mode"},
    {"pg_locks", "usage", Scope::kCluster, 0, kUsageSources, kUsage, "how full the lock table is"},
};

}  // namespace

std::span<const Rowset> pg_locks() { return kRowsets; }

}  // namespace pganalytics::parts
