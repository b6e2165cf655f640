"""Rotation under load, with a real hub and a real collector: the hub's CA by overlapping bundle, its master key, the
pairs of both sides, and replacements that are no good. Nothing is missed, nobody is restarted or enrolled again; the
judges are openssl and the ledger."""

import base64
import json
import pathlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from collecting import status
from driver.authority import Authority
from harness import Hub, Server, World, wait_until
from harness.curl_collector import CurlCollector, openssl

GAPS = """
select count(*) from (select sequence - lag(sequence) over (partition by incarnation order by sequence) as step
                        from pganalytics.ledger join pganalytics.collectors using (collector_id)
                       where name <> 'by curl') s where step <> 1
"""


class Stopwatch:
    def __init__(self) -> None:
        self.began = time.monotonic()

    def note(self, what: str) -> None:
        print(f"rotation: {what} after {time.monotonic() - self.began:.1f} s")


def keys(hub: Hub, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = hub.program("keys", *words, "--state-directory", hub.state, check=check)
    hub.reload()
    return done


def certificates(path: pathlib.Path) -> list[str]:
    """Each of a PEM file."""
    end = "-----END CERTIFICATE-----\n"
    return [part + end for part in path.read_text().split(end) if part.strip()]


def is_signed_by(certificate: pathlib.Path, authority: str, folder: pathlib.Path) -> bool:
    one = folder / "one-ca.pem"
    one.write_text(authority)
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-partial_chain", "-CAfile", one, certificate], capture_output=True, check=False
    )
    return done.returncode == 0


