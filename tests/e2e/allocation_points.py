"""Allocations that fail one at a time, in a real server that is collector and hub at once: of a cycle, of a push, of
a start. What is being done may end with an error, a worker or a program may end in good order and comes back by
itself; the server stays up, nothing is left behind, and what comes next succeeds. test_allocations.py tries a sample
of the points, tests/torture/allocations all of them.
"""

import os
import re
import threading
from collections.abc import Callable
from typing import NamedTuple

import psycopg

from harness import Hub, World, wait_until
from harness.allocations import EVERYTHING, MALLOC, Allocations

# Everything is answered long before, with an error where nothing else is left.
ANSWERED = "set statement_timeout = '60s'"
# For what fails "from then on": so long it does.
SHORTAGE = 0.3
# How often a program may fall before the server starts anew: each time it waits longer to come back.
FALLS = 3
# How a program may end, to be started anew by its worker: by an exception, or by the abort of a library (in what must not
# throw). Any other signal would say that something is broken.
ENDS = re.compile(r"uncaught exception: (std::bad_alloc|none)$|: signal 6$")
# But this one does not live through it.
FRAIL = re.compile(r"^libseccomp\.so\.\d+\+\S+ (seccomp_load)?$", re.MULTILINE)


def collect(session: "psycopg.Connection[object]") -> None:
    rows = session.execute("select rowset, error from pganalytics_collect_now()").fetchall()
    assert rows and not [row for row in rows if row[1]], rows  # type: ignore[index]


def push(session: "psycopg.Connection[object]") -> None:
    rows = session.execute("select status from pganalytics_push_now('15 s')").fetchall()
    assert rows and all(row == ("success",) for row in rows), rows


class Situation(NamedTuple):
    name: str
    target: str  # whose allocations
    about: int  # so many there are
    act: Callable[["psycopg.Connection[object]"], None]
    starts: bool = False  # the server, before `act`


SITUATIONS = (
    Situation("cycle, collector", "pganalytics collector", 500, collect),
    Situation("cycle, visitor", "pganalytics visitor", 750000, collect),
    Situation("push, ship", "pganalytics ship", 2000, push),
    Situation("push, serve", "pganalytics serve", 2000, push),
    Situation("push, hub", "pganalytics hub", 2500, push),
    Situation("start, collector", "pganalytics collector", 1700, collect, starts=True),
    Situation("start, ship", "pganalytics ship", 55000, push, starts=True),
    Situation("start, serve", "pganalytics serve", 34000, push, starts=True),
    Situation("start, hub", "pganalytics hub", 170000, push, starts=True),
)


class Left(NamedTuple):
    """What a process of the server holds while it has nothing to do."""

    segments: int
    descriptors: int

    @staticmethod
    def of(pid: int) -> "Left":
        with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
            segments = sum("/PostgreSQL." in line for line in file)
        return Left(segments, len(os.listdir(f"/proc/{pid}/fd")))


class Points:
    """The server, and what was tried on it."""

    def __init__(self, world: World, name: str = "server") -> None:
        self.allocations = Allocations(world.installation, world.folder, name)
        # Only what is asked for, so that the same is done each time.
        self.server: Hub = world.hub(name, {"pganalytics.collect_interval": "1h"}, start=False)
        self.tried = self.failed = self.falls = 0
        self._start()
        self.server.execute("create extension pganalytics")
        self._recover(push)

    # --- the server

    def _start(self) -> None:
        self.server.start(env=self.allocations.environment)
        self.session = self.server.connect()
        self.session.execute(ANSWERED)
        self.falls = 0

    def _stop(self) -> None:
        self.session.close()
        self.server.stop()

    def _attempt(self, act: Callable[["psycopg.Connection[object]"], None]) -> str:
        """Empty, or why not. The session stays: only the server's crash would end it."""
        try:
            act(self.session)
        except psycopg.errors.QueryCanceled as error:
            raise RuntimeError(f"a request is never answered: {error}") from error
        except psycopg.Error as error:
            assert not self.session.broken, f"the server went down: {error}"
            return str(error)
        except AssertionError as error:
            return str(error)
        return ""

    def _recover(self, act: Callable[["psycopg.Connection[object]"], None]) -> None:
        told: list[str] = []

        def succeeds() -> bool:
            # Before 16 a postmaster may sleep for a minute on a worker that ended as it came; this wakes it.
            self.server.connect().close()
            told[:] = [self._attempt(act)]
            return not told[0]

        try:
            wait_until(succeeds, 60, "what comes next succeeds", every=0.02)
        except AssertionError as error:
            raise AssertionError(f"{error}: {told}") from error

    def _looks_well(self) -> None:
        words = [line for file in self.server.state.glob("*.last_words") for line in file.read_text().splitlines()]
        frail = FRAIL.search(self.allocations.where) is not None
        assert all(ENDS.search(line) or (frail and ": signal 11 " in line) for line in words), words
        for file in self.server.state.glob("*.last_words"):
            # A program that writes there goes on at the end, wherever that is.
            os.truncate(file, 0)

    def left(self) -> Left:
        (pid,) = self.server.workers()["pganalytics collector"]
        return Left.of(pid)

    # --- the points

    def count(self, situation: Situation, kinds: int = EVERYTHING) -> int:
        """How many there are."""
        self._run(situation, 0, kinds)
        count = self.allocations.calls
        self._recover(situation.act)
        return count

    def _run(self, situation: Situation, at: int, kinds: int, shortage: float = 0) -> None:
        if situation.starts:
            self._stop()
        self.allocations.arm(situation.target, at, kinds, ever_after=shortage > 0)
        end = threading.Timer(shortage, self.allocations.disarm)
        if situation.starts:
            self._start()
        if shortage:
            end.start()
        if situation.starts:
            self._recover(situation.act)
        else:
            self._attempt(situation.act)
        if shortage:
            end.join()
        self.allocations.disarm()

    def fail(self, situation: Situation, at: int, ever_after: bool = False) -> bool:
        """Makes that one fail, or that one of malloc and all after it, and looks at the server; whether it came so far."""
        if self.falls >= FALLS:
            self._stop()
            self._start()
            self._recover(push)
        try:
            if ever_after:
                self._run(situation, at, MALLOC, SHORTAGE)
            else:
                self._run(situation, at, EVERYTHING)
            self._recover(situation.act)
            self._looks_well()
        except Exception as error:
            more = " and all after it" if ever_after else ""
            raise AssertionError(f"{situation.name}, allocation {at}{more}: {error}\n{self.allocations.where}") from error
        self.tried += 1
        reached = self.allocations.failed > 0
        self.failed += reached
        self.falls += reached and situation.target != "pganalytics visitor"
        return reached

    def close(self) -> None:
        self.session.close()
