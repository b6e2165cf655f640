"""No exception leaves an SQL function: allocations fail one at a time while a session calls it. What is seen is an ERROR, or
nothing where the server or we can do without; the session and the server stay, and nothing is warned of. (PostgreSQL ends a
session itself, by FATAL, where it has no memory for the settings of a function.) That each entry point is of the form that
catches is `tools/lint entries`."""

import pathlib
import re
from typing import NamedTuple

import psycopg
import pytest

from allocation_points import Points
from harness import World
from harness.allocations import MALLOC, PALLOC
from harness.installation import CHECKOUT

pytestmark = pytest.mark.measures("allocations")

SESSION = "failing session"
OUT_OF_MEMORY = "53200"
# PostgreSQL's other words for it: random bytes and digests, its hash tables, and (18) the setting that tells the target.
OF_MEMORY = (
    "out of memory",
    "could not get random bytes",
    "malloc failure",
    "failed to initialize hash table",
    'invalid value for parameter "application_name"',
)
# Of a function's allocations those at its begin, and as many evenly over all others.
FEW = 12
# PostgreSQL's own, where a subtransaction lacks memory to begin.
HARMLESS = "WARNING: AbortSubTransaction while in START state"
ROWSET = """pganalytics_add_rowset('entry', 'select 1 as a', '1 hour', 'cluster', '{"a": {"kind": "gauge", "unit": "1"}}')"""


class Call(NamedTuple):
    statement: str
    before: str = ""  # in the same transaction
    error: str = ""  # with which it ends where all is well


CALLS = {
    "pganalytics_version": Call("select pganalytics_version()"),
    "pganalytics_status": Call("select * from pganalytics_status()"),
    "pganalytics_catalog": Call("select * from pganalytics_catalog()"),
    "pganalytics_settings": Call("select * from pganalytics_settings()"),
    "pganalytics_preview": Call("select pganalytics_preview('pg_settings')"),
    "pganalytics_collect_now": Call("select * from pganalytics_collect_now()"),
    "pganalytics_push_now": Call("select * from pganalytics_push_now('15 s')"),
    "pganalytics_reload": Call("select pganalytics_reload()"),
    # A token that says itself that it is none: nobody is asked, and the enrolment stays.
    "pganalytics_register": Call("select pganalytics_register('https://localhost:1', 'none')", error="22023"),
    "pganalytics_create_token": Call("select pganalytics_create_token('entry')"),
    "pganalytics_add_rowset": Call(f"select {ROWSET}"),
    "pganalytics_drop_rowset": Call("select pganalytics_drop_rowset('entry')", before=f"select {ROWSET}"),
    "pganalytics_only_superusers": Call("update pganalytics.own_rowset set name = 'other'", before=f"select {ROWSET}"),
    "pganalytics_accept_rowset": Call("select pganalytics_accept_rowset('nobody', 'entry')", error="42704"),
    # Last: there is no enrolment after it.
    "pganalytics_unregister": Call("select pganalytics_unregister()"),
}


class Calls:
    """Each in a transaction that is rolled back, so that what fails is not the server's commit."""

    def __init__(self, points: Points) -> None:
        self.points, self.allocations = points, points.allocations
        self.warnings: list[str] = []
        self.connect()

    def connect(self) -> None:
        self.session = self.points.server.connect()
        self.session.prepare_threshold = None
        self.session.execute("set statement_timeout = '60s'")
        self.session.add_notice_handler(lambda one: self.warnings.append(f"{one.severity}: {one.message_primary}"))
        # What is loaded with the first statements is not ours.
        self.session.execute("select pganalytics_version()")

    def run(self, call: Call, at: int, kind: int) -> str:
        """The error's SQLSTATE, or nothing; OUT_OF_MEMORY also where that ended the session."""
        self.session.execute("begin")
        if call.before:
            self.session.execute(call.before)
        self.allocations.arm(SESSION, at, kind)
        state = ""
        try:
            # The name is the target's for the one statement, not when the next one is waited for; an error takes it back.
            self.session.execute(f"set local application_name = '{SESSION}'; {call.statement}; set local application_name = ''")
        except psycopg.Error as error:
            # (of a regular expression's it has another SQLSTATE)
            state = OUT_OF_MEMORY if any(text in str(error) for text in OF_MEMORY) else error.sqlstate or str(error)
        finally:
            self.allocations.disarm()
        if self.session.broken:
            # In no function of ours, but on the way to one or to a trigger.
            assert "fmgr_security_definer" in self.allocations.where.split("pganalytics.so")[0], "the session ended"
            self.connect()
            return OUT_OF_MEMORY
        self.session.execute("rollback")
        return state

    def kinds(self, name: str) -> tuple[int, ...]:
        """OpenSSL before its version 3 ends the server by a signal where PostgreSQL's random bytes lack memory."""
        maps = pathlib.Path(f"/proc/{self.session.info.backend_pid}/maps").read_text()
        old = "libcrypto.so.1" in maps
        return (PALLOC,) if old and name == "pganalytics_create_token" else (PALLOC, MALLOC)

    def places(self, call: Call, kind: int) -> list[int]:
        assert self.run(call, 0, kind) == call.error
        count = self.allocations.calls
        step = max(1, count // FEW)
        return sorted({*range(1, min(FEW, count) + 1), *range(FEW, count + 1, step)})

    def fail(self, call: Call, at: int, kind: int) -> tuple[bool, str]:
        """Whether there is such an allocation, and what came of its failure."""
        try:
            state = self.run(call, at, kind)
            reached = self.allocations.failed > 0
            assert state in ("", OUT_OF_MEMORY, call.error) if reached else state == call.error, state
            for session in (self.session, self.points.session):
                assert session.execute("select 1").fetchone() == (1,)
            assert [one for one in self.warnings if one != HARMLESS] == []
        except Exception as error:
            raise AssertionError(
                f"{call.statement}, allocation {at} of kind {kind}: {error} {self.warnings}\n{self.allocations.where}"
            ) from error
        return reached, state


def test_all_functions_are_called() -> None:
    [script] = (CHECKOUT / "sql").glob("pganalytics--*.*.*.sql")
    assert set(re.findall(r"'MODULE_PATHNAME', '(\w+)'", script.read_text())) == set(CALLS)


@pytest.mark.time_limit(150)
def test_allocations_of_each_function_fail(world: World) -> None:
    points = Points(world)
    calls = Calls(points)
    ours = 0
    for name, call in CALLS.items():
        tried = errors = 0
        for kind in calls.kinds(name):
            for at in calls.places(call, kind):
                # There are fewer once the server has read its catalogs.
                reached, state = calls.fail(call, at, kind)
                tried += reached
                errors += reached and state == OUT_OF_MEMORY
                ours += reached and kind == MALLOC and "libstdc++" in points.allocations.where
        print(f"{name}: {tried} allocations failed, {errors} errors")
        assert errors >= FEW / 2, f"{name}: {errors} of {tried}"
    print(f"{ours} exceptions")
    assert ours >= FEW
    calls.session.close()
    points.close()
