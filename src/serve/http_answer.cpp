// Answers as bytes (see the header). Pure.
#include "pganalytics/serve/http_answer.hpp"

#include <chrono>
#include <cstdio>

#include "pganalytics/serve/json_text.hpp"

namespace pganalytics::serve {

namespace {

constexpr std::string_view phrase(int status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 411:
            return "Length Required";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 503:
            return "Service Unavailable";
        default:
            return "Error";
    }
}

// "Sun, 06 Nov 1994 08:49:37 GMT"
std::string date_text(int64_t now) {
    const std::chrono::sys_seconds time{std::chrono::seconds(now)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(time - day);
    constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[48];
    std::snprintf(text, sizeof text, "%s, %02u %s %04d %02d:%02d:%02d GMT",
                  kDays[std::chrono::weekday(day).c_encoding()], static_cast<unsigned>(date.day()),
                  kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                  static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return text;
}

}  // namespace

Answer error_answer(int status, std::string_view message, std::string_view details) {
    JsonObject body;
    body.number("code", static_cast<uint64_t>(status)).text("message", message);
    if (!details.empty()) body.text("details", details);
    Answer answer;
    answer.status = status;
    answer.body = body.take();
    return answer;
}

Answer wait_answer(int status, uint32_t retry_after, std::string_view message) {
    Answer answer = error_answer(status, message);
    answer.retry_after = retry_after;
    return answer;
}

Answer unauthorized() { return error_answer(401, "certificate or token not accepted"); }

std::string answer_bytes(const Answer& answer, bool keep_alive, int64_t now, bool to_head) {
    std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " ";
    out += phrase(answer.status);
    out += "\r\nDate: " + date_text(now);
    out += "\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ";
    out += std::to_string(answer.body.size());
    out +=
        "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Strict-Transport-Security: max-age=63072000\r\n";
    if (answer.status == 401) out += "WWW-Authenticate: Bearer\r\n";
    if (!answer.allow.empty()) out.append("Allow: ").append(answer.allow).append("\r\n");
    if (answer.retry_after > 0) {
        out += "Retry-After: " + std::to_string(answer.retry_after) + "\r\n";
    }
    out += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
    return to_head ? out : out + answer.body;
}

}  // namespace pganalytics::serve
