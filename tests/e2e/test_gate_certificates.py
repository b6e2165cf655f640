"""Certificates that must let nobody in, made byte by byte and signed by the real hub's own CA key wherever that makes
them worse: no collector route runs, whatever is registered under their fingerprint. Python's ssl is the client."""

import hashlib
import pathlib
import re
import socket
import ssl
import subprocess
import time
import uuid

import psycopg
import pytest

from harness import Hub, World, wait_until
from harness.bad_certificates import Maker, Shown, odd_leaves, wrong_chains, wrong_names, wrong_parts
from harness.curl_collector import CurlCollector
from harness.der import CLIENT, Draft
from harness.pki import Pair
from harness.raw_http import Connection, Talker, push
from harness.scorecard import score

REFUSAL = b'{"code":401,"message":"certificate or token not accepted"}'
REFRESH = (
    b"POST /api/v1/collectors/refresh-token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class NotLoaded(Exception):
    """A certificate that Python's ssl refuses to show."""


class Bench(Maker):
    """A hub and its CA's key."""

    def __init__(self, hub: Hub, folder: pathlib.Path) -> None:
        super().__init__(Pair(hub.ca_file, hub.state / "hub" / "ca.key"), folder)
        self.hub = hub
        self.server = Pair(hub.state / "hub" / "server.crt", hub.state / "hub" / "server.key")

    def talk(self, shown: Shown | None, request: bytes = REFRESH) -> bytes:
        """All HTTP that comes back; none where TLS ends it."""
        got = b""
        try:
            with self.connect(shown) as stream:
                stream.sendall(request)
                while piece := stream.recv(65536):
                    got += piece
        except NotLoaded:
            return self.talk_by_openssl(shown, request)
        except (ConnectionError, ssl.SSLError):
            pass
        return got

    def connect(self, shown: Shown | None) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.hub.ca_file))
        context.set_ciphers("ALL:@SECLEVEL=0")
        if shown:
            chain = self.folder / "shown.pem"
            chain.write_text(shown.pem)
            try:
                context.load_cert_chain(chain, shown.key)
            except ssl.SSLError as error:
                raise NotLoaded from error
        plain = socket.create_connection(("127.0.0.1", self.hub.collector_port), timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return context.wrap_socket(plain, server_hostname="localhost")

    def talk_by_openssl(self, shown: Shown, request: bytes) -> bytes:
        """Shows what Python's ssl does not want to load."""
        chain = self.folder / "shown.pem"
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.hub.collector_port}", "-servername", "localhost"]
            + ["-CAfile", str(self.hub.ca_file), "-cert", str(chain), "-key", str(shown.key)]
            + ["-cipher", "ALL:@SECLEVEL=0", "-ign_eof", "-state"],
            input=request, capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert b"SSL_connect:SSLv3/TLS write client certificate" in done.stderr, done.stderr
        return done.stdout[done.stdout.find(b"HTTP/1.1") :] if b"HTTP/1.1" in done.stdout else b""


@pytest.fixture(scope="module")
def bench(module_hub: Hub, module_world: World) -> Bench:
    return Bench(module_hub, module_world.path("bench"))


@pytest.fixture(scope="module")
def honest(module_hub: Hub, module_world: World) -> CurlCollector:
    return CurlCollector(module_hub, module_world.path("honest"), "honest")


def test_bad_certificates_let_nobody_in(bench: Bench, honest: CurlCollector) -> None:
    """In the hub's tables stand the fingerprints of all that TLS must refuse: were one let through, it would be let in."""
    hub = bench.hub
    me = uuid.uuid4()
    good = bench.show(Draft(bench.key(), bench.names(me)).sign(bench.ca))
    bench.register(hub, me, good)
    refused = wrong_chains(bench, Draft(bench.key(), bench.names(me)), bench.server)
    for what, changed in (wrong_names(bench, me) | wrong_parts(bench, CLIENT)).items():
        draft = Draft(**({"key": bench.key(), "names": bench.names(me)} | changed))
        refused[what] = Shown(draft.sign(bench.ca), draft.key.path)
    for shown in refused.values():
        bench.register(hub, uuid.uuid4(), shown)
    honest.enrol()  # which has the hub tell its front whom it knows
    assert bench.talk(good).startswith(b"HTTP/1.1 200 ")
    state = "select count(first_used_at) from pganalytics.certificates"
    before = hub.value(state)
    heard = {what: bench.talk(shown) for what, shown in refused.items()}
    assert not {what: said for what, said in heard.items() if said}
    assert not bench.talk(None)
    # Of whom TLS knows nothing wrong: one answer for all.
    odd = {}
    for what, changed in odd_leaves(bench, honest.collector_id).items():
        draft = Draft(**({"key": bench.key(), "names": bench.names(honest.collector_id)} | changed))
        odd[what] = bench.show(draft.sign(bench.ca))
    odd["ended"] = bench.show(Draft(bench.key(), bench.names(me)).sign(bench.ca))
    bench.register(hub, me, odd["ended"], ended_at="now()")
    odd["ended by the hub's tables alone"] = bench.show(Draft(bench.key(), bench.names(me)).sign(bench.ca))
    bench.register(hub, me, odd["ended by the hub's tables alone"], not_after="now()")
    stripped = {what: without_date(bench.talk(shown)) for what, shown in odd.items()}
    assert {said[:13] for said in stripped.values()} == {b"HTTP/1.1 401 "}, stripped
    assert len(set(stripped.values())) == 1 and next(iter(stripped.values())).endswith(REFUSAL), stripped
    assert len(heard) + len(odd) >= 150
    print(len(heard), "certificates refused by TLS,", len(odd), "by the hub")
    score(refused=len(heard) + len(odd))
    assert hub.value(state) == before
    assert bench.talk(good).startswith(b"HTTP/1.1 200 ")
    assert honest.refresh().status == 200


