"""The views for people, against a model that keeps the whole truth: what a server read, cycle by
cycle, of which only changes, keys gone and now and then everything was sent."""

import dataclasses
import json
import random
import struct
import time
import uuid
from typing import Any

import psycopg
import pytest
from harness import wait_until
from played import STORED, PlayedHub, Push, copy_time

COUNTERS = ["seq_scan", "seq_tup_read", "tuples_fetched", "n_tup_ins", "n_tup_upd", "n_tup_del"]
COUNTERS += ["n_tup_hot_upd", "heap_blks_fetched", "heap_blks_hit"]
INDEX_COUNTERS = ["idx_scan", "idx_tup_fetch", "idx_blks_fetched", "idx_blks_hit"]

Values = dict[str, int]


def oid(value: int) -> bytes:
    return struct.pack(">I", value)


def bigint(value: int) -> bytes:
    return struct.pack(">q", value)


@dataclasses.dataclass
class Rowset:
    """One rowset of one database at the server, and what the hub can know of it."""

    name: str
    key: str
    datid: int
    datname: str
    labels: dict[int, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    truth: dict[int, Values] = dataclasses.field(default_factory=dict)
    sent: dict[int, Values] = dataclasses.field(default_factory=dict)
    history: dict[int, list[tuple[float, Values]]] = dataclasses.field(default_factory=dict)
    fulls: list[float] = dataclasses.field(default_factory=list)

    def read(self, when: float, full: bool, unseen: set[int]) -> tuple[list[int], list[int]]:
        """Keys whose rows are sent, keys that are named gone."""
        seen = [key for key in self.truth if key not in unseen]
        rows = [key for key in seen if full or self.sent.get(key) != self.truth[key]]
        gone = [] if full or unseen else [key for key in self.sent if key not in self.truth]
        if not unseen:
            self.sent = {key: self.sent[key] for key in self.sent if key in self.truth}
            if full:
                self.fulls.append(when)
        for key in rows:
            self.sent[key] = dict(self.truth[key])
            self.history.setdefault(key, []).append((when, dict(self.truth[key])))
        return rows, gone

    def expected(self, key: int, began: float) -> tuple[Values, int]:
        """What the counters of a key gained since `began`, and how often they were reset."""
        base = max((full for full in self.fulls if full <= began), default=None)
        gained: Values = {}
        resets = 0
        before: Values | None = None
        for when, values in self.history[key]:
            if when < (began if base is None else base):
                continue
            if when > began and (before is not None or base is not None):
                fresh = before is None or any(values[c] < before[c] for c in values)
                resets += fresh and before is not None
                for counter, value in values.items():
                    start = 0 if fresh or before is None else before[counter]
                    gained[counter] = gained.get(counter, 0) + value - start
            before = values
        return {counter: gained.get(counter, 0) for counter in self.sent[key]}, resets


class Server:
    """A server with databases, tables and indexes that come, work, are reset and go."""

    def __init__(self, hub: PlayedHub, name: str, rng: random.Random) -> None:
        self.hub, self.name, self.rng = hub, name, rng
        self.collector = hub.enrol(name)
        front = hub.front
        self.numbers = {
            "databases": front.number_of("datid", "datfrozenxid"),
            "tables": front.number_of("relid", "seq_scan"),
            "indexes": front.number_of("indexrelid", "idx_scan"),
            "fulls": front.number_of("rowset", "complete"),
            "gone": front.number_of("rowset", "key"),
        }
        self.next_oid = 20000
        self.databases = Rowset("databases", "datid", 0, "")
        self.tables: dict[int, Rowset] = {}
        self.indexes: dict[int, Rowset] = {}
        self.table_of: dict[int, int] = {}
        for _ in range(3):
            self.add_database()

    def new_oid(self) -> int:
        self.next_oid += 1
        return self.next_oid

    def add_database(self) -> None:
        datid = self.new_oid()
        self.databases.truth[datid] = {"xact_commit": 1}
        self.databases.labels[datid] = {"datname": f'base "{datid}"'.encode()}
        self.tables[datid] = Rowset("tables", "relid", datid, f'base "{datid}"')
        self.indexes[datid] = Rowset("indexes", "indexrelid", datid, f'base "{datid}"')
        for _ in range(12):
            self.add_table(datid)

    def add_table(self, datid: int) -> None:
        relid = self.new_oid()
        tables, indexes = self.tables[datid], self.indexes[datid]
        names = {"schemaname": b"public", "relname": f"t\n{relid}😀".encode()}
        tables.labels[relid] = names
        tables.truth[relid] = {c: self.rng.randrange(1000) for c in COUNTERS}
        for _ in range(self.rng.randrange(3)):
            index = self.new_oid()
            self.table_of[index] = relid
            indexes.labels[index] = {"relid": oid(relid), "schemaname": b"public"}
            indexes.truth[index] = {c: self.rng.randrange(1000) for c in INDEX_COUNTERS}

    def drop_table(self, datid: int) -> None:
        relid = self.rng.choice(list(self.tables[datid].truth))
        del self.tables[datid].truth[relid]
        for index in [i for i in self.indexes[datid].truth if self.table_of[i] == relid]:
            del self.indexes[datid].truth[index]

    def work(self) -> None:
        for datid in self.databases.truth:
            for rowset in (self.tables[datid], self.indexes[datid]):
                for values in rowset.truth.values():
                    if self.rng.random() < 0.3:
                        for counter in values:
                            values[counter] += self.rng.randrange(100)
                    if self.rng.random() < 0.05:
                        for counter in values:
                            values[counter] = self.rng.randrange(10)
            if self.rng.random() < 0.3:
                self.add_table(datid)
            if self.rng.random() < 0.3 and len(self.tables[datid].truth) > 2:
                self.drop_table(datid)
        if self.rng.random() < 0.1:
            self.add_database()
        if self.rng.random() < 0.1 and len(self.databases.truth) > 2:
            del self.databases.truth[self.rng.choice(list(self.databases.truth))]

    def cycle(self, when: float, first: bool) -> None:
        parts = self.rng.choice((1, 1, 2, 3))
        cycle = uuid.uuid4()
        pushes = [
            # It began before its rows were read.
            Push(self.collector, time=when - 1, cycle=cycle, part=1 + i, parts=parts) for i in range(parts)
        ]
        seen = {} if first else {d: set(t.sent) & set(t.truth) for d, t in self.tables.items()}
        for rowset in self.rowsets():
            full = first or not rowset.sent or self.rng.random() < 0.15
            unseen: set[int] = set()
            if not first and self.rng.random() < 0.15 and rowset.truth:
                unseen = {self.rng.choice(list(rowset.truth))}
            rows, gone = rowset.read(when, full, unseen)
            # Cut between any two rows; keys that are gone come with the last part.
            for i, push in enumerate(pushes):
                part = rows[len(rows) * i // parts : len(rows) * (1 + i) // parts]
                last = gone if i == parts - 1 else []
                self.send(push, rowset, when, part, last, full, not unseen)
        for push in pushes:
            result = self.hub.front.store(push)
            assert result["outcome"] == STORED, result
            if push.part < parts and not first:
                self.check_nothing_lost(seen)

    def check_nothing_lost(self, seen: dict[int, set[int]]) -> None:
        """A full rowset of which parts are missing proves nothing gone."""
        found: dict[int, set[int]] = {}
        for datid, relid in self.hub.server.query(
            "select datid, relid from pganalytics.current_tables where server = %s", (self.name,)
        ):
            found.setdefault(datid, set()).add(relid)
        for datid, relids in found.items():
            assert seen.get(datid, set()) <= relids

    def rowsets(self) -> list[Rowset]:
        found = [self.databases]
        for datid in self.databases.truth:
            found += [self.tables[datid], self.indexes[datid]]
        return found

    def send(
        self,
        push: Push,
        rowset: Rowset,
        when: float,
        rows: list[int],
        gone: list[int],
        full: bool,
        complete: bool,
    ) -> None:
        front = self.hub.front
        base = {} if rowset.name == "databases" else {"datid": oid(rowset.datid)}
        if base:
            base["datname"] = rowset.datname.encode()
        data = [
            {c: bigint(v) for c, v in rowset.sent[key].items()}
            | base
            | {rowset.key: oid(key)}
            | rowset.labels[key]
            for key in rows
        ]
        front.add_rows(push, self.numbers[rowset.name], data, when)
        mark = {"rowset": f"pg_stats.{rowset.name}".encode(), "datid": oid(rowset.datid)}
        marks = []
        for key in gone:
            named = {rowset.key: key} | ({"datid": rowset.datid} if base else {})
            marks.append(mark | {"key": b"\1" + json.dumps(named).encode()})
            if not base:
                marks[-1]["datid"] = oid(key)
        front.add_rows(push, self.numbers["gone"], marks, when)
        if full:
            flag = mark | {"complete": b"\1" if complete else b"\0"}
            if push.parts > 1:
                flag["cycle"] = push.cycle.bytes
            front.add_rows(push, self.numbers["fulls"], [flag], when)


@pytest.fixture(scope="module")
def views_hub(played_hub: PlayedHub) -> PlayedHub:
    ready = "select count(*) = 3 from pg_views where schemaname = 'pganalytics' and viewname like 'current_%'"
    wait_until(lambda: played_hub.server.value(ready), 20, "views")
    return played_hub


def check_current(server: Server) -> None:
    sql = server.hub.server
    where = f"where server = '{server.name}'"
    databases = dict(sql.query(f"select datid, xact_commit from pganalytics.current_databases {where}"))
    assert databases == {k: v["xact_commit"] for k, v in server.databases.sent.items()}
    known = {}
    for datid in databases:
        for relid, values in server.tables[datid].sent.items():
            sums: dict[str, Any] = dict.fromkeys(INDEX_COUNTERS)
            for index, counted in server.indexes[datid].sent.items():
                if server.table_of[index] == relid:
                    sums = {c: (sums[c] or 0) + counted[c] for c in INDEX_COUNTERS}
            if sums["idx_tup_fetch"] is not None:
                sums["idx_tup_fetch"] += values["tuples_fetched"]
            known[datid, relid] = values | sums
    columns = COUNTERS + INDEX_COUNTERS
    rows = sql.rows(
        f"select datid, relid, {', '.join(columns)} from pganalytics.current_tables {where}"
    )
    assert {(r["datid"], r["relid"]): {c: r[c] for c in columns} for r in rows} == known
    assert len(rows) == len(known)
    rows = sql.rows(f"select * from pganalytics.current_indexes {where}")
    assert {(r["datid"], r["indexrelid"]): {c: r[c] for c in INDEX_COUNTERS} for r in rows} == {
        (datid, key): values for datid in databases for key, values in server.indexes[datid].sent.items()
    }


def check_rates(server: Server, seconds: int, ended: float) -> int:
    rows = server.hub.server.rows(
        "select * from pganalytics.table_rates(%s, %s * interval '1 second')", (server.name, seconds)
    )
    found = {(row["datid"], row["relid"]): row for row in rows}
    assert len(found) == len(rows)
    began = ended - seconds
    expected = {}
    for datid in server.databases.sent:
        tables = server.tables[datid]
        for relid in tables.sent:
            last = tables.history[relid][-1][0]
            base = max((full for full in tables.fulls if full <= began), default=None)
            if last >= (began if base is None else base):
                expected[datid, relid] = tables.expected(relid, began)
    assert set(found) == set(expected)
    resets = 0
    for key, (gained, reset) in expected.items():
        row = found[key]
        resets += reset
        assert row["resets"] == reset
        if row["seconds"] is None:
            continue
        for counter in ("seq_scan", "n_tup_ins", "heap_blks_hit"):
            assert row[counter] >= 0
            assert row[counter] * row["seconds"] == pytest.approx(gained[counter], abs=1e-3)
        read = max(gained["heap_blks_fetched"] - gained["heap_blks_hit"], 0)
        assert row["heap_blks_read"] * row["seconds"] == pytest.approx(read, abs=1e-3)
    return resets


@pytest.mark.parametrize("round_", range(3))
def test_views_tell_what_was_read(views_hub: PlayedHub, rng: random.Random, round_: int) -> None:
    server = Server(views_hub, f"view {round_}", rng)
    ended = round(time.time())
    times = [ended - 60 * back for back in range(30, -1, -1)]
    resets = 0
    for when in times:
        if when != times[0]:
            server.work()
        server.cycle(when, when == times[0])
        if rng.random() < 0.2:
            check_current(server)
            check_rates(server, 300, when)
    check_current(server)
    for seconds in (60, 90, 600, 1799, 1800, 7200):
        resets += check_rates(server, seconds, ended)
    assert resets > 0


# Minutes before the end, relid, n_tup_ins, stats_reset (minutes before the end): what arrived.
STEADY, FELL, RESET, DROPPED, AGAIN, QUIET = range(1, 7)
HISTORY = [
    (30, STEADY, 100, 99),
    (30, FELL, 1000, 99),
    (30, RESET, 100, 99),
    (30, DROPPED, 7, 99),
    (30, QUIET, 5, 99),
    (20, STEADY, 160, 99),
    (20, FELL, 1100, 99),
    (10, STEADY, 400, 99),
    (10, FELL, 40, 99),
    (10, RESET, 300, 15),
    (10, AGAIN, 70, 99),
    (0, FELL, 50, 99),
]

# What came on top in the last so many minutes, worked out by hand.
GAINED = {
    30: {STEADY: 300, FELL: 150, RESET: 300, AGAIN: 70, QUIET: 0},
    15: {STEADY: 240, FELL: 50, RESET: 300, AGAIN: 70, QUIET: 0},
    5: {STEADY: 0, FELL: 10, RESET: 0, AGAIN: 0, QUIET: 0},
}

# A plain way to the same, by the row before each, without windows and CTEs.
PLAIN = """
select n.relid::int, sum(case when p.relid is null or n.n_tup_ins < p.n_tup_ins
                         or n.stats_reset is distinct from p.stats_reset
                         then n.n_tup_ins else n.n_tup_ins - p.n_tup_ins end)::int
  from pganalytics.pg_stats_tables n
  left join lateral (select * from pganalytics.pg_stats_tables b
                      where b.collector_id = n.collector_id and b.relid = n.relid
                        and b.time < n.time order by b.time desc limit 1) p on true
 where n.collector_id = %(id)s and n.time > to_timestamp(%(ended)s) - %(minutes)s * interval '1 min'
 group by 1 having bool_and(n.relid <> %(dropped)s)
"""


def test_rates_by_hand_and_by_plain_sql(views_hub: PlayedHub) -> None:
    hub, front = views_hub, views_hub.front
    collector = hub.enrol("by hand")
    ended = round(time.time())
    numbers = {
        "tables": front.number_of("relid", "seq_scan"),
        "fulls": front.number_of("rowset", "complete"),
        "gone": front.number_of("rowset", "key"),
    }
    mark = {"rowset": b"pg_stats.tables", "datid": oid(9)}
    for minutes in (30, 20, 10, 0):
        when = ended - 60 * minutes
        push = Push(collector, time=when)
        rows = [
            {"datid": oid(9), "datname": b"d", "relid": oid(relid), "n_tup_ins": bigint(counter)}
            | {"relname": b"same name", "stats_reset": copy_time(ended - 60 * reset)}
            for moment, relid, counter, reset in HISTORY
            if moment == minutes
        ]
        front.add_rows(push, numbers["tables"], rows, when)
        if minutes == 30:
            front.add_rows(push, numbers["fulls"], [mark | {"complete": b"\1"}], when)
        if minutes == 20:
            # A full one that a limit cut proves nothing.
            front.add_rows(push, numbers["fulls"], [mark | {"complete": b"\0"}], when)
        if minutes == 10:
            key = json.dumps({"datid": 9, "relid": DROPPED}).encode()
            front.add_rows(push, numbers["gone"], [mark | {"key": b"\1" + key}], when)
        assert front.store(push)["outcome"] == STORED
    current = hub.server.query(
        "select relid::int, n_tup_ins::int from pganalytics.current_tables where server = 'by hand'"
    )
    assert dict(current) == {STEADY: 400, FELL: 50, RESET: 300, AGAIN: 70, QUIET: 5}
    for minutes, gained in GAINED.items():
        rates = hub.server.rows(
            "select * from pganalytics.table_rates('by hand', %s * interval '1 min')", (minutes,)
        )
        found = {row["relid"]: round(row["n_tup_ins"] * row["seconds"], 6) for row in rates}
        assert found == gained and {row["seconds"] for row in rates} == {60 * minutes}
        values = {"id": collector, "ended": ended, "minutes": minutes, "dropped": DROPPED}
        plain = dict(hub.server.query(PLAIN, values))
        assert {relid: plain.get(relid, 0) for relid in gained} == gained
        # What no row says is unknown, not 0.
        assert {row["seq_scan"] for row in rates} == {None}
        resets = {row["relid"] for row in rates if row["resets"]}
        assert resets == ({FELL, RESET} if minutes > 10 else set())


def test_rates_of_nobody(views_hub: PlayedHub) -> None:
    sql = views_hub.server
    with pytest.raises(psycopg.errors.UndefinedObject, match='no server "nobody" is enrolled'):
        sql.query("select * from pganalytics.table_rates('nobody')")
    views_hub.enrol("silent")
    assert sql.query("select * from pganalytics.table_rates('silent')") == []
    for over in ("0", "-1 hour"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="longer than 0"):
            sql.query("select * from pganalytics.table_rates('by hand', %s)", (over,))


def test_views_of_a_large_server(views_hub: PlayedHub) -> None:
    sql = views_hub.server
    collector = views_hub.enrol("large")
    sql.execute("update pganalytics.collectors set last_time = now() where name = 'large'")
    tables = (
        ("databases (time, collector_id, datid, datname) select last_time, collector_id, 5, 'd'", ""),
        (
            "tables (time, collector_id, datid, relid, n_tup_ins)"
            " select last_time - k * interval '1 s', collector_id, 5, n, n - k",
            ", generate_series(0, 2) k, generate_series(3, 20002) n",
        ),
        (
            "indexes (time, collector_id, datid, relid, indexrelid, idx_scan)"
            " select last_time - k * interval '1 s', collector_id, 5, n / 2, 100000 + n, n - k",
            ", generate_series(0, 2) k, generate_series(6, 40005) n",
        ),
    )
    with sql.connect() as session:
        for into, series in tables:
            session.execute(
                f"insert into pganalytics.pg_stats_{into} from pganalytics.collectors c{series}"
                f" where c.collector_id = '{collector}'"
            )
        session.execute(
            "insert into pganalytics.pganalytics_fulls (time, collector_id, rowset, datid, complete)"
            " select last_time - interval '2 s', collector_id, rowset, datid, true"
            "   from pganalytics.collectors, (values ('pg_stats.tables', 5), ('pg_stats.indexes', 5),"
            "        ('pg_stats.databases', 0)) v (rowset, datid) where name = 'large'"
        )
        # Seconds here; a plan that joins row by row takes minutes.
        session.execute("set statement_timeout = '20s'")
        assert session.execute(
            "select count(*), sum(n_tup_ins), sum(idx_scan) from pganalytics.current_tables"
            " where server = 'large'"
        ).fetchone() == (20000, sum(range(3, 20003)), sum(range(6, 40006)))
        assert session.execute(
            "select count(*), sum(n_tup_ins), sum(idx_scan) from pganalytics.table_rates('large', '2 s')"
        ).fetchone() == (20000, 20000.0, 40000.0)
