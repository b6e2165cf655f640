"""What watching a server costs it: CPU of the collector worker, of its visitors and of its program,
rows, bytes and memory of full and of sparse cycles.

Full is what a cycle costs in which everything is sent whole but for the rowsets that wait their turn:
the first one of a new run of the program, or one in which tables, indexes and functions are sent whole
again, as they are each hour (here because the hub asks). The very first one of the worker, which visits
each database, is told apart.

The watched server and the hub are two servers, so that the hub's work is in no figure here. Bytes
and rows are those the hub wrote into its ledger.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

import accounting
import tables
from harness import Hub, Server, wait_until
from waiting import pause

PERCENT = 5  # of the tables, used between two sparse cycles
SETTLED_CYCLES = 20


class Cycle(NamedTuple):
    """One cycle, or the median of several."""

    worker_ms: float
    visitors_ms: float
    program_ms: float
    visitors_told_ms: float  # as pganalytics_status() says
    wall_ms: float
    rows: float
    bytes_json: float
    bytes_gzip: float

    @property
    def cpu_ms(self) -> float:
        return self.worker_ms + self.visitors_ms + self.program_ms


class Phase(NamedTuple):
    rowset: str
    rows: int
    ms: float


class Figures(NamedTuple):
    title: str
    tables: int
    relations: int
    databases: int
    statements: int
    began: Cycle  # the first one of the worker, as at the server's start
    first: Cycle  # of a new run of the program
    turns: Cycle  # after it: the dearest of those in which rowsets that waited take their turn
    whole: Cycle | None  # rowsets sent whole again, scheduled
    sparse: Cycle  # asked for: every rowset read, also those whose period is minutes
    scheduled: Cycle  # as the collector plans it
    phases: list[Phase]
    memory_full: accounting.Peak
    memory_sparse: accounting.Peak
    memory_scheduled: accounting.Peak
    idle_ms_per_s: float

    @property
    def full(self) -> Cycle:
        return max(self.first, self.whole or self.first, key=lambda cycle: cycle.cpu_ms)


class Watched:
    """A watched server, seen from outside, and the hub it ships to."""

    def __init__(self, server: Server, hub: Hub, load: tables.Load) -> None:
        self.server = server
        self.hub = hub
        self.load = load
        self.turn = 0
        self.postmaster = server.postmaster_pid()
        # Sessions stay open all the time: one that ended would be among the ended children.
        self.session = server.connect()
        self.user = server.connect(load.database)
        self.hub_session = hub.connect()

    def close(self) -> None:
        for session in (self.session, self.user, self.hub_session):
            session.close()

    # --- processes

    @property
    def worker(self) -> int:
        return self._one("collector")

    @property
    def program(self) -> int:
        return wait_until(lambda: next(iter(accounting.children(self.worker)), 0), 40, "ship runs")

    def _one(self, role: str) -> int:
        def found() -> int:
            titles = ((pid, accounting.title(pid)) for pid in accounting.children(self.postmaster))
            return next((pid for pid, title in titles if f"pganalytics {role}" in title), 0)

        return wait_until(found, 40, f"pganalytics {role} runs")

    def processes(self) -> Iterator[tuple[str, int]]:
        for pid in accounting.children(self.postmaster):
            title = accounting.title(pid)
            if "pganalytics visitor" in title:
                yield "visitor", pid
            elif "pganalytics collector" in title:
                yield "worker", pid
                yield from (("program", child) for child in accounting.children(pid))

    # --- cycles

    def use_tables(self) -> None:
        self.turn += 1
        self.load.use(self.server, self.user, PERCENT, self.turn)

    def told(self) -> dict[str, float]:
        """Numbers of pganalytics_status(), named component.name."""
        found = {}
        for component, name, value in self.session.execute(
            "SELECT component, name, value FROM pganalytics_status()"
        ):
            with contextlib.suppress(TypeError, ValueError):
                found[f"{component}.{name}"] = float(value)
        return found

    def ledger(self) -> tuple[int, int, int, int]:
        """Pushes, rows, bytes of JSON and bytes on the wire of this server so far."""
        row = self.hub_session.execute(
            "SELECT count(*), sum(rows), sum(bytes_json), sum(bytes_received)"
            " FROM pganalytics.ledger JOIN pganalytics.collectors USING (collector_id)"
            " WHERE name = %s",
            (self.server.name,),
        ).fetchone()
        assert row
        return tuple(int(value or 0) for value in row)  # type: ignore[return-value]

    def quiet(self) -> None:
        """Waits until none of our processes has used CPU for a while and no visitor is there."""
        last = (0.0, 0)

        def still() -> bool:
            nonlocal last
            pids = list(self.processes())
            now = (sum(accounting.cpu_ms(pid) for _, pid in pids), len(pids))
            unchanged = now[1] == last[1] == 2 and now[0] - last[0] < 1
            last = now
            return unchanged

        wait_until(still, 30, "our processes are quiet", every=0.3)

    def restart_program(self) -> None:
        """A new run of the program knows nothing of what was sent, so its first cycle, which comes
        at once, is whole, but for the rowsets that wait their turn."""
        pushes = self.ledger()[0]
        before = self.program
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.program != before, 40, "the program runs again")
        wait_until(lambda: self.ledger()[0] > pushes, 40, "its first push is stored")
        wait_until(self.whole, 40, "the rest of the cycle is stored")
        self.quiet()

    def restart_worker(self) -> None:
        """As at the server's start: nothing is known of any database, so each is visited."""
        pushes = self.ledger()[0]
        before = self.worker
        os.kill(before, signal.SIGTERM)
        wait_until(lambda: not os.path.exists(f"/proc/{before}"), 40, "the worker ends")
        wait_until(lambda: self.ledger()[0] > pushes, 40, "the first push is stored")
        wait_until(self.whole, 40, "the rest of the cycle is stored")
        self.quiet()

    def wait_known(self) -> None:
        """Until no database needs a visit for its counters (15 and later); a cycle gets to know about
        twenty. Cycles come by themselves meanwhile."""
        if self.session.info.server_version < 150000:
            return
        databases = _value(self.session, "SELECT count(*) FROM pg_database WHERE NOT datistemplate AND datallowconn")
        wait_until(lambda: self.told()["collector.databases_by_pass"] >= databases, 240, "all databases are known")

    def wait_settled(self) -> None:
        """Until what has long periods was read everywhere, so that only changes bring visits (15 and
        later): cycles in a row with one database visited."""
        if self.session.info.server_version < 150000:
            return
        self.server.set({"pganalytics.collect_interval": "1s"})
        last: list[tuple[float, float]] = []

        def settled() -> bool:
            told = self.told()
            now = (told["collector.cycles"], told["visitors.visits"])
            if not last or now[0] >= last[0][0] + SETTLED_CYCLES:
                quiet = bool(last) and now[1] - last[0][1] <= now[0] - last[0][0] + 1
                last[:] = [now]
                return quiet
            return False

        wait_until(settled, 900, "nothing is due but what changed", every=1)

    def whole(self) -> bool:
        """Whether all slices of the last cycle are stored."""
        return bool(
            _value(
                self.hub_session,
                "SELECT count(*) = max(parts) FROM pganalytics.ledger GROUP BY cycle"
                " ORDER BY max(received_at) DESC LIMIT 1",
            )
        )

    def wall_ms(self) -> float:
        """From the last cycle's begin to the arrival of its last push."""
        return float(
            _value(
                self.hub_session,
                "SELECT 1000 * extract(epoch FROM max(received_at) - min(\"time\"))"
                " FROM pganalytics.ledger GROUP BY cycle ORDER BY max(received_at) DESC LIMIT 1",
            )
        )

    @contextlib.contextmanager
    def measured(self, into: list[Cycle]) -> Iterator[None]:
        """One cycle that begins and ends in the block."""
        worker, program = self.worker, self.program
        told = self.told()
        worker_before = accounting.cpu_ms(worker)
        ended_before = accounting.ended_children_ms(self.postmaster)
        program_before = accounting.cpu_ms(program)
        before = self.ledger()
        yield
        new_worker = self.worker != worker
        if new_worker:
            worker, worker_before, told = self.worker, 0, {}
        wait_until(
            lambda: not any(name == "visitor" for name, _ in self.processes()), 10, "visitors end"
        )
        if self.program != program:  # its start is then part of the figure
            program, program_before = self.program, 0
        after = self.ledger()
        visitors_ms = accounting.ended_children_ms(self.postmaster) - ended_before
        if new_worker:  # the old one is among the ended children, with all that it waited for
            visitors_ms = _visitors(told, self.told())
        into.append(
            Cycle(
                worker_ms=accounting.cpu_ms(worker) - worker_before,
                visitors_ms=visitors_ms,
                program_ms=accounting.cpu_ms(program) - program_before,
                visitors_told_ms=_visitors(told, self.told()),
                wall_ms=self.wall_ms(),
                rows=after[1] - before[1],
                bytes_json=after[2] - before[2],
                bytes_gzip=after[3] - before[3],
            )
        )

    def push_now(self) -> None:
        rows = self.session.execute("SELECT status FROM pganalytics_push_now('60 s')").fetchall()
        if not rows or any(status != "success" for (status,) in rows):
            raise RuntimeError(f"pganalytics_push_now(): {rows}")


