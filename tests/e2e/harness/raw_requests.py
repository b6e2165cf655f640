"""A corpus of raw requests for the console port, with what the hub answers to each. Behind every one stands another
request: where the first is refused, that must never be read as one."""

from collections.abc import Iterator
from typing import NamedTuple

BEHIND = b"GET /api/v1/health?behind HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GET = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/collectors/register HTTP/1.1\r\nHost: localhost\r\n"
SECRET = b"Content-Type: application/json\r\nX-Registration-Secret: x\r\n"


class Case(NamedTuple):
    what: str
    data: bytes  # without BEHIND
    statuses: list[int]  # of what is answered to `data`; refused: one, and the connection ends
    goes_on: bool = False  # BEHIND is answered, too
    bodiless: bool = False  # the first answer, whatever its length says


def refused(what: object, data: bytes, status: int = 400) -> Case:
    return Case(str(what), data, [status])


def taken(what: object, data: bytes, *statuses: int) -> Case:
    return Case(str(what), data, list(statuses or [200]), True)


def lengths() -> Iterator[Case]:
    for value in (
        b"+5", b"-5", b"-0", b"+0", b"05", b"00", b"0x5", b"5,5", b"5, 5", b"0, 5", b"5;", b"5.0", b"5e0", b"1_0", b"", b"five", b"5 5",
        b'"5"', b"'5'", b"(5)", b"5/1", b"5\t5", b"18446744073709551616", b"18446744073709551621", b"9223372036854775808", b"4294967301000000000",
        b"1" * 30, b"1" * 500, b"Infinity", b"NaN", b"null", b"*", b"%35", b"\\5", b"5=", b"=5",
    ):  # fmt: skip
        yield refused(f"length {value!r}", POST + b"Content-Length: " + value + b"\r\n\r\nhello")
        yield refused(f"length {value!r} of a GET", GET + b"Content-Length: " + value + b"\r\n\r\n")
    for name in (b"Content-Length ", b"Content-Length\t", b" Content-Length", b"\tContent-Length", b"Content_Length", b"CONTENT_LENGTH",
                 b"Content-Length\0", b"Content-Length\x0b", b"Content-Length\xa0", b"Content\xadLength", b"Content-Length:", b"", b"Content Length"):  # fmt: skip
        yield refused(f"name {name!r}", POST + name + b": 5\r\n\r\nhello")
        yield refused(f"name {name!r} beside the length", POST + b"Content-Length: 0\r\n" + name + b": 5\r\n\r\nhello")
    one, two = b"Content-Length: 5\r\n", b"Content-Length: 0\r\n"
    for what, fields in {
        "5 and 0": one + two, "0 and 5": two + one, "5 and 5": one + one, "three": two * 3, "another case": one + b"CONTENT-LENGTH: 5\r\n",
        "far apart": one + b"X: y\r\n" * 20 + two, "with an underscore": one + b"Content_length: 0\r\n",
    }.items():  # fmt: skip
        yield refused(f"two lengths, {what}", POST + fields + b"\r\nhello")
    yield refused("no length", POST + SECRET + b"\r\n", 411)
    yield refused("a body where none belongs", GET + one + b"\r\nhello", 413)
    yield refused("a body beyond the limit", POST + SECRET + b"Content-Length: 16385\r\n\r\n", 413)
    yield refused("a length of 18 digits", POST + SECRET + b"Content-Length: 999999999999999999\r\n\r\n", 413)
    yield taken("length 0 of a GET", GET + two + b"\r\n")
    yield taken("length in capitals", GET + b"CONTENT-LENGTH: 0\r\n\r\n")
    yield taken("length behind tabs", GET + b"Content-Length:\t \t0 \t\r\n\r\n")
    inner = GET + b"\r\n"
    head = b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\n"
    yield taken("a body that looks like a request", head + b"Content-Length: %d\r\n\r\n" % len(inner) + inner, 404)


