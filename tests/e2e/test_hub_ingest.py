"""What keeps pushes out of the hub's tables for longer than a moment, behind a front that the test
plays: too little time, names that are taken."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness import wait_until
from played import BUSY, DUPLICATE, STORED, PlayedHub
from test_hub_worker import DAY, database_row, names, partition_of, partitions, push_of


@contextmanager
def slow_rows(hub: PlayedHub, seconds: float) -> Iterator[None]:
    """As a slow disk: each row whose database is called slow takes its time, and so does nothing else."""
    server = hub.server
    server.execute(
        "create function public.slow() returns trigger language plpgsql as $$ begin"
        f" if new.datname like 'slow%' then perform pg_sleep({seconds}); end if; return new; end $$"
    )
    server.execute(
        "create trigger slow before insert on pganalytics.pg_stats_databases"
        " for each row execute function public.slow()"
    )
    try:
        yield
    finally:
        server.execute("drop function public.slow() cascade")


def stored_together(hub: PlayedHub, count: int) -> int:
    """In how many transactions so many pushes that come at once are stored."""
    pushes = [push_of(hub, [database_row(5, "together")]) for _ in range(count)]
    hub.front.push(*pushes)
    assert [hub.front.result()["outcome"] for _ in pushes] == [STORED] * count
    transactions: int = hub.server.value(
        "select count(distinct xmin::text) from pganalytics.ledger where snapshot_id = any(%s)",
        ([push.snapshot for push in pushes],),
    )
    return transactions


def test_pushes_too_slow_together_are_stored_alone(played_hub: PlayedHub) -> None:
    hub = played_hub
    # The table has to be there for a trigger.
    assert hub.front.store(push_of(hub, [database_row(5, "first")]))["outcome"] == STORED
    message = "pushes take too long together"
    with slow_rows(hub, 5.5):
        after = hub.server.log_size()
        began = time.monotonic()
        pushes = [push_of(hub, [database_row(5, f"slow {i}")]) for i in range(2)]
        hub.front.push(*pushes)
        # The first is answered when it is stored, and the worker's other work is done in between.
        assert hub.front.result(20)["outcome"] == STORED
        assert 15 < time.monotonic() - began < 20
        assert names(hub, "slow") == ["slow 0"]
        assert hub.front.result(10)["outcome"] == STORED
        assert message in hub.server.log(after)
        # Next time they are not even tried together.
        began = time.monotonic()
        again = push_of(hub, [database_row(5, "slow 0")])
        again.snapshot, again.digest = pushes[0].snapshot, pushes[0].digest
        more = [push_of(hub, [database_row(5, f"slow {i}")]) for i in (2, 3)]
        hub.front.push(again, *more)
        assert [hub.front.result(10)["outcome"] for _ in range(3)] == [DUPLICATE, STORED, STORED]
        assert time.monotonic() - began < 14
    assert names(hub, "slow") == [f"slow {i}" for i in range(4)]
    # After eight groups in time they are twice as large: three of one were just there.
    assert stored_together(hub, 5 + 16) == 5 + 8
    wait_until(lambda: stored_together(hub, 50) == 1, 30, "fifty at once again")
    assert not hub.front.ended.is_set()


def busy(hub: PlayedHub) -> tuple[str | None, str]:
    ((when, why),) = hub.server.query(
        "select value, coalesce(note, '') from pganalytics_status()"
        " where component = 'hub_worker' and name = 'last_busy'"
    )
    return when, why


@pytest.mark.parametrize("kept", [1, 3])
def test_day_whose_partition_was_detached(played_hub: PlayedHub, kept: int) -> None:
    hub = played_hub
    when = time.time() - (10 + kept) * DAY
    name = partition_of("pg_stats_databases", when)
    for number in range(1, kept + 2):
        push = push_of(hub, [database_row(5, f"kept {kept} {number}")], when=when)
        assert hub.front.store(push)["outcome"] == STORED
        current = name if number == 1 else f"{name}_{number}"
        assert current in partitions(hub, "pg_stats_databases")
        if number <= kept:
            hub.server.execute(
                f"alter table pganalytics.pg_stats_databases detach partition pganalytics.{current}"
            )
    # What was put aside is as it was.
    for number in range(1, kept + 1):
        current = name if number == 1 else f"{name}_{number}"
        rows = hub.server.query(f"select datname from pganalytics.{current}")
        assert rows == [(f"kept {kept} {number}",)]
    assert names(hub, f"kept {kept}") == [f"kept {kept} {kept + 1}"]


def test_status_says_why_pushes_are_put_off(played_hub: PlayedHub) -> None:
    hub = played_hub
    assert hub.front.store(push_of(hub, [database_row(5, "first")]))["outcome"] == STORED
    before, _ = busy(hub)
    hub.server.execute(
        "alter table pganalytics.pg_stats_databases"
        f" add constraint \"{'é' * 31}\" check (datname <> 'put off')"
    )
    try:
        assert hub.front.store(push_of(hub, [database_row(5, "put off")]))["outcome"] == BUSY
        when, why = busy(hub)
        assert when is not None and when != before
        assert "violates check constraint" in why and "é" in why
    finally:
        hub.server.execute(
            f"alter table pganalytics.pg_stats_databases drop constraint \"{'é' * 31}\""
        )
