"""Wall clocks that are wrong, and set right: of a watched server, of a hub, of the server that wants to send and
can't. Cycles go on, nothing is lost or comes twice (the ledger when the world is closed), nobody is asked more
often than before, and people are told which clock to look at. A kind of fault, to the scorecard: whose clock, when,
and by how much it is wrong."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from collecting import cycles, figure, ship, status, worker_pid
from harness import LONG, Hub, Server, World, wait_until
from harness.clocks import Clock
from harness.scorecard import score

HOUR, DAY = 3600, 86400
YEAR = 365 * DAY
# With a connection that is there no certificate is looked at.
STEPS = [1, -1, 59, -61, HOUR, -HOUR, DAY, -DAY, 20 * DAY, -30 * DAY, -32 * DAY, YEAR, -YEAR, 10 * YEAR, -10 * YEAR]

PUSHES = """
select count(*) from pganalytics.ledger join pganalytics.collectors using (collector_id) where name = %s
"""
# Days for which a partition was made.
PARTITION_DAYS = """
select distinct (regexp_match(pg_get_expr(relpartbound, oid), $$FROM \\('([^']+)'\\)$$))[1]::timestamptz
  from pg_class where relispartition and relkind = 'r' and relnamespace = 'pganalytics'::regnamespace
"""


def start(server: Server, clock: Clock) -> Server:
    server.start(env=clock.environment)
    if not server.value("select exists (select from pg_extension where extname = 'pganalytics')"):
        server.execute("create extension pganalytics")
    return server


def stepped(world: World, name: str) -> tuple[Server, Clock]:
    """A server with a clock of its own."""
    clock = Clock(world.installation, world.folder, name)
    return start(world.server(name, {"pganalytics.collect_interval": "1s"}, start=False), clock), clock


def pushes(hub: Hub, name: str) -> int:
    return int(hub.value(PUSHES, (name,)))


def arrive(hub: Hub, name: str, more: int = 2, deadline: float = 30) -> None:
    before = pushes(hub, name)
    wait_until(lambda: pushes(hub, name) >= before + more, deadline, f"{more} more pushes of {name}")


def tried_until(server: Server, condition: Callable[[], object], deadline: float, what: str) -> None:
    """What comes with one of the next tries of the server's program: those come later and later, up to five minutes, so
    its operator asks for them."""

    def told() -> object:
        value = condition()
        return value or (server.execute("select pganalytics_reload()"), None)[1]

    wait_until(told, deadline, what, every=2)


def note(server: Server, component: str, name: str) -> str:
    row = status(server).get((component, name), {})
    return f"{row.get('value') or ''}: {row.get('note') or ''}"


def spooled(server: Server) -> int:
    row = status(server).get(("spool", "snapshots"))  # none while its program is started
    return int(row["value"]) if row else -1


def requests(server: Server) -> int:
    return figure(server, "delivery", "attempts") + figure(server, "delivery", "token_renewals")


def drained(server: Server) -> Callable[[], bool]:
    """Its own wait between two tries may be minutes; an operator who has set the clock right need not wait."""
    server.execute("select pganalytics_reload()")
    return lambda: figure(server, "queue", "snapshots") <= 1 and status(server)["hub", "state"]["value"] == "enrolled"


@pytest.mark.time_limit(600 if LONG else 120)
def test_steps_of_a_watched_servers_clock(world: World, rng: random.Random) -> None:
    hub = world.hub()
    watched, clock = stepped(world, "watched")
    hub.enrol(watched)
    arrive(hub, "watched")
    run = ship(watched)
    began, asked = time.monotonic(), requests(watched)
    steps = rng.sample(STEPS * 4, 60) if LONG else rng.sample(STEPS, 6)
    for ahead in steps:
        clock.ahead = ahead
        before = cycles(watched)
        arrive(hub, "watched")
        assert cycles(watched) > before
        assert status(watched)["hub", "state"]["value"] == "enrolled"
        wait_until(lambda at=ahead: abs(figure(watched, "hub", "clock_ahead") - at) <= 2, 20, "the clocks' difference")
        assert ("set right" in note(watched, "hub", "clock_ahead")) == (abs(ahead) > 600), ahead
        assert "expired" not in note(watched, "hub", "certificate_expires_at")
        (seconds, fresh) = hub.query(
            "select cycle_seconds, last_time < now() + interval '11 minutes' and last_push_at <= now() + interval '1 s'"
            "  from pganalytics.collectors where name = 'watched'"
        )[0]
        assert seconds > 0 and fresh
    # No storm: a request a cycle, and what an overdue one brings.
    assert requests(watched) - asked <= time.monotonic() - began + 10
    clock.ahead = 0
    arrive(hub, "watched")
    assert ship(watched) == run
    # What came from the future has the hub's time, and says so; nothing made a partition out of the window.
    early, late, future = hub.query(
        "select min(time) >= now() - interval '31 days', max(time) <= now() + interval '11 minutes', sum(future) > 0"
        "  from pganalytics.pg_stats_server cross join (select sum(future) as future from pganalytics.ledger) f group by future"
    )[0]
    assert early and late and future is not None
    inside = "select now() - interval '33 days' <= %s and %s <= now() + interval '2 days'"
    for (day,) in hub.query(PARTITION_DAYS):
        assert hub.value(inside, (day, day)), day
    assert not [line for line in watched.log().splitlines() if "certificate" in line and "expire" in line]
    score(clock=len(steps), clock_kinds=len(set(steps)))


@pytest.mark.time_limit(120)
def test_a_clock_that_is_right_after_a_start_is_no_second_server(world: World) -> None:
    """A machine that begins with the time of its battery, and is set right by the network a moment later."""
    hub = world.hub()
    watched, clock = stepped(world, "watched")
    hub.enrol(watched)
    arrive(hub, "watched")
    watched.stop()
    clock.ahead = -50 * 60
    start(watched, clock)
    arrive(hub, "watched")
    clock.ahead = 0
    arrive(hub, "watched", 3)
    assert hub.query("select count(distinct incarnation), min(alarm) from pganalytics.ledger join pganalytics.collectors"
                     " using (collector_id) where name = 'watched'") == [(2, None)]  # fmt: skip
    score(clock=1, clock_kinds=1)


@pytest.mark.time_limit(120)
def test_steps_past_the_certificates_while_the_spool_fills(world: World) -> None:
    hub = world.hub()
    watched, clock = stepped(world, "watched")
    hub.enrol(watched)
    arrive(hub, "watched")
    watched.stop()
    clock.ahead = 40 * DAY
    start(watched, clock)
    wait_until(lambda: "expired" in note(watched, "hub", "last_error"), 20, "the hub's certificate is over by this clock")
    told = note(watched, "hub", "last_error")
    assert "Compare the clocks" in told and status(watched)["hub", "state"]["value"] == "failing", told
    assert "by this server's clock" in note(watched, "hub", "certificate_expires_at")
    later = (YEAR, -YEAR, 10 * YEAR, -DAY)
    for ahead in later:
        clock.ahead = ahead
        waits = spooled(watched)
        wait_until(lambda at=waits: spooled(watched) >= at + 2, 20, "it waits in the spool")
        assert status(watched)["hub", "state"]["value"] == "failing"
    # The program's own restart reads what was written by other clocks.
    os.kill(ship(watched), signal.SIGKILL)
    wait_until(lambda: spooled(watched) > waits, 20, "the spool is taken over")
    tried_until(watched, lambda: "not valid yet" in note(watched, "hub", "last_error"), 20, "nor is it valid a day ago")
    clock.ahead = 0
    tried_until(watched, drained(watched), 40, "all that waited is in the hub")
    assert figure(watched, "dropped", "snapshots") == figure(watched, "damaged", "snapshots") == 0
    # Of the years that the hub does not keep rows of the server says so.
    assert figure(watched, "delivery", "too_old") > 0 and "a clock is wrong" in note(watched, "delivery", "too_old")
    score(clock=1 + len(later), clock_kinds=1 + len(later))


@pytest.mark.time_limit(150)
def test_the_hubs_clock(world: World) -> None:
    """It is a collector of its own, too, by the same clock."""
    clock = Clock(world.installation, world.folder, "hub")
    hub = world.hub(start=False)
    hub.start(env=clock.environment)
    hub.make_ready()
    watched = world.server("watched", {"pganalytics.collect_interval": "1s"})
    watched.execute("create extension pganalytics")
    hub.enrol(watched)
    own = next(iter(set(wait_until(lambda: len(hub.collectors()) == 2 and hub.collectors(), 20, "both")) - {"watched"}))
    beside = (HOUR, -HOUR, DAY)
    for ahead in (*beside, 0):
        clock.ahead = ahead
        arrive(hub, "watched")
        arrive(hub, own)
        assert abs(figure(watched, "hub", "clock_ahead") + ahead) <= 2
    # By a clock of next year everything is too old, all certificates are over, and nothing may go for it.
    stored = pushes(hub, "watched")
    clock.ahead = YEAR
    hub.reload()
    hub.wait_log(r"the clock of this server went forward by 87\d\d hours; nothing is removed as too old for a day")
    os.kill(hub.programs()["serve"][0], signal.SIGKILL)
    wait_until(lambda: status(watched)["hub", "state"]["value"] == "failing", 20, "the hub is not to be talked to")
    hub.reload()
    wait_until(lambda: "not ready" not in note(hub, "hub_worker", "state"), 60, "it has a certificate of that time")
    tried_until(watched, lambda: "not valid yet" in note(watched, "hub", "last_error"), 40, "which is none by the right clock")
    more = pushes(hub, own) + 2
    tried_until(hub, lambda: pushes(hub, own) >= more, 60, "the hub's own collector has one of that time, too")
    assert pushes(hub, "watched") >= stored
    clock.ahead = 0
    tried_until(watched, drained(watched), 60, "all that waited is in the hub")
    tried_until(hub, drained(hub), 60, "its own, too")
    arrive(hub, "watched")
    arrive(hub, own)
    # What is of next year does not stand for how things are now.
    wait_until(lambda: hub.query("select state, last_time <= now(), last_push_at <= now() from pganalytics.servers") == [("ok", True, True)] * 2,
               20, "servers as they are", every=1)  # fmt: skip
    assert figure(hub, "hub_worker", "alarms") == 0
    assert hub.value("select bool_and(time <= now()) from pganalytics.current_databases")
    score(clock=len(beside) + 1, clock_kinds=len(beside) + 1)


def test_waits_end_by_the_time_that_passes(world: World) -> None:
    watched, clock = stepped(world, "watched")
    collector = worker_pid(watched, "pganalytics collector")
    ship(watched)
    while_waiting = (-HOUR, HOUR)
    for ahead in while_waiting:
        took: list[Any] = []

        def ask() -> None:
            began = time.monotonic()
            try:
                watched.query("select * from pganalytics_push_now('3 s')")
            except psycopg.Error as error:
                took[:] = [str(error), time.monotonic() - began]

        os.kill(collector, signal.SIGSTOP)
        try:
            asking = threading.Thread(target=ask)
            asking.start()
            waiting = "select count(*) from pg_stat_activity where query like '%%push_now%%' and wait_event_type = 'Extension'"
            wait_until(lambda: watched.value(waiting) == 1, 2, "it waits")
            clock.ahead = ahead
            asking.join(30)
        finally:
            os.kill(collector, signal.SIGCONT)
        assert took and "no answer within the time limit" in took[0], took
        assert 3 <= took[1] < 25, took
        clock.ahead = 0
    score(clock=len(while_waiting), clock_kinds=len(while_waiting))
