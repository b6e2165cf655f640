"""Pauses of a set length: measuring needs them where a test would wait for a condition."""

import time


def pause(seconds: float) -> None:
    time.sleep(seconds)


def pause_until(moment: float) -> None:
    """Until time.monotonic() is `moment`; not at all where it is already."""
    time.sleep(max(0.0, moment - time.monotonic()))
