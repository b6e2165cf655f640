"""Collectors are revoked one after the other, at any time of the hub's own cycle: each is refused within a minute, on the connection it
keeps open, on new ones, and on ones that offer the session of an old one; and from then on it stays refused."""

import dataclasses
import random
import time

import pytest

from harness import LONG, Hub, World, wait_until
from harness.curl_collector import CurlCollector
from harness.raw_http import Connection, push
from harness.scorecard import score

ROUNDS = 100 if LONG else 6
# Seconds between two revocations, at most; between two looks at one collector: three pushes, and two a second are its share.
APART, LOOK = 1.0, 1.6
WAYS = ("kept", "fresh", "resumed")


@dataclasses.dataclass
class Revoked:
    """One collector from just before its revocation on."""

    hub: Hub
    collector: CurlCollector
    refused: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        body = b'{"collector_id":"%s","timestamp":"2026-01-01T00:00:00Z","metrics":[]}' % self.collector.collector_id.encode()
        self.request = push(self.collector, body)
        self.kept, self.saved = (Connection(self.hub, self.collector) for _ in range(2))
        assert [self.ask(one) for one in (self.kept, self.saved)] == [200, 200]
        self.hub.execute("select pganalytics_revoke(%s, 'test')", (self.collector.name,))
        self.at = time.monotonic()
        self.next_look = self.at

    def ask(self, connection: Connection) -> int:
        connection.send(self.request)
        return connection.answer().status

    def look(self) -> None:
        """On all three ways; the open connection, which ends when it is idle for long, until it is refused."""
        self.next_look = time.monotonic() + LOOK
        ways = {"fresh": Connection(self.hub, self.collector), "resumed": Connection(self.hub, self.collector, after=self.saved)}
        assert not ways["resumed"].stream.session_reused
        if "kept" not in self.refused:
            ways["kept"] = self.kept
        for way, connection in ways.items():
            status = self.ask(connection)
            assert status in (200, 401, 429), (way, status)
            assert status == 401 or way not in self.refused, f"{way}: {status} after it had been refused"
            if status == 401:
                self.refused.setdefault(way, time.monotonic() - self.at)
                connection.close()

    def over(self) -> bool:
        return self.refused.keys() == set(WAYS)


@pytest.mark.time_limit(400 if LONG else 90)
def test_revoked_at_any_time(world: World, rng: random.Random) -> None:
    hub = world.hub()
    waiting = [CurlCollector(hub, world.path(f"stolen-{number}"), f"stolen-{number}").enrol() for number in range(ROUNDS)]
    revoked: list[Revoked] = []
    next_one = time.monotonic()

    def step() -> bool:
        nonlocal next_one
        if waiting and time.monotonic() >= next_one:
            revoked.append(Revoked(hub, waiting.pop()))
            next_one = time.monotonic() + rng.uniform(0, APART)
        for one in revoked:
            if not one.over() and time.monotonic() >= one.next_look:
                one.look()
        return not waiting and all(one.over() for one in revoked)

    wait_until(step, 300 if LONG else 75, "everybody revoked is refused", every=0.02)
    for way in WAYS:
        took = sorted(one.refused[way] for one in revoked)
        print(f"{len(took)} revoked, refused on {way} connections after {took[len(took) // 2]:.1f} s (median), {took[-1]:.1f} s at most")
        assert took[-1] <= 60
    # And still, all of them, and no new token for anybody.
    for one in revoked:
        one.look()
        assert one.collector.refresh().status == 401
    score(refused=3 * len(revoked))
