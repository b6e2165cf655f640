"""`pganalytics ship` as a process: how it ends, what it does with frames that no worker would send, and
how much memory it takes.
"""

import os
import pathlib
import random
import time
from collections.abc import Callable

import pytest

from driver import frames
from driver.fixtures import fresh_ship, program, scripted, ship  # noqa: F401
from driver.scripted_hub import Answer, ScriptedHub
from driver.worker import Ship, catalog

DATID = 16384


def cycle(ship: Ship) -> None:
    ship.begin_cycle()
    ship.rowset("pg_stats.tables", [], DATID, "app")
    ship.end_cycle([DATID])


def ended_within(ship: Ship, seconds: float) -> int:
    began = time.monotonic()
    code = ship.process.wait(seconds)
    assert time.monotonic() - began < seconds
    return code


def test_it_ends_with_its_worker(ship: Ship, scripted: ScriptedHub) -> None:
    scripted.script = lambda request: Answer(200, b"", stall=30)
    cycle(ship)
    scripted.wait_requests(1)
    ship.socket.close()
    assert ended_within(ship, 2) == 0


def test_it_ends_when_told(ship: Ship, scripted: ScriptedHub) -> None:
    scripted.script = lambda request: Answer(200, b"", stall=30)
    cycle(ship)
    scripted.wait_requests(1)
    ship._send(frames.STOP)
    assert ended_within(ship, 2) == 0


WRONG_FRAMES: dict[str, Callable[[Ship], None]] = {
    "unknown type": lambda ship: ship._send(99),
    "rows outside a rowset": lambda ship: (ship.begin_cycle(), ship._send(frames.ROWSET_ROWS, b"")),  # type: ignore[func-returns-value]
    "rowset outside a cycle": lambda ship: ship.rowset("pg_stats.tables", []),
    "cycle within a cycle": lambda ship: (ship.begin_cycle(), ship.begin_cycle()),  # type: ignore[func-returns-value]
    "end without begin": lambda ship: ship.end_cycle(),
    "unknown rowset": lambda ship: (  # type: ignore[func-returns-value]
        ship.begin_cycle(),
        ship._send(frames.ROWSET_BEGIN, frames.varint(60000) + frames.varint(0) + frames.text("") + frames.zigzag(0) + frames.WHOLE),
    ),
    "settings cut short": lambda ship: ship._send(frames.SHIP_SETTINGS, b"\1\5a"),
    "bytes left over": lambda ship: ship._send(frames.REQUEST, b"\1\4\0\0extra"),
    "a frame of the program's": lambda ship: ship._send(frames.ANSWER_END, b"\1" + frames.text("") * 4),
    "wrong version": lambda ship: ship.socket.sendall(b"\2\0\0\0\x05\x07"),
    "too long": lambda ship: ship.socket.sendall(b"\xff\xff\xff\xff\x05\x01"),
}


@pytest.mark.parametrize("kind", WRONG_FRAMES)
def test_frames_out_of_order_end_the_conversation(fresh_ship: Ship, kind: str) -> None:
    WRONG_FRAMES[kind](fresh_ship)
    assert ended_within(fresh_ship, 5) == 1


def test_a_malformed_row_costs_its_rowset_only(ship: Ship, scripted: ScriptedHub) -> None:
    shape = ship.catalog["pg_stats.tables"]
    good = [[DATID, 20000, *[None] * (len(shape.types) - 2)]]
    number = ship.ask(frames.COLLECT_NOW)
    ship.begin_cycle(frames.COLLECT_NOW, number)
    row = frames.encode_row(shape.types, good[0])
    for piece in (row + b"\x7fcut", row + b"\x03\0\0\0", b"\x01\0"):
        ship._send(
            frames.ROWSET_BEGIN,
            frames.varint(shape.number) + frames.varint(DATID) + frames.text("app") + frames.zigzag(0) + frames.WHOLE,
        )
        ship._send(frames.ROWSET_ROWS, piece)
        ship._send(frames.ROWSET_END, frames.varint(2) + frames.flag(True) + frames.varint(0) * 2 + frames.text("") * 2 + frames.NOTHING_LEFT_OUT)
    ship.rowset("pg_stats.tables", good, DATID + 1, "other")
    ship.end_cycle([DATID, DATID + 1])
    types = ["text", "text", "text", "bigint", "double precision", "text"]
    rows = frames.decode_rows(types, ship.answer(number))
    assert [row[5] for row in rows] == ["malformed row"] * 3 + [None]
    assert [row[2:4] for row in rows] == [["app", 2]] * 3 + [["other", 1]]
    push = scripted.wait_requests(1)[0].json()
    assert [entry["datname"] for entry in push["metrics"]] == ["other"]


