// What the collector worker and `pganalytics ship` say to each other.
//
//   collector: Hello, ShipSettings, ServerFacts, then cycles:
//              CycleBegin (RowsetBegin RowsetRows* RowsetEnd)* CycleEnd
//              and at any time between rowsets: ShipSettings, ServerFacts, Request, Heartbeat,
//              SelfEnrol, Stop
//   ship:      Hello, LogLine, HeartbeatAnswer, AnswerPart*, AnswerEnd, NeedSelfEnrolment,
//              NeedComplete
//
// Times are microseconds since 1970-01-01 UTC.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pganalytics/core/column_type.hpp"
#include "pganalytics/core/frame.hpp"

namespace pganalytics {

// The local settings the program needs; sent at its start and after each change.
struct ShipSettings {
    static constexpr FrameType kType = FrameType::kShipSettings;
    bool enabled = true;
    std::string hub_url;  // empty: the state directory's
    std::string ca_file;  // empty, also the next two: state directory
    std::string cert_file;
    std::string key_file;
    std::string state_directory;
    bool own_hub = false;  // pganalytics.hub is on and this server is not in recovery
    int32_t collect_interval_ms = 60000;
    int32_t full_interval_s = 3600;
    int32_t config_pull_interval_s = 300;
    bool remote_config = true;
    int64_t spool_limit = 0;   // bytes
    int64_t memory_limit = 0;  // bytes, of the program
    static void fields(auto& self, auto& codec) {
        codec(self.enabled, self.hub_url, self.ca_file, self.cert_file, self.key_file,
              self.state_directory, self.own_hub, self.collect_interval_ms, self.full_interval_s,
              self.config_pull_interval_s, self.remote_config, self.spool_limit, self.memory_limit);
    }
};

struct TablespaceFact {
    uint32_t oid = 0;
    std::string name;
    std::string path;
    static void fields(auto& self, auto& codec) { codec(self.oid, self.name, self.path); }
};

// What the server is; sent at the program's start and when it changes (promotion, reload).
struct ServerFacts {
    static constexpr FrameType kType = FrameType::kServerFacts;
    std::string system_identifier;
    int32_t server_version_num = 0;
    std::string server_version;
    bool in_recovery = false;
    std::string cluster_name;
    int32_t postmaster_pid = 0;
    std::string data_directory;
    std::string log_directory;  // absolute; empty: the server does not write log files
    std::vector<std::string> temp_tablespaces;
    std::vector<TablespaceFact> tablespaces;  // but pg_default and pg_global
    static void fields(auto& self, auto& codec) {
        codec(self.system_identifier, self.server_version_num, self.server_version,
              self.in_recovery, self.cluster_name, self.postmaster_pid, self.data_directory,
              self.log_directory, self.temp_tablespaces, self.tablespaces);
    }
};

enum class CyclePurpose : uint8_t {
    kScheduled = 0,
    kCollectNow = 1,  // as scheduled, but at once and with every rowset due
    kPushNow = 2,     // the same, and delivered at once
    kPreview = 3,     // every row, shown to the asking session, sent to nobody, no state changed
};

struct CycleBegin {
    static constexpr FrameType kType = FrameType::kCycleBegin;
    uint64_t number = 0;  // counted from the worker's start
    CyclePurpose purpose = CyclePurpose::kScheduled;
    int64_t time = 0;
    // Request that asked for the cycle; 0: none. Answered by the program when it is read
    // (collect_now, preview) or when the hub has answered (push_now).
    uint64_t request = 0;
    std::vector<uint16_t>
        host_rowsets;  // kHost and kProgram rowsets due, which the program makes itself
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.purpose, self.time, self.request, self.host_rowsets);
    }
};

struct RowsetBegin {
    static constexpr FrameType kType = FrameType::kRowsetBegin;
    uint16_t rowset = 0;
    uint32_t datid = 0;  // 0: cluster
    std::string datname;
    int64_t time = 0;
    bool partial = false;  // changed rows only; what is not named is as it was
    uint16_t slice = 0;    // of the rowset, counted from 1 in each round; 0: it is whole
    // Of own.rows: which of the users' rowsets; the number is another for another definition.
    uint16_t own = 0;
    std::string own_name;
    static void fields(auto& self, auto& codec) {
        codec(self.rowset, self.datid, self.datname, self.time, self.partial, self.slice, self.own,
              self.own_name);
    }
};

// Payload: rows of the rowset begun last, as in row_format.hpp, whole rows only. (No codec: the
// payload is the rows themselves.)

struct RowsetEnd {
    static constexpr FrameType kType = FrameType::kRowsetEnd;
    uint64_t rows = 0;
    // False where a limit, a timeout or an error cut it: nothing is proven gone. True also where
    // rows are left out: those that are there are the busiest (pganalytics.max_rows).
    bool complete = false;
    uint64_t elapsed_us = 0;
    uint64_t cpu_us = 0;
    std::string sqlstate;  // empty: no error
    std::string message;
    uint64_t left_out = 0;  // rows
    std::string sums;       // of these, a json object by column; empty: none is left out
    uint32_t last = 0;      // of a slice with more behind it: OID of its last object
    static void fields(auto& self, auto& codec) {
        codec(self.rows, self.complete, self.elapsed_us, self.cpu_us, self.sqlstate, self.message,
              self.left_out, self.sums, self.last);
    }
};

