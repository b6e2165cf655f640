"""The hub worker behind a front that the test plays: what an honest front would never send, and
what happens to the tables and the worker meanwhile."""

import datetime
import os
import re
import struct
import time
from typing import Any

import psycopg
import pytest
from harness import World, wait_until
from played import (
    BUSY,
    CONFLICT,
    DUPLICATE,
    PUSH_BEGIN,
    PUSH_END,
    PUSH_ROWS,
    REFUSED,
    SETTINGS,
    STORED,
    Played,
    PlayedHub,
    Push,
    copy_row,
    copy_time,
    frame,
    text,
    varint,
)

DAY = 86400


def database_row(datid: int, name: str | bytes, **values: bytes) -> dict[str, bytes]:
    data = name.encode() if isinstance(name, str) else name
    return {"datid": struct.pack(">I", datid), "datname": data} | values


def push_of(
    hub: PlayedHub, rows: list[dict[str, bytes]], when: float | None = None, **values: Any
) -> Push:
    push = Push(hub.collector, **values)
    number = hub.front.number_of("datid", "datfrozenxid")
    hub.front.add_rows(push, number, rows, when or time.time())
    return push


def names(hub: PlayedHub, prefix: str) -> list[str]:
    rows = hub.server.query(
        "select datname from pganalytics.pg_stats_databases where starts_with(datname, %s)"
        " order by datname",
        (prefix,),
    )
    return [name for (name,) in rows]


def ledger(hub: PlayedHub, push: Push) -> int:
    count: int = hub.server.value(
        "select count(*) from pganalytics.ledger where snapshot_id = %s", (push.snapshot,)
    )
    return count


def audit(hub: PlayedHub, event: str) -> list[dict[str, Any]]:
    return hub.server.rows("select * from pganalytics.audit where event = %s order by id", (event,))


# --- stored once


def test_rows_arrive_as_sent(played_hub: PlayedHub) -> None:
    hub = played_hub
    rows = [database_row(5, "asis postgres"), database_row(4294967295, 'asis we"ird\n😀')]
    rows[1]["xact_commit"] = struct.pack(">q", -(2**63))
    rows[1]["blk_read_time"] = struct.pack(">d", float("nan"))
    result = hub.front.store(push_of(hub, rows))
    assert (result["outcome"], result["inserted"], result["want_full"]) == (STORED, 2, True)
    assert hub.server.query(
        "select datid, datname, collector_id, xact_commit, blk_read_time::text"
        " from pganalytics.pg_stats_databases where datname like 'asis%%' order by datname",
        (),
    ) == [
        (5, "asis postgres", hub.collector, None, None),
        (4294967295, 'asis we"ird\n😀', hub.collector, -(2**63), "NaN"),
    ]


def test_repeated_push_is_stored_once(played_hub: PlayedHub) -> None:
    hub = played_hub
    push = push_of(hub, [database_row(5, "once")])
    again = push_of(hub, [database_row(5, "once")])
    again.snapshot, again.digest = push.snapshot, push.digest
    # Both in one transaction, and then on its own.
    hub.front.push(push, again)
    assert [hub.front.result()["outcome"] for _ in range(2)] == [STORED, DUPLICATE]
    again.number = next(Push.numbers)
    assert hub.front.store(again)["outcome"] == DUPLICATE
    assert names(hub, "once") == ["once"]
    assert ledger(hub, push) == 1


@pytest.mark.parametrize("identity", ["snapshot", "sequence"])
def test_other_content_under_a_used_identity(played_hub: PlayedHub, identity: str) -> None:
    hub = played_hub
    first = push_of(hub, [database_row(5, f"conflict {identity}")])
    first.incarnation, first.sequence = first.cycle, 7
    assert hub.front.store(first)["outcome"] == STORED
    other = push_of(hub, [database_row(5, f"conflict {identity} other")])
    if identity == "snapshot":
        other.snapshot = first.snapshot
    else:
        other.incarnation, other.sequence = first.incarnation, 7
    good = push_of(hub, [database_row(5, f"conflict {identity} good")])
    hub.front.push(other, good)
    assert [hub.front.result()["outcome"] for _ in range(2)] == [CONFLICT, STORED]
    assert names(hub, f"conflict {identity}") == [
        f"conflict {identity}",
        f"conflict {identity} good",
    ]
    event = audit(hub, "digest conflict")[-1]
    assert event["collector_id"] == hub.collector
    assert event["details"] == {"stored": first.digest.hex(), "refused": other.digest.hex()}


