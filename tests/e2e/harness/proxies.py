"""nginx and haproxy in front of a hub, and between them and it a relay that adds TLS and counts: how many requests
the proxy sent (each bears a mark that no client knows), and how many answers came back."""

import os
import pathlib
import secrets
import shutil
import socket
import ssl
import subprocess
import threading
from typing import Any

from .hub import Hub
from .server import free_port
from .waiting import wait_until

NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s; client_max_body_size 0;
  upstream hub {{ server 127.0.0.1:{relay}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port}; underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
    location / {{
      proxy_pass http://hub; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
      proxy_set_header {mark} 1; proxy_request_buffering {buffering}; proxy_next_upstream off; proxy_read_timeout 3s;
    }}
  }}
}}
"""
HAPROXY = """
global
  maxconn 64
defaults
  mode http
  timeout connect 3s
  timeout client 1s
  timeout server 3s
  timeout http-request 1s
  retries 0
frontend front
  bind 127.0.0.1:{port}
  http-request set-header {mark} 1
  default_backend back
backend back
  http-reuse always
  server hub 127.0.0.1:{relay} maxconn 1
"""


def find(program: str) -> str | None:
    """On the path, or in the folder of PGANALYTICS_PROXIES where a Debian package was unpacked."""
    folder = os.environ.get("PGANALYTICS_PROXIES", "")
    return shutil.which(program, path=f"{folder}/usr/sbin:/usr/sbin:" + os.environ["PATH"])


class Relay:
    def __init__(self, hub: Hub, mark: str) -> None:
        self.hub, self.mark = hub, mark.lower().encode() + b": 1"
        self.context = ssl.create_default_context(cafile=str(hub.ca_file))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections: list[tuple[bytearray, bytearray]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                proxy, _ = self.listener.accept()
            except OSError:
                return
            plain = socket.create_connection(("127.0.0.1", self.hub.console_port))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            hub = self.context.wrap_socket(plain, server_hostname="localhost")
            asked, answered = bytearray(), bytearray()
            self.connections.append((asked, answered))
            for source, target, kept in ((proxy, hub, asked), (hub, proxy, answered)):
                threading.Thread(target=self._pump, args=(source, target, kept), daemon=True).start()

    def _pump(self, source: Any, target: Any, kept: bytearray) -> None:
        try:
            while piece := source.recv(65536):
                kept += piece
                target.sendall(piece)
        except (OSError, ValueError):
            pass
        for one in (source, target):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def counts(self) -> list[tuple[int, int]]:
        """Of each connection: requests the proxy sent, answers the hub gave."""
        return [
            (bytes(asked).lower().count(self.mark), bytes(answered).count(b"\nCache-Control: no-store\r"))
            for asked, answered in self.connections
        ]


class Proxy:
    def __init__(self, kind: str, program: str, hub: Hub, folder: pathlib.Path, buffering: str = "off") -> None:
        folder.mkdir()
        self.mark = "X-" + secrets.token_hex(8)
        self.relay = Relay(hub, self.mark)
        self.port = free_port()
        config = folder / "config"
        text = NGINX if kind == "nginx" else HAPROXY
        config.write_text(
            text.format(folder=folder, relay=self.relay.port, port=self.port, mark=self.mark, buffering=buffering)
        )
        command = [program, "-p", folder, "-e", folder / "error.log", "-c", config] if kind == "nginx" else [program, "-db", "-f", config]
        libraries = pathlib.Path(program).parents[1] / "lib/x86_64-linux-gnu"
        environment = os.environ | ({"LD_LIBRARY_PATH": str(libraries)} if "PGANALYTICS_PROXIES" in os.environ else {})
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, env=environment)
        wait_until(self._listens, 10, f"{kind} listens: {(folder / 'log').read_text()}")

    def _listens(self) -> bool:
        assert self.process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def talk(self, data: bytes, timeout: float = 10) -> bytes:
        """All that comes back until the proxy closes."""
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                stream.sendall(data)
                while piece := stream.recv(65536):
                    got += piece
            except OSError:
                pass
        return got

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        self.relay.listener.close()
        self.log.close()
