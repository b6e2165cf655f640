"""Logical replication and recovery in the catalog: each state is made for real and compared with the server's own
catalogs and views."""

import concurrent.futures
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, ever_filled, rows_of, same, undisturbed
from harness import Server, World, wait_until
from harness.installation import Installation
from test_catalog_situations import copy_as_standby

SETTINGS = {
    "shared_preload_libraries": "",
    "autovacuum": "off",
    "wal_level": "logical",
    "wal_retrieve_retry_interval": "100ms",
    "wal_receiver_status_interval": 1,
}
SECRET = "do-not-show"
SUBSCRIPTIONS = "pg_replication.subscriptions"
WORKERS = "pg_replication.subscription_workers"
TABLES = "pg_replication.subscription_tables"


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Catalog:
    return Catalog(installation.major)


@pytest.fixture(scope="module")
def publisher(module_world: World) -> Server:
    server = module_world.server("publisher", SETTINGS)
    server.execute("create table sent (id int primary key, x text); insert into sent values (1, 'a'), (2, 'b')")
    server.execute("create table copied (id int primary key); insert into copied select generate_series(1, 100)")
    server.execute("create publication sends for table sent; create publication copies for table copied")
    return server


@pytest.fixture(scope="module")
def subscriber(module_world: World, publisher: Server) -> Server:
    server = module_world.server("subscriber", SETTINGS)
    server.execute("create role watcher login in role pg_monitor")
    server.execute("create table sent (id int primary key, x text); create table copied (id int primary key)")
    server.execute(
        f"create subscription gets connection '{publisher.conninfo()} password={SECRET}' publication sends"
    )
    server.tolerate("duplicate key value violates")
    server.tolerate("conflict detected on relation")
    server.tolerate("logical replication|background worker")
    return server


@pytest.fixture
def watcher(subscriber: Server) -> "Iterator[psycopg.Connection[Any]]":
    with subscriber.connect(user="watcher") as session:
        yield session


def subscription(catalog: Catalog, session: "psycopg.Connection[Any]", name: str = "gets") -> Row:
    (row,) = [row for row in catalog.keyed(session, SUBSCRIPTIONS).values() if row["subname"] == name]
    return row


