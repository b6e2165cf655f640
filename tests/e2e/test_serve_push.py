"""The front's way of a push: what is stored is what was sent, what is wrong is refused with its place, nothing half.
The test is the hub worker (harness/front.py); curl, gzip and hashlib judge."""

import gzip
import http.client
import json
import re
import struct
import subprocess
import threading
import time
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from harness import frames, wait_until
from harness.front import Collector, Front, catalog_rowsets, digest, now_text
from harness.installation import Installation


@pytest.fixture(scope="module")
def rowsets(installation: Installation) -> list[dict[str, Any]]:
    return catalog_rowsets(installation)


@pytest.fixture(scope="module")
def front(installation: Installation, rowsets: list[dict[str, Any]]) -> Iterator[Front]:
    made = Front(installation, rowsets)
    yield made
    made.close()


@pytest.fixture
def collector(front: Front) -> Iterator[Collector]:
    """A new one for each test: limits count by collector."""
    store = front.on_push
    front.pushes.clear()
    yield front.collector()
    front.on_push = store


TABLES = {
    "type": "pg_stats",
    "datname": 'a "b"\n😀',
    "tables": {
        "full": True,
        "complete": True,
        "columns": {
            "datid": [16384, 4294967295],
            "relid": [1, 2],
            "schemaname": ["public", None],
            "relname": ["", "x" * 63],
            "seq_scan": [2**63 - 1, -(2**63)],
            "last_vacuum": ["2026-02-20T10:30:00.123456Z", None],
        },
        "gone": {"datid": [16384], "relid": [77]},
    },
}


def big(value: bytes | None) -> int:
    assert value is not None
    return int.from_bytes(value, "big", signed=True)


def rows_of(front: Front, stored: Any, rowset: str) -> list[dict[str, bytes | None]]:
    names = front.columns(rowset)
    found = []
    for part in stored.rows:
        if part["rowset"] == front.number(rowset):
            rows = frames.copy_fields(part["rows"])
            assert len(rows) == part["count"]
            found += [dict(zip(names, row, strict=True)) for row in rows]
    return found


