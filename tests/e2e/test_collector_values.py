"""What the collector reads where a database is unlike others: encodings, and an owner who has set
everything wrongly and left traps. Seen through pganalytics_preview()."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from collecting import whole
from harness import Server, World, wait_until

Rows = list[dict[str, Any]]


def preview(server: Server, plugin: str | None = None, dbname: str = "postgres") -> list[Any]:
    text = whole(server, lambda: server.value("select pganalytics_preview(%s)::text", (plugin,), dbname))
    envelope = json.loads(text)
    return envelope if isinstance(envelope, list) else [envelope]


def rows_of(envelopes: list[Any], plugin: str, rowset: str, datname: str | None = None) -> Rows:
    """Rows of a rowset of a database, from the columns."""
    rows: Rows = []
    for envelope in envelopes:
        for metric in envelope["metrics"]:
            if metric["type"] != plugin or metric.get("datname") != datname or rowset not in metric:
                continue
            assert metric[rowset]["complete"], metric
            columns = metric[rowset]["columns"]
            rows += [dict(zip(columns, values)) for values in zip(*columns.values())]
    return rows


@pytest.fixture(scope="module")
def server(module_world: World) -> Server:
    server = module_world.server("collector", {"pganalytics.collect_interval": "1h"})
    server.execute("create extension pganalytics")
    wait_until(lambda: server.programs().get("ship"), 10, "ship")
    return server


@pytest.fixture
def database(server: Server) -> Iterator[Any]:
    """Makes databases that are gone after the test."""
    made = []

    def make(name: str, options: str = "") -> str:
        server.execute(f'create database "{name}" template template0 {options}')
        made.append(name)
        return name

    yield make
    for name in made:
        server.execute(f'drop database "{name}" with (force)')


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("UTF8", "caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{GRINNING FACE}\n\"'\\"),
        ("LATIN1", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("WIN1252", "\N{EURO SIGN}uro"),
        ("EUC_JP", "\N{CJK UNIFIED IDEOGRAPH-8868}"),
        ("KOI8R", "\N{CYRILLIC SMALL LETTER ZHE}"),
    ],
)
def test_names_arrive_in_any_encoding(server: Server, database: Any, encoding: str, name: str) -> None:
    database("encoded", f"encoding '{encoding}' lc_collate 'C' lc_ctype 'C'")
    with server.connect("encoded", client_encoding="UTF8") as session:
        session.execute(psycopg.sql.SQL("create table {} (x int)").format(psycopg.sql.Identifier(name)))
    rows = rows_of(preview(server, "pg_stats"), "pg_stats", "tables", "encoded")
    assert name in {row["relname"] for row in rows}


def test_bytes_of_no_encoding_become_valid_text(server: Server, database: Any) -> None:
    database("raw", "encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'")
    statement = b'create table "caf\xe9 \xff" (x int); create table "plain" (x int)'
    server.psql("-c", "select 1", dbname="raw")
    with server.connect("raw") as session:
        session.pgconn.exec_(b"set client_encoding = SQL_ASCII")
        result = session.pgconn.exec_(statement)
        assert result.status == psycopg.pq.ExecStatus.COMMAND_OK
    names = {row["relname"] for row in rows_of(preview(server, "pg_stats"), "pg_stats", "tables", "raw")}
    assert {"caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}", "plain"} <= names


def test_names_of_databases_and_tablespaces_have_no_encoding(server: Server, database: Any) -> None:
    """They are shared: the bytes are those of the session that made them, whatever its database's
    encoding. Visits go by number, so nothing is lost."""
    database("latin1", "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    folder = server.folder / "space"
    folder.mkdir()
    server.installation.own(folder)
    with server.connect("latin1", client_encoding="LATIN1") as session:
        session.execute('create database "caf\u00e9" template template0')
        session.execute(psycopg.sql.SQL('create tablespace "r\u00e9" location {}').format(str(folder)))
    (oid,) = server.query("select oid::bigint from pg_database where datname like 'caf_' collate \"C\"")[0]
    try:
        envelopes = preview(server)
        cleaned = "caf\N{REPLACEMENT CHARACTER}"
        listed = {row["datid"]: row["datname"] for row in rows_of(envelopes, "pg_stats", "databases")}
        assert listed[oid] == cleaned
        tables = rows_of(envelopes, "pg_stats", "tables", cleaned)
        assert len(tables) > 50
        assert {row["datid"] for row in tables} == {oid}
        # A wildcard chooses it as well.
        server.set({"pganalytics.databases": "caf?"})
        chosen = "select distinct datname from pganalytics_collect_now() where datname <> ''"
        wait_until(lambda: server.query(chosen) == [(cleaned,)], 5, "one database")
    finally:
        server.set({"pganalytics.databases": None})
        with server.connect("latin1", client_encoding="LATIN1") as session:
            session.execute('drop database "caf\u00e9"')
            session.execute('drop tablespace "r\u00e9"')


def test_answers_reach_a_session_of_any_encoding(server: Server, database: Any) -> None:
    database("utf8", "encoding 'UTF8' lc_collate 'C' lc_ctype 'C'")
    database("latin1", "encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    server.execute('create table "\N{GRINNING FACE}" (x int)', dbname="utf8")
    server.execute("create extension pganalytics", dbname="latin1")
    envelopes = preview(server, "pg_stats", "latin1")
    names = {row["relname"] for row in rows_of(envelopes, "pg_stats", "tables", "utf8")}
    assert "\N{GRINNING FACE}" in names
    assert server.query("select * from pganalytics_status()", dbname="latin1")
    assert server.query("select * from pganalytics_collect_now()", dbname="latin1")


# Everything an owner may set, as it hurts most.
WRONG_SETTINGS = {
    "search_path": "public, pg_catalog",
    "role": "hostile",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "transaction_timeout": "1ms",
    "row_security": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "on",
    "jit": "on",
    "jit_above_cost": "0",
    "work_mem": "64kB",
    "hash_mem_multiplier": "1000",
    "client_encoding": "LATIN1",
    "datestyle": "German, DMY",
    "timezone": "Asia/Tokyo",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "stats_fetch_consistency": "snapshot",
    "max_parallel_workers_per_gather": "8",
    "force_parallel_mode": "on",
    "debug_parallel_query": "on",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_nestloop": "off",
    "enable_sort": "off",
    "join_collapse_limit": "1",
    "application_name": "not us",
    "exit_on_error": "on",
    "session_replication_role": "replica",
    "lc_messages": "C.UTF-8",
    "lc_numeric": "C.UTF-8",
    "lc_time": "C.UTF-8",
    "local_preload_libraries": "no_such_library",
    "session_preload_libraries": "no_such_library",
    "temp_tablespaces": "no_such_tablespace",
    "default_tablespace": "no_such_tablespace",
    "plan_cache_mode": "force_generic_plan",
    "xmlbinary": "hex",
    "client_min_messages": "debug5",
    "backslash_quote": "off",
    "check_function_bodies": "off",
    "constraint_exclusion": "on",
    "geqo_threshold": "2",
    "track_activities": "off",
    "cursor_tuple_fraction": "0",
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "zero_damaged_pages": "on",
    "max_stack_depth": "100kB",
    "backtrace_functions": "exec_simple_query",
    "synchronous_commit": "off",
}

TRAPS = """
create function public.trap() returns void language plpgsql as
    $$ begin raise exception 'trapped: %', current_query(); end $$;
