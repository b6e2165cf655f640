"""Counters of all databases from one pass over the shared statistics in place of visits (15 and
later): what the hub has in the end is what SQL says, whatever happened meanwhile."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row
from collecting import figure, ship, wait_cycles
from harness import Hub, Server, World, wait_until
from harness.installation import Installation

SETTINGS = {
    "autovacuum": "off",
    "track_functions": "all",
    "pganalytics.collect_interval": "1s",
}
KEYS = {"tables": "relid", "indexes": "indexrelid", "functions": "funcid"}
# Nothing of ours reads or writes these, so that their figures stand still with the load.
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

    def wait_primed(self, deadline: float = 30) -> None:
        wait_until(lambda: self.primed() >= len(self.databases()), deadline, "the pass stands in for all visits")

    # --- the two sides

    def told(self, name: str, datid: int) -> dict[int, Row]:
        """What the hub has now: the newest row of each key since the last full, less what is gone."""
        key = KEYS[name]
        if not self.hub.stored(f"pg_stats_{name}", "watched", f"datid = {datid}"):
            return {}
        rows = self.hub.rows(
            f"""
            with c as (select collector_id from pganalytics.collectors where name = 'watched'),
                 f as (select max(time) as since from pganalytics.pganalytics_fulls, c
                        where pganalytics_fulls.collector_id = c.collector_id and complete
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

    def difference(self, name: str, dbname: str) -> str:
        """How the hub's state differs from SQL; empty: not at all."""
        with self.server.connect(dbname) as session:
            session.execute("set search_path = pg_catalog")
            expected = self.catalog.keyed(session, f"pg_stats.{name}")
            users = {oid for (oid,) in session.execute(OF_USERS)}
            datid = session.execute("select oid from pg_database where datname = current_database()").fetchone()
        assert datid
        told = self.told(name, datid[0])
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
    if installation.major < 15:
        pytest.skip("statistics are not shared before 15")
    made = Watched(module_world)
    made.run(SCHEMA)
    made.server.execute("create database second")
    made.run(SCHEMA, "second")
    made.wait_primed()
    return made


@pytest.mark.time_limit(180)
def test_changes_arrive_without_a_visit(watched: Watched) -> None:
    watched.wait_same()
    watched.wait_primed()
    for dbname in ("postgres", "second"):
        watched.run(LOAD, dbname)
    watched.wait_same()
    # From here on nothing but the main database is visited, and what changes arrives all the same.
    watched.wait_primed()
    before, cycles = figure(watched.server, "visitors", "visits"), figure(watched.server, "collector", "cycles")
    for _ in range(3):
        watched.run(LOAD, "second")
        watched.wait_same(["second"])
    wait_cycles(watched.server, 3)
    visits = figure(watched.server, "visitors", "visits") - before
    cycles = figure(watched.server, "collector", "cycles") - cycles
    assert visits <= cycles + 1, "the main database only"
    assert figure(watched.server, "collector", "passes_failed") == 0


@pytest.mark.time_limit(200)
def test_what_happens_to_relations(watched: Watched) -> None:
    steps = [
        "create table young (id int primary key); insert into young values (1)",
        "alter table young rename to older",
        "create schema s; alter table older set schema s",
        "alter schema s rename to t",
        "truncate plain",
        LOAD,
        "select pg_stat_reset_single_table_counters('plain'::regclass)",
        LOAD,
        "reindex table concurrently plain",
        "drop schema t cascade; drop table never_used",
        "select pg_stat_reset()",
        "cluster plain using plain_pkey; vacuum full plain",
        "alter function twice(int) rename to doubled; create function twice(x int) returns int "
        "language sql set work_mem = '4MB' as 'select x + x'",
        LOAD,
        "drop function never_called(int), doubled(int)",
        "create table never_used (id int primary key)",
    ]
    for step in steps:
        watched.run(step, "second")
        watched.run("select pg_stat_force_next_flush()", "second")
        watched.wait_same(["second"])


@pytest.mark.time_limit(120)
def test_temporary_tables_do_not_bring_visits_for_ever(watched: Watched) -> None:
    watched.wait_primed()
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            watched.run(
                "create temp table passing (x int primary key); insert into passing values (1);"
                "select * from passing; select pg_stat_force_next_flush()",
                "second",
            )
            stop.wait(0.2)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        def visits_in_ten_cycles() -> int:
            before = figure(watched.server, "visitors", "visits")
            cycles = figure(watched.server, "collector", "cycles")
            wait_cycles(watched.server, 10, deadline=30)
            extra = figure(watched.server, "collector", "cycles") - cycles
            return figure(watched.server, "visitors", "visits") - before - extra

        wait_until(lambda: visits_in_ten_cycles() <= 2, 80, "few visits")
        # Counters go on arriving.
        with watched.server.connect("second") as session:
            session.execute("insert into plain values (1001, 'a', 1)")
            session.execute("select pg_stat_force_next_flush()")
        relid = watched.server.value("select 'plain'::regclass::oid::int8", dbname="second")
        datid = watched.server.value("select oid::int8 from pg_database where datname = 'second'")
        written = watched.server.value("select n_tup_ins from pg_stat_user_tables where relname = 'plain'", dbname="second")
        wait_until(lambda: watched.told("tables", datid)[relid]["n_tup_ins"] >= written, 20, "inserted rows")
    finally:
        stop.set()
        thread.join()
    watched.wait_same(["postgres"])
    watched.run("create table wakes (x int)", "second")
    watched.wait_same(["second"], 60)


@pytest.mark.time_limit(240)
def test_nothing_is_lost_whatever_fails(watched: Watched) -> None:
    """Programs and visitors killed, visits cancelled, memory short, while tables come, work and go."""
    chance = random.Random(7)
    stop = threading.Event()

    def work(dbname: str, seed: int) -> None:
        dice = random.Random(seed)
        with watched.server.connect(dbname) as session:
            while not stop.is_set():
                name = f"churn_{seed}_{dice.randrange(6)}"
                deed = dice.choice(
                    [
                        f"create table if not exists {name} (x int primary key, t text)",
                        f"drop table if exists {name}",
                        f"alter table if exists {name} rename to {name}_{dice.randrange(10**6)}",
                        "update plain set n = n + 1 where id % 5 = 1",
                        "insert into plain (id) values ((random() * 1e9)::int) on conflict do nothing",
                        "select twice(3)",
                        "create temp table if not exists mine (x int); insert into mine values (1)",
                        "select pg_stat_reset_single_table_counters('plain'::regclass)",
                        "select pg_stat_force_next_flush()",
                    ]
                )
                try:
                    session.execute(deed.encode())
                except psycopg.errors.Error:
                    pass
                stop.wait(0.02)
            session.execute("select pg_stat_force_next_flush()")

    threads = [
        threading.Thread(target=work, args=(dbname, seed))
        for seed, dbname in enumerate(["second", "second", "postgres"])
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(14):
            trouble = chance.choice(["ship", "visitor", "cancel", "asked", "settings"])
            if trouble != "settings":
                watched.server.set({"pganalytics.max_rows": None})
            if trouble == "ship":
                os.kill(ship(watched.server), signal.SIGKILL)
                # Not with the other troubles: a first full reading that is cut is made up for by
                # the next full one only.
                wait_cycles(watched.server, 1, deadline=30)
                watched.wait_primed(60)
            elif trouble == "visitor":
                for pid in watched.server.workers().get("visitor", []):
                    watched.server.execute("select pg_terminate_backend(%s)", (pid,))
            elif trouble == "cancel":
                watched.server.execute(
                    "select pg_cancel_backend(pid) from pg_stat_activity where backend_type = 'pganalytics visitor'"
                )
            elif trouble == "asked":
                watched.server.execute("select * from pganalytics_collect_now()")
            else:
                watched.server.set({"pganalytics.max_rows": chance.choice([200, 100000])})
            wait_cycles(watched.server, 1, deadline=30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        watched.server.set({"pganalytics.max_rows": None})
    watched.wait_same(deadline=90)
    watched.wait_primed(60)
    watched.run(LOAD, "second")
    watched.wait_same(deadline=60)


def test_databases_come_and_go(watched: Watched) -> None:
    watched.server.execute("create database third")
    watched.run(SCHEMA, "third")
    watched.wait_same(["third"])
    watched.wait_primed()
    watched.run(LOAD, "third")
    watched.wait_same(["third"])
    watched.server.execute("alter database third rename to fourth")
    watched.run(LOAD, "fourth")
    watched.wait_same(["fourth"])
    watched.server.execute("drop database fourth")
    watched.wait_primed()
    # Not collected: nothing of it is told any more.
    watched.server.set({"pganalytics.exclude_databases": "second"})
    wait_until(lambda: watched.primed() == 1, 20, "one database")
    datid = watched.server.value("select oid::int8 from pg_database where datname = 'second'")
    wait_cycles(watched.server, 3)
    before = watched.hub.value("select now()")
    watched.run(LOAD, "second")
    wait_cycles(watched.server, 3)
    assert not watched.hub.stored("pg_stats_tables", "watched", f"datid = {datid} and time > '{before}'")
    watched.server.set({"pganalytics.exclude_databases": None})
    watched.wait_same()


@pytest.mark.time_limit(240)
def test_sixty_databases_cost_no_visits(watched: Watched) -> None:
    names = [f"many_{i}" for i in range(60)]
    with watched.server.connect() as session:
        session.execute("create database model_of_many")
        with watched.server.connect("model_of_many") as inner:
            inner.execute("create table t (x int primary key)")
        for name in names:
            session.execute(f"create database {name} template model_of_many".encode())
    try:
        watched.wait_primed(120)
        # The autovacuum rowsets may be due in between: the least of a few stretches counts.
        def extra() -> int:
            before = figure(watched.server, "visitors", "visits")
            cycles = figure(watched.server, "collector", "cycles")
            wait_cycles(watched.server, 3, deadline=30)
            more = figure(watched.server, "collector", "cycles") - cycles
            return figure(watched.server, "visitors", "visits") - before - more

        wait_until(lambda: extra() <= 1, 60, "cycles that visit the main database only")
        for name in names[:5]:
            watched.run("insert into t values (1); select pg_stat_force_next_flush()", name)
        watched.wait_same(names[:5])
        assert watched.primed() >= 60
    finally:
        with watched.server.connect() as session:
            for name in [*names, "model_of_many"]:
                session.execute(f"drop database if exists {name} with (force)".encode())


def test_switched_off_plugin(watched: Watched) -> None:
    watched.wait_primed()
    watched.server.set({"pganalytics.plugins": "pg_activity"})
    wait_until(lambda: watched.primed() == 0, 20, "no database")
    watched.run(LOAD, "second")
    watched.server.set({"pganalytics.plugins": None})
    watched.wait_same()

