"""The catalog's queries where it is not quiet: roles, locks, standbys, hostile databases, time."""

from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, frozen, rows_of, same, undisturbed
from harness import Server, World, wait_until
from harness.installation import Installation
from harness.server import make_folder

SETTINGS = {
    "shared_preload_libraries": "",
    "autovacuum": "off",
    "wal_level": "logical",
    "max_replication_slots": 5,
    "max_slot_wal_keep_size": "1GB",
    "archive_mode": "on",
    # Fails once for each file.
    "archive_command": "test -e tried_%f && exit 0; touch tried_%f; exit 1",
    "wal_receiver_status_interval": 1,
}


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Catalog:
    return Catalog(installation.major)


def copy_as_standby(world: World, primary: Server, name: str) -> Server:
    """A streaming standby without pg_basebackup, which not every installation has."""
    standby = Server(primary.installation, world.path(name), SETTINGS | {"hot_standby": "on"})
    make_folder(primary.installation, standby.folder)
    primary.stop()
    primary.installation.run(["cp", "-a", primary.data, standby.data])
    primary.start()
    (standby.data / "standby.signal").touch()
    primary.installation.own(standby.data / "standby.signal")
    secret = f"{primary.conninfo()} application_name={name} password=do-not-show"
    standby.settings |= {"primary_conninfo": secret, "primary_slot_name": "physical"}
    world.servers.append(standby)
    return standby.start()


@pytest.fixture(scope="module")
def pair(module_world: World) -> tuple[Server, Server]:
    primary = module_world.server("primary", SETTINGS)
    primary.execute("select pg_create_physical_replication_slot('physical', true)")
    primary.execute("create publication everything for all tables")
    primary.execute("select pg_create_logical_replication_slot('logical', 'pgoutput')")
    primary.execute("create table t as select 1 as x")
    primary.execute("create role watcher login in role pg_monitor")
    standby = copy_as_standby(module_world, primary, "standby")
    streaming = "select count(*) from pg_stat_replication where state = 'streaming'"
    wait_until(lambda: primary.value(streaming) == 1, 20, "streaming")
    return primary, standby


