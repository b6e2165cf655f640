"""The front against slow, many and malformed: each limit at its time or count, memory by /proc, framing by raw bytes."""

import concurrent.futures
import pathlib
import select
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from harness import LONG, frames, wait_until
from harness.front import TOKEN, Collector, Front, catalog_rowsets, free_port
from harness.installation import Installation

HEALTH = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def rowsets(installation: Installation) -> list[dict[str, Any]]:
    return catalog_rowsets(installation)


@pytest.fixture(scope="module")
def front(installation: Installation, rowsets: list[dict[str, Any]]) -> Iterator[Front]:
    made = Front(installation, rowsets)
    yield made
    made.close()


def push_head(collector: Collector, length: int, **more: str) -> bytes:
    fields = collector.headers(**more) | {"Content-Length": str(length)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /api/v1/metrics/push HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


def until_closed(stream: Any, limit: float = 40) -> tuple[float, bytes]:
    """Seconds until the other side closes, and what came before."""
    start, got = time.monotonic(), b""
    stream.settimeout(limit)
    try:
        while piece := stream.recv(65536):
            got += piece
    except (ConnectionError, ssl.SSLError):
        pass
    return time.monotonic() - start, got


# --- slow


@pytest.mark.time_limit(150 if LONG else 90)
def test_slow_clients_end_at_their_limits(front: Front) -> None:
    """All of them side by side, each in a thread, because each takes its time."""
    collector, dripper, staller = (front.collector() for _ in range(3))
    for one in (collector, dripper, staller):
        assert one.token

    def no_handshake() -> tuple[float, bytes]:
        with socket.create_connection(("127.0.0.1", front.settings.port)) as stream:
            return until_closed(stream)

    def half_handshake() -> tuple[float, bytes]:
        with socket.create_connection(("127.0.0.1", front.settings.port)) as stream:
            stream.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            return until_closed(stream)

    def no_request() -> tuple[float, bytes]:
        with front.connect(front.settings.console_port) as stream:
            return until_closed(stream)

    def half_head() -> tuple[float, bytes]:
        with front.connect(front.settings.console_port) as stream:
            stream.sendall(HEALTH)
            return until_closed(stream)

    def dripping_head() -> tuple[float, bytes]:
        with front.connect(front.settings.port, collector.pair) as stream:
            start = time.monotonic()
            for byte in push_head(collector, 10):
                stream.sendall(bytes([byte]))
                if select.select([stream], [], [], 0.1)[0]:
                    break
            rest, got = until_closed(stream)
            return time.monotonic() - start, got

    def no_body() -> tuple[float, bytes]:
        with front.connect(front.settings.port, staller.pair) as stream:
            stream.sendall(push_head(staller, 100))
            return until_closed(stream)

    def dripping_body() -> tuple[float, bytes]:
        """Half of the rate that is asked for."""
        with front.connect(front.settings.port, dripper.pair) as stream:
            start = time.monotonic()
            stream.sendall(push_head(dripper, 1 << 20))
            while not select.select([stream], [], [], 0.1)[0] and time.monotonic() - start < 35:
                stream.sendall(b" " * 51)
            rest, got = until_closed(stream)
            return time.monotonic() - start, got

    def slow_but_fair_body() -> tuple[float, bytes]:
        """Twice the rate: nothing to complain of but the whole time."""
        with front.connect(front.settings.port, collector.pair) as stream:
            start = time.monotonic()
            stream.sendall(push_head(collector, 1 << 20))
            while not select.select([stream], [], [], 0.1)[0] and time.monotonic() - start < 35:
                stream.sendall(b" " * 205)
            rest, got = until_closed(stream)
            return time.monotonic() - start, got

    def idle() -> tuple[float, bytes]:
        """Who is let in, and has nothing to ask."""
        with front.connect(front.settings.port, collector.pair) as stream:
            return until_closed(stream, 90)

    expected = {
        no_handshake: (4.9, 5.6, b""),
        half_handshake: (4.9, 5.6, b""),
        no_request: (4.9, 5.6, b""),
        half_head: (4.9, 5.6, b"HTTP/1.1 408 "),
        dripping_head: (4.9, 6.2, b"HTTP/1.1 408 "),
        no_body: (4.9, 5.6, b"HTTP/1.1 408 "),
        dripping_body: (9.0, 13.0, b"HTTP/1.1 408 "),
        slow_but_fair_body: (29.0, 31.5, b"HTTP/1.1 408 "),
    }
    if LONG:
        expected[idle] = (59.9, 61.0, b"")
    # Honest clients beside them.
    honest = front.collector()
    with concurrent.futures.ThreadPoolExecutor(len(expected)) as pool:
        running = {pool.submit(run): (run.__name__, limits) for run, limits in expected.items()}
        assert honest.push(honest.envelope()).status == 200
        for done in concurrent.futures.as_completed(running):
            name, (least, most, start) = running[done]
            took, got = done.result()
            assert got.startswith(start) if start else got == b"", f"{name}: {got!r}"
            assert least <= took <= most + 2, f"{name}: {took}"
    assert honest.push(honest.envelope()).status == 200


def test_an_answer_nobody_reads_is_given_up(front: Front) -> None:
    """Requests sent ahead, answers never read: the connection ends 10 s after the socket is full."""
    with front.connect(front.settings.console_port) as stream:
        before = front.descriptors()
        stream.settimeout(5)
        sent = 0
        try:
            while sent < 400_000:
                stream.sendall(HEALTH + b"\r\n")
                sent += 1
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass
        assert sent < 400_000
        wait_until(lambda: front.descriptors() < before, 20, "connection given up", every=0.2)


# --- many


def test_unfinished_handshakes(front: Front) -> None:
    """Who holds handshakes open loses the oldest; who comes honestly gets through."""
    collector = front.collector()
    assert collector.token
    streams = [socket.create_connection(("127.0.0.1", front.settings.port)) for _ in range(40)]
    wait_until(lambda: len(select.select(streams, [], [], 0)[0]) >= 8, 4, "the oldest closed")
    assert collector.push(collector.envelope()).status == 200
    closed = [stream for stream in streams if select.select([stream], [], [], 0)[0]]
    assert set(streams[:8]) <= set(closed) and len(closed) < 20
    for stream in streams:
        stream.close()


def test_connections_of_a_certificate(front: Front) -> None:
    collector = front.collector()
    head = f"POST /api/v1/collectors/refresh-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
    streams = [front.connect(front.settings.port, collector.pair) for _ in range(5)]
    answers = []
    for stream in streams:
        stream.sendall(head)
        answers.append(stream.recv(65536)[:12])
    assert answers == [b"HTTP/1.1 200"] * 4 + [b"HTTP/1.1 503"]
    streams[0].close()

    def again() -> bool:
        with front.connect(front.settings.port, collector.pair) as stream:
            stream.sendall(head)
            return stream.recv(65536).startswith(b"HTTP/1.1 200")

    wait_until(again, 5, "a place that came free")
    for stream in streams:
        stream.close()


def test_connections_in_all(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    front = Front(installation, rowsets, max_connections=8)
    collectors = [front.collector() for _ in range(9)]
    head = b"POST /api/v1/collectors/refresh-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    # Strangers have a quarter of the places, and cannot take more.
    console = [front.connect(front.settings.console_port) for _ in range(3)]
    said = []
    for stream in console:
        stream.sendall(HEALTH + b"\r\n")
        said.append(stream.recv(65536)[:12])
    assert said == [b"HTTP/1.1 200"] * 2 + [b"HTTP/1.1 503"]
    streams, said = [], []
    for collector in collectors[:7]:
        streams.append(front.connect(front.settings.port, collector.pair))
        streams[-1].sendall(head)
        said.append(streams[-1].recv(65536))
    assert [one[:12] for one in said] == [b"HTTP/1.1 200"] * 6 + [b"HTTP/1.1 503"]
    assert b"Retry-After: " in said[-1] and b"Connection: close" in said[-1]
    for stream in console + streams:
        stream.close()
    wait_until(lambda: front.request("GET", "/api/v1/health").status == 200, 5, "free again")
    front.close()


@pytest.mark.measures("memory")
def test_memory_of_connections(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    """A connection that has not shown who it is costs 64 KiB at most, whatever it does."""
    front = Front(installation, rowsets, max_connections=2000)
    port = front.settings.console_port
    warm = [front.connect(port) for _ in range(20)]
    for stream in warm:
        stream.sendall(HEALTH + b"\r\n")
        stream.recv(65536)
    before = front.memory()
    context = front.context()
    count = 400
    streams = []
    try:
        for number in range(count):
            plain = socket.create_connection(("127.0.0.1", port))
            streams.append(context.wrap_socket(plain, server_hostname="localhost"))
            # A head that never ends, as large as it may be.
            streams[-1].sendall(HEALTH + b"X: " + b"x" * 8000)
            if number == 40:
                early = front.memory()
        grown = front.memory() - before
        assert grown / count <= 64 << 10, grown / count
        assert early > before
    finally:
        for stream in warm + streams:
            stream.close()
    wait_until(lambda: front.descriptors() < 30, 20, "connections closed")
    front.close()


def test_port_taken_is_said_and_tried_again(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    front = Front(installation, rowsets)
    collector = front.collector()
    taken = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", taken))
        other.listen()
        front.settings.port = taken
        front.send(frames.SERVE_SETTINGS, front.settings.encode())
        wait_until(lambda: len(front.listening) == 2, 10, "said")
        assert str(taken) in front.listening[1][2] and "in use" in front.listening[1][2]
    wait_until(lambda: len(front.listening) == 3, 15, "tried again")
    assert front.listening[2] == (taken, front.settings.console_port, "")
    assert collector.push(collector.envelope()).status == 200
    front.close()


def test_new_certificate_without_restart(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    front = Front(installation, rowsets)
    collector = front.collector()
    stream = front.connect(front.settings.port, collector.pair)
    old = stream.getpeercert(True)
    pair = front.authority.hub()
    for path in (pair.cert, pair.key):
        installation.own(path)
    # A wrong pair first: said, and the old one stays.
    wrong = front.authority.hub()
    installation.own(wrong.cert)
    front.settings.cert_file = str(wrong.cert)
    front.send(frames.SERVE_SETTINGS, front.settings.encode())
    wait_until(lambda: any(b"do not belong together" in line for line in front.logs), 10, "said")
    with front.connect(front.settings.port, collector.pair) as again:
        assert again.getpeercert(True) == old
    front.settings.cert_file, front.settings.key_file = str(pair.cert), str(pair.key)
    front.send(frames.SERVE_SETTINGS, front.settings.encode())
    front.settle()
    with front.connect(front.settings.port, collector.pair) as again:
        assert again.getpeercert(True) == ssl.PEM_cert_to_DER_cert(pair.cert.read_text())
    # What was open stays open for a while.
    stream.sendall(b"POST /api/v1/collectors/refresh-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    stream.close()
    front.close()


# --- sizes and counts at the limit and one past it


def test_bodies_of_other_routes(front: Front) -> None:
    def register(size: int) -> bytes:
        fields = f"Content-Type: application/json\r\nX-Registration-Secret: {TOKEN}\r\nContent-Length: {size}\r\nConnection: close\r\n"
        return front.raw(POST + fields.encode() + b"\r\n" + b" " * size)

    assert register(16 << 10).startswith(b"HTTP/1.1 400 ")
    assert register((16 << 10) + 1).startswith(b"HTTP/1.1 413 ")


def test_refused_bodies_are_read_up_to_a_size(front: Front) -> None:
    """The connection stays, or it closes."""
    collector = front.collector()
    last = b"POST /api/v1/collectors/refresh-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    for size, answers in ((64 << 10, [415, 200]), ((64 << 10) + 1, [415])):
        head = push_head(collector, size, Content_Type="text/plain")
        assert statuses(front.raw(head + b" " * size + last, collector.pair)) == answers


def test_refusals_do_not_fill_the_log(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    """Two lines at once of each cause, and one a minute."""
    front = Front(installation, rowsets)
    strangers = [front.collector(enrol=False) for _ in range(6)]
    for one in strangers:
        assert front.request("POST", "/api/v1/collectors/refresh-token", pair=one.pair).status == 401
    for _ in range(3):
        assert front.request("POST", "/api/v1/collectors/register", b"{}").status == 401
    front.settle()
    causes = Counter(line[line.index(b"not let in") :].split(b"\0")[0][:30] for line in front.logs if b"not let in" in line)
    assert len(causes) == 2 and set(causes.values()) == {2}, front.logs
    front.close()


def test_memory_of_the_process(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    """768 MiB, and 64 KiB for each connection there may be."""
    front = Front(installation, rowsets, max_connections=100)
    lines = pathlib.Path(f"/proc/{front.process.pid}/limits").read_text().splitlines()
    assert next(line.split()[3] for line in lines if line.startswith("Max data size")) == str((768 << 20) + 100 * (64 << 10))
    front.close()


# --- framing


def statuses(data: bytes) -> list[int]:
    """Statuses of the answers in a stream, read by their lengths."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        found.append(int(head.split(b" ")[1]))
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        data = rest[length:]
    return found


SMUGGLED = HEALTH + b"Connection: close\r\n\r\n"
POST = b"POST /api/v1/collectors/register HTTP/1.1\r\nHost: localhost\r\n"

# What two servers could read differently: one answer, then the end, and the request behind is never seen.
FRAMING = {
    "chunked": (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    "chunked and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400),
    "length and chunked": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
    "same length twice": (POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400),
    "length list": (POST + b"Content-Length: 0, 0\r\n\r\n", 400),
    "length signed": (POST + b"Content-Length: +0\r\n\r\n", 400),
    "length hexadecimal": (POST + b"Content-Length: 0x0\r\n\r\n", 400),
    "length overflows": (POST + b"Content-Length: 18446744073709551616\r\n\r\n", 400),
    "length with space": (POST + b"Content-Length : 0\r\n\r\n", 400),
    "length with underscore": (POST + b"Content_Length: 5\r\n\r\n", 400),
    "no length": (POST + b"X-Registration-Secret: x\r\n\r\n", 411),
    "bare LF": (b"GET /api/v1/health HTTP/1.1\nHost: localhost\n\n", 400),
    "LF at the end": (HEALTH + b"\n", 400),
    "bare CR": (HEALTH + b"X: a\rb\r\n\r\n", 400),
    "folding": (HEALTH + b"X: a\r\n b\r\n\r\n", 400),
    "NUL": (HEALTH + b"X: a\0b\r\n\r\n", 400),
    "non-ASCII name": (HEALTH + b"X-\xc3\xa4: a\r\n\r\n", 400),
    "empty line first": (b"\r\n" + HEALTH + b"\r\n", 400),
    "HTTP/1.0": (b"GET /api/v1/health HTTP/1.0\r\nHost: localhost\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /api/v1/health\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "absolute form": (b"GET https://localhost/api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "CONNECT": (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    "no Host": (b"GET /api/v1/health HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (HEALTH + b"Host: localhost\r\n\r\n", 400),
    "unknown Host": (b"GET /api/v1/health HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 400),
    "Host with user": (b"GET /api/v1/health HTTP/1.1\r\nHost: x@localhost\r\n\r\n", 400),
    "expect": (POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 417),
    "upgrade": (HEALTH + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400),
    "trailer": (HEALTH + b"Trailer: X\r\n\r\n", 400),
    "long target": (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
    "long header": (HEALTH + b"X: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "many fields": (HEALTH + b"".join(b"X-%d: 1\r\n" % i for i in range(60)) + b"\r\n", 431),
    "body where none belongs": (HEALTH + b"Content-Length: 5\r\n\r\nhello", 413),
}


def test_framing(front: Front) -> None:
    for what, (data, status) in FRAMING.items():
        assert statuses(front.raw(data + SMUGGLED)) == [status], what


def test_what_is_well_formed_is_kept(front: Front) -> None:
    data = HEALTH + b"\r\n" + HEALTH + b"X-A: \t a\r\n\r\n" + b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"
    assert statuses(front.raw(data * 10 + SMUGGLED)) == [200, 200, 404] * 10 + [200]
    # One byte at a time.
    with front.connect(front.settings.console_port) as stream:
        for byte in SMUGGLED:
            stream.sendall(bytes([byte]))
        assert until_closed(stream)[1].startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_refused_body_does_not_become_a_request(front: Front) -> None:
    collector = front.collector()
    inner = b"POST /api/v1/collectors/refresh-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    outer = push_head(collector, len(inner), Content_Type="text/plain")
    last = inner.replace(b"Content-Length: 0", b"Content-Length: 0\r\nConnection: close")
    assert statuses(front.raw(outer + inner + last, collector.pair)) == [415, 200]


def test_requests_at_the_same_time(front: Front) -> None:
    """Many collectors at once, each answer to its own request."""
    collectors = [front.collector() for _ in range(20)]
    for collector in collectors:
        assert collector.token
    wrong: list[Any] = []

    def run(collector: Collector) -> None:
        for number in range(8):
            answer = collector.push(collector.envelope(sequence=number))
            if answer.status != 200 or answer.json["collector_id"] != str(collector.id):
                wrong.append(answer)
            elif answer.json["sequence"] != number:
                wrong.append(answer)

    threads = [threading.Thread(target=run, args=(collector,)) for collector in collectors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
