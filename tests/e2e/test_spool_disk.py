"""A spool on a volume that hangs, and in a program without descriptors: the program goes on answering, what it
collects meanwhile is kept in memory, the server ends as quickly as ever, and nothing is lost or doubled after it.

The volume is a real ext4 that fsfreeze(8) holds.
"""

import pathlib
import resource
import time
from collections.abc import Iterator

import pytest

from collecting import ship as ship_pid
from driver.fixtures import program, scripted  # noqa: F401
from driver.scripted_hub import ScriptedHub
from driver.worker import Ship
from harness import LONG, Hub, Server, World, wait_until
from harness.scorecard import score
from harness.volume import Volume, mounted
from test_spool import DATID, busy, cycle, number

FROZEN = 60.0 if LONG else 8.0
SAID = "the volume of the spool does not answer"


@pytest.fixture
def volume() -> Iterator[Volume]:
    with mounted("ext4", 64) as one:
        yield one


def test_a_frozen_volume_holds_nobody(volume: Volume, program: pathlib.Path, scripted: ScriptedHub) -> None:
    one = Ship(program, volume.place / "state")
    try:
        one.register(scripted.console_url, scripted.authority.token())
        scripted.script = busy
        for _ in range(3):
            cycle(one)
        one.pump(lambda: number(one, "spool", "snapshots") == 3)
        volume.freeze()
        end, made, longest = time.monotonic() + FROZEN, 3, 0.0
        while time.monotonic() < end or made < 8:
            began = time.monotonic()
            if made < 20:
                cycle(one)
                made += 1
            one.heartbeat(made)
            heard = len(one.heartbeats)
            one.pump(lambda: len(one.heartbeats) > heard)
            status = one.status()
            longest = max(longest, time.monotonic() - began)
        assert status["spool"]["state"] == "failing" and status["queue"]["snapshots"] == str(made)
        assert any(line["cause"] == "spool" and line["message"] == SAID for line in one.logs)
        print(f"frozen for {FROZEN:.0f} s: {made} cycles, longest wait {longest * 1000:.0f} ms")
        assert longest < 1
        # The hub is back before the volume is: what is in memory goes.
        scripted.script = None
        before = len(scripted.pushes())
        one.pump_tries(lambda: number(one, "queue", "snapshots") <= 3)
        volume.thaw()
        one.pump_tries(lambda: number(one, "queue", "snapshots") == 0)
        one.pump(lambda: one.status()["spool"]["state"] == "empty", seconds=30)
        stored = [push.json()["sequence"] for push in scripted.pushes()[before:]]
        assert set(stored) == set(range(1, made + 1)) and len(scripted.stored) == made
        status = one.status()
        assert status["dropped"]["snapshots"] == status["damaged"]["snapshots"] == "0"
        score(disk=1, disk_kinds=1, held=made, servers=1, lost=made - len(scripted.stored))
    finally:
        volume.thaw()
        one.close()


def test_own_rowsets_beside_a_frozen_volume(volume: Volume, program: pathlib.Path, scripted: ScriptedHub) -> None:
    """Which of them were sent is kept on that volume, too; each of these cycles has a new one."""
    names: dict[int, str] = {}
    longest = 0.0

    def own_cycle() -> None:
        nonlocal longest
        names[len(names) + 1] = f"own_{len(names) + 1}"
        began = time.monotonic()
        one.begin_cycle()
        for count, name in names.items():
            one.rowset("own.rows", [[DATID, name, "digest", "[1]", "{}"]], DATID, "app", own=count, own_name=name)
        one.end_cycle([DATID], own=names)
        one.pump(lambda: number(one, "cycles", "read") == len(names))
        longest = max(longest, time.monotonic() - began)
        one.pump(lambda: number(one, "queue", "snapshots") == 0)

    one = Ship(program, volume.place / "state")
    kept = volume.place / "state/own_rowsets"
    try:
        one.register(scripted.console_url, scripted.authority.token())
        own_cycle()
        wait_until(lambda: kept.exists() and b"own_1" in kept.read_bytes(), 10, "the first is kept")
        volume.freeze()
        longest = 0.0
        for _ in range(3):
            own_cycle()
        print(f"longest cycle {longest * 1000:.0f} ms")
        assert longest < 1 and len(scripted.stored) == 4
        volume.thaw()
        # What came while it was being written comes with the cycle after that.
        wait_until(lambda: own_cycle() or all(name.encode() in kept.read_bytes() for name in names.values()), 30, "all kept")
        assert not [line for line in one.logs if line["cause"] == "own rowsets"]
        score(disk=1, disk_kinds=1, held=len(names))
    finally:
        volume.thaw()
        one.close()


