"""What the collector says of itself (plugin pganalytics), held against the hub's ledger, /proc, pg_settings and the
rights there are."""

from typing import Any

import pytest

from collecting import wait_cycles
from harness import Hub, Server, World, wait_until
from test_collector_values import preview, rows_of

SETTINGS = {"pganalytics.collect_interval": "1s", "pganalytics.role": "watcher", "track_io_timing": "off"}


@pytest.fixture(scope="module")
def hub(module_world: World) -> Hub:
    return module_world.hub("hub")


@pytest.fixture(scope="module")
def server(module_world: World, hub: Hub) -> Server:
    made = module_world.server("watched", {"pganalytics.collect_interval": "1h"})
    made.execute("create extension pganalytics")
    made.execute("create role watcher login in role pg_monitor")
    made.execute("create database closed")
    made.execute("revoke connect on database closed from public")
    made.set(SETTINGS)
    made.restart()
    wait_cycles(made, 1)
    return made


def of(server: Server, rowset: str) -> list[dict[str, Any]]:
    return rows_of(preview(server, "pganalytics"), "pganalytics", rowset)


def status(server: Server) -> dict[tuple[str, str], str]:
    return {(row["component"], row["name"]): row["value"] for row in server.rows("select * from pganalytics_status()")}


def test_visibility_names_what_settings_and_rights_hide(server: Server) -> None:
    found = {(row["kind"], row["name"]): row for row in of(server, "visibility")}
    for (kind, name), row in found.items():
        if kind == "setting":
            assert row["setting"] == server.value("select current_setting(%s)", (name,))
    assert found["setting", "track_io_timing"]["visible"] is False
    assert found["setting", "track_counts"]["visible"] is True
    assert found["setting", "track_functions"]["visible"] is False
    assert found["setting", "shared_preload_libraries"]["visible"] is False
    assert found["right", "pg_monitor"]["visible"] is True
    assert found["right", "CONNECT closed"]["visible"] is False
    assert found["right", "CONNECT postgres"]["visible"] is True
    assert all(row["hides"] for row in found.values())
    # What a later major has and this one has not is no gap.
    assert ("setting", "track_cost_delay_timing") in found or server.major < 18
    server.execute("grant connect on database closed to watcher")
    server.set({"track_io_timing": "on", "track_functions": "pl"})
    wait_until(lambda: server.value("show track_functions") == "pl", 20, "the settings are read")
    found = {(row["kind"], row["name"]): row for row in of(server, "visibility")}
    assert found["setting", "track_io_timing"]["visible"] is found["setting", "track_functions"]["visible"] is True
    assert found["right", "CONNECT closed"]["visible"] is True
    server.execute("revoke pg_monitor from watcher")
    wait_until(
        lambda: any(row["name"] == "pg_monitor" and row["visible"] is False for row in of(server, "visibility")),
        20,
        "the missing right is seen",
    )
    server.execute("grant pg_monitor to watcher")