def without_date(answer: bytes) -> bytes:
    return re.sub(rb"\r\nDate: [^\r]*", b"", answer)


def test_whose_collector_is_disabled_is_out_in_time(bench: Bench, module_world: World) -> None:
    """On a connection that stays open, and on a new one."""
    hub, me = bench.hub, uuid.uuid4()
    shown = bench.show(Draft(bench.key(), bench.names(me)).sign(bench.ca))
    bench.register(hub, me, shown)
    CurlCollector(hub, module_world.path("another"), "another").enrol()
    assert bench.talk(shown).startswith(b"HTTP/1.1 200 ")
    with bench.connect(shown) as stream:

        def kept() -> bytes:
            stream.sendall(REFRESH.replace(b"Connection: close\r\n", b""))
            return stream.recv(65536)[9:12]

        assert kept() == b"200"
        hub.execute("update pganalytics.collectors set enabled = false where collector_id = %s", (me,))
        wait_until(lambda: kept() == b"401", 60, "an open connection is refused", every=0.5)
        assert bench.talk(shown).startswith(b"HTTP/1.1 401 ")


def test_who_is_revoked_is_out_in_time(module_hub: Hub, module_world: World) -> None:
    """With its certificate, its token, and whatever enrolment tokens there were; a new one lets it in again."""
    hub = module_hub
    folder = module_world.path("stolen")
    stolen = CurlCollector(hub, folder, "stolen")
    used = hub.create_token("stolen")
    stolen.enrol(used)
    body = b'{"collector_id":"%s","timestamp":"2026-01-01T00:00:00Z","metrics":[]}' % stolen.collector_id.encode()
    kept, saved = Talker(hub, stolen), Connection(hub, stolen)
    assert kept.ask(push(stolen, body)).status == 200
    saved.send(push(stolen, body))
    assert saved.answer().status == 200
    unused = hub.create_token("stolen")
    hub.execute("create role warden login")
    hub.execute("grant execute on function pganalytics_revoke to warden")
    # It runs as who calls it: the right to call it is no right to write the hub's tables.
    with hub.connect(user="warden") as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("select pganalytics_revoke('stolen', 'x')")
    with pytest.raises(psycopg.errors.UndefinedObject, match="nobody"):
        hub.execute("select pganalytics_revoke('nobody', 'x')")
    began = time.monotonic()
    hub.execute("select pganalytics_revoke('stolen', 'key lost')")
    wait_until(lambda: kept.ask(push(stolen, body)).status == 401, 60, "an open connection is refused", every=0.5)
    assert time.monotonic() - began < 60
    assert Talker(hub, stolen).ask(push(stolen, body)).status == 401
    # And with the session of a connection from before: there is nothing to resume.
    resumed = Connection(hub, stolen, after=saved)
    resumed.send(push(stolen, body))
    assert resumed.answer().status == 401
    assert not resumed.stream.session_reused and not saved.stream.session.has_ticket
    assert stolen.refresh().status == 401
    for token in (used, unused):
        assert stolen.register(token).status == 401
    (event,) = hub.rows("select * from pganalytics.audit where event = 'revoked' and name = 'stolen'")
    assert event["details"] == {"reason": "key lost", "by": "postgres", "certificates": 1, "tokens": 2}
    assert str(event["collector_id"]) == stolen.collector_id
    # Its old key with a new token is another enrolment, and has another certificate.
    old = stolen.cert.read_text()
    stolen.enrol()
    assert stolen.cert.read_text() != old
    assert Talker(hub, stolen).ask(push(stolen, body)).status == 200
