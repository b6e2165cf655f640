"""The collector, its visitors and its program against whatever a server's life brings: kills, stops,
cancels, DDL on databases, no worker slots, reloads, missing extension, shutdown."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from harness import Server, World, wait_until

SETTINGS = {"pganalytics.collect_interval": "1s"}
# What our promise adds to DDL at most, and the server's own wait for others to leave a database.
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


def ship(server: Server) -> int:
    def only() -> int | None:
        pids = server.programs().get("ship", [])
        return pids[0] if len(pids) == 1 else None

    pid = wait_until(only, 10, "one ship program")
    assert pid
    return pid


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


# --- the program


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


def test_fast_shutdown_is_not_delayed(world: World) -> None:
    server = world.server("collector", SETTINGS)
    ship(server)
    for stopped in (False, True):
        if stopped:
            server.start()
            os.kill(ship(server), signal.SIGSTOP)
        began = time.monotonic()
        server.stop("fast")
        assert time.monotonic() - began < 1.5


def test_switched_off_collector_says_so(collector: Server) -> None:
    collector.set({"pganalytics.enabled": "off"})
    wait_until(lambda: status(collector)["collector", "state"]["value"] == "off", 5, "off")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="switched off"):
        collected(collector)
    before = cycles(collector)
    collector.set({"pganalytics.enabled": "on"})
    wait_until(lambda: cycles(collector) > before, 10, "cycles again")


# --- the workers


def worker_pid(server: Server, kind: str, deadline: float = 10) -> int:
    def pid() -> int | None:
        pids = server.workers().get(kind, [])
        return pids[0] if pids else None

    found = wait_until(pid, deadline, f"a worker {kind}", every=0.001)
    assert found
    return found


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
    # Visits that last: pg_stats.relations waits for a lock that nobody else needs.
    collector.set({"pganalytics.lock_timeout": "1s"})
    stop = threading.Event()
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table pg_catalog.pg_inherits in access exclusive mode")
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
    lines = [line for line in log(collector).splitlines() if "visitor" in line or "relations" in line]
    assert len(lines) == 1, lines
    assert not any(row["error"] for row in collected(collector).values())


# --- databases


@pytest.fixture
def ddl(collector: Server) -> Iterator[Any]:
    """Runs one DDL statement and notes how long it took."""
    with collector.connect("template1") as session:
        longest = 0.0

        def run(sql: str) -> None:
            nonlocal longest
            began = time.monotonic()
            session.execute(sql)
            longest = max(longest, time.monotonic() - began)

        yield run
        assert longest < DDL_LIMIT + 2, f"DDL took {longest:.1f} s"


def test_ddl_on_databases_succeeds_while_they_are_read(collector: Server, ddl: Any) -> None:
    # Each collect_now visits every database, so that hardly a moment is without a visitor.
    stop = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        for key, row in collected(collector).items():
            if key[2] and not row["error"]:
                seen.add(key[2])

    threads = [repeat(stop, read) for _ in range(2)]
    try:
        rounds, began = 0, time.monotonic()
        while time.monotonic() - began < 12 or rounds < 5:
            ddl('create database "Ab c"')
            ddl('alter database "Ab c" rename to "d"')
            ddl('create database "copy" template "d"')
            ddl('drop database "d"')
            ddl('drop database "copy"')
            rounds += 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert rounds >= 5
    assert "postgres" in seen
    wait_cycles(collector)


def test_what_may_not_be_visited_is_left_alone(collector: Server) -> None:
    collector.execute('create database "app one"')
    collector.execute("create database app_two")
    collector.execute("create database closed allow_connections false")
    collector.execute("create database model is_template true")
    names = {key[2] for key in collected(collector) if key[2]}
    assert names == {"postgres", "app one", "app_two"}
    collector.set({"pganalytics.databases": '"app o*", app_t??', "pganalytics.exclude_databases": ""})

    def named() -> set[str]:
        return {key[2] for key in collected(collector) if key[2]}

    wait_until(lambda: named() == {"app one", "app_two"}, 5, "two databases")
    # What belongs to the cluster is read all the same.
    assert ("pg_stats", "databases", None) in collected(collector)
    collector.set({"pganalytics.databases": "*", "pganalytics.exclude_databases": "app*"})
    wait_until(lambda: named() == {"postgres"}, 5, "one database")
    # Without its usual database it goes through another.
    collector.set({"pganalytics.database": "not there", "pganalytics.exclude_databases": "postgres"})
    wait_until(lambda: named() == {"app one", "app_two"}, 5, "two databases")
    assert ("pg_stats", "databases", None) in collected(collector)


# --- limits


def test_no_free_worker_is_survived(world: World) -> None:
    settings = {"max_worker_processes": 1, "max_logical_replication_workers": 0}
    server = world.server("collector", SETTINGS | settings)
    server.execute("create extension pganalytics")
    ship(server)
    wait_until(lambda: figure(server, "visitors", "no_worker_slot") >= 3, 15, "three visits refused")
    assert "max_worker_processes" in status(server)["visitors", "no_worker_slot"]["note"]
    assert server.log().count("no free background worker") == 1
    assert not [key for key in collected(server) if key[2]]
    server.set({"max_worker_processes": 8})
    server.restart()
    ship(server)
    assert ("pg_stats", "tables", "postgres") in collected(server)


def test_locked_table_is_read_like_any_other(collector: Server) -> None:
    collector.execute("create table locked (x int primary key)")
    before = collected(collector)["pg_stats", "tables", "postgres"]["rows"]
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table locked in access exclusive mode")
        rows = collected(collector)
        assert rows["pg_stats", "tables", "postgres"]["rows"] == before
        assert not any(row["error"] for row in rows.values())


def test_locked_catalog_costs_its_rowset_only(collector: Server) -> None:
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table pg_catalog.pg_inherits in access exclusive mode")
        began = time.monotonic()
        rows = collected(collector)
        assert time.monotonic() - began < 5
    assert "lock timeout" in rows["pg_stats", "relations", "postgres"]["error"]
    others = [row for key, row in rows.items() if key[1] != "relations"]
    assert len(others) > 5
    assert not any(row["error"] for row in others)


def test_visit_ends_in_time_whatever_blocks(collector: Server) -> None:
    collector.set({"pganalytics.lock_timeout": "1s", "pganalytics.visit_timeout": "300ms"})
    wait_cycles(collector, 1)
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table pg_catalog.pg_inherits in access exclusive mode")
        with collector.connect("template1") as session:
            longest = 0.0
            began = time.monotonic()
            while time.monotonic() - began < 4:
                ages = session.execute(
                    "select extract(epoch from clock_timestamp() - backend_start)::float8"
                    " from pg_stat_activity where backend_type = 'pganalytics visitor'"
                ).fetchall()
                longest = max([longest] + [age for (age,) in ages])
    assert 0 < longest < 1.0
    wait_until(lambda: not any(row["error"] for row in collected(collector).values()), 10, "clean")


def test_rows_are_cut_at_max_rows(collector: Server) -> None:
    collector.set({"pganalytics.max_rows": 100})

    def cut() -> bool:
        row = collected(collector)["pg_stats", "tables", "postgres"]
        return row["rows"] == 100 and "max_rows" in (row["error"] or "")

    wait_until(cut, 5, "100 rows")


# --- settings


def test_reload_takes_effect_in_the_next_cycle(collector: Server) -> None:
    collector.set({"pganalytics.collect_interval": "10min"})
    wait_until(
        lambda: collector.value("show pganalytics.collect_interval") == "10min", 5, "the new interval"
    )
    before = cycles(collector)
    assert {key[0] for key in collected(collector)} >= {"pg_stats", "pg_replication"}
    collector.set({"pganalytics.plugins": "*, -pg_replication"})
    wait_until(
        lambda: not {"pg_replication"} & {key[0] for key in collected(collector)}, 5, "no replication"
    )
    # Only those that were asked for: the interval is in force.
    started = status(collector)["collector", "cycles"]["value"]
    assert int(started) - before >= 2
    collector.set({"pganalytics.collect_interval": "1s"})
    wait_cycles(collector, 2, 5)


def test_wrong_settings_do_not_stop_the_server(world: World) -> None:
    wrong = {
        "pganalytics.collect_interval": "7 parsecs",
        "pganalytics.hub_url": "http://plain",
        "pganalytics.ca_file": "relative.pem",
        "pganalytics.databases": '"unclosed',
        "pganalytics.plugins": "a;b",
        "pganalytics.hub_listen_addresses": "not an address",
        "pganalytics.sample_interval": "50ms",
        "pganalytics.max_rows": -1,
        "pganalytics.state_directory": "relative",
        "pganalytics.no_such_setting": "1",
    }
    server = world.server("collector", SETTINGS | wrong)
    server.execute("create extension pganalytics")
    assert server.value("show pganalytics.hub_url") == ""
    assert server.value("show pganalytics.databases") == "*"
    assert server.value("show pganalytics.max_rows") == "200000"
    ship(server)
    assert ("pg_stats", "tables", "postgres") in collected(server)
    for name in wrong:
        assert name in server.log()


def test_role_reads_with_its_own_rights(world: World) -> None:
    server = world.server("collector", SETTINGS, start=False)
    server.start()
    server.execute("create role watcher login in role pg_monitor")
    server.execute("create extension pganalytics")
    server.execute("create database secret_business")
    server.execute("revoke connect on database secret_business from public")
    server.set({"pganalytics.role": "watcher"})
    server.restart()
    ship(server)
    rows = collected(server)
    assert not rows["pg_stats", "tables", "postgres"]["error"]
    assert not rows["pg_stats", "databases", None]["error"]
    # It may not connect there: nothing is read, and that is said once.
    assert ("pg_stats", "tables", "secret_business") not in rows
    assert "secret_business" in server.wait_log("visit to database")
    users = server.query(
        "select distinct usename from pg_stat_activity where backend_type = 'pganalytics visitor'"
    )
    assert users in ([], [("watcher",)])
    server.execute("grant connect on database secret_business to watcher")
    assert ("pg_stats", "tables", "secret_business") in collected(server)


def test_missing_role_is_told(world: World) -> None:
    server = world.server("collector", SETTINGS | {"pganalytics.role": "nobody_of_that_name"})
    server.execute("create extension pganalytics")
    ship(server)
    server.wait_log("role of pganalytics.role does not exist")
    assert not [key for key in collected(server) if key[2]]


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
