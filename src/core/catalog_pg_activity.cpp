// Plugin pg_activity: what sessions do, which of them are old, who keeps vacuum from removing rows,
// and how far connections are from their limits. What is in progress is in
// catalog_pg_activity_progress.cpp.
//
// The reading session itself is left out everywhere: it would be in each reading and say nothing.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// --- sessions

constexpr Source kSessionsSources[] = {
    {R"(FROM pg_catalog.pg_stat_activity s
WHERE s.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
GROUP BY s.datid, s.datname, s.usesysid, s.usename, s.application_name, s.backend_type, s.state,
         s.wait_event_type, s.wait_event)",
     since(13)},
};

constexpr Column kSessions[] = {
    key("datid", kOid, "COALESCE(s.datid, 0::pg_catalog.oid)",
        "OID of the database; 0 for processes connected to none"),
    key("usesysid", kOid, "COALESCE(s.usesysid, 0::pg_catalog.oid)",
        "OID of the role; 0 for processes without one"),
    key("application_name", kText, "COALESCE(s.application_name, '')",
        "application_name of the session; empty where it has none"),
    key("backend_type", kText, "COALESCE(s.backend_type, '')", "kind of process"),
    key("state", kText, "COALESCE(s.state, '')",
        "active, idle, idle in transaction and others; empty for processes that are no sessions"),
    key("wait_event_type", kText, "COALESCE(s.wait_event_type, '')",
        "kind of what it waits for; empty where it does not wait"),
    key("wait_event", kText, "COALESCE(s.wait_event, '')",
        "what it waits for; empty where it does not wait"),
    label("datname", kText, "s.datname::pg_catalog.text", "name of the database"),
    label("usename", kText, "s.usename::pg_catalog.text", "name of the role"),
    gauge("sessions", kInt64, "sessions", "pg_catalog.count(s.pid)", "processes like this"),
    moment("oldest_xact_start", "pg_catalog.min(s.xact_start)",
           "start of the oldest transaction among them; null where none has one"),
    moment("oldest_query_start", "pg_catalog.min(s.query_start)",
           "start of the oldest statement among them, running or the last one"),
    moment("oldest_state_change", "pg_catalog.min(s.state_change)",
           "since when the one that changed its state least lately is in it"),
};

// --- old sessions

constexpr Source kOldSessionsSources[] = {
    {R"(FROM (SELECT pg_catalog.clock_timestamp()
             OPERATOR(pg_catalog.-) '00:00:10'::pg_catalog.interval AS moment OFFSET 0) old
JOIN pg_catalog.pg_stat_activity s ON s.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
WHERE s.xact_start OPERATOR(pg_catalog.<) old.moment
   OR (s.state OPERATOR(pg_catalog.=) 'active'
       AND s.query_start OPERATOR(pg_catalog.<) old.moment
       AND s.backend_type OPERATOR(pg_catalog.<>) 'walsender')
   OR (s.state OPERATOR(pg_catalog.=) ANY (ARRAY['idle in transaction',
                                                 'idle in transaction (aborted)'])
       AND s.state_change OPERATOR(pg_catalog.<) old.moment))",
     since(13)},
};

constexpr Column kOldSessions[] = {
    key("pid", kInt64, "s.pid::pg_catalog.int8", "process id"),
    label("datid", kOid, "s.datid", "OID of the database"),
    label("datname", kText, "s.datname::pg_catalog.text", "name of the database"),
    label("usesysid", kOid, "s.usesysid", "OID of the role"),
    label("usename", kText, "s.usename::pg_catalog.text", "name of the role"),
    label("application_name", kText, "s.application_name", "application of the session"),
    label("client_addr", kText, "pg_catalog.host(s.client_addr)",
          "address of the client; null for a local socket"),
    label("backend_type", kText, "s.backend_type", "kind of process"),
    label("leader_pid", kInt64, "s.leader_pid::pg_catalog.int8",
          "process it works for, for a parallel worker"),
    gauge("state", kText, "", "s.state", "active, idle in transaction and others"),
    gauge("wait_event_type", kText, "", "s.wait_event_type",
          "kind of what it waits for; null where it does not wait"),
    gauge("wait_event", kText, "", "s.wait_event",
          "what it waits for; null where it does not wait"),
    moment("backend_start", "s.backend_start", "when the session began"),
    moment("xact_start", "s.xact_start", "when its transaction began; null without one"),
    moment("query_start", "s.query_start", "when its statement, running or the last, began"),
    moment("state_change", "s.state_change", "since when it is in its state"),
    gauge("backend_xid", kInt64, "", "s.backend_xid::pg_catalog.text::pg_catalog.int8",
          "transaction id it has been given (32 bits); null where it has written nothing"),
    gauge("backend_xmin", kInt64, "", "s.backend_xmin::pg_catalog.text::pg_catalog.int8",
          "oldest transaction id its snapshot needs (32 bits); null without a snapshot"),
    gauge("query_id", kInt64, "", "s.query_id",
          "identifier of the statement, as in pg_query_stats.statements; null while not computed",
          since(14)),
    statement("query", "s.query",
              "text of the statement, running or the last, without its constants; null while "
              "pganalytics.query_text is none"),
};

