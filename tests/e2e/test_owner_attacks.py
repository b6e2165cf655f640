"""More than sixty attacks of who owns a collected database, and of who may only create in one: each is set up for real and
shown to work on an ordinary session of a superuser, then the collector reads. Nothing of theirs may run with its
rights, and every reading must be that of an independent query.

The mark of an attack is a file that its code has a program write: only a superuser's session can do that.
"""

import pathlib
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest

from harness import Server, World, wait_until
from harness.scorecard import score
from test_collector_values import preview, rows_of

ROWS = 7


class Attack(NamedTuple):
    what: str
    setup: str  # as the attacker
    fire: str = ""  # what a superuser does to run into it; empty: there is no code in it
    by_superuser: bool = False  # the attacker is given it, which he is not in earnest
    refused: str = ""  # PostgreSQL does not let him; the message


HARM = """
create schema {schema};
grant usage on schema {schema} to public;
create function {schema}.harm(what text) returns int language plpgsql as $$ begin
    if pg_catalog.current_setting('is_superuser') operator(pg_catalog.=) 'on' then
        execute pg_catalog.format('copy (select 1) to program %L', pg_catalog.format('cat > %L', pg_catalog.concat('{folder}/', what)));
    end if; return 1; end $$;
create function {schema}.harm_fixed(what text, x int) returns int immutable language plpgsql as $$ begin
    perform {schema}.harm(what); return x; end $$;
"""


def function(name: str, arguments: str, returns: str, call: str, schema: str = "traps") -> Attack:
    what = f"{schema}.{name}({arguments})"
    body = f"create function {what} returns {returns} language plpgsql as $$ begin perform traps.harm('{what}'); return null; end $$"
    return Attack(what, body, f"select {call}")


def operator(name: str, left: str, right: str, returns: str, call: str) -> Attack:
    what = f"operator {name} ({left}, {right})"
    number = "".join(str(ord(c)) for c in name)
    made = f"traps.operator_{number}"
    return Attack(
        what,
        f"create function {made}({left}, {right}) returns {returns} language plpgsql as"
        f" $$ begin perform traps.harm('{what}'); return null; end $$;"
        f" create operator traps.{name} (leftarg = {left}, rightarg = {right}, function = {made})",
        f"select {call}",
    )


def aggregate(name: str) -> Attack:
    what = f"aggregate {name}"
    return Attack(
        what,
        f"create function traps.step_{name}(bigint, bigint) returns bigint language plpgsql as"
        f" $$ begin perform traps.harm('{what}'); return 1; end $$;"
        f" create aggregate traps.{name}(bigint) (sfunc = traps.step_{name}, stype = bigint)",
        f"select {name}(1::bigint)",
    )


def domain(name: str, base: str, call: str) -> Attack:
    what = f"domain {name}"
    return Attack(what, f"create domain traps.{name} as pg_catalog.{base} check (traps.harm('{what}') = 1)", f"select {call}")


def view(name: str, schema: str = "traps") -> Attack:
    what = f"{schema}.{name} view"
    return Attack(what, f"create view {schema}.{name} as select * from pg_catalog.{name} where traps.harm('{what}') = 1", f"select 1 from {name} limit 1")


def on_table(what: str, setup: str, fire: str, **more: Any) -> Attack:
    table = "traps." + what.replace(" ", "_")
    return Attack(what, setup.format(t=table, harm=f"traps.harm('{what}')", fixed=f"traps.harm_fixed('{what}', x)"), fire.format(t=table, fixed=f"traps.harm_fixed('{what}', x)"), **more)  # fmt: skip


