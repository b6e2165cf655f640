"""What `pganalytics ship` sends, judged by a JSON Schema validator, gzip and what was put in."""

import gzip
import json
import pathlib
import random
import subprocess
from typing import Any

import jsonschema

from driver import frames
from driver.fixtures import fresh_ship, program, scripted, ship  # noqa: F401
from driver.scripted_hub import Answer, Request, ScriptedHub
from driver.worker import RowsetShape, Ship
DATID = 16384
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((pathlib.Path(__file__).parents[2] / "docs/envelope.schema.json").read_text())
)


def check_push(request: Request) -> dict[str, Any]:
    """The push as JSON, after everything that must hold for any push."""
    assert request.headers["content-encoding"] == "gzip"
    assert request.headers["content-type"] == "application/json"
    subprocess.run(["gzip", "-t"], input=request.body, check=True)
    push = request.json()
    SCHEMA.validate(push)
    assert push["collector_id"] == request.collector
    assert push["metrics_count"] == len(push["metrics"])
    assert len({(entry["type"], entry.get("datname")) for entry in push["metrics"]}) == len(push["metrics"])
    for entry in push["metrics"]:
        for name, rowset in entry.items():
            if isinstance(rowset, dict):
                for part in ("columns", "gone"):
                    lengths = {len(values) for values in rowset.get(part, {}).values()}
                    assert len(lengths) <= 1, (name, part)
    return push


def rowset_of(push: dict[str, Any], name: str, datname: str | None = None) -> dict[str, Any] | None:
    plugin, _, rowset = name.partition(".")
    for entry in push["metrics"]:
        if entry["type"] == plugin and entry.get("datname") == datname and rowset in entry:
            return entry[rowset]
    return None


def rows_of(rowset: dict[str, Any], part: str = "columns") -> list[dict[str, Any]]:
    columns = rowset.get(part, {})
    return [dict(zip(columns, values)) for values in zip(*columns.values())]


def sample_row(shape: RowsetShape, key: list[Any], rng: random.Random, change: int = 0) -> list[Any]:
    values: dict[str, Any] = {
        "boolean": True, "bigint": rng.randrange(1000) + change, "double precision": 0.5, "oid": 5,
        "text": "x", "timestamp with time zone": 1_771_583_400_000_000, "pg_lsn": 0x16_B374D848,
        "uuid": "123e4567-e89b-12d3-a456-426614174000", "jsonb": '{"a": 1}',
    }  # fmt: skip
    return key + [values[kind] for kind in shape.types[len(key) :]]


def cycle(ship: Ship, rows: dict[int, list[Any]], complete: bool = True, host: list[str] | None = None) -> None:
    ship.begin_cycle(host=host)
    ship.rowset("pg_stats.tables", list(rows.values()), DATID, "app", complete)
    ship.end_cycle([DATID])


def test_values_arrive_exactly(ship: Ship, scripted: ScriptedHub) -> None:
    shape = ship.catalog["pg_stats.tables"]
    ints = [i for i, kind in enumerate(shape.types) if kind == "bigint"]
    row: list[Any] = [DATID, 16385, 'sch"ema', "na'me\n\u00e4\U0001f600"] + [None] * (len(shape.types) - 4)
    row[ints[0]], row[ints[1]], row[ints[2]] = 2**63 - 1, -(2**63), 2**53 + 1
    dirty = [DATID, 16386, b"latin\xe9", b"nul\0"] + row[4:]
    times = [i for i, kind in enumerate(shape.types) if kind == "timestamp with time zone"]
    dirty[times[0]] = 1_771_583_400_123_456
    ship.begin_cycle()
    ship.rowset("pg_stats.tables", [dirty, row], DATID, "app")
    ship.end_cycle()
    push = check_push(scripted.wait_requests(1)[0])
    rowset = rowset_of(push, "pg_stats.tables", "app")
    assert rowset and rowset["full"] and rowset["complete"]
    first, second = rows_of(rowset)
    for name, value in zip(shape.columns, row):
        assert first[name] == value, name
        assert type(first[name]) is type(value)
    assert second["schemaname"] == "latin\ufffd" and second["relname"] == "nul\ufffd"
    assert second[shape.columns[times[0]]] == "2026-02-20T10:30:00.123456Z"
    assert push["in_recovery"] is False and push["system_identifier"] == "7123456789012345678"
    assert push["sequence"] == 1 and push["part"] == push["parts"] == 1


