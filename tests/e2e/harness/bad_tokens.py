"""A corpus of collector tokens that are right but for one thing each; signed with the collector's own key wherever
the key is not that thing. Plain Python: hmac, base64, json."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

Pairs = list[tuple[str, Any]]


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unpart(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def derived(master: bytes, hub_id: str, collector: str, generation: int) -> bytes:
    """HKDF-SHA256."""
    info = b"pganalytics collector token\0" + collector.encode() + b"\0" + str(generation).encode()
    return hmac.digest(hmac.digest(hub_id.encode(), master, "sha256"), info + b"\1", "sha256")


class Raw(str):
    """Text of JSON, in place of a value."""


def text_of(pairs: Pairs) -> bytes:
    """As JSON; a key may be there twice."""
    members = (f"{json.dumps(key)}:{value if isinstance(value, Raw) else json.dumps(value)}" for key, value in pairs)
    return ("{" + ",".join(members) + "}").encode()


class Forger:
    def __init__(self, token: str, key: bytes) -> None:
        header, claims, self.signature = token.split(".")
        self.token, self.key = token, key
        self.header, self.claims = json.loads(unpart(header)), json.loads(unpart(claims))

    def sign(self, header: bytes, claims: bytes, key: bytes | None = None, digest: str = "sha256") -> str:
        signed = part(header) + "." + part(claims)
        return signed + "." + part(hmac.digest(self.key if key is None else key, signed.encode(), digest))

    def with_header(self, pairs: Pairs, digest: str = "sha256") -> str:
        return self.sign(text_of(pairs), text_of(list(self.claims.items())), digest=digest)

    def with_claims(self, pairs: Pairs) -> str:
        return self.sign(text_of(list(self.header.items())), text_of(pairs))

    def plain(self, **changed: Any) -> str:
        return self.with_claims(list((self.claims | changed).items()))


def algorithms(f: Forger) -> Iterator[tuple[str, str]]:
    rest = [(key, value) for key, value in f.header.items() if key != "alg"]
    for value in ("none", "None", "NONE", "nOnE", "", "HS256 ", " HS256", "hs256", "HS384", "HS512", "RS256", "ES256",
                  "EdDSA", "PS256", "A128KW", "dir", "HS256\0", "\uff28S256", None, 256, True, ["HS256"], {"HS256": 1}):  # fmt: skip
        made = f.with_header([("alg", value), *rest])
        yield f"alg {value!r}", made
        yield f"alg {value!r}, no signature", made.rsplit(".", 1)[0] + "."
    yield "no alg", f.with_header(rest)
    yield "HS512 in fact", f.with_header([("alg", "HS512"), *rest], "sha512")
    yield "HS512 that says HS256", f.with_header([("alg", "HS256"), *rest], "sha512")
    yield "two algs, right last", f.with_header([("alg", "none"), ("alg", "HS256"), *rest])
    yield "two algs, right first", f.with_header([("alg", "HS256"), *rest, ("alg", "none")])


def header_members(f: Forger) -> Iterator[tuple[str, str]]:
    right = list(f.header.items())
    for name in ("typ", "kid"):
        rest = [(key, value) for key, value in right if key != name]
        yield f"no {name}", f.with_header(rest)
        yield f"{name} twice", f.with_header([*right, (name, f.header[name])])
        yield f"{name} twice, wrong last", f.with_header([*right, (name, "0")])
    rest = [(key, value) for key, value in right if key != "typ"]
    kind = f.header["typ"]
    for value in ("JWT", "jwt", kind.upper(), kind + " ", "", "user+jwt", "at+jwt", "application/" + kind, None, 1, [kind]):
        yield f"typ {value!r}", f.with_header([("typ", value), *rest])
    rest = [(key, value) for key, value in right if key != "kid"]
    for value in ("0", "2", "9", "01", "+1", "-1", "1 ", " 1", "1\0", "1.0", "1e0", "0x1", "", "4294967297", "18446744073709551617",
                  "\u0661", "../master.key", "/dev/null", "' or 1=1 --", "1;2", "a" * 300, None, 1, 1.0, True, ["1"], {"1": "1"}):  # fmt: skip
        yield f"kid {value!r}", f.with_header([*rest, ("kid", value)])
    for name, value in {
        "jku": "https://evil.example/keys", "jwk": {"kty": "oct", "k": "AA"}, "x5u": "https://evil.example/", "x5c": ["AA"],
        "x5t": "AA", "x5t#S256": "AA", "crit": ["exp"], "zip": "DEF", "b64": False, "cty": "JWT", "enc": "A128GCM",
        "iss": "x", "": "", "Alg": "none", "alg ": "none", "alg\0": "none", "x": None,
    }.items():  # fmt: skip
        yield f"header with {name!r}", f.with_header([*right, (name, value)])


def claim_values(f: Forger) -> Iterator[tuple[str, str]]:
    right = list(f.claims.items())
    for name, good in right:
        rest = [(key, value) for key, value in right if key != name]
        yield f"no {name}", f.with_claims(rest)
        yield f"{name} twice", f.with_claims([*right, (name, good)])
        yield f"{name} twice, wrong first", f.with_claims([(name, "x"), *right])
        yield f"{name} in capitals", f.with_claims([*rest, (name.upper(), good)])
        for value in (None, True, False, "", "x", [good], {"": good}, -1, 0.5, Raw("1e400"), "\0", "\u0130"):
            yield f"{name} {value!r}", f.with_claims([*rest, (name, value)])
        if isinstance(good, str):
            for what, value in {
                "with a blank": good + " ", "after a blank": " " + good, "with NUL": good + "\0", "cut": good[:-1],
                "longer": good + "0", "in capitals": good.upper() if good.upper() != good else good.lower(),
                "in braces": "{" + good + "}", "as URN": "urn:uuid:" + good, "300 long": good + "x" * 300,
            }.items():  # fmt: skip
                # Of the token's own id only the form counts, and that may be written in capitals.
                if name != "jti" or what != "in capitals":
                    yield f"{name} {what}", f.with_claims([*rest, (name, value)])
    for name in ("sub", "collector_id", "aud", "hub", "iss"):
        yield f"another {name}", f.plain(**{name: str(uuid.uuid4())})
    both = str(uuid.uuid4())
    yield "another collector in both", f.plain(sub=both, collector_id=both)
    yield "aud a list", f.plain(aud=[f.claims["aud"], "x"])
    yield "one claim more", f.plain(admin=True)
    yield "claims of 1,200 bytes more", f.plain(x="x" * 1200)
    yield "claims of 100 kB more", f.plain(x="x" * 3000)


def times(f: Forger, now: int) -> Iterator[tuple[str, str]]:
    far = (0, -1, -(2**31), -(2**63), 2**63 - 1, 2**63, 2**64, 2**64 + now, 2**31, 10**30, float(now), now + 0.5, str(now),
           Raw("-0"), Raw(f"{now}e0"), Raw(f"0{now}"), Raw(f"+{now}"), Raw("1" * 200), Raw("NaN"), Raw("Infinity"))  # fmt: skip
    for name in ("iat", "nbf", "exp"):
        for value in far:
            # A beginning in 1970 is a beginning.
            if name != "nbf" or not (value == 0 or str(value) == "-0"):
                yield f"{name} {value!r}", f.plain(**{name: value})
    for what, (issued, begins, ends) in {
        "expired": (-4000, -4000, -400), "just expired": (-3600, -3600, -31), "early": (60, 60, 600), "begins later": (0, 100, 600),
        "issued later": (100, 0, 600), "lives a second too long": (0, 0, 3601), "lives ten years": (0, 0, 315_360_000),
        "ends before it was issued": (0, 0, -1), "ends as it was issued": (0, 0, 0), "ends before it begins": (0, 20, 10),
    }.items():  # fmt: skip
        yield what, f.plain(iat=now + issued, nbf=now + begins, exp=now + ends)


def bindings(f: Forger, others: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    """`others`: digests that are not this certificate's."""
    mine = f.claims["cnf"]["x5t#S256"]
    raw = unpart(mine)
    values: dict[str, Any] = {what: {"x5t#S256": part(digest)} for what, digest in others.items()}
    values |= {
        "in hexadecimal": {"x5t#S256": raw.hex()}, "padded": {"x5t#S256": mine + "="}, "standard letters": {"x5t#S256": "+" + mine[1:]},
        "cut": {"x5t#S256": mine[:-1]}, "nothing in it": {}, "of SHA-1": {"x5t": part(raw[:20])}, "another member": {"jkt": mine},
        "right and another": {"x5t#S256": mine, "jkt": "x"}, "twice": Raw(f'{{"x5t#S256":"x","x5t#S256":"{mine}"}}'),
        "deeper": {"cnf": {"x5t#S256": mine}}, "a list": [mine], "text": mine, "list in it": {"x5t#S256": [mine]},
        "point for an object": Raw("{}"), "null in it": {"x5t#S256": None},
    }  # fmt: skip
    for what, value in values.items():
        yield f"binding {what}", f.plain(cnf=value)
    rest = [(key, value) for key, value in f.claims.items() if key != "cnf"]
    yield "binding with a point in its name", f.with_claims([*rest, ("cnf.x5t#S256", mine)])


