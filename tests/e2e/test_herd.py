"""Thirty collectors come back at once with a backlog of 30 cycles each; `make torture` has 200 with 60
(tests/torture/herd). Each goes over its burst, so the hub tells it to wait."""

import pathlib

import pytest

from harness import Hub
from herd import CONNECTIONS, Herd


@pytest.mark.time_limit(150)
def test_a_herd_gets_through(hub: Hub, tmp_path: pathlib.Path) -> None:
    herd = Herd(hub, tmp_path / "herd", members=30, cycles=30)
    outcome = herd.run(90)
    print(outcome.text())
    assert herd.lost_and_doubled() == (0, 0)
    assert outcome.told_to_wait > 0, "it was no herd"
    assert outcome.connections <= CONNECTIONS