def test_a_receiver_of_sparse_pushes_ends_with_the_servers_rows(
    ship: Ship, scripted: ScriptedHub, rng: random.Random
) -> None:
    shape = ship.catalog["pg_stats.tables"]
    server = {relid: sample_row(shape, [DATID, relid], rng) for relid in range(20000, 20300)}
    receiver: dict[int, dict[str, Any]] = {}
    sizes = []
    for number in range(1, 25):
        complete = rng.random() < 0.8
        reading = dict(rng.sample(list(server.items()), len(server) if complete else len(server) // 2))
        cycle(ship, reading, complete)
        push = check_push(scripted.wait_requests(number)[-1])
        assert push["sequence"] == number
        rowset = rowset_of(push, "pg_stats.tables", "app")
        if rowset:
            assert rowset["complete"] is complete
            if rowset["full"] and complete:
                receiver.clear()
            rows = rows_of(rowset)
            sizes.append(len(rows))
            assert [row["relid"] for row in rows] == sorted(row["relid"] for row in rows)
            receiver |= {row["relid"]: row for row in rows}
            for gone in rows_of(rowset, "gone"):
                del receiver[gone["relid"]]
        if complete:
            assert {relid: row["relname"] for relid, row in receiver.items()} == {
                relid: row[3] for relid, row in server.items()
            }
            assert {relid: row["seq_scan"] for relid, row in receiver.items()} == {
                relid: row[shape.columns.index("seq_scan")] for relid, row in server.items()
            }
        for relid in rng.sample(list(server), 10):
            server[relid] = sample_row(shape, [DATID, relid], rng, change=number)
        del server[rng.choice(list(server))]
        server[30000 + number] = sample_row(shape, [DATID, 30000 + number], rng)
    assert sizes[0] >= 150 and all(size < 200 for size in sizes[1:])


def test_unchanged_rowsets_are_not_sent_but_the_cycle_is(
    ship: Ship, scripted: ScriptedHub, rng: random.Random
) -> None:
    shape = ship.catalog["pg_stats.tables"]
    rows = {20000: sample_row(shape, [DATID, 20000], rng)}
    for _ in range(3):
        cycle(ship, rows)
    # (Of those that wait together the newest goes first.)
    pushes = [check_push(one) for one in scripted.wait_requests(3)]
    first, second, third = sorted(pushes, key=lambda push: push["sequence"])
    assert rowset_of(first, "pg_stats.tables", "app")
    assert second["metrics"] == third["metrics"] == []


def test_each_type_and_database_is_one_entry(ship: Ship, scripted: ScriptedHub, rng: random.Random) -> None:
    """Rowsets of the server come before, between and behind those of databases."""
    catalog = ship.catalog
    ship.begin_cycle(host=["sysstat.cpu", "disk_usage.filesystems", "sysstat.memory"])
    ship.rowset("pg_stats.databases", [sample_row(catalog["pg_stats.databases"], [5], rng)])
    for datid, name in ((16384, "app"), (16385, "it's \"another\"")):
        for rowset in ("tables", "indexes"):
            shape = catalog[f"pg_stats.{rowset}"]
            rows = [sample_row(shape, [datid, relid], rng) for relid in (30, 20)]
            ship.rowset(f"pg_stats.{rowset}", rows, datid, name)
    ship.rowset("pg_replication.slots", [])
    ship.rowset("pg_stats.server", [sample_row(catalog["pg_stats.server"], [], rng)])
    ship.end_cycle([16384, 16385])
    push = check_push(scripted.wait_requests(1)[0])
    entries = {(entry["type"], entry.get("datname")): set(entry) for entry in push["metrics"]}
    entries = {key: names - {"type", "timestamp", "datname", "datid"} for key, names in entries.items()}
    assert entries == {
        ("pg_stats", "app"): {"tables", "indexes"},
        ("pg_stats", 'it\'s "another"'): {"tables", "indexes"},
        ("pg_stats", None): {"databases", "server"},
        ("pg_replication", None): {"slots"},
        ("sysstat", None): {"cpu", "memory"},
        ("disk_usage", None): {"filesystems"},
    }
    assert all(entry["tables"]["columns"]["relid"] == [20, 30] for entry in push["metrics"] if "tables" in entry)


def test_host_rowsets_arrive(ship: Ship, scripted: ScriptedHub) -> None:
    host = ["sysstat.cpu", "sysstat.memory", "sysstat.load", "disk_usage.filesystems"]
    cycle(ship, {}, host=host)
    push = check_push(scripted.wait_requests(1)[0])
    cpu = rowset_of(push, "sysstat.cpu")
    assert cpu and cpu["full"] and {row["cpu"] for row in rows_of(cpu)} >= {"all", "0"}
    memory = rowset_of(push, "sysstat.memory")
    assert memory
    with open("/proc/meminfo", encoding="ascii") as file:
        total = next(int(line.split()[1]) for line in file if line.startswith("MemTotal"))
    assert rows_of(memory)[0]["total_bytes"] == total * 1024
    assert rowset_of(push, "disk_usage.filesystems")


def test_a_large_cycle_is_cut(ship: Ship, scripted: ScriptedHub, rng: random.Random) -> None:
    shape = ship.catalog["pg_stats.tables"]
    count = 60000
    one = sample_row(shape, [DATID, 0], rng)
    one[3] = "a table with quite a long name, as they are in life" * 2
    ship.begin_cycle()
    ship.rowset("pg_stats.tables", [[DATID, 20000 + i, *one[2:]] for i in range(count)], DATID, "app")
    ship.rowset("pg_stats.databases", [])
    ship.end_cycle()
    parts = scripted.wait_requests(1)[0].json()["parts"]
    assert parts > 1
    pushes = [check_push(request) for request in scripted.wait_requests(parts)]
    assert [push["part"] for push in pushes] == list(range(1, parts + 1))
    assert len({push["cycle"] for push in pushes}) == 1
    assert len({push["snapshot_id"] for push in pushes}) == parts
    seen: list[int] = []
    times = set()
    for push, request in zip(pushes, scripted.pushes()):
        assert len(gzip.decompress(request.body)) <= 8 << 20
        if rowset := rowset_of(push, "pg_stats.tables", "app"):
            seen += rowset["columns"]["relid"]
            times.add(push["metrics"][0]["timestamp"])
    assert seen == list(range(20000, 20000 + count))
    assert len(times) == 1


def test_preview_shows_what_would_leave_and_changes_nothing(
    ship: Ship, scripted: ScriptedHub, rng: random.Random
) -> None:
    shape = ship.catalog["pg_stats.tables"]
    rows = {relid: sample_row(shape, [DATID, relid], rng) for relid in range(20000, 25000)}
    cycle(ship, rows)
    scripted.wait_requests(1)
    rows[20007] = sample_row(shape, [DATID, 20007], rng, change=5000)

    def preview(*plugin: str) -> Any:
        number = ship.ask(frames.PREVIEW, *plugin)
        ship.begin_cycle(frames.PREVIEW, number, ["sysstat.load"])
        ship.rowset("pg_stats.tables", list(rows.values()), DATID, "app")
        ship.end_cycle()
        return json.loads(ship.answer(number))

    shown = preview()
    SCHEMA.validate(shown)
    tables = rowset_of(shown, "pg_stats.tables", "app")
    assert tables and tables["full"] and len(rows_of(tables)) == 5000
    assert rowset_of(shown, "sysstat.load")
    only = preview("sysstat")
    assert [entry["type"] for entry in only["metrics"]] == ["sysstat"]
    assert len(scripted.pushes()) == 1, "sent to nobody"
    cycle(ship, rows)
    push = check_push(scripted.wait_requests(2)[1])
    assert push["sequence"] == 2
    after = rowset_of(push, "pg_stats.tables", "app")
    assert after and not after["full"] and [row["relid"] for row in rows_of(after)] == [20007]


def test_what_was_lost_is_sent_in_full_again(ship: Ship, scripted: ScriptedHub, rng: random.Random) -> None:
    shape = ship.catalog["pg_stats.tables"]
    rows = {relid: sample_row(shape, [DATID, relid], rng) for relid in range(20000, 20010)}
    cycle(ship, rows)
    scripted.wait_requests(1)
    scripted.script = lambda request: (
        Answer(422, {"code": 422, "message": "no"}) if request.path.endswith("push") else None
    )
    rows[20003] = sample_row(shape, [DATID, 20003], rng, change=5000)
    cycle(ship, rows)
    scripted.wait_requests(2)
    scripted.script = None
    ship.pump(lambda: any(line["cause"] == "refused" for line in ship.logs))
    cycle(ship, rows)
    push = check_push(scripted.wait_requests(3)[2])
    rowset = rowset_of(push, "pg_stats.tables", "app")
    assert rowset and rowset["full"] and len(rows_of(rowset)) == 10
    assert push["sequence"] == 3
    assert ship.status()["set_aside"]["snapshots"] == "1"


def test_the_hub_can_ask_for_everything(ship: Ship, scripted: ScriptedHub, rng: random.Random) -> None:
    shape = ship.catalog["pg_stats.tables"]
    rows = {relid: sample_row(shape, [DATID, relid], rng) for relid in range(20000, 20010)}
    scripted.script = lambda request: (
        Answer(200, scripted.acknowledgement(request, want_full=True))
        if request.path.endswith("push") and len(scripted.pushes()) == 2
        else None
    )
    for number in range(1, 4):
        cycle(ship, rows)
        scripted.wait_requests(number)
        ship.pump(lambda: ship.status()["delivery"]["acknowledged"] == str(number))
    pushes = [rowset_of(check_push(one), "pg_stats.tables", "app") for one in scripted.pushes()]
    assert pushes[0] and pushes[1] is None and pushes[2] and pushes[2]["full"]


def test_a_new_run_is_a_new_incarnation_and_sends_everything(
    ship: Ship, scripted: ScriptedHub, rng: random.Random, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    shape = ship.catalog["pg_stats.tables"]
    rows = {relid: sample_row(shape, [DATID, relid], rng) for relid in range(20000, 20010)}
    cycle(ship, rows)
    first = check_push(scripted.wait_requests(1)[0])
    ship.close()
    again = Ship(program, tmp_path / "state")
    try:
        cycle(again, rows)
        second = check_push(scripted.wait_requests(2)[1])
    finally:
        again.close()
    assert second["incarnation"] != first["incarnation"]
    assert second["sequence"] == 1 and second["collector_id"] == first["collector_id"]
    assert rowset_of(second, "pg_stats.tables", "app")["full"]  # type: ignore[index]
