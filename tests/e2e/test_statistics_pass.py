"""Counters of all databases from one pass over the shared statistics in place of visits (15 and
later): what the hub has in the end is what SQL says, whatever happened meanwhile."""

import itertools
import os
import signal

import pytest

from collecting import figure, ship, wait_cycles
from harness import wait_until
from watched import LOAD, SCHEMA, Watched, watched  # noqa: F401


PG_DATABASE = 1262  # shared by all databases


@pytest.mark.time_limit(180)
def test_changes_arrive_without_a_visit(watched: Watched) -> None:
    watched.wait_same()
    watched.wait_primed()
    for dbname in ("postgres", "second"):
        watched.run(LOAD, dbname)
    watched.wait_same()
    # From here on nothing but the main database is visited, and what changes arrives all the same.
    watched.wait_primed()

    def extra_visits() -> int:
        before, cycles = figure(watched.server, "visitors", "visits"), figure(watched.server, "collector", "cycles")
        for _ in range(3):
            watched.run(LOAD, "second")
            watched.wait_same(["second"])
        wait_cycles(watched.server, 3)
        cycles = figure(watched.server, "collector", "cycles") - cycles
        return figure(watched.server, "visitors", "visits") - before - cycles

    # A slower rowset may be due in one of them.
    assert any(extra_visits() <= 1 for _ in range(3)), "the main database only"
    assert figure(watched.server, "collector", "passes_failed") == 0


# What happens in one database, step by step.
LIVES = {
    "second": [
        "create table young (id int primary key); insert into young values (1)",
        "alter table young rename to older",
        "create schema s; alter table older set schema s",
        "alter schema s rename to t",
        "drop schema t cascade; drop table never_used",
        "create table never_used (id int primary key)",
    ],
    "counters": [
        "truncate plain",
        LOAD,
        "select pg_stat_reset_single_table_counters('plain'::regclass)",
        LOAD,
        "reindex table concurrently plain",
        "select pg_stat_reset()",
    ],
    "functions": [
        "cluster plain using plain_pkey; vacuum full plain",
        "alter function twice(int) rename to doubled; create function twice(x int) returns int "
        "language sql set work_mem = '4MB' as 'select x + x'",
        LOAD,
        "drop function never_called(int), doubled(int)",
    ],
}


def test_what_happens_to_relations(watched: Watched) -> None:
    for dbname in LIVES:
        if dbname != "second":
            watched.server.execute(f"create database {dbname}")
            watched.run(SCHEMA, dbname)
        watched.run(LOAD, dbname)
    watched.wait_same(list(LIVES))
    watched.wait_primed()
    for steps in itertools.zip_longest(*LIVES.values()):
        for dbname, step in zip(LIVES, steps):
            if step:
                watched.run(step, dbname)
                watched.run("select pg_stat_force_next_flush()", dbname)
        watched.wait_same(list(LIVES))
    for dbname in LIVES:
        if dbname != "second":
            watched.server.execute(f"drop database {dbname}")


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
def test_a_new_run_of_the_program_is_told_all_without_visits(watched: Watched) -> None:
    databases = watched.databases()
    watched.wait_same()
    watched.wait_primed()
    # What waits its turn, so that nothing else brings a visit.
    watched.server.query("select * from pganalytics_collect_now()")
    watched.wait_primed()
    watched.server.set({"pganalytics.plugins": "pg_stats"})
    wait_cycles(watched.server, 2)
    watched.wait_primed()
    # One cycle, at once, with what is not slow of the main database: the next one would bring turns.
    watched.server.set({"pganalytics.collect_interval": "60s"})
    wait_until(lambda: watched.server.value("show pganalytics.collect_interval") == "1min", 5, "the setting")
    wait_until(watched.at_rest, 20, "no cycle is under way")
    of_shared = watched.told("tables", datid(watched, "second"))[PG_DATABASE]

    def visits_of_a_new_run() -> int:
        """How many more than those of the main database."""
        wait_until(watched.at_rest, 20, "no cycle is under way")
        before = watched.hub.value("select now()")
        visits, cycles = figure(watched.server, "visitors", "visits"), figure(watched.server, "collector", "cycles")
        os.kill(ship(watched.server), signal.SIGKILL)

        def all_new() -> bool:
            told = [row for name in databases for row in watched.told("tables", datid(watched, name)).values()]
            return bool(told) and all(row["time"] > before for row in told)

        wait_until(all_new, 30, "each row came anew", every=0.3)
        cycles = figure(watched.server, "collector", "cycles") - cycles
        return figure(watched.server, "visitors", "visits") - visits - cycles

    # A look for new names may be due in one of them.
    assert any(visits_of_a_new_run() <= 0 for _ in range(4)), "the main database only"
    again = watched.told("tables", datid(watched, "second"))[PG_DATABASE]
    assert again["seq_scan"] >= of_shared["seq_scan"] > 0
    watched.server.set({"pganalytics.plugins": None, "pganalytics.collect_interval": "1s"})
    watched.wait_same()
    watched.run(LOAD, "second")
    watched.wait_same()


def datid(watched: Watched, name: str) -> int:
    return watched.server.value("select oid::int8 from pg_database where datname = %s", (name,))


def test_switched_off_plugin(watched: Watched) -> None:
    watched.wait_primed()
    watched.server.set({"pganalytics.plugins": "pg_activity"})
    wait_until(lambda: watched.primed() == 0, 20, "no database")
    watched.run(LOAD, "second")
    watched.server.set({"pganalytics.plugins": None})
    watched.wait_same()
