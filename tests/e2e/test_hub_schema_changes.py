"""pganalytics.schema_changes: what became of a schema, from a real server and from rows that the
test makes: fulls without marks of what is gone, readings that were cut, cycles in parts."""

import datetime
import json
import shutil
import struct
import time
import uuid
from typing import Any

import pytest

from collecting import whole
from harness import Hub, World, wait_until
from played import STORED, PlayedHub, Push

SETTINGS = {"pganalytics.collect_interval": "1h", "autovacuum": "off"}


@pytest.fixture(scope="module")
def quiet(module_world: World) -> Hub:
    hub = module_world.hub("quiet", SETTINGS)
    hub.execute("create table before (id int primary key, x text default 'secret')")
    push(hub)
    return hub


def push(hub: Hub) -> None:
    assert whole(hub, lambda: hub.query("select * from pganalytics_push_now('30 s')"))


def changes(hub: Hub) -> list[dict[str, Any]]:
    return hub.rows(
        "select * from pganalytics.schema_changes where datname = 'postgres' and object !~ 'pganalytics'"
        " order by time, kind, object, change"
    )


def told(hub: Hub) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["object"], row["change"]) for row in changes(hub)]


def test_what_a_server_does_is_told(quiet: Hub) -> None:
    assert told(quiet) == [], "what was there at first was not created"
    quiet.execute("create table made (a int, b int check (b > 0))")
    quiet.execute("create index made_a on made (a)")
    push(quiet)
    assert told(quiet) == [
        ("column", "public.made.a", "created"),
        ("column", "public.made.b", "created"),
        ("constraint", "made_b_check on public.made", "created"),
        ("index", "public.made_a", "created"),
        ("relation", "public.made", "created"),
    ]
    (row,) = [row for row in changes(quiet) if row["kind"] == "relation"]
    relid = quiet.value("select 'made'::regclass::oid::bigint")
    assert (row["oid"], row["before"], row["server"]) == (relid, None, quiet.value("select name from pganalytics.servers"))
    assert row["after"]["relname"] == "made" and row["after"]["relkind"] == "r" and "time" not in row["after"]
    count = len(changes(quiet))

    quiet.execute("alter table made rename to renamed")
    quiet.execute("alter table renamed alter a set default 7, alter b type bigint")
    quiet.execute("insert into renamed values (1, 1); analyze renamed")
    push(quiet)
    rows = changes(quiet)[count:]
    assert [(r["kind"], r["object"], r["change"]) for r in rows] == [
        ("column", "public.renamed.a", "changed"),
        ("column", "public.renamed.b", "changed"),
        # The server makes it anew for the other type.
        ("constraint", "made_b_check on public.made", "dropped"),
        ("constraint", "made_b_check on public.renamed", "created"),
        ("relation", "public.renamed", "changed"),
    ]
    relation = rows[-1]
    assert relation["oid"] == relid
    assert (relation["before"].pop("digest"), relation["before"]) != (relation["after"].pop("digest"), {})
    assert relation["before"] == {"relname": "made"} and relation["after"] == {"relname": "renamed"}
    assert rows[1]["before"]["data_type"] == "integer" and rows[1]["after"]["data_type"] == "bigint"
    assert "7" not in str(rows[0]["after"]["column_default"])
    assert rows[0]["attnum"] == 1 and rows[0]["before"].get("column_default") is None
    count += len(rows)

    # Of a program that was started anew everything comes whole, and nothing happened.
    quiet.execute("update pganalytics.collectors set last_full_at = null")
    push(quiet)
    push(quiet)
    assert len(changes(quiet)) == count

    quiet.execute("drop table renamed")
    push(quiet)
    dropped = changes(quiet)[count:]
    assert {(r["kind"], r["object"], r["change"]) for r in dropped} == {
        ("column", "public.renamed.a", "dropped"),
        ("column", "public.renamed.b", "dropped"),
        ("constraint", "made_b_check on public.renamed", "dropped"),
        ("index", "public.made_a", "dropped"),
        ("relation", "public.renamed", "dropped"),
    }
    assert all(row["after"] is None and row["before"] for row in dropped)
    began = min(row["time"] for row in dropped) - datetime.timedelta(milliseconds=1)
    newest = quiet.rows(
        "select x.* from pganalytics.collectors c, pganalytics.schema_changes_of(c.collector_id, %s, now()) x"
        " where x.datname = 'postgres' and x.object !~ 'pganalytics'",
        (began,),
    )
    assert len(newest) == len(dropped)
    assert "secret" not in str(changes(quiet))