def test_a_push_arrives_as_it_was_sent(front: Front, collector: Collector) -> None:
    snapshot, incarnation, cycle = (uuid.uuid4() for _ in range(3))
    entry = TABLES | {"timestamp": now_text()}
    body = collector.envelope(
        [entry, {"type": "pg_new"}], snapshot_id=str(snapshot), incarnation=str(incarnation), cycle=str(cycle),
        sequence=7, part=2, parts=3, version="1.2.3", system_identifier="71", in_recovery=True, config_version=5,
        metrics_count=2,
    )  # fmt: skip
    # By curl: its own TLS, its own HTTP; compressed by gzip itself.
    packed = subprocess.run(["gzip", "-9"], input=body, stdout=subprocess.PIPE, check=True).stdout
    done = subprocess.run(
        [
            "curl", "-sS", "--fail-with-body", "--tlsv1.3", "--cacert", front.settings.ca_file,
            "--cert", collector.pair.cert, "--key", collector.pair.key, "--data-binary", "@-",
            "-H", f"Authorization: Bearer {collector.token}", "-H", "Content-Type: application/json; charset=utf-8",
            "-H", "Content-Encoding: gzip", f"https://localhost:{front.settings.port}/api/v1/metrics/push",
        ],
        input=packed, capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer.pop("processing_time_ms") < 5000
    assert answer.pop("limits")["max_body"] == 4 << 20
    assert re.fullmatch("[0-9a-f]{16}", answer.pop("ca")), "of the CAs that the hub trusts"
    assert answer == {
        "status": "success", "collector_id": str(collector.id), "snapshot_id": str(snapshot), "sequence": 7,
        "digest": digest(body), "metrics_inserted": 4, "unknown": {"types": {"pg_new": 1}}, "too_old": 0, "future": 0,
        "duplicate": False, "want_full": False, "bytes_received": len(packed), "next_config_version": 0,
        "next_check_in_seconds": 300,
    }  # fmt: skip

    (stored,) = front.pushes
    begin = stored.begin
    assert begin["collector_id"] == collector.id and begin["snapshot_id"] == snapshot
    assert begin["incarnation"] == incarnation and begin["cycle"] == cycle and begin["sequence"] == 7
    assert (begin["part"], begin["parts"], begin["version"]) == (2, 3, "1.2.3")
    assert begin["digest"] == digest(body) and begin["bytes_json"] == len(body)
    assert begin["in_recovery"] is True and begin["system_identifier"] == "71" and begin["config_version"] == 5

    first, second = rows_of(front, stored, "pg_stats.tables")
    assert first["collector_id"] == collector.id.bytes
    assert first["datname"] == 'a "b"\n😀'.encode() and first["relname"] == b"" and second["relname"] == b"x" * 63
    assert (big(first["seq_scan"]), big(second["seq_scan"])) == (2**63 - 1, -(2**63))
    assert second["datid"] == b"\xff\xff\xff\xff" and second["schemaname"] is None
    assert first["n_tup_ins"] is None
    assert big(first["last_vacuum"]) == 824898600123456 and second["last_vacuum"] is None
    (gone,) = rows_of(front, stored, "pganalytics.gone")
    assert gone["key"] is not None and gone["key"][:1] == b"\x01"
    assert json.loads(gone["key"][1:]) == {"datid": 16384, "relid": 77}
    (full,) = rows_of(front, stored, "pganalytics.fulls")
    assert full["complete"] == b"\x01" and struct.unpack(">I", full["datid"] or b"") == (16384,)


def test_forms_of_a_body(front: Front, collector: Collector) -> None:
    body = collector.envelope([{"type": "pg_stats", "tables": [{"relid": 5, "relname": "objects"}]}])
    assert collector.push(body, compress=False).status == 200
    assert collector.push(body, compress=False, Content_Encoding="identity").status == 200
    assert collector.push(body).status == 200
    assert len({str(push.rows[0]["rows"]) for push in front.pushes}) == 1
    # Without snapshot_id the body names itself.
    assert len({push.begin["snapshot_id"] for push in front.pushes}) == 1
    packed = gzip.compress(body)
    wrong = {
        "cut short": (packed[:-5], 400),
        "cut in the header": (packed[:5], 400),
        "nothing": (b"", 400),
        "two members": (packed + packed, 400),
        "bytes behind": (packed + b"\0", 400),
        "wrong checksum": (packed[:-8] + b"\0\0\0\0" + packed[-4:], 400),
        "wrong length": (packed[:-4] + b"\0\0\0\0", 400),
        "zlib labelled gzip": (zlib.compress(body), 400),
        "not compressed": (body, 400),
    }
    for what, (data, status) in wrong.items():
        answer = collector.push(data, compress=False, Content_Encoding="gzip")
        assert answer.status == status, what
    for coding in ("deflate", "br", "gzip, gzip", "x-gzip", ""):
        assert collector.push(packed, compress=False, Content_Encoding=coding).status == 415, coding
    assert len(front.pushes) == 3
    other = front.collector()
    for kind in ("text/plain", "application/json; charset=latin1", "application/jsonx", ""):
        assert other.push(body, compress=False, Content_Type=kind).status == 415, kind
    assert len(front.pushes) == 3


def test_bombs_and_sizes(front: Front, collector: Collector) -> None:
    before = front.cpu_seconds()
    # 64 MiB of spaces in 64 KB: inflating stops at 32 MiB.
    assert collector.push(b" " * (64 << 20)).status == 413
    assert front.cpu_seconds() - before < 1.5
    body = collector.envelope()
    assert collector.push(body + b" " * ((32 << 20) - len(body))).status == 200
    assert collector.push(body + b" " * ((32 << 20) - len(body) + 1)).status == 413
    # On the wire: exactly 4 MiB, and one more.
    wire = body + b" " * ((4 << 20) - len(body))
    assert collector.push(wire, compress=False).status == 200
    answer = front.raw(
        b"POST /api/v1/metrics/push HTTP/1.1\r\nHost: localhost\r\n"
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in collector.headers().items())
        + b"Content-Length: 4194305\r\n\r\n" + wire[:1000],
        collector.pair,
    )  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 413 ") and b"Connection: close" in answer
    assert len(front.pushes) == 2


