"""HTTP over Python's ssl, written and read by hand: nothing between a test's bytes and the hub corrects them."""

import socket
import ssl
from typing import NamedTuple

from .curl_collector import CurlCollector
from .hub import Hub


class RawAnswer(NamedTuple):
    status: int  # 0: closed without one
    fields: tuple[bytes, ...]  # lines of the head, without Date
    body: bytes

    @property
    def closes(self) -> bool:
        return b"connection: close" in [line.lower() for line in self.fields]


NO_ANSWER = RawAnswer(0, (), b"")


class Connection:
    """One to the hub: the collectors' port with a collector's certificate, else the console's. After another one of the
    same: offers that one's session."""

    def __init__(
        self, hub: Hub, collector: CurlCollector | None = None, timeout: float = 30, after: "Connection | None" = None
    ) -> None:
        self.context = after.context if after else ssl.create_default_context(cafile=str(hub.ca_file))
        port = hub.collector_port if collector else hub.console_port
        if collector and not after:
            self.context.load_cert_chain(collector.cert, collector.key)
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = after.stream.session if after else None
        self.stream = self.context.wrap_socket(plain, server_hostname="localhost", session=session)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def _more(self) -> bool:
        try:
            piece = self.stream.recv(65536)
        except (ConnectionError, ssl.SSLError):
            piece = b""
        self.buffer += piece
        return bool(piece)

    def answer(self, bodiless: bool = False) -> RawAnswer:
        """The next one; bodiless: to HEAD."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return NO_ANSWER
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = tuple(line for line in lines if not line.startswith(b"Date: "))
        length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        length = 0 if bodiless else length
        while len(self.buffer) < length:
            if not self._more():
                return NO_ANSWER
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return RawAnswer(int(first.split(b" ")[1]), fields, body)

    def answers(self, bodiless: bool = False) -> list[RawAnswer]:
        """All until the other side closes; the first one may have no body."""
        found: list[RawAnswer] = []
        while (one := self.answer(bodiless and not found)) is not NO_ANSWER:
            found.append(one)
        return found

    def close(self) -> None:
        self.stream.close()


class Talker:
    """Sends one request after another, on a new connection where the last was closed."""

    def __init__(self, hub: Hub, collector: CurlCollector | None = None) -> None:
        self.hub, self.collector = hub, collector
        self.connection: Connection | None = None

    def ask(self, data: bytes) -> RawAnswer:
        for _ in range(2):
            fresh = self.connection is None
            connection = self.connection or Connection(self.hub, self.collector)
            self.connection = connection
            try:
                connection.send(data)
            except (ConnectionError, ssl.SSLError):
                pass
            answer = connection.answer()
            if answer is NO_ANSWER or answer.closes:
                self.close()
            # A connection may have come to its end just then; what a new one says counts.
            if answer is not NO_ANSWER or fresh:
                return answer
        return answer

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None


def push(collector: CurlCollector, body: bytes, token: str | bytes | None = None, fields: str = "") -> bytes:
    """The bytes of a push."""
    bearer = collector.token if token is None else token
    bearer = bearer.encode("latin-1") if isinstance(bearer, str) else bearer
    head = (
        b"POST /api/v1/metrics/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer " + bearer + b"\r\n" + fields.encode() + b"Content-Length: %d\r\n\r\n" % len(body)
    )
    return head + body
