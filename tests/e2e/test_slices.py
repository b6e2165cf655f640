"""A rowset that is too dear for one visit: read in slices, turn by turn, and put together."""

from typing import Any

import pytest

from harness import Hub, World, wait_until
from harness.waiting import Deadline, stretch

SETTINGS = {"pganalytics.collect_interval": "1h", "autovacuum": "off"}
TABLES, COLUMNS = 1500, 60


@pytest.fixture(scope="module")
def wide(module_world: World) -> Hub:
    """A database with so many columns that their definitions take longer than a statement may."""
    hub = module_world.hub("wide", SETTINGS)
    hub.execute("create database wide")
    with hub.connect("wide") as session:
        columns = ", ".join(f"c_{i} int" for i in range(COLUMNS))
        for i in range(TABLES):
            session.execute(f"create table t_{i:04} ({columns})".encode())
    # Enough for a slice on a busy machine too, and never for all of it.
    limit = f"{round(100 * min(stretch(), 2))}ms"
    hub.set({"pganalytics.statement_timeout": limit})
    wait_until(lambda: hub.value("show pganalytics.statement_timeout") == limit, 5, "the setting")
    return hub


def read(hub: Hub) -> dict[str, Any]:
    rows: list[dict[str, Any]] = hub.rows(
        "select rows, error from pganalytics_collect_now()"
        " where plugin = 'pg_schema' and rowset = 'columns' and datname = 'wide'"
    )
    assert len(rows) == 1
    return rows[0]


def read_round(hub: Hub) -> list[dict[str, Any]]:
    """Cycles until all slices are together."""
    told = []
    end = Deadline(100)
    while end.left() > 0:
        told.append(read(hub))
        if told[-1]["error"] is None or "left out" in told[-1]["error"]:
            return told
    raise AssertionError(f"no end: {told}")


def stored(hub: Hub) -> int:
    if hub.value("select to_regclass('pganalytics.pg_schema_columns') is null"):
        return 0
    sql = "select count(distinct (relid, attnum)) from pganalytics.pg_schema_columns where datname = 'wide'"
    return int(hub.value(sql))


def events(hub: Hub) -> list[tuple[str, str]]:
    return sorted(
        hub.query("select object, change from pganalytics.schema_changes where datname = 'wide' and kind = 'column'")
    )


@pytest.mark.time_limit(180)
def test_slices_come_together(wide: Hub) -> None:
    told = read_round(wide)
    assert "canceling statement due to" in told[0]["error"]
    slices = [row for row in told if (row["error"] or "").startswith("slice ")]
    # How many depends on the machine; the last part has no such note.
    assert slices and [row["error"].split(";")[0] for row in slices] == [f"slice {i + 1}" for i in range(len(slices))]
    assert slices[0]["rows"] % COLUMNS == 0
    assert told[-1] == {"rows": TABLES * COLUMNS, "error": None}
    wait_until(lambda: stored(wide) == TABLES * COLUMNS, 30, "all columns")


@pytest.mark.time_limit(180)
def test_a_later_round_tells_what_changed(wide: Hub) -> None:
    with wide.connect("wide") as session:
        session.execute("alter table t_0000 drop column c_7")
        session.execute("alter table t_0030 alter column c_9 set not null")
        session.execute("drop table t_1499")
    told = read_round(wide)
    assert told[-1] == {"rows": (TABLES - 1) * COLUMNS - 1, "error": None} and len(told) >= 2
    expected = [("public.t_0000.c_7", "dropped"), ("public.t_0030.c_9", "changed")]
    expected += [(f"public.t_1499.c_{i}", "dropped") for i in range(COLUMNS)]
    wait_until(lambda: events(wide) == sorted(expected), 30, "what changed")


@pytest.mark.time_limit(180)
def test_no_more_rows_than_max_rows(wide: Hub) -> None:
    limit = 20000
    # Time enough to count the rest, which is one question; what is read in slices stays so for a round.
    wide.set({"pganalytics.max_rows": limit, "pganalytics.statement_timeout": "1s"})
    wait_until(lambda: wide.value("show pganalytics.max_rows") == str(limit), 5, "the setting")
    told = read_round(wide)
    left_out = (TABLES - 1) * COLUMNS - 1 - limit
    assert told[-1] == {"rows": limit, "error": f"{left_out} rows left out (pganalytics.max_rows)"}
    sql = "select rows, sums from pganalytics.pganalytics_left_out where rowset = 'pg_schema.columns' and datname = 'wide'"
    wait_until(
        lambda: wide.value("select to_regclass('pganalytics.pganalytics_left_out') is not null")
        and wide.query(sql + " order by time desc limit 1") == [(left_out, {})],
        30,
        "the count",
    )


@pytest.mark.time_limit(180)
def test_with_time_enough_it_is_read_whole_again(wide: Hub) -> None:
    wide.set({"pganalytics.max_rows": None, "pganalytics.statement_timeout": None, "pganalytics.visit_timeout": "4s"})
    wait_until(lambda: wide.value("show pganalytics.visit_timeout") == "4s", 5, "the setting")
    wide.execute("drop table " + ", ".join(f"t_{i:04}" for i in range(2, TABLES - 1)), dbname="wide")
    read_round(wide)
    # Of so few one slice does it, and then none is needed.
    assert read_round(wide) == [{"rows": 2 * COLUMNS - 1, "error": None}]
