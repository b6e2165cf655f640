"""A corpus of bad certificates, made byte by byte: for each what is wrong with it and what makes it so."""

import dataclasses
import hashlib
import pathlib
import ssl
import uuid
from typing import Any, NamedTuple

from .der import (
    ALGORITHMS, ANY, CLIENT, MAIL, SERVER, Draft, Issuer, Key, address, alternative, basic, bits, boolean, cn, dns,
    extension, integer, key_usage, name, oid, purposes, seq, time_of, tlv, uri, utf8,
)  # fmt: skip
from .hub import Hub
from .pki import Authority, Pair

CA_PARTS: dict[str, bytes | None] = {"basic": basic(True), "usage": key_usage(b"\x06", 1), "purpose": None, "names": None}


class Shown(NamedTuple):
    """What a client shows: certificates (leaf first) and the leaf's key."""

    pem: str
    key: pathlib.Path

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem[: self.pem.index("-----END") + 26])).digest()


class Maker:
    """A CA in our hands, a folder, and keys of every kind."""

    def __init__(self, ca: Pair, folder: pathlib.Path) -> None:
        self.folder, self.ca_pair, self.ca = folder, ca, Issuer.of(ca)
        folder.mkdir(exist_ok=True)
        self.keys: dict[str, Key] = {}

    def key(self, kind: str = "ec") -> Key:
        if kind not in self.keys:
            self.keys[kind] = Key(self.folder / f"{kind}.key", kind)
        return self.keys[kind]

    def names(self, collector: uuid.UUID | str) -> list[bytes]:
        return [uri(f"urn:uuid:{collector}".encode())]

    def register(self, hub: Hub, collector: uuid.UUID | str, shown: Shown, **certificate: str) -> None:
        """As if the hub had issued it: so the hub's list of fingerprints keeps nobody out here."""
        hub.execute(
            "insert into pganalytics.collectors (collector_id, name, enrolled_at, generation) values (%s, %s, now(), 1)"
            " on conflict do nothing",
            (collector, str(collector)),
        )
        columns = {"ended_at": "null", "not_after": "now() + interval '9 days'"} | certificate
        hub.execute(
            "insert into pganalytics.certificates (fingerprint, collector_id, generation, serial, public_key, certificate,"
            f" not_before, issued_at, {', '.join(columns)})"
            f" values (%s, %s, 1, '00', '', '', now(), now(), {', '.join(columns.values())})",
            (shown.fingerprint, collector),
        )

    def show(self, pem: str, kind: str = "ec", behind: str = "") -> Shown:
        return Shown(pem + behind, self.key(kind).path)


# Draft fields that make a leaf, right but for them, one that TLS itself must refuse.
def wrong_names(b: Maker, me: uuid.UUID) -> dict[str, dict[str, Any]]:
    """Of a collector."""
    mine = b.names(me)[0]
    other = b.names(uuid.uuid4())[0]
    text = f"urn:uuid:{me}".encode()
    names = {
        "no names": None,
        "empty list of names": alternative(),
        "names twice": alternative(mine) + alternative(mine),
        "two ids": alternative(mine, other),
        "the same id twice": alternative(mine, mine),
        "id and host": alternative(mine, dns(b"localhost")),
        "host and id": alternative(dns(b"localhost"), mine),
        "id and address": alternative(mine, address(b"\x7f\0\0\1")),
        "id and directory name": alternative(mine, tlv(0xA4, name(cn(b"x")))),
        "id and other name": alternative(mine, tlv(0xA0, oid("1.2.3.4"), tlv(0xA0, utf8(b"x")))),
        "id as host": alternative(dns(text)),
        "id as mail": alternative(tlv(0x81, text)),
        "id as registered id": alternative(tlv(0x88, b"\x2a\x03\x04")),
        "wildcard host": alternative(dns(b"*")),
        "wildcard id": alternative(uri(b"urn:uuid:*")),
        "other URI": alternative(uri(b"https://hub.example/")),
        "empty URI": alternative(uri(b"")),
        "prefix only": alternative(uri(b"urn:uuid:")),
        "id cut": alternative(uri(text[:-1])),
        "id longer": alternative(uri(text + b"0")),
        "NUL behind id": alternative(uri(text + b"\0")),
        "NUL and more behind id": alternative(uri(text + b"\0.evil.example")),
        "NUL in id": alternative(uri(text[:20] + b"\0" + text[21:])),
        "NUL before id": alternative(uri(b"\0" + text)),
        "blank before id": alternative(uri(b" " + text)),
        "blank behind id": alternative(uri(text + b" ")),
        "line behind id": alternative(uri(text + b"\n")),
        "id in capitals": alternative(uri(b"urn:uuid:" + b"A" + text[10:].upper())),
        "scheme in capitals": alternative(uri(b"URN:UUID:" + text[9:])),
        "braces": alternative(uri(b"urn:uuid:{" + text[9:] + b"}")),
        "no hyphens": alternative(uri(text.replace(b"-", b""))),
        "query behind id": alternative(uri(text + b"?x")),
        "fragment behind id": alternative(uri(text + b"#x")),
        "letters beyond ASCII": alternative(uri(text[:-1] + b"\xc3\xa4")),
        "names no sequence": extension("2.5.29.17", utf8(text)),
        "names cut": extension("2.5.29.17", seq(mine)[:-1]),
        "names with more behind": extension("2.5.29.17", seq(mine) + b"\0"),
        "names empty": extension("2.5.29.17", b""),
        "id in the common name only": None,
        "URI constructed": alternative(tlv(0xA6, text)),
    }
    made: dict[str, dict[str, Any]] = {what: {"replaced": {"names": value}} for what, value in names.items()}
    made["id in the common name only"]["subject"] = name(cn(text))
    return made


