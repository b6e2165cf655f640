// The worker "pganalytics visitor" (see the header). Its objects are made once and die with the
// process: what would need a destructor is reached through pointers, so that an ERROR jumps over
// plain data only.
#include "pganalytics/pg/visitor.hpp"

#include <ctime>

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/core/change_marks.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/pg/compat.hpp"
#include "pganalytics/pg/guard.hpp"
#include "pganalytics/pg/presence.hpp"
#include "pganalytics/pg/read_result.hpp"
#include "pganalytics/pg/relation_scan.hpp"
#include "pganalytics/pg/row_encoder.hpp"
#include "pganalytics/pg/statement_scan.hpp"
#include "pganalytics/pg/transaction.hpp"
#include "pganalytics/pg/visit_order.hpp"
#include "pganalytics/pg/visitor_session.hpp"
#include "pganalytics/pg/worker.hpp"
#include "visitor_parts.hpp"

namespace pganalytics::pg::visiting {

Visitor* visitor = nullptr;
VisitReport* report = nullptr;

namespace {

constexpr int64_t kUnixOfPostgres =
    int64_t{POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE} * USECS_PER_DAY;

shm_mq_handle* queue = nullptr;
uint32 send_wait_event = 0;
static emit_log_hook_type previous_log_hook = nullptr;

}  // namespace

uint64_t process_cpu_us() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

namespace {

// --- the way out

// An ERROR or FATAL of ours is the collector's to report, one line a minute, not the log's. What is
// said on connecting (of a database's wrong settings, of its collation's version) would be repeated
// with each visit.
void keep_error(ErrorData* data) {
    if (previous_log_hook != nullptr) previous_log_hook(data);
    if (data->elevel == PANIC || report == nullptr) return;
    data->output_to_server = false;
    if (data->elevel < ERROR) return;
    report->error_code = data->sqlerrcode;
    copy_text(report->error, data->message != nullptr ? data->message : "");
}

// The last moment in which the segment is there.
void close_report(int, Datum) {
    if (report != nullptr) report->cpu_us = process_cpu_us();
    report = nullptr;
}

// Any other exit code makes the postmaster write a line.
void leave_quietly(int, Datum) { proc_exit(0); }

[[noreturn]] void leave() { proc_exit(0); }

// --- the order

void decode_order(std::string_view bytes) {
    auto made = std::make_unique<Visitor>();
    auto order = decode<VisitOrder>(bytes);
    if (!order) return;
    made->order = *std::move(order);
    for (const uint16_t number : made->order.rowsets) {
        if (number >= catalog().size()) return;
        const Rowset& rowset = catalog()[number];
        Reading reading;
        reading.rowset = &rowset;
        reading.number = number;
        reading.sql = rowset_sql(rowset, kServerMajor);
        reading.columns = columns_for(rowset, kServerMajor);
        reading.types = types_of(reading.columns);
        reading.scan = relation_scan(rowset, reading.columns);
        for (const Column* column : reading.columns) {
            reading.text_forms.push_back(column->form);
            reading.summings.push_back(summing_of(*column));
        }
        reading.name = "reading " + std::string(rowset.plugin) + "." + std::string(rowset.name);
        if (!is_queried(rowset, kServerMajor) || reading.types.size() > kMaxColumns) return;
        order_slice(reading, made->order);
        made->readings.push_back(std::move(reading));
    }
    made->began_us = monotonic_us();
    visitor = made.release();
}

// Takes its place in the segment; leaves where the collector is gone already.
void attach(Datum handle) {
    CurrentResourceOwner = ResourceOwnerCreate(nullptr, "pganalytics visitor");
    dsm_segment* segment = dsm_attach(DatumGetUInt32(handle));
    if (segment == nullptr) leave();
    dsm_pin_mapping(segment);
    shm_toc* toc = shm_toc_attach(kVisitMagic, dsm_segment_address(segment));
    if (toc == nullptr) leave();
    report = static_cast<VisitReport*>(shm_toc_lookup(toc, kVisitKeyReport, false));
    const char* order = static_cast<char*>(shm_toc_lookup(toc, kVisitKeyOrder, false));
    auto* mq = static_cast<shm_mq*>(shm_toc_lookup(toc, kVisitKeyQueue, false));
    shm_mq_set_sender(mq, MyProc);
    queue = shm_mq_attach(mq, segment, nullptr);
    uint32_t length = 0;
    std::memcpy(&length, order, sizeof length);
    guarded([&] { decode_order({order + sizeof length, length}); });
    if (visitor == nullptr) ereport(ERROR, (errmsg("malformed order for a visit")));
}

}  // namespace

// --- handing over

int64_t left_us() { return visitor->order.deadline_us - monotonic_us(); }

namespace {

enum class Sent : uint8_t { kYes, kWait, kNever };

// One attempt, and a wait where the queue is full.
Sent try_send(const char* bytes, size_t size) {
    const shm_mq_result result = queue_send(queue, size, bytes);
    if (result == SHM_MQ_SUCCESS) return Sent::kYes;
    const int64_t left = left_us();
    if (result == SHM_MQ_DETACHED || left <= 0) return Sent::kNever;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left / 1000 + 1,
              send_wait_event);
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
    return Sent::kWait;
}

}  // namespace

