// What a route answers, and its bytes. Errors are {"code", "message", "details"}, with fixed texts:
// nothing of a request is ever repeated. Pure. Runs in `pganalytics serve`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pganalytics::serve {

struct Answer {
    int status = 200;
    std::string body;          // JSON
    uint32_t retry_after = 0;  // seconds; 0: not said
    std::string_view allow;    // methods, for 405
    bool close = false;        // the connection ends with it
};

Answer error_answer(int status, std::string_view message, std::string_view details = {});
// 429 or 503
Answer wait_answer(int status, uint32_t retry_after, std::string_view message);
// One text for every reason: who is not let in does not learn why.
Answer unauthorized();

// Status line, header and body. `keep_alive`: what the connection will do; `now`: seconds since
// 1970, for Date. The answer to HEAD is the head alone: whoever asked does not read a body.
std::string answer_bytes(const Answer& answer, bool keep_alive, int64_t now, bool to_head = false);

}  // namespace pganalytics::serve
