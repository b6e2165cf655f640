"""A collector that is let in and turned against its hub, at full blast in a process of its own: floods, other collectors' ids, ids
used again for other content, times far away, names without end, requests that stop half-way."""

import gzip
import json
import os
import random
import socket
import ssl
import threading
import time
import uuid
from collections import Counter
from typing import Any, NamedTuple

from .curl_collector import now


class Abuser(NamedTuple):
    """What it has, and what it is after. Plain, so that it goes to another process."""

    port: int
    ca_file: str
    cert: str
    key: str
    token: str
    me: str
    other: str
    rows: int  # of a flood
    names: int  # that no hub has seen, a push
    seconds: float


# In this order again and again, each until it is more than "not so fast".
KINDS = ("far times", "another's id", "used ids", "names", "flood", "another's token")
CONNECTIONS = 3  # one of the four that a certificate may have is for what stops half-way


def envelope(one: Abuser, metrics: list[Any], **fields: Any) -> dict[str, Any]:
    return {"collector_id": one.me, "timestamp": now(), "snapshot_id": str(uuid.uuid4()), "metrics": metrics} | fields


def tables(names: list[str], time: str | None = None) -> dict[str, Any]:
    columns = {"datid": [5] * len(names), "relid": list(range(len(names))), "relname": names}
    return {"type": "pg_stats", "timestamp": time or now(), "datname": "app", "tables": {"columns": columns}}


def made(one: Abuser, kind: str, used: str) -> dict[str, Any]:
    fresh = [uuid.uuid4().hex for _ in range(one.names)]
    if kind == "far times":
        times = ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
        return envelope(one, [tables(["far"], time) for time in times])
    if kind == "another's id":
        return envelope(one, [tables(["forged"])], collector_id=one.other)
    if kind == "used ids":
        return envelope(one, [tables(fresh[:1])], snapshot_id=used)
    if kind == "names":
        unknown: list[Any] = [{"type": "x" + name} for name in fresh[: one.names // 10]]
        unknown += [{"type": "pg_stats", "timestamp": now(), "y" + name: {"columns": {}}} for name in fresh[: one.names // 10]]
        return envelope(one, [*unknown, tables(fresh)])
    return envelope(one, [tables(["flood" * 12] * one.rows)])


class _Line:
    """One connection, made anew when the hub has closed it."""

    def __init__(self, one: Abuser, context: ssl.SSLContext) -> None:
        self.one, self.context = one, context
        self.stream: ssl.SSLSocket | None = None

    def open(self) -> ssl.SSLSocket:
        if self.stream is None:
            plain = socket.create_connection(("127.0.0.1", self.one.port), timeout=30)
            self.stream = self.context.wrap_socket(plain, server_hostname="localhost")
        return self.stream

    def close(self) -> None:
        if self.stream:
            self.stream.close()
        self.stream = None

    def ask(self, request: bytes) -> tuple[int, bytes]:
        try:
            stream = self.open()
            stream.sendall(request)
            got = b""
            while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < length(got):
                if not (piece := stream.recv(65536)):
                    break
                got += piece
        except OSError:
            self.close()
            return 0, b""
        if not got or b"\r\nConnection: close" in got:
            self.close()
        return (int(got.split(b" ")[1]), got) if got else (0, b"")


def length(answer: bytes) -> int:
    return next((int(line[15:]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)


def head(one: Abuser, size: int, token: str) -> bytes:
    return (
        f"POST /api/v1/metrics/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


def abuse(one: Abuser) -> dict[tuple[str, str], int]:
    """How often each kind got which answer: its status, and the first words of its message; the longest of all answers."""
    os.nice(10)
    context = ssl.create_default_context(cafile=one.ca_file)
    context.load_cert_chain(one.cert, one.key)
    counts: Counter[tuple[str, str]] = Counter()
    end = time.monotonic() + one.seconds
    used = str(uuid.uuid4())

    def blast(first: int) -> None:
        line, at = _Line(one, context), first
        while time.monotonic() < end:
            kind = KINDS[at % len(KINDS)]
            body = gzip.compress(json.dumps(made(one, kind, used)).encode(), 1)
            token = one.token[:-4] + "AAAA" if kind == "another's token" else one.token
            while time.monotonic() < end:
                status, answer = line.ask(head(one, len(body), token) + body)
                text = answer.partition(b"\r\n\r\n")[2]
                said = str(json.loads(text).get("message", ""))[:40] if text else ""
                counts[kind, f"{status} {said}".strip()] += 1
                counts["longest", ""] = max(counts["longest", ""], len(answer))
                if status not in (0, 429, 503) or "quota" in said:
                    break
            at += 1
        line.close()

    def stop_halfway() -> None:
        line, dice = _Line(one, context), random.Random(7)
        request = head(one, 5000, one.token) + bytes(4000)
        while time.monotonic() < end:
            try:
                line.open().sendall(request[: dice.randrange(len(request))])
                counts["half a request", ""] += 1
            except OSError:
                pass
            line.close()

    threads = [threading.Thread(target=blast, args=(2 * number,)) for number in range(CONNECTIONS)]
    threads.append(threading.Thread(target=stop_halfway))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(counts)
