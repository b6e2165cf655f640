"""The spool: what was collected while the hub was away is in the hub once it is back, once each, whatever
was killed in between; what could not be kept is declared. The judge is the hub's ledger by SQL, or a
scripted hub that keeps what it was sent."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from collecting import ship as ship_pid
from driver import frames
from driver.fixtures import fresh_ship, program, scripted, ship  # noqa: F401
from driver.scripted_hub import Answer, Request, ScriptedHub
from driver.worker import Ship
from harness import Hub, Server, World, wait_until

DATID = 16384
OWN = ["pganalytics.collector", "pganalytics.losses"]


def busy(request: Request) -> Answer | None:
    return Answer(503, {"message": "busy"}) if request.path.endswith("/metrics/push") else None


def cycle(ship: Ship, rows: int = 3, noise: int = 0, own: bool = False) -> None:
    """One cycle, read to its end by the program."""
    shape = ship.catalog["pg_stats.tables"]
    done = int(ship.status()["cycles"]["read"] or 0)
    ship.begin_cycle(host=OWN if own else None)
    rng = random.Random(noise or time.time_ns())
    values = [[rng.randrange(1 << 60) if kind == "bigint" else None for kind in shape.types[2:]] for _ in range(rows)]
    ship.rowset("pg_stats.tables", [[DATID, 20000 + i, *one] for i, one in enumerate(values)], DATID, "app")
    ship.end_cycle([DATID])
    ship.pump(lambda: int(ship.status()["cycles"]["read"] or 0) == done + 1)


def number(ship: Ship, component: str, name: str) -> int:
    return int(ship.status()[component].get(name) or 0)


def folder(ship: Ship) -> pathlib.Path:
    return pathlib.Path(ship.settings["state_directory"]) / "spool"


def killed(ship: Ship) -> None:
    ship.process.send_signal(signal.SIGKILL)
    ship.process.wait()
    ship.socket.close()


@pytest.fixture
def again(program: pathlib.Path) -> Iterator[Any]:
    """Starts the program anew in a state directory."""
    started: list[Ship] = []

    def start(before: Ship, **settings: Any) -> Ship:
        kept = {key: value for key, value in before.settings.items() if key != "state_directory"}
        one = Ship(program, pathlib.Path(before.settings["state_directory"]), **{**kept, **settings})
        started.append(one)
        return one

    yield start
    for one in started:
        one.close()


def test_while_the_hub_takes_what_it_gets_nothing_is_written(ship: Ship, scripted: ScriptedHub) -> None:
    for count in range(1, 6):
        cycle(ship)
        ship.pump(lambda: number(ship, "delivery", "acknowledged") == count)
    assert list(folder(ship).iterdir()) == []
    status = ship.status()
    assert status["spool"]["state"] == "empty" and status["queue"]["snapshots"] == "0"


def test_what_was_collected_outlives_the_program(ship: Ship, scripted: ScriptedHub, again: Any) -> None:
    scripted.script = busy
    for _ in range(4):
        cycle(ship)
    ship.pump(lambda: number(ship, "spool", "snapshots") == 4)
    assert ship.status()["spool"]["state"] == "in use"
    files = list(folder(ship).iterdir())
    assert files and all(file.stat().st_mode & 0o7777 == 0o600 for file in files)
    scripted.wait_requests(1)
    refused = len(scripted.pushes())
    killed(ship)
    second = again(ship)
    second.pump(lambda: number(second, "queue", "snapshots") == 4)
    oldest = second.status()["queue"]["oldest"]
    cycle(second)
    # Durable within seconds also where the hub was believed to be there.
    second.pump(lambda: number(second, "spool", "snapshots") == 5)
    killed(second)
    third = again(ship)
    scripted.script = None
    third.pump(lambda: number(third, "queue", "snapshots") == 0, seconds=30)
    assert oldest and third.status()["queue"].get("oldest") is None
    sent = [(one.json()["incarnation"], one.json()["sequence"]) for one in scripted.pushes()[refused:]]
    incarnations = list(dict.fromkeys(one[0] for one in sent))
    assert len(incarnations) == 2
    assert {one[1] for one in sent if one[0] == scripted.pushes()[0].json()["incarnation"]} == {1, 2, 3, 4}
    assert len(set(sent)) == 5
    assert third.status()["damaged"]["snapshots"] == "0"
    # The first cycle of a run is whole.
    cycle(third)
    third.pump(lambda: number(third, "delivery", "acknowledged") == 6)
    assert scripted.pushes()[-1].json()["metrics"][0]["tables"]["full"] is True


def test_the_newest_comes_first_while_a_backlog_drains(ship: Ship, scripted: ScriptedHub) -> None:
    scripted.script = busy
    for _ in range(5):
        cycle(ship)
    ship.pump(lambda: number(ship, "spool", "snapshots") == 5)
    # While the last cycle came in an older one may have been on its way.
    ship.pump_tries(lambda: scripted.pushes()[-1].json()["sequence"] == 5)
    before = len(scripted.pushes())
    scripted.script = None
    ship.pump_tries(lambda: number(ship, "queue", "snapshots") == 0)
    # The newest may have been on its way to a busy hub, and came again.
    sent = list(dict.fromkeys(one.json()["sequence"] for one in scripted.pushes()[before:]))
    assert sent[:3] == [5, 1, 2]


def test_what_is_dropped_is_declared_and_shipped(
    fresh_ship: Ship, scripted: ScriptedHub, again: Any
) -> None:
    ship = fresh_ship
    ship.send_settings(memory_limit=32 << 20, spool_limit=1 << 20)
    ship.register(scripted.console_url, scripted.authority.token())
    scripted.script = busy
    for _ in range(12):
        cycle(ship, rows=1500)
    ship.pump(lambda: number(ship, "spool", "snapshots") + number(ship, "dropped", "snapshots") == 12)
    assert sum(file.stat().st_size for file in folder(ship).iterdir()) <= 1 << 20
    dropped, rows = number(ship, "dropped", "snapshots"), number(ship, "dropped", "rows")
    assert dropped > 0 and rows == dropped * 1500
    killed(ship)
    second = again(ship)
    assert number(second, "dropped", "snapshots") == dropped, "durable"
    assert number(second, "dropped", "rows") == rows
    before = len(scripted.pushes())
    scripted.script = None
    second.pump(lambda: number(second, "queue", "snapshots") == 0, seconds=60)
    arrived = {one.json()["sequence"] for one in scripted.pushes()[before:]}
    assert arrived == set(range(dropped + 1, 13)), "stored and declared are all there were, each once"
    cycle(second, own=True)
    second.pump(lambda: number(second, "delivery", "acknowledged") == len(arrived) + 1)
    metrics = scripted.pushes()[-1].json()["metrics"]
    (told,) = [entry["collector"]["columns"] for entry in metrics if "collector" in entry]
    assert told["snapshots_dropped"] == [dropped] and told["rows_dropped"] == [rows]
    assert told["snapshots_damaged"] == [0] and told["spool_bytes"][0] > 0
    (losses,) = [entry["losses"]["columns"] for entry in metrics if "losses" in entry]
    assert losses["reason"] == ["limit"] and losses["number"] == [1]
    assert losses["snapshots"] == [dropped] and losses["rows"] == [rows]
    times = [one.json()["timestamp"] for one in scripted.pushes()[before:]]
    assert losses["first_time"][0] <= losses["last_time"][0] < min(times)


def test_a_damaged_record_costs_itself_only(ship: Ship, scripted: ScriptedHub, again: Any) -> None:
    scripted.script = busy
    for _ in range(5):
        cycle(ship, rows=50)
    ship.pump(lambda: number(ship, "spool", "snapshots") == 5)
    killed(ship)
    (segment,) = [file for file in folder(ship).iterdir() if file.suffix == ".spool"]
    # In the third one's body: gzip's magic begins each.
    bodies = []
    data = bytearray(segment.read_bytes())
    at = data.find(b"\x1f\x8b\x08")
    while at >= 0:
        bodies.append(at)
        at = data.find(b"\x1f\x8b\x08", at + 1)
    assert len(bodies) == 5
    data[bodies[2] + 40] ^= 0x10
    segment.write_bytes(data)
    before = len(scripted.pushes())
    second = again(ship)
    scripted.script = None
    second.pump(lambda: number(second, "queue", "snapshots") == 0, seconds=60)
    assert {one.json()["sequence"] for one in scripted.pushes()[before:]} == {1, 2, 4, 5}
    status = second.status()
    assert status["damaged"]["snapshots"] == "1" and status["damaged"]["rows"] == "50"
    assert status["spool"]["aside_files"] == "1"
    assert any(line["cause"] == "spool damaged" for line in second.logs)
    assert [file.suffix for file in folder(ship).iterdir()].count(".aside") == 1


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 24 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_heals_by_itself(
    small_disk: pathlib.Path, program: pathlib.Path, scripted: ScriptedHub
) -> None:
    one = Ship(program, small_disk / "state")
    try:
        one.register(scripted.console_url, scripted.authority.token())
        scripted.script = busy
        for _ in range(2):
            cycle(one, rows=300)
        one.pump(lambda: number(one, "spool", "snapshots") == 2)
        # Somebody else fills the volume: the spool gives way. The newest, in memory as well, and what comes then is not lost.
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(b"x" * (free - (1 << 20)))
        one.pump(lambda: number(one, "dropped", "snapshots") == 1, seconds=20)
        for _ in range(3):
            cycle(one, rows=300)
        one.pump(lambda: one.status()["spool"]["state"] == "failing")
        assert number(one, "queue", "snapshots") == 4 and number(one, "spool", "snapshots") == 0
        assert any(line["cause"] == "spool" and "nearly full" in line["message"] for line in one.logs)
        filler.unlink()
        one.pump(lambda: number(one, "spool", "snapshots") == 4, seconds=20)
        assert one.status()["spool"]["state"] == "in use"
        before = len(scripted.pushes())
        scripted.script = None
        one.pump_tries(lambda: number(one, "queue", "snapshots") == 0)
        assert {push.json()["sequence"] for push in scripted.pushes()[before:]} == {2, 3, 4, 5}
        assert number(one, "dropped", "snapshots") == 1
    finally:
        one.close()


def test_through_kills_of_everything(world: World, hub: Hub) -> None:
    """A real server and its hub: the program killed, the server restarted and killed, the hub away."""
    server = world.server("watched", {"pganalytics.collect_interval": "1s"})
    server.execute("create extension pganalytics")
    collector = hub.enrol(server)
    server.query("select pganalytics_reload()")
    produced: dict[str, int] = {}

    def status() -> dict[tuple[str, str], str]:
        return {(row["component"], row["name"]): row["value"] for row in server.rows("select * from pganalytics_status()")}

    def note() -> dict[tuple[str, str], str]:
        """What this run has made so far, all of it durable or in the hub."""

        def settled() -> dict[tuple[str, str], str] | None:
            now = status()
            waits = int(now["queue", "snapshots"]) == int(now["spool", "snapshots"])
            return now if waits and ("program", "incarnation") in now else None

        now = wait_until(settled, 20, "everything is written")
        produced[now["program", "incarnation"]] = int(now["program", "sequence"])
        return now

    def cycles(more: int) -> None:
        begun = int(status()["program", "sequence"])
        wait_until(lambda: int(status()["program", "sequence"]) >= begun + more, 30, f"{more} more cycles")

    cycles(2)
    hub.stop()
    cycles(3)
    assert note()["hub", "state"] == "failing"
    for _ in range(3):
        pid = ship_pid(server)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.programs().get("ship", [pid]) != [pid], 20, "the program is started again")
        wait_until(lambda: ("program", "sequence") in status(), 20, "it answers")
        cycles(2)
        note()
    server.restart()
    wait_until(lambda: ("program", "sequence") in status(), 20, "it answers")
    cycles(2)
    note()
    server.restart("immediate")
    wait_until(lambda: ("program", "sequence") in status(), 20, "it answers")
    cycles(2)
    waiting = int(note()["queue", "snapshots"])
    assert waiting >= 10
    hub.start()
    wait_until(lambda: int(status()["queue", "snapshots"]) == 0, 120, "everything is delivered")
    note()
    wait_until(lambda: _ledger(hub, collector).keys() >= produced.keys(), 20, "each run is in the ledger")
    ledger = _ledger(hub, collector)
    for incarnation, sequence in produced.items():
        assert set(range(1, sequence + 1)) <= set(ledger[incarnation]), incarnation
        # Behind what was noted at most the cycle that a kill met.
        assert len(ledger[incarnation]) == len(set(ledger[incarnation]))
    assert len(produced) == 6
    # Each push's rows are there once: the collector's own row is in every cycle.
    pushes, cycles_stored, rows = hub.query(
        "select (select count(distinct cycle) from pganalytics.ledger where collector_id = %(id)s),"
        " (select count(*) from pganalytics.pganalytics_collector where collector_id = %(id)s),"
        " (select count(distinct \"time\") from pganalytics.pganalytics_collector where collector_id = %(id)s)",
        {"id": collector},
    )[0]
    assert pushes == cycles_stored == rows
    now = status()
    assert now["dropped", "snapshots"] == now["set_aside", "snapshots"] == "0"
    assert int(now["damaged", "snapshots"]) <= 5, "at most what a kill cut off"


def _ledger(hub: Hub, collector: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for incarnation, sequence in hub.query(
        "select incarnation::text, sequence from pganalytics.ledger where collector_id = %s", (collector,)
    ):
        found.setdefault(incarnation, []).append(sequence)
    return found
