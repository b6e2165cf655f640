// JSON out (see the header). Runs in the program.
#include "pganalytics/core/json_writer.hpp"

#include <charconv>
#include <cmath>
#include <cstring>

#include "pganalytics/core/json_check.hpp"
#include "pganalytics/core/lsn.hpp"
#include "pganalytics/core/time_text.hpp"
#include "pganalytics/core/utf8.hpp"
#include "pganalytics/core/uuid.hpp"

namespace pganalytics {

namespace {

constexpr size_t kUsualName = 64;
constexpr char kHex[] = "0123456789abcdef";

// No early way out, so that the compiler makes vectors of it.
bool needs_no_escape(std::string_view text) {
    unsigned special = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        special |= static_cast<unsigned>(byte < 0x20) | static_cast<unsigned>(byte >= 0x7f) |
                   static_cast<unsigned>(byte == '"') | static_cast<unsigned>(byte == '\\');
    }
    return special == 0;
}

// `text` is well-formed UTF-8.
void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte == '"' || byte == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (byte >= 0x20 && byte != 0x7f) {
            out.push_back(c);
        } else if (c == '\n') {
            out.append("\\n");
        } else if (c == '\t') {
            out.append("\\t");
        } else {
            out.append("\\u00");
            out.push_back(kHex[byte >> 4]);
            out.push_back(kHex[byte & 0xf]);
        }
    }
}

void append_quoted_uuid(std::string& out, std::string_view bytes) {
    Uuid uuid{};
    if (bytes.size() != uuid.size()) {
        out.append("null");
        return;
    }
    std::memcpy(uuid.data(), bytes.data(), uuid.size());
    out.push_back('"');
    append_uuid(out, uuid);
    out.push_back('"');
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
    // The usual name: in one piece.
    char piece[2 + kUsualName];
    if (text.size() <= kUsualName && needs_no_escape(text)) {
        piece[0] = piece[1 + text.size()] = '"';
        std::memcpy(piece + 1, text.data(), text.size());
        out.append(piece, text.size() + 2);
        return;
    }
    out.push_back('"');
    if (text.size() <= kMaxJsonText && needs_no_escape(text)) {
        out.append(text);
    } else {
        // What is cut off here is beyond the limit in any case: cleaning never shortens.
        std::string clean;
        append_utf8_clean(clean, text.substr(0, kMaxJsonText + 4));
        append_escaped(out, utf8_cut(clean, kMaxJsonText));
    }
    out.push_back('"');
}

void append_json_number(std::string& out, int64_t number) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, number).ptr;
    out.append(text, static_cast<size_t>(end - text));
}

void append_json_number(std::string& out, uint64_t number) {
    char text[24];
    const auto end = std::to_chars(text, text + sizeof text, number).ptr;
    out.append(text, static_cast<size_t>(end - text));
}

void append_json_real(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out.append("null");
        return;
    }
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, number).ptr;
    out.append(text, static_cast<size_t>(end - text));
}

void append_json_time(std::string& out, int64_t time) {
    const size_t start = out.size();
    out.push_back('"');
    if (!append_time(out, time)) {
        out.resize(start);
        out.append("null");
        return;
    }
    out.push_back('"');
}

void append_json_value(std::string& out, ColumnType type, const Value& value) {
    if (value.null) {
        out.append("null");
        return;
    }
    switch (type) {
        case ColumnType::kBool:
            out.append(value.integer != 0 ? "true" : "false");
            return;
        case ColumnType::kInt64:
        case ColumnType::kOid:
            return append_json_number(out, value.integer);
        case ColumnType::kFloat64:
            return append_json_real(out, value.real);
        case ColumnType::kText:
            return append_json_text(out, value.text);
        case ColumnType::kTimestamp:
            return append_json_time(out, value.integer);
        case ColumnType::kLsn:
            out.push_back('"');
            append_lsn(out, static_cast<uint64_t>(value.integer));
            out.push_back('"');
            return;
        case ColumnType::kUuid:
            return append_quoted_uuid(out, value.text);
        case ColumnType::kJson:
            if (value.text.size() > kMaxJsonText || !is_json(value.text))
                return append_json_text(out, value.text);
            out.append(value.text);
            return;
    }
    out.append("null");
}

void append_json_name(std::string& out, std::string_view name) {
    if (!out.empty() && out.back() != '{' && out.back() != '[') out.push_back(',');
    append_json_text(out, name);
    out.push_back(':');
}

}  // namespace pganalytics
