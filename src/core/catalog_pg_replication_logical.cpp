// Plugin pg_replication, logical replication: subscriptions with their counters, workers and
// tables, and publications. The connection string of a subscription may hold a password: it is
// never read, by no role.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

#define PGANALYTICS_DATABASE_OF_SUBSCRIPTION \
    "\nLEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.subdbid"

// On 13 only superusers read the OID in pg_subscription; the view has it for everybody, by a name
// that several databases may have given. Of such a name nothing but OID and name is known then.
constexpr Source kSubscriptionsSources[] = {
    {"FROM (SELECT v.subid, v.subname FROM pg_catalog.pg_stat_subscription v"
     " GROUP BY v.subid, v.subname) n\n"
     "LEFT JOIN pg_catalog.pg_subscription s ON s.subname OPERATOR(pg_catalog.=) n.subname"
     " AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription o"
     " WHERE o.subname OPERATOR(pg_catalog.=) s.subname"
     " AND o.subdbid OPERATOR(pg_catalog.<>) s.subdbid)" PGANALYTICS_DATABASE_OF_SUBSCRIPTION,
     until(13)},
    {"FROM pg_catalog.pg_subscription s\n"
     "CROSS JOIN LATERAL (SELECT s.oid AS subid, s.subname)"
     " n" PGANALYTICS_DATABASE_OF_SUBSCRIPTION,
     between(14, 14)},
    {"FROM pg_catalog.pg_subscription s\n"
     "CROSS JOIN LATERAL (SELECT s.oid AS subid, s.subname) n\n"
     "LEFT JOIN pg_catalog.pg_stat_subscription_stats c"
     " ON c.subid OPERATOR(pg_catalog.=) s.oid" PGANALYTICS_DATABASE_OF_SUBSCRIPTION,
     since(15)},
};

#undef PGANALYTICS_DATABASE_OF_SUBSCRIPTION

constexpr Column conflict(std::string_view name, std::string_view sql, std::string_view help,
                          Versions versions) {
    return counter(name, "conflicts", sql, help, versions);
}

constexpr Column kSubscriptions[] = {
    key("subid", kOid, "n.subid", "OID of the subscription"),
    label("subname", kText, "n.subname::pg_catalog.text", "its name"),
    label("subdbid", kOid, "s.subdbid", "OID of its database"),
    label("database", kText, "d.datname::pg_catalog.text", "name of its database"),
    label("subowner", kOid, "s.subowner", "OID of its owner"),
    label("rolname", kText, "pg_catalog.pg_get_userbyid(s.subowner)::pg_catalog.text",
          "name of its owner"),
    gauge("subenabled", kBool, "", "s.subenabled", "whether its worker should run"),
    label("subslotname", kText, "s.subslotname::pg_catalog.text",
          "slot at the publisher; null: none"),
    label("subpublications", kText, "s.subpublications::pg_catalog.text",
          "publications subscribed to, as an array's text"),
    label("subsynccommit", kText, "s.subsynccommit", "synchronous_commit of its workers",
          since(14)),
    label("subbinary", kBool, "s.subbinary", "whether data comes in binary form", since(14)),
    label("substream", kText, "CASE WHEN s.substream THEN 't' ELSE 'f' END::pg_catalog.text",
          "transactions in progress: f kept back by the publisher, t spilled to files, p applied "
          "in parallel",
          between(14, 15)),
    label("substream", kText, "s.substream::pg_catalog.text",
          "transactions in progress: f kept back by the publisher, t spilled to files, p applied "
          "in parallel",
          since(16)),
    gauge("subtwophasestate", kText, "", "s.subtwophasestate::pg_catalog.text",
          "decoding of prepared transactions: d disabled, p pending, e enabled", since(15)),
    label("subdisableonerr", kBool, "s.subdisableonerr", "whether an error disables it", since(15)),
    gauge("subskiplsn", kLsn, "", "s.subskiplsn",
          "the transaction to be skipped ends here; 0/0: none", since(15)),
    label("subpasswordrequired", kBool, "s.subpasswordrequired",
          "whether its connection needs a password", since(16)),
    label("subrunasowner", kBool, "s.subrunasowner",
          "whether changes are applied as its owner, not the table's", since(16)),
    label("suborigin", kText, "s.suborigin", "changes of which origin it takes: any or none",
          since(16)),
    label("subfailover", kBool, "s.subfailover",
          "whether its slot is synchronized to the publisher's standbys", since(17)),
    label("subretaindeadtuples", kBool, "s.subretaindeadtuples",
          "whether dead rows are kept to detect conflicts", since(19)),
    gauge("submaxretention", kInt64, "milliseconds", "s.submaxretention::pg_catalog.int8",
          "how long they are kept at most; 0: no limit", since(19)),
    gauge("subretentionactive", kBool, "", "s.subretentionactive", "whether they are kept now",
          since(19)),
    counter("apply_error_count", "errors", "c.apply_error_count", "errors while applying changes",
            since(15)),
    counter("sync_error_count", "errors", "c.sync_error_count",
            "errors while tables were synchronized first", between(15, 18)),
    counter("sync_error_count", "errors", "c.sync_table_error_count",
            "errors while tables were synchronized first", since(19)),
    counter("sync_seq_error_count", "errors", "c.sync_seq_error_count",
            "errors while sequences were synchronized", since(19)),
    conflict("confl_insert_exists", "c.confl_insert_exists",
             "inserted rows that were there already", since(18)),
    conflict("confl_update_origin_differs", "c.confl_update_origin_differs",
             "updates of rows that came from elsewhere", since(18)),
    conflict("confl_update_exists", "c.confl_update_exists",
             "updated rows whose new key was there already", since(18)),
    conflict("confl_update_deleted", "c.confl_update_deleted", "updates of rows deleted elsewhere",
             since(19)),
    conflict("confl_update_missing", "c.confl_update_missing", "updates of rows that are missing",
             since(18)),
    conflict("confl_delete_origin_differs", "c.confl_delete_origin_differs",
             "deletes of rows that came from elsewhere", since(18)),
    conflict("confl_delete_missing", "c.confl_delete_missing", "deletes of rows that are missing",
             since(18)),
    conflict("confl_multiple_unique_conflicts", "c.confl_multiple_unique_conflicts",
             "rows that violate several unique constraints", since(18)),
    moment("stats_reset", "c.stats_reset", "since when its counters count", since(15)),
};

