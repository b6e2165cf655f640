"""A corpus of push bodies: each good but for one thing, with what the hub must say. In each stands a row that only a
body stored in part could leave behind. The judge of random damage is Python's json, made as strict as RFC 8259 lets it."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .front import now_text

ID = "00000000-1111-4222-8333-444444444444"  # the sender's stands in its place
MARK = 4242  # datid of the row


class Body(NamedTuple):
    what: str
    json: bytes
    status: int
    pack: Callable[[bytes], bytes] | None = None  # as it goes over the wire; None: identity


def envelope(**changed: Any) -> dict[str, Any]:
    columns = {"datid": [MARK], "relid": [7], "schemaname": ["public"], "relname": ["orders"], "seq_scan": [42], "last_vacuum": [None]}
    entry = {"type": "pg_stats", "timestamp": now_text(), "datname": "app", "tables": {"columns": columns}}
    usual = {"collector_id": ID, "hostname": "db-1", "timestamp": now_text(), "version": "1", "metrics": [entry]}
    return {key: value for key, value in (usual | changed).items() if value is not ...}


def text(**changed: Any) -> bytes:
    return json.dumps(envelope(**changed)).encode()


def beside(raw: bytes) -> bytes:
    """The good body with one member more, of which nobody asks anything but to be JSON; before the rows and behind them."""
    return text()[:-1] + b',"more":' + raw + b"}"


def is_json(data: bytes) -> bool:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    def never(_: str) -> None:
        raise ValueError

    try:
        plain = data.decode("utf-8")
        value = json.loads(plain, object_pairs_hook=once, parse_constant=never)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no half surrogates
        return "\ufeff" not in plain[:1] and "\0" not in json.dumps(value, ensure_ascii=False) and "\\u0000" not in plain
    except (ValueError, AssertionError, RecursionError):
        return False


def values() -> Iterator[Body]:
    """As a member of its own."""
    for raw in (b"0", b"-0", b"1", b"-1", b"0.5", b"1e5", b"1E+5", b"1e-5", b"0e0", b"-0.0e-0", b"1" * 32, b"1e308", b"-1.5e300", b"true", b"false", b"null",
                b'""', b'"a"', b'"\\""', b'"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\u00e4\\ud83d\\ude00"', b"[]", b"{}", b"[[]]", b'{"":0}', b"[ 1 , 2 ]", b'\t"x"\r\n',
                "\"äöü€😀\"".encode(), b'"\x7f"', b'{"a":1,"b":{"a":1}}', b'"\xf4\x8f\xbf\xbf"', b'"\xef\xbf\xbf"', b'"\xee\x80\x80"', b'"%s"' % (b"x" * 65536)):  # fmt: skip
        yield Body(f"value {raw[:30]!r}", beside(raw), 200)
    for raw in (b"01", b"-01", b"00", b"-", b"+1", b".5", b"1.", b"-.5", b"1.e5", b"1e", b"1e+", b"1E", b"0x10", b"1_000", b"1,5", b"1 2", b"--1", b"1-", b"1e5.5",
                b"Infinity", b"-Infinity", b"NaN", b"nan", b"inf", b"1e400000", b"-1e400", b"1e309", b"1" * 33, b"0." + b"1" * 31, b"1" * 10_000, b"1e" + b"9" * 30,
                "١".encode(), b"1f", b"1n", b"0b1", b"True", b"TRUE", b"FALSE", b"tru", b"truee", b"nul", b"nulll", b"None", b"undefined", b"", b" ", b",", b":", b"]", b"}",
                b"'a'", b'"', b'"a', b'a"', b'"a""b"', b'"\n"', b'"\t"', b'"\0"', b'"\x1f"', b'"\r\n"', b'"\\a"', b'"\\x41"', b'"\\u"', b'"\\u12"', b'"\\u123g"', b'"\\U00000041"',
                b'"\\"', b'"\\u0000"', b'"a\\u0000b"', b'"\\ud800"', b'"\\udc00"', b'"\\udc00\\ud800"', b'"\\ud800\\ud800"', b'"\\ud83d\\u0041"', b'"\\ud83dx"', b'"%s"' % (b"x" * 65537),
                b"[1,]", b"[,1]", b"[1,,2]", b"[,]", b"[1 2]", b"[1;2]", b"[", b"[1", b"(1)", b"{1:2}", b"{a:1}", b"{'a':1}", b'{"a"}', b'{"a":}', b'{:1}', b'{"a" 1}', b'{"a":1,}',
                b'{,"a":1}', b'{"a":1 "b":2}', b'{"a":1;"b":2}', b'{"a":1', b'{"a"', b'{"', b"{", b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'{"":1,"":2}', b'{"a":{"b":1,"b":2}}',
                b'[{"a":1,"a":2}]', b"/**/1", b"1//x", b"#x\n1", b"<a/>", b"\xef\xbb\xbf1", b"\x0b1", b"\x0c1", b"\xa01", b"\xc2\xa01", b"\xe2\x80\xa81", b"@", b"`1`", b"\\u0031", b"\xff",
                b"[" * 32 + b"]" * 32, b"[" * 100_000 + b"]" * 100_000, b"[" * 100_000, b'{"a":' * 32 + b"1" + b"}" * 32, b'{"a":' * 100_000, b'[{"a":' * 20 + b"1" + b"}]" * 20):  # fmt: skip
        yield Body(f"value {raw[:30]!r} of {len(raw)}", beside(raw), 400)
    yield Body("32 levels", beside(b"[" * 31 + b"]" * 31), 200)
    yield Body("256 members", beside(b"{" + b",".join(b'"k%d":0' % n for n in range(256)) + b"}"), 200)
    yield Body("257 members", beside(b"{" + b",".join(b'"k%d":0' % n for n in range(257)) + b"}"), 400)
    yield Body("3.9 million values", beside(b"[" + b"0," * 3_899_999 + b"0]"), 200, lambda data: gzip.compress(data, 1))
    yield Body("4.1 million values", beside(b"[" + b"0," * 4_099_999 + b"0]"), 400, lambda data: gzip.compress(data, 1))


def encodings() -> Iterator[Body]:
    for first in (*range(0x80, 0xC2), *range(0xF5, 0x100)):
        yield Body(f"byte {first:#x} alone", beside(b'"' + bytes([first]) + b'"'), 400)
    for raw in (b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc2\x41", b"\xe2\x41\x82", b"\xe2\x82\x41", b"\xf0\x41\x98\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf",
                b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xf8\x88\x80\x80\x80",
                b"\xfc\x84\x80\x80\x80\x80", b"\xc2\xc2", b"\x80\x80", b"\xe2\x82\xac\xac"):  # fmt: skip
        yield Body(f"bytes {raw!r}", beside(b'"' + raw + b'"'), 400)
        yield Body(f"bytes {raw!r} in a key", beside(b'{"' + raw + b'":1}'), 400)
    for coding in ("utf-16", "utf-16-le", "utf-32", "utf-16-be"):
        yield Body(f"in {coding}", text().decode().encode(coding), 400)
    yield Body("byte order mark", b"\xef\xbb\xbf" + text(), 400)


def whole() -> Iterator[Body]:
    good = text()
    for what, bad in {
        "empty": b"", "blank": b" ", "null": b"null", "a number": b"1", "a list": b"[" + good + b"]", "text": json.dumps(good.decode()).encode(), "twice": good + good,
        "comma behind": good + b",", "brace behind": good + b"}", "NUL behind": good + b"\0", "letter behind": good + b"x", "comment behind": good + b"//", "empty object": b"{}",
        "without commas": good.replace(b",", b"\n"), "HTML": b"<html>", "form": b"metrics=1", "XML": b"<?xml version='1.0'?>", "SQL": b"drop table x", "ZIP": b"PK\3\4" + bytes(60),
        "gzip without saying so": gzip.compress(good),
    }.items():  # fmt: skip
        yield Body(what, bad, 400)
    for length in range(0, len(good), max(1, len(good) // 50)):
        yield Body(f"first {length} bytes", good[:length], 400)
    yield Body("blanks around", b" \r\n\t" + good + b"\n\n", 200)
    yield Body("4 MiB", good + b" " * ((4 << 20) - len(good)), 200)
    yield Body("4 MiB and a byte", good + b" " * ((4 << 20) - len(good) + 1), 413)


def types() -> Iterator[Body]:
    uuids, texts = ("snapshot_id", "incarnation", "cycle"), ("hostname", "version", "system_identifier")
    bad_uuids: tuple[Any, ...] = ("", "x", 1, True, [], {}, ID[:-1], ID + "0", ID.replace("-", ""), "{" + ID + "}", " " + ID, ID + "\n", "g" + ID[1:])
    for name in uuids:
        for value in bad_uuids:
            yield Body(f"{name} {value!r}", text(**{name: value}), 400)
    for value in (*bad_uuids, None, ...):
        yield Body(f"collector_id {value!r}", text(collector_id=value), 400)
    for name in texts:
        for value in (1, True, [], {}, ["x"], "x" * 256, 1.5):
            yield Body(f"{name} {str(value)[:20]!r}", text(**{name: value}), 400)
    for value in (..., None, 1, True, "", "x", [], "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T25:00:00Z",
                  "2026-01-01T00:61:00Z", "2026-01-01T00:00:00+99:00", "-2026-01-01T00:00:00Z", "infinity", "now", "2026-01-01T00:00:00Zx", "1" * 300):  # fmt: skip
        yield Body(f"timestamp {str(value)[:30]!r}", text(timestamp=value), 400)
    for name in ("sequence", "part", "parts", "config_version", "metrics_count"):
        for value in (-1, 1.5, 2**63, 2**64, 10**30, "1", True, [1], {}):
            yield Body(f"{name} {value!r}", text(**{name: value}), 400)
    yield Body("part beyond parts", text(part=3, parts=2), 400)
    yield Body("part 0", text(part=0, parts=2), 400)
    yield Body("a million parts", text(part=1, parts=1_000_000), 400)
    yield Body("two metrics counted", text(metrics_count=2), 400)
    for value in ({}, 1, "x", True, [1], ["x"], [[]], [None], [{}], [{"tables": {}}], [{"type": 1}], [{"type": None}], [{"type": ["pg_stats"]}], [{"type": "pg_stats", "tables": 1}],
                  [{"type": "pg_stats", "tables": "x"}], [{"type": "pg_stats", "tables": [1]}], [{"type": "pg_stats", "tables": [[]]}], [{"type": "pg_stats", "tables": {"columns": 1}}],
                  [{"type": "pg_stats", "tables": {"columns": []}}], [{"type": "pg_stats", "tables": {"columns": {"relid": 1}}}], [{"type": "pg_stats", "tables": {"columns": {"relid": [[]]}}}],
                  [{"type": "pg_stats", "tables": {"columns": {"relid": [1], "datid": []}}}], [{"type": "pg_stats", "tables": {"full": 1}}], [{"type": "pg_stats", "tables": {"complete": "x"}}],
                  [{"type": "pg_stats", "tables": {"gone": []}}], [{"type": "pg_stats", "tables": {"gone": {"relid": 1}}}], [{"type": "pg_stats", "tables": {"left_out": -1}}]):  # fmt: skip
        good = envelope()["metrics"]
        more = value if isinstance(value, list) else None
        # Before the good rows and behind them: nothing of either may stay.
        for what, metrics in (("behind", [*good, *more]), ("before", [*more, *good])) if more is not None else (("instead", value),):
            yield Body(f"metrics {value!r}, {what}", text(metrics=metrics), 400)
    wrong = {
        "datid": (-1, 2**32, 1.5, "1", True, [], {}), "relid": (-1, 2**32, 1.5, "1", False, [1], {}), "relname": (1, True, [], {}, "x" * 65537),
        "seq_scan": (2**63, -(2**63) - 1, 1.5, "1", True, [], {}, 10**31), "last_vacuum": (1, True, "yesterday", "2026-01-01", [], {}, "x" * 100),
    }  # fmt: skip
    for column, bad in wrong.items():
        for value in bad:
            entry = envelope()["metrics"][0]
            columns = entry["tables"]["columns"]
            many = {name: old * 3 for name, old in columns.items()} | {column: [columns[column][0], columns[column][0], value]}
            yield Body(f"{column} {str(value)[:30]!r} in the last row", text(metrics=[entry | {"tables": {"columns": many}}]), 400)
            rows = [{name: old[0] for name, old in columns.items()}, {name: old[0] for name, old in columns.items()} | {column: value}]
            yield Body(f"{column} {str(value)[:30]!r} in the last object", text(metrics=[entry | {"tables": rows}]), 400)


def unpacks(data: bytes) -> bool:
    """A bit that means nothing does no harm."""
    try:
        gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return False
    return True


def packed() -> Iterator[Body]:
    good = text()
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = raw.compress(good) + raw.flush()
    size, check = len(good).to_bytes(4, "little"), zlib.crc32(good).to_bytes(4, "little")
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"

    def as_is(data: bytes) -> Callable[[bytes], bytes]:
        # The id is in the deflated bytes; what is refused for its frame needs no right one.
        return lambda _: data

    tail = check + size
    for what, data in {
        "nothing": b"", "magic alone": b"\x1f\x8b", "head alone": head, "no end": head + deflated, "no size": head + deflated + check, "wrong check": head + deflated + bytes(4) + size,
        "wrong size": head + deflated + check + bytes(4), "a byte behind": head + deflated + tail + b"\0", "another member": (head + deflated + tail) * 2,
        "an empty member behind": head + deflated + tail + gzip.compress(b""), "method 7": head.replace(b"\x08", b"\x07", 1) + deflated + tail, "flags reserved": head[:3] + b"\xe0" + head[4:] + deflated + tail,
        "name not ended": head[:3] + b"\x08" + head[4:] + b"x" * 100, "extra beyond": head[:3] + b"\x04" + head[4:] + b"\xff\xff" + deflated + tail, "head check wrong": head[:3] + b"\x02" + head[4:] + b"\0\0" + deflated + tail,
        "zlib": zlib.compress(good), "deflate alone": deflated, "plain": good, "block of type 3": head + b"\x07" + tail, "stored, length wrong": head + b"\x01\x05\0\0\0hello" + tail,
        "distance too far": head + bytes.fromhex("4b040200") + tail, "gzip in gzip": gzip.compress(gzip.compress(good)), "xz": b"\xfd7zXZ\0" + bytes(50), "zstd": b"\x28\xb5\x2f\xfd" + bytes(50),
        "empty content": gzip.compress(b""),
    }.items():  # fmt: skip
        yield Body(f"packed: {what}", good, 400, as_is(data))
    for count in range(1, len(head + deflated + tail), 12):
        yield Body(f"packed: first {count} bytes", good, 400, as_is((head + deflated + tail)[:count]))
    whole = head + deflated + tail
    generator = random.Random(7)
    for number in range(130):
        at = generator.randrange(10, len(whole))
        damaged = whole[:at] + bytes([whole[at] ^ 1 << generator.randrange(8)]) + whole[at + 1 :]
        if not unpacks(damaged):
            yield Body(f"packed: bit {number}", good, 400, as_is(damaged))
    named = head[:3] + b"\x1c" + head[4:] + b"\2\0ab" + b"name\0" + b"comment\0"
    yield Body("packed: all that a head may have", good, 200, lambda data: named + gzip.compress(data)[10:])
    room = (32 << 20) - len(good)
    yield Body("32 MiB", good + b" " * room, 200, lambda data: gzip.compress(data, 1))
    yield Body("32 MiB and a byte", good + b" " * (room + 1), 413, lambda data: gzip.compress(data, 1))
    pieces = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(pieces.compress(bytes(1 << 20)) for _ in range(1024)) + pieces.flush()
    yield Body("bomb of a gigabyte", good, 413, as_is(bomb))
    yield Body("bomb in a bomb", good, 400, as_is(gzip.compress(bomb)))


def damaged(seed: int, count: int) -> Iterator[Body]:
    generator, good = random.Random(seed), text()
    made = 0
    while made < count:
        data = bytearray(good)
        for _ in range(generator.randrange(1, 4)):
            at = generator.randrange(len(data))
            kind = generator.randrange(4)
            if kind == 0:
                del data[at : at + generator.randrange(1, 9)]
            elif kind == 1:
                data[at] = generator.randrange(256)
            elif kind == 2:
                data[at:at] = generator.choice([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"0", b"-", b"\0", b"\xff", b"null", b"e5"])
            else:
                begin = generator.randrange(len(data))
                data[at:at] = data[begin : begin + generator.randrange(1, 40)]
        if not is_json(bytes(data)):
            made += 1
            yield Body(f"damage {made} of seed {seed}", bytes(data), 400)


def corpus(seed: int, damages: int) -> Iterator[Body]:
    for make in (values, encodings, whole, types, packed):
        yield from make()
    yield from damaged(seed, damages)
