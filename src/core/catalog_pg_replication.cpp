// Plugin pg_replication: WAL senders and slots of this server, and the WAL receiver of a standby.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

constexpr Source kSendersSources[] = {
    {"FROM pg_catalog.pg_stat_replication s", since(13)},
};

// An interval of the server as microseconds; exact: numeric, and 15 digits on 13.
#define PGANALYTICS_MICROSECONDS(interval)          \
    "(EXTRACT(epoch FROM " interval                 \
    ")::pg_catalog.numeric OPERATOR(pg_catalog.*) " \
    "1000000)::pg_catalog.int8"

constexpr Column kSenders[] = {
    key("pid", kInt64, "s.pid::pg_catalog.int8", "process id of the WAL sender"),
    label("usesysid", kOid, "s.usesysid", "OID of the role"),
    label("usename", kText, "s.usename::pg_catalog.text", "name of the role"),
    label("application_name", kText, "s.application_name", "application of the receiver"),
    label("client_addr", kText, "pg_catalog.host(s.client_addr)",
          "address of the receiver; null for a local socket"),
    label("client_hostname", kText, "s.client_hostname",
          "its name; null unless log_hostname is on"),
    label("client_port", kInt64, "s.client_port::pg_catalog.int8",
          "its port; -1 for a local socket"),
    moment("backend_start", "s.backend_start", "when the receiver connected"),
    gauge("backend_xmin", kInt64, "", "s.backend_xmin::pg_catalog.text::pg_catalog.int8",
          "oldest transaction id the standby still needs, by hot_standby_feedback"),
    label("state", kText, "s.state", "startup, catchup, streaming, backup or stopping"),
    gauge("sent_lsn", kLsn, "", "s.sent_lsn", "WAL sent up to here"),
    gauge("write_lsn", kLsn, "", "s.write_lsn", "WAL written by the receiver up to here"),
    gauge("flush_lsn", kLsn, "", "s.flush_lsn", "WAL flushed by the receiver up to here"),
    gauge("replay_lsn", kLsn, "", "s.replay_lsn", "WAL replayed by the standby up to here"),
    gauge("write_lag", kInt64, "microseconds", PGANALYTICS_MICROSECONDS("s.write_lag"),
          "time from the flush here to the receiver's write; null while idle"),
    gauge("flush_lag", kInt64, "microseconds", PGANALYTICS_MICROSECONDS("s.flush_lag"),
          "time from the flush here to the receiver's flush; null while idle"),
    gauge("replay_lag", kInt64, "microseconds", PGANALYTICS_MICROSECONDS("s.replay_lag"),
          "time from the flush here to the standby's replay; null while idle"),
    gauge("sync_priority", kInt64, "", "s.sync_priority::pg_catalog.int8",
          "priority as a synchronous standby; 0 with quorum or none"),
    label("sync_state", kText, "s.sync_state", "async, potential, sync or quorum"),
    moment("reply_time", "s.reply_time", "the receiver's clock in its last message"),
};

constexpr Source kSlotsSources[] = {
    {"FROM pg_catalog.pg_replication_slots s", until(13)},
    {"FROM pg_catalog.pg_replication_slots s\n"
     "LEFT JOIN pg_catalog.pg_stat_replication_slots c"
     " ON c.slot_name OPERATOR(pg_catalog.=) s.slot_name::pg_catalog.text",
     since(14)},
};

