"""What letting in and storing costs the hub: handshakes, pushes back to back, and a fleet at its
own pace. CPU is that of the hub's worker and of the front (`pganalytics serve`), and beside it what
the rest of the hub's server used (checkpointer, WAL writer).
"""

import concurrent.futures
import pathlib
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import accounting
import fleet
import payload
from harness import Hub, wait_until
from waiting import pause, pause_until


# Of a small server: what is pushed each cycle by a collector of which little changes.
FEW = {
    "pg_stats.databases", "pg_stats.tables", "pg_stats.indexes", "pg_stats.relations", "pg_stats.server",
    "pg_replication.senders", "pg_replication.slots", "pg_replication.receiver", "sysstat.cpu", "sysstat.memory",
    "sysstat.load", "sysstat.disk_io", "sysstat.network", "disk_usage.filesystems", "pg_log.entries",
}  # fmt: skip


class Cost(NamedTuple):
    worker_ms: float
    front_ms: float
    others_ms: float
    wall_s: float

    @property
    def cpu_ms(self) -> float:
        return self.worker_ms + self.front_ms


class Pushes(NamedTuple):
    """Pushes of one kind, all of them stored."""

    count: int
    rows: int
    bytes_json: int
    bytes_gzip: int
    cost: Cost
    busy: int  # answers that asked to come back later
    latencies_ms: list[float]

    @property
    def rows_per_cpu_second(self) -> float:
        return self.rows / self.cost.cpu_ms * 1000

    @property
    def pushes_per_cpu_second(self) -> float:
        return self.count / self.cost.cpu_ms * 1000


class Handshakes(NamedTuple):
    count: int
    front_ms_each: float  # less what the same request costs on an open connection
    client_wall_ms: list[float]


class Figures(NamedTuple):
    enrolled: int
    enrol_wall_s: float
    handshakes: Handshakes
    large: Pushes
    small: Pushes
    fleet: Pushes
    fleet_seconds: float
    memory_large: accounting.Peak
    memory_fleet: accounting.Peak


class Front:
    """The hub's processes, seen from outside."""

    def __init__(self, hub: Hub) -> None:
        self.postmaster = hub.postmaster_pid()
        self.worker = wait_until(self._worker, 30, "the hub's worker runs")
        self.serve = wait_until(
            lambda: next(
                (pid for pid in accounting.children(self.worker) if " serve" in accounting.title(pid)), 0
            ),
            30,
            "the front runs",
        )

    def _worker(self) -> int:
        titles = ((pid, accounting.title(pid)) for pid in accounting.children(self.postmaster))
        return next((pid for pid, title in titles if "pganalytics hub" in title), 0)

    def processes(self) -> Iterable[tuple[str, int]]:
        yield "worker", self.worker
        yield "front", self.serve

    def now(self) -> Cost:
        others = sum(
            accounting.cpu_ms(pid) for pid in accounting.children(self.postmaster) if pid != self.worker
        )
        return Cost(
            accounting.cpu_ms(self.worker),
            accounting.cpu_ms(self.serve),
            others + accounting.ended_children_ms(self.postmaster),
            time.monotonic(),
        )

    def since(self, before: Cost) -> Cost:
        return Cost(*(now - then for now, then in zip(self.now(), before)))


def _handshakes(front: Front, collectors: list[fleet.Collector], each: int) -> Handshakes:
    def answers(collector: fleet.Collector) -> None:
        if collector.ask().status not in (404, 405):
            raise RuntimeError("the front did not refuse a route that is not there")

    waits: list[float] = []
    before = front.now()
    for collector in collectors:
        for _ in range(each):
            waits.append(collector.connect() * 1000)
            answers(collector)
            collector.close()
    with_handshake = front.since(before).front_ms
    for collector in collectors:
        collector.connect()
    before = front.now()
    for collector in collectors:
        for _ in range(each):
            answers(collector)
    without = front.since(before).front_ms
    for collector in collectors:
        collector.close()
    count = len(collectors) * each
    return Handshakes(count, (with_handshake - without) / count, waits)


class Counter:
    """What the threads of a run have to say together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.busy = 0
        self.latencies_ms: list[float] = []

    def send(self, collector: fleet.Collector, push: payload.Push) -> None:
        for _ in range(20):
            began = time.perf_counter()
            answer = collector.push(push)
            took = (time.perf_counter() - began) * 1000
            if answer.status == 200:
                with self._lock:
                    self.latencies_ms.append(took)
                return
            if answer.status not in (429, 503):
                raise RuntimeError(f"push: {answer.status} {answer.body.decode()}")
            with self._lock:
                self.busy += 1
            pause(answer.retry_after)
        raise RuntimeError("push: asked twenty times to come back later")


Prepared = tuple[fleet.Collector, list[payload.Push]]


def _back_to_back(front: Front, prepared: list[Prepared], at_once: int) -> Pushes:
    """Every collector's pushes in order, `at_once` collectors at a time."""
    counter = Counter()

    def all_of(one: Prepared) -> None:
        collector, pushes = one
        for push in pushes:
            counter.send(collector, push)
        collector.close()

    before = front.now()
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        list(threads.map(all_of, prepared))
    return _pushes(prepared, front.since(before), counter)