def test_collectors_have_identities_of_their_own(played_hub: PlayedHub) -> None:
    hub = played_hub
    first = push_of(hub, [database_row(5, "apart")])
    assert hub.front.store(first)["outcome"] == STORED
    other = Push(hub.enrol("db-apart"), snapshot=first.snapshot)
    hub.front.add_rows(other, hub.front.number_of("datid", "datfrozenxid"), [database_row(6, "apart")], time.time())
    assert hub.front.store(other)["outcome"] == STORED


def test_facts_of_a_push_are_kept(played_hub: PlayedHub) -> None:
    hub = played_hub
    push = push_of(hub, [database_row(5, "facts")], hostname="h" * 300, too_old=3, future=4)
    push.unknown = '{"types": {"x": 2}}'
    push.part, push.parts = 2, 3
    assert hub.front.store(push)["outcome"] == STORED
    (row,) = hub.server.rows(
        "select * from pganalytics.ledger where snapshot_id = %s", (push.snapshot,)
    )
    assert (row["rows"], row["too_old"], row["future"]) == (1, 3, 4)
    assert (row["part"], row["parts"], row["cycle"]) == (2, 3, push.cycle)
    assert row["unknown"] == {"types": {"x": 2}}
    assert bytes(row["digest"]) == push.digest
    assert row["time"].timestamp() == pytest.approx(push.time, abs=1e-5)
    (one,) = hub.server.rows(
        "select * from pganalytics_servers() where collector_id = %s", (hub.collector,)
    )
    assert (one["state"], one["hostname"], one["version"]) == ("ok", "h" * 255, "1.0.0")


# --- one bad push never spoils the others


def broken_text(hub: PlayedHub) -> Push:
    return push_of(hub, [database_row(5, "bad good row"), database_row(6, b"bad \xff")])


def broken_number(hub: PlayedHub) -> Push:
    return push_of(hub, [database_row(5, "bad"), database_row(6, "bad", xact_commit=b"123")])


def another_collector(hub: PlayedHub) -> Push:
    push = push_of(hub, [database_row(5, "bad")])
    number, count, data = push.chunks[0]
    push.chunks[0] = (number, count, data.replace(hub.collector.bytes, bytes(15) + b"\1"))
    return push


def too_old(hub: PlayedHub) -> Push:
    return push_of(hub, [database_row(5, "bad")], when=time.time() - 32 * DAY)


def of_the_future(hub: PlayedHub) -> Push:
    return push_of(hub, [database_row(5, "bad")], when=time.time() + 3600)


def cut(hub: PlayedHub) -> Push:
    push = push_of(hub, [database_row(5, "bad"), database_row(5, "bad")])
    number, count, data = push.chunks[0]
    push.chunks[0] = (number, count, data[:-1])
    return push


def no_json(hub: PlayedHub) -> Push:
    return push_of(hub, [database_row(5, "bad")], unknown="{no json")


def stranger(hub: PlayedHub) -> Push:
    push = Push(hub.collector.__class__(int=99))
    number = hub.front.number_of("datid", "datfrozenxid")
    hub.front.add_rows(push, number, [database_row(5, "bad")], time.time())
    return push


