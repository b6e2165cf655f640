"""The collector short of memory, for real: the worker's address space is limited from outside while
it works. What was being done ends, at most the worker itself in good order, and the hub has in the end what SQL says."""

import concurrent.futures
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from collecting import figure, ship, wait_cycles, worker_pid
from harness import wait_until
from test_hub_worker import memory_size
from watched import LOAD, Watched, watched  # noqa: F401

pytestmark = pytest.mark.measures("memory that is out")

MANY = """
do $$ begin
    for i in 1..4000 loop
        execute format('create table more_%s (x int primary key)', i);
        execute format('insert into more_%s values (1)', i);
        if i % 200 = 0 then commit; end if;
    end loop;
end $$
"""


@contextmanager
def limited(watched: Watched, more: int) -> Iterator[None]:
    """The collector gets `more` bytes and no other."""
    worker = worker_pid(watched.server, "pganalytics collector")
    limit = ["prlimit", "--pid", worker]
    watched.server.installation.run([*limit, f"--as={memory_size(worker) + more}:"])
    try:
        yield
    finally:
        # (where it has not ended, to begin anew)
        watched.server.installation.run([*limit, "--as=unlimited:"], check=False)


@pytest.mark.time_limit(120)
def test_a_pass_that_fails_is_made_up_for_by_visits(watched: Watched) -> None:
    watched.wait_same()
    failed = figure(watched.server, "collector", "passes_failed")

    def anew() -> int:
        return worker_pid(watched.server, "pganalytics collector")

    worker = anew()
    after = watched.server.log_size()

    def make_many() -> None:
        with watched.server.connect("second") as session:
            session.execute(MANY)
            session.execute("select pg_stat_force_next_flush()")

    def stands_in_for_no_visit() -> bool:
        return figure(watched.server, "collector", "passes_failed") > failed and watched.primed() == 0

    with limited(watched, 256 << 10), concurrent.futures.ThreadPoolExecutor() as pool:
        watched.run(LOAD, "second")
        # Looked at meanwhile: soon after the first failure another worker counts from 0, and has memory.
        made = pool.submit(make_many)
        wait_until(stands_in_for_no_visit, 40, "a failed pass, and no database by it")
        made.result()
    watched.server.wait_log("could not read the shared statistics", after)
    # Statistics that could not be mapped once never can be in that process: another one makes the passes.
    wait_until(lambda: anew() != worker, 40, "the collector began anew")
    watched.server.wait_log("pganalytics collector ends, to begin anew", after)
    watched.wait_primed(60)
    watched.run(LOAD, "second")
    watched.wait_same(deadline=60)


@pytest.mark.time_limit(180)
def test_an_exception_ends_what_was_said_and_not_the_worker(watched: Watched) -> None:
    def worker() -> int:
        return worker_pid(watched.server, "pganalytics collector")

    watched.wait_same(deadline=60)
    # A worker that has read little yet, and has no memory to spare from earlier readings.
    watched.server.set({"pganalytics.plugins": "pg_activity"})
    before = worker()
    watched.server.execute("select pg_terminate_backend(%s)", (before,))
    wait_until(lambda: worker() not in (0, before), 30, "another worker")
    ship(watched.server)
    wait_cycles(watched.server, 2)
    runs, after = worker(), watched.server.log_size()
    with limited(watched, 256 << 10):
        watched.server.set({"pganalytics.plugins": None})
        watched.server.wait_log("out of memory", after)
    # What it had said is not to be trusted any more: another run of the program hears all of it.
    watched.server.wait_log("the collector lost a part of what was said", after)
    watched.wait_primed(60)
    watched.run(LOAD, "second")
    watched.wait_same(deadline=60)
    assert worker() == runs
