"""Frames and messages as core/frame.hpp, core/codec.hpp and core/serve_messages.hpp define them, once more in Python:
what a test needs to play the hub worker opposite `pganalytics serve`."""

import dataclasses
import struct
import uuid
from typing import Any

HELLO, HEARTBEAT, HEARTBEAT_ANSWER, LOG, STOP = 1, 2, 3, 4, 5
SERVE_SETTINGS, SERVE_TARGETS, COLLECTOR_STATE, COLLECTOR_GONE, OPEN, HUB_HEALTH = 48, 49, 50, 51, 52, 53
PUSH_RESULT, REGISTER_RESULT = 54, 55
PUSH_BEGIN, PUSH_ROWS, PUSH_END, REGISTER, CERTIFICATE_USED, LISTENING = 64, 65, 66, 67, 68, 69

STORED, DUPLICATE, CONFLICT, REFUSED, BUSY = 1, 2, 3, 4, 5


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    return varint((value << 1) ^ (value >> 63) if value >= 0 else ((-value - 1) << 1) | 1)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(len(raw)) + raw


def boolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def several(items: list[bytes]) -> bytes:
    return varint(len(items)) + b"".join(items)


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack("<IBB", len(payload) + 2, kind, 1) + payload


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def raw(self, count: int) -> bytes:
        assert self.at + count <= len(self.data), "message cut short"
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.raw(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def text(self) -> str:
        return self.bytes().decode()

    def bytes(self) -> bytes:
        return self.raw(self.varint())

    def boolean(self) -> bool:
        return self.raw(1) != b"\x00"

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(bytes=self.raw(16))

    def done(self) -> None:
        assert self.at == len(self.data), "bytes left over in a message"


def hello(message: bytes) -> tuple[int, str, int]:
    reader = Reader(message)
    return reader.varint(), reader.text(), reader.varint()


@dataclasses.dataclass
class Settings:
    hub_id: str
    hub_url: str
    cert_file: str
    key_file: str
    ca_file: str
    master_key_file: str
    port: int
    console_port: int
    state_directory: str
    listen_addresses: list[str] = dataclasses.field(default_factory=lambda: ["127.0.0.1"])
    retention_s: int = 30 * 86400
    max_body: int = 4 << 20
    max_connections: int = 512
    accept_zlib: bool = False
    issue_keys: bool = False
    server_version: str = "15.0"
    ca_key_file: str = ""

    def encode(self) -> bytes:
        return (
            several([text(one) for one in self.listen_addresses])
            + signed(self.port)
            + signed(self.console_port)
            + text(self.hub_id)
            + text(self.hub_url)
            + text(self.cert_file)
            + text(self.key_file)
            + text(self.ca_file)
            + text(self.master_key_file)
            + signed(self.retention_s)
            + signed(self.max_body)
            + signed(self.max_connections)
            + boolean(self.accept_zlib)
            + boolean(self.issue_keys)
            + text(self.server_version)
            + text(self.state_directory)
            + signed(0)
            + text(self.ca_key_file)
        )


def targets(announced: list[tuple[int, list[str]]]) -> bytes:
    return several([varint(number) + several([text(name) for name in names]) for number, names in announced])


def collector_state(
    collector: uuid.UUID, name: str, generation: int, certificates: list[tuple[bytes, int]], enabled: bool = True
) -> bytes:
    return (
        collector.bytes
        + text(name)
        + boolean(enabled)
        + varint(generation)
        + several([fingerprint + varint(number) for fingerprint, number in certificates])
    )


def hub_health(database_ok: bool, timescale_ok: bool | None) -> bytes:
    return boolean(database_ok) + (b"\x00" if timescale_ok is None else b"\x01" + boolean(timescale_ok))


def push_result(
    number: int, outcome: int, inserted: int = 0, want_full: bool = False, retry_after: int = 0, message: str = ""
) -> bytes:
    return (
        varint(number) + varint(outcome) + varint(inserted) + boolean(want_full) + varint(retry_after) + text(message)
    )


def register_result(
    number: int,
    status: int,
    message: str = "",
    collector: uuid.UUID = uuid.UUID(int=0),
    generation: int = 0,
    certificate: str = "",
    ca_certificate: str = "",
    expires_at: int = 0,
) -> bytes:
    return (
        varint(number)
        + varint(status)
        + text(message)
        + collector.bytes
        + varint(generation)
        + text(certificate)
        + text(ca_certificate)
        + signed(expires_at)
    )


def push_begin(message: bytes) -> dict[str, Any]:
    reader = Reader(message)
    begin = {
        "number": reader.varint(),
        "collector_id": reader.uuid(),
        "snapshot_id": reader.uuid(),
        "incarnation": reader.uuid(),
        "sequence": reader.varint(),
        "digest": reader.raw(32).hex(),
        "cycle": reader.uuid(),
        "part": reader.varint(),
        "parts": reader.varint(),
        "time": reader.signed(),
        "received_at": reader.signed(),
        "hostname": reader.text(),
        "version": reader.text(),
        "system_identifier": reader.text(),
        "in_recovery": reader.boolean() if reader.boolean() else None,
        "config_version": reader.varint(),
        "bytes_received": reader.varint(),
        "bytes_json": reader.varint(),
        "too_old": reader.varint(),
        "future": reader.varint(),
        "unknown": reader.text(),
    }
    reader.done()
    return begin


def push_rows(message: bytes) -> dict[str, Any]:
    reader = Reader(message)
    rows = {
        "number": reader.varint(),
        "rowset": reader.varint(),
        "count": reader.varint(),
        "rows": reader.bytes(),
    }
    reader.done()
    return rows


def push_end(message: bytes) -> tuple[int, int]:
    """Number, and the rows of all its frames."""
    reader = Reader(message)
    end = reader.varint(), reader.varint()
    reader.done()
    return end


def register(message: bytes) -> dict[str, Any]:
    reader = Reader(message)
    request = {
        "number": reader.varint(),
        "token_digest": reader.raw(32),
        "name": reader.text(),
        "hostname": reader.text(),
        "version": reader.text(),
        "public_key": reader.bytes(),
        "address": reader.text(),
    }
    reader.done()
    return request


def copy_fields(rows: bytes) -> list[list[bytes | None]]:
    """Rows of binary COPY data, field by field."""
    result: list[list[bytes | None]] = []
    at = 0
    while at < len(rows):
        (count,) = struct.unpack_from(">h", rows, at)
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", rows, at)
            at += 4
            row.append(None if length < 0 else rows[at : at + length])
            at += max(length, 0)
        result.append(row)
    assert at == len(rows)
    return result