INSERT = "insert into {t} values (1)"
# In a database of the attacker's own, where his search_path holds.
OWNERS = [
    function("pg_relation_size", "oid", "bigint", "pg_relation_size('1259'::pg_catalog.oid)"),
    function("pg_total_relation_size", "oid", "bigint", "pg_total_relation_size('1259'::pg_catalog.oid)"),
    function("pg_table_size", "oid", "bigint", "pg_table_size('1259'::pg_catalog.oid)"),
    function("pg_database_size", "oid", "bigint", "pg_database_size('1'::pg_catalog.oid)"),
    function("pg_stat_get_numscans", "oid", "bigint", "pg_stat_get_numscans('1259'::pg_catalog.oid)"),
    function("pg_stat_get_live_tuples", "oid", "bigint", "pg_stat_get_live_tuples('1259'::pg_catalog.oid)"),
    function("age", "xid", "int", "age('7'::xid)"),
    function("pg_get_indexdef", "oid", "text", "pg_get_indexdef('2662'::pg_catalog.oid)"),
    function("quote_ident", "text", "text", "quote_ident('x'::pg_catalog.text)"),
    function("current_setting", "text", "text", "current_setting('x'::pg_catalog.text)"),
    function("pg_encoding_to_char", "int", "name", "pg_encoding_to_char(6)"),
    function("format_type", "oid, int", "text", "format_type('23'::pg_catalog.oid, 1)"),
    function("now", "", "timestamptz", "now()"),
    function("pg_is_in_recovery", "", "boolean", "pg_is_in_recovery()"),
    function("int8", "xid", "bigint", "int8('7'::xid)"),
    operator("=", "oid", "oid", "boolean", "'1'::pg_catalog.oid = '1'::pg_catalog.oid"),
    operator("<>", '"char"', '"char"', "boolean", """'a'::"char" <> 'b'::"char\""""),
    operator("+", "bigint", "bigint", "bigint", "1::bigint + 1::bigint"),
    operator("-", "timestamptz", "timestamptz", "interval", "clock_timestamp() - clock_timestamp()"),
    operator("||", "text", "text", "text", "'a'::pg_catalog.text || 'b'::pg_catalog.text"),
    operator("~", "text", "text", "boolean", "'a'::pg_catalog.text ~ 'b'::pg_catalog.text"),
    operator("<", "int", "int", "boolean", "1 < 2"),
    aggregate("sum"),
    aggregate("max"),
    domain("oid", "int8", "'1'::oid"),
    domain("regclass", "oid", "1::regclass"),
    domain("text", "varchar", "'x'::text"),
    domain("name", "varchar", "'x'::name"),
    *(view(name) for name in (
        "pg_class", "pg_namespace", "pg_index", "pg_proc", "pg_database", "pg_roles", "pg_settings", "pg_locks", "pg_stat_activity",
        "pg_stat_database", "pg_stat_all_tables", "pg_stat_user_tables", "pg_statio_all_tables", "pg_extension",
    )),
    Attack("implicit cast of xid", "create function traps.turned(xid) returns bigint language plpgsql as"
           " $$ begin perform traps.harm('implicit cast of xid'); return 1; end $$;"
           " create cast (xid as bigint) with function traps.turned(xid) as implicit", "select '7'::xid::bigint", True),
    Attack("a cast without being given it", "create cast (xid as int) with inout as implicit", refused="must be owner of type"),
    on_table("trigger", "create function traps.fires() returns trigger language plpgsql as $$ begin perform {harm}; return new; end $$;"
             " create table {t} (x int); create trigger t before insert on {t} for each row execute function traps.fires()", INSERT),
    on_table("rule", "create table {t} (x int); create rule r as on insert to {t} do also select {harm}", INSERT),
    on_table("default expression", "create table {t} (x int, y int default {harm})", INSERT),
    on_table("generated column", "create table {t} (x int, y int generated always as ({fixed}) stored)", INSERT),
    on_table("check constraint", "create table {t} (x int check ({harm} = 1))", INSERT),
    on_table("partition key", "create table {t} (x int) partition by range (({fixed})); create table {t}_1 partition of {t} default", INSERT),
    on_table("row security", "create table {t} (x int); alter table {t} enable row level security, force row level security;"
             " create policy p on {t} using ({harm} = 1); insert into {t} values (1)", ""),
    on_table("index expression", "create table {t} as select 1 as x; create index on {t} (({fixed})); analyze {t}", "select count(*) from {t} where {fixed} = 1"),
    on_table("index predicate", "create table {t} as select 1 as x; create index on {t} (x) where {fixed} = 1; analyze {t}", "select count(*) from {t} where {fixed} = 1"),
    on_table("statistics object", "create table {t} as select g as x from pg_catalog.generate_series(1, 100) g; create statistics {t}_s on x, ({fixed}) from {t};"
             " analyze {t}", "select count(*) from {t} where {fixed} = 1"),
    on_table("materialized view", "create materialized view {t} as select {harm} as x; create view {t}_v as select {harm} as x", "select * from {t}_v"),
    on_table("view of a default", "create view {t}_v as select {harm} as x; create table {t} (x int, y int default {harm})", "select * from {t}_v"),
    Attack("event trigger", "create function traps.on_ddl() returns event_trigger language plpgsql as $$ begin perform traps.harm('event trigger'); end $$;"
           " create event trigger theirs on ddl_command_end execute function traps.on_ddl()", "create table public.x (); drop table public.x", True),
    Attack("event trigger without being given it", "create event trigger theirs_too on ddl_command_end execute function traps.harm()", refused="ermission denied|must be superuser"),
    Attack("collation", 'create collation traps."C" from pg_catalog."POSIX"; create collation traps."default" from pg_catalog."C"'),
    Attack("text search", "create text search configuration traps.english (copy = pg_catalog.simple)"),
    Attack("conversion", "create default conversion traps.theirs for 'LATIN1' to 'UTF8' from pg_catalog.iso8859_1_to_utf8"),
    Attack("publication", "create table traps.published (x int primary key); create publication theirs for table traps.published"),
    Attack("foreign table", "create foreign table traps.far (x int) server hangs options (schema_name 'a', table_name 'b')"),
    Attack("our tables", "create schema pganalytics; create table pganalytics.own_rowset (name text, sql text, every interval, scope text, columns jsonb, author text, created timestamptz);"
           " insert into pganalytics.own_rowset values ('mine', 'select traps.harm(''our tables'') as x', '1 s', 'cluster', '[]', 'postgres', '2026-01-01')"),
    Attack("our functions", "create function traps.pganalytics_status() returns setof text language plpgsql as $$ begin perform traps.harm('our functions'); end $$;"
           " create procedure traps.pganalytics_reload() language plpgsql as $$ begin perform traps.harm('our functions'); end $$", "select * from pganalytics_status()"),
    Attack("names that are SQL", """create table traps."x'; copy (select 1) to program 'cat > {folder}/names' --" ("a$$;\n" int);"""
           """ create index "y"";\n--" on traps."x'; copy (select 1) to program 'cat > {folder}/names' --" ("a$$;\n")"""),
    Attack("a comment that is SQL", "comment on database owned is $$'; copy (select 1) to program 'cat > {folder}/comment' --$$"),
    Attack("a library to load", "load '/tmp/no_such_library'", refused="ermission denied|access to library"),
    Attack("our settings", "alter database owned set pganalytics.database = 'owned'", refused="cannot be changed now"),
    Attack("our role", "alter database owned set pganalytics.role = 'hostile'", refused="cannot be changed"),
]  # fmt: skip