def of_server(hub: Hub, known: int = 0) -> list[dict[str, Any]]:
    """What came after so many of them."""
    rows = hub.rows(
        "select * from pganalytics.schema_changes where kind in ('database', 'tablespace', 'role') order by time"
    )
    return sorted(rows[known:], key=lambda row: (row["kind"], row["object"]))


def test_what_becomes_of_databases_tablespaces_and_roles(quiet: Hub) -> None:
    assert of_server(quiet) == []
    place = quiet.data.parent / "space"
    place.mkdir()
    shutil.chown(place, "postgres")
    quiet.execute("create database shop")
    quiet.execute(f"create tablespace wide location '{place}'")
    quiet.execute("create role teller login password 'hunter2'")
    push(quiet)
    rows = of_server(quiet)
    created = [("database", "shop"), ("role", "teller"), ("tablespace", "wide")]
    assert [(r["kind"], r["object"], r["change"]) for r in rows] == [(*one, "created") for one in created]
    assert {r["oid"] for r in rows} == {
        quiet.value("select oid::bigint from pg_database where datname = 'shop'"),
        quiet.value("select oid::bigint from pg_roles where rolname = 'teller'"),
        quiet.value("select oid::bigint from pg_tablespace where spcname = 'wide'"),
    }
    assert all(r["before"] is None and r["datid"] is None and r["datname"] is None for r in rows)
    assert rows[0]["after"]["encoding"] == "UTF8" and rows[0]["after"]["owner"] == "postgres"
    count = len(rows)

    quiet.execute("alter database shop rename to store")
    quiet.execute("alter database postgres set work_mem = '5MB'")
    quiet.execute("alter tablespace wide set (random_page_cost = 2)")
    quiet.execute("alter role teller createdb password 'hunter3'")
    push(quiet)
    rows = of_server(quiet, count)
    assert [(r["kind"], r["object"], r["change"]) for r in rows] == [
        ("database", "postgres", "changed"),
        ("database", "store", "changed"),
        ("role", "teller", "changed"),
        ("tablespace", "wide", "changed"),
    ]
    # What was set is nobody's business.
    assert [sorted(r["before"]) for r in rows[:1]] == [["digest"]]
    assert rows[1]["before"]["datname"] == "shop" and rows[1]["after"]["datname"] == "store"
    assert (rows[2]["before"], rows[2]["after"]) == ({"rolcreatedb": False}, {"rolcreatedb": True})
    count += len(rows)

    quiet.execute("update pganalytics.collectors set last_full_at = null")
    push(quiet)
    push(quiet)
    assert len(of_server(quiet)) == count
    quiet.execute("drop database store")
    quiet.execute("drop tablespace wide")
    quiet.execute("drop role teller")
    push(quiet)
    rows = of_server(quiet, count)
    dropped = [("database", "store"), ("role", "teller"), ("tablespace", "wide")]
    assert [(r["kind"], r["object"], r["change"]) for r in rows] == [(*one, "dropped") for one in dropped]
    assert all(r["after"] is None and r["before"] for r in rows)
    assert "hunter" not in str(of_server(quiet))


def test_dropped_while_nobody_looked(quiet: Hub) -> None:
    """What went while the server was down is told by the first whole reading."""
    quiet.execute("create table unseen (a int)")
    push(quiet)
    quiet.set({"pganalytics.enabled": "off"})
    quiet.restart()
    quiet.execute("drop table unseen; alter table before rename to after")
    quiet.set({"pganalytics.enabled": "on"})
    quiet.make_ready()
    push(quiet)
    assert ("relation", "public.unseen", "dropped") in told(quiet)
    assert ("relation", "public.after", "changed") in told(quiet)
    assert told(quiet).count(("relation", "public.unseen", "dropped")) == 1
    # What the hub makes for itself each day is nobody's change.
    made = quiet.rows("select * from pganalytics.schema_changes where change = 'created' and object ~ 'pganalytics'")
    assert {row["kind"] for row in made} >= {"relation", "column", "index"}
    assert not [row for row in made if row["object"].endswith(quiet.value("select to_char(now() at time zone 'UTC', 'YYYYMMDD')"))]


# --- rows made by the test


def oid(value: int) -> bytes:
    return struct.pack(">I", value)


