"""`pganalytics serve` alone, with the test in the place of the hub worker: for what the real worker would never make
it do. Everything else is tested with a real hub."""

import contextlib
import dataclasses
import gzip
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from . import frames
from .clocks import Clock
from .installation import Installation
from .pki import Authority, Pair
from .waiting import wait_until

TOKEN = "pga1." + "A" * 43 + "." + "B" * 42 + "A"


@dataclasses.dataclass
class Stored:
    begin: dict[str, Any]
    rows: list[dict[str, Any]]


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Collector:
    """An enrolled collector: an id, a certificate, later a token."""

    def __init__(self, front: "Front", collector: uuid.UUID, pair: Pair) -> None:
        self.front = front
        self.id = collector
        self.pair = pair
        self._token: str | None = None

    @property
    def token(self) -> str:
        if self._token is None:
            answer = self.front.request("POST", "/api/v1/collectors/refresh-token", pair=self.pair)
            assert answer.status == 200, answer
            self._token = answer.json["token"]
        return self._token

    def headers(self, **more: str) -> dict[str, str]:
        made = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return made | {name.replace("_", "-"): value for name, value in more.items()}

    def push(self, body: bytes, compress: bool = True, **headers: str) -> Answer:
        if compress:
            body, headers = gzip.compress(body, 1), {"Content_Encoding": "gzip"} | headers
        return self.front.request(
            "POST", "/api/v1/metrics/push", body, self.headers(**headers), pair=self.pair
        )

    def envelope(self, metrics: list[dict[str, Any]] | None = None, **more: Any) -> bytes:
        envelope = {"collector_id": str(self.id), "timestamp": now_text(), "hostname": "db-1"}
        return json.dumps(envelope | more | {"metrics": metrics or []}).encode()


def now_text(offset: float = 0) -> str:
    moment = time.time() + offset
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def catalog_rowsets(installation: Installation) -> list[dict[str, Any]]:
    """The catalog as the program itself has it, in order of the rowsets' numbers."""
    done = installation.run([installation.bindir / "pganalytics", "catalog", "--json", str(installation.major)])
    return list(json.loads(done.stdout))


