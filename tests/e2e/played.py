"""A hub worker whose programs the test plays: `serve` and `keys` as the worker sees them, frame by
frame, so that a test can send what no honest front would. The real front has tests of its own.

    played = Played(installation, folder)        an installation whose `pganalytics` is a relay
    front = played.front()                       the next `serve`, greeted
    front.take(ServeTargets)                     frames by type, in the order they came
    push = Push(collector, ...); push.rows("pg_stats_tables", [...]); front.push(push)
"""

import hashlib
import pathlib
import queue
import shutil
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from harness import World, wait_until
from harness.installation import CHECKOUT, Installation
from harness.waiting import Deadline

HELLO, HEARTBEAT, HEARTBEAT_ANSWER, LOG, STOP = 1, 2, 3, 4, 5
SETTINGS, TARGETS, COLLECTOR, COLLECTOR_GONE, OPEN, HEALTH = 48, 49, 50, 51, 52, 53
PUSH_RESULT, REGISTER_RESULT = 54, 55
PUSH_BEGIN, PUSH_ROWS, PUSH_END, REGISTER, CERTIFICATE_USED, LISTENING = 64, 65, 66, 67, 68, 69
KEYS_INIT, KEYS_INIT_RESULT, KEYS_SIGN, KEYS_SIGN_RESULT = 80, 81, 82, 83
STORED, DUPLICATE, CONFLICT, REFUSED, BUSY = 1, 2, 3, 4, 5

