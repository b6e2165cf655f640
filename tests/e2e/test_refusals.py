"""What the hub refuses: protocol versions, certificates, bodies. openssl and curl are the clients."""

import gzip
import json
import re
import subprocess
import uuid
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Hub, wait_until
from harness.curl_collector import CurlCollector, digest, now, openssl
from harness.world import World

NAMES = ['plain', 'quo"te', "apo'strophe", "new\nline", "tab\t", "back\\slash", "🐘", "\u202eright-to-left", "%s%n"]


@pytest.fixture(scope="module")
def curl(module_hub: Hub, module_world: World) -> Iterator[CurlCollector]:
    yield CurlCollector(module_hub, module_world.path("curl"), "by-curl").enrol()


def tables(columns: dict[str, list[Any]], full: bool = True, **more: Any) -> dict[str, Any]:
    rowset = {"full": full, "complete": True, "columns": columns} | more
    return {"type": "pg_stats", "timestamp": now(), "datname": "app", "tables": rowset}


def one_table(relid: int = 16385, **columns: Any) -> dict[str, Any]:
    values = {"datid": 16384, "relid": relid, "schemaname": "public", "relname": "orders"} | columns
    return tables({name: [value] for name, value in values.items()})


# --- TLS


def handshake(hub: Hub, *arguments: Any) -> tuple[int, str]:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"localhost:{hub.collector_port}"]
        + ["-CAfile", str(hub.ca_file), "-verify_return_error", "-brief"]
        + [str(argument) for argument in arguments],
        input=b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        capture_output=True,
        check=False,
        timeout=20,
    )
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def test_only_tls_1_3(module_hub: Hub, curl: CurlCollector) -> None:
    pair = ("-cert", curl.cert, "-key", curl.key)
    code, text = handshake(module_hub, "-tls1_2", *pair)
    assert code != 0 and "Cipher" not in text.replace("Ciphersuite: (NONE)", ""), text
    code, text = handshake(module_hub, "-tls1_3", *pair)
    assert "Protocol version: TLSv1.3" in text, text


