"""Frames, messages and rows as bytes: an implementation of its own of core/frame.hpp, codec.hpp,
ship_messages.hpp and row_format.hpp.
"""

import struct
import uuid
from typing import Any

FRAME_VERSION = 1
HELLO, HEARTBEAT, HEARTBEAT_ANSWER, LOG, STOP = 1, 2, 3, 4, 5
SHIP_SETTINGS, SERVER_FACTS, CYCLE_BEGIN, ROWSET_BEGIN, ROWSET_ROWS = 16, 17, 18, 19, 20
ROWSET_END, CYCLE_END, REQUEST, SELF_ENROL = 21, 22, 23, 24
ANSWER_PART, ANSWER_END, NEED_SELF_ENROLMENT = 32, 33, 34

SCHEDULED, COLLECT_NOW, PUSH_NOW, PREVIEW = 0, 1, 2, 3
STATUS, REGISTER, UNREGISTER, RELOAD = 4, 5, 6, 7


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def zigzag(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return varint(len(raw)) + raw


def many(items: list[bytes]) -> bytes:
    return varint(len(items)) + b"".join(items)


def flag(value: bool) -> bytes:
    return b"\1" if value else b"\0"


def frame(kind: int, payload: bytes = b"") -> bytes:
    return struct.pack("<IBB", len(payload) + 2, kind, FRAME_VERSION) + payload


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def raw(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        assert len(piece) == count, "cut short"
        self.at += count
        return piece

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.raw(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def zigzag(self) -> int:
        number = self.varint()
        return number >> 1 if number % 2 == 0 else -(number + 1 >> 1)

    def bytes(self) -> bytes:
        return self.raw(self.varint())

    def text(self) -> str:
        return self.bytes().decode()


def encode_row(types: list[str], values: list[Any]) -> bytes:
    """A row with its length; `types` are SQL names as `pganalytics catalog` prints them."""
    nulls = bytearray((len(types) + 7) // 8)
    body = b""
    for i, (kind, value) in enumerate(zip(types, values, strict=True)):
        if value is None:
            nulls[i // 8] |= 1 << i % 8
        elif kind == "boolean":
            body += flag(value)
        elif kind in ("bigint", "timestamp with time zone"):
            body += zigzag(value)
        elif kind in ("oid", "pg_lsn"):
            body += varint(value)
        elif kind == "double precision":
            body += struct.pack("<d", value)
        elif kind == "uuid":
            body += uuid.UUID(value).bytes
        else:
            body += text(value)
    return text(bytes(nulls) + body)


def decode_rows(types: list[str], data: bytes) -> list[list[Any]]:
    reader, rows = Reader(data), []
    while reader.at < len(data):
        body = Reader(reader.bytes())
        nulls = body.raw((len(types) + 7) // 8)
        row: list[Any] = []
        for i, kind in enumerate(types):
            if nulls[i // 8] >> i % 8 & 1:
                row.append(None)
            elif kind == "boolean":
                row.append(body.raw(1) == b"\1")
            elif kind == "bigint":
                row.append(body.zigzag())
            elif kind == "double precision":
                row.append(struct.unpack("<d", body.raw(8))[0])
            elif kind == "uuid":
                row.append(str(uuid.UUID(bytes=body.raw(16))))
            else:
                row.append(body.text())
        assert body.at == len(body.data), "a row with bytes left over"
        rows.append(row)
    return rows


# The end of a RowsetBegin: not a partial reading, nor of a user's own rowset.
WHOLE = flag(False) + varint(0) * 2 + text("")
# The end of a RowsetEnd that has all rows.
NOTHING_LEFT_OUT = varint(0) + text("") + varint(0)
# The end of a CycleEnd: the 18 fields of WorkerCounts, of which the first and the last are times, and no partial
# readings.
NOTHING_COUNTED = zigzag(0) + varint(0) * 16 + zigzag(0) + many([]) * 2
# The end of a CycleEnd after these.
OWN_NOT_KNOWN = flag(False)
