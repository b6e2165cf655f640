"""Simulated collectors: real TLS 1.3 with a client certificate and a token each, enrolled one by one
through the hub's API with the `openssl` program's keys and requests. Python's HTTP and TLS on this
side, so nothing of ours judges itself, and none of this side's CPU is in any figure.
"""

import base64
import hashlib
import http.client
import json
import pathlib
import ssl
import subprocess
import time
from typing import NamedTuple

import payload
from harness import Hub


class Answer(NamedTuple):
    status: int
    body: bytes
    retry_after: float


def _context(ca_file: pathlib.Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _check_pin(token: str, ca_file: pathlib.Path) -> None:
    """The token names the CA by its SHA-256; the file we verify against has to be that CA."""
    der = ssl.PEM_cert_to_DER_cert(ca_file.read_text())
    pin = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    if token.split(".")[1] != pin:
        raise RuntimeError("the enrolment token names another CA than the hub's file")


class Collector:
    """One enrolled collector with at most one connection."""

    def __init__(self, hub: Hub, folder: pathlib.Path, name: str) -> None:
        self.port = hub.collector_port
        key, request, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        subprocess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={name}"],
            check=True,
            capture_output=True,
        )
        token = hub.create_token(name)
        _check_pin(token, hub.ca_file)
        console = http.client.HTTPSConnection(
            "localhost", hub.console_port, timeout=30, context=_context(hub.ca_file)
        )
        body = {"name": "", "hostname": name, "version": "1.0.0", "csr": request.read_text()}
        console.request(
            "POST",
            "/api/v1/collectors/register",
            json.dumps(body),
            {"Content-Type": "application/json", "X-Registration-Secret": token},
        )
        answer = console.getresponse()
        text = answer.read()
        console.close()
        if answer.status != 200:
            raise RuntimeError(f"enrolment of {name}: {answer.status} {text.decode()}")
        identity = json.loads(text)
        certificate.write_text(identity["certificate"])
        self.token = identity["token"]
        self.sender = payload.Sender(identity["collector_id"], name)
        self.context = _context(hub.ca_file)
        self.context.load_cert_chain(certificate, key)
        self.connection: http.client.HTTPSConnection | None = None

    def connect(self) -> float:
        """Seconds that TCP and TLS took."""
        self.close()
        self.connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=60, context=self.context
        )
        began = time.perf_counter()
        self.connection.connect()
        return time.perf_counter() - began

    def close(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None

    def ask(self) -> Answer:
        """A request that costs the hub next to nothing: there is no such route here."""
        return self._exchange("GET", "/api/v1/nothing", None, {})

    def push(self, push: payload.Push) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Authorization": f"Bearer {self.token}",
        }
        return self._exchange("POST", "/api/v1/metrics/push", push.body, headers)

    def _exchange(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        if not self.connection:
            self.connect()
        assert self.connection
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.will_close:
            self.close()
        return Answer(answer.status, text, float(answer.headers.get("Retry-After", 1)))


def enrol(hub: Hub, folder: pathlib.Path, count: int) -> list[Collector]:
    """Enrols `count` collectors, at most as many a second as the hub lets in."""
    return [Collector(hub, folder, f"bench-{number:03}") for number in range(count)]
