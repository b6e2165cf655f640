"""X.509 by hand: DER is written byte by byte and openssl signs it, so that a certificate can be as wrong as a test wants
(no library makes two common names, a negative serial or a NUL in a name)."""

import dataclasses
import hashlib
import pathlib
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable

from .pki import Pair, make_key, openssl

# --- DER


def tlv(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def integer(value: int) -> bytes:
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    body = b""
    for arc in (first * 40 + second, *rest):
        piece = bytes([arc & 0x7F])
        while arc := arc >> 7:
            piece = bytes([0x80 | arc & 0x7F]) + piece
        body += piece
    return tlv(6, body)


def utf8(text: bytes) -> bytes:
    return tlv(12, text)


def bits(body: bytes, unused: int = 0) -> bytes:
    return tlv(3, bytes([unused]) + body)


def boolean(value: bool) -> bytes:
    return tlv(1, b"\xff" if value else b"\0")


def children(der: bytes) -> list[bytes]:
    """The elements inside the outermost one."""

    def header(at: int) -> tuple[int, int]:
        if der[at + 1] < 0x80:
            return at + 2, der[at + 1]
        size = der[at + 1] & 0x7F
        return at + 2 + size, int.from_bytes(der[at + 2 : at + 2 + size], "big")

    at, length = header(0)
    end, found = at + length, []
    while at < end:
        start, length = header(at)
        found.append(der[at : start + length])
        at = start + length
    return found


# --- parts of a certificate


def name(*attributes: bytes) -> bytes:
    """Each attribute an RDN of its own."""
    return seq(*(tlv(0x31, one) for one in attributes))


def cn(text: bytes, tag: int = 12) -> bytes:
    return seq(oid("2.5.4.3"), tlv(tag, text))


def extension(number: str, value: bytes, critical: bool = False) -> bytes:
    return seq(oid(number), *([boolean(True)] if critical else []), tlv(4, value))


def basic(ca: bool = False, path_length: int | None = None, critical: bool = True) -> bytes:
    parts = [boolean(True)] if ca else []
    parts += [] if path_length is None else [integer(path_length)]
    return extension("2.5.29.19", seq(*parts), critical)


def key_usage(body: bytes = b"\x80", unused: int = 7, critical: bool = True) -> bytes:
    return extension("2.5.29.15", bits(body, unused), critical)


CLIENT, SERVER, ANY, MAIL = "1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1", "2.5.29.37.0", "1.3.6.1.5.5.7.3.4"


def purposes(*numbers: str, critical: bool = False) -> bytes:
    return extension("2.5.29.37", seq(*map(oid, numbers)), critical)


def uri(text: bytes) -> bytes:
    return tlv(0x86, text)


def dns(text: bytes) -> bytes:
    return tlv(0x82, text)


def address(text: bytes) -> bytes:
    return tlv(0x87, text)


def alternative(*names: bytes, critical: bool = False) -> bytes:
    return extension("2.5.29.17", seq(*names), critical)


def time_of(offset_days: float) -> bytes:
    moment = time.gmtime(time.time() + offset_days * 86400)
    if 1950 <= moment.tm_year < 2050:
        return tlv(23, time.strftime("%y%m%d%H%M%SZ", moment).encode())
    return tlv(24, time.strftime("%Y%m%d%H%M%SZ", moment).encode())


ECDSA_SHA256 = seq(oid("1.2.840.10045.4.3.2"))
ALGORITHMS = {
    "sha1": seq(oid("1.2.840.10045.4.1")),
    "sha224": seq(oid("1.2.840.10045.4.3.1")),
    "sha256": ECDSA_SHA256,
    "sha384": seq(oid("1.2.840.10045.4.3.3")),
}


class Key:
    """A key file, and what of it goes into certificates."""

    def __init__(self, path: pathlib.Path, kind: str = "ec") -> None:
        self.path = path
        if not path.exists():
            make_key(path, kind)
        self.public = subprocess.run(
            ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True
        ).stdout

    def sign(self, data: bytes, digest: str = "sha256") -> bytes:
        return subprocess.run(
            ["openssl", "dgst", f"-{digest}", "-sign", self.path], input=data, stdout=subprocess.PIPE, check=True
        ).stdout


class Issuer:
    """Who signs: a CA whose certificate and key are files, or anybody else with a name and a key."""

    def __init__(self, key: Key, subject: bytes, identifier: bytes, pem: str = "") -> None:
        self.key, self.subject, self.identifier, self.pem = key, subject, identifier, pem

    @classmethod
    def of(cls, pair: Pair) -> "Issuer":
        end = "-----END CERTIFICATE-----\n"
        pem = pair.cert.read_text().partition(end)[0] + end  # its CA may stand behind it
        fields = children(children(ssl.PEM_cert_to_DER_cert(pem))[0])
        shown = openssl("x509", "-in", pair.cert, "-noout", "-ext", "subjectKeyIdentifier").splitlines()[-1]
        return cls(Key(pair.key), fields[5], bytes.fromhex(shown.strip().replace(":", "")), pem)


@dataclasses.dataclass
class Draft:
    """A good leaf, unless a test says otherwise. None: the part is left out."""

    key: Key
    names: list[bytes]  # of subjectAltName
    usage: str = CLIENT
    subject: bytes = name(cn(b"leaf"))
    version: int | None = 2
    serial: bytes | None = None
    begins: bytes = b""
    ends: bytes = b""
    public: bytes = b""
    algorithm: bytes = ECDSA_SHA256
    outer_algorithm: bytes = b""
    digest: str = "sha256"
    signature: Callable[[bytes], bytes] = lambda made: made
    # In place of the extensions a good one has: by number, None to leave out.
    replaced: dict[str, bytes | None] = dataclasses.field(default_factory=dict)
    more: list[bytes] = dataclasses.field(default_factory=list)
    bare: bool = False  # no extensions at all

    def extensions(self, issuer: Issuer) -> list[bytes]:
        usual = {
            "basic": basic(),
            "usage": key_usage(),
            "purpose": purposes(self.usage),
            "own": extension("2.5.29.14", tlv(4, hashlib.sha1(self.key.public).digest())),
            "issuer": extension("2.5.29.35", seq(tlv(0x80, issuer.identifier))),
            "names": alternative(*self.names),
        }
        assert self.replaced.keys() <= usual.keys()
        return [one for one in (usual | self.replaced).values() if one is not None] + self.more

    def sign(self, issuer: Issuer) -> str:
        parts = [] if self.version is None else [tlv(0xA0, integer(self.version))]
        parts.append(self.serial if self.serial is not None else integer(secrets.randbits(120) | 1 << 119))
        parts += [self.algorithm, issuer.subject, seq(self.begins or time_of(-1), self.ends or time_of(20)), self.subject]
        parts.append(self.public or self.key.public)
        if not self.bare:
            parts.append(tlv(0xA3, seq(*self.extensions(issuer))))
        signed = seq(*parts)
        signature = self.signature(issuer.key.sign(signed, self.digest))
        return ssl.DER_cert_to_PEM_cert(seq(signed, self.outer_algorithm or self.algorithm, bits(signature)))