def codings() -> Iterator[Case]:
    chunks = b"0\r\n\r\n"
    for value in (b"chunked", b"Chunked", b"CHUNKED", b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity",
                  b"xchunked", b"chunkedx", b"chunked;q=1", b"chunked;a", b'"chunked"', b"chunk", b"", b",", b",chunked", b"chunked,", b"cow", b"trailers",
                  b"\tchunked", b"chunked\t", b"[chunked]", b"chun ked", b"null"):  # fmt: skip
        te = b"Transfer-Encoding: " + value + b"\r\n"
        yield refused(f"coding {value!r}", POST + te + b"\r\n" + chunks, 411)
        yield refused(f"coding {value!r} of a GET", GET + te + b"\r\n" + chunks, 411)
        yield refused(f"coding {value!r} behind a length", POST + b"Content-Length: 5\r\n" + te + b"\r\n" + chunks)
        yield refused(f"coding {value!r} before a length", POST + te + b"Content-Length: 5\r\n\r\n" + chunks)
    te = b"Transfer-Encoding: chunked\r\n"
    yield refused("two codings", POST + te + te + b"\r\n" + chunks)
    yield refused("two codings, one nobody knows", POST + te + b"Transfer-Encoding: cow\r\n\r\n" + chunks)
    for name in (b"Transfer-Encoding ", b" Transfer-Encoding", b"Transfer_Encoding", b"TRANSFER_ENCODING", b"Transfer-Encoding\t", b"Transfer-Encoding\0",
                 b"Transfer\x0b-Encoding", b"Transfer-Encoding:", b"\x0bTransfer-Encoding", b"Transfer-Encoding\xff", b"Transfer Encoding"):  # fmt: skip
        yield refused(f"coding under {name!r}", POST + b"Content-Length: 5\r\n" + name + b": chunked\r\n\r\n" + chunks)
    for what, value in {"behind VT": b"\x0bchunked", "with NUL": b"chunked\0", "behind a folded line": b"\r\n chunked", "with CR": b"chun\rked",
                        "with LF": b"x\nTransfer-Encoding: chunked", "with letters beyond ASCII": b"chunked\xa0"}.items():  # fmt: skip
        yield refused(f"coding {what}", POST + b"Transfer-Encoding: " + value + b"\r\n\r\n" + chunks)
    for what, body in {"an extension": b"5;x=y\r\nhello\r\n0\r\n\r\n", "bare LF": b"5\nhello\n0\n\n", "a trailer": b"0\r\nHost: evil\r\n\r\n",
                       "a sign": b"+5\r\nhello\r\n0\r\n\r\n", "a large one": b"ffffffffffffffff1\r\n", "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n"}.items():  # fmt: skip
        yield refused(f"chunks with {what}", POST + te + b"\r\n" + body, 411)


def endings() -> Iterator[Case]:
    lines = [b"GET /api/v1/health HTTP/1.1", b"Host: localhost", b"X: y", b""]
    for at in range(len(lines)):
        for what, end in {"LF": b"\n", "CR": b"\r", "CR CR LF": b"\r\r\n", "LF CR": b"\n\r", "NUL CR LF": b"\0\r\n", "VT": b"\x0b", "FF": b"\x0c",
                          "NEL": b"\x85"}.items():  # fmt: skip
            data = b"".join(line + (end if number == at else b"\r\n") for number, line in enumerate(lines))
            yield refused(f"line {at} ended by {what}", data)
    for what, fold in {"a blank": b"\r\n a", "a tab": b"\r\n\ta", "blanks alone": b"\r\n  ", "a field": b"\r\n Content-Length: 5"}.items():
        yield refused(f"folded with {what}", GET + b"X: y" + fold + b"\r\n\r\n")
        yield refused(f"first field folded with {what}", b"GET /api/v1/health HTTP/1.1" + fold + b"\r\nHost: localhost\r\n\r\n")
    yield refused("an empty line first", b"\r\n" + GET + b"\r\n")
    yield refused("LF first", b"\n" + GET + b"\r\n")
    yield refused("a blank first", b" " + GET + b"\r\n")