def test_collect_now_reports_errors_and_the_incomplete(ship: Ship, scripted: ScriptedHub) -> None:
    shape = ship.catalog["pg_stats.tables"]
    number = ship.ask(frames.COLLECT_NOW)
    ship.begin_cycle(frames.COLLECT_NOW, number, ["sysstat.load"])
    rows = [[DATID, i, *[None] * (len(shape.types) - 2)] for i in (30, 10, 20)]
    ship.rowset("pg_stats.tables", rows, DATID, "app", complete=False, error="canceling statement due to timeout")
    ship.end_cycle([DATID])
    types = ["text", "text", "text", "bigint", "double precision", "text"]
    tables, load = frames.decode_rows(types, ship.answer(number))
    assert tables == ["pg_stats", "tables", "app", 3, 1.5, "canceling statement due to timeout (57014)"]
    assert load[:4] == ["sysstat", "load", None, 1] and load[5] is None
    push = scripted.wait_requests(1)[0].json()
    rowset = push["metrics"][0]["tables"]
    assert rowset["complete"] is False and rowset["columns"]["relid"] == [10, 20, 30]


def test_hostile_streams_never_end_it_by_a_signal(
    tmp_path: pathlib.Path, program: pathlib.Path, rng: random.Random
) -> None:
    """Mutations of a good conversation: the program goes on or ends itself."""
    shape = catalog(program)["pg_stats.tables"]
    row = frames.encode_row(shape.types, [DATID, 20000, "s", "t", *[5 if t == "bigint" else None for t in shape.types[4:]]])

    def good(number: int) -> list[bytes]:
        one = frames.varint(number)
        return [
            frames.frame(frames.REQUEST, one + frames.varint(frames.PREVIEW) + frames.many([]) + frames.zigzag(1000)),
            frames.frame(frames.CYCLE_BEGIN, one + frames.varint(frames.PREVIEW) + frames.zigzag(0) + one + frames.many([])),
            frames.frame(
                frames.ROWSET_BEGIN,
                frames.varint(shape.number) + frames.varint(DATID) + frames.text("app") + frames.zigzag(0) + frames.WHOLE,
            ),
            frames.frame(frames.ROWSET_ROWS, row * 20),
            frames.frame(
                frames.ROWSET_END, frames.varint(20) + b"\1" + frames.varint(0) * 2 + frames.text("") * 2 + frames.NOTHING_LEFT_OUT
            ),
            frames.frame(
                frames.CYCLE_END,
                one + frames.varint(1) + frames.varint(0) + frames.many([]) + frames.NOTHING_COUNTED + frames.OWN_NOT_KNOWN,
            ),
        ]

    codes = set()
    for round_ in range(25):
        ship = Ship(program, tmp_path / "state")
        try:
            for number in range(1, 60):
                pieces = good(number)
                if rng.random() < 0.5:
                    victim = rng.randrange(len(pieces))
                    piece = bytearray(pieces[victim])
                    # Mostly behind the frame's head, so that the frames themselves stay whole.
                    for _ in range(rng.randrange(1, 4)):
                        at = rng.randrange(6, len(piece)) if rng.random() < 0.98 and len(piece) > 6 else rng.randrange(len(piece))
                        piece[at] = rng.randrange(256)
                    pieces[victim] = bytes(piece)
                ship.socket.sendall(b"".join(pieces))
                ship.heartbeat(number)
                ship.pump(lambda: number in ship.heartbeats)
        except (OSError, AssertionError):
            pass
        ship.socket.close()
        codes.add(ship.process.wait(10))
    assert codes <= {0, 1}
    last_words = tmp_path / "state/ship.last_words"
    assert not last_words.exists() or last_words.read_text() == ""


