"""What arrived in the hub, held value by value against what plain SQL and /proc say in the same quiet
moment."""

import os
from collections.abc import Iterator
from typing import Any

import psycopg.sql
import pytest

from collecting import whole
from harness import Hub, wait_until
from harness.world import World

# Counters that our own visits move.
OURS = "schemaname not in ('pg_catalog', 'pg_toast', 'information_schema')"


@pytest.fixture(scope="module")
def quiet(module_world: World) -> Iterator[Hub]:
    """A hub whose databases stand still: cycles by hand only."""
    hub = module_world.hub(
        "quiet", {"pganalytics.collect_interval": "1h", "autovacuum": "off", "track_io_timing": "on"}
    )
    hub.execute('create database "Odd "" name 🐘"')
    for database in ("postgres", 'Odd " name 🐘'):
        hub.psql(
            "-v", "ON_ERROR_STOP=1", "-d", database, input='''
create schema "S p""ace";
create table "S p""ace"."Täb" (id int primary key, t text);
create table wide (a int, b text) with (fillfactor = 70, autovacuum_enabled = off);
create index "i n" on wide (b) where a > 10;
create table parted (day date) partition by range (day);
create table parted_1 partition of parted for values from ('2026-01-01') to ('2027-01-01');
create materialized view summary as select 1 as one;
insert into "S p""ace"."Täb" select g, repeat('x', 3000) from generate_series(1, 200) g;
insert into wide select g, g::text from generate_series(1, 5000) g;
update wide set b = b || 'x' where a < 100;
delete from wide where a > 4900;
set enable_seqscan = off;
select count(*) from wide where a > 10 and b = '17';
vacuum analyze wide;
analyze "S p""ace"."Täb";
''')
    yield hub


def collect(hub: Hub) -> None:
    assert whole(hub, lambda: hub.query("select * from pganalytics_push_now('30 s')"))


def latest(hub: Hub, rowset: str, key: str, where: str = "true") -> dict[Any, dict[str, Any]]:
    return {row[key]: row for row in hub.stored(rowset, where=where)}


def compare(
    stored: dict[Any, dict[str, Any]], expected: list[dict[str, Any]], key: str, ignore: set[str]
) -> int:
    compared = 0
    for row in expected:
        assert row[key] in stored, f"{key} {row[key]} did not arrive"
        arrived = stored[row[key]]
        for name, value in row.items():
            if name in ignore or name not in arrived:
                continue
            assert arrived[name] == value, f"{name} of {row}: {arrived[name]!r} is not {value!r}"
            compared += 1
    return compared


@pytest.mark.parametrize("database", ["postgres", 'Odd " name 🐘'])
def test_tables_and_indexes(quiet: Hub, database: str) -> None:
    def agree() -> bool:
        """Statistics reach shared memory a moment after the work: then both sides stand still."""
        collect(quiet)
        datid = quiet.value("select oid::bigint from pg_database where datname = %s", (database,))
        where = f"datid = {datid}"
        tables = quiet.rows(
            f"select * from pg_stat_all_tables natural join pg_statio_all_tables"
            f" where {OURS} and schemaname <> 'pganalytics'",
            dbname=database,
        )
        stored = latest(quiet, "pg_stats_tables", "relid", where)
        assert {row["datname"] for row in stored.values()} == {database}
        assert compare(stored, tables, "relid", set()) > 20 * len(tables) > 0
        indexes = quiet.rows(
            "select * from pg_stat_all_indexes natural join pg_statio_all_indexes"
            f" where {OURS} and schemaname <> 'pganalytics'",
            dbname=database,
        )
        found = latest(quiet, "pg_stats_indexes", "indexrelid", where)
        assert compare(found, indexes, "indexrelid", set()) >= 5 * len(indexes) > 0
        return True

    quiet.query("select pg_stat_clear_snapshot()", dbname=database)
    wait_until(lambda: _holds(agree), 60, "both sides agree")


def _holds(check: Any) -> bool:
    try:
        return bool(check())
    except AssertionError:
        if os.environ.get("PGANALYTICS_VERBOSE"):
            raise
        return False


def test_relations(quiet: Hub) -> None:
    collect(quiet)
    stored = latest(quiet, "pg_stats_relations", "relid", "datname = 'postgres'")
    # Before 14 nothing told never counted from empty, but for pages there are.
    unknown = "reltuples = -1" if int(quiet.value("show server_version_num")) >= 140000 else "reltuples = 0 and relpages = 0"
    expected = quiet.rows(
        "select oid as relid, case when relkind not in ('p', 'I') then relpages end::bigint as relpages,"
        f" case when not ({unknown}) then reltuples end::float8 as reltuples,"
        " case when relkind in ('r', 'm', 't') then relallvisible end::bigint as relallvisible,"
        " relkind::text, relpersistence::text, relispartition from pg_class"
        " where relpersistence <> 't' and relkind in ('r', 'i', 'm', 't', 'p', 'I', 'S')"
        " and relname in ('wide', 'i n', 'Täb', 'parted', 'parted_1', 'summary')"
    )
    assert len(expected) == 6
    assert compare(stored, expected, "relid", set()) >= 20


