"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], deadline: float = 10, what: str = "", every: float = 0.05
) -> T:
    """The first true value of condition(); AssertionError naming `what` after `deadline` seconds.

    An AssertionError inside the condition means "not yet", so conditions can assert; its text is
    part of the error at the end. Any other exception goes through at once.
    """
    end = time.monotonic() + deadline
    while True:
        last: object
        try:
            value = condition()
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what or condition!r} (last: {last!r})")
        time.sleep(every)