def wrong_parts(b: Maker, right: str) -> dict[str, dict[str, Any]]:
    """Of a leaf with the purpose `right`."""
    other = SERVER if right == CLIENT else CLIENT
    purpose = {
        "no purpose": None,
        "the other end's": purposes(other),
        "mail": purposes(MAIL),
        "any": purposes(ANY),
        "the other end's and mail": purposes(other, MAIL),
        "time stamping": purposes("1.3.6.1.5.5.7.3.8"),
        "unknown purpose": purposes("1.3.6.1.4.1.55555.1"),
        "no purpose in the list": purposes(),
        "purpose twice": purposes(other) + purposes(right),
        "purpose no sequence": extension("2.5.29.37", oid(right)),
        "purpose cut": extension("2.5.29.37", seq(oid(right))[:-1]),
    }
    usage = {
        "usage of a CA": key_usage(b"\x06", 1),
        "usage encipherment": key_usage(b"\x20", 5),
        "usage agreement": key_usage(b"\x08", 3),
        "usage nothing": key_usage(b"", 0),
        "usage no bits": extension("2.5.29.15", integer(1), True),
    }
    constraint = {
        "a CA": basic(True),
        "a CA with length": basic(True, 0),
        "length without CA": basic(False, 0),
        "constraints no sequence": extension("2.5.29.19", boolean(False), True),
        "constraints twice": basic() + basic(True),
        "negative length": basic(True, -1),
    }
    made: dict[str, dict[str, Any]] = {
        "purpose: " + what: {"replaced": {"purpose": value}} for what, value in purpose.items()
    }
    made |= {what: {"replaced": {"usage": value}} for what, value in usage.items()}
    made |= {what: {"replaced": {"basic": value}} for what, value in constraint.items()}
    made["CA that may sign"] = {"replaced": {"basic": basic(True), "usage": key_usage(b"\x06", 1)}}
    more = {
        "unknown critical": extension("1.2.3.4.5", utf8(b"x"), True),
        "critical, no OID we know": extension("2.5.29.99", b"", True),
        "critical netscape type": extension("2.16.840.1.113730.1.1", bits(b"\x20", 5), True),
    }
    made |= {what: {"more": [value]} for what, value in more.items()}
    made |= {
        "no subject": {"subject": name()},
        "expired a year ago": {"begins": time_of(-700), "ends": time_of(-365)},
        "expired a minute ago": {"ends": time_of(-1 / 1440)},
        # Longer than a loaded machine takes to come to it.
        "begins in twenty minutes": {"begins": time_of(20 / 1440)},
        "begins in a year": {"begins": time_of(365), "ends": time_of(700)},
        "ends before it begins": {"begins": time_of(5), "ends": time_of(-5)},
        "ended in 1950": {"begins": tlv(23, b"500101000000Z"), "ends": tlv(23, b"500102000000Z")},
        "time without zone": {"ends": tlv(23, b"490101000000")},
        "time with offset": {"ends": tlv(23, b"490101000000+0100")},
        "time no time": {"ends": tlv(23, b"999999999999Z")},
        "time empty": {"ends": tlv(23, b"")},
        "version 1 with extensions": {"version": None},
        "version 1": {"version": None, "bare": True},
        "version 3 bare": {"bare": True},
        "SHA-1": {"digest": "sha1", "algorithm": ALGORITHMS["sha1"]},
        "SHA-224": {"digest": "sha224", "algorithm": ALGORITHMS["sha224"]},
        "two algorithms": {"outer_algorithm": ALGORITHMS["sha384"]},
        "algorithm of RSA": {"algorithm": seq(oid("1.2.840.113549.1.1.11"), tlv(5))},
        "MD5 with RSA": {"algorithm": seq(oid("1.2.840.113549.1.1.4"), tlv(5))},
        "algorithm unknown": {"algorithm": seq(oid("1.2.3.4"))},
        "signature of another text": {"signature": lambda _: b.ca.key.sign(b"another text")},
        "signature bit": {"signature": lambda made: made[:-1] + bytes([made[-1] ^ 1])},
        "signature cut": {"signature": lambda made: made[:-1]},
        "signature empty": {"signature": lambda _: b""},
        "signature of zeros": {"signature": lambda _: seq(integer(0), integer(0))},
        "signature of ones": {"signature": lambda _: seq(integer(1), integer(1))},
        "signature with more behind": {"signature": lambda made: made + b"\0"},
        "RSA 1024": {"key": b.key("rsa1024")},
        "RSA 2048": {"key": b.key("rsa2048")},
        "P-192": {"key": b.key("p192")},
        "P-224": {"key": b.key("p224")},
        "P-521": {"key": b.key("p521")},
        "secp256k1": {"key": b.key("secp256k1")},
        "Ed448": {"key": b.key("ed448")},
    }  # fmt: skip
    return made


