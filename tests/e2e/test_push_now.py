"""pganalytics_push_now(): what it answers when all is well, and what it says when it is not. Each
failure comes within the time given and names what to do."""

import re
import subprocess
import time
from typing import Any

import psycopg
import pytest

from harness import Hub, Server, wait_until
from harness.curl_collector import openssl
from harness.world import World

PUSH = "select * from pganalytics_push_now(%s::interval)"


def refused(server: Server, timeout: str = "10 s", limit: float = 12) -> psycopg.Error:
    started = time.monotonic()
    with pytest.raises(psycopg.Error) as raised:
        server.query(PUSH, (timeout,))
    assert time.monotonic() - started < limit
    error = raised.value
    assert error.diag.message_hint, f"no hint: {error.diag.message_primary}"
    return error


def enrolled(world: World, hub: Hub, name: str = "watched") -> Server:
    server = world.server(
        name, {"shared_preload_libraries": "pganalytics", "pganalytics.collect_interval": "1h"}
    )
    server.execute("create extension pganalytics")
    hub.enrol(server, name)
    server.query("select pganalytics_reload()")
    return server


def test_rows_agree_with_the_ledger(hub: Hub) -> None:
    rows = hub.rows(PUSH, ("20 s",))
    assert rows
    for row in rows:
        ledger = hub.rows(
            "select * from pganalytics.ledger where snapshot_id = %s", (row["snapshot_id"],)
        )
        assert len(ledger) == 1
        assert ledger[0]["sequence"] == row["sequence"]
        assert ledger[0]["bytes_received"] == row["bytes_gzip"]
        assert ledger[0]["bytes_json"] == row["bytes_json"]
        assert row["metrics_inserted"] > 0 and row["rows"] > 0 and not row["duplicate"]


def test_without_a_hub(server: Server) -> None:
    server.execute("create extension pganalytics")
    error = refused(server)
    assert "enrolled" in str(error.diag.message_primary)
    assert "pganalytics_register" in str(error.diag.message_hint)


def test_hub_unreachable_then_back(world: World, hub: Hub) -> None:
    server = enrolled(world, hub)
    assert server.query(PUSH, ("20 s",))
    hub.stop()
    error = refused(server)
    assert "connect" in str(error)
    hub.start()
    wait_until(lambda: _pushed(server), 40, "the hub is back")
    # Nothing queued meanwhile is missing: sequences are without a gap.
    wait_until(
        lambda: hub.value(
            "select count(*) = max(sequence) from pganalytics.ledger join pganalytics.collectors"
            " using (collector_id) where name = 'watched'"
        ),
        20,
        "every sequence arrives",
    )


def _pushed(server: Server) -> bool:
    try:
        return bool(server.query(PUSH, ("5 s",)))
    except psycopg.Error:
        return False


@pytest.mark.parametrize("wrong", ["authority", "name", "expired", "purpose"])
def test_hub_with_a_wrong_certificate(world: World, hub: Hub, wrong: str) -> None:
    """In the hub's place stands somebody else, openssl's server: not a byte of HTTP is for it."""
    server = enrolled(world, hub)
    assert server.query(PUSH, ("20 s",))
    cert, key = _wrong_pair(world, hub, wrong)
    hub.stop()
    impostor = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{hub.collector_port}", "-quiet"]
        + ["-cert", str(cert), "-cert_chain", str(cert), "-key", str(key), "-verify", "1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:

        def tls_error() -> Any:
            error = refused(server)
            return error if "certificate" in str(error) else None

        error = wait_until(tls_error, 40, "the certificate is refused")
    finally:
        impostor.kill()
        heard, _ = impostor.communicate(timeout=10)
    words = {
        "authority": "authority|issuer|CA|self",
        "name": "name",
        "expired": "expired",
        "purpose": "purpose|use",
    }
    assert re.search(words[wrong], f"{error.diag.message_primary} {error.diag.message_detail}"), error
    assert heard == b""


def _wrong_pair(world: World, hub: Hub, wrong: str) -> tuple[Any, Any]:
    folder = world.path("wrong")
    folder.mkdir()
    key, cert, request, extensions = (folder / name for name in ("key", "crt", "csr", "ext"))
    ca, ca_key = hub.ca_file, hub.state / "hub" / "ca.key"
    if wrong == "authority":
        ca, ca_key = folder / "ca.crt", folder / "ca.key"
        openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", ca_key)
        openssl("req", "-x509", "-new", "-key", ca_key, "-days", 30, "-out", ca, "-subj", "/CN=other")
    names = "DNS:elsewhere.example" if wrong == "name" else "DNS:localhost,IP:127.0.0.1"
    purpose = "clientAuth" if wrong == "purpose" else "serverAuth"
    extensions.write_text(
        "basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        f"keyUsage=critical,digitalSignature\nextendedKeyUsage={purpose}\nsubjectAltName={names}\n"
    )
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
    # The common name says localhost: it must not count.
    openssl("req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", request)
    days = -1 if wrong == "expired" else 30
    openssl(
        *("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial"),
        *("-days", days, "-extfile", extensions, "-out", cert),
    )
    cert.write_text(cert.read_text() + ca.read_text())
    return cert, key


def test_collector_no_longer_let_in(world: World, hub: Hub) -> None:
    server = enrolled(world, hub)
    assert server.query(PUSH, ("20 s",))
    hub.execute("update pganalytics.collectors set enabled = false where name = 'watched'")
    hub.restart()

    def told() -> Any:
        error = refused(server)
        return error if "connect" not in str(error) else None

    error = wait_until(told, 40, "the refusal")
    assert "token" in str(error) or "refused" in str(error)


def test_register_with_an_expired_token(world: World, hub: Hub) -> None:
    server = world.server("late", {"shared_preload_libraries": "pganalytics"})
    server.execute("create extension pganalytics")
    token = hub.create_token("late", "1 second")
    wait_until(
        lambda: hub.value("select expires_at < now() from pganalytics.tokens where name = 'late'"),
        5,
        "the token expires",
    )
    started = time.monotonic()
    with pytest.raises(psycopg.Error) as raised:
        server.query("select pganalytics_register(%s, %s)", (hub.console_url, token))
    assert time.monotonic() - started < 15
    assert raised.value.diag.message_hint and token not in str(raised.value)
    good = hub.create_token("late")
    server.query("select pganalytics_register(%s, %s)", (hub.console_url, good))
    assert server.query(PUSH, ("20 s",))
    # The session's statement may be logged by the server's own settings; by us nothing is.
    ours = [line for line in server.log().splitlines() if "pganalytics:" in line]
    assert not any(good in line or token in line for line in ours)


def test_hub_of_another_authority_is_not_registered_with(world: World, hub: Hub) -> None:
    """A token names its hub: another hub's address is refused before a byte of HTTP is sent."""
    other = world.hub("other")
    server = world.server("careful", {"shared_preload_libraries": "pganalytics"})
    server.execute("create extension pganalytics")
    token = hub.create_token("careful")
    with pytest.raises(psycopg.Error) as raised:
        server.query("select pganalytics_register(%s, %s)", (other.console_url, token))
    assert "certificate" in str(raised.value) or "fingerprint" in str(raised.value)
    assert other.collectors().keys() == {name for name in other.collectors() if name != "careful"}
    assert hub.value("select used_at is null from pganalytics.tokens where name = 'careful'")


def test_privileges(hub: Hub) -> None:
    hub.execute("create role nobody_special login; create role watcher login in role pg_monitor")
    for user in ("nobody_special", "watcher"):
        with hub.connect(user=user) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("select * from pganalytics_push_now()")
