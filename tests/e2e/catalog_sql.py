"""The catalog's queries, run by an ordinary session, for the tests that compare their answers."""

import functools
import json
from collections.abc import Callable
from typing import Any

import psycopg

from harness import wait_until
from harness.installation import Installation

# The type each declared type must have in the result.
TYPE_OIDS = {
    "boolean": 16,
    "bigint": 20,
    "text": 25,
    "oid": 26,
    "double precision": 701,
    "timestamp with time zone": 1184,
    "uuid": 2950,
    "pg_lsn": 3220,
    "jsonb": 114,  # json on its way
}

Row = dict[str, Any]


@functools.cache
def said(*arguments: str) -> str:
    """What the installed program says of its catalog."""
    installation = Installation()
    return installation.run([installation.bindir / "pganalytics", "catalog", *arguments]).stdout


class Catalog:
    """What the catalog declares for one major version."""

    def __init__(self, major: int) -> None:
        self.major = major
        self.script = said("--sql", str(major))
        self.list = said()
        rowsets = json.loads(said("--json", str(major)))
        self.rowsets = {f"{one['plugin']}.{one['name']}": one for one in rowsets}

    def queried(self) -> list[str]:
        return [name for name, one in self.rowsets.items() if one["sql"]]

    def of_extension(self, name: str, version: int, schema: str) -> None:
        """From here on the rowset is read of an extension at that version."""
        one = self.rowsets[name]
        one["sql"] = one["extension_sql"][str(version)].replace("@schema@", schema)

    def columns(self, name: str) -> list[str]:
        return [column["name"] for column in self.rowsets[name]["columns"]]

    def keys(self, name: str) -> list[str]:
        columns = self.rowsets[name]["columns"]
        return [column["name"] for column in columns if column["kind"] == "key"]

    def read(self, session: "psycopg.Connection[Any]", name: str) -> list[Row]:
        """Rows of the rowset's query; its columns' names and types are as declared."""
        declared = [(c["name"], TYPE_OIDS[c["type"]]) for c in self.rowsets[name]["columns"]]
        cursor = session.execute(self.rowsets[name]["sql"].encode())
        assert cursor.description is not None
        assert [(c.name, c.type_code) for c in cursor.description] == declared, name
        return [dict(zip(self.columns(name), row)) for row in cursor.fetchall()]

    def keyed(self, session: "psycopg.Connection[Any]", name: str) -> dict[Any, Row]:
        """The same by key (without datid where it is the same in each row); no key twice or null."""
        of_database = self.rowsets[name]["scope"] == "database"
        keys = [key for key in self.keys(name) if key != "datid" or not of_database]
        rows = self.read(session, name)
        found = {tuple(row[key] for key in keys): row for row in rows}
        assert len(found) == len(rows), f"{name}: a key comes twice"
        assert not any(value is None for key in found for value in key), f"{name}: a null key"
        return {key[0] if len(key) == 1 else key: row for key, row in found.items()}


def rows_of(session: "psycopg.Connection[Any]", sql: str) -> list[Row]:
    cursor = session.execute(sql.encode())
    assert cursor.description is not None
    return [dict(zip([c.name for c in cursor.description], row)) for row in cursor.fetchall()]


def frozen(session: "psycopg.Connection[Any]", major: int) -> "psycopg.Connection[Any]":
    """Begins a transaction in which statistics and catalogs stand still."""
    if major >= 15:
        session.execute("set stats_fetch_consistency = snapshot")
    session.execute("begin isolation level repeatable read")
    # Before 15 the first look takes the snapshot.
    session.execute("select * from pg_stat_database")
    return session


def same(ours: Row, reference: Row, columns: list[str], at: object = "") -> None:
    differing = {c: (ours[c], reference[c]) for c in columns if ours[c] != reference[c]}
    assert not differing, f"{at}: (ours, reference) {differing}"


def undisturbed(reference: Callable[[], Any], ours: Callable[[], Any]) -> tuple[Any, Any]:
    """(ours, reference) of one moment: reads both, again where the reference moved meanwhile, or asserts still."""

    def read() -> tuple[Any, Any] | None:
        before = reference()
        read_by_us = ours()
        return (read_by_us, before) if before == reference() else None

    found = wait_until(read, 20, "a moment in which the reference stands still")
    assert found is not None
    return found


def ever_filled(rows: list[Row], columns: list[str]) -> set[str]:
    """Columns with a value other than null and 0 in some row: the others prove nothing."""
    return {column for column in columns if any(row[column] for row in rows)}