def test_own_figures_arrive_and_are_true(server: Server, hub: Hub) -> None:
    (told,) = of(server, "collector")
    assert told["snapshots_acknowledged"] == 0 and told["cycles_not_sent"] > 0  # not enrolled yet
    server.value("select pganalytics_register(%s, %s)", (hub.console_url, hub.create_token(server.name)))
    wait_until(lambda: int(status(server)["delivery", "acknowledged"]) > 3, 30, "snapshots arrive")
    server.set({"pganalytics.collect_interval": "1h"})
    wait_until(lambda: server.value("show pganalytics.collect_interval") == "1h", 20, "the setting is read")
    server.query("select * from pganalytics_push_now('60 s')")

    def still() -> bool:
        before = status(server)["delivery", "attempts"]
        return before == status(server)["delivery", "attempts"] and status(server)["queue", "snapshots"] == "0"

    wait_until(still, 20, "everything is delivered")
    (told,) = of(server, "collector")
    values = status(server)
    # Of the preview's own visits the status tells more than the cycle before it could.
    for column, name in {
        "snapshots_acknowledged": ("delivery", "acknowledged"),
        "requests": ("delivery", "attempts"),
        "bytes_json": ("delivery", "bytes_json"),
        "bytes_gzip": ("delivery", "bytes_gzip"),
        "handshakes": ("delivery", "handshakes"),
        "rows_sent": ("cycles", "rows_sent"),
        "queue_limit": ("queue", "limit"),
        "filter_rows": ("filter", "rows"),
        "program_starts": ("program", "starts"),
        "databases": ("collector", "databases"),
        "visits_failed": ("visitors", "visits_failed"),
        "cycles": ("collector", "cycles"),
    }.items():
        assert told[column] == int(values[name]), column
    pushes, rows, bytes_json, bytes_gzip = hub.query(
        "select count(*), sum(rows)::int8, sum(bytes_json)::int8, sum(bytes_received)::int8 from pganalytics.ledger"
        " join pganalytics.collectors using (collector_id) where name = %s",
        (server.name,),
    )[0]
    assert (told["snapshots_acknowledged"], told["rows_sent"], told["bytes_json"], told["bytes_gzip"]) == (
        pushes,
        rows,
        bytes_json,
        bytes_gzip,
    )
    (ship,) = server.programs()["ship"]
    (worker,) = server.workers()["pganalytics collector"]
    for pid, column in ((ship, "program_cpu_time"), (worker, "worker_cpu_time")):
        with open(f"/proc/{pid}/schedstat") as file:
            main_thread = int(file.read().split()[0]) / 1e6
        assert 0.2 * main_thread < told[column] < 1.2 * main_thread + 20, column
    with open(f"/proc/{ship}/smaps_rollup") as file:
        dirty = next(int(line.split()[1]) << 10 for line in file if line.startswith("Private_Dirty"))
    assert 0.5 < told["program_memory"] / dirty < 2
    # At the hub they are figures like all others.
    wait_until(
        lambda: hub.query(
            "select max(cycles) > 3 and max(rows_sent) > 100 and max(visitors_cpu_time) > 1 from pganalytics.pganalytics_collector"
        )
        == [(True,)],
        20,
        "the collector's figures are stored",
    )


def test_each_rowset_has_its_cost(server: Server) -> None:
    before = {row["rowset"]: row for row in of(server, "rowsets")}
    read = server.rows("select * from pganalytics_collect_now()")
    after = {row["rowset"]: row for row in of(server, "rowsets")}
    for name in ("pg_stats.tables", "pg_stats.server", "sysstat.cpu", "pg_settings.settings"):
        of_it = [row for row in read if f"{row['plugin']}.{row['rowset']}" == name]
        # The preview before asked for the plugin pganalytics only, and that of now has not counted itself.
        assert after[name]["readings"] - before[name]["readings"] == len(of_it), name
        assert after[name]["rows"] - before[name]["rows"] == sum(row["rows"] for row in of_it), name
        took = after[name]["read_time"] - before[name]["read_time"]
        assert took == pytest.approx(sum(row["ms"] for row in of_it), abs=0.01), name
        assert after[name]["cpu_time"] > 0 and after[name]["errors"] == 0 and after[name]["last_error"] is None


def test_an_error_is_counted_where_it_was(server: Server) -> None:
    with server.connect() as session:
        session.execute("begin")
        session.execute("lock pg_catalog.pg_sequence in access exclusive mode")
        read = server.rows("select * from pganalytics_collect_now()")
        assert any(row["rowset"] == "sequences" and row["error"] for row in read)
        session.execute("rollback")
    (row,) = [row for row in of(server, "rowsets") if row["rowset"] == "pg_stats.sequences"]
    assert row["errors"] == row["readings_incomplete"] == 1
    assert "lock timeout" in row["last_error"] and row["last_error_at"] is not None
