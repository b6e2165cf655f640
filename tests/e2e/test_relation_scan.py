"""Relations, tables and indexes as a visitor delivers them, held against the catalog's own queries.

From 15 on a visitor reads these three rowsets without a query; whoever reads them must not see the
difference. (On older majors both sides are the query.)
"""

import datetime
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, ever_filled
from collecting import whole
from harness import Server, World, wait_until
from harness.installation import Installation
from test_catalog_sql import ACTIVITY, LOAD

SETTINGS = {
    "autovacuum": "off",
    "track_io_timing": "on",
    "pganalytics.collect_interval": "1h",
    "max_prepared_transactions": 2,
}
# What an attribute of a relation can be beside those of the other tests.
SHAPES = r"""
create index options on plain (txt) with (fillfactor = 70, deduplicate_items = off);
alter table plain set (toast.autovacuum_enabled = off);
create table mixed_parts (x int, primary key (x)) partition by list (x);
create unlogged table unlogged_part partition of mixed_parts for values in (1);
create table parts_of_parts partition of parted for values from ('2026-03-01') to ('2026-04-01')
    partition by range (id);
create table part_of_part partition of parts_of_parts for values from (1) to (10);
create index on only parted (id);
create access method other_heap type table handler heap_tableam_handler;
create table other_method (x int) using other_heap;
create table no_columns ();
create role somebody; alter table no_columns owner to somebody;
update pg_index set indisready = false, indislive = false where indexrelid = 'invalid_index'::regclass;
"""
# What reading the catalogs changes in the figures of the catalogs.
OF_USERS = "(select oid from pg_class where relnamespace not in (11, 99))"
# Figures that only versions after 13 or a running autovacuum fill are not among them.
FILLED = {
    "pg_stats.tables": {
        "relid", "schemaname", "relname", "seq_scan", "seq_tup_read", "tuples_fetched", "n_tup_ins",
        "n_tup_upd", "n_tup_del", "n_tup_hot_upd", "n_live_tup", "n_dead_tup",
        "n_mod_since_analyze", "last_vacuum", "last_analyze", "vacuum_count", "analyze_count",
        "heap_blks_fetched", "heap_blks_hit",
    },
    "pg_stats.indexes": {
        "indexrelid", "relid", "schemaname", "indexrelname", "idx_scan", "idx_tup_read",
        "idx_tup_fetch", "idx_blks_fetched", "idx_blks_hit",
    },
    "pg_stats.relations": {
        "relid", "schemaname", "relname", "relkind", "relpersistence", "relisshared", "relowner",
        "amname", "reltablespace", "relfilenode", "relpages", "reltuples", "relallvisible",
        "relfrozenxid", "relminmxid", "reltoastrelid", "relispartition", "inhparent",
        "relispopulated", "reloptions", "indrelid", "indisunique", "indisprimary", "indisexclusion",
        "indisvalid", "indisready", "indislive",
    },
}
# Both of these change no more after the load.
STILL = ("pg_stats.relations",)


@pytest.fixture(scope="module")
def loaded(module_world: World) -> Server:
    server = module_world.server(settings=SETTINGS)
    server.execute("create extension pganalytics")
    with server.connect() as session:
        for statement in (LOAD + ACTIVITY + SHAPES).split(";"):
            if statement.strip():
                session.execute(statement.encode())
        if server.major >= 15:
            session.execute("select pg_stat_force_next_flush()")
    # Not committed: no row of it may be delivered.
    with server.connect() as session:
        session.execute("begin; create table not_there_yet (x int primary key); prepare transaction 'p'")
    return server


@pytest.fixture
def temporary(loaded: Server) -> Iterator[None]:
    """Relations of a session that nobody else is told of."""
    with loaded.connect() as session:
        session.execute("create temp table passing (x int primary key, t text)")
        yield


def delivered(server: Server, rowset: str) -> dict[int, Row]:
    """Rows of the database "postgres" by their OID."""
    plugin, name = rowset.split(".")
    rows: list[Row] = []
    for entry in server.value("select pganalytics_preview(%s)", (plugin,))["metrics"]:
        if entry.get("datname") == "postgres" and name in entry:
            columns = entry[name]["columns"]
            rows += [dict(zip(columns, values)) for values in zip(*columns.values())]
    keyed = {row["indexrelid" if name == "indexes" else "relid"]: row for row in rows}
    assert len(keyed) == len(rows)
    return keyed


