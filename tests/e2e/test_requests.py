"""Sessions that ask the collector: many at a time, giving up, cancelled, and left alone by a program
or a worker that ends while they wait."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from harness import Server, World, wait_until

SLOTS = 32


@pytest.fixture(scope="module")
def shared(module_world: World) -> Server:
    server = module_world.server("collector", {"pganalytics.collect_interval": "1h"})
    server.execute("create extension pganalytics")
    return server


def ship(server: Server) -> int:
    pids = wait_until(lambda: server.programs().get("ship"), 15, "ship")
    assert pids and len(pids) == 1
    return pids[0]


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    wait_until(lambda: shared.workers().get("pganalytics collector"), 15, "the collector")
    ship(shared)
    wait_until(lambda: answers(shared), 15, "answers")
    yield shared


def answers(server: Server) -> bool:
    rows = server.rows("select * from pganalytics_status() where component = 'program'")
    return not any(row["name"] == "answer" for row in rows)


@pytest.fixture
def stopped(server: Server) -> Iterator[Server]:
    """A server whose program does not answer for a while."""
    pid = ship(server)
    os.kill(pid, signal.SIGSTOP)
    yield server
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def call_in_background(server: Server, sql: str) -> tuple[threading.Thread, list[Any]]:
    outcome: list[Any] = []

    def run() -> None:
        began = time.monotonic()
        try:
            outcome.append(server.query(sql))
        except psycopg.Error as error:
            outcome.append(error)
        outcome.append(time.monotonic() - began)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def wait_for_waiters(server: Server, count: int = 1) -> list[int]:
    def waiters() -> list[int] | None:
        rows = server.query(
            "select pid from pg_stat_activity where backend_type = 'client backend'"
            " and query like 'select%%from pganalytics_%%' and wait_event_type = 'Extension'"
            " and pid <> pg_backend_pid()",
            (),
        )
        return [pid for (pid,) in rows] if len(rows) >= count else None

    found = wait_until(waiters, 10, f"{count} waiting sessions")
    assert found
    return found


def test_many_sessions_at_a_time_are_all_answered(server: Server) -> None:
    calls = [
        call_in_background(server, "select count(*) from pganalytics_collect_now()") for _ in range(8)
    ] + [call_in_background(server, "select count(*) from pganalytics_status()") for _ in range(8)]
    for thread, outcome in calls:
        thread.join(60)
        assert not isinstance(outcome[0], psycopg.Error), outcome
        assert outcome[0][0][0] > 5


def test_more_sessions_than_slots_are_told(stopped: Server) -> None:
    calls = [
        call_in_background(stopped, "select * from pganalytics_collect_now()") for _ in range(SLOTS)
    ]
    wait_for_waiters(stopped, SLOTS)
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="too many sessions"):
        stopped.query("select * from pganalytics_collect_now()")
    os.kill(ship(stopped), signal.SIGKILL)
    for thread, outcome in calls:
        thread.join(30)
        assert isinstance(outcome[0], psycopg.errors.ObjectNotInPrerequisiteState), outcome
        # (the second, where the collector had not looked at the request yet)
        assert re.search("program ended while|does not run", str(outcome[0])), outcome
    # All slots are free again.
    wait_until(lambda: answers(stopped), 15, "answers")
    assert stopped.query("select * from pganalytics_collect_now()")


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("pg_cancel_backend", "canceling statement due to user request"),
        ("pg_terminate_backend", "terminating connection due to administrator command"),
    ],
)
def test_waiting_session_can_be_cancelled(stopped: Server, function: str, error: str) -> None:
    thread, outcome = call_in_background(stopped, "select * from pganalytics_collect_now()")
    (pid,) = wait_for_waiters(stopped)
    began = time.monotonic()
    stopped.execute(f"select {function}(%s)", (pid,))
    thread.join(10)
    assert isinstance(outcome[0], psycopg.OperationalError), outcome
    assert error in str(outcome[0])
    assert time.monotonic() - began < 2


def test_statement_timeout_ends_the_wait(stopped: Server) -> None:
    began = time.monotonic()
    with stopped.connect() as session, pytest.raises(psycopg.errors.QueryCanceled):
        session.execute("set statement_timeout = '300ms'")
        session.execute("select * from pganalytics_collect_now()")
    assert time.monotonic() - began < 3


def test_push_now_keeps_its_own_limit(stopped: Server) -> None:
    began = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled, match="time limit"):
        stopped.query("select * from pganalytics_push_now('500 ms')")
    assert 0.4 < time.monotonic() - began < 3


def test_terminated_worker_wakes_who_waits(stopped: Server) -> None:
    thread, outcome = call_in_background(stopped, "select * from pganalytics_collect_now()")
    wait_for_waiters(stopped)
    (worker,) = stopped.workers()["pganalytics collector"]
    stopped.execute("select pg_terminate_backend(%s)", (worker,))
    thread.join(10)
    assert isinstance(outcome[0], psycopg.errors.ObjectNotInPrerequisiteState)
    assert "collector ended while" in str(outcome[0])
    assert outcome[1] < 5
    # At once, as long as it is away.
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="does not run"):
        stopped.query("select * from pganalytics_collect_now()")


def test_late_answer_meets_nobody(stopped: Server) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        stopped.query("select * from pganalytics_push_now('200 ms')")
    os.kill(ship(stopped), signal.SIGCONT)
    # Its answer comes now; the next one asks for something else and gets that.
    rows = stopped.rows("select * from pganalytics_collect_now()")
    assert {"plugin", "rowset"} <= set(rows[0])
    assert any(row["rowset"] == "tables" for row in rows)


def test_register_refuses_what_is_no_address(server: Server) -> None:
    for url in ("http://hub:8444", "hub", "https://", "https://hub:0"):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            server.query("select pganalytics_register(%s, 'pga1.x.y')", (url,))


def test_functions_without_preloading_say_so(world: World) -> None:
    server = world.server("plain", {"shared_preload_libraries": ""})
    server.execute("create extension pganalytics")
    assert server.value("select pganalytics_version()") == "1.0.0"
    assert len(server.query("select * from pganalytics_catalog()")) > 100
    ((component, name, value),) = server.query(
        "select component, name, value from pganalytics_status()"
    )
    assert (component, name, value) == ("collector", "state", "not loaded")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="not loaded"):
        server.query("select * from pganalytics_collect_now()")


def test_a_request_that_can_not_be_taken_fails_at_once(server: Server) -> None:
    (worker,) = server.workers()["pganalytics collector"]

    def allow(descriptors: str) -> None:
        server.installation.run(["prlimit", "--pid", worker, f"--nofile={descriptors}:"])

    # Segments of shared memory are files: with no descriptor left none can be attached, or made.
    allow("3")
    try:
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(psycopg.errors.InsufficientResources, match="could not take"):
                server.query("select * from pganalytics_collect_now()")
            assert time.monotonic() - began < 5
        assert "a session's request could not be taken" in server.log()
    finally:
        allow("1024")
    rows = server.rows("select * from pganalytics_collect_now()")
    assert any(row["rowset"] == "tables" and row["rows"] > 0 for row in rows)
    assert server.workers()["pganalytics collector"] == [worker]