bool hand_over(const char* bytes, size_t size) {
    Sent sent = Sent::kWait;
    FlatError error;
    while (sent == Sent::kWait) {
        if (!try_postgres([&] { sent = try_send(bytes, size); }, error)) return false;
    }
    return sent == Sent::kYes;
}

bool hand_over_rows(const RowEncoder& encoder) {
    for (const RowChunk* chunk = encoder.first; chunk != nullptr; chunk = chunk->next) {
        if (!hand_over(chunk->bytes, chunk->used)) return false;
    }
    return true;
}

// --- reading

void run_query(const char* sql, RowEncoder* encoder) {
    SPI_connect();
    SPIPlanPtr plan = SPI_prepare(sql, 0, nullptr);
    if (plan == nullptr) {
        ereport(ERROR,
                (errcode(ERRCODE_INTERNAL_ERROR),
                 errmsg("query could not be prepared: %s", SPI_result_code_string(SPI_result))));
    }
    run_plan_into(plan, &encoder->receiver, 0);
    SPI_finish();
}

TransactionOptions limits() {
    const int64_t left_ms = std::max<int64_t>(left_us() / 1000, 1);
    const int64_t limit = std::min<int64_t>(visitor->order.statement_timeout_ms, left_ms);
    return {.read_only = true, .snapshot = true, .timeout_ms = static_cast<int>(limit)};
}

