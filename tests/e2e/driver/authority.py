"""Certificates by the openssl command line: a hub's CA, its server certificate, collectors' certificates."""

import base64
import hashlib
import pathlib
import secrets
import subprocess
import time


def _openssl(*arguments: str, data: bytes | None = None) -> bytes:
    done = subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    def __init__(self, folder: pathlib.Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.key, self.certificate = folder, folder / f"{name}.key", folder / f"{name}.crt"
        _openssl(
            "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "30",
            "-subj", f"/CN={name}", "-keyout", str(self.key), "-out", str(self.certificate),
            "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def token(self) -> str:
        """An enrolment token that names this CA."""
        der = _openssl("x509", "-in", str(self.certificate), "-outform", "DER")

        def part(raw: bytes) -> str:
            return base64.urlsafe_b64encode(raw).decode().rstrip("=")

        return f"pga1.{part(hashlib.sha256(der).digest())}.{part(secrets.token_bytes(32))}"

    def sign(self, request: str, names: str, purpose: str, days: int = 10, life: tuple[float, float] | None = None) -> str:
        """`life`: begin and end in seconds from now, instead of days."""
        extensions = self.folder / f"ext-{secrets.token_hex(4)}"
        extensions.write_text(
            f"subjectAltName={names}\nextendedKeyUsage={purpose}\nbasicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        if life is not None:
            return self._sign_dated(request, extensions, life)
        signed = _openssl(
            "x509", "-req", "-CA", str(self.certificate), "-CAkey", str(self.key), "-days", str(days),
            "-set_serial", str(secrets.randbits(64)), "-extfile", str(extensions), data=request.encode(),
        )  # fmt: skip
        return signed.decode()

    def _sign_dated(self, request: str, extensions: pathlib.Path, life: tuple[float, float]) -> str:
        """`openssl x509` knows no dates; `openssl ca` does."""
        work = self.folder / f"work-{secrets.token_hex(4)}"
        work.mkdir()
        (work / "index").write_text("")
        (work / "request").write_text(request)
        (work / "config").write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndatabase={work}/index\nnew_certs_dir={work}\nrand_serial=yes\n"
            "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + at)) for at in life)
        return _openssl(
            "ca", "-batch", "-notext", "-config", f"{work}/config", "-in", f"{work}/request", "-cert",
            str(self.certificate), "-keyfile", str(self.key), "-startdate", begin, "-enddate", end,
            "-extfile", str(extensions),
        ).decode()  # fmt: skip

    def pair(self, name: str, names: str, purpose: str) -> tuple[pathlib.Path, pathlib.Path]:
        """Certificate (with the CA behind it) and key."""
        key, certificate = self.folder / f"{name}.key", self.folder / f"{name}.crt"
        request = _openssl(
            "req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-subj", f"/CN={name}", "-keyout", str(key),
        )  # fmt: skip
        certificate.write_text(
            self.sign(request.decode(), names, purpose) + self.certificate.read_text()
        )
        key.chmod(0o600)
        return certificate, key
