"""A collector made of the openssl and curl programs: an independent client of the hub's API."""

import datetime
import gzip
import hashlib
import json
import pathlib
import subprocess
import uuid
from typing import Any

from .hub import Answer, Hub
from .waiting import wait_until


def openssl(*arguments: Any, input: bytes | None = None) -> str:
    done = subprocess.run(
        ["openssl", *[str(argument) for argument in arguments]],
        input=input,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr.decode()}"
    return done.stdout.decode(errors="replace")


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


class CurlCollector:
    def __init__(self, hub: Hub, folder: pathlib.Path, name: str) -> None:
        folder.mkdir(exist_ok=True)
        self.hub, self.folder, self.name = hub, folder, name
        self.key, self.cert = folder / "key.pem", folder / "cert.pem"
        self.collector_id = self.token = ""
        self.incarnation, self.sequence = str(uuid.uuid4()), 0

    def make_key(self, path: pathlib.Path | None = None) -> None:
        openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path or self.key)

    def csr(self) -> str:
        return openssl("req", "-new", "-key", self.key, "-subj", "/CN=whatever")

    def register(self, secret: str, csr: str | None = None, **fields: Any) -> Answer:
        body = {"name": self.name, "hostname": "curl", "version": "0", "csr": csr or self.csr()}
        return self.hub.request(
            "/api/v1/collectors/register",
            headers={"X-Registration-Secret": secret, "Content-Type": "application/json"},
            body=json.dumps(body | fields),
        )

    def enrol(self, secret: str | None = None) -> "CurlCollector":
        if not self.key.exists():
            self.make_key()
        answer = self.register(secret or self.hub.create_token(self.name))
        assert answer.status == 200, answer
        self.take(answer)
        return self

    def take(self, answer: Answer) -> None:
        given = answer.json()
        self.collector_id, self.token = given["collector_id"], given["token"]
        self.cert.write_text(given["certificate"])

    # --- pushes

    def envelope(self, entries: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        self.sequence += 1
        return {
            "collector_id": self.collector_id,
            "hostname": "curl",
            "timestamp": now(),
            "version": "0",
            "snapshot_id": str(uuid.uuid4()),
            "incarnation": self.incarnation,
            "sequence": self.sequence,
            "metrics_count": len(entries),
            "metrics": entries,
        } | fields

    def send(
        self,
        body: bytes,
        *,
        headers: dict[str, str] | None = None,
        cert: pathlib.Path | None = None,
        key: pathlib.Path | None = None,
        token: str | None = None,
        arguments: list[str] | None = None,
    ) -> Answer:
        sent = {
            "Authorization": f"Bearer {self.token if token is None else token}",
            "Content-Type": "application/json",
        } | (headers or {})
        request = {name: value for name, value in sent.items() if value}

        def answered() -> Answer | None:
            """Asked again where the hub says 429: tests ask faster than a collector may."""
            answer = self._post(request, body, cert, key, arguments)
            return None if answer.status == 429 else answer

        answer = wait_until(answered, 30, "an answer that is not 429")
        assert answer is not None
        return answer

    def _post(
        self,
        headers: dict[str, str],
        body: bytes,
        cert: pathlib.Path | None,
        key: pathlib.Path | None,
        arguments: list[str] | None,
    ) -> Answer:
        return self.hub.request(
            "/api/v1/metrics/push",
            headers=headers,
            body=body,
            cert=cert or self.cert,
            key=key or self.key,
            port=self.hub.collector_port,
            arguments=arguments,
        )

    def push(self, metrics: list[dict[str, Any]] | dict[str, Any], **options: Any) -> Answer:
        """Metrics, or a whole envelope; gzipped."""
        envelope = metrics if isinstance(metrics, dict) else self.envelope(metrics)
        headers = {"Content-Encoding": "gzip"} | options.pop("headers", {})
        return self.send(gzip.compress(json.dumps(envelope).encode()), headers=headers, **options)

    def refresh(self) -> Answer:
        return self.hub.request(
            "/api/v1/collectors/refresh-token",
            method="POST",
            body=b"",
            cert=self.cert,
            key=self.key,
            port=self.hub.collector_port,
        )


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
