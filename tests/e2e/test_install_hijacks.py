"""What somebody who may create in a database can have ready there before a superuser says CREATE EXTENSION: each of more than
forty is made for real, then the extension is created. Either that is refused, or nothing of theirs is in it, used by it
or run by it, neither then nor when the extension's own views and functions are.

The mark of their code is a file that it has a program write: only a superuser's session can do that.
"""

import pathlib
from typing import Any

import psycopg
import pytest

from harness import Server, World
from harness.scorecard import score

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


def refusal(session: psycopg.Connection[Any], hijack: str) -> str:
    """Empty where the extension was created and all is right with it; nothing stays."""
    with session.transaction(force_rollback=True):
        session.execute(b"set local role plain; " + hijack.encode() + b"; reset role")
        try:
            session.execute("create extension pganalytics")
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


@pytest.mark.time_limit(150)
def test_what_lies_ready_is_refused_or_left_alone(world: World) -> None:
    server = world.server("collector")
    folder = pathlib.Path(world.path("marks"))
    folder.mkdir(exist_ok=True)
    server.installation.own(folder)
    server.execute("create role plain login")
    server.execute("create database lent template template0")
    server.execute("grant create on database lent to plain; grant create on schema public to plain;" + HARM.format(folder=folder), dbname="lent")
    same = same_functions(server, "lent")
    more = others(sorted({name.split(" ")[1] for name in same}))
    with server.connect("lent") as session:
        # It works.
        session.execute("select theirs.harm('shown')")
        (folder / "shown").unlink()
        refused = {what: refusal(session, sql) for what, sql in {**same, **more}.items()}
        # The schema where everything goes, and what is found first.
        session.execute("set search_path = theirs, public")
        refused["where it is made"] = refusal(session, "create function theirs.now() returns timestamptz language sql as 'select null::timestamptz'")
    said = {what: why for what, why in refused.items() if why}
    score(refused=len(refused))
    print(len(refused), "hijacks:", len(said), "refused,", len(refused) - len(said), "left alone")
    assert sorted(path.name for path in folder.iterdir()) == []
    assert len(refused) >= 60
    assert set(said) >= set(same) | {what for what in refused if what.startswith("schema ")}
    assert all("already exists" in why or "is not a member of extension" in why for why in said.values()), said
    assert server.query("select extname from pg_extension where extname = 'pganalytics'", dbname="lent") == []
