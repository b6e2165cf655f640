"""Very many connections that take their time, to a real hub: each ends when its limit says, and fifty collectors beside
them are served all the while."""

import asyncio
import itertools
import multiprocessing
import os
import pathlib
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from harness import LONG, Hub, World, wait_until
from harness.curl_collector import CurlCollector
from harness.front import TOKEN
from harness.raw_http import Talker, push
from harness.waiting import stretch

COUNT = 1000 if LONG else 250
HONEST = 50  # collectors, each with a certificate of its own
HEAD = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n"
BODY = (
    b"POST /api/v1/collectors/register HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"X-Registration-Secret: " + TOKEN.encode() + b"\r\nContent-Length: 16000\r\n\r\n"
)
# What is sent at once, what every half second, whether within TLS, and seconds until the hub has had enough.
KINDS: dict[str, tuple[bytes, bytes, bool, float]] = {
    "says nothing": (b"", b"", False, 5),
    "half a greeting of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"", False, 5),
    "a byte of a greeting at a time": (b"\x16\x03\x01\x02\x00", b"\x01", False, 5),
    "TLS and no request": (b"", b"", True, 5),
    "half a head": (HEAD, b"", True, 5),
    "a byte of a head at a time": (HEAD + b"X: ", b"x", True, 5),
    "no body": (BODY, b"", True, 5),
    "a body at half the rate": (BODY, b" " * 250, True, 15),
}
SLACK = 8.0  # of our own scheduling, and of a second round for those who came while the hub was full


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- those that take their time, in a process of their own: what is measured here is not to wait for it


async def slow(port: int, context: ssl.SSLContext, kind: str) -> tuple[str, float]:
    """Seconds until the other side ends it."""
    first, then, tls, _ = KINDS[kind]
    began = time.monotonic()
    try:
        options = {"ssl": context, "server_hostname": "localhost", "ssl_handshake_timeout": 60} if tls else {}
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        writer.write(first)
        while True:
            try:
                if not await asyncio.wait_for(reader.read(65536), 0.5):
                    break
            except (TimeoutError, asyncio.TimeoutError):
                writer.write(then)
        writer.transport.abort()
    except OSError:
        pass
    return kind, time.monotonic() - began


async def all_slow(port: int, context: ssl.SSLContext) -> list[tuple[str, float]]:
    kinds = list(KINDS)
    running = []
    for number in range(COUNT):
        running.append(asyncio.create_task(slow(port, context, kinds[number % len(kinds)])))
        if number % 25 == 24:
            await asyncio.sleep(0.1)  # a flood, not one burst that the kernel's queue would drop
    return list(await asyncio.gather(*running))


def run_slow(port: int, ca_file: str) -> list[tuple[str, float]]:
    os.nice(19)
    return asyncio.run(all_slow(port, ssl.create_default_context(cafile=ca_file)))


# --- those beside them


class Honest:
    """Collectors that push, each within its rate, in a thread of their own; no push is like another."""

    numbers = itertools.count()

    def __init__(self, collectors: list[CurlCollector]) -> None:
        self.collectors, self.stopped = collectors, threading.Event()
        self.took: list[float] = []
        self.memory: list[int] = []  # of the front, meanwhile
        self.wrong: list[int] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        talkers = [Talker(one.hub, one) for one in self.collectors]
        while not self.stopped.wait(0.6 / len(talkers)):
            number = next(self.numbers)
            one, talker = self.collectors[number % len(talkers)], talkers[number % len(talkers)]
            body = b'{"collector_id":"%s","timestamp":"2026-01-01T00:00:%02dZ","metrics":[],"version":"%d"}'
            body = body % (one.collector_id.encode(), number % 60, number)
            began = time.monotonic()
            status = talker.ask(push(one, body)).status
            self.took.append(time.monotonic() - began)
            if number % 10 == 0:
                self.memory.append(memory(one.hub))
            if status != 200:
                self.wrong.append(status)
        for talker in talkers:
            talker.close()

    def stop(self) -> list[float]:
        self.stopped.set()
        self.thread.join(60)
        assert not self.wrong, self.wrong
        return sorted(self.took)


def descriptors(hub: Hub) -> int:
    [front] = hub.programs()["serve"]
    return len(os.listdir(f"/proc/{front}/fd"))


