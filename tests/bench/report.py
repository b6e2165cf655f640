"""The report: plain text, our figures and the others' side by side, goals beside what was reached."""

import os
import platform

import collector
import front
import peer
from accounting import Peak, median, percentile
from overhead import TRANSACTIONS, Ratio

KB = 1000
MB = 1024  # kilobytes of memory


class Report:
    def __init__(self) -> None:
        self.missed: list[str] = []
        self.reached = 0

    # --- forms

    def heading(self, text: str) -> None:
        print(f"\n{text}\n{'-' * len(text)}", flush=True)

    def table(self, head: list[str], rows: list[list[str]]) -> None:
        widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, ["-" * width for width in widths], *rows]:
            cells = [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))]
            print("  " + "  ".join(cells).rstrip(), flush=True)

    def goal(self, what: str, value: float, limit: float, unit: str, at_least: bool = False) -> list[str]:
        """A row of the table of goals; remembers what was missed."""
        digits = 0 if limit == int(limit) else 2
        met = value >= limit if at_least else value <= limit
        if met:
            self.reached += 1
        else:
            self.missed.append(what)
        sign = ">=" if at_least else "<="
        return [what, f"{value:,.{digits}f} {unit}", f"{sign} {limit:,.{digits}f} {unit}", "yes" if met else "NO"]

    # --- parts

    def machine(self, server_version: str) -> None:
        load = os.getloadavg()
        print(
            f"pganalytics bench: {server_version}, {platform.machine()}, {os.cpu_count()} cores,"
            f" load {load[0]:.1f} {load[1]:.1f} {load[2]:.1f}\n"
            "CPU is user and system time of the processes named, from the kernel's own counters."
        )

    def cycles(self, figures: collector.Figures) -> None:
        self.heading(
            f"Collector: {figures.title} with 2 indexes each"
            f" ({figures.relations:,} relations in the largest of {figures.databases} databases),"
            f" {figures.statements:,} statements"
        )
        kinds = {
            "first of the server": figures.began,
            "first of a new run": figures.first,
            "after it, the dearest": figures.turns,
            "whole again": figures.whole,
            "sparse, asked for": figures.sparse,
            "sparse, scheduled": figures.scheduled,
        }
        rows = [
            [
                name,
                f"{c.worker_ms:.1f}",
                f"{c.visitors_ms:.1f}",
                f"{c.visitors_told_ms:.1f}",
                f"{c.program_ms:.1f}",
                f"{c.cpu_ms:.1f}",
                f"{c.wall_ms:.0f}",
                f"{c.rows:,.0f}",
                f"{c.bytes_json / KB:,.1f}",
                f"{c.bytes_gzip / KB:,.1f}",
            ]
            for name, c in kinds.items()
            if c
        ]
        self.table(
            ["CPU ms of a cycle", "worker", "visitors", "(status())", "program", "all", "wall ms"]
            + ["rows", "JSON kB", "gzip kB"],
            rows,
        )
        print(
            "  First: all rowsets but those that wait their turn, which they take in the cycles after it; of the"
            " server: with a visit to each database; of a new run of the program. Whole again: tables, indexes and"
            " functions.\n"
            f"  Sparse: {collector.PERCENT} % of the tables and of the statements used in between. Asked for: every rowset is"
            " read; scheduled: those that are due (relations: every 10 min)."
        )
        for name, peak in (
            ("first cycle", figures.memory_full), ("sparse, asked for", figures.memory_sparse),
            ("sparse, scheduled", figures.memory_scheduled),
        ):  # fmt: skip
            print(f"  Private memory, {name}: {_peak(peak)}")
        print(f"  Between cycles: {figures.idle_ms_per_s:.2f} ms of CPU a second")
        top = ", ".join(f"{p.rowset} {p.ms:.0f} ms ({p.rows:,} rows)" for p in figures.phases[:4])
        print(f"  Reading, wall time as pganalytics_collect_now() tells: {top}")

    def beside_peer(self, figures: collector.Figures, scrape: peer.Scrape) -> None:
        self.heading(
            f"Beside prometheus-postgres-exporter {scrape.version}, same server, {figures.title}"
        )
        peer_ms = scrape.exporter_ms + scrape.backend_ms
        rows = []
        for name, ours, theirs, form in (
            ("CPU ms, in the server", figures.full.visitors_ms + figures.full.worker_ms, scrape.backend_ms, ".0f"),
            ("CPU ms, outside", figures.full.program_ms, scrape.exporter_ms, ".0f"),
            ("CPU ms, all", figures.full.cpu_ms, peer_ms, ".0f"),
            ("CPU ms, all, steady", figures.scheduled.cpu_ms, peer_ms, ".0f"),
            ("kB before gzip", figures.full.bytes_json / KB, scrape.bytes_text / KB, ",.0f"),
            ("kB gzipped", figures.full.bytes_gzip / KB, scrape.bytes_gzip / KB, ",.0f"),
            ("kB gzipped, steady", figures.scheduled.bytes_gzip / KB, scrape.bytes_gzip / KB, ",.0f"),
            ("private memory MB", figures.memory_full.total_kb / MB, scrape.memory.total_kb / MB, ".1f"),
        ):
            rows.append([name, format(ours, form), format(theirs, form), f"{theirs / ours:.1f}"])
        self.table(["", "pganalytics", "exporter", "theirs / ours"], rows)
        print(
            f"  The exporter: {scrape.series:,} series of user tables and their indexes of one database, with no"
            " TLS and everything in each scrape.\n"
            "  pganalytics: every table, TOAST table and index of every database, attributes of relations, the"
            " host; TLS 1.3. Steady: 5 % changed."
        )

    def hub(self, figures: front.Figures) -> None:
        self.heading("Hub")
        shakes = figures.handshakes
        print(
            f"  Enrolment: {figures.enrolled} collectors in {figures.enrol_wall_s:.1f} s, one after the other"
            " (key, request, token, certificate)"
        )
        print(
            f"  Handshakes (TLS 1.3, both certificates, no resumption): {shakes.front_ms_each:.2f} ms CPU of the"
            f" front, {1000 / shakes.front_ms_each:,.0f} a CPU second; at the client"
            f" {median(shakes.client_wall_ms):.1f} ms wall (median of {shakes.count})"
        )
        rows = [
            self._pushes("20,000 rows of tables", figures.large),
            self._pushes("15 rowsets x 20 rows", figures.small),
            self._pushes(f"{figures.enrolled} collectors, 10 s", figures.fleet),
        ]
        self.table(
            ["pushes", "count", "rows", "gzip MB", "worker ms", "front ms", "others ms", "pushes/CPU s"]
            + ["rows/CPU s", "p50 ms", "p99 ms", "busy"],
            rows,
        )
        share = figures.fleet.cost.cpu_ms / figures.fleet.cost.wall_s / 10
        print(
            f"  Per CPU second of worker and front; \"others\" is the rest of the hub's server. The fleet took"
            f" {share:.1f} % of a core for {figures.fleet_seconds:.0f} s."
        )
        print(f"  Private memory, large pushes: {_peak(figures.memory_large)}")
        print(f"  Private memory, fleet: {_peak(figures.memory_fleet)}")

    def _pushes(self, name: str, pushes: front.Pushes) -> list[str]:
        return [
            name,
            f"{pushes.count:,}",
            f"{pushes.rows:,}",
            f"{pushes.bytes_gzip / 1e6:.1f}",
            f"{pushes.cost.worker_ms:,.0f}",
            f"{pushes.cost.front_ms:,.0f}",
            f"{pushes.cost.others_ms:,.0f}",
            f"{pushes.pushes_per_cpu_second:,.0f}",
            f"{pushes.rows_per_cpu_second:,.0f}",
            f"{percentile(pushes.latencies_ms, 50):.1f}",
            f"{percentile(pushes.latencies_ms, 99):.1f}",
            str(pushes.busy),
        ]

    def promised(self, all_figures: list[collector.Figures], hub: front.Figures) -> None:
        """What the v3 family of pgAnalytics promised of a cycle, beside what we measure."""
        self.heading("What the v3 family promised, and what is")
        head = ["", "promised"] + [figures.title for figures in all_figures]
        shake = median(hub.handshakes.client_wall_ms)

        def line(name: str, promise: str, *values: str) -> list[str]:
            return [name, promise, *values]

        def each(form: str, value: object) -> list[str]:
            return [format(value(figures), form) for figures in all_figures]  # type: ignore[operator]

        self.table(
            head,
            [
                line("collection, ms (CPU, worker + visitors)", "< 100", *each(".0f", lambda f: f.scheduled.worker_ms + f.scheduled.visitors_ms)),
                line("serialisation + compression + TLS, ms (CPU, program)", "< 50 + < 50", *each(".0f", lambda f: f.scheduled.program_ms)),
                line("  the same of a full cycle", "< 50 + < 50", *each(".0f", lambda f: f.full.program_ms)),
                line("handshake, ms (wall)", "< 100", *[f"{shake:.1f}" for _ in all_figures]),
                line("whole cycle, stored, ms (wall)", "< 500", *each(".0f", lambda f: f.scheduled.wall_ms)),
                line("  the same, every rowset asked for", "< 500", *each(".0f", lambda f: f.sparse.wall_ms)),
                line("  the same, full", "< 500", *each(".0f", lambda f: f.full.wall_ms)),
                line("memory, MB", "50 - 100", *each(".0f", lambda f: f.memory_full.total_kb / MB)),
                line("CPU at one cycle a minute, % of a core", "< 2", *each(".2f", lambda f: f.scheduled.cpu_ms / 600 + f.idle_ms_per_s / 10)),
            ],
        )

    def overhead(self, ratios: list[Ratio]) -> None:
        self.heading(f"What a transaction costs beside us: CPU of its session, pairs of {TRANSACTIONS} transactions")
        self.table(
            ["", "ratio", "95 of 100", "pairs", "us a transaction"],
            [
                [one.name, f"{one.median:.4f}", f"{one.low:.4f} .. {one.high:.4f}", str(one.pairs), f"{one.us:.1f}"]
                for one in ratios
            ],
        )

    def goals(
        self, all_figures: list[collector.Figures], hub: front.Figures | None, ratios: list[Ratio]
    ) -> None:
        rows = []
        for one in ratios:
            if one.name == "loaded":
                percent = 100 * (one.median - 1)
                rows.append(self.goal("CPU of a transaction, more than without us", percent, 0.5, "%"))
        by_title = {figures.title: figures for figures in all_figures}
        if figures := by_title.get("10,000 tables"):
            rows += [
                self.goal("10,000 tables: full cycle (first or whole again), CPU", figures.full.cpu_ms, 250, "ms"),
                self.goal("  the same, the next goal", figures.full.cpu_ms, 200, "ms"),
                self.goal("  sparse cycle, CPU", figures.scheduled.cpu_ms, 120, "ms"),
                self.goal("  the same, the next goal", figures.scheduled.cpu_ms, 60, "ms"),
                self.goal("  sparse cycle, gzipped", figures.scheduled.bytes_gzip / KB, 40, "kB"),
                self.goal("  private memory, first cycle", figures.memory_full.total_kb / MB, 48, "MB"),
                self.goal("  the same, the next goal", figures.memory_full.total_kb / MB, 40, "MB"),
            ]
        if figures := by_title.get("50,000 tables"):
            rows.append(self.goal("50,000 tables: private memory", figures.memory_full.total_kb / MB, 128, "MB"))
        if figures := by_title.get("200 databases of 100 tables"):
            rows.append(self.goal("200 databases of 100 tables: sparse cycle, CPU", figures.scheduled.cpu_ms, 100, "ms"))
        if hub:
            rows += [
                self.goal("hub, pushes of 20,000 rows", hub.large.rows_per_cpu_second, 150_000, "rows/CPU s", True),
                self.goal("hub, pushes of 15 x 20 rows", hub.small.rows_per_cpu_second, 100_000, "rows/CPU s", True),
            ]
        self.heading("Goals")
        self.table(["", "is", "goal", "reached"], rows)


def _peak(peak: Peak) -> str:
    parts = ", ".join(f"{name} {size / MB:.1f}" for name, size in sorted(peak.parts_kb.items()))
    return f"{peak.total_kb / MB:.1f} MB at once (highest of each: {parts}; {peak.samples} samples)"
