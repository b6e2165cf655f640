"""pg_stats.file_sizes: what the program reads from the file system against pg_relation_size()."""

from typing import Any

import pytest

from collecting import whole
from harness import Server, World

SETTINGS = {"pganalytics.collect_interval": "1h", "autovacuum": "off"}
FORKS = {"main_bytes": "main", "fsm_bytes": "fsm", "vm_bytes": "vm", "init_bytes": "init"}


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    made = module_world.server(settings=SETTINGS)
    made.execute("create extension pganalytics")
    folder = module_world.path("elsewhere")
    folder.mkdir()
    made.installation.own(folder)
    made.execute(f"create tablespace elsewhere location '{folder}'")
    made.execute("create database other tablespace elsewhere")
    for database in ("postgres", "other"):
        with made.connect(database) as session:
            for statement in (
                "create table large (id int primary key, t text)",
                "insert into large select i, repeat('x', 500) from generate_series(1, 20000) i",
                "delete from large where id % 3 = 0",
                "vacuum large",
                "create unlogged table unlogged_one (id int primary key)",
                "insert into unlogged_one select generate_series(1, 5000)",
                "create table \"od\"\"d\" (x int) tablespace " + ("elsewhere" if database == "postgres" else "pg_default"),
                'insert into "od""d" select generate_series(1, 1000)',
                "create sequence counter",
                "create materialized view kept as select * from large",
                "create table empty (x int)",
                "create table parted (x int) partition by range (x)",
                "create view seen as select 1",
            ):
                session.execute(statement.encode())
    made.execute("checkpoint")
    return made


def delivered(server: Server) -> dict[str, dict[int, dict[str, Any]]]:
    found: dict[str, dict[int, dict[str, Any]]] = {}
    preview = whole(server, lambda: server.value("select pganalytics_preview('pg_stats')"))
    for entry in preview["metrics"]:
        if "file_sizes" in entry:
            assert entry["file_sizes"]["complete"]
            columns = entry["file_sizes"]["columns"]
            rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
            found.setdefault(entry["datname"], {}).update({row["relid"]: row for row in rows})
    return found


def real(server: Server, database: str) -> dict[int, dict[str, Any]]:
    sizes = ", ".join(f"pg_relation_size(oid, '{fork}') as {name}" for name, fork in FORKS.items())
    rows = server.rows(
        f"select oid::bigint as relid, relname, pg_relation_filenode(oid)::bigint as relfilenode, relisshared,"
        f" regexp_replace(pg_relation_filepath(oid), '/[^/]*$', '') as folder, {sizes} from pg_class"
        " where relkind in ('r', 'i', 't', 'm', 'S') and relpersistence <> 't'",
        dbname=database,
    )
    return {row["relid"]: row for row in rows}


@pytest.mark.parametrize("database", ["postgres", "other"])
def test_every_fork_of_every_relation(server: Server, database: str) -> None:
    with server.connect(database) as session:
        session.execute("create temp table passing as select 1 as x")
        ours = delivered(server)[database]
    expected = real(server, database)
    assert set(ours) == set(expected)
    for relid, row in expected.items():
        assert {name: ours[relid][name] for name in row} == row
    by_name = {row["relname"]: row for row in ours.values()}
    assert by_name["large"]["main_bytes"] > 8 << 20 and by_name["large"]["fsm_bytes"] and by_name["large"]["vm_bytes"]
    assert by_name["unlogged_one_pkey"]["init_bytes"] == 8192
    assert by_name["empty"]["main_bytes"] == 0 and by_name['od"d']["main_bytes"]
    assert by_name["pg_class"]["main_bytes"] and by_name["pg_class"]["relfilenode"]  # a mapped one
    assert by_name["pg_database"]["folder"] == "global" and by_name["pg_database"]["main_bytes"]
    elsewhere = 'od"d' if database == "postgres" else "large"
    assert by_name[elsewhere]["folder"].startswith("pg_tblspc/")


def test_what_grows_and_moves_is_followed(server: Server) -> None:
    before = {row["relname"]: row for row in delivered(server)["postgres"].values()}
    server.execute("insert into empty select generate_series(1, 100000)")
    server.execute("vacuum full large")
    server.execute("alter materialized view kept set tablespace elsewhere")
    server.execute("checkpoint")
    after = {row["relname"]: row for row in delivered(server)["postgres"].values()}
    assert after["empty"]["main_bytes"] == server.value("select pg_relation_size('empty')") > 0
    assert 0 < after["large"]["main_bytes"] < before["large"]["main_bytes"]
    assert after["large"]["relfilenode"] != before["large"]["relfilenode"]
    assert after["kept"]["folder"].startswith("pg_tblspc/") and after["kept"]["main_bytes"]
    again = {row["relname"]: row for row in delivered(server)["postgres"].values()}
    assert again == after


def test_collect_now_tells_of_it(server: Server) -> None:
    rows = whole(server, lambda: server.rows("select * from pganalytics_collect_now() where rowset = 'file_sizes'"))
    assert {row["datname"] for row in rows} == {"postgres", "other"}
    assert all(row["rows"] > 100 and row["error"] is None for row in rows), rows
