"""The collector, its visitors and its program against whatever a server's life brings: kills, stops,
cancels, missing extension, standby and promotion."""

import fcntl
import os
import signal
import threading
import time
from typing import BinaryIO

import psycopg
import pytest

from collecting import (  # noqa: F401
    DDL_LIMIT,
    SETTINGS,
    collected,
    collector,
    cycles,
    figure,
    log,
    repeat,
    shared,
    ship,
    status,
    wait_cycles,
    worker_pid,
)
from harness import Server, World, wait_until


# --- the program


def test_a_state_directory_held_at_the_start_is_used_later(world: World) -> None:
    """As by the program of before that still ends; nobody changes a setting or asks for anything."""
    hub = world.hub("hub", {"pganalytics.enabled": "off"})
    server = world.server("held", SETTINGS)
    server.execute("create extension pganalytics")
    server.value("select pganalytics_register(%s, %s)", (hub.console_url, hub.create_token(server.name)))
    stored = "select count(*) from pganalytics.ledger"
    wait_until(lambda: hub.value(stored) > 1, 30, "pushes arrive")
    server.stop()
    state = ("state_directory", "state")
    with open(f"{server.data}.pganalytics/ship.lock", "r+b") as lock:
        wait_until(lambda: not fails_to_lock(lock), 20, "the program is gone")
        before = hub.value(stored)
        server.start()
        wait_until(lambda: status(server).get(state, {}).get("value") == "not usable", 30, "the status says so")
        assert "still ends" in status(server)[state]["note"]
        wait_cycles(server)
        assert hub.value(stored) == before
    wait_until(lambda: hub.value(stored) > before + 1, 60, "pushes arrive again")
    assert status(server)[state]["value"] == "usable"
    assert server.log().count("Its state directory can be used now.") == 1


def fails_to_lock(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def test_killing_the_program_ends_no_session(collector: Server) -> None:
    with collector.connect() as session:
        session.execute("begin")
        session.execute("create temporary table kept as select 42 as x")
        for _ in range(3):
            before = ship(collector)
            os.kill(before, signal.SIGKILL)
            wait_until(lambda: ship(collector) != before, 15, "a new program")
        assert session.execute("select x from kept").fetchone() == (42,)
    wait_cycles(collector)
    assert log(collector).count("ended by signal 9") == 1


def test_stopped_program_stalls_nobody_and_is_replaced(collector: Server) -> None:
    stopped = ship(collector)
    os.kill(stopped, signal.SIGSTOP)
    began = time.monotonic()
    with collector.connect() as session:
        while time.monotonic() - began < 4:
            one = time.monotonic()
            session.execute("create database while_stopped")
            session.execute("drop database while_stopped")
            assert time.monotonic() - one < DDL_LIMIT
    # The status answers from shared memory, and says that the program does not.
    assert status(collector)["program", "answer"]["value"] == "none"
    wait_until(lambda: ship(collector) != stopped, 20, "a new program")
    wait_cycles(collector)
    assert "was killed: it " in log(collector)


def test_switched_off_collector_says_so(collector: Server) -> None:
    collector.set({"pganalytics.enabled": "off"})
    wait_until(lambda: status(collector)["collector", "state"]["value"] == "off", 5, "off")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="switched off"):
        collected(collector)
    before = cycles(collector)
    collector.set({"pganalytics.enabled": "on"})
    wait_until(lambda: cycles(collector) > before, 10, "cycles again")


# --- the workers


def test_cancelled_collector_goes_on(collector: Server) -> None:
    worker, program = worker_pid(collector, "pganalytics collector"), ship(collector)
    for _ in range(20):
        collector.execute("select pg_cancel_backend(%s)", (worker,))
    wait_cycles(collector)
    assert worker_pid(collector, "pganalytics collector") == worker
    # The signal goes to the worker's process group; the program is in one of its own.
    assert ship(collector) == program
    assert log(collector).count("canceling statement") == 1


