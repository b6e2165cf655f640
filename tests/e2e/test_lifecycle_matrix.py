"""Servers in states where a collector could get in the way: started in other ways than usual, databases that can't be
visited, DDL on databases beside a hub that hangs, and shutdowns while something that the collector waits for never
comes. What is promised in seconds is compared with a server without us."""

import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from collecting import DDL_LIMIT, SETTINGS, collected, figure, repeat, ship, status, wait_cycles, whole
from driver.authority import Authority
from harness import Hub, Server, World, wait_until
from harness.scorecard import score
from harness.stuck import FrozenVolume, HalfHandshake, LogStorm, SilentHub, SilentNames, SmallVolume

LONG = os.environ.get("PGANALYTICS_LONG") == "1"
ROUNDS = 1000 if LONG else 200
CHUNK = 10
PLAIN = {"shared_preload_libraries": ""}


# --- started otherwise


def test_without_the_library_functions_say_so(world: World) -> None:
    server = world.server("plain", PLAIN)
    server.execute("create extension pganalytics")
    notes = [row["note"] or "" for row in server.rows("select * from pganalytics_status()")]
    assert any("shared_preload_libraries" in note for note in notes), notes
    for call in ("pganalytics_collect_now()", "pganalytics_push_now()"):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as error:
            server.query(f"select * from {call}")
        assert "shared_preload_libraries" in (error.value.diag.message_hint or ""), call
    # Loading it later makes no collector.
    with server.connect() as session:
        session.execute("load 'pganalytics'")
        assert session.execute("select 1").fetchone() == (1,)
    server.execute("drop extension pganalytics")
    assert server.workers() == {} and server.programs() == {}


def test_single_user_mode(world: World) -> None:
    server = world.server("alone", SETTINGS, start=False)
    server._write_settings()
    told = server.installation.run(
        [server.bindir / "postgres", "--single", "-D", server.data, "postgres"],
        input="create extension pganalytics;\nselect component, name, value from pganalytics_status();\n"
        "select * from pganalytics_collect_now();\ndrop extension pganalytics;\ncreate extension pganalytics;\n",
        timeout=60,
    )
    assert "PANIC" not in told.stderr and "was terminated" not in told.stderr
    assert not server.state.exists(), "nothing of ours has run"
    server.start()
    ship(server)
    assert ("pg_stats", "tables", "postgres") in whole(server, lambda: collected(server))


def test_no_worker_slot_at_all(world: World) -> None:
    server = world.server("full", SETTINGS | {"max_worker_processes": 0})
    server.execute("create extension pganalytics")
    assert server.workers() == {} and server.programs() == {}
    with pytest.raises(psycopg.Error) as error:
        server.query("select * from pganalytics_collect_now()")
    assert error.value.diag.message_primary
    told = status(server)
    assert told["collector", "state"]["value"] != "running"
    server.set({"max_worker_processes": 8})
    server.restart()
    ship(server)


def test_pg_upgrade(world: World) -> None:
    """A server with collector and hub tables goes through pg_upgrade, with the library loaded on both sides."""
    if not (world.installation.bindir / "pg_upgrade").exists():
        pytest.skip("this installation has no pg_upgrade")
    old = world.hub("old")
    old.wait_rows("pg_stats_server", deadline=30)
    old.stop()
    rows = "select count(*) from pganalytics.pg_stats_server"
    new = world.hub("new", start=False)
    new._write_settings()
    # In the same folder as the servers: it writes beside itself.
    new.installation.run(
        [new.bindir / "pg_upgrade", "-b", old.bindir, "-B", new.bindir, "-d", old.data, "-D", new.data, "-U", "postgres"]
        + ["-p", old.port, "-P", new.port, "--socketdir", world.folder, "-j", "2"],
        cwd=str(new.folder),
    )
    new.expect_no_ledger("what is in its tables was collected by the old one")
    old.expect_no_ledger("its tables have moved")
    # What an operator takes along: the state directory, or the hub would be another one.
    new.installation.run(["cp", "-a", old.state, new.state])
    new.collector_port, new.console_port = old.collector_port, old.console_port
    new.set({"pganalytics.hub_port": new.collector_port, "pganalytics.hub_console_port": new.console_port}, reload=False)
    new.start()
    before = new.value(rows)
    assert before > 0
    wait_until(lambda: new.value(rows) > before, 40, "the hub goes on after pg_upgrade")
    assert new.value("select count(*) from pganalytics.collectors") == 1


