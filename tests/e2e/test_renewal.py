"""Certificates of collectors that renew themselves: at the hub's door with openssl and curl as the collector, in
`pganalytics ship` with a hub that does what the test says, and both real ones together."""

import json
import os
import pathlib
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from collecting import status
from driver import frames
from driver.authority import _openssl
from driver.fixtures import fresh_ship, program, scripted
from driver.scripted_hub import Answer, Request, ScriptedHub
from driver.worker import Ship
from harness import Hub, wait_until
from harness.curl_collector import CurlCollector, openssl
from harness.hub import Answer as CurlAnswer
from harness.world import World

__all__ = ["fresh_ship", "program", "scripted"]


# --- the hub's door


class Renewing(CurlCollector):
    """`next_key` asks for a certificate in place of the one in force."""

    def next_key(self) -> pathlib.Path:
        key = self.folder / f"next-{uuid.uuid4().hex[:8]}.pem"
        self.make_key(key)
        return key

    def renew(self, key: pathlib.Path | None = None, body: str | None = None) -> CurlAnswer:
        csr = openssl("req", "-new", "-key", key or self.next_key(), "-subj", "/CN=somebody else")

        def answered() -> CurlAnswer | None:
            answer = self.hub.request(
                "/api/v1/collectors/renew-certificate", port=self.hub.collector_port, cert=self.cert, key=self.key,
                headers={"Content-Type": "application/json"}, body=body or json.dumps({"csr": csr}),
            )  # fmt: skip
            return None if answer.status == 429 else answer

        return wait_until(answered, 60, "an answer that is not 429", every=1)

    def use(self, answer: CurlAnswer, key: pathlib.Path) -> None:
        assert answer.status == 200, answer
        self.cert = self.folder / f"{key.stem}.crt"
        self.cert.write_text(answer.json()["certificate"])
        self.key = key

    def is_let_in(self) -> bool:
        answer = self.refresh()
        assert answer.status in (200, 401), answer
        return answer.status == 200


def alarms(hub: Hub) -> tuple[int, str]:
    row = status(hub)["hub_worker", "alarms"]
    return int(row["value"]), row["note"] or ""


def certificate_facts(path: pathlib.Path) -> str:
    return openssl("x509", "-in", path, "-noout", "-ext", "subjectAltName,extendedKeyUsage,basicConstraints", "-pubkey")


@pytest.fixture
def renewing(module_hub: Hub, module_world: World, request: pytest.FixtureRequest) -> Renewing:
    name = request.node.name
    one = Renewing(module_hub, module_world.path(name), name)
    one.enrol()
    return one


def test_the_next_certificate(renewing: Renewing) -> None:
    hub, first = renewing.hub, renewing.cert
    key = renewing.next_key()
    answer = renewing.renew(key)
    old_key = renewing.key
    renewing.use(answer, key)
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", hub.ca_file, renewing.cert)
    facts = certificate_facts(renewing.cert)
    assert f"URI:urn:uuid:{renewing.collector_id}" in facts and "somebody else" not in facts
    assert openssl("pkey", "-in", key, "-pubout") in facts
    assert openssl("pkey", "-in", old_key, "-pubout") not in facts
    assert answer.json()["collector_id"] == renewing.collector_id and "token" not in answer.json()
    # Till the new one is used the old one is as good; then for an hour.
    old = Renewing(hub, renewing.folder, renewing.name)
    old.cert, old.key = first, old_key
    assert old.is_let_in()
    ends = "select ended_at - now() from pganalytics.certificates where collector_id = %s order by issued_at"
    assert hub.query(ends, (renewing.collector_id,)) == [(None,), (None,)]
    assert renewing.is_let_in()
    wait_until(lambda: hub.query(ends, (renewing.collector_id,))[0][0] is not None, 10, "the old one ends")
    (left,), (new,) = hub.query(ends, (renewing.collector_id,))
    assert 3500 < left.total_seconds() <= 3600 and new is None
    assert old.is_let_in()
    hub.execute("update pganalytics.certificates set ended_at = now() where ended_at is not null")
    hub.reload()
    wait_until(lambda: not old.is_let_in(), 20, "the old one is refused", every=1)
    assert old.renew().status == 401
    assert renewing.is_let_in()
    events = "select count(*) from pganalytics.audit where event = 'certificate renewed' and name = %s"
    assert hub.value(events, (renewing.name,)) == 1 and alarms(hub) == (0, "")


def test_a_lost_answer_is_given_again(renewing: Renewing) -> None:
    key = renewing.next_key()
    answers = [renewing.renew(key) for _ in range(3)]
    assert [one.status for one in answers] == [200] * 3, answers
    assert len({one.json()["certificate"] for one in answers}) == 1
    count = "select count(*) from pganalytics.certificates where collector_id = %s"
    assert renewing.hub.value(count, (renewing.collector_id,)) == 2


