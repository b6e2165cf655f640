"""What copies a server, tried: a base backup, copies of its files with and without the state directory, another server's
spool, promotion, rewind, a lost state directory. Nothing is stored under another server's identity, no number is
used twice, and two servers with one identity are an alarm."""

import shutil
from typing import Any

import psycopg
import pytest

from collecting import SETTINGS, ship, status
from harness import Hub, Server, World, wait_until
from harness.server import make_folder

# Of a run in the hub: whose it is told to be, and how often a number came twice.
RUNS = """
select incarnation::text, count(distinct collector_id), count(*) - count(distinct sequence), min(collector_id::text)
  from pganalytics.ledger where incarnation is not null group by incarnation
"""


def clone(world: World, origin: Server, name: str, how: str) -> Server:
    """Beside the origin, which goes on; "state" takes the state directory along, as a snapshot of a machine does."""
    other = Server(world.installation, world.folder / name, {})
    make_folder(world.installation, other.folder)
    world.servers.append(other)
    if how == "base backup":
        world.installation.run(
            [origin.bindir / "pg_basebackup", "-D", other.data, "-X", "stream", "-c", "fast", "-d", origin.conninfo()]
        )
    else:
        if how == "files":
            origin.stop()
        world.installation.run(["sh", "-c", 'cp -a "$1" "$2"; rm -f "$2/postmaster.pid"', "sh", origin.data, other.data])
        if how == "files":
            origin.start()
        else:
            world.installation.run(["cp", "-a", origin.state, other.state])
    own = {"port", "unix_socket_directories"}
    other.settings |= {name: value for name, value in origin.settings.items() if name not in own}
    return other.start()


def watched(world: World, hub: Hub, name: str, settings: dict[str, Any] | None = None) -> Server:
    server = world.server(name, SETTINGS | {"wal_log_hints": "on", "wal_keep_size": "1GB"} | (settings or {}))
    server.execute("create extension pganalytics")
    hub.enrol(server)
    hub.wait_rows("pg_stats_server", name, deadline=30)
    return server


def told(server: Server, component: str, name: str) -> str:
    row = status(server).get((component, name))
    return str(row["value"]) if row else ""


def run_of(server: Server) -> str:
    return wait_until(lambda: told(server, "program", "incarnation"), 20, f"the run of {server.name}")


def arrives(hub: Hub, name: str, deadline: float = 40) -> None:
    now = hub.value("select now()")
    hub.wait_rows("pg_stats_server", name, where=f"time > '{now}'", deadline=deadline)


def alarms(hub: Hub) -> tuple[int, str]:
    row = status(hub)["hub_worker", "alarms"]
    return int(row["value"]), row["note"] or ""


def no_mixed_runs(hub: Hub) -> int:
    runs = hub.query(RUNS)
    assert all(owners == 1 and twice == 0 for _, owners, twice, _ in runs), runs
    return len(runs)


@pytest.mark.time_limit(150)
def test_copies_without_the_state_directory_are_nobody(world: World, hub: Hub) -> None:
    origin = watched(world, hub, "origin")
    has_basebackup = (origin.bindir / "pg_basebackup").exists()  # not every installation's server does
    for how in ("base backup", "files") if has_basebackup else ("files",):
        copy = clone(world, origin, how.replace(" ", ""), how)
        ship(copy)
        wait_until(lambda: "not enrolled" in (status(copy)["hub", "state"]["note"] or "") + told(copy, "hub", "state"),
                   20, "it is not enrolled")  # fmt: skip
        assert run_of(copy) != run_of(origin)
        collectors = hub.collectors()
        assert copy.name not in collectors and told(copy, "program", "collector_id") in ("", "None")
        # Its own name makes it one more server, with the history of neither.
        hub.enrol(copy)
        arrives(hub, copy.name)
        assert len(hub.collectors()) == len(collectors) + 1
    arrives(hub, "origin")
    # Somebody who puts another server's spool into its state directory: that is not shipped as its own.
    copy.stop()
    hub.stop()
    wait_until(lambda: int(told(origin, "spool", "snapshots") or 0) >= 2, 60, "a spool")
    spool = copy.state / "spool"
    shutil.rmtree(spool)
    world.installation.run(["cp", "-a", origin.state / "spool", spool])
    copy.expect_no_ledger("it got another one's spool")
    hub.start()
    hub.make_ready()
    copy.start()
    wait_until(lambda: int(told(copy, "dropped", "snapshots") or 0) >= 2, 40, "the other one's are dropped and declared")
    arrives(hub, copy.name)
    arrives(hub, "origin")
    assert no_mixed_runs(hub) >= 4
    assert alarms(hub) == (0, "")