def test_a_subscription_that_replicates(
    catalog: Catalog, publisher: Server, subscriber: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    ready = "select count(*) as n from pg_subscription_rel where srsubstate = 'r'"
    wait_until(lambda: rows_of(watcher, ready)[0]["n"] == 1, 30, "the table is in step")
    publisher.execute("insert into sent values (3, 'c')")
    wait_until(lambda: subscriber.value("select count(*) from sent") == 3, 20, "the row is here")
    (reference,) = subscriber.rows(
        "select s.*, s.oid as subid, d.datname as database, rolname, subpublications::text as subpublications"
        " from pg_subscription s join pg_roles r on r.oid = subowner join pg_database d on d.oid = subdbid"
    )
    if catalog.major < 16 and "substream" in reference:
        reference["substream"] = "t" if reference["substream"] else "f"
    row = subscription(catalog, watcher)
    columns = [c for c in catalog.columns(SUBSCRIPTIONS) if c in reference]
    # All there is but where it connects to.
    left_out = set(reference) - set(columns)
    assert left_out == {"oid", "subconninfo"} | ({"subsynccommit"} if catalog.major < 14 else set())
    same(row, reference, columns)
    assert row["subenabled"] and row["database"] == "postgres" and row["subpublications"] == "{sends}"
    assert SECRET in reference["subconninfo"]
    for name in (SUBSCRIPTIONS, WORKERS, TABLES):
        assert "conninfo" not in catalog.rowsets[name]["sql"]
        with subscriber.connect() as superuser:
            assert SECRET not in repr(catalog.read(superuser, name))

    def workers() -> list[Row]:
        return rows_of(watcher, "select * from pg_stat_subscription where pid is not null")

    # The worker that copied the table ends after it has said that the table is in step.
    wait_until(lambda: len(found := workers()) == 1 and found[0]["latest_end_time"], 20, "one worker that has reported")
    ours, reference_rows = undisturbed(workers, lambda: catalog.read(watcher, WORKERS))
    assert len(ours) == len(reference_rows) == 1
    same(ours[0], reference_rows[0], list(reference_rows[0]))
    assert (ours[0]["worker_type"], ours[0]["relid"]) == ("apply", None)
    assert ours[0]["received_lsn"] and ours[0]["latest_end_time"]
    (table,) = catalog.read(watcher, TABLES)
    (reference,) = rows_of(watcher, "select *, srsubid as subid, srrelid as relid from pg_subscription_rel")
    same(table, reference, ["subid", "relid", "srsubstate", "srsublsn"])
    assert (table["schemaname"], table["relname"], table["srsubstate"]) == ("public", "sent", "r")
    assert table["srsublsn"] and table.get("subname", "gets") == "gets"
    assert table["datid"] == subscriber.value("select oid from pg_database where datname = 'postgres'")


def test_names_given_in_two_databases(
    catalog: Catalog, subscriber: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    subscriber.execute("create database other")
    twice = "create subscription twice connection 'dbname=x' publication p with (connect = false, slot_name = none)"
    for database in ("postgres", "other"):
        subscriber.execute(twice, dbname=database)
    found = [row for row in catalog.keyed(watcher, SUBSCRIPTIONS).values() if row["subname"] == "twice"]
    assert {row["subid"] for row in found} == {
        oid for (oid,) in subscriber.query("select oid from pg_subscription where subname = 'twice'")
    }
    databases = {row["database"] for row in found}
    assert databases == ({None} if catalog.major < 14 else {"postgres", "other"})
    assert len(found) == 2 and subscription(catalog, watcher)["database"] == "postgres"
    # Never connected: no worker, none of its tables.
    assert not [row for row in catalog.read(watcher, WORKERS) if row["subname"] == "twice"]
    for database in ("postgres", "other"):
        subscriber.execute("drop subscription twice", dbname=database)


def test_a_subscription_with_an_error_and_one_disabled(
    catalog: Catalog, publisher: Server, subscriber: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    subscriber.execute("insert into sent values (10, 'in the way')")
    if catalog.major >= 15:
        assert subscription(catalog, watcher)["apply_error_count"] == 0
    publisher.execute("insert into sent values (10, 'comes')")
    subscriber.wait_log("duplicate key value|conflict detected", deadline=30)
    if catalog.major >= 15:
        wait_until(lambda: (subscription(catalog, watcher)["apply_error_count"] or 0) >= 1, 30, "the error is counted")
        # One error at a time would move the counters between the two readings.
        subscriber.execute("alter subscription gets set (disable_on_error = true)")
        wait_until(lambda: subscription(catalog, watcher)["subenabled"] is False, 30, "the error disabled it")
        # The worker counts its last error when it ends.
        row, (reference,) = undisturbed(
            lambda: rows_of(watcher, "select * from pg_stat_subscription_stats where subname = 'gets'"),
            lambda: subscription(catalog, watcher),
        )
        same(row, reference, list(reference))
        assert row["subdisableonerr"] and row["apply_error_count"] >= 1 and row["sync_error_count"] == 0
        if catalog.major >= 18:
            assert row["confl_insert_exists"] >= 1 and row["confl_update_missing"] == 0
    subscriber.execute("alter subscription gets disable")
    assert subscription(catalog, watcher)["subenabled"] is False
    wait_until(lambda: catalog.read(watcher, WORKERS) == [], 20, "it has no worker")
    # Its table stays where it was.
    assert [row["srsubstate"] for row in catalog.read(watcher, TABLES)] == ["r"]
    if catalog.major >= 15:
        position = "pg_current_wal_lsn()"
        lsn = publisher.value(f"select {position}")
        subscriber.execute(f"alter subscription gets skip (lsn = '{lsn}')".encode())
        assert subscription(catalog, watcher)["subskiplsn"] == lsn
        subscriber.execute("alter subscription gets skip (lsn = none)")
        assert subscription(catalog, watcher)["subskiplsn"] == "0/0"
    subscriber.execute("delete from sent where id = 10")
    subscriber.execute("alter subscription gets enable")
    wait_until(lambda: subscriber.query("select x from sent where id = 10") == [("comes",)], 30, "it goes on")


def test_the_first_copy_in_progress(
    catalog: Catalog, publisher: Server, subscriber: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    # So that the first state is seen: nothing begins before it is enabled.
    subscriber.execute(
        f"create subscription fills connection '{publisher.conninfo()}' publication copies with (enabled = false)"
    )

    def table() -> Row:
        (row,) = [row for row in catalog.read(watcher, TABLES) if row["relname"] == "copied"]
        return row

    assert (table()["srsubstate"], table()["srsublsn"]) == ("i", None)
    with publisher.connect() as holder:
        holder.execute("begin; lock table copied in access exclusive mode")
        subscriber.execute("alter subscription fills enable")
        wait_until(lambda: table()["srsubstate"] == "d", 30, "the copy waits for the lock")
        copying = wait_until(
            lambda: [row for row in catalog.read(watcher, WORKERS) if row["worker_type"] == "table synchronization"],
            20,
            "the worker that copies",
        )
        assert copying and copying[0]["relid"] == table()["relid"] and copying[0]["subname"] == "fills"
        (reference,) = rows_of(watcher, "select pid, subid from pg_stat_subscription where relid is not null")
        same(copying[0], reference, ["pid", "subid"])
        holder.execute("rollback")
    wait_until(lambda: table()["srsubstate"] == "r", 30, "the copy is complete")
    assert table()["srsublsn"] and subscriber.value("select count(*) from copied") == 100
    subscriber.execute("drop subscription fills")


def test_publications(catalog: Catalog, publisher: Server) -> None:
    publisher.execute("create role publishes; create schema more; create table more.one (x int); create table two (x int)")
    publisher.execute("create publication everything for all tables with (publish = 'insert, truncate')")
    publisher.execute("create publication nothing with (publish_via_partition_root = true)")
    publisher.execute("create publication pair for table sent, copied; alter publication pair owner to publishes")
    if catalog.major >= 15:
        publisher.execute("create publication chosen for table sent (id), copied where (id > 3), two")
        publisher.execute("create publication schemas for tables in schema more, public, table sent")
    if catalog.major >= 18:
        publisher.execute("create publication generated for table two with (publish_generated_columns = stored)")
    publisher.execute("create role looks login in role pg_monitor")
    with publisher.connect(user="looks") as session:
        ours = {row["pubname"]: row for row in catalog.keyed(session, "pg_replication.publications").values()}
        references = rows_of(
            session, "select p.*, p.oid as pubid, rolname from pg_publication p join pg_roles r on r.oid = pubowner"
        )
        assert set(ours) == {one["pubname"] for one in references}
        for one in references:
            same(ours[one["pubname"]], one, [c for c in one if c != "oid"], one["pubname"])
        counts = {name: row["tables"] for name, row in ours.items()}
        # The server's own list of what is named, and nothing else.
        for one in rows_of(
            session,
            "select pubname, count(*) as n from pg_publication_tables where pubname in ('sends', 'copies', 'pair', 'chosen')"
            " group by pubname",
        ):
            assert counts[one["pubname"]] == one["n"], one["pubname"]
        assert (counts["pair"], counts["everything"], counts["nothing"]) == (2, 0, 0)
        assert ours["pair"]["rolname"] == "publishes" and ours["everything"]["puballtables"]
        assert (ours["everything"]["pubinsert"], ours["everything"]["pubdelete"]) == (True, False)
        assert ours["nothing"]["pubviaroot"] is True
        if catalog.major >= 15:
            row = ours["chosen"]
            assert (row["tables"], row["row_filters"], row["column_lists"], row["schemas"]) == (3, 1, 1, 0)
            assert (ours["schemas"]["tables"], ours["schemas"]["schemas"]) == (1, 2)
        if catalog.major >= 18:
            assert (ours["generated"]["pubgencols"], ours["pair"]["pubgencols"]) == ("s", "n")
        columns = catalog.columns("pg_replication.publications")
        assert set(columns) == ever_filled(list(ours.values()), columns)


RECOVERY = (
    "select pg_is_in_recovery() as in_recovery, pg_last_wal_receive_lsn() as last_wal_receive_lsn,"
    " pg_last_wal_replay_lsn() as last_wal_replay_lsn,"
    " pg_last_xact_replay_timestamp() as last_xact_replay_timestamp, k.timeline_id as checkpoint_timeline_id,"
    " k.prev_timeline_id, r.min_recovery_end_lsn, r.min_recovery_end_timeline,"
    " (select received_tli from pg_stat_wal_receiver) as received_tli"
    " from pg_control_checkpoint() k, pg_control_recovery() r"
)


def paused(session: "psycopg.Connection[Any]") -> bool:
    return bool(rows_of(session, "select pg_is_wal_replay_paused() as p")[0]["p"])


@pytest.mark.time_limit(150)
def test_recovery_conflicts_and_promotion(catalog: Catalog, world: World) -> None:
    primary = world.server("primary", SETTINGS)
    primary.execute("select pg_create_physical_replication_slot('physical', true)")
    primary.execute("create table t (x int); insert into t select generate_series(1, 1000)")
    primary.execute("create role watcher login in role pg_monitor")
    standby = copy_as_standby(world, primary, "standby")
    standby.set({"max_standby_streaming_delay": "0"})
    with standby.connect(user="watcher") as session:

        def recovery() -> Row:
            (row,) = catalog.read(session, "pg_replication.recovery")
            return row

        primary.execute("insert into t values (0)")
        wait_until(lambda: standby.value("select count(*) from t where x = 0") == 1, 20, "the row is replayed")
        ours, reference = undisturbed(lambda: rows_of(session, RECOVERY), lambda: catalog.read(session, "pg_replication.recovery"))
        same(ours[0], reference[0], list(reference[0]))
        row = ours[0]
        assert row["in_recovery"] and row["timeline_id"] == row["received_tli"] == 1
        assert row["last_wal_receive_lsn"] and row["min_recovery_end_lsn"] and row["last_xact_replay_timestamp"]
        assert (row["wal_replay_pause_state"], row["backup_start_lsn"]) == ("not paused", None)
        if catalog.major >= 15:
            view = "select * from pg_stat_recovery_prefetch"
            ours, reference = undisturbed(
                lambda: rows_of(session, view), lambda: catalog.read(session, "pg_replication.recovery_prefetch")
            )
            same(ours[0], reference[0], list(reference[0]))
            assert set(reference[0]) == set(catalog.columns("pg_replication.recovery_prefetch"))
            assert sum(reference[0][c] for c in ("prefetch", "hit", "skip_init", "skip_new", "skip_fpw", "skip_rep")) > 0

        # A replay that stands still while WAL comes in.
        standby.execute("select pg_wal_replay_pause()")
        primary.execute("insert into t values (-1)")
        wait_until(lambda: paused(session) and recovery()["wal_replay_pause_state"] == "paused", 20, "a pause")
        wait_until(
            lambda: recovery()["last_wal_receive_lsn"] == primary.value("select pg_current_wal_lsn()"), 20, "WAL comes in"
        )
        stood = recovery()["last_wal_replay_lsn"]
        assert stood < recovery()["last_wal_receive_lsn"]
        assert standby.value("select count(*) from t where x = -1") == 0
        standby.execute("select pg_wal_replay_resume()")
        wait_until(lambda: recovery()["last_wal_replay_lsn"] > stood, 20, "it goes on")
        assert recovery()["wal_replay_pause_state"] == "not paused"

        # A query that recovery cancels.
        with standby.connect() as reader, concurrent.futures.ThreadPoolExecutor() as pool:
            sleeps = pool.submit(reader.execute, "select pg_sleep(60) from t limit 1")
            waiting = "select count(*) as n from pg_stat_activity where wait_event = 'PgSleep'"
            wait_until(lambda: rows_of(session, waiting)[0]["n"] == 1, 20, "the query runs")
            primary.execute("delete from t where x < 500")
            primary.execute("vacuum t")
            with pytest.raises(psycopg.errors.SerializationFailure, match="conflict with recovery"):
                sleeps.result(30)
        view = "select d.*, s.conflicts from pg_stat_database_conflicts d join pg_stat_database s using (datid)"
        wait_until(
            lambda: rows_of(session, f"{view} where d.datname = 'postgres'")[0]["confl_snapshot"] == 1, 20, "it is counted"
        )
        databases, reference = undisturbed(
            lambda: rows_of(session, view), lambda: catalog.keyed(session, "pg_stats.databases")
        )
        for one in reference:
            same(databases[one["datid"]], one, [c for c in one if c != "stats_reset"], one["datname"])
        (one,) = [row for row in databases.values() if row["datname"] == "postgres"]
        assert (one["confl_snapshot"], one["conflicts"], one["confl_lock"]) == (1, 1, 0)

    standby.promote()
    with standby.connect(user="watcher") as session:
        wait_until(lambda: not rows_of(session, "select pg_is_in_recovery() as r")[0]["r"], 20, "it is a primary")
        wait_until(
            lambda: catalog.read(session, "pg_replication.recovery")[0]["checkpoint_timeline_id"] == 2, 30, "a checkpoint"
        )
        (row,) = catalog.read(session, "pg_replication.recovery")
        assert (row["in_recovery"], row["timeline_id"]) == (False, 2)
        assert row["received_tli"] is None and row["last_wal_replay_lsn"] is None
        assert row["wal_replay_pause_state"] is None and row["min_recovery_end_lsn"] is None
        assert row["prev_timeline_id"] in (1, 2)
    with primary.connect(user="watcher") as session:
        (row,) = catalog.read(session, "pg_replication.recovery")
        assert (row["in_recovery"], row["timeline_id"], row["prev_timeline_id"]) == (False, 1, 1)
    with standby.connect(user="watcher") as session:
        # What the new primary says agrees with the name of its WAL files.
        name = rows_of(session, "select pg_walfile_name(pg_current_wal_lsn()) as n")[0]["n"]
        assert int(name[:8], 16) == catalog.read(session, "pg_replication.recovery")[0]["timeline_id"]
