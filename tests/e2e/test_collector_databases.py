"""The collector beside DDL on databases, locks, limits and settings: nobody waits for it, and what it
may not or cannot read costs that and no more."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

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
    whole,
    worker_pid,
)
from harness import Server, World, wait_until


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
        while time.monotonic() - began < 8 or rounds < 5:
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

    def named() -> set[str]:
        return {key[2] for key in whole(collector, lambda: collected(collector)) if key[2]}

    assert named() == {"postgres", "app one", "app_two"}
    collector.set({"pganalytics.databases": '"app o*", app_t??', "pganalytics.exclude_databases": ""})
    wait_until(lambda: named() == {"app one", "app_two"}, 5, "two databases")
    # What belongs to the cluster is read all the same.
    assert ("pg_stats", "databases", None) in whole(collector, lambda: collected(collector))
    collector.set({"pganalytics.databases": "*", "pganalytics.exclude_databases": "app*"})
    wait_until(lambda: named() == {"postgres"}, 5, "one database")
    # Without its usual database it goes through another.
    collector.set({"pganalytics.database": "not there", "pganalytics.exclude_databases": "postgres"})
    wait_until(lambda: named() == {"app one", "app_two"}, 5, "two databases")
    assert ("pg_stats", "databases", None) in whole(collector, lambda: collected(collector))


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
    assert ("pg_stats", "tables", "postgres") in whole(server, lambda: collected(server))


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
        # Which nothing but one rowset reads.
        holder.execute("lock table pg_catalog.pg_sequence in access exclusive mode")
        began = time.monotonic()
        rows = collected(collector)
        assert time.monotonic() - began < 5
    assert "lock timeout" in rows["pg_stats", "sequences", "postgres"]["error"]
    others = [row for key, row in rows.items() if key[1] != "sequences"]
    assert len(others) > 5
    assert not any(row["error"] for row in others)


def test_locked_list_of_databases_stops_nothing(collector: Server) -> None:
    """VACUUM FULL of pg_database takes such a lock; a collector that waited for it would serve nobody
    and hold back every other vacuum."""
    wait_cycles(collector, 1)
    activity = (
        "select wait_event_type = 'Lock', backend_xmin is not null from pg_stat_get_activity(null)"
        " where pid = %s"
    )
    worker = worker_pid(collector, "pganalytics collector")
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table pg_catalog.pg_database in access exclusive mode")
        stuck = 0

        def counted() -> int:
            sql = "select value::int from pganalytics_status() where component = 'collector' and name = 'cycles'"
            return int(holder.execute(sql).fetchall()[0][0])

        def goes_on() -> bool:
            nonlocal stuck
            ((locked, holds_back),) = holder.execute(activity, (worker,)).fetchall()
            assert not holds_back
            stuck = stuck + 1 if locked else 0
            assert stuck < 200, "it waits longer than its lock_timeout"
            return counted() >= before + 3

        before = counted()
        wait_until(goes_on, 20, "three cycles beside the lock", every=0.01)
    assert "could not read the list of databases" in log(collector)
    wait_until(lambda: not any(row["error"] for row in collected(collector).values()), 20, "clean")


def test_visit_ends_in_time_whatever_blocks(collector: Server) -> None:
    collector.set({"pganalytics.lock_timeout": "1s", "pganalytics.visit_timeout": "300ms"})
    wait_cycles(collector, 1)
    # Connected before: the first session of a database reads that table, too.
    with collector.connect("template1") as session, collector.connect() as holder, holder.transaction():
        # Which each visit to pganalytics.database reads.
        holder.execute("lock table pg_catalog.pg_tablespace in access exclusive mode")
        longest = 0.0
        blocked = 0
        began = time.monotonic()
        while time.monotonic() - began < 4:
            seen = session.execute(
                "select extract(epoch from clock_timestamp() - backend_start)::float8, wait_event_type"
                " from pg_stat_activity where backend_type = 'pganalytics visitor'"
            ).fetchall()
            longest = max([longest] + [age for age, _ in seen])
            blocked += sum(waits == "Lock" for _, waits in seen)
    assert blocked > 0 and 0.2 < longest < 1.0
    wait_until(lambda: not any(row["error"] for row in collected(collector).values()), 10, "clean")


def test_reading_takes_no_transaction_id(collector: Server) -> None:
    collector.set({"autovacuum": "off"})
    workers = "select count(*) from pg_stat_activity where backend_type = 'autovacuum worker'"
    wait_until(lambda: collector.value(workers) == 0, 20, "nobody else takes one")
    next_one = "select pg_snapshot_xmax(pg_current_snapshot())::text"
    before = collector.value(next_one)
    collected(collector)
    wait_cycles(collector, 2)
    assert collector.value(next_one) == before


def test_nothing_is_held_while_rows_wait(collector: Server) -> None:
    """A visitor whose rows nobody takes has committed: no transaction, no snapshot, no lock is behind them."""
    with collector.connect() as session:
        session.execute("create database many")
    with collector.connect("many") as session:
        session.execute("do $$ begin for i in 1..1500 loop execute format('create table t%s (x int)', i); end loop; end $$")
    worker = worker_pid(collector, "pganalytics collector")
    with collector.connect() as session:

        def held() -> Any:
            """Of a visitor that waits to send: its transaction's start, its snapshot, its locks."""
            pid = worker_pid(collector, "pganalytics visitor", 20)
            os.kill(worker, signal.SIGSTOP)
            try:
                # Stopped for less than a visit may take; then the queue is full, or that visit had little to say.
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    found = session.execute(
                        "select wait_event_type, xact_start, backend_xmin,"
                        " (select count(*) from pg_locks l where l.pid = a.pid and locktype <> 'virtualxid')"
                        " from pg_stat_activity a where a.pid = %s",
                        (pid,),
                    ).fetchone()
                    if found is None or found[0] == "Extension":
                        return found
            finally:
                os.kill(worker, signal.SIGCONT)
            return None

        stop = threading.Event()
        # Each call reads everything in every database.
        visitor = repeat(stop, lambda: collected(collector))
        try:
            found = wait_until(held, 40, "a visitor waits with its rows")
        finally:
            stop.set()
            visitor.join()
    assert found[1:] == (None, None, 0), f"held while sending: {found}"


