"""A watched server and its hub: what the hub was told beside what SQL says.

`watched` is a fixture for the files that import it.
"""

import pytest

from catalog_sql import Catalog, Row
from collecting import ship
from harness import Hub, Server, World, wait_until
from harness.installation import Installation

SETTINGS = {
    "autovacuum": "off",
    "track_functions": "all",
    "pganalytics.collect_interval": "1s",
}
KEYS = {"tables": "relid", "indexes": "indexrelid", "functions": "funcid"}
# Nothing of ours reads these, so that their figures stand still with the load.
OF_USERS = "select c.oid from pg_class c join pg_namespace n on n.oid = relnamespace where n.oid not in (11, 99) and nspname <> 'pganalytics'"
SCHEMA = """
create table plain (id int primary key, t text, n int); create index on plain (n);
create table parted (id int, k int) partition by list (k);
create table part_1 partition of parted for values in (1);
create table part_2 partition of parted for values in (2);
create table never_used (id int primary key);
create materialized view seen as select 1 as x;
create sequence counted;
create function twice(x int) returns int language sql set work_mem = '4MB' as 'select 2 * x';
create function never_called(x int) returns int language sql set work_mem = '4MB' as 'select x'
"""
LOAD = """
insert into plain select g, repeat('x', 3000), g from generate_series(1, 20) g
    on conflict (id) do update set n = plain.n + 1;
update plain set t = 'y' where id % 3 = 0; delete from plain where id % 7 = 0;
insert into parted values (1, 1), (2, 2); select count(*) from parted; select * from seen;
select nextval('counted'); select twice(id) from plain;
analyze plain; select pg_stat_force_next_flush()
"""


class Watched:
    """A watched server and the hub that it tells."""

    def __init__(self, world: World) -> None:
        self.catalog = Catalog(world.installation.major)
        self.hub: Hub = world.hub()
        self.server: Server = world.server("watched", SETTINGS)
        self.server.execute("create extension pganalytics")
        self.hub.enrol(self.server, "watched")
        ship(self.server)

    def run(self, sql: str, dbname: str = "postgres") -> None:
        with self.server.connect(dbname) as session:
            for statement in sql.split(";"):
                if statement.strip():
                    session.execute(statement.encode())

    def databases(self) -> list[str]:
        return [name for (name,) in self.server.query("select datname from pg_database where not datistemplate")]

    def primed(self) -> int:
        values = {
            row["name"]: row["value"]
            for row in self.server.rows("select * from pganalytics_status() where component = 'collector'")
        }
        return int(values.get("databases_by_pass", 0))

    def at_rest(self) -> bool:
        """Whether no cycle is under way."""
        return not self.server.workers().get("visitor") and bool(
            self.server.value(
                "select (array_agg(value) filter (where name = 'last_cycle_ended'))[1]::timestamptz"
                " > (array_agg(value) filter (where name = 'last_cycle_started'))[1]::timestamptz"
                " from pganalytics_status() where component = 'collector'"
            )
        )

    def wait_primed(self, deadline: float = 30) -> None:
        wait_until(lambda: self.primed() >= len(self.databases()), deadline, "the pass stands in for all visits")

    # --- the two sides

    def told(self, name: str, datid: int) -> dict[int, Row]:
        """What the hub has now: the newest row of each key since the last full, less what is gone."""
        key = KEYS[name]
        table = f"pganalytics.pg_stats_{name}"
        if self.hub.value("select to_regclass(%s) is null", (table,), self.hub.database):
            return {}
        rows = self.hub.rows(
            f"""
            with c as (select collector_id from pganalytics.collectors where name = 'watched'),
                 f as (select max(time) as since from pganalytics.pganalytics_fulls, c
                        where pganalytics_fulls.collector_id = c.collector_id and (complete or left_out > 0)
                          and rowset = 'pg_stats.{name}' and datid = %(datid)s)
            select distinct on (r.{key}) r.* from pganalytics.pg_stats_{name} r, c, f
             where r.collector_id = c.collector_id and r.datid = %(datid)s and r.time >= coalesce(f.since, '-infinity')
               and not exists (select from pganalytics.pganalytics_gone g
                                where g.collector_id = r.collector_id and g.rowset = 'pg_stats.{name}'
                                  and g.datid = r.datid and g.key ->> '{key}' = r.{key}::text
                                  and g.time > r.time)
             order by r.{key}, r.time desc""",
            {"datid": datid},
            self.hub.database,
        )
        return {row[key]: row for row in rows}

    def difference(self, name: str, dbname: str, cut: bool = False) -> str:
        """How the hub's state differs from SQL; empty: not at all. `cut`: the hub may know some of the rows only."""
        with self.server.connect(dbname) as session:
            session.execute("set search_path = pg_catalog")
            expected = self.catalog.keyed(session, f"pg_stats.{name}")
            users = {oid for (oid,) in session.execute(OF_USERS)}
            datid = session.execute("select oid from pg_database where datname = current_database()").fetchone()
        assert datid
        told = self.told(name, datid[0])
        if cut:
            expected = {oid: row for oid, row in expected.items() if oid in told}
        if set(told) != set(expected):
            return f"{dbname} {name}: keys {set(told) ^ set(expected)}"
        for oid, row in expected.items():
            labels_only = name != "functions" and oid not in users
            for column, value in row.items():
                label = column.endswith(("id", "name"))
                if (label or not labels_only) and told[oid][column] != value:
                    return f"{dbname} {name} {oid} {column}: {told[oid][column]!r}, not {value!r}"
        return ""

    def differences(self, names: list[str] | None = None) -> list[str]:
        return [d for db in names or self.databases() for n in KEYS if (d := self.difference(n, db))]

    def wait_same(self, names: list[str] | None = None, deadline: float = 40) -> None:
        last: list[str] = []

        def same() -> bool:
            nonlocal last
            last = self.differences(names)
            return not last

        try:
            wait_until(same, deadline, "the hub has what SQL says", every=0.3)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last[:5]}") from error


@pytest.fixture(scope="module")
def watched(module_world: World, installation: Installation) -> Watched:
    """Two databases of one schema, which the pass stands in for."""
    if installation.major < 15:
        pytest.skip("statistics are not shared before 15")
    made = Watched(module_world)
    made.run(SCHEMA)
    made.server.execute("create database second")
    made.run(SCHEMA, "second")
    made.wait_primed()
    return made
