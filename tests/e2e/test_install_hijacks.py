"""What somebody who may create in a database can have ready there before a superuser says CREATE EXTENSION, or ALTER EXTENSION
UPDATE: each of more than ninety is made for real, then the extension is created or updated. Either that is refused, or nothing of
theirs is in it, used by it or run by it, neither then nor when the extension's own views and functions are.

The mark of their code is a file that it has a program write: only a superuser's session can do that.
"""

import copy
import os
import pathlib
import shutil
from typing import Any

import psycopg
import pytest

from harness import Server, World
from harness.installation import CHECKOUT, Installation
from harness.scorecard import score

CREATE = "create extension pganalytics"
UPDATE = "alter extension pganalytics update"
# A version that has nothing, so that an update from it makes everything there is. Until there are released ones,
# the only one to update from.
NOTHING = "0"

HARM = """
create schema theirs authorization plain;
create function theirs.harm(what text) returns int language plpgsql as $$ begin
    if pg_catalog.current_setting('is_superuser') operator(pg_catalog.=) 'on' then
        execute pg_catalog.format('copy (select 1) to program %L', pg_catalog.format('cat > %L', pg_catalog.concat('{folder}/', what)));
    end if; return 1; end $$;
grant usage on schema theirs to public;
"""

# Functions of PostgreSQL's that the script, its views or its functions use, with arguments as near as can be.
USED = """
max(timestamptz) timestamptz; min(timestamptz) timestamptz; sum(bigint) numeric; sum(double precision) double precision; count(bigint) bigint;
now() timestamptz; clock_timestamp() timestamptz; format(text, text, text) text; format(text, name) text; concat(text, text) text;
jsonb_typeof(jsonb) text; jsonb_array_length(jsonb) int; jsonb_build_object(text, text) jsonb; jsonb_build_array(text) jsonb; jsonb_array_elements(jsonb) jsonb;
to_regclass(text) regclass; substr(text, int) text; octet_length(text) int; length(text) int; cardinality(text[]) int; abs(numeric) numeric;
abs(double precision) double precision; date_part(text, timestamptz) double precision; make_interval(int) interval; bool_or(boolean) boolean;
array_agg(text) text[]; aclexplode(aclitem[]) oid; pg_extension_config_dump(regclass, text) int; lag(bigint) bigint; pg_get_userbyid(oid) name
"""
OPERATORS = [
    ("=", "uuid", "uuid", "boolean"), ("=", "text", "name", "boolean"), ("=", "bigint", "oid", "boolean"), ("<>", "text", "text", "boolean"),
    ("<", "timestamptz", "timestamptz", "boolean"), (">", "numeric", "bigint", "boolean"), ("-", "timestamptz", "timestamptz", "interval"),
    ("-", "bigint", "bigint", "bigint"), ("/", "numeric", "double precision", "numeric"), ("*", "double precision", "numeric", "numeric"),
    ("||", "text", "name", "text"), ("->>", "jsonb", "name", "text"), ("->", "jsonb", "name", "jsonb"), ("?", "jsonb", "name", "boolean"),
]  # fmt: skip
TYPES = ["text", "uuid", "jsonb", "pg_lsn", "numeric", "oid", "regclass", "timestamptz"]


def same_functions(server: Server, dbname: str) -> dict[str, str]:
    """Those that the script makes, made before: of the same name and arguments."""
    found = {}
    with server.connect(dbname) as session, session.transaction(force_rollback=True):
        session.execute("create extension pganalytics")
        rows = session.execute(
            "select p.proname, pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid) from pg_proc p"
            " join pg_depend d on d.objid = p.oid and d.classid = 'pg_proc'::regclass and d.deptype = 'e'"
            " join pg_extension e on e.oid = d.refobjid where e.extname = 'pganalytics' and p.pronamespace = 'public'::regnamespace"
        ).fetchall()
    for name, arguments, result in rows:
        what = f"function {name} of the same arguments"
        found[what] = f"create function public.{name}({arguments}) returns {result} language plpgsql as $$ begin perform theirs.harm('{what}'); end $$"
    assert len(found) >= 12, sorted(found)
    return found