def test_what_is_wrong_is_refused_whole(front: Front, collector: Collector) -> None:
    good = {"type": "pg_stats", "tables": {"columns": {"relid": [1]}}}

    def place(metrics: list[Any]) -> str:
        answer = collector.push(collector.envelope(metrics))
        assert answer.status == 400, answer
        assert answer.json["code"] == 400
        return str(answer.json["details"])

    assert "metrics[1].tables.seq_scan[1]: integer" in place(
        [good, {"type": "pg_stats", "tables": {"columns": {"seq_scan": [1, "two"]}}}]
    )
    assert "differ in length" in place([{"type": "pg_stats", "tables": {"columns": {"relid": [1], "datid": []}}}])
    assert "metrics[0].tables[0].relid" in place([{"type": "pg_stats", "tables": [{"relid": {}}]}])
    canary = "canary-7f3a"
    for body in (
        f'{{"collector_id": "{canary}"}}',
        f'{{"{canary}": {canary}}}',
        f'["{canary}"]',
        collector.envelope([{"type": "pg_stats", "tables": {canary: [1], "columns": {canary: 1, "relid": canary}}}]),
    ):
        answer = collector.push(body if isinstance(body, bytes) else body.encode())
        assert answer.status == 400 and canary.encode() not in answer.body
    other = front.collector()
    for body in (b"", b"{", b"\xff", b"{}\0", b'{"a":1,"a":2}', b"[" * 100000, b"nul", b'"\\ud800"'):
        assert other.push(body).status == 400, body[:20]
    assert front.pushes == []


def test_whose_push_it_is(front: Front, collector: Collector) -> None:
    stranger = front.collector()
    assert collector.push(stranger.envelope()).status == 403
    assert collector.push(collector.envelope(metrics_count=1)).status == 400
    assert front.pushes == []


def test_times(front: Front, collector: Collector) -> None:
    def entry(offset: float) -> dict[str, Any]:
        return {"type": "pg_stats", "timestamp": now_text(offset), "tables": [{"relid": 1}]}

    answer = collector.push(collector.envelope([entry(0), entry(-30.1 * 86400), entry(-29.9 * 86400), entry(1200)]))
    assert answer.status == 200
    assert (answer.json["too_old"], answer.json["future"], answer.json["metrics_inserted"]) == (1, 1, 3)
    times = [big(row["time"]) for row in rows_of(front, front.pushes[0], "pg_stats.tables")]
    now = front.pushes[0].begin["received_at"] - 946684800_000000
    assert abs(times[0] - now) < 60_000_000 and abs(times[2] - now) < 60_000_000
    assert abs(times[1] - now + 29.9 * 86400_000000) < 60_000_000


def test_answers_of_the_worker(front: Front, collector: Collector) -> None:
    def outcome(kind: int, **more: Any) -> Any:
        front.on_push = lambda push: frames.push_result(push.begin["number"], kind, **more)
        return collector.push(collector.envelope())

    answer = outcome(frames.DUPLICATE, want_full=True)
    assert answer.status == 200 and answer.json["duplicate"] is True and answer.json["want_full"] is True
    assert outcome(frames.CONFLICT).status == 409
    assert outcome(frames.REFUSED).status == 422
    answer = outcome(frames.BUSY, retry_after=9)
    assert answer.status == 503 and answer.headers["Retry-After"] == "9"


