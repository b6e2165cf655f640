"""Many enrolled collectors that come back to a hub at the same moment, each with a backlog.

They are independent of ours: keys by openssl, TLS and HTTP by Python. Each keeps to what it is told: it waits as long
as Retry-After says, and starts again on a new connection where the hub closed one.
"""

import concurrent.futures
import gzip
import http.client
import json
import pathlib
import ssl
import threading
import time
from typing import NamedTuple

from harness import Hub
from harness.curl_collector import CurlCollector, now
from harness.waiting import Deadline

CONNECTIONS = 512  # what the hub has for all
PATIENCE = 30.0  # a try


class Outcome(NamedTuple):
    pushes: int
    seconds: float
    slowest: float  # seconds of one push, tries included
    told_to_wait: int  # 429 and 503
    closed: int  # connections that ended before an answer
    connections: int  # most at once
    memory: dict[str, int]  # most private bytes of the hub's worker and front

    def text(self) -> str:
        peak = ", ".join(f"{name} {size / (1 << 20):.1f} MiB" for name, size in sorted(self.memory.items()))
        return (
            f"{self.pushes} pushes in {self.seconds:.1f} s, the slowest {self.slowest:.1f} s; told to wait"
            f" {self.told_to_wait}, closed {self.closed}, connections {self.connections} at most; {peak}"
        )


class Member:
    """One collector: its credentials, its backlog of snapshots made ahead."""

    def __init__(self, hub: Hub, folder: pathlib.Path, name: str) -> None:
        one = CurlCollector(hub, folder, name).enrol()
        self.port, self.token = hub.collector_port, one.token
        self.context = ssl.create_default_context(cafile=str(hub.ca_file))
        self.context.load_cert_chain(one.cert, one.key)
        self.ids, self.bodies = [], []
        self._envelope = one.envelope
        self.connection: http.client.HTTPSConnection | None = None

    def make_backlog(self, cycles: int) -> None:
        for number in range(cycles):
            load = {"full": True, "complete": True, "columns": {"load_1m": [number / 10]}}
            envelope = self._envelope([{"type": "sysstat", "timestamp": now(), "load": load}])
            self.ids.append(envelope["snapshot_id"])
            self.bodies.append(gzip.compress(json.dumps(envelope).encode()))

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None

    def try_push(self, body: bytes) -> tuple[int, float]:
        """Status and Retry-After; 0 where the connection ended."""
        try:
            if not self.connection:
                self.connection = http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=self.context)
            self.connection.request(
                "POST", "/api/v1/metrics/push", body,
                {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Content-Encoding": "gzip"},
            )  # fmt: skip
            answer = self.connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return 0, 1.0
        if answer.will_close:
            self.close()
        return answer.status, float(answer.headers.get("Retry-After", 0))


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def private_bytes(pid: int) -> int:
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


class Watch:
    """The hub's processes and connections, looked at ten times a second."""

    def __init__(self, hub: Hub) -> None:
        self.hub, self.memory, self.connections = hub, dict[str, int](), 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Watch":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def _run(self) -> None:
        worker = next(one for one in children(self.hub.postmaster_pid()) if self._is_worker(one))
        while not self.ended.wait(0.1):
            for name, pids in (("worker", [worker]), ("front", children(worker))):
                size = sum(private_bytes(pid) for pid in pids)
                self.memory[name] = max(self.memory.get(name, 0), size)
            self.connections = max(self.connections, self._count())

    @staticmethod
    def _is_worker(pid: int) -> bool:
        try:
            return b"pganalytics hub" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def _count(self) -> int:
        """Established, at the hub's end."""
        wanted, count = f":{self.hub.collector_port:04X}", 0
        for name in ("tcp", "tcp6"):
            for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                count += fields[1].endswith(wanted) and fields[3] == "01"
        return count


class Herd:
    def __init__(self, hub: Hub, folder: pathlib.Path, members: int, cycles: int) -> None:
        folder.mkdir(exist_ok=True)
        self.hub = hub
        self.members = [Member(hub, folder / f"member-{number:03}", f"member-{number:03}") for number in range(members)]
        for one in self.members:
            one.make_backlog(cycles)
        self.told_to_wait = self.closed = 0
        self.lock = threading.Lock()

    def _drain(self, member: Member, begin: threading.Event, end: Deadline) -> float:
        begin.wait()
        slowest = 0.0
        pause = threading.Event()  # never set: a wait as a collector makes it
        for body in member.bodies:
            began = time.monotonic()
            while True:
                status, retry_after = member.try_push(body)
                if status == 200:
                    break
                assert status in (0, 429, 503), f"the hub answered {status}"
                with self.lock:
                    self.told_to_wait += status != 0
                    self.closed += status == 0
                assert end.left() > 0, "the herd did not get through"
                pause.wait(max(retry_after, 0.2))
            slowest = max(slowest, time.monotonic() - began)
        member.close()
        return slowest

    def run(self, seconds: float) -> Outcome:
        """All at once; every snapshot is acknowledged when it returns."""
        begin, end = threading.Event(), Deadline(seconds)
        with Watch(self.hub) as watch, concurrent.futures.ThreadPoolExecutor(len(self.members)) as pool:
            drained = [pool.submit(self._drain, one, begin, end) for one in self.members]
            began = time.monotonic()
            begin.set()
            slowest = max(one.result() for one in drained)
            took = time.monotonic() - began
        pushes = sum(len(one.ids) for one in self.members)
        return Outcome(pushes, took, slowest, self.told_to_wait, self.closed, watch.connections, watch.memory)

    def lost_and_doubled(self) -> tuple[int, int]:
        """By the hub's ledger and by the rows that the pushes brought."""
        ids = {one for member in self.members for one in member.ids}
        stored = [one for (one,) in self.hub.query("select snapshot_id::text from pganalytics.ledger") if one in ids]
        rows = self.hub.value(
            "select count(*) from pganalytics.sysstat_load join pganalytics.collectors using (collector_id)"
            " where name like 'member-%%'"
        )
        lost = len(ids - set(stored))
        return max(lost, len(ids) - rows), max(len(stored) - len(set(stored)), rows - len(ids))
