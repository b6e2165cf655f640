"""Fixtures of tests that drive the program; a test module imports the names it uses."""

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from harness.installation import Installation

from .scripted_hub import ScriptedHub
from .worker import Ship


def check_balance(program: pathlib.Path, ship: Ship, scripted: ScriptedHub) -> None:
    """Of a program that has ended: its ledger is in balance with what the hub has acknowledged."""
    done = subprocess.run(
        [program, "ledger", "--state", ship.settings["state_directory"]],
        input="".join(f"{one}\n" for one in scripted.stored), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


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
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state/journal").touch(mode=0o600)
    one = Ship(program, tmp_path / "state")
    yield one
    one.close()
    last_words = tmp_path / "state/ship.last_words"
    assert not last_words.exists() or last_words.read_text() == ""


@pytest.fixture
def ship(fresh_ship: Ship, scripted: ScriptedHub, program: pathlib.Path) -> Iterator[Ship]:
    """Enrolled with the scripted hub; at the end its ledger is in balance (harness/ledger.py)."""
    fresh_ship.register(scripted.console_url, scripted.authority.token())
    yield fresh_ship
    fresh_ship.close()
    check_balance(program, fresh_ship, scripted)
