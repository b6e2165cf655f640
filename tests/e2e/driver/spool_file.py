"""Files of a spool as bytes: an implementation of its own of version 1 of ship/spool_format.hpp, so that a later
version of the program meets the spool of an earlier one, and an earlier one that of a later.
"""

import gzip
import hashlib
import json
import pathlib
import struct
import uuid
from typing import Any, NamedTuple

from .frames import many, text, varint, zigzag

SNAPSHOT = 1
MARK = 0xC55A9E71
SEED = 0x5EED5EED


def _table() -> list[int]:
    table = []
    for number in range(256):
        for _ in range(8):
            number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
        table.append(number)
    return table


TABLE = _table()


def crc32c(data: bytes, before: int = 0) -> int:
    crc = before ^ 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class Pushed(NamedTuple):
    """A snapshot as a run of long ago made it."""

    snapshot_id: uuid.UUID
    collector_id: uuid.UUID
    incarnation: uuid.UUID
    sequence: int
    time: int  # microseconds since 1970
    envelope: dict[str, Any]

    def record(self, number: int) -> bytes:
        raw = json.dumps(self.envelope).encode()
        body = gzip.compress(raw)
        meta = (
            self.snapshot_id.bytes + self.collector_id.bytes + self.incarnation.bytes + varint(self.sequence)
            + hashlib.sha256(raw).digest() + varint(len(raw)) + varint(1) + zigzag(self.time) + many([]) + text("")
        )  # fmt: skip
        head = struct.pack("<IBBHIIQ", MARK, SNAPSHOT, 0, 0, len(meta), len(body), number)
        head += struct.pack("<II", crc32c(meta, SEED), crc32c(body, SEED))
        return head + struct.pack("<I", crc32c(head, SEED)) + meta + body


def segment(number: int, first: int, pushed: list[Pushed], version: int = 1) -> bytes:
    nothing_lost = b"".join(varint(0) * 3 + zigzag(0) * 2 for _ in range(5)) + many([]) + varint(1)
    header = varint(number) + varint(first) + varint(SEED) + zigzag(0) + varint(1) + nothing_lost
    start = b"pgaspool" + struct.pack("<II", version, len(header))
    start += struct.pack("<I", crc32c(header, crc32c(start))) + header
    return start + b"".join(one.record(first + at) for at, one in enumerate(pushed))


def write(folder: pathlib.Path, name: str, data: bytes) -> pathlib.Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path
