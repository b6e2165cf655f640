"""Enrolment over the API with openssl and curl as the client: what a token is worth, to whom, and how
often; and what a certificate is worth without its token."""

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from harness import Hub, wait_until
from harness.curl_collector import CurlCollector, openssl
from harness.world import World

ENTRY = {"type": "sysstat", "load": {"full": True, "complete": True, "columns": {"load_1m": [0.5]}}}


def entry() -> dict[str, object]:
    from harness.curl_collector import now

    return ENTRY | {"timestamp": now()}


@pytest.fixture(scope="module")
def curl(module_hub: Hub, module_world: World) -> Iterator[CurlCollector]:
    yield CurlCollector(module_hub, module_world.path("curl"), "by-curl").enrol()


def other(hub: Hub, world: World, name: str) -> CurlCollector:
    made = CurlCollector(hub, world.path(name), name)
    made.make_key()
    return made


def test_the_certificate_is_what_the_design_says(curl: CurlCollector) -> None:
    text = openssl("x509", "-in", curl.cert, "-noout", "-text")
    assert f"URI:urn:uuid:{curl.collector_id}" in text
    assert "TLS Web Client Authentication" in text and "TLS Web Server Authentication" not in text
    assert "CA:FALSE" in text
    openssl(
        *("verify", "-x509_strict", "-purpose", "sslclient"),
        *("-CAfile", curl.hub.ca_file, curl.cert),
    )
    # Subject and names are the hub's: nothing of what the request said.
    assert "whatever" not in text


def test_the_token_carries_the_fingerprint_of_the_ca(module_hub: Hub) -> None:
    import base64

    token = module_hub.create_token("fingerprint")
    assert re.fullmatch(r"pga1\.[\w-]{43}\.[\w-]{43}", token)
    der = openssl("x509", "-in", module_hub.ca_file, "-fingerprint", "-sha256", "-noout")
    expected = bytes.fromhex(der.split("=")[1].strip().replace(":", ""))
    assert base64.urlsafe_b64decode(token.split(".")[1] + "=") == expected
    digests = module_hub.query("select digest from pganalytics.tokens where name = 'fingerprint'")
    assert digests == [(hashlib.sha256(token.encode()).digest(),)]


def test_a_push_of_the_enrolled_is_stored(curl: CurlCollector) -> None:
    answer = curl.push([entry()])
    assert answer.status == 200, answer
    body = answer.json()
    assert body["status"] == "success" and body["metrics_inserted"] == 1
    assert body["collector_id"] == curl.collector_id
    stored = curl.hub.stored("sysstat_load", collector="by-curl")
    assert [row["load_1m"] for row in stored][-1] == 0.5


def test_a_token_is_used_once(hub: Hub, world: World) -> None:
    first = other(hub, world, "once")
    secret = hub.create_token("once")
    first.enrol(secret)
    thief = CurlCollector(hub, world.path("thief"), "once")
    thief.make_key()
    answer = thief.register(secret)
    assert answer.status == 401, answer
    # The first still gets in, and the attempt is on record.
    assert first.push([entry()]).status == 200
    assert hub.value("select count(*) > 0 from pganalytics.audit where event ~ 'refus'")


def test_a_lost_answer_costs_nothing(module_hub: Hub, module_world: World) -> None:
    client = other(module_hub, module_world, "lost")
    secret = module_hub.create_token("lost")
    csr = client.csr()
    first, again = client.register(secret, csr), client.register(secret, csr)
    assert first.status == again.status == 200, again
    assert first.json()["collector_id"] == again.json()["collector_id"]
    assert first.json()["certificate"] == again.json()["certificate"]
    client.take(again)
    assert client.push([entry()]).status == 200
    assert module_hub.value("select count(*) from pganalytics.collectors where name = 'lost'") == 1


def test_unknown_expired_and_malformed_tokens_look_the_same(
    hub: Hub, world: World
) -> None:
    client = other(hub, world, "refused")
    short = hub.create_token("refused", "1 second")
    wait_until(
        lambda: hub.value(
            "select expires_at < now() from pganalytics.tokens where name = 'refused'"
        ),
        5,
        "the token expires",
    )
    bodies = set()
    for secret in (short, "pga1." + "A" * 43 + "." + "B" * 43):
        answer = client.register(secret)
        assert answer.status == 401, answer
        bodies.add(answer.body)
    assert len(bodies) == 1
    assert hub.value("select count(*) from pganalytics.collectors where name = 'refused'") == 0