def test_a_second_program_leaves_the_state_alone(
    ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    second = Ship(program, tmp_path / "state")
    try:
        assert second.status()["state_directory"]["state"] == "not usable"
        assert second.status()["hub"]["state"] == "not enrolled"
    finally:
        second.close()
    cycle(ship)
    scripted.wait_requests(1)


def test_a_program_waits_for_its_state_directory(program: pathlib.Path, tmp_path: pathlib.Path, scripted: ScriptedHub) -> None:
    """As one of before may hold it while it still ends; then a new process, as the worker starts one, has all of it."""
    state = tmp_path / "state"
    first = Ship(program, state)
    try:
        first.register(scripted.console_url, scripted.authority.token())
        second = Ship(program, state)
        try:
            assert second.status()["state_directory"]["state"] == "not usable"
            # Asked again and again while it is held it goes on, and says so once.
            end = time.monotonic() + 5
            second.pump(lambda: time.monotonic() > end)
            assert sum(line["cause"] == "state directory" for line in second.logs) == 1
            first.close()
            with pytest.raises(AssertionError, match="the program ended the conversation"):
                second.pump(lambda: False, seconds=20)
            assert second.process.wait(5) == 0
            assert [line["detail"] for line in second.logs if line["cause"] == "begins anew"] == ["Its state directory can be used now."]
        finally:
            second.close()
    finally:
        first.close()
    third = Ship(program, state)
    try:
        assert third.status()["state_directory"]["state"] == "usable"
        cycle(third)
        scripted.wait_requests(1)
    finally:
        third.close()


def test_a_state_directory_made_right_is_used(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Also one whose parts had to be made."""
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    ship = Ship(program, state)
    try:
        assert ship.status()["state_directory"]["state"] == "not usable"
        state.chmod(0o700)
        assert ship.process.wait(20) == 0
    finally:
        ship.close()
    again = Ship(program, state)
    try:
        assert again.status()["state_directory"]["state"] == "usable"
    finally:
        again.close()


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_it_waits_for_what_the_worker_tells_without_turning(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Before it knows the server it serves no hub: what is due there must not keep it awake."""
    ship = Ship(program, tmp_path / "state", facts=False, hub_url="https://127.0.0.1:1")
    try:
        with pytest.raises(TimeoutError):
            ship._read_frame(1)
        used = cpu_seconds(ship.process.pid)
        with pytest.raises(TimeoutError):
            ship._read_frame(2)
        assert cpu_seconds(ship.process.pid) - used < 0.5
    finally:
        ship.close()


def memory(pid: int) -> int:
    """Private bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Private_Dirty", "Private_Clean"))) << 10


@pytest.mark.measures("memory")
def test_requests_that_were_given_up_are_forgotten(fresh_ship: Ship) -> None:
    """Their sessions went before a cycle began for them: none ever does."""
    fresh_ship.status()
    before = memory(fresh_ship.process.pid)
    for _ in range(200):
        for _ in range(100):
            fresh_ship.ask(frames.COLLECT_NOW, "x" * 1500, timeout_ms=1)
        fresh_ship.status()
    # All of them would be 30 MB.
    assert memory(fresh_ship.process.pid) - before < 10 << 20


@pytest.mark.measures("memory")
def test_memory_stays_bounded_at_50000_tables(ship: Ship, scripted: ScriptedHub) -> None:
    shapes = {name: ship.catalog[f"pg_stats.{name}"] for name in ("tables", "indexes", "relations")}
    counts = {"tables": 100_000, "indexes": 150_000, "relations": 250_000}
    bodies = {}
    for name, shape in shapes.items():
        # Made by joining, because encoding half a million rows one by one takes python too long.
        values = [b"\x03public"[:0] + frames.text("public") if kind == "text" else frames.zigzag(12345) for kind in shape.types]
        tail = b""
        for kind in shape.types[2:]:
            tail += {"text": frames.text("some_table_name"), "boolean": b"\1", "double precision": bytes(8)}.get(
                kind, frames.zigzag(12345)
            )
        head = bytes((len(shape.types) + 7) // 8) + frames.varint(DATID)
        rows = []
        for i in range(counts[name]):
            rows.append(frames.text(head + frames.varint(20000 + i) + tail))
        del values
        bodies[name] = rows
    highest = 0
    for number in range(1, 3):
        ship.begin_cycle()
        for name, shape in shapes.items():
            ship._send(
                frames.ROWSET_BEGIN,
                frames.varint(shape.number) + frames.varint(DATID) + frames.text("app") + frames.zigzag(0) + frames.WHOLE,
            )
            rows = bodies[name]
            for at in range(0, len(rows), 2000):
                ship._send(frames.ROWSET_ROWS, b"".join(rows[at : at + 2000]))
                if at % 20000 == 0:
                    highest = max(highest, memory(ship.process.pid))
            ship._send(
                frames.ROWSET_END,
                frames.varint(len(rows)) + b"\1" + frames.varint(0) * 2 + frames.text("") * 2 + frames.NOTHING_LEFT_OUT,
            )
        ship.end_cycle([DATID])
        ship.pump(lambda: ship.status()["cycles"]["read"] == str(number), seconds=60)
        highest = max(highest, memory(ship.process.pid))
    status = ship.status()
    assert int(status["filter"]["rows"] or 0) == 500_000
    assert int(status["filter"]["bytes"] or 0) <= 20 << 20
    ship.pump(lambda: ship.status()["queue"]["snapshots"] == "0", seconds=60)
    assert highest < 90 << 20
    print(f"highest private memory {highest >> 20} MB, afterwards {memory(ship.process.pid) >> 20} MB")