def test_two_keys_for_one_name_are_an_alarm(renewing: Renewing) -> None:
    hub, first, first_key = renewing.hub, renewing.cert, renewing.key
    key = renewing.next_key()
    renewing.use(renewing.renew(key), key)
    thief = Renewing(hub, renewing.folder, renewing.name)
    thief.cert, thief.key = first, first_key
    answer = thief.renew()
    assert answer.status == 409 and "another key" in answer.json()["message"], answer
    assert "certificate" not in answer.json()
    count, note = wait_until(lambda: alarms(hub)[0] and alarms(hub), 20, "an alarm in the status")
    assert count == 1 and renewing.name in note and "two servers" in note
    (event,) = hub.rows("select * from pganalytics.audit where event = 'two keys for one server'")
    assert event["name"] == renewing.name and event["address"] == "127.0.0.1"
    assert event["details"]["shown"] == openssl("x509", "-in", first, "-noout", "-serial").split("=")[1].strip().lower()
    # Said again it is no other event; who renewed first goes on.
    assert thief.renew().status == 409
    assert hub.value("select count(*) from pganalytics.audit where event = 'two keys for one server'") == 1
    assert renewing.is_let_in()
    # A new enrolment ends it, and with it both.
    anew = Renewing(hub, hub.folder / "anew", renewing.name)
    anew.enrol()
    assert anew.collector_id == renewing.collector_id and anew.is_let_in()
    wait_until(lambda: alarms(hub)[0] == 0, 20, "no alarm any more")
    wait_until(lambda: not renewing.is_let_in() and not thief.is_let_in(), 20, "both are out", every=1)


def test_who_may_not_renew(renewing: Renewing) -> None:
    hub = renewing.hub
    answer = renewing.renew(renewing.key)
    assert answer.status == 400 and "new key" in answer.json()["message"], answer
    # Six in a minute; what bodies may be is the same as at enrolment.
    assert renewing.renew(body='{"csr": "x"}').status == 400
    # Enrolled again: what was issued before is not to be renewed.
    anew = Renewing(hub, hub.folder / "again", renewing.name)
    anew.enrol()
    answer = renewing.renew()
    assert answer.status == 409 and "enrolled again" in answer.json()["message"], answer
    assert alarms(hub)[0] == 0
    # Revoked.
    key = anew.next_key()
    anew.use(anew.renew(key), key)
    hub.execute("select pganalytics_revoke(%s, 'test')", (renewing.name,))
    assert anew.renew().status == 401
    before = hub.value("select count(*) from pganalytics.certificates where collector_id = %s", (anew.collector_id,))
    hub.reload()
    wait_until(lambda: not anew.is_let_in(), 20, "it is out", every=1)
    assert anew.renew().status == 401
    after = hub.value("select count(*) from pganalytics.certificates where collector_id = %s", (anew.collector_id,))
    assert (before, after) == (3, 3)


# --- the collector's side


DATID = 16384
# Of a certificate that is to be renewed at once, and still good for a while.
DUE = (-160.0, 40.0)


def cycle(ship: Ship) -> None:
    ship.begin_cycle()
    ship.rowset("pg_stats.tables", [], DATID, "app")
    ship.end_cycle([DATID])


def renewal_requests(hub: ScriptedHub) -> list[Request]:
    return [one for one in list(hub.requests) if one.path.endswith("/renew-certificate")]


def pair_of(state: pathlib.Path) -> tuple[str, str]:
    """Serial of the certificate on disk; openssl says that its key is beside it."""
    identity = state / "identity"
    own = _openssl("x509", "-in", str(identity / "cert.pem"), "-noout", "-pubkey")
    assert own == _openssl("pkey", "-in", str(identity / "key.pem"), "-pubout")
    serial = _openssl("x509", "-in", str(identity / "cert.pem"), "-noout", "-serial").decode()
    return serial.strip().split("=")[1], own.decode()


def dates(state: pathlib.Path) -> tuple[float, float]:
    import ssl

    text = _openssl("x509", "-in", str(state / "identity/cert.pem"), "-noout", "-dates").decode()
    begin, end = (line.split("=")[1] for line in text.strip().splitlines())
    return ssl.cert_time_to_seconds(begin), ssl.cert_time_to_seconds(end)


@pytest.fixture
def due_ship(fresh_ship: Ship, scripted: ScriptedHub) -> Ship:
    scripted.script = lambda request: Answer(503) if request.path.endswith("/renew-certificate") else None
    scripted.first_life = DUE
    fresh_ship.register(scripted.console_url, scripted.authority.token())
    return fresh_ship


