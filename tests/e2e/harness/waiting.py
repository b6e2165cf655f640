"""Waiting for a condition, with a deadline; and what a deadline means on an overloaded machine.

A deadline is meant for a machine that has time for the test. Where more wants to run than there are
cores, everything takes that much longer, and a test that fails of it tells nothing. So a deadline
that has passed is asked again: while the load of the last minute is above OVERLOADED for each core,
it ends as many times later as that load says, MOST_TIMES at most. Elsewhere it ends when it says.
Whoever promises a duration (DROP DATABASE within 2.5 s) measures it without this.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

OVERLOADED = 1.5
MOST_TIMES = 4.0


def stretch() -> float:
    """How many times longer than said a deadline is, now."""
    load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    return min(load, MOST_TIMES) if load > OVERLOADED else 1.0


class Deadline:
    """So many seconds from now on; more on an overloaded machine."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began = time.monotonic()

    def left(self) -> float:
        """Seconds; 0 or less: it has passed."""
        gone = time.monotonic() - self.began
        return self.seconds - gone if gone < self.seconds else self.seconds * stretch() - gone

    def __str__(self) -> str:
        return f"{self.seconds:g} s (in {time.monotonic() - self.began:.1f} s, load {os.getloadavg()[0]:.1f})"


def wait_until(
    condition: Callable[[], T], deadline: float = 10, what: str = "", every: float = 0.05
) -> T:
    """The first true value of condition(); AssertionError naming `what` after `deadline` seconds.

    An AssertionError inside the condition means "not yet", so conditions can assert; its text is
    part of the error at the end. Any other exception goes through at once.
    """
    end = Deadline(deadline)
    while True:
        # One that was slow to come may have been so because nothing ran; it is asked once more.
        last_chance = end.left() <= 0
        last: object
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if last_chance:
            raise AssertionError(f"not within {end}: {what or condition!r} (last: {last!r})")
        time.sleep(every)