create function public.equal(oid, oid) returns boolean language plpgsql as
    $$ begin perform public.trap(); return true; end $$;
create operator public.= (leftarg = oid, rightarg = oid, function = public.equal);
create function public.equal(name, name) returns boolean language plpgsql as
    $$ begin perform public.trap(); return true; end $$;
create operator public.= (leftarg = name, rightarg = name, function = public.equal);
create function public.unequal("char", "char") returns boolean language plpgsql as
    $$ begin perform public.trap(); return true; end $$;
create operator public.<> (leftarg = "char", rightarg = "char", function = public.unequal);
create function public.pg_stat_get_numscans(oid) returns bigint language plpgsql as
    $$ begin perform public.trap(); return 1; end $$;
create function public.int8(xid) returns bigint language plpgsql as
    $$ begin perform public.trap(); return 1; end $$;
create function public.current_database() returns name language plpgsql as
    $$ begin perform public.trap(); return 'x'; end $$;
create table public.pg_class (oid oid, relname text, relnamespace oid, relkind "char");
create table public.pg_namespace (oid oid, nspname text);
create table public.pg_index (indexrelid oid, indrelid oid);
create view public.pg_stat_database as select null::oid as datid where public.trap() is null;
create cast (xid as bigint) with function public.int8(xid) as implicit;
"""


def test_nothing_an_owner_sets_or_makes_has_an_effect(server: Server, database: Any) -> None:
    name = database("hostile")
    server.execute("create role hostile login")
    server.execute(f"alter database {name} owner to hostile")
    server.execute("alter role hostile superuser")  # a cast needs it; the traps are worse than real
    with server.connect(name, "hostile") as session:
        for statement in TRAPS.split(";\ncreate"):
            text = statement if statement.lstrip().startswith("create") else "create" + statement
            session.execute(text)
        session.execute("create table victim (x int primary key, t text)")
        session.execute("insert into victim select generate_series(1, 1000)")
        session.execute("analyze victim")
        session.execute("select count(*) from victim")
    server.execute("alter role hostile nosuperuser")
    known = {
        setting
        for (setting,) in server.query("select lower(name) from pg_settings")
        if setting in WRONG_SETTINGS
    }
    assert len(known) > 25
    victim = (
        "select s.relid::bigint, s.n_live_tup, s.n_tup_ins, s.seq_scan,"
        " to_char(s.last_analyze at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
        " from pg_catalog.pg_stat_all_tables s where s.relname = 'victim'"
    )
    # An independent look, by somebody who is there before the settings are.
    judge = server.connect(name)
    judged = wait_until(
        lambda: [row for row in judge.execute(victim) if row[2] == 1000], 15, "statistics of the inserts"
    )
    relid, live, inserted, scans, analyzed = judged[0]
    for setting in known:
        for whose in (f"database {name}", f"role postgres in database {name}"):
            server.execute(f"alter {whose} set {setting} = {WRONG_SETTINGS[setting]!r}")
    before = server.log_size()
    # Once as any database, once as the one through which the whole server is read.
    for main in ("postgres", name):
        server.set({"pganalytics.database": main})
        wait_until(lambda: server.value("show pganalytics.database") == main, 5, "reloaded")
        errors = server.query("select * from pganalytics_collect_now() where error <> ''")
        assert errors == []
        envelopes = preview(server, "pg_stats")
        tables = rows_of(envelopes, "pg_stats", "tables", name)
        (row,) = [row for row in tables if row["relname"] == "victim"]
        assert (row["relid"], row["n_live_tup"], row["n_tup_ins"]) == (relid, live, inserted)
        assert row["seq_scan"] >= scans
        assert row["last_analyze"].replace("T", " ").startswith(analyzed)
        assert row["last_analyze"].endswith("Z")
        listed = {row["datname"] for row in rows_of(envelopes, "pg_stats", "databases")}
        assert {name, "postgres", "template0"} <= listed
    # An error costs its rowset there, as anywhere; exit_on_error is on.
    with judge, judge.transaction():
        judge.execute("set local search_path = pg_catalog")
        judge.execute("lock table pg_catalog.pg_inherits in access exclusive mode")
        errors = server.query("select datname, plugin, rowset from pganalytics_collect_now() where error <> ''")
    read_there = {("pg_schema", "indexes"), ("pg_schema", "relations"), ("pg_stats", "relations")}
    assert set(errors) == {(name, *rowset) for rowset in read_there}
    server.set({"pganalytics.database": None})
    # Neither a trap nor a word about settings, cycle after cycle.
    said = [line for line in server.log(before).splitlines() if "postmaster" not in line]
    assert [line for line in said if "pganalytics visitor" in line or "client backend" in line] == []
    assert len(said) <= 2 * len(read_there), said


def test_own_queries_are_not_logged(world: World) -> None:
    server = world.server(
        "collector",
        {
            "pganalytics.collect_interval": "1s",
            "log_statement": "all",
            "log_min_duration_statement": 0,
            "log_executor_stats": "on",
        },
    )
    server.execute("create extension pganalytics")
    wait_until(lambda: server.programs().get("ship"), 10, "ship")
    server.query("select * from pganalytics_collect_now()")
    assert "pganalytics_collect_now" in server.log()
    assert "pg_stat_get_" not in server.log()
    assert "pganalytics visitor" not in server.log()


def test_types_are_named_in_full_whatever_is_in_the_search_path(server: Server) -> None:
    server.execute("create database owned")
    with server.connect("owned") as session:
        session.execute("create schema app; create type app.mood as enum ('good'); create table app.tells (mood app.mood)")
        session.execute("alter database owned set search_path = app, pg_catalog")

    def told() -> bool:
        try:
            return '"app.mood"' in server.value("select pganalytics_preview('pg_schema')::text")
        except psycopg.errors.ObjectNotInPrerequisiteState as error:
            raise AssertionError(str(error)) from error

    wait_until(told, 20, "the type with its schema")
