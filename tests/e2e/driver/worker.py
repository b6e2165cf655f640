"""The collector worker's part, played to a real `pganalytics ship`."""

import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time
from typing import Any, NamedTuple

from harness.waiting import Deadline

from . import frames
from .frames import Reader, flag, many, text, varint, zigzag

STATUS_TYPES = ["text"] * 5
COLLECT_TYPES = ["text", "text", "text", "bigint", "double precision", "text"]
PUSH_TYPES = ["uuid", "bigint", "bigint", "bigint", "bigint", "text", "boolean", "bigint", "bigint"]


class RequestError(Exception):
    def __init__(self, sqlstate: str, message: str, detail: str, hint: str) -> None:
        super().__init__(f"{sqlstate} {message} | {detail} | {hint}")
        self.sqlstate, self.message, self.detail, self.hint = sqlstate, message, detail, hint


class RowsetShape(NamedTuple):
    number: int
    plugin: str
    name: str
    scope: str
    columns: list[str]
    types: list[str]
    keys: int


def catalog(program: pathlib.Path, major: int = 15) -> dict[str, RowsetShape]:
    """The rowsets by name; a rowset's number is its place in the list."""
    printed = subprocess.run(
        [program, "catalog", "--json", str(major)], capture_output=True, text=True, check=True
    ).stdout
    shapes = {}
    for number, one in enumerate(json.loads(printed)):
        columns = one["columns"]
        shapes[f"{one['plugin']}.{one['name']}"] = RowsetShape(
            number, one["plugin"], one["name"], one["scope"],
            [column["name"] for column in columns], [column["type"] for column in columns],
            sum(column["kind"] == "key" for column in columns),
        )  # fmt: skip
    return shapes


