"""Users' own rowsets and those who would like their code to run with a superuser's rights: writers of
the table of definitions, owners of what a query reads. And what must not get lost on the way."""

import json
import pathlib
from typing import Any

import psycopg
import pytest

from collecting import status
from harness import Hub, Server, World, wait_until
from test_own_rowsets import ADD, add, own_state, wait_off

ONE = {"x": "gauge"}


@pytest.fixture(scope="module")
def hub(module_world: World) -> Hub:
    made = module_world.hub(settings={"pganalytics.collect_interval": "1s"})
    made.execute("create role app login; create schema shop authorization app")
    return made


def drop_all(hub: Hub) -> None:
    hub.execute("select pganalytics_drop_rowset(name) from pganalytics.own_rowset")


def test_who_may_write_any_table_may_not_write_definitions(hub: Hub) -> None:
    if hub.major < 14:
        pytest.skip("13 has no role that may write any table")
    add(hub, "one", "select 1 as x", ONE)
    hub.execute("create role writer login in role pg_write_all_data, pg_read_all_data")
    row = "'mine', 'select 1 as x', '1 s', 'cluster', '[]', 'postgres', now()"
    for statement in (
        f"insert into pganalytics.own_rowset values ({row})",
        "update pganalytics.own_rowset set sql = 'select 2 as x'",
        "delete from pganalytics.own_rowset",
    ):
        with hub.connect(user="writer") as session:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be superuser to write"):
                session.execute(statement.encode())
    hub.execute("set session_replication_role = replica; grant truncate on pganalytics.own_rowset to writer")
    with hub.connect(user="writer") as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="must be superuser to write"):
            session.execute("truncate pganalytics.own_rowset")
    hub.execute("revoke truncate on pganalytics.own_rowset from writer")
    drop_all(hub)


def test_a_column_that_others_may_write(hub: Hub) -> None:
    add(hub, "one", "select 1 as x", ONE)
    wait_until(lambda: own_state(hub, "one"), 20, "it is read")
    hub.execute("grant update (sql) on pganalytics.own_rowset to app")
    wait_until(lambda: "may write" in (own_state(hub, "definitions").get("note") or ""), 20, "it says why not")
    hub.execute("revoke update (sql) on pganalytics.own_rowset from app")
    wait_until(lambda: not own_state(hub, "definitions"), 20, "it is read again")
    drop_all(hub)


