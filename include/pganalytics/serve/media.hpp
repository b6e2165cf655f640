// What a request says its body is: Content-Type and Content-Encoding. Pure. Runs in
// `pganalytics serve`.
#pragma once

#include <optional>

#include "pganalytics/serve/http_answer.hpp"
#include "pganalytics/serve/request_head.hpp"

namespace pganalytics::serve {

// application/json, with charset=utf-8 or no parameter.
bool is_json(const RequestHead& head);

enum class Coding : uint8_t { kIdentity, kGzip };
// Empty: a coding that is not accepted.
std::optional<Coding> content_coding(const RequestHead& head);

}  // namespace pganalytics::serve