# --- databases that can't be visited


def test_databases_that_cannot_be_visited(world: World) -> None:
    server = world.server("collector", SETTINGS)
    server.execute("create extension pganalytics")
    server.execute("create role watcher login in role pg_monitor")
    server.set({"pganalytics.role": "watcher"})
    server.restart()
    ship(server)
    for name in ("open", "closed", "invalid", "none_allowed", "template_closed"):
        server.execute(f"create database {name}")
    limits = {
        "closed": "datallowconn = false",
        "invalid": "datconnlimit = -2",
        "none_allowed": "datconnlimit = 0",
        "template_closed": "datallowconn = false, datistemplate = true",
    }
    for name, change in limits.items():
        server.execute(f"update pg_database set {change} where datname = '{name}'")
    mark = server.log_size()

    def named() -> set[str]:
        return {key[2] for key in collected(server) if key[2]}

    # PostgreSQL counts no workers among the connections of a database: a limit of 0 keeps none out.
    for _ in range(3):
        wait_until(lambda: named() == {"postgres", "open", "none_allowed"}, 20, "three databases")
    wait_cycles(server, 3)
    # Nor do they take one away from others.
    server.execute("alter database open connection limit 1")
    for _ in range(5):
        with server.connect("open", user="watcher") as session:
            collected(server)
            assert session.execute("select 1").fetchone() == (1,)
        wait_until(lambda: server.value("select count(*) from pg_stat_activity where usename = 'watcher'"
                                        " and backend_type = 'client backend'") == 0, 10, "it is gone")  # fmt: skip
    lines = [line for line in server.log(mark).splitlines() if "WARNING" in line or "FATAL" in line or "ERROR" in line]
    assert not lines, lines
    # They are nobody's but their owner's.
    for name in limits:
        server.execute(f"update pg_database set datistemplate = false where datname = '{name}'")
        began = time.monotonic()
        server.execute(f"drop database {name}")
        assert time.monotonic() - began < DDL_LIMIT


# --- DDL on databases


def rounds_of_ddl(server: Server, numbers: range, space: str, took: dict[str, list[float]]) -> None:
    """Adds how long each statement took, by its kind. Every tenth round has the costly ones, too."""
    with server.connect("template1") as session:

        def run(kind: str, sql: str) -> None:
            began = time.monotonic()
            session.execute(sql)
            took.setdefault(kind, []).append(time.monotonic() - began)

        for number in numbers:
            run("create", "create database one")
            # Long enough that a visitor may be in it.
            run("rename", "alter database one rename to other")
            if number % 10 == 3:
                run("copy", "create database copy template other")
                run("drop", "drop database copy")
            if number % 10 == 7:
                run("move", f"alter database other set tablespace {space}")
                run("limit", "alter database other connection limit 5")
                run("template", "alter database other is_template true")
                run("template", "alter database other is_template false")
            run("drop", "drop database other")
            if number % 25 == 24:
                server.execute("drop extension if exists pganalytics")
                server.execute("create extension pganalytics")