@pytest.mark.time_limit(150)
def test_a_copied_state_directory_is_an_alarm(world: World, hub: Hub) -> None:
    origin = watched(world, hub, "origin")
    # With a backlog, which both will send.
    hub.stop()
    wait_until(lambda: int(told(origin, "spool", "snapshots") or 0) >= 2, 60, "a spool")
    copy = clone(world, origin, "copy", "state")
    for one in (origin, copy):
        one.expect_no_ledger("two servers with one identity")
    hub.start()
    hub.make_ready()
    runs = {run_of(origin), run_of(copy)}
    assert len(runs) == 2, "one identity, but never one run"
    newest = "select max(sequence) from pganalytics.ledger where incarnation::text = %s"
    for run in runs:
        wait_until(lambda: hub.value(newest, (run,)), 40, "pushes of both")
    for one in (origin, copy):
        wait_until(lambda: told(one, "queue", "snapshots") == "0", 60, f"{one.name} has delivered")
    no_mixed_runs(hub)
    assert hub.value("select count(*) from pganalytics.audit where event = 'digest conflict'") == 0
    # Ten minutes in which both live, or a test that moves what there is into the past.
    assert alarms(hub) == (0, "")
    hub.execute("""update pganalytics.ledger set "time" = "time" - interval '15 min', received_at = received_at - interval '15 min'""")
    wait_until(lambda: alarms(hub)[0] == 1, 60, "the alarm")
    assert "origin" in alarms(hub)[1] and "two servers send as this one" in alarms(hub)[1]
    events = hub.query("select details ->> 'this', details ->> 'other' from pganalytics.audit where event = 'two runs of one server'")
    assert events and set(events[0]) == runs, events
    # The way out that the alarm names.
    hub.enrol(origin, "origin")
    arrives(hub, "origin")
    wait_until(lambda: alarms(hub) == (0, ""), 30, "the end of the alarm")
    wait_until(lambda: told(copy, "hub", "state") == "failing", 90, "the copy is out", every=1)
    arrives(hub, "origin")
    assert alarms(hub) == (0, "")


@pytest.mark.time_limit(200)
def test_promotion_rewind_and_a_lost_state_directory(world: World, hub: Hub) -> None:
    first = watched(world, hub, "first")
    second = world.standby(first, "second")
    ship(second)
    assert "second" not in hub.collectors(), "a standby is not enrolled because its primary is"
    hub.enrol(second)
    arrives(hub, "second")
    ids, run = hub.collectors(), run_of(second)
    second.promote()
    wait_until(lambda: not second.value("select pg_is_in_recovery()"), 20, "promoted")
    arrives(hub, "second")
    assert run_of(second) == run, "a promotion is no new run"
    # The old primary went on for a while, and follows the new one after a rewind.
    first.execute("create table on_the_old_timeline as select generate_series(1, 1000) as x")
    second.execute("checkpoint")
    before = run_of(first)
    first.stop()
    rewound = (first.bindir / "pg_rewind").exists()
    if rewound:
        first.installation.run(
            [first.bindir / "pg_rewind", f"--target-pgdata={first.data}", f"--source-server={second.conninfo()}"]
        )
        (first.data / "standby.signal").touch()
        first.installation.own(first.data / "standby.signal")
        first.settings["primary_conninfo"] = f"{second.conninfo()} application_name=first"
    first.start()
    arrives(hub, "first")
    assert run_of(first) != before
    assert hub.collectors() == ids, "who they were they are"
    recovering = "select in_recovery from pganalytics.collectors where name = %s"
    wait_until(lambda: (hub.value(recovering, ("first",)), hub.value(recovering, ("second",))) == (rewound, False), 20, "roles")
    # The state directory is lost: nobody, until somebody enrols it under its name.
    second.stop()
    shutil.rmtree(second.state)
    second.start()
    wait_until(lambda: "not enrolled" in (status(second)["hub", "state"]["note"] or "") + told(second, "hub", "state"), 20, "nobody")
    before = hub.value("select count(*) from pganalytics.ledger where collector_id::text = %s", (ids["second"],))
    arrives(hub, "first")
    assert hub.value("select count(*) from pganalytics.ledger where collector_id::text = %s", (ids["second"],)) == before
    hub.enrol(second)
    arrives(hub, "second")
    assert hub.collectors() == ids
    assert hub.value("select generation from pganalytics.collectors where name = 'second'") == 2
    assert no_mixed_runs(hub) >= 5
    assert alarms(hub) == (0, "")
    with pytest.raises(psycopg.errors.UndefinedTable):
        second.query("select * from on_the_old_timeline")
