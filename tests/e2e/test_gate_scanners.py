"""What the usual tools say of a hub's two ports: sslscan and testssl.sh find nothing above "info", and slowhttptest's
thousand connections go when their limits say, with collectors served beside them. Where a tool is not installed
(tools/packages install scanners) its test is skipped."""

import json
import pathlib
import re
import shutil
import subprocess
import xml.etree.ElementTree
from typing import Any

import pytest

from harness import LONG, Hub, World
from harness.waiting import stretch
from test_gate_slow import Beside, many_files

__all__ = ["many_files"]

SUITES = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: tools/packages install scanners")
    return found


def ports(hub: Hub) -> dict[str, int]:
    return {"collectors": hub.collector_port, "console": hub.console_port}


# --- TLS


@pytest.mark.parametrize("which", ["collectors", "console"])
def test_sslscan(module_hub: Hub, tmp_path: pathlib.Path, which: str) -> None:
    report = tmp_path / "report.xml"
    command = [tool("sslscan"), f"--xml={report}", "--no-colour", f"localhost:{ports(module_hub)[which]}"]
    # A hub that closes while it writes is no reason for it to die: SIGPIPE stays ignored, as it is in Python.
    subprocess.run(command, check=True, capture_output=True, timeout=60 * stretch(), restore_signals=False)
    found = xml.etree.ElementTree.parse(report).getroot().find("ssltest")
    assert found is not None

    def each(tag: str, *attributes: str) -> list[Any]:
        return [tuple(one.get(name) for name in attributes) for one in found.iter(tag)]

    assert ("tls", "1.3", "1") in each("protocol", "type", "version", "enabled")
    assert [one for one in each("protocol", "type", "version", "enabled") if one[2] == "1"] == [("tls", "1.3", "1")]
    ciphers = each("cipher", "sslversion", "cipher", "strength")
    assert {name for _, name, _ in ciphers} == SUITES
    assert {(version, strength) for version, _, strength in ciphers} <= {("TLSv1.3", "acceptable"), ("TLSv1.3", "strong")}
    groups = {name for (name,) in each("group", "name")}
    assert groups == {"secp256r1 (NIST P-256)", "secp384r1 (NIST P-384)", "x25519"}
    assert {one for (one,) in each("renegotiation", "supported")} <= {"0"}
    assert {one for (one,) in each("compression", "supported")} <= {"0"}
    assert {one for (one,) in each("heartbleed", "vulnerable")} == {"0"}
    texts = {tag: [one.text for one in found.iter(tag)] for tag in ("signature-algorithm", "self-signed", "expired")}
    assert texts == {"signature-algorithm": ["ecdsa-with-SHA256"], "self-signed": ["false"], "expired": ["false"]}
    assert each("pk", "error", "type", "bits") == [("false", "EC", "128")]


# What testssl.sh finds above "info" by design, and why it stays.
BY_DESIGN: dict[str, str] = {
    "engine_problem": "of the scanner's own openssl",
    "cert_expirationStatus": "certificates live 30 days and are renewed by themselves after 20",
    "cert_notAfter": "the same",
    "cert_revocation": "what ended is known by the hub's own tables: there is nothing to ask for outside of it",
    "DNS_CAArecord": "a private CA: no public one is asked for names of hubs",
}
# And on the collectors' port, where a scanner without a certificate is sent away.
NOT_LET_IN = {"optimal_proto": "its own openssl could not connect, or not before it was told so"}


@pytest.mark.skipif(not LONG, reason="a minute for each port: PGANALYTICS_LONG=1")
@pytest.mark.time_limit(400)
@pytest.mark.parametrize("which", ["collectors", "console"])
def test_testssl(module_hub: Hub, tmp_path: pathlib.Path, which: str) -> None:
    report = tmp_path / "report.json"
    options = ["--quiet", "--color", "0", "--warnings", "off", "--ip", "one"]
    command = [tool("testssl"), *options, "--add-ca", module_hub.ca_file, "--jsonfile", report, f"https://localhost:{ports(module_hub)[which]}"]
    # Its status is the number of findings.
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, check=False)
    findings = json.loads(report.read_text())
    assert len(findings) > 60, done.stdout[-2000:]
    above = {one["id"]: (one["severity"], one["finding"]) for one in findings if one["severity"] not in ("OK", "INFO", "DEBUG")}
    expected = BY_DESIGN | (NOT_LET_IN if which == "collectors" else {})
    print(which, len(findings), "findings; by design:", sorted(above.keys() & expected.keys()))
    assert {name: what for name, what in above.items() if name not in expected} == {}


# --- slow clients

MODES = {
    "headers": ("-H", "-i", "1"),
    "body": ("-B", "-i", "1", "-s", "8192"),
    "range": ("-R",),
    "read": ("-X", "-w", "1", "-y", "64", "-z", "64", "-n", "1"),
}


class Slow:
    """One run of slowhttptest against the port that strangers may talk to."""

    def __init__(self, hub: Hub, mode: str, count: int, seconds: int) -> None:
        arguments = [*MODES[mode], "-c", str(count), "-r", "100", "-l", str(seconds), "-p", "5", "-v", "1"]
        command = [tool("slowhttptest"), *arguments, "-u", f"https://localhost:{hub.console_port}/api/v1/health"]
        self.mode, self.count = mode, count
        self.process = subprocess.Popen(  # the tool is not what is measured
            ["nice", "-n", "19", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1 << 20
        )

    def result(self, seconds: float) -> str:
        said, _ = self.process.communicate(timeout=seconds)
        return re.sub(r"\x1b\[[0-9;]*[a-zA-Z]", "", said)


@pytest.mark.measures("memory and time")
@pytest.mark.time_limit(900 if LONG else 120)
def test_slowhttptest(module_hub: Hub, module_world: World, many_files: None) -> None:
    tool("slowhttptest")
    if LONG:
        runs = [([mode], 1000, 80 if mode == "read" else 30) for mode in MODES]
    else:
        runs = [(["headers", "body", "range"], 60, 12)]
    beside = Beside(module_hub, module_world, 1000 if LONG else 200)
    for modes, count, seconds in runs:
        with beside:
            said = [one.result(seconds * stretch() + 60) for one in [Slow(module_hub, mode, count, seconds) for mode in modes]]
        # All ended by the hub, or answered and then closed by the tool.
        assert {text.strip().splitlines()[-1] for text in said} == {"Exit status: No open connections left"}, said
        beside.check(f"{count} connections ({', '.join(modes)}):", count * len(modes))
    # The next ones are served at once.
    assert module_hub.health()["status"] == "ok"
