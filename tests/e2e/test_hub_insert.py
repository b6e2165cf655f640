"""Rows go straight into the partitions of a table that is as the hub made it, and by COPY into any
other: both store the same, index every row, and refuse the same. COPY is the judge of the values,
amcheck of the indexes; the front is played."""

import pathlib
import random
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from played import BUSY, REFUSED, STORED, PlayedHub, Push, copy_time
from test_hub_worker import DAY, database_row, names, partition_of, push_of

NOW = 1_700_000_000.0
MOST_MEMORY_BESIDE = 16  # MiB, of the worker, beside the rows of a push
LONG = random.Random(5).randbytes(3_000).hex().encode()  # is moved out of line

VALUES: dict[str, list[bytes]] = {
    "boolean": [b"\0", b"\1", b"\7"],
    "bigint": [struct.pack(">q", v) for v in (0, 1, -1, -(2**63), 2**63 - 1)],
    "oid": [struct.pack(">I", v) for v in (0, 16384, 2**32 - 1)],
    "double precision": [struct.pack(">d", v) for v in (0.0, -0.0, 1e300, 5e-324, float("inf"), float("nan"))],
    "timestamp with time zone": [
        copy_time(NOW), struct.pack(">q", 2**63 - 1), struct.pack(">q", -(2**63)),
        struct.pack(">q", -211813488000000000), struct.pack(">q", 9223371331199999999),
    ],
    "pg_lsn": [struct.pack(">Q", v) for v in (0, 0x16B374D848, 2**64 - 1)],
    "uuid": [bytes(16), bytes(range(16)), b"\xff" * 16],
    "text": [b"", b"a", b"b" * 125, b"c" * 126, b"d" * 127, "é😀\n\"'\\".encode() * 300, LONG],
    "jsonb": [b"\1{}", b"\1null", '\1{"a": [1, 2.50, "é😀", {"b": null}]}'.encode(), b'\1"' + LONG + b'"'],
}  # fmt: skip

# A field that is no value of the type, though a row may be cut into such fields.
BROKEN: dict[str, list[bytes]] = {
    "boolean": [b"", b"\0\0"],
    "bigint": [b"", b"\0" * 7, b"\0" * 9],
    "oid": [b"", b"\0" * 3, b"\0" * 8],
    "double precision": [b"", b"\0" * 4],
    "timestamp with time zone": [b"", b"\0" * 7, struct.pack(">q", 2**63 - 2), struct.pack(">q", -(2**63) + 1)],
    "pg_lsn": [b"", b"\0" * 4],
    "uuid": [b"", b"\0" * 15, b"\0" * 17],
    "text": [b"\xff", b"a\0b", b"\xc0\x80", b"\xed\xa0\x80", b"\xf0\x9f"],
    "jsonb": [b"", b"\1{", b"\1{}\0", b'\1"\\u0000"'],
}


@contextmanager
def by_copy(hub: PlayedHub, *tables: str, each: str = "row") -> Iterator[None]:
    """With a trigger, which only COPY runs; it counts how often it ran."""
    hub.server.execute("create sequence if not exists public.seen")
    hub.server.execute(
        "create or replace function public.watch() returns trigger language plpgsql as"
        " $$ begin perform nextval('public.seen'); return new; end $$"
    )
    for table in tables:
        hub.server.execute(
            f"create trigger watch before insert on {table} for each {each} execute function public.watch()"
        )
    try:
        yield
    finally:
        hub.server.execute("drop function public.watch() cascade")


def seen(hub: PlayedHub) -> int:
    return int(hub.server.value("select case when is_called then last_value else 0 end from public.seen"))


def tables(hub: PlayedHub) -> dict[int, tuple[str, dict[str, str]]]:
    """Of each rowset the table, which exists from here on, and its columns' types."""
    push = Push(hub.collector)
    for number in hub.front.targets:
        hub.front.add_rows(push, number, [{}], time.time())
    assert hub.front.store(push)["outcome"] == STORED
    columns = hub.server.query(
        "select attrelid::regclass::text, array_agg(attname::text order by attnum),"
        " array_agg(format_type(atttypid, atttypmod) order by attnum)"
        " from pg_attribute join pg_class c on c.oid = attrelid"
        " where relnamespace = 'pganalytics'::regnamespace and relkind = 'p' and attnum > 0 group by 1"
    )
    found: dict[int, tuple[str, dict[str, str]]] = {}
    for number, wanted in hub.front.targets.items():
        fitting = [(table, dict(zip(n, kinds))) for table, n, kinds in columns if set(n) == set(wanted)]
        # Of those that have the same columns none could be told apart.
        if len(fitting) == 1:
            found[number] = fitting[0]
    return found


