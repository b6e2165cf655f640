"""The ledger of every collector at the end of a test: what it made against what became of it.

Every server starts with an empty journal in its state directory, so its program writes down each
snapshot before it queues it. When all servers of a world are down, `pganalytics ledger` compares that
with the spool and with the ids the hubs have stored. These are asked for by a single-user server
without our library, so nothing of ours stands between the question and the table.
"""

import pathlib
import re
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Server

BALANCED = "the ledger is in balance"


def make_journal(server: "Server") -> None:
    preloaded = str(server.settings.get("shared_preload_libraries", ""))
    moved = "pganalytics.state_directory" in server.settings
    if "pganalytics" not in preloaded or moved or server.state.exists():
        return
    server.state.mkdir(mode=0o700)
    (server.state / "journal").touch(mode=0o600)
    server.installation.own(server.state)
    server.installation.own(server.state / "journal")


def stored(hub: "Server") -> str | None:
    """Ids in the ledger of a hub that is down, one a line; None where there is no such table."""
    database = hub.settings.get("pganalytics.hub_database", "postgres")
    if not (hub.data / "PG_VERSION").exists() or (hub.data / "standby.signal").exists():
        return None
    path = hub.folder / "stored"
    hub.installation.run(
        [hub.bindir / "postgres", "--single", "-D", hub.data, "-c", "shared_preload_libraries=", database],
        input=f"copy (select snapshot_id from pganalytics.ledger) to '{path}'\n",
        check=False,
    )
    return path.read_text() if path.exists() else None


def check(server: "Server", ids: str) -> str:
    """What the checker prints; what it complains of where it does not say that all is well."""
    done = server.program("ledger", "--state", server.state, "--hub", "-", input=ids, check=False)
    return str(done.stdout + done.stderr)


def figures(told: str) -> dict[str, int]:
    """What the checker counted, by the names it prints."""
    return {name: int(count) for name, count in re.findall(r"^(?:.*: )?([a-z]+(?: [a-z]+)?) +(\d+)(?:  .*)?$", told, re.M)}


def unexplained(told: str) -> int:
    """Snapshots that the checker's classes do not account for: in none of them, or declared lost and yet there more
    often than there were kills (one between the hub's answer and the note of it makes one count twice)."""
    of = figures(told)
    if "produced" not in of:
        return 0
    twice = of.get("declared twice", 0)
    classes = of["stored"] + of["spooled"] + of["declared lost"] - twice + of["in flight"] + of["lost"]
    killed = re.search(r"(\d+) without an end", told)
    return abs(of.get("in parts", of["produced"]) - classes) + max(0, twice - int(killed[1] if killed else 0))


def complaints(servers: Sequence["Server"]) -> list[str]:
    def has_journal(server: "Server") -> bool:
        journal: pathlib.Path = server.state / "journal"
        return server.no_ledger is None and journal.exists() and journal.stat().st_size > 0

    hubs = [server for server in servers if server.settings.get("pganalytics.hub") == "on"]
    asked = [server for server in servers if has_journal(server)]
    if not asked or not hubs:
        return []
    try:
        tables = [ids for hub in hubs if (ids := stored(hub)) is not None]
        if not tables:
            return []
        # A hub restored elsewhere, or promoted, has what the one before it had.
        known = {line for ids in tables for line in ids.splitlines()}
        found = {server: check(server, "\n".join(known) + "\n") for server in asked}
    except subprocess.TimeoutExpired as error:
        return [f"the ledger was not told: {error}"]
    return [f"{server.name}: {text}" for server, text in found.items() if BALANCED not in text]