def wrong_chains(b: Maker, leaf: Draft, server: Pair) -> dict[str, Shown]:
    """The right leaf, not signed by the hub's CA itself; and pairs of the hub."""
    made: dict[str, Shown] = {}

    def authority(what: str, **changed: Any) -> Issuer:
        """A CA below the hub's, or of its own."""
        key = Key(b.folder / f"{what}.key".replace(" ", "-"))
        subject = changed.pop("subject", name(cn(what.encode())))
        draft = Draft(key, [], subject=subject, **{"replaced": CA_PARTS} | changed)
        own = Issuer(key, subject, hashlib.sha1(key.public).digest())
        own.pem = draft.sign(own if "alone" in what else b.ca)
        return own

    elsewhere = Issuer.of(Authority(b.folder / "elsewhere", "another CA").pair)
    made["another CA"] = b.show(leaf.sign(elsewhere))
    made["another CA, sent along"] = b.show(leaf.sign(elsewhere), behind=elsewhere.pem)
    twin = authority("alone: twin", subject=b.ca.subject)
    made["CA of the same name"] = b.show(leaf.sign(twin), behind=twin.pem)
    twin.identifier = b.ca.identifier
    made["CA of the same name and identifier"] = b.show(leaf.sign(twin), behind=twin.pem)
    made["the hub's CA sent along"] = b.show(leaf.sign(twin), behind=b.ca.pem)
    self_made = Issuer(b.key(), leaf.subject, hashlib.sha1(b.key().public).digest())
    made["self-signed"] = b.show(leaf.sign(self_made))
    renamed = dataclasses.replace(leaf, subject=b.ca.subject)
    made["self-signed under the CA's name"] = b.show(renamed.sign(Issuer(b.key(), b.ca.subject, b.ca.identifier)))
    below = authority("below")
    made["CA below the hub's"] = b.show(leaf.sign(below), behind=below.pem)
    made["CA below, not sent"] = b.show(leaf.sign(below))
    for what, changed in {
        "with length 0": {"replaced": CA_PARTS | {"basic": basic(True, 0)}},
        "without usage": {"replaced": CA_PARTS | {"usage": None}},
        "that may not sign": {"replaced": CA_PARTS | {"usage": key_usage(b"\x80")}},
        "without constraints": {"replaced": CA_PARTS | {"basic": None}},
        "that is no CA": {"replaced": CA_PARTS | {"basic": basic()}},
        "of version 1": {"version": None, "bare": True},
        "expired": {"ends": time_of(-0.5)},
    }.items():
        one = authority(f"below, {what}", **changed)
        made[f"CA below {what}"] = b.show(leaf.sign(one), behind=one.pem)
    collector = Issuer(b.key(), name(cn(b"leaf")), hashlib.sha1(b.key().public).digest())
    made["issued by a collector"] = b.show(leaf.sign(collector), behind=leaf.sign(b.ca))
    hub = Issuer.of(server)
    made["issued by the hub's server certificate"] = b.show(leaf.sign(hub), behind=hub.pem)
    constrained = authority(
        "constrained", more=[extension("2.5.29.30", seq(tlv(0xA1, seq(tlv(0x86, b"evil.example")))), True)]
    )
    made["name constraints"] = b.show(leaf.sign(constrained), behind=constrained.pem)
    chain, issuer = "", b.ca
    for number in range(6):
        key = Key(b.folder / f"deep{number}.key")
        subject = name(cn(f"deep {number}".encode()))
        chain = Draft(key, [], subject=subject, replaced=CA_PARTS).sign(issuer) + chain
        issuer = Issuer(key, subject, hashlib.sha1(key.public).digest())
    made["six CAs between"] = b.show(leaf.sign(issuer), behind=chain)
    if leaf.usage == CLIENT:
        made["more than 16 KiB of certificates"] = b.show(leaf.sign(b.ca), behind=b.ca.pem * 40)
        made["the hub's own"] = Shown(hub.pem, hub.key.path)
    made["the CA itself"] = Shown(b.ca.pem, b.ca_pair.key)
    return made