@pytest.mark.time_limit(2700 if LONG else 200)
def test_ddl_beside_a_hung_hub(world: World) -> None:
    hub = world.hub(settings={"pganalytics.collect_interval": "1h"})
    server = world.server("watched", {"pganalytics.collect_interval": "1s", "pganalytics.visit_timeout": "2s"})
    server.execute("create extension pganalytics")
    hub.enrol(server, "watched")
    hub.wait_rows("pg_stats_server", "watched", deadline=30)
    hub.stop()
    plain = world.server("plain", PLAIN)
    for one in (server, plain):
        folder = world.path(f"space_{one.name}")
        folder.mkdir()
        one.installation.own(folder)
        one.execute(f"create tablespace space location '{folder}'")
    with SilentHub(hub.collector_port) as silent:
        wait_until(lambda: silent.accepted, 60, "a push that hangs")
        visits = figure(server, "visitors", "visits")
        met: set[str] = set()
        stop = threading.Event()

        # Each call visits every database, so that hardly a moment is without a visitor.
        def visit() -> None:
            try:
                met.update(key[2] for key, row in collected(server).items() if key[2] and not row["error"])
            except psycopg.Error:
                pass  # while there is no extension

        visitor = repeat(stop, visit)
        took: dict[str, list[float]] = {}
        usual: dict[str, list[float]] = {}
        end = time.monotonic() + (2400 if LONG else 30)
        try:
            # As many without us, at the same time: the longest of a thousand is longer than that of twenty.
            for first in range(0, ROUNDS, CHUNK):
                if time.monotonic() > end:
                    break
                numbers = range(first, first + CHUNK)
                rounds_of_ddl(server, numbers, "space", took)
                rounds_of_ddl(plain, numbers, "space", usual)
        finally:
            stop.set()
            visitor.join()
        visits = figure(server, "visitors", "visits") - visits
    done = len(took["create"])
    added = {kind: max(times) - max(usual[kind]) for kind, times in took.items()}
    print(f"ddl: {done} rounds beside a hung hub, {visits} visits meanwhile; 0 failures; longest above a server without us: "
          + ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in sorted(added.items())))  # fmt: skip
    score(ddl=done, ddl_kinds=len(took))
    assert done >= (ROUNDS if LONG else 20) and visits > 20
    assert met & {"one", "other", "copy"}, "those that come and go were visited"
    assert max(added.values()) < DDL_LIMIT, added
    # In the middle a round is not slower by what the collector does.
    for kind, times in took.items():
        assert statistics.median(times) < statistics.median(usual[kind]) + 0.5, kind
    # What was collected meanwhile is in the hub or the spool: the ledger at the end says so.
    wait_cycles(server, 2)


# --- shutdown


@pytest.fixture(scope="module")
def module_plain(module_world: World) -> Server:
    return module_world.server("plain", PLAIN, start=False)


@pytest.fixture(scope="module")
def enrolled_with(module_world: World) -> Hub:
    hub = module_world.hub("usual", {"pganalytics.collect_interval": "1h"})
    hub.expect_no_ledger("its collectors wait for other hubs at the end")
    return hub


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


# What the collector is in the midst of. That of the hub is silence where nothing else is said.
STATES = [
    "hub silent", "names silent", "half a handshake", "volume full", "volume frozen", "log storm", "program stopped", "long visit",
]  # fmt: skip
SLOW_ROWSET = "select pganalytics_add_rowset('slow', 'select 1 as x, pg_sleep(1)::text as y', '1 s', 'cluster', '{\"x\": \"gauge\", \"y\": \"gauge\"}')"
SLEEPS = "select count(*) from pg_stat_activity where backend_type like 'pganalytics%%' and wait_event = 'PgSleep'"