class Played:
    """A server whose relations are what the test says."""

    def __init__(self, hub: PlayedHub, name: str) -> None:
        self.hub, self.name, self.collector = hub, name, hub.enrol(name)
        front = hub.front
        self.rows = front.number_of("relid", "relreplident", "digest")
        self.fulls = front.number_of("rowset", "complete")
        self.gone = front.number_of("rowset", "key")
        self.now = round(time.time()) - 3600

    def cycle(
        self,
        relations: dict[int, str],
        gone: tuple[int, ...] = (),
        full: bool = False,
        complete: bool = True,
        parts: int = 1,
        lost: int = 0,
    ) -> int:
        """Returns the time of the reading. `lost`: so many of the last parts never arrive."""
        self.now += 60
        cycle = uuid.uuid4()
        front = self.hub.front
        found = list(relations.items())
        for part in range(parts - lost):
            push = Push(self.collector, time=self.now, cycle=cycle, part=part + 1, parts=parts)
            rows = [
                {"datid": oid(5), "datname": b"db", "relid": oid(relid), "schemaname": b"s",
                 "relname": f"r{relid}".encode(), "digest": digest.encode()}
                for relid, digest in found[part::parts]
            ]
            front.add_rows(push, self.rows, rows, self.now)
            mark = {"rowset": b"pg_schema.relations", "datid": oid(5)}
            if part == 0:
                marks = [mark | {"key": b"\1" + json.dumps({"datid": 5, "relid": r}).encode()} for r in gone]
                front.add_rows(push, self.gone, marks, self.now)
            if full:
                flag = mark | {"complete": b"\1" if complete else b"\0"}
                if parts > 1:
                    flag["cycle"] = push.cycle.bytes
                front.add_rows(push, self.fulls, [flag], self.now)
            result = front.store(push)
            assert result["outcome"] == STORED, result
        return self.now

    def told(self) -> list[tuple[int, int, str]]:
        rows = self.hub.server.query(
            "select extract(epoch from time)::bigint, oid::bigint, change from pganalytics.schema_changes"
            " where server = %s order by 1, 2, 3",
            (self.name,),
        )
        return [tuple(row) for row in rows]


@pytest.fixture(scope="module")
def ready(played_hub: PlayedHub) -> PlayedHub:
    there = "select to_regclass('pganalytics.schema_changes') is not null"
    wait_until(lambda: played_hub.server.value(there), 20, "views")
    return played_hub


def test_marks_and_fulls(ready: PlayedHub) -> None:
    server = Played(ready, "schema 1")
    # Before anything whole is known nothing can be told of what is new.
    server.cycle({1: "a"})
    server.cycle({1: "a", 2: "a", 3: "a"}, full=True)
    assert server.told() == []
    first = server.cycle({4: "a", 2: "b"})
    second = server.cycle({}, gone=(4,))
    third = server.cycle({4: "a"})
    # The second is not in this one, and nobody named it gone.
    fourth = server.cycle({1: "a", 3: "c", 4: "a", 6: "a"}, full=True)
    fifth = server.cycle({2: "d"})
    expected = [
        (first, 2, "changed"), (first, 4, "created"), (second, 4, "dropped"), (third, 4, "created"),
        (fourth, 2, "dropped"), (fourth, 3, "changed"), (fourth, 6, "created"), (fifth, 2, "created"),
    ]
    assert server.told() == expected
    last = server.cycle({1: "a", 2: "d", 3: "c"}, full=True)
    assert server.told() == expected + [(last, 4, "dropped"), (last, 6, "dropped")]


def test_what_was_cut_proves_nothing_gone(ready: PlayedHub) -> None:
    server = Played(ready, "schema 2")
    server.cycle({1: "a", 2: "a", 3: "a"}, full=True)
    server.cycle({1: "a"}, full=True, complete=False)
    # Of two parts one was lost.
    server.cycle({1: "a", 2: "a", 3: "a"}, full=True, parts=2, lost=1)
    assert server.told() == []
    whole = server.cycle({1: "a", 2: "b"}, full=True, parts=2)
    assert server.told() == [(whole, 2, "changed"), (whole, 3, "dropped")]


def test_of_two_servers_each_has_its_own(ready: PlayedHub) -> None:
    one, two = Played(ready, "schema 3"), Played(ready, "schema 4")
    for server in (one, two):
        server.cycle({1: "a"}, full=True)
    when = one.cycle({1: "b"})
    assert one.told() == [(when, 1, "changed")] and two.told() == []
