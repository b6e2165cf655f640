// The strict head of a request (see the header). Pure.
#include "pganalytics/serve/request_head.hpp"

#include <algorithm>
#include <charconv>

namespace pganalytics::serve {

namespace {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

constexpr bool is_alphanumeric(char c) {
    return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

constexpr bool is_hex(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }

// RFC 9110, tchar.
constexpr bool is_token(char c) {
    return is_alphanumeric(c) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// RFC 3986: pchar, "/" and "?"; "%" is looked at apart.
constexpr bool is_target(char c) {
    return is_alphanumeric(c) ||
           std::string_view("-._~!$&'()*+,;=:@/?%").find(c) != std::string_view::npos;
}

template <class Predicate>
bool all_of(std::string_view text, Predicate predicate) {
    return std::all_of(text.begin(), text.end(), predicate);
}

// Fields that mean something to us, or to a server in front of us: once at most.
constexpr std::array<std::string_view, 11> kSingular = {
    "host",          "content-length", "content-type",     "content-encoding",
    "authorization", "connection",     "accept-encoding",  "x-registration-secret",
    "if-match",      "if-none-match",  "transfer-encoding"};

// Fields that would change how the message is read.
constexpr std::array<std::string_view, 4> kRefused = {"upgrade", "trailer", "te", "http2-settings"};

// "Content_Length" is Content-Length to servers that map both to one name.
bool same_to_somebody(std::string_view name, std::string_view known) {
    return name.size() == known.size() &&
           std::equal(name.begin(), name.end(), known.begin(),
                      [](char a, char b) { return (a == '_' ? '-' : lower(a)) == b; });
}

bool is_target_form(std::string_view target) {
    if (target.empty() || target[0] != '/' || !all_of(target, is_target)) return false;
    for (size_t i = 0; i < target.size(); ++i) {
        if (target[i] != '%') continue;
        if (i + 2 >= target.size() || !is_hex(target[i + 1]) || !is_hex(target[i + 2])) {
            return false;
        }
    }
    return true;
}

bool is_port(std::string_view text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() && number >= 1 &&
           number <= 65'535 && text[0] != '0';
}

// Takes name and port apart; false where it is neither "name[:port]" nor "[address][:port]".
bool split_host(std::string_view value, std::string_view& host) {
    std::string_view rest;
    if (!value.empty() && value[0] == '[') {
        const size_t close = value.find(']');
        if (close == std::string_view::npos) return false;
        host = value.substr(1, close - 1);
        rest = value.substr(close + 1);
        if (!all_of(host, [](char c) { return is_hex(c) || c == ':' || c == '.'; })) return false;
    } else {
        const size_t colon = value.find(':');
        host = value.substr(0, colon);
        rest = colon == std::string_view::npos ? std::string_view{} : value.substr(colon);
        if (!all_of(host, [](char c) { return is_alphanumeric(c) || c == '-' || c == '.'; })) {
            return false;
        }
    }
    if (host.empty() || host.size() > 255) return false;
    return rest.empty() || (rest[0] == ':' && rest.size() > 1 && is_port(rest.substr(1)));
}

// Plain digits, no sign, no leading zero, nothing that could overflow.
bool parse_length(std::string_view value, uint64_t& length) {
    if (value.empty() || value.size() > 18 || !all_of(value, is_digit)) return false;
    if (value.size() > 1 && value[0] == '0') return false;
    std::from_chars(value.data(), value.data() + value.size(), length);
    return true;
}

HeadRefusal parse_request_line(std::string_view line, RequestHead& out) {
    const size_t first = line.find(' ');
    const size_t second = first == std::string_view::npos ? first : line.find(' ', first + 1);
    if (second == std::string_view::npos) return {400, "request line malformed"};
    out.method = line.substr(0, first);
    out.target = line.substr(first + 1, second - first - 1);
    const std::string_view version = line.substr(second + 1);
    if (out.method.empty() || out.method.size() > kMethodBytes || !all_of(out.method, is_token)) {
        return {400, "method malformed"};
    }
    if (version != "HTTP/1.1") return {400, "only HTTP/1.1 is spoken here"};
    if (!is_target_form(out.target)) return {400, "target is not in origin form"};
    return {};
}

HeadRefusal parse_field(std::string_view line, RequestHead& out) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return {400, "header field without colon"};
    HeaderField field{line.substr(0, colon), line.substr(colon + 1)};
    // White space before the colon, at the line's start (folding) and everything but ASCII fall
    // here.
    if (field.name.empty() || !all_of(field.name, is_token)) {
        return {400, "header field name malformed"};
    }
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!field.value.empty() && is_blank(field.value.front())) field.value.remove_prefix(1);
    while (!field.value.empty() && is_blank(field.value.back())) field.value.remove_suffix(1);
    for (const std::string_view name : kRefused) {
        if (same_to_somebody(field.name, name)) return {400, "header field not accepted"};
    }
    for (const std::string_view name : kSingular) {
        if (!same_to_somebody(field.name, name)) continue;
        if (field.name.find('_') != std::string_view::npos) {
            return {400, "header field name malformed"};
        }
        if (out.field(name)) return {400, "header field repeated"};
    }
    if (out.field_count == out.fields.size()) return {431, "too many header fields"};
    out.fields[out.field_count++] = field;
    return {};
}

HeadRefusal check_framing(RequestHead& out) {
    const auto length = out.field("content-length");
    if (out.field("transfer-encoding")) {
        if (length) return {400, "Transfer-Encoding beside Content-Length"};
        return {411, "a Content-Length is required"};
    }
    if (length) {
        uint64_t bytes = 0;
        if (!parse_length(*length, bytes)) return {400, "Content-Length malformed"};
        out.content_length = bytes;
    }
    if (out.field("expect")) return {417, "Expect is not accepted"};
    if (const auto connection = out.field("connection")) {
        out.keep_alive = equal_ignoring_case(*connection, "keep-alive");
        if (!out.keep_alive && !equal_ignoring_case(*connection, "close")) {
            return {400, "Connection option not accepted"};
        }
    }
    const auto host = out.field("host");
    if (!host) return {400, "Host missing"};
    if (!split_host(*host, out.host)) return {400, "Host malformed"};
    return {};
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return lower(x) == lower(y); });
}

