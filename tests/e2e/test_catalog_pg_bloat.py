"""pg_bloat: estimates against pgstattuple, which reads every page, and against what VACUUM FULL and
REINDEX give back."""

from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, rows_of
from collecting import whole
from harness import Server, World
from harness.installation import Installation

LOAD = """
create table packed (id int primary key, a bigint, c int, d bigint, t text);
insert into packed select i, i, i % 100, i, repeat('x', 10 + i % 20) from generate_series(1, 50000) i;
create index packed_c on packed (c);
create index packed_t on packed (t);
create index packed_cd on packed (c, d);
create table nulls (a int, b bigint, c text, e timestamptz, f int, g int, h int, i int, j int, k numeric);
insert into nulls select i, case when i % 2 = 0 then i end, case when i % 3 = 0 then 'abc' end, now(), 1, 2, 3,
    null, 4, i / 7.0 from generate_series(1, 50000) i;
create index nulls_b on nulls (b);
create index nulls_k on nulls (k);
create index nulls_expr on nulls ((c || 'def'));
create table bloated (id int primary key, t text, g int);
insert into bloated select i, repeat('y', 100), i % 1000 from generate_series(1, 50000) i;
create index bloated_g on bloated (g);
create index bloated_t on bloated (t, id);
delete from bloated where id % 5 <> 0;
create table half (id int primary key, t text);
insert into half select i, md5(i::text) from generate_series(1, 50000) i;
update half set t = t || 'x';
create table wide (id int, t text);
insert into wide select i, repeat('z', 700) from generate_series(1, 5000) i;
create table filled (id int primary key, t text) with (fillfactor = 50);
insert into filled select i, 'abcde' from generate_series(1, 50000) i;
create table toasted (id int, t text);
alter table toasted alter t set storage external;
insert into toasted select i, repeat('q', 5000) from generate_series(1, 2000) i;
create table random (id uuid primary key);
insert into random select md5(i::text)::uuid from generate_series(1, 50000) i;
create index hashed on packed using hash (c);
create table emptied as select i from generate_series(1, 10000) i;
create table never_analyzed as select i from generate_series(1, 10000) i;
create table blank (i int primary key);
"""
TABLES = ("packed", "nulls", "bloated", "half", "wide", "filled", "toasted", "random")
INDEXES = (
    "packed_pkey", "packed_c", "packed_t", "packed_cd", "nulls_b", "nulls_k", "nulls_expr", "bloated_pkey",
    "bloated_g", "bloated_t", "half_pkey", "filled_pkey", "random_pkey",
)
# Of what the relation has: that far an estimate may be off.
TOLERANCE = 0.09


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Catalog:
    return Catalog(installation.major)


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    made = module_world.server(settings={"autovacuum": "off", "pganalytics.collect_interval": "1h"})
    for statement in LOAD.split(";\n"):
        if statement.strip():
            made.execute(statement)
    for table in TABLES:
        made.execute(f"vacuum analyze {table}")
    made.execute("analyze emptied; delete from emptied where i < 10000; analyze emptied; analyze blank")
    made.execute("create role watcher login in role pg_monitor")
    return made


def estimates(session: "psycopg.Connection[Any]", catalog: Catalog) -> tuple[dict[str, Row], dict[str, Row]]:
    tables = catalog.keyed(session, "pg_bloat.tables").values()
    indexes = catalog.keyed(session, "pg_bloat.indexes").values()
    ours = {row["relname"]: row for row in tables if row["schemaname"] == "public"}
    return ours, {row["indexrelname"]: row for row in indexes if row["schemaname"] == "public"}


def part(row: Row) -> float:
    return row["estimated_bloat_bytes"] / 8192 / row["relpages"]


