"""Kills at named points, beside those at random moments (kill_storm.py): a process dies on entering a function.

Nothing in the product knows of it. The first instruction of the function becomes a breakpoint in the memory of that one
process (/proc/PID/mem), which no debugger waits for: SIGTRAP ends it there, as suddenly as SIGKILL does at a moment. A
visitor lives for a moment only, so its breakpoint is set in the postmaster, from which it has its memory, and taken back
as soon as it died.
"""

import os
import pathlib
import platform
import re
import subprocess
from functools import cache
from typing import NamedTuple

from harness import Server, checks, processes, wait_until
from kill_storm import Storm

BREAKPOINT = b"\xcc"
REINITIALISED = "all server processes terminated; reinitializing"


class Point(NamedTuple):
    target: str  # the program's or the worker's name
    function: str


POINTS = (
    # From frames to a stored snapshot.
    Point("ship", "Cycle::begin_rowset"),
    Point("ship", "Cycle::end_rowset"),
    Point("ship", "Cycle::end"),
    Point("ship", "Journal::produced"),
    Point("ship", "Journal::write_pending"),
    Point("ship", "Cycle::add_host_rowset"),
    Point("ship", "Delivery::service"),
    Point("ship", "SpoolQueue::open"),
    # Delivery.
    Point("ship", "Delivery::start_token"),
    Point("ship", "Delivery::start_push"),
    Point("ship", "Delivery::finish_push"),
    Point("ship", "Delivery::acknowledged"),
    Point("ship", "SpoolQueue::pop_delivered"),
    Point("ship", "HubLink::take_outcomes"),
    # The front.
    Point("serve", "Connection::read_head"),
    Point("serve", "handle_push"),
    Point("serve", "PushSink::begin_rowset"),
    Point("serve", "check_push"),
    Point("serve", "Connection::write_answer"),
    # The hub's worker.
    Point("hub", "HubIngest::add"),
    Point("hub", "HubIngest::prepare"),
    Point("hub", "HubIngest::store_together"),
    Point("hub", "HubFront::service"),
    # The collector's.
    Point("collector", "Cycle::begin"),
    Point("collector", "Cycle::start_next_visit"),
    Point("collector", "Cycle::on_rowset_begin"),
    Point("collector", "Cycle::end_visit"),
    Point("collector", "Cycle::end"),
    # Visitors.
    Point("visitor", "visiting::hand_over<pganalytics::RowsetBegin>"),
    Point("visitor", "visiting::hand_over<pganalytics::RowsetEnd>"),
)


def why_not() -> str:
    if platform.machine() not in ("x86_64", "i686"):
        return f"knows no breakpoint of {platform.machine()}"
    if os.geteuid() != 0:
        return "needs root to write into the memory of processes"
    return ""


@cache
def symbols(file: pathlib.Path) -> str:
    return subprocess.run(["nm", "-C", file], check=True, stdout=subprocess.PIPE, text=True).stdout


def offset(file: pathlib.Path, point: Point) -> int:
    # Of a function that was cut in two the part that is entered; of overloads the first.
    space = "pg" if file.suffix else point.target
    name = r"[\w<>:, ()]*".join([f"pganalytics::{space}::", re.escape(point.function)])
    found = re.search(rf"^(\w+) [tT] (?:bool )?{name}(\[abi:\w+\])?\((?!.*\[clone).*$", symbols(file), re.M)
    assert found, f"no function {point.function} in {file.name}"
    return int(found[1], 16)