# Each makes shop.orders give the attacker's code a superuser's rights, if it could.
ATTACKS = {
    "a view's function": "create view shop.orders as select shop.harm() as x",
    "a view's function that can be inlined": "create view shop.orders as select shop.inlined() as x",
    "a view's function with settings": "create view shop.orders as select shop.with_settings() as x",
    "a view of PostgreSQL's own functions": "create view shop.orders as select length(pg_read_file('PG_VERSION')) as x",
    "a view behind a view": "create view shop.inner_one as select length(pg_read_file('PG_VERSION')) as x;"
    " create view shop.orders as select x from shop.inner_one",
    "an operator": "create table shop.orders as select 1::int8 as x",
    "an operator whose function has settings": "create table shop.orders as select 1::int8 as x",
    "a function in planning": "create table shop.orders as select 1 as x; create index on shop.orders ((shop.constant(1)))",
}
CODE = r"""
create function shop.harm() returns int language plpgsql as $$ begin
    execute 'copy (select 1) to program ''cat > %(file)s'''; return 1; end $$;
create function shop.inlined() returns int language sql as 'select length(pg_read_file(''PG_VERSION''))';
create function shop.with_settings() returns int language plpgsql set work_mem = '1MB' as $$ begin
    execute 'copy (select 1) to program ''cat > %(file)s'''; return 1; end $$;
create function shop.constant(int) returns int language plpgsql immutable as $$ begin
    if current_setting('is_superuser') = 'on' or session_user <> 'app' then
        execute 'copy (select 1) to program ''cat > %(file)s'''; end if; return 1; end $$;
create function shop.smaller(int8, int8) returns bool language plpgsql as $$ begin
    execute 'copy (select 1) to program ''cat > %(file)s'''; return true; end $$;
create operator shop.<<< (leftarg = int8, rightarg = int8, function = shop.smaller);
create function shop.less(int8, int8) returns bool language plpgsql set work_mem = '1MB' as $$ begin
    execute 'copy (select 1) to program ''cat > %(file)s'''; return true; end $$;
create operator shop.<<<< (leftarg = int8, rightarg = int8, function = shop.less)
"""
QUERIES = {
    "an operator": "select count(*) as x from shop.orders where x operator(shop.<<<) 2::int8",
    "an operator whose function has settings": "select count(*) as x from shop.orders where x operator(shop.<<<<) 2::int8",
    "a function in planning": "select count(*) as x from shop.orders where x = 7",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_owner_of_what_is_read_gets_no_rights(hub: Hub, tmp_path: pathlib.Path, attack: str) -> None:
    folder = pathlib.Path(hub.folder / "harm")
    folder.mkdir(exist_ok=True)
    hub.installation.own(folder)
    mark = folder / attack.replace(" ", "-").replace("'", "")
    query = QUERIES.get(attack, "select count(x) as x from shop.orders")

    def as_owner(sql: str) -> None:
        with hub.connect(user="app") as session:
            session.execute(sql.encode())

    as_owner("create table shop.orders as select 1::int8 as x")
    as_owner(CODE % {"file": mark})
    if attack not in QUERIES:
        add(hub, "shop", query, ONE)
        wait_until(lambda: own_state(hub, "shop").get("value") == "on", 20, "it is read")
    # At once, so that no three readings find nothing there.
    as_owner(f"drop table shop.orders; {ATTACKS[attack]}")
    if attack == "a function in planning":
        # Only where the index comes into question.
        as_owner("insert into shop.orders select g from generate_series(1, 1000) g")
    if attack not in QUERIES:
        assert "does not belong to a superuser" in wait_off(hub, "shop")["note"]
        hub.execute("select pganalytics_drop_rowset('shop')")
    # Nor when it is defined.
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="does not belong to a superuser"):
        add(hub, "shop", query, ONE)
    assert not mark.exists()
    # The session itself goes on as before.
    assert hub.value("select shop.smaller(1, 2)") is True
    assert mark.exists(), "the attack would have worked"
    mark.unlink()
    hub.execute("drop schema shop cascade; create schema shop authorization app")


def test_with_a_role_of_its_own_anybodys_view_is_read(world: World) -> None:
    server = world.server(settings={"pganalytics.role": "watcher", "pganalytics.collect_interval": "1s"})
    server.execute("create role watcher login in role pg_monitor; create role app login; create schema shop authorization app")
    server.execute("create extension pganalytics")
    with server.connect(user="app") as session:
        session.execute("create function shop.f() returns int language plpgsql as 'begin return 7; end'")
        session.execute("create view shop.orders as select shop.f() as x")
        session.execute("grant usage on schema shop to watcher; grant select on shop.orders to watcher")
    add(server, "shop", "select x from shop.orders", ONE)
    wait_until(lambda: own_state(server, "shop").get("value") == "on", 20, "it is read")


def test_a_query_can_not_define_a_rowset(hub: Hub) -> None:
    hub.execute(
        "create function nest() returns int language plpgsql as $$ begin perform public.pganalytics_add_rowset("
        """'inner', 'select 1 as z', '1 min', 'cluster', '{"z": "gauge"}'); return 1; end $$"""
    )
    with pytest.raises(psycopg.errors.ObjectInUse):
        add(hub, "nests", "select public.nest() as x", ONE)
    add(hub, "plain", "select 1 as x", ONE)
    drop_all(hub)


