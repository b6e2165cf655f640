"""One rowset that the hub refuses costs the others of its cycle nothing: a real hub, a real `pganalytics
ship`, and a worker played by the test, which sends a name longer than the hub takes. The judges are the
hub's tables by SQL and `pganalytics ledger`."""

import signal
import subprocess
from typing import Any

from driver.fixtures import fresh_ship, program  # noqa: F401
from driver.worker import Ship
from harness import Hub, wait_until

DATABASES = list(range(16384, 16396))
BAD = 16389
TOO_LONG = "x" * 300  # of a database


def cycle(ship: Ship, bad: str) -> None:
    """A row of pg_stats.tables in each database, of which one has this name."""
    columns = ship.catalog["pg_stats.tables"].columns
    done = int(ship.status()["cycles"]["read"] or 0)
    ship.begin_cycle()
    for datid in DATABASES:
        known = {"datid": datid, "relid": 20000, "relname": "t", "schemaname": "public", "seq_scan": 7}
        name = bad if datid == BAD else f"d{datid}"
        ship.rowset("pg_stats.tables", [[known.get(column) for column in columns]], datid, name)
    ship.end_cycle(DATABASES)
    ship.pump(lambda: int(ship.status()["cycles"]["read"] or 0) == done + 1)


def stored(hub: Hub) -> dict[int, int]:
    """Rows by database."""
    if not hub.value("select to_regclass('pganalytics.pg_stats_tables') is not null"):
        return {}
    return dict(
        hub.query(
            "select datid::bigint, count(*) from pganalytics.pg_stats_tables join pganalytics.collectors"
            " using (collector_id) where name = 'played' group by datid"
        )
    )


def waiting(ship: Ship) -> int:
    return int(ship.status()["queue"]["snapshots"] or 0)


def check_ledger(hub: Hub, ship: Ship, parts: int = 0) -> None:
    ids = [str(one) for (one,) in hub.query("select snapshot_id from pganalytics.ledger")]
    told = subprocess.run(
        [hub.bindir / "pganalytics", "ledger", "--state", ship.settings["state_directory"]],
        input="".join(f"{one}\n" for one in ids), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    if parts:
        assert f"in parts{parts:15}\n" in told.stdout, told.stdout


def test_one_refused_rowset_costs_the_others_nothing(fresh_ship: Ship, hub: Hub) -> None:
    ship = fresh_ship
    collector = ship.register(hub.console_url, hub.create_token("played"))
    cycle(ship, TOO_LONG)
    ship.pump(lambda: waiting(ship) == 0, seconds=60)
    others = {datid: 1 for datid in DATABASES if datid != BAD}
    assert stored(hub) == others
    status = ship.status()
    assert status["set_aside"]["snapshots"] == "1" and status["set_aside"]["rows"] == "1"
    assert status["dropped"]["snapshots"] == "0"
    # Halves of twelve: 6 and 6, 3 and 3, 1 and 2, and where it was among two these.
    pushes = hub.query(
        "select snapshot_id, sequence, parts, rows from pganalytics.ledger where collector_id = %s", (collector,)
    )
    assert sum(rows for *_, rows in pushes) >= len(others) and {parts for *_, parts, _ in pushes} == {1}
    assert all(sequence >> 32 for _, sequence, *_ in pushes), "none of them is the whole"
    assert [line["cause"] for line in ship.logs].count("refused") == len(pushes) + 1
    # What was refused is told in full once it is right.
    cycle(ship, "right")
    ship.pump(lambda: waiting(ship) == 0, seconds=60)
    wait_until(lambda: stored(hub).get(BAD) == 1, 20, "the rowset that was refused")
    parts = hub.value("select count(*) from pganalytics.ledger where collector_id = %s", (collector,))
    check_ledger(hub, ship, parts + 1)


def test_a_kill_between_the_halves_stores_nothing_twice(fresh_ship: Ship, hub: Hub, program: Any) -> None:
    ship = fresh_ship
    ship.register(hub.console_url, hub.create_token("played"))
    cycle(ship, TOO_LONG)
    for _ in range(3):
        ship.pump(lambda: int(ship.status()["spool"].get("snapshots") or 0) > 0 or waiting(ship) == 0)
        ship.process.send_signal(signal.SIGKILL)
        ship.process.wait()
        ship.socket.close()
        ship = Ship(program, ship.settings["state_directory"])
    ship.pump(lambda: waiting(ship) == 0, seconds=60)
    ship.close()
    found = stored(hub)
    assert set(found.values()) <= {1} and BAD not in found
    assert set(found) in ({*DATABASES} - {BAD}, set()), "in flight as a whole, or in the spool"
    check_ledger(hub, ship)