def test_server_and_databases(quiet: Hub) -> None:
    collect(quiet)
    server = quiet.stored("pg_stats_server")[-1]
    started = quiet.value("select pg_postmaster_start_time()")
    assert started in server.values()
    assert quiet.value("show server_version_num") in map(str, server.values())
    stored = latest(quiet, "pg_stats_databases", "datid")
    frozen = quiet.rows(
        "select oid as datid, datname, datconnlimit, datfrozenxid::text::bigint as datfrozenxid,"
        " datminmxid::text::bigint as datminmxid from pg_database"
    )
    assert compare(stored, frozen, "datid", set()) >= 4 * len(frozen)


def test_host_figures(quiet: Hub) -> None:
    def proc(path: str) -> dict[str, list[str]]:
        with open(path, encoding="utf-8") as file:
            return {line.split()[0].rstrip(":"): line.split()[1:] for line in file if line.strip()}

    before = proc("/proc/stat")
    collect(quiet)
    after = proc("/proc/stat")
    cpus = {row["cpu"]: row for row in quiet.stored("sysstat_cpu")}
    assert {"all"} | {name[3:] for name in before if name[:3] == "cpu" and name != "cpu"} <= {
        "all" if name == "all" else name.removeprefix("cpu") for name in cpus
    }
    for name, column in (("user", 0), ("nice", 1), ("system", 2), ("idle", 3), ("iowait", 4), ("steal", 7)):
        low, high = int(before["cpu"][column]), int(after["cpu"][column])
        assert low <= cpus["all"][f"{name}_ticks"] <= high, name
    memory = quiet.stored("sysstat_memory")[-1]
    total = int(proc("/proc/meminfo")["MemTotal"][0]) * 1024
    assert total in memory.values()


def test_processes_of_the_server(quiet: Hub) -> None:
    """By kind, as pg_stat_activity counts them; what they used, as ps and /proc say."""
    with quiet.connect(), quiet.connect() as session:
        # Visitors come and go.
        kinds = (
            "select backend_type, count(*) from pg_stat_activity"
            " where backend_type not like 'pganalytics visitor' group by 1"
        )
        stored: dict[str, dict[str, Any]] = {}

        def agrees() -> bool:
            nonlocal stored
            before = dict(session.execute(kinds).fetchall())
            collect(quiet)
            stored = latest(quiet, "sysstat_processes", "backend_type")
            if dict(session.execute(kinds).fetchall()) != before:
                return False  # somebody came or went
            # The one that asked for the figures was a client too.
            before["client backend"] += 1
            return {kind: stored[kind]["processes"] for kind in before} == before

        wait_until(agrees, 20, "as many processes as pg_stat_activity has")
        [(pid,)] = session.execute("select pid from pg_stat_activity where backend_type = 'walwriter'").fetchall()
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    tick = 1_000_000 // os.sysconf("SC_CLK_TCK")
    assert 0 <= stored["walwriter"]["user_us"] <= int(fields[11]) * tick
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        private = next(int(line.split()[1]) for line in file if line.startswith("RssAnon:"))
    assert abs(stored["walwriter"]["private_bytes"] - private * 1024) <= 64 * 1024
    assert stored["postmaster"]["processes"] == 1 and stored["postmaster"]["ended_user_us"] >= 0


def test_a_hub_that_lost_what_was_full_gets_it_again(quiet: Hub) -> None:
    """As after a restore from an older dump: what changed since is not enough."""

    def tables_stored() -> int:
        count = quiet.value(
            "select count(*) from pganalytics.pg_stats_tables where datname = 'postgres'"
            " and time = (select max(time) from pganalytics.pg_stats_tables where datname = 'postgres')"
        )
        return int(str(count))

    def sparse() -> bool:
        collect(quiet)
        return tables_stored() < tables

    tables = quiet.value("select count(*) from pg_stat_all_tables")
    wait_until(sparse, 30, "a sparse one")
    quiet.execute("update pganalytics.collectors set last_full_at = null")
    collect(quiet)  # whose answer asks for it
    collect(quiet)
    assert tables_stored() == tables
    wait_until(sparse, 30, "a sparse one again")


def test_filesystems(quiet: Hub) -> None:
    collect(quiet)
    rows = quiet.stored("disk_usage_filesystems")
    data = os.statvfs(quiet.data)
    mount = os.path.realpath(quiet.data)
    while not os.path.ismount(mount):
        mount = os.path.dirname(mount)
    mine = [row for row in rows if mount in row.values()]
    assert mine, f"{mount} is not among {rows}"
    assert data.f_blocks * data.f_frsize in mine[-1].values()
    assert data.f_files in mine[-1].values()


def test_views_show_what_is_there_now(quiet: Hub) -> None:
    quiet.execute("create table short_lived (a int)")
    collect(quiet)
    names = "select relname from pganalytics.current_tables where datname = 'postgres'"
    assert ("short_lived",) in quiet.query(names)
    quiet.execute("drop table short_lived")
    collect(quiet)
    assert ("short_lived",) not in quiet.query(names)
    assert ("wide",) in quiet.query(names)
    listed = {row[0] for row in quiet.query("select datname from pganalytics.current_databases")}
    assert {'Odd " name 🐘', "postgres"} <= listed
    indexes = "select count(*) from pganalytics.current_indexes where datname = 'postgres'"
    assert quiet.value(indexes) > 0
    assert quiet.value("select count(*) from pganalytics.servers") == 1
