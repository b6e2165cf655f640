"""The pass over the shared statistics where something fails, comes in numbers or passes by: nothing
is lost, and visits stay few."""

import os
import random
import signal
import threading

import psycopg
import pytest

from collecting import figure, ship, wait_cycles
from harness import wait_until
from watched import LOAD, Watched, watched  # noqa: F401


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
        def visits_in_five_cycles() -> int:
            before = figure(watched.server, "visitors", "visits")
            cycles = figure(watched.server, "collector", "cycles")
            wait_cycles(watched.server, 5, deadline=30)
            extra = figure(watched.server, "collector", "cycles") - cycles
            return figure(watched.server, "visitors", "visits") - before - extra

        wait_until(lambda: visits_in_five_cycles() <= 1, 80, "few visits")
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


@pytest.mark.time_limit(240)
def test_sixty_databases_cost_no_visits(watched: Watched) -> None:
    # (The last test here: they are left, because dropping each takes a checkpoint.)
    names = [f"many_{i}" for i in range(60)]
    with watched.server.connect() as session:
        session.execute("create database model_of_many")
        with watched.server.connect("model_of_many") as inner:
            inner.execute("create table t (x int primary key)")
        for name in names:
            session.execute(f"create database {name} template model_of_many".encode())
    watched.wait_primed(120)
    # What waits its turn, a few databases a cycle, gets it at once.
    watched.server.query("select * from pganalytics_collect_now()")
    watched.wait_primed(60)

    # Other rowsets may be due in between: the least of a few stretches counts.
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
