"""A hub that does what a test tells it: TLS 1.3 with client certificates by python's ssl, HTTP by hand.
Answers rightly (enrolment, tokens, acknowledgements with the digest of what python's gzip gave)
unless the test's script answers first.
"""

import datetime
import gzip
import hashlib
import json
import pathlib
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from harness.waiting import wait_until

from .authority import Authority


class Request(NamedTuple):
    time: float  # monotonic
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    collector: str | None  # of the client's certificate
    serial: str = ""  # of the same

    def json(self) -> Any:
        body = self.body
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return json.loads(body)


class Answer(NamedTuple):
    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = {}
    stall: float = 0  # seconds of silence before it
    close: bool = False  # instead of an answer


Script = Callable[[Request], Answer | None]


def rfc3339(seconds_from_now: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds_from_now)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class ScriptedHub:
    def __init__(self, folder: pathlib.Path, authority: Authority | None = None) -> None:
        self.authority = authority or Authority(folder / "hub")
        certificate, key = self.authority.pair("server", "DNS:localhost,IP:127.0.0.1", "serverAuth")
        self.hub_id = str(uuid.uuid4())
        self.requests: list[Request] = []
        self.script: Script | None = None
        self.stored: set[str] = set()  # snapshots it has acknowledged rightly
        self.token_seconds = 3600.0
        # Of certificates at enrolment, seconds from now; none: ten days, as those that renew them.
        self.first_life: tuple[float, float] | None = None
        self.renewals: dict[str, str] = {}  # public key of a renewal -> its certificate
        self.names: dict[str, str] = {}  # public key of a request -> collector_id
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = threading.Event()
        self._listeners = []
        self.contexts: list[ssl.SSLContext] = []  # of the collectors' port, of the console's
        for verify in (True, False):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(self.authority.certificate)
            context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
            self.contexts.append(context)
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
        self.url, self.console_url = (
            f"https://127.0.0.1:{listener.getsockname()[1]}" for listener in self._listeners
        )

    # --- what tests look at

    def pushes(self) -> list[Request]:
        return [one for one in list(self.requests) if one.path.endswith("/metrics/push")]

    def wait_requests(self, count: int, path: str = "/metrics/push", seconds: float = 20) -> list[Request]:
        def found() -> list[Request]:
            return [one for one in list(self.requests) if one.path.endswith(path)]

        wait_until(lambda: len(found()) >= count, seconds, f"{count} requests for {path}", every=0.005)
        return found()

    # --- what it answers by itself

    def acknowledgement(self, request: Request, **changed: Any) -> dict[str, Any]:
        body = gzip.decompress(request.body)
        push = json.loads(body)
        return {
            "status": "success", "collector_id": push["collector_id"], "snapshot_id": push["snapshot_id"],
            "sequence": push["sequence"], "digest": hashlib.sha256(body).hexdigest(),
            "metrics_inserted": 1, "duplicate": False, "want_full": False, **changed,
        }  # fmt: skip

    def enrolment(self, request: Request, **changed: Any) -> dict[str, Any]:
        csr = request.json()["csr"]
        collector = self.names.setdefault(csr_public_key(csr), str(uuid.uuid4()))
        return {
            "collector_id": collector, "hub_id": self.hub_id, "hub_url": self.url, "token": "first-token",
            "certificate": self.authority.sign(csr, f"URI:urn:uuid:{collector}", "clientAuth", life=self.first_life),
            "ca_certificate": self.authority.certificate.read_text(),
            "expires_at": rfc3339(self.token_seconds), **changed,
        }  # fmt: skip

    def renewal(self, request: Request, **changed: Any) -> dict[str, Any]:
        """The same key gets the same certificate again."""
        csr, names = request.json()["csr"], f"URI:urn:uuid:{request.collector}"
        key = csr_public_key(csr)
        if key not in self.renewals:
            self.renewals[key] = self.authority.sign(csr, names, "clientAuth")
        return {
            "collector_id": request.collector, "hub_id": self.hub_id, "certificate": self.renewals[key],
            "ca_certificate": self.authority.certificate.read_text(), **changed,
        }  # fmt: skip

    def _answer(self, request: Request) -> Answer:
        if self.script and (scripted := self.script(request)):
            return scripted
        if request.path.endswith("/collectors/register"):
            return Answer(200, self.enrolment(request))
        if request.path.endswith("/collectors/refresh-token"):
            number = sum(one.path == request.path for one in self.requests)
            return Answer(200, {"token": f"token-{number}", "expires_at": rfc3339(self.token_seconds)})
        if request.path.endswith("/collectors/renew-certificate"):
            return Answer(200, self.renewal(request))
        if request.path.endswith("/metrics/push"):
            return Answer(200, self.acknowledgement(request))
        return Answer(404, {"code": 404, "message": "not found"})

    def _note_stored(self, request: Request, answer: Answer) -> None:
        if request.path.endswith("/metrics/push") and answer.status == 200 and isinstance(answer.body, dict):
            right = self.acknowledgement(request)
            named = ("collector_id", "snapshot_id", "sequence", "digest")
            if all(answer.body.get(name) == right[name] for name in named):
                self.stored.add(right["snapshot_id"])

    # --- sockets

    def close(self) -> None:
        self._closed.set()
        for listener in self._listeners:
            listener.close()
        with self._lock:
            for stream in self._open:
                stream.close()

    def _accept(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        while not self._closed.is_set():
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain, context), daemon=True).start()

    def _serve(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as stream:
                with self._lock:
                    self._open.add(stream)
                peer = stream.getpeercert() or {}
                names = [value for kind, value in peer.get("subjectAltName", ()) if kind == "URI"]
                collector = names[0].removeprefix("urn:uuid:") if names else None
                file = stream.makefile("rb")
                while request := _read_request(file, collector):
                    request = request._replace(serial=str(peer.get("serialNumber", "")))
                    self.requests.append(request)
                    answer = self._answer(request)
                    self._note_stored(request, answer)
                    self._closed.wait(answer.stall)
                    if answer.close:
                        return
                    stream.sendall(_answer_bytes(answer))
        except (OSError, ValueError, AssertionError):
            return
        finally:
            with self._lock:
                self._open = {one for one in self._open if one.fileno() >= 0}


def csr_public_key(csr: str) -> str:
    from .authority import _openssl

    return _openssl("req", "-noout", "-verify", "-pubkey", data=csr.encode()).decode()


def _read_request(file: Any, collector: str | None) -> Request | None:
    line = file.readline().decode("latin-1").strip()
    if not line:
        return None
    method, path, version = line.split(" ")
    assert version == "HTTP/1.1"
    headers = {}
    while header := file.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    return Request(time.monotonic(), method, path, headers, body, collector)


def _answer_bytes(answer: Answer) -> bytes:
    body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    head = [f"HTTP/1.1 {answer.status} Whatever", f"Content-Length: {len(body)}"]
    if not isinstance(answer.body, bytes):
        head.append("Content-Type: application/json")
    head += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
