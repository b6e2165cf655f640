"""24 faults of a network at 8 points of a push (harness/fault_proxy.py), between the real program and a hub that stores
whatever comes whole. The ledger is the judge: nothing lost, nothing stored twice that the hub was not told about, and the
program goes on listening all the while. In `make torture` ten times each, where the program has to give up by itself."""

import os
import pathlib
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from driver import frames
from driver.fixtures import program, scripted  # noqa: F401
from driver.scripted_hub import ScriptedHub
from driver.worker import Ship
from harness.fault_proxy import FAULTS, PHASES, FaultProxy
from harness.scorecard import score
from harness.waiting import Deadline

LONG = os.environ.get("PGANALYTICS_LONG") == "1"
TIMES = int(os.environ.get("FAULT_TIMES", 10 if LONG else 1))
LANES = 12 if LONG else 4
# A whole attempt takes a minute at most.
LONGEST_ATTEMPT = 60.0
# After a fault that leaves both ends waiting the short form does not wait for the program's own limit.
PATIENCE = 75.0 if LONG else 0.5
DATID = 16384


class Lane:
    """A collector behind a proxy of its own."""

    def __init__(self, number: int, folder: pathlib.Path, program: pathlib.Path, hub: ScriptedHub) -> None:
        self.state = folder / f"state{number}"
        self.state.mkdir(mode=0o700)
        (self.state / "journal").touch(mode=0o600)
        self.hub = hub
        self.ship = Ship(program, self.state)
        self.ship.register(hub.console_url, hub.authority.token())
        address, port = hub.url.removeprefix("https://").split(":")
        self.proxy = FaultProxy((address, int(port)), PATIENCE)
        self.ship.send_settings(hub_url=f"https://127.0.0.1:{self.proxy.port}")
        self.made, self.longest_heartbeat = 0, 0.0

    def cycle(self) -> None:
        shape = self.ship.catalog["pg_stats.tables"]
        self.ship.begin_cycle()
        stamp = time.time_ns()
        rows = [[DATID, 20000 + i, *[stamp + i if kind == "bigint" else None for kind in shape.types[2:]]] for i in range(20)]
        self.ship.rowset("pg_stats.tables", rows, DATID, "app")
        self.ship.end_cycle([DATID])
        self.made += 1

    def heartbeat(self) -> None:
        began = time.monotonic()
        number = time.time_ns()
        self.ship.heartbeat(number)
        self.ship.pump(lambda: number in self.ship.heartbeats)
        self.longest_heartbeat = max(self.longest_heartbeat, time.monotonic() - began)

    def delivered(self) -> bool:
        return int(self.ship.status()["delivery"]["acknowledged"] or 0) >= self.made

    def go_through(self, faults: list[tuple[str, str]]) -> None:
        for fault, phase in faults:
            before = self.proxy.struck[fault, phase]
            self.proxy.arm(fault, phase)
            self.cycle()
            end = Deadline(2 * LONGEST_ATTEMPT + 10)
            # Not the back-off: that is tried elsewhere.
            while not (self.proxy.struck[fault, phase] > before and self.delivered()):
                assert end.left() > 0, f"{fault} at {phase}: not delivered within {end}; {self.ship.status()['hub']}"
                self.ship.call(frames.RELOAD)
                self.heartbeat()
                moment = time.monotonic() + 0.03
                self.ship.pump(lambda: time.monotonic() >= moment)
        # The connection that the last push came by may stay open for good; it is no attempt.
        self.proxy.disarm()

    def close(self) -> str:
        self.proxy.close()
        self.ship.close()
        done = subprocess.run(
            [self.ship_program(), "ledger", "--state", self.state], capture_output=True, text=True, check=False,
            input="".join(f"{one}\n" for one in self.hub.stored),
        )  # fmt: skip
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def ship_program(self) -> str:
        return str(self.ship.process.args[0])  # type: ignore[index]


@pytest.mark.time_limit(3600 if LONG else 150)
def test_faults_at_every_point_of_a_push(
    scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path, rng: random.Random
) -> None:
    every = [(fault, phase) for fault in FAULTS for phase in PHASES] * TIMES
    rng.shuffle(every)
    lanes = [Lane(number, tmp_path, program, scripted) for number in range(LANES)]
    try:
        with ThreadPoolExecutor(LANES) as pool:
            for done in [pool.submit(lane.go_through, every[n::LANES]) for n, lane in enumerate(lanes)]:
                done.result()
    finally:
        ledgers = [lane.close() for lane in lanes]
    assert not any(ledgers), "\n".join(ledgers)
    struck = sum(sum(lane.proxy.struck.values()) for lane in lanes)
    longest = max(max(lane.proxy.attempts) for lane in lanes)
    heartbeat = max(lane.longest_heartbeat for lane in lanes)
    print(f"faults: {struck} of {len(FAULTS)} kinds at {len(PHASES)} points; longest attempt {longest:.1f} s,"
          f" longest wait for a heartbeat {heartbeat * 1000:.0f} ms; {len(scripted.stored)} stored, lost 0")  # fmt: skip
    score(network=struck, network_kinds=len(FAULTS), held=len(scripted.stored), servers=LANES, lost=len(every) - len(scripted.stored))
    assert len(FAULTS) == 24 and len(PHASES) == 8
    assert struck == len(every) and len(scripted.stored) == len(every)
    assert longest < LONGEST_ATTEMPT + 10
    assert heartbeat < 2