def memory(hub: Hub) -> int:
    [front] = hub.programs()["serve"]
    lines = pathlib.Path(f"/proc/{front}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) // 1024


def cpu_seconds(hub: Hub) -> float:
    [front] = hub.programs()["serve"]
    fields = pathlib.Path(f"/proc/{front}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(took: list[float], part: int) -> float:
    """In milliseconds, of sorted seconds."""
    return took[min(len(took) - 1, len(took) * part // 100)] * 1000


class Beside:
    """Pushes of honest collectors in three parts: before the slow ones come, while they are there, and after them."""

    def __init__(self, hub: Hub, world: World, pushes: int) -> None:
        self.hub, self.pushes = hub, pushes
        self.collectors = [CurlCollector(hub, world.path(f"c{number}"), f"c{number}").enrol() for number in range(HONEST)]
        self.memory = memory(hub)
        self.answered, self.stored = 0, self._stored()
        self.alone, self.cpu_of_push = self._alone()
        self.files = descriptors(hub)

    def _alone(self) -> tuple[list[float], float]:
        used = cpu_seconds(self.hub)
        quiet = Honest(self.collectors)
        wait_until(lambda: len(quiet.took) >= self.pushes, 90, "pushes to compare with")
        took = quiet.stop()
        self.answered += len(took)
        return took, (cpu_seconds(self.hub) - used) / len(took)

    def _stored(self) -> int:
        ids = [one.collector_id for one in self.collectors]
        return int(self.hub.value("select count(*) from pganalytics.ledger where collector_id = any(%s::uuid[])", (ids,)))

    def __enter__(self) -> "Beside":
        self.used = cpu_seconds(self.hub)
        self.honest = Honest(self.collectors)
        return self

    def __exit__(self, *_: object) -> None:
        self.took = self.honest.stop()
        self.answered += len(self.took)
        # Of the front, for all who were slow; the honest ones' is no part of it.
        self.cpu = cpu_seconds(self.hub) - self.used - self.cpu_of_push * len(self.took)

    def check(self, what: str, slow: int) -> None:
        """None of the slow ones is left, and they cost nothing. What the machine does to pushes by itself is measured
        before and after, so that both have their share of it; a floor of some milliseconds is its, too."""
        wait_until(lambda: descriptors(self.hub) <= self.files + 4, 75, "the slow connections are gone")
        after, _ = self._alone()
        alone = sorted(self.alone + after)
        figures = {part: (percentile(alone, part), percentile(self.took, part)) for part in (50, 99)}
        print(
            what, *(f"p{part} {one:.1f} -> {other:.1f} ms" for part, (one, other) in figures.items()),
            f"of {len(alone)} and {len(self.took)} pushes; {self.cpu / slow * 1000:.2f} ms of the front's CPU each;",
            f"memory {self.memory} -> {max(self.honest.memory)} MiB",
        )  # fmt: skip
        assert len(self.took) >= 100
        assert self._stored() - self.stored == self.answered
        for part, floor in ((50, 15), (99, 50)):
            one, other = figures[part]
            assert other <= max(2 * one, floor * stretch()), (part, figures)
        # A handshake and a refusal; who is looked at again and again costs ten times as much.
        assert self.cpu / slow < 0.005
        # 64 KiB of each that there can be at once.
        assert max(self.honest.memory) - self.memory < 48


@pytest.mark.measures("memory and time")
@pytest.mark.time_limit(240)
def test_slow_connections_end_and_others_are_served(module_hub: Hub, module_world: World, many_files: None) -> None:
    hub = module_hub
    beside = Beside(hub, module_world, 2000 if LONG else 300)
    ended: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as aside, beside:
        # Both ports: the collectors' never gets as far as a request without a certificate.
        for port in (hub.console_port, hub.collector_port):
            for kind, took in aside.submit(run_slow, port, str(hub.ca_file)).result():
                ended[kind].append(took)
    for kind, (_, _, _, limit) in KINDS.items():
        assert len(ended[kind]) >= COUNT // 4
        assert max(ended[kind]) <= (limit + SLACK) * stretch(), (kind, max(ended[kind]))
    print({kind: round(max(took), 1) for kind, took in ended.items()})
    beside.check(f"{COUNT} slow connections to each port:", 2 * COUNT)


@pytest.mark.time_limit(120)
def test_without_descriptors_it_waits_and_goes_on(module_hub: Hub, module_world: World, many_files: None) -> None:
    """No descriptor is left for the next connection: those that are there are served, nothing spins, and once some
    have gone new ones come in."""
    hub = module_hub
    [front] = hub.programs()["serve"]
    one = CurlCollector(hub, module_world.path("d0"), "d0").enrol()
    honest = Honest([one])
    wait_until(lambda: len(honest.took) >= 2, 20, "a collector is connected")
    limits = pathlib.Path(f"/proc/{front}/limits").read_text().splitlines()
    usual = next(int(line.split()[3]) for line in limits if line.startswith("Max open files"))

    def limit(files: int) -> None:
        # Its own user may; root in a container may not.
        hub.installation.run(["prlimit", "--pid", front, f"--nofile={files}:"])

    held: list[socket.socket] = []
    try:
        limit(few := descriptors(hub) + 8)
        for _ in range(40):
            held.append(socket.create_connection(("127.0.0.1", hub.console_port), 5))
        pushes, used, began = len(honest.took), cpu_seconds(hub), time.monotonic()
        # They are let go after five seconds, and the next ones taken from the kernel's queue.
        while time.monotonic() - began < 9:
            held.append(socket.create_connection(("127.0.0.1", hub.console_port), 5))
            wait_until(lambda seen=len(honest.took): len(honest.took) > seen, 20, "a push meanwhile")
        spent = (cpu_seconds(hub) - used) / (time.monotonic() - began)
        assert len(honest.took) >= pushes + 5
        assert descriptors(hub) <= few
        assert spent < 0.3, spent
    finally:
        limit(usual)
        for connection in held:
            connection.close()
    took = honest.stop()
    assert took[-1] < 5 * stretch(), took[-3:]
    wait_until(lambda: hub.health()["status"] == "ok", 10, "strangers are served again")
    assert [front] == hub.programs()["serve"]
    print(f"{len(took)} pushes, the longest {took[-1] * 1000:.0f} ms; {spent * 100:.1f} % of a core")
