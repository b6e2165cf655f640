"""Thirty kills of all kinds; `make torture` has two thousand (tests/torture/kills). That nothing is lost beyond
the cycle in flight, and nothing doubled, is checked when the world is closed."""

import random

import pytest

from harness import World
from kill_storm import Storm


@pytest.mark.time_limit(150)
def test_thirty_kills(world: World, rng: random.Random) -> None:
    storm = Storm(world, rng)
    storm.run(kills=30, seconds=40)
    storm.settle()
    storm.close()
    print(f"kills: {dict(storm.kills)}")
    assert sum(storm.kills.values()) >= 10
    assert storm.sessions_ended == 0, "the death of a program is nothing to its server"