# In a database of somebody else's, where he may create in public, and schemas.
USERS = [
    function("pg_relation_size", "oid", "bigint", "pg_relation_size('1259'::oid)", "public"),
    function("pg_total_relation_size", "oid", "bigint", "pg_total_relation_size('1259'::oid)", "public"),
    function("pg_indexes_size", "oid", "bigint", "pg_indexes_size('1259'::oid)", "public"),
    function("pg_stat_statements_info", "", "record", "pg_stat_statements_info()", "public"),
    function("pgstattuple_approx", "regclass", "record", "pgstattuple_approx('pg_class'::regclass)", "public"),
    Attack("public.pg_stat_statements", "create view public.pg_stat_statements as select 1 as x where traps.harm('public.pg_stat_statements') = 1", "select * from pg_stat_statements"),
    Attack("public.pg_buffercache", "create view public.pg_buffercache as select 1 as x where traps.harm('public.pg_buffercache') = 1", "select * from pg_buffercache"),
    Attack("a better operator", "create function public.same(name, oid) returns boolean language plpgsql as $$ begin perform traps.harm('a better operator'); return true; end $$;"
           " create operator public.= (leftarg = name, rightarg = oid, function = public.same)", "select 1 where 'a'::name = '1'::oid"),
    Attack("a schema named as the role", "create schema postgres; create function postgres.pg_stat_get_tuples_inserted(int) returns bigint language plpgsql as"
           " $$ begin perform traps.harm('a schema named as the role'); return 1; end $$", 'set search_path = "$user"; select pg_stat_get_tuples_inserted(1); reset search_path'),
    Attack("a search_path of his own", "alter role plain set search_path = traps, pg_catalog"),
    Attack("settings of the role that reads", "alter role postgres set search_path = traps", refused="must be superuser|ermission denied"),
    Attack("settings of another's database", "alter database lent set search_path = traps", refused="must be owner"),
]  # fmt: skip

