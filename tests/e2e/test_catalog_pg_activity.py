"""pg_activity and pg_locks of the catalog: states provoked for real, compared with PostgreSQL's own views."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, rows_of, same, undisturbed
from harness import Server, World, wait_until
from harness.installation import Installation

SETTINGS = {
    "shared_preload_libraries": "",
    "autovacuum": "off",
    "wal_level": "logical",
    "max_prepared_transactions": 5,
    "max_replication_slots": 5,
    "deadlock_timeout": "60s",
}


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Catalog:
    return Catalog(installation.major)


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    made = module_world.server(settings=SETTINGS)
    made.execute("create role watcher login in role pg_monitor; create role worker login connection limit 9")
    made.execute("create table t (id int primary key, x int)")
    made.execute("insert into t select i, i from generate_series(1, 100) i; analyze t")
    made.execute("grant all on t to worker")
    return made


@pytest.fixture
def watcher(server: Server) -> "Iterator[psycopg.Connection[Any]]":
    """A member of pg_monitor and nothing more; alone, for sessions of the test before end after their connection."""
    with server.connect(user="watcher") as session:
        wait_until(lambda: not others(session), 20, "the sessions before this one are gone")
        yield session


def others(session: "psycopg.Connection[Any]") -> list[Row]:
    return rows_of(
        session,
        "select pid, state, wait_event_type, wait_event from pg_stat_activity"
        " where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid()",
    )


def wait_idle(session: "psycopg.Connection[Any]", clients: int) -> None:
    """Until so many other clients wait for their next command: a backend says so after it has answered the last."""

    def idle() -> bool:
        found = others(session)
        assert len(found) == clients and all(one["wait_event"] == "ClientRead" for one in found), found
        return True

    wait_until(idle, 20, f"{clients} idle clients")


def pid(session: "psycopg.Connection[Any]") -> int:
    return session.info.backend_pid


@contextmanager
def running(
    session: "psycopg.Connection[Any]", sql: str, until: Callable[[], Any], what: str
) -> Iterator[Any]:
    """Inside: `sql` runs in the session and `until` was true; afterwards it is cancelled."""
    ends: list[BaseException | None] = []

    def run() -> None:
        try:
            session.execute(sql.encode())
        except psycopg.Error as error:
            ends.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield wait_until(lambda: ends or until(), 20, what)
        assert not ends, ends
    finally:
        while thread.is_alive():
            session.cancel()
            thread.join(1)


def waits(watcher: "psycopg.Connection[Any]", who: "psycopg.Connection[Any]") -> Callable[[], bool]:
    sql = f"select wait_event_type = 'Lock' as w from pg_stat_activity where pid = {pid(who)}"
    return lambda: bool(rows_of(watcher, sql)[0]["w"])


# --- sessions


SESSIONS = """
select coalesce(datid, 0) as datid, coalesce(usesysid, 0) as usesysid, coalesce(application_name, '') as application_name,
       coalesce(backend_type, '') as backend_type, coalesce(state, '') as state,
       coalesce(wait_event_type, '') as wait_event_type, coalesce(wait_event, '') as wait_event, datname, usename,
       count(*) as sessions, min(xact_start) as oldest_xact_start, min(query_start) as oldest_query_start,
       min(state_change) as oldest_state_change
  from pg_stat_activity where pid <> pg_backend_pid() and backend_type in ('client backend')
 group by 1, 2, 3, 4, 5, 6, 7, 8, 9 order by 1, 2, 3, 4, 5, 6, 7