@pytest.mark.parametrize(
    "poison",
    [broken_text, broken_number, another_collector, too_old, of_the_future, cut, no_json, stranger],
)
def test_one_bad_push_of_fifty(played_hub: PlayedHub, poison: Any) -> None:
    hub = played_hub
    prefix = poison.__name__
    pushes = [push_of(hub, [database_row(i, f"{prefix} {i:02}")]) for i in range(50)]
    pushes[25] = poison(hub)
    hub.front.push(*pushes)
    results = [hub.front.result() for _ in pushes]
    assert [result["number"] for result in results] == [push.number for push in pushes]
    assert [result["outcome"] for result in results] == [STORED] * 25 + [REFUSED] + [STORED] * 24
    message = results[25]["message"]
    assert message and "SELECT" not in message and "INSERT" not in message
    assert len(names(hub, prefix)) == 49
    assert names(hub, "bad") == []
    assert ledger(hub, pushes[25]) == 0
    assert audit(hub, "push refused")[-1]["details"]["reason"] == message


def test_refused_push_asks_for_a_full_one(played_hub: PlayedHub) -> None:
    hub = played_hub
    fulls = hub.front.number_of("rowset", "complete")
    row = {"rowset": b"pg_stats.databases", "datid": bytes(4), "complete": b"\1"}

    def push(with_full: bool) -> dict[str, Any]:
        made = push_of(hub, [database_row(5, "full")])
        if with_full:
            hub.front.add_rows(made, fulls, [row], time.time())
        return hub.front.store(made)

    assert push(True)["want_full"] is False
    # The hub's own rows are not the collector's.
    assert push(True)["inserted"] == 1
    assert push(False)["want_full"] is False
    assert hub.front.store(broken_text(hub))["outcome"] == REFUSED
    assert push(False)["want_full"] is True
    assert push(True)["want_full"] is False


def test_rows_for_other_columns_come_again(played_hub: PlayedHub) -> None:
    hub = played_hub
    push = push_of(hub, [database_row(5, "fields")])
    number = push.chunks[0][0]
    row = copy_row([copy_time(time.time()), hub.collector.bytes, None])
    push.chunks[0] = (number, 1, row)
    result = hub.front.store(push)
    assert (result["outcome"], result["retry_after"] > 0) == (BUSY, True)
    assert ledger(hub, push) == 0


def test_a_push_that_lost_rows_comes_again(played_hub: PlayedHub) -> None:
    hub = played_hub
    push = push_of(hub, [database_row(5, "first"), database_row(6, "second")])
    rowset = push.chunks[0][0]
    hub.front.add_rows(push, rowset, [database_row(7, "third")], time.time())
    (_, _, first), (_, _, second) = push.chunks

    def sent(rows: list[tuple[int, bytes]], total: int) -> dict[str, Any]:
        head = varint(push.number) + varint(rowset)
        frames = [frame(PUSH_ROWS, head + varint(count) + text(data)) for count, data in rows]
        end = frame(PUSH_END, varint(push.number) + varint(total))
        hub.front.write(frame(PUSH_BEGIN, push.begin()) + b"".join(frames) + end)
        return hub.front.result()

    for rows in [[(2, first)], [(1, second)], [(1, first), (1, second)], [(3, first), (0, second)], []]:
        result = sent(rows, 3)
        assert (result["outcome"], result["retry_after"] > 0) == (BUSY, True), rows
    assert ledger(hub, push) == 0
    result = sent([(2, first), (1, second)], 3)
    assert (result["outcome"], result["inserted"]) == (STORED, 3)


# --- a front that breaks the protocol is replaced; the worker goes on


@pytest.mark.parametrize(
    "bytes_of",
    [
        lambda push: frame(PUSH_END, varint(1) + varint(0)),
        lambda push: frame(PUSH_BEGIN, push.begin())
        + frame(PUSH_ROWS, varint(push.number) + varint(60000) + varint(1) + text(b"x")),
        lambda push: frame(PUSH_BEGIN, push.begin()[:-1]),
        lambda push: frame(SETTINGS, b""),
    ],
    ids=["end of nothing", "unknown rowset", "cut message", "a frame of ours"],
)
@pytest.mark.time_limit(60)
def test_front_that_breaks_the_protocol(
    played_hub: PlayedHub, played: Played, bytes_of: Any
) -> None:
    hub = played_hub
    (worker,) = hub.server.workers()["pganalytics hub"]
    hub.front.connection.sendall(bytes_of(Push(hub.collector)))
    wait_until(hub.front.ended.is_set, 10, "the front ends")
    hub.front = played.front(40).open()
    assert hub.front.collector()["certificates"]
    assert hub.front.store(push_of(hub, [database_row(5, "after")]))["outcome"] == STORED
    assert hub.server.workers()["pganalytics hub"] == [worker]


