"""The programs' sandboxes, as the kernel tells of real ones under a real server that does all its work in them. What the
sandbox forbids is tried in tests/unit/host/sandbox_test.cpp, by processes that enter the same one."""

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from collecting import status, wait_cycles
from harness import Hub, Server, World, wait_until
from harness.installation import SANITIZED


def state_of(server: Server) -> pathlib.Path:
    return pathlib.Path(f"{server.data}.pganalytics")


def process_status(pid: int) -> dict[str, str]:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def limits(pid: int) -> dict[str, list[str]]:
    lines = pathlib.Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split() for line in lines}


def needs_landlock(server: Server) -> None:
    told = server.value("select value from pganalytics_status() where component = 'sandbox' and name = 'landlock'")
    if told == "off":
        pytest.skip("this kernel has no Landlock; take Linux 5.19 or later, with landlock in /sys/kernel/security/lsm")


@pytest.fixture(scope="module")
def hub(module_world: World) -> Iterator[Hub]:
    made = module_world.hub("hub", {"pganalytics.collect_interval": "1s"})
    if b".gcda" in (made.installation.bindir / "pganalytics").read_bytes():
        pytest.skip("a build that counts its lines has no sandbox")
    wait_cycles(made, 2)
    needs_landlock(made)
    yield made


def test_programs_are_confined(hub: Hub) -> None:
    assert sorted(set(hub.programs()) & {"ship", "serve", "proc"}) == ["proc", "serve", "ship"]
    for name in ("ship", "serve", "proc"):
        (pid,) = hub.programs()[name]
        told = process_status(pid)
        assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2"), name
        # Helper threads of a program are under the same filter.
        for thread in pathlib.Path(f"/proc/{pid}/task").iterdir():
            assert "Seccomp:\t2" in (thread / "status").read_text()
        assert limits(pid)["Max core file size"][:2] == ["0", "0"]
        environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert {one.split(b"=")[0] for one in environment if one} <= {b"PATH", b"LC_ALL"}
        # Not dumpable: /proc/PID is root's, not the server's user's.
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0
    for name in ("ship", "serve"):
        (pid,) = hub.programs()[name]
        assert limits(pid)["Max data size"][0] != "unlimited" or SANITIZED
        opened = [os.readlink(one) for one in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        allowed = ("socket:", "pipe:", "anon_inode:", "/dev/null", str(state_of(hub)))
        assert all(one.startswith(allowed) for one in opened), opened
        assert not [one for one in opened if one.endswith(("ca.key", "master.key"))]
    (helper,) = hub.programs()["proc"]
    opened = [os.readlink(one) for one in pathlib.Path(f"/proc/{helper}/fd").iterdir()]
    assert sorted(one.split(":")[0] for one in opened) == ["/dev/null"] * 3 + ["socket"]


def test_status_tells_the_layers(hub: Hub) -> None:
    rows = {
        (row["component"], row["name"]): (row["value"], row["note"])
        for row in hub.rows("select * from pganalytics_status()")
    }
    assert rows["sandbox", "no_new_privileges"] == ("on", None)
    assert rows["sandbox", "system_call_filter"] == ("on", None)
    value, note = rows["sandbox", "landlock"]
    assert (value.startswith("on, version ") and note is None) or (value == "off" and note)
    front = rows["hub_front", "sandbox"][0]
    assert front.startswith("no_new_privileges on, landlock o") and front.endswith("system_call_filter on")


def test_status_tells_the_libraries(hub: Hub) -> None:
    """Their versions, as the curl program and the names of the files say."""
    said = str(status(hub)["program", "libraries"]["value"])
    curl = subprocess.run(["curl", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in ("libcurl", "OpenSSL", "zlib"):
        found = re.search(rf"\b{name}/([\w.]+)", curl)
        assert found and re.search(rf"\b{name}[ /]{re.escape(found[1])}\b", said), (name, said)
    (ship,) = hub.programs()["ship"]
    filter_file = re.search(r"/libseccomp\.so\.(\S+)", pathlib.Path(f"/proc/{ship}/maps").read_text())
    assert filter_file and f"libseccomp {filter_file[1]}" in said
    assert re.search(r"\bISA-L \d+\.\d+\.\d+", said)


def test_figures_of_processes_come_through_the_helper(hub: Hub) -> None:
    def written() -> int:
        return int(
            hub.value(
                "select coalesce(max(write_bytes), 0) from pganalytics.sysstat_processes"
                " where backend_type = 'checkpointer'"
            )
        )

    before = written()
    hub.execute("create table if not exists filler as select g, repeat('x', 500) t from generate_series(1, 20000) g")
    hub.execute("checkpoint")
    wait_until(lambda: written() > before, 30, "what the checkpointer wrote arrives")
    assert not [one for one in state_of(hub).glob("*.last_words") if one.stat().st_size]


def test_what_only_a_new_process_reaches_starts_one(world: World) -> None:
    """The hub's pair moves to files that its front could not open; so does the CA certificate ship is given."""
    hub = world.hub("moving", {"pganalytics.collect_interval": "1s"})
    wait_cycles(hub, 2)
    needs_landlock(hub)
    (front,), (ship,) = hub.programs()["serve"], hub.programs()["ship"]
    given = hub.folder / "given"
    shutil.copytree(state_of(hub) / "hub", given)
    for one in [given, *given.iterdir()]:
        hub.installation.own(one)
    (given / "ca.key").unlink()
    hub.set({"pganalytics.hub_cert_file": str(given / "server.crt"), "pganalytics.hub_key_file": str(given / "server.key")})
    wait_until(lambda: hub.programs().get("serve", [front]) != [front], 30, "another front")
    hub.set({"pganalytics.ca_file": str(given / "ca.crt")})
    wait_until(lambda: hub.programs().get("ship", [ship]) != [ship], 30, "another ship")
    before = hub.value("select count(*) from pganalytics.ledger")
    wait_until(lambda: hub.value("select count(*) from pganalytics.ledger") > before + 1, 60, "pushes arrive")
