// The strict head of a request: raw requests that two servers could read differently, each limit
// at and one past it, and Boost.Beast's parser as an independent judge of what is accepted.
#include "pganalytics/serve/request_head.hpp"

#include <gtest/gtest.h>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <string>
#include <vector>

namespace pganalytics::serve {
namespace {

using std::string_literals::operator""s;

struct Outcome {
    int status = 0;  // 0: accepted, -1: incomplete
    std::string reason;
    size_t head_bytes = 0;
    RequestHead head;
};

// As a connection does it: scanned in pieces of `step`, then parsed.
Outcome take(const std::string& raw, size_t step) {
    HeadScanner scanner;
    for (size_t have = std::min(step, raw.size());; have = std::min(have + step, raw.size())) {
        const auto state = scanner.scan(std::string_view(raw).substr(0, have));
        if (state == HeadScanner::State::kRefused) {
            return {scanner.refusal().status, std::string(scanner.refusal().reason), 0, {}};
        }
        if (state == HeadScanner::State::kComplete) break;
        if (have == raw.size()) return {-1, "incomplete", 0, {}};
    }
    Outcome outcome;
    outcome.head_bytes = scanner.head_bytes();
    const std::string_view head = std::string_view(raw).substr(0, scanner.head_bytes());
    const HeadRefusal refusal = parse_request_head(head, outcome.head);
    outcome.status = refusal.status;
    outcome.reason = refusal.reason;
    return outcome;
}

struct Case {
    const char* what;
    int status;
    std::string raw;
};

const std::string kPost = "POST /api/v1/metrics/push HTTP/1.1\r\n";
const std::string kHost = "Host: hub.example:8443\r\n";

// A request with `fields` behind a proper request line and Host.
std::string with(const std::string& fields) { return kPost + kHost + fields + "\r\n"; }

std::string many_fields(size_t count) {
    std::string fields;
    for (size_t i = 0; i < count; ++i) fields += "X-" + std::to_string(i) + ": 1\r\n";
    return fields;
}

std::vector<Case> request_lines() {
    const auto line = [](const std::string& text) { return text + "\r\n" + kHost + "\r\n"; };
    return {
        {"plain", 0, line("GET /api/v1/health HTTP/1.1")},
        {"query", 0, line("GET /api/v1/health?a=1&b=%20 HTTP/1.1")},
        {"unknown method", 0, line("BREW / HTTP/1.1")},
        {"method in lower case", 0, line("get / HTTP/1.1")},
        {"method too long", 400, line("ABCDEFGHIJKLMNOPQ / HTTP/1.1")},
        {"method at limit", 0, line("ABCDEFGHIJKLMNOP / HTTP/1.1")},
        {"no method", 400, line(" / HTTP/1.1")},
        {"method with colon", 400, line("GE:T / HTTP/1.1")},
        {"method with parenthesis", 400, line("G(T / HTTP/1.1")},
        {"HTTP/1.0", 400, line("GET / HTTP/1.0")},
        {"HTTP/0.9", 400, "GET /\r\n\r\n"},
        {"HTTP/0.9 with version", 400, line("GET / HTTP/0.9")},
        {"HTTP/1.2", 400, line("GET / HTTP/1.2")},
        {"HTTP/2.0 preface", 400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        {"version in lower case", 400, line("GET / http/1.1")},
        {"version with zeros", 400, line("GET / HTTP/01.1")},
        {"version cut", 400, line("GET / HTTP/1.")},
        {"version long", 400, line("GET / HTTP/1.11")},
        {"version with comma", 400, line("GET / HTTP/1,1")},
        {"two spaces before target", 400, line("GET  / HTTP/1.1")},
        {"two spaces before version", 400, line("GET /  HTTP/1.1")},
        {"space behind version", 400, line("GET / HTTP/1.1 ")},
        {"space in front", 400, line(" GET / HTTP/1.1")},
        {"tab between", 400, line("GET\t/\tHTTP/1.1")},
        {"tab before version", 400, line("GET /\tHTTP/1.1")},
        {"three words behind method", 400, line("GET / x HTTP/1.1")},
        {"absolute form", 400, line("GET https://hub.example/ HTTP/1.1")},
        {"absolute form http", 400, line("GET http://hub.example/api/v1/health HTTP/1.1")},
        {"authority form", 400, line("CONNECT hub.example:443 HTTP/1.1")},
        {"asterisk form", 400, line("OPTIONS * HTTP/1.1")},
        {"no slash", 400, line("GET api/v1/health HTTP/1.1")},
        {"fragment", 400, line("GET /a#b HTTP/1.1")},
        {"backslash", 400, line("GET /a\\b HTTP/1.1")},
        {"quote", 400, line("GET /a\"b HTTP/1.1")},
        {"angle bracket", 400, line("GET /<script> HTTP/1.1")},
        {"brace", 400, line("GET /{a} HTTP/1.1")},
        {"caret", 400, line("GET /a^b HTTP/1.1")},
        {"pipe", 400, line("GET /a|b HTTP/1.1")},
        {"percent cut", 400, line("GET /a% HTTP/1.1")},
        {"percent with one digit", 400, line("GET /a%2 HTTP/1.1")},
        {"percent with letters", 400, line("GET /a%zz HTTP/1.1")},
        {"non-ASCII target", 400, line("GET /\xc3\xa4 HTTP/1.1")},
        {"NUL in target", 400, line("GET /a"s + '\0' + "b HTTP/1.1")},
        {"DEL in target", 400, line("GET /a\x7f HTTP/1.1")},
        {"control in target", 400, line("GET /a\x01 HTTP/1.1")},
        {"empty line in front", 400, "\r\n" + line("GET / HTTP/1.1")},
        {"LF in front", 400, "\n" + line("GET / HTTP/1.1")},
        {"only CRLF CRLF", 400, "\r\n\r\n"},
        {"TLS hello", 400, "\x16\x03\x01\x02\x01\x01\xfc\x03\x03"},
        {"binary", 400, "\xff\xfe\xfd"},
    };
}

std::vector<Case> line_ends() {
    return {
        {"bare LF all over", 400, "GET / HTTP/1.1\nHost: hub.example\n\n"},
        {"bare LF behind request line", 400, "GET / HTTP/1.1\n" + kHost + "\r\n"},
        {"bare LF behind field", 400, kPost + "Host: hub.example\n\r\n"},
        {"bare LF at the end", 400, kPost + kHost + "\n"},
        {"bare CR in request line", 400, "GET /\rHTTP/1.1\r\n" + kHost + "\r\n"},
        {"bare CR in field", 400, with("X-A: a\rb\r\n")},
        {"bare CR before CRLF", 400, with("X-A: a\r\r\n")},
        {"bare CR at the end", 400, kPost + kHost + "\rX"},
        {"bare CR hides a field", 400, with("X-A: a\rContent-Length: 5\r\n")},
        {"LF CR", 400, kPost + "Host: hub.example\n\r\n\r"},
        {"folding with space", 400, with("X-A: a\r\n b\r\n")},
        {"folding with tab", 400, with("X-A: a\r\n\tb\r\n")},
        {"folding as first field", 400, kPost + " Host: hub.example\r\n\r\n"},
        {"folded Content-Length", 400, with("Content-Length:\r\n 5\r\n")},
        {"line of blanks", 400, with(" \r\n")},
        {"NUL in value", 400, with("X-A: a"s + '\0' + "b\r\n")},
        {"NUL in name", 400, with("X-"s + '\0' + "A: b\r\n")},
        {"vertical tab", 400, with("X-A: a\x0b\r\n")},
        {"form feed", 400, with("X-A: a\x0c\r\n")},
        {"DEL in value", 400, with("X-A: a\x7f\r\n")},
        {"escape in value", 400, with("X-A: \x1b[31m\r\n")},
        {"latin 1 in value", 400, with("X-A: \xe4\r\n")},
        {"UTF-8 in value", 400, with("X-A: \xc3\xa4\r\n")},
        {"next line U+0085", 400, with("X-A: a\xc2\x85X-B: b\r\n")},
        {"tab in value", 0, with("X-A: a\tb\r\n")},
        {"incomplete", -1, kPost + kHost},
        {"incomplete CR", -1, kPost + kHost + "\r"},
        {"nothing", -1, ""},
    };
}

std::vector<Case> fields() {
    return {
        {"blanks around value", 0, with("X-A: \t a \t \r\n")},
        {"no blank", 0, with("X-A:a\r\n")},
        {"empty value", 0, with("X-A:\r\n")},
        {"space before colon", 400, with("X-A : a\r\n")},
        {"tab before colon", 400, with("X-A\t: a\r\n")},
        {"space before colon of length", 400, with("Content-Length : 5\r\n")},
        {"no colon", 400, with("X-A\r\n")},
        {"empty name", 400, with(": a\r\n")},
        {"space in name", 400, with("X A: a\r\n")},
        {"non-ASCII name", 400, with("X-\xc3\xa4: a\r\n")},
        {"bracket in name", 400, with("X[A]: a\r\n")},
        {"slash in name", 400, with("X/A: a\r\n")},
        {"quote in name", 400, with("\"X\": a\r\n")},
        {"at in name", 400, with("X@A: a\r\n")},
        {"unknown field twice", 0, with("X-A: a\r\nX-A: b\r\n")},
        {"authorization twice", 400, with("Authorization: a\r\nAuthorization: b\r\n")},
        {"secret twice", 400, with("X-Registration-Secret: a\r\nx-registration-secret: a\r\n")},
        {"content type twice", 400,
         with("Content-Type: application/json\r\nContent-Type: text/plain\r\n")},
        {"content encoding twice", 400,
         with("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n")},
        {"fifty fields", 0, with(many_fields(kHeaderFields - 1))},
        {"fifty-one fields", 431, with(many_fields(kHeaderFields))},
        {"expect", 417, with("Content-Length: 1\r\nExpect: 100-continue\r\n")},
        {"expect other", 417, with("Expect: x\r\n")},
        {"upgrade", 400, with("Connection: Upgrade\r\nUpgrade: websocket\r\n")},
        {"upgrade h2c", 400, with("Upgrade: h2c\r\n")},
        {"http2 settings", 400, with("HTTP2-Settings: AAMAAABk\r\n")},
        {"trailer", 400, with("Trailer: X-A\r\n")},
        {"TE", 400, with("TE: trailers\r\n")},
        {"connection close", 0, with("Connection: close\r\n")},
        {"connection keep-alive", 0, with("Connection: Keep-Alive\r\n")},
        {"connection names a field", 400, with("Connection: close, Content-Length\r\n")},
        {"connection twice", 400, with("Connection: close\r\nConnection: keep-alive\r\n")},
        {"connection empty", 400, with("Connection:\r\n")},
    };
}

std::vector<Case> lengths() {
    return {
        {"no length", 0, with("")},
        {"length", 0, with("Content-Length: 5\r\n")},
        {"length zero", 0, with("Content-Length: 0\r\n")},
        {"length at digits' limit", 0, with("Content-Length: 999999999999999999\r\n")},
        {"length overflows", 400, with("Content-Length: 18446744073709551617\r\n")},
        {"length of 40 digits", 400, with("Content-Length: " + std::string(40, '9') + "\r\n")},
        {"length with plus", 400, with("Content-Length: +5\r\n")},
        {"length with minus", 400, with("Content-Length: -5\r\n")},
        {"length hexadecimal", 400, with("Content-Length: 0x5\r\n")},
        {"length with leading zero", 400, with("Content-Length: 05\r\n")},
        {"length with fraction", 400, with("Content-Length: 5.0\r\n")},
        {"length with exponent", 400, with("Content-Length: 1e1\r\n")},
        {"length with text", 400, with("Content-Length: 5a\r\n")},
        {"length with inner space", 400, with("Content-Length: 5 5\r\n")},
        {"length empty", 400, with("Content-Length: \r\n")},
        {"length quoted", 400, with("Content-Length: \"5\"\r\n")},
        {"length list, equal", 400, with("Content-Length: 5, 5\r\n")},
        {"length list, different", 400, with("Content-Length: 5, 6\r\n")},
        {"length twice, equal", 400, with("Content-Length: 5\r\nContent-Length: 5\r\n")},
        {"length twice, different", 400, with("Content-Length: 5\r\nContent-Length: 6\r\n")},
        {"length twice by case", 400, with("Content-Length: 5\r\ncontent-length: 5\r\n")},
        {"length with underscore", 400, with("Content_Length: 5\r\n")},
        {"length and its underscore form", 400, with("Content-Length: 5\r\nContent_Length: 6\r\n")},
        {"chunked", 411, with("Transfer-Encoding: chunked\r\n")},
        {"chunked in capitals", 411, with("TRANSFER-ENCODING: CHUNKED\r\n")},
        {"identity", 411, with("Transfer-Encoding: identity\r\n")},
        {"coding empty", 411, with("Transfer-Encoding:\r\n")},
        {"coding unknown", 411, with("Transfer-Encoding: xchunked\r\n")},
        {"coding gzip, chunked", 411, with("Transfer-Encoding: gzip, chunked\r\n")},
        {"coding with vertical tab", 400, with("Transfer-Encoding:\x0b"s + "chunked\r\n")},
        {"coding with space before colon", 400, with("Transfer-Encoding : chunked\r\n")},
        {"coding with underscore", 400, with("Transfer_Encoding: chunked\r\n")},
        {"coding twice", 400,
         with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
        {"length and chunked", 400, with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")},
        {"chunked and length", 400, with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")},
    };
}

std::vector<Case> hosts() {
    const auto host = [](const std::string& text) { return kPost + text + "\r\n"; };
    return {
        {"name", 0, host("Host: hub.example\r\n")},
        {"IPv4", 0, host("Host: 127.0.0.1:8443\r\n")},
        {"IPv6", 0, host("Host: [::1]:8443\r\n")},
        {"IPv6 without port", 0, host("Host: [::1]\r\n")},
        {"none", 400, kPost + "\r\n"},
        {"twice", 400, host("Host: hub.example\r\nHost: hub.example\r\n")},
        {"twice, different", 400, host("Host: hub.example\r\nHost: evil.example\r\n")},
        {"empty", 400, host("Host:\r\n")},
        {"only a port", 400, host("Host: :8443\r\n")},
        {"list", 400, host("Host: hub.example, evil.example\r\n")},
        {"with user", 400, host("Host: user@hub.example\r\n")},
        {"with path", 400, host("Host: hub.example/\r\n")},
        {"with scheme", 400, host("Host: https://hub.example\r\n")},
        {"with space", 400, host("Host: hub example\r\n")},
        {"underscore", 400, host("Host: hub_example\r\n")},
        {"port empty", 400, host("Host: hub.example:\r\n")},
        {"port zero", 400, host("Host: hub.example:0\r\n")},
        {"port too large", 400, host("Host: hub.example:65536\r\n")},
        {"port with sign", 400, host("Host: hub.example:+443\r\n")},
        {"port with letters", 400, host("Host: hub.example:443a\r\n")},
        {"two ports", 400, host("Host: hub.example:443:444\r\n")},
        {"IPv6 without brackets", 400, host("Host: ::1\r\n")},
        {"bracket open", 400, host("Host: [::1\r\n")},
        {"bracket with text behind", 400, host("Host: [::1]x\r\n")},
        {"bracket with zone", 400, host("Host: [fe80::1%25eth0]\r\n")},
        {"too long", 400, host("Host: " + std::string(256, 'a') + "\r\n")},
        {"longest", 0, host("Host: " + std::string(255, 'a') + "\r\n")},
    };
}

std::vector<Case> sizes() {
    const auto line = [](size_t bytes) {
        const std::string frame = "GET / HTTP/1.1";
        return "GET /" + std::string(bytes - frame.size(), 'a') + " HTTP/1.1\r\n" + kHost + "\r\n";
    };
    // A header section (with its empty line) of exactly `bytes`.
    const auto section = [](size_t bytes) {
        const size_t taken = kHost.size() + 2 + std::string_view("X: \r\n").size();
        return kPost + kHost + "X: " + std::string(bytes - taken, 'a') + "\r\n\r\n";
    };
    return {
        {"request line at limit", 0, line(kRequestLineBytes)},
        {"request line one past", 414, line(kRequestLineBytes + 1)},
        {"request line without end", 414, "GET /" + std::string(5000, 'a')},
        {"section at limit", 0, section(kHeaderBytes)},
        {"section one past", 431, section(kHeaderBytes + 1)},
        {"section without end", 431, kPost + kHost + "X: " + std::string(20000, 'a')},
    };
}

std::vector<Case> all_cases() {
    std::vector<Case> all;
    for (const auto& part : {request_lines(), line_ends(), fields(), lengths(), hosts(), sizes()}) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

TEST(RequestHead, RawRequests) {
    const std::vector<Case> cases = all_cases();
    EXPECT_GE(cases.size(), 170U);
    for (const Case& c : cases) {
        EXPECT_EQ(take(c.raw, c.raw.size() + 1).status, c.status) << c.what;
    }
}

// However the bytes are cut, the verdict is the same.
TEST(RequestHead, CutAnywhere) {
    for (const Case& c : all_cases()) {
        for (const size_t step : {size_t{1}, size_t{2}, size_t{7}, size_t{100}}) {
            EXPECT_EQ(take(c.raw, step).status, c.status) << c.what << ", step " << step;
        }
    }
}

TEST(RequestHead, RefusesAsSoonAsItCanBeKnown) {
    HeadScanner scanner;
    EXPECT_EQ(scanner.scan("GET / HTTP/1.1\n"), HeadScanner::State::kRefused);
}

TEST(RequestHead, GivesWhatWasSent) {
    const std::string raw =
        "POST /api/v1/metrics/push?x=1 HTTP/1.1\r\nhOST: [::1]:8443\r\nContent-Length: 12\r\n"
        "Authorization:  Bearer abc \r\nConnection: close\r\n\r\nbody, and more";
    const Outcome outcome = take(raw, 3);
    ASSERT_EQ(outcome.status, 0) << outcome.reason;
    EXPECT_EQ(raw.substr(outcome.head_bytes), "body, and more");
    EXPECT_EQ(outcome.head.method, "POST");
    EXPECT_EQ(outcome.head.target, "/api/v1/metrics/push?x=1");
    EXPECT_EQ(outcome.head.host, "::1");
    EXPECT_EQ(outcome.head.content_length, 12U);
    EXPECT_FALSE(outcome.head.keep_alive);
    EXPECT_EQ(outcome.head.field("AUTHORIZATION"), "Bearer abc");
    EXPECT_FALSE(outcome.head.field("X-None"));
}

// No reason repeats any of the request.
TEST(RequestHead, ReasonsEchoNothing) {
    for (const Case& c : all_cases()) {
        const std::string reason = take(c.raw, 100).reason;
        EXPECT_EQ(reason.find("example"), std::string::npos) << c.what;
        EXPECT_EQ(reason.find("script"), std::string::npos) << c.what;
    }
}

// An independent judge: what we accept, Beast reads in the same way.
TEST(RequestHead, BeastAgreesOnWhatIsAccepted) {
    namespace http = boost::beast::http;
    size_t accepted = 0;
    for (const Case& c : all_cases()) {
        if (c.status != 0) continue;
        ++accepted;
        const Outcome ours = take(c.raw, 100);
        http::request_parser<http::empty_body> parser;
        parser.header_limit(64 * 1024);
        parser.body_limit(boost::none);
        boost::system::error_code error;
        const size_t used = parser.put(boost::asio::buffer(c.raw), error);
        ASSERT_FALSE(error && error != http::error::need_more &&
                     error != http::error::unexpected_body)
            << c.what << ": " << error.message();
        EXPECT_EQ(used, ours.head_bytes) << c.what;
        const auto text = [](const auto& view) { return std::string(view.data(), view.size()); };
        EXPECT_EQ(text(parser.get().method_string()), ours.head.method) << c.what;
        EXPECT_EQ(text(parser.get().target()), ours.head.target) << c.what;
        size_t count = 0;
        for (const auto& field : parser.get()) {
            ASSERT_LT(count, ours.head.field_count);
            EXPECT_EQ(text(field.name_string()), ours.head.fields[count].name) << c.what;
            EXPECT_EQ(text(field.value()), ours.head.fields[count].value) << c.what;
            ++count;
        }
        EXPECT_EQ(count, ours.head.field_count) << c.what;
        if (ours.head.content_length.has_value()) {
            EXPECT_EQ(parser.content_length().value_or(0), *ours.head.content_length) << c.what;
        }
    }
    EXPECT_GE(accepted, 20U);
}

}  // namespace
}  // namespace pganalytics::serve
