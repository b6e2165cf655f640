"""Databases in which nothing changed are not visited, and each change that a rowset tells of brings a visit: for the
first quarter of an hour of a server, so this runs with PGANALYTICS_LONG only, and a --budget."""

import time
from typing import Any

import pytest

from collecting import cycles, figure, wait_cycles
from harness import LONG, Server, World, wait_until

pytestmark = pytest.mark.skipif(not LONG, reason="takes 17 minutes; set PGANALYTICS_LONG and --budget 3000")

MINUTE = 60
TABLES = ("pg_stats_relations", "pg_stats_sequences", "pg_stats_file_sizes", "pg_schema_columns", "pg_bloat_tables")
DATABASES = ("idle", "option", "sequence", "vacuumed", "grown", "column_added")


def rows(hub: Server, rowset: str, database: str, where: str) -> list[dict[str, Any]]:
    return hub.rows(
        f"select * from pganalytics.{rowset} where datname = %s and {where} order by time", (database,)
    )


def beside_main(server: Server, more: int) -> int:
    """Visits to other databases in so many cycles; the main one is visited in each."""
    count, visits = cycles(server), figure(server, "visitors", "visits")
    wait_cycles(server, more, 5 * more)
    return figure(server, "visitors", "visits") - visits - (cycles(server) - count)


@pytest.mark.time_limit(40 * MINUTE)
def test_what_changes_is_read_and_nothing_else(world: World) -> None:
    hub = world.hub("hub")
    server = world.server(
        "watched", settings={"pganalytics.collect_interval": "2s", "autovacuum": "off", "checkpoint_timeout": "1h"}
    )
    if not 15 <= int(server.value("show server_version_num")) // 10000 <= 18:
        pytest.skip("marks of changes come with a pass over shared statistics; take PostgreSQL 15 to 18")
    server.execute("create extension pganalytics")
    for database in DATABASES:
        server.execute(f"create database {database}")
        server.execute("create table t (id int primary key, x text); create sequence s", dbname=database)
        server.execute("insert into t select i, 'x' from generate_series(1, 100) i", dbname=database)
        server.execute("analyze t", dbname=database)
    server.value("select pganalytics_register(%s, %s)", (hub.console_url, hub.create_token(server.name)))

    def known(database: str) -> bool:
        # The hub makes a table with its first row.
        return all(
            hub.value("select to_regclass(%s) is not null", (f"pganalytics.{table}",)) and rows(hub, table, database, "true")
            for table in TABLES
        )

    wait_until(lambda: all(known(database) for database in DATABASES), 12 * MINUTE, "all has been read once")
    # Whatever else waits for its first turn.
    wait_until(lambda: beside_main(server, 15) == 0, 5 * MINUTE, "only the main database is visited")
    settled = time.monotonic()
    visits, count = figure(server, "visitors", "visits"), cycles(server)
    server.execute("alter table t set (fillfactor = 70)", dbname="option")
    server.value("select nextval('s') from generate_series(1, 5) offset 4", dbname="sequence")
    server.execute("vacuum t", dbname="vacuumed")
    server.execute("insert into t select i, repeat('y', 500) from generate_series(101, 20000) i", dbname="grown")
    server.execute("alter table t add column added int", dbname="column_added")

    def seen(rowset: str, database: str, where: str) -> bool:
        return bool(rows(hub, rowset, database, where))

    late = 17 * MINUTE
    wait_until(lambda: seen("pg_stats_relations", "option", "relname = 't' and reloptions::text ~ '70'"), late, "option")
    wait_until(lambda: seen("pg_stats_sequences", "sequence", "sequencename = 's' and last_value = 5"), late, "sequence")
    wait_until(lambda: seen("pg_stats_relations", "vacuumed", "relname = 't' and relallvisible > 0"), late, "vacuum")
    wait_until(lambda: seen("pg_schema_columns", "column_added", "attname = 'added'"), late, "column")
    size = server.value("select pg_relation_size('t')", dbname="grown")
    wait_until(lambda: seen("pg_stats_file_sizes", "grown", f"relname = 't' and main_bytes = {size}"), late, "size")
    # Until everything would have been due again by its period.
    wait_until(lambda: time.monotonic() > settled + 16 * MINUTE, late, "a quarter of an hour", every=1)
    # A changed one takes one for what is read every ten minutes, one for what is read every fifteen, one for its names.
    more = figure(server, "visitors", "visits") - visits - (cycles(server) - count)
    print(f"{more} visits beside the main database's")
    assert 4 <= more <= 2 * len(DATABASES)
