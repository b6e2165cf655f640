// The program's part of pganalytics_status() (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/status_report.hpp"

#include <cstdlib>

#include "pganalytics/core/row_format.hpp"
#include "pganalytics/core/ship_messages.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/host/process.hpp"
#include "pganalytics/host/sandbox.hpp"
#include "pganalytics/net/gzip.hpp"

namespace pganalytics::ship {

namespace {

// Where the hub takes rows to be from the future.
constexpr int64_t kClocksApartSeconds = 600;

class Table {
  public:
    explicit Table(std::string_view component) : component_(component) {}

    void component(std::string_view name) { component_ = name; }
    void text(std::string_view name, std::string_view value, std::string_view note = {}) {
        row(name, value, {}, note);
    }
    void row(std::string_view name, std::string_view value, std::string_view unit,
             std::string_view note) {
        rows_.begin();
        for (const std::string_view field : {component_, name, value, unit, note}) {
            if (field.empty()) {
                rows_.null();
            } else {
                rows_.text(field);
            }
        }
        rows_.end();
    }
    void number(std::string_view name, uint64_t value, std::string_view unit = {},
                std::string_view note = {}) {
        row(name, std::to_string(value), unit, note);
    }
    void time(std::string_view name, int64_t value, std::string_view note = {}) {
        std::string text;
        if (value == 0 || !append_time(text, value)) text = "never";
        row(name, text, {}, note);
    }
    std::string take() { return rows_.take(); }