// --- prepared transactions

constexpr Source kPreparedSources[] = {
    {R"(FROM pg_catalog.pg_prepared_xacts p
LEFT JOIN pg_catalog.pg_database d ON d.datname OPERATOR(pg_catalog.=) p.database)",
     since(13)},
};

constexpr Column kPrepared[] = {
    key("gid", kText, "p.gid", "the name it was prepared under"),
    gauge("transaction", kInt64, "", "p.transaction::pg_catalog.text::pg_catalog.int8",
          "its transaction id (32 bits)"),
    moment("prepared", "p.prepared", "when it was prepared"),
    label("owner", kText, "p.owner::pg_catalog.text", "role that prepared it"),
    label("datid", kOid, "d.oid", "OID of its database"),
    label("datname", kText, "p.database::pg_catalog.text", "name of its database"),
};

// --- who holds the horizon

// One row for each kind of holder and each database: the oldest of them. A session's hold is the
// older of its snapshot and of its own transaction id; VACUUM (not FULL) holds nobody back,
// parallel workers hold what their leader holds.
constexpr Source kHorizonSources[] = {
    {R"(FROM (
    SELECT h.holder, h.datid, h.xid, h.pid, h.name, h.usename, h.application_name, h.since,
           pg_catalog.count(h.holder) OVER (PARTITION BY h.holder, h.datid) AS holders,
           pg_catalog.row_number() OVER (PARTITION BY h.holder, h.datid
               ORDER BY pg_catalog.age(h.xid) DESC, h.since, h.pid, h.name) AS place,
           pg_catalog.rank() OVER (ORDER BY pg_catalog.age(h.xid) DESC) AS place_of_all
    FROM (
        SELECT CASE WHEN s.backend_type OPERATOR(pg_catalog.=) 'walsender'
                    THEN 'standby' ELSE 'session' END AS holder,
               COALESCE(s.datid, 0::pg_catalog.oid) AS datid,
               CASE WHEN s.backend_xid IS NULL THEN s.backend_xmin
                    WHEN s.backend_xmin IS NULL THEN s.backend_xid
                    WHEN pg_catalog.age(s.backend_xid)
                         OPERATOR(pg_catalog.>) pg_catalog.age(s.backend_xmin)
                    THEN s.backend_xid ELSE s.backend_xmin END AS xid,
               s.pid, NULL::pg_catalog.text AS name, s.usename::pg_catalog.text AS usename,
               s.application_name, s.xact_start AS since
        FROM pg_catalog.pg_stat_activity s
        WHERE (s.backend_xid IS NOT NULL OR s.backend_xmin IS NOT NULL)
          AND s.leader_pid IS NULL
          AND s.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v
                          WHERE v.pid OPERATOR(pg_catalog.=) s.pid)
        UNION ALL
        SELECT 'prepared transaction', COALESCE(d.oid, 0::pg_catalog.oid), p.transaction, NULL,
               p.gid, p.owner::pg_catalog.text, NULL, p.prepared
        FROM pg_catalog.pg_prepared_xacts p
        LEFT JOIN pg_catalog.pg_database d ON d.datname OPERATOR(pg_catalog.=) p.database
        UNION ALL
        SELECT 'slot', COALESCE(r.datoid, 0::pg_catalog.oid), r.xmin, r.active_pid,
               r.slot_name::pg_catalog.text, NULL, NULL, NULL
        FROM pg_catalog.pg_replication_slots r
        WHERE r.xmin IS NOT NULL
        UNION ALL
        SELECT 'slot, catalogs', COALESCE(r.datoid, 0::pg_catalog.oid), r.catalog_xmin,
               r.active_pid, r.slot_name::pg_catalog.text, NULL, NULL, NULL
        FROM pg_catalog.pg_replication_slots r
        WHERE r.catalog_xmin IS NOT NULL) h) h
LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) h.datid
WHERE h.place OPERATOR(pg_catalog.=) 1)",
     since(13)},
};

constexpr Column kHorizon[] = {
    key("holder", kText, "h.holder",
        "kind of holder: session, prepared transaction, slot (a slot's xmin), slot, catalogs (its "
        "catalog_xmin), standby (hot_standby_feedback without a slot)"),
    key("datid", kOid, "h.datid",
        "OID of the database it belongs to; 0: none, it holds for all of them"),
    label("datname", kText, "d.datname::pg_catalog.text", "name of the database"),
    gauge("xid", kInt64, "", "h.xid::pg_catalog.text::pg_catalog.int8",
          "transaction id (32 bits) held by the oldest of this kind: rows deleted since can't be "
          "removed; subtract it from the lower 32 bits of pg_stats.server next_xid for the age"),
    gauge("oldest", kBool, "", "h.place_of_all OPERATOR(pg_catalog.=) 1",
          "whether nobody holds an older one"),
    gauge("holders", kInt64, "", "h.holders", "holders of this kind in this database"),
    gauge("pid", kInt64, "", "h.pid::pg_catalog.int8",
          "process of the oldest; null for a prepared transaction and a slot not in use"),
    gauge("name", kText, "", "h.name",
          "name of the slot or of the prepared transaction; null for processes"),
    gauge("usename", kText, "", "h.usename", "role of the oldest; null for slots"),
    gauge("application_name", kText, "", "h.application_name",
          "application of the oldest, for a standby its name"),
    moment("since", "h.since",
           "start of the session's transaction, or when it was prepared; null for slots and "
           "standbys"),
};

// --- connections

// The server's limits as it applies them: roles without privileges get what the two reserves leave.
// reserved_connections came with 16; before it is none. Sessions come from the function behind
// pg_stat_activity: the view would join names of databases and roles, three times.
#define PGANALYTICS_LIMITS(reserved)                                                           \
    "FROM (SELECT pg_catalog.current_setting('max_connections')::pg_catalog.int8 AS most,\n"   \
    "             pg_catalog.current_setting('superuser_reserved_connections')"                \
    "::pg_catalog.int8 AS superusers,\n"                                                       \
    "             " reserved                                                                   \
    " AS reserved,\n"                                                                          \
    "             pg_catalog.current_setting('max_wal_senders')::pg_catalog.int8 AS senders\n" \
    "      OFFSET 0) m\n"                                                                      \
    "CROSS JOIN (SELECT pg_catalog.count(s.pid) FILTER"                                        \
    " (WHERE s.backend_type OPERATOR(pg_catalog.=) 'client backend') AS clients,\n"            \
    "                   pg_catalog.count(s.pid) FILTER"                                        \
    " (WHERE s.backend_type OPERATOR(pg_catalog.=) 'walsender') AS senders\n"                  \
    "            FROM pg_catalog.pg_stat_get_activity(NULL) s OFFSET 0) u\n"                   \
    "CROSS JOIN LATERAL (\n"                                                                   \
    "    SELECT 'server' AS kind, 0::pg_catalog.oid AS oid, NULL::pg_catalog.text AS name,\n"  \
    "           u.clients AS used, m.most AS allowed\n"                                        \
    "    UNION ALL SELECT 'unreserved', 0::pg_catalog.oid, NULL,\n"                            \
    "           LEAST(u.clients, m.most OPERATOR(pg_catalog.-) m.superusers"                   \
    " OPERATOR(pg_catalog.-) m.reserved),\n"                                                   \
    "           m.most OPERATOR(pg_catalog.-) m.superusers OPERATOR(pg_catalog.-) m.reserved\n"

#define PGANALYTICS_RESERVED                                                               \
    "    UNION ALL SELECT 'reserved', 0::pg_catalog.oid, NULL,\n"                          \
    "           GREATEST(0, LEAST(m.reserved, u.clients OPERATOR(pg_catalog.-)"            \
    " (m.most OPERATOR(pg_catalog.-) m.superusers OPERATOR(pg_catalog.-) m.reserved))),\n" \
    "           m.reserved\n"

