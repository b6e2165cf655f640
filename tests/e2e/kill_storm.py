"""A storm of kills: servers that collect each second, a hub, and SIGKILL at random moments for every part
of them. What was lost or doubled is told by the ledger when the world is closed (harness/ledger.py);
whether a kill of a program was felt by the sessions of a server is told here. `tests/torture/kills` runs
it for long, test_kill_storm.py for a moment."""

import os
import random
import signal
import time
from collections import Counter
from typing import Any

from harness import Server, World, wait_until
from harness.waiting import Deadline

SESSIONS = 3
# What is killed, and how often of a hundred. A program's death is nothing to its server; of the others
# PostgreSQL itself makes a crash restart.
TARGETS = {"program": 88, "postmaster": 5, "hub": 4, "worker": 3}
# A program that ran for so long is started again at once; before that later each time.
FORGIVEN = 10


class Storm:
    def __init__(self, world: World, rng: random.Random, collectors: int = 2) -> None:
        self.rng = rng
        self.kills: Counter[str] = Counter()
        self.sessions_ended = 0
        self.seen: dict[int, float] = {}  # since when a program runs
        self.hub = world.hub()
        self.collectors: list[Server] = []
        for number in range(collectors):
            server = world.server(f"collector{number}", {"pganalytics.collect_interval": "1s"})
            server.execute("create extension pganalytics")
            self.hub.enrol(server)
            server.query("select pganalytics_reload()")
            self.collectors.append(server)
        self.servers = [*self.collectors, self.hub]
        for server in self.servers:
            server.expect_crash()
        self.sleepers: dict[Server, list[Any]] = {}
        for server in self.servers:
            self._open_sessions(server)

    def _open_sessions(self, server: Server) -> None:
        self.sleepers[server] = [server.connect() for _ in range(SESSIONS)]
        for session in self.sleepers[server]:
            session.pgconn.send_query(b"select pg_sleep(86400)")

    def _count_ended(self, server: Server) -> None:
        pids = [session.info.backend_pid for session in self.sleepers[server]]
        left = server.value("select count(*) from pg_stat_activity where pid = any(%s)", (pids,))
        self.sessions_ended += SESSIONS - int(left)

    def run(self, kills: int, seconds: float) -> None:
        end = Deadline(seconds)
        while sum(self.kills.values()) < kills and end.left() > 0:
            # Whatever it is doing then: the moment is what is random here.
            moment = time.monotonic() + self.rng.uniform(0, 0.5)
            wait_until(lambda: time.monotonic() >= moment, 1, "the moment", every=0.01)
            (target,) = self.rng.choices(list(TARGETS), list(TARGETS.values()))
            if target == "program":
                self._kill_program()
            elif target == "worker":
                self._kill_worker(self.rng.choice(self.collectors))
            else:
                self._kill_server(self.hub if target == "hub" else self.rng.choice(self.collectors), target)

    def _programs(self) -> list[tuple[Server, str, int]]:
        """Those that run: ship of every server and serve of the hub."""
        found = []
        for server in self.servers:
            found += [(server, name, pid) for name, pids in server.programs().items() for pid in pids if name != "keys"]
        now = time.monotonic()
        self.seen = {pid: self.seen.get(pid, now) for *_, pid in found}
        return found

    def _kill_program(self) -> None:
        """Mostly one that has run for so long that it is started again at once, else any."""
        running = wait_until(self._programs, 40, "a program runs")
        old = [one for one in running if time.monotonic() - self.seen[one[2]] > FORGIVEN]
        server, name, pid = self.rng.choice(old if old and self.rng.random() < 0.8 else running)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.kills[name] += 1
        self._count_ended(server)

    def _kill_worker(self, server: Server) -> None:
        pids = wait_until(lambda: server.workers().get("pganalytics collector"), 30, "a collector runs")
        mark = server.log_size()
        os.kill(pids[0], signal.SIGKILL)
        self.kills["worker"] += 1
        server.wait_log("all server processes terminated; reinitializing", mark)
        wait_until(lambda: self._answers(server), 30, f"{server.name} is back")
        self._open_sessions(server)

    def _kill_server(self, server: Server, target: str) -> None:
        server.kill()
        self.kills[target] += 1
        server.start()
        self._open_sessions(server)

    @staticmethod
    def _answers(server: Server) -> bool:
        return server.psql("-c", "select 1", check=False).returncode == 0

    def settle(self) -> None:
        """Nothing new is collected, and everything that waits is delivered."""
        for server in self.servers:
            server.set({"pganalytics.collect_interval": "1h"})
        wait_until(self.hub._healthy, 60, "the hub answers")

        def delivered(server: Server) -> bool:
            rows = server.rows("select component, name, value from pganalytics_status()")
            status = {(row["component"], row["name"]): row["value"] for row in rows}
            return status.get(("queue", "snapshots")) == "0"

        for server in self.servers:
            # Ends a back-off.
            reload = ("-c", "select pganalytics_reload()")
            wait_until(lambda: server.psql(*reload, check=False).returncode == 0, 60, "the program runs")
            wait_until(lambda: delivered(server), 120, f"{server.name} has delivered", every=0.2)

    def close(self) -> None:
        for sessions in self.sleepers.values():
            for session in sessions:
                session.close()