// What the worker counted since its start; times in microseconds since 1970.
struct WorkerCounts {
    int64_t started_at = 0;
    uint64_t cycles = 0;
    uint64_t cycles_skipped = 0;
    uint64_t visits = 0;
    uint64_t visits_failed = 0;
    uint64_t visits_cut = 0;
    uint64_t visits_without_worker = 0;
    uint64_t rowsets_read = 0;
    uint64_t rowsets_failed = 0;
    uint64_t rowsets_dropped = 0;
    uint64_t rows = 0;
    uint64_t bytes = 0;
    uint64_t worker_cpu_us = 0;
    uint64_t visitors_cpu_us = 0;
    uint64_t program_starts = 0;
    uint32_t databases = 0;
    uint32_t databases_waiting = 0;
    int64_t waiting_since = 0;  // of the database that has waited longest; 0: none
    static void fields(auto& self, auto& codec) {
        codec(self.started_at, self.cycles, self.cycles_skipped, self.visits, self.visits_failed,
              self.visits_cut, self.visits_without_worker, self.rowsets_read, self.rowsets_failed,
              self.rowsets_dropped, self.rows, self.bytes, self.worker_cpu_us, self.visitors_cpu_us,
              self.program_starts, self.databases, self.databases_waiting, self.waiting_since);
    }
};

struct OwnNumber {
    uint16_t number = 0;
    std::string name;
    static void fields(auto& self, auto& codec) { codec(self.number, self.name); }
};

struct CycleEnd {
    static constexpr FrameType kType = FrameType::kCycleEnd;
    uint64_t number = 0;
    uint32_t databases_visited = 0;
    uint32_t databases_waiting = 0;   // left for the next cycle
    std::vector<uint32_t> databases;  // every database there is: state of others is forgotten
    WorkerCounts counts;
    // Rowsets and databases for which partial readings stand, also where nothing changed.
    std::vector<uint16_t> partial_rowsets;
    std::vector<uint32_t> partial_databases;
    // Users' own rowsets there are; empty: not known. Of others what was sent is gone.
    std::optional<std::vector<OwnNumber>> own = {};
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.databases_visited, self.databases_waiting, self.databases,
              self.counts, self.partial_rowsets, self.partial_databases, self.own);
    }
};

// After a CycleEnd: databases of which the next readings have to be complete, because something of
// them was lost, was never sent, or has to be sent whole again.
struct NeedComplete {
    static constexpr FrameType kType = FrameType::kNeedComplete;
    std::vector<uint32_t> databases;
    static void fields(auto& self, auto& codec) { codec(self.databases); }
};

// The first three are answered by a cycle: the Request goes first (for its arguments and timeout),
// then the cycle whose CycleBegin names its number.
enum class RequestKind : uint8_t {
    kCollectNow = 1,
    kPushNow = 2,
    kPreview = 3,  // arguments: plugin or nothing
    kStatus = 4,
    kRegister = 5,  // arguments: url, token
    kUnregister = 6,
    kReload = 7,
};

struct Request {
    static constexpr FrameType kType = FrameType::kRequest;
    uint64_t number = 0;
    RequestKind kind = RequestKind::kStatus;
    std::vector<std::string> arguments;
    int32_t timeout_ms = 30000;
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.kind, self.arguments, self.timeout_ms);
    }
};

// Address and token of the server's own hub, for enrolment over loopback.
struct SelfEnrol {
    static constexpr FrameType kType = FrameType::kSelfEnrol;
    std::string url;
    std::string token;
    static void fields(auto& self, auto& codec) { codec(self.url, self.token); }
};

struct NeedSelfEnrolment {
    static constexpr FrameType kType = FrameType::kNeedSelfEnrolment;
    static void fields(auto&, auto& codec) { codec(); }
};

// A piece of an answer: text (preview, register) or rows as in row_format.hpp with the types of
// answer_types(kind).
struct AnswerPart {
    static constexpr FrameType kType = FrameType::kAnswerPart;
    uint64_t number = 0;
    std::string bytes;
    static void fields(auto& self, auto& codec) { codec(self.number, self.bytes); }
};

struct AnswerEnd {
    static constexpr FrameType kType = FrameType::kAnswerEnd;
    uint64_t number = 0;
    std::string sqlstate;  // empty: no error
    std::string message;
    std::string detail;
    std::string hint;
    static void fields(auto& self, auto& codec) {
        codec(self.number, self.sqlstate, self.message, self.detail, self.hint);
    }
};

// Columns of an answer made of rows; empty for answers of text.
//   collect_now: plugin, rowset, datname text, rows int64, ms float64, error text
//   push_now:    snapshot_id uuid, sequence, rows, bytes_json, bytes_gzip int64, status text,
//                duplicate bool, metrics_inserted int64, took int64 (microseconds)
//   status:      component, name, value, unit, note text
std::span<const ColumnType> answer_types(RequestKind kind);

}  // namespace pganalytics