class Stuck:
    """A server whose collector waits for what does not come; `start` says when it does."""

    def __init__(self, world: World, hub: Hub, state: str, stack: ExitStack) -> None:
        self.state, self.world = state, world
        self.server = world.server(f"stuck{state.replace(' ', '')}", SETTINGS, start=False)
        self.server.expect_no_ledger("it has another hub than the one that is asked")
        self.storm: LogStorm | None = None
        self.volume: Any = None
        if state == "volume full":
            self.volume = stack.enter_context(SmallVolume(world.installation, self.server.state))
        if state == "volume frozen":
            image = self.server.folder / "image"
            self.volume = stack.enter_context(FrozenVolume(world.installation, self.server.state, image))
        if self.volume and self.volume.why_not:
            pytest.skip(f"cannot make a file system of its own here: {self.volume.why_not}")
        if state == "names silent" and (why := SilentNames.why_not()):
            pytest.skip(why)
        self.server.start()
        hub.enrol(self.server, self.server.name)
        hub.wait_rows("pg_stats_server", self.server.name, deadline=30)
        self.server.execute("create extension pganalytics")
        if state == "long visit":
            self.server.set({"pganalytics.visit_timeout": "4s"})
            wait_until(lambda: self.server.value("show pganalytics.visit_timeout") == "4s", 10, "time for it")
            self.server.execute(SLOW_ROWSET)
        self.server.stop()
        self.peer: Any = None
        self.url = f"https://localhost:{hub.collector_port}"
        if state == "names silent":
            self.peer = stack.enter_context(SilentNames(world.path("")))
            self.url = "https://hub.of.nobody.example:8441"
        elif state == "half a handshake":
            authority = Authority(world.path("half"))
            self.peer = stack.enter_context(
                HalfHandshake(0, *authority.pair("server", "DNS:localhost,IP:127.0.0.1", "serverAuth"))
            )
        else:
            self.peer = stack.enter_context(SilentHub(0))
        if state != "names silent":
            self.url = f"https://localhost:{self.peer.socket.getsockname()[1]}"
        self.server.set({"pganalytics.hub_url": self.url}, reload=False)

    def _met(self) -> int:
        return self.peer.asked if self.state == "names silent" else len(self.peer.accepted)

    def start(self) -> None:
        before = self._met()
        self.start_server()
        wait_until(lambda: self._met() > before, 30, f"{self.state}: it waits")
        if self.state == "volume full" and not self.volume.filler.exists():
            self.volume.fill()
        if self.state == "volume frozen":
            self.volume.freeze()
        if self.volume:
            wait_until(lambda: self._spool() == "failing", 30, "the spool can't write")
        if self.state == "long visit":
            wait_until(lambda: self.server.value(SLEEPS) > 0, 30, "a visitor sleeps")
        if self.state == "program stopped":
            os.kill(ship(self.server), signal.SIGSTOP)
        if self.state == "log storm":
            self.storm = LogStorm(self.server)

    def start_server(self) -> None:
        if self.state == "names silent":
            self.peer.start(self.server)
        else:
            self.server.start()

    def stopped(self) -> None:
        """What holds its program on goes on."""
        if self.storm:
            self.storm.join()
        if self.state == "volume frozen":
            self.volume.thaw()

    def _spool(self) -> str:
        query = "select value from pganalytics_status() where component = 'spool' and name = 'state'"
        rows = self.server.query(query)
        return str(rows[0][0]) if rows else ""


@pytest.mark.time_limit(1800 if LONG else 120)
@pytest.mark.parametrize("state", STATES)
def test_shutdown_is_not_delayed(state: str, module_world: World, enrolled_with: Hub, module_plain: Server) -> None:
    times = 20 if LONG else 1
    # One that waits for its sessions does so with or without us.
    modes = [mode for mode in ("fast", "smart", "immediate", "restart") if state != "log storm" or mode != "smart"]
    longest = dict.fromkeys(modes, 0.0)

    def usual(mode: str) -> float:
        module_plain.start()
        storm = LogStorm(module_plain) if state == "log storm" else None
        took = seconds(lambda: module_plain.stop("fast" if mode == "restart" else mode))
        if storm:
            storm.join()
        if mode == "restart":
            took += seconds(module_plain.start)
            module_plain.stop()
        return took

    with ExitStack() as stack:
        stuck = Stuck(module_world, enrolled_with, state, stack)
        for mode in modes * times:
            stuck.start()
            before = usual(mode)
            took = seconds(lambda how=mode: stuck.server.stop("fast" if how == "restart" else how))
            if mode == "restart":
                took += seconds(stuck.start_server)
                stuck.server.stop("immediate")
            stuck.stopped()
            most = max(before, usual(mode))
            longest[mode] = max(longest[mode], took - most)
            assert took < most + 1, f"{mode} while {state}"
        print(f"shutdown while {state}, {times} each: longer than without us by "
              + ", ".join(f"{mode} {added:.2f} s" for mode, added in longest.items()))  # fmt: skip