def _visitors(before: dict[str, float], after: dict[str, float]) -> float:
    return after["visitors.cpu_time"] - before.get("visitors.cpu_time", 0)


def _middle(cycles: list[Cycle]) -> Cycle:
    """Field by field: the median; but of visitors the mean, because the kernel counts them in
    steps of a clock tick."""
    values: dict[str, Any] = {
        field: accounting.median(getattr(cycle, field) for cycle in cycles) for field in Cycle._fields
    }
    values["visitors_ms"] = sum(cycle.visitors_ms for cycle in cycles) / len(cycles)
    return Cycle(**values)


def measure(server: Server, hub: Hub, load: tables.Load, repeats: int) -> Figures:
    watched = Watched(server, hub, load)
    try:
        return _measure(watched, repeats)
    finally:
        watched.close()


def _measure(watched: Watched, repeats: int) -> Figures:
    watched.push_now()  # the first one makes the hub's tables
    # As long as the default: what is read each ten minutes is not due in each cycle.
    watched.server.set({"pganalytics.collect_interval": "60s"})
    began: list[Cycle] = []
    with watched.measured(began):
        watched.restart_worker()
    # What somebody asked for is read without marks of what it was read from, and so once more in each
    # database while its period lasts; nothing but the server's start comes before these.
    many = isinstance(watched.load, tables.ManyDatabases)
    scheduled = _scheduled(watched, repeats) if many else None
    first: list[Cycle] = []
    for _ in range(repeats):
        with watched.measured(first):
            watched.restart_program()
    watched.server.set({"pganalytics.collect_interval": "1h"})
    turns = _turns(watched)
    watched.push_now()  # whatever has not had its turn
    whole = [_whole(watched) for _ in range(0 if many else 3)]
    sparse: list[Cycle] = []
    for _ in range(repeats):
        watched.use_tables()
        watched.quiet()
        with watched.measured(sparse):
            watched.push_now()

    with accounting.MemorySampler(watched.processes) as memory_full:
        watched.restart_program()
    watched.use_tables()
    watched.quiet()
    with accounting.MemorySampler(watched.processes) as memory_sparse:
        watched.push_now()

    watched.quiet()
    since, idle = time.monotonic(), _living(watched)
    pause(3)
    idle_ms = (_living(watched) - idle) / (time.monotonic() - since)
    phases = _phases(watched.session)
    planned = scheduled or _scheduled(watched, repeats)
    return Figures(
        title=watched.load.title,
        tables=watched.load.tables,
        relations=_value(watched.user, "SELECT count(*) FROM pg_class"),
        databases=_value(watched.user, "SELECT count(*) FROM pg_database WHERE NOT datistemplate"),
        statements=_statements(watched.user),
        began=_middle(began),
        first=_middle(first),
        turns=turns,
        # With many databases some rowset of one comes whole with nearly each push, so the hub, which
        # is content with that, can't be made to ask at a given moment.
        whole=_middle(whole) if whole else None,
        sparse=_middle(sparse),
        scheduled=_middle(planned.cycles),
        phases=phases,
        memory_full=memory_full.peak,
        memory_sparse=memory_sparse.peak,
        memory_scheduled=planned.memory,
        idle_ms_per_s=idle_ms,
    )


