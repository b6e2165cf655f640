"""Fixtures of tests that drive the program; a test module imports the names it uses."""

import os
import pathlib
from collections.abc import Iterator

import pytest

from harness.installation import Installation

from .scripted_hub import ScriptedHub
from .worker import Ship


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> pathlib.Path:
    if path := os.environ.get("PGANALYTICS_PROGRAM"):
        return pathlib.Path(path)
    installation: Installation = request.getfixturevalue("installation")
    return installation.bindir / "pganalytics"


@pytest.fixture
def scripted(tmp_path: pathlib.Path) -> Iterator[ScriptedHub]:
    one = ScriptedHub(tmp_path)
    yield one
    one.close()


@pytest.fixture
def fresh_ship(tmp_path: pathlib.Path, program: pathlib.Path) -> Iterator[Ship]:
    """Enrolled with nobody."""
    one = Ship(program, tmp_path / "state")
    yield one
    one.close()
    last_words = tmp_path / "state/ship.last_words"
    assert not last_words.exists() or last_words.read_text() == ""


@pytest.fixture
def ship(fresh_ship: Ship, scripted: ScriptedHub) -> Ship:
    """Enrolled with the scripted hub."""
    fresh_ship.register(scripted.console_url, scripted.authority.token())
    return fresh_ship