def start_of(pid: int, file: str) -> int:
    """Where the file's first page is in the process."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            fields = line.split()
            if fields[-1].endswith(f"/{file}") and fields[2] == "00000000":
                return int(line.split("-")[0], 16)
    raise AssertionError(f"process {pid} has no {file}")


class Breakpoint:
    def __init__(self, pid: int, file: pathlib.Path, point: Point) -> None:
        self.pid, self.address = pid, start_of(pid, file.name) + offset(file, point)
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(self.address)
            self.before = memory.read(1)
            memory.seek(self.address)
            memory.write(BREAKPOINT)

    def take_back(self) -> None:
        with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(self.address)
            memory.write(self.before)


def library(server: Server) -> pathlib.Path:
    """As the postmaster has it."""
    with open(f"/proc/{server.postmaster_pid()}/maps", encoding="utf-8", errors="replace") as maps:
        return next(pathlib.Path(line.split()[-1]) for line in maps if line.rstrip().endswith("/pganalytics.so"))


def kill_at(storm: Storm, point: Point) -> None:
    """The process that comes there first, of a server drawn by the storm's dice, is no more."""
    server = storm.hub if point.target in ("serve", "hub") else storm.rng.choice(storm.collectors)
    if point.target in ("ship", "serve"):
        _kill_program(storm, server, point)
    else:
        _kill_worker(storm, server, point)
    storm.kills[f"{point.target} at {point.function}"] += 1


def _hurry(storm: Storm) -> None:
    """What died often is waited for, each time longer; a reload ends that."""
    for server in storm.collectors:
        server.psql("-c", "select pganalytics_reload()", check=False)


def _kill_program(storm: Storm, server: Server, point: Point) -> None:
    def set_breakpoint() -> Breakpoint | None:
        pids = server.programs().get(point.target, [])
        return Breakpoint(pids[0], server.bindir / "pganalytics", point) if pids else None

    # At its start, where it does this only then.
    starts = point.function.endswith(("::open", "::start_token"))
    if starts:
        for pid in server.programs().get(point.target, []):
            os.kill(pid, 9)
    made = wait_until(set_breakpoint, 40, f"a program {point.target}", every=0.001)
    assert made
    process = processes.stat(made.pid)

    def ended() -> bool:
        if process is None or not processes.alive(process.process):
            return True
        _hurry(storm)
        return False

    try:
        wait_until(ended, 5 if starts else 40, f"its end at {point.function}", every=0.2)
    except AssertionError:
        if not starts:
            raise
        # It had passed there when it was looked at.
        os.kill(made.pid, 9)
    storm._count_ended(server)


def _may_have_it(process: processes.Process) -> bool:
    """Of a child of the postmaster: a visitor, or not yet known to be something else."""
    title = " ".join(processes.command_line(process.pid))
    return processes.stat(process.pid) is not None and (not title.startswith("postgres: ") or "pganalytics visitor" in title)


def _began_anew(storm: Storm, server: Server, mark: int) -> bool:
    """After each crash since then, and no other is on its way: the answer comes first, a postmaster has by then told of
    every process that it knows to be gone."""
    if not storm._answers(server):
        return False
    log = server.log(mark)
    return log.count(REINITIALISED) == log.count(checks.CRASH_RESTART) > 0


def _kill_worker(storm: Storm, server: Server, point: Point) -> None:
    mark = server.log_size()
    if point.target == "visitor":
        made = Breakpoint(server.postmaster_pid(), library(server), point)
    else:
        pids = wait_until(lambda: server.workers().get(f"pganalytics {point.target}"), 40, f"a worker {point.target}")
        made = Breakpoint(pids[0], library(server), point)

    def ended() -> bool:
        if "was terminated by signal 5" in server.log(mark):
            return True
        _hurry(storm)
        return False

    try:
        wait_until(ended, 60, f"its end at {point.function}", every=0.2)
    finally:
        if point.target == "visitor":
            made.take_back()
    if point.target == "visitor":
        # On a busy machine the server is back before this process looks: visitors started since have the breakpoint, too.
        children = [one.process for one in processes.descendants(server.postmaster_pid())[1:]]
        wait_until(lambda: not any(_may_have_it(one) for one in children), 30, "visitors with the breakpoint are gone")
    wait_until(lambda: _began_anew(storm, server, mark), 60, f"{server.name} is back")
    storm._open_sessions(server)
