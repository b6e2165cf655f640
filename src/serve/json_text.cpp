// JSON text (see the header). Pure.
#include "pganalytics/serve/json_text.hpp"

#include <utility>

#include "pganalytics/core/time_text.hpp"

namespace pganalytics::serve {

void append_json_string(std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += '"';
    size_t plain = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        out += text.substr(plain, i - plain);
        plain = i + 1;
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[i];
        } else {
            out += "\\u00";
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
    out += text.substr(plain);
    out += '"';
}

void JsonObject::key(std::string_view key) {
    if (out_.size() > 1) out_ += ',';
    append_json_string(out_, key);
    out_ += ':';
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
    key(name);
    append_json_string(out_, value);
    return *this;
}

JsonObject& JsonObject::number(std::string_view name, uint64_t value) {
    return raw(name, std::to_string(value));
}

JsonObject& JsonObject::boolean(std::string_view name, bool value) {
    return raw(name, value ? "true" : "false");
}

JsonObject& JsonObject::null(std::string_view name) { return raw(name, "null"); }

JsonObject& JsonObject::raw(std::string_view name, std::string_view value) {
    key(name);
    out_ += value;
    return *this;
}

JsonObject& JsonObject::time(std::string_view name, int64_t microseconds) {
    std::string text;
    if (!append_time(text, microseconds)) return null(name);
    return this->text(name, text);
}

std::string JsonObject::take() {
    out_ += '}';
    return std::move(out_);
}

}  // namespace pganalytics::serve
