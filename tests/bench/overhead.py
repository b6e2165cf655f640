"""What a transaction costs beside us: CPU of a session that runs `pgbench -S`'s query, in short blocks by turns.

Runs of seconds can't tell less than a tenth on a shared machine, blocks of some ten milliseconds can: A B B A, the
ratio of the CPU of the two Bs to that of the two As, many times; the median, and the interval in which 95 of 100
medians of resampled ratios are. CPU is the session's process alone, from its CPU clock. Three comparisons, of which
the first says what the method itself can tell:

* A/A: two sessions of one server that never heard of us.
* loaded: a session of that server, and one of a server with the extension that collects at its default interval.
* each second: the same, but a cycle each second, sixty times as often as by default. The effect of cycles on
  others (caches, locks) at the default interval is a sixtieth of what this one has beyond "loaded".
"""

import random
from collections.abc import Callable
from typing import NamedTuple

import accounting
from harness import Server, World

ROWS = 100_000
TRANSACTIONS = 500  # of a block
RESAMPLED = 2000
PLAIN = {"shared_preload_libraries": "", "autovacuum": "off", "checkpoint_timeout": "1h"}
WATCHED = PLAIN | {"shared_preload_libraries": "pganalytics", "pganalytics.hub": "off"}


class Ratio(NamedTuple):
    name: str
    median: float
    low: float
    high: float
    pairs: int
    us: float  # CPU of a transaction, A


class Blocks:
    """A session and its blocks."""

    def __init__(self, server: Server, seed: int) -> None:
        self.session = server.connect()
        self.session.prepare_threshold = 0
        self.pid = self.session.info.backend_pid
        self.random = random.Random(seed)
        self.block()

    def block(self) -> float:
        """Milliseconds of CPU."""
        before = accounting.cpu_ms(self.pid)
        for _ in range(TRANSACTIONS):
            self.session.execute(
                "SELECT abalance FROM pgbench_accounts WHERE aid = %s", (self.random.randrange(ROWS) + 1,)
            ).fetchall()
        return accounting.cpu_ms(self.pid) - before

    def close(self) -> None:
        self.session.close()


def make_server(world: World, name: str, settings: dict[str, str]) -> Server:
    server = world.server(name, settings=settings | {"shared_buffers": "64MB"})
    server.execute("CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))")
    server.execute(f"INSERT INTO pgbench_accounts SELECT i, 1, 0, '' FROM generate_series(1, {ROWS}) i")
    server.execute("VACUUM ANALYZE pgbench_accounts")
    return server


def interval(ratios: list[float], seed: int) -> tuple[float, float]:
    chance = random.Random(seed)
    medians = sorted(accounting.median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLED))
    return medians[RESAMPLED // 40], medians[-RESAMPLED // 40 - 1]


def compare(name: str, a: Blocks, b: Blocks, pairs: int) -> Ratio:
    ratios, cost = [], []
    for _ in range(pairs):
        first = a.block()
        other = b.block() + b.block()
        first += a.block()
        ratios.append(other / first)
        cost.append(first / (2 * TRANSACTIONS) * 1000)
    return Ratio(name, accounting.median(ratios), *interval(ratios, pairs), pairs, accounting.median(cost))


def measure(world: World, say: Callable[[str], None], pairs: int) -> list[Ratio]:
    plain = make_server(world, "plain", PLAIN)
    watched = make_server(world, "watched", WATCHED)
    watched.execute("CREATE EXTENSION pganalytics")
    sessions = [Blocks(plain, 1), Blocks(plain, 1), Blocks(watched, 1)]
    try:
        say(f"overhead, three times {pairs} pairs")
        found = [compare("A/A", sessions[0], sessions[1], pairs), compare("loaded", sessions[0], sessions[2], pairs)]
        watched.set({"pganalytics.collect_interval": "1s"})
        found.append(compare("each second", sessions[0], sessions[2], pairs))
        return found
    finally:
        for session in sessions:
            session.close()
        plain.stop()
        watched.stop()

