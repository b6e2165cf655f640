"""How long the front keeps a connection, by a monotonic clock that the tests set: it stands still but where it is told to go,
so nothing here takes an hour, and nothing comes too late on a slow machine."""

import os
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from harness import frames, wait_until
from harness.clocks import Clock
from harness.front import Front, catalog_rowsets
from harness.installation import Installation

REQUEST = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n"
# Less than the minute after which a connection without a request ends.
STEP = 50
LINGER_BYTES = 5 << 20


class Stopped(NamedTuple):
    front: Front
    clock: Clock
    idle: int  # descriptors without a connection

    def connect(self) -> ssl.SSLSocket:
        wait_until(lambda: self.front.descriptors() == self.idle, 20, "connections of before are gone")
        return self.front.connect(self.front.settings.console_port)

    def closed(self) -> ssl.SSLSocket:
        """Answered and closed by the front, and open on this side."""
        stream = self.connect()
        stream.sendall(REQUEST + b"Connection: close\r\n\r\n")
        got = b""
        while piece := stream.recv(65536):
            got += piece
        assert got.startswith(b"HTTP/1.1 404 "), got
        return stream

    def open_connections(self) -> int:
        self.front.settle()
        return self.front.descriptors() - self.idle


@pytest.fixture(scope="module")
def stopped(installation: Installation) -> Iterator[Stopped]:
    front = Front(installation, catalog_rowsets(installation), clock=True)
    assert front.clock is not None
    front.clock.stop()
    yield Stopped(front, front.clock, front.descriptors())
    front.close()


def ask(stream: ssl.SSLSocket) -> None:
    stream.sendall(REQUEST + b"\r\n")
    answer = stream.recv(65536)
    assert answer.startswith(b"HTTP/1.1 404 ") and b"Connection: close" not in answer, answer


def lives(clock: Clock, stream: ssl.SSLSocket, seconds: int) -> None:
    """From now on, asked again and again; then it ends."""
    ask(stream)
    for _ in range(seconds // STEP - 1):
        clock.go(STEP)
        ask(stream)
    clock.go(STEP - 0.1)
    ask(stream)
    clock.go(0.2)
    assert stream.recv(1) == b""


def test_a_connection_lives_an_hour(stopped: Stopped) -> None:
    with stopped.connect() as stream:
        lives(stopped.clock, stream, 3600)


def test_after_a_reload_it_lives_five_minutes(stopped: Stopped) -> None:
    front = stopped.front
    with stopped.connect() as stream:
        ask(stream)
        stopped.clock.go(STEP)
        pair = front.authority.hub()
        for path in (pair.cert, pair.key):
            front.installation.own(path)
        front.settings.cert_file, front.settings.key_file = str(pair.cert), str(pair.key)
        front.send(frames.SERVE_SETTINGS, front.settings.encode())
        front.settle()
        lives(stopped.clock, stream, 300)


def test_a_closed_connection_lingers_two_seconds(stopped: Stopped) -> None:
    wait_until(lambda: stopped.open_connections() == 0, 20, "connections of before are gone")
    # It begins no handshake, for which it has 5 s: 1.9 s after the other was closed. That it is ended says that the front has
    # looked at all of them.
    with socket.create_connection(("127.0.0.1", stopped.front.settings.console_port), timeout=20) as witness:
        wait_until(lambda: stopped.open_connections() == 1, 20, "accepted")
        stopped.clock.go(3.1)
        with Stopped(stopped.front, stopped.clock, stopped.idle + 1).closed():
            stopped.clock.go(1.9)
            assert witness.recv(1) == b""
            assert stopped.open_connections() == 1
            stopped.clock.go(0.2)
            wait_until(lambda: stopped.open_connections() == 0, 20, "gone")


def test_a_closed_connection_lingers_for_so_many_bytes(stopped: Stopped) -> None:
    with stopped.closed() as stream, socket.socket(fileno=os.dup(stream.fileno())) as below:
        below.settimeout(20)
        below.sendall(bytes(LINGER_BYTES - 1))
        assert stopped.open_connections() == 1
        below.sendall(b"\0")
        wait_until(lambda: stopped.open_connections() == 0, 20, "gone")
