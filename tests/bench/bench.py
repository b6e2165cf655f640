"""`make bench`: private servers, all measurements, one report. Started by tests/bench/run.

Everything it starts it ends, also when interrupted.
"""

import os
import pathlib
import shutil
import signal
import sys
import time
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

import collector  # noqa: E402
import front  # noqa: E402
import overhead  # noqa: E402
import peer  # noqa: E402
import psycopg  # noqa: E402
import tables  # noqa: E402
from harness import Hub, World  # noqa: E402
from harness.installation import Installation  # noqa: E402
from report import Report  # noqa: E402

# Of the watched servers: nothing by itself, so that a cycle is one we asked for.
STILL = {"pganalytics.collect_interval": "1h", "pganalytics.full_interval": "1d"}
# A hub as people run one, on a disk and with fsync; its own collector has nothing to say here.
HUB = STILL | {"fsync": "on", "shared_buffers": "256MB", "max_wal_size": "2GB"}


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:5.0f} s] {text}", file=sys.stderr, flush=True)


def memory_folder() -> str:
    """Where tens of thousands of files are made and removed in no time, if there is such a place."""
    shared = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    if shared and shared.f_bavail * shared.f_frsize > 6 << 30:
        return "/dev/shm"
    return os.environ.get("TMPDIR", "/tmp")


def make_world(installation: Installation, folder: str) -> World:
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = folder
    try:
        return World(installation)
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before


def watch(
    worlds: tuple[World, World], load: tables.Load, exporter: str | None, report: Report
) -> collector.Figures:
    """All figures of a server so filled."""
    hub_world, table_world = worlds
    hub = hub_world.servers[0]
    assert isinstance(hub, Hub)
    server = table_world.server(load.name, settings=tables.SETTINGS | STILL)
    server.execute("CREATE EXTENSION pganalytics")
    say(f"making {load.title}")
    load.build(server)
    token = hub.create_token(server.name)
    server.value("SELECT pganalytics_register(%s, %s)", (hub.console_url, token))
    say(f"cycles of {load.title}")
    figures = collector.measure(server, hub, load, repeats=5)
    report.cycles(figures)
    if exporter and isinstance(load, tables.Shop):
        say(f"the exporter, {load.title}")
        report.beside_peer(figures, peer.measure(exporter, server, scrapes=3))
    server.stop()
    return figures


def main() -> int:
    loads: list[tables.Load] = [tables.Shop(int(n)) for n in os.environ.get("BENCH_TABLES", "1000 10000").split()]
    many = os.environ.get("BENCH_DATABASES", "200x100")
    if many:
        databases, each = many.split("x")
        loads.append(tables.ManyDatabases(int(databases), int(each)))
    seconds = int(os.environ.get("BENCH_SECONDS", "120"))
    parts = os.environ.get("BENCH_PARTS", "overhead collector hub").split()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    exporter = shutil.which(peer.PROGRAM)
    if not exporter:
        say(f"no peer: {peer.PROGRAM} is not installed")
    installation = Installation()
    worlds: list[World] = []
    report = Report()
    figures: list[collector.Figures] = []
    hub_figures: front.Figures | None = None
    ratios: list[overhead.Ratio] = []
    failure: Any = None
    try:
        worlds.append(make_world(installation, os.environ.get("TMPDIR", "/tmp")))
        worlds.append(make_world(installation, memory_folder()))
        hub = worlds[0].hub("hub", settings=HUB)
        report.machine(hub.value("SELECT split_part(version(), ' on ', 1)"))
        if "overhead" in parts:
            ratios = overhead.measure(worlds[1], say, int(os.environ.get("BENCH_PAIRS", "720")))
            report.overhead(ratios)
        if "collector" in parts:
            for load in loads:
                figures.append(watch((worlds[0], worlds[1]), load, exporter, report))
        if "hub" in parts:
            hub_figures = front.measure(hub, worlds[0].folder, say, seconds=seconds)
            report.hub(hub_figures)
    except (AssertionError, RuntimeError, psycopg.Error) as error:
        failure = error
        print("\n".join(world.logs(20) for world in worlds), file=sys.stderr)
    finally:
        for world in reversed(worlds):
            world.close()
    if failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    if figures and hub_figures:
        report.promised(figures, hub_figures)
    report.goals(figures, hub_figures, ratios)
    print(f"\n  {time.monotonic() - BEGAN:.0f} s in all")
    return 0


BEGAN = time.monotonic()

if __name__ == "__main__":
    sys.exit(main())