  private:
    std::string_view component_;
    RowBuilder rows_{answer_types(RequestKind::kStatus)};
};

std::string advice(const Error& error) {
    if (error.detail.empty() || error.hint.empty()) return error.detail + error.hint;
    return error.detail + " " + error.hint;
}

// When it ends and who sees to the next one.
void describe_certificate(Table& table, const Renewal& renewal, Moment now) {
    if (renewal.ends_at() == 0) return table.text("certificate", "unreadable");
    const bool over = renewal.ends_at() < renewal.hub_time(now);
    if (renewal.given()) {
        table.time("certificate_expires_at", renewal.ends_at(),
                   over ? "It has expired: replace pganalytics.cert_file and key_file."
                        : "Yours (pganalytics.cert_file): replace the files in time; they are "
                          "read at once.");
        return table.text("certificate_renews_at", "never", "It is not the hub's to renew.");
    }
    table.time("certificate_expires_at", renewal.ends_at(),
               !over                     ? ""
               : renewal.hub_was_heard() ? "It has expired: enrol this server again."
                                         : "It has expired by this server's clock: where that is "
                                           "right, enrol this server again.");
    const std::optional<Error>& problem = renewal.problem();
    table.time("certificate_renews_at", renewal.renews_at(),
               problem ? "The last try failed: " + problem->message + ". " + advice(*problem)
                       : "By itself; nothing has to be done.");
}

// Which of the two is wrong can't be told from here.
void describe_clocks(Table& table, const Renewal& renewal, Moment now) {
    if (!renewal.hub_was_heard()) return;
    const int64_t ahead = (now.wall - renewal.hub_time(now)) / kMicrosecondsPerSecond;
    const bool apart = std::abs(ahead) > kClocksApartSeconds;
    table.row("clock_ahead", std::to_string(ahead), "seconds",
              apart ? "This server's clock and the hub's are apart: set right the one that is "
                      "wrong. Rows from the hub's future get its time; those older than it keeps "
                      "rows are not kept."
                    : "Of the hub's clock at its last answer.");
}

void describe_hub(Table& table, const StatusSource& source) {
    const HubLink& link = source.link;
    const DeliveryFigures& delivery = link.delivery().figures();
    const bool failing = delivery.failing;
    table.component("hub");
    if (link.enrolling()) {
        table.text("state", "enrolling");
    } else if (!link.identity()) {
        const Error problem = link.problem();
        table.text("state", "not enrolled", problem.message + ". " + advice(problem));
    } else {
        table.text("state", failing ? "failing" : "enrolled");
    }
    if (link.identity()) {
        table.text("url", link.hub_url());
        table.text("collector_id", uuid_text(link.identity()->collector_id),
                   link.identity()->self_enrolled ? "Enrolled with this server's own hub." : "");
        describe_certificate(table, link.renewal(), source.now);
        describe_clocks(table, link.renewal(), source.now);
    }
    table.time("last_success", delivery.last_success);
    if (failing) table.text("last_error", delivery.last_error.message, advice(delivery.last_error));
    if (delivery.last_failure != 0) table.time("last_failure", delivery.last_failure);
    const std::optional<int64_t> due = link.delivery().due();
    if (failing && due && *due > source.now.monotonic)
        table.time("next_try", source.now.wall + *due - source.now.monotonic);
}

void describe_delivery(Table& table, const StatusSource& source) {
    const DeliveryFigures& delivery = source.link.delivery().figures();
    table.component("delivery");
    table.number("attempts", delivery.attempts, "requests");
    table.number("acknowledged", delivery.delivered, "snapshots");
    table.number("duplicates", delivery.duplicates, "snapshots",
                 "Sent twice because an answer was lost; stored once.");
    table.number("rows", delivery.rows, "rows");
    table.number("too_old", delivery.too_old, "rows",
                 delivery.too_old == 0 ? ""
                                       : "The hub does not keep rows of that time; where they were "
                                         "not waiting that long, a clock is wrong.");
    table.number("bytes_json", delivery.bytes_json, "bytes");
    table.number("bytes_gzip", delivery.bytes_gzip, "bytes");
    table.number("token_renewals", delivery.token_renewals, "requests");
    table.number("handshakes", delivery.handshakes, "connections");
    table.component("queue");
    table.number("snapshots", source.queue.snapshots(), "snapshots");
    table.number("bytes", source.queue.bytes(), "bytes");
    table.number("limit", source.queue.limit(), "bytes",
                 source.queue.spool_figures() ? "Of the spool on disk (pganalytics.spool_limit)."
                                              : "In memory only: a restart loses what waits.");
    if (source.queue.oldest_time() != 0) table.time("oldest", source.queue.oldest_time());
}

void describe_spool(Table& table, const StatusSource& source) {
    const std::optional<SpoolFigures> spool = source.queue.spool_figures();
    const std::optional<Error>& problem = source.queue.problem();
    table.component("spool");
    if (problem) {
        table.text("state", spool ? "failing" : "not usable",
                   problem->message + ". " + advice(*problem) +
                       " Until then what waits for the hub is in memory.");
    } else if (!spool) {
        table.text("state", "none", "There is no usable state directory.");
    } else if (spool->snapshots == 0) {
        table.text("state", "empty", "Nothing waits for the hub but what is on its way.");
    } else {
        table.text("state", "in use", "The hub gets it when it is back; nothing has to be done.");
    }
    if (!spool) return;
    table.number("snapshots", spool->snapshots, "snapshots");
    table.number("bytes", spool->bytes, "bytes", "Of all its files.");
    table.number("segments", spool->segments, "files");
    table.number(
        "aside_files", spool->aside_files, "files",
        spool->aside_files == 0 ? "" : "Refused or damaged; in the spool's folder, .aside.");
    table.number("aside_bytes", spool->aside_bytes, "bytes");
    if (spool->foreign_bytes > 0)
        table.number("foreign_bytes", spool->foreign_bytes, "bytes",
                     "Of a later version, or not ours: left alone. That version sends what is in "
                     "them when it runs again.");
}

std::string why_dropped(const LossBook& losses) {
    std::string why;
    for (const LossReason reason :
         {LossReason::kLimit, LossReason::kNoRoom, LossReason::kStranger}) {
        if (losses.total(reason).nothing()) continue;
        if (!why.empty()) why += " ";
        why +=
            std::to_string(losses.total(reason).snapshots) + ": " + std::string(loss_note(reason));
    }
    return why;
}

void describe_losses(Table& table, std::string_view component, const Losses& losses,
                     std::string_view note) {
    table.component(component);
    table.number("snapshots", losses.snapshots, "snapshots", note);
    if (losses.snapshots == 0) return;
    table.number("rows", losses.rows, "rows");
    table.number("bytes_json", losses.bytes, "bytes");
    table.time("first", losses.first_time);
    table.time("last", losses.last_time);
}

void describe_cycles(Table& table, const StatusSource& source) {
    const ShipFigures& figures = source.figures;
    table.component("cycles");
    table.number("read", figures.cycles, "cycles");
    table.number("not_sent", figures.cycles_not_sent, "cycles",
                 "There was no hub to send them to.");
    table.number("rows_read", figures.rows_read, "rows");
    table.number("rows_sent", figures.rows_sent, "rows");
    table.number("rowset_errors", figures.rowset_errors, "rowsets", figures.last_rowset_error);
    table.number("host_readings_missed", figures.host_readings_missed, "readings");
    table.number("last_cpu", figures.cycle_cpu_us, "microseconds");
    table.component("filter");
    table.number("rows", source.filter.rows(), "rows");
    table.number("bytes", source.filter.bytes(), "bytes");
    table.component("pg_log");
    table.text("state", "declared, no rows", "Log events are not collected yet.");
}

void describe_program(Table& table, const StatusSource& source) {
    const host::SelfUsage usage = host::self_usage();
    table.component("program");
    table.text("incarnation", uuid_text(source.incarnation));
    table.number("sequence", source.next_sequence - 1);
    table.number("cpu", usage.cpu_us, "microseconds");
    table.number("resident", usage.resident_bytes, "bytes");
    table.number("private_memory", usage.private_bytes, "bytes");
    table.text("libraries", net::https_library_text() + ", " + net::gzip_library_text() + ", " +
                                host::filter_library_text());
    table.component("state_directory");
    table.text("path", source.state_directory);
    if (source.state_problem) {
        table.text("state", "not usable",
                   source.state_problem->message + ". " + advice(*source.state_problem) +
                       " It is looked at every few seconds.");
    } else {
        table.text("state", "usable");
    }
}

void describe_sandbox(Table& table, const host::Sandbox& sandbox) {
    table.component("sandbox");
    for (const host::Sandbox::Layer& layer : sandbox.layers())
        table.text(layer.name, layer.state, layer.note);
}

}  // namespace

std::string status_report(const StatusSource& source) {
    Table table("hub");
    describe_hub(table, source);
    describe_delivery(table, source);
    describe_spool(table, source);
    const LossBook& losses = source.queue.losses();
    describe_losses(table, "dropped", losses.dropped(), why_dropped(losses));
    describe_losses(table, "set_aside", losses.total(LossReason::kRefused),
                    loss_note(LossReason::kRefused));
    describe_losses(table, "damaged", losses.total(LossReason::kDamaged),
                    loss_note(LossReason::kDamaged));
    describe_cycles(table, source);
    describe_program(table, source);
    describe_sandbox(table, source.sandbox);
    return table.take();
}

}  // namespace pganalytics::ship