def memory_size(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


# What it had taken of the push is lost, and the front would wait for an answer.
@pytest.mark.measures("memory that is out")
@pytest.mark.time_limit(60)
def test_a_worker_out_of_memory_replaces_the_front(played_hub: PlayedHub, played: Played) -> None:
    hub = played_hub
    (worker,) = hub.server.workers()["pganalytics hub"]
    assert hub.front.store(push_of(hub, [database_row(5, "before")]))["outcome"] == STORED
    push = push_of(hub, [database_row(5, "long" * 50_000)])
    (rowset, count, data) = push.chunks[0]
    rows = frame(PUSH_ROWS, varint(push.number) + varint(rowset) + varint(count) + text(data))
    limit = ["prlimit", "--pid", worker]
    played.run([*limit, f"--as={memory_size(worker) + (4 << 20)}:"])
    try:
        hub.front.connection.sendall(frame(PUSH_BEGIN, push.begin()) + rows * 200)
    except OSError:
        pass
    wait_until(hub.front.ended.is_set, 15, "the front ends")
    played.run([*limit, "--as=unlimited:"])
    hub.front = played.front(40).open()
    assert hub.front.store(push_of(hub, [database_row(5, "after")]))["outcome"] == STORED
    assert hub.server.workers()["pganalytics hub"] == [worker]


# --- tables and partitions


def partitions(hub: PlayedHub, table: str) -> list[str]:
    rows = hub.server.query(
        "select inhrelid::regclass::text from pg_inherits"
        " where inhparent = %s::regclass order by 1",
        (f"pganalytics.{table}",),
    )
    return [name.removeprefix("pganalytics.") for (name,) in rows]


def partition_of(table: str, when: float) -> str:
    return f"{table}_{datetime.datetime.fromtimestamp(when, datetime.timezone.utc):%Y%m%d}"


def test_partitions_are_made_ahead(played_hub: PlayedHub) -> None:
    now = time.time()
    table = "pg_stats_databases"

    def ahead() -> bool:
        return {partition_of(table, now), partition_of(table, now + DAY)} <= set(
            partitions(played_hub, table)
        )

    played_hub.server.reload()
    wait_until(ahead, 20, "today's and tomorrow's partitions")


def test_midnight(played_hub: PlayedHub) -> None:
    hub = played_hub
    midnight = (time.time() // DAY - 3) * DAY
    push = Push(hub.collector)
    number = hub.front.number_of("datid", "datfrozenxid")
    for when in (midnight - 1e-6, midnight, midnight + 1e-6):
        hub.front.add_rows(push, number, [database_row(5, "midnight")], when)
    assert hub.front.store(push)["outcome"] == STORED
    assert hub.server.query(
        "select tableoid::regclass::text, count(*) from pganalytics.pg_stats_databases"
        " where datname = 'midnight' group by 1 order by 1"
    ) == [
        (f"pganalytics.{partition_of('pg_stats_databases', midnight - DAY)}", 1),
        (f"pganalytics.{partition_of('pg_stats_databases', midnight)}", 2),
    ]


def test_new_partition_beside_a_reader(played_hub: PlayedHub) -> None:
    hub = played_hub
    with hub.server.connect(autocommit=False) as reader:
        reader.execute("select count(*) from pganalytics.pg_stats_databases")
        before = partitions(hub, "pg_stats_databases")
        push = push_of(hub, [database_row(5, "beside")], when=time.time() - 5 * DAY)
        assert hub.front.store(push)["outcome"] == STORED
        assert len(partitions(hub, "pg_stats_databases")) == len(before) + 1
        # and a table that nobody had
        number = hub.front.number_of("mount", "fs_type")
        push = Push(hub.collector)
        hub.front.add_rows(push, number, [{"mount": b"/"}], time.time())
        assert hub.front.store(push)["outcome"] == STORED
    assert names(hub, "beside") == ["beside"]


def test_ingest_goes_on_while_a_partition_cannot_be_made(played_hub: PlayedHub) -> None:
    hub = played_hub
    with hub.server.connect(autocommit=False) as other:
        other.execute("lock table only pganalytics.pg_stats_databases in share update exclusive mode")
        old = push_of(hub, [database_row(5, "later")], when=time.time() - 7 * DAY)
        now = push_of(hub, [database_row(5, "at once")])
        hub.front.push(old, now)
        results = [hub.front.result() for _ in range(2)]
        assert [result["outcome"] for result in results] == [BUSY, STORED]
        assert results[0]["retry_after"] > 0
    old.number = next(Push.numbers)
    assert hub.front.store(old)["outcome"] == STORED


def test_locked_table(played_hub: PlayedHub) -> None:
    hub = played_hub
    push = push_of(hub, [database_row(5, "locked")])
    with hub.server.connect(autocommit=False) as other:
        other.execute("lock table pganalytics.pg_stats_databases")
        began = time.monotonic()
        assert hub.front.store(push)["outcome"] == BUSY
        assert time.monotonic() - began < 3
        # Nobody else waits behind it for longer than that.
    push.number = next(Push.numbers)
    assert hub.front.store(push)["outcome"] == STORED


def test_dropped_partition_and_table_come_back(played_hub: PlayedHub) -> None:
    hub = played_hub
    when = time.time() - 9 * DAY
    assert hub.front.store(push_of(hub, [database_row(5, "p")], when=when))["outcome"] == STORED
    hub.server.execute(f"drop table pganalytics.{partition_of('pg_stats_databases', when)}")
    assert hub.front.store(push_of(hub, [database_row(5, "p")], when=when))["outcome"] == STORED
    number = hub.front.number_of("mount", "fs_type")
    for _ in range(2):
        push = Push(hub.collector)
        hub.front.add_rows(push, number, [{"mount": b"/"}], time.time())
        assert hub.front.store(push)["outcome"] == STORED
        hub.server.execute("drop table pganalytics.disk_usage_filesystems")


def test_table_of_somebody_else_is_left_alone(played_hub: PlayedHub) -> None:
    hub = played_hub
    number = hub.front.number_of("slot_name", "slot_type")
    hub.server.execute("create role somebody")
    hub.server.execute("create table pganalytics.pg_replication_slots (x int)")
    hub.server.execute("alter table pganalytics.pg_replication_slots owner to somebody")
    push = Push(hub.collector)
    hub.front.add_rows(push, number, [{"slot_name": b"s"}], time.time())
    good = push_of(hub, [database_row(5, "else")])
    hub.front.push(push, good)
    assert [hub.front.result()["outcome"] for _ in range(2)] == [BUSY, STORED]
    hub.server.execute("drop table pganalytics.pg_replication_slots")
    push.number = next(Push.numbers)
    assert hub.front.store(push)["outcome"] == STORED


def test_grants(played_hub: PlayedHub) -> None:
    hub = played_hub
    hub.front.store(push_of(hub, [database_row(5, "grants")]))
    wait_until(
        lambda: hub.server.value("select to_regclass('pganalytics.current_tables') is not null"),
        20,
        "views",
    )
    rows = hub.server.query(
        "select c.relname, c.relkind::text, c.relispartition,"
        "       has_table_privilege('pg_monitor', c.oid, 'select'),"
        "       has_table_privilege('pg_monitor', c.oid, 'insert, update, delete, truncate'),"
        "       exists (select from aclexplode(c.relacl) where grantee = 0)"
        "  from pg_class c where c.relnamespace = 'pganalytics'::regnamespace"
        "   and c.relkind in ('r', 'p', 'v')"
    )
    hidden = {"tokens", "certificates", "audit"}
    assert len(rows) > 15
    for name, kind, is_partition, reads, writes, public in rows:
        assert not writes and not public, name
        assert reads == (not is_partition and name not in hidden), name


def test_retention(played_hub: PlayedHub) -> None:
    hub = played_hub
    today = time.time() // DAY * DAY
    for days in (12, 11, 10):
        when = today - days * DAY + 1
        push = push_of(hub, [database_row(5, f"kept {days}")], when=when)
        assert hub.front.store(push)["outcome"] == STORED
    hub.server.execute(
        "insert into pganalytics.ledger select %s, gen_random_uuid(), null, null, '', null, 1, 1,"
        " now(), now() - interval '11 days 1 hour', 0, 0, 0, 0, 0, null"
        " from generate_series(1, 12000)",
        (hub.collector,),
    )
    hub.server.execute(
        "insert into pganalytics.ledger select %s, gen_random_uuid(), null, null, '', null, 1, 1,"
        " now(), now() - interval '10 days 23 hours', 0, 0, 0, 0, 0, null",
        (hub.collector,),
    )
    hub.server.set({"pganalytics.hub_retention": "10d"})

    def old_rows() -> int:
        count: int = hub.server.value(
            "select count(*) from pganalytics.ledger where received_at < now() - interval '9 days'"
        )
        return count

    wait_until(lambda: old_rows() == 1, 20, "old ledger rows gone")
    # Kept is each day that a row not older than 10 days, and one day more, may be of.
    assert names(hub, "kept") == ["kept 10", "kept 11"]
    hub.server.set({"pganalytics.hub_retention": None})

    # Until the worker has read the setting such a day is too old.
    def stored() -> bool:
        push = push_of(hub, [database_row(5, "kept 12")], when=today - 12 * DAY)
        return bool(hub.front.store(push)["outcome"] == STORED)

    wait_until(stored, 20, "the longer retention is in force")


def test_records_are_kept_for_a_year(played_hub: PlayedHub) -> None:
    hub = played_hub
    hub.server.execute(
        "insert into pganalytics.audit (at, event) select now() - make_interval(days => d), 'record'"
        " from unnest(array[400, 366, 364]) d"
    )
    # (days ago: ended, expired)
    for number, (ended, expires) in enumerate([(366, 340), (None, 366), (364, 340), (None, 364)]):
        hub.server.execute(
            "insert into pganalytics.certificates (fingerprint, collector_id, generation, serial,"
            " public_key, certificate, not_before, issued_at, ended_at, not_after)"
            " select sha256(%s), %s, 0, 'record ' || %s, '', '', now(), now() - interval '400 days',"
            " now() - make_interval(days => %s), now() - make_interval(days => %s)",
            (bytes([number]), hub.collector, number, ended, expires),
        )

    def left() -> tuple[list[Any], list[Any]]:
        days = hub.server.query(
            "select extract(day from now() - at)::int from pganalytics.audit where event = 'record'"
        )
        serials = hub.server.query(
            "select serial from pganalytics.certificates where serial like 'record%' order by 1"
        )
        return [day for (day,) in days], [serial for (serial,) in serials]

    hub.server.reload()
    wait_until(lambda: left() == ([364], ["record 2", "record 3"]), 20, "old records gone")
    # A longer retention is theirs, too.
    hub.server.set({"pganalytics.hub_retention": "500d"})
    hub.server.execute(
        "insert into pganalytics.audit (at, event) values (now() - interval '450 days', 'record'),"
        " (now() - interval '550 days', 'record')"
    )
    hub.server.reload()
    wait_until(lambda: left()[0] == [364, 450], 20, "older records gone")
    hub.server.set({"pganalytics.hub_retention": None})


def test_retention_waits_for_a_reader(played_hub: PlayedHub) -> None:
    hub = played_hub
    when = time.time() - 20 * DAY
    name = partition_of("pg_stats_databases", when)
    assert hub.front.store(push_of(hub, [database_row(5, "r")], when=when))["outcome"] == STORED
    with hub.server.connect(autocommit=False) as reader:
        reader.execute("select count(*) from pganalytics.pg_stats_databases")
        after = hub.server.log_size()
        hub.server.set({"pganalytics.hub_retention": "15d"})
        hub.server.wait_log("an old partition is kept for now", after)
        assert name in partitions(hub, "pg_stats_databases")
        assert hub.front.store(push_of(hub, [database_row(5, "meanwhile")]))["outcome"] == STORED
    hub.server.reload()
    wait_until(lambda: name not in partitions(hub, "pg_stats_databases"), 20, "partition dropped")
    hub.server.set({"pganalytics.hub_retention": None})


# --- whoever owns the tables runs nothing as the worker


def test_trigger_runs_as_the_owner(played_hub: PlayedHub) -> None:
    hub = played_hub
    server = hub.server
    server.execute("create table public.seen (who text, rights bool)")
    server.execute(
        "create function public.spy() returns trigger language plpgsql as $$ begin"
        " insert into public.seen values (current_user, pg_backend_pid() > 0);"
        " if new.datname = 'slow' then perform pg_sleep(60); end if; return new; end $$"
    )
    server.execute(
        "create trigger spy before insert on pganalytics.pg_stats_databases"
        " for each row execute function public.spy()"
    )
    try:
        assert hub.front.store(push_of(hub, [database_row(5, "spied")]))["outcome"] == STORED
        owner = server.value(
            "select extowner::regrole::text from pg_extension where extname = 'pganalytics'"
        )
        assert server.query("select distinct who from public.seen") == [(owner,)]
        # and is not waited for longer than 10 s
        began = time.monotonic()
        push = push_of(hub, [database_row(5, "slow")])
        hub.front.push(push)
        assert hub.front.result(20)["outcome"] == BUSY
        assert 8 < time.monotonic() - began < 15
    finally:
        server.execute("drop function public.spy() cascade")


# --- the worker's life


def test_cancel_while_idle_and_while_storing(played_hub: PlayedHub) -> None:
    hub = played_hub
    (pid,) = hub.server.workers()["pganalytics hub"]
    for _ in range(3):
        assert hub.server.value("select pg_cancel_backend(%s)", (pid,))
    push = push_of(hub, [database_row(5, "cancelled")])
    with hub.server.connect(autocommit=False) as other:
        other.execute("lock table pganalytics.ledger")
        hub.front.push(push)
        wait_until(
            lambda: hub.server.value(
                "select exists (select from pg_locks where not granted and pid = %s)", (pid,)
            ),
            5,
            "the worker waits",
        )
        assert hub.server.value("select pg_cancel_backend(%s)", (pid,))
        assert hub.front.result()["outcome"] == BUSY
    push.number = next(Push.numbers)
    assert hub.front.store(push)["outcome"] == STORED
    assert hub.server.workers()["pganalytics hub"] == [pid]


def test_terminate(played_hub: PlayedHub, played: Played) -> None:
    hub = played_hub
    (pid,) = hub.server.workers()["pganalytics hub"]
    assert hub.server.value("select pg_terminate_backend(%s)", (pid,))
    wait_until(hub.front.ended.is_set, 10, "the front ends")
    hub.front = played.front(20).open()
    assert hub.server.workers()["pganalytics hub"] != [pid]
    assert hub.front.store(push_of(hub, [database_row(5, "terminated")]))["outcome"] == STORED


def test_silent_front_is_replaced(played_hub: PlayedHub, played: Played) -> None:
    hub = played_hub
    hub.front.answer_heartbeats = False
    wait_until(hub.front.ended.is_set, 25, "the front ends")
    hub.front = played.front(40).open()
    assert hub.front.store(push_of(hub, [database_row(5, "silent")]))["outcome"] == STORED


def test_cpu_of_an_idle_hub(played_hub: PlayedHub) -> None:
    (pid,) = played_hub.server.workers()["pganalytics hub"]

    def cpu_ns() -> int:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0])

    began, before = time.monotonic(), cpu_ns()
    wait_until(lambda: time.monotonic() - began > 5, 10, "five seconds")
    assert (cpu_ns() - before) / 5e9 < 0.01