CA = "-----BEGIN CERTIFICATE-----\nplayed\n-----END CERTIFICATE-----\n"
CA_FINGERPRINT = hashlib.sha256(b"played").digest()


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def signed(value: int) -> bytes:
    return varint((value << 1) ^ (value >> 63) if value >= 0 else ((-value) << 1) - 1)


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(len(data)) + data


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack("<IBB", len(payload) + 2, kind, 1) + payload


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def raw(self, count: int) -> bytes:
        taken, self.data = self.data[:count], self.data[count:]
        assert len(taken) == count
        return taken

    def varint(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.raw(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def text(self) -> str:
        return self.raw(self.varint()).decode()

    def boolean(self) -> bool:
        return self.raw(1) != b"\0"


class Program:
    """One run of a program, played. Answers hello and heartbeats by itself."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.frames: queue.Queue[tuple[int, bytes]] = queue.Queue()
        self.kept: list[tuple[int, bytes]] = []
        self.answer_heartbeats = True
        self.writing = threading.Lock()
        self.ended = threading.Event()

    def send(self, kind: int, payload: bytes) -> None:
        self.write(frame(kind, payload))

    def write(self, data: bytes) -> None:
        # Heartbeats are answered by another thread.
        with self.writing:
            self.connection.sendall(data)

    def run(self, buffered: bytes) -> None:
        try:
            while True:
                while len(buffered) < 4 or len(buffered) < 4 + struct.unpack_from("<I", buffered)[0]:
                    data = self.connection.recv(1 << 18)
                    if not data:
                        return
                    buffered += data
                end = 4 + struct.unpack_from("<I", buffered)[0]
                kind, payload, buffered = buffered[4], buffered[6:end], buffered[end:]
                if kind in (HELLO, HEARTBEAT):
                    if kind == HELLO or self.answer_heartbeats:
                        self.send(HELLO if kind == HELLO else HEARTBEAT_ANSWER, payload)
                else:
                    self.frames.put((kind, payload))
        except OSError:
            pass
        finally:
            self.ended.set()

    def take(self, kind: int, deadline: float = 15) -> Reader:
        """The next frame of this kind; others are kept for later."""
        for place, (other, payload) in enumerate(self.kept):
            if other == kind:
                del self.kept[place]
                return Reader(payload)
        end = Deadline(deadline)
        while True:
            try:
                other, payload = self.frames.get(timeout=max(end.left(), 0.01))
            except queue.Empty:
                if end.left() > 0:
                    continue
                raise AssertionError(f"no frame {kind} within {end}") from None
            if other == kind:
                return Reader(payload)
            self.kept.append((other, payload))

    def close(self) -> None:
        # The thread that reads must notice.
        self.connection.shutdown(socket.SHUT_RDWR)


class Push:
    """One push as the front would hand it on."""

    numbers = iter(range(1, 1 << 30))

    def __init__(self, collector: uuid.UUID, **values: Any) -> None:
        self.number = next(self.numbers)
        self.collector = collector
        self.snapshot = uuid.uuid4()
        self.incarnation: uuid.UUID | None = None
        self.sequence = 0
        self.digest = hashlib.sha256(self.snapshot.bytes).digest()
        self.cycle = uuid.uuid4()
        self.part = self.parts = 1
        self.time = time.time()
        self.received_at = time.time()
        self.hostname = "played-host"
        self.unknown = ""
        self.too_old = self.future = 0
        self.chunks: list[tuple[int, int, bytes]] = []
        for name, value in values.items():
            assert hasattr(self, name)
            setattr(self, name, value)

    def begin(self) -> bytes:
        incarnation = self.incarnation.bytes if self.incarnation else bytes(16)
        return (
            varint(self.number)
            + self.collector.bytes
            + self.snapshot.bytes
            + incarnation
            + varint(self.sequence)
            + self.digest
            + self.cycle.bytes
            + varint(self.part)
            + varint(self.parts)
            + signed(round(self.time * 1e6))
            + signed(round(self.received_at * 1e6))
            + text(self.hostname)
            + text("1.0.0")
            + text("7123")
            + b"\1\0"
            + varint(0)
            + varint(1000)
            + varint(5000)
            + varint(self.too_old)
            + varint(self.future)
            + text(self.unknown)
        )


def copy_row(fields: Iterable[bytes | None]) -> bytes:
    """A row of binary COPY."""
    out = []
    for field in fields:
        out.append(b"\xff\xff\xff\xff" if field is None else struct.pack(">i", len(field)) + field)
    return struct.pack(">h", len(out)) + b"".join(out)


def copy_time(unix: float) -> bytes:
    return struct.pack(">q", round((unix - 946684800) * 1e6))


class Front(Program):
    """`serve`: knows the targets, sends pushes."""

    def open(self, listening: bool = True) -> "Front":
        self.take(SETTINGS)
        self.read_targets()
        self.take(OPEN)
        if listening:
            self.listening()
        return self

    def listening(self, error: str = "") -> None:
        self.send(LISTENING, signed(8443) + signed(8444) + text(error) + text("played"))

    def read_targets(self) -> None:
        reader = self.take(TARGETS)
        self.targets = {}
        for _ in range(reader.varint()):
            number = reader.varint()
            self.targets[number] = [reader.text() for _ in range(reader.varint())]

    def number_of(self, *columns: str) -> int:
        """The rowset that has all these columns, and the fewest besides."""
        found = [n for n, names in self.targets.items() if set(columns) <= set(names)]
        return min(found, key=lambda number: len(self.targets[number]))

    def add_rows(self, push: Push, rowset: int, rows: list[dict[str, bytes]], when: float) -> None:
        """Rows as {column: binary value}; time and collector are filled in."""
        base = {"time": copy_time(when), "collector_id": push.collector.bytes}
        data = b"".join(
            copy_row((base | row).get(name) for name in self.targets[rowset]) for row in rows
        )
        push.chunks.append((rowset, len(rows), data))

    def end(self, push: Push) -> bytes:
        return frame(PUSH_END, varint(push.number) + varint(sum(count for _, count, _ in push.chunks)))

    def push(self, *pushes: Push) -> None:
        """In one piece, so that the worker finds them all at once."""
        parts = []
        for push in pushes:
            parts.append(frame(PUSH_BEGIN, push.begin()))
            for rowset, count, data in push.chunks:
                head = varint(push.number) + varint(rowset) + varint(count)
                parts.append(frame(PUSH_ROWS, head + text(data)))
            parts.append(self.end(push))
        self.write(b"".join(parts))

    def result(self, deadline: float = 15) -> dict[str, Any]:
        reader = self.take(PUSH_RESULT, deadline)
        return {
            "number": reader.varint(),
            "outcome": reader.varint(),
            "inserted": reader.varint(),
            "want_full": reader.boolean(),
            "retry_after": reader.varint(),
            "message": reader.text(),
        }

    def store(self, push: Push) -> dict[str, Any]:
        self.push(push)
        result = self.result()
        assert result["number"] == push.number
        return result

    def register(self, token: str, name: str, key: bytes, number: int = 1) -> dict[str, Any]:
        digest = hashlib.sha256(token.encode()).digest()
        payload = varint(number) + digest + text(name) + text("host") + text("1.0.0") + text(key)
        self.send(REGISTER, payload + text("192.0.2.7"))
        reader = self.take(REGISTER_RESULT)
        return {
            "number": reader.varint(),
            "status": reader.varint(),
            "message": reader.text(),
            "collector_id": uuid.UUID(bytes=reader.raw(16)),
            "generation": reader.varint(),
            "certificate": reader.text(),
            "ca_certificate": reader.text(),
            "expires_at": reader.signed(),
        }

    def collector(self) -> dict[str, Any]:
        reader = self.take(COLLECTOR)
        state: dict[str, Any] = {"collector_id": uuid.UUID(bytes=reader.raw(16))}
        state |= {"name": reader.text(), "enabled": reader.boolean(), "generation": reader.varint()}
        state["certificates"] = {
            reader.raw(32).hex(): reader.varint() for _ in range(reader.varint())
        }
        return state


class Played(Installation):
    """An installation whose `pganalytics` is relayed here. `on_keys` answers `keys` (default: a CA
    that signs everything)."""

    def __init__(self, real: Installation, folder: pathlib.Path) -> None:
        root = next(parent for parent in real.bindir.parents if (parent / ".server").exists())
        # The server finds its files beside its executable: links that are no symbolic ones.
        subprocess.run(["cp", "-al", root, folder], check=True)
        self.bindir = folder / real.bindir.relative_to(root)
        self.major, self.user = real.major, real.user
        (self.bindir / "pganalytics").unlink(missing_ok=True)
        shutil.copy(CHECKOUT / "tests/tools/relay_program", self.bindir / "pganalytics")
        self.fronts: queue.Queue[Front] = queue.Queue()
        self.on_keys: Callable[[Program], None] = self.answer_keys
        self.keys_asked: list[tuple[int, bytes]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.bindir / "relay.sock"))
        (self.bindir / "relay.sock").chmod(0o777)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        buffered = b""
        while b"\n" not in buffered:
            data = connection.recv(4096)
            if not data:
                return
            buffered += data
        name, buffered = buffered.split(b"\n", 1)
        if name == b"serve":
            front = Front(connection)
            self.fronts.put(front)
            front.run(buffered)
            return
        program = Program(connection)
        if name == b"keys":
            threading.Thread(target=self.on_keys, args=(program,), daemon=True).start()
        program.run(buffered)

    def front(self, deadline: float = 20) -> Front:
        wait_until(lambda: not self.fronts.empty(), deadline, "a front")
        return self.fronts.get()

    def answer_keys(self, program: Program) -> None:
        kind, payload = program.frames.get(timeout=20)
        self.keys_asked.append((kind, payload))
        if kind == KEYS_INIT:
            reader = Reader(payload)
            files = b"".join(text(reader.text()) for _ in range(6))
            program.send(
                KEYS_INIT_RESULT,
                text("") + text("") + files + CA_FINGERPRINT + text(CA) + signed(0),
            )
        else:
            program.send(KEYS_SIGN_RESULT, self.sign(payload))
        program.close()

    def sign(self, payload: bytes) -> bytes:
        reader = Reader(payload)
        for _ in range(6):
            reader.text()
        collector, key, lifetime = reader.raw(16), reader.text(), reader.signed()
        now = int(time.time() * 1e6)
        serial = uuid.uuid4().hex
        certificate = f"certificate {serial} of {uuid.UUID(bytes=collector)} for {key}"
        return (
            text("")
            + text(certificate)
            + hashlib.sha256(certificate.encode()).digest()
            + text(serial)
            + signed(now)
            + signed(now + lifetime * 1000000)
        )

    def close(self) -> None:
        self.listener.close()


class PlayedHub:
    """A server with a played front, ready, and one collector enrolled."""

    def __init__(self, world: World, played: Played, settings: dict[str, Any] | None = None) -> None:
        self.server = world.server("hub", {"pganalytics.hub": "on"} | (settings or {}))
        self.server.execute("create extension pganalytics")
        self.front = played.front().open()
        self.collector = self.enrol("db-1")

    def enrol(self, name: str) -> uuid.UUID:
        token = self.server.value("select pganalytics_create_token(%s)", (name,))
        answer = self.front.register(token, name, name.encode())
        assert answer["status"] == 200, answer
        found: uuid.UUID = answer["collector_id"]
        return found