def test_estimates_against_pgstattuple(catalog: Catalog, server: Server) -> None:
    if not server.query("select from pg_available_extensions where name = 'pgstattuple'"):
        pytest.skip("this installation has no pgstattuple")
    server.execute("create extension if not exists pgstattuple")
    with server.connect() as session:
        session.execute("set search_path = pg_catalog")
        tables, indexes = estimates(session, catalog)
        for name in TABLES:
            (real,) = rows_of(session, f"select * from public.pgstattuple('public.{name}')")
            empty = (real["free_percent"] + real["dead_tuple_percent"]) / 100
            if name == "filled":
                empty = (real["free_percent"] - 50) / 100  # asked for
            assert part(tables[name]) == pytest.approx(empty, abs=TOLERANCE), name
        for name in INDEXES:
            (real,) = rows_of(session, f"select * from public.pgstatindex('public.{name}')")
            empty = 1 - real["avg_leaf_density"] / 90
            assert part(indexes[name]) == pytest.approx(empty, abs=TOLERANCE), name
    assert part(tables["bloated"]) > 0.7 and part(indexes["bloated_t"]) > 0.7
    assert 0.4 < part(tables["half"]) < 0.6 and part(tables["packed"]) < 0.02
    assert part(indexes["random_pkey"]) > 0.2


def test_estimates_against_what_is_given_back(catalog: Catalog, server: Server) -> None:
    with server.connect() as session:
        tables, indexes = estimates(session, catalog)
    server.execute("create table copies as select relname, relpages from pg_class")
    for name in TABLES:
        server.execute(f"vacuum (full, analyze) {name}")
    after = dict(server.query("select relname, pg_relation_size(oid) / 8192 from pg_class"))
    for name, row in [(n, tables[n]) for n in TABLES] + [(n, indexes[n]) for n in INDEXES]:
        given_back = (row["relpages"] - after[name]) / row["relpages"]
        assert part(row) == pytest.approx(given_back, abs=TOLERANCE), name
        assert row["estimated_pages"] == pytest.approx(after[name], rel=0.12, abs=2), name
    # And nothing is left to give back.
    with server.connect() as session:
        tables, indexes = estimates(session, catalog)
    assert all(part(tables[name]) < TOLERANCE for name in TABLES)
    assert all(part(indexes[name]) < TOLERANCE for name in INDEXES)


def test_what_is_not_known_is_null(catalog: Catalog, server: Server) -> None:
    with server.connect() as session:
        tables, indexes = estimates(session, catalog)
    assert tables["never_analyzed"]["estimated_pages"] is None
    assert tables["never_analyzed"]["estimated_bloat_bytes"] is None
    assert tables["emptied"]["estimated_pages"] == 1 and tables["emptied"]["relpages"] > 40
    assert tables["blank"]["estimated_bloat_bytes"] in (None, 0)
    assert "hashed" not in indexes and "toasted" in tables
    unprivileged = "select relpages from pg_class where relname = 'bloated'"
    with server.connect(user="watcher") as session:
        tables, indexes = estimates(session, catalog)
        assert tables["bloated"]["relpages"] == rows_of(session, unprivileged)[0]["relpages"]
        known = ("estimated_pages", "estimated_row_bytes", "estimated_bloat_bytes")
        assert not any(row[column] for row in [*tables.values(), *indexes.values()] for column in known)
    server.execute("grant select on bloated to watcher")
    with server.connect(user="watcher") as session:
        tables, indexes = estimates(session, catalog)
    assert tables["bloated"]["estimated_pages"] and indexes["bloated_t"]["estimated_pages"]
    assert tables["half"]["estimated_pages"] is None


def test_visitors_deliver_the_same(catalog: Catalog, server: Server) -> None:
    server.execute("create extension if not exists pganalytics")
    with server.connect() as session:
        tables, _ = estimates(session, catalog)
    entries = whole(server, lambda: server.value("select pganalytics_preview('pg_bloat')"))["metrics"]
    (columns,) = [e["tables"]["columns"] for e in entries if e.get("datname") == "postgres" and "tables" in e]
    found = dict(zip(columns["relname"], columns["estimated_bloat_bytes"]))
    assert {name: found[name] for name in tables} == {n: row["estimated_bloat_bytes"] for n, row in tables.items()}