def test_statement_timeout_ends_one_reading(collector: Server) -> None:
    """Long before the visit's end, and before its lock_timeout."""
    collector.set(
        {"pganalytics.statement_timeout": "300ms", "pganalytics.lock_timeout": "1s", "pganalytics.visit_timeout": "4s"}
    )
    with collector.connect() as holder, holder.transaction():
        holder.execute("lock table pg_catalog.pg_sequence in access exclusive mode")

        def ended() -> bool:
            error = collected(collector)["pg_stats", "sequences", "postgres"]["error"]
            return "statement timeout" in (error or "")

        wait_until(ended, 20, "the reading of sequences is ended")


def test_rows_are_cut_at_max_rows(collector: Server) -> None:
    collector.set({"pganalytics.max_rows": 100})

    def cut() -> bool:
        row = collected(collector)["pg_stats", "tables", "postgres"]
        return row["rows"] == 100 and "max_rows" in (row["error"] or "")

    wait_until(cut, 5, "100 rows")


# --- settings


def test_reload_takes_effect_in_the_next_cycle(collector: Server) -> None:
    before_limit = figure(collector, "queue", "limit")
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
    # The program is told as well.
    collector.set({"pganalytics.spool_limit": "17MB"})
    wait_until(lambda: figure(collector, "queue", "limit") != before_limit, 5, "the program's new limit")
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
    assert ("pg_stats", "tables", "postgres") in whole(server, lambda: collected(server))
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
    rows = whole(server, lambda: collected(server))
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
    assert ("pg_stats", "tables", "secret_business") in whole(server, lambda: collected(server))


def test_missing_role_is_told(world: World) -> None:
    server = world.server("collector", SETTINGS | {"pganalytics.role": "nobody_of_that_name"})
    server.execute("create extension pganalytics")
    ship(server)
    server.wait_log("role of pganalytics.role does not exist")
    assert not [key for key in collected(server) if key[2]]
