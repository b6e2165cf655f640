"""Enrolment of `pganalytics ship` and by `pganalytics register`, with a hub that can lie, lose, refuse."""

import json
import pathlib
import subprocess
import time
import uuid
from typing import Any

import pytest

from driver import frames
from driver.authority import Authority
from driver.fixtures import fresh_ship, program, scripted, ship  # noqa: F401
from driver.scripted_hub import Answer, Request, ScriptedHub, csr_public_key
from driver.worker import RequestError, Ship

DATID = 16384


def cycle(ship: Ship) -> None:
    ship.begin_cycle()
    ship.rowset("pg_stats.tables", [], DATID, "app")
    ship.end_cycle([DATID])


def registrations(hub: ScriptedHub) -> list[Request]:
    return [one for one in list(hub.requests) if one.path == "/api/v1/collectors/register"]


def public_key_of(certificate: pathlib.Path) -> str:
    return subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], capture_output=True, text=True, check=True
    ).stdout


def test_enrolment_writes_an_identity_that_fits(fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    token = scripted.authority.token()
    collector = fresh_ship.register(scripted.console_url, token)
    [request] = registrations(scripted)
    assert request.headers["x-registration-secret"] == token
    body = request.json()
    assert body["name"] == "" and body["hostname"] and body["version"]
    identity = tmp_path / "state/identity"
    kept = json.loads((identity / "collector.json").read_text())
    assert kept["collector_id"] == collector and kept["hub_url"] == scripted.url and kept["hub_id"] == scripted.hub_id
    assert {path.name: path.stat().st_mode & 0o7777 for path in identity.iterdir()} == {
        name: 0o600 for name in ("collector.json", "key.pem", "cert.pem", "ca.pem")
    }
    key = subprocess.run(
        ["openssl", "pkey", "-in", identity / "key.pem", "-pubout"], capture_output=True, text=True, check=True
    ).stdout
    assert key == public_key_of(identity / "cert.pem") == csr_public_key(body["csr"])
    assert (identity / "ca.pem").read_text() == scripted.authority.certificate.read_text()
    secret = token.split(".")[2]
    leaked = subprocess.run(["grep", "-r", secret, tmp_path / "state"], capture_output=True, check=False)
    assert leaked.returncode == 1, "the token is kept nowhere"
    cycle(fresh_ship)
    push = scripted.wait_requests(1)[0]
    assert push.collector == collector == push.json()["collector_id"]


def test_a_lost_answer_costs_nothing(fresh_ship: Ship, scripted: ScriptedHub) -> None:
    scripted.script = lambda request: (
        Answer(close=True) if request.path.endswith("register") and len(registrations(scripted)) == 1 else None
    )
    fresh_ship.register(scripted.console_url, scripted.authority.token())
    first, second = registrations(scripted)
    assert csr_public_key(first.json()["csr"]) == csr_public_key(second.json()["csr"])


def test_a_lost_answer_is_made_good_after_a_restart(
    scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    token = scripted.authority.token()
    scripted.script = lambda request: Answer(stall=60) if len(registrations(scripted)) == 1 else None
    first = Ship(program, tmp_path / "state")
    first.ask(frames.REGISTER, scripted.console_url, token)
    scripted.wait_requests(1, "/collectors/register")
    first.process.kill()
    first.close()
    second = Ship(program, tmp_path / "state")
    second.register(scripted.console_url, token)
    second.close()
    keys = {csr_public_key(request.json()["csr"]) for request in registrations(scripted)}
    assert len(keys) == 1 and len(registrations(scripted)) == 2
    # Another token is another enrolment: another key.
    third = Ship(program, tmp_path / "state")
    third.register(scripted.console_url, scripted.authority.token())
    third.close()
    assert len({csr_public_key(request.json()["csr"]) for request in registrations(scripted)}) == 2


def test_nothing_is_said_to_a_hub_with_another_ca(fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    token = Authority(tmp_path / "another").token()
    with pytest.raises(RequestError) as error:
        fresh_ship.register(scripted.console_url, token)
    assert "certificate" in error.value.message or "CA" in error.value.message
    assert not scripted.requests


@pytest.mark.parametrize(
    "status, sqlstate, words",
    [(401, "28000", "token"), (409, "28000", "refuses"), (404, "08006", "console port"), (400, "08006", "refuses")],
)
def test_refusals_say_what_to_do(
    fresh_ship: Ship, scripted: ScriptedHub, status: int, sqlstate: str, words: str
) -> None:
    scripted.script = lambda request: Answer(status, {"code": status, "message": "no"})
    with pytest.raises(RequestError) as error:
        fresh_ship.register(scripted.console_url, scripted.authority.token())
    assert error.value.sqlstate == sqlstate
    assert words in error.value.message + error.value.hint
    assert len(registrations(scripted)) == 1
    assert fresh_ship.status()["hub"]["state"] == "not enrolled"


def test_a_busy_hub_is_asked_again(fresh_ship: Ship, scripted: ScriptedHub) -> None:
    scripted.script = lambda request: (
        Answer(503, {}, {"Retry-After": "1"}) if len(registrations(scripted)) == 1 else None
    )
    fresh_ship.register(scripted.console_url, scripted.authority.token())
    assert len(registrations(scripted)) == 2
    scripted.script = lambda request: Answer(503, {"message": "starting"}, {"Retry-After": "1"})
    began = time.monotonic()
    with pytest.raises(RequestError) as error:
        fresh_ship.register(scripted.console_url, scripted.authority.token(), seconds=4)
    assert time.monotonic() - began < 6 and "starting" in error.value.message


def other_identity(hub: ScriptedHub, request: Request, tmp_path: pathlib.Path, kind: str) -> dict[str, Any]:
    answer = hub.enrolment(request)
    csr = request.json()["csr"]
    another = Authority(tmp_path / "another")
    match kind:
        case "certificate of another key":
            certificate, _ = hub.authority.pair("x", f"URI:urn:uuid:{answer['collector_id']}", "clientAuth")
            answer["certificate"] = certificate.read_text()
        case "certificate of another collector":
            answer["certificate"] = hub.authority.sign(csr, f"URI:urn:uuid:{uuid.uuid4()}", "clientAuth")
        case "certificate of another CA":
            answer["certificate"] = another.sign(csr, f"URI:urn:uuid:{answer['collector_id']}", "clientAuth")
        case "certificate for a server":
            answer["certificate"] = hub.authority.sign(csr, f"URI:urn:uuid:{answer['collector_id']}", "serverAuth")
        case "another CA":
            answer["ca_certificate"] = another.certificate.read_text()
        case "two CAs":
            answer["ca_certificate"] += another.certificate.read_text()
        case "plain http":
            answer["hub_url"] = "http://127.0.0.1:80"
        case "no uuid":
            answer["collector_id"] = "../../etc/passwd"
        case "no certificate":
            del answer["certificate"]
        case "a number":
            answer["hub_url"] = 5
    return answer


def test_of_two_authorities_the_one_of_the_token_is_kept(
    fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path
) -> None:
    scripted.script = lambda request: (
        Answer(200, other_identity(scripted, request, tmp_path, "two CAs")) if request.path.endswith("register") else None
    )
    fresh_ship.register(scripted.console_url, scripted.authority.token())
    kept = (tmp_path / "state/identity/ca.pem").read_text()
    assert kept.split() == scripted.authority.certificate.read_text().split()


@pytest.mark.parametrize(
    "kind",
    [
        "certificate of another key", "certificate of another collector", "certificate of another CA",
        "certificate for a server", "another CA", "plain http", "no uuid", "no certificate", "a number",
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_changes_nothing(
    ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path, kind: str
) -> None:
    before = {path.name: path.read_bytes() for path in (tmp_path / "state/identity").iterdir()}
    scripted.script = lambda request: (
        Answer(200, other_identity(scripted, request, tmp_path, kind)) if request.path.endswith("register") else None
    )
    with pytest.raises(RequestError) as error:
        ship.register(scripted.console_url, scripted.authority.token())
    assert error.value.sqlstate == "08P01"
    after = {path.name: path.read_bytes() for path in (tmp_path / "state/identity").iterdir()}
    after.pop("pending-key.pem", None)
    assert after == before
    cycle(ship)
    scripted.wait_requests(1)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "", "https://user@127.0.0.1:1", "https://"])
def test_wrong_addresses_are_refused(fresh_ship: Ship, scripted: ScriptedHub, url: str) -> None:
    with pytest.raises(RequestError):
        fresh_ship.register(url, scripted.authority.token())
    with pytest.raises(RequestError) as error:
        fresh_ship.register(scripted.console_url, "pga1.x.y")
    assert error.value.sqlstate == "22023"


def test_unregister_forgets(ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    cycle(ship)
    scripted.wait_requests(1)
    ship.call(frames.UNREGISTER)
    assert ship.status()["hub"]["state"] == "not enrolled"
    assert not any((tmp_path / "state/identity").iterdir())
    cycle(ship)
    number = ship.ask(frames.STATUS)
    ship.answer(number)
    assert len(scripted.pushes()) == 1


def test_the_tool_enrols_and_a_running_server_notices(
    fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    cycle(fresh_ship)
    token = tmp_path / "token"
    token.write_text(scripted.authority.token() + "\n")
    command = [program, "register", "--state-directory", tmp_path / "state", "--url", scripted.console_url]
    done = subprocess.run(
        [*command, "--token-file", token, "--name", "db-7"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert scripted.url in done.stdout
    assert registrations(scripted)[0].json()["name"] == "db-7"
    fresh_ship.pump(lambda: fresh_ship.status()["hub"]["state"] == "enrolled")
    cycle(fresh_ship)
    push = scripted.wait_requests(1)[0].json()
    assert push["collector_id"] in done.stdout
    assert push["metrics"][0]["tables"]["full"]
    # A second one beside it, refused: says why, changes nothing.
    scripted.script = lambda request: Answer(401, {"message": "unauthorized"})
    again = subprocess.run([*command, "--token-file", token], capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "token" in again.stderr and "hint" in again.stderr
    assert subprocess.run([program, "register", "--nonsense"], capture_output=True, check=False).returncode == 2


def test_a_server_enrols_with_its_own_hub(fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    ship = fresh_ship
    assert ship.wishes == 0
    ship.send_settings(own_hub=True)
    ship.pump(lambda: ship.wishes == 1)
    number = ship.ask(frames.PUSH_NOW)
    ship.begin_cycle(frames.PUSH_NOW, number)
    ship.rowset("pg_stats.tables", [], DATID, "app")
    ship.end_cycle([DATID])
    ship.pump(lambda: ship.wishes >= 2)  # asked again, since nothing came
    ship.self_enrol(scripted.console_url, scripted.authority.token())
    ship.answer(number)  # the cycle that was read before has waited for it
    assert json.loads((tmp_path / "state/identity/collector.json").read_text())["self_enrolled"] is True
    wishes = ship.wishes
    cycle(ship)
    scripted.wait_requests(2)
    assert ship.wishes == wishes
    # The hub was set up anew and knows nobody.
    scripted.script = lambda request: Answer(401, {}) if not request.path.endswith("register") else None
    cycle(ship)
    ship.pump(lambda: ship.wishes > wishes)
    scripted.script = None
    before = ship.status()["hub"]["collector_id"]
    ship.self_enrol(scripted.console_url, scripted.authority.token())
    ship.pump(lambda: ship.status()["hub"]["collector_id"] != before)
    cycle(ship)
    ship.pump(lambda: ship.status()["hub"]["state"] == "enrolled")


def test_self_enrolment_that_fails_is_asked_for_again(fresh_ship: Ship, scripted: ScriptedHub) -> None:
    ship = fresh_ship
    ship.send_settings(own_hub=True)
    ship.pump(lambda: ship.wishes == 1)
    scripted.script = lambda request: Answer(401, {})
    ship.self_enrol(scripted.console_url, scripted.authority.token())
    number = ship.ask(frames.PUSH_NOW)
    ship.begin_cycle(frames.PUSH_NOW, number)
    ship.end_cycle([DATID])
    with pytest.raises(RequestError) as error:
        ship.answer(number)
    assert "token" in error.value.message
    ship.pump(lambda: ship.wishes >= 2)
    scripted.script = None
    ship.self_enrol(scripted.console_url, scripted.authority.token())
    ship.pump(lambda: ship.status()["hub"]["state"] == "enrolled")


def test_settings_can_name_files(
    scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    collector = str(uuid.uuid4())
    certificate, key = scripted.authority.pair("own", f"URI:urn:uuid:{collector}", "clientAuth")
    ship = Ship(
        program, tmp_path / "state", hub_url=scripted.url, ca_file=str(scripted.authority.certificate),
        cert_file=str(certificate), key_file=str(key),
    )  # fmt: skip
    try:
        cycle(ship)
        assert scripted.wait_requests(1)[0].collector == collector
        # A pair that does not match is refused, and the old one stays in force.
        _, other_key = scripted.authority.pair("other", f"URI:urn:uuid:{collector}", "clientAuth")
        good = key.read_bytes()
        key.write_bytes(other_key.read_bytes())
        ship.call(frames.RELOAD)
        cycle(ship)
        scripted.wait_requests(2)
        # A new pair is in use soon after it is there.
        second = str(uuid.uuid4())
        new_certificate, new_key = scripted.authority.pair("new", f"URI:urn:uuid:{second}", "clientAuth")
        key.write_bytes(new_key.read_bytes())
        certificate.write_bytes(new_certificate.read_bytes())
        ship.pump(lambda: ship.status()["hub"]["collector_id"] == second)
        cycle(ship)
        assert scripted.wait_requests(3)[2].collector == second
        assert good != key.read_bytes()
    finally:
        ship.close()


def test_without_a_state_directory_it_still_works_in_memory(
    scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    (tmp_path / "file").write_text("")
    ship = Ship(program, tmp_path / "file/state", own_hub=True)
    try:
        with pytest.raises(RequestError) as error:
            ship.register(scripted.console_url, scripted.authority.token())
        assert "state directory" in error.value.message
        ship.self_enrol(scripted.console_url, scripted.authority.token())
        ship.pump(lambda: ship.status()["hub"]["state"] == "enrolled")
        assert ship.status()["state_directory"]["state"] == "not usable"
        cycle(ship)
        scripted.wait_requests(1)
    finally:
        ship.close()
