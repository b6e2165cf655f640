"""A TCP proxy between a collector and its hub that knows at which point of a push it is, and does one thing there
that networks do. It sees TLS records, not what is in them:

    connect        the connection is there, no byte has passed
    hello          the client's greeting has come
    certificate    the first record of the client's second flight: its certificate
    header, body   the first record of the request; half of its last one has passed
    before answer  the first record of the answer has come; not a byte of it has passed
    in answer      half of it has passed
    after          all of it has passed
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable

PHASES = ("connect", "hello", "certificate", "header", "body", "before answer", "in answer", "after")
# Certificate, its proof and Finished of a client; the request follows.
HANDSHAKE_RECORDS = 3
APPLICATION_DATA = 0x17
GARBAGE = bytes(range(256)) * 2


def pause(seconds: float) -> None:
    """What the network does here is to take its time."""
    threading.Event().wait(seconds)


class Side:
    """One of the two sockets; writing to one that is gone is nothing."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        try:
            self.stream.sendall(data)
        except OSError:
            pass

    def drip(self, data: bytes, step: int) -> None:
        for at in range(0, len(data), step):
            self.send(data[at : at + step])
            pause(0.001)

    def half_close(self) -> None:
        try:
            self.stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self, reset: bool = False) -> None:
        try:
            if reset:
                self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.stream.shutdown(socket.SHUT_RDWR) if not reset else None
        except OSError:
            pass
        self.stream.close()


class Moment:
    """Where a fault strikes: the record (or its second half) that is about to pass, from one side to the other."""

    def __init__(self, source: Side, target: Side, client: Side, hub: Side, data: bytes) -> None:
        self.source, self.target, self.client, self.hub, self.data = source, target, client, hub, data
        self.passes = True  # the record still has to be sent

    def replace(self, data: bytes) -> None:
        self.target.send(data)
        self.passes = False

    def hold(self, seconds: float) -> None:
        pause(seconds)

    def cut(self, reset: bool = False) -> None:
        self.client.close(reset)
        self.hub.close(reset)
        self.passes = False


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :] if data else data