class Ship:
    """One run of the program. Frames that come are kept; every wait has a deadline."""

    def __init__(
        self, program: pathlib.Path, state_directory: pathlib.Path, facts: bool = True,
        environment: dict[str, str] | None = None, **settings: Any,
    ) -> None:  # fmt: skip
        self.catalog = catalog(program)
        self.settings: dict[str, Any] = {
            "hub_url": "", "ca_file": "", "cert_file": "", "key_file": "",
            "state_directory": str(state_directory), "own_hub": False, "collect_interval_ms": 60000,
            "full_interval_s": 3600, "memory_limit": 96 << 20, "spool_limit": 256 << 20, **settings,
        }  # fmt: skip
        ours, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [program, "ship"], preexec_fn=lambda: os.dup2(theirs.fileno(), 3, inheritable=True),
            close_fds=False, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})},
        )  # fmt: skip
        theirs.close()
        self.socket = ours
        self._bytes = b""
        self.logs: list[dict[str, Any]] = []
        self.wishes = 0  # NeedSelfEnrolment frames
        self.heartbeats: list[int] = []
        self._parts: dict[int, bytes] = {}
        self._answers: dict[int, bytes | RequestError] = {}
        self._numbers = 0
        hello = self._read_frame(10)
        assert hello[0] == frames.HELLO
        self._send(frames.HELLO, hello[1])  # same version, same catalog
        self.send_settings()
        if facts:
            self.send_facts()

    def close(self) -> None:
        self.socket.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    # --- frames out

    def _send(self, kind: int, payload: bytes = b"") -> None:
        self.socket.sendall(frames.frame(kind, payload))

    def send_settings(self, **changed: Any) -> None:
        self.settings.update(changed)
        s = self.settings
        self._send(
            frames.SHIP_SETTINGS,
            flag(True) + text(s["hub_url"]) + text(s["ca_file"]) + text(s["cert_file"]) + text(s["key_file"])
            + text(s["state_directory"]) + flag(s["own_hub"]) + zigzag(s["collect_interval_ms"])
            + zigzag(s["full_interval_s"]) + zigzag(300) + flag(True) + zigzag(s["spool_limit"])
            + zigzag(s["memory_limit"]),
        )  # fmt: skip

    def send_facts(self, in_recovery: bool = False) -> None:
        self._send(
            frames.SERVER_FACTS,
            text("7123456789012345678") + zigzag(150020) + text("15.20") + flag(in_recovery) + text("test")
            + zigzag(os.getpid()) + text("/") + text("") + many([]) + many([]),
        )  # fmt: skip

    def heartbeat(self, number: int) -> None:
        self._send(frames.HEARTBEAT, varint(number))

    def self_enrol(self, url: str, token: str) -> None:
        self._send(frames.SELF_ENROL, text(url) + text(token))

    def begin_cycle(self, purpose: int = frames.SCHEDULED, request: int = 0, host: list[str] | None = None) -> None:
        self._numbers += 1
        numbers = [varint(self.catalog[name].number) for name in host or []]
        self._send(
            frames.CYCLE_BEGIN,
            varint(self._numbers) + varint(purpose) + zigzag(time.time_ns() // 1000) + varint(request) + many(numbers),
        )  # fmt: skip

    def rowset(
        self, name: str, rows: list[list[Any]], datid: int = 0, datname: str = "", complete: bool = True, error: str = "",
        own: int = 0, own_name: str = "", left_out: int = 0, sums: str = "",
    ) -> None:  # fmt: skip
        shape = self.catalog[name]
        self._send(
            frames.ROWSET_BEGIN,
            varint(shape.number) + varint(datid) + text(datname) + zigzag(time.time_ns() // 1000)
            + frames.flag(False) + varint(0) + varint(own) + text(own_name),
        )
        piece = b""
        for row in rows:
            piece += frames.encode_row(shape.types, row)
            if len(piece) > 200_000:
                self._send(frames.ROWSET_ROWS, piece)
                piece = b""
        if piece:
            self._send(frames.ROWSET_ROWS, piece)
        self._send(
            frames.ROWSET_END,
            varint(len(rows)) + flag(complete) + varint(1500) + varint(700) + text("57014" if error else "") + text(error)
            + varint(left_out) + text(sums) + varint(0),
        )  # fmt: skip

    def end_cycle(self, databases: list[int] | None = None, own: dict[int, str] | None = None) -> None:
        known = b"\0" if own is None else b"\1" + many([varint(number) + text(name) for number, name in own.items()])
        self._send(
            frames.CYCLE_END,
            varint(self._numbers) + varint(1) + varint(0) + many([varint(datid) for datid in databases or [16384]])
            + frames.NOTHING_COUNTED + known,
        )  # fmt: skip

    # --- requests

    def ask(self, kind: int, *arguments: str, timeout_ms: int = 30000) -> int:
        self._numbers += 1
        self._send(
            frames.REQUEST,
            varint(self._numbers) + varint(kind) + many([text(one) for one in arguments]) + zigzag(timeout_ms),
        )  # fmt: skip
        return self._numbers

    def answer(self, number: int, seconds: float = 30) -> bytes:
        end = Deadline(seconds)
        while number not in self._answers:
            try:
                self.take_frame(end.left())
            except TimeoutError:
                if end.left() <= 0:
                    raise
        answer = self._answers.pop(number)
        if isinstance(answer, RequestError):
            raise answer
        return answer

    def call(self, kind: int, *arguments: str, seconds: float = 30) -> bytes:
        return self.answer(self.ask(kind, *arguments, timeout_ms=int(seconds * 1000)), seconds + 2)

    def status(self) -> dict[str, dict[str, str | None]]:
        """component -> name -> value"""
        table: dict[str, dict[str, str | None]] = {}
        for component, name, value, _unit, _note in frames.decode_rows(STATUS_TYPES, self.call(frames.STATUS)):
            table.setdefault(component, {})[name] = value
        return table

    def register(self, url: str, token: str, seconds: float = 30) -> str:
        return self.call(frames.REGISTER, url, token, seconds=seconds).decode()

    # --- frames in

    def _read_frame(self, seconds: float) -> tuple[int, bytes]:
        self.socket.settimeout(max(seconds, 0.001))
        while True:
            if len(self._bytes) >= 4:
                (length,) = struct.unpack_from("<I", self._bytes)
                if len(self._bytes) >= 4 + length:
                    whole, self._bytes = self._bytes[4 : 4 + length], self._bytes[4 + length :]
                    assert whole[1] == frames.FRAME_VERSION
                    return whole[0], whole[2:]
            piece = self.socket.recv(1 << 20)
            assert piece, "the program ended the conversation"
            self._bytes += piece

    def take_frame(self, seconds: float) -> int:
        kind, payload = self._read_frame(seconds)
        reader = Reader(payload)
        if kind == frames.LOG:
            level = reader.varint()
            cause, message, detail, hint = (reader.text() for _ in range(4))
            self.logs.append({"level": level, "cause": cause, "message": message, "detail": detail, "hint": hint})
        elif kind == frames.HEARTBEAT_ANSWER:
            self.heartbeats.append(reader.varint())
        elif kind == frames.NEED_SELF_ENROLMENT:
            self.wishes += 1
        elif kind == frames.ANSWER_PART:
            number = reader.varint()
            piece = reader.bytes()
            assert len(piece) <= 64 << 10
            self._parts[number] = self._parts.get(number, b"") + piece
        elif kind == frames.ANSWER_END:
            number = reader.varint()
            sqlstate, message, detail, hint = (reader.text() for _ in range(4))
            parts = self._parts.pop(number, b"")
            assert number not in self._answers, "two answers to one request"
            self._answers[number] = RequestError(sqlstate, message, detail, hint) if sqlstate else parts
        else:
            raise AssertionError(f"unexpected frame {kind}")
        return kind

    def pump(self, condition: Any, seconds: float = 20) -> None:
        """Takes frames until the condition holds."""
        end = Deadline(seconds)
        while not condition():
            assert end.left() > 0, f"not within {end}; log: {self.logs}"
            try:
                self.take_frame(0.02)
            except TimeoutError:
                pass

    def pump_tries(self, condition: Any, seconds: float = 60) -> None:
        """Until a condition that comes with one of the next tries holds: those come later and later, up to five minutes,
        so it is asked for one each second."""
        end = Deadline(seconds)
        while not condition():
            assert end.left() > 0, f"not within {end}; log: {self.logs}"
            self.call(frames.RELOAD)
            moment = time.monotonic() + 1
            self.pump(lambda: condition() or time.monotonic() >= moment)