# Spread over a few databases, as their owner may or may not set them.
SETTINGS = {
    "search_path": "traps, pg_catalog", "role": "hostile", "statement_timeout": "1ms", "lock_timeout": "1ms", "idle_in_transaction_session_timeout": "1ms",
    "row_security": "off", "default_transaction_isolation": "serializable", "default_transaction_deferrable": "on", "local_preload_libraries": "no_such_library",
    "session_preload_libraries": "no_such_library", "client_encoding": "LATIN1", "datestyle": "German, DMY", "timezone": "Asia/Tokyo", "extra_float_digits": "-15",
    "bytea_output": "escape", "standard_conforming_strings": "off", "transform_null_equals": "on", "quote_all_identifiers": "on", "lc_numeric": "C.UTF-8",
    "lc_time": "C.UTF-8", "lc_monetary": "C.UTF-8", "default_tablespace": "no_such_tablespace", "temp_tablespaces": "no_such_tablespace", "work_mem": "64kB",
    "exit_on_error": "on", "session_replication_role": "replica",
}  # fmt: skip
ONLY_SUPERUSERS = {"session_preload_libraries", "session_replication_role"}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refusal_of(session: psycopg.Connection[Any], sql: str) -> str:
    try:
        session.execute(sql.encode())
    except psycopg.Error as error:
        return str(error.diag.message_primary)
    return ""


def set_up(server: Server, dbname: str, user: str, attacks: list[Attack], folder: pathlib.Path) -> None:
    wrong = []
    with server.connect(dbname, user) as session:
        for attack in attacks:
            if attack.by_superuser:
                server.execute(f"alter role {user} superuser")
            said = refusal_of(session, attack.setup.replace("{folder}", str(folder)))
            if attack.by_superuser:
                server.execute(f"alter role {user} nosuperuser")
            if not (any(part in said for part in attack.refused.split("|")) if attack.refused else said == ""):
                wrong.append((attack.what, said))
    assert wrong == []


def fire(server: Server, dbname: str, attacks: list[Attack], folder: pathlib.Path) -> int:
    """Each works: an ordinary superuser's session runs into it."""
    fired = [attack for attack in attacks if attack.fire]
    with server.connect(dbname) as session:
        said = {attack.what: refusal_of(session, attack.fire) for attack in fired}
    marks = {path.name for path in folder.iterdir()}
    assert {what: why for what, why in said.items() if what not in marks} == {}
    for mark in folder.iterdir():
        mark.unlink()
    return len(fired)


def judged(server: Server, dbname: str) -> tuple[Any, ...]:
    """By somebody who is there before any setting is."""
    sql = "select s.relid::bigint, s.n_live_tup, s.n_tup_ins from pg_catalog.pg_stat_all_tables s where s.relname = 'victim'"
    [row] = wait_until(lambda: [row for row in server.query(sql, dbname=dbname) if row[2] == ROWS], 15, "statistics")
    return tuple(row)