def test_enrolling_a_name_again_ends_the_old_certificate(
    module_hub: Hub, module_world: World
) -> None:
    old = other(module_hub, module_world, "again").enrol()
    new = CurlCollector(module_hub, module_world.path("again-2"), "again")
    new.make_key()
    new.enrol()
    assert new.collector_id == old.collector_id
    # Until the new one is used the old one still works: a lost answer must not lock anybody out.
    assert new.push([entry()]).status == 200
    wait_until(lambda: old.push([entry()]).status == 401, 10, "the old certificate is refused")


def test_a_token_without_its_certificate_is_worth_nothing(
    curl: CurlCollector, module_hub: Hub, module_world: World
) -> None:
    stranger = other(module_hub, module_world, "stranger").enrol()
    answer = stranger.push([entry()], token=curl.token)
    assert answer.status == 401, answer
    answer = curl.push([entry()], token=stranger.token)
    assert answer.status == 401, answer
    # No certificate at all: not even a handshake, as OpenSSL's own client says.
    connect = ("-connect", f"localhost:{module_hub.collector_port}", "-CAfile", str(module_hub.ca_file))
    request = f"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {curl.token}\r\n\r\n"
    said = subprocess.run(
        ["openssl", "s_client", "-ign_eof", "-verify_return_error", *connect],
        input=request, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert "certificate required" in said.stderr and "HTTP/1.1" not in said.stdout, said


def test_what_the_body_says_of_the_collector_must_agree(
    curl: CurlCollector, module_hub: Hub, module_world: World
) -> None:
    stranger = other(module_hub, module_world, "impostor").enrol()
    envelope = stranger.envelope([entry()], collector_id=curl.collector_id)
    answer = stranger.push(envelope)
    assert answer.status in (400, 401, 403), answer
    assert not module_hub.stored("sysstat_load", collector="impostor")


def test_crafted_tokens_get_one_answer(curl: CurlCollector) -> None:
    import base64

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head, claims, signature = curl.token.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert decoded["collector_id"] == curl.collector_id and decoded["exp"] > time.time()
    later = part(decoded | {"exp": decoded["exp"] + 10_000_000})
    crafted = [
        "",
        "x",
        f"{head}.{claims}",
        f"{head}.{claims}.",
        f"{head}.{later}.{signature}",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
        f"{part({'alg': 'HS512', 'typ': 'JWT', 'kid': '1'})}.{claims}.{signature}",
        f"{head}.{claims}.{signature[:-2]}AA",
        curl.token + "=",
        curl.token + ".x",
        "A" * 4000,
    ]
    bodies = set()
    for token in crafted:
        answer = curl.push([entry()], token=token)
        assert answer.status == 401, (token, answer)
        bodies.add(answer.body)
    assert len(bodies) == 1
    assert curl.push([entry()]).status == 200


def test_refresh_needs_the_certificate_alone(curl: CurlCollector) -> None:
    answer = curl.refresh()
    assert answer.status == 200, answer
    assert answer.json()["token"] and answer.json()["expires_at"]
    assert curl.push([entry()], token=answer.json()["token"]).status == 200


def test_no_secret_in_the_log_or_the_tables(curl: CurlCollector, module_hub: Hub) -> None:
    if not (module_hub.bindir / "pg_dump").exists():
        pytest.skip("this installation has no pg_dump")
    secret = module_hub.create_token("canary")
    log = module_hub.log()
    assert secret not in log and curl.token not in log
    assert "PRIVATE KEY" not in log
    dump = module_hub.installation.run(
        [module_hub.bindir / "pg_dump", "-h", module_hub.socket, "-p", module_hub.port]
        + ["-U", "postgres", module_hub.database]
    ).stdout
    assert secret not in dump and secret.split(".")[2] not in dump and curl.token not in dump