namespace {

uint64_t rows_wanted(const Reading& reading) {
    const uint64_t most = visitor->order.max_rows;
    return most > reading.slice.before ? most - reading.slice.before : 0;
}

// In a transaction. By a query, where there is no cheaper way.
void fill_encoder(const Reading& reading, RowEncoder* encoder) {
    if (!may_have_rows(reading.rowset->presence)) return;
    if (can_scan_statements(*reading.rowset, reading.found, reading.found_version,
                            visitor->order.max_rows) &&
        scan_statements(reading.found, reading.columns, &encoder->receiver))
        return;
    run_query(reading.sql.c_str(), encoder);
}

// In a transaction. Readings of one pass (pass_length()) have one scan each.
void fill_encoders(const Reading* readings, size_t count, RowEncoder* const* encoders) {
    RelationTarget targets[kMaxRelationTargets] = {};
    for (size_t i = 0; i < count; ++i) {
        const std::vector<ColumnType>& types = readings[i].types;
        const RowShape shape = {types.data(), readings[i].text_forms.data(),
                                static_cast<int>(types.size()), readings[i].summings.data()};
        begin_rows(encoders[i], shape, rows_wanted(readings[i]));
        targets[i] = {&readings[i].scan, &encoders[i]->receiver};
    }
    if (readings->scan.columns > 0) {
        run_relation_scan({targets, count});
    } else {
        fill_encoder(*readings, *encoders);
    }
    for (size_t i = 0; i < count; ++i) keep_busiest(encoders[i]);
}

void read_rowsets(const Reading* readings, size_t count, RowEncoder* const* encoders,
                  ReadResult* result) {
    const int64_t began = monotonic_us();
    const uint64_t cpu = process_cpu_us();
    result->time = GetCurrentTimestamp() + kUnixOfPostgres;
    // A sequence that we looked at was not used.
    const bool counted = pgstat_track_counts;
    if ((readings->rowset->changes_with & kWithSequences) != 0) pgstat_track_counts = false;
    result->good = run_transaction(
        limits(),
        [&] {
            pgstat_report_activity(STATE_RUNNING, readings->name.c_str());
            result->time = GetCurrentTimestamp() + kUnixOfPostgres;
            fill_encoders(readings, count, encoders);
        },
        result->error);
    pgstat_track_counts = counted;
    pgstat_report_activity(STATE_IDLE, nullptr);
    result->elapsed_us = static_cast<uint64_t>(monotonic_us() - began);
    result->cpu_us = process_cpu_us() - cpu;
    for (size_t i = 0; i < count; ++i) {
        if (!result->good) drop_rows(encoders[i]);
        end_rows(encoders[i]);
    }
}

// The visit's time ran out in the midst of it, and it had not all of that time: another visit will
// do better.
bool is_cut(const ReadResult& result, bool first) {
    return !first && !result.good && result.error.code == ERRCODE_QUERY_CANCELED &&
           left_us() < kLeastLeftUs;
}

// --- extensions

// False: this database has none that can be asked, or not at a version with this rowset.
bool find_extension_of(Reading& reading) {
    const std::string name(reading.rowset->extension);
    const char* extension = name.c_str();
    FoundExtension& found = reading.found;
    FlatError error;
    const bool good = run_transaction(
        limits(), [&] { find_extension(extension, &found); }, error);
    const InstalledExtension installed = good ? installed_from(found) : InstalledExtension{};
    reading.found_version = installed.version;
    reading.sql = installed.version == 0 ? std::string()
                                         : extension_sql(*reading.rowset, kServerMajor, installed);
    return !reading.sql.empty();
}

bool hand_over_rowset(const Reading& reading, const ReadResult& result, const RowEncoder& encoder,
                      RowEncoder* spare) {
    RowsetBegin begin;
    begin.rowset = reading.number;
    begin.slice = reading.slice.number;
    begin.time = result.time;
    if (reading.rowset->scope == Scope::kDatabase) {
        begin.datid = visitor->order.database;
        begin.datname = visitor->order.datname;
    }
    RowsetEnd end = end_of(result, encoder, reading.columns);
    if (result.good && reading.slice.number != 0) end_slice(reading, encoder, spare, end);
    return hand_over(begin) && hand_over_rows(encoder) && hand_over(end);
}

// How many readings from this one on are read in one pass over pg_class: those with counters.
size_t pass_length(std::span<const Reading> readings) {
    size_t count = 0;
    while (count < std::min(readings.size(), kMaxRelationTargets) &&
           (readings[count].scan.needs & kNeedsCounters) != 0)
        ++count;
    return std::max<size_t>(count, 1);
}

// False when the visit is over.
bool visit_rowsets(std::span<Reading> readings, RowEncoder* const* encoders, bool first) {
    if (!readings[0].rowset->extension.empty() && !find_extension_of(readings[0]))
        return hand_over(RowsetAbsent{readings[0].number});
    if (readings[0].slice.number != 0) begin_slice(readings[0], encoders[0]);
    ReadResult result;
    read_rowsets(readings.data(), readings.size(), encoders, &result);
    if (is_cut(result, first)) {
        if (readings.size() == 1) note_too_long(readings[0], result.elapsed_us);
        report->cut = report->done = true;
        return false;
    }
    // Alone each can succeed or tell what is wrong with it.
    bool handed = true;
    if (!result.good && readings.size() > 1) {
        for (size_t i = 0; handed && i < readings.size(); ++i)
            handed = visit_rowsets(readings.subspan(i, 1), encoders, first && i == 0);
        return handed;
    }
    uint64_t all_rows = 0;
    for (size_t i = 0; i < readings.size(); ++i) all_rows += encoders[i]->rows;
    for (size_t i = 0; handed && i < readings.size(); ++i) {
        const uint64_t rows = encoders[i]->rows;
        handed = hand_over_rowset(readings[i], part_of(result, rows, all_rows), *encoders[i],
                                  encoders[kMaxRelationTargets - 1]);
        drop_rows(encoders[i]);
    }
    return handed;
}

void visit() {
    RowEncoder* encoders[kMaxRelationTargets];
    for (RowEncoder*& encoder : encoders)
        encoder = make_row_encoder(TopMemoryContext, visitor->order.statement_texts);
    if (visitor->order.tablespaces && !visit_tablespaces(encoders[0])) return;
    if (visitor->order.own_definitions && !visit_own_definitions(encoders[0])) return;
    const auto budget = static_cast<uint64_t>(std::max<int64_t>(visitor->order.cpu_budget_us, 0));
    const size_t slow = visitor->order.slow_rowsets;
    int64_t slow_left_us = visitor->order.slow_budget_us;
    bool first = true;
    bool first_slow = true;
    if (visitor->order.own_first) {
        if (!visit_own(encoders[0], first, &report->cut)) return;
        first = false;
    }
    for (std::span<Reading> left = visitor->readings; !left.empty();) {
        if (left_us() < kLeastLeftUs || (!first && process_cpu_us() >= budget)) {
            report->cut = true;
            break;
        }
        const bool is_slow = left.size() <= slow;
        if (is_slow && !first_slow && slow_left_us <= 0) break;
        const uint64_t cpu_us = process_cpu_us();
        const size_t count = pass_length(left);
        if (!visit_rowsets(left.first(count), encoders, first)) return;
        left = left.subspan(count);
        first = false;
        if (!is_slow) continue;
        first_slow = false;
        slow_left_us -= static_cast<int64_t>(process_cpu_us() - cpu_us);
    }
    if (!visitor->order.own_first && !report->cut && !visit_own(encoders[0], first, &report->cut))
        return;
    report->done = true;
}

[[noreturn]] void run(Datum segment) {
    on_proc_exit(leave_quietly, 0);
    start_worker_signals();
    attach(segment);
    send_wait_event = wait_event("PganalyticsVisitorSend");
    previous_log_hook = emit_log_hook;
    emit_log_hook = keep_error;
    before_shmem_exit(close_report, 0);

    prepare_session(visitor->order.lock_timeout_ms);
    BackgroundWorkerInitializeConnectionByOid(visitor->order.database, visitor->order.role, 0);
    FlatError error;
    const bool settled = run_transaction(
        {.read_only = true, .snapshot = false, .timeout_ms = 0}, [] { settle_session(); }, error);
    if (!settled) raise(error);
    guarded([] { visit(); });
    leave();
}

}  // namespace

}  // namespace pganalytics::pg::visiting

namespace pganalytics::pg {

void run_visitor(Datum segment) { visiting::run(segment); }

}  // namespace pganalytics::pg