class Front:
    def __init__(self, installation: Installation, rowsets: list[dict[str, Any]], **settings: Any) -> None:
        self.installation = installation
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pganalytics-front-"))
        self.folder.chmod(0o700)
        self.authority = Authority(self.folder / "ca")
        hub = self.authority.hub()
        master = self.folder / "master.key"
        self.master = secrets.token_bytes(32)
        master.write_text(f"1 {self.master.hex()}\n")
        master.chmod(0o600)
        single = settings.pop("single", False)
        # One that the test sets.
        self.clock = Clock(installation, self.folder) if settings.pop("clock", False) else None
        port, console = free_port(), free_port()
        self.settings = frames.Settings(
            hub_id=str(uuid.uuid4()),
            hub_url=f"https://localhost:{port}",
            cert_file=str(hub.cert),
            key_file=str(hub.key),
            ca_file=str(self.authority.pair.cert),
            master_key_file=str(master),
            port=port,
            console_port=0 if single else console,
            state_directory=str(self.folder),
            **settings,
        )
        self.rowsets = rowsets
        self.lock = threading.Condition()
        self.pushes: list[Stored] = []
        self.registers: list[dict[str, Any]] = []
        self.first_uses: list[tuple[uuid.UUID, bytes]] = []
        self.logs: list[bytes] = []
        self.listening: list[tuple[int, int, str]] = []
        # What the worker answers; None: nothing.
        self.on_push: Callable[[Stored], bytes | None] = lambda push: frames.push_result(
            push.begin["number"], frames.STORED, sum(part["count"] for part in push.rows)
        )
        self.on_register: Callable[[dict[str, Any]], bytes | None] = lambda request: frames.register_result(
            request["number"], 401
        )
        self.partial: dict[int, Stored] = {}
        self.heartbeats = True
        self.answered: set[int] = set()
        self.beats = itertools.count(1)
        self._start()

    # --- the process

    def _start(self) -> None:
        for path in [self.folder, *self.folder.rglob("*")]:
            self.installation.own(path)
        ours, theirs = socket.socketpair()
        self.socket = ours
        program = self.installation.bindir / "pganalytics"
        options: dict[str, Any] = {}
        if self.installation.user:
            options = {"user": self.installation.user, "group": self.installation.user, "extra_groups": []}
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" serve 3<&{theirs.fileno()}', str(program)],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=self.installation.environment() | (self.clock.environment if self.clock else {}),
            **options,
        )
        theirs.close()
        self.closing = False
        self.greeting = threading.Event()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._read, self._beat)]
        for thread in self.threads:
            thread.start()
        assert self.greeting.wait(20), "no greeting from serve"
        self.send(frames.SERVE_SETTINGS, self.settings.encode())
        self.send(frames.SERVE_TARGETS, frames.targets(self.announced()))
        self.send(frames.HUB_HEALTH, frames.hub_health(True, None))
        self.send(frames.OPEN)
        wait_until(lambda: self.listening, 20, "listening")
        assert self.listening[0] == (self.settings.port, self.settings.console_port, ""), self.listening

    def announced(self) -> list[tuple[int, list[str]]]:
        found = []
        for number, rowset in enumerate(self.rowsets):
            columns = ["time", "collector_id"]
            for column in rowset["columns"]:
                columns.append(column["name"])
                if rowset["scope"] in ("database", "own") and column["name"] == "datid":
                    columns.append("datname")
            found.append((number, columns))
        return found

    def columns(self, rowset: str) -> list[str]:
        return self.announced()[self.number(rowset)][1]

    def number(self, rowset: str) -> int:
        return [f"{one['plugin']}.{one['name']}" for one in self.rowsets].index(rowset)

    def close(self) -> None:
        self.closing = True
        try:
            self.send(frames.STOP)
        except OSError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            raise AssertionError("serve did not end on Stop") from None
        finally:
            self.socket.close()
            words = self.folder / "serve.last_words"
            text = words.read_text() if words.exists() else ""
            shutil.rmtree(self.folder, ignore_errors=True)
        assert self.process.returncode == 0, f"serve ended with {self.process.returncode}: {text}"
        assert not text, text

    # --- frames

    def send(self, kind: int, payload: bytes = b"") -> None:
        with self.lock:
            self.socket.sendall(frames.frame(kind, payload))

    def _beat(self) -> None:
        while not self.closing and self.process.poll() is None:
            if self.heartbeats and self.greeting.is_set():
                try:
                    self.send(frames.HEARTBEAT, frames.varint(next(self.beats)))
                except OSError:
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)

    def _read(self) -> None:
        buffer = bytearray()
        while True:
            try:
                piece = self.socket.recv(1 << 20)
            except OSError:
                return
            if not piece:
                return
            buffer += piece
            while len(buffer) >= 6:
                length = int.from_bytes(buffer[:4], "little")
                assert 2 <= length <= 1 << 20
                if len(buffer) < length + 4:
                    break
                kind, payload = buffer[4], bytes(buffer[6 : length + 4])
                del buffer[: length + 4]
                try:
                    self._take(kind, payload)
                except OSError:
                    return

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == frames.HELLO:
            # The same greeting back: same version, same catalog.
            self.hello = frames.hello(payload)
            self.socket.sendall(frames.frame(frames.HELLO, payload))
            self.greeting.set()
        elif kind == frames.LISTENING:
            reader = frames.Reader(payload)
            self.listening.append((reader.signed(), reader.signed(), reader.text()))
        elif kind == frames.PUSH_BEGIN:
            begin = frames.push_begin(payload)
            self.partial[begin["number"]] = Stored(begin, [])
        elif kind == frames.PUSH_ROWS:
            rows = frames.push_rows(payload)
            assert len(payload) <= 1 << 20
            self.partial[rows["number"]].rows.append(rows)
        elif kind == frames.PUSH_END:
            number, total = frames.push_end(payload)
            push = self.partial.pop(number)
            assert sum(rows["count"] for rows in push.rows) == total
            self.pushes.append(push)
            if (answer := self.on_push(push)) is not None:
                self.send(frames.PUSH_RESULT, answer)
        elif kind == frames.REGISTER:
            request = frames.register(payload)
            self.registers.append(request)
            if (answer := self.on_register(request)) is not None:
                self.send(frames.REGISTER_RESULT, answer)
        elif kind == frames.CERTIFICATE_USED:
            reader = frames.Reader(payload)
            self.first_uses.append((reader.uuid(), reader.raw(32)))
        elif kind == frames.LOG:
            self.logs.append(payload)
        elif kind == frames.HEARTBEAT_ANSWER:
            self.answered.add(frames.Reader(payload).varint())
        else:
            raise AssertionError(f"frame of kind {kind} from serve")

    # --- collectors

    def collector(self, enrol: bool = True, **more: Any) -> Collector:
        identity = uuid.uuid4()
        pair = self.authority.collector(identity, **more)
        collector = Collector(self, identity, pair)
        if enrol:
            self.let_in(collector)
        return collector

    def let_in(self, collector: Collector, generation: int = 1, **more: Any) -> None:
        self.send(
            frames.COLLECTOR_STATE,
            frames.collector_state(collector.id, "db-1", generation, [(collector.pair.fingerprint, 1)], **more),
        )
        self.settle()

    def settle(self) -> None:
        """Until serve has taken every frame sent so far: a heartbeat behind them is answered."""
        number = next(self.beats)
        self.send(frames.HEARTBEAT, frames.varint(number))
        wait_until(lambda: number in self.answered, 20, "heartbeat", 0.005)

    # --- requests

    def context(self, pair: Pair | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.pair.cert))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if pair:
            context.load_cert_chain(pair.cert, pair.key)
        return context

    def connect(self, port: int, pair: Pair | None = None, timeout: float = 20) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        return self.context(pair).wrap_socket(plain, server_hostname="localhost")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        pair: Pair | None = None,
        port: int | None = None,
    ) -> Answer:
        console = pair is None and self.settings.console_port != 0
        port = port or (self.settings.console_port if console else self.settings.port)
        connection = http.client.HTTPSConnection("localhost", port, timeout=40, context=self.context(pair))
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def raw(self, data: bytes, pair: Pair | None = None, timeout: float = 20) -> bytes:
        """Everything that comes back until the other side closes (or `timeout`)."""
        console = pair is None and self.settings.console_port != 0
        port = self.settings.console_port if console else self.settings.port
        got = b""
        with self.connect(port, pair, timeout) as stream:
            try:
                stream.sendall(data)
                while piece := stream.recv(65536):
                    got += piece
            except (ConnectionError, ssl.SSLError):
                pass
        return got

    # --- figures of the process

    def memory(self, field: str = "RssAnon") -> int:
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no such field")

    def cpu_seconds(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/schedstat").read_text().split()
        return int(fields[0]) / 1e9

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
