"""Spools of other versions: that of an earlier one is sent, that of a later one left alone and told of. The files are
made by driver/spool_file.py, not by the program."""

import pathlib
import time
import uuid

from driver import spool_file
from driver.fixtures import program, scripted  # noqa: F401
from driver.scripted_hub import ScriptedHub
from driver.worker import Ship
from test_spool import cycle, killed, number


def pushed(collector: str, sequence: int, incarnation: uuid.UUID) -> spool_file.Pushed:
    """Some hours old."""
    now = time.time_ns() // 1000 - (100 - sequence) * 60_000_000
    snapshot = uuid.uuid4()
    envelope = {
        "collector_id": collector, "hostname": "old", "version": "0.9.0", "snapshot_id": str(snapshot),
        "incarnation": str(incarnation), "sequence": sequence, "metrics_count": 0, "metrics": [],
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(now / 1e6)),
    }  # fmt: skip
    return spool_file.Pushed(snapshot, uuid.UUID(collector), incarnation, sequence, now, envelope)


def test_an_older_spool_is_sent_and_a_later_one_left_alone(
    tmp_path: pathlib.Path, program: pathlib.Path, scripted: ScriptedHub
) -> None:
    first = Ship(program, tmp_path / "state")
    collector = first.register(scripted.console_url, scripted.authority.token())
    killed(first)
    spool, run = tmp_path / "state/spool", uuid.uuid4()
    old = [pushed(collector, sequence, run) for sequence in range(1, 11)]
    spool_file.write(spool, "v1-0000000000000001.spool", spool_file.segment(1, 1, old[:6]))
    spool_file.write(spool, "v1-0000000000000002.spool", spool_file.segment(2, 7, old[6:]))
    later = spool_file.segment(3, 11, [pushed(collector, 11, run)], version=2)
    kept = [spool_file.write(spool, name, later) for name in ("v2-0000000000000003.spool", "v1-0000000000000003.spool")]
    # Its version is no later one: a byte of it is another.
    damaged = bytearray(later)
    damaged[8] = 3
    spool_file.write(spool, "v1-0000000000000004.spool", bytes(damaged))

    second = Ship(program, tmp_path / "state")
    try:
        second.pump(lambda: number(second, "delivery", "acknowledged") == 10, seconds=60)
        sent = [push.json() for push in scripted.pushes()]
        assert [(one["incarnation"], one["sequence"]) for one in sent] == [(str(run), at) for at in range(1, 11)]
        assert [one["snapshot_id"] for one in sent] == [str(one.snapshot_id) for one in old]
        cycle(second)
        second.pump(lambda: number(second, "delivery", "acknowledged") == 11)
        status = second.status()
        assert status["spool"]["foreign_bytes"] == str(2 * len(later))
        assert [path.read_bytes() for path in kept] == [later, later]
        assert status["spool"]["aside_files"] == "1" and status["damaged"]["snapshots"] == "0"
        assert status["dropped"]["snapshots"] == "0"
    finally:
        second.close()