def asked(server: Server, catalog: Catalog, rowset: str) -> tuple[dict[int, Row], set[int]]:
    """The same by the catalog's query, and which of them reading does not change."""
    with server.connect() as session:
        session.execute("set search_path = pg_catalog")
        rows = catalog.keyed(session, rowset)
        users = {oid for (oid,) in session.execute(f"select * from {OF_USERS} o".encode())}
    if rowset in STILL:
        users = set(rows)
    return {key: {name: as_sent(value) for name, value in row.items()} for key, row in rows.items()}, users


def as_sent(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        digits = "milliseconds" if value.microsecond % 1000 == 0 else "microseconds"
        return value.astimezone(datetime.timezone.utc).isoformat(timespec=digits)[:-6] + "Z"
    return value


@pytest.mark.parametrize("rowset", FILLED)
def test_rows_are_those_of_the_query(
    installation: Installation, loaded: Server, temporary: None, rowset: str
) -> None:
    catalog = Catalog(installation.major)

    def agree() -> bool:
        """Statistics reach shared memory a moment after the work."""
        expected, users = asked(loaded, catalog, rowset)
        ours = delivered(loaded, rowset)
        assert set(ours) == set(expected)
        for oid in set(expected) & users:
            assert ours[oid] == expected[oid], expected[oid]
        for oid in set(expected) - users:
            labels = [name for name in expected[oid] if name.endswith(("id", "name"))]
            assert [ours[oid][name] for name in labels] == [expected[oid][name] for name in labels]
        filled = ever_filled([ours[oid] for oid in users & set(ours)], list(FILLED[rowset]))
        assert filled == FILLED[rowset], FILLED[rowset] - filled
        return True

    assert wait_until(agree, 20, "both readings agree")


def test_shared_relations_have_their_figures_in_every_database(loaded: Server) -> None:
    """They are counted once for all databases."""
    loaded.execute("create database other")
    wait_until(
        lambda: delivered(loaded, "pg_stats.tables")[1262]["seq_scan"]
        + delivered(loaded, "pg_stats.indexes")[2672]["idx_scan"],
        20,
        "pg_database was read",
    )


def test_no_privilege_on_the_catalog_is_an_error_like_the_query_s(loaded: Server) -> None:
    loaded.execute("create role watcher login in role pg_monitor")
    loaded.set({"pganalytics.role": "watcher"}, reload=False)
    loaded.restart()
    loaded.execute("revoke select on pg_index from public")
    try:
        errors: dict[str, set[str | None]] = {}
        for row in whole(loaded, lambda: loaded.rows("select * from pganalytics_collect_now()")):
            errors.setdefault(row["rowset"], set()).add(row["error"])
        for rowset in ("indexes", "relations"):
            assert any("permission denied for table pg_index" in (one or "") for one in errors[rowset])
        assert errors["tables"] == {None}
    finally:
        loaded.execute("grant select on pg_index to public")


def test_relations_that_come_and_go_meanwhile(loaded: Server) -> None:
    """What is dropped between two looks of the reader is no error."""
    stop = threading.Event()

    def make_and_drop() -> None:
        with loaded.connect() as session:
            while not stop.is_set():
                session.execute(
                    "create schema passing; set search_path = passing;"
                    "create table a (x int primary key, t text) partition by list (x);"
                    "create table b partition of a for values in (1); create table c (t text);"
                    "drop schema passing cascade"
                )

    thread = threading.Thread(target=make_and_drop)
    thread.start()
    try:
        for _ in range(5):
            rows = whole(loaded, lambda: loaded.rows("select * from pganalytics_collect_now()"))
            assert {row["error"] for row in rows} == {None}
            assert {"tables", "indexes", "relations"} <= {row["rowset"] for row in rows}
    finally:
        stop.set()
        thread.join()


def test_no_more_rows_than_max_rows(installation: Installation, loaded: Server) -> None:
    """One rowset that is full ends no other, although they are read in one pass."""
    catalog = Catalog(installation.major)
    counts = {name: len(asked(loaded, catalog, f"pg_stats.{name}")[0]) for name in ("tables", "indexes")}
    limit = (counts["tables"] + counts["indexes"]) // 2
    assert counts["tables"] < limit < counts["indexes"]
    loaded.set({"pganalytics.max_rows": limit})

    def cut() -> bool:
        rows: list[psycopg.rows.DictRow] = loaded.rows("select * from pganalytics_collect_now()")
        ours = [row for row in rows if row["plugin"] == "pg_stats" and row["datname"] == "postgres"]
        found = {row["rowset"]: row["rows"] for row in ours}
        expected = {"tables": counts["tables"], "indexes": limit, "relations": limit}
        return expected.items() <= found.items()

    wait_until(cut, 10, f"at most {limit} rows of each")
