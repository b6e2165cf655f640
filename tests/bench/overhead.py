"""What a transaction costs beside us: CPU of a session that runs `pgbench -S`'s query, in short blocks by turns.

Runs of seconds can't tell less than a tenth on a shared machine, blocks of some ten milliseconds can: A B B A, the same
rows in each, the ratio of the CPU of the two Bs to that of the two As, many times. CPU is the session's process alone,
from its CPU clock; the client is C (select_client.c) and shares one processor with the sessions, so that each waits for
the other and for nobody else. Where a process and its server happen to lie in memory makes a difference of its own, so
there are rounds: in each of them three servers change places and start anew. The figure is the median over all pairs,
its interval the one in which 95 of 100 medians are where rounds are drawn again. Three comparisons, of which the first
says what the method itself can tell:

* A/A: two servers that never heard of us.
* loaded: one of them, and one with the extension that collects at its default interval.
* each second: the same, but a cycle each second, sixty times as often as by default. The effect of cycles on
  others (caches, locks) at the default interval is a sixtieth of what this one has beyond "loaded".
"""

import os
import pathlib
import random
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import accounting
from harness import Server, World

ROWS = 100_000
TRANSACTIONS = 500  # of a block
ROUNDS = 12
WARM_UP = 10  # blocks
RESAMPLED = 2000
PLAIN = {"shared_preload_libraries": "", "autovacuum": "off", "checkpoint_timeout": "1h", "shared_buffers": "64MB"}
WATCHED = {"shared_preload_libraries": "pganalytics", "pganalytics.collect_interval": "60s"}


class Ratio(NamedTuple):
    name: str
    median: float
    low: float
    high: float
    pairs: int
    us: float  # CPU of a transaction, A


class Pairs:
    """Of one comparison, by round."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rounds: list[list[float]] = []
        self.cost: list[float] = []

    def ratio(self) -> Ratio:
        chance = random.Random(len(self.rounds))
        every = [one for ratios in self.rounds for one in ratios]
        medians = sorted(
            accounting.median([one for ratios in chance.choices(self.rounds, k=len(self.rounds)) for one in ratios])
            for _ in range(RESAMPLED)
        )
        low, high = medians[RESAMPLED // 40], medians[-RESAMPLED // 40 - 1]
        return Ratio(self.name, accounting.median(every), low, high, len(every), accounting.median(self.cost))


class Client:
    """Sessions of the program, one a server."""

    def __init__(self, program: pathlib.Path, servers: list[Server]) -> None:
        command = [str(program), str(ROWS), *(server.conninfo() for server in servers)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processor = {max(os.sched_getaffinity(0))}
        for pid in [self.process.pid, *(self._number() for _ in servers)]:
            os.sched_setaffinity(pid, processor)
        # What a session needs for the first time is found, and grown.
        for seed in range(WARM_UP):
            for number in range(len(servers)):
                self.block(number, seed)

    def _number(self) -> int:
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def block(self, session: int, seed: int) -> float:
        """Microseconds of CPU."""
        assert self.process.stdin
        self.process.stdin.write(f"{session} {TRANSACTIONS} {seed}\n")
        self.process.stdin.flush()
        return self._number() / 1000

    def compare(self, pairs: Pairs, a: int, b: int, count: int) -> None:
        ratios = []
        for seed in range(count):
            first = self.block(a, seed)
            other = self.block(b, seed) + self.block(b, seed)
            first += self.block(a, seed)
            ratios.append(other / first)
            pairs.cost.append(first / (2 * TRANSACTIONS))
        pairs.rounds.append(ratios)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def build_client(folder: pathlib.Path) -> pathlib.Path:
    def told(option: str) -> str:
        command = [os.environ.get("PG_CONFIG", "pg_config"), option]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    program = folder / "select_client"
    source = pathlib.Path(__file__).with_name("select_client.c")
    command = ["cc", "-O2", f"-I{told('--includedir')}", str(source), "-o", str(program), f"-L{told('--libdir')}", "-lpq"]
    subprocess.run(command, check=True)
    return program


def make_server(world: World, name: str) -> Server:
    server = world.server(name, settings=PLAIN)
    server.execute("CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))")
    server.execute(f"INSERT INTO pgbench_accounts SELECT i, 1, 0, '' FROM generate_series(1, {ROWS}) i")
    server.execute("VACUUM ANALYZE pgbench_accounts")
    server.execute("CREATE EXTENSION pganalytics")
    server.stop()
    return server


def start_warm(server: Server) -> None:
    server.start()
    with server.connect() as session:
        session.execute("SELECT sum(abalance) FROM pgbench_accounts")
        session.execute("SET enable_seqscan = off")
        session.execute("SELECT count(aid) FROM pgbench_accounts")


def measure(world: World, say: Callable[[str], None], pairs: int) -> list[Ratio]:
    program = build_client(world.folder)
    servers = [make_server(world, f"place{number}") for number in range(3)]
    same, loaded, busy = found = [Pairs("A/A"), Pairs("loaded"), Pairs("each second")]
    each = max(pairs // ROUNDS, 1)
    say(f"overhead, three times {ROUNDS} rounds of {each} pairs")
    for number in range(ROUNDS):
        plain, other, watched = places = [servers[(number + place) % 3] for place in range(3)]
        for server in (plain, other):
            server.set(PLAIN | dict.fromkeys(WATCHED))
        watched.set(WATCHED)
        # Not always in the same order.
        for server in sorted(places, key=lambda one: one.name):
            start_warm(server)
        client = Client(program, places)
        client.compare(same, 0, 1, each)
        client.compare(loaded, 0, 2, each)
        watched.set({"pganalytics.collect_interval": "1s"})
        client.compare(busy, 0, 2, each)
        client.close()
        for server in places:
            server.stop()
    return [one.ratio() for one in found]