def _at_own_pace(front: Front, prepared: list[Prepared], interval: float) -> Pushes:
    """Every collector pushes each `interval` seconds, their moments spread evenly."""
    counter = Counter()
    began = time.monotonic() + 0.5

    def all_of(number: int) -> None:
        collector, pushes = prepared[number]
        for turn, push in enumerate(pushes):
            moment = began + (turn + number / len(prepared)) * interval
            pause_until(moment)
            counter.send(collector, push)
        collector.close()

    before = front.now()
    with concurrent.futures.ThreadPoolExecutor(len(prepared)) as threads:
        list(threads.map(all_of, range(len(prepared))))
    return _pushes(prepared, front.since(before), counter)


def _pushes(prepared: list[Prepared], cost: Cost, counter: Counter) -> Pushes:
    sent = [push for _, pushes in prepared for push in pushes]
    return Pushes(
        count=len(sent),
        rows=sum(push.rows for push in sent),
        bytes_json=sum(push.bytes_json for push in sent),
        bytes_gzip=sum(len(push.body) for push in sent),
        cost=cost,
        busy=counter.busy,
        latencies_ms=counter.latencies_ms,
    )


def _check_stored(hub: Hub, expected: int) -> None:
    stored = hub.value(
        "SELECT sum(rows)::int8 FROM pganalytics.ledger JOIN pganalytics.collectors USING (collector_id)"
        " WHERE name LIKE 'bench-%'"
    )
    if stored != expected:
        raise RuntimeError(f"{expected} rows were acknowledged, the ledger has {stored}")


def measure(
    hub: Hub, folder: pathlib.Path, say: Callable[[str], None], collectors: int = 100, seconds: int = 120
) -> Figures:
    rng = random.Random(20260220)
    front = Front(hub)
    rowsets = payload.read_catalog(hub)
    say(f"enrolling {collectors} collectors")
    began = time.monotonic()
    enrolled = fleet.enrol(hub, folder, collectors)
    enrol_wall = time.monotonic() - began

    say("handshakes")
    handshakes = _handshakes(front, enrolled, 4)

    say("pushes of 20,000 rows")
    table_rowset = [rowset for rowset in rowsets if rowset.full_name == "pg_stats.tables"]
    tables = [payload.make_metrics(table_rowset, 20_000, rng) for _ in range(4)]
    # The first push of a rowset makes its table; that is not what is measured.
    sample = payload.make_metrics(rowsets, 20, rng)
    rows = 20 * len(sample)
    warm = [enrolled[0].sender.push(sample, rows), enrolled[0].sender.push(tables[0], 20_000)]
    for push in warm:
        Counter().send(enrolled[0], push)
    prepared = [
        (collector, [collector.sender.push(tables[number % 4], 20_000) for _ in range(2)])
        for number, collector in enumerate(enrolled[: max(1, min(16, collectors))])
    ]
    with accounting.MemorySampler(front.processes, every=0.1) as memory_large:
        large = _back_to_back(front, prepared, 3)

    say(f"pushes of {len(FEW)} rowsets of 20 rows")
    few = [rowset for rowset in rowsets if rowset.full_name in FEW]
    if len(few) != len(FEW):
        raise RuntimeError(f"rowsets that are no longer there: {FEW - {one.full_name for one in few}}")
    few_samples = [payload.make_metrics(few, 20, rng) for _ in range(8)]
    samples = [payload.make_metrics(rowsets, 20, rng) for _ in range(8)]
    prepared = [
        (collector, [collector.sender.push(few_samples[turn], 20 * len(FEW)) for turn in range(8)])
        for collector in enrolled
    ]
    small = _back_to_back(front, prepared, 16)

    turns = max(1, seconds // 10)
    say(f"{collectors} collectors, each every 10 s, for {turns * 10} s")
    prepared = [
        (collector, [collector.sender.push(samples[(turn + number) % 8], rows) for turn in range(turns)])
        for number, collector in enumerate(enrolled)
    ]
    with accounting.MemorySampler(front.processes, every=0.1) as memory_fleet:
        paced = _at_own_pace(front, prepared, 10)
    _check_stored(hub, large.rows + small.rows + paced.rows + sum(push.rows for push in warm))
    return Figures(
        enrolled=collectors,
        enrol_wall_s=enrol_wall,
        handshakes=handshakes,
        large=large,
        small=small,
        fleet=paced,
        fleet_seconds=turns * 10,
        memory_large=memory_large.peak,
        memory_fleet=memory_fleet.peak,
    )