def request_lines() -> Iterator[Case]:
    fields = b"\r\nHost: localhost\r\n\r\n"
    for method in (b"", b"G ET", b"GET\t", b"\tGET", b"G\0ET", b"GET\x7f", b"(GET)", b"GET:", b"G/ET", b'"GET"', b"G\xc3\x89T", b"A" * 17, b"A" * 1000, b"{}"):
        yield refused(f"method {method[:20]!r}", method + b" /api/v1/health HTTP/1.1" + fields)
    for method in (b"get", b"Get", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"PROPFIND", b"X", b"A" * 16, b"GET."):
        yield taken(f"method {method!r}", method + b" /api/v1/health HTTP/1.1" + fields, 405)
    for target in (b"", b"*", b"api/v1/health", b"http://localhost/api/v1/health", b"https://localhost/api/v1/health", b"HTTP://LOCALHOST/", b"localhost:443",
                   b"localhost/api/v1/health", b"?x", b"#", b"/#x", b"/api/v1/health#x", b"/a b", b"/a\tb", b"/a\0b", b"/a\\b", b"\\api", b"/<x>", b'/"x"',
                   b"/{x}", b"/|", b"/^", b"/`", b"/%", b"/%4", b"/%zz", b"/%u0041", b"/a%", b"/\xc3\xa4", b"/\x7f", b"/[x]", b"://x", b"file:///etc/passwd",
                   b"javascript:x", b"../x", b" /x", b"@localhost/"):  # fmt: skip
        yield refused(f"target {target!r}", b"GET " + target + b" HTTP/1.1" + fields)
    for target in (b"/", b"//", b"//api/v1/health", b"/api/v1/health/", b"/api//v1/health", b"/api/v1/./health", b"/api/v1/x/../health", b"/%2e%2e/", b"/%00",
                   b"/api%2fv1%2fhealth", b"/api/v1/%68ealth", b"/api/v1/health;x", b"/API/V1/HEALTH", b"/api/v1/health%20", b"/api/v1/health%0d%0aX:y",
                   b"/http://localhost/api/v1/health", b"/@x", b"/~", b"/api/v1/metrics/push", b"/api/v1/collectors/refresh-token", b"/:x", b"/*"):  # fmt: skip
        yield taken(f"target {target!r}", b"GET " + target + b" HTTP/1.1" + fields, 404)
    for version in (b"", b"HTTP", b"HTTP/", b"HTTP/1", b"HTTP/1.", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/0.9", b"HTTP/2", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/1.10",
                    b"HTTP/01.1", b"HTTP/1.01", b"HTTP/ 1.1", b" HTTP/1.1", b"HTTP/1.1 ", b"http/1.1", b"Http/1.1", b"HTTPS/1.1", b"HTTP/1,1", b"HTTP/1.1.1",
                    b"HTTP/11", b"HTTP/4294967297.1", b"HTTP/-1.1", b"HTTP/1.1\t", b"HTTP/1.1\x0b", b"ICY", b"RTSP/1.0", b"HTTP/1.1 x"):  # fmt: skip
        yield refused(f"version {version!r}", b"GET /api/v1/health " + version + fields)
    yield refused("tabs between", b"GET\t/api/v1/health\tHTTP/1.1" + fields)
    yield refused("no version, no fields", b"GET /api/v1/health\r\n\r\n")
    yield taken("question mark", b"GET /api/v1/health? HTTP/1.1" + fields)
    yield taken("a line of 2,048 bytes", b"GET /api/v1/health?" + b"a" * (2048 - 28) + b" HTTP/1.1" + fields)
    yield refused("a line of 2,049 bytes", b"GET /api/v1/health?" + b"a" * (2049 - 28) + b" HTTP/1.1" + fields, 414)
    for size in (3000, 10_000, 100_000):
        yield refused(f"a target of {size}", b"GET /" + b"a" * size + b" HTTP/1.1" + fields, 414)


def hosts() -> Iterator[Case]:
    line = b"GET /api/v1/health HTTP/1.1\r\n"
    yield refused("no host", line + b"\r\n")
    yield refused("two hosts", GET + b"Host: localhost\r\n\r\n")
    yield refused("two hosts, other case", GET + b"hOST: evil.example\r\n\r\n")
    yield refused("a folded host", line + b"Host:\r\n localhost\r\n\r\n")
    for host in (b"", b"evil.example", b"localhost, evil.example", b"localhost evil.example", b"localhost:", b"localhost:0", b"localhost:65536", b"localhost:-1",
                 b"localhost:+1", b"localhost:01", b"localhost:x", b"localhost:1:2", b"user@localhost", b"u:p@localhost", b"localhost/x", b"localhost?", b"localhost#",
                 b"http://localhost", b"localhost\\x", b"local_host", b".localhost", b"*", b"[::1", b"::1", b"[]", b"[localhost]", b"[::1]x", b"[::1%25lo]",
                 b"%6cocalhost", b"localhost%00", b"a" * 300, b"127.1", b"2130706433", b"0x7f.0.0.1", b"127.0.0.2", b"localhost\xff"):  # fmt: skip
        yield refused(f"host {host[:30]!r}", line + b"Host: " + host + b"\r\n\r\n")
    for host in (b"localhost", b"LOCALHOST", b"localhost:1", b"localhost:65535", b"127.0.0.1", b"127.0.0.1:8443", b"\tlocalhost "):
        yield taken(f"host {host!r}", line + b"Host: " + host + b"\r\n\r\n")