def in_one_frame(push: Push) -> Push:
    """Its rows, which are all of one rowset, as one piece."""
    number = push.chunks[0][0]
    push.chunks = [(number, sum(count for _, count, _ in push.chunks), b"".join(data for *_, data in push.chunks))]
    return push


def check_indexes(hub: PlayedHub) -> int:
    """Each row is in each index of its table, and nothing else is; how many indexes."""
    hub.server.execute("create extension if not exists amcheck")
    return len(
        hub.server.query(
            "select bt_index_check(i.indexrelid, true) from pg_index i join pg_class c on c.oid = i.indexrelid"
            " join pg_am a on a.oid = c.relam where c.relkind = 'i' and a.amname = 'btree'"
            " and c.relnamespace = 'pganalytics'::regnamespace"
        )
    )


def test_every_rowset_as_copy_stores_it(played_hub: PlayedHub) -> None:
    hub = played_hub
    targets = tables(hub)
    assert len(targets) > 40
    kinds = {kind for _, columns in targets.values() for kind in columns.values()}
    assert kinds == set(VALUES)
    rows = 8
    today = time.time()
    plain, copied = Push(hub.collector), Push(hub.collector)
    indexed = set(
        hub.server.query(
            "select c.oid::regclass::text, a.attname::text from pg_index i join pg_class c on c.oid = i.indrelid"
            " join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey) where c.relkind = 'p'"
        )
    )
    times = {plain: today - 2 * DAY, copied: today - 3 * DAY}
    for push, when in times.items():
        for number, (table, columns) in targets.items():
            made = []
            for row in range(rows - 1):
                values = {}
                for place, (name, kind) in enumerate(columns.items()):
                    if name in ("time", "collector_id") or (row + place) % 5 == 4:
                        continue
                    value = VALUES[kind][(row + place) % len(VALUES[kind])]
                    values[name] = value[:1000] if (table, name) in indexed else value
                made.append(values)
            hub.front.add_rows(push, number, [*made, {}], when)
    result = hub.front.store(plain)
    assert result["outcome"] == STORED, result
    with by_copy(hub, *(table for table, _ in targets.values())):
        assert hub.front.store(copied)["outcome"] == STORED
        assert seen(hub) == rows * len(targets)
    for table, columns in targets.values():
        # As text too, which tells -0 from 0 and NaN from null.
        listed = ", ".join(f'"{column}"' for column in columns if column != "time")
        sql = "select array_agg(to_jsonb(t)::text || t::text order by to_jsonb(t)::text, t::text)"
        sql += f" from (select {listed} from {table} where time between to_timestamp(%s) and to_timestamp(%s)) t"
        ours, reference = (hub.server.value(sql, (when - 1, when + 1)) for when in times.values())
        assert len(ours) == rows and ours == reference, table
    assert check_indexes(hub) > 80


def test_what_is_no_value_is_refused_as_copy_refuses_it(played_hub: PlayedHub) -> None:
    hub = played_hub
    targets = tables(hub)
    for kind, broken in BROKEN.items():
        number, table, name = next(
            (number, table, name)
            for number, (table, columns) in targets.items()
            for name, of in columns.items()
            if of == kind and name not in ("time", "collector_id")
        )

        def outcomes() -> list[int]:
            pushes = []
            for value in broken:
                push = Push(hub.collector)
                hub.front.add_rows(push, number, [{}, {name: value}, {}], time.time())
                pushes.append(push)
            hub.front.push(*pushes)
            return [hub.front.result()["outcome"] for _ in pushes]

        before = hub.server.value(f"select count(*) from {table}")
        assert outcomes() == [REFUSED] * len(broken), kind
        with by_copy(hub, table):
            assert outcomes() == [REFUSED] * len(broken), kind
        assert hub.server.value(f"select count(*) from {table}") == before
    check_indexes(hub)


def test_rows_of_many_days_in_turn(played_hub: PlayedHub) -> None:
    hub = played_hub
    number = hub.front.number_of("datid", "datfrozenxid")
    push = Push(hub.collector)
    today = time.time() // DAY * DAY
    days = [today - day * DAY + 1 for day in range(7)]
    for turn in range(60):
        for when in days:
            rows = [database_row(turn, f"turn {turn} {row}") for row in range(5)]
            hub.front.add_rows(push, number, rows, when)
    assert hub.front.store(in_one_frame(push)) == {
        "number": push.number, "outcome": STORED, "inserted": 60 * 7 * 5, "want_full": True, "retry_after": 0, "message": "",
    }  # fmt: skip
    assert hub.server.query(
        "select tableoid::regclass::text, count(*), count(distinct (datid, datname))"
        " from pganalytics.pg_stats_databases where datname like 'turn%' group by 1 order by 1"
    ) == [(f"pganalytics.{partition_of('pg_stats_databases', when)}", 300, 300) for when in sorted(days)]
    assert check_indexes(hub) >= 7


