"""A spool on a disk that fails: a quota that is used up, and calls that fail each with each error, some or all of
them. What is collected meanwhile is kept in memory; with the next cycle after the fault all of it is on disk again,
and the hub gets each once."""

import errno
import os
import pathlib
import random
from collections.abc import Iterator

import pytest

from driver.fixtures import check_balance, program, scripted  # noqa: F401
from driver.scripted_hub import ScriptedHub
from driver.worker import Ship
from harness import LONG
from harness.failing_disk import EVERY_CALL, OPEN, RENAME, SYNC, TRUNCATE, UNLINK, WRITE, FailingDisk
from harness.installation import Installation
from harness.scorecard import score
from harness.volume import Quota, mounted
from harness.waiting import Deadline
from test_spool import busy, cycle, killed, number

EPISODES = 500 if LONG else 25
# The hub is there after so many of them.
DRAINED_EACH = 5
CALLS = {"open": OPEN, "write": WRITE, "fsync": SYNC, "rename": RENAME, "unlink": UNLINK, "ftruncate": TRUNCATE}
CALLS["every call"] = EVERY_CALL
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE)
PER_THOUSAND = (10, 100, 500, 1000, 1000)


@pytest.fixture
def quota() -> Iterator[Quota]:
    with mounted("btrfs", 128) as volume:
        yield Quota(volume)


def drained(one: Ship, scripted: ScriptedHub) -> None:
    scripted.script = None
    one.pump_tries(lambda: number(one, "queue", "snapshots") == 0)
    one.pump(lambda: one.status()["spool"]["state"] == "empty", seconds=30)
    scripted.script = busy


def durable(one: Ship) -> bool:
    status = one.status()
    return status["spool"]["state"] == "in use" and status["spool"]["snapshots"] == status["queue"]["snapshots"]


@pytest.mark.time_limit(2000 if LONG else 150)
def test_calls_that_fail(
    tmp_path: pathlib.Path, installation: Installation, program: pathlib.Path, scripted: ScriptedHub, rng: random.Random
) -> None:
    disk = FailingDisk(installation, tmp_path)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "journal").touch(mode=0o600)
    one = Ship(program, state, environment=disk.environment)
    settings = {key: value for key, value in one.settings.items() if key != "state_directory"}
    made = kills = 0
    slowest = 0.0
    try:
        one.register(scripted.console_url, scripted.authority.token())
        scripted.script = busy
        for episode in range(EPISODES):
            name, calls = rng.choice(list(CALLS.items()))
            error, often = rng.choice(ERRORS), rng.choice(PER_THOUSAND)
            what = f"episode {episode}: {name} fails with {errno.errorcode[error]}, {often} of 1000"
            disk.fail(calls, error, often, rng.randrange(1, 1 << 60))
            for _ in range(rng.randrange(1, 5)):
                cycle(one, rows=rng.choice((3, 300)))
                made += 1
            if rng.random() < 0.3:
                # What is written once a hub takes what is there: segments go, and how far it came.
                scripted.script = None
                before = len(scripted.stored)
                one.pump_tries(lambda: len(scripted.stored) > before)
                scripted.script = busy
            disk.heal()
            cycle(one)
            made += 1
            end = Deadline(20)
            one.pump(lambda: durable(one), seconds=20)
            slowest = max(slowest, 20 - end.left())
            waiting = number(one, "queue", "snapshots")
            if rng.random() < 0.1:
                # All that was said to be durable is there for the next run; what was delivered while that could
                # not be written down, too, and the hub knows it.
                killed(one)
                one = Ship(program, state, environment=disk.environment, **settings)
                one.pump(lambda: number(one, "queue", "snapshots") >= waiting)
                kills += 1
            if episode % DRAINED_EACH == DRAINED_EACH - 1:
                drained(one, scripted)
            status = one.status()
            assert status["dropped"]["snapshots"] == status["damaged"]["snapshots"] == "0", what
        drained(one, scripted)
        print(f"{EPISODES} episodes, {disk.failed} calls failed, {kills} kills, {made} cycles; durable again within {slowest:.1f} s")
        assert disk.failed >= EPISODES / 4
        assert len(scripted.stored) == made
        score(disk=EPISODES, disk_kinds=len(CALLS) * len(ERRORS), kills=kills,
              kills_kinds=min(kills, 1), held=made, lost=made - len(scripted.stored))  # fmt: skip
    finally:
        disk.heal()
        one.close()
    check_balance(program, one, scripted)


def test_a_quota_that_is_used_up(quota: Quota, program: pathlib.Path, scripted: ScriptedHub) -> None:
    one = Ship(program, quota.place / "state")
    try:
        one.register(scripted.console_url, scripted.authority.token())
        scripted.script = busy
        cycle(one, rows=300)
        one.pump(lambda: durable(one))
        # The volume has room, this folder has none.
        quota.limit(1)
        for _ in range(3):
            cycle(one, rows=300)
        one.pump(lambda: one.status()["spool"]["state"] == "failing", seconds=30)
        assert number(one, "queue", "snapshots") == 4
        assert any(line["cause"] == "spool" and os.strerror(errno.EDQUOT) in line["message"] for line in one.logs), one.logs
        quota.limit(None)
        cycle(one)
        one.pump(lambda: durable(one))
        assert number(one, "spool", "snapshots") == 5
        before = len(scripted.pushes())
        drained(one, scripted)
        assert {push.json()["sequence"] for push in scripted.pushes()[before:]} == {1, 2, 3, 4, 5}
        status = one.status()
        assert status["dropped"]["snapshots"] == status["damaged"]["snapshots"] == "0"
        score(disk=1, disk_kinds=1, held=5)
    finally:
        one.close()
