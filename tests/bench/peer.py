"""The peer beside us: Debian's prometheus-postgres-exporter over the same database, started by us
and ended by us.
"""

import os
import pathlib
import subprocess
import urllib.request
from typing import NamedTuple

import accounting
import tables
from harness import Server, wait_until
from harness.server import free_port
from waiting import pause

PROGRAM = "prometheus-postgres-exporter"
QUERIES = pathlib.Path(__file__).with_name("exporter_queries.yaml")


class Scrape(NamedTuple):
    version: str
    exporter_ms: float
    backend_ms: float
    series: int
    bytes_text: int
    bytes_gzip: int
    memory: accounting.Peak


def measure(executable: str, server: Server, scrapes: int) -> Scrape:
    """CPU and memory of one scrape: the exporter and the sessions it holds, nothing else."""
    postmaster = server.postmaster_pid()
    strangers = set(accounting.children(postmaster))
    address = f"127.0.0.1:{free_port()}"
    version = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True)
    exporter = subprocess.Popen(
        [executable, f"--web.listen-address={address}", f"--extend.query-path={QUERIES}"]
        + ["--disable-settings-metrics", "--log.level=error"],
        env={
            "PATH": os.environ["PATH"],
            "DATA_SOURCE_NAME": f"host={server.socket} port={server.port} user=postgres"
            f" dbname={tables.DATABASE} sslmode=disable",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def scrape(encoding: str) -> bytes:
        request = urllib.request.Request(
            f"http://{address}/metrics", headers={"Accept-Encoding": encoding}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return bytes(answer.read())

    def answers() -> bool:
        try:
            return bool(scrape("gzip"))
        except OSError:
            return False

    def sessions() -> list[int]:
        return [pid for pid in accounting.children(postmaster) if pid not in strangers]

    def backend_ms() -> float:
        return accounting.ended_children_ms(postmaster) + sum(map(accounting.cpu_ms, sessions()))

    try:
        wait_until(answers, 60, "the exporter answers")
        with accounting.MemorySampler(
            lambda: [("exporter", exporter.pid), *(("sessions", pid) for pid in sessions())]
        ) as sampler:
            text = scrape("identity")
            packed = scrape("gzip")
        exporter_cost, backend_cost = [], []
        for _ in range(scrapes):
            before = accounting.cpu_ms(exporter.pid), backend_ms()
            scrape("gzip")
            pause(0.1)  # its answer is complete before its work is
            exporter_cost.append(accounting.cpu_ms(exporter.pid) - before[0])
            backend_cost.append(backend_ms() - before[1])
        return Scrape(
            version=(version.stdout + version.stderr).split("version")[1].split()[0],
            exporter_ms=accounting.median(exporter_cost),
            backend_ms=accounting.median(backend_cost),
            series=sum(1 for line in text.splitlines() if line and not line.startswith(b"#")),
            bytes_text=len(text),
            bytes_gzip=len(packed),
            memory=sampler.peak,
        )
    finally:
        exporter.kill()
        exporter.wait()