def forms(f: Forger) -> Iterator[tuple[str, str]]:
    token = f.token
    header, claims, signature = token.split(".")
    for length in range(0, len(token), max(1, len(token) // 40)):
        yield f"first {length} characters", token[:length]
        if length:
            yield f"without the first {length} characters", token[length:]
    for what, made in {
        "padded": token + "=", "padded twice": token + "==", "padded parts": f"{header}=.{claims}=.{signature}=",
        "point behind": token + ".", "point before": "." + token, "four parts": token + ".x", "five parts": token + ".x.y",
        "two points": f"{header}..{claims}.{signature}", "no signature": f"{header}.{claims}", "empty signature": f"{header}.{claims}.",
        "no header": f".{claims}.{signature}", "no claims": f"{header}..{signature}", "points only": "..", "one point": ".",
        "parts turned": f"{claims}.{header}.{signature}", "twice": token + token, "two tokens": f"{token} {token}",
        "two tokens, comma": f"{token},{token}", "quoted": f'"{token}"', "in brackets": f"<{token}>", "in capitals": token.upper(),
        "blank inside": token[:50] + " " + token[50:], "tab inside": token[:50] + "\t" + token[50:], "blank before": " " + token,
        "percent": token[:-1] + "%41", "plus": f"{header}.{claims}.+{signature[1:]}", "slash": f"{header}.{claims}./{signature[1:]}",
        "JSON form": json.dumps({"protected": header, "payload": claims, "signature": signature}), "huge": "A" * 6000,
        "2049 long": token + "A" * (2049 - len(token)), "a word": "x", "three letters": "a.b.c", "Bearer again": "Bearer " + token,
    }.items():  # fmt: skip
        yield what, made
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(token[-1])
    for more in range(1, 4):  # 32 bytes are 43 letters: the last two bits of the last one are nobody's
        yield f"unused bits {more}", token[:-1] + alphabet[last & ~3 | more]
    for at, letter in enumerate(token):
        if letter != ".":
            yield f"letter {at} changed", token[:at] + alphabet[alphabet.index(letter) ^ 32] + token[at + 1 :]
    raw = unpart(signature)
    for bit in range(256):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} of the signature", f"{header}.{claims}.{part(bytes(flipped))}"
    for what, digest in {"31 bytes": raw[:31], "33 bytes": raw + b"\0", "twice": raw * 2, "zeros": bytes(32), "20 bytes": raw[:20]}.items():
        yield f"signature of {what}", f"{header}.{claims}.{part(digest)}"


def odd_json(f: Forger) -> Iterator[tuple[str, str]]:
    header, claims = text_of(list(f.header.items())), text_of(list(f.claims.items()))
    for which in ("header", "claims"):
        good = header if which == "header" else claims
        for what, bad in {
            "nothing": b"", "null": b"null", "a number": b"5", "a list": b"[" + good + b"]", "text": json.dumps(good.decode()).encode(),
            "empty object": b"{}", "comma at the end": good[:-1] + b",}", "comma first": b"{," + good[1:], "not closed": good[:-1],
            "closed twice": good + b"}", "twice": good + good, "NUL behind": good + b"\0", "NUL before": b"\0" + good,
            "byte order mark": b"\xef\xbb\xbf" + good, "comment": b"/**/" + good, "comment inside": good[:1] + b"/**/" + good[1:],
            "single quotes": good.replace(b'"', b"'"), "no quotes": good.replace(b'"', b""), "equal signs": good.replace(b":", b"="),
            "invalid UTF-8": good.replace(b'":"', b'":"\xff', 1), "overlong UTF-8": good.replace(b'":"', b'":"\xc0\x80', 1),
            "half a surrogate": good.replace(b'":"', b'":"\\ud800', 1), "NUL escaped": good.replace(b'":"', b'":"\\u0000', 1),
            "line inside": good.replace(b'":"', b'":"\n', 1), "in UTF-16": good.decode().encode("utf-16"), "deep": b'{"x":' * 40 + b"1" + b"}" * 40,
            "deep lists": b"[" * 500 + b"]" * 500,
        }.items():  # fmt: skip
            yield f"{which}: {what}", f.sign(bad, claims) if which == "header" else f.sign(header, bad)


def other_keys(f: Forger, keys: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    header, claims = text_of(list(f.header.items())), text_of(list(f.claims.items()))
    for what, key in keys.items():
        yield f"key: {what}", f.sign(header, claims, key)


def all_of(f: Forger, others: dict[str, bytes], keys: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    yield from algorithms(f)
    yield from header_members(f)
    yield from claim_values(f)
    yield from times(f, int(time.time()))
    yield from bindings(f, others)
    yield from forms(f)
    yield from odd_json(f)
    yield from other_keys(f, keys)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
