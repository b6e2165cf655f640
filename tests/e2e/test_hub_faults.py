"""The hub where storing fails for a reason of its own: nothing is refused, nothing is lost; and the
hub worker under people who drop, create and reload. Front and keys are played by the test."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from harness import World, wait_until
from played import (
    BUSY,
    DUPLICATE,
    LISTENING,
    LOG,
    REFUSED,
    SETTINGS,
    STORED,
    Played,
    PlayedHub,
    Push,
    signed,
    text,
)
from test_hub_worker import broken_text, database_row, ledger, names, push_of


@contextmanager
def trigger(hub: PlayedHub, action: str) -> Iterator[None]:
    """What a trigger on the databases' table does with rows whose name begins with "victim"."""
    hub.server.execute(
        "create function public.stop() returns trigger language plpgsql as $$ begin"
        f" if new.datname like 'victim%' then {action} end if; return new; end $$"
    )
    hub.server.execute(
        "create trigger stop before insert on pganalytics.pg_stats_databases"
        " for each row execute function public.stop()"
    )
    try:
        yield
    finally:
        hub.server.execute("drop function public.stop() cascade")


FAULTS = {
    "exception": "raise exception 'not today';",
    "disk full": "raise exception using errcode = '53100', message = 'could not extend file';",
    "deadlock": "raise exception using errcode = '40P01', message = 'deadlock detected';",
    "internal": "raise exception using errcode = 'XX000', message = 'cache lookup failed';",
    "swallowed": "return null;",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_the_hub_loses_nothing(played_hub: PlayedHub, fault: str) -> None:
    hub = played_hub
    first = push_of(hub, [database_row(1, "other")])
    hub.front.store(first)
    pushes = [
        push_of(hub, [database_row(1, f"before {fault}")]),
        push_of(hub, [database_row(2, f"victim {fault}"), database_row(3, f"beside {fault}")]),
        broken_text(hub),
        push_of(hub, [database_row(4, f"after {fault}")]),
    ]
    after = hub.server.log_size()
    with trigger(hub, FAULTS[fault]):
        hub.front.push(*pushes)
        results = [hub.front.result() for _ in pushes]
        assert results[1]["outcome"] == BUSY and results[1]["retry_after"] > 0
        assert ledger(hub, pushes[1]) == 0
        assert names(hub, f"victim {fault}") == names(hub, f"beside {fault}") == []
        if fault == "exception":  # the line of one cause comes once a minute
            hub.server.wait_log("pushes could not be stored now.*", after)
            hub.server.wait_log("not today", after)
    # The others' fate is their own, unless the whole server is in trouble.
    everybody = fault in ("disk full", "deadlock")
    wanted = [BUSY] * 4 if everybody else [STORED, BUSY, REFUSED, STORED]
    assert [result["outcome"] for result in results] == wanted
    for push in pushes:
        push.number = next(Push.numbers)
    hub.front.push(*pushes)
    again = [hub.front.result()["outcome"] for _ in pushes]
    kept = STORED if everybody else DUPLICATE
    assert again == [kept, STORED, REFUSED, kept]
    for name in ("before", "victim", "beside", "after"):
        assert names(hub, f"{name} {fault}") == [f"{name} {fault}"]


def test_constraint_of_somebody(played_hub: PlayedHub) -> None:
    hub = played_hub
    hub.front.store(push_of(hub, [database_row(1, "any")]))
    table = "alter table pganalytics.pg_stats_databases"
    hub.server.execute(f"{table} add constraint c check (datname <> 'checked')")
    push = push_of(hub, [database_row(1, "checked")])
    try:
        assert hub.front.store(push)["outcome"] == BUSY
    finally:
        hub.server.execute(f"{table} drop constraint c")
    push.number = next(Push.numbers)
    assert hub.front.store(push)["outcome"] == STORED


def test_settings_by_reload(played_hub: PlayedHub) -> None:
    hub = played_hub
    # Told at once, and again when the hub's files have been looked at: what came last is said until the next, and
    # nothing older.
    last = 4 << 20
    for size in (65536, 131072, 65536):
        hub.server.set({"pganalytics.hub_max_body": f"{size // 1024}kB"})
        while signed(size) not in (frame := hub.front.take(SETTINGS).data):
            assert signed(last) in frame
        last = size


def test_a_front_that_talks_too_much(played_world: World, played: Played) -> None:
    """Of each cause one line a minute, of a program's causes sixty; the worker's own are not kept back."""
    hub = PlayedHub(played_world, played)
    began, after = time.monotonic(), hub.server.log_size()
    words = [f"spoken {number}" for number in range(100)]
    for word in words:
        hub.front.send(LOG, b"\1" + text(word) + text(word) + text("") + text(""))
        hub.front.send(LOG, b"\1" + text(word) + text(f"{word} again") + text("") + text(""))
    # What comes after them on the socket is answered when they were read.
    assert hub.front.store(push_of(hub, [database_row(5, "after")]))["outcome"] == STORED
    log = hub.server.log(after)
    assert time.monotonic() - began < 50
    said = re.findall(r"pganalytics: (spoken \d+.*)", log)
    assert 50 <= len(said) <= 60 and said == words[: len(said)], said
    assert log.count("the program has more to say than 60 lines a minute") == 1
    # Its place is the worker's, which still says what it has to say itself.
    hub.front.send(LISTENING, b"")
    hub.server.wait_log("sent a frame that is not understood", after)


def test_functions_of_the_worker_are_for_monitors(played_hub: PlayedHub) -> None:
    hub = played_hub
    sql = (
        "select p.oid::regprocedure::text, has_function_privilege('pg_monitor', p.oid, 'execute'),"
        "       exists (select from aclexplode(p.proacl) where grantee = 0), p.proacl is null"
        "  from pg_proc p where p.pronamespace = 'pganalytics'::regnamespace"
        "   and p.proname not in ('own_expression', 'accept_rowset', 'only_superusers')"  # the administrator's
    )
    wait_until(lambda: len(hub.server.query(sql)) >= 5, 20, "functions")
    for name, monitor, public, unset in hub.server.query(sql):
        assert monitor and not public and not unset, name
    hub.server.execute("create role stranger login")
    hub.server.execute("create role reader login in role pg_monitor")
    hub.front.store(push_of(hub, [database_row(1, "read")]))
    with hub.server.connect(user="reader") as session:
        for view in ("servers", "current_databases", "current_tables", "current_indexes"):
            session.execute(f"select * from pganalytics.{view}")
        session.execute("select * from pganalytics.table_rates('db-1', '1 hour')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("create table pganalytics.mine ()")
    with hub.server.connect(user="stranger") as session:
        for sql in (
            "select * from pganalytics.servers",
            "select * from pganalytics.current_tables",
            "select * from pganalytics.table_rates('db-1')",
            "select * from pganalytics_servers()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql)


def test_extension_dropped_and_created_again(played_hub: PlayedHub, played: Played) -> None:
    hub = played_hub
    assert hub.front.store(push_of(hub, [database_row(1, "kept?")]))["outcome"] == STORED
    # Not by a slip: the history is no member, and keeps the schema.
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        hub.server.execute("drop extension pganalytics")
    assert hub.front.store(push_of(hub, [database_row(1, "still")]))["outcome"] == STORED
    hub_id = hub.server.value("select hub_id from pganalytics.hub")
    hub.enrol("just looked")  # and looks again in ten seconds only
    hub.server.execute("drop extension pganalytics cascade")
    assert hub.front.store(push_of(hub, [database_row(1, "nowhere")]))["outcome"] == BUSY
    wait_until(hub.front.ended.is_set, 15, "the front ends")
    hub.server.execute("create extension pganalytics")
    hub.front = played.front().open()
    assert hub.server.value("select hub_id from pganalytics.hub") != hub_id
    # Whoever was enrolled with the one of before is not with this one.
    assert hub.front.store(push_of(hub, [database_row(1, "stranger")]))["outcome"] == REFUSED
    hub.collector = hub.enrol("db-1")
    push = push_of(hub, [database_row(1, "enrolled again")], when=time.time())
    assert hub.front.store(push)["outcome"] == STORED
    assert names(hub, "") == ["enrolled again"]


def test_created_again_between_two_looks(played_hub: PlayedHub, played: Played) -> None:
    hub = played_hub
    hub.enrol("just looked")
    with hub.server.connect() as session:
        session.execute("begin; drop extension pganalytics cascade; create extension pganalytics; commit")
    assert hub.front.store(push_of(hub, [database_row(1, "of before")]))["outcome"] == REFUSED
    hub.server.reload()
    wait_until(hub.front.ended.is_set, 15, "the front ends")
    hub.front = played.front().open()
    hub.collector = hub.enrol("db-1")
    assert hub.front.store(push_of(hub, [database_row(1, "new")]))["outcome"] == STORED