def test_a_server_ends_beside_a_frozen_volume(volume: Volume, world: World, hub: Hub) -> None:
    def owned(server: Server) -> str:
        state = volume.place / "state"
        state.mkdir(mode=0o700)
        server.installation.own(state)
        return str(state)

    server = world.server("watched", {"pganalytics.collect_interval": "1s"}, start=False)
    server.set({"pganalytics.state_directory": owned(server)})
    server.start()
    server.execute("create extension pganalytics")
    collector = server.value("select pganalytics_register(%s, %s)", (hub.console_url, hub.create_token(server.name)))
    stored = "select count(*) from pganalytics.ledger where collector_id = %s"

    def told(component: str, name: str) -> str | None:
        rows = server.rows("select value from pganalytics_status() where component = %s and name = %s", (component, name))
        return rows[0]["value"] if rows else None

    wait_until(lambda: hub.value(stored, (collector,)) > 2, 30, "cycles arrive")
    hub.stop()
    wait_until(lambda: int(told("spool", "snapshots") or 0) > 1, 30, "cycles are kept")
    began = time.monotonic()
    server.stop()
    usual = time.monotonic() - began
    server.start()
    wait_until(lambda: told("spool", "state") == "in use", 30, "it goes on")
    pid = ship_pid(server)
    volume.freeze()
    wait_until(lambda: told("spool", "state") == "failing", 30, "the status says so")
    before = int(told("program", "sequence") or 0)
    wait_until(lambda: int(told("program", "sequence") or 0) > before + 5, 30, "it goes on collecting")
    assert ship_pid(server) == pid, "the worker never had to end it"
    began = time.monotonic()
    server.execute("create database beside_it")
    server.execute("drop database beside_it")
    ddl = time.monotonic() - began
    began = time.monotonic()
    server.stop()
    stopped = time.monotonic() - began
    print(f"stopped in {stopped:.2f} s, usually {usual:.2f} s; CREATE and DROP DATABASE in {ddl:.2f} s")
    assert stopped < usual + 1
    volume.thaw()
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}/exe").exists(), 30, "the program is gone")
    server.start()
    hub.start()
    wait_until(lambda: told("queue", "snapshots") == "0", 60, "all is sent")
    assert told("damaged", "snapshots") == told("dropped", "snapshots") == "0"
    score(disk=1, disk_kinds=1)


@pytest.mark.measures("descriptors that are out")
def test_without_descriptors_it_waits_for_some(
    tmp_path: pathlib.Path, program: pathlib.Path, scripted: ScriptedHub
) -> None:
    one = Ship(program, tmp_path / "state")
    try:
        one.register(scripted.console_url, scripted.authority.token())
        scripted.script = busy
        cycle(one)
        scripted.wait_requests(1)
        pid = one.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # What is open stays open; a file for the spool can't be.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        for _ in range(3):
            cycle(one)
        one.pump(lambda: one.status()["spool"]["state"] == "failing", seconds=30)
        assert number(one, "queue", "snapshots") == 4
        assert any(line["cause"] == "spool" and "Too many open files" in line["message"] for line in one.logs)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        one.pump(lambda: number(one, "spool", "snapshots") >= 3, seconds=30)
        before = len(scripted.pushes())
        scripted.script = None
        one.pump_tries(lambda: number(one, "queue", "snapshots") == 0)
        assert {push.json()["sequence"] for push in scripted.pushes()[before:]} == {1, 2, 3, 4}
        score(disk=1, disk_kinds=1, held=4)
    finally:
        one.close()


@pytest.mark.measures("descriptors that are out")
def test_a_new_process_waits_for_what_is_in_memory(
    tmp_path: pathlib.Path, program: pathlib.Path, scripted: ScriptedHub
) -> None:
    """Settings name a file that only a new process gets at, while the spool takes nothing and the hub is away."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "ca.pem").touch()
    one = Ship(program, tmp_path / "state")
    try:
        one.register(scripted.console_url, scripted.authority.token())
        if not str(one.status()["sandbox"].get("landlock")).startswith("on"):
            pytest.skip("this kernel has no Landlock; take Linux 5.19 or later, with landlock in /sys/kernel/security/lsm")
        scripted.script = busy
        cycle(one)
        scripted.wait_requests(1)
        limits = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        for _ in range(2):
            cycle(one)
        one.pump(lambda: one.status()["spool"]["state"] == "failing", seconds=30)
        one.send_settings(ca_file=str(given / "ca.pem"))
        one.pump(lambda: [line for line in one.logs if line["cause"] == "begins anew later"], seconds=30)
        # It tries to keep all every five seconds; the second time it says nothing.
        end = time.monotonic() + 7
        one.pump(lambda: time.monotonic() > end)
        cycle(one)
        assert number(one, "queue", "snapshots") == 4
        assert len([line for line in one.logs if line["cause"].startswith("begins anew")]) == 1
        resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, limits)
        assert one.process.wait(30) == 0
    finally:
        one.close()
    other = Ship(program, tmp_path / "state")
    try:
        before = len(scripted.pushes())
        scripted.script = None
        other.pump_tries(lambda: number(other, "queue", "snapshots") == 0)
        assert {push.json()["sequence"] for push in scripted.pushes()[before:]} == {1, 2, 3, 4}
        assert other.status()["dropped"]["snapshots"] == "0"
        score(disk=1, disk_kinds=1, held=4)
    finally:
        other.close()
