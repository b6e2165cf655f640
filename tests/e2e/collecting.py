"""A server whose collector is looked at from outside: what it says of itself, what it has collected.

`shared` and `collector` are fixtures for the files that import them.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from harness import Server, World, wait_until

SETTINGS = {"pganalytics.collect_interval": "1s"}
# What our promise adds to DDL on databases at most.
DDL_LIMIT = 2.5


def status(server: Server) -> dict[tuple[str, str], dict[str, Any]]:
    rows = server.rows("select * from pganalytics_status()")
    return {(row["component"], row["name"]): row for row in rows}


def figure(server: Server, component: str, name: str) -> int:
    return int(status(server)[component, name]["value"])


def cycles(server: Server) -> int:
    return figure(server, "collector", "cycles")


def wait_cycles(server: Server, more: int = 2, deadline: float = 15) -> None:
    before = cycles(server)
    wait_until(lambda: cycles(server) >= before + more, deadline, f"{more} more cycles")


T = TypeVar("T")


def whole(server: Server, read: Callable[[], T]) -> T:
    """What `read` got of a cycle in which no visit was late; one that is leaves rowsets to the next."""
    found: list[T] = []

    def in_time() -> bool:
        before = figure(server, "visitors", "visits_cut")
        found[:] = [read()]
        return figure(server, "visitors", "visits_cut") == before

    wait_until(in_time, 30, "a cycle in which no visit is late")
    return found[0]


def ship(server: Server) -> int:
    def only() -> int | None:
        pids = server.programs().get("ship", [])
        return pids[0] if len(pids) == 1 else None

    pid = wait_until(only, 10, "one ship program")
    assert pid
    return pid


def worker_pid(server: Server, kind: str, deadline: float = 10) -> int:
    def pid() -> int | None:
        pids = server.workers().get(kind, [])
        return pids[0] if pids else None

    found = wait_until(pid, deadline, f"a worker {kind}", every=0.001)
    assert found
    return found


def collected(server: Server) -> dict[tuple[str, str, str | None], dict[str, Any]]:
    """One cycle, now: what was read, by plugin, rowset and database."""
    rows = server.rows("select * from pganalytics_collect_now()")
    return {(row["plugin"], row["rowset"], row["datname"] or None): row for row in rows}


def repeat(stop: threading.Event, work: Any) -> threading.Thread:
    def run() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def shared(module_world: World) -> Server:
    server = module_world.server("collector", SETTINGS)
    server.execute("create extension pganalytics")
    ship(server)
    return server


@pytest.fixture
def collector(shared: Server) -> Iterator[Server]:
    """One server for the tests that leave it as they found it; its log from here on."""
    shared.mark = shared.log_size()  # type: ignore[attr-defined]
    wait_cycles(shared, 1)
    before = dict(shared.settings)
    yield shared
    shared.set({name: before.get(name) for name in shared.settings})
    for (name,) in shared.query(
        "select datname from pg_database where datname not in ('postgres', 'template0', 'template1')"
    ):
        shared.psql("-c", f'alter database "{name}" is_template false', "-c", f'drop database "{name}"')


def log(server: Server) -> str:
    """What it logged in this test."""
    return server.log(getattr(server, "mark", 0))
