// The head of an HTTP request, taken more strictly than any library takes it: whatever two servers
// could read differently is refused. Pure. Runs in `pganalytics serve`, before anything else looks
// at a byte of a request.
//
// Accepted is: one request line "METHOD SP origin-form SP HTTP/1.1" and fields "name: value", each
// ended by CRLF, then an empty line. Refused are, among others: bare CR or LF, folding, white space
// before the colon, control characters, NUL, anything but ASCII, an empty line in front, other
// versions and forms, Transfer-Encoding, Expect, Upgrade, Trailer, TE, doubled fields that mean
// something here, a Host that is no host, a Content-Length that is not plain digits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "pganalytics/serve/limits.hpp"

namespace pganalytics::serve {

// Why a head is refused. `status` 0: not refused. After each of these the connection closes.
struct HeadRefusal {
    int status = 0;
    std::string_view reason;  // fixed text, nothing of the request
    explicit operator bool() const { return status != 0; }
};

// Finds the end of a head in bytes as they come in, and refuses as early as it can be known.
class HeadScanner {
  public:
    enum class State : uint8_t { kMore, kComplete, kRefused };

    // `bytes` is everything received of this head so far; each call passes the same start and more
    // behind it. Not to be called again once complete or refused.
    State scan(std::string_view bytes);
    // Length of the head with its empty line, once complete.
    size_t head_bytes() const { return position_; }
    HeadRefusal refusal() const { return refusal_; }

  private:
    State refuse(int status, std::string_view reason);
    State end_line();

    size_t position_ = 0;
    size_t line_start_ = 0;
    size_t lines_ = 0;
    size_t header_start_ = 0;
    bool after_cr_ = false;
    HeadRefusal refusal_;
};

struct HeaderField {
    std::string_view name;
    std::string_view value;  // without white space around it
};

// Views into the bytes given to parse_request_head().
struct RequestHead {
    std::string_view method;
    std::string_view target;  // origin form, as sent
    std::string_view host;    // name or address, without port and brackets
    std::optional<uint64_t> content_length;
    bool keep_alive = true;
    std::array<HeaderField, kHeaderFields> fields;
    size_t field_count = 0;

    // The first of that name, compared without case. Fields a route asks for occur once at most.
    std::optional<std::string_view> field(std::string_view name) const;
};

// `head` is a whole head as HeadScanner found it. Fills `out` where it is accepted.
HeadRefusal parse_request_head(std::string_view head, RequestHead& out);

// "Application/JSON" equals "application/json".
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace pganalytics::serve
