"""Who gets in at the front: TLS, certificates, tokens, enrolment, health. openssl and curl judge; bad certificates are
made by the openssl command line."""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import ssl
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from harness import frames, wait_until
from harness.front import TOKEN, Collector, Front, catalog_rowsets
from harness.installation import Installation
from harness.pki import LEAF, Authority, Pair, openssl

REFRESH = "/api/v1/collectors/refresh-token"
REGISTER = "/api/v1/collectors/register"


@pytest.fixture(scope="module")
def rowsets(installation: Installation) -> list[dict[str, Any]]:
    return catalog_rowsets(installation)


@pytest.fixture(scope="module")
def front(installation: Installation, rowsets: list[dict[str, Any]]) -> Iterator[Front]:
    made = Front(installation, rowsets)
    yield made
    made.close()


def s_client(front: Front, *arguments: object, port: int | None = None) -> str:
    """`openssl s_client` with a request on standard input; what it says and what comes back."""
    done = subprocess.run(
        [
            "openssl", "s_client", "-connect", f"localhost:{port or front.settings.port}", "-servername", "localhost",
            "-CAfile", front.settings.ca_file, "-ign_eof", *map(str, arguments),
        ],
        input="GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def curl(front: Front, path: str, *arguments: object, port: int | None = None) -> tuple[int, str]:
    """curl's exit status and, behind a newline, the HTTP status."""
    done = subprocess.run(
        [
            "curl", "-sS", "--cacert", front.settings.ca_file, "-w", "\n%{http_code}", *map(str, arguments),
            f"https://localhost:{port or front.settings.port}{path}",
        ],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def pair_options(pair: Pair) -> list[object]:
    return ["-cert", pair.cert, "-key", pair.key]


# --- TLS


def test_tls_versions(front: Front) -> None:
    pair = front.collector().pair
    for version in ("-tls1_2", "-tls1_1", "-tls1"):
        for port in (front.settings.port, front.settings.console_port):
            said = s_client(front, version, "-cipher", "ALL:@SECLEVEL=0", *pair_options(pair), port=port)
            assert "HTTP/1.1" not in said and "Cipher is (NONE)" in said, version
    said = s_client(front, "-tls1_3", *pair_options(pair))
    assert "Verify return code: 0 (ok)" in said and "HTTP/1.1 404" in said


def test_tls_options(front: Front) -> None:
    port = front.settings.console_port
    said = s_client(front, port=port)
    assert "HTTP/1.1 200 OK" in said
    # No tickets, hence no resumption; the CA comes along, for enrolment.
    assert "New Session Ticket" not in said
    assert said.count("-----BEGIN CERTIFICATE-----") == 1
    assert s_client(front, "-showcerts", port=port).count("-----BEGIN CERTIFICATE-----") == 2
    assert "ALPN protocol: http/1.1" in s_client(front, "-alpn", "h2,http/1.1", port=port)
    assert "HTTP/1.1" not in s_client(front, "-alpn", "h2", port=port)
    for groups, accepted in (("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False)):
        assert ("HTTP/1.1 200" in s_client(front, "-groups", groups, port=port)) == accepted, groups
    for suite, accepted in (
        ("TLS_AES_256_GCM_SHA384", True),
        ("TLS_CHACHA20_POLY1305_SHA256", True),
        ("TLS_AES_128_GCM_SHA256", True),
        ("TLS_AES_128_CCM_SHA256", False),
    ):
        assert ("HTTP/1.1 200" in s_client(front, "-ciphersuites", suite, port=port)) == accepted, suite
    assert "unrecognized name" in s_client(front, "-servername", "elsewhere.example", port=port)


def bad_certificates(front: Front, folder: pathlib.Path) -> dict[str, Pair]:
    """Certificates that must not get anybody as far as a byte of HTTP."""
    ca = front.authority
    me = f"URI:urn:uuid:{uuid.uuid4()}"
    old, past, future, far = "20200101000000Z", "20200201000000Z", "20400101000000Z", "20400201000000Z"
    elsewhere = Authority(folder / "elsewhere", "another CA")
    namesake = Authority(folder / "namesake", "test CA")
    unpurposed = LEAF + f"keyUsage=critical,digitalSignature\nsubjectAltName={me}\n"
    made = {
        "expired": ca.issue(me, dates=(old, past)),
        "not yet valid": ca.issue(me, dates=(future, far)),
        "another CA": elsewhere.issue(me),
        "CA of the same name": namesake.issue(me),
        "purpose server": ca.issue(me, usage="serverAuth"),
        "purpose mail": ca.issue(me, usage="emailProtection"),
        "purpose any": ca.issue(me, usage="anyExtendedKeyUsage"),
        "no purpose": ca.issue(me, extensions=unpurposed),
        "no name": ca.issue(""),
        "host name": ca.issue("DNS:db-1"),
        "two ids": ca.issue(f"{me},URI:urn:uuid:{uuid.uuid4()}"),
        "id and host name": ca.issue(f"{me},DNS:localhost"),
        "id and address": ca.issue(f"{me},IP:127.0.0.1"),
        "URI of another kind": ca.issue("URI:https://hub.example/"),
        "id too short": ca.issue("URI:urn:uuid:1234"),
        "id in capitals": ca.issue(f"URI:urn:uuid:A{str(uuid.uuid4())[1:]}"),
        "id with more behind": ca.issue(me + "/x"),
        "RSA 2048": ca.issue(me, key="rsa2048"),
        "SHA-1": ca.issue(me, digest="sha1"),
        "unknown critical extension": ca.issue(me, more="1.2.3.4.5=critical,ASN1:UTF8String:x\n"),
        "a CA": ca.issue(
            me,
            extensions="basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            f"keyUsage=critical,keyCertSign\nextendedKeyUsage=clientAuth\nsubjectAltName={me}\n",
        ),
        "the hub's own": Pair(pathlib.Path(front.settings.cert_file), pathlib.Path(front.settings.key_file)),
        "the CA's own": ca.pair,
    }
    self_signed = Pair(folder / "self.crt", folder / "self.key")
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self_signed.key,
        "-out", self_signed.cert, "-subj", "/CN=x", "-addext", f"subjectAltName={me}", "-addext",
        "extendedKeyUsage=clientAuth",
    )  # fmt: skip
    made["self-signed"] = self_signed
    return made


def test_bad_certificates_get_no_answer(front: Front, tmp_path: pathlib.Path) -> None:
    made = bad_certificates(front, tmp_path)
    for what, pair in made.items():
        # By openssl, which lets a client use what a library of a stricter kind would not.
        said = s_client(front, "-cipher", "ALL:@SECLEVEL=0", *pair_options(pair))
        assert "HTTP/1.1" not in said, what
    assert "HTTP/1.1" not in s_client(front), "no certificate"
    code, said = curl(front, REFRESH, "-X", "POST")
    assert code != 0 and said.endswith("000")
    # The same way with a good one works: the list above would be worth nothing otherwise.
    good = front.collector()
    assert curl(front, REFRESH, "-X", "POST", "--cert", good.pair.cert, "--key", good.pair.key)[1].endswith("200")


def test_keys_of_all_accepted_kinds(front: Front) -> None:
    for kind in ("ec", "p384", "ed25519", "rsa3072"):
        collector = front.collector(key=kind)
        assert collector.push(collector.envelope()).status == 200, kind


# --- identity


def all_the_same(answers: list[Any]) -> None:
    assert {(answer.status, answer.body) for answer in answers} == {
        (401, b'{"code":401,"message":"certificate or token not accepted"}')
    }
    assert all(answer.headers["WWW-Authenticate"] == "Bearer" for answer in answers)


def test_only_who_is_enrolled(front: Front) -> None:
    stranger = front.collector(enrol=False)
    good = front.collector()
    answers = [front.request("POST", REFRESH, pair=stranger.pair)]
    stranger._token = good.token
    answers.append(stranger.push(stranger.envelope()))
    gone = front.collector()
    assert gone.push(gone.envelope()).status == 200
    front.send(frames.COLLECTOR_GONE, gone.id.bytes)
    front.settle()
    answers += [gone.push(gone.envelope()), front.request("POST", REFRESH, pair=gone.pair)]
    disabled = front.collector()
    assert disabled.push(disabled.envelope()).status == 200
    front.let_in(disabled, enabled=False)
    answers += [disabled.push(disabled.envelope()), front.request("POST", REFRESH, pair=disabled.pair)]
    all_the_same(answers)


def test_a_connection_that_stays_open_is_let_go(front: Front) -> None:
    """Revocation bites on the next request of a connection that was let in."""
    collector = front.collector()
    context = front.context(collector.pair)
    import http.client

    connection = http.client.HTTPSConnection("localhost", front.settings.port, timeout=20, context=context)
    statuses = []
    for enabled in (True, False):
        front.let_in(collector, enabled=enabled)
        connection.request("POST", REFRESH)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [200, 401]


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def token_key(front: Front, collector: Collector, generation: int = 1, hub_id: str | None = None) -> bytes:
    """HKDF-SHA256 in plain Python."""
    hub = (hub_id or front.settings.hub_id).encode()
    info = b"pganalytics collector token\0" + str(collector.id).encode() + b"\0" + str(generation).encode()
    first = hmac.digest(hub, front.master, "sha256")
    return hmac.digest(first, info + b"\x01", "sha256")


def forge(key: bytes, header: dict[str, Any], claims: dict[str, Any]) -> str:
    signed = encode(json.dumps(header).encode()) + "." + encode(json.dumps(claims).encode())
    return signed + "." + encode(hmac.digest(key, signed.encode(), "sha256"))


def test_tokens(front: Front) -> None:
    mine, other = front.collector(), front.collector()
    header, claims, _ = mine.token.split(".")
    header, claims = decode(header), decode(claims)
    assert header["alg"] == "HS256" and claims["sub"] == claims["collector_id"] == str(mine.id)
    assert claims["aud"] == front.settings.hub_id and claims["exp"] - claims["iat"] == 3600
    assert claims["cnf"]["x5t#S256"] == encode(mine.pair.fingerprint)
    key = token_key(front, mine)
    # Our own signature is accepted: the forgeries below fail by what is wrong in them.
    mine._token = forge(key, header, claims)
    assert mine.push(mine.envelope()).status == 200
    now = int(time.time())
    cnf = {"x5t#S256": encode(other.pair.fingerprint)}
    forged = {
        "none": encode(b'{"alg":"none","typ":"JWT"}') + "." + encode(json.dumps(claims).encode()) + ".",
        "other algorithm": forge(key, header | {"alg": "HS512"}, claims),
        "no kid": forge(key, {k: v for k, v in header.items() if k != "kid"}, claims),
        "kid of no key": forge(key, header | {"kid": "9"}, claims),
        "kid is a path": forge(key, header | {"kid": "../master.key"}, claims),
        "key hint": forge(key, header | {"jku": "https://evil.example/"}, claims),
        "other type": forge(key, header | {"typ": "JWT"}, claims),
        "other key": forge(b"k" * 32, header, claims),
        "empty key": forge(b"", header, claims),
        "master key": forge(front.master, header, claims),
        "other hub's key": forge(token_key(front, mine, hub_id=str(uuid.uuid4())), header, claims),
        "other generation": forge(token_key(front, mine, 2), header, claims),
        "expired": forge(key, header, claims | {"iat": now - 3700, "nbf": now - 3700, "exp": now - 100}),
        "early": forge(key, header, claims | {"iat": now + 300, "nbf": now + 300, "exp": now + 3000}),
        "too long a life": forge(key, header, claims | {"exp": claims["iat"] + 3601}),
        "other issuer": forge(key, header, claims | {"iss": "evil"}),
        "other audience": forge(key, header, claims | {"aud": str(uuid.uuid4())}),
        "other subject": forge(key, header, claims | {"sub": str(other.id)}),
        "other collector": forge(key, header, claims | {"sub": str(other.id), "collector_id": str(other.id)}),
        "other certificate": forge(key, header, claims | {"cnf": cnf}),
        "no certificate": forge(key, header, {k: v for k, v in claims.items() if k != "cnf"}),
        "another's": other.token,
        "cut": forge(key, header, claims)[:-1],
        "padded": forge(key, header, claims) + "=",
        "four parts": forge(key, header, claims) + ".x",
        "too large": forge(key, header, claims | {"x": "x" * 2000}),
        "nothing": "",
        "garbage": "x.y.z",
    }
    answers = []
    for number, token in enumerate(forged.values()):
        # Not so many that the rate limit answers: refused ones are not counted against the collector.
        mine._token = token
        answers.append(mine.push(mine.envelope()))
        assert answers[-1].status == 401, list(forged)[number]
    for field in ("Basic abc", "bearer", "Bearer", f"Bearer  {other.token}", f"Token {other.token}"):
        headers = mine.headers() | {"Authorization": field}
        answers.append(front.request("POST", "/api/v1/metrics/push", mine.envelope(), headers, pair=mine.pair))
    all_the_same(answers)
    # A token without its certificate, and a certificate with another's token.
    other._token = forge(key, header, claims)
    all_the_same([other.push(other.envelope())])


def test_first_use_of_a_newer_certificate_is_told(front: Front) -> None:
    collector = front.collector()
    newer = front.authority.collector(collector.id)
    certificates = [(collector.pair.fingerprint, 1), (newer.fingerprint, 2)]
    front.send(frames.COLLECTOR_STATE, frames.collector_state(collector.id, "x", 2, certificates))
    front.settle()
    assert front.request("POST", REFRESH, pair=collector.pair).status == 200
    front.settle()
    assert (collector.id, newer.fingerprint) not in front.first_uses
    assert front.request("POST", REFRESH, pair=newer).status == 200
    wait_until(lambda: (collector.id, newer.fingerprint) in front.first_uses, 10, "CertificateUsed")


# --- routes


def test_each_listener_has_its_routes(front: Front) -> None:
    collector = front.collector()
    for method, path, pair in (
        ("GET", "/api/v1/health", collector.pair),
        ("POST", REGISTER, collector.pair),
        ("POST", REFRESH, None),
        ("POST", "/api/v1/metrics/push", None),
        ("GET", "/", None),
        ("GET", "/api/v1/health/", None),
        ("GET", "//api/v1/health", None),
        ("GET", "/api/v1/%68ealth", None),
        ("GET", "/api/v1/../v1/health", None),
    ):
        assert front.request(method, path, b"" if method == "POST" else None, pair=pair).status == 404, path
    answer = front.request("POST", "/api/v1/health", b"")
    assert answer.status == 405 and answer.headers["Allow"] == "GET"
    assert front.request("DELETE", REGISTER).headers["Allow"] == "POST"
    assert front.request("GET", "/api/v1/health?verbose=1").status == 200


def test_one_port_for_all(installation: Installation, rowsets: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    front = Front(installation, rowsets, single=True)
    collector = front.collector()
    assert front.request("GET", "/api/v1/health").status == 200
    assert front.request("GET", "/api/v1/health", pair=collector.pair).status == 200
    assert front.request("POST", REFRESH, b"").status == 401
    assert front.request("POST", "/api/v1/metrics/push", b"{}", collector.headers()).status == 401
    assert collector.push(collector.envelope()).status == 200
    # Who shows a certificate shows a good one.
    elsewhere = Authority(tmp_path / "elsewhere", "another CA").collector()
    assert "HTTP/1.1" not in s_client(front, *pair_options(elsewhere))
    front.close()


def test_health(front: Front) -> None:
    answer = front.request("GET", "/api/v1/health")
    health = answer.json
    assert answer.status == 200 and health["status"] == "ok" and health["database_ok"] is True
    assert health["timescale_ok"] is None and health["version"] == front.hello[1] and health["uptime"] >= 0
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    try:
        front.send(frames.HUB_HEALTH, frames.hub_health(False, True))
        front.settle()
        answer = front.request("GET", "/api/v1/health")
        assert answer.status == 503 and answer.json["status"] == "degraded" and answer.json["timescale_ok"] is True
    finally:
        front.send(frames.HUB_HEALTH, frames.hub_health(True, None))
        front.settle()


# --- enrolment


def request_of(folder: pathlib.Path, name: str = "key", kind: str = "EC") -> tuple[pathlib.Path, str]:
    key = folder / f"{name}.pem"
    options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "EC" else ["-pkeyopt", "rsa_keygen_bits:1024"]
    openssl("genpkey", "-algorithm", kind, *options, "-out", key)
    return key, openssl("req", "-new", "-key", key, "-subj", "/CN=whoever", "-addext", "subjectAltName=DNS:evil")


def register(front: Front, body: dict[str, Any], token: str | None = TOKEN) -> Any:
    headers = {"Content-Type": "application/json"} | ({"X-Registration-Secret": token} if token else {})
    return front.request("POST", REGISTER, json.dumps(body).encode(), headers)


def enrolling(front: Front, collector: uuid.UUID) -> Any:
    """A worker that enrols: signs the public key by openssl."""

    def answer(request: dict[str, Any]) -> bytes:
        folder = front.folder / request["number"].to_bytes(4, "big").hex()
        folder.mkdir()
        (folder / "public.der").write_bytes(request["public_key"])
        # A request is only the vehicle: -force_pubkey puts in the key that came.
        pair = front.authority.collector(collector)
        csr = openssl("req", "-new", "-key", pair.key, "-subj", "/CN=x")
        (folder / "csr").write_text(csr)
        (folder / "ext").write_text(
            LEAF + f"extendedKeyUsage=clientAuth\nsubjectAltName=URI:urn:uuid:{collector}\nkeyUsage=digitalSignature\n"
        )
        ca = front.authority.pair
        pem = openssl(
            "x509", "-req", "-in", folder / "csr", "-CA", ca.cert, "-CAkey", ca.key, "-force_pubkey",
            folder / "public.der", "-set_serial", "0x1234567890", "-days", "20", "-extfile", folder / "ext",
        )  # fmt: skip
        (folder / "crt").write_text(pem)
        fingerprint = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest()
        state = frames.collector_state(collector, "db-1", 4, [(fingerprint, 4)])
        front.send(frames.COLLECTOR_STATE, state)
        expires = (int(time.time()) + 20 * 86400) * 1_000_000
        return frames.register_result(
            request["number"], 200, "", collector, 4, pem, ca.cert.read_text(), expires
        )

    return answer


def test_enrolment(front: Front, tmp_path: pathlib.Path) -> None:
    collector = uuid.uuid4()
    front.on_register = enrolling(front, collector)
    key, csr = request_of(tmp_path)
    answer = register(front, {"name": "", "hostname": "db-1", "version": "9", "csr": csr, "address": "x", "more": [1]})
    assert answer.status == 200, answer
    made = answer.json
    assert made["collector_id"] == str(collector) and made["hub_id"] == front.settings.hub_id
    assert made["hub_url"] == front.settings.hub_url and "private_key" not in made
    assert made["ca_certificate"] == front.authority.pair.cert.read_text()
    seen = front.registers[-1]
    assert seen["token_digest"] == hashlib.sha256(TOKEN.encode()).digest()
    assert (seen["name"], seen["hostname"], seen["version"]) == ("", "db-1", "9")
    assert seen["public_key"] == subprocess.run(
        ["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True
    ).stdout
    # Certificate and token of the answer work together.
    cert = tmp_path / "cert.pem"
    cert.write_text(made["certificate"])
    enrolled = Collector(front, collector, Pair(cert, key))
    enrolled._token = made["token"]
    assert enrolled.push(enrolled.envelope()).status == 200


def test_enrolment_refused(front: Front, tmp_path: pathlib.Path) -> None:
    front.on_register = enrolling(front, uuid.uuid4())
    _, csr = request_of(tmp_path)
    before = len(front.registers)
    _, weak = request_of(tmp_path, "weak", "RSA")
    lines = csr.splitlines()
    lines[3] = lines[3][:5] + ("A" if lines[3][5] != "A" else "B") + lines[3][6:]
    for what, body in {
        "no csr": {},
        "csr null": {"csr": None},
        "csr empty": {"csr": ""},
        "csr no PEM": {"csr": "x"},
        "csr changed": {"csr": "\n".join(lines)},
        "weak key": {"csr": weak},
        "csr a certificate": {"csr": front.authority.pair.cert.read_text()},
        "csr a number": {"csr": 5},
        "name a list": {"csr": csr, "name": []},
        "name too long": {"csr": csr, "name": "n" * 256},
    }.items():
        answer = register(front, {"hostname": "h"} | body)
        assert answer.status == 400, what
    assert "hub_issue_keys" in register(front, {}).json["details"]
    assert len(front.registers) == before
    headers = {"Content-Type": "application/json", "X-Registration-Secret": TOKEN}
    assert front.request("POST", REGISTER, b"x" * 16385, headers).status == 413
    assert front.request("POST", REGISTER, b"{}", headers | {"Content-Encoding": "gzip"}).status == 415
    assert front.request("POST", REGISTER, b"{}", headers | {"Content-Type": "text/plain"}).status == 415
    # What the worker says.
    front.on_register = lambda request: frames.register_result(request["number"], 409, "the name is taken")
    answer = register(front, {"csr": csr})
    assert answer.status == 409 and answer.json["message"] == "the name is taken"
    front.on_register = lambda request: frames.register_result(request["number"], 503, "not ready")
    answer = register(front, {"csr": csr})
    assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1


def test_tokens_cannot_be_guessed_fast(installation: Installation, rowsets: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    front = Front(installation, rowsets)
    _, csr = request_of(tmp_path)
    answers = [register(front, {"csr": csr}, token) for token in (TOKEN, None, "pga1.x.y", TOKEN)]
    assert [answer.status for answer in answers] == [401, 401, 401, 429]
    assert len({answer.body for answer in answers[:3]}) == 1
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
    assert len(front.registers) == 1
    front.close()


def test_enrolments_in_all(installation: Installation, rowsets: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    """Twenty at once, and twenty a second on top."""
    front = Front(installation, rowsets)
    _, csr = request_of(tmp_path)
    enrol = enrolling(front, uuid.uuid4())
    signed: list[bytes] = []

    def again(request: dict[str, Any]) -> bytes:
        """What was signed for the first one: openssl takes longer than the rate."""
        number = frames.varint(request["number"])
        if not signed:
            signed.append(enrol(request)[len(number) :])
        return number + signed[0]

    front.on_register = again
    body = json.dumps({"csr": csr}).encode()
    fields = f"Host: localhost\r\nContent-Type: application/json\r\nX-Registration-Secret: {TOKEN}\r\nContent-Length: {len(body)}\r\n"
    request = f"POST {REGISTER} HTTP/1.1\r\n{fields}".encode()
    began = time.monotonic()
    # One behind the other, faster than they may be.
    said = front.raw((request + b"\r\n" + body) * 400 + request + b"Connection: close\r\n\r\n" + body)
    took = time.monotonic() - began
    statuses = [int(status) for status in re.findall(rb"HTTP/1.1 (\d+) ", said)]
    assert len(statuses) == 401 and set(statuses) == {200, 429}
    assert 20 <= statuses.index(429) and statuses.count(200) <= 20 + 20 * took, (statuses.count(200), took)
    front.close()


def test_keys_made_by_the_hub(installation: Installation, rowsets: list[dict[str, Any]], tmp_path: pathlib.Path) -> None:
    front = Front(installation, rowsets, issue_keys=True)
    collector = uuid.uuid4()
    front.on_register = enrolling(front, collector)
    made = register(front, {"name": "db-1"}).json
    (tmp_path / "key").write_text(made["private_key"])
    (tmp_path / "cert").write_text(made["certificate"])
    enrolled = Collector(front, collector, Pair(tmp_path / "cert", tmp_path / "key"))
    enrolled._token = made["token"]
    assert enrolled.push(enrolled.envelope()).status == 200
    front.close()
