"""The harness itself: a check that never complains would make every other test worth less."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import uuid

import pytest

from harness import World, checks, ledger, processes, scorecard, wait_until
from harness.installation import SANITIZED
from harness.server import Server
from harness.waiting import Deadline

CONFTEST = pathlib.Path(__file__).with_name("conftest.py")
NOTHING = {"shared_preload_libraries": ""}


def test_server_lives_and_ends(world: World) -> None:
    server = world.server(settings=NOTHING)
    assert server.value("select 1") == 1
    server.set({"work_mem": "5MB"})
    wait_until(lambda: server.value("show work_mem") == "5MB", 10, "reload")
    server.restart()
    assert server.value("show work_mem") == "5MB"
    assert server.value("show data_directory") == str(server.data)
    assert server.close() == []
    assert not server.running()


def test_standby_streams_and_promotes(world: World) -> None:
    primary = world.server("primary", settings=NOTHING)
    standby = world.standby(primary, "standby")
    primary.execute("create table t as select 1 as x")
    wait_until(lambda: standby.value("select to_regclass('t') is not null"), 10, "t on the standby")
    assert standby.value("select pg_is_in_recovery()")
    standby.promote()
    wait_until(lambda: not standby.value("select pg_is_in_recovery()"), 10, "promotion")


def crash_a_backend(server: Server) -> None:
    with server.connect() as connection:
        os.kill(connection.info.backend_pid, signal.SIGSEGV)
        wait_until(lambda: "reinitializing" in server.log(), 10, "crash restart")


def test_crash_is_noticed(world: World) -> None:
    server = world.server(settings=NOTHING | {"restart_after_crash": "on"})
    crash_a_backend(server)
    complaints = server.close()
    assert server.unexpected_restarts() == 1
    # (a sanitizer takes the signal, says where, and aborts)
    number = 6 if SANITIZED else 11
    assert any(f"was terminated by signal {number}" in complaint for complaint in complaints)
    server.expect_crash()
    assert server.close() == []


def test_last_words_are_noticed(world: World) -> None:
    server = world.server(settings=NOTHING)
    server.state.mkdir()
    (server.state / "ship.last_words").write_text("")
    assert server.close() == []
    (server.state / "ship.last_words").write_text("died")
    assert server.close() == [f"{server.name}: ship.last_words: died"]
    (server.state / "ship.last_words").unlink()


def test_what_is_lost_or_stored_twice_is_noticed(world: World) -> None:
    hub = world.hub()
    server = world.server("watched", {"pganalytics.collect_interval": "1s"})
    hub.enrol(server)
    wait_until(lambda: hub.stored("pganalytics_collector", "watched"), 30, "a cycle at the hub")
    pid = server.programs()["ship"][0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.programs().get("ship", [pid]) != [pid], 20, "the program is started again")
    runs = "select count(distinct incarnation) from pganalytics.ledger join pganalytics.collectors using (collector_id)"
    wait_until(lambda: hub.value(f"{runs} where name = 'watched'") == 2, 30, "a cycle of the second run")
    assert server.close() == hub.close() == []
    ids = ledger.stored(hub)
    assert ids and ledger.complaints([server, hub]) == []
    report = ledger.check(server, ids)
    assert "2 runs, 1 without an end" in report, report
    assert re.search(r"^others +[1-9]", report, re.M), "the hub's own"
    journal = (server.state / "journal").read_text()
    line = [one for one in journal.splitlines() if one.startswith("produced")][-1]  # of the run that ended
    last = line.split()[1]
    assert f"doubled {last}" in ledger.check(server, ids + last + "\n")
    lost = ledger.check(server, ids.replace(last + "\n", ""))
    assert f"missing {last}" in lost and ledger.BALANCED not in lost
    with open(server.state / "journal", "a", encoding="utf-8") as file:
        file.write(line.replace(last, str(uuid.uuid4())) + "\n")
    (complaint,) = ledger.complaints([server, hub])
    assert "NOT in balance" in complaint and complaint.startswith("watched: ")
    server.expect_no_ledger("it was added to above")
    assert ledger.complaints([server, hub]) == []


def test_the_ledger_takes_no_other_file_for_a_journal(world: World, tmp_path: pathlib.Path) -> None:
    server = world.server(start=False)

    def told(*arguments: object) -> tuple[int, str]:
        done = server.program("ledger", *arguments, check=False, input="")
        return done.returncode, done.stderr

    ledger.make_journal(server)
    journal = server.state / "journal"
    assert told() == told("--state") and told()[0] == 2
    assert told("--state", server.state)[0] == 0, "nothing was made yet"
    assert told("--state", server.state, "--hub", journal)[0] == 0
    assert told("--state", server.state, "--kills", "x")[0] == 2
    journal.write_text("produced\n" * 9)
    assert told("--state", server.state) == (2, f'pganalytics: error: "{journal}" is no journal: line 1\n')
    assert told("--state", server.state, "--hub", journal)[0] == 2
    journal.write_text("x" * 1_000_000)
    assert "too long" in told("--state", server.state)[1]
    journal.unlink()
    assert told("--state", server.state)[0] == 2
    os.mkfifo(journal)
    assert "not a regular file" in told("--state", server.state)[1]
    journal.unlink()
    journal.symlink_to("/etc/passwd")
    assert told("--state", server.state)[0] == 2
    journal.unlink()


def test_what_is_left_running_is_noticed_and_ended(world: World) -> None:
    server = world.server(settings=NOTHING)
    stray = "copy (select pg_sleep(600)) to program 'setsid sleep 600 >/dev/null 2>&1 & cat >/dev/null'"
    session = server.connect()
    session.pgconn.send_query(stray.encode())

    def sleepers() -> list[processes.Process]:
        below = processes.descendants(server.postmaster_pid())
        return [one.process for one in below if one.name == "sleep"]

    (sleeper,) = wait_until(sleepers, 10, "the stray process")
    (complaint,) = server.close()
    assert complaint == f"{server.name}: left running: {sleeper.pid} sleep 600"
    wait_until(lambda: not processes.alive(sleeper), 5, "the stray process is ended")
    session.close()


def test_the_scorecard_adds_up() -> None:
    printed = 'scorecard: {"held": 2, "kills": 3, "kills_kinds": 2}\n...scorecard: {"held": 5, "disk": 1, "disk_kinds": 1}'
    total = scorecard.sums(scorecard.scores(printed))
    assert total == {"held": 7, "kills": 3, "kills_kinds": 2, "disk": 1, "disk_kinds": 1}
    assert scorecard.clean(total) and not scorecard.clean(total | {"lost": 1}) and not scorecard.clean(total | {"secrets": 1})
    line = scorecard.text(total, 1.5)
    assert "held 7 pushes" in line and "for 1.50 hours" in line and "4 faults of 3 kinds (kills 3, disk 1)" in line


def test_the_scorecard_wants_the_kinds_of_faults(capsys: pytest.CaptureFixture[str]) -> None:
    for group in scorecard.GROUPS:
        with pytest.raises(AssertionError, match=f"of how many kinds were these: {group}"):
            scorecard.score(**{group: 3, "held": 1})
        scorecard.score(**{group: 3, f"{group}_kinds": 2})
        scorecard.score(**{group: 0})
    told = scorecard.sums(scorecard.scores(capsys.readouterr().out))
    assert all(told[group] == 3 and told[f"{group}_kinds"] == 2 for group in scorecard.GROUPS)


def test_the_scorecard_tells_what_no_ledger_explains(capsys: pytest.CaptureFixture[str]) -> None:
    good = (
        "produced             9  3 runs, 1 without an end\nin parts            10\nstored               6  1 of them are in"
        " the spool, too\nspooled              2\ndeclared lost        2  too old 2\nin flight            1\nlost"
        "                 0\ndoubled              0\ndeclared twice       1  declared lost, but stored or in the spool\n"
        "others               4  stored, but not of this journal\nthe ledger is in balance\n"
    )
    of = ledger.figures(f"server: {good}")
    assert (of["produced"], of["in parts"], of["stored"], of["declared twice"], of["others"]) == (9, 10, 6, 1, 4)
    assert ledger.unexplained(good) == ledger.unexplained(f"server: {good}") == 0
    assert ledger.unexplained(good.replace("10\n", "12\n")) == 2, "in no class"
    assert ledger.unexplained(good.replace("1 without", "0 without")) == 1, "no kill that explains it"
    assert ledger.unexplained("pganalytics: error: no journal") == 0
    scorecard.score_wrong(restarts=0, unexplained=0)
    assert capsys.readouterr().out == ""
    scorecard.score_wrong(restarts=2, unexplained=0)
    total = scorecard.sums(scorecard.scores(capsys.readouterr().out))
    assert total == {"restarts": 2} and not scorecard.clean(total)
    assert "unexplained 3, server restarts 2" in scorecard.text(total | {"unexplained": 3}, 1)


def test_crash_restarts_are_told_by_their_cause() -> None:
    def crash(how: str) -> str:
        return f"LOG:  server process (PID 1) {how}\nDETAIL:  x\nLOG:  terminating any other active server processes\n"

    killed, broken = crash("was terminated by signal 9: Killed"), crash("was terminated by signal 11: Segmentation fault")
    log = killed + "LOG:  all server processes terminated; reinitializing\n" + broken + crash("exited with exit code 1")
    assert (checks.crash_restarts(log), checks.crash_restarts(log, ("9", "5"))) == (3, 2)
    # The last end before it is its cause.
    assert checks.crash_restarts("worker (PID 2) was terminated by signal 9\n" + crash("exited with exit code 2"), ("9",)) == 1
    assert checks.crash_restarts(killed, ("99", "1")) == 1 and checks.crash_restarts("") == 0


def test_wait_until_says_what_it_waited_for() -> None:
    with pytest.raises(AssertionError, match="the moon"):
        wait_until(lambda: False, 0.1, "the moon")


def loaded(monkeypatch: pytest.MonkeyPatch, a_core: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (a_core * len(os.sched_getaffinity(0)), 0.0, 0.0))


@pytest.mark.parametrize(("load", "times"), [(0.0, 1), (1.5, 1), (2.0, 2), (3.5, 3.5), (40.0, 4)])
def test_a_deadline_stretches_on_an_overloaded_machine_only(
    monkeypatch: pytest.MonkeyPatch, load: float, times: float
) -> None:
    loaded(monkeypatch, load)
    began = time.monotonic()
    with pytest.raises(AssertionError, match="not within 0.2 s"):
        wait_until(lambda: False, 0.2, every=0.01)
    assert time.monotonic() - began >= 0.2 * times
    deadline = Deadline(100)
    assert 90 < deadline.left() <= 100, "as it was said, until it has passed"
    deadline.began -= 101
    assert deadline.left() == pytest.approx(100 * times - 101, abs=5)


SLOW = """
import os, threading, pytest
os.getloadavg = lambda: (%r * len(os.sched_getaffinity(0)), 0.0, 0.0)

@pytest.mark.time_limit(1)
def test_slow():
    threading.Event().wait(2)
"""


@pytest.mark.parametrize(("load", "budget", "passes"), [(1.0, 60, False), (4.0, 60, True), (4.0, 0.4, False)])
def test_so_does_the_time_limit_of_a_test_within_the_budget(
    tmp_path: pathlib.Path, load: float, budget: float, passes: bool
) -> None:
    (tmp_path / "test_slow.py").write_text(SLOW % load)
    (tmp_path / "conftest.py").write_text("from e2e_conftest import *\n")
    (tmp_path / "e2e_conftest.py").symlink_to(CONFTEST)
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--budget", str(budget)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PGANALYTICS_RESULT")}
    environment["PYTHONPATH"] = str(CONFTEST.parent)
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode == 0) is passes, done.stdout
    assert passes or "OutOfTime" in done.stdout