std::optional<std::string_view> RequestHead::field(std::string_view name) const {
    for (size_t i = 0; i < field_count; ++i) {
        if (equal_ignoring_case(fields[i].name, name)) return fields[i].value;
    }
    return std::nullopt;
}

HeadScanner::State HeadScanner::refuse(int status, std::string_view reason) {
    refusal_ = {status, reason};
    return State::kRefused;
}

// position_ stands behind the LF of a line.
HeadScanner::State HeadScanner::end_line() {
    const bool is_empty = position_ - line_start_ == 2;
    ++lines_;
    line_start_ = position_;
    if (lines_ == 1) {
        header_start_ = position_;
        return is_empty ? refuse(400, "request line missing") : State::kMore;
    }
    if (is_empty) return State::kComplete;
    if (lines_ > kHeaderFields + 1) return refuse(431, "too many header fields");
    return State::kMore;
}

HeadScanner::State HeadScanner::scan(std::string_view bytes) {
    while (position_ < bytes.size()) {
        const auto byte = static_cast<unsigned char>(bytes[position_++]);
        if (lines_ == 0 && position_ > kRequestLineBytes + 2) {
            return refuse(414, "request line too long");
        }
        if (lines_ > 0 && position_ - header_start_ > kHeaderBytes) {
            return refuse(431, "header section too long");
        }
        if (after_cr_) {
            if (byte != '\n') return refuse(400, "bare CR");
            after_cr_ = false;
            const State state = end_line();
            if (state != State::kMore) return state;
        } else if (byte == '\r') {
            after_cr_ = true;
        } else if (byte == '\n') {
            return refuse(400, "bare LF");
        } else if ((byte < 0x20 && byte != '\t') || byte >= 0x7f) {
            return refuse(400, "character not accepted in a head");
        }
    }
    return State::kMore;
}

HeadRefusal parse_request_head(std::string_view head, RequestHead& out) {
    out = RequestHead{};
    const size_t line_end = head.find("\r\n");
    HeadRefusal refusal = parse_request_line(head.substr(0, line_end), out);
    size_t start = line_end + 2;
    while (!refusal && start < head.size()) {
        const size_t end = head.find("\r\n", start);
        if (end == std::string_view::npos) return {400, "head incomplete"};
        if (end == start) break;
        refusal = parse_field(head.substr(start, end - start), out);
        start = end + 2;
    }
    return refusal ? refusal : check_framing(out);
}

}  // namespace pganalytics::serve
