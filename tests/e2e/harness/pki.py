"""Keys and certificates by the openssl command line: good ones, and bad ones of every kind."""

import hashlib
import pathlib
import ssl
import subprocess
import uuid

LEAF = "basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"


def openssl(*arguments: object, text: str | None = None) -> str:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"openssl {arguments}: {done.stderr}"
    return done.stdout


def fingerprint(certificate: pathlib.Path) -> bytes:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).digest()


class Pair:
    def __init__(self, cert: pathlib.Path, key: pathlib.Path) -> None:
        self.cert = cert
        self.key = key

    @property
    def fingerprint(self) -> bytes:
        return fingerprint(self.cert)


class Authority:
    """A CA in a folder of its own."""

    def __init__(self, folder: pathlib.Path, name: str = "test CA", path_length: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.pair = Pair(folder / "ca.crt", folder / "ca.key")
        self.made = 0
        make_key(self.pair.key)
        openssl(
            "req", "-x509", "-new", "-key", self.pair.key, "-subj", f"/CN={name}", "-days", "30",
            "-addext", f"basicConstraints=critical,CA:TRUE,pathlen:{path_length}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.pair.cert,
        )  # fmt: skip

    def issue(
        self,
        names: str,
        usage: str | None = "clientAuth",
        more: str = "",
        key: str = "ec",
        digest: str = "sha256",
        dates: tuple[str, str] | None = None,
        extensions: str | None = None,
    ) -> Pair:
        """`names` as subjectAltName has them; `dates` as YYYYMMDDHHMMSSZ."""
        self.made += 1
        stem = self.folder / f"leaf{self.made}"
        pair = Pair(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        make_key(pair.key, key)
        request, config = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        openssl("req", "-new", "-key", pair.key, "-subj", "/CN=leaf", "-out", request)
        text = extensions
        if text is None:
            text = LEAF + "keyUsage=critical,digitalSignature\n" + more
            text += f"extendedKeyUsage={usage}\n" if usage else ""
            text += f"subjectAltName={names}\n" if names else ""
        config.write_text(f"[leaf]\n{text}")
        if dates:
            self._issue_dated(request, config, pair, digest, dates)
        else:
            openssl(
                "x509", "-req", "-in", request, "-CA", self.pair.cert, "-CAkey", self.pair.key, f"-{digest}",
                "-set_serial", f"0x{uuid.uuid4().hex[:30]}", "-days", "20", "-extfile", config, "-extensions", "leaf",
                "-out", pair.cert,
            )  # fmt: skip
        return pair

    def _issue_dated(
        self, request: pathlib.Path, config: pathlib.Path, pair: Pair, digest: str, dates: tuple[str, str]
    ) -> None:
        """`openssl x509` knows no dates; `openssl ca` does."""
        index = self.folder / "index.txt"
        index.write_text("")
        (self.folder / "index.txt.attr").write_text("unique_subject = no\n")
        (self.folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca=own\n[own]\ndatabase={index}\nnew_certs_dir={self.folder}\nrand_serial=yes\n"
            f"policy=any\ndefault_md={digest}\n[any]\ncommonName=supplied\n"
        )
        openssl(
            "ca", "-batch", "-notext", "-config", self.folder / "ca.cnf", "-in", request, "-cert", self.pair.cert,
            "-keyfile", self.pair.key, "-startdate", dates[0], "-enddate", dates[1], "-extfile", config,
            "-extensions", "leaf", "-out", pair.cert,
        )  # fmt: skip

    def collector(self, collector: uuid.UUID | None = None, **more: object) -> Pair:
        return self.issue(f"URI:urn:uuid:{collector or uuid.uuid4()}", **more)  # type: ignore[arg-type]

    def hub(self, names: str = "DNS:localhost,IP:127.0.0.1,IP:::1") -> Pair:
        return self.issue(names, usage="serverAuth")


def make_key(path: pathlib.Path, kind: str = "ec") -> None:
    options = {
        "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        "p192": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime192v1"],
        "p224": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"],
        "p521": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
        "secp256k1": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        "ed25519": ["-algorithm", "ED25519"],
        "ed448": ["-algorithm", "ED448"],
        "rsa1024": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
        "rsa2048": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "rsa3072": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
    }[kind]
    openssl("genpkey", *options, "-out", path)
    path.chmod(0o600)