def test_messages_are_for_superusers_and_whole_characters(hub: Hub) -> None:
    hub.execute("create table breaks as select 1 as x; create role monitor login in role pg_monitor")
    hub.execute(
        "create function breaks() returns int language plpgsql as $$ begin if exists (select from public.breaks) then"
        " return 1; end if; raise exception 'x%', repeat('\N{LATIN SMALL LETTER E WITH ACUTE}', 1000); end $$"
    )
    add(hub, "breaks", "select public.breaks() as x", ONE)
    hub.execute("truncate breaks")
    note = wait_until(lambda: own_state(hub, "breaks").get("note"), 20, "a note")
    assert note and "x\N{LATIN SMALL LETTER E WITH ACUTE}" in note
    with hub.connect(user="monitor") as session:
        seen = session.execute("select note from pganalytics_status() where name = 'breaks'").fetchone()
    assert seen and seen[0] and "\N{LATIN SMALL LETTER E WITH ACUTE}" not in seen[0]
    drop_all(hub)


FULLS = """
select distinct rowset, datid from pganalytics.pganalytics_fulls f
 where rowset like 'own.%%' and not exists (select from pganalytics.own_rows r
       where r.collector_id = f.collector_id and 'own.' || r.rowset = f.rowset and r.datid = f.datid and r."time" >= f."time")
"""


def told_gone(hub: Hub) -> set[tuple[str, int]]:
    return {(name, datid) for name, datid in hub.query(FULLS.replace("%%", "%"))}


def test_all_of_them_replaced_at_once(hub: Hub) -> None:
    names = [f"old{number}" for number in range(20)]
    for name in names:
        add(hub, name, "select 1 as x", ONE)
    hub.wait_rows("own_rows", where="rowset = 'old19'", deadline=30)
    mark = hub.log_size()
    with hub.connect() as session:
        session.execute("select pganalytics_drop_rowset(name) from pganalytics.own_rowset")
        for number in range(20):
            session.execute(ADD, (f"new{number}", "select 1 as x", "1 s", "cluster", json.dumps(ONE)))
    hub.wait_rows("own_rows", where="rowset = 'new19'", deadline=30)
    datid = hub.value("select oid::int8 from pg_database where datname = 'postgres'")
    wait_until(lambda: {(f"own.{name}", datid) for name in names} <= told_gone(hub), 20, "the old ones are told gone")
    assert "refused" not in hub.log(after=mark)
    drop_all(hub)


def test_defined_anew_for_fewer_databases(hub: Hub) -> None:
    hub.execute("create database other")
    add(hub, "sc", "select 1 as x", ONE, scope="database")
    hub.wait_rows("own_rows", more_than=1, where="rowset = 'sc'", deadline=30)
    with hub.connect() as session:
        session.execute("select pganalytics_drop_rowset('sc')")
        session.execute(ADD, ("sc", "select 1 as x", "1 s", "cluster", json.dumps(ONE)))
    other = hub.value("select oid::int8 from pg_database where datname = 'other'")
    wait_until(lambda: ("own.sc", other) in told_gone(hub), 30, "the other database's row is gone")
    drop_all(hub)


def test_they_have_their_turn_where_visits_are_cut(world: World) -> None:
    server: Server = world.server(settings={"pganalytics.visit_timeout": "100ms", "pganalytics.collect_interval": "1s"})
    server.execute("create extension pganalytics")
    with server.connect() as session:
        session.execute("do $$ begin for i in 1..1500 loop execute format('create table t%s (x int primary key)', i); end loop; end $$")
    add(server, "turn", "select 1 as x", ONE)
    wait_until(lambda: _read(server), 60, "it is read")


def _read(server: Server) -> Any:
    return status(server).get(("own_rowset", "turn"), {}).get("value") == "on" and server.value(
        "select value::int8 from pganalytics_status() where component = 'collector' and name = 'cycles'"
    )
