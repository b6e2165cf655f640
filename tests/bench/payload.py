"""Bodies of pushes as a collector makes them, made up ahead of the measuring.

Rowsets and columns come from the product's own catalog; the values are ours: most counters zero or
small, a few large, as in life.
"""

import datetime
import json
import random
import uuid
import zlib
from typing import Any, NamedTuple

from harness import Server


class Column(NamedTuple):
    name: str
    type: str
    kind: str


class Rowset(NamedTuple):
    plugin: str
    name: str
    columns: list[Column]
    database: bool  # read in each database, so that its entry names one

    @property
    def full_name(self) -> str:
        return f"{self.plugin}.{self.name}"


class Push(NamedTuple):
    sequence: int
    body: bytes  # gzip
    bytes_json: int
    rows: int


def read_catalog(server: Server) -> list[Rowset]:
    """What a collector of this server's version sends, and pg_log, which older ones send."""
    rowsets: dict[tuple[str, str], Rowset] = {}
    for row in server.rows("SELECT * FROM pganalytics_catalog()"):
        if row["scope"] in ("hub", "own"):
            continue
        name = (row["plugin"], row["rowset"])
        rowset = rowsets.setdefault(name, Rowset(*name, [], row["scope"] == "database"))
        if (row["first_version"] or 0) <= server.major <= (row["last_version"] or 999):
            rowset.columns.append(Column(row["column_name"], row["type"], row["kind"]))
    return [rowset for rowset in rowsets.values() if rowset.columns]


def now_text() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"


def _value(column: Column, row: int, rng: random.Random) -> Any:
    kind = column.type
    if column.name == "datid":
        return 16384
    if column.kind == "key":
        if kind == "oid":
            return 16390 + 7 * row
        if kind == "boolean":
            return row % 2 == 0
        return f"{column.name}{row}" if kind == "text" else row
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "text":
        return f"{rng.choice(('orders', 'customers', 'invoices', 'items'))}_{row}"
    if kind == "timestamp with time zone":
        return f"2026-01-{rng.randint(1, 28):02}T10:{rng.randint(0, 59):02}:00.123456Z"
    if kind == "pg_lsn":
        return f"{rng.randint(0, 99):X}/{rng.randint(0, 1 << 32):X}"
    if kind == "uuid":
        return str(uuid.UUID(int=rng.getrandbits(128)))
    if kind == "jsonb":
        return None
    if rng.random() < 0.6:
        return 0
    number = int(10 ** rng.uniform(0, 9))
    return number / 1000 if kind == "double precision" else number


def make_metrics(rowsets: list[Rowset], rows: int, rng: random.Random) -> list[dict[str, Any]]:
    """One entry a rowset, each with `rows` rows; the time is filled in later."""
    entries = []
    for rowset in rowsets:
        entry: dict[str, Any] = {"type": rowset.plugin, "timestamp": ""}
        if rowset.database:
            entry["datname"] = "shop"
        columns = {
            column.name: [_value(column, row, rng) for row in range(rows)] for column in rowset.columns
        }
        entry[rowset.name] = {"full": True, "complete": True, "columns": columns}
        entries.append(entry)
    return entries


class Sender:
    """Who sends: numbers its pushes and puts envelopes around rows."""

    def __init__(self, collector_id: str, hostname: str) -> None:
        self.collector_id = collector_id
        self.hostname = hostname
        self.incarnation = str(uuid.uuid4())
        self.sequence = 0

    def push(self, metrics: list[dict[str, Any]], rows: int) -> Push:
        self.sequence += 1
        time = now_text()
        envelope = {
            "collector_id": self.collector_id,
            "hostname": self.hostname,
            "timestamp": time,
            "version": "1.0.0",
            "system_identifier": "7300000000000000001",
            "in_recovery": False,
            "snapshot_id": str(uuid.uuid4()),
            "incarnation": self.incarnation,
            "sequence": self.sequence,
            "cycle": str(uuid.uuid4()),
            "config_version": 0,
            "metrics": [entry | {"timestamp": time} for entry in metrics],
            "metrics_count": len(metrics),
            "part": 1,
            "parts": 1,
        }
        text = json.dumps(envelope, separators=(",", ":")).encode()
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        return Push(self.sequence, packer.compress(text) + packer.flush(), len(text), rows)
