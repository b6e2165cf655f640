"""Texts of statements and pg_stat_statements on their way through visitors: what is taken out of texts, and where
the extension is looked for."""

import threading
from typing import Any

import psycopg
import pytest

from collecting import collected, cycles, figure, wait_cycles
from harness import Server, World, wait_until
from test_collector_values import preview, rows_of

SETTINGS = {
    "shared_preload_libraries": "pganalytics,pg_stat_statements",
    "pganalytics.collect_interval": "1s",
}


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    made = module_world.server("statements", SETTINGS)
    made.execute("create extension pganalytics")
    made.execute("create database holder")
    made.execute("create database other")
    wait_cycles(made, 1)
    return made


def of(server: Server, rowset: str) -> list[dict[str, Any]]:
    plugin, name = rowset.split(".")
    return rows_of(preview(server, plugin), plugin, name)


def test_constants_of_running_statements_stay_here(server: Server) -> None:
    server.execute("create table t (id int, x text); insert into t values (1, '')")
    with server.connect() as root, server.connect() as blocked:
        root.execute("begin")
        root.execute("update t set x = 'secret' where id = 1 -- secret")
        pid = blocked.info.backend_pid

        def update() -> None:
            with pytest.raises(psycopg.errors.QueryCanceled):
                blocked.execute("update t set x = $$secret$$ where id = 1")

        thread = threading.Thread(target=update)
        thread.start()
        try:
            waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
            wait_until(lambda: server.value(waiting) == 1, 10, "it waits")
            found = {row["pid"]: row for row in of(server, "pg_locks.blocking")}
            assert found[pid]["query"] == "update t set x = ? where id = ?"
            (other,) = [row for row in found.values() if row["pid"] != pid]
            assert other["query"] == "update t set x = ? where id = ?"
            assert found[pid]["blocked_by"] == found[pid]["roots"] == [other["pid"]]
            server.set({"pganalytics.query_text": "none"})
            wait_until(
                lambda: [row["query"] for row in of(server, "pg_locks.blocking")] == [None, None],
                10,
                "texts are left out",
            )
        finally:
            server.set({"pganalytics.query_text": None})
            blocked.cancel()
            thread.join(20)


def test_pg_stat_statements_is_found_where_it_is(server: Server) -> None:
    assert of(server, "pg_query_stats.statements") == []
    server.execute('create schema "St at"', dbname="holder")
    server.execute('create extension pg_stat_statements schema "St at"', dbname="holder")
    # Looks like it, and is not.
    server.execute("create function pg_stat_statements(bool) returns int language sql as 'select 1/0'", dbname="other")
    server.execute("create role tmp_role password 'secret'")
    server.execute("drop role tmp_role")
    expected = server.query(
        'select dbid::int8, userid::int8, queryid, calls from "St at".pg_stat_statements'
        " where query like 'create function%' or query like '%create role%'",
        dbname="holder",
    )
    assert len(expected) == 2
    statements = of(server, "pg_query_stats.statements")
    keys = {(row["dbid"], row["userid"], row["queryid"], row["calls"]) for row in statements}
    assert keys >= set(expected)
    assert not any(row["calls"] and "visitor" in str(row) for row in statements)
    (info,) = of(server, "pg_query_stats.info")
    assert info["datname"] == "holder" and info["entries"] >= len(statements) - 3
    texts = of(server, "pg_query_stats.texts")
    assert [row["query"] for row in texts if "tmp_role" in row["query"] and "create" in row["query"]] == [
        "create role tmp_role password ?"
    ]
    assert "secret" not in repr(texts)
    # Dropped here and made there, it is followed.
    server.execute("drop extension pg_stat_statements", dbname="holder")
    server.execute("drop function pg_stat_statements(bool)", dbname="other")
    server.execute("create extension pg_stat_statements", dbname="other")
    wait_until(
        lambda: [row["datname"] for row in of(server, "pg_query_stats.info")] == ["other"], 20, "it is followed"
    )


def visits(server: Server, more: int) -> float:
    """Visits of so many cycles, a cycle."""
    before = cycles(server), figure(server, "visitors", "visits")
    wait_cycles(server, more, 10 * more)
    return (figure(server, "visitors", "visits") - before[1]) / (cycles(server) - before[0])


def test_the_servers_figures_come_along_with_a_visit_for_statements(world: World) -> None:
    """One visit a cycle; and where that is refused, the main database has them from the next cycle on (the unit test
    SeatPlanTest: in the same)."""
    hub = world.hub(
        "hub",
        settings=SETTINGS | {"pganalytics.plugins": "pg_activity,pg_query_stats", "pganalytics.role": "watcher"},
    )
    hub.execute("create role watcher login in role pg_monitor")
    hub.execute("create database holder")
    hub.execute("create extension pg_stat_statements", dbname="holder")
    whole = [row for row in collected(hub) if row[0] == "pg_activity"]
    assert len(whole) > 5

    wait_until(lambda: visits(hub, 3) == 1, 60, "one visit a cycle")
    hub.execute("revoke connect on database holder from public")
    refused = figure(hub, "visitors", "visits_failed")
    wait_until(lambda: figure(hub, "visitors", "visits_failed") > refused + 2, 60, "visits are refused")
    before = cycles(hub), figure(hub, "collector", "rowsets_read")
    wait_cycles(hub, 6, 60)
    read = figure(hub, "collector", "rowsets_read") - before[1]
    # The last one has begun and may not have read yet.
    assert read >= len(whole) * (cycles(hub) - before[0] - 2), read
    hub.execute("grant connect on database holder to public")
    wait_until(lambda: visits(hub, 3) == 1, 60, "one visit a cycle again")


def test_definitions_of_own_rowsets_are_looked_for_where_they_may_have_changed(world: World) -> None:
    plugins = "pg_stats,pg_activity,pg_query_stats,own"
    server = world.server("watched", settings=SETTINGS | {"pganalytics.plugins": plugins})
    if not 15 <= server.major <= 18:
        pytest.skip("a pass over shared statistics tells of changes on PostgreSQL 15 to 18; elsewhere each cycle looks")
    server.execute("create database holder")
    server.execute("create extension pg_stat_statements", dbname="holder")
    server.execute("create extension pganalytics")
    server.restart()
    wait_until(lambda: visits(server, 3) == 1, 60, "nobody called their functions since the start")
    server.execute("select pganalytics_add_rowset('mine', 'select 1 as one', '1 min', 'cluster', '{\"one\": \"gauge\"}')")
    wait_until(lambda: visits(server, 3) == 2, 60, "a call brings a visit to each cycle")
