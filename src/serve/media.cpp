// Content-Type and Content-Encoding (see the header). Pure.
#include "pganalytics/serve/media.hpp"

namespace pganalytics::serve {

bool is_json(const RequestHead& head) {
    const auto field = head.field("content-type");
    if (!field) return false;
    const size_t semicolon = field->find(';');
    std::string_view type = field->substr(0, semicolon);
    while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
    if (!equal_ignoring_case(type, "application/json")) return false;
    if (semicolon == std::string_view::npos) return true;
    std::string_view parameter = field->substr(semicolon + 1);
    while (!parameter.empty() && parameter.front() == ' ') parameter.remove_prefix(1);
    return equal_ignoring_case(parameter, "charset=utf-8");
}

std::optional<Coding> content_coding(const RequestHead& head) {
    const auto field = head.field("content-encoding");
    if (!field || equal_ignoring_case(*field, "identity")) return Coding::kIdentity;
    if (equal_ignoring_case(*field, "gzip")) return Coding::kGzip;
    return std::nullopt;
}

}  // namespace pganalytics::serve