"""


def test_sessions_are_counted(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(server.connect(user="worker")) for _ in range(3)]
        for one in idle[:2]:
            one.execute("set application_name = 'pair'")
        busy = stack.enter_context(server.connect())
        busy.execute("begin")
        busy.execute("select 1")
        wait_idle(watcher, 4)
        ours, reference = undisturbed(
            lambda: rows_of(watcher, SESSIONS), lambda: catalog.keyed(watcher, "pg_activity.sessions")
        )
        keys = catalog.keys("pg_activity.sessions")
        clients = {key: row for key, row in ours.items() if row["backend_type"] == "client backend"}
        assert len(clients) == len(reference)
        for one in reference:
            same(clients[tuple(one[key] for key in keys)], one, catalog.columns("pg_activity.sessions"))
        of_worker = {r["application_name"]: r for r in clients.values() if r["usename"] == "worker"}
        assert {name: row["sessions"] for name, row in of_worker.items()} == {"pair": 2, "": 1}
        assert of_worker["pair"]["state"] == "idle" and of_worker["pair"]["oldest_xact_start"] is None
        (in_transaction,) = [r for r in clients.values() if r["state"] == "idle in transaction"]
        assert in_transaction["oldest_xact_start"] and in_transaction["wait_event"] == "ClientRead"
        checkpointer = [row for row in ours.values() if row["backend_type"] == "checkpointer"]
        assert checkpointer[0]["datid"] == 0 and checkpointer[0]["state"] == ""


def test_old_sessions(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    name = "pg_activity.old_sessions"
    assert "'00:00:10'" in catalog.rowsets[name]["sql"]
    with server.connect() as idle, server.connect() as busy, server.connect() as quiet:
        assert catalog.read(watcher, name) == []  # nobody is older than ten seconds
        quiet.execute("select 1")
        idle.execute("begin")
        idle.execute("update t set x = x where id = 7 and 'secret' <> ''")
        active = f"select state = 'active' as a from pg_stat_activity where pid = {pid(busy)}"
        with running(busy, "select pg_sleep(60)", lambda: rows_of(watcher, active)[0]["a"], "it sleeps"):
            # The same query with a shorter age, so that the test need not wait.
            catalog.rowsets[name]["sql"] = catalog.rowsets[name]["sql"].replace("'00:00:10'", "'00:00:00.2'")
            sql = (
                "select *, host(client_addr) as client_addr, backend_xid::text::bigint as backend_xid,"
                f" backend_xmin::text::bigint as backend_xmin from pg_stat_activity where pid = any ('{{{pid(idle)},"
                f"{pid(busy)}}}')"
            )
            try:
                wait_until(lambda: len(catalog.read(watcher, name)) == 2, 10, "two old sessions")
                ours, reference = undisturbed(lambda: rows_of(watcher, sql), lambda: catalog.keyed(watcher, name))
            finally:
                catalog.rowsets[name]["sql"] = catalog.rowsets[name]["sql"].replace("'00:00:00.2'", "'00:00:10'")
        assert len(reference) == 2
        for one in reference:
            same(ours[one["pid"]], one, catalog.columns(name), one["pid"])
        assert ours[pid(idle)]["backend_xid"] and ours[pid(busy)]["backend_xmin"]
        assert ours[pid(idle)]["state"] == "idle in transaction"
        assert "secret" in ours[pid(idle)]["query"]  # the visitor takes it out


# --- who holds the horizon


def test_prepared_transactions_and_horizon(
    catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    horizon = "pg_activity.horizon"
    assert catalog.read(watcher, horizon) == []
    with server.connect() as first, server.connect() as second, server.connect() as prepared:
        prepared.execute("begin")
        prepared.execute("insert into t values (1000, 1)")
        prepared.execute("prepare transaction 'held back'")
        for one in (first, second):
            one.execute("begin")
            one.execute("select pg_current_xact_id()")
        first.execute("set application_name = 'the first'")
        (ours,) = catalog.read(watcher, "pg_activity.prepared_transactions")
        reference = rows_of(
            watcher,
            "select x.*, x.transaction::text::bigint as transaction, d.oid as datid, database as datname"
            " from pg_prepared_xacts x join pg_database d on d.datname = x.database",
        )
        same(ours, reference[0], catalog.columns("pg_activity.prepared_transactions"))
        assert ours["gid"] == "held back"

        found = {row["holder"]: row for row in catalog.read(watcher, horizon)}
        assert set(found) == {"session", "prepared transaction"}
        sql = "select backend_xid::text::bigint as x, xact_start from pg_stat_activity"
        xid = rows_of(watcher, f"{sql} where pid = {pid(first)}")
        same(
            found["session"],
            {"xid": xid[0]["x"], "since": xid[0]["xact_start"], "pid": pid(first), "holders": 2, "oldest": False,
             "application_name": "the first", "usename": "postgres", "name": None, "datname": "postgres"},
            ["xid", "since", "pid", "holders", "oldest", "application_name", "usename", "name", "datname"],
        )
        same(
            found["prepared transaction"],
            {"xid": ours["transaction"], "since": ours["prepared"], "pid": None, "holders": 1, "oldest": True,
             "name": "held back", "usename": "postgres", "datname": "postgres"},
            ["xid", "since", "pid", "holders", "oldest", "name", "usename", "datname"],
        )
        for one in (first, second):
            one.execute("rollback")
    server.execute("rollback prepared 'held back'")
    # A logical slot holds the catalogs back.
    server.execute("select pg_create_logical_replication_slot('l', 'pgoutput')")
    slot = rows_of(watcher, "select catalog_xmin::text::bigint as x from pg_replication_slots where slot_name = 'l'")
    (row,) = [r for r in catalog.read(watcher, horizon) if r["holder"].startswith("slot")]
    assert (row["holder"], row["name"], row["xid"], row["oldest"]) == ("slot, catalogs", "l", slot[0]["x"], True)
    assert row["datname"] == "postgres" and row["pid"] is None
    server.execute("select pg_drop_replication_slot('l')")


# --- connections


def test_connections(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(server.connect(user="worker"))
        wait_idle(watcher, 4)
        rows = catalog.keyed(watcher, "pg_activity.connections")
        (reference,) = rows_of(
            watcher,
            "select count(*) as clients, count(*) filter (where usename = 'worker') as worker,"
            " count(*) filter (where datname = 'postgres') as postgres, current_setting('max_connections')::int"
            " as most, current_setting('superuser_reserved_connections')::int as superusers,"
            " coalesce(current_setting('reserved_connections', true)::int, 0) as reserved"
            " from pg_stat_activity where backend_type = 'client backend'",
        )
        by = {(row["kind"], row["name"]): (row["used"], row["allowed"]) for row in rows.values()}
        assert by["server", None] == (reference["clients"], reference["most"])
        free_for_all = reference["most"] - reference["superusers"] - reference["reserved"]
        assert by["unreserved", None] == (reference["clients"], free_for_all)
        assert by["superuser_reserved", None] == (0, reference["superusers"])
        assert ("reserved", None) in by or catalog.major < 16
        assert by["role", "worker"] == (reference["worker"], 9) == (4, 9)
        assert by["database", "postgres"] == (reference["postgres"], None)
        assert by["wal_senders", None][0] == 0
        # Into the reserve: superusers get the last places.
        for _ in range(free_for_all - reference["clients"] + 2):
            stack.enter_context(server.connect())
        rows = catalog.keyed(watcher, "pg_activity.connections")
        by = {(row["kind"], row["name"]): (row["used"], row["allowed"]) for row in rows.values()}
        assert by["unreserved", None] == (free_for_all, free_for_all)
        assert by["server", None][0] == free_for_all + 2
        used = by["superuser_reserved", None][0] + by.get(("reserved", None), (0, 0))[0]
        assert used == 2


# --- progress


NAP = """create function nap(x int) returns int immutable language plpgsql as $$ begin
if current_setting('nap.wanted', true) = 'on' then perform pg_sleep(0.2); end if; return x; end $$"""
# What fills each view, on a table of its own that has an index on nap(x).
PROGRESS = {
    "create_index": "create index on {table} (nap(x), x)",
    "vacuum": "vacuum (freeze) {table}",
    "analyze": "analyze {table}",
    "cluster": "vacuum full {table}",
    "copy": "copy (select nap(x) from {table}) to '/dev/null'",
}
# 0 in these columns of the views means none.
ZERO_IS_NONE = {"current_child_table_relid", "index_relid", "current_locker_pid", "cluster_index_relid"}
FIGURES = ("blocks_", "heap_blks_", "sample_blks_", "tuples_")
ZERO_IS_NONE |= {"bytes_total", "relid"}


@pytest.fixture(scope="module")
def napping(server: Server) -> Server:
    server.execute(NAP)
    return server


@pytest.mark.parametrize("name", PROGRESS)
def test_progress_is_caught_in_the_act(
    catalog: Catalog, napping: Server, watcher: "psycopg.Connection[Any]", name: str
) -> None:
    rowset, table = f"pg_activity.progress_{name}", f"progress_{name}"
    if name == "copy" and catalog.major < 14:
        assert catalog.rowsets[rowset]["sql"] == ""
        return
    napping.execute(f"create table {table} (x int); create index on {table} (nap(x))")
    napping.execute(f"insert into {table} select generate_series(1, 3000)")
    assert catalog.read(watcher, rowset) == []
    with napping.connect() as worker:
        who = pid(worker)
        worker.execute("set nap.wanted = 'on'; set vacuum_cost_delay = 100; set vacuum_cost_limit = 1")

        def caught() -> Any:
            before = rows_of(watcher, f"select * from pg_stat_progress_{name}")
            ours = catalog.read(watcher, rowset)
            after = rows_of(watcher, f"select * from pg_stat_progress_{name}")
            moved = ours and any(v for c, v in ours[0].items() if c.startswith(FIGURES) and v)
            return (ours, before) if moved and before == after else None

        with running(worker, PROGRESS[name].format(table=table), caught, f"{name} in progress") as found:
            (ours,), (reference,) = found
    expected = {c: None if c in ZERO_IS_NONE and not v else v for c, v in reference.items()}
    assert set(expected) == set(ours)
    same(ours, expected, list(expected), name)
    assert ours["pid"] == who and ours["datname"] == "postgres"


def test_base_backup_is_caught_in_the_act(
    catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    rowset = "pg_activity.progress_basebackup"
    assert catalog.read(watcher, rowset) == []
    sender = psycopg.pq.PGconn.connect((server.conninfo() + " replication=true").encode())
    try:
        # It sends into a socket that nobody reads.
        slow = b"BASE_BACKUP (MAX_RATE 32, CHECKPOINT 'fast')" if catalog.major >= 15 else b"BASE_BACKUP MAX_RATE 32 FAST"
        sender.send_query(slow)
        view = "select * from pg_stat_progress_basebackup"

        def caught() -> Any:
            before = rows_of(watcher, view)
            ours = catalog.read(watcher, rowset)
            still = before == rows_of(watcher, view)
            return (ours, before) if still and ours and ours[0]["backup_streamed"] else None

        found = wait_until(caught, 30, "a base backup in progress")
        assert found
        (ours,), (reference,) = found
        assert set(reference) == set(ours)
        same(ours, reference, list(reference))
        assert ours["phase"] == "streaming database files" and ours["tablespaces_total"] == 1
        rows = {row["kind"]: row for row in catalog.read(watcher, "pg_activity.connections") if not row["oid"]}
        assert rows["wal_senders"]["used"] == 1
    finally:
        sender.finish()
    wait_until(lambda: not catalog.read(watcher, rowset), 20, "the sender noticed")


# --- locks


@contextmanager
def chain(server: Server, watcher: "psycopg.Connection[Any]") -> Iterator[dict[str, Any]]:
    """root <- a <- b <- c and b <- d: a chain of depth 3 with a fork."""
    with ExitStack() as stack:
        names = ("root", "a", "b", "c", "d")
        who = {name: stack.enter_context(server.connect(user="worker")) for name in names}
        for name, session in who.items():
            session.execute(f"set application_name = '{name}'")
            session.execute("begin")
        for number, name in ((1, "root"), (2, "a"), (3, "b"), (4, "b")):
            who[name].execute(f"update t set x = x where id = {number}")
        for name, number in (("a", 1), ("b", 2), ("c", 3), ("d", 4)):
            sql = f"update t set x = 17 where id = {number}"
            stack.enter_context(running(who[name], sql, waits(watcher, who[name]), name))
        yield {name: pid(session) for name, session in who.items()}


def test_blocking_chain(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    name = "pg_locks.blocking"
    assert catalog.read(watcher, name) == []
    with chain(server, watcher) as pids:
        # Those that wait are known to; the root is idle, and says so a little after its last answer.
        root = f"select wait_event from pg_stat_activity where pid = {pids['root']}"
        wait_until(lambda: rows_of(watcher, root) == [{"wait_event": "ClientRead"}], 20, "the root is idle")
        rows = catalog.keyed(watcher, name)
        assert set(rows) == set(pids.values())
        for row in rows.values():
            (reference,) = rows_of(watcher, f"select pg_blocking_pids({row['pid']}) as pids")
            assert row["blocked_by"] == (sorted(set(reference["pids"])) or None), row
        by = {one: rows[number] for one, number in pids.items()}
        assert {one for one, row in by.items() if row["blocked_by"] is None} == {"root"}
        assert by["root"]["roots"] is None
        assert all(by[one]["roots"] == [pids["root"]] for one in "abcd")
        assert by["a"]["blocked_by"] == [pids["root"]] and by["b"]["blocked_by"] == [pids["a"]]
        assert by["c"]["blocked_by"] == by["d"]["blocked_by"] == [pids["b"]]
        assert [by[one]["all_blocks"] for one in ("root", "a", "b", "d")] == [4, 3, 2, 0]
        assert by["root"]["blocks"] == 1 and by["b"]["blocks"] == 2
        assert by["root"]["state"] == "idle in transaction" and by["c"]["wait_event_type"] == "Lock"
        lock_rows = rows_of(watcher, "select * from pg_locks where not granted")
        assert len(lock_rows) == 4
        for lock in lock_rows:
            row = rows[lock["pid"]]
            same(row, lock, ["locktype", "mode", "relation"])
            assert row["wait_start"] == lock.get("waitstart") and row["locked_datid"] == lock["database"]
            assert row["wait_start"] or catalog.major < 14
        activity = rows_of(watcher, "select * from pg_stat_activity where usename = 'worker'")
        assert len(activity) == 5
        columns = [c for c in activity[0] if c in catalog.columns(name)]
        for one in activity:
            same(rows[one["pid"]], one, columns)

        # Counted by kind and mode, and in the lock table.
        locks = catalog.keyed(watcher, "pg_locks.locks")
        counted = rows_of(
            watcher,
            "select coalesce(database, 0) as datid, locktype, mode, granted, count(*) as locks,"
            " count(*) filter (where fastpath) as fastpath from pg_locks where pid <> pg_backend_pid()"
            " group by 1, 2, 3, 4",
        )
        assert len(counted) == len(locks) > 3
        for one in counted:
            same(locks[one["datid"], one["locktype"], one["mode"], one["granted"]], one, ["locks", "fastpath"])
        (usage,) = catalog.read(watcher, "pg_locks.usage")
        (reference,) = rows_of(
            watcher,
            "select count(distinct (locktype, database, relation, page, tuple, virtualxid, transactionid::text,"
            " classid, objid, objsubid)) filter (where not fastpath) as used, count(*) filter (where fastpath)"
            " as fastpath, count(*) filter (where not granted) as waiting from pg_locks"
            " where pid <> pg_backend_pid()",
        )
        same(usage, reference, list(reference))
        assert usage["waiting"] == 4 and usage["predicate_locks"] == 0
        assert usage["places"] >= 64 * (60 + 5) and usage["predicate_places"] == usage["places"]
    wait_until(lambda: catalog.read(watcher, name) == [], 20, "nobody waits any more")


def test_a_prepared_transaction_is_a_root(
    catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    with server.connect() as prepared:
        prepared.execute("begin")
        prepared.execute("update t set x = x where id = 50")
        prepared.execute("prepare transaction 'root'")
    try:
        with server.connect() as blocked:
            with running(blocked, "update t set x = 1 where id = 50", waits(watcher, blocked), "it waits"):
                rows = catalog.keyed(watcher, "pg_locks.blocking")
                assert set(rows) == {0, pid(blocked)}
                assert rows[pid(blocked)]["roots"] == [0] and rows[0]["all_blocks"] == 1
                assert rows[0]["usename"] is None and rows[0]["blocked_by"] is None
    finally:
        server.execute("rollback prepared 'root'")


def test_a_circle_has_no_root(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    with ExitStack() as stack:
        one, two = (stack.enter_context(server.connect()) for _ in range(2))
        for session, mine, other in ((one, 60, 61), (two, 61, 60)):
            session.execute("begin")
            session.execute(f"update t set x = x where id = {mine}")
        for session, other in ((one, 61), (two, 60)):
            sql = f"update t set x = x where id = {other}"
            stack.enter_context(running(session, sql, waits(watcher, session), "it waits"))
        rows = catalog.keyed(watcher, "pg_locks.blocking")
        assert {row["pid"]: row["blocked_by"] for row in rows.values()} == {
            pid(one): [pid(two)],
            pid(two): [pid(one)],
        }
        assert all(row["roots"] is None for row in rows.values())
