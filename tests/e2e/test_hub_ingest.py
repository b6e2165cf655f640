"""What keeps pushes out of the hub's tables for longer than a moment, behind a front that the test
plays: names that are taken, what the hub does not let in."""

import time

import pytest
from played import BUSY, STORED, PlayedHub
from test_hub_worker import DAY, database_row, names, partition_of, partitions, push_of


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