def test_more_rows_than_are_kept_together(played_hub: PlayedHub) -> None:
    hub = played_hub
    rows = [database_row(row, f"many {row}") for row in range(2001)]
    assert hub.front.store(push_of(hub, rows))["outcome"] == STORED
    assert hub.server.query(
        "select count(*), count(distinct datid), count(*) filter (where datname = 'many ' || datid)"
        " from pganalytics.pg_stats_databases where datname like 'many %'"
    ) == [(2001, 2001, 2001)]
    check_indexes(hub)


def test_long_rows_are_stored_a_few_at_a_time(played_hub: PlayedHub) -> None:
    hub = played_hub
    push = Push(hub.collector)
    number = hub.front.number_of("datid", "datfrozenxid")
    for part in range(21):  # four times what is kept together, and a rest
        rows = [database_row(part, f"long {part} {row} " + "l" * 100_000) for row in range(2)]
        hub.front.add_rows(push, number, rows, time.time())
    assert hub.front.store(push)["outcome"] == STORED
    assert hub.server.query(
        "select count(*), count(distinct datname), min(length(datname)) from pganalytics.pg_stats_databases where datname like 'long %'"
    ) == [(42, 42, 100_009)]
    check_indexes(hub)


@pytest.mark.measures("memory")
@pytest.mark.parametrize(
    "mib, outcome",
    [pytest.param(94, STORED, id="as large as a push may be"), pytest.param(98, REFUSED, id="larger")],
)
def test_memory_that_one_push_takes(played_hub: PlayedHub, mib: int, outcome: int) -> None:
    """Its bytes, 96 MiB at most, and a little: values are made of some rows at a time."""
    hub = played_hub
    number = hub.front.number_of("datid", "datfrozenxid")
    assert hub.front.store(push_of(hub, [database_row(0, "first")]))["outcome"] == STORED
    [worker] = hub.server.query("select pid from pg_stat_activity where backend_type = 'pganalytics hub'")[0]

    def peak() -> int:
        lines = pathlib.Path(f"/proc/{worker}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024

    pathlib.Path(f"/proc/{worker}/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    push = Push(hub.collector)
    for part in range(mib):
        rows = [database_row(part, f"large {mib} {part} {row} " + "l" * 524_000) for row in range(2)]
        hub.front.add_rows(push, number, rows, time.time())
    assert hub.front.store(push)["outcome"] == outcome
    took = peak() - before
    stored = hub.server.value("select count(*) from pganalytics.pg_stats_databases where datname like %s", (f"large {mib} %",))
    hub.server.execute("truncate pganalytics.pg_stats_databases")  # such rows fit in no index of the tests below
    print(f"{mib} MiB: {took} MiB more than {before} at the peak")
    assert stored == (2 * mib if outcome == STORED else 0)
    assert took < 96 + MOST_MEMORY_BESIDE, took


def test_a_table_that_somebody_changed(played_hub: PlayedHub) -> None:
    """What the hub does not make is stored as COPY stores it."""
    hub = played_hub
    server = hub.server
    now = time.time()
    assert hub.front.store(push_of(hub, [database_row(1, "first")]))["outcome"] == STORED
    parent, today = "pganalytics.pg_stats_databases", f"pganalytics.{partition_of('pg_stats_databases', now)}"
    for number, (column, value) in enumerate({
        "text default 'of ' || current_user": f"'of ' || '{owner(hub)}'",
        "bigint generated always as (datid::int8 * 2) stored": "datid::int8 * 2",
        # The rows of before have the numbers below it.
        "bigint generated by default as identity": f"(select count(*) from {parent})",
        "bigint generated always as (datid::int8 * 3) virtual": "6",
    }.items()):  # fmt: skip
        # Of a partitioned table the server allows an identity from 17 on.
        if ("identity" in column and server.major < 17) or ("virtual" in column and server.major < 18):
            continue
        server.execute(f"alter table {parent} add more {column}")
        name = f"more {number}"
        assert hub.front.store(push_of(hub, [database_row(2, name)]))["outcome"] == STORED
        assert server.query(f"select count(*) from {parent} where datname = %s and more = {value}", (name,)) == [(1,)]
        server.execute(f"alter table {parent} drop more")
    # A column more, none of ours, and an index of theirs.
    server.execute(f"alter table {parent} add remark text; create index on {today} (lower(datname)) where datid > 3")
    for datid in (3, 4):
        assert hub.front.store(push_of(hub, [database_row(datid, "Indexed")]))["outcome"] == STORED
    check_indexes(hub)
    with server.connect() as session:
        session.execute("set enable_seqscan = off")
        found = session.execute(f"select datid from {today} where lower(datname) = 'indexed' and datid > 3".encode())
        assert found.fetchall() == [(4,)]
    # A unique index: what breaks it is the hub's to settle, not the collector's.
    server.execute(f"create unique index only_once on {today} (datname) where datname like 'once%'")
    push = push_of(hub, [database_row(5, "once"), database_row(6, "once")])
    assert hub.front.store(push)["outcome"] == BUSY
    assert names(hub, "once") == []
    server.execute("drop index pganalytics.only_once")
    push.number = next(Push.numbers)
    assert hub.front.store(push)["outcome"] == STORED
    # A trigger of one partition, or one of the whole table that its partitions do not have.
    for table, each in ((today, "row"), (parent, "statement")):
        with by_copy(hub, table, each=each):
            before = seen(hub)
            assert hub.front.store(push_of(hub, [database_row(6, f"watched for each {each}")]))["outcome"] == STORED
            assert seen(hub) == before + 1
    # What must not be null.
    server.execute(f"delete from {today} where datname is null")  # of the tests before
    server.execute(f"alter table {today} alter datname set not null")
    assert hub.front.store(push_of(hub, [{"datid": struct.pack(">I", 6)}]))["outcome"] == BUSY
    assert hub.front.store(push_of(hub, [database_row(6, "no null")]))["outcome"] == STORED
    server.execute(f"alter table {today} alter datname drop not null")
    # A row that a check of one partition forbids, beside rows of another.
    server.execute(f"alter table {today} add constraint c check (datname <> 'forbidden')")
    both = Push(hub.collector)
    rowset = hub.front.number_of("datid", "datfrozenxid")
    for turn in range(40):
        for day in (2, 0):
            hub.front.add_rows(both, rowset, [database_row(7, f"allowed {turn}")] * 3, now - day * DAY)
    assert hub.front.store(in_one_frame(both))["outcome"] == STORED
    assert names(hub, "allowed") == sorted([f"allowed {turn}" for turn in range(40)] * 6)
    assert hub.front.store(push_of(hub, [database_row(8, "forbidden")]))["outcome"] == BUSY
    check_indexes(hub)


@pytest.mark.parametrize(("part", "ago"), [("half days", 9), ("default", 11)])
def test_partitions_of_somebody(played_hub: PlayedHub, part: str, ago: int) -> None:
    hub = played_hub
    server = hub.server
    day = time.time() // DAY * DAY - ago * DAY
    number = hub.front.number_of("datid", "datfrozenxid")
    assert hub.front.store(push_of(hub, [database_row(1, "first")], when=day))["outcome"] == STORED
    parent, table = "pganalytics.pg_stats_databases", f"pganalytics.{partition_of('pg_stats_databases', day)}"
    server.execute(f"alter table {parent} detach partition {table}")
    # Other columns before ours, one of them dropped: the same column has another number.
    server.execute(f"create table public.lower_half (gone int, datname text, datid oid); alter table public.lower_half drop gone")
    columns = server.query(
        "select attname::text, format_type(atttypid, -1), attnotnull from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and not attisdropped and attname not in ('datname', 'datid') order by attnum desc",
        (parent,),
    )
    for name, kind, needed in columns:
        server.execute(f'alter table public.lower_half add "{name}" {kind}' + (" not null" if needed else ""))
    server.execute("create table public.upper_half (like public.lower_half including all)")
    half = day + DAY / 2
    if part == "half days":
        for name, begin, end in (("lower_half", day, half), ("upper_half", half, day + DAY)):
            server.execute(f"alter table {parent} attach partition public.{name} for values from ('{utc(begin)}') to ('{utc(end)}')")
    else:
        server.execute(f"alter table {parent} attach partition public.lower_half for values from ('{utc(day)}') to ('{utc(half)}')")
        server.execute(f"alter table {parent} attach partition public.upper_half default")
    push = Push(hub.collector)
    for when in (day, half - 1, half, day + DAY - 1):
        hub.front.add_rows(push, number, [database_row(9, f"{part} {when:.0f}", xact_commit=struct.pack(">q", 77))], when)
    assert hub.front.store(push)["outcome"] == STORED
    assert server.query(
        f"select tableoid::regclass::text, datname, datid, xact_commit, collector_id from {parent} where datname like '{part}%' order by time"
    ) == [
        (name, f"{part} {when:.0f}", 9, 77, hub.collector)
        for name, when in (("lower_half", day), ("lower_half", half - 1), ("upper_half", half), ("upper_half", day + DAY - 1))
    ]  # fmt: skip
    check_indexes(hub)
    for name in ("lower_half", "upper_half"):
        server.execute(f"drop table public.{name}")


def owner(hub: PlayedHub) -> str:
    return str(hub.server.value("select extowner::regrole::text from pg_extension where extname = 'pganalytics'"))


def utc(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(when))