def self_made(folder: Any, name: str, *, ca: tuple[Any, Any] | None, days: int, purpose: str, uri: str) -> Any:
    """A certificate made by openssl: (certificate, key)."""
    key, cert, request = folder / f"{name}.key", folder / f"{name}.crt", folder / f"{name}.csr"
    extensions = folder / f"{name}.ext"
    extensions.write_text(
        f"basicConstraints=critical,CA:FALSE\nextendedKeyUsage={purpose}\nsubjectAltName=URI:{uri}\n"
    )
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
    openssl("req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
    signer = ("-CA", ca[0], "-CAkey", ca[1], "-CAcreateserial") if ca else ("-signkey", key)
    openssl("x509", "-req", "-in", request, *signer, "-days", days, "-extfile", extensions, "-out", cert)
    return cert, key


def test_foreign_certificates_run_no_route(module_hub: Hub, module_world: World, curl: CurlCollector) -> None:
    folder = module_world.path("certificates")
    folder.mkdir()
    uri = f"urn:uuid:{curl.collector_id}"
    hub_ca = (module_hub.ca_file, module_hub.state / "hub" / "ca.key")
    openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", folder / "ca.key")
    subject = openssl("x509", "-in", module_hub.ca_file, "-noout", "-subject", "-nameopt", "compat")
    openssl(
        *("req", "-x509", "-new", "-key", folder / "ca.key", "-days", 30, "-out", folder / "ca.crt"),
        *("-subj", subject.split("=", 1)[1].strip() if "/" in subject else "/CN=same"),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"),
    )
    other_ca = (folder / "ca.crt", folder / "ca.key")
    bad = {
        "other CA": self_made(folder, "other", ca=other_ca, days=1, purpose="clientAuth", uri=uri),
        "self-signed": self_made(folder, "self", ca=None, days=1, purpose="clientAuth", uri=uri),
        "expired": self_made(folder, "expired", ca=hub_ca, days=-1, purpose="clientAuth", uri=uri),
        "purpose": self_made(folder, "purpose", ca=hub_ca, days=1, purpose="serverAuth", uri=uri),
        "no name": self_made(folder, "noname", ca=hub_ca, days=1, purpose="clientAuth", uri="http://x/"),
        # Signed by the right CA for the right name, but never issued by this hub.
        "not issued": self_made(folder, "notours", ca=hub_ca, days=1, purpose="clientAuth", uri=uri),
    }
    before = len(module_hub.stored("pg_stats_tables", collector="by-curl"))
    for why, (cert, key) in bad.items():
        answer = curl.push([one_table()], cert=cert, key=key)
        assert answer.status in (0, 401), (why, answer)
        if why in ("other CA", "self-signed", "expired", "purpose"):
            assert answer.status == 0, (why, answer)
    assert len(module_hub.stored("pg_stats_tables", collector="by-curl")) == before
    assert curl.push([one_table()]).status == 200


# --- bodies


def test_values_arrive_exactly(curl: CurlCollector) -> None:
    columns: dict[str, list[Any]] = {
        "datid": [1] * len(NAMES),
        "relid": list(range(1, len(NAMES) + 1)),
        "schemaname": NAMES,
        "relname": NAMES,
        "seq_scan": [0, 1, -1, 2**63 - 1, -(2**63), None, 2**53 + 1, 7, 8],
        "last_vacuum": [None, "2026-01-01T00:00:00.000001Z"] + [None] * (len(NAMES) - 2),
    }
    timestamp = now()
    answer = curl.push([tables(columns) | {"timestamp": timestamp, "datname": 'na"me\n🐘'}])
    assert answer.status == 200, answer
    assert answer.json()["metrics_inserted"] == len(NAMES) or answer.json()["metrics_inserted"] == len(NAMES) + 1
    stored = [
        row
        for row in curl.hub.stored("pg_stats_tables", collector="by-curl", where="datid = 1")
        if row["datname"] == 'na"me\n🐘'
    ]
    stored.sort(key=lambda row: row["relid"])
    assert [row["relname"] for row in stored] == NAMES
    assert [row["seq_scan"] for row in stored] == columns["seq_scan"]
    assert stored[1]["last_vacuum"].isoformat() == "2026-01-01T00:00:00.000001+00:00"
    assert {row["time"].isoformat(timespec="milliseconds") for row in stored} == {timestamp}
    assert all(row["n_dead_tup"] is None for row in stored)


def test_rows_as_objects(curl: CurlCollector) -> None:
    rows = [
        {"datid": 3, "relid": 1, "relname": "a", "seq_scan": 5},
        {"datid": 3, "relid": 2, "relname": "b", "n_dead_tup": 6},
    ]
    answer = curl.push([{"type": "pg_stats", "timestamp": now(), "datname": "d", "tables": rows}])
    assert answer.status == 200, answer
    stored = curl.hub.stored("pg_stats_tables", collector="by-curl", where="datid = 3")
    assert [(row["relname"], row["seq_scan"], row["n_dead_tup"]) for row in stored] == [
        ("a", 5, None),
        ("b", None, 6),
    ]


def test_unknown_is_counted_not_refused(curl: CurlCollector) -> None:
    answer = curl.push(
        [
            one_table(relid=99, shoe_size=44),
            {"type": "pg_stats", "timestamp": now(), "datname": "app", "shoes": {"columns": {"size": [44]}}},
            {"type": "astrology", "timestamp": now(), "signs": [{"name": "fish"}]},
        ]
    )
    assert answer.status == 200, answer
    told = json.dumps(answer.json()["unknown"])
    assert "shoe_size" in told and "shoes" in told and "astrology" in told


def test_other_collectors_of_the_family(curl: CurlCollector) -> None:
    """What a v3 collector sends: identity encoding, no ids of ours, log entries as objects."""
    body = json.dumps(
        {
            "collector_id": curl.collector_id,
            "hostname": "old",
            "timestamp": now(),
            "version": "3.0.0",
            "metrics": [
                {
                    "type": "pg_log",
                    "timestamp": now(),
                    "database": "postgres",
                    "entries": [{"timestamp": now(), "level": "ERROR", "message": "division by zero"}],
                }
            ],
        }
    ).encode()
    first, again = curl.send(body), curl.send(body)
    assert first.status == 200 and again.status == 200, (first, again)
    assert first.json()["digest"] == digest(body)
    assert not first.json()["duplicate"] and again.json()["duplicate"]
    stored = curl.hub.stored("pg_log_entries", collector="by-curl")
    assert [row["message"] for row in stored] == ["division by zero"]


def bad_bodies(curl: CurlCollector) -> dict[str, tuple[bytes, dict[str, str], set[int]]]:
    good = json.dumps(curl.envelope([one_table(relid=666)])).encode()

    def changed(**fields: Any) -> bytes:
        return gzip.compress(json.dumps(curl.envelope([one_table(relid=666)], **fields)).encode())

    def column(name: str, value: Any) -> bytes:
        return gzip.compress(json.dumps(curl.envelope([one_table(**({"relid": 666} | {name: value}))])).encode())

    def text(old: str, new: str) -> bytes:
        return gzip.compress(good.decode().replace(old, new).encode())

    gz = {"Content-Encoding": "gzip"}
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb_bytes = b"".join(bomb.compress(b" " * 1_000_000) for _ in range(60)) + bomb.flush()
    return {
        "not gzip": (good, gz, {400}),
        "zlib called gzip": (zlib.compress(good), gz, {400}),
        "deflate": (zlib.compress(good), {"Content-Encoding": "deflate"}, {415}),
        "gzip of gzip": (gzip.compress(gzip.compress(good)), {"Content-Encoding": "gzip, gzip"}, {415}),
        "truncated gzip": (gzip.compress(good)[:-9], gz, {400}),
        "trailing byte": (gzip.compress(good) + b"x", gz, {400}),
        "two members": (gzip.compress(good) + gzip.compress(b""), gz, {400}),
        "bad checksum": (gzip.compress(good)[:-8] + b"\0" * 8, gz, {400}),
        "bomb": (bomb_bytes, gz, {413}),
        "too large on the wire": (b"x" * (4 * 1024 * 1024 + 1), gz, {413}),
        "empty": (b"", gz, {400}),
        "content type": (gzip.compress(good), gz | {"Content-Type": "text/plain"}, {415}),
        "no json": (gzip.compress(b"metrics please"), gz, {400}),
        "cut json": (gzip.compress(good[:-1]), gz, {400}),
        "json behind json": (gzip.compress(good + b"{}"), gz, {400}),
        "array": (gzip.compress(b"[]"), gz, {400}),
        "duplicate key": (gzip.compress(good[:-1] + b', "version": "1"}'), gz, {400}),
        "deep": (gzip.compress(good[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), gz, {400}),
        "NUL": (text("orders", "or\\u0000ders"), gz, {400}),
        "lone surrogate": (text("orders", "or\\ud800ders"), gz, {400}),
        "invalid UTF-8": (gzip.compress(good.replace(b"orders", b"or\xffders")), gz, {400}),
        "raw control character": (gzip.compress(good.replace(b"orders", b"or\nders")), gz, {400}),
        "string too long": (column("relname", "x" * 65537), gz, {400}),
        "text for a number": (column("seq_scan", "42"), gz, {400}),
        "number for text": (column("relname", 42), gz, {400}),
        "fraction for an integer": (column("seq_scan", 1.5), gz, {400}),
        "beyond 64 bits": (column("seq_scan", 2**63), gz, {400}),
        "beyond 64 bits, negative": (column("seq_scan", -(2**63) - 1), gz, {400}),
        "infinite number": (text('"sequence"', '"x": 1e400000, "sequence"'), gz, {400}),
        "oid beyond 32 bits": (column("relid", 2**32), gz, {400}),
        "time that is none": (column("last_vacuum", "yesterday"), gz, {400}),
        "boolean timestamp": (changed(timestamp=True), gz, {400}),
        "no timestamp": (changed(timestamp=None), gz, {400}),
        "count that lies": (changed(metrics_count=7), gz, {400}),
        "metrics no array": (changed(metrics={}), gz, {400}),
        "type no string": (changed(metrics=[{"type": 7, "timestamp": now()}], metrics_count=1), gz, {400}),
        "sequence no number": (changed(sequence="1"), gz, {400}),
        "snapshot no uuid": (changed(snapshot_id="1"), gz, {400}),
        "columns of different length": (
            gzip.compress(json.dumps(curl.envelope([tables({"datid": [1, 2], "relid": [666]})])).encode()),
            gz,
            {400},
        ),
    }


def test_bad_bodies_store_nothing(curl: CurlCollector) -> None:
    for why, (body, headers, statuses) in bad_bodies(curl).items():
        def answered() -> Any:
            answer = curl.send(body, headers=headers)
            return None if answer.status == 429 else answer

        answer = wait_until(answered, 20, f"an answer to: {why}")
        assert answer.status in statuses, (why, answer)
        error = answer.json()
        assert error["code"] == answer.status and error["message"], why
        assert "orders" not in answer.body and "SELECT" not in answer.body, why
    assert not curl.hub.stored("pg_stats_tables", collector="by-curl", where="relid = 666")


def test_a_body_just_below_the_limit_is_taken(curl: CurlCollector) -> None:
    answer = curl.push([one_table(relid=777, relname="x" * 65536)])
    assert answer.status == 200, answer
    stored = curl.hub.stored("pg_stats_tables", collector="by-curl", where="relid = 777")
    assert len(stored[-1]["relname"]) == 65536


def test_times_outside_the_window(curl: CurlCollector) -> None:
    old = curl.push([one_table(relid=881) | {"timestamp": "2020-01-01T00:00:00Z"}])
    assert old.status == 200 and old.json()["too_old"] == 1, old
    assert not curl.hub.stored("pg_stats_tables", collector="by-curl", where="relid = 881")
    future = curl.push([one_table(relid=882) | {"timestamp": "2099-01-01T00:00:00Z"}])
    assert future.status == 200, future
    stored = curl.hub.stored("pg_stats_tables", collector="by-curl", where="relid = 882")
    assert len(stored) == 1
    assert curl.hub.value("select now() - %s < interval '1 minute'", (stored[0]["time"],))


def test_stored_once(curl: CurlCollector) -> None:
    envelope = curl.envelope([one_table(relid=991)])
    first, again = curl.push(envelope), curl.push(envelope)
    assert first.status == again.status == 200, again
    assert again.json()["duplicate"] and not first.json()["duplicate"]
    assert len(curl.hub.stored("pg_stats_tables", collector="by-curl", where="relid = 991")) == 1
    changed = curl.push(envelope | {"hostname": "another"})
    assert changed.status == 409, changed
    same_sequence = curl.push(envelope | {"snapshot_id": str(uuid.uuid4())})
    assert same_sequence.status == 409, same_sequence
    assert curl.hub.value("select count(*) from pganalytics.audit where event ~ 'conflict'") >= 1


def raw_request(hub: Hub, port: int, request: bytes) -> bytes:
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", str(hub.ca_file), "-quiet"],
        input=request,
        capture_output=True,
        check=False,
        timeout=20,
    )
    return done.stdout


@pytest.mark.parametrize(
    "head",
    [
        b"GET /api/v1/health HTTP/1.1\nHost: localhost\n\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: +1\r\n\r\nx",
        b"POST /api/v1/collectors/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/collectors/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET /api/v1/health HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost/api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/health\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=lambda head: repr(head[:60]),
)
def test_odd_heads_are_refused_and_the_connection_ends(module_hub: Hub, head: bytes) -> None:
    answer = raw_request(module_hub, module_hub.console_port, head)
    # The first answer is a refusal and the only one: what follows is never read as a request.
    smuggled = raw_request(
        module_hub,
        module_hub.console_port,
        head + b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    for text in (answer, smuggled):
        assert text.startswith(b"HTTP/1.1 4"), text
        assert len(re.findall(rb"HTTP/1\.1 \d{3} ", text)) == 1, text


def test_health_says_how_it_is(module_hub: Hub) -> None:
    health = module_hub.health()
    assert health["status"] == "ok" and health["database_ok"] is True
    assert health["timescale_ok"] is None and health["uptime"] >= 0
    assert health["version"] == module_hub.value("select pganalytics_version()")


def test_routes_that_are_not_there(module_hub: Hub) -> None:
    assert module_hub.request("/api/v1/nothing").status == 404
    assert module_hub.request("/").status == 404
    assert module_hub.request("/api/v1/health", method="DELETE").status == 405
    assert module_hub.request("/api/v1/health?x=1").status in (200, 400, 404)