def others(names: list[str]) -> dict[str, str]:
    made = {}
    for name in names:
        what = f"function {name} of any arguments"
        made[what] = f"create function public.{name}(variadic text[] default '{{}}') returns text language plpgsql as $$ begin perform theirs.harm('{what}'); end $$"
    for one in USED.replace("\n", " ").split(";"):
        call, result = one.strip().rsplit(") ", 1)
        what = f"{call})"
        made[what] = f"create function public.{what} returns {result} language plpgsql as $$ begin perform theirs.harm('{what}'); return null; end $$"
    for number, (name, left, right, result) in enumerate(OPERATORS):
        what = f"operator {left} {name} {right}"
        body = f"create function theirs.operator_{number}({left}, {right}) returns {result} language plpgsql as $$ begin perform theirs.harm('{what}'); return null; end $$"
        made[what] = f"{body}; create operator public.{name} (leftarg = {left}, rightarg = {right}, function = theirs.operator_{number})"
    for name in TYPES:
        made[f"domain {name}"] = f"create domain public.{name} as pg_catalog.{'oid' if name == 'regclass' else name} check (theirs.harm('domain {name}') = 1)"
    made["table servers"] = "create table public.servers (collector_id uuid, name text)"
    made["view ledger"] = "create view public.ledger as select theirs.harm('view ledger') as x"
    made["rights on what is made in public"] = "alter default privileges grant all on functions to plain"
    # In the end the extension's own schema.
    made["schema pganalytics"] = "create schema pganalytics"
    made["schema pganalytics with a table"] = "create schema pganalytics create table servers (name text)"
    made["schema pganalytics with a function"] = "create schema pganalytics; create function pganalytics.is_whole(jsonb) returns boolean language sql as 'select true'"
    made["schema pganalytics with a type"] = "create schema pganalytics; create type pganalytics.ledger as (x int)"
    return made


MEMBERS = """
with members as (select d.classid, d.objid from pg_catalog.pg_depend d join pg_catalog.pg_extension e on e.oid = d.refobjid
                  where d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and e.extname = 'pganalytics' and d.deptype = 'e'),
owners as (select 'pg_catalog.pg_proc'::pg_catalog.regclass as classid, oid as objid, proowner as owner, proacl::pg_catalog.text as acl from pg_catalog.pg_proc
           union all select 'pg_catalog.pg_class'::pg_catalog.regclass, oid, relowner, relacl::pg_catalog.text from pg_catalog.pg_class
           union all select 'pg_catalog.pg_type'::pg_catalog.regclass, oid, typowner, typacl::pg_catalog.text from pg_catalog.pg_type
           union all select 'pg_catalog.pg_namespace'::pg_catalog.regclass, oid, nspowner, nspacl::pg_catalog.text from pg_catalog.pg_namespace)
select (select pg_catalog.count(*) from members m join owners o using (classid, objid) where o.owner operator(pg_catalog.=) 10) as ours,
       (select pg_catalog.array_agg(pg_catalog.pg_describe_object(classid, objid, 0)) from members m join owners o using (classid, objid)
         where o.owner operator(pg_catalog.<>) 10 or o.acl operator(pg_catalog.~) 'plain') as theirs,
       (select pg_catalog.array_agg(pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0)) from pg_catalog.pg_depend d
          left join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and w.oid = d.objid
          left join pg_catalog.pg_attrdef f on d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and f.oid = d.objid
          left join pg_catalog.pg_constraint k on d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = d.objid
          left join pg_catalog.pg_index i on d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and i.indexrelid = d.objid
         where d.refclassid in ('pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)
           and d.refobjid operator(pg_catalog.>=) 16384
           and exists (select from members m where (m.classid, m.objid) = (d.classid, d.objid)
                          or (m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and m.objid in (w.ev_class, f.adrelid, k.conrelid, i.indrelid)))
           and exists (select from owners o where o.classid = d.refclassid and o.objid = d.refobjid and o.owner operator(pg_catalog.<>) 10)) as used
"""


def refusal(session: psycopg.Connection[Any], hijack: str, statement: str) -> str:
    """Empty where the extension was created or updated and all is right with it; nothing stays."""
    with session.transaction(force_rollback=True):
        session.execute(b"set local role plain; " + hijack.encode() + b"; reset role")
        try:
            session.execute(statement.encode())
        except psycopg.Error as error:
            return str(error.diag.message_primary)
        # As whoever reads them does, with what he has set.
        ours, theirs, used = session.execute(MEMBERS.encode()).fetchone() or (0, None, None)
        assert (theirs, used) == (None, None), hijack
        assert ours >= 30
        for sql in (
            "select pganalytics_version()", "select * from pganalytics_catalog() limit 1", "select count(name) from pganalytics.servers",
            "select * from pganalytics.losses limit 1", "select * from pganalytics.storage limit 1",
        ):  # fmt: skip
            try:
                with session.transaction():
                    session.execute(sql.encode())
            except psycopg.Error:
                pass  # a name of theirs beside ours may make a call ambiguous; what counts is that theirs is not run
    return ""