def served(hub: Hub, folder: pathlib.Path) -> pathlib.Path:
    """The certificate that the hub shows."""
    text = openssl("s_client", "-connect", f"localhost:{hub.console_port}", "-servername", "localhost", input=b"")
    shown = folder / "shown.pem"
    shown.write_text(text[text.index("-----BEGIN") : text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")
    return shown


def serial(path: pathlib.Path) -> str:
    return openssl("x509", "-in", path, "-noout", "-serial")


def arrives(hub: Hub, name: str) -> None:
    now = hub.value("select now()")
    hub.wait_rows("pg_stats_server", name, where=f"time > '{now}'", deadline=40)


def nothing_missed(hub: Hub, servers: list[Server], runs: list[str]) -> None:
    """One run and one enrolment of each, and not a number left out."""
    assert runs_of(servers) == runs, "no program was restarted"
    wait_until(lambda: hub.value(GAPS) == 0, 30, "every number")
    assert hub.value("select max(generation) from pganalytics.collectors") == 1
    for server in servers:
        found = {name: row["value"] for (component, name), row in status(server).items() if component in ("dropped", "set_aside")}
        assert found["snapshots"] == "0", found


def runs_of(servers: list[Server]) -> list[str]:
    return [str(status(server)["program", "incarnation"]["value"]) for server in servers]


@pytest.mark.time_limit(200)
def test_the_ca_by_an_overlapping_bundle(world: World, hub: Hub) -> None:
    server = world.server("watched", {"pganalytics.collect_interval": "1s"})
    server.execute("create extension pganalytics")
    hub.enrol(server)
    folder = world.path("judge")
    folder.mkdir()
    arrives(hub, "watched")
    both = [server, hub]
    runs = runs_of(both)
    (old,) = certificates(hub.ca_file)
    bundles = [one.state / "identity/ca.pem" for one in both]
    mine = [one.state / "identity/cert.pem" for one in both]
    stolen = CurlCollector(hub, world.path("stolen"), "watched")
    stolen.folder.mkdir(exist_ok=True)
    stolen.cert, stolen.key = (shutil.copy(server.state / "identity" / name, stolen.folder / name) for name in ("cert.pem", "key.pem"))

    # Nothing out of turn.
    for words in ("switch", "end"):
        refused = keys(hub, "rotate-ca", words, check=False)
        assert refused.returncode == 1 and "no rotation of the CA has begun" in refused.stderr, refused

    told = keys(hub, "rotate-ca", "begin")
    assert "rotate-ca switch" in told.stdout
    assert keys(hub, "rotate-ca", "begin").stdout == told.stdout, "twice is once"
    assert certificates(hub.ca_file)[0] == old
    (new,) = certificates(hub.ca_file)[1:]
    assert (hub.state / "hub/next-ca.key").stat().st_mode & 0o7777 == 0o600
    watch = Stopwatch()
    for one in bundles:
        wait_until(lambda: certificates(one) == [old, new], 60, "collectors know both")
    watch.note("both CAs known to the collectors")
    assert is_signed_by(served(hub, folder), old, folder) and not is_signed_by(mine[0], new, folder)
    assert "does not sign yet" in keys(hub, "rotate-ca", "end", check=False).stderr

    keys(hub, "rotate-ca", "switch")
    watch = Stopwatch()
    assert certificates(hub.ca_file) == [new, old] and not (hub.state / "hub/next-ca.key").exists()
    wait_until(lambda: is_signed_by(served(hub, folder), new, folder), 60, "the hub's certificate is the new CA's", every=0.5)
    watch.note("the hub's certificate by the new CA")
    for one in mine:
        wait_until(lambda: is_signed_by(one, new, folder), 90, "so are the collectors'", every=0.5)
        watch.note("a collector's certificate by the new CA")
    # Who comes now is served by it, too.
    late = world.server("late", {"pganalytics.collect_interval": "1s"})
    late.execute("create extension pganalytics")
    hub.enrol(late)
    arrives(hub, "late")
    assert is_signed_by(late.state / "identity/cert.pem", new, folder)
    used = (
        "select count(*) from pganalytics.certificates c where issued_at = (select max(issued_at) from pganalytics.certificates"
        " where collector_id = c.collector_id) and first_used_at is null and exists (select from pganalytics.certificates o"
        " where o.collector_id = c.collector_id and o.fingerprint <> c.fingerprint)"
    )
    wait_until(lambda: hub.value(used) == 0, 30, "the new ones are in use")
    watch.note("every new certificate in use")

    keys(hub, "rotate-ca", "end")
    watch = Stopwatch()
    assert certificates(hub.ca_file) == [new]
    for one in bundles:
        wait_until(lambda: certificates(one) == [new], 60, "collectors trust the new one only")
    wait_until(lambda: stolen.refresh().status in (0, 401), 60, "what the old CA signed is worth nothing", every=1)
    watch.note("the old CA refused")
    for name in ("watched", "late"):
        arrives(hub, name)
    nothing_missed(hub, both, runs)
    assert hub.value("select ca_fingerprint from pganalytics.hub") is not None
    assert "is not the one it had before" not in hub.log()
    assert hub.value("select count(*) from pganalytics.audit where event = 'certificate authority changed'") == 1


def own_name(hub: Hub) -> str:
    return str(hub.value("select name from pganalytics.collectors where own"))


def key_version(token: str) -> str:
    head = token.split(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


@pytest.mark.time_limit(150)
def test_the_master_key(world: World, hub: Hub) -> None:
    curl = CurlCollector(hub, world.path("curl"), "by curl").enrol()
    wait_until(lambda: hub.stored("pg_stats_server"), 30, "the hub's own figures")
    runs = runs_of([hub])

    def token() -> str:
        answer = wait_until(lambda: (a := curl.refresh()).status != 429 and a, 60, "a token", every=1)
        assert answer.status == 200, answer
        return str(answer.json()["token"])

    first = token()
    tokens = [first]
    for version in ("2", "3"):
        told = keys(hub, "rotate-master")
        assert f"signed with key {version}" in told.stdout
        wait_until(lambda: key_version(tokens[-1]) == version or tokens.append(token()), 60, "tokens of the new key", every=1)
        assert hub.state.joinpath("hub/master.key").stat().st_mode & 0o7777 == 0o600
        accepted = [curl_push(curl, one) for one in (first, tokens[-1])]
        # That of the key before the last is good, older ones are not.
        assert accepted == ([200, 200] if version == "2" else [401, 200])
    hub.wait_rows("pg_stats_server", where=f"time > '{hub.value('select now()')}'", deadline=40)
    nothing_missed(hub, [hub], runs)


def curl_push(curl: CurlCollector, token: str) -> int:
    curl.token = token
    return wait_until(lambda: (s := curl.push([]).status) != 429 and s, 60, "an answer", every=0.5)


# --- pairs of an operator's, and bad replacements


class Replaced:
    """A pair of files that a setting names."""

    def __init__(self, folder: pathlib.Path, authority: Authority, names: str, purpose: str, own: Callable[[Any], None]) -> None:
        self.folder, self.authority, self.names, self.purpose, self.own = folder, authority, names, purpose, own
        self.count = 0
        self.certificate, self.key = folder / "pair.crt", folder / "pair.key"
        self.good = self.make()
        self.put(*self.good)

    def make(self, life: tuple[float, float] | None = None, authority: Authority | None = None) -> tuple[bytes, bytes]:
        self.count += 1
        authority = authority or self.authority
        certificate, key = authority.pair(f"made{self.count}", self.names, self.purpose)
        if life:
            csr = openssl("req", "-new", "-key", key, "-subj", "/CN=x")
            certificate.write_text(authority.sign(csr, self.names, self.purpose, life=life) + authority.certificate.read_text())
        return certificate.read_bytes(), key.read_bytes()

    def put(self, certificate: bytes, key: bytes, mode: int = 0o600, key_first: bool = False) -> None:
        """One after the other, each at once; first the one that is wrong."""
        files = [(self.certificate, certificate, 0o600), (self.key, key, mode)]
        for path, content, bits in reversed(files) if key_first else files:
            new = path.with_suffix(path.suffix + ".new")
            new.write_bytes(content)
            new.chmod(bits)
            self.own(new)
            new.rename(path)

    def bad_ones(self) -> Iterator[str]:
        """Puts them there one after the other."""
        certificate, key = self.good
        self.put(certificate[: len(certificate) // 3], key)
        yield "certificate half written"
        self.put(certificate, key[: len(key) // 2], key_first=True)
        yield "key half written"
        self.put(b"", key)
        yield "empty"
        self.put(certificate, self.make()[1], key_first=True)
        yield "another's key"
        self.put(*self.make(life=(-7200, -3600)))
        yield "expired"
        self.put(*self.make(life=(3600, 7200)))
        yield "not begun"
        self.put(*self.make(authority=Authority(self.folder / "other")))
        yield "another CA's"
        self.put(certificate, key, 0o644, key_first=True)
        yield "key for all to read"


@pytest.mark.time_limit(200)
def test_bad_pairs_of_a_hub_are_refused(world: World) -> None:
    folder = world.path("given")
    folder.mkdir()
    world.installation.own(folder)
    authority = Authority(folder / "ca")
    pair = Replaced(folder, authority, "DNS:localhost,IP:127.0.0.1", "serverAuth", world.installation.own)
    for path in (authority.certificate, authority.key, folder / "ca"):
        world.installation.own(path)
    authority.key.chmod(0o600)
    hub = world.hub(settings={
        "pganalytics.hub_cert_file": pair.certificate, "pganalytics.hub_key_file": pair.key,
        "pganalytics.hub_ca_file": authority.certificate, "pganalytics.hub_ca_key_file": authority.key,
    }, ready=False)  # fmt: skip
    hub.execute("create extension pganalytics")
    # The harness asks with the CA of the state directory.
    wait_until((hub.state / "hub").exists, 20, "the hub's folder")
    hub.ca_file.write_bytes(authority.certificate.read_bytes())
    hub.make_ready()
    wait_until(lambda: hub.stored("pg_stats_server"), 30, "figures")
    runs, was = runs_of([hub]), served(hub, world.folder).read_text()
    for what in pair.bad_ones():
        hub.reload()
        arrives(hub, own_name(hub))
        assert served(hub, world.folder).read_text() == was, what
    assert re.search(r"pganalytics: .*(do not belong together|pair\.(crt|key))", hub.log()), "the reason is told"
    pair.put(*pair.make())
    hub.reload()
    wait_until(lambda: served(hub, world.folder).read_text() != was, 60, "the good one is in use", every=0.5)
    assert serial(served(hub, world.folder)) == serial(pair.certificate)
    hub.wait_rows("pg_stats_server", where=f"time > '{hub.value('select now()')}'", deadline=60)
    nothing_missed(hub, [hub], runs)
