"""pganalytics.hub_storage_quota: what one collector stores ends there, exactly; nobody else notices."""

import json
from typing import Any

import pytest
from collecting import status
from harness import Hub, wait_until
from harness.curl_collector import CurlCollector, now
from harness.hub import Answer
from harness.world import World

MB = 1 << 20
ROWS = 1000


@pytest.fixture(scope="module")
def hub(module_world: World) -> Hub:
    # The hub's own collector is none of the two that are counted here.
    return module_world.hub("hub", {"pganalytics.hub_storage_quota": "1MB", "pganalytics.enabled": "off"})


def enrolled(hub: Hub, world: World, name: str) -> CurlCollector:
    return CurlCollector(hub, world.path(name), name).enrol()


def rows(count: int = ROWS) -> dict[str, Any]:
    columns = {"datid": [5] * count, "relid": list(range(count)), "relname": ["r" * 60] * count}
    return {"type": "pg_stats", "timestamp": now(), "datname": "app", "tables": {"columns": columns}}


def push(one: CurlCollector, count: int = ROWS, **fields: Any) -> Answer:
    return one.push(one.envelope([rows(count)], **fields))


def counted(hub: Hub, one: CurlCollector) -> int:
    sql = "select coalesce(sum(bytes), 0)::bigint from pganalytics.storage where collector_id = %s"
    return int(hub.value(sql, (one.collector_id,)))


def send_once(one: CurlCollector, envelope: dict[str, Any]) -> Answer:
    """As one.push(), but a 429 is an answer where it is the quota's."""

    def answered() -> Answer | None:
        answer = one.hub.request(
            "/api/v1/metrics/push", port=one.hub.collector_port, cert=one.cert, key=one.key,
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {one.token}"}, 
            body=json.dumps(envelope),
        )  # fmt: skip
        return None if answer.status == 429 and "quota" not in answer.body else answer

    return wait_until(answered, 30, "an answer that is not the rate's", every=0.5)


def test_the_quota_is_the_end(hub: Hub, module_world: World) -> None:
    greedy, modest = enrolled(hub, module_world, "greedy"), enrolled(hub, module_world, "modest")
    first = greedy.envelope([rows()])
    assert greedy.push(first).status == 200
    each = counted(hub, greedy)
    # About what the rows take: openly not to the byte, never less than their values.
    assert ROWS * 60 < each < MB / 2
    fits = MB // each
    for _ in range(fits - 1):
        assert push(greedy).status == 200
    assert counted(hub, greedy) == fits * each
    refused = greedy.envelope([rows()])
    answer = send_once(greedy, refused)
    assert answer.status == 429 and answer.headers["retry-after"] == "900", answer
    assert "quota" in answer.json()["message"]
    # Nothing of it is there; what was stored before is acknowledged again; others are served.
    assert counted(hub, greedy) == fits * each <= MB
    stored = "select count(*) from pganalytics.pg_stats_tables where collector_id = %s"
    assert hub.value(stored, (greedy.collector_id,)) == fits * ROWS
    known = "select count(*) from pganalytics.ledger where snapshot_id = %s"
    assert hub.value(known, (refused["snapshot_id"],)) == 0
    assert send_once(greedy, first).json()["duplicate"] is True
    assert push(modest).status == 200
    # Said to people, once.
    note = wait_until(lambda: status(hub)["hub_worker", "alarms"]["note"], 20, "an alarm")
    assert "greedy" in note and "hub_storage_quota" in note
    assert send_once(greedy, refused).status == 429
    events = hub.rows("select * from pganalytics.audit where event = 'storage quota used up'")
    assert [str(event["collector_id"]) for event in events] == [greedy.collector_id]
    # More room: the same push is stored.
    hub.set({"pganalytics.hub_storage_quota": "2MB"})
    wait_until(lambda: send_once(greedy, refused).status == 200, 20, "it is stored", every=1)
    wait_until(lambda: status(hub)["hub_worker", "alarms"]["value"] == "0", 20, "no alarm any more")


def test_days_that_are_over_make_room(hub: Hub, module_world: World) -> None:
    one = enrolled(hub, module_world, "old")
    assert push(one, 10).status == 200
    hub.execute(
        "insert into pganalytics.storage values (%s, current_date - 40, 1 << 30, 1)", (one.collector_id,)
    )
    assert send_once(one, one.envelope([rows(10)])).status == 429
    hub.reload()  # retention begins
    wait_until(lambda: counted(hub, one) < MB, 20, "the old day is gone")
    assert send_once(one, one.envelope([rows(10)])).status == 200