def odd_leaves(b: Maker, me: str) -> dict[str, dict[str, Any]]:
    """What this hub's CA would never make, and no rule of TLS forbids: nobody but for the list of fingerprints."""
    return {
        "a right one, not issued": {},
        "common name empty": {"subject": name(cn(b""))},
        "two common names": {"subject": name(cn(b"a"), cn(me.encode()))},
        "common name of the hub": {"subject": name(cn(b"localhost"))},
        "NUL in the common name": {"subject": name(cn(me.encode() + b"\0x"))},
        "wildcard common name": {"subject": name(cn(b"*"))},
        "common name of 10 kB": {"subject": name(cn(b"x" * 10_000))},
        "common name in two-byte letters": {"subject": name(cn(me.encode("utf-16-be"), 30))},
        "subject of the CA": {"subject": b.ca.subject},
        "negative serial": {"serial": integer(-5)},
        "serial 0": {"serial": integer(0)},
        "serial of 60 bytes": {"serial": integer(1 << 479)},
        "key identifier missing": {"replaced": {"own": None}},
        "purpose critical": {"replaced": {"purpose": purposes(CLIENT, critical=True)}},
        "client and server": {"replaced": {"purpose": purposes(CLIENT, SERVER)}},
        "client and any": {"replaced": {"purpose": purposes(ANY, CLIENT)}},
        "names critical": {"replaced": {"names": alternative(*b.names(me), critical=True)}},
        "no usage": {"replaced": {"usage": None}},
        "every usage": {"replaced": {"usage": key_usage(b"\xf8", 3)}},
        "no constraints": {"replaced": {"basic": None}},
        "constraints not critical": {"replaced": {"basic": basic(critical=False)}},
        "unknown, not critical": {"more": [extension("1.2.3.4.5", b"x" * 2000)]},
        "critical policy constraint": {"more": [extension("2.5.29.36", seq(tlv(0x80, b"\0")), True)]},
        "same unknown one twice": {"more": [extension("1.2.3.4.5", b"x") + extension("1.2.3.4.5", b"y")]},
        "an address block of nobody": {"more": [extension("1.3.6.1.5.5.7.1.7", seq(seq(tlv(4, b"\0\1"), tlv(5))), True)]},
        "lives a thousand years": {"ends": time_of(365_000)},
        "version 4": {"version": 3},
        "version of ten": {"version": 9},
    }


def wrong_hub_names() -> dict[str, dict[str, Any]]:
    """Of a hub that was asked for as "localhost"."""
    names = {
        "no names": None,
        "empty list of names": alternative(),
        "names twice": alternative(dns(b"localhost")) + alternative(dns(b"elsewhere")),
        "elsewhere": alternative(dns(b"elsewhere.example")),
        "any": alternative(dns(b"*")),
        "any below": alternative(dns(b"*.localhost")),
        "part of a label": alternative(dns(b"local*")),
        "middle of a label": alternative(dns(b"l*t")),
        "longer": alternative(dns(b"localhost.evil.example")),
        "name before it": alternative(dns(b"evil.localhost")),
        "dot before it": alternative(dns(b".localhost")),
        "NUL behind it": alternative(dns(b"localhost\0")),
        "NUL and more behind it": alternative(dns(b"localhost\0.evil.example")),
        "blank behind it": alternative(dns(b"localhost ")),
        "as URI": alternative(uri(b"https://localhost")),
        "as mail": alternative(tlv(0x81, b"localhost")),
        "as directory name": alternative(tlv(0xA4, name(cn(b"localhost")))),
        "as other name": alternative(tlv(0xA0, oid("1.3.6.1.5.5.7.8.9"), tlv(0xA0, utf8(b"localhost")))),
        "its address": alternative(address(b"\x7f\0\0\1")),
        "a collector's": alternative(uri(f"urn:uuid:{uuid.uuid4()}".encode())),
    }
    made: dict[str, dict[str, Any]] = {what: {"replaced": {"names": value}} for what, value in names.items()}
    for one in made.values():
        one["subject"] = name(cn(b"localhost"))  # which must not count
    return made