def test_server_row_of_a_primary(catalog: Catalog, pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    with primary.connect() as session, primary.connect() as other:
        other.execute("insert into t values (0)")
        other.execute("select pg_switch_wal()")
        archived = "select failed_count > 0 and archived_count > 0 as both from pg_stat_archiver"
        wait_until(lambda: rows_of(other, archived)[0]["both"], 30, "the archiver failed and worked")
        # Two holders of one row lock make a multixact.
        for one in (session, other):
            one.execute("begin")
            one.execute("select * from t for share")
        for one in (session, other):
            one.execute("commit")
        # An id given and still open is counted, though no snapshot ends behind it.
        other.execute("begin")
        newest = rows_of(other, "select pg_current_xact_id()::text::bigint as xid")[0]["xid"]
        frozen(session, catalog.major)
        (row,) = catalog.read(session, "pg_stats.server")
        assert row["next_xid"] == newest + 1
        assert rows_of(session, "select pg_snapshot_xmax(pg_current_snapshot())::text as x") == [
            {"x": str(newest)}
        ]
        other.execute("rollback")
        views = ["pg_stat_bgwriter", "pg_stat_archiver"]
        views += ["pg_stat_wal"] if catalog.major >= 14 else []
        for view in views:
            (reference,) = rows_of(session, f"select * from {view}")
            resets = reference.pop("stats_reset")
            assert row[view.removeprefix("pg_stat_") + "_stats_reset"] == resets
            same(row, reference, list(reference), view)
        if catalog.major >= 17:
            (reference,) = rows_of(session, "select * from pg_stat_checkpointer")
            renamed = {
                "num_timed": "checkpoints_timed",
                "num_requested": "checkpoints_req",
                "num_done": "checkpoints_done",
                "write_time": "checkpoint_write_time",
                "sync_time": "checkpoint_sync_time",
                "buffers_written": "buffers_checkpoint",
                "stats_reset": "checkpointer_stats_reset",
            }
            for name, value in reference.items():
                assert row[renamed.get(name, name)] == value, name
        session.execute("commit")
        session.execute("checkpoint")
        (row,) = catalog.read(session, "pg_stats.server")
        (reference,) = rows_of(
            session,
            "select *, pg_current_wal_lsn() as lsn, pg_postmaster_start_time() as start,"
            " pg_conf_load_time() as loaded, version() as version from pg_control_checkpoint()",
        )
        assert row["next_multixact_id"] == int(reference["next_multixact_id"]) > 1
        epoch, xid = reference["next_xid"].split(":")
        assert row["next_xid"] == int(epoch) * 2**32 + int(xid)
        same(row, reference, ["checkpoint_lsn", "redo_lsn", "checkpoint_time", "timeline_id"])
        assert row["postmaster_start_time"] == reference["start"]
        assert row["conf_load_time"] == reference["loaded"]
        assert f"PostgreSQL {row['server_version']} " in reference["version"] + " "
        assert row["server_version_num"] // 10000 == catalog.major
        assert row["in_recovery"] is False
        assert row["current_wal_flush_lsn"] <= row["current_wal_lsn"] <= row["current_wal_insert_lsn"]
        assert row["current_wal_insert_lsn"] and row["last_wal_replay_lsn"] is None
        assert row["wal_replay_pause_state"] is None


def test_senders_and_slots(catalog: Catalog, pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    microseconds = "(extract(epoch from {0}) * 1000000)::bigint as {0}"
    lags = ", ".join(microseconds.format(f"{one}_lag") for one in ("write", "flush", "replay"))
    with primary.connect() as session:

        def senders() -> list[Row]:
            sql = "select *, host(client_addr) as client_addr, backend_xmin::text::bigint as "
            sql += f"backend_xmin, {lags} from pg_stat_replication"
            rows = rows_of(session, sql)
            if rows[0]["replay_lag"] is None:  # as on a server with nothing to send
                session.execute("insert into t values (1)")
            assert rows[0]["replay_lag"] is not None
            return rows

        ours, reference = undisturbed(senders, lambda: catalog.read(session, "pg_replication.senders"))
        assert len(ours) == len(reference) == 1
        same(ours[0], reference[0], catalog.columns("pg_replication.senders"))
        assert ours[0]["application_name"] == "standby"
        assert set(rows_of(session, "select * from pg_stat_replication")[0]) == set(ours[0])

        def slots() -> list[Row]:
            return rows_of(
                session,
                "select *, xmin::text::bigint as slot_xmin, catalog_xmin::text::bigint as catalog_xmin"
                " from pg_replication_slots",
            )

        ours, reference = undisturbed(slots, lambda: catalog.keyed(session, "pg_replication.slots"))
        assert sorted(ours) == ["logical", "physical"]
        for one in reference:
            # No column of a table can be named xmin.
            same(ours[one["slot_name"]], one, [c for c in one if c != "xmin"], one["slot_name"])
        assert ours["physical"]["active_pid"] and ours["physical"]["restart_lsn"]
        assert ours["logical"]["catalog_xmin"] and ours["logical"]["confirmed_flush_lsn"]


def test_decoding_counters(catalog: Catalog, pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    if catalog.major < 14:
        pytest.skip("13 has no counters of slots")
    with primary.connect() as session:
        session.execute("create table decoded (x int)")
        session.execute("insert into decoded select generate_series(1, 5000)")
        session.execute(
            "select count(*) from pg_logical_slot_get_binary_changes('logical', null, null,"
            " 'proto_version', '1', 'publication_names', 'everything')"
        )
        counters = "select * from pg_stat_replication_slots where total_bytes > 0 and total_txns > 0"
        wait_until(lambda: rows_of(session, counters), 10, "counters of the slot")
        row, references = undisturbed(
            lambda: rows_of(session, counters), lambda: catalog.keyed(session, "pg_replication.slots")["logical"]
        )
        same(row, references[0], list(references[0]))
        assert row["total_txns"] > 0
        assert catalog.keyed(session, "pg_replication.slots")["physical"]["total_txns"] is None


def test_standby(catalog: Catalog, pair: tuple[Server, Server]) -> None:
    primary, standby = pair
    with standby.connect() as session:
        for name in catalog.queried():
            catalog.keyed(session, name) if catalog.keys(name) else catalog.read(session, name)

        def receiver() -> list[Row]:
            return rows_of(session, "select * from pg_stat_wal_receiver")

        ours, reference = undisturbed(receiver, lambda: catalog.read(session, "pg_replication.receiver"))
        assert len(ours) == len(reference) == 1
        same(ours[0], reference[0], list(reference[0]))
        assert list(reference[0]) == catalog.columns("pg_replication.receiver")
        assert "do-not-show" not in ours[0]["conninfo"] and "password" in ours[0]["conninfo"]
        positions = (
            "select pg_last_wal_receive_lsn() as last_wal_receive_lsn,"
            " pg_last_wal_replay_lsn() as last_wal_replay_lsn,"
            " pg_last_xact_replay_timestamp() as last_xact_replay_timestamp,"
            " pg_is_in_recovery() as in_recovery"
        )
        ours, reference = undisturbed(
            lambda: rows_of(session, positions), lambda: catalog.read(session, "pg_stats.server")
        )
        same(ours[0], reference[0], list(reference[0]))
        assert ours[0]["last_xact_replay_timestamp"] and ours[0]["timeline_id"] == 1
        assert ours[0]["current_wal_lsn"] is None and ours[0]["current_wal_insert_lsn"] is None
        assert ours[0]["wal_replay_pause_state"] == "not paused"
        next_xid = primary.value("select pg_current_xact_id()::text::bigint") + 1
        wait_until(
            lambda: catalog.read(session, "pg_stats.server")[0]["next_xid"] == next_xid,
            10,
            "the standby knows the next transaction id",
        )


@pytest.mark.parametrize("which", [0, 1])
def test_pg_monitor_reads_what_a_superuser_reads(
    catalog: Catalog, pair: tuple[Server, Server], which: int
) -> None:
    server = pair[which]
    with server.connect() as superuser, server.connect(user="watcher") as watcher:
        for session in (superuser, watcher):
            frozen(session, catalog.major)
        for name in catalog.queried():
            if name.startswith(("pg_activity.", "pg_locks.")):
                continue  # of the other session; test_catalog_pg_activity reads as a member
            if name in ("pg_stats.databases", "pg_stats.tables", "pg_stats.indexes"):
                assert len(catalog.read(superuser, name)) == len(catalog.read(watcher, name)) > 0
                continue

            def all_is_seen() -> bool:
                """A figure may come between the two readings, the lag of a sender say; what is hidden stays so."""
                ours, reference = catalog.read(watcher, name), catalog.read(superuser, name)
                assert len(ours) == len(reference), name
                for mine, full in zip(ours, reference):
                    hidden = [c for c in full if mine[c] is None and full[c] is not None]
                    if name.startswith("pg_bloat."):  # from statistics of columns it may not read
                        hidden = [c for c in hidden if not c.startswith("estimated_")]
                    assert hidden == [], f"{name}: a member of pg_monitor does not see {hidden}"
                return True

            wait_until(all_is_seen, 5, "a member of pg_monitor sees all")


def test_locks_are_no_obstacle(catalog: Catalog, pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    primary.execute(
        "create table locked (x int primary key, y text default lower('A') check (y <> 'b'), z int generated always as (x + 1) stored);"
        " create index on locked ((x + 1)) where y > 'a'; create table cut (x int)"
    )
    primary.execute("create table dropped (x int); create materialized view locked_view as select 1")
    relids = primary.value("select array_agg(oid::int8) from pg_class where relname ~ '^(locked|cut)'")
    with primary.connect() as holder, primary.connect() as session:
        holder.execute("begin")
        holder.execute("lock table locked, cut in access exclusive mode")
        holder.execute("truncate cut; alter table locked add w int; reindex table locked")
        holder.execute("refresh materialized view locked_view; drop table dropped")
        session.execute("set lock_timeout = 1")
        for name in catalog.queried():
            found = catalog.keyed(session, name)
            if name == "pg_stats.relations":
                assert set(relids) <= set(found)
        held = "select count(distinct relation) from pg_locks where mode = 'AccessExclusiveLock' and"
        assert session.execute(f"{held} relation = any (%s)", (relids,)).fetchone() >= (3,)
        holder.execute("rollback")


EVIL = """
create schema evil;
create function evil.pg_stat_get_numscans(oid) returns int8 language sql as 'select 666::int8';
create function evil.age(xid) returns int4 language sql as 'select 666';
create function evil.host(inet) returns text language sql as 'select ''evil''::text';
create function evil.same(oid, oid) returns bool language sql as 'select false';
create function evil.plus(int8, int8) returns int8 language sql as 'select 666::int8';
create operator evil.= (leftarg = oid, rightarg = oid, function = evil.same);
create operator evil.<> (leftarg = oid, rightarg = oid, function = evil.same);
create operator evil.+ (leftarg = int8, rightarg = int8, function = evil.plus);
create operator evil.- (leftarg = int8, rightarg = int8, function = evil.plus);
create operator evil.& (leftarg = int8, rightarg = int8, function = evil.plus);
create domain evil.int8 as pg_catalog.int4; create domain evil.text as pg_catalog.varchar;
create view evil.pg_class as select oid, 'evil'::name as relname from pg_catalog.pg_class limit 1;
create view evil.pg_database as select 0::oid as oid;
create view evil.pg_stat_database as select 0::oid as datid;
create table evil."pg_index" ();
"""


def test_a_hostile_database_changes_nothing(catalog: Catalog, pair: tuple[Server, Server]) -> None:
    primary, _ = pair
    primary.execute("create database hostile")
    with primary.connect("hostile") as session:
        session.execute(EVIL.encode())
    with primary.connect("hostile") as honest, primary.connect("hostile") as misled:
        misled.execute("set search_path = evil, pg_catalog, public")
        assert rows_of(misled, "select age('3'::xid) as lie") == [{"lie": 666}]
        for session in (honest, misled):
            frozen(session, catalog.major)
        for name in catalog.queried():
            if name.startswith(("pg_activity.", "pg_locks.")):
                continue  # each session sees the other one
            mine = {c["name"] for c in catalog.rowsets[name]["columns"] if c["kind"] == "label"}
            right, wrong = catalog.read(honest, name), catalog.read(misled, name)
            labels = [sorted(repr({c: row[c] for c in mine}) for row in rows) for rows in (right, wrong)]
            assert labels[0] == labels[1], name

        def next_xids() -> set[int]:
            return {catalog.read(s, "pg_stats.server")[0]["next_xid"] for s in (honest, misled)}

        wait_until(lambda: len(next_xids()) == 1, 10, "one next transaction id")
        relations = [catalog.read(s, "pg_stats.relations") for s in (honest, misled)]
        assert relations[0] == relations[1]


def test_nothing_changes_by_time_alone(catalog: Catalog, world: World) -> None:
    server = world.server(settings=SETTINGS | {"archive_mode": "off"})
    with server.connect() as session:
        frozen(session, catalog.major)

        def nothing_changes() -> bool:
            """What the server's own processes do, a wait event say, changes now and then; age always would."""
            first = {name: catalog.read(session, name) for name in catalog.queried()}
            start = first["pg_stats.server"][0]["clock_timestamp"]
            later = "select clock_timestamp() > %s::timestamptz + interval '1.5 s'"
            wait_until(lambda: session.execute(later, (start,)).fetchone() == (True,), 10, "time goes by")
            for name, rows in first.items():
                again = catalog.read(session, name)
                assert len(again) == len(rows), name
                for before, after in zip(rows, again):
                    changed = [column for column in before if before[column] != after[column]]
                    assert changed == (["clock_timestamp"] if name == "pg_stats.server" else []), name
            return True

        wait_until(nothing_changes, 15, "a stretch of time in which nothing changes")


def test_timeline_after_promotion(catalog: Catalog, world: World) -> None:
    primary = world.server("primary", SETTINGS)
    primary.execute("select pg_create_physical_replication_slot('physical', true)")
    standby = copy_as_standby(world, primary, "standby")
    standby.promote()
    with standby.connect() as session:
        wait_until(lambda: not rows_of(session, "select pg_is_in_recovery() as r")[0]["r"], 20)
        (row,) = catalog.read(session, "pg_stats.server")
        assert (row["timeline_id"], row["in_recovery"]) == (2, False)
        assert row["current_wal_lsn"] and row["last_wal_replay_lsn"] is None


def test_next_xid_beyond_32_bits(catalog: Catalog, world: World) -> None:
    server = world.server(settings=SETTINGS, start=False)
    resetwal = server.bindir / "pg_resetwal"
    if not resetwal.exists():
        pytest.skip("no pg_resetwal")
    # The file of transaction states that holds the id.
    xid = 100_000_000
    segment = server.data / "pg_xact" / f"{xid // (32 * 32768):04X}"
    segment.write_bytes(b"\0" * 32 * 8192)
    server.installation.own(segment)
    server.installation.run([resetwal, "-e", "5", "-x", str(xid), "-D", server.data])
    server.start()
    with server.connect() as session, server.connect() as other:
        newest = rows_of(other, "select pg_current_xact_id()::text::bigint as xid")[0]["xid"]
        assert newest > 5 * 2**32 + xid - 1
        frozen(session, catalog.major)
        assert catalog.read(session, "pg_stats.server")[0]["next_xid"] == newest + 1
