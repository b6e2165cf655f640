"""Fixtures and options of the end-to-end tests; the harness's API is described in harness/__init__.py.

Run by `make e2e`, or by hand (as root too): /usr/bin/python3 -m pytest tests/e2e -k name

    --seed N        of the random generator `rng`; the same each time unless given, as the same tree shall pass
                    or fail each time: `make torture` is what goes looking, with a seed that it draws and prints
    --budget S      seconds for all tests together; what is left after it fails
    --keep          folders of the servers are not removed

A test may take 90 seconds; @pytest.mark.time_limit(seconds) says otherwise. On an overloaded machine
it may take longer, as every deadline there (harness/waiting.py), but not longer than the budget.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Hub, Server, World
from harness.installation import SANITIZED, Installation
from harness.waiting import Deadline
from played import Played, PlayedHub

TIME_LIMIT = 90


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=1)
    parser.addoption("--budget", type=float, default=600)
    parser.addoption("--keep", action="store_true")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "time_limit(seconds): how long the test may take")
    config.addinivalue_line("markers", "measures(what): and sanitizers change that, so make sanitized skips it")
    config.budget_ends = time.monotonic() + config.option.budget  # type: ignore[attr-defined]


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.option.seed}"


class OutOfTime(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """An alarm for the whole test, fixtures included, that lets them still clean up."""
    marker = item.get_closest_marker("time_limit")
    limit = Deadline(marker.args[0] if marker else TIME_LIMIT)

    def left() -> float:
        return min(limit.left(), item.config.budget_ends - time.monotonic())  # type: ignore[attr-defined]

    def set_alarm() -> None:
        signal.setitimer(signal.ITIMER_REAL, max(left(), 0.01))

    def ring(_signal: int, _frame: Any) -> None:
        if left() <= 0:
            raise OutOfTime(f"longer than {limit}, or than all tests together may take")
        set_alarm()

    previous = signal.signal(signal.SIGALRM, ring)
    set_alarm()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if SANITIZED and (marker := item.get_closest_marker("measures")):
        pytest.skip(f"of {marker.args[0]}, which sanitizers change; make e2e runs it")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Iterator[None]:
    report = (yield).get_result()  # type: ignore[misc]
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, World):
                report.sections.append(("servers", value.logs()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    counts = {
        "passed": len(terminalreporter.stats.get("passed", [])),
        "failed": len(terminalreporter.stats.get("failed", []))
        + len(terminalreporter.stats.get("error", [])),
        "skipped": len(terminalreporter.stats.get("skipped", [])),
    }
    if folder := os.environ.get("PGANALYTICS_RESULTS"):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        pathlib.Path(folder, os.environ.get("PGANALYTICS_RESULT", "e2e") + ".json").write_text(json.dumps(counts))


@pytest.fixture(scope="session")
def installation() -> Installation:
    return Installation()


@pytest.fixture
def world(installation: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(installation, request.config.option.keep)
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_world(installation: Installation, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(installation, request.config.option.keep)
    yield made
    made.close()


@pytest.fixture
def server(world: World) -> Server:
    return world.server()


@pytest.fixture
def hub(world: World) -> Hub:
    return world.hub()


@pytest.fixture(scope="module")
def module_hub(module_world: World) -> Hub:
    return module_world.hub()


@pytest.fixture(scope="session")
def played(installation: Installation) -> Iterator[Played]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pganalytics-played-"))
    folder.chmod(0o755)
    made = Played(installation, folder / "root")
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture
def played_world(played: Played, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(played, request.config.option.keep)
    yield made
    made.close()


@pytest.fixture(scope="module")
def played_hub(played: Played, request: pytest.FixtureRequest) -> Iterator[PlayedHub]:
    made = World(played, request.config.option.keep)
    yield PlayedHub(made, played)
    made.close()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.config.option.seed)
