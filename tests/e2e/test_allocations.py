"""A sample of the allocations that can fail in a server with us, each tried once; `make torture` tries all of them
(tests/torture/allocations). That nothing was lost is told by the ledger when the world is closed."""

import math
import random
import time

import pytest

from allocation_points import SITUATIONS, Points
from harness import World, wait_until

pytestmark = pytest.mark.measures("allocations")

SECONDS = 30
# While the collector takes a request of a session.
OF_A_REQUEST = range(1, 11)


@pytest.mark.time_limit(150)
def test_a_sample_of_allocations_fails(world: World, rng: random.Random) -> None:
    points = Points(world)
    before = points.left()
    end = time.monotonic() + SECONDS
    # Each in turn, beginning anywhere.
    order = rng.sample(SITUATIONS, len(SITUATIONS))
    while time.monotonic() < end:
        situation = order[points.tried % len(order)]
        # Those at the begin of something are few, and not like each other.
        at = round(math.exp(rng.uniform(0, math.log(situation.about))))
        points.fail(situation, at, ever_after=points.tried >= len(order) and rng.random() < 0.3)
    print(f"allocations: {points.failed} of {points.tried} tried failed")
    assert points.failed >= points.tried / 2, "most points are reached"
    wait_until(lambda: points.left() == before, 30, "the collector holds no more than before")
    points.close()


@pytest.mark.time_limit(150)
def test_a_request_that_cannot_be_taken_is_answered_and_leaves_nothing(world: World) -> None:
    points = Points(world)
    before = points.left()
    (cycle,) = (one for one in SITUATIONS if one.name == "cycle, collector")
    for at in OF_A_REQUEST:
        assert points.fail(cycle, at), "the allocation is reached"
        wait_until(lambda: points.left() == before, 30, f"after allocation {at} the collector holds no more than before")
    points.close()
