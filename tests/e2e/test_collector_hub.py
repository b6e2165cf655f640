"""A collector and a hub when either's processes are killed, when the hub hangs or is away, and when
the server is shut down."""

import os
import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from collecting import (
    DDL_LIMIT,
    SETTINGS,
    figure,
    ship,
    wait_cycles,
    worker_pid,
)
from harness import Server, World, wait_until
from harness.stuck import SilentHub


# --- a hub's worker and front


@pytest.mark.time_limit(120)
def test_hub_survives_what_happens_to_its_processes(world: World) -> None:
    hub = world.hub()
    hub.wait_rows("pg_stats_server", deadline=30)

    def kill_front() -> None:
        os.kill(hub.programs()["serve"][0], signal.SIGKILL)

    def cancel_worker() -> None:
        hub.execute("select pg_cancel_backend(%s)", (worker_pid(hub, "pganalytics hub"),))

    def terminate_worker() -> None:
        hub.execute("select pg_terminate_backend(%s)", (worker_pid(hub, "pganalytics hub"),))

    with hub.connect() as session:
        session.execute("create temporary table kept as select 42 as x")
        for trouble in (kill_front, cancel_worker, terminate_worker):
            trouble()
            began = time.monotonic()
            hub.execute("create database beside_it")
            hub.execute("drop database beside_it")
            assert time.monotonic() - began < DDL_LIMIT, trouble.__name__
            # What is collected from now on arrives.
            after = hub.value("select now()")
            hub.wait_rows("pg_stats_server", where=f"time > '{after}'", deadline=40)
        assert session.execute("select x from kept").fetchone() == (42,)
    names = [(row["component"], row["name"]) for row in hub.rows("select * from pganalytics_status()")]
    assert len(names) == len(set(names))
    assert figure(hub, "hub_worker", "snapshots_stored") > 0
    assert figure(hub, "hub_front", "pid") in hub.programs()["serve"]
    # No push was lost on the way, and none came twice.
    gaps = "select max(sequence) - min(sequence) + 1 - count(*) from pganalytics.ledger group by incarnation"
    wait_until(lambda: all(gap == 0 for (gap,) in hub.query(gaps)), 20, "every sequence")


# --- shutdown, and a hub that is away


def seconds_to_stop(server: Server) -> float:
    began = time.monotonic()
    server.stop("fast")
    return time.monotonic() - began


@pytest.fixture
def stops_as_usual(world: World) -> Callable[[Server], None]:
    """Compares a fast shutdown with what one takes without us, just before and just after it."""
    plain = world.server("plain", {"shared_preload_libraries": ""}, start=False)

    def compare(server: Server) -> None:
        before = seconds_to_stop(plain.start())
        took = seconds_to_stop(server)
        assert took < max(before, seconds_to_stop(plain.start())) + 1

    return compare


def test_fast_shutdown_is_not_delayed(world: World, stops_as_usual: Callable[[Server], None]) -> None:
    hub = world.hub()
    ship(hub)
    stops_as_usual(hub)
    # Nor by programs that do not listen.
    hub.start()
    hub.make_ready()
    for pids in hub.programs().values():
        os.kill(pids[0], signal.SIGSTOP)
    stops_as_usual(hub)


@pytest.mark.time_limit(120)
def test_hub_that_hangs_delays_nothing(world: World, stops_as_usual: Callable[[Server], None]) -> None:
    hub = world.hub()
    server = world.server("watched", SETTINGS)
    server.execute("create extension pganalytics")
    hub.enrol(server, "watched")
    hub.wait_rows("pg_stats_server", "watched", deadline=30)
    hub.stop()
    with SilentHub(hub.collector_port) as silent:
        wait_until(lambda: silent.accepted, 60, "a push that hangs")
        wait_cycles(server, 2)
        began = time.monotonic()
        server.execute("create database beside_it")
        server.execute("drop database beside_it")
        assert time.monotonic() - began < DDL_LIMIT
        with pytest.raises(psycopg.errors.QueryCanceled, match="within the time allowed"):
            server.query("select * from pganalytics_push_now('500 ms')")
        stops_as_usual(server)
        # Silent from the start as well.
        before = len(silent.accepted)
        server.start()
        wait_until(lambda: len(silent.accepted) > before, 60, "another push that hangs")
        wait_cycles(server, 2)
    hub.start()
    had = hub.value("select now()")
    hub.wait_rows("pg_stats_server", "watched", where=f"time > '{had}'", deadline=90)
    # What was collected while the hub said nothing was kept for it.
    assert hub.stored("pg_stats_server", "watched", f"time < '{had}' and time > '{had}'::timestamptz - interval '1 min'")
