// Heads of requests. The first byte says where the bytes are cut in two on their way in. What the
// scanner and the parser accept is read again here, by rules of our own, so that nothing two
// servers could read differently has slipped through.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "pganalytics/serve/media.hpp"
#include "pganalytics/serve/request_head.hpp"

namespace pganalytics::serve {

namespace {

using State = HeadScanner::State;

// A name as the most lenient server would know it.
std::string loose(std::string_view name) {
    std::string out(name);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
        if (c == '_') c = '-';
    }
    return out;
}

std::string_view without_blanks(std::string_view text) {
    while (!text.empty() && std::strchr(" \t", text.front())) text.remove_prefix(1);
    while (!text.empty() && std::strchr(" \t", text.back())) text.remove_suffix(1);
    return text;
}

std::vector<std::string_view> lines_of(std::string_view head) {
    std::vector<std::string_view> lines;
    for (size_t at = 0; at < head.size();) {
        const size_t end = head.find("\r\n", at);
        FUZZ_CHECK(end != std::string_view::npos);
        lines.push_back(head.substr(at, end - at));
        at = end + 2;
    }
    return lines;
}

void check_refusal(const HeadRefusal& refusal) {
    FUZZ_CHECK(!refusal.reason.empty());
    for (const int status : {400, 411, 414, 417, 431}) {
        if (refusal.status == status) return;
    }
    FUZZ_CHECK(false);
}

// What a whole head is, accepted or not: printable ASCII, tabs, and CR only before LF.
void check_scanned(std::string_view head) {
    FUZZ_CHECK(head.ends_with("\r\n\r\n") && head.size() > 4 && !head.starts_with("\r\n"));
    FUZZ_CHECK(head.find("\r\n\r\n") == head.size() - 4);
    FUZZ_CHECK(head.find("\r\n") <= kRequestLineBytes);
    FUZZ_CHECK(head.size() <= kRequestLineBytes + 2 + kHeaderBytes);
    for (const std::string_view line : lines_of(head)) {
        for (const char c : line) FUZZ_CHECK((c >= ' ' && c <= '~') || c == '\t');
    }
}

void check_accepted(std::string_view head, const RequestHead& parsed) {
    std::vector<std::string_view> lines = lines_of(head);
    FUZZ_CHECK(lines.back().empty());
    lines.pop_back();
    FUZZ_CHECK(lines.size() <= kHeaderFields + 1 && parsed.field_count == lines.size() - 1);
    const std::string first =
        std::string(parsed.method) + " " + std::string(parsed.target) + " HTTP/1.1";
    FUZZ_CHECK(lines[0] == first && parsed.target.starts_with('/'));
    FUZZ_CHECK(parsed.target.find_first_of(" \t#\\\"<>") == std::string_view::npos);
    size_t hosts = 0;
    size_t lengths = 0;
    for (size_t i = 1; i < lines.size(); ++i) {
        const size_t colon = lines[i].find(':');
        FUZZ_CHECK(colon != std::string_view::npos && colon > 0);
        const std::string name = loose(lines[i].substr(0, colon));
        FUZZ_CHECK(name.find_first_of(" \t") == std::string::npos);
        const std::string_view value = without_blanks(lines[i].substr(colon + 1));
        FUZZ_CHECK(value == parsed.fields[i - 1].value);
        for (const char* never : {"transfer-encoding", "expect", "upgrade", "trailer", "te"}) {
            FUZZ_CHECK(name != never);
        }
        if (name == "host") {
            ++hosts;
            FUZZ_CHECK(!parsed.host.empty() && value.find(parsed.host) <= 1);
        }
        if (name == "content-length") {
            ++lengths;
            FUZZ_CHECK(parsed.content_length && std::to_string(*parsed.content_length) == value);
        }
        if (name == "connection") {
            FUZZ_CHECK(loose(value) == (parsed.keep_alive ? "keep-alive" : "close"));
        }
    }
    FUZZ_CHECK(hosts == 1 && lengths == (parsed.content_length ? 1U : 0U));
}

// A line more, before the empty one: what it makes of an accepted head.
HeadRefusal with_line(std::string_view head, std::string_view line) {
    const std::string longer =
        std::string(head.substr(0, head.size() - 2)) + std::string(line) + "\r\n\r\n";
    HeadScanner scanner;
    if (scanner.scan(longer) == State::kRefused) return scanner.refusal();
    RequestHead parsed;
    return parse_request_head(longer, parsed);
}

void try_head(std::string_view head) {
    check_scanned(head);
    RequestHead parsed;
    if (const HeadRefusal refusal = parse_request_head(head, parsed)) {
        check_refusal(refusal);
        return;
    }
    check_accepted(head, parsed);
    (void)is_json(parsed);
    (void)content_coding(parsed);
    for (const char* line :
         {"Transfer-Encoding: chunked", "Transfer_Encoding: x", "Host: b", "Expect: 100-continue",
          "Upgrade: h2c", " folded", "no colon", "Content-Length : 1", "Content_Length: 1",
          "X\x0bY: 1", "A: b\rC: d"}) {
        FUZZ_CHECK(with_line(head, line));
    }
    if (parsed.content_length) FUZZ_CHECK(with_line(head, "content-length: 0"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes = fuzz_text(data + 1, size - 1);
    HeadScanner whole;
    const State state = whole.scan(bytes);
    // In pieces as at once.
    HeadScanner pieces;
    State met = pieces.scan(bytes.substr(0, bytes.size() * data[0] / 255));
    if (met == State::kMore) met = pieces.scan(bytes);
    FUZZ_CHECK(met == state);
    if (state == State::kMore) {
        FUZZ_CHECK(bytes.size() <= kRequestLineBytes + 2 + kHeaderBytes);
        return 0;
    }
    if (state == State::kRefused) {
        check_refusal(whole.refusal());
        FUZZ_CHECK(pieces.refusal().status == whole.refusal().status);
        return 0;
    }
    FUZZ_CHECK(pieces.head_bytes() == whole.head_bytes());
    const std::string_view head = bytes.substr(0, whole.head_bytes());
    // It ends there and nowhere before.
    HeadScanner shorter;
    FUZZ_CHECK(shorter.scan(head.substr(0, head.size() - 1)) == State::kMore);
    try_head(head);
    return 0;
}

}  // namespace pganalytics::serve