def fields() -> Iterator[Case]:
    for code in [*range(0x21), *b'"(),/;<=>?@[\\]{}', 0x7F, 0x80, 0xC3, 0xFF]:
        yield refused(f"byte {code:#x} in a name", GET + b"X" + bytes([code]) + b"Y: z\r\n\r\n")
    for code in [*range(0x09), *range(0x0A, 0x20), 0x7F, 0x80, 0x85, 0xA0, 0xC3, 0xFF]:
        yield refused(f"byte {code:#x} in a value", GET + b"X: a" + bytes([code]) + b"b\r\n\r\n")
    yield taken("a tab in a value", GET + b"X: a\tb\r\n\r\n")
    yield taken("an empty value", GET + b"X:\r\nY: \t \r\n\r\n")
    yield refused("no colon", GET + b"X\r\n\r\n")
    yield refused("no name", GET + b": x\r\n\r\n")
    yield refused("a second request line", GET + GET + b"\r\n")
    for count, good in ((49, True), (50, False), (200, False)):
        data = GET + b"".join(b"X-%d: y\r\n" % number for number in range(count)) + b"\r\n"
        yield taken(f"{count + 1} fields", data) if good else refused(f"{count + 1} fields", data, 431)
    room = 8192 - len(b"Host: localhost\r\n") - len(b"X: \r\n") - 2
    yield taken("8,192 bytes of fields", GET + b"X: " + b"a" * room + b"\r\n\r\n")
    yield refused("8,193 bytes of fields", GET + b"X: " + b"a" * (room + 1) + b"\r\n\r\n", 431)
    yield refused("a name of 9,000 bytes", GET + b"a" * 9000 + b": x\r\n\r\n", 431)
    yield refused("a megabyte", GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", 431)
    for name in (b"Upgrade", b"TE", b"Trailer", b"HTTP2-Settings", b"upgrade", b"Http2_Settings"):
        for value in (b"h2c", b"trailers", b"websocket", b""):
            yield refused(f"{name.decode()} {value!r}", GET + name + b": " + value + b"\r\n\r\n")
    for value in (b"100-continue", b"100-Continue", b"x", b"", b"100-continue, x"):
        yield refused(f"expect {value!r}", POST + b"Content-Length: 5\r\nExpect: " + value + b"\r\n\r\nhello", 417)
    for value in (b"upgrade", b"close, upgrade", b"keep-alive, close", b"TE", b"Content-Length", b"Host", b"", b"x", b"close close"):
        yield refused(f"connection {value!r}", GET + b"Connection: " + value + b"\r\n\r\n")
    for name in (b"Connection: close", b"Content-Type: text/plain", b"Content-Encoding: gzip", b"Authorization: Bearer x", b"Accept-Encoding: gzip",
                 b"X-Registration-Secret: x", b"If-Match: x", b"If-None-Match: x"):  # fmt: skip
        yield refused(f"{name.decode()} twice", GET + (name + b"\r\n") * 2 + b"\r\n")
        yield refused(f"{name.decode()} and a blank", GET + name.replace(b":", b" :") + b"\r\n\r\n")
        if b"-" in name:
            yield refused(f"{name.decode()} with an underscore", GET + name.replace(b"-", b"_", 1) + b"\r\n\r\n")
    yield Case("close", GET + b"Connection: close\r\n\r\n", [200])
    yield Case("CLOSE", GET + b"Connection: CLOSE\r\n\r\n", [200])
    yield taken("keep-alive", GET + b"Connection: Keep-Alive\r\n\r\n")


def others() -> Iterator[Case]:
    yield refused("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield refused("TLS in TLS", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03")
    yield refused("greeting of SSH", b"SSH-2.0-OpenSSH_9\r\n")
    yield refused("SOCKS", b"\x05\x01\x00")
    yield refused("PROXY", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET + b"\r\n")
    yield refused("PROXY 2", b"\r\n\r\n\0\r\nQUIT\n" + GET)
    yield refused("startup of PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f")
    yield refused("NULs", bytes(100))
    yield refused("CONNECT", b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    yield Case("HEAD", b"HEAD /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", [405], True, True)
    yield Case("HEAD that closes", b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", [404], False, True)
    nowhere = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    good = GET + b"\r\n"
    yield taken("ten ahead", (good + nowhere) * 5, *[200, 404] * 5)
    yield Case("a bad one in the middle", good * 3 + GET + b"X : y\r\n\r\n" + good * 3, [200, 200, 200, 400])
    yield Case("one that closes in the middle", good + GET + b"Connection: close\r\n\r\n" + good, [200, 200])
    yield Case("a body behind one without", good + b"hello world, no request\r\n\r\n", [200, 400])


def corpus() -> list[Case]:
    makers = (lengths, codings, endings, request_lines, hosts, fields, others)
    return [case for make in makers for case in make()]
