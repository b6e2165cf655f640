"""One collector at full blast against a real hub: it forges nothing, its storage ends at its quota, it makes no tables and no partitions, and the
pushes of others are answered as if it were not there."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from harness import LONG, World, wait_until
from harness.abuser import Abuser, abuse
from harness.curl_collector import CurlCollector, now
from harness.scorecard import score
from harness.waiting import stretch
from test_gate_slow import Honest, memory, percentile

MB = 1 << 20
QUOTA = 32 if LONG else 4  # MB
TABLES = """
select c.relname, pg_get_expr(c.relpartbound, c.oid) from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where n.nspname = 'pganalytics' and c.relkind in ('r', 'p', 'v')
"""


@pytest.mark.time_limit(300 if LONG else 90)
def test_one_collector_against_all(world: World) -> None:
    hub = world.hub("hub", {"pganalytics.hub_storage_quota": f"{QUOTA}MB", "pganalytics.enabled": "off"})
    abuser, *others = (CurlCollector(hub, world.path(name), name).enrol() for name in ("abuser", "one", "two", "three", "four"))
    # The table that all the rows go to, and its partitions.
    row = {"datid": [5], "relid": [1], "relname": ["honest"]}
    entry = {"type": "pg_stats", "timestamp": now(), "datname": "app", "tables": {"columns": row}}
    assert others[0].push([entry]).status == 200
    before, day = sorted(hub.query(TABLES)), hub.value("select current_date")
    small = memory(hub)
    attack = Abuser(
        port=hub.collector_port, ca_file=str(hub.ca_file), cert=str(abuser.cert), key=str(abuser.key), token=abuser.token,
        me=abuser.collector_id, other=others[0].collector_id, rows=20_000 if LONG else 5_000, names=10_000 if LONG else 2_000,
        seconds=180 if LONG else 12,
    )  # fmt: skip
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as aside:
        attacking = aside.submit(abuse, attack)
        honest = Honest(others)
        wait_until(attacking.done, 240 if LONG else 60, "it has spent itself", every=0.2)
        took = honest.stop()
        counts = attacking.result()
    sent = sum(count for (kind, _), count in counts.items() if kind != "longest")
    print(f"{sent} requests: {json.dumps({f'{kind}: {said}': count for (kind, said), count in sorted(counts.items())})}")
    print(f"beside it {len(took)} pushes, p50 {percentile(took, 50):.1f} ms, p99 {percentile(took, 99):.1f} ms; front {small} MiB, then {max(honest.memory)}")
    assert percentile(took, 99) <= 2000 * stretch() and len(took) > 20
    assert max(honest.memory) < 256
    # What each kind was answered, beside "not so fast"; in the few seconds of the short form that may be all.
    late = {"0", "429", "503"}

    def answers(kind: str) -> set[str]:
        return {said[:3] for (one, said) in counts if one == kind} - late

    for kind, status in ("another's id", "403"), ("another's token", "401"), ("far times", "200"):
        assert answers(kind) <= {status} and (status in answers(kind) or not LONG), counts
    assert answers("used ids") <= {"200", "409"} and (not LONG or "409" in answers("used ids") | answers("flood")), counts
    assert answers("names") <= {"200"} and answers("flood") <= {"200"}, counts
    assert not LONG or any("quota" in words for (_, words) in counts), counts
    assert counts["longest", ""] < 16 << 10
    # What is there of it: its own, and no more than it may have.
    stored = "select coalesce(sum(bytes), 0)::bigint from pganalytics.storage where collector_id = %s"
    assert (QUOTA * MB / 4 if LONG else 0) <= int(hub.value(stored, (abuser.collector_id,))) <= QUOTA * MB
    names = "select array_agg(distinct relname) from pganalytics.pg_stats_tables where collector_id = any(%s::uuid[])"
    assert hub.value(names, ([one.collector_id for one in others],)) == ["honest"]
    pushes = "select count(*) from pganalytics.ledger where collector_id = any(%s::uuid[])"
    assert hub.value(pushes, ([one.collector_id for one in others],)) == len(took) + 1
    if hub.value("select current_date") == day:
        assert sorted(hub.query(TABLES)) == before
    times = "select count(*) from pganalytics.pg_stats_tables where time < now() - interval '1 hour' or time > now() + interval '1 hour'"
    assert hub.value(times) == 0
    assert hub.value("select count(*) from pganalytics.collectors") == 1 + len(others)
    score(refused=sum(count for (kind, words), count in counts.items() if kind != "longest" and words[:3] != "200"))