def test_terminated_collector_comes_back(collector: Server) -> None:
    worker, program = worker_pid(collector, "pganalytics collector"), ship(collector)
    with collector.connect() as session:
        session.execute("select pg_terminate_backend(%s)", (worker,))
        wait_until(lambda: program not in collector.programs().get("ship", []), 5, "program gone")
        wait_until(lambda: worker_pid(collector, "pganalytics collector") != worker, 10, "worker")
        assert session.execute("select 1").fetchone() == (1,)
    wait_until(lambda: ship(collector), 10, "program")
    wait_cycles(collector)
    assert figure(collector, "collector", "starts") >= 2


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_visitors_can_be_cancelled_and_terminated(collector: Server, function: str) -> None:
    # Visits that last: pg_stats.sequences waits for a lock that nobody else needs.
    collector.set({"pganalytics.lock_timeout": "1s"})
    stop = threading.Event()
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table pg_catalog.pg_sequence in access exclusive mode")
        reader = repeat(stop, lambda: collected(collector))
        try:
            with collector.connect() as session:
                hit = 0

                def hit_some() -> bool:
                    nonlocal hit
                    rows = session.execute(
                        f"select {function}(pid) from pg_stat_activity"
                        " where backend_type = 'pganalytics visitor' and wait_event_type = 'Lock'"
                    ).fetchall()
                    hit += len(rows)
                    return hit >= 3

                wait_until(hit_some, 20, "three visitors hit", every=0.005)
        finally:
            stop.set()
            reader.join()
    # No lines of visitors in the log, no exit lines of theirs either: what happened is said once.
    lines = [line for line in log(collector).splitlines() if "visitor" in line or "sequences" in line]
    assert len(lines) == 1, lines
    assert not any(row["error"] for row in collected(collector).values())


# --- the extension


def test_works_without_create_extension(world: World) -> None:
    server = world.server("collector", SETTINGS)
    ship(server)
    visited = wait_until(
        lambda: server.query(
            "select datname from pg_stat_activity where backend_type = 'pganalytics visitor'"
        ),
        15,
        "a visitor",
        every=0.002,
    )
    assert visited


def test_extension_can_be_dropped_while_its_functions_run(collector: Server) -> None:
    stop = threading.Event()
    errors: list[str] = []

    def call() -> None:
        try:
            collected(collector)
        except psycopg.Error as error:
            errors.append(type(error).__name__)

    thread = repeat(stop, call)
    try:
        for _ in range(5):
            collector.execute("drop extension pganalytics")
            collector.execute("create extension pganalytics")
    finally:
        stop.set()
        thread.join()
    assert set(errors) <= {"UndefinedFunction", "InternalError_", "DuplicateFunction"}
    wait_cycles(collector)


def test_does_nothing_in_binary_upgrade(world: World) -> None:
    server = world.server("collector", SETTINGS)
    server.stop()
    options = ["-o", "-b"]
    server.installation.run(
        [server.bindir / "pg_ctl", "start", "-w", "-D", server.data, "-l", server.log_file, *options],
        stdout=-3,
        stderr=-3,
    )
    assert server.workers() == {}
    assert server.programs() == {}
    assert server.value("show pganalytics.collect_interval") == "1s"


# --- standby


@pytest.mark.time_limit(120)
def test_standby_and_promotion(collector: Server, world: World) -> None:
    standby = world.standby(collector, "standby")
    ship(standby)
    wait_until(lambda: ("pg_replication", "receiver", None) in collected(standby), 15, "a cycle")
    rows = collected(standby)
    assert rows["pg_replication", "receiver", None]["rows"] == 1
    assert not any(row["error"] for row in rows.values())
    assert collected(collector)["pg_replication", "senders", None]["rows"] == 1
    program = ship(standby)
    standby.promote()
    wait_until(lambda: collected(standby)["pg_replication", "receiver", None]["rows"] == 0, 20, "alone")
    wait_cycles(standby)
    assert ship(standby) == program