@pytest.mark.time_limit(150)
def test_nothing_of_theirs_runs_and_no_reading_is_bent(world: World, silent_port: int) -> None:
    server = world.server("collector", {"pganalytics.collect_interval": "1h", "unix_socket_permissions": "0777"})
    server.execute("create extension pganalytics")
    folder = pathlib.Path(world.path("marks"))
    folder.mkdir(exist_ok=True)
    server.installation.own(folder)
    server.execute("create role hostile login; create role plain login")
    own = {name: f"set_{number % 6}" for number, name in enumerate(SETTINGS)}
    for dbname, owner in [("owned", "hostile"), ("lent", "postgres"), *((name, "hostile") for name in sorted(set(own.values())))]:
        server.execute(f"create database {dbname} template template0 owner {owner}")
        attacker = "plain" if dbname == "lent" else owner
        server.execute("grant create on schema public to plain, hostile; grant create on database " + dbname + " to plain", dbname=dbname)
        with server.connect(dbname, attacker) as session:
            session.execute("create table public.victim (x int primary key); insert into public.victim select pg_catalog.generate_series(1, 7); analyze public.victim")
            session.execute(HARM.format(schema="traps", folder=folder).encode())
    expected = {dbname: judged(server, dbname) for dbname in ("owned", "lent", *own.values())}
    server.execute(
        "create extension postgres_fdw; grant usage on foreign data wrapper postgres_fdw to hostile;"
        f" create server hangs foreign data wrapper postgres_fdw options (host '127.0.0.1', port '{silent_port}');"
        " grant usage on foreign server hangs to hostile; create user mapping for public server hangs options (password_required 'false')", dbname="owned",
    )  # fmt: skip
    set_up(server, "owned", "hostile", OWNERS, folder)
    set_up(server, "lent", "plain", USERS, folder)
    with server.connect("owned", "hostile") as session:
        session.execute("alter database owned set search_path = traps, pg_catalog, public")
        for name, value in SETTINGS.items():
            said = refusal_of(session, f"alter database {own[name]} set {name} = {value if name == 'search_path' else repr(value)}")
            assert bool(said) == (name in ONLY_SUPERUSERS), (name, said)
    for name in ONLY_SUPERUSERS:  # worse than real
        server.execute(f"alter database {own[name]} set {name} = '{SETTINGS[name]}'")
    fired = fire(server, "owned", OWNERS, folder) + fire(server, "lent", USERS, folder)
    score(refused=len(OWNERS) + len(USERS))
    print(len(OWNERS), "attacks of an owner,", len(USERS), "of a user,", len(SETTINGS), "settings;", fired, "shown to work on a superuser's session")
    assert len(OWNERS) + len(USERS) + len(SETTINGS) >= 100 and fired >= 60
    before = server.log_size()
    server.restart()
    # Once as any database, once as the one through which the whole server is read.
    for main in ("postgres", "owned"):
        server.set({"pganalytics.database": main})
        wait_until(lambda: server.value("show pganalytics.database") == main, 5, "reloaded")
        read_all(server, expected)
        assert sorted(path.name for path in folder.iterdir()) == []
    said = [line for line in server.log(before).splitlines() if "pganalytics visitor" in line]
    assert said == []


def read_all(server: Server, expected: dict[str, tuple[Any, ...]]) -> None:
    def complete() -> bool:
        envelopes = preview(server, "pg_stats")
        return all(rows_of(envelopes, "pg_stats", "tables", dbname) for dbname in expected)

    assert server.query("select * from pganalytics_collect_now() where error <> ''") == []
    wait_until(complete, 60, "all databases are read")
    envelopes = preview(server, "pg_stats")
    for dbname, judge in expected.items():
        [row] = [row for row in rows_of(envelopes, "pg_stats", "tables", dbname) if row["relname"] == "victim"]
        assert (row["relid"], row["n_live_tup"], row["n_tup_ins"]) == judge, dbname
        assert row["last_analyze"].endswith("Z"), dbname
    listed = {row["datname"] for row in rows_of(envelopes, "pg_stats", "databases")}
    assert expected.keys() <= listed