def _statements(session: "psycopg.Connection[Any]") -> int:
    if not _value(session, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"):
        return 0
    return int(_value(session, "SELECT count(*) FROM pg_stat_statements(false)"))


def _next_push(watched: Watched, interval: int) -> None:
    pushes = watched.ledger()[0]
    wait_until(lambda: watched.ledger()[0] > pushes, 4 * interval, "the next cycle's push")
    wait_until(watched.whole, 40, "the rest of the cycle is stored")
    watched.quiet()


class Scheduled(NamedTuple):
    cycles: list[Cycle]
    memory: accounting.Peak  # of one more


def _scheduled(watched: Watched, cycles: int) -> Scheduled:
    """Cycles as they come by themselves, 5 % of the tables used between each two."""
    interval = watched.load.interval
    watched.server.set({"pganalytics.collect_interval": f"{interval}s"})
    measured: list[Cycle] = []
    watched.wait_known()
    if isinstance(watched.load, tables.ManyDatabases):
        watched.wait_settled()
        watched.server.set({"pganalytics.collect_interval": f"{interval}s"})
    _next_push(watched, interval)
    for _ in range(cycles):
        watched.use_tables()
        with watched.measured(measured):
            _next_push(watched, interval)
    watched.use_tables()
    with accounting.MemorySampler(watched.processes) as memory:
        _next_push(watched, interval)
    watched.server.set({"pganalytics.collect_interval": "1h"})
    return Scheduled(measured, memory.peak)


def _turns(watched: Watched, cycles: int = 12, interval: int = 4) -> Cycle:
    """The dearest of the cycles after the first one of a new run."""
    watched.server.set({"pganalytics.collect_interval": f"{interval}s"})
    watched.restart_program()
    measured: list[Cycle] = []
    for _ in range(cycles):
        with watched.measured(measured):
            _next_push(watched, interval)
    watched.server.set({"pganalytics.collect_interval": "1h"})
    return max(measured, key=lambda cycle: cycle.cpu_ms)


def _whole(watched: Watched, interval: int = 4) -> Cycle:
    """The largest of the cycles after the hub asked for everything whole: that in which tables,
    indexes and functions are read completely and sent so."""
    watched.server.set({"pganalytics.collect_interval": f"{interval}s"})
    watched.wait_known()
    _next_push(watched, interval)
    measured: list[Cycle] = []
    for _ in range(4):
        # Its answer to a push says so, unless something came whole with that.
        watched.hub_session.execute(
            "UPDATE pganalytics.collectors SET last_full_at = NULL WHERE name = %s", (watched.server.name,)
        )
        with watched.measured(measured):
            _next_push(watched, interval)
    watched.server.set({"pganalytics.collect_interval": "1h"})
    largest = max(measured, key=lambda cycle: cycle.rows)
    if largest.rows < 3 * watched.load.tables:
        raise RuntimeError(f"nothing was sent whole: {measured}")
    return largest


def _phases(session: "psycopg.Connection[Any]") -> list[Phase]:
    """What pganalytics_collect_now() says about each rowset, databases added up."""
    found: dict[str, Phase] = {}
    for plugin, rowset, rows, ms, error in session.execute(
        "SELECT plugin, rowset, rows, ms, error FROM pganalytics_collect_now()"
    ):
        if error:
            raise RuntimeError(f"{plugin}.{rowset}: {error}")
        name = f"{plugin}.{rowset}"
        before = found.get(name, Phase(name, 0, 0))
        found[name] = Phase(name, before.rows + rows, before.ms + ms)
    return sorted(found.values(), key=lambda phase: -phase.ms)


def _living(watched: Watched) -> float:
    return sum(accounting.cpu_ms(pid) for name, pid in watched.processes() if name != "visitor")


def _value(session: "psycopg.Connection[Any]", query: str) -> Any:
    row = session.execute(query).fetchone()
    assert row
    return row[0]