constexpr Source kWorkersSources[] = {
    {"FROM pg_catalog.pg_stat_subscription s WHERE s.pid IS NOT NULL", since(13)},
};

constexpr Column kWorkers[] = {
    key("subid", kOid, "s.subid", "OID of the subscription"),
    key("pid", kInt64, "s.pid::pg_catalog.int8", "process id of the worker"),
    label("subname", kText, "s.subname::pg_catalog.text", "name of the subscription"),
    label("worker_type", kText,
          "CASE WHEN s.relid IS NULL THEN 'apply' ELSE 'table synchronization' END"
          "::pg_catalog.text",
          "apply, parallel apply or table synchronization", until(15)),
    label("worker_type", kText,
          "CASE WHEN s.relid IS NOT NULL THEN 'table synchronization'"
          " WHEN s.leader_pid IS NULL THEN 'apply' ELSE 'parallel apply' END::pg_catalog.text",
          "apply, parallel apply or table synchronization", between(16, 16)),
    label("worker_type", kText, "s.worker_type", "apply, parallel apply or table synchronization",
          since(17)),
    label("leader_pid", kInt64, "s.leader_pid::pg_catalog.int8",
          "process id of the leader of a parallel apply worker", since(16)),
    label("relid", kOid, "s.relid", "table being synchronized; null: applies changes"),
    gauge("received_lsn", kLsn, "", "s.received_lsn", "WAL received from the publisher"),
    moment("last_msg_send_time", "s.last_msg_send_time",
           "the publisher's clock in its last message"),
    moment("last_msg_receipt_time", "s.last_msg_receipt_time",
           "when the publisher's last message came"),
    gauge("latest_end_lsn", kLsn, "", "s.latest_end_lsn",
          "the last WAL position reported back to the publisher"),
    moment("latest_end_time", "s.latest_end_time", "when that was"),
};

constexpr Source kTablesSources[] = {
    {"FROM pg_catalog.pg_subscription_rel s\n"
     "LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) s.srrelid\n"
     "LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
     until(13)},
    {"FROM pg_catalog.pg_subscription_rel s\n"
     "LEFT JOIN pg_catalog.pg_subscription p ON p.oid OPERATOR(pg_catalog.=) s.srsubid\n"
     "LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) s.srrelid\n"
     "LEFT JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace",
     since(14)},
};