def test_renewed_in_time_and_nothing_lost(fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    ship, state = fresh_ship, tmp_path / "state"
    scripted.first_life = (0, 9)
    ship.register(scripted.console_url, scripted.authority.token())
    begin, end = dates(state)
    first, _ = pair_of(state)
    asked: list[float] = []

    def script(request: Request) -> Answer | None:
        if request.path.endswith("/renew-certificate"):
            asked.append(time.time())
        return None

    scripted.script = script
    cycles = 0

    def renewed() -> bool:
        nonlocal cycles
        cycle(ship)
        cycles += 1
        scripted.wait_requests(cycles)
        ship.pump(lambda: True, 1)
        return len(scripted.renewals) == 1 and pair_of(state)[0] != first

    wait_until(renewed, 20, "another certificate", every=0.3)
    # Two thirds of the life, a tenth more at most; the machine may be slow, the certificate was not over.
    assert begin + (end - begin) * 2 / 3 <= asked[0] + 1 and asked[0] < end
    for _ in range(2):
        cycle(ship)
        cycles += 1
    # One may come twice: its answer was on the connection that ended with the old certificate.
    wait_until(lambda: {one.json()["sequence"] for one in scripted.pushes()} == set(range(1, cycles + 1)), 20, "all of them")
    serials = [one.serial for one in scripted.pushes()]
    second, key = pair_of(state)
    assert serials[0] == first and serials[-1] == second and set(serials) == {first, second}
    assert serials == sorted(serials, key=lambda serial: serial != first), "the old one was used after the new one"
    assert key in scripted.renewals and renewal_requests(scripted)[0].serial == first
    assert not (state / "identity/renewal-key.pem").exists()
    assert "BEGIN" not in json.dumps(ship.logs)
    ship.pump(lambda: any(line["cause"] == "certificate renewed" for line in ship.logs))
    report = ship.status()["hub"]
    assert report["certificate_expires_at"][:10] == time.strftime("%Y-%m-%d", time.gmtime(dates(state)[1]))
    assert report["certificate_renews_at"] < report["certificate_expires_at"]


@pytest.mark.parametrize("when", ["asked", "answered"])
def test_killed_while_renewing(
    when: str, due_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path
) -> None:
    ship, state = due_ship, tmp_path / "state"
    first, _ = pair_of(state)
    killed = threading.Event()

    def script(request: Request) -> Answer | None:
        if request.path.endswith("/renew-certificate") and not killed.is_set():
            answer = Answer(200, scripted.renewal(request))
            if when == "asked":
                os.kill(ship.process.pid, signal.SIGKILL)
            else:
                threading.Timer(0.002, lambda: os.kill(ship.process.pid, signal.SIGKILL)).start()
            killed.set()
            return answer
        return None

    scripted.script = script
    cycle(ship)
    wait_until(killed.is_set, 20, "the renewal asked for")
    ship.process.wait(10)
    serial, _ = pair_of(state)
    assert serial == first or when == "answered"
    asked = len(renewal_requests(scripted))
    again = Ship(program, state)
    try:
        cycle(again)
        wait_until(lambda: pair_of(state)[0] != first, 20, "another certificate")
        cycle(again)
        pushes = len(scripted.pushes())
        wait_until(lambda: scripted.pushes()[-1].serial == pair_of(state)[0], 20, f"its use, after {pushes} pushes")
        # The same key was asked for again: one certificate, whatever was lost.
        assert len(scripted.renewals) == 1
        assert len(renewal_requests(scripted)) == asked + (serial == first)
    finally:
        again.close()
        ship.socket.close()


def test_answers_that_are_no_certificates(due_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    ship, state = due_ship, tmp_path / "state"
    first, _ = pair_of(state)
    from driver.authority import Authority

    other_ca = Authority(tmp_path / "other")

    def wrong(request: Request, number: int) -> Answer:
        csr, me = request.json()["csr"], f"URI:urn:uuid:{request.collector}"
        own = scripted.authority.certificate.read_text()
        bodies = [
            {"certificate": scripted.authority.sign(csr, f"URI:urn:uuid:{uuid.uuid4()}", "clientAuth")},
            {"certificate": other_ca.sign(csr, me, "clientAuth"), "ca_certificate": other_ca.certificate.read_text()},
            {"certificate": (state / "identity/cert.pem").read_text()},
            {"certificate": own},
            {"certificate": 1},
        ]
        return Answer(200, bodies[number % len(bodies)])

    scripted.script = lambda request: (
        wrong(request, len(renewal_requests(scripted)) - 1) if request.path.endswith("/renew-certificate") else None
    )
    cycle(ship)
    ship.pump(lambda: any("renewal" in line["message"] for line in ship.logs), 20)
    assert pair_of(state)[0] == first
    scripted.script = None
    wait_until(lambda: ship.status() and pair_of(state)[0] != first, 20, "the next try")


def test_refused_because_of_a_copy(due_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    ship = due_ship
    text = "this certificate was renewed before, with another key"
    scripted.script = lambda request: (
        Answer(409, {"message": text}) if request.path.endswith("/renew-certificate") else None
    )
    cycle(ship)
    ship.pump(lambda: any(text in line["message"] for line in ship.logs), 20)
    rows = frames.decode_rows(["text"] * 5, ship.call(frames.STATUS))
    (note,) = [row[4] for row in rows if row[:2] == ["hub", "certificate_renews_at"]]
    assert text in note and "copy" in note and "pganalytics_register()" in note
    # An hour of peace.
    cycle(ship)
    scripted.wait_requests(2)
    assert len(renewal_requests(scripted)) == 1


def test_a_given_pair_is_watched_not_renewed(scripted: ScriptedHub, tmp_path: pathlib.Path, program: pathlib.Path) -> None:
    me = uuid.uuid4()
    certificate, key = scripted.authority.pair("own", f"URI:urn:uuid:{me}", "clientAuth")

    def replace(life: tuple[float, float]) -> str:
        csr = _openssl("req", "-new", "-key", str(key), "-subj", "/CN=own").decode()
        new = scripted.authority.sign(csr, f"URI:urn:uuid:{me}", "clientAuth", life=life)
        certificate.write_text(new + scripted.authority.certificate.read_text())
        return _openssl("x509", "-noout", "-serial", data=new.encode()).decode().strip().split("=")[1]

    first = replace(DUE)
    ship = Ship(
        program, tmp_path / "state", hub_url=scripted.url, ca_file=str(scripted.authority.certificate),
        cert_file=str(certificate), key_file=str(key),
    )  # fmt: skip
    try:
        cycle(ship)
        assert scripted.wait_requests(1)[0].serial == first
        ship.pump(lambda: any("expires at" in line["message"] for line in ship.logs), 20)
        assert "cert_file" in ship.logs[-1]["hint"]
        assert ship.status()["hub"]["certificate_renews_at"] == "never"
        second = replace((-60, 3600))
        cycle(ship)
        wait_until(lambda: scripted.pushes()[-1].serial == second or cycle(ship), 20, "the new one in use", every=0.5)
        assert renewal_requests(scripted) == []
    finally:
        ship.close()


# --- both


def served(hub: Hub) -> str:
    text = openssl("s_client", "-connect", f"localhost:{hub.console_port}", "-servername", "localhost", input=b"")
    return openssl("x509", "-noout", "-serial", input=text[text.index("-----BEGIN") :].encode())


@pytest.fixture
def short_hub(world: World) -> Iterator[Hub]:
    yield world.hub("hub", {"pganalytics.hub_certificate_life": "16s"})


def test_a_hub_and_its_collector_renew_by_themselves(short_hub: Hub, world: World) -> None:
    hub = short_hub
    renewals = "select count(*) from pganalytics.audit where event = 'certificate renewed'"
    last_push = "select coalesce(bool_or(last_push_at > now() - interval '5 s'), false) from pganalytics.collectors"
    wait_until(lambda: hub.value(last_push), 30, "pushes")
    before = served(hub)
    # A copy of the state directory, as a backup or a thief would have it.
    copied = world.path("copied")
    shutil.copytree(hub.state / "identity", copied)
    wait_until(lambda: hub.value(renewals) >= 1, 40, "a renewal", every=0.5)
    wait_until(lambda: served(hub) != before, 40, "the hub's own renewal", every=0.5)
    used = "select count(*) from pganalytics.certificates where first_used_at is not null"
    wait_until(lambda: hub.value(used) >= 1, 20, "the use of the new one")
    wait_until(lambda: hub.value(last_push), 20, "pushes")
    rows = status(hub)
    assert "renews it by itself" in rows["hub_worker", "certificate_expires_at"]["note"]
    assert "By itself" in rows["hub", "certificate_renews_at"]["note"]
    # Not a number is missing, and nobody enrolled a second time.
    gaps = (
        "select count(*) from (select sequence - lag(sequence) over (partition by incarnation order by sequence) as step"
        " from pganalytics.ledger) s where step <> 1"
    )
    assert hub.value(gaps) == 0
    assert hub.value("select max(generation) from pganalytics.collectors") == 1
    assert hub.value("select count(distinct incarnation) from pganalytics.ledger") == 1
    # The copy: its certificate was renewed already.
    csr = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                  world.path("thief.pem"), "-subj", "/CN=x")  # fmt: skip
    assert hub.request(
        "/api/v1/collectors/renew-certificate", port=hub.collector_port, cert=copied / "cert.pem", key=copied / "key.pem",
        headers={"Content-Type": "application/json"}, body=json.dumps({"csr": csr}),
    ).status in (0, 401, 409)  # fmt: skip