def hijacks(server: Server) -> dict[str, str]:
    """Made ready in the database "lent"; what is left of them is in the folder that harm() writes to."""
    folder = marks(server)
    folder.mkdir(exist_ok=True)
    server.installation.own(folder)
    server.execute("create role plain login")
    server.execute("create database lent template template0")
    server.execute("grant create on database lent to plain; grant create on schema public to plain;" + HARM.format(folder=folder), dbname="lent")
    same = same_functions(server, "lent")
    more = others(sorted({name.split(" ")[1] for name in same}))
    # It works.
    server.execute("select theirs.harm('shown')", dbname="lent")
    (folder / "shown").unlink()
    return {**same, **more}


def marks(server: Server) -> pathlib.Path:
    return server.folder / "marks"


def judge(server: Server, refused: dict[str, str]) -> None:
    said = {what: why for what, why in refused.items() if why}
    score(refused=len(refused))
    print(len(refused), "hijacks:", len(said), "refused,", len(refused) - len(said), "left alone")
    assert sorted(path.name for path in marks(server).iterdir()) == []
    assert len(refused) >= 90
    assert set(said) >= {what for what in refused if what.startswith("schema ") or what.endswith(" of the same arguments")}
    assert all("already exists" in why or "is not a member of extension" in why for why in said.values()), said


def refusals(session: psycopg.Connection[Any], all_of_them: dict[str, str], statement: str) -> dict[str, str]:
    refused = {what: refusal(session, sql, statement) for what, sql in all_of_them.items()}
    # The schema where everything goes, and what is found first.
    session.execute("set search_path = theirs, public")
    now = "create function theirs.now() returns timestamptz language sql as 'select null::timestamptz'"
    refused["where it is made"] = refusal(session, now, statement)
    return refused


@pytest.mark.time_limit(150)
def test_what_lies_ready_is_refused_or_left_alone(world: World) -> None:
    server = world.server("collector")
    ready = hijacks(server)
    with server.connect("lent") as session:
        judge(server, refusals(session, ready, CREATE))
    assert server.query("select extname from pg_extension where extname = 'pganalytics'", dbname="lent") == []


def with_versions(world: World) -> Installation:
    """The installation once more, as links, with the scripts of every version and of NOTHING, from which all that the script
    for CREATE EXTENSION does is an update."""
    probe = world.server("probe", {"shared_preload_libraries": ""})
    rows = probe.query("select name, setting from pg_config where name in ('BINDIR', 'PKGLIBDIR', 'SHAREDIR')")
    folders = {str(name): pathlib.Path(str(setting)) for name, setting in rows}
    version = str(probe.value("select default_version from pg_available_extensions where name = 'pganalytics'"))
    probe.stop()
    root = pathlib.Path(os.path.commonpath(folders.values()))
    for folder in {*folders.values(), folders["PKGLIBDIR"].parent / "lib"}:
        if folder.exists() and not (there := world.path("installation") / folder.relative_to(root)).exists():
            shutil.copytree(folder, there, copy_function=link, symlinks=True)
    scripts = world.path("installation") / folders["SHAREDIR"].relative_to(root) / "extension"
    whole = (CHECKOUT / f"sql/pganalytics--{version}.sql").read_bytes()
    (scripts / f"pganalytics--{NOTHING}.sql").write_text("-- nothing\n")
    (scripts / f"pganalytics--{NOTHING}--{version}.sql").write_bytes(whole)
    made = copy.copy(world.installation)
    made.bindir = world.path("installation") / folders["BINDIR"].relative_to(root)
    return made


def link(source: str, to: str) -> None:
    try:
        os.link(source, to)
    except OSError:  # another volume
        shutil.copy2(source, to)


@pytest.mark.time_limit(150)
def test_updates_refuse_it_or_leave_it_alone(world: World) -> None:
    world.installation = with_versions(world)
    server = world.server("collector")
    ready = hijacks(server)
    paths = "select source from pg_extension_update_paths('pganalytics') where path is not null and target = (select"
    paths += " default_version from pg_available_extensions where name = 'pganalytics')"
    sources = [str(source) for (source,) in server.query(paths)]
    assert NOTHING in sources
    with server.connect("lent") as session:
        for source in sources:
            session.execute(f"create extension pganalytics version '{source}'".encode())
            judge(server, refusals(session, ready, UPDATE))
            session.execute("reset search_path; drop extension pganalytics")