constexpr Column kSlots[] = {
    key("slot_name", kText, "s.slot_name::pg_catalog.text", "name of the slot"),
    label("plugin", kText, "s.plugin::pg_catalog.text", "output plugin; null for a physical slot"),
    label("slot_type", kText, "s.slot_type", "physical or logical"),
    label("datoid", kOid, "s.datoid", "OID of its database; null for a physical slot"),
    label("database", kText, "s.database::pg_catalog.text",
          "name of its database; null for a physical slot"),
    label("temporary", kBool, "s.temporary", "whether it ends with its session"),
    gauge("active", kBool, "", "s.active", "whether it is in use now"),
    gauge("active_pid", kInt64, "", "s.active_pid::pg_catalog.int8",
          "process that uses it; null while inactive"),
    // Named otherwise because the hub's table has a system column xmin.
    gauge("slot_xmin", kInt64, "", "s.xmin::pg_catalog.text::pg_catalog.int8",
          "oldest transaction id it keeps; vacuum can't remove rows deleted later"),
    gauge("catalog_xmin", kInt64, "", "s.catalog_xmin::pg_catalog.text::pg_catalog.int8",
          "oldest transaction id whose catalog rows it keeps"),
    gauge("restart_lsn", kLsn, "", "s.restart_lsn", "oldest WAL it may still need"),
    gauge("confirmed_flush_lsn", kLsn, "", "s.confirmed_flush_lsn",
          "WAL its consumer has confirmed; null for a physical slot"),
    gauge("wal_status", kText, "", "s.wal_status",
          "reserved, extended, unreserved or lost: whether the WAL it needs is kept"),
    gauge("safe_wal_size", kInt64, "bytes", "s.safe_wal_size",
          "WAL that can be written before it is in danger; null without a limit"),
    label("two_phase", kBool, "s.two_phase", "whether prepared transactions are decoded",
          since(14)),
    gauge("two_phase_at", kLsn, "", "s.two_phase_at",
          "from where on prepared transactions are decoded", since(18)),
    moment("inactive_since", "s.inactive_since", "when it was left; null while in use", since(17)),
    gauge("conflicting", kBool, "", "s.conflicting",
          "whether a logical slot conflicted with recovery and is lost", since(16)),
    gauge("invalidation_reason", kText, "", "s.invalidation_reason", "why it is lost", since(17)),
    label("failover", kBool, "s.failover", "whether it is synchronized to standbys", since(17)),
    label("synced", kBool, "s.synced", "whether it came from a primary", since(17)),
    gauge("slotsync_skip_reason", kText, "", "s.slotsync_skip_reason",
          "why its last synchronization was skipped (standby)", since(19)),
    counter("spill_txns", "transactions", "c.spill_txns",
            "transactions spilled to disk while decoding", since(14)),
    counter("spill_count", "spills", "c.spill_count", "times transactions were spilled", since(14)),
    counter("spill_bytes", "bytes", "c.spill_bytes", "decoded bytes spilled to disk", since(14)),
    counter("mem_exceeded_count", "times", "c.mem_exceeded_count",
            "times logical_decoding_work_mem was exceeded", since(19)),
    counter("stream_txns", "transactions", "c.stream_txns", "transactions streamed in progress",
            since(14)),
    counter("stream_count", "times", "c.stream_count", "times transactions were streamed",
            since(14)),
    counter("stream_bytes", "bytes", "c.stream_bytes", "decoded bytes streamed in progress",
            since(14)),
    counter("total_txns", "transactions", "c.total_txns", "transactions decoded and sent",
            since(14)),
    counter("total_bytes", "bytes", "c.total_bytes", "bytes decoded and sent", since(14)),
    counter("slotsync_skip_count", "times", "c.slotsync_skip_count",
            "times its synchronization was skipped (standby)", since(19)),
    moment("slotsync_last_skip", "c.slotsync_last_skip",
           "when its synchronization was skipped last (standby)", since(19)),
    moment("stats_reset", "c.stats_reset",
           "since when its counters count; null since the slot was made", since(14)),
};

constexpr Source kReceiverSources[] = {
    {"FROM pg_catalog.pg_stat_wal_receiver s", since(13)},
};

constexpr Column kReceiver[] = {
    key("pid", kInt64, "s.pid::pg_catalog.int8", "process id of the WAL receiver"),
    label("status", kText, "s.status", "state of the receiver"),
    gauge("receive_start_lsn", kLsn, "", "s.receive_start_lsn", "where it began to receive"),
    gauge("receive_start_tli", kInt64, "", "s.receive_start_tli::pg_catalog.int8",
          "timeline it began with"),
    gauge("written_lsn", kLsn, "", "s.written_lsn", "WAL written up to here, not yet flushed"),
    gauge("flushed_lsn", kLsn, "", "s.flushed_lsn", "WAL flushed up to here"),
    gauge("received_tli", kInt64, "", "s.received_tli::pg_catalog.int8",
          "timeline of the last WAL flushed"),
    moment("last_msg_send_time", "s.last_msg_send_time", "the sender's clock in its last message"),
    moment("last_msg_receipt_time", "s.last_msg_receipt_time",
           "when the sender's last message came"),
    gauge("latest_end_lsn", kLsn, "", "s.latest_end_lsn",
          "the sender's last WAL position reported back"),
    moment("latest_end_time", "s.latest_end_time", "when that was"),
    label("slot_name", kText, "s.slot_name", "slot used at the sender"),
    label("sender_host", kText, "s.sender_host", "host, address or socket folder of the sender"),
    label("sender_port", kInt64, "s.sender_port::pg_catalog.int8", "port of the sender"),
    label("conninfo", kText, "s.conninfo",
          "connection string; the server shows secrets in it as asterisks"),
};

constexpr Rowset kRowsets[] = {
    shown_by(Presence::kSenders,
             {"pg_replication", "senders", Scope::kCluster, 0, kSendersSources, kSenders,
              "standbys and other receivers connected to this server"}),
    shown_by(Presence::kSlots,
             {"pg_replication", "slots", Scope::kCluster, 0, kSlotsSources, kSlots,
              "replication slots, with the counters of logical decoding"}),
    shown_by(Presence::kReceiver, {"pg_replication", "receiver", Scope::kCluster, 0,
                                   kReceiverSources, kReceiver, "the WAL receiver of a standby"}),
};

}  // namespace

std::span<const Rowset> pg_replication() { return kRowsets; }

}  // namespace pganalytics::parts