constexpr Column kTables[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("subid", kOid, "s.srsubid", "OID of the subscription"),
    key("relid", kOid, "s.srrelid", "OID of the table"),
    label("subname", kText, "p.subname::pg_catalog.text", "name of the subscription", since(14)),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of the table"),
    label("relname", kText, "c.relname::pg_catalog.text", "name of the table"),
    gauge("srsubstate", kText, "", "s.srsubstate::pg_catalog.text",
          "i to be begun, d being copied, f copied, s caught up, r replicated as usual"),
    gauge("srsublsn", kLsn, "", "s.srsublsn",
          "the publisher's WAL position at which it was caught up; null before"),
};

// Those of FOR ALL TABLES and FOR TABLES IN SCHEMA are not counted one by one: the server would
// have to open each.
#define PGANALYTICS_NAMED(condition)                                       \
    "(SELECT pg_catalog.count(r.oid) FROM pg_catalog.pg_publication_rel r" \
    " WHERE r.prpubid OPERATOR(pg_catalog.=) s.oid" condition ")"

constexpr Source kPublicationsSources[] = {
    {"FROM pg_catalog.pg_publication s", since(13)},
};

constexpr Column kPublications[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("pubid", kOid, "s.oid", "OID of the publication"),
    label("pubname", kText, "s.pubname::pg_catalog.text", "its name"),
    label("pubowner", kOid, "s.pubowner", "OID of its owner"),
    label("rolname", kText, "pg_catalog.pg_get_userbyid(s.pubowner)::pg_catalog.text",
          "name of its owner"),
    label("puballtables", kBool, "s.puballtables", "whether it is of all tables"),
    label("puballsequences", kBool, "s.puballsequences", "whether it is of all sequences",
          since(19)),
    label("pubinsert", kBool, "s.pubinsert", "whether inserts are published"),
    label("pubupdate", kBool, "s.pubupdate", "whether updates are published"),
    label("pubdelete", kBool, "s.pubdelete", "whether deletes are published"),
    label("pubtruncate", kBool, "s.pubtruncate", "whether TRUNCATE is published"),
    label("pubviaroot", kBool, "s.pubviaroot",
          "whether changes of partitions are published as the root's"),
    label("pubgencols", kText, "s.pubgencols::pg_catalog.text",
          "stored generated columns: n not published, s published", since(18)),
    gauge("tables", kInt64, "tables", PGANALYTICS_NAMED(""),
          "tables named one by one; what FOR ALL TABLES or a schema brings is not counted",
          until(18)),
    gauge("tables", kInt64, "tables", PGANALYTICS_NAMED(" AND NOT r.prexcept"),
          "tables named one by one; what FOR ALL TABLES or a schema brings is not counted",
          since(19)),
    gauge("tables_excepted", kInt64, "tables", PGANALYTICS_NAMED(" AND r.prexcept"),
          "tables left out of FOR ALL TABLES", since(19)),
    gauge("row_filters", kInt64, "tables", PGANALYTICS_NAMED(" AND r.prqual IS NOT NULL"),
          "of these, tables with a row filter", since(15)),
    gauge("column_lists", kInt64, "tables", PGANALYTICS_NAMED(" AND r.prattrs IS NOT NULL"),
          "of these, tables with a list of columns", since(15)),
    gauge("schemas", kInt64, "schemas",
          "(SELECT pg_catalog.count(r.oid) FROM pg_catalog.pg_publication_namespace r"
          " WHERE r.pnpubid OPERATOR(pg_catalog.=) s.oid)",
          "schemas whose tables are published", since(15)),
};

#undef PGANALYTICS_NAMED

constexpr Rowset kRowsets[] = {
    shown_by(
        Presence::kSubscriptions,
        {"pg_replication", "subscriptions", Scope::kCluster, 0, kSubscriptionsSources,
         kSubscriptions,
         "subscriptions of all databases, with their errors and conflicts; never the connection "
         "string"}),
    shown_by(Presence::kSubscriptions,
             {"pg_replication", "subscription_workers", Scope::kCluster, 0, kWorkersSources,
              kWorkers, "workers of subscriptions and how far they are"}),
    changing_with_definitions(
        {"pg_replication", "subscription_tables", Scope::kDatabase, 600, kTablesSources, kTables,
         "tables of subscriptions and the state of their first synchronization"}),
    changing_with_definitions({"pg_replication", "publications", Scope::kDatabase, 600,
                               kPublicationsSources, kPublications,
                               "publications, what they publish and of how many tables"}),
};

}  // namespace

std::span<const Rowset> pg_replication_logical() { return kRowsets; }

}  // namespace pganalytics::parts