#define PGANALYTICS_CONNECTIONS                                                              \
    "    UNION ALL SELECT 'superuser_reserved', 0::pg_catalog.oid, NULL,\n"                  \
    "           GREATEST(0, LEAST(m.superusers, u.clients OPERATOR(pg_catalog.-)"            \
    " (m.most OPERATOR(pg_catalog.-) m.superusers))),\n"                                     \
    "           m.superusers\n"                                                              \
    "    UNION ALL SELECT 'wal_senders', 0::pg_catalog.oid, NULL, u.senders, m.senders\n"    \
    "    UNION ALL SELECT 'database', d.oid, d.datname::pg_catalog.text,\n"                  \
    "           COALESCE(c.used, 0),\n"                                                      \
    "           CASE WHEN d.datconnlimit OPERATOR(pg_catalog.>=) 0"                          \
    " THEN d.datconnlimit::pg_catalog.int8 END\n"                                            \
    "    FROM pg_catalog.pg_database d\n"                                                    \
    "    LEFT JOIN (SELECT s.datid, pg_catalog.count(s.pid) AS used"                         \
    " FROM pg_catalog.pg_stat_get_activity(NULL) s\n"                                        \
    "               WHERE s.backend_type OPERATOR(pg_catalog.=) 'client backend'"            \
    " GROUP BY s.datid) c ON c.datid OPERATOR(pg_catalog.=) d.oid\n"                         \
    "    WHERE d.datallowconn\n"                                                             \
    "    UNION ALL SELECT 'role', r.oid, r.rolname::pg_catalog.text, COALESCE(c.used, 0),\n" \
    "           CASE WHEN r.rolconnlimit OPERATOR(pg_catalog.>=) 0"                          \
    " THEN r.rolconnlimit::pg_catalog.int8 END\n"                                            \
    "    FROM pg_catalog.pg_roles r\n"                                                       \
    "    LEFT JOIN (SELECT s.usesysid, pg_catalog.count(s.pid) AS used"                      \
    " FROM pg_catalog.pg_stat_get_activity(NULL) s\n"                                        \
    "               WHERE s.backend_type OPERATOR(pg_catalog.=) 'client backend'"            \
    " GROUP BY s.usesysid) c ON c.usesysid OPERATOR(pg_catalog.=) r.oid\n"                   \
    "    WHERE c.used IS NOT NULL OR (r.rolcanlogin"                                         \
    " AND r.rolconnlimit OPERATOR(pg_catalog.>=) 0)) c"

constexpr Source kConnectionsSources[] = {
    {PGANALYTICS_LIMITS("0::pg_catalog.int8") PGANALYTICS_CONNECTIONS, until(15)},
    {PGANALYTICS_LIMITS("pg_catalog.current_setting('reserved_connections')::pg_catalog.int8")
         PGANALYTICS_RESERVED PGANALYTICS_CONNECTIONS,
     since(16)},
};

#undef PGANALYTICS_LIMITS
#undef PGANALYTICS_RESERVED
#undef PGANALYTICS_CONNECTIONS

constexpr Column kConnections[] = {
    key("kind", kText, "c.kind",
        "what has the limit: server (max_connections), unreserved (what roles without privileges "
        "can have of it), reserved (reserved_connections, 16+), superuser_reserved, wal_senders, "
        "database, role"),
    key("oid", kOid, "c.oid", "OID of the database or role; 0 for the server's limits"),
    label("name", kText, "c.name", "name of the database or role"),
    gauge("used", kInt64, "sessions", "c.used",
          "sessions counted: clients; of a reserve the part of it in use; for wal_senders WAL "
          "senders"),
    gauge("allowed", kInt64, "sessions", "c.allowed",
          "the limit; null where the database or role has none"),
};

constexpr Rowset kRowsets[] = {
    {"pg_activity", "sessions", Scope::kCluster, 0, kSessionsSources, kSessions,
     "sessions and other processes, counted by database, role, application, state and what they "
     "wait for"},
    shown_by(Presence::kOldSessions,
             {"pg_activity", "old_sessions", Scope::kCluster, 0, kOldSessionsSources, kOldSessions,
              "sessions one by one whose transaction, statement or idling in a transaction is "
              "older than "
              "10 seconds"}),
    shown_by(Presence::kPreparedTransactions,
             {"pg_activity", "prepared_transactions", Scope::kCluster, 0, kPreparedSources,
              kPrepared, "transactions prepared for two-phase commit"}),
    shown_by(Presence::kHorizon,
             {"pg_activity", "horizon", Scope::kCluster, 0, kHorizonSources, kHorizon,
              "who keeps vacuum from removing dead rows: for each kind of holder and database the "
              "oldest"}),
    {"pg_activity", "connections", Scope::kCluster, 0, kConnectionsSources, kConnections,
     "connections in use and every limit they have"},
};

}  // namespace

std::span<const Rowset> pg_activity() { return kRowsets; }

}  // namespace pganalytics::parts