def test_one_push_at_a_time_for_a_collector(front: Front, collector: Collector) -> None:
    front.on_push = lambda push: None
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(collector.push(collector.envelope())))
    assert collector.token
    thread.start()
    wait_until(lambda: front.pushes, 10)
    second = collector.push(collector.envelope())
    assert second.status == 503 and int(second.headers["Retry-After"]) >= 1
    other = front.collector()
    front.on_push = lambda push: frames.push_result(push.begin["number"], frames.STORED)
    assert other.push(other.envelope()).status == 200
    # The worker says nothing for 10 s: not now. The collector's place is free again once it has spoken.
    thread.join(20)
    assert answers[0].status == 503 and "Retry-After" in answers[0].headers
    assert collector.push(collector.envelope()).status == 503
    front.send(frames.PUSH_RESULT, frames.push_result(front.pushes[0].begin["number"], frames.STORED))
    front.settle()
    assert collector.push(collector.envelope()).status == 200


def test_rates(front: Front, collector: Collector) -> None:
    # Through one connection: handshakes on a busy machine take longer than two pushes a second.
    context = front.context(collector.pair)
    connection = http.client.HTTPSConnection("localhost", front.settings.port, timeout=40, context=context)

    def push() -> tuple[int, str | None]:
        connection.request("POST", "/api/v1/metrics/push", collector.envelope(), collector.headers())
        response = connection.getresponse()
        response.read()
        return response.status, response.headers["Retry-After"]

    began = time.monotonic()
    answers = [push() for _ in range(20)]
    while answers[-1][0] == 200 and len(answers) < 500:
        answers.append(push())
    assert answers[-1] == (429, "1")
    # Twenty at once, and two a second on top.
    assert 20 <= len(answers) - 1 <= 20 + 2 * (time.monotonic() - began)
    connection.close()
    # Others don't feel it.
    other = front.collector()
    assert other.push(other.envelope()).status == 200
    # Tokens: six, then wait.
    refresh = [front.request("POST", "/api/v1/collectors/refresh-token", pair=other.pair) for _ in range(7)]
    assert [one.status for one in refresh] == [200] * 5 + [429] * 2
    assert 1 <= int(refresh[-1].headers["Retry-After"]) <= 10


def test_large_pushes_in_bounded_pieces(front: Front, collector: Collector) -> None:
    count = 20000
    columns = {
        "datid": [5] * count,
        "relid": list(range(count)),
        "relname": [f"table_{i}" for i in range(count)],
        "seq_scan": [i * 12345678901 for i in range(count)],
    }
    answer = collector.push(
        collector.envelope([{"type": "pg_stats", "timestamp": now_text(), "tables": {"columns": columns}}])
    )
    assert answer.status == 200 and answer.json["metrics_inserted"] == count
    (stored,) = front.pushes
    assert len(stored.rows) > 5
    assert all(len(part["rows"]) <= 256 << 10 for part in stored.rows)
    rows = rows_of(front, stored, "pg_stats.tables")
    assert [big(row["seq_scan"]) for row in rows] == columns["seq_scan"]
    assert [row["relname"] for row in rows] == [name.encode() for name in columns["relname"]]


def test_a_silent_worker_is_away(installation: Installation, rowsets: list[dict[str, Any]]) -> None:
    front = Front(installation, rowsets)
    collector = front.collector()
    assert collector.push(collector.envelope()).status == 200
    front.heartbeats = False
    # Health is told without asking the worker, so that asking does not wake it.
    health = wait_until(
        lambda: (one := front.request("GET", "/api/v1/health")).json["status"] == "degraded" and one, 30, "away"
    )
    assert health.status == 200 and health.json["database_ok"] is False
    answer = collector.push(collector.envelope())
    assert answer.status == 503 and "Retry-After" in answer.headers
    front.heartbeats = True
    wait_until(lambda: collector.push(collector.envelope()).status == 200, 10, "back", every=0.6)
    front.close()
