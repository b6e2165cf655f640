"""What a visitor does not ask for because the server's memory shows that there is nothing to tell: each of these
states is provoked for real, and told; and statements read without a query are those the query reads."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog
from harness import Server, World, wait_until
from harness.installation import Installation
from test_catalog_pg_activity import NAP, PROGRESS, pid, running
from test_collector_values import preview, rows_of

SETTINGS = {
    "shared_preload_libraries": "pganalytics,pg_stat_statements",
    "pganalytics.collect_interval": "1h",
    "autovacuum": "off",
    "wal_level": "logical",
    "max_prepared_transactions": 5,
    "deadlock_timeout": "60s",
}
ROWSETS = (
    *(f"pg_activity.progress_{name}" for name in (*PROGRESS, "basebackup")),
    "pg_activity.old_sessions",
    "pg_activity.prepared_transactions",
    "pg_locks.blocking",
    "pg_replication.senders",
    "pg_replication.slots",
    "pg_replication.subscriptions",
    "pg_replication.subscription_workers",
)


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    made = module_world.server("presence", SETTINGS)
    made.execute("create extension pganalytics; create table t (id int primary key, x int)")
    made.execute("insert into t select i, i from generate_series(1, 9) i")
    made.execute(NAP)
    made.execute("create database other")
    return made


def told(server: Server, rowset: str) -> list[dict[str, Any]]:
    plugin, name = rowset.split(".")
    return rows_of(preview(server, plugin), plugin, name)


def shows(server: Server, rowset: str, test: Callable[[dict[str, Any]], Any]) -> None:
    wait_until(lambda: any(test(row) for row in told(server, rowset)), 40, f"{rowset} tells of it")


def shows_nothing(server: Server, *rowsets: str) -> None:
    def nothing() -> bool:
        plugins = {rowset.partition(".")[0] for rowset in rowsets}
        found = {plugin: preview(server, plugin) for plugin in plugins}
        return not any(rows_of(found[p], p, n) for p, _, n in (one.partition(".") for one in rowsets))

    wait_until(nothing, 40, "nothing is told")


def known(server: Server) -> list[str]:
    return [name for name in ROWSETS if server.major >= 14 or name != "pg_activity.progress_copy"]


@pytest.mark.parametrize("name", PROGRESS)
def test_progress_is_told(server: Server, name: str) -> None:
    rowset, table = f"pg_activity.progress_{name}", f"progress_{name}"
    if rowset not in known(server):
        return
    server.execute(f"create table {table} (x int); create index on {table} (nap(x))")
    server.execute(f"insert into {table} select generate_series(1, 60000)")
    shows_nothing(server, rowset)
    with server.connect() as worker:
        worker.execute("set nap.wanted = 'on'; set vacuum_cost_delay = 100; set vacuum_cost_limit = 1")
        sql = PROGRESS[name].format(table=table)
        view = f"select pid from pg_stat_progress_{name}"
        with running(worker, sql, lambda: server.query(view) == [(pid(worker),)], f"{name} in progress"):
            shows(server, rowset, lambda row: row["pid"] == pid(worker))
    shows_nothing(server, rowset)


def test_base_backups_and_senders_are_told(server: Server) -> None:
    rowsets = ("pg_activity.progress_basebackup", "pg_replication.senders")
    shows_nothing(server, *rowsets)
    sender = psycopg.pq.PGconn.connect((server.conninfo() + " replication=true").encode())
    try:
        slow = b"BASE_BACKUP (MAX_RATE 32, CHECKPOINT 'fast')" if server.major >= 15 else b"BASE_BACKUP MAX_RATE 32 FAST"
        sender.send_query(slow)
        for rowset in rowsets:
            shows(server, rowset, lambda row: row["pid"] == sender.backend_pid)
    finally:
        sender.finish()
    shows_nothing(server, *rowsets)


def test_sessions_that_wait_and_hold_are_told(server: Server) -> None:
    rowsets = ("pg_activity.old_sessions", "pg_locks.blocking")
    shows_nothing(server, *rowsets)
    with ExitStack() as stack:
        idle, root, blocked = (stack.enter_context(server.connect()) for _ in range(3))
        idle.execute("begin; select pg_current_xact_id()")
        root.execute("begin; update t set x = 0 where id = 1")
        waiting = f"select wait_event_type from pg_stat_activity where pid = {pid(blocked)}"
        stack.enter_context(
            running(blocked, "update t set x = 1 where id = 1", lambda: server.value(waiting) == "Lock", "it waits")
        )
        shows(server, "pg_locks.blocking", lambda row: row["pid"] == pid(blocked))
        for session in (idle, root, blocked):
            shows(server, "pg_activity.old_sessions", lambda row, who=pid(session): row["pid"] == who)
    shows_nothing(server, *rowsets)


def test_a_long_statement_is_told(server: Server) -> None:
    active = "select state from pg_stat_activity where pid = "
    with server.connect() as session:
        asleep = lambda: server.value(f"{active}{pid(session)}") == "active"  # noqa: E731
        with running(session, "select pg_sleep(120)", asleep, "it runs"):
            shows(server, "pg_activity.old_sessions", lambda row: row["pid"] == pid(session))


def test_what_is_prepared_is_told(server: Server) -> None:
    shows_nothing(server, "pg_activity.prepared_transactions")
    with server.connect() as session:
        session.execute("begin; update t set x = 0 where id = 2; prepare transaction 'there'")
    shows(server, "pg_activity.prepared_transactions", lambda row: row["gid"] == "there")
    shows(server, "pg_activity.horizon", lambda row: row["name"] == "there")
    server.execute("rollback prepared 'there'")
    shows_nothing(server, "pg_activity.prepared_transactions")


def test_slots_and_subscriptions_are_told(server: Server) -> None:
    rowsets = [name for name in ROWSETS if name.startswith("pg_replication.")]
    shows_nothing(server, *rowsets)
    server.execute("create publication p for table t")
    server.execute("select pg_create_logical_replication_slot('s', 'pgoutput')")
    shows(server, "pg_replication.slots", lambda row: row["slot_name"] == "s")
    shows(server, "pg_activity.horizon", lambda row: row["holder"] == "slot, catalogs" and row["name"] == "s")
    server.execute("create table t (id int primary key, x int)", dbname="other")
    with server.connect("other") as session:
        publisher = server.conninfo().replace("'", "''")
        session.execute(
            f"create subscription s connection '{publisher}' publication p"
            " with (create_slot = false, slot_name = 's')".encode()
        )
    for rowset in ("pg_replication.subscriptions", "pg_replication.subscription_workers"):
        shows(server, rowset, lambda row: row["subid"])
    shows(server, "pg_replication.senders", lambda row: row["pid"])
    server.execute("alter subscription s disable", dbname="other")
    server.execute("alter subscription s set (slot_name = none)", dbname="other")
    server.execute("drop subscription s", dbname="other")
    wait_until(lambda: not server.query("select from pg_stat_replication"), 20, "the sender ends")
    server.execute("select pg_drop_replication_slot('s')")
    shows_nothing(server, *rowsets)


def test_a_receiver_is_told(module_world: World, server: Server) -> None:
    assert told(server, "pg_replication.receiver") == []
    standby = module_world.standby(server, "beside")
    try:
        shows(standby, "pg_replication.receiver", lambda row: row["status"] == "streaming")
        shows(server, "pg_replication.senders", lambda row: row["application_name"] == "beside")
    finally:
        standby.stop()


def test_who_holds_the_horizon_is_told(world: World) -> None:
    """In scheduled cycles: who asks for one holds it himself."""
    quiet = {"shared_preload_libraries": "pganalytics", "autovacuum": "off", "pganalytics.collect_interval": "1s"}
    hub, server = world.hub("hub"), world.server("holder", quiet)
    server.execute("create extension pganalytics; create table t (x int); insert into t values (1)")
    server.value("select pganalytics_register(%s, %s)", (hub.console_url, hub.create_token(server.name)))
    table = "pganalytics.pg_activity_horizon"

    def told_of(session: "psycopg.Connection[Any]") -> Any:
        there = hub.value("select to_regclass(%s)", (table,))  # made with the first row
        return there and hub.query(f"select from {table} where pid = %s", (pid(session),))

    with server.connect() as writer, server.connect() as reader:
        writer.execute("begin; select pg_current_xact_id()")
        wait_until(lambda: told_of(writer), 40, "a transaction that writes is told")
        writer.execute("rollback")
        reader.execute("begin isolation level repeatable read; select from t")
        wait_until(lambda: told_of(reader), 40, "a snapshot is told")


# --- statements


def statements(server: Server, database: int) -> dict[int, dict[str, Any]]:
    rows = told(server, "pg_query_stats.statements")
    return {row["queryid"]: row for row in rows if row["dbid"] == database}


def test_statements_are_those_of_the_query(installation: Installation, server: Server) -> None:
    """Of a database that nobody uses meanwhile; the setting makes it a query that ranks them."""
    server.execute("create extension pg_stat_statements")
    server.execute('create role "Röle" superuser login')
    server.execute('create database "Däta"')
    database = server.value("select oid::int8 from pg_database where datname = 'Däta'")
    with server.connect("Däta", user="Röle") as session:
        session.execute("create table t (x int); insert into t select generate_series(1, 1000)")
        session.execute("do $$ begin perform count(*) from t; end $$")
        session.execute("vacuum t")
        for i in range(30):
            session.execute(f"select {', '.join(['x'] * (i + 1))} from t where x < %s", (i,), prepare=False)
    wait_until(lambda: not server.query("select from pg_stat_activity where datname = 'Däta'"), 20, "it is left")
    by_call = statements(server, database)
    server.set({"pganalytics.max_rows": 5000})
    wait_until(lambda: server.value("show pganalytics.max_rows") == "5000", 20, "the setting is there")
    by_query = statements(server, database)
    server.set({"pganalytics.max_rows": None})
    assert len(by_call) >= 33
    assert by_call == by_query
    assert {row["datname"] for row in by_call.values()} == {"Däta"}
    assert {row["rolname"] for row in by_call.values()} == {"Röle"}
    assert any(row["wal_bytes"] for row in by_call.values()) and any(row["rows"] == 1000 for row in by_call.values())
    assert set(next(iter(by_call.values()))) == set(Catalog(installation.major).columns("pg_query_stats.statements"))


def test_names_that_are_gone_are_null(server: Server) -> None:
    server.execute("create extension if not exists pg_stat_statements; create role passing superuser login")
    server.execute("create database passing")
    database = server.value("select oid::int8 from pg_database where datname = 'passing'")
    with server.connect("passing", user="passing") as session:
        session.execute("select 'passed'")
    server.execute("drop database passing")
    server.execute("drop role passing")
    rows = [row for row in told(server, "pg_query_stats.statements") if row["dbid"] == database]
    assert rows and all(row["datname"] is None and row["rolname"] is None for row in rows)
