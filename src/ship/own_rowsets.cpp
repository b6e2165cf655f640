// Figures of our own as rows (see the header). Runs in `pganalytics ship`.
#include "pganalytics/ship/own_rowsets.hpp"

#include "pganalytics/core/catalog.hpp"
#include "pganalytics/host/process.hpp"

namespace pganalytics::ship {

namespace {

constexpr size_t kMostErrorBytes = 500;

void put(RowBuilder& out, uint64_t count) { out.integer(static_cast<int64_t>(count)); }

void put_ms(RowBuilder& out, uint64_t microseconds) {
    out.real(static_cast<double>(microseconds) / 1000);
}

// 0: never.
void put_time(RowBuilder& out, int64_t time) {
    if (time == 0) {
        out.null();
    } else {
        out.integer(time);
    }
}

void put_worker(RowBuilder& out, const WorkerCounts& worker) {
    for (const uint64_t count :
         {worker.cycles, worker.cycles_skipped, worker.visits, worker.visits_failed,
          worker.visits_cut, worker.visits_without_worker, worker.rowsets_read,
          worker.rowsets_failed, worker.rowsets_dropped, worker.rows, worker.bytes})
        put(out, count);
    put_ms(out, worker.worker_cpu_us);
    put_ms(out, worker.visitors_cpu_us);
    put(out, worker.program_starts);
    put(out, worker.databases);
    put(out, worker.databases_waiting);
    put_time(out, worker.waiting_since);
}

void put_program(RowBuilder& out, const StatusSource& status) {
    const host::SelfUsage usage = host::self_usage();
    const ShipFigures& figures = status.figures;
    put_ms(out, usage.cpu_us);
    put(out, usage.private_bytes);
    put(out, status.filter.rows());
    put(out, status.filter.bytes());
    for (const uint64_t count : {figures.rows_sent, figures.rowset_errors,
                                 figures.host_readings_missed, figures.cycles_not_sent})
        put(out, count);
}

void put_delivery(RowBuilder& out, const StatusSource& status) {
    const SpoolQueue& queue = status.queue;
    put(out, queue.snapshots());
    put(out, queue.bytes());
    put(out, queue.limit());
    put_time(out, queue.oldest_time());
    const DeliveryFigures& delivery = status.link.delivery().figures();
    for (const Losses& losses :
         {queue.losses().dropped(), queue.losses().total(LossReason::kRefused)}) {
        put(out, losses.snapshots);
        put(out, losses.rows);
    }
    for (const uint64_t count :
         {delivery.attempts, delivery.delivered, delivery.duplicates, delivery.bytes_json,
          delivery.bytes_gzip, delivery.handshakes, delivery.token_renewals})
        put(out, count);
    const Losses& damaged = queue.losses().total(LossReason::kDamaged);
    put(out, damaged.snapshots);
    put(out, damaged.rows);
    const std::optional<SpoolFigures> spool = queue.spool_figures();
    for (const auto figure : {&SpoolFigures::bytes, &SpoolFigures::aside_bytes}) {
        if (spool) {
            put(out, *spool.*figure);
        } else {
            out.null();
        }
    }
}

void put_collector(RowBuilder& out, const OwnSource& source) {
    out.begin();
    put_time(out, source.worker.started_at);
    put_time(out, source.started_at);
    put_worker(out, source.worker);
    put_program(out, source.status);
    put_delivery(out, source.status);
    out.end();
}

void put_losses(RowBuilder& out, const LossBook& book) {
    for (const LossEpisode& episode : book.episodes()) {
        out.begin();
        put(out, episode.number);
        out.text(loss_name(episode.reason));
        put(out, episode.losses.snapshots);
        put(out, episode.losses.rows);
        put(out, episode.losses.bytes);
        for (const int64_t time : {episode.losses.first_time, episode.losses.last_time,
                                   episode.began_at, episode.ended_at})
            put_time(out, time);
        out.end();
    }
}

void put_costs(RowBuilder& out, const RowsetCosts& costs) {
    for (const auto& [number, figures] : costs.figures()) {
        const Rowset& rowset = catalog()[number];
        out.begin();
        out.text(std::string(rowset.plugin) + "." + std::string(rowset.name));
        for (const uint64_t count :
             {figures.readings, figures.incomplete, figures.errors, figures.rows, figures.sent})
            put(out, count);
        put_ms(out, figures.elapsed_us);
        put_ms(out, figures.cpu_us);
        put_time(out, figures.last_error_at);
        if (figures.last_error.empty()) {
            out.null();
        } else {
            out.text(figures.last_error);
        }
        out.end();
    }
}

}  // namespace

void RowsetCosts::count(std::span<const RowsetReport> reports, bool sent, int64_t time) {
    for (const RowsetReport& report : reports) {
        RowsetFigures& figures = figures_[rowset_number(*report.rowset)];
        ++figures.readings;
        figures.rows += report.rows;
        if (sent) figures.sent += report.sent;
        figures.elapsed_us += report.elapsed_us;
        figures.cpu_us += report.cpu_us;
        if (!report.complete || report.left_out > 0) ++figures.incomplete;
        if (report.error.empty()) continue;
        ++figures.errors;
        figures.last_error_at = time;
        figures.last_error = report.error.substr(0, kMostErrorBytes);
        if (!report.datname.empty())
            figures.last_error = report.datname + ": " + figures.last_error;
    }
}

Status read_own_rowset(const Rowset& rowset, const OwnSource& source, RowBuilder& out) {
    if (rowset.name == "collector") {
        put_collector(out, source);
    } else if (rowset.name == "losses") {
        put_losses(out, source.status.queue.losses());
    } else if (rowset.name == "left_out") {
        source.left_outs.put_rows(out);
    } else {
        put_costs(out, source.costs);
    }
    return {};
}

}  // namespace pganalytics::ship