FAULTS: dict[str, Callable[[Moment], None]] = {
    "closed": lambda m: m.cut(),
    "reset": lambda m: m.cut(reset=True),
    "closed to the client": lambda m: m.client.close(),
    "closed to the hub": lambda m: m.hub.close(),
    "reset to the client": lambda m: m.client.close(reset=True),
    "reset to the hub": lambda m: m.hub.close(reset=True),
    "half closed to the client": lambda m: m.client.half_close(),
    "half closed to the hub": lambda m: m.hub.half_close(),
    "delay of 20 ms": lambda m: m.hold(0.02),
    "delay of 200 ms": lambda m: m.hold(0.2),
    "stall, then closed": lambda m: (m.hold(0.3), m.cut())[0],
    "stall, then reset": lambda m: (m.hold(0.3), m.cut(reset=True))[0],
    "lost": lambda m: m.replace(b""),
    "second half lost": lambda m: m.replace(m.data[: len(m.data) // 2]),
    "first half lost": lambda m: m.replace(m.data[len(m.data) // 2 :]),
    "twice": lambda m: m.replace(m.data * 2),
    "a bit flipped": lambda m: m.replace(flipped(m.data)),
    "zeros for it": lambda m: m.replace(bytes(len(m.data))),
    "byte by byte": lambda m: (m.target.drip(m.data[:100], 1), m.replace(m.data[100:]))[0],
    "in small pieces": lambda m: (m.target.drip(m.data, 7 if len(m.data) < 500 else 97), m.replace(b""))[0],
    "pieces, then closed": lambda m: (m.target.drip(m.data[:90], 9), m.cut())[0],
    "garbage to the client": lambda m: m.client.send(GARBAGE),
    "garbage to the hub": lambda m: m.hub.send(GARBAGE),
    "garbage, then reset": lambda m: (m.client.send(GARBAGE), m.hub.send(GARBAGE), m.cut(reset=True))[0],
}  # fmt: skip


class FaultProxy:
    """`arm` the next connection; `patience`: seconds after which a connection that was struck is cut, if it still is."""

    def __init__(self, hub: tuple[str, int], patience: float) -> None:
        self.hub, self.patience = hub, patience
        self.armed: tuple[str, str] | None = None
        self.struck: Counter[tuple[str, str]] = Counter()
        self.attempts: list[float] = []  # how long a struck connection lived
        self._lock = threading.Lock()
        self._open: set[tuple[Side, Side]] = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, fault: str, phase: str) -> None:
        """Connections from before are ended, so that the next push has one of its own."""
        self.disarm()
        self.armed = (fault, phase)

    def disarm(self) -> None:
        self.armed = None
        with self._lock:
            idle, self._open = self._open, set()
        for pair in idle:
            for side in pair:
                side.close()

    def close(self) -> None:
        self.listener.close()
        self.disarm()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        client = Side(stream)
        try:
            hub = Side(socket.create_connection(self.hub, timeout=10))
        except OSError:
            client.close()
            return
        hub.stream.settimeout(None)
        with self._lock:
            self._open.add((client, hub))
        run = Connection(self, client, hub)
        run.strike("connect", client, hub, b"")
        for source, target in ((client, hub), (hub, client)):
            threading.Thread(target=run.pump, args=(source, target), daemon=True).start()


class Connection:
    def __init__(self, proxy: FaultProxy, client: Side, hub: Side) -> None:
        self.proxy, self.client, self.hub = proxy, client, hub
        self.from_client = 0  # records of application data
        self.answering = False
        self.began = time.monotonic()
        self.over = threading.Event()

    def strike(self, phase: str, source: Side, target: Side, data: bytes) -> bool:
        """Whether the record still has to pass."""
        proxy = self.proxy
        with proxy._lock:
            if proxy.armed is None or proxy.armed[1] != phase:
                return True
            fault, proxy.armed = proxy.armed[0], None
        moment = Moment(source, target, self.client, self.hub, data)
        threading.Thread(target=self._lose_patience, daemon=True).start()
        FAULTS[fault](moment)
        proxy.struck[fault, phase] += 1
        return moment.passes

    def _lose_patience(self) -> None:
        self.over.wait(self.proxy.patience)
        self.proxy.attempts.append(time.monotonic() - self.began)
        self.client.close()
        self.hub.close()

    def pump(self, source: Side, target: Side) -> None:
        try:
            while record := self._record(source.stream):
                self._pass(record, source, target)
        except (OSError, ValueError):
            pass
        for side in (target, source):
            side.close()
        self.over.set()

    @staticmethod
    def _record(stream: socket.socket) -> bytes:
        def exactly(count: int) -> bytes:
            data = b""
            while len(data) < count:
                if not (piece := stream.recv(count - len(data))):
                    return b""
                data += piece
            return data

        head = exactly(5)
        return head + exactly(int.from_bytes(head[3:5], "big")) if head else b""

    def _pass(self, record: bytes, source: Side, target: Side) -> None:
        before, half = self._phases(record, source)
        if before and not self.strike(before, source, target, record):
            return
        if half:
            middle = len(record) // 2
            target.send(record[:middle])
            if self.strike(half, source, target, record[middle:]):
                target.send(record[middle:])
        else:
            target.send(record)
        if self.answering and source is self.hub:
            self.strike("after", source, target, b"")

    def _phases(self, record: bytes, source: Side) -> tuple[str, str]:
        """What is the phase before this record, and in its middle."""
        if source is self.client:
            if record[0] != APPLICATION_DATA:
                return ("hello" if self.from_client == 0 and record[0] == 0x16 else ""), ""
            self.from_client += 1
            if self.from_client == 1:
                return "certificate", ""
            # The body follows in the same record or the next.
            if self.from_client > HANDSHAKE_RECORDS:
                return "header", "body"
            return "", ""
        self.answering = self.from_client > HANDSHAKE_RECORDS and record[0] == APPLICATION_DATA
        return ("before answer", "in answer") if self.answering else ("", "")
