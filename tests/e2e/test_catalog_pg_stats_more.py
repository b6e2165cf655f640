"""The catalog's slower figures against PostgreSQL's own views: functions, sequences, SLRU, I/O, autovacuum's
thresholds, wraparound, settings, extensions, roles, and pg_stat_statements at each version."""

import struct
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, frozen, rows_of, same
from harness import Server, World, wait_until
from harness.installation import Installation

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_planning": "on",
    "autovacuum": "off",
    "track_functions": "all",
    "track_io_timing": "on",
    "ssl_passphrase_command": "echo secret",
    "primary_conninfo": "host=nowhere password=secret",
    "restore_command": "fetch --password=secret https://me:secret@example.org/%f",
    "custom.api_token": "secret",
    "custom.greeting": "hello",
}


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Catalog:
    return Catalog(installation.major)


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    made = module_world.server(settings=SETTINGS)
    made.execute("create role watcher login in role pg_monitor")
    return made


@pytest.fixture
def watcher(server: Server) -> "Iterator[psycopg.Connection[Any]]":
    with server.connect(user="watcher") as session:
        yield session


def by(rows: list[Row], column: str) -> dict[Any, Row]:
    return {row[column]: row for row in rows}


def test_functions(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    server.execute("create function counted(int) returns int language plpgsql as 'begin return $1; end'")
    server.execute("create function caller() returns int language plpgsql as 'begin return counted(1); end'")
    server.execute("select caller(), counted(2)")
    view = "select * from pg_stat_user_functions"
    wait_until(lambda: sum(row["calls"] for row in rows_of(watcher, view)) == 3, 10, "calls are in the statistics")
    ours = catalog.keyed(watcher, "pg_stats.functions")
    assert len(ours) == 2
    for one in rows_of(watcher, view):
        same(ours[one["funcid"]], one, list(one))
        assert one["calls"] == (2 if one["funcname"] == "counted" else 1)


def test_sequences(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    server.execute("create table keyed (id smallserial primary key, big bigint generated always as identity)")
    server.execute("create sequence wide_one; create table narrow (x int default nextval('wide_one'))")
    server.execute("create sequence down increment -1; create sequence round maxvalue 3 cycle; create sequence held")
    server.execute("create temp sequence passing")
    server.execute("create table wide_key (id bigserial primary key, other int unique)")
    server.execute("create table same_width (x bigint references wide_key, y int references wide_key (other))")
    server.execute('create schema "Far away"; create table "Far away"."too narrow" (pointing int references wide_key)')
    server.execute("grant select on all sequences in schema public to watcher; revoke all on sequence down from watcher")
    server.execute("select setval('keyed_id_seq', 32700), setval('wide_one', 2147483000), nextval('round')")
    server.execute("select nextval('down')")
    with server.connect() as holder:
        holder.execute("begin")
        holder.execute("alter sequence held increment 2")
        watcher.execute("set lock_timeout = '100ms'")
        ours = by(list(catalog.keyed(watcher, "pg_stats.sequences").values()), "sequencename")
        holder.execute("rollback")
    reference = rows_of(
        server.connect(),
        "select sequencename, schemaname, start_value as seqstart, min_value as seqmin, max_value as seqmax,"
        " increment_by as seqincrement, cycle as seqcycle, cache_size as seqcache, last_value,"
        " data_type::text as data_type from pg_sequences where schemaname = 'public'",
    )
    assert set(ours) == {one["sequencename"] for one in reference} == {
        "keyed_id_seq", "keyed_big_seq", "wide_one", "down", "round", "held", "wide_key_id_seq"
    }
    for one in reference:
        name = one["sequencename"]
        if name == "down":
            assert (one["last_value"], ours[name]["last_value"]) == (-1, None)  # not for this role
        same(ours[name], one, [c for c in one if name != "down" or c != "last_value"], name)
    assert ours["held"]["last_value"] is None
    # Near its end: 67 and 647 values are left, though the second sequence itself goes on.
    assert ours["keyed_id_seq"]["last_usable"] - ours["keyed_id_seq"]["last_value"] == 67
    assert ours["wide_one"]["last_usable"] - ours["wide_one"]["last_value"] == 647
    assert ours["wide_one"]["seqmax"] == 2**63 - 1 and ours["wide_one"]["owned"] is False
    assert ours["down"]["last_usable"] == ours["down"]["seqmin"] and ours["round"]["seqcycle"]
    assert (ours["keyed_id_seq"]["relname"], ours["keyed_id_seq"]["attname"]) == ("keyed", "id")
    assert ours["keyed_id_seq"]["column_type"] == "smallint" and ours["keyed_id_seq"]["owned"]
    assert ours["keyed_big_seq"]["attname"] == "big" and ours["round"]["relid"] is None
    # The key itself goes on for ever, a table that points to it does not.
    key = ours["wide_key_id_seq"]
    assert (key["column_type"], key["last_usable"]) == ("bigint", 2**63 - 1)
    assert key["narrowest_reference"] == '"Far away"."too narrow".pointing'
    assert (key["narrowest_reference_type"], key["last_referable"]) == ("integer", 2**31 - 1)
    assert ours["keyed_id_seq"]["last_referable"] is None and ours["keyed_id_seq"]["narrowest_reference"] is None
    server.execute("insert into wide_key values (2147483648, 1)")
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        server.execute('insert into "Far away"."too narrow" values (2147483648)')
    server.execute("insert into same_width values (2147483648, 1)")


def test_slru_and_io(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    frozen(watcher, catalog.major)
    ours = catalog.keyed(watcher, "pg_stats.slru")
    reference = rows_of(watcher, "select * from pg_stat_slru")
    assert len(ours) == len(reference) and any(one["blks_hit"] for one in reference)
    for one in reference:
        same(ours[one["name"]], one, list(one))
    if catalog.major < 16:
        assert catalog.rowsets["pg_stats.io"]["sql"] == ""
        return
    keyed = catalog.keyed(watcher, "pg_stats.io")
    reference = rows_of(watcher, "select * from pg_stat_io")
    assert len(keyed) == len(reference) and any(one["reads"] for one in reference)
    for one in reference:
        assert set(one) == set(catalog.columns("pg_stats.io"))
        same(keyed[one["backend_type"], one["object"], one["context"]], one, list(one))
    assert any(row["extends"] is None for row in keyed.values())


def test_waits_for_locks(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    if catalog.major < 19:
        assert catalog.rowsets["pg_stats.lock"]["sql"] == ""
        return
    server.execute("create table contended (x int)")
    with server.connect(autocommit=False) as holder, server.connect() as waiter:
        holder.execute("lock table contended in access exclusive mode")
        waiter.execute("set deadlock_timeout = '20ms'; set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            waiter.execute("select from contended")
        holder.rollback()
        holder.execute("lock table contended in share mode")
        waiter.execute("set lock_timeout = 0")
        release = threading.Timer(0.3, holder.commit)
        release.start()
        waiter.execute("insert into contended values (1); select pg_stat_force_next_flush()")
        release.join()

    def settled() -> bool:
        ours = catalog.keyed(watcher, "pg_stats.lock")
        reference = rows_of(watcher, "select * from pg_stat_lock")
        assert len(ours) == len(reference) > 5
        for one in reference:
            same(ours[one["locktype"]], one, list(one))
        return ours["relation"]["waits"] >= 1 and ours["relation"]["wait_time"] >= 100

    wait_until(settled, 20, "a wait is counted")


def test_scores_of_autovacuum(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    scores = "score xid_score mxid_score vacuum_score vacuum_insert_score analyze_score do_vacuum do_analyze for_wraparound"
    columns = scores.split()
    assert (set(columns) <= set(catalog.columns("pg_stats.autovacuum"))) == (catalog.major >= 19)
    if catalog.major < 19:
        return
    server.execute("create table due (x int) with (autovacuum_enabled = off); insert into due select generate_series(1, 5000)")
    server.execute("analyze due; delete from due where x % 2 = 0")

    def settled() -> bool:
        frozen(watcher, catalog.major)
        try:
            ours = {row["relid"]: row for row in catalog.read(watcher, "pg_stats.autovacuum")}
            reference = rows_of(watcher, "select * from pg_stat_autovacuum_scores")
        finally:
            watcher.execute("rollback")
        for one in reference:
            if one["relid"] in ours:
                same(ours[one["relid"]], one, columns)
        (due,) = [row for row in ours.values() if row["relname"] == "due"]
        return bool(due["vacuum_score"] > 1 and due["score"] >= due["vacuum_score"])

    wait_until(settled, 20, "its dead rows are counted")


def float4(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def test_autovacuum_thresholds(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    server.execute("create table plain_av (x int, t text)")
    server.execute(
        "create table tuned (x int, t text) with (autovacuum_vacuum_threshold = 7, autovacuum_vacuum_scale_factor"
        " = 0.07, autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 3,"
        " autovacuum_analyze_scale_factor = 0.3, autovacuum_freeze_max_age = 1000000, autovacuum_enabled = off)"
    )
    server.execute("create table toasted (t text) with (autovacuum_vacuum_threshold = 7, toast.autovacuum_vacuum_threshold = 9)")
    for table in ("plain_av", "tuned"):
        server.execute(f"insert into {table} select i from generate_series(1, 12345) i")
        server.execute(f"vacuum (freeze, analyze) {table}")
    server.execute("insert into plain_av select i from generate_series(1, 5000) i; analyze plain_av")
    ours = by(list(catalog.keyed(watcher, "pg_stats.autovacuum").values()), "relname")
    classes = by(rows_of(watcher, "select c.*, reltuples::float8 as tuples from pg_class c where relkind in ('r', 't', 'm')"), "relname")
    assert len(catalog.read(watcher, "pg_stats.autovacuum")) == len(classes)

    def reckoned(base: int, factor: float, tuples: float, part: float = 1.0) -> float:
        product = float4(float4(factor) * float4(tuples))
        return float4(float4(base) + float4(product * part))

    row, one = ours["plain_av"], classes["plain_av"]
    part = 1.0
    if catalog.major >= 18:
        assert 0 < one["relallfrozen"] < one["relpages"]
        part = float4(1 - float4(one["relallfrozen"] / one["relpages"]))
    assert one["tuples"] == 17345
    assert row["vacuum_threshold"] == reckoned(50, 0.2, 17345) and row["analyze_threshold"] == reckoned(50, 0.1, 17345)
    assert row["insert_threshold"] == reckoned(1000, 0.2, 17345, part)
    assert (row["freeze_max_age"], row["multixact_freeze_max_age"]) == (200_000_000, 400_000_000)
    row = ours["tuned"]
    assert row["vacuum_threshold"] == reckoned(7, 0.07, 12345) and row["analyze_threshold"] == reckoned(3, 0.3, 12345)
    assert (row["insert_threshold"], row["freeze_max_age"], row["enabled"]) == (None, 1_000_000, False)
    assert ours["plain_av"]["enabled"] is False  # autovacuum is off
    toast = {name: ours["pg_toast_" + str(classes[name]["oid"])] for name in ("tuned", "toasted")}
    assert toast["tuned"]["vacuum_threshold"] == 7 and toast["toasted"]["vacuum_threshold"] == 9
    assert ours["toasted"]["vacuum_threshold"] == 7 and toast["tuned"]["analyze_threshold"] is None


@pytest.mark.time_limit(180)
def test_autovacuum_goes_by_these_thresholds(catalog: Catalog, world: World) -> None:
    """The judge is autovacuum: at the threshold it does nothing, one row beyond it works."""
    off = {"autovacuum": "on", "autovacuum_naptime": "1s", "log_autovacuum_min_duration": "0"}
    server = world.server(settings=off | ({"autovacuum_vacuum_max_threshold": "150"} if catalog.major >= 18 else {}))
    # Off until their load is counted and vacuumed.
    options = "autovacuum_enabled = off, autovacuum_vacuum_threshold = 20, autovacuum_vacuum_scale_factor = 0.07"
    server.execute(f"create table own (x int, t text) with ({options}, autovacuum_vacuum_insert_threshold = 30,"
                   " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_analyze_threshold = 1000000)")
    server.execute("create table as_all (x int, t text) with (autovacuum_enabled = off, autovacuum_vacuum_insert_threshold = -1,"
                   " autovacuum_analyze_threshold = 1000000)")
    server.execute("create table toasted (t text) with (autovacuum_enabled = off,"
                   " toast.autovacuum_vacuum_threshold = 3, toast.autovacuum_vacuum_scale_factor = 0)")
    server.execute("alter table toasted alter t set storage external")

    def figure(table: str, column: str) -> Any:
        return server.value(f"select {column} from pg_stat_all_tables where relname = %s", (table,))

    def load(table: str, sql: str, rows: int) -> None:
        """A session's counters come after its end; come after the vacuum's, they would make another one due."""
        server.execute(f"insert into {table} {sql}")
        wait_until(lambda: figure(table, "n_tup_ins") == rows, 20, f"the load of {table} is counted")
        server.execute(f"vacuum analyze {table}")
        wait_until(lambda: figure(table, "vacuum_count") == 1, 20, f"the vacuum of {table} is counted")

    for table in ("own", "as_all"):
        load(table, "select i, '' from generate_series(1, 1000) i", 1000)
        server.execute(f"alter table {table} reset (autovacuum_enabled)")
    load("toasted", "select repeat('x', 3000) from generate_series(1, 50)", 50)
    toast = server.value("select reltoastrelid::regclass::text from pg_class where relname = 'toasted'").split(".")[1]

    def thresholds() -> dict[str, Row]:
        with server.connect() as session:
            return by(list(catalog.keyed(session, "pg_stats.autovacuum").values()), "relname")

    def nothing_happens(table: str) -> None:
        before = figure(table, "autovacuum_count")
        # Something else that is due tells that a whole round was made.
        server.execute("create table witness (x int) with (autovacuum_vacuum_insert_threshold = 0,"
                       " autovacuum_vacuum_insert_scale_factor = 0)")
        for _ in range(2):
            rounds = figure("witness", "autovacuum_count")
            server.execute("insert into witness values (1)")
            wait_until(lambda: figure("witness", "autovacuum_count") > rounds, 40, "a round of autovacuum")
        server.execute("drop table witness")
        assert figure(table, "autovacuum_count") == before, table

    ours = thresholds()
    assert all(ours[name]["enabled"] for name in ("own", "as_all", toast)) and not ours["toasted"]["enabled"]
    assert ours["own"]["vacuum_threshold"] == 90 and ours[toast]["vacuum_threshold"] == 3
    assert ours["as_all"]["vacuum_threshold"] == (150 if catalog.major >= 18 else 250)
    for table in ("own", "as_all"):
        limit = int(ours[table]["vacuum_threshold"])
        before = figure(table, "autovacuum_count")
        server.execute(f"delete from {table} where x <= {limit}")
        wait_until(lambda: figure(table, "n_dead_tup") == limit, 10, "dead rows are counted")
        nothing_happens(table)
        server.execute(f"delete from {table} where x = {limit} + 1")
        wait_until(lambda: figure(table, "autovacuum_count") == before + 1, 40, f"{table} is vacuumed")
    limit = int(thresholds()["own"]["insert_threshold"])
    assert limit == 30
    before = figure("own", "autovacuum_count")
    server.execute(f"insert into own select 0, '' from generate_series(1, {limit})")
    wait_until(lambda: figure("own", "n_ins_since_vacuum") == limit, 10, "inserts are counted")
    nothing_happens("own")
    server.execute("insert into own values (0, '')")
    wait_until(lambda: figure("own", "autovacuum_count") == before + 1, 40, "own is vacuumed for its inserts")
    before = figure(toast, "autovacuum_count")
    server.execute("delete from toasted where ctid in (select ctid from toasted limit 1)")
    wait_until(lambda: figure(toast, "n_dead_tup") in (2, 3), 10, "dead chunks are counted")
    nothing_happens(toast)
    server.execute("delete from toasted where ctid in (select ctid from toasted limit 1)")
    wait_until(lambda: figure(toast, "autovacuum_count") == before + 1, 40, "the TOAST table is vacuumed")


def test_wraparound_and_oldest_relations(
    catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]"
) -> None:
    with server.connect() as owner:
        owner.execute("create temp table forgotten (x int)")
        found = catalog.keyed(watcher, "pg_stats.oldest_relations")
        named: set[int] = set()
        for place, column, age in (
            ("by_xid", "relfrozenxid", "age"),
            ("by_mxid", "relminmxid", "mxid_age"),
        ):
            reference = rows_of(
                watcher,
                "select oid as relid, relname, relpersistence::text, relkind::text,"
                " relfrozenxid::text::bigint as relfrozenxid, relminmxid::text::bigint as relminmxid from pg_class"
                f" where relkind in ('r', 't', 'm') order by {age}({column}) desc, oid limit 10",
            )
            first = sorted((row for row in found.values() if row[place]), key=lambda row: row[place])
            assert [row[place] for row in first] == list(range(1, 11))
            assert [row["relid"] for row in first] == [one["relid"] for one in reference]
            for row, one in zip(first, reference):
                same(row, one, list(one))
            named |= {row["relid"] for row in first}
        assert {row["relid"] for row in found.values()} == named
        # Everything else frozen now, a temporary table is the oldest.
        server.execute("vacuum freeze")
        owner.execute("select pg_current_xact_id()")
        names = [row["relname"] for row in catalog.read(watcher, "pg_stats.oldest_relations") if row["by_xid"] == 1]
        assert names == ["forgotten"]
    (row,) = catalog.read(watcher, "pg_stats.wraparound")
    (reference,) = rows_of(
        watcher,
        "select *, oldest_xid_dbid as oldest_xid_datid, oldest_multi_dbid as oldest_multi_datid from"
        " (select oldest_xid::text::bigint as oldest_xid, oldest_active_xid::text::bigint as oldest_active_xid,"
        " oldest_multi_xid::text::bigint as oldest_multi_xid, next_multi_offset::text::bigint as next_multi_offset,"
        " oldest_xid_dbid, oldest_multi_dbid, checkpoint_time from pg_control_checkpoint()) k",
    )
    same(row, reference, [c for c in reference if not c.endswith("dbid")])
    assert row["autovacuum_freeze_max_age"] == 200_000_000


def test_settings(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    server.execute("alter system set shared_buffers = '33MB'")
    server.reload()
    pending = "select pending_restart as p from pg_settings where name = 'shared_buffers'"
    wait_until(lambda: rows_of(watcher, pending)[0]["p"], 10, "the reload is seen")
    watcher.execute("set work_mem = '5MB'")
    ours = catalog.keyed(watcher, "pg_settings.settings")
    reference = by(rows_of(watcher, "select * from pg_settings"), "name")
    assert set(ours) == set(reference) and len(ours) > 300
    changed = {"work_mem", "ssl_passphrase_command", "primary_conninfo", "restore_command", "custom.api_token"}
    common = ["setting", "unit", "vartype", "context", "source", "sourcefile", "sourceline", "boot_val", "pending_restart"]
    for name, one in reference.items():
        if one["source"] != "session" and name not in changed:
            same(ours[name], one, common, name)
            assert ours[name]["hidden"] is False
    assert ours["shared_buffers"]["pending_restart"] and ours["shared_buffers"]["sourcefile"]
    assert (ours["work_mem"]["setting"], ours["work_mem"]["source"]) == ("4096", None)
    assert ours["restore_command"]["setting"] == "fetch --password=*** https://me:***@example.org/%f"
    for name in ("ssl_passphrase_command", "primary_conninfo"):
        assert ours[name]["hidden"] and ours[name]["setting"] is None
    server.execute("alter database postgres set work_mem = '6MB'")
    server.execute("alter role watcher in database postgres set custom.greeting = 'hi'")
    server.execute("alter role watcher set custom.password = 'secret'")
    overrides = catalog.keyed(watcher, "pg_settings.overrides")
    told = {(r["datname"], r["rolname"], r["name"]): (r["setting"], r["hidden"]) for r in overrides.values()}
    assert told == {
        ("postgres", None, "work_mem"): ("6MB", False),
        ("postgres", "watcher", "custom.greeting"): ("hi", False),
        (None, "watcher", "custom.password"): (None, True),
    }
    assert "secret" not in repr(ours) + repr(overrides)
    server.execute("alter database postgres reset work_mem")


def test_extensions_and_roles(catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]") -> None:
    installed = catalog.keyed(watcher, "pg_extensions.installed")
    for one in rows_of(watcher, "select * from pg_extension"):
        same(installed[one["extname"]], one, ["extname", "extversion", "extrelocatable"])
    available = catalog.keyed(watcher, "pg_extensions.available")
    reference = rows_of(watcher, "select * from pg_available_extensions")
    assert len(available) == len(reference)
    for one in reference:
        same(available[one["name"]], one, ["default_version", "comment"])
    server.execute("create role expiring login password 'secret' valid until '2031-01-01' connection limit 3")
    server.execute("create role team; grant team to expiring with admin option")
    server.execute("create role endless login valid until 'infinity'")
    roles = by(list(catalog.keyed(watcher, "pg_roles.roles").values()), "rolname")
    reference = rows_of(watcher, "select * from pg_roles where rolname <> 'endless'")
    assert len(roles) == len(reference) + 1
    for one in reference:
        expected = one | {"rolconnlimit": None if one["rolconnlimit"] < 0 else one["rolconnlimit"]}
        same(roles[one["rolname"]], expected, [c for c in roles[one["rolname"]] if c in expected], one["rolname"])
    assert roles["expiring"]["rolvaliduntil"].year == 2031 and roles["expiring"]["rolconnlimit"] == 3
    assert not any("password" in column for column in catalog.columns("pg_roles.roles"))
    (counts,) = catalog.read(watcher, "pg_roles.counts")
    (reference,) = rows_of(
        watcher,
        "select count(*) as roles, sum(rolcanlogin::int) as can_login, sum(rolsuper::int) as superusers,"
        " sum(rolcreaterole::int) as create_role, sum(rolcreatedb::int) as create_db, sum(rolreplication::int)"
        " as replication, sum(rolbypassrls::int) as bypass_rls, 1 as with_valid_until from pg_roles",
    )
    assert counts == reference
    members = {(r["role_name"], r["member_name"]): r for r in catalog.keyed(watcher, "pg_roles.memberships").values()}
    assert members["team", "expiring"]["admin_option"] is True
    assert members["pg_monitor", "watcher"]["grantor_name"] == "postgres"


# --- pg_stat_statements


NEWEST = {13: 108, 14: 109, 15: 110, 16: 110, 17: 111, 18: 112, 19: 113}
RENAMED = {"blk_read_time": "shared_blk_read_time", "blk_write_time": "shared_blk_write_time"}


@pytest.mark.parametrize("older", [0, 1, 2])
def test_statements_at_each_version(
    catalog: Catalog, server: Server, watcher: "psycopg.Connection[Any]", older: int
) -> None:
    version = NEWEST[catalog.major] - older
    if version < 108:
        return
    server.execute('create schema if not exists "St at"')
    server.execute("drop extension if exists pg_stat_statements")
    server.execute(f'create extension pg_stat_statements schema "St at" version \'1.{version - 100}\'')
    server.execute('grant usage on schema "St at" to watcher')
    catalog = Catalog(catalog.major)
    for name in ("info", "statements", "texts"):
        catalog.of_extension(f"pg_query_stats.{name}", version, '"St at"')
    server.execute('select "St at".pg_stat_statements_reset()')
    server.execute("set jit_above_cost = 0; select count(*) from pg_class a, generate_series(1, 3)")
    for number in range(6):
        server.execute("select " + " + ".join(["1"] * (number + 2)))
    server.execute("create role tmp_role password 'secret'; drop role tmp_role")
    with server.connect() as reader:
        # Its own statements are not counted, as those of a visitor are not.
        reader.execute("set pg_stat_statements.track = none")
        statements = catalog.keyed(reader, "pg_query_stats.statements")
        view = rows_of(reader, 'select * from "St at".pg_stat_statements')
        columns = set(catalog.columns("pg_query_stats.statements"))
        assert len(statements) == len(view) > 7
        left_out = {"query", "mean_plan_time", "mean_exec_time", "wal_bytes"}
        for one in view:
            expected = {RENAMED.get(c, c): v for c, v in one.items() if c not in left_out}
            assert set(expected) <= columns
            expected |= {c: round(v * 1e6) / 1e6 for c, v in expected.items() if c.startswith("stddev_")}
            row = statements[one["dbid"], one["userid"], one.get("toplevel", True), one["queryid"]]
            same(row, expected, list(expected))
            assert row["wal_bytes"] == int(one["wal_bytes"]) and row["rolname"] == "postgres"
            unknown = columns - set(expected) - {"wal_bytes", "datname", "rolname", "toplevel"}
            assert not any(row[c] for c in unknown), unknown
        texts = catalog.keyed(reader, "pg_query_stats.texts")
        assert {key: row["query"] for key, row in texts.items()} == {
            (one["dbid"], one["userid"], one.get("toplevel", True), one["queryid"]): one["query"] for one in view
        }
        # Of the rest one row is made, and nothing is lost.
        reader.execute("set pganalytics.max_rows = 4")
        busiest = catalog.keyed(reader, "pg_query_stats.statements")
        assert len(busiest) == 4
        other = busiest.pop((0, 0, True, 0))
        assert other["calls"] + sum(row["calls"] for row in busiest.values()) == sum(one["calls"] for one in view)
        counters = [
            c["name"] for c in catalog.rowsets["pg_query_stats.statements"]["columns"] if c["kind"] == "counter"
        ]
        for column in counters:
            total = sum(row[column] or 0 for row in statements.values())
            parts = (other[column] or 0) + sum(row[column] or 0 for row in busiest.values())
            assert parts == pytest.approx(total), column
        by_time = sorted((one["total_exec_time"] + one["total_plan_time"] for one in view), reverse=True)
        kept = sorted((r["total_exec_time"] + r["total_plan_time"] for r in busiest.values()), reverse=True)
        assert kept == by_time[:3]
        (info,) = catalog.read(reader, "pg_query_stats.info")
        assert (info["datname"], info["extversion"]) == ("postgres", f"1.{version - 100}")
        assert (info["entries"], info["max_entries"], info["track_planning"]) == (len(view), 5000, True)
        if version >= 109:
            (reference,) = rows_of(reader, 'select * from "St at".pg_stat_statements_info')
            same(info, reference, ["dealloc", "stats_reset"])
            assert info["stats_reset"]
        else:
            assert info["dealloc"] is None and info["stats_reset"] is None
    # As a member of pg_monitor too.
    watched = catalog.keyed(watcher, "pg_query_stats.statements")
    assert set(statements) <= set(watched)
